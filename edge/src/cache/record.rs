//! The record: what a region is a row of. Self-describing, so that a region can be walked by headers
//! alone, whatever was lost.
//!
//! ```text
//! record (512-aligned) ┌ header 128 B ┬ block table 256 B ┬ … to a page ┬ slice bytes ┬ … to 512 ┐  slice
//!                      └ header 128 B ┴ meta ┴ body ┴ … to 512 ────────────────────────────────┘  head
//!
//! header  0 magic "EREC"   4 version   5 kind   6 zero (2)   8 record_len   12 data_offset
//!        16 sequence      24 key (16)          40 generation                48 index  52 slice_len
//!        56 present       64 meta_len 68 body_len                           72 payload_crc
//!        76 zero (44)    120 crc32c of bytes 0..120                        124 buried
//! ```
//!
//! All numbers are little-endian. `record_len` counts from the record's start to the next record's.
//! `sequence` is that of the region's present life: a record left over from an earlier one does not
//! match and ends the walk. `payload_crc` covers meta and body of a head, the block table of a slice.
//! `buried` is outside of the checksum so that a head can be forgotten by one small write, unread.

use super::bytes::{Reader, Writer};
use super::key::Key;
use crate::limits::SLICE_BLOCKS;

/// Records start at multiples of this.
pub(super) const RECORD_ALIGN: u64 = 512;
/// Slice bytes start at multiples of this: whole pages can be spliced and dropped.
pub(super) const PAGE_BYTES: u64 = 4096;
/// The fixed part.
pub(super) const HEADER_BYTES: usize = 128;
/// Where [`BURIED`] is written in a header.
pub(super) const BURIED_AT: u64 = 124;
/// Any value but zero buries a record.
pub(super) const BURIED: [u8; 4] = [0xff; 4];
/// Header and block table of a slice.
pub(super) const SLICE_HEADER_BYTES: usize = HEADER_BYTES + SLICE_BLOCKS as usize * 4;

const MAGIC: u32 = u32::from_le_bytes(*b"EREC");
const VERSION: u8 = 1;
const CRC_AT: usize = 120;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Head of an object, with the body of a small one.
    Head = 1,
    /// Part or all of one slice.
    Slice = 2,
}

/// A record's fixed part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub kind: Kind,
    pub record_len: u32,
    /// From the record's start to meta or slice bytes.
    pub data_offset: u32,
    pub sequence: u64,
    /// The object's key, for slices too.
    pub key: Key,
    /// Of a slice; of a head its edition, larger than that of every head before it.
    pub generation: u64,
    pub index: u32,
    /// Bytes of the object this slice stands for; less than a whole slice at the object's end.
    pub slice_len: u32,
    /// One bit a block; zero in the provisional header of a slice being filled.
    pub present: u64,
    pub meta_len: u32,
    pub body_len: u32,
    pub payload_crc: u32,
    pub buried: bool,
}

/// CRC32C of each block of a slice; zero where absent.
pub(super) type BlockTable = [u32; SLICE_BLOCKS as usize];

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut to = Writer(Vec::with_capacity(HEADER_BYTES));
        to.u32(MAGIC).u8(VERSION).u8(self.kind as u8).u16(0);
        to.u32(self.record_len).u32(self.data_offset).u64(self.sequence);
        to.raw(&self.key.to_bytes()).u64(self.generation);
        to.u32(self.index).u32(self.slice_len).u64(self.present);
        to.u32(self.meta_len).u32(self.body_len).u32(self.payload_crc);
        to.pad(CRC_AT).crc().u32(if self.buried { u32::MAX } else { 0 });
        to.0.try_into().expect("as long as the layout says")
    }

    /// `None` for anything that is not a whole, sane header.
    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let mut from = Reader(bytes);
        if from.u32()? != MAGIC || from.u8()? != VERSION {
            return None;
        }
        let kind = match from.u8()? {
            1 => Kind::Head,
            2 => Kind::Slice,
            _ => return None,
        };
        from.u16()?;
        let header = Header {
            kind,
            record_len: from.u32()?,
            data_offset: from.u32()?,
            sequence: from.u64()?,
            key: Key::from_bytes(from.bytes16()?),
            generation: from.u64()?,
            index: from.u32()?,
            slice_len: from.u32()?,
            present: from.u64()?,
            meta_len: from.u32()?,
            body_len: from.u32()?,
            payload_crc: from.u32()?,
            buried: bytes[BURIED_AT as usize..] != [0; 4],
        };
        let mut tail = Reader(&bytes[CRC_AT..]);
        (tail.u32()? == crc32c::crc32c(&bytes[..CRC_AT]) && header.is_sane()).then_some(header)
    }

    /// What the index finds the record by.
    pub fn entry_key(&self) -> Key {
        match self.kind {
            Kind::Head => self.key,
            Kind::Slice => self.key.slice(self.generation, self.index),
        }
    }

    /// What the index says of it beside its place.
    pub fn entry_present(&self) -> u64 {
        match self.kind {
            Kind::Head => self.generation,
            Kind::Slice => self.present,
        }
    }

    fn is_sane(&self) -> bool {
        let (least_offset, payload) = match self.kind {
            Kind::Head => (HEADER_BYTES, u64::from(self.meta_len) + u64::from(self.body_len)),
            Kind::Slice => (SLICE_HEADER_BYTES, u64::from(self.slice_len)),
        };
        self.data_offset as usize >= least_offset
            && u64::from(self.data_offset) + payload <= u64::from(self.record_len)
            && u64::from(self.record_len).is_multiple_of(RECORD_ALIGN)
    }

    /// Header and table of a slice, the table's checksum set in the header.
    pub fn encode_slice(&self, table: &BlockTable) -> [u8; SLICE_HEADER_BYTES] {
        let mut bytes = [0; SLICE_HEADER_BYTES];
        for (to, crc) in bytes[HEADER_BYTES..].chunks_exact_mut(4).zip(table) {
            to.copy_from_slice(&crc.to_le_bytes());
        }
        let payload_crc = crc32c::crc32c(&bytes[HEADER_BYTES..]);
        bytes[..HEADER_BYTES].copy_from_slice(&Header { payload_crc, ..self.clone() }.encode());
        bytes
    }

    /// The reverse of [`Header::encode_slice`].
    pub fn decode_slice(bytes: &[u8; SLICE_HEADER_BYTES]) -> Option<(Header, BlockTable)> {
        let header = Header::decode(bytes)?;
        let table_bytes = &bytes[HEADER_BYTES..];
        if header.kind != Kind::Slice || header.payload_crc != crc32c::crc32c(table_bytes) {
            return None;
        }
        let mut table = [0; SLICE_BLOCKS as usize];
        for (crc, from) in table.iter_mut().zip(table_bytes.chunks_exact(4)) {
            *crc = u32::from_le_bytes(from.try_into().ok()?);
        }
        Some((header, table))
    }
}

/// From the start of a slice's record (as an offset in the volume) to its bytes: the next page.
pub(super) fn slice_data_at(record_at: u64) -> u64 {
    (record_at + SLICE_HEADER_BYTES as u64).next_multiple_of(PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice() -> Header {
        Header {
            kind: Kind::Slice,
            record_len: 4096 + 8192,
            data_offset: 4096,
            sequence: 7,
            key: Key([1, 2]),
            generation: 3,
            index: 4,
            slice_len: 8000,
            present: 0b101,
            meta_len: 0,
            body_len: 0,
            payload_crc: 0,
            buried: false,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut table = [0; SLICE_BLOCKS as usize];
        table[0] = 11;
        table[2] = 13;
        let bytes = slice().encode_slice(&table);
        let (header, read) = Header::decode_slice(&bytes).unwrap();
        assert_eq!(read, table);
        assert_eq!(Header { payload_crc: 0, ..header }, slice());
        let head = Header { kind: Kind::Head, data_offset: 128, meta_len: 9000, ..slice() };
        assert_eq!(Header::decode(&head.encode()), Some(head));
    }

    #[test]
    fn no_bit_may_flip() {
        let bytes = slice().encode_slice(&[5; SLICE_BLOCKS as usize]);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            let read = Header::decode_slice(&bad);
            if (BURIED_AT as usize..HEADER_BYTES).contains(&(bit / 8)) {
                assert!(read.unwrap().0.buried, "a damaged mark must not raise the dead");
            } else {
                assert!(read.is_none(), "bit {bit}");
            }
        }
    }

    #[test]
    fn lengths_must_fit() {
        let sane = |change: fn(&mut Header)| {
            let mut header = slice();
            change(&mut header);
            Header::decode(&header.encode()).is_some()
        };
        assert!(sane(|_| ()));
        assert!(!sane(|header| header.record_len += 1));
        assert!(!sane(|header| header.slice_len = 8193));
        assert!(!sane(|header| header.data_offset = 128));
        assert!(!sane(|header| header.slice_len = u32::MAX));
        assert!(!sane(|header| {
            header.kind = Kind::Head;
            header.meta_len = u32::MAX;
            header.body_len = u32::MAX;
        }));
        assert!(!sane(|header| header.record_len = 0));
    }

    #[test]
    fn slice_bytes_are_page_aligned() {
        assert_eq!(slice_data_at(0), 4096);
        assert_eq!(slice_data_at(3584), 4096);
        assert_eq!(slice_data_at(4096 - 512 + 512), 8192);
    }
}
