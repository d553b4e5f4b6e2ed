//! Access lists: one row a rule, asked with curl.

use edge_tests::mmdb::mmdb;
use edge_tests::process::eventually;
use edge_tests::{Content, Node, NodeConfig, Origin, Page, tools};

use super::curl;

const BODY: Content = Content::new(82, 500);

/// Rules, and what is asked of them: curl's arguments, and the reason it is turned away for; empty: it is not.
type Row = (&'static str, &'static [(&'static [&'static str], &'static str)]);

const REFERERS: Row = (
    "allow_referers = [\".good.test\", \"exact.test\"]\ndeny_referers = [\"bad.good.test\"]\nempty_referer = false",
    &[
        (&["-e", "http://good.test/page"], ""),
        (&["-e", "https://www.good.test:8443/"], ""),
        (&["-e", "http://exact.test/"], ""),
        (&["-e", "http://www.exact.test/"], "referer"),
        (&["-e", "http://bad.good.test/"], "referer"),
        (&["-e", "http://good.test@evil.test/"], "referer"),
        (&["-e", "http://evil.test/?good.test"], "referer"),
        (&[], "referer"),
    ],
);
const ADDRESSES: Row = (
    "allow_addresses = [\"127.0.0.0/8\", \"127.0.0.6\"]\ndeny_addresses = [\"127.0.0.4/30\"]",
    &[
        (&["--interface", "127.0.0.3"], ""),
        (&["--interface", "127.0.0.5"], "address"),
        (&["--interface", "127.0.0.6"], ""),
        (&["--interface", "127.0.0.7"], "address"),
        (&["--interface", "127.0.0.8"], ""),
        // 127.0.0.9 is a proxy that is believed.
        (&["--interface", "127.0.0.9", "-H", "X-Forwarded-For: 127.0.0.3, 127.0.0.5"], "address"),
        (&["--interface", "127.0.0.9", "-H", "X-Forwarded-For: 127.0.0.5, 127.0.0.3"], ""),
        (&["--interface", "127.0.0.9", "-H", "X-Forwarded-For: 192.0.2.1"], "address"),
        (&["--interface", "127.0.0.9", "-H", "X-Forwarded-For: 127.0.0.3, 127.0.0.9"], ""),
        // 127.0.0.3 is not.
        (&["--interface", "127.0.0.3", "-H", "X-Forwarded-For: 127.0.0.5"], ""),
        (&["--interface", "127.0.0.5", "-H", "X-Forwarded-For: 127.0.0.3"], "address"),
    ],
);
const AGENTS: Row = (
    "allow_agents = [\"mozilla/*\", \"curl/*\"]\ndeny_agents = [\"*Bot*\"]",
    &[
        (&[], ""),
        (&["-A", "Mozilla/5.0 (X11)"], ""),
        (&["-A", "Mozilla/5.0 Googlebot/2.1"], "user_agent"),
        (&["-A", "Wget/1.21"], "user_agent"),
        (&["-A", ""], "user_agent"),
    ],
);
const COUNTRIES: Row = (
    "allow_countries = [\"DE\", \"fr\"]",
    &[
        (&["--interface", "127.0.0.2"], ""),
        (&["--interface", "127.0.0.3"], "country"),
        (&["--interface", "127.0.0.4"], "country"),
    ],
);
const NOT_COUNTRIES: Row = (
    "deny_countries = [\"CN\"]",
    &[
        (&["--interface", "127.0.0.2"], ""),
        (&["--interface", "127.0.0.3"], "country"),
        (&["--interface", "127.0.0.4"], ""),
    ],
);

const GEO: [(&str, &str); 3] =
    [("127.0.0.2/32", "DE"), ("127.0.0.3/32", "CN"), ("2001:db8::/32", "FR")];

#[test]
fn every_rule_lets_in_and_turns_away() {
    let Some(tool) = tools::need("curl") else { return };
    let origin = Origin::with("/a", Page::of(BODY));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("country.mmdb");
    std::fs::write(&file, mmdb(&GEO)).expect("written");
    let rows = [REFERERS, ADDRESSES, AGENTS, COUNTRIES, NOT_COUNTRIES];
    let mut config = NodeConfig::default()
        .server("trusted_proxies = [\"127.0.0.9\"]")
        .section(&format!("[geo]\nfile = \"{}\"\n", file.display()));
    for (at, (rules, _)) in rows.iter().enumerate() {
        let access = format!("[site.access]\n{rules}");
        config = config.site(&format!("s{at}.test"), &origin.url(), &[&access]);
    }
    let node = Node::start(config);
    let mut denied = 0;
    for (at, (rules, asked)) in rows.iter().enumerate() {
        let host = format!("Host: s{at}.test");
        for (args, reason) in *asked {
            let args = [*args, &["-H", &host]].concat();
            let got = curl(&tool, &node.url("/a"), &args);
            let status = if reason.is_empty() { 200 } else { 403 };
            assert_eq!(got.what(), (status, *reason), "{rules}: curl {args:?}");
            denied += u64::from(!reason.is_empty());
        }
    }
    assert_eq!(node.metric("edge_site_denied_total"), denied);
    let logged = eventually("every denial in the log", || {
        let log = node.access_log();
        let count = log.iter().filter(|line| line["status"] == 403).count() as u64;
        (count == denied).then_some(log)
    });
    let behind = |line: &&serde_json::Value| {
        line["client"].as_str().is_some_and(|it| it.contains("192.0.2.1"))
    };
    assert_eq!(
        logged.iter().filter(behind).count(),
        1,
        "a client behind a proxy is logged: {logged:?}"
    );
    for (client, said) in [("127.0.0.2", "let in"), ("127.0.0.3", "turned away: country")] {
        let text = node.edge(&["explain", "http://s3.test/a", "--client", client]);
        assert!(text.contains(said), "{client}: {text}");
    }
}

#[test]
fn countries_follow_the_file_at_a_reload() {
    let Some(tool) = tools::need("curl") else { return };
    let origin = Origin::with("/a", Page::of(BODY));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("country.mmdb");
    std::fs::write(&file, mmdb(&GEO)).expect("written");
    let node = Node::start(
        NodeConfig::default().section(&format!("[geo]\nfile = \"{}\"\n", file.display())).site(
            "*",
            &origin.url(),
            &["[site.access]\ndeny_countries = [\"CN\"]"],
        ),
    );
    let status = || curl(&tool, &node.url("/a"), &["--interface", "127.0.0.3"]).status;
    assert_eq!(status(), 403);
    // A broken file changes nothing.
    std::fs::write(&file, b"rubbish").expect("written");
    node.sighup();
    eventually("the reload is refused", || (node.log_count("no MMDB file") > 0).then_some(()));
    assert_eq!(status(), 403);
    std::fs::write(&file, mmdb(&[("127.0.0.3/32", "DE")])).expect("written");
    node.sighup();
    eventually("the new file counts", || (status() == 200).then_some(()));
}

#[test]
fn who_is_turned_away_too_often_is_limited() {
    let origin = Origin::with("/a", Page::of(BODY));
    let node = Node::start(
        NodeConfig::default()
            .guard("exempt_loopback = false")
            .head("[[guard.limit]]\non = \"auth\"\nrate = 1\nburst = 20\n")
            .site("*", &origin.url(), &["[site.access]\nempty_referer = false"]),
    );
    let mut client = node.connect();
    let mut statuses = Vec::new();
    for _ in 0..100 {
        statuses.push(client.get("/a").head.status);
    }
    assert_eq!(statuses[0], 403);
    // Then also what would be let in.
    let after = client.get_with("/a", &[("Referer", "http://a.test/")]);
    assert_eq!(after.head.status, 429, "{statuses:?}");
    assert_eq!(after.head.expect_field("edge-limit"), "auth");
}
