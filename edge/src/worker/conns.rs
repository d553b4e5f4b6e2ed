//! The connections of one worker, and their names.

use std::net::SocketAddr;

use super::http2::Http2;
use super::secure::Tls;
use super::send::Flow;
use crate::clock::Now;
use crate::limits::{CONNS_PER_WORKER_MAX, H2_STREAMS_MAX};
use crate::mailbox::Token;
use crate::metrics::WorkerMetrics;
use crate::ring::{Io, OpId};
use crate::session::Session;

/// One socket and what is under way on it.
pub(super) struct Conn<I: Io> {
    pub(super) socket: I::Socket,
    pub(super) session: Session,
    /// What has come of a balancer's word about the client, while that is not whole.
    pub(super) greeting: Option<Vec<u8>>,
    /// Its records, if it speaks TLS.
    pub(super) tls: Option<Box<Tls>>,
    /// Its streams, if it speaks HTTP/2; the session then only keeps the client's account.
    pub(super) http2: Option<Box<Http2>>,
    /// Bytes on their way from a file to the socket.
    pub(super) pipe: Option<I::Pipe>,
    /// Whether the bytes in the pipe are followed by more at once.
    pub(super) more: bool,
    pub(super) receive: Option<OpId>,
    /// Receiving was cancelled because the client is ahead of us; its last event is due.
    pub(super) pausing: bool,
    pub(super) writable: Option<OpId>,
    /// A kernel worker is filling the pipe from the disk.
    pub(super) cold: Option<OpId>,
    /// It waits for the fill plane.
    pub(super) waiting: bool,
    /// Bytes a second its socket is held to; 0: none.
    pub(super) paced: u64,
    /// It stands in the list of those that share a cap.
    pub(super) sharing: bool,
    /// It used up its turn and stands in the queue.
    pub(super) queued: bool,
    /// It stands in the list of those that settle with the desk.
    pub(super) owing: bool,
    /// The earliest deadline that stands for it in the wheel; `u64::MAX`: none.
    pub(super) scheduled_ms: u64,
}

impl<I: Io> Conn<I> {
    /// Takes received bytes, opened if they were sealed.
    pub(super) fn handle_bytes(&mut self, bytes: &[u8], now: Now) {
        match &mut self.http2 {
            Some(http2) => http2.receive(&self.session, bytes, now),
            None => self.session.handle_bytes(bytes, now),
        }
    }

    /// The client will send nothing more. Without its frames HTTP/2 cannot go on.
    pub(super) fn handle_eof(&mut self) {
        match &mut self.http2 {
            Some(http2) => http2.handle_eof(),
            None => self.session.handle_eof(),
        }
    }

    /// The client speaks HTTP/2, which begins with what it said so far.
    pub(super) fn switch(&mut self, now: Now, metrics: &WorkerMetrics) -> Flow {
        metrics.http2_conns.add(1);
        let said = self.session.take_input();
        self.http2 = Some(Http2::new(&self.session));
        self.handle_bytes(&said, now);
        Flow::Ready
    }

    /// The earliest deadline, monotonic ms.
    pub(super) fn poll_timeout(&self) -> u64 {
        self.http2.as_ref().map_or_else(|| self.session.poll_timeout(), |it| it.poll_timeout())
    }

    /// Whether there is something to settle with the desk.
    pub(super) fn owes(&self) -> bool {
        self.session.owes() || self.http2.as_ref().is_some_and(|http2| http2.owes())
    }

    /// The session that stands for it in a list: of HTTP/2 one of its streams'.
    pub(super) fn shown(&self) -> &Session {
        self.http2.as_ref().and_then(|http2| http2.shown()).unwrap_or(&self.session)
    }

    /// Whether anything may be on its way from other planes.
    pub(super) fn awaits_notice(&self) -> bool {
        self.waiting
            || self.session.is_uploading()
            || self.http2.as_ref().is_some_and(|http2| http2.awaits_notice())
    }

    /// Whether a draining node has something to do about it.
    pub(super) fn may_close(&self) -> bool {
        self.http2.as_ref().map_or_else(|| self.session.is_idle(), |http2| http2.is_unaware())
    }
}

/// Names one connection for as long as it lives: index and generation in 56 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name(u64);

const INDEX_BITS: u32 = 32;
const SLOT_SHIFT: u32 = 56;
const _: () = assert!(H2_STREAMS_MAX < 256, "a slot has eight bits");
const GENERATION_MASK: u32 = 0x00ff_ffff;

impl Name {
    fn new(index: u32, generation: u32) -> Name {
        Name(u64::from(generation & GENERATION_MASK) << INDEX_BITS | u64::from(index))
    }

    fn index(self) -> usize {
        self.0 as u32 as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> INDEX_BITS) as u32
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }

    pub(super) fn from_bits(bits: u64) -> Name {
        Name(bits & ((1 << 56) - 1))
    }

    pub(super) fn token(self) -> Token {
        Token(self.0)
    }

    /// Names one of its streams.
    pub(super) fn token_of(self, slot: usize) -> Token {
        Token((slot as u64) << SLOT_SHIFT | self.0)
    }
}

/// The stream that a token names, beside its connection.
pub(super) fn slot_of(token: Token) -> usize {
    (token.0 >> SLOT_SHIFT) as usize
}

struct Slot<I: Io> {
    generation: u32,
    conn: Option<Conn<I>>,
}

/// A slab: a slot is reused with a new generation, so an old name finds nothing.
pub(super) struct Conns<I: Io> {
    slots: Vec<Slot<I>>,
    free: Vec<u32>,
    len: usize,
}

impl<I: Io> Conns<I> {
    pub(super) fn new() -> Conns<I> {
        Conns { slots: Vec::new(), free: Vec::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        self.len >= CONNS_PER_WORKER_MAX
    }

    pub(super) fn insert(&mut self, socket: I::Socket, session: Session) -> Name {
        let conn = Conn {
            socket,
            session,
            greeting: None,
            tls: None,
            http2: None,
            pipe: None,
            more: false,
            receive: None,
            pausing: false,
            writable: None,
            cold: None,
            waiting: false,
            paced: 0,
            sharing: false,
            queued: false,
            owing: false,
            scheduled_ms: u64::MAX,
        };
        self.len += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, conn: None });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.conn = Some(conn);
        Name::new(index, slot.generation)
    }

    pub(super) fn find(&mut self, name: Name) -> Option<&mut Conn<I>> {
        let slot = self.slots.get_mut(name.index())?;
        if slot.generation != name.generation() {
            return None;
        }
        slot.conn.as_mut()
    }

    pub(super) fn remove(&mut self, name: Name) -> Option<Conn<I>> {
        let slot = self.slots.get_mut(name.index())?;
        if slot.generation != name.generation() {
            return None;
        }
        let conn = slot.conn.take()?;
        slot.generation = slot.generation.wrapping_add(1) & GENERATION_MASK;
        self.free.push(name.index() as u32);
        self.len -= 1;
        Some(conn)
    }

    /// Every connection, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Conn<I>> {
        self.slots.iter().filter_map(|slot| slot.conn.as_ref())
    }

    /// Names of all connections that `wanted` picks.
    pub(super) fn names(&self, wanted: impl Fn(&Conn<I>) -> bool) -> Vec<Name> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(|(_, slot)| slot.conn.as_ref().is_some_and(&wanted))
            .map(|(index, slot)| Name::new(index as u32, slot.generation))
            .collect()
    }
}

/// A client as logs and flows know it: IPv4 in IPv6 is IPv4.
pub(super) fn normalised(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}
