//! Where a session is in its life.
//!
//! ```text
//!            ┌──────────────── next request on the connection ────────────────┐
//!            ▼                                                                │
//!   Head ──► Draining ──► Opening ──► Answering ──► Finished ──► (keep-alive?)┤
//!     │  (body to drop)  (not in    (head, then     (to be                    │
//!     │                   memory)    body)           logged)                  ▼
//!     └─────────────────────── bad head: Answering, then close ────────► Lingering ──► Closed
//! ```

use std::sync::Arc;

use crate::cache::Ticket;
use crate::http::chunked::Decoder;

/// One state; `as_str` is for logs and `status`.
pub(super) enum Step {
    /// Reading a request head.
    Head,
    /// Reading a request body that nobody wants.
    Draining(Drain),
    /// The site's own service is asked whether the request is let in.
    Asking(Arc<Ticket>),
    /// The fill plane is looking for the object.
    Opening(Arc<Ticket>),
    /// The answer is going out.
    Answering,
    /// The origin has ended its half of a tunnel, our side is shut; the client goes on.
    HalfOpen,
    /// The answer is out (or broken off); the driver writes the log line.
    Finished,
    /// The last answer is out and our side is shut; what the client still sends is thrown away, so
    /// that a reset does not destroy the answer on its way.
    Lingering,
    /// Nothing more will happen.
    Closed,
}

/// A request body on its way to nowhere.
pub(super) enum Drain {
    /// This many bytes are left.
    Length(u64),
    /// Chunks; `dropped` data bytes so far.
    Chunked { decoder: Decoder, dropped: u64 },
}

impl Step {
    /// Stable name.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Step::Head => "head",
            Step::Draining(_) => "draining",
            Step::Asking(_) => "asking",
            Step::Opening(_) => "opening",
            Step::Answering => "answering",
            Step::HalfOpen => "half_open",
            Step::Finished => "finished",
            Step::Lingering => "lingering",
            Step::Closed => "closed",
        }
    }
}
