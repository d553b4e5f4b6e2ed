//! Raw → resolved: defaults filled in, every value checked.

use std::net::SocketAddr;
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::raw::{Entry, Section};
use super::resolved::{Admin, Cache, Config, Listen, Log, LogFormat, Server, Steer, Volume};
use super::{access, check, domains, guard, keys, proxy, sites, tls};
use crate::limits;

pub(super) const ADDR_DEFAULT: SocketAddr = loopback(8080);
const ADMIN_DEFAULT: SocketAddr = loopback(9180);
const BACKLOG_DEFAULT: u32 = 4096;
const STEER: [(&str, Steer); 2] = [("hash", Steer::Hash), ("cpu", Steer::Cpu)];
/// Less, and every packet is a wake-up of the worker.
const UNSENT_BYTES: RangeInclusive<u64> = 16 << 10..=1 << 30;
const UNSENT_DEFAULT_BYTES: u32 = 512 << 10;
const DRAIN_TIMEOUT_MS: u64 = 60_000;
const RAM_DEFAULT_BYTES: u64 = 256 << 20;
const SLICE_DEFAULT_BYTES: u64 = 1 << 20;
/// Slower, and a pass takes for ever.
const SCRUB_MIN_BYTES: u64 = 64 << 10;
const CHECKPOINT_DEFAULT_MS: u64 = 30_000;
const DAY_MS: u64 = 86_400_000;
/// Word that turns off what is on by default.
pub(super) const OFF: &str = "off";

/// The whole node. Relative paths are taken from `directory`, the file's own.
///
/// `name` is the file's own, empty without one.
pub(super) fn config(root: &Section<'_>, directory: &Path, name: &str) -> Config {
    let listen = listen(root);
    let admin = admin(&root.section("admin", &keys::ADMIN), directory, &listen);
    let section = root.section("domains", &keys::DOMAINS);
    let domains = domains::domains(&section, directory, name);
    let sites = sites::sites(root, directory, &listen);
    domains::refuse_absent(&section, &domains, &sites);

    Config {
        server: server(&root.section("server", &keys::SERVER)),
        tls: tls::tls(&root.section("tls", &keys::TLS)),
        certificates: tls::certificates(root, directory),
        cache: cache(&root.section("cache", &keys::CACHE), directory),
        guard: guard::guard(&root.section("guard", &keys::GUARD), directory, &listen, &admin),
        log: log(&root.section("log", &keys::LOG), directory),
        geo: geo(root, directory),
        domains,
        sites,
        admin,
        listen,
    }
}

/// A time-out: more than nothing, not for ever.
pub(super) fn timeout_ms(section: &Section<'_>, key: &'static str, default: u64) -> u64 {
    let entry = section.entry(key);
    entry.and_then(|entry| entry.duration_ms(1..=DAY_MS)).unwrap_or(default)
}

fn server(section: &Section<'_>) -> Server {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = |key, default: usize| {
        let entry = section.entry(key);
        let threads = entry.and_then(|entry| entry.integer(1..=limits::THREADS_MAX as u64));
        threads.map_or(default, |threads| threads as usize)
    };
    Server {
        workers: threads("workers", cores.min(limits::THREADS_MAX)),
        fill_threads: threads("fill_threads", (cores / 4).clamp(1, 4)),
        pin: section.entry("pin").and_then(|entry| entry.flag()).unwrap_or(true),
        head_timeout_ms: timeout_ms(section, "head_timeout", limits::HEAD_TIMEOUT_MS),
        idle_timeout_ms: timeout_ms(section, "idle_timeout", limits::IDLE_TIMEOUT_MS),
        send_timeout_ms: timeout_ms(section, "send_timeout", limits::SEND_TIMEOUT_MS),
        drain_timeout_ms: section
            .entry("drain_timeout")
            .and_then(|entry| entry.duration_ms(0..=DAY_MS))
            .unwrap_or(DRAIN_TIMEOUT_MS),
        trusted_proxies: section.entry("trusted_proxies").map(access::prefixes).unwrap_or_default(),
        resolver: section.entry("resolver").map(check::name_servers).unwrap_or_default(),
    }
}

/// `[geo]`: the file that knows countries.
fn geo(root: &Section<'_>, directory: &Path) -> Option<PathBuf> {
    root.entry("geo")?;
    let section = root.section("geo", &keys::GEO);
    path(section.required("file", "name the MMDB file, as file = \"country.mmdb\"")?, directory)
}

fn listen(root: &Section<'_>) -> Vec<Listen> {
    if root.entry("listen").is_none() {
        return vec![plain_listen(ADDR_DEFAULT)];
    }
    if root.entry("listen").is_some_and(|entry| entry.is_empty_array()) {
        root.missing("listen", "add a [[listen]] with addr = \"0.0.0.0:8080\"");
    }
    let mut all: Vec<Listen> = Vec::new();
    for section in root.sections("listen", &keys::LISTEN) {
        let Some(addr) = section.required("addr", "write addr = \"0.0.0.0:8080\"") else {
            continue;
        };
        let congestion = section.entry("congestion").and_then(check::congestion);
        let backlog = section.entry("backlog").and_then(|entry| entry.integer(1..=65_535));
        let tls = section.entry("tls").is_some_and(|entry| tls::is_wanted(&entry, root));
        let steer = section.entry("steer").and_then(|entry| steer(entry, root));
        let unsent_bytes = section.entry("unsent").map_or(Some(UNSENT_DEFAULT_BYTES), unsent);
        let Some(socket_addr) = check::socket_addr(addr) else { continue };
        if socket_addr.port() != 0 && all.iter().any(|listen| listen.addr == socket_addr) {
            addr.refuse(format!("{socket_addr} is listened on already; remove one [[listen]]"));
            continue;
        }
        let backlog = backlog.map_or(BACKLOG_DEFAULT, |backlog| backlog as u32);
        let steer = steer.unwrap_or_default();
        let proxies = proxy::trusted(&section);
        all.push(Listen {
            addr: socket_addr,
            congestion,
            tls,
            proxies,
            backlog,
            steer,
            unsent_bytes,
        });
    }
    all
}

fn unsent(entry: Entry<'_>) -> Option<u32> {
    if entry.is_word(OFF) {
        return None;
    }
    Some(entry.size_bytes(UNSENT_BYTES).map_or(UNSENT_DEFAULT_BYTES, |bytes| bytes as u32))
}

fn steer(entry: Entry<'_>, root: &Section<'_>) -> Option<Steer> {
    let steer = entry.choice(&STEER)?;
    let pin = root.section("server", &keys::SERVER).entry("pin").and_then(|pin| pin.flag());
    if steer == Steer::Cpu && pin == Some(false) {
        entry.refuse("needs workers that keep to their cores; set server.pin = true");
    }
    Some(steer)
}

pub(super) fn plain_listen(addr: SocketAddr) -> Listen {
    Listen {
        addr,
        congestion: None,
        tls: false,
        proxies: None,
        backlog: BACKLOG_DEFAULT,
        steer: Steer::Hash,
        unsent_bytes: Some(UNSENT_DEFAULT_BYTES),
    }
}

fn admin(section: &Section<'_>, directory: &Path, listen: &[Listen]) -> Admin {
    let socket = section.entry("socket").and_then(|entry| path(entry, directory));
    // sun_path of unix(7) has 108 bytes; a few are kept for the name it is made under.
    if let (Some(entry), Some(socket)) = (section.entry("socket"), &socket)
        && socket.as_os_str().len() > 96
    {
        entry.refuse("the path is too long for a socket; keep it under 97 characters");
    }
    let addr = match section.entry("addr") {
        // Whoever names only a socket wants only that.
        None => socket.is_none().then_some(ADMIN_DEFAULT),
        Some(entry) if entry.is_word(OFF) => None,
        Some(entry) => check::socket_addr(entry).inspect(|addr| {
            if addr.port() != 0 && listen.iter().any(|listen| listen.addr == *addr) {
                entry.refuse(format!("{addr} is a [[listen]] address; give it a port of its own"));
            }
        }),
    };
    Admin { addr, socket }
}

fn cache(section: &Section<'_>, directory: &Path) -> Cache {
    let slices = limits::SLICE_MIN_BYTES..=limits::SLICE_MAX_BYTES;
    let slice = section.entry("slice");
    let slice_bytes = slice.and_then(|entry| entry.size_bytes(slices));
    if let (Some(entry), Some(bytes)) = (slice, slice_bytes)
        && !bytes.is_power_of_two()
    {
        entry.refuse("a slice must be a power of two; write \"512KiB\", \"1MiB\" or \"2MiB\"");
    }
    let slice_bytes = slice_bytes.unwrap_or(SLICE_DEFAULT_BYTES);
    let ram = section.entry("ram");
    Cache {
        volumes: volumes(section, directory, slice_bytes),
        ram_bytes: ram
            .and_then(|entry| entry.size_bytes(1 << 20..=1 << 44))
            .unwrap_or(RAM_DEFAULT_BYTES),
        slice_bytes,
        checkpoint_ms: section
            .entry("checkpoint")
            .and_then(|entry| entry.duration_ms(100..=DAY_MS))
            .unwrap_or(CHECKPOINT_DEFAULT_MS),
        scrub_bytes_per_s: section
            .entry("scrub")
            .filter(|entry| !entry.is_word(OFF) && !entry.is_zero())
            .and_then(|entry| entry.size_bytes(SCRUB_MIN_BYTES..=1 << 40))
            .unwrap_or(0),
    }
}

fn volumes(section: &Section<'_>, directory: &Path, slice_bytes: u64) -> Vec<Volume> {
    let sections = section.entry("volumes").map(|entry| entry.sections(&keys::VOLUME));
    let mut volumes: Vec<Volume> = Vec::new();
    for section in sections.unwrap_or_default() {
        let place = section.required("path", "write path = \"/var/lib/edge/v0\"");
        let size = section.required("size", "write size = \"10GiB\"");
        let least_bytes =
            slice_bytes * limits::VOLUME_SLICES_MIN + limits::VOLUME_OVERHEAD_MIN_BYTES;
        let size_bytes =
            size.and_then(|entry| entry.size_bytes(least_bytes..=limits::VOLUME_MAX_BYTES));
        let Some(path) = place.and_then(|entry| path(entry, directory)) else { continue };
        if let Some(entry) = place
            && volumes.iter().any(|volume| volume.path == path)
        {
            entry.refuse(format!("{} is a volume already; remove one", path.display()));
        }
        volumes.push(Volume { path, size_bytes: size_bytes.unwrap_or(least_bytes) });
    }
    volumes
}

fn log(section: &Section<'_>, directory: &Path) -> Log {
    let formats = [("json", LogFormat::Json), ("combined", LogFormat::Combined)];
    let access = section.entry("access").filter(|entry| !entry.is_word(OFF));
    Log {
        access: access.and_then(|entry| match entry.is_word("-") {
            true => Some("-".into()),
            false => path(entry, directory),
        }),
        format: section
            .entry("format")
            .and_then(|entry| entry.choice(&formats))
            .unwrap_or(LogFormat::Json),
        level: section.entry("level").and_then(check::level).unwrap_or_else(|| "info".to_owned()),
    }
}

/// A path, taken from `directory` when it is relative.
pub(super) fn path(entry: Entry<'_>, directory: &Path) -> Option<PathBuf> {
    let text = entry.text()?;
    if text.is_empty() || text.contains('\0') {
        entry.refuse("not a path; write one, absolute or relative to this file");
        return None;
    }
    Some(directory.join(text))
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}
