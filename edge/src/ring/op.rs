//! One armed op: what it keeps alive, and the submission made of just that.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use io_uring::types::Fd;
use io_uring::{opcode, squeue};

use super::buffers;
use super::pipes::PipeState;
use super::socket::SocketState;

/// An op between arming and its last event.
#[derive(Debug)]
pub(super) struct Op {
    pub(super) token: u64,
    pub(super) cancelled: bool,
    pub(super) kind: OpKind,
}

/// What an op does, and owns until it ends: the kernel looks descriptors up by number when the
/// submission reaches it, so the number must not have become another's.
#[derive(Debug)]
pub(super) enum OpKind {
    Accept(OwnedFd),
    Receive(Rc<SocketState>),
    AwaitWritable(Rc<SocketState>),
    SpliceIn { file: Arc<File>, offset: i64, len: u32, pipe: Rc<PipeState> },
    Watch(OwnedFd),
}

impl OpKind {
    /// The submission. It names descriptors `self` owns, and no memory but the ring's registered
    /// buffers.
    pub(super) fn entry(&self) -> squeue::Entry {
        match self {
            OpKind::Accept(listener) => opcode::AcceptMulti::new(Fd(listener.as_raw_fd()))
                .flags(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
                .build(),
            OpKind::Receive(socket) => {
                opcode::RecvMulti::new(Fd(socket.fd.as_raw_fd()), buffers::GROUP).build()
            }
            OpKind::AwaitWritable(socket) => {
                opcode::PollAdd::new(Fd(socket.fd.as_raw_fd()), libc::POLLOUT as u32).build()
            }
            OpKind::SpliceIn { file, offset, len, pipe } => {
                let (from, to) = (Fd(file.as_raw_fd()), Fd(pipe.ends.write.as_raw_fd()));
                // Nonblocking towards the pipe alone: a full one must not keep a kernel thread.
                opcode::Splice::new(from, *offset, to, -1, *len)
                    .flags(libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK)
                    .build()
            }
            OpKind::Watch(eventfd) => {
                let fd = Fd(eventfd.as_raw_fd());
                opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build()
            }
        }
    }
}
