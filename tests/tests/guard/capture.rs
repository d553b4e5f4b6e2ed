//! Counting packets the way tcpdump sees them: an `AF_PACKET` socket on the sender's end.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, eth, sockopt};

use crate::frames::{TCP, UDP};

/// Source, destination, protocol.
pub type Flow = (SocketAddr, SocketAddr, u8);
/// Packets, bytes with the Ethernet header.
pub type Counts = [u64; 2];

/// Room for packets not counted yet; a lost one would be a wrong count.
const BUFFER_BYTES: usize = 64 << 20;

/// Counts every IP packet of a network namespace, by flow.
pub struct Capture {
    flows: Arc<Mutex<HashMap<Flow, Counts>>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    /// Starts in the calling thread's network namespace.
    pub fn start() -> Capture {
        let socket = rustix::net::socket_with(
            AddressFamily::PACKET,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(eth::ALL),
        )
        .expect("a packet socket");
        sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES).expect("its buffer");
        let tick = Some(Duration::from_millis(20));
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, tick).expect("its time-out");
        let flows = Arc::new(Mutex::new(HashMap::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (flows.clone(), stop.clone());
        let reader = std::thread::spawn(move || {
            while !stopped.load(Relaxed) {
                count(&socket, &shared);
            }
        });
        Capture { flows, stop, reader: Some(reader) }
    }

    /// What was seen so far from `sources`.
    pub fn seen_from(&self, sources: &[IpAddr]) -> HashMap<Flow, Counts> {
        let flows = self.flows.lock().unwrap();
        flows
            .iter()
            .filter(|((from, _, _), _)| sources.contains(&from.ip()))
            .map(|(flow, counts)| (*flow, *counts))
            .collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Counts one packet, if one comes.
fn count(socket: &OwnedFd, flows: &Mutex<HashMap<Flow, Counts>>) {
    let mut head = [0u8; 128];
    // `TRUNC`: the whole length, whatever the buffer holds.
    let Ok((_, bytes)) = rustix::net::recv(socket, &mut head[..], RecvFlags::TRUNC) else {
        return;
    };
    if let Some(flow) = flow(&head) {
        let mut flows = flows.lock().unwrap();
        let counts = flows.entry(flow).or_default();
        counts[0] += 1;
        counts[1] += bytes as u64;
    }
}

/// An independent, plain reading of untagged frames without IPv6 extension headers.
fn flow(frame: &[u8; 128]) -> Option<Flow> {
    let (from, to, protocol, ports): (IpAddr, IpAddr, u8, usize) = match frame[12..14] {
        [0x08, 0x00] => {
            let address = |at| Ipv4Addr::from_octets(frame[at..at + 4].try_into().unwrap()).into();
            (address(26), address(30), frame[23], 14 + usize::from(frame[14] & 15) * 4)
        }
        [0x86, 0xdd] => {
            let address = |at| Ipv6Addr::from_octets(frame[at..at + 16].try_into().unwrap()).into();
            (address(22), address(38), frame[20], 54)
        }
        _ => return None,
    };
    let port = |at: usize| match protocol {
        TCP | UDP => u16::from_be_bytes([frame[at], frame[at + 1]]),
        _ => 0,
    };
    Some(((from, port(ports)).into(), (to, port(ports + 2)).into(), protocol))
}
