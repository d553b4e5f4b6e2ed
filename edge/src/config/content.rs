//! What a site makes of answers and targets: header rules, CORS, redirects and rewrites.

use std::path::Path;

use super::compress::{Compress, compress};
use super::headers::{Cors, HeaderRules, cors, header_rules};
use super::pages::{ErrorPages, error_pages};
use super::raw::Section;
use super::redirects::{Redirect, redirects, rewrites};
use super::{headers, keys};

/// What becomes of a site's content on its way to clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Fields of answers.
    pub headers: HeaderRules,
    /// Fields of requests to origins.
    pub request_headers: HeaderRules,
    /// Who may read answers from pages of other sites.
    pub cors: Option<Cors>,
    /// Targets that are elsewhere, in their order.
    pub redirects: Vec<Redirect>,
    /// Targets that are called otherwise here, in their order.
    pub rewrites: Vec<Redirect>,
    /// What is coded for clients that take it.
    pub compress: Option<Compress>,
    /// What clients are shown in the place of errors.
    pub error_pages: ErrorPages,
    /// Whether the directories of a `file://` origin are shown.
    pub listing: bool,
}

impl Content {
    /// Whether any of it is asked of each request: fields, redirects and rewrites.
    pub fn steers(&self) -> bool {
        let is_plain = self.headers.is_empty()
            && self.request_headers.is_empty()
            && self.cors.is_none()
            && self.redirects.is_empty()
            && self.rewrites.is_empty();
        !is_plain
    }
}

/// The same for the paths of one `[[site.rule]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleContent {
    /// Fields of answers, after those of the site.
    pub headers: HeaderRules,
    /// Fields of requests to origins, after those of the site.
    pub request_headers: HeaderRules,
    /// In the place of the site's.
    pub cors: Option<Cors>,
}

impl RuleContent {
    /// Whether the rule says nothing of the kind.
    pub fn is_empty(&self) -> bool {
        *self == RuleContent::default()
    }
}

/// Reads what stands in a `[[site]]`.
pub(super) fn content(site: &Section<'_>, directory: &Path) -> Content {
    Content {
        headers: header_rules(site, "headers", headers::IN_ANSWERS),
        request_headers: header_rules(site, "request_headers", headers::IN_REQUESTS),
        cors: cors(site),
        redirects: redirects(site),
        rewrites: rewrites(site),
        compress: compress(site),
        error_pages: error_pages(site, directory),
        listing: listing(site),
    }
}

/// Whether directories are shown, which only a directory has.
fn listing(site: &Section<'_>) -> bool {
    let Some(entry) = site.entry("listing") else { return false };
    let is_on = entry.flag().unwrap_or(false);
    let origins = site.entry("origin").map(|entry| entry.texts()).unwrap_or_default();
    if is_on && !origins.iter().any(|(_, text)| text.starts_with("file://")) {
        entry.refuse("needs a file:// origin; an HTTP origin shows its directories itself");
    }
    is_on
}

/// Reads what stands in a `[[site.rule]]`.
pub(super) fn rule_content(rule: &Section<'_>) -> RuleContent {
    RuleContent {
        headers: header_rules(rule, "headers", headers::IN_ANSWERS),
        request_headers: header_rules(rule, "request_headers", headers::IN_REQUESTS),
        cors: cors(rule),
    }
}

pub(super) static HEADERS: keys::Table =
    keys::Table { title: "[site.headers]", name: "site.headers", keys: &["remove", "set", "add"] };
pub(super) static CORS: keys::Table = keys::Table {
    title: "[site.cors]",
    name: "site.cors",
    keys: &["origins", "credentials", "methods", "headers", "expose", "max_age"],
};
pub(super) static REDIRECT: keys::Table = keys::Table {
    title: "[[site.redirect]]",
    name: "site.redirect",
    keys: &["exact", "prefix", "regex", "to", "status"],
};
pub(super) static REWRITE: keys::Table = keys::Table {
    title: "[[site.rewrite]]",
    name: "site.rewrite",
    keys: &["exact", "prefix", "regex", "to"],
};
