//! The values of request fields that `Vary` names, normalised so that what means the same is the same
//! (RFC 9111 §4.1). Allocates nothing.

use super::token::{members, quoted_members, trim};

/// Members of a list that are put in order; a longer list is taken as it came.
const ORDERED_MAX: usize = 16;
/// Bytes of a member whose case is folded; a longer one is taken as it came.
const FOLDED_MAX_BYTES: usize = 64;

/// Hands `take` the pieces that stand for the lines of one request field: the members of all lines as
/// of one list, without the white space around them. Of lists of preferences, where neither case nor
/// the order of equals matters, in lower case and in order of preference.
pub fn pieces<'a>(
    name: &str,
    lines: impl Iterator<Item = &'a [u8]> + Clone,
    mut take: impl FnMut(&[u8]),
) {
    if !is_preference(name) {
        return lines.flat_map(quoted_members).for_each(take);
    }
    let mut ordered: [(u16, &[u8]); ORDERED_MAX] = [(0, &[]); ORDERED_MAX];
    let mut len = 0;
    for member in lines.clone().flat_map(members) {
        let Some(place) = ordered.get_mut(len) else {
            return lines.flat_map(members).for_each(take);
        };
        *place = preference(member);
        len += 1;
    }
    let ordered = &mut ordered[..len];
    ordered.sort_unstable_by(|(weight, one), (other_weight, other)| {
        let by_name = || lower(one).cmp(lower(other));
        other_weight.cmp(weight).then_with(by_name)
    });
    for (weight, value) in ordered {
        let mut folded = [0; FOLDED_MAX_BYTES];
        match folded.get_mut(..value.len()) {
            Some(folded) => {
                folded.copy_from_slice(value);
                folded.make_ascii_lowercase();
                take(folded);
            }
            None => take(value),
        }
        take(&weight.to_le_bytes());
    }
}

/// Whether the field is a list of preferences with weights (RFC 9110 §12.5).
fn is_preference(name: &str) -> bool {
    let preferences = ["accept-language", "accept-encoding", "accept-charset"];
    preferences.iter().any(|preference| preference.eq_ignore_ascii_case(name))
}

/// Weight in thousandths, and what is preferred (RFC 9110 §12.4.2). A weight that cannot be read is
/// left where it is.
pub(super) fn preference(member: &[u8]) -> (u16, &[u8]) {
    let Some(semicolon) = member.iter().position(|byte| *byte == b';') else {
        return (1000, member);
    };
    match trim(&member[semicolon + 1..]) {
        [b'q' | b'Q', b'=', digits @ ..] => match thousandths(digits) {
            Some(weight) => (weight, trim(&member[..semicolon])),
            None => (1000, member),
        },
        _ => (1000, member),
    }
}

fn thousandths(digits: &[u8]) -> Option<u16> {
    let (whole, fraction) = match digits {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let mut weight = u16::from(whole.checked_sub(b'0').filter(|whole| *whole <= 1)?);
    for place in 0..3 {
        let digit = fraction.get(place).copied().unwrap_or(b'0');
        weight = weight * 10 + u16::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    (weight <= 1000).then_some(weight)
}

fn lower(text: &[u8]) -> impl Iterator<Item = u8> {
    text.iter().map(u8::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: &str) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        pieces(name, value.split('|').map(str::as_bytes), |piece| all.push(piece.to_vec()));
        all
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        // RFC 9111 §4.1: white space, lines, and what the field's own meaning allows.
        for (name, one, other) in [
            ("foo", "1, 2", "1|2"),
            ("foo", "1,2", " 1, 2 "),
            ("Accept-Language", "en, de", "de, en"),
            ("Accept-Language", "en, de", "eN,   De"),
            ("accept-language", "en;q=1.0, de;Q=0.50", "de;q=0.5|en"),
            ("accept-encoding", "gzip, br", "BR|gzip"),
        ] {
            assert_eq!(of(name, one), of(name, other), "{name}: {one} / {other}");
        }
    }

    #[test]
    fn what_differs_stays_different() {
        for (name, one, other) in [
            ("foo", "1, 2", "2, 1"),
            ("foo", "a", "A"),
            ("foo", "\"1, 2\"", "\"1,2\""),
            ("accept-language", "en, de", "en, de;q=0.5"),
            ("accept-language", "en;q=0.4, de;q=0.5", "en;q=0.5, de;q=0.4"),
            ("accept-language", "en", "en-gb"),
        ] {
            assert_ne!(of(name, one), of(name, other), "{name}: {one} / {other}");
        }
        let many = ["x"; ORDERED_MAX + 1].join(",");
        assert_eq!(of("accept-language", &many).len(), ORDERED_MAX + 1);
        let long = "Y".repeat(FOLDED_MAX_BYTES + 1);
        assert_eq!(of("accept-language", &long)[0], long.as_bytes());
    }

    #[test]
    fn weights() {
        for (text, expected) in [
            ("1", Some(1000)),
            ("0", Some(0)),
            ("0.5", Some(500)),
            ("0.123", Some(123)),
            ("1.000", Some(1000)),
            ("1.001", None),
            ("2", None),
            ("0.1234", None),
            ("0.x", None),
            ("", None),
        ] {
            assert_eq!(thousandths(text.as_bytes()), expected, "{text}");
        }
    }
}
