//! Pipes: the hands that carry pages from a file to a socket.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

/// Both ends of a nonblocking pipe.
#[derive(Debug)]
pub struct PipeEnds {
    /// Where bytes come out.
    pub read: OwnedFd,
    /// Where bytes go in.
    pub write: OwnedFd,
    /// What it holds at most, bytes.
    pub capacity_bytes: usize,
}

impl PipeEnds {
    /// A pipe that holds `capacity_bytes`, or fewer where the host allows no more: without
    /// privilege all pipes of a user share `fs.pipe-user-pages-soft`, over which new ones are two
    /// pages small.
    pub fn new(capacity_bytes: usize) -> io::Result<PipeEnds> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let capacity_bytes = match fcntl_setpipe_size(&write, capacity_bytes) {
            Ok(got) if got > 0 => got,
            _ => fcntl_getpipe_size(&write)?,
        };
        Ok(PipeEnds { read, write, capacity_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_knows_its_size() {
        let pipe = PipeEnds::new(128 * 1024).unwrap();
        assert_eq!(pipe.capacity_bytes, fcntl_getpipe_size(&pipe.read).unwrap());
        let huge = PipeEnds::new(1 << 40).unwrap();
        assert_eq!(huge.capacity_bytes, fcntl_getpipe_size(&huge.read).unwrap());
    }
}
