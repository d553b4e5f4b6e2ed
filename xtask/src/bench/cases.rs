//! What is measured.

use std::path::Path;

use anyhow::{Result, bail};
use indicatif::ProgressBar;

use super::arena::{Arena, LARGE, SMALL_FILES, heat, small_name};
use super::contenders::{Contender, Running};
use super::crowds;
use super::evict;
use super::index;
use super::load::{Load, check::check, get};
use super::report::{Metric, Table, Target};
use super::runs::{Cores, Pace, Sample, Setting, rounds, start_all};
use super::sites;
use super::special;
use super::tls;

/// Share of nginx's peak at which tails are measured.
const TAIL_SHARE: f64 = 0.7;
/// How unequal the popularity of mixed files is, and how many requests are drawn.
const MIXED_ALPHA: f64 = 0.9;
const MIXED_REQUESTS: usize = 4_096;

/// A question to the contenders.
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Who can answer it.
    pub contenders: &'static [Contender],
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// One large file, whole
    Large,
    /// Random 1 MiB ranges of it
    Ranges,
    /// Files of so many KiB
    Small(u64),
    /// 4 KiB, each on a connection of its own
    Churn,
    Cold,
    Miss,
    Fill,
    /// Files of many sizes, a few of them most of the time
    Mixed,
    Tail,
    Idle,
    Slow,
    Syscalls,
    Tls,
    Sites,
    Reload,
    Shape,
    Evict,
    Memory,
    Start,
}

use Contender::{
    Caddy, Constant, Edge, EdgeCache, EdgeOther, EdgeSteered, Lighttpd, Nginx, NginxCache,
    NginxSlice, Splice, Squid, TokioUring, TrafficServer, Varnish,
};

const BULK: &[Contender] = &[
    Edge,
    EdgeSteered,
    EdgeCache,
    EdgeOther,
    Nginx,
    Splice,
    Lighttpd,
    Caddy,
    Varnish,
    Squid,
    TrafficServer,
];
const REQUESTS: &[Contender] = &[
    Edge,
    EdgeSteered,
    EdgeCache,
    EdgeOther,
    Nginx,
    Constant,
    TokioUring,
    Lighttpd,
    Caddy,
    Varnish,
    Squid,
    TrafficServer,
];
const FILES: &[Contender] = &[Edge, EdgeOther, Nginx, Lighttpd, Caddy];
const CACHES: &[Contender] = &[Nginx, EdgeCache, NginxCache, Varnish, Squid, TrafficServer];
const FILLERS: &[Contender] = &[EdgeCache, NginxCache, NginxSlice];
const MIXERS: &[Contender] =
    &[Edge, EdgeCache, EdgeOther, Nginx, Lighttpd, Caddy, Varnish, Squid, TrafficServer];
const IDLERS: &[Contender] = &[Edge, EdgeOther, Nginx, Lighttpd, Caddy];

/// Every case.
pub const ALL: &[Case] = &[
    case("hot-large", "1 GiB from the page cache, again and again", BULK, Kind::Large),
    case("hot-ranges", "random 1 MiB ranges of 1 GiB, 64 connections", BULK, Kind::Ranges),
    case("small-1k", "1 KiB from memory", REQUESTS, Kind::Small(1)),
    case("small-4k", "4 KiB from memory", REQUESTS, Kind::Small(4)),
    case("small-16k", "16 KiB from memory", REQUESTS, Kind::Small(16)),
    case("small-64k", "64 KiB from memory", REQUESTS, Kind::Small(64)),
    case("cold-beside-small", "hot 4 KiB while 1 GiB files come from the disk", FILES, Kind::Cold),
    case("miss", "a 256 MiB object nobody has, to one client", CACHES, Kind::Miss),
    case("fill", "cold objects of a slow origin, cases A to H", FILLERS, Kind::Fill),
    case("churn", "connect, one 4 KiB request, close", REQUESTS, Kind::Churn),
    case("mixed", "1 KiB to 1 MiB, by a Zipf law, from the page cache", MIXERS, Kind::Mixed),
    case("tail", "latency of 4 KiB at 70 % of what nginx can do", REQUESTS, Kind::Tail),
    case("slow", "downloads that take 32 KiB/s each", IDLERS, Kind::Slow),
    case("idle", "connections that had one answer and stay", IDLERS, Kind::Idle),
    case("syscalls", "system calls a 4 KiB request, by strace", FILES, Kind::Syscalls),
    case(
        "tls",
        "HTTPS: a large file, handshakes in full and resumed",
        &[Edge, EdgeOther, Nginx],
        Kind::Tls,
    ),
    case("sites", "10,000 sites: loading them, finding one", &[], Kind::Sites),
    case("reload", "10,000 sites, read again under load", &[], Kind::Reload),
    case("shape", "downloads held to a rate, 1 to 1,000 at once", &[], Kind::Shape),
    case("evict", "what the store keeps, against LRU and others, simulated", &[], Kind::Evict),
    case("memory", "bytes an entry of the index, ten million of them", &[], Kind::Memory),
    case("start", "start to first hit with ten million entries", &[], Kind::Start),
];

const fn case(
    name: &'static str,
    about: &'static str,
    contenders: &'static [Contender],
    kind: Kind,
) -> Case {
    Case { name, about, contenders, kind }
}

/// The cases named, or all.
pub fn wanted(names: &[String]) -> Result<Vec<&'static Case>> {
    if names.is_empty() {
        return Ok(ALL.iter().collect());
    }
    let find = |name: &String| match ALL.iter().find(|case| case.name == name) {
        Some(case) => Ok(case),
        None => bail!("no case `{name}`; `cargo xtask bench --list` names them"),
    };
    names.iter().map(find).collect()
}

impl Case {
    /// Whether it measures the optimised node.
    pub fn needs_node(&self) -> bool {
        !matches!(self.kind, Kind::Sites | Kind::Evict | Kind::Memory)
    }

    /// Measures it in all its settings.
    pub fn run(
        &self,
        arena: &Arena,
        pace: &Pace,
        contenders: &[Contender],
        trace: Option<&Path>,
        bar: &ProgressBar,
    ) -> Result<Vec<Table>> {
        match self.kind {
            Kind::Cold => special::cold(self, arena, pace, contenders, bar),
            Kind::Miss => special::miss(self, arena, pace, contenders, bar),
            Kind::Fill => super::fill::fill(self, arena, pace, contenders, bar),
            Kind::Idle => crowds::idle(self, arena, pace, contenders),
            Kind::Slow => crowds::slow(self, arena, pace, contenders),
            Kind::Tail => self.tail(arena, pace, contenders, bar),
            Kind::Sites => sites::sites(self.name),
            Kind::Reload => sites::reload(self.name, arena, pace),
            Kind::Shape => super::shape::shape(self.name, arena, pace),
            Kind::Evict => evict::evict(pace.quick, trace),
            Kind::Memory => index::memory(arena),
            Kind::Start => index::start(arena),
            Kind::Tls => tls::tls(self, arena, pace, contenders, bar),
            Kind::Syscalls => special::syscalls(self, arena, pace, contenders),
            _ => {
                let settings = self.settings(pace);
                settings
                    .into_iter()
                    .map(|at| self.loaded(arena, pace, contenders, at, bar))
                    .collect()
            }
        }
    }

    fn settings(&self, pace: &Pace) -> Vec<Setting> {
        let table: &[(usize, usize)] = match (self.kind, pace.quick) {
            (Kind::Large, false) => &[(1, 1), (1, 8), (1, 64), (2, 8), (2, 64)],
            (Kind::Large, true) => &[(1, 8), (2, 64)],
            (Kind::Ranges, _) => &[(2, 64)],
            (Kind::Churn, _) => &[(1, 16)],
            (_, false) => &[(1, 16), (1, 64), (2, 64)],
            (_, true) => &[(1, 64)],
        };
        table.iter().map(|&(workers, connections)| Setting { workers, connections }).collect()
    }

    /// Rounds of closed loops.
    fn loaded(
        &self,
        arena: &Arena,
        pace: &Pace,
        contenders: &[Contender],
        setting: Setting,
        bar: &ProgressBar,
    ) -> Result<Table> {
        let asked = Asked::make(arena, self.kind)?;
        let (running, _origin) = start_all(arena, contenders, setting, &asked.files[0].1, false)?;
        let cores = Cores::share(arena, setting.workers);
        for it in &running {
            asked.prime(it, self.kind)?;
        }
        let series = rounds(pace, &running, bar, |it| {
            let churn = matches!(self.kind, Kind::Churn);
            let load = Load { churn, ..asked.load(it, setting, &cores, pace) };
            Sample::take(it, &load, &cores)
        })?;
        Ok(Table::new(self.name, setting, &cores, series, Nginx, self.targets(setting)))
    }

    /// The same requests, as many a second for everybody, whether or not answers keep up.
    fn tail(
        &self,
        arena: &Arena,
        pace: &Pace,
        contenders: &[Contender],
        bar: &ProgressBar,
    ) -> Result<Vec<Table>> {
        let setting = Setting { workers: 1, connections: 64 };
        let asked = Asked::make(arena, self.kind)?;
        let (running, _origin) = start_all(arena, contenders, setting, &asked.files[0].1, false)?;
        let cores = Cores::share(arena, setting.workers);
        for it in &running {
            asked.prime(it, self.kind)?;
        }
        let measure = running.iter().find(|it| it.who == Nginx).or(running.first());
        let Some(measure) = measure else { return Ok(Vec::new()) };
        let peak = Sample::take(measure, &asked.load(measure, setting, &cores, pace), &cores)?;
        let rate = peak.requests_per_s() * TAIL_SHARE;
        let series = rounds(pace, &running, bar, |it| {
            let load = Load { rate: Some(rate), ..asked.load(it, setting, &cores, pace) };
            Sample::take(it, &load, &cores)
        })?;
        let target = Target { metric: Metric::P999, ratio: 1.0, against: Nginx };
        let table = Table::new(self.name, setting, &cores, series, Nginx, vec![target]);
        Ok(vec![table.noted(&format!("{rate:.0} requests a second for everybody"))])
    }

    fn targets(&self, setting: Setting) -> Vec<Target> {
        use Metric::{CpuPerGb, CpuPerRequest, Throughput};
        let to = |metric, ratio| Target { metric, ratio, against: Nginx };
        match (self.kind, setting.workers) {
            (Kind::Large, 1) => {
                vec![to(CpuPerGb, 0.90), Target { metric: CpuPerGb, ratio: 1.05, against: Splice }]
            }
            (Kind::Large, _) => vec![
                to(CpuPerGb, 0.65),
                to(Throughput, 1.30),
                Target { metric: CpuPerGb, ratio: 1.05, against: Splice },
            ],
            (Kind::Ranges, _) => vec![to(CpuPerGb, 0.80)],
            (Kind::Small(4), _) => vec![
                to(CpuPerRequest, 0.62),
                Target { metric: CpuPerRequest, ratio: 1.25, against: Constant },
            ],
            (Kind::Small(64), _) => vec![to(CpuPerRequest, 0.68)],
            (Kind::Churn, _) => vec![to(CpuPerRequest, 0.80)],
            _ => Vec::new(),
        }
    }
}

/// What clients ask for, and the files behind it.
struct Asked {
    files: Vec<(String, std::path::PathBuf)>,
    requests: Vec<Vec<u8>>,
}

impl Asked {
    fn make(arena: &Arena, kind: Kind) -> Result<Asked> {
        let files = match kind {
            Kind::Large | Kind::Ranges => vec![(format!("/{}", LARGE.0), arena.large()?)],
            Kind::Small(kib) => small(arena, kib)?,
            Kind::Mixed => mixed(arena)?,
            _ => small(arena, 4)?,
        };
        files.iter().try_for_each(|(_, file)| heat(file))?;
        let whole = |close| files.iter().map(|(path, _)| get(path, None, close)).collect();
        let requests = match kind {
            Kind::Ranges => ranges().map(|range| get(&files[0].0, Some(range), false)).collect(),
            Kind::Churn => whole(true),
            Kind::Mixed => {
                let drawn = evict::zipf(files.len(), MIXED_REQUESTS, MIXED_ALPHA).requests;
                drawn.iter().map(|it| get(&files[it.key as usize].0, None, false)).collect()
            }
            _ => whole(false),
        };
        Ok(Asked { files, requests })
    }

    /// A closed loop.
    fn load(&self, it: &Running, setting: Setting, cores: &Cores, pace: &Pace) -> Load {
        Load {
            server: it.address,
            connections: setting.connections,
            cores: cores.generator.clone(),
            requests: self.requests.clone(),
            churn: false,
            rate: None,
            warm_up: pace.warm_up,
            time: pace.time,
        }
    }

    /// Brings everything into the server's caches, and checks what it sends.
    fn prime(&self, it: &Running, kind: Kind) -> Result<()> {
        for (path, file) in &self.files {
            // Once to fetch it, once to be sure that what is kept is right too; limits have one file.
            let constant = matches!(it.who, Constant | TokioUring);
            let file = if constant { &self.files[0].1 } else { file };
            check(it.address, path, None, file)?;
            check(it.address, path, None, file)?;
        }
        if matches!(kind, Kind::Ranges) {
            check(it.address, &self.files[0].0, ranges().next(), &self.files[0].1)?;
        }
        Ok(())
    }
}

fn small(arena: &Arena, kib: u64) -> Result<Vec<(String, std::path::PathBuf)>> {
    let one = |index| Ok((format!("/{}", small_name(kib, index)), arena.small(kib, index)?));
    (0..SMALL_FILES).map(one).collect()
}

/// Of each size as many, the popular ones of every size.
fn mixed(arena: &Arena) -> Result<Vec<(String, std::path::PathBuf)>> {
    let sizes = [1, 4, 16, 64, 256, 1024];
    let of_all = |index| sizes.iter().map(move |kib| (*kib, index));
    let one = |(kib, index)| Ok((format!("/{}", small_name(kib, index)), arena.small(kib, index)?));
    (0..SMALL_FILES).flat_map(of_all).map(one).collect()
}

/// Ranges of 1 MiB that begin anywhere, the same every time.
fn ranges() -> impl Iterator<Item = (u64, u64)> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..1024).map(move |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let start = (state >> 20) % (LARGE.1 - (1 << 20));
        (start, start + (1 << 20))
    })
}
