//! Damage: at every byte of bookkeeping and headers of the last region, at samples of the data. What
//! is read afterwards is right or absent.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use super::node::{BLOCK, Node, SLICE};
use crate::cache::record::{HEADER_BYTES, Kind, SLICE_HEADER_BYTES};

const LEN: u64 = SLICE + 5 * BLOCK + 77;
const NAMES: [&str; 3] = ["a", "b", "c"];

/// A closed node whose last region holds three objects, one of them in part; and a copy of it.
struct Scene {
    node: Node,
    bytes: Vec<u8>,
    data_at: usize,
    /// Where the last region's records are.
    region: std::ops::Range<usize>,
    /// Where there is more than data: the headers of records.
    headers: Vec<std::ops::Range<usize>>,
    /// Where the bytes of the first object's first slice are.
    slice_at: usize,
}

impl Scene {
    fn new(with_checkpoint: bool) -> Scene {
        let mut node = Node::with_volumes(&[8 << 20]);
        // A region before, so that there is a whole one for the checkpoint, and all in one after.
        for number in 0.. {
            node.fill(&node.object(&format!("o{number}"), 1, Some(SLICE)), 0, SLICE);
            if node.cache.disk.volumes.by_id(0).unwrap().lists().open[0] == Some(1) {
                break;
            }
        }
        if with_checkpoint {
            node.cache.checkpoint().unwrap();
        }
        for name in NAMES {
            let object = node.object(name, 1, Some(LEN));
            let end = if name == "b" { 7 * BLOCK } else { LEN };
            node.fill(&object, 0, end);
        }
        let volume = node.cache.disk.volumes.by_id(0).unwrap().clone();
        let open = volume.lists().open[0].unwrap();
        let region_at = volume.layout.region_at(open);
        let used = u64::from(volume.lists().used_bytes[open as usize]);
        let (mut headers, mut slice_at) = (Vec::new(), 0);
        let key = node.key(NAMES[0]);
        let sequence = volume.sequence_at(region_at);
        let end = region_at + volume.layout.region_bytes;
        let file = volume.file.clone();
        crate::cache::walk::walk(&file, region_at, end, sequence, |at, header| {
            let len = match header.kind {
                Kind::Head => HEADER_BYTES + header.meta_len as usize,
                Kind::Slice => SLICE_HEADER_BYTES,
            };
            headers.push(at as usize..at as usize + len);
            if header.key == key && header.kind == Kind::Slice && header.index == 0 {
                slice_at = (at + u64::from(header.data_offset)) as usize;
            }
        })
        .unwrap();
        let data_at = volume.layout.data_at as usize;
        drop((file, volume));
        node.close();
        let bytes = std::fs::read(node.volume_path()).unwrap();
        let region = region_at as usize..(region_at + used) as usize;
        Scene { node, bytes, data_at, region, headers, slice_at }
    }

    /// Every byte of headers, sparse ones of the rest.
    fn places(&self) -> Vec<usize> {
        let in_header = |at: &usize| self.headers.iter().any(|header| header.contains(at));
        self.region.clone().filter(|at| in_header(at) || at % 4099 == 0).collect()
    }

    /// Starts on the damaged volume, checks all there is, and puts the damage right. Returns how many
    /// bytes were found.
    fn check(&mut self) -> u64 {
        self.node.restart();
        let node = &self.node;
        let mut found = 0;
        for name in NAMES {
            if let Some(object) = node.cache.load(node.key(name)) {
                assert_eq!(object.len(), Some(LEN));
                assert_eq!(object.meta.key_text.as_ref(), format!("site /{name}"));
                found += node.verify_and_read(&object, 0, LEN);
            }
            // Also without its head: what a new fill of the same generation would find.
            let object = node.object(name, 1, Some(LEN));
            node.verify_and_read(&object, 0, LEN);
        }
        self.node.close();
        found
    }

    fn restore(&self) {
        let file = OpenOptions::new().write(true).open(self.node.volume_path()).unwrap();
        file.set_len(self.bytes.len() as u64).unwrap();
        for part in [0..self.data_at, self.region.clone()] {
            file.write_all_at(&self.bytes[part.clone()], part.start as u64).unwrap();
        }
    }

    fn damage(&self, at: usize, bytes: &[u8]) {
        let file = OpenOptions::new().write(true).open(self.node.volume_path()).unwrap();
        file.write_all_at(bytes, at as u64).unwrap();
    }
}

const WHOLE: u64 = 2 * LEN + 7 * BLOCK;

#[test]
fn truncated_anywhere_in_the_last_region() {
    for with_checkpoint in [false, true] {
        let mut scene = Scene::new(with_checkpoint);
        assert_eq!(scene.check(), WHOLE);
        let mut before = u64::MAX;
        // From the end to the start; less and less is there.
        for at in scene.places().into_iter().rev().step_by(3) {
            scene.restore();
            let file = OpenOptions::new().write(true).open(scene.node.volume_path()).unwrap();
            file.set_len(at as u64).unwrap();
            drop(file);
            let found = scene.check();
            assert!(
                found <= before,
                "{found} bytes after a cut at {at}, {before} after a later one"
            );
            before = found;
        }
        assert_eq!(before, 0);
    }
}

#[test]
fn garbled_anywhere_in_the_last_region() {
    let mut scene = Scene::new(true);
    scene.restore();
    let mut worse = 0;
    for at in scene.places() {
        let flip = [scene.bytes[at] ^ (1 << (at % 8))];
        scene.restore();
        scene.damage(at, &flip);
        worse += u64::from(scene.check() < WHOLE);
    }
    assert!(worse > 100, "damage was looked for in the wrong places");
}

#[test]
fn zeroed_in_stretches() {
    let mut scene = Scene::new(false);
    for (start, len) in [(-4096, 4096), (100, 5000), (-100, 70_000), (0, 100_000)] {
        let from = scene.slice_at.saturating_add_signed(start);
        let to = (from + len).min(scene.region.end);
        scene.restore();
        scene.damage(from, &vec![0; to - from]);
        assert!(scene.check() < WHOLE);
    }
}

#[test]
fn bookkeeping_garbled() {
    let mut scene = Scene::new(true);
    let written = (0..scene.data_at).filter(|at| scene.bytes[*at] != 0).step_by(13);
    for at in written.collect::<Vec<_>>() {
        scene.restore();
        scene.damage(at, &[!scene.bytes[at]]);
        scene.check();
    }
    // Both superblocks: known as ours by the magic, begun anew.
    scene.restore();
    scene.damage(100, &[1]);
    scene.damage(4096 + 100, &[1]);
    assert_eq!(scene.check(), 0);
}

#[test]
fn a_flipped_bit_of_data_is_a_miss_and_is_counted() {
    let mut scene = Scene::new(false);
    let in_data = scene.slice_at + 3 * BLOCK as usize + 5;
    scene.restore();
    scene.damage(in_data, &[!scene.bytes[in_data]]);
    scene.node.restart();
    let node = &scene.node;
    let object = node.cache.load(node.key(NAMES[0])).unwrap();
    let found = node.verify_and_read(&object, 0, LEN);
    assert!(found < LEN);
    assert_eq!(node.cache.metrics().corrupt.value(), 1);
    node.fill(&object, 0, LEN);
    assert_eq!(node.read_checked(&object, 0, LEN), LEN);
}
