//! Names of origins: resolved again when their time is over, with what was known if that fails.
//!
//! One table for all threads; each thread asks with a resolver of its own. `/etc/hosts` comes first.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::time::Instant;

use crate::limits::{NAME_TTL_MAX_MS, NAME_TTL_MIN_MS, NAMES_MAX};
use crate::metrics::Counter;

/// Time for one question to a name server, and how often it is put.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);
const TRIES: usize = 2;
/// How long what was known is used before a name server that failed is asked again.
const STALE_FOR: Duration = Duration::from_secs(5);

/// The addresses of a name.
#[derive(Debug, PartialEq, Eq)]
pub struct Resolved {
    /// In order, each once.
    pub ips: Vec<IpAddr>,
    /// Grows when they change.
    pub version: u64,
}

struct Known {
    resolved: Arc<Resolved>,
    until: Instant,
}

/// See the module.
#[derive(Default)]
pub struct Names {
    known: Mutex<HashMap<Box<str>, Known>>,
    servers: Mutex<Vec<SocketAddr>>,
    generation: AtomicU64,
    versions: AtomicU64,
    /// Questions put.
    pub lookups: Counter,
    /// Of those, without an answer.
    pub failures: Counter,
    /// Of those, answered with what was known before.
    pub stale: Counter,
}

impl Names {
    /// Asks `servers` (the host's, if there are none) from now on. What is known is asked for anew.
    pub fn configure(&self, servers: &[SocketAddr]) {
        *self.servers.lock().unwrap_or_else(PoisonError::into_inner) = servers.to_vec();
        let now = Instant::now();
        self.lock().values_mut().for_each(|known| known.until = now);
        self.generation.fetch_add(1, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self, name: &str, now: Instant) -> Option<Arc<Resolved>> {
        let known = self.lock();
        known.get(name).filter(|known| known.until > now).map(|known| known.resolved.clone())
    }

    /// Notes what a name stands for; the same addresses keep their version.
    fn note(&self, name: &str, mut ips: Vec<IpAddr>, until: Instant) -> Arc<Resolved> {
        ips.sort_unstable();
        ips.dedup();
        let mut all = self.lock();
        if all.len() >= NAMES_MAX {
            let now = Instant::now();
            all.retain(|_, known| known.until > now);
        }
        let before = all.get(name).map(|known| known.resolved.clone());
        let resolved = before.filter(|before| before.ips == ips).unwrap_or_else(|| {
            let version = self.versions.fetch_add(1, Relaxed) + 1;
            Arc::new(Resolved { ips, version })
        });
        if all.len() < NAMES_MAX || all.contains_key(name) {
            all.insert(name.into(), Known { resolved: resolved.clone(), until });
        }
        resolved
    }

    /// What was known, for a while longer.
    fn keep(&self, name: &str) -> Option<Arc<Resolved>> {
        let mut all = self.lock();
        let known = all.get_mut(name)?;
        known.until = Instant::now() + STALE_FOR;
        Some(known.resolved.clone())
    }
}

/// One thread's way of asking.
pub struct Resolver {
    names: Arc<Names>,
    own: RefCell<Option<(u64, Arc<TokioResolver>)>>,
}

impl Resolver {
    /// A resolver for `names`.
    pub fn new(names: Arc<Names>) -> Resolver {
        Resolver { names, own: RefCell::default() }
    }

    /// The addresses of `host`, which may be one itself.
    ///
    /// # Errors
    /// Says what the name servers said, if nothing was known before.
    pub async fn resolve(&self, host: &str) -> Result<Arc<Resolved>, String> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Arc::new(Resolved { ips: vec![ip], version: 0 }));
        }
        let now = Instant::now();
        if let Some(found) = self.names.found(host, now) {
            return Ok(found);
        }
        self.names.lookups.add(1);
        let problem = match self.ask(host).await {
            Ok((ips, until)) if !ips.is_empty() => return Ok(self.names.note(host, ips, until)),
            Ok(_) => "has no address".to_owned(),
            Err(problem) => problem,
        };
        self.names.failures.add(1);
        let Some(known) = self.names.keep(host) else {
            return Err(format!("{host}: {problem}"));
        };
        self.names.stale.add(1);
        tracing::warn!(name = host, %problem, "name not resolved; its last addresses are used");
        Ok(known)
    }

    async fn ask(&self, host: &str) -> Result<(Vec<IpAddr>, Instant), String> {
        let resolver = self.resolver()?;
        let found = resolver.lookup_ip(host).await.map_err(|error| error.to_string())?;
        let now = std::time::Instant::now();
        let ttl = found.valid_until().saturating_duration_since(now);
        let ttl = ttl
            .clamp(Duration::from_millis(NAME_TTL_MIN_MS), Duration::from_millis(NAME_TTL_MAX_MS));
        Ok((found.iter().collect(), Instant::now() + ttl))
    }

    fn resolver(&self) -> Result<Arc<TokioResolver>, String> {
        let generation = self.names.generation.load(Relaxed);
        if let Some((_, resolver)) =
            self.own.borrow().as_ref().filter(|(known, _)| *known == generation)
        {
            return Ok(resolver.clone());
        }
        let servers = self.names.servers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let resolver = Arc::new(resolver_of(&servers)?);
        *self.own.borrow_mut() = Some((generation, resolver.clone()));
        Ok(resolver)
    }
}

fn resolver_of(servers: &[SocketAddr]) -> Result<TokioResolver, String> {
    let said = |error: &dyn std::fmt::Display| format!("no resolver: {error}");
    let provider = TokioRuntimeProvider::default();
    let mut builder = match servers {
        [] => TokioResolver::builder_tokio().map_err(|error| said(&error))?,
        servers => {
            let mut config = ResolverConfig::default();
            for server in servers {
                let connections =
                    [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut way| {
                        way.port = server.port();
                        way
                    });
                config.add_name_server(NameServerConfig::new(
                    server.ip(),
                    true,
                    connections.to_vec(),
                ));
            }
            TokioResolver::builder_with_config(config, provider)
        }
    };
    let options: &mut ResolverOpts = builder.options_mut();
    options.timeout = ANSWER_WITHIN;
    options.attempts = TRIES;
    options.use_hosts_file = ResolveHosts::Always;
    // The table above is the cache.
    options.cache_size = 0;
    builder.build().map_err(|error| said(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn versions_follow_the_addresses_and_not_their_order() {
        let names = Names::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(9);
        let first = names.note("a.test", ips(&["10.0.0.2", "10.0.0.1"]), later);
        assert_eq!(first.ips, ips(&["10.0.0.1", "10.0.0.2"]));
        let second = names.note("a.test", ips(&["10.0.0.1", "10.0.0.2", "10.0.0.1"]), later);
        assert_eq!(first.version, second.version);
        let third = names.note("a.test", ips(&["10.0.0.1"]), later);
        assert!(third.version > first.version);
        assert_eq!(names.found("a.test", now), Some(third.clone()));
        assert_eq!(names.found("a.test", later), None);
        assert_eq!(names.keep("a.test"), Some(third));
        assert_eq!(names.keep("b.test"), None);
    }

    #[test]
    fn the_table_is_bounded() {
        let names = Names::default();
        let later = Instant::now() + Duration::from_secs(9);
        for index in 0..NAMES_MAX + 10 {
            names.note(&format!("{index}.test"), ips(&["10.0.0.1"]), later);
        }
        assert_eq!(names.lock().len(), NAMES_MAX);
    }
}
