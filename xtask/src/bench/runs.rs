//! Rounds: the same load against each contender, again and again.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::ProgressBar;

use super::arena::Arena;
use super::contenders::{Contender, Running, Start};
use super::load::{self, Load, Outcome};

/// A generator thread that is busier than this is at its limit.
const BUSY: f64 = 0.92;

/// How often, and how long.
pub struct Pace {
    /// Rounds of each setting.
    pub rounds: usize,
    /// Load before each measurement.
    pub warm_up: Duration,
    /// Each measurement.
    pub time: Duration,
    /// Whether settings are left out too.
    pub quick: bool,
}

/// Workers and connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The server's threads or processes.
    pub workers: usize,
    /// The generator's connections.
    pub connections: usize,
}

/// One measurement.
#[derive(Clone)]
pub struct Sample {
    /// What the generator saw.
    pub outcome: Outcome,
    /// What it cost the server.
    pub cpu_s: f64,
    /// Whether the generator was at its limit while the server was not.
    pub is_bound_by_generator: bool,
}

/// All measurements of a contender, in the order of rounds.
pub struct Series {
    /// Who.
    pub who: Contender,
    /// One for each round.
    pub samples: Vec<Sample>,
}

/// The cores of the two sides.
pub struct Cores {
    /// The server's.
    pub server: Vec<usize>,
    /// The generator's, one thread each.
    pub generator: Vec<usize>,
}

impl Pace {
    /// What people asked for.
    pub fn new(quick: bool, rounds: Option<usize>) -> Pace {
        let (usual, warm_ms, time_ms) = if quick { (3, 150, 600) } else { (7, 300, 2_000) };
        Pace {
            rounds: rounds.unwrap_or(usual).max(1),
            warm_up: Duration::from_millis(warm_ms),
            time: Duration::from_millis(time_ms),
            quick,
        }
    }
}

impl Cores {
    /// Apart where there are enough, else on the same ones.
    pub fn share(arena: &Arena, workers: usize) -> Cores {
        let all = &arena.cores;
        if all.len() <= workers {
            return Cores { server: all.clone(), generator: all.clone() };
        }
        let (server, rest) = all.split_at(workers);
        Cores { server: server.to_vec(), generator: rest.to_vec() }
    }

    /// What was done, for the report.
    pub fn said(&self) -> String {
        let list =
            |cores: &[usize]| cores.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let (server, generator) = (list(&self.server), list(&self.generator));
        match self.server == self.generator {
            true => format!("server and generator share cores {server}"),
            false => format!("server on core {server}, generator on {generator}"),
        }
    }
}

impl Sample {
    /// Measures one contender under one load.
    pub fn take(running: &Running, load: &Load, cores: &Cores) -> Result<Sample> {
        let mut marks = Vec::with_capacity(2);
        let outcome = load::run(load, || marks.push(running.processes.cpu_s()))
            .with_context(|| format!("{} under load", running.who.name()))?;
        let cpu_s = marks[1] - marks[0];
        let server = cpu_s / outcome.wall_s / cores.server.len() as f64;
        let shared = cores.server == cores.generator;
        let is_bound_by_generator = !shared && outcome.busiest > BUSY && server < BUSY;
        Ok(Sample { outcome, cpu_s, is_bound_by_generator })
    }

    /// Server CPU per 10⁹ body bytes, s.
    pub fn cpu_s_per_gb(&self) -> f64 {
        self.cpu_s / (self.outcome.bytes as f64 / 1e9)
    }

    /// Server CPU per answer, µs.
    pub fn cpu_us_per_request(&self) -> f64 {
        self.cpu_s * 1e6 / self.outcome.requests as f64
    }

    /// Body bytes per second, 10⁹.
    pub fn gb_per_s(&self) -> f64 {
        self.outcome.bytes as f64 / 1e9 / self.outcome.wall_s
    }

    /// Answers per second.
    pub fn requests_per_s(&self) -> f64 {
        self.outcome.requests as f64 / self.outcome.wall_s
    }

    /// A latency, µs; not a number without any.
    pub fn latency_us(&self, quantile: f64) -> f64 {
        if self.outcome.requests == 0 {
            return f64::NAN;
        }
        self.outcome.latency.quantile(quantile) as f64 / 1e3
    }
}

/// Starts all contenders, and an origin where one needs it.
pub fn start_all(
    arena: &Arena,
    contenders: &[Contender],
    setting: Setting,
    file: &Path,
    cold: bool,
) -> Result<(Vec<Running>, Option<Running>)> {
    let cores = Cores::share(arena, setting.workers);
    let mut start = Start {
        arena,
        workers: setting.workers,
        cores: &cores.server,
        origin: None,
        file,
        cold,
        tls: false,
    };
    let origin = match contenders.iter().any(|who| who.is_cache()) {
        true => Some(Contender::Nginx.start(&Start { workers: 1, cold: false, ..start })?),
        false => None,
    };
    start.origin = origin.as_ref().map(|origin| origin.address);
    let running = contenders.iter().map(|who| who.start(&start)).collect::<Result<_>>()?;
    Ok((running, origin))
}

/// Interleaves `one` over all contenders.
pub fn rounds(
    pace: &Pace,
    running: &[Running],
    bar: &ProgressBar,
    mut one: impl FnMut(&Running) -> Result<Sample>,
) -> Result<Vec<Series>> {
    let mut all: Vec<Series> =
        running.iter().map(|it| Series { who: it.who, samples: Vec::new() }).collect();
    bar.inc_length((pace.rounds * running.len()) as u64);
    for round in 0..pace.rounds {
        // Each has its turn in each place: a place of its own was seen to cost more than a change.
        let mut order: Vec<usize> = (0..running.len()).collect();
        if !order.is_empty() {
            order.rotate_left(round / 2 % running.len());
        }
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            all[at].samples.push(one(&running[at])?);
            bar.inc(1);
        }
    }
    Ok(all)
}
