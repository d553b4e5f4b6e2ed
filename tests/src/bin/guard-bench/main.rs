//! What a packet costs in the kernel program, by `BPF_PROG_TEST_RUN`: `cargo xtask bench guard`.
//!
//! Each row is the time above an empty program that is handed the same packets: from random sources,
//! against tables of 65,536 entries that are half full. Medians of rounds that alternate all rows.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use edge::guard::{Guard, Program};
use edge::sys::mount;
use edge_common::range::Aim;
use edge_tests::range::{Range, template};
use serde_json::json;
use tempfile::TempDir;

mod tables;

use tables::{LOCAL, PORT, Sources};

const ROUNDS: usize = 5;
const PACKETS: u32 = 200_000;
/// Enough for every source to have come: a flow is looked at once after a change of rules.
const WARMING: u32 = 400_000;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// One kind of packet.
struct Case {
    name: &'static str,
    flags: u8,
    sources: Sources,
    /// Handshakes of strangers a second.
    budget: u64,
    /// Of the issue; ns.
    target: Option<u64>,
}

const CASES: [Case; 7] = [
    case("proven flow, all accounts and buckets", ACK, Sources::Proven, 0, Some(150)),
    case("deny hit, SYN", SYN, Sources::Denied, 0, Some(100)),
    case("deny hit, ACK", ACK, Sources::Denied, 0, None),
    case("unproven SYN, passed", SYN, Sources::Strangers, 0, Some(220)),
    case("unproven SYN, answered with a cookie", SYN, Sources::Strangers, 1, Some(150)),
    case("proven client's SYN", SYN, Sources::Proven, 0, None),
    case("ACK of nobody, over the budget", ACK, Sources::Strangers, 1, None),
];

const fn case(
    name: &'static str,
    flags: u8,
    sources: Sources,
    budget: u64,
    target: Option<u64>,
) -> Case {
    Case { name, flags, sources, budget, target }
}

fn main() -> Outcome<()> {
    stay_on_one_cpu()?;
    let dir = TempDir::new()?;
    mount::mount_bpffs(dir.path())?;
    let measured = measure(&dir.path().join("edge"));
    mount::unmount(dir.path())?;
    report(&measured?)
}

/// Nanoseconds above the empty program, by case and round.
fn measure(pins: &Path) -> Outcome<Vec<Vec<f64>>> {
    let config = tables::config(pins, 0)?;
    let program = Program::load(&config, &mut Vec::new())?;
    let (mut guard, _notes) = Guard::start(&config);
    tables::fill(pins)?;
    let mut range = Range::load()?;
    let mut all = vec![Vec::new(); CASES.len()];
    for _ in 0..ROUNDS {
        for (case, times) in CASES.iter().zip(&mut all) {
            guard.reload(&tables::config(pins, case.budget)?);
            let hardware = ([2; 6], [4; 6]);
            let packet = template(hardware, (LOCAL, PORT), tables::REMOTE_PORT, case.flags);
            let (first, count) = case.sources.range();
            range.aim(Aim::new(packet, first, count, 1, 0));
            range.measure(Some(program.id()?), WARMING);
            let empty = range.measure(None, PACKETS).as_nanos() as f64;
            let full = range.measure(Some(program.id()?), PACKETS).as_nanos() as f64;
            times.push(full - empty);
        }
    }
    Ok(all)
}

fn report(all: &[Vec<f64>]) -> Outcome<()> {
    let mut table = String::from(
        "# What a packet costs in the kernel program\n\nns above an empty program, medians of rounds; \
         tables of 65,536 half full, random sources\n\n| packet | ns | least | most | to reach |\n|---|---|---|---|---|\n",
    );
    let mut rows = Vec::new();
    for (case, times) in CASES.iter().zip(all) {
        let mut times = times.clone();
        times.sort_by(f64::total_cmp);
        let (least, median, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
        let target = case.target.map_or("–".to_owned(), |target| {
            let met = if median <= target as f64 { "met" } else { "NOT met" };
            format!("<= {target}: {met}")
        });
        writeln!(table, "| {} | {median:.0} | {least:.0} | {most:.0} | {target} |", case.name)?;
        rows.push(json!({ "packet": case.name, "ns": median, "least_ns": least, "most_ns": most,
            "target_ns": case.target }));
    }
    println!("{table}");
    let dir: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("guard.md"), &table)?;
    std::fs::write(dir.join("guard.json"), format!("{:#}\n", json!({ "rows": rows })))?;
    Ok(())
}

fn stay_on_one_cpu() -> Outcome<()> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let mine = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rfind(|cpu| mine.is_set(*cpu)).ok_or("no CPU")?;
    let mut only = CpuSet::new();
    only.set(last);
    Ok(sched_setaffinity(None, &only)?)
}
