//! Which records a volume keeps: S3-FIFO (Yang et al., "FIFO queues are all you need for cache
//! eviction", SOSP 2023), by region. Pure arithmetic: the store and the simulator of
//! `cargo xtask bench evict` decide by what stands here.
//!
//! Regions stand in two rows. New records go to the probation row, a tenth of the volume; what is not
//! asked for again while it is there leaves with its region, and a fingerprint of its key stays in
//! the ghost table. What is asked for goes on to the main row, and so does a new record whose
//! fingerprint is found. A region of the main row that is reclaimed gives its read records another
//! round, with one read less to their name.

/// Which row of regions a record stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Seen once.
    Probation = 0,
    /// Seen again.
    Main = 1,
}

impl Row {
    /// Both.
    pub const ALL: [Row; 2] = [Row::Probation, Row::Main];
}

/// Reads of a record that are told apart; the index has two bits for it.
pub const FREQUENCY_MAX: u8 = 3;
/// One region in so many is probation's.
const PROBATION_SHARE: usize = 10;
/// And at least so many: a reader may be some regions behind the filler it follows.
const PROBATION_MIN: usize = 3;
/// One region in so many is kept free, and at most so many.
const AHEAD_SHARE: usize = 64;
const AHEAD_MAX: usize = 8;
/// Of a reclaimed region at most so many hundredths go on, so that each reclaim frees room and a kept
/// byte costs three written ones at most.
const KEPT_MAX_PERCENT: u64 = 75;

/// The row that loses its oldest region, of rows that have so many full ones.
pub fn victim(probation: usize, main: usize) -> Row {
    let share = ((probation + main) / PROBATION_SHARE).max(PROBATION_MIN);
    if probation > share || main == 0 { Row::Probation } else { Row::Main }
}

/// Free regions to keep ready in a volume of `regions`, so that no writer waits for a reclaim.
pub fn ahead(regions: usize) -> usize {
    (regions / AHEAD_SHARE).clamp(1, AHEAD_MAX)
}

/// A record of a region that is reclaimed.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// How often it was read, at most [`FREQUENCY_MAX`].
    pub frequency: u8,
    /// Its length with its header.
    pub len_bytes: u64,
}

impl Candidate {
    /// The frequency it goes on with if it may stay, else `None`.
    fn goes_on(&self, row: Row) -> Option<u8> {
        match row {
            Row::Probation => (self.frequency > 0).then_some(0),
            Row::Main => self.frequency.checked_sub(1),
        }
    }
}

/// Which of a region's records are written again, to the main row: their positions, each with the
/// frequency it goes on with, in the order they stood in.
pub fn keep(row: Row, candidates: &[Candidate], region_bytes: u64) -> Vec<(usize, u8)> {
    let stays = |(at, it): (usize, &Candidate)| it.goes_on(row).map(|frequency| (at, frequency));
    let mut kept: Vec<(usize, u8)> = candidates.iter().enumerate().filter_map(stays).collect();
    // When not all of them may, more are served by many small ones than by a large one.
    kept.sort_by_key(|&(at, _)| {
        let it = &candidates[at];
        (FREQUENCY_MAX.saturating_sub(it.frequency), it.len_bytes, at)
    });
    let mut room = region_bytes * KEPT_MAX_PERCENT / 100;
    kept.retain(|&(at, _)| {
        let left = room.checked_sub(candidates[at].len_bytes);
        room = left.unwrap_or(room);
        left.is_some()
    });
    kept.sort_unstable();
    kept
}

/// Fingerprints in a word of the ghost table, and their bits.
const LANES: usize = 4;
const LANE_BITS: u32 = 16;

/// Remembers records that left probation: two bytes each, as many as the volume has records. Each
/// word is a queue of four fingerprints; one in 16,000 strangers is taken for an acquaintance.
pub struct Ghost {
    words: Vec<u64>,
    used: usize,
}

impl Ghost {
    /// For `records` at most. Takes memory as it is used.
    pub fn new(records: usize) -> Ghost {
        let words = vec![0; records.div_ceil(LANES).next_power_of_two()];
        Ghost { words, used: 1 }
    }

    /// Remembers about as many as there are `records` in the cache. Half of what it knows is found
    /// again when that doubles.
    pub fn fit(&mut self, records: usize) {
        let wanted = records.div_ceil(LANES).next_power_of_two().min(self.words.len());
        // Not back and forth where a number of records is a power of two.
        if wanted > self.used || wanted * 4 <= self.used {
            self.used = wanted;
        }
    }

    /// Remembers a record; `hash` is random bits of its key. The one longest in its word is forgotten.
    pub fn insert(&mut self, hash: u64) {
        let at = self.word(hash);
        self.words[at] = self.words[at] << LANE_BITS | u64::from(fingerprint(hash));
    }

    /// Whether a record is remembered.
    pub fn contains(&self, hash: u64) -> bool {
        let word = self.words[self.word(hash)];
        (0..LANES as u32).any(|lane| (word >> (lane * LANE_BITS)) as u16 == fingerprint(hash))
    }

    /// The row of a new record.
    pub fn row_of(&self, hash: u64) -> Row {
        if self.contains(hash) { Row::Main } else { Row::Probation }
    }

    /// Memory it takes when all of it is used, bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.words)
    }

    fn word(&self, hash: u64) -> usize {
        (hash >> LANE_BITS) as usize & (self.used - 1)
    }
}

/// Never zero, which is an empty lane.
fn fingerprint(hash: u64) -> u16 {
    (hash as u16).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> u64 {
        let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[test]
    fn probation_has_a_tenth_and_at_least_three() {
        let table = [
            (0, 0, Row::Probation),
            (3, 1, Row::Main),
            (4, 1, Row::Probation),
            (5, 0, Row::Probation),
            (10, 90, Row::Main),
            (11, 89, Row::Probation),
        ];
        for (probation, main, row) in table {
            assert_eq!(victim(probation, main), row, "{probation} {main}");
        }
    }

    #[test]
    fn the_read_go_on_in_their_order_and_a_round_costs_a_read() {
        let of = |frequencies: &[u8]| -> Vec<Candidate> {
            let candidate = |&frequency| Candidate { frequency, len_bytes: 10 };
            frequencies.iter().map(candidate).collect()
        };
        let all = of(&[0, 1, 3, 0, 2]);
        assert_eq!(keep(Row::Probation, &all, 1000), [(1, 0), (2, 0), (4, 0)]);
        assert_eq!(keep(Row::Main, &all, 1000), [(1, 0), (2, 2), (4, 1)]);
        // A region whose records are all read loses a quarter, of those read least.
        assert_eq!(keep(Row::Main, &of(&[3, 1, 3, 3]), 40), [(0, 2), (2, 2), (3, 2)]);
        let large = Candidate { frequency: 1, len_bytes: 30 };
        assert_eq!(keep(Row::Main, &[large, of(&[1])[0]], 40), [(1, 0)]);
    }

    #[test]
    fn a_ghost_remembers_about_as_many_as_it_has_room_for() {
        let mut ghost = Ghost::new(1 << 16);
        ghost.fit(1 << 16);
        (0..1 << 16).for_each(|number| ghost.insert(hash(number)));
        let known = |range: std::ops::Range<u64>, ghost: &Ghost| {
            range.filter(|number| ghost.contains(hash(*number))).count()
        };
        assert_eq!(known((1 << 16) - 1000..1 << 16, &ghost), 1000, "the last are all known");
        assert!(known(0..1 << 16, &ghost) > 40_000);
        assert!(known(1 << 20..(1 << 20) + 100_000, &ghost) < 30, "strangers");
        (1 << 16..3 << 16).for_each(|number| ghost.insert(hash(number)));
        assert!(known(0..1000, &ghost) < 150, "the first are forgotten");
        assert_eq!(ghost.memory_bytes(), 2 << 16);
    }

    #[test]
    fn a_ghost_grows_with_the_cache_and_stays_within_its_size() {
        let mut ghost = Ghost::new(1 << 12);
        for records in [0, 1, 100, 1 << 12, 1 << 30, 100, 0] {
            ghost.fit(records);
            (0..100).for_each(|number| ghost.insert(hash(number)));
            assert!(ghost.contains(hash(99)), "{records}");
        }
        assert_eq!(ghost.memory_bytes(), 2 << 12);
    }
}
