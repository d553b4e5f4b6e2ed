//! Limits by client: a bucket each of connection attempts, packets and bytes.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::btf_maps::{Array, LruHashMap};
use aya_ebpf::macros::btf_map;
use edge_common::{
    CLIENTS_DEFAULT, Client, Conn, Flow, FlowKey, Rate, is_mapped, prefix, reason, slot,
};

use crate::{atomic, flows, settings, verdict::Input};

/// Packets and bytes that a connection is charged for ahead while its client is far from its limits:
/// most packets then need not ask for the client at all.
const AHEAD_PACKETS: u64 = 32;
const AHEAD_BYTES: u64 = 64 << 10;

/// Strangers may share a place, so a flood from invented addresses evicts nobody. The node sets the
/// size it was configured with when it loads the program.
#[btf_map(name = "unproven")]
static UNPROVEN: Array<Client, { CLIENTS_DEFAULT as usize }> = Array::new();

/// Clients that finished a handshake, which nobody does from an address that is not his: a flood from
/// invented ones never comes here.
#[btf_map(name = "proven")]
static PROVEN: LruHashMap<[u8; 16], Client, { CLIENTS_DEFAULT as usize }> = LruHashMap::new();

/// The packet's client, and whether it has proven itself.
#[inline(always)]
pub fn find(input: &Input<'_>) -> (Option<*mut Client>, bool) {
    let (packet, settings) = (input.packet, input.settings);
    let mask = if packet.family == 4 { settings.mask4 } else { settings.mask6 };
    let prefix = prefix(packet.key.remote, mask);
    if let Some(client) = PROVEN.get_ptr_mut(&prefix) {
        return (Some(client), true);
    }
    (UNPROVEN.get_ptr_mut(slot(prefix, settings.seed, settings.clients)), false)
}

/// Takes the packet out of its client's buckets; the reason if one has not enough.
#[inline(always)]
pub fn limit(input: &Input<'_>, client: *mut Client) -> Option<u32> {
    let settings = input.settings;
    // SAFETY: the look-up gave a whole, aligned value of the map; the fields are only ever changed
    // atomically, and a stale read of a limit's last time harms nobody.
    unsafe {
        let opens = input.opens();
        let reason =
            if opens && settings.conns_max != 0 && (*client).live_conns() >= settings.conns_max {
                reason::CONNS
            } else if opens && !take(&raw mut (*client).syn_ns, &settings.syn, input.now_ns, 1) {
                reason::SYN_RATE
            } else if !take(&raw mut (*client).packet_ns, &settings.packets, input.now_ns, 1) {
                reason::PACKET_RATE
            } else if !take(&raw mut (*client).byte_ns, &settings.bytes, input.now_ns, input.bytes)
            {
                reason::BYTE_RATE
            } else {
                return None;
            };
        Some(limited(input, client, reason))
    }
}

/// The same for a packet of an established connection, which is charged ahead.
#[inline(always)]
pub fn limit_flow(input: &Input<'_>, flow: *mut Flow) -> Option<u32> {
    // SAFETY: a whole, aligned value of the map. What is paid is written without a lock: a flow's
    // packets come to one CPU at a time, or a charge is paid twice.
    unsafe {
        let (packets, bytes) = ((*flow).packets + 1, (*flow).bytes + input.bytes);
        if packets <= (*flow).paid_packets && bytes <= (*flow).paid_bytes {
            return None;
        }
        let client = find(input).0?;
        flows::settle(flow, client);
        let (settings, now_ns) = (input.settings, input.now_ns);
        if packets > (*flow).paid_packets {
            let bucket = &raw mut (*client).packet_ns;
            match take_ahead(bucket, &settings.packets, now_ns, 1, AHEAD_PACKETS) {
                None => return Some(limited(input, client, reason::PACKET_RATE)),
                Some(ahead) => (*flow).paid_packets = packets + ahead,
            }
        }
        if bytes > (*flow).paid_bytes {
            let bucket = &raw mut (*client).byte_ns;
            match take_ahead(bucket, &settings.bytes, now_ns, input.bytes, AHEAD_BYTES) {
                None => return Some(limited(input, client, reason::BYTE_RATE)),
                Some(ahead) => (*flow).paid_bytes = bytes + ahead,
            }
        }
        None
    }
}

/// Counts a connection of a client that has just proven itself.
#[inline(always)]
pub fn opened(key: &FlowKey, now_ns: u64) {
    let Some(prefix) = prefix_of(key) else { return };
    let first = Client { conns: 1, handshakes: 1, proven_ns: now_ns, ..Client::default() };
    if PROVEN.insert(&prefix, &first, BPF_NOEXIST.into()).is_ok() {
        return;
    }
    if let Some(client) = PROVEN.get_ptr_mut(&prefix) {
        // SAFETY: the look-up gave a whole, aligned value; the counts are only changed atomically, and
        // any CPU's time will do.
        unsafe {
            atomic::add(&raw mut (*client).conns, 1);
            atomic::add(&raw mut (*client).handshakes, 1);
            (*client).proven_ns = now_ns;
        }
    }
}

/// Counts the end of a connection, and what it was.
#[inline(always)]
pub fn closed(key: &FlowKey, conn: &Conn) {
    let Some(prefix) = prefix_of(key) else { return };
    let Some(client) = PROVEN.get_ptr_mut(&prefix) else { return };
    if let Some(flow) = flows::of(key) {
        flows::settle(flow, client);
    }
    // SAFETY: the look-up gave a whole, aligned value; the counts are only changed atomically.
    unsafe {
        atomic::add(&raw mut (*client).conns, u64::MAX);
        atomic::add(&raw mut (*client).acked_bytes, conn.acked_bytes);
        atomic::add(&raw mut (*client).sent_segments, conn.sent_segments.into());
        atomic::add(&raw mut (*client).retransmits, conn.retransmits.into());
        (*client).srtt_eighths_us = conn.srtt_eighths_us.into();
    }
}

#[inline(always)]
fn prefix_of(key: &FlowKey) -> Option<[u8; 16]> {
    let settings = settings::settings()?;
    // A dual-stack socket's client is an IPv4 one like any other.
    let mask = if is_mapped(&key.remote) { settings.mask4 } else { settings.mask6 };
    Some(prefix(key.remote, mask))
}

/// Notes on the client that a packet of its was over a limit.
///
/// # Safety
/// `client` points to a value of the maps here.
#[inline(always)]
unsafe fn limited(input: &Input<'_>, client: *mut Client, reason: u32) -> u32 {
    // SAFETY: the caller's promise; the count is changed atomically, and of the rest any CPU's will do.
    unsafe {
        atomic::add(&raw mut (*client).limited_packets, 1);
        (*client).limited_ns = input.now_ns;
        (*client).limited_reason = reason.into();
    }
    reason
}

/// Takes `units` out of a bucket, and `ahead` more if it is then still half full; how many more were
/// taken, `None` if there were not even the `units`.
///
/// # Safety
/// `bucket_ns` points to 8 aligned bytes of a map value.
#[inline(always)]
unsafe fn take_ahead(
    bucket_ns: *mut u64,
    rate: &Rate,
    now_ns: u64,
    units: u64,
    ahead: u64,
) -> Option<u64> {
    if !rate.limits() {
        return Some(ahead);
    }
    // SAFETY: the caller's promise; an aligned load of 8 bytes is whole.
    let seen = unsafe { bucket_ns.read_volatile() };
    if let Some(next) = rate.half().admit(seen, now_ns, units + ahead) {
        // SAFETY: the caller's promise.
        if unsafe { atomic::exchange(bucket_ns, seen, next) } == seen {
            return Some(ahead);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { take(bucket_ns, rate, now_ns, units) }.then_some(0)
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
