//! The flow table: who sent how much to whom.

/// Map `flows`, key: a packet's five-tuple, seen from this host.
///
/// IPv4 addresses are kept as `::ffff:a.b.c.d`, so that a dual-stack socket's peer is the same key.
/// Ports are in host order and 0 where there are none (ICMP, later fragments).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The client's address: the packet's source.
    pub remote: [u8; 16],
    /// This host's address: the packet's destination.
    pub local: [u8; 16],
    /// The client's port.
    pub remote_port: u16,
    /// This host's port.
    pub local_port: u16,
    /// IANA protocol number.
    pub protocol: u8,
    /// Always zero: a key is compared whole.
    pub zero: [u8; 3],
}

impl FlowKey {
    /// A key of zeroes.
    pub const EMPTY: FlowKey = FlowKey {
        remote: [0; 16],
        local: [0; 16],
        remote_port: 0,
        local_port: 0,
        protocol: 0,
        zero: [0; 3],
    };
}

/// Maps `flows` and `strangers`, value. Counts are written atomically, from any CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Packets received and passed on.
    pub packets: u64,
    /// Their bytes, link-layer header included, frame check sequence not.
    pub bytes: u64,
    /// Packets dropped that were known to be of this flow.
    pub dropped_packets: u64,
    /// Up to which count of `packets` its client's bucket has been charged.
    pub paid_packets: u64,
    /// Up to which count of `bytes`.
    pub paid_bytes: u64,
    /// How many of `packets` the client's count has.
    pub settled_packets: u64,
    /// How many of `bytes`.
    pub settled_bytes: u64,
    /// The rules that found nothing against it: what the map `epoch` held then. 0: none yet.
    pub epoch: u64,
    /// When the first one came (`CLOCK_MONOTONIC`, to a tick), ns.
    pub first_ns: u64,
    /// When the last one came, ns.
    pub last_ns: u64,
    /// Every TCP flag seen, or-ed (bit 0 FIN, 1 SYN, 2 RST, 3 PSH, 4 ACK, 5 URG, 6 ECE, 7 CWR).
    pub tcp_flags: u64,
}

impl Flow {
    /// The sum of two that were kept apart: the same addresses and ports, earlier and later.
    pub const fn joined(&self, other: &Flow) -> Flow {
        let first_ns = if self.first_ns < other.first_ns { self.first_ns } else { other.first_ns };
        let last_ns = if self.last_ns > other.last_ns { self.last_ns } else { other.last_ns };
        Flow {
            packets: self.packets + other.packets,
            bytes: self.bytes + other.bytes,
            dropped_packets: self.dropped_packets + other.dropped_packets,
            first_ns,
            last_ns,
            tcp_flags: self.tcp_flags | other.tcp_flags,
            ..*self
        }
    }
}

/// `a.b.c.d` as `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2).
#[inline(always)]
pub const fn mapped(address: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = address;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// Whether an address is `::ffff:a.b.c.d`.
#[inline(always)]
pub const fn is_mapped(address: &[u8; 16]) -> bool {
    matches!(address, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..])
}

const _: () = assert!(size_of::<FlowKey>() == 40 && align_of::<FlowKey>() == 2);
const _: () = assert!(size_of::<Flow>() == 88);
