//! Stale responses (RFC 9111 §4.2.4, RFC 5861).

use edge_tests::eventually;

use super::stage::Stage;
use super::stage::Then::{Own, Stored};

#[test]
fn who_may_stand_in_for_a_failing_origin() {
    let named = "ETag: \"a\"|Age: 70";
    let rows = [
        // The site's grace, an hour by default
        ("max-age=60", true),
        ("max-age=60, stale-if-error=100", true),
        ("max-age=60, stale-if-error=5", false),
        ("max-age=60, must-revalidate", false),
        ("max-age=60, proxy-revalidate", false),
        ("s-maxage=60", false),
        ("max-age=60, no-cache", false),
    ];
    let stage = Stage::start();
    for (control, stands_in) in rows {
        for failure in ["cut", "503"] {
            let answer = format!("200|Cache-Control: {control}|{named}");
            let target = stage.target(&[&answer, failure]);
            stage.get(&target, "").expect_status(200);
            let other = stage.get(&target, "");

            let is_first = other.body == b"answer 1";
            assert_eq!(is_first, stands_in, "{control}, {failure}: {:?}", other.head);
            if !stands_in {
                // §5.2.2.2: 504 where it could not be validated; an origin's own word goes through.
                let status = if failure == "cut" { [504, 502] } else { [503, 503] };
                assert!(status.contains(&other.head.status), "{control}: {:?}", other.head);
            }
        }
    }
}

#[test]
fn a_site_may_give_no_grace() {
    Stage::with(&["grace = \"0\""]).play(&[
        ("9111 §4.2.4", "200|Cache-Control: max-age=60|Age: 70|ETag: \"a\"", "", "", Own(502)),
        (
            "5861 §4",
            "200|Cache-Control: max-age=60|Age: 61|ETag: \"a\"",
            "",
            "Cache-Control: max-stale",
            Stored,
        ),
    ]);
}

#[test]
fn what_is_stale_is_used_while_it_is_refreshed() {
    let stage = Stage::start();
    let stale = "200|Cache-Control: max-age=60, stale-while-revalidate=600|Age: 70|ETag: \"a\"";
    let target = stage.target(&[stale, "200|Cache-Control: max-age=60|ETag: \"b\""]);
    stage.get(&target, "");
    // RFC 5861 §3: answered at once …
    let at_once = stage.get(&target, "").expect_status(200);
    assert_eq!(at_once.body, b"answer 1");
    assert!(at_once.head.expect_field("cache-status").contains("hit"));
    // … and refreshed, by one request.
    let new = eventually("the new version", || {
        Some(stage.get(&target, "")).filter(|response| response.body == b"answer 2")
    });
    assert_eq!(new.head.status, 200);
    let asked = stage.asked(&target);
    assert_eq!((asked.len(), asked[1].field("if-none-match")), (2, Some("\"a\"")));
}

#[test]
fn past_its_window_the_origin_is_asked_first() {
    let stage = Stage::start();
    let stale = "200|Cache-Control: max-age=60, stale-while-revalidate=5|Age: 70|ETag: \"a\"";
    let target = stage.target(&[stale, "200|Cache-Control: max-age=60"]);
    stage.get(&target, "");
    assert_eq!(stage.get(&target, "").body, b"answer 2");
}
