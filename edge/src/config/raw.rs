//! The file as it stands: tables and entries that know their line, and say what is wrong with it.
//!
//! Nothing here gives up at the first mistake: a wrong entry is reported and reads as absent.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place};
use super::keys::{Table, nearest};
use super::resolved::Stated;
use super::units;

/// A file, and what has been found wrong with it.
pub(super) struct Source {
    file: Arc<str>,
    /// Where each line ends.
    breaks: Vec<usize>,
    errors: RefCell<Vec<ConfigError>>,
}

impl Source {
    pub(super) fn new(file: &str, text: &str) -> Source {
        let breaks = memchr::memchr_iter(b'\n', text.as_bytes()).collect();
        Source { file: file.into(), breaks, errors: RefCell::default() }
    }

    pub(super) fn place(&self, span: Range<usize>) -> Place {
        let line = self.breaks.partition_point(|at| *at < span.start) + 1;
        Place { file: self.file.clone(), line }
    }

    pub(super) fn report(&self, error: ConfigError) {
        self.errors.borrow_mut().push(error);
    }

    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        self.errors.into_inner()
    }
}

/// One table of the file, or the absence of it.
pub(super) struct Section<'d> {
    source: &'d Source,
    table: &'static Table,
    values: Option<&'d DeTable<'d>>,
    span: Range<usize>,
}

impl<'d> Section<'d> {
    /// The file itself.
    pub(super) fn root(
        source: &'d Source,
        table: &'static Table,
        values: &'d Spanned<DeTable<'d>>,
    ) -> Section<'d> {
        Section::new(source, table, Some(values.get_ref()), values.span())
    }

    /// A table; reports keys that are not known in it.
    fn new(
        source: &'d Source,
        table: &'static Table,
        values: Option<&'d DeTable<'d>>,
        span: Range<usize>,
    ) -> Section<'d> {
        for key in values.into_iter().flat_map(|values| values.keys()) {
            if !table.keys.contains(&key.get_ref().as_ref()) {
                source.report(ConfigError::UnknownKey {
                    place: source.place(key.span()),
                    key: key.get_ref().escape_debug().to_string(),
                    table: table.title,
                    nearest: nearest(key.get_ref(), table.keys),
                });
            }
        }
        Section { source, table, values, span }
    }

    /// The entry at `key`, if it stands in the file.
    pub(super) fn entry(&self, key: &'static str) -> Option<Entry<'d>> {
        debug_assert!(self.table.keys.contains(&key), "{key} is not listed in {}", self.table.name);
        let value = self.values?.get(key)?;
        Some(Entry { source: self.source, table: self.table, key, value })
    }

    /// The table at `key`, with the keys of `table`; absent, it is empty.
    pub(super) fn section(&self, key: &'static str, table: &'static Table) -> Section<'d> {
        self.entry(key)
            .and_then(|entry| entry.section(table))
            .unwrap_or_else(|| Section::new(self.source, table, None, self.span.clone()))
    }

    /// The tables of the array at `key`.
    pub(super) fn sections(&self, key: &'static str, table: &'static Table) -> Vec<Section<'d>> {
        let entries = self.entry(key).and_then(|entry| entry.array("an array of tables"));
        entries.unwrap_or_default().iter().filter_map(|entry| entry.section(table)).collect()
    }

    /// Where it begins.
    pub(super) fn place(&self) -> Place {
        self.source.place(self.span.clone())
    }

    /// The keys that stand in the file.
    pub(super) fn stated(&self) -> Stated {
        let keys = self.table.keys.iter();
        let place = |key: &&'static str| Some((*key, self.entry(key)?.place()));
        Stated { place: self.place(), keys: keys.filter_map(place).collect() }
    }

    /// The entry at `key`, which must stand in the file.
    pub(super) fn required(&self, key: &'static str, cure: &'static str) -> Option<Entry<'d>> {
        let entry = self.entry(key);
        if entry.is_none() {
            self.missing(key, cure);
        }
        entry
    }

    /// Says that `key` must be there.
    pub(super) fn missing(&self, key: &str, cure: &'static str) {
        let name = self.table.name;
        self.source.report(ConfigError::Missing {
            place: self.source.place(self.span.clone()),
            key: if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") },
            cure,
        });
    }
}

/// One value of the file.
#[derive(Clone, Copy)]
pub(super) struct Entry<'d> {
    source: &'d Source,
    table: &'static Table,
    key: &'static str,
    value: &'d Spanned<DeValue<'d>>,
}

impl<'d> Entry<'d> {
    pub(super) fn place(&self) -> Place {
        self.source.place(self.value.span())
    }

    /// Says that the value makes no sense, and the cure.
    pub(super) fn refuse(&self, problem: impl Into<String>) {
        let problem = problem.into();
        self.source.report(ConfigError::Value { place: self.place(), key: self.name(), problem });
    }

    pub(super) fn text(&self) -> Option<&'d str> {
        let text = self.value.get_ref().as_str();
        text.or_else(|| self.refuse_kind("a string"))
    }

    /// The string, if it is one.
    pub(super) fn as_text(&self) -> Option<&'d str> {
        self.value.get_ref().as_str()
    }

    /// The flag, if it is one.
    pub(super) fn as_flag(&self) -> Option<bool> {
        self.value.get_ref().as_bool()
    }

    /// The values of an array; anything else is an array of one.
    pub(super) fn each(&self) -> Vec<Entry<'d>> {
        match self.value.get_ref().as_array() {
            Some(array) => array.iter().map(|value| Entry { value, ..*self }).collect(),
            None => vec![*self],
        }
    }

    /// Whether it is exactly this string.
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.value.get_ref().as_str() == Some(word)
    }

    pub(super) fn flag(&self) -> Option<bool> {
        self.value.get_ref().as_bool().or_else(|| self.refuse_kind("true or false"))
    }

    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let Some(integer) = self.value.get_ref().as_integer() else {
            return self.refuse_kind("a whole number");
        };
        let digits = integer.as_str().replace('_', "");
        let value = u64::from_str_radix(&digits, integer.radix()).ok();
        value.filter(|value| range.contains(value)).or_else(|| {
            self.refuse(format!(
                "{integer} is out of range; take {} to {}",
                range.start(),
                range.end()
            ));
            None
        })
    }

    /// Bytes: a number, or text with a unit.
    pub(super) fn size_bytes(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let size = match self.value.get_ref() {
            DeValue::Integer(integer) => integer.as_str().parse().ok(),
            DeValue::String(text) => units::size_bytes(text),
            _ => return self.refuse_kind("a size such as \"256MiB\""),
        };
        match size {
            None => {
                self.refuse(format!("{} is not a size; write it as \"256MiB\"", self.shown()));
                None
            }
            Some(size) if !range.contains(&size) => {
                self.refuse(format!(
                    "{} is out of range; take {} to {}",
                    self.shown(),
                    units::size_text(*range.start()),
                    units::size_text(*range.end())
                ));
                None
            }
            size => size,
        }
    }

    /// Milliseconds: text with a unit.
    pub(super) fn duration_ms(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let text = match self.value.get_ref() {
            DeValue::String(text) => text.as_ref(),
            DeValue::Integer(integer) => integer.as_str(),
            _ => return self.refuse_kind("a duration such as \"30s\""),
        };
        let Some(ms) = units::duration_ms(text) else {
            self.refuse(format!("{} is not a duration; write it as \"30s\"", self.shown()));
            return None;
        };
        if range.contains(&ms) {
            return Some(ms);
        }
        self.refuse(format!(
            "{} is out of range; take {} to {}",
            self.shown(),
            units::duration_text(*range.start()),
            units::duration_text(*range.end())
        ));
        None
    }

    /// Milliseconds: a number of seconds, or text with a unit.
    pub(super) fn seconds_ms(&self, range: RangeInclusive<u64>) -> Option<u64> {
        match self.value.get_ref() {
            DeValue::Integer(_) => {
                let seconds = self.integer(range.start() / 1000..=range.end() / 1000)?;
                seconds.checked_mul(1000)
            }
            _ => self.duration_ms(range),
        }
    }

    /// The entry at `key` of a table with the keys of `table`.
    pub(super) fn part(&self, table: &'static Table, key: &'static str) -> Option<Entry<'d>> {
        let value = self.value.get_ref().as_table()?.get(key)?;
        Some(Entry { table, key, value, ..*self })
    }

    /// The keys of a table that names its own, each with its value; `None`: it is no table.
    pub(super) fn pairs(&self) -> Option<Vec<(&'d str, Entry<'d>)>> {
        let table = self.value.get_ref().as_table()?;
        let pairs = table.iter();
        Some(pairs.map(|(key, value)| (key.get_ref().as_ref(), Entry { value, ..*self })).collect())
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = choices.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).or_else(|| {
            let words: Vec<&'static str> = choices.iter().map(|(word, _)| *word).collect();
            self.refuse(format!(
                "{text:?} is not one of {}; did you mean \"{}\"?",
                words.join(", "),
                nearest(text, &words)
            ));
            None
        })
    }

    /// The strings of an array, each with its place; a single string is an array of one.
    pub(super) fn texts(&self) -> Vec<(Entry<'d>, &'d str)> {
        if let Some(text) = self.value.get_ref().as_str() {
            return vec![(*self, text)];
        }
        let entries = self.array("a string or an array of strings").unwrap_or_default();
        entries.into_iter().filter_map(|entry| Some((entry, entry.text()?))).collect()
    }

    pub(super) fn is_empty_array(&self) -> bool {
        self.value.get_ref().as_array().is_some_and(|array| array.is_empty())
    }

    /// The tables of an array.
    pub(super) fn sections(&self, table: &'static Table) -> Vec<Section<'d>> {
        let entries = self.array("an array of tables").unwrap_or_default();
        entries.iter().filter_map(|entry| entry.section(table)).collect()
    }

    /// The value, if it is a table.
    pub(super) fn section(&self, table: &'static Table) -> Option<Section<'d>> {
        let Some(values) = self.value.get_ref().as_table() else {
            return self.refuse_kind("a table");
        };
        Some(Section::new(self.source, table, Some(values), self.value.span()))
    }

    /// Whether it is the number nought.
    pub(super) fn is_zero(&self) -> bool {
        self.value.get_ref().as_integer().is_some_and(|integer| integer.as_str() == "0")
    }

    /// The values of an array.
    pub(super) fn array(&self, wanted: &'static str) -> Option<Vec<Entry<'d>>> {
        let Some(array) = self.value.get_ref().as_array() else {
            return self.refuse_kind(wanted);
        };
        Some(array.iter().map(|value| Entry { value, ..*self }).collect())
    }

    fn refuse_kind<T>(&self, wanted: &'static str) -> Option<T> {
        let got = match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let (place, key) = (self.place(), self.name());
        self.source.report(ConfigError::Kind { place, key, got, wanted });
        None
    }

    fn name(&self) -> String {
        match self.table.name {
            "" => self.key.to_owned(),
            table => format!("{table}.{}", self.key),
        }
    }

    fn shown(&self) -> String {
        match self.value.get_ref() {
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(integer) => integer.to_string(),
            other => other.type_str().to_owned(),
        }
    }
}
