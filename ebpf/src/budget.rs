//! What all strangers together may cost, on each CPU: nothing here is shared, so nothing waits.

use aya_ebpf::btf_maps::PerCpuArray;
use aya_ebpf::macros::btf_map;
use edge_common::{Budget, Rate};

use crate::verdict::Input;

#[btf_map(name = "budgets")]
static BUDGETS: PerCpuArray<Budget, 1> = PerCpuArray::new();

/// Whether one more handshake may be begun by the stack.
#[inline(always)]
pub fn begins(input: &Input<'_>) -> bool {
    // SAFETY: this CPU's own value, of which only this program writes the fields.
    take(input, &input.settings.handshakes, |budget| unsafe { &raw mut (*budget).handshake_ns })
}

/// Whether one more segment of no known connection may pass unasked.
#[inline(always)]
pub fn strays(input: &Input<'_>) -> bool {
    // SAFETY: as in `begins`.
    take(input, &input.settings.handshakes, |budget| unsafe { &raw mut (*budget).stray_ns })
}

/// Whether one more flow may be entered among the strangers'.
#[inline(always)]
pub fn enters(input: &Input<'_>) -> bool {
    // SAFETY: as in `begins`.
    take(input, &input.settings.strangers, |budget| unsafe { &raw mut (*budget).stranger_ns })
}

/// Takes one unit out of a bucket of this CPU's.
///
/// # Safety
/// `bucket_ns` points to a value that no other CPU writes.
#[inline(always)]
pub unsafe fn take_own(bucket_ns: *mut u64, rate: &Rate, now_ns: u64) -> bool {
    if !rate.limits() {
        return true;
    }
    // SAFETY: the caller's promise, and XDP programs do not interrupt each other on one CPU.
    match rate.admit(unsafe { *bucket_ns }, now_ns, 1) {
        None => false,
        Some(next_ns) => {
            // SAFETY: as above.
            unsafe { *bucket_ns = next_ns };
            true
        }
    }
}

#[inline(always)]
fn take(input: &Input<'_>, rate: &Rate, field: impl FnOnce(*mut Budget) -> *mut u64) -> bool {
    match BUDGETS.get_ptr_mut(0) {
        // SAFETY: this CPU's own value.
        Some(budget) => unsafe { take_own(field(budget), rate, input.now_ns) },
        None => true,
    }
}
