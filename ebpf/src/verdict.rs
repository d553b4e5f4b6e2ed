//! The order in which things are asked of a packet. The first that knows decides.

use edge_common::{EPHEMERAL_PORT_MIN, POLICY_DROP, POLICY_LIMIT, POLICY_PASS};
use edge_common::{Settings, reason, tcp};

use crate::packet::{Packet, TCP, UDP};
use crate::{clients, lists, settings};

/// Why the packet passes or is dropped. Allow goes first, so that nobody locks himself out.
#[inline(always)]
pub fn of(packet: &Packet, shape: u32, bytes: u64, now_ns: u64, settings: &Settings) -> u32 {
    if lists::allows(packet) {
        return reason::ALLOWED;
    }
    if packet.key.protocol == TCP && settings::exempts(packet.key.local_port) {
        return reason::EXEMPT;
    }
    if let Some(denied) = lists::denies(packet, bytes, now_ns) {
        return denied;
    }
    if shape != reason::PASSED && shape != reason::FRAGMENT {
        return shape;
    }
    let (policy, drop) = policy(packet, settings);
    match policy {
        POLICY_DROP => drop,
        POLICY_LIMIT => clients::limit(packet, bytes, now_ns, settings).unwrap_or(shape),
        _ => shape,
    }
}

/// What is to be done with such packets, and the reason if that is to drop them. Answers to what
/// this host asked of others (origins, resolvers) are never touched.
#[inline(always)]
fn policy(packet: &Packet, settings: &Settings) -> (u32, u32) {
    if packet.fragment == 1 && settings.fragments != POLICY_PASS {
        return (settings.fragments, reason::FRAGMENTED);
    }
    let port = packet.key.local_port;
    match packet.key.protocol {
        TCP if settings::serves(port) => (POLICY_LIMIT, reason::PASSED),
        TCP if tcp::opens(packet.tcp_flags) => (settings.unserved, reason::UNSERVED),
        UDP if port != 0 && port < EPHEMERAL_PORT_MIN => (settings.udp, reason::UDP),
        _ if packet.echo == 1 => (settings.icmp, reason::ICMP),
        _ => (POLICY_PASS, reason::PASSED),
    }
}
