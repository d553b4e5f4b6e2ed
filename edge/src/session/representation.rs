//! Which representation of an object a client is answered with: its bytes as they are, or what was made
//! of them for clients that take a coding (RFC 9110 §12.1).
//!
//! A range without `If-Range` is one of the plain bytes: who goes on with a download that began before
//! there was a coded representation must not be sent bytes of another. With an `If-Range` that names
//! the coded representation, it is a range of that.

use std::sync::Arc;

use super::Context;
use super::exchange::Exchange;
use crate::cache::Object;
use crate::cache::derived::{Derivation, MADE};
use crate::config::Compress;
use crate::http::accept_encoding::wanted;
use crate::http::conditional::{Validators, names_tag};
use crate::http::lines::{is_field, lines};
use crate::http::request::RequestHead;
use crate::http::response::HeadWriter;
use crate::http::token::members;

/// See the module.
pub(super) struct Shown<'o> {
    base: &'o Arc<Object>,
    /// What was made of it, where that is sent.
    made: Option<Arc<Object>>,
    /// Whether other clients are answered with another representation.
    varies: bool,
}

impl<'o> Shown<'o> {
    /// The object as it is.
    fn plain(base: &'o Arc<Object>) -> Shown<'o> {
        Shown { base, made: None, varies: false }
    }

    /// The representation of `base` for the client with `head`. What should be made for the next client is
    /// noted in `exchange`.
    pub(super) fn choose(
        exchange: &mut Exchange,
        head: &RequestHead<'_>,
        base: &'o Arc<Object>,
        context: &Context<'_>,
    ) -> Shown<'o> {
        let site = exchange.site.as_deref();
        let compress = site.and_then(|site| site.config.content.compress.as_ref());
        let plain = Shown::plain(base);
        let Some(compress) = compress else { return plain };
        let may_be = codable(compress, base);
        if may_be == Codable::Never {
            return plain;
        }
        let mut missing = None;
        let mut made = None;
        for coding in wanted(head.all("accept-encoding"), &compress.codings).iter() {
            let how = Derivation::Coded(coding);
            match context.cache.lookup(how.key(base)) {
                Some(found) if found.meta.status == MADE => {
                    made = Some(found);
                    break;
                }
                // It was found not to be worth it.
                Some(_) => {}
                None => missing = missing.or(Some(how)),
            }
        }
        if let (Some(how), Codable::Now) = (missing, may_be)
            && base.takes_derivation(context.now)
        {
            exchange.wants = Some((base.clone(), how));
        }
        let made = made.filter(|made| fits(head, base, made));
        Shown { base, made, varies: true }
    }

    /// The object whose bytes are sent.
    pub(super) fn body(&self) -> &Arc<Object> {
        self.made.as_ref().unwrap_or(self.base)
    }

    /// The object it is about: status, age, lifetime.
    pub(super) fn base(&self) -> &Arc<Object> {
        self.base
    }

    /// What it can be compared by.
    pub(super) fn validators(&self) -> Validators<'_> {
        Validators {
            etag: self.body().meta.etag.as_deref(),
            last_modified_unix_s: self.base.meta.last_modified_unix_s,
            date_unix_s: Some((self.base.meta.received_unix_ms / 1000) as i64),
        }
    }

    /// Writes its fields, but for those that `goes` names.
    pub(super) fn write(&self, head: &mut HeadWriter<'_>, goes: Option<fn(&[u8]) -> bool>) {
        let stored = &self.base.meta.headers;
        if let (None, None) = (&self.made, goes) {
            head.raw(stored);
        } else {
            let is_made = self.made.is_some();
            let differs = |line: &[u8]| is_made && is_field(line, "etag");
            for line in lines(stored) {
                if !differs(line) && !goes.is_some_and(|goes| goes(line)) {
                    head.raw(line);
                }
            }
        }
        if let Some(made) = &self.made {
            head.raw(&made.meta.headers);
        }
        if self.varies {
            head.field("Vary", b"Accept-Encoding");
        }
    }
}

/// Whether a request, by what it knows already, is about `made` rather than `base`.
fn fits(head: &RequestHead<'_>, base: &Object, made: &Object) -> bool {
    let (plain_tag, made_tag) = (base.meta.etag.as_deref(), made.meta.etag.as_deref());
    if head.header("range").is_some() {
        let condition = head.header("if-range");
        return made_tag.is_some() && condition == made_tag.map(str::as_bytes);
    }
    let names = |field, tag: Option<&str>| tag.is_some_and(|tag| names_tag(head, field, tag));
    // Whoever has the plain bytes is told so, and keeps them.
    !["if-none-match", "if-match"]
        .iter()
        .any(|field| names(field, plain_tag) && !names(field, made_tag))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codable {
    /// No client gets another representation.
    Never,
    /// There may be one, but the node makes none.
    Beside,
    /// The node makes one.
    Now,
}

/// Whether `object` may be sent coded, by its own fields.
fn codable(compress: &Compress, object: &Object) -> Codable {
    if object.meta.status != 200 {
        return Codable::Never;
    }
    let mut takes_type = false;
    for line in lines(&object.meta.headers) {
        let value =
            || line[line.iter().position(|byte| *byte == b':').unwrap_or(0) + 1..].trim_ascii();
        match line.first().map(u8::to_ascii_lowercase) {
            Some(b'c') if is_field(line, "content-type") => {
                takes_type = compress.takes_type(value())
            }
            // RFC 9110 §8.4: it is coded already.
            Some(b'c') if is_field(line, "content-encoding") => return Codable::Never,
            // RFC 9111 §5.2.2.6; and what is private is nobody else's.
            Some(b'c') if is_field(line, "cache-control") => {
                let forbids = |member: &[u8]| {
                    member.eq_ignore_ascii_case(b"no-transform")
                        || member.len() >= 7 && member[..7].eq_ignore_ascii_case(b"private")
                };
                if members(value()).any(forbids) {
                    return Codable::Never;
                }
            }
            Some(b's') if is_field(line, "set-cookie") => return Codable::Never,
            _ => {}
        }
    }
    let fits = |len: u64| (compress.min_bytes..=compress.max_bytes).contains(&len);
    match (takes_type && object.len().is_none_or(fits), object.len()) {
        (true, Some(_)) => Codable::Now,
        (true, None) => Codable::Beside,
        (false, _) if compress.precompressed => Codable::Beside,
        (false, _) => Codable::Never,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cache::{Body, Key, Meta};

    #[test]
    fn what_may_be_coded() {
        let compress = Compress { min_bytes: 4, max_bytes: 8, ..Compress::default() };
        let beside = Compress { precompressed: true, ..compress.clone() };
        use Codable::*;
        for (status, fields, len, expected) in [
            (200, "Content-Type: text/css", 4, Now),
            (200, "Content-Type: text/css", 8, Now),
            (200, "Content-Type: text/css", 3, Never),
            (200, "Content-Type: text/css", 9, Never),
            (404, "Content-Type: text/css", 4, Never),
            (200, "Content-Type: image/png", 4, Never),
            (200, "ETag: \"a\"", 4, Never),
            (200, "Content-Type: text/css|Content-Encoding: gzip", 4, Never),
            (200, "Content-Type: text/css|Cache-Control: max-age=1, No-Transform", 4, Never),
            (200, "Content-Type: text/css|Cache-Control: private=\"x\"", 4, Never),
            (200, "Content-Type: text/css|Cache-Control: public", 4, Now),
            (200, "Content-Type: text/css|Set-Cookie: a=b", 4, Never),
        ] {
            let headers = format!("{}\r\n", fields.replace('|', "\r\n")).into_bytes().into();
            let meta = Meta { status, headers, ..Meta::example() };
            let body = Body::Memory(Bytes::from(vec![0; len]));
            let object = Object::new(Key([1, 2]), meta, body);
            assert_eq!(codable(&compress, &object), expected, "{status} {fields} {len}");
            let is_plain =
                fields.contains("Encoding") || fields.contains("Cookie") || status != 200;
            let beside = codable(&beside, &object);
            assert!(expected == Now || is_plain || beside == Beside || fields.contains("Control"));
        }
    }
}
