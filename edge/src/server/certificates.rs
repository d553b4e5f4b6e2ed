//! The certificates of TLS listeners, read from their files.

use crate::config::Config;
use crate::tls::{Acceptor, Clients, Identity, Offered, TlsError};

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
    let guarded = config.sites.iter().filter_map(|site| {
        let path = site.https.client_ca.as_deref()?;
        Some(Clients::load(path).map(|clients| (site.hosts.clone(), clients)))
    });
    let offered = Offered { identities, guarded: guarded.collect::<Result<_, _>>()? };
    let acceptor = match old {
        Some(old) => old.renewed(offered, config.tls)?,
        None => Acceptor::new(offered, config.tls)?,
    };
    if old.is_none() && config.tls.offload {
        let suites = acceptor.kernel().suites();
        tracing::info!(suites, of = 6, "kernel TLS: suites that the kernel seals");
    }
    Ok(Some(acceptor))
}
