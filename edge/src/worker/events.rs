//! What the kernel finished, and whose it is.

use super::conns::Name;
use super::door::{self, Heard};
use super::{ACCEPT_RETRY_MS, Worker, secure, send};
use crate::ring::{Buffer, Event, EventKind, Io};

/// Token of the inbox's eventfd.
pub(super) const WATCH: u64 = 1 << 56;
const ACCEPT: u64 = 2 << 56;

/// What was armed on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Receive = 3,
    Writable = 4,
    Cold = 5,
}

impl Kind {
    /// The ring's token for it.
    pub(super) fn of(self, name: Name) -> u64 {
        (self as u64) << 56 | name.bits()
    }
}

/// The ring's token of a listener.
pub(super) fn accept_token(index: usize) -> u64 {
    ACCEPT | index as u64
}

impl<I: Io> Worker<I> {
    pub(super) fn handle_event(&mut self, event: Event<I::Socket>) {
        let name = Name::from_bits(event.token);
        match event.kind {
            EventKind::Accepted(result) => self.handle_accepted(event.token, event.more, result),
            EventKind::Received(result) => self.handle_received(name, event.more, result),
            EventKind::Writable(result) => self.handle_writable(name, result),
            EventKind::Spliced(result) => self.handle_spliced(name, result),
            EventKind::Woken => {
                self.inbox.mailbox.acknowledge();
                if !event.more {
                    self.watch = None;
                }
            }
        }
    }

    fn handle_accepted(
        &mut self,
        token: u64,
        more: bool,
        result: std::io::Result<(I::Socket, std::net::SocketAddr)>,
    ) {
        let door = self.doors.get_mut((token & 0xffff_ffff) as usize);
        let manner = door.as_ref().map(|door| door.manner.clone()).unwrap_or_default();
        if let Some(door) = door.filter(|_| !more) {
            door.armed = None;
            if result.as_ref().is_err_and(|error| !is_one_clients(error)) {
                door.retry_ms = self.now.mono_ms + ACCEPT_RETRY_MS;
            }
        }
        match result {
            Ok((socket, _)) if self.conns.is_full() => {
                self.metrics.conns_refused.add(1);
                self.io.close(socket);
            }
            Ok((socket, peer)) => self.welcome(socket, peer, &manner),
            Err(error) if is_one_clients(&error) => {}
            Err(error) => {
                self.metrics.conns_refused.add(1);
                tracing::warn!(%error, "accept failed; trying again");
            }
        }
    }

    fn handle_received(&mut self, name: Name, more: bool, result: std::io::Result<Buffer>) {
        if let Ok(buffer) = &result {
            self.metrics.received_bytes.add(buffer.len() as u64);
        }
        let Some(conn) = self.conns.find(name) else {
            if let Ok(buffer) = result {
                self.io.recycle(buffer);
            }
            return;
        };
        if !more {
            conn.receive = None;
            conn.pausing = false;
        }
        match result {
            Ok(buffer) => {
                let bytes = self.io.bytes(&buffer);
                let (metrics, scratch, now) = (&*self.metrics, &mut self.scratch, self.now);
                let heard = match &mut conn.greeting {
                    Some(_) => door::greet(metrics, &self.shared.desk, conn, bytes, scratch, now),
                    None => door::hear(metrics, conn, bytes, scratch, now),
                };
                self.io.recycle(buffer);
                match heard {
                    Heard::Well => {}
                    Heard::Broken => secure::give_up(&mut self.io, conn),
                    Heard::Refused => return self.close(name),
                }
            }
            // Out of buffers, or cancelled to pause: armed again when the connection settles.
            Err(error) if matches!(error.raw_os_error(), Some(NO_BUFFERS | CANCELLED)) => {}
            Err(_) => send::hang_up(&mut self.io, conn),
        }
        self.drive(name);
    }

    fn handle_writable(&mut self, name: Name, result: std::io::Result<()>) {
        let Some(conn) = self.conns.find(name) else { return };
        conn.writable = None;
        if result.is_err() {
            send::hang_up(&mut self.io, conn);
        }
        self.drive(name);
    }

    fn handle_spliced(&mut self, name: Name, result: std::io::Result<usize>) {
        let Some(conn) = self.conns.find(name) else { return };
        conn.cold = None;
        if let Some(http2) = &mut conn.http2 {
            // The bytes are in the page cache now: that was all.
            if let Some(mut pipe) = conn.pipe.take() {
                let moved = result.as_ref().copied().unwrap_or_default();
                self.io.spliced_in(&mut pipe, moved);
                self.io.return_pipe(pipe);
            }
            http2.handle_cold(result);
            return self.drive(name);
        }
        match (result, &mut conn.pipe) {
            (Ok(moved), Some(pipe)) if moved > 0 => {
                self.io.spliced_in(pipe, moved);
                conn.session.handle_staged(moved);
            }
            // Nothing moved: the file is shorter than it was, or the disk failed.
            (Ok(_), Some(_)) => conn.session.handle_unreadable(),
            (Err(error), Some(_)) if send::is_of_disk(&error) => conn.session.handle_unreadable(),
            _ => send::hang_up(&mut self.io, conn),
        }
        self.drive(name);
    }
}

/// Whether an accept failed for that connection only (or was cancelled by us).
fn is_one_clients(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::ConnectionAborted || error.raw_os_error() == Some(CANCELLED)
}

/// `ECANCELED` and `ENOBUFS` as the ring reports them.
const CANCELLED: i32 = 125;
const NO_BUFFERS: i32 = 105;
