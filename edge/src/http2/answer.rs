//! From an answer's head in HTTP/1.1's form to fields of HTTP/2 (RFC 9113 §8.3.2).

use memchr::memmem;

use super::hpack::{Encoder, Keeping};
use crate::http::lines::lines;
use crate::http::token::trim;

/// What ends a head.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// Length of `HTTP/1.1 `, and of the status code behind it.
const STATUS_AT: usize = 9;
const STATUS_LEN: usize = 3;

/// Bytes of the head that `text` begins with.
pub fn head_len(text: &[u8]) -> usize {
    memmem::find(text, HEAD_END).map_or(text.len(), |at| at + HEAD_END.len())
}

/// Writes a head's fields; whether it is of an interim answer.
pub fn encode_head(encoder: &mut Encoder, head: &[u8], out: &mut Vec<u8>) -> bool {
    let status = head.get(STATUS_AT..STATUS_AT + STATUS_LEN).unwrap_or(b"500");
    encoder.begin(out);
    encoder.status(out, status);
    let first_line = memchr::memchr(b'\n', head).map_or(head.len(), |at| at + 1);
    fields(encoder, &head[first_line..], out);
    status[0] == b'1'
}

/// Writes fields that follow a body.
pub fn encode_trailers(encoder: &mut Encoder, block: &[u8], out: &mut Vec<u8>) {
    encoder.begin(out);
    fields(encoder, block, out);
}

fn fields(encoder: &mut Encoder, block: &[u8], out: &mut Vec<u8>) {
    for line in lines(block) {
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        let Some(colon) = memchr::memchr(b':', line).filter(|colon| *colon > 0) else { continue };
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        if let Some(keeping) = keeping(name) {
            encoder.field(out, (line, name, value), keeping);
        }
    }
}

/// How a field is remembered; `None`: it is about an HTTP/1.1 connection, and there is none
/// (RFC 9113 §8.2.2).
fn keeping(name: &[u8]) -> Option<Keeping> {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    // By length first: most fields are none of these.
    match name.len() {
        10 if is("connection") || is("keep-alive") => None,
        7 if is("upgrade") => None,
        16 if is("proxy-connection") => None,
        17 if is("transfer-encoding") => None,
        10 if is("set-cookie") => Some(Keeping::Never),
        3 if is("age") => Some(Keeping::Once),
        4 if is("etag") => Some(Keeping::Once),
        8 if is("location") => Some(Keeping::Once),
        12 if is("cache-status") => Some(Keeping::Once),
        13 if is("last-modified") || is("content-range") => Some(Keeping::Once),
        14 if is("content-length") => Some(Keeping::Once),
        _ => Some(Keeping::Repeats),
    }
}

#[cfg(test)]
mod tests {
    use super::super::hpack::Decoder;
    use super::*;

    #[test]
    fn a_head_becomes_fields() {
        let head = b"HTTP/1.1 206 Partial Content\r\nETag: \"a\"\r\nConnection: close\r\n\
                     Transfer-Encoding: chunked\r\nX-Empty:\r\nContent-Length: 3\r\n\r\nabc\r\n\r\n";
        assert_eq!(&head[head_len(head)..], b"abc\r\n\r\n");
        let (mut out, mut read) = (Vec::new(), String::new());
        assert!(!encode_head(&mut Encoder::default(), &head[..head_len(head)], &mut out));
        let mut decoder = Decoder::new(4096);
        decoder
            .decode(&out, |name, value| {
                let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                read += &format!("{}={};", part(name), part(value));
            })
            .unwrap();
        assert_eq!(read, ":status=206;etag=\"a\";x-empty=;content-length=3;");
        let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        assert!(encode_head(&mut Encoder::default(), hints, &mut Vec::new()));
    }
}
