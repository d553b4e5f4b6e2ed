//! One TOML file in, one [`Config`] out: raw → resolved, with nothing left that means "default".
//!
//! A file is read whole and everything that is wrong with it is told at once, one line each:
//!
//! ```
//! let wrong = "[cache]\nvolums = []\n[[site]]\nhosts = \"*\"\norigin = \"file:///srv\"";
//! let errors = edge::config::Config::parse(wrong, "edge.toml").unwrap_err();
//! assert_eq!(
//!     errors.to_string(),
//!     "edge.toml:2: unknown key \"volums\" in [cache]; did you mean \"volumes\"?"
//! );
//! ```
#![forbid(unsafe_code)]

mod access;
mod auth;
mod check;
mod compress;
mod content;
mod countries;
mod domains;
mod error;
mod guard;
mod headers;
mod https;
mod key;
mod keys;
mod limits;
mod origin;
mod origin_address;
mod pages;
mod proxy;
mod raw;
mod redirects;
mod resolve;
mod resolved;
mod resolved_guard;
mod resolved_origin;
mod rules;
mod secret;
mod shape;
mod sign;
mod sites;
mod tls;
mod units;

use std::path::Path;

use toml::de::DeTable;

pub use access::{Access, Lists, Prefix};
pub use auth::Auth;
pub use compress::Compress;
pub use content::{Content, RuleContent};
pub use domains::{DomainError, Domains, UnknownHost};
pub use error::{ConfigError, ConfigErrors, Place};
pub use headers::{Cors, HeaderRules};
pub use https::{Https, ToHttps};
pub use key::{KeyRules, QueryRule};
pub use origin_address::is_own;
pub use pages::{ErrorPages, Page};
pub use redirects::{Redirect, RedirectFrom};
pub use resolved::{
    Admin, Cache, Certificate, Config, Finish, Listen, Log, LogFormat, Pass, Preset, Server, Site,
    Stated, Steer, Tls, TlsProfile, Volume,
};
pub use resolved_guard::{
    Guard, GuardLimit, GuardMode, GuardPolicy, GuardRules, Limit, LimitOn, LimitThen,
};
pub use resolved_origin::{
    Health, Origin, OriginAddress, OriginPolicy, OriginScheme, OriginTls, Protection, RangeFetch,
    Redirects, RetryOn,
};
pub use rules::{Rule, RuleMatch, StatusTtl};
pub use secret::Secret;
pub use shape::{RATE_MIN_BYTES, Rate, Shape};
pub use sign::{Scheme, Sign};
pub use units::{duration_text, size_bytes as rate_of_text, size_text};

/// The host's own names.
const HOSTS_FILE: &str = "/etc/hosts";

impl Config {
    /// Reads and checks the file at `path`. Relative paths in it are taken from its directory.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or has wrong or unknown keys: all that was found.
    pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
        let text = std::fs::read_to_string(path).map_err(|source| {
            ConfigErrors::new(vec![ConfigError::Unreadable { path: path.to_owned(), source }])
        })?;
        let mut config = Config::parse(&text, &path.to_string_lossy())?;
        config.read_secrets()?;
        let errors = pages::load(config.sites.iter_mut());
        if !errors.is_empty() {
            return Err(ConfigErrors::new(errors));
        }
        let config = config.with_domains_file()?;
        let names = std::fs::read_to_string(HOSTS_FILE).unwrap_or_default();
        match origin_address::loops_by_name(&config, &names) {
            loops if loops.is_empty() => Ok(config),
            loops => Err(ConfigErrors::new(loops)),
        }
    }

    /// With the sites of the domains file, if it is there.
    fn with_domains_file(self) -> Result<Config, ConfigErrors> {
        let config = self;
        let Some(file) = &config.domains.file else { return Ok(config) };
        match std::fs::read_to_string(file) {
            Ok(text) => config.with_domains(&text, &file.to_string_lossy()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(config),
            Err(source) => {
                let path = file.clone();
                Err(ConfigErrors::new(vec![ConfigError::Unreadable { path, source }]))
            }
        }
    }

    /// Checks the text of a file; `name` stands in errors, and relative paths are taken from its
    /// directory. Touches no disk.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, name: &str) -> Result<Config, ConfigErrors> {
        let directory = Path::new(name).parent().unwrap_or(Path::new(""));
        parsed(text, name, &keys::ROOT, |root| resolve::config(root, directory, name))
    }

    /// Reads what stands in files of its own.
    fn read_secrets(&mut self) -> Result<(), ConfigErrors> {
        let errors = sign::read_keys(self.sites.iter_mut());
        if errors.is_empty() { Ok(()) } else { Err(ConfigErrors::new(errors)) }
    }

    /// What a node does that was given no file: serves the directory `root` on 127.0.0.1:8080 from
    /// a temporary volume, without guard.
    pub fn embedded(root: &Path) -> Config {
        let source = raw::Source::new("the embedded configuration", "");
        let empty = toml::Spanned::new(0..0, DeTable::new());
        let config = resolve::config(&raw::Section::root(&source, &keys::ROOT, &empty), root, "");
        Config { sites: vec![sites::directory_site(root)], ..config }
    }
}

/// What `resolve` makes of a file whose tables are in `table`; or all that is wrong with it.
fn parsed<T>(
    text: &str,
    name: &str,
    table: &'static keys::Table,
    resolve: impl FnOnce(&raw::Section<'_>) -> T,
) -> Result<T, ConfigErrors> {
    let source = raw::Source::new(name, text);
    let (values, mistakes) = DeTable::parse_recoverable(text);
    // A file that is not TOML is not read further: what follows would be guesses.
    if !mistakes.is_empty() {
        let syntax = |mistake: toml::de::Error| ConfigError::Syntax {
            place: source.place(mistake.span().unwrap_or_default()),
            message: mistake.message().to_owned(),
        };
        return Err(ConfigErrors::new(mistakes.into_iter().map(syntax).collect()));
    }
    let resolved = resolve(&raw::Section::root(&source, table, &values));
    let errors = source.into_errors();
    if errors.is_empty() { Ok(resolved) } else { Err(ConfigErrors::new(errors)) }
}

#[cfg(test)]
mod origin_tests;
#[cfg(test)]
mod tests;
