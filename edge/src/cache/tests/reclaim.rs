//! Making room.

use std::os::unix::fs::FileExt;

use super::node::{BLOCK, Node, SLICE, content};
use crate::cache::{Lead, Read, StoreError};

fn volume_slices(node: &Node) -> u64 {
    let usage = &node.cache.usage()[0];
    usage.size_bytes / SLICE
}

#[test]
fn the_oldest_make_room_and_the_size_stays() {
    let node = Node::new();
    let rounds = volume_slices(&node) * 3;
    let size = std::fs::metadata(node.volume_path()).unwrap().len();
    for number in 0..rounds {
        let object = node.object(&format!("o{number}"), 1, Some(SLICE));
        node.fill(&object, 0, SLICE);
        assert_eq!(node.read_checked(&object, 0, SLICE), SLICE);
    }
    assert_eq!(std::fs::metadata(node.volume_path()).unwrap().len(), size);
    let metrics = node.cache.metrics();
    assert!(metrics.reclaimed_regions.value() > 8);
    assert!(
        node.cache.entries() as u64 <= 2 * volume_slices(&node),
        "no entry outlives its region"
    );
    let (mut stored, mut newest_absent) = (0, 0);
    for number in 0..rounds {
        let object = node.cache.load(node.key(&format!("o{number}")));
        match object.map_or(0, |object| node.read_checked(&object, 0, SLICE)) {
            0 => newest_absent = number,
            _ => stored += 1,
        }
    }
    assert!(stored > volume_slices(&node) / 3, "{stored} stored");
    assert!(newest_absent + stored < rounds, "the oldest went first");
}

#[test]
fn a_pinned_region_is_left_alone() {
    let node = Node::new();
    let kept = node.object("kept", 1, Some(SLICE));
    node.fill(&kept, 0, SLICE);
    let Read::Span(span) = node.cache.read(&kept, 0, SLICE) else { panic!() };
    for number in 0..volume_slices(&node) * 3 {
        let object = node.object(&format!("o{number}"), 1, Some(SLICE));
        node.fill(&object, 0, SLICE);
    }
    let mut bytes = vec![0; span.len as usize];
    span.file.read_exact_at(&mut bytes, span.offset).unwrap();
    assert!(bytes == content(&kept, 0, SLICE));
    drop(span);
    for number in 0..volume_slices(&node) * 2 {
        let object = node.object(&format!("p{number}"), 1, Some(SLICE));
        node.fill(&object, 0, SLICE);
    }
    assert!(matches!(node.cache.read(&kept, 0, SLICE), Read::Absent), "then it goes like others");
}

#[test]
fn when_all_is_held_there_is_no_room_and_it_passes() {
    let node = Node::new();
    let mut spans = Vec::new();
    let full = (0..volume_slices(&node) * 2).find_map(|number| {
        let object = node.object(&format!("o{number}"), 1, Some(SLICE));
        let Lead::Writer(mut writer) = node.cache.lead(&object, 0).unwrap() else { panic!() };
        if let Err(error) = writer.write(&content(&object, 0, SLICE)) {
            return Some((object, error));
        }
        writer.finish().unwrap();
        let Read::Span(span) = node.cache.read(&object, 0, SLICE) else { panic!() };
        spans.push((object, span));
        None
    });
    let (refused, error) = full.expect("a full volume");
    assert!(matches!(error, StoreError::NoRoom), "{error}");
    assert!(!node.cache.usage()[0].broken);
    for (object, span) in &spans {
        let mut bytes = vec![0; span.len as usize];
        span.file.read_exact_at(&mut bytes, span.offset).unwrap();
        assert!(bytes == content(object, 0, SLICE), "held bytes stay");
    }
    spans.clear();
    node.fill(&refused, 0, SLICE);
    assert_eq!(node.read_checked(&refused, 0, SLICE), SLICE);
}

#[test]
fn a_writer_whose_region_is_emptied_meanwhile_leaves_no_entry_behind() {
    let node = Node::new();
    let object = node.object("a", 1, Some(SLICE));
    node.fill(&object, 0, BLOCK);
    let Lead::Writer(mut writer) = node.cache.lead(&object, BLOCK).unwrap() else { panic!() };
    writer.write(&content(&object, BLOCK, BLOCK)).unwrap();
    // Hold every other region, too, so that the writer's, the oldest, is emptied.
    let mut spans = Vec::new();
    for number in 0..volume_slices(&node) * 2 {
        let other = node.object(&format!("o{number}"), 1, Some(SLICE));
        let Lead::Writer(mut writer) = node.cache.lead(&other, 0).unwrap() else { panic!() };
        if writer.write(&content(&other, 0, SLICE)).is_err() {
            break;
        }
        if let Read::Span(span) = node.cache.read(&other, 0, SLICE) {
            spans.push(span);
        }
    }
    assert!(node.cache.metrics().no_room.value() > 0);
    assert_eq!(node.read_checked(&object, BLOCK, 2 * BLOCK), BLOCK, "still followed");
    writer.finish().unwrap();
    assert!(matches!(node.cache.read(&object, 0, SLICE), Read::Absent));
    spans.clear();
    for number in 0..volume_slices(&node) * 2 {
        let other = node.object(&format!("p{number}"), 1, Some(SLICE));
        node.fill(&other, 0, SLICE);
        assert_eq!(node.read_checked(&object, 0, SLICE), 0);
    }
}

#[test]
fn a_damaged_region_is_emptied_whole() {
    let node = Node::new();
    let first = node.object("first", 1, Some(SLICE));
    for number in 0..2 {
        node.fill(&node.object(&format!("f{number}"), 1, Some(SLICE)), 0, SLICE);
    }
    // The head of "first" is the first record: nothing behind it can be walked to.
    let stored = node.cache.disk.stored(first.key, crate::cache::record::Kind::Head).unwrap();
    stored.pin.volume().file.write_all_at(&[0xee; 64], stored.record_at).unwrap();
    drop(stored);
    for number in 0..volume_slices(&node) * 2 {
        let other = node.object(&format!("o{number}"), 1, Some(SLICE));
        node.fill(&other, 0, SLICE);
    }
    for name in ["first", "f0", "f1"] {
        let key = node.key(name);
        assert!(node.cache.disk.index.find(key, |_| ()).is_none(), "{name}");
        let object = node.object(name, 1, Some(SLICE));
        assert_eq!(node.read_checked(&object, 0, SLICE), 0);
    }
}

#[test]
fn objects_in_memory_are_bounded_in_bytes_and_those_in_use_stay() {
    let node = Node::new();
    static BODY: [u8; 16 * 1024] = [7; 16 * 1024];
    let held = node.memory_object("held", &BODY);
    for number in 0..200 {
        node.memory_object(&format!("o{number}"), &BODY);
    }
    assert!(node.cache.objects_in_memory() <= (1 << 20) / BODY.len());
    assert!(node.cache.metrics().evicted_objects.value() > 100);
    assert!(node.cache.lookup(held.key).is_some());
    let back = node.cache.load(node.key("o199")).expect("its head is on the volume");
    assert!(
        matches!(node.cache.read(&back, 5, 10), Read::Bytes(bytes) if bytes[..] == BODY[5..10])
    );
}
