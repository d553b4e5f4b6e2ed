//! What may be tried again.
//!
//! Only GET and HEAD are ever sent, so a request may be repeated as long as no byte of its answer was
//! used; afterwards a fill goes on from its watermark with a range request.

use crate::cache::FillError;

/// How one request to one address went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The name could not be resolved or the address not connected to.
    Connect,
    /// Connected, but no head or no byte in time.
    Timeout,
    /// Not asked: its turn did not come in time.
    Crowded,
    /// Not HTTP, or cut off.
    Broken,
    /// A status that another address may do better on.
    Status(u16),
}

impl Failure {
    /// The failure in a status code, if it is one.
    pub fn of_status(status: u16) -> Option<Failure> {
        matches!(status, 500 | 502 | 503 | 504).then_some(Failure::Status(status))
    }

    /// Whether to send the request again. `tried` requests were sent; the next would go to
    /// `elsewhere` (an address not asked yet) or to one that was asked before. A slow or failing
    /// address is not asked twice, a broken connection may be.
    pub fn may_retry(self, tried: u32, retries: u32, elsewhere: bool) -> bool {
        let worth_it = match self {
            Failure::Connect | Failure::Broken => true,
            Failure::Timeout | Failure::Status(_) => elsewhere,
            Failure::Crowded => false,
        };
        worth_it && tried <= retries
    }

    /// What the client is told when no more is tried.
    pub fn into_error(self) -> FillError {
        match self {
            Failure::Connect => FillError::Connect,
            Failure::Timeout => FillError::Timeout,
            Failure::Crowded => FillError::Overloaded,
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
            let found = failure.may_retry(tried, retries, elsewhere);
            assert_eq!(found, expected, "{failure:?} {tried}/{retries} {elsewhere}");
        }
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
