//! What waits to be sent.

/// Bytes in order, in one buffer that is lent while there are any.
#[derive(Default)]
pub(super) struct Outgoing {
    /// As long as it ever had to be: its length says nothing.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Outgoing {
    /// What waits.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Room for `len` bytes behind it; [`Outgoing::add`] says how many of them count.
    pub(super) fn room(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() < self.end + len && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() < self.end + len {
            self.bytes.resize(self.end + len, 0);
        }
        &mut self.bytes[self.end..self.end + len]
    }

    /// The first `len` bytes of the room wait from now on.
    pub(super) fn add(&mut self, len: usize) {
        self.end += len;
    }

    /// Copies `bytes` to the end.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.add(bytes.len());
    }

    /// The first `len` bytes were sent.
    pub(super) fn sent(&mut self, len: usize) {
        self.start += len;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Takes a buffer to use, unless there is one.
    pub(super) fn borrow(&mut self, buffer: &mut Vec<u8>) {
        if self.bytes.is_empty() {
            self.bytes = std::mem::take(buffer);
        }
    }

    /// Gives the buffer away, once nothing waits in it; of two the longer one stays.
    pub(super) fn give_back(&mut self, buffer: &mut Vec<u8>) {
        if self.end == 0 && !self.bytes.is_empty() {
            let own = std::mem::take(&mut self.bytes);
            if own.len() > buffer.len() {
                *buffer = own;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_order_and_the_buffer_goes_back() {
        let (mut outgoing, mut shared) = (Outgoing::default(), vec![0; 8]);
        outgoing.borrow(&mut shared);
        outgoing.push(b"012345");
        outgoing.sent(4);
        outgoing.give_back(&mut shared);
        assert!(shared.is_empty(), "it is still needed");
        outgoing.push(b"6789ab");
        assert_eq!(outgoing.waiting(), b"456789ab");
        outgoing.room(4).copy_from_slice(b"cdef");
        outgoing.add(2);
        assert_eq!(outgoing.waiting(), b"456789abcd");
        outgoing.sent(10);
        outgoing.give_back(&mut shared);
        assert!(shared.len() >= 10);
    }
}
