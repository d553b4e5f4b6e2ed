//! Three books, one sum: what the kernel counted, what the engine counted, and what is in the access
//! log, under load with long downloads, resets and reloads. `EDGE_TEST_TRUTH_S` seconds of it; 20 otherwise.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use edge::guard::Maps;
use edge_tests::process::eventually;
use edge_tests::{Client, Content, MIB, Node, NodeConfig, Origin, Page, names};

use crate::engine::alone;

const SMALL: Content = Content::new(110, 3_000);
const MEDIUM: Content = Content::new(111, MIB + 77);
const LONG: Content = Content::new(112, 48 * MIB);
const CHANGING: u64 = 64;
/// From one order to read the configuration again to the next.
const RELOAD: Duration = Duration::from_millis(1_500);

/// Who is at work, and until when.
struct Load<'a> {
    node: &'a Node,
    over: &'a AtomicBool,
    /// Bytes that clients took.
    received: &'a AtomicU64,
}

impl Load<'_> {
    fn again(&self) -> bool {
        !self.over.load(Relaxed)
    }

    fn done(&self, client: &Client) {
        self.received.fetch_add(client.received_bytes(), Relaxed);
    }

    /// Small answers of every kind on connections that live for a while.
    fn browse(&self) {
        while self.again() {
            let mut client = self.node.connect();
            for turn in 0..50 {
                match turn % 5 {
                    0 => drop(client.get("/small").expect_status(200)),
                    1 => drop(client.get_with("/medium", &[("Range", "bytes=70000-99999")])),
                    2 => drop(client.get("/nowhere").expect_status(404)),
                    3 => drop(client.get_with("/small", &[("If-None-Match", "\"v110\"")])),
                    _ => drop(client.get(&format!("/changing/{}", turn as u64 % CHANGING))),
                }
            }
            self.done(&client);
        }
    }

    /// One large object, slowly and to its end.
    fn download(&self) {
        while self.again() {
            let mut client = self.node.connect();
            client.start("/long");
            let mut left = LONG.len;
            while left > 0 {
                let piece = left.min(MIB);
                client.take(piece);
                left -= piece;
                std::thread::sleep(Duration::from_millis(20));
            }
            self.done(&client);
        }
    }

    /// The beginning of it, and away.
    fn leave(&self) {
        for turn in 0.. {
            if !self.again() {
                return;
            }
            let mut client = self.node.connect();
            client.start("/long");
            client.take(MIB * (1 + turn % 3));
            self.done(&client);
            match turn % 2 {
                0 => client.reset(),
                _ => drop(client),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn work(node: &Node, seconds: u64) -> u64 {
    let (over, received) = (AtomicBool::new(false), AtomicU64::new(0));
    let load = Load { node, over: &over, received: &received };
    let end = Instant::now() + Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| load.browse());
        }
        for _ in 0..2 {
            scope.spawn(|| load.download());
        }
        scope.spawn(|| load.leave());
        while Instant::now() < end {
            std::thread::sleep(RELOAD.min(end - Instant::now()));
            node.sighup();
        }
        over.store(true, Relaxed);
    });
    received.into_inner()
}

#[test]
fn kernel_engine_and_log_agree_to_the_byte() {
    alone(|bpffs| {
        let origin = Origin::with("/small", Page::of(SMALL));
        origin.put("/medium", Page::of(MEDIUM));
        origin.put("/long", Page::of(LONG));
        for number in 0..CHANGING {
            let page = Page { cache_control: Some("no-store".into()), ..Page::of(SMALL) };
            origin.put(&format!("/changing/{number}"), page);
        }
        let config = NodeConfig::of(&origin.url()).guarded(&bpffs.pin_dir());
        // What is asked for here is no abuse; the kernel's rules stay as they come.
        let config = config.guard("mode = \"enforce\"");
        let node = Node::start(config);
        let seconds = edge_tests::env_number("EDGE_TEST_TRUTH_S", 20);
        let received = work(&node, seconds);
        node.wait_all_closed();

        let metrics = node.metrics();
        let sum = |name: &str| metrics.sum(name, &[]);
        let sent = sum(names::SENT);
        let log = eventually("a line for every request", || {
            let log = node.access_log();
            (log.len() as u64 >= sum("edge_requests_total")).then_some(log)
        });
        let logged: u64 = log.iter().filter_map(|line| line["sent_bytes"].as_u64()).sum();
        println!(
            "TRUTH: {seconds} s, {} requests, {} connections, {sent} bytes sent, {received} read, {} dropped",
            log.len(),
            sum(names::ACCEPTED),
            sum("edge_dropped_bytes_total"),
        );
        assert_eq!(logged, sent, "log = engine");
        assert_eq!(sum(names::SITE_SENT), sent, "by site = engine");
        assert_eq!(sum("edge_client_sent_bytes_total"), sent, "by client = engine");
        assert!(received <= sent, "{received} read of {sent} sent");

        let (acked, dropped) = (sum("edge_acked_bytes_total"), sum("edge_dropped_bytes_total"));
        assert_eq!(acked + dropped, sent, "every byte sent was acknowledged or is known as lost");
        assert_eq!(sum("edge_site_dropped_bytes_total"), dropped, "by site");
        assert!(received <= acked, "{received} read of {acked} acknowledged");
        assert!(dropped > 0, "nobody left in the middle: the load is too tame");

        let maps = Maps::open(&bpffs.pin_dir()).expect("the maps");
        // Connections that have ended; the table forgets the oldest of very many.
        let conns = eventually("the kernel has seen the end of every connection", || {
            let conns = maps.conns().expect("connections");
            conns.iter().all(|conn| conn.state == "closed").then_some(conns)
        });
        let delivered = maps.delivered_bytes().expect("clients");
        assert_eq!(delivered, acked, "the kernel's clients = engine");
        if (conns.len() as u64) == sum(names::ACCEPTED) {
            let by_conn: u64 = conns.iter().map(|conn| conn.acked_bytes).sum();
            assert_eq!(by_conn, acked, "the kernel's connections = engine");
        }
        let totals = maps.totals().expect("totals");
        let against: Vec<_> =
            totals.iter().filter(|total| total.drops && total.packets > 0).collect();
        assert!(against.is_empty(), "nothing speaks against any of it: {against:?}");
        let passed: u64 = totals.iter().map(|total| total.packets).sum();
        let flows = maps.flows().expect("flows");
        let counted: u64 = flows.iter().map(|flow| flow.packets).sum();
        println!("TRUTH: {passed} packets by reason, {counted} by flow ({} flows)", flows.len());
        if (flows.len() as u32) < maps.flows_max() / FLOWS_SPARE {
            let not_ip =
                totals.iter().find(|total| total.reason == "not_ip").map_or(0, |t| t.packets);
            assert_eq!(counted, passed - not_ip, "packets by flow = by reason");
        }
    });
}

/// Of a table that is fuller than one in so many, flows may have been pushed out.
const FLOWS_SPARE: u32 = 8;
