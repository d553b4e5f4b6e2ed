//! The rules on a volume: the same log in each of two areas, so that one is whole after damage or a
//! crash while the other was written.
//!
//! ```text
//! page 0   "EDGEPRG1", volume id u64, newest forgotten u64, newest hard forgotten u64, crc32c
//! page 1…  records: length u32, crc32c of volume id and rule u32, rule
//! ```
//!
//! What an earlier, longer log left behind the end is read again as rules: they were made, so they hold.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::bytes::{Reader, Writer};
use super::super::error::StoreError;
use super::super::layout::{Layout, NUMBER_MAX};
use super::super::record::PAGE_BYTES;
use super::super::volume::Volume;
use super::{Forgotten, Kept, Kind, Pattern, Rule};
use crate::limits::PURGE_PATTERN_MAX_BYTES;

const MAGIC: &[u8; 8] = b"EDGEPRG1";
/// Of a record, beside site and text.
const FIXED_BYTES: usize = 8 + 3 * 8 + 2 + 2 * 4;

/// Where the next rule goes; the same place in both areas.
#[derive(Debug, Default)]
pub(in crate::cache) struct Journal {
    /// Bytes of records there are.
    used_bytes: AtomicU64,
}

/// Bytes a rule takes.
pub(super) fn record_bytes(rule: &Rule) -> usize {
    FIXED_BYTES + rule.pattern.site.len() + rule.pattern.text.len()
}

impl Journal {
    /// Rules there may be on a volume of this layout, bytes.
    pub fn room_bytes(layout: &Layout) -> u64 {
        layout.purge_bytes - PAGE_BYTES
    }

    /// What a volume keeps, of both areas together; `None` when neither can be read.
    pub fn read(file: &File, layout: &Layout, volume_id: u64) -> Option<Kept> {
        let areas = layout.purge_at.iter().filter_map(|at| {
            let mut bytes = vec![0; layout.purge_bytes as usize];
            file.read_exact_at(&mut bytes, *at).ok()?;
            read_area(&bytes, volume_id)
        });
        areas.reduce(|mut kept, other| {
            kept.join(other);
            kept
        })
    }

    /// Adds `rules` to both areas and waits until they are on the disk; `false` when there is no room.
    pub fn append(&self, volume: &Volume, rules: &[Rule]) -> Result<bool, StoreError> {
        let used_bytes = self.used_bytes.load(Ordering::Acquire);
        let mut to = Writer::default();
        rules.iter().for_each(|rule| push(&mut to, rule, volume.volume_id));
        let after = used_bytes + to.0.len() as u64;
        if after > Journal::room_bytes(&volume.layout) {
            return Ok(false);
        }
        for area_at in volume.layout.purge_at {
            volume.write(&to.0, area_at + PAGE_BYTES + used_bytes)?;
        }
        volume.sync()?;
        self.used_bytes.store(after, Ordering::Release);
        Ok(true)
    }

    /// Writes both areas anew, one after the other.
    pub fn rewrite<'r>(
        &self,
        volume: &Volume,
        rules: impl Iterator<Item = &'r Rule>,
        forgotten: Forgotten,
    ) -> Result<(), StoreError> {
        let mut to = Writer::default();
        to.raw(MAGIC).u64(volume.volume_id).u64(forgotten.any).u64(forgotten.hard).crc();
        to.pad(PAGE_BYTES as usize);
        rules.for_each(|rule| push(&mut to, rule, volume.volume_id));
        let used_bytes = to.0.len() as u64 - PAGE_BYTES;
        for area_at in volume.layout.purge_at {
            volume.write(&to.0, area_at)?;
            volume.sync()?;
        }
        self.used_bytes.store(used_bytes, Ordering::Release);
        Ok(())
    }
}

impl Kept {
    /// Takes what another copy knows.
    pub fn join(&mut self, other: Kept) {
        self.forgotten.any = self.forgotten.any.max(other.forgotten.any);
        self.forgotten.hard = self.forgotten.hard.max(other.forgotten.hard);
        self.rules.extend(other.rules);
        self.rules.sort_by_key(|rule| rule.sequence);
        self.rules.dedup();
    }

    /// The newest purge it knows of.
    pub fn newest(&self) -> u64 {
        let newest = self.rules.iter().map(|rule| rule.sequence).max();
        newest.unwrap_or(0).max(self.forgotten.any)
    }
}

fn push(to: &mut Writer, rule: &Rule, volume_id: u64) {
    let mut payload = Writer::default();
    payload.u64(rule.sequence).u64(rule.unix_ms).u64(rule.region);
    payload.u8(rule.pattern.kind as u8).u8(u8::from(rule.soft));
    payload.block(rule.pattern.site.as_bytes()).block(rule.pattern.text.as_bytes());
    to.u32(payload.0.len() as u32).u32(crc(&payload.0, volume_id)).raw(&payload.0);
}

fn crc(payload: &[u8], volume_id: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&volume_id.to_le_bytes()), payload)
}

fn read_area(bytes: &[u8], volume_id: u64) -> Option<Kept> {
    let mut from = Reader(bytes);
    if from.take(8)? != MAGIC || from.u64()? != volume_id {
        return None;
    }
    let forgotten = Forgotten { any: from.u64()?, hard: from.u64()? };
    let covered = bytes.len() - from.0.len();
    let is_sane = forgotten.any < NUMBER_MAX && forgotten.hard < NUMBER_MAX;
    if from.u32()? != crc32c::crc32c(&bytes[..covered]) || !is_sane {
        return None;
    }
    let mut records = Reader(bytes.get(PAGE_BYTES as usize..)?);
    let mut rules = Vec::new();
    while let Some(rule) = read_record(&mut records, volume_id) {
        rules.push(rule);
    }
    Some(Kept { rules, forgotten })
}

fn read_record(from: &mut Reader<'_>, volume_id: u64) -> Option<Rule> {
    let (len, written_crc) = (from.u32()? as usize, from.u32()?);
    if len > FIXED_BYTES + PURGE_PATTERN_MAX_BYTES {
        return None;
    }
    let payload = from.take(len)?;
    if crc(payload, volume_id) != written_crc {
        return None;
    }
    let mut from = Reader(payload);
    let (sequence, unix_ms, region) = (from.u64()?, from.u64()?, from.u64()?);
    if sequence >= NUMBER_MAX {
        return None;
    }
    let kind = Kind::of_number(from.u8()?)?;
    let soft = from.u8()? == 1;
    let (site, text) = (from.text()?.into(), from.text()?.into());
    let pattern = Pattern { kind, site, text };
    Some(Rule { sequence, unix_ms, region, soft, pattern })
}
