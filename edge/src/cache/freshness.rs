//! What may be stored, and for how long it is fresh (RFC 9111 §3, §4.2).
//!
//! Works on facts, not on header text: the fill plane reads the header fields.

/// What a response's `Cache-Control` says, as far as a shared cache obeys it (RFC 9111 §5.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFacts {
    /// `no-store`
    pub no_store: bool,
    /// `no-cache`, with field names or without
    pub no_cache: bool,
    /// `private`, with field names or without
    pub private: bool,
    /// `public`
    pub public: bool,
    /// `must-revalidate`
    pub must_revalidate: bool,
    /// `must-understand`
    pub must_understand: bool,
    /// `max-age`, seconds; `Some(0)` for one that cannot be read (§4.2.1)
    pub max_age_s: Option<u64>,
    /// `s-maxage`, seconds; likewise
    pub s_maxage_s: Option<u64>,
    /// `stale-while-revalidate` or `stale-if-error` of more than nought (RFC 5861)
    pub lets_stale: bool,
}

impl CacheFacts {
    /// Whether an answer to a request with credentials may be used for others (§3.5).
    pub fn shares(&self) -> bool {
        self.public || self.must_revalidate || self.s_maxage_s.is_some()
    }
}

/// `Vary`, as far as it decides about storing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vary {
    /// Absent, or fields that requests are told apart by.
    #[default]
    None,
    /// `*`, or more fields than requests are told apart by.
    Star,
}

/// The facts of one response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseFacts {
    /// Status code; a 206 counts as the 200 it is part of.
    pub status: u16,
    /// `Cache-Control`, or `CDN-Cache-Control` in its place (or `Pragma: no-cache` as `no_cache`).
    pub cache_control: CacheFacts,
    /// `Expires` in Unix seconds; `Err` for one that cannot be read, which is in the past (§5.3).
    pub expires_unix_s: Option<Result<i64, ()>>,
    /// `Date` in Unix seconds.
    pub date_unix_s: Option<i64>,
    /// `Age`, seconds.
    pub age_s: Option<u64>,
    /// `Last-Modified` in Unix seconds.
    pub last_modified_unix_s: Option<i64>,
    /// Whether there is an `ETag`.
    pub has_etag: bool,
    /// Whether there is a `Set-Cookie`.
    pub set_cookie: bool,
    /// `Vary`
    pub vary: Vary,
    /// Whether the *request* carried `Authorization` (§3.5).
    pub authorization: bool,
}

/// Whether to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storability {
    /// It may be stored and used without asking.
    Store {
        /// Freshness lifetime, counted from age zero, ms (§4.2.1).
        lifetime_ms: u64,
        /// Corrected initial age, ms (§4.2.3).
        initial_age_ms: u64,
    },
    /// It may be stored; the origin is asked before each use.
    Validate {
        /// See [`Storability::Store`].
        lifetime_ms: u64,
        /// See [`Storability::Store`].
        initial_age_ms: u64,
    },
    /// It goes to its one client alone.
    Bypass(Reason),
}

/// Where a lifetime comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `s-maxage` (§5.2.2.10)
    SMaxage,
    /// `max-age` (§5.2.2.1)
    MaxAge,
    /// `Expires` − `Date` (§5.3)
    Expires,
    /// A guess (§4.2.2)
    Heuristic,
}

impl Source {
    /// What people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::SMaxage => "s-maxage",
            Source::MaxAge => "max-age",
            Source::Expires => "expires",
            Source::Heuristic => "heuristic",
        }
    }
}

/// The sum of §4.2, line by line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// How long it is fresh, counted from age zero, ms (§4.2.1).
    pub lifetime_ms: u64,
    /// Who says so.
    pub source: Source,
    /// Time of receipt less `Date`, ms (§4.2.3, `apparent_age`).
    pub apparent_age_ms: u64,
    /// `Age` and the time the answer took, ms (§4.2.3, `corrected_age_value`).
    pub corrected_age_ms: u64,
}

impl Freshness {
    /// The larger of both ages (§4.2.3, `corrected_initial_age`).
    pub fn initial_age_ms(&self) -> u64 {
        self.apparent_age_ms.max(self.corrected_age_ms)
    }

    /// Whether it is fresh on arrival.
    pub fn is_fresh(&self) -> bool {
        self.initial_age_ms() < self.lifetime_ms
    }
}

/// Why a response is not stored. `as_str` is log field and metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A status that is not stored unless it says a lifetime, or never.
    Status,
    /// `no-store`
    NoStore,
    /// `private`
    Private,
    /// `no-cache`
    NoCache,
    /// It was an answer to a request with `Authorization`, and does not allow sharing.
    Authorization,
    /// It sets a cookie.
    SetCookie,
    /// It depends on request fields.
    Vary,
    /// It is as old as it may get, or older.
    Expired,
    /// It says no lifetime and has no validator.
    NoLifetime,
}

impl Reason {
    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Status => "status",
            Reason::NoStore => "no_store",
            Reason::Private => "private",
            Reason::NoCache => "no_cache",
            Reason::Authorization => "authorization",
            Reason::SetCookie => "set_cookie",
            Reason::Vary => "vary",
            Reason::Expired => "expired",
            Reason::NoLifetime => "no_lifetime",
        }
    }
}

/// Least lifetime that is guessed, ms.
const HEURISTIC_MIN_MS: u64 = 10_000;
/// Longest lifetime that is believed, seconds (§1.2.2 asks for at least 2^31).
const SECONDS_MAX: u64 = 1 << 31;

/// Whether to store a response, received at `received_unix_ms` to a request sent at `sent_unix_ms`.
/// `default_ttl_ms` bounds a guessed lifetime.
pub fn assess(
    facts: &ResponseFacts,
    default_ttl_ms: u64,
    sent_unix_ms: u64,
    received_unix_ms: u64,
) -> Storability {
    if let Some(reason) = refusal(facts) {
        return Storability::Bypass(reason);
    }
    let freshness = match sum(facts, default_ttl_ms, sent_unix_ms, received_unix_ms) {
        Ok(freshness) => freshness,
        Err(reason) => return Storability::Bypass(reason),
    };
    let (lifetime_ms, initial_age_ms) = (freshness.lifetime_ms, freshness.initial_age_ms());
    let is_named = facts.has_etag || facts.last_modified_unix_s.is_some();
    match (freshness.is_fresh(), facts.cache_control.no_cache) {
        (true, false) => Storability::Store { lifetime_ms, initial_age_ms },
        (_, true) if !is_named => Storability::Bypass(Reason::NoCache),
        // Nobody could ask about it, and it may never be used unasked.
        (false, false) if !is_named && !facts.cache_control.lets_stale => {
            Storability::Bypass(Reason::Expired)
        }
        _ => Storability::Validate { lifetime_ms, initial_age_ms },
    }
}

/// Lifetime and age of a response that nothing forbids to store; otherwise why it has none.
pub fn sum(
    facts: &ResponseFacts,
    default_ttl_ms: u64,
    sent_unix_ms: u64,
    received_unix_ms: u64,
) -> Result<Freshness, Reason> {
    let (lifetime_ms, source) = match explicit_lifetime_ms(facts, received_unix_ms) {
        Some(explicit) => explicit,
        None if facts.cache_control.no_cache => (0, Source::Heuristic),
        None if !is_heuristic(facts) => return Err(Reason::Status),
        // A cookie is for somebody; what is guessed is for all.
        None if facts.set_cookie => return Err(Reason::SetCookie),
        None => match heuristic_lifetime_ms(facts, default_ttl_ms, received_unix_ms) {
            Some(lifetime_ms) => (lifetime_ms, Source::Heuristic),
            None => return Err(Reason::NoLifetime),
        },
    };
    let received_s = unix_s(received_unix_ms);
    let apparent_s = received_s.saturating_sub(date_unix_s(facts, received_unix_ms));
    let delay_ms = received_unix_ms.saturating_sub(sent_unix_ms);
    Ok(Freshness {
        lifetime_ms,
        source,
        apparent_age_ms: u64::try_from(apparent_s).unwrap_or(0).min(SECONDS_MAX) * 1000,
        corrected_age_ms: facts.age_s.unwrap_or(0).min(SECONDS_MAX) * 1000 + delay_ms,
    })
}

/// §3 and §3.5.
fn refusal(facts: &ResponseFacts) -> Option<Reason> {
    let control = &facts.cache_control;
    // Who understands the status may store what others may not (§5.2.2.3).
    let no_store = control.no_store && !control.must_understand;
    let is_understood = !control.must_understand || is_understood(facts.status);
    let reasons = [
        (!may_be_stored(facts.status) || !is_understood, Reason::Status),
        (no_store, Reason::NoStore),
        (control.private, Reason::Private),
        (facts.authorization && !control.shares(), Reason::Authorization),
        (facts.vary == Vary::Star, Reason::Vary),
    ];
    reasons.into_iter().find_map(|(holds, reason)| holds.then_some(reason))
}

/// Final statuses whose meaning does not depend on the one request.
fn may_be_stored(status: u16) -> bool {
    matches!(status, 200..=599) && !matches!(status, 206 | 304 | 401 | 407 | 416)
}

/// Statuses whose meaning for a cache is known (RFC 9110 §15).
fn is_understood(status: u16) -> bool {
    matches!(
        status,
        200..=205 | 300..=303 | 307 | 308 | 400 | 402..=406 | 408..=415 | 417 | 421 | 422 | 426
            | 451 | 500..=505
    )
}

/// Statuses that are cacheable without an explicit lifetime (RFC 9110 §15.1), and those that the
/// response calls public (RFC 9111 §4.2.2).
fn is_heuristic(facts: &ResponseFacts) -> bool {
    facts.cache_control.public
        || matches!(facts.status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// §4.2.1: `s-maxage`, `max-age`, `Expires` − `Date`, in this order.
fn explicit_lifetime_ms(facts: &ResponseFacts, received_unix_ms: u64) -> Option<(u64, Source)> {
    let control = &facts.cache_control;
    let seconds = control.s_maxage_s.map(|seconds| (seconds, Source::SMaxage));
    if let Some((seconds, source)) =
        seconds.or(control.max_age_s.map(|seconds| (seconds, Source::MaxAge)))
    {
        return Some((seconds.min(SECONDS_MAX) * 1000, source));
    }
    let Ok(expires) = facts.expires_unix_s? else { return Some((0, Source::Expires)) };
    let seconds = expires.saturating_sub(date_unix_s(facts, received_unix_ms));
    Some((u64::try_from(seconds).unwrap_or(0).min(SECONDS_MAX) * 1000, Source::Expires))
}

/// §4.2.2: a tenth of the time since the last change, at least ten seconds, at most the default.
fn heuristic_lifetime_ms(
    facts: &ResponseFacts,
    default_ttl_ms: u64,
    received_unix_ms: u64,
) -> Option<u64> {
    let guess_ms = match facts.last_modified_unix_s {
        Some(modified) => {
            let unchanged_s = date_unix_s(facts, received_unix_ms).saturating_sub(modified);
            u64::try_from(unchanged_s).unwrap_or(0).min(SECONDS_MAX) * 1000 / 10
        }
        None if facts.has_etag => 0,
        None => return None,
    };
    Some(guess_ms.max(HEURISTIC_MIN_MS).min(default_ttl_ms))
}

/// `Date`, or the time of receipt where it is missing (RFC 9110 §6.6.1).
fn date_unix_s(facts: &ResponseFacts, received_unix_ms: u64) -> i64 {
    facts.date_unix_s.unwrap_or(unix_s(received_unix_ms))
}

fn unix_s(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_000_000_000_000;
    const NOW_S: i64 = 1_000_000_000;
    const HOUR_MS: u64 = 3_600_000;

    fn plain() -> ResponseFacts {
        ResponseFacts {
            status: 200,
            date_unix_s: Some(NOW_S),
            last_modified_unix_s: Some(NOW_S - 1_000),
            has_etag: true,
            ..ResponseFacts::default()
        }
    }

    fn of(change: impl FnOnce(&mut ResponseFacts)) -> Storability {
        let mut facts = plain();
        change(&mut facts);
        assess(&facts, HOUR_MS, NOW_MS - 200, NOW_MS)
    }

    fn lifetime_ms(change: impl FnOnce(&mut ResponseFacts)) -> Option<u64> {
        match of(change) {
            Storability::Store { lifetime_ms, .. } => Some(lifetime_ms),
            _ => None,
        }
    }

    #[test]
    fn lifetimes() {
        assert_eq!(lifetime_ms(|_| ()), Some(100_000), "a tenth");
        assert_eq!(lifetime_ms(|f| f.last_modified_unix_s = Some(NOW_S - 5)), Some(10_000));
        assert_eq!(lifetime_ms(|f| f.last_modified_unix_s = Some(0)), Some(HOUR_MS));
        assert_eq!(lifetime_ms(|f| f.last_modified_unix_s = Some(i64::MIN)), Some(HOUR_MS));
        assert_eq!(lifetime_ms(|f| f.last_modified_unix_s = Some(NOW_S + 9)), Some(10_000));
        assert_eq!(lifetime_ms(|f| f.last_modified_unix_s = None), Some(10_000), "an ETag alone");
        assert_eq!(lifetime_ms(|f| f.expires_unix_s = Some(Ok(NOW_S + 60))), Some(60_000));
        assert_eq!(
            lifetime_ms(|f| {
                f.expires_unix_s = Some(Ok(NOW_S));
                f.cache_control.max_age_s = Some(30);
            }),
            Some(30_000),
            "max-age before Expires"
        );
        assert_eq!(
            lifetime_ms(|f| {
                f.cache_control.max_age_s = Some(0);
                f.cache_control.s_maxage_s = Some(u64::MAX);
            }),
            Some(SECONDS_MAX * 1000),
            "s-maxage before max-age, and bounded"
        );
        assert_eq!(
            lifetime_ms(|f| {
                f.status = 302;
                f.cache_control.max_age_s = Some(5);
            }),
            Some(5_000)
        );
    }

    #[test]
    fn refusals() {
        type Change = fn(&mut ResponseFacts);
        let table: [(Change, Reason); 16] = [
            (|f| f.cache_control.no_store = true, Reason::NoStore),
            (|f| f.cache_control.private = true, Reason::Private),
            (|f| (bare(f), f.cache_control.no_cache = true).1, Reason::NoCache),
            (|f| (bare(f), f.cache_control.max_age_s = Some(0)).1, Reason::Expired),
            (|f| (bare(f), f.expires_unix_s = Some(Err(()))).1, Reason::Expired),
            (|f| (bare(f), f.expires_unix_s = Some(Ok(NOW_S - 1))).1, Reason::Expired),
            (|f| (bare(f), f.expires_unix_s = Some(Ok(i64::MIN))).1, Reason::Expired),
            // §7.3: a cookie alone does not keep a response from being shared.
            (|f| f.set_cookie = true, Reason::SetCookie),
            (|f| f.vary = Vary::Star, Reason::Vary),
            (|f| f.authorization = true, Reason::Authorization),
            (|f| f.status = 302, Reason::Status),
            (|f| f.status = 500, Reason::Status),
            (|f| f.status = 304, Reason::Status),
            (|f| f.status = 100, Reason::Status),
            (bare, Reason::NoLifetime),
            (
                |f| {
                    bare(f);
                    f.cache_control.max_age_s = Some(60);
                    f.age_s = Some(60);
                },
                Reason::Expired,
            ),
        ];
        for (number, (change, reason)) in table.into_iter().enumerate() {
            assert_eq!(of(change), Storability::Bypass(reason), "row {number}");
        }
        let shared = |f: &mut ResponseFacts| {
            f.authorization = true;
            f.cache_control.public = true;
        };
        assert!(lifetime_ms(shared).is_some());
    }

    fn bare(facts: &mut ResponseFacts) {
        facts.last_modified_unix_s = None;
        facts.has_etag = false;
    }

    #[test]
    fn what_is_stored_only_to_be_asked_about() {
        type Change = fn(&mut ResponseFacts);
        let table: [Change; 6] = [
            // §5.2.2.4
            |f| f.cache_control.no_cache = true,
            |f| (f.status = 302, f.cache_control.no_cache = true).1,
            // §4.2.4: stale on arrival, but it has a validator, or may stand in for a while
            |f| f.cache_control.max_age_s = Some(0),
            |f| f.expires_unix_s = Some(Err(())),
            |f| (f.cache_control.max_age_s = Some(60), f.age_s = Some(60)).1,
            |f| {
                bare(f);
                f.cache_control.max_age_s = Some(0);
                f.cache_control.lets_stale = true;
            },
        ];
        for (number, change) in table.into_iter().enumerate() {
            assert!(matches!(of(change), Storability::Validate { .. }), "row {number}");
        }
    }

    #[test]
    fn statuses_and_directives_that_allow_more() {
        type Change = fn(&mut ResponseFacts);
        let max_age = |f: &mut ResponseFacts| f.cache_control.max_age_s = Some(60);
        let table: [(Change, bool); 9] = [
            // §3: any final status with an explicit lifetime
            (|f| f.status = 599, true),
            (|f| f.status = 303, true),
            (|f| f.status = 500, true),
            (|f| f.status = 401, false),
            // §5.2.2.3
            (|f| (f.cache_control.no_store = true, f.cache_control.must_understand = true).1, true),
            (|f| (f.status = 599, f.cache_control.must_understand = true).1, false),
            (|f| (f.cache_control.no_store = true, f.status = 404).1, false),
            // §7.3
            (|f| f.set_cookie = true, true),
            (|f| f.cache_control.private = true, false),
        ];
        for (number, (change, stored)) in table.into_iter().enumerate() {
            let lifetime_ms = lifetime_ms(|facts| (max_age(facts), change(facts)).1);
            assert_eq!(lifetime_ms.is_some(), stored, "row {number}");
        }
        // §4.2.2
        assert!(lifetime_ms(|f| (f.status = 599, f.cache_control.public = true).1).is_some());
        assert!(lifetime_ms(|f| f.status = 599).is_none());
    }

    #[test]
    fn ages() {
        let age_ms = |change: fn(&mut ResponseFacts)| match of(change) {
            Storability::Store { initial_age_ms, .. } => initial_age_ms,
            other => panic!("{other:?}"),
        };
        assert_eq!(age_ms(|_| ()), 200, "the answer took that long");
        assert_eq!(age_ms(|f| f.age_s = Some(3)), 3_200);
        assert_eq!(age_ms(|f| f.date_unix_s = Some(NOW_S - 7)), 7_000);
        assert_eq!(age_ms(|f| f.date_unix_s = Some(NOW_S + 7)), 200, "a clock ahead of ours");
        assert_eq!(age_ms(|f| f.date_unix_s = None), 200);
    }
}
