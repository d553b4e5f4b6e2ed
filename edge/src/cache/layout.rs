//! What stands where in a volume.
//!
//! ```text
//! 0        superblock, and a copy in the next page
//! 8192     region table: 16 bytes a region {sequence, crc32c, row}; zeros: it has no life
//!          purge area A, purge area B
//!          checkpoint area A, checkpoint area B
//!          regions, one after the other
//! ```
//!
//! The region table instead of a header in each region: a start reads one short stretch, however large
//! the volume is. Everything is a multiple of a page.

use super::bytes::{Reader, Writer};
use super::eviction::Row;
use super::key::Seed;
use super::record::PAGE_BYTES;
use crate::limits::{SLICE_BLOCKS, SLICE_MAX_BYTES};

const MAGIC: &[u8; 8] = b"EDGEVOL1";
const VERSION: u32 = 3;
/// Regions are about this large.
const REGION_BYTES: u64 = 16 * 1024 * 1024;
/// Room for heads beside the slices a region holds.
const REGION_SLACK_BYTES: u64 = 64 * 1024;
/// Fewest regions a volume is worth having with.
pub(super) const REGIONS_MIN: u64 = 8;
/// Bytes of volume for which a checkpoint has room for one entry; with smaller objects it is cut short
/// and a start walks the headers instead.
const BYTES_PER_CHECKPOINT_ENTRY: u64 = 8 * 1024;
const CHECKPOINT_ENTRIES_MIN: u64 = 1024;
/// One part in so many of a volume is for its purges, twice; within bounds.
const PURGE_SHARE: u64 = 1024;
const PURGE_MIN_BYTES: u64 = 64 * 1024;
const PURGE_MAX_BYTES: u64 = 4 * 1024 * 1024;
const TABLE_AT: u64 = 2 * PAGE_BYTES;
/// Largest volume: the index has 40 bits for a place, in units of 512 bytes.
const VOLUME_MAX_BYTES: u64 = 1 << 49;

/// No sequence or number on a disk is as large, so that counting on from it cannot overflow.
pub(super) const NUMBER_MAX: u64 = 1 << 62;

/// One region's entry in the table.
pub(super) const TABLE_ENTRY_BYTES: u64 = 16;
/// One region's and one entry's share of a checkpoint.
pub(super) const CHECKPOINT_REGION_BYTES: u64 = 16;
/// See [`CHECKPOINT_REGION_BYTES`].
pub(super) const CHECKPOINT_ENTRY_BYTES: u64 = 32;

/// The geometry: wholly determined by volume size and slice size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub size_bytes: u64,
    pub slice_bytes: u64,
    pub region_bytes: u64,
    pub regions: u32,
    /// Where the purge areas begin.
    pub purge_at: [u64; 2],
    pub purge_bytes: u64,
    /// Where the checkpoint areas begin.
    pub checkpoint_at: [u64; 2],
    pub checkpoint_bytes: u64,
    pub data_at: u64,
}

impl Layout {
    /// Of a volume of `size_bytes`; `None` when that is too small or too large, or slices are.
    pub fn new(size_bytes: u64, slice_bytes: u64) -> Option<Layout> {
        let slices = u64::from(SLICE_BLOCKS)..=SLICE_MAX_BYTES;
        if size_bytes > VOLUME_MAX_BYTES || !slices.contains(&slice_bytes) {
            return None;
        }
        let slices_default = (REGION_BYTES / slice_bytes).max(2);
        // The largest region that leaves enough of them; tried from large to small.
        (2..=slices_default).rev().find_map(|slices| {
            let slice_record = slice_bytes.next_multiple_of(PAGE_BYTES) + PAGE_BYTES;
            let region_bytes = slices * slice_record + REGION_SLACK_BYTES;
            Layout::with_regions(size_bytes, slice_bytes, region_bytes)
        })
    }

    fn with_regions(size_bytes: u64, slice_bytes: u64, region_bytes: u64) -> Option<Layout> {
        let regions_max = size_bytes / region_bytes;
        let table_bytes = (regions_max * TABLE_ENTRY_BYTES).next_multiple_of(PAGE_BYTES);
        let entries = (size_bytes / BYTES_PER_CHECKPOINT_ENTRY).max(CHECKPOINT_ENTRIES_MIN);
        let checkpoint_bytes = PAGE_BYTES
            + (regions_max * CHECKPOINT_REGION_BYTES + entries * CHECKPOINT_ENTRY_BYTES)
                .next_multiple_of(PAGE_BYTES);
        let purge_bytes = (size_bytes / PURGE_SHARE)
            .clamp(PURGE_MIN_BYTES, PURGE_MAX_BYTES)
            .next_multiple_of(PAGE_BYTES);
        let purge_at = TABLE_AT + table_bytes;
        let first = purge_at + 2 * purge_bytes;
        let data_at = first + 2 * checkpoint_bytes;
        let regions = size_bytes.checked_sub(data_at)? / region_bytes;
        (regions >= REGIONS_MIN).then_some(Layout {
            size_bytes,
            slice_bytes,
            region_bytes,
            regions: u32::try_from(regions).ok()?,
            purge_at: [purge_at, purge_at + purge_bytes],
            purge_bytes,
            checkpoint_at: [first, first + checkpoint_bytes],
            checkpoint_bytes,
            data_at,
        })
    }

    /// The smallest volume for slices of `slice_bytes`.
    pub fn size_min_bytes(slice_bytes: u64) -> u64 {
        let slice_record = slice_bytes.next_multiple_of(PAGE_BYTES) + PAGE_BYTES;
        let regions = REGIONS_MIN * (2 * slice_record + REGION_SLACK_BYTES);
        let checkpoints = 2 * (CHECKPOINT_ENTRIES_MIN * CHECKPOINT_ENTRY_BYTES);
        // One part in 128 for checkpoints of a larger volume, and some pages.
        regions + regions / 64 + checkpoints + 2 * PURGE_MIN_BYTES + 16 * PAGE_BYTES
    }

    /// Where region `region` begins.
    pub fn region_at(&self, region: u32) -> u64 {
        self.data_at + u64::from(region) * self.region_bytes
    }

    /// The region that holds `offset`.
    pub fn region_of(&self, offset: u64) -> Option<u32> {
        let region = offset.checked_sub(self.data_at)? / self.region_bytes;
        u32::try_from(region).ok().filter(|region| *region < self.regions)
    }

    /// Where region `region` stands in the table.
    pub fn table_at(&self, region: u32) -> u64 {
        TABLE_AT + u64::from(region) * TABLE_ENTRY_BYTES
    }

    /// Bytes a slice's presence bit stands for.
    pub fn block_bytes(&self) -> u64 {
        self.slice_bytes / u64::from(SLICE_BLOCKS)
    }
}

/// What a volume says of itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Superblock {
    pub layout: Layout,
    pub seed: Seed,
    /// Random, new with each format: what an earlier life left behind does not match.
    pub volume_id: u64,
}

impl Superblock {
    pub fn encode(&self) -> [u8; PAGE_BYTES as usize] {
        let mut to = Writer::default();
        to.raw(MAGIC).u32(VERSION).u32(0);
        to.u64(self.layout.size_bytes).u64(self.layout.slice_bytes);
        to.u64(self.layout.region_bytes).u64(u64::from(self.layout.regions));
        to.u64(self.seed.0[0]).u64(self.seed.0[1]).u64(self.volume_id);
        to.pad(PAGE_BYTES as usize - 4).crc();
        to.0.try_into().unwrap_or([0; PAGE_BYTES as usize])
    }

    /// `None` for anything but a whole superblock of this version and this way of laying out.
    pub fn decode(page: &[u8; PAGE_BYTES as usize]) -> Option<Superblock> {
        let (body, crc) = page.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut from = Reader(body);
        if from.take(8)? != MAGIC || from.u32()? != VERSION {
            return None;
        }
        from.u32()?;
        let layout = Layout::new(from.u64()?, from.u64()?)?;
        if layout.region_bytes != from.u64()? || u64::from(layout.regions) != from.u64()? {
            return None;
        }
        Some(Superblock { layout, seed: Seed([from.u64()?, from.u64()?]), volume_id: from.u64()? })
    }

    /// Whether a page was once a superblock, sound or not.
    pub fn is_ours(page: &[u8; PAGE_BYTES as usize]) -> bool {
        page.starts_with(MAGIC)
    }
}

/// What a region is between two reclaims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    /// Never zero, never given twice.
    pub sequence: u64,
    pub row: Row,
}

/// One region's entry in the table.
pub(super) fn encode_table_entry(life: Life, region: u32, volume_id: u64) -> [u8; 16] {
    let mut to = Writer::default();
    to.u64(life.sequence).u32(table_crc(life, region, volume_id)).u32(life.row as u32);
    to.0.try_into().unwrap_or([0; 16])
}

/// A region's present life; `None` when it has none, or the entry is damaged.
pub(super) fn decode_table_entry(bytes: &[u8], region: u32, volume_id: u64) -> Option<Life> {
    let mut from = Reader(bytes);
    let (sequence, crc, row) = (from.u64()?, from.u32()?, from.u32()?);
    let row = *Row::ALL.get(row as usize)?;
    let life = Life { sequence, row };
    let is_sane = (1..NUMBER_MAX).contains(&sequence);
    (is_sane && crc == table_crc(life, region, volume_id)).then_some(life)
}

fn table_crc(life: Life, region: u32, volume_id: u64) -> u32 {
    let mut of = Writer::default();
    crc32c::crc32c(&of.u64(life.sequence).u32(region).u64(volume_id).u32(life.row as u32).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn nothing_overlaps_and_all_fits() {
        for slice_bytes in [64 << 10, MIB, 16 * MIB] {
            let min = Layout::size_min_bytes(slice_bytes);
            for size_bytes in [min, min + 1, min * 2, 1 << 30, 10 << 30, 1 << 40, 1 << 49] {
                if size_bytes < min {
                    continue;
                }
                let layout = Layout::new(size_bytes, slice_bytes).unwrap();
                assert!(u64::from(layout.regions) >= REGIONS_MIN);
                assert!(layout.table_at(layout.regions) <= layout.purge_at[0]);
                assert_eq!(layout.purge_at[0] + layout.purge_bytes, layout.purge_at[1]);
                assert_eq!(layout.purge_at[1] + layout.purge_bytes, layout.checkpoint_at[0]);
                assert_eq!(
                    layout.checkpoint_at[0] + layout.checkpoint_bytes,
                    layout.checkpoint_at[1]
                );
                assert_eq!(layout.checkpoint_at[1] + layout.checkpoint_bytes, layout.data_at);
                assert!(layout.region_at(layout.regions) <= size_bytes);
                assert!(layout.data_at.is_multiple_of(PAGE_BYTES));
                assert!(layout.region_bytes.is_multiple_of(PAGE_BYTES));
                assert!(layout.region_bytes >= 2 * slice_bytes);
                let last = layout.regions - 1;
                assert_eq!(layout.region_of(layout.region_at(last)), Some(last));
                assert_eq!(layout.region_of(layout.region_at(layout.regions)), None);
                assert_eq!(layout.region_of(layout.data_at - 1), None);
            }
            assert_eq!(Layout::new(min / 2, slice_bytes), None);
        }
        assert_eq!(Layout::new(u64::MAX, MIB), None);
        assert_eq!(Layout::new(1 << 30, u64::MAX - 7), None);
        let usual = Layout::new(10 << 30, MIB).unwrap();
        assert!((REGION_BYTES..REGION_BYTES * 5 / 4).contains(&usual.region_bytes));
        assert!(usual.data_at < usual.size_bytes / 100, "bookkeeping stays below 1 %");
    }

    #[test]
    fn a_superblock_is_read_back_or_refused() {
        let layout = Layout::new(1 << 30, MIB).unwrap();
        let superblock = Superblock { layout, seed: Seed([1, 2]), volume_id: 3 };
        let page = superblock.encode();
        assert!(Superblock::decode(&page) == Some(superblock));
        for at in 0..page.len() {
            let mut bad = page;
            bad[at] ^= 0x10;
            assert!(Superblock::decode(&bad).is_none(), "byte {at}");
        }
        assert!(Superblock::is_ours(&page) && !Superblock::is_ours(&[0; 4096]));
    }

    #[test]
    fn a_table_entry_belongs_to_one_region_of_one_volume() {
        let life = Life { sequence: 9, row: Row::Main };
        let bytes = encode_table_entry(life, 1, 2);
        assert_eq!(decode_table_entry(&bytes, 1, 2), Some(life));
        assert_eq!(decode_table_entry(&bytes, 2, 2), None);
        assert_eq!(decode_table_entry(&bytes, 1, 3), None);
        assert_eq!(decode_table_entry(&[0; 16], 1, 2), None);
    }
}
