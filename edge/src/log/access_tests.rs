use std::net::SocketAddr;
use std::path::Path;

use super::*;
use crate::metrics::Outcome;

fn record(target: &str) -> AccessRecord<'_> {
    AccessRecord {
        unix_ms: 0,
        client: SocketAddr::from(([127, 0, 0, 1], 1)),
        site: "*",
        method: "GET",
        host: "h",
        target,
        version: "HTTP/1.1",
        status: 200,
        sent_bytes: 2,
        body_bytes: 1,
        outcome: Outcome::Hit,
        reason: "-",
        duration_us: 0,
        first_byte_us: 0,
        range: None,
        referer: None,
        user_agent: None,
        requests_on_conn: 1,
    }
}

fn start(path: &Path) -> AccessLog {
    let access = Some(path.to_owned());
    let config = config::Log { access, format: LogFormat::Combined, level: String::new() };
    AccessLog::start(&config).unwrap()
}

fn targets(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split(' ').nth(6).unwrap().to_owned()).collect()
}

#[test]
fn every_line_of_every_sink_arrives_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let log = start(&path);
    std::thread::scope(|scope| {
        for sink in 0..4 {
            let mut writing = log.sink();
            scope.spawn(move || {
                for number in 0..5_000 {
                    writing.write(&record(&format!("/{sink}/{number}")));
                }
            });
        }
    });
    let dropped = log.dropped();
    log.finish();
    let targets = targets(&path);
    assert_eq!(targets.len() as u64 + dropped, 20_000);
    for sink in 0..4 {
        let prefix = format!("/{sink}/");
        let mine = targets.iter().filter_map(|target| target.strip_prefix(&prefix));
        let numbers: Vec<u32> = mine.map(|number| number.parse().unwrap()).collect();
        assert!(numbers.is_sorted() && !numbers.is_empty());
    }
}

#[test]
fn lines_wait_for_a_second_and_no_longer() {
    let directory = tempfile::tempdir().unwrap();
    let log = start(&directory.path().join("access.log"));
    let mut sink = log.sink();
    let at = |mono_ms| Now { mono_ms, unix_ms: 0 };
    assert_eq!(sink.flush_due(at(1)), None);
    sink.write(&record("/"));
    assert_eq!(sink.flush_due(at(5)), Some(1_005));
    assert_eq!(sink.flush_due(at(900)), Some(1_005));
    assert_eq!(sink.flush_due(at(1_005)), None);
    assert_eq!(sink.flush_due(at(3_000)), None);
}

#[test]
fn without_a_free_buffer_lines_are_counted_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let log = start(&path);
    let mut sink = log.sink();
    let shared = log.running.as_ref().unwrap().shared.clone();
    let taken: Vec<Vec<u8>> = std::iter::from_fn(|| shared.take_empty()).collect();
    assert_eq!(taken.len(), BUFFERS_PER_SINK - 1);
    let mut sent = 0;
    while log.dropped() == 0 {
        sink.write(&record("/"));
        sent += 1;
    }
    let before = sink.writing.as_ref().unwrap().buffer.len();
    assert!(before <= BUFFER_BYTES);
    shared.give_empty(taken.into_iter().next().unwrap());
    sink.write(&record("/late"));
    drop(sink);
    log.finish();
    let targets = targets(&path);
    assert_eq!(targets.len(), sent);
    assert_eq!(targets.last().map(String::as_str), Some("/late"));
}

#[test]
fn reopening_goes_on_in_a_new_file() {
    let directory = tempfile::tempdir().unwrap();
    let (path, moved) = (directory.path().join("access.log"), directory.path().join("old"));
    let log = start(&path);
    let mut sink = log.sink();
    sink.write(&record("/before"));
    sink.flush();
    std::fs::rename(&path, &moved).unwrap();
    log.reopen();
    while !path.exists() {
        std::thread::yield_now();
    }
    sink.write(&record("/after"));
    drop(sink);
    log.finish();
    assert_eq!(targets(&moved), ["/before"]);
    assert_eq!(targets(&path), ["/after"]);
}

#[test]
fn a_full_disk_drops_and_counts() {
    let log = start(Path::new("/dev/full"));
    let mut sink = log.sink();
    sink.write(&record("/1"));
    sink.write(&record("/2"));
    drop(sink);
    let shared = log.running.as_ref().unwrap().shared.clone();
    log.finish();
    assert_eq!(shared.dropped.value(), 2);
}

#[test]
fn no_log_is_no_work() {
    let config = config::Log { access: None, format: LogFormat::Json, level: String::new() };
    let log = AccessLog::start(&config).unwrap();
    let mut sink = log.sink();
    assert!(!sink.is_on());
    sink.write(&record("/"));
    sink.flush();
    assert_eq!((sink.flush_due(Now::read()), log.dropped()), (None, 0));
    assert!(
        AccessLog::start(&config::Log { access: Some("/nonexistent/x".into()), ..config }).is_err()
    );
}
