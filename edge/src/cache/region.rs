//! Regions and who holds them.
//!
//! A region lives free → open → sealed → (draining) → free, in one of two rows (see
//! [`super::eviction`]). Two rules make a [`Pin`] a promise:
//!
//! * A reader pins under the lock of the index shard (or of the slice list) it found the bytes in, so
//!   once a region's entries are gone no new pin can come.
//! * Bytes of a region are zeroed (`fallocate`, see [`super::volume`]) between the last pin of one
//!   life and the first write of the next. That also takes its pages out of the page cache: a page
//!   that was spliced and still waits in some socket's buffer stays as it is, it is only no longer
//!   the file's. So bytes on their way to a client can never change.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::volume::Volume;

/// What is shared of one region.
#[derive(Debug, Default)]
pub(super) struct Region {
    pins: AtomicU32,
    writers: AtomicU32,
    /// Of its present life; zero before the first.
    pub sequence: AtomicU64,
    /// Its entries are being, or were, taken out of the index: none may be added.
    pub condemned: AtomicBool,
}

impl Region {
    /// Whether nobody reads or writes it.
    pub fn is_unpinned(&self) -> bool {
        self.pins.load(Ordering::Acquire) == 0
    }

    /// Whether records in it are being written.
    pub fn has_writers(&self) -> bool {
        self.writers.load(Ordering::Acquire) != 0
    }
}

/// Holds a region: while it lives the region is not reused.
pub struct Pin {
    volume: Arc<Volume>,
    region: u32,
}

impl Pin {
    /// To be taken where the region cannot be reclaimed: see the module's first rule.
    pub(super) fn new(volume: &Arc<Volume>, region: u32) -> Pin {
        volume.region(region).pins.fetch_add(1, Ordering::AcqRel);
        Pin { volume: volume.clone(), region }
    }

    pub(super) fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    pub(super) fn region(&self) -> &Region {
        self.volume.region(self.region)
    }
}

impl Clone for Pin {
    fn clone(&self) -> Pin {
        Pin::new(&self.volume, self.region)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.region().pins.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pin")
            .field("volume", &self.volume.path)
            .field("region", &self.region)
            .finish()
    }
}

/// A pin of somebody who writes: its region's part of a checkpoint is not whole yet.
#[derive(Debug)]
pub(super) struct WritePin(Pin);

impl WritePin {
    pub fn new(pin: Pin) -> WritePin {
        pin.region().writers.fetch_add(1, Ordering::AcqRel);
        WritePin(pin)
    }

    pub fn pin(&self) -> &Pin {
        &self.0
    }
}

impl Drop for WritePin {
    fn drop(&mut self) {
        self.0.region().writers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Which region is in which part of its life. Under the volume's lock.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// No entry, no pin; to be zeroed before use.
    pub free: VecDeque<u32>,
    /// Being appended to, one a [`super::eviction::Row`].
    pub open: [Option<u32>; 2],
    /// Full, oldest first, by row.
    pub sealed: [VecDeque<u32>; 2],
    /// Without entries, but still pinned.
    pub draining: Vec<u32>,
    /// Bytes of records in each region.
    pub used_bytes: Vec<u32>,
}
