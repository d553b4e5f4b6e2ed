//! Sites: which one answers, what is stored of it for how long and under which key, and who says so.

use edge_tests::node::run_edge;
use edge_tests::process::eventually;
use edge_tests::{Client, Closed, Content, Node, NodeConfig, Origin, Page};
use serde_json::Value;

const BODY: Content = Content::new(70, 1000);

/// A page that says nothing about how long it may be kept, and has no validator.
fn silent(status: u16) -> Page {
    let bare = Page { etag: None, last_modified: None, cache_control: None, ..Page::of(BODY) };
    Page { status, ..bare }
}

fn edge(node: &Node, args: &[&str]) -> (Option<i32>, String) {
    let admin = node.admin_addr().to_string();
    let args: Vec<&str> = args.iter().copied().chain(["--admin", &admin]).collect();
    let output = run_edge(node.dir(), &args);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn json(node: &Node, args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    let (code, said) = edge(node, &args);
    assert_eq!(code, Some(0), "edge {args:?}: {said}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn rules_decide_what_is_stored() {
    let origin = Origin::start();
    for target in ["/plain/a", "/image/a", "/image/a.tmp", "/x.zip"] {
        origin.put(target, silent(200));
    }
    let stubborn = Page { cache_control: Some("no-store".into()), ..silent(200) };
    origin.put("/image/stubborn", stubborn.clone());
    origin.put("/force/stubborn", stubborn);
    origin.put("/image/missing", silent(404));
    let node = Node::start(NodeConfig::of(&origin.url()).site(
        "rules.test",
        &origin.url(),
        &[
            "status_ttl = \"404=60\"",
            "[[site.rule]]\npath = \"/image/\"\nttl = \"1h\"\nweight = 5\nclient_ttl = true",
            "[[site.rule]]\nsuffixes = [\".tmp\"]\nbypass = true\nweight = 9",
            "[[site.rule]]\nsuffixes = [\"zip\"]\nttl = \"1d\"",
            "[[site.rule]]\npath = \"/force\"\nttl = \"1h\"\noverride = true\nignore_no_cache = true",
        ],
    ));
    for (target, asked_of_origin) in [
        ("/plain/a", 2),
        ("/image/a", 1),
        ("/image/a.tmp", 2),
        ("/x.zip", 1),
        ("/image/stubborn", 2),
        ("/force/stubborn", 1),
        ("/image/missing", 1),
    ] {
        let mut client = node.connect().with_host("rules.test");
        let (first, second) = (client.get(target), client.get(target));
        assert_eq!(first.body, second.body, "{target}");
        assert_eq!(origin.counts(target).requests, asked_of_origin, "{target}");
    }
    let told = node.connect().with_host("rules.test").get("/image/a");
    assert_eq!(told.head.expect_field("cache-control"), "max-age=3600");
}

#[test]
fn keys_hold_what_the_origin_sees() {
    let origin = Origin::start();
    for target in ["/a?v=1", "/a?v=2", "/a", "/b?x=1&y=2"] {
        origin.put(target, Page::of(BODY));
    }
    let config = NodeConfig::default()
        .site("keep.test", &origin.url(), &["[site.key]\nkeep = [\"v\"]\nby_host = false"])
        .site("share.test", &origin.url(), &["[site.key]\nshare = \"keep.test\"\nkeep = [\"v\"]"])
        .site("sort.test", &origin.url(), &["[site.key]\nsort = true"])
        .site("*", &origin.url(), &[]);
    let node = Node::start(config);
    let get = |host: &str, target: &str| {
        node.connect().with_host(host).get(target).expect_status(200);
    };
    get("keep.test", "/a?utm=1&v=1");
    get("keep.test", "/a?v=1&utm=2");
    get("share.test", "/a?v=1");
    assert_eq!((origin.counts("/a?v=1").requests, origin.requests()), (1, 1));
    get("keep.test", "/a?v=2");
    assert_eq!(origin.counts("/a?v=2").requests, 1);
    // A purge by URL means what the key means.
    edge(&node, &["purge", "http://share.test/a?junk=1&v=1"]);
    get("keep.test", "/a?v=1");
    assert_eq!(origin.counts("/a?v=1").requests, 2);
    get("sort.test", "/b?y=2&x=1");
    get("sort.test", "/b?x=1&y=2");
    assert_eq!(origin.counts("/b?x=1&y=2").requests, 1);
    // The origin is asked for the client's host: an answer for one is not another's.
    get("one.test", "/a");
    get("other.test", "/a");
    get("one.test", "/a");
    assert_eq!(origin.counts("/a").requests, 2);
}

#[test]
fn domains_come_go_and_survive() {
    let origin = Origin::with("/a", Page::of(BODY));
    let url = origin.url();
    let config = NodeConfig::default().site("fixed.test", &url, &[]).head("[domains]\nmax = 3");
    let mut node = Node::start(config);
    let status = |node: &Node, host: &str| node.connect().with_host(host).get("/a").head.status;
    assert_eq!(status(&node, "new.test"), 421);
    let (code, said) = edge(&node, &["domain", "add", "new.test", "--origin", &url]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(status(&node, "new.test"), 200, "without a restart");
    let (code, said) =
        edge(&node, &["domain", "add", "*.wild.test", "--origin", &url, "--preset", "web"]);
    assert_eq!(code, Some(0), "{said}");
    for (args, expected) in [
        (&["domain", "add", "new.test", "--origin", &url][..], "DomainAlreadyExist"),
        (&["domain", "add", "more.test", "--origin", &url], "QuotaExceeded.Domain"),
        (&["domain", "rm", "fixed.test"], "DomainIsConfigured"),
        (&["domain", "rm", "absent.test"], "DomainNotFound"),
    ] {
        let (code, said) = edge(&node, args);
        assert_eq!(code, Some(1), "{args:?}: {said}");
        assert!(said.contains(expected), "{args:?}: {said}");
    }
    node.kill9();
    node.start_again();
    assert_eq!([status(&node, "new.test"), status(&node, "x.wild.test")], [200, 200]);
    let all = json(&node, &["domain", "ls"]);
    assert_eq!((&all["count"], all["domains"].as_array().map(Vec::len)), (&3.into(), Some(3)));
    assert_eq!(json(&node, &["domain", "show", "*.wild.test"])["preset"], "web");
    assert_eq!(edge(&node, &["domain", "rm", "new.test"]).0, Some(0));
    assert_eq!(status(&node, "new.test"), 421);
    node.sighup();
    eventually("a reload", || (node.log_count("reloaded") > 0).then_some(()));
    assert_eq!([status(&node, "fixed.test"), status(&node, "y.wild.test")], [200, 200]);
}

#[test]
fn unknown_hosts_are_closed_or_given_a_site() {
    let origin = Origin::with("/a", Page::of(BODY));
    let config = |unknown: &str| {
        let line = format!("[domains]\nunknown_host = \"{unknown}\"");
        NodeConfig::default().site("a.test", &origin.url(), &[]).head(&line)
    };
    let node = Node::start(config("close"));
    let mut client: Client = node.connect().with_host("b.test");
    client.request("GET", "/a", &[]);
    assert_eq!(client.closed(), Closed::Fin);
    assert_eq!(client.received_bytes(), 0, "no answer at all");
    node.connect().with_host("a.test").get("/a").expect_status(200);
    let node = Node::start(config("a.test"));
    node.connect().with_host("b.test").get("/a").expect_status(200);
}

#[test]
fn explain_says_what_decides() {
    let origin = Origin::with("/image/a.png?v=1", Page::of(BODY));
    origin.put("/silent.png", Page { cache_control: None, ..Page::of(BODY) });
    let node = Node::start(NodeConfig::default().site(
        "a.test",
        &origin.url(),
        &[
            "preset = \"web\"",
            "[site.key]\nkeep = [\"v\"]",
            "[[site.rule]]\nsuffixes = [\"png\"]\nttl = \"2h\"\nweight = 7",
        ],
    ));
    let explain = |url: &str| json(&node, &["explain", url]);
    let lines = |explained: &Value| explained["lines"].to_string();
    let url = "http://a.test/image/a.png?utm=1&v=1";
    let cold = explain(url);
    assert_eq!(cold["outcome"], "miss");
    for part in
        ["preset web", "argument v=1", "path /image/a.png", "default_ttl 10m", "stored for 2h"]
    {
        assert!(lines(&cold).contains(part), "{part} in {cold:#}");
    }
    assert_eq!(origin.requests(), 0, "nobody is asked");
    node.connect().with_host("a.test").get("/image/a.png?v=1").expect_status(200);
    let warm = explain(url);
    assert_eq!((&warm["outcome"], &warm["key"]), (&"hit".into(), &cold["key"]));
    assert!(lines(&warm).contains("RFC 9111 section 5.2.2.1"), "max-age decides: {warm:#}");
    node.connect().with_host("a.test").get("/silent.png").expect_status(200);
    let (code, said) = edge(&node, &["explain", "http://a.test/silent.png"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("lifetime 7200.000 s  [rule ttl, "), "{said}");
    edge(&node, &["purge", "http://a.test/silent.png"]);
    let purged = explain("http://a.test/silent.png");
    assert_eq!(purged["outcome"], "miss");
    assert!(lines(&purged).contains("purge 1"), "{purged:#}");
    assert_eq!(explain("http://b.test/")["outcome"], "unknown_host");
    assert_eq!(edge(&node, &["explain", "nonsense"]).0, Some(1));
}

#[test]
fn explain_says_why_a_stored_response_is_used_or_not() {
    let origin = Origin::start();
    let page = |control: &str, fields: &[&str]| Page {
        cache_control: Some(control.into()),
        fields: fields.iter().map(|field| field.to_string()).collect(),
        ..Page::of(BODY)
    };
    origin.put("/a", page("max-age=600, stale-if-error=60", &[]));
    origin.put("/old", page("max-age=60, must-revalidate", &["Age: 70"]));
    origin.put("/while", page("max-age=60, stale-while-revalidate=600", &["Age: 70"]));
    origin.put("/targeted", page("no-store", &["CDN-Cache-Control: max-age=60"]));
    origin.put("/vary", page("max-age=600", &["Vary: Accept-Language"]));
    origin.put("/part", Page::of(Content::new(71, 3 << 20)));
    let node = Node::start(NodeConfig::default().site(
        "a.test",
        &origin.url(),
        &[
            "bypass_cookies = [\"session\"]",
            "methods = [\"GET\", \"HEAD\", \"POST\"]",
            "finish = \"never\"",
        ],
    ));
    for target in ["/a", "/old", "/while", "/targeted", "/vary"] {
        node.connect().with_host("a.test").get(target).expect_status(200);
    }
    let range = [("Range", "bytes=0-9")];
    node.connect().with_host("a.test").get_with("/part", &range).expect_status(206);
    let rows = [
        ("/a", "", "hit", "stands in for a failing origin for "),
        ("/a", "", "hit", "Cache-Control: max-age=600, stale-if-error=60"),
        ("/a", "Cache-Control: no-cache", "revalidate", "asked first: the client says no-cache"),
        ("/a", "Pragma: no-cache", "revalidate", "section 5.2.1.4"),
        ("/a", "Cookie: session=1", "passed on", "a cookie of the site's"),
        ("/a", "Content-Length: 1", "passed on", "its body is in no key"),
        ("/old", "", "revalidate", "asked first: it is stale"),
        ("/old", "Cache-Control: max-stale", "revalidate", "may not be used stale"),
        ("/old", "Cache-Control: only-if-cached", "not cached", "504: it is stale"),
        ("/while", "", "stale", "RFC 5861 section 3"),
        ("/while", "Cache-Control: max-stale", "stale", "RFC 9111 section 5.2.1.2"),
        ("/targeted", "", "hit", "CDN-Cache-Control: max-age=60"),
        ("/vary", "", "hit", "variant by accept-language"),
        ("/vary", "Accept-Language: de", "miss", "variants by accept-language, none for"),
        ("/none", "Cache-Control: only-if-cached", "not cached", "504: nothing is stored"),
        ("/none", "Cache-Control: no-store", "miss", "not stored: the client says no-store"),
        ("/part", "", "partial", "bytes that are not there are asked for"),
    ];
    let asked = origin.requests();
    for (target, field, outcome, line) in rows {
        let url = format!("http://a.test{target}");
        let mut args = vec!["explain", &url];
        if !field.is_empty() {
            args.extend(["-H", field]);
        }
        let said = json(&node, &args);
        assert_eq!(said["outcome"], outcome, "{target} {field}: {said:#}");
        let (_, text) = edge(&node, &args);
        assert!(text.contains(line), "{target} {field}: no {line:?} in\n{text}");
    }
    for (method, outcome) in [("POST", "passed on"), ("PUT", "refused"), ("HEAD", "hit")] {
        let said = json(&node, &["explain", "http://a.test/a", "--method", method]);
        assert_eq!(said["outcome"], outcome, "{method}: {said:#}");
    }
    assert_eq!(origin.requests(), asked, "nobody is asked");
}

#[test]
fn a_reload_applies_what_it_can_and_names_the_rest() {
    let origin = Origin::with("/a", Page::of(BODY));
    let mut node = Node::start(NodeConfig::of(&origin.url()));
    node.reconfigure(|config| config.server("head_timeout = \"200ms\"\nfill_threads = 7"));
    node.sighup();
    eventually("what waits is named", || {
        (node.log_count("server.fill_threads waits for a restart") > 0).then_some(())
    });
    assert_eq!(node.log_count("head_timeout waits"), 0);
    let mut client = node.connect();
    client.send("GET /a HTTP/1.1\r\n");
    let head = client.head().expect("an answer to half a head");
    assert_eq!(head.status, 408, "the new time-out holds for who comes now");
    // Only a restart undoes that it waits.
    node.sighup();
    eventually("it still waits", || {
        (node.log_count("server.fill_threads waits for a restart") > 1).then_some(())
    });
}
