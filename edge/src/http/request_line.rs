//! The first line of a request (RFC 9112 §3), read byte by byte so that it is refused at the first
//! byte that cannot be right.

use super::fault::RequestError;
use super::host::host;
use super::request::{Method, Version};
use super::token::is_token_byte;
use crate::limits::REQUEST_TARGET_MAX_BYTES;

/// A method longer than this is none that anybody implements.
const METHOD_MAX_BYTES: usize = 32;
/// `HTTP/1.1` and CRLF.
const VERSION_END_BYTES: usize = 10;

/// A whole request line.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'b> {
    pub method: Method,
    pub method_text: &'b str,
    pub target: Target<'b>,
    pub version: Version,
    /// Bytes of the line, CRLF included.
    pub len: usize,
}

/// A target taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Target<'b> {
    /// Host of an absolute-form, without port.
    pub authority: Option<&'b str>,
    pub path: &'b str,
    pub query: Option<&'b str>,
    /// Path and query as sent.
    pub text: &'b str,
}

/// Reads the line at the beginning of `bytes`; `None`: all is well so far, but the line goes on.
pub fn parse(bytes: &[u8]) -> Result<Option<RequestLine<'_>>, RequestError> {
    let Some((method_text, rest)) = method(bytes)? else { return Ok(None) };
    let Some((target_text, rest)) = target(rest)? else { return Ok(None) };
    let Some(version) = version(rest)? else { return Ok(None) };
    let method = Method::from_text(method_text);
    if method == Method::Connect {
        return Err(RequestError::MethodUnsupported);
    }
    let target = Target::new(target_text, method).ok_or(RequestError::TargetInvalid)?;
    let len = method_text.len() + 1 + target_text.len() + 1 + VERSION_END_BYTES;
    Ok(Some(RequestLine { method, method_text, target, version, len }))
}

/// A part of the line and what stands behind it; `None`: it goes on.
type Part<'b, T> = Result<Option<(T, &'b [u8])>, RequestError>;

fn method(bytes: &[u8]) -> Part<'_, &str> {
    let seen = &bytes[..bytes.len().min(METHOD_MAX_BYTES + 1)];
    match seen.iter().position(|byte| !is_token_byte(*byte)) {
        Some(end) if end > 0 && bytes[end] == b' ' => {
            Ok(Some((text(&bytes[..end]), &bytes[end + 1..])))
        }
        Some(_) => Err(RequestError::MethodInvalid),
        None if seen.len() > METHOD_MAX_BYTES => Err(RequestError::MethodUnsupported),
        None => Ok(None),
    }
}

fn target(bytes: &[u8]) -> Part<'_, &str> {
    let seen = &bytes[..bytes.len().min(REQUEST_TARGET_MAX_BYTES + 1)];
    match seen.iter().position(|byte| !is_target_byte(*byte)) {
        Some(end) if end > 0 && bytes[end] == b' ' => {
            Ok(Some((text(&bytes[..end]), &bytes[end + 1..])))
        }
        Some(_) => Err(RequestError::TargetInvalid),
        None if seen.len() > REQUEST_TARGET_MAX_BYTES => Err(RequestError::TargetTooLong),
        None => Ok(None),
    }
}

fn version(bytes: &[u8]) -> Result<Option<Version>, RequestError> {
    const NAME: &[u8] = b"HTTP/";
    let (name, number) = bytes.split_at(bytes.len().min(NAME.len()));
    if !NAME.starts_with(name) {
        return Err(RequestError::VersionInvalid);
    }
    for (at, byte) in number.iter().take(VERSION_END_BYTES - NAME.len()).enumerate() {
        let fits = match at {
            0 | 2 => byte.is_ascii_digit(),
            1 => *byte == b'.',
            3 => *byte == b'\r',
            _ => *byte == b'\n',
        };
        if !fits {
            return Err(RequestError::VersionInvalid);
        }
        if at == 2 && !matches!(number, [b'1', b'.', b'0' | b'1', ..]) {
            return Err(RequestError::VersionUnsupported);
        }
    }
    Ok(match number {
        [b'1', b'.', b'0', b'\r', b'\n', ..] => Some(Version::Http10),
        [b'1', b'.', b'1', b'\r', b'\n', ..] => Some(Version::Http11),
        _ => None,
    })
}

impl<'b> Target<'b> {
    /// `None`: not of a form that `method` takes.
    fn new(text: &'b str, method: Method) -> Option<Target<'b>> {
        if text.starts_with('/') {
            return Some(Target::origin_form(text));
        }
        if text == "*" {
            return (method == Method::Options).then_some(Target {
                authority: None,
                path: text,
                query: None,
                text,
            });
        }
        Target::absolute_form(text, method)
    }

    fn origin_form(text: &'b str) -> Target<'b> {
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        Target { authority: None, path, query, text }
    }

    fn absolute_form(text: &'b str, method: Method) -> Option<Target<'b>> {
        let (scheme, rest) = text.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return None;
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = Some(host(authority)?);
        let target = match target {
            // The server as a whole (RFC 9112 §3.2.4), or its root.
            "" if method == Method::Options => "*",
            "" => "/",
            // A query without a path: there is no text to pass on that begins with a slash.
            _ if target.starts_with('?') => return None,
            _ => target,
        };
        Some(Target { authority, ..Target::origin_form(target) })
    }
}

/// What a target may hold: any visible ASCII but `#`. Wider than RFC 3986 (`|`, `"`, `{` are sent by
/// many clients), yet nothing that ends a line, a word or the URI.
fn is_target_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && byte != b'#'
}

/// Checked to be ASCII by the caller; anything else would be an empty text.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_apart() {
        // RFC 9112 §3.2.1 origin-form, §3.2.2 absolute-form, §3.2.4 asterisk-form.
        for (line, authority, path, query, target) in [
            ("GET / HTTP/1.1", None, "/", None, "/"),
            ("GET /a?b?c HTTP/1.1", None, "/a", Some("b?c"), "/a?b?c"),
            ("GET /a? HTTP/1.1", None, "/a", Some(""), "/a?"),
            ("GET //a HTTP/1.1", None, "//a", None, "//a"),
            ("GET /a://b HTTP/1.1", None, "/a://b", None, "/a://b"),
            ("GET http://h HTTP/1.1", Some("h"), "/", None, "/"),
            ("GET HTTPS://h:1/a?b HTTP/1.0", Some("h"), "/a", Some("b"), "/a?b"),
            ("OPTIONS * HTTP/1.1", None, "*", None, "*"),
            ("OPTIONS http://h HTTP/1.1", Some("h"), "*", None, "*"),
        ] {
            let bytes = format!("{line}\r\nrest");
            let parsed = parse(bytes.as_bytes()).unwrap().unwrap();
            let Target { authority: host, path: got, query: asked, text } = parsed.target;
            assert_eq!((host, got, asked, text), (authority, path, query, target), "{line}");
            assert_eq!(parsed.len, line.len() + 2, "{line}");
        }
    }

    #[test]
    fn a_bad_line_is_refused_at_its_first_bad_byte() {
        use RequestError::*;
        // The last byte of each is the first that cannot be right.
        for (bytes, error) in [
            (b"\x16".as_slice(), MethodInvalid),
            (b" ", MethodInvalid),
            (b"GET\t", MethodInvalid),
            (b"GET\r", MethodInvalid),
            (&[b'A'; 33], MethodUnsupported),
            (b"GET  ", TargetInvalid),
            (b"GET /\x00", TargetInvalid),
            (b"GET /\x7f", TargetInvalid),
            (b"GET /\xc3", TargetInvalid),
            (b"GET /#", TargetInvalid),
            (b"GET /\r", TargetInvalid),
            (b"GET /\n", TargetInvalid),
            (b"GET /\t", TargetInvalid),
            (b"GET / h", VersionInvalid),
            (b"GET / HTTP/x", VersionInvalid),
            (b"GET / HTTP/11", VersionInvalid),
            (b"GET / HTTP/1.1 ", VersionInvalid),
            (b"GET / HTTP/1.12", VersionInvalid),
            (b"GET / HTTP/1.1\n", VersionInvalid),
            (b"GET / HTTP/1.1\rx", VersionInvalid),
            (b"GET / HTTP/1.2", VersionUnsupported),
            (b"GET / HTTP/3.0", VersionUnsupported),
            (b"PRI * HTTP/2.0", VersionUnsupported),
            (b"CONNECT h:1 HTTP/1.1\r\n", MethodUnsupported),
            (b"GET * HTTP/1.1\r\n", TargetInvalid),
            (b"GET a HTTP/1.1\r\n", TargetInvalid),
            (b"GET ftp://h/ HTTP/1.1\r\n", TargetInvalid),
            (b"GET http:///a HTTP/1.1\r\n", TargetInvalid),
            (b"GET http://u@h/ HTTP/1.1\r\n", TargetInvalid),
            (b"GET http://h?a HTTP/1.1\r\n", TargetInvalid),
            (b"OPTIONS *a HTTP/1.1\r\n", TargetInvalid),
        ] {
            let before = &bytes[..bytes.len() - 1];
            assert!(matches!(parse(before), Ok(None)), "{:?}", before.escape_ascii().to_string());
            let shown = bytes.escape_ascii().to_string();
            assert_eq!(parse(bytes).err(), Some(error), "{shown}");
        }
    }

    #[test]
    fn a_long_target_is_refused_before_its_end() {
        let mut bytes = b"GET /".to_vec();
        bytes.resize(4 + REQUEST_TARGET_MAX_BYTES, b'a');
        assert!(matches!(parse(&bytes), Ok(None)));
        assert!(matches!(parse(&[&bytes[..], b" HTTP/1.1\r\n"].concat()), Ok(Some(_))));
        bytes.push(b'a');
        assert_eq!(parse(&bytes).err(), Some(RequestError::TargetTooLong));
    }
}
