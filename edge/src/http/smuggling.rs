//! What request heads are refused with, and that the answer hangs on the bytes alone.

use proptest::prelude::*;

use super::request::{BodyLength, Method, Parsed, RequestError, Version, parse};
use crate::limits::{REQUEST_HEAD_MAX_BYTES, REQUEST_HEADERS_MAX};

/// `GET / HTTP/1.1` with a `Host` and these fields (`\n` stands for CRLF) is refused so.
fn check_fields(fields: &str, error: RequestError) {
    let head = format!("GET / HTTP/1.1\nHost: h\n{fields}\n\n").replace('\n', "\r\n");
    check(&head, error);
}

/// `head` is refused with `error`.
fn check(head: &str, error: RequestError) {
    assert_eq!(parse(head.as_bytes()).err(), Some(error), "{head:?}");
}

/// `head` (`\n` stands for CRLF) is a good one.
fn check_body(head: &str, body: BodyLength) {
    let head = head.replace('\n', "\r\n");
    match parse(head.as_bytes()) {
        Ok(Parsed::Head(parsed)) => assert_eq!(parsed.body, body, "{head:?}"),
        other => panic!("{head:?}: {other:?}"),
    }
}

#[test]
fn a_head_is_taken_apart() {
    let bytes = b"\r\nGET /a%20b?c=d HTTP/1.1\r\nHost: H:80\r\nX-A:\t 1 \r\nx-a: 2\r\nEmpty:\r\nY: \xff\r\n\r\nbody";
    let Ok(Parsed::Head(head)) = parse(bytes) else { panic!() };
    assert_eq!((head.method, head.method_text), (Method::Get, "GET"));
    assert_eq!((head.path, head.query, head.target), ("/a%20b", Some("c=d"), "/a%20b?c=d"));
    assert_eq!((head.host, head.authority, head.asked_host()), (Some("H"), None, Some("H")));
    assert_eq!((head.version, head.body), (Version::Http11, BodyLength::Empty));
    assert_eq!((head.keep_alive, head.expect_continue), (true, false));
    assert_eq!(&bytes[head.len..], b"body");
    assert_eq!(head.header("X-a"), Some(b"1".as_slice()));
    assert_eq!(head.all("x-A").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!((head.single("x-a"), head.single("empty")), (None, Some(b"".as_slice())));
    assert_eq!((head.header("y"), head.header("z")), (Some(b"\xff".as_slice()), None));
    assert_eq!(
        head.headers().map(|(name, _)| name).collect::<Vec<_>>(),
        ["Host", "X-A", "x-a", "Empty", "Y"]
    );
}

#[test]
fn lines_end_in_crlf() {
    use RequestError::*;
    // RFC 9112 §2.2
    check("GET / HTTP/1.1\nHost: h\r\n\r\n", VersionInvalid);
    check("GET / HTTP/1.1\r\nHost: h\n\r\n", BareLineBreak);
    check("GET / HTTP/1.1\r\nHost: h\r\n\n", BareLineBreak);
    check("GET / HTTP/1.1\r\nHost: h\r\nA: b\n\n", BareLineBreak);
    check("GET / HTTP/1.1\r\n\nHost: h\r\n\r\n", BareLineBreak);
    check("GET / HTTP/1.1\r\nHost: h\r\nA: b\rContent-Length: 5\r\n\r\n", FieldValue);
    check("GET / HTTP/1.1\r\nHost: h\r\n\rA: b\r\n\r\n", BareLineBreak);
    check("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", BareLineBreak);
    check("\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", BareLineBreak);
    check("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", EmptyLines);
    check_body("\n\nGET / HTTP/1.1\nHost: h\n\n", BodyLength::Empty);
}

#[test]
fn fields_are_a_name_a_colon_and_a_value_on_one_line() {
    use RequestError::*;
    // RFC 9112 §2.2: white space before the first field
    check("GET / HTTP/1.1\r\n Host: h\r\n\r\n", FieldName);
    check("GET / HTTP/1.1\r\n\tHost: h\r\n\r\n", FieldName);
    // RFC 9112 §5.1: white space before the colon
    check_fields("Content-Length : 5", FieldName);
    check_fields("Transfer-Encoding\t: chunked", FieldName);
    // RFC 9112 §5.2: folding
    check_fields("A: b\n c", FieldName);
    check_fields("Transfer-Encoding:\n chunked", CodingInvalid);
    check_fields("A:\n\tb", FieldName);
    // RFC 9110 §5.1, §5.5
    check_fields(": b", FieldName);
    check_fields("A", FieldName);
    check_fields("A b: c", FieldName);
    check_fields("A\u{0}: c", FieldName);
    check_fields("é: c", FieldName);
    check_fields("A(: c", FieldName);
    check_fields("A: b\u{0}", FieldValue);
    check_fields("A: \u{b}b", FieldValue);
    check_fields("A: \u{7f}", FieldValue);
    check_body("GET / HTTP/1.1\nHost: h\nA_b: c\td\n\n", BodyLength::Empty);
}

#[test]
fn a_body_has_one_length() {
    use RequestError::*;
    // RFC 9112 §6.3, RFC 9110 §8.6
    for length in [
        "",
        "a",
        "-5",
        "+5",
        "5,5",
        "5, 5",
        "5 5",
        "0x5",
        "5;",
        "\"5\"",
        "5.0",
        "١",
        "18446744073709551616",
    ] {
        check_fields(&format!("Content-Length: {length}"), LengthInvalid);
    }
    check_fields("Content-Length: \u{b}5", FieldValue);
    check_fields("Content-Length: 5\nContent-Length: 5", LengthRepeated);
    check_fields("Content-Length: 5\ncontent-length: 6", LengthRepeated);
    check_fields("Content-Length: 0\nContent-Length: 0", LengthRepeated);
    check_fields("Content-Length: 5\nTransfer-Encoding: chunked", LengthAndCoding);
    check_fields("Transfer-Encoding: chunked\nContent-Length: 5", LengthAndCoding);
    check_fields("TRANSFER-ENCODING: chunked\nA: b\nCONTENT-LENGTH: 0", LengthAndCoding);
    // Whatever the coding is
    check_fields("Content-Length: 5\nTransfer-Encoding: x", LengthAndCoding);
    check_body("POST / HTTP/1.1\nHost: h\nContent-Length: \t 5 \n\n", BodyLength::Length(5));
    check_body("POST / HTTP/1.1\nHost: h\nContent-Length: 007\n\n", BodyLength::Length(7));
    check_body("POST / HTTP/1.1\nHost: h\nContent-Length: 0\n\n", BodyLength::Empty);
    check_body("POST / HTTP/1.0\nContent-Length: 5\n\n", BodyLength::Length(5));
    check_body(
        "POST / HTTP/1.1\nHost: h\nContent-Length: 18446744073709551615\n\n",
        BodyLength::Length(u64::MAX),
    );
}

#[test]
fn the_only_coding_is_chunked_once_and_last() {
    use RequestError::*;
    // RFC 9112 §6.1, §6.3, §7
    for coding in [
        "",
        "gzip",
        "identity",
        "xchunked",
        "chunkedx",
        "chunked, gzip",
        "chunked, chunked",
        ",",
        "chunked;a=b",
        "\"chunked\"",
        "chunked chunked",
        "chunked,",
        ",chunked",
        "gzip, chunked, chunked",
    ] {
        check_fields(&format!("Transfer-Encoding: {coding}"), CodingInvalid);
    }
    check_fields("Transfer-Encoding: \u{b}chunked", FieldValue);
    check_fields("Transfer-Encoding: gzip, chunked", CodingUnknown);
    check_fields("Transfer-Encoding: x , Chunked", CodingUnknown);
    check_fields("Transfer-Encoding: chunked\nTransfer-Encoding: chunked", CodingInvalid);
    check_fields("Transfer-Encoding: chunked\nTransfer-Encoding: identity", CodingInvalid);
    check("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", CodingInHttp10);
    check_body("POST / HTTP/1.1\nHost: h\nTransfer-Encoding:  Chunked\t\n\n", BodyLength::Chunked);
}

#[test]
fn there_is_one_host() {
    use RequestError::*;
    // RFC 9112 §3.2
    check("GET / HTTP/1.1\r\n\r\n", HostMissing);
    check("GET / HTTP/1.1\r\nAccept: */*\r\n\r\n", HostMissing);
    check("GET http://h/ HTTP/1.1\r\n\r\n", HostMissing);
    check_fields("Host: h", HostRepeated);
    check_fields("HOST: other", HostRepeated);
    check("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", HostRepeated);
    for host in ["", "a b", "a/b", "a@b", "a,b:c", "a:99999", "h\\", "[::1", "é", "a\"", "a\u{7f}"]
    {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let error = if host.ends_with('\u{7f}') { FieldValue } else { HostInvalid };
        check(&head, error);
    }
    check_body("GET / HTTP/1.0\n\n", BodyLength::Empty);
    // §3.2.2: the target wins
    let Ok(Parsed::Head(head)) = parse(b"GET http://a:1/b HTTP/1.1\r\nHost: c\r\n\r\n") else {
        panic!()
    };
    assert_eq!((head.authority, head.host, head.asked_host()), (Some("a"), Some("c"), Some("a")));
}

#[test]
fn other_protocols_are_told_so() {
    use RequestError::*;
    // RFC 9113 §3.4: the preface of HTTP/2
    check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VersionUnsupported);
    check("GET / HTTP/1.2\r\nHost: h\r\n\r\n", VersionUnsupported);
    check("GET / HTTP/0.9\r\n\r\n", VersionUnsupported);
    check("GET /\r\n", TargetInvalid);
    check("GET / http/1.1\r\n", VersionInvalid);
    check("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", MethodUnsupported);
    // A TLS ClientHello
    check("\u{16}\u{3}\u{1}", MethodInvalid);
    let Ok(Parsed::Head(head)) = parse(b"get / HTTP/1.1\r\nHost: h\r\n\r\n") else { panic!() };
    assert_eq!((head.method, head.method_text), (Method::Other, "get"));
}

#[test]
fn connections_go_on_as_9112_9_3_says() {
    for (version, fields, keep_alive) in [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: Close\r\n", false),
        ("1.1", "Connection: x, close\r\n", false),
        ("1.1", "Connection: x\r\nconnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let bytes = format!("GET / HTTP/{version}\r\nHost: h\r\n{fields}\r\n");
        let Ok(Parsed::Head(head)) = parse(bytes.as_bytes()) else { panic!("{bytes}") };
        assert_eq!(head.keep_alive, keep_alive, "{bytes}");
    }
}

#[test]
fn expectations_are_met_or_refused() {
    // RFC 9110 §10.1.1
    check_fields("Expect: 200-ok", RequestError::ExpectationUnknown);
    for (version, fields, expected) in [
        ("1.1", "Expect: 100-Continue\r\nContent-Length: 5\r\n", true),
        ("1.1", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", true),
        ("1.1", "Expect: 100-continue\r\n", false),
        ("1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n", false),
        ("1.0", "Expect: 100-continue\r\nContent-Length: 5\r\n", false),
        ("1.0", "Expect: magic\r\n", false),
    ] {
        let bytes = format!("POST / HTTP/{version}\r\nHost: h\r\n{fields}\r\n");
        let Ok(Parsed::Head(head)) = parse(bytes.as_bytes()) else { panic!("{bytes}") };
        assert_eq!(head.expect_continue, expected, "{bytes}");
    }
}

#[test]
fn a_head_has_limits() {
    let fields = |count: usize| {
        format!("GET / HTTP/1.1\r\n{}\r\n", "Host: h\r\n".replace("Host", "A").repeat(count))
    };
    let with_host = |count: usize| fields(count - 1).replacen("A: h", "Host: h\r\nA: h", 1);
    assert!(matches!(parse(with_host(REQUEST_HEADERS_MAX).as_bytes()), Ok(Parsed::Head(_))));
    check(&with_host(REQUEST_HEADERS_MAX + 1), RequestError::FieldsTooMany);

    let padded = |len: usize| {
        let start = "GET / HTTP/1.1\r\nHost: h\r\nA: ";
        format!("{start}{}\r\n\r\n", "b".repeat(len - start.len() - 4))
    };
    let largest = padded(REQUEST_HEAD_MAX_BYTES);
    assert!(
        matches!(parse(largest.as_bytes()), Ok(Parsed::Head(head)) if head.len == largest.len())
    );
    let larger = padded(REQUEST_HEAD_MAX_BYTES + 1);
    check(&larger, RequestError::HeadTooLarge);
    // Without waiting for its end
    let end = larger.len();
    assert_eq!(parse(&larger.as_bytes()[..end - 1]).err(), None);
    let endless = "b".repeat(REQUEST_HEAD_MAX_BYTES);
    check(&format!("GET / HTTP/1.1\r\nA: {endless}"), RequestError::HeadTooLarge);
    // What follows a head does not count.
    let body = "\n".repeat(2 * REQUEST_HEAD_MAX_BYTES);
    check_body(&format!("GET / HTTP/1.1\nHost: h\n\n{body}"), BodyLength::Empty);
}

#[test]
fn every_error_has_a_status_and_a_name() {
    use RequestError::*;
    for (error, status, name) in [
        (BareLineBreak, 400, "bare_line_break"),
        (HeadTimeout, 408, "head_timeout"),
        (BodyTooLarge, 413, "body_too_large"),
        (TargetTooLong, 414, "target_too_long"),
        (ExpectationUnknown, 417, "expectation_unknown"),
        (HeadTooLarge, 431, "head_too_large"),
        (FieldsTooMany, 431, "fields_too_many"),
        (CodingUnknown, 501, "coding_unknown"),
        (MethodUnsupported, 501, "method_unsupported"),
        (VersionUnsupported, 505, "version_unsupported"),
    ] {
        assert_eq!((error.status(), error.as_str()), (status, name));
    }
    assert_eq!(HeadTooLarge.to_string(), "head longer than 32768 bytes");
}

/// What parsing came to, without the borrow.
fn verdict(bytes: &[u8]) -> Option<Result<String, RequestError>> {
    match parse(bytes) {
        Ok(Parsed::Partial) => None,
        Ok(Parsed::Head(head)) => Some(Ok(format!("{head:?}"))),
        Err(error) => Some(Err(error)),
    }
}

/// The verdict comes at one prefix, and every longer one agrees.
fn agrees_with_itself(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut first = None;
    for end in 0..=bytes.len() {
        let now = verdict(&bytes[..end]);
        if first.is_some() {
            prop_assert_eq!(&now, &first, "at {} of {:?}", end, bytes.escape_ascii().to_string());
        }
        first = now;
    }
    Ok(())
}

/// A head with anything wrong that can be, or nothing.
fn near_heads() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "GET / HTTP/1.1",
        "GET http://h/a?b HTTP/1.1",
        "OPTIONS * HTTP/1.0",
        "PRI * HTTP/2.0",
        "CONNECT a:1 HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.19",
        "POST /a HTTP/1.1 ",
    ]);
    let field = prop::sample::select(vec![
        "Host: h",
        "Host: a b",
        "Content-Length: 5",
        "Content-Length: x",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Expect: 100-continue",
        "Expect: x",
        "Connection: close",
        " folded",
        "A : b",
        ": b",
        "A:",
        "A: \u{1}",
        "é: b",
        "A: é",
        "A",
    ]);
    let ending = || prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r"]);
    let lines = prop::collection::vec((field, ending()), 0..5);
    ("(\r\n){0,3}", line, ending(), lines, ending(), any::<Vec<u8>>()).prop_map(
        |(before, line, end, lines, last, after)| {
            let mut bytes = format!("{before}{line}{end}").into_bytes();
            for (field, end) in lines {
                bytes.extend_from_slice(field.as_bytes());
                bytes.extend_from_slice(end.as_bytes());
            }
            bytes.extend_from_slice(last.as_bytes());
            bytes.extend_from_slice(&after);
            bytes
        },
    )
}

proptest! {
    #[test]
    fn any_bytes_have_one_verdict_however_they_arrive(bytes: Vec<u8>) {
        agrees_with_itself(&bytes)?;
    }

    #[test]
    fn near_heads_have_one_verdict_however_they_arrive(bytes in near_heads()) {
        agrees_with_itself(&bytes)?;
    }

    #[test]
    fn a_good_head_is_whole_at_its_last_byte_and_not_before(
        path in "/[a-z0-9%/.]{0,20}",
        fields in prop::collection::vec(("[A-Za-z-]{20,24}", "[ -~]{0,20}"), 0..8),
    ) {
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: h\r\n");
        for (name, value) in &fields {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        for end in 0..head.len() {
            prop_assert_eq!(verdict(&head.as_bytes()[..end]), None);
        }
        let Ok(Parsed::Head(parsed)) = parse(head.as_bytes()) else { panic!("{head}") };
        prop_assert_eq!((parsed.path, parsed.len), (path.as_str(), head.len()));
        let got: Vec<_> = parsed.headers().skip(1).collect();
        let sent: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.trim().as_bytes())).collect();
        prop_assert_eq!(got, sent);
    }
}
