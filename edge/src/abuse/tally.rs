//! One connection's share: it is collected here and charged in batches.

use super::rows::ObjectKey;
use super::rules::Who;
use super::usage::{Label, Usage};
use super::{Desk, Standing, Stop};
use crate::clock::Now;
use crate::config::LimitOn;
use crate::metrics::Outcome;

/// Held back at most: requests, bytes, and time in ms. Beyond it the batch is charged, so a
/// limit is overshot by no more than that for each connection.
const BATCH_REQUESTS: u64 = 16;
const BATCH_BYTES: u64 = 1 << 20;
/// See [`BATCH_REQUESTS`].
pub const BATCH_MS: u64 = 50;

/// What one connection used since it last settled, and where its client stands.
#[derive(Default)]
pub struct Tally {
    pub(super) who: Option<Who>,
    pub(super) exempt: bool,
    /// Whether its client's row counts this connection.
    pub(super) counted: bool,
    pub(super) usage: Usage,
    pub(super) visit: Option<Visiting>,
    pub(super) standing: Standing,
    /// When the batch is to be charged; `None`: nothing is in it.
    due_ms: Option<u64>,
    /// The answer under way is a refusal: its bytes are none of the object's.
    refusing: bool,
}

/// The object a connection is at.
pub(super) struct Visiting {
    pub(super) object: ObjectKey,
    pub(super) label: Label,
    pub(super) size_bytes: u64,
    /// Whether the table knows of it.
    pub(super) entered: bool,
}

impl Tally {
    pub(super) fn of(who: Who, exempt: bool, counted: bool) -> Tally {
        Tally { who: Some(who), exempt, counted, ..Tally::default() }
    }

    /// An account of the same client for more of the same connection, which is counted once.
    pub fn sibling(&self) -> Tally {
        self.who.map_or_else(Tally::default, |who| Tally::of(who, self.exempt, false))
    }

    /// A request for an object of `site`; answers how it is to be dealt with.
    pub fn request(
        &mut self,
        desk: &Desk,
        object: [u64; 2],
        (site, target): (&str, &str),
        now: Now,
    ) -> Standing {
        if self.who.is_none() {
            return Standing::Good;
        }
        self.usage.add(LimitOn::Requests, 1);
        let stays = self.visit.as_ref().is_some_and(|visit| visit.object == object);
        if !stays {
            self.leave_object(desk, now);
            let label = Label::new(site, target);
            self.visit = Some(Visiting { object, label, size_bytes: 0, entered: false });
        }
        self.usage.add(LimitOn::ObjectRequests, 1);
        self.touch(now);
        let known = stays && matches!(self.standing, Standing::Good);
        if !known || self.usage.units(LimitOn::Requests) >= BATCH_REQUESTS || self.is_due(now) {
            desk.settle(self, now);
        }
        self.standing
    }

    /// That request is answered 429.
    pub fn refuse(&mut self, now: Now) {
        self.refusing = true;
        self.usage.add(LimitOn::Refused, 1);
        self.touch(now);
    }

    /// How long the object is that is being answered with.
    pub fn size(&mut self, size_bytes: Option<u64>) {
        if let Some(visit) = &mut self.visit {
            visit.size_bytes = size_bytes.unwrap_or(0);
        }
    }

    /// Bytes left for the client.
    pub fn sent(&mut self, bytes: u64, now: Now) {
        if self.who.is_none() {
            return;
        }
        self.usage.add(LimitOn::Bytes, bytes);
        if !self.refusing && self.visit.is_some() {
            self.usage.add(LimitOn::ObjectBytes, bytes);
        }
        self.touch(now);
    }

    /// Something that is counted by itself happened `count` times.
    pub fn note(&mut self, on: LimitOn, count: u64, now: Now) {
        self.usage.add(on, count);
        self.touch(now);
    }

    /// An answer has ended after `sent_bytes`.
    pub fn answered(&mut self, outcome: Outcome, status: u16, sent_bytes: u64, now: Now) {
        self.usage.by_outcome[outcome as usize] += sent_bytes;
        match status {
            401 | 403 if outcome == Outcome::Local => self.note(LimitOn::Auth, 1, now),
            401 | 403 | 408 | 429 => {}
            400..=499 => self.note(LimitOn::Errors, 1, now),
            _ => {}
        }
        self.refusing = false;
        self.touch(now);
    }

    /// Whether the batch has to be charged.
    pub fn is_due(&self, now: Now) -> bool {
        self.due_ms.is_some_and(|due_ms| now.mono_ms >= due_ms)
            || self.usage.units(LimitOn::Bytes) >= BATCH_BYTES
    }

    /// Whether there is anything in the batch.
    pub fn is_open(&self) -> bool {
        self.due_ms.is_some()
    }

    /// Charges the batch; where the client stands then.
    pub fn settle(&mut self, desk: &Desk, now: Now) -> Standing {
        if self.due_ms.is_some() {
            desk.settle(self, now);
        }
        self.standing
    }

    /// Whether and why the client is banned, as far as is known.
    pub fn ban(&self) -> Option<Stop> {
        match self.standing {
            Standing::Banned(stop) => Some(stop),
            _ => None,
        }
    }

    /// The connection ends; `dropped_bytes` of what was sent never arrived.
    pub fn leave(&mut self, desk: &Desk, dropped_bytes: u64, now: Now) {
        self.usage.dropped_bytes += dropped_bytes;
        self.touch(now);
        self.leave_object(desk, now);
        if let Some(who) = self.who.take().filter(|_| self.counted) {
            desk.depart(who, now);
        }
    }

    /// Charges what belongs to the object, and goes from it.
    fn leave_object(&mut self, desk: &Desk, now: Now) {
        self.settle(desk, now);
        if let (Some(who), Some(visit)) = (self.who, self.visit.take())
            && visit.entered
        {
            desk.exit(who, visit.object);
        }
    }

    pub(super) fn take(&mut self) -> Usage {
        self.due_ms = None;
        std::mem::take(&mut self.usage)
    }

    fn touch(&mut self, now: Now) {
        if self.who.is_some() {
            self.due_ms.get_or_insert(now.mono_ms + BATCH_MS);
        }
    }
}
