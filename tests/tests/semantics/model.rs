//! A naive cache, written down from RFC 9111's text, and the node: they agree on every observable of
//! random histories, while the node's clock is moved.
//!
//! The clock moves by tens of seconds, and what an age is compared with is an odd multiple of five: the
//! moments in which a request is really made decide nothing.

use std::path::PathBuf;

use edge_tests::{Node, NodeConfig, Random, env_number, need};

use super::origin::{Asked, Origin};

/// Histories, and steps of each.
const HISTORIES: u64 = 40;
const STEPS: u64 = 80;
/// Grace of the site, seconds.
const GRACE_S: u64 = 40;

/// Directives of responses: as sent, and as the model understands them.
const CONTROLS: [(&str, Control); 10] = [
    ("max-age=15", Control { lifetime_s: 15, ..PLAIN }),
    ("max-age=45", Control { lifetime_s: 45, ..PLAIN }),
    ("max-age=5, s-maxage=25", Control { lifetime_s: 25, no_stale: true, ..PLAIN }),
    ("max-age=25, must-revalidate", Control { lifetime_s: 25, no_stale: true, ..PLAIN }),
    ("max-age=25, no-cache", Control { lifetime_s: 25, no_cache: true, no_stale: true, ..PLAIN }),
    ("max-age=25, stale-if-error=10", Control { lifetime_s: 25, if_error_s: Some(10), ..PLAIN }),
    ("max-age=25, immutable", Control { lifetime_s: 25, immutable: true, ..PLAIN }),
    ("max-age=5", Control { lifetime_s: 5, ..PLAIN }),
    ("no-store", Control { never: true, ..PLAIN }),
    ("private, max-age=45", Control { never: true, ..PLAIN }),
];
const PLAIN: Control = Control {
    lifetime_s: 0,
    no_cache: false,
    no_stale: false,
    immutable: false,
    if_error_s: None,
    never: false,
};

#[derive(Clone, Copy, Debug)]
struct Control {
    lifetime_s: u64,
    no_cache: bool,
    no_stale: bool,
    immutable: bool,
    if_error_s: Option<u64>,
    /// Not to be stored by a shared cache.
    never: bool,
}

/// Directives of requests.
const ASKING: [&str; 9] = [
    "",
    "",
    "",
    "max-age=15",
    "min-fresh=10",
    "no-cache",
    "max-stale=10",
    "only-if-cached",
    "no-store",
];

/// What the origin has now.
#[derive(Clone, Copy, Debug)]
struct Published {
    version: u64,
    control: usize,
    age_s: u64,
    is_named: bool,
    is_failing: bool,
}

/// What the model has stored.
#[derive(Clone, Copy, Debug)]
struct Stored {
    version: u64,
    control: Control,
    age_s: u64,
    received_s: u64,
    is_named: bool,
}

/// What is seen of one request.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    /// Version in the body, for a 200.
    version: Option<u64>,
    /// Whether the origin was asked, and whether about something.
    asked: Option<bool>,
}

#[derive(Default)]
struct Model {
    /// By value of the request field that the target's responses hang on.
    stored: [Option<Stored>; 2],
}

impl Stored {
    /// §4.2.3
    fn age_s(&self, now_s: u64) -> u64 {
        self.age_s + (now_s - self.received_s)
    }

    /// §4.2, §5.2.1, §5.2.2
    fn answers(&self, asking: &str, now_s: u64) -> bool {
        let (age_s, lifetime_s) = (self.age_s(now_s), self.control.lifetime_s);
        if self.control.no_cache || matches!(asking, "no-cache" | "no-store") {
            return false;
        }
        if age_s < lifetime_s {
            return match asking {
                _ if self.control.immutable => true,
                "max-age=15" => age_s < 15,
                "min-fresh=10" => lifetime_s - age_s > 10,
                _ => true,
            };
        }
        asking == "max-stale=10" && age_s - lifetime_s < 10 && !self.control.no_stale
    }

    /// §4.2.4, RFC 5861 §4
    fn stands_in(&self, now_s: u64) -> bool {
        let limit_s = match (self.control.if_error_s, self.control.no_stale) {
            (Some(seconds), _) => seconds,
            (None, true) => 0,
            (None, false) => GRACE_S,
        };
        self.age_s(now_s) < self.control.lifetime_s + limit_s
    }
}

impl Model {
    fn ask(&mut self, place: usize, asking: &str, origin: &Published, now_s: u64) -> Seen {
        let stored = self.stored[place];
        if let Some(stored) = stored.filter(|stored| stored.answers(asking, now_s)) {
            return Seen { status: 200, version: Some(stored.version), asked: None };
        }
        if asking == "only-if-cached" {
            return Seen { status: 504, version: None, asked: None };
        }
        let asked = Some(stored.is_some_and(|stored| stored.is_named));
        if origin.is_failing {
            return match stored.filter(|stored| stored.stands_in(now_s)) {
                Some(stored) => Seen { status: 200, version: Some(stored.version), asked },
                None => Seen { status: 503, version: None, asked },
            };
        }
        self.learn(place, asking, origin, now_s);
        Seen { status: 200, version: Some(origin.version), asked }
    }

    /// §3, §4.3.3, §4.3.4
    fn learn(&mut self, place: usize, asking: &str, origin: &Published, now_s: u64) {
        let control = CONTROLS[origin.control].1;
        let before = self.stored[place];
        let still_holds =
            before.is_some_and(|it| it.is_named && origin.is_named && it.version == origin.version);
        let new = Stored {
            version: origin.version,
            control,
            age_s: origin.age_s,
            received_s: now_s,
            is_named: origin.is_named,
        };
        let is_fresh = new.age_s < control.lifetime_s && !control.no_cache;
        let lets_stale = control.if_error_s.is_some();
        let is_stored = !control.never
            && asking != "no-store"
            && (is_fresh || origin.is_named || lets_stale && !control.no_cache);
        match (is_stored, still_holds) {
            (true, _) => self.stored[place] = Some(new),
            // What was stored speaks of what may not be stored now.
            (false, true) => self.stored[place] = None,
            (false, false) => {}
        }
    }
}

/// A node whose clock stands where it is put.
struct Rig {
    node: Node,
    origin: Origin,
    clock: PathBuf,
}

impl Rig {
    fn start() -> Option<Rig> {
        let faketime = need("faketime")?;
        let preload = faketime.expect("/".as_ref(), &["-m", "-f", "+0", "printenv", "LD_PRELOAD"]);
        let origin = Origin::start();
        let dir = tempfile::tempdir().expect("a directory").keep();
        let clock = dir.join("clock");
        std::fs::write(&clock, "+0").expect("write the clock");
        let config = NodeConfig::default()
            .site("*", &origin.url(), &[&format!("grace = \"{GRACE_S}s\"")])
            .environment("LD_PRELOAD", String::from_utf8_lossy(&preload).trim())
            .environment("FAKETIME_TIMESTAMP_FILE", &clock.display().to_string())
            .environment("FAKETIME_NO_CACHE", "1")
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Some(Rig { node: Node::start(config), origin, clock })
    }

    fn set(&self, now_s: u64) {
        // In one step: the node reads it at any time.
        let next = self.clock.with_extension("next");
        std::fs::write(&next, format!("+{now_s}")).expect("write the clock");
        std::fs::rename(&next, &self.clock).expect("set the clock");
    }

    fn publish(&self, target: &str, it: &Published) {
        let fields = format!("Age: {}|Cache-Control: {}", it.age_s, CONTROLS[it.control].0);
        let etag = format!("ETag: \"{}\"", it.version);
        let answer = match (it.is_failing, it.is_named) {
            (true, _) => "503".to_owned(),
            (false, true) => format!("@{}|{fields}|{etag}|Vary: Place", it.version),
            (false, false) => format!("@{}|{fields}|Vary: Place", it.version),
        };
        self.origin.script(target, &[&answer]);
    }

    #[track_caller]
    fn ask(&self, target: &str, place: usize, asking: &str) -> (Seen, Vec<Asked>) {
        let before = self.origin.asked(target).len();
        let place = place.to_string();
        let mut fields = vec![("Place", place.as_str())];
        if !asking.is_empty() {
            fields.push(("Cache-Control", asking));
        }
        let mut client = self.node.connect();
        let response = client.get_with(target, &fields);
        let asked = self.origin.asked(target).split_off(before);
        let body = String::from_utf8_lossy(&response.body).into_owned();
        let version = body.strip_prefix("version ").and_then(|version| version.parse().ok());
        let seen = Seen {
            status: response.head.status,
            version: version.filter(|_| response.head.status == 200),
            asked: asked.first().map(|asked| asked.field("if-none-match").is_some()),
        };
        (seen, asked)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(dir) = self.clock.parent() {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

#[test]
fn a_naive_cache_and_the_node_agree() {
    let Some(rig) = Rig::start() else { return };
    let seed = env_number("EDGE_TEST_SEED", 7);
    let mut now_s = 0;
    for history in 0..HISTORIES {
        let mut random = Random::new(seed * 1_000 + history);
        let target = format!("/{seed}/{history}");
        let mut model = Model::default();
        let mut published =
            Published { version: 1, control: 0, age_s: 0, is_named: true, is_failing: false };
        rig.publish(&target, &published);
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
                    told.push(format!("origin has {published:?}"));
                    rig.publish(&target, &published);
                }
                _ => {
                    let place = random.below(2) as usize;
                    let asking = ASKING[random.below(ASKING.len() as u64) as usize];
                    rig.set(now_s);
                    let expected = model.ask(place, asking, &published, now_s);
                    let (seen, asked) = rig.ask(&target, place, asking);
                    told.push(format!("at {now_s}: {place} asks {asking:?}: {seen:?}"));
                    assert_eq!(
                        seen,
                        expected,
                        "history {history} of seed {seed}; origin saw {asked:?}\n{}",
                        told.join("\n")
                    );
                }
            }
        }
    }
}
