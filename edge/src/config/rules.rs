//! `[[site.rule]]` and `status_ttl`: what the operator says about storing.

use super::content::{RuleContent, rule_content};
use super::error::Place;
use super::raw::{Entry, Section};
use super::shape::{self, Rate};
use super::{keys, units};
use crate::limits;

/// One `[[site.rule]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it stands.
    pub place: Place,
    /// What it is for.
    pub matches: RuleMatch,
    /// Lifetime, ms; `None`: as without a rule.
    pub ttl_ms: Option<u64>,
    /// 1 to 99; of several rules that match, the heaviest holds, then the oldest.
    pub weight: u8,
    /// Whether it comes before what the origin says about lifetimes.
    pub overrides: bool,
    /// Whether a lifetime of the origin's own comes before `ttl_ms` all the same.
    pub origin_wins: bool,
    /// Whether `no-store`, `no-cache` and lifetimes of zero are taken for absent.
    pub ignore_no_cache: bool,
    /// Whether clients are told the lifetime the node uses.
    pub client_ttl: bool,
    /// Whether the origin is asked each time whether what is stored still holds.
    pub revalidate: bool,
    /// Whether nothing is stored.
    pub bypass: bool,
    /// Lifetimes by status.
    pub status_ttl: StatusTtl,
    /// What becomes of the content on its way.
    pub content: RuleContent,
    /// How fast answers leave; none: as the site says.
    pub rate: Rate,
}

/// Which paths a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleMatch {
    /// Everything below a directory: `/image`, without a slash at its end; empty for everything.
    Directory(String),
    /// Paths that end so: lower-case, with the dot.
    Suffixes(Vec<String>),
}

/// `status_ttl`: lifetimes by status, ms; 0 is "not stored".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusTtl {
    exact: Vec<(u16, u64)>,
    classes: [Option<u64>; 6],
}

impl StatusTtl {
    /// What is said about `status`; an exact one beats its class.
    pub fn ttl_ms(&self, status: u16) -> Option<u64> {
        let exact = self.exact.iter().find(|(one, _)| *one == status).map(|(_, ttl_ms)| *ttl_ms);
        exact.or_else(|| *self.classes.get(usize::from(status / 100))?)
    }
}

/// The rules of a site, as they stand.
pub(super) fn rules(site: &Section<'_>) -> Vec<Rule> {
    let sections = site.sections("rule", &keys::RULE);
    if let Some(entry) = site.entry("rule")
        && sections.len() > limits::RULES_MAX
    {
        entry.refuse(format!(
            "{} rules are too many; at most {}",
            sections.len(),
            limits::RULES_MAX
        ));
    }
    sections.iter().filter_map(rule).collect()
}

fn rule(section: &Section<'_>) -> Option<Rule> {
    let flag = |key| section.entry(key).and_then(|entry| entry.flag()).unwrap_or(false);
    let ttl = section.entry("ttl").and_then(|entry| entry.duration_ms(1_000..=limits::TTL_MAX_MS));
    let weight = section.entry("weight").and_then(|entry| entry.integer(1..=99));
    let rule = Rule {
        place: section.place(),
        matches: matches(section)?,
        ttl_ms: ttl,
        weight: weight.map_or(1, |weight| weight as u8),
        overrides: flag("override"),
        origin_wins: flag("origin_wins"),
        ignore_no_cache: flag("ignore_no_cache"),
        client_ttl: flag("client_ttl"),
        revalidate: flag("revalidate"),
        bypass: flag("bypass"),
        status_ttl: section.entry("status_ttl").map(status_ttl).unwrap_or_default(),
        content: rule_content(section),
        rate: shape::rate(section),
    };
    if rule.bypass && (section.entry("ttl").is_some() || rule.revalidate || rule.overrides) {
        let entry = section.entry("bypass")?;
        entry.refuse(
            "stores nothing, so ttl, revalidate and override mean nothing; remove one side",
        );
    }
    Some(rule)
}

fn matches(section: &Section<'_>) -> Option<RuleMatch> {
    match (section.entry("path"), section.entry("suffixes")) {
        (Some(_), Some(suffixes)) => {
            suffixes.refuse("stands beside path; a rule is for one of them, make two rules");
            None
        }
        (Some(path), None) => directory(path).map(RuleMatch::Directory),
        (None, Some(entry)) => {
            let texts = entry.texts();
            if entry.is_empty_array() {
                entry.refuse("names no suffix; write [\".jpg\", \".png\"]");
            }
            let found: Vec<String> =
                texts.into_iter().filter_map(|(entry, text)| suffix(entry, text)).collect();
            (!found.is_empty()).then_some(RuleMatch::Suffixes(found))
        }
        (None, None) => {
            section.missing("path", "write path = \"/image/\" or suffixes = [\".jpg\", \".png\"]");
            None
        }
    }
}

fn directory(entry: Entry<'_>) -> Option<String> {
    let text = entry.text()?;
    let fits = text.starts_with('/')
        && text.len() <= limits::RULE_PATH_MAX_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#*".contains(&byte));
    if !fits {
        entry.refuse(format!("{text:?} is not a directory; write it as \"/image/\""));
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

fn suffix(entry: Entry<'_>, text: &str) -> Option<String> {
    let bare = text.strip_prefix('*').unwrap_or(text);
    let bare = bare.strip_prefix('.').unwrap_or(bare);
    let fits = !bare.is_empty()
        && bare.len() < limits::RULE_SUFFIX_MAX_BYTES
        && bare.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#*/%".contains(&byte));
    if !fits {
        entry.refuse(format!("{text:?} is not a suffix; write it as \".jpg\""));
    }
    fits.then(|| format!(".{}", bare.to_ascii_lowercase()))
}

/// `"403=10, 404=15, 4xx=2"`, in seconds, or a table: `{ 403 = 10, 404 = "15s", 4xx = 2 }`.
pub(super) fn status_ttl(entry: Entry<'_>) -> StatusTtl {
    let mut ttl = StatusTtl::default();
    if let Some(pairs) = entry.pairs() {
        for (status, value) in pairs {
            let ms = value.seconds_ms(0..=limits::TTL_MAX_MS);
            ms.into_iter().for_each(|ms| ttl.set(value, status, ms));
        }
        return ttl;
    }
    let Some(text) = entry.text() else { return ttl };
    for item in text.split(',').map(str::trim) {
        let (status, value) = item.split_once('=').unwrap_or((item, ""));
        let value = value.trim();
        let seconds = value.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1000));
        match seconds.or_else(|| units::duration_ms(value)) {
            Some(ms) if ms <= limits::TTL_MAX_MS => ttl.set(entry, status.trim(), ms),
            _ => entry.refuse(format!(
                "{item:?} is not a status and its seconds; write it as \"404=15\", at most 99999999"
            )),
        }
    }
    ttl
}

impl StatusTtl {
    fn set(&mut self, entry: Entry<'_>, status: &str, ttl_ms: u64) {
        let class = status.strip_suffix("xx").and_then(|class| class.parse::<usize>().ok());
        match (status.parse::<u16>(), class) {
            // RFC 9110 §15.4.4, §15.4.5, §15.5.2, §15.5.8: these answer one request only.
            (Ok(303 | 304 | 401 | 407), _) => {
                entry.refuse(format!("status {status} is never stored; remove it"));
            }
            (Ok(status @ 200..=599), _) if self.exact.len() < limits::STATUS_TTLS_MAX => {
                self.exact.push((status, ttl_ms));
            }
            (_, Some(class @ 2..=5)) => self.classes[class] = Some(ttl_ms),
            _ => entry.refuse(format!(
                "{status:?} is not a status; write \"404\" or, for all of them, \"4xx\""
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Site};
    use super::*;

    fn parsed(keys: &str) -> Result<Site, String> {
        let text = format!("[[site]]\nhosts = \"a\"\norigin = \"file:///srv\"\n{keys}");
        Config::parse(&text, "e.toml")
            .map(|mut config| config.sites.remove(0))
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_rule_says_all_it_can() {
        let site = parsed(
            "status_ttl = \"403=10, 404=15, 4xx=2, 5xx=1m\"\n[[site.rule]]\npath = \"/image/\"\n\
             ttl = \"30d\"\nweight = 99\noverride = true\nclient_ttl = true\n\
             status_ttl = { 404 = 7, 4xx = \"1m\" }\n[[site.rule]]\nsuffixes = [\"JPG\", \"*.tar.gz\"]\n",
        )
        .unwrap();
        let [image, suffixes] = &site.rules[..] else { panic!("{:?}", site.rules) };
        assert_eq!(image.matches, RuleMatch::Directory("/image".into()));
        assert_eq!((image.ttl_ms, image.weight), (Some(2_592_000_000), 99));
        assert!(image.overrides && image.client_ttl && !image.origin_wins && !image.bypass);
        assert_eq!(image.place.line, 5);
        assert_eq!(image.status_ttl.ttl_ms(404), Some(7_000));
        assert_eq!(image.status_ttl.ttl_ms(403), Some(60_000));
        assert_eq!(suffixes.matches, RuleMatch::Suffixes(vec![".jpg".into(), ".tar.gz".into()]));
        assert_eq!((suffixes.ttl_ms, suffixes.weight), (None, 1));
        let of = |status| site.status_ttl.ttl_ms(status);
        assert_eq!([of(403), of(404), of(400)], [Some(10_000), Some(15_000), Some(2_000)]);
        assert_eq!([of(500), of(200), of(700)], [Some(60_000), None, None]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (keys, message) in [
            (
                "[[site.rule]]\nttl = \"1s\"",
                "4: site.rule.path is missing; write path = \"/image/\" or suffixes = [\".jpg\", \".png\"]",
            ),
            (
                "[[site.rule]]\npath = \"image\"",
                "5: site.rule.path: \"image\" is not a directory; write it as \"/image/\"",
            ),
            (
                "[[site.rule]]\npath = \"/\"\nsuffixes = [\"a\"]",
                "6: site.rule.suffixes: stands beside path; a rule is for one of them, make two rules",
            ),
            (
                "[[site.rule]]\nsuffixes = [\"a/b\"]",
                "5: site.rule.suffixes: \"a/b\" is not a suffix; write it as \".jpg\"",
            ),
            (
                "[[site.rule]]\npath = \"/\"\nttl = \"100000000s\"",
                "6: site.rule.ttl: \"100000000s\" is out of range; take 1s to 99999999s",
            ),
            (
                "[[site.rule]]\npath = \"/\"\nweight = 100",
                "6: site.rule.weight: 100 is out of range; take 1 to 99",
            ),
            (
                "[[site.rule]]\npath = \"/\"\nwieght = 1",
                "6: unknown key \"wieght\" in [[site.rule]]; did you mean \"weight\"?",
            ),
            (
                "[[site.rule]]\npath = \"/\"\nbypass = true\nttl = \"1s\"",
                "6: site.rule.bypass: stores nothing, so ttl, revalidate and override mean nothing; remove one side",
            ),
            ("status_ttl = \"304=1\"", "4: site.status_ttl: status 304 is never stored; remove it"),
            (
                "status_ttl = \"404\"",
                "4: site.status_ttl: \"404\" is not a status and its seconds; write it as \"404=15\", at most 99999999",
            ),
            (
                "status_ttl = { 6xx = 1 }",
                "4: site.status_ttl: \"6xx\" is not a status; write \"404\" or, for all of them, \"4xx\"",
            ),
        ] {
            assert_eq!(parsed(keys).unwrap_err(), format!("e.toml:{message}"), "{keys}");
        }
    }
}
