//! Clients that only sit there.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};
use rustix::net::{RecvFlags, recv};

use super::{client::head_of, connect, get};

/// `count` connections that have had one answer each and stay open.
pub fn idle(server: SocketAddr, count: usize, path: &str) -> Result<Vec<TcpStream>> {
    let request = get(path, None, false);
    (0..count).map(|_| one(server, &request)).collect()
}

fn one(server: SocketAddr, request: &[u8]) -> Result<TcpStream> {
    let mut stream = connect(server)?;
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
