//! Validation: towards origins (RFC 9111 §4.3.3, §4.3.4), of clients (§4.3.2), by HEAD (§4.3.5).

use super::stage::Stage;

const STALE: &str = "200|Cache-Control: max-age=1|Age: 5|ETag: \"a\"|X-Old: 1|X-Two: 1|\
                     Content-Type: text/one|Content-Encoding: x-one";

#[test]
fn a_304_refreshes_what_is_stored() {
    let stage = Stage::start();
    let fresh = "304|ETag: \"a\"|Cache-Control: max-age=60|X-Two: 2|X-New: 3|Content-Type: text/two|\
                 Content-Encoding: x-two|Connection: x-hop|X-Hop: 1";
    let target = stage.target(&[STALE, fresh, "cut"]);
    stage.get(&target, "");
    for _ in 0..2 {
        let response = stage.get(&target, "").expect_status(200);
        assert_eq!(response.body, b"answer 1");
        // §3.2
        let field = |name| response.head.field(name);
        assert_eq!(
            (field("x-old"), field("x-two"), field("x-new")),
            (Some("1"), Some("2"), Some("3"))
        );
        assert_eq!(field("content-type"), Some("text/two"));
        assert_eq!((field("content-encoding"), field("x-hop")), (Some("x-one"), None));
        assert_eq!(response.head.content_length(), Some(8));
    }
    assert_eq!(stage.asked(&target).len(), 2);
}

#[test]
fn a_304_about_something_else_is_not_used() {
    let stage = Stage::start();
    let target =
        stage.target(&[STALE, "304|ETag: \"b\"", "200|ETag: \"b\"|Cache-Control: max-age=60"]);
    stage.get(&target, "");
    // §4.3.4
    assert_eq!(stage.get(&target, "").expect_status(200).body, b"answer 3");
    assert_eq!(stage.asked(&target)[2].field("if-none-match"), None);
    assert_eq!(stage.get(&target, "").body, b"answer 3");
}

#[test]
fn what_is_stored_names_the_question() {
    let stage = Stage::start();
    let dated = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT";
    let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
    for (fields, tag, since) in [
        ("ETag: \"a\"".to_owned(), Some("\"a\""), None),
        ("ETag: W/\"a\"".to_owned(), Some("W/\"a\""), None),
        (dated.to_owned(), None, date),
        (format!("{dated}|ETag: \"a\""), Some("\"a\""), date),
        // One that cannot be sent back in a list is none.
        (format!("{dated}|ETag: a"), None, date),
    ] {
        let answer = format!("200|Cache-Control: max-age=1|Age: 5|{fields}");
        let target = stage.target(&[&answer, "304"]);
        stage.get(&target, "");
        assert_eq!(stage.get(&target, "").expect_status(200).body, b"answer 1", "{fields}");
        let asked = &stage.asked(&target)[1];
        // §4.3.1
        assert_eq!(asked.field("if-none-match"), tag, "{fields}");
        assert_eq!(asked.field("if-modified-since"), since, "{fields}");
    }
}

#[test]
fn a_clients_condition_is_not_the_nodes() {
    let stage = Stage::start();
    let conditions = [
        "If-None-Match: \"theirs\"",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
        "If-Match: \"theirs\"",
        "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
        "If-Range: \"theirs\"|Range: bytes=0-1",
    ];
    for condition in conditions {
        let (name, _) = condition.split_once(':').expect("a field");
        // Nothing is stored, then something stale under another name (§4.3.2).
        let target = stage.target(&[
            "200|Cache-Control: max-age=1|Age: 5|ETag: \"ours\"",
            "304|ETag: \"ours\"|Cache-Control: max-age=60",
        ]);
        for _ in 0..2 {
            let status = stage.get(&target, condition).head.status;
            assert!([200, 412].contains(&status), "{condition}: {status}");
        }
        let asked = stage.asked(&target);
        assert_eq!(asked.len(), 2, "{condition}");
        assert_eq!(asked[0].field(name), None, "{condition}");
        assert_eq!(asked[1].field("if-none-match"), Some("\"ours\""), "{condition}");
        assert_eq!(stage.get(&target, "").expect_status(200).body, b"answer 1", "{condition}");
    }
}

#[test]
fn conditions_are_about_what_there_is() {
    let stage = Stage::start();
    // RFC 9110 §13.2.1: only where the answer would be a 2xx.
    for status in [301, 404, 410, 500] {
        let target = stage.target(&[&format!("{status}|Cache-Control: max-age=60|ETag: \"a\"")]);
        let conditions = ["", "If-None-Match: *", "If-None-Match: \"a\"", "If-Match: \"b\""];
        for condition in conditions {
            assert_eq!(stage.get(&target, condition).head.status, status, "{condition}");
        }
        assert_eq!(stage.asked(&target).len(), 1);
    }
    // §13.1.3: a date that is none, or more than one, is passed over.
    let target = stage
        .target(&["200|Cache-Control: max-age=60|Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"]);
    for since in ["soon", "Thu, 18 Aug 2050 02:01:18 PST", ""] {
        stage.get(&target, &format!("If-Modified-Since: {since}")).expect_status(200);
    }
    let date = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(stage.get(&target, date).head.status, 304);
}

#[test]
fn a_new_version_takes_the_place_of_the_old() {
    let stage = Stage::start();
    let target = stage.target(&[STALE, "200|ETag: \"b\"|Cache-Control: max-age=60"]);
    stage.get(&target, "");
    let new = stage.get(&target, "").expect_status(200);
    assert_eq!((&new.body[..], new.head.field("x-old")), (&b"answer 2"[..], None));
    assert_eq!(stage.get(&target, "").body, b"answer 2");
}

#[test]
fn clients_conditions_are_answered_from_the_store() {
    let stage = Stage::start();
    let dated = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT";
    let (before, after) = ("Sat, 05 Nov 1994 08:49:37 GMT", "Mon, 07 Nov 1994 08:49:37 GMT");
    let strong = format!("200|Cache-Control: max-age=60|ETag: \"a\"|{dated}");
    let weak = strong.replace("ETag: \"a\"", "ETag: W/\"a\"");
    let nameless = "200|Cache-Control: max-age=60".to_owned();
    let rows = [
        // §4.3.2, 9110 §13.1.2: compared weakly
        (&strong, "If-None-Match: \"a\"".to_owned(), 304),
        (&strong, "If-None-Match: \"x\", W/\"a\"".to_owned(), 304),
        (&strong, "If-None-Match: \"x\"|If-None-Match: \"a\"".to_owned(), 304),
        (&strong, "If-None-Match: *".to_owned(), 304),
        (&strong, "If-None-Match: \"b\"".to_owned(), 200),
        (&weak, "If-None-Match: W/\"a\"".to_owned(), 304),
        (&nameless, "If-None-Match: \"a\"".to_owned(), 200),
        (&strong, format!("If-Modified-Since: {after}"), 304),
        (&strong, format!("If-Modified-Since: {before}"), 200),
        // 9110 §13.2.2
        (&strong, format!("If-None-Match: \"b\"|If-Modified-Since: {after}"), 200),
        (&strong, format!("If-None-Match: \"a\"|If-Modified-Since: {before}"), 304),
        // §4.3.2: its date stands in for that of a last change.
        (&nameless, "If-Modified-Since: Thu, 18 Aug 2050 02:01:18 GMT".to_owned(), 304),
        (&nameless, format!("If-Modified-Since: {after}"), 200),
        (&strong, "If-Match: \"b\"".to_owned(), 412),
    ];
    for (answer, condition, status) in rows {
        let target = stage.target(&[answer]);
        stage.get(&target, "").expect_status(200);
        let response = stage.get(&target, &condition);
        assert_eq!(response.head.status, status, "{answer} {condition}");
        assert_eq!(stage.asked(&target).len(), 1, "{condition}");
        if status == 304 {
            // 9110 §15.4.5
            assert_eq!(response.head.field("etag").is_some(), answer.contains("ETag"));
            assert!(response.head.field("cache-control").is_some());
        }
    }
}

#[test]
fn a_head_refreshes_or_ends_what_is_stored() {
    let stage = Stage::start();
    let stale = "200|Cache-Control: max-age=1|Age: 5|ETag: \"a\"|X-Two: 1";
    // §4.3.5: it speaks of the same …
    let same = stage.target(&[stale, "200|Cache-Control: max-age=60|ETag: \"a\"|X-Two: 2"]);
    stage.get(&same, "");
    assert_eq!(stage.ask("HEAD", &same, "").head.field("x-two"), Some("2"));
    let after = stage.get(&same, "").expect_status(200);
    assert_eq!((&after.body[..], after.head.field("x-two")), (&b"answer 1"[..], Some("2")));
    assert_eq!(stage.asked(&same).len(), 2);
    // … or of something else.
    let other = stage.target(&[stale, "200|Cache-Control: no-store|ETag: \"b\""]);
    stage.get(&other, "");
    stage.ask("HEAD", &other, "");
    assert_eq!(stage.get(&other, "").body, b"answer 3");
    assert_eq!(stage.asked(&other)[2].field("if-none-match"), None);
}

#[test]
fn a_stored_response_answers_head() {
    let stage = Stage::start();
    let target = stage.target(&["200|Cache-Control: max-age=60|X-A: 1"]);
    stage.get(&target, "");
    let head = stage.ask("HEAD", &target, "").head;
    assert_eq!((head.status, head.field("x-a"), head.content_length()), (200, Some("1"), Some(8)));
    assert_eq!(stage.asked(&target).len(), 1);
}
