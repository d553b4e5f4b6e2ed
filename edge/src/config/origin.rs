//! Where a site's objects come from, and how that is dealt with.

use std::path::Path;

use base64::Engine;

use super::origin_address::{address, refuse_loop, server_name};
use super::raw::{Entry, Section};
use super::resolve::{path, timeout_ms};
use super::resolved::Listen;
use super::resolved_origin::{
    Health, Origin, OriginAddress, OriginPolicy, OriginScheme, OriginTls, Protection, RangeFetch,
    Redirects, RetryOn,
};
use super::{check, keys};
use crate::limits;

const CONNECT_TIMEOUT_MS: u64 = 10_000;
const READ_TIMEOUT_MS: u64 = 30_000;
const RETRIES_DEFAULT: usize = 2;
const RETRIES_DEFAULT_MAX: usize = 3;
const REDIRECTS_DEFAULT: u32 = 2;
const CURE: &str = "write origin = \"http://10.0.0.2:80\" or \"file:///srv/mirror\"";

/// The origin of a site for `hosts`.
pub(super) fn origin(
    section: &Section<'_>,
    directory: &Path,
    hosts: &[String],
    listen: &[Listen],
) -> Option<Origin> {
    let host = section.entry("host").and_then(host_field);
    let connect_timeout_ms = timeout_ms(section, "connect_timeout", CONNECT_TIMEOUT_MS);
    let read_timeout_ms = timeout_ms(section, "read_timeout", READ_TIMEOUT_MS);
    let retries = section.entry("retries").and_then(|entry| entry.integer(0..=10));
    let policy = Box::new(policy(section, directory));
    let protection = protection(section, policy.range_fetch);
    let entry = section.required("origin", CURE)?;
    let entries = entry.each();
    if entries.is_empty() {
        entry.refuse(format!("names no origin; {CURE}"));
    }
    if entries.len() > limits::ORIGIN_ADDRESSES_MAX {
        entry.refuse(format!("names more than {} origins", limits::ORIGIN_ADDRESSES_MAX));
    }
    let is_file = |text: &&str| text.starts_with("file://");
    if let Some(text) = entries.iter().filter_map(Entry::as_text).find(is_file) {
        if entries.len() > 1 {
            entry.refuse("a file:// origin stands alone; remove the others");
        }
        return file_origin(entry, text, directory);
    }
    let address = |(position, entry): (usize, &Entry<'_>)| {
        let address = address(*entry, position)?;
        refuse_loop(*entry, &address, hosts, listen);
        Some(address)
    };
    let mut addresses: Vec<OriginAddress> =
        entries.iter().enumerate().filter_map(address).collect();
    if entries.iter().any(|entry| entry.as_text().is_none()) {
        // A URL among tables is a table that says nothing else.
        let plain =
            entries.iter().zip(&mut addresses).filter(|(entry, _)| entry.as_text().is_some());
        plain.for_each(|(_, address)| address.priority = 1);
    }
    refuse_idle_tls(section, &addresses);
    let retries_default = addresses.len().clamp(RETRIES_DEFAULT, RETRIES_DEFAULT_MAX) as u64;
    (!addresses.is_empty()).then_some(Origin::Http {
        addresses,
        host,
        connect_timeout_ms,
        read_timeout_ms,
        retries: retries.unwrap_or(retries_default) as u32,
        protection,
        policy,
    })
}

/// Settings that would never hold.
fn refuse_idle_tls(section: &Section<'_>, addresses: &[OriginAddress]) {
    if addresses.iter().any(|address| address.scheme != OriginScheme::Http) {
        return;
    }
    for key in ["origin_tls", "origin_http2"] {
        if let Some(entry) = section.entry(key) {
            entry.refuse(
                "is for https:// origins, and there are none; write origin = \"https://…\"",
            );
        }
    }
}

fn protection(section: &Section<'_>, range_fetch: RangeFetch) -> Protection {
    let defaults = Protection::default();
    let count = |key, max: usize, default: usize| {
        let entry = section.entry(key);
        let count = entry.and_then(|entry| entry.integer(1..=max as u64));
        count.map_or(default, |count| count as usize)
    };
    let (most, streams) = (limits::ORIGIN_CONNECTIONS_MAX, limits::STREAMS_PER_OBJECT_MAX);
    let connections_per_object =
        count("connections_per_object", streams, defaults.connections_per_object);
    Protection {
        max_connections: count("max_connections", most, defaults.max_connections),
        max_fills: count("max_fills", most, defaults.max_fills),
        // Without ranges each of them would bring the whole.
        connections_per_object: match range_fetch {
            RangeFetch::Off => 1,
            _ => connections_per_object,
        },
        queue_timeout_ms: timeout_ms(section, "queue_timeout", defaults.queue_timeout_ms),
    }
}

fn policy(section: &Section<'_>, directory: &Path) -> OriginPolicy {
    let ranges = [("on", RangeFetch::On), ("off", RangeFetch::Off), ("force", RangeFetch::Force)];
    let range_fetch = section.entry("range_fetch").and_then(|entry| entry.choice(&ranges));
    OriginPolicy {
        health: health(&section.section("health", &keys::HEALTH)),
        retry_on: section.entry("retry_on").map(retry_on).unwrap_or_default(),
        range_fetch: range_fetch.unwrap_or_default(),
        redirects: redirects(section),
        tls: tls(&section.section("origin_tls", &keys::ORIGIN_TLS), directory),
        http2: section.entry("origin_http2").and_then(|entry| entry.flag()).unwrap_or_default(),
    }
}

fn health(section: &Section<'_>) -> Health {
    let defaults = Health::default();
    let path = section.entry("path").and_then(|entry| {
        let text = entry.text()?;
        let valid = text.starts_with('/') && http::uri::PathAndQuery::try_from(text).is_ok();
        if !valid {
            entry.refuse(format!("{text:?} is no path; write it as \"/healthz\""));
        }
        valid.then(|| text.to_owned())
    });
    if path.is_none() {
        for entry in ["host", "status"].into_iter().filter_map(|key| section.entry(key)) {
            entry.refuse("is for probes of a path; add path = \"/healthz\"");
        }
    }
    let times = |key, default| {
        let entry = section.entry(key);
        entry.and_then(|entry| entry.integer(1..=100)).map_or(default, |times| times as u32)
    };
    let interval = section.entry("interval").and_then(|entry| entry.duration_ms(100..=3_600_000));
    let timeout = section.entry("timeout").and_then(|entry| entry.duration_ms(10..=3_600_000));
    Health {
        path,
        host: section.entry("host").and_then(host_field),
        interval_ms: interval.unwrap_or(defaults.interval_ms),
        timeout_ms: timeout.unwrap_or(defaults.timeout_ms),
        statuses: section.entry("status").map_or(defaults.statuses, statuses),
        rise: times("rise", defaults.rise),
        fall: times("fall", defaults.fall),
        failback: section.entry("failback").and_then(|entry| entry.flag()).unwrap_or(true),
    }
}

/// Statuses (`200`) and classes of them (`"2xx"`).
fn statuses(entry: Entry<'_>) -> Vec<(u16, u16)> {
    entry.each().into_iter().filter_map(status_row).collect()
}

fn status_row(entry: Entry<'_>) -> Option<(u16, u16)> {
    let Some(text) = entry.as_text() else {
        let status = entry.integer(100..=599)? as u16;
        return Some((status, status));
    };
    let row = row_of(text);
    if row.is_none() {
        entry.refuse(format!("{text:?} is no status; write 200 or \"2xx\""));
    }
    row
}

/// The statuses that `200` or `2xx` stands for.
fn row_of(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx") {
        let class = class.parse::<u16>().ok().filter(|class| (1..=5).contains(class))?;
        return Some((class * 100, class * 100 + 99));
    }
    let status = text.parse::<u16>().ok().filter(|status| (100..=599).contains(status))?;
    Some((status, status))
}

fn retry_on(entry: Entry<'_>) -> RetryOn {
    let mut retry = RetryOn { connect: false, timeout: false, statuses: Vec::new() };
    for (entry, text) in entry.texts() {
        match text {
            "connect" => retry.connect = true,
            "timeout" => retry.timeout = true,
            "off" => {}
            // What was not done need not be tried elsewhere (RFC 9110 §15.6.2).
            "5xx" => retry.statuses.extend(RetryOn::default().statuses),
            text => match row_of(text).filter(|(first, _)| *first >= 400) {
                Some(row) => retry.statuses.push(row),
                None => entry.refuse(format!(
                    "{text:?} is no reason; take \"connect\", \"timeout\", \"5xx\", \"404\", \"4xx\" or \"off\""
                )),
            },
        }
    }
    retry
}

fn redirects(section: &Section<'_>) -> Redirects {
    let Some(entry) = section.entry("follow_redirects") else {
        if let Some(hosts) = section.entry("redirect_hosts") {
            hosts.refuse("is for redirects that are followed; add follow_redirects = true");
        }
        return Redirects::default();
    };
    let hops = match entry.as_flag() {
        Some(true) => Some(REDIRECTS_DEFAULT),
        Some(false) => Some(0),
        None => entry.integer(0..=u64::from(limits::ORIGIN_HOPS_MAX)).map(|hops| hops as u32),
    };
    let hosts = section.entry("redirect_hosts").map(|entry| entry.texts()).unwrap_or_default();
    let host = |(entry, text)| check::host(entry, text);
    Redirects {
        hops: hops.unwrap_or_default(),
        hosts: hosts.into_iter().filter_map(host).collect(),
    }
}

fn tls(section: &Section<'_>, directory: &Path) -> OriginTls {
    let file = |key| path(section.entry(key)?, directory);
    let (cert, key) = (file("client_cert"), file("client_key"));
    let client = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (Some(_), None) => {
            section.missing("client_key", "name the PEM file of the key of client_cert");
            None
        }
        (None, Some(_)) => {
            section.missing("client_cert", "name the PEM file of the chain of client_key");
            None
        }
        (None, None) => None,
    };
    let pins = section.entry("pin").map(|entry| entry.texts()).unwrap_or_default();
    let ca = file("ca");
    let verify = section.entry("verify").and_then(|entry| entry.flag()).unwrap_or(true);
    if let (Some(entry), Some(_), false) = (section.entry("verify"), &ca, verify) {
        entry.refuse("false leaves ca without a use; remove one of them");
    }
    OriginTls {
        ca,
        pins: pins.into_iter().filter_map(pin).collect(),
        sni: section.entry("sni").and_then(server_name),
        verify,
        client,
    }
}

/// `sha256/` and a digest in base64, as curl's `--pinnedpubkey` has it (with two slashes).
fn pin((entry, text): (Entry<'_>, &str)) -> Option<[u8; 32]> {
    let decode = |digest: &str| -> Option<[u8; 32]> {
        base64::engine::general_purpose::STANDARD.decode(digest).ok()?.try_into().ok()
    };
    // A digest may begin with a slash, too.
    let digest = text.strip_prefix("sha256/");
    let bytes =
        digest.and_then(|digest| decode(digest).or_else(|| decode(digest.strip_prefix('/')?)));
    if bytes.is_none() {
        entry.refuse(format!(
            "{text:?} is no pin; write \"sha256/\" and the SHA-256 of the public key in base64"
        ));
    }
    bytes
}

/// The `Host` an origin is asked for: a name or an address, perhaps with a port.
pub(super) fn host_field(entry: Entry<'_>) -> Option<String> {
    let text = entry.text()?;
    let valid = http::uri::Authority::try_from(text).is_ok() && !text.contains('@');
    if !valid {
        entry.refuse(format!("{text:?} is not a host; write it as \"origin.example.com\""));
    }
    valid.then(|| text.to_owned())
}

fn file_origin(entry: Entry<'_>, text: &str, directory: &Path) -> Option<Origin> {
    let root = text.strip_prefix("file://").filter(|root| !root.is_empty() && !root.contains('\0'));
    if root.is_none() {
        entry.refuse("names no directory; write \"file:///srv/mirror\"");
    }
    Some(Origin::File { root: directory.join(root?) })
}
