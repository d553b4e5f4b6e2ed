//! The origin client: hyper on tokio sockets, connections kept alive, addresses tried in turn.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, Request};
use hyper::Response;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioTimer;
use tokio::time::timeout;

use super::body::Incoming;
use super::outbound::Outbound;
use super::runtime::Local;
use crate::cache::Ticket;
use crate::clock::Now;
use crate::config::{Origin, OriginAddress};
use crate::limits::{
    ORIGIN_HEAD_MAX_BYTES, ORIGIN_IDLE_CONNS_MAX, ORIGIN_IDLE_MS, ORIGIN_READ_MAX_BYTES,
};
use crate::metrics::Counter;
use crate::origin::retry::pause_ms;
use crate::origin::{Ask, Choice, Failure, Head, head};
use crate::site::Site;

type Connections = Client<HttpConnector, Outbound>;

/// The origins as one thread knows them: open connections and who failed lately.
#[derive(Default)]
pub struct Origins {
    /// One pool for each connect timeout in the configuration: the connector is told it once.
    pools: RefCell<HashMap<u64, Connections>>,
    choice: RefCell<Choice>,
}

/// An answer whose body is still to be read.
pub struct Answer {
    /// Status and fields.
    pub head: Head,
    /// The body.
    pub body: Incoming,
    /// When the request was sent.
    pub asked: Now,
    /// When the head arrived.
    pub received: Now,
}

/// One address and its limits.
pub struct Door<'a> {
    address: &'a OriginAddress,
    connect: Duration,
    read: Duration,
}

impl Door<'_> {
    /// Time for an address to be connected to and to say something.
    pub fn patience(&self) -> Duration {
        self.connect.saturating_add(self.read)
    }
}

/// Hands interim answers on to who waits with `ticket`; nothing of them is stored (RFC 9111 §3).
fn inform(request: &mut Request<()>, ticket: Arc<Ticket>) {
    hyper::ext::on_informational(request, move |interim| {
        let status = interim.status().as_u16();
        // The one says that a body may come, the other that something else does: neither was asked.
        if !matches!(status, 100 | 101) {
            ticket.inform(head::interim_block(status, interim.headers(), Now::read()));
        }
    });
}

impl Origins {
    /// Asks the site's addresses in turn until one answers well. The last answer is returned as it
    /// is even when it is a 5xx. Counts requests and failures; `retried` counts those after the first.
    /// Interim answers go to `informed`.
    pub async fn ask(
        &self,
        site: &Arc<Site>,
        ask: &Ask,
        informed: Option<&Arc<Ticket>>,
        retried: &Counter,
    ) -> Result<Answer, Failure> {
        let Origin::Http { addresses, connect_timeout_ms, read_timeout_ms, retries, .. } =
            &site.config.origin
        else {
            return Err(Failure::Connect);
        };
        let (connect, read) =
            (Duration::from_millis(*connect_timeout_ms), Duration::from_millis(*read_timeout_ms));
        let order = self.choice.borrow().order(addresses, Now::read().mono_ms);
        for tried in 1.. {
            let Some(position) = order.get((tried - 1) % order.len().max(1)) else { break };
            let address = &addresses[*position];
            let mut request = ask.request(address).map_err(|_| Failure::Broken)?;
            if let Some(ticket) = informed {
                inform(&mut request, ticket.clone());
            }
            let answer = self.once(site, request, &Door { address, connect, read }).await;
            let failure = match &answer {
                Ok(answer) => Failure::of_status(answer.head.status),
                Err(failure) => Some(*failure),
            };
            let Some(failure) = failure else {
                self.choice.borrow_mut().succeeded(address);
                return answer;
            };
            site.metrics.fill.origin_errors.add(1);
            self.choice.borrow_mut().failed(address, failure, Now::read().mono_ms);
            let elsewhere = tried < order.len();
            if !failure.may_retry(tried as u32, *retries, elsewhere) {
                return answer;
            }
            retried.add(1);
            if !elsewhere {
                tokio::time::sleep(Duration::from_millis(pause_ms(tried as u32))).await;
            }
        }
        Err(Failure::Connect)
    }

    async fn once(
        &self,
        site: &Arc<Site>,
        request: Request<()>,
        door: &Door<'_>,
    ) -> Result<Answer, Failure> {
        let asked = Now::read();
        site.metrics.fill.origin_requests.add(1);
        let request = request.map(|()| Outbound::default());
        let response = timeout(door.patience(), self.send(door, request)).await;
        let response = response.unwrap_or(Err(Failure::Timeout))?;
        let received = Now::read();
        let head = Head::read(response.status().as_u16(), response.headers(), received);
        let body = Incoming::new(response.into_body(), door.read, site.clone());
        Ok(Answer { head, body, asked, received })
    }

    /// Sends one request and waits for the head of its answer, for ever.
    pub async fn send(
        &self,
        door: &Door<'_>,
        request: Request<Outbound>,
    ) -> Result<Response<hyper::body::Incoming>, Failure> {
        let response = self.pool(door.connect).request(request).await.map_err(|error| {
            let origin = &door.address.host;
            tracing::debug!(%error, cause = ?std::error::Error::source(&error), origin, "origin failed");
            if error.is_connect() { Failure::Connect } else { Failure::Broken }
        })?;
        if head_bytes(response.headers()) > ORIGIN_HEAD_MAX_BYTES {
            return Err(Failure::Broken);
        }
        Ok(response)
    }

    /// The order in which to ask `addresses`.
    pub fn order(&self, addresses: &[OriginAddress]) -> Vec<usize> {
        self.choice.borrow().order(addresses, Now::read().mono_ms)
    }

    /// `address` with the limits of `site`.
    pub fn door<'a>(&self, site: &Site, address: &'a OriginAddress) -> Door<'a> {
        let (connect_ms, read_ms) = match &site.config.origin {
            Origin::Http { connect_timeout_ms, read_timeout_ms, .. } => {
                (*connect_timeout_ms, *read_timeout_ms)
            }
            Origin::File { .. } => (0, 0),
        };
        let (connect, read) = (Duration::from_millis(connect_ms), Duration::from_millis(read_ms));
        Door { address, connect, read }
    }

    /// Notes that an address answered.
    pub fn succeeded(&self, address: &OriginAddress) {
        self.choice.borrow_mut().succeeded(address);
    }

    /// Notes that an address failed.
    pub fn failed(&self, address: &OriginAddress, failure: Failure) {
        self.choice.borrow_mut().failed(address, failure, Now::read().mono_ms);
    }

    fn pool(&self, connect: Duration) -> Connections {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.entry(connect.as_millis() as u64).or_insert_with(|| {
            let mut connector = HttpConnector::new();
            connector.set_connect_timeout(Some(connect));
            connector.set_nodelay(true);
            Client::builder(Local)
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(Duration::from_millis(ORIGIN_IDLE_MS))
                .pool_max_idle_per_host(ORIGIN_IDLE_CONNS_MAX)
                // Ceiling of one read of a body, and of what is read of a head before it is refused.
                .http1_max_buf_size(ORIGIN_READ_MAX_BYTES)
                .set_host(false)
                .build(connector)
        });
        pool.clone()
    }
}

/// What the fields take as they came, about.
fn head_bytes(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}
