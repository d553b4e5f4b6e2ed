//! Which site a request is for.
#![forbid(unsafe_code)]

mod access;
mod answers;
pub mod cors;
mod geo;
mod names;
mod networks;
mod rules;
pub mod sign;
pub mod targets;
mod traffic;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::config;
use crate::limits::HOST_MAX_BYTES;
use crate::metrics::SiteMetrics;
pub use access::{Access, Asker};
use answers::SETS;
pub use answers::{Answers, QuestionKey};
pub use geo::{Geo, GeoError};
use names::Names;
pub use networks::Networks;
pub use rules::Rules;
use targets::Targets;
pub use traffic::{Slot, Traffic};

/// A site as it runs: its configuration and its counters.
#[derive(Debug)]
pub struct Site {
    /// Position in the configuration.
    pub id: usize,
    /// Resolved configuration.
    pub config: config::Site,
    /// Its cache rules, compiled.
    pub rules: Rules,
    /// Who is let in; `None`: everybody.
    pub access: Option<Access>,
    /// Targets that are elsewhere.
    pub redirects: Targets,
    /// Targets that are called otherwise.
    pub rewrites: Targets,
    /// Whether it has redirects, rewrites, header rules or CORS: others cost nothing for them.
    pub steers: bool,
    /// What its own service said.
    pub answers: Answers,
    /// Its answers under way, where that matters; kept across reloads for a site of the same name.
    pub traffic: Option<Arc<Traffic>>,
    /// Whether it or a rule of it says how fast answers leave.
    pub is_shaped: bool,
    /// Counters; kept across reloads for a site of the same name.
    pub metrics: Arc<SiteMetrics>,
}

impl Site {
    /// Compiles a site's configuration.
    pub fn new(id: usize, config: config::Site, metrics: Arc<SiteMetrics>) -> Site {
        let content = &config.content;
        let by_rule = config.rules.iter().any(|rule| !rule.content.is_empty());
        let is_shaped =
            config.shape.is_some() || config.rules.iter().any(|rule| rule.rate.bytes_per_s > 0);
        Site {
            access: config.access.as_ref().map(Access::new),
            answers: Answers::new(if config.auth.is_some() { SETS } else { 0 }),
            traffic: config.shape.as_ref().map(|_| Arc::default()),
            is_shaped,
            id,
            rules: Rules::new(&config.rules),
            redirects: Targets::new(&content.redirects),
            rewrites: Targets::new(&content.rewrites),
            steers: by_rule || content.steers(),
            config,
            metrics,
        }
    }

    /// The number of the rule for `target` (path and query), for [`Rules::at`].
    pub fn rule_number(&self, target: &str) -> Option<usize> {
        self.rules.position(target.split_once('?').map_or(target, |(path, _)| path))
    }

    /// What it says to pages of other sites, for a path that the rule of that number is for.
    pub fn cors(&self, rule: Option<usize>) -> Option<&config::Cors> {
        let rule = rule.and_then(|number| self.rules.at(number));
        rule.and_then(|rule| rule.content.cors.as_ref()).or(self.config.content.cors.as_ref())
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
    proxies: Networks<()>,
    geo: Option<Arc<Geo>>,
}

impl Sites {
    /// Builds the tables. Counters of sites that `before` had by the same name go on.
    pub fn new(configs: &[config::Site], workers: usize, before: Option<&Sites>) -> Sites {
        let mut sites = Sites::default();
        let known: HashMap<&str, &Arc<Site>> = before
            .into_iter()
            .flat_map(|before| before.all.iter())
            .map(|site| (site.config.name.as_str(), site))
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
            let before = known.get(config.name.as_str());
            let metrics = before.map(|site| site.metrics.clone());
            let metrics = metrics.unwrap_or_else(|| Arc::new(SiteMetrics::new(workers)));
            let mut site = Site::new(id, config.clone(), metrics);
            if let (Some(own), Some(before)) = (&mut site.traffic, before) {
                *own = before.traffic.clone().unwrap_or_default();
            }
            sites.all.push(Arc::new(site));
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

    /// Whose word about where a request comes from is believed, and who knows countries.
    pub fn with_addresses(mut self, proxies: &[config::Prefix], geo: Option<Arc<Geo>>) -> Sites {
        self.proxies = Networks::new(proxies.iter().map(|prefix| (*prefix, ())));
        self.geo = geo;
        self
    }

    /// Who knows countries.
    pub fn geo(&self) -> Option<&Arc<Geo>> {
        self.geo.as_ref()
    }

    /// Where a request comes from that `peer` sent with these `X-Forwarded-For` fields: the last hop that
    /// no trusted proxy is. What stands before it anybody may have written.
    pub fn client<'f>(
        &self,
        peer: IpAddr,
        forwarded: impl DoubleEndedIterator<Item = &'f [u8]>,
    ) -> IpAddr {
        let mut client = peer;
        let hops = forwarded.rev().flat_map(|field| field.rsplit(|byte| *byte == b','));
        for hop in hops {
            if self.proxies.find(client).is_none() {
                break;
            }
            let Some(address) = hop_address(hop) else { break };
            client = address;
        }
        client.to_canonical()
    }

    /// Whether the word of `peer` about its clients is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.proxies.find(peer).is_some()
    }

    /// Whether any proxy is trusted.
    pub fn trusts_proxies(&self) -> bool {
        !self.proxies.is_empty()
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

/// An address as proxies write it: with or without a port, IPv6 with or without brackets.
fn hop_address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|addr| addr.ip());
    bare.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_the_last_hop_that_is_not_trusted() {
        let prefix = |text: &str, bits| config::Prefix { network: text.parse().unwrap(), bits };
        let trusted = [prefix("10.0.0.0", 8), prefix("2001:db8::", 32)];
        let sites = Sites::default().with_addresses(&trusted, None);
        for (peer, fields, expected) in [
            ("192.0.2.1", &["198.51.100.1"][..], "192.0.2.1"),
            ("10.0.0.1", &[][..], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"][..], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"][..], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"][..], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.1 ,10.0.0.2"][..], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.3"][..], "10.0.0.3"),
            ("10.0.0.1", &["198.51.100.1:4711"][..], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db9::1]:80"][..], "2001:db9::1"),
            ("2001:db8::1", &["2001:db9::1"][..], "2001:db9::1"),
            ("10.0.0.1", &["203.0.113.9, unknown, 10.0.0.2"][..], "10.0.0.2"),
            ("10.0.0.1", &[""][..], "10.0.0.1"),
        ] {
            let client = sites.client(peer.parse().unwrap(), fields.iter().map(|it| it.as_bytes()));
            assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{peer} {fields:?}");
        }
    }
}
