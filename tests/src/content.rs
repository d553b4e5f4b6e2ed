//! Bodies that need no storing: every byte is a function of a seed and its offset.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;

use sha2::{Digest, Sha256};

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's output function: every bit of the result depends on every bit of the input.
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A body of `len` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// What tells it from others of its length.
    pub seed: u64,
    /// Bytes.
    pub len: u64,
}

impl Content {
    /// The body of `len` bytes that belongs to `seed`.
    pub const fn new(seed: u64, len: u64) -> Content {
        Content { seed, len }
    }

    /// Writes the bytes at `offset ..` to `buffer`, which must not reach beyond the end.
    pub fn fill(&self, offset: u64, buffer: &mut [u8]) {
        assert!(offset + buffer.len() as u64 <= self.len, "beyond the end of {self:?}");
        let base = mix(self.seed.wrapping_add(STEP));
        let mut word_index = offset / 8;
        let mut skip = (offset % 8) as usize;
        let mut rest = buffer;
        while !rest.is_empty() {
            let word = mix(base.wrapping_add(word_index.wrapping_mul(STEP))).to_le_bytes();
            let count = rest.len().min(8 - skip);
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&word[skip..skip + count]);
            (rest, word_index, skip) = (later, word_index + 1, 0);
        }
    }

    /// The bytes of `range`.
    pub fn bytes(&self, range: Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.fill(range.start, &mut bytes);
        bytes
    }

    /// All of it.
    pub fn all(&self) -> Vec<u8> {
        self.bytes(0..self.len)
    }

    /// Calls `sink` with all of it, piece by piece.
    pub fn for_each_piece(&self, mut sink: impl FnMut(&[u8])) {
        let mut buffer = vec![0; 256 * 1024];
        let mut offset = 0;
        while offset < self.len {
            let count = (self.len - offset).min(buffer.len() as u64) as usize;
            self.fill(offset, &mut buffer[..count]);
            sink(&buffer[..count]);
            offset += count as u64;
        }
    }

    /// SHA-256 of all of it, hexadecimal.
    pub fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        self.for_each_piece(|piece| hasher.update(piece));
        hex(&hasher.finalize())
    }

    /// Writes all of it to a new file.
    pub fn write_to(&self, path: &Path) {
        let mut file = File::create(path).unwrap_or_else(|e| panic!("create {path:?}: {e}"));
        self.for_each_piece(|piece| {
            file.write_all(piece).unwrap_or_else(|e| panic!("write {path:?}: {e}"));
        });
    }

    /// Where `bytes` first differ from what is at `offset ..`; bytes beyond the end differ.
    pub fn first_difference(&self, offset: u64, bytes: &[u8]) -> Option<u64> {
        let known = self.len.saturating_sub(offset).min(bytes.len() as u64);
        let expected = self.bytes(offset..offset + known);
        let differs = expected.iter().zip(bytes).position(|(a, b)| a != b);
        differs
            .map(|at| offset + at as u64)
            .or_else(|| (known < bytes.len() as u64).then_some(offset + known))
    }

    /// Panics unless `bytes` are what is in `range`.
    #[track_caller]
    pub fn expect(&self, range: Range<u64>, bytes: &[u8]) {
        let wrong = self.first_difference(range.start, bytes);
        assert_eq!(wrong, None, "first wrong byte of {range:?} of {self:?}");
        let len = bytes.len() as u64;
        assert_eq!(len, range.end - range.start, "right bytes, wrong number, of {range:?}");
    }
}

/// Compares a stream of bytes with a body, without keeping it.
pub struct Follower {
    content: Content,
    offset: u64,
    wrong_at: Option<u64>,
}

impl Follower {
    /// Expects the bytes of `content` from `offset` on.
    pub fn new(content: Content, offset: u64) -> Follower {
        Follower { content, offset, wrong_at: None }
    }

    /// The next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.wrong_at = self.wrong_at.or_else(|| self.content.first_difference(self.offset, bytes));
        self.offset += bytes.len() as u64;
    }

    /// The offset reached; panics if any byte was wrong.
    #[track_caller]
    pub fn offset(&self) -> u64 {
        assert_eq!(self.wrong_at, None, "first wrong byte of {:?}", self.content);
        self.offset
    }
}

/// A seeded stream of numbers; print the seed and the story can be told again.
pub struct Random(u64);

impl Random {
    /// Starts from `seed`.
    pub fn new(seed: u64) -> Random {
        Random(mix(seed ^ STEP))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `limit`, which must not be zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    /// A non-empty range of at most `max` bytes within `0 .. len`.
    pub fn range(&mut self, len: u64, max: u64) -> Range<u64> {
        let start = self.below(len);
        let count = 1 + self.below(max.min(len - start));
        start..start + count
    }
}

/// SHA-256 of a file, hexadecimal.
pub fn sha256_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// Bytes as hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_piece_of_the_whole() {
        let content = Content::new(7, 1000);
        let all = content.all();
        let mut random = Random::new(1);
        for _ in 0..200 {
            let range = random.range(1000, 1000);
            let piece = content.bytes(range.clone());
            assert_eq!(piece, all[range.start as usize..range.end as usize]);
            content.expect(range, &piece);
        }
        assert_ne!(all, Content::new(8, 1000).all());
    }

    #[test]
    fn a_follower_finds_the_wrong_byte() {
        let content = Content::new(7, 1000);
        let mut bytes = content.bytes(100..300);
        bytes[50] ^= 1;
        assert_eq!(content.first_difference(100, &bytes), Some(150));
        assert_eq!(content.first_difference(100, &bytes[..50]), None);
        assert_eq!(content.first_difference(900, &content.bytes(900..1000)), None);
        let mut longer = content.bytes(900..1000);
        longer.push(0);
        assert_eq!(content.first_difference(900, &longer), Some(1000));
    }
}
