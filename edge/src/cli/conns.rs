//! `edge conns`: who sends how much to this host, and what of the answers arrived.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::reader::{Reader, ReaderError, bytes, table, time};
use crate::guard::{ConnRow, FlowRow};

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
    let maps = args.reader.maps()?;
    let mut flows = maps.flows()?;
    let conns = maps.conns()?.into_iter().map(|conn| ((conn.remote, conn.local), conn)).collect();
    flows.sort_by_key(|flow| (std::cmp::Reverse(flow.bytes), flow.remote, flow.local));
    let all = flows.len();
    if args.limit > 0 {
        flows.truncate(args.limit);
    }
    let json = || flows.iter().map(|flow| as_json(flow, conn_of(flow, &conns))).collect();
    args.reader.show(json, || as_text(&flows, &conns, all))
}

/// What TCP knows, by client and this host's address.
type Conns = HashMap<(SocketAddr, SocketAddr), ConnRow>;

const TCP: u8 = 6;

fn conn_of<'c>(flow: &FlowRow, conns: &'c Conns) -> Option<&'c ConnRow> {
    conns.get(&(flow.remote, flow.local)).filter(|_| flow.protocol == TCP)
}

fn as_text(flows: &[FlowRow], conns: &Conns, all: usize) -> String {
    let rows: Vec<_> = flows.iter().map(|flow| as_cells(flow, conn_of(flow, conns))).collect();
    let heads = [
        "PROTO",
        "REMOTE",
        "LOCAL",
        ">PACKETS",
        ">BYTES",
        ">DELIVERED",
        ">RTT",
        ">RESENT",
        ">AGE",
        ">IDLE",
        "FLAGS",
        "STATE",
    ];
    let mut text = table(heads, &rows);
    if all > flows.len() {
        text.push_str(&format!("{} more: see --limit\n", all - flows.len()));
    }
    text
}

/// What is not known is a dash.
fn as_cells(flow: &FlowRow, conn: Option<&ConnRow>) -> [String; 12] {
    let known = |show: fn(&ConnRow) -> String| conn.map_or_else(|| "-".to_owned(), show);
    [
        protocol(flow.protocol),
        flow.remote.to_string(),
        flow.local.to_string(),
        flow.packets.to_string(),
        bytes(flow.bytes),
        known(|conn| bytes(conn.acked_bytes)),
        known(|conn| format!("{:.1}ms", f64::from(conn.round_trip_us) / 1000.0)),
        known(|conn| conn.retransmits.to_string()),
        time(flow.age_ms),
        time(flow.idle_ms),
        flags(flow.tcp_flags),
        known(|conn| conn.state.to_owned()),
    ]
}

fn as_json(flow: &FlowRow, conn: Option<&ConnRow>) -> Value {
    let conn = conn.map(|conn| {
        json!({
            "acked_bytes": conn.acked_bytes,
            "received_bytes": conn.received_bytes,
            "round_trip_us": conn.round_trip_us,
            "retransmits": conn.retransmits,
            "state": conn.state,
        })
    });
    json!({
        "protocol": protocol(flow.protocol),
        "remote": flow.remote.to_string(),
        "local": flow.local.to_string(),
        "packets": flow.packets,
        "bytes": flow.bytes,
        "age_ms": flow.age_ms,
        "idle_ms": flow.idle_ms,
        "tcp_flags": flags(flow.tcp_flags),
        "conn": conn,
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
        let cells = |text: &str| -> Vec<String> {
            text.lines().nth(1).unwrap().split_whitespace().map(str::to_owned).collect()
        };
        let text = as_text(&[flow], &Conns::new(), 4);
        let addresses = ["tcp", "192.0.2.7:40000", "[2001:db8::1]:80"];
        let unknown = ["3", "2.0", "KiB", "-", "-", "-", "1m01s", "0s", "SA", "-"];
        assert_eq!(cells(&text), [&addresses[..], &unknown].concat());
        assert!(text.ends_with("3 more: see --limit\n"));
        let json = as_json(&flow, None);
        assert_eq!((&json["tcp_flags"], &json["conn"]), (&json!("SA"), &Value::Null));

        let conn = ConnRow {
            remote: flow.remote,
            local: flow.local,
            acked_bytes: 3 << 20,
            received_bytes: 100,
            round_trip_us: 12_340,
            retransmits: 2,
            state: "established",
        };
        let conns = Conns::from([((conn.remote, conn.local), conn)]);
        let known =
            ["3", "2.0", "KiB", "3.0", "MiB", "12.3ms", "2", "1m01s", "0s", "SA", "established"];
        assert_eq!(cells(&as_text(&[flow], &conns, 1)), [&addresses[..], &known].concat());
        assert_eq!(as_json(&flow, conn_of(&flow, &conns))["conn"]["acked_bytes"], 3 << 20);
        let datagrams = FlowRow { protocol: 17, ..flow };
        assert_eq!(conn_of(&datagrams, &conns), None);
    }
}
