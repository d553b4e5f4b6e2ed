//! What a successful unsafe request makes stale (RFC 9111 §4.4).

use ::http::header::{CONTENT_LOCATION, HeaderMap, HeaderName, LOCATION};

use crate::cache::{Cache, Key};
use crate::http::request::{Parsed, parse};
use crate::session::Demand;
use crate::session::key::key;

/// Forgets what is stored for the target (under `target_key`) and for the targets that `Location`
/// and `Content-Location` name, if they are of the same origin.
pub fn invalidate(cache: &Cache, demand: &Demand, target_key: Key, fields: &HeaderMap) {
    cache.forget(target_key);
    for name in [LOCATION, CONTENT_LOCATION] {
        let target = named(fields, name, &demand.host, &demand.target);
        if let Some(key) = target.and_then(|target| key_of(cache, demand, &target)) {
            cache.forget(key);
        }
    }
}

/// What a GET of `target` that is otherwise like the request of `demand` is stored under.
fn key_of(cache: &Cache, demand: &Demand, target: &str) -> Option<Key> {
    let mut head = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n", demand.host).into_bytes();
    for (name, value) in &demand.keyed {
        head.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    head.extend_from_slice(b"\r\n");
    match parse(&head) {
        Ok(Parsed::Head(head)) => Some(key(cache.seed(), &demand.site, &demand.host, &head)),
        _ => None,
    }
}

/// The target that a field names, if it is one of `host`.
fn named(fields: &HeaderMap, name: HeaderName, host: &str, base: &str) -> Option<String> {
    let text = fields.get(name)?.to_str().ok()?;
    let text = text.split('#').next().unwrap_or_default();
    let rest = match text.split_once("://") {
        Some(("http" | "https", rest)) => Some(rest),
        Some((scheme, _)) if !scheme.contains(['/', '?']) => return None,
        _ => text.strip_prefix("//"),
    };
    let Some(rest) = rest else { return resolved(text, base) };
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    if !name.eq_ignore_ascii_case(host) {
        return None;
    }
    Some(if target.starts_with('/') { target.to_owned() } else { format!("/{target}") })
}

/// A relative reference on top of the request's own target (RFC 3986 §5.2), without `..`.
fn resolved(text: &str, base: &str) -> Option<String> {
    let path = base.split('?').next().unwrap_or(base);
    let directory = &path[..path.rfind('/')? + 1];
    match text.as_bytes() {
        [] => None,
        [b'/', ..] => Some(text.to_owned()),
        [b'?', ..] => Some(format!("{path}{text}")),
        _ => Some(format!("{directory}{}", text.strip_prefix("./").unwrap_or(text))),
    }
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    #[test]
    fn targets_of_the_same_origin_are_found() {
        // RFC 9111 §4.4, RFC 3986 §5.2
        for (text, expected) in [
            ("/b", Some("/b")),
            ("/b?c#d", Some("/b?c")),
            ("http://h.example/b", Some("/b")),
            ("https://H.example:443/b?c", Some("/b?c")),
            ("//h.example/b", Some("/b")),
            ("http://h.example", Some("/")),
            ("http://h.example?q", Some("/?q")),
            ("http://other.example/b", None),
            ("//other.example/b", None),
            ("http://h.example@other.example/b", None),
            ("ftp://h.example/b", None),
            ("b", Some("/dir/b")),
            ("./b", Some("/dir/b")),
            ("?q", Some("/dir/a?q")),
            ("", None),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(LOCATION, HeaderValue::from_static(text));
            let found = named(&fields, LOCATION, "h.example", "/dir/a?x");
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
