//! A volume: one preallocated file of regions, appended to one region at a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::StoreError;
use super::eviction::{self, Row};
use super::index::Place;
use super::layout::{Layout, Life, Superblock, TABLE_ENTRY_BYTES, encode_table_entry};
use super::metrics::{CacheMetrics, VolumeUsage};
use super::purge::Journal;
use super::record::{BURIED, BURIED_AT, RECORD_ALIGN};
use super::region::{Lists, Pin, Region, WritePin};
use crate::metrics::Counter;
use crate::sys::file::zero_range;

/// Free regions that are left to the reclaimer, for what it keeps.
pub(super) const SPARED: usize = 1;

/// See the module.
#[derive(Debug)]
pub struct Volume {
    pub(super) id: u8,
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    pub(super) layout: Layout,
    pub(super) volume_id: u64,
    /// Number of the newest checkpoint; held while one is written.
    pub(super) checkpoint: Mutex<u64>,
    pub(super) purges: Journal,
    regions: Box<[Region]>,
    lists: Mutex<Lists>,
    /// Held by the one thread that makes a new open region of a row.
    rolling: [Mutex<()>; 2],
    /// Held by the one thread that empties regions. Taken before the above, never after.
    reclaiming: Mutex<()>,
    broken: AtomicBool,
    read_errors: Counter,
    write_errors: Counter,
    #[cfg(test)]
    pub(super) faults: Faults,
    /// The last sequence given to a region; one row for all volumes, so that of two records of one
    /// key the newer is known.
    sequences: Arc<AtomicU64>,
    metrics: Arc<CacheMetrics>,
}

/// Space for one record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// Header and what follows it at once.
    pub header_bytes: u64,
    pub data_bytes: u64,
    pub data_align: u64,
}

/// A record's place, held for writing.
#[derive(Debug)]
pub(super) struct Reserved {
    pub pin: WritePin,
    /// Offsets in the volume.
    pub record_at: u64,
    pub data_at: u64,
    pub record_len: u32,
    pub sequence: u64,
}

impl Reserved {
    pub fn place(&self) -> Place {
        Place { volume: self.pin.pin().volume().id, offset: self.record_at }
    }
}

impl Volume {
    pub(super) fn new(
        id: u8,
        path: PathBuf,
        file: File,
        superblock: Superblock,
        sequences: Arc<AtomicU64>,
        metrics: Arc<CacheMetrics>,
    ) -> Volume {
        let layout = superblock.layout;
        let lists = Lists {
            free: (0..layout.regions).collect(),
            used_bytes: vec![0; layout.regions as usize],
            ..Lists::default()
        };
        Volume {
            id,
            path,
            file: Arc::new(file),
            layout,
            volume_id: superblock.volume_id,
            checkpoint: Mutex::new(0),
            purges: Journal::default(),
            regions: (0..layout.regions).map(|_| Region::default()).collect(),
            lists: Mutex::new(lists),
            rolling: Default::default(),
            reclaiming: Mutex::new(()),
            broken: AtomicBool::new(false),
            read_errors: Counter::default(),
            write_errors: Counter::default(),
            #[cfg(test)]
            faults: Faults::default(),
            sequences,
            metrics,
        }
    }

    pub(super) fn region(&self, region: u32) -> &Region {
        &self.regions[region as usize]
    }

    pub(super) fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.iter()
    }

    /// The region that holds `offset`; offsets come from the index, which holds none outside.
    pub(super) fn region_of(&self, offset: u64) -> u32 {
        self.layout.region_of(offset).unwrap_or(0)
    }

    /// Sequence of the life of the region that holds `offset`.
    pub(super) fn sequence_at(&self, offset: u64) -> u64 {
        self.region(self.region_of(offset)).sequence.load(Ordering::Acquire)
    }

    pub(super) fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an error took it out of use for new bytes.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// The open region of `row`, and where in the volume record, data and the next record would begin.
    pub(super) fn fitting(&self, lists: &Lists, need: Need, row: Row) -> Option<(u32, [u64; 3])> {
        let open = lists.open[row as usize]?;
        let region_at = self.layout.region_at(open);
        let record_at = region_at + u64::from(lists.used_bytes[open as usize]);
        let data_at = (record_at + need.header_bytes).next_multiple_of(need.data_align);
        let next = (data_at + need.data_bytes).next_multiple_of(RECORD_ALIGN);
        let fits = next <= region_at + self.layout.region_bytes;
        fits.then_some((open, [record_at, data_at, next]))
    }

    /// Takes room for a record if the open region of `row` has it. The bytes read as zeros until
    /// written.
    pub(super) fn reserve_open(self: &Arc<Self>, need: Need, row: Row) -> Option<Reserved> {
        let mut lists = self.lists();
        let (open, [record_at, data_at, next]) = self.fitting(&lists, need, row)?;
        lists.used_bytes[open as usize] = (next - self.layout.region_at(open)) as u32;
        Some(Reserved {
            // Under the lock: the region is open, nobody reclaims it.
            pin: WritePin::new(Pin::new(self, open)),
            record_at,
            data_at,
            record_len: (next - record_at) as u32,
            sequence: self.region(open).sequence.load(Ordering::Acquire),
        })
    }

    /// Seals the open region of `row` and opens a free one, but leaves `spared` free. Says whether
    /// there was one. To be called by one thread at a time: see [`Volume::rolling`].
    pub(super) fn roll(&self, row: Row, spared: usize) -> Result<bool, StoreError> {
        let free = {
            let mut lists = self.lists();
            if lists.free.len() > spared { lists.free.pop_front() } else { None }
        };
        let Some(region) = free else { return Ok(false) };
        let sequence = self.sequences.fetch_add(1, Ordering::Relaxed) + 1;
        if let Err(error) = self.begin_life(region, Life { sequence, row }) {
            self.lists().free.push_front(region);
            return Err(error);
        }
        let mut lists = self.lists();
        lists.used_bytes[region as usize] = 0;
        if let Some(full) = lists.open[row as usize].replace(region) {
            lists.sealed[row as usize].push_back(full);
        }
        Ok(true)
    }

    /// The right to [`Volume::roll`] a row. Held while a region is zeroed.
    pub(super) fn rolling(&self, row: Row) -> MutexGuard<'_, ()> {
        self.rolling[row as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to empty regions.
    pub(super) fn reclaiming(&self) -> MutexGuard<'_, ()> {
        self.reclaiming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Regions it is short of before writers may have to wait; zero when all is well.
    pub(super) fn short_of_regions(&self) -> usize {
        (eviction::ahead(self.regions.len()) + SPARED).saturating_sub(self.lists().free.len())
    }

    /// The only place where a region's old bytes go: see the second rule of [`super::region`].
    fn begin_life(&self, region: u32, life: Life) -> Result<(), StoreError> {
        let region_at = self.layout.region_at(region);
        zero_range(&self.file, region_at, self.layout.region_bytes)
            .map_err(|error| self.write_failed("zero a region", error))?;
        let entry = encode_table_entry(life, region, self.volume_id);
        self.write(&entry, self.layout.table_at(region))?;
        let shared = self.region(region);
        shared.sequence.store(life.sequence, Ordering::Release);
        shared.condemned.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// No start finds anything in the region any more. What a volume out of use refuses is logged by
    /// the write.
    pub(super) fn end_life(&self, region: u32) {
        let nothing = [0; TABLE_ENTRY_BYTES as usize];
        let _ = self.write(&nothing, self.layout.table_at(region));
    }

    /// Writes all of `bytes`; a failure takes the volume out of use.
    pub(super) fn write(&self, bytes: &[u8], at: u64) -> Result<(), StoreError> {
        let written = self.refuse_if_cut().and_then(|()| self.write_all(bytes, at));
        written.map_err(|error| self.write_failed("write", error))?;
        self.metrics.written_bytes.add(bytes.len() as u64);
        Ok(())
    }

    /// A file that somebody cut short must not grow again: what was cut would read as zeros.
    fn refuse_if_cut(&self) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        match metadata.is_file() && metadata.len() < self.layout.size_bytes {
            true => Err(io::Error::other("somebody cut the file short")),
            false => Ok(()),
        }
    }

    #[cfg(not(test))]
    fn write_all(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    #[cfg(test)]
    fn write_all(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.faults.write(&self.file, bytes, at)
    }

    /// Bytes of it could not be read.
    pub(super) fn read_failed(&self) {
        if self.read_errors.value() == 0 {
            tracing::error!(volume = %self.path.display(), "bytes of a volume cannot be read");
        }
        self.read_errors.add(1);
    }

    /// Waits until all that was written is on the disk.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| self.write_failed("sync", error))
    }

    /// Regions that hold records, oldest first.
    pub(super) fn used_regions(&self) -> Vec<u32> {
        let lists = self.lists();
        lists.sealed.iter().flatten().chain(lists.open.iter().flatten()).copied().collect()
    }

    /// Holds a region that may be looked up in; with its bytes of records, and whether it is still
    /// appended to. `None` when it is none any more.
    pub(super) fn pin_used(self: &Arc<Self>, region: u32) -> Option<(Pin, u32, bool)> {
        let lists = self.lists();
        let is_open = lists.open.contains(&Some(region));
        let used_bytes = *lists.used_bytes.get(region as usize)?;
        // Under the lock: nobody reclaims it meanwhile.
        let is_used = is_open || lists.sealed.iter().any(|row| row.contains(&region));
        is_used.then(|| (Pin::new(self, region), used_bytes, is_open))
    }

    /// The sequence of the oldest region that may hold records; `None` when all are empty.
    pub(super) fn oldest_sequence(&self) -> Option<u64> {
        let lists = self.lists();
        let used =
            lists.sealed.iter().flatten().chain(&lists.draining).chain(lists.open.iter().flatten());
        used.map(|region| self.region(*region).sequence.load(Ordering::Acquire)).min()
    }

    /// Marks the record at `record_at` as forgotten, for the next start.
    pub(super) fn bury(&self, record_at: u64) -> Result<(), StoreError> {
        self.write(&BURIED, record_at + BURIED_AT)
    }

    pub(super) fn write_failed(&self, op: &'static str, error: io::Error) -> StoreError {
        self.metrics.write_errors.add(1);
        self.write_errors.add(1);
        if !self.broken.swap(true, Ordering::Relaxed) {
            tracing::error!(
                volume = %self.path.display(), op, %error,
                "volume out of use for new bytes; what it holds is still read"
            );
        }
        StoreError::io(op, &self.path)(error)
    }

    pub(super) fn usage(&self) -> VolumeUsage {
        let lists = self.lists();
        VolumeUsage {
            path: self.path.clone(),
            size_bytes: self.layout.size_bytes,
            used_bytes: lists.used_bytes.iter().copied().map(u64::from).sum(),
            regions: self.layout.regions,
            free_regions: lists.free.len() as u32,
            broken: self.is_broken(),
            read_errors: self.read_errors.value(),
            write_errors: self.write_errors.value(),
        }
    }
}

/// What a test lets fail: writes, after so many bytes.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Faults(pub std::sync::atomic::AtomicI64);

#[cfg(test)]
impl Default for Faults {
    fn default() -> Faults {
        Faults(i64::MAX.into())
    }
}

#[cfg(test)]
impl Faults {
    /// Writes what there is left for, then fails as a full disk does.
    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        let left = self.0.fetch_sub(bytes.len() as i64, Ordering::SeqCst);
        if left >= bytes.len() as i64 {
            return file.write_all_at(bytes, at);
        }
        file.write_all_at(&bytes[..left.max(0) as usize], at)?;
        Err(io::ErrorKind::StorageFull.into())
    }
}
