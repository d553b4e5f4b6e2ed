//! What happens while the server waits.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Armed, BUFFER_BYTES, FakeRing, FakeSocket, Kind, OpId, PIPE_BYTES, SOCKET_BYTES};
use crate::ring::{Buffer, Event, EventKind};

impl FakeRing {
    /// Lets some of what can happen happen: all of it when calm, at least one thing always.
    pub(super) fn progress(&mut self) {
        for conn in &mut self.conns {
            conn.blocked = conn.blocked && self.dice.once_in(2);
        }
        let mut ready: Vec<OpId> =
            self.ops.iter().filter(|(_, op)| self.is_ready(op)).map(|(id, _)| id).collect();
        self.dice.shuffle(&mut ready);
        for (done, id) in ready.into_iter().enumerate() {
            if done == 0 || !self.dice.once_in(4) {
                self.complete(id);
            }
        }
    }

    /// Whether it can answer now.
    fn is_ready(&self, op: &Armed) -> bool {
        if op.ended || op.cancelled {
            return !op.ended;
        }
        match &op.kind {
            Kind::Accept(listener) => !self.listeners[*listener].waiting.is_empty(),
            Kind::Receive(conn) => {
                let conn = &self.conns[*conn];
                !conn.incoming.is_empty() || conn.finished || conn.reset
            }
            Kind::AwaitWritable(conn) => {
                let conn = &self.conns[*conn];
                conn.reset || !(conn.stalled || conn.blocked)
            }
            Kind::SpliceIn { .. } => true,
            Kind::Watch(eventfd) => is_readable(eventfd),
        }
    }

    /// Whether it answers now or after some waits.
    pub(super) fn will_answer(&self, op: &Armed) -> bool {
        let unblocks = match op.kind {
            Kind::AwaitWritable(conn) => !op.ended && !self.conns[conn].stalled,
            _ => false,
        };
        unblocks || self.is_ready(op)
    }

    fn complete(&mut self, id: OpId) {
        let Some(op) = self.ops.value_mut(id) else { return };
        let cancelled = op.cancelled;
        let kind = op.kind.clone();
        // What was about to happen may still win over a cancel.
        if cancelled && (!self.could_answer(&kind) || !self.dice.once_in(4)) {
            let event = cancelled_event(&kind);
            return self.end(id, event);
        }
        match kind {
            Kind::Accept(listener) => self.complete_accept(id, listener),
            Kind::Receive(conn) => self.complete_receive(id, conn),
            Kind::AwaitWritable(_) => self.end(id, EventKind::Writable(Ok(()))),
            Kind::SpliceIn { file, offset, len, pipe } => {
                let bytes = read_some(&file, offset, self.dice.part_of(len.clamp(1, PIPE_BYTES)));
                let result = bytes.map(|bytes| {
                    self.pipes[pipe].bytes.extend(&bytes);
                    bytes.len()
                });
                self.end(id, EventKind::Spliced(result));
            }
            Kind::Watch(_) => self.answer(id, EventKind::Woken, true),
        }
    }

    fn could_answer(&self, kind: &Kind) -> bool {
        self.is_ready(&Armed { token: 0, cancelled: false, ended: false, kind: kind.clone() })
    }

    fn complete_accept(&mut self, id: OpId, listener: usize) {
        if self.dice.once_in(32) {
            return self.end(id, EventKind::Accepted(Err(errno(libc::ECONNABORTED))));
        }
        let Some(conn) = self.listeners[listener].waiting.pop_front() else { return };
        self.conns[conn].open = true;
        let host = Ipv4Addr::new(192, 0, 2, (conn % 250) as u8 + 1);
        let peer = SocketAddr::from((host, 1024 + (conn % 60_000) as u16));
        let more = !self.dice.once_in(8);
        self.answer(id, EventKind::Accepted(Ok((FakeSocket(conn), peer))), more);
    }

    fn complete_receive(&mut self, id: OpId, conn: usize) {
        if self.conns[conn].reset {
            return self.end(id, EventKind::Received(Err(errno(libc::ECONNRESET))));
        }
        let waiting = self.conns[conn].incoming.len();
        if waiting == 0 {
            return self.end(id, EventKind::Received(Ok(Buffer::end())));
        }
        let free = self.buffers.iter().position(|slot| !slot.lent);
        let Some(free) = free.filter(|_| !self.dice.once_in(16)) else {
            return self.end(id, EventKind::Received(Err(errno(libc::ENOBUFS))));
        };
        let len = self.dice.part_of(waiting.min(BUFFER_BYTES));
        let slot = &mut self.buffers[free];
        slot.lent = true;
        for (to, from) in slot.bytes.iter_mut().zip(self.conns[conn].incoming.drain(..len)) {
            *to = from;
        }
        let more = !self.dice.once_in(16);
        self.answer(id, EventKind::Received(Ok(Buffer::new(free as u16, len))), more);
    }

    fn end(&mut self, id: OpId, kind: EventKind<FakeSocket>) {
        self.answer(id, kind, false);
    }

    fn answer(&mut self, id: OpId, kind: EventKind<FakeSocket>, more: bool) {
        let Some(op) = self.ops.value_mut(id) else { return };
        op.ended = !more;
        self.events.push_back(Event { token: op.token, op: id, kind, more });
    }

    /// Frees what a taken last event's op had.
    pub(super) fn forget(&mut self, id: OpId) {
        match self.ops.remove(id).map(|op| op.kind) {
            Some(Kind::Accept(listener)) => self.listeners[listener].accept = None,
            Some(Kind::Receive(conn)) => self.conns[conn].receive = None,
            Some(Kind::AwaitWritable(conn)) => self.conns[conn].writable = None,
            Some(Kind::SpliceIn { pipe, .. }) => {
                let pipe = &mut self.pipes[pipe];
                pipe.splicing = false;
                if !pipe.lent {
                    pipe.bytes = VecDeque::new();
                }
            }
            Some(Kind::Watch(_)) | None => {}
        }
    }

    /// How much of `len` bytes the socket takes now.
    pub(super) fn room(&mut self, socket: &FakeSocket, len: usize) -> io::Result<usize> {
        let spurious = self.dice.once_in(8);
        let part = self.dice.part_of(len.clamp(1, SOCKET_BYTES)).min(len);
        // A socket that took all it can takes no more until its client has read.
        let full = part == SOCKET_BYTES && !self.dice.is_calm();
        let conn = self.open_conn(socket);
        if conn.reset || conn.write_ended {
            return Err(errno(if conn.reset { libc::ECONNRESET } else { libc::EPIPE }));
        }
        conn.blocked |= spurious;
        if conn.stalled || conn.blocked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        conn.blocked = full;
        Ok(part)
    }
}

/// Up to `len` bytes of a file, fewer at its end.
pub(super) fn read_some(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn cancelled_event(kind: &Kind) -> EventKind<FakeSocket> {
    let error = errno(libc::ECANCELED);
    match kind {
        Kind::Accept(_) => EventKind::Accepted(Err(error)),
        Kind::Receive(_) => EventKind::Received(Err(error)),
        Kind::AwaitWritable(_) => EventKind::Writable(Err(error)),
        Kind::SpliceIn { .. } => EventKind::Spliced(Err(error)),
        Kind::Watch(_) => EventKind::Woken,
    }
}

fn is_readable(eventfd: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(eventfd, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

fn errno(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}
