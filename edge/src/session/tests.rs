//! The machine, driven by hand: bytes in, bytes out.

use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::cache::{Body, Key, Meta, Object, Opened, Relay};
use crate::config;

struct Nobody;

impl Notify for Nobody {
    fn notify(&self, _: Token) {}
}

/// What the fill plane would say to "open `target`".
type Opener = fn(&str) -> Result<Opened, FillError>;

struct Rig {
    cache: Arc<Cache>,
    desk: Desk,
    sites: Sites,
    notify: Arc<dyn Notify>,
    now: Now,
    opener: Opener,
    demands: u32,
}

const NOW: Now = Now { mono_ms: 1_000, unix_ms: 1_800_000_000_000 };
const BODY: &[u8] = b"0123456789";
const ETAG: &str = "\"tag\"";

impl Rig {
    fn new(opener: Opener) -> Rig {
        let site = config::Site {
            name: "a.test".into(),
            hosts: vec!["a.test".into()],
            preset: config::Preset::Web,
            origin: config::Origin::File { root: "/nowhere".into() },
            default_ttl_ms: 0,
            finish: config::Finish::Always,
            index: None,
            ..config::Site::of_directory("/nowhere".as_ref())
        };
        let cache = config::Cache {
            volumes: vec![],
            ram_bytes: 1 << 20,
            slice_bytes: 64 * 1024,
            checkpoint_ms: 60_000,
            scrub_bytes_per_s: 0,
        };
        Rig {
            cache: Cache::open(&cache).unwrap(),
            desk: Desk::new(&config::Config::embedded("/nowhere".as_ref()).guard),
            sites: Sites::new(&[site], 1, None),
            notify: Arc::new(Nobody),
            now: NOW,
            opener,
            demands: 0,
        }
    }

    fn session(&self) -> Session {
        let timeouts = Timeouts { head_ms: 100, idle_ms: 200, send_ms: 300, fill_ms: 400 };
        Session::new("127.0.0.1:5".parse().unwrap(), timeouts, self.now)
    }

    /// Does what the session asks, taking at most `step` bytes at a time; returns what was sent and
    /// whether the connection was closed.
    fn drive(&mut self, session: &mut Session, step: usize) -> (Vec<u8>, bool) {
        let context = Context {
            sites: &self.sites,
            cache: &self.cache,
            desk: &self.desk,
            notify: &self.notify,
            token: Token(1),
            now: self.now,
            draining: false,
        };
        let mut out = Vec::new();
        loop {
            match session.poll_action(&context) {
                Action::Send { .. } => {
                    let literal = session.bytes().concat();
                    let taken = literal.len().min(step);
                    out.extend_from_slice(&literal[..taken]);
                    session.handle_sent(taken, true, self.now);
                }
                Action::File { .. } => {
                    let span = session.span().unwrap();
                    let mut bytes = vec![0; (span.len as usize).min(step)];
                    span.file.read_exact_at(&mut bytes, span.offset).unwrap();
                    session.handle_staged(bytes.len());
                    session.handle_sent(bytes.len(), false, self.now);
                    out.extend_from_slice(&bytes);
                    session.end_turn();
                }
                Action::Demand(demand) => {
                    self.demands += 1;
                    match (self.opener)(&demand.target) {
                        Ok(opened) => demand.ticket.open(opened),
                        Err(error) => demand.ticket.fail(error),
                    }
                }
                Action::Wait | Action::Read => return (out, false),
                Action::Finished => {
                    assert!(session.record(self.now).sent_bytes <= out.len() as u64);
                    session.handle_logged(&context);
                }
                Action::ShutDown => {}
                Action::Close | Action::Switch => return (out, true),
            }
        }
    }

    fn answer(&mut self, request: &str) -> String {
        let mut session = self.session();
        session.handle_bytes(request.as_bytes(), self.now);
        let (out, _) = self.drive(&mut session, usize::MAX);
        String::from_utf8(out).unwrap()
    }

    fn wait(&mut self, session: &mut Session) -> (Vec<u8>, bool) {
        self.now.mono_ms = session.poll_timeout() + 1;
        let notify = self.notify.clone();
        let context = Context {
            sites: &self.sites,
            cache: &self.cache,
            desk: &self.desk,
            notify: &notify,
            token: Token(1),
            now: self.now,
            draining: false,
        };
        session.handle_timeout(&context);
        self.drive(session, usize::MAX)
    }
}

fn meta(status: u16) -> Meta {
    Meta {
        status,
        headers: format!("Content-Type: text/plain\r\nDate: today\r\nETag: {ETAG}\r\n")
            .into_bytes()
            .into(),
        etag: Some(ETAG.into()),
        last_modified_unix_s: Some(1_700_000_000),
        received_unix_ms: NOW.unix_ms,
        initial_age_ms: 0,
        lifetime_ms: 60_000,
        reuse: Default::default(),
        variant_of: None,
        key_text: "a.test /f".into(),
        tags: "".into(),
        stamp: Default::default(),
    }
}

fn file_object(content: &[u8]) -> Arc<Object> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    let body = Body::File { file: Arc::new(file), len: content.len() as u64, content: None };
    Arc::new(Object::new(Key([1, 1]), meta(200), body))
}

fn open_file(target: &str) -> Result<Opened, FillError> {
    match target {
        "/f" => Ok(Opened::Object(file_object(BODY), Outcome::Miss)),
        "/long" => Ok(Opened::Object(file_object(&BODY.repeat(1_000)), Outcome::Miss)),
        "/relay" => {
            let relay = Relay::new(200, b"Date: today\r\n"[..].into(), None);
            relay.push(bytes::Bytes::from_static(b"abc")).unwrap();
            relay.push(bytes::Bytes::from_static(b"defg")).unwrap();
            relay.finish(Ok(()));
            Ok(Opened::Relay(Arc::new(relay)))
        }
        "/broken" => {
            let relay = Relay::new(200, Box::default(), Some(100));
            relay.push(bytes::Bytes::from_static(b"abc")).unwrap();
            relay.finish(Err(FillError::Broken));
            Ok(Opened::Relay(Arc::new(relay)))
        }
        "/down" => Err(FillError::Connect),
        _ => Err(FillError::NotFound),
    }
}

fn get(target: &str, more: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n{more}\r\n")
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}

/// One request, and of its answer: the status, something in the head, the body.
fn check(request: String, status: u16, field: &str, body: &str) {
    let mut rig = Rig::new(open_file);
    let answer = rig.answer(&request);
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}→ {answer}");
    let head = answer.split_once("\r\n\r\n").unwrap().0.to_owned() + "\r\n";
    assert!(head.contains(&format!("\r\n{field}")), "{request}→ {answer}");
    assert_eq!(head.matches("\r\nDate: ").count(), 1, "{request}→ {answer}");
    assert_eq!(body_of(&answer), body, "{request}→ {answer}");
}

fn with(method: &str, target: &str) -> String {
    get(target, "").replace("GET", method)
}

#[test]
fn ranges_and_conditions() {
    let range = |value: &str| get("/f", &format!("Range: {value}\r\n"));
    check(get("/f", ""), 200, "Content-Length: 10\r\n", "0123456789"); // RFC 9110 §15.3.1
    check(range("bytes=2-4"), 206, "Content-Range: bytes 2-4/10\r\n", "234"); // §15.3.7
    check(range("bytes=-3"), 206, "Content-Range: bytes 7-9/10\r\n", "789"); // §14.1.2
    check(range("bytes=8-99"), 206, "Content-Length: 2\r\n", "89");
    check(range("bytes=10-"), 416, "Content-Range: bytes */10\r\n", ""); // §15.5.17
    check(range("lines=1-2"), 200, "Accept-Ranges: bytes\r\n", "0123456789"); // §14.2
    let if_range = |tag: &str| get("/f", &format!("Range: bytes=2-4\r\nIf-Range: \"{tag}\"\r\n"));
    check(if_range("tag"), 206, "Content-Length: 3\r\n", "234"); // §13.1.5
    check(if_range("old"), 200, "Content-Length: 10\r\n", "0123456789");
    check(get("/f", "If-None-Match: \"tag\"\r\n"), 304, "ETag: \"tag\"\r\n", ""); // §13.1.2
    check(get("/f", "If-Match: \"old\"\r\n"), 412, "Content-", "412 Precondition Failed\n");
}

#[test]
fn several_ranges_come_in_parts() {
    let asked = get("/long", "Range: bytes=5-7, 9000-, -3, 20000-\r\n");
    let answer = Rig::new(open_file).answer(&asked);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
    let boundary = head.split_once("multipart/byteranges; boundary=").expect(head).1;
    let boundary = boundary.lines().next().unwrap();
    assert_eq!(head.matches("Content-Type: ").count(), 1, "{head}");
    assert!(head.ends_with(&format!("\r\nContent-Length: {}", body.len())), "{head}");
    // The last three bytes are in the range before them; what lies past the end is left out.
    let part = |range: &str, bytes: &str| {
        let fields = format!("Content-Type: text/plain\r\nContent-Range: bytes {range}/10000");
        format!("\r\n--{boundary}\r\n{fields}\r\n\r\n{bytes}")
    };
    let parts = part("5-7", "567") + &part("9000-9999", &"0123456789".repeat(100));
    assert_eq!(body, parts + &format!("\r\n--{boundary}--\r\n"));
    // Crumbs that would cost more than the loaf.
    let crumbs: Vec<String> =
        (0..30).map(|at| format!("{}-{}", at * 330, at * 330 + 240)).collect();
    let crumbs = get("/long", &format!("Range: bytes={}\r\n", crumbs.join(",")));
    check(crumbs, 200, "Content-Length: 10000\r\n", &"0123456789".repeat(1_000));
}

#[test]
fn methods_and_versions() {
    check(with("HEAD", "/f"), 200, "Content-Length: 10\r\n", ""); // RFC 9110 §9.3.2
    check(with("OPTIONS", "/f"), 204, "Allow: GET, HEAD, OPTIONS\r\n", ""); // §9.3.7
    check(with("DELETE", "/f"), 405, "Allow: ", "405 Method Not Allowed\n"); // §15.5.6
    check(with("BREW", "/f"), 501, "Allow: ", "501 Not Implemented\n"); // §15.6.2
    let old = |target: &str| get(target, "").replace("/1.1", "/1.0");
    check(old("/f"), 200, "Connection: close\r\n", "0123456789"); // RFC 9112 §9.3
    check(old("/relay"), 200, "Connection: close\r\n", "abcdefg"); // §6.3
    let chunks = "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    check(get("/relay", ""), 200, "Transfer-Encoding: chunked\r\n", chunks); // §7.1
}

#[test]
fn what_cannot_be_answered_is_refused_in_words() {
    check(get("/none", ""), 404, "Content-Length", "404 Not Found\n");
    check(get("/down", ""), 502, "Content-Length", "502 Bad Gateway\n");
    let stranger = get("/f", "").replace("a.test", "b.test");
    check(stranger, 421, "Content-Length", "421 Misdirected Request\n"); // RFC 9110 §15.5.20
    let refused = |fields: &str, status: u16, text: &str| {
        check(get("/f", fields), status, "Connection: close\r\n", text);
    };
    refused("Bad Name: x\r\n", 400, "400 Bad Request\n");
    refused("Content-Length: 9999999\r\n", 413, "413 Content Too Large\n");
    let expect = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    refused(expect, 417, "417 Expectation Failed\n");
}

#[test]
fn a_broken_body_is_cut_never_padded() {
    let mut rig = Rig::new(open_file);
    let mut session = rig.session();
    session.handle_bytes(get("/broken", "").as_bytes(), NOW);
    let (out, closed) = rig.drive(&mut session, usize::MAX);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("Content-Length: 100\r\n"), "{out}");
    assert_eq!(body_of(&out), "abc");
    assert!(closed, "the connection must end where the bytes do");
}

#[test]
fn request_bodies_are_dropped_and_the_connection_goes_on() {
    for (framing, body) in [
        ("Content-Length: 5\r\n", "hello"),
        ("Transfer-Encoding: chunked\r\n", "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: v\r\n\r\n"),
    ] {
        let requests = get("/f", framing) + body + &get("/f", "Range: bytes=0-0\r\n");
        for split in 1..requests.len() {
            let mut rig = Rig::new(open_file);
            let mut session = rig.session();
            session.handle_bytes(&requests.as_bytes()[..split], NOW);
            let (mut out, _) = rig.drive(&mut session, usize::MAX);
            session.handle_bytes(&requests.as_bytes()[split..], NOW);
            out.extend(rig.drive(&mut session, usize::MAX).0);
            let out = String::from_utf8(out).unwrap();
            assert_eq!(out.matches("HTTP/1.1 ").count(), 2, "split at {split}: {out}");
            assert!(out.contains(" 206 ") && out.ends_with("\r\n\r\n0"), "split at {split}: {out}");
        }
    }
}

#[test]
fn time_outs_say_why_or_close() {
    // Nothing sent: closed without a word.
    let mut rig = Rig::new(open_file);
    let mut session = rig.session();
    assert_eq!(rig.wait(&mut session), (vec![], true));
    // Half a head: 408.
    let mut session = rig.session();
    session.handle_bytes(b"GET / HT", rig.now);
    rig.drive(&mut session, usize::MAX);
    let (out, _) = rig.wait(&mut session);
    assert!(out.starts_with(b"HTTP/1.1 408 "));
    // Idle after an answer: closed.
    let mut session = rig.session();
    session.handle_bytes(get("/f", "").as_bytes(), rig.now);
    rig.drive(&mut session, usize::MAX);
    assert!(session.is_idle());
    assert_eq!(rig.wait(&mut session), (vec![], true));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut rig = Rig::new(open_file);
    let mut requests = String::new();
    for digit in 0..10 {
        requests += &get("/f", &format!("Range: bytes={digit}-{digit}\r\n"));
    }
    let answer = rig.answer(&requests);
    let digits: Vec<&str> = answer.split("HTTP/1.1 206").skip(1).map(body_of).collect();
    assert_eq!(digits.concat(), "0123456789");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// However received bytes are split and however little the socket takes, the same comes out.
    #[test]
    fn splits_change_nothing(splits in prop::collection::vec(1usize..40, 1..30), step in 1usize..50) {
        let requests = get("/f", "") + &get("/relay", "")
            + &get("/long", "Range: bytes=0-3,5000-5009,9000-9100\r\n") + &get("/f", "Range: bytes=3-\r\n")
            + &get("/none", "") + &get("/f", "Content-Length: 3\r\n") + "xyz" + &get("/f", "Connection: close\r\n");
        let mut rig = Rig::new(open_file);
        let whole = rig.answer(&requests);
        let mut session = rig.session();
        let mut out = Vec::new();
        let mut rest = requests.as_bytes();
        let mut splits = splits.iter().cycle();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(*splits.next().unwrap()));
            session.handle_bytes(now, NOW);
            out.extend(rig.drive(&mut session, step).0);
            rest = later;
        }
        prop_assert_eq!(String::from_utf8(out).unwrap(), whole);
    }
}
