//! Claiming a slice: what is stored of it is verified, the first missing run is the caller's.

use std::sync::atomic::Ordering;

use super::disk::Stored;
use super::error::StoreError;
use super::object::{Body, Object};
use super::record::{BlockTable, HEADER_BYTES, Header, Kind, SLICE_HEADER_BYTES, slice_data_at};
use super::region::WritePin;
use super::slices::Claim;
use super::store::Cache;
use super::volume::Reserved;
use super::writer::{Record, SliceWriter, low_bits};
use crate::limits::SLICE_BLOCKS;

/// Whether a filler may write a slice.
pub enum Lead {
    /// The caller fills it, alone; others join by reading.
    Writer(SliceWriter),
    /// Somebody else is filling it.
    Busy,
    /// It is all there from the asked byte on (checksums verified).
    Present,
}

impl Cache {
    /// Claims the part of slice `from / slice_bytes` from byte `from` of the object on (rounded down to
    /// a block, moved up past blocks that are present). A slice on disk that was not verified since
    /// the start is verified here first. `Present` also for bodies that are not in slices, and at or
    /// past the end.
    ///
    /// Fails when no volume, nor memory in their place, has room: [`StoreError::NoRoom`] passes by
    /// itself. The room is made here but taken by the first write, so a claim that comes to nothing
    /// costs none.
    pub fn lead(&self, object: &Object, from: u64) -> Result<Lead, StoreError> {
        let Body::Slices(slices) = &object.body else { return Ok(Lead::Present) };
        if slices.len().is_some_and(|len| from >= len) {
            return Ok(Lead::Present);
        }
        let index = slices.index_of(from).ok_or(StoreError::TooLarge {
            got: from,
            max: u64::from(u32::MAX) * self.slice_bytes(),
        })?;
        match slices.claim(index) {
            Some(claim) => self.lead_claimed(claim, from),
            None => Ok(Lead::Busy),
        }
    }

    /// Finishes `writer` and claims the slice after it, with no moment in between at which a reader
    /// would find neither. An error of the commit is logged, not returned: the body goes on.
    pub fn lead_next(&self, writer: SliceWriter) -> Result<Lead, StoreError> {
        let slices = writer.claim.slices().clone();
        let next = writer.claim.index().checked_add(1);
        let from = next.map(|index| slices.start_of(index));
        let claim = match (next, from) {
            (Some(_), Some(from)) if slices.len().is_none_or(|len| from < len) => {
                slices.claim_after(&writer.claim).map(|claim| (claim, from))
            }
            _ => {
                drop(writer);
                return Ok(Lead::Present);
            }
        };
        drop(writer);
        match claim {
            Some((claim, from)) => self.lead_claimed(claim, from),
            None => Ok(Lead::Busy),
        }
    }

    /// One past the last byte of the slice that starts at `start`, from its start on, that nobody has
    /// or is bringing in; `start` itself when its first byte is there.
    pub fn absent_end(&self, object: &Object, start: u64) -> u64 {
        let Body::Slices(slices) = &object.body else { return start };
        let Some(index) = slices.index_of(start).filter(|index| !slices.is_claimed(*index)) else {
            return start;
        };
        let key = slices.key().slice(slices.slice_generation(), index);
        let absent = self
            .disk
            .stored(key, Kind::Slice)
            .map_or(SLICE_BLOCKS, |stored| stored.present.trailing_zeros());
        start + (u64::from(absent) * self.block_bytes()).min(slices.slice_len(index))
    }

    fn lead_claimed(&self, claim: Claim, from: u64) -> Result<Lead, StoreError> {
        let slices = claim.slices();
        let slice_len = slices.slice_len(claim.index());
        let blocks = slice_len.div_ceil(self.block_bytes()) as u32;
        let from_block = ((from - slices.start_of(claim.index())) / self.block_bytes()) as u32;
        if from_block >= blocks {
            // The end became known meanwhile.
            return Ok(Lead::Present);
        }
        if let Some(stored) = self.verified_slice(&claim) {
            let Some(run) = missing_run(stored.present, from_block, blocks) else {
                return Ok(Lead::Present);
            };
            if let Some(record) = self.resume(&claim, stored) {
                return Ok(Lead::Writer(SliceWriter::resume(
                    self.disk.clone(),
                    claim,
                    record,
                    run,
                )));
            }
        }
        self.disk.make_room(&claim)?;
        let run = from_block..blocks;
        Ok(Lead::Writer(SliceWriter::new(self.disk.clone(), claim, run, self.block_bytes())))
    }

    /// What the index has of the claimed slice; verified, or dropped.
    fn verified_slice(&self, claim: &Claim) -> Option<Stored> {
        let key = claim.slice_key();
        let mut stored = self.disk.stored(key, Kind::Slice)?;
        if stored.is_verified {
            return Some(stored);
        }
        match read_and_verify(&stored, claim) {
            Some(header) => {
                stored.present = header.present;
                self.disk.mark_verified(key, stored.place(), header.present);
                Some(stored)
            }
            None => {
                self.disk.drop_corrupt(key, stored.place());
                None
            }
        }
    }

    /// The record of a partly present slice, to be written on.
    fn resume(&self, claim: &Claim, stored: Stored) -> Option<Record> {
        let Some((mut header, table)) = read_slice_header(&stored, claim) else {
            self.disk.drop_corrupt(claim.slice_key(), stored.place());
            return None;
        };
        // A volume out of use takes no more bytes, and a body whose length became known since may
        // not fit: the slice is begun anew.
        let room = header.record_len - header.data_offset;
        if stored.pin.volume().is_broken()
            || claim.slices().slice_len(claim.index()) > u64::from(room)
        {
            return None;
        }
        header.present &= stored.present;
        let reserved = Reserved {
            record_at: stored.record_at,
            data_at: stored.record_at + u64::from(header.data_offset),
            record_len: header.record_len,
            sequence: header.sequence,
            pin: WritePin::new(stored.pin),
        };
        Some(Record { reserved, header, table })
    }
}

/// The header at `stored` if it is that of the claimed slice, in the region's present life.
fn read_slice_header(stored: &Stored, claim: &Claim) -> Option<(Header, BlockTable)> {
    let mut bytes = [0; SLICE_HEADER_BYTES];
    stored.read(&mut bytes, stored.record_at)?;
    let (header, table) = Header::decode_slice(&bytes)?;
    let slices = claim.slices();
    let data_at = stored.record_at + u64::from(header.data_offset);
    let is_same = header.key == slices.key()
        && header.generation == slices.slice_generation()
        && header.index == claim.index()
        && header.sequence == stored.pin.region().sequence.load(Ordering::Acquire)
        && data_at == slice_data_at(stored.record_at)
        && u64::from(header.slice_len) == slices.slice_len(claim.index());
    is_same.then_some((header, table))
}

/// Reads every block the header names and checks it.
fn read_and_verify(stored: &Stored, claim: &Claim) -> Option<Header> {
    let volume = stored.pin.volume();
    let (header, table) = read_slice_header(stored, claim)?;
    let block_bytes = volume.layout.block_bytes();
    let slice_len = u64::from(header.slice_len);
    if header.present & !low_bits(slice_len.div_ceil(block_bytes)) != 0 || header.present == 0 {
        return None;
    }
    let data_at = stored.record_at + u64::from(header.data_offset);
    let mut buffer = vec![0; block_bytes as usize];
    for (block, crc) in (0u64..).zip(table) {
        if header.present & (1 << block) == 0 {
            continue;
        }
        let at = block * block_bytes;
        let bytes = &mut buffer[..block_bytes.min(slice_len - at) as usize];
        stored.read(bytes, data_at + at)?;
        if crc32c::crc32c(bytes) != crc {
            return None;
        }
    }
    Some(header)
}

/// The first run of absent blocks at or after `from`.
fn missing_run(present: u64, from: u32, blocks: u32) -> Option<std::ops::Range<u32>> {
    let is_absent = |block: &u32| present & (1 << block) == 0;
    let start = (from..blocks).find(is_absent)?;
    let end = (start..blocks).find(|block| !is_absent(block)).unwrap_or(blocks);
    Some(start..end)
}

const _: () = assert!(HEADER_BYTES < SLICE_HEADER_BYTES && SLICE_BLOCKS == u64::BITS);
