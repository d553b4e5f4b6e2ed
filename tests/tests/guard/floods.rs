//! Floods from addresses nobody has, each beside good clients whose downloads finish.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use edge::config::{self, GuardLimit};
use edge::guard::{Guard, GuardNote, Maps};
use edge_tests::range::{Aim, Range, template};

use crate::bpffs::{Bpffs, load};
use crate::veth::connect;
use edge_tests::netns::{CLIENTS, Host, SERVER, SERVER_INTERFACE, cable};

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const BODY_BYTES: usize = 2 << 20;
const DOWNLOADS: usize = 6;
/// Sources of a flood: 10.128.0.0 and up.
const FIRST_SOURCE: u32 = 0x0a80_0000;
const SOURCES: u32 = 1 << 20;
const VOLLEY: u32 = 4_096;
/// Nothing is left of it after the first few packets.
const HARDLY_ANY: GuardLimit = GuardLimit { per_s: 1, burst: 1 };

/// Two hosts, a guard with a small budget, a server of bytes, and a flood under way.
struct Story {
    client: Host,
    server: Host,
    to: SocketAddr,
    maps: Maps,
    _guard: Guard,
    _bpffs: Bpffs,
}

impl Story {
    /// `None`, with a line, where it cannot be told. `cookies` and `timestamps` as `net.ipv4.tcp_syncookies`
    /// and `tcp_timestamps`.
    fn begin(cookies: u8, timestamps: u8) -> Option<Story> {
        let bpffs = Bpffs::mount()?;
        load(&bpffs.config())?;
        let (client, server) = match cable() {
            Ok(hosts) => hosts,
            Err(why) => {
                println!("SKIP: no network namespaces: {why}");
                return None;
            }
        };
        server.sysctl("tcp_syncookies", cookies);
        // Answers to addresses that nobody has leave the host: with no way there, the stack would not
        // even begin to wait for them.
        server.ip(&["route", "add", "default", "via", CLIENTS[0]]).expect("a way out");
        server.sysctl("tcp_timestamps", timestamps);
        let listener = server.run(|| TcpListener::bind(("::", 0))).unwrap();
        let to = listener.local_addr().unwrap();
        std::thread::spawn(move || serve(&listener));
        let mut config =
            config::Guard { interfaces: vec![SERVER_INTERFACE.to_owned()], ..bpffs.config() };
        config.rules.served_ports = vec![to.port()];
        config.rules.syn_budget = HARDLY_ANY;
        let (guard, notes) = server.run(|| Guard::start(&config));
        if let Some(note) = notes.iter().find(|n| matches!(n, GuardNote::NotFollowing { .. })) {
            println!("SKIP: {note}");
            return None;
        }
        let maps = Maps::open(&bpffs.pin_dir()).unwrap();
        Some(Story { client, server, to, maps, _guard: guard, _bpffs: bpffs })
    }

    fn counted(&self, reason: &str) -> u64 {
        let totals = self.maps.totals().unwrap();
        totals.iter().find(|row| row.reason == reason).unwrap().packets
    }

    /// Floods for as long as `meanwhile` takes.
    fn flooded(&self, flags: u8, meanwhile: impl FnOnce()) {
        let hardware = (self.server.hardware(SERVER_INTERFACE), self.client.hardware("c0"));
        let packet = template(hardware, ([10, 77, 0, 1], self.to.port()), 40_000, flags);
        let interface = self.client.index("c0");
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let flood = scope.spawn(|| {
                self.client.run(|| {
                    let mut range = Range::load().expect("the range");
                    // What is sent back is taken only where there is a program.
                    range.receive("c0");
                    range.aim(Aim::new(packet, FIRST_SOURCE, SOURCES, 1, interface));
                    while !over.load(Relaxed) {
                        range.shoot(VOLLEY);
                        // Two cores: the good ones need one now and then.
                        std::thread::yield_now();
                    }
                });
            });
            let began = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                wait_for(|| self.counted("syn_cookie") + self.counted("stray") > 0);
                meanwhile();
            }));
            over.store(true, Relaxed);
            flood.join().unwrap();
            if let Err(panic) = began {
                std::panic::resume_unwind(panic);
            }
        });
    }

    fn download(&self, from: &str) {
        let server = if from.contains(':') { SERVER[1] } else { SERVER[0] };
        let to = SocketAddr::new(server.parse().unwrap(), self.to.port());
        let mut stream = self.client.run(|| connect(from, to));
        stream.write_all(b"!").unwrap();
        let mut body = Vec::new();
        stream.read_to_end(&mut body).unwrap();
        assert_eq!(body.len(), BODY_BYTES, "{from}");
        assert!(body.iter().all(|byte| *byte == 7));
    }
}

/// Answers every connection with the same bytes.
fn serve(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        std::thread::spawn(move || {
            let _ = stream.read_exact(&mut [0]);
            let _ = stream.write_all(&vec![7; BODY_BYTES]);
        });
    }
}

/// Waits for an event; its never coming is a failure.
fn wait_for(mut happened: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !happened() {
        assert!(std::time::Instant::now() < deadline, "it never came");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn no_range() -> bool {
    let missing = !Range::object().is_file();
    if missing {
        println!("SKIP: no shooting range: run `cargo xtask ebpf` first");
    }
    missing
}

#[test]
fn strangers_are_answered_with_cookies_that_the_stack_accepts() {
    if no_range() {
        return;
    }
    // Without a hidden offset the answers carry timestamps, a window scale and SACK; else a segment size.
    // As Linux comes, the stack wants cookies only once the listener's queue is full.
    for (cookies, timestamps) in [(2, 1), (2, 2), (1, 1)] {
        let Some(story) = Story::begin(cookies, timestamps) else { return };
        story.flooded(SYN, || {
            for from in CLIENTS {
                for _ in 0..DOWNLOADS / CLIENTS.len() {
                    story.download(from);
                }
            }
        });
        let (answered, dropped) = (story.counted("syn_cookie"), story.counted("syn_budget"));
        assert!(
            answered > u64::from(VOLLEY) / 2,
            "tcp_syncookies = {cookies}: {answered} answered"
        );
        assert_eq!(dropped, 0);
    }
}

#[test]
fn segments_of_no_connection_are_dropped_and_those_of_one_pass() {
    if no_range() {
        return;
    }
    let Some(story) = Story::begin(2, 1) else { return };
    story.flooded(ACK, || {
        for from in CLIENTS {
            story.download(from);
        }
    });
    let strays = story.counted("stray");
    // Of a volley some packets are lost on a busy machine before any program sees them.
    assert!(strays > u64::from(VOLLEY) / 2, "{strays} strays");
}

#[test]
fn a_flood_of_new_flows_leaves_the_tables_of_good_clients_alone() {
    if no_range() {
        return;
    }
    let Some(story) = Story::begin(2, 1) else { return };
    let good = CLIENTS[0].parse().unwrap();
    story.download(CLIENTS[0]);
    let before = story.maps.flows().unwrap().into_iter().find(|row| row.remote.ip() == good);
    let before = before.expect("the good client's flow");
    // A thousand times what the tables of the test hold.
    let start = story.counted("syn_cookie");
    story.flooded(SYN, || wait_for(|| story.counted("syn_cookie") > start + 1_000_000));
    let after = story.maps.flows().unwrap().into_iter().find(|row| row.remote == before.remote);
    let after = after.expect("still there");
    assert_eq!((after.packets, after.bytes), (before.packets, before.bytes));
    assert!(story.maps.why(good).unwrap().proven);
}
