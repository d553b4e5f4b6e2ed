//! Answers that are not stored, and origins that mean no good.

use std::sync::Arc;

use super::body;
use super::origin::{Gate, Reply, ScriptedOrigin};
use super::rig::{Rig, SLICE, http};
use crate::cache::{Body, FillError};
use crate::limits::{MEMORY_BODY_MAX_BYTES, ORIGIN_HEAD_MAX_BYTES, RELAY_BUFFER_MAX_BYTES};
use crate::metrics::Outcome;

#[test]
fn what_may_not_be_stored_is_relayed_to_each_alone() {
    for field in ["Cache-Control: no-store", "Cache-Control: private", "Set-Cookie: a=b", "Vary: *"]
    {
        let len = RELAY_BUFFER_MAX_BYTES * 3;
        let origin =
            ScriptedOrigin::start(move |_| Reply::new(200, &["ETag: \"a\"", field], &body(len)));
        let rig = Rig::new(&[&origin]);
        let waiting = [rig.open("/a"), rig.open("/a"), rig.open("/a")];
        for one in waiting {
            let (relay, passed) = one.relayed();
            assert_eq!((relay.status, relay.len), (200, Some(len as u64)), "{field}");
            assert!(passed == Ok(body(len)), "{field}");
            assert!(String::from_utf8_lossy(&relay.headers).contains(field), "{field}");
        }
        assert_eq!(origin.asked().len(), 3, "{field}");
        assert!(rig.cache.lookup(rig.key("/a")).is_none(), "{field}");
    }
}

#[test]
fn a_range_of_what_may_not_be_stored_is_asked_for_whole() {
    let origin = ScriptedOrigin::start(|asked| {
        Reply::honest(asked, &["ETag: \"a\"", "Cache-Control: no-store"], &body(3 * SLICE))
    });
    let rig = Rig::new(&[&origin]);
    for _ in 0..2 {
        let (relay, passed) = rig.open_range("/a", Some((SLICE as u64, None))).relayed();
        assert_eq!(relay.status, 200);
        assert!(passed == Ok(body(3 * SLICE)));
    }
    assert_eq!(origin.ranges(), [format!("bytes={SLICE}-"), String::new(), String::new()]);
}

#[test]
fn short_errors_are_stored_when_they_say_so() {
    let origin = ScriptedOrigin::start(|asked| {
        let fields: &[&str] = &["Cache-Control: max-age=60"];
        match asked.line() {
            "GET /long" => Reply::new(404, fields, &body(MEMORY_BODY_MAX_BYTES + 1)),
            "GET /empty" => Reply::new(200, fields, b""),
            _ => Reply::new(404, fields, b"nothing here"),
        }
    });
    let rig = Rig::new(&[&origin]);
    let (object, outcome) = rig.open("/a").object();
    assert_eq!((outcome, object.meta.status), (Outcome::Miss, 404));
    assert!(matches!(&object.body, Body::Memory(bytes) if bytes == "nothing here"));
    assert_eq!(rig.open("/a").object().1, Outcome::Hit);
    assert_eq!(origin.asked().len(), 1);
    let (relay, passed) = rig.open("/long").relayed();
    assert_eq!((relay.status, passed.map(|body| body.len())), (404, Ok(MEMORY_BODY_MAX_BYTES + 1)));
    let (object, _) = rig.open("/empty").object();
    assert!(object.is_empty());
}

#[test]
fn a_relay_that_breaks_off_says_so() {
    let origin = ScriptedOrigin::start(|_| {
        Reply::new(200, &["Cache-Control: no-store"], &body(1_000)).cut_after(500)
    });
    let rig = Rig::new(&[&origin]);
    let (_, passed) = rig.open("/a").relayed();
    assert_eq!(passed, Err(FillError::Broken));
}

#[test]
fn an_origin_that_stalls_is_not_waited_for() {
    let gate = Arc::new(Gate::default());
    let held = gate.clone();
    let origin = ScriptedOrigin::start(move |_| {
        Reply::new(200, &["Cache-Control: no-store"], &body(1_000)).held_after(500, &held)
    });
    let rig = Rig::with_origin(http(vec![origin.address.clone()], 100));
    let (_, passed) = rig.open("/a").relayed();
    assert_eq!(passed, Err(FillError::Timeout));
    gate.open();
}

#[test]
fn a_range_that_is_not_there() {
    let origin = ScriptedOrigin::start(|asked| Reply::honest(asked, &["ETag: \"a\""], b"short"));
    let rig = Rig::new(&[&origin]);
    let opened = rig.open_range("/a", Some((SLICE as u64 * 5, None))).opened();
    assert_eq!(opened.err(), Some(FillError::Unsatisfiable));
    let (object, _) = rig.open("/a").object();
    assert_eq!(rig.read_all("/a", &object).unwrap(), b"short");
}

#[test]
fn a_part_that_is_not_what_was_asked_is_not_used() {
    let ranges =
        ["bytes 0-99/300000", "items 65536-65635/300000", "bytes 65536-65635/*", "nonsense"];
    for range in ranges {
        let origin = ScriptedOrigin::start(move |asked| match asked.number {
            0 => {
                let range = format!("Content-Range: {range}");
                Reply::new(206, &["ETag: \"a\"", "Cache-Control: max-age=9", &range], &body(100))
            }
            _ => Reply::new(200, &["ETag: \"a\"", "Cache-Control: max-age=9"], &body(300_000)),
        });
        let rig = Rig::new(&[&origin]);
        let (object, _) = rig.open_range("/a", Some((SLICE as u64, None))).object();
        assert!(rig.read_all("/a", &object).unwrap() == body(300_000), "{range}");
        assert_eq!(origin.ranges()[1], "", "{range}");
    }
}

#[test]
fn answers_that_are_not_http_are_bad_gateways() {
    let endless =
        format!("HTTP/1.1 200 X\r\nX-A: {}\r\n\r\n", "a".repeat(2 * ORIGIN_HEAD_MAX_BYTES));
    let many = format!("HTTP/1.1 200 X\r\n{}\r\n", "X-A: 1\r\n".repeat(10_000));
    let rows = [
        "hello\r\n\r\n".to_owned(),
        String::new(),
        endless,
        many,
        "HTTP/1.1 200 X\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello".to_owned(),
        "HTTP/1.1 200 X\r\nContent-Length: 99999999999999999999999\r\n\r\nhello".to_owned(),
        "HTTP/1.1 200 X\r\nContent-Length: -5\r\n\r\nhello".to_owned(),
        "HTTP/1.1 200 X\r\nX A: 1\r\n\r\n".to_owned(),
        "HTTP/1.1 206 X\r\nContent-Range: bytes 0-4/5\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        "HTTP/1.1 304 X\r\n\r\n".to_owned(),
    ];
    for row in rows {
        let start = row.chars().take(60).collect::<String>();
        let origin = ScriptedOrigin::start(move |_| Reply::raw(row.clone()));
        let rig = Rig::new(&[&origin]);
        assert_eq!(rig.open("/a").opened().err(), Some(FillError::Broken), "{start:?}");
    }
}

#[test]
fn a_body_longer_than_it_said_is_cut_to_it() {
    let origin = ScriptedOrigin::start(|_| {
        Reply::raw(
            "HTTP/1.1 200 X\r\nContent-Length: 5\r\nCache-Control: max-age=9\r\n\r\nhello, world",
        )
    });
    let rig = Rig::new(&[&origin]);
    let (object, _) = rig.open("/a").object();
    assert_eq!(rig.read_all("/a", &object).unwrap(), b"hello");
}

#[test]
fn an_origin_that_always_cuts_is_given_up() {
    let origin = ScriptedOrigin::start(|asked| {
        let fields = ["ETag: \"a\"", "Cache-Control: max-age=60"];
        Reply::honest(asked, &fields, &body(2 * SLICE)).cut_after(10)
    });
    let rig = Rig::new(&[&origin]);
    let (object, _) = rig.open("/a").object();
    assert_eq!(rig.read_all("/a", &object), Err(FillError::Broken));
}

#[test]
fn a_hundred_tebibytes_are_not_believed() {
    let origin = ScriptedOrigin::start(|_| {
        let head =
            "HTTP/1.1 200 X\r\nContent-Length: 109951162777600\r\nCache-Control: max-age=9\r\n\r\n";
        Reply::raw(format!("{head}hello"))
    });
    let rig = Rig::new(&[&origin]);
    let (relay, passed) = rig.open("/a").relayed();
    assert_eq!((relay.len, passed), (Some(109_951_162_777_600), Err(FillError::Broken)));
}
