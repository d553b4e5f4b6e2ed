//! Every shape of packet under every policy: verdict, totals, flow, and the ban's own counts.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use edge::config::GuardMode;
use edge::guard::{Action, FlowRow, Maps, Prefix, Program};
use edge_common::reason;

use crate::bpffs::{Bpffs, load};
use crate::frames::*;

/// One frame and what it is.
struct Case {
    name: String,
    frame: Vec<u8>,
    shape: u32,
    /// Whose it is; `None`: no address can be read.
    source: Option<IpAddr>,
    /// Protocol and whether it has ports, when it is accounted for.
    flow: Option<(u8, bool)>,
}

/// What the lists say of every client.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Policy {
    Nothing,
    Allowed,
    AllowedAndDenied,
    Denied,
    Ended,
    Observed,
}

/// Times each frame is run: one flow is then seen new and known.
const REPEATS: u64 = 3;

fn case(name: &str, frame: Vec<u8>, shape: u32, source: Option<IpAddr>) -> Case {
    Case { name: name.to_owned(), frame, shape, source, flow: None }
}

fn whole4(name: &str, packet: &[u8], protocol: u8, ports: bool) -> Case {
    let flow = Some((protocol, ports));
    Case { flow, ..case(name, frame4(packet), reason::PASSED, Some(CLIENT4.into())) }
}

fn whole6(name: &str, packet: &[u8], protocol: u8, ports: bool) -> Case {
    let flow = Some((protocol, ports));
    Case { flow, ..case(name, frame6(packet), reason::PASSED, Some(CLIENT6.into())) }
}

fn bad4(name: &str, packet: &[u8]) -> Case {
    case(name, frame4(packet), reason::MALFORMED, Some(CLIENT4.into()))
}

fn bad6(name: &str, packet: &[u8]) -> Case {
    case(name, frame6(packet), reason::MALFORMED, Some(CLIENT6.into()))
}

/// A fragment after the first, with this flags and offset field.
fn later4(name: &str, fragment: u16) -> Case {
    let frame = frame4(&ipv4(UDP, fragment, &[0; 40]));
    let flow = Some((UDP, false));
    Case { flow, ..case(name, frame, reason::FRAGMENT, Some(CLIENT4.into())) }
}

fn later6(name: &str, offset_and_flags: u16) -> Case {
    let [high, low] = offset_and_flags.to_be_bytes();
    let payload = [[UDP, 0, high, low, 0, 0, 0, 1].as_slice(), &[0; 40]].concat();
    let frame = frame6(&ipv6(FRAGMENT, &payload));
    let flow = Some((UDP, false));
    Case { flow, ..case(name, frame, reason::FRAGMENT, Some(CLIENT6.into())) }
}

fn ipv4_cases() -> Vec<Case> {
    let plain = ipv4(TCP, 0, &tcp(0x02));
    let padded = [plain.as_slice(), &[0; 6]].concat();
    let edited = |at: usize, value: u8| {
        let mut packet = plain.clone();
        packet[at] = value;
        packet
    };
    vec![
        whole4("v4 tcp", &plain, TCP, true),
        whole4("v4 tcp fin ack", &ipv4(TCP, 0, &tcp(0x11)), TCP, true),
        whole4("v4 udp", &ipv4(UDP, 0, &udp(b"hello")), UDP, true),
        whole4("v4 icmp", &ipv4(ICMP, 0, &icmp()), ICMP, false),
        whole4("v4 do not fragment", &ipv4(TCP, 0x4000, &tcp(0x10)), TCP, true),
        whole4("v4 4 option bytes", &ipv4_with_options(TCP, 0, &[1; 4], &tcp(2)), TCP, true),
        whole4("v4 40 option bytes", &ipv4_with_options(UDP, 0, &[1; 40], &udp(b"")), UDP, true),
        whole4("v4 padded", &padded, TCP, true),
        whole4("v4 of unsaid length", &edited(3, 0), TCP, true),
        whole4("v4 first fragment", &ipv4(UDP, 0x2000, &udp(&[0; 40])), UDP, true),
        later4("v4 fragment at 8 bytes", 0x0001),
        later4("v4 fragment at 1480 bytes", 0x20b9),
        later4("v4 fragment at 32 KiB", 0x1000),
        case("v4 of version 5", frame4(&edited(0, 0x55)), reason::MALFORMED, None),
        bad4("v4 header of 16 bytes", &edited(0, 0x44)),
        bad4("v4 header longer than packet", &edited(0, 0x4f)),
        bad4("v4 shorter than its header", &edited(3, 19)),
        bad4("v4 longer than the frame", &edited(3, 41)),
        bad4("v4 tiny first fragment", &ipv4(TCP, 0x2000, &tcp(2)[..8])),
        bad4("v4 udp of 7 bytes", &ipv4(UDP, 0, &udp(b"")[..7])),
        bad4("v4 tcp whose end is padding", &{
            let mut packet = padded.clone();
            packet[3] = 39;
            packet
        }),
    ]
}

fn ipv6_cases() -> Vec<Case> {
    let all = [HOP_BY_HOP, DESTINATION, ROUTING, FRAGMENT, AUTHENTICATION, MOBILITY];
    let eight = [DESTINATION; 8];
    let nine = [DESTINATION; 9];
    let mut jumbo = ipv6(TCP, &tcp(2));
    (jumbo[4], jumbo[5]) = (0, 0);
    let mut too_long = ipv6(TCP, &tcp(2));
    too_long[5] += 1;
    let mut other_version = ipv6(TCP, &tcp(2));
    other_version[0] = 0x40;
    let mut extension_too_long = ipv6_with(&[DESTINATION], TCP, &tcp(2));
    extension_too_long[41] = 5;
    vec![
        whole6("v6 tcp", &ipv6(TCP, &tcp(0x02)), TCP, true),
        whole6("v6 udp", &ipv6(UDP, &udp(b"hello")), UDP, true),
        whole6("v6 icmp", &ipv6(ICMP6, &icmp()), ICMP6, false),
        whole6("v6 of unsaid length", &jumbo, TCP, true),
        whole6("v6 hop by hop", &ipv6_with(&[HOP_BY_HOP], TCP, &tcp(2)), TCP, true),
        whole6("v6 authentication", &ipv6_with(&[AUTHENTICATION], TCP, &tcp(2)), TCP, true),
        whole6("v6 first fragment", &ipv6_with(&[FRAGMENT], UDP, &udp(&[0; 40])), UDP, true),
        whole6("v6 every extension", &ipv6_with(&all, TCP, &tcp(2)), TCP, true),
        whole6("v6 8 extensions", &ipv6_with(&eight, UDP, &udp(b"")), UDP, true),
        whole6("v6 nothing next", &ipv6_with(&[DESTINATION], NO_NEXT, &[]), NO_NEXT, false),
        later6("v6 fragment at 8 bytes", 0x0008),
        later6("v6 fragment at 1448 bytes", 0x05a9),
        later6("v6 fragment at 32 KiB", 0x8000),
        case("v6 of version 4", frame6(&other_version), reason::MALFORMED, None),
        case(
            "v6 9 extensions",
            frame6(&ipv6_with(&nine, UDP, &udp(b""))),
            reason::UNREAD,
            Some(CLIENT6.into()),
        ),
        bad6("v6 longer than the frame", &too_long),
        bad6("v6 extension beyond the packet", &extension_too_long),
        bad6("v6 tcp of 19 bytes", &ipv6(TCP, &tcp(2)[..19])),
    ]
}

fn link_cases() -> Vec<Case> {
    let (v4, v6) = (ipv4(TCP, 0, &tcp(2)), ipv6(UDP, &udp(b"hello")));
    let tagged = |case: Case, vlans: &[u16], kind, packet: &[u8]| Case {
        name: format!("{} in {} tags", case.name, vlans.len()),
        frame: ethernet(vlans, kind, packet),
        ..case
    };
    let arp = ethernet(&[], 0x0806, &[0; 28]);
    let tagged_arp = ethernet(&[0x8100], 0x0806, &[0; 28]);
    let three = ethernet(&[0x8100, 0x8100, 0x8100], 0x0800, &v4);
    vec![
        case("arp", arp, reason::NOT_IP, None),
        case("tagged arp", tagged_arp, reason::NOT_IP, None),
        case("three tags", three, reason::UNREAD, None),
        tagged(whole4("v4 tcp", &v4, TCP, true), &[0x8100], 0x0800, &v4),
        tagged(whole4("v4 tcp", &v4, TCP, true), &[0x88a8, 0x8100], 0x0800, &v4),
        tagged(whole6("v6 udp", &v6, UDP, true), &[0x8100], 0x86dd, &v6),
        tagged(whole6("v6 udp", &v6, UDP, true), &[0x88a8, 0x8100], 0x86dd, &v6),
    ]
}

/// Whole frames cut after every byte: never a wrong flow, and judged by the source once it is read.
fn cut_cases() -> Vec<Case> {
    let every = [HOP_BY_HOP, DESTINATION, ROUTING, FRAGMENT, AUTHENTICATION, MOBILITY];
    type Whole = (&'static [u16], u16, Vec<u8>, usize, IpAddr);
    let wholes: [Whole; 5] = [
        (&[], 0x0800, ipv4(TCP, 0, &tcp(2)), 20, CLIENT4.into()),
        (&[0x88a8, 0x8100], 0x0800, ipv4(UDP, 0, &udp(b"hello")), 20, CLIENT4.into()),
        (&[], 0x0800, ipv4(UDP, 0x00b9, &[0; 16]), 20, CLIENT4.into()),
        (&[0x8100], 0x86dd, ipv6(TCP, &tcp(2)), 40, CLIENT6.into()),
        (&[], 0x86dd, ipv6_with(&every, UDP, &udp(b"")), 40, CLIENT6.into()),
    ];
    let mut cases = Vec::new();
    for (vlans, kind, packet, header_bytes, source) in wholes {
        let frame = ethernet(vlans, kind, &packet);
        let addresses_end = frame.len() - packet.len() + header_bytes;
        // The kernel runs no program on less than an Ethernet header.
        for length in 14..frame.len() {
            let source = Some(source).filter(|_| length >= addresses_end);
            let name = format!("{kind:x} in {} tags cut to {length}", vlans.len());
            cases.push(case(&name, frame[..length].to_vec(), reason::MALFORMED, source));
        }
    }
    cases
}

fn every_case() -> Vec<Case> {
    [link_cases(), ipv4_cases(), ipv6_cases(), cut_cases()].into_iter().flatten().collect()
}

/// Loads the program with the policy in its lists and runs every case.
fn check(policy: Policy) {
    let Some(bpffs) = Bpffs::mount() else { return };
    let Some((mut program, _)) = load(&bpffs.config()) else { return };
    let mut maps = Maps::open(&bpffs.pin_dir()).unwrap();
    let mode = if policy == Policy::Observed { GuardMode::Observe } else { GuardMode::Enforce };
    maps.set_mode(mode).unwrap();
    drop(maps);
    let mut maps = apply(policy, &bpffs);
    if policy == Policy::Ended {
        wait_for_end(&mut program);
    }
    for case in every_case() {
        run(&mut program, &mut maps, policy, &case);
    }
}

fn apply(policy: Policy, bpffs: &Bpffs) -> Maps {
    let prefixes: [Prefix; 2] = [Prefix::host(CLIENT4.into()), Prefix::network(CLIENT6.into(), 64)];
    if matches!(policy, Policy::Allowed | Policy::AllowedAndDenied) {
        // The allow list is written by a configuration only.
        let config = edge::config::Guard {
            interfaces: vec!["none-such".to_owned()],
            allow: prefixes.iter().map(Prefix::to_string).collect(),
            ..bpffs.config()
        };
        let (guard, _) = edge::guard::Guard::start(&config);
        assert_eq!(guard.state().off, None);
    }
    let mut maps = Maps::open(&bpffs.pin_dir()).unwrap();
    let lasting = match policy {
        Policy::Nothing | Policy::Allowed => return maps,
        Policy::Ended => Some(Duration::ZERO),
        _ => Some(Duration::from_secs(3600)),
    };
    for prefix in prefixes {
        maps.ban(prefix, reason::ABUSE, lasting).unwrap();
    }
    maps
}

/// The kernel's clock is a tick behind the one a ban's end was read from.
fn wait_for_end(program: &mut Program) {
    for _ in 0..200 {
        let frames = [frame4(&ipv4(ICMP, 0, &icmp())), frame6(&ipv6(ICMP6, &icmp()))];
        if frames.iter().all(|frame| program.test_run(frame, 1).unwrap() == Action::Pass) {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("bans of no length did not end");
}

fn run(program: &mut Program, maps: &mut Maps, policy: Policy, case: &Case) {
    let context = format!("{policy:?}: {}", case.name);
    let judged = match policy {
        _ if case.source.is_none() => case.shape,
        Policy::Nothing | Policy::Ended => case.shape,
        Policy::Allowed | Policy::AllowedAndDenied => reason::ALLOWED,
        Policy::Denied | Policy::Observed => reason::ABUSE,
    };
    let drops = policy != Policy::Observed && reason::drops(judged);

    let before = counts(maps, case, judged);
    for _ in 0..REPEATS {
        let action = program.test_run(&case.frame, 1).unwrap();
        assert_eq!(action, if drops { Action::Drop } else { Action::Pass }, "{context}");
    }
    let after = counts(maps, case, judged);

    let (packets, bytes) = (REPEATS, REPEATS * case.frame.len() as u64);
    let added = after.minus(&before);
    assert_eq!(added.total, [packets, bytes], "{context}: total of {}", reason::as_str(judged));
    let dropped = if drops { [packets, bytes] } else { [0, 0] };
    assert_eq!(added.dropped, dropped, "{context}: dropped");
    assert_eq!(added.everything, packets, "{context}: counted under one reason only");
    let listed = if judged == reason::ABUSE { [packets, bytes] } else { [0, 0] };
    assert_eq!(added.ban, listed, "{context}: the ban's own counts");
    let accounted = if case.flow.is_some() && !drops { [packets, bytes] } else { [0, 0] };
    assert_eq!(added.flow, accounted, "{context}: flow");
    assert_eq!(added.every_flow, accounted[0], "{context}: no other flow");
}

/// Packets and bytes as the maps have them.
struct Counts {
    total: [u64; 2],
    dropped: [u64; 2],
    everything: u64,
    ban: [u64; 2],
    flow: [u64; 2],
    every_flow: u64,
}

impl Counts {
    fn minus(&self, before: &Counts) -> Counts {
        let pair = |now: [u64; 2], then: [u64; 2]| [now[0] - then[0], now[1] - then[1]];
        Counts {
            total: pair(self.total, before.total),
            dropped: pair(self.dropped, before.dropped),
            everything: self.everything - before.everything,
            ban: pair(self.ban, before.ban),
            flow: pair(self.flow, before.flow),
            every_flow: self.every_flow - before.every_flow,
        }
    }
}

fn counts(maps: &Maps, case: &Case, judged: u32) -> Counts {
    let totals = maps.totals().unwrap();
    let total = totals.iter().find(|row| row.reason == reason::as_str(judged)).unwrap();
    let bans = maps.bans().unwrap();
    let flows = maps.flows().unwrap();
    let flow = flows.iter().find(|row| is_flow_of(row, case));
    Counts {
        total: [total.packets, total.bytes],
        dropped: [total.dropped_packets, total.dropped_bytes],
        everything: totals.iter().map(|row| row.packets).sum(),
        ban: [bans.iter().map(|ban| ban.packets).sum(), bans.iter().map(|ban| ban.bytes).sum()],
        flow: flow.map_or([0, 0], |row| [row.packets, row.bytes]),
        every_flow: flows.iter().map(|row| row.packets).sum(),
    }
}

fn is_flow_of(row: &FlowRow, case: &Case) -> bool {
    let (Some(source), Some((protocol, ports))) = (case.source, case.flow) else {
        return false;
    };
    let server: IpAddr = if source.is_ipv4() { SERVER4.into() } else { SERVER6.into() };
    let (remote_port, local_port) = if ports { (CLIENT_PORT, SERVER_PORT) } else { (0, 0) };
    row.remote == (source, remote_port).into()
        && row.local == (server, local_port).into()
        && row.protocol == protocol
}

#[test]
fn without_lists_everything_passes_and_is_counted() {
    check(Policy::Nothing);
}

#[test]
fn allowed_sources_pass() {
    check(Policy::Allowed);
}

#[test]
fn allow_goes_before_deny() {
    check(Policy::AllowedAndDenied);
}

#[test]
fn banned_sources_are_dropped_however_broken_the_packet() {
    check(Policy::Denied);
}

#[test]
fn an_ended_ban_is_no_ban() {
    check(Policy::Ended);
}

#[test]
fn observing_counts_the_verdict_and_passes() {
    check(Policy::Observed);
}

#[test]
fn no_update_is_lost_when_cpus_share_a_flow_or_a_ban() {
    const TIMES: u32 = 1_000_000;
    let Some(bpffs) = Bpffs::mount() else { return };
    let Some((one, _)) = load(&bpffs.config()) else { return };
    // A second program on the same maps, so that both can run at once.
    let Some((two, _)) = load(&bpffs.config()) else { return };
    let mut maps = Maps::open(&bpffs.pin_dir()).unwrap();
    maps.ban(Prefix::host(CLIENT6.into()), reason::FLOOD, None).unwrap();
    let frames = [frame4(&ipv4(TCP, 0, &tcp(2))), frame6(&ipv6(UDP, &udp(b"hello")))];
    let together = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        for (index, mut program) in [one, two].into_iter().enumerate() {
            let (frames, together) = (&frames, &together);
            scope.spawn(move || {
                stay_on_cpu(index);
                for frame in frames {
                    together.wait();
                    program.test_run(frame, TIMES).unwrap();
                }
            });
        }
    });
    let packets = u64::from(TIMES) * 2;
    let flow = maps.flows().unwrap().into_iter().find(|row| row.remote.is_ipv4()).unwrap();
    assert_eq!([flow.packets, flow.bytes], [packets, packets * frames[0].len() as u64]);
    let ban = maps.bans().unwrap()[0];
    assert_eq!([ban.packets, ban.bytes], [packets, packets * frames[1].len() as u64]);
    let totals = maps.totals().unwrap();
    let counted: u64 = totals.iter().map(|row| row.packets).sum();
    assert_eq!(counted, 2 * packets);
}

/// Pins the thread to the `index`th CPU it may run on, if there are that many.
fn stay_on_cpu(index: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let mine = sched_getaffinity(None).unwrap();
    if let Some(cpu) = (0..CpuSet::MAX_CPU).filter(|cpu| mine.is_set(*cpu)).nth(index) {
        let mut only = CpuSet::new();
        only.set(cpu);
        sched_setaffinity(None, &only).unwrap();
    }
}
