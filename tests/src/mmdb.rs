//! A file of countries, made by hand from the format's description (MaxMind DB file format 2.0).

use std::net::IpAddr;

/// Bits of an address: IPv4 lies in the first 2^32 of IPv6.
const BITS: u32 = 128;
/// Bytes between tree and data.
const GAP: usize = 16;

/// The bytes of a database in which each prefix (`192.0.2.0/24`) has a country.
pub fn mmdb(prefixes: &[(&str, &str)]) -> Vec<u8> {
    let mut data = Vec::new();
    // A record is a node's number, or the place of data with this bit.
    const DATA: usize = 1 << 31;
    let mut tree: Vec<[Option<usize>; 2]> = vec![[None; 2]];
    for (prefix, country) in prefixes {
        let (network, bits) = prefix.split_once('/').expect("a prefix");
        let (network, skipped) = match network.parse().expect("an address") {
            IpAddr::V4(ip) => (u128::from(ip.to_bits()), 96),
            IpAddr::V6(ip) => (ip.to_bits(), 0),
        };
        let len = skipped + bits.parse::<u32>().expect("a length");
        let place = data.len();
        data.extend(map(&[("country", map(&[("iso_code", text(country))]))]));
        let mut node = 0;
        for depth in 0..len {
            let side = (network >> (BITS - 1 - depth) & 1) as usize;
            if depth + 1 == len {
                tree[node][side] = Some(DATA | place);
                break;
            }
            node = match tree[node][side] {
                Some(next) if next & DATA == 0 => next,
                _ => {
                    tree.push([None; 2]);
                    let next = tree.len() - 1;
                    tree[node][side] = Some(next);
                    next
                }
            };
        }
    }
    let count = tree.len();
    let mut bytes = Vec::new();
    for record in tree.iter().flatten() {
        let value = match record {
            None => count,
            Some(place) if place & DATA != 0 => count + GAP + (place & !DATA),
            Some(node) => *node,
        };
        bytes.extend(&(value as u32).to_be_bytes()[1..]);
    }
    bytes.extend([0; GAP]);
    bytes.extend(data);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    bytes.extend(map(&[
        ("node_count", number(6, count as u64)),
        ("record_size", number(5, 24)),
        ("ip_version", number(5, 6)),
        ("database_type", text("Test-Country")),
        // An array (type 11) of one.
        ("languages", [vec![1, 4], text("en")].concat()),
        ("binary_format_major_version", number(5, 2)),
        ("binary_format_minor_version", number(5, 0)),
        ("build_epoch", number(9, 1_700_000_000)),
        ("description", map(&[("en", text("a test"))])),
    ]));
    bytes
}

fn text(text: &str) -> Vec<u8> {
    // Longer than 28 bytes takes another control byte.
    assert!(text.len() < 29, "{text}");
    [&[2 << 5 | text.len() as u8], text.as_bytes()].concat()
}

fn map(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![7 << 5 | pairs.len() as u8];
    pairs.iter().for_each(|(name, value)| bytes.extend([text(name), value.clone()].concat()));
    bytes
}

/// 5 and 6 are u16 and u32; 9 is u64, an extended type.
fn number(kind: u8, value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let bytes = &bytes[value.leading_zeros() as usize / 8..];
    let control = match kind {
        8.. => vec![bytes.len() as u8, kind - 7],
        _ => vec![kind << 5 | bytes.len() as u8],
    };
    [&control, bytes].concat()
}
