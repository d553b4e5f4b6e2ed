//! The store's way: records in regions that are reclaimed whole, by the store's own policy.

use std::collections::{HashMap, VecDeque};

use edge::cache::eviction::{self, Candidate, FREQUENCY_MAX, Ghost, Row};

use super::caches::Cache;
use super::trace::mix;

/// Records start at multiples of this, and have a header.
const ALIGN_BYTES: u64 = 512;
const HEADER_BYTES: u64 = 128;

/// A volume without bytes.
pub struct Regions {
    region_bytes: u64,
    free: usize,
    /// Free regions that only the reclaimer may take, and those it keeps ready beside.
    ahead: usize,
    open: [Region; 2],
    full: [VecDeque<Region>; 2],
    index: HashMap<u64, Entry>,
    ghost: Ghost,
    moved_bytes: u64,
}

#[derive(Default)]
struct Region {
    records: Vec<(u64, u64)>,
    used_bytes: u64,
    number: u64,
}

struct Entry {
    region: u64,
    frequency: u8,
}

impl Regions {
    /// A volume of `size_bytes` whose regions are about `region_bytes`, at least sixteen of them.
    pub fn new(size_bytes: u64, region_bytes: u64) -> Regions {
        let region_bytes = region_bytes.min(size_bytes / 16);
        let regions = (size_bytes / region_bytes) as usize;
        Regions {
            region_bytes,
            free: regions - 2,
            ahead: 1 + eviction::ahead(regions),
            open: [Region { number: 1, ..Region::default() }, Region::default()],
            full: [VecDeque::new(), VecDeque::new()],
            index: HashMap::new(),
            ghost: Ghost::new((size_bytes / 16_384) as usize),
            moved_bytes: 0,
        }
    }

    fn append(&mut self, row: Row, id: u64, len: u64, frequency: u8) {
        if self.open[row as usize].used_bytes + len > self.region_bytes {
            let number = self.open[0].number.max(self.open[1].number) + 1;
            let fresh = Region { number, ..Region::default() };
            let full = std::mem::replace(&mut self.open[row as usize], fresh);
            self.full[row as usize].push_back(full);
            self.free -= 1;
        }
        let open = &mut self.open[row as usize];
        open.records.push((id, len));
        open.used_bytes += len;
        self.index.insert(id, Entry { region: open.number, frequency });
    }

    fn reclaim(&mut self) {
        let row = eviction::victim(self.full[0].len(), self.full[1].len());
        let Some(region) = self.full[row as usize].pop_front() else { return };
        let live = |(id, _): &(u64, u64)| {
            self.index.get(id).is_some_and(|entry| entry.region == region.number)
        };
        let records: Vec<(u64, u64)> = region.records.iter().copied().filter(live).collect();
        let candidate = |&(id, len_bytes): &(u64, u64)| Candidate {
            frequency: self.index.get(&id).map_or(0, |entry| entry.frequency),
            len_bytes,
        };
        let candidates: Vec<Candidate> = records.iter().map(candidate).collect();
        let mut kept = eviction::keep(row, &candidates, self.region_bytes).into_iter().peekable();
        self.ghost.fit(self.index.len());
        for (at, &(id, len)) in records.iter().enumerate() {
            self.index.remove(&id);
            match kept.next_if(|(kept, _)| *kept == at) {
                Some((_, frequency)) => {
                    self.moved_bytes += len;
                    self.append(Row::Main, id, len, frequency);
                }
                None if row == Row::Probation => self.ghost.insert(mix(id)),
                None => {}
            }
        }
        self.free += 1;
    }
}

impl Cache for Regions {
    fn read(&mut self, id: u64) -> bool {
        let Some(entry) = self.index.get_mut(&id) else { return false };
        entry.frequency = (entry.frequency + 1).min(FREQUENCY_MAX);
        true
    }

    fn insert(&mut self, id: u64, len_bytes: u64) {
        let len = (len_bytes + HEADER_BYTES).next_multiple_of(ALIGN_BYTES);
        if len > self.region_bytes {
            return;
        }
        self.append(self.ghost.row_of(mix(id)), id, len, 0);
        while self.free < self.ahead {
            self.reclaim();
        }
    }

    fn moved_bytes(&self) -> u64 {
        self.moved_bytes
    }
}
