//! `edge purge`: what a node holds is gone, or expired, from now on.

use serde_json::{Value, json};

use super::{CliError, Node};

/// Purge what a running node holds; it takes effect at once and outlives a restart
#[derive(Clone, Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true)
    .args(["urls", "prefixes", "regexes", "tags", "site", "all"])))]
pub struct Args {
    /// Exactly this: http://host/path?query; with --site also /path?query
    #[arg(value_name = "URL")]
    urls: Vec<String>,
    /// Everything that begins so: http://host/directory/
    #[arg(long = "prefix", value_name = "URL")]
    prefixes: Vec<String>,
    /// Everything whose path and query match: '\.jpg(\?|$)'
    #[arg(long = "regex", value_name = "REGEX")]
    regexes: Vec<String>,
    /// Everything the origin gave this tag (Surrogate-Key, Cache-Tag)
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only on this site; alone: all of it
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Everything
    #[arg(long)]
    all: bool,
    /// Let it expire instead: it is asked for anew, and may stand in for a failing origin
    #[arg(long)]
    soft: bool,
    /// The node's admin address or socket
    #[arg(long, value_name = "ADDR|SOCKET", env = "EDGE_ADMIN", default_value = Node::DEFAULT)]
    admin: Node,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), CliError> {
    let done = args.admin.post("/purge", &order(&args))?;
    super::print(&match args.json {
        true => format!("{done:#}\n"),
        false => {
            format!("purged: {} ({})\n", count(&done), if args.soft { "soft" } else { "hard" })
        }
    })
}

fn count(done: &Value) -> String {
    match done["patterns"].as_u64() {
        Some(1) => "1 pattern".to_owned(),
        count => format!("{} patterns", count.unwrap_or(0)),
    }
}

fn order(args: &Args) -> Value {
    let mut order = json!({ "soft": args.soft });
    let lists = [&args.urls, &args.prefixes, &args.regexes, &args.tags];
    for (name, list) in ["urls", "prefixes", "regexes", "tags"].into_iter().zip(lists) {
        if !list.is_empty() {
            order[name] = json!(list);
        }
    }
    if args.all {
        order["all"] = json!(true);
    }
    let is_alone = !args.all && lists.iter().all(|list| list.is_empty());
    match &args.site {
        Some(site) if is_alone => order["sites"] = json!([site]),
        Some(site) => order["site"] = json!(site),
        None => {}
    }
    order
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn ordered(line: &str) -> Result<Value, String> {
        let words = ["purge"].into_iter().chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        Ok(order(&line.args))
    }

    #[test]
    fn lines_become_orders() {
        for (line, expected) in [
            (
                "http://a/x http://a/y",
                json!({ "soft": false, "urls": ["http://a/x", "http://a/y"] }),
            ),
            ("--prefix http://a/i/ --soft", json!({ "soft": true, "prefixes": ["http://a/i/"] })),
            ("--regex x$ --site a", json!({ "soft": false, "regexes": ["x$"], "site": "a" })),
            ("--tag t --tag u", json!({ "soft": false, "tags": ["t", "u"] })),
            ("--site a", json!({ "soft": false, "sites": ["a"] })),
            ("--all", json!({ "soft": false, "all": true })),
        ] {
            assert_eq!(ordered(line).unwrap(), expected, "{line}");
        }
        assert!(ordered("").is_err());
        assert!(ordered("--soft").is_err());
    }
}
