//! What purges do to the cache.

use std::sync::Arc;

use super::error::StoreError;
use super::object::Object;
use super::purge::{Pattern, Rule, Stamp, Verdict};
use super::store::Cache;
use crate::clock::Now;

/// How a purge went.
#[derive(Debug)]
pub struct Purged {
    /// Its number, and that of what was purged with it.
    pub sequence: u64,
    /// Why it may not outlive the process, if so. It is in effect nevertheless.
    pub lost: Option<StoreError>,
}

impl Cache {
    /// Purges whatever `patterns` name and was asked of an origin until now: it is gone, or with `soft`
    /// it expires at this moment. In effect within the call, whatever the size of the cache; it holds
    /// over a restart once the call returns. Blocks on the disk.
    pub fn purge(&self, patterns: Vec<Pattern>, soft: bool) -> Purged {
        let now = Now::read();
        self.disk.metrics.purges.add(patterns.len() as u64);
        let volumes = &self.disk.volumes;
        let region = volumes.sequences().load(std::sync::atomic::Ordering::Acquire);
        let added = self.disk.purges.add(patterns, soft, now, region, volumes.configured());
        // What is asked for in the same tick is held against this purge: let the tick pass, so that
        // whoever hears of the purge fetches once.
        while Now::read().mono_ms <= now.mono_ms {
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        Purged { sequence: self.disk.purges.newest(), lost: added.err() }
    }

    /// The purges that are still looked at, newest first.
    pub fn purges(&self) -> Vec<Rule> {
        self.disk.purges.rules()
    }

    /// How many purges are still looked at.
    pub fn purge_rules(&self) -> usize {
        self.disk.purges.len()
    }

    /// The sequence of the newest purge: work begun before it is not for who comes after it.
    pub fn newest_purge(&self) -> u64 {
        self.disk.purges.newest()
    }

    /// The stamp of an answer that an origin was asked for at `asked`.
    pub fn stamp_at(&self, asked: Now) -> Stamp {
        self.disk.purges.stamp_at(asked)
    }

    /// Whether a purge took `object` since it was found.
    pub fn is_purged(&self, object: &Object) -> bool {
        self.disk.purges.judge(&object.meta) == Verdict::Gone
    }

    /// What the purges leave of an object in memory.
    pub(super) fn unpurged(&self, found: Arc<Object>) -> Option<Arc<Object>> {
        if self.disk.purges.judge(&found.meta) == Verdict::Untouched {
            return Some(found);
        }
        self.disk.metrics.purged.add(1);
        let left = self.expired_by_purge(&found);
        match &left {
            Some(expired) => self.disk.objects.replace_same(&found, expired.clone()),
            None => self.disk.objects.remove_same(&found),
        }
        left
    }

    /// What may be entered of an object that was asked for a while ago.
    pub(super) fn enterable(&self, object: &Arc<Object>) -> Option<Arc<Object>> {
        let is_remembered = self.disk.purges.remembers(&object.meta);
        is_remembered.then(|| self.expired_by_purge(object)).flatten()
    }

    /// The object itself, one that expired at a purge's moment, or nothing.
    pub(super) fn expired_by_purge(&self, object: &Arc<Object>) -> Option<Arc<Object>> {
        let newest = self.disk.purges.newest();
        match self.disk.purges.judge(&object.meta) {
            Verdict::Untouched => Some(object.clone()),
            Verdict::Gone => None,
            Verdict::Stale { unix_ms } => {
                let mut meta = object.meta.clone();
                let age_ms = unix_ms.saturating_sub(meta.received_unix_ms) + meta.initial_age_ms;
                meta.lifetime_ms = meta.lifetime_ms.min(age_ms);
                meta.stamp = Stamp::new(newest);
                Some(Arc::new(Object::new(object.key, meta, object.body.clone())))
            }
        }
    }

    /// Forgets purges older than every record there is.
    pub(super) fn retire_purges(&self) {
        let oldest = self.disk.volumes.iter().filter_map(|volume| volume.oldest_sequence()).min();
        let newest = self.disk.volumes.sequences().load(std::sync::atomic::Ordering::Acquire);
        let emptied_to = oldest.map_or(newest, |oldest| oldest - 1);
        self.disk.purges.retire(emptied_to, || {
            for object in self.disk.objects.all() {
                self.unpurged(object);
            }
        });
    }
}
