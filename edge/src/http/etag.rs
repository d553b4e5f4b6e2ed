//! Entity tags (RFC 9110 §8.8.3) and lists of them.

use super::token::quoted_members;

/// One entity tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// Whether it began with `W/`.
    pub weak: bool,
    /// The opaque tag, quotes included.
    pub opaque: &'a [u8],
}

/// A value of `If-Match` or `If-None-Match` (RFC 9110 §13.1.1, §13.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate<'a> {
    /// `*`
    Any,
    /// A tag.
    Tag(EntityTag<'a>),
}

/// Reads one tag; `None`: malformed, unquoted for example.
pub fn parse(text: &[u8]) -> Option<EntityTag<'_>> {
    let (weak, opaque) = match text.strip_prefix(b"W/") {
        Some(opaque) => (true, opaque),
        None => (false, text),
    };
    let [b'"', inner @ .., b'"'] = opaque else { return None };
    let is_tag_byte = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..);
    inner.iter().all(is_tag_byte).then_some(EntityTag { weak, opaque })
}

/// The candidates of one field line; malformed ones are left out, as they match nothing.
pub fn candidates(value: &[u8]) -> impl Iterator<Item = Candidate<'_>> {
    quoted_members(value).filter_map(|member| match member {
        b"*" => Some(Candidate::Any),
        _ => parse(member).map(Candidate::Tag),
    })
}

impl EntityTag<'_> {
    /// Same bytes, and both say so (RFC 9110 §8.8.3.2).
    pub fn strong_matches(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Same meaning (RFC 9110 §8.8.3.2).
    pub fn weak_matches(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_is_as_the_table_of_8_8_3_2() {
        for (one, other, strong, weak) in [
            (r#"W/"1""#, r#"W/"1""#, false, true),
            (r#"W/"1""#, r#"W/"2""#, false, false),
            (r#"W/"1""#, r#""1""#, false, true),
            (r#""1""#, r#""1""#, true, true),
        ] {
            let (one, other) = (parse(one.as_bytes()).unwrap(), parse(other.as_bytes()).unwrap());
            assert_eq!(one.strong_matches(&other), strong);
            assert_eq!(one.weak_matches(&other), weak);
        }
    }

    #[test]
    fn tags_are_quoted() {
        for good in [r#""""#, r#""a,b""#, r#"W/"x""#, r#""\""#, "\"é\""] {
            assert!(parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["", "a", "\"", "\"a", "a\"", "w/\"a\"", "\"a b\"", "\"a\"b\"", "W/", "*"] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn lists_leave_out_what_is_malformed() {
        let tag = |text: &'static str| Candidate::Tag(parse(text.as_bytes()).unwrap());
        let list = br#" "a,b" , W/"c",, d, *"#;
        let expected = [tag("\"a,b\""), tag("W/\"c\""), Candidate::Any];
        assert_eq!(candidates(list).collect::<Vec<_>>(), expected);
    }
}
