//! Who asks too much: accounts by client and object, and the verdicts that follow from them.
//!
//! ```text
//!   connection ── Tally ──(every 16 requests, 1 MiB or 50 ms)──► Desk: buckets of the client,
//!                   ▲                                             and of the client and object
//!                   └──────────── Standing ◄──────────────────────┘   │ verdicts
//!                 good · limited: 429 · banned: no answer             ▼
//!                                                     control plane: kernel's deny list, history
//! ```
//!
//! Buckets are those of the kernel program ([`edge_common::Rate`]), one for each rule, shared by all
//! workers: a limit holds across them to within one batch for each of the client's connections.
//! Nothing is charged in advance; what was used too much has to be waited for. Tables are bounded.
//! A client whose row had to make room begins anew; one that finds no place, because every row of
//! its set has connections open, is counted in sums and under no limit.
//!
//! No I/O and no clock here.
#![forbid(unsafe_code)]

mod rows;
mod rules;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod usage;
mod view;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::ArcSwap;
use crossbeam::queue::ArrayQueue;

pub use rules::Who;
pub use tally::{BATCH_MS, Tally};
pub use view::{BucketView, ClientView, ObjectView, Sums, VisitView, WhyView};

use crate::clock::Now;
use crate::config::{self, Limit};
use crate::limits;
use crate::metrics::Counter;
use rows::{Client, ObjectKey, Ranked, Visit};
use rules::Rules;
use table::Table;
use usage::Usage;

/// Where a client stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Within every limit.
    #[default]
    Good,
    /// Over one: 429.
    Limited(Stop),
    /// Banned: no answer.
    Banned(Stop),
}

/// The rule that stops a client, and when that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Its number, for [`Desk::rule`].
    pub rule: u8,
    /// Monotonic ms.
    pub until_ms: u64,
}

impl Standing {
    fn worst(self, other: Standing) -> Standing {
        let rank = |standing| match standing {
            Standing::Good => (0, 0),
            Standing::Limited(Stop { until_ms, .. }) => (1, until_ms),
            Standing::Banned(Stop { until_ms, .. }) => (2, until_ms),
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

/// A rule begins to be broken.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// By whom: the first address of the prefix that is one client.
    pub client: IpAddr,
    /// Length of that prefix, bits.
    pub prefix_bits: u8,
    /// Which rule.
    pub rule: Limit,
    /// At what object, when the rule is of one: `site target`, cut where it is long.
    pub object: Option<String>,
    /// When.
    pub at: Now,
    /// Until when, monotonic ms; a limit that is still being broken ends later.
    pub until_ms: u64,
    /// Whether anything is refused: not so in observe mode.
    pub enforced: bool,
}

/// The accounts of all clients and the rules for them. See the module.
pub struct Desk {
    rules: ArcSwap<Rules>,
    enforce: AtomicBool,
    hash: RandomState,
    clients: Table<Client>,
    visits: Table<Visit>,
    objects: Table<Ranked>,
    verdicts: ArrayQueue<Verdict>,
    counts: [VerdictCounts; config::LimitOn::ALL.len()],
}

/// Verdicts under one kind of rule.
#[derive(Debug, Default)]
pub struct VerdictCounts {
    /// Clients that came over a limit.
    pub limited: Counter,
    /// Clients banned.
    pub banned: Counter,
    /// Either, in observe mode.
    pub observed: Counter,
}

impl Desk {
    /// Empty accounts under the rules of `guard`.
    pub fn new(guard: &config::Guard) -> Desk {
        Desk {
            rules: ArcSwap::from_pointee(Rules::new(guard)),
            enforce: AtomicBool::new(guard.mode == config::GuardMode::Enforce),
            hash: RandomState::new(),
            clients: Table::new(guard.clients),
            visits: Table::new(limits::VISITS_MAX),
            objects: Table::new(limits::RANKED_OBJECTS_MAX),
            verdicts: ArrayQueue::new(limits::VERDICTS_WAITING_MAX),
            counts: Default::default(),
        }
    }

    /// Follows a changed configuration. Where the rules are others, buckets begin anew; bans hold.
    pub fn reload(&self, guard: &config::Guard) {
        self.set_mode(guard.mode);
        let new = Rules::new(guard);
        let same = self.rules.load().list == new.list;
        self.rules.store(Arc::new(new));
        if !same {
            self.clients.each(|client| client.buckets = Default::default());
            self.visits.each(|visit| visit.buckets = Default::default());
        }
    }

    /// Whether anybody is refused: in enforce mode only. Everything is counted in any mode.
    pub fn set_mode(&self, mode: config::GuardMode) {
        self.enforce.store(mode == config::GuardMode::Enforce, Relaxed);
    }

    /// A connection from `address`; `None`: it is to be closed at once.
    pub fn arrive(&self, address: IpAddr, now: Now) -> Option<Tally> {
        let rules = self.rules.load();
        let (who, exempt) = (rules.who(address), rules.is_exempt(address));
        let enforce = self.enforce.load(Relaxed) && !exempt;
        self.clients.with(who, self.hash.hash_one(who), |client, own| {
            let full = rules.conns_max > 0 && u64::from(client.conns) >= rules.conns_max;
            let banned = client.standing(now.mono_ms) != Standing::Good;
            if own && enforce && (full || banned) {
                return None;
            }
            client.conns += u32::from(own);
            client.seen_ms = now.mono_ms.max(1);
            Some(Tally::of(who, exempt, own))
        })
    }

    /// The rule of that number, and whether it still stands there after a reload.
    pub fn rule(&self, number: u8) -> Option<Limit> {
        self.rules.load().list.get(usize::from(number)).copied()
    }

    /// Verdicts since the last call.
    pub fn take_verdicts(&self) -> impl Iterator<Item = Verdict> {
        std::iter::from_fn(|| self.verdicts.pop()).take(limits::VERDICTS_WAITING_MAX)
    }

    /// Ends bans and limits of clients in a prefix; how many clients were under one.
    pub fn forgive(&self, contains: impl Fn(IpAddr) -> bool) -> usize {
        let mut count = 0;
        self.clients.each(|client| {
            if contains(client.who.address()) {
                count += usize::from(client.banned.is_some() || client.last.is_some());
                client.forgive();
            }
        });
        self.visits.each(|visit| {
            if contains(visit.key.0.address()) {
                (visit.buckets, visit.last) = (Default::default(), None);
            }
        });
        count
    }

    /// Charges a batch.
    fn settle(&self, tally: &mut Tally, now: Now) {
        let usage = tally.take();
        let Some(who) = tally.who else { return };
        let rules = self.rules.load();
        let enforce = self.enforce.load(Relaxed);
        let judge = !tally.exempt;
        let tell = |stop, object| self.tell(&rules, who, stop, object, (now, enforce));
        let at_object = self.settle_object(tally, &usage, &rules, now, tell);
        let at_client = self.clients.with(who, self.hash.hash_one(who), |client, own| {
            client.count(&usage, now.mono_ms);
            if !own || !judge {
                return Standing::Good;
            }
            if let Standing::Banned(stop) = at_object
                && enforce
            {
                client.banned = Some((stop.rule, stop.until_ms));
            }
            client.judge(&rules, &usage, now.mono_ms, enforce, |stop| tell(stop, None))
        });
        let standing = at_client.worst(at_object);
        tally.standing = if enforce { standing } else { Standing::Good };
    }

    fn settle_object(
        &self,
        tally: &mut Tally,
        usage: &Usage,
        rules: &Rules,
        now: Now,
        tell: impl Fn(Stop, Option<String>),
    ) -> Standing {
        let (Some(who), Some(visit)) = (tally.who, &mut tally.visit) else { return Standing::Good };
        let (requests, bytes) = (
            usage.units(config::LimitOn::ObjectRequests),
            usage.units(config::LimitOn::ObjectBytes),
        );
        self.objects.with(visit.object, self.hash.hash_one(visit.object), |object, _| {
            object.label = visit.label;
            object.requests += requests;
            object.sent_bytes += bytes;
            object.recent.add(bytes, now.mono_ms);
        });
        if tally.exempt {
            return Standing::Good;
        }
        let key = (who, visit.object);
        self.visits.with(key, self.hash.hash_one(key), |row, own| {
            if own && !std::mem::replace(&mut visit.entered, own) {
                row.enter(now.mono_ms);
            }
            row.count(usage, visit.size_bytes, now.mono_ms);
            if !own {
                return Standing::Good;
            }
            let label = visit.label;
            row.judge(rules, usage, now.mono_ms, |stop| tell(stop, Some(label.to_string())))
        })
    }

    /// Somebody goes from an object.
    fn exit(&self, who: Who, object: ObjectKey) {
        let key = (who, object);
        // A row with somebody at it does not make room: it is there.
        self.visits.with(key, self.hash.hash_one(key), |row, own| {
            if own {
                row.leave();
            }
        });
    }

    /// A connection ends.
    fn depart(&self, who: Who, now: Now) {
        self.clients.with(who, self.hash.hash_one(who), |client, own| {
            if own {
                client.conns = client.conns.saturating_sub(1);
                client.seen_ms = now.mono_ms.max(1);
            }
        });
    }

    fn tell(
        &self,
        rules: &Rules,
        who: Who,
        stop: Stop,
        object: Option<String>,
        (at, enforced): (Now, bool),
    ) {
        let Some(rule) = rules.list.get(usize::from(stop.rule)) else { return };
        let counts = &self.counts[rule.on as usize];
        match (enforced, rule.then) {
            (false, _) => counts.observed.add(1),
            (true, config::LimitThen::Refuse) => counts.limited.add(1),
            (true, config::LimitThen::Ban { .. }) => counts.banned.add(1),
        }
        // When nobody takes them, the verdict holds all the same.
        let _ = self.verdicts.push(Verdict {
            client: who.address(),
            prefix_bits: rules.prefix_bits(who),
            rule: *rule,
            object,
            at,
            until_ms: stop.until_ms,
            enforced,
        });
    }
}
