//! A client's own request on its way to an origin: what may not be answered from the store.

use std::net::{IpAddr, SocketAddr};

use ::http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE, VIA,
};
use ::http::{Method, Request};

use super::head::read_block;
use super::request::{Destination, Unaskable};
use crate::http::hop::{is_hearsay, is_hop_by_hop, is_named, max_forwards, takes_trailers};
use crate::http::request::{BodyLength, RequestHead, Version};

/// Method and fields of a request that is passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passing {
    /// The method as sent.
    pub method: Box<str>,
    /// How its body ends.
    pub body: BodyLength,
    /// The client waits for `100 Continue`.
    pub expects_continue: bool,
    /// The client reads trailers (`TE: trailers`).
    pub takes_trailers: bool,
    /// The client understands interim answers (HTTP/1.1).
    pub takes_interims: bool,
    /// The protocols it would rather speak, if the site lets it.
    pub upgrade: Option<Box<[u8]>>,
    /// End-to-end fields, whole lines each with its CRLF.
    fields: Box<[u8]>,
    /// Names of the trailer fields it announced.
    trailer: Box<[u8]>,
    client: IpAddr,
    scheme: &'static str,
}

impl Passing {
    /// The request with `head`, from `client`, who speaks `scheme`; `may_upgrade`: as the site has it.
    pub fn new(
        head: &RequestHead<'_>,
        (client, scheme): (SocketAddr, &'static str),
        may_upgrade: bool,
    ) -> Passing {
        let is_new = head.version >= Version::Http11;
        let upgrade = || {
            head.version == Version::Http11
                && may_upgrade
                && is_named(head.all("connection"), "upgrade")
        };
        Passing {
            method: head.method_text.into(),
            body: head.body,
            expects_continue: head.expect_continue,
            takes_trailers: is_new && takes_trailers(head.all("te")),
            takes_interims: is_new,
            upgrade: head.single("upgrade").filter(|_| upgrade()).map(Into::into),
            fields: fields(head),
            trailer: head.all("trailer").collect::<Vec<_>>().join(&b", "[..]).into(),
            client: client.ip(),
            scheme,
        }
    }

    /// The same with its end-to-end fields as `edit` leaves them.
    pub fn edited(mut self, edit: impl FnOnce(Box<[u8]>) -> Box<[u8]>) -> Passing {
        self.fields = edit(self.fields);
        self
    }

    /// Whether the client spoke TLS.
    pub fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    /// Whether the method asks for nothing to be changed (RFC 9110 §9.2.1).
    pub fn is_safe(&self) -> bool {
        matches!(&*self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
    }

    /// Whether asking twice is as good as asking once (RFC 9110 §9.2.2).
    pub fn is_idempotent(&self) -> bool {
        self.is_safe() || matches!(&*self.method, "PUT" | "DELETE")
    }

    /// The request as it goes to `to`; an empty `host` is the address. `loop_id` is this node's
    /// name in `CDN-Loop` (RFC 8586 §2).
    pub fn request(
        &self,
        host: &str,
        target: &str,
        to: &Destination,
        loop_id: &str,
    ) -> Result<Request<()>, Unaskable> {
        let uri = to.uri(target, host)?;
        let host = value(to.host_field(host).as_bytes())?;
        let mut request = Request::new(());
        *request.method_mut() =
            Method::from_bytes(self.method.as_bytes()).map_err(|_| Unaskable)?;
        *request.uri_mut() = uri;
        let fields = request.headers_mut();
        *fields = read_block(&self.fields);
        fields.insert(HOST, host);
        fields.append(VIA, HeaderValue::from_static("1.1 edge"));
        fields.append(CDN_LOOP, value(loop_id.as_bytes())?);
        fields.insert(FORWARDED_FOR, value(self.client.to_string().as_bytes())?);
        fields.insert(FORWARDED_PROTO, HeaderValue::from_static(self.scheme));
        match self.body {
            BodyLength::Length(length) => {
                fields.insert(CONTENT_LENGTH, length.into());
            }
            BodyLength::Chunked => {
                fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
                if !self.trailer.is_empty() {
                    fields.insert(TRAILER, value(&self.trailer)?);
                }
            }
            // Without it an origin may wait for a body (RFC 9110 §8.6).
            BodyLength::Empty if matches!(&*self.method, "POST" | "PUT" | "PATCH") => {
                fields.insert(CONTENT_LENGTH, 0.into());
            }
            BodyLength::Empty => {}
        }
        if self.expects_continue {
            fields.insert(::http::header::EXPECT, HeaderValue::from_static("100-continue"));
        }
        if self.takes_trailers {
            fields.insert(TE, HeaderValue::from_static("trailers"));
            fields.insert(CONNECTION, HeaderValue::from_static("TE"));
        }
        if let Some(protocols) = &self.upgrade {
            fields.insert(UPGRADE, value(protocols)?);
            fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        Ok(request)
    }
}

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

fn value(bytes: &[u8]) -> Result<HeaderValue, Unaskable> {
    HeaderValue::from_bytes(bytes).map_err(|_| Unaskable)
}

/// The fields that go on: end-to-end ones, without those that this node writes itself and those
/// that a client has no business to say.
fn fields(head: &RequestHead<'_>) -> Box<[u8]> {
    let hops = max_forwards(head);
    let goes_on = |name: &str| {
        let ours = ["host", "content-length", "expect", "max-forwards"];
        let ours = if hops.is_some() { &ours[..] } else { &ours[..3] };
        ours.iter().all(|ours| !ours.eq_ignore_ascii_case(name))
            && !is_hop_by_hop(name)
            && !is_hearsay(name)
            && !is_named(head.all("connection"), name)
    };
    let mut lines = Vec::with_capacity(head.len);
    for (name, value) in head.headers().filter(|(name, _)| goes_on(name)) {
        lines.extend_from_slice(name.as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value);
        lines.extend_from_slice(b"\r\n");
    }
    if let Some(hops) = hops {
        lines.extend_from_slice(format!("Max-Forwards: {}\r\n", hops.saturating_sub(1)).as_bytes());
    }
    lines.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OriginAddress;
    use crate::http::request::{Parsed, parse};

    fn passing(text: &str, may_upgrade: bool) -> (Passing, Vec<String>) {
        let text = text.replace('\n', "\r\n");
        let Ok(Parsed::Head(head)) = parse(text.as_bytes()) else { panic!("{text}") };
        let passing = Passing::new(&head, ("192.0.2.7:5".parse().unwrap(), "http"), may_upgrade);
        let address = OriginAddress::http("10.0.0.2", 8080);
        let address = Destination::of(&address, false, false);
        let request = passing.request("h.example", head.target, &address, "me").unwrap();
        let lines = request.headers().iter();
        let lines = lines.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        (passing.clone(), lines.collect())
    }

    const OWN: [&str; 5] = [
        "host: h.example",
        "via: 1.1 edge",
        "cdn-loop: me",
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-proto: http",
    ];

    fn check(text: &str, expected: &[&str]) {
        let (_, mut lines) = passing(text, false);
        lines.retain(|line| !OWN.contains(&line.as_str()));
        lines.sort();
        assert_eq!(lines, expected, "{text}");
    }

    #[test]
    fn end_to_end_fields_go_on_and_no_others() {
        // RFC 9110 §7.6.1
        check(
            "PUT /a HTTP/1.1\nHost: x\nConnection: close, X-Hop\nX-Hop: 1\nKeep-Alive: 5\nTE: gzip\n\
             Proxy-Authorization: b\nUpgrade: h2c\nCookie: c\nAuthorization: d\nContent-Length: 5\n\n",
            &["authorization: d", "content-length: 5", "cookie: c"],
        );
        // Hearsay about the client and the target
        check(
            "GET /a HTTP/1.1\nHost: x\nX-Forwarded-For: 1\nX-Forwarded-Host: evil\nForwarded: for=1\n\
             X-Original-URL: /b\nX_Forwarded_Host: evil\nProxy: http://evil\nX-Real-IP: 1\nX-A: 1\n\n",
            &["x-a: 1"],
        );
        check("POST /a HTTP/1.1\nHost: x\n\n", &["content-length: 0"]);
        check("DELETE /a HTTP/1.1\nHost: x\n\n", &[]);
        // RFC 9110 §7.6.2
        check("OPTIONS /a HTTP/1.1\nHost: x\nMax-Forwards: 3\n\n", &["max-forwards: 2"]);
        check("GET /a HTTP/1.1\nHost: x\nMax-Forwards: 3\n\n", &["max-forwards: 3"]);
        // §7.6.3: what others wrote stays
        let (_, lines) = passing("POST /a HTTP/1.1\nHost: x\nVia: 1.0 other\n\n", false);
        let vias: Vec<_> = lines.iter().filter(|line| line.starts_with("via")).collect();
        assert_eq!(vias, ["via: 1.0 other", "via: 1.1 edge"]);
    }

    #[test]
    fn bodies_trailers_and_expectations_are_framed_anew() {
        check(
            "POST /a HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nTrailer: X-Sum\nTE: trailers, gzip\n\
             Expect: 100-continue\n\n",
            &[
                "connection: TE",
                "expect: 100-continue",
                "te: trailers",
                "trailer: X-Sum",
                "transfer-encoding: chunked",
            ],
        );
        let (old, _) = passing("POST /a HTTP/1.0\nTE: trailers\nContent-Length: 5\n\n", true);
        assert!(!old.takes_trailers && !old.takes_interims);
    }

    #[test]
    fn a_site_may_let_protocols_be_switched() {
        // RFC 9110 §7.8
        let text =
            "GET /a HTTP/1.1\nHost: x\nConnection: keep-alive, Upgrade\nUpgrade: websocket\n\n";
        let (asked, lines) = passing(text, true);
        assert_eq!(asked.upgrade.as_deref(), Some(&b"websocket"[..]));
        assert!(lines.contains(&"connection: upgrade".to_owned()), "{lines:?}");
        assert!(lines.contains(&"upgrade: websocket".to_owned()), "{lines:?}");
        assert_eq!(passing(text, false).0.upgrade, None);
        let unnamed = "GET /a HTTP/1.1\nHost: x\nUpgrade: websocket\n\n";
        assert_eq!(passing(unnamed, true).0.upgrade, None);
    }

    #[test]
    fn methods_are_what_9110_9_2_says() {
        for (method, safe, idempotent) in [
            ("GET", true, true),
            ("PUT", false, true),
            ("DELETE", false, true),
            ("POST", false, false),
            ("PATCH", false, false),
            ("get", false, false),
        ] {
            let (passing, _) = passing(&format!("{method} /a HTTP/1.1\nHost: x\n\n"), false);
            assert_eq!((passing.is_safe(), passing.is_idempotent()), (safe, idempotent));
        }
    }
}
