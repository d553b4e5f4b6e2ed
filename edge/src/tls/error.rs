//! What may be wrong with certificates, and with clients.

use std::path::PathBuf;

use rustls::{AlertDescription, Error};

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or may not be read.
    #[error("{path}: {source}; name a PEM file that the node may read")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file without what it was named for.
    #[error("{path}: no {what} in it; it must be PEM, with -----BEGIN … lines")]
    Empty {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// A file that is damaged, or holds something else.
    #[error("{path}: {message}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The key is another certificate's.
    #[error("{key} is not the key of {cert}: {message}")]
    Mismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// As the library says it.
        message: String,
    },
    /// A certificate that no host name leads to.
    #[error("{path}: the certificate names no host; it needs a subjectAltName with DNS names")]
    Nameless {
        /// Which.
        path: PathBuf,
    },
    /// TLS listeners without a certificate.
    #[error("no certificate; add a [[certificate]] with cert and key")]
    None,
    /// The library refuses the settings.
    #[error("tls: {0}")]
    Library(#[from] Error),
}

/// Why a client's connection ended in the handshake or in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// It does not speak TLS.
    NotTls,
    /// No version, suite or protocol in common.
    NothingInCommon,
    /// It did not show a certificate that is trusted, where one is asked for.
    ClientCertificate,
    /// It does not trust ours, or gave up for another reason of its own.
    Alert,
    /// Everything else: malformed, out of order, tampered with.
    Broken,
}

impl TlsFault {
    /// Log field and metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            TlsFault::NotTls => "not_tls",
            TlsFault::NothingInCommon => "nothing_in_common",
            TlsFault::ClientCertificate => "client_certificate",
            TlsFault::Alert => "alert",
            TlsFault::Broken => "broken",
        }
    }
}

impl From<&Error> for TlsFault {
    fn from(error: &Error) -> TlsFault {
        match error {
            Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => TlsFault::NotTls,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => TlsFault::NothingInCommon,
            Error::NoCertificatesPresented | Error::InvalidCertificate(_) => {
                TlsFault::ClientCertificate
            }
            Error::AlertReceived(AlertDescription::CloseNotify) | Error::AlertReceived(_) => {
                TlsFault::Alert
            }
            _ => TlsFault::Broken,
        }
    }
}
