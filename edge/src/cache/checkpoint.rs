//! The index on the disk, so that a start need not walk the regions.
//!
//! ```text
//! page 0   "EDGEIDX1", version u32, flags u32, number u64, volume id u64, regions u64, entries u64,
//!          body crc32c u32, crc32c of all that u32
//! page 1…  16 bytes a region: sequence u64, used u32, whole u32
//!          32 bytes an entry: key 16, present u64, place and flags u64
//! ```
//!
//! Two areas are written in turn, so one is always whole. The copy is not of one instant: shards are
//! copied one by one while the node goes on. It need not be: a region is `whole` if it was sealed
//! and nobody wrote in it *before* the first shard was copied; all its entries are then in the copy,
//! unless they went since. Every other region is walked by its headers at the start. An entry of a
//! region whose life has ended since is known by the region's sequence.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::bytes::{Reader, Writer};
use super::error::StoreError;
use super::index::{Entry, Index};
use super::layout::{CHECKPOINT_ENTRY_BYTES, CHECKPOINT_REGION_BYTES, NUMBER_MAX};
use super::record::PAGE_BYTES;
use super::volume::Volume;

const MAGIC: &[u8; 8] = b"EDGEIDX1";
const VERSION: u32 = 1;
/// There were more entries than fit: no region is whole.
const CUT_SHORT: u32 = 1;
const CHUNK_BYTES: usize = 1024 * 1024;

/// One region as the checkpoint saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeenRegion {
    pub sequence: u64,
    pub used_bytes: u32,
    pub is_whole: bool,
}

/// Page 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub number: u64,
    flags: u32,
    volume_id: u64,
    regions: u64,
    entries: u64,
    body_crc: u32,
}

/// Copies the index to the older of the two areas. No lock of the index or of the volume is held
/// while bytes are written.
pub(super) fn write(volume: &Volume, index: &Index) -> Result<(), StoreError> {
    let mut newest = volume.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
    let number = *newest + 1;
    let area_at = volume.layout.checkpoint_at[(number % 2) as usize];
    let mut out = Out { volume, at: area_at + PAGE_BYTES, chunk: Vec::new(), crc: 0 };
    for region in seen_regions(volume) {
        out.region(&region)?;
    }
    let mut room = entries_max(volume);
    let (mut entries, mut flags) = (0, 0);
    let mut copied = Vec::new();
    for shard in 0..index.shards() {
        copied.clear();
        index.copy(shard, &mut copied, |entry| entry.place().volume == volume.id);
        if copied.len() as u64 > room {
            copied.truncate(room as usize);
            flags = CUT_SHORT;
        }
        room -= copied.len() as u64;
        entries += copied.len() as u64;
        for entry in &copied {
            out.entry(entry)?;
        }
    }
    out.flush()?;
    let regions = u64::from(volume.layout.regions);
    let body_crc = out.crc;
    let head = Head { number, flags, volume_id: volume.volume_id, regions, entries, body_crc };
    volume.write(&head.encode(), area_at)?;
    volume.sync()?;
    *newest = number;
    Ok(())
}

fn seen_regions(volume: &Volume) -> Vec<SeenRegion> {
    let lists = volume.lists();
    let mut seen: Vec<SeenRegion> = (0..volume.layout.regions)
        .map(|region| SeenRegion {
            sequence: volume.region(region).sequence.load(Ordering::Acquire),
            used_bytes: lists.used_bytes[region as usize],
            is_whole: false,
        })
        .collect();
    for &sealed in lists.sealed.iter().flatten() {
        // Sealed under this lock, so no writer can begin a record here any more.
        seen[sealed as usize].is_whole = !volume.region(sealed).has_writers();
    }
    seen
}

fn entries_max(volume: &Volume) -> u64 {
    let regions = u64::from(volume.layout.regions) * CHECKPOINT_REGION_BYTES;
    (volume.layout.checkpoint_bytes - PAGE_BYTES - regions) / CHECKPOINT_ENTRY_BYTES
}

struct Out<'a> {
    volume: &'a Volume,
    at: u64,
    chunk: Vec<u8>,
    crc: u32,
}

impl Out<'_> {
    fn region(&mut self, region: &SeenRegion) -> Result<(), StoreError> {
        let mut to = Writer(std::mem::take(&mut self.chunk));
        to.u64(region.sequence).u32(region.used_bytes).u32(u32::from(region.is_whole));
        self.chunk = to.0;
        self.flush_full()
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let mut to = Writer(std::mem::take(&mut self.chunk));
        to.raw(&entry.key.to_bytes()).u64(entry.present).u64(entry.to_bits());
        self.chunk = to.0;
        self.flush_full()
    }

    fn flush_full(&mut self) -> Result<(), StoreError> {
        if self.chunk.len() < CHUNK_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.volume.write(&self.chunk, self.at)?;
        self.crc = crc32c::crc32c_append(self.crc, &self.chunk);
        self.at += self.chunk.len() as u64;
        self.chunk.clear();
        Ok(())
    }
}

impl Head {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.raw(MAGIC).u32(VERSION).u32(self.flags).u64(self.number).u64(self.volume_id);
        to.u64(self.regions).u64(self.entries).u32(self.body_crc).crc();
        to.0
    }

    fn decode(bytes: &[u8]) -> Option<Head> {
        let mut from = Reader(bytes);
        if from.take(8)? != MAGIC || from.u32()? != VERSION {
            return None;
        }
        let flags = from.u32()?;
        let head = Head {
            flags,
            number: from.u64()?,
            volume_id: from.u64()?,
            regions: from.u64()?,
            entries: from.u64()?,
            body_crc: from.u32()?,
        };
        let covered = bytes.len() - from.0.len();
        (from.u32()? == crc32c::crc32c(bytes.get(..covered)?)).then_some(head)
    }

    fn body_bytes(&self) -> u64 {
        self.regions * CHECKPOINT_REGION_BYTES + self.entries * CHECKPOINT_ENTRY_BYTES
    }
}

/// The newer of the two whole checkpoints: its number, its regions. Its entries are shown by
/// [`entries`]. No memory but a chunk and the regions is taken, whatever the size.
pub(super) fn newest(volume: &Volume) -> Option<(Head, Vec<SeenRegion>)> {
    let mut heads: Vec<Head> = (0..2).filter_map(|area| read_head(volume, area)).collect();
    heads.sort_by_key(|head| std::cmp::Reverse(head.number));
    heads.into_iter().find_map(|head| {
        let mut crc = 0;
        let mut regions = Vec::new();
        let regions_bytes = (head.regions * CHECKPOINT_REGION_BYTES) as usize;
        body_chunks(volume, &head, |chunk| {
            crc = crc32c::crc32c_append(crc, chunk);
            let missing = regions_bytes - regions.len();
            regions.extend_from_slice(&chunk[..chunk.len().min(missing)]);
        })
        .ok()?;
        (crc == head.body_crc).then(|| (head, decode_regions(&head, &regions)))
    })
}

/// Shows every entry of a checkpoint that [`newest`] found whole.
pub(super) fn entries(
    volume: &Volume,
    head: &Head,
    mut visit: impl FnMut(Entry),
) -> io::Result<()> {
    let mut skip = (head.regions * CHECKPOINT_REGION_BYTES) as usize;
    let mut rest = Vec::new();
    body_chunks(volume, head, |chunk| {
        let skipped = skip.min(chunk.len());
        skip -= skipped;
        rest.extend_from_slice(&chunk[skipped..]);
        let whole = rest.len() - rest.len() % CHECKPOINT_ENTRY_BYTES as usize;
        for bytes in rest[..whole].chunks_exact(CHECKPOINT_ENTRY_BYTES as usize) {
            if let Some(entry) = decode_entry(bytes, volume.id) {
                visit(entry);
            }
        }
        rest.drain(..whole);
    })
}

/// Any bytes through the decoders of this file; for fuzzers.
pub(super) fn probe(bytes: &[u8]) {
    let Some(head) = Head::decode(bytes) else { return };
    assert_eq!(Head::decode(&head.encode()), Some(head), "a checkpoint's head changes");
    decode_regions(&head, bytes);
    for entry in bytes.chunks_exact(CHECKPOINT_ENTRY_BYTES as usize) {
        if let Some(entry) = decode_entry(entry, 0) {
            let _ = (entry.place(), entry.kind(), entry.is_verified());
        }
    }
}

fn decode_entry(bytes: &[u8], volume: u8) -> Option<Entry> {
    let mut from = Reader(bytes);
    let key = super::Key::from_bytes(from.bytes16()?);
    let present = from.u64()?;
    Some(Entry::from_disk(key, present, from.u64()?, volume))
}

fn decode_regions(head: &Head, bytes: &[u8]) -> Vec<SeenRegion> {
    let decode = |bytes: &[u8]| {
        let mut from = Reader(bytes);
        let (sequence, used_bytes, whole) = (from.u64()?, from.u32()?, from.u32()?);
        let is_whole = whole == 1 && head.flags & CUT_SHORT == 0;
        Some(SeenRegion { sequence, used_bytes, is_whole })
    };
    bytes.chunks_exact(CHECKPOINT_REGION_BYTES as usize).filter_map(decode).collect()
}

fn read_head(volume: &Volume, area: u64) -> Option<Head> {
    let mut bytes = [0; 128];
    let area_at = volume.layout.checkpoint_at[area as usize];
    volume.file.read_exact_at(&mut bytes, area_at).ok()?;
    let head = Head::decode(&bytes)?;
    let is_ours = head.volume_id == volume.volume_id
        && head.number % 2 == area
        && head.number < NUMBER_MAX
        && head.regions == u64::from(volume.layout.regions)
        && head.entries <= entries_max(volume);
    is_ours.then_some(head)
}

fn body_chunks(volume: &Volume, head: &Head, mut visit: impl FnMut(&[u8])) -> io::Result<()> {
    let mut at = volume.layout.checkpoint_at[(head.number % 2) as usize] + PAGE_BYTES;
    let end = at + head.body_bytes();
    let mut chunk = vec![0; CHUNK_BYTES.min(head.body_bytes() as usize)];
    while at < end {
        let len = chunk.len().min((end - at) as usize);
        volume.file.read_exact_at(&mut chunk[..len], at)?;
        visit(&chunk[..len]);
        at += len as u64;
    }
    Ok(())
}
