//! The origin client: hyper on tokio sockets, connections kept alive, addresses tried in turn.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::HOST;
use ::http::{HeaderMap, Request};
use hyper::Response;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioTimer;
use tokio::time::timeout;

use super::body::Incoming;
use super::connect::{ConnectError, Connector, Secure};
use super::groups::{Groups, Served};
use super::names::Resolver;
use super::outbound::Outbound;
use super::runtime::Local;
use crate::cache::Ticket;
use crate::clock::Now;
use crate::config::RangeFetch;
use crate::limits::{
    ORIGIN_HEAD_MAX_BYTES, ORIGIN_IDLE_CONNS_MAX, ORIGIN_IDLE_MS, ORIGIN_POOLS_MAX,
    ORIGIN_READ_MAX_BYTES,
};
use crate::metrics::Counter;
use crate::origin::redirect::{self, strip_credentials};
use crate::origin::request::Destination;
use crate::origin::retry::pause_ms;
use crate::origin::{Ask, Failure, Head, head};
use crate::site::Site;

type Connections = Client<Connector, Outbound>;

/// The origins as one thread knows them: open connections to them.
pub struct Origins {
    /// What all threads know of them.
    pub groups: Arc<Groups>,
    resolver: Resolver,
    pools: RefCell<HashMap<PoolKey, (Connections, u64)>>,
    uses: Cell<u64>,
}

/// What connections must have in common to be used for one another's requests.
#[derive(Clone, PartialEq, Eq, Hash)]
struct PoolKey {
    host: Box<str>,
    port: u16,
    /// Of the name's addresses: connections to those that are gone are not used any more.
    version: u64,
    connect: Duration,
    /// Settings by their place in memory, which the pool holds, and the name in the certificate.
    tls: Option<(usize, String)>,
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

/// One way to one address, and its limits.
pub struct Door {
    /// Where to.
    pub to: Destination,
    secure: Option<Secure>,
    connect: Duration,
    read: Duration,
}

impl Door {
    /// To the address of `served` at `position`, for a client that spoke TLS or not; by HTTP/2, if
    /// that may be.
    pub fn new(served: &Served, position: usize, (is_secure, http2): (bool, bool)) -> Door {
        let to = served.destination(position, is_secure, http2);
        let secure = served.secure(position, &to);
        Door { to, secure, connect: served.connect, read: served.read }
    }

    /// Time for an address to be connected to and to say something.
    pub fn patience(&self) -> Duration {
        self.connect.saturating_add(self.read)
    }

    /// The same with these limits.
    pub fn within(self, patience: Duration) -> Door {
        Door { connect: patience, read: Duration::ZERO, ..self }
    }
}

/// What went wrong, and how.
#[derive(Debug)]
pub struct Fault {
    /// What it means.
    pub failure: Failure,
    /// What happened, for logs and `edge explain`.
    pub detail: String,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Fault {
        Fault { failure, detail: failure.as_str().to_owned() }
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
    /// No connections yet.
    pub fn new(groups: Arc<Groups>) -> Origins {
        let resolver = Resolver::new(groups.names.clone());
        Origins { groups, resolver, pools: RefCell::default(), uses: Cell::new(0) }
    }

    /// Asks the site's addresses in turn until one answers well, and follows redirects as the site has
    /// it. The last answer is returned as it is even when it is a 5xx. Counts requests and failures;
    /// `retried` counts those after the first. Interim answers go to `informed`.
    pub async fn ask(
        &self,
        site: &Arc<Site>,
        ask: &Ask,
        informed: Option<&Arc<Ticket>>,
        retried: &Counter,
    ) -> Result<Answer, Failure> {
        let Some(served) = self.groups.of(site) else { return Err(Failure::Connect) };
        let without_range = (served.policy.range_fetch == RangeFetch::Off).then(|| Ask {
            range: None,
            if_range: None,
            ..ask.clone()
        });
        let ask = without_range.as_ref().unwrap_or(ask);
        let order = served.order();
        for tried in 1.. {
            let position = order[(tried - 1) % order.len()];
            let Ok(slot) = served.enter(position).await else { return Err(Failure::Crowded) };
            let answer = self.at(site, &served, position, (ask, informed)).await;
            let failure = match &answer {
                Ok(answer) => failing(&served, answer.head.status),
                Err(fault) => Some(fault.failure),
            };
            let answer = answer.map(|mut answer| {
                slot.into_iter().for_each(|slot| answer.body.hold(slot));
                answer
            });
            let Some(failure) = failure else {
                return answer.map_err(|fault| fault.failure);
            };
            site.metrics.fill.origin_errors.add(1);
            let elsewhere = tried < order.len();
            if !failure.may_retry(&served.policy.retry_on, tried as u32, served.retries, elsewhere)
            {
                return answer.map_err(|fault| fault.failure);
            }
            retried.add(1);
            if !elsewhere {
                tokio::time::sleep(Duration::from_millis(pause_ms(tried as u32))).await;
            }
        }
        Err(Failure::Connect)
    }

    /// Asks the address at `position`, and notes how that went.
    async fn at(
        &self,
        site: &Arc<Site>,
        served: &Served,
        position: usize,
        (ask, informed): (&Ask, Option<&Arc<Ticket>>),
    ) -> Result<Answer, Fault> {
        let door = Door::new(served, position, (ask.is_secure, true));
        let mut request = ask.request(&door.to).map_err(|_| Failure::Broken)?;
        if let Some(ticket) = informed {
            inform(&mut request, ticket.clone());
        }
        let answer = {
            let _active = served.group.counts(position).begin();
            self.once(site, request, &door).await
        };
        note(served, position, answer.as_ref().map(|answer| answer.head.status));
        let mut answer = answer?;
        let mut hop = (door.to, ask.host.clone(), ask.target.clone());
        for _ in 0..served.policy.redirects.hops {
            let (to, host, target) = &hop;
            let asked = (to, &*to.host_field(host), &**target);
            let led = (answer.head.status, &answer.head.fields);
            let rules = &served.policy.redirects;
            let next = redirect::next(rules, served.group.addresses(), asked, led);
            let Some(next) = next else { break };
            let secure = match next.is_same_host {
                true => served.secure(position, &next.to),
                false => served.secure_stranger(&next.to),
            };
            let door = Door { to: next.to, secure, connect: served.connect, read: served.read };
            let ask = Ask { target: next.target, ..ask.clone() };
            let mut request = ask.request(&door.to).map_err(|_| Failure::Broken)?;
            if !next.is_same_host {
                strip_credentials(request.headers_mut());
            }
            answer = self.once(site, request, &door).await?;
            hop = (door.to, ask.host, ask.target);
        }
        Ok(answer)
    }

    async fn once(
        &self,
        site: &Arc<Site>,
        request: Request<()>,
        door: &Door,
    ) -> Result<Answer, Fault> {
        let asked = Now::read();
        site.metrics.fill.origin_requests.add(1);
        let request = request.map(|()| Outbound::default());
        let response = timeout(door.patience(), self.send(door, request)).await;
        let response = response.unwrap_or_else(|_| Err(Failure::Timeout.into()))?;
        let received = Now::read();
        let head = Head::read(response.status().as_u16(), response.headers(), received);
        let body = Incoming::new(response.into_body(), door.read, site.clone());
        Ok(Answer { head, body, asked, received })
    }

    /// Sends one request and waits for the head of its answer, for ever.
    pub async fn send(
        &self,
        door: &Door,
        mut request: Request<Outbound>,
    ) -> Result<Response<hyper::body::Incoming>, Fault> {
        if door.to.http2 {
            // It is the URI's authority there; by HTTP/1.1 the library makes it of that.
            request.headers_mut().remove(HOST);
        }
        let pool = self.pool(door).await?;
        let response = pool.request(request).await.map_err(|error| {
            let fault = fault(&error);
            let origin = &door.to.host;
            tracing::debug!(failure = fault.failure.as_str(), detail = fault.detail, %origin, "origin failed");
            fault
        })?;
        if head_bytes(response.headers()) > ORIGIN_HEAD_MAX_BYTES {
            let detail = format!("a head of more than {ORIGIN_HEAD_MAX_BYTES} bytes");
            return Err(Fault { failure: Failure::Broken, detail });
        }
        Ok(response)
    }

    /// Connects, and leaves it at that.
    pub async fn knock(&self, door: &Door) -> Result<(), Fault> {
        let (_, addrs) = self.resolve(door).await?;
        let own = self.groups.own.clone();
        let connector = Connector::new(addrs, door.secure.clone(), door.connect, own);
        connector.connect().await.map(drop).map_err(|error| {
            let ConnectError { failure, detail } = error;
            Fault { failure, detail }
        })
    }

    async fn resolve(&self, door: &Door) -> Result<(u64, Vec<SocketAddr>), Fault> {
        let found = self.resolver.resolve(&door.to.host).await;
        let found = found.map_err(|detail| Fault { failure: Failure::Name, detail })?;
        let addrs = found.ips.iter().map(|ip| SocketAddr::new(*ip, door.to.port)).collect();
        Ok((found.version, addrs))
    }

    /// The connections that a request may use.
    async fn pool(&self, door: &Door) -> Result<Connections, Fault> {
        if door.to.is_tls && door.secure.is_none() {
            // Never in plain text instead.
            let detail = format!("{:?} is no name that a certificate can have", door.to.host);
            return Err(Fault { failure: Failure::Tls, detail });
        }
        let (version, addrs) = self.resolve(door).await?;
        let tls = door.secure.as_ref();
        let key = PoolKey {
            host: door.to.host.clone(),
            port: door.to.port,
            version,
            connect: door.connect,
            tls: tls.map(|tls| (Arc::as_ptr(&tls.config) as usize, tls.name.to_str().into())),
        };
        let now = self.uses.get() + 1;
        self.uses.set(now);
        let mut pools = self.pools.borrow_mut();
        if let Some((pool, used)) = pools.get_mut(&key) {
            *used = now;
            return Ok(pool.clone());
        }
        if pools.len() >= ORIGIN_POOLS_MAX {
            let oldest =
                pools.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| pools.remove(&oldest));
        }
        let own = self.groups.own.clone();
        let pool = pool(Connector::new(addrs, door.secure.clone(), door.connect, own));
        // What is known of a name has changed: connections to its former addresses are let go of.
        pools.retain(|other, _| {
            (&other.host, other.port) != (&key.host, key.port) || other.version == key.version
        });
        pools.insert(key, (pool.clone(), now));
        Ok(pool)
    }
}

fn pool(connector: Connector) -> Connections {
    Client::builder(Local)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_millis(ORIGIN_IDLE_MS))
        .pool_max_idle_per_host(ORIGIN_IDLE_CONNS_MAX)
        // Ceiling of one read of a body, and of what is read of a head before it is refused.
        .http1_max_buf_size(ORIGIN_READ_MAX_BYTES)
        .http2_max_header_list_size(ORIGIN_HEAD_MAX_BYTES as u32)
        .http2_adaptive_window(true)
        .set_host(true)
        .build(connector)
}

/// The failure in a status, by the site's rules.
fn failing(served: &Served, status: u16) -> Option<Failure> {
    let retry = served.policy.retry_on.holds(status).then_some(Failure::Status(status));
    Failure::of_status(status).or(retry)
}

/// Notes how a request to the address at `position` went.
pub fn note(served: &Served, position: usize, outcome: Result<u16, &Fault>) {
    let (group, now) = (&served.group, Now::read());
    match outcome {
        Ok(status) => match Failure::of_status(status) {
            None => group.succeeded(position, now),
            Some(failure) => {
                group.failed(position, failure, &format!("answered {status}"), now);
            }
        },
        Err(fault) => group.failed(position, fault.failure, &fault.detail, now),
    }
}

fn fault(error: &hyper_util::client::legacy::Error) -> Fault {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(ConnectError { failure, detail }) = cause.downcast_ref() {
            return Fault { failure: *failure, detail: detail.clone() };
        }
        source = cause.source();
    }
    let failure = if error.is_connect() { Failure::Connect } else { Failure::Broken };
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    Fault { failure, detail: cause }
}

/// What the fields take as they came, about.
fn head_bytes(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}
