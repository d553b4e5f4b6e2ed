//! What is reported of single packets.

use crate::FlowKey;

/// One entry of the ring `events`: a packet that was dropped, or would have been.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When (`CLOCK_MONOTONIC`, to a tick), ns.
    pub at_ns: u64,
    /// Whose it was, as far as it could be read.
    pub key: FlowKey,
    /// Its length, link-layer header included.
    pub bytes: u32,
    /// Why, a number of [`crate::reason`].
    pub reason: u32,
    /// The flags of its TCP header, else 0.
    pub tcp_flags: u32,
    /// 1: dropped. 0: only observed.
    pub dropped: u32,
}

const _: () = assert!(size_of::<Event>() == 64);
