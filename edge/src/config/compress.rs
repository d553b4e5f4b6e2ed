//! `[site.compress]`: what is coded on its way to clients.

use super::keys::Table;
use super::raw::{Entry, Section};
use crate::http::Coding;

/// `[site.compress]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compress {
    /// Codings, in order of preference.
    pub codings: Vec<Coding>,
    /// Types, lower-case without parameters: `text/html`, `text/*`, or by suffix `*+json`.
    pub types: Vec<String>,
    /// Shortest body, bytes.
    pub min_bytes: u64,
    /// Longest body, bytes.
    pub max_bytes: u64,
    /// Whether files beside a `file://` origin's own, such as `a.js.br`, are sent in their place.
    pub precompressed: bool,
}

const MIN_DEFAULT_BYTES: u64 = 1 << 10;
const MAX_DEFAULT_BYTES: u64 = 10 << 20;
/// Coding holds body and result in memory.
const MAX_BYTES: u64 = 64 << 20;
const CODINGS_DEFAULT: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];
const TYPES_DEFAULT: [&str; 14] = [
    "text/*",
    "*+json",
    "*+xml",
    "application/javascript",
    "application/json",
    "application/ld+json",
    "application/manifest+json",
    "application/vnd.apple.mpegurl",
    "application/wasm",
    "application/x-javascript",
    "application/xml",
    "font/otf",
    "font/ttf",
    "image/bmp",
];

pub(super) static COMPRESS: Table = Table {
    title: "[site.compress]",
    name: "site.compress",
    keys: &["codings", "types", "min", "max", "precompressed"],
};

impl Default for Compress {
    fn default() -> Compress {
        Compress {
            codings: CODINGS_DEFAULT.to_vec(),
            types: TYPES_DEFAULT.map(str::to_owned).to_vec(),
            min_bytes: MIN_DEFAULT_BYTES,
            max_bytes: MAX_DEFAULT_BYTES,
            precompressed: false,
        }
    }
}

impl Compress {
    /// Whether bodies of this type are coded; `value` is a whole `Content-Type`.
    pub fn takes_type(&self, value: &[u8]) -> bool {
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let fits = |of: &String| {
            let of = of.as_bytes();
            match (of.strip_prefix(b"*"), of.strip_suffix(b"*")) {
                (Some(end), _) => {
                    essence.len() > end.len()
                        && essence[essence.len() - end.len()..].eq_ignore_ascii_case(end)
                }
                (None, Some(start)) => {
                    essence.len() > start.len()
                        && essence[..start.len()].eq_ignore_ascii_case(start)
                }
                (None, None) => essence.eq_ignore_ascii_case(of),
            }
        };
        self.types.iter().any(fits)
    }
}

/// Reads `compress`: a table, or `true` for the defaults.
pub(super) fn compress(site: &Section<'_>) -> Option<Compress> {
    let entry = site.entry("compress")?;
    if let Some(is_on) = entry.as_flag() {
        return is_on.then(Compress::default);
    }
    let table = site.section("compress", &COMPRESS);
    let defaults = Compress::default();
    let size = |key, default| {
        let entry = table.entry(key);
        entry.and_then(|entry| entry.size_bytes(0..=MAX_BYTES)).unwrap_or(default)
    };
    let precompressed = table.entry("precompressed").and_then(|entry| entry.flag());
    let compress = Compress {
        codings: table.entry("codings").map_or(defaults.codings, codings),
        types: table.entry("types").map_or(defaults.types, types),
        min_bytes: size("min", defaults.min_bytes),
        max_bytes: size("max", defaults.max_bytes),
        precompressed: precompressed.unwrap_or(false),
    };
    if let (Some(entry), true) = (table.entry("max"), compress.max_bytes < compress.min_bytes) {
        entry.refuse("is less than min, so that nothing is coded; raise it");
    }
    Some(compress)
}

fn codings(entry: Entry<'_>) -> Vec<Coding> {
    if entry.is_empty_array() {
        entry.refuse("names no coding; write [\"br\", \"zstd\", \"gzip\"], or compress = false");
    }
    let mut codings = Vec::new();
    for (entry, text) in entry.texts() {
        match Coding::ALL.into_iter().find(|coding| coding.as_str() == text) {
            Some(coding) if !codings.contains(&coding) => codings.push(coding),
            Some(_) => entry.refuse(format!("{text:?} stands here twice; remove one")),
            None => entry.refuse(format!("{text:?} is not a coding; take br, zstd or gzip")),
        }
    }
    codings
}

fn types(entry: Entry<'_>) -> Vec<String> {
    let mut types = Vec::new();
    for (entry, text) in entry.texts() {
        let bare = text.replacen('*', "", 1);
        let stars_stand_well =
            !text.contains('*') || text.ends_with("/*") || text.starts_with("*+");
        let fits = stars_stand_well
            && !bare.contains('*')
            && (text.contains('/') || text.starts_with("*+"))
            && bare.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';' && byte != b',');
        match fits {
            true => types.push(text.to_ascii_lowercase()),
            false => entry.refuse(format!(
                "{text:?} is not a type; write it as \"text/css\", \"text/*\" or \"*+json\""
            )),
        }
    }
    types
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn parsed(keys: &str) -> Result<Option<Compress>, String> {
        let text = format!("[[site]]\nhosts = \"a\"\norigin = \"http://o\"\n{keys}");
        Config::parse(&text, "e.toml")
            .map(|mut config| config.sites.remove(0).content.compress)
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn what_is_coded() {
        assert_eq!(parsed("").unwrap(), None);
        assert_eq!(parsed("compress = false").unwrap(), None);
        assert_eq!(parsed("compress = true").unwrap(), Some(Compress::default()));
        assert_eq!(parsed("[site.compress]").unwrap(), Some(Compress::default()));
        let own = parsed(
            "[site.compress]\ncodings = \"gzip\"\ntypes = [\"Text/CSS\", \"*+xml\"]\nmin = 0\nmax = \"1MiB\"\nprecompressed = true",
        );
        let own = own.unwrap().unwrap();
        assert_eq!((own.min_bytes, own.max_bytes, own.precompressed), (0, 1 << 20, true));
        assert_eq!(own.codings, [Coding::Gzip]);
        for (value, is_taken) in [
            ("text/css", true),
            ("TEXT/css ; charset=utf-8", true),
            ("text/cssx", false),
            ("image/svg+xml", true),
            ("+xml", false),
            ("text/html", false),
            ("", false),
        ] {
            assert_eq!(own.takes_type(value.as_bytes()), is_taken, "{value}");
        }
        let usual = Compress::default();
        assert!(
            usual.takes_type(b"text/html; charset=utf-8")
                && usual.takes_type(b"application/geo+json")
        );
        assert!(!usual.takes_type(b"image/png") && !usual.takes_type(b"text/"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (keys, message) in [
            (
                "codings = []",
                "5: site.compress.codings: names no coding; write [\"br\", \"zstd\", \"gzip\"], or compress = false",
            ),
            (
                "codings = [\"deflate\"]",
                "5: site.compress.codings: \"deflate\" is not a coding; take br, zstd or gzip",
            ),
            (
                "codings = [\"br\", \"br\"]",
                "5: site.compress.codings: \"br\" stands here twice; remove one",
            ),
            (
                "types = [\"text\"]",
                "5: site.compress.types: \"text\" is not a type; write it as \"text/css\", \"text/*\" or \"*+json\"",
            ),
            (
                "min = \"2KiB\"\nmax = \"1KiB\"",
                "6: site.compress.max: is less than min, so that nothing is coded; raise it",
            ),
            ("max = \"1GiB\"", "5: site.compress.max: \"1GiB\" is out of range; take 0B to 64MiB"),
        ] {
            let errors = parsed(&format!("[site.compress]\n{keys}")).unwrap_err();
            assert_eq!(errors, format!("e.toml:{message}"), "{keys}");
        }
    }
}
