//! What the node says.

use aya_ebpf::btf_maps::Array;
use aya_ebpf::macros::btf_map;
use edge_common::{Ports, Settings};

#[btf_map(name = "settings")]
static SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map(name = "ports")]
static PORTS: Array<Ports, 1> = Array::new();

/// Mode, policies and limits.
#[inline(always)]
pub fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
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
