//! Awaiting a descriptor under tokio's reactor.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers `fd` for becoming readable with the reactor of this thread. Fails when no descriptor is
/// left; panics outside a runtime.
pub fn readable(fd: impl AsFd) -> io::Result<AsyncFd<OwnedFd>> {
    let owned = fd.as_fd().try_clone_to_owned()?;
    // SAFETY: the descriptor is a duplicate that the `AsyncFd` owns: it is open as long as that lives,
    // and an `OwnedFd` always names the same one.
    let registered = unsafe { AsyncFd::register_with_interest(owned, Interest::READABLE) };
    Ok(registered?)
}
