//! What goes well, and what is made to go well.

use std::sync::Arc;
use std::time::Duration;

use super::body;
use super::origin::{Gate, Reply, ScriptedOrigin};
use super::rig::{Rig, SLICE, http};
use crate::cache::{Body, FillError};
use crate::config::Finish;
use crate::metrics::Outcome;

const FIELDS: [&str; 2] = ["ETag: \"v1\"", "Cache-Control: max-age=60"];

fn honest(len: usize) -> ScriptedOrigin {
    ScriptedOrigin::start(move |asked| Reply::honest(asked, &FIELDS, &body(len)))
}

#[test]
fn a_cold_object_is_filled_once_by_one_request() {
    let len = 5 * SLICE + 4_321;
    let origin = honest(len);
    let rig = Rig::new(&[&origin]);
    let (object, outcome) = rig.open("/a?b").object();
    assert_eq!((outcome, object.len()), (Outcome::Miss, Some(len as u64)));
    assert_eq!(rig.read_all("/a?b", &object).unwrap(), body(len));
    assert_eq!(rig.origin_bytes(), len as u64);
    let asked = origin.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line(), "GET /a?b");
    assert_eq!(asked[0].field("host"), Some("h.example"));
    assert_eq!(asked[0].field("accept-encoding"), Some("identity"));
    assert_eq!(asked[0].field("user-agent"), None);

    let (again, outcome) = rig.open("/a?b").object();
    assert_eq!(outcome, Outcome::Hit);
    assert_eq!(rig.read_all("/a?b", &again).unwrap(), body(len));
    assert_eq!((origin.asked().len(), rig.origin_bytes()), (1, len as u64));
    let headers = String::from_utf8(object.meta.headers.to_vec()).unwrap();
    assert!(headers.contains("ETag: \"v1\"\r\n") && !headers.contains("Content-Length"));
    assert_eq!(&*object.meta.key_text, "site /a?b");
}

#[test]
fn ranges_fetch_whole_slices_and_no_byte_twice() {
    let len = 6 * SLICE + 100;
    let origin = honest(len);
    let rig = Rig::new(&[&origin]);
    let (start, end) = (2 * SLICE as u64 + 5, 3 * SLICE as u64 + 5);
    let (object, _) = rig.open_range("/a", Some((start, Some(end)))).object();
    assert_eq!(object.len(), Some(len as u64));
    assert_eq!(object.meta.status, 200);
    let found = rig.read("/a", &object, start, end).unwrap();
    assert_eq!(found, body(len)[start as usize..end as usize]);
    assert_eq!(rig.read_all("/a", &object).unwrap(), body(len));
    let last = |slice: usize| slice * SLICE - 1;
    assert_eq!(
        origin.ranges(),
        [
            format!("bytes={}-{}", 2 * SLICE, last(4)),
            format!("bytes=0-{}", last(2)),
            format!("bytes={}-{}", 4 * SLICE, len - 1),
        ]
    );
    assert_eq!(rig.origin_bytes(), len as u64);
    assert_eq!(rig.site.metrics.fill.wasted_bytes.value(), 0);
}

#[test]
fn two_who_open_at_once_are_one_request() {
    let gate = Arc::new(Gate::default());
    let held = gate.clone();
    let origin = ScriptedOrigin::start(move |asked| {
        Reply::honest(asked, &FIELDS, &body(SLICE)).held_after(0, &held)
    });
    let rig = Rig::new(&[&origin]);
    let waiting = [rig.open("/a"), rig.open("/a"), rig.open("/a")];
    rig.until("two joins", |rig| rig.plane.metrics().joins.value() == 2);
    gate.open();
    for one in waiting {
        let (object, outcome) = one.object();
        assert_eq!(outcome, Outcome::Miss);
        assert_eq!(rig.read_all("/a", &object).unwrap(), body(SLICE));
    }
    assert_eq!(origin.asked().len(), 1);
}

#[test]
fn a_reader_is_served_while_the_body_comes() {
    let gate = Arc::new(Gate::default());
    let (held, len) = (gate.clone(), 3 * SLICE);
    let origin = ScriptedOrigin::start(move |asked| {
        Reply::honest(asked, &FIELDS, &body(len)).held_after(SLICE + 100, &held)
    });
    let rig = Rig::new(&[&origin]);
    let (object, _) = rig.open("/a").object();
    let some = rig.read("/a", &object, 0, SLICE as u64 + 50).unwrap();
    assert_eq!(some, body(len)[..SLICE + 50]);
    gate.open();
    assert_eq!(rig.read_all("/a", &object).unwrap(), body(len));
    assert_eq!(origin.asked().len(), 1);
}

#[test]
fn a_cut_body_goes_on_from_where_it_was() {
    let len = 4 * SLICE;
    let origin = ScriptedOrigin::start(move |asked| {
        let reply = Reply::honest(asked, &FIELDS, &body(len));
        if asked.number == 0 { reply.cut_after(SLICE + SLICE / 2) } else { reply }
    });
    let rig = Rig::new(&[&origin]);
    let (object, _) = rig.open("/a").object();
    assert_eq!(rig.read_all("/a", &object).unwrap(), body(len));
    rig.until("the fill ends", |rig| rig.plane.metrics().active() == 0);
    let asked = origin.asked();
    assert_eq!(asked[1].field("range"), Some(&*format!("bytes={}-{}", SLICE + SLICE / 2, len - 1)));
    assert_eq!(asked[1].field("if-range"), Some("\"v1\""));
    assert_eq!((asked.len(), rig.origin_bytes()), (2, len as u64));
}

#[test]
fn a_body_of_unknown_length_is_known_at_its_end() {
    let len = 2 * SLICE + 77;
    let origin = ScriptedOrigin::start(move |_| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n".to_vec();
        bytes.extend_from_slice(b"ETag: \"v1\"\r\nCache-Control: max-age=60\r\n\r\n");
        for chunk in body(len).chunks(10_000) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        Reply::raw(bytes)
    });
    let rig = Rig::new(&[&origin]);
    let (object, _) = rig.open("/a").object();
    assert_eq!(rig.read("/a", &object, 0, u64::MAX).unwrap(), body(len));
    assert_eq!(object.len(), Some(len as u64));
    rig.until("the fill ends", |rig| rig.plane.metrics().active() == 0);
    let (again, outcome) = rig.open("/a").object();
    assert_eq!((outcome, again.len()), (Outcome::Hit, Some(len as u64)));
    assert_eq!(origin.asked().len(), 1);
}

#[test]
fn a_body_of_unknown_length_that_breaks_off_fails_and_is_forgotten() {
    let origin = ScriptedOrigin::start(|_| {
        let head =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=60\r\n\r\n";
        Reply::raw(format!("{head}5\r\nhello\r\n9\r\nwor"))
    });
    let rig = Rig::new(&[&origin]);
    let (object, _) = rig.open("/a").object();
    assert!(rig.read("/a", &object, 0, u64::MAX).is_err());
    rig.until("it is forgotten", |rig| rig.cache.lookup(rig.key("/a")).is_none());
}

#[test]
fn an_origin_without_ranges_is_read_from_its_first_byte() {
    let len = 4 * SLICE;
    let origin = ScriptedOrigin::start(move |_| Reply::new(200, &FIELDS, &body(len)));
    let rig = Rig::new(&[&origin]);
    let (start, end) = (3 * SLICE as u64, 3 * SLICE as u64 + 10);
    let (object, _) = rig.open_range("/a", Some((start, Some(end)))).object();
    let found = rig.read("/a", &object, start, end).unwrap();
    assert_eq!(found, body(len)[start as usize..end as usize]);
    assert_eq!(rig.read_all("/a", &object).unwrap(), body(len));
}

#[test]
fn an_origin_that_forgets_ranges_midway_is_skipped_through() {
    let len = 4 * SLICE;
    let origin = ScriptedOrigin::start(move |asked| match asked.number {
        0 => Reply::honest(asked, &FIELDS, &body(len)),
        _ => Reply::new(200, &FIELDS, &body(len)),
    });
    let rig = Rig::new(&[&origin]);
    let (object, _) = rig.open_range("/a", Some((0, Some(10)))).object();
    assert_eq!(rig.read_all("/a", &object).unwrap(), body(len));
    assert_eq!(rig.site.metrics.fill.wasted_bytes.value(), SLICE as u64);
}

#[test]
fn a_head_is_opened_by_a_head() {
    let len = 2 * SLICE;
    let origin = ScriptedOrigin::start(move |asked| match asked.line().starts_with("HEAD") {
        true => Reply::new(200, &FIELDS, &body(len)).cut_after(0),
        false => Reply::honest(asked, &FIELDS, &body(len)),
    });
    let rig = Rig::new(&[&origin]);
    let (object, _) = rig.head("/a").object();
    assert_eq!((object.len(), rig.origin_bytes()), (Some(len as u64), 0));
    let (object, outcome) = rig.open("/a").object();
    assert_eq!(outcome, Outcome::Hit);
    assert_eq!(rig.read_all("/a", &object).unwrap(), body(len));
}

#[test]
fn the_next_address_is_asked() {
    let (good, bad) = (honest(SLICE), ScriptedOrigin::start(|_| Reply::new(503, &[], b"no")));
    let rig = Rig::with_addresses(vec![
        ScriptedOrigin::nowhere(),
        bad.address.clone(),
        good.address.clone(),
    ]);
    let (object, _) = rig.open("/a").object();
    assert_eq!(rig.read_all("/a", &object).unwrap(), body(SLICE));
    assert_eq!((bad.asked().len(), good.asked().len()), (1, 1));
    assert_eq!(rig.site.metrics.fill.origin_errors.value(), 2);
    let rig = Rig::with_addresses(vec![ScriptedOrigin::nowhere()]);
    assert_eq!(rig.open("/a").opened().err(), Some(FillError::Connect));
}

#[test]
fn what_was_received_is_kept_when_the_plane_ends() {
    let gate = Arc::new(Gate::default());
    let held = gate.clone();
    let origin = ScriptedOrigin::start(move |asked| {
        Reply::honest(asked, &FIELDS, &body(2 * SLICE)).held_after(SLICE + SLICE / 2, &held)
    });
    let mut rig = Rig::new(&[&origin]);
    let (object, _) = rig.open("/a").object();
    let half = SLICE as u64 + SLICE as u64 / 2;
    let before = rig.read("/a", &object, 0, half).unwrap();
    rig.drain(Duration::ZERO);
    gate.open();
    assert!(matches!(object.body, Body::Slices(_)));
    assert_eq!(rig.read("/a", &object, 0, half).unwrap(), before);
    assert_eq!(before, body(2 * SLICE)[..half as usize]);
}

#[test]
fn a_drain_lets_a_running_fill_end() {
    let gate = Arc::new(Gate::default());
    let held = gate.clone();
    let origin = ScriptedOrigin::start(move |asked| {
        Reply::honest(asked, &FIELDS, &body(2 * SLICE)).held_after(100, &held)
    });
    let mut rig = Rig::new(&[&origin]);
    let (object, _) = rig.open("/a").object();
    rig.plane.drain(Duration::from_secs(60));
    gate.open();
    rig.drain(Duration::from_secs(60));
    assert_eq!(rig.read_all("/a", &object).unwrap(), body(2 * SLICE));
}

#[test]
fn a_fill_ends_with_its_last_client_where_the_site_says_so() {
    let gate = Arc::new(Gate::default());
    let (held, len) = (gate.clone(), 64 * SLICE);
    let origin = ScriptedOrigin::start(move |asked| {
        Reply::honest(asked, &FIELDS, &body(len)).held_after(SLICE + 100, &held)
    });
    let rig = Rig::with(http(vec![origin.address.clone()], 30_000), Finish::Never);
    let waiting = rig.open("/a");
    let (object, _) = waiting.object();
    let first = rig.read("/a", &object, 0, SLICE as u64).unwrap();
    waiting.ticket.abandon();
    gate.open();
    rig.until("the fill ends", |rig| rig.plane.metrics().active() == 0);
    assert!(rig.origin_bytes() < len as u64);
    assert_eq!(first, body(len)[..SLICE]);
    assert_eq!(rig.read("/a", &object, 0, SLICE as u64).unwrap(), first);
}
