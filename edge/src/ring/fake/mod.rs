//! A kernel made of chance, for tests: the faults of a bad day in the order of a seed.
//!
//! It sends short, says `WouldBlock` for no reason, splits what clients sent, ends ops that answer
//! many times, runs out of buffers and pipes, finds bytes cold, delays and reorders. It panics on
//! what the real ring would silently suffer: one direction armed twice, a pipe used while an op
//! has it, a socket used after its end, buffers or pipes given back twice.
#![forbid(unsafe_code)]

mod calls;
mod dice;
mod kernel;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use self::dice::Dice;
use super::slab::{OpId, Slab};
use super::{Buffer, Event};

/// Receive buffers of a fake ring: few, so that they run out.
pub const BUFFERS: usize = 16;
/// Size of one, bytes.
pub const BUFFER_BYTES: usize = 2048;
/// Pipes of a fake ring.
pub const PIPES_MAX: usize = 8;
/// Capacity of one, bytes.
pub const PIPE_BYTES: usize = 64 * 1024;
/// What a socket takes before its client has to read, bytes.
pub const SOCKET_BYTES: usize = 32 * 1024;

const OPS_MAX: u32 = 4096;

/// A client made by [`FakeRing::connect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(usize);

/// A listener made by [`FakeRing::listener`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(usize);

/// The server's end of a fake listener.
#[derive(Debug)]
pub struct FakeListener(usize);

/// The server's end of a fake connection.
#[derive(Debug)]
pub struct FakeSocket(usize);

/// A fake pipe.
#[derive(Debug)]
pub struct FakePipe {
    id: usize,
    len: usize,
}

impl FakeListener {
    /// Where clients connect to.
    pub fn id(&self) -> ListenerId {
        ListenerId(self.0)
    }
}

impl FakeSocket {
    /// Whose it is.
    pub fn client(&self) -> ClientId {
        ClientId(self.0)
    }
}

/// The imitation. See the module.
#[derive(Debug)]
pub struct FakeRing {
    dice: Dice,
    ops: Slab<Armed>,
    events: VecDeque<Event<FakeSocket>>,
    listeners: Vec<Backlog>,
    conns: Vec<Conn>,
    buffers: Vec<Slot>,
    pipes: Vec<PipeSlot>,
    closed_while_armed: usize,
}

#[derive(Debug)]
struct Armed {
    token: u64,
    cancelled: bool,
    // Its last event is queued.
    ended: bool,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Accept(usize),
    Receive(usize),
    AwaitWritable(usize),
    SpliceIn { file: Arc<File>, offset: u64, len: usize, pipe: usize },
    Watch(Arc<OwnedFd>),
}

#[derive(Debug, Default)]
struct Backlog {
    waiting: VecDeque<usize>,
    accept: Option<OpId>,
}

#[derive(Debug, Default)]
struct Conn {
    // From the client, not received yet; to the client, all of it.
    incoming: VecDeque<u8>,
    outgoing: Vec<u8>,
    finished: bool,
    reset: bool,
    stalled: bool,
    // Takes nothing until some later wait.
    blocked: bool,
    corked: bool,
    paced: u64,
    open: bool,
    write_ended: bool,
    receive: Option<OpId>,
    writable: Option<OpId>,
}

#[derive(Debug)]
struct Slot {
    bytes: [u8; BUFFER_BYTES],
    lent: bool,
}

#[derive(Debug, Default)]
struct PipeSlot {
    bytes: VecDeque<u8>,
    lent: bool,
    splicing: bool,
}

impl FakeRing {
    /// One with the faults of `seed`.
    pub fn new(seed: u64) -> FakeRing {
        FakeRing::with(Dice::new(seed))
    }

    /// One on a good day: all at once, in order, nothing short but for the sizes of things.
    pub fn calm() -> FakeRing {
        FakeRing::with(Dice::calm())
    }

    fn with(dice: Dice) -> FakeRing {
        FakeRing {
            dice,
            ops: Slab::new(OPS_MAX),
            events: VecDeque::new(),
            listeners: Vec::new(),
            conns: Vec::new(),
            buffers: (0..BUFFERS).map(|_| Slot { bytes: [0; BUFFER_BYTES], lent: false }).collect(),
            pipes: (0..PIPES_MAX).map(|_| PipeSlot::default()).collect(),
            closed_while_armed: 0,
        }
    }

    /// Somewhere to connect to.
    pub fn listener(&mut self) -> FakeListener {
        self.listeners.push(Backlog::default());
        FakeListener(self.listeners.len() - 1)
    }

    /// A client that connects.
    pub fn connect(&mut self, listener: ListenerId) -> ClientId {
        let id = self.conns.len();
        self.conns.push(Conn::default());
        self.listeners[listener.0].waiting.push_back(id);
        ClientId(id)
    }

    /// The client sends.
    pub fn client_send(&mut self, client: ClientId, bytes: &[u8]) {
        let conn = &mut self.conns[client.0];
        assert!(!conn.finished && !conn.reset, "this client's half has ended");
        conn.incoming.extend(bytes);
    }

    /// All that the client has received.
    pub fn client_received(&self, client: ClientId) -> &[u8] {
        &self.conns[client.0].outgoing
    }

    /// What the client has received since the last call.
    pub fn client_take(&mut self, client: ClientId) -> Vec<u8> {
        std::mem::take(&mut self.conns[client.0].outgoing)
    }

    /// Whether the client sees the end of what the server sends.
    pub fn client_sees_end(&self, client: ClientId) -> bool {
        self.conns[client.0].write_ended
    }

    /// The client ends its half (FIN); it still receives.
    pub fn client_close(&mut self, client: ClientId) {
        self.conns[client.0].finished = true;
    }

    /// The client is gone (RST), with all that was not received yet.
    pub fn client_reset(&mut self, client: ClientId) {
        let conn = &mut self.conns[client.0];
        conn.reset = true;
        conn.incoming.clear();
    }

    /// The client stops reading, or begins again.
    pub fn client_stall(&mut self, client: ClientId, stalled: bool) {
        self.conns[client.0].stalled = stalled;
    }

    /// Whether nothing more happens unless a client, or the server, does something.
    pub fn is_quiet(&self) -> bool {
        self.events.is_empty() && !self.ops.iter().any(|(_, op)| self.will_answer(op))
    }

    /// Accepted connections that were not closed.
    pub fn open_sockets(&self) -> usize {
        self.conns.iter().filter(|conn| conn.open).count()
    }

    /// Rates that open sockets are held to.
    pub fn paces(&self) -> Vec<u64> {
        self.conns.iter().filter(|conn| conn.open).map(|conn| conn.paced).collect()
    }

    /// Open sockets that are corked.
    pub fn corked_sockets(&self) -> usize {
        self.conns.iter().filter(|conn| conn.open && conn.corked).count()
    }

    /// Ops whose last event was not taken.
    pub fn armed_ops(&self) -> usize {
        self.ops.len()
    }

    /// Received buffers that were not recycled.
    pub fn buffers_out(&self) -> usize {
        self.buffers.iter().filter(|slot| slot.lent).count()
    }

    /// Pipes that were not returned.
    pub fn pipes_out(&self) -> usize {
        self.pipes.iter().filter(|pipe| pipe.lent).count()
    }

    /// Ops that were armed, and not cancelled, on a socket when it was closed.
    pub fn closed_while_armed(&self) -> usize {
        self.closed_while_armed
    }

    fn open_conn(&mut self, socket: &FakeSocket) -> &mut Conn {
        let conn = &mut self.conns[socket.0];
        assert!(conn.open, "a closed socket is used");
        conn
    }

    fn lent_slot(&self, buffer: &Buffer) -> Option<usize> {
        let id = buffer.id()?;
        assert!(self.buffers[id].lent, "a buffer that was given back is used");
        Some(id)
    }
}
