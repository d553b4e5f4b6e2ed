//! What a site makes of HTTPS: `https_redirect`, `hsts`, `client_ca`.

use std::path::{Path, PathBuf};

use super::keys;
use super::raw::{Entry, Section};
use super::resolve::path;
use crate::limits::TTL_MAX_MS;

/// The least time of a policy that browsers build in, seconds (hstspreload.org).
const PRELOAD_MIN_S: u64 = 365 * 86_400;
const HTTPS_PORT: u16 = 443;

/// A site's part of HTTPS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Https {
    /// How plain requests are sent to HTTPS; `None`: they are answered.
    pub redirect: Option<ToHttps>,
    /// The line of `Strict-Transport-Security`, with its end; `None`: none is added.
    pub hsts: Option<String>,
    /// PEM certificates of the authorities whose clients are let in; `None`: everybody is.
    pub client_ca: Option<PathBuf>,
}

impl Https {
    /// Whether it matters what a client speaks.
    pub fn is_of_interest(&self) -> bool {
        self.redirect.is_some() || self.hsts.is_some()
    }
}

/// Where to, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToHttps {
    /// 301 or 308.
    pub status: u16,
    /// The port, where it is not 443.
    pub port: Option<u16>,
}

pub(super) static HSTS: keys::Table = keys::Table {
    title: "[site.hsts]",
    name: "site.hsts",
    keys: &["max_age", "subdomains", "preload"],
};

/// Reads what stands in a `[[site]]`.
pub(super) fn https(site: &Section<'_>, directory: &Path) -> Https {
    let redirect = site.entry("https_redirect").and_then(status);
    let port = site.entry("https_port").and_then(|entry| {
        if site.entry("https_redirect").is_none() {
            entry.refuse("means nothing without https_redirect = 308; add it, or remove this");
        }
        entry.integer(1..=65_535)
    });
    let port = port.map(|port| port as u16).filter(|port| *port != HTTPS_PORT);
    Https {
        redirect: redirect.map(|status| ToHttps { status, port }),
        hsts: hsts(site),
        client_ca: site.entry("client_ca").and_then(|entry| path(entry, directory)),
    }
}

fn status(entry: Entry<'_>) -> Option<u16> {
    match entry.integer(301..=308)? {
        301 => Some(301),
        308 => Some(308),
        _ => {
            entry.refuse("must be 301, or 308, which keeps the method; write 308");
            None
        }
    }
}

fn hsts(site: &Section<'_>) -> Option<String> {
    let entry = site.entry("hsts")?;
    let section = site.section("hsts", &HSTS);
    let cure = "write hsts = { max_age = \"365d\" }";
    let age_ms = section.required("max_age", cure)?.duration_ms(0..=2 * TTL_MAX_MS)?;
    let flag = |key| section.entry(key).and_then(|entry| entry.flag()).unwrap_or(false);
    let (subdomains, preload) = (flag("subdomains"), flag("preload"));
    if preload && (!subdomains || age_ms / 1000 < PRELOAD_MIN_S) {
        entry.refuse("browsers preload only with subdomains = true and a max_age of 365d or more");
    }
    let subdomains = if subdomains { "; includeSubDomains" } else { "" };
    let preload = if preload { "; preload" } else { "" };
    let age_s = age_ms / 1000;
    Some(format!("Strict-Transport-Security: max-age={age_s}{subdomains}{preload}\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(lines: &str) -> Result<Https, String> {
        let text = format!("[[site]]\nhosts = [\"*\"]\norigin = \"file:///s\"\n{lines}\n");
        let config = Config::parse(&text, "e.toml").map_err(|errors| errors.to_string())?;
        Ok(config.sites[0].https.clone())
    }

    #[test]
    fn every_key_has_its_meaning_and_its_cure() {
        assert_eq!(read("").unwrap(), Https::default());
        let https = read("https_redirect = 308\nhttps_port = 8443").unwrap();
        assert_eq!(https.redirect, Some(ToHttps { status: 308, port: Some(8443) }));
        let https = read("https_redirect = 301\nhttps_port = 443").unwrap();
        assert_eq!(https.redirect, Some(ToHttps { status: 301, port: None }));
        let https =
            read("hsts = { max_age = \"730d\", subdomains = true, preload = true }").unwrap();
        let line = "Strict-Transport-Security: max-age=63072000; includeSubDomains; preload\r\n";
        assert_eq!(https.hsts.as_deref(), Some(line));
        let https = read("hsts = { max_age = \"0s\" }").unwrap();
        assert_eq!(https.hsts.as_deref(), Some("Strict-Transport-Security: max-age=0\r\n"));
        assert!(read("client_ca = \"clients.pem\"").unwrap().client_ca.is_some());
        for (lines, said) in [
            ("https_redirect = 302", "must be 301, or 308"),
            ("https_redirect = \"yes\"", "https_redirect"),
            ("https_port = 8443", "means nothing without https_redirect"),
            ("hsts = {}", "max_age"),
            ("hsts = { max_age = \"1d\", preload = true }", "browsers preload only"),
            ("hsts = { max_age = \"1d\", sub = true }", "did you mean"),
        ] {
            let error = read(lines).unwrap_err();
            assert!(error.contains(said), "{lines}: {error}");
        }
    }
}
