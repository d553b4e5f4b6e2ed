//! Opening: from a URL to an object or a relay, answered as soon as the head is known; then the body.

use std::{rc::Rc, slice::from_ref, sync::Arc};

use bytes::Bytes;

use super::body::{Incoming, Pour, Poured};
use super::bytes::Unfetched;
use super::file;
use super::filler::Filler;
use super::flight::Flight;
use super::gate::Slot;
use super::http::Answer;
use super::object::{self, Found, Freshness};
use crate::cache::reuse::{Use, decide, may_stand_in};
use crate::cache::{Body, Cache, FillError, Object, Opened, Slices, StoreError, Ticket};
use crate::clock::Now;
use crate::config;
use crate::http::lines;
use crate::limits::{MEMORY_BODY_MAX_BYTES, RUN_SLICES_MAX};
use crate::metrics::Outcome;
use crate::origin::request::aligned;
use crate::origin::verdict::Part;
use crate::origin::{Ask, Failure, Head, Verdict, judge, version};
use crate::session::Demand;
use crate::session::demand::Want;

/// What opening came to.
enum Opening {
    /// For everybody who asked, with the body that is to be poured into it.
    Shared(Found, Outcome, Option<Box<Rest>>),
    /// The same, but only for who asked: whoever comes next must ask, too.
    Single(Found, Outcome, Option<Box<Rest>>),
    /// For one client only, with the bytes of it that were read already.
    Private(Box<Answer>, Vec<Bytes>),
    /// Nothing.
    Failed(FillError),
}

/// A body that is still to come.
pub struct Rest {
    body: Incoming,
    part: Part,
    /// Where it goes. Its first place is claimed before anybody is told of the object.
    pour: Pour,
}

impl Filler {
    /// Answers `demand` and those who joined its `flight`, then brings in the body.
    pub async fn open(self: Rc<Self>, demand: Demand, flight: Option<Flight>) {
        // Its place among the fills, from when the origin is asked to when the body is in.
        let mut fill = None;
        let opening = match &demand.site.config.origin {
            config::Origin::File { root, .. } => match file::open(self.cache(), &demand, root) {
                Ok(file::Found::Object(object, outcome)) => {
                    Opening::Shared(object.into(), outcome, None)
                }
                Ok(file::Found::Directory(found)) => {
                    match file::list(self.cache(), &demand, found).await {
                        Some(object) => Opening::Shared(object.into(), Outcome::Miss, None),
                        None => Opening::Failed(FillError::Disk),
                    }
                }
                Err(error) => Opening::Failed(error),
            },
            config::Origin::Http { .. } => self.open_http(&demand, &mut fill).await,
        };
        if let Want::Open { key, .. } = demand.want {
            self.private.note(key, matches!(opening, Opening::Private(..)));
            self.solo.note(key, matches!(opening, Opening::Single(..)));
        }
        let joined = flight.map_or_else(Vec::new, Flight::land);
        match opening {
            Opening::Single(found, outcome, rest) => {
                demand.ticket.open(Opened::Object(found.own(), outcome));
                self.again(joined);
                if let Some(rest) = rest {
                    self.pour(&demand, &found.object, rest, from_ref(&demand.ticket)).await;
                }
            }
            Opening::Shared(found, outcome, rest) => {
                let object = &found.object;
                let (joined, others) = self.fitting(object, joined);
                self.again(others);
                let tickets: Vec<Arc<Ticket>> =
                    std::iter::once(&demand).chain(&joined).map(|one| one.ticket.clone()).collect();
                drop(joined);
                demand.ticket.open(Opened::Object(found.own(), outcome));
                for ticket in &tickets[1..] {
                    ticket.open(Opened::Object(object.clone(), outcome));
                }
                if let Some(rest) = rest {
                    let range = rest.part.start..rest.part.end.unwrap_or(0);
                    let lead = self.pour(&demand, object, rest, &tickets);
                    self.with_help(&demand, object, range, lead).await;
                }
            }
            Opening::Private(answer, first) => {
                self.pass(&demand, *answer, first);
                self.again(joined);
            }
            // Only the leader's own range is not there.
            Opening::Failed(FillError::Unsatisfiable) => {
                demand.ticket.fail(FillError::Unsatisfiable);
                self.again(joined);
            }
            Opening::Failed(error) => {
                for one in std::iter::once(&demand).chain(&joined) {
                    one.ticket.fail(error);
                }
            }
        }
    }

    async fn open_http(&self, demand: &Demand, fill: &mut Option<Slot>) -> Opening {
        let Want::Open { key, range, head_only, ref stale } = demand.want else {
            return Opening::Failed(FillError::Broken);
        };
        let found = self.cache().load_for(key, lines::fields(&demand.fields));
        let asked_for_news =
            |found: &Arc<Object>| stale.as_ref().is_some_and(|stale| Arc::ptr_eq(stale, found));
        if let Some(found) = found.as_ref().filter(|found| !asked_for_news(found)) {
            match decide(&found.meta, &demand.control, Now::read()) {
                Use::Fresh => return Opening::Shared(found.clone().into(), Outcome::Hit, None),
                Use::Stale => return Opening::Single(found.clone().into(), Outcome::Stale, None),
                // Who finds it in memory next is answered at once, and asks.
                Use::StaleWhile => {
                    return Opening::Shared(found.clone().into(), Outcome::Stale, None);
                }
                Use::Ask => {}
            }
        }
        if demand.control.only_if_cached {
            return Opening::Failed(FillError::NotCached);
        }
        let unpurged = || stale.clone().filter(|stale| !self.cache().is_purged(stale));
        let stale = found.or_else(unpurged);
        let mut ask = Ask { head_only, ..question(demand, self.cache()) };
        if !self.private.holds(key) {
            let (block_bytes, slice_bytes) =
                (self.cache().block_bytes(), self.cache().slice_bytes());
            ask.range = aligned(range, block_bytes, slice_bytes);
            if ask.range.is_none() && !head_only && asks_for_parts(demand) {
                ask.range = Some((0, Some(RUN_SLICES_MAX * slice_bytes)));
            }
        } else if stale.is_none() {
            ask.own = demand.conditions.clone();
        }
        // Bytes that are missing would have to be stored (§5.2.1.5).
        let completes = !head_only && demand.control.no_store;
        let is_usable = |stale: &&Arc<Object>| !completes || self.is_whole(stale);
        if let Some(stale) = stale.as_ref().filter(is_usable) {
            ask = ask.if_changed_since(&stale.meta);
        }
        let opening = match self.begin_fill(demand, None).await {
            Ok(slot) => {
                *fill = Some(slot);
                self.settle(demand, ask, stale.as_deref()).await
            }
            Err(_) => Err(Failure::Crowded),
        };
        let failed = match &opening {
            Err(_) => true,
            Ok(Opening::Private(answer, _)) => Failure::of_status(answer.head.status).is_some(),
            Ok(_) => false,
        };
        let grace_ms = demand.site.config.grace_ms;
        match (opening, stale) {
            (_, Some(stale)) if failed && may_stand_in(&stale.meta, grace_ms, Now::read()) => {
                tracing::debug!(key = %stale.meta.key_text, "stale object used");
                Opening::Shared(stale.into(), Outcome::Stale, None)
            }
            // §5.2.2.2: not 502, what is stored must not hide that it could not be validated.
            (Err(failure), Some(stale))
                if stale.meta.reuse.no_stale
                    && (failure.is_unreachable() || failure == Failure::Broken) =>
            {
                Opening::Failed(FillError::Unvalidated)
            }
            (Err(failure), _) => Opening::Failed(failure.into_error()),
            (Ok(opening), _) => opening,
        }
    }

    fn is_whole(&self, object: &Object) -> bool {
        self.cache().held(object).is_none_or(|held| Some(held.bytes) == object.len())
    }

    /// Parts the demands that joined a flight into those that `object` answers and the others: what
    /// a response hangs on is only known when it is there (RFC 9111 §4.1).
    fn fitting(&self, object: &Object, joined: Vec<Demand>) -> (Vec<Demand>, Vec<Demand>) {
        let Some(url) = object.meta.variant_of else { return (joined, Vec::new()) };
        let list = self.cache().lookup(url);
        let Some(Body::Variants(list)) = list.as_ref().map(|list| &list.body) else {
            return (Vec::new(), joined);
        };
        let fits = |demand: &Demand| {
            demand.key() == url && list.select(url, lines::fields(&demand.fields)) == object.key
        };
        joined.into_iter().partition(fits)
    }

    /// Asks, and again if the answer does not fit the question: as the client did if it is for nobody
    /// else, plainly if it may be stored.
    async fn settle(
        &self,
        demand: &Demand,
        ask: Ask,
        stale: Option<&Object>,
    ) -> Result<Opening, Failure> {
        let mut ask = ask;
        for _ in 0..3 {
            let answer = self.ask(demand, &ask, None).await?;
            let freshness = object::freshness(demand, &answer.head, &answer);
            if let Some(object) = self.described(demand, &ask, &answer, stale) {
                return Ok(object);
            }
            let verdict = match own_verdict(demand, &ask, &answer) {
                Some(verdict) => verdict,
                None => judge(&ask, &answer.head, freshness.is_some()),
            };
            let is_private_part = answer.head.status == 206 && freshness.is_none();
            match (verdict, freshness) {
                (Verdict::Store(part), Some(freshness)) => {
                    return Ok(self.store(demand, answer, freshness, part, stale));
                }
                (Verdict::Keep, Some(freshness)) => {
                    return self.keep(demand, answer, freshness).await;
                }
                (Verdict::NotModified, _) => {
                    if let Some(opening) = self.refresh(demand, &answer, stale) {
                        return Ok(opening);
                    }
                }
                (Verdict::AskPlain, _) => {}
                // Nobody but this node wanted a part, and there is nothing in it.
                (Verdict::Unsatisfiable, _)
                    if matches!(demand.want, Want::Open { range: None, .. }) => {}
                (Verdict::Unsatisfiable, _) => {
                    return Ok(Opening::Failed(FillError::Unsatisfiable));
                }
                (Verdict::Broken, _) => return Err(Failure::Broken),
                (Verdict::Pass | Verdict::Store(_) | Verdict::Keep, _) => {
                    return Ok(Opening::Private(Box::new(answer), Vec::new()));
                }
            }
            ask = match is_private_part && ask.own.is_empty() && !demand.conditions.is_empty() {
                true => ask.as_asked(&demand.conditions),
                false => ask.plain(),
            };
        }
        Err(Failure::Broken)
    }

    fn store(
        &self,
        demand: &Demand,
        answer: Answer,
        freshness: Freshness,
        part: Part,
        before: Option<&Object>,
    ) -> Opening {
        let cache = &self.plane.cache;
        let object = object::sliced(cache, demand, (&answer, freshness), part, before);
        let head_only = matches!(demand.want, Want::Open { head_only: true, .. });
        let mut rest = None;
        if !head_only {
            match Pour::whole(cache.clone(), object.clone(), part.start, part.end) {
                Ok(pour) => rest = Some(Box::new(Rest { body: answer.body, part, pour })),
                Err(error) => return self.unstored(&object, &error, answer, part),
            }
        }
        cache.insert(object.clone(), answer.received);
        let found = Found::new(object, &answer.head, freshness);
        match freshness.is_for_one {
            true => Opening::Single(found, Outcome::Miss, rest),
            false => Opening::Shared(found, Outcome::Miss, rest),
        }
    }

    /// What to do with an answer that the store has no place for: it passes through if it is whole.
    fn unstored(&self, object: &Object, error: &StoreError, answer: Answer, part: Part) -> Opening {
        tracing::warn!(%error, key = %object.meta.key_text, "passed through, not stored");
        match part.len == part.end && part.start == 0 {
            true => Opening::Private(Box::new(answer), Vec::new()),
            false => Opening::Failed(FillError::Disk),
        }
    }

    /// Stores the answer that came instead of bytes of another version, if it may be stored.
    pub fn store_whole(&self, demand: &Demand, answer: Answer) -> Option<(Arc<Object>, Box<Rest>)> {
        let freshness = object::freshness(demand, &answer.head, &answer)?;
        let Verdict::Store(part) = judge(&Ask::default(), &answer.head, true) else {
            return None;
        };
        match self.store(demand, answer, freshness, part, None) {
            Opening::Shared(found, _, Some(rest)) | Opening::Single(found, _, Some(rest)) => {
                Some((found.object, rest))
            }
            _ => None,
        }
    }

    /// Reads a short body; one that turns out long passes through.
    async fn keep(
        &self,
        demand: &Demand,
        mut answer: Answer,
        freshness: Freshness,
    ) -> Result<Opening, Failure> {
        let mut body = Vec::new();
        let mut len = 0;
        while let Some(bytes) = answer.body.next().await? {
            len += bytes.len();
            body.push(bytes);
            if len > MEMORY_BODY_MAX_BYTES {
                return Ok(Opening::Private(Box::new(answer), body));
            }
        }
        let object =
            object::short(self.cache(), demand, (&answer, freshness), body.concat().into());
        let found = Found::new(object, &answer.head, freshness);
        Ok(match freshness.is_for_one {
            true => Opening::Single(found, Outcome::Miss, None),
            false => Opening::Shared(found, Outcome::Miss, None),
        })
    }

    /// The stored object with the fields of a 304; `None` when the 304 speaks of another version.
    fn refresh(&self, demand: &Demand, answer: &Answer, stale: Option<&Object>) -> Option<Opening> {
        let stored = stale?;
        let head = object::refreshed_head(&stored.meta, answer)?;
        let freshness = object::freshness(demand, &head, answer);
        let with = (&head, freshness);
        let object = object::refreshed(self.cache(), stored, demand, with, answer);
        let found = match freshness {
            Some(freshness) => Found::new(object, &head, freshness),
            None => object.into(),
        };
        Some(match freshness.is_some_and(|freshness| !freshness.is_for_one) {
            true => Opening::Shared(found, Outcome::Revalidated, None),
            false => Opening::Single(found, Outcome::Revalidated, None),
        })
    }

    /// What the answer to a HEAD says about what is stored: if it speaks of the same, it refreshes it,
    /// otherwise what is stored has had its day (RFC 9111 §4.3.5).
    fn described(
        &self,
        demand: &Demand,
        ask: &Ask,
        answer: &Answer,
        stale: Option<&Object>,
    ) -> Option<Opening> {
        let stored = stale.filter(|_| ask.head_only && answer.head.status == 200)?;
        if !object::is_described(stored, &answer.head) {
            object::forget(self.cache(), stored);
            return None;
        }
        self.refresh(demand, answer, stale)
    }

    /// Brings in the body of an object that was just made.
    pub async fn pour(
        &self,
        demand: &Demand,
        object: &Arc<Object>,
        rest: Box<Rest>,
        tickets: &[Arc<Ticket>],
    ) {
        let Body::Slices(slices) = &object.body else { return };
        let Rest { mut body, part: Part { end, len, .. }, mut pour } = *rest;
        let stream = len.is_none().then(|| self.streams.enter(object.key, slices.generation()));
        let fate = |at| self.fate((demand, tickets), object, slices, (at, end));
        let poured = pour.take(&mut body, fate).await;
        drop(body);
        let at = pour.at();
        if len.is_none() && matches!(poured, Poured::End) {
            // First the length, then the last slice: its last block is a short one.
            slices.set_len(at);
        }
        let error = match poured {
            Poured::End => pour.finish().err().map(|error| log_store(object, &error)),
            Poured::Met => None,
            // Who comes just now and was sent nothing opens it anew.
            Poured::Left => Some(FillError::Changed),
            Poured::Disk(error) => Some(log_store(object, &error)),
            Poured::Cut(failure) if len.is_none() => Some(failure.into_error()),
            Poured::Cut(_) | Poured::Yielded => {
                self.go_on((demand, tickets), object, slices, pour).await
            }
        };
        match (len, error) {
            (None, Some(error)) => {
                object::forget(self.cache(), object);
                slices.fail(error);
            }
            // Its head was entered without a length.
            (None, None) => self.cache().insert(object.clone(), Now::read()),
            (Some(_), _) => {}
        }
        drop(stream);
    }

    /// Goes on with a body that was cut. What fails here is asked for again by whoever still reads.
    async fn go_on(
        &self,
        (demand, tickets): (&Demand, &[Arc<Ticket>]),
        object: &Object,
        slices: &Slices,
        mut pour: Pour,
    ) -> Option<FillError> {
        if !version::is_named(&object.meta) {
            return Some(FillError::Broken);
        }
        self.plane.metrics.retries.add(1);
        let (mut patience, end) = (self.patience(demand), pour.end());
        let fate = |at| self.fate((demand, tickets), object, slices, (at, end));
        let poured = self.pour_range(demand, object, &mut pour, &mut patience, &fate).await;
        match poured {
            Ok(Poured::End) => pour.finish().err().map(|error| log_store(object, &error)),
            Ok(Poured::Disk(error)) => Some(log_store(object, &error)),
            Ok(_) => None,
            Err(Unfetched::Failed(error)) => Some(error),
            Err(Unfetched::Replaced(_)) => {
                object::forget(self.cache(), object);
                Some(FillError::Changed)
            }
        }
    }

    /// Whether a fill that is at byte `at` of `end` has lost its clients (those that wait to be told
    /// of the object, and those that read it) and, by the site's rule, its reason.
    pub fn is_unwanted(
        &self,
        (demand, tickets): (&Demand, &[Arc<Ticket>]),
        slices: &Slices,
        at: u64,
        end: Option<u64>,
    ) -> bool {
        let stays = match (demand.site.config.finish, end) {
            (config::Finish::Always, _) => true,
            (config::Finish::After(share), Some(end)) => at as f64 >= share * end as f64,
            (config::Finish::After(_) | config::Finish::Never, _) => false,
        };
        // In this order: a client is a reader before it gives its ticket up.
        !stays && tickets.iter().all(|ticket| ticket.is_abandoned()) && slices.readers() == 0
    }
}

/// What becomes of an answer to a client's own range and conditions: it is for this client alone,
/// unless the whole could be stored for all. `None`: it answers none of them.
fn own_verdict(demand: &Demand, ask: &Ask, answer: &Answer) -> Option<Verdict> {
    match answer.head.status {
        _ if ask.own.is_empty() => None,
        206 | 304 => {
            let whole = Head { status: 200, ..answer.head.clone() };
            let is_storable = object::freshness(demand, &whole, answer).is_some();
            Some(if is_storable { Verdict::AskPlain } else { Verdict::Pass })
        }
        412 | 416 => Some(Verdict::Pass),
        _ => None,
    }
}

/// Logs why a fill ended, for the client's error.
pub fn log_store(object: &Object, error: &StoreError) -> FillError {
    tracing::warn!(%error, key = %object.meta.key_text, "fill ended");
    FillError::Disk
}

/// Whether the site has its origin asked for parts alone.
fn asks_for_parts(demand: &Demand) -> bool {
    match &demand.site.config.origin {
        config::Origin::Http { policy, .. } => policy.range_fetch == config::RangeFetch::Force,
        config::Origin::File { .. } => false,
    }
}

/// The plain question for what `demand` is about.
pub fn question(demand: &Demand, cache: &Cache) -> Ask {
    Ask {
        host: origin_host(demand),
        target: demand.target.clone(),
        fields: demand.fields.clone(),
        keyed: demand.keyed.to_vec(),
        loop_id: cache.loop_id().into(),
        is_secure: demand.is_secure,
        ..Ask::default()
    }
}

/// The `Host` that the origin is asked for.
pub fn origin_host(demand: &Demand) -> Box<str> {
    match &demand.site.config.origin {
        config::Origin::Http { host: Some(host), .. } => host.as_str().into(),
        _ => demand.host.clone(),
    }
}
