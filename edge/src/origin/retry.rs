//! What may be tried again.
//!
//! A question of this node's own is GET or HEAD and may be repeated as long as no byte of its answer was
//! used; afterwards a fill goes on from its watermark with a range request.

use crate::cache::FillError;
use crate::config::RetryOn;

/// How one request to one address went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The name could not be resolved.
    Name,
    /// The address could not be connected to.
    Connect,
    /// Its certificate is not believed, or it does not speak TLS.
    Tls,
    /// Connected, but no head or no byte in time.
    Timeout,
    /// Not asked: its turn did not come in time.
    Crowded,
    /// Not HTTP, or cut off.
    Broken,
    /// It is this node.
    Loop,
    /// It does not take this node's credentials.
    Denied,
    /// A status that another address may do better on.
    Status(u16),
}

impl Failure {
    /// Names of all kinds, for metrics.
    pub const KINDS: [&'static str; 9] =
        ["name", "connect", "tls", "timeout", "crowded", "broken", "loop", "denied", "status"];

    /// Position of its kind in [`Failure::KINDS`].
    pub fn kind(self) -> usize {
        match self {
            Failure::Name => 0,
            Failure::Connect => 1,
            Failure::Tls => 2,
            Failure::Timeout => 3,
            Failure::Crowded => 4,
            Failure::Broken => 5,
            Failure::Loop => 6,
            Failure::Denied => 7,
            Failure::Status(_) => 8,
        }
    }

    /// Stable name.
    pub fn as_str(self) -> &'static str {
        Failure::KINDS[self.kind()]
    }

    /// The failure in a status code, if it is one.
    pub fn of_status(status: u16) -> Option<Failure> {
        matches!(status, 500 | 502 | 503 | 504).then_some(Failure::Status(status))
    }

    /// Whether the address itself cannot be had, whatever is asked of it.
    pub fn is_unreachable(self) -> bool {
        matches!(
            self,
            Failure::Name | Failure::Connect | Failure::Tls | Failure::Timeout | Failure::Loop
        )
    }

    /// Whether it says something about the address.
    pub fn is_held_against(self) -> bool {
        match self {
            Failure::Crowded | Failure::Denied => false,
            Failure::Status(status) => Failure::of_status(status).is_some(),
            _ => true,
        }
    }

    /// Whether to send the request again, by the site's rules. `tried` requests were sent; the next
    /// would go to `elsewhere` (an address not asked yet) or to one that was asked before. A slow or
    /// failing address is not asked twice, a broken connection may be.
    pub fn may_retry(self, on: &RetryOn, tried: u32, retries: u32, elsewhere: bool) -> bool {
        let worth_it = match self {
            Failure::Connect => on.connect,
            Failure::Name | Failure::Tls | Failure::Loop => on.connect && elsewhere,
            Failure::Broken => true,
            Failure::Timeout => on.timeout && elsewhere,
            Failure::Status(status) => on.holds(status) && elsewhere,
            Failure::Crowded | Failure::Denied => false,
        };
        worth_it && tried <= retries
    }

    /// What the client is told when no more is tried.
    pub fn into_error(self) -> FillError {
        match self {
            Failure::Name | Failure::Connect => FillError::Connect,
            Failure::Tls => FillError::Tls,
            Failure::Timeout => FillError::Timeout,
            Failure::Crowded => FillError::Overloaded,
            Failure::Loop => FillError::Loop,
            Failure::Denied => FillError::Denied,
            Failure::Broken | Failure::Status(_) => FillError::Broken,
        }
    }
}

/// Pause before the same address is asked again, ms: doubling from 50, at most a second.
pub fn pause_ms(tried: u32) -> u64 {
    (50 << tried.saturating_sub(1).min(5)).min(1_000)
}

/// Counts the failures of a fill in a row. Progress of a whole slice starts the count anew, so a long
/// body survives many cuts but an origin that drips bytes and cuts does not go on for ever.
#[derive(Debug)]
pub struct Patience {
    retries: u32,
    failures: u32,
    progress_bytes: u64,
    enough_bytes: u64,
}

impl Patience {
    /// Patience for `retries` failures with less than `enough_bytes` between them.
    pub fn new(retries: u32, enough_bytes: u64) -> Patience {
        Patience { retries, failures: 0, progress_bytes: 0, enough_bytes }
    }

    /// Notes bytes that were kept.
    pub fn progress(&mut self, bytes: u64) {
        self.progress_bytes = self.progress_bytes.saturating_add(bytes);
        if self.progress_bytes >= self.enough_bytes {
            (self.failures, self.progress_bytes) = (0, 0);
        }
    }

    /// Notes a failure; the pause before the next try in ms, or `None` when it is enough.
    pub fn failed(&mut self) -> Option<u64> {
        self.failures += 1;
        (self.failures <= self.retries).then(|| pause_ms(self.failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again() {
        let rows = [
            (Failure::Name, 1, 2, false, false),
            (Failure::Name, 1, 2, true, true),
            (Failure::Tls, 1, 2, true, true),
            (Failure::Loop, 1, 2, false, false),
            (Failure::Denied, 1, 2, true, false),
            (Failure::Crowded, 1, 2, true, false),
            (Failure::Status(404), 1, 2, true, false),
            (Failure::Connect, 1, 2, false, true),
            (Failure::Connect, 3, 2, true, false),
            (Failure::Connect, 1, 0, true, false),
            (Failure::Broken, 2, 2, false, true),
            (Failure::Timeout, 1, 2, false, false),
            (Failure::Timeout, 1, 2, true, true),
            (Failure::Status(503), 1, 2, false, false),
            (Failure::Status(503), 1, 2, true, true),
            (Failure::Status(503), 3, 2, true, false),
        ];
        for (failure, tried, retries, elsewhere, expected) in rows {
            let found = failure.may_retry(&RetryOn::default(), tried, retries, elsewhere);
            assert_eq!(found, expected, "{failure:?} {tried}/{retries} {elsewhere}");
        }
        let never = RetryOn { connect: false, timeout: false, statuses: vec![(404, 404)] };
        assert!(!Failure::Connect.may_retry(&never, 1, 2, true));
        assert!(!Failure::Timeout.may_retry(&never, 1, 2, true));
        assert!(!Failure::Status(503).may_retry(&never, 1, 2, true));
        assert!(Failure::Status(404).may_retry(&never, 1, 2, true));
        assert_eq!(Failure::of_status(404), None);
        assert_eq!(Failure::of_status(501), None);
        assert_eq!(Failure::of_status(502), Some(Failure::Status(502)));
    }

    #[test]
    fn pauses_double_and_end() {
        assert_eq!([1, 2, 3, 9, u32::MAX].map(pause_ms), [50, 100, 200, 1_000, 1_000]);
    }

    #[test]
    fn progress_restores_patience_but_drips_do_not() {
        let mut patience = Patience::new(1, 100);
        assert!(patience.failed().is_some());
        patience.progress(99);
        assert!(patience.failed().is_none());
        let mut patience = Patience::new(1, 100);
        for _ in 0..10 {
            assert!(patience.failed().is_some());
            patience.progress(60);
            patience.progress(60);
        }
    }
}
