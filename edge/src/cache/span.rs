//! A piece of a file that can be sent now.

use std::fs::File;
use std::sync::Arc;

use super::region::Pin;

/// Bytes `offset .. offset + len` of `file`. While it lives its region is not reused.
#[derive(Debug)]
pub struct Span {
    /// The volume's or the origin's file.
    pub file: Arc<File>,
    /// Where in the file.
    pub offset: u64,
    /// How many bytes; never zero.
    pub len: u64,
    pin: Option<Pin>,
}

impl Span {
    /// A span of a file nobody reuses.
    pub fn of_file(file: Arc<File>, offset: u64, len: u64) -> Span {
        Span { file, offset, len, pin: None }
    }

    /// A span of a pinned region.
    pub fn pinned(file: Arc<File>, offset: u64, len: u64, pin: Pin) -> Span {
        Span { file, offset, len, pin: Some(pin) }
    }

    /// Whether a region is held by it.
    pub fn is_pinned(&self) -> bool {
        self.pin.is_some()
    }

    /// Forgets the first `sent` bytes.
    pub fn advance(&mut self, sent: u64) {
        let sent = sent.min(self.len);
        self.offset += sent;
        self.len -= sent;
    }
}
