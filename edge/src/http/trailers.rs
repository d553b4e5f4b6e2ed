//! Trailer fields (RFC 9110 §6.5): which of them may follow a body.

use super::hop::is_hop_by_hop;
use super::token::{is_field_byte, is_token_byte, trim};

/// Fields that mean something only before the body: framing, routing, modifiers of the request,
/// authentication, how the body is to be read (RFC 9110 §6.5.1).
const NEVER: [&str; 26] = [
    "age",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "location",
    "max-forwards",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "vary",
    "via",
    "www-authenticate",
];

/// Whether the field `name` may follow a body.
pub fn may_follow(name: &str) -> bool {
    !is_hop_by_hop(name) && !NEVER.iter().any(|never| never.eq_ignore_ascii_case(name))
}

/// Name and value of each whole line of `block` that may follow a body.
pub fn fields(block: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    block.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\r")?;
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&line[..colon]).ok()?;
        (!name.is_empty() && may_follow(name)).then(|| (name, trim(&line[colon + 1..])))
    })
}

/// Appends the line of a field, if it may follow a body and cannot be read as more than one line.
pub fn push(lines: &mut Vec<u8>, name: &str, value: &[u8]) {
    let is_whole = !name.is_empty()
        && name.bytes().all(is_token_byte)
        && value.iter().all(|byte| is_field_byte(*byte));
    if is_whole && may_follow(name) {
        super::lines::push(lines, name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_head_do_not_follow_the_body() {
        // RFC 9110 §6.5.1
        let block = b"X-Sum: 1 \r\nContent-Length: 5\r\nHOST: x\r\nTransfer-Encoding: chunked\r\n\
            Authorization: b\r\nSet-Cookie: c\r\nTrailer: x\r\nServer-Timing: a\r\n";
        let left: Vec<_> = fields(block).collect();
        assert_eq!(left, [("X-Sum", &b"1"[..]), ("Server-Timing", b"a")]);
    }

    #[test]
    fn a_value_never_ends_its_line() {
        let mut lines = Vec::new();
        push(&mut lines, "a", b"1\r\nContent-Length: 5");
        push(&mut lines, "b c", b"1");
        push(&mut lines, "vary", b"*");
        push(&mut lines, "d", b"2");
        assert_eq!(lines, b"d: 2\r\n");
    }
}
