//! What the rest of the node sees of `[guard]`.

use std::path::PathBuf;

/// `[guard]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Interfaces to attach to; empty: off.
    pub interfaces: Vec<String>,
    /// Whether verdicts drop.
    pub mode: GuardMode,
    /// Most flows accounted for at once (the oldest make room).
    pub flows: u32,
    /// Clients kept apart.
    pub clients: u32,
    /// What is dropped by itself.
    pub rules: GuardRules,
    /// What a client may ask of the node itself.
    pub limits: Vec<Limit>,
    /// Whether clients on loopback (a proxy of this host, say) are under no limit.
    pub exempt_loopback: bool,
    /// Prefixes never dropped, as `address/length`.
    pub allow: Vec<String>,
    /// Prefixes always dropped, as `address/length`.
    pub deny: Vec<String>,
    /// Where maps are pinned.
    pub pin_dir: PathBuf,
}

/// What the guard drops without being told whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardRules {
    /// TCP ports of every `[[listen]]`: the limits hold here.
    pub served_ports: Vec<u16>,
    /// TCP ports on which nothing is dropped, the admin port among them.
    pub exempt_ports: Vec<u16>,
    /// Length of the IPv4 prefix that is one client, bits.
    pub prefix_v4: u8,
    /// Length of the IPv6 prefix that is one client, bits.
    pub prefix_v6: u8,
    /// Connection attempts of all clients that have not proven themselves; above it they are
    /// answered with cookies.
    pub syn_budget: GuardLimit,
    /// Connection attempts of a client.
    pub syn: GuardLimit,
    /// Its packets.
    pub packets: GuardLimit,
    /// Its bytes, link-layer headers included.
    pub bytes: GuardLimit,
    /// Most connections it may hold at once; 0: any number.
    pub conns_max: u64,
    /// Fragments.
    pub fragments: GuardPolicy,
    /// Datagrams to ports below the ephemeral ones.
    pub udp: GuardPolicy,
    /// Echo requests.
    pub icmp: GuardPolicy,
    /// Connection attempts to TCP ports the node does not serve; never `Limit`.
    pub unserved: GuardPolicy,
}

/// A bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardLimit {
    /// Units a second; 0: no limit.
    pub per_s: u64,
    /// Units at once.
    pub burst: u64,
}

/// `[[guard.limit]]`: a bucket of each client, or of each client and object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is counted.
    pub on: LimitOn,
    /// How much of it is too much.
    pub rate: GuardLimit,
    /// The burst is at least this many times the object, and once more for every further
    /// connection at work on it ([`LimitOn::ObjectBytes`] only).
    pub copies: u32,
    /// What happens beyond.
    pub then: LimitThen,
}

/// `guard.limit.on`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitOn {
    /// Requests of a client.
    Requests,
    /// Bytes sent to a client.
    Bytes,
    /// A client's requests for one object.
    ObjectRequests,
    /// Bytes sent to a client of one object.
    ObjectBytes,
    /// Ranges asked for in requests for several.
    Ranges,
    /// Answers with a status of 400 to 499 but 401, 403, 408 and 429.
    Errors,
    /// Answers of the node itself with status 401 or 403.
    Auth,
    /// Requests that are not HTTP, or over a ceiling.
    Malformed,
    /// Connections given up because the client sent or took too little.
    Slow,
    /// Requests answered with 429.
    Refused,
    /// TLS handshakes in full; those that resume a session cost little.
    Handshakes,
    /// Connections that ended in the TLS handshake.
    HandshakeFailures,
}

impl LimitOn {
    /// Every kind, in index order.
    pub const ALL: [LimitOn; 12] = [
        LimitOn::Requests,
        LimitOn::Bytes,
        LimitOn::ObjectRequests,
        LimitOn::ObjectBytes,
        LimitOn::Ranges,
        LimitOn::Errors,
        LimitOn::Auth,
        LimitOn::Malformed,
        LimitOn::Slow,
        LimitOn::Refused,
        LimitOn::Handshakes,
        LimitOn::HandshakeFailures,
    ];

    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            LimitOn::Requests => "requests",
            LimitOn::Bytes => "bytes",
            LimitOn::ObjectRequests => "object_requests",
            LimitOn::ObjectBytes => "object_bytes",
            LimitOn::Ranges => "ranges",
            LimitOn::Errors => "errors",
            LimitOn::Auth => "auth",
            LimitOn::Malformed => "malformed",
            LimitOn::Slow => "slow",
            LimitOn::Refused => "refused",
            LimitOn::Handshakes => "handshakes",
            LimitOn::HandshakeFailures => "handshake_failures",
        }
    }

    /// Whether it counts bytes.
    pub fn is_bytes(self) -> bool {
        matches!(self, LimitOn::Bytes | LimitOn::ObjectBytes)
    }

    /// Whether each object of a client has a bucket of its own.
    pub fn is_of_object(self) -> bool {
        matches!(self, LimitOn::ObjectRequests | LimitOn::ObjectBytes)
    }
}

/// `guard.limit.then`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitThen {
    /// Requests are answered 429 until the bucket has room.
    Refuse,
    /// The client is banned.
    Ban {
        /// For how long, ms.
        for_ms: u64,
    },
}

/// What is done with a kind of packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardPolicy {
    /// It passes.
    Pass,
    /// It passes within its client's limits of packets and bytes.
    Limit,
    /// It is dropped.
    Drop,
}

/// `guard.mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardMode {
    /// Verdicts drop packets.
    Enforce,
    /// Verdicts are counted, packets pass.
    Observe,
    /// Packets pass unseen: by hand only, `edge guard off`.
    Off,
}

impl GuardMode {
    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            GuardMode::Enforce => "enforce",
            GuardMode::Observe => "observe",
            GuardMode::Off => "off",
        }
    }
}
