//! The load generator: connections that ask again as soon as they have their answer.
//!
//! Bodies are discarded inside the kernel (`MSG_TRUNC`, tcp(7)), so that reading costs the generator
//! little; what the bodies hold is checked apart from the measurement, see [`check`].

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

pub mod check;
pub(super) mod client;
mod histogram;
pub mod slow;

pub use histogram::Histogram;

/// What is asked, by how many, for how long.
pub struct Load {
    /// Who is asked.
    pub server: SocketAddr,
    /// Connections, shared out among the threads.
    pub connections: usize,
    /// Cores the threads of the generator run on, one each.
    pub cores: Vec<usize>,
    /// Whole request heads; each connection walks through them from a place of its own.
    pub requests: Vec<Vec<u8>>,
    /// Whether each request has a connection of its own.
    pub churn: bool,
    /// Requests a second, whether or not the answers to earlier ones are here; without: as soon as they
    /// are. A request that waits for a connection is late from when it was due.
    pub rate: Option<f64>,
    /// Not measured.
    pub warm_up: Duration,
    /// Measured.
    pub time: Duration,
}

/// What came of it in the measured time.
#[derive(Clone)]
pub struct Outcome {
    /// The measured time.
    pub wall_s: f64,
    /// Body bytes.
    pub bytes: u64,
    /// Answers that were read to their end.
    pub requests: u64,
    /// Connections that broke, and answers other than 200 and 206.
    pub errors: u64,
    /// From request to last byte.
    pub latency: Histogram,
    /// The busiest generator thread's CPU time per second of wall time.
    pub busiest: f64,
}

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const OVER: u8 = 2;

/// Runs the load; `mark` is called when the measured time begins and when it ends.
pub fn run(load: &Load, mut mark: impl FnMut()) -> Result<Outcome> {
    let phase = AtomicU8::new(WARMING);
    let threads = load.threads();
    std::thread::scope(|scope| {
        let shares: Vec<_> = (0..threads)
            .map(|index| {
                let connections = (load.connections + threads - 1 - index) / threads;
                let phase = &phase;
                scope.spawn(move || one_thread(load, index, connections, phase))
            })
            .collect();
        std::thread::sleep(load.warm_up);
        mark();
        let begin = Instant::now();
        phase.store(MEASURING, Ordering::Release);
        std::thread::sleep(load.time);
        phase.store(OVER, Ordering::Release);
        let wall_s = begin.elapsed().as_secs_f64();
        mark();
        let mut whole = Outcome::new(wall_s);
        for share in shares {
            let Ok(share) = share.join() else { bail!("a load generator's thread failed") };
            whole.add(&share?);
        }
        Ok(whole)
    })
}

impl Load {
    /// Threads of the generator.
    fn threads(&self) -> usize {
        self.cores.len().min(self.connections).max(1)
    }
}

impl Outcome {
    /// Nothing yet.
    pub fn new(wall_s: f64) -> Outcome {
        let latency = Histogram::new();
        Outcome { wall_s, bytes: 0, requests: 0, errors: 0, latency, busiest: 0.0 }
    }

    fn add(&mut self, share: &Outcome) {
        self.bytes += share.bytes;
        self.requests += share.requests;
        self.errors += share.errors;
        self.latency.merge(&share.latency);
        self.busiest = self.busiest.max(share.busiest);
    }
}

fn one_thread(load: &Load, index: usize, connections: usize, phase: &AtomicU8) -> Result<Outcome> {
    pin(load.cores.get(index).copied());
    let mut crowd = client::Crowd::connect(load, index, connections)?;
    while phase.load(Ordering::Acquire) == WARMING {
        crowd.turn()?;
    }
    let (cpu_s, begin) = (thread_cpu_s(), Instant::now());
    crowd.outcome = Outcome::new(0.0);
    while phase.load(Ordering::Acquire) != OVER {
        crowd.turn()?;
    }
    let mut outcome = crowd.outcome;
    outcome.wall_s = begin.elapsed().as_secs_f64();
    outcome.busiest = (thread_cpu_s() - cpu_s) / outcome.wall_s;
    Ok(outcome)
}

/// Keeps this thread on one core; a host that forbids it is measured without.
pub fn pin(core: Option<usize>) {
    if let Some(core) = core {
        let mut set = CpuSet::new();
        set.set(core);
        let _ = sched_setaffinity(None, &set);
    }
}

fn thread_cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A GET as browsers and package managers send it, no longer.
pub fn get(path: &str, range: Option<(u64, u64)>, close: bool) -> Vec<u8> {
    let range =
        range.map_or(String::new(), |(start, end)| format!("Range: bytes={start}-{}\r\n", end - 1));
    let close = if close { "Connection: close\r\n" } else { "" };
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\n{range}{close}\r\n")
        .into_bytes()
}

/// A connection to `server`.
pub fn connect(server: SocketAddr) -> Result<std::net::TcpStream> {
    let stream = std::net::TcpStream::connect(server)
        .with_context(|| format!("could not connect to {server}"))?;
    stream.set_nodelay(true).context("could not set TCP_NODELAY")?;
    Ok(stream)
}
