//! The fake kernel behind [`Io`].

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use super::kernel::read_some;
use super::{Armed, FakeListener, FakePipe, FakeRing, FakeSocket, Kind, OpId, PIPE_BYTES};
use crate::ring::{Buffer, Event, Io, TcpFacts};
use crate::sys::eventfd::EventFd;
use crate::sys::ktls::Keys;

impl FakeRing {
    fn arm(&mut self, token: u64, kind: Kind) -> io::Result<OpId> {
        let op = Armed { token, cancelled: false, ended: false, kind };
        self.ops.insert(op).map_err(|_| io::ErrorKind::QuotaExceeded.into())
    }

    /// The content of a pipe that its holder may use now.
    fn pipe_bytes(&mut self, pipe: &FakePipe) -> &mut VecDeque<u8> {
        let slot = &mut self.pipes[pipe.id];
        assert!(slot.lent, "a pipe that was given back is used");
        assert!(!slot.splicing, "a pipe is used while a splice has it");
        assert_eq!(slot.bytes.len(), pipe.len, "spliced bytes were not accounted");
        &mut slot.bytes
    }
}

impl Io for FakeRing {
    type Socket = FakeSocket;
    type Listener = FakeListener;
    type Pipe = FakePipe;

    fn accept(&mut self, listener: &FakeListener, token: u64) -> io::Result<OpId> {
        assert!(self.listeners[listener.0].accept.is_none(), "accept is armed twice");
        let op = self.arm(token, Kind::Accept(listener.0))?;
        self.listeners[listener.0].accept = Some(op);
        Ok(op)
    }

    fn receive(&mut self, socket: &FakeSocket, token: u64) -> io::Result<OpId> {
        assert!(self.open_conn(socket).receive.is_none(), "receive is armed twice");
        let op = self.arm(token, Kind::Receive(socket.0))?;
        self.open_conn(socket).receive = Some(op);
        Ok(op)
    }

    fn await_writable(&mut self, socket: &FakeSocket, token: u64) -> io::Result<OpId> {
        assert!(self.open_conn(socket).writable.is_none(), "await_writable is armed twice");
        let op = self.arm(token, Kind::AwaitWritable(socket.0))?;
        self.open_conn(socket).writable = Some(op);
        Ok(op)
    }

    fn splice_in(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        len: usize,
        pipe: &FakePipe,
        token: u64,
    ) -> io::Result<OpId> {
        assert!(self.pipe_bytes(pipe).is_empty(), "a splice wants an empty pipe");
        let file = Arc::clone(file);
        let op = self.arm(token, Kind::SpliceIn { file, offset, len, pipe: pipe.id })?;
        self.pipes[pipe.id].splicing = true;
        Ok(op)
    }

    fn watch(&mut self, eventfd: &EventFd, token: u64) -> io::Result<OpId> {
        let eventfd = eventfd.as_fd().try_clone_to_owned()?;
        self.arm(token, Kind::Watch(Arc::new(eventfd)))
    }

    fn cancel(&mut self, op: OpId) {
        if let Some(op) = self.ops.value_mut(op) {
            op.cancelled = true;
        }
    }

    fn wait(&mut self, _timeout: Option<Duration>) -> io::Result<()> {
        self.progress();
        Ok(())
    }

    fn next(&mut self) -> Option<Event<FakeSocket>> {
        let event = self.events.pop_front()?;
        if !event.more {
            self.forget(event.op);
        }
        Some(event)
    }

    fn bytes(&self, buffer: &Buffer) -> &[u8] {
        match self.lent_slot(buffer) {
            Some(id) => &self.buffers[id].bytes[..buffer.len()],
            None => &[],
        }
    }

    fn recycle(&mut self, buffer: Buffer) {
        if let Some(id) = self.lent_slot(&buffer) {
            self.buffers[id].bytes.fill(0xdd);
            self.buffers[id].lent = false;
        }
    }

    fn send(&mut self, socket: &FakeSocket, pieces: [&[u8]; 2], _more: bool) -> io::Result<usize> {
        let bytes = pieces.concat();
        let sent = self.room(socket, bytes.len())?;
        self.open_conn(socket).outgoing.extend(&bytes[..sent]);
        Ok(sent)
    }

    fn send_pieces(
        &mut self,
        socket: &FakeSocket,
        pieces: &[io::IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize> {
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        self.send(socket, [&bytes, &[]], more)
    }

    fn cork(&mut self, socket: &FakeSocket, on: bool) {
        self.open_conn(socket).corked = on;
    }

    fn pace(&mut self, socket: &FakeSocket, bytes_per_s: u64) {
        self.open_conn(socket).paced = bytes_per_s;
    }

    fn pipe(&mut self) -> Option<FakePipe> {
        if self.dice.once_in(8) {
            return None;
        }
        let id = self.pipes.iter().position(|pipe| !pipe.lent && !pipe.splicing)?;
        self.pipes[id].lent = true;
        Some(FakePipe { id, len: 0 })
    }

    fn return_pipe(&mut self, pipe: FakePipe) {
        let slot = &mut self.pipes[pipe.id];
        assert!(slot.lent, "a pipe is given back twice");
        slot.lent = false;
        slot.bytes = VecDeque::new();
    }

    fn fill_pipe(
        &mut self,
        file: &File,
        offset: u64,
        len: usize,
        pipe: &mut FakePipe,
    ) -> io::Result<usize> {
        let room = PIPE_BYTES - self.pipe_bytes(pipe).len();
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let part = self.dice.part_of(room);
        let bytes = read_some(file, offset, len.min(part))?;
        self.pipe_bytes(pipe).extend(&bytes);
        pipe.len += bytes.len();
        Ok(bytes.len())
    }

    fn drain_pipe(
        &mut self,
        pipe: &mut FakePipe,
        socket: &FakeSocket,
        _more: bool,
    ) -> io::Result<usize> {
        assert!(pipe.len > 0, "an empty pipe is drained");
        self.pipe_bytes(pipe);
        let sent = self.room(socket, pipe.len)?;
        let bytes: Vec<u8> = self.pipe_bytes(pipe).drain(..sent).collect();
        self.open_conn(socket).outgoing.extend(bytes);
        pipe.len -= sent;
        Ok(sent)
    }

    fn pipes_alive(&self) -> usize {
        self.pipes_out()
    }

    fn pipe_len(&self, pipe: &FakePipe) -> usize {
        pipe.len
    }

    fn spliced_in(&mut self, pipe: &mut FakePipe, len: usize) {
        pipe.len += len;
        self.pipe_bytes(pipe);
    }

    fn sendfile(
        &mut self,
        socket: &FakeSocket,
        file: &File,
        offset: u64,
        len: usize,
    ) -> io::Result<usize> {
        let room = self.room(socket, len)?;
        let bytes = read_some(file, offset, room)?;
        self.open_conn(socket).outgoing.extend(&bytes);
        Ok(bytes.len())
    }

    fn read_file(
        &mut self,
        file: &File,
        offset: u64,
        into: &mut [io::IoSliceMut<'_>],
    ) -> io::Result<usize> {
        let part = self.dice.part_of(into.iter().map(|piece| piece.len()).sum());
        let bytes = read_some(file, offset, part)?;
        let mut rest = bytes.as_slice();
        for piece in into {
            let (now, later) = rest.split_at(rest.len().min(piece.len()));
            piece[..now.len()].copy_from_slice(now);
            rest = later;
        }
        Ok(bytes.len())
    }

    fn offload(&mut self, _socket: &FakeSocket, _keys: &Keys) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn send_record(&mut self, _: &FakeSocket, _: u8, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read_pipe(&mut self, pipe: &mut FakePipe, into: &mut [u8]) -> io::Result<usize> {
        let len = into.len().min(pipe.len);
        for (to, byte) in into.iter_mut().zip(self.pipe_bytes(pipe).drain(..len)) {
            *to = byte;
        }
        pipe.len -= len;
        Ok(len)
    }

    fn is_resident(&mut self, _file: &File, _offset: u64, _len: u64) -> bool {
        !self.dice.once_in(4)
    }

    fn facts(&mut self, socket: &FakeSocket) -> TcpFacts {
        let _ = self.open_conn(socket);
        TcpFacts::default()
    }

    fn shutdown_write(&mut self, socket: &FakeSocket) {
        self.open_conn(socket).write_ended = true;
    }

    fn close(&mut self, socket: FakeSocket) {
        let conn = self.open_conn(&socket);
        conn.open = false;
        conn.write_ended = true;
        let armed = [conn.receive, conn.writable];
        for id in armed.into_iter().flatten() {
            if let Some(op) = self.ops.value_mut(id)
                && !op.cancelled
                && !op.ended
            {
                op.cancelled = true;
                self.closed_while_armed += 1;
            }
        }
    }
}
