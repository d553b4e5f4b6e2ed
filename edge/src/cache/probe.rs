//! Any bytes through every decoder of the format on disk; for fuzzers.
//!
//! Decoders refuse what their checksum does not cover, and no fuzzer guesses a checksum: each decoder
//! is shown the bytes as they are, then with the checksum put right.

use super::layout::Superblock;
use super::record::{HEADER_BYTES, Header, PAGE_BYTES, RECORD_ALIGN, SLICE_HEADER_BYTES};
use super::{checkpoint, head};

/// Where the checksums stand: of a record's header, of a superblock, of a checkpoint's first page.
const HEADER_CRC_AT: usize = 120;
const SUPERBLOCK_CRC_AT: usize = PAGE_BYTES as usize - 4;
const CHECKPOINT_CRC_AT: usize = 52;

/// Takes `bytes` for a record, a slice's header, a head's payload, a superblock and a checkpoint.
///
/// # Panics
/// When what is read is not what would be written.
pub fn decode(bytes: &[u8]) {
    record(bytes);
    record(&sealed(bytes, HEADER_CRC_AT, HEADER_BYTES));
    superblock(&sealed(bytes, SUPERBLOCK_CRC_AT, PAGE_BYTES as usize));
    checkpoint::probe(bytes);
    checkpoint::probe(&sealed(bytes, CHECKPOINT_CRC_AT, 128));
    if let Some((meta, body)) = head::decode(bytes) {
        let again = head::encode(&meta, &body);
        assert_eq!(head::decode(&again), Some((meta, body)), "a head changes when written again");
    }
}

/// `bytes` cut or padded to `len`, with the checksum of what stands before `crc_at` put there.
fn sealed(bytes: &[u8], crc_at: usize, len: usize) -> Vec<u8> {
    let mut bytes = bytes[..bytes.len().min(len)].to_vec();
    bytes.resize(len, 0);
    let crc = crc32c::crc32c(&bytes[..crc_at]);
    bytes[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn record(bytes: &[u8]) {
    if let Some(header) = Header::decode(bytes) {
        assert!(u64::from(header.record_len) >= RECORD_ALIGN, "a walk would not go on");
        assert_eq!(Header::decode(&header.encode()), Some(header.clone()), "a header changes");
    }
    if let Some(bytes) = bytes.first_chunk::<SLICE_HEADER_BYTES>() {
        let _ = Header::decode_slice(bytes);
    }
}

fn superblock(page: &[u8]) {
    let Some(block) = page.first_chunk().and_then(Superblock::decode) else { return };
    let layout = &block.layout;
    let last = layout.region_at(layout.regions - 1) + layout.region_bytes;
    assert!(last <= layout.size_bytes, "regions beyond the volume");
}
