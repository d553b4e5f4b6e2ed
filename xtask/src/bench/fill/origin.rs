//! An origin that is far away: a wait before the first byte, a rate for each connection or for all of
//! them, ranges, versions. What a path names is how it is served, so that one origin does for all.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Sent at once, between two waits.
const PIECE_BYTES: u64 = 32 << 10;

/// How an object is served.
#[derive(Clone, Copy)]
pub struct Manner {
    /// Length, bytes.
    pub len: u64,
    /// Wait before a head, ms.
    pub first_byte_ms: u64,
    /// Bytes a second.
    pub bytes_per_s: u64,
    /// Whether each connection has that rate, or all together have it.
    pub by_connection: bool,
}

/// A running origin; it ends with the process.
pub struct Origin {
    /// Where it answers.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    objects: Mutex<HashMap<String, Object>>,
}

struct Object {
    manner: Manner,
    version: u8,
    sent_bytes: u64,
    /// When the next piece may leave, if all connections share one rate.
    free_at: Option<Instant>,
}

impl Origin {
    /// Starts one.
    pub fn start() -> Result<Origin> {
        let listener = TcpListener::bind("127.0.0.1:0").context("could not listen")?;
        let address = listener.local_addr().context("could not read a port")?;
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = own.clone();
                std::thread::spawn(move || drop(converse(&stream, &shared)));
            }
        });
        Ok(Origin { address, shared })
    }

    /// Puts an object at `path`.
    pub fn put(&self, path: &str, manner: Manner) {
        let object = Object { manner, version: b'a', sent_bytes: 0, free_at: None };
        self.shared.lock().insert(path.to_owned(), object);
    }

    /// Replaces it by another of the same length: every byte of it is the version's letter.
    pub fn change(&self, path: &str) {
        if let Some(object) = self.shared.lock().get_mut(path) {
            object.version += 1;
        }
    }

    /// Body bytes sent of `path` so far.
    pub fn sent_bytes(&self, path: &str) -> u64 {
        self.shared.lock().get(path).map_or(0, |object| object.sent_bytes)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a piece of `path` and says when the next may leave.
    fn take(&self, path: &str, bytes: u64, mine: &mut Option<Instant>) -> Option<Instant> {
        let mut objects = self.lock();
        let object = objects.get_mut(path)?;
        object.sent_bytes += bytes;
        let Manner { bytes_per_s, by_connection, .. } = object.manner;
        let free_at = if by_connection { mine } else { &mut object.free_at };
        let now = Instant::now();
        // Time that was not used is lost, but for what a sleep overshoots.
        let from = free_at.map_or(now, |at| at.max(now - Duration::from_millis(20)));
        *free_at = Some(from + Duration::from_secs_f64(bytes as f64 / bytes_per_s as f64));
        *free_at
    }
}

fn converse(mut stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
        let (mut range, mut wanted_tag) = (None, None);
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "range" => range = Some(value.trim().to_owned()),
                "if-range" => wanted_tag = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        let found = shared.lock().get(&path).map(|object| (object.manner, object.version));
        let Some((manner, version)) = found else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        let tag = format!("\"{}\"", version as char);
        let range = range.filter(|_| wanted_tag.is_none_or(|wanted| wanted == tag));
        let part = range.and_then(|range| part(&range, manner.len));
        std::thread::sleep(Duration::from_millis(manner.first_byte_ms));
        stream.write_all(head(part, manner.len, &tag).as_bytes())?;
        let (start, end) = part.unwrap_or((0, manner.len));
        send(stream, shared, &path, (start, end), version)?;
    }
}

fn part(range: &str, len: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let start = first.parse().ok()?;
    let end = last.parse().map_or(len, |last: u64| len.min(last + 1));
    (start < end).then_some((start, end))
}

fn head(part: Option<(u64, u64)>, len: u64, tag: &str) -> String {
    let fields = format!("ETag: {tag}\r\nCache-Control: max-age=3600\r\nAccept-Ranges: bytes\r\n");
    match part {
        Some((start, end)) => format!(
            "HTTP/1.1 206 Part\r\n{fields}Content-Range: bytes {start}-{}/{len}\r\n\
             Content-Length: {}\r\n\r\n",
            end - 1,
            end - start
        ),
        None => format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {len}\r\n\r\n"),
    }
}

fn send(
    mut stream: &TcpStream,
    shared: &Shared,
    path: &str,
    (start, end): (u64, u64),
    version: u8,
) -> std::io::Result<()> {
    let piece = vec![version; PIECE_BYTES as usize];
    let (mut at, mut mine) = (start, None);
    while at < end {
        let bytes = PIECE_BYTES.min(end - at);
        let next = shared.take(path, bytes, &mut mine);
        stream.write_all(&piece[..bytes as usize])?;
        at += bytes;
        if let Some(wait) = next.and_then(|next| next.checked_duration_since(Instant::now())) {
            std::thread::sleep(wait);
        }
    }
    Ok(())
}
