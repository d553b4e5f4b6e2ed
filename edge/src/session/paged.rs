//! The operator's pages in the place of errors.

use bytes::Bytes;

use super::Context;
use super::answer::{cache_status, date, finish};
use super::body::{Framing, Outgoing};
use super::exchange::Exchange;
use crate::http::lines::{is_field, lines};
use crate::http::request::Method;
use crate::http::response::HeadWriter;
use crate::metrics::Outcome;

/// A page, and its type.
pub(super) type Page = (Bytes, &'static str);

/// The operator's page for an answer with `status`. Answers to other than GET and HEAD are for
/// programs, and are left alone.
pub(super) fn page(exchange: &Exchange, status: u16) -> Option<Page> {
    if status < 400 || !matches!(exchange.method, Method::Get | Method::Head) {
        return None;
    }
    let pages = &exchange.site.as_ref()?.config.content.error_pages;
    pages.find(status).map(|page| (page.body.clone(), page.content_type))
}

/// Answers with `page` instead of what the origin says beside `status`; of its fields those stay that
/// do not speak of its body.
pub(super) fn instead(
    exchange: &mut Exchange,
    out: &mut Outgoing,
    (status, fields): (u16, &[u8]),
    (body, content_type): Page,
    context: &Context<'_>,
) {
    const OF_BODY: [&str; 9] = [
        "content-type",
        "content-encoding",
        "content-language",
        "content-disposition",
        "content-location",
        "content-md5",
        "etag",
        "last-modified",
        "accept-ranges",
    ];
    exchange.status = status;
    let mut head = HeadWriter::new(&mut out.text, status);
    let is_of_body = |line: &[u8]| OF_BODY.iter().any(|name| is_field(line, name));
    for line in lines(fields).filter(|line| !is_of_body(line)) {
        head.raw(line);
    }
    head.field("Content-Type", content_type.as_bytes());
    cache_status(&mut head, exchange, None);
    if !lines(fields).any(|line| is_field(line, "date")) && exchange.outcome != Outcome::Local {
        date(&mut head, context);
    }
    finish(head, exchange, Framing::Length, Some(body.len() as u64), context);
    if !exchange.is_bodiless() {
        out.begin_literal(body);
    }
}
