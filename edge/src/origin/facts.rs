//! From header fields to the facts that freshness is decided on.

use ::http::header::{CACHE_CONTROL, EXPIRES, HeaderMap, HeaderName, PRAGMA, SET_COOKIE, VARY};

use super::Head;
use super::head::{read_block, unix_s};
use crate::cache::Meta;
use crate::cache::freshness::{CacheFacts, ResponseFacts, Vary};
use crate::http::cache_control::CacheControl;
use crate::limits::STALE_IF_ERROR_MS;

/// The facts of an answer to a question of ours, which carries no credentials and asks for
/// `identity` only.
pub fn facts(head: &Head) -> ResponseFacts {
    let control = cache_control(&head.fields);
    let is_old_style = !head.fields.contains_key(CACHE_CONTROL)
        && tokens(&head.fields, &PRAGMA).any(|token| token.eq_ignore_ascii_case("no-cache"));
    ResponseFacts {
        status: if head.status == 206 { 200 } else { head.status },
        cache_control: CacheFacts {
            no_store: control.no_store,
            no_cache: control.no_cache || is_old_style,
            private: control.private,
            public: control.public,
            must_revalidate: control.must_revalidate || control.proxy_revalidate,
            max_age_s: control.max_age,
            s_maxage_s: control.s_maxage,
        },
        expires_unix_s: head
            .fields
            .get(EXPIRES)
            .map(|value| value.to_str().ok().and_then(unix_s).ok_or(())),
        date_unix_s: head.date_unix_s,
        age_s: head.age_s,
        last_modified_unix_s: head.last_modified_unix_s,
        has_etag: head.etag.is_some(),
        set_cookie: head.fields.contains_key(SET_COOKIE),
        vary: vary(&head.fields),
        authorization: false,
    }
}

/// How long past its lifetime a stored response may stand in for a failing origin, ms: as long as it
/// says (RFC 5861 §4), else [`STALE_IF_ERROR_MS`], but never against its own word (RFC 9111 §4.2.4).
pub fn stale_if_error_ms(meta: &Meta) -> u64 {
    let control = cache_control(&read_block(&meta.headers));
    if control.must_revalidate || control.proxy_revalidate {
        return 0;
    }
    match (control.stale_if_error, control.s_maxage) {
        (Some(seconds), _) => seconds.saturating_mul(1_000),
        // It means `proxy-revalidate`, too (§5.2.2.10).
        (None, Some(_)) => 0,
        (None, None) => STALE_IF_ERROR_MS,
    }
}

fn cache_control(fields: &HeaderMap) -> CacheControl {
    CacheControl::parse(fields.get_all(CACHE_CONTROL).iter().map(|value| value.as_bytes()))
}

fn vary(fields: &HeaderMap) -> Vary {
    let varies = tokens(fields, &VARY).filter(|name| !name.eq_ignore_ascii_case("accept-encoding"));
    varies.fold(Vary::None, |so_far, name| match (so_far, name) {
        (Vary::Star, _) | (_, "*") => Vary::Star,
        _ => Vary::Some,
    })
}

/// The members of a field's list; what is no text counts as one odd member.
fn tokens<'f>(fields: &'f HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'f str> {
    let lines = fields.get_all(name).into_iter();
    lines
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use ::http::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::clock::Now;

    fn head(rows: &[(&'static str, &str)]) -> Head {
        let mut fields = HeaderMap::new();
        for (name, value) in rows {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            fields.append(HeaderName::from_static(name), value);
        }
        Head::read(206, &fields, Now { mono_ms: 1, unix_ms: 784_111_777_000 })
    }

    #[test]
    fn what_decides_about_storing() {
        let facts = |rows: &[(&'static str, &str)]| super::facts(&head(rows));
        let all = facts(&[
            ("cache-control", "public, max-age=5"),
            ("cache-control", "s-maxage=7, proxy-revalidate"),
            ("expires", "Sun, 06 Nov 1994 08:49:47 GMT"),
            ("etag", "\"a\""),
            ("set-cookie", "a=b"),
            ("age", "3"),
        ]);
        let control = all.cache_control;
        assert_eq!((control.max_age_s, control.s_maxage_s), (Some(5), Some(7)));
        assert!(control.public && control.must_revalidate && !control.private);
        assert!(all.has_etag && all.set_cookie && !all.authorization);
        assert_eq!((all.status, all.age_s), (200, Some(3)));
        assert_eq!(all.expires_unix_s, Some(Ok(784_111_787)));
        assert_eq!(all.date_unix_s, None, "freshness knows what a missing date means");
        assert_eq!(facts(&[("expires", "0")]).expires_unix_s, Some(Err(())));
        assert!(facts(&[("pragma", "no-cache")]).cache_control.no_cache);
        let both = facts(&[("pragma", "no-cache"), ("cache-control", "max-age=1")]);
        assert!(!both.cache_control.no_cache);
    }

    #[test]
    fn what_varies() {
        let rows = [
            ("", Vary::None),
            ("Accept-Encoding", Vary::None),
            ("accept-encoding, Origin", Vary::Some),
            ("Origin, *", Vary::Star),
            ("*, Origin", Vary::Star),
            ("\u{fc}", Vary::Some),
        ];
        for (value, expected) in rows {
            assert_eq!(facts(&head(&[("vary", value)])).vary, expected, "{value}");
        }
    }

    #[test]
    fn how_long_stale_may_stand_in() {
        let rows = [
            ("max-age=1", STALE_IF_ERROR_MS),
            ("max-age=1, stale-if-error=60", 60_000),
            ("s-maxage=1", 0),
            ("s-maxage=1, stale-if-error=60", 60_000),
            ("must-revalidate, stale-if-error=60", 0),
            ("proxy-revalidate", 0),
        ];
        for (value, expected) in rows {
            let head = head(&[("cache-control", value)]);
            let meta = Meta {
                status: 200,
                headers: head.block(),
                etag: None,
                last_modified_unix_s: None,
                received_unix_ms: 0,
                initial_age_ms: 0,
                lifetime_ms: 0,
                key_text: "".into(),
                tags: "".into(),
                stamp: Default::default(),
            };
            assert_eq!(stale_if_error_ms(&meta), expected, "{value}");
        }
    }
}
