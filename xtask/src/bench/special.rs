//! Cases that are no plain closed loop: cold files, misses, system calls.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;

use super::arena::{Arena, COLD, MISSED, chill, cold_name, heat, small_name};
use super::cases::Case;
use super::contenders::{Contender, Running};
use super::load::check::check;
use super::load::{self, Load, Outcome, get, slow};
use super::report::{Metric, Table, Target, number};
use super::runs::{Cores, Pace, Sample, Setting, rounds, start_all};
use crate::sh;

/// Connections of the hot part beside cold transfers, and cold transfers at once.
const HOT_CONNECTIONS: usize = 8;
const COLD_CONNECTIONS: usize = 4;

/// Latency of hot 4 KiB requests while cold files are fetched.
pub fn cold(
    case: &Case,
    arena: &Arena,
    pace: &Pace,
    contenders: &[Contender],
    bar: &ProgressBar,
) -> Result<Vec<Table>> {
    let setting = Setting { workers: 1, connections: HOT_CONNECTIONS };
    let hot = arena.small(4, 0)?;
    let files: Vec<_> = (0..COLD.0).map(|index| arena.cold(index)).collect::<Result<_>>()?;
    let (running, _) = start_all(arena, contenders, setting, &hot, true)?;
    let cores = Cores::share(arena, setting.workers);
    let mut colds: Vec<(Contender, f64)> = Vec::new();
    let series = rounds(pace, &running, bar, |it| {
        heat(&hot)?;
        files.iter().try_for_each(|file| chill(file))?;
        let load = Load {
            server: it.address,
            connections: HOT_CONNECTIONS,
            cores: cores.generator.clone(),
            requests: vec![get(&format!("/{}", small_name(4, 0)), None, false)],
            churn: false,
            rate: None,
            warm_up: Duration::from_millis(50),
            time: pace.time,
        };
        let (sample, bytes) = beside_cold(it, &load, &cores)?;
        colds.push((it.who, bytes as f64 / 1e9 / sample.outcome.wall_s));
        Ok(sample)
    })?;
    let cold_of = |who| {
        let mine = colds.iter().filter(|(whose, _)| *whose == who).map(|(_, rate)| *rate);
        super::measure::median(mine.collect())
    };
    let rates: Vec<_> = contenders
        .iter()
        .map(|who| format!("{} {} GB/s", who.name(), number(cold_of(*who), 2)))
        .collect();
    let target = Target { metric: Metric::P99, ratio: 0.7, against: Contender::Nginx };
    let table = Table::new(case.name, setting, &cores, series, Contender::Nginx, vec![target]);
    let table = table.noted(&format!("cold beside it: {}", rates.join(", ")));
    let ratio = cold_of(Contender::Edge) / cold_of(Contender::Nginx);
    let met = if ratio >= 1.0 { "met" } else { "NOT met" };
    let said = format!("{met} edge: cold throughput {ratio:.2}x of nginx, to reach >= 1.00x");
    Ok(vec![if ratio.is_finite() { table.told(said) } else { table }])
}

/// The hot load, with cold transfers for as long as it runs; also the cold bytes that came.
fn beside_cold(it: &Running, load: &Load, cores: &Cores) -> Result<(Sample, u64)> {
    let (over, bytes, next) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let fetchers: Vec<_> = (0..COLD_CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        // Each file once: a second time it would be hot.
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= COLD.0 {
                            return Ok(());
                        }
                        let path = format!("/{}", cold_name(index));
                        slow::fetch(it.address, &path, &over, &bytes)?;
                    }
                    Ok::<_, anyhow::Error>(())
                })
            })
            .collect();
        let sample = Sample::take(it, load, cores);
        over.store(true, Ordering::Relaxed);
        for fetcher in fetchers {
            fetcher.join().map_err(|_| anyhow::anyhow!("a fetcher failed"))??;
        }
        Ok((sample?, bytes.load(Ordering::Relaxed)))
    })
}

/// One client fetches what nobody has yet; nginx without a cache is the origin, asked directly.
pub fn miss(
    case: &Case,
    arena: &Arena,
    pace: &Pace,
    contenders: &[Contender],
    bar: &ProgressBar,
) -> Result<Vec<Table>> {
    let setting = Setting { workers: 1, connections: 1 };
    let file = arena.missed()?;
    heat(&file)?;
    let (running, _origin) = start_all(arena, contenders, setting, &file, false)?;
    let cores = Cores::share(arena, setting.workers);
    let mut fresh = 0;
    let series = rounds(pace, &running, bar, |it| {
        fresh += 1;
        // A query makes it another object for the cache, and the same file for the origin.
        let path = format!("/{}?{fresh}", MISSED.0);
        let (begin, cpu_s) = (Instant::now(), it.processes.cpu_s());
        let bytes = AtomicU64::new(0);
        slow::fetch(it.address, &path, &AtomicBool::new(false), &bytes)?;
        let wall_s = begin.elapsed().as_secs_f64();
        let bytes = bytes.into_inner();
        ensure!(bytes == MISSED.1, "{} sent {bytes} of {} bytes", it.who.name(), MISSED.1);
        // What goes on after the client has all of it is part of the price.
        std::thread::sleep(Duration::from_millis(300));
        let mut outcome = Outcome::new(wall_s);
        (outcome.bytes, outcome.requests) = (bytes, 1);
        outcome.latency.add((wall_s * 1e9) as u64);
        let cpu_s = it.processes.cpu_s() - cpu_s;
        Ok(Sample { outcome, cpu_s, is_bound_by_generator: false })
    })?;
    let targets = vec![
        Target { metric: Metric::CpuPerGb, ratio: 0.8, against: Contender::NginxCache },
        Target { metric: Metric::Throughput, ratio: 0.95, against: Contender::Nginx },
    ];
    let table = Table::new(case.name, setting, &cores, series, Contender::NginxCache, targets);
    Ok(vec![table.noted("`nginx` is the origin asked directly")])
}

/// Counts system calls while 4 KiB files are asked for.
pub fn syscalls(
    case: &Case,
    arena: &Arena,
    pace: &Pace,
    contenders: &[Contender],
) -> Result<Vec<Table>> {
    let setting = Setting { workers: 1, connections: 16 };
    let cores = Cores::share(arena, setting.workers);
    let (running, _) = start_all(arena, contenders, setting, &arena.small(4, 0)?, false)?;
    prime(arena, &running)?;
    let strace = sh::find("strace").context("no strace here; package strace")?;
    let mut rows = Vec::new();
    for it in &running {
        let out = arena.dir.join("run").join(format!("{}.strace", it.who.name()));
        let mut command = Command::new(&strace);
        command.args(["-f", "-c", "-U", "name,calls", "-o"]).arg(&out);
        for id in it.processes.ids() {
            command.args(["-p", &id.to_string()]);
        }
        let allocated = allocations(it);
        let mut tracer = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(500));
        let load = Load {
            server: it.address,
            connections: setting.connections,
            cores: cores.generator.clone(),
            requests: vec![get(&format!("/{}", small_name(4, 0)), None, false)],
            churn: false,
            rate: None,
            warm_up: Duration::ZERO,
            // Long enough for connecting to be lost among the requests.
            time: pace.time.max(Duration::from_secs(2)),
        };
        let outcome = load::run(&load, || {});
        let id = rustix::process::Pid::from_child(&tracer);
        rustix::process::kill_process(id, rustix::process::Signal::INT)?;
        tracer.wait().context("strace does not end")?;
        let requests = outcome?.requests as f64;
        let text = std::fs::read_to_string(&out).context("strace left nothing")?;
        let mut calls = calls_of(&text);
        calls.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let total: u64 = calls.iter().map(|(_, count)| count).sum();
        let most: Vec<_> = calls
            .iter()
            .take(6)
            .map(|(name, count)| format!("{name} {}", number(*count as f64 / requests, 3)))
            .collect();
        let allocated = allocations(it).zip(allocated).map(|(after, before)| after - before);
        let allocated = allocated.map_or(f64::NAN, |count| count as f64 / requests);
        rows.push(vec![
            it.who.name(),
            number(total as f64 / requests, 2),
            number(allocated, 3),
            most.join(", "),
        ]);
    }
    let header = ["contender", "calls a request", "allocations a request", "most calls"];
    let note =
        "16 connections, 4 KiB; the tracer slows the server; allocations are the node's own \
                count, those of accepting the connections included"
            .to_owned();
    Ok(vec![Table::plain(case.name, note, &header, rows)])
}

/// Heap allocations of the node's workers so far; nothing for those who do not say.
fn allocations(it: &Running) -> Option<u64> {
    let mut admin = load::connect(it.admin).ok()?;
    admin.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    admin.read_to_string(&mut text).ok()?;
    let lines = text.lines().filter(|line| line.starts_with("edge_worker_allocations_total"));
    lines.map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Asks each for the small file, twice: fetched, then found.
pub fn prime(arena: &Arena, running: &[Running]) -> Result<()> {
    let (path, file) = (format!("/{}", small_name(4, 0)), arena.small(4, 0)?);
    for it in running.iter().chain(running) {
        check(it.address, &path, None, &file)?;
    }
    Ok(())
}

/// `name calls` lines of strace's summary.
fn calls_of(text: &str) -> Vec<(String, u64)> {
    let lines = text.lines().filter_map(|line| {
        let (name, calls) = line.trim().split_once(char::is_whitespace)?;
        Some((name.to_owned(), calls.trim().parse().ok()?))
    });
    lines.filter(|(name, _)| name != "total").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tracers_summary_is_read() {
        let text = "syscall              calls\n---------------- ---------\nsendto                  12\n\
                    io_uring_enter           3\n---------------- ---------\ntotal  15\n";
        let calls = calls_of(text);
        assert_eq!(calls, [("sendto".to_owned(), 12), ("io_uring_enter".to_owned(), 3)]);
    }
}
