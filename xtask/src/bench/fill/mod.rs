//! Cold objects from a slow origin: the cases people suffer from with what they have (late joiners,
//! stampedes, cold ranges, slices one after the other, aborts, multi-range, changes).

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, anyhow};
use indicatif::ProgressBar;

use super::arena::Arena;
use super::cases::Case;
use super::contenders::{Contender, Running, Start};
use super::measure::median;
use super::report::{Table, number};
use super::runs::{Cores, Pace};
use client::{Got, get};
use origin::{Manner, Origin};

mod client;
mod origin;

const MIB: u64 = 1 << 20;
/// Clients of one cold object at once.
const CROWD: usize = 100;

/// What a measurement is to be.
#[derive(Clone, Copy)]
enum Aim {
    AtMost(f64),
    Exactly(f64),
}

/// One thing measured, the same way of everybody.
struct Question {
    name: &'static str,
    about: &'static str,
    aim: Aim,
    measure: fn(&Scene<'_>) -> Result<f64>,
}

/// Where it is measured.
struct Scene<'a> {
    origin: &'a Origin,
    server: SocketAddr,
    len: u64,
    paths: &'a Cell<u64>,
}

const QUESTIONS: [Question; 14] = [
    question("A", "late client's first byte, ms", Aim::AtMost(10.0), late),
    question("B", "100 clients, 8 MB/s: origin bytes / length", Aim::Exactly(1.0), crowd_bytes),
    question("E", "100 clients, 8 MB/s: slowest / direct", Aim::AtMost(1.05), crowd_time),
    question(
        "C",
        "cold 1,000 bytes near the end: first byte later than direct, ms",
        Aim::AtMost(10.0),
        range_time,
    ),
    question("C", "the same: origin bytes, MiB", Aim::AtMost(1.0), range_bytes),
    question("D", "100 ms, 16 MB/s for all: time / direct", Aim::AtMost(1.10), whole_shared),
    question("D", "100 ms, 16 MB/s a connection: time / direct", Aim::AtMost(0.6), whole_each),
    question("D", "the same: origin bytes / length", Aim::AtMost(1.02), whole_each_bytes),
    question("miss", "1 Gbit/s origin: time / direct", Aim::AtMost(1.0 / 0.95), gigabit),
    question("F", "abort and resume: origin bytes / length", Aim::AtMost(1.02), resume),
    question("G", "multi-range, cold: multipart (1 yes)", Aim::Exactly(1.0), multi_cold),
    question("G", "multi-range, warm: multipart (1 yes)", Aim::Exactly(1.0), multi_warm),
    question(
        "H",
        "changed after slice 0: next answer is whole and new (1 yes)",
        Aim::Exactly(1.0),
        changed,
    ),
    question(
        "ahead",
        "second reader near the end, 8 MB/s: first byte, ms",
        Aim::AtMost(1_000.0),
        far_reader,
    ),
];

const fn question(
    name: &'static str,
    about: &'static str,
    aim: Aim,
    measure: fn(&Scene<'_>) -> Result<f64>,
) -> Question {
    Question { name, about, aim, measure }
}

/// Measures all of it.
pub fn fill(
    case: &Case,
    arena: &Arena,
    pace: &Pace,
    contenders: &[Contender],
    bar: &ProgressBar,
) -> Result<Vec<Table>> {
    let origin = Origin::start()?;
    let cores = Cores { server: arena.cores.clone(), generator: arena.cores.clone() };
    let file = arena.small(4, 0)?;
    let start = Start {
        arena,
        workers: 1,
        cores: &cores.server,
        origin: Some(origin.address),
        file: &file,
        cold: false,
        tls: false,
    };
    let running: Vec<Running> =
        contenders.iter().map(|who| who.start(&start)).collect::<Result<_>>()?;
    let (paths, len) = (Cell::new(0), if pace.quick { 32 * MIB } else { 64 * MIB });
    let rounds = if pace.quick { 1 } else { pace.rounds.min(3) };
    bar.inc_length((QUESTIONS.len() * running.len()) as u64);
    let mut rows = Vec::new();
    for question in &QUESTIONS {
        let mut row = vec![question.name.to_owned(), question.about.to_owned()];
        let mut verdict = "–";
        for it in &running {
            let scene = Scene { origin: &origin, server: it.address, len, paths: &paths };
            let seen = (0..rounds).map(|_| (question.measure)(&scene));
            // Who cannot do it at all has failed this question, not the benchmark.
            let value = seen.collect::<Result<Vec<_>>>().map_or(f64::NAN, median);
            row.push(number(value, if value >= 100.0 { 0 } else { 2 }));
            if it.who == Contender::EdgeCache {
                verdict = if question.aim.is_met(value) { "met" } else { "NOT met" };
            }
            bar.inc(1);
        }
        row.push(question.aim.said());
        row.push(verdict.to_owned());
        rows.push(row);
    }
    let names: Vec<String> = running.iter().map(|it| it.who.name()).collect();
    let mut header = vec!["case", "what"];
    header.extend(names.iter().map(String::as_str));
    header.extend(["to reach", "edge"]);
    let note = format!(
        "{} MiB objects, each new to everybody; first byte 100 ms unless said; median of {rounds}; \
         a dash: no such answer",
        len / MIB
    );
    Ok(vec![Table::plain(case.name, note, &header, rows)])
}

impl Aim {
    fn is_met(self, value: f64) -> bool {
        match self {
            Aim::AtMost(most) => value <= most,
            Aim::Exactly(wanted) => (value - wanted).abs() < 0.005,
        }
    }

    fn said(self) -> String {
        match self {
            Aim::AtMost(most) => format!("<= {most:.2}"),
            Aim::Exactly(wanted) => format!("{wanted:.2}"),
        }
    }
}

impl Scene<'_> {
    /// A new object.
    fn object(&self, mb_per_s: u64, by_connection: bool) -> String {
        self.paths.set(self.paths.get() + 1);
        let path = format!("/{}", self.paths.get());
        let bytes_per_s = mb_per_s * 1_000_000;
        let manner = Manner { len: self.len, first_byte_ms: 100, bytes_per_s, by_connection };
        self.origin.put(&path, manner);
        path
    }

    fn get(&self, path: &str, range: Option<&str>) -> Result<Got> {
        get(self.server, path, range, u64::MAX)
    }

    /// The same from the origin itself, of an object of its own.
    fn direct(&self, mb_per_s: u64, range: Option<&str>) -> Result<Got> {
        let path = self.object(mb_per_s, true);
        get(self.origin.address, &path, range, u64::MAX)
    }

    fn origin_share(&self, path: &str) -> f64 {
        self.origin.sent_bytes(path) as f64 / self.len as f64
    }

    fn time_of_whole(&self, mb_per_s: u64, by_connection: bool) -> Result<(f64, f64)> {
        let path = self.object(mb_per_s, by_connection);
        let through = self.get(&path, None)?;
        let direct = self.direct(mb_per_s, None)?;
        Ok((through.total_ms / direct.total_ms, self.origin_share(&path)))
    }
}

fn late(scene: &Scene<'_>) -> Result<f64> {
    let (path, server) = (scene.object(16, true), scene.server);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| whole(server, &path));
        std::thread::sleep(Duration::from_secs(1));
        let late = get(server, &path, None, 1)?;
        first.join().map_err(|_| anyhow!("a client failed"))??;
        Ok(late.first_byte_ms)
    })
}

fn whole(server: SocketAddr, path: &str) -> Result<Got> {
    get(server, path, None, u64::MAX)
}

/// Slowest client, ms, and share of origin bytes.
fn crowd(scene: &Scene<'_>) -> Result<(f64, f64)> {
    let path = scene.object(8, true);
    let (server, path) = (scene.server, path.as_str());
    let slowest_ms = std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CROWD).map(|_| scope.spawn(move || whole(server, path))).collect();
        let mut slowest_ms: f64 = 0.0;
        for client in clients {
            let got = client.join().map_err(|_| anyhow!("a client failed"))??;
            slowest_ms = slowest_ms.max(got.total_ms);
        }
        Ok::<_, anyhow::Error>(slowest_ms)
    })?;
    Ok((slowest_ms, scene.origin_share(path)))
}

fn crowd_bytes(scene: &Scene<'_>) -> Result<f64> {
    crowd(scene).map(|(_, share)| share)
}

fn crowd_time(scene: &Scene<'_>) -> Result<f64> {
    let direct = scene.direct(8, None)?;
    crowd(scene).map(|(slowest_ms, _)| slowest_ms / direct.total_ms)
}

fn near_the_end(scene: &Scene<'_>) -> String {
    let start = scene.len - 100_000;
    format!("bytes={start}-{}", start + 999)
}

fn range_time(scene: &Scene<'_>) -> Result<f64> {
    let range = near_the_end(scene);
    let through = scene.get(&scene.object(16, true), Some(&range))?;
    let direct = scene.direct(16, Some(&range))?;
    Ok(through.first_byte_ms - direct.first_byte_ms)
}

fn range_bytes(scene: &Scene<'_>) -> Result<f64> {
    let path = scene.object(16, true);
    scene.get(&path, Some(&near_the_end(scene)))?;
    // What follows the range comes, too.
    std::thread::sleep(Duration::from_millis(500));
    Ok(scene.origin.sent_bytes(&path) as f64 / MIB as f64)
}

fn whole_shared(scene: &Scene<'_>) -> Result<f64> {
    scene.time_of_whole(16, false).map(|(time, _)| time)
}

fn whole_each(scene: &Scene<'_>) -> Result<f64> {
    scene.time_of_whole(16, true).map(|(time, _)| time)
}

fn whole_each_bytes(scene: &Scene<'_>) -> Result<f64> {
    scene.time_of_whole(16, true).map(|(_, share)| share)
}

fn gigabit(scene: &Scene<'_>) -> Result<f64> {
    scene.time_of_whole(125, false).map(|(time, _)| time)
}

fn resume(scene: &Scene<'_>) -> Result<f64> {
    let path = scene.object(16, true);
    let came = get(scene.server, &path, None, scene.len / 4)?.bytes;
    scene.get(&path, Some(&format!("bytes={came}-")))?;
    Ok(scene.origin_share(&path))
}

fn is_multipart(scene: &Scene<'_>, path: &str) -> Result<f64> {
    let got = scene.get(path, Some("bytes=0-99,1000000-1000099"))?;
    let head = got.head.to_ascii_lowercase();
    Ok(f64::from(got.status == 206 && head.contains("multipart/byteranges")))
}

fn multi_cold(scene: &Scene<'_>) -> Result<f64> {
    is_multipart(scene, &scene.object(16, true))
}

fn multi_warm(scene: &Scene<'_>) -> Result<f64> {
    let path = scene.object(125, true);
    scene.get(&path, None)?;
    is_multipart(scene, &path)
}

fn changed(scene: &Scene<'_>) -> Result<f64> {
    let path = scene.object(125, true);
    scene.get(&path, Some("bytes=0-999"))?;
    scene.origin.change(&path);
    // Nobody can know before he asks the origin again; who asked may be told of it by a cut.
    let _ = scene.get(&path, None);
    let got = scene.get(&path, None)?;
    Ok(f64::from(got.letter == Some(b'b') && got.bytes == scene.len))
}

fn far_reader(scene: &Scene<'_>) -> Result<f64> {
    let (path, range, server) = (scene.object(8, true), near_the_end(scene), scene.server);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| whole(server, &path));
        std::thread::sleep(Duration::from_millis(300));
        let far = get(server, &path, Some(&range), u64::MAX)?;
        first.join().map_err(|_| anyhow!("a client failed"))??;
        Ok(far.first_byte_ms)
    })
}
