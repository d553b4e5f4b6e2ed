//! Cache rules, compiled: what a path costs hangs on the path, not on how many rules there are.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::config::{Rule, RuleMatch};
use crate::limits::RULE_SUFFIX_MAX_BYTES;

/// The rules of one site, found by path.
#[derive(Debug, Default)]
pub struct Rules {
    all: Vec<Rule>,
    directories: HashMap<Box<str>, Rank>,
    suffixes: HashMap<Box<str>, Rank>,
    /// Bytes of the longest directory there is a rule for.
    deepest: usize,
}

/// Weight, then age: the larger holds.
type Rank = (u8, Reverse<usize>);

impl Rules {
    /// Compiles the rules of a site.
    pub fn new(all: &[Rule]) -> Rules {
        let mut rules = Rules { all: all.to_vec(), ..Rules::default() };
        for (number, rule) in all.iter().enumerate() {
            let rank = (rule.weight, Reverse(number));
            match &rule.matches {
                RuleMatch::Directory(path) => {
                    rules.deepest = rules.deepest.max(path.len());
                    raise(&mut rules.directories, path, rank);
                }
                RuleMatch::Suffixes(suffixes) => {
                    suffixes.iter().for_each(|suffix| raise(&mut rules.suffixes, suffix, rank));
                }
            }
        }
        rules
    }

    /// The one rule that holds for `path` (as sent, without query): the heaviest, then the oldest.
    /// Allocates nothing.
    pub fn find(&self, path: &str) -> Option<&Rule> {
        self.all.get(self.position(path)?)
    }

    /// Its number.
    pub fn position(&self, path: &str) -> Option<usize> {
        if self.all.is_empty() {
            return None;
        }
        let (_, Reverse(number)) = self.by_directory(path).max(self.by_suffix(path))?;
        Some(number)
    }

    /// The rule of that number.
    pub fn at(&self, number: usize) -> Option<&Rule> {
        self.all.get(number)
    }

    /// Looks `/a/b/c` up as ``, `/a`, `/a/b`, `/a/b/c`.
    fn by_directory(&self, path: &str) -> Option<Rank> {
        if self.directories.is_empty() {
            return None;
        }
        let reach = &path.as_bytes()[..path.len().min(self.deepest + 1)];
        let ends = memchr::memchr_iter(b'/', reach).chain(Some(path.len()));
        let directories = ends.filter(|end| *end <= self.deepest).filter_map(|end| path.get(..end));
        directories.filter_map(|directory| self.directories.get(directory).copied()).max()
    }

    /// Looks `x.tar.gz` up as `.tar.gz` and `.gz`, whatever their case.
    fn by_suffix(&self, path: &str) -> Option<Rank> {
        if self.suffixes.is_empty() {
            return None;
        }
        let name = path.rsplit('/').next().unwrap_or(path).as_bytes();
        let tail = &name[name.len().saturating_sub(RULE_SUFFIX_MAX_BYTES)..];
        let mut lower = [0; RULE_SUFFIX_MAX_BYTES];
        let lower = &mut lower[..tail.len()];
        lower.copy_from_slice(tail);
        lower.make_ascii_lowercase();
        let suffixes = memchr::memchr_iter(b'.', lower)
            .filter_map(|dot| std::str::from_utf8(&lower[dot..]).ok());
        suffixes.filter_map(|suffix| self.suffixes.get(suffix).copied()).max()
    }
}

fn raise(ranks: &mut HashMap<Box<str>, Rank>, name: &str, rank: Rank) {
    let held = ranks.entry(name.into()).or_insert(rank);
    *held = rank.max(*held);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;

    fn rules(text: &str) -> Rules {
        let text = format!("[[site]]\nhosts = \"a\"\norigin = \"file:///srv\"\n{text}");
        Rules::new(&Config::parse(&text, "e.toml").unwrap().sites[0].rules)
    }

    /// The lifetime of the rule that holds, in seconds.
    fn ttl_s(rules: &Rules, path: &str) -> Option<u64> {
        rules.find(path)?.ttl_ms.map(|ttl_ms| ttl_ms / 1000)
    }

    #[test]
    fn directories_and_suffixes() {
        let rules = rules(
            "[[site.rule]]\npath = \"/image/\"\nttl = \"1s\"\n\
             [[site.rule]]\npath = \"/image/raw\"\nttl = \"2s\"\nweight = 2\n\
             [[site.rule]]\nsuffixes = [\".gz\", \"JPG\"]\nttl = \"3s\"\n\
             [[site.rule]]\nsuffixes = [\".tar.gz\"]\nttl = \"4s\"\nweight = 9\n",
        );
        for (path, expected) in [
            ("/image/a.png", Some(1)),
            ("/image", Some(1)),
            ("/image/", Some(1)),
            ("/imagery/a.png", None),
            ("/Image/a.png", None),
            ("/image/raw/x", Some(2)),
            ("/image/rawer/x", Some(1)),
            ("/x.gz", Some(3)),
            ("/x.JpG", Some(3)),
            ("/x.tar.gz", Some(4)),
            ("/.gz", Some(3)),
            ("/gz", None),
            ("/x.gz/y", None),
            ("/a/image/x", None),
            ("/image/x.jpg", Some(1)),
            ("/image/raw/x.tar.gz", Some(4)),
            ("", None),
        ] {
            assert_eq!(ttl_s(&rules, path), expected, "{path}");
        }
    }

    #[test]
    fn the_heaviest_holds_then_the_oldest() {
        let rules = rules(
            "[[site.rule]]\npath = \"/\"\nttl = \"1s\"\nweight = 5\n\
             [[site.rule]]\npath = \"/a\"\nttl = \"2s\"\nweight = 5\n\
             [[site.rule]]\npath = \"/a\"\nttl = \"3s\"\nweight = 99\n\
             [[site.rule]]\npath = \"/a\"\nttl = \"4s\"\nweight = 99\n",
        );
        assert_eq!(ttl_s(&rules, "/b"), Some(1));
        assert_eq!(ttl_s(&rules, "/a/b"), Some(3));
    }

    /// As the words say it: every rule looked at.
    fn naive<'r>(rules: &'r Rules, path: &str) -> Option<&'r Rule> {
        let holds = |rule: &&Rule| match &rule.matches {
            RuleMatch::Directory(directory) => path
                .strip_prefix(directory.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            RuleMatch::Suffixes(suffixes) => suffixes.iter().any(|suffix| {
                path.rsplit('/').next().unwrap().to_ascii_lowercase().ends_with(suffix.as_str())
            }),
        };
        rules.all.iter().filter(holds).reduce(
            |best, rule| {
                if rule.weight > best.weight { rule } else { best }
            },
        )
    }

    proptest! {
        #[test]
        fn one_by_one_finds_the_same(
            wanted in prop::collection::vec(("(/[ab]{1,2}){0,3}/?|\\.[ab]|\\.a\\.b", 1u8..4), 0..12),
            path in "(/[ab.]{0,3}){1,5}",
        ) {
            let lines: String = wanted
                .iter()
                .filter(|(what, _)| !what.is_empty())
                .map(|(what, weight)| match what.starts_with('/') {
                    true => format!("[[site.rule]]\npath = \"{what}\"\nweight = {weight}\n"),
                    false => format!("[[site.rule]]\nsuffixes = [\"{what}\"]\nweight = {weight}\n"),
                })
                .collect();
            let rules = rules(&lines);
            let place = |rule: Option<&Rule>| rule.map(|rule| rule.place.line);
            prop_assert_eq!(place(rules.find(&path)), place(naive(&rules, &path)), "{} {}", path, lines);
        }
    }
}
