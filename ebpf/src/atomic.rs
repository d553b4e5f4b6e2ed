//! 64-bit atomics on map memory, as inline assembly.

use core::arch::asm;

/// `*to += value`.
///
/// # Safety
/// `to` points to 8 aligned bytes of a map value.
#[inline(always)]
pub unsafe fn add(to: *mut u64, value: u64) {
    // SAFETY: the caller's promise; the instruction touches these 8 bytes only.
    unsafe {
        asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) to, in(reg) value, options(nostack));
    }
}

/// `*to |= value`.
///
/// # Safety
/// `to` points to 8 aligned bytes of a map value.
#[inline(always)]
pub unsafe fn or(to: *mut u64, value: u64) {
    // SAFETY: the caller's promise; the instruction touches these 8 bytes only.
    unsafe {
        asm!("lock *(u64 *)({0} + 0) |= {1}", in(reg) to, in(reg) value, options(nostack));
    }
}

/// `*at = new` if it was `seen`; what it was.
///
/// # Safety
/// `at` points to 8 aligned bytes of a map value.
#[inline(always)]
pub unsafe fn exchange(at: *mut u64, seen: u64, new: u64) -> u64 {
    let mut was = seen;
    // SAFETY: the caller's promise; the instruction touches these 8 bytes only, and `r0`.
    unsafe {
        asm!("r0 = cmpxchg_64({0} + 0, r0, {1})", in(reg) at, in(reg) new, inout("r0") was, options(nostack));
    }
    was
}
