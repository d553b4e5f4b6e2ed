//! Many threads at once, and power cuts.

use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::node::{BLOCK, Node, SLICE, content};
use crate::cache::{Body, Lead, Object, Read};
use crate::clock::Now;

const LEN: u64 = 2 * SLICE + 5 * BLOCK + 9;

/// Cheap numbers, different in each thread.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

#[test]
fn threads_that_fill_read_forget_and_push_out_never_see_a_wrong_byte() {
    let mut node = Node::with_volumes(&[3 << 20, 2 << 20]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (1..=4)
            .map(|seed| {
                let node = &node;
                scope.spawn(move || storm(node, Dice(seed * 0x9e37_79b9), 400))
            })
            .collect();
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                node.cache.checkpoint().unwrap();
            }
        });
        let right: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        stop.store(true, Ordering::Relaxed);
        assert!(right > 100 * SLICE, "{right} bytes are no storm");
    });
    assert!(node.cache.metrics().reclaimed_regions.value() > 10);
    assert_eq!(node.cache.metrics().corrupt.value(), 0);
    node.restart();
    for name in 0..8 {
        if let Some(object) = node.cache.load(node.key(&format!("s{name}"))) {
            node.verify_and_read(&object, 0, LEN);
        }
    }
    assert_eq!(node.cache.metrics().corrupt.value(), 0);
}

fn storm(node: &Node, mut dice: Dice, turns: u64) -> u64 {
    let mut right = 0;
    for _ in 0..turns {
        let name = format!("s{}", dice.roll(8));
        let key = node.key(&name);
        let object = match node.cache.lookup(key).or_else(|| node.cache.load(key)) {
            Some(object) if dice.roll(20) > 0 => object,
            _ => node.object(&name, dice.roll(3), Some(LEN)),
        };
        match dice.roll(10) {
            0 => node.cache.forget(key),
            1 => node.cache.insert(object, Now::read()),
            2..7 => fill_some(node, &object, &mut dice),
            _ => right += node.read_checked(&object, 0, LEN),
        }
    }
    right
}

/// Fills from somewhere on, in pieces, reading behind the watermark with the span held for a while.
fn fill_some(node: &Node, object: &Object, dice: &mut Dice) {
    let Ok(Lead::Writer(mut writer)) = node.cache.lead(object, dice.roll(LEN)) else { return };
    for _ in 0..dice.roll(5) {
        let at = writer.offset();
        let some = (writer.end() - at).min(dice.roll(SLICE) + 1);
        if some == 0 || writer.write(&content(object, at, some)).is_err() {
            return;
        }
        if let Read::Span(span) = node.cache.read(object, at, at + some) {
            std::thread::yield_now();
            let mut bytes = vec![0; span.len as usize];
            span.file.read_exact_at(&mut bytes, span.offset).unwrap();
            assert!(bytes == content(object, at, span.len));
        }
    }
}

const NAMES: u64 = 4;

/// Some objects in their `generation`, some slices of each.
fn work(node: &Node, dice: &mut Dice, generation: u64, turns: u64) {
    for _ in 0..turns {
        let object = node.object(&format!("s{}", dice.roll(NAMES)), generation, Some(LEN));
        fill_some(node, &object, dice);
        if dice.roll(6) == 0 {
            node.cache.checkpoint().unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// After a power cut each sector of the disk is as it was at some earlier moment.
    #[test]
    fn a_power_cut_leaves_right_bytes_or_none(seed in 1u64.., before in 0u64..30, after in 1u64..30) {
        let mut node = Node::new();
        let mut dice = Dice(seed);
        work(&node, &mut dice, 1, before);
        let old = std::fs::read(node.volume_path()).unwrap();
        work(&node, &mut dice, 2, after);
        node.close();
        let mut mixed = std::fs::read(node.volume_path()).unwrap();
        for (now, then) in mixed.chunks_mut(512).zip(old.chunks(512)) {
            if dice.roll(3) == 0 {
                now.copy_from_slice(then);
            }
        }
        std::fs::write(node.volume_path(), mixed).unwrap();
        node.restart();
        for name in 0..NAMES {
            let name = format!("s{name}");
            if let Some(object) = node.cache.load(node.key(&name)) {
                prop_assert!(matches!(&object.body, Body::Slices(_)));
                node.verify_and_read(&object, 0, LEN);
            }
            for generation in [1, 2] {
                let object = node.object(&name, generation, Some(LEN));
                node.verify_and_read(&object, 0, LEN);
                node.fill(&object, 0, LEN);
                prop_assert_eq!(node.read_checked(&object, 0, LEN), LEN);
            }
        }
    }
}
