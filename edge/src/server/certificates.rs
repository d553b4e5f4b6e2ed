//! The certificates of TLS listeners, read from their files.

use crate::config::Config;
use crate::tls::{Acceptor, Identity, TlsError};

/// What connections of TLS listeners are offered; `None` without such a listener. Tickets given out
/// by `old` stay good.
pub(super) fn acceptor(
    config: &Config,
    old: Option<&Acceptor>,
) -> Result<Option<Acceptor>, TlsError> {
    if !config.listen.iter().any(|listen| listen.tls) {
        return Ok(None);
    }
    let load = |certificate| Identity::load(certificate);
    let identities = config.certificates.iter().map(load).collect::<Result<Vec<_>, _>>()?;
    let profile = config.tls.profile;
    let acceptor = match old {
        Some(old) => old.renewed(identities, profile)?,
        None => Acceptor::new(identities, profile)?,
    };
    Ok(Some(acceptor))
}
