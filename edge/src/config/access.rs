//! `[site.access]`: who is let in.

use std::net::IpAddr;

use super::error::Place;
use super::raw::{Entry, Section};
use super::{check, countries, keys};
use crate::limits;

/// `[site.access]`. What a deny list names is turned away; where there is an allow list, what it does not
/// name is, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Where it stands.
    pub place: Place,
    /// Hosts of the `Referer` that are let in, and those that are not: a name, `*.name` for what is
    /// below it, `.name` for both, or any pattern with `*`. Lower-case.
    pub referers: Lists<String>,
    /// Whether a request without `Referer` is let in.
    pub empty_referer: bool,
    /// Prefixes of addresses. Of several that hold an address the longest decides.
    pub addresses: Lists<Prefix>,
    /// Patterns of the `User-Agent`, lower-case; `*` is anything.
    pub agents: Lists<String>,
    /// Countries of addresses, ISO 3166-1 alpha-2.
    pub countries: Lists<[u8; 2]>,
}

/// What is let in, and what is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lists<T> {
    /// Nothing in it: everything.
    pub allow: Vec<T>,
    /// See [`Access`].
    pub deny: Vec<T>,
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The first of them.
    pub network: IpAddr,
    /// Bits that are alike.
    pub bits: u8,
}

impl<T> Lists<T> {
    /// Whether nothing is in either.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

impl Prefix {
    pub(super) fn read(entry: Entry<'_>, text: &str) -> Option<Prefix> {
        let text = check::prefix(entry, text)?;
        let (network, bits) = text.split_once('/')?;
        Some(Prefix { network: network.parse().ok()?, bits: bits.parse().ok()? })
    }
}

/// The prefixes of `entry`.
pub(super) fn prefixes(entry: Entry<'_>) -> Vec<Prefix> {
    let texts = entry.texts();
    refuse_many(entry, texts.len(), limits::ACCESS_PREFIXES_MAX);
    texts.into_iter().filter_map(|(entry, text)| Prefix::read(entry, text)).collect()
}

/// The site's `[site.access]`, if it has one. `has_geo`: there is a file that knows countries.
pub(super) fn access(site: &Section<'_>, has_geo: bool) -> Option<Access> {
    site.entry("access")?;
    let section = site.section("access", &keys::ACCESS);
    let addresses = Lists {
        allow: section.entry("allow_addresses").map(prefixes).unwrap_or_default(),
        deny: section.entry("deny_addresses").map(prefixes).unwrap_or_default(),
    };
    if let (Some(both), Some(entry)) = (
        addresses.allow.iter().find(|prefix| addresses.deny.contains(prefix)),
        section.entry("deny_addresses"),
    ) {
        entry.refuse(format!("{}/{} is allowed, too; remove one", both.network, both.bits));
    }
    let countries =
        lists(&section, ["allow_countries", "deny_countries"], limits::ACCESS_NAMES_MAX, country);
    for key in ["allow_countries", "deny_countries"] {
        if let (Some(entry), false) = (section.entry(key), has_geo) {
            entry.refuse("nothing knows countries; name an MMDB file as geo.file");
        }
    }
    Some(Access {
        place: section.place(),
        referers: lists(
            &section,
            ["allow_referers", "deny_referers"],
            limits::ACCESS_NAMES_MAX,
            referer,
        ),
        empty_referer: section
            .entry("empty_referer")
            .and_then(|entry| entry.flag())
            .unwrap_or(true),
        addresses,
        agents: lists(
            &section,
            ["allow_agents", "deny_agents"],
            limits::ACCESS_PATTERNS_MAX,
            agent,
        ),
        countries,
    })
}

fn lists<T>(
    section: &Section<'_>,
    [allow, deny]: [&'static str; 2],
    max: usize,
    read: impl Fn(Entry<'_>, &str) -> Option<T>,
) -> Lists<T> {
    let list = |key| {
        let Some(entry) = section.entry(key) else { return Vec::new() };
        let texts = entry.texts();
        refuse_many(entry, texts.len(), max);
        texts.into_iter().filter_map(|(entry, text)| read(entry, text)).collect()
    };
    // An allow list without entries would be none at all: nobody means that.
    if let Some(entry) = section.entry(allow).filter(Entry::is_empty_array) {
        entry.refuse("names nothing, and so would let everything in; remove it");
    }
    Lists { allow: list(allow), deny: list(deny) }
}

fn refuse_many(entry: Entry<'_>, count: usize, max: usize) {
    if count > max {
        entry.refuse(format!("has {count} entries; at most {max}"));
    }
}

fn referer(entry: Entry<'_>, text: &str) -> Option<String> {
    let text = text.to_lowercase();
    let fits = !text.is_empty()
        && text.len() <= limits::ACCESS_TEXT_MAX_BYTES
        && (text.starts_with('[')
            || text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._*".contains(&b)));
    if !fits {
        let cure = "write the host alone: \"example.com\", \"*.example.com\" or \".example.com\"";
        entry.refuse(format!("{text:?} is not a host; {cure}"));
    }
    fits.then_some(text)
}

fn agent(entry: Entry<'_>, text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= limits::ACCESS_TEXT_MAX_BYTES;
    if !fits {
        let max = limits::ACCESS_TEXT_MAX_BYTES;
        entry.refuse(format!("a pattern has 1 to {max} characters; write it as \"*wget*\""));
    }
    fits.then(|| text.to_ascii_lowercase())
}

fn country(entry: Entry<'_>, text: &str) -> Option<[u8; 2]> {
    let code = countries::code(text);
    if code.is_none() {
        entry.refuse(format!(
            "{text:?} is not a country; write its two letters of ISO 3166, such as \"DE\""
        ));
    }
    code
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn parsed(keys: &str) -> Result<Access, String> {
        let geo = if keys.contains("geo") { "[geo]\nfile = \"g.mmdb\"\n" } else { "" };
        let keys = keys.replace("geo;", "");
        let text =
            format!("{geo}[[site]]\nhosts = \"a\"\norigin = \"file:///s\"\n[site.access]\n{keys}");
        let config = Config::parse(&text, "e.toml").map_err(|errors| errors.to_string())?;
        Ok(config.sites[0].access.clone().unwrap())
    }

    #[test]
    fn lists_are_read() {
        let access = parsed(
            "geo;allow_referers = [\"Example.com\", \"*.example.com\"]\nempty_referer = false\n\
             deny_addresses = [\"192.0.2.0/24\", \"2001:db8::/32\", \"198.51.100.7\"]\n\
             deny_agents = [\"*Wget*\"]\nallow_countries = [\"DE\", \"cn\"]",
        )
        .unwrap();
        assert_eq!(access.referers.allow, ["example.com", "*.example.com"]);
        assert!(!access.empty_referer);
        let bits: Vec<u8> = access.addresses.deny.iter().map(|prefix| prefix.bits).collect();
        assert_eq!(bits, [24, 32, 32]);
        assert_eq!(
            (access.agents.deny, access.countries.allow),
            (vec!["*wget*".into()], vec![*b"DE", *b"CN"])
        );
    }

    #[test]
    fn mistakes() {
        for (keys, message) in [
            ("allow_referers = [\"http://a.test/\"]", "write the host alone"),
            ("allow_referers = []", "names nothing"),
            ("deny_addresses = [\"192.0.2.1/24\"]", "write \"192.0.2.0/24\""),
            ("deny_addresses = [\"a.test\"]", "is not a prefix"),
            (
                "deny_addresses = [\"192.0.2.0/24\"]\nallow_addresses = [\"192.0.2.0/24\"]",
                "192.0.2.0/24 is allowed, too",
            ),
            ("deny_agents = [\"\"]", "write it as \"*wget*\""),
            ("geo;deny_countries = [\"UK\"]", "\"UK\" is not a country"),
            ("geo;deny_countries = [\"Germany\"]", "ISO 3166"),
            ("deny_countries = [\"DE\"]", "geo.file"),
            ("allow_referer = [\"a.test\"]", "did you mean \"allow_referers\""),
        ] {
            let said = parsed(keys).unwrap_err();
            assert!(said.contains(message) && said.lines().count() == 1, "{keys}: {said}");
        }
    }
}
