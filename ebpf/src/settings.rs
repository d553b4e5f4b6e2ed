//! What the node says.

use aya_ebpf::btf_maps::Array;
use aya_ebpf::macros::btf_map;
use edge_common::{MODE_ENFORCE, Settings};

#[btf_map(name = "settings")]
static SETTINGS: Array<Settings, 1> = Array::new();

/// Whether verdicts drop.
#[inline(always)]
pub fn enforced() -> bool {
    SETTINGS.get(0).is_some_and(|settings| settings.mode == MODE_ENFORCE)
}
