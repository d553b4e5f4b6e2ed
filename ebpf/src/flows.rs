//! Packets and bytes by flow, exact whatever CPUs a flow arrives on.
//!
//! Two tables: a flow is a stranger's until its handshake is finished, which TCP tells. A flood from
//! invented addresses never gets into the table of the others, and enters its own at a bounded rate.

use core::ptr::null_mut;

use aya_ebpf::bindings::{BPF_ANY, BPF_NOEXIST};
use aya_ebpf::btf_maps::LruHashMap;
use aya_ebpf::macros::btf_map;
use edge_common::{Client, FLOWS_DEFAULT, FLOWS_PER_STRANGER, Flow, FlowKey};

use crate::{atomic, budget, verdict::Input};

/// Connections. The node sets the size it was configured with when it loads the program.
#[btf_map(name = "flows")]
static FLOWS: LruHashMap<FlowKey, Flow, { FLOWS_DEFAULT as usize }> = LruHashMap::new();

/// What is no connection, or not yet.
#[btf_map(name = "strangers")]
static STRANGERS: LruHashMap<FlowKey, Flow, { (FLOWS_DEFAULT / FLOWS_PER_STRANGER) as usize }> =
    LruHashMap::new();

/// The established connection that the packet belongs to, else null.
#[inline(always)]
pub fn known(input: &Input<'_>) -> *mut Flow {
    if !input.is_served() || input.opens() {
        return null_mut();
    }
    FLOWS.get_ptr_mut(&input.packet.key).unwrap_or(null_mut())
}

/// Counts a drop, where the flow is known.
#[inline(always)]
pub fn dropped(flow: *mut Flow) {
    if !flow.is_null() {
        // SAFETY: not null, so a whole, aligned value of the map; the count is only changed atomically.
        unsafe { atomic::add(&raw mut (*flow).dropped_packets, 1) };
    }
}

/// Adds a packet to its flow: `flow` if that is not null.
#[inline(always)]
pub fn account(input: &Input<'_>, flow: *mut Flow) {
    if !flow.is_null() {
        return add(input, flow);
    }
    if let Some(flow) = STRANGERS.get_ptr_mut(&input.packet.key) {
        return add(input, flow);
    }
    if !budget::enters(input) {
        return;
    }
    let first = Flow {
        packets: 1,
        bytes: input.bytes,
        first_ns: input.now_ns,
        last_ns: input.now_ns,
        tcp_flags: input.packet.tcp_flags,
        ..Flow::default()
    };
    if STRANGERS.insert(&input.packet.key, &first, BPF_NOEXIST.into()).is_err() {
        // Another CPU was quicker to insert it.
        if let Some(flow) = STRANGERS.get_ptr_mut(&input.packet.key) {
            add(input, flow);
        }
    }
}

/// Moves a flow whose handshake is finished to those of connections.
#[inline(always)]
pub fn promote(key: &FlowKey, now_ns: u64) {
    let stranger = match STRANGERS.get_ptr_mut(key) {
        // SAFETY: a whole, aligned value of the map; a packet that is counted meanwhile on another CPU
        // may be lost, but a handshake's packets come one after the other.
        Some(flow) => unsafe { *flow },
        None => Flow { first_ns: now_ns, last_ns: now_ns, ..Flow::default() },
    };
    if FLOWS.insert(key, &stranger, BPF_NOEXIST.into()).is_err() {
        // The same addresses and ports as a connection before: their counts add up.
        if let Some(flow) = FLOWS.get_ptr_mut(key) {
            // SAFETY: a whole, aligned value of the map; counts are only changed atomically.
            unsafe {
                atomic::add(&raw mut (*flow).packets, stranger.packets);
                atomic::add(&raw mut (*flow).bytes, stranger.bytes);
            }
        } else {
            let _ = FLOWS.insert(key, &stranger, BPF_ANY.into());
        }
    }
    let _ = STRANGERS.remove(key);
}

/// Adds what a flow has received since the last time to its client's counts.
#[inline(always)]
pub fn settle(flow: *mut Flow, client: *mut Client) {
    // SAFETY: the callers looked both up: whole, aligned values of maps. The client's counts are only
    // changed atomically; a flow's packets come to one CPU at a time, or a few are counted twice.
    unsafe {
        let (packets, bytes) = ((*flow).packets, (*flow).bytes);
        let (new_packets, new_bytes) =
            (packets - (*flow).settled_packets, bytes - (*flow).settled_bytes);
        (*flow).settled_packets = packets;
        (*flow).settled_bytes = bytes;
        atomic::add(&raw mut (*client).packets, new_packets);
        atomic::add(&raw mut (*client).bytes, new_bytes);
    }
}

/// The connection of that key, for its end.
#[inline(always)]
pub fn of(key: &FlowKey) -> Option<*mut Flow> {
    FLOWS.get_ptr_mut(key)
}

#[inline(always)]
fn add(input: &Input<'_>, flow: *mut Flow) {
    // SAFETY: the lookup gave a whole, aligned value; counters are only changed atomically, and
    // `last_ns` is one aligned store of which any CPU's will do.
    unsafe {
        atomic::add(&raw mut (*flow).packets, 1);
        atomic::add(&raw mut (*flow).bytes, input.bytes);
        if (*flow).last_ns != input.now_ns {
            (*flow).last_ns = input.now_ns;
        }
        let flags = input.packet.tcp_flags;
        if (*flow).tcp_flags | flags != (*flow).tcp_flags {
            atomic::or(&raw mut (*flow).tcp_flags, flags);
        }
    }
}
