//! What the node says.

use aya_ebpf::btf_maps::Array;
use aya_ebpf::macros::btf_map;
use edge_common::{Ports, Settings};

#[btf_map(name = "settings")]
static SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map(name = "ports")]
static PORTS: Array<Ports, 1> = Array::new();
/// Another number after every change of lists, ports or policies.
#[btf_map(name = "epoch")]
static EPOCH: Array<u64, 1> = Array::new();

/// Mode, policies and limits.
#[inline(always)]
pub fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// Of the rules, for flows to remember that they were looked at; never what a new flow has.
#[inline(always)]
pub fn epoch() -> u64 {
    match EPOCH.get_ptr(0) {
        // SAFETY: one aligned value of the map.
        Some(epoch) => unsafe { epoch.read_volatile() | 1 },
        None => 1,
    }
}

/// Whether the node serves the TCP port.
#[inline(always)]
pub fn serves(port: u16) -> bool {
    PORTS.get(0).is_some_and(|ports| ports.serves(port))
}

/// Whether nothing is ever dropped on the TCP port.
#[inline(always)]
pub fn exempts(port: u16) -> bool {
    PORTS.get(0).is_some_and(|ports| ports.exempts(port))
}
