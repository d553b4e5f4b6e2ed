//! HTTP/2 as bytes and as meaning (RFC 9113, RFC 7541, RFC 9218), without a socket or a clock.
//!
//! [`Connection`] reads frames and keeps what both sides owe each other: stream states, windows,
//! compression tables, limits. Requests leave it as heads and bodies in HTTP/1.1's form, so that one
//! parser and one set of rules decide about both protocols; answers come back as such heads.
#![forbid(unsafe_code)]

mod answer;
mod connection;
mod flood;
mod frame;
pub mod hpack;
mod priority;
mod request;

pub use connection::{Connection, Events, FAIR_FRAME_BYTES};
pub use frame::{END_STREAM, HEADER_BYTES as FRAME_HEADER_BYTES};
pub use priority::Priority;

/// What a client begins with (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Error codes (RFC 9113 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are RFC 9113 §7's")]
pub enum Code {
    NoError = 0,
    Protocol = 1,
    Internal = 2,
    FlowControl = 3,
    StreamClosed = 5,
    FrameSize = 6,
    RefusedStream = 7,
    Cancel = 8,
    Compression = 9,
    EnhanceYourCalm = 11,
}

/// Why a connection ends: the code its client is told, and a stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What GOAWAY says.
    pub code: Code,
    /// Log field and debug data.
    pub reason: &'static str,
}

impl Fault {
    const fn new(code: Code, reason: &'static str) -> Fault {
        Fault { code, reason }
    }
}
