//! The rules compiled: what is asked of an object is a handful of look-ups, however many there are.

use std::collections::{BTreeSet, HashMap};

use regex::Regex;

use super::pattern::compile;
use super::{Kind, Rule};

/// Purges whose time is remembered; an answer asked for before them is held against all of them.
const TIMES_MAX: usize = 4096;

/// The newest purges of each kind that name something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub hard: u64,
    pub soft: u64,
    /// When the newest soft one was ordered.
    pub soft_unix_ms: u64,
}

type Named = HashMap<Box<str>, Marks>;

/// The compiled pattern of a rule; to be had before any lock is taken.
pub(super) fn regex_of(rule: &Rule) -> Option<Regex> {
    let pattern = &rule.pattern;
    (pattern.kind == Kind::Regex).then(|| compile(&pattern.text).ok()).flatten()
}

/// See the module. Keys are a site's name, a blank, and the pattern.
#[derive(Default)]
pub(super) struct Table {
    urls: Named,
    prefixes: Named,
    prefix_lengths: BTreeSet<usize>,
    tags: Named,
    /// Of any tag at all.
    any_tag: Marks,
    sites: Named,
    regexes: Vec<(Box<str>, Regex, Marks)>,
    all: Marks,
    forgotten_hard: u64,
    /// The newest rule before any of `times`.
    first: u64,
    /// When rules came, monotonic ms, and their sequence.
    times: Vec<(u64, u64)>,
}

impl Marks {
    fn of(rule: &Rule) -> Marks {
        match rule.soft {
            true => Marks { hard: 0, soft: rule.sequence, soft_unix_ms: rule.unix_ms },
            false => Marks { hard: rule.sequence, ..Marks::default() },
        }
    }

    fn join(&mut self, other: Marks) {
        self.hard = self.hard.max(other.hard);
        if other.soft > self.soft {
            (self.soft, self.soft_unix_ms) = (other.soft, other.soft_unix_ms);
        }
    }

    fn is_newer_than(&self, stamp: u64) -> bool {
        self.hard.max(self.soft) > stamp
    }
}

impl Table {
    pub fn new<'r>(
        rules: impl Iterator<Item = &'r Rule>,
        forgotten_hard: u64,
        first: u64,
    ) -> Table {
        let mut table = Table { forgotten_hard, first, ..Table::default() };
        rules.for_each(|rule| table.enter(rule, regex_of(rule)));
        table
    }

    /// Enters rules that came at `mono_ms`, the last of them `newest`.
    pub fn add(&mut self, rules: Vec<(&Rule, Option<Regex>)>, mono_ms: u64, newest: u64) {
        rules.into_iter().for_each(|(rule, regex)| self.enter(rule, regex));
        self.times.push((mono_ms, newest));
        if self.times.len() > TIMES_MAX {
            // What was asked for before is held against these again: more than is needed, never less.
            self.times.drain(..TIMES_MAX / 2);
        }
    }

    /// Takes over when rules came.
    pub fn keep_times(&mut self, before: &mut Table) {
        self.first = before.first;
        self.times = std::mem::take(&mut before.times);
    }

    /// The newest rule that came before `mono_ms`, for certain.
    pub fn newest_before(&self, mono_ms: u64) -> u64 {
        let before = self.times.partition_point(|(came_ms, _)| *came_ms < mono_ms);
        match before.checked_sub(1) {
            Some(at) => self.times[at].1,
            None => self.first,
        }
    }

    pub fn forgotten_hard(&self) -> u64 {
        self.forgotten_hard
    }

    /// The newest purges that name an object; those up to `stamp` may be left out.
    pub fn marks(&self, key_text: &str, tags: &str, stamp: u64) -> Marks {
        let mut marks = self.all;
        let (site, target) = key_text.split_once(' ').unwrap_or((key_text, ""));
        let mut named = |named: &Named, name: &str| {
            if let Some(found) = named.get(name) {
                marks.join(*found);
            }
        };
        named(&self.sites, site);
        named(&self.urls, key_text);
        for len in self.prefix_lengths.range(..=key_text.len()) {
            if let Some(start) = key_text.get(..*len) {
                named(&self.prefixes, start);
            }
        }
        if !self.tags.is_empty() {
            for tag in tags.split(' ').filter(|tag| !tag.is_empty()) {
                named(&self.tags, &format!(" {tag}"));
                named(&self.tags, &format!("{site} {tag}"));
            }
        }
        if tags == "*" {
            marks.join(self.any_tag);
        }
        for (of_site, regex, newest) in &self.regexes {
            let is_here = of_site.is_empty() || **of_site == *site;
            if is_here && newest.is_newer_than(stamp) && regex.is_match(target) {
                marks.join(*newest);
            }
        }
        marks
    }

    fn enter(&mut self, rule: &Rule, regex: Option<Regex>) {
        let marks = Marks::of(rule);
        let pattern = &rule.pattern;
        let name = || -> Box<str> { format!("{} {}", pattern.site, pattern.text).into() };
        match pattern.kind {
            Kind::Url => self.urls.entry(name()).or_default().join(marks),
            Kind::Prefix => {
                let name = name();
                self.prefix_lengths.insert(name.len());
                self.prefixes.entry(name).or_default().join(marks);
            }
            Kind::Tag => {
                self.any_tag.join(marks);
                self.tags.entry(name()).or_default().join(marks);
            }
            Kind::Site => self.sites.entry(pattern.site.clone()).or_default().join(marks),
            Kind::All => self.all.join(marks),
            Kind::Regex => self.enter_regex(rule, regex, marks),
        }
    }

    fn enter_regex(&mut self, rule: &Rule, regex: Option<Regex>, marks: Marks) {
        let (site, text) = (&rule.pattern.site, &rule.pattern.text);
        let same =
            self.regexes.iter_mut().find(|(of, regex, _)| of == site && regex.as_str() == &**text);
        match (same, regex) {
            (Some((.., newest)), _) => newest.join(marks),
            (None, Some(regex)) => self.regexes.push((site.clone(), regex, marks)),
            // Another version of the node took it for one: it may have meant anything.
            (None, None) => self.all.join(marks),
        }
    }
}
