//! Values with a grammar of their own: addresses, prefixes, host names, log levels.

use std::net::{IpAddr, SocketAddr};

use super::raw::Entry;
use crate::limits;

/// An address and a port.
pub(super) fn socket_addr(entry: Entry<'_>) -> Option<SocketAddr> {
    let text = entry.text()?;
    if let Ok(addr) = text.parse() {
        return Some(addr);
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let port = text.strip_prefix(':').unwrap_or(text).parse::<u16>();
    let example = match (bare, port) {
        (Ok(ip), _) => SocketAddr::new(ip, 8080).to_string(),
        (_, Ok(port)) => format!("0.0.0.0:{port}"),
        _ => "127.0.0.1:8080".to_owned(),
    };
    entry.refuse(format!("{text:?} is not an address with a port; write it as \"{example}\""));
    None
}

/// Name servers; port 53 where none is said.
pub(super) fn name_servers(entry: Entry<'_>) -> Vec<SocketAddr> {
    let server = |(entry, text): (Entry<'_>, &str)| {
        let bare = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let server = text.parse().ok().or(bare.ok().map(|ip| SocketAddr::new(ip, 53)));
        if server.is_none() {
            entry.refuse(format!("{text:?} is not a name server; write it as \"127.0.0.1:53\""));
        }
        server
    };
    entry.texts().into_iter().filter_map(server).collect()
}

/// The name of a congestion control.
pub(super) fn congestion(entry: Entry<'_>) -> Option<String> {
    let name = entry.text()?;
    let known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    // TCP_CA_NAME_MAX (linux/tcp.h) is 16, the closing NUL included.
    if name.is_empty() || name.len() > 15 || !name.chars().all(known) {
        entry.refuse(format!(
            "{name:?} is not a congestion control; write \"bbr\", \"cubic\" or \"reno\""
        ));
        return None;
    }
    Some(name.to_owned())
}

/// The name of a network interface, as the kernel's `dev_valid_name` has it.
pub(super) fn interface(entry: Entry<'_>, name: &str) -> Option<String> {
    let wrong = |c: char| c == '/' || c == ':' || c.is_whitespace() || c == '\0';
    if name.is_empty() || name.len() > 15 || name == "." || name == ".." || name.contains(wrong) {
        entry.refuse(format!("{name:?} is not an interface; `ip link` lists their names"));
        return None;
    }
    Some(name.to_owned())
}

/// `address/length`, or an address alone, which is a prefix of full length.
pub(super) fn prefix(entry: Entry<'_>, text: &str) -> Option<String> {
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    let Ok(ip) = address.parse::<IpAddr>() else {
        entry.refuse(format!("{text:?} is not a prefix; write it as \"192.0.2.0/24\""));
        return None;
    };
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    let length = if text.contains('/') { length.parse().ok() } else { Some(bits) };
    let Some(length) = length.filter(|length| *length <= bits) else {
        entry.refuse(format!("{text:?} has a wrong length; take 0 to {bits}"));
        return None;
    };
    let network = network(ip, length);
    if network != ip {
        entry.refuse(format!("{text:?} has bits after its length; write \"{network}/{length}\""));
        return None;
    }
    Some(format!("{ip}/{length}"))
}

/// A name requests are told apart by: `dl.example.com`, `*.example.com`, `*`, or an IP address.
pub(super) fn host(entry: Entry<'_>, text: &str) -> Option<String> {
    // Names beyond ASCII are written as people do (RFC 5891); the wire has them as punycode.
    let ascii = if text.is_ascii() { Some(text.to_owned()) } else { ascii_host(text) };
    let problem = match ascii.as_deref().map(host_problem) {
        None => "is not a host name; write it as \"dl.example.com\"".to_owned(),
        Some(None) => return ascii,
        Some(Some(problem)) => problem,
    };
    entry.refuse(format!("{text:?} {problem}"));
    None
}

/// A host as it is on the wire: lower-case, letters beyond ASCII as punycode (UTS 46).
pub(super) fn ascii_host(text: &str) -> Option<String> {
    let (wildcard, name) = match text.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", text),
    };
    match name.is_ascii() {
        true => Some(text.to_ascii_lowercase()),
        false => Some(format!("{wildcard}{}", idna::domain_to_ascii(name).ok()?)),
    }
}

/// A filter of the node's own log.
pub(super) fn level(entry: Entry<'_>) -> Option<String> {
    let text = entry.text()?;
    let plain = ["off", "error", "warn", "info", "debug", "trace"];
    let filter = text.contains('=') && tracing_subscriber::EnvFilter::try_new(text).is_ok();
    if filter || plain.contains(&text) {
        return Some(text.to_owned());
    }
    entry.refuse(format!("{text:?} is not a level; take {}", plain.join(", ")));
    None
}

fn network(ip: IpAddr, length: u32) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    }
}

fn host_problem(text: &str) -> Option<String> {
    if text == "*" {
        return None;
    }
    if text.is_empty() || text.len() > limits::HOST_MAX_BYTES {
        return Some(format!("must have 1 to {} characters", limits::HOST_MAX_BYTES));
    }
    if let Some(ip) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let valid = ip.parse::<std::net::Ipv6Addr>().is_ok_and(|parsed| parsed.to_string() == ip);
        return (!valid).then(|| "is not an IPv6 address in its shortest form".to_owned());
    }
    if text.contains(':') {
        return Some("has a port or a scheme; write the name alone".to_owned());
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(format!("has capitals; write {:?}", text.to_ascii_lowercase()));
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    if name.contains('*') {
        return Some("has a wildcard that is not its first label; write \"*.example.com\"".into());
    }
    let valid = |label: &str| {
        let letters = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        // Label length: RFC 1035 §2.3.4.
        letters
            && (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (!name.split('.').all(valid))
        .then(|| "is not a host name; write it as \"dl.example.com\"".to_owned())
}
