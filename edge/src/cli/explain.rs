//! `edge explain`: what decides about a URL, line by line.

use serde_json::{Value, json};

use super::{CliError, Node};

/// Show what decides about a URL: site, rule, key, freshness, what is stored, and the outcome
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// http://host/path?query, as a client would ask for it
    url: String,
    /// A field of the request
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Method of the request
    #[arg(long, default_value = "GET")]
    method: String,
    /// Address the request comes from; this host without
    #[arg(long, value_name = "ADDRESS")]
    client: Option<std::net::IpAddr>,
    /// The node's admin address or socket
    #[arg(long, value_name = "ADDR|SOCKET", env = "EDGE_ADMIN", default_value = Node::DEFAULT)]
    admin: Node,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), CliError> {
    let question = json!({
        "url": args.url, "headers": args.headers, "method": args.method, "client": args.client,
    });
    let answer = args.admin.post("/explain", &question)?;
    super::print(&match args.json {
        true => format!("{answer:#}\n"),
        false => as_text(&answer),
    })
}

/// One fact a line; where it comes from stands in brackets.
fn as_text(answer: &Value) -> String {
    let lines = answer["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    let word = |line: &Value, key: &str| {
        line[key].as_str().unwrap_or_default().replace(char::is_control, "\u{fffd}")
    };
    let mut text = String::new();
    let mut topic_before = String::new();
    for line in lines {
        let (topic, from) = (word(line, "topic"), word(line, "from"));
        let shown = if topic == topic_before { "" } else { topic.as_str() };
        text.push_str(&format!("{shown:<10} {}", word(line, "text")));
        if !from.is_empty() {
            text.push_str(&format!("  [{from}]"));
        }
        text.push('\n');
        topic_before = topic;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_said_once() {
        let line = |topic, text, from| json!({ "topic": topic, "text": text, "from": from });
        let answer = json!({ "lines": [
            line("site", "a.test", "e.toml:1"),
            line("key", "host a\u{1b}", ""),
            line("key", "path /x", ""),
        ] });
        let expected =
            "site       a.test  [e.toml:1]\nkey        host a\u{fffd}\n           path /x\n";
        assert_eq!(as_text(&answer), expected);
    }
}
