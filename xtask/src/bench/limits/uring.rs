//! The same on tokio-uring, so that the choice of the raw ring stays checked.

use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result};
use rustix::fd::OwnedFd;
use tokio_uring::net::{TcpListener, TcpStream};

use super::head;

/// A worker with its answer in memory; returns only with an error.
pub fn constant(listener: OwnedFd, file: &Path) -> Result<()> {
    let body = std::fs::read(file).context("could not read the file")?;
    let mut answer = head("200 OK", body.len() as u64);
    answer.extend_from_slice(&body);
    // Kept for ever: the ring needs the bytes to stay, and copying them would be measured.
    let answer: &'static [u8] = Vec::leak(answer);
    tokio_uring::start(async move {
        let listener = Rc::new(TcpListener::from_std(listener.into()));
        loop {
            let (stream, _) = listener.accept().await.context("accept failed")?;
            tokio_uring::spawn(one(stream, answer));
        }
    })
}

/// Until the client leaves, or breaks.
async fn one(stream: TcpStream, answer: &'static [u8]) {
    let mut buffer = vec![0; 2048];
    loop {
        let (got, back) = stream.read(buffer).await;
        buffer = back;
        match got {
            Ok(got) if got > 0 && buffer[..got].ends_with(b"\r\n\r\n") => {}
            _ => return,
        }
        if stream.write_all(answer).await.0.is_err() {
            return;
        }
    }
}
