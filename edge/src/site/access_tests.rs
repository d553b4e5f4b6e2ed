//! Who is let in: tables.

use super::*;
use crate::config::Config;

fn access(keys: &str) -> Access {
    let text = format!("[[site]]\nhosts = \"a\"\norigin = \"file:///s\"\n[site.access]\n{keys}");
    let config = Config::parse(&text, "e.toml").unwrap();
    Access::new(config.sites[0].access.as_ref().unwrap())
}

fn asked(access: &Access, address: &str, referer: &str, agent: &str) -> Result<(), Denial> {
    let address = address.parse().unwrap();
    access.check(&Asker { address, referer: referer.as_bytes(), agent: agent.as_bytes() }, None)
}

#[test]
fn referers() {
    let allow = "allow_referers = [\"example.com\", \"*.example.org\", \".both.test\", \"img*.cdn.test\", \"[::1]\"]";
    let deny = "deny_referers = [\"evil.test\", \"*.evil.test\"]";
    for (rules, referer, is_in) in [
        (allow, "", true),
        (allow, "http://example.com/page", true),
        (allow, "HTTPS://EXAMPLE.com", true),
        (allow, "https://example.com:8443/x?y", true),
        (allow, "http://www.example.com/", false),
        (allow, "http://a.b.example.org/", true),
        (allow, "http://example.org/", false),
        (allow, "http://both.test/", true),
        (allow, "http://x.both.test/", true),
        (allow, "http://notboth.test/", false),
        (allow, "http://img07.cdn.test/", true),
        (allow, "http://vid.cdn.test/", false),
        (allow, "http://[::1]:80/", true),
        (allow, "http://example.com@evil.test/", false),
        (allow, "http://evil.test/example.com", false),
        (allow, "http://evil.test\\@example.com", false),
        (allow, "http://evil.test?example.com", false),
        (allow, "http://example.com.evil.test/", false),
        (allow, "about:blank", false),
        (allow, "example.com", false),
        (deny, "", true),
        (deny, "http://example.com/", true),
        (deny, "http://evil.test/", false),
        (deny, "http://a.evil.test/", false),
        (deny, "http://user:pw@evil.test:80/", false),
        (deny, "about:blank", true),
        ("empty_referer = false", "", false),
        ("empty_referer = false", "  ", false),
        ("empty_referer = false", "http://any.test/", true),
        (
            "allow_referers = [\".a.test\"]\ndeny_referers = [\"bad.a.test\"]",
            "http://bad.a.test/",
            false,
        ),
        (
            "allow_referers = [\".a.test\"]\ndeny_referers = [\"bad.a.test\"]",
            "http://good.a.test/",
            true,
        ),
    ] {
        let expected = if is_in { Ok(()) } else { Err(Denial::Referer) };
        assert_eq!(asked(&access(rules), "192.0.2.1", referer, ""), expected, "{rules}: {referer}");
    }
}

#[test]
fn addresses() {
    let deny = "deny_addresses = [\"192.0.2.0/24\", \"2001:db8::/32\"]";
    let allow = "allow_addresses = [\"198.51.100.0/24\", \"2001:db8:1::/48\"]";
    let mixed = "allow_addresses = [\"0.0.0.0/0\", \"10.1.0.0/16\"]\ndeny_addresses = [\"10.0.0.0/8\", \"10.1.2.3\"]";
    for (rules, address, is_in) in [
        (deny, "192.0.2.7", false),
        (deny, "::ffff:192.0.2.7", false),
        (deny, "192.0.3.7", true),
        (deny, "2001:db8::1", false),
        (deny, "2001:db9::1", true),
        (allow, "198.51.100.1", true),
        (allow, "198.51.101.1", false),
        (allow, "2001:db8:1::5", true),
        (allow, "2001:db8:2::5", false),
        (mixed, "10.9.9.9", false),
        (mixed, "10.1.9.9", true),
        (mixed, "10.1.2.3", false),
        (mixed, "8.8.8.8", true),
        (mixed, "2001:db8::1", false),
    ] {
        let expected = if is_in { Ok(()) } else { Err(Denial::Address) };
        assert_eq!(asked(&access(rules), address, "", ""), expected, "{rules}: {address}");
    }
}

#[test]
fn thousands_of_prefixes_are_no_slower() {
    let list: Vec<String> =
        (0..4096).map(|n| format!("\"10.{}.{}.0/24\"", n / 256, n % 256)).collect();
    let access = access(&format!("deny_addresses = [{}]", list.join(", ")));
    assert_eq!(asked(&access, "10.15.255.9", "", ""), Err(Denial::Address));
    assert_eq!(asked(&access, "10.16.0.0", "", ""), Ok(()));
}

#[test]
fn agents() {
    let deny = "deny_agents = [\"*Wget*\", \"curl/*\", \"\u{201c}*\"]";
    let allow = "allow_agents = [\"Mozilla/5.0 *\"]\ndeny_agents = [\"*bot*\"]";
    for (rules, agent, is_in) in [
        (deny, "Wget/1.21", false),
        (deny, "xx wGET yy", false),
        (deny, "curl/8.0", false),
        (deny, "libcurl/8.0", true),
        (deny, "", true),
        (allow, "Mozilla/5.0 (X11)", true),
        (allow, "Mozilla/5.0", false),
        (allow, "mozilla/5.0 Googlebot/2.1", false),
        (allow, "", false),
    ] {
        let expected = if is_in { Ok(()) } else { Err(Denial::Agent) };
        assert_eq!(asked(&access(rules), "192.0.2.1", "", agent), expected, "{rules}: {agent}");
    }
}

#[test]
fn patterns() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("a*b*c", "aXXbYYc", true),
        ("a*b*c", "aXXbYY", false),
        ("*ab", "aab", true),
        ("**", "x", true),
        ("a", "A", true),
    ] {
        assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
    }
    // Many stars do not make it slow: this ends.
    let pattern = "*a".repeat(120) + "b";
    assert!(!matches(pattern.as_bytes(), "a".repeat(8192).as_bytes()));
}
