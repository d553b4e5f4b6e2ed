//! Real nginx as an origin, with its own configuration in its own directory.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{Process, eventually};
use crate::tools::need;

const TRIES: usize = 8;

/// A running nginx that serves the files of [`Nginx::root`]; ends when dropped.
pub struct Nginx {
    dir: TempDir,
    addr: SocketAddr,
    /// Held for its end.
    _process: Process,
}

/// What nginx's access log says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NginxCounts {
    /// Requests that ended.
    pub requests: u64,
    /// Body bytes of their responses.
    pub body_bytes: u64,
}

impl Nginx {
    /// Starts it; `None` (with a SKIP line) when this host has none.
    pub fn start() -> Option<Nginx> {
        Nginx::start_with(None)
    }

    /// Starts it with TLS and HTTP/2: the certificate, its key, and further lines of its server.
    pub fn start_tls(cert: &Path, key: &Path, more: &str) -> Option<Nginx> {
        let (cert, key) = (cert.display(), key.display());
        let lines = format!("ssl_certificate {cert}; ssl_certificate_key {key};\n{more}");
        Nginx::start_with(Some(&lines))
    }

    fn start_with(tls: Option<&str>) -> Option<Nginx> {
        let nginx = need("nginx")?;
        let dir = tempfile::Builder::new().prefix("edge-nginx-").tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("www")).expect("a directory");
        // nginx cannot be told to let the kernel choose: a port that was free just now may be taken
        // when it binds, then another one is tried.
        for _ in 0..TRIES {
            let addr = free_port();
            let config = dir.path().join("nginx.conf");
            std::fs::write(&config, configuration(dir.path(), addr, tls))
                .expect("write nginx.conf");
            let mut command = Command::new(nginx.path());
            command.arg("-c").arg(&config).arg("-p").arg(dir.path()).arg("-e").arg("error.log");
            let mut process = Process::spawn("nginx", &mut command);
            if answers(&mut process, addr) {
                return Some(Nginx { dir, addr, _process: process });
            }
        }
        let log = std::fs::read_to_string(dir.path().join("error.log")).unwrap_or_default();
        panic!("nginx did not start in {TRIES} tries; its error log:\n{log}");
    }

    /// What a site's `origin` names.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The directory it serves.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("www")
    }

    /// What its access log says now; a response is in it only when it has ended.
    #[track_caller]
    pub fn counts(&self) -> NginxCounts {
        let log = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        let mut counts = NginxCounts::default();
        for line in log.lines() {
            let bytes = line.split(' ').next().and_then(|word| word.parse::<u64>().ok());
            counts.requests += 1;
            counts.body_bytes += bytes.unwrap_or_else(|| panic!("access.log of nginx: {line:?}"));
        }
        counts
    }

    /// What it sent, in order: answers of 200 and 206, as its access log shows them.
    #[track_caller]
    pub fn sent(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        let is_sent = |line: &&str| {
            let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("access.log: {line:?}"));
            matches!(status, "200" | "206")
        };
        log.lines().filter(is_sent).map(str::to_owned).collect()
    }

    /// Waits until its access log tells of `body_bytes` in all.
    #[track_caller]
    pub fn wait_for_body_bytes(&self, body_bytes: u64) {
        let what =
            format!("nginx having sent {body_bytes} body bytes; its log: {:?}", self.counts());
        eventually(&what, || (self.counts().body_bytes >= body_bytes).then_some(()));
    }
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    listener.local_addr().expect("it is bound")
}

/// Whether it comes to accept connections before it ends.
fn answers(process: &mut Process, addr: SocketAddr) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while process.is_running() && Instant::now() < deadline {
        if TcpStream::connect(addr).is_ok() {
            // Somebody else's port would answer too.
            std::thread::sleep(Duration::from_millis(50));
            return process.is_running();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

fn configuration(dir: &Path, addr: SocketAddr, tls: Option<&str>) -> String {
    let (ssl, more) = tls.map_or(("", ""), |more| (" ssl http2", more));
    let dir = dir.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("  {kind}_temp_path {dir}/temp_{kind};\n"))
        .collect();
    format!(
        "daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/error.log warn;
events {{ worker_connections 1024; }}
http {{
{temporary}
  log_format bytes '$body_bytes_sent $status $request_method $request_uri \"$http_range\"';
  access_log {dir}/access.log bytes;
  sendfile on;
  keepalive_requests 1000000;
  default_type application/octet-stream;
  server {{
    listen {addr}{ssl};
    {more}
    root {dir}/www;
    add_header Cache-Control max-age=3600;
  }}
}}
"
    )
}
