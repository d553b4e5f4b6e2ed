//! `kill -9` at any instant, and volumes that rot: never a wrong byte, and serving again at once.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use edge_tests::{
    Content, Follower, MIB, Node, NodeConfig, Origin, Page, Random, env_number, fetch, names,
};

const LEN: u64 = 6 * MIB + 777;

fn page(n: u64) -> (String, Content) {
    (format!("/{n}"), Content::new(100 + n, LEN))
}

fn publish(origin: &Origin, n: u64) -> (String, Content) {
    let (target, content) = page(n);
    origin.put(&target, Page { bytes_per_s: Some(200 * MIB), ..Page::of(content) });
    (target, content)
}

#[track_caller]
fn expect_whole(node: &Node, n: u64) {
    let (target, content) = page(n);
    content.expect(0..LEN, &node.get(&target).expect_status(200).body);
}

/// Waits until everything that is stored now is in a checkpoint.
fn wait_checkpoint(node: &Node) {
    // The one that runs now may have begun too early.
    node.wait_metric(names::CHECKPOINTS, node.metric(names::CHECKPOINTS) + 2);
}

#[test]
fn killed_during_fills_it_comes_back_with_what_it_had() {
    let kills = env_number("EDGE_TEST_CRASHES", 10);
    let origin = Origin::start();
    let config = NodeConfig::of(&origin.url()).cache("checkpoint = \"200ms\"");
    let mut node = Node::start(config);
    let mut random = Random::new(9);
    for turn in 0..kills {
        let (kept, cut) = (2 * turn, 2 * turn + 1);
        publish(&origin, kept);
        expect_whole(&node, kept);
        wait_checkpoint(&node);
        let before = origin.counts(&page(kept).0);

        let (target, content) = publish(&origin, cut);
        let mut client = node.connect();
        client.start(&target);
        let mut follower = Follower::new(content, 0);
        follower.feed(&client.take(1 + random.below(LEN - 1)));
        node.kill9();
        follower.offset();

        node.start_again();
        expect_whole(&node, kept);
        let after = origin.counts(&page(kept).0);
        assert_eq!(
            after.body_bytes, before.body_bytes,
            "kill {turn}: a checkpointed object is a hit"
        );
        expect_whole(&node, cut);
        let old = random.below(cut + 1);
        let range = random.range(LEN, MIB);
        let part = fetch(node.addr(), &page(old).0, Some(range.clone())).expect_status(206);
        page(old).1.expect(range, &part.body);
    }
    (0..2 * kills).for_each(|n| expect_whole(&node, n));
}

#[test]
fn killed_twice_without_a_checkpoint_between_it_is_right() {
    let origin = Origin::start();
    let mut node = Node::start(NodeConfig::of(&origin.url()).cache("checkpoint = \"1h\""));
    for n in 0..4 {
        publish(&origin, n);
        expect_whole(&node, n);
        node.kill9();
        node.start_again();
    }
    (0..4).for_each(|n| expect_whole(&node, n));
}

#[test]
fn an_orderly_end_keeps_everything() {
    let origin = Origin::start();
    let mut node = Node::start(NodeConfig::of(&origin.url()).cache("checkpoint = \"1h\""));
    for n in 0..4 {
        publish(&origin, n);
        expect_whole(&node, n);
    }
    node.sigterm();
    assert!(node.wait().success(), "exit code 0 after SIGTERM");
    let before = origin.body_bytes();
    node.start_again();
    (0..4).for_each(|n| expect_whole(&node, n));
    assert_eq!(origin.body_bytes(), before, "all of it was stored");
}

#[test]
fn a_generation_that_was_replaced_does_not_come_back() {
    let origin = Origin::start();
    let mut node = Node::start(NodeConfig::of(&origin.url()).cache("checkpoint = \"200ms\""));
    let short = |content| Page { cache_control: Some("max-age=1".into()), ..Page::of(content) };
    let (old, new) = (Content::new(80, LEN), Content::new(81, LEN));
    origin.put("/a", short(old));
    old.expect(0..LEN, &node.get("/a").expect_status(200).body);
    wait_checkpoint(&node);
    origin.put("/a", short(new));
    edge_tests::eventually("the new version", || {
        (node.get("/a").head.field("etag") == Some("\"v81\"")).then_some(())
    });
    node.kill9();
    node.start_again();
    // Fresh or not, a response is one version; expired, it is the new one.
    edge_tests::eventually("the new version after the crash", || {
        let response = node.get("/a").expect_status(200);
        let is_new = response.head.field("etag") == Some("\"v81\"");
        (if is_new { new } else { old }).expect(0..LEN, &response.body);
        is_new.then_some(())
    });
}

/// Fills a node with six objects, ends it, lets `damage` do its work, and shows that every byte is
/// right after the next start.
fn survives(seed: u64, damage: impl Fn(&std::fs::File, &mut Random)) {
    let origin = Origin::start();
    let config = NodeConfig::of(&origin.url()).cache("checkpoint = \"200ms\"").volume_mib(128);
    let mut node = Node::start(config);
    for n in 0..6 {
        publish(&origin, n);
        expect_whole(&node, n);
    }
    wait_checkpoint(&node);
    node.kill9();
    let volume = OpenOptions::new().read(true).write(true).open(node.volume()).expect("its volume");
    damage(&volume, &mut Random::new(seed));
    node.start_again();
    for _ in 0..2 {
        (0..6).for_each(|n| expect_whole(&node, n));
    }
}

#[test]
fn a_garbled_volume_serves_right_bytes() {
    survives(71, |volume, random| {
        let len = volume.metadata().expect("it is open").len();
        for _ in 0..400 {
            // The superblock stays: a file that is no volume is not ours to overwrite.
            let at = 64 * 1024 + random.below(len - 128 * 1024);
            let junk: Vec<u8> =
                (0..1 + random.below(4096)).map(|_| random.number() as u8).collect();
            volume.write_all_at(&junk, at).expect("written");
        }
    });
}

#[test]
fn flipped_bits_are_never_served() {
    survives(72, |volume, random| {
        let len = volume.metadata().expect("it is open").len();
        for _ in 0..5000 {
            let at = 64 * 1024 + random.below(len - 64 * 1024);
            let mut byte = [0];
            volume.read_exact_at(&mut byte, at).expect("read");
            volume.write_all_at(&[byte[0] ^ (1 << random.below(8))], at).expect("written");
        }
    });
}

#[test]
fn a_truncated_volume_serves_right_bytes() {
    survives(73, |volume, random| {
        let len = volume.metadata().expect("it is open").len();
        volume.set_len(MIB + random.below(len / 4)).expect("truncated");
    });
}
