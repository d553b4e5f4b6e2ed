//! What is read stays, what is not goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::node::{Node, SLICE};
use crate::cache::layout::Layout;
use crate::cache::record::Kind;
use crate::cache::{Body, Object, Read, Reading};

fn flood(node: &Node, names: std::ops::Range<u64>) {
    for number in names {
        node.fill(&node.object(&format!("flood{number}"), 1, Some(SLICE)), 0, SLICE);
    }
}

/// Larger than the smallest, so that probation is a part of it.
fn large_node() -> Node {
    Node::with_volumes(&[3 * Layout::size_min_bytes(SLICE)])
}

#[test]
fn what_is_read_outlives_a_flood_whole_and_over_restarts() {
    let mut node = large_node();
    const LEN: u64 = SLICE + 777;
    let hot: Vec<Arc<Object>> = (0..6)
        .map(|n| {
            let object = node.object(&format!("hot{n}"), 1, Some(LEN));
            node.fill(&object, 0, LEN);
            // No region is hot as a whole: then a part of it would have to go.
            flood(&node, 2000 + n..2001 + n);
            object
        })
        .collect();
    for round in 0..20 {
        for object in &hot {
            node.cache.lookup(object.key).expect("in memory");
            assert_eq!(node.read_checked(object, 0, u64::MAX), LEN, "round {round}");
        }
        flood(&node, round * 8..round * 8 + 8);
    }
    let metrics = node.cache.metrics();
    assert!(metrics.kept_entries.value() > 8 && metrics.kept_bytes.value() > 4 * SLICE);
    assert_eq!(metrics.corrupt.value(), 0);
    for is_walked in [false, true] {
        if !is_walked {
            node.cache.checkpoint().unwrap();
        }
        node.restart();
        for n in 0..6 {
            let object = node.cache.load(node.key(&format!("hot{n}"))).expect("its head was kept");
            assert_eq!(node.verify_and_read(&object, 0, LEN), LEN);
        }
        flood(&node, 1000..1002);
    }
}

#[test]
fn nothing_that_was_asked_for_once_goes_on() {
    let node = large_node();
    flood(&node, 0..300);
    let metrics = node.cache.metrics();
    assert_eq!((metrics.kept_entries.value(), metrics.kept_bytes.value()), (0, 0));
    assert!(metrics.evicted_entries.value() > 300);
}

#[test]
fn what_left_and_comes_back_is_not_on_probation() {
    let node = large_node();
    let row = |name: &str| {
        let stored = node.cache.disk.stored(node.key(name), Kind::Head)?;
        let region = stored.pin.volume().region_of(stored.record_at);
        let lists = stored.pin.volume().lists();
        let is_in =
            |row: usize| lists.open[row] == Some(region) || lists.sealed[row].contains(&region);
        (0..2).find(|row| is_in(*row))
    };
    node.fill(&node.object("back", 1, Some(SLICE)), 0, SLICE);
    assert_eq!(row("back"), Some(0));
    let gone = (0..200).find(|&number| {
        flood(&node, number..number + 1);
        row("back").is_none()
    });
    assert!(gone.is_some());
    node.fill(&node.object("back", 1, Some(SLICE)), 0, SLICE);
    assert_eq!(row("back"), Some(1));
}

#[test]
fn a_damaged_block_is_not_carried_on() {
    use std::os::unix::fs::FileExt;
    let node = large_node();
    let hot = node.object("hot", 1, Some(SLICE));
    node.fill(&hot, 0, SLICE);
    assert_eq!(node.read_checked(&hot, 0, SLICE), SLICE);
    let Read::Span(span) = node.cache.read(&hot, 0, SLICE) else { panic!() };
    span.file.write_all_at(&[0xee; 100], span.offset + 5000).unwrap();
    drop(span);
    flood(&node, 0..100);
    assert_eq!(node.cache.metrics().corrupt.value(), 1);
    assert_eq!(node.read_checked(&hot, 0, SLICE), SLICE - SLICE / 64, "all but that block");
    node.fill(&hot, 0, SLICE);
    assert_eq!(node.read_checked(&hot, 0, SLICE), SLICE);
}

#[test]
fn a_head_that_moved_is_forgotten_for_good() {
    let mut node = large_node();
    let hot = node.object("hot", 1, Some(SLICE));
    let place =
        |node: &Node| node.cache.disk.stored(hot.key, Kind::Head).map(|stored| stored.place());
    let before = place(&node);
    // Reads of an object in memory count for its head.
    for number in 0..100 {
        assert!(node.cache.lookup(hot.key).is_some());
        flood(&node, number..number + 1);
    }
    assert!(place(&node).is_some() && place(&node) != before, "it moved");
    node.cache.checkpoint().unwrap();
    node.cache.forget(hot.key);
    node.restart();
    assert!(node.cache.load(hot.key).is_none());
}

#[test]
fn an_answer_hits_a_slice_once_and_not_what_was_brought_in_for_it() {
    let node = Node::new();
    let object = node.object("a", 1, Some(2 * SLICE));
    let frequency = || {
        let Body::Slices(slices) = &object.body else { unreachable!() };
        [0, 1].map(|slice| {
            node.cache.disk.index.find(slices.slice_key(slice), |entry| entry.frequency())
        })
    };
    let first = Reading::new(object.clone());
    assert!(matches!(node.cache.read_for(&first, 0, SLICE), Read::Absent));
    node.fill(&object, 0, 2 * SLICE);
    for offset in [0, 5000, SLICE] {
        assert!(matches!(node.cache.read_for(&first, offset, 2 * SLICE), Read::Span(_)));
    }
    assert_eq!(frequency(), [Some(0), Some(0)]);
    let second = Reading::new(object.clone());
    for offset in [0, 5000, 9000, SLICE, SLICE + 1] {
        assert!(matches!(node.cache.read_for(&second, offset, 2 * SLICE), Read::Span(_)));
    }
    assert_eq!(frequency(), [Some(1), Some(1)]);
}

#[test]
fn a_small_object_is_one_record() {
    let mut node = Node::new();
    static BODY: [u8; 3000] = [7; 3000];
    let used = |node: &Node| node.cache.usage()[0].used_bytes;
    let before = used(&node);
    let object = node.memory_object("small", &BODY);
    assert_eq!(node.cache.entries(), 1, "head and body are one");
    // Header, meta and body, to the next 512.
    assert!((3072..=3584).contains(&(used(&node) - before)), "{}", used(&node) - before);
    node.restart();
    let back = node.cache.load(object.key).expect("one read brings all of it");
    assert!(matches!(&back.body, Body::Memory(bytes) if bytes[..] == BODY));
}

#[test]
fn reclaiming_ahead_keeps_writers_from_it() {
    let node = large_node();
    let is_called = Arc::new(AtomicBool::new(false));
    let call = is_called.clone();
    node.cache.on_shortage(move || call.store(true, Ordering::SeqCst));
    for number in 0..200 {
        flood(&node, number..number + 1);
        if is_called.swap(false, Ordering::SeqCst) {
            node.cache.reclaim_ahead();
            assert!(node.cache.usage()[0].free_regions >= 2);
        }
        assert!(node.cache.usage()[0].free_regions >= 1, "the writers found one free");
    }
    assert!(node.cache.metrics().reclaimed_regions.value() > 10);
    let disk = &node.cache.disk;
    assert_eq!(disk.volumes.by_id(0).unwrap().short_of_regions(), 0);
}
