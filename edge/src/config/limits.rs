//! `[[guard.limit]]`: what a client may ask of the node, and what happens beyond.

use super::keys;
use super::raw::{Entry, Section};
use super::resolved_guard::{GuardLimit, Limit, LimitOn, LimitThen};
use crate::limits::LIMIT_RULES_MAX;

const RATE_MAX: u64 = 1_000_000_000;
const BYTES_MAX: u64 = 1 << 44;
const COPIES_MAX: u64 = 1_000_000;
const BAN_DEFAULT_MS: u64 = 600_000;
const BAN_MIN_MS: u64 = 1_000;
const BAN_MAX_MS: u64 = 365 * 86_400_000;

const fn rule(on: LimitOn, per_s: u64, burst: u64, copies: u32, then: LimitThen) -> Limit {
    Limit { on, rate: GuardLimit { per_s, burst }, copies, then }
}

const BAN: LimitThen = LimitThen::Ban { for_ms: BAN_DEFAULT_MS };

/// What holds when the file says nothing about it. Two hundred people behind one address, each with
/// a page of a hundred files or the same download, stay within all of these.
const DEFAULTS: [Limit; 12] = [
    // Two hundred times a page of a hundred files at once.
    rule(LimitOn::Requests, 2_000, 20_000, 0, LimitThen::Refuse),
    rule(LimitOn::Bytes, 2 << 30, 16 << 30, 0, LimitThen::Refuse),
    rule(LimitOn::ObjectRequests, 500, 5_000, 0, LimitThen::Refuse),
    // What one link of 1 Gbit/s carries is no abuse whatever it is made of; beyond, every
    // connection at work has its copy, and there is one to spare.
    rule(LimitOn::ObjectBytes, 128 << 20, 256 << 20, 2, LimitThen::Refuse),
    rule(LimitOn::Ranges, 500, 10_000, 0, LimitThen::Refuse),
    rule(LimitOn::Errors, 50, 2_000, 0, LimitThen::Refuse),
    rule(LimitOn::Auth, 5, 200, 0, LimitThen::Refuse),
    rule(LimitOn::Malformed, 1, 200, 0, BAN),
    // A connection that is too slow costs one; a mobile network loses some in good faith.
    rule(LimitOn::Slow, 1, 100, 0, BAN),
    // Those who go on asking although they were told to wait.
    rule(LimitOn::Refused, 20, 2_000, 0, BAN),
    // Two hundred people with six connections each, several times over.
    rule(LimitOn::Handshakes, 200, 10_000, 0, LimitThen::Refuse),
    // A client that does not trust the certificate tries again, and again.
    rule(LimitOn::HandshakeFailures, 5, 1_000, 0, BAN),
];

/// The rules of `[guard]`: those of the file, and the defaults for what it says nothing about.
pub(super) fn limits(guard: &Section<'_>) -> Vec<Limit> {
    let sections = guard.sections("limit", &keys::LIMIT);
    let mut limits: Vec<Limit> = sections.iter().filter_map(limit).collect();
    for default in DEFAULTS {
        if !limits.iter().any(|limit| limit.on == default.on) {
            limits.push(default);
        }
    }
    limits.retain(|limit| limit.rate.per_s > 0);
    if let (Some(entry), true) = (guard.entry("limit"), limits.len() > LIMIT_RULES_MAX) {
        entry.refuse(format!("there are {} rules; keep to {LIMIT_RULES_MAX}", limits.len()));
    }
    limits
}

fn limit(section: &Section<'_>) -> Option<Limit> {
    let words = LimitOn::ALL.map(|on| (on.as_str(), on));
    let on = section.required("on", "write on = \"requests\"")?.choice(&words)?;
    let amount = |entry: Entry<'_>, least: u64| match (on.is_bytes(), entry.is_zero()) {
        (true, false) => entry.size_bytes(least..=BYTES_MAX),
        _ => entry.integer(least..=RATE_MAX),
    };
    let per_s = amount(section.required("rate", "write rate = 100, or 0 for no limit")?, 0)?;
    let burst = section.entry("burst").and_then(|entry| amount(entry, 1));
    let copies = section.entry("copies").and_then(|entry| {
        if on != LimitOn::ObjectBytes {
            entry.refuse("is for on = \"object_bytes\" only; take it out");
        }
        entry.integer(0..=COPIES_MAX)
    });
    let ban_ms = section.entry("for").and_then(|entry| entry.duration_ms(BAN_MIN_MS..=BAN_MAX_MS));
    let ban = LimitThen::Ban { for_ms: ban_ms.unwrap_or(BAN_DEFAULT_MS) };
    let then = section.entry("then");
    let then = then.and_then(|entry| entry.choice(&[("refuse", LimitThen::Refuse), ("ban", ban)]));
    Some(Limit {
        on,
        // Ten seconds' worth at once, when nothing is said.
        rate: GuardLimit { per_s, burst: burst.unwrap_or(per_s.saturating_mul(10)) },
        copies: copies.unwrap_or(0) as u32,
        then: then.unwrap_or(LimitThen::Refuse),
    })
}
