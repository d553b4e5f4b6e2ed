//! How files look: size, names, and what is never written.

use crate::Breach;
use crate::floors::floor;
use crate::source::Source;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
/// Functions that may be longer, as (path, name). Better empty: an entry that is not needed fails too.
pub const LONG_FUNCTIONS: [(&str, &str); 0] = [];

/// Names that a library gave, as (path, name).
const LENT_NAMES: [(&str, &str); 2] =
    [("edge/src/cli/top/tests.rs", "backend"), ("edge/src/cli/top/tests.rs", "TestBackend")];

/// Files that nobody reads to their end.
pub fn file_size(source: &Source) -> Vec<Breach> {
    let lines = source.text.lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![Breach::at(
        &source.path,
        lines,
        format!("{lines} lines, {FILE_LINES_MAX} are allowed; split it by concern"),
    )]
}

/// Functions that do more than one thing.
pub fn function_size(source: &Source) -> Vec<Breach> {
    let long = functions(source).filter(|function| function.lines > FUNCTION_LINES_MAX);
    let long =
        long.filter(|function| !LONG_FUNCTIONS.contains(&(source.path.as_str(), function.name)));
    long.map(|function| {
        let (name, lines) = (function.name, function.lines);
        let what = format!(
            "`{name}` has {lines} lines, {FUNCTION_LINES_MAX} are allowed; let it do one thing"
        );
        Breach::new(source, function.at, what)
    })
    .collect()
}

/// Allowances nobody needs any more.
pub fn ratchet(sources: &[Source]) -> Vec<Breach> {
    let needed = |path: &str, name: &str| {
        let mut file = sources.iter().filter(|source| source.path == path);
        file.any(|source| functions(source).any(|f| f.name == name && f.lines > FUNCTION_LINES_MAX))
    };
    let spare = LONG_FUNCTIONS.iter().filter(|(path, name)| !needed(path, name));
    spare
        .map(|(path, name)| {
            Breach::at(path, 1, format!("`{name}` is short now; take it out of LONG_FUNCTIONS"))
        })
        .collect()
}

/// Names this house does not use.
pub fn names(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (at, word) in source.words() {
        if LENT_NAMES.contains(&(source.path.as_str(), word)) {
            continue;
        }
        let lower = word.to_lowercase();
        for (banned, instead) in [("upstream", "origin"), ("backend", "origin")] {
            if lower.contains(banned) {
                breaches.push(Breach::new(
                    source,
                    at,
                    format!("`{word}`: this house says `{instead}`"),
                ));
            }
        }
    }
    // The stories' client has the method GET.
    let bound = !source.path.starts_with("tests/");
    let getters = functions(source).filter(|function| bound && function.name.starts_with("get_"));
    breaches.extend(getters.map(|function| {
        let name = function.name;
        Breach::new(source, function.at, format!("`{name}`: name it `{}`", &name["get_".len()..]))
    }));
    breaches
}

/// Words that stand for work not done.
pub fn unfinished(source: &Source) -> Vec<Breach> {
    let banned = ["todo", "unimplemented", "dbg"];
    let is_call = |at: usize, word: &str| source.code[at + word.len()..].starts_with('!');
    let calls = source.words().filter(|(at, word)| banned.contains(word) && is_call(*at, word));
    let mut breaches: Vec<_> = calls
        .map(|(at, word)| {
            Breach::new(source, at, format!("`{word}!` is left over; finish it or take it out"))
        })
        .collect();
    let ignored = source.code.match_indices("#[ignore");
    breaches.extend(ignored.map(|(at, _)| {
        Breach::new(
            source,
            at,
            "an ignored test proves nothing; let it print `SKIP: why` where it cannot run"
                .to_owned(),
        )
    }));
    breaches
}

/// Rooms above floor 0 that do not forbid `unsafe`; the guard alone may need it.
pub fn forbids_unsafe(source: &Source) -> Vec<Breach> {
    let Some(room) = source.room() else { return Vec::new() };
    let is_first_file = source.depth() == 1;
    let bound = floor(room).is_some_and(|floor| floor > 0) && !matches!(room, "guard" | "main");
    if !is_first_file || !bound || source.code.contains("#![forbid(unsafe_code)]") {
        return Vec::new();
    }
    vec![Breach::at(
        &source.path,
        1,
        "write `#![forbid(unsafe_code)]` below the room's first comment".to_owned(),
    )]
}

struct Function<'a> {
    at: usize,
    name: &'a str,
    lines: usize,
}

/// Every function with a body.
fn functions(source: &Source) -> impl Iterator<Item = Function<'_>> {
    let mut words = source.words().peekable();
    std::iter::from_fn(move || {
        loop {
            let (at, word) = words.next()?;
            let &(start, name) = words.peek()?;
            // `fn(` is a type, not a function.
            let named = word == "fn" && source.code[at + 2..start].trim().is_empty();
            if let Some(end) = named.then(|| body_end(&source.code, start)).flatten() {
                return Some(Function { at, name, lines: source.line(end) - source.line(at) + 1 });
            }
        }
    })
}

/// Where the braces that open after `start` close; none for a function without body.
fn body_end(code: &str, start: usize) -> Option<usize> {
    let (mut braces, mut nested) = (0, 0);
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => nested += 1,
            b')' | b']' => nested -= 1,
            b';' if braces == 0 && nested == 0 => return None,
            b'{' => braces += 1,
            b'}' if braces == 1 => return Some(at),
            b'}' => braces -= 1,
            _ => {}
        }
    }
    None
}

#[test]
fn the_rules_bite_and_only_where_they_should() {
    let long = format!("fn long() {{\n{}}}\n", "    step();\n".repeat(70));
    let short = format!("fn short() {{\n{}}}\n", "    step();\n".repeat(68));
    crate::bites(&[
        (forbids_unsafe, "edge/src/cache/mod.rs", "//! Store.\n// #![forbid(unsafe_code)]", 1),
        (forbids_unsafe, "edge/src/limits.rs", "#![forbid(unsafe_code)]", 0),
        (forbids_unsafe, "edge/src/cache/key.rs", "", 0),
        (forbids_unsafe, "edge/src/guard/mod.rs", "", 0),
        (file_size, "common/src/lib.rs", &"\n".repeat(501), 1),
        (file_size, "common/src/lib.rs", &"\n".repeat(500), 0),
        (function_size, "common/src/lib.rs", &long, 1),
        (function_size, "common/src/lib.rs", &short, 0),
        (function_size, "common/src/lib.rs", "trait A { fn a(b: [u8; 2]); fn c(f: fn(u8)) {} }", 0),
        (names, "common/src/lib.rs", "struct UpstreamPool; fn get_size() {} backend_id", 3),
        (names, "tests/src/client.rs", "fn get_with(range: &str) {}", 0),
        (names, "common/src/lib.rs", "// upstream\nlet s = \"backend\"; map.get_mut(1);", 0),
        (
            unfinished,
            "common/src/lib.rs",
            "todo!() dbg!(x) unimplemented!() #[ignore] fn a() {}",
            4,
        ),
        (unfinished, "common/src/lib.rs", "let todo = \"dbg!\"; // todo!()", 0),
    ]);
}
