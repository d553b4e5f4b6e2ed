//! What the plane's threads share of each site's origin: who is up, whose turn it is, whom to believe.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::ServerName;
use tokio::time::Instant;

use super::connect::{Own, Secure};
use super::gate::{Gate, Slot};
use super::names::Names;
use super::secure::{Clients, OriginError};
use crate::cache::Urgency;
use crate::config::{self, Origin, OriginPolicy};
use crate::origin::Group;
use crate::origin::request::Destination;
use crate::site::Site;

/// The origin of one site.
pub struct Served {
    /// Its addresses.
    pub group: Group,
    /// How it is dealt with.
    pub policy: OriginPolicy,
    /// Time to connect.
    pub connect: Duration,
    /// Time without a byte.
    pub read: Duration,
    /// Further tries after a failure.
    pub retries: u32,
    /// Time a request waits for its turn.
    queue: Duration,
    /// One for each address, if it has a ceiling of its own.
    gates: Vec<Option<(usize, Arc<Gate>)>>,
    /// Client settings with and without HTTP/2; `None`: nothing goes over TLS.
    tls: Option<[Arc<rustls::ClientConfig>; 2]>,
    /// What redirects to strangers are followed with.
    strangers: Option<Arc<rustls::ClientConfig>>,
}

/// Every site's origin.
#[derive(Default)]
pub struct Groups {
    all: ArcSwap<HashMap<String, Arc<Served>>>,
    /// Names of origins.
    pub names: Arc<Names>,
    /// Where this node listens: no origin is there.
    pub own: Own,
}

impl Groups {
    /// The origins of `sites` from now on; what was known of addresses that stay is kept.
    ///
    /// # Errors
    /// A file that a site names cannot be used; then nothing is changed.
    pub fn install(&self, sites: &[config::Site]) -> Result<(), (String, OriginError)> {
        let before = self.all.load();
        let mut clients = Clients::default();
        let mut all = HashMap::with_capacity(sites.len());
        for site in sites {
            let known = before.get(&site.name).map(|served| &served.group);
            let served = Served::new(site, known, &mut clients);
            if let Some(served) = served.map_err(|error| (site.name.clone(), error))? {
                all.insert(site.name.clone(), Arc::new(served));
            }
        }
        self.all.store(Arc::new(all));
        Ok(())
    }

    /// The origin of `site`; `None`: it is a directory, or cannot be used.
    pub fn of(&self, site: &Site) -> Option<Arc<Served>> {
        if let Some(served) = self.all.load().get(&site.config.name) {
            return Some(served.clone());
        }
        let served = Served::new(&site.config, None, &mut Clients::default());
        let served = served
            .inspect_err(|error| tracing::error!(%error, site = site.config.name, "no origin"))
            .ok()??;
        let served = Arc::new(served);
        self.all.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.entry(site.config.name.clone()).or_insert_with(|| served.clone());
            all
        });
        self.all.load().get(&site.config.name).cloned()
    }

    /// Every origin, by the name of its site.
    pub fn all(&self) -> Arc<HashMap<String, Arc<Served>>> {
        self.all.load_full()
    }

    /// Notes where this node listens.
    pub fn listens_on(&self, addrs: &[SocketAddr]) {
        self.own.store(Arc::new(addrs.to_vec()));
    }
}

impl Served {
    fn new(
        site: &config::Site,
        before: Option<&Group>,
        clients: &mut Clients,
    ) -> Result<Option<Served>, OriginError> {
        let Origin::Http {
            addresses,
            connect_timeout_ms,
            read_timeout_ms,
            retries,
            protection,
            policy,
            ..
        } = &site.origin
        else {
            return Ok(None);
        };
        let is_tls = addresses.iter().any(|address| address.is_tls(true));
        let with = |http2, clients: &mut Clients| clients.of(&policy.tls, http2);
        let tls = match is_tls {
            true => Some([with(false, clients)?, with(policy.http2, clients)?]),
            false => None,
        };
        // Strangers have other keys, and are not shown ours.
        let others = config::OriginTls {
            ca: policy.tls.ca.clone(),
            verify: policy.tls.verify,
            ..config::OriginTls::default()
        };
        let strangers = match policy.redirects.hops {
            0 => None,
            _ => Some(clients.of(&others, false)?),
        };
        let gate = |max: usize| (max, Arc::new(Gate::default()));
        Ok(Some(Served {
            group: Group::new(&site.name, addresses, &policy.health, before),
            policy: (**policy).clone(),
            connect: Duration::from_millis(*connect_timeout_ms),
            read: Duration::from_millis(*read_timeout_ms),
            retries: *retries,
            queue: Duration::from_millis(protection.queue_timeout_ms),
            gates: addresses.iter().map(|address| address.max_connections.map(gate)).collect(),
            tls,
            strangers,
        }))
    }

    /// The order in which addresses are to be tried; those without room for one more come later.
    pub fn order(&self) -> Vec<usize> {
        let mut order = self.group.order();
        if order.len() > 1 && self.gates.iter().any(Option::is_some) {
            let is_full = |position: &usize| {
                self.gates[*position].as_ref().is_some_and(|(max, gate)| !gate.has_room(*max))
            };
            order.sort_by_key(is_full);
        }
        order
    }

    /// Takes a place at the address at `position`, if these are counted. `Err`: none came free in time.
    pub async fn enter(&self, position: usize) -> Result<Option<Slot>, ()> {
        let Some((max, gate)) = &self.gates[position] else { return Ok(None) };
        let deadline = Instant::now() + self.queue;
        let entered = gate.enter(*max, |_| Some(deadline), || Urgency::Awaited).await;
        entered.map(Some).ok_or(())
    }

    /// Where a request to the address at `position` goes; one that may switch to another protocol does
    /// not go by HTTP/2.
    pub fn destination(&self, position: usize, is_secure: bool, http2: bool) -> Destination {
        let address = &self.group.addresses()[position];
        Destination::of(address, is_secure, http2 && self.policy.http2)
    }

    /// How TLS is spoken to the address at `position`; `None` if it is not.
    pub fn secure(&self, position: usize, to: &Destination) -> Option<Secure> {
        let config = self.tls.as_ref()?[usize::from(to.http2)].clone();
        let own = self.group.addresses()[position].sni.as_deref();
        let name = own.or(self.policy.tls.sni.as_deref()).unwrap_or(&to.host);
        secure(to, config, name)
    }

    /// How TLS is spoken to whom a redirect leads to.
    pub fn secure_stranger(&self, to: &Destination) -> Option<Secure> {
        secure(to, self.strangers.clone()?, &to.host)
    }
}

fn secure(to: &Destination, config: Arc<rustls::ClientConfig>, name: &str) -> Option<Secure> {
    let name = ServerName::try_from(name.to_owned()).ok()?;
    to.is_tls.then_some(Secure { config, name })
}
