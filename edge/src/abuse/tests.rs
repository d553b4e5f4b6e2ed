//! Clients as they are, and as they should not be, under the rules as they come.

use super::*;
use crate::config::{Config, LimitOn, LimitThen};
use crate::metrics::Outcome;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
const START_MS: u64 = 1_000;

struct Rig {
    desk: Desk,
    now: Now,
}

impl Rig {
    /// The defaults, and what `guard` changes of them.
    fn new(guard: &str) -> Rig {
        let text = format!("[guard]\n{guard}\n[[site]]\nhosts = \"*\"\norigin = \"file:///srv\"\n");
        let guard = Config::parse(&text, "e.toml").unwrap().guard;
        Rig { desk: Desk::new(&guard), now: Now { mono_ms: START_MS, unix_ms: 0 } }
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
    }

    fn arrive(&self, address: &str) -> Tally {
        self.desk.arrive(address.parse().unwrap(), self.now).expect("welcome")
    }

    fn ask(&self, tally: &mut Tally, object: u64) -> Standing {
        tally.request(&self.desk, [object, 1], ("a.test", "/o"), self.now)
    }

    /// One answer of `size` bytes, in no time.
    fn fetch(&self, tally: &mut Tally, object: u64, size: u64) -> Standing {
        let standing = self.ask(tally, object);
        if matches!(standing, Standing::Limited(_)) {
            tally.refuse(self.now);
            return standing;
        }
        tally.size(Some(size));
        self.send(tally, size);
        tally.answered(Outcome::Hit, 200, size, self.now);
        standing
    }

    fn send(&self, tally: &mut Tally, bytes: u64) {
        tally.sent(bytes, self.now);
        if tally.is_due(self.now) {
            tally.settle(&self.desk, self.now);
        }
    }

    fn verdicts(&self) -> Vec<(LimitOn, String)> {
        let said = |verdict: Verdict| (verdict.rule.on, verdict.client.to_string());
        self.desk.take_verdicts().map(said).collect()
    }
}

/// Downloads of 1 GiB in a loop over `mib_per_s`, until one is refused: when, in ms.
fn loop_until_limited(mib_per_s: u64) -> Option<u64> {
    let mut rig = Rig::new("");
    let mut tally = rig.arrive("192.0.2.1");
    while rig.now.mono_ms < START_MS + 600_000 {
        if rig.ask(&mut tally, 1) != Standing::Good {
            let verdicts = rig.verdicts();
            assert_eq!(verdicts, [(LimitOn::ObjectBytes, "192.0.2.1".to_owned())]);
            return Some(rig.now.mono_ms - START_MS);
        }
        tally.size(Some(GIB));
        for _ in 0..1024 / 16 {
            rig.pass(16_000 / mib_per_s);
            rig.send(&mut tally, 16 * MIB);
        }
        tally.answered(Outcome::Hit, 200, GIB, rig.now);
    }
    None
}

#[test]
fn a_gibibyte_in_a_loop_is_limited_within_ten_seconds() {
    for mib_per_s in [500, 1_000, 2_000, 4_000] {
        let limited_ms = loop_until_limited(mib_per_s).expect("limited");
        assert!(limited_ms < 10_000, "{mib_per_s} MiB/s: after {limited_ms} ms");
    }
    // What one link of 1 Gbit/s carries is left alone.
    assert_eq!(loop_until_limited(119), None);
}

#[test]
fn two_hundred_people_behind_one_address_are_left_alone() {
    let mut rig = Rig::new("");
    let mut people: Vec<Tally> = (0..200).map(|_| rig.arrive("192.0.2.1")).collect();
    // A page of a hundred files each, within a second; some are not there.
    for person in &mut people {
        for file in 0..100 {
            assert_eq!(rig.fetch(person, 1_000 + file, 100_000), Standing::Good);
        }
        rig.pass(5);
        person.answered(Outcome::Local, 404, 200, rig.now);
    }
    // The same patch of 1 GiB for all, at 10 Gbit/s together.
    for person in &mut people {
        assert_eq!(rig.ask(person, 1), Standing::Good);
        person.size(Some(GIB));
    }
    for _ in 0..256 {
        rig.pass(4 * 200 / 2);
        for person in &mut people {
            rig.send(person, 4 * MIB);
            assert_eq!(person.settle(&rig.desk, rig.now), Standing::Good);
        }
    }
    // An hour of requests here and there, resumes among them.
    for round in 0..3_600 {
        rig.pass(1_000);
        let person = &mut people[round % 200];
        assert_eq!(rig.fetch(person, 1, MIB), Standing::Good);
        if round % 60 == 0 {
            person.note(LimitOn::Slow, 1, rig.now);
        }
    }
    assert_eq!(rig.verdicts(), []);
}

#[test]
fn people_that_come_one_after_the_other_are_left_alone() {
    let mut rig = Rig::new("");
    // 1 Gbit/s, one download of 1 GiB after the other.
    for _ in 0..200 {
        let mut person = rig.arrive("2001:db8::1");
        assert_eq!(rig.ask(&mut person, 1), Standing::Good);
        person.size(Some(GIB));
        for _ in 0..64 {
            rig.pass(134);
            rig.send(&mut person, 16 * MIB);
        }
        person.leave(&rig.desk, 0, rig.now);
    }
    assert_eq!(rig.verdicts(), []);
}

#[test]
fn a_limit_ends_and_another_object_is_free() {
    let mut rig = Rig::new("");
    let mut tally = rig.arrive("192.0.2.1");
    while rig.fetch(&mut tally, 1, 64 * MIB) == Standing::Good {}
    let Standing::Limited(stop) = rig.ask(&mut tally, 1) else { panic!("limited") };
    assert!(stop.until_ms > rig.now.mono_ms);
    assert_eq!(rig.ask(&mut tally, 2), Standing::Good, "another object");
    assert_eq!(rig.fetch(&mut rig.arrive("192.0.2.2"), 1, MIB), Standing::Good, "another client");
    rig.pass(stop.until_ms - rig.now.mono_ms + BATCH_MS);
    assert_eq!(rig.ask(&mut tally, 1), Standing::Good, "it was waited for");
}

#[test]
fn who_goes_on_is_banned_until_the_ban_ends() {
    let mut rig = Rig::new(
        "[[guard.limit]]\non = \"requests\"\nrate = 10\nburst = 20\n\
         [[guard.limit]]\non = \"refused\"\nrate = 1\nburst = 50\nthen = \"ban\"\nfor = \"1m\"",
    );
    let mut tally = rig.arrive("192.0.2.1");
    let mut statuses = Vec::new();
    while tally.ban().is_none() {
        statuses.push(rig.fetch(&mut tally, 1, 1));
        assert!(statuses.len() < 200, "never banned");
    }
    let good = statuses.iter().filter(|standing| **standing == Standing::Good).count();
    // A batch of one connection may pass before it is charged.
    assert!((20..=36).contains(&good), "{good} answered");
    assert!(rig.desk.arrive("192.0.2.1".parse().unwrap(), rig.now).is_none());
    let kinds: Vec<LimitOn> = rig.verdicts().into_iter().map(|(on, _)| on).collect();
    assert_eq!(kinds, [LimitOn::Requests, LimitOn::Refused]);
    let why = rig.desk.why("192.0.2.1".parse().unwrap(), rig.now);
    let (rule, until_ms) = why.banned.expect("banned");
    assert_eq!(rule.unwrap().then, LimitThen::Ban { for_ms: 60_000 });
    rig.pass(until_ms - rig.now.mono_ms);
    assert!(rig.desk.arrive("192.0.2.1".parse().unwrap(), rig.now).is_some());
}

#[test]
fn an_operator_ends_a_ban() {
    let mut rig = Rig::new("");
    let mut tally = rig.arrive("192.0.2.1");
    tally.note(LimitOn::Malformed, 201, rig.now);
    assert!(matches!(tally.settle(&rig.desk, rig.now), Standing::Banned(_)));
    rig.pass(1_000);
    assert!(rig.desk.arrive("192.0.2.1".parse().unwrap(), rig.now).is_none());
    assert_eq!(rig.desk.forgive(|address| address.to_string() == "192.0.2.1"), 1);
    assert!(rig.desk.arrive("192.0.2.1".parse().unwrap(), rig.now).is_some());
}

#[test]
fn observing_tells_and_refuses_nothing() {
    let rig = Rig::new("mode = \"observe\"\nallow = [\"198.51.100.0/24\"]");
    for address in ["192.0.2.1", "198.51.100.1", "127.0.0.1", "::1"] {
        let mut tally = rig.arrive(address);
        for _ in 0..1_000 {
            tally.note(LimitOn::Malformed, 1, rig.now);
            assert_eq!(tally.settle(&rig.desk, rig.now), Standing::Good);
        }
    }
    // Only the stranger; one verdict, not a thousand.
    assert_eq!(rig.verdicts(), [(LimitOn::Malformed, "192.0.2.1".to_owned())]);
}

#[test]
fn a_client_is_its_prefix() {
    let rig = Rig::new("[[guard.limit]]\non = \"malformed\"\nrate = 1\nburst = 1");
    let mut one = rig.arrive("2001:db8::1:2:3:4");
    one.note(LimitOn::Malformed, 5, rig.now);
    one.settle(&rig.desk, rig.now);
    assert!(matches!(rig.ask(&mut rig.arrive("2001:db8::9"), 1), Standing::Limited(_)));
    assert_eq!(rig.ask(&mut rig.arrive("2001:db8:0:1::9"), 1), Standing::Good);
}

#[test]
fn accounts_add_up_whoever_comes_and_goes() {
    let mut rig = Rig::new("clients = 1024");
    let mut sent = 0;
    for number in 0..20_000u32 {
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).to_string();
        let mut tally = rig.arrive(&address);
        rig.fetch(&mut tally, number.into(), 1_000 + u64::from(number));
        sent += 1_000 + u64::from(number);
        tally.leave(&rig.desk, 7, rig.now);
        rig.pass(1);
    }
    let sums = rig.desk.sums();
    assert_eq!((sums.requests, sums.sent_bytes, sums.dropped_bytes), (20_000, sent, 140_000));
    assert_eq!(sums.by_outcome[Outcome::Hit as usize], sent);
    assert!(sums.clients <= 1024, "{} clients", sums.clients);
    let top = rig.desk.top_clients(3, rig.now);
    assert_eq!(top[0].address.to_string(), std::net::Ipv4Addr::from_bits(0x0a00_4e1f).to_string());
    assert!(rig.desk.top_objects(5, rig.now)[0].sent_bytes > 19_000);
}
