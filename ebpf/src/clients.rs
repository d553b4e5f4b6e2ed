//! Limits by client: a bucket each of connection attempts, packets and bytes.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::btf_maps::{Array, LruHashMap};
use aya_ebpf::macros::btf_map;
use edge_common::{
    CLIENTS_DEFAULT, Client, FlowKey, Rate, Settings, is_mapped, prefix, reason, slot, tcp,
};

use crate::{atomic, packet::Packet, settings};

/// Strangers may share a place, so a flood from invented addresses evicts nobody. The node sets the
/// size it was configured with when it loads the program.
#[btf_map(name = "unproven")]
static UNPROVEN: Array<Client, { CLIENTS_DEFAULT as usize }> = Array::new();

/// Clients that finished a handshake, which nobody does from an address that is not his: a flood from
/// invented ones never comes here.
#[btf_map(name = "proven")]
static PROVEN: LruHashMap<[u8; 16], Client, { CLIENTS_DEFAULT as usize }> = LruHashMap::new();

/// Takes the packet out of its client's buckets; the reason if one has not enough.
#[inline(always)]
pub fn limit(packet: &Packet, bytes: u64, now_ns: u64, settings: &Settings) -> Option<u32> {
    let client = find(packet, settings)?;
    // SAFETY: the look-up gave a whole, aligned value of the map; the fields are only ever changed
    // atomically, and a stale read of a limit's last time harms nobody.
    unsafe {
        let opens = tcp::opens(packet.tcp_flags);
        let reason =
            if opens && settings.conns_max != 0 && (*client).live_conns() >= settings.conns_max {
                reason::CONNS
            } else if opens && !take(&raw mut (*client).syn_ns, &settings.syn, now_ns, 1) {
                reason::SYN_RATE
            } else if !take(&raw mut (*client).packet_ns, &settings.packets, now_ns, 1) {
                reason::PACKET_RATE
            } else if !take(&raw mut (*client).byte_ns, &settings.bytes, now_ns, bytes) {
                reason::BYTE_RATE
            } else {
                return None;
            };
        atomic::add(&raw mut (*client).limited_packets, 1);
        (*client).limited_ns = now_ns;
        (*client).limited_reason = reason.into();
        Some(reason)
    }
}

/// Counts a connection of a client that has just proven itself.
#[inline(always)]
pub fn opened(key: &FlowKey, now_ns: u64) {
    let Some(prefix) = prefix_of(key) else { return };
    let first = Client { conns: 1, proven_ns: now_ns, ..Client::default() };
    if PROVEN.insert(prefix, first, BPF_NOEXIST.into()).is_ok() {
        return;
    }
    if let Some(client) = PROVEN.get_ptr_mut(prefix) {
        // SAFETY: the look-up gave a whole, aligned value; the count is only changed atomically, and
        // any CPU's time will do.
        unsafe {
            atomic::add(&raw mut (*client).conns, 1);
            (*client).proven_ns = now_ns;
        }
    }
}

/// Counts the end of a connection.
#[inline(always)]
pub fn closed(key: &FlowKey) {
    let Some(prefix) = prefix_of(key) else { return };
    if let Some(client) = PROVEN.get_ptr_mut(prefix) {
        // SAFETY: the look-up gave a whole, aligned value; the count is only changed atomically.
        unsafe { atomic::add(&raw mut (*client).conns, u64::MAX) };
    }
}

#[inline(always)]
fn prefix_of(key: &FlowKey) -> Option<[u8; 16]> {
    let settings = settings::settings()?;
    // A dual-stack socket's client is an IPv4 one like any other.
    let mask = if is_mapped(&key.remote) { settings.mask4 } else { settings.mask6 };
    Some(prefix(key.remote, mask))
}

#[inline(always)]
fn find(packet: &Packet, settings: &Settings) -> Option<*mut Client> {
    let mask = if packet.family == 4 { settings.mask4 } else { settings.mask6 };
    let prefix = prefix(packet.key.remote, mask);
    if let Some(client) = PROVEN.get_ptr_mut(prefix) {
        return Some(client);
    }
    UNPROVEN.get_ptr_mut(slot(prefix, settings.seed, settings.clients))
}

/// Takes `units` out of a bucket; whether they were in it.
///
/// # Safety
/// `bucket_ns` points to 8 aligned bytes of a map value.
#[inline(always)]
unsafe fn take(bucket_ns: *mut u64, rate: &Rate, now_ns: u64, units: u64) -> bool {
    if !rate.limits() {
        return true;
    }
    for _ in 0..2 {
        // SAFETY: the caller's promise; an aligned load of 8 bytes is whole.
        let seen = unsafe { bucket_ns.read_volatile() };
        let Some(next) = rate.admit(seen, now_ns, units) else {
            return false;
        };
        // SAFETY: the caller's promise.
        if unsafe { atomic::exchange(bucket_ns, seen, next) } == seen {
            return true;
        }
    }
    // Other CPUs were quicker, twice: the bucket is charged without another look.
    // SAFETY: the caller's promise.
    unsafe { atomic::add(bucket_ns, rate.cost_ns(units)) };
    true
}
