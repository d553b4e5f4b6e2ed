//! Emptying a region: what was read often enough is written again, the rest is forgotten.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::disk::Disk;
use super::eviction::{self, Candidate, Row};
use super::index::Place;
use super::record::{Header, Kind};
use super::volume::Volume;
use super::walk::walk;
use crate::sys::file::{Advice, fadvise};

/// Regions that may lose their entries while readers still hold them.
const DRAINING_MAX: usize = 2;

/// A record of the region that is emptied, as the index shows it.
pub(super) struct Live {
    pub place: Place,
    pub header: Header,
    /// Its blocks, as far as they are known to be right.
    pub present: u64,
    frequency: u8,
}

enum Victim {
    /// Nobody held it any more: it is free now.
    Drained,
    /// Out of the lists, with all that is in it.
    Full(u32, Row),
}

impl Disk {
    /// Frees a region that nobody holds: a drained one, or the oldest of the row that is too long. With
    /// `force` the oldest loses its entries even if all are held, so that the next call finds one.
    pub fn reclaim(&self, volume: &Arc<Volume>, mut force: bool) -> bool {
        let _reclaiming = volume.reclaiming();
        loop {
            match victim(volume, &mut force) {
                None => return false,
                Some(Victim::Drained) => return true,
                Some(Victim::Full(region, row)) => {
                    self.empty(volume, region, row);
                    let mut lists = volume.lists();
                    if volume.region(region).is_unpinned() {
                        lists.used_bytes[region as usize] = 0;
                        lists.free.push_back(region);
                        return true;
                    }
                    lists.draining.push(region);
                }
            }
        }
    }

    /// Takes every entry of a region out of the index, those that go on to another place.
    fn empty(&self, volume: &Arc<Volume>, region: u32, row: Row) {
        volume.region(region).condemned.store(true, Ordering::SeqCst);
        let region_at = volume.layout.region_at(region);
        let used_bytes = u64::from(volume.lists().used_bytes[region as usize]);
        let (records, is_whole) = self.live(volume, region, used_bytes);
        let moved = self.move_kept(volume, row, &records);
        // While a head has its entry here it is buried here when it goes; so first this, then those.
        volume.end_life(region);
        let mut evicted = 0;
        self.ghost().fit(self.index.len());
        for (record, is_moved) in records.iter().zip(moved) {
            let key = record.header.entry_key();
            let removed = self.index.remove_if(key, |entry| entry.place() == record.place);
            evicted += removed.iter().len() as u64;
            if removed.is_some() && !is_moved && row == Row::Probation {
                self.ghost().insert(key.0[1]);
            }
        }
        let range = region_at..region_at + volume.layout.region_bytes;
        if !is_whole {
            // A damaged header hides those behind it: look through the whole index instead.
            evicted += self.index.remove_all(|entry| {
                entry.place().volume == volume.id && range.contains(&entry.place().offset)
            }) as u64;
        }
        // Whoever still reads it has what he needs; the others need not find it in the page cache.
        let _ = fadvise(&volume.file, region_at, used_bytes, Advice::DontNeed);
        self.metrics.reclaimed_regions.add(1);
        self.metrics.evicted_entries.add(evicted);
    }

    /// The records of a region that the index shows, and whether the region could be walked to its end.
    fn live(&self, volume: &Volume, region: u32, used_bytes: u64) -> (Vec<Live>, bool) {
        let region_at = volume.layout.region_at(region);
        let end = region_at + used_bytes;
        let sequence = volume.region(region).sequence.load(Ordering::Acquire);
        let mut records = Vec::new();
        let walked = walk(&volume.file, region_at, end, sequence, |record_at, header| {
            let place = Place { volume: volume.id, offset: record_at };
            let known = self.index.find(header.entry_key(), |entry| {
                let blocks = if entry.is_verified() { entry.present } else { u64::MAX };
                (entry.place() == place).then(|| (entry.frequency(), blocks))
            });
            let Some(Some((frequency, present))) = known else { return };
            records.push(Live { place, header: header.clone(), present, frequency });
        });
        for record in records.iter_mut().filter(|record| record.header.kind == Kind::Head) {
            let reads = self.objects.take_reads(record.header.key);
            record.frequency = record.frequency.saturating_add(reads).min(eviction::FREQUENCY_MAX);
        }
        (records, walked.is_ok_and(|walked| walked == end))
    }

    /// Writes what the policy keeps to the main row; says of each record whether that was done.
    fn move_kept(&self, volume: &Arc<Volume>, row: Row, records: &[Live]) -> Vec<bool> {
        let candidate = |record: &Live| Candidate {
            frequency: record.frequency,
            len_bytes: u64::from(record.header.record_len),
        };
        let candidates: Vec<Candidate> = records.iter().map(candidate).collect();
        let mut moved = vec![false; records.len()];
        for (at, frequency) in eviction::keep(row, &candidates, volume.layout.region_bytes) {
            match self.move_record(volume, &records[at], frequency) {
                Ok(Some(is_moved)) => moved[at] = is_moved,
                // No region for it, or the volume takes nothing any more.
                Ok(None) | Err(_) => break,
            }
            self.metrics.kept_entries.add(u64::from(moved[at]));
            self.metrics.kept_bytes.add(if moved[at] { candidates[at].len_bytes } else { 0 });
        }
        moved
    }
}

/// Chooses by the policy; a region that somebody holds only with `force`, once.
fn victim(volume: &Volume, force: &mut bool) -> Option<Victim> {
    let mut lists = volume.lists();
    let unheld = |region: &u32| volume.region(*region).is_unpinned();
    if let Some(at) = lists.draining.iter().position(unheld) {
        let region = lists.draining.swap_remove(at);
        lists.used_bytes[region as usize] = 0;
        lists.free.push_back(region);
        return Some(Victim::Drained);
    }
    let first = eviction::victim(lists.sealed[0].len(), lists.sealed[1].len());
    let rows = if first == Row::Probation { Row::ALL } else { [Row::Main, Row::Probation] };
    let mut found = rows
        .into_iter()
        .find_map(|row| Some((row, lists.sealed[row as usize].iter().position(unheld)?)));
    if found.is_none() && *force && lists.draining.len() < DRAINING_MAX {
        *force = false;
        found = rows
            .into_iter()
            .find(|row| !lists.sealed[*row as usize].is_empty())
            .map(|row| (row, 0));
    }
    let (row, at) = found?;
    let region = lists.sealed[row as usize].remove(at)?;
    Some(Victim::Full(region, row))
}
