//! Reading what is stored before anybody asks for it: what is bad goes, and is a miss.
//!
//! A pass reads every record that the index shows, region by region, past the page cache (`O_DIRECT`):
//! the disk is looked at, and nothing that is in use is pushed out of memory. What it found right needs
//! no look at its first use.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::disk::Stored;
use super::record::{Header, Kind, PAGE_BYTES, SLICE_HEADER_BYTES};
use super::store::Cache;
use super::volume::Volume;
use super::walk::walk;
use super::writer::low_bits;
use crate::limits::BAD_RECORDS_SHOWN_MAX;
use crate::sys::file::open_direct;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The volume.
    pub volume: PathBuf,
    /// Offset in it, bytes.
    pub offset: u64,
    /// What is there, or should be.
    pub what: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

/// What a pass found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Regions looked at.
    pub regions: u64,
    /// Records read.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bad ones.
    pub bad_count: u64,
    /// The first of those, [`BAD_RECORDS_SHOWN_MAX`] at most.
    pub bad: Vec<Bad>,
}

impl Findings {
    pub(super) fn note(&mut self, bad: Bad) {
        self.bad_count += 1;
        if self.bad.len() < BAD_RECORDS_SHOWN_MAX {
            self.bad.push(bad);
        }
    }
}

/// A pass over everything that is stored, in steps.
pub struct Scrub {
    cache: Arc<Cache>,
    next_volume: usize,
    volume: Option<(Arc<Volume>, Reader)>,
    regions: VecDeque<u32>,
    records: VecDeque<(u64, Header)>,
    findings: Findings,
}

impl Scrub {
    /// A pass that is to begin.
    pub fn new(cache: Arc<Cache>) -> Scrub {
        Scrub {
            cache,
            next_volume: 0,
            volume: None,
            regions: VecDeque::new(),
            records: VecDeque::new(),
            findings: Findings::default(),
        }
    }

    /// What was found so far.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Reads on until `bytes` were read; `false`: the pass has ended. Blocks on the disk.
    pub fn step(&mut self, bytes: u64) -> bool {
        let stop = self.findings.bytes + bytes;
        while self.findings.bytes < stop {
            if let Some((record_at, header)) = self.records.pop_front() {
                self.check(record_at, &header);
            } else if let Some(region) = self.regions.pop_front() {
                self.enter_region(region);
            } else if !self.enter_volume() {
                return false;
            }
        }
        true
    }

    fn enter_volume(&mut self) -> bool {
        let next = self.cache.disk.volumes.iter().nth(self.next_volume).cloned();
        self.next_volume += 1;
        let Some(volume) = next else { return false };
        self.regions = volume.used_regions().into();
        let reader = Reader::new(&volume.file);
        self.volume = Some((volume, reader));
        true
    }

    /// Lists the region's records.
    fn enter_region(&mut self, region: u32) {
        let Some((volume, _)) = &self.volume else { return };
        let Some((_pin, used_bytes, is_open)) = volume.pin_used(region) else { return };
        self.findings.regions += 1;
        let region_at = volume.layout.region_at(region);
        let end = region_at + u64::from(used_bytes);
        let sequence = volume.region(region).sequence.load(Ordering::Acquire);
        let records = &mut self.records;
        let walked = walk(&volume.file, region_at, end, sequence, |at, header| {
            records.push_back((at, header.clone()));
        });
        let walked = walked.unwrap_or(region_at);
        // Behind a damaged header there may be more, which nothing leads to.
        if walked < end && !is_open && !volume.region(region).has_writers() {
            let lost = self.cache.disk.index.remove_all(|entry| {
                let place = entry.place();
                place.volume == volume.id && (walked..end).contains(&place.offset)
            });
            self.cache.disk.metrics.corrupt.add(lost as u64);
            let path = volume.path.clone();
            let what = Bad { volume: path, offset: walked, what: "record", why: "header" };
            self.findings.note(what);
        }
    }

    /// Reads a record if it is the one that the index shows.
    fn check(&mut self, record_at: u64, listed: &Header) {
        let Some((volume, reader)) = &mut self.volume else { return };
        let (disk, key) = (&self.cache.disk, listed.entry_key());
        let shown = disk.stored(key, listed.kind);
        let is_here = |stored: &Stored| {
            stored.record_at == record_at && Arc::ptr_eq(stored.pin.volume(), volume)
        };
        let Some(stored) = shown.filter(is_here) else { return };
        self.findings.records += 1;
        self.findings.bytes += u64::from(listed.record_len);
        disk.metrics.scrubbed_bytes.add(u64::from(listed.record_len));
        let read = reader.read(&volume.file, record_at, listed.record_len);
        let result = read.map_err(|_| "unreadable").and_then(|bytes| {
            let block_bytes = volume.layout.block_bytes();
            present(bytes, listed, block_bytes)
        });
        match result {
            Ok(present) if !stored.is_verified => disk.mark_verified(key, stored.place(), present),
            Ok(_) => {}
            // Somebody writes on in it just now: what was read is of two moments.
            Err(_) if stored.pin.region().has_writers() => {}
            Err(why) => {
                if why == "unreadable" {
                    volume.read_failed();
                }
                disk.drop_corrupt(key, stored.place());
                let what = name(listed.kind);
                let bad = Bad { volume: volume.path.clone(), offset: record_at, what, why };
                self.findings.note(bad);
            }
        }
    }
}

pub(super) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Head => "head",
        Kind::Slice => "slice",
    }
}

/// Compares a record's bytes with its checksums; the blocks that are present.
pub(super) fn present(
    bytes: &[u8],
    listed: &Header,
    block_bytes: u64,
) -> Result<u64, &'static str> {
    let header = Header::decode(bytes).ok_or("header")?;
    let is_same = header.key == listed.key
        && header.sequence == listed.sequence
        && header.kind == listed.kind
        && header.record_len == listed.record_len;
    if !is_same {
        return Err("header");
    }
    let data = bytes.get(header.data_offset as usize..).ok_or("header")?;
    match header.kind {
        Kind::Head => {
            let payload = header.meta_len as usize + header.body_len as usize;
            let payload = data.get(..payload).ok_or("header")?;
            (crc32c::crc32c(payload) == header.payload_crc).then_some(0).ok_or("checksum")
        }
        Kind::Slice => {
            let head = bytes.first_chunk::<SLICE_HEADER_BYTES>().ok_or("header")?;
            let (header, table) = Header::decode_slice(head).ok_or("header")?;
            let slice_len = u64::from(header.slice_len);
            if header.present & !low_bits(slice_len.div_ceil(block_bytes)) != 0 {
                return Err("header");
            }
            for (block, crc) in (0u64..).zip(table) {
                if header.present & (1 << block) == 0 {
                    continue;
                }
                let at = block * block_bytes;
                let end = (at + block_bytes).min(slice_len);
                let bytes = data.get(at as usize..end as usize).ok_or("header")?;
                if crc32c::crc32c(bytes) != crc {
                    return Err("checksum");
                }
            }
            Ok(header.present)
        }
    }
}

/// Reads past the page cache where the file system lets one.
pub(super) struct Reader {
    direct: Option<File>,
    buffer: Vec<u8>,
}

impl Reader {
    pub fn new(file: &File) -> Reader {
        Reader { direct: open_direct(file).ok(), buffer: Vec::new() }
    }

    /// `len` bytes at `at`.
    pub fn read(&mut self, file: &File, at: u64, len: u32) -> io::Result<&[u8]> {
        // Direct reads begin and end, in file and memory, at multiples of a disk's block.
        let from = at - at % PAGE_BYTES;
        let to = (at + u64::from(len)).next_multiple_of(PAGE_BYTES);
        let needed = (to - from) as usize;
        if self.buffer.len() < needed + PAGE_BYTES as usize {
            self.buffer = vec![0; needed + PAGE_BYTES as usize];
        }
        let start = self.buffer.as_ptr().align_offset(PAGE_BYTES as usize);
        let inside = start + (at - from) as usize..start + (at - from) as usize + len as usize;
        let whole = &mut self.buffer[start..start + needed];
        let is_read = self.direct.as_ref().is_some_and(|direct| {
            // The last record of a device may end before the page does.
            direct.read_at(whole, from).is_ok_and(|got| got as u64 >= at - from + u64::from(len))
        });
        if !is_read {
            file.read_exact_at(&mut self.buffer[inside.clone()], at)?;
        }
        Ok(&self.buffer[inside])
    }
}
