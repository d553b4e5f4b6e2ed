//! What the store counts and shows.

use std::path::PathBuf;

use crate::metrics::Counter;

/// Counters of the store.
#[derive(Debug, Default)]
pub struct CacheMetrics {
    /// Slices and heads from before the start whose checksums were right at their first use.
    pub verified: Counter,
    /// Slices and heads whose bytes or headers were wrong; dropped, to be fetched again.
    pub corrupt: Counter,
    /// Regions emptied to make room.
    pub reclaimed_regions: Counter,
    /// Slices and heads dropped with them.
    pub evicted_entries: Counter,
    /// Slices and heads that were read often enough to be written again instead.
    pub kept_entries: Counter,
    /// Bytes of those.
    pub kept_bytes: Counter,
    /// Objects dropped from memory to make room.
    pub evicted_objects: Counter,
    /// Slices and heads found again at the start.
    pub recovered_entries: Counter,
    /// Writes a volume refused; the first takes it out of use.
    pub write_errors: Counter,
    /// Bytes written to volumes, records' headers included.
    pub written_bytes: Counter,
    /// Checkpoints written.
    pub checkpoints: Counter,
    /// Bytes read by passes over what is stored.
    pub scrubbed_bytes: Counter,
    /// Purges ordered: rules, not objects.
    pub purges: Counter,
    /// Objects that a look-up found purged.
    pub purged: Counter,
    /// Times a slice could not be begun because every region was in use.
    pub no_room: Counter,
}

/// One volume as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeUsage {
    /// Its file; for a volume in memory its name.
    pub path: PathBuf,
    /// Bytes it may take, bookkeeping included.
    pub size_bytes: u64,
    /// Bytes in regions that hold records (dead ones too: they go with their region).
    pub used_bytes: u64,
    /// Regions there are.
    pub regions: u32,
    /// Regions ready to be written.
    pub free_regions: u32,
    /// Whether an error took it out of use for new bytes.
    pub broken: bool,
    /// Times bytes of it could not be read.
    pub read_errors: u64,
    /// Times it refused bytes.
    pub write_errors: u64,
}
