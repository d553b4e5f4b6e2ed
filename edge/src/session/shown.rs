//! A running connection, for people to see.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Session;
use crate::clock::Now;
use crate::metrics::Outcome;
use crate::site::Site;

/// What a connection is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// The client.
    pub client: SocketAddr,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Stable name of the state of HTTP.
    pub state: &'static str,
    /// Requests answered before the current one.
    pub requests: u32,
    /// The site of the current request, else of the last.
    pub site: Option<String>,
    /// The request under way; `None` between requests.
    pub exchange: Option<ExchangeView>,
}

/// A request under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeView {
    /// As the client wrote it.
    pub method: String,
    /// As the client wrote it.
    pub target: String,
    /// 0: not answered yet.
    pub status: u16,
    /// How it is answered, as far as is known.
    pub outcome: Outcome,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Since its first byte, ms.
    pub age_ms: u64,
}

impl Session {
    /// What it is at. Allocates: for people, not for every turn.
    pub fn view(&self, now: Now) -> SessionView {
        let record = self.record(now);
        let is_at_work = self.head_len > 0;
        SessionView {
            client: self.client,
            scheme: self.scheme,
            state: self.state(),
            requests: self.requests,
            site: self.last_site().map(|site| site.config.name.clone()),
            exchange: is_at_work.then(|| ExchangeView {
                method: record.method.to_owned(),
                target: record.target.to_owned(),
                status: record.status,
                outcome: record.outcome,
                sent_bytes: record.sent_bytes,
                age_ms: record.duration_us / 1000,
            }),
        }
    }

    /// The site of the current request, else of the last.
    pub fn last_site(&self) -> Option<&Arc<Site>> {
        self.site().or(self.last_site.as_ref())
    }
}
