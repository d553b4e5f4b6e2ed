//! Single drops, reported at a bounded rate.

use aya_ebpf::btf_maps::RingBuf;
use aya_ebpf::macros::btf_map;
use edge_common::{EVENTS_BYTES, Event};

use crate::verdict::Input;

#[btf_map(name = "events")]
static EVENTS: RingBuf<Event, { EVENTS_BYTES as usize }> = RingBuf::new();

/// Reports a packet. A ring that nobody reads is full, and that is all.
#[inline(always)]
pub fn report(input: &Input<'_>, reason: u32, dropped: bool) {
    let Some(mut entry) = EVENTS.reserve(0) else { return };
    entry.write(Event {
        at_ns: input.now_ns,
        key: input.packet.key,
        bytes: input.bytes as u32,
        reason,
        tcp_flags: input.packet.tcp_flags as u32,
        dropped: dropped.into(),
    });
    entry.submit(0);
}
