//! One answer of the scripted origin.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

use super::{Page, Request, Shared};

const PIECE_BYTES: u64 = 64 * 1024;

pub(super) fn answer(
    stream: &TcpStream,
    shared: &Shared,
    request: &Request,
    page: &Page,
) -> io::Result<()> {
    std::thread::sleep(page.delay);
    if page.failures_left > 0 {
        let text = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nbusy\n";
        return send(stream, text.as_bytes());
    }
    let matches = |name| request.field(name).is_some_and(|tag| page.etag.as_deref() == Some(tag));
    if page.status == 200 && matches("if-none-match") {
        shared.count(&request.target, |counts| counts.not_modified += 1);
        return send(
            stream,
            format!("HTTP/1.1 304 Not Modified\r\n{}\r\n", fields(page)).as_bytes(),
        );
    }
    let len = page.content.len;
    let wants_range = page.status == 200 && page.ranges;
    let holds = request.field("if-range").is_none() || matches("if-range");
    let asked = request.field("range").filter(|_| wants_range && holds);
    let range = match asked.map(|value| parse_range(value, len)) {
        None => None,
        Some(Some(range)) => Some(range),
        Some(None) => {
            let text = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n";
            return send(stream, format!("{text}Content-Range: bytes */{len}\r\n\r\n").as_bytes());
        }
    };
    send(stream, head(page, range.clone()).as_bytes())?;
    if request.method == "HEAD" {
        return Ok(());
    }
    send_body(stream, shared, &request.target, page, range.unwrap_or(0..len))
}

fn head(page: &Page, range: Option<Range<u64>>) -> String {
    let len = page.content.len;
    let status = if range.is_some() { 206 } else { page.status };
    let mut head = format!("HTTP/1.1 {status} Scripted\r\n{}", fields(page));
    if let Some(range) = &range {
        let shift = u64::from(page.wrong_content_range);
        let (first, last) = (range.start + shift, range.end - 1 + shift);
        head += &format!("Content-Range: bytes {first}-{last}/{len}\r\n");
    }
    head += &match (page.chunked, range) {
        (true, _) => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
        (false, range) => {
            let count = range.map_or(len, |range| range.end - range.start);
            format!("Content-Length: {count}\r\n\r\n")
        }
    };
    head
}

/// The fields that 200, 206 and 304 share.
fn fields(page: &Page) -> String {
    let mut text = String::from("Server: scripted\r\n");
    let known = [
        ("ETag", &page.etag),
        ("Last-Modified", &page.last_modified),
        ("Cache-Control", &page.cache_control),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            text += &format!("{name}: {value}\r\n");
        }
    }
    for field in &page.fields {
        text += &format!("{field}\r\n");
    }
    text
}

/// Sends a range of the body as the page says; an error ends the connection.
fn send_body(
    stream: &TcpStream,
    shared: &Shared,
    target: &str,
    page: &Page,
    range: Range<u64>,
) -> io::Result<()> {
    let throttled = page.bytes_per_s.map(|rate| (rate / 50).clamp(1, PIECE_BYTES));
    let mut piece = vec![0; PIECE_BYTES as usize];
    let mut offset = range.start;
    while offset < range.end {
        let mut end = range.end.min(offset + throttled.unwrap_or(PIECE_BYTES));
        if let Some(hold) = page.hold.as_ref().filter(|hold| hold.at < end && !hold.gate.is_open())
        {
            if hold.at <= offset {
                wait_for(hold, shared)?;
                continue;
            }
            end = hold.at;
        }
        if let Some(cut_at) = page.cut_at.filter(|cut_at| (offset..end).contains(cut_at)) {
            if cut_at == offset && page.cuts.take() {
                return Err(io::Error::new(ErrorKind::ConnectionAborted, "cut as scripted"));
            }
            end = if cut_at == offset { end } else { cut_at };
        }
        let bytes = &mut piece[..(end - offset) as usize];
        page.content.fill(offset, bytes);
        // Counted first: who has received bytes finds them counted.
        shared.count(target, |counts| counts.body_bytes += end - offset);
        if let Err(error) = send_piece(stream, page.chunked, bytes) {
            shared.count(target, |counts| counts.body_bytes -= end - offset);
            return Err(error);
        }
        if let Some(rate) = page.bytes_per_s {
            std::thread::sleep(Duration::from_secs_f64((end - offset) as f64 / rate as f64));
        }
        offset = end;
    }
    if page.chunked { send(stream, b"0\r\n\r\n") } else { Ok(()) }
}

fn wait_for(hold: &super::Hold, shared: &Shared) -> io::Result<()> {
    while !hold.gate.wait_a_little() {
        if shared.is_down() {
            return Err(io::Error::new(ErrorKind::ConnectionAborted, "the origin went down"));
        }
    }
    Ok(())
}

fn send_piece(stream: &TcpStream, chunked: bool, bytes: &[u8]) -> io::Result<()> {
    if chunked {
        send(stream, format!("{:x}\r\n", bytes.len()).as_bytes())?;
    }
    send(stream, bytes)?;
    if chunked { send(stream, b"\r\n") } else { Ok(()) }
}

fn send(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)
}

/// One range of a body of `len` bytes; `None`: it cannot be satisfied.
fn parse_range(value: &str, len: u64) -> Option<Range<u64>> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => first..len.min(last + 1),
        (Ok(first), Err(_)) => first..len,
        (Err(_), Ok(suffix)) => len.saturating_sub(suffix)..len,
        (Err(_), Err(_)) => return None,
    };
    (range.start < range.end).then_some(range)
}
