//! Connections that speak TLS: what is received is opened, what is sent is sealed first.
//!
//! A file's bytes are read from the page cache into one buffer of the worker, sealed, and handed to
//! the socket from where they were sealed. Bytes that are not resident come through a pipe that a
//! kernel worker fills, as they do for plain connections.

use std::io::{ErrorKind, IoSlice, Write};

use super::conns::{Conn, Name};
use super::events::Kind;
use super::send::Flow;
use crate::clock::Now;
use crate::limits::{PIPE_BYTES, TLS_READ_BYTES, TLS_TURN_BYTES};
use crate::metrics::WorkerMetrics;
use crate::ring::Io;
use crate::tls::Stream;

/// What a connection has beside its socket.
pub(super) struct Tls {
    stream: Stream,
    /// File bytes that are sealed and not yet sent.
    owed_bytes: u64,
    /// The handshake was counted.
    greeted: bool,
}

impl Tls {
    pub(super) fn new(stream: Stream) -> Box<Tls> {
        Box::new(Tls { stream, owed_bytes: 0, greeted: false })
    }
}

/// Buffers of a worker, shared by its connections.
#[derive(Default)]
pub(super) struct Scratch {
    file: Vec<u8>,
    plain: Vec<u8>,
}

/// Opens what was received and hands it to the session. `false`: the connection cannot go on.
pub(super) fn received<I: Io>(
    metrics: &WorkerMetrics,
    conn: &mut Conn<I>,
    bytes: &[u8],
    scratch: &mut Scratch,
    now: Now,
) -> bool {
    let Some(tls) = conn.tls.as_deref_mut() else { return false };
    scratch.plain.clear();
    let opened = tls.stream.receive(bytes, &mut scratch.plain);
    if !tls.greeted
        && let Some(resumed) = tls.stream.is_resumed()
    {
        tls.greeted = true;
        metrics.handshakes.add(1);
        metrics.handshakes_resumed.add(u64::from(resumed));
    }
    if !scratch.plain.is_empty() {
        conn.session.handle_bytes(&scratch.plain, now);
    }
    if tls.stream.is_ended() {
        conn.session.handle_eof();
    }
    if let Err(fault) = opened {
        metrics.handshakes_failed.add(u64::from(!tls.greeted));
        tracing::debug!(fault = fault.as_str(), "tls connection ended");
    }
    opened.is_ok()
}

/// Ends a connection that cannot go on. The client is told why, if its socket takes that at once.
pub(super) fn give_up<I: Io>(io: &mut I, conn: &mut Conn<I>) {
    if let Some(tls) = conn.tls.as_deref_mut() {
        let _ = tls.stream.send(&mut Wire { io, socket: &conn.socket, more: false });
    }
    conn.session.handle_gone();
}

/// Sends what is sealed. `Ready`: nothing is left.
pub(super) fn flush<I: Io>(
    io: &mut I,
    metrics: &WorkerMetrics,
    conn: &mut Conn<I>,
    scratch: &mut Scratch,
    budget: &mut u64,
    now: Now,
) -> Flow {
    loop {
        let Some(tls) = conn.tls.as_deref_mut() else { return Flow::Ready };
        while tls.stream.wants_write() {
            if *budget == 0 {
                return Flow::Spent;
            }
            let mut wire = Wire { io, socket: &conn.socket, more: conn.more };
            match tls.stream.send(&mut wire) {
                Ok(0) => return Flow::Gone,
                Ok(sent) => {
                    *budget = budget.saturating_sub(sent as u64);
                    metrics.sealed_bytes.add(sent as u64);
                    // Records are longer than what is in them: with the last nothing is owed.
                    let paid = tls.owed_bytes.min(sent as u64);
                    tls.owed_bytes -= paid;
                    if paid > 0 {
                        metrics.sent_bytes.add(paid);
                        conn.session.handle_sent(paid as usize, false, now);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Flow::Blocked,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Flow::Gone,
            }
        }
        if !seal_pipe(io, conn, scratch) {
            return Flow::Ready;
        }
    }
}

/// Seals bytes that a kernel worker brought into the pipe; whether there were any.
fn seal_pipe<I: Io>(io: &mut I, conn: &mut Conn<I>, scratch: &mut Scratch) -> bool {
    let Some(pipe) = conn.pipe.as_mut().filter(|pipe| io.pipe_len(pipe) > 0) else { return false };
    let Some(tls) = conn.tls.as_deref_mut() else { return false };
    match io.read_pipe(pipe, scratch.for_files()) {
        Ok(read @ 1..) => {
            tls.owed_bytes += tls.stream.seal(&scratch.file[..read]) as u64;
            true
        }
        _ => false,
    }
}

/// Seals literal bytes of the session.
pub(super) fn literal<I: Io>(
    metrics: &WorkerMetrics,
    conn: &mut Conn<I>,
    more: bool,
    now: Now,
) -> Flow {
    let Some(tls) = conn.tls.as_deref_mut() else { return Flow::Gone };
    let mut taken = 0;
    for piece in conn.session.bytes() {
        let sealed = tls.stream.seal(piece);
        taken += sealed;
        if sealed < piece.len() {
            break;
        }
    }
    conn.more = more;
    if taken == 0 {
        return Flow::Gone;
    }
    metrics.sent_bytes.add(taken as u64);
    conn.session.handle_sent(taken, true, now);
    Flow::Ready
}

/// Seals bytes of the current span, or has them brought in.
pub(super) fn file<I: Io>(
    io: &mut I,
    metrics: &WorkerMetrics,
    conn: &mut Conn<I>,
    (name, more): (Name, bool),
    scratch: &mut Scratch,
) -> Flow {
    conn.more = more;
    let mut sealed = 0;
    while sealed < TLS_TURN_BYTES {
        let Some(span) = conn.session.span() else { break };
        let len = span.len.min(TLS_READ_BYTES as u64) as usize;
        if !io.is_resident(&span.file, span.offset, len as u64) {
            return if sealed > 0 { Flow::Ready } else { bring_in(io, metrics, conn, name) };
        }
        let into = &mut scratch.for_files()[..len];
        let read = match io.read_file(&span.file, span.offset, into) {
            Ok(0) => return Flow::Unreadable,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return Flow::Unreadable,
        };
        let Some(tls) = conn.tls.as_deref_mut() else { return Flow::Gone };
        let taken = tls.stream.seal(&scratch.file[..read]);
        if taken == 0 {
            return if sealed > 0 { Flow::Ready } else { Flow::Gone };
        }
        tls.owed_bytes += taken as u64;
        sealed += taken;
        conn.session.handle_staged(taken);
    }
    Flow::Ready
}

/// Has a kernel worker fill the pipe from the disk.
fn bring_in<I: Io>(io: &mut I, metrics: &WorkerMetrics, conn: &mut Conn<I>, name: Name) -> Flow {
    let Some(span) = conn.session.span() else { return Flow::Ready };
    let len = span.len.min(PIPE_BYTES as u64) as usize;
    if conn.pipe.is_none() {
        conn.pipe = io.pipe();
    }
    let Some(pipe) = &mut conn.pipe else {
        metrics.pipe_misses.add(1);
        return Flow::Spent;
    };
    metrics.cold_spans.add(1);
    conn.cold = io.splice_in(&span.file, span.offset, len, pipe, Kind::Cold.of(name)).ok();
    if conn.cold.is_some() { Flow::Ready } else { Flow::Gone }
}

/// Says that nothing more will come, as far as the socket takes it at once.
pub(super) fn close<I: Io>(io: &mut I, conn: &mut Conn<I>) {
    if let Some(tls) = conn.tls.as_deref_mut() {
        tls.stream.close();
        let _ = tls.stream.send(&mut Wire { io, socket: &conn.socket, more: false });
    }
}

impl Scratch {
    fn for_files(&mut self) -> &mut [u8] {
        self.file.resize(TLS_READ_BYTES, 0);
        &mut self.file
    }
}

/// A socket to write records to.
struct Wire<'a, I: Io> {
    io: &'a mut I,
    socket: &'a I::Socket,
    more: bool,
}

impl<I: Io> Write for Wire<'_, I> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> std::io::Result<usize> {
        self.io.send_pieces(self.socket, pieces, self.more)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
