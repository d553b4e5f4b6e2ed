//! `edge bans`, `edge ban`, `edge unban`: whose packets are dropped.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use edge_common::reason;
use serde_json::{Value, json};

use super::reader::{Reader, ReaderError, bytes, table, time};
use crate::guard::{BanRow, Prefix};

/// List bans and the denied prefixes of the configuration
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    reader: Reader,
}

/// Drop every packet from an address or prefix, from now on
#[derive(Clone, Debug, clap::Args)]
pub struct BanArgs {
    /// 192.0.2.7, 192.0.2.0/24, 2001:db8::/32
    prefix: Prefix,
    /// Until when: 90s, 10m, 1h, 7d [default: until `edge unban`]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    lasting: Option<Duration>,
    /// Why; shown by `edge bans`, counted by `edge drops`
    #[arg(long, default_value = reason::as_str(reason::OPERATOR), value_parser = reasons())]
    reason: String,
    #[command(flatten)]
    reader: Reader,
}

/// End a ban
#[derive(Clone, Debug, clap::Args)]
pub struct UnbanArgs {
    /// As it was banned
    prefix: Prefix,
    #[command(flatten)]
    reader: Reader,
}

/// Runs `edge bans`.
pub fn run(args: Args) -> Result<(), ReaderError> {
    let bans = args.reader.maps()?.bans()?;
    args.reader.show(|| bans.iter().map(as_json).collect(), || as_text(&bans))
}

/// Runs `edge ban`.
pub fn ban(args: BanArgs) -> Result<(), ReaderError> {
    let number = reason::parse(&args.reason).unwrap_or(reason::OPERATOR);
    args.reader.maps()?.ban(args.prefix, number, args.lasting)?;
    let lasting_ms = args.lasting.map(|lasting| lasting.as_millis() as u64);
    let prefix = args.prefix;
    args.reader.show(
        || json!({ "banned": prefix.to_string(), "reason": args.reason, "for_ms": lasting_ms }),
        || match lasting_ms {
            Some(lasting_ms) => format!("banned {prefix} for {}\n", time(lasting_ms)),
            None => format!("banned {prefix} until `edge unban {prefix}`\n"),
        },
    )
}

/// Runs `edge unban`.
pub fn unban(args: UnbanArgs) -> Result<(), ReaderError> {
    args.reader.maps()?.unban(args.prefix)?;
    let prefix = args.prefix.to_string();
    args.reader.show(|| json!({ "unbanned": prefix }), || format!("unbanned {prefix}\n"))
}

fn as_text(bans: &[BanRow]) -> String {
    let rows: Vec<_> = bans
        .iter()
        .map(|ban| {
            [
                ban.prefix.to_string(),
                ban.reason.to_owned(),
                ban.remaining_ms.map_or("no end".to_owned(), time),
                ban.packets.to_string(),
                bytes(ban.bytes),
            ]
        })
        .collect();
    table(["PREFIX", "REASON", ">ENDS IN", ">PACKETS", ">BYTES"], &rows)
}

fn as_json(ban: &BanRow) -> Value {
    json!({
        "prefix": ban.prefix.to_string(),
        "reason": ban.reason,
        "remaining_ms": ban.remaining_ms,
        "packets": ban.packets,
        "bytes": ban.bytes,
    })
}

/// What a person may give as reason: every reason of an entry but the configuration's own.
fn reasons() -> PossibleValuesParser {
    let by_hand = |number: u32| reason::is_of_entry(number) && number != reason::CONFIG;
    let names = reason::NAMES.iter().filter(move |(number, _)| by_hand(*number));
    PossibleValuesParser::new(names.map(|(_, name)| *name))
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let form = || "write a number and a unit: 90s, 10m, 1h, 7d".to_owned();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit_s = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(form()),
    };
    let count: u64 = digits.parse().map_err(|_| form())?;
    match count.checked_mul(unit_s) {
        Some(0) => Err("a ban lasts at least 1s".to_owned()),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err("too long: leave --for out for a ban without end".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: BanArgs,
    }

    fn parse(line: &str) -> Result<BanArgs, String> {
        let words = ["ban"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn a_ban_is_read_as_people_write_it() {
        let args = parse("192.0.2.0/24 --for 10m --reason scan --json").unwrap();
        assert_eq!(args.prefix.to_string(), "192.0.2.0/24");
        assert_eq!(args.lasting, Some(Duration::from_secs(600)));
        assert_eq!((args.reason.as_str(), args.reader.json), ("scan", true));
        let args = parse("2001:db8::1").unwrap();
        assert_eq!((args.lasting, args.reason.as_str()), (None, "operator"));
        assert_eq!(args.reader.pin_dir, std::path::Path::new("/sys/fs/bpf/edge"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_cure() {
        for (line, message) in [
            ("", "required"),
            ("example.com", "is no address or prefix"),
            ("192.0.2.7/24", "write 192.0.2.0/24"),
            ("192.0.2.7 --for 10", "write a number and a unit"),
            ("192.0.2.7 --for 1y", "write a number and a unit"),
            ("192.0.2.7 --for h", "write a number and a unit"),
            ("192.0.2.7 --for 0s", "at least 1s"),
            ("192.0.2.7 --for 99999999999999999999d", "write a number and a unit"),
            ("192.0.2.7 --for 9999999999999999999d", "too long"),
            ("192.0.2.7 --reason config", "invalid value 'config'"),
            ("192.0.2.7 --reason passed", "possible values: operator, abuse, flood, scan"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(message), "{line}: {error}");
        }
    }

    #[test]
    fn bans_are_lines_and_objects() {
        let ban = BanRow {
            prefix: "192.0.2.0/24".parse().unwrap(),
            reason: "scan",
            remaining_ms: None,
            packets: 5,
            bytes: 300,
        };
        let ending = BanRow { remaining_ms: Some(61_000), ..ban };
        let text = as_text(&[ban, ending]);
        assert!(text.contains("no end") && text.contains("1m01s"), "{text}");
        assert_eq!(as_json(&ban)["remaining_ms"], Value::Null);
        assert_eq!(as_json(&ending)["remaining_ms"], 61_000);
    }
}
