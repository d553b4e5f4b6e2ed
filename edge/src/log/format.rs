//! A record as a line. Fields come from clients: every byte that could break a line is escaped.

use std::fmt::Write;

use super::AccessRecord;
use super::line::Line;
use super::time::Civil;
use crate::config::LogFormat;
use crate::limits;

/// Bytes looked at of a target, of `Referer` and of `User-Agent`, and of every other text; what is
/// longer is cut.
const TARGET_MAX_BYTES: usize = limits::REQUEST_TARGET_MAX_BYTES;
const REFERER_MAX_BYTES: usize = 1024;
const USER_AGENT_MAX_BYTES: usize = 512;
const TEXT_MAX_BYTES: usize = 64;
const HOST_MAX_BYTES: usize = 255;
const RANGE_MAX_BYTES: usize = 128;

/// The longest line there can be: every byte escaped to six.
pub(super) const LINE_MAX_BYTES: usize = 1024
    + 6 * (TARGET_MAX_BYTES + REFERER_MAX_BYTES + USER_AGENT_MAX_BYTES + RANGE_MAX_BYTES)
    + 6 * (2 * HOST_MAX_BYTES + 3 * TEXT_MAX_BYTES);

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// Appends one line; `false`, and nothing appended, when it does not fit the buffer's capacity.
pub(super) fn append(out: &mut Vec<u8>, format: LogFormat, record: &AccessRecord<'_>) -> bool {
    let mut line = Line::begin(out);
    match format {
        LogFormat::Json => json(&mut line, record),
        LogFormat::Combined => combined(&mut line, record),
    }
    line.end()
}

fn json(line: &mut Line<'_>, record: &AccessRecord<'_>) {
    line.text("{\"time\":\"");
    iso_time(line, record.unix_ms);
    line.text("\",\"client\":\"");
    let _ = write!(line, "{}", record.client.ip().to_canonical());
    line.text("\",\"port\":");
    line.number(u64::from(record.client.port()));
    json_text(line, "site", record.site.as_bytes(), HOST_MAX_BYTES);
    json_text(line, "method", record.method.as_bytes(), TEXT_MAX_BYTES);
    json_text(line, "host", record.host.as_bytes(), HOST_MAX_BYTES);
    json_text(line, "target", record.target.as_bytes(), TARGET_MAX_BYTES);
    json_text(line, "version", record.version.as_bytes(), TEXT_MAX_BYTES);
    json_number(line, "status", u64::from(record.status));
    json_number(line, "sent_bytes", record.sent_bytes);
    json_number(line, "body_bytes", record.body_bytes);
    json_text(line, "outcome", record.outcome.as_str().as_bytes(), TEXT_MAX_BYTES);
    json_text(line, "reason", record.reason.as_bytes(), TEXT_MAX_BYTES);
    json_number(line, "duration_us", record.duration_us);
    json_number(line, "first_byte_us", record.first_byte_us);
    json_number(line, "requests_on_conn", u64::from(record.requests_on_conn));
    for (name, value, max_bytes) in [
        ("range", record.range.map(str::as_bytes), RANGE_MAX_BYTES),
        ("referer", record.referer, REFERER_MAX_BYTES),
        ("user_agent", record.user_agent, USER_AGENT_MAX_BYTES),
    ] {
        if let Some(value) = value {
            json_text(line, name, value, max_bytes);
        }
    }
    line.text("}");
}

fn json_number(line: &mut Line<'_>, name: &str, number: u64) {
    json_name(line, name);
    line.number(number);
}

fn json_text(line: &mut Line<'_>, name: &str, bytes: &[u8], max_bytes: usize) {
    json_name(line, name);
    line.text("\"");
    // Invalid UTF-8, also where a text was cut, becomes U+FFFD.
    for chunk in bytes[..bytes.len().min(max_bytes)].utf8_chunks() {
        json_escaped(line, chunk.valid());
        if !chunk.invalid().is_empty() {
            line.text("\\ufffd");
        }
    }
    line.text("\"");
}

fn json_name(line: &mut Line<'_>, name: &str) {
    line.text(",\"");
    line.text(name);
    line.text("\":");
}

/// RFC 8259 §7.
fn json_escaped(line: &mut Line<'_>, text: &str) {
    let mut rest = text.as_bytes();
    let special = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\' || *byte == 0x7f;
    while let Some(at) = rest.iter().position(special) {
        line.bytes(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => line.bytes(&[b'\\', byte]),
            byte => {
                line.text("\\u00");
                line.hex(byte, LOWER);
            }
        }
        rest = &rest[at + 1..];
    }
    line.bytes(rest);
}

/// `2026-11-20T21:00:00.000Z`
fn iso_time(line: &mut Line<'_>, unix_ms: u64) {
    let civil = Civil::from_unix_ms(unix_ms);
    line.padded(civil.year, 4);
    for (separator, number, width) in [
        ("-", civil.month, 2),
        ("-", civil.day, 2),
        ("T", civil.hour, 2),
        (":", civil.minute, 2),
        (":", civil.second, 2),
        (".", civil.ms, 3),
    ] {
        line.text(separator);
        line.padded(number, width);
    }
    line.text("Z");
}

/// As nginx writes `combined`: the size is that of the body.
fn combined(line: &mut Line<'_>, record: &AccessRecord<'_>) {
    let _ = write!(line, "{}", record.client.ip().to_canonical());
    line.text(" - - [");
    combined_time(line, record.unix_ms);
    line.text("] \"");
    combined_escaped(line, record.method.as_bytes(), TEXT_MAX_BYTES);
    line.text(" ");
    combined_escaped(line, record.target.as_bytes(), TARGET_MAX_BYTES);
    line.text(" ");
    combined_escaped(line, record.version.as_bytes(), TEXT_MAX_BYTES);
    line.text("\" ");
    line.padded(u64::from(record.status), 3);
    line.text(" ");
    line.number(record.body_bytes);
    line.text(" \"");
    combined_escaped(line, record.referer.unwrap_or(b"-"), REFERER_MAX_BYTES);
    line.text("\" \"");
    combined_escaped(line, record.user_agent.unwrap_or(b"-"), USER_AGENT_MAX_BYTES);
    line.text("\"");
}

/// `20/Nov/2026:21:00:00 +0000`
fn combined_time(line: &mut Line<'_>, unix_ms: u64) {
    let civil = Civil::from_unix_ms(unix_ms);
    line.padded(civil.day, 2);
    line.text("/");
    line.text(civil.month_name());
    line.text("/");
    line.padded(civil.year, 4);
    for number in [civil.hour, civil.minute, civil.second] {
        line.text(":");
        line.padded(number, 2);
    }
    line.text(" +0000");
}

/// As nginx's `escape=default`: `"`, `\`, control and non-ASCII bytes become `\xHH`.
fn combined_escaped(line: &mut Line<'_>, bytes: &[u8], max_bytes: usize) {
    let mut rest = &bytes[..bytes.len().min(max_bytes)];
    let special = |byte: &u8| !(b' '..0x7f).contains(byte) || *byte == b'"' || *byte == b'\\';
    while let Some(at) = rest.iter().position(special) {
        line.bytes(&rest[..at]);
        line.text("\\x");
        line.hex(rest[at], UPPER);
        rest = &rest[at + 1..];
    }
    line.bytes(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Outcome;

    fn record<'r>() -> AccessRecord<'r> {
        AccessRecord {
            unix_ms: 1_795_208_400_042,
            client: "192.0.2.1:4711".parse().unwrap(),
            site: "dl.example.com",
            method: "GET",
            host: "dl.example.com",
            target: "/a.iso?x=1",
            version: "HTTP/1.1",
            status: 206,
            sent_bytes: 1234,
            body_bytes: 1000,
            outcome: Outcome::Hit,
            reason: "-",
            duration_us: 1500,
            first_byte_us: 90,
            range: Some("bytes=0-999"),
            referer: None,
            user_agent: Some(b"curl/8"),
            requests_on_conn: 2,
        }
    }

    fn formatted(format: LogFormat, record: &AccessRecord<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(LINE_MAX_BYTES);
        assert!(append(&mut out, format, record));
        out
    }

    fn text(format: LogFormat, record: &AccessRecord<'_>) -> String {
        String::from_utf8(formatted(format, record)).unwrap()
    }

    #[test]
    fn a_json_line() {
        assert_eq!(
            text(LogFormat::Json, &record()),
            "{\"time\":\"2026-11-20T21:00:00.042Z\",\"client\":\"192.0.2.1\",\"port\":4711,\
             \"site\":\"dl.example.com\",\"method\":\"GET\",\"host\":\"dl.example.com\",\
             \"target\":\"/a.iso?x=1\",\"version\":\"HTTP/1.1\",\"status\":206,\"sent_bytes\":1234,\
             \"body_bytes\":1000,\"outcome\":\"hit\",\"reason\":\"-\",\"duration_us\":1500,\
             \"first_byte_us\":90,\"requests_on_conn\":2,\"range\":\"bytes=0-999\",\
             \"user_agent\":\"curl/8\"}\n"
        );
    }

    #[test]
    fn a_combined_line() {
        let mapped = "[::ffff:192.0.2.1]:4711".parse().unwrap();
        assert_eq!(
            text(LogFormat::Combined, &AccessRecord { client: mapped, ..record() }),
            "192.0.2.1 - - [20/Nov/2026:21:00:00 +0000] \"GET /a.iso?x=1 HTTP/1.1\" 206 1000 \
             \"-\" \"curl/8\"\n"
        );
    }

    #[test]
    fn hostile_bytes_stay_in_their_field() {
        let hostile = AccessRecord {
            client: "[2001:db8::1]:1".parse().unwrap(),
            target: "/\"\\\r\n\u{7f}é",
            referer: Some(b"\"} {\"status\":200"),
            user_agent: Some(b"\xff\x00\x1b[31m\xf0\x9f"),
            ..record()
        };
        assert_eq!(
            text(LogFormat::Combined, &hostile),
            "2001:db8::1 - - [20/Nov/2026:21:00:00 +0000] \
             \"GET /\\x22\\x5C\\x0D\\x0A\\x7F\\xC3\\xA9 HTTP/1.1\" 206 1000 \
             \"\\x22} {\\x22status\\x22:200\" \"\\xFF\\x00\\x1B[31m\\xF0\\x9F\"\n"
        );
        let line = text(LogFormat::Json, &hostile);
        assert!(line.contains(r#""target":"/\"\\\u000d\u000a\u007fé""#), "{line}");
        assert!(line.contains(r#""user_agent":"\ufffd\u0000\u001b[31m\ufffd""#), "{line}");
    }

    #[test]
    fn the_longest_line_fits() {
        let long = "\u{1}".repeat(1 << 17);
        let longest = AccessRecord {
            unix_ms: u64::MAX,
            client: "[1111:1111:1111:1111:1111:1111:1111:1111]:65535".parse().unwrap(),
            site: &long,
            method: &long,
            host: &long,
            target: &long,
            version: &long,
            status: u16::MAX,
            sent_bytes: u64::MAX,
            body_bytes: u64::MAX,
            outcome: Outcome::Partial,
            reason: &long,
            duration_us: u64::MAX,
            first_byte_us: u64::MAX,
            range: Some(&long),
            referer: Some(long.as_bytes()),
            user_agent: Some(long.as_bytes()),
            requests_on_conn: u32::MAX,
        };
        for format in [LogFormat::Json, LogFormat::Combined] {
            let line = formatted(format, &longest);
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_make_one_valid_line(
            target in "\\PC*|[\\x00-\\x7f]*",
            referer in proptest::collection::vec(proptest::num::u8::ANY, 0..2000),
            user_agent in proptest::option::of(proptest::collection::vec(proptest::num::u8::ANY, 0..900)),
        ) {
            let record = AccessRecord {
                target: &target,
                referer: Some(&referer),
                user_agent: user_agent.as_deref(),
                ..record()
            };
            let line = text(LogFormat::Json, &record);
            proptest::prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            let json: serde_json::Value = serde_json::from_str(&line).unwrap();
            let cut = &referer[..referer.len().min(REFERER_MAX_BYTES)];
            proptest::prop_assert_eq!(&json["target"], &target);
            let lossy = String::from_utf8_lossy(cut);
            proptest::prop_assert_eq!(&json["referer"], lossy.as_ref());
            let line = formatted(LogFormat::Combined, &record);
            proptest::prop_assert_eq!(line.iter().filter(|byte| **byte == b'"').count(), 6);
            proptest::prop_assert!(line[..line.len() - 1].iter().all(|byte| (b' '..0x7f).contains(byte)));
        }
    }
}
