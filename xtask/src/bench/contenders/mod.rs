//! Who is measured: how each is configured, started, and ended.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};

use super::arena::{Arena, confined, free_port};
use super::measure::Processes;
use crate::sh;

mod configs;
mod traffic_server;

/// Where [`Contender::EdgeOther`] is; absolute.
const OTHER: &str = "EDGE_BENCH_OTHER";
/// A server comes up within this time, and ends within it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The contenders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Contender {
    /// The node, serving a directory (`origin = "file://…"`)
    Edge,
    /// The node, serving from its volume what it fetched from an origin
    EdgeCache,
    /// As edge is, with `steer = "cpu"`: connections stay on the core of their packets
    EdgeSteered,
    /// Another build of the node, at EDGE_BENCH_OTHER, with lines of EDGE_BENCH_OTHER_LISTEN in its
    /// [[listen]], else as edge is: what a change or a setting is worth
    EdgeOther,
    /// nginx: sendfile, tcp_nopush, open_file_cache, reuseport
    Nginx,
    /// nginx: the same and proxy_cache
    NginxCache,
    /// nginx: the same and slices of 1 MiB
    NginxSlice,
    /// lighttpd, serving a directory
    Lighttpd,
    /// Caddy's file server
    Caddy,
    /// Varnish, with its cache in memory
    Varnish,
    /// Squid, with its cache in memory
    Squid,
    /// Apache Traffic Server, with its cache in a file and in memory
    TrafficServer,
    /// Limit: a bare splice loop
    Splice,
    /// Limit: a bare epoll server with its answer in memory
    Constant,
    /// Limit: a minimal tokio-uring server with its answer in memory
    TokioUring,
}

/// What a contender is started for.
pub struct Start<'a> {
    /// Where.
    pub arena: &'a Arena,
    /// Worker threads or processes.
    pub workers: usize,
    /// The cores it may use.
    pub cores: &'a [usize],
    /// Where caches fetch from.
    pub origin: Option<SocketAddr>,
    /// The one file a limit serves.
    pub file: &'a Path,
    /// Whether what it serves may be on the disk only.
    pub cold: bool,
    /// Whether clients speak TLS.
    pub tls: bool,
}

/// A contender that answers.
pub struct Running {
    /// Who.
    pub who: Contender,
    /// Where it answers.
    pub address: SocketAddr,
    /// Where the node's own numbers are to be had; nobody listens there for others.
    pub admin: SocketAddr,
    /// What is charged to it.
    pub processes: Processes,
    child: Child,
}

impl Contender {
    /// Every one of them.
    pub fn all() -> impl Iterator<Item = Contender> {
        Contender::value_variants().iter().copied()
    }

    /// Its name in reports and on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it needs an origin.
    pub fn is_cache(self) -> bool {
        use Contender::{EdgeCache, NginxCache, NginxSlice, Squid, TrafficServer, Varnish};
        matches!(self, EdgeCache | NginxCache | NginxSlice | Varnish | Squid | TrafficServer)
    }

    /// The Debian package that brings it, for those that are not ours.
    pub fn package(self) -> Option<&'static str> {
        Some(match self {
            Contender::Nginx | Contender::NginxCache | Contender::NginxSlice => "nginx",
            Contender::Lighttpd => "lighttpd",
            Contender::Caddy => "caddy",
            Contender::Varnish => "varnish",
            Contender::Squid => "squid",
            Contender::TrafficServer => "trafficserver",
            _ => return None,
        })
    }

    /// Its program, where it is here; the node's must have been built.
    pub fn program(self) -> Option<PathBuf> {
        match self {
            Contender::Edge | Contender::EdgeCache | Contender::EdgeSteered => {
                Some(sh::cargo_target().join("release/edge")).filter(|binary| binary.is_file())
            }
            Contender::EdgeOther => std::env::var_os(OTHER).map(PathBuf::from),
            Contender::Splice | Contender::Constant | Contender::TokioUring => {
                std::env::current_exe().ok()
            }
            Contender::Varnish => sh::find("varnishd"),
            Contender::TrafficServer => sh::find("traffic_server"),
            other => sh::find(other.package()?),
        }
    }

    /// Starts it and waits until it answers.
    pub fn start(self, start: &Start<'_>) -> Result<Running> {
        let name = self.name();
        let program = self.program().with_context(|| format!("{name} is not here"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let room = start.arena.room(&format!("{name}-{}", address.port()))?;
        let mut command = confined(&program, start.cores);
        self.configure(&mut command, start, (address, admin), &room)?;
        let said = room.join("said");
        let out = std::fs::File::create(&said).context("could not make a file")?;
        let errors = out.try_clone().context("could not share a file")?;
        command.current_dir(&room).stdin(Stdio::null()).stdout(out).stderr(errors);
        let child = command.spawn().with_context(|| format!("could not start {name}"))?;
        let mut running =
            Running { who: self, address, admin, processes: Processes::of(child.id()), child };
        running.await_answer().with_context(|| {
            let said = std::fs::read_to_string(&said).unwrap_or_default();
            format!("{name} does not come up: {}", said.trim())
        })?;
        Ok(running)
    }

    fn configure(
        self,
        command: &mut Command,
        start: &Start<'_>,
        (address, admin): (SocketAddr, SocketAddr),
        room: &Path,
    ) -> Result<()> {
        let config = |text: String| {
            let path = room.join("config");
            std::fs::write(&path, text).context("could not write a configuration")?;
            Ok::<_, anyhow::Error>(path)
        };
        match self {
            Contender::Edge
            | Contender::EdgeCache
            | Contender::EdgeSteered
            | Contender::EdgeOther => {
                let path = config(configs::edge(self, start, (address, admin), room)?)?;
                command.args(["serve", "--config"]).arg(path);
            }
            Contender::Nginx | Contender::NginxCache | Contender::NginxSlice => {
                let path = config(configs::nginx(self, start, address, room)?)?;
                command.arg("-p").arg(room).arg("-c").arg(path);
            }
            Contender::Lighttpd => {
                command.arg("-D").arg("-f").arg(config(configs::lighttpd(start, address, room))?);
            }
            Contender::Caddy => {
                command.env("GOMAXPROCS", start.workers.to_string());
                command.env("XDG_DATA_HOME", room).env("XDG_CONFIG_HOME", room);
                command.args(["run", "--adapter", "caddyfile", "--config"]);
                command.arg(config(configs::caddy(start, address, room))?);
            }
            Contender::Varnish => {
                command.args(["-F", "-s", "malloc,3G", "-t", "3600", "-a", &address.to_string()]);
                command.arg("-b").arg(origin(start)?.to_string()).arg("-n").arg(room);
            }
            Contender::Squid => {
                // It leaves root for a user of its own, who writes here.
                let everybody = std::fs::Permissions::from_mode(0o777);
                std::fs::set_permissions(room, everybody).context("could not open a directory")?;
                let path = config(configs::squid(start, address, room)?)?;
                // A service of its own: shared memory is named after it.
                command.args(["-n", &format!("bench{}", address.port())]);
                command.args(["-N", "-d", "1", "-f"]).arg(path);
            }
            Contender::TrafficServer => {
                let layout = traffic_server::lay_out(start, address, room)?;
                command.arg(format!("--run-root={}", layout.display()));
            }
            Contender::Splice | Contender::Constant | Contender::TokioUring => {
                command.arg("bench-limit").arg(self.name()).arg(address.to_string());
                command.arg(start.workers.to_string()).arg(start.file);
            }
        }
        Ok(())
    }
}

impl Running {
    fn await_answer(&mut self) -> Result<()> {
        let begin = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait().context("could not look after it")? {
                bail!("it ended: {status}");
            }
            if begin.elapsed() > PATIENCE {
                bail!("nothing listens on {} after {} s", self.address, PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Some start their workers only after they listen.
        std::thread::sleep(Duration::from_millis(200));
        self.processes = Processes::of(self.child.id());
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let signal = |id: u32, signal| {
            if let Some(id) = Pid::from_raw(id as i32) {
                let _ = kill_process(id, signal);
            }
        };
        // The parent ends its children; one that does not is ended with them.
        signal(self.child.id(), Signal::TERM);
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE / 4 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Processes::of(self.child.id()).ids().iter().for_each(|id| signal(*id, Signal::KILL));
        let _ = self.child.wait();
    }
}

fn origin(start: &Start<'_>) -> Result<SocketAddr> {
    start.origin.context("a cache without an origin")
}
