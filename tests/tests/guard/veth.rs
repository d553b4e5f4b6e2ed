//! The story of a ban, told with real packets.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use edge::config::{self, GuardMode};
use edge::guard::{AttachMode, Guard, GuardNote, Maps};
use edge_common::reason;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::bpffs::{Bpffs, load};
use crate::capture::{Capture, Counts, Flow};
use edge_tests::netns::{CLIENTS, Host, SERVER, SERVER_INTERFACE, cable};

/// Datagrams a client sends to see which arrive.
const VOLLEY: usize = 32;
const UPLOAD_BYTES: usize = 3 << 20;

#[test]
fn a_banned_address_stops_and_the_others_go_on() {
    let Some(bpffs) = Bpffs::mount() else { return };
    if load(&bpffs.config()).is_none() {
        return;
    }
    let (client, server) = match cable() {
        Ok(hosts) => hosts,
        Err(why) => return println!("SKIP: no network namespaces: {why}"),
    };
    let enforce = config::Guard { interfaces: vec![SERVER_INTERFACE.to_owned()], ..bpffs.config() };
    let observe = config::Guard { mode: GuardMode::Observe, ..enforce.clone() };

    let (mut guard, notes) = server.run(|| Guard::start(&enforce));
    assert!(
        matches!(&notes[..], [GuardNote::Attached { mode: AttachMode::Native, .. }]),
        "{notes:?}"
    );
    assert!(server.ip(&["link", "show", SERVER_INTERFACE]).unwrap().contains("xdp"));
    let mut other_process = Maps::open(&bpffs.pin_dir()).unwrap();

    the_map_counts_what_a_capture_counts(&client, &server, &other_process);

    let network = Network::new(&client, &server);
    let [bad, good, _] = CLIENTS;
    let everything = HashMap::from([(bad, VOLLEY), (good, VOLLEY)]);
    let good_only = HashMap::from([(bad, 0), (good, VOLLEY)]);
    assert_eq!(network.volley(), everything, "before the ban");

    other_process.ban(bad.parse().unwrap(), reason::ABUSE, None).unwrap();
    let before = dropped(&other_process);
    assert_eq!(network.volley(), good_only, "banned");
    assert_eq!(dropped(&other_process) - before, VOLLEY as u64);

    server.run(|| guard.reload(&observe));
    let before = dropped(&other_process);
    assert_eq!(network.volley(), everything, "banned, but only observed");
    assert_eq!(dropped(&other_process), before);
    let ban = other_process.bans().unwrap()[0];
    assert_eq!(ban.packets, 2 * VOLLEY as u64, "what would have been dropped is counted too");

    let notes = server.run(|| guard.reload(&enforce));
    assert!(notes.is_empty(), "an interface that stays is not touched: {notes:?}");
    assert_eq!(network.volley(), good_only, "enforced again");

    other_process.unban(bad.parse().unwrap()).unwrap();
    assert_eq!(network.volley(), everything, "unbanned");

    drop(guard);
    assert!(!server.ip(&["link", "show", SERVER_INTERFACE]).unwrap().contains("xdp"));
}

#[test]
fn where_the_driver_has_no_hook_the_stack_has_one() {
    let Some(bpffs) = Bpffs::mount() else { return };
    if load(&bpffs.config()).is_none() {
        return;
    }
    let (_client, server) = match cable() {
        Ok(hosts) => hosts,
        Err(why) => return println!("SKIP: no network namespaces: {why}"),
    };
    // The loopback of a namespace of ours, not the machine's.
    server.ip(&["link", "set", "lo", "up"]).unwrap();
    let interfaces = vec!["none-such".to_owned(), "lo".to_owned()];
    let config = config::Guard { interfaces, ..bpffs.config() };
    let (guard, notes) = server.run(|| Guard::start(&config));
    assert_eq!(guard.state().interfaces, [("lo".to_owned(), AttachMode::Generic)], "{notes:?}");
    assert_eq!(notes[0].to_string(), "guard not attached to none-such: no such interface");
    let echoed = server.run(|| {
        let (from, to) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        to.set_read_timeout(Some(Duration::from_secs(10)))?;
        from.send_to(b"hello", to.local_addr()?)?;
        to.recv(&mut [0; 16])
    });
    assert_eq!(echoed.unwrap(), 5);
    let flows = guard.maps().unwrap().flows().unwrap();
    assert_eq!(flows.len(), 1, "{flows:?}");
    assert_eq!((flows[0].packets, flows[0].bytes), (1, 14 + 20 + 8 + 5));
}

/// Uploads over TCP from every client, and compares every flow with the sender's capture.
fn the_map_counts_what_a_capture_counts(client: &Host, server: &Host, maps: &Maps) {
    let capture = client.run(Capture::start);
    for from in CLIENTS {
        let to = if from.contains(':') { SERVER[1] } else { SERVER[0] };
        upload(client, server, from, to);
    }
    let sources = CLIENTS.map(|address| address.parse().unwrap());
    let deadline = Instant::now() + Duration::from_secs(10);
    // Acknowledgements of the closing may still be under way.
    loop {
        let (seen, counted) = (capture.seen_from(&sources), counted_from(maps, &sources));
        if seen == counted || Instant::now() > deadline {
            assert_eq!(counted, seen, "flows in the map (left), in the capture (right)");
            let uploads: Vec<_> = seen.iter().filter(|((_, _, kind), _)| *kind == 6).collect();
            assert_eq!(uploads.len(), CLIENTS.len(), "{seen:?}");
            for (flow, [_, bytes]) in uploads {
                assert!(*bytes > UPLOAD_BYTES as u64, "{flow:?}: {bytes} bytes");
            }
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn counted_from(maps: &Maps, sources: &[IpAddr]) -> HashMap<Flow, Counts> {
    let flows = maps.flows().unwrap();
    flows
        .iter()
        .filter(|row| sources.contains(&row.remote.ip()))
        .map(|row| ((row.remote, row.local, row.protocol), [row.packets, row.bytes]))
        .collect()
}

/// Sends a few megabytes; both ends have closed when it returns.
fn upload(client: &Host, server: &Host, from: &str, to: &str) {
    let listener = server.run(|| TcpListener::bind((to, 0))).unwrap();
    let to = listener.local_addr().unwrap();
    let receiver = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let received = std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
        stream.write_all(&received.to_be_bytes()).unwrap();
    });
    let mut stream = client.run(|| connect(from, to));
    stream.write_all(&vec![7; UPLOAD_BYTES]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert_eq!(received, (UPLOAD_BYTES as u64).to_be_bytes());
    receiver.join().unwrap();
}

/// A connection from an address of the caller's choice.
pub fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = SocketType::STREAM;
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None).unwrap();
    let from: IpAddr = from.parse().unwrap();
    rustix::net::bind(&socket, &SocketAddr::new(from, 0)).unwrap();
    rustix::net::connect(&socket, &to).unwrap();
    socket.into()
}

fn dropped(maps: &Maps) -> u64 {
    let totals = maps.totals().unwrap();
    totals.iter().map(|row| row.dropped_packets).sum()
}

/// Datagrams from two clients, and which of them arrived.
struct Network {
    bad: UdpSocket,
    good: UdpSocket,
    server: UdpSocket,
}

impl Network {
    fn new(client: &Host, server: &Host) -> Network {
        let server = server.run(|| UdpSocket::bind((SERVER[0], 0))).unwrap();
        server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let to = server.local_addr().unwrap();
        let [bad, good] =
            [CLIENTS[0], CLIENTS[1]].map(|from| client.run(|| UdpSocket::bind((from, 0))).unwrap());
        bad.connect(to).unwrap();
        good.connect(to).unwrap();
        Network { bad, good, server }
    }

    /// Datagrams received, by client. The good client's last one marks the end: one cable, one
    /// queue, so what has not arrived before it does not arrive.
    fn volley(&self) -> HashMap<&'static str, usize> {
        for index in 0..VOLLEY {
            let last = index + 1 == VOLLEY;
            self.bad.send(&[0]).unwrap();
            self.good.send(&[u8::from(last)]).unwrap();
        }
        let mut received = HashMap::from([(CLIENTS[0], 0), (CLIENTS[1], 0)]);
        let mut byte = [0];
        while byte != [1] {
            let (_, from) = self.server.recv_from(&mut byte).expect("the good client's last one");
            let from = from.ip().to_string();
            let client = CLIENTS.into_iter().find(|client| *client == from).unwrap();
            *received.entry(client).or_default() += 1;
        }
        received
    }
}
