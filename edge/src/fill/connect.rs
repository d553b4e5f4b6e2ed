//! Connections to origins: every address of a name in turn, TLS where it is asked for, never to this
//! node itself.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::Uri;
use arc_swap::ArcSwap;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::secure;
use crate::config::is_own;
use crate::origin::Failure;

/// Why there is no connection.
#[derive(Debug)]
pub struct ConnectError {
    /// What that means.
    pub failure: Failure,
    /// What was tried, and what went wrong.
    pub detail: String,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for ConnectError {}

/// TLS towards one name.
#[derive(Clone, Debug)]
pub struct Secure {
    /// Settings; requests with others do not share its connections.
    pub config: Arc<rustls::ClientConfig>,
    /// Name asked for, and looked for in the certificate.
    pub name: ServerName<'static>,
}

/// Where this node listens.
pub type Own = Arc<ArcSwap<Vec<SocketAddr>>>;

/// Connects to one origin.
#[derive(Clone)]
pub struct Connector(Arc<Parts>);

struct Parts {
    addrs: Vec<SocketAddr>,
    secure: Option<Secure>,
    within: Duration,
    own: Own,
    /// Connections share the addresses.
    turn: AtomicUsize,
}

impl Connector {
    /// Connections to any of `addrs`, each made `within` that time, but not to `own` ones.
    pub fn new(
        addrs: Vec<SocketAddr>,
        secure: Option<Secure>,
        within: Duration,
        own: Own,
    ) -> Connector {
        Connector(Arc::new(Parts { addrs, secure, within, own, turn: AtomicUsize::new(0) }))
    }

    /// A new connection.
    pub async fn connect(self) -> Result<Stream, ConnectError> {
        let parts = &self.0;
        let first = parts.turn.fetch_add(1, Relaxed);
        let count = parts.addrs.len();
        // All of them together take no longer than one may.
        let within = parts.within / u32::try_from(count.clamp(1, 4)).unwrap_or(1);
        let mut failed = ConnectError { failure: Failure::Name, detail: "no address".to_owned() };
        for addr in (0..count).map(|step| parts.addrs[(first + step) % count]) {
            match parts.reach(addr, within).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

impl Parts {
    async fn reach(&self, addr: SocketAddr, within: Duration) -> Result<Stream, ConnectError> {
        if self.own.load().iter().any(|own| is_own(addr, *own)) {
            let detail = format!("{addr} is this node itself, a loop; name the real origin");
            tracing::warn!(%addr, "an origin's name leads to this node itself: refused as a loop");
            return Err(ConnectError { failure: Failure::Loop, detail });
        }
        let failed = |failure, detail: String| ConnectError { failure, detail };
        let stream = match timeout(within, TcpStream::connect(addr)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(failed(Failure::Connect, format!("{addr}: {error}"))),
            Err(_) => {
                let detail = format!("{addr}: not connected within {} ms", within.as_millis());
                return Err(failed(Failure::Connect, detail));
            }
        };
        // Only costs latency where it fails.
        let _ = stream.set_nodelay(true);
        let Some(secure) = &self.secure else { return Ok(Stream::Plain(stream)) };
        let connector = TlsConnector::from(secure.config.clone());
        match timeout(self.within, connector.connect(secure.name.clone(), stream)).await {
            Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
            Ok(Err(error)) => {
                let what = secure::explain(&error, &secure.name);
                Err(failed(Failure::Tls, format!("{addr}: {what}")))
            }
            Err(_) => Err(failed(Failure::Tls, format!("{addr}: no TLS handshake in time"))),
        }
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect().await.map(TokioIo::new) })
    }
}

/// A connection.
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Sealed.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Stream::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            _ => Connected::new(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
