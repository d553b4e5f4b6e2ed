//! `[site.access]`, compiled: what a request costs does not hang on how long the lists are, but for
//! patterns.

use std::collections::HashSet;
use std::net::IpAddr;

use super::geo::Geo;
use super::networks::Networks;
use crate::config;
use crate::metrics::Denial;

/// What is looked at of a request.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Where it comes from.
    pub address: IpAddr,
    /// Its `Referer`, empty without one.
    pub referer: &'a [u8],
    /// Its `User-Agent`, empty without one.
    pub agent: &'a [u8],
}

/// Who is let in to one site.
#[derive(Debug)]
pub struct Access {
    referers: Option<Referers>,
    addresses: Networks<bool>,
    /// Whether an address that no prefix holds is let in.
    others: bool,
    agents: config::Lists<String>,
    countries: config::Lists<[u8; 2]>,
}

#[derive(Debug)]
struct Referers {
    allow: Hosts,
    deny: Hosts,
    has_allow: bool,
    empty: bool,
}

/// Hosts by name, by suffix and by pattern.
#[derive(Debug, Default)]
struct Hosts {
    exact: HashSet<Box<str>>,
    suffixes: HashSet<Box<str>>,
    patterns: Vec<Box<str>>,
}

impl Access {
    /// Compiles what a site says.
    pub fn new(config: &config::Access) -> Access {
        let config::Access { referers, empty_referer, addresses, agents, countries, .. } = config;
        let has_referers = !referers.is_empty() || !empty_referer;
        let words = |list: &[config::Prefix], word| {
            list.iter().map(|prefix| (*prefix, word)).collect::<Vec<_>>()
        };
        let all = [words(&addresses.allow, true), words(&addresses.deny, false)].concat();
        Access {
            referers: has_referers.then(|| Referers {
                allow: Hosts::new(&referers.allow),
                deny: Hosts::new(&referers.deny),
                has_allow: !referers.allow.is_empty(),
                empty: *empty_referer,
            }),
            addresses: Networks::new(all),
            others: addresses.allow.is_empty(),
            agents: agents.clone(),
            countries: countries.clone(),
        }
    }

    /// Whether a request is let in. `geo` is there where a list of countries is.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, asker: &Asker<'_>, geo: Option<&Geo>) -> Result<(), Denial> {
        if !self.addresses.find(asker.address).unwrap_or(self.others) {
            return Err(Denial::Address);
        }
        if !self.countries.is_empty() {
            let country = geo.and_then(|geo| geo.country(asker.address));
            let is_in = |list: &[[u8; 2]]| country.is_some_and(|code| list.contains(&code));
            if is_in(&self.countries.deny)
                || !self.countries.allow.is_empty() && !is_in(&self.countries.allow)
            {
                return Err(Denial::Country);
            }
        }
        if self.referers.as_ref().is_some_and(|referers| !referers.take(asker.referer)) {
            return Err(Denial::Referer);
        }
        let is_like = |list: &[String]| list.iter().any(|one| matches(one.as_bytes(), asker.agent));
        if is_like(&self.agents.deny)
            || !self.agents.allow.is_empty() && !is_like(&self.agents.allow)
        {
            return Err(Denial::Agent);
        }
        Ok(())
    }
}

impl Referers {
    fn take(&self, referer: &[u8]) -> bool {
        if referer.trim_ascii().is_empty() {
            return self.empty;
        }
        match host_of(referer) {
            Some(host) => !self.deny.hold(&host) && (!self.has_allow || self.allow.hold(&host)),
            // It names no host: no list does.
            None => !self.has_allow,
        }
    }
}

/// The host of a `Referer`, lower-case: what stands between the last `@` and the port.
fn host_of(referer: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(referer).ok()?.trim();
    let (_, rest) = text.split_once("://")?;
    // Browsers end the authority at a backslash, too (WHATWG URL, "authority state").
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let authority = authority.rsplit('@').next()?;
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().map(|v6| format!("[{v6}]"))?,
        None => authority.split(':').next()?.to_owned(),
    };
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

impl Hosts {
    fn new(list: &[String]) -> Hosts {
        let mut hosts = Hosts::default();
        for text in list {
            let below = text.strip_prefix("*.").filter(|rest| !rest.contains('*'));
            let both = text.strip_prefix('.').filter(|rest| !rest.contains('*'));
            match (below, both) {
                (Some(suffix), _) => drop(hosts.suffixes.insert(suffix.into())),
                (None, Some(name)) => {
                    hosts.suffixes.insert(name.into());
                    hosts.exact.insert(name.into());
                }
                (None, None) if text.contains('*') => hosts.patterns.push(text.as_str().into()),
                (None, None) => drop(hosts.exact.insert(text.as_str().into())),
            }
        }
        hosts
    }

    fn hold(&self, host: &str) -> bool {
        let is_below = || {
            let mut rest = host;
            while let Some((_, suffix)) = rest.split_once('.') {
                if self.suffixes.contains(suffix) {
                    return true;
                }
                rest = suffix;
            }
            false
        };
        self.exact.contains(host)
            || !self.suffixes.is_empty() && is_below()
            || self.patterns.iter().any(|one| matches(one.as_bytes(), host.as_bytes()))
    }
}

/// Whether `text` is like `pattern` (lower-case), in which `*` is anything. Case does not matter. At most
/// one try for each pair of bytes.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // The last star, and where in the text what follows it was tried.
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(byte) if *byte == text[from].to_ascii_lowercase() => {
                (at, from) = (at + 1, from + 1)
            }
            _ => match &mut star {
                Some((star, tried)) => {
                    *tried += 1;
                    (at, from) = (*star + 1, *tried);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
