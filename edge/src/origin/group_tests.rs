//! Tables of who is asked next.

use super::*;

fn at(mono_ms: u64) -> Now {
    Now { mono_ms, unix_ms: mono_ms }
}

/// Addresses `a`, `b`, … with these priorities and weights.
fn group(members: &[(u32, u32)], health: Health) -> Group {
    let address = |(index, (priority, weight)): (usize, &(u32, u32))| {
        let host = char::from(b'a' + index as u8).to_string();
        let (priority, weight) = (*priority, *weight);
        OriginAddress { priority, weight, ..OriginAddress::http(&host, 80) }
    };
    let addresses: Vec<OriginAddress> = members.iter().enumerate().map(address).collect();
    Group::new("site", &addresses, &health, None)
}

/// How often each address is first in `rounds` choices.
fn shares(group: &Group, rounds: usize) -> Vec<usize> {
    let mut shares = vec![0; group.addresses().len()];
    (0..rounds).for_each(|_| shares[group.order()[0]] += 1);
    shares
}

#[test]
fn the_smallest_priority_goes_first_and_weights_share_it() {
    for (members, expected) in [
        (&[(1, 1)][..], &[60][..]),
        (&[(1, 1), (2, 1), (3, 1)], &[60, 0, 0]),
        (&[(1, 1), (1, 1), (1, 1)], &[20, 20, 20]),
        (&[(1, 3), (1, 2), (1, 1)], &[30, 20, 10]),
        (&[(5, 100), (1, 1), (1, 5)], &[0, 10, 50]),
    ] {
        assert_eq!(shares(&group(members, Health::default()), 60), expected, "{members:?}");
    }
}

#[test]
fn weights_are_spread_smoothly() {
    // As nginx's: 5, 1, 1 is a a b a c a a.
    let group = group(&[(1, 5), (1, 1), (1, 1)], Health::default());
    let firsts: Vec<usize> = (0..7).map(|_| group.order()[0]).collect();
    assert_eq!(firsts, [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn every_address_is_in_every_order_once() {
    let group = group(&[(2, 1), (1, 7), (1, 3), (3, 1)], Health::default());
    group.failed(1, Failure::Connect, "refused", at(1));
    for _ in 0..50 {
        let mut order = group.order();
        assert_eq!((order[0], order[3]), (2, 1), "the one that is down is last");
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2, 3]);
    }
}

#[test]
fn the_unreachable_are_down_until_a_probe_brings_them_up() {
    let group = group(&[(1, 1), (2, 1)], Health::default());
    assert!(group.due(at(100_000)).is_empty(), "nobody is probed without a reason");
    group.failed(0, Failure::Connect, "refused", at(1_000));
    assert_eq!(group.order(), [1, 0]);
    assert!(group.due(at(5_999)).is_empty());
    assert_eq!(group.due(at(6_000)), [0]);
    assert!(group.due(at(6_000)).is_empty(), "not twice");
    group.probed(0, Err("refused"), at(6_001));
    assert_eq!(group.order(), [1, 0]);
    assert_eq!(group.due(at(11_000)), [0]);
    group.probed(0, Ok(()), at(11_001));
    assert_eq!(group.order(), [0, 1]);
    assert_eq!(group.counts(0).downs.value(), 1);
}

#[test]
fn bad_answers_need_a_row() {
    let group = group(&[(1, 1), (2, 1)], Health::default());
    for _ in 0..2 {
        group.failed(0, Failure::Status(503), "503", at(1));
        group.failed(0, Failure::Broken, "cut", at(1));
        assert_eq!(group.order(), [0, 1]);
        group.succeeded(0, at(1));
    }
    (0..3).for_each(|_| group.failed(0, Failure::Status(500), "500", at(1)));
    assert_eq!(group.order(), [1, 0]);
    assert_eq!(&*group.shown()[0].reason, "500");
    // The last resort that answers is no longer one.
    group.succeeded(0, at(2));
    assert_eq!(group.order(), [0, 1]);
}

#[test]
fn what_says_nothing_of_the_address_is_not_held_against_it() {
    let group = group(&[(1, 1), (2, 1)], Health::default());
    for failure in [Failure::Crowded, Failure::Status(404), Failure::Denied] {
        (0..9).for_each(|_| group.failed(0, failure, "", at(1)));
    }
    assert_eq!(group.order(), [0, 1]);
}

#[test]
fn a_path_is_asked_of_everyone() {
    let path = Some("/healthz".to_owned());
    let group = group(&[(1, 1), (1, 1)], Health { path, rise: 2, fall: 2, ..Health::default() });
    assert_eq!(group.due(at(0)), [0, 1]);
    group.probed(1, Err("503"), at(1));
    assert!(group.shown()[1].is_up, "one is not enough");
    group.probed(1, Err("503"), at(2));
    assert_eq!(shares(&group, 10), [10, 0]);
    group.probed(1, Ok(()), at(3));
    assert_eq!(shares(&group, 10), [10, 0], "nor is one to come up");
    group.probed(1, Ok(()), at(4));
    assert_eq!(shares(&group, 10), [5, 5]);
}

#[test]
fn without_failback_one_stays_with_who_stood_in() {
    for (failback, expected) in [(true, 0), (false, 1)] {
        let group = group(&[(1, 1), (2, 1)], Health { failback, ..Health::default() });
        assert_eq!(group.order()[0], 0);
        group.failed(0, Failure::Timeout, "no answer", at(1));
        assert_eq!(group.order()[0], 1);
        group.probed(0, Ok(()), at(2));
        assert_eq!(group.order()[0], expected, "failback = {failback}");
        group.failed(1, Failure::Connect, "refused", at(3));
        assert_eq!(group.order()[0], 0, "until that one fails");
    }
}

#[test]
fn with_all_down_all_are_tried() {
    let group = group(&[(1, 1), (2, 1)], Health::default());
    (0..2).for_each(|one| group.failed(one, Failure::Connect, "refused", at(1)));
    assert_eq!(group.order(), [0, 1]);
}

#[test]
fn a_reload_forgets_nothing_of_those_that_stay() {
    let before = group(&[(1, 1), (1, 1)], Health::default());
    before.failed(1, Failure::Connect, "refused", at(1));
    let addresses = ["b", "c"].map(|host| OriginAddress::http(host, 80));
    let after = Group::new("site", &addresses, &Health::default(), Some(&before));
    let ups: Vec<bool> = after.shown().iter().map(|shown| shown.is_up).collect();
    assert_eq!(ups, [false, true]);
}
