//! The PROXY protocol, versions 1 and 2: a balancer's word about whose connection it passes on.
//!
//! As in "The PROXY protocol, versions 1 & 2" of HAProxy (proxy-protocol.txt, 2020). It stands before
//! everything else, TLS included. Sans-io: shown the first bytes of a connection, [`parse`] tells who
//! the client is and how many bytes that took. A header is believed whole or not at all.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;
mod v1;
mod v2;

use std::net::SocketAddr;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header.
    Partial,
    /// A whole header.
    Header {
        /// Its length, bytes.
        len: usize,
        /// The client; `None`: the connection is the balancer's own, or it does not say.
        client: Option<SocketAddr>,
    },
}

/// Why the first bytes of a connection are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    /// It begins otherwise: a client, not a balancer.
    #[error("no PROXY header; turn it on at the balancer, or proxy_protocol off here")]
    Absent,
    /// It is not written as it must be.
    #[error("a PROXY header that is malformed")]
    Malformed,
    /// It is longer than any balancer makes it.
    #[error("a PROXY header of {got} bytes, the most is {max}")]
    Large {
        /// As it says itself.
        got: usize,
        /// The ceiling.
        max: usize,
    },
    /// Its bytes were changed on the way.
    #[error("a PROXY header whose checksum is wrong")]
    Checksum,
    /// It is about something that no TCP connection is.
    #[error("a PROXY header about something else than a TCP connection")]
    Foreign,
}

impl ProxyFault {
    /// Log field and metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            ProxyFault::Absent => "absent",
            ProxyFault::Malformed => "malformed",
            ProxyFault::Large { .. } => "large",
            ProxyFault::Checksum => "checksum",
            ProxyFault::Foreign => "foreign",
        }
    }
}

/// Reads the header that `bytes` begin with.
///
/// # Errors
/// They begin with none that is believed.
pub fn parse(bytes: &[u8]) -> Result<Parsed, ProxyFault> {
    let begins = |with: &[u8]| {
        let len = with.len().min(bytes.len());
        bytes[..len] == with[..len]
    };
    match (begins(v1::SIGNATURE), begins(v2::SIGNATURE)) {
        (true, _) => v1::parse(bytes),
        (_, true) => v2::parse(bytes),
        _ => Err(ProxyFault::Absent),
    }
}
