//! Writing into a buffer that must not grow.

use std::fmt;

/// Appends to a buffer up to its capacity; what does not fit makes the line [`Line::overflowed`].
pub(super) struct Line<'b> {
    out: &'b mut Vec<u8>,
    start: usize,
    overflowed: bool,
}

impl<'b> Line<'b> {
    pub(super) fn begin(out: &'b mut Vec<u8>) -> Line<'b> {
        let start = out.len();
        Line { out, start, overflowed: false }
    }

    /// Ends the line; takes it back, and says so by `false`, if it did not fit.
    pub(super) fn end(mut self) -> bool {
        self.bytes(b"\n");
        if self.overflowed {
            self.out.truncate(self.start);
        }
        !self.overflowed
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if self.overflowed || bytes.len() > self.out.capacity() - self.out.len() {
            self.overflowed = true;
        } else {
            self.out.extend_from_slice(bytes);
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn number(&mut self, number: u64) {
        self.padded(number, 1);
    }

    /// A number with zeros in front up to `width` digits.
    pub(super) fn padded(&mut self, mut number: u64, width: usize) {
        let mut digits = [b'0'; 20];
        let mut first = digits.len();
        while number > 0 || digits.len() - first < width {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.bytes(&digits[first..]);
    }

    /// Two hexadecimal digits.
    pub(super) fn hex(&mut self, byte: u8, digits: &[u8; 16]) {
        self.bytes(&[digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
    }
}

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_or_leaves_no_trace() {
        let mut out = Vec::with_capacity(8);
        let capacity = out.capacity();
        let mut line = Line::begin(&mut out);
        line.padded(7, 2);
        line.number(u64::from(u16::MAX));
        assert!(line.end());
        assert_eq!(out, b"0765535\n");
        let mut line = Line::begin(&mut out);
        line.number(0);
        assert!(!line.end());
        assert_eq!((out.as_slice(), out.capacity()), (b"0765535\n".as_slice(), capacity));
    }

    #[test]
    fn numbers_are_numbers() {
        for number in [0, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::with_capacity(32);
            let mut line = Line::begin(&mut out);
            line.number(number);
            assert!(line.end());
            assert_eq!(String::from_utf8(out).unwrap(), format!("{number}\n"));
        }
    }
}
