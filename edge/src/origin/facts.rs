//! From header fields to the facts that freshness is decided on.

use ::http::header::{CACHE_CONTROL, EXPIRES, HeaderMap, HeaderName, PRAGMA, SET_COOKIE, VARY};

use super::Head;
use crate::cache::Reuse;
use crate::cache::freshness::{CacheFacts, ResponseFacts, Vary};
use crate::http::cache_control::{CacheControl, withheld};
use crate::http::{date, targeted};
use crate::limits::VARY_FIELDS_MAX;

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The facts of an answer to a question without credentials.
pub fn facts(head: &Head) -> ResponseFacts {
    let (control, is_targeted) = control(head);
    let is_old_style = !head.fields.contains_key(CACHE_CONTROL)
        && !is_targeted
        && tokens(&head.fields, &PRAGMA).any(|token| token.eq_ignore_ascii_case("no-cache"));
    let reuse = Reuse::of(&control);
    // Where the targeted field is valid, it alone decides (RFC 9213 §2.2).
    let mut expires = head.fields.get_all(EXPIRES).iter().filter(|_| !is_targeted);
    ResponseFacts {
        status: if head.status == 206 { 200 } else { head.status },
        cache_control: CacheFacts {
            no_store: control.no_store,
            no_cache: control.no_cache || is_old_style,
            private: control.private,
            public: control.public,
            must_revalidate: control.must_revalidate,
            must_understand: control.must_understand,
            max_age_s: control.max_age,
            s_maxage_s: control.s_maxage,
            lets_stale: reuse.while_revalidate_ms > 0 || reuse.if_error_ms.is_some_and(|ms| ms > 0),
        },
        expires_unix_s: expires.next().map(|value| date::parse(value.as_bytes()).ok_or(())),
        date_unix_s: head.date_unix_s,
        age_s: head.age_s,
        last_modified_unix_s: head.last_modified_unix_s,
        has_etag: head.etag.is_some(),
        set_cookie: head.fields.contains_key(SET_COOKIE),
        vary: vary(&head.fields),
        authorization: false,
    }
}

/// What an answer says about being used again; whether never unasked has been decided already.
pub fn reuse(head: &Head, no_cache: bool) -> Reuse {
    Reuse::of(&CacheControl { no_cache, ..control(head).0 })
}

/// The request fields, lower-case, that an answer hangs on. All questions ask for `identity`, so none
/// hangs on `Accept-Encoding`.
pub fn varies_with(head: &Head) -> impl Iterator<Item = &str> + Clone {
    tokens(&head.fields, &VARY).filter(|name| !name.eq_ignore_ascii_case("accept-encoding"))
}

/// The head as it is stored, where that is less than the one who asked gets: without the fields that
/// are for nobody else (RFC 9111 §5.2.2.4, §5.2.2.7).
pub fn shared(head: &Head) -> Option<Head> {
    if control(head).1 {
        return None;
    }
    let lines = head.fields.get_all(CACHE_CONTROL).iter().map(|value| value.as_bytes());
    let mut names = withheld(lines).filter_map(|name| HeaderName::from_bytes(name).ok()).peekable();
    names.peek()?;
    let mut shared = head.clone();
    for name in names {
        shared.fields.remove(name);
    }
    Some(shared)
}

/// The directives that are for this node, and whether they are for it alone (RFC 9213).
fn control(head: &Head) -> (CacheControl, bool) {
    let lines = |name| head.fields.get_all(name).iter().map(|value| value.as_bytes());
    match targeted::parse(lines(CDN_CACHE_CONTROL)) {
        Some(control) => (control, true),
        None => (CacheControl::parse(lines(CACHE_CONTROL)), false),
    }
}

fn vary(fields: &HeaderMap) -> Vary {
    let varies = tokens(fields, &VARY);
    match varies.clone().count() > VARY_FIELDS_MAX || varies.clone().any(|name| name == "*") {
        true => Vary::Star,
        false => Vary::None,
    }
}

/// The members of a field's list; what is no text counts as `*`.
fn tokens<'f>(
    fields: &'f HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'f str> + Clone + use<'f> {
    let lines = fields.get_all(name).into_iter().map(|value| value.to_str().unwrap_or("*"));
    let lines: Vec<&str> = lines.collect();
    let members = lines.into_iter().flat_map(|line| line.split(','));
    members.map(str::trim).filter(|token| !token.is_empty())
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

    fn facts(rows: &[(&'static str, &str)]) -> ResponseFacts {
        super::facts(&head(rows))
    }

    #[test]
    fn what_decides_about_storing() {
        let all = facts(&[
            ("cache-control", "public, max-age=5"),
            ("cache-control", "s-maxage=7, must-revalidate"),
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
    fn the_targeted_field_decides_alone() {
        // RFC 9213 §2.2
        let rows = [
            ("max-age=9", "no-store", Some(9), false),
            ("no-store", "max-age=9", None, true),
            ("max-age=\"9\", private", "max-age=5", None, false),
            ("max-age=9, &", "no-store, max-age=5", Some(5), true),
            ("", "max-age=5", Some(5), false),
        ];
        for (targeted, general, max_age_s, no_store) in rows {
            let facts = facts(&[
                ("cdn-cache-control", targeted),
                ("cache-control", general),
                ("expires", "0"),
                ("pragma", "no-cache"),
            ]);
            let control = facts.cache_control;
            assert_eq!((control.max_age_s, control.no_store), (max_age_s, no_store), "{targeted}");
            assert!(!control.no_cache);
        }
        assert_eq!(facts(&[("cdn-cache-control", "a"), ("expires", "0")]).expires_unix_s, None);
    }

    #[test]
    fn what_is_for_one_is_not_shared() {
        let rows = [
            ("private=\"X-A, x-c\", max-age=1", "", Some("X-B: 2\r\n")),
            ("no-cache=x-a", "", Some("X-B: 2\r\n")),
            ("private", "", None),
            ("max-age=1", "", None),
            ("private=\"x-a, etag\"", "", None),
            // RFC 9213 §2.2
            ("private=\"x-a\"", "max-age=1", None),
        ];
        for (control, targeted, expected) in rows {
            let fields = [("x-a", "1"), ("cache-control", control), ("x-b", "2"), ("x-a", "3")];
            let head = head(&[&fields[..], &[("cdn-cache-control", targeted)]].concat());
            let text = shared(&head).map(|head| String::from_utf8(head.block().into()).unwrap());
            assert_eq!(text.is_some(), expected.is_some(), "{control}");
            for line in expected.into_iter().chain(["Cache-Control: "]) {
                assert!(text.as_ref().is_none_or(|text| text.contains(line)), "{control}");
            }
            assert!(text.is_none_or(|text| !text.contains("X-A:")), "{control}");
        }
    }

    #[test]
    fn ages_are_read_as_9111_5_1_says() {
        let rows = [
            ("0", Some(0)),
            ("7200", Some(7200)),
            ("7200, 0", Some(7200)),
            ("0, 7200", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("-7200", None),
            ("7200.0", None),
            ("abc", None),
            ("", None),
        ];
        for (value, expected) in rows {
            assert_eq!(facts(&[("age", value)]).age_s, expected, "{value}");
        }
        assert_eq!(facts(&[("age", "1"), ("age", "2")]).age_s, Some(1));
    }

    #[test]
    fn what_varies() {
        let many = ["x"; VARY_FIELDS_MAX + 1].join(",");
        let rows = [
            ("", Vary::None, 0),
            ("Accept-Encoding", Vary::None, 0),
            ("accept-encoding, Origin,, a", Vary::None, 2),
            ("Origin, *", Vary::Star, 2),
            ("*, *", Vary::Star, 2),
            (", *", Vary::Star, 1),
            ("\u{fc}", Vary::Star, 1),
            (&many, Vary::Star, VARY_FIELDS_MAX + 1),
        ];
        for (value, expected, names) in rows {
            let head = head(&[("vary", value)]);
            assert_eq!(super::facts(&head).vary, expected, "{value}");
            assert_eq!(varies_with(&head).count(), names, "{value}");
        }
    }
}
