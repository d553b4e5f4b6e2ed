//! Bounded messages between planes: a lock-free queue and an eventfd that wakes the reader.
//!
//! A sender writes the eventfd only when the reader has not been told yet, so a burst costs one
//! system call. The reader clears the flag first, then drains: no message is slept on.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};

use crossbeam::queue::ArrayQueue;

use crate::sys::eventfd::EventFd;

/// A waiting party's name, chosen by it: which of its connections or tasks to wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// Somebody who can be told that what `token` waits for has changed.
///
/// A notice is a hint to look again, never the data itself; it is never lost, may be spurious, and
/// never blocks.
pub trait Notify: Send + Sync {
    /// Wakes the owner of `token`.
    fn notify(&self, token: Token);
}

/// Many senders, one reader.
pub struct Mailbox<T> {
    queue: ArrayQueue<T>,
    told: AtomicBool,
    overflowed: AtomicBool,
    eventfd: EventFd,
}

impl<T> Mailbox<T> {
    /// A mailbox for `capacity` messages. Fails when no descriptor is left.
    pub fn new(capacity: usize) -> std::io::Result<Mailbox<T>> {
        Ok(Mailbox {
            queue: ArrayQueue::new(capacity),
            told: AtomicBool::new(false),
            overflowed: AtomicBool::new(false),
            eventfd: EventFd::new()?,
        })
    }

    /// Leaves a message and wakes the reader; hands it back when the mailbox is full (the reader is
    /// then told so, see [`Mailbox::take_overflow`]).
    pub fn push(&self, message: T) -> Result<(), T> {
        let pushed = self.queue.push(message);
        if pushed.is_err() {
            self.overflowed.store(true, Release);
        }
        if !self.told.swap(true, AcqRel) {
            self.eventfd.signal();
        }
        pushed
    }

    /// To be called by the reader before it drains with [`Mailbox::pop`].
    pub fn acknowledge(&self) {
        self.eventfd.clear();
        // A swap, not a store: it must see what the last sender published before its own swap.
        self.told.swap(false, AcqRel);
    }

    /// The next message.
    pub fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    /// Whether a message was turned away since the last call.
    pub fn take_overflow(&self) -> bool {
        self.overflowed.load(Acquire) && self.overflowed.swap(false, AcqRel)
    }

    /// Readable when there are messages.
    pub fn eventfd(&self) -> &EventFd {
        &self.eventfd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_one_wake_and_a_full_box_says_so() {
        let mailbox = Mailbox::new(2).unwrap();
        assert_eq!(mailbox.push(1), Ok(()));
        assert_eq!(mailbox.push(2), Ok(()));
        assert_eq!(mailbox.push(3), Err(3));
        assert_eq!(mailbox.eventfd().take(), 1);
        mailbox.acknowledge();
        assert_eq!((mailbox.pop(), mailbox.pop(), mailbox.pop()), (Some(1), Some(2), None));
        assert!(mailbox.take_overflow());
        assert!(!mailbox.take_overflow());
        assert_eq!(mailbox.push(4), Ok(()));
        assert_eq!(mailbox.eventfd().take(), 1);
    }
}
