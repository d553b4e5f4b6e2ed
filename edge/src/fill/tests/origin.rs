//! A scripted origin on loopback: each request is handed to a closure that says what to send.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use crate::config::OriginAddress;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Position among all requests, from zero.
    pub number: usize,
    head: String,
}

impl Asked {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Method and target.
    pub fn line(&self) -> &str {
        self.head.split(" HTTP/").next().unwrap()
    }
}

/// What is sent back.
pub struct Reply {
    bytes: Vec<u8>,
    gate: Option<(usize, Arc<Gate>)>,
    then_close: bool,
}

/// Holds replies until it is opened.
#[derive(Default)]
pub struct Gate(Mutex<bool>, Condvar);

impl Gate {
    pub fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn pass(&self) {
        drop(self.1.wait_while(self.0.lock().unwrap(), |open| !*open).unwrap());
    }
}

impl Reply {
    /// These very bytes, then the connection is closed.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Reply {
        Reply { bytes: bytes.into(), gate: None, then_close: true }
    }

    /// A well-formed answer. `fields` are lines without their ends.
    pub fn new(status: u16, fields: &[&str], body: &[u8]) -> Reply {
        let mut bytes = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
        for field in fields {
            bytes.push_str(field);
            bytes.push_str("\r\n");
        }
        let bytes = [bytes.as_bytes(), b"\r\n", body].concat();
        Reply { bytes, gate: None, then_close: false }
    }

    /// What a well-behaved origin answers to `asked` for `body`: a part if a range is asked for.
    pub fn honest(asked: &Asked, fields: &[&str], body: &[u8]) -> Reply {
        let etag = fields.iter().find_map(|field| field.strip_prefix("ETag: "));
        let is_same = asked.field("if-range").is_none_or(|tag| Some(tag) == etag);
        let Some(range) = asked.field("range").filter(|_| is_same) else {
            return Reply::new(200, fields, body);
        };
        let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let first: usize = first.parse().unwrap();
        if first >= body.len() {
            let total = format!("Content-Range: bytes */{}", body.len());
            return Reply::new(416, &[&total], b"");
        }
        let last = last.parse::<usize>().map_or(body.len() - 1, |last| last.min(body.len() - 1));
        let content_range = format!("Content-Range: bytes {first}-{last}/{}", body.len());
        Reply::new(206, &[fields, &[&content_range]].concat(), &body[first..=last])
    }

    /// Cuts the connection after `body_bytes` of the body.
    pub fn cut_after(mut self, body_bytes: usize) -> Reply {
        self.bytes.truncate(self.head_bytes() + body_bytes);
        self.then_close = true;
        self
    }

    /// Sends `body_bytes` of the body (nothing at all, if zero) and the rest when `gate` is opened.
    pub fn held_after(mut self, body_bytes: usize, gate: &Arc<Gate>) -> Reply {
        let at = if body_bytes == 0 { 0 } else { self.head_bytes() + body_bytes };
        self.gate = Some((at, gate.clone()));
        self
    }

    fn head_bytes(&self) -> usize {
        self.bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4
    }

    fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let at = self.gate.as_ref().map_or(0, |(at, _)| *at);
        stream.write_all(&self.bytes[..at])?;
        if let Some((_, gate)) = &self.gate {
            gate.pass();
        }
        stream.write_all(&self.bytes[at..])
    }
}

/// The origin. Its threads end with the test's process.
pub struct ScriptedOrigin {
    pub address: OriginAddress,
    asked: Arc<Mutex<Vec<Asked>>>,
}

type Script = dyn Fn(&Asked) -> Reply + Send + Sync;

impl ScriptedOrigin {
    pub fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> ScriptedOrigin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, script): (_, Arc<Script>) = (asked.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, script) = (log.clone(), script.clone());
                std::thread::spawn(move || drop(serve(stream.unwrap(), &log, &*script)));
            }
        });
        ScriptedOrigin { address: OriginAddress::http("127.0.0.1", port), asked }
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// `Range` of every request so far; empty where there was none.
    pub fn ranges(&self) -> Vec<String> {
        self.asked().iter().map(|asked| asked.field("range").unwrap_or("").to_owned()).collect()
    }

    /// An address nobody listens on.
    pub fn nowhere() -> OriginAddress {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        OriginAddress::http("127.0.0.1", port)
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, script: &Script) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let asked = {
            let mut log = log.lock().unwrap();
            let head = String::from_utf8(head).unwrap();
            let asked = Asked { number: log.len(), head };
            log.push(asked.clone());
            asked
        };
        let reply = script(&asked);
        reply.send(&mut stream)?;
        if reply.then_close {
            return Ok(());
        }
    }
}
