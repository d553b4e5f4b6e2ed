//! One thread of the plane: what it holds, and its loop.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::ask::Asker;
use super::derive::Deriving;
use super::flight::Flights;
use super::http::Origins;
use super::private::Private;
use super::streams::Streams;
use super::{Plane, background, probe, runtime};
use crate::cache::{Body, Cache, FillError, Key, Relay};
use crate::http::cache_control::RequestControl;
use crate::http::lines;
use crate::limits::{FILLS_PER_THREAD_MAX, RELAYS_PER_THREAD_MAX};
use crate::mailbox::Mailbox;
use crate::session::Demand;
use crate::session::demand::Want;

/// What the tasks of one thread share.
pub struct Filler {
    /// The whole plane.
    pub plane: Arc<Plane>,
    /// Origins and the connections to them.
    pub origins: Origins,
    /// Services of sites that are asked who is let in.
    pub asker: Asker,
    /// Who leads the opening of which key.
    pub flights: Flights,
    /// Keys whose answers are not shared.
    pub private: Private,
    /// Keys whose answers are stored, but each is for one request only.
    pub solo: Private,
    /// Bodies of unknown length on their way.
    pub streams: Streams,
    /// What is being made of other objects.
    pub deriving: Deriving,
    fills: Arc<Semaphore>,
    relays: Arc<Semaphore>,
    /// Told whenever a permit is given back.
    given_back: Notify,
}

/// The right to work on a demand; counted while it is held.
pub struct Permit {
    filler: Rc<Filler>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.filler.plane.metrics.ended.add(1);
        self.filler.given_back.notify_one();
    }
}

/// Serves `mailbox` until the plane is drained.
pub async fn serve(plane: Arc<Plane>, index: usize, mailbox: Arc<Mailbox<Demand>>) {
    let inbox = match runtime::Inbox::new(mailbox.clone()) {
        Ok(inbox) => inbox,
        Err(error) => return tracing::error!(%error, "fill thread cannot watch its mailbox"),
    };
    if index == 0 {
        runtime::spawn(background::scrub(plane.cache.clone()));
        runtime::spawn(background::checkpoints(plane.clone()));
        runtime::spawn(background::reclaims(plane.cache.clone()));
        runtime::spawn(probe::probes(plane.clone()));
    }
    let drain = plane.drain.subscribe();
    let filler = Rc::new(Filler::new(plane));
    let answer_all = async {
        loop {
            let demand = inbox.next().await;
            let permit = filler.permit().await;
            filler.plane.metrics.demands.add(1);
            if mailbox.take_overflow() {
                filler.plane.metrics.overloads.add(1);
            }
            filler.dispatch(demand, permit);
        }
    };
    tokio::select! {
        () = answer_all => {}
        () = filler.drained(drain) => {}
    }
    while let Some(demand) = mailbox.pop() {
        demand.ticket.fail(FillError::Overloaded);
    }
}

impl Filler {
    fn new(plane: Arc<Plane>) -> Filler {
        Filler {
            origins: Origins::new(plane.groups.clone()),
            plane,
            asker: Asker::default(),
            flights: Flights::default(),
            private: Private::default(),
            solo: Private::default(),
            streams: Streams::default(),
            deriving: Deriving::default(),
            fills: Arc::new(Semaphore::new(FILLS_PER_THREAD_MAX)),
            relays: Arc::new(Semaphore::new(RELAYS_PER_THREAD_MAX)),
            given_back: Notify::new(),
        }
    }

    /// The cache.
    pub fn cache(&self) -> &Cache {
        &self.plane.cache
    }

    /// Begins work on a demand, or lets it join work that is going on.
    fn dispatch(self: &Rc<Self>, demand: Demand, permit: Permit) {
        if demand.ticket.is_abandoned() {
            return;
        }
        let key = match &demand.want {
            Want::Open { key, .. } => *key,
            Want::Pass(_) | Want::Ask(_) => return self.begin_pass(demand),
            Want::Derive { .. } => {
                let filler = self.clone();
                return runtime::spawn(async move {
                    filler.derive(demand).await;
                    drop(permit);
                });
            }
            Want::Bytes { .. } => {
                let filler = self.clone();
                return runtime::spawn(async move {
                    filler.bytes(demand).await;
                    drop(permit);
                });
            }
        };
        self.plane.metrics.opens.add(1);
        let control = demand.control;
        let is_alone = self.private.holds(key)
            || self.solo.holds(key)
            || RequestControl { max_stale: None, ..control } != RequestControl::default();
        let (flight, demand) = if is_alone {
            (None, demand)
        } else {
            let name = (self.flight_key(&demand), self.cache().newest_purge());
            match self.flights.lead_or_join(name, demand) {
                Some((flight, demand)) => (Some(flight), demand),
                None => return self.plane.metrics.joins.add(1),
            }
        };
        let filler = self.clone();
        runtime::spawn(async move {
            filler.open(demand, flight).await;
            drop(permit);
        });
    }

    /// What a demand's flight is known by: its URL's key or, where variants are known, its variant's.
    fn flight_key(&self, demand: &Demand) -> Key {
        let url = demand.key();
        match self.cache().lookup(url).as_ref().map(|found| &found.body) {
            Some(Body::Variants(list)) => list.select(url, lines::fields(&demand.fields)),
            _ => url,
        }
    }

    /// Passes a request on, if there is room for one more; it takes no fill's place.
    fn begin_pass(self: &Rc<Self>, demand: Demand) {
        let Ok(slot) = self.relays.clone().try_acquire_owned() else {
            self.plane.metrics.overloads.add(1);
            return demand.ticket.fail(FillError::Overloaded);
        };
        let (filler, permit) = (self.clone(), self.counted(slot));
        if matches!(demand.want, Want::Ask(_)) {
            return runtime::spawn(async move {
                filler.ask_service(demand).await;
                drop(permit);
            });
        }
        self.plane.metrics.passes.add(1);
        runtime::spawn(async move {
            let ticket = demand.ticket.clone();
            filler.pass_on(demand).await;
            drop((ticket, permit));
        });
    }

    /// Begins anew on demands whose shared answer was not for them.
    pub fn again(self: &Rc<Self>, demands: Vec<Demand>) {
        for demand in demands {
            let filler = self.clone();
            runtime::spawn(async move {
                let permit = filler.permit().await;
                filler.dispatch(demand, permit);
            });
        }
    }

    /// Starts `pump` for a relay, if there is room for one more.
    pub fn relay<F>(self: &Rc<Self>, relay: &Arc<Relay>, pump: F) -> Result<(), FillError>
    where
        F: Future<Output = ()> + 'static,
    {
        let Ok(slot) = self.relays.clone().try_acquire_owned() else {
            self.plane.metrics.overloads.add(1);
            return Err(FillError::Overloaded);
        };
        let (permit, end) = (self.counted(slot), EndOfRelay(relay.clone()));
        runtime::spawn(async move {
            pump.await;
            drop((end, permit));
        });
        Ok(())
    }

    async fn permit(self: &Rc<Self>) -> Permit {
        match self.fills.clone().acquire_owned().await {
            Ok(slot) => self.counted(slot),
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    fn counted(self: &Rc<Self>, slot: OwnedSemaphorePermit) -> Permit {
        self.plane.metrics.begun.add(1);
        Permit { filler: self.clone(), _slot: slot }
    }

    fn is_idle(&self) -> bool {
        self.fills.available_permits() == FILLS_PER_THREAD_MAX
            && self.relays.available_permits() == RELAYS_PER_THREAD_MAX
    }

    /// Waits for the order to drain, then until nothing is going on or time is up.
    async fn drained(&self, mut drain: watch::Receiver<Option<Duration>>) {
        let within = |drain: &mut watch::Receiver<Option<Duration>>| *drain.borrow_and_update();
        let mut deadline = loop {
            if let Some(within) = within(&mut drain) {
                break Instant::now() + within;
            }
            if drain.changed().await.is_err() {
                return;
            }
        };
        while !self.is_idle() {
            tokio::select! {
                () = self.given_back.notified() => {}
                () = sleep_until(deadline) => return,
                changed = drain.changed() => match (changed, within(&mut drain)) {
                    (Ok(()), Some(within)) => deadline = deadline.min(Instant::now() + within),
                    _ => return,
                },
            }
        }
    }
}

/// Ends a relay that nobody ended: its task was dropped.
struct EndOfRelay(Arc<Relay>);

impl Drop for EndOfRelay {
    fn drop(&mut self) {
        self.0.finish(Err(FillError::Broken));
    }
}
