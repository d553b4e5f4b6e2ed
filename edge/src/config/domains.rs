//! `[domains]`, and the file of sites that are added and removed while the node runs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::raw::{Entry, Section};
use super::resolved::{Config, Site};
use super::{ConfigErrors, Place, keys, resolve};
use crate::limits;

/// Domains a node takes unless it is told otherwise.
const MAX_DEFAULT: usize = 50;
/// What the file begins with.
const HEADER: &str = "# Kept by the node: `edge domain add` and `edge domain rm` change it.\n\n";

/// `[domains]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domains {
    /// Where sites added at run time are kept; `None` without a configuration file.
    pub file: Option<PathBuf>,
    /// Most host names at which a further one may be added; 0 is any number.
    pub max: usize,
    /// What hosts get that no site has.
    pub unknown: UnknownHost,
}

/// `domains.unknown_host`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownHost {
    /// 421 (RFC 9110 §15.5.20).
    Misdirected,
    /// The connection is closed without an answer.
    Close,
    /// The site of this name answers.
    Site(String),
}

/// Why a domain was not added or removed. `code` is for programs.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// Some site has it.
    #[error("{name} exists already, at {place}; remove it first")]
    Exists {
        /// The domain.
        name: String,
        /// Where.
        place: Place,
    },
    /// There are as many as may be.
    #[error("{count} domains are there and at most {max} may be; remove one, or raise domains.max")]
    Quota {
        /// Domains there are.
        count: usize,
        /// `domains.max`
        max: usize,
    },
    /// It makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// No site has it.
    #[error("{name} is not a domain of this node; `edge domain ls` lists them")]
    Unknown {
        /// The domain.
        name: String,
    },
    /// It stands in the operator's own file.
    #[error("{name} stands in {place}; remove it there, and reload")]
    Fixed {
        /// The domain.
        name: String,
        /// Where.
        place: Place,
    },
}

impl DomainError {
    /// Stable name.
    pub fn code(&self) -> &'static str {
        match self {
            DomainError::Exists { .. } => "DomainAlreadyExist",
            DomainError::Quota { .. } => "QuotaExceeded.Domain",
            DomainError::Invalid(_) => "InvalidParameter",
            DomainError::Unknown { .. } => "DomainNotFound",
            DomainError::Fixed { .. } => "DomainIsConfigured",
        }
    }
}

impl Config {
    /// The configuration with one more domain, and the file's new text. `text` is the file as it is;
    /// `order` is an object: `name`, and the keys of a `[[site]]` but `hosts`. Touches no disk.
    ///
    /// # Errors
    /// It is there already, there are too many, or it makes no sense.
    pub fn add_domain(&self, text: &str, order: &Value) -> Result<(Config, String), DomainError> {
        let invalid = |text: &str| DomainError::Invalid(text.to_owned());
        let members = order.as_object().ok_or(invalid("a domain is an object with a name"))?;
        let name = members.get("name").and_then(Value::as_str);
        let name = name.ok_or(invalid("name is missing; such as \"dl.example.com\""))?;
        if let Some(ascii) = super::check::ascii_host(name)
            && let Some(site) = self.site_of(&ascii)
        {
            return Err(DomainError::Exists { name: ascii, place: site.stated.place.clone() });
        }
        let count = self.domain_count();
        if self.domains.max != 0 && count >= self.domains.max {
            return Err(DomainError::Quota { count, max: self.domains.max });
        }
        let mut site = toml::Table::new();
        site.insert("hosts".to_owned(), toml::Value::Array(vec![name.into()]));
        for (key, value) in members.iter().filter(|(key, _)| *key != "name") {
            if key == "hosts" {
                return Err(invalid("hosts is made from name; add one domain at a time"));
            }
            let value = toml::Value::try_from(value)
                .map_err(|error| DomainError::Invalid(format!("{key}: {error}")))?;
            site.insert(key.clone(), value);
        }
        let mut sites = read(text)?;
        sites.push(toml::Value::Table(site));
        self.with_sites(sites)
    }

    /// The configuration without the domain `name`, and the file's new text.
    ///
    /// # Errors
    /// No site has it, or it stands in the operator's file.
    pub fn remove_domain(&self, text: &str, name: &str) -> Result<(Config, String), DomainError> {
        let ascii = super::check::ascii_host(name).unwrap_or_else(|| name.to_owned());
        let site = self.site_of(&ascii).ok_or(DomainError::Unknown { name: ascii.clone() })?;
        if !site.is_managed {
            return Err(DomainError::Fixed { name: ascii, place: site.stated.place.clone() });
        }
        let mut sites = read(text)?;
        for site in &mut sites {
            let Some(hosts) = site.get_mut("hosts").and_then(toml::Value::as_array_mut) else {
                continue;
            };
            hosts.retain(|host| {
                host.as_str().and_then(super::check::ascii_host).as_ref() != Some(&ascii)
            });
        }
        let has_hosts = |site: &toml::Value| {
            site.get("hosts").and_then(toml::Value::as_array).is_none_or(|all| !all.is_empty())
        };
        sites.retain(has_hosts);
        self.with_sites(sites)
    }

    /// The configuration with the sites of the domains file `name`, whose text is `text`, in the place
    /// of those it had from it.
    ///
    /// # Errors
    /// All that is wrong with the file.
    pub fn with_domains(&self, text: &str, name: &str) -> Result<Config, ConfigErrors> {
        let mut config = self.clone();
        config.sites.retain(|site| !site.is_managed);
        let directory = Path::new(name).parent().unwrap_or(Path::new(""));
        let mut more = super::parsed(text, name, &keys::DOMAINS_FILE, |root| {
            super::sites::more(root, directory, &config)
        })?;
        let mut errors = super::sign::read_keys(more.iter_mut());
        errors.extend(super::pages::load(more.iter_mut()));
        if !errors.is_empty() {
            return Err(ConfigErrors::new(errors));
        }
        config.sites.extend(more);
        Ok(config)
    }

    /// Host names of all sites, but `*`.
    pub fn domain_count(&self) -> usize {
        self.sites.iter().flat_map(|site| &site.hosts).filter(|host| *host != "*").count()
    }

    fn site_of(&self, host: &str) -> Option<&Site> {
        self.sites.iter().find(|site| site.hosts.iter().any(|own| own == host))
    }

    fn with_sites(&self, sites: Vec<toml::Value>) -> Result<(Config, String), DomainError> {
        let mut file = toml::Table::new();
        if !sites.is_empty() {
            file.insert("site".to_owned(), toml::Value::Array(sites));
        }
        let text = toml::to_string(&file).map_err(|e| DomainError::Invalid(e.to_string()))?;
        let text = format!("{HEADER}{text}");
        let name = self.domains.file.as_deref().unwrap_or(Path::new("domains"));
        let config = self.with_domains(&text, &name.to_string_lossy());
        let config = config.map_err(|errors| DomainError::Invalid(errors.to_string()))?;
        Ok((config, text))
    }
}

/// The tables of a domains file.
fn read(text: &str) -> Result<Vec<toml::Value>, DomainError> {
    let mut file: toml::Table =
        toml::from_str(text).map_err(|error| DomainError::Invalid(error.to_string()))?;
    match file.remove("site") {
        Some(toml::Value::Array(sites)) => Ok(sites),
        _ => Ok(Vec::new()),
    }
}

/// `[domains]` of the file `name`.
pub(super) fn domains(section: &Section<'_>, directory: &Path, name: &str) -> Domains {
    let file = section.entry("file").and_then(|entry| resolve::path(entry, directory));
    let beside = (!name.is_empty()).then(|| Path::new(name).with_extension("domains.toml"));
    let max = section.entry("max");
    let max = max.and_then(|entry| entry.integer(0..=limits::SITES_MAX as u64));
    Domains {
        file: file.or(beside),
        max: max.map_or(MAX_DEFAULT, |max| max as usize),
        unknown: match section.entry("unknown_host") {
            None => UnknownHost::Misdirected,
            Some(entry) if entry.is_word("421") => UnknownHost::Misdirected,
            Some(entry) if entry.is_word("close") => UnknownHost::Close,
            Some(entry) => entry
                .text()
                .map_or(UnknownHost::Misdirected, |name| UnknownHost::Site(name.to_owned())),
        },
    }
}

/// A site that answers for unknown hosts must be there.
pub(super) fn refuse_absent(section: &Section<'_>, domains: &Domains, sites: &[Site]) {
    let entry: Option<Entry<'_>> = section.entry("unknown_host");
    if let (Some(entry), UnknownHost::Site(name)) = (entry, &domains.unknown)
        && !sites.iter().any(|site| site.name == *name)
    {
        entry.refuse(format!(
            "{name:?} is not \"421\", \"close\" or the first host of a [[site]]; write one of them"
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(more: &str) -> Config {
        let text = format!(
            "{more}\n[[listen]]\naddr = \"127.0.0.1:80\"\n[[site]]\nhosts = [\"a.test\", \"*\"]\n\
             origin = \"file:///srv\"\n"
        );
        Config::parse(&text, "/etc/edge/e.toml").unwrap()
    }

    fn origin(name: &str) -> Value {
        json!({ "name": name, "origin": ["http://10.0.0.2"] })
    }

    fn code(result: Result<(Config, String), DomainError>) -> &'static str {
        result.map_or_else(|error| error.code(), |_| "done")
    }

    #[test]
    fn a_domain_comes_and_goes() {
        let before = config("");
        assert_eq!(before.domains.file.as_deref(), Some(Path::new("/etc/edge/e.domains.toml")));
        let order = json!({
            "name": "b.test", "origin": "http://10.0.0.2:81", "preset": "video", "retries": 3,
        });
        let (one, text) = before.add_domain("", &order).unwrap();
        let (two, text) = one.add_domain(&text, &origin("*.c.test")).unwrap();
        let hosts: Vec<_> = two.sites.iter().map(|site| site.name.as_str()).collect();
        assert_eq!(hosts, ["a.test", "b.test", "*.c.test"]);
        assert!(two.sites[1].is_managed && !two.sites[0].is_managed);
        assert_eq!(two.sites[1].preset, super::super::Preset::Video);
        // What is on the disk is what a start reads.
        assert_eq!(before.with_domains(&text, "/etc/edge/e.domains.toml").unwrap(), two);
        let (three, text) = two.remove_domain(&text, "b.test").unwrap();
        let (none, text) = three.remove_domain(&text, "*.c.test").unwrap();
        assert_eq!(none, before);
        assert_eq!(text, HEADER);
    }

    #[test]
    fn names_are_kept_as_punycode() {
        let (one, text) = config("").add_domain("", &origin("Bücher.Example")).unwrap();
        assert_eq!(one.sites[1].name, "xn--bcher-kva.example");
        assert_eq!(
            code(one.add_domain(&text, &origin("xn--bcher-kva.example"))),
            "DomainAlreadyExist"
        );
        assert_eq!(code(one.remove_domain(&text, "bücher.example")), "done");
    }

    #[test]
    fn refusals_have_codes() {
        let config = config("[domains]\nmax = 2");
        let (full, text) = config.add_domain("", &origin("b.test")).unwrap();
        let long = format!("{}.{}", "a".repeat(60), "b".repeat(8));
        for (result, expected) in [
            (full.add_domain(&text, &origin("c.test")), "QuotaExceeded.Domain"),
            (full.add_domain(&text, &origin("b.test")), "DomainAlreadyExist"),
            (full.add_domain(&text, &origin("a.test")), "DomainAlreadyExist"),
            (config.add_domain("", &origin(&long)), "InvalidParameter"),
            (config.add_domain("", &origin("")), "InvalidParameter"),
            (config.add_domain("", &origin("a..b")), "InvalidParameter"),
            (config.add_domain("", &json!({ "name": "b.test" })), "InvalidParameter"),
            (config.add_domain("", &json!({ "name": "b", "orgin": "x" })), "InvalidParameter"),
            (config.add_domain("", &json!({ "name": "b", "origin": null })), "InvalidParameter"),
            (config.add_domain("", &json!({ "name": "b", "hosts": [] })), "InvalidParameter"),
            (config.add_domain("", &json!([])), "InvalidParameter"),
            (
                config.add_domain("", &json!({ "name": "b", "origin": "http://127.0.0.1:80" })),
                "InvalidParameter",
            ),
            (config.add_domain("rubbish", &origin("b.test")), "InvalidParameter"),
            (full.remove_domain(&text, "a.test"), "DomainIsConfigured"),
            (full.remove_domain(&text, "d.test"), "DomainNotFound"),
        ] {
            assert_eq!(code(result), expected);
        }
        let unlimited = Config { domains: Domains { max: 0, ..full.domains.clone() }, ..full };
        assert_eq!(code(unlimited.add_domain(&text, &origin("c.test"))), "done");
    }

    #[test]
    fn unknown_hosts() {
        assert_eq!(config("").domains.unknown, UnknownHost::Misdirected);
        assert_eq!(
            config("[domains]\nunknown_host = \"close\"").domains.unknown,
            UnknownHost::Close
        );
        let site = UnknownHost::Site("a.test".into());
        assert_eq!(config("[domains]\nunknown_host = \"a.test\"").domains.unknown, site);
    }
}
