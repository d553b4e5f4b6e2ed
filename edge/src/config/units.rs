//! Sizes and durations as people write them.

/// Bytes of `10GiB`, `256MiB`, `1MB`, `64k` or `4096`: `KiB`, `MiB`, `GiB`, `TiB` are powers of
/// 1024, as are nginx's `k`, `m`, `g`, `t`; `kB`, `MB`, `GB`, `TB` powers of 1000.
pub fn size_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Milliseconds of `250ms`, `30s`, `5m`, `1h` or `7d`. A unit is wanted, but for `0`.
pub(super) fn duration_ms(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "" if number == 0 => 1,
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Bytes with the largest unit that divides them.
pub fn size_text(bytes: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = units.iter().find(|(factor, _)| bytes >= *factor && bytes.is_multiple_of(*factor));
    fits.map_or_else(|| format!("{bytes}B"), |(factor, unit)| format!("{}{unit}", bytes / factor))
}

/// Milliseconds with the largest unit that divides them.
pub fn duration_text(ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let fits = units.iter().find(|(factor, _)| ms >= *factor && ms.is_multiple_of(*factor));
    fits.map_or_else(|| format!("{ms}ms"), |(factor, unit)| format!("{}{unit}", ms / factor))
}

/// Digits, then a unit; blanks may stand between.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("10GiB", Some(10 << 30)),
            ("256 MiB", Some(256 << 20)),
            ("1MB", Some(1_000_000)),
            ("1m", Some(1 << 20)),
            ("2TiB", Some(2 << 40)),
            ("17179869184GiB", None),
            ("99999999999999999999", None),
            ("1.5GiB", None),
            ("-1", None),
            ("GiB", None),
            ("1GiBs", None),
            ("", None),
        ] {
            assert_eq!(size_bytes(text), bytes, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("0", Some(0)),
            ("250ms", Some(250)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("7d", Some(604_800_000)),
            ("30", None),
            ("1M", None),
            ("s", None),
            ("-1s", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(duration_ms(text), ms, "{text}");
        }
    }

    #[test]
    fn texts_read_back() {
        for bytes in [0, 1, 1023, 1024, 65_536, 1 << 20, 10 << 30, 3 << 40, u64::MAX] {
            assert_eq!(size_bytes(&size_text(bytes)), Some(bytes));
        }
        for ms in [1, 999, 1_000, 90_000, 3_600_000, 86_400_000] {
            assert_eq!(duration_ms(&duration_text(ms)), Some(ms));
        }
        assert_eq!(size_text(10 << 30), "10GiB");
        assert_eq!(duration_text(3_600_000), "1h");
    }
}
