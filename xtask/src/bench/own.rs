//! A node with a configuration of the case's own, where contenders all alike will not do.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::arena::{Arena, confined, free_port};
use super::contenders::Contender;
use super::measure::Processes;

/// It comes up within this time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node that answers.
pub struct Node {
    /// Where it answers.
    pub address: SocketAddr,
    /// What is charged to it.
    pub processes: Processes,
    child: Child,
}

impl Node {
    /// Starts the node on `cores`, one worker for each, with these sites; it serves the arena's files where
    /// they say so.
    pub fn start(arena: &Arena, name: &str, cores: &[usize], sites: &str) -> Result<Node> {
        let program = Contender::Edge.program().context("the node is not built")?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let room = arena.room(name)?;
        let text = format!(
            "[server]\nworkers = {}\nfill_threads = 1\ndrain_timeout = \"1s\"\n\
             [[listen]]\naddr = \"{address}\"\n[admin]\naddr = \"off\"\n\
             [log]\naccess = \"{}\"\nformat = \"combined\"\nlevel = \"warn\"\n{sites}",
            cores.len(),
            room.join("access.log").display(),
        );
        let config = room.join("edge.toml");
        std::fs::write(&config, text).context("could not write a configuration")?;
        let said = File::create(room.join("said")).context("could not make a file")?;
        let mut command = confined(&program, cores);
        command.args(["serve", "--config"]).arg(&config).current_dir(&room);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        let child = command.spawn().context("could not start the node")?;
        let mut node = Node { address, processes: Processes::of(child.id()), child };
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = node.child.try_wait().context("could not look after it")? {
                let said = std::fs::read_to_string(room.join("said")).unwrap_or_default();
                bail!("the node ended, {status}: {}", said.trim());
            }
            if begin.elapsed() > PATIENCE {
                bail!("the node does not come up");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        node.processes = Processes::of(node.child.id());
        Ok(node)
    }

    /// Has it read its configuration again.
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        // `taskset` has become the node: the child is it.
        if let Some(id) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process(id, signal);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE / 4 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
