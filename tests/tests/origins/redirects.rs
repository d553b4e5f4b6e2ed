//! Redirects that are followed here, and ranges that are asked for or not.

use edge_tests::{Content, Node, Origin, Page, RawOrigin, need};

use crate::{answer, body, node};

fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

/// Answers by target; anything else is a 404.
fn scripted(rows: Vec<(&'static str, String)>) -> RawOrigin {
    RawOrigin::start(move |call| {
        while let Some(asked) = call.head()? {
            let row = rows.iter().find(|(target, _)| *target == asked.target());
            let missing = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_owned();
            call.send(row.map_or(missing, |(_, answer)| answer.clone()))?;
        }
        Ok(())
    })
}

#[test]
fn redirects_are_followed_within_limits_and_stored_under_the_first_url() {
    let storable = answer("final").replace("no-store", "max-age=60");
    let origin = scripted(vec![
        ("/a", redirect(302, "/b")),
        ("/b", redirect(307, "c?x=1")),
        ("/c?x=1", storable),
        ("/far", redirect(302, "/a")),
        ("/loop", redirect(302, "/loop")),
    ]);
    let node = node(&format!("origin = \"{}\"\nfollow_redirects = true", origin.url()));
    assert_eq!(body(&node, "/a"), "final");
    assert_eq!(body(&node, "/a"), "final");
    let targets: Vec<String> =
        origin.heads().iter().map(|asked| asked.target().to_owned()).collect();
    assert_eq!(targets, ["/a", "/b", "/c?x=1"], "the second was a hit");
    // Three hops, where two are followed: the client is sent the last.
    let far = node.get("/far");
    assert_eq!((far.head.status, far.head.expect_field("location")), (307, "c?x=1"));
    let before = origin.heads().len();
    assert_eq!(node.get("/loop").head.status, 302);
    assert_eq!(origin.heads().len(), before + 3, "a loop has an end");
}

#[test]
fn by_default_clients_are_sent_redirects() {
    let origin = scripted(vec![("/a", redirect(302, "/b"))]);
    let node = node(&format!("origin = \"{}\"", origin.url()));
    assert_eq!(node.get("/a").head.status, 302);
}

#[test]
fn strangers_are_followed_only_where_named_and_see_no_credentials() {
    let other = RawOrigin::answering(answer("other"));
    let at = other.url().replace("127.0.0.1", "localhost");
    let origin = scripted(vec![
        ("/named", redirect(302, &format!("{at}/x"))),
        ("/unnamed", redirect(302, "http://evil.test/x")),
        ("/same", redirect(302, "/inner")),
        ("/inner", answer("inner")),
    ]);
    let node = node(&format!(
        "origin = \"{}\"\nfollow_redirects = 1\nredirect_hosts = [\"localhost\"]",
        origin.url()
    ));
    let secrets = [("Cookie", "session=1"), ("Authorization", "Basic eDp5"), ("X-Other", "1")];
    let get = |target: &str| node.connect().get_with(target, &secrets);
    assert_eq!(get("/named").expect_status(200).body, b"other");
    let asked = other.last();
    assert_eq!((asked.field("cookie"), asked.field("authorization")), (None, None));
    assert_eq!(asked.field("x-other"), Some("1"));
    assert_eq!(asked.field("host"), Some(at.trim_start_matches("http://")));
    assert_eq!(get("/unnamed").head.status, 302);
    assert_eq!(get("/same").expect_status(200).body, b"inner");
    assert_eq!(origin.last().field("cookie"), Some("session=1"), "the same host may see it");
}

fn ranged(range_fetch: &str) -> (Origin, Node) {
    let origin = Origin::with("/a", Page::of(Content::new(9, 3 << 20)));
    let url = origin.url();
    let node = node(&format!("origin = \"{url}\"\nrange_fetch = \"{range_fetch}\""));
    (origin, node)
}

#[test]
fn ranges_are_asked_for_as_the_site_says() {
    let Some(curl) = need("curl") else { return };
    let content = Content::new(9, 3 << 20);
    for (mode, first_range) in [
        ("on", Some("bytes=2097152-3145727".to_owned())),
        ("off", None),
        ("force", Some("bytes=2097152-3145727".to_owned())),
    ] {
        let (origin, node) = ranged(mode);
        let args = ["-sS", "-r", "2097152-2099999", &node.url("/a")];
        let got = curl.expect(node.dir(), &args);
        assert!(got == content.bytes(2_097_152..2_100_000), "{mode}");
        assert_eq!(origin.counts("/a").ranges[0], first_range, "{mode}");
        let whole = curl.expect(node.dir(), &["-sS", &node.url("/a")]);
        assert!(whole == content.bytes(0..content.len), "{mode}");
        if mode == "off" {
            assert!(origin.counts("/a").ranges.iter().all(Option::is_none));
        }
    }
    let (origin, node) = ranged("force");
    assert!(node.get("/a").expect_status(200).body == content.bytes(0..content.len));
    assert!(origin.counts("/a").ranges.iter().all(Option::is_some), "{:?}", origin.counts("/a"));
}
