//! Bodies that may not be stored: each passes through memory to one client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::body::Incoming;
use crate::cache::Relay;

/// How often a relay that waits for its client looks whether there still is one.
const LOOK_EVERY: Duration = Duration::from_secs(5);

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
