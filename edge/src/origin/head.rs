//! The head of an origin's answer, as far as this node acts on it.

use ::http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG,
    EXPIRES, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, PRAGMA, TRANSFER_ENCODING, UPGRADE,
};

use super::content_range::{ContentRange, number};
use crate::cache::purge::tags;
use crate::clock::Now;
use crate::http::date;
use crate::http::hop::{is_hop_by_hop, is_named};
use crate::http::response::HeadWriter;
use crate::http::token::{decimal_saturating, members};

/// Fields with which an origin tags an answer for purges.
const TAGS: [&str; 2] = ["surrogate-key", "cache-tag"];

/// Status and fields of an answer, read once.
#[derive(Clone, Debug)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Every end-to-end field, for clients and for storing; framing fields and `Age` left out.
    pub fields: HeaderMap,
    /// Entity tag, quotes and any `W/` included.
    pub etag: Option<Box<str>>,
    /// `Last-Modified` in Unix seconds.
    pub last_modified_unix_s: Option<i64>,
    /// `Date` in Unix seconds.
    pub date_unix_s: Option<i64>,
    /// `Age` in seconds.
    pub age_s: Option<u64>,
    /// Its tags for purges: see [`crate::cache::purge::tags`]. Clients are not shown them.
    pub tags: Box<str>,
    /// `Content-Length`.
    pub content_length: Option<u64>,
    /// `Content-Range`, if it is one that may be used.
    pub content_range: Option<ContentRange>,
    /// Whether the origin says that it sends parts (`Accept-Ranges: bytes`, or it is one).
    pub takes_parts: bool,
}

impl Head {
    /// Reads an answer that arrived at `now`. A missing `Date` is added (RFC 9110 §6.6.1).
    pub fn read(status: u16, all: &HeaderMap, now: Now) -> Head {
        let bytes = |name| all.get(name).map(HeaderValue::as_bytes);
        let mut fields = end_to_end(all);
        if matches!(status, 206 | 416) {
            // Of this part; elsewhere it means nothing, and is kept as any other field.
            fields = fields.iter().filter(|(name, _)| *name != CONTENT_RANGE).map(owned).collect();
        }
        if !fields.contains_key(DATE) {
            fields.extend(HeaderValue::try_from(http_date(now)).ok().map(|date| (DATE, date)));
        }
        Head {
            status,
            etag: all.get(ETAG).and_then(entity_tag),
            last_modified_unix_s: bytes(LAST_MODIFIED).and_then(date::parse),
            date_unix_s: bytes(DATE).and_then(date::parse),
            age_s: bytes(AGE).and_then(|age| decimal_saturating(members(age).next()?)),
            tags: tags(TAGS.iter().flat_map(|name| all.get_all(*name)).map(HeaderValue::as_bytes)),
            content_length: body_length(all),
            content_range: all
                .get(CONTENT_RANGE)
                .and_then(|value| ContentRange::parse(value.as_bytes())),
            takes_parts: status == 206
                || bytes(ACCEPT_RANGES).is_some_and(|unit| unit.eq_ignore_ascii_case(b"bytes")),
            fields,
        }
    }

    /// The entity tag if it is a strong one (RFC 9110 §8.8.3).
    pub fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|tag| tag.starts_with('"'))
    }

    /// The head with `lifetime_s` in the place of what the origin says about storing.
    pub fn with_lifetime(&self, lifetime_s: u64) -> Head {
        let mut head = self.clone();
        head.fields.remove(EXPIRES);
        head.fields.remove(PRAGMA);
        let told = HeaderValue::try_from(format!("max-age={lifetime_s}"));
        head.fields.extend(told.ok().map(|told| (CACHE_CONTROL, told)));
        head
    }

    /// The fields as lines, each `Name: value\r\n`.
    pub fn block(&self) -> Box<[u8]> {
        let mut block = Vec::with_capacity(512);
        for (name, value) in &self.fields {
            push_line(&mut block, name, value);
        }
        block.into_boxed_slice()
    }
}

/// Length of a body by its `Content-Length`, which means nothing beside a transfer coding (RFC 9112
/// §6.3).
pub fn body_length(all: &HeaderMap) -> Option<u64> {
    let mut lengths = all.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next().filter(|_| !all.contains_key(TRANSFER_ENCODING))?;
    let others = lengths.any(|other| other != length);
    number(length.to_str().ok()?.trim()).filter(|_| !others)
}

/// The fields of an answer that is passed back as it came, as lines each `Name: value\r\n`: all but
/// those for one hop. Those of a 101 say what was switched to (RFC 9110 §7.8).
pub fn passed_block(status: u16, all: &HeaderMap, now: Now) -> Box<[u8]> {
    let connection = || all.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    let stays = |name: &HeaderName| {
        *name != CONTENT_LENGTH
            && !is_hop_by_hop(name.as_str())
            && !is_named(connection(), name.as_str())
    };
    let mut block = Vec::with_capacity(512);
    for (name, value) in all.iter().filter(|(name, _)| stays(name)) {
        push_line(&mut block, name, value);
    }
    if status >= 200 && !all.contains_key(DATE) {
        block.extend_from_slice(format!("Date: {}\r\n", http_date(now)).as_bytes());
    }
    if status == 101 {
        for value in all.get_all(UPGRADE) {
            push_line(&mut block, &UPGRADE, value);
        }
        block.extend_from_slice(b"Connection: upgrade\r\n");
    }
    block.into()
}

/// A whole interim answer.
pub fn interim_block(status: u16, all: &HeaderMap, now: Now) -> Box<[u8]> {
    let mut head = Vec::new();
    HeadWriter::new(&mut head, status).raw(&passed_block(status, all, now)).finish();
    head.into()
}

/// The reverse of [`Head::block`], for refreshing a stored head.
pub fn read_block(block: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in block.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.append(name, value);
        }
    }
    fields
}

/// The stored fields with those of a 304 in their place (RFC 9111 §3.2). Fields that describe the
/// stored body itself stay.
pub fn refreshed(stored: &[u8], fresh: &HeaderMap) -> HeaderMap {
    let mut fields = read_block(stored);
    let fresh = end_to_end(fresh);
    let of_the_body = ["content-encoding", "content-range", "content-length"];
    let news = || fresh.iter().filter(|(name, _)| !of_the_body.contains(&name.as_str()));
    for (name, _) in news() {
        fields.remove(name);
    }
    for (name, value) in news() {
        fields.append(name.clone(), value.clone());
    }
    fields
}

/// The fields that go on to the client: no hop-by-hop field (RFC 9110 §7.6.1), none that this node
/// writes itself.
fn end_to_end(all: &HeaderMap) -> HeaderMap {
    let connection = || all.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    let stays = |name: &HeaderName| {
        let is_ours = [CONTENT_LENGTH, ACCEPT_RANGES, AGE].contains(name);
        let is_tag = TAGS.contains(&name.as_str());
        !is_ours
            && !is_tag
            && !is_hop_by_hop(name.as_str())
            && !is_named(connection(), name.as_str())
    };
    all.iter().filter(|(name, _)| stays(name)).map(owned).collect()
}

fn owned((name, value): (&HeaderName, &HeaderValue)) -> (HeaderName, HeaderValue) {
    (name.clone(), value.clone())
}

/// `"…"` or `W/"…"` with nothing in it that would break a list of tags (RFC 9110 §8.8.3).
fn entity_tag(value: &HeaderValue) -> Option<Box<str>> {
    let text = std::str::from_utf8(value.as_bytes()).ok()?.trim_matches([' ', '\t']);
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let inner = opaque.strip_prefix('"')?.strip_suffix('"')?;
    let clean =
        inner.bytes().all(|byte| byte == 0x21 || (0x23..0x7f).contains(&byte) || byte > 0x7f);
    clean.then(|| text.into())
}

fn http_date(now: Now) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_millis(now.unix_ms))
}

fn push_line(block: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    push_capitalised(block, name.as_str());
    block.extend_from_slice(b": ");
    block.extend_from_slice(value.as_bytes());
    block.extend_from_slice(b"\r\n");
}

/// Writes `content-type` as `Content-Type`: some old clients compare case.
fn push_capitalised(block: &mut Vec<u8>, name: &str) {
    if name == "etag" {
        return block.extend_from_slice(b"ETag");
    }
    let mut at_start = true;
    for byte in name.bytes() {
        block.push(if at_start { byte.to_ascii_uppercase() } else { byte });
        at_start = byte == b'-';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { mono_ms: 1, unix_ms: 784_111_777_999 };

    fn fields(rows: &[(&'static str, &str)]) -> HeaderMap {
        let row = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        let mut all = HeaderMap::new();
        for (name, value) in rows.iter().map(row) {
            all.append(name, value);
        }
        all
    }

    #[test]
    fn hop_by_hop_and_framing_fields_go() {
        let all = fields(&[
            ("connection", "close, X-Secret"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
            ("content-range", "bytes 0-6/7"),
            ("accept-ranges", "bytes"),
            ("age", "12"),
            ("etag", "\"v\""),
            ("x-a", "1"),
            ("x-a", "2"),
        ]);
        let head = Head::read(206, &all, NOW);
        let block = String::from_utf8(head.block().into()).unwrap();
        assert_eq!(
            block,
            "ETag: \"v\"\r\nX-A: 1\r\nX-A: 2\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        );
        // A length means nothing beside a coding (RFC 9112 §6.3), nor does one of two.
        assert_eq!((head.age_s, head.content_length), (Some(12), None));
        let length = |rows| body_length(&fields(rows));
        assert_eq!(length(&[("content-length", "7")]), Some(7));
        assert_eq!(length(&[("content-length", "7"), ("content-length", "7")]), Some(7));
        assert_eq!(length(&[("content-length", "7"), ("content-length", "8")]), None);
        assert_eq!(read_block(&head.block()), head.fields);
    }

    #[test]
    fn entity_tags() {
        let rows = [
            ("\"a\"", Some("\"a\"")),
            ("W/\"a\"", Some("W/\"a\"")),
            ("\"\"", Some("\"\"")),
            ("\"ü\"", Some("\"ü\"")),
            ("a", None),
            ("\"a", None),
            ("\"", None),
            ("w/\"a\"", None),
            ("\"a\"b\"", None),
            ("\"a b\"", None),
        ];
        for (value, expected) in rows {
            let head = Head::read(200, &fields(&[("etag", value)]), NOW);
            assert_eq!(head.etag.as_deref(), expected, "{value}");
            let strong = expected.filter(|tag| !tag.starts_with('W'));
            assert_eq!(head.strong_etag(), strong, "{value}");
        }
    }

    #[test]
    fn nonsense_is_not_read() {
        let head = Head::read(
            200,
            &fields(&[("age", "-1"), ("last-modified", "yesterday"), ("content-length", "1e9")]),
            NOW,
        );
        assert_eq!(
            (head.age_s, head.last_modified_unix_s, head.content_length),
            (None, None, None)
        );
    }

    #[test]
    fn a_304_replaces_but_leaves_what_describes_the_body() {
        let stored = b"Content-Encoding: gzip\r\nContent-Type: a/b\r\nX-Old: 1\r\nCache-Control: max-age=1\r\nX-Two: 1\r\n";
        let fresh = fields(&[
            ("content-type", "c/d"),
            ("content-encoding", "br"),
            ("cache-control", "max-age=9"),
            ("cache-control", "public"),
            ("x-two", "2"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
        ]);
        let merged = refreshed(stored, &fresh);
        let all = |name: &str| -> Vec<&str> {
            merged.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
        };
        assert_eq!(all("content-type"), ["c/d"]);
        assert_eq!(all("content-encoding"), ["gzip"]);
        assert_eq!(all("x-old"), ["1"]);
        assert_eq!(all("cache-control"), ["max-age=9", "public"]);
        assert_eq!(all("x-two"), ["2"]);
        assert_eq!(all("x-hop"), Vec::<&str>::new());
    }
}
