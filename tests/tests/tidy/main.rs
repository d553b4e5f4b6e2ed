//! The rules of the house that no compiler checks. Every breach names file, line and cure.

use std::fmt;

mod floors;
mod shape;
mod source;

use source::Source;

/// A rule broken at a place.
#[derive(Debug)]
struct Breach {
    path: String,
    line: usize,
    what: String,
}

impl Breach {
    fn new(source: &Source, at: usize, what: String) -> Breach {
        Breach::at(&source.path, source.line(at), what)
    }

    fn at(path: &str, line: usize, what: String) -> Breach {
        Breach { path: path.to_owned(), line, what }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

type Rule = fn(&Source) -> Vec<Breach>;

/// Holds `rule` to every file of the workspace.
fn hold(rule: Rule) {
    let breaches: Vec<_> = source::all().iter().flat_map(rule).collect();
    report(&breaches);
}

fn report(breaches: &[Breach]) {
    let lines: Vec<_> = breaches.iter().map(Breach::to_string).collect();
    assert!(
        lines.is_empty(),
        "{} breaches of the house's rules\n{}\n",
        lines.len(),
        lines.join("\n")
    );
}

#[test]
fn rooms_import_only_from_lower_floors() {
    hold(floors::imports);
}

#[test]
fn the_vocabulary_has_no_circle() {
    report(&floors::circle(&source::all()));
}

#[test]
fn crates_stay_in_their_rooms() {
    hold(floors::quarantines);
}

#[test]
fn rooms_above_the_ground_forbid_unsafe() {
    hold(shape::forbids_unsafe);
}

#[test]
fn files_are_short() {
    hold(shape::file_size);
}

#[test]
fn functions_are_short() {
    hold(shape::function_size);
    report(&shape::ratchet(&source::all()));
}

#[test]
fn names_are_the_houses() {
    hold(shape::names);
}

#[test]
fn nothing_is_left_unfinished() {
    hold(shape::unfinished);
}

#[test]
fn the_whole_workspace_is_looked_at() {
    let sources = source::all();
    for path in
        ["edge/src/lib.rs", "common/src/lib.rs", "xtask/src/main.rs", "tests/tests/tidy/main.rs"]
    {
        assert!(sources.iter().any(|source| source.path == path), "{path} was not found");
    }
}

/// Holds rules to made-up files: (rule, path, text, how many breaches are due).
fn bites(table: &[(Rule, &str, &str, usize)]) {
    for (number, (rule, path, text, due)) in table.iter().enumerate() {
        let breaches = rule(&Source::new(path, text));
        assert_eq!(breaches.len(), *due, "row {number}, {path}: {breaches:?}");
    }
}
