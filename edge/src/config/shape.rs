//! `[site.shape]`: how fast a site's answers leave, and how many at once.

use super::error::Place;
use super::keys;
use super::raw::{Entry, Section};
use crate::limits;

/// Slowest rate that may be asked for, bytes a second.
pub const RATE_MIN_BYTES: u64 = 100_000;
const RATE_MAX_BYTES: u64 = 1 << 40;
const COUNT_MAX: u64 = 1_000_000;
const DAY_MIN: u16 = 24 * 60;

/// `[site.shape]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Where it stands.
    pub place: Option<Place>,
    /// What each answer is held to.
    pub rate: Rate,
    /// Hours in which that holds, in minutes since midnight: from, to (exclusive); none: always.
    pub hours: Vec<(u16, u16)>,
    /// By how much their clock is ahead of UTC, minutes.
    pub utc_offset_min: i32,
    /// Argument of the query that says another rate.
    pub rate_argument: Option<String>,
    /// Bytes a second of all answers of the site together; 0: no cap.
    pub cap_bytes_per_s: u64,
    /// Answers under way to one client; 0: any number.
    pub max_per_client: u32,
    /// Answers under way in all; 0: any number.
    pub max_answers: u32,
}

/// Bytes a second, and how many bytes leave before that holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// 0: no limit.
    pub bytes_per_s: u64,
    /// Bytes of the body at full speed.
    pub after_bytes: u64,
}

impl Shape {
    /// Whether its hours hold at `unix_s`.
    pub fn holds_at(&self, unix_s: u64) -> bool {
        let minute = (unix_s / 60) as i64 + i64::from(self.utc_offset_min);
        let minute = minute.rem_euclid(i64::from(DAY_MIN)) as u16;
        let is_in = |(from, to): &(u16, u16)| match from < to {
            true => (*from..*to).contains(&minute),
            // Past midnight.
            false => minute >= *from || minute < *to,
        };
        self.hours.is_empty() || self.hours.iter().any(is_in)
    }
}

/// The site's `[site.shape]`, if it has one.
pub(super) fn shape(site: &Section<'_>) -> Option<Shape> {
    site.entry("shape")?;
    let section = site.section("shape", &keys::SHAPE);
    let count = |key| section.entry(key).and_then(|entry| entry.integer(0..=COUNT_MAX));
    let cap = section.entry("cap").filter(|entry| !entry.is_zero());
    Some(Shape {
        place: Some(section.place()),
        rate: rate(&section),
        hours: section.entry("hours").map(hours).unwrap_or_default(),
        utc_offset_min: section.entry("utc_offset").and_then(offset_min).unwrap_or(0),
        rate_argument: section.entry("rate_argument").and_then(argument),
        cap_bytes_per_s: cap
            .and_then(|entry| entry.size_bytes(RATE_MIN_BYTES..=RATE_MAX_BYTES))
            .unwrap_or(0),
        max_per_client: count("max_per_client").unwrap_or(0) as u32,
        max_answers: count("max_answers").unwrap_or(0) as u32,
    })
}

/// `rate` and `rate_after` of a site or a rule.
pub(super) fn rate(section: &Section<'_>) -> Rate {
    let rate = section.entry("rate").filter(|entry| !entry.is_zero());
    let rate = rate.and_then(|entry| entry.size_bytes(RATE_MIN_BYTES..=RATE_MAX_BYTES));
    let after = section.entry("rate_after");
    let after = after.and_then(|entry| entry.size_bytes(0..=limits::OBJECT_MAX_BYTES));
    Rate { bytes_per_s: rate.unwrap_or(0), after_bytes: after.unwrap_or(0) }
}

/// `"18:00-23:30"`, `"22-6"`, one or more.
fn hours(entry: Entry<'_>) -> Vec<(u16, u16)> {
    let texts = entry.texts();
    if texts.len() > 24 {
        entry.refuse("names more than 24 windows; join some");
    }
    let window = |(entry, text): (Entry<'_>, &str)| {
        let window = text.split_once('-').and_then(|(from, to)| Some((time(from)?, time(to)?)));
        let window = window.filter(|(from, to)| from != to && *from < DAY_MIN);
        if window.is_none() {
            entry.refuse(format!("{text:?} is not a window of hours; write it as \"18:00-23:30\""));
        }
        window
    };
    texts.into_iter().filter_map(window).collect()
}

/// Minutes since midnight of `7`, `07:30` or `24:00`.
fn time(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':').unwrap_or((text.trim(), "0"));
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    (minute < 60)
        .then(|| hour.checked_mul(60)?.checked_add(minute))
        .flatten()
        .filter(|m| *m <= DAY_MIN)
}

/// `"+08:00"`, `"-5"`.
fn offset_min(entry: Entry<'_>) -> Option<i32> {
    let text = entry.text()?;
    let minutes = match text.split_at_checked(1) {
        Some(("+", rest)) => time(rest).map(i32::from),
        Some(("-", rest)) => time(rest).map(|minutes| -i32::from(minutes)),
        _ => None,
    };
    // Local times are from 12 hours behind UTC to 14 ahead.
    let minutes = minutes.filter(|minutes| (-720..=840).contains(minutes));
    if minutes.is_none() {
        entry.refuse(format!("{text:?} is not an offset from UTC; write it as \"+08:00\""));
    }
    minutes
}

fn argument(entry: Entry<'_>) -> Option<String> {
    let text = entry.text()?;
    let fits =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    if !fits {
        entry.refuse(format!("{text:?} is not the name of an argument; write it as \"rate\""));
    }
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn parsed(keys: &str) -> Result<Shape, String> {
        let text = format!("[[site]]\nhosts = \"a\"\norigin = \"file:///s\"\n[site.shape]\n{keys}");
        let config = Config::parse(&text, "e.toml").map_err(|errors| errors.to_string())?;
        Ok(config.sites[0].shape.clone().unwrap())
    }

    #[test]
    fn windows_of_hours() {
        // 2023-11-14 22:13 UTC.
        let now_s = 1_700_000_000;
        for (keys, holds) in [
            ("", true),
            ("hours = \"22-23\"", true),
            ("hours = \"22:14-23\"", false),
            ("hours = \"22:13-22:14\"", true),
            ("hours = [\"1-2\", \"20-24:00\"]", true),
            ("hours = \"20-3\"", true),
            ("hours = \"23-3\"", false),
            // 06:13 there.
            ("hours = \"6-7\"\nutc_offset = \"+08:00\"", true),
            ("hours = \"22-23\"\nutc_offset = \"+08:00\"", false),
            ("hours = \"17-18\"\nutc_offset = \"-5\"", true),
        ] {
            assert_eq!(parsed(keys).unwrap().holds_at(now_s), holds, "{keys}");
        }
    }

    #[test]
    fn mistakes() {
        for (keys, message) in [
            ("rate = \"50kB\"", "take 100000B to"),
            ("rate = \"fast\"", "is not a size"),
            ("cap = 1", "out of range"),
            ("hours = \"25-26\"", "write it as \"18:00-23:30\""),
            ("hours = \"18\"", "is not a window"),
            ("hours = \"3-3\"", "is not a window"),
            ("utc_offset = \"8\"", "write it as \"+08:00\""),
            ("utc_offset = \"+15\"", "is not an offset"),
            ("rate_argument = \"a=b\"", "is not the name of an argument"),
            ("max_per_client = -1", "take 0 to 1000000"),
            ("max_conns = 3", "unknown key"),
        ] {
            let said = parsed(keys).unwrap_err();
            assert!(said.contains(message) && said.lines().count() == 1, "{keys}: {said}");
        }
    }
}
