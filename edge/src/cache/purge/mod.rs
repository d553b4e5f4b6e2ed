//! Purges: rules that everything stored before them is held against.
//!
//! A purge walks nothing. It is a rule with a sequence; what is stored carries the sequence of the
//! newest rule it was seen against ([`Stamp`]), which at first is the newest there was when the origin
//! was asked. An object whose stamp is behind is held against the rules when it is looked up, once: the
//! stamp follows. With no rule newer than the object that is one comparison.
//!
//! A hard purge takes the object away and fences its slices off: they are of a version that nobody
//! asks for any more. A soft one lets it expire at the purge's moment. What is being answered goes on.
//!
//! The rules are kept on every volume (`journal`) and are there before a purge is answered. They go when
//! every region of their time was emptied; when there are too many the oldest become one rule for all
//! that was stored before them, so that no purge is ever lost.

mod journal;
mod pattern;
mod stamp;
mod table;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

pub(super) use journal::Journal;
pub use pattern::{Kind, Pattern, PatternError, tags};
pub use stamp::Stamp;
use table::Table;

use super::error::StoreError;
use super::object::Meta;
use super::volume::Volume;
use super::volumes::Volumes;
use crate::clock::Now;
use crate::limits::{PURGE_REGEXES_MAX, PURGE_RULES_MAX};

/// One purge, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number; later purges have larger ones.
    pub sequence: u64,
    /// When it was ordered.
    pub unix_ms: u64,
    /// The newest region there was then: once all up to it are emptied the rule is of no use.
    pub region: u64,
    /// Whether what it names only expires.
    pub soft: bool,
    /// What it names.
    pub pattern: Pattern,
}

/// What the rules say of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No rule since its stamp names it.
    Untouched,
    /// It expired at this moment.
    Stale {
        /// Of the purge.
        unix_ms: u64,
    },
    /// It is to be gone.
    Gone,
}

/// What is remembered of the rules that are no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Forgotten {
    /// The newest of them: what was asked for before is not entered any more.
    pub any: u64,
    /// The newest hard one: it fences slices.
    pub hard: u64,
}

/// The rules as a volume has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub rules: Vec<Rule>,
    pub forgotten: Forgotten,
}

/// See the module.
pub(super) struct Purges {
    newest: AtomicU64,
    forgotten: AtomicU64,
    table: RwLock<Table>,
    /// Held by the one who changes the rules, while they are written.
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    /// Oldest first.
    rules: VecDeque<Rule>,
    forgotten: Forgotten,
    bytes_max: usize,
}

impl Purges {
    /// As the volumes remember them; each is brought up to date.
    pub fn of(volumes: &Volumes) -> Purges {
        let configured = volumes.configured();
        let room = configured.iter().map(|volume| Journal::room_bytes(&volume.layout)).min();
        let bytes_max = room.map_or(PURGE_RULES_MAX * 64, |bytes| bytes as usize);
        let purges = Purges::new(volumes.kept().clone(), bytes_max);
        for volume in configured {
            if let Err(error) = purges.write_to(volume) {
                tracing::error!(%error, "volume does not take note of what was purged");
            }
        }
        purges
    }

    /// With the rules that the volumes kept, each of which has room for `bytes_max` of them.
    pub fn new(kept: Kept, bytes_max: usize) -> Purges {
        let newest = kept.rules.iter().map(|rule| rule.sequence).max().unwrap_or(0);
        let newest = newest.max(kept.forgotten.any);
        let list = List { rules: kept.rules.into(), forgotten: kept.forgotten, bytes_max };
        Purges {
            newest: AtomicU64::new(newest),
            forgotten: AtomicU64::new(kept.forgotten.any),
            table: RwLock::new(Table::new(list.rules.iter(), list.forgotten.hard, newest)),
            list: Mutex::new(list),
        }
    }

    /// The sequence of the newest rule.
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// What the rules say of an object. Allocates nothing unless a rule is newer than its stamp.
    pub fn judge(&self, meta: &Meta) -> Verdict {
        // Read before the table, which then has at least these rules.
        let newest = self.newest();
        match meta.stamp.sequence() >= newest {
            true => Verdict::Untouched,
            false => self.judge_by_table(meta, newest),
        }
    }

    fn judge_by_table(&self, meta: &Meta, newest: u64) -> Verdict {
        let stamp = meta.stamp.sequence();
        let marks = self.table().marks(&meta.key_text, &meta.tags, stamp);
        if marks.hard > stamp {
            return Verdict::Gone;
        }
        if marks.soft > stamp {
            return Verdict::Stale { unix_ms: marks.soft_unix_ms };
        }
        meta.stamp.raise(newest);
        Verdict::Untouched
    }

    /// Whether every purge since an object's stamp is still known: one that was asked for before a
    /// forgotten purge may be what it named.
    pub fn remembers(&self, meta: &Meta) -> bool {
        meta.stamp.sequence() >= self.forgotten.load(Ordering::Acquire)
    }

    /// The stamp of an answer that was asked for at `asked`.
    pub fn stamp_at(&self, asked: Now) -> Stamp {
        Stamp::new(self.table().newest_before(asked.mono_ms))
    }

    /// What fences the slices of an object: the newest hard purge up to its stamp. `None`: a purge
    /// took it since, its slices are nobody's.
    pub fn fence(&self, meta: &Meta) -> Option<u64> {
        let stamp = meta.stamp.sequence();
        let table = self.table();
        let hard = table.marks(&meta.key_text, &meta.tags, 0).hard.max(table.forgotten_hard());
        (hard <= stamp).then_some(hard)
    }

    /// The rules, newest first.
    pub fn rules(&self) -> Vec<Rule> {
        self.list().rules.iter().rev().cloned().collect()
    }

    /// Rules there are.
    pub fn len(&self) -> usize {
        self.list().rules.len()
    }

    /// Makes `patterns` rules: in effect at once, and on every one of `volumes` when it returns.
    /// Returns the sequence of the last. An error means that it is in effect but may not outlive the
    /// process: no volume took it. Blocks on the disk.
    pub fn add(
        &self,
        patterns: Vec<Pattern>,
        soft: bool,
        now: Now,
        region: u64,
        volumes: &[Arc<Volume>],
    ) -> Result<u64, StoreError> {
        let mut list = self.list();
        let mut sequence = self.newest();
        let mut rules = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            // Near to a clock, so that no two lives of a node give out the same.
            sequence = (sequence + 1).max(now.unix_ms << 10);
            rules.push(Rule { sequence, unix_ms: now.unix_ms, region, soft, pattern });
        }
        let compiled = rules.iter().map(|rule| (rule, table::regex_of(rule))).collect();
        self.table_mut().add(compiled, now.mono_ms, sequence);
        self.newest.store(sequence, Ordering::Release);
        list.rules.extend(rules.iter().cloned());
        let folded = list.is_over() && list.fold();
        if folded {
            self.rebuild(&list);
        }
        list.write(&rules, folded, volumes)?;
        Ok(sequence)
    }

    /// Drops rules that every region up to `emptied_to` was emptied since. `sweep` is called before,
    /// to hold against them what is in memory.
    pub fn retire(&self, emptied_to: u64, sweep: impl FnOnce()) {
        let mut list = self.list();
        let spent = |rule: &Rule| rule.region <= emptied_to;
        if !list.rules.front().is_some_and(spent) {
            return;
        }
        while let Some(rule) = list.rules.pop_front_if(|rule| spent(rule)) {
            list.forgotten.forget(&rule);
        }
        // From here on nothing of their time enters; what did is held against them a last time.
        self.forgotten.fetch_max(list.forgotten.any, Ordering::AcqRel);
        sweep();
        self.rebuild(&list);
    }

    /// Makes `volume` keep the rules as they are now.
    pub fn write_to(&self, volume: &Volume) -> Result<(), StoreError> {
        self.list().rewrite(volume)
    }

    fn rebuild(&self, list: &List) {
        let mut built = Table::new(list.rules.iter(), list.forgotten.hard, 0);
        let mut table = self.table_mut();
        built.keep_times(&mut table);
        *table = built;
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> std::sync::RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_mut(&self) -> std::sync::RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Forgotten {
    fn forget(&mut self, rule: &Rule) {
        self.any = self.any.max(rule.sequence);
        if !rule.soft {
            self.hard = self.hard.max(rule.sequence);
        }
    }
}

impl List {
    fn is_over(&self) -> bool {
        let bytes: usize = self.rules.iter().map(journal::record_bytes).sum();
        let is_regex = |rule: &&Rule| rule.pattern.kind == Kind::Regex;
        bytes > self.bytes_max
            || self.rules.len() > PURGE_RULES_MAX
            || self.rules.iter().filter(is_regex).count() > PURGE_REGEXES_MAX
    }

    /// Leaves one rule for each pattern; if they are still too many the older half becomes one rule
    /// for everything.
    fn fold(&mut self) -> bool {
        let mut seen = std::collections::HashSet::new();
        let mut kept: VecDeque<Rule> = VecDeque::new();
        for rule in std::mem::take(&mut self.rules).into_iter().rev() {
            // A hard purge says all that an earlier one of the same says; a soft one what a soft one does.
            let name = (rule.pattern.clone(), rule.soft);
            if seen.contains(&(rule.pattern.clone(), false)) || !seen.insert(name) {
                continue;
            }
            kept.push_front(rule);
        }
        self.rules = kept;
        while self.is_over() {
            let older = self.rules.len().div_ceil(2).max(2).min(self.rules.len());
            let folded: Vec<Rule> = self.rules.drain(..older).collect();
            let Some(last) = folded.last() else { break };
            let soft = folded.iter().all(|rule| rule.soft);
            self.rules.push_front(Rule { soft, pattern: Pattern::all(), ..last.clone() });
        }
        true
    }

    /// Appends `rules` on the volumes, or writes all anew. One volume is enough: at a start each learns
    /// what the others know.
    fn write(&self, rules: &[Rule], anew: bool, volumes: &[Arc<Volume>]) -> Result<(), StoreError> {
        let mut result = Ok(());
        let mut is_kept = false;
        for volume in volumes {
            let appended = if anew { Ok(false) } else { volume.purges.append(volume, rules) };
            let written =
                appended.and_then(|done| if done { Ok(()) } else { self.rewrite(volume) });
            match written {
                Ok(()) => is_kept = true,
                Err(error) => {
                    tracing::warn!(%error, "a purge is not kept on a volume");
                    result = Err(error);
                }
            }
        }
        if is_kept { Ok(()) } else { result }
    }

    fn rewrite(&self, volume: &Volume) -> Result<(), StoreError> {
        volume.purges.rewrite(volume, self.rules.iter(), self.forgotten)
    }
}
