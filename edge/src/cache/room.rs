//! Room for records: a place in an open region, another region when it is full, a reclaimed one when
//! none is free. The fill plane reclaims ahead, so that writers find a free one.

use std::sync::Arc;

use super::disk::Disk;
use super::error::StoreError;
use super::eviction::Row;
use super::key::Key;
use super::record::RECORD_ALIGN;
use super::store::Cache;
use super::volume::{Need, Reserved, SPARED, Volume};

impl Cache {
    /// Has `call` called when [`Cache::reclaim_ahead`] has something to do, from whatever thread finds
    /// out. Only the first call counts.
    pub fn on_shortage(&self, call: impl Fn() + Send + Sync + 'static) {
        let _ = self.disk.shortage.set(Box::new(call));
    }

    /// Empties regions until every volume has enough of them ready. Blocks on the disk.
    pub fn reclaim_ahead(&self) {
        for volume in self.disk.volumes.iter().filter(|volume| !volume.is_broken()) {
            // Bounded: when all that is reclaimed is kept, or held, the writers see to it.
            for _ in 0..2 * volume.short_of_regions() {
                if volume.short_of_regions() == 0 || !self.disk.reclaim(volume, false) {
                    break;
                }
            }
        }
    }
}

impl Disk {
    /// Takes room for a record, making it if need be. The bytes read as zeros until written.
    pub fn reserve(
        &self,
        volume: &Arc<Volume>,
        need: Need,
        row: Row,
    ) -> Result<Reserved, StoreError> {
        self.with_room(volume, need, row, || volume.reserve_open(need, row))
    }

    /// Makes room for a record without taking it, so that what stands in the way is known early.
    pub fn make_room_on(
        &self,
        volume: &Arc<Volume>,
        need: Need,
        row: Row,
    ) -> Result<(), StoreError> {
        self.with_room(volume, need, row, || volume.fitting(&volume.lists(), need, row).map(drop))
    }

    /// Takes room for a record that is kept; `None` when only a reclaim could make it.
    pub fn reserve_for_kept(
        &self,
        volume: &Arc<Volume>,
        need: Need,
    ) -> Result<Option<Reserved>, StoreError> {
        let attempt = || volume.reserve_open(need, Row::Main);
        if let Some(reserved) = attempt() {
            return Ok(Some(reserved));
        }
        let _rolling = volume.rolling(Row::Main);
        if let Some(reserved) = attempt() {
            return Ok(Some(reserved));
        }
        volume.roll(Row::Main, 0)?;
        Ok(attempt())
    }

    /// The row of a new record of `key`.
    pub fn row_of(&self, key: Key) -> Row {
        self.ghost().row_of(key.0[1])
    }

    /// Tries `attempt` until it has something, with a new open region each time.
    fn with_room<T>(
        &self,
        volume: &Arc<Volume>,
        need: Need,
        row: Row,
        attempt: impl Fn() -> Option<T>,
    ) -> Result<T, StoreError> {
        let worst = need.header_bytes + need.data_bytes + need.data_align + RECORD_ALIGN;
        if worst > volume.layout.region_bytes {
            return Err(StoreError::TooLarge { got: worst, max: volume.layout.region_bytes });
        }
        let mut spared = SPARED;
        loop {
            if let Some(done) = attempt() {
                return Ok(done);
            }
            {
                let _rolling = volume.rolling(row);
                // Another may have rolled while this one waited.
                if let Some(done) = attempt() {
                    return Ok(done);
                }
                if volume.roll(row, spared)? {
                    self.tell_shortage(volume);
                    continue;
                }
            }
            if spared == 0 {
                self.metrics.no_room.add(1);
                return Err(StoreError::NoRoom);
            }
            // The reclaimer was not fast enough, or there is none.
            if !self.reclaim(volume, true) {
                spared = 0;
            }
        }
    }

    fn tell_shortage(&self, volume: &Volume) {
        if volume.short_of_regions() > 0
            && let Some(call) = self.shortage.get()
        {
            call();
        }
    }
}
