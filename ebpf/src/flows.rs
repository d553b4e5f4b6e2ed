//! Packets and bytes by flow, exact whatever CPUs a flow arrives on.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::btf_maps::LruHashMap;
use aya_ebpf::macros::btf_map;
use edge_common::{FLOWS_DEFAULT, Flow};

use crate::{atomic, packet::Packet};

/// The node sets the size it was configured with when it loads the program.
#[btf_map(name = "flows")]
static FLOWS: LruHashMap<edge_common::FlowKey, Flow, { FLOWS_DEFAULT as usize }> =
    LruHashMap::new();

/// Adds a packet to its flow.
#[inline(always)]
pub fn account(packet: &Packet, bytes: u64, now_ns: u64) {
    if add(packet, bytes, now_ns) {
        return;
    }
    let first =
        Flow { packets: 1, bytes, first_ns: now_ns, last_ns: now_ns, tcp_flags: packet.tcp_flags };
    if FLOWS.insert(packet.key, first, BPF_NOEXIST.into()).is_err() {
        // Another CPU was quicker to insert it.
        add(packet, bytes, now_ns);
    }
}

#[inline(always)]
fn add(packet: &Packet, bytes: u64, now_ns: u64) -> bool {
    let Some(flow) = FLOWS.get_ptr_mut(packet.key) else {
        return false;
    };
    // SAFETY: the lookup gave a whole, aligned value; counters are only changed atomically, and
    // `last_ns` is one aligned store of which any CPU's will do.
    unsafe {
        atomic::add(&raw mut (*flow).packets, 1);
        atomic::add(&raw mut (*flow).bytes, bytes);
        if (*flow).last_ns != now_ns {
            (*flow).last_ns = now_ns;
        }
        if (*flow).tcp_flags | packet.tcp_flags != (*flow).tcp_flags {
            atomic::or(&raw mut (*flow).tcp_flags, packet.tcp_flags);
        }
    }
    true
}
