//! What a purge names.

use regex::{Regex, RegexBuilder};

use crate::limits::{PURGE_PATTERN_MAX_BYTES, PURGE_REGEX_MAX_BYTES};

/// What a pattern is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The whole of path and query.
    Url = 1,
    /// How path and query begin.
    Prefix = 2,
    /// Path and query, anywhere in them.
    Regex = 3,
    /// One of the tags the origin gave.
    Tag = 4,
    /// The site.
    Site = 5,
    /// Nothing: everything is meant.
    All = 6,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] =
        [Kind::Url, Kind::Prefix, Kind::Regex, Kind::Tag, Kind::Site, Kind::All];

    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Url => "url",
            Kind::Prefix => "prefix",
            Kind::Regex => "regex",
            Kind::Tag => "tag",
            Kind::Site => "site",
            Kind::All => "all",
        }
    }

    pub(super) fn of_number(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// What a purge names: made by [`Pattern::new`], so it can be used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// How it is compared.
    pub kind: Kind,
    /// The site's name; empty for any.
    pub site: Box<str>,
    /// With what; empty for sites and everything.
    pub text: Box<str>,
}

/// Why a pattern is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PatternError {
    /// Longer than any target.
    #[error("a pattern of {got} bytes is too long: at most {max}; purge a prefix")]
    TooLong {
        /// Bytes.
        got: usize,
        /// Bytes.
        max: usize,
    },
    /// Not a regular expression, or one that takes too much memory.
    #[error("{0:?} is not a regular expression that can be used: {1}")]
    Regex(String, String),
    /// A tag with what parts tags in it, or a site without a name.
    #[error("{0:?} is no {1}: write it without blanks and commas")]
    Word(String, &'static str),
}

impl Pattern {
    /// Checks that `text` can be what `kind` is compared with.
    pub fn new(kind: Kind, site: &str, text: &str) -> Result<Pattern, PatternError> {
        let (got, max) = (site.len() + text.len(), PURGE_PATTERN_MAX_BYTES);
        if got > max {
            return Err(PatternError::TooLong { got, max });
        }
        if kind == Kind::Regex {
            compile(text).map_err(|error| PatternError::Regex(text.into(), error.to_string()))?;
        }
        let is_word = |word: &str| !word.is_empty() && !word.contains([' ', ',', '\t']);
        if kind == Kind::Tag && !is_word(text) {
            return Err(PatternError::Word(text.into(), "tag"));
        }
        if matches!(kind, Kind::Site | Kind::Url | Kind::Prefix) && !is_word(site) {
            return Err(PatternError::Word(site.into(), "site"));
        }
        Ok(Pattern { kind, site: site.into(), text: text.into() })
    }

    /// Everything.
    pub fn all() -> Pattern {
        Pattern { kind: Kind::All, site: "".into(), text: "".into() }
    }
}

/// Linear in the text whatever the pattern; its program is bounded.
pub(super) fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text)
        .size_limit(PURGE_REGEX_MAX_BYTES)
        .dfa_size_limit(PURGE_REGEX_MAX_BYTES)
        .build()
}

/// What an origin's tags are kept as: parted by one blank each. Too many are kept as `*`, which every
/// purge of a tag means.
pub fn tags<'v>(values: impl Iterator<Item = &'v [u8]>) -> Box<str> {
    let mut tags = String::new();
    for value in values {
        let Ok(text) = std::str::from_utf8(value) else { return "*".into() };
        for tag in text.split([' ', ',', '\t']).filter(|tag| !tag.is_empty()) {
            if !tags.is_empty() {
                tags.push(' ');
            }
            tags.push_str(tag);
        }
        if tags.len() > crate::limits::TAGS_MAX_BYTES {
            return "*".into();
        }
    }
    tags.into()
}
