//! A cache as large as one wants to measure, without the bytes.

use super::error::StoreError;
use super::eviction::Row;
use super::index::{Entry, Place};
use super::key::Key;
use super::record::{Kind, RECORD_ALIGN};
use super::store::Cache;
use super::volume::SPARED;

impl Cache {
    /// Fills the first volume's regions, and the index, with `entries` heads that have no bytes; a start
    /// finds them in the next checkpoint, if there is room for them in one. Reading one is a miss. For
    /// measurements: what was in the volume stays as long as there is room.
    pub fn rehearse(&self, entries: u64) -> Result<(), StoreError> {
        let Some(volume) = self.disk.volumes.iter().next() else { return Ok(()) };
        let free = volume.lists().free.len().saturating_sub(SPARED).max(1) as u64;
        let each = entries.div_ceil(free);
        let spacing = (volume.layout.region_bytes / each.max(1)).max(RECORD_ALIGN);
        let spacing = spacing / RECORD_ALIGN * RECORD_ALIGN;
        let mut number = 0;
        while number < entries {
            let _rolling = volume.rolling(Row::Probation);
            let has_rolled = volume.roll(Row::Probation, SPARED)?;
            let Some(open) = volume.lists().open[Row::Probation as usize] else { break };
            let region_at = volume.layout.region_at(open);
            let last = if has_rolled { (number + each).min(entries) } else { entries };
            for at in 0..last - number {
                let offset = region_at + at * spacing % (volume.layout.region_bytes - spacing);
                let offset = offset / RECORD_ALIGN * RECORD_ALIGN;
                let place = Place { volume: volume.id, offset };
                let key = Key([1, 2]).slice(number + at, 0);
                let entry = Entry::new(key, Kind::Head, place, number + at + 1, false);
                self.disk.index.insert_if(entry, |old| old.is_none());
            }
            volume.lists().used_bytes[open as usize] = volume.layout.region_bytes as u32;
            number = last;
        }
        Ok(())
    }

    /// Memory that what is remembered of records that left takes at most, bytes.
    pub fn ghost_bytes(&self) -> usize {
        self.disk.ghost().memory_bytes()
    }
}
