//! Requests that are passed on as clients put them, seen from both ends: what a raw client sends and
//! what a raw origin receives.

mod bodies;
mod expect;
mod hygiene;
mod invalidation;
mod own;
mod partings;
mod tunnel;

use edge_tests::{Client, Node, NodeConfig, RawOrigin};

/// A node in front of `origin`.
fn node(origin: &RawOrigin) -> Node {
    Node::of(&origin.url())
}

/// A node whose site has further keys.
fn node_with(origin: &RawOrigin, lines: &[&str]) -> Node {
    Node::start(NodeConfig::default().site("*", &origin.url(), lines))
}

/// Sends a whole request as it is, on a connection of its own.
fn ask(node: &Node, request: impl AsRef<[u8]>) -> Client {
    let mut client = node.connect();
    client.send(request);
    client
}

/// An answer with a body of a known length.
fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
