//! What the kernel's TCP knows of a connection (`TCP_INFO`).

use std::os::fd::{AsFd, AsRawFd};

/// Where the fields lie in `struct tcp_info` (`include/uapi/linux/tcp.h`); it only ever grows. The last
/// came with Linux 4.19.
const RTT_AT: usize = 68;
const TOTAL_RETRANS_AT: usize = 100;
const BYTES_ACKED_AT: usize = 120;
const NOTSENT_BYTES_AT: usize = 144;
const BYTES_SENT_AT: usize = 200;
const BYTES_RETRANS_AT: usize = 208;
const KNOWN_BYTES: usize = 216;

/// What became of what a connection was given to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFacts {
    /// Bytes the client's kernel acknowledged; never the end of the stream.
    pub acked_bytes: u64,
    /// Bytes that wait to be sent, or were and are not acknowledged.
    pub unacked_bytes: u64,
    /// Segments sent again.
    pub retransmits: u32,
    /// Smoothed round trip, µs.
    pub round_trip_us: u32,
}

/// Asks; `None`: the socket is none of TCP's.
pub fn tcp_facts(socket: impl AsFd) -> Option<TcpFacts> {
    let mut info = [0u8; KNOWN_BYTES];
    let mut length = KNOWN_BYTES as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is the buffer's size.
    let done = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (done == 0 && length as usize == KNOWN_BYTES).then(|| facts(&info))
}

fn facts(info: &[u8; KNOWN_BYTES]) -> TcpFacts {
    let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|index| info[at + index]));
    let long = |at: usize| u64::from_ne_bytes(std::array::from_fn(|index| info[at + index]));
    // What was sent is counted without the end of the stream, what was acknowledged with it.
    let once_bytes = long(BYTES_SENT_AT).saturating_sub(long(BYTES_RETRANS_AT));
    let acked_bytes = long(BYTES_ACKED_AT).min(once_bytes);
    TcpFacts {
        acked_bytes,
        unacked_bytes: once_bytes - acked_bytes + u64::from(word(NOTSENT_BYTES_AT)),
        retransmits: word(TOTAL_RETRANS_AT),
        round_trip_us: word(RTT_AT),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_arrived_is_told_from_what_did_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        assert_eq!(tcp_facts(&near).unwrap().acked_bytes, 0);
        near.write_all(&[7; 1000]).unwrap();
        far.read_exact(&mut [0; 1000]).unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        // Its end comes after the bytes: then they are acknowledged.
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
        let facts = tcp_facts(&near).unwrap();
        assert_eq!((facts.acked_bytes, facts.unacked_bytes), (1000, 0));
        assert!(facts.round_trip_us > 0);
        assert_eq!(tcp_facts(std::os::unix::net::UnixStream::pair().unwrap().0), None);
    }

    #[test]
    fn what_is_lost_with_a_connection_is_unacknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(more) = near.write(&[7; 65_536]) {
            written += more as u64;
        }
        // Closed with bytes unread: a reset.
        drop(far);
        while near.take_error().unwrap().is_none() {
            std::thread::yield_now();
        }
        let facts = tcp_facts(&near).unwrap();
        assert_eq!(facts.acked_bytes + facts.unacked_bytes, written);
        assert!(facts.unacked_bytes > 0, "{facts:?}");
    }
}
