//! The connections of one generator thread, under one epoll.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with, sockopt,
};
use rustix::time::Timespec;

use super::{Load, Outcome};

/// A first read may copy this much; the rest of a body is discarded.
const READ_BYTES: usize = 8 * 1024;
/// Discarded per call at most.
const DISCARD_BYTES: usize = 1 << 20;
/// Reads of one connection before the others have theirs.
const READS_A_TURN: usize = 8;
const EVENTS: usize = 256;
/// A turn ends after this even when nothing happens.
const TURN_MAX: Duration = Duration::from_millis(10);
const TURN: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// A server that breaks so many connections is not measured further.
const ERRORS_MAX: u64 = 1_000;

/// Connections and what came of them.
pub struct Crowd<'l> {
    load: &'l Load,
    epoll: OwnedFd,
    events: Vec<Event>,
    clients: Vec<Client>,
    scratch: Vec<u8>,
    pace: Option<Pace>,
    /// Counted since it was last replaced.
    pub outcome: Outcome,
}

/// When requests are due that do not wait for answers.
struct Pace {
    interval: Duration,
    due: Instant,
    /// Connections that wait for a request.
    resting: Vec<usize>,
}

struct Client {
    stream: OwnedFd,
    /// The handshake is under way, nothing was asked.
    connecting: bool,
    /// The next request's place in the list.
    next: usize,
    asked: Instant,
    head: Vec<u8>,
    /// Body bytes that are still to come; `None`: the head is.
    missing: Option<u64>,
}

/// What an answer's head says.
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Its own length.
    pub len: usize,
    /// The body's length.
    pub body: u64,
}

impl<'l> Crowd<'l> {
    /// Connects and asks for the first time.
    pub fn connect(load: &'l Load, thread: usize, connections: usize) -> Result<Crowd<'l>> {
        let mut crowd = Crowd {
            load,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).context("could not make an epoll")?,
            events: Vec::with_capacity(EVENTS),
            clients: Vec::with_capacity(connections),
            scratch: vec![0; DISCARD_BYTES],
            pace: load.rate.map(|rate| Pace {
                interval: Duration::from_secs_f64(load.threads() as f64 / rate),
                due: Instant::now(),
                resting: Vec::with_capacity(connections),
            }),
            outcome: Outcome::new(0.0),
        };
        for index in 0..connections {
            let stream = begin(load.server)?;
            // Primes, so that no two connections walk in step.
            let next = thread * 7_919 + index * 104_729;
            let asked = Instant::now();
            crowd.clients.push(Client {
                stream,
                connecting: true,
                next,
                asked,
                head: Vec::new(),
                missing: None,
            });
            crowd.join(index)?;
        }
        Ok(crowd)
    }

    /// Handles what happened, or waits a little.
    pub fn turn(&mut self) -> Result<()> {
        self.events.clear();
        self.ask_what_is_due()?;
        let turn = self.pace.as_ref().map_or(TURN, |pace| {
            let left = pace.due.saturating_duration_since(Instant::now());
            let left = if pace.resting.is_empty() { TURN_MAX } else { left.min(TURN_MAX) };
            Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) }
        });
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&turn)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => bail!("epoll failed: {error}"),
        }
        for at in 0..self.events.len() {
            let index = self.events[at].data.u64() as usize;
            if self.read(index).is_err() {
                self.outcome.errors += 1;
                if self.outcome.errors > ERRORS_MAX {
                    bail!("{} broke more than {ERRORS_MAX} connections", self.load.server);
                }
                self.reconnect(index)?;
            }
        }
        Ok(())
    }

    /// Reads what there is, or a connection's share of it; an error is this connection's own.
    fn read(&mut self, index: usize) -> Result<()> {
        if self.clients[index].connecting {
            return self.connected(index);
        }
        for _ in 0..READS_A_TURN {
            let client = &mut self.clients[index];
            let got = match client.missing {
                None => recv(&client.stream, &mut self.scratch[..READ_BYTES], RecvFlags::DONTWAIT),
                Some(missing) => {
                    let len = missing.min(DISCARD_BYTES as u64) as usize;
                    let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
                    recv(&client.stream, &mut self.scratch[..len], flags)
                }
            };
            let got = match got {
                Ok((_, 0)) => bail!("closed early"),
                Ok((_, got)) => got,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => bail!(error),
            };
            let missing = match client.missing {
                Some(missing) => missing,
                None => {
                    client.head.extend_from_slice(&self.scratch[..got]);
                    let Some(head) = head_of(&client.head)? else { continue };
                    if !matches!(head.status, 200 | 206) {
                        bail!("status {}", head.status);
                    }
                    // What came with the head is taken off below.
                    let early = client.head.len() - head.len;
                    client.head.clear();
                    self.outcome.bytes += early as u64;
                    client.missing = Some(head.body - early as u64);
                    if client.missing == Some(0) { 0 } else { continue }
                }
            };
            let discarded = missing.min(got as u64);
            self.outcome.bytes += discarded;
            client.missing = Some(missing - discarded);
            if client.missing == Some(0) {
                return self.answered(index);
            }
        }
        Ok(())
    }

    fn answered(&mut self, index: usize) -> Result<()> {
        let client = &mut self.clients[index];
        self.outcome.requests += 1;
        self.outcome.latency.add(client.asked.elapsed().as_nanos() as u64);
        match &mut self.pace {
            _ if self.load.churn => self.reconnect(index),
            Some(pace) => {
                pace.resting.push(index);
                Ok(())
            }
            None => self.ask(index),
        }
    }

    /// Sends the requests whose time has come, as long as there are connections for them.
    fn ask_what_is_due(&mut self) -> Result<()> {
        let now = Instant::now();
        while let Some(pace) = self.pace.as_mut().filter(|pace| pace.due <= now) {
            let Some(index) = pace.resting.pop() else { break };
            let due = pace.due;
            pace.due += pace.interval;
            match self.ask(index) {
                Ok(()) => self.clients[index].asked = due,
                Err(_) => {
                    self.outcome.errors += 1;
                    self.reconnect(index)?;
                }
            }
        }
        Ok(())
    }

    fn reconnect(&mut self, index: usize) -> Result<()> {
        let asked = Instant::now();
        let client = &mut self.clients[index];
        // Closing the old one takes it out of the epoll.
        client.stream = begin(self.load.server)?;
        client.connecting = true;
        client.head.clear();
        client.asked = asked;
        self.join(index)
    }

    fn join(&mut self, index: usize) -> Result<()> {
        let data = EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &self.clients[index].stream, data, EventFlags::OUT)
            .context("could not watch a connection")
    }

    fn connected(&mut self, index: usize) -> Result<()> {
        let client = &mut self.clients[index];
        sockopt::socket_error(&client.stream)??;
        client.connecting = false;
        let data = EventData::new_u64(index as u64);
        epoll::modify(&self.epoll, &client.stream, data, EventFlags::IN)
            .context("could not watch a connection")?;
        let asked = client.asked;
        if let Some(pace) = &mut self.pace {
            pace.resting.push(index);
            return Ok(());
        }
        self.ask(index)?;
        if self.load.churn {
            // The handshake counts.
            self.clients[index].asked = asked;
        }
        Ok(())
    }

    fn ask(&mut self, index: usize) -> Result<()> {
        let client = &mut self.clients[index];
        let request = &self.load.requests[client.next % self.load.requests.len()];
        client.next += 1;
        client.missing = None;
        client.asked = Instant::now();
        let sent = send(&client.stream, request, SendFlags::NOSIGNAL)?;
        if sent < request.len() {
            bail!("a request did not fit into an empty socket");
        }
        Ok(())
    }
}

/// A connection whose handshake is under way: waiting for it here would stop all others.
fn begin(server: SocketAddr) -> Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
        .context("could not make a socket")?;
    sockopt::set_tcp_nodelay(&socket, true).context("could not set TCP_NODELAY")?;
    match rustix::net::connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => bail!("could not connect to {server}: {error}"),
    }
}

/// The head of an answer once it is there; chunked bodies are for none of the files measured here.
pub fn head_of(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        if bytes.len() > READ_BYTES {
            bail!("a head without end");
        }
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end]).context("a head that is no text")?;
    let status = text.get(9..12).and_then(|code| code.parse().ok()).context("no status")?;
    let body = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let body = body.context("an answer without Content-Length")?;
    let early = (bytes.len() - end - 4) as u64;
    if early > body {
        bail!("more bytes than promised");
    }
    Ok(Some(Head { status, len: end + 4, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_broken_ones_refused() {
        let head =
            head_of(b"HTTP/1.1 206 Partial\r\ncontent-LENGTH: 5\r\n\r\nab").unwrap().unwrap();
        assert_eq!((head.status, head.body), (206, 5));
        assert!(head_of(b"HTTP/1.1 200 OK\r\nContent-Le").unwrap().is_none());
        assert!(head_of(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(head_of(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab").is_err());
        assert!(head_of(&[b'x'; READ_BYTES + 1]).is_err());
    }
}
