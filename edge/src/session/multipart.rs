//! Several ranges in one answer: `multipart/byteranges` (RFC 9110 §14.6).

use std::collections::VecDeque;
use std::ops::Range;

use crate::cache::Object;
use crate::clock::Now;
use crate::http::lines::{is_field, lines};
use crate::http::response;

/// One range and the lines that come before it.
pub(super) struct Part {
    pub(super) head: Vec<u8>,
    pub(super) range: Range<u64>,
}

/// A whole multipart body, its bytes still in the object.
pub(super) struct Multipart {
    pub(super) parts: VecDeque<Part>,
    /// The line after the last part.
    pub(super) close: Vec<u8>,
    boundary: String,
}

impl Multipart {
    /// The parts of `object` (of `len` bytes) that `ranges` name, in their order.
    pub(super) fn new(object: &Object, len: u64, ranges: &[Range<u64>], now: Now) -> Multipart {
        // Nobody who writes the body knows the key, so no body contains the boundary.
        let boundary = format!("{:?}", object.key.slice(now.unix_ms, ranges.len() as u32));
        let content_type = field(&object.meta.headers, "content-type");
        let part = |range: &Range<u64>| Part {
            head: part_head(&boundary, content_type, range, len),
            range: range.clone(),
        };
        let parts = ranges.iter().map(part).collect();
        let close = format!("\r\n--{boundary}--\r\n").into_bytes();
        Multipart { parts, close, boundary }
    }

    /// `Content-Length` of the whole.
    pub(super) fn len(&self) -> u64 {
        let parts = self.parts.iter();
        let parts = parts.map(|part| part.head.len() as u64 + part.range.end - part.range.start);
        parts.sum::<u64>() + self.close.len() as u64
    }

    /// `Content-Type` of the whole.
    pub(super) fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }
}

/// Whether a stored field is of a part, and not of the whole.
pub(super) fn is_of_part(line: &[u8]) -> bool {
    is_field(line, "content-type") || is_field(line, "content-range")
}

fn part_head(boundary: &str, content_type: Option<&[u8]>, range: &Range<u64>, len: u64) -> Vec<u8> {
    let mut head = format!("\r\n--{boundary}\r\n").into_bytes();
    if let Some(value) = content_type {
        head.extend_from_slice(b"Content-Type: ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"Content-Range: ");
    response::push_range(&mut head, range.start, range.end, Some(len));
    head.extend_from_slice(b"\r\n\r\n");
    head
}

fn field<'h>(headers: &'h [u8], name: &str) -> Option<&'h [u8]> {
    let line = lines(headers).find(|line| is_field(line, name))?;
    Some(line[name.len() + 1..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_their_case() {
        let headers = b"ETag: \"a\"\r\ncontent-TYPE:  text/x \r\nContent-Type-Not: y\r\n";
        assert_eq!(field(headers, "content-type"), Some(&b"text/x"[..]));
        let whole = lines(headers).filter(|line| !is_of_part(line));
        let whole: Vec<u8> = whole.flatten().copied().collect();
        assert_eq!(whole, b"ETag: \"a\"\r\nContent-Type-Not: y\r\n");
    }
}
