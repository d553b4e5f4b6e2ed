//! The access log: one line a request, written by a thread of its own.
//!
//! A worker formats into a buffer it holds ([`AccessSink`]); full or old buffers go to the writer
//! through a bounded queue, empty ones come back through another. Whatever the disk does, a worker
//! neither waits nor allocates: when no buffer is free, lines are dropped and counted.
#![forbid(unsafe_code)]

mod access;
mod format;
mod line;
mod time;
mod writer;

use std::net::SocketAddr;

use crate::metrics::Outcome;

pub use access::{AccessLog, AccessSink};
pub use time::Civil;

/// What is known of one answered request.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'r> {
    /// End of the response, ms since the Unix epoch.
    pub unix_ms: u64,
    /// Who asked.
    pub client: SocketAddr,
    /// Name of the site; `-` when none was found.
    pub site: &'r str,
    /// As sent.
    pub method: &'r str,
    /// As sent, without port.
    pub host: &'r str,
    /// Path and query as sent.
    pub target: &'r str,
    /// `HTTP/1.1`.
    pub version: &'r str,
    /// Status of the response.
    pub status: u16,
    /// Bytes sent, head and framing included.
    pub sent_bytes: u64,
    /// Of those, bytes of the body.
    pub body_bytes: u64,
    /// How it was answered.
    pub outcome: Outcome,
    /// Why it failed or was cut; `-` when it was not.
    pub reason: &'r str,
    /// From the request's first byte to the response's last, µs.
    pub duration_us: u64,
    /// From the request's first byte to the response's first, µs.
    pub first_byte_us: u64,
    /// The `Range` field.
    pub range: Option<&'r str>,
    /// The `Referer` field.
    pub referer: Option<&'r [u8]>,
    /// The `User-Agent` field.
    pub user_agent: Option<&'r [u8]>,
    /// Which request of its connection this was, from 1.
    pub requests_on_conn: u32,
}
