//! A naive cache, written down from RFC 9111's text, and the node: they agree on every observable of
//! random histories, while the node's clock is moved.
//!
//! The clock moves by tens of seconds, and what an age is compared with is an odd multiple of five: the
//! moments in which a request is really made decide nothing.

use edge_tests::{Random, env_number};

use cache::{ASKING, CONTROLS, Expected, Model, Published, Question};
use rig::Rig;

mod cache;
mod ranges;
mod rig;

/// Histories, and steps of each.
const HISTORIES: u64 = 40;
const STEPS: u64 = 80;

/// Mostly GET.
const METHODS: [&str; 10] =
    ["GET", "GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "HEAD", "POST"];

fn any<T: Copy>(random: &mut Random, all: &[T]) -> T {
    all[random.below(all.len() as u64) as usize]
}

#[test]
fn a_naive_cache_and_the_node_agree() {
    let Some(rig) = Rig::start() else { return };
    let seed = env_number("EDGE_TEST_SEED", 7);
    let mut now_s = 0;
    for history in 0..env_number("EDGE_TEST_HISTORIES", HISTORIES) {
        let random = Random::new(seed * 1_000 + history);
        now_s = play(&rig, &format!("/{seed}/{history}"), random, now_s);
    }
}

/// Plays one history from `now_s` on, and returns when it ended.
#[track_caller]
fn play(rig: &Rig, target: &str, mut random: Random, mut now_s: u64) -> u64 {
    let mut model = Model::default();
    let mut published =
        Published { version: 1, control: 0, age_s: 0, is_named: true, is_failing: false };
    rig.publish(target, &published);
    let mut told = Vec::new();
    for _ in 0..STEPS {
        match random.below(6) {
            0 => now_s += 10 * random.below(5),
            1 => {
                published.version += random.below(2);
                published.control = random.below(CONTROLS.len() as u64) as usize;
                published.age_s = 10 * random.below(2);
                published.is_named = random.below(3) > 0;
                published.is_failing = random.below(5) == 0;
                told.push(format!("origin has {published:?} {}", CONTROLS[published.control].0));
                rig.publish(target, &published);
            }
            _ => {
                let question = Question {
                    method: any(&mut random, &METHODS),
                    place: random.below(2) as usize,
                    asking: any(&mut random, &ASKING),
                };
                rig.set(now_s);
                let before = rig.asked(target);
                let expected = model.ask(&question, &published, now_s);
                if expected == Expected::Anything {
                    return now_s;
                }
                let (mut seen, asked) = rig.ask(target, &question);
                told.push(format!("at {now_s}: {question:?}: {seen:?}"));
                let story = || format!("{target}; origin saw {asked:?}\n{}", told.join("\n"));
                match expected {
                    Expected::Anything => unreachable!(),
                    Expected::Seen(expected) => assert_eq!(seen, expected, "{}", story()),
                    Expected::Body(expected) => {
                        seen.asked = seen.asked.or(expected.asked);
                        assert_eq!(seen, expected, "{}", story());
                    }
                    Expected::Refresh(expected, changes) => {
                        // It may have been asked already.
                        seen.asked = None;
                        assert_eq!(seen, expected, "{}", story());
                        rig.wait_for_refresh(target, question.place, before, changes);
                        if !changes {
                            // When it is asked again is the node's own affair; not after the window.
                            now_s += 100;
                        }
                    }
                }
            }
        }
    }
    now_s
}
