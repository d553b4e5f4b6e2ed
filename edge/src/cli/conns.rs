//! `edge conns`: who sends how much to this host, what of the answers arrived, and what they are.
//!
//! ```text
//!   kernel's flows ──┐ by client and local address
//!   kernel's conns ──┼──► a row ◄── by client ── the node's connections (site, object, outcome)
//! ```

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::reader::{Reader, bytes, table, time};
use super::{CliError, Node};
use crate::guard::{ConnRow, FlowRow};

/// List flows and connections, largest first: packets, bytes, site, object
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Show this many at most; 0: all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// The node's admin address or socket
    #[arg(long, value_name = "ADDR|SOCKET", env = "EDGE_ADMIN", default_value = Node::DEFAULT)]
    admin: Node,
    #[command(flatten)]
    reader: Reader,
}

/// Runs the command. The kernel's maps and the node's own connections are asked; one of them is enough.
pub fn run(args: Args) -> Result<(), CliError> {
    let kernel = args.reader.maps().and_then(|maps| Ok((maps.flows()?, maps.conns()?)));
    let node = args.admin.json("/conns");
    let (flows, conns, note) = match (kernel, &node) {
        (Ok((flows, conns)), _) => (flows, conns, None),
        (Err(why), Ok(_)) => (Vec::new(), Vec::new(), Some(format!("kernel: {why}\n"))),
        (Err(why), Err(_)) => return Err(why.into()),
    };
    let mut rows = join(flows, conns, &node.unwrap_or_default());
    let all = rows.len();
    if args.limit > 0 {
        rows.truncate(args.limit);
    }
    let json = || rows.iter().map(as_json).collect();
    let text = || as_text(&rows, all) + note.as_deref().unwrap_or_default();
    Ok(args.reader.show(json, text)?)
}

/// One client's flow, and what is known of it elsewhere.
#[derive(Debug, Default)]
struct Row {
    remote: Option<SocketAddr>,
    flow: Option<FlowRow>,
    conn: Option<ConnRow>,
    /// What the node says of it.
    session: Option<Value>,
}

const TCP: u8 = 6;

/// Flows with what TCP and the node know; then the node's connections that the kernel does not count.
fn join(flows: Vec<FlowRow>, conns: Vec<ConnRow>, node: &Value) -> Vec<Row> {
    let conns: HashMap<_, _> =
        conns.into_iter().map(|conn| ((conn.remote, conn.local), conn)).collect();
    let listed = node["conns"].as_array().cloned().unwrap_or_default();
    let mut sessions: HashMap<SocketAddr, Value> = listed
        .into_iter()
        .filter_map(|session| Some((session["client"].as_str()?.parse().ok()?, session)))
        .collect();
    let mut rows: Vec<Row> = flows
        .into_iter()
        .map(|flow| {
            let is_tcp = flow.protocol == TCP;
            let conn = conns.get(&(flow.remote, flow.local)).filter(|_| is_tcp).copied();
            let session = if is_tcp { sessions.remove(&flow.remote) } else { None };
            Row { remote: Some(flow.remote), flow: Some(flow), conn, session }
        })
        .collect();
    rows.extend(sessions.into_iter().map(|(remote, session)| Row {
        remote: Some(remote),
        session: Some(session),
        ..Row::default()
    }));
    let size = |row: &Row| row.flow.map_or(0, |flow| flow.bytes);
    rows.sort_by_key(|row| (std::cmp::Reverse((size(row), delivered(row))), row.remote));
    rows
}

/// Bytes that arrived: as the kernel program saw it, else as the node did.
fn delivered(row: &Row) -> Option<u64> {
    let told = || row.session.as_ref()?["tcp"]["acked_bytes"].as_u64();
    row.conn.map(|conn| conn.acked_bytes).or_else(told)
}

fn as_text(rows: &[Row], all: usize) -> String {
    let cells: Vec<_> = rows.iter().map(as_cells).collect();
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
        "HTTP",
        "SITE",
        "OBJECT",
    ];
    let mut text = table(heads, &cells);
    if all > rows.len() {
        text.push_str(&format!("{} more: see --limit\n", all - rows.len()));
    }
    text
}

/// What is not known is a dash.
fn as_cells(row: &Row) -> [String; 15] {
    fn or_dash<T>(known: Option<T>, show: impl FnOnce(T) -> String) -> String {
        known.map_or_else(|| "-".to_owned(), show)
    }
    let (flow, conn) = (row.flow, row.conn);
    let tcp = row.session.as_ref().map(|session| &session["tcp"]);
    let told = |key: &str| tcp.and_then(|tcp| tcp[key].as_u64());
    let trip_us = conn.map(|conn| conn.round_trip_us.into()).or_else(|| told("round_trip_us"));
    let resent = conn.map(|conn| conn.retransmits.into()).or_else(|| told("retransmits"));
    [
        flow.map_or_else(|| "tcp".to_owned(), |flow| protocol(flow.protocol)),
        or_dash(row.remote, |remote| remote.to_string()),
        or_dash(flow, |flow| flow.local.to_string()),
        or_dash(flow, |flow| flow.packets.to_string()),
        or_dash(flow, |flow| bytes(flow.bytes)),
        or_dash(delivered(row), bytes),
        or_dash(trip_us, |us: u64| format!("{:.1}ms", us as f64 / 1000.0)),
        or_dash(resent, |count: u64| count.to_string()),
        or_dash(flow, |flow| time(flow.age_ms)),
        or_dash(flow, |flow| time(flow.idle_ms)),
        or_dash(flow, |flow| flags(flow.tcp_flags)),
        or_dash(conn, |conn| conn.state.to_owned()),
        or_dash(row.session.as_ref(), http),
        or_dash(row.session.as_ref(), |session| plain(&session["site"])),
        or_dash(row.session.as_ref(), |session| plain(&session["request"]["target"])),
    ]
}

/// `answering 206 hit`, `head`.
fn http(session: &Value) -> String {
    let request = &session["request"];
    let state = plain(&session["state"]);
    match request["status"].as_u64().unwrap_or(0) {
        0 => state,
        status => format!("{state} {status} {}", plain(&request["outcome"])),
    }
}

/// A node's words may hold a client's bytes: none may steer the terminal.
fn plain(value: &Value) -> String {
    value.as_str().unwrap_or("-").replace(char::is_control, "\u{fffd}")
}

fn as_json(row: &Row) -> Value {
    let conn = row.conn.map(|conn| {
        json!({
            "acked_bytes": conn.acked_bytes,
            "received_bytes": conn.received_bytes,
            "round_trip_us": conn.round_trip_us,
            "retransmits": conn.retransmits,
            "state": conn.state,
        })
    });
    let mut json = match &row.flow {
        Some(flow) => json!({
            "protocol": protocol(flow.protocol),
            "local": flow.local.to_string(),
            "packets": flow.packets,
            "bytes": flow.bytes,
            "age_ms": flow.age_ms,
            "idle_ms": flow.idle_ms,
            "tcp_flags": flags(flow.tcp_flags),
        }),
        None => json!({ "protocol": "tcp" }),
    };
    json["remote"] = json!(row.remote.map(|remote| remote.to_string()));
    json["conn"] = json!(conn);
    json["session"] = json!(row.session);
    json
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

    fn flow(protocol: u8) -> FlowRow {
        FlowRow {
            remote: "192.0.2.7:40000".parse().unwrap(),
            local: "[2001:db8::1]:80".parse().unwrap(),
            protocol,
            packets: 3,
            bytes: 2048,
            age_ms: 61_000,
            idle_ms: 0,
            tcp_flags: 0x12,
        }
    }

    fn conn() -> ConnRow {
        ConnRow {
            remote: flow(6).remote,
            local: flow(6).local,
            acked_bytes: 3 << 20,
            received_bytes: 100,
            round_trip_us: 12_340,
            retransmits: 2,
            state: "established",
        }
    }

    fn node(client: &str) -> Value {
        json!({ "conns": [{
            "client": client, "state": "answering", "site": "a.test",
            "request": { "target": "/iso\u{1b}[2J", "status": 206, "outcome": "hit" },
            "tcp": { "acked_bytes": 5 << 20, "round_trip_us": 900, "retransmits": 0 },
        }] })
    }

    fn cells(rows: &[Row], line: usize) -> Vec<String> {
        let text = as_text(rows, rows.len());
        text.lines().nth(line).unwrap().split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_flow_is_one_line_and_the_rest_is_counted() {
        let rows = join(vec![flow(6)], Vec::new(), &Value::Null);
        let addresses = ["tcp", "192.0.2.7:40000", "[2001:db8::1]:80"];
        let unknown = ["3", "2.0", "KiB", "-", "-", "-", "1m01s", "0s", "SA", "-", "-", "-", "-"];
        assert_eq!(cells(&rows, 1), [&addresses[..], &unknown].concat());
        assert!(as_text(&rows, 4).ends_with("3 more: see --limit\n"));
        let json = as_json(&rows[0]);
        assert_eq!((&json["tcp_flags"], &json["conn"]), (&json!("SA"), &Value::Null));
    }

    #[test]
    fn what_tcp_and_the_node_know_stands_beside_it() {
        let rows = join(vec![flow(6)], vec![conn()], &node("192.0.2.7:40000"));
        let known = [
            "3.0",
            "MiB",
            "12.3ms",
            "2",
            "1m01s",
            "0s",
            "SA",
            "established",
            "answering",
            "206",
            "hit",
            "a.test",
            "/iso\u{fffd}[2J",
        ];
        assert!(cells(&rows, 1).ends_with(&known.map(str::to_owned)), "{:?}", cells(&rows, 1));
        let json = as_json(&rows[0]);
        assert_eq!(json["conn"]["acked_bytes"], 3 << 20);
        assert_eq!(json["session"]["tcp"]["acked_bytes"], 5 << 20, "the cross-check");
        let datagrams = join(vec![flow(17)], vec![conn()], &node("192.0.2.7:40000"));
        assert_eq!(datagrams.len(), 2, "no connection of TCP's is a flow of datagrams");
        assert!(datagrams[0].conn.is_none() && datagrams[0].session.is_none());
    }

    #[test]
    fn without_a_guard_the_node_tells_what_it_knows() {
        let rows = join(Vec::new(), Vec::new(), &node("[2001:db8::7]:1"));
        let known = ["tcp", "[2001:db8::7]:1", "-", "-", "-", "5.0", "MiB", "0.9ms", "0"];
        assert!(cells(&rows, 1).starts_with(&known.map(str::to_owned)), "{:?}", cells(&rows, 1));
    }
}
