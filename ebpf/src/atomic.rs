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
