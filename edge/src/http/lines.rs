//! Header fields kept as lines, each `Name: value\r\n`: how heads and requests wait in memory.

/// Every field of `block`, in order; what is no field is passed over.
pub fn fields(block: &[u8]) -> impl Iterator<Item = (&str, &[u8])> + Clone {
    lines(block).filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        Some((std::str::from_utf8(&line[..colon]).ok()?, line[colon + 1..].trim_ascii()))
    })
}

/// The values of the field `name`, whatever its case.
pub fn all<'b>(block: &'b [u8], name: &str) -> impl Iterator<Item = &'b [u8]> {
    fields(block).filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Whether `line` is of the field `name`.
pub fn is_field(line: &[u8], name: &str) -> bool {
    line.len() > name.len()
        && line[name.len()] == b':'
        && line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
}

/// Whole lines with their ends.
pub fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    block.split_inclusive(is_newline)
}

fn is_newline(byte: &u8) -> bool {
    *byte == b'\n'
}

/// Appends one line.
pub fn push(block: &mut Vec<u8>, name: &str, value: &[u8]) {
    block.extend_from_slice(name.as_bytes());
    block.extend_from_slice(b": ");
    block.extend_from_slice(value);
    block.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_found() {
        let mut block = Vec::new();
        push(&mut block, "X-A", b"1");
        push(&mut block, "x-b", b"");
        push(&mut block, "x-a", b"2, 3");
        assert_eq!(all(&block, "X-a").collect::<Vec<_>>(), [&b"1"[..], b"2, 3"]);
        assert_eq!(all(&block, "X-B").collect::<Vec<_>>(), [b""]);
        assert_eq!(fields(b"no field\r\nA:b").collect::<Vec<_>>(), [("A", &b"b"[..])]);
        assert!(is_field(b"ETag: x\r\n", "etag") && !is_field(b"ETag-Not: x\r\n", "etag"));
        assert_eq!(lines(&block).count(), 3);
    }
}
