//! What many sites cost: to load, and to find one among them. In this process, without a node.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use edge::config::Config;
use edge::site::Sites;

use super::arena::{Arena, heat, small_name};
use super::load::{self, Load, get};
use super::measure::median as middle;
use super::own::Node;
use super::report::{Table, number};
use super::runs::{Cores, Pace};

/// Counts of sites that are measured.
const COUNTS: [usize; 3] = [10, 1_000, 10_000];
/// Lookups timed together.
const LOOKUPS: u32 = 200_000;
/// Times each is done; the median counts.
const ROUNDS: usize = 9;

/// Loads and finds.
pub fn sites(case: &str) -> Result<Vec<Table>> {
    let rows = COUNTS.iter().map(|count| row(*count)).collect::<Result<_>>()?;
    let header =
        ["sites", "read and check, ms", "build, ms", "exact, ns", "wildcard, ns", "none, ns"];
    let note = "medians; targets for 10,000 sites: load below 200 ms, match below 200 ns";
    Ok(vec![Table::plain(case, note.to_owned(), &header, rows)])
}

/// Time between two reloads of a node under load.
const RELOAD_EVERY: Duration = Duration::from_millis(500);

/// Latency of 4 KiB requests while a node with 10,000 sites reads its configuration again and again, beside
/// that of the same node while it does not.
pub fn reload(case: &str, arena: &Arena, pace: &Pace) -> Result<Vec<Table>> {
    let count = COUNTS[COUNTS.len() - 1];
    let root = format!("file://{}", arena.root().display());
    let files = format!("[[site]]\nhosts = [\"*\"]\norigin = [\"{root}\"]\n");
    let cores = Cores::share(arena, 1);
    let name = small_name(4, 0);
    heat(&arena.small(4, 0)?)?;
    // The control plane may use the generator's core, as it may in life: the worker's is its own.
    let node = Node::start(arena, "reload", &cores.server, &format!("{}{files}", text(count)))?;
    let mut rows = Vec::new();
    let mut ratios = Vec::new();
    for round in 0..pace.rounds {
        let p99 = |reloads: bool| -> Result<f64> {
            let over = AtomicBool::new(!reloads);
            let load = Load {
                server: node.address,
                connections: 16,
                rate: None,
                cores: cores.generator.clone(),
                requests: vec![get(&format!("/{name}"), None, false)],
                churn: false,
                warm_up: pace.warm_up,
                time: pace.time.max(Duration::from_secs(2)),
            };
            let outcome = std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        node.reload();
                        std::thread::sleep(RELOAD_EVERY);
                    }
                });
                let outcome = load::run(&load, || {});
                over.store(true, Ordering::Relaxed);
                outcome
            })?;
            Ok(outcome.latency.quantile(0.99) as f64 / 1e3)
        };
        // In turn, so that what the machine does meanwhile hits both.
        let (quiet, busy) = match round % 2 {
            0 => (p99(false)?, p99(true)?),
            _ => {
                let busy = p99(true)?;
                (p99(false)?, busy)
            }
        };
        ratios.push(busy / quiet);
        rows.push(vec![
            (round + 1).to_string(),
            number(quiet, 0),
            number(busy, 0),
            number(busy / quiet, 2),
        ]);
    }
    rows.push(vec!["median".to_owned(), String::new(), String::new(), number(middle(ratios), 2)]);
    let note = format!(
        "{count} sites, a reload every {} ms, 4 KiB on 16 connections; {}; to reach: at most 1.2",
        RELOAD_EVERY.as_millis(),
        cores.said()
    );
    let header = ["round", "p99 quiet, us", "p99 with reloads, us", "ratio"];
    Ok(vec![Table::plain(case, note, &header, rows)])
}

/// The sites of that many customers.
fn text(count: usize) -> String {
    (0..count)
        .map(|n| {
            format!(
                "[[site]]\nhosts = [\"www.customer-{n}.example\", \"*.customer-{n}.example\"]\n\
                 preset = \"download\"\norigin = [\"http://10.0.0.2:80\", \"http://10.0.0.3:80\"]\n"
            )
        })
        .collect()
}

fn row(count: usize) -> Result<Vec<String>> {
    let text = text(count);
    let parse = || Config::parse(&text, "edge.toml").map_err(|errors| anyhow!("{errors}"));
    let config = parse()?;
    let read_ns = median(|| drop(black_box(parse())));
    let build_ns = median(|| drop(black_box(Sites::new(&config.sites, 2, None))));
    let sites = Sites::new(&config.sites, 2, None);
    let find = |form: &dyn Fn(usize) -> String| {
        // More names than a cache of the CPU holds are not what a worker sees: a few thousand.
        let names: Vec<String> = (0..4096.min(count)).map(|n| form(n * 7919 % count)).collect();
        let all = median(|| {
            for at in 0..LOOKUPS as usize {
                black_box(sites.find(black_box(&names[at % names.len()])));
            }
        });
        format!("{:.0}", all / f64::from(LOOKUPS))
    };
    Ok(vec![
        count.to_string(),
        format!("{:.1}", read_ns / 1e6),
        format!("{:.1}", build_ns / 1e6),
        find(&|n| format!("www.customer-{n}.example")),
        find(&|n| format!("a.b.customer-{n}.example")),
        find(&|n| format!("www.stranger-{n}.example")),
    ])
}

/// Nanoseconds.
fn median(mut what: impl FnMut()) -> f64 {
    let mut times: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            what();
            begun.elapsed().as_nanos()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2] as f64
}
