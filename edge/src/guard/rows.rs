//! What the maps say, in the node's own words.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use edge_common::{Conn, Deny, Flow, FlowKey, Total, reason};

use super::Prefix;

/// One flow received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRow {
    /// The client; port 0 where there are no ports.
    pub remote: SocketAddr,
    /// This host.
    pub local: SocketAddr,
    /// IANA protocol number.
    pub protocol: u8,
    /// Packets received and passed on.
    pub packets: u64,
    /// Their bytes, link-layer header included.
    pub bytes: u64,
    /// Time since the first packet, ms.
    pub age_ms: u64,
    /// Time since the last packet, ms.
    pub idle_ms: u64,
    /// Every TCP flag seen, as in the header.
    pub tcp_flags: u8,
}

/// One connection to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnRow {
    /// The client.
    pub remote: SocketAddr,
    /// This host.
    pub local: SocketAddr,
    /// Bytes the client's kernel acknowledged.
    pub acked_bytes: u64,
    /// Bytes received from it in order.
    pub received_bytes: u64,
    /// Smoothed round trip, µs.
    pub round_trip_us: u32,
    /// Segments sent again.
    pub retransmits: u32,
    /// Stable name of the state of TCP.
    pub state: &'static str,
}

/// One ban, or denied prefix of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanRow {
    /// Whose packets are dropped.
    pub prefix: Prefix,
    /// Why: stable name.
    pub reason: &'static str,
    /// Time until it ends, ms; `None`: it does not.
    pub remaining_ms: Option<u64>,
    /// Packets it judged.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Packets of one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotalRow {
    /// Stable name.
    pub reason: &'static str,
    /// Whether packets with this reason are dropped in enforce mode.
    pub drops: bool,
    /// Packets judged so.
    pub packets: u64,
    /// Their bytes, link-layer header included.
    pub bytes: u64,
    /// Of those, packets dropped (none in observe mode).
    pub dropped_packets: u64,
    /// Their bytes.
    pub dropped_bytes: u64,
}

const NS_PER_MS: u64 = 1_000_000;

impl FlowRow {
    pub(super) fn new(key: &FlowKey, flow: &Flow, now_ns: u64) -> FlowRow {
        FlowRow {
            remote: SocketAddr::new(address(key.remote), key.remote_port),
            local: SocketAddr::new(address(key.local), key.local_port),
            protocol: key.protocol,
            packets: flow.packets,
            bytes: flow.bytes,
            age_ms: now_ns.saturating_sub(flow.first_ns) / NS_PER_MS,
            idle_ms: now_ns.saturating_sub(flow.last_ns) / NS_PER_MS,
            tcp_flags: flow.tcp_flags as u8,
        }
    }
}

impl ConnRow {
    pub(super) fn new(key: &FlowKey, conn: &Conn) -> ConnRow {
        ConnRow {
            remote: SocketAddr::new(address(key.remote), key.remote_port),
            local: SocketAddr::new(address(key.local), key.local_port),
            acked_bytes: conn.acked_bytes,
            received_bytes: conn.received_bytes,
            round_trip_us: conn.srtt_eighths_us / 8,
            retransmits: conn.retransmits,
            state: state(conn.state),
        }
    }
}

/// The states of `net/tcp_states.h`, as `ss` writes them.
fn state(number: u32) -> &'static str {
    match number {
        1 => "established",
        2 => "syn-sent",
        3 => "syn-recv",
        4 => "fin-wait-1",
        5 => "fin-wait-2",
        6 => "time-wait",
        7 => "closed",
        8 => "close-wait",
        9 => "last-ack",
        11 => "closing",
        _ => "unknown",
    }
}

impl BanRow {
    pub(super) fn new(prefix: Prefix, deny: &Deny, now_ns: u64) -> BanRow {
        let left_ns = (deny.until_ns != 0).then(|| deny.until_ns.saturating_sub(now_ns));
        BanRow {
            prefix,
            reason: reason::as_str(reason::of_entry(deny.reason)),
            remaining_ms: left_ns.map(|left_ns| left_ns / NS_PER_MS),
            packets: deny.packets,
            bytes: deny.bytes,
        }
    }
}

impl TotalRow {
    /// Sums what the CPUs counted for one reason.
    pub(super) fn new(reason: u32, by_cpu: &[Total]) -> TotalRow {
        let sum = |field: fn(&Total) -> u64| by_cpu.iter().map(field).sum();
        TotalRow {
            reason: reason::as_str(reason),
            drops: reason::drops(reason),
            packets: sum(|total| total.packets),
            bytes: sum(|total| total.bytes),
            dropped_packets: sum(|total| total.dropped_packets),
            dropped_bytes: sum(|total| total.dropped_bytes),
        }
    }
}

pub(super) fn address(bytes: [u8; 16]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_shown_as_people_write_it() {
        let mut key = FlowKey::EMPTY;
        key.remote = edge_common::mapped([192, 0, 2, 7]);
        key.local = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets();
        (key.remote_port, key.local_port, key.protocol) = (40_000, 80, 6);
        let flow = Flow {
            packets: 3,
            bytes: 300,
            first_ns: 1_000_000,
            last_ns: 9_000_000,
            tcp_flags: 0x12,
            ..Flow::default()
        };
        let row = FlowRow::new(&key, &flow, 8_000_000);
        assert_eq!(row.remote.to_string(), "192.0.2.7:40000");
        assert_eq!(row.local.to_string(), "[2001:db8::1]:80");
        // The kernel's clock may be a tick ahead of the reading it is compared with.
        assert_eq!((row.age_ms, row.idle_ms, row.tcp_flags), (7, 0, 0x12));
    }

    #[test]
    fn a_ban_without_end_has_no_remaining_time() {
        let prefix: Prefix = "192.0.2.0/24".parse().unwrap();
        let deny = |until_ns| Deny { until_ns, packets: 1, bytes: 2, reason: 77, prefix_bits: 24 };
        assert_eq!(BanRow::new(prefix, &deny(0), 5).remaining_ms, None);
        let row = BanRow::new(prefix, &deny(3_000_000), 1_000_000);
        assert_eq!((row.remaining_ms, row.reason), (Some(2), "operator"));
    }

    #[test]
    fn totals_are_summed_over_cpus() {
        let cpu = Total {
            packets: 1,
            bytes: 60,
            dropped_packets: 1,
            dropped_bytes: 60,
            ..Total::default()
        };
        let row = TotalRow::new(reason::CONFIG, &[cpu, Total::default(), cpu]);
        assert_eq!((row.reason, row.drops), ("config", true));
        assert_eq!((row.packets, row.bytes), (2, 120));
        assert_eq!((row.dropped_packets, row.dropped_bytes), (2, 120));
    }
}
