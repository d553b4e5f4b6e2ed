//! Ethernet frames, byte by byte.

use std::net::{Ipv4Addr, Ipv6Addr};

pub const CLIENT4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
pub const SERVER4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
pub const SERVER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
pub const CLIENT_PORT: u16 = 40_000;
pub const SERVER_PORT: u16 = 80;

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMP: u8 = 1;
pub const ICMP6: u8 = 58;
pub const HOP_BY_HOP: u8 = 0;
pub const ROUTING: u8 = 43;
pub const FRAGMENT: u8 = 44;
pub const AUTHENTICATION: u8 = 51;
pub const NO_NEXT: u8 = 59;
pub const DESTINATION: u8 = 60;
pub const MOBILITY: u8 = 135;

/// An Ethernet header, with the tags of `vlans` (their types), around an IP or other packet.
pub fn ethernet(vlans: &[u16], kind: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02; 12];
    for vlan in vlans {
        frame.extend(vlan.to_be_bytes());
        frame.extend([0x00, 0x2a]);
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(packet);
    frame
}

pub fn frame4(packet: &[u8]) -> Vec<u8> {
    ethernet(&[], 0x0800, packet)
}

pub fn frame6(packet: &[u8]) -> Vec<u8> {
    ethernet(&[], 0x86dd, packet)
}

/// An IPv4 packet without options; `fragment` is the flags and offset field.
pub fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    ipv4_with_options(protocol, fragment, &[], payload)
}

pub fn ipv4_with_options(protocol: u8, fragment: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    assert_eq!(options.len() % 4, 0);
    let header_bytes = 20 + options.len();
    let mut packet = vec![0x40 | (header_bytes / 4) as u8, 0];
    packet.extend(((header_bytes + payload.len()) as u16).to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(CLIENT4.octets());
    packet.extend(SERVER4.octets());
    packet.extend(options);
    packet.extend(payload);
    packet
}

/// An IPv6 packet whose payload starts with a header of type `next`.
pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(CLIENT6.octets());
    packet.extend(SERVER6.octets());
    packet.extend(payload);
    packet
}

/// An IPv6 packet with the extension headers `kinds`, then `protocol` and its payload.
pub fn ipv6_with(kinds: &[u8], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        let next = kinds.get(index + 1).copied().unwrap_or(protocol);
        headers.extend(extension(*kind, next));
    }
    headers.extend(payload);
    ipv6(kinds.first().copied().unwrap_or(protocol), &headers)
}

/// A first fragment's header, or the smallest header of another kind.
fn extension(kind: u8, next: u8) -> Vec<u8> {
    match kind {
        FRAGMENT => vec![next, 0, 0x00, 0x01, 0, 0, 0, 1],
        AUTHENTICATION => [[next, 4, 0, 0].as_slice(), &[0; 20]].concat(),
        // Twice the smallest, so that the length is honoured and not assumed.
        DESTINATION => [[next, 1].as_slice(), &[0; 14]].concat(),
        _ => [[next, 0].as_slice(), &[0; 6]].concat(),
    }
}

pub fn tcp(flags: u8) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(CLIENT_PORT.to_be_bytes());
    segment.extend(SERVER_PORT.to_be_bytes());
    segment.extend([0; 8]);
    segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment
}

pub fn udp(payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(CLIENT_PORT.to_be_bytes());
    datagram.extend(SERVER_PORT.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// An echo request.
pub fn icmp() -> Vec<u8> {
    vec![8, 0, 0, 0, 0, 1, 0, 1]
}
