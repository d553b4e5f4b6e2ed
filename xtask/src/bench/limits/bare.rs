//! One epoll, one answer.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};
use rustix::pipe::{self, PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with};

use super::head;

const LISTENER: u64 = u64::MAX;
const PIPE_BYTES: usize = 1 << 20;

const EVENTS: usize = 256;

/// What a server does with a connection that can be read or written.
trait Answer {
    /// Fails when the connection is to be closed.
    fn answer(&mut self, socket: &OwnedFd) -> Result<()>;
}

/// A connection that can be served the file.
fn splice_file(path: &Path) -> Result<Spliced> {
    let file = File::open(path).with_context(|| format!("could not open {}", path.display()))?;
    let len = file.metadata()?.len();
    let (out, into) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
    fcntl_setpipe_size(&into, PIPE_BYTES)?;
    Ok(Spliced { file, len, pipe: (out, into), piped: 0, at: 0, end: 0, request: Vec::new() })
}

/// A worker that splices; returns only with an error.
pub fn splice(listener: &OwnedFd, file: &Path) -> Result<()> {
    serve(listener, || splice_file(file))
}

/// A worker with its answer in memory; returns only with an error.
pub fn constant(listener: &OwnedFd, file: &Path) -> Result<()> {
    let body = std::fs::read(file).context("could not read the file")?;
    let mut answer = head("200 OK", body.len() as u64);
    answer.extend_from_slice(&body);
    serve(listener, || Ok(Constant { answer: &answer, left: 0 }))
}

fn serve<A: Answer>(listener: &OwnedFd, make: impl Fn() -> Result<A>) -> Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
    let mut conns: Vec<Option<(OwnedFd, A)>> = Vec::new();
    loop {
        events.clear();
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => bail!("epoll failed: {error}"),
        }
        for event in &events {
            let token = event.data.u64();
            if token == LISTENER {
                accept(listener, &epoll, &mut conns, &make)?;
                continue;
            }
            let slot = &mut conns[token as usize];
            if slot.as_mut().is_some_and(|(socket, answer)| answer.answer(socket).is_err()) {
                *slot = None;
            }
        }
    }
}

fn accept<A: Answer>(
    listener: &OwnedFd,
    epoll: &OwnedFd,
    conns: &mut Vec<Option<(OwnedFd, A)>>,
    make: &impl Fn() -> Result<A>,
) -> Result<()> {
    loop {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = match accept_with(listener, flags) {
            Ok(socket) => socket,
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => bail!("accept failed: {error}"),
        };
        let free = conns.iter().position(Option::is_none).unwrap_or(conns.len());
        // Edge-triggered: writable once means until it blocks.
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        epoll::add(epoll, &socket, EventData::new_u64(free as u64), flags)?;
        if free == conns.len() {
            conns.push(None);
        }
        conns[free] = Some((socket, make()?));
    }
}

struct Constant<'a> {
    answer: &'a [u8],
    left: usize,
}

impl Answer for Constant<'_> {
    fn answer(&mut self, socket: &OwnedFd) -> Result<()> {
        let mut scratch = [0; 2048];
        if self.left == 0 {
            match recv(socket, &mut scratch, RecvFlags::empty()) {
                Ok((_, 0)) => bail!("closed"),
                // Clients here ask for one thing at a time, in one piece: there is no more to read.
                Ok((_, got)) if scratch[..got].ends_with(b"\r\n\r\n") => {
                    self.left = self.answer.len();
                }
                Ok(_) => bail!("half a request"),
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => bail!(error),
            }
        }
        while self.left > 0 {
            let rest = &self.answer[self.answer.len() - self.left..];
            match send(socket, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => self.left -= sent,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => bail!(error),
            }
        }
        Ok(())
    }
}

/// A connection that gets the whole file, or the range asked for.
struct Spliced {
    file: File,
    len: u64,
    pipe: (OwnedFd, OwnedFd),
    piped: usize,
    at: u64,
    end: u64,
    request: Vec<u8>,
}

impl Answer for Spliced {
    fn answer(&mut self, socket: &OwnedFd) -> Result<()> {
        loop {
            while self.piped > 0 || self.at < self.end {
                if self.piped == 0 {
                    let want = (self.end - self.at).min(PIPE_BYTES as u64) as usize;
                    let into = &self.pipe.1;
                    let flags = SpliceFlags::empty();
                    let at = Some(&mut self.at);
                    self.piped = pipe::splice(&self.file, at, into, None, want, flags)?;
                }
                let more =
                    if self.at < self.end { SpliceFlags::MORE } else { SpliceFlags::empty() };
                let flags = SpliceFlags::NONBLOCK | more;
                match pipe::splice(&self.pipe.0, None, socket, None, self.piped, flags) {
                    Ok(0) => bail!("nothing moved"),
                    Ok(moved) => self.piped -= moved,
                    Err(Errno::AGAIN) => return Ok(()),
                    Err(error) => bail!(error),
                }
            }
            let mut scratch = [0; 2048];
            match recv(socket, &mut scratch, RecvFlags::empty()) {
                Ok((_, 0)) => bail!("closed"),
                Ok((_, got)) => self.request.extend_from_slice(&scratch[..got]),
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => bail!(error),
            }
            if self.request.ends_with(b"\r\n\r\n") {
                self.begin(socket)?;
            }
        }
    }
}

impl Spliced {
    fn begin(&mut self, socket: &OwnedFd) -> Result<()> {
        let text = String::from_utf8_lossy(&self.request);
        let range =
            text.lines().find_map(|line| line.strip_prefix("Range: bytes=")?.split_once('-'));
        let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
        (self.at, self.end) = match range {
            Some((first, last)) => (first.parse()?, last.trim().parse::<u64>()? + 1),
            None => (0, self.len),
        };
        self.request.clear();
        let head = head(status, self.end - self.at);
        send(socket, &head, SendFlags::MORE | SendFlags::NOSIGNAL)?;
        Ok(())
    }
}
