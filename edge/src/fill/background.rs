//! What the plane does beside filling: writing the index to disk from time to time, and emptying
//! regions before a writer has to wait for one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Plane, runtime};
use crate::cache::Cache;
use crate::cache::scrub::Scrub;

/// Checkpoints from time to time for ever, on a thread that serves nobody.
pub async fn checkpoints(plane: Arc<Plane>) {
    loop {
        tokio::time::sleep(plane.checkpoint_period()).await;
        let cache = plane.cache.clone();
        runtime::off_thread(move || checkpoint(&cache)).await;
    }
}

/// Bytes read at once, and the rest after a pass over everything.
const SCRUB_STEP_BYTES: u64 = 1024 * 1024;
const SCRUB_REST: Duration = Duration::from_secs(1);

/// Looks through what is stored, at the pace that the configuration allows, again and again.
pub async fn scrub(cache: Arc<Cache>) {
    let bytes_per_s = cache.scrub_bytes_per_s();
    if bytes_per_s == 0 {
        return;
    }
    loop {
        let pass = Arc::new(Mutex::new(Some(Scrub::new(cache.clone()))));
        let step_bytes = SCRUB_STEP_BYTES.min(bytes_per_s);
        while pass.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            let shared = pass.clone();
            runtime::off_thread(move || {
                let mut pass = shared.lock().unwrap_or_else(PoisonError::into_inner);
                pass.take_if(|scrub| !scrub.step(step_bytes));
            })
            .await;
            tokio::time::sleep(Duration::from_secs_f64(step_bytes as f64 / bytes_per_s as f64))
                .await;
        }
        tokio::time::sleep(SCRUB_REST).await;
    }
}

/// Keeps regions free for ever, on a thread that serves nobody.
pub async fn reclaims(cache: Arc<Cache>) {
    let shortage = Arc::new(Notify::new());
    let told = shortage.clone();
    cache.on_shortage(move || told.notify_one());
    loop {
        let cache = cache.clone();
        runtime::off_thread(move || cache.reclaim_ahead()).await;
        shortage.notified().await;
    }
}

/// One checkpoint. A failure costs hits after the next start, nothing else: it is logged.
pub fn checkpoint(cache: &Cache) {
    if let Err(error) = cache.checkpoint() {
        tracing::warn!(%error, "the index could not be written; a restart will find older contents");
    }
}
