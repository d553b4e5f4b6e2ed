//! Which address of an origin to ask next.

use std::collections::HashMap;

use super::Failure;
use crate::config::OriginAddress;

/// How long an address that failed is passed over, ms.
pub const EJECTED_MS: u64 = 5_000;
/// Bad answers in a row (of an address that can be reached) before it is passed over.
pub const BAD_ANSWERS_MAX: u32 = 3;
/// Addresses remembered; healthy ones are never kept, so only a reload storm can reach it.
const REMEMBERED_MAX: usize = 1_024;

/// What is held against the addresses that failed lately.
#[derive(Debug, Default)]
pub struct Choice {
    failing: HashMap<OriginKey, Record>,
}

type OriginKey = (String, u16);

#[derive(Debug, Default)]
struct Record {
    bad_answers: u32,
    ejected_until_ms: u64,
}

impl Choice {
    /// The positions in `addresses` in the order they should be tried at `mono_ms`: as configured,
    /// those that failed lately last.
    pub fn order(&self, addresses: &[OriginAddress], mono_ms: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..addresses.len()).collect();
        order.sort_by_key(|&position| self.is_ejected(&addresses[position], mono_ms));
        order
    }

    /// Notes a failure. An address that cannot be reached is passed over at once, one that answers
    /// badly after [`BAD_ANSWERS_MAX`] in a row: one poisoned URL must not take an origin away.
    pub fn failed(&mut self, address: &OriginAddress, failure: Failure, mono_ms: u64) {
        if self.failing.len() >= REMEMBERED_MAX {
            self.failing.retain(|_, record| record.ejected_until_ms > mono_ms);
        }
        if self.failing.len() >= REMEMBERED_MAX {
            return;
        }
        let record = self.failing.entry(key(address)).or_default();
        record.bad_answers = record.bad_answers.saturating_add(1);
        let unreachable = matches!(failure, Failure::Connect | Failure::Timeout);
        if unreachable || record.bad_answers >= BAD_ANSWERS_MAX {
            record.ejected_until_ms = mono_ms + EJECTED_MS;
        }
    }

    /// Notes a good answer: all is forgiven.
    pub fn succeeded(&mut self, address: &OriginAddress) {
        if !self.failing.is_empty() {
            self.failing.remove(&key(address));
        }
    }

    fn is_ejected(&self, address: &OriginAddress, mono_ms: u64) -> bool {
        !self.failing.is_empty()
            && self
                .failing
                .get(&key(address))
                .is_some_and(|record| record.ejected_until_ms > mono_ms)
    }
}

fn key(address: &OriginAddress) -> OriginKey {
    (address.host.clone(), address.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Vec<OriginAddress> {
        ["a", "b", "c"].map(|host| OriginAddress { host: host.into(), port: 80 }).to_vec()
    }

    #[test]
    fn the_unreachable_go_last_for_a_while() {
        let (all, mut choice) = (addresses(), Choice::default());
        assert_eq!(choice.order(&all, 1), [0, 1, 2]);
        choice.failed(&all[0], Failure::Connect, 1);
        assert_eq!(choice.order(&all, 2), [1, 2, 0]);
        choice.failed(&all[1], Failure::Timeout, 2);
        assert_eq!(choice.order(&all, 3), [2, 0, 1]);
        assert_eq!(choice.order(&all, 1 + EJECTED_MS), [0, 2, 1]);
        choice.succeeded(&all[1]);
        assert_eq!(choice.order(&all, 1 + EJECTED_MS), [0, 1, 2]);
    }

    #[test]
    fn bad_answers_need_a_row() {
        let (all, mut choice) = (addresses(), Choice::default());
        for _ in 1..BAD_ANSWERS_MAX {
            choice.failed(&all[0], Failure::Status(503), 1);
            assert_eq!(choice.order(&all, 1), [0, 1, 2]);
        }
        choice.failed(&all[0], Failure::Broken, 1);
        assert_eq!(choice.order(&all, 1), [1, 2, 0]);
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut choice = Choice::default();
        for port in 0..5_000 {
            let address = OriginAddress { host: "a".into(), port };
            choice.failed(&address, Failure::Connect, 1);
        }
        assert_eq!(choice.failing.len(), REMEMBERED_MAX);
        let address = OriginAddress { host: "b".into(), port: 1 };
        choice.failed(&address, Failure::Connect, 2 + EJECTED_MS);
        assert_eq!(choice.failing.len(), 1);
    }
}
