//! A start: what the volumes hold, found by bookkeeping and headers alone.
//!
//! For each volume the region table says which life each region is in. A region the newest whole
//! checkpoint knows in that same life, and as whole, is taken from it; every other one that has a life
//! is walked by its headers. Nothing found here is served before its checksums were looked at.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::checkpoint;
use super::eviction::Row;
use super::index::{Entry, Index, Place};
use super::layout::{NUMBER_MAX, TABLE_ENTRY_BYTES, decode_table_entry};
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
    // All tables first: entries of several volumes are compared by them.
    let rows: Vec<Vec<Row>> = old.iter().map(|volume| read_table(volume)).collect();
    for volume in &old {
        let newest = volume.regions().map(|region| region.sequence.load(Ordering::Acquire)).max();
        volumes.sequences().fetch_max(newest.unwrap_or(0), Ordering::AcqRel);
    }
    for (volume, rows) in old.iter().zip(&rows) {
        let recovery = Recovery { volumes, volume, index };
        recovery.run(rows);
    }
    metrics.recovered_entries.add(index.len() as u64);
}

/// Sets each region's sequence as the table has it; returns their rows.
fn read_table(volume: &Volume) -> Vec<Row> {
    let mut rows = vec![Row::Probation; volume.layout.regions as usize];
    let mut table = vec![0; (u64::from(volume.layout.regions) * TABLE_ENTRY_BYTES) as usize];
    if let Err(error) = volume.file.read_exact_at(&mut table, volume.layout.table_at(0)) {
        tracing::error!(volume = %volume.path.display(), %error, "region table unreadable: empty");
        return rows;
    }
    for (region, bytes) in (0..).zip(table.chunks_exact(TABLE_ENTRY_BYTES as usize)) {
        if let Some(life) = decode_table_entry(bytes, region, volume.volume_id) {
            volume.region(region).sequence.store(life.sequence, Ordering::Release);
            rows[region as usize] = life.row;
        }
    }
    rows
}

struct Recovery<'a> {
    volumes: &'a Volumes,
    volume: &'a Volume,
    index: &'a Index,
}

impl Recovery<'_> {
    fn run(&self, rows: &[Row]) {
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
        for region in by_age.into_iter().filter(|region| used(region) != 0) {
            lists.sealed[rows[region as usize] as usize].push_back(region);
        }
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
            Kind::Head if header.generation >= NUMBER_MAX => {}
            // A forgotten head takes those before it along.
            Kind::Head if header.buried => {
                self.volumes.sequences().fetch_max(header.generation, Ordering::AcqRel);
                self.index.remove_if(key, |older| older.present <= header.generation);
            }
            Kind::Slice if header.present == 0 => {}
            kind => self.take(Entry::new(key, kind, place, header.entry_present(), false)),
        }
    }

    fn take(&self, entry: Entry) {
        let is_head = entry.kind() == Kind::Head;
        // Who comes after it would have no number.
        if is_head && entry.present >= NUMBER_MAX {
            return;
        }
        if is_head {
            self.volumes.sequences().fetch_max(entry.present, Ordering::AcqRel);
        }
        let mut loser = None;
        self.index.insert_if(entry, |older| {
            let Some(older) = older else { return true };
            let is_newer = self.is_newer(&entry, older);
            loser = Some(if is_newer { older.place() } else { entry.place() });
            is_newer
        });
        // A crash came between a head and the burial of the one before it.
        if is_head
            && let Some(loser) = loser
            && let Some(volume) = self.volumes.by_id(loser.volume)
            && let Err(error) = volume.bury(loser.offset)
        {
            tracing::warn!(%error, "an object that was replaced may come back after a restart");
        }
    }

    /// Of heads the later edition, wherever it lies; of the same, and of slices, the later record:
    /// regions' sequences are one row over all volumes, records in a region are in order.
    fn is_newer(&self, entry: &Entry, than: &Entry) -> bool {
        let age = |entry: &Entry| {
            let place = entry.place();
            let edition = if entry.kind() == Kind::Head { entry.present } else { 0 };
            let volume = self.volumes.by_id(place.volume);
            (edition, volume.map_or(0, |it| it.sequence_at(place.offset)), place.offset)
        };
        age(entry) >= age(than)
    }
}
