//! Chance, the same for the same seed.

/// xorshift64*, or none at all: calm dice never choose a fault.
#[derive(Debug)]
pub(super) struct Dice {
    state: u64,
    calm: bool,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        // Spread out small seeds (splitmix64); zero would stay zero.
        let mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Dice { state: (mixed ^ (mixed >> 31)).max(1), calm: false }
    }

    pub(super) fn calm() -> Dice {
        Dice { state: 1, calm: true }
    }

    pub(super) fn is_calm(&self) -> bool {
        self.calm
    }

    /// True once in `times`; never when calm.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        !self.calm && self.roll().is_multiple_of(times)
    }

    /// Something between one and `max`, which must not be zero; mostly all of it.
    pub(super) fn part_of(&mut self, max: usize) -> usize {
        if self.once_in(2) { 1 + (self.roll() % max as u64) as usize } else { max }
    }

    /// Another order.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        if !self.calm {
            for last in (1..items.len()).rev() {
                items.swap(last, (self.roll() % (last as u64 + 1)) as usize);
            }
        }
    }

    fn roll(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}
