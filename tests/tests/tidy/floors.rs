//! Who may import whom (the table in `ARCHITECTURE.md`), and which crate stays in which room.

use std::collections::{BTreeMap, BTreeSet};

use crate::Breach;
use crate::source::Source;

/// Every room and the floor it is on.
const FLOORS: [(&str, u32); 25] = [
    ("ring", 0),
    ("sys", 0),
    ("http", 1),
    ("http2", 1),
    ("config", 1),
    ("limits", 1),
    ("clock", 1),
    ("metrics", 1),
    ("mailbox", 1),
    ("log", 1),
    ("proxy", 1),
    ("abuse", 2),
    ("site", 2),
    ("cache", 2),
    ("origin", 2),
    ("tls", 2),
    ("guard", 2),
    ("session", 3),
    ("worker", 4),
    ("fill", 4),
    ("admin", 4),
    ("server", 5),
    ("cli", 6),
    ("main", 7),
    ("build", 0),
];

/// Floor 1 is one vocabulary: its rooms may use each other, in no circle.
const VOCABULARY: u32 = 1;
/// Other steps sideways: the ring makes system calls, and what an origin says of an object is said in
/// the store's words.
const SIDEWAYS: [(&str, &str); 2] = [("ring", "sys"), ("origin", "cache")];

/// Crates and the rooms they stay in.
const QUARANTINES: [(&str, &[&str]); 15] = [
    ("io_uring", &["ring"]),
    ("tokio_uring", &["fill"]),
    ("libc", &["ring", "sys"]),
    ("rustix", &["ring", "sys"]),
    ("socket2", &["ring", "sys"]),
    ("aya", &["guard"]),
    ("aya_obj", &["guard"]),
    ("rustls", &["tls", "fill"]),
    ("aws_lc_rs", &["tls"]),
    ("hyper", &["fill", "admin"]),
    ("ratatui", &["cli"]),
    ("hyper_util", &["fill", "admin"]),
    ("http_body_util", &["fill", "admin"]),
    ("serde", &["config", "admin", "log"]),
    ("serde_json", &["config", "admin", "log", "server", "cli"]),
];

/// The floor of `room`.
pub fn floor(room: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// Imports that do not lead downwards.
pub fn imports(source: &Source) -> Vec<Breach> {
    let Some(room) = source.room() else { return Vec::new() };
    let Some(own) = floor(room) else {
        return vec![Breach::new(
            source,
            0,
            format!("room `{room}` has no floor; give it one in tests/tests/tidy/floors.rs"),
        )];
    };
    let mut breaches = escapes(source);
    for (at, other) in used_rooms(source) {
        // What is no room is an item of the crate itself, a macro for instance.
        let Some(theirs) = floor(&other) else { continue };
        let vocabulary = own == VOCABULARY && theirs == VOCABULARY;
        let allowed = theirs < own || vocabulary || SIDEWAYS.contains(&(room, other.as_str()));
        if other != room && !allowed {
            let way = if theirs == own { "sideways" } else { "upward" };
            breaches.push(Breach::new(source, at, format!(
                "`{room}` (floor {own}) imports `{other}` (floor {theirs}), {way}; move what both need to a lower floor, \
                 or have the room above hand it in"
            )));
        }
    }
    breaches
}

/// The circle in floor 1, if there is one.
pub fn circle(sources: &[Source]) -> Vec<Breach> {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        let Some(room) = source.room().filter(|room| floor(room) == Some(VOCABULARY)) else {
            continue;
        };
        let others = used_rooms(source).into_iter().map(|(_, other)| other);
        let others = others.filter(|other| other != room && floor(other) == Some(VOCABULARY));
        graph.entry(room.to_owned()).or_default().extend(others);
    }
    // Rooms that use none of those left are taken away; what cannot be taken away is a circle.
    while let Some(free) =
        graph.iter().find(|(_, uses)| uses.iter().all(|used| !graph.contains_key(used)))
    {
        let free = free.0.clone();
        graph.remove(&free);
    }
    if graph.is_empty() {
        return Vec::new();
    }
    let rooms: Vec<_> = graph.into_keys().collect();
    vec![Breach::at(
        "edge/src",
        1,
        format!("floor 1 has a circle in {}; turn one import around", rooms.join(", ")),
    )]
}

/// Crates used outside their rooms.
pub fn quarantines(source: &Source) -> Vec<Breach> {
    let Some(room) = source.room() else { return Vec::new() };
    let kept_out = |name: &str| {
        let entry = QUARANTINES.iter().find(|(crate_name, _)| *crate_name == name)?;
        (!entry.1.contains(&room)).then_some(entry.1)
    };
    let used = source.words().filter(|(at, word)| names_a_crate(&source.code, *at, word));
    used.filter_map(|(at, word)| {
        let rooms = kept_out(word)?.join(", ");
        let what = format!("crate `{word}` stays in {rooms}; wrap what `{room}` needs of it there");
        Some(Breach::new(source, at, what))
    })
    .collect()
}

/// `word::…` or `use word…`, not as the tail of a longer path.
fn names_a_crate(code: &str, at: usize, word: &str) -> bool {
    let before = code[..at].trim_end();
    let after = code[at + word.len()..].trim_start();
    let absolute = before.ends_with("::") && !before.trim_end_matches("::").ends_with(is_name_byte);
    let starts = absolute || !(before.ends_with("::") || before.ends_with('.'));
    let imported = before.ends_with("use") || before.ends_with("crate");
    // Not `word:` of a field, and not a `mod word` of our own.
    starts && (after.starts_with("::") || imported)
}

fn is_name_byte(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// First steps of paths from the crate's root, in `use` groups too.
fn used_rooms(source: &Source) -> Vec<(usize, String)> {
    let root = if source.room() == Some("main") { "edge" } else { "crate" };
    let mut rooms = Vec::new();
    for (at, word) in source.words().filter(|(_, word)| *word == root) {
        let Some(path) = source.code[at + word.len()..].strip_prefix("::") else { continue };
        match path.strip_prefix('{') {
            Some(group) => rooms.extend(first_steps(group).map(|room| (at, room))),
            None => rooms.push((at, leading_name(path))),
        }
    }
    rooms
}

/// `a::b, c::{d, e}, f}` gives `a c f`.
fn first_steps(group: &str) -> impl Iterator<Item = String> {
    let mut depth = 0;
    let mut steps = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => steps.push(String::new()),
            c if depth == 0 => steps.last_mut().expect("never empty").push(c),
            _ => {}
        }
    }
    steps.into_iter().map(|step| leading_name(step.trim())).filter(|step| !step.is_empty())
}

fn leading_name(path: &str) -> String {
    path.chars().take_while(|c| is_name_byte(*c)).collect()
}

/// Paths that climb to the crate's root by `super`, past the table.
fn escapes(source: &Source) -> Vec<Breach> {
    let mut depth = 0_usize;
    let mut scanned = 0;
    let mut breaches = Vec::new();
    for (at, word) in source.words() {
        for byte in source.code[scanned..at].bytes() {
            depth = if byte == b'{' {
                depth + 1
            } else {
                depth.saturating_sub(usize::from(byte == b'}'))
            };
        }
        scanned = at;
        let tail = &source.code[at..];
        let climbs = tail.split("::").take_while(|step| *step == "super").count();
        let first = word == "super" && !source.code[..at].ends_with("::");
        if first && depth == 0 && climbs >= source.depth() {
            breaches.push(Breach::new(
                source,
                at,
                "`super` leaves the room; write `crate::…`".to_owned(),
            ));
        }
    }
    breaches
}

#[test]
fn the_rules_bite_and_only_where_they_should() {
    crate::bites(&[
        (imports, "edge/src/cache/mod.rs", "use crate::session::Demand;", 1),
        (imports, "edge/src/cache/mod.rs", "use crate::site::Site;", 1),
        (imports, "edge/src/cache/mod.rs", "use crate::cache::key; use crate::clock::Now;", 0),
        (imports, "edge/src/fill/mod.rs", "use crate::{cache::{Key, x}, worker::y, admin};", 2),
        (imports, "edge/src/http/mod.rs", "// crate::session\nuse crate::limits::*;", 0),
        (imports, "edge/src/ring/mod.rs", "use crate::sys::eventfd;", 0),
        (imports, "edge/src/sys/mod.rs", "use crate::ring::Ring;", 1),
        (imports, "edge/src/main.rs", "fn main() { edge::cli::run() }", 0),
        (imports, "edge/src/attic/mod.rs", "", 1),
        (imports, "edge/src/site/mod.rs", "use super::session::Demand;", 1),
        (imports, "edge/src/site/rules.rs", "use super::super::session; use super::Site;", 1),
        (imports, "edge/src/site/mod.rs", "mod tests { use super::*; }", 0),
        (quarantines, "edge/src/worker/mod.rs", "use io_uring::opcode;", 1),
        (quarantines, "edge/src/worker/mod.rs", "let r = ::libc::close(1); use hyper as h;", 2),
        (quarantines, "edge/src/ring/mod.rs", "use io_uring::opcode; use libc;", 0),
        (quarantines, "edge/src/cache/mod.rs", "let libc = a.libc; crate::sys::rustix::f();", 0),
        (quarantines, "edge/src/cli/mod.rs", "use serde::Serialize; use serde_json::Value;", 1),
    ]);
}

#[test]
fn a_circle_is_found_and_a_line_is_not() {
    let file = |room: &str, uses: &str| {
        Source::new(&format!("edge/src/{room}/mod.rs"), &format!("use crate::{uses};"))
    };
    let line = [file("config", "limits"), file("log", "config"), file("limits", "sys")];
    assert!(circle(&line).is_empty());
    let round = [file("config", "log"), file("log", "metrics"), file("metrics", "config")];
    let said = circle(&round)[0].to_string();
    assert!(said.contains("config, log, metrics"), "{said}");
}
