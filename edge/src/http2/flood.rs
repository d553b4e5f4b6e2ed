//! How much a client may make the node do for nothing: buckets that leak.

use crate::clock::Now;
use crate::limits;

/// A bucket; its level in thousandths of a unit.
#[derive(Default)]
struct Bucket {
    level: u64,
    at_ms: u64,
}

impl Bucket {
    /// Puts `units` in; `false` when it overflows.
    fn add(&mut self, units: u64, (per_s, burst): (u64, u64), now: Now) -> bool {
        let leaked = now.mono_ms.saturating_sub(self.at_ms).saturating_mul(per_s);
        self.at_ms = now.mono_ms;
        self.level = self.level.saturating_sub(leaked) + units * 1_000;
        self.level <= burst * 1_000
    }

    fn give_back(&mut self, units: u64) {
        self.level = self.level.saturating_sub(units * 1_000);
    }
}

/// What one connection has done of what costs its client nothing.
#[derive(Default)]
pub struct Floods {
    resets: Bucket,
    frames: Bucket,
}

impl Floods {
    /// A stream ended before its answer did: given up by the client, or refused for what it sent.
    pub fn reset(&mut self, now: Now) -> bool {
        self.resets.add(1, limits::H2_RESETS, now)
    }

    /// `units` frames that carry no request and no body.
    pub fn frame(&mut self, units: u64, now: Now) -> bool {
        self.frames.add(units, limits::H2_IDLE_FRAMES, now)
    }

    /// The client was sent a piece of a body, which it may well answer with frames for both windows.
    pub fn served(&mut self) {
        self.frames.give_back(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_a_flood_is_not() {
        let at = |mono_ms| Now { mono_ms, unix_ms: 0 };
        let (per_s, burst) = limits::H2_RESETS;
        let mut floods = Floods::default();
        assert!((0..burst).all(|_| floods.reset(at(5))));
        assert!(!floods.reset(at(5)));
        let mut floods = Floods::default();
        // At the rate it is taken for ever.
        assert!((0..10_000).all(|n| floods.reset(at(n * 1_000 / per_s + 1))));
        let (_, burst) = limits::H2_IDLE_FRAMES;
        for _ in 0..burst * 2 {
            assert!(floods.frame(4, at(1)), "frames that answer data are no flood");
            floods.served();
        }
    }
}
