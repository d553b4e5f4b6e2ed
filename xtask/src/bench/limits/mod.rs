//! Bare servers that do nothing but the one thing: what a real one can come near to.
//!
//! They answer every request alike and believe all they are told; they are for this benchmark alone.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rustix::fd::OwnedFd;
use rustix::net::sockopt::{set_socket_reuseaddr, set_socket_reuseport, set_tcp_nodelay};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};

mod bare;
mod uring;

/// What `bench` starts.
#[derive(clap::Args)]
pub struct Arguments {
    /// Which of them
    kind: Kind,
    /// Address to listen on
    address: SocketAddr,
    /// Threads
    workers: usize,
    /// The file every answer carries
    file: PathBuf,
}

/// The bare servers.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// epoll; file to pipe to socket by splice(2)
    Splice,
    /// epoll; head and body ready in memory
    Constant,
    /// tokio-uring; head and body ready in memory
    TokioUring,
}

/// Serves until it is killed.
pub fn serve(arguments: &Arguments) -> Result<()> {
    let listeners: Vec<_> =
        (0..arguments.workers).map(|_| listener(arguments)).collect::<Result<_>>()?;
    let threads: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let (kind, file) = (arguments.kind, arguments.file.clone());
            std::thread::spawn(move || match kind {
                Kind::Splice => bare::splice(&listener, &file),
                Kind::Constant => bare::constant(&listener, &file),
                Kind::TokioUring => uring::constant(listener, &file),
            })
        })
        .collect();
    for thread in threads {
        match thread.join() {
            Ok(ended) => ended?,
            Err(_) => bail!("a worker failed"),
        }
    }
    Ok(())
}

/// The listener of one worker.
fn listener(arguments: &Arguments) -> Result<OwnedFd> {
    let address = arguments.address;
    let flags = match arguments.kind {
        // The ring takes O_NONBLOCK for a wish to be told EAGAIN.
        Kind::TokioUring => SocketFlags::CLOEXEC,
        _ => SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
    };
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
        .context("could not make a socket")?;
    set_socket_reuseaddr(&socket, true)?;
    set_socket_reuseport(&socket, true)?;
    // Inherited by what is accepted.
    set_tcp_nodelay(&socket, true)?;
    bind(&socket, &address).with_context(|| format!("could not bind {address}"))?;
    listen(&socket, 4096)?;
    Ok(socket)
}

/// The head of an answer with `len` body bytes, as long as a real server's.
fn head(status: &str, len: u64) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nServer: bare\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {len}\r\n\
         ETag: \"0000000000000000\"\r\nAccept-Ranges: bytes\r\nConnection: keep-alive\r\n\r\n"
    )
    .into_bytes()
}
