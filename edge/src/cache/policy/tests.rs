use super::super::freshness::{Storability, assess};
use super::*;
use crate::config::Config;

const NOW_MS: u64 = 1_000_000_000_000;
const NOW_S: i64 = 1_000_000_000;

/// A rule for everything, and the site's `status_ttl`, from lines of configuration.
fn policy(site: &str, rule: &str) -> (Option<Rule>, StatusTtl) {
    let rule = match rule {
        "" => String::new(),
        lines => format!("[[site.rule]]\npath = \"/\"\n{lines}\n"),
    };
    let text = format!("[[site]]\nhosts = \"a\"\norigin = \"file:///s\"\n{site}\n{rule}");
    let mut site = Config::parse(&text, "e.toml").unwrap().sites.remove(0);
    (site.rules.pop(), site.status_ttl)
}

fn plain(status: u16) -> ResponseFacts {
    ResponseFacts {
        status,
        date_unix_s: Some(NOW_S),
        last_modified_unix_s: Some(NOW_S - 1_000),
        has_etag: true,
        ..ResponseFacts::default()
    }
}

type Change = fn(&mut ResponseFacts);
/// `status_ttl` of the site, the rule, the status; seconds and who decides.
type Row = (&'static str, &'static str, u16, Change, Option<u64>, Decider);

/// Seconds it is fresh from now on, and who says so; `None`: it is not stored to be used.
fn decided((site, rule): (&str, &str), status: u16, change: Change) -> (Option<u64>, Decider) {
    let (rule, status_ttl) = policy(site, rule);
    let mut facts = plain(status);
    change(&mut facts);
    let decider = Policy { rule: rule.as_ref(), status_ttl: &status_ttl }.apply(&mut facts);
    match assess(&facts, 3_600_000, NOW_MS, NOW_MS) {
        Storability::Store { lifetime_ms, initial_age_ms } => {
            (Some((lifetime_ms - initial_age_ms) / 1000), decider)
        }
        _ => (None, decider),
    }
}

fn nothing(_: &mut ResponseFacts) {}
fn max_age_60(facts: &mut ResponseFacts) {
    facts.cache_control.max_age_s = Some(60);
}
fn max_age_0(facts: &mut ResponseFacts) {
    facts.cache_control.max_age_s = Some(0);
}
fn no_cache(facts: &mut ResponseFacts) {
    facts.cache_control.no_cache = true;
}
fn no_store(facts: &mut ResponseFacts) {
    facts.cache_control.no_store = true;
}
fn private(facts: &mut ResponseFacts) {
    facts.cache_control.private = true;
}
fn set_cookie(facts: &mut ResponseFacts) {
    facts.set_cookie = true;
}
fn expired(facts: &mut ResponseFacts) {
    facts.expires_unix_s = Some(Err(()));
}
fn bare(facts: &mut ResponseFacts) {
    facts.last_modified_unix_s = None;
    facts.has_etag = false;
}
fn old(facts: &mut ResponseFacts) {
    facts.age_s = Some(5_000);
}

/// The order of the CDN service and of the RFC, line by line.
#[test]
fn orders() {
    use Decider::*;
    const TTL: &str = "ttl = \"500s\"";
    const OVERRIDE: &str = "ttl = \"500s\"\noverride = true";
    const ORIGIN_WINS: &str = "ttl = \"500s\"\noverride = true\norigin_wins = true";
    const IGNORE: &str = "ttl = \"500s\"\noverride = true\nignore_no_cache = true";
    let rows: [(&str, Change, Option<u64>, Decider); 26] = [
        // Without a rule: min(max(10 s, a tenth of the age), 3600 s).
        ("", nothing, Some(100), Origin),
        ("", |f| f.last_modified_unix_s = Some(NOW_S - 5), Some(10), Origin),
        ("", |f| f.last_modified_unix_s = Some(0), Some(3600), Origin),
        ("", bare, None, Origin),
        // Origin first.
        (TTL, nothing, Some(500), Rule),
        (TTL, bare, Some(500), Rule),
        (TTL, max_age_60, Some(60), Origin),
        (TTL, max_age_0, None, Origin),
        (TTL, no_cache, None, Rule),
        (TTL, no_store, None, Rule),
        (TTL, old, None, Rule),
        // Override: the origin's refusals, then the rule.
        (OVERRIDE, nothing, Some(500), Rule),
        (OVERRIDE, max_age_60, Some(500), Rule),
        (OVERRIDE, |f| f.expires_unix_s = Some(Ok(NOW_S + 9)), Some(500), Rule),
        (OVERRIDE, old, Some(500), Rule),
        (OVERRIDE, max_age_0, None, Origin),
        (OVERRIDE, expired, None, Origin),
        (OVERRIDE, no_cache, None, Origin),
        (OVERRIDE, no_store, None, Origin),
        (OVERRIDE, private, None, Rule),
        (OVERRIDE, set_cookie, None, Origin),
        // Flags.
        (ORIGIN_WINS, max_age_60, Some(60), Origin),
        (ORIGIN_WINS, nothing, Some(500), Rule),
        (IGNORE, |f| (no_cache(f), no_store(f), max_age_0(f), expired(f)).0, Some(500), Rule),
        (IGNORE, private, None, Rule),
        ("bypass = true", max_age_60, None, Bypass),
    ];
    for (number, (rule, change, ttl_s, decider)) in rows.into_iter().enumerate() {
        assert_eq!(decided(("", rule), 200, change), (ttl_s, decider), "row {number}: {rule}");
    }
}

#[test]
fn revalidation_is_stored_as_no_cache() {
    let (rule, status_ttl) = policy("", "ttl = \"500s\"\nrevalidate = true");
    let mut facts = plain(200);
    let policy = Policy { rule: rule.as_ref(), status_ttl: &status_ttl };
    assert_eq!(policy.apply(&mut facts), Decider::Rule);
    assert!(facts.cache_control.no_cache && !facts.cache_control.no_store);
}

#[test]
fn statuses() {
    use Decider::*;
    const SITE: &str = "status_ttl = \"403=10, 404=15, 4xx=2, 204=0\"";
    const RULE: &str = "ttl = \"500s\"\nstatus_ttl = \"404=7\"";
    const OVERRIDE: &str = "ttl = \"500s\"\noverride = true";
    let rows: [Row; 25] = [
        // What the site says, an exact status before its class.
        (SITE, "", 403, nothing, Some(10), SiteStatus),
        (SITE, "", 404, nothing, Some(15), SiteStatus),
        (SITE, "", 400, nothing, Some(2), SiteStatus),
        (SITE, "", 204, nothing, None, SiteStatus),
        (SITE, "", 401, max_age_60, None, Origin),
        (SITE, "", 407, nothing, None, Origin),
        (SITE, "", 404, max_age_60, Some(60), Origin),
        (SITE, "", 404, no_store, None, SiteStatus),
        // A rule before the site; its lifetime is not for errors.
        (SITE, RULE, 404, nothing, Some(7), RuleStatus),
        (SITE, RULE, 403, nothing, Some(10), SiteStatus),
        (SITE, RULE, 200, nothing, Some(500), Rule),
        ("", RULE, 410, nothing, Some(100), Origin),
        // Nobody says anything: a second, as far as the RFC allows to guess.
        ("", "", 404, bare, Some(1), ErrorDefault),
        ("", "", 404, nothing, Some(100), Origin),
        ("", "", 501, bare, Some(1), ErrorDefault),
        ("", "", 403, bare, None, Origin),
        ("", "", 503, bare, None, Origin),
        ("", "", 200, bare, None, Origin),
        // The CDN's order remembers more of them.
        ("", OVERRIDE, 403, bare, Some(1), ErrorDefault),
        ("", OVERRIDE, 503, bare, Some(1), ErrorDefault),
        ("", OVERRIDE, 503, max_age_60, Some(60), Origin),
        ("", OVERRIDE, 302, bare, Some(500), Rule),
        ("", OVERRIDE, 303, bare, None, Origin),
        ("", OVERRIDE, 401, bare, None, Origin),
        (SITE, OVERRIDE, 404, max_age_60, Some(15), SiteStatus),
    ];
    for (number, (site, rule, status, change, ttl_s, decider)) in rows.into_iter().enumerate() {
        let found = decided((site, rule), status, change);
        assert_eq!(found, (ttl_s, decider), "row {number}: {status} {site} {rule}");
    }
}
