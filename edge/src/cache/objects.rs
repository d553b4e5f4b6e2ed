//! Objects in memory: found by key without an allocation, bounded in number and bytes.
//!
//! Eviction is second chance: a lookup sets a bit, a hand goes round, clears it once and evicts at the
//! second visit. An object that somebody holds is passed over: evicting it would free nothing, and its
//! fill could no longer be joined.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::eviction::FREQUENCY_MAX;
use super::key::Key;
use super::object::{Body, Object};

const SHARDS: usize = 32;
/// What an object costs besides the bytes it points to.
const FIXED_BYTES: usize = 512;

/// See the module.
pub(super) struct Objects {
    shards: Box<[Mutex<Shard>]>,
    len: AtomicUsize,
    bytes: AtomicUsize,
    len_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct Shard {
    by_key: HashMap<Key, usize, BuildHasherDefault<KeyHasher>>,
    ring: Vec<Slot>,
    hand: usize,
}

struct Slot {
    object: Arc<Object>,
    visited: bool,
    /// Lookups the store was not told of yet.
    reads: u8,
}

/// An object that had to go, and what is known of its popularity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evicted {
    pub key: Key,
    pub reads: u8,
}

/// A key is a hash already.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.chunks(8) {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            self.0 ^= u64::from_le_bytes(padded);
        }
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

impl Objects {
    pub fn new(len_max: usize, bytes_max: usize) -> Objects {
        Objects {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            len: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            len_max,
            bytes_max,
        }
    }

    pub fn find(&self, key: Key) -> Option<Arc<Object>> {
        let mut shard = self.shard(shard_of(key));
        let at = *shard.by_key.get(&key)?;
        let slot = &mut shard.ring[at];
        slot.visited = true;
        slot.reads = (slot.reads + 1).min(FREQUENCY_MAX);
        Some(slot.object.clone())
    }

    /// The object in memory, not counted as looked up.
    pub fn peek(&self, key: Key) -> Option<Arc<Object>> {
        let shard = self.shard(shard_of(key));
        let at = *shard.by_key.get(&key)?;
        Some(shard.ring[at].object.clone())
    }

    /// Takes the reads of the object of `key` that were not taken yet.
    pub fn take_reads(&self, key: Key) -> u8 {
        let mut shard = self.shard(shard_of(key));
        let Some(&at) = shard.by_key.get(&key) else { return 0 };
        std::mem::take(&mut shard.ring[at].reads)
    }

    /// Makes `object` the one of its key. Shows `evicted` which others had to go.
    pub fn insert(&self, object: Arc<Object>, evicted: impl FnMut(Evicted)) {
        let shard = shard_of(object.key);
        self.shard(shard).put(object, self);
        self.make_room(shard, evicted);
    }

    /// The object of the key if there is one, else `object`, from now on that of the key.
    pub fn find_or_insert(&self, object: Arc<Object>, evicted: impl FnMut(Evicted)) -> Arc<Object> {
        let index = shard_of(object.key);
        let mut shard = self.shard(index);
        if let Some(&at) = shard.by_key.get(&object.key) {
            return shard.ring[at].object.clone();
        }
        shard.put(object.clone(), self);
        drop(shard);
        self.make_room(index, evicted);
        object
    }

    pub fn remove(&self, key: Key) -> Option<Arc<Object>> {
        let mut shard = self.shard(shard_of(key));
        let at = *shard.by_key.get(&key)?;
        Some(shard.take(at, self).object)
    }

    /// Removes `object` unless another has taken its place.
    pub fn remove_same(&self, object: &Arc<Object>) {
        let mut shard = self.shard(shard_of(object.key));
        if let Some(&at) = shard.by_key.get(&object.key)
            && Arc::ptr_eq(&shard.ring[at].object, object)
        {
            shard.take(at, self);
        }
    }

    /// Puts `new` in the place of `object` unless another has taken it.
    pub fn replace_same(&self, object: &Arc<Object>, new: Arc<Object>) {
        let mut shard = self.shard(shard_of(object.key));
        if let Some(&at) = shard.by_key.get(&object.key)
            && Arc::ptr_eq(&shard.ring[at].object, object)
        {
            shard.put(new, self);
        }
    }

    /// Every object that is in memory now, a shard at a time.
    pub fn all(&self) -> impl Iterator<Item = Arc<Object>> {
        (0..SHARDS).flat_map(|shard| {
            let shard = self.shard(shard);
            shard.ring.iter().map(|slot| slot.object.clone()).collect::<Vec<_>>()
        })
    }

    pub fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    fn shard(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Evicts, from the shard that grew first, one lock at a time.
    fn make_room(&self, from: usize, mut evicted: impl FnMut(Evicted)) {
        let mut barren = 0;
        while barren < SHARDS && self.is_over() {
            let gone = self.shard((from + barren) % SHARDS).evict_one(self);
            match gone {
                Some(gone) => evicted(gone),
                None => barren += 1,
            }
        }
    }

    fn is_over(&self) -> bool {
        self.len.load(Relaxed) > self.len_max || self.bytes.load(Relaxed) > self.bytes_max
    }
}

impl Shard {
    fn put(&mut self, object: Arc<Object>, totals: &Objects) {
        totals.bytes.fetch_add(cost_bytes(&object), Relaxed);
        if let Some(&at) = self.by_key.get(&object.key) {
            let old = std::mem::replace(&mut self.ring[at].object, object);
            totals.bytes.fetch_sub(cost_bytes(&old), Relaxed);
            return;
        }
        totals.len.fetch_add(1, Relaxed);
        self.by_key.insert(object.key, self.ring.len());
        self.ring.push(Slot { object, visited: false, reads: 0 });
    }

    fn take(&mut self, at: usize, totals: &Objects) -> Slot {
        let slot = self.ring.swap_remove(at);
        self.by_key.remove(&slot.object.key);
        if let Some(moved) = self.ring.get(at) {
            self.by_key.insert(moved.object.key, at);
        }
        totals.len.fetch_sub(1, Relaxed);
        totals.bytes.fetch_sub(cost_bytes(&slot.object), Relaxed);
        slot
    }

    fn evict_one(&mut self, totals: &Objects) -> Option<Evicted> {
        for _ in 0..self.ring.len() * 2 {
            if self.hand >= self.ring.len() {
                self.hand = 0;
            }
            let slot = &mut self.ring[self.hand];
            if !std::mem::take(&mut slot.visited) && !is_held(&slot.object) {
                let gone = self.take(self.hand, totals);
                return Some(Evicted { key: gone.object.key, reads: gone.reads });
            }
            self.hand += 1;
        }
        None
    }
}

fn shard_of(key: Key) -> usize {
    key.0[1] as usize % SHARDS
}

fn is_held(object: &Arc<Object>) -> bool {
    let by_fill = match &object.body {
        Body::Slices(slices) => Arc::strong_count(slices) > 1,
        _ => false,
    };
    by_fill || Arc::strong_count(object) > 1
}

fn cost_bytes(object: &Object) -> usize {
    let meta = &object.meta;
    let body = match &object.body {
        Body::File { content: Some(bytes), .. } | Body::Memory(bytes) => bytes.len(),
        Body::Variants(variants) => variants.memory_bytes(),
        _ => 0,
    };
    let etag = meta.etag.as_ref().map_or(0, |etag| etag.len());
    FIXED_BYTES + meta.headers.len() + etag + meta.key_text.len() + meta.tags.len() + body
}
