//! What many sites cost: to load, and to find one among them. In this process, without a node.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, anyhow};
use edge::config::Config;
use edge::site::Sites;

use super::report::Table;

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

fn row(count: usize) -> Result<Vec<String>> {
    let text: String = (0..count)
        .map(|n| {
            format!(
                "[[site]]\nhosts = [\"www.customer-{n}.example\", \"*.customer-{n}.example\"]\n\
                 preset = \"download\"\norigin = [\"http://10.0.0.2:80\", \"http://10.0.0.3:80\"]\n"
            )
        })
        .collect();
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
