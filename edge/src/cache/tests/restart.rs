//! Starting again.

use std::sync::Arc;

use super::node::{BLOCK, Node, SLICE};
use crate::cache::layout::Layout;
use crate::cache::{Body, Cache, Lead, Read};

#[test]
fn everything_is_found_again_by_headers_or_by_checkpoint() {
    for checkpoints in [0, 1, 2, 5] {
        let mut node = Node::new();
        let len = 3 * SLICE + 99;
        node.fill(&node.object("a", 1, Some(len)), 0, len);
        for _ in 0..checkpoints {
            node.cache.checkpoint().unwrap();
        }
        node.fill(&node.object("b", 1, Some(len)), SLICE + BLOCK, 2 * SLICE);
        node.memory_object("small", b"gone");
        let entries = node.cache.entries();
        node.restart();
        assert_eq!(node.cache.entries(), entries);
        let a = node.cache.load(node.key("a")).unwrap();
        assert!(matches!(node.cache.read(&a, 0, len), Read::Absent), "not before it is verified");
        assert_eq!(node.verify_and_read(&a, 0, len), len);
        let b = node.cache.load(node.key("b")).unwrap();
        assert_eq!(node.verify_and_read(&b, 0, len), SLICE - BLOCK);
        let small = node.cache.load(node.key("small")).unwrap();
        assert!(matches!(node.cache.read(&small, 0, 9), Read::Bytes(bytes) if bytes == "gone"));
        assert_eq!(small.meta.key_text.as_ref(), "site /small");
        assert_eq!(node.cache.metrics().corrupt.value(), 0);
        assert_eq!(node.cache.metrics().verified.value(), 3 + 4 + 1);
        // A resume after the start goes on in the same record.
        node.fill(&b, 0, len);
        assert_eq!(node.read_checked(&b, 0, len), len);
    }
}

#[test]
fn a_fill_that_was_cut_off_leaves_its_neighbours() {
    let mut node = Node::new();
    let object = node.object("a", 1, Some(2 * SLICE));
    let Lead::Writer(mut cut) = node.cache.lead(&object, 0).unwrap() else { panic!() };
    cut.write(&super::content(&object, 0, 9 * BLOCK)).unwrap();
    node.fill(&object, SLICE, 2 * SLICE);
    // As kill -9 would: neither header nor entry is written any more.
    std::mem::forget(cut);
    let path = node.volume_path();
    let copy = std::fs::read(&path).unwrap();
    node = Node::new();
    node.close();
    std::fs::write(node.volume_path(), copy).unwrap();
    node.restart();
    let object = node.cache.load(node.key("a")).unwrap();
    assert_eq!(node.verify_and_read(&object, 0, 2 * SLICE), SLICE);
    node.fill(&object, 0, 2 * SLICE);
    assert_eq!(node.read_checked(&object, 0, 2 * SLICE), 2 * SLICE);
}

#[test]
fn the_newest_head_wins_and_a_forgotten_one_stays_forgotten() {
    for with_checkpoint in [false, true] {
        let mut node = Node::new();
        for generation in 1..=3 {
            node.object("a", generation, Some(SLICE));
            node.object("b", generation, Some(SLICE));
        }
        if with_checkpoint {
            node.cache.checkpoint().unwrap();
        }
        node.cache.forget(node.key("b"));
        assert!(node.cache.load(node.key("b")).is_none());
        node.restart();
        assert!(node.cache.load(node.key("b")).is_none());
        let a = node.cache.load(node.key("a")).unwrap();
        assert!(matches!(&a.body, Body::Slices(slices) if slices.generation() == 3));
        assert_eq!(node.cache.metrics().corrupt.value(), 0);
    }
}

#[test]
fn a_body_of_unknown_length_comes_back_once_it_has_ended() {
    let mut node = Node::new();
    let open = node.object("open", 1, None);
    node.fill(&open, 0, SLICE);
    let ended = node.object("ended", 1, None);
    let Body::Slices(slices) = &ended.body else { unreachable!() };
    let Lead::Writer(mut writer) = node.cache.lead(&ended, 0).unwrap() else { panic!() };
    writer.write(&super::content(&ended, 0, BLOCK + 3)).unwrap();
    slices.set_len(BLOCK + 3);
    writer.finish().unwrap();
    node.cache.insert(ended.clone(), crate::clock::Now::read());
    drop(open);
    drop(ended);
    node.restart();
    assert!(node.cache.load(node.key("open")).is_none(), "nobody can say where it ends");
    let ended = node.cache.load(node.key("ended")).unwrap();
    assert_eq!(node.verify_and_read(&ended, 0, SLICE), BLOCK + 3);
}

#[test]
fn reused_regions_outdate_a_checkpoint() {
    let mut node = Node::new();
    let fill = |node: &Node, names: std::ops::Range<u64>| {
        for number in names {
            node.fill(&node.object(&format!("o{number}"), 1, Some(SLICE)), 0, SLICE);
        }
    };
    fill(&node, 0..12);
    node.cache.checkpoint().unwrap();
    fill(&node, 12..60);
    let entries = node.cache.entries();
    node.restart();
    assert!(node.cache.entries() >= entries, "and perhaps what was about to go");
    let mut found = 0;
    for number in 0..60 {
        if let Some(object) = node.cache.load(node.key(&format!("o{number}"))) {
            found += node.verify_and_read(&object, 0, SLICE) / SLICE;
        }
    }
    assert!(found >= 10, "{found}");
    assert_eq!(node.cache.metrics().corrupt.value(), 0);
    fill(&node, 60..120);
}

#[test]
fn several_volumes_share_the_load_and_may_vanish() {
    let size = Layout::size_min_bytes(SLICE);
    let mut node = Node::with_volumes(&[size, 2 * size, size]);
    for number in 0..20 {
        node.fill(&node.object(&format!("o{number}"), 1, Some(SLICE)), 0, SLICE);
    }
    assert!(node.cache.usage().iter().all(|usage| usage.used_bytes > 0 && !usage.broken));
    node.cache.checkpoint().unwrap();
    let found = |node: &Node| {
        let names = (0..20).map(|number| node.key(&format!("o{number}")));
        names
            .filter_map(|key| node.cache.load(key))
            .map(|object| node.verify_and_read(&object, 0, SLICE) / SLICE)
            .sum::<u64>()
    };
    node.restart();
    assert_eq!(found(&node), 20);
    let seed = node.cache.seed();
    node.config.volumes.remove(0);
    node.restart();
    assert!(node.cache.seed() == seed, "every volume has the seed");
    let some = found(&node);
    assert!((1..20).contains(&some), "{some}");
}

#[test]
fn a_volume_in_use_or_foreign_or_small_is_left_out() {
    let mut node = Node::new();
    let second = Cache::open(&node.config).unwrap();
    assert_eq!(second.usage()[0].path.to_str(), Some("(memory)"));
    node.close();
    let foreign = vec![b'x'; 10_000];
    std::fs::write(node.volume_path(), &foreign).unwrap();
    node.restart();
    assert_eq!(node.cache.usage()[0].path.to_str(), Some("(memory)"));
    assert_eq!(std::fs::read(node.volume_path()).unwrap(), foreign, "not ours to touch");
    node.config.volumes[0].path = node.dir.path().join("new/deep/volume");
    node.config.volumes[0].size_bytes = 1000;
    node.restart();
    assert_eq!(node.cache.usage()[0].path.to_str(), Some("(memory)"));
    node.config.volumes[0].size_bytes = Layout::size_min_bytes(SLICE);
    node.restart();
    assert_eq!(node.cache.usage()[0].path, node.config.volumes[0].path);
}

#[test]
fn another_size_begins_anew_within_the_new_size() {
    let mut node = Node::with_volumes(&[2 * Layout::size_min_bytes(SLICE)]);
    node.fill(&node.object("a", 1, Some(SLICE)), 0, SLICE);
    node.config.volumes[0].size_bytes = Layout::size_min_bytes(SLICE);
    node.restart();
    assert_eq!(node.cache.entries(), 0);
    let size = std::fs::metadata(node.volume_path()).unwrap().len();
    assert_eq!(size, node.config.volumes[0].size_bytes);
    node.fill(&node.object("a", 1, Some(SLICE)), 0, SLICE);
    node.restart();
    assert_eq!(node.cache.entries(), 2);
}

#[test]
fn a_volume_that_refuses_writes_is_left_and_memory_takes_over() {
    let mut node = Node::new();
    let kept = node.object("kept", 1, Some(SLICE));
    node.fill(&kept, 0, SLICE);
    let cut = node.object("cut", 1, Some(SLICE));
    let cache = Arc::get_mut(&mut node.cache).unwrap();
    let disk = Arc::get_mut(&mut cache.disk).unwrap();
    disk.volumes.refuse_writes(&node.config.volumes[0].path, &disk.metrics);
    node.fill(&cut, 0, SLICE);
    assert_eq!(node.read_checked(&cut, 0, SLICE), SLICE, "kept in memory");
    assert!(node.cache.metrics().write_errors.value() > 0);
    let usage = node.cache.usage();
    assert!(usage[0].broken && !usage[1].broken);
    node.cache.checkpoint().unwrap();
    node.restart();
    let kept = node.cache.load(node.key("kept")).unwrap();
    assert_eq!(node.verify_and_read(&kept, 0, SLICE), SLICE);
}

#[test]
fn what_ends_after_a_checkpoint_in_a_full_region_is_found() {
    let mut node = Node::new();
    let slow = node.object("slow", 1, Some(SLICE));
    let Lead::Writer(mut writer) = node.cache.lead(&slow, 0).unwrap() else { panic!() };
    writer.write(&super::content(&slow, 0, 1)).unwrap();
    for number in 0..4 {
        node.fill(&node.object(&format!("o{number}"), 1, Some(SLICE)), 0, SLICE);
    }
    node.cache.checkpoint().unwrap();
    writer.write(&super::content(&slow, 1, SLICE - 1)).unwrap();
    writer.finish().unwrap();
    drop(slow);
    node.restart();
    let slow = node.cache.load(node.key("slow")).unwrap();
    assert_eq!(node.verify_and_read(&slow, 0, SLICE), SLICE);
}

#[test]
fn more_entries_than_a_checkpoint_has_room_for_are_found_by_headers() {
    let mut node = Node::new();
    for number in 0..1500 {
        node.memory_object(&format!("o{number}"), b"small");
    }
    node.cache.checkpoint().unwrap();
    assert_eq!(node.cache.entries(), 1500);
    node.restart();
    assert_eq!(node.cache.entries(), 1500);
    for number in 0..1500 {
        assert!(node.cache.load(node.key(&format!("o{number}"))).is_some(), "{number}");
    }
}
