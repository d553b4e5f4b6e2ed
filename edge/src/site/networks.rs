//! Many prefixes of addresses, and the longest that holds one: a binary search among ranges.

use std::net::IpAddr;

use crate::config::Prefix;

/// Prefixes, each with a word of its own.
#[derive(Clone, Debug)]
pub struct Networks<T> {
    v4: Vec<Range<T>>,
    v6: Vec<Range<T>>,
}

/// From `first` up to the next range one word holds, or none does.
#[derive(Clone, Copy, Debug)]
struct Range<T> {
    first: u128,
    word: Option<T>,
}

impl<T> Default for Networks<T> {
    fn default() -> Networks<T> {
        Networks { v4: Vec::new(), v6: Vec::new() }
    }
}

impl<T: Copy + PartialEq> Networks<T> {
    /// Lays the prefixes out. Prefixes of IPv4 addresses in IPv6's clothes are taken for what they are.
    pub fn new(prefixes: impl IntoIterator<Item = (Prefix, T)>) -> Networks<T> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (prefix, word) in prefixes {
            match (prefix.network.to_canonical(), prefix.network.is_ipv6()) {
                (IpAddr::V4(ip), false) => v4.push((u128::from(ip.to_bits()), prefix.bits, word)),
                (IpAddr::V4(ip), true) if prefix.bits >= 96 => {
                    v4.push((u128::from(ip.to_bits()), prefix.bits - 96, word));
                }
                (_, _) => {
                    if let IpAddr::V6(ip) = prefix.network {
                        v6.push((ip.to_bits(), prefix.bits, word));
                    }
                }
            }
        }
        Networks { v4: laid_out(v4, 32), v6: laid_out(v6, 128) }
    }

    /// The word of the longest prefix that holds `address`.
    pub fn find(&self, address: IpAddr) -> Option<T> {
        let (ranges, bits) = match address.to_canonical() {
            IpAddr::V4(ip) => (&self.v4, u128::from(ip.to_bits())),
            IpAddr::V6(ip) => (&self.v6, ip.to_bits()),
        };
        let after = ranges.partition_point(|range| range.first <= bits);
        ranges.get(after.checked_sub(1)?)?.word
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

/// Prefixes lie within one another or apart: one pass with a stack of those that are open.
fn laid_out<T: Copy + PartialEq>(mut all: Vec<(u128, u8, T)>, width: u32) -> Vec<Range<T>> {
    all.sort_by_key(|(first, bits, _)| (*first, *bits));
    let mut ranges: Vec<Range<T>> = Vec::new();
    // What is open: its last address, and its word.
    let mut open: Vec<(u128, T)> = Vec::new();
    let mut begin = |first: u128, word: Option<T>| {
        if ranges.last().is_some_and(|range| range.first == first) {
            ranges.pop();
        }
        if ranges.last().map(|range| range.word) != Some(word) {
            ranges.push(Range { first, word });
        }
    };
    let close =
        |open: &mut Vec<(u128, T)>, below: Option<u128>, begin: &mut dyn FnMut(u128, Option<T>)| {
            while let Some((last, _)) = open.last().copied()
                && below.is_none_or(|below| last < below)
            {
                open.pop();
                if let Some(next) = last.checked_add(1) {
                    begin(next, open.last().map(|(_, word)| *word));
                }
            }
        };
    for (first, bits, word) in all {
        close(&mut open, Some(first), &mut begin);
        let host_bits = width - u32::from(bits).min(width);
        let size = 1_u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
        begin(first, Some(word));
        open.push((first.saturating_add(size), word));
    }
    close(&mut open, None, &mut begin);
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        let (network, bits) = text.split_once('/').unwrap();
        Prefix { network: network.parse().unwrap(), bits: bits.parse().unwrap() }
    }

    fn networks(all: &[(&str, u8)]) -> Networks<u8> {
        Networks::new(all.iter().map(|(text, word)| (prefix(text), *word)))
    }

    #[test]
    fn the_longest_decides() {
        let networks = networks(&[
            ("10.0.0.0/8", 1),
            ("10.1.0.0/16", 2),
            ("10.1.2.0/24", 1),
            ("10.1.2.3/32", 3),
            ("255.255.255.255/32", 4),
            ("2001:db8::/32", 5),
            ("2001:db8:1::/48", 6),
            ("::ffff:192.0.2.0/120", 7),
        ]);
        for (address, expected) in [
            ("9.255.255.255", None),
            ("10.0.0.0", Some(1)),
            ("10.1.0.0", Some(2)),
            ("10.1.2.2", Some(1)),
            ("10.1.2.3", Some(3)),
            ("10.1.2.4", Some(1)),
            ("10.1.3.0", Some(2)),
            ("10.2.0.0", Some(1)),
            ("10.255.255.255", Some(1)),
            ("11.0.0.0", None),
            ("255.255.255.254", None),
            ("255.255.255.255", Some(4)),
            ("::ffff:10.1.2.3", Some(3)),
            ("192.0.2.9", Some(7)),
            ("2001:db7:ffff::", None),
            ("2001:db8::1", Some(5)),
            ("2001:db8:1::1", Some(6)),
            ("2001:db8:2::", Some(5)),
            ("2001:db9::", None),
        ] {
            assert_eq!(networks.find(address.parse().unwrap()), expected, "{address}");
        }
        assert_eq!(networks_of_all().find("::1".parse().unwrap()), Some(2));
        assert_eq!(networks_of_all().find("1.2.3.4".parse().unwrap()), Some(1));
        assert!(Networks::<u8>::default().is_empty());
    }

    fn networks_of_all() -> Networks<u8> {
        networks(&[("0.0.0.0/0", 1), ("::/0", 2)])
    }

    proptest! {
        #[test]
        fn one_by_one_finds_the_same(
            all in prop::collection::vec((any::<u32>(), 0_u8..=32, 0_u8..3), 0..40),
            addresses in prop::collection::vec(any::<u32>(), 20),
        ) {
            let masked = |ip: u32, bits: u8| ip & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            // Few networks, so that prefixes meet.
            let mut all: Vec<(Prefix, u8)> = all
                .into_iter()
                .map(|(ip, bits, word)| {
                    let ip = masked(ip & 0x0300_00ff, bits);
                    (Prefix { network: IpAddr::V4(ip.into()), bits }, word)
                })
                .collect();
            all.sort_by_key(|(prefix, _)| (prefix.network, prefix.bits));
            all.dedup_by_key(|(prefix, _)| *prefix);
            let networks = Networks::new(all.iter().copied());
            for address in addresses {
                let address = address & 0x0300_00ff;
                let holds = |(prefix, _): &&(Prefix, u8)| {
                    let IpAddr::V4(network) = prefix.network else { return false };
                    masked(address, prefix.bits) == network.to_bits()
                };
                let longest = all.iter().filter(holds).max_by_key(|(prefix, _)| prefix.bits);
                let found = networks.find(IpAddr::V4(address.into()));
                prop_assert_eq!(found, longest.map(|(_, word)| *word));
            }
        }
    }
}
