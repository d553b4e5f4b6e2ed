//! What the desk knows, as JSON: of one address, and of those that take most.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::node::Node;
use crate::abuse::{BucketView, ClientView, VisitView, WhyView};
use crate::clock::Now;
use crate::config::{Limit, LimitThen, size_text};
use crate::guard::Prefix;
use crate::metrics::Outcome;

/// Verdicts told of one client.
const VERDICTS_SHOWN: usize = 20;
/// Rows of each table of [`Node::top_json`].
const TOP_ROWS: usize = 50;

impl Node {
    /// One address, explained.
    pub(super) fn why_json(&self, address: IpAddr) -> Value {
        let now = Now::read();
        let why = self.desk.why(address, now);
        let history = self.history.of(address);
        let history = history.iter().take(VERDICTS_SHOWN).map(|verdict| {
            json!({
                "rule": verdict.rule.on.as_str(),
                "threshold": threshold(&verdict.rule),
                "then": then(&verdict.rule),
                "object": verdict.object,
                "enforced": verdict.enforced,
                "ago_ms": now.mono_ms.saturating_sub(verdict.at.mono_ms),
            })
        });
        let (stops, decision) = decision(&why, now);
        json!({
            "address": address.to_string(),
            "client": prefix(why.client, why.prefix_bits),
            "decision": decision,
            "stops": stops,
            "exempt": why.exempt,
            "enforced": why.enforced,
            "account": why.account.as_ref().map(client),
            "buckets": why.buckets.iter().map(bucket).collect::<Vec<_>>(),
            "objects": why.visits.iter().map(visit).collect::<Vec<_>>(),
            "history": history.collect::<Vec<_>>(),
        })
    }

    /// Who and what takes most, and the sums.
    pub(super) fn top_json(&self) -> Value {
        let now = Now::read();
        let worker =
            |field: fn(&crate::metrics::WorkerMetrics) -> &crate::metrics::LocalCounter| {
                self.metrics.workers.iter().map(|worker| field(worker).value()).sum::<u64>()
            };
        let sites = self.sites.load();
        let outcome = |outcome: Outcome| {
            let shards = sites.iter().flat_map(|site| site.metrics.shards());
            shards.map(|shard| shard.requests[outcome as usize].value()).sum::<u64>()
        };
        let origin: u64 = sites.iter().map(|site| site.metrics.fill.origin_bytes.value()).sum();
        let objects = self.desk.top_objects(TOP_ROWS, now);
        let objects = objects.iter().map(|object| {
            json!({
                "name": object.name,
                "requests": object.requests,
                "sent_bytes": object.sent_bytes,
                "recent_bytes": object.recent_bytes,
            })
        });
        let clients = self.desk.top_clients(TOP_ROWS, now);
        let mut by_site: Vec<Value> = sites.iter().map(|site| site_row(site)).collect();
        by_site.sort_by_key(|row| std::cmp::Reverse(row["sent_bytes"].as_u64()));
        by_site.truncate(TOP_ROWS);
        let mode = self.lock_guard().state().mode;
        json!({
            "at_ms": now.mono_ms,
            "guard": mode.map_or("off", crate::config::GuardMode::as_str),
            "conns": self.metrics.conns_open(),
            "requests": worker(|m| &m.requests),
            "sent_bytes": worker(|m| &m.sent_bytes),
            "origin_bytes": origin,
            "outcomes": by_outcome(Outcome::ALL.map(outcome)),
            "verdicts": self.verdict_rows(),
            "drops": self.drop_rows(),
            "clients": clients.iter().map(client).collect::<Vec<_>>(),
            "objects": objects.collect::<Vec<_>>(),
            "sites": by_site,
        })
    }

    /// Clients stopped, by rule; those that ever stopped one.
    fn verdict_rows(&self) -> Vec<Value> {
        let row = |(on, counts): (crate::config::LimitOn, &crate::abuse::VerdictCounts)| {
            let (limited, banned) = (counts.limited.value(), counts.banned.value());
            let observed = counts.observed.value();
            (limited + banned + observed > 0).then(|| {
                json!({
                    "rule": on.as_str(),
                    "limited": limited,
                    "banned": banned,
                    "observed": observed,
                })
            })
        };
        self.desk.verdict_counts().filter_map(row).collect()
    }

    /// Packets the kernel program judged to be dropped, by reason.
    fn drop_rows(&self) -> Vec<Value> {
        let guard = self.lock_guard();
        let totals = guard.maps().and_then(|maps| maps.totals().ok()).unwrap_or_default();
        let dropping = totals.iter().filter(|total| total.drops && total.packets > 0);
        dropping
            .map(|total| {
                json!({
                    "reason": total.reason,
                    "packets": total.packets,
                    "dropped_packets": total.dropped_packets,
                    "dropped_bytes": total.dropped_bytes,
                })
            })
            .collect()
    }
}

/// Bytes of a site by their cause.
fn site_row(site: &crate::site::Site) -> Value {
    let sent = |outcome: Outcome| -> u64 {
        site.metrics.shards().map(|shard| shard.sent_bytes[outcome as usize].value()).sum()
    };
    let sent = Outcome::ALL.map(sent);
    let dropped: u64 = site.metrics.shards().map(|shard| shard.dropped_bytes.value()).sum();
    json!({
        "site": site.config.name,
        "sent_bytes": sent.iter().sum::<u64>(),
        "by_outcome": by_outcome(sent),
        "origin_bytes": site.metrics.fill.origin_bytes.value(),
        "wasted_bytes": site.metrics.fill.wasted_bytes.value(),
        "dropped_bytes": dropped,
    })
}

/// Whether anything is refused, and by what.
fn decision(why: &WhyView, now: Now) -> (bool, String) {
    let wait = |ms: u64| format!("{} s", ms.div_ceil(1000));
    if why.exempt {
        return (false, "passes: it is under no limit (guard.allow, or loopback)".to_owned());
    }
    if let Some((rule, until_ms)) = &why.banned {
        let rule = rule.as_ref().map_or_else(|| "a former rule".to_owned(), said);
        let left_ms = until_ms.saturating_sub(now.mono_ms);
        return (true, format!("banned: {rule}; ends in {}", wait(left_ms)));
    }
    let over = |bucket: &&BucketView| bucket.over_ms.is_some();
    let verb = if why.enforced { "limited" } else { "would be limited" };
    if let Some(bucket) = why.buckets.iter().find(over) {
        let left_ms = bucket.over_ms.unwrap_or(0);
        let text = format!("{verb}: {}; ends in {}", said(&bucket.rule), wait(left_ms));
        return (why.enforced, text);
    }
    for visit in &why.visits {
        if let Some(bucket) = visit.buckets.iter().find(over) {
            let left_ms = bucket.over_ms.unwrap_or(0);
            let burst = size_or_number(&bucket.rule, bucket.burst);
            let text = format!(
                "{verb}: {}, here {burst} at once, at {}; ends in {}",
                said(&bucket.rule),
                visit.object,
                wait(left_ms)
            );
            return (why.enforced, text);
        }
    }
    (false, "passes: within every limit".to_owned())
}

/// A rule and its threshold, in words.
fn said(rule: &Limit) -> String {
    format!("rule {}: {}", rule.on.as_str(), threshold(rule))
}

fn threshold(rule: &Limit) -> String {
    let per_s = size_or_number(rule, rule.rate.per_s);
    let burst = size_or_number(rule, rule.rate.burst);
    match rule.copies {
        0 => format!("{per_s} a second after {burst} at once"),
        copies => format!("{per_s} a second after {burst} or {copies} copies at once"),
    }
}

fn size_or_number(rule: &Limit, units: u64) -> String {
    if rule.on.is_bytes() { size_text(units) } else { units.to_string() }
}

fn then(rule: &Limit) -> Value {
    match rule.then {
        LimitThen::Refuse => json!("refuse"),
        LimitThen::Ban { for_ms } => json!({ "ban_ms": for_ms }),
    }
}

fn prefix(address: IpAddr, bits: u8) -> String {
    Prefix::network(address, bits).to_string()
}

fn client(client: &ClientView) -> Value {
    json!({
        "client": prefix(client.address, client.prefix_bits),
        "conns": client.conns,
        "requests": client.requests,
        "refused": client.refused,
        "sent_bytes": client.sent_bytes,
        "by_outcome": by_outcome(client.by_outcome),
        "dropped_bytes": client.dropped_bytes,
        "recent_bytes": client.recent_bytes,
        "banned": client.banned_until_ms.is_some(),
    })
}

fn by_outcome(numbers: [u64; Outcome::ALL.len()]) -> Value {
    let named = Outcome::ALL.into_iter().zip(numbers);
    named.map(|(outcome, number)| (outcome.as_str().to_owned(), json!(number))).collect()
}

fn bucket(bucket: &BucketView) -> Value {
    json!({
        "rule": bucket.rule.on.as_str(),
        "then": then(&bucket.rule),
        "per_s": bucket.rule.rate.per_s,
        "burst": bucket.burst,
        "left": bucket.left,
        "full_in_ms": bucket.full_in_ms,
        "over_ms": bucket.over_ms,
    })
}

fn visit(visit: &VisitView) -> Value {
    json!({
        "object": visit.object,
        "size_bytes": visit.size_bytes,
        "conns": visit.conns,
        "requests": visit.requests,
        "sent_bytes": visit.sent_bytes,
        "buckets": visit.buckets.iter().map(bucket).collect::<Vec<_>>(),
    })
}
