//! Downloads that are held to a rate: whether they come as fast as was asked, and what they cost beside
//! downloads that are not.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Barrier;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rustix::net::{RecvFlags, recv};

use super::arena::{Arena, LARGE, heat};
use super::load::{client::head_of, connect, get};
use super::measure::median;
use super::own::Node;
use super::report::{Table, number};
use super::runs::Pace;
use crate::sh;

/// Downloads at once, and the rate of each, bytes a second.
const CROWDS: [(usize, u64); 3] = [(1, 50_000_000), (100, 1_000_000), (1_000, 100_000)];
/// What a reader thread needs.
const STACK_BYTES: usize = 256 << 10;
/// What a network's packets carry; loopback's own are as long as nobody else's.
const MTU: &str = "1500";

/// What came of one crowd.
struct Crowd {
    /// Of each: bytes a second from its request to its last byte.
    rates: Vec<f64>,
    bytes: u64,
    cpu_s: f64,
}

/// Measures every crowd, held and not.
pub fn shape(case: &str, arena: &Arena, pace: &Pace) -> Result<Vec<Table>> {
    heat(&arena.large()?)?;
    if arena.is_own_network {
        sh::read(Command::new("ip").args(["link", "set", "lo", "mtu", MTU]))?;
    }
    let measured = crowds(arena, pace);
    if arena.is_own_network {
        sh::read(Command::new("ip").args(["link", "set", "lo", "mtu", "65536"]))?;
    }
    let header = [
        "downloads",
        "asked, kB/s",
        "median / asked",
        "slowest / asked",
        "fastest / asked",
        "CPU-s/GB",
        "CPU-s/GB unlimited",
        "ratio",
    ];
    let note = format!(
        "whole downloads, request to last byte, MTU {MTU}; to reach: within 0.95 to 1.05, ratio at most 1.1. CPU is \
         the process's: what the kernel's timers send on is charged to nobody"
    );
    Ok(vec![Table::plain(case, note, &header, measured?)])
}

fn crowds(arena: &Arena, pace: &Pace) -> Result<Vec<Vec<String>>> {
    let sites = format!(
        "[[site]]\nhosts = [\"held\"]\norigin = [\"file://{0}\"]\n[site.shape]\nrate_argument = \"rate\"\n\
         [[site]]\nhosts = [\"*\"]\norigin = [\"file://{0}\"]\n",
        arena.root().display()
    );
    let seconds = if pace.quick { 5 } else { 15 };
    let mut rows = Vec::new();
    for (count, rate) in CROWDS {
        let node = Node::start(arena, "shape", &arena.cores, &sites)?;
        let len = rate * seconds;
        let path = format!("/{}?rate={rate}", LARGE.0);
        let held = crowd(&node, count, 1, &request(&path, "held", len), len)?;
        // Long enough for its CPU time to be more than a few ticks.
        let rounds = (6 << 30) / (len * count as u64) + 1;
        let free = request(&format!("/{}", LARGE.0), "free", len);
        let free = crowd(&node, count, rounds, &free, len)?;
        let asked = |value: f64| number(value / rate as f64, 3);
        let edge =
            |pick: fn(f64, f64) -> f64| held.rates.iter().copied().reduce(pick).unwrap_or(f64::NAN);
        rows.push(vec![
            count.to_string(),
            (rate / 1000).to_string(),
            asked(median(held.rates.clone())),
            asked(edge(f64::min)),
            asked(edge(f64::max)),
            number(held.per_gb(), 3),
            number(free.per_gb(), 3),
            number(held.per_gb() / free.per_gb(), 2),
        ]);
    }
    Ok(rows)
}

/// The first `len` bytes of the large file.
fn request(path: &str, host: &str, len: u64) -> Vec<u8> {
    let text = String::from_utf8_lossy(&get(path, Some((0, len.min(LARGE.1))), false)).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with("Host:"));
    let text: String =
        lines.filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
    format!("{text}Host: {host}\r\n\r\n").into_bytes()
}

impl Crowd {
    fn per_gb(&self) -> f64 {
        self.cpu_s / (self.bytes as f64 / 1e9)
    }
}

/// `count` downloads at once, each `rounds` times.
fn crowd(node: &Node, count: usize, rounds: u64, request: &[u8], len: u64) -> Result<Crowd> {
    let (begin, address) = (Barrier::new(count + 1), node.address);
    std::thread::scope(|scope| {
        let reader = || {
            let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, || downloads(address, rounds, request, len, &begin))
        };
        let readers = (0..count).map(|_| reader()).collect::<Result<Vec<_>, _>>();
        let readers = readers.context("could not start a reader")?;
        begin.wait();
        let cpu_s = node.processes.cpu_s();
        let mut rates = Vec::new();
        for reader in readers {
            rates.push(reader.join().expect("a reader does not panic")?);
        }
        let cpu_s = node.processes.cpu_s() - cpu_s;
        Ok(Crowd { rates, bytes: count as u64 * rounds * len, cpu_s })
    })
}

/// Bytes a second, on average.
fn downloads(
    address: SocketAddr,
    rounds: u64,
    request: &[u8],
    len: u64,
    begin: &Barrier,
) -> Result<f64> {
    let stream = connect(address);
    // Everybody waits for everybody, also when somebody has failed.
    begin.wait();
    let mut stream = stream?;
    let since = Instant::now();
    for _ in 0..rounds {
        stream.write_all(request).context("could not ask")?;
        let mut head = Vec::new();
        let mut scratch = vec![0; 64 << 10];
        let mut missing = loop {
            let got = stream.read(&mut scratch[..4096]).context("could not read an answer")?;
            ensure!(got > 0, "the server closed before its answer");
            head.extend_from_slice(&scratch[..got]);
            if let Some(answer) = head_of(&head)? {
                ensure!(answer.status == 206, "status {}", answer.status);
                break answer.body - (head.len() - answer.len) as u64;
            }
        };
        while missing > 0 {
            let want = missing.min(scratch.len() as u64) as usize;
            // Thrown away in the kernel: the readers are not what is measured.
            let (_, got) = recv(&stream, &mut scratch[..want], RecvFlags::TRUNC)?;
            ensure!(got > 0, "the server closed before the end of its answer");
            missing -= got as u64;
        }
    }
    Ok((rounds * len) as f64 / since.elapsed().as_secs_f64())
}
