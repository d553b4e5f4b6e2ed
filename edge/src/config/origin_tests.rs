//! What a site may say of its origins, and what it is told when that makes no sense.

use super::Config;
use super::resolved_origin::{
    Health, Origin, OriginAddress, OriginPolicy, OriginScheme, RangeFetch, RetryOn,
};

const LISTEN: &str = "[[listen]]\naddr = \"0.0.0.0:8080\"\n";

fn parse(site: &str) -> Result<Origin, String> {
    let text = format!("{LISTEN}[[site]]\nhosts = [\"www.test\"]\n{site}");
    let config = Config::parse(&text, "e.toml").map_err(|errors| errors.to_string())?;
    Ok(config.sites[0].origin.clone())
}

fn addresses(site: &str) -> Vec<OriginAddress> {
    match parse(site) {
        Ok(Origin::Http { addresses, .. }) => addresses,
        other => panic!("{site}: {other:?}"),
    }
}

fn policy(site: &str) -> OriginPolicy {
    match parse(&format!("origin = \"https://o.test\"\n{site}")) {
        Ok(Origin::Http { policy, .. }) => *policy,
        other => panic!("{site}: {other:?}"),
    }
}

#[test]
fn addresses_are_urls_or_tables() {
    let plain =
        |host, port, priority| OriginAddress { priority, ..OriginAddress::http(host, port) };
    let tls = |host, port| OriginAddress {
        scheme: OriginScheme::Https,
        ..OriginAddress::http(host, port)
    };
    let follow = |http_port, https_port| OriginAddress {
        scheme: OriginScheme::Follow,
        http_port,
        https_port,
        ..OriginAddress::http("o.test", 80)
    };
    for (text, expected) in [
        ("origin = \"http://o.test\"", vec![plain("o.test", 80, 1)]),
        ("origin = \"https://o.test/\"", vec![tls("o.test", 443)]),
        ("origin = \"https://[::1]:8443\"", vec![tls("::1", 8443)]),
        ("origin = \"//o.test\"", vec![follow(80, 443)]),
        (
            "origin = [{ url = \"//o.test\", http_port = 81, https_port = 444 }]",
            vec![follow(81, 444)],
        ),
        ("origin = [\"http://a\", \"http://b:81\"]", vec![plain("a", 80, 1), plain("b", 81, 2)]),
        (
            "origin = [\"http://a\", \"http://b\", { url = \"http://c\", priority = 3 }]",
            vec![plain("a", 80, 1), plain("b", 80, 1), plain("c", 80, 3)],
        ),
        (
            "[[site.origin]]\nurl = \"https://a\"\nweight = 7\nhost = \"h:1\"\nsni = \"S.test\"\n\
             max_connections = 9",
            vec![OriginAddress {
                weight: 7,
                host_field: Some("h:1".into()),
                sni: Some("s.test".into()),
                max_connections: Some(9),
                ..tls("a", 443)
            }],
        ),
    ] {
        assert_eq!(addresses(text), expected, "{text}");
    }
}

#[test]
fn retries_follow_the_addresses_up_to_three() {
    for (count, expected) in [(1, 2), (2, 2), (3, 3), (20, 3)] {
        let urls: Vec<String> = (1..=count).map(|one| format!("\"http://o{one}.test\"")).collect();
        let Ok(Origin::Http { retries, .. }) = parse(&format!("origin = [{}]", urls.join(", ")))
        else {
            panic!("{count} addresses");
        };
        assert_eq!(retries, expected, "{count}");
    }
}

#[test]
fn policies() {
    assert_eq!(policy(""), OriginPolicy::default());
    let health = policy(
        "[site.health]\npath = \"/h?x\"\ninterval = \"1s\"\nstatus = [200, \"3xx\"]\nrise = 2\n\
         fall = 4\nfailback = false\ntimeout = \"50ms\"\nhost = \"h\"",
    );
    let expected = Health {
        path: Some("/h?x".into()),
        host: Some("h".into()),
        interval_ms: 1_000,
        timeout_ms: 50,
        statuses: vec![(200, 200), (300, 399)],
        rise: 2,
        fall: 4,
        failback: false,
    };
    assert_eq!(health.health, expected);
    let retry = |text| policy(text).retry_on;
    assert_eq!(retry("retry_on = [\"connect\", \"timeout\", \"5xx\"]"), RetryOn::default());
    let rows = retry("retry_on = [\"404\", \"4xx\"]").statuses;
    assert_eq!(rows, [(404, 404), (400, 499)]);
    assert_eq!(policy("range_fetch = \"force\"").range_fetch, RangeFetch::Force);
    for (text, hops) in [("true", 2), ("false", 0), ("5", 5), ("0", 0)] {
        let text = format!("follow_redirects = {text}");
        assert_eq!(policy(&text).redirects.hops, hops, "{text}");
    }
    let pin = format!("sha256/{}=", "A".repeat(43));
    let tls = policy(&format!("origin_tls = {{ pin = \"{pin}\", verify = false }}")).tls;
    assert_eq!((tls.pins, tls.verify), (vec![[0; 32]], false));
}

#[test]
fn nonsense_is_refused_with_its_place_and_cure() {
    for (site, message) in [
        (
            "origin = \"o.test\"",
            r#"e.toml:5: site.origin: "o.test" has no scheme; write "http://...", "https://..." or "file:///...""#,
        ),
        (
            "origin = \"https://o.test/path\"",
            r#"e.toml:5: site.origin: "https://o.test/path" is not an origin; write it as "https://origin.example.com", without a path"#,
        ),
        (
            "origin = \"//o.test:81\"",
            r#"e.toml:5: site.origin: "//o.test:81" follows the client and has two ports; write { url = "//host", http_port = 80, https_port = 443 }"#,
        ),
        (
            "origin = [{ url = \"http://o.test\", wait = 3 }]",
            r#"e.toml:5: unknown key "wait" in site.origin; did you mean "weight"?"#,
        ),
        (
            "origin = [{ weight = 3 }]",
            r#"e.toml:5: site.origin.url is missing; write url = "http://10.0.0.2:80""#,
        ),
        (
            "origin = [{ url = \"http://o.test\", weight = 101 }]",
            "e.toml:5: site.origin.weight: 101 is out of range; take 1 to 100",
        ),
        (
            "origin = [{ url = \"http://o.test\", http_port = 1 }]",
            r#"e.toml:5: site.origin.http_port: is for a url that follows the client, "//host"; put the port into url"#,
        ),
        (
            "origin = \"http://127.0.0.1:8080\"",
            "e.toml:5: site.origin: is this node's own address 0.0.0.0:8080, a loop; name the real origin",
        ),
        (
            "origin = [{ url = \"http://WWW.test\" }]",
            r#"e.toml:5: site.origin: "WWW.test" is the site itself, a loop; name the real origin"#,
        ),
        (
            "origin = \"http://o.test\"\norigin_http2 = true",
            r#"e.toml:6: site.origin_http2: is for https:// origins, and there are none; write origin = "https://…""#,
        ),
    ] {
        assert_eq!(parse(site).unwrap_err(), message, "{site}");
    }
}

#[test]
fn policies_that_make_no_sense_are_refused() {
    for (site, message) in [
        (
            "origin = \"https://o.test\"\norigin_tls = { pin = \"md5/x\" }",
            r#"e.toml:6: site.origin_tls.pin: "md5/x" is no pin; write "sha256/" and the SHA-256 of the public key in base64"#,
        ),
        (
            "origin = \"https://o.test\"\norigin_tls = { client_cert = \"c.pem\" }",
            "e.toml:6: site.origin_tls.client_key is missing; name the PEM file of the key of client_cert",
        ),
        (
            "origin = \"https://o.test\"\norigin_tls = { ca = \"c.pem\", verify = false }",
            "e.toml:6: site.origin_tls.verify: false leaves ca without a use; remove one of them",
        ),
        (
            "origin = \"http://o.test\"\nretry_on = [\"403s\"]",
            r#"e.toml:6: site.retry_on: "403s" is no reason; take "connect", "timeout", "5xx", "404", "4xx" or "off""#,
        ),
        (
            "origin = \"http://o.test\"\nfollow_redirects = 6",
            "e.toml:6: site.follow_redirects: 6 is out of range; take 0 to 5",
        ),
        (
            "origin = \"http://o.test\"\nredirect_hosts = [\"x.test\"]",
            "e.toml:6: site.redirect_hosts: is for redirects that are followed; add follow_redirects = true",
        ),
        (
            "origin = \"http://o.test\"\nhealth = { status = 200 }",
            r#"e.toml:6: site.health.status: is for probes of a path; add path = "/healthz""#,
        ),
        (
            "origin = \"http://o.test\"\nrange_fetch = \"of\"",
            r#"e.toml:6: site.range_fetch: "of" is not one of on, off, force; did you mean "on"?"#,
        ),
    ] {
        assert_eq!(parse(site).unwrap_err(), message, "{site}");
    }
}

#[test]
fn the_hosts_table_leads_to_this_node() {
    let text = format!(
        "{LISTEN}[[site]]\nhosts = [\"a\"]\norigin = [\"http://real.test\", \"http://me.test:8080\"]"
    );
    let config = Config::parse(&text, "e.toml").unwrap();
    for (hosts, expected) in [
        ("127.0.0.1 me.test", true),
        ("127.0.0.1\tlocalhost ME.test # x", true),
        ("::1 me.test", true),
        ("# 127.0.0.1 me.test", false),
        ("192.0.2.1 me.test", false),
        ("127.0.0.1 real.test", false),
        ("junk me.test\n\n", false),
    ] {
        let errors = super::origin_address::loops_by_name(&config, hosts);
        assert_eq!(!errors.is_empty(), expected, "{hosts}: {errors:?}");
    }
}
