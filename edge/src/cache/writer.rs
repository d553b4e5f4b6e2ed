//! Filling one run of one slice.

use std::sync::Arc;

use super::disk::Disk;
use super::error::StoreError;
use super::record::{BlockTable, Header};
use super::slices::Claim;
use super::volume::Reserved;
use crate::limits::{SLICE_BLOCKS, UNSHOWN_MAX_BYTES};

/// The exclusive right to fill a run of one slice. Dropped unfinished, what was written is kept, by
/// whole blocks.
pub struct SliceWriter {
    pub(super) claim: Claim,
    pub(super) disk: Arc<Disk>,
    pub(super) record: Option<Box<Record>>,
    /// Offset in the slice of the first byte that is shown to readers from here.
    pub(super) start: u64,
    /// Offset in the slice of the next byte.
    pub(super) at: u64,
    /// One past the last byte of the run, in the slice.
    end: u64,
    pub(super) block_bytes: u64,
    /// Checksum of the block being written, so far.
    pub(super) block_crc: u32,
    /// Offset in the slice up to which readers see it.
    shown: u64,
}

/// The record being written: `None` before the first byte (a fill that comes to nothing takes no
/// room), and once it is committed.
pub(super) struct Record {
    pub reserved: Reserved,
    pub header: Header,
    pub table: BlockTable,
}

impl SliceWriter {
    /// Writes blocks `run` of the claimed slice, of which nothing is stored.
    pub(super) fn new(
        disk: Arc<Disk>,
        claim: Claim,
        run: std::ops::Range<u32>,
        block_bytes: u64,
    ) -> SliceWriter {
        let at = u64::from(run.start) * block_bytes;
        let end = u64::from(run.end) * block_bytes;
        let block_crc = 0;
        SliceWriter {
            claim,
            disk,
            record: None,
            start: at,
            at,
            end,
            block_bytes,
            block_crc,
            shown: at,
        }
    }

    /// Writes blocks `run` of the claimed slice, of which `record` holds others.
    pub(super) fn resume(
        disk: Arc<Disk>,
        claim: Claim,
        record: Record,
        run: std::ops::Range<u32>,
    ) -> SliceWriter {
        let block_bytes = record.reserved.pin.pin().volume().layout.block_bytes();
        let mut writer = SliceWriter::new(disk, claim, run, block_bytes);
        writer.begin(record);
        writer
    }

    /// Offset in the object of the next byte to be written.
    pub fn offset(&self) -> u64 {
        self.claim.slices().start_of(self.claim.index()) + self.at
    }

    /// One past the last byte this writer may write (end of slice, of the body once its length is
    /// known, or the next present block).
    pub fn end(&self) -> u64 {
        self.claim.slices().start_of(self.claim.index()) + self.end_in_slice()
    }

    /// Says that the same filler goes on, slice by slice, up to byte `end` of the object: nobody else
    /// can claim what it comes to, a reader finds [`super::Read::Pending`] there, not `Absent`. To be
    /// kept by [`super::Cache::lead_next`] and said again of the next writer.
    pub fn goes_on_to(&mut self, end: u64) {
        let last = self.claim.slices().index_of(end.saturating_sub(1));
        self.claim.goes_on_through(last.unwrap_or(u32::MAX));
    }

    /// Where it must end because others took what follows: what [`SliceWriter::goes_on_to`] said does
    /// not hold any more.
    pub fn cut_end(&self) -> Option<u64> {
        self.claim.cut_end()
    }

    /// [`SliceWriter::put`] and [`SliceWriter::show`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, StoreError> {
        let taken = self.put(bytes)?;
        self.show();
        Ok(taken)
    }

    /// Writes as much of `bytes` as fits before [`SliceWriter::end`] (blocking `pwrite`). Readers see it
    /// after [`SliceWriter::show`], or by itself once it is much. Returns how many bytes were taken.
    ///
    /// The first write takes the room that the claim made; if others were faster and all is in use
    /// now, it is [`StoreError::NoRoom`], and the same write may be tried again. When the volume refuses
    /// the bytes the slice goes on on another, if there is one. After another error the writer takes
    /// nothing more; what it wrote before is kept.
    pub fn put(&mut self, bytes: &[u8]) -> Result<usize, StoreError> {
        let room = self.end_in_slice().saturating_sub(self.at);
        let taken = &bytes[..bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        if taken.is_empty() {
            return Ok(0);
        }
        if self.record.is_none() {
            let record = self.disk.begin_slice(&self.claim)?;
            self.begin(record);
        }
        if let Err(error) = self.put_in_place(taken)
            && (self.move_elsewhere().is_err() || self.put_in_place(taken).is_err())
        {
            self.end = self.at;
            return Err(error);
        }
        self.account(taken);
        if self.at - self.shown >= UNSHOWN_MAX_BYTES {
            self.show();
        }
        Ok(taken.len())
    }

    /// Moves the watermark to what was written and wakes the readers it passes.
    pub fn show(&mut self) {
        if self.shown < self.at {
            self.shown = self.at;
            self.claim.advance(self.offset());
        }
    }

    fn put_in_place(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(record) = &self.record else { return Ok(()) };
        let reserved = &record.reserved;
        reserved.pin.pin().volume().write(bytes, reserved.data_at + self.at)
    }

    /// Commits: checksums and final header to disk, entry to index.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.commit()
    }

    /// Shows readers where the bytes from here on will be.
    fn begin(&mut self, record: Record) {
        let reserved = &record.reserved;
        let start = self.claim.slices().start_of(self.claim.index());
        let pin = reserved.pin.pin().clone();
        self.start = self.at;
        self.claim.begin(start + self.at, pin, reserved.data_at + self.at);
        self.record = Some(Box::new(record));
    }

    fn end_in_slice(&self) -> u64 {
        self.end.min(self.claim.slices().slice_len(self.claim.index()))
    }

    /// Takes written bytes into the checksums, block by block.
    fn account(&mut self, mut bytes: &[u8]) {
        let Some(record) = &mut self.record else { return };
        while !bytes.is_empty() {
            let block = self.at / self.block_bytes;
            let room = (block + 1) * self.block_bytes - self.at;
            let (of_block, rest) = bytes.split_at(bytes.len().min(room as usize));
            self.block_crc = crc32c::crc32c_append(self.block_crc, of_block);
            self.at += of_block.len() as u64;
            if of_block.len() as u64 == room {
                set_block(record, block, self.block_crc);
                self.block_crc = 0;
            }
            bytes = rest;
        }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let slice_len = self.claim.slices().slice_len(self.claim.index());
        let Some(mut record) = self.record.take() else { return Ok(()) };
        record.header.slice_len = slice_len as u32;
        let block = self.at / self.block_bytes;
        if self.at == slice_len && !self.at.is_multiple_of(self.block_bytes) {
            set_block(&mut record, block, self.block_crc);
        }
        // Blocks that reach past an end which became known too late would not match.
        let blocks = slice_len.div_ceil(self.block_bytes);
        let reaches_past = (blocks * self.block_bytes > slice_len && self.at > slice_len)
            .then(|| 1u64 << (blocks - 1));
        record.header.present &= low_bits(blocks) & !reaches_past.unwrap_or(0);
        if record.header.present == 0 {
            return Ok(());
        }
        if write_header(&record).is_err() {
            let present = record.header.present;
            self.record = Some(record);
            self.move_elsewhere()?;
            let Some(mut moved) = self.record.take() else { return Ok(()) };
            moved.header.present &= present;
            moved.header.slice_len = slice_len as u32;
            write_header(&moved)?;
            record = moved;
        }
        self.disk.publish(&record.reserved, &record.header);
        Ok(())
    }
}

impl Drop for SliceWriter {
    fn drop(&mut self) {
        if let Err(error) = self.commit() {
            tracing::warn!(%error, "what was written of a slice is lost");
        }
        // Only now the claim goes, and the readers that wait are woken.
    }
}

fn write_header(record: &Record) -> Result<(), StoreError> {
    let reserved = &record.reserved;
    let bytes = record.header.encode_slice(&record.table);
    reserved.pin.pin().volume().write(&bytes, reserved.record_at)
}

fn set_block(record: &mut Record, block: u64, crc: u32) {
    record.table[block as usize % SLICE_BLOCKS as usize] = crc;
    record.header.present |= 1 << (block % u64::from(SLICE_BLOCKS));
}

/// A mask of the `count` lowest bits.
pub(super) fn low_bits(count: u64) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}
