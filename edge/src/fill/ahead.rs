//! Read-ahead: while clients wait for the bytes of a large object, more of it is asked for at once, on
//! further connections, as long as that makes it come faster.
//!
//! The first stream goes on; what is some way ahead of it is taken from it and given out in pieces, in
//! order, to helpers. A piece that could not be had is left for who reads it.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::filler::Filler;
use super::runtime;
use super::turn::protection;
use crate::cache::{Body, Object, Slices, Ticket, Urgency};
use crate::limits::RUN_SLICES_MAX;
use crate::origin::pace::{Look, Pace, TICK_MS};
use crate::origin::version;
use crate::session::Demand;
use crate::session::demand::Want;

/// Objects (or rests of them) of fewer slices come on one connection.
const LARGE_SLICES: u64 = 8;
/// Pieces are what one stream brings in this time: long beside the wait for a first byte, short
/// beside a client's patience.
const PIECE_MS: u64 = 500;

/// Those who bring in one object together.
struct Crew {
    filler: Rc<Filler>,
    errand: Demand,
    object: Arc<Object>,
    slices: Arc<Slices>,
    /// What nobody was told to bring in yet.
    rest: Cell<(u64, u64)>,
    end: u64,
    piece_bytes: Cell<u64>,
    helpers: Cell<usize>,
    /// Streams that there should be, the lead's own among them.
    wanted: Cell<usize>,
    is_lead_done: Cell<bool>,
}

impl Filler {
    /// Does `lead`, which brings in bytes of `object` up to `end`, and lets others help when that is of
    /// use. Returns when all of them are done.
    pub async fn with_help<T>(
        self: &Rc<Self>,
        demand: &Demand,
        object: &Arc<Object>,
        range: Range<u64>,
        lead: impl Future<Output = T>,
    ) -> T {
        let Some(crew) = Crew::of(self, demand, object, range) else { return lead.await };
        let lead = async {
            let done = lead.await;
            crew.is_lead_done.set(true);
            done
        };
        tokio::join!(lead, crew.watch()).0
    }
}

impl Crew {
    /// A crew of nobody yet; `None` where more than one could not help.
    fn of(
        filler: &Rc<Filler>,
        demand: &Demand,
        object: &Arc<Object>,
        range: Range<u64>,
    ) -> Option<Rc<Crew>> {
        let Body::Slices(slices) = &object.body else { return None };
        let is_large =
            range.end.saturating_sub(range.start) >= LARGE_SLICES * filler.cache().slice_bytes();
        let can_help = is_large
            && slices.len().is_some()
            && version::is_named(&object.meta)
            && protection(&demand.site).connections_per_object > 1
            && demand.ticket.urgency() == Urgency::Awaited;
        can_help.then(|| {
            let want = Want::Bytes { object: object.clone(), start: range.start, end: range.end };
            Rc::new(Crew {
                filler: filler.clone(),
                errand: demand.errand(Ticket::ahead(), want),
                object: object.clone(),
                slices: slices.clone(),
                rest: Cell::new((range.end, range.end)),
                end: range.end,
                piece_bytes: Cell::new(filler.cache().slice_bytes()),
                helpers: Cell::new(0),
                wanted: Cell::new(1),
                is_lead_done: Cell::new(false),
            })
        })
    }

    /// Looks how it goes, and calls helpers, until everybody is done.
    async fn watch(self: &Rc<Self>) {
        let mut pace = Pace::new(protection(&self.errand.site).connections_per_object);
        let mut came_bytes = self.slices.came_bytes();
        loop {
            if self.is_lead_done.get() && self.helpers.get() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
            // In the place of the lead, when that is done: one stream alone waits for each first byte.
            self.call_helpers();
            let before = std::mem::replace(&mut came_bytes, self.slices.came_bytes());
            let look = Look {
                came_bytes: came_bytes - before,
                is_awaited: self.slices.is_awaited(),
                streams: self.streams(),
                flowing: self.slices.flowing(),
                rest_bytes: self.rest_bytes(),
            };
            if let Some(more) = pace.look(&look).filter(|_| self.slices.takes_parts()) {
                self.grow(more.streams, more.bytes_per_s / look.streams.max(1) as u64);
            }
        }
    }

    /// Bytes that nobody is on yet, or that can be taken from who is.
    fn rest_bytes(&self) -> u64 {
        let (start, end) = self.rest.get();
        match self.slices.longest_stretch() {
            _ if start < end => end - start,
            Some((at, end)) => end.min(self.end).saturating_sub(at),
            None => 0,
        }
    }

    /// Calls helpers until there are `streams`, each of which is as fast as `bytes_per_s`.
    fn grow(self: &Rc<Self>, streams: usize, bytes_per_s: u64) {
        let slice_bytes = self.filler.cache().slice_bytes();
        let piece_bytes = (bytes_per_s * PIECE_MS / 1_000).next_multiple_of(slice_bytes);
        self.piece_bytes.set(piece_bytes.clamp(slice_bytes, RUN_SLICES_MAX * slice_bytes));
        if !self.has_rest() {
            self.take_from_longest();
        }
        self.wanted.set(streams);
        self.call_helpers();
    }

    fn call_helpers(self: &Rc<Self>) {
        while self.streams() < self.wanted.get() && self.has_rest() {
            self.helpers.set(self.helpers.get() + 1);
            let crew = self.clone();
            runtime::spawn(async move { crew.help().await });
        }
    }

    /// Takes what is more than a piece ahead of the one who has most before it.
    fn take_from_longest(&self) {
        let Some((at, end)) = self.slices.longest_stretch() else { return };
        let slice_bytes = self.filler.cache().slice_bytes();
        let keeps = self.piece_bytes.get().min(end.saturating_sub(at) / 2);
        let from = (at + keeps).next_multiple_of(slice_bytes);
        if from < end.min(self.end) && self.slices.cut(from) {
            // The first run of a longer range may end before the range does.
            self.rest.set((from, self.end));
        }
    }

    /// Brings in piece after piece.
    async fn help(self: Rc<Self>) {
        let (filler, slices) = (&self.filler, &self.slices);
        let fate =
            |at| filler.fate((&self.errand, &[]), &self.object, slices, (at, Some(self.end)));
        while let Some(piece) = self.next_piece() {
            if filler.fetch(&self.errand, &self.object, piece, fate).await.is_err() {
                // Who needs the rest asks for it.
                self.rest.set((self.end, self.end));
            }
        }
        self.helpers.set(self.helpers.get() - 1);
    }

    fn next_piece(&self) -> Option<Range<u64>> {
        let (start, end) = self.rest.get();
        let is_unwanted =
            self.filler.is_unwanted((&self.errand, &[]), &self.slices, start, Some(self.end));
        if start >= end || is_unwanted {
            return None;
        }
        let slice_bytes = self.filler.cache().slice_bytes();
        // Towards the end pieces get smaller, so that all are done at about the same time.
        let (most, share) = (self.piece_bytes.get(), (end - start) / self.wanted.get() as u64);
        let bytes = share.clamp(most / 4, most).next_multiple_of(slice_bytes);
        let next = end.min(start + bytes.max(slice_bytes));
        self.rest.set((next, end));
        Some(start..next)
    }

    fn streams(&self) -> usize {
        self.helpers.get() + usize::from(!self.is_lead_done.get())
    }

    fn has_rest(&self) -> bool {
        let (start, end) = self.rest.get();
        start < end
    }
}
