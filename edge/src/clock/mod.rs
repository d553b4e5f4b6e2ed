//! Time as data: rooms above floor 0 are handed a [`Now`], they never ask for one.
#![forbid(unsafe_code)]

pub mod wheel;

/// One reading of both clocks, taken once per loop turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Monotonic milliseconds since an arbitrary start; for time-outs and ages.
    pub mono_ms: u64,
    /// Milliseconds since the Unix epoch; for `Date`, freshness across restarts, logs.
    pub unix_ms: u64,
}

impl Now {
    /// Reads both clocks.
    pub fn read() -> Now {
        use std::sync::OnceLock;
        use std::time::{Instant, SystemTime, UNIX_EPOCH};
        static START: OnceLock<Instant> = OnceLock::new();
        let start = START.get_or_init(Instant::now);
        let unix_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis().min(u128::from(u64::MAX)) as u64);
        // One past zero: a zero deadline can then mean "none".
        Now { mono_ms: start.elapsed().as_millis() as u64 + 1, unix_ms }
    }
}
