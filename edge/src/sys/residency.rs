//! Whether a file's bytes are in memory: sending them then never waits for a disk.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::time::{ClockId, clock_gettime};

/// Linux gives new calls one number on every architecture but alpha.
const SYS_CACHESTAT: libc::c_long = 451;

/// How long what was resident is believed to be, ms: what was just sent is the last to be evicted, and
/// should it be gone all the same, one call waits for the disk.
const BELIEVED_MS: u64 = 500;
/// Places of which something is remembered, a power of two.
const PLACES: usize = 4_096;
/// Bytes of a file that share a place.
const PLACE_BYTES: u64 = 1 << 20;

/// Distance of the bytes that are tried: half of what a kernel reads ahead at once as it comes.
const PROBE_BYTES: usize = 64 * 1024;

/// Remembers for a moment what was resident, so that hot bytes are not asked for at every answer.
#[derive(Debug)]
pub struct Residency {
    places: Vec<Place>,
}

/// The part of one [`PLACE_BYTES`] of a file that was resident.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// The descriptor. Another file may have its number by now: then a belief is wrong, no more.
    file: i32,
    start: u64,
    end: u64,
    until_ms: u64,
}

impl Default for Residency {
    fn default() -> Residency {
        Residency { places: vec![Place::default(); PLACES] }
    }
}

impl Residency {
    /// As [`is_resident`], or so it was a moment ago.
    pub fn is_resident(&mut self, file: &File, offset: u64, len: u64) -> bool {
        self.is_resident_at(now_ms(), file, offset, len)
    }

    fn is_resident_at(&mut self, now_ms: u64, file: &File, offset: u64, len: u64) -> bool {
        let (fd, end) = (file.as_raw_fd(), offset.saturating_add(len));
        let mixed = (offset / PLACE_BYTES) ^ (fd as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let place = &mut self.places[mixed as usize % PLACES];
        let is_known = place.file == fd && now_ms < place.until_ms;
        if is_known && place.start <= offset && end <= place.end {
            return true;
        }
        let resident = is_resident(file, offset, len);
        if resident {
            let until_ms = now_ms + BELIEVED_MS;
            *place = match is_known && offset <= place.end && place.start <= end {
                // The older part decides how long both are believed.
                true => Place { start: place.start.min(offset), end: place.end.max(end), ..*place },
                false => Place { file: fd, start: offset, end, until_ms },
            };
        }
        resident
    }
}

/// The tick is finer than what is remembered, and cheaper to read than the clock.
fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000
}

/// Set once the kernel has said that it has no `cachestat`.
static CACHESTAT_MISSING: AtomicBool = AtomicBool::new(false);

/// Whether `[offset, offset + len)` of `file`, which must lie inside it, is in the page cache.
///
/// Asks `cachestat(2)` (Linux 6.5) whether every page is there; where that is missing or not allowed
/// (since 6.14 it wants a file we own or may write) it is taken for granted. Pages that are there may
/// still be on their way from the disk, as read-ahead leaves them, so bytes in short distances are tried
/// with `RWF_NOWAIT`. What cannot be told counts as resident.
pub fn is_resident(file: &File, offset: u64, len: u64) -> bool {
    if len == 0 {
        return true;
    }
    let is_there = cached_pages(file, offset, len).map_or(true, |it| it >= pages_of(offset, len));
    let last = offset.saturating_add(len - 1);
    // The last first: what comes from a disk comes in order.
    is_there && probe(file, last) && (offset..last).step_by(PROBE_BYTES).all(|at| probe(file, at))
}

/// Whether the kernel has `cachestat(2)`.
pub fn has_cachestat() -> bool {
    // With a descriptor that cannot be, a kernel that knows the call says EBADF.
    cachestat(-1, 0, 1).map_err(|error| error.raw_os_error()) != Err(Some(libc::ENOSYS))
}

fn cached_pages(file: &File, offset: u64, len: u64) -> io::Result<u64> {
    if CACHESTAT_MISSING.load(Relaxed) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let cached = cachestat(file.as_raw_fd(), offset, len);
    if cached.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::ENOSYS)) {
        CACHESTAT_MISSING.store(true, Relaxed);
    }
    cached
}

/// `struct cachestat_range` and `struct cachestat` of `linux/mman.h`.
fn cachestat(fd: libc::c_int, offset: u64, len: u64) -> io::Result<u64> {
    let range: [u64; 2] = [offset, len];
    let mut counts = [0u64; 5];
    // SAFETY: both arrays have the size and alignment of the structures the call reads and fills,
    // and outlive it; a bad descriptor is answered with EBADF.
    let done = unsafe { libc::syscall(SYS_CACHESTAT, fd, range.as_ptr(), counts.as_mut_ptr(), 0) };
    if done == 0 { Ok(counts[0]) } else { Err(io::Error::last_os_error()) }
}

fn pages_of(offset: u64, len: u64) -> u64 {
    let page_bytes = rustix::param::page_size() as u64;
    offset.saturating_add(len - 1) / page_bytes - offset / page_bytes + 1
}

fn probe(file: &File, offset: u64) -> bool {
    let mut byte = [0u8; 1];
    let read = preadv2(file, &mut [IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT);
    read != Err(Errno::AGAIN)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn written_bytes_are_resident_and_holes_are_not() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1u8; 10_000]).unwrap();
        assert!(is_resident(&file, 0, 10_000));
        assert!(is_resident(&file, 4_095, 2));
        assert!(probe(&file, 0));
        file.set_len(1 << 20).unwrap();
        if has_cachestat() {
            assert!(!is_resident(&file, 0, 1 << 20));
            assert!(!is_resident(&file, 900_000, 1));
        }
        assert!(is_resident(&file, 0, 0));
    }

    #[test]
    fn what_was_resident_is_believed_for_a_moment_and_no_more() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1u8; 16_384]).unwrap();
        let mut known = Residency::default();
        assert!(known.is_resident_at(1, &file, 0, 8_192));
        assert!(known.is_resident_at(2, &file, 8_192, 8_192));
        // Gone: a hole is never resident.
        file.set_len(0).unwrap();
        file.set_len(16_384).unwrap();
        if has_cachestat() {
            assert!(known.is_resident_at(BELIEVED_MS, &file, 100, 16_000));
            assert!(!known.is_resident_at(BELIEVED_MS, &file, 0, 16_385));
            assert!(!known.is_resident_at(BELIEVED_MS + 1, &file, 0, 16_384));
            assert!(!known.is_resident_at(BELIEVED_MS + 2, &file, 100, 100));
        }
        assert!(known.is_resident_at(9_999, &file, 0, 0));
    }

    #[test]
    fn pages_are_counted_from_both_ends() {
        let page_bytes = rustix::param::page_size() as u64;
        assert_eq!(pages_of(0, 1), 1);
        assert_eq!(pages_of(0, page_bytes), 1);
        assert_eq!(pages_of(page_bytes - 1, 2), 2);
        assert_eq!(pages_of(1, page_bytes * 2), 3);
    }

    #[test]
    fn what_cannot_be_told_is_resident() {
        let null = File::open("/dev/null").unwrap();
        assert!(is_resident(&null, 0, 4096) || has_cachestat());
        assert!(probe(&null, 0));
    }
}
