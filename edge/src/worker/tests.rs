//! A whole worker on a bad day: whatever the kernel does, every client gets its bytes, and nothing
//! is left over.

use std::io::Write as _;
use std::sync::Arc;

use super::*;
use crate::cache::{Body, KeyBuilder, Meta, Object};
use crate::config;
use crate::log::AccessLog;
use crate::ring::fake::{ClientId, FakeListener, FakeRing, ListenerId};

const FILE_BYTES: usize = 300 * 1024;
const START: Now = Now { mono_ms: 1_000, unix_ms: 1_800_000_000_000 };

struct Rig {
    worker: Worker<FakeRing>,
    door: ListenerId,
    now: Now,
    inbox: Arc<Inbox>,
    _log: AccessLog,
}

fn content() -> Vec<u8> {
    (0..FILE_BYTES).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn site() -> config::Site {
    config::Site {
        name: "a.test".into(),
        hosts: vec!["*".into()],
        preset: config::Preset::Download,
        origin: config::Origin::File { root: "/nowhere".into() },
        default_ttl_ms: 0,
        finish: config::Finish::Always,
        index: None,
        ..config::Site::of_directory("/nowhere".as_ref())
    }
}

fn object(cache: &Cache) -> Arc<Object> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content()).unwrap();
    let meta = Meta {
        status: 200,
        headers: Box::default(),
        etag: None,
        last_modified_unix_s: None,
        received_unix_ms: START.unix_ms,
        initial_age_ms: 0,
        lifetime_ms: 1_000_000,
        reuse: Default::default(),
        variant_of: None,
        key_text: "a.test /f".into(),
        tags: "".into(),
        stamp: Default::default(),
    };
    let key = KeyBuilder::new(cache.seed(), "a.test").part(b"/f").finish();
    let body = Body::File { file: Arc::new(file), len: FILE_BYTES as u64, content: None };
    Arc::new(Object::new(key, meta, body))
}

impl Rig {
    fn new(mut io: FakeRing) -> Rig {
        let cache = Cache::open(&config::Cache {
            volumes: vec![],
            ram_bytes: 1 << 20,
            slice_bytes: 64 * 1024,
            checkpoint_ms: 60_000,
            scrub_bytes_per_s: 0,
        });
        let cache = cache.unwrap();
        cache.insert(object(&cache), START);
        let log =
            config::Log { access: None, format: config::LogFormat::Json, level: "info".to_owned() };
        let log = AccessLog::start(&log).unwrap();
        let listener: FakeListener = io.listener();
        let door = listener.id();
        let inbox = Arc::new(Inbox::new().unwrap());
        let shared = Shared {
            cache,
            sites: Arc::new(ArcSwap::from_pointee(Sites::new(&[site()], 1, None))),
            desk: Arc::new(Desk::new(&config::Config::embedded("/nowhere".as_ref()).guard)),
            fills: vec![Arc::new(Mailbox::new(4).unwrap())],
            timeouts: ArcSwap::from_pointee(Timeouts {
                head_ms: 1_000,
                idle_ms: 5_000,
                send_ms: 3_000,
                fill_ms: 4_000,
            }),
            tls: ArcSwapOption::empty(),
        };
        let parts = Parts {
            index: 0,
            io,
            listeners: vec![(listener, Manner::default())],
            shared: Arc::new(shared),
            inbox: inbox.clone(),
            metrics: Arc::default(),
            sink: log.sink(),
        };
        let worker = Worker::new(parts, START);
        Rig { worker, door, now: START, inbox, _log: log }
    }

    fn connect(&mut self) -> ClientId {
        self.worker.io.connect(self.door)
    }

    /// Lets the worker turn until nothing more happens.
    fn settle(&mut self) {
        for _ in 0..20_000 {
            self.turn();
            if self.worker.io.is_quiet() && self.worker.queue.is_empty() {
                return;
            }
        }
        panic!("the worker does not come to rest");
    }

    fn turn(&mut self) -> bool {
        self.worker.turn(self.now).unwrap()
    }

    fn pass_ms(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
        self.turn();
        self.settle();
    }

    fn assert_nothing_left(&mut self) {
        assert_eq!(self.worker.conns.len(), 0, "connections");
        assert_eq!(self.worker.io.open_sockets(), 0, "sockets");
        assert_eq!(self.worker.io.pipes_out(), 0, "pipes");
        assert_eq!(self.worker.io.buffers_out(), 0, "buffers");
        assert_eq!(self.worker.io.closed_while_armed(), 0, "ops armed at close");
        let metrics = &self.worker.metrics;
        assert_eq!(metrics.conns_accepted.value(), metrics.conns_closed.value());
    }
}

/// Splits what a client received into bodies, by their `Content-Length`.
fn bodies(mut received: &[u8]) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    while !received.is_empty() {
        let end = received.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = std::str::from_utf8(&received[..end]).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.expect(head).parse().unwrap();
        let body = &received[end + 4..];
        assert!(length <= body.len(), "a body is short: {} of {length}", body.len());
        bodies.push(body[..length].to_vec());
        received = &body[length..];
    }
    bodies
}

fn range_request(start: usize, end: usize) -> String {
    format!("GET /f HTTP/1.1\r\nHost: a\r\nRange: bytes={start}-{}\r\n\r\n", end - 1)
}

/// Ranges that are different for each seed and client.
fn ranges(seed: u64, client: u64) -> Vec<(usize, usize)> {
    let mut state = seed * 1_000 + client + 1;
    let mut next = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut range = || {
        let start = next(FILE_BYTES - 1);
        (start, start + 1 + next((FILE_BYTES - start - 1).max(1)))
    };
    (0..4).map(|_| range()).collect()
}

#[test]
fn every_client_gets_its_bytes_whatever_the_kernel_does() {
    let content = content();
    for seed in 0..60 {
        let mut rig = Rig::new(FakeRing::new(seed));
        let clients: Vec<ClientId> = (0..6).map(|_| rig.connect()).collect();
        for (number, client) in clients.iter().enumerate() {
            for (start, end) in ranges(seed, number as u64) {
                rig.worker.io.client_send(*client, range_request(start, end).as_bytes());
            }
        }
        let mut received = vec![Vec::new(); clients.len()];
        for _ in 0..200 {
            rig.settle();
            for (got, client) in received.iter_mut().zip(&clients) {
                got.extend(rig.worker.io.client_take(*client));
            }
        }
        for (number, client) in clients.iter().enumerate() {
            let bodies = bodies(&received[number]);
            let wanted = ranges(seed, number as u64);
            assert_eq!(bodies.len(), wanted.len(), "seed {seed}, client {number}");
            for (body, (start, end)) in bodies.iter().zip(wanted) {
                assert!(
                    body[..] == content[start..end],
                    "seed {seed}, client {number}: wrong bytes"
                );
            }
            rig.worker.io.client_close(*client);
        }
        rig.settle();
        rig.assert_nothing_left();
    }
}

#[test]
fn clients_that_stall_reset_or_send_garbage_cost_nothing_lasting() {
    for seed in 0..40 {
        let mut rig = Rig::new(FakeRing::new(seed));
        let clients: Vec<ClientId> = (0..8).map(|_| rig.connect()).collect();
        for (number, client) in clients.iter().enumerate() {
            let io = &mut rig.worker.io;
            match number % 4 {
                0 => io.client_send(*client, b"\x00\x01 garbage \r\n\r\n"),
                1 => io.client_send(*client, b"GET /f HTTP/1.1\r\nHos"),
                2 => io.client_send(*client, range_request(0, FILE_BYTES).as_bytes()),
                _ => io.client_send(*client, range_request(5, 10).as_bytes()),
            }
            io.client_stall(*client, number % 4 == 2);
        }
        rig.settle();
        rig.worker.io.client_reset(clients[2]);
        rig.settle();
        assert!(rig.worker.io.client_received(clients[0]).starts_with(b"HTTP/1.1 400 "));
        rig.pass_ms(1_500);
        let late = rig.worker.io.client_received(clients[1]);
        assert!(late.starts_with(b"HTTP/1.1 408 "), "seed {seed}: {}", late.escape_ascii());
        // The stalled one, the idle one, the lingering ones: each has its time.
        for _ in 0..10 {
            rig.pass_ms(2_000);
        }
        rig.assert_nothing_left();
    }
}

#[test]
fn a_full_fill_plane_is_an_answer_not_a_wait() {
    let mut rig = Rig::new(FakeRing::calm());
    let clients: Vec<ClientId> = (0..6).map(|_| rig.connect()).collect();
    for client in &clients {
        rig.worker.io.client_send(*client, b"GET /missing HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    rig.settle();
    let refused = clients
        .iter()
        .filter(|client| rig.worker.io.client_received(**client).starts_with(b"HTTP/1.1 503 "));
    assert_eq!(refused.count(), 2, "four demands fit the mailbox");
    // Nobody answers the other four: 504 in time.
    for _ in 0..4 {
        rig.pass_ms(2_000);
    }
    let late = clients
        .iter()
        .filter(|client| rig.worker.io.client_received(**client).starts_with(b"HTTP/1.1 504 "));
    assert_eq!(late.count(), 4);
}

#[test]
fn a_drained_worker_ends_when_its_last_answer_is_out() {
    let mut rig = Rig::new(FakeRing::calm());
    let (idle, busy) = (rig.connect(), rig.connect());
    rig.worker.io.client_send(busy, range_request(0, FILE_BYTES).as_bytes());
    rig.worker.io.client_stall(busy, true);
    rig.worker.io.client_send(idle, range_request(0, 1).as_bytes());
    rig.settle();
    rig.inbox.order(Phase::Draining);
    for _ in 0..5 {
        assert!(rig.turn(), "the busy one is not done");
    }
    assert_eq!(rig.worker.conns.len(), 1, "the idle one is closed at once");
    rig.worker.io.client_stall(busy, false);
    let mut received = Vec::new();
    let ended = (0..1_000).any(|_| {
        received.extend(rig.worker.io.client_take(busy));
        rig.worker.io.client_sees_end(busy).then(|| rig.worker.io.client_close(busy));
        !rig.turn()
    });
    assert!(ended, "drained");
    assert_eq!(bodies(&received)[0], content());
}
