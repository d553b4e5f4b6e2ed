//! The cache as the planes see it.

use std::sync::Arc;

use super::disk::Disk;
use super::error::StoreError;
use super::index::Index;
use super::metrics::{CacheMetrics, VolumeUsage};
use super::objects::Objects;
use super::purge::Purges;
use super::record::{Kind, slice_data_at};
use super::slices::{InFlight, Slices};
use super::volumes::Volumes;
use super::{Body, FillError, Key, KeyBuilder, Meta, Object, Reading, Seed, Span};
use crate::config;
use crate::limits::OBJECTS_IN_MEMORY_MAX;
use crate::mailbox::{Notify, Token};

/// The cache, shared by all planes.
pub struct Cache {
    pub(super) disk: Arc<Disk>,
    loop_id: Box<str>,
    scrub_bytes_per_s: u64,
}

/// What a reader finds at an offset.
#[derive(Debug)]
pub enum Read {
    /// Bytes that can be sent now: from `offset` on, as many as are contiguous in one slice.
    Span(Span),
    /// Bytes in memory that can be sent now.
    Bytes(bytes::Bytes),
    /// Somebody is filling the slice and is not there yet: [`Cache::subscribe`].
    Pending,
    /// Somebody comes to it, but not soon: ask the fill plane, then [`Cache::subscribe`].
    Reserved,
    /// Nobody has it: ask the fill plane.
    Absent,
    /// `offset` is at or past the end of the body (or of the range asked for).
    End,
    /// It can never be had: cut the client.
    Failed(FillError),
}

impl Cache {
    /// Opens (creating or recovering) the volumes. One volume that cannot be used is reported in
    /// the log and left out; none at all leaves a small volume in memory.
    pub fn open(config: &config::Cache) -> Result<Arc<Cache>, StoreError> {
        let metrics = Arc::new(CacheMetrics::default());
        let index = Index::new();
        let volumes = Volumes::open(config, &index, &metrics)?;
        let ram_bytes = usize::try_from(config.ram_bytes).unwrap_or(usize::MAX);
        let objects = Objects::new(OBJECTS_IN_MEMORY_MAX, ram_bytes);
        let loop_key = KeyBuilder::new(volumes.seed(), "loop").finish();
        let loop_id = format!("edge-{:016x}", loop_key.0[0]).into();
        let purges = Purges::of(&volumes);
        let scrub_bytes_per_s = config.scrub_bytes_per_s;
        let disk = Arc::new(Disk::new(index, volumes, (purges, metrics), objects));
        Ok(Arc::new(Cache { disk, loop_id, scrub_bytes_per_s }))
    }

    /// Secret of the keys.
    pub fn seed(&self) -> Seed {
        self.disk.volumes.seed()
    }

    /// This node's name in `CDN-Loop`: its own, and the same after a restart (RFC 8586 §2).
    pub fn loop_id(&self) -> &str {
        &self.loop_id
    }

    /// Slice size, bytes.
    pub fn slice_bytes(&self) -> u64 {
        self.disk.volumes.slice_bytes()
    }

    /// Bytes a slice's presence is remembered by: a broken-off fill keeps whole ones.
    pub fn block_bytes(&self) -> u64 {
        self.slice_bytes() / u64::from(crate::limits::SLICE_BLOCKS)
    }

    /// Counters.
    pub fn metrics(&self) -> &CacheMetrics {
        &self.disk.metrics
    }

    /// How fast what is stored is to be looked through, bytes a second; zero: not at all.
    pub fn scrub_bytes_per_s(&self) -> u64 {
        self.scrub_bytes_per_s
    }

    /// How full each volume is.
    pub fn usage(&self) -> Vec<VolumeUsage> {
        self.disk.volumes.iter().map(|volume| volume.usage()).collect()
    }

    /// Slices and heads in the index.
    pub fn entries(&self) -> usize {
        self.disk.index.len()
    }

    /// Memory the index takes, bytes.
    pub fn index_bytes(&self) -> usize {
        self.disk.index.memory_bytes()
    }

    /// Objects in memory.
    pub fn objects_in_memory(&self) -> usize {
        self.disk.objects.len()
    }

    /// The object in memory, fresh or not, as the purges left it. Never touches a disk, and allocates
    /// only where a purge came since it was looked up last.
    pub fn lookup(&self, key: Key) -> Option<Arc<Object>> {
        self.unpurged(self.disk.objects.find(key)?)
    }

    /// What of the URL with `key` a request with `fields` is answered with: the object in memory or,
    /// where there are several, the variant that fits. Never touches a disk, never allocates.
    pub fn lookup_for<'f>(
        &self,
        key: Key,
        fields: impl Iterator<Item = (&'f str, &'f [u8])> + Clone,
    ) -> Option<Arc<Object>> {
        let found = self.lookup(key)?;
        let Body::Variants(variants) = &found.body else { return Some(found) };
        self.lookup(variants.select(key, fields))
    }

    /// Bytes of `object` from `offset`, at most up to `end`. Never touches a disk, never allocates.
    pub fn read(&self, object: &Object, offset: u64, end: u64) -> Read {
        self.look(object, offset, end, false)
    }

    /// The same for an answer, whose hits count when there is to be decided what is kept.
    pub fn read_for(&self, reading: &Reading, offset: u64, end: u64) -> Read {
        let is_hit = reading.hits(offset / self.slice_bytes());
        let read = self.look(reading, offset, end, is_hit);
        if matches!(read, Read::Absent | Read::Pending) {
            reading.miss();
        }
        read
    }

    pub(super) fn look(&self, object: &Object, offset: u64, end: u64, is_hit: bool) -> Read {
        let end = object.len().map_or(end, |len| len.min(end));
        if offset >= end {
            return Read::End;
        }
        match &object.body {
            Body::File { content: Some(bytes), .. } | Body::Memory(bytes) => {
                Read::Bytes(bytes.slice(offset as usize..end as usize))
            }
            Body::File { file, .. } => {
                Read::Span(Span::of_file(file.clone(), offset, end - offset))
            }
            Body::Slices(slices) => self.read_slices(slices, offset, end, is_hit),
            Body::Variants(_) => Read::End,
        }
    }

    fn read_slices(&self, slices: &Slices, offset: u64, end: u64, is_hit: bool) -> Read {
        let Some(index) = slices.index_of(offset) else { return Read::Absent };
        let end = end.min(slices.start_of(index) + self.slice_bytes());
        let in_flight = slices.in_flight(index, offset, end);
        if let InFlight::Bytes { pin, at, len } = in_flight {
            return Read::Span(Span::pinned(pin.volume().file.clone(), at, len, pin));
        }
        if let Some(span) = self.read_stored(slices, index, offset..end, is_hit) {
            return Read::Span(span);
        }
        match (slices.failed(), in_flight) {
            (Some(error), _) => Read::Failed(error),
            (None, InFlight::Pending) => Read::Pending,
            (None, InFlight::Reserved) => Read::Reserved,
            (None, _) => Read::Absent,
        }
    }

    fn read_stored(
        &self,
        slices: &Slices,
        index: u32,
        wanted: std::ops::Range<u64>,
        is_hit: bool,
    ) -> Option<Span> {
        let offset = wanted.start;
        let key = slices.slice_key(index);
        let block_bytes = self.block_bytes();
        let start = slices.start_of(index);
        let block = ((offset - start) / block_bytes) as u32;
        let (stored, blocks) = self.disk.index.find(key, |entry| {
            let blocks = (entry.present >> block).trailing_ones();
            if entry.kind() != Kind::Slice || !entry.is_verified() || blocks == 0 {
                return None;
            }
            if is_hit {
                entry.add_reads(1);
            }
            self.disk.pinned(entry).map(|stored| (stored, blocks))
        })??;
        let end = wanted.end.min(start + u64::from(block + blocks) * block_bytes);
        let at = slice_data_at(stored.record_at) + (offset - start);
        let file = stored.pin.volume().file.clone();
        Some(Span::pinned(file, at, end - offset, stored.pin))
    }

    /// Asks to be told when [`Cache::read`] at `offset` may answer otherwise. `false`: it does now,
    /// or nobody is filling that slice.
    pub fn subscribe(
        &self,
        object: &Object,
        offset: u64,
        notify: &Arc<dyn Notify>,
        token: Token,
    ) -> bool {
        let Body::Slices(slices) = &object.body else { return false };
        let Some(index) = slices.index_of(offset) else { return false };
        let end = offset.saturating_add(1);
        slices.wait(index, offset, (notify, token), || {
            self.read_stored(slices, index, offset..end, false).is_some()
        })
    }

    // The fill plane's side: may block on the disk.

    /// The slices of a generation: those of the object in memory if they are of the same generation
    /// and length and have not failed, else empty ones (whose bytes, if they were stored before, are
    /// found again). A body of unknown length shares bytes with nobody.
    ///
    /// `meta` says which purges they are fenced off by.
    pub fn new_slices(
        &self,
        key: Key,
        generation: u64,
        len: Option<u64>,
        meta: &Meta,
    ) -> Arc<Slices> {
        let version = key.slice(generation, 0);
        let slice_generation = match (len, self.disk.purges.fence(meta)) {
            // The length fences, too: a last block must never be taken for a longer one.
            (Some(len), Some(0)) => version.slice(len, 0).0[0],
            (Some(len), Some(purge)) => version.slice(len, 0).slice(purge, 2).0[0],
            (None, _) | (_, None) => version.slice(self.disk.volumes.nonce(), 1).0[0],
        };
        if let Some(object) = self.lookup(key)
            && let Body::Slices(slices) = &object.body
            && slices.slice_generation() == slice_generation
            && slices.failed().is_none()
        {
            return slices.clone();
        }
        let slice_bytes = self.slice_bytes();
        Arc::new(Slices::new(key, generation, slice_generation, slice_bytes, len))
    }

    /// Drops the slice of `object` at `offset`: its bytes could not be read. It is a miss from now on.
    pub fn distrust(&self, object: &Object, offset: u64) {
        let Body::Slices(slices) = &object.body else { return };
        let Some(index) = slices.index_of(offset) else { return };
        let key = slices.slice_key(index);
        if let Some(entry) = self.disk.index.remove_if(key, |_| true) {
            self.disk.metrics.corrupt.add(1);
            if let Some(volume) = self.disk.volumes.by_id(entry.place().volume) {
                volume.read_failed();
            }
        }
    }

    /// Writes the index to disk. Called from time to time by the fill plane, and at the end. Blocks.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.retire_purges();
        let mut result = Ok(());
        for volume in self.disk.volumes.iter().filter(|volume| !volume.is_broken()) {
            let written = super::checkpoint::write(volume, &self.disk.index);
            match &written {
                Ok(()) => self.disk.metrics.checkpoints.add(1),
                Err(_) => result = written,
            }
        }
        result
    }
}
