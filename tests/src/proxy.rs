//! A TCP relay that cuts connections: a bad line between a client and the node.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A running relay; ends when dropped.
pub struct CutProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    /// Bytes towards the client after which each of the next connections is cut, last one first.
    cuts: Mutex<Vec<u64>>,
    cut_count: AtomicUsize,
    stopped: AtomicBool,
}

impl CutProxy {
    /// Relays to `target`; the n-th connection is cut (RST) after `cuts[n]` bytes towards the
    /// client, later ones are left alone.
    pub fn start(target: SocketAddr, mut cuts: Vec<u64>) -> CutProxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let addr = listener.local_addr().expect("it is bound");
        cuts.reverse();
        let shared = Arc::new(Shared {
            target,
            cuts: Mutex::new(cuts),
            cut_count: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.stopped.load(SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                let shared = accepting.clone();
                std::thread::spawn(move || relay(&client, &shared));
            }
        });
        CutProxy { addr, shared }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections cut so far.
    pub fn cut_count(&self) -> usize {
        self.shared.cut_count.load(SeqCst)
    }
}

impl Drop for CutProxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        let _ = TcpStream::connect(self.addr);
    }
}

fn relay(client: &TcpStream, shared: &Shared) {
    let Ok(node) = TcpStream::connect(shared.target) else { return };
    let limit = shared.cuts.lock().expect("nothing panics under it").pop();
    let (Ok(from_client), Ok(to_node)) = (client.try_clone(), node.try_clone()) else { return };
    let there = std::thread::spawn(move || {
        copy(&from_client, &to_node, u64::MAX);
        let _ = to_node.shutdown(Shutdown::Write);
    });
    if copy(&node, client, limit.unwrap_or(u64::MAX)) {
        shared.cut_count.fetch_add(1, SeqCst);
        let zero = Some(Duration::ZERO);
        let _ = rustix::net::sockopt::set_socket_linger(client, zero);
    }
    // Both sides and the other direction end with this one.
    let _ = node.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Read);
    let _ = there.join();
    let _ = client.shutdown(Shutdown::Both);
}

/// Copies until the end or until `limit` bytes were written; whether it was the limit.
fn copy(mut from: &TcpStream, mut to: &TcpStream, limit: u64) -> bool {
    let mut buffer = vec![0; 64 * 1024];
    let mut left = limit;
    while left > 0 {
        let Ok(count @ 1..) = from.read(&mut buffer) else { return false };
        let count = left.min(count as u64) as usize;
        if to.write_all(&buffer[..count]).is_err() {
            return false;
        }
        left -= count as u64;
    }
    true
}
