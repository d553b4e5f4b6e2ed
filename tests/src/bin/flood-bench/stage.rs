//! Two hosts on a cable, a server at the one, good clients at the other.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use edge::sys::mount;
use edge_tests::netns::{CLIENTS, Host, SERVER, SERVER_INTERFACE, cable};
use edge_tests::{Node, NodeConfig};
use tempfile::TempDir;

use crate::Outcome;

/// Who asks for so long in vain gives up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the guard of a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarding {
    Off,
    Enforce,
}

/// See the module.
pub struct Stage {
    pub client: Host,
    pub server: Host,
    dir: TempDir,
    pub file: &'static str,
}

impl Stage {
    /// With one file of `bytes` to be served.
    pub fn new(bytes: usize) -> Outcome<Stage> {
        let (client, server) = cable()?;
        server.sysctl("tcp_syncookies", 1);
        // Answers to addresses that nobody has leave the host, as they would in a real one.
        server.ip(&["route", "add", "default", "via", CLIENTS[0]])?;
        let dir = TempDir::new()?;
        std::fs::create_dir(dir.path().join("www"))?;
        std::fs::write(dir.path().join("www/file"), vec![7; bytes])?;
        std::fs::create_dir(dir.path().join("bpf"))?;
        mount::mount_bpffs(&dir.path().join("bpf"))?;
        Ok(Stage { client, server, dir, file: "/file" })
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the guard of a node keeps its maps.
    pub fn pins(&self) -> std::path::PathBuf {
        self.dir.path().join("bpf/edge")
    }

    /// A node on the server's address, and where it listens.
    pub fn node(&self, guarding: Guarding) -> (Node, SocketAddr) {
        let origin = format!("file://{}", self.dir.path().join("www").display());
        let listen = format!("[[listen]]\naddr = \"{}:0\"\n", SERVER[0]);
        let config = NodeConfig::of(&origin).section(&listen);
        // The clients of a measurement ask like nobody else; what the kernel counts of them stays in force.
        let rules = ["requests", "bytes", "object_requests", "object_bytes"];
        let config = rules.iter().fold(config, |config, rule| {
            config.guard(&format!("[[guard.limit]]\non = \"{rule}\"\nrate = 0"))
        });
        let config = match guarding {
            Guarding::Off => config,
            Guarding::Enforce => config.guarded_at(SERVER_INTERFACE, &self.pins()),
        };
        let node = self.server.run(|| Node::start(config));
        let addr = node.addr_of(1);
        (node, addr)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = mount::unmount(&self.dir.path().join("bpf"));
    }
}

/// What good clients got.
#[derive(Clone, Debug, Default)]
pub struct Got {
    pub bytes: u64,
    pub seconds: f64,
    pub requests: u64,
    pub failures: u64,
    /// Of each request, ms, in order of size.
    times_ms: Vec<f64>,
}

impl Got {
    pub fn mib_per_s(&self) -> f64 {
        self.bytes as f64 / self.seconds / f64::from(1 << 20)
    }

    /// The time within which so many of a hundred requests were answered, ms.
    pub fn percentile_ms(&self, percent: usize) -> f64 {
        let last = self.times_ms.len().saturating_sub(1);
        self.times_ms.get(last * percent / 100).copied().unwrap_or(f64::NAN)
    }
}

/// `count` clients ask for `file` again and again for `seconds`, ten times on each connection.
pub fn good_clients(host: &Host, to: SocketAddr, file: &str, count: usize, seconds: f64) -> Got {
    let over = AtomicBool::new(false);
    let start = Instant::now();
    let mut all = Got::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..count).map(|_| scope.spawn(|| host.run(|| client(to, file, &over)))).collect();
        std::thread::sleep(Duration::from_secs_f64(seconds));
        over.store(true, Relaxed);
        all.seconds = start.elapsed().as_secs_f64();
        for client in clients {
            let got = client.join().expect("a client");
            all.bytes += got.bytes;
            all.requests += got.requests;
            all.failures += got.failures;
            all.times_ms.extend(got.times_ms);
        }
    });
    all.times_ms.sort_by(f64::total_cmp);
    all
}

fn client(to: SocketAddr, file: &str, over: &AtomicBool) -> Got {
    let mut got = Got::default();
    while !over.load(Relaxed) {
        let begun = Instant::now();
        let Ok(mut stream) = TcpStream::connect_timeout(&to, PATIENCE) else {
            got.failures += 1;
            got.times_ms.push(begun.elapsed().as_secs_f64() * 1000.0);
            continue;
        };
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let _ = stream.set_nodelay(true);
        let mut begun = begun;
        for _ in 0..10 {
            let answer = ask(&mut stream, file);
            got.times_ms.push(begun.elapsed().as_secs_f64() * 1000.0);
            match answer {
                Ok(bytes) => (got.bytes, got.requests) = (got.bytes + bytes, got.requests + 1),
                Err(_) => {
                    got.failures += 1;
                    break;
                }
            }
            begun = Instant::now();
        }
    }
    got
}

/// The length of the answer's body.
fn ask(stream: &mut TcpStream, file: &str) -> std::io::Result<u64> {
    use std::io::{Error, ErrorKind};
    // In one piece: two would wait for each other's acknowledgement.
    stream.write_all(format!("GET {file} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())?;
    let mut buffer = vec![0; 256 << 10];
    let mut have = 0;
    let (head, length) = loop {
        let more = stream.read(&mut buffer[have..])?;
        if more == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        have += more;
        let text = String::from_utf8_lossy(&buffer[..have.min(4096)]).to_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length =
                text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let length = length.and_then(|length| length.parse::<u64>().ok());
            break (end as u64 + 4, length.ok_or(Error::from(ErrorKind::InvalidData))?);
        }
    };
    let mut left = (head + length).saturating_sub(have as u64);
    while left > 0 {
        let most = buffer.len().min(left as usize);
        match stream.read(&mut buffer[..most])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            more => left -= more as u64,
        }
    }
    Ok(length)
}
