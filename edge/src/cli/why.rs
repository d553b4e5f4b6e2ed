//! `edge why`: what the guard knows of an address, and what decides about it.

use std::fmt::Write as _;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::reader::{Reader, ReaderError, table, time};
use crate::config::GuardMode;
use crate::guard::Why;

/// Explain what the guard does with an address: lists, bans, limits, connections
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// 192.0.2.7, 2001:db8::1
    address: IpAddr,
    #[command(flatten)]
    reader: Reader,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), ReaderError> {
    let maps = args.reader.maps()?;
    let (mode, why) = (maps.mode()?, maps.why(args.address)?);
    args.reader.show(|| as_json(args.address, mode, &why), || as_text(args.address, mode, &why))
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
