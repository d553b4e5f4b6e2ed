//! A large file and ranges of it, through real nginx as the origin, by real clients.

use std::io::Read;

use edge_tests::content::hex;
use edge_tests::{
    Client, Content, CutProxy, Follower, MIB, Nginx, Node, NodeConfig, Random, fetch, large_bytes,
    names, need, sha256_file,
};
use sha2::{Digest, Sha256};

const TARGET: &str = "/large.bin";

/// A node in front of nginx that serves `content` as [`TARGET`].
fn node_with(content: Content) -> Option<(Node, Nginx)> {
    let nginx = Nginx::start()?;
    content.write_to(&nginx.root().join("large.bin"));
    let volume_mib = 256.max(content.len / MIB * 3 / 2);
    let node = Node::start(NodeConfig::of(&nginx.url()).volume_mib(volume_mib));
    Some((node, nginx))
}

/// SHA-256 of a whole download by our own client.
fn download_sha256(node: &Node) -> String {
    let mut client = node.connect();
    let head = client.start(TARGET);
    assert_eq!(head.status, 200, "{head:?}");
    let mut hasher = Sha256::new();
    let read = client.body(&head, "GET", &mut |piece| hasher.update(piece));
    read.unwrap_or_else(|e| panic!("the download was cut: {e}"));
    hex(&hasher.finalize())
}

#[test]
fn cold_and_warm_are_equal_and_warm_costs_the_origin_nothing() {
    let content = Content::new(1, large_bytes());
    let Some((node, nginx)) = node_with(content) else { return };
    let expected = content.sha256();
    assert_eq!(download_sha256(&node), expected, "cold");
    nginx.wait_for_body_bytes(content.len);
    assert_eq!(nginx.counts().body_bytes, content.len, "origin bytes of the cold pass");
    assert_eq!(node.metric(names::ORIGIN_BYTES), content.len, "the node counts them too");
    let requests = nginx.counts().requests;

    assert_eq!(download_sha256(&node), expected, "warm");
    let mut random = Random::new(200);
    for turn in 0..200 {
        let range = random.range(content.len, 4 * MIB);
        let response = fetch(node.addr(), TARGET, Some(range.clone())).expect_status(206);
        let said = response.head.content_range();
        assert_eq!(said, (range.start, range.end, content.len), "turn {turn}");
        content.expect(range, &response.body);
    }
    assert_eq!(nginx.counts().body_bytes, content.len, "origin bytes of the warm pass: 0");
    assert_eq!(nginx.counts().requests, requests, "origin requests of the warm pass: 0");
    assert!(node.outcomes("hit") >= 201, "hits: {}", node.outcomes("hit"));
}

#[test]
fn several_ranges_are_parts_cold_partial_and_warm() {
    let content = Content::new(7, 8 * MIB);
    let Some((node, nginx)) = node_with(content) else { return };
    let ranges = [(100, 200), (MIB - 10, MIB + 10), (5 * MIB, 7 * MIB), (8 * MIB - 7, 8 * MIB)];
    let asked = ranges.map(|(start, end)| format!("{start}-{}", end - 1)).join(", ");
    for pass in ["cold", "partial", "warm"] {
        let range = format!("bytes={asked}");
        let response = node.connect().get_with(TARGET, &[("Range", &range)]).expect_status(206);
        let kind = response.head.field("content-type").expect("a type").to_owned();
        let boundary = kind.split_once("boundary=").expect("a boundary").1.to_owned();
        let mut rest = &response.body[..];
        for (start, end) in ranges {
            let lines = format!("Content-Range: bytes {start}-{}/{}\r\n\r\n", end - 1, content.len);
            let at = find(rest, lines.as_bytes()).expect("the part's lines") + lines.len();
            let head = String::from_utf8_lossy(&rest[..at]);
            assert!(head.starts_with(&format!("\r\n--{boundary}\r\n")), "{pass}: {head}");
            let (bytes, after) = rest[at..].split_at((end - start) as usize);
            content.expect(start..end, bytes);
            rest = after;
        }
        assert_eq!(rest, format!("\r\n--{boundary}--\r\n").as_bytes(), "{pass}");
        if pass == "cold" {
            let bytes = nginx.counts().body_bytes;
            assert!(bytes <= 6 * MIB, "slices that no range touches are not fetched: {bytes}");
        }
    }
    assert!(nginx.counts().body_bytes <= 6 * MIB, "what is here is not fetched again");
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[test]
fn random_ranges_of_a_cold_file_are_equal() {
    let content = Content::new(2, 64 * MIB);
    let Some((node, _nginx)) = node_with(content) else { return };
    let mut random = Random::new(2);
    let mut client = node.connect();
    for _ in 0..40 {
        let range = random.range(content.len, 2 * MIB);
        let value = format!("bytes={}-{}", range.start, range.end - 1);
        let response = client.get_with(TARGET, &[("Range", &value)]).expect_status(206);
        content.expect(range, &response.body);
    }
}

#[test]
fn curl_gets_it_cold_and_warm() {
    let content = Content::new(3, 16 * MIB);
    let (Some(curl), Some((node, _nginx))) = (need("curl"), node_with(content)) else { return };
    for name in ["cold", "warm"] {
        curl.expect(node.dir(), &["-sSf", "-o", name, &node.url(TARGET)]);
        assert_eq!(sha256_file(&node.dir().join(name)).expect(name), content.sha256(), "{name}");
    }
}

#[test]
fn aria2c_with_sixteen_connections_gets_it_cold_and_warm() {
    let content = Content::new(4, large_bytes());
    let (Some(aria2c), Some((node, _nginx))) = (need("aria2c"), node_with(content)) else { return };
    let expected = content.sha256();
    for name in ["cold", "warm"] {
        let options = ["-q", "--no-conf", "-x16", "-s16", "-k1M", "--file-allocation=none"];
        let url = node.url(TARGET);
        aria2c.expect(node.dir(), &[&options[..], &["-o", name, &url]].concat());
        assert_eq!(sha256_file(&node.dir().join(name)).expect(name), expected, "{name}");
    }
}

#[test]
fn wget_goes_on_after_twenty_cuts() {
    let content = Content::new(5, large_bytes());
    let (Some(wget), Some((node, nginx))) = (need("wget"), node_with(content)) else { return };
    let mut random = Random::new(5);
    let cuts: Vec<u64> = (0..20).map(|_| 10_000 + random.below(content.len / 25)).collect();
    let proxy = CutProxy::start(node.addr(), cuts);
    let url = format!("http://{}{TARGET}", proxy.addr());
    wget.expect(node.dir(), &["-q", "-c", "-t", "40", "--waitretry=0", "-O", "resumed", &url]);
    assert_eq!(proxy.cut_count(), 20);
    let got = sha256_file(&node.dir().join("resumed")).expect("a file");
    assert_eq!(got, content.sha256());
    // What clients left behind was kept: at most the slices that were cut through came twice.
    let most = content.len + 20 * MIB;
    let sent = nginx.counts().body_bytes;
    assert!(sent <= most, "origin bytes {sent}, expected at most {most}");
}

#[test]
fn head_conditions_and_odd_ranges() {
    let content = Content::new(6, 3 * MIB + 17);
    let Some((node, _nginx)) = node_with(content) else { return };
    let mut client = node.connect();
    let head = head_of(&mut client);
    let whole = client.get(TARGET).expect_status(200);
    content.expect(0..content.len, &whole.body);
    for name in ["etag", "last-modified", "content-type"] {
        assert_eq!(whole.head.field(name), head.field(name), "{name} of HEAD and GET");
    }
    assert_eq!(whole.head.field("accept-ranges"), Some("bytes"));
    whole.head.expect_field("date");
    let etag = whole.head.expect_field("etag").to_owned();
    let date = whole.head.expect_field("last-modified").to_owned();
    assert!(etag.starts_with('"'), "a strong ETag, not {etag}");

    let not_modified = client.get_with(TARGET, &[("If-None-Match", &etag)]).expect_status(304);
    assert_eq!(not_modified.head.field("etag"), Some(etag.as_str()), "304 names its ETag");
    client.get_with(TARGET, &[("If-None-Match", "*")]).expect_status(304);
    let list = format!("\"other\", W/{etag}");
    client.get_with(TARGET, &[("If-None-Match", &list)]).expect_status(304);
    client.get_with(TARGET, &[("If-None-Match", "\"other\"")]).expect_status(200);
    client.get_with(TARGET, &[("If-Modified-Since", &date)]).expect_status(304);
    // On a connection of its own: after a refusal the node may close.
    node.connect().get_with(TARGET, &[("If-Match", "\"other\"")]).expect_status(412);

    let mut ranged = |range: &str, if_range: &str| {
        client.get_with(TARGET, &[("Range", range), ("If-Range", if_range)])
    };
    let part = ranged("bytes=5-9", &etag).expect_status(206);
    content.expect(5..10, &part.body);
    ranged("bytes=5-9", "\"other\"").expect_status(200);
    ranged("bytes=5-9", &format!("W/{etag}")).expect_status(200);
    let old = ranged("bytes=5-9", "Sun, 06 Nov 1994 08:49:37 GMT").expect_status(200);
    content.expect(0..content.len, &old.body);

    odd_ranges(&mut client, content);
}

fn head_of(client: &mut Client) -> edge_tests::Head {
    client.request("HEAD", TARGET, &[]);
    let response = client.response("HEAD").expect("an answer to HEAD");
    assert_eq!(response.head.status, 200);
    assert_eq!(response.head.content_length(), Some(3 * MIB + 17), "length of HEAD");
    response.head
}

fn odd_ranges(client: &mut Client, content: Content) {
    let len = content.len;
    let last = format!("bytes={}-{}", len - 1, len - 1);
    let table = [
        ("bytes=-100", len - 100..len),
        ("bytes=-99999999999", 0..len),
        ("bytes=0-0", 0..1),
        ("bytes=1048570-1048590", 1_048_570..1_048_591),
        ("bytes=3145700-", 3_145_700..len),
        ("bytes=3145700-99999999999", 3_145_700..len),
        (last.as_str(), len - 1..len),
    ];
    for (value, range) in table {
        let response = client.get_with(TARGET, &[("Range", value)]).expect_status(206);
        assert_eq!(response.head.content_range(), (range.start, range.end, len), "{value}");
        content.expect(range, &response.body);
    }
    for value in [format!("bytes={len}-"), "bytes=-0".to_owned()] {
        let response = client.get_with(TARGET, &[("Range", &value)]).expect_status(416);
        let said = response.head.field("content-range").map(str::to_owned);
        assert_eq!(said, Some(format!("bytes */{len}")), "{value}");
    }
    for value in ["bytes=9-5", "bytes=a-b", "lines=1-2", "bytes=", "bytes"] {
        let response = client.get_with(TARGET, &[("Range", value)]).expect_status(200);
        content.expect(0..len, &response.body);
    }
}

#[test]
fn pipelined_requests_of_one_segment_are_answered_in_order() {
    let content = Content::new(7, MIB);
    let Some((node, _nginx)) = node_with(content) else { return };
    let mut client = node.connect();
    let ranges = [0..10, 500_000..700_000, 3..4, 0..MIB, 1_000_000..1_000_001];
    let requests: String = ranges
        .iter()
        .map(|range| {
            let (first, last) = (range.start, range.end - 1);
            format!("GET {TARGET} HTTP/1.1\r\nHost: a\r\nRange: bytes={first}-{last}\r\n\r\n")
        })
        .collect();
    for pass in ["cold", "warm"] {
        client.send(&requests);
        for range in &ranges {
            let response = client.response("GET").unwrap_or_else(|e| panic!("{pass}: {e}"));
            content.expect(range.clone(), &response.expect_status(206).body);
        }
    }
}

#[test]
fn http_1_0_and_connection_close() {
    let content = Content::new(8, 2 * MIB);
    let Some((node, _nginx)) = node_with(content) else { return };
    let mut old = node.connect();
    old.send(format!("GET {TARGET} HTTP/1.0\r\n\r\n"));
    let response = old.response("GET").expect("an answer").expect_status(200);
    assert!(!response.head.is_chunked(), "HTTP/1.0 knows no chunks: {:?}", response.head);
    content.expect(0..content.len, &response.body);
    old.closed();

    let mut kept = node.connect();
    for _ in 0..2 {
        kept.send(format!("GET {TARGET} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        let response = kept.response("GET").expect("an answer").expect_status(200);
        assert_eq!(response.head.expect_field("connection").to_lowercase(), "keep-alive");
        content.expect(0..content.len, &response.body);
    }

    let mut last = node.connect();
    let response = last.get_with(TARGET, &[("Connection", "close")]).expect_status(200);
    assert_eq!(response.head.expect_field("connection").to_lowercase(), "close");
    last.closed();
}

#[test]
fn a_half_closed_client_gets_its_answer() {
    let content = Content::new(9, 2 * MIB);
    let Some((node, _nginx)) = node_with(content) else { return };
    let mut client = node.connect();
    client.request("GET", TARGET, &[]);
    client.half_close();
    let response = client.response("GET").expect("an answer").expect_status(200);
    content.expect(0..content.len, &response.body);
    client.closed();
}

#[test]
fn a_slow_reader_gets_every_byte() {
    let content = Content::new(10, 24 * MIB);
    let Some((node, _nginx)) = node_with(content) else { return };
    let mut client = node.connect();
    let head = client.start(TARGET);
    assert_eq!(head.content_length(), Some(content.len));
    let mut follower = Follower::new(content, 0);
    // Socket buffers are full after a few MiB: the node must wait for this client many times.
    for _ in 0..24 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        follower.feed(&client.take(MIB));
    }
    assert_eq!(follower.offset(), content.len);
    let mut nothing = client.sender();
    nothing.set_nonblocking(true).expect("a socket");
    assert!(nothing.read(&mut [0; 1]).is_err(), "nothing follows the body");
}
