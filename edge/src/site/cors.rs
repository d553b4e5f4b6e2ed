//! CORS (the Fetch standard, section 3.2): which pages of other sites may read answers.

use crate::config::Cors;

/// What is to be said to the page at an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Every page may: `*`.
    Any,
    /// This one may.
    This,
    /// It may not.
    No,
}

/// Whether the page at `origin` (as its browser names it) may read answers.
pub fn allowed(cors: &Cors, origin: &[u8]) -> Allowed {
    if cors.any {
        return Allowed::Any;
    }
    let is_below = |(scheme, domain): &(String, String)| {
        origin
            .strip_prefix(scheme.as_bytes())
            .and_then(|host| host.strip_suffix(domain.as_bytes()))
            .is_some_and(|labels| {
                !labels.is_empty()
                    && labels
                        .iter()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte))
            })
    };
    let is_exact = cors.exact.iter().any(|one| one.as_bytes() == origin);
    if is_exact || cors.below.iter().any(is_below) { Allowed::This } else { Allowed::No }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_read() {
        let cors = Cors {
            exact: vec!["https://a.example.com".into(), "http://b:8080".into()],
            below: vec![("https://".into(), ".example.org".into())],
            ..Cors::default()
        };
        for (origin, expected) in [
            ("https://a.example.com", Allowed::This),
            ("http://a.example.com", Allowed::No),
            ("https://a.example.com.evil", Allowed::No),
            ("https://a.example.com:8443", Allowed::No),
            ("http://b:8080", Allowed::This),
            ("https://x.example.org", Allowed::This),
            ("https://x.y.example.org", Allowed::This),
            ("https://example.org", Allowed::No),
            ("https://.example.org", Allowed::No),
            ("https://evil/.example.org", Allowed::No),
            ("http://x.example.org", Allowed::No),
            ("null", Allowed::No),
            ("", Allowed::No),
        ] {
            assert_eq!(allowed(&cors, origin.as_bytes()), expected, "{origin}");
        }
        assert_eq!(allowed(&Cors { any: true, ..Cors::default() }, b"null"), Allowed::Any);
    }
}
