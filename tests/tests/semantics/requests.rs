//! What a client may ask of caches (RFC 9111 §5.2.1).

use super::stage::Stage;
use super::stage::Then::{Asked, Own, Stored, Validated};

#[test]
fn directives() {
    let (fresh, aged) = ("200|Cache-Control: max-age=60", "200|Cache-Control: max-age=60|Age: 30");
    let stale = "200|Cache-Control: max-age=60|Age: 70|ETag: \"a\"";
    Stage::start().play(&[
        ("9111 §5.2.1.1", fresh, "", "Cache-Control: max-age=0", Asked),
        ("9111 §5.2.1.1", aged, "", "Cache-Control: max-age=29", Asked),
        ("9111 §5.2.1.1", aged, "", "Cache-Control: max-age=50", Stored),
        ("9111 §5.2.1.3", aged, "", "Cache-Control: min-fresh=31", Asked),
        ("9111 §5.2.1.3", aged, "", "Cache-Control: min-fresh=20", Stored),
        ("9111 §5.2.1.4", fresh, "", "Cache-Control: no-cache", Asked),
        ("9111 §5.2.1.5", fresh, "", "Cache-Control: no-store", Asked),
        ("9111 §5.2.1", fresh, "", "Cache-Control: whatever=1", Stored),
        ("9111 §5.4", fresh, "", "Pragma: no-cache", Asked),
        ("9111 §5.4", fresh, "", "Pragma: no-cache|Cache-Control: max-age=50", Stored),
        (
            "9111 §5.2.1.4",
            "200|Cache-Control: max-age=60|ETag: \"a\"",
            "",
            "Cache-Control: no-cache",
            Validated("if-none-match"),
        ),
        // RFC 8246
        (
            "8246 §2",
            "200|Cache-Control: max-age=60, immutable",
            "",
            "Cache-Control: max-age=0",
            Stored,
        ),
        // Stale, and the client is content with it
        ("9111 §5.2.1.2", stale, "", "Cache-Control: max-stale=30", Stored),
        ("9111 §5.2.1.2", stale, "", "Cache-Control: max-stale", Stored),
        ("9111 §5.2.1.2", stale, "", "Cache-Control: max-stale=5", Validated("if-none-match")),
        (
            "9111 §5.2.2.2",
            "200|Cache-Control: max-age=60, must-revalidate|Age: 70|ETag: \"a\"",
            "",
            "Cache-Control: max-stale",
            Validated("if-none-match"),
        ),
        // Only what is there
        ("9111 §5.2.1.7", fresh, "", "Cache-Control: only-if-cached", Stored),
        ("9111 §5.2.1.7", stale, "", "Cache-Control: only-if-cached", Own(504)),
    ]);
}

#[test]
fn only_if_cached_asks_nobody() {
    let stage = Stage::start();
    let target = stage.target(&["200|Cache-Control: max-age=60"]);
    let response = stage.get(&target, "Cache-Control: only-if-cached");
    assert_eq!((response.head.status, stage.asked(&target).len()), (504, 0));
}

#[test]
fn loops_are_refused() {
    let stage = Stage::start();
    let target = stage.target(&["200|Cache-Control: no-store"]);
    stage.get(&target, "CDN-Loop: other.example; a=1").expect_status(200);
    // RFC 8586 §2: what others wrote stays, and the node adds itself.
    let asked = &stage.asked(&target)[0];
    let ids: Vec<&str> = asked
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("cdn-loop"))
        .map(|(_, value)| value.as_str())
        .collect();
    let [other, own] = ids[..] else { panic!("{asked:?}") };
    assert_eq!(other, "other.example; a=1");
    let looped = stage.get(&target, &format!("CDN-Loop: other.example; a=1, {own}; b"));
    assert_eq!((looped.head.status, stage.asked(&target).len()), (508, 1));
}
