//! Everything of the kernel that a data-plane worker needs, safe to use.
//!
//! [`Io`] is what a worker is written against: [`Ring`] is the kernel's io_uring,
//! [`fake::FakeRing`] a seeded imitation that splits, delays, refuses and reorders.
//!
//! What takes time is *armed* and answers with [`Event`]s: accepting, receiving, waiting until a
//! socket takes bytes, reading cold bytes, being woken. What never takes time is a direct
//! nonblocking call: sending, and moving pages through pipes (a ring's splice always costs a
//! thread switch, so hot bytes never go that way).

mod buffers;
mod calls;
mod driver;
mod error;
pub mod fake;
mod op;
mod pipes;
mod setup;
mod slab;
mod socket;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::sys::eventfd::EventFd;
use crate::sys::ktls::Keys;

pub use buffers::Buffer;
pub use driver::Ring;
pub use error::RingError;
pub use pipes::Pipe;
pub use setup::{Features, TaskWork};
pub use slab::OpId;
pub use socket::Socket;

pub use crate::sys::tcp::TcpFacts;

/// Sizes of one worker's ring.
#[derive(Clone, Copy, Debug)]
pub struct RingConfig {
    /// Submissions one system call carries; rounded up to a power of two. Completions have
    /// eight times the room.
    pub entries: u32,
    /// Receive buffers, a power of two of at most 32,768.
    pub buffers: u16,
    /// Size of one receive buffer.
    pub buffer_bytes: usize,
    /// Pipes alive at once.
    pub pipes_max: usize,
    /// Capacity asked for each pipe.
    pub pipe_bytes: usize,
}

/// Something an armed op has to say.
#[derive(Debug)]
pub struct Event<S> {
    /// What the op was armed with.
    pub token: u64,
    /// The op.
    pub op: OpId,
    /// What happened.
    pub kind: EventKind<S>,
    /// The op is still armed. When false this was its last event, and `op` is stale. An op that
    /// answers many times may end at any event, also at a good one: arm it again.
    pub more: bool,
}

/// What happened to an armed op. A cancelled op ends with `ECANCELED`, or with whatever it came to
/// just before.
#[derive(Debug)]
pub enum EventKind<S> {
    /// A connection and its client's address (IPv4 written in IPv6 is given as IPv4). An error may
    /// be one connection's own (gone before it was looked at) or the host's (`EMFILE`: arm again
    /// once something was closed).
    Accepted(io::Result<(S, SocketAddr)>),
    /// Received bytes, to be given back by [`Io::recycle`]; none at the end of the stream.
    /// `ENOBUFS` when all buffers were out: recycle some and arm again.
    Received(io::Result<Buffer>),
    /// The socket takes bytes again, or is broken: sending tells.
    Writable(io::Result<()>),
    /// Bytes moved into the pipe, zero at the end of the file; account them by
    /// [`Io::spliced_in`].
    Spliced(io::Result<usize>),
    /// A watched eventfd was signalled, or the watch has ended.
    Woken,
}

/// The kernel as a worker sees it. Nothing here waits but [`Io::wait`].
///
/// Calling order: arm and call, [`Io::wait`], take all of [`Io::next`], again. Arming fails only
/// when the host is out of memory, when too many ops are armed, or (`AlreadyExists`) when the same
/// direction of a socket is armed: a cancelled op counts until its last event was taken.
pub trait Io {
    /// A client's connection.
    type Socket;
    /// Where connections come from.
    type Listener;
    /// A pipe of the pool.
    type Pipe;

    /// Accepts until cancelled: [`EventKind::Accepted`] for each connection.
    fn accept(&mut self, listener: &Self::Listener, token: u64) -> io::Result<OpId>;
    /// Receives until the end of the stream, an error, or cancelled: [`EventKind::Received`].
    fn receive(&mut self, socket: &Self::Socket, token: u64) -> io::Result<OpId>;
    /// Answers once, when the socket takes bytes or is broken: [`EventKind::Writable`].
    fn await_writable(&mut self, socket: &Self::Socket, token: u64) -> io::Result<OpId>;
    /// Moves up to `len` bytes of `file` into an empty `pipe` on another thread, for bytes that
    /// are not resident: [`EventKind::Spliced`], once. The pipe is the op's until then.
    fn splice_in(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        len: usize,
        pipe: &Self::Pipe,
        token: u64,
    ) -> io::Result<OpId>;
    /// Answers [`EventKind::Woken`] whenever `eventfd` was signalled, until cancelled.
    fn watch(&mut self, eventfd: &EventFd, token: u64) -> io::Result<OpId>;
    /// Asks an op to end. Its last event still comes. Stale ids are ignored.
    fn cancel(&mut self, op: OpId);

    /// Submits what was armed and waits for an event, at most for `timeout` (`None`: for ever,
    /// zero: not at all). Comes back early when a signal is taken.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()>;
    /// The next event, in the order things happened.
    fn next(&mut self) -> Option<Event<Self::Socket>>;

    /// What was received into `buffer`.
    fn bytes(&self, buffer: &Buffer) -> &[u8];
    /// Gives a buffer back to be received into.
    fn recycle(&mut self, buffer: Buffer);

    /// Sends some of two pieces, the second after the first; `more` says that further bytes follow
    /// at once. `WouldBlock` when the socket takes none: see [`Io::await_writable`].
    fn send(&mut self, socket: &Self::Socket, pieces: [&[u8]; 2], more: bool) -> io::Result<usize>;
    /// As [`Io::send`], of any number of pieces.
    fn send_pieces(
        &mut self,
        socket: &Self::Socket,
        pieces: &[io::IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize>;
    /// Holds partial segments back while on; lets them go when turned off.
    fn cork(&mut self, socket: &Self::Socket, on: bool);
    /// Holds what leaves the socket to a rate, bytes a second; 0: lets it go as it can.
    fn pace(&mut self, socket: &Self::Socket, bytes_per_s: u64);

    /// An empty pipe; `None` when there are enough, or the host gives no more of a useful size.
    fn pipe(&mut self) -> Option<Self::Pipe>;
    /// Takes a pipe back. One that is not empty, or not at rest, is closed.
    fn return_pipe(&mut self, pipe: Self::Pipe);
    /// Moves up to `len` bytes of `file` from `offset` into the pipe; zero at the end of the file.
    /// `WouldBlock` when the pipe is full. Waits for the disk if they are not resident.
    fn fill_pipe(
        &mut self,
        file: &File,
        offset: u64,
        len: usize,
        pipe: &mut Self::Pipe,
    ) -> io::Result<usize>;
    /// Moves what the pipe has to the socket; `more` and `WouldBlock` as for [`Io::send`].
    fn drain_pipe(
        &mut self,
        pipe: &mut Self::Pipe,
        socket: &Self::Socket,
        more: bool,
    ) -> io::Result<usize>;
    /// Pipes alive, lent or not.
    fn pipes_alive(&self) -> usize;
    /// Bytes in the pipe.
    fn pipe_len(&self, pipe: &Self::Pipe) -> usize;
    /// Accounts the bytes of a finished [`Io::splice_in`].
    fn spliced_in(&mut self, pipe: &mut Self::Pipe, len: usize);
    /// Sends up to `len` bytes of `file` from `offset`; zero at the end of the file. Waits for the
    /// disk if they are not resident.
    fn sendfile(
        &mut self,
        socket: &Self::Socket,
        file: &File,
        offset: u64,
        len: usize,
    ) -> io::Result<usize>;
    /// Reads bytes of `file` from `offset` into some pieces, one after the other; zero at the end of the
    /// file. Waits for the disk if they are not resident.
    fn read_file(
        &mut self,
        file: &File,
        offset: u64,
        into: &mut [io::IoSliceMut<'_>],
    ) -> io::Result<usize>;
    /// Has the kernel seal what is sent from now on, with these keys instead of others if it has some.
    /// Fails where it cannot: then the socket goes on as before.
    fn offload(&mut self, socket: &Self::Socket, keys: &Keys) -> io::Result<()>;
    /// Sends a whole record of another type than data on a socket that the kernel seals for.
    fn send_record(&mut self, socket: &Self::Socket, content: u8, bytes: &[u8]) -> io::Result<()>;
    /// Takes up to `into.len()` bytes out of a pipe that is not empty.
    fn read_pipe(&mut self, pipe: &mut Self::Pipe, into: &mut [u8]) -> io::Result<usize>;
    /// Whether reading these bytes, which must lie inside the file, will not wait for a disk; what
    /// cannot be told counts as resident.
    fn is_resident(&mut self, file: &File, offset: u64, len: u64) -> bool;

    /// What became of what was sent; nothing is known where that cannot be asked.
    fn facts(&mut self, socket: &Self::Socket) -> TcpFacts;
    /// Ends our half of the stream.
    fn shutdown_write(&mut self, socket: &Self::Socket);
    /// Closes the connection. Ops still armed on it are cancelled; the kernel lets go of it when
    /// the last of them has ended.
    fn close(&mut self, socket: Self::Socket);
}
