//! Where every slice and head lies: one fixed 32-byte entry each, in shards of open addressing.
//!
//! A shard grows by an eighth when it is 85 % full, alone and under its own lock, so an entry costs at
//! most 32 / 0.755 = 42.4 bytes and nothing ever stops the whole. An entry carries the whole 128-bit key:
//! a hit needs no look at the disk to be sure.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::eviction::FREQUENCY_MAX;
use super::key::Key;
use super::record::{Kind, RECORD_ALIGN};

/// Many, so that growing or copying one holds its lock for a moment only, whatever the size of all.
const SHARD_BITS: u32 = 12;
const SHARDS: usize = 1 << SHARD_BITS;
const CAPACITY_MIN: usize = 16;
const LOAD_MAX_PERCENT: usize = 85;
const GROWTH: usize = 8;

/// Where a record starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// Position of the volume in the cache.
    pub volume: u8,
    /// Offset of the record in the volume, bytes.
    pub offset: u64,
}

/// One slice or head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub key: Key,
    /// Presence of each block of a slice; the edition of a head: of two, the larger is the newer.
    pub present: u64,
    /// Bits 0–39 offset / 512, 40–47 volume, then the flags below.
    bits: u64,
}

const OFFSET_BITS: u32 = 40;
const OCCUPIED: u64 = 1 << 48;
const HEAD: u64 = 1 << 49;
const VERIFIED: u64 = 1 << 50;
/// How often it was read, 0–3; for [`super::eviction`].
const FREQUENCY_SHIFT: u32 = 51;
const FREQUENCY: u64 = 3 << FREQUENCY_SHIFT;

const _: () = assert!(FREQUENCY_MAX == 3, "two bits");
const _: () = assert!(
    size_of::<Entry>() == 32,
    "the budget is 48 bytes an entry at the worst load, ghosts included"
);

impl Entry {
    pub fn new(key: Key, kind: Kind, place: Place, present: u64, verified: bool) -> Entry {
        let units = place.offset / RECORD_ALIGN;
        debug_assert!(units < 1 << OFFSET_BITS, "the layout keeps volumes below 512 TiB");
        let mut bits = units | u64::from(place.volume) << OFFSET_BITS | OCCUPIED;
        if kind == Kind::Head {
            bits |= HEAD;
        }
        if verified {
            bits |= VERIFIED;
        }
        Entry { key, present, bits }
    }

    /// As a checkpoint has it: found again, so unverified; on whatever position the volume is now.
    pub fn from_disk(key: Key, present: u64, bits: u64, volume: u8) -> Entry {
        let kept = bits & (((1 << OFFSET_BITS) - 1) | HEAD | FREQUENCY);
        Entry { key, present, bits: kept | u64::from(volume) << OFFSET_BITS | OCCUPIED }
    }

    /// For [`Entry::from_disk`].
    pub fn to_bits(self) -> u64 {
        self.bits
    }

    pub fn place(&self) -> Place {
        let offset = (self.bits & ((1 << OFFSET_BITS) - 1)) * RECORD_ALIGN;
        Place { volume: (self.bits >> OFFSET_BITS) as u8, offset }
    }

    pub fn kind(&self) -> Kind {
        if self.bits & HEAD != 0 { Kind::Head } else { Kind::Slice }
    }

    pub fn is_verified(&self) -> bool {
        self.bits & VERIFIED != 0
    }

    /// Its checksums were right, and the blocks its header names are `present`.
    pub fn set_verified(&mut self, present: u64) {
        self.bits |= VERIFIED;
        self.present = present;
    }

    /// How often it was read, as far as it is counted.
    pub fn frequency(&self) -> u8 {
        ((self.bits & FREQUENCY) >> FREQUENCY_SHIFT) as u8
    }

    /// Counts reads.
    pub fn add_reads(&mut self, reads: u8) {
        *self = self.with_frequency(self.frequency().saturating_add(reads));
    }

    /// The same, read so often.
    pub fn with_frequency(mut self, frequency: u8) -> Entry {
        let frequency = u64::from(frequency.min(FREQUENCY_MAX));
        self.bits = self.bits & !FREQUENCY | frequency << FREQUENCY_SHIFT;
        self
    }

    fn is_empty(&self) -> bool {
        self.bits & OCCUPIED == 0
    }
}

const EMPTY: Entry = Entry { key: Key([0; 2]), present: 0, bits: 0 };

/// The whole index.
pub(super) struct Index {
    shards: Box<[Mutex<Shard>]>,
    len: AtomicUsize,
}

#[derive(Default)]
struct Shard {
    slots: Box<[Entry]>,
    len: usize,
}

impl Index {
    pub fn new() -> Index {
        Index { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), len: AtomicUsize::new(0) }
    }

    /// Runs `with` on the entry of `key` under its shard's lock.
    pub fn find<R>(&self, key: Key, with: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let mut shard = self.shard(key);
        let at = shard.position(key)?;
        Some(with(&mut shard.slots[at]))
    }

    /// Stores `entry` under its key if `admit`, asked under the shard's lock and shown the entry that
    /// is there, agrees.
    pub fn insert_if(&self, entry: Entry, admit: impl FnOnce(Option<&Entry>) -> bool) -> bool {
        self.upsert(entry, |old| admit(old).then_some(entry))
    }

    /// Stores what `make`, asked under the shard's lock and shown the entry that is there, makes of
    /// `entry`, of the same key. Says whether it made something.
    pub fn upsert(&self, entry: Entry, make: impl FnOnce(Option<&Entry>) -> Option<Entry>) -> bool {
        let mut shard = self.shard(entry.key);
        let at = shard.position(entry.key);
        let Some(entry) = make(at.map(|at| &shard.slots[at])) else { return false };
        match at {
            Some(at) => shard.slots[at] = entry,
            None => {
                shard.insert_new(entry);
                self.len.fetch_add(1, Relaxed);
            }
        }
        true
    }

    /// Removes the entry of `key` if `condition` holds for it.
    pub fn remove_if(&self, key: Key, condition: impl FnOnce(&Entry) -> bool) -> Option<Entry> {
        let mut shard = self.shard(key);
        let at = shard.position(key)?;
        let entry = shard.slots[at];
        if !condition(&entry) {
            return None;
        }
        shard.remove_at(at);
        self.len.fetch_sub(1, Relaxed);
        Some(entry)
    }

    /// Removes every entry for which `condition` holds, a shard at a time. Walks everything: for
    /// damaged regions only.
    pub fn remove_all(&self, condition: impl Fn(&Entry) -> bool) -> usize {
        let mut removed = 0;
        for shard in &self.shards {
            let mut shard = lock(shard);
            let mut at = 0;
            while at < shard.slots.len() {
                // What is shifted into the hole is looked at next.
                if !shard.slots[at].is_empty() && condition(&shard.slots[at]) {
                    shard.remove_at(at);
                    removed += 1;
                } else {
                    at += 1;
                }
            }
        }
        self.len.fetch_sub(removed, Relaxed);
        removed
    }

    /// Shards there are.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Appends shard `shard`'s entries that `condition` names to `to`.
    pub fn copy(&self, shard: usize, to: &mut Vec<Entry>, condition: impl Fn(&Entry) -> bool) {
        let shard = lock(&self.shards[shard]);
        to.extend(shard.slots.iter().filter(|entry| !entry.is_empty() && condition(entry)));
    }

    pub fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// Memory of all slots, bytes.
    pub fn memory_bytes(&self) -> usize {
        self.shards.iter().map(|shard| size_of_val(&*lock(shard).slots)).sum()
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        lock(&self.shards[(key.0[0] >> (64 - SHARD_BITS)) as usize])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    /// Where `key` would stand if nothing were in its way.
    fn home(&self, key: Key) -> usize {
        ((u128::from(key.0[1]) * self.slots.len() as u128) >> 64) as usize
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    fn position(&self, key: Key) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.home(key);
        // Ends: a shard is never full.
        while !self.slots[at].is_empty() {
            if self.slots[at].key == key {
                return Some(at);
            }
            at = self.next(at);
        }
        None
    }

    fn insert_new(&mut self, entry: Entry) {
        if (self.len + 1) * 100 > self.slots.len() * LOAD_MAX_PERCENT {
            self.grow();
        }
        self.place(entry);
        self.len += 1;
    }

    fn place(&mut self, entry: Entry) {
        let mut at = self.home(entry.key);
        while !self.slots[at].is_empty() {
            at = self.next(at);
        }
        self.slots[at] = entry;
    }

    fn grow(&mut self) {
        let capacity = (self.slots.len() + self.slots.len() / GROWTH).max(CAPACITY_MIN);
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; capacity].into());
        for entry in old.into_iter().filter(|entry| !entry.is_empty()) {
            self.place(entry);
        }
    }

    /// Empties a slot and moves back what stands behind it only because it was taken (Knuth 6.4 R).
    fn remove_at(&mut self, mut hole: usize) {
        let mut at = self.next(hole);
        while !self.slots[at].is_empty() {
            let home = self.home(self.slots[at].key);
            let stays =
                if hole <= at { hole < home && home <= at } else { hole < home || home <= at };
            if !stays {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
            at = self.next(at);
        }
        self.slots[hole] = EMPTY;
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn key(number: u64) -> Key {
        Key([7, 9]).slice(number, 0)
    }

    fn entry(number: u64) -> Entry {
        let place = Place { volume: 3, offset: number * RECORD_ALIGN };
        Entry::new(key(number), Kind::Slice, place, number, number.is_multiple_of(2))
    }

    #[test]
    fn an_entry_keeps_what_it_is_given() {
        let place = Place { volume: 254, offset: (1 << 49) - 512 };
        let mut entry = Entry::new(key(1), Kind::Head, place, 5, false);
        for _ in 0..9 {
            entry.add_reads(1);
        }
        assert_eq!(entry.frequency(), FREQUENCY_MAX);
        assert_eq!((entry.place(), entry.kind(), entry.is_verified()), (place, Kind::Head, false));
        entry.set_verified(9);
        assert!(entry.is_verified() && entry.present == 9 && entry.place() == place);
        let back = Entry::from_disk(entry.key, 9, entry.to_bits(), 7);
        assert!(!back.is_verified(), "found on a disk: to be verified");
        assert_eq!((back.place().volume, back.place().offset), (7, place.offset));
        assert_eq!((back.kind(), back.frequency()), (Kind::Head, FREQUENCY_MAX));
        assert_eq!(back.with_frequency(1).frequency(), 1);
    }

    #[test]
    fn a_million_entries_cost_at_most_43_bytes_each() {
        let index = Index::new();
        for number in 0..1_000_000 {
            assert!(index.insert_if(entry(number), |old| old.is_none()));
            if number % 100_000 == 99_999 {
                let each = index.memory_bytes() as f64 / index.len() as f64;
                assert!(each <= 43.0, "{each} bytes an entry at {}", index.len());
            }
        }
        assert!(
            (0..1_000_000).all(|number| index.find(key(number), |e| e.present) == Some(number))
        );
        assert_eq!(index.find(key(1_000_001), |_| ()), None);
        assert_eq!(index.remove_all(|entry| entry.present % 3 == 0), 333_334);
        for number in 0..1_000_000 {
            assert_eq!(index.find(key(number), |_| ()).is_none(), number % 3 == 0);
        }
    }

    proptest! {
        /// In one small shard, so that probes run into each other and round the end.
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0u8..3, 0u64..40), 0..400)) {
            let crowded = |number: u64| Key([1, (number * 3 % 7) << 61 | number]);
            let (index, mut map) = (Index::new(), HashMap::new());
            for (step, number) in steps {
                let key = crowded(number);
                match step {
                    0 | 1 => {
                        let entry = Entry { key, ..entry(number + u64::from(step)) };
                        index.insert_if(entry, |old| {
                            assert_eq!(old.map(|old| old.present), map.get(&number).copied());
                            true
                        });
                        map.insert(number, entry.present);
                    }
                    _ => {
                        let removed = index.remove_if(key, |_| true).map(|entry| entry.present);
                        assert_eq!(removed, map.remove(&number));
                    }
                }
                for number in 0..40 {
                    let found = index.find(crowded(number), |entry| entry.present);
                    prop_assert_eq!(found, map.get(&number).copied());
                }
                prop_assert_eq!(index.len(), map.len());
            }
        }
    }
}
