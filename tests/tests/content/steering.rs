//! Header rules, CORS, redirects and rewrites.

use edge_tests::process::eventually;
use edge_tests::{Asked, Client, Content, Node, NodeConfig, Origin, Page, RawOrigin, Response};

const BODY: Content = Content::new(70, 10_000);

/// Every value of a field.
fn all<'r>(response: &'r Response, name: &str) -> Vec<&'r str> {
    let fields = response.head.fields.iter();
    fields
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
        .collect()
}

#[track_caller]
fn ask(client: &mut Client, method: &str, target: &str, fields: &[(&str, &str)]) -> Response {
    client.request(method, target, fields);
    client.response(method).unwrap_or_else(|e| panic!("{method} {target}: {e}"))
}

#[test]
fn fields_are_removed_set_and_added() {
    let origin = Origin::with("/a/x", Page { fields: vec!["X-Old: 1".into()], ..Page::of(BODY) });
    let node = Node::start(NodeConfig::default().site(
        "*",
        &origin.url(),
        &[
            "[site.headers]",
            "remove = [\"Server\", \"X-Old\"]",
            "set = { Cache-Control = \"max-age=7\", X-Frame-Options = \"DENY\" }",
            "add = { Link = [\"</1>\", \"</2>\"] }",
            "[[site.rule]]",
            "path = \"/a\"",
            "headers = { set = { X-Frame-Options = \"SAMEORIGIN\" }, add = { X-Rule = \"a\" } }",
        ],
    ));
    let mut client = node.connect();
    let range = [("Range", "bytes=5-9")];
    let tag = [("If-None-Match", "\"v70\"")];
    // A miss, a hit, a part, and 304 are told the same; so is an error, but for the rule of /a.
    for (fields, status) in [(&[][..], 200), (&[], 200), (&range, 206), (&tag, 304)] {
        let response = client.get_with("/a/x", fields).expect_status(status);
        assert_eq!(all(&response, "server"), [""; 0], "{response:?}");
        assert_eq!(all(&response, "x-old"), [""; 0], "{response:?}");
        assert_eq!(all(&response, "cache-control"), ["max-age=7"], "{response:?}");
        assert_eq!(all(&response, "x-frame-options"), ["SAMEORIGIN"], "{response:?}");
        assert_eq!(all(&response, "link"), ["</1>", "</2>"], "{response:?}");
        assert_eq!(all(&response, "x-rule"), ["a"], "{response:?}");
        assert_eq!(all(&response, "etag"), ["\"v70\""], "what no rule names stays");
        if status == 200 {
            BODY.expect(0..BODY.len, &response.body);
        }
    }
    let error = client.get("/nowhere").expect_status(404);
    assert_eq!(all(&error, "x-frame-options"), ["DENY"]);
    assert_eq!(all(&error, "x-rule"), [""; 0]);
}

#[test]
fn origins_are_sent_what_the_rules_say() {
    let origin = RawOrigin::start(|call| {
        while call.head()?.is_some() {
            call.send(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: max-age=60\r\n\r\nok",
            )?;
        }
        Ok(())
    });
    let node = Node::start(NodeConfig::default().site(
        "*",
        &origin.url(),
        &[
            "request_headers = { remove = [\"Cookie\"], set = { X-Token = \"secret\" } }",
            "[[site.rule]]\npath = \"/r\"\nrequest_headers = { add = { X-Rule = \"r\" } }",
        ],
    ));
    let mut client = node.connect();
    let fields = [("Cookie", "a=b"), ("X-Token", "forged"), ("X-Else", "1")];
    for (method, target) in [("GET", "/a"), ("POST", "/r")] {
        ask(&mut client, method, target, &fields).expect_status(200);
    }
    let heads: Vec<Asked> = origin.heads();
    let [get, post] = &heads[..] else { panic!("two requests, not {heads:?}") };
    for head in [get, post] {
        let text = head.text.to_ascii_lowercase();
        assert!(text.contains("x-token: secret\r\n") && !text.contains("forged"), "{text}");
        assert!(!text.contains("cookie") && text.contains("x-else: 1"), "{text}");
        assert_eq!(text.contains("x-rule: r"), text.starts_with("post"), "{text}");
    }
}

#[test]
fn pages_of_other_sites_may_read_what_cors_says() {
    let page =
        Page { fields: vec!["Access-Control-Allow-Origin: http://wrong".into()], ..Page::of(BODY) };
    let origin = Origin::with("/f.woff2", page);
    origin.put("/api/x", Page::of(BODY));
    let node = Node::start(NodeConfig::default().site(
        "*",
        &origin.url(),
        &[
            "[site.cors]",
            "origins = [\"https://app.test\", \"https://*.apps.test\"]",
            "credentials = true",
            "expose = [\"X-Version\"]",
            "max_age = \"1h\"",
            "[[site.rule]]\nsuffixes = [\"woff2\"]\ncors = { origins = \"*\" }",
        ],
    ));
    let mut client = node.connect();
    for (target, from, allowed) in [
        ("/f.woff2", Some("https://anybody.test"), Some("*")),
        ("/f.woff2", None, Some("*")),
        ("/api/x", Some("https://app.test"), Some("https://app.test")),
        ("/api/x", Some("https://a.b.apps.test"), Some("https://a.b.apps.test")),
        ("/api/x", Some("https://evil.test"), None),
        ("/api/x", None, None),
    ] {
        let fields: Vec<(&str, &str)> = from.map(|from| ("Origin", from)).into_iter().collect();
        let response = client.get_with(target, &fields).expect_status(200);
        let said = all(&response, "access-control-allow-origin");
        assert_eq!(said, allowed.into_iter().collect::<Vec<_>>(), "{target} {from:?}");
        let credentials = all(&response, "access-control-allow-credentials");
        assert_eq!(credentials.len(), usize::from(target == "/api/x" && allowed.is_some()));
        assert_eq!(all(&response, "vary") == ["Origin"], target == "/api/x", "{response:?}");
    }
    let before = origin.requests();
    let preflight = |from| {
        [
            ("Origin", from),
            ("Access-Control-Request-Method", "PUT"),
            ("Access-Control-Request-Headers", "x-a, x-b"),
        ]
    };
    let said = ask(&mut client, "OPTIONS", "/api/x", &preflight("https://app.test"));
    let said = said.expect_status(204);
    assert_eq!(all(&said, "access-control-allow-origin"), ["https://app.test"]);
    assert_eq!(all(&said, "access-control-allow-methods"), ["GET, HEAD, OPTIONS"]);
    assert_eq!(all(&said, "access-control-allow-headers"), ["x-a, x-b"]);
    assert_eq!(all(&said, "access-control-max-age"), ["3600"]);
    let refused = ask(&mut client, "OPTIONS", "/api/x", &preflight("https://evil.test"));
    assert_eq!(all(&refused.expect_status(403), "access-control-allow-origin"), [""; 0]);
    assert_eq!(origin.requests(), before, "the node answers preflights itself");
}

#[test]
fn targets_are_redirected_and_rewritten() {
    let origin = Origin::with("/real/x?q=1", Page::of(BODY));
    let rules = [
        "[[site.redirect]]\nexact = \"/old\"\nto = \"/new\"\nstatus = 301",
        "[[site.redirect]]\nprefix = \"/docs/\"\nto = \"https://docs.test/$1\"\nstatus = 308",
        "[[site.redirect]]\nregex = \"^/user/([0-9]+)$\"\nto = \"/u?id=$1\"\nstatus = 307",
        "[[site.redirect]]\nexact = \"/round\"\nto = \"/about\"",
        "[[site.redirect]]\nexact = \"/about\"\nto = \"/round\"",
        "[[site.rewrite]]\nregex = \"^/alias/(.*)$\"\nto = \"/real/$1\"",
        "[[site.rewrite]]\nprefix = \"/real/\"\nto = \"/never/twice/$1\"",
    ];
    let mut node = Node::start(NodeConfig::default().site("*", &origin.url(), &rules));
    let mut client = node.connect();
    for (target, status, to) in [
        ("/old?a=1", 301, "/new?a=1"),
        ("/docs/a%20b", 308, "https://docs.test/a%20b"),
        ("/user/42?drop=1", 307, "/u?id=42"),
    ] {
        for method in ["GET", "HEAD", "DELETE"] {
            let response = ask(&mut client, method, target, &[]).expect_status(status);
            assert_eq!(all(&response, "location"), [to], "{method} {target}");
        }
    }
    client.get("/round").expect_status(508);
    assert_eq!(origin.requests(), 0, "nobody is asked for what is elsewhere");
    // One object under both names, rewritten once only.
    let mut bodies = 0;
    for _ in 0..2 {
        let response = client.get("/alias/x?q=1").expect_status(200);
        BODY.expect(0..BODY.len, &response.body);
        bodies += 1;
    }
    assert_eq!((origin.counts("/real/x?q=1").requests, bodies), (1, 2));
    client.get("/real/x?q=1").expect_status(404);
    let explained = node.edge(&["explain", "http://a.test/alias/x?q=1"]);
    assert!(explained.contains("target /real/x?q=1, by regex"), "{explained}");
    assert!(node.edge(&["explain", "http://a.test/old"]).contains("301 /new"), "says where");
    // What the log names is what the client asked for.
    let asked = |node: &Node| {
        let log = node.access_log();
        log.iter().filter(|line| line["target"] == "/alias/x?q=1").count()
    };
    eventually("the log to name the client's target", || (asked(&node) == 2).then_some(()));
    node.reconfigure(|_| NodeConfig::default().site("*", &origin.url(), &[]));
    node.sighup();
    eventually("a reload to drop the redirects", || {
        (node.get("/old").head.status == 404).then_some(())
    });
}
