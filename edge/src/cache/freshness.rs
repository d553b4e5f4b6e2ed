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
    /// `must-revalidate` or `proxy-revalidate`
    pub must_revalidate: bool,
    /// `max-age`, seconds; `Some(0)` for one that cannot be read (§4.2.1)
    pub max_age_s: Option<u64>,
    /// `s-maxage`, seconds; likewise
    pub s_maxage_s: Option<u64>,
}

/// `Vary`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vary {
    /// Absent; also `Accept-Encoding` alone, when no `Accept-Encoding` but `identity` was sent.
    #[default]
    None,
    /// `*`
    Star,
    /// Some request fields
    Some,
}

/// The facts of one response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseFacts {
    /// Status code; a 206 counts as the 200 it is part of.
    pub status: u16,
    /// `Cache-Control` (or `Pragma: no-cache` as `no_cache`).
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
    /// It goes to its one client alone.
    Bypass(Reason),
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
    let lifetime_ms = match explicit_lifetime_ms(facts, received_unix_ms) {
        Some(lifetime_ms) => lifetime_ms,
        None if !is_heuristic(facts.status) => return Storability::Bypass(Reason::Status),
        None => match heuristic_lifetime_ms(facts, default_ttl_ms, received_unix_ms) {
            Some(lifetime_ms) => lifetime_ms,
            None => return Storability::Bypass(Reason::NoLifetime),
        },
    };
    let initial_age_ms = initial_age_ms(facts, sent_unix_ms, received_unix_ms);
    if initial_age_ms >= lifetime_ms {
        return Storability::Bypass(Reason::Expired);
    }
    Storability::Store { lifetime_ms, initial_age_ms }
}

/// §3 and §3.5.
fn refusal(facts: &ResponseFacts) -> Option<Reason> {
    let control = &facts.cache_control;
    let shares = control.public || control.must_revalidate || control.s_maxage_s.is_some();
    let reasons = [
        (!may_be_stored(facts.status), Reason::Status),
        (control.no_store, Reason::NoStore),
        (control.private, Reason::Private),
        (control.no_cache, Reason::NoCache),
        (facts.authorization && !shares, Reason::Authorization),
        (facts.set_cookie, Reason::SetCookie),
        (facts.vary != Vary::None, Reason::Vary),
    ];
    reasons.into_iter().find_map(|(holds, reason)| holds.then_some(reason))
}

/// Final statuses whose meaning does not depend on the one request.
fn may_be_stored(status: u16) -> bool {
    matches!(status, 200..=599) && !matches!(status, 206 | 303 | 304 | 401 | 407 | 416)
}

/// Statuses that are cacheable without an explicit lifetime (RFC 9110 §15.1).
fn is_heuristic(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// §4.2.1: `s-maxage`, `max-age`, `Expires` − `Date`, in this order.
fn explicit_lifetime_ms(facts: &ResponseFacts, received_unix_ms: u64) -> Option<u64> {
    let control = &facts.cache_control;
    if let Some(seconds) = control.s_maxage_s.or(control.max_age_s) {
        return Some(seconds.min(SECONDS_MAX) * 1000);
    }
    let Ok(expires) = facts.expires_unix_s? else { return Some(0) };
    let seconds = expires.saturating_sub(date_unix_s(facts, received_unix_ms));
    Some(u64::try_from(seconds).unwrap_or(0).min(SECONDS_MAX) * 1000)
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

/// §4.2.3: the larger of what `Date` and what `Age` (and the time the answer took) make it.
fn initial_age_ms(facts: &ResponseFacts, sent_unix_ms: u64, received_unix_ms: u64) -> u64 {
    let received_s = unix_s(received_unix_ms);
    let apparent_s = received_s.saturating_sub(date_unix_s(facts, received_unix_ms));
    let apparent_ms = u64::try_from(apparent_s).unwrap_or(0).min(SECONDS_MAX) * 1000;
    let delay_ms = received_unix_ms.saturating_sub(sent_unix_ms);
    let corrected_ms = facts.age_s.unwrap_or(0).min(SECONDS_MAX) * 1000 + delay_ms;
    apparent_ms.max(corrected_ms)
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
            Storability::Bypass(_) => None,
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
        let table: [(Change, Reason); 17] = [
            (|f| f.cache_control.no_store = true, Reason::NoStore),
            (|f| f.cache_control.private = true, Reason::Private),
            (|f| f.cache_control.no_cache = true, Reason::NoCache),
            (|f| f.cache_control.max_age_s = Some(0), Reason::Expired),
            (|f| f.expires_unix_s = Some(Err(())), Reason::Expired),
            (|f| f.expires_unix_s = Some(Ok(NOW_S - 1)), Reason::Expired),
            (|f| f.expires_unix_s = Some(Ok(i64::MIN)), Reason::Expired),
            (|f| f.set_cookie = true, Reason::SetCookie),
            (|f| f.vary = Vary::Star, Reason::Vary),
            (|f| f.vary = Vary::Some, Reason::Vary),
            (|f| f.authorization = true, Reason::Authorization),
            (|f| f.status = 302, Reason::Status),
            (|f| f.status = 500, Reason::Status),
            (|f| f.status = 304, Reason::Status),
            (|f| f.status = 100, Reason::Status),
            (
                |f| {
                    f.last_modified_unix_s = None;
                    f.has_etag = false;
                },
                Reason::NoLifetime,
            ),
            (
                |f| {
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

    #[test]
    fn ages() {
        let age_ms = |change: fn(&mut ResponseFacts)| match of(change) {
            Storability::Store { initial_age_ms, .. } => initial_age_ms,
            Storability::Bypass(reason) => panic!("{reason:?}"),
        };
        assert_eq!(age_ms(|_| ()), 200, "the answer took that long");
        assert_eq!(age_ms(|f| f.age_s = Some(3)), 3_200);
        assert_eq!(age_ms(|f| f.date_unix_s = Some(NOW_S - 7)), 7_000);
        assert_eq!(age_ms(|f| f.date_unix_s = Some(NOW_S + 7)), 200, "a clock ahead of ours");
        assert_eq!(age_ms(|f| f.date_unix_s = None), 200);
    }
}
