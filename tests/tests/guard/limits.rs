//! What is dropped by itself: limits by client, policies, impossible packets, exempt ports.

use edge::config::{self, GuardLimit, GuardMode, GuardPolicy, GuardRules};
use edge::guard::{Action, Guard, Maps, Program};

use crate::bpffs::{Bpffs, load};
use crate::frames::*;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
/// A bucket that is full again only after the test has long ended.
const SLOW: GuardLimit = GuardLimit { per_s: 1, burst: 5 };
const NO_LIMIT: GuardLimit = GuardLimit { per_s: 0, burst: 0 };

/// A loaded program under rules of its own.
struct Judge {
    program: Program,
    maps: Maps,
    _bpffs: Bpffs,
}

impl Judge {
    /// `None` where the kernel program cannot be tested.
    fn new(mode: GuardMode, change: impl FnOnce(&mut GuardRules)) -> Option<Judge> {
        let bpffs = Bpffs::mount()?;
        let mut config = config::Guard { mode, ..bpffs.config() };
        (config.rules.syn, config.rules.packets, config.rules.bytes) =
            (NO_LIMIT, NO_LIMIT, NO_LIMIT);
        change(&mut config.rules);
        let (program, _) = load(&config)?;
        // Rules are written by a guard; it needs an interface to be on, but not to find it.
        let on = config::Guard { interfaces: vec!["none-such".to_owned()], ..config };
        let (guard, notes) = Guard::start(&on);
        assert_eq!(guard.state().off, None, "{notes:?}");
        let maps = Maps::open(&bpffs.pin_dir()).unwrap();
        Some(Judge { program, maps, _bpffs: bpffs })
    }

    /// How many of `times` equal frames pass.
    fn passed(&mut self, frame: &[u8], times: usize) -> usize {
        let actions = (0..times).map(|_| self.program.test_run(frame, 1).unwrap());
        actions.filter(|action| *action == Action::Pass).count()
    }

    /// Packets judged and packets dropped for `reason`.
    fn counted(&self, reason: &str) -> [u64; 2] {
        let totals = self.maps.totals().unwrap();
        let row = totals.iter().find(|row| row.reason == reason).unwrap();
        [row.packets, row.dropped_packets]
    }
}

fn segment(flags: u8) -> Vec<u8> {
    frame4(&ipv4(TCP, 0, &tcp(flags)))
}

/// A segment from another address than the others.
fn segment_from(last: u8, flags: u8) -> Vec<u8> {
    let mut packet = ipv4(TCP, 0, &tcp(flags));
    packet[15] = last;
    frame4(&packet)
}

fn to_port(port: u16, mut payload: Vec<u8>) -> Vec<u8> {
    payload[2..4].copy_from_slice(&port.to_be_bytes());
    payload
}

#[test]
fn connection_attempts_over_the_limit_are_dropped_and_what_is_connected_goes_on() {
    let Some(mut judge) = Judge::new(GuardMode::Enforce, |rules| rules.syn = SLOW) else { return };
    assert_eq!(judge.passed(&segment(SYN), 20), 5);
    assert_eq!(judge.counted("syn_rate"), [15, 15]);
    assert_eq!(judge.passed(&segment(ACK), 20), 20, "no attempt");
    assert_eq!(judge.passed(&segment_from(200, SYN), 5), 5, "another client");
    let v6 = frame6(&ipv6(TCP, &tcp(SYN)));
    assert_eq!(judge.passed(&v6, 20), 5, "IPv6 as well");
}

#[test]
fn packets_and_bytes_have_limits_of_their_own() {
    let limit = |rules: &mut GuardRules| rules.packets = SLOW;
    let Some(mut judge) = Judge::new(GuardMode::Enforce, limit) else { return };
    assert_eq!(judge.passed(&segment(ACK), 20), 5);
    assert_eq!(judge.counted("packet_rate"), [15, 15]);

    let bytes = segment(ACK).len() as u64;
    let burst = 4 * bytes;
    let limit = |rules: &mut GuardRules| rules.bytes = GuardLimit { per_s: 64, burst };
    let Some(mut judge) = Judge::new(GuardMode::Enforce, limit) else { return };
    assert_eq!(judge.passed(&segment(ACK), 20), 4);
    assert_eq!(judge.counted("byte_rate"), [16, 16]);
}

#[test]
fn why_names_the_limit_that_decides() {
    let Some(mut judge) = Judge::new(GuardMode::Enforce, |rules| rules.syn = SLOW) else { return };
    let client = CLIENT4.into();
    let before = judge.maps.why(client).unwrap();
    assert_eq!((before.proven, before.limited, before.buckets.len()), (false, None, 1));
    assert_eq!((before.buckets[0].left, before.buckets[0].burst), (5, 5));
    judge.passed(&segment(SYN), 8);
    let after = judge.maps.why(client).unwrap();
    assert_eq!((after.limited_packets, after.limited.unwrap().reason), (3, "syn_rate"));
    assert_eq!(
        (after.client.to_string(), after.buckets[0].reason),
        ("192.0.2.7".to_owned(), "syn_rate")
    );
    judge.maps.ban("192.0.2.0/24".parse().unwrap(), edge_common::reason::SCAN, None).unwrap();
    assert_eq!(judge.maps.why(client).unwrap().bans[0].reason, "scan");
    assert!(judge.maps.why(SERVER4.into()).unwrap().bans.is_empty());
}

#[test]
fn off_is_off() {
    let Some(mut judge) = Judge::new(GuardMode::Enforce, |rules| rules.syn = SLOW) else { return };
    judge.maps.ban("192.0.2.0/24".parse().unwrap(), edge_common::reason::SCAN, None).unwrap();
    judge.maps.set_mode(GuardMode::Off).unwrap();
    assert_eq!(judge.passed(&segment(SYN), 20), 20);
    assert_eq!(judge.counted("scan"), [0, 0], "unseen");
    judge.maps.set_mode(GuardMode::Enforce).unwrap();
    assert_eq!(judge.passed(&segment(SYN), 1), 0);
}

#[test]
fn observing_counts_what_is_over_a_limit_and_passes_it() {
    let limit = |rules: &mut GuardRules| rules.syn = SLOW;
    let Some(mut judge) = Judge::new(GuardMode::Observe, limit) else { return };
    assert_eq!(judge.passed(&segment(SYN), 20), 20);
    assert_eq!(judge.counted("syn_rate"), [15, 0]);
}

#[test]
fn a_client_is_as_wide_as_configured() {
    let wide = |rules: &mut GuardRules| (rules.syn, rules.prefix_v4) = (SLOW, 24);
    let Some(mut judge) = Judge::new(GuardMode::Enforce, wide) else { return };
    let passed: usize = (1..=20).map(|last| judge.passed(&segment_from(last, SYN), 1)).sum();
    assert_eq!(passed, 5, "one network, one client");
}

#[test]
fn limits_hold_on_served_ports_only() {
    let every = |rules: &mut GuardRules| {
        (rules.syn, rules.packets, rules.bytes) = (SLOW, SLOW, SLOW);
    };
    let Some(mut judge) = Judge::new(GuardMode::Enforce, every) else { return };
    // A service of somebody else's, an origin's answer, a resolver's.
    for (what, protocol, payload) in [
        ("other service", TCP, to_port(81, tcp(SYN))),
        ("answer of an origin", TCP, to_port(40_000, tcp(ACK))),
        ("answer of a resolver", UDP, to_port(40_000, udp(b"answer"))),
    ] {
        let frame = frame4(&ipv4(protocol, 0, &payload));
        assert_eq!(judge.passed(&frame, 20), 20, "{what}");
    }
    // ssh, however much and whoever is banned.
    let ssh = frame4(&ipv4(TCP, 0, &to_port(22, tcp(SYN))));
    judge.maps.ban("192.0.2.0/24".parse().unwrap(), edge_common::reason::FLOOD, None).unwrap();
    assert_eq!(judge.passed(&ssh, 20), 20);
    assert_eq!(judge.counted("exempt"), [20, 0]);
    assert_eq!(judge.passed(&segment(ACK), 1), 0, "banned elsewhere");
}

#[test]
fn policies_pass_limit_or_drop() {
    let frames = [
        ("fragmented", frame4(&ipv4(UDP, 0x2000, &to_port(40_000, udp(&[0; 40]))))),
        ("udp", frame4(&ipv4(UDP, 0, &to_port(443, udp(b"hello"))))),
        ("icmp", frame4(&ipv4(ICMP, 0, &icmp()))),
    ];
    for (policy, passing) in
        [(GuardPolicy::Pass, 20), (GuardPolicy::Limit, 5), (GuardPolicy::Drop, 0)]
    {
        for (name, frame) in &frames {
            let rules = |rules: &mut GuardRules| {
                (rules.fragments, rules.udp, rules.icmp) = (policy, policy, policy);
                rules.packets = SLOW;
            };
            let Some(mut judge) = Judge::new(GuardMode::Enforce, rules) else { return };
            assert_eq!(judge.passed(frame, 20), passing, "{name} {policy:?}");
            let dropped = match policy {
                GuardPolicy::Pass => continue,
                GuardPolicy::Limit => judge.counted("packet_rate"),
                GuardPolicy::Drop => judge.counted(name),
            };
            assert_eq!(dropped, [20 - passing as u64; 2], "{name} {policy:?}");
        }
    }
}

#[test]
fn errors_of_icmp_pass_whatever_the_policy() {
    let drop = |rules: &mut GuardRules| rules.icmp = GuardPolicy::Drop;
    let Some(mut judge) = Judge::new(GuardMode::Enforce, drop) else { return };
    // Fragmentation needed; packet too big; a neighbour's solicitation.
    for (protocol, kind) in [(ICMP, 3), (ICMP6, 2), (ICMP6, 135)] {
        let mut message = icmp();
        message[0] = kind;
        let frame = match protocol {
            ICMP => frame4(&ipv4(ICMP, 0, &message)),
            _ => frame6(&ipv6(ICMP6, &message)),
        };
        assert_eq!(judge.passed(&frame, 1), 1, "protocol {protocol}, type {kind}");
    }
    let mut echo = icmp();
    echo[0] = 128;
    assert_eq!(judge.passed(&frame6(&ipv6(ICMP6, &echo)), 1), 0);
}

#[test]
fn ports_that_are_not_served_are_closed_by_policy_to_who_knocks() {
    let drop = |rules: &mut GuardRules| rules.unserved = GuardPolicy::Drop;
    let Some(mut judge) = Judge::new(GuardMode::Enforce, drop) else { return };
    let to = |port, flags| frame4(&ipv4(TCP, 0, &to_port(port, tcp(flags))));
    assert_eq!(judge.passed(&to(81, SYN), 1), 0);
    assert_eq!(judge.passed(&to(SERVER_PORT, SYN), 1), 1);
    assert_eq!(judge.passed(&to(22, SYN), 1), 1);
    assert_eq!(judge.passed(&to(40_000, SYN | ACK), 1), 1, "an origin's answer");
    assert_eq!(judge.counted("unserved"), [1, 1]);
}

#[test]
fn flags_no_stack_sends_and_headers_that_cannot_be_are_dropped() {
    let Some(mut judge) = Judge::new(GuardMode::Enforce, |_| {}) else { return };
    let scans = [0, FIN, SYN | FIN, 0x29, 0xff];
    for flags in scans {
        assert_eq!(judge.passed(&segment(flags), 1), 0, "{flags:#x}");
    }
    assert_eq!(judge.counted("tcp_flags"), [scans.len() as u64; 2]);
    for length in [0x40, 0x60, 0xf0] {
        let mut header = tcp(ACK);
        header[12] = length;
        assert_eq!(judge.passed(&frame4(&ipv4(TCP, 0, &header)), 1), 0, "{length:#x}");
    }
    assert_eq!(judge.counted("malformed"), [3, 3]);
}

#[test]
fn a_full_list_says_so_and_nobody_else_is_shut_out() {
    let Some(mut judge) = Judge::new(GuardMode::Enforce, |_| {}) else { return };
    let host = |index: u32| -> edge::guard::Prefix {
        format!("{}", std::net::Ipv4Addr::from_bits(0x0a00_0000 + index)).parse().unwrap()
    };
    let flood = edge_common::reason::FLOOD;
    for index in 0..edge_common::DENY_MAX {
        judge.maps.ban(host(index), flood, None).unwrap();
    }
    let error = judge.maps.ban(host(edge_common::DENY_MAX), flood, None).unwrap_err().to_string();
    assert!(error.contains(&edge_common::DENY_MAX.to_string()), "{error}");
    assert_eq!(judge.passed(&segment(ACK), 1), 1, "who is not on it passes");
    let mut banned = ipv4(TCP, 0, &tcp(ACK));
    banned[12..16].copy_from_slice(&[10, 0, 0, 7]);
    assert_eq!(judge.passed(&frame4(&banned), 1), 0, "who is on it does not");
    // One given back makes room.
    judge.maps.unban(host(7)).unwrap();
    assert_eq!(judge.passed(&frame4(&banned), 1), 1);
    judge.maps.ban(host(edge_common::DENY_MAX), flood, None).unwrap();
}

#[test]
fn strangers_beyond_the_table_share_places_and_nobody_is_shut_out() {
    let Some(mut judge) = Judge::new(GuardMode::Enforce, |rules| rules.syn = SLOW) else { return };
    // Four times as many clients as the table has places, one attempt each: most pass, since a
    // place admits five, and the table is never "full".
    let mut passed = 0;
    for address in 0..4096u32 {
        let mut packet = ipv4(TCP, 0, &tcp(SYN));
        packet[12..16].copy_from_slice(&(0x0a00_0000 + address).to_be_bytes());
        passed += judge.passed(&frame4(&packet), 1);
    }
    let [over, _] = judge.counted("syn_rate");
    assert_eq!(passed + over as usize, 4096);
    assert!(passed > 3_000, "{passed} of 4096");
    assert!(over > 0, "some share a place with more than four others");
}
