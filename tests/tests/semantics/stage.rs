//! A node before a scripted origin, and the tables that are played on it.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use edge_tests::{Node, NodeConfig, Response};

use super::origin::{Asked, Origin};

/// A node and its origin.
pub struct Stage {
    pub node: Node,
    pub origin: Origin,
    targets: AtomicUsize,
}

/// What the second request of a row is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The first answer, and the origin was not asked.
    Stored,
    /// A second answer.
    Asked,
    /// The first answer, after the origin was asked whether it still holds (with this field).
    Validated(&'static str),
    /// The node's own answer with this status; the origin's second was none.
    Own(u16),
}

/// The section, the origin's answer, the first request's fields, the second's, and what it gets. Fields
/// are parted by `|`.
pub type Row = (&'static str, &'static str, &'static str, &'static str, Then);

impl Stage {
    pub fn start() -> Stage {
        Stage::with(&[])
    }

    /// With further keys of the site.
    pub fn with(lines: &[&str]) -> Stage {
        let origin = Origin::start();
        let node = Node::start(NodeConfig::default().site("*", &origin.url(), lines));
        Stage { node, origin, targets: AtomicUsize::new(0) }
    }

    /// A target that nobody has asked for, with its answers.
    pub fn target(&self, answers: &[&str]) -> String {
        let target = format!("/{}", self.targets.fetch_add(1, Relaxed));
        self.origin.script(&target, answers);
        target
    }

    /// GET on a connection of its own.
    #[track_caller]
    pub fn get(&self, target: &str, fields: &str) -> Response {
        self.ask("GET", target, fields)
    }

    #[track_caller]
    pub fn ask(&self, method: &str, target: &str, fields: &str) -> Response {
        let fields: Vec<(&str, &str)> =
            fields.split('|').filter_map(|field| field.split_once(": ")).collect();
        let mut client = self.node.connect();
        client.request(method, target, &fields);
        let response = client.response(method);
        response.unwrap_or_else(|e| panic!("{method} {target} {fields:?}: {e}"))
    }

    /// What the origin was asked of `target`.
    pub fn asked(&self, target: &str) -> Vec<Asked> {
        self.origin.asked(target)
    }

    /// Plays the rows, each on a target of its own.
    pub fn play(&self, rows: &[Row]) {
        for (section, answer, first, second, then) in rows {
            let row = format!("{section}: {answer:?}, asked {first:?} and {second:?}");
            let answers: [&str; 2] = match then {
                Then::Validated(_) => [answer, "304"],
                Then::Own(_) => [answer, "cut"],
                _ => [answer, answer],
            };
            let target = self.target(&answers);
            let one = self.get(&target, first);
            let other = self.get(&target, second);
            let asked = self.asked(&target);
            let is_bodiless = one.body.is_empty();
            match then {
                Then::Stored => {
                    assert_eq!(asked.len(), 1, "{row}: the origin was asked again");
                    assert_eq!(other.body, one.body, "{row}");
                    assert_eq!(other.head.status, one.head.status, "{row}");
                }
                Then::Asked => {
                    assert_eq!(asked.len(), 2, "{row}: {:?}", other.head);
                    assert!(other.body == b"answer 2" || is_bodiless, "{row}: {other:?}");
                }
                Then::Validated(condition) => {
                    assert_eq!(asked.len(), 2, "{row}: {:?}", other.head);
                    assert!(asked[1].field(condition).is_some(), "{row}: {:?}", asked[1]);
                    assert_eq!(other.body, one.body, "{row}");
                }
                Then::Own(status) => assert_eq!(other.head.status, *status, "{row}"),
            }
        }
    }
}
