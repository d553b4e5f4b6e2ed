//! `edge check` on every kind of mistake: one line each, with file, line, key and cure.

use edge_tests::node::run_edge;

const SITE: &str = "[[site]]\nhosts = [\"a.test\"]\norigin = \"http://10.0.0.2\"\n";

/// What a configuration is wrong in: lines of it, the line that is named, the key, and the cure.
type Mistake = (&'static str, usize, &'static str, &'static str);

/// After a good site of three lines.
const MISTAKES: [Mistake; 24] = [
    ("[cache]\nvolums = []", 5, "volums", "did you mean \"volumes\""),
    ("[sever]\nworkers = 1", 4, "sever", "did you mean \"server\""),
    ("[server]\nworkers = \"two\"", 5, "server.workers", "takes a whole number"),
    ("[server]\nworkers = 0", 5, "server.workers", "take 1 to 256"),
    ("[server]\nidle_timeout = 30", 5, "server.idle_timeout", "write it as \"30s\""),
    ("[server\nworkers = 1", 4, "", "not valid TOML"),
    ("[[listen]]\naddr = \"8080\"", 5, "listen.addr", "write it as \"0.0.0.0:8080\""),
    ("[[listen]]\nbacklog = 5", 4, "listen.addr", "write addr = "),
    ("[cache]\nram = \"lots\"", 5, "cache.ram", "write it as \"256MiB\""),
    ("[cache]\nslice = \"3MiB\"", 5, "cache.slice", "power of two"),
    ("[guard]\ndeny = [\"10.0.0.1/8\"]", 5, "guard.deny", "write \"10.0.0.0/8\""),
    ("[guard]\nmode = \"enforced\"", 5, "guard.mode", "did you mean \"enforce\""),
    ("[log]\nformat = \"xml\"", 5, "log.format", "json, combined"),
    ("[domains]\nunknown_host = \"b.test\"", 5, "domains.unknown_host", "write one of them"),
    ("[domains]\nmax = -1", 5, "domains.max", "take 0 to"),
    ("[[site]]\nhosts = \"a.test\"\norigin = \"file:///s\"", 5, "site.hosts", "remove one"),
    ("[[site]]\nhosts = \"b\"\norigin = \"10.0.0.2\"", 6, "site.origin", "write \"http://"),
    ("[[site]]\nhosts = \"b\"\norigin = \"http://b\"", 6, "site.origin", "name the real origin"),
    ("[[site]]\norigin = \"file:///s\"", 4, "site.hosts", "write hosts = "),
    ("[[site.rule]]\nttl = \"1h\"", 4, "site.rule.path", "write path = "),
    ("[[site.rule]]\npath = \"/\"\nweight = 100", 6, "site.rule.weight", "take 1 to 99"),
    ("[[site.rule]]\npath = \"/\"\nstatus_ttl = \"teapot\"", 6, "site.rule.status_ttl", "404=15"),
    ("[site.key]\nkeep = [\"a\"]\nignore = [\"b\"]", 6, "site.key.ignore", "remove one"),
    ("[site.key]\nshare = \"b.test\"", 5, "site.key.share", "write a site's first host"),
];

/// The same of who is let in, and how fast.
const MISTAKES_OF_ACCESS: [Mistake; 24] = [
    ("[site.sign]\nkeys = \"aliyuncdnexp1234\"", 4, "site.sign.type", "write type = "),
    (
        "[site.sign]\ntype = \"G\"\nkeys = \"aliyuncdnexp1234\"",
        5,
        "site.sign.type",
        "A, B, C, F, sha256",
    ),
    ("[site.sign]\ntype = \"A\"", 4, "site.sign.keys", "write keys = "),
    (
        "[site.sign]\ntype = \"A\"\nkeys = \"short\"",
        6,
        "site.sign.keys",
        "16 to 128 letters and digits",
    ),
    ("[site.sign]\ntype = \"A\"\nkeys_env = \"EDGE_UNSET\"", 6, "site.sign.keys_env", "set it"),
    ("[site.sign]\ntype = \"A\"\nkeys_file = \"none\"", 6, "site.sign.keys_file", "one a line"),
    (
        "[site.sign]\ntype = \"B\"\nkeys = \"aliyuncdnexp1234\"\ntime_argument = \"t\"",
        7,
        "site.sign.time_argument",
        "remove it",
    ),
    (
        "[site.access]\nallow_referers = [\"http://a.test/\"]",
        5,
        "site.access.allow_referers",
        "the host alone",
    ),
    ("[site.access]\nallow_agents = []", 5, "site.access.allow_agents", "remove it"),
    (
        "[site.access]\ndeny_addresses = [\"10.0.0.1/8\"]",
        5,
        "site.access.deny_addresses",
        "write \"10.0.0.0/8\"",
    ),
    (
        "[site.access]\nallow_addresses = \"10.0.0.0/8\"\ndeny_addresses = \"10.0.0.0/8\"",
        6,
        "site.access.deny_addresses",
        "remove one",
    ),
    ("[site.access]\ndeny_countries = [\"DE\"]", 5, "site.access.deny_countries", "geo.file"),
    (
        "[site.access]\ndeny_countries = [\"UK\"]\n[geo]\nfile = \"g\"",
        5,
        "site.access.deny_countries",
        "ISO 3166",
    ),
    ("[geo]", 4, "geo.file", "name the MMDB file"),
    ("[server]\ntrusted_proxies = [\"lb.test\"]", 5, "server.trusted_proxies", "write it as"),
    ("[site.auth]\ntimeout = \"1s\"", 4, "site.auth.address", "write address = "),
    ("[site.auth]\naddress = \"https://a\"", 5, "site.auth.address", "write it as \"http://"),
    (
        "[site.auth]\naddress = \"http://a\"\ntimeout = \"5s\"",
        6,
        "site.auth.timeout",
        "take 1ms to 3s",
    ),
    ("[site.auth]\naddress = \"http://a\"\nsuccess = []", 6, "site.auth.success", "write [200]"),
    ("[site.shape]\nrate = \"10kB\"", 5, "site.shape.rate", "take 100000B to"),
    ("[site.shape]\nhours = \"18\"", 5, "site.shape.hours", "write it as \"18:00-23:30\""),
    ("[site.shape]\nutc_offset = \"CET\"", 5, "site.shape.utc_offset", "write it as \"+08:00\""),
    (
        "[site.shape]\nmax_per_client = \"few\"",
        5,
        "site.shape.max_per_client",
        "takes a whole number",
    ),
    ("[[site.rule]]\npath = \"/\"\nrate = 5", 6, "site.rule.rate", "out of range"),
];

#[test]
fn each_mistake_has_one_line_with_place_key_and_cure() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("edge.toml");
    let check = |text: &str| {
        std::fs::write(&path, text).expect("written");
        let output = run_edge(directory.path(), &["check", "--config", "edge.toml"]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check(SITE), (Some(0), String::new()), "the site itself is good");
    for (lines, line, key, cure) in MISTAKES.into_iter().chain(MISTAKES_OF_ACCESS) {
        let (code, said) = check(&format!("{SITE}{lines}\n"));
        assert_eq!(code, Some(2), "{lines}: {said}");
        assert_eq!(said.lines().count(), 1, "{lines}: {said}");
        let place = format!("edge.toml:{line}: ");
        assert!(said.starts_with(&place), "{lines}: expected {place} in {said}");
        assert!(
            said.contains(key) && said.contains(cure),
            "{lines}: expected {key}, {cure}: {said}"
        );
    }
}

#[test]
fn the_nodes_own_file_is_checked_with_it() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("edge.toml"), SITE).expect("written");
    let kept = "[[site]]\nhosts = [\"a.test\"]\norigin = \"http://10.0.0.3\"\n";
    std::fs::write(directory.path().join("edge.domains.toml"), kept).expect("written");
    let output = run_edge(directory.path(), &["check", "--config", "edge.toml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("edge.domains.toml:2: site.hosts: \"a.test\" is taken"), "{said}");
}
