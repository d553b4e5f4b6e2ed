//! Starting and ending the threads of the data and fill planes.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::ServerError;
use crate::cache::Cache;
use crate::clock::Now;
use crate::config::{Config, Steer};
use crate::fill;
use crate::limits;
use crate::log::AccessLog;
use crate::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::ring::{Ring, RingConfig};
use crate::session::Demand;
use crate::sys;
use crate::worker::{Inbox, Manner, Parts, Phase, Shared, Worker};

/// Time a fill gets once its clients are gone.
const FILL_STOP: Duration = Duration::from_millis(500);

/// The data plane.
pub(super) struct Workers {
    inboxes: Vec<Arc<Inbox>>,
    threads: Vec<JoinHandle<()>>,
}

/// The fill plane.
pub(super) struct Fills {
    pub(super) plane: Arc<fill::Plane>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A listener, and how its connections begin.
pub(super) type Listening = (TcpListener, Manner);

/// Opens every listener once a worker: `listeners[worker][listen]`. A port chosen by the kernel is
/// chosen once.
pub(super) fn listen(config: &Config) -> Result<Vec<Vec<Listening>>, ServerError> {
    let mut listeners: Vec<Vec<Listening>> = Vec::new();
    listeners.resize_with(config.server.workers, Vec::new);
    let cpus = sys::thread::available_cpus().unwrap_or_default();
    for listen in &config.listen {
        let mut addr = listen.addr;
        let manner = Manner::new(listen);
        let failed = |source| ServerError::Listen { addr: listen.addr, source };
        // Workers share the port by SO_REUSEPORT; another node must not come to share it too.
        drop(TcpListener::bind(addr).map_err(failed)?);
        for (index, own) in listeners.iter_mut().enumerate() {
            let steered = listen.steer == Steer::Cpu;
            let listening = sys::net::Listening {
                backlog: i32::try_from(listen.backlog).unwrap_or(i32::MAX),
                congestion: listen.congestion.as_deref(),
                cpu: steered.then(|| cpu_of(config, &cpus, index)).flatten(),
                unsent_bytes: listen.unsent_bytes,
            };
            let listener = sys::net::listener(addr, listening).map_err(failed)?;
            addr = listener.local_addr().map_err(failed)?;
            own.push((listener, manner.clone()));
        }
    }
    Ok(listeners)
}

/// The processor that a worker keeps to, if workers are pinned.
fn cpu_of(config: &Config, cpus: &[usize], worker: usize) -> Option<usize> {
    config.server.pin.then(|| cpus.get(worker % cpus.len().max(1)).copied()).flatten()
}

impl Workers {
    /// Starts one thread for each set of listeners and waits until each has its ring.
    pub(super) fn start(
        config: &Config,
        listeners: Vec<Vec<Listening>>,
        shared: &Arc<Shared>,
        metrics: &Metrics,
        log: &AccessLog,
    ) -> Result<Workers, ServerError> {
        let cpus = sys::thread::available_cpus().unwrap_or_default();
        let mut workers = Workers { inboxes: Vec::new(), threads: Vec::new() };
        let (started, outcomes) = std::sync::mpsc::channel();
        for (index, listeners) in listeners.into_iter().enumerate() {
            let inbox = Arc::new(Inbox::new().map_err(ServerError::Thread)?);
            let metrics = metrics.workers[index].clone();
            workers.inboxes.push(inbox.clone());
            let cpu = cpu_of(config, &cpus, index);
            let (shared, sink) = (shared.clone(), log.sink());
            let started = started.clone();
            let body = move || {
                if let Some(cpu) = cpu
                    && let Err(error) = sys::thread::pin_to_cpu(cpu)
                {
                    tracing::warn!(%error, cpu, "worker is not pinned");
                }
                let io = match Ring::new(&ring_config()) {
                    Ok(io) => io,
                    Err(error) => return drop(started.send(Err(error))),
                };
                let parts = Parts { index, io, listeners, shared, inbox, metrics, sink };
                let worker = Worker::new(parts, Now::read());
                let _ = started.send(Ok(()));
                drop(started);
                if let Err(error) = worker.run() {
                    tracing::error!(%error, index, "worker ended: its ring failed");
                }
            };
            let thread = std::thread::Builder::new().name(format!("edge-worker-{index}"));
            workers.threads.push(thread.spawn(body).map_err(ServerError::Thread)?);
        }
        drop(started);
        for outcome in outcomes {
            outcome.map_err(ServerError::Ring)?;
        }
        Ok(workers)
    }

    /// Orders every worker into `phase`.
    pub(super) fn order(&self, phase: Phase) {
        for inbox in &self.inboxes {
            inbox.order(phase);
        }
    }

    /// How they are reached.
    pub(super) fn inboxes(&self) -> &[Arc<Inbox>] {
        &self.inboxes
    }

    /// Whether every worker has ended.
    pub(super) fn are_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits for every worker.
    pub(super) fn join(&mut self) {
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

impl Fills {
    /// Starts one thread a mailbox.
    pub(super) fn start(
        config: &Config,
        cache: &Arc<Cache>,
        mailboxes: &[Arc<Mailbox<Demand>>],
    ) -> Result<Fills, ServerError> {
        let plane = fill::Plane::new(cache.clone(), config.cache.checkpoint_ms);
        let mut threads = Vec::new();
        for (index, mailbox) in mailboxes.iter().enumerate() {
            let thread = fill::spawn(&plane, index, mailbox.clone());
            threads.push(thread.map_err(ServerError::Thread)?);
        }
        Ok(Fills { plane, threads: Mutex::new(threads) })
    }

    /// Ends the fills under way (what they wrote is kept) and writes the last checkpoint.
    pub(super) fn stop(&self) {
        self.plane.drain(FILL_STOP);
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a fill thread panicked");
            }
        }
    }
}

/// Mailboxes of the fill plane.
pub(super) fn mailboxes(threads: usize) -> Result<Vec<Arc<Mailbox<Demand>>>, ServerError> {
    let mailbox = || Mailbox::new(limits::FILL_MAILBOX_MAX).map(Arc::new);
    (0..threads).map(|_| mailbox().map_err(ServerError::Thread)).collect()
}

fn ring_config() -> RingConfig {
    RingConfig {
        entries: 1024,
        buffers: 1024,
        buffer_bytes: 4096,
        pipes_max: limits::PIPES_PER_WORKER_MAX,
        pipe_bytes: limits::PIPE_BYTES,
    }
}
