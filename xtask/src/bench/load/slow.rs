//! Clients that only sit there, or take what they asked for at their leisure.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with, sockopt,
};

use super::{client::head_of, connect, get};

/// Connections that one source address makes; each has ports for some more.
const CONNS_AN_ADDRESS: usize = 50_000;
/// What the sockets of slow readers hold: their rate is to be felt by the server.
const SLOW_BUFFER_BYTES: usize = 32 * 1024;

/// `count` connections that have had one answer each and stay open.
pub fn idle(server: SocketAddr, count: usize, path: &str) -> Result<Vec<TcpStream>> {
    let request = get(path, None, false);
    (0..count).map(|index| one(server, source(index), &request)).collect()
}

/// The address that the `index`th of many connections comes from: any of 127/8 is ours.
fn source(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, 1 + (index / CONNS_AN_ADDRESS) as u8)
}

fn one(server: SocketAddr, from: Ipv4Addr, request: &[u8]) -> Result<TcpStream> {
    let mut stream = connect_from(from, server, None)?;
    stream.write_all(request).context("could not ask")?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let got = stream.read(&mut chunk).context("could not read an answer")?;
        anyhow::ensure!(got > 0, "the server closed a connection that was to stay open");
        bytes.extend_from_slice(&chunk[..got]);
        if let Some(head) = head_of(&bytes)?
            && bytes.len() as u64 == head.len as u64 + head.body
        {
            return Ok(stream);
        }
    }
}

fn connect_from(from: Ipv4Addr, server: SocketAddr, buffer: Option<usize>) -> Result<TcpStream> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .context("could not make a socket")?;
    // Before the handshake, which tells the other side what there is room for.
    if let Some(bytes) = buffer {
        sockopt::set_socket_recv_buffer_size(&socket, bytes).context("could not set SO_RCVBUF")?;
    }
    bind(&socket, &SocketAddr::from((from, 0))).context("could not bind a socket")?;
    rustix::net::connect(&socket, &server)
        .with_context(|| format!("could not connect to {server}"))?;
    Ok(socket.into())
}

/// Downloads of one file that take their bytes at a pace.
pub struct Slow {
    streams: Vec<TcpStream>,
    /// Bytes that came.
    pub bytes: u64,
}

impl Slow {
    /// Asks for `path` on `count` connections.
    pub fn begin(server: SocketAddr, count: usize, path: &str) -> Result<Slow> {
        let request = get(path, None, false);
        let ask = |index| {
            let mut stream = connect_from(source(index), server, Some(SLOW_BUFFER_BYTES))?;
            stream.write_all(&request).context("could not ask")?;
            Ok(stream)
        };
        Ok(Slow { streams: (0..count).map(ask).collect::<Result<_>>()?, bytes: 0 })
    }

    /// Downloads under way.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Takes up to `bytes` of each that has some; fails when the server has closed one.
    pub fn take(&mut self, bytes: usize) -> Result<()> {
        let mut scratch = vec![0; bytes];
        for stream in &self.streams {
            match recv(stream, &mut scratch, RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
                Ok((_, 0)) => anyhow::bail!("the server closed a download that was under way"),
                Ok((_, got)) => self.bytes += got as u64,
                Err(Errno::AGAIN) => {}
                Err(error) => return Err(error).context("could not read a download"),
            }
        }
        Ok(())
    }
}

/// Fetches a whole body, blocking; `bytes` grows as it comes, `over` ends it early.
pub fn fetch(server: SocketAddr, path: &str, over: &AtomicBool, bytes: &AtomicU64) -> Result<()> {
    let mut stream = connect(server)?;
    stream.write_all(&get(path, None, false)).context("could not ask")?;
    let mut head = Vec::new();
    let mut scratch = vec![0; 1 << 20];
    let mut missing = loop {
        let got = stream.read(&mut scratch[..8192]).context("could not read an answer")?;
        anyhow::ensure!(got > 0, "the server closed before its answer");
        head.extend_from_slice(&scratch[..got]);
        if let Some(answer) = head_of(&head)? {
            anyhow::ensure!(answer.status == 200, "status {}", answer.status);
            let early = (head.len() - answer.len) as u64;
            bytes.fetch_add(early, Ordering::Relaxed);
            break answer.body - early;
        }
    };
    while missing > 0 && !over.load(Ordering::Relaxed) {
        let want = missing.min(scratch.len() as u64) as usize;
        let (_, got) = recv(&stream, &mut scratch[..want], RecvFlags::TRUNC)?;
        anyhow::ensure!(got > 0, "the server closed before the end of its answer");
        bytes.fetch_add(got as u64, Ordering::Relaxed);
        missing -= got as u64;
    }
    Ok(())
}
