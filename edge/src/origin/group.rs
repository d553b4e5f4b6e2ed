//! The addresses of one site's origin: who is up, and who is asked next.
//!
//! Shared by all fill threads. An address goes down by what requests and probes meet, and comes up by
//! a probe (or by a request that had nobody else to go to).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Failure;
use crate::clock::Now;
use crate::config::{Health, OriginAddress};
use crate::metrics::Counter;

/// See the module.
#[derive(Debug)]
pub struct Group {
    site: Box<str>,
    health: Health,
    addresses: Vec<OriginAddress>,
    labels: Vec<String>,
    counts: Vec<Counts>,
    state: Mutex<State>,
}

/// What is counted for one address.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests sent to it.
    pub requests: Counter,
    /// Requests on their way now; less of what ended.
    pub active: AtomicU64,
    /// Failures by kind, in the order of [`Failure::KINDS`].
    pub failures: [Counter; Failure::KINDS.len()],
    /// Probes that it failed.
    pub probes_failed: Counter,
    /// Times it went down.
    pub downs: Counter,
}

#[derive(Debug, Default)]
struct State {
    members: Vec<Member>,
    /// Without failback: the priority that was used last.
    used: Option<u32>,
}

#[derive(Clone, Debug, Default)]
struct Member {
    is_down: bool,
    since_unix_ms: u64,
    reason: Box<str>,
    bad: u32,
    good: u32,
    probe_at_ms: u64,
    /// Smooth weighted round robin: the member with most is next, and pays the sum of all weights.
    credit: i64,
}

/// How one address is.
#[derive(Clone, Debug)]
pub struct Shown {
    /// As configured.
    pub label: String,
    /// See [`OriginAddress::priority`].
    pub priority: u32,
    /// See [`OriginAddress::weight`].
    pub weight: u32,
    /// Whether it is asked before those that are down.
    pub is_up: bool,
    /// Since when, Unix ms; 0: since the start.
    pub since_unix_ms: u64,
    /// What took it down last.
    pub reason: Box<str>,
}

impl Group {
    /// The addresses of `site`, which is the same as `before` where their names are.
    pub fn new(
        site: &str,
        addresses: &[OriginAddress],
        health: &Health,
        before: Option<&Group>,
    ) -> Group {
        let labels: Vec<String> = addresses.iter().map(|address| address.to_string()).collect();
        let known = before.map(|before| (before, before.lock()));
        let member = |label: &String| {
            let (before, state) = known.as_ref()?;
            let position = before.labels.iter().position(|known| known == label)?;
            Some(Member { credit: 0, ..state.members[position].clone() })
        };
        let members = labels.iter().map(|label| member(label).unwrap_or_default()).collect();
        Group {
            site: site.into(),
            health: health.clone(),
            addresses: addresses.to_vec(),
            counts: labels.iter().map(|_| Counts::default()).collect(),
            labels,
            state: Mutex::new(State { members, used: None }),
        }
    }

    /// The addresses, in the order of the file.
    pub fn addresses(&self) -> &[OriginAddress] {
        &self.addresses
    }

    /// The name of the address at `position` in logs and metrics.
    pub fn label(&self, position: usize) -> &str {
        &self.labels[position]
    }

    /// What is counted for the address at `position`.
    pub fn counts(&self, position: usize) -> &Counts {
        &self.counts[position]
    }

    /// How it is probed.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Positions in the order in which they are to be tried: of those that are up the smallest
    /// priority first, shared by weight; those that are down last.
    pub fn order(&self) -> Vec<usize> {
        if self.addresses.len() == 1 {
            return vec![0];
        }
        let mut state = self.lock();
        let state = &mut *state;
        let is_up = |position: &usize| !state.members[*position].is_down;
        let priority = |position: &usize| self.addresses[*position].priority;
        let mut order: Vec<usize> = (0..self.addresses.len()).collect();
        let ups = order.iter().copied().filter(is_up).map(|position| priority(&position));
        let kept = state.used.filter(|used| {
            !self.health.failback && order.iter().any(|one| is_up(one) && priority(one) == *used)
        });
        let level = kept.or_else(|| ups.min());
        state.used = level.or(state.used);
        if let Some(level) = level {
            self.pay(&mut state.members, level);
        }
        order.sort_by_key(|&position| {
            let member = &state.members[position];
            let is_other = Some(priority(&position)) != level;
            (member.is_down, is_other, priority(&position), -member.credit)
        });
        // Who is first was paid for: it must not be first again by the rest of its credit.
        if let Some(first) = order.first().filter(|first| !state.members[**first].is_down) {
            let total = self.total(&state.members, priority(first));
            state.members[*first].credit -= total;
        }
        order
    }

    /// Gives everyone who is up at `level` its weight.
    fn pay(&self, members: &mut [Member], level: u32) {
        let all = members.iter_mut().zip(&self.addresses);
        for (member, address) in all.filter(|(_, address)| address.priority == level) {
            if !member.is_down {
                member.credit += i64::from(address.weight);
            }
        }
    }

    fn total(&self, members: &[Member], level: u32) -> i64 {
        let all = members.iter().zip(&self.addresses);
        let up = all.filter(|(member, address)| !member.is_down && address.priority == level);
        up.map(|(_, address)| i64::from(address.weight)).sum()
    }

    /// Notes a failure of the address at `position`, which `detail` describes. One that cannot be
    /// reached is down at once, one that answers badly after [`Health::fall`] in a row: one poisoned URL
    /// must not take an origin away.
    pub fn failed(&self, position: usize, failure: Failure, detail: &str, now: Now) {
        self.counts[position].failures[failure.kind()].add(1);
        if !failure.is_held_against() {
            return;
        }
        let mut state = self.lock();
        let member = &mut state.members[position];
        member.good = 0;
        member.bad = member.bad.saturating_add(1);
        if failure.is_unreachable() || member.bad >= self.health.fall {
            self.take_down(position, member, detail, now);
        }
        self.keep_stand_in(&mut state);
    }

    /// Notes a good answer: all is forgiven.
    pub fn succeeded(&self, position: usize, now: Now) {
        let mut state = self.lock();
        let member = &mut state.members[position];
        member.bad = 0;
        if member.is_down {
            self.bring_up(position, member, now);
        }
    }

    /// Positions that are to be probed now. Without a path that is everyone who is down.
    pub fn due(&self, now: Now) -> Vec<usize> {
        let mut state = self.lock();
        let all = self.health.path.is_some();
        let is_due = |member: &Member| (all || member.is_down) && member.probe_at_ms <= now.mono_ms;
        let due: Vec<usize> =
            (0..state.members.len()).filter(|one| is_due(&state.members[*one])).collect();
        for position in &due {
            state.members[*position].probe_at_ms = now.mono_ms + self.health.interval_ms;
        }
        due
    }

    /// Notes how a probe went; `Err` says what was wrong.
    pub fn probed(&self, position: usize, outcome: Result<(), &str>, now: Now) {
        let mut state = self.lock();
        let member = &mut state.members[position];
        match outcome {
            Ok(()) => {
                member.good = member.good.saturating_add(1);
                if !member.is_down {
                    member.bad = 0;
                } else if member.good >= self.health.rise {
                    self.bring_up(position, member, now);
                }
            }
            Err(detail) => {
                self.counts[position].probes_failed.add(1);
                (member.good, member.bad) = (0, member.bad.saturating_add(1));
                if member.is_down {
                    member.reason = detail.into();
                } else if member.bad >= self.health.fall {
                    self.take_down(position, member, detail, now);
                }
            }
        }
        self.keep_stand_in(&mut state);
    }

    /// How everyone is.
    pub fn shown(&self) -> Vec<Shown> {
        let state = self.lock();
        let members = state.members.iter().zip(&self.addresses).zip(&self.labels);
        let shown = |((member, address), label): ((&Member, &OriginAddress), &String)| Shown {
            label: label.clone(),
            priority: address.priority,
            weight: address.weight,
            is_up: !member.is_down,
            since_unix_ms: member.since_unix_ms,
            reason: member.reason.clone(),
        };
        members.map(shown).collect()
    }

    /// Without failback who stands in is settled when it begins, not when it is first asked for.
    fn keep_stand_in(&self, state: &mut State) {
        let all = state.members.iter().zip(&self.addresses);
        let mut up = all.filter(|(member, _)| !member.is_down).map(|(_, address)| address.priority);
        let level = up.clone().min();
        if level.is_some() && !up.any(|priority| Some(priority) == state.used) {
            state.used = level;
        }
    }

    fn take_down(&self, position: usize, member: &mut Member, reason: &str, now: Now) {
        member.reason = reason.into();
        if member.is_down {
            return;
        }
        member.is_down = true;
        member.since_unix_ms = now.unix_ms;
        member.credit = 0;
        member.probe_at_ms = now.mono_ms + self.health.interval_ms;
        self.counts[position].downs.add(1);
        tracing::warn!(site = %self.site, origin = %self.labels[position], reason, "origin is down");
    }

    fn bring_up(&self, position: usize, member: &mut Member, now: Now) {
        (member.is_down, member.bad, member.good) = (false, 0, 0);
        member.since_unix_ms = now.unix_ms;
        tracing::info!(site = %self.site, origin = %self.labels[position], "origin is up again");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a request as active until it is dropped.
pub struct Active<'g>(&'g AtomicU64);

impl Counts {
    /// Notes a request that begins.
    pub fn begin(&self) -> Active<'_> {
        self.requests.add(1);
        self.active.fetch_add(1, Relaxed);
        Active(&self.active)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
