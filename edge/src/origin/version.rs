//! Whether two answers are of the same version of an object: the fence no body is mixed across.

use super::Head;
use crate::cache::{KeyBuilder, Meta, Seed};

/// The number of a version: the same for the same strong entity tag (else the same `Last-Modified`)
/// and length, stable across restarts. `None` when the answer names no version at all.
pub fn generation(seed: Seed, head: &Head, len: Option<u64>) -> Option<u64> {
    let named = match (head.strong_etag(), head.last_modified_unix_s, len) {
        (Some(tag), _, _) => KeyBuilder::new(seed, "etag").part(tag.as_bytes()),
        (None, Some(unix_s), Some(_)) => {
            KeyBuilder::new(seed, "last-modified").part(&unix_s.to_le_bytes())
        }
        _ => return None,
    };
    let key = named.part(&len.unwrap_or(u64::MAX).to_le_bytes()).finish();
    Some(key.0[0])
}

/// Whether an answer names its version, so that further parts of it can be told from others.
pub fn names_one(head: &Head) -> bool {
    head.strong_etag().is_some() || head.last_modified_unix_s.is_some()
}

/// Whether a later answer can be told to be of the same version as `meta`.
pub fn is_named(meta: &Meta) -> bool {
    meta.strong_etag().is_some() || meta.last_modified_unix_s.is_some()
}

/// Whether an answer, of a whole that is `total` long, is of the version of `meta` and `len`.
/// Anything that differs or is missing on one side only says no.
pub fn is_same(meta: &Meta, len: Option<u64>, head: &Head, total: Option<u64>) -> bool {
    let same_name = match (meta.strong_etag(), head.strong_etag()) {
        (Some(ours), Some(theirs)) => ours == theirs,
        _ => {
            meta.etag == head.etag
                && meta.last_modified_unix_s.is_some()
                && meta.last_modified_unix_s == head.last_modified_unix_s
        }
    };
    let same_len = match (len, total) {
        (Some(ours), Some(theirs)) => ours == theirs,
        _ => meta.strong_etag().is_some(),
    };
    same_name && same_len
}

#[cfg(test)]
mod tests {
    use ::http::header::{ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};

    use super::*;
    use crate::clock::Now;

    const SEED: Seed = Seed([1, 2]);
    const EARLY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATE: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn head(etag: &str, last_modified: &str) -> Head {
        let mut fields = HeaderMap::new();
        for (name, text) in [(ETAG, etag), (LAST_MODIFIED, last_modified)] {
            if !text.is_empty() {
                fields.insert(name, HeaderValue::from_str(text).unwrap());
            }
        }
        Head::read(200, &fields, Now { mono_ms: 1, unix_ms: 1 })
    }

    fn meta(head: &Head) -> Meta {
        Meta {
            headers: head.block(),
            etag: head.etag.clone(),
            last_modified_unix_s: head.last_modified_unix_s,
            ..Meta::example()
        }
    }

    #[test]
    fn what_is_the_same_version() {
        // stored, answered, their lengths, same?
        let rows = [
            (("\"a\"", EARLY), ("\"a\"", EARLY), Some(5), Some(5), true),
            (("\"a\"", EARLY), ("\"a\"", LATE), Some(5), Some(5), true),
            (("\"a\"", ""), ("\"a\"", ""), None, Some(5), true),
            (("\"a\"", ""), ("\"a\"", ""), Some(5), Some(6), false),
            (("\"a\"", EARLY), ("\"b\"", EARLY), Some(5), Some(5), false),
            (("\"a\"", EARLY), ("W/\"a\"", EARLY), Some(5), Some(5), false),
            (("\"a\"", EARLY), ("", EARLY), Some(5), Some(5), false),
            (("W/\"a\"", EARLY), ("W/\"a\"", EARLY), Some(5), Some(5), true),
            (("W/\"a\"", EARLY), ("W/\"b\"", EARLY), Some(5), Some(5), false),
            (("", EARLY), ("", EARLY), Some(5), Some(5), true),
            (("", EARLY), ("", EARLY), Some(5), None, false),
            (("", EARLY), ("", LATE), Some(5), Some(5), false),
            (("", ""), ("", ""), Some(5), Some(5), false),
        ];
        for (stored, answered, len, total, expected) in rows {
            let (stored, answered) = (head(stored.0, stored.1), head(answered.0, answered.1));
            let row = format!("{:?} {:?} {len:?} {total:?}", stored.fields, answered.fields);
            assert_eq!(is_same(&meta(&stored), len, &answered, total), expected, "{row}");
            if expected && len == total {
                assert_eq!(generation(SEED, &stored, len), generation(SEED, &answered, total));
            }
        }
    }

    #[test]
    fn generations_differ_where_versions_do() {
        let numbers = [
            generation(SEED, &head("\"a\"", EARLY), Some(5)),
            generation(SEED, &head("\"a\"", EARLY), Some(6)),
            generation(SEED, &head("\"b\"", EARLY), Some(5)),
            generation(SEED, &head("", EARLY), Some(5)),
            generation(SEED, &head("", LATE), Some(5)),
        ];
        for (at, one) in numbers.iter().enumerate() {
            assert!(one.is_some());
            assert!(numbers[..at].iter().all(|other| other != one), "{at}");
        }
        assert_eq!(generation(SEED, &head("", EARLY), None), None);
        assert_eq!(generation(SEED, &head("W/\"a\"", ""), Some(5)), None);
        assert!(!is_named(&meta(&head("W/\"a\"", ""))));
    }
}
