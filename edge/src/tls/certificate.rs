//! One certificate with its key, as configured.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::TlsError;
use crate::config::Certificate;

/// A chain, its key, and whom it is for.
#[derive(Debug)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// DNS names of the subjectAltName, wildcards as `*.example.com`.
    pub names: Vec<String>,
    /// Unix seconds after which clients refuse it.
    pub expires_unix_s: i64,
    /// The file of the chain.
    pub path: PathBuf,
    /// Whose certificates clients must show; `None`: nobody's.
    pub(super) clients: Option<Clients>,
}

/// Authorities whose clients are let in.
#[derive(Clone, Debug)]
pub struct Clients {
    pub(super) path: Arc<Path>,
    pub(super) roots: Arc<RootCertStore>,
}

impl Clients {
    /// Reads the PEM certificates at `path`.
    ///
    /// # Errors
    /// It cannot be read or holds something else.
    pub fn load(path: &Path) -> Result<Clients, TlsError> {
        Ok(Clients { path: path.into(), roots: roots(path)? })
    }
}

impl Identity {
    /// Reads the files that `config` names.
    ///
    /// # Errors
    /// A file cannot be read or holds something else, or the key is not the certificate's.
    pub fn load(config: &Certificate) -> Result<Identity, TlsError> {
        let chain = chain(&config.cert)?;
        let key = PrivateKeyDer::from_pem_file(&config.key)
            .map_err(|error| unusable(&config.key, "private key", error))?;
        let mismatch = |error: rustls::Error| TlsError::Mismatch {
            cert: config.cert.clone(),
            key: config.key.clone(),
            message: error.to_string(),
        };
        let (names, expires_unix_s) = about(&config.cert, &chain[0])?;
        let mut certified = CertifiedKey::new(chain, any_supported_type(&key).map_err(mismatch)?);
        certified.keys_match().map_err(mismatch)?;
        if let Some(path) = &config.ocsp {
            let staple = std::fs::read(path)
                .map_err(|source| TlsError::Unreadable { path: path.clone(), source })?;
            certified.ocsp = (!staple.is_empty()).then_some(staple);
        }
        let clients = config.client_ca.as_deref().map(Clients::load).transpose()?;
        let path = config.cert.clone();
        Ok(Identity { key: Arc::new(certified), names, expires_unix_s, path, clients })
    }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = "certificate";
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, what, error))?;
    let chain: Vec<_> =
        read.collect::<Result<_, _>>().map_err(|error| unusable(path, what, error))?;
    match chain.is_empty() {
        true => Err(TlsError::Empty { path: path.to_owned(), what }),
        false => Ok(chain),
    }
}

fn roots(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        roots.add(certificate).map_err(|error| malformed(path, &error))?;
    }
    Ok(Arc::new(roots))
}

/// Names and end of a certificate.
fn about(path: &Path, der: &CertificateDer<'_>) -> Result<(Vec<String>, i64), TlsError> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|error| malformed(path, &error))?;
    let alternatives =
        certificate.subject_alternative_name().map_err(|error| malformed(path, &error))?;
    let names: Vec<String> = alternatives
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect();
    let has_address = alternatives.is_some_and(|extension| {
        let is_address = |name: &GeneralName<'_>| matches!(name, GeneralName::IPAddress(_));
        extension.value.general_names.iter().any(is_address)
    });
    if names.is_empty() && !has_address {
        return Err(TlsError::Nameless { path: path.to_owned() });
    }
    Ok((names, certificate.validity().not_after.timestamp()))
}

fn unusable(path: &Path, what: &'static str, error: pem::Error) -> TlsError {
    match error {
        pem::Error::Io(source) => TlsError::Unreadable { path: path.to_owned(), source },
        pem::Error::NoItemsFound => TlsError::Empty { path: path.to_owned(), what },
        error => malformed(path, &error),
    }
}

fn malformed(path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::Malformed { path: path.to_owned(), message: error.to_string() }
}
