//! A table that never grows: rows in sets of eight, the least worthy of a set makes room.
//!
//! Rows are kept in shards, each under a lock that is held for some arithmetic and never longer. A
//! shard takes its memory with its first row. What a row that made room had counted goes to the
//! shard's *rest*, so that sums over a table are exact whatever came and went.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam::utils::CachePadded;

/// Rows of a set: a key has its place in one of them.
const WAYS: usize = 8;
/// Locks of a table.
const SHARDS: u32 = 64;

/// What stands in a table.
pub(super) trait Row: Clone + Default {
    /// What it is found by.
    type Key: Copy + PartialEq;

    /// Its key; nothing means much while it is vacant.
    fn key(&self) -> Self::Key;
    /// Whether it may be overwritten without a loss.
    fn is_vacant(&self) -> bool;
    /// Whether somebody relies on it: it makes no room.
    fn is_held(&self) -> bool;
    /// The row of a set with the least of it makes room first.
    fn worth(&self) -> u64;
    /// Becomes `key`'s, and takes over from the row that made room for it what is to be kept.
    fn begin(&mut self, key: Self::Key);
    /// Adds the counts of a row that is gone.
    fn absorb(&mut self, gone: &Self);
}

struct Shard<R> {
    rows: Vec<R>,
    rest: R,
}

/// See the module.
pub(super) struct Table<R> {
    shards: Box<[CachePadded<Mutex<Shard<R>>>]>,
    sets: u32,
}

impl<R: Row> Table<R> {
    /// A table of about `rows` rows.
    pub(super) fn new(rows: u32) -> Table<R> {
        let shard =
            |_| CachePadded::new(Mutex::new(Shard { rows: Vec::new(), rest: R::default() }));
        let sets = rows.div_ceil(SHARDS * WAYS as u32).max(1);
        Table { shards: (0..SHARDS).map(shard).collect(), sets }
    }

    /// Runs `then` with the row of `key`, made if there is none; `false`: with the rest, because
    /// every row of its set is held. `place` is a hash of the key.
    pub(super) fn with<T>(
        &self,
        key: R::Key,
        place: u64,
        then: impl FnOnce(&mut R, bool) -> T,
    ) -> T {
        let mut shard = lock(&self.shards[(place >> 58) as usize]);
        let Shard { rows, rest } = &mut *shard;
        if rows.is_empty() {
            rows.resize(self.sets as usize * WAYS, R::default());
        }
        let set = ((place & 0xffff_ffff) * u64::from(self.sets)) >> 32;
        let set = &mut rows[set as usize * WAYS..][..WAYS];
        let found = set.iter().position(|row| !row.is_vacant() && row.key() == key);
        if let Some(found) = found {
            return then(&mut set[found], true);
        }
        let free = set.iter_mut().filter(|row| !row.is_held());
        let Some(row) = free.min_by_key(|row| (!row.is_vacant(), row.worth())) else {
            return then(rest, false);
        };
        if !row.is_vacant() {
            rest.absorb(row);
        }
        row.begin(key);
        then(row, true)
    }

    /// Runs `then` with every row, shard by shard.
    pub(super) fn each(&self, mut then: impl FnMut(&mut R)) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.rows.iter_mut().filter(|row| !row.is_vacant()).for_each(&mut then);
        }
    }

    /// What rows counted that are gone, and those that found no place.
    pub(super) fn rest(&self) -> R {
        let mut sum = R::default();
        for shard in &self.shards {
            sum.absorb(&lock(shard).rest);
        }
        sum
    }
}

fn lock<R>(shard: &Mutex<Shard<R>>) -> MutexGuard<'_, Shard<R>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Tail {
        key: u64,
        count: u64,
        held: bool,
    }

    impl Row for Tail {
        type Key = u64;

        fn key(&self) -> u64 {
            self.key
        }
        fn is_vacant(&self) -> bool {
            self.count == 0
        }
        fn is_held(&self) -> bool {
            self.held
        }
        fn worth(&self) -> u64 {
            self.count
        }
        fn begin(&mut self, key: u64) {
            *self = Tail { key, ..Tail::default() };
        }
        fn absorb(&mut self, gone: &Tail) {
            self.count += gone.count;
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_counted_is_lost(keys in proptest::collection::vec(0u64..40, 1..400)) {
            let table = Table::<Tail>::new(8);
            for key in &keys {
                table.with(*key, key << 60, |row, _| row.count += 1);
            }
            let mut sum = table.rest().count;
            table.each(|row| sum += row.count);
            proptest::prop_assert_eq!(sum, keys.len() as u64);
        }
    }

    #[test]
    fn a_held_row_makes_no_room() {
        let table = Table::<Tail>::new(8);
        for key in 0..8 {
            let own = table.with(key, 0, |row, own| {
                (row.count, row.held) = (100 - key, key != 3);
                own
            });
            assert!(own);
        }
        assert!(
            table.with(9, 0, |row, own| {
                row.count = 1;
                own
            }),
            "number 3 makes room"
        );
        table.with(9, 0, |row, _| row.held = true);
        assert!(
            !table.with(10, 0, |row, own| {
                row.count += 1;
                own
            }),
            "the rest"
        );
        assert_eq!(table.rest().count, 97 + 1);
    }
}
