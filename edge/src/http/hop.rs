//! Fields that are for the next hop only (RFC 9110 §7.6.1, RFC 9111 §3.1).

use super::request::RequestHead;
use super::token::{decimal, members};

/// Fields that never leave the connection they came on.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields by which proxies tell an origin whom they speak for. From a client they are hearsay, and
/// many origins build links and pages from them: what is passed on is the node's own word.
const HEARSAY: [&str; 17] = [
    "client-ip",
    "forwarded",
    "front-end-https",
    "proxy",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-host",
    "x-http-host-override",
    "x-original-host",
    "x-original-url",
    "x-originating-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-url",
];

/// Whether a client's field `name` claims what only a proxy can know. A name with `_` is one: to a
/// program behind CGI it is the same as the one with `-`.
pub fn is_hearsay(name: &str) -> bool {
    let prefix = "x-forwarded-";
    let start = name.get(..prefix.len());
    name.contains('_')
        || start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        || HEARSAY.iter().any(|hearsay| hearsay.eq_ignore_ascii_case(name))
}

/// Whether the field `name` is for one hop, whatever `Connection` says.
pub fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.iter().any(|hop| hop.eq_ignore_ascii_case(name))
}

/// Whether one of the values of `Connection` names the field `name`.
pub fn is_named<'a>(connection: impl IntoIterator<Item = &'a [u8]>, name: &str) -> bool {
    let named = |option: &[u8]| option.eq_ignore_ascii_case(name.as_bytes());
    connection.into_iter().flat_map(members).any(named)
}

/// Whether one of the values of `TE` says that trailers are read (RFC 9110 §10.1.4).
pub fn takes_trailers<'a>(te: impl IntoIterator<Item = &'a [u8]>) -> bool {
    is_named(te, "trailers")
}

/// How many more nodes a request may pass: means something for OPTIONS and TRACE (RFC 9110 §7.6.2).
pub fn max_forwards(head: &RequestHead<'_>) -> Option<u64> {
    let is_limited = matches!(head.method_text, "OPTIONS" | "TRACE");
    decimal(head.single("max-forwards").filter(|_| is_limited)?)
}

/// The fields that may be stored and passed on: without those for one hop and those that the values
/// of `Connection` name.
pub fn end_to_end<'a>(
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    connection: impl Iterator<Item = &'a [u8]> + Clone,
) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    fields.filter(move |(name, _)| !is_hop_by_hop(name) && !is_named(connection.clone(), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_end_to_end_fields_are_left() {
        let fields: [(&str, &[u8]); 8] = [
            ("Content-Type", b"text/plain"),
            ("Connection", b"close, X-Hop"),
            ("x-hop", b"1"),
            ("Keep-Alive", b"timeout=5"),
            ("Transfer-Encoding", b"chunked"),
            ("X-Other", b"2"),
            ("connection", b"x-more"),
            ("X-More", b"3"),
        ];
        let connection = fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
            .map(|(_, value)| *value);
        let left: Vec<&str> =
            end_to_end(fields.iter().copied(), connection).map(|(name, _)| name).collect();
        assert_eq!(left, ["Content-Type", "X-Other"]);
    }

    #[test]
    fn names_have_no_case() {
        for name in ["TE", "Upgrade", "PROXY-CONNECTION", "trailer", "Proxy-Authenticate"] {
            assert!(is_hop_by_hop(name), "{name}");
        }
        for name in ["ETag", "Date", "Content-Length", "te2", ""] {
            assert!(!is_hop_by_hop(name), "{name}");
        }
    }
}
