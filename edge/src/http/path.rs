//! From the path of a URL to the path of a file under a directory.

/// Why a path names no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("path does not begin with a slash")]
    NotAbsolute,
    /// `%` without two hexadecimal digits.
    #[error("malformed percent-encoding; send %25 for a percent sign")]
    Encoding,
    /// `%2f`: a slash that is no separator; no file name has one.
    #[error("encoded slash in a path")]
    EncodedSlash,
    /// `%00`
    #[error("NUL in a path")]
    Nul,
    /// A segment `..`, encoded or not.
    #[error("path leads upward")]
    Upward,
}

/// Writes into `out` (cleared first) the file path that `path`, the path of a request as sent, names:
/// percent-decoded, relative, without empty or `.` segments. The root is empty. A trailing slash
/// stays, so that a file is not found under a directory's name.
pub fn safe_relative(path: &str, out: &mut Vec<u8>) -> Result<(), PathError> {
    out.clear();
    let mut segments = path.strip_prefix('/').ok_or(PathError::NotAbsolute)?.split('/').peekable();
    while let Some(segment) = segments.next() {
        let start = out.len();
        decode(segment, out)?;
        match &out[start..] {
            b".." => return Err(PathError::Upward),
            b"." => out.truncate(start),
            b"" => {}
            _ if segments.peek().is_some() => out.push(b'/'),
            _ => {}
        }
    }
    Ok(())
}

fn decode(segment: &str, out: &mut Vec<u8>) -> Result<(), PathError> {
    let mut rest = segment.as_bytes();
    while let [byte, tail @ ..] = rest {
        let (byte, tail) = match (byte, tail) {
            (b'%', [high, low, tail @ ..]) => (hex(*high)? << 4 | hex(*low)?, tail),
            (b'%', _) => return Err(PathError::Encoding),
            _ => (*byte, tail),
        };
        match byte {
            0 => return Err(PathError::Nul),
            b'/' => return Err(PathError::EncodedSlash),
            _ => out.push(byte),
        }
        rest = tail;
    }
    Ok(())
}

fn hex(digit: u8) -> Result<u8, PathError> {
    char::from(digit).to_digit(16).map(|value| value as u8).ok_or(PathError::Encoding)
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_stay_below_the_directory() {
        use PathError::*;
        for (path, expected) in [
            ("/", Ok("")),
            ("/a", Ok("a")),
            ("/a/b.iso", Ok("a/b.iso")),
            ("/a/", Ok("a/")),
            ("//a///b//", Ok("a/b/")),
            ("/./a/./b/.", Ok("a/b/")),
            ("/a%20b%2Bc", Ok("a b+c")),
            ("/%e2%82%AC", Ok("€")),
            ("/a\\..\\b", Ok("a\\..\\b")),
            ("/...", Ok("...")),
            ("/..a/b..", Ok("..a/b..")),
            ("/%252e%252e", Ok("%2e%2e")),
            ("", Err(NotAbsolute)),
            ("*", Err(NotAbsolute)),
            ("a/b", Err(NotAbsolute)),
            ("/..", Err(Upward)),
            ("/a/../b", Err(Upward)),
            ("/a/%2e%2E/b", Err(Upward)),
            ("/.%2e", Err(Upward)),
            ("/a%2fb", Err(EncodedSlash)),
            ("/..%2F..%2Fetc", Err(EncodedSlash)),
            ("/a%00", Err(Nul)),
            ("/a\0", Err(Nul)),
            ("/%", Err(Encoding)),
            ("/%2", Err(Encoding)),
            ("/%zz", Err(Encoding)),
            ("/%+1", Err(Encoding)),
        ] {
            let mut out = b"rest of the last".to_vec();
            let got = safe_relative(path, &mut out);
            assert_eq!(got.map(|()| std::str::from_utf8(&out).unwrap()), expected, "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_leads_out(path in "[/.%25a2eEfF0]{0,24}") {
            let mut out = Vec::new();
            if safe_relative(&path, &mut out).is_ok() {
                let text = String::from_utf8_lossy(&out);
                let is_plain = |part| matches!(part, Component::Normal(_));
                prop_assert!(Path::new(text.as_ref()).components().all(is_plain), "{}", text);
                prop_assert!(!text.contains("//"));
            }
        }
    }
}
