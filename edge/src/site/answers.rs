//! What a site's own service said, remembered for a while. Bounded: old answers make room.

use std::hash::Hasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use siphasher::sip128::{Hasher128, SipHasher13};

/// Places of a set; an answer is in one of its set's.
const WAYS: usize = 4;
/// Sets of a site that asks.
pub(super) const SETS: usize = 1_024;

/// Names one question.
pub type QuestionKey = u128;

#[derive(Clone, Copy, Debug, Default)]
struct Answer {
    key: QuestionKey,
    until_ms: u64,
    lets_in: bool,
}

/// The answers of one site's service; a reload forgets them.
pub struct Answers {
    seed: (u64, u64),
    sets: Box<[Mutex<[Answer; WAYS]>]>,
}

impl Answers {
    /// None yet, and room for `sets` of four; without any, nothing is remembered.
    pub fn new(sets: usize) -> Answers {
        use std::hash::{BuildHasher, RandomState};
        let random = RandomState::new();
        let sets = (0..sets).map(|_| Mutex::default()).collect();
        Answers { seed: (random.hash_one(1), random.hash_one(2)), sets }
    }

    /// The key of a question of these parts. Keyed: nobody can make two of them alike.
    pub fn key<'p>(&self, parts: impl Iterator<Item = &'p [u8]>) -> QuestionKey {
        let mut hasher = SipHasher13::new_with_keys(self.seed.0, self.seed.1);
        for part in parts {
            hasher.write_u64(part.len() as u64);
            hasher.write(part);
        }
        hasher.finish128().as_u128()
    }

    /// Whether who asks this is let in, if that was said and still holds.
    pub fn find(&self, key: QuestionKey, now_ms: u64) -> Option<bool> {
        let set = self.set(key)?;
        let found = set.iter().find(|answer| answer.key == key && answer.until_ms > now_ms);
        found.map(|answer| answer.lets_in)
    }

    /// Remembers an answer; the one that ends first makes room.
    pub fn keep(&self, key: QuestionKey, lets_in: bool, until_ms: u64) {
        let Some(mut set) = self.set(key) else { return };
        let place = set.iter_mut().min_by_key(|answer| match answer.key == key {
            true => 0,
            false => answer.until_ms + 1,
        });
        if let Some(place) = place {
            *place = Answer { key, until_ms, lets_in };
        }
    }

    fn set(&self, key: QuestionKey) -> Option<MutexGuard<'_, [Answer; WAYS]>> {
        let set = self.sets.get(key as usize % self.sets.len().max(1))?;
        Some(set.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_hold_for_their_time_and_make_room() {
        let answers = Answers::new(SETS);
        let key = |text: &str| answers.key([text.as_bytes()].into_iter());
        assert_eq!(answers.find(key("a"), 0), None);
        answers.keep(key("a"), true, 10);
        answers.keep(key("b"), false, 10);
        assert_eq!(
            (answers.find(key("a"), 9), answers.find(key("b"), 9)),
            (Some(true), Some(false))
        );
        assert_eq!(answers.find(key("a"), 10), None);
        // Of one set, the four that end last stay.
        let same = |n: u128| n * SETS as u128;
        (1..=6).for_each(|n| answers.keep(same(n), true, 100 + n as u64));
        let there: Vec<bool> = (1..=6).map(|n| answers.find(same(n), 50).is_some()).collect();
        assert_eq!(there, [false, false, true, true, true, true]);
        answers.keep(same(6), false, 200);
        assert_eq!(answers.find(same(6), 50), Some(false));
        assert_eq!(answers.find(same(5), 50), Some(true));
    }
}
