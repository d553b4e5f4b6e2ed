//! `Cache-Control` (RFC 9111 §5.2, RFC 5861, RFC 8246).

use super::token::{decimal_saturating, is_token_byte, members, quoted_members, trim};

/// What a number too large to hold is taken for, seconds (RFC 9111 §1.2.2).
pub const DELTA_MAX_S: u64 = 1 << 31;

/// One directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directive<'a> {
    /// As sent; has no case.
    pub name: &'a [u8],
    /// What stands after `=`, without quotes if it was quoted.
    pub argument: Option<&'a [u8]>,
}

/// Directives of a response; several field lines are read as one list. Times are in seconds.
///
/// A directive that comes twice is taken at its strictest, and a time that is no number is zero (RFC
/// 9111 §4.2.1). `no-cache` and `private` with field names are about these fields alone: see
/// [`withheld`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are RFC 9111 §5.2.2's")]
pub struct CacheControl {
    pub no_store: bool,
    pub no_cache: bool,
    pub private: bool,
    pub public: bool,
    pub max_age: Option<u64>,
    pub s_maxage: Option<u64>,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub must_understand: bool,
    pub immutable: bool,
    pub stale_while_revalidate: Option<u64>,
    pub stale_if_error: Option<u64>,
}

/// The directives of one field line, in order. Allocates nothing.
pub fn directives(value: &[u8]) -> impl Iterator<Item = Directive<'_>> {
    quoted_members(value).map(|member| match member.iter().position(|byte| *byte == b'=') {
        Some(equals) => Directive {
            name: trim(&member[..equals]),
            argument: Some(unquoted(trim(&member[equals + 1..]))),
        },
        None => Directive { name: member, argument: None },
    })
}

fn unquoted(text: &[u8]) -> &[u8] {
    match text {
        [b'"', inner @ .., b'"'] => inner,
        _ => text,
    }
}

/// Fields without which a response could not be stored, validated or told from another: who names one
/// of them in `no-cache="…"` or `private="…"` means all.
const INDISPENSABLE: [&[u8]; 7] =
    [b"age", b"cache-control", b"date", b"etag", b"expires", b"last-modified", b"vary"];

/// The fields of a response that are for the one who asked, and not for those who are answered from
/// the store: the names in `no-cache="…"` and `private="…"` (RFC 9111 §5.2.2.4, §5.2.2.7).
pub fn withheld<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    let directives = lines.into_iter().flat_map(directives);
    directives.filter_map(|directive| withheld_by(&directive)).flat_map(members)
}

/// The list of names of a directive that is about some fields alone. What is no such list is about
/// all of them (§5.2.2.4).
fn withheld_by<'a>(directive: &Directive<'a>) -> Option<&'a [u8]> {
    let is_either = [&b"no-cache"[..], b"private"];
    is_either.iter().find(|name| directive.name.eq_ignore_ascii_case(name))?;
    let names = directive.argument?;
    let is_name = |name: &[u8]| {
        name.iter().all(|byte| is_token_byte(*byte))
            && !name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
            && !INDISPENSABLE.iter().any(|needed| needed.eq_ignore_ascii_case(name))
    };
    (members(names).next().is_some() && members(names).all(is_name)).then_some(names)
}

impl CacheControl {
    /// Reads every line of the field.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> CacheControl {
        let mut control = CacheControl::default();
        lines.into_iter().flat_map(directives).for_each(|directive| control.add(&directive));
        control
    }

    fn add(&mut self, directive: &Directive) {
        let flags: [(&[u8], &mut bool); 8] = [
            (b"no-store", &mut self.no_store),
            (b"no-cache", &mut self.no_cache),
            (b"private", &mut self.private),
            (b"public", &mut self.public),
            (b"must-revalidate", &mut self.must_revalidate),
            (b"proxy-revalidate", &mut self.proxy_revalidate),
            (b"must-understand", &mut self.must_understand),
            (b"immutable", &mut self.immutable),
        ];
        let is_qualified = withheld_by(directive).is_some();
        for (name, flag) in flags {
            *flag |= directive.name.eq_ignore_ascii_case(name) && !is_qualified;
        }
        let times: [(&[u8], &mut Option<u64>); 4] = [
            (b"max-age", &mut self.max_age),
            (b"s-maxage", &mut self.s_maxage),
            (b"stale-while-revalidate", &mut self.stale_while_revalidate),
            (b"stale-if-error", &mut self.stale_if_error),
        ];
        for (name, time) in times {
            if directive.name.eq_ignore_ascii_case(name) {
                let seconds = directive.argument.and_then(decimal_saturating).unwrap_or(0);
                *time = Some(seconds.min(DELTA_MAX_S).min(time.unwrap_or(u64::MAX)));
            }
        }
    }
}

/// Directives of a request (RFC 9111 §5.2.1). Times are in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are RFC 9111 §5.2.1's")]
pub struct RequestControl {
    pub no_store: bool,
    pub no_cache: bool,
    pub only_if_cached: bool,
    pub max_age: Option<u64>,
    pub min_fresh: Option<u64>,
    /// [`u64::MAX`]: however stale.
    pub max_stale: Option<u64>,
}

impl RequestControl {
    /// Reads every line of `Cache-Control`, and of `Pragma` where there is none of it (§5.4). A time
    /// that is no number asks for the most care.
    pub fn parse<'a>(
        lines: impl IntoIterator<Item = &'a [u8]>,
        pragma: impl IntoIterator<Item = &'a [u8]>,
    ) -> RequestControl {
        let mut control = RequestControl::default();
        let mut lines = lines.into_iter().peekable();
        if lines.peek().is_none() {
            let is_no_cache = |token: &[u8]| token.eq_ignore_ascii_case(b"no-cache");
            control.no_cache = pragma.into_iter().flat_map(members).any(is_no_cache);
        }
        lines.flat_map(directives).for_each(|directive| control.add(&directive));
        control
    }

    /// Whether the client leaves everything to the node.
    pub fn is_plain(&self) -> bool {
        *self == RequestControl::default()
    }

    fn add(&mut self, directive: &Directive) {
        let is = |name: &[u8]| directive.name.eq_ignore_ascii_case(name);
        let seconds = directive.argument.and_then(decimal_saturating);
        let seconds = seconds.map(|seconds| seconds.min(DELTA_MAX_S));
        self.no_store |= is(b"no-store");
        self.no_cache |= is(b"no-cache");
        self.only_if_cached |= is(b"only-if-cached");
        if is(b"max-age") {
            self.max_age = Some(seconds.unwrap_or(0).min(self.max_age.unwrap_or(u64::MAX)));
        }
        if is(b"min-fresh") {
            let seconds = seconds.unwrap_or(DELTA_MAX_S);
            self.min_fresh = Some(seconds.max(self.min_fresh.unwrap_or(0)));
        }
        if is(b"max-stale") {
            self.max_stale = match directive.argument {
                None => Some(u64::MAX),
                Some(_) => Some(seconds.unwrap_or(0)),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(value: &str) -> CacheControl {
        CacheControl::parse(value.split('|').map(str::as_bytes))
    }

    #[test]
    fn directives_are_split_at_unquoted_commas() {
        let directive = |name: &'static str, argument: Option<&'static str>| Directive {
            name: name.as_bytes(),
            argument: argument.map(str::as_bytes),
        };
        let value = br#"max-age=60 , private="set-cookie, x" ,, foo , bar="" , a = b"#;
        assert_eq!(
            directives(value).collect::<Vec<_>>(),
            [
                directive("max-age", Some("60")),
                directive("private", Some("set-cookie, x")),
                directive("foo", None),
                directive("bar", Some("")),
                directive("a", Some("b")),
            ]
        );
    }

    #[test]
    fn directives_mean_what_9111_says() {
        let none = CacheControl::default();
        for (value, expected) in [
            ("", none),
            ("foo, bar=1", none),
            // RFC 9111 §5.2: names have no case; arguments may be tokens or quoted.
            ("Max-Age=60", CacheControl { max_age: Some(60), ..none }),
            ("max-age=\"60\"", CacheControl { max_age: Some(60), ..none }),
            ("public, s-maxage=5", CacheControl { public: true, s_maxage: Some(5), ..none }),
            ("no-store|private", CacheControl { no_store: true, private: true, ..none }),
            // §5.2.2.4, §5.2.2.7: qualified forms
            ("no-cache=\"a, b\"", none),
            ("private=a", none),
            ("private=\"a, no-store\", no-cache", CacheControl { no_cache: true, ..none }),
            // What is no list of names, or cannot be done without, is taken as unqualified.
            ("no-cache=\"\"", CacheControl { no_cache: true, ..none }),
            ("private=\"a b\"", CacheControl { private: true, ..none }),
            ("private=\"a, ETag\"", CacheControl { private: true, ..none }),
            ("no-cache=\"Content-Type\"", CacheControl { no_cache: true, ..none }),
            // §1.2.2: overflow
            ("max-age=2147483649", CacheControl { max_age: Some(DELTA_MAX_S), ..none }),
            (
                "max-age=99999999999999999999999",
                CacheControl { max_age: Some(DELTA_MAX_S), ..none },
            ),
            // §4.2.1: invalid or repeated
            ("max-age=-1", CacheControl { max_age: Some(0), ..none }),
            ("max-age=1.5", CacheControl { max_age: Some(0), ..none }),
            ("max-age", CacheControl { max_age: Some(0), ..none }),
            ("max-age=60, max-age=5", CacheControl { max_age: Some(5), ..none }),
            ("max-age=5|max-age=60", CacheControl { max_age: Some(5), ..none }),
            // §5.2.2.2, §5.2.2.3, §5.2.2.8; RFC 8246; RFC 5861
            ("must-revalidate", CacheControl { must_revalidate: true, ..none }),
            ("proxy-revalidate", CacheControl { proxy_revalidate: true, ..none }),
            ("must-understand", CacheControl { must_understand: true, ..none }),
            ("immutable", CacheControl { immutable: true, ..none }),
            ("stale-while-revalidate=3", CacheControl { stale_while_revalidate: Some(3), ..none }),
            ("stale-if-error=4", CacheControl { stale_if_error: Some(4), ..none }),
        ] {
            assert_eq!(parse(value), expected, "{value}");
        }
    }

    #[test]
    fn fields_that_are_for_one_are_found() {
        for (value, expected) in [
            ("", &[][..]),
            ("no-cache, private", &[]),
            ("max-age=1, no-cache=\"X-A, x-b\"|Private=set-cookie", &["X-A", "x-b", "set-cookie"]),
            ("other=\"x-a\"", &[]),
            ("private=\"x-a, date\", no-cache=\"x-c\"", &["x-c"]),
        ] {
            let found = withheld(value.split('|').map(str::as_bytes));
            let expected: Vec<&[u8]> = expected.iter().map(|name| name.as_bytes()).collect();
            assert_eq!(found.collect::<Vec<_>>(), expected, "{value}");
        }
    }

    #[test]
    fn requests_mean_what_9111_says() {
        let none = RequestControl::default();
        for (value, pragma, expected) in [
            ("", "", none),
            ("foo", "no-cache", none),
            // §5.2.1.1 to §5.2.1.7
            ("max-age=5", "", RequestControl { max_age: Some(5), ..none }),
            ("max-age=x", "", RequestControl { max_age: Some(0), ..none }),
            ("max-stale", "", RequestControl { max_stale: Some(u64::MAX), ..none }),
            ("MAX-STALE=\"7\"", "", RequestControl { max_stale: Some(7), ..none }),
            ("max-stale=x", "", RequestControl { max_stale: Some(0), ..none }),
            ("min-fresh=9", "", RequestControl { min_fresh: Some(9), ..none }),
            ("min-fresh=x", "", RequestControl { min_fresh: Some(DELTA_MAX_S), ..none }),
            ("no-cache|no-store", "", RequestControl { no_cache: true, no_store: true, ..none }),
            ("only-if-cached", "", RequestControl { only_if_cached: true, ..none }),
            ("no-transform", "", none),
        ] {
            let lines = value.split('|').map(str::as_bytes);
            let found = RequestControl::parse(lines, [pragma.as_bytes()]);
            assert_eq!(found, expected, "{value} {pragma}");
        }
        // §5.4
        let old = RequestControl::parse([], [b"x, No-Cache".as_slice()]);
        assert!(old.no_cache && !old.is_plain());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(
            value in prop_oneof![any::<Vec<u8>>(), r#"[a\\=", 1-9]{0,40}"#.prop_map(String::into_bytes)],
        ) {
            CacheControl::parse([&value[..]]);
            for directive in directives(&value) {
                prop_assert!(directive.name.len() <= value.len());
            }
        }

        #[test]
        fn lines_are_one_list(lines in prop::collection::vec("(max-age=[0-9]{1,3}|public|x=\"y,z\")", 0..6)) {
            prop_assert_eq!(parse(&lines.join("|")), parse(&lines.join(", ")));
        }
    }
}
