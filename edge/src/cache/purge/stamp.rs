//! Up to which purge an object was looked at.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The sequence of a purge; only ever raised. Shared by nobody: a copy goes its own way.
#[derive(Debug, Default)]
pub struct Stamp(AtomicU64);

impl Stamp {
    /// Of an object held against every purge up to `sequence`.
    pub fn new(sequence: u64) -> Stamp {
        Stamp(AtomicU64::new(sequence))
    }

    /// The purge.
    pub fn sequence(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn raise(&self, sequence: u64) {
        self.0.fetch_max(sequence, Relaxed);
    }
}

impl Clone for Stamp {
    fn clone(&self) -> Stamp {
        Stamp::new(self.sequence())
    }
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Stamp) -> bool {
        self.sequence() == other.sequence()
    }
}

impl Eq for Stamp {}
