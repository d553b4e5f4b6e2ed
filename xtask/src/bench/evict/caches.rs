//! The well-known ones, over records of any size.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// A cache of records.
pub trait Cache {
    /// Asks for a record; whether it is there.
    fn read(&mut self, id: u64) -> bool;
    /// Takes in a record that is not there.
    fn insert(&mut self, id: u64, len_bytes: u64);
    /// Bytes written to make room, for those that move what they keep.
    fn moved_bytes(&self) -> u64 {
        0
    }
}

/// Least recently used, or first in first out.
pub struct Queue {
    by_id: HashMap<u64, (u64, u64)>,
    by_age: BTreeMap<u64, u64>,
    clock: u64,
    left: u64,
    moves_up: bool,
}

impl Queue {
    /// Whoever was not read for longest goes.
    pub fn lru(size_bytes: u64) -> Queue {
        let (by_id, by_age) = (HashMap::new(), BTreeMap::new());
        Queue { by_id, by_age, clock: 0, left: size_bytes, moves_up: true }
    }

    /// Whoever came first goes.
    pub fn fifo(size_bytes: u64) -> Queue {
        Queue { moves_up: false, ..Queue::lru(size_bytes) }
    }

    fn pop(&mut self) -> Option<u64> {
        let (_, id) = self.by_age.pop_first()?;
        let (_, len) = self.by_id.remove(&id)?;
        self.left += len;
        Some(id)
    }
}

impl Cache for Queue {
    fn read(&mut self, id: u64) -> bool {
        let Some((age, _)) = self.by_id.get_mut(&id) else { return false };
        if self.moves_up {
            self.by_age.remove(age);
            self.clock += 1;
            *age = self.clock;
            self.by_age.insert(self.clock, id);
        }
        true
    }

    fn insert(&mut self, id: u64, len_bytes: u64) {
        while self.left < len_bytes {
            if self.pop().is_none() {
                return;
            }
        }
        self.left -= len_bytes;
        self.clock += 1;
        self.by_age.insert(self.clock, id);
        self.by_id.insert(id, (self.clock, len_bytes));
    }
}

/// SIEVE (Zhang et al., NSDI 2024): a hand goes from old to new, spares once what was read.
pub struct Sieve {
    by_id: HashMap<u64, u64>,
    /// By age: id, length, whether it was read.
    queue: BTreeMap<u64, (u64, u64, bool)>,
    hand: u64,
    clock: u64,
    left: u64,
}

impl Sieve {
    /// Empty.
    pub fn new(size_bytes: u64) -> Sieve {
        let (by_id, queue) = (HashMap::new(), BTreeMap::new());
        Sieve { by_id, queue, hand: 0, clock: 0, left: size_bytes }
    }

    fn evict(&mut self) -> bool {
        while let Some((&age, _)) =
            self.queue.range(self.hand..).next().or_else(|| self.queue.first_key_value())
        {
            self.hand = age + 1;
            let Some((id, len, read)) = self.queue.get_mut(&age) else { return false };
            if !std::mem::take(read) {
                (self.left, _) = (self.left + *len, self.by_id.remove(id));
                self.queue.remove(&age);
                return true;
            }
        }
        false
    }
}

impl Cache for Sieve {
    fn read(&mut self, id: u64) -> bool {
        let Some(age) = self.by_id.get(&id) else { return false };
        if let Some((_, _, read)) = self.queue.get_mut(age) {
            *read = true;
        }
        true
    }

    fn insert(&mut self, id: u64, len_bytes: u64) {
        while self.left < len_bytes {
            if !self.evict() {
                return;
            }
        }
        self.left -= len_bytes;
        self.clock += 1;
        self.queue.insert(self.clock, (id, len_bytes, false));
        self.by_id.insert(id, self.clock);
    }
}

/// 2Q (Johnson and Shasha, VLDB 1994): a quarter first in first out, the rest least recently used for
/// what comes back after it; it remembers as many keys as half of the cache would hold.
pub struct TwoQueues {
    first: Queue,
    main: Queue,
    gone: VecDeque<(u64, u64)>,
    known: HashMap<u64, u64>,
    gone_bytes: u64,
    gone_max_bytes: u64,
}

impl TwoQueues {
    /// Empty.
    pub fn new(size_bytes: u64) -> TwoQueues {
        TwoQueues {
            first: Queue::fifo(size_bytes / 4),
            main: Queue::lru(size_bytes - size_bytes / 4),
            gone: VecDeque::new(),
            known: HashMap::new(),
            gone_bytes: 0,
            gone_max_bytes: size_bytes / 2,
        }
    }

    fn remember(&mut self, id: u64, len_bytes: u64) {
        self.gone.push_back((id, len_bytes));
        *self.known.entry(id).or_default() += 1;
        self.gone_bytes += len_bytes;
        while self.gone_bytes > self.gone_max_bytes {
            let Some((id, len)) = self.gone.pop_front() else { return };
            self.gone_bytes -= len;
            if let Some(times) = self.known.get_mut(&id) {
                *times -= 1;
                if *times == 0 {
                    self.known.remove(&id);
                }
            }
        }
    }
}

impl Cache for TwoQueues {
    fn read(&mut self, id: u64) -> bool {
        self.main.read(id) || self.first.read(id)
    }

    fn insert(&mut self, id: u64, len_bytes: u64) {
        if self.known.contains_key(&id) {
            return self.main.insert(id, len_bytes);
        }
        while self.first.left < len_bytes {
            let Some((_, &oldest)) = self.first.by_age.first_key_value() else { return };
            let len = self.first.by_id.get(&oldest).map_or(0, |it| it.1);
            self.first.pop();
            self.remember(oldest, len);
        }
        self.first.insert(id, len_bytes);
    }
}
