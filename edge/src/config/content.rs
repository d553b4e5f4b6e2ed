//! What a site makes of answers and targets: header rules, CORS, redirects and rewrites.

use super::headers::{Cors, HeaderRules, cors, header_rules};
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
pub(super) fn content(site: &Section<'_>) -> Content {
    Content {
        headers: header_rules(site, "headers", headers::IN_ANSWERS),
        request_headers: header_rules(site, "request_headers", headers::IN_REQUESTS),
        cors: cors(site),
        redirects: redirects(site),
        rewrites: rewrites(site),
    }
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
