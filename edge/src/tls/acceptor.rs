//! What every new connection is offered: the certificates and the settings of the node.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use super::certificate::Identity;
use super::error::TlsError;
use super::names::Names;
use crate::config::TlsProfile;

const MODERN: &[&SupportedProtocolVersion] = &[&version::TLS13];
const INTERMEDIATE: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// Certificates and settings of one configuration. A reload makes a new one with the ticket keys of
/// the old: sessions are resumed across it.
pub struct Acceptor {
    identities: Vec<Identity>,
    names: Names,
    /// One for each identity, in their order.
    configs: Vec<Arc<ServerConfig>>,
    tickets: Arc<dyn ProducesTickets>,
    profile: TlsProfile,
}

impl Acceptor {
    /// Offers `identities`, the first to clients that name no host or an unknown one.
    ///
    /// # Errors
    /// There are none, or the library refuses them.
    pub fn new(identities: Vec<Identity>, profile: TlsProfile) -> Result<Acceptor, TlsError> {
        Acceptor::with_tickets(identities, profile, aws_lc_rs::Ticketer::new()?)
    }

    /// Offers others from now on; tickets given out before stay good.
    ///
    /// # Errors
    /// As [`Acceptor::new`].
    pub fn renewed(
        &self,
        identities: Vec<Identity>,
        profile: TlsProfile,
    ) -> Result<Acceptor, TlsError> {
        Acceptor::with_tickets(identities, profile, self.tickets.clone())
    }

    fn with_tickets(
        identities: Vec<Identity>,
        profile: TlsProfile,
        tickets: Arc<dyn ProducesTickets>,
    ) -> Result<Acceptor, TlsError> {
        if identities.is_empty() {
            return Err(TlsError::None);
        }
        let mut names = Names::default();
        for (position, identity) in identities.iter().enumerate() {
            identity.names.iter().for_each(|name| names.add(name, position));
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let configs = identities
            .iter()
            .map(|identity| config(identity, profile, &provider, &tickets))
            .collect::<Result<_, _>>()?;
        Ok(Acceptor { identities, names, configs, tickets, profile })
    }

    /// The certificates, in the order of the configuration.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// The versions spoken.
    pub fn profile(&self) -> TlsProfile {
        self.profile
    }

    /// What a client that names `host` is offered.
    pub(super) fn choose(&self, host: Option<&str>) -> Arc<ServerConfig> {
        let position = host.and_then(|host| self.names.find(host)).unwrap_or(0);
        self.configs[position].clone()
    }
}

fn config(
    identity: &Identity,
    profile: TlsProfile,
    provider: &Arc<CryptoProvider>,
    tickets: &Arc<dyn ProducesTickets>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let versions = match profile {
        TlsProfile::Modern => MODERN,
        TlsProfile::Intermediate => INTERMEDIATE,
    };
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions)?;
    let builder = match &identity.client_roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
            builder.with_client_cert_verifier(verifier.build().map_err(|error| {
                TlsError::Malformed { path: identity.path.clone(), message: error.to_string() }
            })?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(Only(identity.key.clone())));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Tickets alone: no table of sessions for workers to share or clients to fill.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = tickets.clone();
    config.send_tls13_tickets = 2;
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
