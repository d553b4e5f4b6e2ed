//! The cache as the planes see it.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::error::StoreError;
use super::head::{self, StoredBody};
use super::index::{Entry, Index, Place};
use super::lead::Stored;
use super::metrics::{CacheMetrics, VolumeUsage};
use super::objects::Objects;
use super::record::{HEADER_BYTES, Header, Kind, slice_data_at};
use super::slices::{InFlight, Slices};
use super::volume::{Need, Volume};
use super::volumes::Volumes;
use super::{Body, FillError, Key, Object, Seed, Span};
use crate::clock::Now;
use crate::config;
use crate::limits::OBJECTS_IN_MEMORY_MAX;
use crate::mailbox::{Notify, Token};

/// The cache, shared by all planes.
pub struct Cache {
    pub(super) index: Arc<Index>,
    pub(super) volumes: Volumes,
    pub(super) metrics: Arc<CacheMetrics>,
    objects: Objects,
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
        let index = Arc::new(Index::new());
        let volumes = Volumes::open(config, &index, &metrics)?;
        let ram_bytes = usize::try_from(config.ram_bytes).unwrap_or(usize::MAX);
        let objects = Objects::new(OBJECTS_IN_MEMORY_MAX, ram_bytes);
        Ok(Arc::new(Cache { index, volumes, metrics, objects }))
    }

    /// Secret of the keys.
    pub fn seed(&self) -> Seed {
        self.volumes.seed()
    }

    /// Slice size, bytes.
    pub fn slice_bytes(&self) -> u64 {
        self.volumes.slice_bytes()
    }

    /// Bytes a slice's presence is remembered by: a broken-off fill keeps whole ones.
    pub fn block_bytes(&self) -> u64 {
        self.slice_bytes() / u64::from(crate::limits::SLICE_BLOCKS)
    }

    /// Counters.
    pub fn metrics(&self) -> &CacheMetrics {
        &self.metrics
    }

    /// How full each volume is.
    pub fn usage(&self) -> Vec<VolumeUsage> {
        self.volumes.iter().map(|volume| volume.usage()).collect()
    }

    /// Slices and heads in the index.
    pub fn entries(&self) -> usize {
        self.index.len()
    }

    /// Memory the index takes, bytes.
    pub fn index_bytes(&self) -> usize {
        self.index.memory_bytes()
    }

    /// Objects in memory.
    pub fn objects_in_memory(&self) -> usize {
        self.objects.len()
    }

    /// The object in memory, fresh or not. Never touches a disk, never allocates.
    pub fn lookup(&self, key: Key) -> Option<Arc<Object>> {
        self.objects.find(key)
    }

    /// Bytes of `object` from `offset`, at most up to `end`. Never touches a disk, never allocates.
    pub fn read(&self, object: &Object, offset: u64, end: u64) -> Read {
        let end = object.len().map_or(end, |len| len.min(end));
        if offset >= end {
            return Read::End;
        }
        match &object.body {
            Body::File { file, .. } => {
                Read::Span(Span::of_file(file.clone(), offset, end - offset))
            }
            Body::Memory(bytes) => Read::Bytes(bytes.slice(offset as usize..end as usize)),
            Body::Slices(slices) => self.read_slices(slices, offset, end),
        }
    }

    fn read_slices(&self, slices: &Slices, offset: u64, end: u64) -> Read {
        let Some(index) = slices.index_of(offset) else { return Read::Absent };
        let end = end.min(slices.start_of(index) + self.slice_bytes());
        let in_flight = slices.in_flight(index, offset, end);
        if let InFlight::Bytes { pin, at, len } = in_flight {
            return Read::Span(Span::pinned(pin.volume().file.clone(), at, len, pin));
        }
        if let Some(span) = self.read_stored(slices, index, offset, end) {
            return Read::Span(span);
        }
        match (slices.failed(), in_flight) {
            (Some(error), _) => Read::Failed(error),
            (None, InFlight::Pending) => Read::Pending,
            (None, _) => Read::Absent,
        }
    }

    fn read_stored(&self, slices: &Slices, index: u32, offset: u64, end: u64) -> Option<Span> {
        let key = slices.key().slice(slices.slice_generation(), index);
        let block_bytes = self.block_bytes();
        let start = slices.start_of(index);
        let block = ((offset - start) / block_bytes) as u32;
        let (stored, blocks) = self.index.find(key, |entry| {
            let blocks = (entry.present >> block).trailing_ones();
            if entry.kind() != Kind::Slice || !entry.is_verified() || blocks == 0 {
                return None;
            }
            entry.touch();
            self.pinned(entry).map(|stored| (stored, blocks))
        })??;
        let end = end.min(start + u64::from(block + blocks) * block_bytes);
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
            self.read_stored(slices, index, offset, end).is_some()
        })
    }

    // The fill plane's side: may block on the disk.

    /// The object whose head is on a volume but not in memory. Blocks on the disk.
    pub fn load(&self, key: Key) -> Option<Arc<Object>> {
        if let Some(object) = self.lookup(key) {
            return Some(object);
        }
        let stored = self.stored(key, Kind::Head)?;
        let place = Place { volume: stored.pin.volume().id, offset: stored.record_at };
        let Some((meta, body)) = read_head(&stored, key) else {
            self.drop_corrupt(key, place);
            return None;
        };
        if !stored.is_verified {
            self.metrics.verified.add(1);
            self.index.find(key, |entry| {
                if entry.place() == place {
                    entry.set_verified(0);
                }
            });
        }
        let body = match body {
            LoadedBody::Memory(bytes) => Body::Memory(bytes),
            LoadedBody::Slices { generation, slice_generation, len } => {
                let slice_bytes = self.slice_bytes();
                let slices = Slices::new(key, generation, slice_generation, slice_bytes, Some(len));
                Body::Slices(Arc::new(slices))
            }
        };
        let object = self.objects.find_or_insert(Arc::new(Object { key, meta, body }));
        // It may have been forgotten or replaced meanwhile; then what was read must not stay.
        if self.index.find(key, |entry| entry.place() == place) != Some(true) {
            self.objects.remove_same(&object);
            return self.lookup(key);
        }
        Some(object)
    }

    /// The slices of a generation: those of the object in memory if they are of the same generation
    /// and length and have not failed, else empty ones (whose bytes, if they were stored before, are
    /// found again). A body of unknown length shares bytes with nobody.
    pub fn new_slices(&self, key: Key, generation: u64, len: Option<u64>) -> Arc<Slices> {
        let slice_generation = match len {
            // The length fences, too: a last block must never be taken for a longer one.
            Some(len) => key.slice(generation, 0).slice(len, 0).0[0],
            None => key.slice(generation, 0).slice(self.volumes.nonce(), 1).0[0],
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

    /// Makes `object` the one found under its key; heads of `Slices` and `Memory` objects are
    /// written to a volume too, as far as their length is known (insert again after
    /// [`Slices::set_len`]). Blocks on the disk.
    pub fn insert(&self, object: Arc<Object>, _now: Now) {
        self.metrics.evicted_objects.add(self.objects.insert(object.clone()));
        let body = match &object.body {
            Body::File { .. } => return,
            Body::Memory(_) => StoredBody::Memory,
            Body::Slices(slices) => match slices.len() {
                None => return self.forget_stored(object.key),
                Some(len) => StoredBody::Slices {
                    generation: slices.generation(),
                    slice_generation: slices.slice_generation(),
                    len,
                },
            },
        };
        if let Err(error) = self.write_head(&object, &body) {
            tracing::warn!(key = ?object.key, %error, "head of an object not stored");
            self.forget_stored(object.key);
        }
    }

    fn write_head(&self, object: &Object, body: &StoredBody) -> Result<(), StoreError> {
        let meta = head::encode(&object.meta, body);
        let body: &[u8] = match &object.body {
            Body::Memory(bytes) => bytes,
            _ => &[],
        };
        let need = Need {
            header_bytes: HEADER_BYTES as u64,
            data_bytes: (meta.len() + body.len()) as u64,
            data_align: 1,
        };
        self.on_a_volume(object.key, |volume| {
            let reserved = volume.reserve(&self.index, need)?;
            let header = Header {
                kind: Kind::Head,
                record_len: reserved.record_len,
                data_offset: HEADER_BYTES as u32,
                sequence: reserved.sequence,
                key: object.key,
                generation: 0,
                index: 0,
                slice_len: 0,
                present: 0,
                meta_len: meta.len() as u32,
                body_len: body.len() as u32,
                payload_crc: crc32c::crc32c_append(crc32c::crc32c(&meta), body),
                buried: false,
            };
            let record = [&header.encode()[..], &meta, body].concat();
            volume.write(&record, reserved.record_at)?;
            let entry = Entry::new(object.key, Kind::Head, reserved.place(), 0, true);
            let condemned = &reserved.pin.pin().region().condemned;
            self.index.insert_if(entry, |_| !condemned.load(Ordering::SeqCst));
            Ok(())
        })
    }

    /// Forgets an object (memory and index), for the next start too. Blocks on the disk.
    pub fn forget(&self, key: Key) {
        self.objects.remove(key);
        self.forget_stored(key);
    }

    fn forget_stored(&self, key: Key) {
        let Some(stored) = self.stored(key, Kind::Head) else { return };
        let offset = stored.record_at;
        let place = Place { volume: stored.pin.volume().id, offset };
        if self.index.remove_if(key, |entry| entry.place() == place).is_some()
            && let Err(error) = stored.pin.volume().bury(offset)
        {
            tracing::warn!(?key, %error, "a forgotten object may come back after a restart");
        }
    }

    /// Drops the slice of `object` at `offset`: its bytes could not be read. It is a miss from now on.
    pub fn distrust(&self, object: &Object, offset: u64) {
        let Body::Slices(slices) = &object.body else { return };
        let Some(index) = slices.index_of(offset) else { return };
        let key = slices.key().slice(slices.slice_generation(), index);
        if self.index.remove_if(key, |_| true).is_some() {
            self.metrics.corrupt.add(1);
        }
    }

    /// Writes the index to disk. Called from time to time by the fill plane, and at the end. Blocks.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let mut result = Ok(());
        for volume in self.volumes.iter().filter(|volume| !volume.is_broken()) {
            let written = super::checkpoint::write(volume, &self.index);
            match &written {
                Ok(()) => self.metrics.checkpoints.add(1),
                Err(_) => result = written,
            }
        }
        result
    }

    /// Runs `store` on the volume of `key`; when that fails, on the next.
    pub(super) fn on_a_volume<T>(
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
}

enum LoadedBody {
    Memory(bytes::Bytes),
    Slices { generation: u64, slice_generation: u64, len: u64 },
}

/// Reads and checks a head record.
fn read_head(stored: &Stored, key: Key) -> Option<(super::Meta, LoadedBody)> {
    let volume = stored.pin.volume();
    let mut bytes = [0; HEADER_BYTES];
    volume.file.read_exact_at(&mut bytes, stored.record_at).ok()?;
    let header = Header::decode(&bytes)?;
    let sequence = stored.pin.region().sequence.load(Ordering::Acquire);
    let is_same = header.kind == Kind::Head && header.key == key && header.sequence == sequence;
    if !is_same || header.buried || u64::from(header.record_len) > volume.layout.region_bytes {
        return None;
    }
    let mut payload = vec![0; header.meta_len as usize + header.body_len as usize];
    volume
        .file
        .read_exact_at(&mut payload, stored.record_at + u64::from(header.data_offset))
        .ok()?;
    if crc32c::crc32c(&payload) != header.payload_crc {
        return None;
    }
    let (meta, body) = head::decode(&payload[..header.meta_len as usize])?;
    let body = match body {
        StoredBody::Memory => {
            LoadedBody::Memory(bytes::Bytes::from(payload).slice(header.meta_len as usize..))
        }
        StoredBody::Slices { generation, slice_generation, len } => {
            LoadedBody::Slices { generation, slice_generation, len }
        }
    };
    Some((meta, body))
}
