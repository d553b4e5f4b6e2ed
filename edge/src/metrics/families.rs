//! The planes' counters as families of samples.

use super::WorkerMetrics;
use super::prometheus::{Family, Kind, counter, gauge};
use super::{Counter, Denial, LocalCounter, Metrics, Outcome, SiteFill, SiteMetrics, SiteShard};

type WorkerField = (&'static str, &'static str, fn(&WorkerMetrics) -> &LocalCounter);
type FillField = (&'static str, &'static str, fn(&SiteFill) -> &Counter);
type OutcomeField =
    (&'static str, &'static str, fn(&SiteShard) -> &[LocalCounter; Outcome::ALL.len()]);

/// Summed over workers.
const WORKER_FIELDS: [WorkerField; 28] = [
    ("edge_conns_accepted_total", "Connections accepted.", |w| &w.conns_accepted),
    ("edge_conns_closed_total", "Connections closed.", |w| &w.conns_closed),
    ("edge_conns_refused_total", "Connections turned away because the node was full.", |w| {
        &w.conns_refused
    }),
    (
        "edge_conns_banned_total",
        "Connections closed at once because their client is banned, or holds too many.",
        |w| &w.conns_banned,
    ),
    ("edge_requests_total", "Requests answered.", |w| &w.requests),
    ("edge_requests_bad_total", "Requests that were not HTTP or over a limit.", |w| {
        &w.requests_bad
    }),
    ("edge_received_bytes_total", "Bytes read from clients, heads included.", |w| {
        &w.received_bytes
    }),
    ("edge_sent_bytes_total", "Bytes written to clients, heads included.", |w| &w.sent_bytes),
    (
        "edge_sent_head_bytes_total",
        "Of edge_sent_bytes_total: response heads and chunk framing.",
        |w| &w.sent_head_bytes,
    ),
    (
        "edge_acked_bytes_total",
        "Bytes on the wire that clients acknowledged, on connections that are closed.",
        |w| &w.acked_bytes,
    ),
    (
        "edge_dropped_bytes_total",
        "Bytes on the wire that were not acknowledged when their connection was closed.",
        |w| &w.dropped_bytes,
    ),
    ("edge_cuts_total", "Responses cut because their bytes could not be had.", |w| &w.cuts),
    ("edge_timeouts_total", "Connections closed by a time-out.", |w| &w.timeouts),
    ("edge_send_waits_total", "Times a connection waited for its socket.", |w| &w.send_waits),
    ("edge_fill_waits_total", "Times a connection waited for the fill plane.", |w| &w.fill_waits),
    ("edge_cold_spans_total", "Spans that were not in the page cache and were read aside.", |w| {
        &w.cold_spans
    }),
    ("edge_pipe_misses_total", "Times no pipe was free and sendfile was used.", |w| &w.pipe_misses),
    (
        "edge_proxy_refused_total",
        "Connections closed for want of a good PROXY header from a trusted balancer.",
        |w| &w.proxy_refused,
    ),
    ("edge_tls_handshakes_total", "TLS handshakes that came to their end.", |w| &w.handshakes),
    ("edge_tls_resumptions_total", "Of edge_tls_handshakes_total: of a session before.", |w| {
        &w.handshakes_resumed
    }),
    ("edge_tls_handshake_failures_total", "TLS connections that ended in the handshake.", |w| {
        &w.handshakes_failed
    }),
    ("edge_tls_sent_bytes_total", "Bytes of TLS records that the workers sealed and wrote.", |w| {
        &w.sealed_bytes
    }),
    ("edge_http2_connections_total", "Connections that spoke HTTP/2.", |w| &w.http2_conns),
    ("edge_http2_requests_total", "Requests answered over HTTP/2.", |w| &w.http2_requests),
    ("edge_http2_faults_total", "HTTP/2 connections ended for what their clients sent.", |w| {
        &w.http2_faults
    }),
    ("edge_http2_floods_total", "Of edge_http2_faults_total: with ENHANCE_YOUR_CALM.", |w| {
        &w.http2_floods
    }),
    ("edge_worker_turns_total", "Turns of the workers' loops.", |w| &w.turns),
    (
        "edge_worker_allocations_total",
        "Heap allocations of the workers since they finished starting.",
        |w| &w.allocations,
    ),
];

const OUTCOME_FIELDS: [OutcomeField; 2] = [
    ("edge_site_requests_total", "Requests by how they were answered.", |s| &s.requests),
    (
        "edge_site_sent_bytes_total",
        "Bytes sent to clients, heads included, by how they were answered.",
        |s| &s.sent_bytes,
    ),
];

const FILL_FIELDS: [FillField; 7] = [
    ("edge_origin_requests_total", "Requests sent to the origin.", |f| &f.origin_requests),
    ("edge_origin_bytes_total", "Body bytes received from the origin, heads not included.", |f| {
        &f.origin_bytes
    }),
    (
        "edge_origin_wasted_bytes_total",
        "Of edge_origin_bytes_total: bytes that were neither kept nor sent to anybody.",
        |f| &f.wasted_bytes,
    ),
    ("edge_origin_errors_total", "Requests to the origin that failed.", |f| &f.origin_errors),
    ("edge_origin_queued_total", "Times a turn at the origin was waited for.", |f| &f.queued),
    ("edge_origin_queue_timeouts_total", "Of those, times it did not come in time.", |f| {
        &f.queue_timeouts
    }),
    ("edge_origin_queue_wait_ms_total", "Time waited for turns, ms.", |f| &f.queue_ms),
];

/// Writes the data plane's families, summed over its workers.
pub fn worker_families(out: &mut String, metrics: &Metrics) {
    for (name, help, field) in WORKER_FIELDS {
        let sum = metrics.workers.iter().map(|worker| field(worker).value()).sum();
        counter(out, name, help, sum);
    }
    let pipes = metrics.workers.iter().map(|worker| worker.pipes.value()).sum();
    let mut offload = Family::begin(
        out,
        "edge_tls_offload_total",
        Kind::Counter,
        "TLS connections by who seals their records: the kernel (TlsTxSw of /proc/net/tls_stat), or the worker.",
    );
    let sum = |field: fn(&WorkerMetrics) -> &LocalCounter| -> u64 {
        metrics.workers.iter().map(|worker| field(worker).value()).sum()
    };
    offload.sample(&[("mode", "kernel")], sum(|w| &w.offloaded));
    offload.sample(&[("mode", "user")], sum(|w| &w.sealed_here));
    gauge(out, "edge_pipes", "Pipes open.", pipes);
    gauge(out, "edge_conns", "Connections open.", metrics.conns_open());
    gauge(out, "edge_workers", "Data-plane threads.", metrics.workers.len() as u64);
}

/// Writes every site's families; `sites` are names and counters.
pub fn site_families(out: &mut String, sites: &[(&str, &SiteMetrics)]) {
    for (name, help, field) in OUTCOME_FIELDS {
        let mut family = Family::begin(out, name, Kind::Counter, help);
        for (site, metrics) in sites {
            for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
                let sum = metrics.shards().map(|shard| field(shard)[index].value()).sum();
                family.sample(&[("site", site), ("outcome", outcome.as_str())], sum);
            }
        }
    }
    let help = "Responses by class of their status.";
    let mut family = Family::begin(out, "edge_site_responses_total", Kind::Counter, help);
    for (site, metrics) in sites {
        for (class, label) in [(1, "1xx"), (2, "2xx"), (3, "3xx"), (4, "4xx"), (5, "5xx")] {
            let sum = metrics.shards().map(|shard| shard.statuses[class].value()).sum();
            family.sample(&[("site", site), ("class", label)], sum);
        }
    }
    let help = "Requests that a site's own rules turned away, by reason.";
    let mut family = Family::begin(out, "edge_site_denied_total", Kind::Counter, help);
    for (site, metrics) in sites {
        for denial in Denial::ALL {
            let count = metrics.denied[denial as usize].value();
            // Most sites deny nothing: what never happened is left out.
            if count > 0 {
                family.sample(&[("site", site), ("reason", denial.as_str())], count);
            }
        }
    }
    let name = "edge_site_dropped_bytes_total";
    let help = "Bytes that never arrived, of connections whose last request was for the site.";
    let mut family = Family::begin(out, name, Kind::Counter, help);
    for (site, metrics) in sites {
        let sum = metrics.shards().map(|shard| shard.dropped_bytes.value()).sum();
        family.sample(&[("site", site)], sum);
    }
    for (name, help, field) in FILL_FIELDS {
        let mut family = Family::begin(out, name, Kind::Counter, help);
        for (site, metrics) in sites {
            family.sample(&[("site", site)], field(&metrics.fill).value());
        }
    }
    let help = "Fills and requests that wait for their turn at the origin now.";
    let mut family = Family::begin(out, "edge_origin_queue", Kind::Gauge, help);
    for (site, metrics) in sites {
        let left = metrics.fill.dequeued.value();
        family.sample(&[("site", site)], metrics.fill.queued.value().saturating_sub(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_summed() {
        let metrics = Metrics::new(2);
        metrics.workers[0].sent_bytes.add(100);
        metrics.workers[1].sent_bytes.add(23);
        metrics.workers[0].conns_accepted.add(2);
        metrics.workers[1].conns_closed.add(1);
        let mut out = String::new();
        worker_families(&mut out, &metrics);
        for line in ["edge_sent_bytes_total 123", "edge_conns 1", "edge_workers 2", "edge_pipes 0"]
        {
            assert!(out.lines().any(|have| have == line), "{line} is not in {out}");
        }
    }

    #[test]
    fn sites_are_labelled_and_families_stay_together() {
        let (one, two) = (SiteMetrics::new(2), SiteMetrics::new(2));
        one.shard(0).requests[Outcome::Hit as usize].add(1);
        one.shard(1).requests[Outcome::Hit as usize].add(2);
        two.shard(1).statuses[4].add(7);
        two.fill.origin_bytes.add(9);
        two.denied[Denial::Referer as usize].add(3);
        let mut out = String::new();
        site_families(&mut out, &[("a.example", &one), ("*", &two)]);
        for line in [
            "edge_site_requests_total{site=\"a.example\",outcome=\"hit\"} 3",
            "edge_site_responses_total{site=\"*\",class=\"4xx\"} 7",
            "edge_origin_bytes_total{site=\"*\"} 9",
            "edge_site_denied_total{site=\"*\",reason=\"referer\"} 3",
        ] {
            assert!(out.lines().any(|have| have == line), "{line} is not in {out}");
        }
        let mut families: Vec<&str> = out
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split('{').next())
            .collect();
        families.dedup();
        assert_eq!(families.len(), OUTCOME_FIELDS.len() + 3 + FILL_FIELDS.len() + 1);
    }
}
