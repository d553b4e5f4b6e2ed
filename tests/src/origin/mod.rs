//! A scripted HTTP/1.1 origin: what each path does is data, what it was asked is counted.

mod answer;
mod page;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};

pub use page::{Counts, Cuts, Gate, Hold, Page};

/// A running origin; ends when dropped.
pub struct Origin {
    shared: Arc<Shared>,
    addr: SocketAddr,
}

#[derive(Default)]
struct Shared {
    pages: Mutex<HashMap<String, Page>>,
    counts: Mutex<HashMap<String, Counts>>,
    open: Mutex<HashMap<u64, TcpStream>>,
    connections: AtomicU64,
    down: AtomicBool,
    stopped: AtomicBool,
}

impl Origin {
    /// An origin without pages, on a port the kernel chose.
    pub fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let addr = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let accepting = shared.clone();
        std::thread::spawn(move || accept(&listener, &accepting));
        Origin { shared, addr }
    }

    /// An origin with one page.
    pub fn with(target: &str, page: Page) -> Origin {
        let origin = Origin::start();
        origin.put(target, page);
        origin
    }

    /// What a site's `origin` names.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Makes or replaces the page of a target (path and query).
    pub fn put(&self, target: &str, page: Page) {
        lock(&self.shared.pages).insert(target.into(), page);
    }

    /// Changes a page; requests that are being answered go on with the old one.
    #[track_caller]
    pub fn edit(&self, target: &str, change: impl FnOnce(&mut Page)) {
        change(lock(&self.shared.pages).get_mut(target).expect("a page of that target"));
    }

    /// What was asked of a target so far.
    pub fn counts(&self, target: &str) -> Counts {
        lock(&self.shared.counts).get(target).cloned().unwrap_or_default()
    }

    /// Body bytes sent for all targets.
    pub fn body_bytes(&self) -> u64 {
        lock(&self.shared.counts).values().map(|counts| counts.body_bytes).sum()
    }

    /// Requests for all targets.
    pub fn requests(&self) -> u64 {
        lock(&self.shared.counts).values().map(|counts| counts.requests).sum()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(SeqCst)
    }

    /// Down: every connection is cut, new ones are cut at once. Up again with `false`.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, SeqCst);
        if down {
            self.shared.cut_all();
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        self.shared.cut_all();
        // The acceptor looks at `stopped` when somebody comes.
        let _ = TcpStream::connect(self.addr);
    }
}

impl Shared {
    fn cut_all(&self) {
        for stream in lock(&self.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn is_down(&self) -> bool {
        self.down.load(SeqCst) || self.stopped.load(SeqCst)
    }

    /// Takes note of a request and says what to do with it.
    fn take(&self, request: &Request) -> Page {
        let mut counts = lock(&self.counts);
        let counts = counts.entry(request.target.clone()).or_default();
        counts.requests += 1;
        counts.ranges.push(request.field("range").map(str::to_owned));
        counts.conditional += u64::from(request.field("if-none-match").is_some());
        let mut pages = lock(&self.pages);
        let Some(page) = pages.get_mut(&request.target) else { return Page::missing() };
        let answer = page.clone();
        page.failures_left = page.failures_left.saturating_sub(1);
        answer
    }

    fn count(&self, target: &str, change: impl FnOnce(&mut Counts)) {
        change(lock(&self.counts).entry(target.into()).or_default());
    }
}

struct Request {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
}

impl Request {
    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (id, stream) in (0..).zip(listener.incoming()) {
        if shared.stopped.load(SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        if shared.is_down() {
            continue;
        }
        shared.connections.fetch_add(1, SeqCst);
        let shared = shared.clone();
        std::thread::spawn(move || {
            let Ok(handle) = stream.try_clone() else { return };
            lock(&shared.open).insert(id, handle);
            let _ = converse(&stream, &shared);
            lock(&shared.open).remove(&id);
            // The handle in the table shared the socket: only this ends it for the other side.
            let _ = stream.shutdown(Shutdown::Both);
        });
    }
}

/// Answers requests until the connection ends.
fn converse(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        if shared.is_down() {
            break;
        }
        let page = shared.take(&request);
        skip_body(&mut reader, &request)?;
        answer::answer(stream, shared, &request, &page)?;
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut fields = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => fields.push((name.to_owned(), value.trim().to_owned())),
            None => return Ok(Some(Request { method, target, fields })),
        }
    }
}

/// Reads what a request has for a body, so that it is not taken for the next.
fn skip_body(reader: &mut impl BufRead, request: &Request) -> std::io::Result<()> {
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    if let Some(length) = request.field("content-length") {
        let length = length.parse().map_err(|_| invalid())?;
        return std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).map(drop);
    }
    if request.field("transfer-encoding").is_none() {
        return Ok(());
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim_end(), 16).map_err(|_| invalid())?;
        std::io::copy(&mut reader.by_ref().take(size), &mut std::io::sink())?;
        // The line that ends the chunk, or the trailers.
        line.clear();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        if size == 0 {
            return Ok(());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics under it")
}
