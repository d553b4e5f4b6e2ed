//! Whether a stored response may be used for a request now (RFC 9111 §4.2, §5.2.1; RFC 5861; RFC 8246).

use super::Meta;
use crate::clock::Now;
use crate::http::cache_control::{CacheControl, RequestControl};

/// What a response says about being used again, beside its lifetime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reuse {
    /// Never without asking (`no-cache`).
    pub no_cache: bool,
    /// Never stale (`must-revalidate`, `proxy-revalidate`, and `s-maxage`, which implies it).
    pub no_stale: bool,
    /// While it is fresh no request needs to make sure (RFC 8246).
    pub immutable: bool,
    /// Time past its lifetime in which it may be used while the origin is asked, ms (RFC 5861 §3).
    pub while_revalidate_ms: u64,
    /// Time past its lifetime in which it may be used when the origin fails, ms (RFC 5861 §4);
    /// `None`: as the site has it.
    pub if_error_ms: Option<u64>,
}

/// What a stored response is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is the answer.
    Fresh,
    /// It is the answer, though stale: the client takes it so.
    Stale,
    /// It is the answer, though stale, and the origin is to be asked meanwhile.
    StaleWhile,
    /// The origin must be asked first.
    Ask,
}

impl Reuse {
    /// Reads it from a response's directives.
    pub fn of(control: &CacheControl) -> Reuse {
        let forbids = control.must_revalidate || control.proxy_revalidate || control.no_cache;
        let bounded = |seconds: Option<u64>| seconds.filter(|_| !forbids).map(|s| s * 1000);
        let if_error_ms = bounded(control.stale_if_error);
        // It means `proxy-revalidate`, too (§5.2.2.10), unless it is said otherwise.
        let is_shared = control.s_maxage.is_some();
        Reuse {
            no_cache: control.no_cache,
            no_stale: forbids || is_shared,
            immutable: control.immutable,
            while_revalidate_ms: bounded(control.stale_while_revalidate).unwrap_or(0),
            if_error_ms: if_error_ms.or((forbids || is_shared).then_some(0)),
        }
    }
}

/// What `meta` is good for at `now`, to a request that says `asked`.
pub fn decide(meta: &Meta, asked: &RequestControl, now: Now) -> Use {
    if asked.no_cache || asked.no_store || meta.reuse.no_cache {
        return Use::Ask;
    }
    let age_ms = meta.age_ms(now);
    let is_young = asked.max_age.is_none_or(|seconds| seconds > 0 && age_ms <= seconds * 1000);
    if let Some(left_ms) = meta.lifetime_ms.checked_sub(age_ms).filter(|left_ms| *left_ms > 0) {
        let lasts = asked.min_fresh.is_none_or(|seconds| seconds * 1000 <= left_ms);
        return if meta.reuse.immutable || is_young && lasts { Use::Fresh } else { Use::Ask };
    }
    let stale_ms = age_ms - meta.lifetime_ms;
    let is_content =
        asked.max_stale.is_some_and(|seconds| stale_ms <= seconds.saturating_mul(1000));
    if !is_young || asked.min_fresh.is_some() {
        Use::Ask
    } else if is_content && !meta.reuse.no_stale {
        Use::Stale
    } else if stale_ms < meta.reuse.while_revalidate_ms {
        Use::StaleWhile
    } else {
        Use::Ask
    }
}

/// Why [`decide`] has the origin asked first, and the section of RFC 9111 that says so; `None` where it
/// does not.
pub fn why_ask(
    meta: &Meta,
    asked: &RequestControl,
    now: Now,
) -> Option<(&'static str, &'static str)> {
    if decide(meta, asked, now) != Use::Ask {
        return None;
    }
    let age_ms = meta.age_ms(now);
    let is_old = asked.max_age.is_some_and(|seconds| seconds == 0 || age_ms > seconds * 1000);
    Some(if asked.no_cache {
        ("the client says no-cache", "5.2.1.4")
    } else if asked.no_store {
        ("the client says no-store", "5.2.1.5")
    } else if meta.reuse.no_cache {
        ("it is never used unasked (no-cache, or revalidate of a rule)", "5.2.2.4")
    } else if is_old {
        ("it is older than the client's max-age", "5.2.1.1")
    } else if asked.min_fresh.is_some() {
        ("it is not fresh for the client's min-fresh", "5.2.1.3")
    } else if asked.max_stale.is_none() {
        ("it is stale", "4.2")
    } else if meta.reuse.no_stale {
        ("it may not be used stale, whatever the client takes", "4.2.4")
    } else {
        ("it is staler than the client's max-stale", "5.2.1.2")
    })
}

/// Whether `meta` may be used because the origin fails; `grace_ms` is the site's word (RFC 5861 §4,
/// RFC 9111 §4.2.4).
pub fn may_stand_in(meta: &Meta, grace_ms: u64, now: Now) -> bool {
    let limit_ms = meta.reuse.if_error_ms.unwrap_or(grace_ms);
    // An error is no help against an error.
    meta.status < 500 && meta.age_ms(now) < meta.lifetime_ms.saturating_add(limit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { mono_ms: 1, unix_ms: 1_000_000 };

    fn meta(age_s: u64, control: &str) -> Meta {
        Meta {
            received_unix_ms: NOW.unix_ms,
            initial_age_ms: age_s * 1000,
            lifetime_ms: 100_000,
            reuse: Reuse::of(&CacheControl::parse([control.as_bytes()])),
            ..Meta::example()
        }
    }

    #[test]
    fn what_may_be_used() {
        use Use::*;
        let rows = [
            // §4.2
            (99, "", "", Fresh),
            (100, "", "", Ask),
            // §5.2.2.4
            (1, "no-cache", "", Ask),
            (1, "no-cache", "max-stale", Ask),
            // §5.2.1.1, §5.2.1.3, §5.2.1.4, §5.2.1.5
            (1, "", "max-age=0", Ask),
            (5, "", "max-age=5", Fresh),
            (6, "", "max-age=5", Ask),
            (60, "", "min-fresh=40", Fresh),
            (60, "", "min-fresh=41", Ask),
            (1, "", "no-cache", Ask),
            (1, "", "no-store", Ask),
            // RFC 8246 §2
            (6, "immutable", "max-age=0", Fresh),
            (6, "immutable", "no-cache", Ask),
            (101, "immutable", "", Ask),
            // §5.2.1.2
            (110, "", "max-stale=10", Stale),
            (111, "", "max-stale=10", Ask),
            (9_999, "", "max-stale", Stale),
            (110, "must-revalidate", "max-stale", Ask),
            (110, "proxy-revalidate", "max-stale", Ask),
            (110, "s-maxage=100", "max-stale", Ask),
            (110, "", "max-stale, max-age=50", Ask),
            // RFC 5861 §3
            (109, "stale-while-revalidate=10", "", StaleWhile),
            (110, "stale-while-revalidate=10", "", Ask),
            (109, "stale-while-revalidate=10, s-maxage=100", "", StaleWhile),
            (109, "stale-while-revalidate=10, must-revalidate", "", Ask),
            (109, "stale-while-revalidate=10", "min-fresh=1", Ask),
        ];
        for (age_s, response, request, expected) in rows {
            let asked = RequestControl::parse([request.as_bytes()], []);
            let found = decide(&meta(age_s, response), &asked, NOW);
            assert_eq!(found, expected, "{age_s} s, {response:?} to {request:?}");
        }
    }

    #[test]
    fn why_the_origin_is_asked() {
        for (age_s, response, request, section) in [
            (1, "", "", None),
            (1, "", "no-cache", Some("5.2.1.4")),
            (1, "", "no-store", Some("5.2.1.5")),
            (1, "no-cache", "", Some("5.2.2.4")),
            (9, "", "max-age=8", Some("5.2.1.1")),
            (99, "", "min-fresh=8", Some("5.2.1.3")),
            (100, "", "", Some("4.2")),
            (100, "stale-while-revalidate=9", "", None),
            (110, "", "max-stale=9", Some("5.2.1.2")),
            (110, "must-revalidate", "max-stale", Some("4.2.4")),
        ] {
            let asked = RequestControl::parse([request.as_bytes()], []);
            let found = why_ask(&meta(age_s, response), &asked, NOW).map(|(_, section)| section);
            assert_eq!(found, section, "{age_s} s, {response:?} to {request:?}");
        }
    }

    #[test]
    fn how_long_stale_may_stand_in() {
        // RFC 5861 §4, RFC 9111 §4.2.4; the site's grace is 30 s.
        let rows = [
            ("", 130),
            ("stale-if-error=60", 160),
            ("stale-if-error=0", 100),
            ("s-maxage=1", 100),
            ("s-maxage=1, stale-if-error=60", 160),
            ("must-revalidate, stale-if-error=60", 100),
            ("proxy-revalidate", 100),
            ("no-cache", 100),
        ];
        for (control, end_s) in rows {
            assert!(may_stand_in(&meta(end_s - 1, control), 30_000, NOW), "{control}");
            assert!(!may_stand_in(&meta(end_s, control), 30_000, NOW), "{control}");
        }
        let error = Meta { status: 503, ..meta(101, "") };
        assert!(!may_stand_in(&error, 30_000, NOW));
    }
}
