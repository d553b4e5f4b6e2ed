//! Heads of requests and of origins' answers.

use edge::clock::Now;
use edge::http::conditional::{self, Validators};
use edge::http::range;
use edge::http::request::{self, Parsed, RequestHead};
use edge::origin::{ContentRange, Head, facts, head};
use http::{HeaderMap, HeaderName, HeaderValue};

/// A head or an error never changes with more bytes, and no field carries a line's end.
pub fn request(bytes: &[u8]) {
    let whole = request::parse(bytes);
    let told = |parsed: &Result<Parsed<'_>, _>| match parsed {
        Ok(Parsed::Partial) => None,
        Ok(Parsed::Head(head)) => Some(format!("{} {}", head.len, head.target)),
        Err(error) => Some(format!("{error:?}")),
    };
    let step = (bytes.len() / 64).max(1);
    for end in (0..bytes.len()).step_by(step) {
        let part = told(&request::parse(&bytes[..end]));
        assert!(part.is_none() || part == told(&whole), "{end} bytes say {part:?}");
    }
    if let Ok(Parsed::Head(head)) = whole {
        used(&head, bytes.len());
    }
}

fn used(head: &RequestHead<'_>, available: usize) {
    assert!(head.len <= available, "a head longer than what was read");
    for (name, value) in head.headers() {
        assert!(!name.is_empty());
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{name} splits");
    }
    let validators = Validators {
        etag: Some("\"a\""),
        last_modified_unix_s: Some(784_111_777),
        date_unix_s: Some(784_111_780),
    };
    conditional::evaluate(head, &validators);
    if let Some(value) = head.header("if-range") {
        conditional::if_range_holds(value, &validators);
    }
    if let Some(ranges) = head.header("range").and_then(range::parse) {
        let _ = ranges.resolve(1000);
    }
}

/// What is kept of an answer is lines that are read back as they were, one a field.
pub fn response(bytes: &[u8]) {
    let Some((status, fields)) = parsed(bytes) else { return };
    let now = Now { mono_ms: 1, unix_ms: 1_700_000_000_000 };
    let answer = Head::read(status, &fields, now);
    let block = answer.block();
    let lines = block.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    assert_eq!(lines, answer.fields.len(), "a field that is not one line");
    assert_eq!(head::read_block(&block), answer.fields, "fields change when stored");
    let _ = facts::facts(&answer);
    head::refreshed(&block, &fields);
    if let Some(range) = fields.get("content-range") {
        ContentRange::parse(range.as_bytes());
    }
}

/// As an HTTP library reads it: what is left to us is what it lets through.
fn parsed(bytes: &[u8]) -> Option<(u16, HeaderMap)> {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut answer = httparse::Response::new(&mut fields);
    answer.parse(bytes).ok()?.is_complete().then_some(())?;
    let mut map = HeaderMap::new();
    for field in answer.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        map.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some((answer.code?, map))
}
