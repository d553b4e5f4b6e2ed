//! Filling, joining, breaking off, going on.

use std::sync::{Arc, Condvar, Mutex};

use super::node::{BLOCK, Bell, Node, SLICE, content};
use crate::cache::layout::Layout;
use crate::cache::{Body, FillError, Lead, Object, Read, SliceWriter};
use crate::mailbox::{Notify, Token};

fn writer(node: &Node, object: &Object, from: u64) -> SliceWriter {
    match node.cache.lead(object, from).unwrap() {
        Lead::Writer(writer) => writer,
        Lead::Busy => panic!("busy"),
        Lead::Present => panic!("present"),
    }
}

fn write(writer: &mut SliceWriter, object: &Object, len: u64) {
    let bytes = content(object, writer.offset(), len);
    assert_eq!(writer.write(&bytes).unwrap() as u64, len);
}

#[test]
fn what_was_filled_is_read() {
    let node = Node::new();
    for (name, len) in [("a", 3 * SLICE + 777), ("b", 1), ("c", SLICE), ("d", BLOCK + 1)] {
        let object = node.object(name, 1, Some(len));
        assert!(matches!(node.cache.read(&object, 0, u64::MAX), Read::Absent));
        node.fill(&object, 0, len);
        assert_eq!(node.read_checked(&object, 0, u64::MAX), len);
        assert!(matches!(node.cache.lead(&object, 0).unwrap(), Lead::Present));
        assert!(matches!(node.cache.lead(&object, len).unwrap(), Lead::Present));
        assert!(matches!(node.cache.read(&object, len, u64::MAX), Read::End));
    }
    assert_eq!(node.cache.entries(), 4 + (4 + 1 + 1 + 1));
}

#[test]
fn an_empty_body_is_all_there() {
    let node = Node::new();
    let object = node.object("empty", 1, Some(0));
    assert!(matches!(node.cache.read(&object, 0, u64::MAX), Read::End));
    assert!(matches!(node.cache.lead(&object, 0).unwrap(), Lead::Present));
}

#[test]
fn readers_follow_the_watermark() {
    let node = Node::new();
    let object = node.object("a", 1, Some(SLICE));
    let mut filler = writer(&node, &object, 0);
    assert!(matches!(node.cache.read(&object, 0, SLICE), Read::Pending));
    assert!(matches!(node.cache.lead(&object, 0).unwrap(), Lead::Busy));
    let (bell, notify) = Bell::new();
    let (far_bell, far) = Bell::new();
    assert!(node.cache.subscribe(&object, 0, &notify, Token(1)));
    assert!(node.cache.subscribe(&object, 500, &far, Token(2)));
    write(&mut filler, &object, 100);
    assert_eq!((bell.rings(), far_bell.rings()), (1, 0));
    assert_eq!(node.read_checked(&object, 0, 100), 100);
    assert!(!node.cache.subscribe(&object, 99, &notify, Token(1)));
    assert!(node.cache.subscribe(&object, 100, &notify, Token(1)));
    write(&mut filler, &object, 401);
    assert_eq!((bell.rings(), far_bell.rings()), (2, 1));
    filler.finish().unwrap();
    assert!(!node.cache.subscribe(&object, 501, &notify, Token(1)), "nobody to wait for");
    assert!(matches!(node.cache.read(&object, 501, SLICE), Read::Absent));
}

#[test]
fn a_filler_that_leaves_wakes_all_and_keeps_whole_blocks() {
    let node = Node::new();
    let object = node.object("a", 1, Some(2 * SLICE));
    let mut filler = writer(&node, &object, 5 * BLOCK + 7);
    assert_eq!(filler.offset(), 5 * BLOCK, "rounded down to a block");
    write(&mut filler, &object, 3 * BLOCK + 9);
    let (bell, notify) = Bell::new();
    assert!(node.cache.subscribe(&object, 0, &notify, Token(1)), "before the run");
    assert!(node.cache.subscribe(&object, 9 * BLOCK, &notify, Token(2)), "after the run");
    drop(filler);
    assert_eq!(bell.rings(), 2);
    assert_eq!(node.read_checked(&object, 0, SLICE), 3 * BLOCK);
    assert!(matches!(node.cache.read(&object, 8 * BLOCK, SLICE), Read::Absent));

    // The resume takes the hole in front, then what is behind, in the same record.
    let mut filler = writer(&node, &object, 0);
    assert_eq!((filler.offset(), filler.end()), (0, 5 * BLOCK));
    write(&mut filler, &object, 5 * BLOCK);
    assert_eq!(filler.write(b"more").unwrap(), 0, "the next block is there already");
    filler.finish().unwrap();
    let filler = writer(&node, &object, 2 * BLOCK);
    assert_eq!((filler.offset(), filler.end()), (8 * BLOCK, SLICE), "moved up past what is there");
    drop(filler);
    node.fill(&object, 0, SLICE);
    assert_eq!(node.read_checked(&object, 0, SLICE), SLICE);
    assert!(node.cache.metrics().written_bytes.value() < SLICE + 8 * 4096, "no byte twice");
}

#[test]
fn nothing_written_leaves_nothing() {
    let node = Node::new();
    let object = node.object("a", 1, Some(SLICE));
    let before = node.cache.entries();
    let mut filler = writer(&node, &object, 0);
    write(&mut filler, &object, BLOCK - 1);
    filler.finish().unwrap();
    assert_eq!(node.cache.entries(), before);
    assert!(matches!(node.cache.read(&object, 0, SLICE), Read::Absent));
}

#[test]
fn a_body_of_unknown_length_ends_when_it_ends() {
    let node = Node::new();
    let len = SLICE + BLOCK + 11;
    let object = node.object("a", 1, None);
    let Body::Slices(slices) = &object.body else { unreachable!() };
    assert_eq!(object.len(), None);
    let mut filler = writer(&node, &object, 0);
    let next = filler.end() + 1;
    filler.goes_on_to(next);
    write(&mut filler, &object, SLICE);
    let (bell, notify) = Bell::new();
    assert!(matches!(node.cache.read(&object, SLICE, u64::MAX), Read::Pending), "it goes on");
    assert!(node.cache.subscribe(&object, SLICE, &notify, Token(1)));
    let Lead::Writer(mut filler) = node.cache.lead_next(filler).unwrap() else { panic!() };
    assert_eq!(bell.rings(), 1);
    assert!(matches!(node.cache.read(&object, SLICE, u64::MAX), Read::Pending));
    write(&mut filler, &object, len - SLICE);
    assert!(node.cache.subscribe(&object, len, &notify, Token(1)));
    slices.set_len(len);
    assert_eq!(bell.rings(), 2);
    assert!(matches!(node.cache.read(&object, len, u64::MAX), Read::End));
    assert_eq!(filler.write(b"beyond").unwrap(), 0);
    filler.finish().unwrap();
    assert_eq!(node.read_checked(&object, 0, u64::MAX), len);
    assert!(matches!(node.cache.lead(&object, SLICE).unwrap(), Lead::Present));
}

#[test]
fn an_end_that_comes_too_late_takes_no_byte_from_beyond() {
    let node = Node::new();
    let object = node.object("a", 1, None);
    let Body::Slices(slices) = &object.body else { unreachable!() };
    let mut filler = writer(&node, &object, 0);
    write(&mut filler, &object, 3 * BLOCK);
    slices.set_len(2 * BLOCK + 5);
    filler.finish().unwrap();
    assert_eq!(node.read_checked(&object, 0, u64::MAX), 2 * BLOCK, "whole blocks before the end");
    node.fill(&object, 0, 2 * BLOCK + 5);
    assert_eq!(node.read_checked(&object, 0, u64::MAX), 2 * BLOCK + 5);
}

#[test]
fn a_failed_body_gives_what_it_has() {
    let node = Node::new();
    let object = node.object("a", 1, None);
    let Body::Slices(slices) = &object.body else { unreachable!() };
    let mut filler = writer(&node, &object, 0);
    write(&mut filler, &object, 2 * BLOCK);
    let (bell, notify) = Bell::new();
    assert!(node.cache.subscribe(&object, 2 * BLOCK, &notify, Token(1)));
    slices.fail(FillError::Broken);
    assert_eq!(bell.rings(), 1);
    drop(filler);
    assert_eq!(node.read_checked(&object, 0, u64::from(u32::MAX).min(2 * BLOCK)), 2 * BLOCK);
    let after = node.cache.read(&object, 2 * BLOCK, u64::MAX);
    assert!(matches!(after, Read::Failed(FillError::Broken)));
    assert!(!node.cache.subscribe(&object, 2 * BLOCK, &notify, Token(1)));
}

#[test]
fn a_generation_and_a_length_fence() {
    let node = Node::new();
    let first = node.object("a", 1, Some(SLICE));
    node.fill(&first, 0, SLICE);
    let second = node.object("a", 2, Some(SLICE));
    assert!(matches!(node.cache.read(&second, 0, SLICE), Read::Absent));
    let longer = node.object("a", 1, Some(SLICE + 1));
    assert!(matches!(node.cache.read(&longer, 0, SLICE), Read::Absent));
    let again = node.object("a", 1, Some(SLICE));
    assert_eq!(node.read_checked(&again, 0, SLICE), SLICE, "the same generation is found again");
    assert_eq!(node.read_checked(&first, 0, SLICE), SLICE, "who began with it ends with it");
}

#[test]
fn the_slices_of_a_live_object_are_shared() {
    let node = Node::new();
    let object = node.object("a", 1, Some(SLICE));
    let Body::Slices(slices) = &object.body else { unreachable!() };
    assert!(Arc::ptr_eq(slices, &node.cache.new_slices(object.key, 1, Some(SLICE), &object.meta)));
    assert!(!Arc::ptr_eq(slices, &node.cache.new_slices(object.key, 2, Some(SLICE), &object.meta)));
    slices.fail(FillError::Broken);
    assert!(!Arc::ptr_eq(slices, &node.cache.new_slices(object.key, 1, Some(SLICE), &object.meta)));
}

#[test]
fn of_two_fills_of_a_slice_the_fuller_is_shown() {
    let node = Node::new();
    for (first, second) in [(2, 5), (5, 2)] {
        let name = format!("{first}");
        let object = node.object(&name, 1, Some(SLICE));
        let mut one = writer(&node, &object, 0);
        write(&mut one, &object, first * BLOCK);
        node.cache.forget(object.key);
        let again = node.object(&name, 1, Some(SLICE));
        node.fill(&again, 0, second * BLOCK);
        one.finish().unwrap();
        assert_eq!(node.read_checked(&again, 0, SLICE), 5 * BLOCK);
        node.fill(&again, 0, SLICE);
        assert_eq!(node.read_checked(&again, 0, SLICE), SLICE);
    }
}

#[test]
fn offsets_beyond_counting_are_refused() {
    let node = Node::new();
    let object = node.object("a", 1, Some(u64::MAX - 1));
    for offset in [u64::MAX - 2, SLICE << 32] {
        assert!(matches!(node.cache.read(&object, offset, u64::MAX), Read::Absent));
        assert!(node.cache.lead(&object, offset).is_err());
    }
    let last = (SLICE << 32) - 1;
    assert!(matches!(node.cache.read(&object, last, u64::MAX), Read::Absent));
    assert!(matches!(node.cache.lead(&object, last).unwrap(), Lead::Writer(_)));
}

/// A reader that sleeps until it is told.
#[derive(Default)]
struct Sleeper {
    told: Mutex<bool>,
    changed: Condvar,
}

impl Notify for Sleeper {
    fn notify(&self, _token: Token) {
        *self.told.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

#[test]
fn no_wake_is_lost_between_threads() {
    // Large enough for all that a late follower reads, wherever the policy puts it.
    let node = Node::with_volumes(&[4 * Layout::size_min_bytes(SLICE)]);
    let len = 8 * SLICE + 123;
    for round in 0..4 {
        let object = node.object("a", round, Some(len));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| follow(&node, &object, len));
            }
            let mut at = 0;
            let Lead::Writer(mut filler) = node.cache.lead(&object, 0).unwrap() else { panic!() };
            while at < len {
                let next = filler.end() + 1;
                filler.goes_on_to(next);
                let some = (filler.end() - filler.offset()).min(1717);
                write(&mut filler, &object, some);
                at += some;
                if filler.offset() == filler.end() && at < len {
                    let Lead::Writer(next) = node.cache.lead_next(filler).unwrap() else {
                        panic!()
                    };
                    filler = next;
                }
            }
            filler.finish().unwrap();
        });
    }
}

/// Reads to the end; hangs if a wake is lost.
fn follow(node: &Node, object: &Object, len: u64) {
    let sleeper = Arc::new(Sleeper::default());
    let notify: Arc<dyn Notify> = sleeper.clone();
    let mut at = 0;
    loop {
        match node.cache.read(object, at, u64::MAX) {
            Read::End => break,
            Read::Span(span) => {
                assert_eq!(node.read_checked(object, at, at + span.len), span.len);
                at += span.len;
            }
            Read::Pending | Read::Reserved => {
                if !node.cache.subscribe(object, at, &notify, Token(1)) {
                    continue;
                }
                let mut told = sleeper.told.lock().unwrap();
                while !*told {
                    told = sleeper.changed.wait(told).unwrap();
                }
                *told = false;
            }
            // Before the filler came.
            Read::Absent if at == 0 => std::thread::yield_now(),
            other => panic!("{other:?} at {at} of {len}"),
        }
    }
    assert_eq!(at, len);
}
