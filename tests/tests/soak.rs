//! Everything at once for a while: hot, cold, cut, slow and garbage clients; then nothing is left.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use edge_tests::{
    Client, Content, Follower, MIB, Node, NodeConfig, Origin, Page, Random, Sample, env_number,
    names,
};

const HOT: Content = Content::new(400, 2 * MIB);
const SMALL: Content = Content::new(401, 900);
const COLD_LEN: u64 = 3 * MIB / 2;
const COLD_TARGETS: u64 = 300;
const KINDS: u64 = 6;
/// Memory and descriptors that a peak of concurrency may leave in pools.
const SLACK_BYTES: u64 = 24 * MIB;
const SLACK_FDS: usize = 32;
/// Threads for work that may block come and go, in the kernel's pool and in ours.
const SLACK_THREADS: usize = 12;

struct Soak {
    node: Node,
    origin: Origin,
    stop: AtomicBool,
    conversations: AtomicU64,
}

impl Soak {
    fn start() -> Soak {
        let origin = Origin::with("/hot", Page::of(HOT));
        origin.put("/small", Page::of(SMALL));
        origin.put("/cut", Page { cut_at: Some(MIB / 2), ..Page::of(HOT) });
        origin.put("/no-store", Page { cache_control: Some("no-store".into()), ..Page::of(HOT) });
        for n in 0..COLD_TARGETS {
            origin.put(&format!("/cold/{n}"), Page::of(Content::new(1000 + n, COLD_LEN)));
        }
        // The cold objects do not fit: the volume is reclaimed all the time.
        let config = NodeConfig::of(&origin.url())
            .server("head_timeout = \"1s\"")
            .cache("ram = \"16MiB\"")
            .volume_mib(192);
        let node = Node::start(config);
        Soak { node, origin, stop: AtomicBool::new(false), conversations: AtomicU64::new(0) }
    }

    /// Runs clients for `seconds`, then waits until the node has no connection left.
    fn run(&self, seconds: u64, seed: u64) -> Sample {
        self.stop.store(false, Relaxed);
        std::thread::scope(|scope| {
            for n in 0..2 * KINDS {
                scope.spawn(move || {
                    let mut random = Random::new(seed * 1000 + n);
                    while !self.stop.load(Relaxed) {
                        self.converse(n % KINDS, &mut random);
                        self.conversations.fetch_add(1, Relaxed);
                    }
                });
            }
            std::thread::sleep(Duration::from_secs(seconds));
            self.stop.store(true, Relaxed);
        });
        self.node.wait_all_closed();
        self.node.sample()
    }

    fn converse(&self, kind: u64, random: &mut Random) {
        let mut client = self.node.connect();
        match kind {
            0 => hot(&mut client, random),
            1 => cold(&mut client, random),
            2 => leaver(client, random),
            3 => slow(&mut client),
            4 => garbage(&mut client, random),
            _ => broken(&mut client, random),
        }
    }
}

fn hot(client: &mut Client, random: &mut Random) {
    for _ in 0..20 {
        SMALL.expect(0..SMALL.len, &client.get("/small").expect_status(200).body);
        let range = random.range(HOT.len, MIB);
        let value = format!("bytes={}-{}", range.start, range.end - 1);
        let response = client.get_with("/hot", &[("Range", &value)]).expect_status(206);
        HOT.expect(range, &response.body);
    }
}

fn cold(client: &mut Client, random: &mut Random) {
    for _ in 0..3 {
        let n = random.below(COLD_TARGETS);
        let response = client.get(&format!("/cold/{n}")).expect_status(200);
        Content::new(1000 + n, COLD_LEN).expect(0..COLD_LEN, &response.body);
    }
}

/// Leaves in the middle of a body, by FIN or RST.
fn leaver(mut client: Client, random: &mut Random) {
    let n = random.below(COLD_TARGETS);
    client.start(&format!("/cold/{n}"));
    let count = random.below(COLD_LEN);
    Content::new(1000 + n, COLD_LEN).expect(0..count, &client.take(count));
    if random.below(2) == 0 {
        client.reset();
    }
}

fn slow(client: &mut Client) {
    let head = client.start("/hot");
    assert_eq!(head.status, 200);
    let mut follower = Follower::new(HOT, 0);
    for _ in 0..32 {
        follower.feed(&client.take(HOT.len / 32));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(follower.offset(), HOT.len);
}

fn garbage(client: &mut Client, random: &mut Random) {
    match random.below(3) {
        0 => {
            let count = random.below(500);
            let bytes: Vec<u8> = (0..count).map(|_| random.number() as u8).collect();
            let _ = client.try_send(bytes);
            client.half_close();
            client.closed();
        }
        1 => client.send("GET /small HTTP/1.1\r\nHo"),
        _ => {
            // A head that never ends: 408.
            client.send("GET /small HTTP/1.1\r\nHost: a\r\n");
            client.closed();
        }
    }
}

/// What the origin breaks, and what may not be stored.
fn broken(client: &mut Client, random: &mut Random) {
    if random.below(2) == 0 {
        HOT.expect(0..HOT.len, &client.get("/no-store").expect_status(200).body);
        return;
    }
    client.request("GET", "/cut", &[]);
    if let Ok(response) = client.response("GET") {
        assert!(!response.complete || response.head.status >= 500, "{:?}", response.head);
        if response.head.status == 200 {
            HOT.expect(0..response.body.len() as u64, &response.body);
        }
    }
}

#[test]
fn a_mixed_run_leaves_nothing_behind() {
    let seconds = env_number("EDGE_TEST_SOAK_S", 24);
    let soak = Soak::start();
    let third = soak.run(seconds / 3, 1);
    let talked = soak.conversations.load(Relaxed);
    let end = soak.run(seconds - seconds / 3, 2);
    let metrics = soak.node.metrics();
    let accepted = metrics.sum(names::ACCEPTED, &[]);
    eprintln!(
        "{} conversations, {accepted} connections, {} MiB sent, {} MiB from the origin; \
         after a third {third:?}, at the end {end:?}",
        soak.conversations.load(Relaxed),
        metrics.sum(names::SENT, &[]) / MIB,
        soak.origin.body_bytes() / MIB,
    );
    assert!(soak.conversations.load(Relaxed) > talked, "the second part ran");
    assert!(accepted >= soak.conversations.load(Relaxed), "every client had its connection");
    assert_eq!(metrics.sum(names::CLOSED, &[]), accepted, "slots: closed = accepted");
    assert!(
        end.rss_bytes <= third.rss_bytes + SLACK_BYTES,
        "memory: {} KiB after a third, {} KiB at the end",
        third.rss_bytes / 1024,
        end.rss_bytes / 1024
    );
    assert!(end.fds <= third.fds + SLACK_FDS, "descriptors: {third:?}, {end:?}");
    assert!(end.pipe_fds <= third.pipe_fds + SLACK_FDS, "pipes: {third:?}, {end:?}");
    assert!(end.threads <= third.threads + SLACK_THREADS, "threads: {third:?}, {end:?}");
    SMALL.expect(0..SMALL.len, &soak.node.get("/small").expect_status(200).body);
}
