//! What is shown of origins: who is up, what was asked of them, and what went wrong.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use super::explain::{Lines, source};
use super::node::Node;
use crate::config::{self, Origin, duration_text};
use crate::fill::{Groups, Served};
use crate::metrics::prometheus::{Family, Kind, counter};
use crate::origin::Failure;
use crate::origin::group::{Counts, Shown};

/// Tells the fill plane of the origins of `config`, and of its name servers.
///
/// # Errors
/// A file that a site names cannot be used: says which, and of which site.
pub(super) fn install(groups: &Groups, config: &config::Config) -> Result<(), String> {
    groups.install(&config.sites).map_err(|(site, error)| format!("site {site}: {error}"))?;
    groups.names.configure(&config.server.resolver);
    Ok(())
}

impl Node {
    /// Every site's origins with more than one address, and those that are down.
    pub(super) fn origins_shown(&self) -> Value {
        let all = self.fills.plane.groups().all();
        let mut sites: Vec<_> = all.iter().collect();
        sites.sort_unstable_by_key(|(name, _)| *name);
        let shown = |(site, served): (&String, &std::sync::Arc<Served>)| {
            let members = served.group.shown();
            let members: Vec<Value> = members.iter().map(member).collect();
            json!({ "site": site, "origins": members })
        };
        sites.into_iter().map(shown).collect()
    }

    /// Metrics of each address.
    pub(super) fn origin_families(&self, out: &mut String) {
        let all = self.fills.plane.groups().all();
        let mut sites: Vec<_> = all.iter().collect();
        sites.sort_unstable_by_key(|(name, _)| *name);
        let help = "1 while an origin's address is asked before those that are down.";
        let mut family = Family::begin(out, "edge_origin_up", Kind::Gauge, help);
        for (site, served) in &sites {
            for shown in served.group.shown() {
                let labels = [("site", site.as_str()), ("origin", &shown.label)];
                family.sample(&labels, u64::from(shown.is_up));
            }
        }
        for (name, kind, help, value) in FIELDS {
            let mut family = Family::begin(out, name, kind, help);
            for (site, served) in &sites {
                for position in 0..served.group.addresses().len() {
                    let labels =
                        [("site", site.as_str()), ("origin", served.group.label(position))];
                    family.sample(&labels, value(served.group.counts(position)));
                }
            }
        }
        let help = "Requests to an origin's address that failed, by what went wrong.";
        let name = "edge_origin_failures_total";
        let mut family = Family::begin(out, name, Kind::Counter, help);
        for (site, served) in &sites {
            for position in 0..served.group.addresses().len() {
                let origin = served.group.label(position);
                let counts = served.group.counts(position);
                // Most never happen: what did not is not shown.
                for (reason, count) in Failure::KINDS.iter().zip(&counts.failures) {
                    if count.value() > 0 {
                        let labels = [("site", site.as_str()), ("origin", origin)];
                        let labels = [labels[0], labels[1], ("reason", reason)];
                        family.sample(&labels, count.value());
                    }
                }
            }
        }
        let names = &self.fills.plane.groups().names;
        for (name, help, value) in [
            ("edge_dns_lookups_total", "Names of origins asked for.", &names.lookups),
            ("edge_dns_failures_total", "Of those, not answered.", &names.failures),
            ("edge_dns_stale_total", "Of those, for which the last answer was used.", &names.stale),
        ] {
            counter(out, name, help, value.value());
        }
    }

    /// What decides about asking the origin of `site`.
    pub(super) fn origin_lines(&self, lines: &mut Lines, site: &config::Site) {
        let Origin::Http { host, connect_timeout_ms, read_timeout_ms, retries, policy, .. } =
            &site.origin
        else {
            return;
        };
        let host = host.as_deref().unwrap_or("the client's");
        lines.say("site", format!("host {host}"), source(site, "host"));
        let connect = format!("connect_timeout {}", duration_text(*connect_timeout_ms));
        lines.say("site", connect, source(site, "connect_timeout"));
        let read = format!("read_timeout {}", duration_text(*read_timeout_ms));
        lines.say("site", read, source(site, "read_timeout"));
        lines.say("site", format!("retries {retries}"), source(site, "retries"));
        let ranges = format!("range_fetch {}", policy.range_fetch.as_str());
        lines.say("site", ranges, source(site, "range_fetch"));
        if policy.redirects.hops > 0 {
            let hops = format!("follow_redirects {}", policy.redirects.hops);
            lines.say("site", hops, source(site, "follow_redirects"));
        }
        let all = self.fills.plane.groups().all();
        let Some(served) = all.get(&site.name) else { return };
        for shown in served.group.shown() {
            let since = shown.since_unix_ms;
            let state = match (shown.is_up, since) {
                (true, _) => "up".to_owned(),
                (false, since) => {
                    let now = crate::clock::Now::read().unix_ms;
                    let for_s = now.saturating_sub(since) / 1_000;
                    format!("down for {for_s} s: {}", shown.reason)
                }
            };
            let Shown { label, priority, weight, .. } = &shown;
            let text = format!("{label}, priority {priority}, weight {weight}: {state}");
            lines.say("origin", text, source(site, "health"));
        }
    }
}

fn member(shown: &Shown) -> Value {
    json!({
        "origin": shown.label,
        "priority": shown.priority,
        "weight": shown.weight,
        "up": shown.is_up,
        "since_unix_ms": shown.since_unix_ms,
        "reason": shown.reason,
    })
}

type Field = (&'static str, Kind, &'static str, fn(&Counts) -> u64);

const FIELDS: [Field; 4] = [
    ("edge_origin_address_requests_total", Kind::Counter, "Requests to an address.", |counts| {
        counts.requests.value()
    }),
    (
        "edge_origin_address_waiting",
        Kind::Gauge,
        "Requests to an address that wait for the head of its answer.",
        |counts| counts.active.load(Relaxed),
    ),
    ("edge_origin_downs_total", Kind::Counter, "Times an address went down.", |counts| {
        counts.downs.value()
    }),
    ("edge_origin_probe_failures_total", Kind::Counter, "Probes that failed.", |counts| {
        counts.probes_failed.value()
    }),
];
