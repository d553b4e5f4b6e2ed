//! Looking through a volume that no node has open.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::StoreError;
use super::layout::{Layout, Superblock, TABLE_ENTRY_BYTES, decode_table_entry};
use super::purge::Journal;
use super::record::{Header, Kind, PAGE_BYTES};
use super::scrub::{Bad, Findings, Reader, name, present};
use super::walk::walk;
use crate::sys::file::lock_exclusive;

/// Reads everything on the volume at `path` and says what is wrong; changes nothing. Blocks.
pub fn verify(path: &Path) -> Result<Findings, StoreError> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    lock_exclusive(&file).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StoreError::InUse { path: path.to_owned() },
        _ => StoreError::io("lock", path)(error),
    })?;
    let mut pages = [[0; PAGE_BYTES as usize]; 2];
    for (page, at) in pages.iter_mut().zip([0, PAGE_BYTES]) {
        file.read_exact_at(page, at).map_err(StoreError::io("read", path))?;
    }
    let found = pages.iter().find_map(Superblock::decode);
    let superblock = found.ok_or_else(|| StoreError::NotAVolume { path: path.to_owned() })?;
    let mut check = Check { path, file: &file, superblock, findings: Findings::default() };
    for (page, at) in pages.iter().zip([0, PAGE_BYTES]) {
        if Superblock::decode(page).is_none() {
            check.note(at, "superblock", "checksum");
        }
    }
    check.run();
    Ok(check.findings)
}

struct Check<'a> {
    path: &'a Path,
    file: &'a File,
    superblock: Superblock,
    findings: Findings,
}

impl Check<'_> {
    fn run(&mut self) {
        let layout = self.superblock.layout;
        if Journal::read(self.file, &layout, self.superblock.volume_id).is_none() {
            self.note(layout.purge_at[0], "purges", "unreadable in both copies");
        }
        let mut reader = Reader::new(self.file);
        for region in 0..layout.regions {
            match self.sequence(&layout, region) {
                Ok(Some(sequence)) => self.region(&layout, region, sequence, &mut reader),
                Ok(None) => {}
                Err(why) => self.note(layout.table_at(region), "region table", why),
            }
        }
    }

    /// The sequence of a region's life; `None` before its first.
    fn sequence(&self, layout: &Layout, region: u32) -> Result<Option<u64>, &'static str> {
        let mut bytes = [0; TABLE_ENTRY_BYTES as usize];
        let read = self.file.read_exact_at(&mut bytes, layout.table_at(region));
        read.map_err(|_| "unreadable")?;
        if bytes.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let life = decode_table_entry(&bytes, region, self.superblock.volume_id);
        let sequence = life.map(|life| life.sequence);
        sequence.map(Some).ok_or("checksum")
    }

    fn region(&mut self, layout: &Layout, region: u32, sequence: u64, reader: &mut Reader) {
        self.findings.regions += 1;
        let region_at = layout.region_at(region);
        let end = region_at + layout.region_bytes;
        let mut records: Vec<(u64, Header)> = Vec::new();
        let walked = walk(self.file, region_at, end, sequence, |at, header| {
            records.push((at, header.clone()));
        });
        match walked {
            Err(_) => self.note(region_at, "region", "unreadable"),
            // The row ends with zeros, or there is something that was a record once.
            Ok(walked) if self.is_dirty(walked, end) => self.note(walked, "record", "header"),
            Ok(_) => {}
        }
        for (at, header) in records {
            let is_empty = header.kind == Kind::Slice && header.present == 0;
            if is_empty || header.buried {
                continue;
            }
            self.findings.records += 1;
            self.findings.bytes += u64::from(header.record_len);
            let result = reader
                .read(self.file, at, header.record_len)
                .map_err(|_| "unreadable")
                .and_then(|bytes| present(bytes, &header, layout.block_bytes()));
            if let Err(why) = result {
                self.note(at, name(header.kind), why);
            }
        }
    }

    fn is_dirty(&self, at: u64, end: u64) -> bool {
        let mut bytes = [0; 128];
        at + bytes.len() as u64 <= end
            && self.file.read_exact_at(&mut bytes, at).is_ok()
            && bytes.iter().any(|&byte| byte != 0)
    }

    fn note(&mut self, offset: u64, what: &'static str, why: &'static str) {
        self.findings.note(Bad { volume: self.path.to_owned(), offset, what, why });
    }
}
