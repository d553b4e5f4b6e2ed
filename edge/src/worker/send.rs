//! Moving bytes to a socket: literal ones, file ones through a pipe, cold ones by a kernel worker.
//!
//! A file's bytes go file → pipe → socket by `splice(2)`: page references move, no byte is copied.
//! What is in the pipe always leaves before anything else does.

use std::io::ErrorKind;

use super::conns::{Conn, Name};
use super::events::Kind;
use super::secure::{self, Scratch};
use crate::clock::Now;
use crate::limits::PIPE_BYTES;
use crate::metrics::WorkerMetrics;
use crate::ring::Io;

/// Spans up to this long go by one `sendfile` instead of two `splice` calls.
const SENDFILE_MAX_BYTES: u64 = 128 * 1024;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// Go on.
    Ready,
    /// The socket takes nothing now.
    Blocked,
    /// The turn's bytes are used up.
    Spent,
    /// The client is gone.
    Gone,
    /// The file's bytes cannot be read.
    Unreadable,
}

/// Sends what is in the pipe, or sealed. `Ready`: nothing is left.
pub(super) fn staged<I: Io>(
    io: &mut I,
    metrics: &WorkerMetrics,
    conn: &mut Conn<I>,
    scratch: &mut Scratch,
    budget: &mut u64,
    now: Now,
) -> Flow {
    if conn.tls.is_some() {
        let flow = secure::flush(io, metrics, conn, scratch, budget, now);
        if flow != Flow::Ready || secure::seals(conn) {
            return flow;
        }
    }
    while let Some(pipe) = conn.pipe.as_mut().filter(|pipe| io.pipe_len(pipe) > 0) {
        if *budget == 0 {
            return Flow::Spent;
        }
        let sent = io.drain_pipe(pipe, &conn.socket, conn.more);
        match sent {
            Ok(0) => return Flow::Gone,
            Ok(sent) => account(conn, metrics, sent, false, budget, now),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Flow::Blocked,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Flow::Gone,
        }
    }
    Flow::Ready
}

/// Sends literal bytes.
pub(super) fn literal<I: Io>(
    io: &mut I,
    metrics: &WorkerMetrics,
    conn: &mut Conn<I>,
    more: bool,
    scratch: &mut Scratch,
    budget: &mut u64,
    now: Now,
) -> Flow {
    if conn.tls.is_some() {
        return secure::literal(metrics, conn, more, scratch, now);
    }
    let sent = io.send(&conn.socket, conn.session.bytes(), more);
    direct(metrics, conn, sent, true, budget, now)
}

/// Stages bytes of the current span, or sends them at once when it is short.
pub(super) fn file<I: Io>(
    io: &mut I,
    metrics: &WorkerMetrics,
    conn: &mut Conn<I>,
    (name, more): (Name, bool),
    scratch: &mut Scratch,
    budget: &mut u64,
    now: Now,
) -> Flow {
    if secure::seals(conn) {
        return secure::file(io, metrics, conn, (name, more), scratch);
    }
    let Some(span) = conn.session.span() else { return Flow::Ready };
    let len = span.len.min(PIPE_BYTES as u64) as usize;
    let resident = io.is_resident(&span.file, span.offset, len as u64);
    let direct_is_best = resident && span.len <= SENDFILE_MAX_BYTES;
    if conn.pipe.is_none() && !direct_is_best {
        conn.pipe = io.pipe();
        if conn.pipe.is_none() {
            metrics.pipe_misses.add(1);
        }
    }
    let Some(pipe) = &mut conn.pipe else {
        let sent = io.sendfile(&conn.socket, &span.file, span.offset, len);
        match &sent {
            Ok(1..) => conn.session.handle_staged(sent.as_ref().copied().unwrap_or(0)),
            // The file is shorter than it was.
            Ok(0) => return Flow::Unreadable,
            Err(error) if is_of_disk(error) => return Flow::Unreadable,
            Err(_) => {}
        }
        return direct(metrics, conn, sent, false, budget, now);
    };
    // A record that is left open leaves with the next bytes, not with the packet it is in.
    conn.more = (more || span.len > len as u64) && conn.tls.is_none();
    if !resident {
        metrics.cold_spans.add(1);
        let token = Kind::Cold.of(name);
        conn.cold = io.splice_in(&span.file, span.offset, len, pipe, token).ok();
        return if conn.cold.is_some() { Flow::Ready } else { Flow::Gone };
    }
    match io.fill_pipe(&span.file, span.offset, len, pipe) {
        // The file is shorter than it was.
        Ok(0) => Flow::Unreadable,
        Ok(moved) => {
            conn.session.handle_staged(moved);
            Flow::Ready
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Flow::Ready,
        Err(error) if is_of_disk(&error) => Flow::Unreadable,
        Err(_) => Flow::Gone,
    }
}

/// Whether a call that moves bytes from a file to elsewhere failed because of the file: `EIO`, `ENXIO`,
/// `ENODEV`, `ENODATA`, `EBADMSG`, `EUCLEAN`, `EREMOTEIO`.
pub(super) fn is_of_disk(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(5 | 6 | 19 | 61 | 74 | 117 | 121))
}

/// Does what a step asks for.
pub(super) fn obey<I: Io>(
    io: &mut I,
    metrics: &WorkerMetrics,
    conn: &mut Conn<I>,
    name: Name,
    flow: Flow,
) {
    match flow {
        Flow::Ready | Flow::Spent => {}
        Flow::Blocked => await_writable(io, metrics, conn, name),
        Flow::Gone => hang_up(io, conn),
        Flow::Unreadable => conn.session.handle_unreadable(),
    }
}

/// Asks to be told when the socket takes bytes again.
pub(super) fn await_writable<I: Io>(
    io: &mut I,
    metrics: &WorkerMetrics,
    conn: &mut Conn<I>,
    name: Name,
) {
    metrics.send_waits.add(1);
    conn.writable = io.await_writable(&conn.socket, Kind::Writable.of(name)).ok();
}

/// Leaves a connection to the fill plane; what was held back for bytes to come goes out now.
pub(super) fn await_fill<I: Io>(io: &mut I, metrics: &WorkerMetrics, conn: &mut Conn<I>) {
    conn.waiting = true;
    metrics.fill_waits.add(1);
    if std::mem::take(&mut conn.more) {
        io.cork(&conn.socket, false);
    }
}

/// The client is gone: the session learns it, and nothing more is sent.
pub(super) fn hang_up<I: Io>(io: &mut I, conn: &mut Conn<I>) {
    match &mut conn.http2 {
        Some(http2) => http2.handle_eof(),
        None => conn.session.handle_gone(),
    }
    discard(io, conn);
}

/// Throws away what is staged for a client that takes nothing any more.
pub(super) fn discard<I: Io>(io: &mut I, conn: &mut Conn<I>) {
    if let Some(pipe) = conn.pipe.take() {
        // Bytes may be in it, or still be arriving: such a pipe is closed, not lent again.
        io.return_pipe(pipe);
    }
    for op in [conn.writable.take(), conn.cold.take()].into_iter().flatten() {
        io.cancel(op);
    }
}

/// Lends the pipe to others while nothing is in it.
pub(super) fn return_empty_pipe<I: Io>(io: &mut I, conn: &mut Conn<I>) {
    if conn.pipe.as_ref().is_some_and(|pipe| io.pipe_len(pipe) == 0)
        && let Some(pipe) = conn.pipe.take()
    {
        io.return_pipe(pipe);
    }
}

fn direct<I: Io>(
    metrics: &WorkerMetrics,
    conn: &mut Conn<I>,
    sent: std::io::Result<usize>,
    literal: bool,
    budget: &mut u64,
    now: Now,
) -> Flow {
    match sent {
        Ok(0) => Flow::Gone,
        Ok(sent) => {
            account(conn, metrics, sent, literal, budget, now);
            Flow::Ready
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Flow::Blocked,
        Err(error) if error.kind() == ErrorKind::Interrupted => Flow::Ready,
        Err(_) => Flow::Gone,
    }
}

fn account<I: Io>(
    conn: &mut Conn<I>,
    metrics: &WorkerMetrics,
    sent: usize,
    literal: bool,
    budget: &mut u64,
    now: Now,
) {
    metrics.sent_bytes.add(sent as u64);
    secure::count(conn, sent);
    conn.session.handle_sent(sent, literal, now);
    *budget = budget.saturating_sub(sent as u64);
}
