//! The configured lists: what is in the maps and no longer configured goes, the rest comes.

use std::collections::BTreeSet;

use edge_common::{Allow, reason};

use super::{GuardError, GuardNote, Maps, Prefix, PrefixError};
use crate::config;

/// Brings `guard.allow` and `guard.deny` into the maps. Bans made by hand stay. Entries that are no
/// prefixes, or find no room, are left out with a note.
pub(super) fn reconcile(
    maps: &mut Maps,
    config: &config::Guard,
    notes: &mut Vec<GuardNote>,
) -> Result<(), GuardError> {
    let allow = prefixes("allow", &config.allow, notes);
    let deny = prefixes("deny", &config.deny, notes);

    // Allow first: an address that moves from one list to the other is never dropped meanwhile.
    let mut left_out = LeftOut::default();
    for prefix in &allow {
        let value = Allow { reason: reason::CONFIG, prefix_bits: prefix.bits().into() };
        left_out.note(maps.allow.insert(*prefix, value));
    }
    left_out.report("allow", notes);
    let denied = maps.deny.entries()?;
    for (prefix, entry) in &denied {
        if entry.reason == reason::CONFIG && !deny.contains(prefix) {
            maps.deny.remove(*prefix)?;
        }
    }
    let mut left_out = LeftOut::default();
    for prefix in &deny {
        left_out.note(maps.insert_deny(*prefix, reason::CONFIG, 0));
    }
    left_out.report("deny", notes);
    for prefix in maps.allow.entries()?.keys() {
        if !allow.contains(prefix) {
            maps.allow.remove(*prefix)?;
        }
    }
    maps.touch()
}

fn prefixes(list: &'static str, texts: &[String], notes: &mut Vec<GuardNote>) -> BTreeSet<Prefix> {
    let mut prefixes = BTreeSet::new();
    for text in texts {
        match text.parse::<Prefix>() {
            Ok(prefix) => {
                prefixes.insert(prefix);
            }
            Err(error) => notes.push(refused(list, error)),
        }
    }
    prefixes
}

fn refused(list: &'static str, error: PrefixError) -> GuardNote {
    GuardNote::Refused { list, error }
}

/// Counts failures, so that a list of thousands makes one line.
#[derive(Default)]
struct LeftOut {
    count: usize,
    last: Option<GuardError>,
}

impl LeftOut {
    fn note(&mut self, result: Result<(), GuardError>) {
        if let Err(error) = result {
            self.count += 1;
            self.last = Some(error);
        }
    }

    fn report(self, list: &'static str, notes: &mut Vec<GuardNote>) {
        if let Some(error) = self.last {
            notes.push(GuardNote::NotListed { list, count: self.count, error });
        }
    }
}
