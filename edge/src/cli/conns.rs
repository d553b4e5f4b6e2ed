//! `edge conns`: who sends how much to this host.

use serde_json::{Value, json};

use super::reader::{Reader, ReaderError, bytes, table, time};
use crate::guard::FlowRow;

/// List the flows the guard accounts for, largest first
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Show this many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    reader: Reader,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), ReaderError> {
    let mut flows = args.reader.maps()?.flows()?;
    flows.sort_by_key(|flow| (std::cmp::Reverse(flow.bytes), flow.remote, flow.local));
    let all = flows.len();
    if args.limit > 0 {
        flows.truncate(args.limit);
    }
    args.reader.show(|| flows.iter().map(as_json).collect(), || as_text(&flows, all))
}

fn as_text(flows: &[FlowRow], all: usize) -> String {
    let rows: Vec<_> = flows.iter().map(as_cells).collect();
    let heads = ["PROTO", "REMOTE", "LOCAL", ">PACKETS", ">BYTES", ">AGE", ">IDLE", "FLAGS"];
    let mut text = table(heads, &rows);
    if all > flows.len() {
        text.push_str(&format!("{} more: see --limit\n", all - flows.len()));
    }
    text
}

fn as_cells(flow: &FlowRow) -> [String; 8] {
    [
        protocol(flow.protocol),
        flow.remote.to_string(),
        flow.local.to_string(),
        flow.packets.to_string(),
        bytes(flow.bytes),
        time(flow.age_ms),
        time(flow.idle_ms),
        flags(flow.tcp_flags),
    ]
}

fn as_json(flow: &FlowRow) -> Value {
    json!({
        "protocol": protocol(flow.protocol),
        "remote": flow.remote.to_string(),
        "local": flow.local.to_string(),
        "packets": flow.packets,
        "bytes": flow.bytes,
        "age_ms": flow.age_ms,
        "idle_ms": flow.idle_ms,
        "tcp_flags": flags(flow.tcp_flags),
    })
}

/// IANA's name of the usual ones, the number of the others.
fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmp6".to_owned(),
        other => other.to_string(),
    }
}

/// Every flag seen, a letter each, in the order of the header's bits.
fn flags(seen: u8) -> String {
    let letters = "FSRPAUEC".chars().enumerate();
    letters.filter(|(bit, _)| seen >> bit & 1 == 1).map(|(_, letter)| letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_one_line_and_the_rest_is_counted() {
        let flow = FlowRow {
            remote: "192.0.2.7:40000".parse().unwrap(),
            local: "[2001:db8::1]:80".parse().unwrap(),
            protocol: 6,
            packets: 3,
            bytes: 2048,
            age_ms: 61_000,
            idle_ms: 0,
            tcp_flags: 0x12,
        };
        let text = as_text(&[flow], 4);
        assert_eq!(
            text.lines().nth(1).unwrap(),
            "tcp    192.0.2.7:40000  [2001:db8::1]:80        3  2.0 KiB  1m01s    0s  SA"
        );
        assert!(text.ends_with("3 more: see --limit\n"));
        assert_eq!(as_json(&flow)["tcp_flags"], "SA");
    }
}
