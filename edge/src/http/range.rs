//! `Range` (RFC 9110 §14): which bytes are asked for, and which of them there are.

use std::ops::Range;

use super::token::{decimal_saturating, members};
use crate::limits::RANGES_MAX;

/// Ranges this close to each other are sent as one: a part's head costs about as much (RFC 9110
/// §15.3.7.2).
pub const COALESCE_GAP_BYTES: u64 = 80;

/// One range as asked for (RFC 9110 §14.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    /// First and last byte, both inclusive; first <= last.
    FromTo(u64, u64),
    /// From this byte to the end.
    From(u64),
    /// The last so many bytes.
    Suffix(u64),
}

/// A well-formed `Range` field: at least one spec, at most [`RANGES_MAX`].
#[derive(Clone, Copy, Debug)]
pub struct Ranges {
    specs: [Spec; RANGES_MAX],
    len: usize,
}

/// The ranges there are, as start and exclusive end; never empty, none of them empty.
#[derive(Clone, Debug)]
pub struct Resolved {
    ranges: [Range<u64>; RANGES_MAX],
    len: usize,
}

/// None of the bytes asked for exists: 416 (RFC 9110 §15.5.17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no range lies within the {len} bytes there are")]
pub struct Unsatisfiable {
    /// Length of the representation.
    pub len: u64,
}

/// Reads a `Range` field. `None`: another unit, malformed, or more ranges than anybody needs; the
/// field is then ignored (RFC 9110 §14.2).
pub fn parse(value: &[u8]) -> Option<Ranges> {
    let (unit, set) = value.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let mut ranges = Ranges { specs: [Spec::Suffix(0); RANGES_MAX], len: 0 };
    for text in members(set) {
        *ranges.specs.get_mut(ranges.len)? = spec(text)?;
        ranges.len += 1;
    }
    (ranges.len > 0).then_some(ranges)
}

fn spec(text: &[u8]) -> Option<Spec> {
    let dash = text.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (&text[..dash], &text[dash + 1..]);
    if first.is_empty() {
        return decimal_saturating(last).map(Spec::Suffix);
    }
    let first = decimal_saturating(first)?;
    if last.is_empty() {
        return Some(Spec::From(first));
    }
    let last = decimal_saturating(last)?;
    (first <= last).then_some(Spec::FromTo(first, last))
}

impl Ranges {
    /// The specs in the order asked.
    pub fn specs(&self) -> &[Spec] {
        &self.specs[..self.len]
    }

    /// The ranges of a representation of `len` bytes: those that exist, in the order asked; ranges
    /// that overlap or nearly touch are one, standing where the first of them stood. Of an empty
    /// representation no range exists.
    pub fn resolve(&self, len: u64) -> Result<Resolved, Unsatisfiable> {
        let mut resolved = Resolved { ranges: [const { 0..0 }; RANGES_MAX], len: 0 };
        for range in self.specs().iter().filter_map(|spec| spec.within(len)) {
            resolved.add(range);
        }
        if resolved.len == 0 { Err(Unsatisfiable { len }) } else { Ok(resolved) }
    }
}

impl Spec {
    /// The bytes of it that exist in `len` bytes, if any.
    pub fn within(&self, len: u64) -> Option<Range<u64>> {
        let range = match *self {
            Spec::FromTo(first, last) => first..last.saturating_add(1).min(len),
            Spec::From(first) => first..len,
            Spec::Suffix(count) => len.saturating_sub(count)..len,
        };
        (range.start < range.end).then_some(range)
    }
}

impl Resolved {
    /// The ranges; at least one.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges[..self.len]
    }

    /// The range, if there is just one: answered without `multipart/byteranges`.
    pub fn single(&self) -> Option<Range<u64>> {
        match self.ranges() {
            [range] => Some(range.clone()),
            _ => None,
        }
    }

    fn add(&mut self, mut range: Range<u64>) {
        let mut place = self.len;
        // Grown by one neighbour it may reach the next, so look again.
        while let Some(at) = self.ranges().iter().position(|other| near(other, &range)) {
            let other = self.remove(at);
            range = range.start.min(other.start)..range.end.max(other.end);
            place = place.min(at);
        }
        self.ranges[place..=self.len].rotate_right(1);
        self.ranges[place] = range;
        self.len += 1;
    }

    fn remove(&mut self, at: usize) -> Range<u64> {
        self.ranges[at..self.len].rotate_left(1);
        self.len -= 1;
        self.ranges[self.len].clone()
    }
}

fn near(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start <= other.end.saturating_add(COALESCE_GAP_BYTES)
        && other.start <= one.end.saturating_add(COALESCE_GAP_BYTES)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_strictly() {
        use Spec::*;
        for (field, expected) in [
            // RFC 9110 §14.1.2, its own examples.
            ("bytes=0-499", Some(vec![FromTo(0, 499)])),
            ("bytes=-500", Some(vec![Suffix(500)])),
            ("bytes=9500-", Some(vec![From(9500)])),
            ("bytes=0-0,-1", Some(vec![FromTo(0, 0), Suffix(1)])),
            (
                "bytes= 0-999, 4500-5499, -1000",
                Some(vec![FromTo(0, 999), FromTo(4500, 5499), Suffix(1000)]),
            ),
            // §14.1: units have no case. §5.6.1.2: empty members.
            ("Bytes=1-2,,", Some(vec![FromTo(1, 2)])),
            // Numbers beyond 64 bits are still numbers.
            ("bytes=5-99999999999999999999", Some(vec![FromTo(5, u64::MAX)])),
            ("bytes=-99999999999999999999", Some(vec![Suffix(u64::MAX)])),
            // §14.1.1: last before first is invalid; §14.2: other units are ignored.
            ("bytes=2-1", None),
            ("bytes=", None),
            ("bytes=,", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=1", None),
            ("bytes=1-2-3", None),
            ("bytes=--1", None),
            ("bytes=+1-2", None),
            ("bytes=1 -2", None),
            ("bytes=1-2;3-4", None),
            ("bytes =1-2", None),
            ("bytes:1-2", None),
            ("lines=1-2", None),
            ("", None),
        ] {
            let specs = parse(field.as_bytes()).map(|ranges| ranges.specs().to_vec());
            assert_eq!(specs, expected, "{field}");
        }
        let many = |count| format!("bytes={}", vec!["0-0"; count].join(","));
        assert!(parse(many(RANGES_MAX).as_bytes()).is_some());
        assert!(parse(many(RANGES_MAX + 1).as_bytes()).is_none());
    }

    #[test]
    fn ranges_are_cut_to_what_exists_and_joined() {
        for (field, len, expected) in [
            ("0-499", 10_000, vec![(0, 500)]),
            ("9500-", 10_000, vec![(9500, 10_000)]),
            ("-500", 10_000, vec![(9500, 10_000)]),
            ("-500", 100, vec![(0, 100)]),
            ("0-", 1, vec![(0, 1)]),
            ("5-99999999999999999999", 10, vec![(5, 10)]),
            ("0-0,-1", 10_000, vec![(0, 1), (9999, 10_000)]),
            // Order is kept; what does not exist is left out.
            ("500-599,0-9,20000-", 10_000, vec![(500, 600), (0, 10)]),
            // Overlap and a small gap are joined, a larger is not (§15.3.7.2).
            ("0-99,50-149", 10_000, vec![(0, 150)]),
            ("0-99,180-199", 10_000, vec![(0, 200)]),
            ("0-99,181-199", 10_000, vec![(0, 100), (181, 200)]),
            // The third joins the first two.
            ("0-9,500-509,50-460", 10_000, vec![(0, 510)]),
            ("900-909,0-9,500-509,50-460", 10_000, vec![(900, 910), (0, 510)]),
        ] {
            let resolved =
                parse(format!("bytes={field}").as_bytes()).unwrap().resolve(len).unwrap();
            let ranges: Vec<_> =
                resolved.ranges().iter().map(|range| (range.start, range.end)).collect();
            assert_eq!(ranges, expected, "{field} of {len}");
        }
        for (field, len) in [("10000-", 10_000), ("-0", 10), ("0-", 0), ("-5", 0), ("7-9", 7)] {
            let ranges = parse(format!("bytes={field}").as_bytes()).unwrap();
            assert_eq!(ranges.resolve(len).unwrap_err(), Unsatisfiable { len }, "{field} of {len}");
        }
    }

    fn any_spec() -> impl Strategy<Value = Spec> {
        let number = || prop_oneof![0..900_u64, Just(u64::MAX)];
        prop_oneof![
            (number(), number()).prop_map(|(a, b)| Spec::FromTo(a.min(b), a.max(b))),
            number().prop_map(Spec::From),
            number().prop_map(Spec::Suffix),
        ]
    }

    fn text(spec: &Spec) -> String {
        match spec {
            Spec::FromTo(first, last) => format!("{first}-{last}"),
            Spec::From(first) => format!("{first}-"),
            Spec::Suffix(count) => format!("-{count}"),
        }
    }

    /// The naive model: byte by byte.
    fn is_asked(spec: &Spec, byte: u64, len: u64) -> bool {
        match *spec {
            Spec::FromTo(first, last) => first <= byte && byte <= last,
            Spec::From(first) => first <= byte,
            Spec::Suffix(count) => len - byte <= count,
        }
    }

    proptest! {
        #[test]
        fn resolving_agrees_with_a_set_of_bytes(
            specs in prop::collection::vec(any_spec(), 1..=RANGES_MAX),
            len in 0..1000_u64,
        ) {
            let field = format!("bytes={}", specs.iter().map(text).collect::<Vec<_>>().join(","));
            let ranges = parse(field.as_bytes()).unwrap();
            prop_assert_eq!(ranges.specs(), &specs[..]);
            let asked: Vec<bool> =
                (0..len).map(|byte| specs.iter().any(|spec| is_asked(spec, byte, len))).collect();
            let Ok(resolved) = ranges.resolve(len) else {
                prop_assert!(!asked.contains(&true));
                return Ok(());
            };
            let mut times_sent = vec![0_u32; len as usize];
            for range in resolved.ranges() {
                prop_assert!(range.start < range.end && range.end <= len);
                // Ends were asked for, and what was not asked for is a small gap.
                let (first, last) = (range.start as usize, range.end as usize - 1);
                prop_assert!(asked[first] && asked[last]);
                let gaps = asked[first..=last].split(|asked| *asked).map(<[bool]>::len);
                prop_assert!(gaps.max() <= Some(COALESCE_GAP_BYTES as usize));
                times_sent[first..=last].iter_mut().for_each(|times| *times += 1);
            }
            for byte in 0..len as usize {
                prop_assert!(times_sent[byte] <= 1);
                prop_assert!(!asked[byte] || times_sent[byte] == 1);
            }
            let ranges = resolved.ranges();
            for (at, one) in ranges.iter().enumerate() {
                prop_assert!(ranges[at + 1..].iter().all(|other| !near(one, other)));
            }
        }

        #[test]
        fn any_bytes_are_read_or_ignored(value: Vec<u8>, len: u64) {
            let value = [b"bytes=".as_slice(), &value].concat();
            if let Some(ranges) = parse(&value) {
                let _ = ranges.resolve(len);
            }
        }
    }
}
