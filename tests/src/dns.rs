//! A name server that answers what it is told, over UDP.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;

/// A running name server; ends when dropped.
pub struct Dns {
    shared: Arc<Shared>,
    addr: SocketAddr,
}

#[derive(Default)]
struct Shared {
    names: Mutex<HashMap<String, (Vec<IpAddr>, u32)>>,
    asked: Mutex<HashMap<String, u64>>,
    fails: AtomicBool,
    stopped: AtomicBool,
}

impl Dns {
    /// A server that knows no name.
    pub fn start() -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a loopback port");
        let addr = socket.local_addr().expect("it is bound");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a time-out");
        let shared = Arc::new(Shared::default());
        let serving = shared.clone();
        std::thread::spawn(move || {
            let mut packet = [0; 1500];
            while !serving.stopped.load(SeqCst) {
                let Ok((len, from)) = socket.recv_from(&mut packet) else { continue };
                if let Some(answer) = serving.answer(&packet[..len]) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Dns { shared, addr }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on `name` stands for `ips`, for `ttl_s` seconds.
    pub fn set(&self, name: &str, ips: &[&str], ttl_s: u32) {
        let ips = ips.iter().map(|ip| ip.parse().expect("an address")).collect();
        lock(&self.shared.names).insert(name.to_owned(), (ips, ttl_s));
    }

    /// Whether it answers SERVFAIL to everything.
    pub fn fail(&self, fails: bool) {
        self.shared.fails.store(fails, SeqCst);
    }

    /// How often it was asked for an address of `name`.
    pub fn asked(&self, name: &str) -> u64 {
        lock(&self.shared.asked).get(name).copied().unwrap_or_default()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
    }
}

impl Shared {
    /// RFC 1035 §4.1: the question comes back, with its answers.
    fn answer(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let (mut at, mut labels) = (12, Vec::new());
        loop {
            let len = usize::from(*packet.get(at)?);
            at += 1;
            if len == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(packet.get(at..at + len)?).to_ascii_lowercase());
            at += len;
        }
        let kind = u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?);
        let name = labels.join(".");
        *lock(&self.asked).entry(name.clone()).or_default() += 1;
        let known = lock(&self.names).get(&name).cloned();
        let code = match (&known, self.fails.load(SeqCst)) {
            (_, true) => SERVFAIL,
            (None, _) => NXDOMAIN,
            _ => 0,
        };
        let (ips, ttl_s) = known.filter(|_| code == 0).unwrap_or_default();
        let fits = |ip: &&IpAddr| match kind {
            TYPE_A => ip.is_ipv4(),
            TYPE_AAAA => ip.is_ipv6(),
            _ => false,
        };
        let ips: Vec<&IpAddr> = ips.iter().filter(fits).collect();
        let mut answer = packet.get(..2)?.to_vec();
        answer.extend([0x81, 0x80 | code, 0, 1, 0, ips.len() as u8, 0, 0, 0, 0]);
        answer.extend(packet.get(12..at + 4)?);
        for ip in ips {
            let bytes = match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            answer.extend([0xc0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1]);
            answer.extend(ttl_s.to_be_bytes());
            answer.extend((bytes.len() as u16).to_be_bytes());
            answer.extend(bytes);
        }
        Some(answer)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
