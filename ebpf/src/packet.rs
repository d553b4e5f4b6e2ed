//! Frame → five-tuple. Ethernet, up to two VLAN tags, IPv4, IPv6 with extension headers, TCP, UDP.

use aya_ebpf::btf_maps::PerCpuArray;
use aya_ebpf::macros::btf_map;
use edge_common::{FlowKey, mapped, reason, tcp};

use crate::frame::{Bytes, Frame, forget, opaque};

/// What is known of a packet. As much is filled in as could be read: a packet that breaks off
/// after its addresses is still judged by them.
pub struct Packet {
    /// Remote is the source.
    pub key: FlowKey,
    /// 4, 6, or 0: no address was read.
    pub family: u32,
    /// The flags byte of a TCP header, else 0.
    pub tcp_flags: u64,
    /// 1: a piece of a larger packet, the first or a later one.
    pub fragment: u32,
    /// 1: an ICMP echo request.
    pub echo: u32,
    /// Where the IP header begins, bytes from the start of the frame.
    pub ip_at: usize,
    /// Where its payload does, if that is TCP.
    pub tcp_at: usize,
    /// What [`parse`] said.
    pub shape: u32,
}

impl Packet {
    const EMPTY: Packet = Packet {
        key: FlowKey::EMPTY,
        family: 0,
        tcp_flags: 0,
        fragment: 0,
        echo: 0,
        ip_at: 0,
        tcp_at: 0,
        shape: 0,
    };
}

const ETHERNET_BYTES: usize = 14;
const VLAN_TAGS_MAX: usize = 2;
const VLAN: [u8; 2] = [0x81, 0x00];
const VLAN_SERVICE: [u8; 2] = [0x88, 0xa8];
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const EXTENSION_HEADERS_MAX: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const ICMP6: u8 = 58;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;

/// RFC 791 §3.1, without options.
#[repr(C)]
pub struct Ipv4 {
    pub version_and_length: u8,
    pub service: u8,
    pub total_bytes: [u8; 2],
    pub id: [u8; 2],
    pub fragment: [u8; 2],
    pub ttl: u8,
    pub protocol: u8,
    pub checksum: [u8; 2],
    pub source: [u8; 4],
    pub destination: [u8; 4],
}

/// RFC 8200 §3.
#[repr(C)]
pub struct Ipv6 {
    pub version_and_class: u8,
    pub flow: [u8; 3],
    pub payload_bytes: [u8; 2],
    pub next_header: u8,
    pub hops: u8,
    pub source: [u8; 16],
    pub destination: [u8; 16],
}

// SAFETY: bytes and byte arrays only.
unsafe impl Bytes for Ipv4 {}
// SAFETY: as above.
unsafe impl Bytes for Ipv6 {}

/// The packet that this CPU is at.
#[btf_map(name = "packets")]
static PACKETS: PerCpuArray<Packet, 1> = PerCpuArray::new();

/// Reads a packet.
///
/// What was read lies in a map, and is read anew from there: the verifier then forgets by which of the
/// many ways through the headers it came to be, and looks at all that follows once.
#[inline(always)]
pub fn read(frame: &Frame) -> Option<&'static Packet> {
    let place = PACKETS.get_ptr_mut(0)?;
    // SAFETY: this CPU's own value; XDP programs do not interrupt each other on one CPU.
    unsafe {
        *place = Packet::EMPTY;
        (*place).shape = parse(frame, &mut *place);
        Some(&*forget(place))
    }
}

/// Fills `packet` and says what shape it has: [`reason::PASSED`] when it was read to its ports,
/// else `FRAGMENT`, `NOT_IP`, `UNREAD`, `MALFORMED` or `TCP_FLAGS`.
#[inline(always)]
fn parse(frame: &Frame, packet: &mut Packet) -> u32 {
    let Some(mut kind) = frame.at::<[u8; 2]>(ETHERNET_BYTES - 2) else {
        return reason::MALFORMED;
    };
    let mut offset = ETHERNET_BYTES;
    for _ in 0..VLAN_TAGS_MAX {
        if *kind != VLAN && *kind != VLAN_SERVICE {
            break;
        }
        let Some(inner) = frame.at::<[u8; 2]>(offset + 2) else {
            return reason::MALFORMED;
        };
        kind = inner;
        offset += 4;
    }
    packet.ip_at = offset;
    match *kind {
        IPV4 => ipv4(frame, offset, packet),
        IPV6 => ipv6(frame, offset, packet),
        VLAN | VLAN_SERVICE => reason::UNREAD,
        _ => reason::NOT_IP,
    }
}

#[inline(always)]
fn ipv4(frame: &Frame, offset: usize, packet: &mut Packet) -> u32 {
    let Some(header) = frame.at::<Ipv4>(offset) else {
        return reason::MALFORMED;
    };
    if header.version_and_length >> 4 != 4 {
        return reason::MALFORMED;
    }
    packet.family = 4;
    packet.key.remote = mapped(header.source);
    packet.key.local = mapped(header.destination);
    packet.key.protocol = header.protocol;

    let header_bytes = usize::from(header.version_and_length & 15) * 4;
    let Some(end) = end(frame, offset, u16::from_be_bytes(header.total_bytes).into()) else {
        return reason::MALFORMED;
    };
    if header_bytes < size_of::<Ipv4>() || offset + header_bytes > end {
        return reason::MALFORMED;
    }
    let fragment = u16::from_be_bytes(header.fragment);
    packet.fragment = (fragment & 0x3fff != 0).into();
    if fragment & 0x1fff != 0 {
        return reason::FRAGMENT;
    }
    transport(frame, header.protocol, offset + header_bytes, end, packet)
}

#[inline(always)]
fn ipv6(frame: &Frame, offset: usize, packet: &mut Packet) -> u32 {
    let Some(header) = frame.at::<Ipv6>(offset) else {
        return reason::MALFORMED;
    };
    if header.version_and_class >> 4 != 6 {
        return reason::MALFORMED;
    }
    packet.family = 6;
    packet.key.remote = header.source;
    packet.key.local = header.destination;

    let mut at = offset + size_of::<Ipv6>();
    let Some(end) = end(frame, at, u16::from_be_bytes(header.payload_bytes).into()) else {
        return reason::MALFORMED;
    };
    let mut next = header.next_header;
    for _ in 0..EXTENSION_HEADERS_MAX {
        if !is_extension(next) {
            break;
        }
        let Some(head) = frame.at::<[u8; 4]>(at) else {
            return reason::MALFORMED;
        };
        let [following, units, high, low] = *head;
        // Lengths: RFC 8200 §4.3-4.6, RFC 4302 §2.2, RFC 6275 §6.1.1.
        at += match next {
            FRAGMENT => 8,
            AUTHENTICATION => (usize::from(units) + 2) * 4,
            _ => (usize::from(units) + 1) * 8,
        };
        if at > end {
            return reason::MALFORMED;
        }
        let fragment = if next == FRAGMENT { u16::from_be_bytes([high, low]) } else { 0 };
        let later_fragment = fragment & 0xfff8 != 0;
        packet.fragment |= u32::from(fragment & 0xfff9 != 0);
        next = following;
        if later_fragment {
            packet.key.protocol = next;
            return reason::FRAGMENT;
        }
    }
    packet.key.protocol = next;
    if is_extension(next) {
        return reason::UNREAD;
    }
    transport(frame, next, at, end, packet)
}

/// Ports and flags. They must lie within the IP packet, not in the padding of a short frame.
#[inline(always)]
fn transport(frame: &Frame, protocol: u8, at: usize, end: usize, packet: &mut Packet) -> u32 {
    let header_bytes = match protocol {
        TCP => 20,
        UDP => 8,
        ICMP | ICMP6 => 8,
        _ => return reason::PASSED,
    };
    if at + header_bytes > end {
        return reason::MALFORMED;
    }
    let Some(&[source_high, source_low, high, low]) = frame.at::<[u8; 4]>(at) else {
        return reason::MALFORMED;
    };
    let protocol = opaque(protocol.into());
    if protocol == ICMP.into() || protocol == ICMP6.into() {
        // RFC 792 and RFC 4443 §4.1: the type of an echo request, each in its own family.
        let echo = if protocol == ICMP.into() { 8 } else { 128 };
        packet.echo = u32::from(source_high == echo);
        return reason::PASSED;
    }
    packet.key.remote_port = u16::from_be_bytes([source_high, source_low]);
    packet.key.local_port = u16::from_be_bytes([high, low]);
    if protocol == TCP.into() {
        let Some(&[length, flags]) = frame.at::<[u8; 2]>(at + 12) else {
            return reason::MALFORMED;
        };
        packet.tcp_at = at;
        packet.tcp_flags = flags.into();
        let header_bytes = usize::from(length >> 4) * 4;
        if header_bytes < 20 || at + header_bytes > end {
            return reason::MALFORMED;
        }
        if tcp::impossible(packet.tcp_flags) {
            return reason::TCP_FLAGS;
        }
    }
    reason::PASSED
}

/// Where an IP packet ends that claims `claimed_bytes` from `start` on; `None` if it was cut.
/// Zero claims the whole frame: so do jumbograms and what large receive offload put together.
#[inline(always)]
fn end(frame: &Frame, start: usize, claimed_bytes: usize) -> Option<usize> {
    let frame_bytes = frame.len() as usize;
    if claimed_bytes == 0 {
        return Some(frame_bytes);
    }
    (start + claimed_bytes <= frame_bytes).then_some(start + claimed_bytes)
}

#[inline(always)]
fn is_extension(header: u8) -> bool {
    matches!(header, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY)
}
