//! From a request's fields to a head in HTTP/1.1's form (RFC 9113 §8.2, §8.3).
//!
//! What the form cannot say, or what two readers could read differently, makes the request malformed;
//! everything else is for the one parser that both protocols share.

use super::priority::Priority;
use crate::http::is_token_byte;
use crate::http::request::RequestError;
use crate::http::token::decimal;
use crate::limits::{H2_HEAD_EXCESS_MAX_BYTES, REQUEST_HEAD_MAX_BYTES};

/// What a field costs beside its bytes, as limits count (RFC 9113 §6.5.2).
const FIELD_OVERHEAD_BYTES: usize = 32;

/// The request breaks a rule of the protocol: its stream is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Collects the fields of one request. Its buffers are used again and again.
#[derive(Default)]
pub struct Collector {
    method: Vec<u8>,
    path: Vec<u8>,
    authority: Vec<u8>,
    cookies: Vec<u8>,
    text: Vec<u8>,
    has_method: bool,
    has_path: bool,
    has_scheme: bool,
    has_authority: bool,
    /// The request line stands: no pseudo-field may follow.
    has_line: bool,
    has_host: bool,
    malformed: bool,
    size_bytes: usize,
    pub length: Option<u64>,
    pub priority: Option<Priority>,
}

impl Collector {
    /// For the next request; also for trailers, see [`Collector::trailers`].
    pub fn clear(&mut self) {
        for buffer in [&mut self.method, &mut self.path, &mut self.authority] {
            buffer.clear();
        }
        self.cookies.clear();
        self.text.clear();
        (self.has_method, self.has_path, self.has_scheme) = (false, false, false);
        (self.has_authority, self.has_line, self.has_host) = (false, false, false);
        self.malformed = false;
        self.size_bytes = 0;
        self.length = None;
        self.priority = None;
    }

    /// What follows are the fields behind a body: there is no request line.
    pub fn trailers(&mut self) {
        self.has_line = true;
    }

    /// Whether so much was sent that even reading it is too much.
    pub fn is_bomb(&self) -> bool {
        self.size_bytes > REQUEST_HEAD_MAX_BYTES + H2_HEAD_EXCESS_MAX_BYTES
    }

    /// Takes the next field.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        self.size_bytes += name.len() + value.len() + FIELD_OVERHEAD_BYTES;
        if self.is_too_large() {
            return;
        }
        if let Some(name) = name.strip_prefix(b":") {
            return self.pseudo(name, value);
        }
        self.begin();
        if !is_name(name) || !is_value(value) {
            self.malformed = true;
            return;
        }
        match name {
            b"connection" | b"proxy-connection" | b"keep-alive" | b"transfer-encoding"
            | b"upgrade" => self.malformed = true,
            b"te" if !value.eq_ignore_ascii_case(b"trailers") => self.malformed = true,
            b"host" => self.host(value),
            b"cookie" => {
                // RFC 9113 §8.2.3: one field again for those who know no other form.
                if !self.cookies.is_empty() {
                    self.cookies.extend_from_slice(b"; ");
                }
                self.cookies.extend_from_slice(value);
            }
            _ => {
                if name == b"content-length" {
                    self.malformed |= self.length.is_some();
                    self.length = decimal(value);
                }
                if name == b"priority" {
                    self.priority = Some(Priority::parse(value));
                }
                self.line(name, value);
            }
        }
    }

    /// The head is whole; `has_body`: something follows it.
    pub fn finish(&mut self, has_body: bool) -> Result<Result<&[u8], RequestError>, Malformed> {
        self.begin();
        let is_connect = self.method == b"CONNECT";
        if is_connect {
            // It has an authority alone (RFC 9113 §8.5).
            self.malformed |= self.has_path || self.has_scheme || !self.has_authority;
        } else {
            let is_whole = self.has_method && self.has_scheme && self.has_path;
            let takes_star = self.method == b"OPTIONS" && self.path == b"*";
            self.malformed |=
                !self.is_too_large() && !(is_whole && (self.path.starts_with(b"/") || takes_star));
        }
        if !has_body && self.length.is_some_and(|length| length > 0) {
            self.malformed = true;
        }
        if self.malformed {
            return Err(Malformed);
        }
        if self.is_too_large() {
            return Ok(Err(RequestError::HeadTooLarge));
        }
        if is_connect {
            return Ok(Err(RequestError::MethodUnsupported));
        }
        if !self.cookies.is_empty() {
            let cookies = std::mem::take(&mut self.cookies);
            self.line(b"cookie", &cookies);
            self.cookies = cookies;
        }
        if has_body && self.length.is_none() {
            self.line(b"transfer-encoding", b"chunked");
        }
        self.text.extend_from_slice(b"\r\n");
        Ok(Ok(&self.text))
    }

    /// The fields behind a body, as lines.
    pub fn finish_trailers(&mut self) -> Result<&[u8], Malformed> {
        if self.malformed || self.is_too_large() { Err(Malformed) } else { Ok(&self.text) }
    }

    fn is_too_large(&self) -> bool {
        self.size_bytes > REQUEST_HEAD_MAX_BYTES
    }

    fn pseudo(&mut self, name: &[u8], value: &[u8]) {
        let (text, has) = match name {
            b"method" => (&mut self.method, &mut self.has_method),
            b"path" => (&mut self.path, &mut self.has_path),
            b"authority" => (&mut self.authority, &mut self.has_authority),
            b"scheme" => {
                let is_scheme = value.iter().all(|byte| is_token_byte(*byte)) && !value.is_empty();
                self.malformed |= self.has_line || self.has_scheme || !is_scheme;
                self.has_scheme = true;
                return;
            }
            _ => {
                self.malformed = true;
                return;
            }
        };
        // A space would begin the next word of the request line.
        let is_word = value.iter().all(|byte| matches!(byte, 0x21..=0x7e)) && !value.is_empty();
        self.malformed |= self.has_line || *has || !is_word;
        *has = true;
        text.extend_from_slice(value);
    }

    /// Writes the request line, which ends the pseudo-fields.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.has_line, true) {
            return;
        }
        self.text.extend_from_slice(&self.method);
        self.text.push(b' ');
        self.text.extend_from_slice(&self.path);
        self.text.extend_from_slice(b" HTTP/1.1\r\n");
        if self.has_authority {
            let authority = std::mem::take(&mut self.authority);
            self.line(b"host", &authority);
            self.authority = authority;
        }
    }

    /// `Host` may only repeat what `:authority` says (RFC 9113 §8.3.1).
    fn host(&mut self, value: &[u8]) {
        if self.has_authority {
            self.malformed |= !value.eq_ignore_ascii_case(&self.authority);
        } else if std::mem::replace(&mut self.has_host, true) {
            self.malformed = true;
        } else {
            self.line(b"host", value);
        }
    }

    fn line(&mut self, name: &[u8], value: &[u8]) {
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(b": ");
        self.text.extend_from_slice(value);
        self.text.extend_from_slice(b"\r\n");
    }
}

/// RFC 9113 §8.2: a token without upper case.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| is_token_byte(*byte) && !byte.is_ascii_uppercase())
}

/// RFC 9113 §8.2.1: nothing that ends a line, no white space around it.
fn is_value(value: &[u8]) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    memchr::memchr3(b'\r', b'\n', 0, value).is_none()
        && !is_space(value.first())
        && !is_space(value.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)], has_body: bool) -> Result<String, String> {
        let mut collector = Collector::default();
        for (name, value) in fields {
            collector.field(name.as_bytes(), value.as_bytes());
        }
        match collector.finish(has_body) {
            Ok(Ok(text)) => Ok(String::from_utf8(text.to_vec()).unwrap()),
            Ok(Err(error)) => Err(error.as_str().to_owned()),
            Err(Malformed) => Err("malformed".to_owned()),
        }
    }

    const GET: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "https"), (":path", "/a?b"), (":authority", "h:1")];

    fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        GET.iter().chain(more).copied().collect()
    }

    #[test]
    fn a_request_becomes_a_head() {
        let plain = "GET /a?b HTTP/1.1\r\nhost: h:1\r\n";
        assert_eq!(head(&GET, false), Ok(format!("{plain}\r\n")));
        let more = [("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2"), ("host", "H:1")];
        let text = format!("{plain}accept: */*\r\ncookie: a=1; b=2\r\n\r\n");
        assert_eq!(head(&with(&more), false), Ok(text));
        let text = format!("{plain}te: trailers\r\ntransfer-encoding: chunked\r\n\r\n");
        assert_eq!(head(&with(&[("te", "trailers")]), true), Ok(text));
        let text = format!("{plain}content-length: 5\r\n\r\n");
        assert_eq!(head(&with(&[("content-length", "5")]), true), Ok(text));
    }

    #[test]
    fn what_breaks_a_rule_is_malformed() {
        for (field, why) in [
            (("X-A", "b"), "upper case"),
            (("x a", "b"), "no token"),
            (("", "b"), "no name"),
            (("x", "a\r\nb: c"), "a line's end"),
            (("x", " a"), "space in front"),
            (("x", "a\t"), "space behind"),
            (("connection", "close"), "of a connection"),
            (("transfer-encoding", "chunked"), "of a connection"),
            (("upgrade", "h2c"), "of a connection"),
            (("te", "gzip"), "another TE"),
            (("host", "other"), "two hosts"),
            ((":method", "GET"), "repeated"),
            ((":status", "200"), "of answers"),
            ((":protocol", "websocket"), "not offered"),
            (("content-length", "5"), "a length and no body"),
        ] {
            assert_eq!(head(&with(&[field]), false), Err("malformed".into()), "{why}");
        }
        let late = [("x", "y"), (":path", "/")];
        assert_eq!(head(&[&GET[..2], &late[..]].concat(), false), Err("malformed".into()));
        for missing in [":method", ":scheme", ":path"] {
            let fields: Vec<_> = GET.into_iter().filter(|(name, _)| *name != missing).collect();
            assert_eq!(head(&fields, false), Err("malformed".into()), "without {missing}");
        }
        for path in ["", "a", "*", "http://h/", "/a b", "/\u{e9}"] {
            let fields = [GET[0], GET[1], (":path", path), GET[3]];
            assert_eq!(head(&fields, false), Err("malformed".into()), "path {path:?}");
        }
    }

    #[test]
    fn what_is_too_much_or_not_offered_is_answered() {
        let long = "x".repeat(REQUEST_HEAD_MAX_BYTES);
        assert_eq!(head(&with(&[("x", &long)]), false), Err("head_too_large".into()));
        let connect = [(":method", "CONNECT"), (":authority", "h:1")];
        assert_eq!(head(&connect, true), Err("method_unsupported".into()));
    }
}
