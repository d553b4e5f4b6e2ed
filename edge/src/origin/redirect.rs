//! Redirects that are followed on this side: what a client would do, within the site's limits.

use ::http::Uri;
use ::http::header::{AUTHORIZATION, COOKIE, HeaderMap, LOCATION, PROXY_AUTHORIZATION};

use super::request::Destination;
use crate::config::{OriginAddress, Redirects};

/// Where a redirect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// To whom.
    pub to: Destination,
    /// Path and query.
    pub target: Box<str>,
    /// Whether that is the same server for the same host: what a client sent for it may go there.
    pub is_same_host: bool,
}

/// Where the redirect `status` with `fields`, which answered a request for `target` at `at` with the
/// `Host` `host`, leads; `None`: it is not followed, the client is sent it. From TLS nothing leads to
/// plain text.
pub fn next(
    rules: &Redirects,
    group: &[OriginAddress],
    (at, host, target): (&Destination, &str, &str),
    (status, fields): (u16, &HeaderMap),
) -> Option<Next> {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = fields.get(LOCATION)?.to_str().ok()?.trim();
    let location = location.split('#').next().unwrap_or_default();
    let absolute = absolute(location, at, host, target)?;
    let uri: Uri = absolute.parse().ok()?;
    let is_tls = match uri.scheme_str()? {
        "http" if !at.is_tls => false,
        "https" => true,
        _ => return None,
    };
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    let name = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
    let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let is_same_host = is_tls == at.is_tls && authority.as_str().eq_ignore_ascii_case(host);
    if is_same_host {
        // The host that it was asked for: the same server answers for it.
        return Some(Next { to: at.clone(), target: target.into(), is_same_host });
    }
    let of_group = |address: &OriginAddress| {
        address.host.eq_ignore_ascii_case(&name)
            && address.is_tls(is_tls) == is_tls
            && address.port(is_tls) == port
    };
    let allowed = group.iter().any(of_group) || rules.hosts.iter().any(|rule| fits(rule, &name));
    let to = Destination { is_tls, host: name.into(), port, host_field: None, http2: false };
    let to = Destination { host_field: Some(to.authority().into()), ..to };
    allowed.then_some(Next { to, target: target.into(), is_same_host })
}

/// Takes out what a client sent for one host alone.
pub fn strip_credentials(fields: &mut HeaderMap) {
    for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
        fields.remove(name);
    }
}

/// The reference `location` on top of the request's own target (RFC 3986 §5.2).
fn absolute(location: &str, at: &Destination, host: &str, target: &str) -> Option<String> {
    let scheme = if at.is_tls { "https" } else { "http" };
    if location.is_empty() {
        return None;
    }
    let first = location.find([':', '/', '?']).map(|at| location.as_bytes()[at]);
    if first == Some(b':') {
        return Some(location.to_owned());
    }
    if let Some(rest) = location.strip_prefix("//") {
        return Some(format!("{scheme}://{rest}"));
    }
    let path = target.split('?').next().unwrap_or(target);
    let target = match location.as_bytes()[0] {
        b'/' => location.to_owned(),
        b'?' => format!("{path}{location}"),
        _ => {
            let directory = &path[..path.rfind('/')? + 1];
            let (reference, query) =
                location.split_at(location.find('?').unwrap_or(location.len()));
            format!("{}{query}", without_dots(&format!("{directory}{reference}")))
        }
    };
    Some(format!("{scheme}://{host}{target}"))
}

/// RFC 3986 §5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

fn fits(rule: &str, name: &str) -> bool {
    match rule.strip_prefix('*') {
        Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
        None => rule == name,
    }
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;
    use crate::config::OriginScheme;

    fn at(is_tls: bool) -> Destination {
        let scheme = if is_tls { OriginScheme::Https } else { OriginScheme::Http };
        let address = OriginAddress { scheme, ..OriginAddress::http("o.test", 8080) };
        Destination::of(&address, false, false)
    }

    /// Where `location` leads as `scheme://host:port target`, with `!` when that is another host.
    fn leads(is_tls: bool, location: &str) -> Option<String> {
        let rules = Redirects { hops: 2, hosts: vec!["cdn.test".into(), "*.ok.test".into()] };
        let group = [OriginAddress::http("b.test", 81)];
        let mut fields = HeaderMap::new();
        fields.insert(LOCATION, HeaderValue::from_str(location).unwrap());
        let asked = at(is_tls);
        let next = next(&rules, &group, (&asked, "www.test", "/d/a?x=1"), (302, &fields))?;
        let scheme = if next.to.is_tls { "https" } else { "http" };
        let other = if next.is_same_host { "" } else { "!" };
        Some(format!("{other}{scheme}://{}:{}{}", next.to.host, next.to.port, next.target))
    }

    #[test]
    fn redirects_lead_where_a_client_would_go_or_nowhere() {
        for (is_tls, location, expected) in [
            (false, "/b", Some("http://o.test:8080/b")),
            (false, "b?y#z", Some("http://o.test:8080/d/b?y")),
            (false, "?y", Some("http://o.test:8080/d/a?y")),
            (false, "../b/./c/..", Some("http://o.test:8080/b/")),
            (false, "../../../b", Some("http://o.test:8080/b")),
            (false, "http://www.test/b", Some("http://o.test:8080/b")),
            (false, "//www.test", Some("http://o.test:8080/")),
            (false, "http://cdn.test/b", Some("!http://cdn.test:80/b")),
            (false, "https://CDN.test/b", Some("!https://cdn.test:443/b")),
            (false, "http://x.y.ok.test:90?q", Some("!http://x.y.ok.test:90/?q")),
            (false, "http://b.test:81/b", Some("!http://b.test:81/b")),
            (false, "http://b.test:82/b", None),
            (false, "http://ok.test/", None),
            (false, "http://evil.test/", None),
            (false, "http://cdn.test@evil.test/", None),
            (false, "http://user@cdn.test/", None),
            (false, "http://cdn.test.evil.test/", None),
            (false, "ftp://cdn.test/", None),
            (false, "javascript:alert(1)", None),
            (false, "", None),
            (true, "https://www.test/b", Some("https://o.test:8080/b")),
            (true, "https://cdn.test/b", Some("!https://cdn.test:443/b")),
            // Never from TLS to plain text.
            (true, "http://www.test/b", None),
            (true, "http://cdn.test/b", None),
        ] {
            assert_eq!(leads(is_tls, location).as_deref(), expected, "{is_tls} {location:?}");
        }
    }

    #[test]
    fn other_statuses_are_no_redirects() {
        let mut fields = HeaderMap::new();
        fields.insert(LOCATION, HeaderValue::from_static("/b"));
        for status in [200, 201, 300, 304, 305, 404] {
            let at = at(false);
            let asked = (&at, "www.test", "/a");
            assert_eq!(next(&Redirects::default(), &[], asked, (status, &fields)), None);
        }
    }
}
