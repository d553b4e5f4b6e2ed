//! HTTP dates (RFC 9110 §5.6.7).

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use httpdate::HttpDate;

use super::token::trim;

/// 9999-12-31 23:59:59, the last second a date can name.
const UNIX_MAX_S: i64 = 253_402_300_799;

/// Reads a date in any of the three formats, as Unix seconds. `None`: malformed, or before 1970.
/// Names have no case, and nobody checks whether the day of the week is right; all else must stand
/// where the grammar has it.
pub fn parse(value: &[u8]) -> Option<i64> {
    let text = trim(value);
    match text.iter().position(|byte| matches!(byte, b',' | b' '))? {
        3 => read(b"WWW, DD MMM YYYY hh:mm:ss GMT", text)
            .or_else(|| read(b"WWW MMM dD hh:mm:ss YYYY", text)),
        name_len @ 6..=9 => {
            let (name, rest) = text.split_at(name_len);
            let is_name = LONG_DAYS.iter().any(|day| day.as_bytes().eq_ignore_ascii_case(name));
            is_name.then(|| read(b", DD-MMM-yy hh:mm:ss GMT", rest))?
        }
        _ => None,
    }
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const LONG_DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Reads `text`, which must be as long as `pattern`: `D` is a digit of the day, `d` the same or a
/// space, `yy` a year of two digits; what is no letter of a field stands for itself.
fn read(pattern: &[u8], text: &[u8]) -> Option<i64> {
    if pattern.len() != text.len() {
        return None;
    }
    let (mut day, mut year, mut hour, mut minute, mut second) = (0, 0, 0, 0, 0);
    let (mut weekday, mut month) = (Name::default(), Name::default());
    for (kind, byte) in pattern.iter().zip(text) {
        let number = match kind {
            b'D' | b'd' => &mut day,
            b'Y' | b'y' => &mut year,
            b'h' => &mut hour,
            b'm' => &mut minute,
            b's' => &mut second,
            b'W' => {
                weekday.push(*byte);
                continue;
            }
            b'M' => {
                month.push(*byte);
                continue;
            }
            other if other.eq_ignore_ascii_case(byte) => continue,
            _ => return None,
        };
        match byte {
            b'0'..=b'9' => *number = *number * 10 + i64::from(byte - b'0'),
            b' ' if *kind == b'd' => {}
            _ => return None,
        }
    }
    if pattern.contains(&b'y') {
        year += if year < 70 { 2000 } else { 1900 };
    }
    weekday.position(&DAYS).or((!pattern.contains(&b'W')).then_some(0))?;
    let month = month.position(&MONTHS)? as i64 + 1;
    let is_time = hour < 24 && minute < 60 && second <= 60;
    let is_day = (1..=days_in(year, month)).contains(&day);
    (is_time && is_day && year >= 1970)
        .then(|| days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
        .map(|unix_s| unix_s.min(UNIX_MAX_S))
}

/// Three letters.
#[derive(Default)]
struct Name([u8; 3], usize);

impl Name {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.0.get_mut(self.1) {
            *place = byte.to_ascii_lowercase();
        }
        self.1 += 1;
    }

    fn position(&self, names: &[&str]) -> Option<usize> {
        names.iter().position(|name| name.as_bytes() == self.0)
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the civil calendar; `None`: there is no such date.
pub fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let exists = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    exists.then(|| days_since_1970(year, month, day))
}

/// Days of the civil calendar, counted in eras of 400 years that begin in March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
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
            // Names without case, and a wrong day of the week.
            ("Mon, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("SUN, 06 NOV 1994 08:49:37 gmt", Some(784_111_777)),
            ("Thu, 29 Feb 2024 23:59:60 GMT", Some(1_709_251_200)),
            ("Thu, 18 Aug 2050 02:01:18 GMT", Some(2_544_400_878)),
            ("Thursday, 18-Aug-50 02:01:18 GMT", Some(2_544_400_878)),
            ("Xun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 94 08:49:37 GMT", None),
            ("Sun 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06  Nov  1994 08:49:37 GMT", None),
            ("Sun, 06-Nov-1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08.49.37 GMT", None),
            ("Sun, 06 Nov 1994 8:49:37 GMT", None),
            ("Thu, 29 Feb 2023 00:00:00 GMT", None),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
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
