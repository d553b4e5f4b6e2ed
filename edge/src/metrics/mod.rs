//! Counters: written by one thread each where it matters, summed when somebody asks.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The sum so far.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How a request was answered; `as_str` is log field and metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was stored.
    Hit,
    /// Some of it was stored.
    Partial,
    /// Stored but expired, and used.
    Stale,
    /// Nothing was stored.
    Miss,
    /// May not be stored.
    Bypass,
    /// Answered by the node itself (errors, OPTIONS).
    Local,
}

impl Outcome {
    /// Every outcome, in index order.
    pub const ALL: [Outcome; 6] = [
        Outcome::Hit,
        Outcome::Partial,
        Outcome::Stale,
        Outcome::Miss,
        Outcome::Bypass,
        Outcome::Local,
    ];

    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Partial => "partial",
            Outcome::Stale => "stale",
            Outcome::Miss => "miss",
            Outcome::Bypass => "bypass",
            Outcome::Local => "local",
        }
    }
}

/// What one data-plane worker counts. Only its thread writes.
#[derive(Debug, Default)]
pub struct WorkerMetrics {
    /// Connections accepted.
    pub conns_accepted: Counter,
    /// Connections closed.
    pub conns_closed: Counter,
    /// Connections turned away because the slab was full or descriptors ran out.
    pub conns_refused: Counter,
    /// Requests answered.
    pub requests: Counter,
    /// Requests that were not HTTP or over a limit.
    pub requests_bad: Counter,
    /// Bytes read from clients.
    pub received_bytes: Counter,
    /// Bytes written to clients, heads included.
    pub sent_bytes: Counter,
    /// Of those, response heads and chunk framing.
    pub sent_head_bytes: Counter,
    /// Responses cut because their bytes could not be had.
    pub cuts: Counter,
    /// Connections closed by a time-out.
    pub timeouts: Counter,
    /// Times a connection waited for its socket.
    pub send_waits: Counter,
    /// Times a connection waited for the fill plane.
    pub fill_waits: Counter,
    /// Spans that were not in the page cache and were read by a kernel worker.
    pub cold_spans: Counter,
    /// Times no pipe was free and `sendfile` was used.
    pub pipe_misses: Counter,
    /// Turns of the loop.
    pub turns: Counter,
    /// Heap allocations made by the thread since it finished starting.
    pub allocations: Counter,
    /// Pipes open (added on open, never closed before the end).
    pub pipes: Counter,
}

/// What one worker counts for one site. Only that worker's thread writes.
#[derive(Debug, Default)]
pub struct SiteShard {
    /// Requests by [`Outcome`].
    pub requests: [Counter; Outcome::ALL.len()],
    /// Bytes sent, heads included, by [`Outcome`].
    pub sent_bytes: [Counter; Outcome::ALL.len()],
    /// Responses by first digit of the status (index 0 is unused).
    pub statuses: [Counter; 6],
}

/// What the fill plane counts for one site.
#[derive(Debug, Default)]
pub struct SiteFill {
    /// Requests sent to the origin.
    pub origin_requests: Counter,
    /// Body bytes received from the origin.
    pub origin_bytes: Counter,
    /// Of those, bytes that could not be kept and went to nobody.
    pub wasted_bytes: Counter,
    /// Requests to the origin that failed.
    pub origin_errors: Counter,
}

/// One site's counters.
#[derive(Debug)]
pub struct SiteMetrics {
    shards: Box<[crossbeam::utils::CachePadded<SiteShard>]>,
    /// The fill plane's share.
    pub fill: SiteFill,
}

impl SiteMetrics {
    /// Counters for `workers` workers.
    pub fn new(workers: usize) -> SiteMetrics {
        SiteMetrics {
            shards: (0..workers).map(|_| Default::default()).collect(),
            fill: SiteFill::default(),
        }
    }

    /// The counters that worker `worker` writes.
    pub fn shard(&self, worker: usize) -> &SiteShard {
        &self.shards[worker]
    }

    /// Every worker's counters.
    pub fn shards(&self) -> impl Iterator<Item = &SiteShard> {
        self.shards.iter().map(|shard| &**shard)
    }
}
