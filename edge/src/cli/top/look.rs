//! One look at a node, and what changed from one to the next.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::reader::{bytes, table};

/// What `GET /top` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Monotonic, of the node.
    pub at_ms: u64,
    /// The guard's mode; `off` without one.
    pub guard: String,
    /// Connections open.
    pub conns: u64,
    pub requests: u64,
    pub sent_bytes: u64,
    pub origin_bytes: u64,
    /// Requests by outcome.
    pub outcomes: Vec<(String, u64)>,
    /// Those that take most, the busiest of late first.
    pub clients: Vec<Taker>,
    pub objects: Vec<Taker>,
    /// Packets by reason.
    pub drops: Vec<Drops>,
    /// Clients stopped by the node, by rule.
    pub verdicts: Vec<(String, u64)>,
}

/// A client or an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Taker {
    pub name: String,
    pub conns: u64,
    pub requests: u64,
    pub refused: u64,
    pub sent_bytes: u64,
    pub banned: bool,
}

/// Packets that one reason speaks against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Drops {
    pub reason: String,
    pub packets: u64,
    pub dropped: u64,
}

/// Changes from one look to the next, a second each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Between the looks.
    pub interval_ms: u64,
    pub requests: u64,
    pub sent_bytes: u64,
    pub origin_bytes: u64,
    /// Packets that a reason speaks against, in any mode.
    pub dropped: u64,
    /// Of the requests for objects, those that no origin was needed for; `None`: there were none.
    pub hit_percent: Option<u64>,
    /// Bytes sent to each client, and of each object, in the order of the look.
    pub clients: Vec<u64>,
    pub objects: Vec<u64>,
    /// Packets by reason, in the order of the look.
    pub drops: Vec<u64>,
}

impl Look {
    pub fn of(value: &Value) -> Look {
        let number = |key: &str| value[key].as_u64().unwrap_or(0);
        let outcomes = value["outcomes"].as_object().into_iter().flatten();
        let drops = rows(&value["drops"]).map(|row| Drops {
            reason: text(&row["reason"]),
            packets: row["packets"].as_u64().unwrap_or(0),
            dropped: row["dropped_packets"].as_u64().unwrap_or(0),
        });
        let verdicts = rows(&value["verdicts"]).map(|row| {
            let kinds = ["limited", "banned", "observed"];
            (text(&row["rule"]), kinds.iter().filter_map(|kind| row[kind].as_u64()).sum())
        });
        Look {
            at_ms: number("at_ms"),
            guard: value["guard"].as_str().unwrap_or("off").to_owned(),
            conns: number("conns"),
            requests: number("requests"),
            sent_bytes: number("sent_bytes"),
            origin_bytes: number("origin_bytes"),
            outcomes: outcomes
                .map(|(name, count)| (name.clone(), count.as_u64().unwrap_or(0)))
                .collect(),
            clients: rows(&value["clients"]).map(|row| Taker::of(row, "client")).collect(),
            objects: rows(&value["objects"]).map(|row| Taker::of(row, "name")).collect(),
            drops: drops.collect(),
            verdicts: verdicts.collect(),
        }
    }
}

impl Taker {
    fn of(row: &Value, name: &str) -> Taker {
        let number = |key: &str| row[key].as_u64().unwrap_or(0);
        Taker {
            name: text(&row[name]),
            conns: number("conns"),
            requests: number("requests"),
            refused: number("refused"),
            sent_bytes: number("sent_bytes"),
            banned: row["banned"] == true,
        }
    }
}

impl Rates {
    pub fn between(before: &Look, now: &Look) -> Rates {
        let interval_ms = now.at_ms.saturating_sub(before.at_ms);
        // A node that was started anew counts from nought: there is no rate then.
        let rate = |then: u64, now: u64| {
            let change = u128::from(now.saturating_sub(then)) * 1000;
            (change / u128::from(interval_ms.max(1))) as u64
        };
        let of = |then: &[Taker], now: &[Taker]| -> Vec<u64> {
            let change = |row: &Taker| {
                let past = then.iter().find(|past| past.name == row.name);
                past.map_or(0, |past| rate(past.sent_bytes, row.sent_bytes))
            };
            now.iter().map(change).collect()
        };
        let drops = now.drops.iter().map(|row| {
            let past = before.drops.iter().find(|past| past.reason == row.reason);
            rate(past.map_or(0, |past| past.packets), row.packets)
        });
        let drops: Vec<u64> = drops.collect();
        Rates {
            interval_ms,
            requests: rate(before.requests, now.requests),
            sent_bytes: rate(before.sent_bytes, now.sent_bytes),
            origin_bytes: rate(before.origin_bytes, now.origin_bytes),
            dropped: drops.iter().sum(),
            hit_percent: hit_percent(before, now),
            clients: of(&before.clients, &now.clients),
            objects: of(&before.objects, &now.objects),
            drops,
        }
    }
}

fn hit_percent(before: &Look, now: &Look) -> Option<u64> {
    let change = |wanted: fn(&str) -> bool| -> u64 {
        let sum = |look: &Look| -> u64 {
            look.outcomes.iter().filter(|(name, _)| wanted(name)).map(|(_, count)| count).sum()
        };
        sum(now).saturating_sub(sum(before))
    };
    let all = change(|name| name != "local");
    let hits = change(|name| matches!(name, "hit" | "stale" | "revalidated"));
    (hits * 100).checked_div(all)
}

/// For scripts and for people without a terminal.
pub(super) fn as_text(look: &Look, rates: &Rates, most: usize) -> String {
    let hits = rates.hit_percent.map_or("-".to_owned(), |percent| format!("{percent} %"));
    let mut out = format!(
        "sent {}/s  requests {}/s  hits {hits}  from origins {}/s  connections {}  guard {}\n",
        bytes(rates.sent_bytes),
        rates.requests,
        bytes(rates.origin_bytes),
        look.conns,
        look.guard,
    );
    let takers = |rows: &[Taker], rates: &[u64]| -> Vec<[String; 4]> {
        let both = rows.iter().zip(rates).take(most);
        both.map(|(row, rate)| {
            let requests = row.requests.to_string();
            [format!("{}/s", bytes(*rate)), bytes(row.sent_bytes), requests, row.name.clone()]
        })
        .collect()
    };
    let clients = takers(&look.clients, &rates.clients);
    out.push_str(&table([">NOW", ">SENT", ">REQUESTS", "CLIENT"], &clients));
    let objects = takers(&look.objects, &rates.objects);
    out.push_str(&table([">NOW", ">SENT", ">REQUESTS", "OBJECT"], &objects));
    for (row, rate) in look.drops.iter().zip(&rates.drops) {
        let Drops { reason, packets, dropped } = row;
        let _ = writeln!(out, "{reason}: {packets} packets, {dropped} dropped, {rate}/s");
    }
    for (rule, times) in &look.verdicts {
        let _ = writeln!(out, "rule {rule}: {times} times");
    }
    out
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// What came over the wire may hold a client's bytes: none may steer the terminal.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").replace(char::is_control, "\u{fffd}")
}
