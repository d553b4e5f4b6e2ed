//! Bodies that may not be stored: each passes through memory to one client.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::body::Incoming;
use super::filler::Filler;
use super::http::Answer;
use crate::cache::{Opened, Relay};
use crate::http::lines;
use crate::session::Demand;

/// How often a relay that waits for its client looks whether there still is one.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Filler {
    /// Passes an answer through to the client of `demand`.
    pub fn pass(self: &Rc<Self>, demand: &Demand, answer: Answer, first: Vec<Bytes>) {
        let Answer { head, body, .. } = answer;
        let mut block = head.block().into_vec();
        let age = head.age_s.map(|age_s| age_s.to_string());
        let parts = head.takes_parts.then(|| "bytes".to_owned());
        // Of what is passed on it is the origin's own word.
        let range = head.content_range.filter(|_| matches!(head.status, 206 | 416));
        let range = range.map(|range| range.to_string());
        for (name, value) in [("Age", age), ("Accept-Ranges", parts), ("Content-Range", range)] {
            if let Some(value) = value {
                lines::push(&mut block, name, value.as_bytes());
            }
        }
        let relay = Arc::new(Relay::new(head.status, block.into(), head.content_length));
        let started = self.relay(&relay, pump(relay.clone(), first, body));
        match started {
            Ok(()) => demand.ticket.open(Opened::Relay(relay)),
            Err(error) => demand.ticket.fail(error),
        }
    }
}

/// Passes `first` and then `body` into `relay` until it ends or the client leaves.
pub async fn pump(relay: Arc<Relay>, first: Vec<Bytes>, mut body: Incoming) {
    for bytes in first {
        if relay.push(bytes).is_err() {
            return;
        }
    }
    loop {
        if !has_room(&relay).await {
            return;
        }
        match body.next().await {
            Ok(Some(bytes)) => {
                let len = bytes.len() as u64;
                if relay.push(bytes).is_err() {
                    body.wasted(len);
                    return;
                }
            }
            Ok(None) => {
                relay.set_trailers(body.take_trailers());
                return relay.finish(Ok(()));
            }
            Err(failure) => return relay.finish(Err(failure.into_error())),
        }
    }
}

/// Waits for room; `false` when nobody but us holds the relay any more.
async fn has_room(relay: &Arc<Relay>) -> bool {
    while timeout(LOOK_EVERY, relay.room()).await.is_err() {
        if Arc::strong_count(relay) == 1 {
            return false;
        }
    }
    true
}
