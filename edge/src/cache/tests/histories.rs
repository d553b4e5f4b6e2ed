//! Random histories: whatever happens, a byte that is read is the byte that was written.

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::node::{BLOCK, Node, SLICE, content};
use crate::cache::{Lead, Object, Read, SliceWriter, Span, StoreError};

const OBJECTS: u64 = 6;
const BLOCKS: u64 = 64 * 3 + 20;
const LEN: u64 = BLOCKS * BLOCK - 300;

#[derive(Clone, Debug)]
enum Step {
    /// A new generation takes the object's place.
    Replace(u64),
    Forget(u64),
    /// Fills from a block on, some blocks, and finishes.
    Fill(u64, u64, u64),
    /// Begins a fill that stays open, after some blocks and bytes.
    Begin(u64, u64, u64),
    /// Ends the oldest open fill.
    End,
    /// Keeps a span of an object.
    Hold(u64, u64),
    Release,
    /// Others come and push the oldest out.
    Flood(u64),
    Read(u64),
    Checkpoint,
    /// `kill -9`, start.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let object = 0..OBJECTS;
    prop_oneof![
        2 => object.clone().prop_map(Step::Replace),
        1 => object.clone().prop_map(Step::Forget),
        8 => (object.clone(), 0..BLOCKS, 1..100u64).prop_map(|(o, from, n)| Step::Fill(o, from, n)),
        3 => (object.clone(), 0..BLOCKS, 0..5000u64).prop_map(|(o, from, n)| Step::Begin(o, from, n)),
        3 => Just(Step::End),
        2 => (object.clone(), 0..BLOCKS).prop_map(|(o, from)| Step::Hold(o, from)),
        2 => Just(Step::Release),
        1 => (1..12u64).prop_map(Step::Flood),
        4 => object.prop_map(Step::Read),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Restart),
    ]
}

/// What the store must, and must not, have.
struct Model {
    node: Node,
    generations: [u64; OBJECTS as usize],
    objects: Vec<Arc<Object>>,
    /// (object, generation, block) that were committed, while nothing was pushed out.
    committed: HashSet<(u64, u64, u64)>,
    open: Vec<(u64, SliceWriter)>,
    held: Vec<(Arc<Object>, u64, Span)>,
    floods: u64,
    reclaimed: bool,
}

impl Model {
    fn new() -> Model {
        let node = Node::new();
        let objects = (0..OBJECTS).map(|o| node.object(&format!("m{o}"), 0, Some(LEN))).collect();
        Model {
            node,
            generations: [0; OBJECTS as usize],
            objects,
            committed: HashSet::new(),
            open: Vec::new(),
            held: Vec::new(),
            floods: 0,
            reclaimed: false,
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Replace(o) => {
                self.generations[o as usize] += 1;
                self.reopen(o);
            }
            Step::Forget(o) => {
                let key = self.objects[o as usize].key;
                self.node.cache.forget(key);
                assert!(self.node.cache.lookup(key).is_none());
                assert!(self.node.cache.load(key).is_none());
                self.reopen(o);
            }
            Step::Fill(o, from, blocks) => self.fill(o, from, blocks),
            Step::Begin(o, from, bytes) => self.begin(o, from, bytes),
            Step::End if !self.open.is_empty() => self.end(),
            Step::Hold(o, from) => {
                let object = self.objects[o as usize].clone();
                if let Read::Span(span) = self.node.cache.read(&object, from * BLOCK, LEN) {
                    self.held.push((object, from * BLOCK, span));
                }
            }
            Step::Release if !self.held.is_empty() => self.release(),
            Step::End | Step::Release => {}
            Step::Flood(count) => self.flood(count),
            Step::Read(o) => self.check(o),
            Step::Checkpoint => self.node.cache.checkpoint().unwrap(),
            Step::Restart => self.restart(),
        }
        self.reclaimed |= self.node.cache.metrics().reclaimed_regions.value() > 0;
    }

    fn reopen(&mut self, o: u64) {
        let generation = self.generations[o as usize];
        self.objects[o as usize] = self.node.object(&format!("m{o}"), generation, Some(LEN));
    }

    fn fill(&mut self, o: u64, from: u64, blocks: u64) {
        let object = self.objects[o as usize].clone();
        let Ok(Lead::Writer(mut writer)) = self.node.cache.lead(&object, from * BLOCK) else {
            return;
        };
        let end = writer.end().min(writer.offset() + blocks * BLOCK);
        let bytes = content(&object, writer.offset(), end - writer.offset());
        let start = writer.offset() / BLOCK;
        match writer.write(&bytes) {
            Ok(taken) => assert_eq!(taken, bytes.len()),
            Err(StoreError::NoRoom) => return,
            Err(error) => panic!("{error}"),
        }
        writer.finish().unwrap();
        let generation = self.generations[o as usize];
        self.committed.extend((start..end.div_ceil(BLOCK)).map(|block| (o, generation, block)));
    }

    fn begin(&mut self, o: u64, from: u64, bytes: u64) {
        let object = self.objects[o as usize].clone();
        if self.open.len() < 4
            && let Ok(Lead::Writer(mut writer)) = self.node.cache.lead(&object, from * BLOCK)
        {
            let some = content(&object, writer.offset(), bytes.min(writer.end() - writer.offset()));
            let _no_room = writer.write(&some);
            self.open.push((o, writer));
        }
    }

    fn end(&mut self) {
        drop(self.open.remove(0));
    }

    fn release(&mut self) {
        let (object, at, span) = self.held.remove(0);
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; span.len as usize];
        span.file.read_exact_at(&mut bytes, span.offset).unwrap();
        assert!(bytes == content(&object, at, span.len), "a held span changed");
    }

    fn flood(&mut self, count: u64) {
        for _ in 0..count {
            self.floods += 1;
            let object = self.node.object(&format!("f{}", self.floods), 1, Some(SLICE));
            if let Ok(Lead::Writer(mut writer)) = self.node.cache.lead(&object, 0) {
                let _no_room = writer.write(&content(&object, 0, SLICE));
            }
        }
    }

    /// Everything there is of the object is right; everything committed is there.
    fn check(&mut self, o: u64) {
        let object = self.objects[o as usize].clone();
        self.node.read_checked(&object, 0, LEN);
        if self.reclaimed {
            return;
        }
        let generation = self.generations[o as usize];
        for slice in 0..LEN.div_ceil(SLICE) {
            // Has it verified, if it is from before a start.
            drop(self.node.cache.lead(&object, slice * SLICE).unwrap());
        }
        for &(_, _, block) in self.committed.iter().filter(|c| c.0 == o && c.1 == generation) {
            let read = self.node.cache.read(&object, block * BLOCK, LEN);
            assert!(matches!(read, Read::Span(_)), "block {block} of {o} is lost: {read:?}");
        }
    }

    fn restart(&mut self) {
        while !self.held.is_empty() {
            self.release();
        }
        self.open.clear();
        self.objects.clear();
        self.node.restart();
        for o in 0..OBJECTS {
            let key = self.node.key(&format!("m{o}"));
            let loaded = self.node.cache.load(key);
            if let Some(loaded) = &loaded {
                let crate::cache::Body::Slices(slices) = &loaded.body else { panic!("in slices") };
                assert_eq!(
                    slices.generation(),
                    self.generations[o as usize],
                    "an older head is back"
                );
            }
            assert!(loaded.is_some() || self.reclaimed, "the head of {o} is lost");
            let generation = self.generations[o as usize];
            let object =
                loaded.unwrap_or_else(|| self.node.object(&format!("m{o}"), generation, Some(LEN)));
            self.objects.push(object);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_read_is_the_byte_written(steps in prop::collection::vec(step(), 1..120)) {
        let mut model = Model::new();
        for step in steps {
            model.run(step);
        }
        for o in 0..OBJECTS {
            model.check(o);
        }
        model.restart();
        for o in 0..OBJECTS {
            model.check(o);
        }
        prop_assert_eq!(model.node.cache.metrics().corrupt.value(), 0);
    }
}
