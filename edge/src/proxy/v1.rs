//! Version 1: a line of text (section 2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Parsed, ProxyFault};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";
/// The longest line, its end included.
const LINE_MAX_BYTES: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, ProxyFault> {
    let shown = &bytes[..bytes.len().min(LINE_MAX_BYTES)];
    let Some(end) = shown.windows(2).position(|pair| pair == b"\r\n") else {
        // A line feed alone ends no line, and nothing after it makes it one.
        let is_hopeless = shown.len() == LINE_MAX_BYTES || shown.contains(&b'\n');
        return if is_hopeless { Err(ProxyFault::Malformed) } else { Ok(Parsed::Partial) };
    };
    if shown[..end].iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return Err(ProxyFault::Malformed);
    }
    let line = std::str::from_utf8(&shown[..end]).map_err(|_| ProxyFault::Malformed)?;
    let client = client(line).ok_or(ProxyFault::Malformed)?;
    Ok(Parsed::Header { len: end + 2, client })
}

/// The client of a line; `Some(None)`: it does not say.
fn client(line: &str) -> Option<Option<SocketAddr>> {
    let mut words = line.split(' ');
    let (proxy, family) = (words.next()?, words.next()?);
    if proxy != "PROXY" {
        return None;
    }
    // What follows UNKNOWN is to be ignored.
    let addresses = match family {
        "UNKNOWN" => return Some(None),
        "TCP4" => {
            (address::<Ipv4Addr>(words.next()?)?.into(), address::<Ipv4Addr>(words.next()?)?.into())
        }
        "TCP6" => {
            (address::<Ipv6Addr>(words.next()?)?.into(), address::<Ipv6Addr>(words.next()?)?.into())
        }
        _ => return None,
    };
    let ports = (port(words.next()?)?, port(words.next()?)?);
    if words.next().is_some() {
        return None;
    }
    let (source, _destination): (IpAddr, IpAddr) = addresses;
    Some(Some(SocketAddr::new(source.to_canonical(), ports.0)))
}

fn address<T: FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}

/// A decimal number of no more digits than it takes.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit());
    let minimal = word == "0" || !word.starts_with('0');
    if plain && minimal { word.parse().ok() } else { None }
}
