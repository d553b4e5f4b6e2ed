//! Tables of good and hostile headers, and what must hold for any.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::*;

fn header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = v2::SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn addresses(client: SocketAddr) -> (u8, Vec<u8>) {
    let port = client.port().to_be_bytes();
    match client.ip() {
        IpAddr::V4(ip) => (0x11, [&ip.octets()[..], &[9, 9, 9, 9], &port, &[0, 80]].concat()),
        IpAddr::V6(ip) => (0x21, [&ip.octets()[..], &[9; 16], &port, &[0, 80]].concat()),
    }
}

/// As a balancer writes it: optional fields, with a checksum among them.
fn version_2(client: SocketAddr, before: &[(u8, Vec<u8>)], checked: bool) -> Vec<u8> {
    let (family, mut body) = addresses(client);
    for (kind, value) in before {
        body.push(*kind);
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(value);
    }
    let sum_at = 16 + body.len() + 3;
    if checked {
        body.extend([3, 0, 4, 0, 0, 0, 0]);
    }
    let mut bytes = header(0x21, family, &body);
    if checked {
        let sum = crc32c::crc32c(&bytes).to_be_bytes();
        bytes[sum_at..sum_at + 4].copy_from_slice(&sum);
    }
    bytes
}

fn told(bytes: &[u8]) -> Option<SocketAddr> {
    match parse(bytes) {
        Ok(Parsed::Header { len, client }) if len == bytes.len() => client,
        other => panic!("{other:?} of {bytes:?}"),
    }
}

#[test]
fn lines_are_read_as_they_must_be_written() {
    let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(107 - 16));
    for (line, client) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", Some("192.0.2.1:56324")),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", Some("[2001:db8::1]:1")),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 7 7\r\n", Some("192.0.2.1:7")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
        (&long, None),
    ] {
        let client = client.map(|client| client.parse().unwrap());
        assert_eq!(told(line.as_bytes()), client, "{line}");
    }
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n",
        "PROXY  TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 1\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +80 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 080 443\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.2 80 443\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 80 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 80 443\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.2 80 443\r\n",
        "PROXY TCP4 a.test b.test 80 443\r\n",
        "PROXY \r\n",
    ] {
        assert_eq!(parse(line.as_bytes()), Err(ProxyFault::Malformed), "{line}");
    }
    let endless = format!("PROXY UNKNOWN {}", "f".repeat(107));
    assert_eq!(parse(endless.as_bytes()), Err(ProxyFault::Malformed));
    assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Err(ProxyFault::Absent));
    assert_eq!(parse(b"PROXYTCP4"), Err(ProxyFault::Absent));
    assert_eq!(parse(&[22, 3, 1, 0, 5]), Err(ProxyFault::Absent));
}

#[test]
fn binary_headers_are_believed_whole_or_not_at_all() {
    let client: SocketAddr = "192.0.2.1:4711".parse().unwrap();
    let good = version_2(client, &[(0x04, vec![0; 9]), (0x02, b"a.test".to_vec())], true);
    assert_eq!(told(&good), Some(client));
    assert_eq!(told(&header(0x20, 0x00, &[])), None, "a health check");
    assert_eq!(told(&header(0x20, 0x99, &[1, 2, 3])), None, "of a family that is ignored");
    assert_eq!(told(&header(0x21, 0x00, &[1, 2, 3])), None, "unspecified");
    assert_eq!(told(&header(0x21, 0x31, &[0; 216])), None, "a socket without address");

    let (family, body) = addresses(client);
    let with = |more: &[u8]| header(0x21, family, &[&body[..], more].concat());
    let mut changed = good.clone();
    changed[16] ^= 1;
    for (bytes, fault) in [
        (header(0x11, family, &body), ProxyFault::Malformed),
        (header(0x22, family, &body), ProxyFault::Malformed),
        (header(0x21, family, &body[..11]), ProxyFault::Malformed),
        (header(0x21, 0x21, &body), ProxyFault::Malformed),
        (header(0x21, 0x31, &body), ProxyFault::Malformed),
        (header(0x21, 0x12, &body), ProxyFault::Foreign),
        (header(0x21, 0x41, &body), ProxyFault::Foreign),
        (with(&[4]), ProxyFault::Malformed),
        (with(&[4, 0]), ProxyFault::Malformed),
        (with(&[4, 0, 9, 1]), ProxyFault::Malformed),
        (with(&[3, 0, 3, 1, 2, 3]), ProxyFault::Malformed),
        (with(&[3, 0, 4, 1, 2, 3, 4]), ProxyFault::Checksum),
        (changed, ProxyFault::Checksum),
        (
            header(0x21, family, &[0; 65_535]),
            ProxyFault::Large { got: 65_551, max: crate::limits::PROXY_HEADER_MAX_BYTES },
        ),
    ] {
        assert_eq!(parse(&bytes), Err(fault), "{:?}", &bytes[..bytes.len().min(40)]);
    }
}

fn clients() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port))
}

proptest! {
    #[test]
    fn what_a_balancer_writes_is_read_at_any_cut(
        client in clients(),
        fields in prop::collection::vec(
            // A checksum of its own is added.
            (4u8..=255, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        checked in any::<bool>(),
        after in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let text = match client {
            SocketAddr::V4(v4) => format!("PROXY TCP4 {} 9.9.9.9 {} 80\r\n", v4.ip(), v4.port()),
            SocketAddr::V6(v6) => format!("PROXY TCP6 {} ::9 {} 80\r\n", v6.ip(), v6.port()),
        };
        for whole in [text.into_bytes(), version_2(client, &fields, checked)] {
            for cut in 0..whole.len() {
                prop_assert_eq!(parse(&whole[..cut]), Ok(Parsed::Partial));
            }
            let header = Parsed::Header { len: whole.len(), client: Some(client) };
            prop_assert_eq!(parse(&[&whole[..], &after].concat()), Ok(header));
        }
    }

    #[test]
    fn nothing_panics_and_no_byte_is_made_up(mut bytes in prop::collection::vec(any::<u8>(), 0..300), which in 0..3usize) {
        let signature: &[u8] = [&b""[..], v1::SIGNATURE, v2::SIGNATURE][which];
        bytes.splice(0..0, signature.iter().copied());
        if let Ok(Parsed::Header { len, .. }) = parse(&bytes) {
            prop_assert!(len <= bytes.len());
            prop_assert_eq!(parse(&bytes), parse(&bytes[..len]));
        }
    }
}
