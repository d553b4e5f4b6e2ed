//! `[tls]`, `[[certificate]]`, and who wants them.

use std::path::Path;

use super::keys;
use super::raw::{Entry, Section};
use super::resolve::path;
use super::resolved::{Certificate, Tls, TlsProfile};

/// Settings of all TLS listeners.
pub(super) fn tls(section: &Section<'_>) -> Tls {
    let profiles = [("modern", TlsProfile::Modern), ("intermediate", TlsProfile::Intermediate)];
    let profile = section.entry("profile").and_then(|entry| entry.choice(&profiles));
    let offload =
        section.entry("offload").and_then(|entry| entry.choice(&[("auto", true), ("off", false)]));
    Tls { profile: profile.unwrap_or_default(), offload: offload.unwrap_or(true) }
}

/// Whether a listener speaks TLS; it then needs a certificate.
pub(super) fn is_wanted(entry: &Entry<'_>, root: &Section<'_>) -> bool {
    let wanted = entry.flag() == Some(true);
    if wanted && root.entry("certificate").is_none() {
        entry.refuse("a TLS listener needs a [[certificate]] with cert and key");
    }
    wanted
}

/// All certificates, in the order of the file.
pub(super) fn certificates(root: &Section<'_>, directory: &Path) -> Vec<Certificate> {
    let file = |section: &Section<'_>, key, cure| path(section.required(key, cure)?, directory);
    let optional = |section: &Section<'_>, key| path(section.entry(key)?, directory);
    let certificate = |section: &Section<'_>| {
        let cert = file(section, "cert", "name the PEM file of the chain");
        let key = file(section, "key", "name the PEM file of the key");
        let (ocsp, client_ca) = (optional(section, "ocsp"), optional(section, "client_ca"));
        Some(Certificate { cert: cert?, key: key?, ocsp, client_ca })
    };
    root.sections("certificate", &keys::CERTIFICATE).iter().filter_map(certificate).collect()
}
