//! The small grammar every field shares (RFC 9110 §5.6).

/// Whether `byte` may stand in a token (RFC 9110 §5.6.2).
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether `byte` may stand in a field value: visible, space, tab or obs-text (RFC 9110 §5.5).
pub fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// `value` without the optional white space around it (RFC 9110 §5.6.3).
pub fn trim(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(first) = value.iter().position(|byte| !is_space(byte)) else { return &[] };
    let last = value.iter().rposition(|byte| !is_space(byte)).unwrap_or(first);
    &value[first..=last]
}

/// The members of a comma-separated list, empty ones left out (RFC 9110 §5.6.1.2). For lists
/// without quoted strings.
pub fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// Like [`members`], for lists that may hold quoted strings: a comma inside quotes does not part.
/// A quote that is never closed reaches to the end.
pub fn quoted_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let comma = unquoted_comma(bytes);
        rest = comma.map(|comma| &bytes[comma + 1..]);
        Some(trim(&bytes[..comma.unwrap_or(bytes.len())]))
    })
    .filter(|member| !member.is_empty())
}

fn unquoted_comma(bytes: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    bytes.iter().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    })
}

/// A number of one or more digits and nothing else; one that does not fit is [`u64::MAX`].
pub fn decimal_saturating(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let step =
        |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, step))
}

/// A number of one or more digits and nothing else that fits.
pub fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_part_at_commas_outside_quotes() {
        // RFC 9110 §5.6.1.2: empty members are to be read over.
        assert_eq!(members(b" a ,, b,\t").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(members(b"").count(), 0);
        let quoted = |value: &'static [u8]| quoted_members(value).collect::<Vec<_>>();
        assert_eq!(quoted(br#""a,b", c"#), [br#""a,b""#.as_slice(), b"c"]);
        assert_eq!(quoted(br#"a="\",", c"#), [br#"a="\",""#.as_slice(), b"c"]);
        assert_eq!(quoted(br#"a="x, c"#), [br#"a="x, c"#]);
        assert_eq!(quoted(b",,"), [b""; 0]);
    }

    #[test]
    fn numbers_are_digits_only() {
        for (text, exact, saturating) in [
            ("0", Some(0), Some(0)),
            ("18446744073709551615", Some(u64::MAX), Some(u64::MAX)),
            ("18446744073709551616", None, Some(u64::MAX)),
            ("", None, None),
            ("+1", None, None),
            ("1 ", None, None),
            ("0x1", None, None),
        ] {
            assert_eq!(decimal(text.as_bytes()), exact, "{text}");
            assert_eq!(decimal_saturating(text.as_bytes()), saturating, "{text}");
        }
    }

    #[test]
    fn white_space_is_space_and_tab() {
        assert_eq!(trim(b" \t a b\t"), b"a b");
        assert_eq!(trim(b" \t"), b"");
        assert_eq!(trim(b"\x0ba"), b"\x0ba");
    }
}
