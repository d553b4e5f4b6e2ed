//! Every key there is. What is not listed here is refused, with the nearest one that is.

/// One table's keys.
#[derive(Debug)]
pub(super) struct Table {
    /// As people write it.
    pub title: &'static str,
    /// In front of a key in an error.
    pub name: &'static str,
    /// Its keys.
    pub keys: &'static [&'static str],
}

pub(super) static ROOT: Table = Table {
    title: "the file",
    name: "",
    keys: &[
        "server",
        "listen",
        "tls",
        "certificate",
        "admin",
        "cache",
        "guard",
        "log",
        "geo",
        "domains",
        "site",
    ],
};
pub(super) static SERVER: Table = Table {
    title: "[server]",
    name: "server",
    keys: &[
        "workers",
        "fill_threads",
        "pin",
        "head_timeout",
        "idle_timeout",
        "send_timeout",
        "drain_timeout",
        "trusted_proxies",
        "resolver",
    ],
};
pub(super) static LISTEN: Table = Table {
    title: "[[listen]]",
    name: "listen",
    keys: &["addr", "congestion", "backlog", "tls", "proxy_protocol", "trusted", "steer", "unsent"],
};
pub(super) static TLS: Table = Table { title: "[tls]", name: "tls", keys: &["profile", "offload"] };
pub(super) static CERTIFICATE: Table = Table {
    title: "[[certificate]]",
    name: "certificate",
    keys: &["cert", "key", "ocsp", "client_ca"],
};
pub(super) static ADMIN: Table =
    Table { title: "[admin]", name: "admin", keys: &["addr", "socket"] };
pub(super) static CACHE: Table = Table {
    title: "[cache]",
    name: "cache",
    keys: &["volumes", "ram", "slice", "checkpoint", "scrub"],
};
pub(super) static VOLUME: Table =
    Table { title: "cache.volumes", name: "cache.volumes", keys: &["path", "size"] };
pub(super) static GUARD: Table = Table {
    title: "[guard]",
    name: "guard",
    keys: &[
        "interfaces",
        "mode",
        "allow",
        "deny",
        "exempt_ports",
        "syn_rate",
        "syn_burst",
        "syn_budget",
        "syn_budget_burst",
        "packet_rate",
        "packet_burst",
        "byte_rate",
        "byte_burst",
        "conns_max",
        "prefix_v4",
        "prefix_v6",
        "fragments",
        "udp",
        "icmp",
        "unserved_ports",
        "flows",
        "clients",
        "pin_dir",
        "limit",
        "exempt_loopback",
    ],
};
pub(super) static LIMIT: Table = Table {
    title: "[[guard.limit]]",
    name: "guard.limit",
    keys: &["on", "rate", "burst", "copies", "then", "for"],
};
pub(super) static LOG: Table =
    Table { title: "[log]", name: "log", keys: &["access", "format", "level"] };
pub(super) static DOMAINS: Table =
    Table { title: "[domains]", name: "domains", keys: &["file", "max", "unknown_host"] };
/// The file that the node keeps.
pub(super) static DOMAINS_FILE: Table = Table { title: "the file", name: "", keys: &["site"] };
pub(super) static SITE: Table = Table {
    title: "[[site]]",
    name: "site",
    keys: &[
        "hosts",
        "preset",
        "origin",
        "host",
        "index",
        "default_ttl",
        "grace",
        "x_cache",
        "status_ttl",
        "rule",
        "headers",
        "request_headers",
        "cors",
        "redirect",
        "rewrite",
        "compress",
        "error_pages",
        "listing",
        "key",
        "sign",
        "access",
        "auth",
        "shape",
        "finish",
        "https_redirect",
        "https_port",
        "hsts",
        "client_ca",
        "connect_timeout",
        "read_timeout",
        "retries",
        "methods",
        "bypass_cookies",
        "upgrade",
        "upgrade_timeout",
        "max_connections",
        "max_fills",
        "connections_per_object",
        "queue_timeout",
        "health",
        "retry_on",
        "range_fetch",
        "follow_redirects",
        "redirect_hosts",
        "origin_tls",
        "origin_http2",
    ],
};
pub(super) static ORIGIN: Table = Table {
    title: "site.origin",
    name: "site.origin",
    keys: &[
        "url",
        "priority",
        "weight",
        "host",
        "sni",
        "max_connections",
        "http_port",
        "https_port",
    ],
};
pub(super) static HEALTH: Table = Table {
    title: "[site.health]",
    name: "site.health",
    keys: &["path", "host", "interval", "timeout", "status", "rise", "fall", "failback"],
};
pub(super) static ORIGIN_TLS: Table = Table {
    title: "[site.origin_tls]",
    name: "site.origin_tls",
    keys: &["ca", "pin", "sni", "verify", "client_cert", "client_key"],
};

pub(super) static KEY: Table = Table {
    title: "[site.key]",
    name: "site.key",
    keys: &["share", "by_host", "keep", "ignore", "sort", "send_all", "headers", "fold_case"],
};
pub(super) static GEO: Table = Table { title: "[geo]", name: "geo", keys: &["file"] };
pub(super) static SIGN: Table = Table {
    title: "[site.sign]",
    name: "site.sign",
    keys: &[
        "type",
        "keys",
        "keys_file",
        "keys_env",
        "ttl",
        "clock_skew",
        "signature_argument",
        "time_argument",
        "time_format",
    ],
};
pub(super) static ACCESS: Table = Table {
    title: "[site.access]",
    name: "site.access",
    keys: &[
        "allow_referers",
        "deny_referers",
        "empty_referer",
        "allow_addresses",
        "deny_addresses",
        "allow_agents",
        "deny_agents",
        "allow_countries",
        "deny_countries",
    ],
};
pub(super) static AUTH: Table = Table {
    title: "[site.auth]",
    name: "site.auth",
    keys: &[
        "address",
        "method",
        "arguments",
        "headers",
        "success",
        "others",
        "timeout",
        "on_failure",
        "cache",
        "cache_by",
    ],
};
pub(super) static SHAPE: Table = Table {
    title: "[site.shape]",
    name: "site.shape",
    keys: &[
        "rate",
        "rate_after",
        "hours",
        "utc_offset",
        "rate_argument",
        "cap",
        "max_per_client",
        "max_answers",
    ],
};
pub(super) static RULE: Table = Table {
    title: "[[site.rule]]",
    name: "site.rule",
    keys: &[
        "path",
        "suffixes",
        "ttl",
        "weight",
        "override",
        "origin_wins",
        "ignore_no_cache",
        "client_ttl",
        "revalidate",
        "bypass",
        "status_ttl",
        "headers",
        "request_headers",
        "cors",
        "rate",
        "rate_after",
    ],
};

/// Every table.
#[cfg(test)]
pub(super) static ALL: &[&Table] = &[
    &ROOT,
    &SERVER,
    &LISTEN,
    &TLS,
    &CERTIFICATE,
    &ADMIN,
    &CACHE,
    &VOLUME,
    &GUARD,
    &LIMIT,
    &LOG,
    &SITE,
    &RULE,
    &KEY,
    &GEO,
    &SIGN,
    &ACCESS,
    &AUTH,
    &SHAPE,
    &DOMAINS,
    &super::content::HEADERS,
    &super::https::HSTS,
    &super::content::CORS,
    &super::content::REDIRECT,
    &super::content::REWRITE,
    &ORIGIN,
    &HEALTH,
    &ORIGIN_TLS,
    &super::compress::COMPRESS,
];

/// The word that is written most like `word`; the first of equals.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> &'k str {
    known.iter().min_by_key(|known| distance(word, known)).copied().unwrap_or("")
}

/// Letters to insert, remove or replace to get from one word to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    // No key is that long: what lies beyond changes nothing but the work.
    for (index, letter) in from.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (from, to, edits) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "abc", 3),
            ("volums", "volumes", 1),
            ("kitten", "sitting", 3),
            ("größe", "grösse", 2),
        ] {
            assert_eq!(distance(from, to), edits, "{from} -> {to}");
        }
    }

    #[test]
    fn nearest_is_what_was_meant() {
        assert_eq!(nearest("adress", LISTEN.keys), "addr");
        assert_eq!(nearest("orgin", SITE.keys), "origin");
        assert_eq!(nearest("sites", ROOT.keys), "site");
        assert_eq!(nearest(&"x".repeat(1 << 20), ADMIN.keys), "addr");
    }
}
