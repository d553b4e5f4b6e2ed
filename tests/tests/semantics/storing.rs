//! What is stored at all (RFC 9111 §3).

use super::stage::Stage;
use super::stage::Then::{Asked, Stored, Validated};

#[test]
fn directives_that_decide() {
    Stage::start().play(&[
        ("9111 §5.2.2.5", "200|Cache-Control: no-store, max-age=60", "", "", Asked),
        ("9111 §5.2.2.7", "200|Cache-Control: private, max-age=60", "", "", Asked),
        ("9111 §5.2.2.7", "200|Cache-Control: Private=\"a b\", max-age=60", "", "", Asked),
        ("9111 §5.2.2.7", "200|Cache-Control: Private=\"a\", max-age=60", "", "", Stored),
        ("9111 §5.2.2.4", "200|Cache-Control: no-cache=\"etag\", max-age=60", "", "", Asked),
        ("9111 §5.2.2.4", "200|Cache-Control: no-cache=\"a\", max-age=60", "", "", Stored),
        ("9111 §5.2.2.4", "200|Cache-Control: no-cache, max-age=60", "", "", Asked),
        (
            "9111 §5.2.2.4",
            "200|Cache-Control: No-Cache, max-age=60|ETag: \"a\"",
            "",
            "",
            Validated("if-none-match"),
        ),
        ("9111 §5.2.2.2", "200|Cache-Control: must-revalidate, max-age=60", "", "", Stored),
        (
            "9111 §5.2.2.3",
            "200|Cache-Control: must-understand, no-store, max-age=60",
            "",
            "",
            Stored,
        ),
        (
            "9111 §5.2.2.3",
            "599|Cache-Control: must-understand, no-store, max-age=60",
            "",
            "",
            Asked,
        ),
        // §5.2.1.5
        ("9111 §5.2.1.5", "200|Cache-Control: max-age=60", "Cache-Control: no-store", "", Asked),
    ]);
}

#[test]
fn fields_for_one_are_not_shown_to_others() {
    let stage = Stage::start();
    for directive in ["private=\"x-own, set-cookie\"", "no-cache=\"X-Own, Set-Cookie\""] {
        let control = format!("Cache-Control: {directive}, max-age=60");
        let own = "X-Own: 1|Set-Cookie: a=b|ETag: \"a\"|X-Other: 1";
        let target = stage.target(&[
            &format!("200|{control}|Age: 70|{own}"),
            &format!("304|{control}|X-Own: 2|X-Other: 2"),
        ]);
        let field = |name: &str, fields: &str| {
            let head = stage.get(&target, fields).expect_status(200).head;
            head.expect_field("x-other");
            head.field(name).map(str::to_owned)
        };
        // §5.2.2.4, §5.2.2.7: who asked gets them, nobody else does.
        assert_eq!(field("x-own", "").as_deref(), Some("1"), "{directive}");
        assert_eq!(field("x-own", "Cache-Control: max-stale").as_deref(), None, "{directive}");
        assert_eq!(field("set-cookie", "Cache-Control: max-stale"), None, "{directive}");
        // Those of an answer to a question are for who made it be asked.
        assert_eq!(field("x-own", "").as_deref(), Some("2"), "{directive}");
        assert_eq!(field("x-own", "").as_deref(), None, "{directive}");
        assert_eq!(stage.asked(&target).len(), 2, "{directive}");
        let part = stage.get(&target, "Range: bytes=0-2").expect_status(206).head;
        assert_eq!((part.field("x-own"), part.field("x-other")), (None, Some("2")));
    }
}

#[test]
fn answers_to_unsafe_methods_are_not_stored() {
    let stage = Stage::start();
    // §3: also with a lifetime; what a POST may say of a GET (RFC 9110 §9.3.3) is not made use of.
    for method in ["POST", "PUT", "DELETE", "PATCH", "FROB", "OPTIONS"] {
        let target = stage.target(&["200|Cache-Control: max-age=60"]);
        stage.ask(method, &target, "Content-Length: 0").expect_status(200);
        assert_eq!(stage.get(&target, "").body, b"answer 2", "{method}");
        assert_eq!(stage.ask(method, &target, "Content-Length: 0").body, b"answer 3", "{method}");
    }
}

#[test]
fn parts_and_304_nobody_asked_for_are_not_stored() {
    let stage = Stage::start();
    for answer in [
        "206|Cache-Control: max-age=60|Content-Range: bytes 0-7/100|ETag: \"a\"",
        "304|Cache-Control: max-age=60|ETag: \"a\"",
        "416|Cache-Control: max-age=60|Content-Range: bytes */100",
    ] {
        let target = stage.target(&[answer]);
        let status = stage.get(&target, "").head.status;
        assert!([416, 502].contains(&status), "{answer}: {status}");
        stage.origin.script(&target, &["200|Cache-Control: max-age=60"]);
        // Whatever came of it, the next request is answered by the origin.
        let next = stage.get(&target, "").expect_status(200).body;
        assert!(next.starts_with(b"answer "), "{answer}");
    }
}

#[test]
fn what_a_head_told_of_is_not_made_whole_for_a_no_store_request() {
    let stage = Stage::start();
    let target = stage.target(&["@1|Cache-Control: max-age=60|ETag: \"1\""]);
    stage.ask("HEAD", &target, "").expect_status(200);
    // §5.2.1.5: no part of the response to it may be stored.
    assert_eq!(stage.get(&target, "Cache-Control: no-store").body, b"version 1");
    assert_eq!(stage.asked(&target)[1].field("if-none-match"), None);
    assert_eq!(stage.get(&target, "").body, b"version 1");
    assert_eq!(stage.asked(&target).len(), 3, "its body came out of nowhere");
    assert_eq!(stage.get(&target, "").body, b"version 1");
    assert_eq!(stage.asked(&target).len(), 3);
}

#[test]
fn statuses() {
    let stage = Stage::start();
    for status in
        [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 403, 404, 410, 499, 500, 503, 599]
    {
        let target = stage.target(&[&format!("{status}|Cache-Control: max-age=60")]);
        let (one, other) = (stage.get(&target, ""), stage.get(&target, ""));
        // RFC 9111 §3: with a lifetime any final status may be stored.
        assert_eq!((one.head.status, other.head.status), (status, status));
        assert_eq!(stage.asked(&target).len(), 1, "{status}");
        assert_eq!(one.body, other.body, "{status}");
    }
    for status in [401, 407] {
        let target = stage.target(&[&format!("{status}|Cache-Control: max-age=60")]);
        stage.get(&target, "");
        stage.get(&target, "");
        assert_eq!(stage.asked(&target).len(), 2, "{status}");
    }
}

#[test]
fn credentials_and_cookies() {
    let auth = "Authorization: Basic YTpi";
    Stage::start().play(&[
        ("9111 §3.5", "200|Cache-Control: max-age=60", auth, "", Asked),
        ("9111 §3.5", "200|Cache-Control: max-age=60, public", auth, "", Stored),
        ("9111 §3.5", "200|Cache-Control: max-age=60, must-revalidate", auth, "", Stored),
        ("9111 §3.5", "200|Cache-Control: s-maxage=60", auth, "", Stored),
        ("9111 §7.3", "200|Cache-Control: max-age=60|Set-Cookie: a=b", "", "", Stored),
        // What nobody said how long to keep is not guessed at with a cookie on it.
        (
            "9111 §7.3",
            "200|Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT|Set-Cookie: a=b",
            "",
            "",
            Asked,
        ),
        ("9111 §4", "200|Cache-Control: max-age=60", "", "Cookie: a=b", Stored),
    ]);
}

#[test]
fn fields_of_one_hop_are_not_stored() {
    let stage = Stage::start();
    let target = stage.target(&[
        "200|Cache-Control: max-age=60|Connection: x-hop|X-Hop: 1|Keep-Alive: timeout=5|X-End: 2|\
         Proxy-Authenticate: Basic|Proxy-Connection: keep-alive|Content-Range: kept|X-End: 3",
    ]);
    for _ in 0..2 {
        let head = stage.get(&target, "").head;
        // RFC 9111 §3.1
        for name in ["x-hop", "keep-alive", "proxy-authenticate", "proxy-connection"] {
            assert_eq!(head.field(name), None, "{head:?}");
        }
        let ends = head.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-end"));
        assert_eq!(ends.count(), 2, "{head:?}");
        assert_eq!(head.field("content-range"), Some("kept"));
    }
    let part = stage.get(&target, "Range: bytes=0-2").expect_status(206);
    assert_eq!((part.head.content_range(), &part.body[..]), ((0, 3, 8), &b"ans"[..]));
    assert_eq!(stage.asked(&target).len(), 1);
}
