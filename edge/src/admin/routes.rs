//! What is answered to whom.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use hyper::{Method, Request, Response, StatusCode};

use super::{View, orders};
use crate::metrics::prometheus;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const PAGES: &str = "GET /metrics\n\
     GET /healthz\n\
     GET /status\n\
     GET /top\n\
     GET /conns\n\
     GET /why?address=IP\n\
     POST /forgive?prefix=PREFIX\n\
     POST /reload\n\
     POST /purge\n\
     GET /purges\n\
     GET /domains\n\
     POST /domains\n\
     POST /domains/remove\n\
     POST /explain\n\
     POST /cache/verify\n\
     GET /cache/verify\n\
     POST /prefetch\n\
     GET /prefetch/N\n";

/// In front of an order's number.
const PREFETCH: &str = "/prefetch/";

/// Which way a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// TCP that only this host can reach.
    Loopback,
    /// TCP that others can reach.
    Network,
    /// The Unix socket.
    Socket,
}

/// The answer to one request.
pub(super) async fn answer<B>(
    view: Arc<dyn View>,
    request: Request<B>,
    door: Door,
) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let order = orders::order_of(request.method(), request.uri().path());
    let has_body = order.is_none() && !request.body().is_end_stream();
    if let Some((status, why)) = refusal(&request, door, has_body) {
        return reply(status, TEXT, format!("{why}\n"));
    }
    let Some(order) = order else { return page(&*view, &request) };
    match orders::carry_out(view, order, request.into_body()).await {
        Ok(done) => reply(StatusCode::OK, JSON, format!("{done}\n")),
        Err((status, why)) => reply(status, TEXT, format!("{why}\n")),
    }
}

/// The answer to a request that is no order.
fn page<B>(view: &dyn View, request: &Request<B>) -> Response<Full<Bytes>> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        "/metrics" | "/healthz" | "/status" | "/top" | "/why" | "/purges" | "/cache/verify"
        | "/domains" | "/"
            if !reads =>
        {
            not_allowed("GET, HEAD")
        }
        "/metrics" => {
            let mut text = String::new();
            view.metrics(&mut text);
            reply(StatusCode::OK, prometheus::CONTENT_TYPE, text)
        }
        "/healthz" => match view.healthy() {
            Ok(()) => reply(StatusCode::OK, TEXT, "ok\n".to_owned()),
            Err(why) => reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, why + "\n"),
        },
        "/status" => reply(StatusCode::OK, JSON, format!("{}\n", view.status())),
        "/purges" => reply(StatusCode::OK, JSON, format!("{}\n", view.purges())),
        "/cache/verify" => reply(StatusCode::OK, JSON, format!("{}\n", view.verified())),
        "/domains" => reply(StatusCode::OK, JSON, format!("{}\n", view.domains())),
        "/conns" => not_allowed("GET"),
        "/purge" | "/prefetch" | "/domains/remove" | "/explain" => not_allowed("POST"),
        path if path.starts_with(PREFETCH) && !reads => not_allowed("GET, HEAD"),
        path if path.starts_with(PREFETCH) => {
            let number = path[PREFETCH.len()..].parse().ok();
            match number.and_then(|number| view.prefetched(number)) {
                Some(state) => reply(StatusCode::OK, JSON, format!("{state}\n")),
                None => reply(StatusCode::NOT_FOUND, TEXT, "no such prefetch\n".to_owned()),
            }
        }
        "/top" => reply(StatusCode::OK, JSON, format!("{}\n", view.top())),
        "/why" => match argument(request, "address").and_then(|text| text.parse().ok()) {
            Some(address) => reply(StatusCode::OK, JSON, format!("{}\n", view.why(address))),
            None => unprocessable("ask for /why?address=192.0.2.7\n".to_owned()),
        },
        "/" => reply(StatusCode::OK, TEXT, PAGES.to_owned()),
        "/forgive" | "/reload" if *request.method() != Method::POST => not_allowed("POST"),
        "/forgive" => match view.forgive(&argument(request, "prefix").unwrap_or_default()) {
            Ok(done) => reply(StatusCode::OK, TEXT, done + "\n"),
            Err(why) => unprocessable(why + "\n"),
        },
        "/reload" => match view.reload() {
            Ok(done) => reply(StatusCode::OK, TEXT, done + "\n"),
            Err(why) => unprocessable(why + "\n"),
        },
        _ => reply(StatusCode::NOT_FOUND, TEXT, format!("no such page; there are:\n{PAGES}")),
    }
}

/// The text of an argument of the query. Addresses and prefixes need no escapes; a colon or slash that
/// was escaped is taken back.
fn argument<B>(request: &Request<B>, name: &str) -> Option<String> {
    let pairs = request.uri().query()?.split('&');
    let mut found = pairs.filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
    let text = found.next()?.1;
    Some(text.replace("%3A", ":").replace("%3a", ":").replace("%2F", "/").replace("%2f", "/"))
}

fn unprocessable(why: String) -> Response<Full<Bytes>> {
    reply(StatusCode::UNPROCESSABLE_ENTITY, TEXT, why)
}

/// Keeps web pages out: a browser on this host may be made to send requests here, by a name that
/// suddenly resolves to loopback, or by a plain form.
fn refusal<B>(
    request: &Request<B>,
    door: Door,
    has_body: bool,
) -> Option<(StatusCode, &'static str)> {
    let host = request.headers().get(HOST);
    if door == Door::Loopback && host.is_some_and(|host| !is_local(host)) {
        return Some((StatusCode::FORBIDDEN, "ask for this node by its address or as localhost"));
    }
    if request.headers().contains_key(ORIGIN) {
        return Some((StatusCode::FORBIDDEN, "web pages may not talk to this node"));
    }
    has_body.then_some((StatusCode::PAYLOAD_TOO_LARGE, "this request takes no body"))
}

fn is_local(host: &HeaderValue) -> bool {
    let Ok(text) = host.to_str() else { return false };
    let name = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => text.split(':').next().unwrap_or(text),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn not_allowed(allowed: &'static str) -> Response<Full<Bytes>> {
    let text = format!("this page takes {allowed}\n");
    let mut response = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, text);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn reply(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
