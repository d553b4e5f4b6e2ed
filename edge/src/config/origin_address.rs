//! One entry of `site.origin`: a URL, or a table with one.

use std::net::{IpAddr, SocketAddr};

use super::error::ConfigError;
use super::keys;
use super::origin::host_field;
use super::raw::{Entry, Section};
use super::resolved::{Config, Listen};
use super::resolved_origin::{Origin, OriginAddress, OriginScheme};
use crate::limits;
use crate::sys::net::is_local;

/// The address that `entry` names. URLs alone are preferred in their order: `position` is its own.
pub(super) fn address(entry: Entry<'_>, position: usize) -> Option<OriginAddress> {
    if let Some(text) = entry.as_text() {
        let address = url(entry, text)?;
        return Some(OriginAddress { priority: position as u32 + 1, ..address });
    }
    let section = entry.section(&keys::ORIGIN)?;
    let place = section.required("url", "write url = \"http://10.0.0.2:80\"")?;
    let mut address = url(place, place.text()?)?;
    ports(&section, &mut address);
    let number = |key, max: u64, default| {
        let entry = section.entry(key);
        entry.and_then(|entry| entry.integer(1..=max)).map_or(default, |number| number as u32)
    };
    let most = limits::ORIGIN_CONNECTIONS_MAX as u64;
    let max = section.entry("max_connections").and_then(|entry| entry.integer(1..=most));
    Some(OriginAddress {
        priority: number("priority", 100, 1),
        weight: number("weight", 100, 1),
        host_field: section.entry("host").and_then(host_field),
        sni: section.entry("sni").and_then(server_name),
        max_connections: max.map(|max| max as usize),
        ..address
    })
}

/// Ports of an address that follows the client.
fn ports(section: &Section<'_>, address: &mut OriginAddress) {
    for (key, port) in
        [("http_port", &mut address.http_port), ("https_port", &mut address.https_port)]
    {
        let Some(entry) = section.entry(key) else { continue };
        if address.scheme != OriginScheme::Follow {
            entry.refuse("is for a url that follows the client, \"//host\"; put the port into url");
        }
        if let Some(number) = entry.integer(1..=65_535) {
            *port = number as u16;
        }
    }
}

/// The name of a server, for TLS.
pub(super) fn server_name(entry: Entry<'_>) -> Option<String> {
    let text = entry.text()?;
    let name = text.strip_suffix('.').unwrap_or(text);
    let valid = (1..=253).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte));
    if !valid {
        entry.refuse(format!("{text:?} is no name; write it as \"origin.example.com\""));
    }
    valid.then(|| name.to_ascii_lowercase())
}

fn url(entry: Entry<'_>, text: &str) -> Option<OriginAddress> {
    let problem = match text.split_once("://") {
        Some(("http", rest)) => match authority(rest, 80) {
            Some((host, port)) => return Some(OriginAddress::http(&host, port)),
            None => "is not an origin; write it as \"http://10.0.0.2:80\", without a path",
        },
        Some(("https", rest)) => match authority(rest, 443) {
            Some((host, port)) => {
                let address = OriginAddress::http(&host, port);
                return Some(OriginAddress { scheme: OriginScheme::Https, ..address });
            }
            None => "is not an origin; write it as \"https://origin.example.com\", without a path",
        },
        Some(("file", _)) => "is a directory, which stands alone: origin = \"file:///srv/mirror\"",
        Some(_) => {
            "has an unknown scheme; write \"http://...\", \"https://...\" or \"file:///...\""
        }
        None => match text.strip_prefix("//").map(|rest| authority(rest, 0)) {
            Some(Some((host, 0))) => {
                let address = OriginAddress::http(&host, 80);
                return Some(OriginAddress {
                    scheme: OriginScheme::Follow,
                    https_port: 443,
                    ..address
                });
            }
            Some(Some(_)) => {
                "follows the client and has two ports; write { url = \"//host\", http_port = 80, \
                 https_port = 443 }"
            }
            Some(None) => "is not an origin; write it as \"//origin.example.com\", without a path",
            None => "has no scheme; write \"http://...\", \"https://...\" or \"file:///...\"",
        },
    };
    entry.refuse(format!("{text:?} {problem}"));
    None
}

/// `name`, `name:port`, `[v6]:port`, spoken to in plain HTTP.
pub(super) fn plain(text: &str) -> Option<OriginAddress> {
    authority(text, 80).map(|(host, port)| OriginAddress::http(&host, port))
}

/// `name`, `name:port`, `[v6]:port`; a slash may follow.
fn authority(text: &str, default_port: u16) -> Option<(String, u16)> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let authority = http::uri::Authority::try_from(text).ok()?;
    let rest = text.strip_prefix(authority.host())?;
    let port = match rest.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None if rest.is_empty() => default_port,
        None => return None,
    };
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let valid = match bare {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        }
    };
    valid.then(|| (bare.unwrap_or(host).to_owned(), port))
}

/// A node that is its own origin asks itself for ever.
pub(super) fn refuse_loop(
    entry: Entry<'_>,
    origin: &OriginAddress,
    hosts: &[String],
    listen: &[Listen],
) {
    let ip = match origin.host.as_str() {
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        host => host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical()),
    };
    let own = ip.and_then(|ip| own_listener(ip, origin, listen.iter().map(|listen| listen.addr)));
    if let Some(addr) = own {
        entry.refuse(format!("is this node's own address {addr}, a loop; name the real origin"));
    } else if hosts.iter().any(|host| host.eq_ignore_ascii_case(&origin.host)) {
        entry.refuse(format!("{:?} is the site itself, a loop; name the real origin", origin.host));
    }
}

/// The listener that a connection to `origin` at `ip` would come to.
fn own_listener(
    ip: IpAddr,
    origin: &OriginAddress,
    mut listen: impl Iterator<Item = SocketAddr>,
) -> Option<SocketAddr> {
    let ports = [origin.http_port, origin.https_port];
    listen.find(|own| ports.iter().any(|port| is_own(SocketAddr::new(ip, *port), *own)))
}

/// Whether a connection to `addr` comes to the listener on `own`.
pub fn is_own(addr: SocketAddr, own: SocketAddr) -> bool {
    let (ip, listener) = (addr.ip().to_canonical(), own.ip());
    // An IPv6 wildcard takes IPv4 as well.
    let takes = listener.is_unspecified() && (ip.is_ipv4() || listener.is_ipv6());
    addr.port() == own.port()
        && own.port() != 0
        && (ip == listener
            || ip.is_unspecified()
            || (listener.is_unspecified() && ip.is_loopback())
            || (takes && is_local(ip)))
}

/// Origins that the host's own table of names (`/etc/hosts`, its text) leads back to the node.
pub(super) fn loops_by_name(config: &Config, hosts_file: &str) -> Vec<ConfigError> {
    let lines = hosts_file.lines().filter_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        Some((words.next()?.parse::<IpAddr>().ok()?, words.collect::<Vec<_>>()))
    });
    let known: Vec<(IpAddr, Vec<&str>)> = lines.collect();
    let mut errors = Vec::new();
    for site in &config.sites {
        let Origin::Http { addresses, .. } = &site.origin else { continue };
        let places = &site.stated;
        for address in addresses {
            let named = known.iter().filter(|(_, names)| {
                names.iter().any(|name| name.eq_ignore_ascii_case(&address.host))
            });
            let listen = || config.listen.iter().map(|listen| listen.addr);
            let own = named.filter_map(|(ip, _)| own_listener(*ip, address, listen())).next();
            let Some(own) = own else { continue };
            let problem = format!(
                "{:?} is this node's own address {own} by /etc/hosts, a loop; name the real origin",
                address.host
            );
            let place = places.place_of("origin").unwrap_or(&places.place).clone();
            errors.push(ConfigError::Value { place, key: "site.origin".to_owned(), problem });
        }
    }
    errors
}
