//! Purges of a store: at once, over restarts, in the middle of fills, and of what is damaged.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use super::node::{Node, SLICE, meta};
use crate::cache::purge::{Kind, Pattern};
use crate::cache::{Body, Lead, Meta, Object};
use crate::clock::Now;

const LEN: u64 = 2 * SLICE + 99;

fn url(name: &str) -> Vec<Pattern> {
    vec![Pattern::new(Kind::Url, "site", &format!("/{name}")).unwrap()]
}

/// A filled object that was asked for just now.
fn stored(node: &Node, name: &str) -> std::sync::Arc<Object> {
    let meta = Meta { stamp: node.cache.stamp_at(Now::read()), ..meta(name) };
    let key = node.key(name);
    let slices = node.cache.new_slices(key, 1, Some(LEN), &meta);
    let object = std::sync::Arc::new(Object::new(key, meta, Body::Slices(slices)));
    node.cache.insert(object.clone(), Now::read());
    node.fill(&object, 0, LEN);
    object
}

fn has(node: &Node, name: &str) -> bool {
    let key = node.key(name);
    node.cache.lookup(key).or_else(|| node.cache.load(key)).is_some()
}

#[test]
fn a_hard_purge_takes_head_and_bytes_and_holds_over_restarts() {
    for restarts in [0, 1, 3] {
        let mut node = Node::new();
        let old = stored(&node, "a");
        stored(&node, "b");
        assert!(node.cache.purge(url("a"), false).lost.is_none());
        assert_eq!(node.read_checked(&old, 0, LEN), LEN, "who reads it goes on");
        for _ in 0..restarts {
            node.restart();
        }
        assert!(!has(&node, "a") && has(&node, "b"));
        // The same version again: its old bytes are not found.
        let meta = Meta { stamp: node.cache.stamp_at(Now::read()), ..meta("a") };
        let slices = node.cache.new_slices(node.key("a"), 1, Some(LEN), &meta);
        let again = Object::new(node.key("a"), meta, Body::Slices(slices));
        assert_eq!(node.verify_and_read(&again, 0, LEN), 0);
        let anew = stored(&node, "a");
        node.restart();
        assert!(has(&node, "a"), "what came after the purge stays");
        assert_eq!(node.verify_and_read(&anew, 0, LEN), LEN);
    }
}

#[test]
fn a_soft_purge_expires_at_its_moment() {
    let mut node = Node::new();
    let now = Now::read();
    let fresh = Meta {
        received_unix_ms: now.unix_ms,
        lifetime_ms: 3_600_000,
        stamp: node.cache.stamp_at(now),
        ..meta("a")
    };
    let body = Body::Memory(bytes::Bytes::from_static(b"body"));
    let object = Object::new(node.key("a"), fresh, body);
    node.cache.insert(object.into(), now);
    assert!(node.cache.lookup(node.key("a")).unwrap().meta.is_fresh(Now::read()));
    node.cache.purge(url("a"), true);
    for _ in 0..2 {
        let found = node.cache.load(node.key("a")).unwrap();
        let now = Now::read();
        assert!(!found.meta.is_fresh(now));
        assert!(found.meta.age_ms(now) - found.meta.lifetime_ms < 60_000, "just now");
        assert!(std::sync::Arc::ptr_eq(&found, &node.cache.lookup(node.key("a")).unwrap()));
        node.restart();
    }
}

#[test]
fn what_was_asked_for_before_a_purge_is_not_entered_after_it() {
    let mut node = Node::new();
    let meta = Meta { stamp: node.cache.stamp_at(Now::read()), ..meta("a") };
    let key = node.key("a");
    let slices = node.cache.new_slices(key, 1, Some(LEN), &meta);
    let late = std::sync::Arc::new(Object::new(key, meta, Body::Slices(slices)));
    let Lead::Writer(mut writer) = node.cache.lead(&late, 0).unwrap() else { panic!() };
    node.cache.purge(url("a"), false);
    let current = stored(&node, "a");
    node.cache.insert(late.clone(), Now::read());
    let bytes = super::content(&late, 0, SLICE);
    writer.write(&bytes).unwrap();
    writer.finish().unwrap();
    assert!(std::sync::Arc::ptr_eq(&node.cache.lookup(key).unwrap(), &current));
    assert_eq!(node.read_checked(&late, 0, SLICE), SLICE, "its own readers have it");
    node.restart();
    assert!(has(&node, "a"));
    assert_eq!(node.verify_and_read(&current, 0, LEN), LEN);
}

#[test]
fn purges_are_forgotten_when_nothing_of_their_time_is_left() {
    let mut node = Node::new();
    stored(&node, "old");
    node.cache.purge(url("old"), false);
    node.cache.purge(url("else"), true);
    assert_eq!(node.cache.purge_rules(), 2);
    for number in 0..200 {
        stored(&node, &format!("o{number}"));
    }
    node.cache.checkpoint().unwrap();
    assert_eq!(node.cache.purge_rules(), 0);
    assert!(!has(&node, "old") && has(&node, "o199"));
    // A start remembers more than it has to, and nothing comes back.
    node.restart();
    assert!(!has(&node, "old") && has(&node, "o199"));
}

#[test]
fn damage_to_one_copy_of_the_rules_loses_none_and_to_both_all_contents() {
    for copies in [vec![0], vec![1], vec![0, 1]] {
        let mut node = Node::new();
        stored(&node, "a");
        stored(&node, "b");
        node.cache.purge(url("a"), false);
        let layout = node.cache.disk.volumes.by_id(0).unwrap().layout;
        node.close();
        let file = OpenOptions::new().write(true).open(node.volume_path()).unwrap();
        for copy in &copies {
            file.write_all_at(&[0x55; 8192], layout.purge_at[*copy]).unwrap();
        }
        drop(file);
        node.restart();
        assert!(!has(&node, "a"));
        assert_eq!(has(&node, "b"), copies.len() == 1, "it may have been purged, who knows");
    }
}

#[test]
fn a_volume_that_was_away_learns_from_the_others() {
    let size = crate::cache::layout::Layout::size_min_bytes(SLICE);
    let mut node = Node::with_volumes(&[size, size]);
    let names: Vec<String> = (0..12).map(|number| format!("o{number}")).collect();
    names.iter().for_each(|name| drop(stored(&node, name)));
    let all = node.config.volumes.clone();
    node.config.volumes.truncate(1);
    node.restart();
    let there = names.iter().filter(|name| has(&node, name)).count();
    assert!((1..12).contains(&there), "{there} of them on the first volume");
    node.cache.purge(vec![Pattern::new(Kind::Prefix, "site", "/o").unwrap()], false);
    node.config.volumes = all;
    node.restart();
    assert_eq!(names.iter().filter(|name| has(&node, name)).count(), 0);
}

/// Ten million entries with `EDGE_TEST_ENTRIES=10000000`; prints, and asserts that it took effect.
#[test]
fn a_purge_takes_no_notice_of_the_size() {
    let count = std::env::var("EDGE_TEST_ENTRIES").ok().and_then(|text| text.parse().ok());
    let node = Node::new();
    node.memory_object("a", b"body");
    node.cache.disk.crowd(count.unwrap_or(100_000));
    let kinds = [Kind::Url, Kind::Prefix, Kind::Regex, Kind::Tag, Kind::Site, Kind::All];
    for kind in kinds {
        let pattern = Pattern::new(kind, "site", "x").unwrap();
        let start = Instant::now();
        assert!(node.cache.purge(vec![pattern], false).lost.is_none());
        let (entries, took) = (node.cache.entries(), start.elapsed());
        println!("purge {} of {entries} entries: {took:?}", kind.as_str());
    }
    assert!(!has(&node, "a"));
}
