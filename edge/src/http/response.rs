//! Response heads (RFC 9112 §4), written into a buffer that is used again and again.

use memchr::memchr3;

/// The interim answer to `Expect: 100-continue` (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Writes one head. Appends; allocates nothing while the buffer has room.
///
/// ```
/// use edge::http::response::HeadWriter;
/// let mut buffer = Vec::new();
/// HeadWriter::new(&mut buffer, 206).content_range(0, 10, Some(100)).number("Content-Length", 10).finish();
/// assert_eq!(buffer, b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/100\r\nContent-Length: 10\r\n\r\n");
/// ```
#[derive(Debug)]
pub struct HeadWriter<'v> {
    buffer: &'v mut Vec<u8>,
    /// Where its fields begin.
    fields_at: usize,
}

impl<'v> HeadWriter<'v> {
    /// Begins with the status line.
    pub fn new(buffer: &'v mut Vec<u8>, status: u16) -> HeadWriter<'v> {
        buffer.extend_from_slice(b"HTTP/1.1 ");
        push_decimal(buffer, u64::from(status));
        buffer.push(b' ');
        buffer.extend_from_slice(reason(status).as_bytes());
        buffer.extend_from_slice(b"\r\n");
        let fields_at = buffer.len();
        HeadWriter { buffer, fields_at }
    }

    /// A field. CR, LF and NUL in the value become spaces: a value never ends its line.
    pub fn field(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.name(name);
        let start = self.buffer.len();
        self.buffer.extend_from_slice(value);
        if memchr3(b'\r', b'\n', 0, value).is_some() {
            let written = &mut self.buffer[start..];
            written
                .iter_mut()
                .filter(|byte| matches!(byte, b'\r' | b'\n' | 0))
                .for_each(|byte| *byte = b' ');
        }
        self.end_line()
    }

    /// A field whose value is a number.
    pub fn number(&mut self, name: &str, value: u64) -> &mut Self {
        self.name(name);
        push_decimal(self.buffer, value);
        self.end_line()
    }

    /// Begins a field whose value is written in pieces; [`HeadWriter::end_line`] ends it.
    pub fn name(&mut self, name: &str) -> &mut Self {
        self.buffer.extend_from_slice(name.as_bytes());
        self.buffer.extend_from_slice(b": ");
        self
    }

    /// Pieces of a value, written as they are.
    pub fn text(&mut self, pieces: &[&str]) -> &mut Self {
        pieces.iter().for_each(|piece| self.buffer.extend_from_slice(piece.as_bytes()));
        self
    }

    /// A number as a piece of a value.
    pub fn signed(&mut self, number: i64) -> &mut Self {
        if number < 0 {
            self.buffer.push(b'-');
        }
        push_decimal(self.buffer, number.unsigned_abs());
        self
    }

    /// Ends a line.
    pub fn end_line(&mut self) -> &mut Self {
        self.buffer.extend_from_slice(b"\r\n");
        self
    }

    /// Whole lines made before, each with its CRLF; taken as they are.
    pub fn raw(&mut self, block: &[u8]) -> &mut Self {
        self.buffer.extend_from_slice(block);
        self
    }

    /// Takes away the lines written so far, status line apart, for which `goes`.
    pub fn drop_lines(&mut self, goes: impl Fn(&[u8]) -> bool) -> &mut Self {
        let (mut to, mut from) = (self.fields_at, self.fields_at);
        while let Some(len) = memchr::memchr(b'\n', &self.buffer[from..]) {
            let end = from + len + 1;
            if !goes(&self.buffer[from..end]) {
                self.buffer.copy_within(from..end, to);
                to += end - from;
            }
            from = end;
        }
        self.buffer.truncate(to);
        self
    }

    /// `Content-Range` of the bytes `start .. end` (RFC 9110 §14.4); `total`: length of the whole, if
    /// it is known. An empty range has no such field: nothing is written.
    pub fn content_range(&mut self, start: u64, end: u64, total: Option<u64>) -> &mut Self {
        if end <= start {
            return self;
        }
        self.name("Content-Range");
        push_range(self.buffer, start, end, total);
        self.end_line()
    }

    /// `Content-Range` of a 416 (RFC 9110 §15.5.17).
    pub fn unsatisfied_range(&mut self, total: u64) -> &mut Self {
        self.name("Content-Range");
        self.buffer.extend_from_slice(b"bytes */");
        push_decimal(self.buffer, total);
        self.end_line()
    }

    /// Ends the head.
    pub fn finish(&mut self) {
        self.end_line();
    }
}

/// Appends `bytes start-last/total`, the value of a `Content-Range`, for `start < end`.
pub fn push_range(buffer: &mut Vec<u8>, start: u64, end: u64, total: Option<u64>) {
    buffer.extend_from_slice(b"bytes ");
    push_decimal(buffer, start);
    buffer.push(b'-');
    push_decimal(buffer, end.saturating_sub(1));
    buffer.push(b'/');
    match total {
        Some(total) => push_decimal(buffer, total),
        None => buffer.push(b'*'),
    }
}

/// Appends `value` in decimal.
pub fn push_decimal(buffer: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    buffer.extend_from_slice(&digits[start..]);
}

/// The reason phrase of a status code (RFC 9110 §15, RFC 5842, RFC 6585); `Unknown` for others.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut HeadWriter)) -> String {
        let mut buffer = Vec::new();
        write(&mut HeadWriter::new(&mut buffer, 200));
        let text = String::from_utf8(buffer).unwrap();
        text.strip_prefix("HTTP/1.1 200 OK\r\n").unwrap().to_owned()
    }

    #[test]
    fn fields_are_lines() {
        assert_eq!(written(|head| head.finish()), "\r\n");
        assert_eq!(
            written(|head| {
                head.number("Age", 0);
            }),
            "Age: 0\r\n"
        );
        assert_eq!(
            written(|head| {
                head.number("Age", u64::MAX);
            }),
            "Age: 18446744073709551615\r\n"
        );
        assert_eq!(written(|head| head.raw(b"A: b\r\n").finish()), "A: b\r\n\r\n");
        // RFC 9110 §14.4
        let range = |start, end, total| {
            written(|head| {
                head.content_range(start, end, total);
            })
        };
        assert_eq!(range(42, 1234, Some(1234)), "Content-Range: bytes 42-1233/1234\r\n");
        assert_eq!(range(42, 1234, None), "Content-Range: bytes 42-1233/*\r\n");
        assert_eq!(range(7, 7, Some(9)), "");
        assert_eq!(
            written(|head| {
                head.unsatisfied_range(1234);
            }),
            "Content-Range: bytes */1234\r\n"
        );
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        // RFC 9110 §5.5
        let head = written(|head| {
            head.field("Location", b"/a\r\nSet-Cookie: b\0");
        });
        assert_eq!(head, "Location: /a  Set-Cookie: b \r\n");
    }

    #[test]
    fn lines_go_but_the_status_stays() {
        let head = written(|head| {
            head.raw(b"A: 1\r\nB: 2\r\na: 3\r\nAb: 4\r\n");
            head.drop_lines(|line| crate::http::lines::is_field(line, "a"));
            head.field("C", b"5");
        });
        assert_eq!(head, "B: 2\r\nAb: 4\r\nC: 5\r\n");
    }

    #[test]
    fn a_buffer_with_room_is_not_grown() {
        let mut buffer = Vec::with_capacity(256);
        let before = buffer.as_ptr();
        for _ in 0..3 {
            buffer.clear();
            HeadWriter::new(&mut buffer, 416).unsatisfied_range(1).field("ETag", b"\"a\"").finish();
        }
        assert_eq!((buffer.as_ptr(), buffer.capacity()), (before, 256));
        assert!(buffer.starts_with(b"HTTP/1.1 416 Range Not Satisfiable\r\n"));
    }

    #[test]
    fn unknown_codes_are_written_too() {
        let mut buffer = Vec::new();
        HeadWriter::new(&mut buffer, 599).finish();
        assert_eq!(buffer, b"HTTP/1.1 599 Unknown\r\n\r\n");
    }
}
