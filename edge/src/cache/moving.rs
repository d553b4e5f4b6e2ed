//! Writing a record again at another place, its checksums verified on the way.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::disk::Disk;
use super::error::StoreError;
use super::head;
use super::heads::{bury, head_of};
use super::object::Body;
use super::purge::Verdict;
use super::reclaim::Live;
use super::record::{
    BlockTable, HEADER_BYTES, Header, Kind, PAGE_BYTES, SLICE_HEADER_BYTES, slice_data_at,
};
use super::region::Pin;
use super::volume::{Need, Reserved, Volume};
use super::writer::low_bits;

/// Slice bytes read and written at once, at least a block.
const CHUNK_BYTES: u64 = 256 * 1024;

impl Disk {
    /// Moves a record of a condemned region to the main row of the same volume, where it goes on with
    /// `frequency`. `Some(false)`: it is damaged, or has changed. `None`: there is no room.
    pub fn move_record(
        &self,
        volume: &Arc<Volume>,
        record: &Live,
        frequency: u8,
    ) -> Result<Option<bool>, StoreError> {
        if volume.is_broken() {
            return Ok(None);
        }
        match record.header.kind {
            Kind::Head => self.move_head(volume, record, frequency),
            Kind::Slice => self.move_slice(volume, record, frequency),
        }
    }

    fn move_head(
        &self,
        volume: &Arc<Volume>,
        record: &Live,
        frequency: u8,
    ) -> Result<Option<bool>, StoreError> {
        let Header { meta_len, body_len, data_offset, payload_crc, key, .. } = record.header;
        let mut payload = vec![0; meta_len as usize + body_len as usize];
        let at = record.place.offset + u64::from(data_offset);
        if volume.file.read_exact_at(&mut payload, at).is_err()
            || crc32c::crc32c(&payload) != payload_crc
        {
            self.drop_corrupt(key, record.place);
            return Ok(Some(false));
        }
        let header_bytes = HEADER_BYTES as u64;
        let need = Need { header_bytes, data_bytes: payload.len() as u64, data_align: 1 };
        let is_wanted = || {
            let decoded = head::decode(&payload[..meta_len as usize]);
            decoded.is_some_and(|(meta, _)| self.purges.judge(&meta) == Verdict::Untouched)
        };
        if !is_wanted() {
            return Ok(Some(false));
        }
        let Some(reserved) = self.reserve_for_kept(volume, need)? else { return Ok(None) };
        let header = Header { data_offset: HEADER_BYTES as u32, ..moved_header(record, &reserved) };
        let bytes = [&header.encode()[..], &payload].concat();
        let _heads = self.heads();
        volume.write(&bytes, reserved.record_at)?;
        // Once more: a purge from now on counts the new place among those it outlives.
        let is_moved =
            is_wanted() && self.publish_moved(&reserved, &header, record.place, frequency);
        if is_moved {
            // Held by nobody else: its region is ours to empty.
            let pin = Pin::new(volume, volume.region_of(record.place.offset));
            bury((&pin, record.place.offset), key);
        } else {
            bury((reserved.pin.pin(), reserved.record_at), key);
        }
        Ok(Some(is_moved))
    }

    fn move_slice(
        &self,
        volume: &Arc<Volume>,
        record: &Live,
        frequency: u8,
    ) -> Result<Option<bool>, StoreError> {
        let key = record.header.entry_key();
        let mut bytes = [0; SLICE_HEADER_BYTES];
        let is_read = volume.file.read_exact_at(&mut bytes, record.place.offset).is_ok();
        let found = Header::decode_slice(&bytes).filter(|(header, _)| {
            let same = |header: &Header| (header.sequence, header.entry_key(), header.slice_len);
            is_read && same(header) == same(&record.header)
        });
        // Somebody may be writing it on; what he writes has no future in this region.
        let Some((old, table)) = found.filter(|(old, _)| self.is_current(old)) else {
            return Ok(Some(false));
        };
        let need = Need {
            header_bytes: SLICE_HEADER_BYTES as u64,
            data_bytes: u64::from(old.slice_len),
            data_align: PAGE_BYTES,
        };
        let Some(reserved) = self.reserve_for_kept(volume, need)? else { return Ok(None) };
        let mut header = Header { present: 0, ..moved_header(record, &reserved) };
        // So that a walk gets past it, whatever becomes of it.
        volume.write(&header.encode_slice(&table), reserved.record_at)?;
        let blocks = u64::from(old.slice_len).div_ceil(volume.layout.block_bytes());
        let wanted = old.present & record.present & low_bits(blocks);
        let from = slice_data_at(record.place.offset);
        header.present = copy_blocks(volume, &table, (wanted, old.slice_len), from, &reserved)?;
        if header.present != wanted {
            self.metrics.corrupt.add(1);
        }
        if header.present == 0 {
            self.index.remove_if(key, |entry| entry.place() == record.place);
            return Ok(Some(false));
        }
        volume.write(&header.encode_slice(&table), reserved.record_at)?;
        let is_moved = self.is_current(&old)
            && self.publish_moved(&reserved, &header, record.place, frequency);
        Ok(Some(is_moved))
    }

    /// Whether a slice is of the version that its object has now, and no purge took that: an older one
    /// is read no more, and must not outlive the purge that fences it off.
    fn is_current(&self, slice: &Header) -> bool {
        let (meta, generation) = match self.objects.peek(slice.key) {
            Some(object) => match &object.body {
                Body::Slices(slices) => (object.meta.clone(), slices.slice_generation()),
                _ => return false,
            },
            None => {
                let stored = self.stored(slice.key, Kind::Head);
                match stored.and_then(|stored| head_of(&stored, slice.key)) {
                    Some(read) => read,
                    None => return false,
                }
            }
        };
        generation == slice.generation && self.purges.judge(&meta) == Verdict::Untouched
    }
}

/// The same record in another place and life.
fn moved_header(record: &Live, reserved: &Reserved) -> Header {
    Header {
        record_len: reserved.record_len,
        data_offset: (reserved.data_at - reserved.record_at) as u32,
        sequence: reserved.sequence,
        ..record.header.clone()
    }
}

/// Copies the `wanted` blocks of a slice; returns those whose checksums were right.
fn copy_blocks(
    volume: &Volume,
    table: &BlockTable,
    (wanted, slice_len): (u64, u32),
    from: u64,
    reserved: &Reserved,
) -> Result<u64, StoreError> {
    let block_bytes = volume.layout.block_bytes();
    let at_once = (CHUNK_BYTES / block_bytes).max(1) as u32;
    let mut buffer = vec![0; (u64::from(at_once) * block_bytes) as usize];
    let (mut block, mut right) = (0, 0);
    while block < u64::BITS && wanted >> block != 0 {
        block += (wanted >> block).trailing_zeros();
        let run = (wanted >> block).trailing_ones().min(at_once);
        let start = u64::from(block) * block_bytes;
        let len = (u64::from(run) * block_bytes).min(u64::from(slice_len).saturating_sub(start));
        let bytes = &mut buffer[..len as usize];
        if volume.file.read_exact_at(bytes, from + start).is_ok() {
            for (at, bytes) in (block..).zip(bytes.chunks(block_bytes as usize)) {
                let is_right = crc32c::crc32c(bytes) == table[at as usize];
                right |= u64::from(is_right) << at;
            }
            volume.write(bytes, reserved.data_at + start)?;
        }
        block += run;
    }
    Ok(right)
}
