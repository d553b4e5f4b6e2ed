//! The order in which things are asked of a packet. The first that knows decides.

use aya_ebpf::programs::XdpContext;
use edge_common::{EPHEMERAL_PORT_MIN, Flow, POLICY_DROP, POLICY_LIMIT, POLICY_PASS};
use edge_common::{Settings, reason, tcp};

use crate::packet::{Packet, TCP, UDP};
use crate::{clients, cookies, lists, settings, strays};

/// One packet and what is known of it.
pub struct Input<'a> {
    pub context: &'a XdpContext,
    pub packet: &'a Packet,
    /// What [`crate::packet::parse`] said.
    pub shape: u32,
    /// Its length, link-layer header included.
    pub bytes: u64,
    /// `CLOCK_MONOTONIC`, to a tick.
    pub now_ns: u64,
    pub settings: &'a Settings,
}

impl Input<'_> {
    /// Whether it asks for a connection.
    #[inline(always)]
    pub fn opens(&self) -> bool {
        tcp::opens(self.packet.tcp_flags)
    }

    /// Whether it is a whole segment to a port the node serves.
    #[inline(always)]
    pub fn is_served(&self) -> bool {
        self.shape == reason::PASSED
            && self.packet.key.protocol == TCP
            && settings::serves(self.packet.key.local_port)
    }
}

/// Why the packet passes or is dropped. Allow goes first, so that nobody locks himself out. `flow` is
/// null, or an established connection's: the rules are asked about it once and after every change, later
/// only its client's limits.
#[inline(always)]
pub fn of(input: &Input<'_>, flow: *mut Flow) -> u32 {
    let epoch = settings::epoch();
    // SAFETY: not null, so a whole, aligned value of the map.
    if !flow.is_null() && unsafe { (*flow).epoch } == epoch {
        return clients::limit_flow(input, flow).unwrap_or(reason::PASSED);
    }
    let packet = input.packet;
    if lists::allows(packet) {
        return reason::ALLOWED;
    }
    if packet.key.protocol == TCP && settings::exempts(packet.key.local_port) {
        return reason::EXEMPT;
    }
    if let Some(denied) = lists::denies(packet, input.bytes, input.now_ns) {
        return denied;
    }
    if input.shape != reason::PASSED && input.shape != reason::FRAGMENT {
        return input.shape;
    }
    if !flow.is_null() {
        // SAFETY: as above; one aligned store of a value that any CPU may write.
        unsafe { (*flow).epoch = epoch };
        return clients::limit_flow(input, flow).unwrap_or(reason::PASSED);
    }
    let (policy, drop) = policy(input);
    match policy {
        POLICY_DROP => drop,
        POLICY_LIMIT => limited(input).unwrap_or(input.shape),
        _ => input.shape,
    }
}

/// Limits of a packet that belongs to no established connection.
#[inline(always)]
fn limited(input: &Input<'_>) -> Option<u32> {
    let (client, is_proven) = clients::find(input);
    if let Some(reason) = clients::limit(input, client?) {
        return Some(reason);
    }
    if is_proven || !input.is_served() || input.packet.fragment == 1 {
        return None;
    }
    match input.opens() {
        true => cookies::judge(input),
        false => strays::judge(input),
    }
}

/// What is to be done with such packets, and the reason if that is to drop them. Answers to what
/// this host asked of others (origins, resolvers) are never touched.
#[inline(always)]
fn policy(input: &Input<'_>) -> (u32, u32) {
    let (packet, settings) = (input.packet, input.settings);
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
