//! Which site a request is for.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Arc;

use crate::config;
use crate::metrics::SiteMetrics;

/// A site as it runs: its configuration and its counters.
#[derive(Debug)]
pub struct Site {
    /// Position in the configuration.
    pub id: usize,
    /// Resolved configuration.
    pub config: config::Site,
    /// Counters; kept across reloads for a site of the same name.
    pub metrics: Arc<SiteMetrics>,
}

/// All sites of one configuration, immutable; a reload swaps the whole.
#[derive(Debug, Default)]
pub struct Sites {
    all: Vec<Arc<Site>>,
    exact: HashMap<Box<str>, usize>,
    suffix: HashMap<Box<str>, usize>,
    any: Option<usize>,
}

impl Sites {
    /// Builds the tables. Counters of sites that `before` had by the same name go on.
    pub fn new(configs: &[config::Site], workers: usize, before: Option<&Sites>) -> Sites {
        let mut sites = Sites::default();
        for (id, config) in configs.iter().enumerate() {
            for host in &config.hosts {
                if host == "*" {
                    sites.any.get_or_insert(id);
                } else if let Some(suffix) = host.strip_prefix("*.") {
                    sites.suffix.entry(suffix.into()).or_insert(id);
                } else {
                    sites.exact.entry(host.as_str().into()).or_insert(id);
                }
            }
            let metrics = before
                .and_then(|before| before.all.iter().find(|site| site.config.name == config.name))
                .map_or_else(|| Arc::new(SiteMetrics::new(workers)), |site| site.metrics.clone());
            sites.all.push(Arc::new(Site { id, config: config.clone(), metrics }));
        }
        sites
    }

    /// The site of `host` (lower-case, without port): an exact name beats a wildcard, the longest
    /// wildcard suffix beats a shorter one, `*` takes the rest.
    pub fn find(&self, host: &str) -> Option<&Arc<Site>> {
        let by_name = || self.exact.get(host).copied();
        let by_suffix = || {
            let mut rest = host;
            while let Some((_, suffix)) = rest.split_once('.') {
                if let Some(id) = self.suffix.get(suffix) {
                    return Some(*id);
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
