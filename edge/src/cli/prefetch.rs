//! `edge prefetch`: brings objects into a node's store before anybody asks for them.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::{CliError, Node};

/// How often progress is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Bring objects into a running node's store, behind what clients wait for
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// http://host/path?query, of any site of the node
    #[arg(value_name = "URL", required_unless_present = "file")]
    urls: Vec<String>,
    /// Further URLs, one a line; empty lines and those that begin with # are passed over
    #[arg(long, value_name = "LIST")]
    file: Option<PathBuf>,
    /// The node's admin address or socket
    #[arg(long, value_name = "ADDR|SOCKET", env = "EDGE_ADMIN", default_value = Node::DEFAULT)]
    admin: Node,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), CliError> {
    let mut urls = args.urls.clone();
    if let Some(list) = &args.file {
        let text = std::fs::read_to_string(list)
            .map_err(|source| CliError::List { path: list.clone(), source })?;
        urls.extend(listed(&text).map(str::to_owned));
    }
    let taken = args.admin.post("/prefetch", &json!({ "urls": urls }))?;
    let path = format!("/prefetch/{}", taken["prefetch"]);
    let bar = bar(args.json);
    let end = loop {
        let state = args.admin.json(&path)?;
        bar.set_length(number(&state, "known_bytes"));
        bar.set_position(number(&state, "bytes"));
        let over = number(&state, "done") + number(&state, "failed");
        bar.set_message(format!("{over} of {}", number(&state, "urls")));
        if state["ended"] == true {
            break state;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    bar.finish_and_clear();
    super::print(&if args.json { format!("{end:#}\n") } else { said(&end) })?;
    match number(&end, "failed") {
        0 => Ok(()),
        failed => Err(CliError::Unfetched { failed }),
    }
}

/// Progress for people who look: standard error, if it is a terminal.
fn bar(is_quiet: bool) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if is_quiet || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let template = "{elapsed_precise} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {msg}";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn said(end: &Value) -> String {
    let mut text = format!(
        "prefetched: {} of {} URLs, {} bytes\n",
        number(end, "done"),
        number(end, "urls"),
        number(end, "bytes")
    );
    for failure in end["failures"].as_array().into_iter().flatten() {
        let url = failure["url"].as_str().unwrap_or_default();
        let why = if failure["cut"] == true { "it broke off" } else { "refused" };
        text += &format!("failed: {url}: {why}, status {}\n", number(failure, "status"));
    }
    text
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_comments_and_empty_lines() {
        let text = "# all of it\nhttp://h/a\n\n  http://h/b \n";
        assert_eq!(listed(text).collect::<Vec<_>>(), ["http://h/a", "http://h/b"]);
    }

    #[test]
    fn what_failed_is_said() {
        let end = json!({
            "urls": 2, "done": 1, "failed": 1, "bytes": 5,
            "failures": [{ "url": "http://h/b", "status": 404, "cut": false }],
        });
        assert_eq!(
            said(&end),
            "prefetched: 1 of 2 URLs, 5 bytes\nfailed: http://h/b: refused, status 404\n"
        );
    }
}
