//! Rust files as the rules see them: code alone, comments and literals blanked out.

use std::fs;
use std::path::{Path, PathBuf};

/// One file.
pub struct Source {
    /// From the top of the workspace, with slashes.
    pub path: String,
    /// The text as it is.
    pub text: String,
    /// The same bytes per line, but spaces where comments and literals were.
    pub code: String,
}

impl Source {
    /// A file's rules-eye view.
    pub fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), code: blank(text) }
    }

    /// The room of `edge` this file belongs to: `cache` for `edge/src/cache/key.rs` and `edge/src/cache.rs`.
    pub fn room(&self) -> Option<&str> {
        let inner = self.path.strip_prefix("edge/src/")?;
        let first = inner.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first)).filter(|room| *room != "lib")
    }

    /// How deep below the crate its own items lie: 1 in a room's first file, 2 in the files beside it.
    pub fn depth(&self) -> usize {
        let inner = self.path.strip_prefix("edge/src/").unwrap_or(&self.path);
        inner.trim_end_matches("/mod.rs").split('/').count()
    }

    /// The line, from 1, of a byte of [`Source::code`].
    pub fn line(&self, at: usize) -> usize {
        1 + self.code.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
    }

    /// Every identifier in the code, with its place.
    pub fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let pieces = self.code.split(move |c: char| !is_name(c)).filter(|piece| !piece.is_empty());
        pieces.map(|piece| (piece.as_ptr() as usize - self.code.as_ptr() as usize, piece))
    }
}

/// Every Rust file of the workspace, sorted; what is built lies elsewhere.
pub fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lie in the workspace");
    let mut files = Vec::new();
    for top in ["edge", "common", "ebpf", "xtask", "tests"] {
        collect(&root.join(top), &mut files);
    }
    files.sort();
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let path = file.strip_prefix(root).expect("found below the root").to_string_lossy();
        Source::new(&path, &text)
    };
    files.into_iter().map(read).collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "target" {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Replaces comments and literals by spaces; lines and bytes keep their places.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let in_name = out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let hidden = hidden(rest, in_name);
        let taken = if hidden > 0 { hidden } else { rest.chars().next().map_or(1, char::len_utf8) };
        let (piece, after) = rest.split_at(taken.min(rest.len()));
        match hidden {
            0 => out.push_str(piece),
            _ => out.extend(piece.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' })),
        }
        rest = after;
    }
    out
}

/// How many bytes at the start of `rest` are a comment or literal.
fn hidden(rest: &str, in_name: bool) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if in_name {
        return 0;
    }
    let unprefixed = rest.trim_start_matches(['b', 'c']);
    let prefix = rest.len() - unprefixed.len();
    match unprefixed.as_bytes().first() {
        Some(b'"') if prefix < 2 => prefix + quoted(unprefixed, '"'),
        Some(b'r') if prefix < 2 => match raw(unprefixed) {
            0 => 0,
            length => prefix + length,
        },
        Some(b'\'') if prefix < 2 && is_char(unprefixed) => prefix + quoted(unprefixed, '\''),
        _ => 0,
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest.as_bytes()[at..rest.len().min(at + 2)] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`; but not `r#name`.
fn raw(rest: &str) -> usize {
    let body = rest[1..].trim_start_matches('#');
    let hashes = rest.len() - 1 - body.len();
    if !body.starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    body[1..].find(&end).map_or(rest.len(), |at| 1 + hashes + 1 + at + end.len())
}

/// A character, not a lifetime.
fn is_char(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    matches!((chars.next(), chars.next()), (Some('\\'), _) | (Some(_), Some('\'')))
}

#[test]
fn comments_and_literals_are_blank_and_code_is_not() {
    let table = [
        ("a // b\nc", "a c"),
        ("a /* b /* c */ */ d", "a d"),
        ("f(\"x\\\"y\", z)", "f( , z)"),
        ("r#\"a\"b\"# + b\"c\"", " + "),
        ("'a' 'b: '\\n' b'x' d", " 'b: d"),
        ("r#type + bar", "r#type + bar"),
        ("é \"é\" x", "é x"),
    ];
    for (text, code) in table {
        let blank = blank(text);
        assert_eq!(
            (blank.len(), blank.lines().count()),
            (text.len(), text.lines().count()),
            "{text}"
        );
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&blank), words(code), "{text}");
    }
}
