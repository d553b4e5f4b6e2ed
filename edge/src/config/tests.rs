use super::keys;
use super::*;

const EXAMPLE: &str = include_str!("../../../edge.example.toml");
const SITE: &str = "\n[[site]]\nhosts = [\"*\"]\norigin = \"file:///srv\"\n";

/// What is wrong with `text`, which the smallest site is added to, one message a line.
fn wrong(text: &str) -> String {
    match Config::parse(&format!("{text}{SITE}"), "e.toml") {
        Ok(config) => panic!("{text:?} should be refused, but is {config:?}"),
        Err(errors) => errors.to_string(),
    }
}

fn wrong_site(keys: &str) -> String {
    match Config::parse(&format!("[[site]]\n{keys}"), "e.toml") {
        Ok(config) => panic!("{keys:?} should be refused, but is {config:?}"),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn tables_and_keys() {
    for (text, message) in [
        ("sever = 1", r#"e.toml:1: unknown key "sever" in the file; did you mean "server"?"#),
        (
            "[cache]\n\nvolums = []",
            r#"e.toml:3: unknown key "volums" in [cache]; did you mean "volumes"?"#,
        ),
        (
            "[[listen]]\naddress = \"127.0.0.1:1\"\naddr = \"127.0.0.1:1\"",
            r#"e.toml:2: unknown key "address" in [[listen]]; did you mean "addr"?"#,
        ),
        (
            "[cache]\nvolumes = [\n{ path = \"v\", size = \"1GiB\" },\n{ pth = 1, path = \"w\", size = \"1GiB\" }]",
            r#"e.toml:4: unknown key "pth" in cache.volumes; did you mean "path"?"#,
        ),
        ("server = 3", "e.toml:1: server is a whole number, but takes a table"),
        ("[listen]\naddr = \"a\"", "e.toml:1: listen is a table, but takes an array of tables"),
        (
            "listen = []",
            "e.toml:1: listen is missing; add a [[listen]] with addr = \"0.0.0.0:8080\"",
        ),
        ("[server]\npin = \"yes\"", "e.toml:2: server.pin is a string, but takes true or false"),
        ("[server", "e.toml:1: not valid TOML: unclosed table, expected `]`"),
    ] {
        assert_eq!(wrong(text), message, "{text}");
    }
}

#[test]
fn server_and_listen() {
    for (text, message) in [
        ("[server]\nworkers = 0", "e.toml:2: server.workers: 0 is out of range; take 1 to 256"),
        (
            "[server]\nworkers = 1_000",
            "e.toml:2: server.workers: 1000 is out of range; take 1 to 256",
        ),
        ("[server]\nworkers = -1", "e.toml:2: server.workers: -1 is out of range; take 1 to 256"),
        (
            "[server]\nworkers = 1.5",
            "e.toml:2: server.workers is a fraction, but takes a whole number",
        ),
        (
            "[server]\nhead_timeout = 15",
            r#"e.toml:2: server.head_timeout: 15 is not a duration; write it as "30s""#,
        ),
        (
            "[server]\nidle_timeout = \"0\"",
            r#"e.toml:2: server.idle_timeout: "0" is out of range; take 1ms to 1d"#,
        ),
        ("[[listen]]", r#"e.toml:1: listen.addr is missing; write addr = "0.0.0.0:8080""#),
        (
            "[[listen]]\naddr = \"8080\"",
            r#"e.toml:2: listen.addr: "8080" is not an address with a port; write it as "0.0.0.0:8080""#,
        ),
        (
            "[[listen]]\naddr = \"::1\"",
            r#"e.toml:2: listen.addr: "::1" is not an address with a port; write it as "[::1]:8080""#,
        ),
        (
            "[[listen]]\naddr = \"0.0.0.0:80\"\n[[listen]]\naddr = \"0.0.0.0:80\"",
            "e.toml:4: listen.addr: 0.0.0.0:80 is listened on already; remove one [[listen]]",
        ),
        (
            "[server]\npin = false\n[[listen]]\naddr = \"0.0.0.0:80\"\nsteer = \"cpu\"",
            "e.toml:5: listen.steer: needs workers that keep to their cores; set server.pin = true",
        ),
        (
            "[[listen]]\naddr = \"0.0.0.0:80\"\ncongestion = \"bbr v3\"",
            r#"e.toml:3: listen.congestion: "bbr v3" is not a congestion control; write "bbr", "cubic" or "reno""#,
        ),
        (
            "[[listen]]\naddr = \"0.0.0.0:80\"\nbacklog = 0",
            "e.toml:3: listen.backlog: 0 is out of range; take 1 to 65535",
        ),
        (
            "[[listen]]\naddr = \"0.0.0.0:443\"\ntls = true",
            "e.toml:3: listen.tls: a TLS listener needs a [[certificate]] with cert and key",
        ),
        (
            "[[certificate]]\ncert = \"a.pem\"",
            "e.toml:1: certificate.key is missing; name the PEM file of the key",
        ),
        (
            "[admin]\naddr = \"127.0.0.1:8080\"",
            "e.toml:2: admin.addr: 127.0.0.1:8080 is a [[listen]] address; give it a port of its own",
        ),
    ] {
        assert_eq!(wrong(text), message, "{text}");
    }
}

#[test]
fn cache_guard_and_log() {
    for (text, message) in [
        (
            "[cache]\nvolumes = [{ path = \"v\", size = \"1MiB\" }]",
            r#"e.toml:2: cache.volumes.size: "1MiB" is out of range; take 18MiB to 512TiB"#,
        ),
        (
            "[cache]\nvolumes = [{ path = \"v\", size = \"big\" }]",
            r#"e.toml:2: cache.volumes.size: "big" is not a size; write it as "256MiB""#,
        ),
        (
            "[cache]\nvolumes = [\n{ path = \"v\", size = \"1GiB\" },\n{ path = \"v\", size = \"1GiB\" },\n]",
            "e.toml:4: cache.volumes.path: v is a volume already; remove one",
        ),
        (
            "[cache]\nvolumes = [{ path = \"v\" }]",
            r#"e.toml:2: cache.volumes.size is missing; write size = "10GiB""#,
        ),
        (
            "[cache]\nslice = \"3MiB\"",
            r#"e.toml:2: cache.slice: a slice must be a power of two; write "512KiB", "1MiB" or "2MiB""#,
        ),
        ("[cache]\nslice = 512", "e.toml:2: cache.slice: 512 is out of range; take 64KiB to 16MiB"),
        (
            "[cache]\nram = true",
            r#"e.toml:2: cache.ram is true or false, but takes a size such as "256MiB""#,
        ),
        (
            "[guard]\nmode = \"observ\"",
            r#"e.toml:2: guard.mode: "observ" is not one of enforce, observe; did you mean "observe"?"#,
        ),
        (
            "[guard]\ndeny = [\"10.0.0.0/8\",\n\"10.1.2.3/8\"]",
            r#"e.toml:3: guard.deny: "10.1.2.3/8" has bits after its length; write "10.0.0.0/8""#,
        ),
        (
            "[guard]\nallow = [\"::/129\"]",
            r#"e.toml:2: guard.allow: "::/129" has a wrong length; take 0 to 128"#,
        ),
        (
            "[guard]\nallow = [\"10.0.0/8\"]",
            r#"e.toml:2: guard.allow: "10.0.0/8" is not a prefix; write it as "192.0.2.0/24""#,
        ),
        (
            "[guard]\ninterfaces = [\"eth0/1\"]",
            r#"e.toml:2: guard.interfaces: "eth0/1" is not an interface; `ip link` lists their names"#,
        ),
        (
            "[log]\nformat = \"jsn\"",
            r#"e.toml:2: log.format: "jsn" is not one of json, combined; did you mean "json"?"#,
        ),
        (
            "[log]\nlevel = \"inf\"",
            r#"e.toml:2: log.level: "inf" is not a level; take off, error, warn, info, debug, trace"#,
        ),
        (
            "[log]\naccess = \"\"",
            "e.toml:2: log.access: not a path; write one, absolute or relative to this file",
        ),
    ] {
        assert_eq!(wrong(text), message, "{text}");
    }
}

#[test]
fn sites() {
    let origin = "origin = \"file:///srv\"\n";
    for (text, message) in [
        ("hosts = []\n", "2: site.hosts: names no host; write [\"*\"] to take every host"),
        ("", r#"1: site.hosts is missing; write hosts = ["*"] to take every host"#),
        ("hosts = \"\"\n", r#"2: site.hosts: "" must have 1 to 67 characters"#),
        (
            "hosts = \"A.example\"\n",
            r#"2: site.hosts: "A.example" has capitals; write "a.example""#,
        ),
        (
            "hosts = \"a:80\"\n",
            r#"2: site.hosts: "a:80" has a port or a scheme; write the name alone"#,
        ),
        (
            "hosts = \"é\u{fffd}.fr\"\n",
            "2: site.hosts: \"é\u{fffd}.fr\" is not a host name; write it as \"dl.example.com\"",
        ),
        (
            "hosts = \"a.*.fr\"\n",
            r#"2: site.hosts: "a.*.fr" has a wildcard that is not its first label; write "*.example.com""#,
        ),
        (
            "hosts = \"a..fr\"\n",
            r#"2: site.hosts: "a..fr" is not a host name; write it as "dl.example.com""#,
        ),
        (
            "hosts = [\"a\",\n\"a\"]\n",
            r#"3: site.hosts: "a" is taken already at e.toml:2; remove one"#,
        ),
        (
            "hosts = \"a\"\npreset = \"vidio\"\n",
            r#"3: site.preset: "vidio" is not one of web, download, video, dynamic; did you mean "video"?"#,
        ),
        (
            "hosts = \"a\"\nfinish = \"101%\"\n",
            r#"3: site.finish: "101%" is not always, never or a share such as "50%""#,
        ),
        ("hosts = \"a\"\nretries = 99\n", "3: site.retries: 99 is out of range; take 0 to 10"),
        (
            "hosts = \"a\"\nindex = \"../x\"\n",
            r#"3: site.index: "../x" is not a file name; write "index.html" or "off""#,
        ),
        (
            "hosts = \"a\"\nhost = \"a b\"\n",
            r#"3: site.host: "a b" is not a host; write it as "origin.example.com""#,
        ),
    ] {
        assert_eq!(wrong_site(&format!("{text}{origin}")), format!("e.toml:{message}"), "{text}");
    }
}

#[test]
fn origins() {
    for (origin, message) in [
        (
            r#""ftp://a""#,
            r#""ftp://a" has an unknown scheme; write "http://...", "https://..." or "file:///...""#,
        ),
        (
            r#""10.0.0.2""#,
            r#""10.0.0.2" has no scheme; write "http://...", "https://..." or "file:///...""#,
        ),
        (
            r#""http://a/b""#,
            r#""http://a/b" is not an origin; write it as "http://10.0.0.2:80", without a path"#,
        ),
        (
            r#""http://a:0""#,
            r#""http://a:0" is not an origin; write it as "http://10.0.0.2:80", without a path"#,
        ),
        (r#"["http://a", "file:///b"]"#, "a file:// origin stands alone; remove the others"),
        (r#""file://""#, r#"names no directory; write "file:///srv/mirror""#),
        (
            r#""http://localhost:8080""#,
            "is this node's own address 127.0.0.1:8080, a loop; name the real origin",
        ),
        (
            r#""http://H.example""#,
            r#""H.example" is the site itself, a loop; name the real origin"#,
        ),
        ("[]", r#"names no origin; write origin = "http://10.0.0.2:80" or "file:///srv/mirror""#),
    ] {
        let text = format!("hosts = \"h.example\"\norigin = {origin}\n");
        assert_eq!(wrong_site(&text), format!("e.toml:3: site.origin: {message}"), "{origin}");
    }
}

#[test]
fn a_file_without_a_site_serves_nothing() {
    assert_eq!(
        Config::parse("", "e.toml").unwrap_err().to_string(),
        "e.toml:1: site is missing; add a [[site]] with an origin such as \"file:///srv/mirror\""
    );
}

#[test]
fn every_error_is_told_in_the_order_of_the_file() {
    let errors =
        wrong("[log]\nformat = 1\n[server]\nworkers = 0\nwrkers = 2\n[cache]\nram = \"x\"");
    let lines: Vec<&str> = errors.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(lines, ["e.toml:2:", "e.toml:4:", "e.toml:5:", "e.toml:7:"]);
}

#[test]
fn an_unreadable_file_says_why() {
    let errors = Config::load(Path::new("/nonexistent/edge.toml")).unwrap_err().to_string();
    assert!(errors.starts_with("/nonexistent/edge.toml: cannot be read: No such file"), "{errors}");
}

#[test]
fn the_design_parses() {
    let text = r#"
        [server]
        workers = 2
        [[listen]]
        addr = "0.0.0.0:8080"
        congestion = "bbr"
        [[certificate]]
        cert = "example.pem"
        key = "/etc/edge/example.key"
        [admin]
        socket = "/run/edge/admin.sock"
        [cache]
        volumes = [{ path = "/var/lib/edge/v0", size = "10GiB" }]
        [guard]
        interfaces = ["eth0"]
        deny = ["192.0.2.1", "2001:db8::/32"]
        [[site]]
        hosts = ["dl.example.com", "*.cdn.example.com"]
        preset = "video"
        origin = ["http://10.0.0.2", "http://[2001:db8::1]:81/"]
        [[site]]
        hosts = "[::1]"
        origin = "file://mirror"
    "#;
    let config = Config::parse(text, "/etc/edge/edge.toml").unwrap();
    assert_eq!(config.server.workers, 2);
    assert_eq!(config.listen[0].congestion.as_deref(), Some("bbr"));
    assert_eq!(config.certificates[0].cert, Path::new("/etc/edge/example.pem"));
    assert_eq!(config.admin.addr, None);
    assert_eq!(config.cache.volumes[0].size_bytes, 10 << 30);
    assert_eq!(config.guard.deny, ["192.0.2.1/32", "2001:db8::/32"]);
    assert_eq!(config.sites[0].name, "dl.example.com");
    assert_eq!(config.sites[0].finish, Finish::After(0.5));
    let Origin::Http { addresses, .. } = &config.sites[0].origin else { panic!("http was meant") };
    let address =
        |host: &str, port, priority| OriginAddress { priority, ..OriginAddress::http(host, port) };
    assert_eq!(*addresses, [address("10.0.0.2", 80, 1), address("2001:db8::1", 81, 2)]);
    assert_eq!(config.sites[1].origin, Origin::File { root: "/etc/edge/mirror".into() });
}

#[test]
fn rules_of_the_guard() {
    for (text, message) in [
        (
            "[guard]\nunserved_ports = \"limit\"",
            r#"e.toml:2: guard.unserved_ports: "limit" is not one of pass, drop; did you mean "pass"?"#,
        ),
        (
            "[guard]\nexempt_ports = [22, 65536]",
            "e.toml:2: guard.exempt_ports: 65536 is out of range; take 1 to 65535",
        ),
    ] {
        assert_eq!(wrong(text), message, "{text}");
    }
}

#[test]
fn limits_of_the_guard_follow_what_is_said() {
    let rules = |guard: &str| {
        let text = format!(
            "[[listen]]\naddr = \"0.0.0.0:80\"\n[admin]\naddr = \"127.0.0.1:9999\"\n[guard]\n{guard}\n\
             [[site]]\nhosts = \"*\"\norigin = \"file:///srv\""
        );
        Config::parse(&text, "e.toml").unwrap().guard.rules
    };
    let limit = |per_s, burst| GuardLimit { per_s, burst };
    let default = rules("");
    assert_eq!((default.served_ports, default.exempt_ports), (vec![80], vec![22, 9999]));
    assert_eq!(rules("exempt_ports = []").exempt_ports, [9999]);
    assert_eq!(rules("syn_rate = 0").syn, limit(0, 0));
    assert_eq!(rules("syn_rate = 100").syn, limit(100, 500), "a burst follows its rate");
    assert_eq!(rules("syn_burst = 7").syn, limit(2_000, 7));
    assert_eq!(rules("byte_rate = 0").bytes.per_s, 0);
    assert_eq!(rules("byte_rate = \"1MiB\"\nbyte_burst = \"3MiB\"").bytes, limit(1 << 20, 3 << 20));
    assert_eq!(rules("udp = \"drop\"\nunserved_ports = \"drop\"").udp, GuardPolicy::Drop);
}

#[test]
fn rules_for_clients_replace_the_defaults_of_their_kind() {
    let limits =
        |text: &str| Config::parse(&format!("{text}{SITE}"), "e.toml").unwrap().guard.limits;
    let of = |limits: &[Limit], on| limits.iter().filter(|limit| limit.on == on).count();
    let default = limits("");
    for on in LimitOn::ALL {
        assert_eq!(of(&default, on), 1, "{}", on.as_str());
    }
    let none = limits("[[guard.limit]]\non = \"object_bytes\"\nrate = 0");
    assert_eq!((of(&none, LimitOn::ObjectBytes), none.len()), (0, default.len() - 1));
    let two = limits(
        "[[guard.limit]]\non = \"errors\"\nrate = 10\n[[guard.limit]]\non = \"errors\"\n\
         rate = 20\nburst = 7\nthen = \"ban\"\nfor = \"1h\"",
    );
    let refuse = GuardLimit { per_s: 10, burst: 100 };
    assert_eq!((two[0].rate, two[0].then), (refuse, LimitThen::Refuse));
    assert_eq!(two[1].then, LimitThen::Ban { for_ms: 3_600_000 });
    assert_eq!(of(&two, LimitOn::Errors), 2);
    for (text, message) in [
        ("rate = 1", r#"e.toml:1: guard.limit.on is missing; write on = "requests""#),
        (
            "on = \"bytes\"",
            "e.toml:1: guard.limit.rate is missing; write rate = 100, or 0 for no limit",
        ),
        (
            "on = \"bytes\"\nrate = \"fast\"",
            r#"e.toml:3: guard.limit.rate: "fast" is not a size; write it as "256MiB""#,
        ),
        (
            "on = \"slow\"\nrate = 1\ncopies = 2",
            "e.toml:4: guard.limit.copies: is for on = \"object_bytes\" only; take it out",
        ),
    ] {
        assert_eq!(wrong(&format!("[[guard.limit]]\n{text}")), message, "{text}");
    }
}

#[test]
fn the_example_states_the_defaults_and_documents_every_key() {
    let as_it_is = Config::parse(EXAMPLE, "edge.example.toml").unwrap();
    let is_key = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase());
    let stated: Vec<&str> =
        EXAMPLE.lines().map(|line| line.strip_prefix('#').filter(is_key).unwrap_or(line)).collect();
    let stated = Config::parse(&stated.join("\n"), "edge.example.toml");
    // A socket alone would turn the address off; that line is an `e.g.` and stays one.
    assert_eq!(stated.unwrap(), as_it_is, "a default stated in the example is not the default");
    for table in keys::ALL {
        for key in table.keys {
            let shown = ["", ".", "["].map(|before| match before {
                "" => format!("{key} = "),
                _ => format!("{before}{key}]"),
            });
            assert!(shown.iter().any(|shown| EXAMPLE.contains(shown)), "{}: {key}", table.title);
        }
    }
}

#[test]
fn the_embedded_default_serves_a_directory() {
    let config = Config::embedded(Path::new("/srv"));
    assert_eq!(config.listen, [resolve::plain_listen(resolve::ADDR_DEFAULT)]);
    assert_eq!(config.sites[0].origin, Origin::File { root: "/srv".into() });
    assert!(config.guard.interfaces.is_empty() && config.cache.volumes.is_empty());
    let same = Config::parse("[[site]]\nhosts = \"*\"\norigin = \"file:///srv\"", "/x/e.toml");
    let same = Config { domains: config.domains.clone(), ..same.unwrap() };
    assert_eq!(same, config, "the embedded configuration is a file's defaults");
}

proptest::proptest! {
    #[test]
    fn no_text_is_a_panic(text in "(\\PC|[\\[\\]{}=\",.\\n #a-z0-9])*") {
        let _ = Config::parse(&text, "e.toml");
    }

    #[test]
    fn no_value_is_a_panic(key in 0..40usize, value in "(\"\\PC{0,12}\"|[0-9_.x-]{1,24}|\\[\"[a-z:/.*\\[\\]0-9%]{0,20}\"\\]|\\[\\]|\\{\\}|true)") {
        let keys = keys::ALL.iter().flat_map(|table| table.keys.iter().map(move |key| (table, key)));
        let (table, key) = keys.cycle().nth(key).unwrap();
        let _ = Config::parse(&format!("{}\n{key} = {value}\n", table.title), "e.toml");
    }
}
