//! What TCP knows of connections: what was delivered, and how many a client holds.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use edge::guard::{ConnRow, Guard, GuardNote, Maps};

use crate::bpffs::{Bpffs, load};
use crate::veth::connect;
use edge_tests::netns::{CLIENTS, Host, SERVER, SERVER_INTERFACE, cable};

const ANSWER_BYTES: usize = 5 << 20;
const QUESTION: &[u8] = b"all of it, please";
const CONNS_MAX: u64 = 3;

/// Two hosts, a guard, and a listener on a port it serves.
struct Story {
    client: Host,
    _server: Host,
    listener: TcpListener,
    maps: Maps,
    _guard: Guard,
    _bpffs: Bpffs,
}

impl Story {
    /// `None`, with a line, where it cannot be told.
    fn begin() -> Option<Story> {
        let bpffs = Bpffs::mount()?;
        load(&bpffs.config())?;
        let (client, server) = match cable() {
            Ok(hosts) => hosts,
            Err(why) => {
                println!("SKIP: no network namespaces: {why}");
                return None;
            }
        };
        let listener = server.run(|| TcpListener::bind(("::", 0))).unwrap();
        let mut config = bpffs.config();
        config.interfaces = vec![SERVER_INTERFACE.to_owned()];
        config.rules.served_ports = vec![listener.local_addr().unwrap().port()];
        config.rules.conns_max = CONNS_MAX;
        let (guard, notes) = server.run(|| Guard::start(&config));
        if let Some(note) = notes.iter().find(|n| matches!(n, GuardNote::NotFollowing { .. })) {
            println!("SKIP: {note}");
            return None;
        }
        let maps = Maps::open(&bpffs.pin_dir()).unwrap();
        Some(Story { client, _server: server, listener, maps, _guard: guard, _bpffs: bpffs })
    }

    fn connect(&self, from: &str) -> TcpStream {
        let to = if from.contains(':') { SERVER[1] } else { SERVER[0] };
        let to = SocketAddr::new(to.parse().unwrap(), self.listener.local_addr().unwrap().port());
        self.client.run(|| connect(from, to))
    }

    /// A connection and what the server has of it.
    fn pair(&self, from: &str) -> (TcpStream, TcpStream) {
        let near = self.connect(from);
        (near, self.listener.accept().unwrap().0)
    }

    fn conn(&self, remote: SocketAddr) -> Option<ConnRow> {
        self.maps.conns().unwrap().into_iter().find(|conn| conn.remote == remote)
    }

    fn dropped(&self, reason: &str) -> u64 {
        let totals = self.maps.totals().unwrap();
        totals.iter().find(|row| row.reason == reason).unwrap().dropped_packets
    }
}

#[test]
fn what_was_delivered_is_known_to_the_byte() {
    let Some(story) = Story::begin() else { return };
    for from in CLIENTS {
        let (mut near, mut far) = story.pair(from);
        let name = near.local_addr().unwrap();
        wait("it is established", || {
            story.conn(name).is_some_and(|conn| conn.state == "established")
        });
        near.write_all(QUESTION).unwrap();
        let server = std::thread::spawn(move || {
            far.read_exact(&mut [0; QUESTION.len()]).unwrap();
            far.write_all(&vec![7; ANSWER_BYTES]).unwrap();
            far.shutdown(Shutdown::Write).unwrap();
            // The client's end, too.
            assert_eq!(far.read(&mut [0]).unwrap(), 0);
        });
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).unwrap();
        assert_eq!(answer.len(), ANSWER_BYTES);
        drop(near);
        server.join().unwrap();
        wait("it is closed", || story.conn(name).is_some_and(|conn| conn.state == "closed"));
        let conn = story.conn(name).unwrap();
        assert_eq!(conn.acked_bytes, ANSWER_BYTES as u64, "{conn:?}");
        // One more for the end of the stream.
        assert!(conn.received_bytes.abs_diff(QUESTION.len() as u64) <= 1, "{conn:?}");
        assert!(conn.round_trip_us > 0, "{conn:?}");
        assert_eq!(conn.local.port(), story.listener.local_addr().unwrap().port());
    }
    assert_eq!(story.maps.conns().unwrap().len(), CLIENTS.len());
}

#[test]
fn who_holds_too_many_connections_gets_no_more_and_others_do() {
    let Some(story) = Story::begin() else { return };
    let [hoarder, other, _] = CLIENTS;
    let mut held: Vec<_> = (0..CONNS_MAX).map(|_| story.pair(hoarder)).collect();
    std::thread::scope(|scope| {
        let one_more = scope.spawn(|| story.connect(hoarder));
        wait("an attempt is dropped", || story.dropped("conns") > 0);
        let (mut near, mut far) = story.pair(other);
        near.write_all(b"!").unwrap();
        far.read_exact(&mut [0]).unwrap();
        assert!(!one_more.is_finished(), "a connection over the cap");
        // What is held goes on.
        let (near, far) = held.last_mut().unwrap();
        near.write_all(b"!").unwrap();
        far.read_exact(&mut [0]).unwrap();
        // One given back makes room; the client's kernel asks again by itself.
        drop(held.pop());
        one_more.join().unwrap();
    });
    assert_eq!(story.dropped("syn_rate"), 0);
}

/// Waits for an event; its never coming is a failure.
fn wait(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
