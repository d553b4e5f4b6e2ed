//! Reading a packet the way the verifier accepts: bound first, then use.

use core::arch::asm;

use aya_ebpf::programs::XdpContext;

/// No header is looked for beyond this offset; it bounds what the verifier must track.
const OFFSET_MAX_BYTES: usize = 1024;
/// All bits of such an offset.
const OFFSET_MASK: usize = 2 * OFFSET_MAX_BYTES - 1;

/// One received frame.
pub struct Frame<'a> {
    context: &'a XdpContext,
}

impl<'a> Frame<'a> {
    #[inline(always)]
    pub fn new(context: &'a XdpContext) -> Frame<'a> {
        Frame { context }
    }

    /// Bytes from the link-layer header to the end.
    #[inline(always)]
    pub fn len(&self) -> u64 {
        opaque(self.context.data_end() - self.context.data()) as u64
    }

    /// The header at `offset`, if it lies wholly in the frame. `T` is made of bytes: any content is
    /// a value and any address is aligned.
    #[inline(always)]
    pub fn at<T: Bytes>(&self, offset: usize) -> Option<&'a T> {
        let offset = opaque(offset);
        if offset > OFFSET_MAX_BYTES {
            return None;
        }
        // The same number. Linux 6.1 forgets a bound that a value was held to while it lay on the stack; what
        // was cut to its bits it knows wherever it has been.
        let offset = opaque(offset) & OFFSET_MASK;
        let start = opaque(self.context.data() + offset);
        if start + size_of::<T>() > self.context.data_end() {
            return None;
        }
        // SAFETY: `start..start + size_of::<T>()` was just found to lie within the frame, which
        // stays in place while the program runs; `Bytes` types have alignment 1 and no invalid
        // values; nothing in this program writes to packets but what answers them, when all was read.
        Some(unsafe { &*(start as *const T) })
    }

    /// The same, to be written.
    #[inline(always)]
    pub fn to<T: Bytes>(&self, offset: usize) -> Option<*mut T> {
        self.at::<T>(offset).map(|header| core::ptr::from_ref(header).cast_mut())
    }
}

/// Types of byte arrays only.
///
/// # Safety
/// The type has alignment 1 and is valid for every content.
pub unsafe trait Bytes {}

// SAFETY: bytes.
unsafe impl<const N: usize> Bytes for [u8; N] {}

/// The same value, but unknown to the optimiser: it must not fold the arithmetic behind a bound
/// into a form of which the verifier no longer sees that it is bounded.
#[inline(always)]
pub fn opaque(mut value: usize) -> usize {
    // SAFETY: moves a register to itself. (An empty template upsets the line information.)
    unsafe { asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack)) };
    value
}

/// The same place, with contents unknown to the optimiser: what it wrote there is read again.
#[inline(always)]
pub fn forget<T>(mut place: *mut T) -> *mut T {
    // SAFETY: moves a register to itself; by its options it may write any memory, but does not.
    unsafe { asm!("{0} = {0}", inout(reg) place, options(nostack)) };
    place
}
