//! `uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2).

use std::net::Ipv6Addr;

/// The host of a `Host` field or of an absolute target's authority, as sent, without port; brackets
/// of an IPv6 address stay. `None`: malformed or empty. User information is malformed.
pub fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let address = &rest[..rest.find(']')?];
            address.parse::<Ipv6Addr>().ok()?;
            authority.split_at(address.len() + 2)
        }
        None => {
            let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            is_name(name.as_bytes()).then_some((name, port))?
        }
    };
    is_port(port).then_some(host)
}

/// A non-empty reg-name (RFC 3986 §3.2.2); IPv4 addresses are among them.
fn is_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let [byte, tail @ ..] = rest {
        rest = match (byte, tail) {
            (b'%', [high, low, tail @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                tail
            }
            _ if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) => tail,
            _ => return false,
        };
    }
    !name.is_empty()
}

/// Nothing, or a colon and a port that may be empty.
fn is_port(text: &str) -> bool {
    let Some(digits) = text.strip_prefix(':') else { return text.is_empty() };
    digits.is_empty()
        || (digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_bracketed_addresses() {
        // RFC 3986 §3.2.2 and §3.2.3; what is refused is refused with 400 (RFC 9112 §3.2).
        for (authority, expected) in [
            ("dl.Example.com", Some("dl.Example.com")),
            ("dl.example.com:8080", Some("dl.example.com")),
            ("dl.example.com:", Some("dl.example.com")),
            ("127.0.0.1:1", Some("127.0.0.1")),
            ("[::1]", Some("[::1]")),
            ("[2001:db8::1]:443", Some("[2001:db8::1]")),
            ("a%2Db", Some("a%2Db")),
            ("a_b~c", Some("a_b~c")),
            ("", None),
            (":80", None),
            ("a:65536", None),
            ("a:+1", None),
            ("a:80:80", None),
            ("a:8o", None),
            ("a b", None),
            ("a/b", None),
            ("a?b", None),
            ("a#b", None),
            ("a@b", None),
            ("a\\b", None),
            ("a<b>", None),
            ("a%2", None),
            ("a%zz", None),
            ("[::1", None),
            ("::1", None),
            ("[]", None),
            ("[v1.a]", None),
            ("[::1]x", None),
            ("[fe80::1%eth0]", None),
            ("é", None),
        ] {
            assert_eq!(host(authority), expected, "{authority:?}");
        }
    }
}
