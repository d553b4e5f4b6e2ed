//! Objects that expire or change.

use std::sync::Arc;

use super::body;
use super::origin::{Reply, ScriptedOrigin};
use super::rig::{Rig, SLICE};
use crate::cache::{Body, FillError, Object, Opened};
use crate::clock::Now;
use crate::metrics::Outcome;

const OLD: [&str; 2] = ["ETag: \"old\"", "Cache-Control: max-age=60"];
const NEW: [&str; 2] = ["ETag: \"new\"", "Cache-Control: max-age=60"];

#[test]
fn a_304_refreshes_the_head_and_keeps_the_body() {
    let origin = ScriptedOrigin::start(|asked| match asked.field("if-none-match") {
        Some("\"old\"") => Reply::raw(
            "HTTP/1.1 304 X\r\nETag: \"old\"\r\nCache-Control: max-age=99\r\nX-New: 1\r\n\r\n",
        ),
        _ => Reply::honest(asked, &OLD, &body(SLICE)),
    });
    let rig = Rig::new(&[&origin]);
    let (object, _) = rig.open("/a").object();
    rig.read_all("/a", &object).unwrap();
    let (fresh, outcome) = rig.revalidate("/a", &object).object();
    assert_eq!((outcome, fresh.meta.lifetime_ms), (Outcome::Revalidated, 99_000));
    assert!(String::from_utf8_lossy(&fresh.meta.headers).contains("X-New: 1\r\n"));
    assert_eq!(rig.read_all("/a", &fresh).unwrap(), body(SLICE));
    assert_eq!((origin.asked().len(), rig.origin_bytes()), (2, SLICE as u64));
    let Body::Slices(ours) = &fresh.body else { panic!("{fresh:?}") };
    let Body::Slices(theirs) = &object.body else { panic!("{object:?}") };
    assert!(Arc::ptr_eq(ours, theirs));
}

#[test]
fn a_304_for_another_version_is_not_believed() {
    let origin = ScriptedOrigin::start(|asked| match asked.field("if-none-match") {
        Some(_) => Reply::raw("HTTP/1.1 304 X\r\nETag: \"new\"\r\n\r\n"),
        None if asked.number == 0 => Reply::honest(asked, &OLD, &body(100)),
        None => Reply::honest(asked, &NEW, &body(200)),
    });
    let rig = Rig::new(&[&origin]);
    let (object, _) = rig.open("/a").object();
    let (fresh, outcome) = rig.revalidate("/a", &object).object();
    assert_eq!((outcome, fresh.meta.strong_etag()), (Outcome::Miss, Some("\"new\"")));
    assert_eq!(rig.read_all("/a", &fresh).unwrap(), body(200));
}

/// `object` as if it had arrived `by_s` seconds earlier than its lifetime ends.
fn expire(rig: &Rig, object: &Object, by_s: u64) -> Arc<Object> {
    let now = Now::read();
    let mut meta = object.meta.clone();
    meta.received_unix_ms = now.unix_ms - meta.lifetime_ms - by_s * 1_000;
    let expired = Arc::new(Object::new(object.key, meta, object.body.clone()));
    rig.cache.insert(expired.clone(), now);
    expired
}

#[test]
fn an_expired_object_stands_in_for_a_failing_origin_for_a_while() {
    let origin = ScriptedOrigin::start(|asked| match asked.number {
        0 => Reply::honest(asked, &OLD, &body(100)),
        _ => Reply::new(503, &[], b"busy"),
    });
    let rig = Rig::new(&[&origin]);
    let (object, _) = rig.open("/a").object();
    assert_eq!(rig.read_all("/a", &object).unwrap(), body(100));
    let expired = expire(&rig, &object, 3_000);
    let (stale, outcome) = rig.revalidate("/a", &expired).object();
    assert_eq!(outcome, Outcome::Stale);
    assert_eq!(rig.read_all("/a", &stale).unwrap(), body(100));
    let expired = expire(&rig, &object, 3_601);
    let (relay, passed) = rig.revalidate("/a", &expired).relayed();
    assert_eq!((relay.status, passed), (503, Ok(b"busy".to_vec())));
}

#[test]
fn an_object_that_forbids_it_does_not_stand_in() {
    let fields = ["ETag: \"a\"", "Cache-Control: max-age=9, must-revalidate"];
    let origin = ScriptedOrigin::start(move |asked| match asked.number {
        0 => Reply::honest(asked, &fields, b"x"),
        _ => Reply::raw("nonsense"),
    });
    let rig = Rig::new(&[&origin]);
    let (object, _) = rig.open("/a").object();
    let expired = expire(&rig, &object, 1);
    let error = rig.revalidate("/a", &expired).opened().err();
    assert_eq!(error, Some(FillError::Unvalidated));
}

#[test]
fn a_change_between_slices_is_never_mixed() {
    let origin = ScriptedOrigin::start(|asked| match asked.number {
        0 => Reply::honest(asked, &OLD, &body(2 * SLICE)),
        _ => Reply::honest(asked, &NEW, &body(3 * SLICE)),
    });
    let rig = Rig::new(&[&origin]);
    let (old, _) = rig.open_range("/a", Some((0, Some(10)))).object();
    assert_eq!(rig.read_all("/a", &old), Err(FillError::Changed));
    // The 200 that came instead is the new version, taken in at once.
    let (new, outcome) = rig.open("/a").object();
    assert_eq!((outcome, new.meta.strong_etag()), (Outcome::Hit, Some("\"new\"")));
    assert_eq!(rig.read_all("/a", &new).unwrap(), body(3 * SLICE));
    assert_eq!(origin.asked().len(), 2);
    assert_eq!(rig.plane.metrics().fenced.value(), 1);
}

#[test]
fn a_part_of_another_version_is_refused() {
    let origin = ScriptedOrigin::start(|asked| {
        let range = |total| format!("Content-Range: bytes {SLICE}-{}/{total}", 2 * SLICE - 1);
        let part = body(SLICE);
        match asked.number {
            0 => Reply::honest(asked, &OLD, &body(2 * SLICE)),
            // It does not heed If-Range.
            1 => Reply::new(206, &[&NEW[..], &[&range(2 * SLICE)]].concat(), &part),
            _ => Reply::honest(asked, &NEW, &body(3 * SLICE)),
        }
    });
    let rig = Rig::new(&[&origin]);
    let (old, _) = rig.open_range("/a", Some((0, Some(10)))).object();
    assert_eq!(rig.read_all("/a", &old), Err(FillError::Changed));
    let (new, outcome) = rig.open("/a").object();
    assert_eq!(outcome, Outcome::Miss);
    assert_eq!(rig.read_all("/a", &new).unwrap(), body(3 * SLICE));
}

#[test]
fn a_version_without_a_name_is_not_gone_on_with() {
    let fields = ["Cache-Control: max-age=60"];
    let origin = ScriptedOrigin::start(move |asked| {
        let reply = Reply::honest(asked, &fields, &body(3 * SLICE));
        if asked.number == 0 { reply.cut_after(SLICE + 10) } else { reply }
    });
    let rig = Rig::new(&[&origin]);
    let (object, _) = rig.open("/a").object();
    assert!(rig.read_all("/a", &object).is_err());
    let mut opened = rig.open("/a").opened();
    for _ in 0..3 {
        if let Ok(Opened::Object(object, _)) = &opened
            && let Ok(found) = rig.read_all("/a", object)
        {
            return assert_eq!(found, body(3 * SLICE));
        }
        opened = rig.open("/a").opened();
    }
    panic!("never whole");
}

#[test]
fn a_gone_object_is_forgotten() {
    let origin = ScriptedOrigin::start(|asked| match asked.number {
        0 => Reply::honest(asked, &OLD, &body(2 * SLICE)),
        _ => Reply::new(410, &[], b"gone"),
    });
    let rig = Rig::new(&[&origin]);
    let (old, _) = rig.open_range("/a", Some((0, Some(10)))).object();
    assert_eq!(rig.read_all("/a", &old), Err(FillError::Changed));
    let (relay, passed) = rig.open("/a").relayed();
    assert_eq!((relay.status, passed), (410, Ok(b"gone".to_vec())));
}
