//! `[[site]]`: hosts, presets, origins.

use std::collections::HashMap;
use std::path::Path;

use super::access::access;
use super::auth::auth;
use super::content::{Content, content};
use super::error::Place;
use super::https::{Https, https};
use super::key::{KeyRules, key};
use super::origin::origin;
use super::raw::{Entry, Section};
use super::resolve::{OFF, timeout_ms};
use super::resolved::{Config, Finish, Listen, Pass, Preset, Site, Stated};
use super::resolved_origin::Origin;
use super::rules::{StatusTtl, rules, status_ttl};
use super::shape::shape;
use super::sign::sign;
use super::{check, keys};
use crate::limits;

const INDEX_DEFAULT: &str = "index.html";

/// Every site; no host is taken twice.
pub(super) fn sites(root: &Section<'_>, directory: &Path, listen: &[Listen]) -> Vec<Site> {
    // Whoever speaks of domains may begin without any.
    let may_be_empty = root.entry("domains").is_some();
    if !may_be_empty && root.entry("site").is_none_or(|entry| entry.is_empty_array()) {
        root.missing("site", "add a [[site]] with an origin such as \"file:///srv/mirror\"");
    }
    let node = Node { directory, listen, has_geo: root.entry("geo").is_some() };
    read(root, &node, &[])
}

/// What a site's keys are held against.
struct Node<'n> {
    directory: &'n Path,
    listen: &'n [Listen],
    has_geo: bool,
}

/// The sites of the domains file, beside those that `config` has.
pub(super) fn more(root: &Section<'_>, directory: &Path, config: &Config) -> Vec<Site> {
    let node = Node { directory, listen: &config.listen, has_geo: config.geo.is_some() };
    let mut sites = read(root, &node, &config.sites);
    sites.iter_mut().for_each(|site| site.is_managed = true);
    sites
}

fn read(root: &Section<'_>, node: &Node<'_>, before: &[Site]) -> Vec<Site> {
    let sections = root.sections("site", &keys::SITE);
    if let (Some(entry), true) = (root.entry("site"), sections.len() > limits::SITES_MAX) {
        entry.refuse(format!("more than {} sites; use another node", limits::SITES_MAX));
        return Vec::new();
    }
    let hosts_of = |site: &Site| {
        let place = site.stated.place.clone();
        site.hosts.clone().into_iter().map(move |host| (host, place.clone()))
    };
    let mut taken: HashMap<String, Place> = before.iter().flat_map(hosts_of).collect();
    let site = |section| site(section, node, &mut taken);
    let sites: Vec<Site> = sections.iter().filter_map(site).collect();
    refuse_unshared(&sections, before.iter().chain(&sites));
    sites
}

/// Whose objects are shared must have any, and not one for each host.
fn refuse_unshared<'s>(sections: &[Section<'_>], sites: impl Iterator<Item = &'s Site>) {
    let known: HashMap<&str, &Site> = sites.map(|site| (site.name.as_str(), site)).collect();
    let shares =
        sections.iter().filter_map(|section| section.entry("key")?.part(&keys::KEY, "share"));
    for entry in shares {
        let Some(name) = entry.text() else { continue };
        match known.get(name).map(|site| &site.key) {
            None => entry.refuse(format!("no site is named {name:?}; write a site's first host")),
            Some(key) if key.share.is_some() => {
                entry.refuse(format!("{name:?} shares another's itself; name that one"));
            }
            Some(key) if key.by_host => entry.refuse(format!(
                "{name:?} keeps its hosts apart; give it a host, or key.by_host = false"
            )),
            Some(_) => {}
        }
    }
}

/// What a preset stands for where the site says nothing else: lifetime in ms, and finish.
pub(super) fn defaults(preset: Preset) -> (u64, Finish) {
    match preset {
        Preset::Web => (600_000, Finish::Always),
        Preset::Download => (3_600_000, Finish::Always),
        Preset::Video => (3_600_000, Finish::After(0.5)),
        Preset::Dynamic => (0, Finish::Never),
    }
}

/// A site that serves one directory to every host.
pub(super) fn directory_site(root: &Path) -> Site {
    let (default_ttl_ms, finish) = defaults(Preset::Download);
    Site {
        name: "*".to_owned(),
        hosts: vec!["*".to_owned()],
        preset: Preset::Download,
        origin: Origin::File { root: root.to_owned() },
        default_ttl_ms,
        grace_ms: limits::GRACE_MS,
        x_cache: false,
        finish,
        index: Some(INDEX_DEFAULT.to_owned()),
        status_ttl: StatusTtl::default(),
        key: KeyRules::default(),
        is_managed: false,
        stated: Stated { place: Place { file: "no file".into(), line: 0 }, keys: Vec::new() },
        rules: Vec::new(),
        pass: Pass::default(),
        sign: None,
        access: None,
        https: Https::default(),
        content: Content::default(),
        auth: None,
        shape: None,
    }
}

fn site(
    section: &Section<'_>,
    node: &Node<'_>,
    taken: &mut HashMap<String, Place>,
) -> Option<Site> {
    let presets = [
        ("web", Preset::Web),
        ("download", Preset::Download),
        ("video", Preset::Video),
        ("dynamic", Preset::Dynamic),
    ];
    let hosts = hosts(section, taken);
    let preset = section.entry("preset").and_then(|entry| entry.choice(&presets));
    let preset = preset.unwrap_or(Preset::Download);
    let (ttl_ms, finish_default) = defaults(preset);
    let ttl = section.entry("default_ttl");
    let default_ttl_ms = ttl.and_then(|entry| entry.duration_ms(0..=limits::TTL_MAX_MS));
    let grace = section.entry("grace");
    let grace_ms = grace.and_then(|entry| entry.duration_ms(0..=limits::TTL_MAX_MS));
    let x_cache = section.entry("x_cache").and_then(|entry| entry.flag());
    let finish = section.entry("finish").and_then(finish);
    let index = index(section);
    let origin = origin(section, node.directory, &hosts, node.listen);
    let status_ttl = section.entry("status_ttl").map(status_ttl).unwrap_or_default();
    let key = key(section, origin.as_ref().is_some_and(asks_by_host));
    let rules = rules(section);
    Some(Site {
        name: hosts.first()?.clone(),
        hosts,
        preset,
        origin: origin?,
        default_ttl_ms: default_ttl_ms.unwrap_or(ttl_ms),
        grace_ms: grace_ms.unwrap_or(limits::GRACE_MS),
        x_cache: x_cache.unwrap_or(false),
        finish: finish.unwrap_or(finish_default),
        index,
        status_ttl,
        key,
        is_managed: false,
        stated: section.stated(),
        rules,
        pass: pass(section),
        sign: sign(section, node.directory),
        access: access(section, node.has_geo),
        https: https(section, node.directory),
        content: content(section, node.directory),
        auth: auth(section),
        shape: shape(section),
    })
}

/// Whether what the origin answers may hang on the host that the client asks for.
fn asks_by_host(origin: &Origin) -> bool {
    let Origin::Http { host: None, addresses, .. } = origin else { return false };
    addresses.iter().any(|address| address.host_field.is_none())
}

fn hosts(section: &Section<'_>, taken: &mut HashMap<String, Place>) -> Vec<String> {
    let Some(entry) = section.required("hosts", "write hosts = [\"*\"] to take every host") else {
        return Vec::new();
    };
    let texts = entry.texts();
    if entry.is_empty_array() {
        entry.refuse("names no host; write [\"*\"] to take every host");
    }
    let mut hosts = Vec::new();
    for (entry, text) in texts {
        let Some(host) = check::host(entry, text) else { continue };
        if let Some(place) = taken.get(&host) {
            entry.refuse(format!("{host:?} is taken already at {place}; remove one"));
            continue;
        }
        taken.insert(host.clone(), entry.place());
        hosts.push(host);
    }
    hosts
}

fn pass(section: &Section<'_>) -> Pass {
    let names = |key, of: &str| -> Vec<String> {
        let Some(entry) = section.entry(key) else { return Vec::new() };
        let texts = entry.texts().into_iter();
        texts
            .filter(|(entry, text)| {
                let valid = !text.is_empty() && text.bytes().all(crate::http::is_token_byte);
                if !valid {
                    entry.refuse(format!("{text:?} is not the name of a {of}"));
                }
                valid
            })
            .map(|(_, text)| text.to_owned())
            .collect()
    };
    Pass {
        methods: names("methods", "method"),
        bypass_cookies: names("bypass_cookies", "cookie"),
        upgrade: section.entry("upgrade").and_then(|entry| entry.flag()).unwrap_or_default(),
        upgrade_timeout_ms: timeout_ms(section, "upgrade_timeout", limits::UPGRADE_TIMEOUT_MS),
    }
}

fn finish(entry: Entry<'_>) -> Option<Finish> {
    let text = entry.text()?;
    let share = text.strip_suffix('%').and_then(|share| share.trim_end().parse::<u8>().ok());
    match (text, share) {
        ("always", _) => Some(Finish::Always),
        ("never", _) => Some(Finish::Never),
        (_, Some(percent)) if percent <= 100 => Some(Finish::After(f64::from(percent) / 100.0)),
        _ => {
            entry.refuse(format!("{text:?} is not always, never or a share such as \"50%\""));
            None
        }
    }
}

fn index(section: &Section<'_>) -> Option<String> {
    let Some(entry) = section.entry("index") else { return Some(INDEX_DEFAULT.to_owned()) };
    let text = entry.text()?;
    if text.is_empty() || text == "." || text == ".." || text.contains(['/', '\0']) {
        entry.refuse(format!("{text:?} is not a file name; write \"index.html\" or \"off\""));
    }
    (text != OFF).then(|| text.to_owned())
}
