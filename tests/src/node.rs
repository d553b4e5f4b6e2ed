//! The real binary, in a directory of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::message::Response;
use crate::metrics::{Metrics, names};
use crate::node_config::NodeConfig;
use crate::process::{Process, eventually};
use crate::sample::Sample;

mod guarded;

const TAIL_LINES: usize = 60;

/// A running node; killed when dropped.
pub struct Node {
    dir: TempDir,
    config: NodeConfig,
    process: Process,
    addr: SocketAddr,
    admin: SocketAddr,
}

impl Node {
    /// Starts a node and returns when it serves; panics with its log when it does not.
    #[track_caller]
    pub fn start(config: NodeConfig) -> Node {
        let mut dir = tempfile::Builder::new().prefix("edge-node-").tempdir().expect("a directory");
        dir.disable_cleanup(crate::env_number("EDGE_TEST_KEEP", 0) != 0);
        write_config(dir.path(), &config.text(dir.path()));
        let (process, addr, admin) = launch(dir.path(), &config);
        Node { dir, config, process, addr, admin }
    }

    /// Starts a node for one origin and any host.
    #[track_caller]
    pub fn of(origin: &str) -> Node {
        Node::start(NodeConfig::of(origin))
    }

    /// Starts again after an end, with the same directory and configuration and other ports.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(!self.process.is_running(), "it still runs");
        let (process, addr, admin) = launch(self.dir.path(), &self.config);
        (self.process, self.addr, self.admin) = (process, addr, admin);
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where its admin server listens.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// Where clients connect to the listener `index`, in the order of the configuration.
    #[track_caller]
    pub fn addr_of(&self, index: usize) -> SocketAddr {
        let addrs = self.process.lines(|line| line.strip_prefix("listening on ")?.parse().ok());
        *addrs.get(index).unwrap_or_else(|| panic!("no listener {index} of {addrs:?}"))
    }

    /// The URL of a target.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.addr)
    }

    /// A new connection to it.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    /// GET on a connection of its own.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.connect().get(target)
    }

    /// GET from the control plane; panics when that does not answer.
    #[track_caller]
    pub fn admin(&self, target: &str) -> Response {
        Client::connect(self.admin).with_host("127.0.0.1").get(target)
    }

    /// Runs a subcommand that talks to this node, and returns what it printed; panics when it fails.
    #[track_caller]
    pub fn edge(&self, args: &[&str]) -> String {
        let admin = self.admin.to_string();
        let pins = self.dir.path().join("no-pins");
        let mut all = args.to_vec();
        all.extend(["--admin", &admin]);
        if args[0] == "why" {
            all.extend(["--pin-dir", pins.to_str().expect("a path in UTF-8")]);
        }
        let output = run_edge(self.dir.path(), &all);
        assert!(output.status.success(), "edge {args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// POST to the control plane.
    #[track_caller]
    pub fn post_admin(&self, target: &str) -> Response {
        let mut client = Client::connect(self.admin).with_host("127.0.0.1");
        client.request("POST", target, &[]);
        client.response("POST").unwrap_or_else(|e| panic!("POST {target}: {e}"))
    }

    /// JSON of the control plane.
    #[track_caller]
    pub fn admin_json(&self, target: &str) -> Value {
        let response = self.admin(target).expect_status(200);
        serde_json::from_slice(&response.body).expect("JSON")
    }

    /// `/metrics`.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let response = self.admin("/metrics").expect_status(200);
        Metrics::parse(&String::from_utf8(response.body).expect("/metrics is UTF-8"))
    }

    /// The sum of a family, over all labels.
    #[track_caller]
    pub fn metric(&self, name: &str) -> u64 {
        self.metrics().sum(name, &[])
    }

    /// Requests so far with this outcome (`hit`, `miss`, …).
    #[track_caller]
    pub fn outcomes(&self, outcome: &str) -> u64 {
        self.metrics().sum(names::SITE_REQUESTS, &[("outcome", outcome)])
    }

    /// `/status`.
    #[track_caller]
    pub fn status(&self) -> Value {
        let response = self.admin("/status").expect_status(200);
        serde_json::from_slice(&response.body).expect("/status is JSON")
    }

    /// Waits until a metric has reached `value`: counters follow the bytes by an instant.
    #[track_caller]
    pub fn wait_metric(&self, name: &str, value: u64) {
        let what = format!("{name} >= {value} (now {})", self.metric(name));
        eventually(&what, || (self.metric(name) >= value).then_some(()));
    }

    /// Waits until every accepted connection is closed.
    #[track_caller]
    pub fn wait_all_closed(&self) {
        eventually("conns accepted == conns closed, no client being left", || {
            let metrics = self.metrics();
            let accepted = metrics.sum(names::ACCEPTED, &[]);
            (metrics.sum(names::CLOSED, &[]) == accepted).then_some(())
        });
    }

    /// The access log, a JSON object a line.
    #[track_caller]
    pub fn access_log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        // A line without its end is being written.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|e| panic!("access.log: {e}: {line:?}"))
        };
        lines.map(parse).collect()
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The file of its volume.
    pub fn volume(&self) -> PathBuf {
        self.dir.path().join("volume")
    }

    /// Writes another configuration; [`Node::sighup`] makes it valid.
    pub fn reconfigure(&mut self, change: impl FnOnce(NodeConfig) -> NodeConfig) {
        self.config = change(self.config.clone());
        self.write_config(&self.config.text(self.dir.path()));
    }

    /// Writes any text as the configuration.
    pub fn write_config(&self, text: &str) {
        write_config(self.dir.path(), text);
    }

    /// The text of the configuration file.
    pub fn config_text(&self) -> String {
        std::fs::read_to_string(config_path(self.dir.path())).expect("it was written")
    }

    /// Asks for a reload.
    pub fn sighup(&self) {
        self.process.signal(Signal::HUP);
    }

    /// Asks for an orderly end; [`Node::wait`] waits for it.
    pub fn sigterm(&self) {
        self.process.signal(Signal::TERM);
    }

    /// `kill -9`; returns when it is dead.
    pub fn kill9(&mut self) {
        self.process.kill();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Memory and descriptors now.
    #[track_caller]
    pub fn sample(&self) -> Sample {
        Sample::of(self.process.pid())
    }

    /// CPU time it has used, user and system, all threads.
    ///
    /// # Panics
    /// When it is gone.
    pub fn sample_cpu(&self) -> std::time::Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it runs");
        // The name may hold spaces; the fields after it do not (proc(5)).
        let (_, rest) = stat.rsplit_once(") ").expect("a name");
        let ticks: u64 = rest
            .split(' ')
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().expect("ticks"))
            .sum();
        let per_s = rustix::param::clock_ticks_per_second();
        std::time::Duration::from_secs_f64(ticks as f64 / per_s as f64)
    }

    /// How many lines of its log (standard error) hold `text`.
    pub fn log_count(&self, text: &str) -> usize {
        self.process.count_lines(text)
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        self.process.tail(TAIL_LINES)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        guarded::check(self.dir.path());
        if std::thread::panicking() {
            let status = match self.process.is_running() {
                true => "was running".to_owned(),
                false => format!("had ended: {}", self.process.wait()),
            };
            let config = config_path(self.dir.path());
            let text = std::fs::read_to_string(&config).unwrap_or_default();
            let tail = self.log_tail();
            eprintln!(
                "the node {status}; {}:\n{text}\nthe end of its log:\n{tail}",
                config.display()
            );
        }
    }
}

/// Runs a subcommand of the binary to its end, in `dir`.
#[track_caller]
pub fn run_edge(dir: &Path, args: &[&str]) -> Output {
    let output = Command::new(binary()).args(args).current_dir(dir).output();
    output.unwrap_or_else(|e| panic!("run edge {args:?}: {e}"))
}

fn config_path(dir: &Path) -> PathBuf {
    dir.join("edge.toml")
}

fn write_config(dir: &Path, text: &str) {
    let text = guarded::text(text.to_owned(), dir);
    std::fs::write(config_path(dir), text).expect("write edge.toml");
}

/// `edge serve`, up to its `ready`: the process, the address of its listener, that of its admin.
#[track_caller]
fn launch(dir: &Path, config: &NodeConfig) -> (Process, SocketAddr, SocketAddr) {
    let mut command = Command::new(binary());
    command.arg("serve").arg("--config").arg(config_path(dir)).current_dir(dir);
    command.envs(config.environment.iter().map(|(name, value)| (name, value)));
    let process = Process::spawn("edge", &mut command);
    let addr = |prefix: &'static str| {
        process.wait_line(&format!("`{prefix}ADDR:PORT`"), |line| {
            line.strip_prefix(prefix)?.parse::<SocketAddr>().ok()
        })
    };
    let (listen, admin) = (addr("listening on "), addr("admin on "));
    process.wait_line("`ready`", |line| (line == "ready").then_some(()));
    (process, listen, admin)
}

/// `EDGE_BIN`, or `edge` in the directory above the test's own.
///
/// # Panics
/// When it is not there.
#[track_caller]
pub fn binary() -> PathBuf {
    let path = std::env::var_os("EDGE_BIN").map(PathBuf::from).unwrap_or_else(|| {
        let test = std::env::current_exe().expect("a path of our own");
        let profile = test.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST");
        profile.join("edge")
    });
    assert!(path.is_file(), "{path:?} is not there: `cargo build -p edge`, or set EDGE_BIN");
    path
}
