//! Packets and bytes by reason, one table a CPU.

use aya_ebpf::btf_maps::PerCpuArray;
use aya_ebpf::macros::btf_map;
use edge_common::{Total, reason};

#[btf_map(name = "totals")]
static TOTALS: PerCpuArray<Total, { reason::COUNT as usize }> = PerCpuArray::new();

/// Counts a packet under its reason.
#[inline(always)]
pub fn count(reason: u32, bytes: u64, dropped: bool) {
    let Some(total) = TOTALS.get_ptr_mut(reason) else {
        return;
    };
    // SAFETY: the lookup gave this CPU's own value, and XDP programs are not interrupted by
    // another one on the same CPU.
    let total = unsafe { &mut *total };
    total.packets += 1;
    total.bytes += bytes;
    if dropped {
        total.dropped_packets += 1;
        total.dropped_bytes += bytes;
    }
}
