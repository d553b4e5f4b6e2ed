//! A slice whose volume refuses bytes goes on elsewhere, and its readers with it.

use std::os::unix::fs::FileExt;

use super::error::StoreError;
use super::writer::{Record, SliceWriter};

impl SliceWriter {
    /// Begins a new record on a volume that takes bytes (in memory, if none does), copies what there is
    /// of the slice, and shows readers the new place. On failure all is as it was.
    pub(super) fn move_elsewhere(&mut self) -> Result<(), StoreError> {
        let Some(old) = self.record.take() else { return Ok(()) };
        let moved = self.copied(&old);
        self.record = Some(old);
        let new = moved?;
        let reserved = &new.reserved;
        tracing::warn!(
            to = %reserved.pin.pin().volume().path.display(),
            "a slice goes on on another volume"
        );
        self.claim.moved(reserved.pin.pin().clone(), reserved.data_at + self.start);
        self.record = Some(Box::new(new));
        Ok(())
    }

    /// A new record with the blocks of `old` and what there is of the one being written. No byte is
    /// taken over whose checksum is not right.
    fn copied(&self, old: &Record) -> Result<Record, StoreError> {
        let mut new = self.disk.begin_slice(&self.claim)?;
        let slice_len = self.claim.slices().slice_len(self.claim.index());
        let begun = self.at - self.at % self.block_bytes;
        for (block, crc) in (0u64..).zip(old.table) {
            let at = block * self.block_bytes;
            if old.header.present & (1 << block) == 0 || at >= slice_len {
                continue;
            }
            let len = self.block_bytes.min(slice_len - at);
            let is_shown = (self.start..self.at).contains(&at);
            match copy(old, &new, (at, len), crc)? {
                true => {
                    new.table[block as usize] = crc;
                    new.header.present |= 1 << block;
                }
                false if is_shown => return Err(StoreError::NoRoom),
                false => {}
            }
        }
        let is_right =
            begun == self.at || copy(old, &new, (begun, self.at - begun), self.block_crc)?;
        if is_right { Ok(new) } else { Err(StoreError::NoRoom) }
    }
}

/// Copies a stretch of a slice; `false` when it cannot be read as it was written.
fn copy(from: &Record, to: &Record, (at, len): (u64, u64), crc: u32) -> Result<bool, StoreError> {
    let mut bytes = vec![0; len as usize];
    let file = &from.reserved.pin.pin().volume().file;
    let read = file.read_exact_at(&mut bytes, from.reserved.data_at + at);
    if read.is_err() || crc32c::crc32c(&bytes) != crc {
        return Ok(false);
    }
    to.reserved.pin.pin().volume().write(&bytes, to.reserved.data_at + at)?;
    Ok(true)
}
