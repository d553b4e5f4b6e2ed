//! Which site a request is for.
#![forbid(unsafe_code)]

mod names;
mod rules;

use std::collections::HashMap;
use std::sync::Arc;

use crate::config;
use crate::limits::HOST_MAX_BYTES;
use crate::metrics::SiteMetrics;
use names::Names;
pub use rules::Rules;

/// A site as it runs: its configuration and its counters.
#[derive(Debug)]
pub struct Site {
    /// Position in the configuration.
    pub id: usize,
    /// Resolved configuration.
    pub config: config::Site,
    /// Its cache rules, compiled.
    pub rules: Rules,
    /// Counters; kept across reloads for a site of the same name.
    pub metrics: Arc<SiteMetrics>,
}

impl Site {
    /// Compiles a site's configuration.
    pub fn new(id: usize, config: config::Site, metrics: Arc<SiteMetrics>) -> Site {
        Site { id, rules: Rules::new(&config.rules), config, metrics }
    }

    /// Name of the space its keys are in: its own, or that of the site whose objects it shares.
    pub fn key_space(&self) -> &str {
        self.config.key.share.as_deref().unwrap_or(&self.config.name)
    }

    /// The one cache rule for `target` (path and query).
    pub fn rule(&self, target: &str) -> Option<&config::Rule> {
        self.rules.find(target.split_once('?').map_or(target, |(path, _)| path))
    }
}

/// All sites of one configuration, immutable; a reload swaps the whole.
#[derive(Debug, Default)]
pub struct Sites {
    all: Vec<Arc<Site>>,
    exact: Names,
    suffix: Names,
    any: Option<usize>,
    closes_unknown: bool,
}

impl Sites {
    /// Builds the tables. Counters of sites that `before` had by the same name go on.
    pub fn new(configs: &[config::Site], workers: usize, before: Option<&Sites>) -> Sites {
        let mut sites = Sites::default();
        let known: HashMap<&str, &Arc<SiteMetrics>> = before
            .into_iter()
            .flat_map(|before| before.all.iter())
            .map(|site| (site.config.name.as_str(), &site.metrics))
            .collect();
        for (id, config) in configs.iter().enumerate() {
            for host in &config.hosts {
                if host == "*" {
                    sites.any.get_or_insert(id);
                } else if let Some(suffix) = host.strip_prefix("*.") {
                    sites.suffix.insert(suffix, id);
                } else {
                    sites.exact.insert(host, id);
                }
            }
            let metrics = known.get(config.name.as_str()).map(|metrics| (*metrics).clone());
            let metrics = metrics.unwrap_or_else(|| Arc::new(SiteMetrics::new(workers)));
            sites.all.push(Arc::new(Site::new(id, config.clone(), metrics)));
        }
        sites
    }

    /// What hosts get that no site has. A site of its own for every host comes first.
    pub fn with_unknown(mut self, unknown: &config::UnknownHost) -> Sites {
        self.closes_unknown = *unknown == config::UnknownHost::Close;
        if let config::UnknownHost::Site(name) = unknown {
            self.any =
                self.any.or_else(|| self.all.iter().position(|site| site.config.name == *name));
        }
        self
    }

    /// Whether who asks for a host that no site has is hung up on.
    pub fn closes_unknown(&self) -> bool {
        self.closes_unknown
    }

    /// The site of `host` (lower-case, without port): an exact name beats a wildcard, the longest
    /// wildcard suffix beats a shorter one, `*` takes the rest.
    pub fn find(&self, host: &str) -> Option<&Arc<Site>> {
        let by_name = || self.exact.find(host);
        let by_suffix = || {
            // No suffix is longer than a host may be: the rest of a long name need not be looked at.
            let mut rest = host.get(host.len().saturating_sub(HOST_MAX_BYTES)..).unwrap_or(host);
            while let Some((_, suffix)) = rest.split_once('.') {
                if let Some(id) = self.suffix.find(suffix) {
                    return Some(id);
                }
                rest = suffix;
            }
            None
        };
        by_name().or_else(by_suffix).or(self.any).map(|id| &self.all[id])
    }

    /// Every site, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.all.iter()
    }
}
