//! A client's connection, kept open for as long as the kernel may still use it.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use super::OpId;

/// A connected stream socket of one worker.
///
/// Armed ops share it, so that its descriptor's number is not given to another while a submission
/// names it. Hand it to [`super::Io::close`]: merely dropped, it stays open until its ops end.
#[derive(Debug)]
pub struct Socket(pub(super) Rc<SocketState>);

#[derive(Debug)]
pub(super) struct SocketState {
    pub(super) fd: OwnedFd,
    pub(super) receive: Cell<Option<OpId>>,
    pub(super) writable: Cell<Option<OpId>>,
}

impl Socket {
    /// A socket made elsewhere; it is made nonblocking.
    pub fn new(fd: OwnedFd) -> io::Result<Socket> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Socket::from_nonblocking(fd))
    }

    pub(super) fn from_nonblocking(fd: OwnedFd) -> Socket {
        Socket(Rc::new(SocketState { fd, receive: Cell::new(None), writable: Cell::new(None) }))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}
