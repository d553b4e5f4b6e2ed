//! `edge status`: how a running node is.

use serde_json::Value;

use super::{CliError, Node};

/// Show how a running node is
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The node's admin address or socket
    #[arg(long, value_name = "ADDR|SOCKET", env = "EDGE_ADMIN", default_value = Node::DEFAULT)]
    admin: Node,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), CliError> {
    let status = args.admin.json("/status")?;
    let mut text = String::new();
    match args.json {
        true => text = format!("{status:#}\n"),
        false => push_members(&mut text, &status, 0),
    }
    super::print(&text)
}

/// Objects as `name: value` lines, what is inside two blanks further right.
fn push_members(out: &mut String, value: &Value, depth: usize) {
    let members: Vec<(&str, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.as_str(), value)).collect()
        }
        Value::Array(items) => items.iter().map(|item| ("-", item)).collect(),
        single => return push_line(out, depth, "", single),
    };
    for (name, value) in members {
        let plain = |item: &Value| !item.is_object() && !item.is_array();
        match value {
            Value::Array(items) if items.iter().all(plain) => {
                let items: Vec<String> = items.iter().map(as_word).collect();
                push_line(out, depth, name, &Value::String(items.join(", ")));
            }
            Value::Object(_) | Value::Array(_) => {
                push_line(out, depth, name, &Value::Null);
                push_members(out, value, depth + 1);
            }
            single => push_line(out, depth, name, single),
        }
    }
}

fn push_line(out: &mut String, depth: usize, name: &str, value: &Value) {
    let name = name.replace('_', " ");
    let colon = if name.is_empty() || name == "-" { "" } else { ":" };
    let line = format!("{}{name}{colon} {}", "  ".repeat(depth), as_word(value));
    out.push_str(line.trim_end());
    out.push('\n');
}

fn as_word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // A node's words may hold a client's or an origin's bytes: none may steer the terminal.
        Value::String(text) => text.replace(char::is_control, "\u{fffd}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_can_read_it() {
        let status = serde_json::json!({
            "version": "0.1.0",
            "uptime_s": 5,
            "sites": ["a", "b\u{1b}[31m can't"],
            "guard": { "mode": null, "interfaces": [] },
            "volumes": [{ "path": "/v0", "used_bytes": 1 }],
        });
        let mut text = String::new();
        push_members(&mut text, &status, 0);
        assert_eq!(
            text,
            "guard:\n  interfaces:\n  mode:\n\
             sites: a, b\u{fffd}[31m can't\n\
             uptime s: 5\n\
             version: 0.1.0\n\
             volumes:\n  -\n    path: /v0\n    used bytes: 1\n"
        );
    }
}
