//! HTTPS: large files, and handshakes, by curl and openssl as clients.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;

use super::arena::{Arena, LARGE, heat};
use super::cases::Case;
use super::contenders::{Contender, Running, Start};
use super::load::Outcome;
use super::report::{Metric, Table, Target};
use super::runs::{Cores, Pace, Sample, Setting, rounds};
use crate::sh;

/// Where the arena's certificate is: a P-256 key, which both sides sign with as fast as they can.
pub fn certificate(arena: &Arena) -> Result<(PathBuf, PathBuf)> {
    let (cert, key) = (arena.dir.join("tls.pem"), arena.dir.join("tls.key"));
    if !cert.is_file() || !key.is_file() {
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.args(["-nodes", "-days", "3650", "-subj", "/CN=bench.test"]);
        openssl.args(["-addext", "subjectAltName=DNS:bench.test", "-keyout"]);
        sh::read(openssl.arg(&key).arg("-out").arg(&cert))?;
    }
    Ok((cert, key))
}

/// A large file by curl, whole, hot; then handshakes, in full and resumed.
pub fn tls(
    case: &Case,
    arena: &Arena,
    pace: &Pace,
    contenders: &[Contender],
    bar: &ProgressBar,
) -> Result<Vec<Table>> {
    let setting = Setting { workers: 1, connections: 1 };
    let file = arena.large()?;
    heat(&file)?;
    let cores = Cores::share(arena, setting.workers);
    let start = Start {
        arena,
        workers: setting.workers,
        cores: &cores.server,
        origin: None,
        file: &file,
        cold: false,
        tls: true,
    };
    let running = contenders.iter().map(|who| who.start(&start)).collect::<Result<Vec<_>>>()?;
    let cpu = |metric, ratio| vec![Target { metric, ratio, against: Contender::Nginx }];
    let table = |name: &'static str, series, targets| {
        Table::new(name, setting, &cores, series, Contender::Nginx, targets)
    };
    running.iter().try_for_each(|it| download(it).map(drop))?;
    let large = rounds(pace, &running, bar, download)?;
    let full = rounds(pace, &running, bar, |it| handshakes(it, "-new"))?;
    let resumed = rounds(pace, &running, bar, |it| handshakes(it, "-reuse"))?;
    let note = "TLS 1.3 with TLS_AES_128_GCM_SHA256, curl as the client; nginx with OpenSSL";
    Ok(vec![
        table(case.name, large, cpu(Metric::CpuPerGb, 0.8)).noted(note),
        table("tls-full", full, cpu(Metric::CpuPerRequest, 1.0))
            .noted("TLS 1.3 handshakes in full, ECDSA P-256, `openssl s_time -new`"),
        table("tls-resumed", resumed, cpu(Metric::CpuPerRequest, 0.833))
            .noted("TLS 1.2 sessions resumed, `openssl s_time -reuse`"),
    ])
}

fn download(it: &Running) -> Result<Sample> {
    let url = format!("https://{}/{}", it.address, LARGE.0);
    let mut curl = Command::new("curl");
    curl.args(["-sSk", "--http1.1", "--tls13-ciphers", "TLS_AES_128_GCM_SHA256"]);
    curl.args(["-o", "/dev/null", "-w", "%{size_download}", &url]);
    sample(it, || {
        let said = sh::read(&mut curl)?;
        let bytes: u64 = said.trim().parse().context("curl tells a size")?;
        ensure!(bytes == LARGE.1, "{} sent {bytes} of {} bytes", it.who.name(), LARGE.1);
        Ok((bytes, 1))
    })
}

fn handshakes(it: &Running, mode: &str) -> Result<Sample> {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_time", "-connect", &it.address.to_string(), mode, "-time", "2"]);
    openssl.arg(if mode == "-new" { "-tls1_3" } else { "-tls1_2" });
    sample(it, || {
        let said = sh::read(&mut openssl)?;
        let count = said.lines().rev().find_map(|line| {
            let (count, _) = line.split_once(" connections in ")?;
            line.contains("real seconds").then(|| count.parse().ok())?
        });
        Ok((0, count.context("openssl s_time tells how many connections there were")?))
    })
}

/// What `work`, which tells bytes and answers, costs the server.
fn sample(it: &Running, work: impl FnOnce() -> Result<(u64, u64)>) -> Result<Sample> {
    let (begin, cpu_s) = (Instant::now(), it.processes.cpu_s());
    let (bytes, requests) = work()?;
    let mut outcome = Outcome::new(begin.elapsed().as_secs_f64());
    (outcome.bytes, outcome.requests) = (bytes, requests);
    outcome.latency.add((outcome.wall_s / requests.max(1) as f64 * 1e9) as u64);
    Ok(Sample { outcome, cpu_s: it.processes.cpu_s() - cpu_s, is_bound_by_generator: false })
}

/// `edge.toml`'s part: a TLS listener's lines, and the certificate.
pub fn edge_lines(arena: &Arena) -> Result<(String, String)> {
    let (cert, key) = certificate(arena)?;
    let (cert, key) = (cert.display(), key.display());
    Ok(("tls = true".into(), format!("[[certificate]]\ncert = \"{cert}\"\nkey = \"{key}\"\n")))
}

/// `nginx.conf`'s.
pub fn nginx_lines(arena: &Arena) -> Result<String> {
    let absolute = |path: &Path| path.canonicalize().context("the certificate is gone");
    let (cert, key) = certificate(arena)?;
    let (cert, key) = (absolute(&cert)?, absolute(&key)?);
    Ok(format!(
        "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3;",
        cert.display(),
        key.display()
    ))
}
