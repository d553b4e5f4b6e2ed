//! A start: what the volumes hold, found by bookkeeping and headers alone.
//!
//! For each volume the region table says which life each region is in. A region the newest whole
//! checkpoint knows in that same life, and as whole, is taken from it; every other one that has a life
//! is walked by its headers. Nothing found here is served before its checksums were looked at.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::checkpoint;
use super::index::{Entry, Index, Place};
use super::layout::{TABLE_ENTRY_BYTES, decode_table_entry};
use super::metrics::CacheMetrics;
use super::record::{Header, Kind};
use super::volume::Volume;
use super::volumes::Volumes;
use super::walk::walk;

/// Brings all volumes that are not new into the index.
pub(super) fn recover(
    volumes: &Volumes,
    found: &[(Arc<Volume>, bool)],
    index: &Index,
    metrics: &CacheMetrics,
) {
    let old: Vec<&Arc<Volume>> =
        found.iter().filter(|(_, is_new)| !is_new).map(|(volume, _)| volume).collect();
    for volume in &old {
        let newest = read_table(volume);
        volumes.sequences().fetch_max(newest, Ordering::AcqRel);
    }
    for volume in &old {
        let recovery = Recovery { volumes, volume, index };
        recovery.run();
    }
    metrics.recovered_entries.add(index.len() as u64);
}

/// Sets each region's sequence as the table has it; returns the largest.
fn read_table(volume: &Volume) -> u64 {
    let mut table = vec![0; (u64::from(volume.layout.regions) * TABLE_ENTRY_BYTES) as usize];
    if let Err(error) = volume.file.read_exact_at(&mut table, volume.layout.table_at(0)) {
        tracing::error!(volume = %volume.path.display(), %error, "region table unreadable: empty");
        return 0;
    }
    let mut newest = 0;
    for (region, bytes) in (0..).zip(table.chunks_exact(TABLE_ENTRY_BYTES as usize)) {
        if let Some(sequence) = decode_table_entry(bytes, region, volume.volume_id) {
            volume.region(region).sequence.store(sequence, Ordering::Release);
            newest = newest.max(sequence);
        }
    }
    newest
}

struct Recovery<'a> {
    volumes: &'a Volumes,
    volume: &'a Volume,
    index: &'a Index,
}

impl Recovery<'_> {
    fn run(&self) {
        let regions = self.volume.layout.regions;
        let mut used_bytes = vec![None; regions as usize];
        if let Some((head, seen)) = checkpoint::newest(self.volume) {
            for (region, seen) in (0..regions).zip(seen) {
                let is_same = seen.sequence != 0 && seen.sequence == self.sequence(region);
                let fits = u64::from(seen.used_bytes) <= self.volume.layout.region_bytes;
                if seen.is_whole && is_same && fits {
                    used_bytes[region as usize] = Some(seen.used_bytes);
                }
            }
            self.take_entries(&head, &used_bytes);
            *self.volume.checkpoint.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
                head.number;
        }
        let mut by_age: Vec<u32> =
            (0..regions).filter(|region| self.sequence(*region) != 0).collect();
        by_age.sort_by_key(|region| self.sequence(*region));
        for &region in &by_age {
            used_bytes[region as usize].get_or_insert_with(|| self.walk(region));
        }
        let mut lists = self.volume.lists();
        let used = |region: &u32| used_bytes[*region as usize].unwrap_or(0);
        lists.free = (0..regions).filter(|region| used(region) == 0).collect();
        lists.sealed = by_age.into_iter().filter(|region| used(region) != 0).collect();
        lists.used_bytes = (0..regions).map(|region| used(&region)).collect();
    }

    fn sequence(&self, region: u32) -> u64 {
        self.volume.region(region).sequence.load(Ordering::Acquire)
    }

    fn take_entries(&self, head: &checkpoint::Head, whole: &[Option<u32>]) {
        let layout = &self.volume.layout;
        let result = checkpoint::entries(self.volume, head, |entry| {
            let offset = entry.place().offset;
            let Some(region) = layout.region_of(offset) else { return };
            let Some(Some(used)) = whole.get(region as usize) else { return };
            if offset < layout.region_at(region) + u64::from(*used) {
                self.take(entry);
            }
        });
        if let Err(error) = result {
            tracing::error!(volume = %self.volume.path.display(), %error, "checkpoint unreadable");
        }
    }

    /// Takes a region's records by their headers; returns how many bytes they fill.
    fn walk(&self, region: u32) -> u32 {
        let region_at = self.volume.layout.region_at(region);
        let end = region_at + self.volume.layout.region_bytes;
        let visit = |record_at, header: &Header| self.take_record(record_at, header);
        match walk(&self.volume.file, region_at, end, self.sequence(region), visit) {
            Ok(walked) => (walked - region_at) as u32,
            Err(error) => {
                tracing::error!(volume = %self.volume.path.display(), %error, "region unreadable");
                0
            }
        }
    }

    fn take_record(&self, record_at: u64, header: &Header) {
        let place = Place { volume: self.volume.id, offset: record_at };
        let key = header.entry_key();
        match header.kind {
            // A forgotten head takes those before it along.
            Kind::Head if header.buried => {
                self.index.remove_if(key, |older| self.is_newer(place, older.place()));
            }
            Kind::Slice if header.present == 0 => {}
            kind => self.take(Entry::new(key, kind, place, header.present, false)),
        }
    }

    fn take(&self, entry: Entry) {
        self.index.insert_if(entry, |older| {
            older.is_none_or(|older| self.is_newer(entry.place(), older.place()))
        });
    }

    /// Regions' sequences are one row over all volumes, records in a region are in order.
    fn is_newer(&self, place: Place, than: Place) -> bool {
        let age = |place: Place| {
            let volume = self.volumes.by_id(place.volume);
            (volume.map_or(0, |volume| volume.sequence_at(place.offset)), place.offset)
        };
        age(place) >= age(than)
    }
}
