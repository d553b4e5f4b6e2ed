//! TLS for clients: certificates, the choice among them, and one connection's records.
//!
//! No sockets here: [`Stream`] is shown received bytes and says which to send; the worker moves them.
//! Everything of the protocol is rustls's; what is ours is which certificate, which settings, and how
//! much is sealed at a time.
#![forbid(unsafe_code)]

mod acceptor;
mod certificate;
mod error;
mod names;
mod stream;
#[cfg(test)]
mod tests;

pub use acceptor::Acceptor;
pub use certificate::Identity;
pub use error::{TlsError, TlsFault};
pub use stream::Stream;
