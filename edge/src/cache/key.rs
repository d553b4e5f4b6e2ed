//! What an object is found by.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// 128 bits of keyed hash over the cache key's text. Keyed, so that nobody outside can make two
/// URLs collide.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub [u64; 2]);

/// The secret of the hash; made once with the first volume and kept with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub [u64; 2]);

impl Key {
    /// The key of slice `index` of one generation of this object.
    pub fn slice(self, generation: u64, index: u32) -> Key {
        let mut hasher = SipHasher13::new_with_keys(self.0[0], self.0[1]);
        hasher.write_u64(generation);
        hasher.write_u32(index);
        let hash = hasher.finish128();
        Key([hash.h1, hash.h2])
    }

    /// As bytes, for records.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0[0].to_le_bytes());
        bytes[8..].copy_from_slice(&self.0[1].to_le_bytes());
        bytes
    }

    /// The reverse of [`Key::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Key {
        Key([
            u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")),
            u64::from_le_bytes(bytes[8..].try_into().expect("eight bytes")),
        ])
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}{:016x}", self.0[0], self.0[1])
    }
}

/// Hashes a key from its parts, without an allocation.
pub struct KeyBuilder(SipHasher13);

impl KeyBuilder {
    /// Starts a key in the space named `space` (a site's name unless sites share one).
    pub fn new(seed: Seed, space: &str) -> KeyBuilder {
        KeyBuilder(SipHasher13::new_with_keys(seed.0[0], seed.0[1])).part(space.as_bytes())
    }

    /// [`KeyBuilder::part`] in place.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.write_u64(bytes.len() as u64);
        self.0.write(bytes);
    }

    /// [`KeyBuilder::push`] of the bytes in lower case (ASCII).
    pub fn push_folded(&mut self, bytes: &[u8]) {
        self.0.write_u64(bytes.len() as u64);
        bytes.iter().for_each(|byte| self.0.write_u8(byte.to_ascii_lowercase()));
    }

    /// Adds one part; parts are length-delimited, so `a|bc` and `ab|c` differ.
    pub fn part(mut self, bytes: &[u8]) -> KeyBuilder {
        self.push(bytes);
        self
    }

    /// The key.
    pub fn finish(self) -> Key {
        let hash = self.0.finish128();
        Key([hash.h1, hash.h2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_delimited_and_seeds_matter() {
        let key = |seed, a: &str, b: &str| {
            KeyBuilder::new(Seed([seed, 2]), "s").part(a.as_bytes()).part(b.as_bytes()).finish()
        };
        assert_eq!(key(1, "a", "bc"), key(1, "a", "bc"));
        assert_ne!(key(1, "a", "bc"), key(1, "ab", "c"));
        assert_ne!(key(1, "a", "bc"), key(2, "a", "bc"));
        let one = key(1, "a", "b");
        assert_eq!(Key::from_bytes(one.to_bytes()), one);
        assert_ne!(one.slice(1, 0), one.slice(1, 1));
        assert_ne!(one.slice(1, 0), one.slice(2, 0));
    }
}
