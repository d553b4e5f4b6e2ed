//! What the plane does beside filling: writing the index to disk from time to time.

use std::sync::Arc;
use std::time::Duration;

use super::runtime;
use crate::cache::Cache;

/// Checkpoints every `period` for ever, on a thread that serves nobody.
pub async fn checkpoints(cache: Arc<Cache>, period: Duration) {
    loop {
        tokio::time::sleep(period).await;
        let cache = cache.clone();
        runtime::off_thread(move || checkpoint(&cache)).await;
    }
}

/// One checkpoint. A failure costs hits after the next start, nothing else: it is logged.
pub fn checkpoint(cache: &Cache) {
    if let Err(error) = cache.checkpoint() {
        tracing::warn!(%error, "the index could not be written; a restart will find older contents");
    }
}
