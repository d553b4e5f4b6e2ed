//! The fill plane: threads that bring in from origins what the data plane misses.
//!
//! A worker leaves a [`Demand`] in the mailbox of the thread that [`Demand::thread`] names and is answered
//! through the demand's ticket. Demands for one key always meet on one thread, so single flight needs
//! no lock. What a thread knows of its runtime is in `runtime`, of HTTP in `http`; bodies go to
//! the cache through `body::Pour` and to nobody else through `relay`.
#![forbid(unsafe_code)]

mod ahead;
mod ask;
mod background;
mod beside;
mod body;
mod bytes;
mod connect;
mod derive;
mod encode;
mod file;
mod filler;
mod flight;
mod gate;
mod groups;
mod http;
mod invalidate;
mod listing;
mod names;
mod object;
mod open;
mod outbound;
mod pass;
mod private;
mod probe;
mod relay;
mod runtime;
mod secure;
mod streams;
#[cfg(test)]
mod tests;
mod tunnel;
mod turn;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use crate::cache::Cache;
use crate::mailbox::Mailbox;
use crate::metrics::Counter;
use crate::session::Demand;
pub use groups::{Groups, Served};
pub use secure::OriginError;

/// What the threads of the fill plane share.
pub struct Plane {
    cache: Arc<Cache>,
    metrics: FillMetrics,
    gates: gate::Gates,
    groups: Arc<Groups>,
    checkpoint_ms: AtomicU64,
    /// Bodies that are coded at once, all threads together.
    coders: Arc<Semaphore>,
    drain: watch::Sender<Option<Duration>>,
    running: AtomicUsize,
}

/// What the fill plane counts, all sites together.
#[derive(Debug, Default)]
pub struct FillMetrics {
    /// Demands taken from the mailboxes.
    pub demands: Counter,
    /// Of those, for an object's head.
    pub opens: Counter,
    /// Of those, answered together with an earlier one.
    pub joins: Counter,
    /// Requests passed on as clients put them.
    pub passes: Counter,
    /// Of those, that switched to another protocol.
    pub tunnels: Counter,
    /// Requests to origins sent again, or gone on with after a cut.
    pub retries: Counter,
    /// Fills begun; less `ended`: running now.
    pub begun: Counter,
    /// Fills ended, well or not.
    pub ended: Counter,
    /// Times too much was going on: a relay was refused, or a mailbox found to have overflowed.
    pub overloads: Counter,
    /// Bodies coded for clients that take it, also those that it did not shorten.
    pub coded: Counter,
    /// Objects found changed at the origin while they were filled.
    pub fenced: Counter,
}

impl FillMetrics {
    /// Fills running now.
    pub fn active(&self) -> u64 {
        let ended = self.ended.value();
        self.begun.value().saturating_sub(ended)
    }
}

impl Plane {
    /// A plane without threads; the index is written to disk every `checkpoint_ms` while any runs.
    pub fn new(cache: Arc<Cache>, checkpoint_ms: u64) -> Arc<Plane> {
        Arc::new(Plane {
            cache,
            metrics: FillMetrics::default(),
            gates: gate::Gates::default(),
            groups: Arc::default(),
            checkpoint_ms: AtomicU64::new(checkpoint_ms),
            coders: Arc::new(Semaphore::new(coders())),
            drain: watch::Sender::new(None),
            running: AtomicUsize::new(0),
        })
    }

    /// What is known of origins.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Changes the time between two writings of the index; the next one comes at its old time.
    pub fn set_checkpoint_ms(&self, checkpoint_ms: u64) {
        self.checkpoint_ms.store(checkpoint_ms, Relaxed);
    }

    fn checkpoint_period(&self) -> Duration {
        Duration::from_millis(self.checkpoint_ms.load(Relaxed).max(1))
    }

    /// The plane's counters.
    pub fn metrics(&self) -> &FillMetrics {
        &self.metrics
    }

    /// Lets running fills go on for `within` at most, then ends the threads. What was received of an
    /// unfinished body is kept; the last thread to end writes the index. To be called when the
    /// workers demand nothing more; a second call may shorten the time.
    pub fn drain(&self, within: Duration) {
        self.drain.send_replace(Some(within));
    }

    /// To be called by a thread that has ended all its work.
    fn leave(&self) {
        if self.running.fetch_sub(1, AcqRel) == 1 {
            background::checkpoint(&self.cache);
        }
    }
}

/// Half of the cores: coding must not take the workers' time.
fn coders() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2).max(1)
}

/// Starts the plane's thread `index` (named `edge-fill-N`), which answers what is left in `mailbox`.
/// Fails when the thread cannot be started or its runtime not be made (no descriptors, `io_uring`
/// forbidden).
pub fn spawn(
    plane: &Arc<Plane>,
    index: usize,
    mailbox: Arc<Mailbox<Demand>>,
) -> io::Result<JoinHandle<()>> {
    let (started, starting) = std::sync::mpsc::sync_channel(1);
    let shared = plane.clone();
    plane.running.fetch_add(1, AcqRel);
    let spawned = std::thread::Builder::new().name(format!("edge-fill-{index}")).spawn(move || {
        runtime::run(
            |outcome| drop(started.send(outcome)),
            filler::serve(shared.clone(), index, mailbox),
        );
        shared.leave();
    });
    let thread = spawned.inspect_err(|_| {
        plane.running.fetch_sub(1, AcqRel);
    })?;
    starting.recv().unwrap_or_else(|_| Err(io::Error::other("fill thread ended at its start")))?;
    Ok(thread)
}
