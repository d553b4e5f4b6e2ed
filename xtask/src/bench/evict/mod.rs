//! `cargo xtask bench evict`: what share of requests and bytes each way of evicting serves.
//!
//! No server runs. `edge` is the store's own policy ([`edge::cache::eviction`]) over regions that have
//! no bytes; it pays for its headers, its half-full and its free regions. The others are given the
//! cache's size to the byte. All see the same records: objects are cut into slices.

mod caches;
mod regions;
mod trace;

pub use trace::zipf;

use std::path::Path;

use anyhow::{Result, ensure};
use caches::{Cache, Queue, Sieve, TwoQueues};
use regions::Regions;
use trace::{Trace, mix};

use super::report::{Table, number};

const SLICE_BYTES: u64 = 1 << 20;
const REGION_BYTES: u64 = 16 << 20;
/// Cache sizes, parts of the bytes of all objects that are asked for more than once.
const SHARES: [f64; 4] = [0.01, 0.03, 0.10, 0.30];
/// Points that `edge` is to be better than LRU by where LRU is weak.
const LEAD_POINTS: f64 = 5.0;

/// What came of a trace.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    requests: u64,
    hits: u64,
    bytes: u64,
    hit_bytes: u64,
    moved_bytes: u64,
    inserted_bytes: u64,
}

impl Outcome {
    fn hits_percent(&self) -> f64 {
        self.hits as f64 * 100.0 / self.requests.max(1) as f64
    }

    fn bytes_percent(&self) -> f64 {
        self.hit_bytes as f64 * 100.0 / self.bytes.max(1) as f64
    }

    fn written(&self) -> f64 {
        (self.inserted_bytes + self.moved_bytes) as f64 / self.inserted_bytes.max(1) as f64
    }
}

const NAMES: [&str; 5] = ["edge", "lru", "fifo", "sieve", "2q"];

fn make(name: &str, size_bytes: u64) -> Box<dyn Cache> {
    match name {
        "edge" => Box::new(Regions::new(size_bytes, REGION_BYTES)),
        "fifo" => Box::new(Queue::fifo(size_bytes)),
        "sieve" => Box::new(Sieve::new(size_bytes)),
        "2q" => Box::new(TwoQueues::new(size_bytes)),
        _ => Box::new(Queue::lru(size_bytes)),
    }
}

/// Runs a trace; counts from `warm` requests on.
fn run(trace: &Trace, cache: &mut dyn Cache, warm: usize) -> Outcome {
    let mut outcome = Outcome::default();
    for (at, request) in trace.requests.iter().enumerate() {
        let mut found_bytes = 0;
        for slice in 0..request.size_bytes.div_ceil(SLICE_BYTES) {
            let id = mix(request.key) ^ mix(slice << 32);
            let len = (request.size_bytes - slice * SLICE_BYTES).min(SLICE_BYTES);
            if cache.read(id) {
                found_bytes += len;
            } else {
                cache.insert(id, len);
                outcome.inserted_bytes += len;
            }
        }
        if at >= warm {
            outcome.requests += 1;
            outcome.hits += u64::from(found_bytes == request.size_bytes);
            outcome.bytes += request.size_bytes;
            outcome.hit_bytes += found_bytes;
        }
    }
    outcome.moved_bytes = cache.moved_bytes();
    outcome
}

/// Bytes of the objects that are asked for more than once, each counted once: what a cache could have
/// a use for.
fn useful_bytes(trace: &Trace) -> u64 {
    let mut sizes = std::collections::HashMap::<u64, (u64, bool)>::new();
    for request in &trace.requests {
        let seen = sizes.entry(request.key);
        seen.and_modify(|it| it.1 = true).or_insert((request.size_bytes, false));
    }
    sizes.values().filter(|it| it.1).map(|it| it.0).sum()
}

/// The case: every trace, every size.
pub fn evict(quick: bool, file: Option<&Path>) -> Result<Vec<Table>> {
    let traces = match file {
        Some(file) => vec![trace::read(file)?],
        None => traces(if quick { 20_000 } else { 100_000 }),
    };
    traces.iter().map(table).collect()
}

fn traces(objects: usize) -> Vec<Trace> {
    let requests = objects * 10;
    let zipfs = [0.6, 0.8, 1.0, 1.2].map(|alpha| trace::zipf(objects, requests, alpha));
    let mut traces: Vec<Trace> = zipfs.into();
    traces.extend([trace::scans(objects, requests), trace::one_hits(objects, requests)]);
    traces
}

fn table(trace: &Trace) -> Result<Table> {
    ensure!(!trace.requests.is_empty(), "trace {} has no request", trace.name);
    let all = useful_bytes(trace);
    let mut rows = Vec::new();
    let mut verdicts = Vec::new();
    for share in SHARES {
        let size_bytes = ((all as f64 * share) as u64).max(16 * 2 * SLICE_BYTES);
        let outcomes =
            NAMES.map(|name| run(trace, &mut *make(name, size_bytes), trace.requests.len() / 5));
        for (name, outcome) in NAMES.iter().zip(outcomes) {
            rows.push(vec![
                format!("{:.0} %", share * 100.0),
                format!("{:.2} GiB", size_bytes as f64 / (1u64 << 30) as f64),
                (*name).to_owned(),
                number(outcome.hits_percent(), 2),
                number(outcome.bytes_percent(), 2),
                number(outcome.hits_percent() - outcomes[1].hits_percent(), 2),
                number(outcome.bytes_percent() - outcomes[1].bytes_percent(), 2),
                number(outcome.written(), 2),
            ]);
        }
        verdicts.push(verdict(trace, share, &outcomes[0], &outcomes[1]));
    }
    let header =
        ["cache", "size", "policy", "hits %", "bytes %", "hits − lru", "bytes − lru", "written"];
    let note = format!(
        "{} requests, the first fifth not counted; {:.1} GiB of objects are asked for \
         more than once; `written`: bytes written a byte inserted",
        trace.requests.len(),
        all as f64 / (1u64 << 30) as f64
    );
    let name = format!("evict-{}", trace.name.replace(' ', "-"));
    Ok(Table::plain(&name, note, &header, rows).said(verdicts))
}

fn verdict(trace: &Trace, share: f64, edge: &Outcome, lru: &Outcome) -> String {
    let hits = edge.hits_percent() - lru.hits_percent();
    let bytes = edge.bytes_percent() - lru.bytes_percent();
    let least = match trace.name.as_str() {
        "scan-mixed" | "one-hit-heavy" => LEAD_POINTS,
        _ => 0.0,
    };
    format!(
        "{} at {:.0} %: edge − lru {hits:+.2} points of hits, {bytes:+.2} of bytes, to reach {least:+.0}",
        if hits >= least && bytes >= least { "met" } else { "NOT met" },
        share * 100.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(trace: &Trace) -> Vec<(f64, f64)> {
        let all = useful_bytes(trace);
        let lead = |share: f64| {
            let size_bytes = (all as f64 * share) as u64;
            let [edge, lru] = ["edge", "lru"].map(|name| {
                let mut cache = make(name, size_bytes);
                run(trace, &mut *cache, trace.requests.len() / 5)
            });
            (edge.hits_percent() - lru.hits_percent(), edge.bytes_percent() - lru.bytes_percent())
        };
        [0.05, 0.2].map(lead).to_vec()
    }

    /// Volumes of a gigabyte and more: smaller ones have few regions.
    #[test]
    fn the_policy_is_never_under_lru_and_well_over_it_where_lru_is_weak() {
        for alpha in [0.7, 1.0] {
            for (hits, bytes) in leads(&trace::zipf(20_000, 160_000, alpha)) {
                assert!(hits >= 0.0 && bytes >= 0.0, "zipf {alpha}: {hits} {bytes}");
            }
        }
        for trace in [trace::scans(20_000, 160_000), trace::one_hits(20_000, 160_000)] {
            let (hits, bytes) = leads(&trace)[0];
            assert!(hits >= 5.0 && bytes >= 5.0, "{}: {hits} {bytes}", trace.name);
        }
    }

    #[test]
    fn every_cache_keeps_what_fits_and_no_more() {
        for name in NAMES {
            let mut cache = make(name, 64 << 20);
            let mut read = |range: std::ops::Range<u64>| {
                range
                    .filter(|id| {
                        let hit = cache.read(*id);
                        if !hit {
                            cache.insert(*id, 1 << 20);
                        }
                        hit
                    })
                    .count()
            };
            read(0..8);
            assert_eq!(read(0..8), 8, "{name}");
            read(100..1100);
            assert!(read(600..1100) < 64, "{name}");
        }
    }
}
