//! Connections that speak TLS: what is received is opened, what is sent is sealed first.
//!
//! Where the kernel seals (kTLS), it is given the keys once the handshake is sent, and from then on
//! bytes leave as they do on plain connections; what clients send is opened here all the same.
//! Elsewhere a file's bytes are read from the page cache into the records they leave in, in one buffer
//! of the worker. Bytes that are not resident come through a pipe that a kernel worker fills.

use std::io::{ErrorKind, Write};

use super::conns::{Conn, Name};
use super::events::Kind;
use super::send::{self, Flow};
use crate::clock::Now;
use crate::limits::{PIPE_BYTES, TLS_READ_BYTES, TLS_TURN_BYTES};
use crate::metrics::WorkerMetrics;
use crate::ring::Io;
use crate::session::Action;
use crate::tls::{Control, Stream};

/// What a connection has beside its socket.
pub(super) struct Tls {
    stream: Stream,
    /// File bytes that are sealed and not yet sent.
    owed_bytes: u64,
    /// The handshake was counted.
    greeted: bool,
    /// It is known who seals.
    decided: bool,
    /// It was given time to be closed by its client.
    lingered: bool,
}

impl Tls {
    pub(super) fn new(stream: Stream) -> Box<Tls> {
        Box::new(Tls { stream, owed_bytes: 0, greeted: false, decided: false, lingered: false })
    }
}

/// Buffers of a worker, shared by its connections.
#[derive(Default)]
pub(super) struct Scratch {
    file: Vec<u8>,
    plain: Vec<u8>,
    /// Lent to the connection that seals.
    sealed: Vec<u8>,
    /// Frames of HTTP/2 under construction.
    pub(super) frames: Vec<u8>,
}

/// Whether bytes for `conn` must be sealed by us.
pub(super) fn seals<I: Io>(conn: &Conn<I>) -> bool {
    conn.tls.as_deref().is_some_and(|tls| !tls.stream.is_offloaded())
}

/// The kernel has taken so many bytes to seal, if it seals for `conn`.
pub(super) fn count<I: Io>(conn: &mut Conn<I>, plain_bytes: usize) {
    if let Some(tls) = conn.tls.as_deref_mut() {
        tls.stream.count(plain_bytes);
    }
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
        conn.session.note_handshake(!resumed, false, now);
        conn.session.set_admission(tls.stream.admission());
        if tls.stream.protocol() == Some(b"h2") {
            conn.switch(now, metrics);
        }
    }
    let tls = conn.tls.as_deref();
    let (is_ended, greeted) = tls.map_or((true, true), |it| (it.stream.is_ended(), it.greeted));
    if !scratch.plain.is_empty() {
        conn.handle_bytes(&scratch.plain, now);
    }
    if is_ended {
        conn.handle_eof();
    }
    if let Err(fault) = opened {
        metrics.handshakes_failed.add(u64::from(!greeted));
        conn.session.note_handshake(false, !greeted, now);
        tracing::debug!(fault = fault.as_str(), "tls connection ended");
    }
    opened.is_ok()
}

/// A time-out has come: was it the handshake's?
pub(super) fn late<I: Io>(metrics: &WorkerMetrics, conn: &mut Conn<I>, now: Now) {
    if conn.tls.as_deref().is_some_and(|tls| !tls.greeted) {
        metrics.handshakes_failed.add(1);
        conn.session.note_handshake(false, true, now);
    }
}

/// Ends a connection that cannot go on. The client is told why, if its socket takes that at once.
pub(super) fn give_up<I: Io>(io: &mut I, conn: &mut Conn<I>) {
    control(io, conn);
    if let Some(tls) = conn.tls.as_deref_mut() {
        let _ = tls.stream.send(&mut Wire { io, socket: &conn.socket, more: false });
    }
    send::hang_up(io, conn);
}

/// Tells the kernel what it must know before it seals on. `Ready`: nothing is left to tell.
fn control<I: Io>(io: &mut I, conn: &mut Conn<I>) -> Flow {
    let Some(tls) = conn.tls.as_deref_mut() else { return Flow::Ready };
    while let Some(control) = tls.stream.control() {
        let told = match control {
            Control::Record(content, bytes) => io.send_record(&conn.socket, *content, bytes),
            // Older kernels change no keys: such a connection ends, for its client will not read on.
            Control::Rekey(keys) => io.offload(&conn.socket, keys),
        };
        match told {
            Ok(()) => tls.stream.controlled(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Flow::Blocked,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Flow::Gone,
        }
    }
    if tls.stream.is_worn() { Flow::Gone } else { Flow::Ready }
}

/// Gives the kernel the keys, once the handshake is sent, if it takes them.
fn decide<I: Io>(io: &mut I, metrics: &WorkerMetrics, conn: &mut Conn<I>) {
    let Some(tls) = conn.tls.as_deref_mut().filter(|tls| tls.greeted && !tls.decided) else {
        return;
    };
    tls.decided = true;
    let taken = tls.stream.offer().map(|keys| io.offload(&conn.socket, keys));
    tls.stream.decide(matches!(taken, Some(Ok(()))));
    match taken {
        Some(Ok(())) => metrics.offloaded.add(1),
        Some(Err(error)) => {
            tracing::debug!(%error, "the kernel does not seal for a connection");
            metrics.sealed_here.add(1);
        }
        None => metrics.sealed_here.add(1),
    }
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
        match control(io, conn) {
            Flow::Ready => {}
            flow => return flow,
        }
        let Some(tls) = conn.tls.as_deref_mut() else { return Flow::Ready };
        let more = conn.more && !tls.stream.is_offloaded();
        while tls.stream.wants_write() {
            if *budget == 0 {
                return Flow::Spent;
            }
            let mut wire = Wire { io, socket: &conn.socket, more };
            match tls.stream.send(&mut wire) {
                Ok(0) => return Flow::Gone,
                Ok(sent) => {
                    *budget = budget.saturating_sub(sent as u64);
                    match tls.stream.is_offloaded() {
                        true => tls.stream.count(sent),
                        false => metrics.sealed_bytes.add(sent as u64),
                    }
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
        tls.stream.give_back(&mut scratch.sealed);
        decide(io, metrics, conn);
        if !seals(conn) || !seal_pipe(io, conn, scratch) {
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
            tls.stream.lend(&mut scratch.sealed);
            tls.owed_bytes += tls.stream.seal(&scratch.file[..read]) as u64;
            true
        }
        _ => false,
    }
}

/// Seals some of `bytes`; how many.
pub(super) fn seal<I: Io>(conn: &mut Conn<I>, scratch: &mut Scratch, bytes: &[u8]) -> usize {
    let Some(tls) = conn.tls.as_deref_mut() else { return 0 };
    tls.stream.lend(&mut scratch.sealed);
    tls.stream.seal(bytes)
}

/// Seals literal bytes of the session.
pub(super) fn literal<I: Io>(
    metrics: &WorkerMetrics,
    conn: &mut Conn<I>,
    more: bool,
    scratch: &mut Scratch,
    now: Now,
) -> Flow {
    let Some(tls) = conn.tls.as_deref_mut() else { return Flow::Gone };
    tls.stream.lend(&mut scratch.sealed);
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
        let Some(tls) = conn.tls.as_deref_mut() else { return Flow::Gone };
        if tls.stream.room_bytes() < len {
            break;
        }
        tls.stream.lend(&mut scratch.sealed);
        let read =
            tls.stream.seal_from(len, &mut |pieces| io.read_file(&span.file, span.offset, pieces));
        let taken = match read {
            Ok(0) => return Flow::Unreadable,
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::NotConnected => return Flow::Gone,
            Err(_) => return Flow::Unreadable,
        };
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

/// Whether a connection that may be closed must not be yet: the kernel seals for it, may still have a
/// record to hand to TCP, and would forget it. Its client closes it, or a time-out does.
fn lingers<I: Io>(conn: &mut Conn<I>, now: Now) -> bool {
    let Some(tls) = conn.tls.as_deref_mut().filter(|tls| tls.stream.is_offloaded()) else {
        return false;
    };
    !std::mem::replace(&mut tls.lingered, true) && conn.session.linger(now)
}

/// Ends our half of the connection, as far as the socket takes it at once. Whether the rest of it is to
/// be closed now.
pub(super) fn part<I: Io>(io: &mut I, conn: &mut Conn<I>, action: &Action, now: Now) -> bool {
    let closes = matches!(action, Action::Close) && !lingers(conn, now);
    let Some(tls) = conn.tls.as_deref_mut() else {
        if !closes {
            io.shutdown_write(&conn.socket);
        }
        return closes;
    };
    tls.stream.close();
    if tls.stream.is_offloaded() {
        // A record may still wait in the kernel, and a FIN would overtake it: the close_notify says it,
        // and the client ends the connection.
        control(io, conn);
        return closes;
    }
    let _ = tls.stream.send(&mut Wire { io, socket: &conn.socket, more: false });
    if !closes {
        io.shutdown_write(&conn.socket);
    }
    closes
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
        self.io.send(self.socket, [bytes, &[]], self.more)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
