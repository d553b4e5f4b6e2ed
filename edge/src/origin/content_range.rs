//! `Content-Range` of an origin's answer (RFC 9110 §14.4).

use std::fmt;

/// The bytes a 206 holds, or the length a 416 tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentRange {
    /// `bytes first-last/total`, as `start` and exclusive `end`; `total` is `None` for `*`.
    Bytes {
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
        /// Length of the whole.
        total: Option<u64>,
    },
    /// `bytes */total`
    Unsatisfied {
        /// Length of the whole.
        total: u64,
    },
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContentRange::Bytes { start, end, total: Some(total) } => {
                write!(f, "bytes {start}-{}/{total}", end - 1)
            }
            ContentRange::Bytes { start, end, total: None } => {
                write!(f, "bytes {start}-{}/*", end - 1)
            }
            ContentRange::Unsatisfied { total } => write!(f, "bytes */{total}"),
        }
    }
}

impl ContentRange {
    /// Reads a field value. `None` when it is not in bytes, not well-formed, empty, or contradicts
    /// itself: the recipient must not use such a part (RFC 9110 §14.4).
    pub fn parse(value: &[u8]) -> Option<ContentRange> {
        let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
        let (unit, rest) = text.split_once(' ')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (range, total) = rest.split_once('/')?;
        if range == "*" {
            return Some(ContentRange::Unsatisfied { total: number(total)? });
        }
        let (first, last) = range.split_once('-')?;
        let (start, last) = (number(first)?, number(last)?);
        let end = last.checked_add(1)?;
        let total = if total == "*" { None } else { Some(number(total)?) };
        let sane = start < end && total.is_none_or(|total| end <= total);
        sane.then_some(ContentRange::Bytes { start, end, total })
    }
}

/// Digits only: `u64::from_str` would take a plus sign.
pub(super) fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let bytes = |start, end, total| Some(ContentRange::Bytes { start, end, total });
        let rows: [(&str, Option<ContentRange>); 17] = [
            ("bytes 0-99/200", bytes(0, 100, Some(200))),
            ("Bytes 5-5/6", bytes(5, 6, Some(6))),
            ("bytes 0-99/*", bytes(0, 100, None)),
            ("bytes */200", Some(ContentRange::Unsatisfied { total: 200 })),
            ("bytes */*", None),
            ("bytes 0-200/200", None),
            ("bytes 9-8/200", None),
            ("bytes 0-99", None),
            ("bytes -99/200", None),
            ("bytes 0-/200", None),
            ("bytes +0-99/200", None),
            ("bytes 0-99/ 200", None),
            ("bytes=0-99/200", None),
            ("items 0-99/200", None),
            ("bytes 0-18446744073709551615/*", None),
            ("bytes 0-99999999999999999999/*", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(ContentRange::parse(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(ContentRange::parse(b"bytes 0-\xff/2"), None);
    }
}
