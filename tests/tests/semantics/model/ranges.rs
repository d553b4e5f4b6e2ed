//! The same for parts of a body that is stored in pieces: whatever was asked for before, an answer is
//! made of one version, and what is there is not fetched again.

use edge_tests::{Content, Node, NodeConfig, Origin, Page, Random, Response, env_number};

use super::any;
use super::rig::Clock;

const HISTORIES: u64 = 12;
const STEPS: u64 = 40;
/// Ten blocks and a bit of one slice.
const LEN: u64 = 170_001;
/// What the origin says, and how long that is, seconds.
const LIFETIMES: [(&str, u64); 3] = [("max-age=15", 15), ("max-age=45", 45), ("max-age=500", 500)];

/// What the naive cache knows: one version, and which of its bytes came by.
struct Known {
    version: u64,
    lifetime_s: u64,
    received_s: u64,
    is_whole: bool,
}

/// The bytes that a `Range` names, and its text; `None`: the whole.
type Part = Option<(u64, u64, String)>;

/// A range of the kinds there are (RFC 9110 §14.1.2), or none.
fn part(random: &mut Random) -> Part {
    let (one, other) = (random.below(LEN), random.below(LEN));
    let (first, last) = (one.min(other), one.max(other));
    match random.below(7) {
        0 => None,
        1 => Some((first, LEN, format!("bytes={first}-"))),
        2 => Some((LEN - 1 - first, LEN, format!("bytes=-{}", first + 1))),
        // A few bytes, beside the ends of blocks.
        3 | 4 => {
            let first = (first / 16_384 * 16_384).saturating_sub(random.below(3));
            Some((first, first + 4, format!("bytes={first}-{}", first + 3)))
        }
        5 => Some((first, LEN, format!("bytes={first}-999999"))),
        _ => Some((first, last + 1, format!("bytes={first}-{last}"))),
    }
}

#[track_caller]
fn ask(node: &Node, target: &str, part: &Part, condition: &[(&str, &str)]) -> Response {
    let mut fields = condition.to_vec();
    if let Some((_, _, text)) = part {
        fields.push(("Range", text));
    }
    node.connect().get_with(target, &fields)
}

/// The version that `response` is of, after a look at every byte of it.
#[track_caller]
fn version(response: &Response, part: &Part) -> u64 {
    let etag = response.head.expect_field("etag");
    let version = etag.trim_matches(['"', 'v']).parse().unwrap_or_else(|_| panic!("{etag}"));
    let range = match (response.head.status, part) {
        (206, Some((start, end, _))) => {
            assert_eq!(response.head.content_range(), (*start, *end, LEN), "{part:?}");
            *start..*end
        }
        (200, _) => 0..LEN,
        _ => panic!("{part:?}: {:?}", response.head),
    };
    assert!(response.complete, "{part:?}: cut");
    Content::new(version, LEN).expect(range, &response.body);
    version
}

#[test]
fn parts_of_what_is_stored_and_a_naive_cache_agree() {
    let Some(clock) = Clock::new() else { return };
    let origin = Origin::start();
    let node = Node::start(clock.drive(NodeConfig::of(&origin.url())));
    let seed = env_number("EDGE_TEST_SEED", 7);
    let mut now_s = 0;
    for history in 0..env_number("EDGE_TEST_HISTORIES", HISTORIES) {
        let mut random = Random::new(seed * 1_000 + history);
        let target = format!("/{seed}/{history}");
        let mut there = Known { version: 1, lifetime_s: 15, received_s: 0, is_whole: true };
        let publish = |there: &Known, control: &str| {
            let content = Content::new(there.version, LEN);
            origin.put(&target, Page { cache_control: Some(control.into()), ..Page::of(content) });
        };
        publish(&there, "max-age=15");
        let mut known: Option<Known> = None;
        for step in 0..STEPS {
            match random.below(8) {
                0 => now_s += 10 * random.below(4),
                1 => {
                    let (control, lifetime_s) = any(&mut random, &LIFETIMES);
                    there.version += random.below(2);
                    there.lifetime_s = lifetime_s;
                    publish(&there, control);
                }
                _ => {
                    clock.set(now_s);
                    let part = part(&mut random);
                    known = Some(turn(&node, &origin, &target, &part, (&there, known), now_s));
                    let known = known.as_ref().expect("it was learnt");
                    println!("{target} {step}: at {now_s} {part:?}: version {}", known.version);
                    if random.below(3) == 0 {
                        conditions(&node, &target, known, now_s, &mut random);
                    }
                }
            }
        }
    }
}

/// One request, and what is known after it.
#[track_caller]
fn turn(
    node: &Node,
    origin: &Origin,
    target: &str,
    part: &Part,
    (there, known): (&Known, Option<Known>),
    now_s: u64,
) -> Known {
    let before = origin.counts(target);
    let response = ask(node, target, part, &[]);
    let seen = version(&response, part);
    assert_eq!(response.head.status == 206, part.is_some(), "{:?}", response.head);
    let after = origin.counts(target);
    let learnt = |is_whole| Known { is_whole, received_s: now_s, ..*there };
    let Some(known) = known else {
        assert_eq!(seen, there.version);
        return learnt(part.is_none());
    };
    let is_fresh = now_s - known.received_s < known.lifetime_s;
    let bytes = after.body_bytes - before.body_bytes;
    if known.is_whole && is_fresh {
        assert_eq!(seen, known.version);
        assert_eq!(after.requests, before.requests, "it was all there, and fresh");
        return known;
    }
    if !is_fresh {
        // §4.3.1: asked whether it still holds.
        assert_eq!(seen, there.version, "stale, and not validated");
        assert!(after.conditional > before.conditional, "stale, and not asked about");
    }
    let is_same = known.version == there.version;
    if is_same && known.is_whole {
        assert_eq!(bytes, 0, "validated, and fetched nevertheless");
    }
    if is_fresh && !is_same && seen == known.version {
        // Its bytes were there.
        assert_eq!(bytes, 0, "bytes of another version were fetched for this");
        return known;
    }
    assert_eq!(seen, there.version, "neither what is stored nor what the origin has");
    let is_whole = part.is_none() || is_same && known.is_whole;
    match is_same && is_fresh {
        // Missing bytes are brought in; the head stays.
        true => Known { is_whole, ..known },
        false => learnt(is_whole),
    }
}

/// Conditions are decided on the version that is known, without the origin (RFC 9110 §13).
#[track_caller]
fn conditions(node: &Node, target: &str, known: &Known, now_s: u64, random: &mut Random) {
    if !known.is_whole || now_s - known.received_s >= known.lifetime_s {
        return;
    }
    let other = known.version + 1 + random.below(3);
    let (ours, others) = (format!("\"v{}\"", known.version), format!("\"v{other}\""));
    let part: Part = Some((10, 20, "bytes=10-19".into()));
    let rows = [
        ("If-None-Match", &ours, 304),
        ("If-None-Match", &others, 206),
        ("If-Match", &ours, 206),
        ("If-Match", &others, 412),
        // §13.1.5: a range of what it names, or the whole.
        ("If-Range", &ours, 206),
        ("If-Range", &others, 200),
    ];
    let (name, value, status) = any(random, &rows);
    let response = ask(node, target, &part, &[(name, value)]);
    assert_eq!(response.head.status, status, "{name}: {value}: {:?}", response.head);
    if matches!(status, 200 | 206) {
        assert_eq!(version(&response, &part), known.version);
    }
}
