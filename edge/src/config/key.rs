//! `[site.key]`: what makes two requests ask for the same object.

use super::keys;
use super::raw::{Entry, Section};
use crate::limits;

/// `[site.key]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRules {
    /// Name of the site whose objects are this one's, too; `None`: it has its own.
    pub share: Option<String>,
    /// Whether the host the client asked for tells objects apart.
    pub by_host: bool,
    /// Which arguments of the query tell objects apart.
    pub query: QueryRule,
    /// Whether the order of arguments does not matter.
    pub sort: bool,
    /// Whether the origin is sent the query as it came all the same.
    pub send_all: bool,
    /// Request fields that tell objects apart, lower-case; the origin is sent them.
    pub headers: Vec<String>,
    /// Whether the case of the path does not matter.
    pub fold_case: bool,
}

/// `keep` and `ignore` of `[site.key]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum QueryRule {
    /// The query counts as it is.
    #[default]
    All,
    /// No argument does.
    None,
    /// These arguments do.
    Keep(Vec<String>),
    /// All but these do.
    Ignore(Vec<String>),
}

impl QueryRule {
    /// Whether `argument`, `name=value` or `name`, tells objects apart.
    pub fn keeps(&self, argument: &str) -> bool {
        let name = argument.split_once('=').map_or(argument, |(name, _)| name);
        let is_named = |names: &[String]| names.iter().any(|one| one == name);
        match self {
            QueryRule::All => true,
            QueryRule::None => false,
            QueryRule::Keep(names) => is_named(names),
            QueryRule::Ignore(names) => !is_named(names),
        }
    }
}

/// The rules of a site whose origin is asked for the client's host, or not.
pub(super) fn key(site: &Section<'_>, host_matters: bool) -> KeyRules {
    let section = site.section("key", &keys::KEY);
    let flag = |key| section.entry(key).and_then(|entry| entry.flag());
    let share = section.entry("share").and_then(|entry| entry.text());
    let by_host = flag("by_host");
    if let (Some(entry), Some(_), Some(true)) = (section.entry("by_host"), share, by_host) {
        entry.refuse("stands beside share, which leaves nothing to tell apart; remove one");
    }
    KeyRules {
        by_host: by_host.unwrap_or(host_matters && share.is_none()),
        share: share.map(str::to_owned),
        query: query(&section),
        sort: flag("sort").unwrap_or(false),
        send_all: flag("send_all").unwrap_or(false),
        headers: headers(&section),
        fold_case: flag("fold_case").unwrap_or(false),
    }
}

fn query(section: &Section<'_>) -> QueryRule {
    let (keep, ignore) = (section.entry("keep"), section.entry("ignore"));
    match (keep, ignore) {
        (Some(_), Some(ignore)) => {
            ignore.refuse("stands beside keep; what is not kept is ignored, remove one");
            QueryRule::All
        }
        (Some(keep), None) if keep.is_word("all") => QueryRule::All,
        (Some(keep), None) => {
            let names = names(keep);
            if names.len() > limits::KEY_ARGUMENTS_MAX {
                let max = limits::KEY_ARGUMENTS_MAX;
                keep.refuse(format!("keeps {} arguments; at most {max}", names.len()));
            }
            QueryRule::Keep(names)
        }
        (None, Some(ignore)) if ignore.is_word("all") => QueryRule::None,
        (None, Some(ignore)) => {
            let names = names(ignore);
            if names.len() > limits::KEY_IGNORED_MAX {
                let max = limits::KEY_IGNORED_MAX;
                ignore.refuse(format!(
                    "ignores {} arguments; at most {max}, or \"all\"",
                    names.len()
                ));
            }
            QueryRule::Ignore(names)
        }
        (None, None) => QueryRule::All,
    }
}

fn names(entry: Entry<'_>) -> Vec<String> {
    let name = |(entry, text): (Entry<'_>, &str)| {
        let fits =
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"&=#?".contains(&b));
        if !fits {
            entry.refuse(format!("{text:?} is not the name of an argument; write it as \"v\""));
        }
        fits.then(|| text.to_owned())
    };
    entry.texts().into_iter().filter_map(name).collect()
}

/// Fields that the node itself writes, or that would make an object nobody else's.
const NOT_IN_KEYS: [&str; 12] = [
    "host",
    "range",
    "if-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "connection",
    "transfer-encoding",
    "content-length",
    "accept-encoding",
    "via",
];

fn headers(section: &Section<'_>) -> Vec<String> {
    let Some(entry) = section.entry("headers") else { return Vec::new() };
    let header = |(entry, text): (Entry<'_>, &str)| {
        let name = text.to_ascii_lowercase();
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            entry.refuse(format!("{text:?} is not a field; write it as \"Accept-Language\""));
            return None;
        }
        if NOT_IN_KEYS.contains(&name.as_str()) {
            entry.refuse(format!("{text:?} cannot be part of a key; remove it"));
            return None;
        }
        Some(name)
    };
    let headers: Vec<String> = entry.texts().into_iter().filter_map(header).collect();
    if headers.len() > limits::KEY_HEADERS_MAX {
        entry.refuse(format!(
            "names {} fields; at most {}",
            headers.len(),
            limits::KEY_HEADERS_MAX
        ));
    }
    headers
}
