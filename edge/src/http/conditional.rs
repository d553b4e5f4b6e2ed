//! Preconditions (RFC 9110 §13).

use super::date;
use super::etag::{self, Candidate, EntityTag};
use super::request::{Method, RequestHead};

/// What a stored representation can be compared by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validators<'a> {
    /// Entity tag as received, quotes and any `W/` included.
    pub etag: Option<&'a str>,
    /// `Last-Modified`, Unix seconds.
    pub last_modified_unix_s: Option<i64>,
    /// `Date` of the response that brought them, Unix seconds.
    pub date_unix_s: Option<i64>,
}

/// What a request's preconditions ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Answer as if there were none.
    Proceed,
    /// 304: the client has it.
    NotModified,
    /// 412: the client wanted another one.
    Failed,
}

/// Evaluates the preconditions of a request for a representation that exists, in the order of RFC
/// 9110 §13.2.2. `If-Range` is not one of them: [`if_range_holds`].
pub fn evaluate(head: &RequestHead, validators: &Validators) -> Precondition {
    let holds = if head.header("if-match").is_some() {
        any_matches(head, "if-match", validators, |asked, ours| asked.strong_matches(ours))
    } else {
        !modified_since(head, "if-unmodified-since", validators).unwrap_or(false)
    };
    if !holds {
        return Precondition::Failed;
    }
    let reads = matches!(head.method, Method::Get | Method::Head);
    if head.header("if-none-match").is_some() {
        return match any_matches(head, "if-none-match", validators, |asked, ours| {
            asked.weak_matches(ours)
        }) {
            false => Precondition::Proceed,
            true if reads => Precondition::NotModified,
            true => Precondition::Failed,
        };
    }
    if reads && modified_since(head, "if-modified-since", validators) == Some(false) {
        return Precondition::NotModified;
    }
    Precondition::Proceed
}

/// Whether an `If-Range` field names exactly this representation, so that its ranges may be sent
/// (RFC 9110 §13.1.5). Otherwise the whole is sent.
pub fn if_range_holds(value: &[u8], validators: &Validators) -> bool {
    if value.ends_with(b"\"") {
        let (Some(asked), Some(ours)) = (etag::parse(value), tag(validators)) else { return false };
        return asked.strong_matches(&ours);
    }
    let (Some(asked), Some(modified)) = (date::parse(value), validators.last_modified_unix_s)
    else {
        return false;
    };
    // A second date within the same second could name other bytes (RFC 9110 §8.8.2.2).
    let strong = validators.date_unix_s.is_some_and(|date| date > modified);
    strong && asked == modified
}

/// Whether the field `name` names `tag`, weakly compared; `*` names none.
pub fn names_tag(head: &RequestHead, name: &str, tag: &str) -> bool {
    let Some(ours) = etag::parse(tag.as_bytes()) else { return false };
    let candidates = head.all(name).flat_map(etag::candidates);
    let mut tags = candidates.filter_map(|candidate| match candidate {
        Candidate::Tag(asked) => Some(asked),
        Candidate::Any => None,
    });
    tags.any(|asked| asked.weak_matches(&ours))
}

fn any_matches(
    head: &RequestHead,
    name: &str,
    validators: &Validators,
    matches: fn(&EntityTag, &EntityTag) -> bool,
) -> bool {
    let ours = tag(validators);
    head.all(name).flat_map(etag::candidates).any(|candidate| match candidate {
        Candidate::Any => true,
        Candidate::Tag(asked) => ours.is_some_and(|ours| matches(&asked, &ours)),
    })
}

/// Whether it was modified after the date in the field `name`. `None`: no such date, or nothing to
/// compare it with; the field is then ignored (RFC 9110 §13.1.3, §13.1.4).
fn modified_since(head: &RequestHead, name: &str, validators: &Validators) -> Option<bool> {
    let asked = date::parse(head.single(name)?)?;
    // What has no date of its own is as old as its response (RFC 9111 §4.3.2).
    let stored = validators.date_unix_s.filter(|_| name == "if-modified-since");
    Some(validators.last_modified_unix_s.or(stored)? > asked)
}

fn tag<'a>(validators: &Validators<'a>) -> Option<EntityTag<'a>> {
    etag::parse(validators.etag?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::request::{Parsed, parse};
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT
    const MODIFIED: i64 = 784_111_777;
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn validators(etag: Option<&str>) -> Validators<'_> {
        Validators { etag, last_modified_unix_s: Some(MODIFIED), date_unix_s: Some(MODIFIED + 60) }
    }

    fn check(method: &str, fields: &str, validators: &Validators, expected: Precondition) {
        let fields = fields.replace('|', "\r\n");
        let bytes = format!("{method} / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
        let Ok(Parsed::Head(head)) = parse(bytes.as_bytes()) else { panic!("{bytes}") };
        assert_eq!(evaluate(&head, validators), expected, "{method} {fields}");
    }

    #[test]
    fn preconditions_go_in_the_order_of_13_2_2() {
        use Precondition::*;
        let strong = validators(Some("\"a\""));
        for (fields, expected) in [
            ("Accept: */*", Proceed),
            // §13.1.1, strong comparison
            ("If-Match: \"a\"", Proceed),
            ("If-Match: \"b\", \"a\"", Proceed),
            ("If-Match: \"b\"|If-Match: \"a\"", Proceed),
            ("If-Match: *", Proceed),
            ("If-Match: W/\"a\"", Failed),
            ("If-Match: \"b\"", Failed),
            ("If-Match: a", Failed),
            // §13.1.2, weak comparison
            ("If-None-Match: \"a\"", NotModified),
            ("If-None-Match: W/\"a\"", NotModified),
            ("If-None-Match: \"b\"|If-None-Match: \"a\"", NotModified),
            ("If-None-Match: *", NotModified),
            ("If-None-Match: \"b\"", Proceed),
            ("If-None-Match: a", Proceed),
            // §13.1.3
            (&format!("If-Modified-Since: {BEFORE}"), Proceed),
            (&format!("If-Modified-Since: {SAME}"), NotModified),
            (&format!("If-Modified-Since: {AFTER}"), NotModified),
            ("If-Modified-Since: yesterday", Proceed),
            (&format!("If-Modified-Since: {SAME}|If-Modified-Since: {SAME}"), Proceed),
            // §13.1.4
            (&format!("If-Unmodified-Since: {BEFORE}"), Failed),
            (&format!("If-Unmodified-Since: {SAME}"), Proceed),
            ("If-Unmodified-Since: yesterday", Proceed),
            // §13.2.2: 1 before 2, 1 before 3, 3 before 4
            (&format!("If-Match: \"a\"|If-Unmodified-Since: {BEFORE}"), Proceed),
            ("If-Match: \"b\"|If-None-Match: \"a\"", Failed),
            ("If-Match: \"a\"|If-None-Match: \"a\"", NotModified),
            (&format!("If-None-Match: \"b\"|If-Modified-Since: {SAME}"), Proceed),
            (&format!("If-Unmodified-Since: {SAME}|If-Modified-Since: {SAME}"), NotModified),
        ] {
            check("GET", fields, &strong, expected);
            check("HEAD", fields, &strong, expected);
        }
        check("POST", "If-None-Match: *", &strong, Failed);
        check("POST", &format!("If-Modified-Since: {SAME}"), &strong, Proceed);
    }

    #[test]
    fn what_has_no_validators_is_never_the_same() {
        use Precondition::*;
        let none = Validators::default();
        check("GET", "If-Match: \"a\"", &none, Failed);
        check("GET", "If-Match: *", &none, Proceed);
        check("GET", "If-None-Match: \"a\"", &none, Proceed);
        check("GET", &format!("If-Modified-Since: {AFTER}"), &none, Proceed);
        check("GET", &format!("If-Unmodified-Since: {BEFORE}"), &none, Proceed);
        // RFC 9111 §4.3.2
        let dated = Validators { date_unix_s: Some(MODIFIED), ..none };
        check("GET", &format!("If-Modified-Since: {SAME}"), &dated, NotModified);
        check("GET", &format!("If-Modified-Since: {BEFORE}"), &dated, Proceed);
        check("GET", &format!("If-Unmodified-Since: {BEFORE}"), &dated, Proceed);
    }

    #[test]
    fn if_range_wants_a_strong_match() {
        // §13.1.5
        let (strong, weak) = (validators(Some("\"a\"")), validators(Some("W/\"a\"")));
        assert!(if_range_holds(b"\"a\"", &strong));
        for value in [b"\"b\"".as_slice(), b"W/\"a\"", b"a", b"", b"*", b"\"a\", \"b\""] {
            assert!(!if_range_holds(value, &strong), "{value:?}");
        }
        assert!(!if_range_holds(b"\"a\"", &weak));
        assert!(!if_range_holds(b"W/\"a\"", &weak));
        assert!(if_range_holds(SAME.as_bytes(), &strong));
        assert!(!if_range_holds(AFTER.as_bytes(), &strong));
        assert!(!if_range_holds(BEFORE.as_bytes(), &strong));
        // §8.8.2.2: a date is strong from one second on.
        for (date_unix_s, holds) in
            [(None, false), (Some(MODIFIED), false), (Some(MODIFIED + 1), true)]
        {
            let validators = Validators { date_unix_s, ..strong };
            assert_eq!(if_range_holds(SAME.as_bytes(), &validators), holds);
        }
    }
}
