//! What was used, in the units of the rules.

use crate::config::LimitOn;
use crate::metrics::Outcome;

/// Half of what was recent is forgotten in this time, ms.
const HALF_LIFE_MS: u64 = 10_000;
/// Bytes kept of an object's name.
const LABEL_BYTES: usize = 111;

/// Not yet charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    units: [u64; LimitOn::ALL.len()],
    pub(super) by_outcome: [u64; Outcome::ALL.len()],
    pub(super) dropped_bytes: u64,
}

impl Usage {
    pub(super) fn add(&mut self, on: LimitOn, units: u64) {
        self.units[on as usize] += units;
    }

    pub(super) fn units(&self, on: LimitOn) -> u64 {
        self.units[on as usize]
    }
}

/// Bytes of the last while: halved every ten seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent {
    pub(super) bytes: u64,
    at_ms: u64,
}

impl Recent {
    pub(super) fn add(&mut self, bytes: u64, now_ms: u64) {
        let halvings = now_ms.saturating_sub(self.at_ms) / HALF_LIFE_MS;
        self.bytes = self.at(now_ms) + bytes;
        self.at_ms += halvings * HALF_LIFE_MS;
    }

    pub(super) fn at(&self, now_ms: u64) -> u64 {
        let halvings = now_ms.saturating_sub(self.at_ms) / HALF_LIFE_MS;
        self.bytes.checked_shr(halvings.min(64) as u32).unwrap_or(0)
    }
}

/// `site target`, cut to what fits; in place, so that no request allocates for it.
#[derive(Clone, Copy)]
pub(super) struct Label {
    len: u8,
    bytes: [u8; LABEL_BYTES],
}

impl Default for Label {
    fn default() -> Label {
        Label { len: 0, bytes: [0; LABEL_BYTES] }
    }
}

impl Label {
    pub(super) fn new(site: &str, target: &str) -> Label {
        let mut label = Label::default();
        for text in [site, " ", target] {
            let free = &mut label.bytes[usize::from(label.len)..];
            let fits = text.len().min(free.len());
            free[..fits].copy_from_slice(&text.as_bytes()[..fits]);
            label.len += fits as u8;
        }
        label
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes[..usize::from(self.len)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recent_fades() {
        let mut recent = Recent::default();
        recent.add(1_000, 5_000);
        assert_eq!((recent.at(9_999), recent.at(25_000), recent.at(u64::MAX)), (1_000, 250, 0));
        recent.add(24, 21_000);
        assert_eq!(recent.at(21_000), 274);
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(Label::new("a.test", "/f?x").to_string(), "a.test /f?x");
        let long = Label::new("a.test", &"ä".repeat(300)).to_string();
        assert!(long.starts_with("a.test ää") && long.len() <= LABEL_BYTES + 2, "{long}");
    }
}
