//! The cache as the planes see it.

use std::sync::Arc;

use super::slices::Slices;
use super::{FillError, Key, Object, Seed, Span};
use crate::clock::Now;
use crate::config;
use crate::mailbox::{Notify, Token};

/// Why the store could not do it. `Display` names operation, path and cause.
#[derive(Debug, thiserror::Error)]
#[error("store: {0}")]
pub struct StoreError(String);

/// The cache, shared by all planes.
pub struct Cache {}

/// What a reader finds at an offset.
#[derive(Debug)]
pub enum Read {
    /// Bytes that can be sent now: from `offset` on, as many as are contiguous in one slice.
    Span(Span),
    /// Bytes in memory that can be sent now.
    Bytes(bytes::Bytes),
    /// Somebody is filling the slice and is not there yet: [`Cache::subscribe`].
    Pending,
    /// Nobody has it: ask the fill plane.
    Absent,
    /// `offset` is at or past the end of the body.
    End,
    /// It can never be had: cut the client.
    Failed(FillError),
}

/// Whether a filler may write a slice.
pub enum Lead {
    /// The caller fills it, alone; others join by reading.
    Writer(SliceWriter),
    /// Somebody else is filling it.
    Busy,
    /// It is all there (checksums verified).
    Present,
}

/// The exclusive right to fill a run of one slice. Dropped unfinished, what was written is kept.
pub struct SliceWriter {}

impl SliceWriter {
    /// Offset in the object of the next byte to be written.
    pub fn offset(&self) -> u64 {
        todo!()
    }
    /// One past the last byte this writer may write (end of slice, or of the next present block).
    pub fn end(&self) -> u64 {
        todo!()
    }
    /// Writes as much of `bytes` as fits before `end` (blocking `pwrite`), moves the watermark and
    /// wakes the readers it passed. Returns how many bytes were taken.
    pub fn write(&mut self, _bytes: &[u8]) -> Result<usize, StoreError> {
        todo!()
    }
    /// Commits: checksums and final header to disk, entry to index.
    pub fn finish(self) -> Result<(), StoreError> {
        todo!()
    }
}

impl Cache {
    /// Opens (creating or recovering) the volumes. One volume that cannot be used is reported in
    /// the log and left out; none at all leaves a small volume in memory.
    pub fn open(_config: &config::Cache) -> Result<Arc<Cache>, StoreError> {
        todo!()
    }
    /// Secret of the keys.
    pub fn seed(&self) -> Seed {
        todo!()
    }
    /// Slice size, bytes.
    pub fn slice_bytes(&self) -> u64 {
        todo!()
    }
    /// The object in memory, fresh or not. Never touches a disk, never allocates.
    pub fn lookup(&self, _key: Key) -> Option<Arc<Object>> {
        todo!()
    }
    /// Bytes of `object` from `offset`, at most up to `end`. Never touches a disk, never allocates.
    pub fn read(&self, _object: &Object, _offset: u64, _end: u64) -> Read {
        todo!()
    }
    /// Asks to be told when [`Cache::read`] at `offset` may answer otherwise. `false`: it does now.
    pub fn subscribe(
        &self,
        _object: &Object,
        _offset: u64,
        _notify: &Arc<dyn Notify>,
        _token: Token,
    ) -> bool {
        todo!()
    }

    // The fill plane's side: may block on the disk.

    /// The object whose head is on a volume but not in memory. Blocks on the disk.
    pub fn load(&self, _key: Key) -> Option<Arc<Object>> {
        todo!()
    }
    /// A new generation's empty slices.
    pub fn new_slices(&self, _key: Key, _generation: u64, _len: Option<u64>) -> Arc<Slices> {
        todo!()
    }
    /// Makes `object` the one found under its key; heads of `Slices` and `Memory` objects are
    /// written to a volume too.
    pub fn insert(&self, _object: Arc<Object>, _now: Now) {
        todo!()
    }
    /// Forgets an object (memory and index).
    pub fn forget(&self, _key: Key) {
        todo!()
    }
    /// Claims the part of slice `index` from byte `from` of the object on (rounded down to a block,
    /// moved up past blocks that are present). A slice on disk that was not verified since the start
    /// is verified here first.
    pub fn lead(&self, _object: &Object, _from: u64) -> Result<Lead, StoreError> {
        todo!()
    }
    /// Writes the index to disk. Called from time to time by the fill plane, and at the end.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        todo!()
    }
}
