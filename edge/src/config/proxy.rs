//! `listen.proxy_protocol` and `listen.trusted`: listeners behind a balancer.

use super::access::{Prefix, prefixes};
use super::raw::Section;

/// Whose PROXY headers a listener believes; `None`: it expects none.
pub(super) fn trusted(listen: &Section<'_>) -> Option<Vec<Prefix>> {
    let entry = listen.entry("trusted");
    let is_wanted = listen.entry("proxy_protocol").and_then(|entry| entry.flag()) == Some(true);
    let trusted = entry.map(prefixes).unwrap_or_default();
    match (is_wanted, entry) {
        (true, None) => listen.missing(
            "trusted",
            "name the balancers that may say who the client is, as trusted = [\"10.0.0.0/8\"]",
        ),
        (true, Some(entry)) if entry.is_empty_array() => {
            entry.refuse("names nobody; name the balancers, as trusted = [\"10.0.0.0/8\"]");
        }
        (false, Some(entry)) => {
            entry.refuse("means nothing without proxy_protocol = true; add it, or remove this");
        }
        _ => {}
    }
    is_wanted.then_some(trusted)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn read(listen: &str) -> Result<Config, String> {
        let text = format!(
            "[[listen]]\naddr = \"127.0.0.1:1\"\n{listen}\n[[site]]\nhosts = [\"*\"]\norigin = \"file:///s\"\n"
        );
        Config::parse(&text, "e.toml").map_err(|errors| errors.to_string())
    }

    #[test]
    fn balancers_are_named() {
        assert_eq!(read("").unwrap().listen[0].proxies, None);
        let config = read("proxy_protocol = true\ntrusted = [\"10.0.0.0/8\", \"::1\"]").unwrap();
        assert_eq!(config.listen[0].proxies.as_ref().map(Vec::len), Some(2));
        for (listen, said) in [
            ("proxy_protocol = true", "name the balancers"),
            ("proxy_protocol = true\ntrusted = []", "e.toml:4: listen.trusted: names nobody"),
            ("trusted = [\"::1\"]", "e.toml:3: listen.trusted: means nothing"),
            ("proxy_protocol = true\ntrusted = [\"lb\"]", "lb"),
            ("proxy_protocol = 1", "listen.proxy_protocol"),
        ] {
            let error = read(listen).unwrap_err();
            assert!(error.contains(said), "{listen}: {error}");
        }
    }
}
