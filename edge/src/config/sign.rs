//! `[site.sign]`: links that are good for a time.

use std::path::{Path, PathBuf};

use super::error::{ConfigError, Place};
use super::keys;
use super::raw::{Entry, Section};
use super::resolve;
use super::resolved::Site;
use super::secret::Secret;
use crate::limits;

/// Time a link is good for when the site does not say.
const TTL_DEFAULT_MS: u64 = 1_800_000;
const SKEW_MAX_MS: u64 = 3_600_000;

/// `[site.sign]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// Where it stands.
    pub place: Place,
    /// How links are signed.
    pub scheme: Scheme,
    /// The main key, then those that are still, or already, taken.
    pub keys: Vec<Secret>,
    /// A file with further keys, one a line, and where it is named.
    pub keys_file: Option<(PathBuf, Place)>,
    /// How long after its time a link is good, s.
    pub ttl_s: u64,
    /// How much longer, for clocks that differ, s.
    pub skew_s: u64,
    /// Names of the arguments that carry signature and time.
    pub arguments: [String; 2],
    /// Whether scheme F writes its time in hexadecimal.
    pub hex_time: bool,
}

/// `site.sign.type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `/F?auth_key=ts-rand-uid-md5`
    A,
    /// `/YYYYMMDDHHMM/md5/F`
    B,
    /// `/md5/hexts/F`, or `/F?KEY1=md5&KEY2=hexts`
    C,
    /// `/F?sign=md5&time=ts`
    F,
    /// `/F?expires=ts&signature=hmac`; path and all other arguments are signed.
    Sha256,
}

impl Scheme {
    /// As they are written.
    pub const ALL: [(&'static str, Scheme); 5] = [
        ("A", Scheme::A),
        ("B", Scheme::B),
        ("C", Scheme::C),
        ("F", Scheme::F),
        ("sha256", Scheme::Sha256),
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        Scheme::ALL.iter().find(|(_, scheme)| *scheme == self).map_or("", |(name, _)| name)
    }

    /// Names of the arguments for signature and time, where the site gives none.
    pub fn arguments(self) -> [&'static str; 2] {
        match self {
            Scheme::A | Scheme::B => ["auth_key", ""],
            Scheme::C => ["KEY1", "KEY2"],
            Scheme::F => ["sign", "time"],
            Scheme::Sha256 => ["signature", "expires"],
        }
    }
}

impl Sign {
    /// What a site has that names a scheme and a key, and nothing else.
    ///
    /// # Errors
    /// The key is no key: says so.
    pub fn of(scheme: Scheme, key: &str) -> Result<Sign, String> {
        if let Some(problem) = key_problem(key) {
            return Err(problem);
        }
        Ok(Sign {
            place: Place { file: "no file".into(), line: 0 },
            scheme,
            keys: vec![Secret::new(key)],
            keys_file: None,
            ttl_s: TTL_DEFAULT_MS / 1000,
            skew_s: 0,
            arguments: scheme.arguments().map(str::to_owned),
            hex_time: false,
        })
    }
}

/// The site's `[site.sign]`, if it has one.
pub(super) fn sign(site: &Section<'_>, directory: &Path) -> Option<Sign> {
    site.entry("sign")?;
    let section = site.section("sign", &keys::SIGN);
    let cure = "write type = \"A\", \"B\", \"C\", \"F\" or \"sha256\"";
    let scheme = section.required("type", cure)?.choice(&Scheme::ALL)?;
    let mut taken = listed(&section);
    taken.extend(section.entry("keys_env").into_iter().flat_map(environment));
    let keys_file = section.entry("keys_file").and_then(|entry| {
        let path = resolve::path(entry, directory)?;
        Some((path, entry.place()))
    });
    let says_where = ["keys", "keys_env", "keys_file"].map(|key| section.entry(key).is_some());
    if !says_where.contains(&true) {
        section.missing(
            "keys",
            "write keys = [\"...\"], keys_file or keys_env; the first is the main key",
        );
    }
    let ttl = section.entry("ttl").and_then(|e| e.seconds_ms(1_000..=limits::TTL_MAX_MS));
    let skew = section.entry("clock_skew").and_then(|e| e.seconds_ms(0..=SKEW_MAX_MS));
    Some(Sign {
        place: section.place(),
        scheme,
        keys: taken,
        keys_file,
        ttl_s: ttl.unwrap_or(TTL_DEFAULT_MS) / 1000,
        skew_s: skew.unwrap_or(0) / 1000,
        arguments: arguments(&section, scheme),
        hex_time: hex_time(&section, scheme),
    })
}

fn listed(section: &Section<'_>) -> Vec<Secret> {
    let Some(entry) = section.entry("keys") else { return Vec::new() };
    let texts = entry.texts();
    if entry.is_empty_array() {
        entry.refuse("names no key; write one of 16 to 128 letters and digits");
    }
    if texts.len() > limits::SIGN_KEYS_MAX {
        entry.refuse(format!("has {} keys; at most {}", texts.len(), limits::SIGN_KEYS_MAX));
    }
    texts.into_iter().filter_map(|(entry, text)| secret(entry, text)).collect()
}

/// Keys of an environment variable, with commas or blanks between them.
fn environment(entry: Entry<'_>) -> Vec<Secret> {
    let Some(name) = entry.text() else { return Vec::new() };
    let value = std::env::var(name).unwrap_or_default();
    let keys: Vec<&str> = words(&value).collect();
    if keys.is_empty() {
        entry.refuse(format!("the environment has no {name:?}; set it, or write keys"));
    }
    keys.into_iter().filter_map(|key| secret(entry, key)).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty())
}

fn secret(entry: Entry<'_>, key: &str) -> Option<Secret> {
    match key_problem(key) {
        None => Some(Secret::new(key)),
        Some(problem) => {
            entry.refuse(problem);
            None
        }
    }
}

/// What is wrong with a key; the key itself is not in it.
fn key_problem(key: &str) -> Option<String> {
    let fits = (16..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric());
    (!fits).then(|| {
        format!(
            "a key has 16 to 128 letters and digits, this has {} characters or others",
            key.chars().count()
        )
    })
}

fn arguments(section: &Section<'_>, scheme: Scheme) -> [String; 2] {
    let mut names = scheme.arguments().map(str::to_owned);
    let keys: [&'static str; 2] = ["signature_argument", "time_argument"];
    for (at, key) in keys.into_iter().enumerate() {
        let Some(entry) = section.entry(key) else { continue };
        let Some(text) = entry.text() else { continue };
        let fits = !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
        if names[at].is_empty() || scheme == Scheme::B {
            entry.refuse(format!("means nothing with type {:?}; remove it", scheme.as_str()));
        } else if !fits {
            entry.refuse(format!("{text:?} is not the name of an argument; write it as \"sign\""));
        } else {
            names[at] = text.to_owned();
        }
    }
    if names[0] == names[1]
        && let Some(entry) = section.entry("time_argument").or(section.entry("signature_argument"))
    {
        entry.refuse("is the name of the other argument, too; give each its own");
    }
    names
}

fn hex_time(section: &Section<'_>, scheme: Scheme) -> bool {
    let Some(entry) = section.entry("time_format") else { return false };
    let hex = entry.choice(&[("decimal", false), ("hex", true)]);
    if scheme != Scheme::F {
        entry.refuse("is for type = \"F\" only; remove it");
    }
    hex.unwrap_or(false)
}

/// Reads the keys that stand in files of their own.
pub(super) fn read_keys<'s>(sites: impl Iterator<Item = &'s mut Site>) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for sign in sites.filter_map(|site| site.sign.as_mut()) {
        let Some((path, place)) = &sign.keys_file else { continue };
        let key = "site.sign.keys_file".to_owned();
        let mut refuse = |problem: String| {
            errors.push(ConfigError::Value { place: place.clone(), key: key.clone(), problem });
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                refuse(format!(
                    "{} cannot be read: {error}; write the keys there, one a line",
                    path.display()
                ));
                continue;
            }
        };
        let keys: Vec<&str> = words(&text).collect();
        if keys.is_empty() || keys.len() > limits::SIGN_KEYS_MAX {
            let max = limits::SIGN_KEYS_MAX;
            refuse(format!(
                "{} has {} keys; write 1 to {max}, one a line",
                path.display(),
                keys.len()
            ));
        }
        for key in keys {
            match key_problem(key) {
                None => sign.keys.push(Secret::new(key)),
                Some(problem) => refuse(format!("{}: {problem}", path.display())),
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn parsed(keys: &str) -> Result<Sign, String> {
        let text = format!("[[site]]\nhosts = \"a\"\norigin = \"file:///s\"\n[site.sign]\n{keys}");
        let config = Config::parse(&text, "e.toml").map_err(|errors| errors.to_string())?;
        Ok(config.sites[0].sign.clone().unwrap())
    }

    #[test]
    fn defaults_and_names() {
        let sign = parsed("type = \"A\"\nkeys = \"aliyuncdnexp1234\"").unwrap();
        let plain = Sign::of(Scheme::A, "aliyuncdnexp1234").unwrap();
        assert_eq!(Sign { place: plain.place.clone(), ..sign }, plain);
        let sign = parsed(
            "type = \"F\"\nkeys = [\"aliyuncdnexp1234\", \"bliyuncdnexp1234\"]\nttl = 60\n\
             clock_skew = \"30s\"\nsignature_argument = \"s\"\ntime_format = \"hex\"",
        )
        .unwrap();
        assert_eq!((sign.keys.len(), sign.ttl_s, sign.skew_s), (2, 60, 30));
        assert_eq!((sign.arguments, sign.hex_time), (["s".into(), "time".into()], true));
        assert!(!format!("{:?}", sign.keys).contains("aliyun"));
    }

    #[test]
    fn mistakes_are_named_and_keys_are_not() {
        for (keys, cure) in [
            ("keys = \"aliyuncdnexp1234\"", "site.sign.type is missing"),
            ("type = \"D\"\nkeys = \"aliyuncdnexp1234\"", "not one of A, B, C, F, sha256"),
            ("type = \"A\"", "site.sign.keys is missing"),
            ("type = \"A\"\nkeys = []", "names no key"),
            ("type = \"A\"\nkeys = \"secretsecret\"", "16 to 128 letters and digits"),
            ("type = \"A\"\nkeys = \"secretsecret-secret\"", "16 to 128 letters and digits"),
            (
                "type = \"A\"\nkeys_env = \"EDGE_NO_SUCH\"",
                "the environment has no \"EDGE_NO_SUCH\"",
            ),
            ("type = \"B\"\nkeys = \"aliyuncdnexp1234\"\ntime_argument = \"t\"", "means nothing"),
            ("type = \"C\"\nkeys = \"aliyuncdnexp1234\"\ntime_argument = \"KEY1\"", "its own"),
            ("type = \"A\"\nkeys = \"aliyuncdnexp1234\"\ntime_format = \"hex\"", "remove it"),
            ("type = \"A\"\nkeys = \"aliyuncdnexp1234\"\nttl = 0", "out of range"),
        ] {
            let said = parsed(keys).unwrap_err();
            assert!(said.contains(cure) && said.lines().count() == 1, "{keys}: {said}");
            assert!(!said.contains("secretsecret"), "{said}");
        }
    }

    #[test]
    fn keys_may_stand_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("e.toml");
        let text = "[[site]]\nhosts = \"a\"\norigin = \"file:///s\"\n[site.sign]\ntype = \"B\"\nkeys_file = \"keys\"\n";
        std::fs::write(&file, text).unwrap();
        let load = || Config::load(&file).map_err(|errors| errors.to_string());
        let said = load().unwrap_err();
        assert!(
            said.contains("e.toml:6: site.sign.keys_file") && said.contains("cannot be read"),
            "{said}"
        );
        std::fs::write(directory.path().join("keys"), "aliyuncdnexp1234\nbliyuncdnexp1234\n")
            .unwrap();
        assert_eq!(load().unwrap().sites[0].sign.as_ref().unwrap().keys.len(), 2);
        std::fs::write(directory.path().join("keys"), "short\n").unwrap();
        assert!(load().unwrap_err().contains("16 to 128"));
    }
}
