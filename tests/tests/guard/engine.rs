//! The engine's verdicts in the kernel: a node in a network namespace of its own, enforcing at its
//! loopback, whose addresses stand for clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use edge::guard::{BanRow, Maps};
use edge_tests::process::eventually;
use edge_tests::{Client, Content, MIB, Node, NodeConfig, Origin, Page};

use crate::bpffs::Bpffs;
use edge_tests::netns::Host;

const ISO: Content = Content::new(96, 2 * MIB);
const SMALL: Content = Content::new(97, 3_000);
const GOOD: u8 = 2;
const BAD: u8 = 66;
/// Of the deny list's packets: nobody who is banned waits longer for an answer that never comes.
const NO_ANSWER: Duration = Duration::from_millis(300);

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

/// A node under guard, with what it needs around it.
struct Stage {
    node: Node,
    maps: Maps,
    _origin: Origin,
}

impl Stage {
    /// With `lines` in `[guard]`.
    fn new(bpffs: &Bpffs, lines: &[&str]) -> Stage {
        let origin = Origin::with("/iso", Page::of(ISO));
        origin.put("/small", Page::of(SMALL));
        let access = "[site.access]\ndeny_agents = [\"leech*\"]";
        let config = NodeConfig::default().site("*", &origin.url(), &[access]);
        let config = config.guarded(&bpffs.pin_dir());
        let config = config.guard("exempt_loopback = false").server("head_timeout = \"1s\"");
        let node = Node::start(lines.iter().fold(config, |config, line| config.guard(line)));
        let maps = Maps::open(&bpffs.pin_dir()).expect("the node's maps");
        Stage { node, maps, _origin: origin }
    }

    fn connect(&self, last: u8) -> Client {
        Client::connect_from(address(last), self.node.addr())
    }

    /// A good client's day: every answer is whole.
    fn behave(&self, last: u8) {
        let mut client = self.connect(last);
        SMALL.expect(0..SMALL.len, &client.get("/small").expect_status(200).body);
    }

    fn ban_of(&self, last: u8) -> Option<BanRow> {
        let bans = self.maps.bans().expect("the list");
        bans.into_iter().find(|ban| ban.prefix.contains(address(last)))
    }

    /// The ban, once it has come to the kernel.
    #[track_caller]
    fn banned(&self, last: u8) -> BanRow {
        eventually("the ban in the kernel's list", || self.ban_of(last))
    }

    fn dropped(&self, reason: &str) -> u64 {
        let totals = self.maps.totals().expect("totals");
        totals.iter().find(|row| row.reason == reason).map_or(0, |row| row.dropped_packets)
    }

    /// Knocks; whether anybody opened.
    fn knock(&self, last: u8) -> bool {
        knock(address(last), self.node.addr())
    }
}

fn knock(from: IpAddr, to: SocketAddr) -> bool {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, getpeername};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
    let socket = socket.expect("a socket");
    bind(&socket, &SocketAddr::new(from, 0)).expect("its address");
    // What is on its way is not there yet.
    let _ = connect(&socket, &to);
    let deadline = Instant::now() + NO_ANSWER;
    while Instant::now() < deadline {
        if getpeername(&socket).is_ok_and(|peer| peer.is_some()) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

/// Tells `story` inside a namespace with a loopback; where that cannot be, says why.
pub fn alone(story: impl FnOnce(&Bpffs) + Send) {
    let Some(bpffs) = Bpffs::mount() else { return };
    if crate::bpffs::load(&bpffs.config()).is_none() {
        return;
    }
    let _ = std::fs::remove_dir_all(bpffs.pin_dir());
    match Host::alone() {
        Ok(host) => host.run(|| story(&bpffs)),
        Err(why) => println!("SKIP: no network namespaces: {why}"),
    }
}

/// What one kind of abuse looks like, the rule against it, and what the kernel counts it under.
type Abuse = (&'static str, &'static str, fn(&Stage));

const ABUSES: [Abuse; 8] = [
    ("requests", "flood", |stage| {
        let mut client = stage.connect(BAD);
        (0..40).any(|_| asks(&mut client, "/small", &[]));
    }),
    ("errors", "scan", |stage| {
        let mut client = stage.connect(BAD);
        (0..40).any(|_| asks(&mut client, "/no-such-thing", &[]));
    }),
    ("object_requests", "flood", |stage| {
        let mut client = stage.connect(BAD);
        (0..40).any(|_| asks(&mut client, "/iso", &[("Range", "bytes=0-0")]));
    }),
    // Resume waste: the same bytes, again and again.
    ("object_bytes", "abuse", |stage| {
        (0..40).any(|_| asks(&mut stage.connect(BAD), "/iso", &[("Range", "bytes=0-1048575")]));
    }),
    ("ranges", "abuse", |stage| {
        let ranges: Vec<_> = (0..20).map(|n| format!("{}-{}", n * 20, n * 20)).collect();
        let field = format!("bytes={}", ranges.join(","));
        let mut client = stage.connect(BAD);
        (0..40).any(|_| asks(&mut client, "/small", &[("Range", &field)]));
    }),
    ("malformed", "scan", |stage| {
        for _ in 0..40 {
            let Ok(mut client) = try_connect(stage) else { return };
            let _ = client.try_send("\0\r\n\r\n");
            if client.response("GET").is_err() {
                return;
            }
        }
    }),
    // Those who are not let in, and try again.
    ("auth", "scan", |stage| {
        let mut client = stage.connect(BAD);
        (0..40).any(|_| asks(&mut client, "/small", &[("User-Agent", "Leech/1")]));
    }),
    // Heads that never end.
    ("slow", "abuse", |stage| {
        let mut clients: Vec<_> = (0..20).map_while(|_| try_connect(stage).ok()).collect();
        for client in &mut clients {
            let _ = client.try_send("GET / HTTP/1.1\r\nX-");
        }
        for client in &mut clients {
            let _ = client.response("GET");
        }
    }),
];

fn try_connect(stage: &Stage) -> Result<Client, ()> {
    match stage.ban_of(BAD) {
        None => Ok(stage.connect(BAD)),
        Some(_) => Err(()),
    }
}

/// Asks once; whether that was once too often.
fn asks(client: &mut Client, target: &str, fields: &[(&str, &str)]) -> bool {
    client.request("GET", target, fields);
    client.response("GET").is_err()
}

#[test]
fn every_kind_of_abuse_ends_in_the_kernels_list_with_its_reason() {
    for (rule, reason, abuse) in ABUSES {
        alone(|bpffs| {
            let units = if rule == "object_bytes" { "\"64KiB\"" } else { "1" };
            let burst = if rule == "object_bytes" { "\"3MiB\"" } else { "10" };
            let limit = format!(
                "[[guard.limit]]\non = \"{rule}\"\nrate = {units}\nburst = {burst}\nthen = \"ban\"\nfor = \"5m\""
            );
            // Rules of one client: the others of the defaults stay.
            let stage = Stage::new(bpffs, &["allow = [\"127.0.0.1\"]", &limit]);
            stage.behave(GOOD);
            abuse(&stage);
            let ban = stage.banned(BAD);
            assert_eq!((ban.reason, ban.prefix.is_host()), (reason, true), "{rule}: {ban:?}");
            assert!(ban.remaining_ms.is_some_and(|ms| ms <= 300_000), "{rule}: {ban:?}");
            let before = stage.dropped(reason);
            assert!(!stage.knock(BAD), "{rule}: a banned client is let in");
            assert!(
                stage.dropped(reason) > before,
                "{rule}: its packets are dropped under {reason}"
            );
            stage.behave(GOOD);
            let why = stage.node.admin_json(&format!("/why?address={}", address(BAD)));
            let decision = why["decision"].as_str().unwrap_or_default();
            assert!(decision.starts_with(&format!("banned: rule {rule}")), "{decision}");
        });
    }
}

#[test]
fn bans_of_the_engine_outlive_the_node_and_end_when_an_operator_says_so() {
    alone(|bpffs| {
        let limit =
            "[[guard.limit]]\non = \"errors\"\nrate = 1\nburst = 5\nthen = \"ban\"\nfor = \"1h\"";
        let mut stage = Stage::new(bpffs, &["allow = [\"127.0.0.1\"]", limit]);
        let mut client = stage.connect(BAD);
        (0..40).any(|_| asks(&mut client, "/no-such-thing", &[]));
        let ban = stage.banned(BAD);
        for kill in [true, false] {
            match kill {
                true => stage.node.kill9(),
                false => {
                    stage.node.sigterm();
                    stage.node.wait();
                }
            }
            stage.node.start_again();
            stage.maps = Maps::open(&bpffs.pin_dir()).expect("the maps that were kept");
            let kept = stage.ban_of(BAD).expect("the ban after a restart");
            assert_eq!((kept.prefix, kept.reason), (ban.prefix, ban.reason));
            assert!(kept.remaining_ms < ban.remaining_ms, "its end stays where it was: {kept:?}");
            assert!(!stage.knock(BAD), "after a restart it is let in");
            stage.behave(GOOD);
        }
        stage.maps.unban(ban.prefix).expect("an end");
        assert!(stage.knock(BAD));
        eventually("the node forgives as well", || {
            let mut client = stage.connect(BAD);
            client.request("GET", "/small", &[]);
            client.response("GET").ok().filter(|response| response.head.status == 200)
        });
    });
}

#[test]
fn a_port_the_kernel_chose_keeps_its_limits_at_a_reload() {
    alone(|bpffs| {
        let lines = ["syn_rate = 1", "syn_burst = 3", "allow = [\"127.0.0.1\"]"];
        let stage = Stage::new(bpffs, &lines);
        stage.behave(GOOD);
        stage.node.sighup();
        eventually("the reload", || (stage.node.log_count("reloaded") > 0).then_some(()));
        let let_in = (0..20).filter(|_| stage.knock(BAD)).count();
        assert!(stage.dropped("syn_rate") > 0 && let_in < 20, "{let_in} of 20 got in");
    });
}
