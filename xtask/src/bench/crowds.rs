//! Many connections that ask for little: idle ones, slow ones.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::arena::{Arena, LARGE, heat, small_name};
use super::cases::Case;
use super::contenders::{Contender, Running};
use super::load::slow::{self, Slow};
use super::report::{Table, number};
use super::runs::{Pace, Setting, start_all};
use super::special::prime;

/// Idle connections; with `--quick` fewer.
const IDLE: (usize, usize) = (500, 100_000);
/// Slow downloads at once; with `--quick` fewer.
const SLOW: (usize, usize) = (500, 10_000);
/// What each of them takes, and how often.
const SLOW_BYTES_PER_S: usize = 32 * 1024;
const SLOW_TICK: Duration = Duration::from_millis(500);
/// Descriptors beside those of connections.
const DESCRIPTORS_SPARE: u64 = 1_000;

/// Memory and CPU of connections that stay.
pub fn idle(
    case: &Case,
    arena: &Arena,
    pace: &Pace,
    contenders: &[Contender],
) -> Result<Vec<Table>> {
    let count = affordable(if pace.quick { IDLE.0 } else { IDLE.1 });
    let setting = Setting { workers: 1, connections: count };
    let path = format!("/{}", small_name(4, 0));
    let (running, _) = start_all(arena, contenders, setting, &arena.small(4, 0)?, false)?;
    prime(arena, &running)?;
    let mut rows = Vec::new();
    for it in &running {
        // What the first connections bring with them is not the price of one more.
        let first = slow::idle(it.address, count / 10, &path)?;
        let before = it.processes.own_bytes();
        let held = slow::idle(it.address, count - first.len(), &path)?;
        let bytes = it.processes.own_bytes().saturating_sub(before);
        let (cpu_s, time) = (it.processes.cpu_s(), Duration::from_secs(2));
        std::thread::sleep(time);
        let cpu_s = it.processes.cpu_s() - cpu_s;
        rows.push(vec![
            it.who.name(),
            (first.len() + held.len()).to_string(),
            number(bytes as f64 / held.len() as f64, 0),
            number(cpu_s / time.as_secs_f64() * 100.0, 1),
        ]);
    }
    let header = ["contender", "connections", "own bytes a connection", "CPU %"];
    Ok(vec![Table::plain(case.name, "RssAnon; sockets are the kernel's".into(), &header, rows)])
}

/// What downloads cost that are limited by their clients.
pub fn slow(
    case: &Case,
    arena: &Arena,
    pace: &Pace,
    contenders: &[Contender],
) -> Result<Vec<Table>> {
    let count = affordable(if pace.quick { SLOW.0 } else { SLOW.1 });
    let setting = Setting { workers: 1, connections: count };
    let large = arena.large()?;
    heat(&large)?;
    let (running, _) = start_all(arena, contenders, setting, &large, false)?;
    let time = pace.time.max(SLOW_TICK * 8);
    let rows = running.iter().map(|it| slow_row(it, count, time)).collect::<Result<_>>()?;
    let header = ["contender", "downloads", "MB/s", "CPU s/GB", "CPU %", "own bytes a download"];
    let note = format!("{} KiB/s each; RssAnon; sockets are the kernel's", SLOW_BYTES_PER_S >> 10);
    Ok(vec![Table::plain(case.name, note, &header, rows)])
}

fn slow_row(it: &Running, count: usize, time: Duration) -> Result<Vec<String>> {
    let before = it.processes.own_bytes();
    let mut crowd = Slow::begin(it.address, count, &format!("/{}", LARGE.0))?;
    // What fills the sockets at the beginning is no slow download yet.
    for _ in 0..2 {
        crowd.take(SLOW_BYTES_PER_S / 2)?;
        std::thread::sleep(SLOW_TICK);
    }
    let (begin, cpu_s, bytes) = (Instant::now(), it.processes.cpu_s(), crowd.bytes);
    while begin.elapsed() < time {
        let tick = Instant::now();
        crowd.take(SLOW_BYTES_PER_S / 2)?;
        std::thread::sleep(SLOW_TICK.saturating_sub(tick.elapsed()));
    }
    let wall_s = begin.elapsed().as_secs_f64();
    let (cpu_s, bytes) = (it.processes.cpu_s() - cpu_s, (crowd.bytes - bytes) as f64);
    let own = it.processes.own_bytes().saturating_sub(before);
    Ok(vec![
        it.who.name(),
        crowd.len().to_string(),
        number(bytes / 1e6 / wall_s, 1),
        number(cpu_s / (bytes / 1e9), 3),
        number(cpu_s / wall_s * 100.0, 1),
        number(own as f64 / crowd.len() as f64, 0),
    ])
}

/// As many of `wanted` connections as descriptors can be had for, here and in the servers, which
/// inherit the limit.
fn affordable(wanted: usize) -> usize {
    let need = wanted as u64 + DESCRIPTORS_SPARE;
    let had = getrlimit(Resource::Nofile);
    let enough = had.maximum.is_none_or(|most| most >= need);
    let most = if enough { had.maximum } else { Some(need) };
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(need), maximum: most });
    let got = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    wanted.min(got.saturating_sub(DESCRIPTORS_SPARE) as usize)
}
