//! From a request and what was found for it to the head of an answer (RFC 9110 §13–15).

use std::sync::Arc;

use bytes::Bytes;

use super::Context;
use super::body::{Framing, Outgoing, Source};
use super::exchange::Exchange;
use super::multipart::{self, Multipart};
use super::paged::{instead, page};
use super::pass::allow;
use super::representation::Shown;
use crate::abuse::Stop;
use crate::cache::{Body, FillError, Object, Reading, Relay};
use crate::http::conditional::{self, Precondition, Validators};
use crate::http::date::DateText;
use crate::http::lines::is_field;
use crate::http::range::{self, Resolved};
use crate::http::request::{Method, RequestHead, Version};
use crate::http::response::{self, HeadWriter};
use crate::metrics::Outcome;

/// The node's place in the chain (RFC 9110 §7.6.3).
const VIA: &[u8] = b"Via: 1.1 edge\r\n";

/// Which bytes of a representation an answer carries.
enum Part {
    Whole,
    /// `start .. end`
    Range(u64, u64),
    /// Several.
    Ranges(Box<Resolved>),
    /// None of those asked for exist.
    Unsatisfiable,
}

/// Answers with a stored object.
pub(super) fn object(
    exchange: &mut Exchange,
    out: &mut Outgoing,
    head: &RequestHead<'_>,
    object: &Arc<Object>,
    context: &Context<'_>,
) {
    if let Some(page) = page(exchange, object.meta.status) {
        let instead_of = (object.meta.status, &object.meta.headers[..]);
        return instead(exchange, out, instead_of, page, context);
    }
    let shown = Shown::choose(exchange, head, object, context);
    let validators = shown.validators();
    let precondition = match object.meta.status {
        200..=299 => conditional::evaluate(head, &validators),
        // There is nothing the client could have (RFC 9110 §13.2.1).
        _ => Precondition::Proceed,
    };
    match precondition {
        Precondition::Proceed => {}
        Precondition::NotModified => return not_modified(exchange, out, &shown, context),
        Precondition::Failed => return error(exchange, out, 412, "precondition", context),
    }
    match part(head, &shown, &validators) {
        Part::Whole => whole(exchange, out, &shown, context),
        Part::Range(start, end) => partial(exchange, out, &shown, (start, end), context),
        Part::Ranges(ranges) => several(exchange, out, &shown, &ranges, context),
        Part::Unsatisfiable => unsatisfiable(exchange, out, &shown, context),
    }
}

/// Answers with what passes through.
pub(super) fn relay(
    exchange: &mut Exchange,
    out: &mut Outgoing,
    relay: &Arc<Relay>,
    context: &Context<'_>,
) {
    exchange.status = relay.status;
    out.takes_trailers = exchange.takes_trailers;
    if relay.is_tunnel() {
        HeadWriter::new(&mut out.text, relay.status).raw(&relay.headers).finish();
        return out.begin(Source::Relay(relay.clone()), Framing::Close, 0, u64::MAX);
    }
    if let Some(page) = page(exchange, relay.status) {
        relay.abandon();
        out.takes_trailers = false;
        let instead_of = (relay.status, &relay.headers[..]);
        return instead(exchange, out, instead_of, page, context);
    }
    let framing = framing(exchange, relay.len);
    let mut head = HeadWriter::new(&mut out.text, relay.status);
    head.raw(&relay.headers);
    cache_status(&mut head, exchange, None);
    finish(head, exchange, framing, relay.len, context);
    let source = match exchange.is_bodiless() {
        true => Source::Nothing,
        false => Source::Relay(relay.clone()),
    };
    out.begin(source, framing, 0, relay.len.unwrap_or(u64::MAX));
}

/// Answers with a short text that says what is wrong.
pub(super) fn error(
    exchange: &mut Exchange,
    out: &mut Outgoing,
    status: u16,
    reason: &'static str,
    context: &Context<'_>,
) {
    out.clear();
    exchange.status = status;
    exchange.outcome = Outcome::Local;
    exchange.reason = reason;
    let (body, content_type) = page(exchange, status).unwrap_or_else(|| {
        let body = format!("{status} {}\n", response::reason(status));
        (Bytes::from(body), "text/plain; charset=utf-8")
    });
    let mut head = HeadWriter::new(&mut out.text, status);
    head.field("Content-Type", content_type.as_bytes());
    if matches!(status, 405 | 501) {
        head.field("Allow", allow(exchange.site.as_deref()).as_bytes());
    }
    if matches!(status, 429 | 503) {
        head.field("Retry-After", b"1");
    }
    if exchange.is_denied {
        head.field("Edge-Reason", reason.as_bytes());
    }
    finish(head, exchange, Framing::Length, Some(body.len() as u64), context);
    if !exchange.is_bodiless() {
        out.begin_literal(body);
    }
}

/// Answers 429 with the limit and the time until it has room again (RFC 6585 §4).
pub(super) fn limited(
    exchange: &mut Exchange,
    out: &mut Outgoing,
    stop: Stop,
    context: &Context<'_>,
) {
    let rule = context.desk.rule(stop.rule);
    let name = rule.map_or("limit", |rule| rule.on.as_str());
    let wait_s = stop.until_ms.saturating_sub(context.now.mono_ms).div_ceil(1000).max(1);
    out.clear();
    exchange.status = 429;
    exchange.outcome = Outcome::Local;
    exchange.reason = name;
    let body =
        format!("429 Too Many Requests\nover the limit of {name}; try again in {wait_s} s\n");
    let mut head = HeadWriter::new(&mut out.text, 429);
    head.field("Content-Type", b"text/plain; charset=utf-8");
    head.number("Retry-After", wait_s);
    head.field("Edge-Limit", name.as_bytes());
    finish(head, exchange, Framing::Length, Some(body.len() as u64), context);
    if !exchange.is_bodiless() {
        out.begin_literal(Bytes::from(body));
    }
}

/// Answers for the fill plane's failure.
pub(super) fn failure(
    exchange: &mut Exchange,
    out: &mut Outgoing,
    failure: FillError,
    context: &Context<'_>,
) {
    error(exchange, out, failure.status(), failure.as_str(), context);
}

/// Answers OPTIONS (RFC 9110 §9.3.7).
pub(super) fn options(exchange: &mut Exchange, out: &mut Outgoing, context: &Context<'_>) {
    exchange.status = 204;
    let mut head = HeadWriter::new(&mut out.text, 204);
    head.field("Allow", allow(exchange.site.as_deref()).as_bytes());
    finish(head, exchange, Framing::Length, None, context);
}

/// Sends the client elsewhere: status and place.
pub(super) fn redirect(
    exchange: &mut Exchange,
    out: &mut Outgoing,
    (status, to): (u16, &str),
    context: &Context<'_>,
) {
    exchange.status = status;
    exchange.outcome = Outcome::Local;
    let body = format!("{status} {}\n{to}\n", response::reason(status));
    let mut head = HeadWriter::new(&mut out.text, status);
    head.field("Location", to.as_bytes());
    head.field("Content-Type", b"text/plain; charset=utf-8");
    finish(head, exchange, Framing::Length, Some(body.len() as u64), context);
    if !exchange.is_bodiless() {
        out.begin_literal(Bytes::from(body));
    }
}

/// Answers a browser that asks what its page may ask.
pub(super) fn preflight(exchange: &mut Exchange, out: &mut Outgoing, context: &Context<'_>) {
    exchange.status = 204;
    exchange.outcome = Outcome::Local;
    let head = HeadWriter::new(&mut out.text, 204);
    finish(head, exchange, Framing::Length, None, context);
}

/// Ranges are for GET of a complete 200 whose length is known; `If-Range` may take them back
/// (RFC 9110 §13.1.5, §14.2).
fn part(head: &RequestHead<'_>, shown: &Shown<'_>, validators: &Validators<'_>) -> Part {
    let Some(len) = shown.body().len() else { return Part::Whole };
    if head.method != Method::Get || shown.base().meta.status != 200 {
        return Part::Whole;
    }
    let Some(ranges) = head.header("range").and_then(range::parse) else { return Part::Whole };
    if let Some(condition) = head.header("if-range")
        && !conditional::if_range_holds(condition, validators)
    {
        return Part::Whole;
    }
    match ranges.resolve(len) {
        Ok(resolved) => match resolved.single() {
            Some(only) => Part::Range(only.start, only.end),
            None => Part::Ranges(Box::new(resolved)),
        },
        Err(_) => Part::Unsatisfiable,
    }
}

fn whole(exchange: &mut Exchange, out: &mut Outgoing, shown: &Shown<'_>, context: &Context<'_>) {
    let len = shown.body().len();
    exchange.status = shown.base().meta.status;
    let framing = framing(exchange, len);
    let mut head = begin(out, exchange, shown, context);
    if exchange.status == 200 {
        head.field("Accept-Ranges", b"bytes");
    }
    finish(head, exchange, framing, len, context);
    let source = source(exchange, shown.body());
    out.begin(source, framing, 0, len.unwrap_or(u64::MAX));
}

fn partial(
    exchange: &mut Exchange,
    out: &mut Outgoing,
    shown: &Shown<'_>,
    (start, end): (u64, u64),
    context: &Context<'_>,
) {
    exchange.status = 206;
    let mut head = HeadWriter::new(&mut out.text, 206);
    shown.write(&mut head, Some(|line| is_field(line, "content-range")));
    own_fields(&mut head, exchange, shown.base(), context);
    head.field("Accept-Ranges", b"bytes");
    head.content_range(start, end, shown.body().len());
    finish(head, exchange, Framing::Length, Some(end - start), context);
    out.begin(source(exchange, shown.body()), Framing::Length, start, end);
}

/// Several ranges, unless the whole is no longer than they are with their lines: asking for many
/// crumbs must not cost more than asking for the loaf (RFC 9110 §14.2).
fn several(
    exchange: &mut Exchange,
    out: &mut Outgoing,
    shown: &Shown<'_>,
    ranges: &Resolved,
    context: &Context<'_>,
) {
    let len = shown.body().len().unwrap_or(0);
    let parts = Multipart::new(shown.base(), len, ranges.ranges(), context.now);
    if parts.len() >= len {
        return whole(exchange, out, shown, context);
    }
    exchange.status = 206;
    let mut head = HeadWriter::new(&mut out.text, 206);
    shown.write(&mut head, Some(multipart::is_of_part));
    own_fields(&mut head, exchange, shown.base(), context);
    head.field("Content-Type", parts.content_type().as_bytes());
    head.field("Accept-Ranges", b"bytes");
    finish(head, exchange, Framing::Length, Some(parts.len()), context);
    out.begin_multipart(shown.body().clone(), parts);
}

fn unsatisfiable(
    exchange: &mut Exchange,
    out: &mut Outgoing,
    shown: &Shown<'_>,
    context: &Context<'_>,
) {
    exchange.status = 416;
    exchange.outcome = Outcome::Local;
    exchange.reason = FillError::Unsatisfiable.as_str();
    let mut head = HeadWriter::new(&mut out.text, 416);
    head.unsatisfied_range(shown.body().len().unwrap_or(0));
    finish(head, exchange, Framing::Length, Some(0), context);
}

fn not_modified(
    exchange: &mut Exchange,
    out: &mut Outgoing,
    shown: &Shown<'_>,
    context: &Context<'_>,
) {
    exchange.status = 304;
    let head = begin(out, exchange, shown, context);
    finish(head, exchange, Framing::Length, None, context);
}

/// Status line and stored fields.
fn begin<'v>(
    out: &'v mut Outgoing,
    exchange: &Exchange,
    shown: &Shown<'_>,
    context: &Context<'_>,
) -> HeadWriter<'v> {
    let mut head = HeadWriter::new(&mut out.text, exchange.status);
    shown.write(&mut head, None);
    own_fields(&mut head, exchange, shown.base(), context);
    head
}

/// What the node says about a stored answer.
fn own_fields(
    head: &mut HeadWriter<'_>,
    exchange: &Exchange,
    object: &Object,
    context: &Context<'_>,
) {
    // An object straight from a directory has no age: the node is its origin.
    let age_ms = object.meta.age_ms(context.now);
    if !matches!(object.body, Body::File { .. }) {
        head.number("Age", age_ms / 1000);
    }
    let left_ms = i64::try_from(object.meta.lifetime_ms).unwrap_or(i64::MAX);
    let left_ms = left_ms.saturating_sub_unsigned(age_ms);
    let in_memory = matches!(object.body, Body::Memory(_) | Body::File { content: Some(_), .. });
    cache_status(head, exchange, Some((left_ms, in_memory)));
}

/// For what the node says itself (RFC 9110 §6.6.1).
pub(super) fn date(head: &mut HeadWriter<'_>, context: &Context<'_>) {
    head.field("Date", DateText::new((context.now.unix_ms / 1000) as i64).as_bytes());
}

/// RFC 9211: what this node did. `stored`: what is left of the answer's lifetime, ms, and whether its body
/// is in memory.
pub(super) fn cache_status(
    head: &mut HeadWriter<'_>,
    exchange: &Exchange,
    stored: Option<(i64, bool)>,
) {
    let forward = exchange.forward;
    let parts: &[&str] = match exchange.outcome {
        Outcome::Hit | Outcome::Stale => &["edge; hit"],
        Outcome::Partial => &["edge; fwd=partial; stored"],
        Outcome::Revalidated => &["edge; fwd=", forward, "; fwd-status=304; stored"],
        Outcome::Miss => &["edge; fwd=", forward, "; stored"],
        Outcome::Bypass => &["edge; fwd=", forward],
        Outcome::Local => return,
    };
    head.name("Cache-Status").text(parts);
    if let Some((left_ms, _)) = stored {
        head.text(&["; ttl="]).signed(left_ms.div_euclid(1000));
    }
    head.end_line();
    head.raw(VIA);
    if exchange.site.as_ref().is_some_and(|site| site.config.x_cache) {
        let in_memory = stored.is_some_and(|(_, in_memory)| in_memory);
        head.field("X-Cache", x_cache(exchange, in_memory));
    }
}

/// As CDN operators know it.
fn x_cache(exchange: &Exchange, in_memory: bool) -> &'static [u8] {
    match exchange.outcome {
        Outcome::Hit if in_memory => b"HIT TCP_MEM_HIT",
        Outcome::Hit | Outcome::Partial => b"HIT TCP_HIT",
        Outcome::Stale => b"HIT TCP_STALE_HIT",
        Outcome::Revalidated => b"HIT TCP_REFRESH_HIT",
        Outcome::Miss if exchange.forward == "stale" => b"MISS TCP_REFRESH_MISS",
        Outcome::Miss | Outcome::Bypass | Outcome::Local => b"MISS TCP_MISS",
    }
}

/// Framing and connection fields (RFC 9112 §6, §9.3), which no origin decides.
pub(super) fn finish(
    mut head: HeadWriter<'_>,
    exchange: &mut Exchange,
    framing: Framing,
    len: Option<u64>,
    context: &Context<'_>,
) {
    if exchange.outcome == Outcome::Local {
        date(&mut head, context);
    }
    edit(&mut head, exchange);
    if exchange.is_secure
        && let Some(line) =
            exchange.site.as_ref().and_then(|site| site.config.https.hsts.as_deref())
    {
        // One policy a message (RFC 6797 §7.1): the operator's.
        head.drop_lines(|line| is_field(line, "strict-transport-security")).raw(line.as_bytes());
    }
    match (framing, len) {
        (Framing::Length, Some(len)) if exchange.status != 204 => {
            head.number("Content-Length", len);
        }
        (Framing::Chunked, _) => {
            head.field("Transfer-Encoding", b"chunked");
        }
        (Framing::Close, _) => exchange.keep_alive = false,
        _ => {}
    }
    if !exchange.keep_alive || context.draining {
        exchange.keep_alive = false;
        if exchange.version != Version::Http2 {
            head.field("Connection", b"close");
        }
    } else if exchange.version == Version::Http10 {
        head.field("Connection", b"keep-alive");
    }
    head.finish();
}

/// The operator's header rules: the site's, then those of the rule for the path, then CORS. What frames
/// the message is written after them.
fn edit(head: &mut HeadWriter<'_>, exchange: &Exchange) {
    let Some(site) = exchange.site.as_ref().filter(|site| site.steers) else { return };
    let rule = exchange.rule.and_then(|number| site.rules.at(number));
    let all = [Some(&site.config.content.headers), rule.map(|rule| &rule.content.headers)];
    for rules in all.into_iter().flatten().filter(|rules| !rules.is_empty()) {
        head.drop_lines(|line| rules.drops(line)).raw(&rules.lines);
    }
    if !exchange.cors.is_empty() {
        head.drop_lines(is_cors).raw(&exchange.cors);
    }
}

/// Whether the line is the origin's word about pages of other sites; the operator's takes its place.
fn is_cors(line: &[u8]) -> bool {
    let prefix = b"access-control-";
    line.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn framing(exchange: &Exchange, len: Option<u64>) -> Framing {
    match (len, exchange.version) {
        // There is no body to frame, and a coding must not be named (RFC 9112 §6.1).
        _ if matches!(exchange.status, 204 | 304) => Framing::Length,
        (Some(_), _) => Framing::Length,
        (None, Version::Http11) => Framing::Chunked,
        (None, Version::Http10) => Framing::Close,
        (None, Version::Http2) => Framing::Carried,
    }
}

fn source(exchange: &Exchange, object: &Arc<Object>) -> Source {
    match exchange.is_bodiless() {
        true => Source::Nothing,
        false => Source::Object(Reading::new(object.clone())),
    }
}
