//! Bookkeeping that somebody made: garbage anywhere, with checksums that are right. A start takes it or
//! leaves it, never falls over it, and whatever is read afterwards is the byte that was written.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::node::{Node, SLICE};
use crate::cache::eviction::Row;
use crate::cache::layout::{CHECKPOINT_ENTRY_BYTES, CHECKPOINT_REGION_BYTES, Layout, Life};
use crate::cache::layout::{TABLE_ENTRY_BYTES, encode_table_entry};
use crate::cache::record::PAGE_BYTES;

const LEN: u64 = 2 * SLICE + 77;
const NAMES: [&str; 3] = ["a", "b", "c"];

struct Scene {
    node: Node,
    layout: Layout,
    volume_id: u64,
    bytes: Vec<u8>,
}

impl Scene {
    fn new() -> Scene {
        let mut node = Node::new();
        for name in NAMES {
            node.fill(&node.object(name, 1, Some(LEN)), 0, LEN);
        }
        node.memory_object("small", b"body");
        node.cache.purge(
            vec![
                crate::cache::purge::Pattern::new(
                    crate::cache::purge::Kind::Url,
                    "site",
                    "/nothing",
                )
                .unwrap(),
            ],
            true,
        );
        node.cache.checkpoint().unwrap();
        node.cache.checkpoint().unwrap();
        let volume = node.cache.disk.volumes.by_id(0).unwrap().clone();
        let (layout, volume_id) = (volume.layout, volume.volume_id);
        drop(volume);
        node.close();
        let bytes = std::fs::read(node.volume_path()).unwrap();
        Scene { node, layout, volume_id, bytes }
    }

    /// Starts on `bytes`, reads all there is, goes on working, and reads it again.
    fn check(&mut self, bytes: &[u8]) {
        let file = OpenOptions::new().write(true).open(self.node.volume_path()).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        drop(file);
        self.node.restart();
        let node = &self.node;
        for name in NAMES.into_iter().chain(["new"]) {
            drop(node.cache.load(node.key(name)));
            let object = node.object(name, 1, Some(LEN));
            node.verify_and_read(&object, 0, LEN);
            node.fill(&object, 0, LEN);
            assert_eq!(node.read_checked(&object, 0, LEN), LEN);
        }
        drop(node.cache.load(node.key("small")));
        node.cache.purge(vec![crate::cache::purge::Pattern::all()], false);
        node.cache.checkpoint().unwrap();
        let mut pass = crate::cache::scrub::Scrub::new(node.cache.clone());
        while pass.step(1 << 20) {}
        self.node.close();
    }

    /// Makes the checksums of superblocks, region table, purges and checkpoints right.
    fn restamp(&self, bytes: &mut [u8]) {
        for page in [0, PAGE_BYTES as usize] {
            stamp(bytes, page..page + PAGE_BYTES as usize - 4);
        }
        for region in 0..self.layout.regions {
            let at = self.layout.table_at(region) as usize;
            let sequence = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
            if sequence != 0 {
                let row = Row::ALL[usize::from(bytes[at + 12]) % 2];
                let entry = encode_table_entry(Life { sequence, row }, region, self.volume_id);
                bytes[at..at + TABLE_ENTRY_BYTES as usize].copy_from_slice(&entry);
            }
        }
        for at in self.layout.purge_at {
            stamp(bytes, at as usize..at as usize + 32);
        }
        for at in self.layout.checkpoint_at {
            let at = at as usize;
            let entries = u64::from_le_bytes(bytes[at + 40..at + 48].try_into().unwrap());
            let body = u64::from(self.layout.regions) * CHECKPOINT_REGION_BYTES
                + (entries % 1000) * CHECKPOINT_ENTRY_BYTES;
            let from = at + PAGE_BYTES as usize;
            let crc = crc32c::crc32c(&bytes[from..from + body as usize]);
            bytes[at + 48..at + 52].copy_from_slice(&crc.to_le_bytes());
            stamp(bytes, at..at + 52);
        }
    }
}

/// Writes the checksum of a range behind it.
fn stamp(bytes: &mut [u8], range: std::ops::Range<usize>) {
    let crc = crc32c::crc32c(&bytes[range.clone()]);
    bytes[range.end..range.end + 4].copy_from_slice(&crc.to_le_bytes());
}

/// What is written where: a place by its area and a share of it, and eight bytes.
fn edit() -> impl Strategy<Value = (usize, u16, u64)> {
    let value =
        prop_oneof![any::<u64>(), Just(u64::MAX), Just(0), (0u32..64).prop_map(|bit| 1 << bit),];
    (0usize..9, any::<u16>(), value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn nobody_can_write_a_volume_that_fells_a_node_or_lies(
        edits in prop::collection::vec(edit(), 1..12),
        restamps: bool,
    ) {
        let mut scene = Scene::new();
        let mut bytes = scene.bytes.clone();
        let layout = scene.layout;
        // Where something stands: superblocks, table, purges, heads and bodies of checkpoints, records.
        let areas = [
            (0, 80),
            (PAGE_BYTES, 80),
            (layout.table_at(0), u64::from(layout.regions) * TABLE_ENTRY_BYTES),
            (layout.purge_at[0], 200),
            (layout.purge_at[1] + PAGE_BYTES, 100),
            (layout.checkpoint_at[0], 56),
            (layout.checkpoint_at[1], 56),
            (layout.checkpoint_at[0] + PAGE_BYTES, 1024),
            (layout.data_at, layout.region_bytes / 2),
        ];
        for (area, share, value) in edits {
            let (start, len) = areas[area];
            let at = (start + u64::from(share) * (len - 8) / u64::from(u16::MAX)) as usize;
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        if restamps {
            scene.restamp(&mut bytes);
        }
        scene.check(&bytes);
    }
}
