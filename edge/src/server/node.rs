//! A running node: what the control plane holds of the other planes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::ServerError;
use super::planes::{self, Fills, Workers};
use super::prefetch::Prefetches;
use super::reload::aside;
use super::verdicts::History;
use super::verify::Verification;
use super::{certificates, origins};
use crate::abuse::Desk;
use crate::cache::Cache;
use crate::clock::Now;
use crate::config::Config;
use crate::guard::Guard;
use crate::limits;
use crate::log::AccessLog;
use crate::metrics::Metrics;
use crate::session::Timeouts;
use crate::site::{Geo, GeoError, Sites};
use crate::worker::{Inbox, Phase, Shared};

/// See the module.
pub(super) struct Node {
    pub(super) config: ArcSwap<Config>,
    /// Held while the configuration is changed: reads, checks and swaps are one.
    pub(super) changing: Mutex<()>,
    /// What the node was started with.
    pub(super) begun: Config,
    pub(super) source: Option<PathBuf>,
    pub(super) shared: Arc<Shared>,
    pub(super) started: Instant,
    addresses: Vec<SocketAddr>,
    pub(super) cache: Arc<Cache>,
    pub(super) sites: Arc<ArcSwap<Sites>>,
    /// Sites of configurations before, until no worker uses them: who lets go of ten thousand last pays
    /// for it, and that is to be nobody who serves.
    retired: Mutex<Vec<Arc<Sites>>>,
    pub(super) log: AccessLog,
    pub(super) guard: Mutex<Guard>,
    pub(super) desk: Arc<Desk>,
    pub(super) history: History,
    workers: Mutex<Workers>,
    pub(super) fills: Fills,
    pub(super) prefetches: Arc<Prefetches>,
    phase: Mutex<Phase>,
    pub(super) metrics: Metrics,
    pub(super) verification: Verification,
}

impl Node {
    /// Starts everything. Doors are opened before the store is: a port that is taken is told at
    /// once, and clients that come early wait in the backlog instead of being refused.
    pub(super) fn start(config: Config, source: Option<PathBuf>) -> Result<Node, ServerError> {
        let listeners = planes::listen(&config)?;
        let addresses = listeners.first().into_iter().flatten();
        let addresses = addresses.filter_map(|(listener, _)| listener.local_addr().ok()).collect();
        let log = AccessLog::start(&config.log).map_err(|source| ServerError::Log {
            path: config.log.access.clone().unwrap_or_default(),
            source,
        })?;
        let cache = Cache::open(&config.cache)?;
        let (guard, notes) = Guard::start(&config.guard.serving(Vec::as_slice(&addresses)));
        report(&notes);
        let sites = Sites::new(&config.sites, config.server.workers, None)
            .with_unknown(&config.domains.unknown)
            .with_addresses(&config.server.trusted_proxies, geo(&config)?);
        let sites = Arc::new(ArcSwap::from_pointee(sites));
        let tls = certificates::acceptor(&config, None)?;
        let mailboxes = planes::mailboxes(config.server.fill_threads)?;
        let fills = Fills::start(&config, &cache, &mailboxes)?;
        fills.plane.groups().listens_on(Vec::as_slice(&addresses));
        origins::install(fills.plane.groups(), &config).map_err(ServerError::Origin)?;
        let desk = Arc::new(Desk::new(&config.guard));
        let shared = Arc::new(Shared {
            cache: cache.clone(),
            sites: sites.clone(),
            desk: desk.clone(),
            fills: mailboxes,
            timeouts: ArcSwap::from_pointee(timeouts(&config)),
            tls: ArcSwapOption::from_pointee(tls),
        });
        let metrics = Metrics::new(config.server.workers);
        let workers = Workers::start(&config, listeners, &shared, &metrics, &log)?;
        let prefetches = Prefetches::new(shared.clone());
        Ok(Node {
            begun: config.clone(),
            config: ArcSwap::from_pointee(config),
            shared,
            changing: Mutex::new(()),
            source,
            started: Instant::now(),
            addresses,
            cache,
            sites,
            retired: Mutex::default(),
            log,
            guard: Mutex::new(guard),
            desk,
            history: History::default(),
            metrics,
            verification: Verification::default(),
            workers: Mutex::new(workers),
            fills,
            prefetches,
            phase: Mutex::new(Phase::Serving),
        })
    }

    pub(super) fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders the workers into `phase`.
    pub(super) fn order(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
        self.workers().order(phase);
    }

    pub(super) fn is_drained(&self) -> bool {
        self.workers().are_done()
    }

    /// What has to be done about once a second.
    pub(super) fn tick(&self) {
        let mut guard = self.lock_guard();
        if let Err(error) = guard.sweep() {
            tracing::debug!(%error, "expired bans were not swept");
        }
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.retain(|sites| Arc::strong_count(sites) > 1);
        drop(retired);
        self.history.follow(&self.desk, &mut guard, Now::read().mono_ms);
    }

    /// Joins the workers, then ends the fills.
    pub(super) fn end(&self) {
        self.order(Phase::Stopping);
        self.workers().join();
        self.fills.stop();
    }

    /// Makes the sites of `new` those that requests are answered for; counters go on. Countries are those
    /// of `geo`.
    pub(super) fn install_sites(&self, new: &Config, geo: Option<Arc<Geo>>) {
        let workers = self.metrics.workers.len();
        let sites = aside(|| Sites::new(&new.sites, workers, Some(&self.sites.load())))
            .with_unknown(&new.domains.unknown)
            .with_addresses(&new.server.trusted_proxies, geo);
        let old = self.sites.swap(Arc::new(sites));
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(old);
    }

    pub(super) fn lock_guard(&self) -> std::sync::MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the workers are reached; none once they are gone.
    pub(super) fn inboxes(&self) -> Vec<Arc<Inbox>> {
        self.workers().inboxes().to_vec()
    }

    fn workers(&self) -> std::sync::MutexGuard<'_, Workers> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file that knows countries, read anew.
pub(super) fn geo(config: &Config) -> Result<Option<Arc<Geo>>, GeoError> {
    config.geo.as_deref().map(|path| Geo::open(path).map(Arc::new)).transpose()
}

/// The time-outs of connections.
pub(super) fn timeouts(config: &Config) -> Timeouts {
    Timeouts {
        head_ms: config.server.head_timeout_ms,
        idle_ms: config.server.idle_timeout_ms,
        send_ms: config.server.send_timeout_ms,
        fill_ms: limits::FILL_TIMEOUT_MS,
    }
}

/// Says what the guard has to say.
pub(super) fn report(notes: &[crate::guard::GuardNote]) {
    for note in notes {
        match note.is_warning() {
            true => tracing::warn!("guard: {note}"),
            false => tracing::info!("guard: {note}"),
        }
    }
}
