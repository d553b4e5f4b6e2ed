//! Packets and bytes by reason, one table a CPU.

use aya_ebpf::btf_maps::PerCpuArray;
use aya_ebpf::macros::btf_map;
use edge_common::{Total, reason};

use crate::{budget, events, verdict::Input};

#[btf_map(name = "totals")]
static TOTALS: PerCpuArray<Total, { reason::COUNT as usize }> = PerCpuArray::new();

/// Counts a packet under its reason, and reports some of those that a reason speaks against.
#[inline(always)]
pub fn count(input: &Input<'_>, reason: u32, dropped: bool) {
    let Some(total) = TOTALS.get_ptr_mut(reason) else {
        return;
    };
    // SAFETY: the lookup gave this CPU's own value, and XDP programs are not interrupted by
    // another one on the same CPU.
    let total = unsafe { &mut *total };
    total.packets += 1;
    total.bytes += input.bytes;
    if dropped {
        total.dropped_packets += 1;
        total.dropped_bytes += input.bytes;
    }
    let rate = &input.settings.events;
    // SAFETY: this CPU's own value.
    if reason::drops(reason)
        && rate.limits()
        && unsafe { budget::take_own(&raw mut total.event_ns, rate, input.now_ns) }
    {
        events::report(input, reason, dropped);
    }
}
