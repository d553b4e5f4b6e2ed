//! One connection's records.

use std::io::{self, IoSliceMut, Write};
use std::sync::Arc;

use super::acceptor::Acceptor;
use super::admission::Admission;
use super::error::TlsFault;
use super::handshake::{Handshake, Hello, Progress};
use super::open::{Control, Open};
use super::outgoing::Outgoing;
use super::records::{DATA, PLAIN_MAX_BYTES};
use crate::limits::TLS_READ_BYTES;
use crate::sys::ktls::Keys;

/// Plain bytes of the first records: the client can use the first without waiting for more packets
/// than one window of TCP carries.
const FIRST_RECORD_BYTES: usize = 4 * 1024;
/// Plain bytes sent in such records before records are as large as the protocol allows.
const FIRST_BYTES: u64 = 64 * 1024;
/// Bytes that may wait, sealed, for the socket.
const SEALED_MAX_BYTES: usize = 256 * 1024;
/// Records of one read.
const RECORDS_MAX: usize = TLS_READ_BYTES / FIRST_RECORD_BYTES;

/// A client's TLS connection, without its socket.
pub struct Stream {
    state: State,
    acceptor: Arc<Acceptor>,
    outgoing: Outgoing,
    /// Plain bytes sealed so far.
    sealed_bytes: u64,
    ended: bool,
    closed: bool,
}

enum State {
    Hello(Box<Hello>),
    Handshake(Box<Handshake>),
    Open(Box<Open>),
    /// It ended before it was open.
    Failed,
}

impl Stream {
    /// A connection of which nothing is known yet.
    pub fn new(acceptor: Arc<Acceptor>) -> Stream {
        Stream {
            state: State::Hello(Box::new(Hello::new(acceptor.clone()))),
            acceptor,
            outgoing: Outgoing::default(),
            sealed_bytes: 0,
            ended: false,
            closed: false,
        }
    }

    /// Takes received bytes; what they say is appended to `plain`.
    ///
    /// # Errors
    /// The connection is over. An alert may be waiting to be sent.
    pub fn receive(&mut self, bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), TlsFault> {
        // What follows a close_notify is nobody's (RFC 8446 §6.1).
        if self.ended {
            return Ok(());
        }
        let outgoing = &mut self.outgoing;
        if let State::Open(open) = &mut self.state {
            self.ended = open.receive(bytes, plain, outgoing)?;
            return Ok(());
        }
        let state = std::mem::replace(&mut self.state, State::Failed);
        let (mut handshake, bytes) = match state {
            State::Hello(mut hello) => match hello.receive(bytes, outgoing)? {
                Some(handshake) => (Box::new(handshake), &[][..]),
                None => {
                    self.state = State::Hello(hello);
                    return Ok(());
                }
            },
            State::Handshake(handshake) => (handshake, bytes),
            State::Open(_) | State::Failed => return Err(TlsFault::Broken),
        };
        match handshake.receive(bytes, plain, outgoing)? {
            Progress::Wait => self.state = State::Handshake(handshake),
            Progress::Ended => self.ended = true,
            Progress::Done => {
                let (mut open, rest) = handshake.finish(&self.acceptor)?;
                self.ended = open.receive(&rest, plain, outgoing)?;
                self.state = State::Open(Box::new(open));
            }
        }
        Ok(())
    }

    /// Whether bytes wait to be sent.
    pub fn wants_write(&self) -> bool {
        !self.outgoing.waiting().is_empty()
    }

    /// Writes some of what waits; the number of bytes written.
    ///
    /// # Errors
    /// As `to` has them.
    pub fn send(&mut self, to: &mut dyn Write) -> io::Result<usize> {
        let written = to.write(self.outgoing.waiting())?;
        self.outgoing.sent(written);
        Ok(written)
    }

    /// Seals some of `plain`, at the end of what waits; the number of bytes taken. Where the kernel
    /// seals they wait as they are.
    pub fn seal(&mut self, plain: &[u8]) -> usize {
        let plain = &plain[..plain.len().min(self.room_bytes())];
        if let State::Open(open) = &self.state
            && open.is_offloaded()
        {
            self.outgoing.push(plain);
            return plain.len();
        }
        let mut taken = 0;
        while taken < plain.len() {
            let rest = &plain[taken..];
            let copied = self.seal_from(rest.len().min(TLS_READ_BYTES), &mut |pieces| {
                let mut copied = 0;
                for piece in pieces {
                    let len = piece.len();
                    piece.copy_from_slice(&rest[copied..copied + len]);
                    copied += len;
                }
                Ok(copied)
            });
            match copied {
                Ok(copied @ 1..) => taken += copied,
                _ => break,
            }
        }
        taken
    }

    /// Seals up to `len` bytes, at most [`TLS_READ_BYTES`], where `read` puts them: it is given as many
    /// pieces as there will be records and says how many bytes it filled, from the first on.
    ///
    /// # Errors
    /// Those of `read`; `NotConnected` where nothing can be sealed.
    pub fn seal_from(
        &mut self,
        len: usize,
        read: &mut dyn FnMut(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let State::Open(open) = &mut self.state else { return Err(unable()) };
        let sealer = open.sealer(&mut self.outgoing).ok_or_else(unable)?;
        let record = match self.sealed_bytes < FIRST_BYTES {
            true => FIRST_RECORD_BYTES,
            false => PLAIN_MAX_BYTES,
        };
        let (prefix, suffix) = (sealer.prefix_bytes(), sealer.suffix_bytes());
        let len = len.min(TLS_READ_BYTES);
        let records = len.div_ceil(record);
        let room = self.outgoing.room(len + records * (prefix + suffix));
        let filled = {
            let mut pieces: [IoSliceMut<'_>; RECORDS_MAX] =
                std::array::from_fn(|_| IoSliceMut::new(&mut []));
            let whole = room.chunks_mut(prefix + record + suffix);
            for (piece, whole) in pieces.iter_mut().zip(whole) {
                let end = whole.len() - suffix;
                *piece = IoSliceMut::new(&mut whole[prefix..end]);
            }
            read(&mut pieces[..records])?.min(len)
        };
        let (mut left, mut used) = (filled, 0);
        for whole in room.chunks_mut(prefix + record + suffix) {
            if left == 0 {
                break;
            }
            let plain = left.min(record);
            sealer.seal(DATA, &mut whole[..prefix + plain + suffix]);
            used += prefix + plain + suffix;
            left -= plain;
        }
        self.outgoing.add(used);
        self.sealed_bytes += filled as u64;
        Ok(filled)
    }

    /// Plain bytes for which there is room.
    pub fn room_bytes(&self) -> usize {
        SEALED_MAX_BYTES.saturating_sub(self.outgoing.waiting().len())
    }

    /// Says that nothing more will be sent.
    pub fn close(&mut self) {
        if let (State::Open(open), false) = (&mut self.state, self.closed) {
            self.closed = true;
            open.close(&mut self.outgoing);
        }
    }

    /// Lends a buffer for what is sealed; [`Stream::give_back`] returns it.
    pub fn lend(&mut self, buffer: &mut Vec<u8>) {
        self.outgoing.borrow(buffer);
    }

    /// Gives the buffer back, unless something waits in it.
    pub fn give_back(&mut self, buffer: &mut Vec<u8>) {
        self.outgoing.give_back(buffer);
    }

    /// Keys for the kernel to seal with, as long as that can still be decided: the handshake is over and
    /// sent, and nothing else was sealed.
    pub fn offer(&self) -> Option<&Keys> {
        match &self.state {
            State::Open(open) if !self.wants_write() => open.offer(),
            _ => None,
        }
    }

    /// Whether the kernel took them.
    pub fn decide(&mut self, kernel: bool) {
        if let State::Open(open) = &mut self.state {
            open.decide(kernel);
        }
    }

    /// Whether the kernel seals.
    pub fn is_offloaded(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.is_offloaded())
    }

    /// What the kernel is to be told before anything else is sent.
    pub fn control(&mut self) -> Option<&Control> {
        let State::Open(open) = &mut self.state else { return None };
        open.control().front()
    }

    /// It was told.
    pub fn controlled(&mut self) {
        if let State::Open(open) = &mut self.state {
            open.control().pop_front();
        }
    }

    /// The kernel has taken so many plain bytes by one call.
    pub fn count(&mut self, plain_bytes: usize) {
        if let State::Open(open) = &mut self.state {
            open.count(plain_bytes);
        }
    }

    /// Whether the kernel's key has protected as much as it may, and cannot be changed: nothing more
    /// can be sent.
    pub fn is_worn(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.is_worn())
    }

    /// Whether a session was resumed; `None` before the end of the handshake.
    pub fn is_resumed(&self) -> Option<bool> {
        match &self.state {
            State::Open(open) => Some(open.agreed.resumed),
            _ => None,
        }
    }

    /// The protocol agreed on by ALPN, once the handshake is over.
    pub fn protocol(&self) -> Option<&[u8]> {
        match &self.state {
            State::Open(open) => open.agreed.protocol.as_deref(),
            _ => None,
        }
    }

    /// The host that the client named, if it named one.
    pub fn host(&self) -> Option<&str> {
        match &self.state {
            State::Open(open) => open.agreed.host.as_deref(),
            State::Handshake(handshake) => handshake.host(),
            _ => None,
        }
    }

    /// What the connection may ask for, once the handshake is over; `None`: everything.
    pub fn admission(&self) -> Option<Admission> {
        if !self.acceptor.guards() {
            return None;
        }
        let verified = self.acceptor.client_ca(self.host()).map(Arc::from);
        Some(Admission::new(self.acceptor.clone(), verified))
    }

    /// Whether the client said that it will send nothing more.
    pub fn is_ended(&self) -> bool {
        self.ended
    }
}

fn unable() -> io::Error {
    io::ErrorKind::NotConnected.into()
}
