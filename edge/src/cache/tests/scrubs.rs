//! Passes over what is stored, and over volumes that nobody has open.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use super::node::{BLOCK, Node, SLICE};
use crate::cache::record::{Kind, slice_data_at};
use crate::cache::scrub::Scrub;
use crate::cache::verify::verify;
use crate::cache::{Body, Object};

const LEN: u64 = 3 * SLICE + 99;

fn place(node: &Node, object: &Object, index: u32) -> u64 {
    let Body::Slices(slices) = &object.body else { panic!("in slices") };
    node.cache.disk.stored(slices.slice_key(index), Kind::Slice).unwrap().record_at
}

fn flip(node: &Node, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(node.volume_path()).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

fn pass(node: &Node) -> Vec<(u64, &'static str, &'static str)> {
    let mut scrub = Scrub::new(node.cache.clone());
    while scrub.step(10_000) {}
    assert!(scrub.findings().records > 0 && scrub.findings().bytes > 0);
    scrub.findings().bad.iter().map(|bad| (bad.offset, bad.what, bad.why)).collect()
}

#[test]
fn a_pass_finds_each_flipped_byte_drops_it_and_trusts_the_rest() {
    let mut node = Node::new();
    for name in ["a", "b", "c"] {
        node.fill(&node.object(name, 1, Some(LEN)), 0, LEN);
    }
    assert_eq!(pass(&node), []);
    node.restart();
    assert_eq!(pass(&node), [], "all is right");
    let b = node.cache.load(node.key("b")).unwrap();
    assert_eq!(node.read_checked(&b, 0, LEN), LEN, "no look needed at the first use");
    let record_at = place(&node, &b, 1);
    flip(&node, slice_data_at(record_at) + 3 * BLOCK + 5);
    assert_eq!(pass(&node), [(record_at, "slice", "checksum")]);
    assert_eq!(node.read_checked(&b, 0, LEN), LEN - SLICE, "a miss");
    node.fill(&b, 0, LEN);
    assert_eq!(node.read_checked(&b, 0, LEN), LEN);
    assert_eq!(pass(&node), []);
}

#[test]
fn a_damaged_header_takes_along_what_it_hides() {
    let node = Node::new();
    let mut objects = Vec::new();
    while node.cache.disk.volumes.by_id(0).unwrap().used_regions().len() < 3 {
        let object = node.object(&format!("o{}", objects.len()), 1, Some(LEN));
        node.fill(&object, 0, LEN);
        objects.push(object);
    }
    let record_at = place(&node, &objects[0], 1);
    flip(&node, record_at + 30);
    assert_eq!(pass(&node)[0], (record_at, "record", "header"));
    assert!(node.read_checked(&objects[0], 0, LEN) <= LEN - SLICE);
    assert_eq!(pass(&node).len(), 1, "it is still there, and nobody is led to it");
    for object in &objects {
        node.fill(object, 0, LEN);
        assert_eq!(node.read_checked(object, 0, LEN), LEN);
    }
}

#[test]
fn an_unreadable_stretch_is_said_and_dropped() {
    let node = Node::new();
    let object = node.object("a", 1, Some(LEN));
    node.fill(&object, 0, LEN);
    let record_at = place(&node, &object, 2);
    let file = OpenOptions::new().write(true).open(node.volume_path()).unwrap();
    file.set_len(record_at + 5000).unwrap();
    let found = pass(&node);
    assert!(found.contains(&(record_at, "slice", "unreadable")), "{found:?}");
    assert!(node.cache.usage()[0].read_errors > 0);
}

#[test]
fn a_closed_volume_is_looked_through_and_left_as_it_is() {
    let mut node = Node::new();
    let object = node.object("a", 1, Some(LEN));
    node.fill(&object, 0, LEN);
    node.memory_object("small", b"body");
    let (record_at, path) = (place(&node, &object, 1), node.volume_path());
    let layout = node.cache.disk.volumes.by_id(0).unwrap().layout;
    let regions = node.cache.disk.volumes.by_id(0).unwrap().used_regions().len() as u64;
    assert!(verify(&path).is_err(), "a node is running on it");
    node.close();
    let found = verify(&path).unwrap();
    assert_eq!((found.bad_count, found.regions), (0, regions));
    assert!(found.records >= 6);
    for (at, what) in [
        (slice_data_at(record_at) + 7, "slice"),
        (record_at + 10, "record"),
        (layout.table_at(0), "region table"),
        (4096 + 9, "superblock"),
    ] {
        flip(&node, at);
        let before = std::fs::read(&path).unwrap();
        let found = verify(&path).unwrap();
        assert!(found.bad.iter().any(|bad| bad.what == what), "{what}: {found:?}");
        assert!(before == std::fs::read(&path).unwrap(), "nothing was changed");
        flip(&node, at);
    }
}
