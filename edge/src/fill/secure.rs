//! TLS towards origins: whom a site believes, and what is wrong with a certificate, in words.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::OriginTls;

/// Why an origin's settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// A file is not there, may not be read, or holds something else.
    #[error("{path}: {message}; name a PEM file that the node may read")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Nobody could be believed.
    #[error(
        "the host has no certificates of authorities; install ca-certificates, or set origin_tls.ca"
    )]
    NoRoots,
    /// The library refuses the settings.
    #[error("origin_tls: {0}")]
    Library(#[from] Error),
}

/// Client settings by what a site says; two sites that say the same share them, and their sessions.
#[derive(Default)]
pub struct Clients {
    known: HashMap<(OriginTls, bool), Arc<ClientConfig>>,
    host_roots: Option<Arc<RootCertStore>>,
}

impl Clients {
    /// The settings for `tls`; with HTTP/2 where an origin offers it, if `http2`. Reads files.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn of(&mut self, tls: &OriginTls, http2: bool) -> Result<Arc<ClientConfig>, OriginError> {
        // The name asked for stands beside the settings.
        let key = (OriginTls { sni: None, ..tls.clone() }, http2);
        if let Some(config) = self.known.get(&key) {
            return Ok(config.clone());
        }
        let config = Arc::new(self.read(tls, http2)?);
        self.known.insert(key, config.clone());
        Ok(config)
    }

    fn read(&mut self, tls: &OriginTls, http2: bool) -> Result<ClientConfig, OriginError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = match tls.verify {
            false => None,
            true => {
                let roots = match &tls.ca {
                    Some(path) => Arc::new(roots_of(path)?),
                    None => self.host_roots()?,
                };
                let builder = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
                Some(builder.build().map_err(|error| Error::General(error.to_string()))?)
            }
        };
        let verifier =
            Arc::new(Verifier { chain, pins: tls.pins.clone(), provider: provider.clone() });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &tls.client {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let parsed = PrivateKeyDer::from_pem_file(key).map_err(|e| unusable(key, &e))?;
                builder.with_client_auth_cert(chain_of(cert)?, parsed)?
            }
        };
        config.alpn_protocols = match http2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        Ok(config)
    }

    fn host_roots(&mut self) -> Result<Arc<RootCertStore>, OriginError> {
        if let Some(roots) = &self.host_roots {
            return Ok(roots.clone());
        }
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(OriginError::NoRoots);
        }
        Ok(self.host_roots.insert(Arc::new(roots)).clone())
    }
}

fn chain_of(path: &Path) -> Result<Vec<CertificateDer<'static>>, OriginError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, &error))?;
    let chain: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| unusable(path, &error))?;
    match chain.is_empty() {
        true => Err(unusable(path, &"no certificate in it")),
        false => Ok(chain),
    }
}

fn roots_of(path: &Path) -> Result<RootCertStore, OriginError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain_of(path)? {
        roots.add(certificate).map_err(|error| unusable(path, &error))?;
    }
    Ok(roots)
}

fn unusable(path: &Path, error: &dyn fmt::Display) -> OriginError {
    OriginError::File { path: path.to_owned(), message: error.to_string() }
}

/// The chain as the library checks it, then the key of the server's own certificate: who shows a
/// pinned certificate beside his own is not believed for it.
#[derive(Debug)]
struct Verifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    pins: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

/// A key that is not pinned.
#[derive(Debug, thiserror::Error)]
#[error("its public key is sha256/{0}, which is none of origin_tls.pin")]
struct NotPinned(String);

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_server_cert(own, others, name, ocsp, now)?;
        }
        if !self.pins.is_empty() {
            let (_, parsed) = X509Certificate::from_der(own)
                .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
            let digest: [u8; 32] = Sha256::digest(parsed.tbs_certificate.subject_pki.raw).into();
            if !self.pins.contains(&digest) {
                use base64::Engine;
                let shown = base64::engine::general_purpose::STANDARD.encode(digest);
                let other = rustls::OtherError(Arc::new(NotPinned(shown)));
                return Err(Error::InvalidCertificate(CertificateError::Other(other)));
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What went wrong in a handshake with `name`, and the cure.
pub fn explain(error: &io::Error, name: &ServerName<'_>) -> String {
    let name = name.to_str();
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return format!("TLS handshake broken off: {error}");
    };
    match error {
        Error::InvalidCertificate(why) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "certificate expired; the origin must renew it".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "certificate not valid yet; compare the clocks".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("certificate is not for {name}; set origin_tls.sni to a name it has")
            }
            CertificateError::UnknownIssuer => {
                "certificate of an unknown authority; set origin_tls.ca to its PEM file".to_owned()
            }
            CertificateError::Other(other) => format!("certificate not taken: {other}"),
            other => format!("certificate not taken: {other:?}"),
        },
        Error::InvalidMessage(_) => "does not speak TLS; write http:// if that is meant".to_owned(),
        other => format!("TLS handshake failed: {other}"),
    }
}
