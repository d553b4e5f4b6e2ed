//! `edge cache verify`: whether what is stored is what was written.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{CliError, Node};
use crate::cache::scrub::Findings;
use crate::cache::verify::verify;
use crate::config::Config;

/// Time between two questions how it goes.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Look after what is stored
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Read all of it and compare checksums; code 1 when something is bad
    Verify(VerifyArgs),
}

/// `edge cache verify`
#[derive(Clone, Debug, clap::Args)]
struct VerifyArgs {
    /// Volumes of this configuration, while no node runs on them; nothing is changed
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The running node that looks through its own, and drops what is bad
    #[arg(long, value_name = "ADDR|SOCKET", env = "EDGE_ADMIN", default_value = Node::DEFAULT)]
    admin: Node,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), CliError> {
    let Command::Verify(args) = args.command;
    let found = match &args.config {
        Some(path) => offline(&Config::load(path)?)?,
        None => online(&args.admin)?,
    };
    super::print(&match args.json {
        true => format!("{found:#}\n"),
        false => as_text(&found),
    })?;
    match found["bad_count"].as_u64() {
        Some(0) => Ok(()),
        count => Err(CliError::Damaged { count: count.unwrap_or(0) }),
    }
}

fn online(admin: &Node) -> Result<Value, CliError> {
    let mut found = admin.post("/cache/verify", &json!({}))?;
    while found["running"] == true {
        std::thread::sleep(ASK_EVERY);
        found = admin.json("/cache/verify")?;
    }
    Ok(found)
}

fn offline(config: &Config) -> Result<Value, CliError> {
    let mut all = Findings::default();
    for volume in &config.cache.volumes {
        let found = verify(&volume.path)?;
        all.regions += found.regions;
        all.records += found.records;
        all.bytes += found.bytes;
        all.bad_count += found.bad_count;
        all.bad.extend(found.bad);
    }
    let bad = |bad: &crate::cache::scrub::Bad| json!({ "volume": bad.volume, "offset": bad.offset, "what": bad.what, "why": bad.why });
    Ok(json!({
        "regions": all.regions,
        "records": all.records,
        "bytes": all.bytes,
        "bad_count": all.bad_count,
        "bad": all.bad.iter().map(bad).collect::<Vec<_>>(),
    }))
}

/// A line for each bad record, as compilers do it, and a sum.
fn as_text(found: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |bad: &Value| {
        let (volume, offset) = (word(&bad["volume"]), &bad["offset"]);
        format!("{volume}:{offset}: {}: {}\n", word(&bad["what"]), word(&bad["why"]))
    };
    let lines: String = found["bad"].as_array().into_iter().flatten().map(line).collect();
    let number = |name: &str| found[name].as_u64().unwrap_or(0);
    format!(
        "{lines}{} records, {} bytes in {} regions: {} bad\n",
        number("records"),
        number("bytes"),
        number("regions"),
        number("bad_count")
    )
}
