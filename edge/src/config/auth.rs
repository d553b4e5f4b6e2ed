//! `[site.auth]`: a service of the site's own that is asked whether a request is let in.

use super::error::Place;
use super::keys;
use super::origin_address;
use super::raw::{Entry, Section};
use super::resolved_origin::OriginAddress;
use crate::limits;

const TIMEOUT_DEFAULT_MS: u64 = 1_000;
const TIMEOUT_MAX_MS: u64 = 3_000;
const CACHE_MAX_MS: u64 = 86_400_000;

/// `[site.auth]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Where it stands.
    pub place: Place,
    /// Who is asked.
    pub address: OriginAddress,
    /// Path of the question; the client's own when it is empty.
    pub path: String,
    /// `GET`, `HEAD` or `POST`.
    pub method: &'static str,
    /// Arguments of the client's query that are sent along; `None`: all.
    pub arguments: Option<Vec<String>>,
    /// The client's fields that are sent along, lower-case.
    pub headers: Vec<String>,
    /// Statuses that let in.
    pub success: Vec<u16>,
    /// Whether other statuses let in, too.
    pub others_pass: bool,
    /// Time for an answer, ms.
    pub timeout_ms: u64,
    /// Whether a request is let in when there is none.
    pub failure_passes: bool,
    /// How long an answer holds for who asks the same, ms; 0: not at all.
    pub cache_ms: u64,
    /// Whether the path is part of what is the same.
    pub cache_by_path: bool,
    /// Whether the client's address is.
    pub cache_by_client: bool,
}

/// The site's `[site.auth]`, if it has one.
pub(super) fn auth(site: &Section<'_>) -> Option<Auth> {
    site.entry("auth")?;
    let section = site.section("auth", &keys::AUTH);
    let policy = [("reject", false), ("pass", true)];
    let policy = |key| section.entry(key).and_then(|entry| entry.choice(&policy)).unwrap_or(false);
    let methods = [("GET", "GET"), ("HEAD", "HEAD"), ("POST", "POST")];
    let method = section.entry("method").and_then(|entry| entry.choice(&methods));
    let timeout = section.entry("timeout").and_then(|e| e.duration_ms(1..=TIMEOUT_MAX_MS));
    let cache = section.entry("cache").and_then(|entry| entry.duration_ms(0..=CACHE_MAX_MS));
    let by = section.entry("cache_by").map_or(vec!["path"], cache_by);
    let entry = section.required("address", "write address = \"http://10.0.0.9:8000/check\"")?;
    let (address, path) = address(entry)?;
    Some(Auth {
        place: section.place(),
        address,
        path,
        method: method.unwrap_or("GET"),
        arguments: section.entry("arguments").and_then(arguments),
        headers: section.entry("headers").map(headers).unwrap_or_default(),
        success: section.entry("success").map_or(vec![200], success),
        others_pass: policy("others"),
        timeout_ms: timeout.unwrap_or(TIMEOUT_DEFAULT_MS),
        failure_passes: policy("on_failure"),
        cache_ms: cache.unwrap_or(0),
        cache_by_path: by.contains(&"path"),
        cache_by_client: by.contains(&"client"),
    })
}

/// `http://host:port/path`
fn address(entry: Entry<'_>) -> Option<(OriginAddress, String)> {
    let text = entry.text()?;
    let found = text.strip_prefix("http://").and_then(|rest| {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let fits = path.bytes().all(|b| b.is_ascii_graphic() && !b"?#".contains(&b));
        Some((origin_address::plain(authority)?, path.to_owned())).filter(|_| fits)
    });
    if found.is_none() {
        let cure = "write it as \"http://10.0.0.9:8000/check\"";
        entry.refuse(format!("{text:?} is not the address of a service; {cure}"));
    }
    found
}

fn arguments(entry: Entry<'_>) -> Option<Vec<String>> {
    if entry.is_word("all") {
        return None;
    }
    let texts = entry.texts();
    if texts.len() > limits::KEY_IGNORED_MAX {
        entry.refuse(format!(
            "names {} arguments; at most {}",
            texts.len(),
            limits::KEY_IGNORED_MAX
        ));
    }
    Some(texts.into_iter().map(|(_, text)| text.to_owned()).collect())
}

/// What belongs to one connection, or is the node's own to say.
const NOT_FORWARDED: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "keep-alive",
];

fn headers(entry: Entry<'_>) -> Vec<String> {
    let header = |(entry, text): (Entry<'_>, &str)| {
        let name = text.to_ascii_lowercase();
        let fits = http::HeaderName::from_bytes(name.as_bytes()).is_ok()
            && !NOT_FORWARDED.contains(&name.as_str())
            && !name.starts_with("x-forwarded-");
        if !fits {
            entry.refuse(format!("{text:?} cannot be sent along; write it as \"Authorization\""));
        }
        fits.then_some(name)
    };
    let headers: Vec<String> = entry.texts().into_iter().filter_map(header).collect();
    if headers.len() > limits::KEY_HEADERS_MAX {
        entry.refuse(format!(
            "names {} fields; at most {}",
            headers.len(),
            limits::KEY_HEADERS_MAX
        ));
    }
    headers
}

fn success(entry: Entry<'_>) -> Vec<u16> {
    let entries = entry.array("an array of statuses").unwrap_or_default();
    if entry.is_empty_array() {
        entry.refuse("names no status, and so nobody would be let in; write [200]");
    }
    entries
        .iter()
        .filter_map(|entry| entry.integer(200..=599))
        .map(|status| status as u16)
        .collect()
}

fn cache_by(entry: Entry<'_>) -> Vec<&'static str> {
    let words = [("path", "path"), ("client", "client")];
    entry.texts().into_iter().filter_map(|(entry, _)| entry.choice(&words)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn parsed(keys: &str) -> Result<Auth, String> {
        let text = format!("[[site]]\nhosts = \"a\"\norigin = \"file:///s\"\n[site.auth]\n{keys}");
        let config = Config::parse(&text, "e.toml").map_err(|errors| errors.to_string())?;
        Ok(config.sites[0].auth.clone().unwrap())
    }

    #[test]
    fn defaults_and_values() {
        let auth = parsed("address = \"http://a.test/check\"").unwrap();
        assert_eq!((auth.path.as_str(), auth.method, auth.timeout_ms), ("/check", "GET", 1000));
        assert!(!auth.others_pass && !auth.failure_passes && auth.cache_by_path);
        assert_eq!((auth.success, auth.arguments, auth.cache_ms), (vec![200], None, 0));
        let auth = parsed(
            "address = \"http://[::1]:8000\"\narguments = [\"token\"]\nheaders = [\"Cookie\"]\n\
             success = [200, 204]\non_failure = \"pass\"\ncache = \"10s\"\ncache_by = [\"client\"]",
        )
        .unwrap();
        assert_eq!((auth.address.http_port, auth.path.as_str()), (8000, ""));
        assert!(auth.failure_passes && auth.cache_by_client && !auth.cache_by_path);
    }

    #[test]
    fn mistakes() {
        for (keys, message) in [
            ("method = \"GET\"", "site.auth.address is missing"),
            ("address = \"https://a.test\"", "is not the address of a service"),
            ("address = \"http://a.test/x?y\"", "is not the address of a service"),
            ("address = \"http://a.test\"\nmethod = \"PUT\"", "not one of GET, HEAD, POST"),
            ("address = \"http://a.test\"\ntimeout = \"4s\"", "take 1ms to 3s"),
            ("address = \"http://a.test\"\nothers = \"maybe\"", "not one of reject, pass"),
            ("address = \"http://a.test\"\nsuccess = []", "nobody would be let in"),
            ("address = \"http://a.test\"\nsuccess = [100]", "take 200 to 599"),
            ("address = \"http://a.test\"\nheaders = [\"Host\"]", "cannot be sent along"),
            ("address = \"http://a.test\"\ncache_by = [\"age\"]", "not one of path, client"),
        ] {
            let said = parsed(keys).unwrap_err();
            assert!(said.contains(message) && said.lines().count() == 1, "{keys}: {said}");
        }
    }
}
