//! Maps outlive the node and its mistakes: pins, bans, reloads, readers of other processes.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use edge::config;
use edge::guard::{Action, Guard, GuardError, GuardNote, Maps, Prefix, Program};
use edge_common::reason;

use crate::bpffs::{Bpffs, load, rules};
use crate::frames::*;

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn banned(maps: &Maps) -> Vec<String> {
    let bans = maps.bans().unwrap();
    bans.iter().map(|ban| format!("{} {}", ban.prefix, ban.reason)).collect()
}

/// A guard that is on, though the interface it is to attach to does not exist.
fn start(config: &config::Guard) -> (Guard, Vec<GuardNote>) {
    let config = config::Guard { interfaces: vec!["none-such".to_owned()], ..config.clone() };
    let (guard, notes) = Guard::start(&config);
    assert_eq!(guard.state().off, None);
    (guard, notes)
}

#[test]
fn bans_and_flows_hold_across_restarts() {
    let Some(bpffs) = Bpffs::mount() else { return };
    let config = bpffs.config();
    let Some((mut program, notes)) = load(&config) else { return };
    assert!(notes.is_empty(), "{notes:?}");
    program.test_run(&frame4(&ipv4(TCP, 0, &tcp(2))), 1).unwrap();
    let mut maps = Maps::open(&bpffs.pin_dir()).unwrap();
    maps.ban(prefix("203.0.113.0/24"), reason::SCAN, None).unwrap();
    drop((program, maps));

    let (_program, notes) = load(&config).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    let maps = Maps::open(&bpffs.pin_dir()).unwrap();
    assert_eq!(banned(&maps), ["203.0.113.0/24 scan"]);
    let flows = maps.flows().unwrap();
    assert_eq!(flows.len(), 1);
    assert_eq!((flows[0].packets, flows[0].tcp_flags), (1, 2));

    // Another size: the tables sized by it go, with a word about it; the bans stay.
    let (_program, notes) = load(&config::Guard { flows: 2048, ..config }).unwrap();
    let notes: Vec<String> = notes.iter().map(GuardNote::to_string).collect();
    let sizes = [("flows", 1024, 2048), ("strangers", 256, 512), ("conns", 1024, 2048)];
    let replaced = sizes.map(|(map, got, needed)| {
        format!(
            "guard map {map} was replaced by an empty one: it has {got} entries, {needed} are needed"
        )
    });
    assert_eq!(notes, replaced);
    let maps = Maps::open(&bpffs.pin_dir()).unwrap();
    assert_eq!((maps.flows().unwrap().len(), maps.flows_max()), (0, 2048));
    assert_eq!(banned(&maps), ["203.0.113.0/24 scan"]);
}

#[test]
fn maps_of_another_layout_are_not_read_and_replaced_at_the_next_start() {
    let Some(bpffs) = Bpffs::mount() else { return };
    let Some((_program, _)) = load(&bpffs.config()) else { return };
    Maps::open(&bpffs.pin_dir())
        .unwrap()
        .ban(prefix("203.0.113.9"), reason::OPERATOR, None)
        .unwrap();
    let settings = bpffs.pin_dir().join("settings");
    let args = ["map", "update", "pinned", settings.to_str().unwrap()];
    let mut value = vec!["0"; size_of::<edge_common::Settings>()];
    value[0] = "99";
    let key = ["key", "0", "0", "0", "0", "value"];
    match Command::new("bpftool").args(args).args(key).args(value).status() {
        Ok(status) => assert!(status.success()),
        Err(error) => return println!("SKIP: bpftool: {error}"),
    }
    let error = Maps::open(&bpffs.pin_dir()).unwrap_err();
    assert!(matches!(error, GuardError::Layout { got: 99, .. }), "{error}");

    let (_program, notes) = load(&bpffs.config()).unwrap();
    assert_eq!(notes.len(), 16, "{notes:?}");
    assert_eq!(banned(&Maps::open(&bpffs.pin_dir()).unwrap()), [""; 0]);
}

#[test]
fn a_reload_brings_the_lists_in_step_and_keeps_bans() {
    let Some(bpffs) = Bpffs::mount() else { return };
    if load(&bpffs.config()).is_none() {
        return;
    }
    let lists = |allow: &[&str], deny: &[&str]| config::Guard {
        interfaces: vec!["none-such".to_owned()],
        allow: allow.iter().map(|text| (*text).to_owned()).collect(),
        deny: deny.iter().map(|text| (*text).to_owned()).collect(),
        ..bpffs.config()
    };
    let (mut guard, _) = start(&lists(&["10.0.0.0/8"], &["192.0.2.0/24", "2001:db8::/32"]));
    let mut other_process = Maps::open(&bpffs.pin_dir()).unwrap();
    other_process.ban(prefix("203.0.113.9"), reason::FLOOD, None).unwrap();
    assert_eq!(
        banned(guard.maps().unwrap()),
        ["192.0.2.0/24 config", "203.0.113.9 flood", "2001:db8::/32 config"]
    );

    let notes = guard.reload(&lists(&[], &["2001:db8::/32", "10.0.0.1/8", "nonsense"]));
    let notes: Vec<String> = notes.iter().map(GuardNote::to_string).collect();
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(notes[0].starts_with("guard.deny: \"10.0.0.1/8\" has bits beyond"), "{notes:?}");
    assert!(notes[1].starts_with("guard.deny: \"nonsense\" is no address"), "{notes:?}");
    assert_eq!(notes[2], "guard not attached to none-such: no such interface");
    assert_eq!(banned(&other_process), ["203.0.113.9 flood", "2001:db8::/32 config"]);

    // Off, and on again.
    guard.reload(&bpffs.config());
    assert!(guard.maps().is_none());
    guard.reload(&lists(&[], &[]));
    assert_eq!(banned(guard.maps().unwrap()), ["203.0.113.9 flood"]);
}

#[test]
fn bans_by_hand_keep_off_the_configured_ones() {
    let Some(bpffs) = Bpffs::mount() else { return };
    if load(&bpffs.config()).is_none() {
        return;
    }
    let (_guard, _) =
        start(&config::Guard { deny: vec!["192.0.2.0/24".to_owned()], ..bpffs.config() });
    let mut maps = Maps::open(&bpffs.pin_dir()).unwrap();
    let configured = prefix("192.0.2.0/24");
    let error = maps.ban(configured, reason::OPERATOR, None).unwrap_err();
    assert!(matches!(error, GuardError::Configured { .. }), "{error}");
    let error = maps.unban(configured).unwrap_err();
    assert!(matches!(error, GuardError::Configured { .. }), "{error}");
    // Inside it there may be one, and taking it away leaves the wider one.
    let inside = prefix("192.0.2.7");
    let error = maps.unban(inside).unwrap_err();
    assert!(matches!(error, GuardError::NotBanned { .. }), "{error}");
    maps.ban(inside, reason::OPERATOR, None).unwrap();
    maps.unban(inside).unwrap();
    assert_eq!(banned(&maps), ["192.0.2.0/24 config"]);
    for everybody in ["0.0.0.0/0", "::/0"] {
        let error = maps.ban(prefix(everybody), reason::OPERATOR, None).unwrap_err();
        assert!(matches!(error, GuardError::Everybody { .. }), "{error}");
    }
}

#[test]
fn an_ended_ban_does_not_open_the_network_around_it_and_is_swept() {
    let Some(bpffs) = Bpffs::mount() else { return };
    let Some((mut program, _)) = load(&bpffs.config()) else { return };
    let mut maps = Maps::open(&bpffs.pin_dir()).unwrap();
    maps.set_mode(config::GuardMode::Enforce).unwrap();
    maps.ban(prefix("192.0.2.0/24"), reason::SCAN, None).unwrap();
    for narrower in ["192.0.2.7", "192.0.2.6/31", "192.0.2.0/28"] {
        maps.ban(prefix(narrower), reason::FLOOD, Some(Duration::ZERO)).unwrap();
    }
    let frame = frame4(&ipv4(TCP, 0, &tcp(2)));
    let scanned = |maps: &Maps| {
        let totals = maps.totals().unwrap();
        totals.iter().find(|row| row.reason == "scan").unwrap().dropped_packets
    };
    // The kernel's clock is a tick behind: until it is past their end, the narrower ones may judge.
    for _ in 0..200 {
        assert_eq!(program.test_run(&frame, 1).unwrap(), Action::Drop);
        if scanned(&maps) > 0 {
            break;
        }
        sleep(Duration::from_millis(10));
    }
    assert!(scanned(&maps) > 0, "the wider ban never judged");
    assert_eq!(banned(&maps), ["192.0.2.0/24 scan"]);
    assert_eq!(maps.sweep().unwrap(), 3);
    assert_eq!(maps.sweep().unwrap(), 0);
}

#[test]
fn bpftool_prints_every_map_and_the_fields_by_name() {
    let Some(bpffs) = Bpffs::mount() else { return };
    let Some((mut program, _)) = load(&bpffs.config()) else { return };
    program.test_run(&frame4(&ipv4(TCP, 0, &tcp(2))), 1).unwrap();
    let mut maps = Maps::open(&bpffs.pin_dir()).unwrap();
    maps.ban(prefix("203.0.113.9"), reason::OPERATOR, None).unwrap();
    maps.ban(prefix("198.18.0.0/15"), reason::OPERATOR, None).unwrap();
    for pin in std::fs::read_dir(bpffs.pin_dir()).unwrap() {
        let path = pin.unwrap().path();
        let dump = Command::new("bpftool").args(["map", "dump", "pinned"]).arg(&path).output();
        let Ok(dump) = dump else { break };
        assert!(dump.status.success(), "{}: {dump:?}", path.display());
    }
    for (map, fields) in [
        (
            "strangers",
            &["remote_port", "local_port", "protocol", "packets", "bytes", "last_ns"][..],
        ),
        ("deny4", &["prefix_len", "address", "until_ns", "reason", "prefix_bits"]),
        ("deny_hosts", &["until_ns", "packets", "reason"]),
        ("unproven", &["syn_ns", "limited_packets"]),
        ("budgets", &["handshake_ns", "stray_ns", "stranger_ns"]),
        ("totals", &["packets", "bytes", "dropped_packets"]),
        ("settings", &["layout", "mode"]),
    ] {
        let path = bpffs.pin_dir().join(map);
        let dump = Command::new("bpftool").args(["map", "dump", "pinned"]).arg(path).output();
        let dump = match dump {
            Ok(dump) => dump,
            Err(error) => return println!("SKIP: bpftool: {error}"),
        };
        let text = String::from_utf8_lossy(&dump.stdout);
        for field in fields {
            assert!(text.contains(&format!("\"{field}\"")), "{map}: no {field} in:\n{text}");
        }
    }
}

#[test]
fn without_a_bpf_file_system_the_guard_is_off_and_says_so() {
    if !edge::guard::is_built_in() {
        return println!("SKIP: built without the kernel program: run `cargo xtask ebpf` first");
    }
    let dir = tempfile::TempDir::new().unwrap();
    let config = config::Guard {
        limits: Vec::new(),
        exempt_loopback: true,
        interfaces: vec!["lo".to_owned()],
        mode: config::GuardMode::Enforce,
        flows: 16,
        clients: 16,
        rules: rules(),
        allow: Vec::new(),
        deny: Vec::new(),
        pin_dir: dir.path().join("edge"),
    };
    let (guard, notes) = Guard::start(&config);
    assert!(matches!(notes[..], [GuardNote::Off { error: GuardError::NotBpffs { .. } }]));
    assert!(guard.state().off.unwrap().contains("choose a pin_dir in /sys/fs/bpf"));
    let error = Maps::open(&config.pin_dir).unwrap_err();
    assert!(matches!(error, GuardError::NoMaps { .. }), "{error}");
}

#[test]
fn a_folder_somebody_else_made_is_not_trusted() {
    let Some(bpffs) = Bpffs::mount() else { return };
    if load(&bpffs.config()).is_none() {
        return;
    }
    std::os::unix::fs::chown(bpffs.pin_dir(), Some(65_534), None).unwrap();
    let error = Program::load(&bpffs.config(), &mut Vec::new()).unwrap_err();
    assert!(matches!(error, GuardError::NotOurs { .. }), "{error}");
}
