//! What the rest of the node sees of origins.

use std::fmt;
use std::path::PathBuf;

/// Where a site's objects come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `file:///dir`
    File {
        /// The directory; nothing outside it is ever served.
        root: PathBuf,
    },
    /// `http://…`, `https://…`, one or more
    Http {
        /// In the order of the file.
        addresses: Vec<OriginAddress>,
        /// `Host` sent to the origin; `None`: the client's.
        host: Option<String>,
        /// Time to connect, ms.
        connect_timeout_ms: u64,
        /// Time without a byte, ms.
        read_timeout_ms: u64,
        /// Further tries after a failure.
        retries: u32,
        /// What it is spared.
        protection: Protection,
        /// How it is dealt with.
        policy: Box<OriginPolicy>,
    },
}

/// What an origin is spared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// Requests to it at once.
    pub max_connections: usize,
    /// Objects brought in from it at once.
    pub max_fills: usize,
    /// Connections that one object comes on at most.
    pub connections_per_object: usize,
    /// Time a client's request may wait for its turn, ms; beyond it 503.
    pub queue_timeout_ms: u64,
}

impl Default for Protection {
    fn default() -> Protection {
        Protection {
            max_connections: 1_024,
            max_fills: 1_024,
            connections_per_object: 4,
            queue_timeout_ms: 10_000,
        }
    }
}

/// Which protocol an origin is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginScheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
    /// The one that the client speaks.
    Follow,
}

/// One origin address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginAddress {
    /// How it is spoken to.
    pub scheme: OriginScheme,
    /// Name or address as configured, without brackets.
    pub host: String,
    /// Port of plain requests.
    pub http_port: u16,
    /// Port of requests over TLS.
    pub https_port: u16,
    /// Those of the smallest number are asked first.
    pub priority: u32,
    /// Share of the requests among those of one priority.
    pub weight: u32,
    /// `Host` it is asked for, before the site's.
    pub host_field: Option<String>,
    /// Name asked for, and looked for in its certificate, before the site's.
    pub sni: Option<String>,
    /// Requests to it at once; `None`: as many as the site may have.
    pub max_connections: Option<usize>,
}

impl OriginAddress {
    /// An address of the first priority that is spoken to in plain HTTP.
    pub fn http(host: &str, port: u16) -> OriginAddress {
        OriginAddress {
            scheme: OriginScheme::Http,
            host: host.to_owned(),
            http_port: port,
            https_port: port,
            priority: 1,
            weight: 1,
            host_field: None,
            sni: None,
            max_connections: None,
        }
    }

    /// Whether a request goes over TLS; `is_secure`: the client's came so.
    pub fn is_tls(&self, is_secure: bool) -> bool {
        match self.scheme {
            OriginScheme::Http => false,
            OriginScheme::Https => true,
            OriginScheme::Follow => is_secure,
        }
    }

    /// The port of requests over TLS, or of plain ones.
    pub fn port(&self, is_tls: bool) -> u16 {
        if is_tls { self.https_port } else { self.http_port }
    }
}

impl fmt::Display for OriginAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match self.scheme {
            OriginScheme::Http => write!(f, "http://{host}:{}", self.http_port),
            OriginScheme::Https => write!(f, "https://{host}:{}", self.https_port),
            OriginScheme::Follow if (self.http_port, self.https_port) == (80, 443) => {
                write!(f, "//{host}")
            }
            OriginScheme::Follow => write!(f, "//{host}:{}/{}", self.http_port, self.https_port),
        }
    }
}

/// How an origin is dealt with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginPolicy {
    /// Who is up.
    pub health: Health,
    /// After what another try is made.
    pub retry_on: RetryOn,
    /// Whether ranges are asked for.
    pub range_fetch: RangeFetch,
    /// Redirects that are followed here.
    pub redirects: Redirects,
    /// What is asked of its certificate.
    pub tls: OriginTls,
    /// Whether HTTP/2 is spoken where it offers it.
    pub http2: bool,
}

/// `site.health`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What is asked of every address; `None`: those that are down are connected to.
    pub path: Option<String>,
    /// `Host` it is asked for; `None`: the address.
    pub host: Option<String>,
    /// Time between two probes, ms.
    pub interval_ms: u64,
    /// Time for one, ms.
    pub timeout_ms: u64,
    /// Statuses that are well, first and last of each row.
    pub statuses: Vec<(u16, u16)>,
    /// Probes in a row that bring it up.
    pub rise: u32,
    /// Probes in a row, or bad answers, that take it down.
    pub fall: u32,
    /// Whether an address that comes back is preferred again.
    pub failback: bool,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            path: None,
            host: None,
            interval_ms: 5_000,
            timeout_ms: 2_000,
            statuses: vec![(200, 399)],
            rise: 1,
            fall: 3,
            failback: true,
        }
    }
}

impl Health {
    /// Whether `status` is that of an address that is well.
    pub fn is_well(&self, status: u16) -> bool {
        self.statuses.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }
}

/// `site.retry_on`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// The address could not be connected to.
    pub connect: bool,
    /// It did not answer in time.
    pub timeout: bool,
    /// It answered so, first and last of each row.
    pub statuses: Vec<(u16, u16)>,
}

impl Default for RetryOn {
    fn default() -> RetryOn {
        RetryOn { connect: true, timeout: true, statuses: vec![(500, 500), (502, 504)] }
    }
}

impl RetryOn {
    /// Whether another address may do better than `status`.
    pub fn holds(&self, status: u16) -> bool {
        self.statuses.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }
}

/// `site.range_fetch`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RangeFetch {
    /// Where a range is wanted.
    #[default]
    On,
    /// Never: whole objects alone.
    Off,
    /// Always, also where the whole is wanted.
    Force,
}

impl RangeFetch {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            RangeFetch::On => "on",
            RangeFetch::Off => "off",
            RangeFetch::Force => "force",
        }
    }
}

/// `site.follow_redirects`, `site.redirect_hosts`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirects {
    /// How many in a row; 0: clients are sent them.
    pub hops: u32,
    /// Hosts they may lead to beside the site's own origins: names, `*.suffix`, or `*`.
    pub hosts: Vec<String>,
}

/// `site.origin_tls`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginTls {
    /// PEM certificates of the authorities that are believed; `None`: the host's.
    pub ca: Option<PathBuf>,
    /// SHA-256 digests of public keys, of which the certificate must have one; none: any will do.
    pub pins: Vec<[u8; 32]>,
    /// Name asked for, and looked for in the certificate; `None`: the address.
    pub sni: Option<String>,
    /// Whether the certificate is looked at (but for its key, if there are pins).
    pub verify: bool,
    /// PEM chain and key that the node shows.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Default for OriginTls {
    fn default() -> OriginTls {
        OriginTls { ca: None, pins: Vec::new(), sni: None, verify: true, client: None }
    }
}
