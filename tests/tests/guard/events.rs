//! Single drops are reported: who, why, by which rule, and not too often.

use edge::config::{self, GuardLimit, GuardMode};
use edge::guard::{EventRow, Guard};

use crate::bpffs::{Bpffs, load};
use crate::frames::*;
use edge_tests::netns::{CLIENTS, SERVER, SERVER_INTERFACE, cable};

const SLOW: GuardLimit = GuardLimit { per_s: 1, burst: 1 };
const ATTEMPTS: usize = 200;

#[test]
fn drops_are_reported_at_a_bounded_rate() {
    let Some(bpffs) = Bpffs::mount() else { return };
    if load(&bpffs.config()).is_none() {
        return;
    }
    let (client, server) = match cable() {
        Ok(hosts) => hosts,
        Err(why) => return println!("SKIP: no network namespaces: {why}"),
    };
    let mut config = config::Guard {
        mode: GuardMode::Enforce,
        interfaces: vec![SERVER_INTERFACE.to_owned()],
        ..bpffs.config()
    };
    config.rules.udp = config::GuardPolicy::Limit;
    config.rules.packets = SLOW;
    let (mut guard, notes) = server.run(|| Guard::start(&config));
    assert!(!guard.state().interfaces.is_empty(), "{notes:?}");
    let socket = client.run(|| std::net::UdpSocket::bind((CLIENTS[0], 0))).unwrap();
    for _ in 0..ATTEMPTS {
        socket.send_to(b"hello", (SERVER[0], SERVER_PORT)).unwrap();
    }
    let events: Vec<EventRow> = guard.events();
    assert!(!events.is_empty() && events.len() < ATTEMPTS / 2, "{} reports", events.len());
    for event in &events {
        assert_eq!((event.reason, event.rule), ("packet_rate", "guard.packet_rate"));
        assert_eq!(event.client, socket.local_addr().unwrap());
        assert_eq!((event.local.port(), event.protocol), (SERVER_PORT, UDP));
        assert!(event.dropped && event.bytes == 14 + 20 + 8 + 5);
    }
    assert!(guard.events().is_empty(), "each is told once");
}
