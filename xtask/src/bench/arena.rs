//! Where all contenders meet: a network namespace of its own, files, cores, a directory.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};
use rustix::fs::{Advice, fadvise};

use crate::{host, sample, sh};

/// Set in the environment of the benchmark that runs inside the namespace.
const INSIDE: &str = "EDGE_BENCH_INSIDE";
/// Set there when no namespace could be had.
const OUTSIDE: &str = "host";
/// In every kernel, and cheap: what differs then is the server (see README, "Speed").
const CONGESTION: &str = "reno";
/// Files served, and their sizes.
pub const LARGE: (&str, u64) = ("large.bin", 1 << 30);
/// Fetched cold, one after the other.
pub const COLD: (u64, u64) = (4, 1 << 30);
/// Fetched by caches that have nothing of it.
pub const MISSED: (&str, u64) = ("missed.bin", 256 << 20);
/// Different files of each small size.
pub const SMALL_FILES: u64 = 16;

/// The place.
pub struct Arena {
    /// Below it: what is served (`root`), reports, logs, caches.
    pub dir: PathBuf,
    /// The cores this process may use.
    pub cores: Vec<usize>,
    /// Congestion control of every connection.
    pub congestion: String,
    /// Whether the network is a namespace of its own.
    pub is_own_network: bool,
}

/// Whether this process is the one that measures.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Starts this program once more in a new network namespace, or where it is if that is forbidden.
pub fn enter() -> Result<ExitStatus> {
    let own = std::env::current_exe().context("could not find this program")?;
    let can = |flags: &[&str]| {
        let tried = Command::new("unshare").args(flags).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    };
    let ways: [&[&str]; 2] = [&["--net"], &["--net", "--map-root-user"]];
    let mut command = match ways.iter().find(|flags| can(flags)) {
        Some(flags) => {
            let mut command = Command::new("unshare");
            command.args(*flags).arg("--").arg(&own).env(INSIDE, "namespace");
            command
        }
        None => {
            let mut command = Command::new(&own);
            command.env(INSIDE, OUTSIDE);
            command
        }
    };
    command.args(std::env::args_os().skip(1)).status().context("could not start the benchmark")
}

impl Arena {
    /// Sets up network, files and directories.
    pub fn make() -> Result<Arena> {
        let is_own_network = std::env::var_os(INSIDE).is_some_and(|how| how != OUTSIDE);
        if is_own_network {
            set_up_network()?;
        }
        let dir = sh::target().join("bench");
        let arena = Arena {
            cores: cores(),
            congestion: host::sysctl("net/ipv4/tcp_congestion_control").unwrap_or_default(),
            is_own_network,
            dir,
        };
        fs::create_dir_all(arena.root()).context("could not make target/bench/root")?;
        let _ = fs::remove_dir_all(arena.dir.join("run"));
        Ok(arena)
    }

    /// What is served.
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// A fresh directory for one contender.
    pub fn room(&self, name: &str) -> Result<PathBuf> {
        let room = self.dir.join("run").join(name);
        let _ = fs::remove_dir_all(&room);
        fs::create_dir_all(&room).with_context(|| format!("could not make {}", room.display()))?;
        Ok(room)
    }

    /// The large file, made when it is missing.
    pub fn large(&self) -> Result<PathBuf> {
        self.file(LARGE.0, LARGE.1, 1)
    }

    /// The `index`th small file of `kib` KiB.
    pub fn small(&self, kib: u64, index: u64) -> Result<PathBuf> {
        self.file(&small_name(kib, index), kib << 10, kib * 1_000 + index)
    }

    /// The `index`th cold file.
    pub fn cold(&self, index: u64) -> Result<PathBuf> {
        self.file(&cold_name(index), COLD.1, 100_000 + index)
    }

    /// The file that is fetched by caches that have nothing of it.
    pub fn missed(&self) -> Result<PathBuf> {
        self.file(MISSED.0, MISSED.1, 3)
    }

    fn file(&self, name: &str, bytes: u64, seed: u64) -> Result<PathBuf> {
        let path = self.root().join(name);
        sample::fill(&path, bytes, seed)?;
        Ok(path)
    }
}

/// Its name below the root.
pub fn small_name(kib: u64, index: u64) -> String {
    format!("{kib}k-{index:02}.bin")
}

/// Its name below the root.
pub fn cold_name(index: u64) -> String {
    format!("cold-{index}.bin")
}

/// Brings a file into the page cache.
pub fn heat(path: &Path) -> Result<()> {
    let mut file =
        File::open(path).with_context(|| format!("could not open {}", path.display()))?;
    std::io::copy(&mut file, &mut std::io::sink()).context("could not read a file")?;
    Ok(())
}

/// Takes a file's clean pages out of the page cache.
pub fn chill(path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("could not open {}", path.display()))?;
    file.sync_data().context("could not write a file back")?;
    fadvise(&file, 0, None, Advice::DontNeed).context("could not drop a file's pages")?;
    Ok(())
}

/// A port nobody listens on.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("could not find a free port")?;
    Ok(listener.local_addr().context("could not read a port")?.port())
}

/// `program` confined to `cores`. It stays in our process group: Ctrl-C ends it too.
pub fn confined(program: &Path, cores: &[usize]) -> Command {
    let list: Vec<_> = cores.iter().map(usize::to_string).collect();
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &list.join(",")]).arg(program);
    command
}

fn set_up_network() -> Result<()> {
    sh::read(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    for (name, value) in [
        ("tcp_congestion_control", CONGESTION),
        ("ip_local_port_range", "1024 65535"),
        // Churn would run out of ports within seconds.
        ("tcp_max_tw_buckets", "1000"),
    ] {
        let path = format!("/proc/sys/net/ipv4/{name}");
        if let Err(error) = fs::write(&path, value) {
            println!("{path} stays as it is: {error}");
        }
    }
    Ok(())
}

fn cores() -> Vec<usize> {
    let allowed = rustix::thread::sched_getaffinity(None);
    let Ok(allowed) = allowed else { return vec![0] };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect()
}
