//! Which certificate a name leads to.

use std::collections::HashMap;

/// Names to positions: exact ones first, then wildcards of one label (RFC 9525 §6.3).
#[derive(Debug, Default)]
pub(super) struct Names {
    exact: HashMap<Box<str>, usize>,
    /// Without `*.`.
    wildcard: HashMap<Box<str>, usize>,
}

impl Names {
    /// Leads `name` to `position`, unless it leads somewhere already.
    pub fn add(&mut self, name: &str, position: usize) {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let (map, name) = match name.strip_prefix("*.") {
            Some(parent) => (&mut self.wildcard, parent),
            None => (&mut self.exact, name.as_str()),
        };
        map.entry(name.into()).or_insert(position);
    }

    /// As [`Names::find`], but a wildcard has any number of labels, as those of sites have; the one with
    /// most beneath it wins, and `*` is everybody.
    pub fn find_below(&self, name: &str) -> Option<usize> {
        if self.exact.is_empty() && self.wildcard.is_empty() {
            return None;
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(position) = self.exact.get(name.as_str()) {
            return Some(*position);
        }
        let mut rest = name.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(position) = self.wildcard.get(parent) {
                return Some(*position);
            }
            rest = parent;
        }
        self.exact.get("*").copied()
    }

    /// Where `name` leads. Names have no case; a dot at the end does not matter.
    pub fn find(&self, name: &str) -> Option<usize> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let wildcard = || {
            let (label, parent) = name.split_once('.')?;
            self.wildcard.get(parent).filter(|_| !label.is_empty())
        };
        self.exact.get(name.as_str()).or_else(wildcard).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_of_sites_reach_down() {
        let mut names = Names::default();
        assert_eq!(names.find_below("a.example.com"), None);
        for (position, name) in
            ["*.example.com", "a.example.com", "*.b.example.com"].iter().enumerate()
        {
            names.add(name, position);
        }
        for (asked, found) in [
            ("a.example.com", Some(1)),
            ("x.a.example.com", Some(0)),
            ("x.y.B.example.com.", Some(2)),
            ("example.com", None),
            ("a.test", None),
        ] {
            assert_eq!(names.find_below(asked), found, "{asked}");
        }
        names.add("*", 3);
        assert_eq!(names.find_below("a.test"), Some(3));
    }

    #[test]
    fn an_exact_name_beats_a_wildcard_and_a_wildcard_has_one_label() {
        let mut names = Names::default();
        for (position, name) in [
            "*.example.com",
            "dl.Example.com",
            "example.com",
            "*.cdn.example.com",
            "dl.example.com",
        ]
        .into_iter()
        .enumerate()
        {
            names.add(name, position);
        }
        for (asked, found) in [
            ("dl.example.com", Some(1)),
            ("DL.example.COM.", Some(1)),
            ("a.example.com", Some(0)),
            ("example.com", Some(2)),
            ("a.b.example.com", None),
            ("a.cdn.example.com", Some(3)),
            ("cdn.example.com", Some(0)),
            (".example.com", None),
            ("com", None),
            ("", None),
        ] {
            assert_eq!(names.find(asked), found, "{asked}");
        }
    }
}
