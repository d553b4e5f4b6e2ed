//! Signed links: every scheme, what is wrong with a link, and what is stored of it.

use edge_tests::node::run_edge;
use edge_tests::process::eventually;
use edge_tests::{Content, Node, NodeConfig, Origin, Page, tools};

use super::curl;

const BODY: Content = Content::new(81, 2000);
const KEY: &str = "aliyuncdnexp1234";
const BACKUP: &str = "bliyuncdnexp1234";

/// The published links, of long ago: well signed, and over. Scheme, link.
const VECTORS: [(&str, &str); 4] = [
    ("A", "/video/standard/1K.html?auth_key=1444435200-0-0-80cd3862d699b7118eed99103f2a3a4f"),
    (
        "B",
        "/201508150800/9044548ef1527deadafa49a890a377f0/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3",
    ),
    ("C", "/a37fa50a5fb8f71214b1e7c95ec7a1bd/55CE8100/test.flv"),
    ("C", "/test.flv?KEY1=a37fa50a5fb8f71214b1e7c95ec7a1bd&KEY2=55CE8100"),
];

fn lines(scheme: &str, keys: &str) -> String {
    format!("[site.sign]\ntype = \"{scheme}\"\nkeys = [{keys}]")
}

fn node(origin: &Origin, scheme: &str) -> Node {
    Node::start(NodeConfig::default().site(
        "*",
        &origin.url(),
        &[&lines(scheme, &format!("\"{KEY}\", \"{BACKUP}\""))],
    ))
}

/// `edge sign`, with a key in the environment of the command line's.
fn signed(node: &Node, scheme: &str, key: &str, url: &str, more: &[&str]) -> String {
    let args = [&["sign", url, "--type", scheme, "--key", key], more].concat();
    let output = run_edge(node.dir(), &args);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

#[test]
fn links_are_good_for_a_time_and_stored_without_their_signature() {
    let Some(tool) = tools::need("curl") else { return };
    for scheme in ["A", "B", "C", "F", "sha256"] {
        let origin = Origin::start();
        let targets = ["/dir/a%20b.bin", "/dir/a%20b.bin?v=2&w"];
        targets.iter().for_each(|target| origin.put(target, Page::of(BODY)));
        let node = node(&origin, scheme);
        for target in targets {
            let url = node.url(target);
            // Of two keys, at two times: one object.
            let now = signed(&node, scheme, KEY, &url, &[]);
            let other = signed(&node, scheme, BACKUP, &url, &[]);
            assert_ne!(now, other);
            for link in [&now, &other] {
                let got = curl(&tool, link, &[]);
                assert_eq!(got.what(), (200, ""), "{link}");
                assert_eq!(got.body, BODY.bytes(0..2000), "{link}");
            }
            assert_eq!(
                origin.counts(target).requests,
                1,
                "{scheme} {target}: {}",
                origin.requests()
            );
            let ranged = curl(&tool, &now, &["-r", "100-199"]);
            assert_eq!((ranged.status, ranged.body), (206, BODY.bytes(100..200)), "{now}");
            let unsigned = curl(&tool, &url, &[]);
            assert_eq!(unsigned.what(), (403, "signature_missing"), "{scheme} {url}");
            let old = signed(&node, scheme, KEY, &url, &["--at", "1444435200"]);
            assert_eq!(curl(&tool, &old, &[]).what(), (403, "signature_expired"), "{old}");
            let strange = signed(&node, scheme, "cliyuncdnexp1234", &url, &[]);
            assert_eq!(curl(&tool, &strange, &[]).what(), (403, "signature_invalid"), "{strange}");
        }
        assert_eq!(origin.requests(), 2, "{scheme}: nobody else came to the origin");
    }
}

#[test]
fn published_links_are_ours_and_over() {
    let Some(tool) = tools::need("curl") else { return };
    let origin = Origin::start();
    for (scheme, link) in VECTORS {
        let node = node(&origin, scheme);
        // A signature is looked at before its time is.
        assert_eq!(curl(&tool, &node.url(link), &[]).what(), (403, "signature_expired"), "{link}");
        let at = link.rfind('.').expect("a suffix") - 1;
        let mut changed = link.to_owned();
        changed.replace_range(at..=at, "_");
        let got = curl(&tool, &node.url(&changed), &[]);
        assert_eq!(got.what(), (403, "signature_invalid"), "{changed}");
    }
    assert_eq!(origin.requests(), 0);
}

#[test]
fn keys_change_with_a_reload_and_are_shown_nowhere() {
    let Some(tool) = tools::need("curl") else { return };
    let origin = Origin::with("/a", Page::of(BODY));
    let mut node = node(&origin, "A");
    let old = signed(&node, "A", BACKUP, &node.url("/a"), &[]);
    assert_eq!(curl(&tool, &old, &[]).what(), (200, ""));
    node.reconfigure(|_| {
        let keys = format!("\"dliyuncdnexp1234\", \"{KEY}\"");
        NodeConfig::default().site("*", &origin.url(), &[&lines("A", &keys)])
    });
    node.sighup();
    let new = signed(&node, "A", "dliyuncdnexp1234", &node.url("/a"), &[]);
    eventually("the new key is taken", || (curl(&tool, &new, &[]).status == 200).then_some(()));
    assert_eq!(curl(&tool, &old, &[]).what(), (403, "signature_invalid"));
    let denied = |reason| node.metrics().sum("edge_site_denied_total", &[("reason", reason)]);
    assert!(denied("signature_invalid") >= 1, "{:?}", node.log_tail());
    let logged = eventually("a denial in the log", || {
        let log = node.access_log();
        log.iter()
            .any(|line| line["reason"] == "signature_invalid" && line["status"] == 403)
            .then_some(log)
    });
    let explained = node.edge(&["explain", &old]);
    assert!(explained.contains("not good: signature_invalid"), "{explained}");
    let explained = node.edge(&["explain", &new]);
    assert!(explained.contains("good; goes on as /a"), "{explained}");
    let said = format!(
        "{logged:?}{}{explained}{}",
        node.log_tail(),
        node.edge(&["domain", "ls", "--json"])
    );
    assert!(!said.contains("iyuncdnexp1234"), "a key is shown: {said}");
}

#[test]
fn a_domain_added_at_run_time_signs_too() {
    let Some(tool) = tools::need("curl") else { return };
    let origin = Origin::with("/a", Page::of(BODY));
    let node = Node::start(NodeConfig::default().site("first.test", &origin.url(), &[]));
    let sign = format!("sign={{\"type\":\"C\",\"keys\":[\"{KEY}\"]}}");
    let access = "access={\"deny_agents\":[\"*wget*\"]}";
    node.edge(&[
        "domain",
        "add",
        "s.test",
        "--origin",
        &origin.url(),
        "--set",
        &sign,
        "--set",
        "sign.ttl=1h",
        "--set",
        access,
    ]);
    let at = format!("s.test:{}:127.0.0.1", node.addr().port());
    let url = format!("http://s.test:{}/a", node.addr().port());
    let resolve = ["--resolve", &at];
    assert_eq!(curl(&tool, &url, &resolve).what(), (403, "signature_missing"));
    let link = signed(&node, "C", KEY, &url, &[]);
    assert_eq!(curl(&tool, &link, &resolve).what(), (200, ""));
    let agent = [&resolve[..], &["-A", "Wget/1.21"]].concat();
    assert_eq!(curl(&tool, &link, &agent).what(), (403, "user_agent"));
    let kept = std::fs::read_to_string(node.dir().join("edge.domains.toml")).expect("kept");
    assert!(kept.contains("[site.sign]"), "{kept}");
}
