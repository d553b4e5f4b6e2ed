//! `edge why`: what the guard knows of an address, and what decides about it.

use std::fmt::Write as _;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::reader::{Reader, bytes, table, time};
use super::{CliError, Node};
use crate::config::GuardMode;
use crate::guard::Why;

/// Explain what the guard does with an address: lists, bans, limits, connections
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// 192.0.2.7, 2001:db8::1
    address: IpAddr,
    /// The node's admin address or socket
    #[arg(long, value_name = "ADDR|SOCKET", env = "EDGE_ADMIN", default_value = Node::DEFAULT)]
    admin: Node,
    #[command(flatten)]
    reader: Reader,
}

/// Runs the command. The kernel's maps and the node's own accounts are asked; one of them is enough.
pub fn run(args: Args) -> Result<(), CliError> {
    let (json, text) = ask(args.address, &args.admin, &args.reader)?;
    Ok(args.reader.show(|| json, || text)?)
}

/// What is known of an address, as JSON and as text.
pub(super) fn ask(
    address: IpAddr,
    admin: &Node,
    reader: &Reader,
) -> Result<(Value, String), CliError> {
    let engine = admin.json(&format!("/why?address={address}"));
    let kernel = reader.maps().and_then(|maps| Ok((maps.mode()?, maps.why(address)?)));
    match (kernel, engine) {
        (Ok((mode, why)), engine) => {
            let engine = engine.ok();
            let json = with_engine(as_json(address, mode, &why), engine.as_ref());
            Ok((json, both(address, mode, &why, engine.as_ref())))
        }
        (Err(kernel), Ok(engine)) => {
            let note = format!("kernel: {kernel}\n");
            let text = format!("{address} {}\n{note}{}", said(&engine), engine_text(&engine));
            let json = json!({ "address": address, "decision": said(&engine), "engine": engine });
            Ok((json, text))
        }
        (Err(kernel), Err(_)) => Err(kernel.into()),
    }
}

/// What both know: a rule of the engine that stops the client tells more than the ban it led to.
fn both(address: IpAddr, mode: GuardMode, why: &Why, engine: Option<&Value>) -> String {
    let Some(engine) = engine else { return as_text(address, mode, why) };
    let text = as_text(address, mode, why);
    let (kernel_says, rest) = text.split_once('\n').unwrap_or((&text, ""));
    match engine["stops"] == true {
        true => format!("{address} {}\n{kernel_says}\n{rest}{}", said(engine), engine_text(engine)),
        false => format!("{text}{}", engine_text(engine)),
    }
}

fn with_engine(mut json: Value, engine: Option<&Value>) -> Value {
    if let Some(engine) = engine {
        if engine["stops"] == true {
            json["decision"] = engine["decision"].clone();
        }
        json["engine"] = engine.clone();
    }
    json
}

fn said(engine: &Value) -> &str {
    engine["decision"].as_str().unwrap_or("unknown to the node")
}

/// The engine's accounts, buckets that are in use, and what was decided before.
fn engine_text(engine: &Value) -> String {
    let mut text = String::new();
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let account = &engine["account"];
    if account.is_object() {
        let _ = writeln!(
            text,
            "requests {}, of them refused {}; sent {}, of that never arrived {}",
            number(&account["requests"]),
            number(&account["refused"]),
            bytes(number(&account["sent_bytes"])),
            bytes(number(&account["dropped_bytes"])),
        );
    }
    let none = Vec::new();
    let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let own = list(&engine["buckets"]).into_iter().map(|bucket| ("-".to_owned(), bucket));
    let objects = engine["objects"].as_array().unwrap_or(&none);
    let theirs = objects.iter().flat_map(|object| {
        let name = plain(&object["object"]);
        list(&object["buckets"]).into_iter().map(move |bucket| (name.clone(), bucket))
    });
    let in_use = own.chain(theirs).filter(|(_, bucket)| number(&bucket["full_in_ms"]) > 0);
    let rows: Vec<_> = in_use
        .map(|(object, bucket)| {
            let numbers = ["left", "burst", "per_s"].map(|key| number(&bucket[key]).to_string());
            let [left, burst, per_s] = numbers;
            let over = bucket["over_ms"].as_u64().map_or("-".to_owned(), time);
            [plain(&bucket["rule"]), left, burst, per_s, over, object]
        })
        .collect();
    if !rows.is_empty() {
        let heads = ["RULE", ">LEFT", ">BURST", ">PER SECOND", ">OVER FOR", "OBJECT"];
        text.push_str(&table(heads, &rows));
    }
    for verdict in engine["history"].as_array().unwrap_or(&none) {
        let then = if verdict["then"] == "refuse" { "limited" } else { "banned" };
        let then = if verdict["enforced"] == true { then } else { "observed" };
        let _ = writeln!(
            text,
            "{} ago {then}: {} ({}) at {}",
            time(number(&verdict["ago_ms"])),
            plain(&verdict["rule"]),
            plain(&verdict["threshold"]),
            plain(&verdict["object"]),
        );
    }
    text
}

/// A node's words may hold a client's bytes: none may steer the terminal.
fn plain(value: &Value) -> String {
    value.as_str().unwrap_or("-").replace(char::is_control, "\u{fffd}")
}

/// What decides, in one line.
fn decision(why: &Why) -> String {
    if let Some(prefix) = why.allowed.last() {
        return format!("passes: {prefix} is on the allow list");
    }
    if let Some(ban) = why.bans.last() {
        let end = match ban.remaining_ms {
            Some(remaining_ms) => format!("ends in {}", time(remaining_ms)),
            None => "does not end by itself".to_owned(),
        };
        return format!("dropped: {} is banned ({}), {end}", ban.prefix, ban.reason);
    }
    if let Some(max) = why.conns_max.filter(|max| why.conns >= *max) {
        return format!("gets no more connections: it holds {} of {max}", why.conns);
    }
    match why.buckets.iter().find(|bucket| bucket.left == 0) {
        Some(bucket) => format!(
            "limited now: {} over {} a second, full again in {}",
            bucket.reason,
            bucket.per_s,
            time(bucket.full_in_ms)
        ),
        None => "passes: nothing speaks against it".to_owned(),
    }
}

fn as_text(address: IpAddr, mode: GuardMode, why: &Why) -> String {
    let mut text = format!("{address} {}\n", decision(why));
    if mode != GuardMode::Enforce {
        let _ = writeln!(text, "the guard is in mode {}: nothing is dropped", mode.as_str());
    }
    let proven = match why.proven {
        true => "has finished a handshake",
        false => "has finished no handshake, and may share its limits",
    };
    let _ = writeln!(text, "client {}: {proven}; {} connections", why.client, why.conns);
    match why.limited {
        Some(limited) => {
            let _ = writeln!(
                text,
                "over a limit: {} packets, the last {} ago ({})",
                why.limited_packets,
                time(limited.ago_ms),
                limited.reason
            );
        }
        None => text.push_str("never over a limit\n"),
    }
    let rows: Vec<_> = why
        .buckets
        .iter()
        .map(|bucket| {
            let numbers =
                [bucket.left, bucket.burst, bucket.per_s].map(|number| number.to_string());
            let [left, burst, per_s] = numbers;
            [bucket.reason.to_owned(), left, burst, per_s]
        })
        .collect();
    text.push_str(&table(["LIMIT", ">LEFT", ">BURST", ">PER SECOND"], &rows));
    text
}

fn as_json(address: IpAddr, mode: GuardMode, why: &Why) -> Value {
    let bans = why.bans.iter().map(|ban| {
        json!({
            "prefix": ban.prefix.to_string(),
            "reason": ban.reason,
            "remaining_ms": ban.remaining_ms,
        })
    });
    let buckets = why.buckets.iter().map(|bucket| {
        json!({
            "reason": bucket.reason,
            "left": bucket.left,
            "burst": bucket.burst,
            "per_s": bucket.per_s,
            "full_in_ms": bucket.full_in_ms,
        })
    });
    json!({
        "address": address.to_string(),
        "mode": mode.as_str(),
        "decision": decision(why),
        "allowed": why.allowed.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "bans": bans.collect::<Vec<_>>(),
        "client": why.client.to_string(),
        "proven": why.proven,
        "conns": why.conns,
        "conns_max": why.conns_max,
        "buckets": buckets.collect::<Vec<_>>(),
        "limited_packets": why.limited_packets,
        "limited": why.limited.map(|last| json!({ "reason": last.reason, "ago_ms": last.ago_ms })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{BanRow, BucketRow, LimitedRow};

    fn nothing() -> Why {
        let bucket = BucketRow { reason: "syn_rate", left: 5, burst: 5, per_s: 10, full_in_ms: 0 };
        Why {
            allowed: Vec::new(),
            bans: Vec::new(),
            client: "192.0.2.7".parse().unwrap(),
            proven: true,
            conns: 2,
            conns_max: Some(10),
            buckets: vec![bucket],
            limited_packets: 0,
            limited: None,
        }
    }

    fn ban(remaining_ms: Option<u64>) -> BanRow {
        let prefix = "192.0.2.0/24".parse().unwrap();
        BanRow { prefix, reason: "abuse", remaining_ms, packets: 0, bytes: 0 }
    }

    #[test]
    fn what_decides_comes_first() {
        let empty = BucketRow { left: 0, full_in_ms: 61_000, ..nothing().buckets[0] };
        let allowed = vec!["192.0.2.0/24".parse().unwrap()];
        for (why, said) in [
            (nothing(), "passes: nothing speaks against it"),
            (Why { conns: 10, ..nothing() }, "gets no more connections: it holds 10 of 10"),
            (
                Why { buckets: vec![empty], ..nothing() },
                "limited now: syn_rate over 10 a second, full again in 1m01s",
            ),
            (
                Why { bans: vec![ban(Some(61_000))], buckets: vec![empty], ..nothing() },
                "dropped: 192.0.2.0/24 is banned (abuse), ends in 1m01s",
            ),
            (
                Why { bans: vec![ban(None)], ..nothing() },
                "dropped: 192.0.2.0/24 is banned (abuse), does not end by itself",
            ),
            (
                Why { allowed, bans: vec![ban(None)], ..nothing() },
                "passes: 192.0.2.0/24 is on the allow list",
            ),
        ] {
            assert_eq!(decision(&why), said);
        }
    }

    #[test]
    fn the_engine_names_rule_threshold_and_history() {
        let bucket = json!({ "rule": "object_bytes", "left": 0, "burst": 9, "per_s": 3,
            "full_in_ms": 7_000, "over_ms": 4_000 });
        let verdict = json!({ "rule": "object_bytes", "threshold": "3 B a second", "then": "refuse",
            "object": "a /f\u{1b}[2J", "enforced": true, "ago_ms": 2_000 });
        let engine = json!({
            "decision": "limited: rule object_bytes", "stops": true, "buckets": [],
            "objects": [{ "object": "a /f", "buckets": [bucket] }], "history": [verdict],
        });
        let address = "192.0.2.7".parse().unwrap();
        let text = both(address, GuardMode::Enforce, &nothing(), Some(&engine));
        assert!(
            text.starts_with("192.0.2.7 limited: rule object_bytes\n192.0.2.7 passes"),
            "{text}"
        );
        assert!(text.contains("object_bytes     0      9           3        4s  a /f\n"), "{text}");
        let history = "2s ago limited: object_bytes (3 B a second) at a /f\u{fffd}[2J\n";
        assert!(text.ends_with(history), "{text}");
        let json = with_engine(as_json(address, GuardMode::Enforce, &nothing()), Some(&engine));
        assert_eq!(json["decision"], "limited: rule object_bytes");
    }

    #[test]
    fn the_last_excess_and_the_mode_are_told() {
        let limited = Some(LimitedRow { reason: "syn_rate", ago_ms: 3_000 });
        let why = Why { limited_packets: 7, limited, ..nothing() };
        let address = "192.0.2.7".parse().unwrap();
        let text = as_text(address, GuardMode::Observe, &why);
        assert!(text.contains("over a limit: 7 packets, the last 3s ago (syn_rate)"), "{text}");
        assert!(text.contains("mode observe: nothing is dropped"), "{text}");
        let json = as_json(address, GuardMode::Enforce, &why);
        assert_eq!(
            (&json["limited"]["ago_ms"], &json["client"]),
            (&json!(3_000), &json!("192.0.2.7"))
        );
        assert_eq!(json["buckets"][0]["left"], 5);
    }
}
