//! Bytes of an object whose head is known: the missing runs of a range, each in one request.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::body::{Fate, Pour, Poured};
use super::filler::Filler;
use super::http::Answer;
use super::object;
use super::open::{log_store, question};
use crate::cache::{
    Body, FillError, Lead, Object, SliceWriter, Slices, StoreError, Ticket, Urgency,
};
use crate::config::Origin;
use crate::limits::RUN_SLICES_MAX;
use crate::origin::retry::Patience;
use crate::origin::verdict::part_of;
use crate::origin::{Ask, Failure, version};
use crate::session::Demand;
use crate::session::demand::Want;

/// How often, how many times at most, is looked how fast a filler comes nearer.
const FAR_LOOK: Duration = Duration::from_millis(50);
const FAR_LOOKS_MAX: u128 = 40;
/// A filler that needs longer than this is far away.
const FAR: Duration = Duration::from_millis(500);

/// Why missing bytes could not be had.
pub enum Unfetched {
    /// As told to the client.
    Failed(FillError),
    /// The origin answered with the whole of another version.
    Replaced(Box<Answer>),
}

/// What an answer to a request for a run is.
enum Fit {
    /// The run.
    Part,
    /// The same version from its first byte on.
    Whole,
    /// Another version, whole.
    Replaced,
    /// Another version, or gone.
    Changed,
    /// Not usable.
    Unfit(Failure),
}

impl Filler {
    /// Answers a demand for bytes.
    pub async fn bytes(self: &Rc<Self>, demand: Demand) {
        let Want::Bytes { object, start, end } = &demand.want else { return };
        let Body::Slices(slices) = &object.body else { return demand.ticket.nudge() };
        if object.is_derived() {
            return self.stored_only(&demand, object, *start..*end);
        }
        if slices.len().is_none() {
            // Its one filler tells its readers of every byte; here one can only wait for the end.
            if self.streams.ended(object.key, slices.generation()).await {
                return demand.ticket.nudge();
            }
            slices.fail(FillError::Broken);
        }
        let Some(len) = slices.len() else {
            object::forget(self.cache(), object);
            return demand.ticket.fail(FillError::Changed);
        };
        if object::is_replaced(self.cache(), object) {
            return demand.ticket.fail(FillError::Changed);
        }
        let end = (*end).min(len);
        let tickets = [demand.ticket.clone()];
        let fate = |at| self.fate((&demand, &tickets), object, slices, (at, Some(end)));
        let lead = self.fetch(&demand, object, *start..end, fate);
        let fetched = self.with_help(&demand, object, *start..end, lead).await;
        if let Err(Unfetched::Replaced(answer)) = fetched {
            self.adopt(&demand, object, *answer).await;
        }
    }

    /// Brings in what is missing of `wanted`. `ticket` is nudged when there is something to see and
    /// failed before anybody else learns that nothing will come.
    pub async fn fetch(
        &self,
        demand: &Demand,
        object: &Arc<Object>,
        wanted: Range<u64>,
        fate: impl Fn(u64) -> Fate,
    ) -> Result<(), Unfetched> {
        let ticket = &demand.ticket;
        let mut patience = self.patience(demand);
        let mut at = wanted.start;
        let mut fill = None;
        loop {
            let writer = match self.first_missing(object, at..wanted.end, ticket).await {
                // What is missing is not stored (RFC 9111 §5.2.1.7).
                Ok(Some(_)) if demand.control.only_if_cached => {
                    ticket.fail(FillError::NotCached);
                    return Err(Unfetched::Failed(FillError::NotCached));
                }
                Ok(Some(writer)) => writer,
                Ok(None) => return Ok(()),
                Err(error) => {
                    let error = log_store(object, &error);
                    ticket.fail(error);
                    return Err(Unfetched::Failed(error));
                }
            };
            // Who reads ahead does so within another's fill.
            if fill.is_none() && ticket.urgency() != Urgency::Ahead {
                match self.begin_fill(demand, slices_of(object)).await {
                    Ok(slot) => fill = Some(slot),
                    Err(error) => {
                        ticket.fail(error);
                        return Err(Unfetched::Failed(error));
                    }
                }
            }
            let end = self.run_end(object, &writer, wanted.end);
            let mut pour = Pour::run(self.plane.cache.clone(), object.clone(), writer, end);
            let poured = self.pour_range(demand, object, &mut pour, &mut patience, &fate);
            let unfetched = match poured.await {
                Ok(Poured::Left) => return Ok(()),
                Ok(Poured::Disk(error)) => Unfetched::Failed(log_store(object, &error)),
                Ok(Poured::End | Poured::Met | Poured::Yielded | Poured::Cut(_)) => {
                    at = pour.at();
                    match pour.finish() {
                        Ok(()) => continue,
                        Err(error) => {
                            let error = log_store(object, &error);
                            ticket.fail(error);
                            return Err(Unfetched::Failed(error));
                        }
                    }
                }
                Err(unfetched) => unfetched,
            };
            if let Unfetched::Replaced(_) = unfetched {
                // Whoever looks again must not find the old version.
                object::forget(self.cache(), object);
            }
            // Before the claim goes with `pour` and wakes all who wait.
            ticket.fail(unfetched.error());
            return Err(unfetched);
        }
    }

    /// How patient a fill is with the origin of `demand`.
    pub fn patience(&self, demand: &Demand) -> Patience {
        let retries = match &demand.site.config.origin {
            Origin::Http { retries, .. } => *retries,
            Origin::File { .. } => 0,
        };
        Patience::new(retries, self.cache().slice_bytes())
    }

    /// Asks for the range that `pour` still misses, and again from where it was cut off, as long as
    /// there is patience. The claim is kept meanwhile: who waits for it goes on waiting.
    pub async fn pour_range(
        &self,
        demand: &Demand,
        object: &Object,
        pour: &mut Pour,
        patience: &mut Patience,
        fate: &impl Fn(u64) -> Fate,
    ) -> Result<Poured, Unfetched> {
        loop {
            let Some(run) = pour.missing() else { return Ok(Poured::End) };
            let kept_bytes = pour.kept_bytes();
            let poured = self.pour_once(demand, object, run, pour, fate).await?;
            let failure = match poured {
                Poured::Cut(failure) => failure,
                // It queues again.
                Poured::Yielded => continue,
                poured => return Ok(poured),
            };
            patience.progress(pour.kept_bytes() - kept_bytes);
            let Some(pause_ms) = patience.failed() else {
                return Err(Unfetched::Failed(failure.into_error()));
            };
            self.plane.metrics.retries.add(1);
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    /// Claims the first missing place of `wanted`. `None`: all is there, or somebody else is at it.
    async fn first_missing(
        &self,
        object: &Object,
        wanted: Range<u64>,
        ticket: &Ticket,
    ) -> Result<Option<SliceWriter>, StoreError> {
        let mut at = wanted.start;
        while at < wanted.end {
            let lead = self.cache().lead(object, at)?;
            ticket.nudge();
            match lead {
                Lead::Writer(writer) if writer.offset() < wanted.end => return Ok(Some(writer)),
                Lead::Busy if at == wanted.start && self.is_far(object, at, ticket).await => {
                    if !slices_of(object).is_some_and(|slices| slices.cut(at)) {
                        return Ok(None);
                    }
                    // Now it is free.
                    continue;
                }
                Lead::Writer(_) | Lead::Busy => return Ok(None),
                Lead::Present => at = self.next_slice(at),
            }
            if ticket.is_abandoned() {
                return Ok(None);
            }
            // Verifying a slice reads it from the disk; others have their turn.
            tokio::task::yield_now().await;
        }
        Ok(None)
    }

    /// Whether the filler that said it comes to byte `at` takes so long that a request from there on
    /// is quicker. One whose bytes do not come is not helped by another request.
    async fn is_far(&self, object: &Object, at: u64, ticket: &Ticket) -> bool {
        let ahead = || slices_of(object).and_then(|slices| slices.ahead_bytes(at));
        if ticket.urgency() != Urgency::Awaited || !version::is_named(&object.meta) {
            return false;
        }
        let Some(before) = ahead() else { return false };
        for looks in 1..=FAR_LOOKS_MAX {
            tokio::time::sleep(FAR_LOOK).await;
            let Some(left) = ahead().filter(|_| !ticket.is_abandoned()) else { return false };
            let came = before.saturating_sub(left);
            if came > 0 {
                let ms = FAR_LOOK.as_millis() * looks;
                return u128::from(left) * ms > u128::from(came) * FAR.as_millis();
            }
        }
        false
    }

    /// How far the run goes that `writer` begins: to the first byte that is there or being brought
    /// in, or to the end of what is wanted, rounded up to a slice.
    fn run_end(&self, object: &Object, writer: &SliceWriter, wanted_end: u64) -> u64 {
        let wanted_end = wanted_end.min(object.len().unwrap_or(u64::MAX));
        let mut end = writer.end();
        for _ in 1..RUN_SLICES_MAX {
            if end >= wanted_end || !end.is_multiple_of(self.cache().slice_bytes()) {
                break;
            }
            let absent_end = self.cache().absent_end(object, end);
            if absent_end == end {
                break;
            }
            end = absent_end;
        }
        end
    }

    /// One request for `run`, poured as far as it comes.
    async fn pour_once(
        &self,
        demand: &Demand,
        object: &Object,
        run: Range<u64>,
        pour: &mut Pour,
        fate: &impl Fn(u64) -> Fate,
    ) -> Result<Poured, Unfetched> {
        let ask = Ask {
            range: Some((run.start, Some(run.end))),
            if_range: object.meta.strong_etag().map(Into::into),
            ..question(demand, self.cache())
        };
        let asked = self.ask(demand, &ask, slices_of(object)).await;
        let mut answer = asked.map_err(|failure| Unfetched::Failed(failure.into_error()))?;
        match fit(object, &run, &answer) {
            Fit::Part => {
                if let Some(slices) = slices_of(object) {
                    slices.note_parts();
                }
            }
            // Not worth it for what is only read ahead.
            Fit::Whole if demand.ticket.urgency() == Urgency::Ahead => {
                return Err(Unfetched::Failed(FillError::Broken));
            }
            Fit::Whole => pour.rewind(),
            Fit::Replaced => return Err(Unfetched::Replaced(Box::new(answer))),
            Fit::Changed => {
                object::forget(self.cache(), object);
                return Err(Unfetched::Failed(FillError::Changed));
            }
            Fit::Unfit(failure) => return Ok(Poured::Cut(failure)),
        }
        Ok(pour.take(&mut answer.body, fate).await)
    }

    /// Takes in the new version that came instead of bytes of `old`.
    async fn adopt(self: &Rc<Self>, demand: &Demand, old: &Object, answer: Answer) {
        self.plane.metrics.fenced.add(1);
        object::forget(self.cache(), old);
        if let Some((object, rest)) = self.store_whole(demand, answer) {
            self.pour(demand, &object, rest, &[]).await;
        }
    }

    fn next_slice(&self, at: u64) -> u64 {
        let slice_bytes = self.cache().slice_bytes();
        (at / slice_bytes + 1).saturating_mul(slice_bytes)
    }
}

impl Unfetched {
    fn error(&self) -> FillError {
        match self {
            Unfetched::Failed(error) => *error,
            Unfetched::Replaced(_) => FillError::Changed,
        }
    }
}

fn slices_of(object: &Object) -> Option<&Slices> {
    match &object.body {
        Body::Slices(slices) => Some(slices),
        _ => None,
    }
}

/// Compares an answer with what was asked: `run` of the version `object` is of.
fn fit(object: &Object, run: &Range<u64>, answer: &Answer) -> Fit {
    let head = &answer.head;
    let is_same = |total| version::is_same(&object.meta, object.len(), head, total);
    match head.status {
        206 => match part_of((run.start, Some(run.end)), head) {
            Some(part) if is_same(part.len) => Fit::Part,
            Some(_) => Fit::Changed,
            None => Fit::Unfit(Failure::Broken),
        },
        200 if is_same(head.content_length) => Fit::Whole,
        200 => Fit::Replaced,
        404 | 410 | 416 => Fit::Changed,
        status => Fit::Unfit(Failure::of_status(status).unwrap_or(Failure::Broken)),
    }
}
