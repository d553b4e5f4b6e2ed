//! An origin that answers by script, and numbers its answers.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

/// A request as the origin saw it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// Fields in their order.
    pub fields: Vec<(String, String)>,
}

impl Asked {
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Answers to one target: the first to the first request, the last to all that follow. An answer is
/// `status|Name: value|…`, after interim ones that end in `||`; `cut` closes the connection; `@N|…` is version N,
/// which is not sent to who names it, with the number of the answer in `X-Number`.
type Script = Vec<String>;

#[derive(Default)]
struct Shared {
    scripts: HashMap<String, Script>,
    asked: HashMap<String, Vec<Asked>>,
}

/// A running origin; its threads end with the test's process.
pub struct Origin {
    addr: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl Origin {
    pub fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let addr = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Mutex::new(Shared::default()));
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = serving.clone();
                std::thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        Origin { addr, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Sets the answers to `target`.
    pub fn script(&self, target: &str, answers: &[&str]) {
        let answers = answers.iter().map(|answer| answer.to_string()).collect();
        lock(&self.shared).scripts.insert(target.into(), answers);
    }

    /// What was asked of `target` so far.
    pub fn asked(&self, target: &str) -> Vec<Asked> {
        lock(&self.shared).asked.get(target).cloned().unwrap_or_default()
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("nothing panics under it")
}

fn serve(mut stream: TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    loop {
        let (target, asked) = request(&mut stream)?;
        let is_head = asked.method == "HEAD";
        let condition = asked.field("if-none-match").map(str::to_owned);
        let (number, answer) = {
            let mut shared = lock(shared);
            let all = shared.asked.entry(target.clone()).or_default();
            all.push(asked);
            let number = all.len();
            let script = shared.scripts.get(&target).cloned().unwrap_or_default();
            let at = number.min(script.len()).max(1) - 1;
            (number, script.get(at).cloned().unwrap_or_else(|| "404".into()))
        };
        if answer == "cut" {
            return Ok(());
        }
        let body = match answer.strip_prefix('@').and_then(|rest| rest.split_once('|')) {
            Some((version, _)) => format!("version {version}"),
            None => format!("answer {number}"),
        };
        let (interims, answer) = answer.rsplit_once("||").unwrap_or(("", &answer));
        for interim in interims.split("||").filter(|interim| !interim.is_empty()) {
            stream.write_all(&response(interim, "", true))?;
        }
        let answer = versioned(answer, number, condition.as_deref());
        stream.write_all(&response(&answer, &body, is_head))?;
    }
}

/// The answer to a request with this `If-None-Match`.
fn versioned(answer: &str, number: usize, condition: Option<&str>) -> String {
    let Some((_, fields)) = answer.strip_prefix('@').and_then(|rest| rest.split_once('|')) else {
        return answer.into();
    };
    let holds = condition.is_some_and(|tag| fields.contains(&format!("ETag: {tag}")));
    format!("{}|X-Number: {number}|{fields}", if holds { 304 } else { 200 })
}

fn response(answer: &str, body: &str, is_head: bool) -> Vec<u8> {
    let (status, fields) = answer.split_once('|').unwrap_or((answer, ""));
    let body = if matches!(status, "204" | "304") { "" } else { body };
    let mut text = format!("HTTP/1.1 {status} Scripted\r\n");
    for field in fields.split('|').filter(|field| !field.is_empty()) {
        text += &format!("{field}\r\n");
    }
    if !matches!(status, "102" | "103" | "204" | "304") {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text += "\r\n";
    if !is_head {
        text += body;
    }
    text.into_bytes()
}

fn request(stream: &mut TcpStream) -> io::Result<(String, Asked)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.trim_end().split("\r\n");
    let mut line = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
    let field = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        (name.to_owned(), value.trim().to_owned())
    };
    Ok((target.into(), Asked { method: method.into(), fields: lines.map(field).collect() }))
}
