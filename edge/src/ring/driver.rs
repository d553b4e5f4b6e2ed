//! The kernel's io_uring: submitting ops, and telling what became of them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use io_uring::types::{CancelBuilder, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::buffers::{Buffer, Buffers};
use super::op::{Op, OpKind};
use super::pipes::Pipes;
use super::setup::{self, Features};
use super::slab::{OpId, Slab};
use super::socket::Socket;
use super::{Event, EventKind, RingConfig, RingError};
use crate::sys::residency::Residency;
use crate::sys::thread;

/// Ops armed at once: a receive and a wait for each of the connections a worker may hold, twice
/// over. A slot is some 64 bytes, made when first needed.
const OPS_MAX: u32 = 1 << 19;

/// What a cancel request is called; no op's id reads so.
const CANCEL: u64 = u64::MAX;

/// How long a dropped ring waits for the kernel to let go of its buffers.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// One thread's io_uring with its receive buffers and pipes.
///
/// It stays on the thread that made it: the kernel knows that one as its only user.
///
/// Whatever the kernel may still touch is kept alive by the op's slot until the op's last
/// completion, so that nothing a caller drops early is used after it is gone.
#[derive(Debug)]
pub struct Ring {
    slab: Slab<Op>,
    // Cancels that found no room; at most one for each op.
    late_cancels: Vec<OpId>,
    pub(super) pipes: Pipes,
    pub(super) residency: Residency,
    // Short pieces on their way, put together.
    pub(super) joined: Vec<u8>,
    features: Features,
    // Closed before the buffers the kernel writes to are unmapped: fields drop in this order.
    uring: Uring,
    pub(super) buffers: Buffers,
}

struct Uring(IoUring);

impl std::fmt::Debug for Uring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.params().fmt(f)
    }
}

impl Ring {
    /// A ring for this thread. SIGPIPE is ignored in the whole process from now on.
    pub fn new(config: &RingConfig) -> Result<Ring, RingError> {
        thread::ignore_sigpipe();
        let (uring, features) = setup::build(config)?;
        let mut ring = Ring::over(uring, features, config)?;
        setup::try_multishot(&mut ring)?;
        Ok(ring)
    }

    /// What it found on this host.
    pub fn features(&self) -> Features {
        self.features
    }

    /// Ops that are armed.
    pub fn armed_ops(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn over(
        uring: IoUring,
        features: Features,
        config: &RingConfig,
    ) -> Result<Ring, RingError> {
        let mut ring = Ring {
            slab: Slab::new(OPS_MAX),
            late_cancels: Vec::new(),
            pipes: Pipes::new(config.pipes_max, config.pipe_bytes),
            residency: Residency::default(),
            joined: Vec::new(),
            features,
            uring: Uring(uring),
            buffers: Buffers::new(config)?,
        };
        // SAFETY: the ring is dropped before its buffers (the order of the fields), after `Drop`
        // has waited for every receive to end, or has leaked the buffers.
        let registered = unsafe { ring.buffers.register(&ring.uring.0.submitter()) };
        registered.map_err(|source| match source.raw_os_error() {
            Some(libc::EINVAL) => RingError::missing("a ring of provided buffers"),
            _ => RingError::Setup { op: "register the receive buffers", source },
        })?;
        Ok(ring)
    }

    /// Waits until no op is armed, throwing their events away; gives up after [`DRAIN_MAX`].
    pub(super) fn drain(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + DRAIN_MAX;
        while self.slab.len() > 0 && Instant::now() < deadline {
            self.submit_and_wait(Some(Duration::from_millis(100)))?;
            while let Some(event) = self.take_event() {
                if let EventKind::Received(Ok(buffer)) = event.kind {
                    self.buffers.recycle(buffer);
                }
            }
        }
        Ok(())
    }

    /// Arms an op.
    pub(super) fn arm(&mut self, token: u64, kind: OpKind) -> io::Result<OpId> {
        let entry = kind.entry();
        let op = Op { token, cancelled: false, kind };
        let id = self.slab.insert(op).map_err(|_| io::ErrorKind::QuotaExceeded)?;
        if let Err(error) = self.push(&entry.user_data(id.to_bits())) {
            self.slab.remove(id);
            return Err(error);
        }
        Ok(id)
    }

    /// Queues a submission; when the queue is full, submits it first.
    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        let uring = &mut self.uring.0;
        let submitted = if uring.submission().is_full() { uring.submit() } else { Ok(0) };
        // SAFETY: an entry is an `OpKind`'s, whose slot keeps its descriptors open until the last
        // completion, or a cancel of this file, which names nothing. No entry names memory but the
        // registered buffers, and those outlive the ring.
        let pushed = unsafe { uring.submission().push(entry) };
        pushed.map_err(|_| submitted.err().unwrap_or(io::ErrorKind::OutOfMemory.into()))
    }

    /// Asks an op to end, once.
    pub(super) fn push_cancel_once(&mut self, id: OpId) {
        let Some(op) = self.slab.value_mut(id) else { return };
        if !std::mem::replace(&mut op.cancelled, true) && self.push_cancel(id).is_err() {
            self.late_cancels.push(id);
        }
    }

    fn push_cancel(&mut self, id: OpId) -> io::Result<()> {
        // A cancel that finds its op is silent; the op's own completion speaks.
        self.push(
            &opcode::AsyncCancel::new(id.to_bits())
                .build()
                .flags(squeue::Flags::SKIP_SUCCESS)
                .user_data(CANCEL),
        )
    }

    /// Whether all cancels that found no room have found it now.
    fn push_late_cancels(&mut self) -> bool {
        while let Some(&id) = self.late_cancels.last() {
            if self.push_cancel(id).is_err() {
                return false;
            }
            self.late_cancels.pop();
        }
        true
    }

    /// Submits everything and waits as [`super::Io::wait`] says.
    pub(super) fn submit_and_wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = if self.push_late_cancels() { timeout } else { Some(Duration::ZERO) };
        match self.enter(timeout) {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // Time is up; a signal came; completions have to be taken first; no memory now.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    fn enter(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let uring = &mut self.uring.0;
        match timeout {
            None => uring.submit_and_wait(1),
            Some(Duration::ZERO) => {
                let queue = uring.submission();
                let idle = queue.is_empty() && !queue.taskrun() && !queue.cq_overflow();
                drop(queue);
                if idle { Ok(0) } else { uring.submit() }
            }
            Some(timeout) => {
                let timespec = Timespec::from(timeout);
                let args = SubmitArgs::new().timespec(&timespec);
                uring.submitter().submit_with_args(1, &args)
            }
        }
    }

    /// The next completion that is an op's.
    pub(super) fn take_event(&mut self) -> Option<Event<Socket>> {
        loop {
            let completion = self.uring.0.completion().next()?;
            if completion.user_data() != CANCEL
                && let Some(event) = self.event(&completion)
            {
                return Some(event);
            }
        }
    }

    fn event(&mut self, completion: &cqueue::Entry) -> Option<Event<Socket>> {
        let id = OpId::from_bits(completion.user_data());
        let more = cqueue::more(completion.flags());
        let result = match completion.result() {
            result @ 0.. => Ok(result as usize),
            errno => Err(io::Error::from_raw_os_error(-errno)),
        };
        let op = self.slab.value_mut(id)?;
        let token = op.token;
        let kind = match &op.kind {
            OpKind::Accept(_) => EventKind::Accepted(result.and_then(|fd| accepted(fd as i32))),
            OpKind::Receive(_) => {
                let buffer = cqueue::buffer_select(completion.flags());
                EventKind::Received(received(&mut self.buffers, result, buffer))
            }
            OpKind::AwaitWritable(_) => EventKind::Writable(result.map(drop)),
            OpKind::SpliceIn { .. } => EventKind::Spliced(result),
            OpKind::Watch(_) => EventKind::Woken,
        };
        if !more {
            self.forget(id);
        }
        Some(Event { token, op: id, kind, more })
    }

    fn forget(&mut self, id: OpId) {
        match self.slab.remove(id).map(|op| op.kind) {
            Some(OpKind::Receive(socket)) => socket.receive.set(None),
            Some(OpKind::AwaitWritable(socket)) => socket.writable.set(None),
            _ => {}
        }
    }
}

/// Takes over a descriptor the kernel has just made.
fn accepted(fd: i32) -> io::Result<(Socket, SocketAddr)> {
    // SAFETY: a successful accept answers with a new descriptor that nobody else has.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let peer = rustix::net::getpeername(&fd)?.ok_or(io::ErrorKind::NotConnected)?;
    let peer = SocketAddr::try_from(peer)?;
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    Ok((Socket::from_nonblocking(fd), peer))
}

fn received(
    buffers: &mut Buffers,
    result: io::Result<usize>,
    id: Option<u16>,
) -> io::Result<Buffer> {
    let Some(id) = id else { return result.map(|_| Buffer::end()) };
    let buffer = buffers.take(id, *result.as_ref().unwrap_or(&0));
    if buffer.is_end() {
        // An end or an error that came with a buffer: it goes straight back.
        buffers.recycle(buffer);
        return result.map(|_| Buffer::end());
    }
    Ok(buffer)
}

impl Drop for Ring {
    fn drop(&mut self) {
        let cancel_all = opcode::AsyncCancel2::new(CancelBuilder::any()).build().user_data(CANCEL);
        // Closing a ring does not wait for its receives to end, so we do. A splice that hangs on a
        // bad disk may be left behind: it has no memory of ours.
        let _ = self.push(&cancel_all).and_then(|()| self.drain());
        if self.slab.iter().any(|(_, op)| matches!(op.kind, OpKind::Receive(_))) {
            self.buffers.leak();
        }
    }
}
