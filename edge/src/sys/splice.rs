//! Moving pages between descriptors without copying them, never blocking on a socket or a pipe.
//!
//! Linux raises SIGPIPE when the socket is gone: see [`crate::sys::thread::ignore_sigpipe`].

use std::io;
use std::os::fd::AsFd;

use rustix::pipe::SpliceFlags;

/// Moves up to `len` bytes of `file` from `offset` into a pipe; zero at the end of the file.
/// `WouldBlock` when the pipe is full. Waits for the disk when the bytes are not resident.
pub fn file_to_pipe(
    file: impl AsFd,
    mut offset: u64,
    pipe_write: impl AsFd,
    len: usize,
) -> io::Result<usize> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    Ok(rustix::pipe::splice(file, Some(&mut offset), pipe_write, None, len, flags)?)
}

/// Moves up to `len` bytes out of a pipe into a nonblocking socket; `more` says that further bytes
/// follow at once. `WouldBlock` when the socket takes none, or the pipe has none.
pub fn pipe_to_socket(
    pipe_read: impl AsFd,
    socket: impl AsFd,
    len: usize,
    more: bool,
) -> io::Result<usize> {
    let mut flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    flags.set(SpliceFlags::MORE, more);
    Ok(rustix::pipe::splice(pipe_read, None, socket, None, len, flags)?)
}

/// Sends up to `len` bytes of `file` from `offset` to a nonblocking socket; zero at the end of the
/// file. `WouldBlock` when the socket takes none. Waits for the disk when they are not resident.
pub fn file_to_socket(
    file: impl AsFd,
    mut offset: u64,
    socket: impl AsFd,
    len: usize,
) -> io::Result<usize> {
    Ok(rustix::fs::sendfile(socket, file, Some(&mut offset), len)?)
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::sys::pipe::PipeEnds;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let pipe = PipeEnds::new(64 * 1024).unwrap();
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();

        assert_eq!(
            pipe_to_socket(&pipe.read, &near, 10, false).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        assert_eq!(file_to_pipe(&file, 2, &pipe.write, 100).unwrap(), 8);
        assert_eq!(file_to_pipe(&file, 10, &pipe.write, 100).unwrap(), 0);
        assert_eq!(pipe_to_socket(&pipe.read, &near, 8, true).unwrap(), 8);
        assert_eq!(file_to_socket(&file, 8, &near, 100).unwrap(), 2);
        let mut got = [0u8; 10];
        far.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"2345678989");
    }
}
