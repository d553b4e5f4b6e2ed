//! Index and volumes together: what is stored where, and room for more.

use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::error::StoreError;
use super::eviction::Ghost;
use super::index::{Entry, Index, Place};
use super::key::Key;
use super::metrics::CacheMetrics;
use super::object::Object;
use super::objects::{Evicted, Objects};
use super::purge::Purges;
use super::record::{BlockTable, Header, Kind, PAGE_BYTES, SLICE_HEADER_BYTES};
use super::region::Pin;
use super::slices::Claim;
use super::volume::{Need, Reserved, Volume};
use super::volumes::Volumes;
use super::writer::Record;
use crate::limits::{GHOSTS_MAX, SLICE_BLOCKS};

/// Bytes of all volumes for which one record that left is remembered.
const BYTES_PER_GHOST: u64 = 16 * 1024;

/// See the module.
pub(super) struct Disk {
    pub index: Index,
    pub volumes: Volumes,
    pub purges: Purges,
    pub metrics: Arc<CacheMetrics>,
    /// Those in memory, whose reads the index does not see.
    pub objects: Objects,
    ghost: Mutex<Ghost>,
    /// Held from the moment a head changes its place, appears or goes in the index until the record
    /// that it leaves is buried: outside of it no key has two heads that a start would believe.
    heads: Mutex<()>,
    /// See [`super::Cache::on_shortage`].
    pub shortage: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// What became of a record that was to be shown.
pub(super) struct Published {
    pub is_shown: bool,
    /// The record of the same key that was there.
    pub before: Option<Stored>,
}

/// A record as it lies on a volume, its region pinned.
pub(super) struct Stored {
    pub pin: Pin,
    pub record_at: u64,
    pub present: u64,
    pub is_verified: bool,
}

impl Stored {
    pub fn place(&self) -> Place {
        Place { volume: self.pin.volume().id, offset: self.record_at }
    }

    /// Reads bytes of the volume; the volume notes when that fails.
    pub fn read(&self, bytes: &mut [u8], at: u64) -> Option<()> {
        let volume = self.pin.volume();
        volume.file.read_exact_at(bytes, at).inspect_err(|_| volume.read_failed()).ok()
    }
}

impl Disk {
    pub fn new(
        index: Index,
        volumes: Volumes,
        (purges, metrics): (Purges, Arc<CacheMetrics>),
        objects: Objects,
    ) -> Disk {
        let bytes: u64 = volumes.iter().map(|volume| volume.layout.size_bytes).sum();
        let ghosts = usize::try_from(bytes / BYTES_PER_GHOST).unwrap_or(GHOSTS_MAX);
        Disk {
            index,
            volumes,
            purges,
            metrics,
            objects,
            ghost: Mutex::new(Ghost::new(ghosts.min(GHOSTS_MAX))),
            heads: Mutex::new(()),
            shortage: OnceLock::new(),
        }
    }

    pub fn ghost(&self) -> MutexGuard<'_, Ghost> {
        self.ghost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn heads(&self) -> MutexGuard<'_, ()> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry of `key`, its region pinned under the shard's lock. `None` also for another kind.
    pub fn stored(&self, key: Key, kind: Kind) -> Option<Stored> {
        self.index.find(key, |entry| self.pinned(entry).filter(|_| entry.kind() == kind))?
    }

    /// As [`Disk::stored`], and counted as read.
    pub fn stored_read(&self, key: Key, kind: Kind) -> Option<Stored> {
        self.index.find(key, |entry| {
            entry.add_reads(1);
            self.pinned(entry).filter(|_| entry.kind() == kind)
        })?
    }

    /// Makes `object` the one in memory of its key.
    pub fn enter(&self, object: Arc<Object>) {
        self.objects.insert(object, |gone| self.remember(gone));
    }

    /// The object in memory of the key if there is one, else `object`, from now on that of the key.
    pub fn find_or_enter(&self, object: Arc<Object>) -> Arc<Object> {
        self.objects.find_or_insert(object, |gone| self.remember(gone))
    }

    /// What was counted in memory goes on to the index.
    fn remember(&self, gone: Evicted) {
        self.metrics.evicted_objects.add(1);
        self.index.find(gone.key, |entry| entry.add_reads(gone.reads));
    }

    /// To be called under the lock of the entry's shard.
    pub fn pinned(&self, entry: &Entry) -> Option<Stored> {
        let place = entry.place();
        let volume = self.volumes.by_id(place.volume)?;
        Some(Stored {
            pin: Pin::new(volume, volume.region_of(place.offset)),
            record_at: place.offset,
            present: entry.present,
            is_verified: entry.is_verified(),
        })
    }

    /// The record at `place` was read and its checksums are right.
    pub fn mark_verified(&self, key: Key, place: Place, present: u64) {
        self.metrics.verified.add(1);
        self.index.find(key, |entry| {
            if entry.place() == place {
                // A head's edition stands where a slice's blocks do, and is not the checker's to say.
                let present = if entry.kind() == Kind::Head { entry.present } else { present };
                entry.set_verified(present);
            }
        });
    }

    /// The record at `place` is not what the index says.
    pub fn drop_corrupt(&self, key: Key, place: Place) {
        self.metrics.corrupt.add(1);
        self.index.remove_if(key, |entry| entry.place() == place);
        tracing::warn!(volume = place.volume, offset = place.offset, "bad record dropped");
    }

    /// A record is whole on the disk: the index may show it. A region that is being emptied takes no
    /// entry; asked under the shard's lock, so either this sees it or the emptying sees the entry.
    /// Of two records of one slice (its object was forgotten, and opened again, during a fill) the one
    /// with more in it is shown, of two heads the later edition.
    pub fn publish(&self, reserved: &Reserved, header: &Header) -> Published {
        let (key, place) = (header.entry_key(), reserved.place());
        let entry = Entry::new(key, header.kind, place, header.entry_present(), true);
        let condemned = &reserved.pin.pin().region().condemned;
        let mut before = None;
        let is_shown = self.index.upsert(entry, |old| {
            let other = old.filter(|old| old.place() != place);
            before = other.and_then(|other| self.pinned(other));
            let is_better = |other: &Entry| match header.kind {
                Kind::Slice => {
                    other.is_verified() && other.present.count_ones() > entry.present.count_ones()
                }
                Kind::Head => other.present > entry.present,
            };
            let is_admitted = !condemned.load(Ordering::SeqCst) && !other.is_some_and(is_better);
            // It is read as often as before, wherever it lies.
            is_admitted.then(|| entry.with_frequency(old.map_or(0, Entry::frequency)))
        });
        Published { is_shown, before }
    }

    /// The record at `from` was written again, whole, at `reserved`: the index shows it there, if it
    /// still shows it at `from`.
    pub fn publish_moved(
        &self,
        reserved: &Reserved,
        header: &Header,
        from: Place,
        frequency: u8,
    ) -> bool {
        let (key, place) = (header.entry_key(), reserved.place());
        let entry = Entry::new(key, header.kind, place, header.entry_present(), true);
        let condemned = &reserved.pin.pin().region().condemned;
        self.index.upsert(entry, |old| {
            let is_same = old.is_some_and(|old| old.place() == from);
            let is_admitted = is_same && !condemned.load(Ordering::SeqCst);
            is_admitted.then(|| entry.with_frequency(frequency))
        })
    }

    /// Runs `store` on the volume of `key`; when that fails, on the next.
    pub fn on_a_volume<T>(
        &self,
        key: Key,
        mut store: impl FnMut(&Arc<Volume>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut failure = StoreError::NoRoom;
        for volume in self.volumes.usable_from(key) {
            match store(volume) {
                Err(error @ (StoreError::Io { .. } | StoreError::NoRoom)) => failure = error,
                done => return done,
            }
        }
        match self.volumes.spare(&self.metrics) {
            Some(spare) => store(&spare?),
            None => Err(failure),
        }
    }

    /// Makes room for the claimed slice on the volume it will go to.
    pub fn make_room(&self, claim: &Claim) -> Result<(), StoreError> {
        let (key, need) = (claim.slice_key(), need_of(claim));
        let row = self.row_of(key);
        self.on_a_volume(key, |volume| self.make_room_on(volume, need, row))
    }

    /// A new record for the claimed slice, with a provisional header on the disk.
    pub fn begin_slice(&self, claim: &Claim) -> Result<Record, StoreError> {
        let (slices, need) = (claim.slices(), need_of(claim));
        let row = self.row_of(claim.slice_key());
        self.on_a_volume(claim.slice_key(), |volume| {
            let reserved = self.reserve(volume, need, row)?;
            let header = Header {
                kind: Kind::Slice,
                record_len: reserved.record_len,
                data_offset: (reserved.data_at - reserved.record_at) as u32,
                sequence: reserved.sequence,
                key: slices.key(),
                generation: slices.slice_generation(),
                index: claim.index(),
                slice_len: need.data_bytes as u32,
                present: 0,
                meta_len: 0,
                body_len: 0,
                payload_crc: 0,
                buried: false,
            };
            let table: BlockTable = [0; SLICE_BLOCKS as usize];
            // So that a walk gets past it, whatever becomes of it.
            volume.write(&header.encode_slice(&table), reserved.record_at)?;
            Ok(Record { reserved, header, table })
        })
    }
}

#[cfg(test)]
impl Disk {
    /// Enters `count` slices that nobody will ask for.
    pub fn crowd(&self, count: u64) {
        for number in 0..count {
            let key = Key([7, 9]).slice(number, 0);
            let offset = self.volumes.configured()[0].layout.data_at;
            let place = Place { volume: 0, offset };
            self.index.insert_if(Entry::new(key, Kind::Slice, place, 1, true), |_| true);
        }
    }
}

fn need_of(claim: &Claim) -> Need {
    Need {
        header_bytes: SLICE_HEADER_BYTES as u64,
        data_bytes: claim.slices().slice_len(claim.index()),
        data_align: PAGE_BYTES,
    }
}
