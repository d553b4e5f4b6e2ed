//! Receive buffers, lent to the kernel by a ring of their own (`io_uring_register_buf_ring(3)`,
//! Linux 5.19): one pool for all connections, a buffer only while there are bytes in it.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering::Release};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use super::{RingConfig, RingError};
use crate::sys::memory::Pages;

/// The only buffer group of a ring.
pub(super) const GROUP: u16 = 0;

/// Most buffers the kernel lets a group have.
const BUFFERS_MAX: u16 = 32_768;

/// Stands for "no buffer": the end of a stream comes without one.
const NO_BUFFER: u16 = u16::MAX;

/// Received bytes, or the end of a stream. Has to go back by [`super::Io::recycle`].
#[derive(Debug)]
#[must_use = "a buffer that is not recycled is lost to the ring"]
pub struct Buffer {
    id: u16,
    len: u32,
}

#[allow(clippy::len_without_is_empty, reason = "empty has a meaning of its own: is_end")]
impl Buffer {
    /// Bytes received.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether this is the end of the stream.
    pub fn is_end(&self) -> bool {
        self.len == 0
    }

    pub(super) fn new(id: u16, len: usize) -> Buffer {
        Buffer { id, len: len as u32 }
    }

    pub(super) fn end() -> Buffer {
        Buffer { id: NO_BUFFER, len: 0 }
    }

    /// Which buffer; `None` at the end of a stream.
    pub(super) fn id(&self) -> Option<usize> {
        (self.id != NO_BUFFER).then_some(self.id as usize)
    }
}

/// All buffers of a ring. Those not `lent` to the worker are the kernel's to write.
#[derive(Debug)]
pub(super) struct Buffers {
    entries: Pages,
    bytes: Pages,
    lent: Vec<bool>,
    buffer_bytes: usize,
    tail: u16,
}

impl Buffers {
    /// Makes the buffers; the kernel knows nothing of them yet.
    pub(super) fn new(config: &RingConfig) -> Result<Buffers, RingError> {
        let RingConfig { buffers, buffer_bytes, .. } = *config;
        if !buffers.is_power_of_two() || buffers > BUFFERS_MAX {
            let rule = "must be a power of two, 32768 at most";
            return Err(RingError::Config { name: "buffers", got: buffers.into(), rule });
        }
        if !(1..=1 << 24).contains(&buffer_bytes) {
            let rule = "must be between 1 byte and 16 MiB";
            return Err(RingError::Config { name: "buffer_bytes", got: buffer_bytes, rule });
        }
        let count = usize::from(buffers);
        let map = |len| {
            Pages::new(len)
                .map_err(|source| RingError::Setup { op: "map the receive buffers", source })
        };
        Ok(Buffers {
            entries: map(count * size_of::<BufRingEntry>())?,
            bytes: map(count * buffer_bytes)?,
            lent: vec![true; count],
            buffer_bytes,
            tail: 0,
        })
    }

    /// Hands all buffers to the kernel.
    ///
    /// # Safety
    /// `self` must outlive the ring of `submitter` and every receive on it, or be
    /// [leaked](Buffers::leak).
    pub(super) unsafe fn register(&mut self, submitter: &Submitter<'_>) -> std::io::Result<()> {
        let count = self.lent.len() as u16;
        let address = self.entries.base().as_ptr() as u64;
        // SAFETY: `entries` is page-aligned, `count` entries long, and stays as the caller vouches.
        unsafe { submitter.register_buf_ring_with_flags(address, count, GROUP, 0)? };
        for id in 0..count {
            self.give(id);
        }
        Ok(())
    }

    /// Takes the buffer the kernel has filled with `len` bytes.
    pub(super) fn take(&mut self, id: u16, len: usize) -> Buffer {
        let lent = &mut self.lent[usize::from(id)];
        debug_assert!(!*lent, "the kernel filled a buffer it did not have");
        *lent = true;
        Buffer::new(id, len.min(self.buffer_bytes))
    }

    /// What is in a buffer.
    ///
    /// # Panics
    /// When the buffer is another ring's, and the like of it is not lent here.
    pub(super) fn bytes(&self, buffer: &Buffer) -> &[u8] {
        let Some(id) = buffer.id() else { return &[] };
        assert!(self.lent[id], "a buffer of another ring");
        let len = buffer.len().min(self.buffer_bytes);
        // SAFETY: the mapping is initialised (zeroed) and holds buffer `id`; a lent buffer is in
        // neither the kernel's hands nor a receive's, and `recycle` needs `self` mutably.
        unsafe { std::slice::from_raw_parts(self.buffer(id).as_ptr(), len) }
    }

    /// Hands a buffer back to the kernel.
    ///
    /// # Panics
    /// When the buffer is another ring's, and the like of it is not lent here.
    pub(super) fn recycle(&mut self, buffer: Buffer) {
        if let Some(id) = buffer.id() {
            assert!(self.lent[id], "a buffer of another ring");
            self.give(id as u16);
        }
    }

    /// Leaves the memory mapped for good, for when the kernel may still write to it.
    pub(super) fn leak(&mut self) {
        self.entries.leak();
        self.bytes.leak();
    }

    fn give(&mut self, id: u16) {
        self.lent[usize::from(id)] = false;
        let mask = self.lent.len() as u16 - 1;
        let base = self.entries.base().cast::<BufRingEntry>();
        let address = self.buffer(usize::from(id)).as_ptr() as u64;
        // SAFETY: the masked index lies in `entries`. The kernel reads entries below the tail only,
        // and no more than `lent.len()` are outstanding, so this one is ours to write.
        unsafe {
            let entry = base.add(usize::from(self.tail & mask)).as_ptr();
            (*entry).set_addr(address);
            (*entry).set_len(self.buffer_bytes as u32);
            (*entry).set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in the first entry, which is mapped, initialised and aligned; the
        // kernel only reads it, and `set_*` above do not touch it.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(base.as_ptr()).cast_mut()) };
        tail.store(self.tail, Release);
    }

    fn buffer(&self, id: usize) -> NonNull<u8> {
        assert!(id < self.lent.len());
        // SAFETY: `bytes` is `lent.len() * buffer_bytes` long.
        unsafe { self.bytes.base().add(id * self.buffer_bytes) }
    }
}
