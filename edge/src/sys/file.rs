//! Files and their space.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{FallocateFlags, FlockOperation, MemfdFlags};
use rustix::io::Errno;

/// Reserves the space of `[offset, offset + len)` and lengthens the file to hold it.
pub fn fallocate(file: impl AsFd, offset: u64, len: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), offset, len)?)
}

/// Makes `[offset, offset + len)` read as zeros without writing them; the file keeps its length.
/// `Unsupported` when its file system can neither zero a range nor punch a hole.
pub fn zero_range(file: impl AsFd, offset: u64, len: u64) -> io::Result<()> {
    let keep = FallocateFlags::KEEP_SIZE;
    for flags in [FallocateFlags::ZERO_RANGE | keep, FallocateFlags::PUNCH_HOLE | keep] {
        match rustix::fs::fallocate(&file, flags, offset, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            done => return Ok(done?),
        }
    }
    Err(io::ErrorKind::Unsupported.into())
}

/// A file in memory alone; `name` shows in `/proc/PID/fd`.
pub fn memfd(name: &str) -> io::Result<File> {
    Ok(File::from(rustix::fs::memfd_create(CString::new(name)?, MemfdFlags::CLOEXEC)?))
}

/// Takes the file for this process until it is closed; `WouldBlock` when another has it.
pub fn lock_exclusive(file: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)?)
}
