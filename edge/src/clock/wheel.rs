//! Deadlines of many connections, cheap to keep and cheap to move.
//!
//! A connection stands in the wheel at most once. Moving its deadline later costs nothing: when its
//! old slot comes up the owner is asked and puts it back ([`Wheel::expire`]).

/// Width of a slot, ms. Deadlines are met up to this late.
const SLOT_MS: u64 = 64;
/// Slots; deadlines beyond `SLOT_MS * SLOTS` (131 s) are looked at early and put back.
const SLOTS: usize = 2048;
const WORDS: usize = SLOTS / 64;

/// A hashed timing wheel of `u64` names.
pub struct Wheel {
    slots: Vec<Vec<u64>>,
    occupied: [u64; WORDS],
    /// The next slot number (not taken modulo) to expire.
    next: u64,
    len: usize,
    due: Vec<u64>,
}

impl Wheel {
    /// An empty wheel whose time begins at `now_ms` (monotonic).
    pub fn new(now_ms: u64) -> Wheel {
        Wheel {
            slots: vec![Vec::new(); SLOTS],
            occupied: [0; WORDS],
            next: now_ms / SLOT_MS,
            len: 0,
            due: Vec::new(),
        }
    }

    /// Puts `name` in, to come up at or soon after `deadline_ms`.
    pub fn insert(&mut self, name: u64, deadline_ms: u64) {
        // One slot later than the deadline's own, so that a name never comes up early.
        let number = (deadline_ms / SLOT_MS + 1).clamp(self.next, self.next + SLOTS as u64 - 1);
        let slot = (number % SLOTS as u64) as usize;
        self.slots[slot].push(name);
        self.occupied[slot / 64] |= 1 << (slot % 64);
        self.len += 1;
    }

    /// Hands every name whose slot has passed to `check`, which answers with a later deadline if
    /// there is one; the name is then put back.
    pub fn expire(&mut self, now_ms: u64, mut check: impl FnMut(u64) -> Option<u64>) {
        let current = now_ms / SLOT_MS;
        // After a long sleep one round visits every slot.
        let last = current.min(self.next + SLOTS as u64 - 1);
        while self.next <= last {
            let slot = (self.next % SLOTS as u64) as usize;
            self.next += 1;
            if self.occupied[slot / 64] & (1 << (slot % 64)) == 0 {
                continue;
            }
            self.occupied[slot / 64] &= !(1 << (slot % 64));
            let mut due = std::mem::take(&mut self.due);
            std::mem::swap(&mut due, &mut self.slots[slot]);
            self.len -= due.len();
            for name in due.drain(..) {
                if let Some(deadline_ms) = check(name) {
                    self.insert(name, deadline_ms);
                }
            }
            self.due = due;
        }
        self.next = self.next.max(current + 1);
    }

    /// Milliseconds until the first occupied slot passes; `None` when the wheel is empty.
    pub fn until_next(&self, now_ms: u64) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        let first = (self.next % SLOTS as u64) as usize;
        let distance = (0..=WORDS).find_map(|step| {
            let word = (first / 64 + step) % WORDS;
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= u64::MAX << (first % 64);
            } else if step == WORDS {
                bits &= !(u64::MAX << (first % 64));
            }
            (bits != 0).then(|| {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                (slot + SLOTS - first) % SLOTS
            })
        })?;
        let at_ms = (self.next + distance as u64) * SLOT_MS;
        Some(at_ms.saturating_sub(now_ms))
    }

    /// Names in the wheel.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is waited for.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expired(wheel: &mut Wheel, now_ms: u64) -> Vec<u64> {
        let mut names = Vec::new();
        wheel.expire(now_ms, |name| {
            names.push(name);
            None
        });
        names
    }

    #[test]
    fn a_name_comes_up_once_and_never_early() {
        for start in [1, 63, 64, 5_000, 131_071, 9_999_999] {
            for delay in [0, 1, 63, 64, 65, 1_000, 60_000, 130_000] {
                let mut wheel = Wheel::new(start);
                wheel.insert(7, start + delay);
                if delay > 0 {
                    assert!(expired(&mut wheel, start + delay - 1).is_empty(), "{start} {delay}");
                }
                let wait = wheel.until_next(start + delay).unwrap();
                assert!(wait <= 2 * SLOT_MS, "{start} {delay}: {wait}");
                assert_eq!(
                    expired(&mut wheel, start + delay + 2 * SLOT_MS),
                    [7],
                    "{start} {delay}"
                );
                assert!(wheel.is_empty() && wheel.until_next(0).is_none());
            }
        }
    }

    #[test]
    fn a_moved_deadline_is_put_back() {
        let mut wheel = Wheel::new(0);
        wheel.insert(1, 100);
        let mut asked = 0;
        for now_ms in (0..2_000).step_by(10) {
            wheel.expire(now_ms, |_| {
                asked += 1;
                (now_ms < 1_000).then_some(1_000)
            });
        }
        assert_eq!(asked, 2);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_far_deadline_and_a_long_sleep_lose_nothing() {
        let mut wheel = Wheel::new(0);
        wheel.insert(1, 10_000_000);
        wheel.insert(2, 5);
        let mut seen = Vec::new();
        wheel.expire(20_000_000, |name| {
            seen.push(name);
            None
        });
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    }
}
