//! Purges: at once, for good, and nothing else with them.

use edge_tests::node::run_edge;
use edge_tests::{Content, Follower, Gate, Hold, MIB, Node, NodeConfig, Origin, Page};

const LEN: u64 = 40_000;

/// A page that is fresh for an hour, with tags, in its `version`.
fn page(number: u64, version: u64, tags: &str) -> Page {
    let fields = vec![format!("Surrogate-Key: {tags}"), format!("Cache-Tag: all, n{number}")];
    Page { fields, ..Page::of(Content::new(1000 * version + number, LEN)) }
}

fn publish(origin: &Origin, version: u64) {
    for (number, path) in PATHS.into_iter().enumerate() {
        let tags = if number % 2 == 0 { "even" } else { "odd big" };
        origin.put(path, page(number as u64, version, tags));
    }
}

const PATHS: [&str; 4] = ["/img/a.jpg", "/img/b.png?v=1", "/doc/c.txt", "/d.jpg"];

/// Which pages are of `version`, as a row of marks; every body is right for what it is.
#[track_caller]
fn marks(node: &Node, version: u64) -> String {
    let mark = |(number, path): (usize, &str)| {
        let response = node.get(path).expect_status(200);
        assert!(response.head.field("surrogate-key").is_none(), "tags are not for clients");
        let etag = response.head.field("etag").expect("a tag");
        let seed: u64 = etag.trim_matches(['"', 'v']).parse().expect("ours");
        Content::new(seed, LEN).expect(0..LEN, &response.body);
        if seed == 1000 * version + number as u64 { '1' } else { '0' }
    };
    PATHS.into_iter().enumerate().map(mark).collect()
}

#[track_caller]
fn purge(node: &Node, args: &[&str]) {
    let admin = node.admin_addr().to_string();
    let all = [&["purge", "--admin", &admin], args].concat();
    let output = run_edge(node.dir(), &all);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "edge {all:?}: {text}");
}

#[test]
fn each_kind_takes_what_it_names_and_holds_over_a_crash() {
    let origin = Origin::start();
    let mut node = Node::start(NodeConfig::default().site("cdn.test", &origin.url(), &[]).site(
        "*",
        &origin.url(),
        &[],
    ));
    let host = "http://edge.test";
    let b = format!("{host}/img/b.png?v=1");
    let prefix = format!("{host}/img/");
    let rows: [(&[&str], &str); 8] = [
        (&[&b], "0100"),
        (&["--prefix", &prefix], "1100"),
        (&["--regex", r"\.jpg$"], "1001"),
        (&["--tag", "odd"], "0101"),
        (&["--tag", "n2", "--site", "*"], "0010"),
        (&["--site", "cdn.test"], "0000"),
        (&["--site", "*"], "1111"),
        (&["--all", "--json"], "1111"),
    ];
    for (version, (args, expected)) in (1..).zip(rows) {
        publish(&origin, 0);
        purge(&node, &["--all"]);
        assert_eq!(marks(&node, 0), "1111");
        publish(&origin, version);
        assert_eq!(marks(&node, version), "0000", "fresh ones stay");
        for soft in [true, false] {
            // A soft one asks the origin, a hard one fetches: both find what is new there.
            let args = if soft { [args, &["--soft"]].concat() } else { args.to_vec() };
            purge(&node, &args);
            assert_eq!(marks(&node, version), expected, "{args:?}");
            if !soft {
                break;
            }
            publish(&origin, 0);
            purge(&node, &["--all"]);
            assert_eq!(marks(&node, 0), "1111");
            publish(&origin, version);
        }
        node.kill9();
        node.start_again();
        assert_eq!(marks(&node, version), expected, "{args:?} after a crash");
    }
    let listed = node.admin("/purges").expect_status(200);
    assert!(String::from_utf8_lossy(&listed.body).contains("\"kind\":\"all\""));
}

#[test]
fn killed_right_after_the_answer_a_purge_holds() {
    let origin = Origin::start();
    let mut node = Node::start(NodeConfig::of(&origin.url()).cache("checkpoint = \"100ms\""));
    publish(&origin, 0);
    for version in 1..5 {
        marks(&node, 0);
        publish(&origin, version);
        purge(&node, &["--prefix", "http://edge.test/img/"]);
        node.kill9();
        node.start_again();
        assert_eq!(&marks(&node, version)[..2], "11", "turn {version}");
    }
}

#[test]
fn the_same_version_is_fetched_anew_after_a_hard_purge_and_not_after_a_soft_one() {
    let origin = Origin::start();
    let content = Content::new(7, 3 * MIB + 5);
    origin.put("/a", Page::of(content));
    let node = Node::of(&origin.url());
    let whole = |node: &Node| {
        content.expect(0..content.len, &node.get("/a").expect_status(200).body);
        origin.counts("/a").body_bytes
    };
    assert_eq!(whole(&node), content.len);
    purge(&node, &["http://edge.test/a", "--soft"]);
    assert_eq!((whole(&node), origin.counts("/a").requests), (content.len, 2), "asked, not sent");
    assert_eq!((whole(&node), origin.counts("/a").requests), (content.len, 2), "a hit");
    purge(&node, &["http://edge.test/a"]);
    assert_eq!(whole(&node), 2 * content.len);
    assert_eq!(whole(&node), 2 * content.len);
}

#[test]
fn a_purge_in_the_middle_of_a_fill_ends_no_answer_and_keeps_nothing_of_it() {
    let gate = Gate::new();
    let (old, new) = (Content::new(11, 6 * MIB), Content::new(12, 6 * MIB));
    let hold = Some(Hold { at: 3 * MIB, gate: gate.clone() });
    let origin = Origin::with("/a", Page { hold, ..Page::of(old) });
    let mut node = Node::of(&origin.url());
    let mut early = node.connect();
    early.start("/a");
    let mut follower = Follower::new(old, 0);
    follower.feed(&early.take(2 * MIB));
    origin.put("/a", Page::of(new));
    purge(&node, &["http://edge.test/a"]);
    new.expect(0..new.len, &node.get("/a").expect_status(200).body);
    gate.open();
    follower.feed(&early.take(old.len - 2 * MIB));
    assert_eq!(follower.offset(), old.len, "what was being answered went on");
    new.expect(0..new.len, &node.get("/a").expect_status(200).body);
    node.kill9();
    node.start_again();
    new.expect(0..new.len, &node.get("/a").expect_status(200).body);
}

#[test]
fn files_of_a_directory_are_purged_too() {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::write(root.path().join("a"), b"one").expect("written");
    let node = Node::of(&format!("file://{}", root.path().display()));
    assert_eq!(node.get("/a").expect_status(200).body, b"one");
    std::fs::write(root.path().join("a"), b"two").expect("written");
    purge(&node, &["http://edge.test/a"]);
    assert_eq!(node.get("/a").expect_status(200).body, b"two");
}

#[test]
fn an_order_that_makes_no_sense_is_refused_with_its_cure() {
    let node = Node::of("http://127.0.0.1:9");
    let admin = node.admin_addr().to_string();
    for (args, message, code) in [
        (&["--regex", "("][..], "is not a regular expression", 1),
        (&["/a"][..], "is of no site", 1),
        (&[][..], "required", 2),
    ] {
        let all = [&["purge", "--admin", &admin], args].concat();
        let output = run_edge(node.dir(), &all);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(message) && output.status.code() == Some(code), "{all:?}: {text}");
    }
}
