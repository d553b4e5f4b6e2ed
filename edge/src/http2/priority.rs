//! What a client would have first (RFC 9218).

use crate::http::token::members;

/// How soon, and whether in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// 0 is first, 7 last.
    pub urgency: u8,
    /// Whether the answer is of use in parts: it shares with others of its urgency.
    pub incremental: bool,
}

impl Default for Priority {
    /// Of a request that says nothing. RFC 9218 §4.2 would have such answers one after the other; a
    /// client that knows nothing of priorities expects them to share, as they did before.
    fn default() -> Priority {
        Priority { urgency: 3, incremental: true }
    }
}

impl Priority {
    /// Of a `Priority` field or frame. What is malformed in it counts as not said (RFC 9218 §4).
    pub fn parse(value: &[u8]) -> Priority {
        let mut priority = Priority { urgency: 3, incremental: false };
        for member in members(value) {
            match member.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end() {
                [b'u', b'=', digit @ b'0'..=b'7'] => priority.urgency = digit - b'0',
                b"i" | b"i=?1" => priority.incremental = true,
                b"i=?0" => priority.incremental = false,
                _ => {}
            }
        }
        priority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_leniently() {
        for (field, urgency, incremental) in [
            ("", 3, false),
            ("u=0", 0, false),
            ("u=7, i", 7, true),
            ("i,u=5", 5, true),
            ("u=1;x=y, i=?0", 1, false),
            ("i=?1", 3, true),
            ("u=8", 3, false),
            ("u=-1, u=2", 2, false),
            ("u = 2", 3, false),
        ] {
            let expected = Priority { urgency, incremental };
            assert_eq!(Priority::parse(field.as_bytes()), expected, "{field}");
        }
    }
}
