//! Memory the kernel is shown: page-aligned, never moved.

use std::ffi::c_void;
use std::io;
use std::ptr::{NonNull, null_mut};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Zeroed, page-aligned pages of our own, unmapped when dropped.
#[derive(Debug)]
pub struct Pages {
    base: NonNull<u8>,
    len: usize,
}

impl Pages {
    /// At least `len` bytes (rounded up to whole pages by the kernel; at least one byte).
    pub fn new(len: usize) -> io::Result<Pages> {
        let len = len.max(1);
        // SAFETY: an anonymous private mapping at an address of the kernel's choice: it cannot
        // overlay memory that something else uses.
        let base = unsafe {
            let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
            mmap_anonymous(null_mut(), len, protection, flags)?
        };
        let base = NonNull::new(base.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Pages { base, len })
    }

    /// The first byte.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes usable from [`Pages::base`] on.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is usable: only after [`Pages::leak`].
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Leaves the pages mapped for good, for when the kernel may still write to them.
    pub fn leak(&mut self) {
        self.len = 0;
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: `base` and `len` are the mapping `new` made, unmapped nowhere else; borrowers
            // of `base` answer for not outliving us.
            let _ = unsafe { munmap(self.base.as_ptr().cast::<c_void>(), self.len) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_aligned_zeroed_and_writable() {
        let mut pages = Pages::new(10_000).unwrap();
        assert_eq!(pages.base().as_ptr() as usize % 4096, 0);
        // SAFETY: `pages` is mapped, this long, and nobody else has the address.
        let bytes = unsafe { std::slice::from_raw_parts_mut(pages.base().as_ptr(), pages.len()) };
        assert!(bytes.iter().all(|&byte| byte == 0));
        bytes.fill(7);
        assert_eq!(bytes[9_999], 7);
        assert_eq!(Pages::new(0).unwrap().len(), 1);
        pages.leak();
        assert!(pages.is_empty());
    }
}
