//! Records sealed by the kernel where it can, by the worker elsewhere: every suite, with losses where
//! this host has `netem`, and the counters of both sides.

use std::process::Command;

use edge_tests::{Certificates, Content, MIB, Node, NodeConfig, Origin, Page, Tool, need};

use crate::guest;

/// Small: a guest seals some MiB a second.
const BODY: Content = Content::new(91, 2 * MIB);
/// curl's names: (version, suite).
const SUITES: [(&str, &str); 6] = [
    ("1.3", "TLS_AES_128_GCM_SHA256"),
    ("1.3", "TLS_AES_256_GCM_SHA384"),
    ("1.3", "TLS_CHACHA20_POLY1305_SHA256"),
    ("1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ("1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    ("1.2", "ECDHE-ECDSA-CHACHA20-POLY1305"),
];

/// A node, its certificate, its origin.
struct Stage {
    node: Node,
    certificates: Certificates,
    _origin: Origin,
}

impl Stage {
    fn new(lines: &str) -> Stage {
        let origin = Origin::with("/a", Page::of(BODY));
        let certificates = Certificates::new();
        let (cert, key) = certificates.make("a", &["a.test"]);
        let config = NodeConfig::of(&origin.url()).section(lines).tls(&[(&cert, &key)]);
        Stage { node: Node::start(config), certificates, _origin: origin }
    }

    fn curl(&self, curl: &Tool, args: &[&str]) -> Vec<u8> {
        let port = self.node.addr_of(1).port();
        let resolve = format!("a.test:{port}:127.0.0.1");
        let cert = self.certificates.path("a.pem").display().to_string();
        let url = format!("https://a.test:{port}/a");
        let mut all = vec!["-sS", "--http1.1", "--resolve", &resolve, "--cacert", &cert];
        all.extend(args);
        all.push(&url);
        curl.expect(self.certificates.dir(), &all)
    }

    fn offloads(&self, mode: &str) -> u64 {
        self.node.metrics().sum("edge_tls_offload_total", &[("mode", mode)])
    }
}

/// Sockets that the kernel has begun to seal for, in this network namespace; `None` without kTLS.
fn kernel_count() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/net/tls_stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("TlsTxSw"))?;
    line.trim().parse().ok()
}

/// Losses and reordering on loopback while it lives; guests have `netem`, other hosts are left alone.
struct Losses;

impl Losses {
    fn new() -> Option<Losses> {
        guest()?;
        let tc = [
            "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms", "loss", "1%", "reorder",
            "5%",
        ];
        let done = Command::new("tc").args(tc).status().expect("a guest has tc");
        assert!(done.success(), "a guest has netem");
        Some(Losses)
    }
}

impl Drop for Losses {
    fn drop(&mut self) {
        let _ = Command::new("tc").args(["qdisc", "del", "dev", "lo", "root"]).status();
    }
}

/// Every suite, whole and by range; bytes are right whoever seals, and both sides count the same.
fn every_suite(curl: &Tool) {
    let stage = Stage::new("");
    let before = kernel_count();
    assert!(guest().is_none() || before.is_some(), "a guest has kTLS");
    let body = BODY.bytes(0..BODY.len);
    for (version, suite) in SUITES {
        let list = if version == "1.3" { "--tls13-ciphers" } else { "--ciphers" };
        let tls = format!("--tlsv{version}");
        let fixed = ["--tls-max", version, &tls, list, suite];
        assert!(stage.curl(curl, &fixed) == body, "{suite}");
        let range = [&fixed[..], &["-r", "1048000-2000000"]].concat();
        assert!(stage.curl(curl, &range) == BODY.bytes(1_048_000..2_000_001), "{suite}");
    }
    let (kernel, user) = (stage.offloads("kernel"), stage.offloads("user"));
    assert_eq!(kernel + user, 12, "every connection was decided once");
    let Some(before) = before else {
        assert_eq!(kernel, 0);
        return;
    };
    assert_eq!(kernel, 12, "the kernel seals every suite");
    assert_eq!(kernel_count(), Some(before + kernel), "both sides count the same");
    // What the workers wrote is handshakes: the files went from the page cache to the kernel.
    let sealed = stage.node.metric("edge_tls_sent_bytes_total");
    assert!(sealed < 12 * 8192, "{sealed} bytes of records were sealed by the workers");
    assert!(stage.node.metric("edge_sent_bytes_total") > 6 * BODY.len);
}

#[test]
fn ktls_every_suite_gives_the_right_bytes() {
    let Some(curl) = need("curl") else { return };
    every_suite(&curl);
}

#[test]
fn ktls_loses_nothing_on_a_line_that_loses_and_reorders() {
    let Some(curl) = need("curl") else { return };
    let Some(_losses) = Losses::new() else { return };
    every_suite(&curl);
}

#[test]
fn ktls_a_slow_client_of_a_connection_that_closes_gets_the_last_byte() {
    let Some(curl) = need("curl") else { return };
    let stage = Stage::new("");
    for version in ["1.2", "1.3"] {
        let args = ["--tls-max", version, "--limit-rate", "2M", "-H", "Connection: close"];
        assert!(stage.curl(&curl, &args) == BODY.bytes(0..BODY.len), "{version}");
    }
    // And one whose end only the close_notify tells.
    assert!(stage.curl(&curl, &["-0"]) == BODY.bytes(0..BODY.len));
    stage.node.wait_all_closed();
}

#[test]
fn ktls_can_be_turned_off() {
    let Some(curl) = need("curl") else { return };
    let stage = Stage::new("[tls]\noffload = \"off\"\n");
    assert!(stage.curl(&curl, &[]) == BODY.bytes(0..BODY.len));
    assert_eq!((stage.offloads("kernel"), stage.offloads("user")), (0, 1));
}

#[test]
fn ktls_keys_changed_by_the_client_are_followed() {
    let Some(openssl) = need("openssl") else { return };
    let stage = Stage::new("");
    let addr = stage.node.addr_of(1);
    let get = "printf 'GET /a HTTP/1.1\\r\\nHost: a.test\\r\\nRange: bytes=0-9\\r\\n\\r\\n'";
    // `k` on a line of its own changes the client's key.
    let line = format!(
        "({get}; sleep 1; printf 'k\\n'; sleep 1; {get}; sleep 1) | {} s_client -connect {addr} -servername a.test 2>&1",
        openssl.path().display()
    );
    let output = Command::new("sh").args(["-c", &line]).output().expect("sh");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("KEYUPDATE"), "{said}");
    assert_eq!(said.matches("206 Partial Content").count(), 2, "{said}");
}
