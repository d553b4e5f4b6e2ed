//! How long a response is used unasked (RFC 9111 §4.2).

use super::stage::Stage;
use super::stage::Then::{Asked, Stored, Validated};

const PAST: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

#[test]
fn lifetimes() {
    Stage::start().play(&[
        // Explicit ones, in their order of precedence
        ("9111 §4.2.1", "200|Cache-Control: max-age=60", "", "", Stored),
        ("9111 §4.2.1", "200|Cache-Control: max-age=0", "", "", Asked),
        ("9111 §5.2.2.10", "200|Cache-Control: max-age=0, s-maxage=60", "", "", Stored),
        ("9111 §5.2.2.10", "200|Cache-Control: s-maxage=0, max-age=60", "", "", Asked),
        (
            "9111 §5.2.2.10",
            "200|Cache-Control: max-age=60|Cache-Control: s-maxage=0",
            "",
            "",
            Asked,
        ),
        ("9111 §5.3", "200|Cache-Control: max-age=60|Expires: 0", "", "", Stored),
        ("9111 §5.3", "200|Expires: Thu, 18 Aug 2050 02:01:18 GMT", "", "", Stored),
        (
            "9111 §5.3",
            "200|Cache-Control: max-age=0|Expires: Thu, 18 Aug 2050 02:01:18 GMT",
            "",
            "",
            Asked,
        ),
        ("9111 §5.3", "200|Expires: Sun, 06 Nov 1994 08:49:37 GMT", "", "", Asked),
        ("9111 §5.3", "200|Expires: 0|Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "", "", Asked),
        ("9111 §5.3", "200|Expires: -1", "", "", Asked),
        ("9111 §5.3", "200|Expires: tomorrow", "", "", Asked),
        ("9111 §5.3", "200|Cache-Control: s-maxage=60|Expires: 0", "", "", Stored),
        ("9111 §4.2.1", "200|Expires: 0|Expires: Thu, 18 Aug 2050 02:01:18 GMT", "", "", Asked),
        (
            "9111 §4.2.2",
            "200|Cache-Control: max-age=0|Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
            "",
            "",
            Validated("if-modified-since"),
        ),
        // Nothing said
        ("9111 §4.2.2", "200", "", "", Asked),
        ("9111 §4.2.2", "200|Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "", "", Stored),
        ("9111 §4.2.2", "404|Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "", "", Stored),
        ("9111 §4.2.2", "403|Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "", "", Asked),
        ("9111 §4.2.2", "599|Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "", "", Asked),
        (
            "9111 §4.2.2",
            "599|Cache-Control: public|Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
            "",
            "",
            Stored,
        ),
        // Stale, but with a name
        (
            "9111 §4.3.1",
            "200|Cache-Control: max-age=0|ETag: \"a\"",
            "",
            "",
            Validated("if-none-match"),
        ),
        (
            "9111 §4.3.1",
            "200|Cache-Control: max-age=0|Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
            "",
            "",
            Validated("if-modified-since"),
        ),
    ]);
}

#[test]
fn dates() {
    const DATE: &str = "9110 §5.6.7";
    // Three forms, in Greenwich's time
    Stage::start().play(&[
        (DATE, "200|Expires: Thu, 18 Aug 2050 02:01:18 GMT", "", "", Stored),
        (DATE, "200|Expires: Thursday, 18-Aug-50 02:01:18 GMT", "", "", Stored),
        (DATE, "200|Expires: Thu Aug 18 02:01:18 2050", "", "", Stored),
        // More than fifty years ahead, two digits are of the past.
        (DATE, "200|Expires: Sunday, 06-Nov-94 08:49:37 GMT", "", "", Asked),
        (DATE, "200|Expires: Sun Nov  6 08:49:37 1994", "", "", Asked),
        (DATE, "200|Expires: Thu, 18 Aug 2050 02:01:18 CET", "", "", Asked),
        (DATE, "200|Expires: Thu, 18 Aug 2050 02:01:18", "", "", Asked),
        (DATE, "200|Expires: Thu, 18 Aug 2050 25:01:18 GMT", "", "", Asked),
        (DATE, "200|Expires: 2050-08-18T02:01:18Z", "", "", Asked),
    ]);
}

#[test]
fn ages() {
    Stage::start().play(&[
        ("9111 §4.2.3", "200|Cache-Control: max-age=60|Age: 59", "", "", Stored),
        ("9111 §4.2.3", "200|Cache-Control: max-age=60|Age: 60", "", "", Asked),
        (
            "9111 §4.2.3",
            "200|Cache-Control: max-age=60|Date: Sun, 06 Nov 1994 08:49:37 GMT",
            "",
            "",
            Asked,
        ),
        (
            "9111 §4.2.3",
            "200|Cache-Control: max-age=60|Date: Thu, 18 Aug 2050 02:01:18 GMT",
            "",
            "",
            Stored,
        ),
        ("9111 §5.1", "200|Cache-Control: max-age=60|Age: 99999999999999999999", "", "", Asked),
        ("9111 §5.1", "200|Cache-Control: max-age=60|Age: 70, 0", "", "", Asked),
        ("9111 §5.1", "200|Cache-Control: max-age=60|Age: 0|Age: 70", "", "", Stored),
        ("9111 §5.1", "200|Cache-Control: max-age=60|Age: -70", "", "", Stored),
        ("9111 §5.1", "200|Cache-Control: max-age=60|Age: x", "", "", Stored),
        // A date that cannot be read is none.
        ("9110 §6.6.1", "200|Expires: Thu, 18 Aug 2050 02:01:18 GMT|Date: soon", "", "", Stored),
    ]);
}

#[test]
fn directives_are_read_as_a_list() {
    Stage::start().play(&[
        ("9111 §5.2", "200|Cache-Control: MAX-AGE=60", "", "", Stored),
        ("9111 §5.2", "200|Cache-Control: max-age=\"60\"", "", "", Stored),
        ("9111 §5.2", "200|Cache-Control: foo, bar=\"x, y\", max-age=60", "", "", Stored),
        ("9111 §5.2", "200|Cache-Control: foo=\"max-age=60\", max-age=0", "", "", Asked),
        ("9111 §5.2", "200|Cache-Control: max-age='60'", "", "", Asked),
        ("9111 §5.2", "200|Cache-Control: max-age=60,, ,", "", "", Stored),
        ("9111 §5.2", "200|Cache-Control: xmax-age=60", "", "", Asked),
        ("9111 §5.2", "200|Cache-Control: max-age=60;s-maxage=0", "", "", Asked),
        ("9111 §4.2.1", "200|Cache-Control: max-age=60.5", "", "", Asked),
        ("9111 §4.2.1", "200|Cache-Control: max-age=60, max-age=90", "", "", Stored),
        ("9111 §4.2.1", "200|Cache-Control: s-maxage=x, max-age=60", "", "", Asked),
        ("9111 §1.2.2", "200|Cache-Control: max-age=2147483648", "", "", Stored),
        ("9111 §1.2.2", "200|Cache-Control: max-age=99999999999999999999", "", "", Stored),
        ("9111 §4.2.1", "200|Cache-Control: max-age=-60", "", "", Asked),
        ("9111 §4.2.1", "200|Cache-Control: max-age=60, max-age=0", "", "", Asked),
        // §5.4: the old field counts where the new one is absent.
        ("9111 §5.4", "200|Pragma: no-cache|ETag: \"a\"", "", "", Validated("if-none-match")),
        ("9111 §5.4", "200|Pragma: no-cache|Cache-Control: max-age=60", "", "", Stored),
    ]);
}

#[test]
fn the_cdns_own_field() {
    Stage::start().play(&[
        ("9213 §2.2", "200|CDN-Cache-Control: max-age=60", "", "", Stored),
        ("9213 §2.2", "200|CDN-Cache-Control: max-age=60|Cache-Control: no-store", "", "", Stored),
        ("9213 §2.2", "200|CDN-Cache-Control: max-age=60|Expires: 0", "", "", Stored),
        ("9213 §2.2", "200|CDN-Cache-Control: max-age=0|Cache-Control: max-age=60", "", "", Asked),
        ("9213 §2.2", "200|CDN-Cache-Control: no-store|Cache-Control: max-age=60", "", "", Asked),
        (
            "9213 §2.1",
            "200|CDN-Cache-Control: max-age=60, &|Cache-Control: no-store",
            "",
            "",
            Asked,
        ),
        (
            "9213 §2.1",
            "200|CDN-Cache-Control: max-age=\"60\"|Cache-Control: no-store",
            "",
            "",
            Asked,
        ),
        ("9213 §2.2", "200|CDN-Cache-Control: max-age=60|Age: 70", "", "", Asked),
    ]);
}

#[test]
fn an_answer_tells_its_age() {
    let stage = Stage::start();
    let target =
        stage.target(&[&format!("200|Cache-Control: max-age=9000|Age: 70|Expires: {PAST}")]);
    stage.get(&target, "");
    let head = stage.get(&target, "").head;
    // RFC 9111 §5.1; what the origin said stays as it was.
    assert!(head.expect_field("age").parse::<u64>().unwrap() >= 70);
    assert_eq!(head.expect_field("expires"), PAST);
    assert!(head.field("date").is_some());
}
