//! What every new connection is offered: the certificates and the settings of the node.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use super::certificate::{Clients, Identity};
use super::error::TlsError;
use super::names::Names;
use crate::config::{Tls, TlsProfile};
use crate::sys::ktls::{Keys, Support};

const MODERN: &[&SupportedProtocolVersion] = &[&version::TLS13];
const INTERMEDIATE: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// What is offered, and to whom.
#[derive(Default)]
pub struct Offered {
    /// Certificates; the first also to clients that name no host or an unknown one.
    pub identities: Vec<Identity>,
    /// Hosts of sites whose clients must show a certificate, and whose; in the place of what the host's
    /// certificate says about clients.
    pub guarded: Vec<(Vec<String>, Clients)>,
}

/// Certificates and settings of one configuration. A reload makes a new one with the ticket keys of
/// the old: sessions are resumed across it.
pub struct Acceptor {
    offered: Offered,
    names: Names,
    /// Hosts of guarded sites, to positions in `offered.guarded`.
    guarded: Names,
    /// By certificate, and by whose certificate a client must show otherwise than that says.
    configs: HashMap<(usize, Option<usize>), Arc<ServerConfig>>,
    tickets: Arc<dyn ProducesTickets>,
    kernel: Support,
}

impl Acceptor {
    /// Offers certificates.
    ///
    /// # Errors
    /// There are none, or the library refuses them.
    pub fn new(offered: Offered, settings: Tls) -> Result<Acceptor, TlsError> {
        let kernel = if settings.offload { Support::probe() } else { Support::default() };
        Acceptor::with_tickets(offered, settings, aws_lc_rs::Ticketer::new()?, kernel)
    }

    /// Offers others from now on; tickets given out before stay good.
    ///
    /// # Errors
    /// As [`Acceptor::new`].
    pub fn renewed(&self, offered: Offered, settings: Tls) -> Result<Acceptor, TlsError> {
        let kernel = match (settings.offload, self.kernel.is_empty()) {
            (true, true) => Support::probe(),
            (true, false) => self.kernel,
            (false, _) => Support::default(),
        };
        Acceptor::with_tickets(offered, settings, self.tickets.clone(), kernel)
    }

    fn with_tickets(
        offered: Offered,
        settings: Tls,
        tickets: Arc<dyn ProducesTickets>,
        kernel: Support,
    ) -> Result<Acceptor, TlsError> {
        if offered.identities.is_empty() {
            return Err(TlsError::None);
        }
        let (mut names, mut guarded) = (Names::default(), Names::default());
        for (position, identity) in offered.identities.iter().enumerate() {
            identity.names.iter().for_each(|name| names.add(name, position));
        }
        for (position, (hosts, _)) in offered.guarded.iter().enumerate() {
            hosts.iter().for_each(|host| guarded.add(host, position));
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut configs = HashMap::new();
        for (at, identity) in offered.identities.iter().enumerate() {
            let guards = offered.guarded.iter().map(|(_, clients)| Some(clients)).enumerate();
            let all = guards.map(|(guard, clients)| (Some(guard), clients));
            for (guard, clients) in [(None, identity.clients.as_ref())].into_iter().chain(all) {
                let common = (settings.profile, &provider, &tickets);
                configs.insert((at, guard), config(identity, clients, common)?);
            }
        }
        Ok(Acceptor { offered, names, guarded, configs, tickets, kernel })
    }

    /// The certificates, in the order of the configuration.
    pub fn identities(&self) -> &[Identity] {
        &self.offered.identities
    }

    /// Which suites the kernel seals; none where it is not to.
    pub fn kernel(&self) -> Support {
        self.kernel
    }

    /// Whether the kernel may be given `keys`.
    pub(super) fn offloads(&self, keys: &Keys) -> bool {
        self.kernel.has(keys)
    }

    /// Whether any client must show a certificate.
    pub(super) fn guards(&self) -> bool {
        !self.offered.guarded.is_empty()
            || self.offered.identities.iter().any(|identity| identity.clients.is_some())
    }

    /// What a client that names `host` is offered.
    pub(super) fn choose(&self, host: Option<&str>) -> Arc<ServerConfig> {
        self.configs[&self.place(host)].clone()
    }

    /// The file of the authorities whose clients may ask for `host`.
    pub(super) fn client_ca(&self, host: Option<&str>) -> Option<&Path> {
        let clients = match self.place(host) {
            (_, Some(guard)) => Some(&self.offered.guarded[guard].1),
            (identity, None) => self.offered.identities[identity].clients.as_ref(),
        };
        clients.map(|clients| &*clients.path)
    }

    fn place(&self, host: Option<&str>) -> (usize, Option<usize>) {
        let identity = host.and_then(|host| self.names.find(host)).unwrap_or(0);
        (identity, host.and_then(|host| self.guarded.find_below(host)))
    }
}

fn config(
    identity: &Identity,
    clients: Option<&Clients>,
    (profile, provider, tickets): (TlsProfile, &Arc<CryptoProvider>, &Arc<dyn ProducesTickets>),
) -> Result<Arc<ServerConfig>, TlsError> {
    let versions = match profile {
        TlsProfile::Modern => MODERN,
        TlsProfile::Intermediate => INTERMEDIATE,
    };
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(Clients { path, roots }) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
            builder.with_client_cert_verifier(verifier.build().map_err(|error| {
                TlsError::Malformed { path: path.to_path_buf(), message: error.to_string() }
            })?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(Only(identity.key.clone())));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    // Tickets alone: no table of sessions for workers to share or clients to fill. A ticket would let in
    // whoever showed a certificate for another host, so none are given where one must be shown.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if clients.is_none() {
        config.ticketer = tickets.clone();
        config.send_tls13_tickets = 2;
    } else {
        config.send_tls13_tickets = 0;
    }
    // Records are protected by us, or by the kernel.
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

/// Leads every client to one certificate: the choice was made before.
#[derive(Debug)]
struct Only(Arc<CertifiedKey>);

impl ResolvesServerCert for Only {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
