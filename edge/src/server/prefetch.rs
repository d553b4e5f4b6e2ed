//! Prefetching: what an order names is asked for as a client would ask, and thrown away; what stays is
//! in the store. It stands behind every client in an origin's queue.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::admin::Refusal;
use crate::cache::Urgency;
use crate::clock::Now;
use crate::limits::{
    PREFETCH_ORDERS_MAX, PREFETCH_STALL_MS, PREFETCH_URLS_MAX, PREFETCHES_AT_ONCE,
};
use crate::mailbox::{Notify, Token};
use crate::session::{Action, Context, Session, Timeouts};
use crate::worker::Shared;

/// Failures that are told one by one.
const FAILURES_TOLD_MAX: usize = 100;

/// Every order, and what is left to do.
pub(super) struct Prefetches {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// Told of each new order.
    work: tokio::sync::Notify,
}

#[derive(Default)]
struct State {
    /// Orders so far; the number of the last.
    last: u64,
    orders: VecDeque<Order>,
}

/// One order.
struct Order {
    id: u64,
    count: usize,
    waiting: VecDeque<Job>,
    running: usize,
    done: usize,
    failed: usize,
    bytes: u64,
    /// Bytes of the bodies whose length is known by now.
    known_bytes: u64,
    failures: Vec<Value>,
}

/// One URL of an order.
struct Job {
    url: String,
    request: Vec<u8>,
}

/// How a job ended.
struct End {
    status: u16,
    was_cut: bool,
}

impl Prefetches {
    /// No orders yet.
    pub(super) fn new(shared: Arc<Shared>) -> Arc<Prefetches> {
        Arc::new(Prefetches { shared, state: Mutex::default(), work: tokio::sync::Notify::new() })
    }

    /// Takes an order, `{"urls": ["http://host/path", …]}`: its number.
    pub(super) fn order(&self, order: &Value) -> Result<Value, Refusal> {
        let waiting = jobs(order).map_err(Refusal::Wrong)?;
        let mut state = self.lock();
        let is_ended = |order: &Order| order.waiting.is_empty() && order.running == 0;
        if state.orders.len() >= PREFETCH_ORDERS_MAX {
            let Some(at) = state.orders.iter().position(is_ended) else {
                let text = format!("{PREFETCH_ORDERS_MAX} prefetches are going on; wait for one");
                return Err(Refusal::Failed(text));
            };
            state.orders.remove(at);
        }
        state.last += 1;
        let (id, count) = (state.last, waiting.len());
        state.orders.push_back(Order {
            id,
            count,
            waiting,
            running: 0,
            done: 0,
            failed: 0,
            bytes: 0,
            known_bytes: 0,
            failures: Vec::new(),
        });
        drop(state);
        self.work.notify_waiters();
        Ok(json!({ "prefetch": id, "urls": count }))
    }

    /// How order `id` is; `None`: there is no such order (any more).
    pub(super) fn shown(&self, id: u64) -> Option<Value> {
        let state = self.lock();
        let order = state.orders.iter().find(|order| order.id == id)?;
        Some(json!({
            "prefetch": order.id,
            "urls": order.count,
            "waiting": order.waiting.len(),
            "running": order.running,
            "done": order.done,
            "failed": order.failed,
            "bytes": order.bytes,
            "known_bytes": order.known_bytes,
            "ended": order.waiting.is_empty() && order.running == 0,
            "failures": order.failures,
        }))
    }

    /// Carries orders out, for ever.
    pub(super) async fn run(self: Arc<Prefetches>) {
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..PREFETCHES_AT_ONCE {
            let own = self.clone();
            workers.spawn(async move { own.work_off().await });
        }
        while workers.join_next().await.is_some() {}
    }

    async fn work_off(&self) {
        loop {
            let told = self.work.notified();
            tokio::pin!(told);
            // Before the look: an order that comes in between is not slept on.
            told.as_mut().enable();
            let Some((id, job)) = self.next_job() else {
                told.await;
                continue;
            };
            let end = self.fetch(id, &job).await;
            self.update(id, |order| {
                order.running -= 1;
                let is_good = end.status < 400 && !end.was_cut;
                order.done += usize::from(is_good);
                order.failed += usize::from(!is_good);
                if !is_good && order.failures.len() < FAILURES_TOLD_MAX {
                    let End { status, was_cut } = end;
                    order
                        .failures
                        .push(json!({ "url": job.url, "status": status, "cut": was_cut }));
                }
            });
        }
    }

    /// The next URL of the oldest order that has one left.
    fn next_job(&self) -> Option<(u64, Job)> {
        let mut state = self.lock();
        let order = state.orders.iter_mut().find(|order| !order.waiting.is_empty())?;
        order.running += 1;
        Some((order.id, order.waiting.pop_front()?))
    }

    /// One exchange with ourselves, without a socket.
    async fn fetch(&self, id: u64, job: &Job) -> End {
        let bell = Arc::new(Bell::default());
        let notify: Arc<dyn Notify> = bell.clone();
        let mut session =
            Session::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), TIMEOUTS, Now::read()).own();
        session.handle_bytes(&job.request, Now::read());
        let mut is_head_seen = false;
        loop {
            let (sites, now) = (self.shared.sites.load_full(), Now::read());
            let (cache, token) = (&*self.shared.cache, Token(id));
            let context = Context {
                sites: &sites,
                cache,
                desk: &self.shared.desk,
                notify: &notify,
                token,
                now,
                draining: false,
            };
            match session.poll_action(&context) {
                Action::Send { .. } => {
                    let [text, body] = session.bytes();
                    let (text_len, body_len) = (text.len(), body.len());
                    if !std::mem::replace(&mut is_head_seen, true) {
                        let len = content_length(text).unwrap_or(0);
                        self.update(id, |order| order.known_bytes += len);
                    }
                    self.update(id, |order| order.bytes += body_len as u64);
                    session.handle_sent(text_len + body_len, true, now);
                }
                Action::File { .. } => {
                    let len = session.span().map_or(0, |span| span.len);
                    session.handle_staged(len as usize);
                    session.handle_sent(len as usize, false, now);
                    self.update(id, |order| order.bytes += len);
                    session.end_turn();
                    tokio::task::yield_now().await;
                }
                Action::Demand(demand) => {
                    demand.ticket.set_urgency(Urgency::Prefetch);
                    let fills = &self.shared.fills;
                    if fills[demand.thread(fills.len())].push(*demand).is_err() {
                        session.handle_refusal(&context);
                    }
                }
                Action::Wait => {
                    let left = session.poll_timeout().saturating_sub(now.mono_ms);
                    match timeout(Duration::from_millis(left), bell.0.notified()).await {
                        Ok(()) => session.handle_wake(),
                        Err(_) => {
                            session.handle_timeout(&context);
                        }
                    }
                }
                Action::Finished
                | Action::Read
                | Action::Switch
                | Action::ShutDown
                | Action::Close => {
                    return End { status: session.outcome().1, was_cut: session.was_cut() };
                }
            }
        }
    }

    fn update(&self, id: u64, change: impl FnOnce(&mut Order)) {
        let mut state = self.lock();
        if let Some(order) = state.orders.iter_mut().find(|order| order.id == id) {
            change(order);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody is impatient here, but an origin that sends nothing is left at last.
const TIMEOUTS: Timeouts = Timeouts {
    head_ms: PREFETCH_STALL_MS,
    idle_ms: PREFETCH_STALL_MS,
    send_ms: PREFETCH_STALL_MS,
    fill_ms: PREFETCH_STALL_MS,
};

/// Wakes one job.
#[derive(Default)]
struct Bell(tokio::sync::Notify);

impl Notify for Bell {
    fn notify(&self, _: Token) {
        self.0.notify_one();
    }
}

fn jobs(order: &Value) -> Result<VecDeque<Job>, String> {
    let urls = order["urls"].as_array().ok_or("an order is {\"urls\": [\"http://host/path\"]}")?;
    if urls.is_empty() || urls.len() > PREFETCH_URLS_MAX {
        return Err(format!("{} URLs; an order has 1 to {PREFETCH_URLS_MAX}", urls.len()));
    }
    urls.iter().map(|url| job(url.as_str().ok_or("a URL is a string")?)).collect()
}

fn job(url: &str) -> Result<Job, String> {
    let wrong = || format!("{url:?} is not a URL; write it as \"http://host/path\"");
    let parsed: http::Uri = url.parse().map_err(|_| wrong())?;
    let (Some("http" | "https"), Some(authority)) = (parsed.scheme_str(), parsed.authority())
    else {
        return Err(wrong());
    };
    let target = parsed.path_and_query().map_or("/", |target| target.as_str());
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: edge prefetch\r\nConnection: close\r\n\r\n",
        authority.host()
    );
    Ok(Job { url: url.to_owned(), request: request.into_bytes() })
}

/// The length that an answer's head promises.
fn content_length(head: &[u8]) -> Option<u64> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    response.parse(head).ok()?;
    let length = response.headers.iter().find(|f| f.name.eq_ignore_ascii_case("content-length"))?;
    std::str::from_utf8(length.value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_or_refused_with_the_cure() {
        let read = jobs(&json!({ "urls": ["http://h.example:81/a?b", "https://h"] })).unwrap();
        let requests: Vec<_> =
            read.iter().map(|job| String::from_utf8_lossy(&job.request).into_owned()).collect();
        assert!(requests[0].starts_with("GET /a?b HTTP/1.1\r\nHost: h.example\r\n"));
        assert!(requests[1].starts_with("GET / HTTP/1.1\r\nHost: h\r\n"));
        for (order, text) in [
            (json!({}), "an order is"),
            (json!({ "urls": [] }), "0 URLs"),
            (json!({ "urls": [1] }), "a URL is a string"),
            (json!({ "urls": ["/a"] }), "write it as"),
            (json!({ "urls": ["ftp://h/a"] }), "write it as"),
            (json!({ "urls": ["http://h/a b\r\nX: y"] }), "write it as"),
        ] {
            let error = jobs(&order).err().unwrap_or_default();
            assert!(error.contains(text), "{order}: {error}");
        }
    }

    #[test]
    fn lengths_are_found() {
        let head = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(content_length(head), Some(12));
        assert_eq!(content_length(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }
}
