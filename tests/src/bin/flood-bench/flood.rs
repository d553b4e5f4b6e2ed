//! Good clients beside a flood.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use edge_tests::netns::SERVER_INTERFACE;
use edge_tests::range::{Aim, Range, template};
use edge_tests::{Process, env_number};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::json;

use crate::stage::{Got, Guarding, Stage, good_clients};
use crate::{Outcome, report};

const FILE_BYTES: usize = 256 << 10;
const CLIENTS: usize = 4;
const SYN: u8 = 0x02;
const FIRST_SOURCE: u32 = 0x0b80_0000;
const SOURCES: u32 = 1 << 20;
/// Packets of one call: calls are dear.
const VOLLEY: u32 = 65_536;
/// The flood's CPU; the others are the server's and the clients'.
const FLOOD_CPU: usize = 1;

/// What goes on beside the good clients.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// The flood's program, with nowhere to send to.
    Burning,
    Flood,
}

struct Row {
    name: &'static str,
    got: Got,
    packets_per_s: f64,
}

pub fn run() -> Outcome<()> {
    let seconds = env_number("EDGE_BENCH_S", 6) as f64;
    let mut rows = Vec::new();
    {
        let stage = Stage::new(FILE_BYTES)?;
        let (_node, to) = stage.node(Guarding::Enforce);
        for (name, beside) in [
            ("edge, guard on, quiet", Beside::Nothing),
            ("edge, guard on, the CPU burnt elsewhere", Beside::Burning),
            ("edge, guard on, flooded", Beside::Flood),
        ] {
            rows.push(measure(&stage, to, name, beside, seconds)?);
        }
    }
    {
        let stage = Stage::new(FILE_BYTES)?;
        let (_node, to) = stage.node(Guarding::Off);
        rows.push(measure(&stage, to, "edge, guard off, flooded", Beside::Flood, seconds)?);
    }
    match nginx(seconds) {
        Ok(more) => rows.extend(more),
        Err(why) => println!("nginx with nftables: not measured: {why}"),
    }
    told(&rows)
}

fn measure(
    stage: &Stage,
    to: SocketAddr,
    name: &'static str,
    beside: Beside,
    seconds: f64,
) -> Outcome<Row> {
    let hardware = (stage.server.hardware(SERVER_INTERFACE), stage.client.hardware("c0"));
    let [a, b, c, d] = [10, 77, 0, 1];
    let packet = template(hardware, ([a, b, c, d], to.port()), 40_000, SYN);
    let aim = Aim::new(packet, FIRST_SOURCE, SOURCES, 1, stage.client.index("c0"));
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    // Warm, and proven.
    good_clients(&stage.client, to, stage.file, CLIENTS, 0.5);
    std::thread::scope(|scope| {
        let flood = (beside != Beside::Nothing)
            .then(|| scope.spawn(|| stage.client.run(|| shoot(aim, beside, &over, &sent))));
        if flood.is_some() {
            while sent.load(Relaxed) == 0
                && !flood.as_ref().is_some_and(|flood| flood.is_finished())
            {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let before = sent.load(Relaxed);
        let got = good_clients(&stage.client, to, stage.file, CLIENTS, seconds);
        let packets = sent.load(Relaxed) - before;
        over.store(true, Relaxed);
        if let Some(flood) = flood {
            flood.join().expect("the flood")?;
        }
        Ok(Row { name, packets_per_s: packets as f64 / got.seconds, got })
    })
}

fn shoot(aim: Aim, beside: Beside, over: &AtomicBool, sent: &AtomicU64) -> Result<(), String> {
    let mut only = CpuSet::new();
    only.set(FLOOD_CPU);
    sched_setaffinity(None, &only).map_err(|error| error.to_string())?;
    let mut range = Range::load()?;
    // Answers to addresses nobody has end here, before they cost a client's host anything.
    range.sift("c0");
    range.aim(aim);
    while !over.load(Relaxed) {
        match beside {
            Beside::Flood => range.shoot(VOLLEY),
            _ => drop(range.measure(None, VOLLEY)),
        }
        sent.fetch_add(VOLLEY.into(), Relaxed);
    }
    Ok(())
}

/// nginx behind the limits that operators write with nftables, quiet and flooded.
fn nginx(seconds: f64) -> Outcome<Vec<Row>> {
    let stage = Stage::new(FILE_BYTES)?;
    let port = 8080;
    let text = format!(
        "worker_processes 1; daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; sendfile on; keepalive_requests 1000;\n\
         server {{ listen 10.77.0.1:{port} backlog=4096; root {dir}/www; }} }}\n",
        dir = stage.dir().display()
    );
    let config = stage.dir().join("nginx.conf");
    std::fs::write(&config, text)?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&config);
    let _nginx = stage.server.run(|| Process::spawn("nginx", &mut command));
    let rules = format!(
        "table inet limits {{\n set askers {{ type ipv4_addr; size 65535; flags dynamic; timeout 10s; }}\n \
         chain input {{ type filter hook input priority filter;\n \
         ct state invalid drop\n \
         tcp dport {port} ct state new add @askers {{ ip saddr limit rate over 500/second burst 1000 packets }} drop\n \
         tcp dport {port} tcp flags & (syn | ack) == syn limit rate over 20000/second burst 20000 packets drop\n\
         }}\n}}\n"
    );
    let file = stage.dir().join("limits.nft");
    std::fs::write(&file, rules)?;
    let done = stage.server.run(|| Command::new("nft").arg("-f").arg(&file).output())?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
    }
    let to: SocketAddr = format!("10.77.0.1:{port}").parse()?;
    let quiet = measure(&stage, to, "nginx, nftables limits, quiet", Beside::Nothing, seconds)?;
    let flooded = measure(&stage, to, "nginx, nftables limits, flooded", Beside::Flood, seconds)?;
    Ok(vec![quiet, flooded])
}

fn told(rows: &[Row]) -> Outcome<()> {
    let mut table = format!(
        "# Good clients beside a flood of SYN segments\n\n{CLIENTS} clients, {} KiB a request, ten requests a \
         connection; {SOURCES} source addresses; the flood on one CPU\n\n\
         | | MiB/s | p50 ms | p99 ms | requests | failed | flood, packets/s |\n|---|---|---|---|---|---|---|\n",
        FILE_BYTES >> 10
    );
    let mut json = Vec::new();
    for Row { name, got, packets_per_s } in rows {
        let (p50, p99) = (got.percentile_ms(50), got.percentile_ms(99));
        let rate = got.mib_per_s();
        let Got { requests, failures, .. } = got;
        writeln!(
            table,
            "| {name} | {rate:.0} | {p50:.2} | {p99:.2} | {requests} | {failures} | {packets_per_s:.0} |"
        )?;
        json.push(json!({ "name": name, "mib_per_s": rate, "p50_ms": p50, "p99_ms": p99,
            "requests": requests, "failures": failures, "packets_per_s": packets_per_s }));
    }
    let of = |part: &str| rows.iter().find(|row| row.name.ends_with(part)).map(|row| &row.got);
    if let (Some(burnt), Some(flooded)) = (of("burnt elsewhere"), of("guard on, flooded")) {
        let share = flooded.mib_per_s() / burnt.mib_per_s();
        let times = flooded.percentile_ms(99) / burnt.percentile_ms(99);
        let said = |met: bool| if met { "met" } else { "NOT met" };
        writeln!(
            table,
            "\nAgainst the CPU burnt elsewhere: throughput {share:.2}x (>= 0.95: {}), p99 {times:.2}x (<= 1.5: {})",
            said(share >= 0.95),
            said(times <= 1.5)
        )?;
    }
    report("flood", &table, &json)
}
