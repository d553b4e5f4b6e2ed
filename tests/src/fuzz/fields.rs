//! Single fields.

use edge::http::cache_control::{CacheControl, directives};
use edge::http::range;

/// Two lines are one list, whoever wrote them; no directive has an empty name that matters.
pub fn cache_control(bytes: &[u8]) {
    let control = CacheControl::parse([bytes]);
    assert_eq!(control, CacheControl::parse([bytes, b""]), "an empty line changes it");
    for directive in directives(bytes) {
        assert!(directive.name.len() <= bytes.len());
    }
    // Quotes may run over the place where a line is split: only then is the list another one.
    for at in bytes.iter().enumerate().filter(|(_, byte)| **byte == b',').map(|(at, _)| at) {
        let (first, second) = (&bytes[..at], &bytes[at + 1..]);
        if !first.contains(&b'"') && !second.contains(&b'"') {
            assert_eq!(control, CacheControl::parse([first, second]), "split at {at}");
        }
    }
}

/// Resolved ranges exist, and every byte that was asked for and exists is in one of them.
pub fn range(bytes: &[u8]) {
    let (len_bytes, field) = bytes.split_at(bytes.len().min(8));
    let Some(ranges) = range::parse(field) else { return };
    let mut len = [0; 8];
    len[..len_bytes.len()].copy_from_slice(len_bytes);
    let number = u64::from_le_bytes(len);
    for len in [0, 1, number & 0xffff, number] {
        let Ok(resolved) = ranges.resolve(len) else {
            assert!(ranges.specs().iter().all(|spec| spec.within(len).is_none()));
            continue;
        };
        let resolved = resolved.ranges();
        assert!(!resolved.is_empty() && resolved.len() <= ranges.specs().len());
        assert!(resolved.iter().all(|range| range.start < range.end && range.end <= len));
        for asked in ranges.specs().iter().filter_map(|spec| spec.within(len)) {
            let covers =
                |range: &std::ops::Range<u64>| range.start <= asked.start && asked.end <= range.end;
            assert!(resolved.iter().any(covers), "{asked:?} of {len} in {resolved:?}");
        }
        for (at, one) in resolved.iter().enumerate() {
            let apart =
                |other: &std::ops::Range<u64>| one.end < other.start || other.end < one.start;
            assert!(resolved[at + 1..].iter().all(apart), "overlap in {resolved:?}");
        }
    }
}
