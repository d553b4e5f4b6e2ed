//! A small server over any [`Io`]: it receives until the client's end, answers with all it got and
//! then with a file, and closes. What holds for it on the fake ring has to hold on the real one.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use crate::ring::{Event, EventKind, Io, OpId};

const LISTENER: u64 = u64::MAX;

pub struct Server<I: Io> {
    listener: I::Listener,
    accepting: bool,
    file: Arc<File>,
    file_len: usize,
    conns: Vec<Option<Conn<I>>>,
}

struct Conn<I: Io> {
    socket: I::Socket,
    token: u64,
    receive: Option<OpId>,
    writable: Option<OpId>,
    splice: Option<OpId>,
    pipe: Option<I::Pipe>,
    received: Vec<u8>,
    ended: bool,
    echoed: usize,
    read: usize,
}

enum Step {
    Sent,
    Waits,
    Done,
}

impl<I: Io> Server<I> {
    pub fn new(listener: I::Listener, file: File) -> Server<I> {
        let file_len = file.metadata().unwrap().len() as usize;
        Server { listener, accepting: false, file: Arc::new(file), file_len, conns: Vec::new() }
    }

    pub fn turn(&mut self, io: &mut I, timeout: Option<Duration>) {
        if !self.accepting {
            io.accept(&self.listener, LISTENER).unwrap();
            self.accepting = true;
        }
        io.wait(timeout).unwrap();
        while let Some(event) = io.next() {
            if event.token == LISTENER {
                self.accepting = event.more;
                if let EventKind::Accepted(Ok((socket, _))) = event.kind {
                    let token = self.conns.len() as u64;
                    let mut conn = Conn::new(socket, token);
                    conn.go_on(io, &self.file, self.file_len);
                    self.conns.push(Some(conn));
                }
            } else {
                self.handle(io, event);
            }
        }
    }

    fn handle(&mut self, io: &mut I, event: Event<I::Socket>) {
        let slot = &mut self.conns[event.token as usize];
        let Some(conn) = slot else {
            if let EventKind::Received(Ok(buffer)) = event.kind {
                io.recycle(buffer);
            }
            return;
        };
        if (!conn.handle(io, event) || !conn.go_on(io, &self.file, self.file_len))
            && let Some(conn) = slot.take()
        {
            conn.close(io);
        }
    }
}

impl<I: Io> Conn<I> {
    fn new(socket: I::Socket, token: u64) -> Conn<I> {
        let (receive, writable, splice, pipe) = (None, None, None, None);
        let (received, ended, echoed, read) = (Vec::new(), false, 0, 0);
        Conn { socket, token, receive, writable, splice, pipe, received, ended, echoed, read }
    }

    /// Whether the connection goes on.
    fn handle(&mut self, io: &mut I, event: Event<I::Socket>) -> bool {
        match event.kind {
            EventKind::Received(result) => {
                self.receive = self.receive.filter(|_| event.more);
                match result {
                    Ok(buffer) => {
                        self.ended |= buffer.is_end();
                        self.received.extend(io.bytes(&buffer));
                        io.recycle(buffer);
                    }
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                    Err(_) => return false,
                }
            }
            EventKind::Writable(_) => self.writable = None,
            EventKind::Spliced(result) => {
                self.splice = None;
                let read = result.unwrap();
                self.read += read;
                io.spliced_in(self.pipe.as_mut().unwrap(), read);
            }
            EventKind::Accepted(_) | EventKind::Woken => unreachable!("not armed here"),
        }
        true
    }

    /// Whether the connection goes on.
    fn go_on(&mut self, io: &mut I, file: &Arc<File>, file_len: usize) -> bool {
        if !self.ended && self.receive.is_none() {
            self.receive = Some(io.receive(&self.socket, self.token).unwrap());
        }
        while self.ended && self.writable.is_none() && self.splice.is_none() {
            match self.step(io, file, file_len) {
                Ok(Step::Sent | Step::Waits) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable = Some(io.await_writable(&self.socket, self.token).unwrap());
                }
                Ok(Step::Done) | Err(_) => return false,
            }
        }
        true
    }

    fn step(&mut self, io: &mut I, file: &Arc<File>, file_len: usize) -> io::Result<Step> {
        let (offset, left) = (self.read as u64, file_len - self.read);
        if self.echoed < self.received.len() {
            self.echoed += io.send(&self.socket, [&self.received[self.echoed..], b""], true)?;
            return Ok(Step::Sent);
        }
        if let Some(pipe) = self.pipe.as_mut().filter(|pipe| io.pipe_len(pipe) > 0) {
            io.drain_pipe(pipe, &self.socket, left > 0)?;
            return Ok(Step::Sent);
        }
        if left == 0 {
            return Ok(Step::Done);
        }
        self.pipe = self.pipe.take().or_else(|| io.pipe());
        match self.pipe.as_mut() {
            None => self.read += io.sendfile(&self.socket, file, offset, left)?,
            Some(pipe) if io.is_resident(file, offset, left as u64) => {
                self.read += io.fill_pipe(file, offset, left, pipe)?;
            }
            Some(pipe) => {
                self.splice = Some(io.splice_in(file, offset, left, pipe, self.token)?);
                return Ok(Step::Waits);
            }
        }
        Ok(Step::Sent)
    }

    fn close(self, io: &mut I) {
        for op in [self.receive, self.writable, self.splice].into_iter().flatten() {
            io.cancel(op);
        }
        if let Some(pipe) = self.pipe {
            io.return_pipe(pipe);
        }
        io.close(self.socket);
    }
}

/// A file with nothing regular in it.
pub fn sample(len: usize) -> (File, Vec<u8>) {
    use std::io::Write;
    let bytes: Vec<u8> = (0..len as u64).map(|n| (n.wrapping_mul(n) >> 3) as u8).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    (file, bytes)
}
