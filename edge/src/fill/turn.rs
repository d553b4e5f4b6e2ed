//! An origin is asked in turn: how pressing a question is, and what a fill does for more pressing ones.

use std::time::Duration;

use tokio::time::Instant;

use super::body::Fate;
use super::filler::Filler;
use super::gate::{Gate, SiteGates, Slot};
use super::http::Answer;
use crate::cache::{FillError, Object, Slices, Ticket, Urgency};
use crate::config::{Origin, Protection};
use crate::origin::{Ask, Failure, version};
use crate::session::Demand;
use crate::site::Site;

use std::sync::Arc;

impl Filler {
    /// Asks the origin when it is the turn of `demand`. The answer keeps its place among the site's
    /// connections until its body has ended.
    pub async fn ask(
        &self,
        demand: &Demand,
        ask: &Ask,
        slices: Option<&Slices>,
    ) -> Result<Answer, Failure> {
        let gate = self.gates(&demand.site).connections;
        let max = protection(&demand.site).max_connections;
        let slot = self.enter(&gate, max, demand, slices).await.ok_or(Failure::Crowded)?;
        // Interim answers are for whoever waits for the head.
        let informed = slices.is_none().then_some(&demand.ticket);
        let retries = &self.plane.metrics.retries;
        let mut answer = self.origins.ask(&demand.site, ask, informed, retries).await?;
        answer.body.hold(slot);
        Ok(answer)
    }

    /// Takes a place among the site's fills; to be kept until the fill has ended.
    pub async fn begin_fill(
        &self,
        demand: &Demand,
        slices: Option<&Slices>,
    ) -> Result<Slot, FillError> {
        let gate = self.gates(&demand.site).fills;
        let max = protection(&demand.site).max_fills;
        self.enter(&gate, max, demand, slices).await.ok_or(FillError::Overloaded)
    }

    /// What is to become of a fill of `object` that is at byte `at` of `end`; `tickets` are of those
    /// who wait to be told of the object.
    pub fn fate(
        &self,
        (demand, tickets): (&Demand, &[Arc<Ticket>]),
        object: &Object,
        slices: &Slices,
        (at, end): (u64, Option<u64>),
    ) -> Fate {
        if self.is_unwanted((demand, tickets), slices, at, end) {
            return Fate::Ends;
        }
        let urgency = urgency(demand, Some(slices));
        let can_go_on_later =
            slices.takes_parts() && slices.len().is_some() && version::is_named(&object.meta);
        let yields = urgency != Urgency::Awaited
            && can_go_on_later
            && self.gates(&demand.site).connections.is_wanted_before(urgency);
        if yields { Fate::Yields } else { Fate::GoesOn }
    }

    async fn enter(
        &self,
        gate: &Arc<Gate>,
        max: usize,
        demand: &Demand,
        slices: Option<&Slices>,
    ) -> Option<Slot> {
        if let Some(slot) = gate.try_enter(max) {
            return Some(slot);
        }
        let counts = &demand.site.metrics.fill;
        let now = Instant::now();
        let patient = now + Duration::from_millis(protection(&demand.site).queue_timeout_ms);
        let deadline = |urgency| match urgency {
            Urgency::Awaited => Some(patient),
            // It is done ahead if it costs nobody anything.
            Urgency::Ahead => Some(now),
            Urgency::Prefetch | Urgency::Left => None,
        };
        counts.queued.add(1);
        let entered = gate.enter(max, deadline, || urgency(demand, slices)).await;
        counts.queue_ms.add(now.elapsed().as_millis() as u64);
        if entered.is_none() {
            counts.queue_timeouts.add(1);
        }
        counts.dequeued.add(1);
        entered
    }

    fn gates(&self, site: &Site) -> SiteGates {
        self.plane.gates.of(site)
    }
}

/// How pressing it is to bring in what `demand` is about, by who waits for it now.
fn urgency(demand: &Demand, slices: Option<&Slices>) -> Urgency {
    let readers = slices.map_or(0, Slices::readers);
    match demand.ticket.urgency() {
        // Who prefetches reads, too.
        Urgency::Prefetch if readers > 1 => Urgency::Awaited,
        Urgency::Awaited if readers == 0 && demand.ticket.is_abandoned() => Urgency::Left,
        own => own,
    }
}

/// What the site's origin is spared.
pub fn protection(site: &Site) -> Protection {
    match &site.config.origin {
        Origin::Http { protection, .. } => *protection,
        Origin::File { .. } => Protection::default(),
    }
}
