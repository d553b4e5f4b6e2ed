//! TLS for clients: certificates, the choice among them, and one connection's records.
//!
//! No sockets here: [`Stream`] is shown received bytes and says which to send; the worker moves them.
//! The handshake is rustls's; what is ours is which certificate, which settings, and, once keys are
//! agreed on, the protection of records: by the kernel where it can, else in the buffer that a file's
//! bytes were read into.
#![forbid(unsafe_code)]

mod acceptor;
mod admission;
mod certificate;
mod error;
mod handshake;
mod names;
mod open;
mod outgoing;
mod records;
mod stream;
#[cfg(test)]
mod tests;

pub use acceptor::{Acceptor, Offered};
pub use admission::Admission;
pub use certificate::{Clients, Identity};
pub use error::{TlsError, TlsFault};
pub use open::Control;
pub use stream::Stream;
