//! HTTPS: real clients, certificates by name, reload, resumption, and what is not TLS.

mod balancer;
mod reload;
mod sites;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use edge_tests::process::eventually;
use edge_tests::{Certificates, Content, MIB, Node, NodeConfig, Origin, Page, Tool, need};
use sha2::{Digest, Sha256};

const BODY: Content = Content::new(70, 24 * MIB);

/// curl to `host` at the node's TLS listener, trusting `cert`; what it printed.
fn curl(tool: &Tool, node: &Node, (host, cert): (&str, &Path), args: &[&str]) -> Vec<u8> {
    let output = try_curl(tool, node, (host, cert), args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "curl {args:?}: {} {said}", output.status);
    output.stdout
}

fn try_curl(
    tool: &Tool,
    node: &Node,
    (host, cert): (&str, &Path),
    args: &[&str],
) -> std::process::Output {
    let port = node.addr_of(1).port();
    let (resolve, url) = (format!("{host}:{port}:127.0.0.1"), format!("https://{host}:{port}/a"));
    let cert = cert.display().to_string();
    let mut all = vec!["-sS", "--http1.1", "--resolve", &resolve, "--cacert", &cert];
    all.extend(args);
    all.push(&url);
    tool.run(Path::new("/"), &all)
}

fn sha(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn origin() -> Origin {
    Origin::with("/a", Page::of(BODY))
}

#[test]
fn curl_gets_the_whole_and_ranges_cold_and_warm() {
    let Some(tool) = need("curl") else { return };
    let (origin, certificates) = (origin(), Certificates::new());
    let (cert, key) = certificates.make("a", &["a.test"]);
    let node = Node::start(NodeConfig::of(&origin.url()).tls(&[(&cert, &key)]));
    let expected = BODY.bytes(0..BODY.len);
    for (pass, version) in ["--tlsv1.3", "--tlsv1.3", "--tls-max=1.2"].into_iter().enumerate() {
        let version = version.split('=').collect::<Vec<_>>();
        let got = curl(&tool, &node, ("a.test", &cert), &version);
        assert!(got == expected, "pass {pass}: {} bytes, {}", got.len(), sha(&got));
        for range in ["0-0", "1048570-1048590", "5000000-9999999", "-100"] {
            let got = curl(&tool, &node, ("a.test", &cert), &["-r", range]);
            let (start, end) = match range.split_once('-').expect("a dash") {
                ("", last) => (BODY.len - last.parse::<u64>().unwrap(), BODY.len),
                (first, last) => (first.parse().unwrap(), last.parse::<u64>().unwrap() + 1),
            };
            assert!(got == BODY.bytes(start..end), "{range}");
        }
    }
    // What the log says is what clients were sent, sealed or not.
    node.wait_metric("edge_tls_handshakes_total", 15);
    assert_eq!(node.metric("edge_tls_handshake_failures_total"), 0);
}

#[test]
fn the_name_chooses_the_certificate_and_a_reload_changes_it() {
    let Some(tool) = need("curl") else { return };
    let (origin, certificates) = (origin(), Certificates::new());
    let first = certificates.make("first", &["a.test"]);
    let second = certificates.make("second", &["*.b.test"]);
    let pairs = [(&*first.0, &*first.1), (&*second.0, &*second.1)];
    let node = Node::start(NodeConfig::of(&origin.url()).tls(&pairs));
    let range = ["-r", "0-99"];
    assert_eq!(curl(&tool, &node, ("a.test", &first.0), &range).len(), 100);
    assert_eq!(curl(&tool, &node, ("x.b.test", &second.0), &range).len(), 100);
    let wrong = try_curl(&tool, &node, ("x.b.test", &first.0), &range);
    assert_eq!(wrong.status.code(), Some(60), "curl's code of a certificate it does not trust");

    // A file that is no certificate changes nothing; a good one takes over at once.
    let kept = fs::read(&first.0).expect("the certificate");
    fs::write(&first.0, "nonsense").expect("write");
    node.sighup();
    eventually("the refusal in the log", || {
        (node.log_count("no certificate in it") > 0).then_some(())
    });
    let old = certificates.path("old.pem");
    fs::write(&old, kept).expect("write");
    assert_eq!(curl(&tool, &node, ("a.test", &old), &range).len(), 100);
    certificates.make("first", &["a.test"]);
    node.sighup();
    eventually("the new certificate", || {
        let output = try_curl(&tool, &node, ("a.test", &first.0), &range);
        output.status.success().then_some(())
    });
}

#[test]
fn openssl_resumes_its_session() {
    let Some(tool) = need("openssl") else { return };
    let (origin, certificates) = (origin(), Certificates::new());
    let (cert, key) = certificates.make("a", &["a.test"]);
    let node = Node::start(NodeConfig::of(&origin.url()).tls(&[(&cert, &key)]));
    let (addr, ca) = (node.addr_of(1).to_string(), cert.display().to_string());
    let session = certificates.path("session").display().to_string();
    let ask = "printf 'GET /a HTTP/1.1\\r\\nHost: a.test\\r\\nRange: bytes=0-9\\r\\nConnection: close\\r\\n\\r\\n'";
    for (flag, resumed) in [("-sess_out", false), ("-sess_in", true)] {
        let line = format!(
            "({ask}; sleep 1) | {} s_client -connect {addr} -servername a.test -CAfile {ca} {flag} {session} -ign_eof",
            tool.path().display()
        );
        let output = std::process::Command::new("sh").args(["-c", &line]).output().expect("sh");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("206 Partial Content"), "{said}");
        assert_eq!(said.contains("Reused, TLSv1.3"), resumed, "{said}");
    }
    assert_eq!(node.metric("edge_tls_resumptions_total"), 1);
}

#[test]
fn what_is_not_tls_gets_an_alert_and_no_answer() {
    let (origin, certificates) = (origin(), Certificates::new());
    let (cert, key) = certificates.make("a", &["a.test"]);
    let node = Node::start(NodeConfig::of(&origin.url()).tls(&[(&cert, &key)]));
    let mut plain = TcpStream::connect(node.addr_of(1)).expect("connect");
    plain.write_all(b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n").expect("write");
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said);
    assert!(said.first().is_none_or(|first| *first == 21), "an alert, not {said:?}");
    node.wait_metric("edge_tls_handshake_failures_total", 1);
    // The plain listener beside it is not disturbed.
    node.get("/a").expect_status(200);
}

#[test]
fn handshakes_that_fail_or_never_end_are_counted_and_held_against_their_client() {
    let (origin, certificates) = (origin(), Certificates::new());
    let (cert, key) = certificates.make("a", &["a.test"]);
    let limit = "mode = \"enforce\"\nexempt_loopback = false\n[[guard.limit]]\n\
                 on = \"handshake_failures\"\nrate = 1\nburst = 4\nthen = \"ban\"\nfor = \"1h\"\n";
    let config = NodeConfig::of(&origin.url()).server("head_timeout = \"1s\"").guard(limit);
    let node = Node::start(config.tls(&[(&cert, &key)]));
    // One says nothing: its time runs out.
    let mut mute = TcpStream::connect(node.addr_of(1)).expect("connect");
    assert_eq!(mute.read(&mut [0]).unwrap_or(0), 0, "nothing is said to it");
    node.wait_metric("edge_tls_handshake_failures_total", 1);
    // Others are no TLS. Sooner or later they are not heard any more.
    eventually("a ban", || {
        let mut plain = TcpStream::connect(node.addr_of(1)).expect("connect");
        let _ = plain.write_all(b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let _ = plain.read_to_end(&mut Vec::new());
        (node.metric("edge_conns_banned_total") > 0).then_some(())
    });
}
