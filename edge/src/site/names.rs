//! Names and what they stand for: one look into one small table.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use siphasher::sip128::{Hasher128, SipHasher13};

/// Finds a number by a name. In the place of names stand 128 bits of keyed hash: nobody outside can
/// make two of them alike, and nothing is read but the table itself.
#[derive(Debug)]
pub(super) struct Names {
    seed: (u64, u64),
    places: HashMap<u128, u32, BuildHasherDefault<Hashed>>,
}

impl Default for Names {
    fn default() -> Names {
        let random = RandomState::new();
        Names { seed: (random.hash_one(1), random.hash_one(2)), places: HashMap::default() }
    }
}

impl Names {
    /// Makes `name` stand for `number`, unless it stands for one already.
    pub(super) fn insert(&mut self, name: &str, number: usize) {
        let number = u32::try_from(number).expect("there are fewer sites (limits::SITES_MAX)");
        self.places.entry(self.hash(name)).or_insert(number);
    }

    /// What `name` stands for.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        self.places.get(&self.hash(name)).map(|number| *number as usize)
    }

    fn hash(&self, name: &str) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.seed.0, self.seed.1);
        hasher.write(name.as_bytes());
        hasher.finish128().as_u128()
    }
}

/// For keys that are hashes already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_name_stays() {
        let mut names = Names::default();
        assert_eq!(names.find("a"), None);
        names.insert("a", 1);
        names.insert("b", 2);
        names.insert("a", 3);
        assert_eq!([names.find("a"), names.find("b"), names.find("")], [Some(1), Some(2), None]);
    }
}
