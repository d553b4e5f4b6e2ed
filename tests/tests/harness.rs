//! The harness proves itself: its own origin, client, relay and tools against each other.

use std::io::ErrorKind;
use std::time::Duration;

use edge_tests::origin::{Cuts, Hold};
use edge_tests::process::eventually;
use edge_tests::tools::Strace;
use edge_tests::{
    Client, Closed, Content, CutProxy, Gate, MIB, Nginx, Origin, Page, Random, fetch, need,
    sha256_file,
};

const BODY: Content = Content::new(3, 300_000);

#[test]
fn an_origin_answers_wholes_ranges_and_conditions() {
    let origin = Origin::with("/a", Page::of(BODY));
    let mut client = Client::connect(origin.addr());
    let whole = client.get("/a").expect_status(200);
    BODY.expect(0..BODY.len, &whole.body);
    let part = client.get_with("/a", &[("Range", "bytes=100-199")]).expect_status(206);
    assert_eq!(part.head.content_range(), (100, 200, BODY.len));
    BODY.expect(100..200, &part.body);
    let suffix = client.get_with("/a", &[("Range", "bytes=-5")]).expect_status(206);
    BODY.expect(BODY.len - 5..BODY.len, &suffix.body);
    client.get_with("/a", &[("Range", "bytes=300000-")]).expect_status(416);
    let changed = [("Range", "bytes=5-9"), ("If-Range", "\"other\"")];
    client.get_with("/a", &changed).expect_status(200);
    client.get_with("/a", &[("If-None-Match", "\"v3\"")]).expect_status(304);
    client.get("/nowhere").expect_status(404);
    let counts = origin.counts("/a");
    assert_eq!((counts.requests, counts.not_modified, counts.conditional), (6, 1, 1));
    assert_eq!(counts.body_bytes, 2 * BODY.len + 105);
    assert_eq!(counts.ranges[1].as_deref(), Some("bytes=100-199"));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_origin_misbehaves_as_scripted() {
    let origin = Origin::start();
    origin.put("/chunked", Page { chunked: true, ..Page::of(BODY) });
    origin.put("/busy", Page { failures_left: 2, ..Page::of(BODY) });
    origin.put("/no-ranges", Page { ranges: false, ..Page::of(BODY) });
    origin.put("/liar", Page { wrong_content_range: true, ..Page::of(BODY) });
    let cut = Page { cut_at: Some(100_000), cuts: Cuts::times(1), ..Page::of(BODY) };
    origin.put("/cut", cut);
    let get = |target| fetch(origin.addr(), target, None);
    let chunked = get("/chunked").expect_status(200);
    assert!(chunked.head.is_chunked() && chunked.head.content_length().is_none());
    BODY.expect(0..BODY.len, &chunked.body);
    let statuses: Vec<_> = (0..3).map(|_| get("/busy").head.status).collect();
    assert_eq!(statuses, [503, 503, 200]);
    fetch(origin.addr(), "/no-ranges", Some(5..10)).expect_status(200);
    let liar = fetch(origin.addr(), "/liar", Some(5..10)).expect_status(206);
    assert_eq!(liar.head.content_range(), (6, 11, BODY.len));
    let cut = get("/cut");
    assert!(!cut.complete);
    BODY.expect(0..100_000, &cut.body);
    get("/cut").expect_status(200);
}

#[test]
fn a_held_body_waits_for_its_gate() {
    let gate = Gate::new();
    let hold = Some(Hold { at: 100_000, gate: gate.clone() });
    let origin = Origin::with("/a", Page { hold, ..Page::of(BODY) });
    let mut client = Client::connect(origin.addr());
    client.start("/a");
    BODY.expect(0..100_000, &client.take(100_000));
    assert_eq!(origin.counts("/a").body_bytes, 100_000);
    gate.open();
    BODY.expect(100_000..BODY.len, &client.take(BODY.len - 100_000));
}

#[test]
fn an_origin_that_is_down_cuts_and_comes_back() {
    let hold = Some(Hold { at: 1000, gate: Gate::new() });
    let origin = Origin::with("/held", Page { hold, ..Page::of(BODY) });
    origin.put("/a", Page::of(BODY));
    let mut client = Client::connect(origin.addr());
    client.start("/held");
    origin.set_down(true);
    client.closed();
    let mut refused = Client::connect(origin.addr());
    let _ = refused.try_send("GET /a HTTP/1.1\r\n\r\n");
    let error = refused.response("GET").expect_err("it is down");
    assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset));
    origin.set_down(false);
    fetch(origin.addr(), "/a", None).expect_status(200);
}

#[test]
fn a_throttled_body_is_all_there() {
    let body = Content::new(9, 20_000);
    let page =
        Page { bytes_per_s: Some(1_000_000), delay: Duration::from_millis(1), ..Page::of(body) };
    let origin = Origin::with("/slow", page);
    body.expect(0..20_000, &fetch(origin.addr(), "/slow", None).expect_status(200).body);
}

#[test]
fn a_relay_cuts_where_it_was_told() {
    let origin = Origin::with("/a", Page::of(BODY));
    let proxy = CutProxy::start(origin.addr(), vec![50_000, 70_000]);
    for cut in [50_000, 70_000] {
        let mut client = Client::connect(proxy.addr());
        client.request("GET", "/a", &[]);
        let response = client.response("GET").expect("the head passes");
        assert!(!response.complete);
        assert_eq!(client.received_bytes(), cut);
        BODY.expect(0..response.body.len() as u64, &response.body);
    }
    assert_eq!(proxy.cut_count(), 2);
    BODY.expect(0..BODY.len, &fetch(proxy.addr(), "/a", None).expect_status(200).body);
}

#[test]
fn nginx_serves_and_counts() {
    let Some(nginx) = Nginx::start() else { return };
    let body = Content::new(5, MIB);
    body.write_to(&nginx.root().join("a.bin"));
    body.expect(0..MIB, &fetch(nginx.addr(), "/a.bin", None).expect_status(200).body);
    body.expect(7..99, &fetch(nginx.addr(), "/a.bin", Some(7..99)).expect_status(206).body);
    nginx.wait_for_body_bytes(MIB + 92);
    assert_eq!((nginx.counts().requests, nginx.counts().body_bytes), (2, MIB + 92));
}

#[test]
fn real_clients_agree_with_ours() {
    let (Some(curl), Some(wget)) = (need("curl"), need("wget")) else { return };
    let origin = Origin::with("/a", Page::of(BODY));
    let url = format!("{}/a", origin.url());
    let dir = tempfile::tempdir().expect("a directory");
    curl.expect(dir.path(), &["-sf", "-o", "curl", &url]);
    let mut random = Random::new(1);
    let cuts = (0..5).map(|_| 1000 + random.below(40_000)).collect();
    let proxy = CutProxy::start(origin.addr(), cuts);
    let through = format!("http://{}/a", proxy.addr());
    wget.expect(dir.path(), &["-q", "-c", "-t", "20", "--waitretry=0", "-O", "wget", &through]);
    assert_eq!(proxy.cut_count(), 5);
    for name in ["curl", "wget"] {
        assert_eq!(sha256_file(&dir.path().join(name)).expect("a file"), BODY.sha256(), "{name}");
    }
}

#[test]
fn strace_counts_the_calls_of_one_thread() {
    let Some(strace) = need("strace") else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let stop = Gate::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    let worker = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            sender.send(rustix::thread::gettid().as_raw_nonzero().get() as u32).expect("heard");
            while !stop.is_open() {
                std::thread::sleep(Duration::from_millis(1));
                let _ = std::fs::metadata("/");
            }
        })
    };
    let thread = receiver.recv().expect("it starts");
    if let Some(strace) = Strace::attach(&strace, &[thread], dir.path()) {
        std::thread::sleep(Duration::from_millis(200));
        let counts = strace.finish();
        assert!(counts.keys().any(|name| name.contains("stat")), "{counts:?}");
        assert!(!counts.contains_key("openat"), "{counts:?}");
    }
    stop.open();
    worker.join().expect("it ends");
}

#[test]
fn a_client_tells_fin_from_rst_and_sends_both() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let addr = listener.local_addr().expect("it is bound");
    let (mut by_fin, by_rst) = (Client::connect(addr), Client::connect(addr));
    let mut first = listener.accept().expect("it came").0;
    let mut second = listener.accept().expect("it came").0;
    by_rst.reset();
    let error = eventually("a reset seen by the other side", || {
        std::io::Read::read(&mut second, &mut [0; 1]).err()
    });
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    by_fin.half_close();
    assert_eq!(std::io::Read::read(&mut first, &mut [0; 1]).expect("FIN"), 0);
    drop(first);
    assert_eq!(by_fin.closed(), Closed::Fin);
}
