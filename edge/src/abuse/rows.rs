//! What is kept of clients, of a client and an object, and of objects.

use edge_common::Rate;

use super::rules::{Rules, Who, ban_ms, charge, rate_of};
use super::table::Row;
use super::usage::{Label, Recent, Usage};
use super::{Standing, Stop};
use crate::config::{Limit, LimitOn};
use crate::limits::{LIMIT_RULES_MAX, VISIT_CONNS_MAX};
use crate::metrics::Outcome;

/// An object's key, as 128 bits of hash.
pub(super) type ObjectKey = [u64; 2];

/// One client: its accounts and its buckets.
#[derive(Clone, Default)]
pub(super) struct Client {
    pub(super) who: Who,
    pub(super) seen_ms: u64,
    pub(super) conns: u32,
    pub(super) requests: u64,
    pub(super) refused: u64,
    /// Bytes sent, running answers included.
    pub(super) sent_bytes: u64,
    /// Bytes of finished answers, by outcome.
    pub(super) by_outcome: [u64; Outcome::ALL.len()],
    /// Bytes that never arrived.
    pub(super) dropped_bytes: u64,
    pub(super) recent: Recent,
    pub(super) buckets: [u64; LIMIT_RULES_MAX],
    /// The last verdict: by which rule, and until when.
    pub(super) last: Option<(u8, u64)>,
    pub(super) banned: Option<(u8, u64)>,
}

impl Row for Client {
    type Key = Who;

    fn key(&self) -> Who {
        self.who
    }

    fn is_vacant(&self) -> bool {
        self.seen_ms == 0
    }

    fn is_held(&self) -> bool {
        self.conns > 0
    }

    fn worth(&self) -> u64 {
        // Who is banned stays as long as that.
        self.banned.map_or(self.seen_ms, |(_, until_ms)| until_ms.max(self.seen_ms))
    }

    fn begin(&mut self, who: Who) {
        *self = Client { who, ..Client::default() };
    }

    fn absorb(&mut self, gone: &Client) {
        self.requests += gone.requests;
        self.refused += gone.refused;
        self.sent_bytes += gone.sent_bytes;
        self.dropped_bytes += gone.dropped_bytes;
        for (sum, bytes) in self.by_outcome.iter_mut().zip(gone.by_outcome) {
            *sum += bytes;
        }
    }
}

impl Client {
    /// Adds to the accounts.
    pub(super) fn count(&mut self, usage: &Usage, now_ms: u64) {
        self.seen_ms = now_ms.max(1);
        self.requests += usage.units(LimitOn::Requests);
        self.refused += usage.units(LimitOn::Refused);
        self.sent_bytes += usage.units(LimitOn::Bytes);
        self.dropped_bytes += usage.dropped_bytes;
        self.recent.add(usage.units(LimitOn::Bytes), now_ms);
        for (sum, bytes) in self.by_outcome.iter_mut().zip(usage.by_outcome) {
            *sum += bytes;
        }
    }

    /// Charges the buckets. Where a rule begins to be broken, `tell` is told.
    pub(super) fn judge(
        &mut self,
        rules: &Rules,
        usage: &Usage,
        now_ms: u64,
        enforce: bool,
        mut tell: impl FnMut(Stop),
    ) -> Standing {
        let mut standing = self.standing(now_ms);
        for (index, limit) in of_client(rules) {
            let rate = rate_of(limit, 0, 0);
            let over = charge(&mut self.buckets[index], rate, usage.units(limit.on), now_ms);
            let Some(wait_ms) = over else { continue };
            let until_ms = now_ms + ban_ms(limit).unwrap_or(wait_ms);
            let stop = Stop { rule: index as u8, until_ms };
            if is_news(&mut self.last, stop, now_ms) {
                tell(stop);
            }
            if ban_ms(limit).is_some() {
                // When the ban ends, it begins anew.
                self.buckets[index] = 0;
                self.banned = Some((stop.rule, until_ms)).filter(|_| enforce).or(self.banned);
                standing = standing.worst(Standing::Banned(stop));
            } else {
                standing = standing.worst(Standing::Limited(stop));
            }
        }
        standing
    }

    /// Whether it is banned now.
    pub(super) fn standing(&self, now_ms: u64) -> Standing {
        match self.banned.filter(|(_, until_ms)| now_ms < *until_ms) {
            Some((rule, until_ms)) => Standing::Banned(Stop { rule, until_ms }),
            None => Standing::Good,
        }
    }

    /// Begins with a clean slate.
    pub(super) fn forgive(&mut self) {
        self.buckets = [0; LIMIT_RULES_MAX];
        (self.banned, self.last) = (None, None);
    }
}

/// One client at one object.
#[derive(Clone, Default)]
pub(super) struct Visit {
    pub(super) key: (Who, ObjectKey),
    pub(super) seen_ms: u64,
    pub(super) size_bytes: u64,
    /// Connections at work on it, and the most since it was last at rest.
    pub(super) conns: u32,
    pub(super) conns_most: u32,
    pub(super) requests: u64,
    pub(super) sent_bytes: u64,
    pub(super) buckets: [u64; LIMIT_RULES_MAX],
    pub(super) last: Option<(u8, u64)>,
}

impl Row for Visit {
    type Key = (Who, ObjectKey);

    fn key(&self) -> (Who, ObjectKey) {
        self.key
    }

    fn is_vacant(&self) -> bool {
        self.seen_ms == 0
    }

    fn is_held(&self) -> bool {
        self.conns > 0
    }

    fn worth(&self) -> u64 {
        self.seen_ms
    }

    fn begin(&mut self, key: (Who, ObjectKey)) {
        *self = Visit { key, ..Visit::default() };
    }

    fn absorb(&mut self, gone: &Visit) {
        self.requests += gone.requests;
        self.sent_bytes += gone.sent_bytes;
    }
}

impl Visit {
    /// A connection sets to work on the object.
    pub(super) fn enter(&mut self, now_ms: u64) {
        let at_rest = self.buckets.iter().all(|bucket_ns| *bucket_ns <= now_ms * 1_000_000);
        if self.conns == 0 && at_rest {
            self.conns_most = 0;
        }
        self.conns = self.conns.saturating_add(1);
        self.conns_most = self.conns_most.max(self.conns).min(VISIT_CONNS_MAX);
        self.seen_ms = now_ms.max(1);
    }

    /// It goes on to another, or closes.
    pub(super) fn leave(&mut self) {
        self.conns = self.conns.saturating_sub(1);
    }

    /// Adds to the accounts.
    pub(super) fn count(&mut self, usage: &Usage, size_bytes: u64, now_ms: u64) {
        self.seen_ms = now_ms.max(1);
        self.size_bytes = self.size_bytes.max(size_bytes);
        self.requests += usage.units(LimitOn::ObjectRequests);
        self.sent_bytes += usage.units(LimitOn::ObjectBytes);
    }

    /// The bucket of a rule, for this object.
    pub(super) fn rate(&self, limit: &Limit) -> Rate {
        rate_of(limit, self.size_bytes, self.conns_most)
    }

    /// Charges the buckets. Where a rule begins to be broken, `tell` is told.
    pub(super) fn judge(
        &mut self,
        rules: &Rules,
        usage: &Usage,
        now_ms: u64,
        mut tell: impl FnMut(Stop),
    ) -> Standing {
        let mut standing = Standing::Good;
        for (index, limit) in of_object(rules) {
            let rate = self.rate(limit);
            let over = charge(&mut self.buckets[index], rate, usage.units(limit.on), now_ms);
            let Some(wait_ms) = over else { continue };
            let until_ms = now_ms + ban_ms(limit).unwrap_or(wait_ms);
            let stop = Stop { rule: index as u8, until_ms };
            if is_news(&mut self.last, stop, now_ms) {
                tell(stop);
            }
            standing = standing.worst(match ban_ms(limit) {
                Some(_) => Standing::Banned(stop),
                None => Standing::Limited(stop),
            });
        }
        standing
    }
}

/// One object, for the table of the most asked for.
#[derive(Clone, Default)]
pub(super) struct Ranked {
    pub(super) key: ObjectKey,
    pub(super) label: Label,
    pub(super) requests: u64,
    pub(super) sent_bytes: u64,
    pub(super) recent: Recent,
}

impl Row for Ranked {
    type Key = ObjectKey;

    fn key(&self) -> ObjectKey {
        self.key
    }

    fn is_vacant(&self) -> bool {
        self.label.is_empty()
    }

    fn is_held(&self) -> bool {
        false
    }

    fn worth(&self) -> u64 {
        self.recent.bytes
    }

    fn begin(&mut self, key: ObjectKey) {
        *self = Ranked { key, ..Ranked::default() };
    }

    fn absorb(&mut self, gone: &Ranked) {
        self.requests += gone.requests;
        self.sent_bytes += gone.sent_bytes;
    }
}

/// Rules with a bucket a client, with their index.
pub(super) fn of_client(rules: &Rules) -> impl Iterator<Item = (usize, &Limit)> {
    rules.list.iter().enumerate().filter(|(_, limit)| !limit.on.is_of_object())
}

/// Rules with a bucket a client and object, with their index.
pub(super) fn of_object(rules: &Rules) -> impl Iterator<Item = (usize, &Limit)> {
    rules.list.iter().enumerate().filter(|(_, limit)| limit.on.is_of_object())
}

/// Whether a rule is broken anew: one verdict for an episode, not one for each request of it.
fn is_news(last: &mut Option<(u8, u64)>, stop: Stop, now_ms: u64) -> bool {
    let goes_on =
        last.is_some_and(|(rule, until_ms)| rule == stop.rule && now_ms < until_ms + 1_000);
    *last = Some((stop.rule, stop.until_ms));
    !goes_on
}
