//! What the rest of the node sees of the configuration.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::access::{Access, Prefix};
use super::auth::Auth;
use super::content::Content;
use super::domains::Domains;
use super::error::Place;
use super::https::Https;
use super::key::KeyRules;
use super::resolved_guard::Guard;
use super::resolved_origin::Origin;
use super::rules::{Rule, StatusTtl};
use super::shape::Shape;
use super::sign::Sign;

use crate::limits;

/// A whole node.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Threads and time-outs.
    pub server: Server,
    /// Where clients connect; at least one.
    pub listen: Vec<Listen>,
    /// Settings of `tls` listeners.
    pub tls: Tls,
    /// Certificates for `tls` listeners (not used by plain ones); the first is the default.
    pub certificates: Vec<Certificate>,
    /// The control plane's doors.
    pub admin: Admin,
    /// The store.
    pub cache: Cache,
    /// The kernel program.
    pub guard: Guard,
    /// Access and error log.
    pub log: Log,
    /// MMDB file that knows the countries of addresses.
    pub geo: Option<PathBuf>,
    /// Domains that come and go while the node runs.
    pub domains: Domains,
    /// Every site, those of the domains file last.
    pub sites: Vec<Site>,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Data-plane threads.
    pub workers: usize,
    /// Fill-plane threads.
    pub fill_threads: usize,
    /// Whether workers are pinned to cores.
    pub pin: bool,
    /// Time for a request head, ms.
    pub head_timeout_ms: u64,
    /// Idle keep-alive time, ms.
    pub idle_timeout_ms: u64,
    /// Time a stalled client keeps its connection, ms.
    pub send_timeout_ms: u64,
    /// Time `SIGTERM` leaves to running downloads, ms.
    pub drain_timeout_ms: u64,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Prefix>,
    /// Name servers for origins; none: the host's.
    pub resolver: Vec<SocketAddr>,
}

/// `[[listen]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address and port; port 0 lets the kernel choose.
    pub addr: SocketAddr,
    /// `TCP_CONGESTION` of accepted sockets; `None`: the host's default.
    pub congestion: Option<String>,
    /// Whether connections speak TLS.
    pub tls: bool,
    /// Whose PROXY headers, which every connection must begin with, are believed; `None`: none are
    /// expected.
    pub proxies: Option<Vec<Prefix>>,
    /// `listen(2)` backlog.
    pub backlog: u32,
    /// Which worker gets a connection.
    pub steer: Steer,
    /// `TCP_NOTSENT_LOWAT` of accepted sockets, bytes; `None`: the host's.
    pub unsent_bytes: Option<u32>,
}

/// `listen.steer`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Steer {
    /// By a hash of the addresses: evenly.
    #[default]
    Hash,
    /// By the processor that its first packet was handled on, where a worker is pinned to it.
    Cpu,
}

/// `[tls]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Which versions are spoken.
    pub profile: TlsProfile,
    /// Whether the kernel seals records where it can.
    pub offload: bool,
}

impl Default for Tls {
    fn default() -> Tls {
        Tls { profile: TlsProfile::default(), offload: true }
    }
}

/// Which versions of TLS are spoken. The suites of all have forward secrecy and authenticated
/// encryption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsProfile {
    /// TLS 1.3 alone.
    Modern,
    /// TLS 1.2 and 1.3.
    #[default]
    Intermediate,
}

/// `[[certificate]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// PEM chain.
    pub cert: PathBuf,
    /// PEM key.
    pub key: PathBuf,
    /// DER answer of the authority's OCSP responder, stapled to the certificate.
    pub ocsp: Option<PathBuf>,
    /// PEM certificates of the authorities whose clients are let in; `None`: everybody is.
    pub client_ca: Option<PathBuf>,
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// TCP address; `None`: no TCP door.
    pub addr: Option<SocketAddr>,
    /// Unix socket; `None`: no socket.
    pub socket: Option<PathBuf>,
}

/// `[cache]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Where bodies are kept; empty: a temporary volume.
    pub volumes: Vec<Volume>,
    /// Memory for heads and small objects, bytes.
    pub ram_bytes: u64,
    /// Slice size, bytes; a power of two.
    pub slice_bytes: u64,
    /// Time between checkpoints of the index, ms.
    pub checkpoint_ms: u64,
    /// How fast what is stored is looked through for damage, bytes a second; 0: not at all.
    pub scrub_bytes_per_s: u64,
}

/// One entry of `cache.volumes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// File or block device.
    pub path: PathBuf,
    /// Bytes it may use.
    pub size_bytes: u64,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Access log file; `None`: no access log; `-`: standard output.
    pub access: Option<PathBuf>,
    /// Its format.
    pub format: LogFormat,
    /// `tracing` filter of the node's own log on standard error.
    pub level: String,
}

/// `log.format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Apache's combined format.
    Combined,
}

/// `[[site]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// First host; the site's label in logs, metrics and keys.
    pub name: String,
    /// Host names, lower-case; `*.suffix` or `*`.
    pub hosts: Vec<String>,
    /// Which defaults were taken.
    pub preset: Preset,
    /// Where objects come from.
    pub origin: Origin,
    /// Lifetime of what says nothing of its own, ms.
    pub default_ttl_ms: u64,
    /// How long past its lifetime an object stands in for a failing origin when it does not say so
    /// itself, ms (RFC 5861 §4).
    pub grace_ms: u64,
    /// Whether answers carry `X-Cache`.
    pub x_cache: bool,
    /// Whether a fill outlives its client.
    pub finish: Finish,
    /// Added to a path that ends in `/` at a `file://` origin; `None`: 404.
    pub index: Option<String>,
    /// Lifetimes by status.
    pub status_ttl: StatusTtl,
    /// What makes two requests ask for the same object.
    pub key: KeyRules,
    /// Whether it stands in the domains file, which the node keeps.
    pub is_managed: bool,
    /// Which of all this the file says.
    pub stated: Stated,
    /// What the operator says about storing; the oldest first.
    pub rules: Vec<Rule>,
    /// What is passed on to its origins.
    pub pass: Pass,
    /// Which links are good; `None`: all.
    pub sign: Option<Sign>,
    /// Who is let in; `None`: everybody.
    pub access: Option<Access>,
    /// What it makes of HTTPS.
    pub https: Https,
    /// What becomes of its content on its way.
    pub content: Content,
    /// Whom it asks about each request; `None`: nobody.
    pub auth: Option<Auth>,
    /// How fast its answers leave, and how many at once; `None`: as they can.
    pub shape: Option<Shape>,
}

/// Keys of a site about requests that are passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Methods it takes; none: all.
    pub methods: Vec<String>,
    /// Names of cookies whose requests go to the origin and are not stored; `*`: any.
    pub bypass_cookies: Vec<String>,
    /// Whether clients may switch to another protocol (WebSocket).
    pub upgrade: bool,
    /// Time in which no byte may pass through such a tunnel, ms.
    pub upgrade_timeout_ms: u64,
}

impl Default for Pass {
    fn default() -> Pass {
        Pass {
            methods: Vec::new(),
            bypass_cookies: Vec::new(),
            upgrade: false,
            upgrade_timeout_ms: limits::UPGRADE_TIMEOUT_MS,
        }
    }
}

/// Where a site stands, and which keys the file gives it; the others have their defaults. It makes no
/// two sites differ.
#[derive(Clone, Debug)]
pub struct Stated {
    /// Where it begins.
    pub place: Place,
    /// Its keys, each with its place.
    pub keys: Vec<(&'static str, Place)>,
}

impl PartialEq for Stated {
    fn eq(&self, _: &Stated) -> bool {
        true
    }
}

impl Stated {
    /// Where the file says `key`.
    pub fn place_of(&self, key: &str) -> Option<&Place> {
        self.keys.iter().find(|(name, _)| *name == key).map(|(_, place)| place)
    }
}

impl Site {
    /// Whether it takes `method`.
    pub fn takes(&self, method: &str) -> bool {
        let methods = &self.pass.methods;
        methods.is_empty() || methods.iter().any(|taken| taken == method)
    }

    /// A site that serves one directory to every host, with a site's defaults.
    pub fn of_directory(root: &Path) -> Site {
        super::sites::directory_site(root)
    }
}

/// `site.preset`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Pages, images, small files.
    Web,
    /// Large files.
    Download,
    /// Audio and video.
    Video,
    /// Answers made per request.
    Dynamic,
}

impl Preset {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Preset::Web => "web",
            Preset::Download => "download",
            Preset::Video => "video",
            Preset::Dynamic => "dynamic",
        }
    }
}

/// `site.finish`
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finish {
    /// A fill always ends.
    Always,
    /// It ends when at least this share (0–1) is done.
    After(f64),
    /// It stops with its last client.
    Never,
}

impl fmt::Display for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finish::Always => f.write_str("always"),
            Finish::After(share) => write!(f, "{:.0}%", share * 100.0),
            Finish::Never => f.write_str("never"),
        }
    }
}
