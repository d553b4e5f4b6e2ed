//! How fast an answer leaves. The driver tells the socket; nothing here waits.

use super::Session;
use crate::config::{RATE_MIN_BYTES, Rate, Shape, rate_of_text};
use crate::site::{Site, Slot, sign};

/// What one answer is held to.
#[derive(Default)]
pub(super) struct Pace {
    /// What its link asks for, bytes a second.
    pub(super) asked_bytes_per_s: Option<u64>,
    rate: Rate,
    /// Its place among the site's answers.
    pub(super) slot: Option<Slot>,
    /// What the site's answers may take together; 0: anything.
    cap_bytes_per_s: u64,
}

impl Pace {
    /// Finds what holds for an answer of `site` to `target`.
    pub(super) fn settle(&mut self, site: &Site, target: &str, unix_s: u64) {
        let shape = site.config.shape.as_ref();
        let shape = shape.filter(|shape| shape.holds_at(unix_s));
        self.cap_bytes_per_s = shape.map_or(0, |shape| shape.cap_bytes_per_s);
        self.rate = rate(site, target, self.asked_bytes_per_s, unix_s);
    }
}

impl Session {
    /// How fast the bytes that leave now may go, bytes a second; 0: as fast as they can.
    pub fn pace_bytes_per_s(&self) -> u64 {
        let pace = &self.exchange.pace;
        if pace.rate.bytes_per_s == 0 && pace.cap_bytes_per_s == 0 {
            return 0;
        }
        let is_held = self.exchange.body_bytes >= pace.rate.after_bytes;
        let own = if is_held { pace.rate.bytes_per_s } else { 0 };
        let slot = pace.slot.as_ref().filter(|_| pace.cap_bytes_per_s > 0);
        let share = slot.map_or(0, |slot| slot.share_bytes_per_s(pace.cap_bytes_per_s));
        match (own, share) {
            (0, rate) | (rate, 0) => rate,
            (own, share) => own.min(share),
        }
    }

    /// Whether that changes as other answers begin and end.
    pub fn shares_a_cap(&self) -> bool {
        self.exchange.pace.cap_bytes_per_s > 0 && self.exchange.pace.slot.is_some()
    }
}

/// What `site` says about an answer to `target`: what the link asks for comes before a rule, that
/// before the site's own rate.
pub fn rate(site: &Site, target: &str, asked_bytes_per_s: Option<u64>, unix_s: u64) -> Rate {
    let shape = site.config.shape.as_ref();
    let own = shape.map(|shape| shape.rate).unwrap_or_default();
    if let Some(bytes_per_s) = asked_bytes_per_s {
        return Rate { bytes_per_s, after_bytes: own.after_bytes };
    }
    if shape.is_some_and(|shape| !shape.holds_at(unix_s)) {
        return Rate::default();
    }
    let ruled = site.rule(target).map(|rule| rule.rate).filter(|rate| rate.bytes_per_s > 0);
    ruled.unwrap_or(own)
}

/// Takes the argument that names a rate off a request for `target`, or off what is `kept` of it already, and
/// answers the rate: at least the smallest there is, none when it is no rate.
pub fn take_rate(shape: &Shape, target: &str, kept: &mut String) -> Option<u64> {
    let name = shape.rate_argument.as_deref()?;
    let from = if kept.is_empty() { target } else { kept.as_str() };
    let (path, query) = from.split_once('?')?;
    let named = |argument: &&str| argument.split('=').next() == Some(name);
    let found = query.split('&').find(named)?;
    let bytes = found.split_once('=').and_then(|(_, value)| rate_of_text(value));
    let mut rest = String::with_capacity(from.len());
    sign::strip(path, Some(query), &mut rest, |own| own != name);
    *kept = rest;
    Some(bytes?.max(RATE_MIN_BYTES))
}
