//! Connections, as the kernel's TCP knows them.

/// Map `conns`, value; the key is a [`crate::FlowKey`]. The kernel writes it where it handles the
/// connection, one CPU at a time.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conn {
    /// Bytes the client's kernel has acknowledged; the end of the stream is none, once it is closed.
    pub acked_bytes: u64,
    /// Bytes received from it in order.
    pub received_bytes: u64,
    /// When it was established (`CLOCK_MONOTONIC`), ns.
    pub opened_ns: u64,
    /// When the rest here was written, ns.
    pub seen_ns: u64,
    /// Smoothed round trip, 1/8 µs (`tcp_sock.srtt_us`).
    pub srtt_eighths_us: u32,
    /// Segments sent again.
    pub retransmits: u32,
    /// State of TCP as the kernel numbers it: 1 established, 7 closed.
    pub state: u32,
    /// Segments sent, those sent again included.
    pub sent_segments: u32,
    /// Segments received.
    pub received_segments: u32,
    /// Always zero.
    pub zero: u32,
}

/// `TCP_ESTABLISHED`
pub const STATE_ESTABLISHED: u32 = 1;
/// `TCP_FIN_WAIT2`
pub const STATE_FIN_WAIT_2: u32 = 5;
/// `TCP_LAST_ACK`
pub const STATE_LAST_ACK: u32 = 9;
/// `TCP_CLOSING`
pub const STATE_CLOSING: u32 = 11;
/// `TCP_CLOSE`
pub const STATE_CLOSED: u32 = 7;

const _: () = assert!(size_of::<Conn>() == 56);
