//! The clock the kernel program reads.

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC`, ns.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Both are never negative on this clock.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
