//! The accounts, for people to see.

use std::net::IpAddr;

use super::rows::{Client, ObjectKey, Ranked, Visit, of_client, of_object};
use super::rules::{Rules, ban_ms, left, rate_of};
use super::{Desk, Standing, VerdictCounts, Who};
use crate::clock::Now;
use crate::config::{Limit, LimitOn};
use crate::metrics::Outcome;
use edge_common::Rate;

/// Objects of a client that [`WhyView`] tells of.
const VISITS_SHOWN: usize = 10;

/// Sums over all clients, those included whose rows are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Clients with a row now.
    pub clients: u64,
    /// Requests for objects.
    pub requests: u64,
    /// Of those, answered 429.
    pub refused: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes of finished answers, by [`Outcome`].
    pub by_outcome: [u64; Outcome::ALL.len()],
    /// Bytes sent that never arrived.
    pub dropped_bytes: u64,
}

/// One client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientView {
    /// First address of its prefix.
    pub address: IpAddr,
    /// Length of that prefix, bits.
    pub prefix_bits: u8,
    /// Connections open.
    pub conns: u32,
    /// See [`Sums::requests`].
    pub requests: u64,
    /// See [`Sums::refused`].
    pub refused: u64,
    /// See [`Sums::sent_bytes`].
    pub sent_bytes: u64,
    /// See [`Sums::by_outcome`].
    pub by_outcome: [u64; Outcome::ALL.len()],
    /// See [`Sums::dropped_bytes`].
    pub dropped_bytes: u64,
    /// Bytes of the last while: halved every ten seconds.
    pub recent_bytes: u64,
    /// Banned until, monotonic ms.
    pub banned_until_ms: Option<u64>,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectView {
    /// `site target`, cut where it is long.
    pub name: String,
    /// Requests for it.
    pub requests: u64,
    /// Bytes sent of it.
    pub sent_bytes: u64,
    /// Bytes of the last while: halved every ten seconds.
    pub recent_bytes: u64,
}

/// One bucket of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketView {
    /// Its rule.
    pub rule: Limit,
    /// Units it holds when full; follows the object's size where the rule says so.
    pub burst: u64,
    /// Units it would admit now.
    pub left: u64,
    /// Time until it is full, ms.
    pub full_in_ms: u64,
    /// Time until it admits anything, when it does not now, ms.
    pub over_ms: Option<u64>,
}

/// A client at an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitView {
    /// `site target`, where it is still known.
    pub object: String,
    /// Bytes of the object, as far as is known.
    pub size_bytes: u64,
    /// Connections at work on it.
    pub conns: u32,
    /// Requests for it.
    pub requests: u64,
    /// Bytes sent of it.
    pub sent_bytes: u64,
    /// Its buckets.
    pub buckets: Vec<BucketView>,
}

/// One address, explained.
#[derive(Clone, Debug)]
pub struct WhyView {
    /// First address of the prefix that is its client.
    pub client: IpAddr,
    /// Length of that prefix, bits.
    pub prefix_bits: u8,
    /// Whether it is under no limit: by `guard.allow`, or as loopback.
    pub exempt: bool,
    /// Whether anything is refused: not so in observe mode.
    pub enforced: bool,
    /// The rule of its ban and when that ends, monotonic ms.
    pub banned: Option<(Option<Limit>, u64)>,
    /// Its accounts, if it was seen.
    pub account: Option<ClientView>,
    /// Its own buckets.
    pub buckets: Vec<BucketView>,
    /// The objects it took most of.
    pub visits: Vec<VisitView>,
}

impl Desk {
    /// Sums over everybody.
    pub fn sums(&self) -> Sums {
        let mut all = self.clients.rest();
        let mut clients = 0;
        self.clients.each(|client| {
            clients += 1;
            super::table::Row::absorb(&mut all, client);
        });
        Sums {
            clients,
            requests: all.requests,
            refused: all.refused,
            sent_bytes: all.sent_bytes,
            by_outcome: all.by_outcome,
            dropped_bytes: all.dropped_bytes,
        }
    }

    /// The `count` clients that took most of late.
    pub fn top_clients(&self, count: usize, now: Now) -> Vec<ClientView> {
        let rules = self.rules.load();
        let mut top = Top::new(count);
        self.clients.each(|client| {
            top.offer((client.recent.at(now.mono_ms), client.sent_bytes), || client.clone());
        });
        top.take().iter().map(|client| view(client, &rules, now)).collect()
    }

    /// The `count` objects most was taken of of late.
    pub fn top_objects(&self, count: usize, now: Now) -> Vec<ObjectView> {
        let mut top = Top::new(count);
        self.objects.each(|object| {
            top.offer((object.recent.at(now.mono_ms), object.sent_bytes), || object.clone());
        });
        let objects = top.take();
        let object = |object: &Ranked| ObjectView {
            name: object.label.to_string(),
            requests: object.requests,
            sent_bytes: object.sent_bytes,
            recent_bytes: object.recent.at(now.mono_ms),
        };
        objects.iter().map(object).collect()
    }

    /// Everything that is known of `address`. Looks at the whole table: for people, not for
    /// requests.
    pub fn why(&self, address: IpAddr, now: Now) -> WhyView {
        let rules = self.rules.load();
        let who = rules.who(address);
        let mut found = None;
        self.clients.each(|client| {
            if client.who == who {
                found = Some(client.clone());
            }
        });
        let banned = found.as_ref().and_then(|client| match client.standing(now.mono_ms) {
            Standing::Banned(stop) => Some((self.rule(stop.rule), stop.until_ms)),
            _ => None,
        });
        let buckets = found.iter().flat_map(|client| {
            of_client(&rules).map(|(index, limit)| {
                bucket(limit, rate_of(limit, 0, 0), client.buckets[index], now)
            })
        });
        WhyView {
            client: who.address(),
            prefix_bits: rules.prefix_bits(who),
            exempt: rules.is_exempt(address),
            enforced: self.enforce.load(std::sync::atomic::Ordering::Relaxed),
            banned,
            buckets: buckets.collect(),
            account: found.as_ref().map(|client| view(client, &rules, now)),
            visits: self.visits_of(who, &rules, now),
        }
    }

    /// Verdicts by kind of rule.
    pub fn verdict_counts(&self) -> impl Iterator<Item = (LimitOn, &VerdictCounts)> {
        LimitOn::ALL.into_iter().zip(&self.counts)
    }

    fn visits_of(&self, who: Who, rules: &Rules, now: Now) -> Vec<VisitView> {
        let mut top = Top::new(VISITS_SHOWN);
        self.visits.each(|visit| {
            if visit.key.0 == who {
                top.offer((visit.sent_bytes, visit.requests), || visit.clone());
            }
        });
        let visits = top.take();
        let view = |visit: &Visit| VisitView {
            object: self.label(visit.key.1),
            size_bytes: visit.size_bytes,
            conns: visit.conns,
            requests: visit.requests,
            sent_bytes: visit.sent_bytes,
            buckets: of_object(rules)
                .map(|(index, limit)| bucket(limit, visit.rate(limit), visit.buckets[index], now))
                .collect(),
        };
        visits.iter().map(view).collect()
    }

    fn label(&self, key: ObjectKey) -> String {
        let mut label = None;
        self.objects.each(|object| {
            if object.key == key {
                label = Some(object.label.to_string());
            }
        });
        label.unwrap_or_else(|| "-".to_owned())
    }
}

fn view(client: &Client, rules: &Rules, now: Now) -> ClientView {
    ClientView {
        address: client.who.address(),
        prefix_bits: rules.prefix_bits(client.who),
        conns: client.conns,
        requests: client.requests,
        refused: client.refused,
        sent_bytes: client.sent_bytes,
        by_outcome: client.by_outcome,
        dropped_bytes: client.dropped_bytes,
        recent_bytes: client.recent.at(now.mono_ms),
        banned_until_ms: client.banned.map(|(_, until)| until).filter(|until| now.mono_ms < *until),
    }
}

fn bucket(limit: &Limit, rate: Rate, bucket_ns: u64, now: Now) -> BucketView {
    let (left, full_in_ms) = left(bucket_ns, rate, now.mono_ms);
    let full_ms = rate.tolerance_ns / 1_000_000;
    let over_ms = full_in_ms.checked_sub(full_ms).filter(|over_ms| *over_ms > 0);
    // What bans holds no units over: the ban tells.
    let over_ms = over_ms.filter(|_| ban_ms(limit).is_none());
    BucketView { rule: *limit, burst: rate.left(0, 0), left, full_in_ms, over_ms }
}

/// The largest of many, without sorting all.
struct Top<T> {
    count: usize,
    rows: Vec<((u64, u64), T)>,
}

impl<T> Top<T> {
    fn new(count: usize) -> Top<T> {
        Top { count, rows: Vec::with_capacity(count + 1) }
    }

    fn offer(&mut self, worth: (u64, u64), row: impl FnOnce() -> T) {
        let place = self.rows.partition_point(|(have, _)| *have >= worth);
        if place < self.count {
            self.rows.insert(place, (worth, row()));
            self.rows.truncate(self.count);
        }
    }

    fn take(self) -> Vec<T> {
        self.rows.into_iter().map(|(_, row)| row).collect()
    }
}
