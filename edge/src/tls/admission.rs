//! Whose certificate a connection was asked for, held against what it then asks.

use std::path::Path;
use std::sync::Arc;

use super::acceptor::Acceptor;

/// What a connection may ask for: a name said in the handshake chose whose certificate the client had to
/// show, and the `Host` of a request may be another.
#[derive(Clone)]
pub struct Admission {
    acceptor: Arc<Acceptor>,
    verified: Option<Arc<Path>>,
}

impl Admission {
    pub(super) fn new(acceptor: Arc<Acceptor>, verified: Option<Arc<Path>>) -> Admission {
        Admission { acceptor, verified }
    }

    /// Whether a request for `host`, whose site asks for certificates of `site_ca`, may come on this
    /// connection.
    pub fn admits(&self, host: &str, site_ca: Option<&Path>) -> bool {
        let required = site_ca.or_else(|| self.acceptor.client_ca(Some(host)));
        required.is_none() || required == self.verified.as_deref()
    }
}
