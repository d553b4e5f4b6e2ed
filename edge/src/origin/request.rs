//! What is sent to an origin.

use ::http::header::{
    ACCEPT_ENCODING, HOST, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    RANGE, VIA,
};
use ::http::{Method, Request, Uri};

use super::head::read_block;
use crate::cache::Meta;
use crate::config::OriginAddress;
use crate::http::request::RequestHead;
use crate::http::{hop, lines};

/// One question to an origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// `Host`; empty: the address that is asked.
    pub host: Box<str>,
    /// Path and query; begins with `/`.
    pub target: Box<str>,
    /// The client's fields that go on, as lines: see [`fields`].
    pub fields: Box<[u8]>,
    /// Fields of the client's that are part of the key: lower-case name and value.
    pub keyed: Vec<(Box<str>, Box<[u8]>)>,
    /// This node's name in `CDN-Loop` (RFC 8586 §2).
    pub loop_id: Box<str>,
    /// Whether the client spoke TLS.
    pub is_secure: bool,
    /// HEAD instead of GET.
    pub head_only: bool,
    /// The bytes wanted: start and exclusive end, open-ended when `None`.
    pub range: Option<(u64, Option<u64>)>,
    /// Entity tag for `If-Range`: the range is wanted of that version only.
    pub if_range: Option<Box<str>>,
    /// Entity tag for `If-None-Match`.
    pub if_none_match: Option<Box<str>>,
    /// Field value for `If-Modified-Since`, Unix seconds.
    pub if_modified_since_unix_s: Option<i64>,
    /// The client's own range and conditions, as lines, in the place of the node's: what comes of it is
    /// for this client alone. See [`conditions`].
    pub own: Box<[u8]>,
}

/// The question cannot be put into a request: a host or target that no URI can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("host or target cannot be asked for: not a valid URI")]
pub struct Unaskable;

impl Ask {
    /// Adds the conditions that let the origin answer 304 for what is stored: the tag must be sent, the
    /// date should be (RFC 9111 §4.3.1).
    pub fn if_changed_since(mut self, stored: &Meta) -> Ask {
        self.if_none_match = stored.etag.clone();
        self.if_modified_since_unix_s = stored.last_modified_unix_s;
        self
    }

    /// Whether a 304 may be answered.
    pub fn is_conditional(&self) -> bool {
        self.if_none_match.is_some() || self.if_modified_since_unix_s.is_some()
    }

    /// The same question without range and conditions: always answered with the whole.
    pub fn plain(&self) -> Ask {
        Ask {
            host: self.host.clone(),
            target: self.target.clone(),
            fields: self.fields.clone(),
            keyed: self.keyed.clone(),
            loop_id: self.loop_id.clone(),
            is_secure: self.is_secure,
            head_only: self.head_only,
            ..Ask::default()
        }
    }

    /// The same question with the range and conditions of its client.
    pub fn as_asked(&self, conditions: &[u8]) -> Ask {
        Ask { own: conditions.into(), ..self.plain() }
    }

    /// The request as it goes to `to`.
    pub fn request(&self, to: &Destination) -> Result<Request<()>, Unaskable> {
        let uri = to.uri(&self.target, &self.host)?;
        let host = HeaderValue::from_str(&to.host_field(&self.host)).map_err(|_| Unaskable)?;
        let mut request = Request::new(());
        *request.method_mut() = if self.head_only { Method::HEAD } else { Method::GET };
        *request.uri_mut() = uri;
        let fields = request.headers_mut();
        *fields = read_block(&self.fields);
        fields.extend(read_block(&self.own));
        fields.insert(HOST, host);
        fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in &self.keyed {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unaskable)?;
            fields.insert(name, HeaderValue::from_bytes(value).map_err(|_| Unaskable)?);
        }
        fields.append(VIA, HeaderValue::from_static("1.1 edge"));
        let loop_id = HeaderValue::from_str(&self.loop_id).map_err(|_| Unaskable)?;
        fields.append(CDN_LOOP, loop_id);
        let conditions = [
            (RANGE, self.range.and_then(range_text)),
            (IF_RANGE, self.if_range.as_deref().map(String::from)),
            (IF_NONE_MATCH, self.if_none_match.as_deref().map(String::from)),
            (IF_MODIFIED_SINCE, self.if_modified_since_unix_s.and_then(date_text)),
        ];
        for (name, text) in conditions {
            // A stored tag may hold bytes beyond ASCII, which are allowed in a value.
            let value = text.map(|text| HeaderValue::from_bytes(text.as_bytes()));
            if let Some(value) = value {
                fields.insert(name, value.map_err(|_| Unaskable)?);
            }
        }
        Ok(request)
    }
}

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Fields of a client's request that a question for everybody does not carry: what this node asks for
/// in its own words.
const OWN: [&str; 10] = [
    "accept-encoding",
    "content-length",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
];

/// Fields by which a GET says that it is meant as another method, which no key tells.
const OTHER_METHODS: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// A client's range and conditions (RFC 9110 §13.1, §14.2), as lines.
pub fn conditions(head: &RequestHead<'_>) -> Box<[u8]> {
    let names = OWN.iter().filter(|name| name.starts_with("if-") || **name == "range");
    let mut block = Vec::new();
    for name in names {
        head.all(name).for_each(|value| lines::push(&mut block, name, value));
    }
    block.into()
}

/// The end-to-end fields of a request that go on to an origin with a question whose answer may be
/// shared, as lines. What a client says in a proxy's place stays here.
pub fn fields(head: &RequestHead<'_>) -> Box<[u8]> {
    let stays = |name: &str| {
        OWN.iter().any(|own| own.eq_ignore_ascii_case(name))
            || hop::is_hearsay(name)
            || OTHER_METHODS.iter().any(|other| other.eq_ignore_ascii_case(name))
            || hop::is_hop_by_hop(name)
            || hop::is_named(head.all("connection"), name)
    };
    let mut block = Vec::with_capacity(head.len);
    for (name, value) in head.headers().filter(|(name, _)| !stays(name)) {
        lines::push(&mut block, name, value);
    }
    block.into()
}

/// What to ask for when a client's range is wanted: from the block its first byte is in, so that the
/// byte comes at once and all that is received can be kept, to the end of the slice that its last
/// byte is in. `None` when that is the whole.
pub fn aligned(
    range: Option<(u64, Option<u64>)>,
    block_bytes: u64,
    slice_bytes: u64,
) -> Option<(u64, Option<u64>)> {
    let (start, end) = range?;
    let start = start - start % block_bytes;
    let end =
        end.filter(|end| *end > start).and_then(|end| end.checked_next_multiple_of(slice_bytes));
    (start > 0 || end.is_some()).then_some((start, end))
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Whether over TLS.
    pub is_tls: bool,
    /// Name or address, without brackets.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
    /// `Host` it is asked for, before the site's and the client's.
    pub host_field: Option<Box<str>>,
    /// Whether HTTP/2 may be spoken, where the URI's authority is what else is `Host` (RFC 9113 §8.3.1).
    pub http2: bool,
}

impl Destination {
    /// A request to `address` for a client who spoke TLS or not.
    pub fn of(address: &OriginAddress, is_secure: bool, http2: bool) -> Destination {
        let is_tls = address.is_tls(is_secure);
        Destination {
            is_tls,
            host: address.host.as_str().into(),
            port: address.port(is_tls),
            host_field: address.host_field.as_deref().map(Into::into),
            http2: http2 && is_tls,
        }
    }

    /// Host and port as a URI has them: brackets around IPv6, no default port.
    pub fn authority(&self) -> String {
        let Destination { host, port, .. } = self;
        let default = if self.is_tls { 443 } else { 80 };
        match (host.contains(':'), *port == default) {
            (true, true) => format!("[{host}]"),
            (true, false) => format!("[{host}]:{port}"),
            (false, true) => host.to_string(),
            (false, false) => format!("{host}:{port}"),
        }
    }

    /// The value of `Host`; `host` is the site's, or the client's.
    pub fn host_field(&self, host: &str) -> String {
        match &self.host_field {
            Some(own) => own.to_string(),
            None if host.is_empty() => self.authority(),
            None => host.to_owned(),
        }
    }

    /// The URI of `target` there.
    pub(super) fn uri(&self, target: &str, host: &str) -> Result<Uri, Unaskable> {
        let authority = if self.http2 { self.host_field(host) } else { self.authority() };
        let scheme = if self.is_tls { "https" } else { "http" };
        let uri = Uri::builder().scheme(scheme).authority(authority);
        uri.path_and_query(uri_text(target)).build().map_err(|_| Unaskable)
    }
}

fn range_text((start, end): (u64, Option<u64>)) -> Option<String> {
    match end {
        Some(end) if end <= start => None,
        Some(end) => Some(format!("bytes={start}-{}", end - 1)),
        None => Some(format!("bytes={start}-")),
    }
}

fn date_text(unix_s: i64) -> Option<String> {
    // The format ends with the year 9999.
    let unix_s = u64::try_from(unix_s).ok().filter(|unix_s| *unix_s < 253_402_300_800)?;
    let since = std::time::Duration::from_secs(unix_s);
    Some(httpdate::fmt_http_date(std::time::UNIX_EPOCH + since))
}

/// Escapes the few characters that clients send raw and URIs do not allow.
fn uri_text(target: &str) -> String {
    let mut text = String::with_capacity(target.len());
    for character in target.chars() {
        match character {
            '<' => text.push_str("%3C"),
            '>' => text.push_str("%3E"),
            '`' => text.push_str("%60"),
            '\\' => text.push_str("%5C"),
            '^' => text.push_str("%5E"),
            '|' => text.push_str("%7C"),
            '"' => text.push_str("%22"),
            '{' => text.push_str("%7B"),
            '}' => text.push_str("%7D"),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::{Parsed, parse};

    fn address(host: &str, port: u16) -> Destination {
        Destination::of(&OriginAddress::http(host, port), false, false)
    }

    fn ask() -> Ask {
        Ask {
            host: "h.example".into(),
            target: "/a?b".into(),
            loop_id: "edge-1".into(),
            ..Ask::default()
        }
    }

    #[test]
    fn a_request_has_only_our_own_fields() {
        let request = ask().request(&address("10.0.0.2", 8080)).unwrap();
        assert_eq!(request.uri(), "http://10.0.0.2:8080/a?b");
        assert_eq!(request.method(), Method::GET);
        let fields: Vec<String> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        let expected =
            ["host: h.example", "accept-encoding: identity", "via: 1.1 edge", "cdn-loop: edge-1"];
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_clients_end_to_end_fields_go_on() {
        let bytes = b"GET / HTTP/1.1\r\nHost: h\r\nAccept-Language: de\r\nVia: 1.0 x\r\nRange: bytes=0-1\r\n\
            If-None-Match: \"a\"\r\nAccept-Encoding: gzip\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\n\
            Cookie: a=b\r\nTE: trailers\r\nX-Forwarded-Host: evil\r\nX_A: 1\r\n\
            X-Original-URL: /b\r\nCDN-Loop: other\r\n\r\n";
        let Ok(Parsed::Head(head)) = parse(bytes) else { panic!("no head") };
        let block = fields(&head);
        let names: Vec<&str> = lines::fields(&block).map(|(name, _)| name).collect();
        assert_eq!(names, ["Accept-Language", "Via", "Cookie", "CDN-Loop"]);
        // RFC 9110 §7.6.3, RFC 8586 §2: what others wrote stays in front.
        let request = Ask { fields: block, ..ask() }.request(&address("o", 80)).unwrap();
        let all = |name: &str| -> Vec<&str> {
            request.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
        };
        assert_eq!(all("via"), ["1.0 x", "1.1 edge"]);
        assert_eq!(all("cdn-loop"), ["other", "edge-1"]);
    }

    #[test]
    fn ranges_and_conditions() {
        let ask = Ask {
            head_only: true,
            range: Some((10, Some(20))),
            if_range: Some("\"v1\"".into()),
            if_none_match: Some("W/\"ü\"".into()),
            if_modified_since_unix_s: Some(784_111_777),
            ..ask()
        };
        assert!(ask.is_conditional() && !ask.plain().is_conditional());
        let request = ask.request(&address("::1", 80)).unwrap();
        assert_eq!(request.uri(), "http://[::1]/a?b");
        assert_eq!(request.method(), Method::HEAD);
        let fields = request.headers();
        assert_eq!(fields[RANGE], "bytes=10-19");
        assert_eq!(fields[IF_RANGE], "\"v1\"");
        assert_eq!(fields[IF_NONE_MATCH].as_bytes(), "W/\"ü\"".as_bytes());
        assert_eq!(fields[IF_MODIFIED_SINCE], "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn a_clients_own_conditions_go_on_for_it_alone() {
        let bytes = b"GET /a HTTP/1.1\r\nHost: h\r\nRange: bytes=-5\r\nIf-Range: \"a\"\r\n\
            If-None-Match: \"a\"\r\nIf-None-Match: \"b\"\r\nIf: x\r\nAccept: *\r\n\r\n";
        let Ok(Parsed::Head(head)) = parse(bytes) else { panic!("no head") };
        let own = conditions(&head);
        let names: Vec<&str> = lines::fields(&own).map(|(name, _)| name).collect();
        assert_eq!(names, ["if-none-match", "if-none-match", "if-range", "range"]);
        let asked = Ask { range: Some((0, None)), ..ask() }.as_asked(&own);
        let request = asked.request(&address("o", 80)).unwrap();
        assert_eq!(request.headers()[RANGE], "bytes=-5");
        assert_eq!(request.headers().get_all(IF_NONE_MATCH).iter().count(), 2);
        assert!(asked.plain().own.is_empty());
    }

    #[test]
    fn hostile_targets_and_hosts() {
        let with = |host: &str, target: &str| {
            Ask { host: host.into(), target: target.into(), ..Ask::default() }
                .request(&address("o", 80))
                .map(|request| (request.uri().to_string(), request.headers()[HOST].clone()))
        };
        assert_eq!(with("", "/<>`^|\"{}\\").unwrap().0, "http://o/%3C%3E%60%5E%7C%22%7B%7D%5C");
        assert_eq!(with("", "/").unwrap().1, "o");
        assert_eq!(with("h", "//evil.example/x").unwrap().0, "http://o//evil.example/x");
        for (host, target) in [("h", "/a b"), ("h", "/\r\nX: y"), ("h\r\nX: y", "/"), ("h", "/\0")]
        {
            assert_eq!(with(host, target), Err(Unaskable), "{host:?} {target:?}");
        }
    }

    #[test]
    fn ranges_are_aligned_to_blocks_and_slices() {
        let rows = [
            (None, None),
            (Some((0, None)), None),
            (Some((5, None)), None),
            (Some((100, None)), Some((100, None))),
            (Some((155, None)), Some((150, None))),
            (Some((0, Some(1))), Some((0, Some(100)))),
            (Some((0, Some(100))), Some((0, Some(100)))),
            (Some((99, Some(101))), Some((90, Some(200)))),
            (Some((255, Some(u64::MAX))), Some((250, None))),
            (Some((250, Some(10))), Some((250, None))),
        ];
        for (range, expected) in rows {
            assert_eq!(aligned(range, 10, 100), expected, "{range:?}");
        }
    }
}
