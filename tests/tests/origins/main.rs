//! Origins: groups and their health, TLS, names, redirects, buckets.

mod groups;
mod names;
mod redirects;
mod tls;

use edge_tests::{Call, Node, NodeConfig, RawOrigin};

/// An answer that nobody stores.
pub fn answer(body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: {len}\r\n\r\n{body}")
}

/// Answers every request on a connection with `body`, not to be stored.
pub fn answering(body: &'static str) -> impl Fn(&mut Call) -> std::io::Result<()> + Send + Sync {
    move |call| {
        while let Some(asked) = call.head()? {
            call.body(&asked)?;
            call.send(answer(body))?;
        }
        Ok(())
    }
}

/// An origin whose every answer is `body`.
pub fn origin(body: &'static str) -> RawOrigin {
    RawOrigin::start(answering(body))
}

/// A node whose one site has these lines.
pub fn node(lines: &str) -> Node {
    node_of(NodeConfig::default(), lines)
}

/// The same on top of `config`.
pub fn node_of(config: NodeConfig, lines: &str) -> Node {
    Node::start(config.section(&format!("[[site]]\nhosts = [\"*\"]\n{lines}\n")))
}

/// The body of `target`, which must be answered 200.
pub fn body(node: &Node, target: &str) -> String {
    String::from_utf8(node.get(target).expect_status(200).body).expect("UTF-8")
}

/// What `edge explain` says of a URL.
pub fn explained(node: &Node, target: &str) -> String {
    node.edge(&["explain", &format!("http://edge.test{target}")])
}
