//! `edge domain`: sites that come and go while the node runs.

use serde_json::{Value, json};

use super::{CliError, ClientError, Node};

/// Add, remove and show the domains of a running node
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Answer for one more domain, from now on and after a restart
    Add(AddArgs),
    /// Answer for a domain no more
    Rm(OneArgs),
    /// List every site
    Ls(AskArgs),
    /// Show one site
    Show(OneArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct AddArgs {
    /// dl.example.com, or *.example.com; 1 to 67 characters
    name: String,
    /// Where its objects come from: http://host:port (repeat it for more) or file:///directory
    #[arg(long, value_name = "URL", required = true)]
    origin: Vec<String>,
    /// web, download, video or dynamic
    #[arg(long)]
    preset: Option<String>,
    /// Any other key of a [[site]], such as retries=3, default_ttl=1h or sign.type=A; numbers, lists and
    /// tables as JSON
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct OneArgs {
    /// The domain
    name: String,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct AskArgs {
    /// The node's admin address or socket
    #[arg(long, value_name = "ADDR|SOCKET", env = "EDGE_ADMIN", default_value = Node::DEFAULT)]
    admin: Node,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<(), CliError> {
    match args.command {
        Command::Add(args) => {
            let added = args.ask.admin.post("/domains", &order(&args))?;
            show(args.ask.json, &added, || format!("added: {}\n", line(&added)))
        }
        Command::Rm(args) => {
            let removed = args.ask.admin.post("/domains/remove", &json!({ "name": args.name }))?;
            show(args.ask.json, &removed, || format!("removed: {}\n", args.name))
        }
        Command::Ls(args) => {
            let all = args.admin.json("/domains")?;
            show(args.json, &all, || list(&all))
        }
        Command::Show(args) => {
            let all = args.ask.admin.json("/domains")?;
            let one = find(&all, &args.name).ok_or_else(|| ClientError::Refused {
                node: args.ask.admin.clone(),
                status: 404,
                text: format!("DomainNotFound: {} is not there", args.name),
            })?;
            show(args.ask.json, one, || details(one))
        }
    }
}

fn show(json: bool, value: &Value, text: impl FnOnce() -> String) -> Result<(), CliError> {
    super::print(&if json { format!("{value:#}\n") } else { text() })
}

fn order(args: &AddArgs) -> Value {
    let mut order = json!({ "name": args.name, "origin": args.origin });
    if let Some(preset) = &args.preset {
        order["preset"] = json!(preset);
    }
    for pair in &args.set {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        // Numbers, flags and lists as such; everything else is text.
        let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        // `sign.type` is `type` of the table `sign`.
        let mut place = &mut order;
        for part in key.split('.') {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[part];
        }
        *place = value;
    }
    order
}

fn find<'v>(all: &'v Value, name: &str) -> Option<&'v Value> {
    let has = |site: &&Value| {
        let hosts = site["hosts"].as_array().into_iter().flatten();
        hosts.filter_map(Value::as_str).any(|host| host.eq_ignore_ascii_case(name))
    };
    all["domains"].as_array()?.iter().find(has)
}

fn list(all: &Value) -> String {
    let sites = all["domains"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text: String = sites.iter().map(|site| line(site) + "\n").collect();
    let max = all["max"].as_u64().filter(|max| *max > 0);
    let max = max.map_or("any number".to_owned(), |max| max.to_string());
    text.push_str(&format!("{} domains of {max}\n", all["count"]));
    text
}

fn line(site: &Value) -> String {
    format!("{} <- {} ({})", words(&site["hosts"]), words(&site["origin"]), word(&site["preset"]))
}

fn details(site: &Value) -> String {
    let kept = if site["managed"] == true { "the node" } else { "the operator" };
    format!(
        "hosts    {}\norigin   {}\npreset   {}\nkeys     {}\nstands   {}, kept by {kept}\n",
        words(&site["hosts"]),
        words(&site["origin"]),
        word(&site["preset"]),
        words(&site["keys"]),
        word(&site["place"]),
    )
}

fn words(list: &Value) -> String {
    let words = list.as_array().into_iter().flatten().map(word);
    words.collect::<Vec<_>>().join(", ")
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or("-").replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_values_of_their_kind() {
        let args = AddArgs {
            name: "a.test".into(),
            origin: vec!["http://o".into()],
            preset: Some("video".into()),
            set: [
                "retries=3",
                "default_ttl=1h",
                "key={\"sort\":true}",
                "key.by_host=false",
                "sign.type=A",
            ]
            .map(str::to_owned)
            .into(),
            ask: AskArgs { admin: Node::Tcp(String::new()), json: false },
        };
        let expected = json!({
            "name": "a.test", "origin": ["http://o"], "preset": "video", "retries": 3,
            "default_ttl": "1h", "key": { "sort": true, "by_host": false }, "sign": { "type": "A" },
        });
        assert_eq!(order(&args), expected);
    }

    #[test]
    fn people_can_read_a_list() {
        let site = json!({
            "hosts": ["a.test", "*.a.test"], "origin": ["http://o:80"], "preset": "web",
            "managed": true, "place": "e.domains.toml:3",
        });
        let all = json!({ "domains": [site], "count": 2, "max": 50 });
        let expected = "a.test, *.a.test <- http://o:80 (web)\n2 domains of 50\n";
        assert_eq!(list(&all), expected);
        assert!(details(find(&all, "*.A.test").unwrap()).contains("kept by the node"));
        assert_eq!(find(&all, "b.test"), None);
    }
}
