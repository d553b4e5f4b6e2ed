//! Holding sockets to the rates of their answers. The kernel paces: nothing is timed here but the sharing
//! of caps, once for all of a worker's connections.

use super::Worker;
use super::conns::{Conn, Name};
use crate::clock::Now;
use crate::ring::Io;

/// How often shares of caps follow the number of answers, ms.
const SHARE_EVERY_MS: u64 = 200;

/// Connections whose answers share a cap, and when their shares are looked at.
pub(super) struct Sharing {
    names: Vec<Name>,
    pub(super) due_ms: u64,
}

impl Default for Sharing {
    fn default() -> Sharing {
        Sharing { names: Vec::new(), due_ms: u64::MAX }
    }
}

impl Sharing {
    pub(super) fn add(&mut self, name: Name, now: Now) {
        self.names.push(name);
        self.due_ms = self.due_ms.min(now.mono_ms + SHARE_EVERY_MS);
    }
}

/// Tells the socket of a connection what its answer is held to, if that is something new.
pub(super) fn follow<I: Io>(io: &mut I, conn: &mut Conn<I>) {
    let wanted = conn.session.pace_bytes_per_s();
    hold(io, conn, wanted);
}

/// Holds the socket to `wanted` bytes a second; 0: to nothing.
pub(super) fn hold<I: Io>(io: &mut I, conn: &mut Conn<I>, wanted: u64) {
    if wanted != conn.paced {
        conn.paced = wanted;
        io.pace(&conn.socket, wanted);
    }
}

impl<I: Io> Worker<I> {
    /// Gives each answer its share of its site's cap.
    pub(super) fn share_caps(&mut self) {
        if self.now.mono_ms < self.sharing.due_ms {
            return;
        }
        let (io, conns) = (&mut self.io, &mut self.conns);
        self.sharing.names.retain(|name| {
            let Some(conn) = conns.find(*name) else { return false };
            conn.sharing = conn.session.shares_a_cap();
            if conn.sharing {
                follow(io, conn);
            }
            conn.sharing
        });
        self.sharing.due_ms = match self.sharing.names.is_empty() {
            true => u64::MAX,
            false => self.now.mono_ms + SHARE_EVERY_MS,
        };
    }
}
