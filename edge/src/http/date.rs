//! HTTP dates (RFC 9110 §5.6.7).

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use httpdate::HttpDate;

/// 9999-12-31 23:59:59, the last second a date can name.
const UNIX_MAX_S: i64 = 253_402_300_799;

/// Reads a date in any of the three formats, as Unix seconds. `None`: malformed, or before 1970.
pub fn parse(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let since = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// A date in the preferred format (IMF-fixdate), in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateText {
    unix_s: i64,
    text: [u8; 29],
}

impl DateText {
    /// The text of `unix_s`; times outside 1970–9999 are moved to the nearer end.
    pub fn new(unix_s: i64) -> DateText {
        let seconds = unix_s.clamp(0, UNIX_MAX_S).unsigned_abs();
        let mut text = [b' '; 29];
        // 29 bytes whatever the date: it cannot fail for want of room.
        let _ = write!(
            text.as_mut_slice(),
            "{}",
            HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds))
        );
        DateText { unix_s, text }
    }

    /// Makes it the text of `unix_s`; costs nothing when it is already.
    pub fn refresh(&mut self, unix_s: i64) {
        if self.unix_s != unix_s {
            *self = DateText::new(unix_s);
        }
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_three_formats_are_read() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Mon, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 31 Feb 2021 00:00:00 GMT", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("784111777", None),
            ("0", None),
            ("", None),
        ] {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn dates_are_written_in_the_preferred_format() {
        let mut date = DateText::new(784_111_777);
        assert_eq!(date.as_bytes(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        date.refresh(i64::MAX);
        assert_eq!(date.as_bytes(), b"Fri, 31 Dec 9999 23:59:59 GMT");
        date.refresh(i64::MIN);
        assert_eq!(date.as_bytes(), b"Thu, 01 Jan 1970 00:00:00 GMT");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(unix_s in 0..=UNIX_MAX_S) {
            prop_assert_eq!(parse(DateText::new(unix_s).as_bytes()), Some(unix_s));
        }

        #[test]
        fn any_bytes_are_read_or_not(
            value in prop_oneof![
                any::<Vec<u8>>(),
                "(Sun|Sunday|Thursday),? [0-9]{2}[ -](Feb|Nov|Dec)[ -][0-9]{2,4} [0-9:]{0,8} ?(GMT)?"
                    .prop_map(String::into_bytes),
                "Sun (Feb|Nov) [ 0-9]{1,2} [0-9:]{0,8} [0-9]{0,4}".prop_map(String::into_bytes),
            ],
        ) {
            if let Some(unix_s) = parse(&value) {
                prop_assert!((0..=UNIX_MAX_S).contains(&unix_s));
            }
        }
    }
}
