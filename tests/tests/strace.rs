//! What a warm hit costs: counted by the kernel and by the node itself.

use edge_tests::sample::threads_named;
use edge_tests::tools::Strace;
use edge_tests::{Content, Follower, MIB, Node, Origin, Page, names, need};

const BODY: Content = Content::new(70, MIB);
const REQUESTS: u64 = 200;
/// Calls that are not per request: a log buffer handed over once a second, a timer.
const CONSTANT_CALLS: u64 = 12;

/// A node whose workers have all served `/a` from the store.
fn warm_node() -> (Node, Origin, edge_tests::Client) {
    let origin = Origin::with("/a", Page::of(BODY));
    let node = Node::of(&origin.url());
    for _ in 0..8 {
        node.get("/a").expect_status(200);
    }
    let mut client = node.connect();
    hits(&mut client, 50);
    (node, origin, client)
}

fn hits(client: &mut edge_tests::Client, count: u64) {
    for _ in 0..count {
        let head = client.start("/a");
        let mut follower = Follower::new(BODY, 0);
        client.body(&head, "GET", &mut |piece| follower.feed(piece)).expect("not cut");
        assert_eq!(follower.offset(), BODY.len);
    }
}

#[test]
fn a_warm_hit_makes_no_system_call_it_does_not_need() {
    let Some(strace) = need("strace") else { return };
    let (node, _origin, mut client) = warm_node();
    let workers = threads_named(node.pid(), "edge-worker");
    assert_eq!(workers.len(), 2, "two threads named edge-worker-N");
    let Some(strace) = Strace::attach(&strace, &workers, node.dir()) else { return };
    hits(&mut client, REQUESTS);
    let counts = strace.finish();
    assert!(counts.values().sum::<u64>() >= REQUESTS, "strace saw the workers: {counts:?}");
    let needless = [
        "open",
        "openat",
        "openat2",
        "stat",
        "fstat",
        "lstat",
        "newfstatat",
        "statx",
        "close",
        "futex",
        "mmap",
        "munmap",
        "brk",
        "madvise",
        "pipe2",
        "fcntl",
        "read",
        "pread64",
        "lseek",
    ];
    for call in needless {
        let made = counts.get(call).copied().unwrap_or(0);
        assert!(
            made <= CONSTANT_CALLS,
            "{made} × {call} in {REQUESTS} hits; all calls: {counts:?}"
        );
    }
}

#[test]
fn a_warm_hit_allocates_nothing() {
    let (node, _origin, mut client) = warm_node();
    let before = node.metric(names::ALLOCATIONS);
    hits(&mut client, REQUESTS);
    let after = node.metric(names::ALLOCATIONS);
    assert_eq!(after - before, 0, "heap allocations of the workers in {REQUESTS} warm hits");
    assert!(before > 0, "the counter counts: start-up and warm-up have allocated");
}
