//! `cargo xtask bench memory` and `bench start`: the index with ten million entries. They are entered by
//! the store's own code and have no bytes.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use edge::cache::Cache;
use edge::config;
use rustix::process::{Pid, Signal, kill_process};

use super::arena::{Arena, free_port};
use super::contenders::Contender;
use super::measure::Processes;
use super::report::{Table, number};
use crate::sh;

const ENTRIES: u64 = 10_000_000;
/// A checkpoint has room for one entry in 8 KiB of volume.
const START_VOLUME_BYTES: u64 = 88 << 30;
const STARTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);

/// Memory an entry: resident, as the kernel counts it.
pub fn memory(arena: &Arena) -> Result<Vec<Table>> {
    let path = arena.room("memory")?.join("volume");
    let before = own_bytes();
    let cache = open(&path, 1 << 30)?;
    let empty = own_bytes();
    let begun = Instant::now();
    cache.rehearse(ENTRIES)?;
    let filled_s = begun.elapsed().as_secs_f64();
    let full = own_bytes();
    let begun = Instant::now();
    cache.checkpoint()?;
    let checkpoint_s = begun.elapsed().as_secs_f64();
    let after = own_bytes();
    let entries = cache.entries() as f64;
    let each = |bytes: u64| number(bytes as f64 / entries, 2);
    let rows = vec![
        vec!["entries in the index".to_owned(), number(entries, 0), String::new()],
        vec!["index, resident".to_owned(), (full - empty).to_string(), each(full - empty)],
        vec![
            "index, its slots".to_owned(),
            cache.index_bytes().to_string(),
            each(cache.index_bytes() as u64),
        ],
        vec![
            "ghost table of this volume, at most".to_owned(),
            cache.ghost_bytes().to_string(),
            each(cache.ghost_bytes() as u64),
        ],
        vec![
            "a checkpoint, while it is written".to_owned(),
            after.saturating_sub(full).to_string(),
            each(after.saturating_sub(full)),
        ],
        vec!["an empty cache".to_owned(), empty.saturating_sub(before).to_string(), String::new()],
    ];
    drop(cache);
    let _ = std::fs::remove_file(path);
    let note = format!(
        "entered in {filled_s:.1} s, a checkpoint of as many as this volume has room for took {checkpoint_s:.2} s"
    );
    let met = (full - empty) as f64 / entries <= 48.0;
    let said = format!(
        "{}: resident bytes an index entry, to reach 48",
        if met { "met" } else { "NOT met" }
    );
    Ok(vec![Table::plain("memory", note, &["what", "bytes", "an entry"], rows).said(vec![said])])
}

/// Time from the start of the process to the last byte of the first answer, a hit.
pub fn start(arena: &Arena) -> Result<Vec<Table>> {
    let room = arena.room("start")?;
    let device = Device::make(&room.join("volume"))?;
    let node = Node::configure(&room, &device.path)?;
    let origin = TcpListener::bind("127.0.0.1:0").context("no port for an origin")?;
    node.write(origin.local_addr()?)?;
    let serving = std::thread::spawn(move || serve_once(&origin));
    node.run()?.end(Signal::TERM)?;
    let _ = serving.join();
    {
        let cache = open(&device.path, START_VOLUME_BYTES)?;
        cache.rehearse(ENTRIES)?;
        cache.checkpoint()?;
    }
    let mut rows = Vec::new();
    let mut worst = 0.0_f64;
    for (what, signal) in [("kill -9", Signal::KILL), ("an orderly end", Signal::TERM)] {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let running = node.run()?;
            times.push(running.first_hit_s);
            running.end(signal)?;
        }
        times.sort_by(f64::total_cmp);
        worst = worst.max(times[STARTS - 1]);
        rows.push(vec![
            what.to_owned(),
            number(times[STARTS / 2], 3),
            number(times[STARTS - 1], 3),
        ]);
    }
    let note =
        format!("{ENTRIES} entries, {STARTS} starts after each way to end; the page cache is warm");
    let header = ["ended by", "median, s to the first hit", "worst"];
    let said =
        format!("{}: first hit, to reach under 1 s", if worst < 1.0 { "met" } else { "NOT met" });
    Ok(vec![Table::plain("start", note, &header, rows).said(vec![said])])
}

fn own_bytes() -> u64 {
    Processes::of(std::process::id()).own_bytes()
}

fn open(path: &Path, size_bytes: u64) -> Result<std::sync::Arc<Cache>> {
    let volumes = vec![config::Volume { path: path.to_owned(), size_bytes }];
    let ram_bytes = 1 << 20;
    let cache = config::Cache {
        volumes,
        ram_bytes,
        slice_bytes: 1 << 20,
        checkpoint_ms: 60_000,
        scrub_bytes_per_s: 0,
    };
    Ok(Cache::open(&cache)?)
}

/// A block device over a file with holes: a volume that reserves nothing.
struct Device {
    path: PathBuf,
    file: PathBuf,
}

impl Device {
    fn make(file: &Path) -> Result<Device> {
        let made = File::create(file).context("could not make a file")?;
        made.set_len(START_VOLUME_BYTES).context("could not size a file")?;
        let mut losetup = Command::new("losetup");
        let said = sh::read(losetup.arg("--find").arg("--show").arg(file))
            .context("no loop device: root, and a kernel that has them, are needed")?;
        Ok(Device { path: said.trim().into(), file: file.to_owned() })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.path).status();
        let _ = std::fs::remove_file(&self.file);
    }
}

struct Node {
    config: PathBuf,
    volume: PathBuf,
    address: SocketAddr,
}

struct Running {
    child: Child,
    first_hit_s: f64,
}

impl Node {
    fn configure(room: &Path, volume: &Path) -> Result<Node> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        Ok(Node { config: room.join("edge.toml"), volume: volume.to_owned(), address })
    }

    fn write(&self, origin: SocketAddr) -> Result<()> {
        let text = format!(
            "[[listen]]\naddr = \"{}\"\n[admin]\naddr = \"127.0.0.1:{}\"\n[cache]\nvolumes = [{{ path = {:?}, \
             size = \"{START_VOLUME_BYTES}\" }}]\n[guard]\ninterfaces = []\n[[site]]\nhosts = [\"*\"]\norigin = \
             \"http://{origin}\"\n",
            self.address,
            free_port()?,
            self.volume
        );
        std::fs::write(&self.config, text).context("could not write a configuration")
    }

    /// Starts it and asks until it answers with the object.
    fn run(&self) -> Result<Running> {
        let program = Contender::Edge.program().context("the node is not built")?;
        let begun = Instant::now();
        let mut command = Command::new(program);
        command.args(["serve", "--config"]).arg(&self.config);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.context("could not start the node")?;
        while begun.elapsed() < PATIENCE {
            if self.ask().unwrap_or(false) {
                return Ok(Running { child, first_hit_s: begun.elapsed().as_secs_f64() });
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Running { child, first_hit_s: 0.0 }.end(Signal::KILL)?;
        anyhow::bail!("the node did not answer within {PATIENCE:?}")
    }

    fn ask(&self) -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(BODY))
    }
}

impl Running {
    fn end(mut self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.context("a process id")?, signal).context("could not end the node")?;
        self.child.wait().context("the node does not end")?;
        Ok(())
    }
}

const BODY: &[u8] = b"the one object that has bytes";

/// An origin for as many requests as a first fill makes; gone afterwards, so that what is answered then
/// is a hit.
fn serve_once(origin: &TcpListener) {
    let Ok((mut stream, _)) = origin.accept() else { return };
    let mut request = [0; 4096];
    let _ = stream.read(&mut request);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nCache-Control: max-age=86400\r\nETag: \"a\"\r\n\r\n",
        BODY.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), BODY].concat());
}
