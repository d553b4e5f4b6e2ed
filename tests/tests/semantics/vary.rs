//! Variants (RFC 9111 §4.1).

use std::sync::atomic::Ordering::SeqCst;

use super::stage::Stage;
use super::stage::Then::{Asked, Stored};

const FOO: &str = "200|Cache-Control: max-age=60|Vary: Foo";
const THREE: &str = "200|Cache-Control: max-age=60|Vary: Foo, bar|Vary: BAZ";
const LANGUAGE: &str = "200|Cache-Control: max-age=60|Vary: Accept-Language";

#[test]
fn what_matches() {
    Stage::start().play(&[
        ("9111 §4.1", FOO, "Foo: 1", "Foo: 1", Stored),
        ("9111 §4.1", FOO, "Foo: 1", "Foo: 1|Other: 2", Stored),
        ("9111 §4.1", FOO, "Foo: 1", "Foo: 2", Asked),
        ("9111 §4.1", FOO, "Foo: 1", "", Asked),
        ("9111 §4.1", FOO, "", "Foo: 1", Asked),
        ("9111 §4.1", FOO, "", "", Stored),
        ("9111 §4.1", THREE, "Foo: 1|Bar: 2|Baz: 3", "Baz: 3|Foo: 1|Bar: 2", Stored),
        ("9111 §4.1", THREE, "Foo: 1|Baz: 3", "Foo: 1|Baz: 3", Stored),
        ("9111 §4.1", THREE, "Foo: 1|Bar: 2|Baz: 3", "Foo: 1|Bar: 2|Baz: 4", Asked),
        ("9111 §4.1", THREE, "Foo: 1|Bar: 2", "Foo: 2|Bar: 1", Asked),
        // Normalised
        ("9111 §4.1", FOO, "Foo: 1, 2", "Foo: 1|Foo: 2", Stored),
        ("9111 §4.1", FOO, "Foo: 1,2", "Foo:  1 ,  2 ", Stored),
        ("9111 §4.1", LANGUAGE, "Accept-Language: en, de", "Accept-Language: DE,EN", Stored),
        ("9111 §4.1", LANGUAGE, "Accept-Language: en, de;q=0.5", "Accept-Language: en, de", Asked),
        // `*` matches nothing, wherever it stands.
        ("9111 §4.1", "200|Cache-Control: max-age=60|Vary: *", "", "", Asked),
        ("9111 §4.1", "200|Cache-Control: max-age=60|Vary: Foo, *", "Foo: 1", "Foo: 1", Asked),
        ("9111 §4.1", "200|Cache-Control: max-age=60|Vary: , |Vary: *", "", "", Asked),
        // The node asks for `identity` always.
        (
            "9110 §12.5.3",
            "200|Cache-Control: max-age=60|Vary: Accept-Encoding",
            "Accept-Encoding: br",
            "",
            Stored,
        ),
    ]);
}

#[test]
fn variants_lie_side_by_side() {
    let stage = Stage::start();
    let target = stage.target(&[FOO]);
    for (value, body) in [("a", "answer 1"), ("b", "answer 2"), ("c", "answer 3")] {
        assert_eq!(stage.get(&target, &format!("Foo: {value}")).body, body.as_bytes());
    }
    for (value, body) in [("b", "answer 2"), ("a", "answer 1"), ("c", "answer 3")] {
        assert_eq!(stage.get(&target, &format!("Foo: {value}")).body, body.as_bytes());
        let part = stage.ask("HEAD", &target, &format!("Foo: {value}"));
        assert_eq!(part.head.content_length(), Some(8));
    }
    assert_eq!(stage.asked(&target).len(), 3);
}

#[test]
fn variants_are_validated_with_the_fields_they_hang_on() {
    let stage = Stage::start();
    let stale = "200|Cache-Control: max-age=1|Age: 5|Vary: Foo|ETag: \"a\"";
    let target = stage.target(&[stale, "304|ETag: \"a\"|Vary: Foo"]);
    stage.get(&target, "Foo: 1");
    let again = stage.get(&target, "Foo: 1").expect_status(200);
    let asked = stage.asked(&target);
    // RFC 9111 §4.3.1
    assert_eq!(again.body, b"answer 1");
    assert_eq!(asked[1].field("if-none-match"), Some("\"a\""));
    assert_eq!(asked[1].field("foo"), Some("1"));
}

#[test]
fn a_list_of_fields_may_grow() {
    let stage = Stage::start();
    let target = stage.target(&[FOO, THREE, THREE]);
    stage.get(&target, "Foo: 1");
    stage.get(&target, "Foo: 2|Bar: 1");
    assert_eq!(stage.get(&target, "Foo: 2|Bar: 1").body, b"answer 2");
    assert_eq!(stage.get(&target, "Foo: 2|Bar: 2").body, b"answer 3");
    assert_eq!(stage.asked(&target).len(), 3);
}

#[test]
fn clients_that_came_together_get_what_fits_each() {
    let stage = Stage::start();
    let target = stage.target(&[FOO]);
    let served = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for value in 0..8 {
            let (stage, target, served) = (&stage, &target, &served);
            scope.spawn(move || {
                let fields = format!("Foo: {}", value % 2);
                let one = stage.get(target, &fields).expect_status(200);
                let other = stage.get(target, &fields).expect_status(200);
                assert!(one.body.starts_with(b"answer ") && other.body.starts_with(b"answer "));
                served.fetch_add(1, SeqCst);
            });
        }
    });
    assert_eq!(served.load(SeqCst), 8);
    let (zero, one) = (stage.get(&target, "Foo: 0").body, stage.get(&target, "Foo: 1").body);
    assert_ne!(zero, one);
}
