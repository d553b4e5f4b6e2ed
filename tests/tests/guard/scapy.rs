//! Packets that an independent implementation crafted, in every state of the lists: the verdict.

use std::path::{Path, PathBuf};
use std::process::Command;

use edge::config;
use edge::guard::{Action, Guard, Maps, Prefix, Program};
use edge_common::reason;
use serde_json::Value;

use crate::bpffs::{Bpffs, load};

const SOURCES: [&str; 2] = ["192.0.2.0/24", "2001:db8::/64"];

/// One packet and what is to be said of it.
struct Case {
    name: String,
    frame: Vec<u8>,
    verdict: String,
    /// Whether its source can be read.
    known: bool,
}

#[test]
fn the_verdict_is_right_for_every_packet_in_every_state() {
    let Some(cases) = cases() else { return };
    assert!(cases.len() > 1_000, "{} packets", cases.len());
    for (state, listed) in
        [("plain", None), ("denied", Some("flood")), ("allowed", Some("allowed"))]
    {
        let Some((mut program, maps, _bpffs)) = prepared(state) else { return };
        for case in &cases {
            let wanted = match listed {
                Some(listed) if case.known => listed,
                _ => case.verdict.as_str(),
            };
            let context = format!("{state}: {}", case.name);
            let before = count(&maps, wanted);
            let action = program.test_run(&case.frame, 1).unwrap();
            assert_eq!(count(&maps, wanted) - before, 1, "{context}: not {wanted}");
            let drops = reason::drops(reason::parse(wanted).unwrap());
            assert_eq!(action, if drops { Action::Drop } else { Action::Pass }, "{context}");
        }
    }
}

fn prepared(state: &str) -> Option<(Program, Maps, Bpffs)> {
    let bpffs = Bpffs::mount()?;
    let config = bpffs.config();
    let (program, _) = load(&config)?;
    let lists: Vec<String> = SOURCES.iter().map(ToString::to_string).collect();
    let allow = if state == "allowed" { lists } else { Vec::new() };
    // Lists and rules are written by a guard; it needs an interface to be on, but not to find it.
    let on = config::Guard { interfaces: vec!["none-such".to_owned()], allow, ..config };
    let (guard, notes) = Guard::start(&on);
    assert_eq!(guard.state().off, None, "{notes:?}");
    let mut maps = Maps::open(&bpffs.pin_dir()).unwrap();
    if state == "denied" {
        for prefix in SOURCES {
            maps.ban(prefix.parse::<Prefix>().unwrap(), reason::FLOOD, None).unwrap();
        }
    }
    Some((program, maps, bpffs))
}

fn count(maps: &Maps, reason: &str) -> u64 {
    let totals = maps.totals().unwrap();
    totals.iter().find(|row| row.reason == reason).unwrap_or_else(|| panic!("{reason}")).packets
}

/// `None`, with a line, without scapy.
fn cases() -> Option<Vec<Case>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = root.join("../target/scapy/bin/python3");
    let python = if own.is_file() { own } else { PathBuf::from("python3") };
    let output = Command::new(python).arg(root.join("assets/packets.py")).output();
    let text = match output {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("No module named 'scapy'"), "{said}");
            println!("SKIP: no scapy: `cargo xtask test` installs it");
            return None;
        }
        Err(error) => {
            println!("SKIP: no python3: {error}");
            return None;
        }
    };
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    Some(lines.map(|line| case(&line)).collect())
}

fn case(line: &Value) -> Case {
    let text = |name: &str| line[name].as_str().unwrap().to_owned();
    let hex = text("frame");
    let pairs = (0..hex.len() / 2).map(|at| &hex[at * 2..at * 2 + 2]);
    Case {
        name: text("name"),
        frame: pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect(),
        verdict: text("verdict"),
        known: line["known"].as_bool().unwrap(),
    }
}
