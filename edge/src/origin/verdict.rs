//! What to do with an answer.

use super::{Ask, ContentRange, Head, version};
use crate::limits::{MEMORY_BODY_MAX_BYTES, OBJECT_MAX_BYTES};

/// See [`judge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What is stored still holds (304).
    NotModified,
    /// To be stored in slices.
    Store(Part),
    /// To be stored whole in memory, if it turns out to be short.
    Keep,
    /// To be passed through to one client.
    Pass,
    /// It does not fit the question, or a part of it cannot be used: ask once more for the whole.
    AskPlain,
    /// The object has no such bytes.
    Unsatisfiable,
    /// Against the protocol.
    Broken,
}

/// Which bytes of an object a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// First byte.
    pub start: u64,
    /// One past the last, if the origin said it.
    pub end: Option<u64>,
    /// Length of the whole, if the origin said it.
    pub len: Option<u64>,
}

/// Decides about an answer to `ask`; `storable` is what freshness says of it.
pub fn judge(ask: &Ask, head: &Head, storable: bool) -> Verdict {
    match head.status {
        304 if ask.is_conditional() => Verdict::NotModified,
        304 | 100..=199 => Verdict::Broken,
        206 => judge_part(ask, head, storable),
        416 if ask.range.is_some() => Verdict::Unsatisfiable,
        _ if !storable => Verdict::Pass,
        200 => judge_whole(ask, head),
        _ if ask.head_only => Verdict::Pass,
        _ if head.content_length.is_none_or(|len| len <= MEMORY_BODY_MAX_BYTES as u64) => {
            Verdict::Keep
        }
        _ => Verdict::Pass,
    }
}

/// The part a 206 holds, if it is one that `range` asks for: the same unit and start, no more than
/// asked, a body as long as it says.
pub fn part_of(range: (u64, Option<u64>), head: &Head) -> Option<Part> {
    let ContentRange::Bytes { start, end, total } = head.content_range? else { return None };
    let fits = start == range.0
        && range.1.is_none_or(|asked| end <= asked)
        && head.content_length.is_none_or(|length| length == end - start);
    fits.then_some(Part { start, end: Some(end), len: total })
}

fn judge_part(ask: &Ask, head: &Head, storable: bool) -> Verdict {
    let Some(range) = ask.range else { return Verdict::Broken };
    match part_of(range, head) {
        // A part of a version without a name could never be completed.
        Some(part @ Part { len: Some(len), .. })
            if storable && len <= OBJECT_MAX_BYTES && version::names_one(head) =>
        {
            Verdict::Store(part)
        }
        _ => Verdict::AskPlain,
    }
}

fn judge_whole(ask: &Ask, head: &Head) -> Verdict {
    match head.content_length {
        Some(0) => Verdict::Keep,
        Some(len) if len > OBJECT_MAX_BYTES => Verdict::Pass,
        // Its body is fetched later, and could not be told to be the same.
        len if ask.head_only && (len.is_none() || !version::names_one(head)) => Verdict::Pass,
        len => Verdict::Store(Part { start: 0, end: len, len }),
    }
}

#[cfg(test)]
mod tests {
    use ::http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue};

    use super::*;
    use crate::clock::Now;

    fn head(status: u16, etag: &str, content_length: &str, content_range: &str) -> Head {
        let mut fields = HeaderMap::new();
        let rows = [(ETAG, etag), (CONTENT_LENGTH, content_length), (CONTENT_RANGE, content_range)];
        for (name, text) in rows {
            if !text.is_empty() {
                fields.insert(name, HeaderValue::from_str(text).unwrap());
            }
        }
        Head::read(status, &fields, Now { mono_ms: 1, unix_ms: 1 })
    }

    #[test]
    fn whole_answers() {
        let whole = |len: Option<u64>| Verdict::Store(Part { start: 0, end: len, len });
        let plain = Ask::default();
        let rows = [
            (head(200, "", "100", ""), true, whole(Some(100))),
            (head(200, "", "", ""), true, whole(None)),
            (head(200, "", "0", ""), true, Verdict::Keep),
            (head(200, "", "18446744073709551615", ""), true, Verdict::Pass),
            (head(200, "", "100", ""), false, Verdict::Pass),
            (head(404, "", "100", ""), true, Verdict::Keep),
            (head(404, "", "", ""), true, Verdict::Keep),
            (head(404, "", "100000", ""), true, Verdict::Pass),
            (head(404, "", "100", ""), false, Verdict::Pass),
            (head(206, "\"a\"", "10", "bytes 0-9/10"), true, Verdict::Broken),
            (head(416, "", "0", "bytes */10"), false, Verdict::Pass),
            (head(304, "\"a\"", "", ""), true, Verdict::Broken),
            (head(103, "", "", ""), true, Verdict::Broken),
        ];
        for (head, storable, expected) in rows {
            assert_eq!(judge(&plain, &head, storable), expected, "{head:?}");
        }
        let head_only = Ask { head_only: true, ..Ask::default() };
        assert_eq!(judge(&head_only, &head(200, "", "", ""), true), Verdict::Pass);
        assert_eq!(judge(&head_only, &head(200, "", "5", ""), true), Verdict::Pass);
        assert_eq!(judge(&head_only, &head(200, "\"a\"", "5", ""), true), whole(Some(5)));
        assert_eq!(judge(&head_only, &head(404, "", "5", ""), true), Verdict::Pass);
        let conditional = Ask { if_none_match: Some("\"a\"".into()), ..Ask::default() };
        assert_eq!(judge(&conditional, &head(304, "", "", ""), false), Verdict::NotModified);
    }

    #[test]
    fn parts() {
        let ask = |start, end| Ask { range: Some((start, end)), ..Ask::default() };
        let part = Verdict::Store(Part { start: 100, end: Some(200), len: Some(1_000) });
        let good = head(206, "\"a\"", "100", "bytes 100-199/1000");
        let rows = [
            (ask(100, Some(200)), good.clone(), true, part),
            (ask(100, None), good.clone(), true, part),
            (ask(100, Some(300)), good.clone(), true, part),
            (ask(100, Some(150)), good.clone(), true, Verdict::AskPlain),
            (ask(0, Some(200)), good.clone(), true, Verdict::AskPlain),
            (ask(100, Some(200)), good, false, Verdict::AskPlain),
            (ask(100, None), head(206, "", "100", "bytes 100-199/1000"), true, Verdict::AskPlain),
            (
                ask(100, None),
                head(206, "\"a\"", "99", "bytes 100-199/1000"),
                true,
                Verdict::AskPlain,
            ),
            (ask(100, None), head(206, "\"a\"", "", "bytes 100-199/*"), true, Verdict::AskPlain),
            (ask(100, None), head(206, "\"a\"", "", "items 100-199/200"), true, Verdict::AskPlain),
            (ask(100, None), head(206, "\"a\"", "", ""), true, Verdict::AskPlain),
            (ask(100, None), head(416, "", "0", "bytes */10"), false, Verdict::Unsatisfiable),
        ];
        for (ask, head, storable, expected) in rows {
            assert_eq!(judge(&ask, &head, storable), expected, "{ask:?} {head:?}");
        }
    }
}
