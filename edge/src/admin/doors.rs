//! Listening, and how long and how often one may knock.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use super::View;
use super::routes::{self, Door};
use super::socket::{self, SocketFile};
use crate::config;

/// Connections served at once; others wait in the kernel's backlog.
const CONNS_MAX: usize = 64;
/// Longest request head, bytes.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// Time for a request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a whole connection; each serves one request.
const CONN_TIMEOUT: Duration = Duration::from_secs(30);
/// Rest after an accept that failed, such as for want of descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Why the admin server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The TCP address.
    #[error("admin cannot listen on {addr}: {source}; is another node running? change admin.addr")]
    Bind {
        /// As configured.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The Unix socket.
    #[error("admin cannot {op} the socket {path}: {source}", path = path.display())]
    Socket {
        /// What failed.
        op: &'static str,
        /// As configured.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another node has the Unix socket.
    #[error("another node answers on the socket {path}; change admin.socket", path = path.display())]
    SocketInUse {
        /// As configured.
        path: PathBuf,
    },
    /// Something else is where the Unix socket should be.
    #[error("{path} is there and is not a socket; remove it or change admin.socket", path = path.display())]
    NotASocket {
        /// As configured.
        path: PathBuf,
    },
}

/// Doors that are open: connections queue up until [`Doors::run`].
#[derive(Debug)]
pub struct Doors {
    tcp: Option<(TcpListener, SocketAddr)>,
    unix: Option<(UnixListener, SocketFile)>,
}

/// Opens the configured doors; there may be none. To be called in a tokio runtime with I/O and time.
///
/// # Errors
/// An address or a socket cannot be had.
pub async fn bind(config: &config::Admin) -> Result<Doors, AdminError> {
    let tcp = match config.addr {
        None => None,
        Some(addr) => {
            let failed = |source| AdminError::Bind { addr, source };
            let listener = TcpListener::bind(addr).await.map_err(failed)?;
            let addr = listener.local_addr().map_err(failed)?;
            Some((listener, addr))
        }
    };
    let unix = config.socket.as_deref().map(socket::bind).transpose()?;
    Ok(Doors { tcp, unix })
}

impl Doors {
    /// The TCP address, with the port that the kernel chose if none was configured.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().map(|(_, addr)| *addr)
    }

    /// The Unix socket.
    pub fn socket(&self) -> Option<&Path> {
        self.unix.as_ref().map(|(_, file)| file.path())
    }

    /// Serves until it is dropped, which closes the doors and removes the socket.
    pub async fn run(self, view: Arc<dyn View>) {
        let permits = Arc::new(Semaphore::new(CONNS_MAX));
        let tcp = async {
            let Some((listener, addr)) = &self.tcp else { return std::future::pending().await };
            let door = if addr.ip().is_loopback() { Door::Loopback } else { Door::Network };
            loop {
                let accepted = listener.accept().await.map(|(stream, _)| stream);
                admit(accepted, door, &permits, &view).await;
            }
        };
        let unix = async {
            let Some((listener, _)) = &self.unix else { return std::future::pending().await };
            loop {
                let accepted = listener.accept().await.map(|(stream, _)| stream);
                admit(accepted, Door::Socket, &permits, &view).await;
            }
        };
        tokio::join!(tcp, unix);
    }
}

/// Serves one connection in a task of its own, once there is room for it.
async fn admit<S>(
    accepted: io::Result<S>,
    door: Door,
    permits: &Arc<Semaphore>,
    view: &Arc<dyn View>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Ok(stream) = accepted else { return tokio::time::sleep(ACCEPT_REST).await };
    let Ok(permit) = permits.clone().acquire_owned().await else { return };
    let view = view.clone();
    tokio::spawn(async move {
        // A client that breaks off or is too slow is nobody's business.
        let _ = tokio::time::timeout(CONN_TIMEOUT, serve(stream, door, view)).await;
        drop(permit);
    });
}

async fn serve<S>(stream: S, door: Door, view: Arc<dyn View>) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let answered = routes::answer(view.clone(), request, door);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
