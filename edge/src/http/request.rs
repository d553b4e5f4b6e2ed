//! Request heads (RFC 9112 §2–§6): the request line by hand, the fields by `httparse`, and every
//! leniency of either taken away.
//!
//! The verdict on a head hangs on its bytes alone, never on how they arrive: the first bad byte, or
//! the first line whose meaning is bad, decides, and decides as soon as it is seen.

use std::fmt;

use memchr::memchr_iter;

pub use super::fault::RequestError;
use super::framing::Framing;
use super::request_line;
use crate::limits::{REQUEST_HEAD_MAX_BYTES, REQUEST_HEADERS_MAX};

/// Most CRLFs skipped before a request line.
const EMPTY_LINES_MAX: usize = 2;

/// What the bytes so far are.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "heads live on the stack, never in a collection")]
pub enum Parsed<'b> {
    /// The beginning of a head that may still be a good one.
    Partial,
    /// A whole head; what follows it is body or the next request.
    Head(RequestHead<'b>),
}

/// A whole request head, borrowed from the bytes it was read from.
pub struct RequestHead<'b> {
    /// What is to be done.
    pub method: Method,
    /// The method as sent.
    pub method_text: &'b str,
    /// Path as sent, percent-encoding and all; begins with `/`, or is `*`.
    pub path: &'b str,
    /// What follows the first `?`, as sent.
    pub query: Option<&'b str>,
    /// Path and query as sent, without scheme and authority.
    pub target: &'b str,
    /// Host of an absolute-form target, as sent, without port; wins over `host` (RFC 9112 §3.2.2).
    pub authority: Option<&'b str>,
    /// Host of the `Host` field, as sent, without port.
    pub host: Option<&'b str>,
    /// 1.0 or 1.1, unless whoever carries the request knows better.
    pub version: Version,
    /// How the body ends.
    pub body: BodyLength,
    /// Whether the client lets the connection go on (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends its body.
    pub expect_continue: bool,
    /// Bytes up to the body: head, its empty line, and CRLFs skipped before it.
    pub len: usize,
    fields: [httparse::Header<'b>; REQUEST_HEADERS_MAX],
    fields_len: usize,
}

/// Request methods this node tells apart; others are [`Method::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are RFC 9110 §9.3's")]
pub enum Method {
    Get,
    Head,
    Options,
    Post,
    Put,
    Patch,
    Delete,
    Trace,
    Connect,
    Other,
}

/// Protocol version (RFC 9112 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2: no head says so, whoever carries the request does.
    Http2,
}

/// How a request's body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none (`Content-Length: 0` among them).
    Empty,
    /// After this many bytes, at least one.
    Length(u64),
    /// As its chunks say: [`super::chunked::Decoder`].
    Chunked,
}

/// Reads the head at the beginning of `bytes`. To be asked again with more bytes while the answer is
/// [`Parsed::Partial`]; neither a head nor an error ever changes with more bytes.
pub fn parse(bytes: &[u8]) -> Result<Parsed<'_>, RequestError> {
    let Some(skipped) = skip_empty_lines(bytes)? else { return Ok(Parsed::Partial) };
    let Some(line) = request_line::parse(&bytes[skipped..])? else { return Ok(Parsed::Partial) };
    let block = &bytes[skipped + line.len..];
    let (visible, hidden) = visible_part(block, REQUEST_HEAD_MAX_BYTES - line.len);

    let mut fields = [httparse::EMPTY_HEADER; REQUEST_HEADERS_MAX];
    let parsed = match httparse::parse_headers(visible, &mut fields) {
        Ok(httparse::Status::Complete((block_len, _))) => Ok(Some(block_len)),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(error) => Err(error),
    };
    // Also without a whole block, `httparse` leaves the lines that are whole.
    let fields_len = fields.iter().take_while(|field| !field.name.is_empty()).count();

    let mut framing = Framing::new(line.version);
    for field in &fields[..fields_len] {
        framing.field(field.name, field.value)?;
    }
    let block_len = match (parsed?, hidden) {
        (Some(block_len), _) => block_len,
        (None, Some(error)) => return Err(error),
        (None, None) => return Ok(Parsed::Partial),
    };
    let framed = framing.finish()?;
    Ok(Parsed::Head(RequestHead {
        method: line.method,
        method_text: line.method_text,
        path: line.target.path,
        query: line.target.query,
        target: line.target.text,
        authority: line.target.authority,
        host: framed.host,
        version: line.version,
        body: framed.body,
        keep_alive: framed.keep_alive,
        expect_continue: framed.expect_continue,
        len: skipped + line.len + block_len,
        fields,
        fields_len,
    }))
}

/// Bytes of the CRLFs before the request line: some clients end a body with one too many (RFC 9112
/// §2.2). `None`: not yet known.
fn skip_empty_lines(bytes: &[u8]) -> Result<Option<usize>, RequestError> {
    let mut skipped = 0;
    loop {
        match bytes[skipped..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r' | b'\n', ..] if skipped == EMPTY_LINES_MAX * 2 => {
                return Err(RequestError::EmptyLines);
            }
            [b'\r', b'\n', ..] => skipped += 2,
            [b'\r' | b'\n', ..] => return Err(RequestError::BareLineBreak),
            _ => return Ok(Some(skipped)),
        }
    }
}

/// The part of the field block that may be parsed, and what is wrong with the byte that follows it:
/// `httparse` takes a bare LF for a line's end and knows no limit.
fn visible_part(block: &[u8], max_bytes: usize) -> (&[u8], Option<RequestError>) {
    let within = &block[..block.len().min(max_bytes)];
    let mut line_start = 0;
    for newline in memchr_iter(b'\n', within) {
        if newline == line_start || within[newline - 1] != b'\r' {
            return (&within[..newline], Some(RequestError::BareLineBreak));
        }
        if newline == line_start + 1 {
            return (&within[..=newline], None);
        }
        line_start = newline + 1;
    }
    (within, (block.len() > max_bytes).then_some(RequestError::HeadTooLarge))
}

impl<'b> RequestHead<'b> {
    /// The host asked for: of the target if it names one, else of the field.
    pub fn asked_host(&self) -> Option<&'b str> {
        self.authority.or(self.host)
    }

    /// The same request for another target (path and query, as they are sent).
    pub fn retargeted<'t>(&'t self, target: &'t str) -> RequestHead<'t> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        RequestHead { path, query, target, ..*self }
    }

    /// Fields in the order they were sent; values without the white space around them.
    pub fn headers(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + Clone {
        self.fields[..self.fields_len].iter().map(|field| (field.name, field.value))
    }

    /// Every value of the field `name`, in order. Names have no case.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.headers()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The first value of the field `name`.
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.all(name).next()
    }

    /// The value of the field `name` if it stands once: what a field that is no list means when it
    /// is repeated, nobody knows.
    pub fn single(&self, name: &str) -> Option<&'b [u8]> {
        let mut values = self.all(name);
        let value = values.next();
        if values.next().is_some() { None } else { value }
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method_text)
            .field("authority", &self.authority)
            .field("host", &self.host)
            .field("target", &self.target)
            .field("version", &self.version)
            .field("body", &self.body)
            .field("keep_alive", &self.keep_alive)
            .field("expect_continue", &self.expect_continue)
            .field("len", &self.len)
            .field("fields", &&self.fields[..self.fields_len])
            .finish()
    }
}

impl Method {
    /// Methods are case-sensitive (RFC 9110 §9.1).
    pub fn from_text(text: &str) -> Method {
        match text {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "OPTIONS" => Method::Options,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            "TRACE" => Method::Trace,
            "CONNECT" => Method::Connect,
            _ => Method::Other,
        }
    }
}
