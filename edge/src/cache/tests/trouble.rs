//! Volumes that refuse bytes in the middle of things.

use std::sync::atomic::Ordering;

use super::content;
use super::node::{BLOCK, Bell, Node, SLICE};
use crate::cache::layout::Layout;
use crate::cache::{Lead, Read};

const LEN: u64 = 3 * SLICE + 5 * BLOCK + 77;

/// A node whose first volume fails once it has taken `bytes` more, and whose second may.
fn failing(volumes: usize, bytes: i64) -> Node {
    let node = Node::with_volumes(&vec![Layout::size_min_bytes(SLICE); volumes]);
    for volume in node.cache.disk.volumes.configured() {
        volume.faults.0.store(bytes, Ordering::SeqCst);
    }
    node
}

#[test]
fn wherever_a_volume_fails_a_fill_goes_on_and_its_readers_with_it() {
    // By odd steps over all there is to write: table, headers, data, checkpoints of none.
    for bytes in (0..LEN as i64 + 30_000).step_by(7_919) {
        let node = failing(1, bytes);
        let object = node.object("a", 1, Some(LEN));
        let (bell, notify) = Bell::new();
        let mut at = 0;
        while at < LEN {
            let Lead::Writer(mut writer) = node.cache.lead(&object, at).unwrap() else {
                panic!("nobody else fills")
            };
            assert_eq!(writer.offset(), at, "after {bytes}: nothing is lost");
            node.cache.subscribe(&object, at, &notify, crate::mailbox::Token(1));
            while writer.offset() < writer.end() {
                let some = (writer.end() - writer.offset()).min(3_001);
                let put = content(&object, writer.offset(), some);
                assert_eq!(writer.write(&put).unwrap() as u64, some);
                let slice_start = at - at % SLICE;
                let so_far = writer.offset() - slice_start;
                assert_eq!(node.read_checked(&object, slice_start, writer.offset()), so_far);
            }
            at = writer.offset();
            writer.finish().unwrap();
        }
        assert!(bell.rings() > 0);
        assert_eq!(node.read_checked(&object, 0, LEN), LEN, "after {bytes}");
        let usage = node.cache.usage();
        assert_eq!(usage[0].broken, usage.len() > 1, "memory takes over when it must");
        assert_eq!(usage[0].broken, usage[0].write_errors > 0);
    }
}

#[test]
fn one_of_several_volumes_may_die_and_what_others_hold_survives() {
    let mut node = failing(3, i64::MAX);
    let first = node.object("before", 1, Some(LEN));
    node.fill(&first, 0, LEN);
    node.cache.disk.volumes.configured()[1].faults.0.store(10_000, Ordering::SeqCst);
    let names: Vec<String> = (0..20).map(|number| format!("o{number}")).collect();
    for name in &names {
        let object = node.object(name, 1, Some(LEN));
        node.fill(&object, 0, LEN);
        assert_eq!(node.read_checked(&object, 0, LEN), LEN);
    }
    let broken: Vec<bool> = node.cache.usage().iter().map(|usage| usage.broken).collect();
    assert_eq!(broken, [false, true, false], "no memory needed while two are well");
    node.restart();
    let broken = node.cache.usage().iter().filter(|usage| usage.broken).count();
    assert_eq!(broken, 0, "a restart is the operator's word");
    for name in &names {
        if let Some(object) = node.cache.load(node.key(name)) {
            node.verify_and_read(&object, 0, LEN);
        }
    }
}

#[test]
fn a_resumed_slice_moves_with_what_it_had() {
    let node = failing(2, i64::MAX);
    let object = node.object("a", 1, Some(SLICE));
    node.fill(&object, 0, 7 * BLOCK);
    for volume in node.cache.disk.volumes.configured() {
        if volume.usage().used_bytes > 1_000 {
            volume.faults.0.store(2_000, Ordering::SeqCst);
        }
    }
    node.fill(&object, 7 * BLOCK, SLICE);
    assert_eq!(node.read_checked(&object, 0, SLICE), SLICE);
}

#[test]
fn bytes_that_cannot_be_read_are_a_miss_from_then_on() {
    let node = Node::new();
    let object = node.object("a", 1, Some(LEN));
    node.fill(&object, 0, LEN);
    node.cache.distrust(&object, SLICE + 5);
    assert!(matches!(node.cache.read(&object, SLICE + 5, LEN), Read::Absent));
    assert_eq!(node.cache.usage()[0].read_errors, 1);
    node.fill(&object, 0, LEN);
    assert_eq!(node.read_checked(&object, 0, LEN), LEN);
}
