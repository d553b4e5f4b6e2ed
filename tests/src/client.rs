//! A small HTTP/1.1 client that hides nothing: raw bytes out, framing checked on the way in.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Duration;

use crate::message::{Head, Response};

/// A node that says nothing for so long hangs.
const HANG: Duration = Duration::from_secs(60);
const HEAD_MAX_BYTES: usize = 128 * 1024;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// With FIN.
    Fin,
    /// With RST.
    Reset,
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    received_bytes: u64,
    host: String,
}

impl Client {
    /// Connects, or panics.
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> Client {
        Client::try_connect(addr).unwrap_or_else(|e| panic!("connect to {addr}: {e}"))
    }

    /// Connects.
    pub fn try_connect(addr: SocketAddr) -> io::Result<Client> {
        Client::over(TcpStream::connect_timeout(&addr, HANG)?)
    }

    fn over(stream: TcpStream) -> io::Result<Client> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HANG))?;
        stream.set_write_timeout(Some(HANG))?;
        Ok(Client { stream, buffer: Vec::new(), received_bytes: 0, host: "edge.test".into() })
    }

    /// Connects from another address of this host, such as 127.0.0.2; panics when that fails.
    #[track_caller]
    pub fn connect_from(from: std::net::IpAddr, addr: SocketAddr) -> Client {
        Client::bound(from, addr).unwrap_or_else(|e| panic!("connect from {from} to {addr}: {e}"))
    }

    fn bound(from: std::net::IpAddr, addr: SocketAddr) -> io::Result<Client> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType};
        let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        rustix::net::bind(&socket, &SocketAddr::new(from, 0))?;
        rustix::net::connect(&socket, &addr)?;
        Client::over(TcpStream::from(socket))
    }

    /// The same connection, asking for `host` from now on.
    pub fn with_host(mut self, host: &str) -> Client {
        self.host = host.into();
        self
    }

    /// Bytes taken from the socket so far.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Sends raw bytes, or panics.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap_or_else(|e| panic!("send: {e}"));
    }

    /// Sends raw bytes; fails when the node has closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a request without a body.
    #[track_caller]
    pub fn request(&mut self, method: &str, target: &str, fields: &[(&str, &str)]) {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in fields {
            text += &format!("{name}: {value}\r\n");
        }
        self.send(text + "\r\n");
    }

    /// GET and its whole response; panics when there is none.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Response {
        self.get_with(target, &[])
    }

    /// GET with further fields.
    #[track_caller]
    pub fn get_with(&mut self, target: &str, fields: &[(&str, &str)]) -> Response {
        self.request("GET", target, fields);
        self.response("GET").unwrap_or_else(|e| panic!("GET {target} {fields:?}: {e}"))
    }

    /// GET of which only the head is read: the body is left to [`Client::body`] and the like.
    #[track_caller]
    pub fn start(&mut self, target: &str) -> Head {
        self.request("GET", target, &[]);
        self.head().unwrap_or_else(|e| panic!("GET {target}: {e}"))
    }

    /// Reads the response to a request of `method` that was sent before. A body that breaks off is
    /// no error: [`Response::complete`] says so.
    pub fn response(&mut self, method: &str) -> io::Result<Response> {
        let head = self.head()?;
        let mut body = Vec::new();
        let complete = self.body(&head, method, &mut |piece| body.extend_from_slice(piece)).is_ok();
        Ok(Response { head, body, complete })
    }

    /// Reads a response head.
    pub fn head(&mut self) -> io::Result<Head> {
        let bytes = self.take_through(b"\r\n\r\n", HEAD_MAX_BYTES)?;
        Head::parse(&bytes).ok_or_else(|| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            io::Error::new(ErrorKind::InvalidData, format!("not a response head: {text:?}"))
        })
    }

    /// Reads the body that `head` announces and returns its length; `UnexpectedEof` or
    /// `ConnectionReset` when it is cut.
    pub fn body(
        &mut self,
        head: &Head,
        method: &str,
        sink: &mut dyn FnMut(&[u8]),
    ) -> io::Result<u64> {
        if !head.has_body(method) {
            Ok(0)
        } else if head.is_chunked() {
            self.chunks(sink)
        } else if let Some(len) = head.content_length() {
            self.exactly(len, sink)?;
            Ok(len)
        } else {
            self.until_close(sink)
        }
    }

    /// Reads `count` bytes as they are.
    #[track_caller]
    pub fn take(&mut self, count: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.exactly(count, &mut |piece| bytes.extend_from_slice(piece))
            .unwrap_or_else(|e| panic!("wanted {count} bytes, got {}: {e}", bytes.len()));
        bytes
    }

    /// Reads and drops everything up to the end of the connection; panics when it does not end.
    #[track_caller]
    pub fn closed(&mut self) -> Closed {
        match self.until_close(&mut |_| ()) {
            Ok(_) => Closed::Fin,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Closed::Reset,
            Err(error) => panic!("expected the node to close the connection: {error}"),
        }
    }

    /// Says that nothing more will be sent; no news to a node that has closed already.
    pub fn half_close(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with RST.
    pub fn reset(self) {
        let zero = Some(Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(&self.stream, zero).expect("SO_LINGER");
    }

    /// A second handle of the connection that only sends, for another thread.
    pub fn sender(&self) -> TcpStream {
        self.stream.try_clone().expect("a descriptor")
    }

    fn chunks(&mut self, sink: &mut dyn FnMut(&[u8])) -> io::Result<u64> {
        let mut total = 0;
        loop {
            let line = self.take_through(b"\r\n", 1024)?;
            let text = String::from_utf8_lossy(&line[..line.len() - 2]).into_owned();
            let size = u64::from_str_radix(&text, 16).map_err(|_| {
                io::Error::new(ErrorKind::InvalidData, format!("not a chunk size: {text:?}"))
            })?;
            self.exactly(size, sink)?;
            if self.take_through(b"\r\n", 1024)? != b"\r\n" {
                return Err(io::Error::new(ErrorKind::InvalidData, "a chunk longer than it says"));
            }
            if size == 0 {
                return Ok(total);
            }
            total += size;
        }
    }

    fn exactly(&mut self, count: u64, sink: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            if self.buffer.is_empty() && self.receive()? == 0 {
                let text = format!("closed with {left} of {count} bytes missing");
                return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
            }
            let now = left.min(self.buffer.len() as u64) as usize;
            sink(&self.buffer[..now]);
            self.buffer.drain(..now);
            left -= now as u64;
        }
        Ok(())
    }

    fn until_close(&mut self, sink: &mut dyn FnMut(&[u8])) -> io::Result<u64> {
        let mut total = 0;
        loop {
            sink(&self.buffer);
            total += self.buffer.len() as u64;
            self.buffer.clear();
            if self.receive()? == 0 {
                return Ok(total);
            }
        }
    }

    /// Bytes up to and with `end`.
    fn take_through(&mut self, end: &[u8], max: usize) -> io::Result<Vec<u8>> {
        let mut looked_at = 0usize;
        loop {
            let from = looked_at.saturating_sub(end.len() - 1);
            let found = self.buffer[from..].windows(end.len()).position(|bytes| bytes == end);
            if let Some(at) = found {
                return Ok(self.buffer.drain(..from + at + end.len()).collect());
            }
            looked_at = self.buffer.len();
            if looked_at > max {
                return Err(io::Error::new(ErrorKind::InvalidData, "no end in sight"));
            }
            if self.receive()? == 0 {
                let text = format!("closed after {looked_at} bytes of a head");
                return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
            }
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        let before = self.buffer.len();
        self.buffer.resize(before + 64 * 1024, 0);
        let received = self.stream.read(&mut self.buffer[before..]);
        self.buffer.truncate(before + *received.as_ref().unwrap_or(&0));
        self.received_bytes += *received.as_ref().unwrap_or(&0) as u64;
        received.map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => {
                io::Error::new(ErrorKind::TimedOut, format!("nothing came for {HANG:?}"))
            }
            _ => error,
        })
    }
}

/// GET on a connection of its own, with a range if one is given.
#[track_caller]
pub fn fetch(addr: SocketAddr, target: &str, range: Option<Range<u64>>) -> Response {
    let mut client = Client::connect(addr);
    match range {
        None => client.get(target),
        Some(range) => {
            let value = format!("bytes={}-{}", range.start, range.end - 1);
            client.get_with(target, &[("Range", &value)])
        }
    }
}
