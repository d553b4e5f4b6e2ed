//! `[site.headers]`, `[site.request_headers]` and `[site.cors]`: fields that the operator adds, sets and
//! takes away. What could end a line or change how a message is framed is refused here.

use super::content::{CORS, HEADERS};
use super::raw::{Entry, Section};
use crate::http::hop::is_hop_by_hop;
use crate::http::lines;
use crate::limits;

/// Fields to take away and lines to add, ready to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// Names of fields that go, lower-case: those removed and those set anew.
    pub gone: Vec<String>,
    /// Whole lines that come, each with its CRLF.
    pub lines: Vec<u8>,
}

impl HeaderRules {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.lines.is_empty()
    }

    /// Whether `line` is of a field that goes.
    pub fn drops(&self, line: &[u8]) -> bool {
        self.gone.iter().any(|name| lines::is_field(line, name))
    }
}

/// Which fields a table of rules may not touch, lower-case, and why.
pub(super) type Forbidden = &'static [(&'static str, &'static str)];

/// Fields of answers that the node itself writes from the bytes it sends.
pub(super) const IN_ANSWERS: Forbidden = &[
    ("content-length", "it is how the body is framed"),
    ("content-range", "it says which bytes are sent"),
    ("content-encoding", "it says how the bytes are coded"),
];
/// Fields of requests that the node itself writes, or that would make one client's request another's.
pub(super) const IN_REQUESTS: Forbidden = &[
    ("host", "write host = \"…\" in the [[site]]"),
    ("content-length", "it is how the body is framed"),
    ("accept-encoding", "origins are asked for identity"),
    ("expect", "it is the client's"),
    ("range", "the node asks for the bytes it misses"),
    ("if-range", "the node asks for the version it has"),
    ("if-match", "the node asks for the version it has"),
    ("if-none-match", "the node asks for the version it has"),
    ("if-modified-since", "the node asks for the version it has"),
    ("if-unmodified-since", "the node asks for the version it has"),
    ("via", "the node writes it"),
    ("cdn-loop", "it keeps requests from going round"),
    ("x-forwarded-for", "the node writes it"),
    ("x-forwarded-proto", "the node writes it"),
];

/// The rules of the table at `key`.
pub(super) fn header_rules(
    section: &Section<'_>,
    key: &'static str,
    forbidden: Forbidden,
) -> HeaderRules {
    let mut rules = HeaderRules::default();
    if section.entry(key).is_none() {
        return rules;
    }
    let table = section.section(key, &HEADERS);
    if let Some(entry) = table.entry("remove") {
        for (entry, name) in entry.texts() {
            rules.gone.extend(field_name(entry, name, forbidden));
        }
    }
    for key in ["set", "add"] {
        let Some(entry) = table.entry(key) else { continue };
        let Some(pairs) = entry.pairs() else {
            entry.refuse("takes names and values; write { \"X-Frame-Options\" = \"DENY\" }");
            continue;
        };
        for (name, values) in pairs {
            let Some(lower) = field_name(values, name, forbidden) else { continue };
            if key == "set" {
                rules.gone.push(lower);
            }
            for (entry, value) in values.texts() {
                if is_value(entry, value) {
                    lines::push(&mut rules.lines, name, value.as_bytes());
                }
            }
        }
    }
    if rules.lines.len() > limits::HEADER_RULES_MAX_BYTES {
        let (len, max) = (rules.lines.len(), limits::HEADER_RULES_MAX_BYTES);
        if let Some(entry) = section.entry(key) {
            entry.refuse(format!("comes to {len} bytes of fields; at most {max}"));
        }
    }
    rules
}

/// A field's name in lower case, if it may be touched.
fn field_name(entry: Entry<'_>, name: &str, forbidden: Forbidden) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        entry.refuse(format!(
            "{name:?} is not the name of a field; write it as \"X-Frame-Options\""
        ));
        return None;
    }
    let why = forbidden.iter().find(|(one, _)| *one == lower).map(|(_, why)| *why);
    let why = why.or(is_hop_by_hop(&lower).then_some("it is for one connection only"));
    if let Some(why) = why {
        entry.refuse(format!("{name} is not for rules: {why}; remove it here"));
        return None;
    }
    Some(lower)
}

/// Whether a value is one line of a field (RFC 9110 §5.5).
fn is_value(entry: Entry<'_>, value: &str) -> bool {
    let fits = http::HeaderValue::from_bytes(value.as_bytes()).is_ok() && value.trim() == value;
    if !fits {
        entry.refuse(format!(
            "{value:?} is not a value of a field; write one line without blanks around it"
        ));
    }
    fits
}

/// `[site.cors]`: the Fetch standard's answers to pages of other sites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Any page may read answers.
    pub any: bool,
    /// Pages that may, as browsers name them: `https://app.example.com`.
    pub exact: Vec<String>,
    /// Those below a domain: scheme with `://`, and the domain with its leading dot.
    pub below: Vec<(String, String)>,
    /// Whether they may send cookies.
    pub credentials: bool,
    /// `Access-Control-Allow-Methods`
    pub methods: String,
    /// `Access-Control-Allow-Headers`; empty: those that were asked for.
    pub headers: String,
    /// `Access-Control-Expose-Headers`; empty: none.
    pub expose: String,
    /// `Access-Control-Max-Age`, seconds.
    pub max_age_s: u64,
}

const METHODS_DEFAULT: &str = "GET, HEAD, OPTIONS";
const MAX_AGE_DEFAULT_S: u64 = 600;

/// The `cors` table of a section.
pub(super) fn cors(section: &Section<'_>) -> Option<Cors> {
    section.entry("cors")?;
    let table = section.section("cors", &CORS);
    let cure = "write [\"https://app.example.com\"], or \"*\" for every page";
    let entry = table.required("origins", cure)?;
    let mut cors = Cors {
        methods: list(&table, "methods").unwrap_or_else(|| METHODS_DEFAULT.to_owned()),
        headers: list(&table, "headers").unwrap_or_default(),
        expose: list(&table, "expose").unwrap_or_default(),
        max_age_s: table
            .entry("max_age")
            .and_then(|entry| entry.seconds_ms(0..=limits::TTL_MAX_MS))
            .map_or(MAX_AGE_DEFAULT_S, |ms| ms / 1000),
        ..Cors::default()
    };
    if entry.is_empty_array() {
        entry.refuse(format!("names no page; {cure}"));
    }
    for (entry, text) in entry.texts() {
        match origin_of(text) {
            _ if text == "*" => cors.any = true,
            Some((scheme, host)) => match host.strip_prefix('*') {
                Some(domain) => cors.below.push((scheme.to_owned(), domain.to_owned())),
                None => cors.exact.push(text.to_owned()),
            },
            None => entry.refuse(format!("{text:?} is not an origin of pages; {cure}")),
        }
    }
    let credentials = table.entry("credentials");
    cors.credentials = credentials.and_then(|entry| entry.flag()).unwrap_or(false);
    if let (Some(entry), true, true) = (credentials, cors.credentials, cors.any) {
        entry.refuse("would give every page in the world the client's cookies; name the origins");
    }
    Some(cors)
}

/// Scheme with `://`, and host with its port: lower-case, without a path.
fn origin_of(text: &str) -> Option<(&str, &str)> {
    let at = text.find("://")? + 3;
    let (scheme, host) = text.split_at(at);
    let bare = host.strip_prefix("*.").unwrap_or(host);
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._:[]".contains(&byte);
    let is_scheme = scheme[..at - 3].bytes().all(|byte| byte.is_ascii_lowercase());
    (at > 3 && is_scheme && !bare.is_empty() && bare.bytes().all(fits)).then_some((scheme, host))
}

/// A list of names, as one value.
fn list(section: &Section<'_>, key: &'static str) -> Option<String> {
    let entry = section.entry(key)?;
    let mut names = Vec::new();
    for (entry, name) in entry.texts() {
        match !name.is_empty() && name.bytes().all(crate::http::is_token_byte) {
            true => names.push(name),
            false => entry.refuse(format!("{name:?} is not a name; write it as \"X-Version\"")),
        }
    }
    Some(names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    fn parsed(keys: &str) -> Result<super::super::Site, String> {
        let text = format!("[[site]]\nhosts = \"a\"\norigin = \"http://o\"\n{keys}");
        Config::parse(&text, "e.toml")
            .map(|mut config| config.sites.remove(0))
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn rules_become_names_and_lines() {
        let site = parsed(
            "[site.headers]\nremove = \"Server\"\nset = { X-A = \"1\" }\nadd = { Link = [\"</a>\", \"</b>\"] }\n\
             [[site.rule]]\npath = \"/\"\nheaders = { set = { X-B = \"2\" } }\n",
        )
        .unwrap();
        let rules = &site.content.headers;
        assert_eq!(rules.gone, ["server", "x-a"]);
        assert_eq!(rules.lines, b"X-A: 1\r\nLink: </a>\r\nLink: </b>\r\n");
        assert!(rules.drops(b"sErver: x\r\n") && !rules.drops(b"Server-Timing: x\r\n"));
        assert_eq!(site.rules[0].content.headers.lines, b"X-B: 2\r\n");
        assert!(site.content.request_headers.is_empty());
    }

    #[test]
    fn what_would_break_a_message_is_refused() {
        for (keys, message) in [
            (
                "headers = { set = { Content-Length = \"1\" } }",
                "4: site.headers.set: Content-Length is not for rules: it is how the body is framed; remove it here",
            ),
            (
                "headers = { remove = [\"connection\"] }",
                "4: site.headers.remove: connection is not for rules: it is for one connection only; remove it here",
            ),
            (
                "headers = { add = { X = \"a\\r\\nSet-Cookie: b\" } }",
                "4: site.headers.add: \"a\\r\\nSet-Cookie: b\" is not a value of a field; write one line without blanks around it",
            ),
            (
                "headers = { add = { \"X Y\" = \"a\" } }",
                "4: site.headers.add: \"X Y\" is not the name of a field; write it as \"X-Frame-Options\"",
            ),
            (
                "request_headers = { set = { host = \"b\" } }",
                "4: site.headers.set: host is not for rules: write host = \"…\" in the [[site]]; remove it here",
            ),
            (
                "headers = { ad = {} }",
                "4: unknown key \"ad\" in [site.headers]; did you mean \"add\"?",
            ),
            (
                "cors = { origins = \"*\", credentials = true }",
                "4: site.cors.credentials: would give every page in the world the client's cookies; name the origins",
            ),
            (
                "cors = { origins = [\"app.example.com\"] }",
                "4: site.cors.origins: \"app.example.com\" is not an origin of pages; write [\"https://app.example.com\"], or \"*\" for every page",
            ),
            (
                "cors = {}",
                "4: site.cors.origins is missing; write [\"https://app.example.com\"], or \"*\" for every page",
            ),
        ] {
            assert_eq!(parsed(keys).unwrap_err(), format!("e.toml:{message}"), "{keys}");
        }
    }
}
