//! `[[site.redirect]]` and `[[site.rewrite]]`: targets that are elsewhere, or called otherwise here.

use super::content::{REDIRECT, REWRITE};
use super::error::Place;
use super::raw::{Entry, Section};
use crate::limits;

/// One redirect or rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Where it stands.
    pub place: Place,
    /// Which paths it is for, as sent.
    pub from: RedirectFrom,
    /// What they become: `$1` to `$9` are what was captured, `$host`, `$scheme`, `$path` and `$query` the
    /// request's own. Without a `?` in it the request's query is kept.
    pub to: String,
    /// 301, 302, 303, 307 or 308; means nothing for a rewrite.
    pub status: u16,
}

/// What a path is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectFrom {
    /// This path.
    Exact(String),
    /// Paths that begin so; what follows is `$1`.
    Prefix(String),
    /// Paths that match.
    Regex(String),
}

impl RedirectFrom {
    /// As it is written.
    pub fn text(&self) -> String {
        match self {
            RedirectFrom::Exact(text) => format!("exact {text}"),
            RedirectFrom::Prefix(text) => format!("prefix {text}"),
            RedirectFrom::Regex(text) => format!("regex {text}"),
        }
    }
}

/// The redirects of a site, in their order.
pub(super) fn redirects(site: &Section<'_>) -> Vec<Redirect> {
    let sections = site.sections("redirect", &REDIRECT);
    bounded(site.entry("redirect"), sections.len());
    sections.iter().filter_map(redirect).collect()
}

/// The rewrites of a site, in their order.
pub(super) fn rewrites(site: &Section<'_>) -> Vec<Redirect> {
    let sections = site.sections("rewrite", &REWRITE);
    bounded(site.entry("rewrite"), sections.len());
    sections.iter().filter_map(rewrite).collect()
}

fn bounded(entry: Option<Entry<'_>>, count: usize) {
    let max = limits::REDIRECTS_MAX;
    if let (Some(entry), true) = (entry, count > max) {
        entry.refuse(format!("{count} are too many; at most {max}, use a prefix or a regex"));
    }
}

fn redirect(section: &Section<'_>) -> Option<Redirect> {
    let status = section.entry("status").and_then(|entry| {
        let status = entry.integer(300..=399)?;
        let known = [301, 302, 303, 307, 308].contains(&status);
        if !known {
            entry.refuse(format!("{status} is no redirect; take 301, 302, 303, 307 or 308"));
        }
        known.then_some(status as u16)
    });
    let from = from(section);
    let to = section.required("to", "write to = \"/new/$1\" or \"https://example.com$path\"")?;
    let text = template(to)?;
    let is_url = ["/", "http://", "https://", "$scheme://"].iter().any(|it| text.starts_with(it));
    if !is_url {
        to.refuse(format!(
            "{text:?} is not a place; begin with \"/\", \"http://\" or \"https://\""
        ));
    }
    let from = from?;
    if leads_to_itself(&from, text) {
        to.refuse(format!(
            "{text:?} is redirected by the same rule again, for ever; write another"
        ));
    }
    let status = status.unwrap_or(302);
    Some(Redirect { place: section.place(), from, to: text.to_owned(), status })
}

fn rewrite(section: &Section<'_>) -> Option<Redirect> {
    let from = from(section);
    let to = section.required("to", "write to = \"/new/$1\"")?;
    let text = template(to)?;
    if !text.starts_with('/') {
        to.refuse(format!("{text:?} is not a path; begin with \"/\", or write a redirect"));
    }
    Some(Redirect { place: section.place(), from: from?, to: text.to_owned(), status: 0 })
}

fn from(section: &Section<'_>) -> Option<RedirectFrom> {
    let kinds = ["exact", "prefix", "regex"];
    let mut stated = kinds.iter().filter_map(|kind| Some((*kind, section.entry(kind)?)));
    let Some((kind, entry)) = stated.next() else {
        section.missing(
            "exact",
            "write exact = \"/old\", prefix = \"/old/\" or regex = \"^/old/(.*)$\"",
        );
        return None;
    };
    if let Some((other, entry)) = stated.next() {
        entry.refuse(format!("{other} stands beside {kind}; a rule is for one of them, make two"));
        return None;
    }
    let text = entry.text()?;
    if kind == "regex" {
        return match regex::RegexBuilder::new(text)
            .size_limit(limits::REDIRECT_REGEX_MAX_BYTES)
            .build()
        {
            Ok(_) => Some(RedirectFrom::Regex(text.to_owned())),
            Err(error) => {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim();
                entry.refuse(format!("{text:?} is not a regular expression: {why}"));
                None
            }
        };
    }
    let fits =
        text.starts_with('/') && text.bytes().all(is_target_byte) && !text.contains(['?', '#']);
    if !fits {
        entry.refuse(format!(
            "{text:?} is not a path; write it as \"/old\", encoded as clients send it"
        ));
        return None;
    }
    let text = text.to_owned();
    Some(if kind == "exact" { RedirectFrom::Exact(text) } else { RedirectFrom::Prefix(text) })
}

/// A text that stays a target whatever is put into it.
fn template(entry: Entry<'_>) -> Option<&str> {
    let text = entry.text()?;
    if text.is_empty() || !text.bytes().all(is_target_byte) || text.contains('#') {
        entry.refuse(format!("{text:?} is not a target; encode blanks and letters beyond ASCII"));
        return None;
    }
    for rest in text.split('$').skip(1) {
        let name = rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let digit = rest.starts_with(|c: char| c.is_ascii_digit() && c != '0');
        if !digit && !["host", "scheme", "path", "query"].contains(&name) {
            entry.refuse(format!(
                "${name} is not known; there are $1 to $9, $host, $scheme, $path and $query"
            ));
            return None;
        }
    }
    Some(text)
}

fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'<' && byte != b'>' && byte != b'\\'
}

/// Whether what a rule makes of a path is a path that it is for, without looking at any request.
fn leads_to_itself(from: &RedirectFrom, to: &str) -> bool {
    let path = to.split('?').next().unwrap_or_default();
    match from {
        RedirectFrom::Exact(text) => path == text,
        RedirectFrom::Prefix(text) => path.starts_with(text.as_str()),
        RedirectFrom::Regex(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (keys, message) in [
            (
                "[[site.redirect]]\nto = \"/b\"",
                "4: site.redirect.exact is missing; write exact = \"/old\", prefix = \"/old/\" or regex = \"^/old/(.*)$\"",
            ),
            (
                "[[site.redirect]]\nexact = \"/a\"\nprefix = \"/b\"\nto = \"/c\"",
                "6: site.redirect.prefix: prefix stands beside exact; a rule is for one of them, make two",
            ),
            (
                "[[site.redirect]]\nexact = \"/a\"\nto = \"/a?x=1\"",
                "6: site.redirect.to: \"/a?x=1\" is redirected by the same rule again, for ever; write another",
            ),
            (
                "[[site.redirect]]\nprefix = \"/a/\"\nto = \"/a/b/$1\"",
                "6: site.redirect.to: \"/a/b/$1\" is redirected by the same rule again, for ever; write another",
            ),
            (
                "[[site.redirect]]\nexact = \"/a\"\nto = \"b.example.com\"",
                "6: site.redirect.to: \"b.example.com\" is not a place; begin with \"/\", \"http://\" or \"https://\"",
            ),
            (
                "[[site.redirect]]\nexact = \"/a\"\nto = \"/b\"\nstatus = 304",
                "7: site.redirect.status: 304 is no redirect; take 301, 302, 303, 307 or 308",
            ),
            (
                "[[site.rewrite]]\nregex = \"(\"\nto = \"/b\"",
                "5: site.rewrite.regex: \"(\" is not a regular expression: error: unclosed group",
            ),
            (
                "[[site.rewrite]]\nexact = \"/a\"\nto = \"/b$name\"",
                "6: site.rewrite.to: $name is not known; there are $1 to $9, $host, $scheme, $path and $query",
            ),
            (
                "[[site.rewrite]]\nexact = \"/a\"\nto = \"/b\\r\\nX: y\"",
                "6: site.rewrite.to: \"/b\\r\\nX: y\" is not a target; encode blanks and letters beyond ASCII",
            ),
            (
                "[[site.rewrite]]\nexact = \"/a\"\nto = \"http://b/\"",
                "6: site.rewrite.to: \"http://b/\" is not a path; begin with \"/\", or write a redirect",
            ),
        ] {
            let text = format!("[[site]]\nhosts = \"a\"\norigin = \"http://o\"\n{keys}");
            let errors = Config::parse(&text, "e.toml").unwrap_err().to_string();
            assert_eq!(errors, format!("e.toml:{message}"), "{keys}");
        }
    }
}
