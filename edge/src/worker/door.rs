//! How a connection begins: at once, with a balancer's word about the client, with TLS, or with both.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Worker;
use super::conns::{Conn, normalised};
use super::secure::{self, Scratch, Tls};
use crate::abuse::Desk;
use crate::clock::Now;
use crate::config::Listen;
use crate::metrics::WorkerMetrics;
use crate::proxy::{self, Parsed};
use crate::ring::Io;
use crate::session::Session;
use crate::site::Networks;
use crate::tls::Stream;

/// How the connections of a listener begin.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// They speak TLS.
    tls: bool,
    /// Before that, a PROXY header comes from one of these.
    proxies: Option<Arc<Networks<()>>>,
}

impl Manner {
    /// As configured.
    pub fn new(listen: &Listen) -> Manner {
        let networks = |prefixes: &Vec<_>| {
            Arc::new(Networks::new(prefixes.iter().map(|prefix| (*prefix, ()))))
        };
        Manner { tls: listen.tls, proxies: listen.proxies.as_ref().map(networks) }
    }
}

/// What came of received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Well,
    /// The connection cannot go on; its client is told why.
    Broken,
    /// It is closed at once.
    Refused,
}

impl<I: Io> Worker<I> {
    /// Takes a connection in, or closes it at once.
    pub(super) fn welcome(&mut self, socket: I::Socket, peer: SocketAddr, manner: &Manner) {
        let peer = normalised(peer);
        let mut session = Session::new(peer, **self.shared.timeouts.load(), self.now);
        match &manner.proxies {
            // Who the client is will be said: only then it can be held against the accounts.
            Some(trusted) if trusted.find(peer.ip()).is_some() => {}
            Some(_) => {
                tracing::debug!(%peer, "not a trusted balancer");
                self.metrics.proxy_refused.add(1);
                return self.io.close(socket);
            }
            None => match self.shared.desk.arrive(peer.ip(), self.now) {
                Some(tally) => session = session.with_tally(tally),
                None => {
                    self.metrics.conns_banned.add(1);
                    return self.io.close(socket);
                }
            },
        }
        self.metrics.conns_accepted.add(1);
        let acceptor = manner.tls.then(|| self.shared.tls.load_full()).flatten();
        let name = self.conns.insert(socket, session);
        if let Some(conn) = self.conns.find(name) {
            conn.greeting = manner.proxies.is_some().then(Vec::new);
            if manner.tls {
                conn.tls = acceptor.map(|acceptor| Tls::new(Stream::new(acceptor)));
                conn.session.set_scheme("https");
            }
        }
        self.drive(name);
    }
}

/// Reads a balancer's word about the client; what follows it is the client's.
pub(super) fn greet<I: Io>(
    metrics: &WorkerMetrics,
    desk: &Desk,
    conn: &mut Conn<I>,
    bytes: &[u8],
    scratch: &mut Scratch,
    now: Now,
) -> Heard {
    let Some(mut seen) = conn.greeting.take() else { return Heard::Refused };
    seen.extend_from_slice(bytes);
    match proxy::parse(&seen) {
        Ok(Parsed::Partial) if bytes.is_empty() => Heard::Refused,
        Ok(Parsed::Partial) => {
            conn.greeting = Some(seen);
            Heard::Well
        }
        Ok(Parsed::Header { len, client }) => {
            if let Some(client) = client {
                let Some(tally) = desk.arrive(client.ip(), now) else {
                    metrics.conns_banned.add(1);
                    return Heard::Refused;
                };
                conn.session.introduce(client, tally);
            }
            match &seen[len..] {
                [] => Heard::Well,
                rest => hear(metrics, conn, rest, scratch, now),
            }
        }
        Err(fault) => {
            tracing::debug!(fault = fault.as_str(), "{fault}");
            metrics.proxy_refused.add(1);
            Heard::Refused
        }
    }
}

/// Takes what a client says; nothing: it has ended its half.
pub(super) fn hear<I: Io>(
    metrics: &WorkerMetrics,
    conn: &mut Conn<I>,
    bytes: &[u8],
    scratch: &mut Scratch,
    now: Now,
) -> Heard {
    match bytes {
        [] => conn.handle_eof(),
        _ if conn.tls.is_none() => conn.handle_bytes(bytes, now),
        _ if !secure::received(metrics, conn, bytes, scratch, now) => return Heard::Broken,
        _ => {}
    }
    Heard::Well
}
