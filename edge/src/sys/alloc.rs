//! Counting allocations, so that "none per request" is a number and not a belief.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Const and without a destructor: touching it can never allocate.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Allocations (and reallocations) this thread made since it started; always zero unless
/// [`Counting`] is the global allocator.
pub fn count() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// The system's allocator with a count for each thread: one thread-local add an allocation.
///
/// The binary installs it: `#[global_allocator] static ALLOCATOR: Counting = Counting;`
#[derive(Debug)]
pub struct Counting;

fn add_one() {
    ALLOCATIONS.with(|count| count.set(count.get().wrapping_add(1)));
}

// SAFETY: every call is handed to `System` unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add_one();
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add_one();
        // SAFETY: the caller keeps `GlobalAlloc::alloc_zeroed`'s contract, which is `System`'s.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        add_one();
        // SAFETY: `pointer` came from `System`, for all we hand out does; the rest is the caller's.
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System`, for all we hand out does; the rest is the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_counted_for_the_thread_that_makes_them() {
        let layout = Layout::from_size_align(64, 8).unwrap();
        let before = count();
        // SAFETY: a non-zero layout; the pointer is grown and freed once, with its own layouts.
        unsafe {
            let pointer = Counting.alloc(layout);
            let pointer = Counting.realloc(pointer, layout, 128);
            Counting.dealloc(pointer, Layout::from_size_align(128, 8).unwrap());
        }
        assert_eq!(count() - before, 2);
        assert_eq!(std::thread::spawn(count).join().unwrap(), 0);
    }
}
