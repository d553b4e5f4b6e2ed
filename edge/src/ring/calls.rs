//! The kernel behind [`Io`]: what is armed goes to the driver, the rest are direct calls.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown, sockopt};

use super::op::OpKind;
use super::{Buffer, Event, Io, OpId, Pipe, Ring, Socket};
use crate::sys::eventfd::EventFd;
use crate::sys::ktls::{self, Keys};
use crate::sys::splice;
use crate::sys::tcp::{self, TcpFacts};

/// Longest splice asked for at once; no pipe is as large.
const SPLICE_MAX_BYTES: usize = 1 << 30;

/// Two pieces that are no longer together are copied into one: that costs less than to have the kernel
/// read a list of them.
const JOINED_MAX_BYTES: usize = 8 * 1024;

impl Io for Ring {
    type Socket = Socket;
    type Listener = TcpListener;
    type Pipe = Pipe;

    fn accept(&mut self, listener: &TcpListener, token: u64) -> io::Result<OpId> {
        let listener = listener.as_fd().try_clone_to_owned()?;
        self.arm(token, OpKind::Accept(listener))
    }

    fn receive(&mut self, socket: &Socket, token: u64) -> io::Result<OpId> {
        if socket.0.receive.get().is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let op = self.arm(token, OpKind::Receive(Rc::clone(&socket.0)))?;
        socket.0.receive.set(Some(op));
        Ok(op)
    }

    fn await_writable(&mut self, socket: &Socket, token: u64) -> io::Result<OpId> {
        if socket.0.writable.get().is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let op = self.arm(token, OpKind::AwaitWritable(Rc::clone(&socket.0)))?;
        socket.0.writable.set(Some(op));
        Ok(op)
    }

    fn splice_in(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        len: usize,
        pipe: &Pipe,
        token: u64,
    ) -> io::Result<OpId> {
        let offset = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let len = len.min(SPLICE_MAX_BYTES) as u32;
        let (file, pipe) = (Arc::clone(file), Rc::clone(&pipe.state));
        self.arm(token, OpKind::SpliceIn { file, offset, len, pipe })
    }

    fn watch(&mut self, eventfd: &EventFd, token: u64) -> io::Result<OpId> {
        let eventfd = eventfd.as_fd().try_clone_to_owned()?;
        self.arm(token, OpKind::Watch(eventfd))
    }

    fn cancel(&mut self, id: OpId) {
        self.push_cancel_once(id);
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.submit_and_wait(timeout)
    }

    fn next(&mut self) -> Option<Event<Socket>> {
        self.take_event()
    }

    fn bytes(&self, buffer: &Buffer) -> &[u8] {
        self.buffers.bytes(buffer)
    }

    fn recycle(&mut self, buffer: Buffer) {
        self.buffers.recycle(buffer);
    }

    fn send(&mut self, socket: &Socket, pieces: [&[u8]; 2], more: bool) -> io::Result<usize> {
        let mut flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        flags.set(SendFlags::MORE, more);
        match pieces {
            [only, []] | [[], only] => Ok(rustix::net::send(socket, only, flags)?),
            [first, second] if first.len() + second.len() <= JOINED_MAX_BYTES => {
                self.joined.clear();
                self.joined.extend_from_slice(first);
                self.joined.extend_from_slice(second);
                Ok(rustix::net::send(socket, &self.joined, flags)?)
            }
            [first, second] => {
                let pieces = [io::IoSlice::new(first), io::IoSlice::new(second)];
                let mut no_control = SendAncillaryBuffer::default();
                Ok(rustix::net::sendmsg(socket, &pieces, &mut no_control, flags)?)
            }
        }
    }

    fn send_pieces(
        &mut self,
        socket: &Socket,
        pieces: &[io::IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize> {
        let mut flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        flags.set(SendFlags::MORE, more);
        let mut no_control = SendAncillaryBuffer::default();
        Ok(rustix::net::sendmsg(socket, pieces, &mut no_control, flags)?)
    }

    fn cork(&mut self, socket: &Socket, on: bool) {
        // It fails on a socket that is gone or not TCP: then there is nothing to hold back.
        let _ = sockopt::set_tcp_cork(socket, on);
    }

    fn pace(&mut self, socket: &Socket, bytes_per_s: u64) {
        // It fails on a socket that is gone: then nothing leaves.
        let _ = crate::sys::net::set_pace(socket, bytes_per_s);
    }

    fn pipe(&mut self) -> Option<Pipe> {
        self.pipes.take()
    }

    fn return_pipe(&mut self, pipe: Pipe) {
        self.pipes.give_back(pipe);
    }

    fn fill_pipe(
        &mut self,
        file: &File,
        offset: u64,
        len: usize,
        pipe: &mut Pipe,
    ) -> io::Result<usize> {
        let moved = splice::file_to_pipe(file, offset, &pipe.state.ends.write, len)?;
        pipe.len += moved;
        Ok(moved)
    }

    fn drain_pipe(&mut self, pipe: &mut Pipe, socket: &Socket, more: bool) -> io::Result<usize> {
        let moved = splice::pipe_to_socket(&pipe.state.ends.read, socket, pipe.len, more)?;
        pipe.len = pipe.len.saturating_sub(moved);
        Ok(moved)
    }

    fn pipes_alive(&self) -> usize {
        self.pipes.alive()
    }

    fn pipe_len(&self, pipe: &Pipe) -> usize {
        pipe.len
    }

    fn spliced_in(&mut self, pipe: &mut Pipe, len: usize) {
        pipe.len += len;
    }

    fn sendfile(
        &mut self,
        socket: &Socket,
        file: &File,
        offset: u64,
        len: usize,
    ) -> io::Result<usize> {
        splice::file_to_socket(file, offset, socket, len)
    }

    fn read_file(
        &mut self,
        file: &File,
        offset: u64,
        into: &mut [io::IoSliceMut<'_>],
    ) -> io::Result<usize> {
        Ok(rustix::io::preadv(file, into, offset)?)
    }

    fn offload(&mut self, socket: &Socket, keys: &Keys) -> io::Result<()> {
        match ktls::attach(socket) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => ktls::set(socket, keys),
        }
    }

    fn send_record(&mut self, socket: &Socket, content: u8, bytes: &[u8]) -> io::Result<()> {
        ktls::send_record(socket, content, bytes)
    }

    fn read_pipe(&mut self, pipe: &mut Pipe, into: &mut [u8]) -> io::Result<usize> {
        let taken = rustix::io::read(&pipe.state.ends.read, into)?;
        pipe.len -= taken;
        Ok(taken)
    }

    fn is_resident(&mut self, file: &File, offset: u64, len: u64) -> bool {
        self.residency.is_resident(file, offset, len)
    }

    fn facts(&mut self, socket: &Socket) -> TcpFacts {
        tcp::tcp_facts(socket).unwrap_or_default()
    }

    fn shutdown_write(&mut self, socket: &Socket) {
        // It fails on a socket that is gone: then our half has ended.
        let _ = rustix::net::shutdown(socket, Shutdown::Write);
    }

    fn close(&mut self, socket: Socket) {
        for op in [socket.0.receive.get(), socket.0.writable.get()].into_iter().flatten() {
            self.cancel(op);
        }
    }
}
