use proptest::prelude::*;

use super::*;
use crate::cache::tests::node::meta;

fn now(ms: u64) -> Now {
    Now { mono_ms: ms, unix_ms: ms }
}

fn purges() -> Purges {
    Purges::new(Kept::default(), 1 << 20)
}

/// The head of `text` with `tags`, asked for at `asked_ms`.
fn head(purges: &Purges, text: &str, tags: &str, asked_ms: u64) -> Meta {
    let stamp = purges.stamp_at(now(asked_ms));
    Meta { key_text: text.into(), tags: tags.into(), stamp, ..meta("x") }
}

fn pattern(kind: Kind, site: &str, text: &str) -> Pattern {
    Pattern::new(kind, site, text).unwrap()
}

#[test]
fn each_kind_names_what_it_says_and_nothing_else() {
    let heads = [
        ("a /i/1.jpg", "red one"),
        ("a /i/2.png?jpg", "two"),
        ("b /i/1.jpg", "red"),
        ("b /", ""),
        ("b /é", "*"),
    ];
    for (pattern, named) in [
        (pattern(Kind::Url, "a", "/i/1.jpg"), "10000"),
        (pattern(Kind::Url, "a", "/i/"), "00000"),
        (pattern(Kind::Prefix, "a", "/i/"), "11000"),
        (pattern(Kind::Prefix, "b", ""), "00111"),
        (pattern(Kind::Prefix, "b", "/\u{e9}"), "00001"),
        (pattern(Kind::Regex, "", r"\.(jpg|png)$"), "10100"),
        (pattern(Kind::Regex, "a", r"jpg"), "11000"),
        (pattern(Kind::Tag, "", "red"), "10101"),
        (pattern(Kind::Tag, "b", "red"), "00101"),
        (pattern(Kind::Tag, "", "re"), "00001"),
        (pattern(Kind::Site, "b", ""), "00111"),
        (Pattern::all(), "11111"),
    ] {
        for soft in [false, true] {
            let purges = purges();
            let heads = heads.map(|(text, tags)| head(&purges, text, tags, 1));
            purges.add(vec![pattern.clone()], soft, now(5), 0, &[]).unwrap();
            let verdict = if soft { Verdict::Stale { unix_ms: 5 } } else { Verdict::Gone };
            for (head, is_named) in heads.iter().zip(named.bytes()) {
                let expected = if is_named == b'1' { verdict } else { Verdict::Untouched };
                assert_eq!(purges.judge(head), expected, "{pattern:?} {}", head.key_text);
            }
            let later = head(&purges, "a /i/1.jpg", "red one", 6);
            assert_eq!(purges.judge(&later), Verdict::Untouched, "asked for after it");
        }
    }
}

#[test]
fn what_was_looked_at_is_not_looked_at_again() {
    let purges = purges();
    let one = head(&purges, "a /1", "", 1);
    purges.add(vec![pattern(Kind::Url, "a", "/2")], false, now(5), 0, &[]).unwrap();
    assert!(one.stamp.sequence() < purges.newest());
    assert_eq!(purges.judge(&one), Verdict::Untouched);
    assert_eq!(one.stamp.sequence(), purges.newest());
    purges.add(vec![pattern(Kind::Url, "a", "/1")], true, now(7), 0, &[]).unwrap();
    assert_eq!(purges.judge(&one), Verdict::Stale { unix_ms: 7 });
    // A hard purge counts for more than a later soft one.
    purges.add(vec![Pattern::all()], false, now(8), 0, &[]).unwrap();
    purges.add(vec![Pattern::all()], true, now(9), 0, &[]).unwrap();
    assert_eq!(purges.judge(&one), Verdict::Gone);
}

#[test]
fn an_answer_asked_for_in_the_tick_of_a_purge_is_held_against_it() {
    let purges = purges();
    purges.add(vec![Pattern::all()], false, now(5), 0, &[]).unwrap();
    for (asked_ms, verdict) in [(4, Verdict::Gone), (5, Verdict::Gone), (6, Verdict::Untouched)] {
        assert_eq!(purges.judge(&head(&purges, "a /", "", asked_ms)), verdict, "{asked_ms}");
    }
}

#[test]
fn hard_purges_fence_slices_for_ever() {
    let purges = purges();
    let before = head(&purges, "a /1", "", 1);
    assert_eq!(purges.fence(&before), Some(0));
    purges.add(vec![pattern(Kind::Url, "a", "/1")], true, now(3), 1, &[]).unwrap();
    assert_eq!(purges.fence(&before), Some(0), "a soft one does not");
    purges.add(vec![pattern(Kind::Url, "a", "/1")], false, now(5), 2, &[]).unwrap();
    assert_eq!(purges.fence(&before), None, "asked for before: nobody's");
    let after = purges.fence(&head(&purges, "a /1", "", 6)).unwrap();
    assert_eq!(after, purges.newest());
    assert_eq!(purges.fence(&head(&purges, "a /2", "", 6)), Some(0));
    let mut swept = false;
    purges.retire(1, || swept = true);
    assert!(swept && purges.len() == 1, "the first is spent");
    purges.retire(2, || ());
    assert_eq!(purges.len(), 0);
    assert!(purges.fence(&head(&purges, "a /1", "", 7)).unwrap() >= after);
    assert!(!purges.remembers(&before), "it may be what was purged");
    assert!(purges.remembers(&head(&purges, "a /1", "", 7)));
}

#[test]
fn too_many_become_one_and_none_is_lost() {
    let purges = Purges::new(Kept::default(), 4096);
    let old = head(&purges, "a /1", "", 1);
    for number in 0..2_000 {
        let one = pattern(Kind::Url, "a", &format!("/{number}"));
        purges.add(vec![one], false, now(10 + number), 0, &[]).unwrap();
    }
    assert!(purges.len() < 100);
    assert_eq!(purges.judge(&old), Verdict::Gone);
    let named = head(&purges, "a /1999", "", 2_008);
    let other = head(&purges, "a /x", "", 2_008);
    assert_eq!(purges.judge(&named), Verdict::Gone);
    assert_eq!(purges.judge(&other), Verdict::Untouched, "what is young is not meant");

    let repeated = Purges::new(Kept::default(), 4096);
    for number in 0..2_000 {
        let same = pattern(Kind::Url, "a", "/same");
        repeated.add(vec![same], number % 2 == 0, now(10 + number), 0, &[]).unwrap();
    }
    assert!(repeated.rules().iter().all(|rule| rule.pattern.kind == Kind::Url));
}

#[test]
fn tags_are_read_as_origins_write_them() {
    let of = |values: &[&[u8]]| pattern::tags(values.iter().copied());
    assert_eq!(&*of(&[]), "");
    assert_eq!(&*of(&[b"a b  c", b"d,e, f"]), "a b c d e f");
    assert_eq!(&*of(&[b"\xff"]), "*", "whatever it says it may be meant");
    assert_eq!(&*of(&["x".repeat(20_000).as_bytes()]), "*");
}

#[derive(Clone, Debug)]
enum Step {
    Store(usize),
    Purge(Kind, usize, bool),
    Look(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let kinds = prop::sample::select(Kind::ALL.to_vec());
    prop_oneof![
        3 => (0..NAMES.len()).prop_map(Step::Store),
        2 => (kinds, 0..NAMES.len(), any::<bool>())
            .prop_map(|(kind, at, soft)| Step::Purge(kind, at, soft)),
        3 => (0..NAMES.len()).prop_map(Step::Look),
        1 => Just(Step::Restart),
    ]
}

const NAMES: [(&str, &str, &str); 5] = [
    ("a", "/x/1", "r"),
    ("a", "/x/2", "r s"),
    ("a", "/y", ""),
    ("b", "/x/1", "s"),
    ("b", "/", "*"),
];

fn names(kind: Kind, of: usize, other: usize) -> bool {
    let ((site, target, tags), (at, path, given)) = (NAMES[of], NAMES[other]);
    let directory = &target[..target.rfind('/').unwrap() + 1];
    let tag = tags.split(' ').next().filter(|tag| !tag.is_empty() && *tag != "*").unwrap_or("none");
    match kind {
        Kind::Url => site == at && target == path,
        Kind::Prefix => site == at && path.starts_with(directory),
        Kind::Regex => path.contains(target),
        Kind::Tag => given == "*" || given.split(' ').any(|other| other == tag),
        Kind::Site => site == at,
        Kind::All => true,
    }
}

fn pattern_of(kind: Kind, of: usize) -> Pattern {
    let (site, target, tags) = NAMES[of];
    let directory = &target[..target.rfind('/').unwrap() + 1];
    let tag = tags.split(' ').next().filter(|tag| !tag.is_empty() && *tag != "*").unwrap_or("none");
    match kind {
        Kind::Url => pattern(kind, site, target),
        Kind::Prefix => pattern(kind, site, directory),
        Kind::Regex => pattern(kind, "", &regex::escape(target)),
        Kind::Tag => pattern(kind, "", tag),
        Kind::Site => pattern(kind, site, ""),
        Kind::All => Pattern::all(),
    }
}

proptest! {
    /// Against a naive list of everything that was purged since an object was stored.
    #[test]
    fn verdicts_are_those_of_a_naive_list(steps in prop::collection::vec(step(), 0..60)) {
        let mut purges = purges();
        let mut stored: [Option<(Meta, bool, bool)>; NAMES.len()] = Default::default();
        for (clock, step) in (10u64..).step_by(2).zip(steps) {
            match step {
                Step::Store(at) => {
                    let (site, target, tags) = NAMES[at];
                    let head = head(&purges, &format!("{site} {target}"), tags, clock);
                    stored[at] = Some((head, false, false));
                }
                Step::Purge(kind, of, soft) => {
                    purges.add(vec![pattern_of(kind, of)], soft, now(clock), 0, &[]).unwrap();
                    for (at, entry) in stored.iter_mut().enumerate() {
                        if let Some((_, hard_purged, soft_purged)) = entry
                            && names(kind, of, at)
                        {
                            *(if soft { soft_purged } else { hard_purged }) = true;
                        }
                    }
                }
                Step::Look(at) => {
                    let Some((head, hard, soft)) = &stored[at] else { continue };
                    let verdict = purges.judge(head);
                    prop_assert_eq!(verdict == Verdict::Gone, *hard);
                    prop_assert_eq!(matches!(verdict, Verdict::Stale { .. }), *soft && !*hard);
                }
                Step::Restart => {
                    let rules = purges.rules().into_iter().rev().collect();
                    purges = Purges::new(Kept { rules, ..Kept::default() }, 1 << 20);
                }
            }
        }
    }
}
