//! The end of an exchange: counters and the log line.

use crate::clock::Now;
use crate::log::AccessSink;
use crate::metrics::WorkerMetrics;
use crate::session::Session;

/// Counts and logs a finished exchange.
pub(super) fn finish(
    worker: usize,
    metrics: &WorkerMetrics,
    sink: &mut AccessSink,
    session: &Session,
    now: Now,
) {
    let record = session.record(now);
    metrics.requests.add(1);
    metrics.sent_head_bytes.add(record.sent_bytes - record.body_bytes);
    if session.was_cut() {
        metrics.cuts.add(1);
    }
    match session.site() {
        Some(site) => {
            let shard = site.metrics.shard(worker);
            shard.requests[record.outcome as usize].add(1);
            shard.sent_bytes[record.outcome as usize].add(record.sent_bytes);
            shard.statuses[usize::from(record.status / 100).min(5)].add(1);
        }
        None => metrics.requests_bad.add(1),
    }
    sink.write(&record);
}
