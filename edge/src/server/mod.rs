//! The node: its planes put together, its life from start to drain.
//!
//! The calling thread becomes the control plane: a tokio runtime for signals and the admin API.
#![forbid(unsafe_code)]

mod accounts;
mod certificates;
mod conns;
mod content_lines;
mod domains;
mod explain;
mod explain_access;
mod explain_reuse;
mod node;
mod origins;
mod planes;
mod prefetch;
mod purge;
mod reload;
mod verdicts;
mod verify;
mod view;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin;
use crate::config::Config;
use crate::sys;
use crate::worker::Phase;
use node::Node;

/// Why the node did not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address that cannot be listened on.
    #[error(
        "cannot listen on {addr}: {source} (is another server using it? choose another `listen.addr`)"
    )]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The admin door cannot be opened.
    #[error(transparent)]
    Admin(#[from] admin::AdminError),
    /// The access log cannot be opened.
    #[error("cannot open the access log {path:?}: {source}")]
    Log {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] crate::cache::StoreError),
    /// The file of countries cannot be used.
    #[error(transparent)]
    Geo(#[from] crate::site::GeoError),
    /// An origin cannot be asked.
    #[error("{0}")]
    Origin(String),
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    /// A worker could not make its ring.
    #[error(transparent)]
    Ring(crate::ring::RingError),
    /// A thread or its descriptors could not be had.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// Runs a node until it is told to end (`SIGTERM`, `SIGINT`) and has drained. `source` is the file
/// that `SIGHUP` reads again.
pub fn serve(config: Config, source: Option<PathBuf>) -> Result<(), ServerError> {
    sys::thread::ignore_sigpipe();
    if let Err(error) = sys::limits::raise_open_files() {
        tracing::warn!(%error, "the limit of open files was not raised");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServerError::Thread)?;
    let node = Arc::new(Node::start(config, source)?);
    let result = runtime.block_on(control(&node));
    node.end();
    // The admin task holds the node; with both gone the log is written out.
    drop(runtime);
    result
}

/// The control plane's life.
async fn control(node: &Arc<Node>) -> Result<(), ServerError> {
    let mut signals = Signals::new().map_err(ServerError::Thread)?;
    let admin = admin::bind(&node.config().admin).await?;
    for addr in node.addresses() {
        eprintln!("listening on {addr}");
    }
    if let Some(addr) = admin.addr() {
        eprintln!("admin on {addr}");
    }
    if let Some(socket) = admin.socket() {
        eprintln!("admin on {}", socket.display());
    }
    eprintln!("ready");
    let doors = tokio::spawn(admin.run(node.clone()));
    let prefetches = tokio::spawn(node.prefetches.clone().run());
    let mut sweep = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = signals.hangup.recv() => node.reload_logged(),
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = sweep.tick() => node.tick(),
        }
    }
    let drain = Duration::from_millis(node.config().server.drain_timeout_ms);
    prefetches.abort();
    drain_workers(node, drain, &mut signals).await;
    doors.abort();
    // Only then is the socket file gone.
    let _ = doors.await;
    Ok(())
}

/// Lets running answers finish, for `drain` at most; a second signal ends it at once.
async fn drain_workers(node: &Node, drain: Duration, signals: &mut Signals) {
    let deadline = Instant::now() + drain;
    tracing::info!(seconds = drain.as_secs_f32(), "draining");
    node.order(Phase::Draining);
    while !node.is_drained() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            tracing::warn!("drain time is over: the remaining connections are cut");
            break;
        }
        tokio::select! {
            _ = tokio::time::sleep(left.min(Duration::from_millis(20))) => {}
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
        }
    }
    node.order(Phase::Stopping);
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}
