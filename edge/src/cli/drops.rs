//! `edge drops`: what the guard judged, by reason.

use serde_json::{Value, json};

use super::reader::{Reader, ReaderError, bytes, table};
use crate::config::GuardMode;
use crate::guard::TotalRow;

/// Show packets passed and dropped, by reason
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    reader: Reader,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), ReaderError> {
    let maps = args.reader.maps()?;
    let (mode, totals) = (maps.mode()?, maps.totals()?);
    args.reader.show(|| as_json(mode, &totals), || as_text(mode, &totals))
}

fn as_text(mode: GuardMode, totals: &[TotalRow]) -> String {
    let rows: Vec<_> = totals.iter().map(as_cells).collect();
    let heads = ["REASON", "VERDICT", ">PACKETS", ">BYTES", ">DROPPED", ">DROPPED BYTES"];
    let mut text = table(heads, &rows);
    match mode {
        GuardMode::Enforce => {}
        GuardMode::Observe => text.push_str("observing: verdicts are counted, packets pass\n"),
        GuardMode::Off => text.push_str("off: packets pass unseen; `edge guard enforce` ends it\n"),
    }
    text
}

fn as_cells(total: &TotalRow) -> [String; 6] {
    [
        total.reason.to_owned(),
        verdict(total).to_owned(),
        total.packets.to_string(),
        bytes(total.bytes),
        total.dropped_packets.to_string(),
        bytes(total.dropped_bytes),
    ]
}

fn as_json(mode: GuardMode, totals: &[TotalRow]) -> Value {
    let reasons: Vec<Value> = totals
        .iter()
        .map(|total| {
            json!({
                "reason": total.reason,
                "verdict": verdict(total),
                "packets": total.packets,
                "bytes": total.bytes,
                "dropped_packets": total.dropped_packets,
                "dropped_bytes": total.dropped_bytes,
            })
        })
        .collect();
    json!({ "mode": mode.as_str(), "reasons": reasons })
}

fn verdict(total: &TotalRow) -> &'static str {
    if total.drops { "drop" } else { "pass" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observing_is_said_and_shown() {
        let total = TotalRow {
            reason: "abuse",
            drops: true,
            packets: 2,
            bytes: 120,
            dropped_packets: 0,
            dropped_bytes: 0,
        };
        let text = as_text(GuardMode::Observe, &[total]);
        let words: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words, ["abuse", "drop", "2", "120", "B", "0", "0", "B"]);
        assert!(text.contains("observing"));
        assert!(!as_text(GuardMode::Enforce, &[total]).contains("observing"));
        let json = as_json(GuardMode::Observe, &[total]);
        assert_eq!((&json["mode"], &json["reasons"][0]["packets"]), (&json!("observe"), &json!(2)));
    }
}
