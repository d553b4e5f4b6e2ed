//! Counters: written by one thread each where it matters, summed when somebody asks.
#![forbid(unsafe_code)]

mod denial;
mod families;
pub mod prometheus;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam::utils::CachePadded;

pub use denial::Denial;
pub use families::{site_families, worker_families};

/// A number that only grows; any thread may add to it.
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

/// A number that only grows and that one thread alone adds to: no locked instruction. Adding from
/// two threads loses counts, nothing worse.
#[derive(Debug, Default)]
pub struct LocalCounter(AtomicU64);

impl LocalCounter {
    /// Adds `n`; only ever called by the thread that owns the counter.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The sum so far, from any thread.
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
    /// Stored, and the origin said that it still holds.
    Revalidated,
    /// Nothing was stored.
    Miss,
    /// May not be stored.
    Bypass,
    /// Answered by the node itself (errors, OPTIONS).
    Local,
}

impl Outcome {
    /// Every outcome, in index order.
    pub const ALL: [Outcome; 7] = [
        Outcome::Hit,
        Outcome::Partial,
        Outcome::Stale,
        Outcome::Revalidated,
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
            Outcome::Revalidated => "revalidated",
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
    pub conns_accepted: LocalCounter,
    /// Connections closed.
    pub conns_closed: LocalCounter,
    /// Connections turned away because the slab was full or descriptors ran out.
    pub conns_refused: LocalCounter,
    /// Connections closed at once because their client is banned, or holds too many.
    pub conns_banned: LocalCounter,
    /// Requests answered.
    pub requests: LocalCounter,
    /// Requests that were not HTTP or over a limit.
    pub requests_bad: LocalCounter,
    /// Bytes read from clients.
    pub received_bytes: LocalCounter,
    /// Bytes written to clients, heads included.
    pub sent_bytes: LocalCounter,
    /// Of those, response heads and chunk framing.
    pub sent_head_bytes: LocalCounter,
    /// Bytes on the wire that clients acknowledged, on connections that are closed.
    pub acked_bytes: LocalCounter,
    /// Bytes given to the kernel that were not acknowledged when their connection was closed.
    pub dropped_bytes: LocalCounter,
    /// Responses cut because their bytes could not be had.
    pub cuts: LocalCounter,
    /// Connections closed by a time-out.
    pub timeouts: LocalCounter,
    /// Times a connection waited for its socket.
    pub send_waits: LocalCounter,
    /// Times a connection waited for the fill plane.
    pub fill_waits: LocalCounter,
    /// Spans that were not in the page cache and were read by a kernel worker.
    pub cold_spans: LocalCounter,
    /// Times no pipe was free and `sendfile` was used.
    pub pipe_misses: LocalCounter,
    /// Connections to listeners behind a balancer that did not begin as a trusted one's do.
    pub proxy_refused: LocalCounter,
    /// TLS handshakes that came to their end.
    pub handshakes: LocalCounter,
    /// Of those, of clients that resumed a session.
    pub handshakes_resumed: LocalCounter,
    /// TLS connections that ended before that.
    pub handshakes_failed: LocalCounter,
    /// Connections whose records the kernel seals.
    pub offloaded: LocalCounter,
    /// Connections whose records are sealed by the worker.
    pub sealed_here: LocalCounter,
    /// Bytes of TLS records written to clients.
    pub sealed_bytes: LocalCounter,
    /// Connections that spoke HTTP/2.
    pub http2_conns: LocalCounter,
    /// Requests answered on them.
    pub http2_requests: LocalCounter,
    /// Of those connections, ended for what their clients sent.
    pub http2_faults: LocalCounter,
    /// Of those, ended with ENHANCE_YOUR_CALM.
    pub http2_floods: LocalCounter,
    /// Turns of the loop.
    pub turns: LocalCounter,
    /// Heap allocations made by the thread since it finished starting.
    pub allocations: LocalCounter,
    /// Pipes open (added on open, never closed before the end).
    pub pipes: LocalCounter,
}

/// The data plane's counters, one share a worker.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// In the order of the workers.
    pub workers: Arc<[Arc<CachePadded<WorkerMetrics>>]>,
}

impl Metrics {
    /// Counters for `workers` workers.
    pub fn new(workers: usize) -> Metrics {
        Metrics { workers: (0..workers).map(|_| Default::default()).collect() }
    }

    /// Connections open now, over all workers.
    pub fn conns_open(&self) -> u64 {
        // Closed first: read the other way round, it could pass what was accepted.
        let closed: u64 = self.workers.iter().map(|worker| worker.conns_closed.value()).sum();
        let accepted: u64 = self.workers.iter().map(|worker| worker.conns_accepted.value()).sum();
        accepted.saturating_sub(closed)
    }
}

/// What one worker counts for one site. Only that worker's thread writes.
#[derive(Debug, Default)]
pub struct SiteShard {
    /// Requests by [`Outcome`].
    pub requests: [LocalCounter; Outcome::ALL.len()],
    /// Bytes sent, heads included, by [`Outcome`].
    pub sent_bytes: [LocalCounter; Outcome::ALL.len()],
    /// Responses by first digit of the status (index 0 is unused).
    pub statuses: [LocalCounter; 6],
    /// Bytes that never arrived, of connections whose last request was for the site.
    pub dropped_bytes: LocalCounter,
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
    /// Fills and requests that had to wait for their turn at the origin.
    pub queued: Counter,
    /// Of those, who wait no more; less `queued`: waiting now.
    pub dequeued: Counter,
    /// Of those, who waited too long.
    pub queue_timeouts: Counter,
    /// Time all of them waited, ms.
    pub queue_ms: Counter,
}

/// One site's counters.
#[derive(Debug)]
pub struct SiteMetrics {
    shards: Box<[CachePadded<SiteShard>]>,
    /// The fill plane's share.
    pub fill: SiteFill,
    /// Requests turned away, by [`Denial`].
    pub denied: [Counter; Denial::ALL.len()],
}

impl SiteMetrics {
    /// Counters for `workers` workers.
    pub fn new(workers: usize) -> SiteMetrics {
        SiteMetrics {
            shards: (0..workers).map(|_| Default::default()).collect(),
            fill: SiteFill::default(),
            denied: Default::default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_count() {
        let metrics = Metrics::new(2);
        metrics.workers[0].conns_accepted.add(3);
        metrics.workers[1].conns_accepted.add(2);
        metrics.workers[1].conns_closed.add(1);
        assert_eq!(metrics.conns_open(), 4);
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| counter.add(1)));
            }
        });
        assert_eq!(counter.value(), 4000);
    }

    #[test]
    fn outcomes_index_themselves() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index, "{}", outcome.as_str());
        }
    }
}
