//! What the kernel's programs cost beside the server, by the kernel's own clock of them: the noise of a machine
//! is in neither sum.

use std::fmt::Write as _;
use std::time::Duration;

use aya::programs::loaded_programs;
use edge_tests::env_number;
use serde_json::json;

use crate::stage::{Guarding, Stage, good_clients};
use crate::{Outcome, report};

const CLIENTS: usize = 2;
/// Name, bytes of a request's answer, and how much of the server's CPU time the programs may take.
const CASES: [(&str, usize, f64); 2] = [("4 KiB", 4 << 10, 0.03), ("1 MiB", 1 << 20, 0.01)];

pub fn run() -> Outcome<()> {
    let _clock = aya::sys::enable_stats(aya::sys::Stats::RunTime)?;
    let seconds = env_number("EDGE_BENCH_S", 6) as f64;
    let mut table = String::from(
        "# What accounts cost\n\nTime in the guard's programs (packets and connections), above the server's own CPU \
         time, user and system\n\n| answer | requests | server, us | programs, us | share | to reach |\n|---|---|---|---|---|---|\n",
    );
    let mut rows = Vec::new();
    for (name, bytes, most) in CASES {
        let stage = Stage::new(bytes)?;
        let (node, to) = stage.node(Guarding::Enforce);
        good_clients(&stage.client, to, stage.file, CLIENTS, 0.5);
        let (cpu, programs) = (node.sample_cpu(), programs_time());
        let got = good_clients(&stage.client, to, stage.file, CLIENTS, seconds);
        let cpu = (node.sample_cpu() - cpu).as_secs_f64();
        let programs = (programs_time() - programs).as_secs_f64();
        let per = |seconds: f64| seconds * 1e6 / got.requests as f64;
        let share = programs / cpu;
        let met = if share <= most { "met" } else { "NOT met" };
        writeln!(
            table,
            "| {name} | {} | {:.2} | {:.2} | {:.1} % | <= {:.0} %: {met} |",
            got.requests,
            per(cpu),
            per(programs),
            share * 100.0,
            most * 100.0
        )?;
        rows.push(json!({ "answer": name, "requests": got.requests, "server_us": per(cpu),
            "programs_us": per(programs), "share": share }));
    }
    report("overhead", &table, &rows)
}

/// In all programs of a guard so far.
fn programs_time() -> Duration {
    let ours = loaded_programs()
        .flatten()
        .filter(|program| matches!(program.name_as_str(), Some("edge" | "edge_conns")));
    ours.map(|program| program.run_time()).sum()
}
