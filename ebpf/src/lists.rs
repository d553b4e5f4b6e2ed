//! Allow and deny lists by source prefix. Allow goes first: nobody locks himself out.

use aya_ebpf::btf_maps::{HashMap, LpmTrie, lpm_trie::Key};
use aya_ebpf::macros::btf_map;
use edge_common::{ALLOW_MAX, Address4, Allow, DENY_MAX, Deny, reason};

use crate::{atomic, packet::Packet};

/// Ended entries looked past, from the longest prefix on, before the packet passes. The node sweeps
/// them out, so there is hardly ever one.
const ENDED_MAX: usize = 4;

#[btf_map(name = "allow4")]
static ALLOW4: LpmTrie<Address4, Allow, { ALLOW_MAX as usize }> = LpmTrie::new();
#[btf_map(name = "allow6")]
static ALLOW6: LpmTrie<[u8; 16], Allow, { ALLOW_MAX as usize }> = LpmTrie::new();
#[btf_map(name = "deny4")]
static DENY4: LpmTrie<Address4, Deny, { DENY_MAX as usize }> = LpmTrie::new();
#[btf_map(name = "deny6")]
static DENY6: LpmTrie<[u8; 16], Deny, { DENY_MAX as usize }> = LpmTrie::new();

/// Single addresses, most of what is ever banned: a look-up that does not grow with their number.
#[btf_map(name = "deny_hosts")]
static DENY_HOSTS: HashMap<[u8; 16], Deny, { DENY_MAX as usize }> = HashMap::new();

/// Whether the packet's source is on the allow list.
#[inline(always)]
pub fn allows(packet: &Packet) -> bool {
    match packet.family {
        4 => ALLOW4.get(&Key::new(32, address4(packet))).is_some(),
        6 => ALLOW6.get(&Key::new(128, packet.key.remote)).is_some(),
        _ => false,
    }
}

/// Why the packet's source is denied, if it is; counts on the entry that decided.
#[inline(always)]
pub fn denies(packet: &Packet, bytes: u64, now_ns: u64) -> Option<u32> {
    if packet.family == 0 {
        return None;
    }
    if let Some(entry) = DENY_HOSTS.get_ptr(&packet.key.remote) {
        // SAFETY: a whole, aligned value of the map; its counts are only changed atomically.
        let entry = unsafe { &*entry };
        if entry.holds(now_ns) {
            count(entry, bytes);
            return Some(reason::of_entry(entry.reason));
        }
    }
    match packet.family {
        4 => judge(&DENY4, address4(packet), 32, bytes, now_ns),
        6 => judge(&DENY6, packet.key.remote, 128, bytes, now_ns),
        _ => None,
    }
}

#[inline(always)]
fn address4(packet: &Packet) -> Address4 {
    let [.., a, b, c, d] = packet.key.remote;
    Address4::new([a, b, c, d])
}

#[inline(always)]
fn judge<K: Copy, const D: usize>(
    deny: &LpmTrie<K, Deny, D>,
    address: K,
    address_bits: u32,
    bytes: u64,
    now_ns: u64,
) -> Option<u32> {
    let mut key = Key::new(address_bits, address);
    for _ in 0..ENDED_MAX {
        let entry = deny.get(&key)?;
        if entry.holds(now_ns) {
            count(entry, bytes);
            return Some(reason::of_entry(entry.reason));
        }
        // An ended ban of one address must not open the banned network it is in.
        if entry.prefix_bits == 0 || entry.prefix_bits > address_bits {
            return None;
        }
        key.prefix_len = entry.prefix_bits - 1;
    }
    None
}

#[inline(always)]
fn count(entry: &Deny, bytes: u64) {
    // SAFETY: both fields lie in the map's value, 8 bytes aligned, and are only ever changed
    // atomically; an entry that is deleted meanwhile stays allocated until the program has ended.
    unsafe {
        atomic::add(&raw const entry.packets as *mut u64, 1);
        atomic::add(&raw const entry.bytes as *mut u64, bytes);
    }
}
