//! Behind a balancer: its word about the client reaches the log, the origin, and the site's lists.

use std::io::{Read, Write};
use std::net::TcpStream;

use edge_tests::{
    Certificates, Client, Content, MIB, Node, NodeConfig, Origin, Page, RawOrigin, need,
};

const BODY: Content = Content::new(71, MIB);
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn listener(more: &str) -> String {
    format!("[[listen]]\naddr = \"127.0.0.1:0\"\nproxy_protocol = true\n{more}\n")
}

/// A version 2 header about a client at 192.0.2.LAST, with a field that nobody knows.
fn header(last: u8) -> Vec<u8> {
    let body = [192, 0, 2, last, 127, 0, 0, 1, 0x12, 0x34, 0, 80, 0xe0, 0, 3, 1, 2, 3];
    [SIGNATURE, &[0x21, 0x11, 0, body.len() as u8], &body].concat()
}

#[test]
fn the_client_that_a_balancer_names_is_the_client() {
    let origin = RawOrigin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let access = "[site.access]\ndeny_addresses = [\"192.0.2.66\"]";
    let config = NodeConfig::default().site("*", &origin.url(), &[access]);
    let node = Node::start(config.section(&listener("trusted = [\"127.0.0.0/8\"]")));
    for (number, (last, status)) in [(7, 200), (66, 403)].into_iter().enumerate() {
        let mut client = Client::connect(node.addr_of(1));
        // In two packets, the second with the request's beginning.
        let bytes = header(last);
        client.send(&bytes[..20]);
        client.send([&bytes[20..], b"POST /"].concat());
        let fields = "Host: h\r\nContent-Length: 0\r\nConnection: close";
        client.send(format!("{number} HTTP/1.1\r\n{fields}\r\n\r\n"));
        assert_eq!(client.response("POST").expect("an answer").head.status, status, "{last}");
        let log = edge_tests::eventually("a line in the log", || {
            node.access_log().into_iter().nth(number)
        });
        assert_eq!(log["client"], format!("192.0.2.{last}"), "{log}");
        assert_eq!(log["port"], 0x1234, "{log}");
    }
    assert_eq!(origin.last().field("x-forwarded-for"), Some("192.0.2.7"));
    // The listener beside it believes nothing of the kind.
    let mut plain = Client::connect(node.addr());
    plain.send([&header(7)[..], b"GET /0 HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
    assert_eq!(plain.response("GET").expect("an answer").head.status, 400);
}

#[test]
fn curl_speaks_of_its_client_before_tls() {
    let Some(curl) = need("curl") else { return };
    let (origin, certificates) = (Origin::with("/a", Page::of(BODY)), Certificates::new());
    let (cert, key) = certificates.make("a", &["a.test"]);
    let config = NodeConfig::of(&origin.url()).tls(&[(&cert, &key)]);
    let node = Node::start(config.section(&listener("trusted = [\"127.0.0.1\"]\ntls = true")));
    let port = node.addr_of(2).port();
    let (resolve, url) = (format!("a.test:{port}:127.0.0.1"), format!("https://a.test:{port}/a"));
    let cert = cert.display().to_string();
    for _ in 0..2 {
        let args = ["-sS", "--haproxy-protocol", "--resolve", &resolve, "--cacert", &cert, &url];
        assert!(curl.expect(certificates.dir(), &args) == BODY.bytes(0..BODY.len));
    }
    // Without it the connection is closed: this is no balancer.
    let args = ["-sS", "--resolve", &resolve, "--cacert", &cert, &url];
    assert!(!curl.run(certificates.dir(), &args).status.success());
    assert_eq!(node.metric("edge_proxy_refused_total"), 1);
}

#[test]
fn whoever_is_no_trusted_balancer_gets_no_answer() {
    let origin = Origin::with("/a", Page::of(BODY));
    let config = NodeConfig::of(&origin.url()).server("head_timeout = \"1s\"");
    let config = config.section(&listener("trusted = [\"192.0.2.1\"]"));
    let node = Node::start(config.section(&listener("trusted = [\"127.0.0.1\"]")));
    let get = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
    let strange = [header(7), get.to_vec()].concat();
    let too_long = [SIGNATURE, &[0x21, 0x11, 0xff, 0xff], &[0; 100]].concat();
    let local = [SIGNATURE, &[0x20, 0, 0, 0], get].concat();
    for (listener, bytes, answered) in [
        (1, &strange[..], false),
        (2, &get[..], false),
        (2, &too_long[..], false),
        (2, b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\nGET", false),
        // One that never ends is given up.
        (2, b"PROXY TCP4 1.1.", false),
        (2, &local, true),
    ] {
        let mut socket = TcpStream::connect(node.addr_of(listener)).expect("connect");
        socket.write_all(bytes).expect("write");
        let mut first = [0; 4];
        let got = socket.read(&mut first).unwrap_or(0);
        assert_eq!(got > 0, answered, "{:?}: {:?}", &bytes[..20.min(bytes.len())], &first[..got]);
    }
    node.wait_metric("edge_proxy_refused_total", 4);
}
