//! A node whose clock stands where it is put.

use std::path::PathBuf;

use edge_tests::{Node, NodeConfig, eventually, need};

use super::cache::{CONTROLS, GRACE_S, Published, Question, Seen};
use crate::origin::{Asked, Origin};

pub struct Rig {
    pub node: Node,
    origin: Origin,
    clock: Clock,
}

/// The node's clock, which is this host's but for what a file says.
pub struct Clock {
    file: PathBuf,
    preload: String,
}

impl Clock {
    /// `None` (with a SKIP line) when this host has no faketime.
    pub fn new() -> Option<Clock> {
        let faketime = need("faketime")?;
        let preload = faketime.expect("/".as_ref(), &["-m", "-f", "+0", "printenv", "LD_PRELOAD"]);
        let file = tempfile::tempdir().expect("a directory").keep().join("clock");
        std::fs::write(&file, "+0").expect("write the clock");
        Some(Clock { file, preload: String::from_utf8_lossy(&preload).trim().to_owned() })
    }

    /// The configuration of a node that goes by it.
    pub fn drive(&self, config: NodeConfig) -> NodeConfig {
        config
            .environment("LD_PRELOAD", &self.preload)
            .environment("FAKETIME_TIMESTAMP_FILE", &self.file.display().to_string())
            .environment("FAKETIME_NO_CACHE", "1")
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    pub fn set(&self, now_s: u64) {
        // In one step: the node reads it at any time.
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("+{now_s}")).expect("write the clock");
        std::fs::rename(&next, &self.file).expect("set the clock");
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        if let Some(dir) = self.file.parent() {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

impl Rig {
    pub fn start() -> Option<Rig> {
        let clock = Clock::new()?;
        let origin = Origin::start();
        let grace = format!("grace = \"{GRACE_S}s\"");
        let config = NodeConfig::default().site("*", &origin.url(), &[&grace]);
        Some(Rig { node: Node::start(clock.drive(config)), origin, clock })
    }

    pub fn set(&self, now_s: u64) {
        self.clock.set(now_s);
    }

    pub fn publish(&self, target: &str, it: &Published) {
        let version = it.version;
        let fields = format!(
            "Age: {}|Cache-Control: {}|X-Label: {version}|Vary: Place",
            it.age_s, CONTROLS[it.control].0
        );
        let answer = match (it.is_failing, it.is_named) {
            (true, _) => "503".to_owned(),
            (false, true) => format!("@{version}|{fields}|ETag: \"{version}\""),
            (false, false) => format!("@{version}|{fields}"),
        };
        self.origin.script(target, &[&answer]);
    }

    /// How often the origin was asked about `target` so far.
    pub fn asked(&self, target: &str) -> usize {
        self.origin.asked(target).len()
    }

    #[track_caller]
    pub fn ask(&self, target: &str, question: &Question) -> (Seen, Vec<Asked>) {
        let before = self.asked(target);
        let place = question.place.to_string();
        let mut fields = vec![("Place", place.as_str())];
        if !question.asking.is_empty() {
            fields.push(("Cache-Control", question.asking));
        }
        if question.method == "POST" {
            fields.push(("Content-Length", "0"));
        }
        let mut client = self.node.connect();
        client.request(question.method, target, &fields);
        let response = client
            .response(question.method)
            .unwrap_or_else(|e| panic!("{question:?} of {target}: {e}"));
        let asked = self.origin.asked(target).split_off(before);
        let body = String::from_utf8_lossy(&response.body).into_owned();
        let version = body.strip_prefix("version ").and_then(|version| version.parse().ok());
        let is_good = response.head.status == 200;
        let label = response.head.field("x-label").and_then(|label| label.parse().ok());
        let seen = Seen {
            status: response.head.status,
            label: label.filter(|_| is_good),
            version: version.filter(|_| is_good),
            asked: asked.first().map(|asked| asked.field("if-none-match").is_some()),
        };
        (seen, asked)
    }

    /// Waits for the refresh that comes after the origin was asked `before` times; where it `changes`
    /// what is stored, until that is seen.
    #[track_caller]
    pub fn wait_for_refresh(&self, target: &str, place: usize, before: usize, changes: bool) {
        let number = (before + 1).to_string();
        eventually("the origin being asked for news", || {
            (self.asked(target) > before).then_some(())
        });
        let place = place.to_string();
        let fields = [("Place", place.as_str()), ("Cache-Control", "only-if-cached, max-stale")];
        eventually("the news being stored", || {
            let head = changes.then(|| self.node.connect().get_with(target, &fields).head);
            // Gone, not to be used without asking, or new.
            let is_there = head.is_none_or(|head| {
                head.status == 504 || head.field("x-number") == Some(number.as_str())
            });
            is_there.then_some(())
        });
        assert_eq!(self.asked(target), before + 1, "one request for news is enough");
    }
}
