//! Instants as text, in UTC, without an allocation.

/// Days and months begin at 1, hours at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Civil {
    pub year: u64,
    pub month: u64,
    pub day: u64,
    pub hour: u64,
    pub minute: u64,
    pub second: u64,
    pub ms: u64,
}

impl Civil {
    /// The calendar date of an instant (Hinnant, "chrono-compatible low-level date algorithms":
    /// years begin in March, so that the leap day is their last).
    pub fn from_unix_ms(unix_ms: u64) -> Civil {
        let seconds = unix_ms / 1000;
        let days = seconds / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Civil {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: seconds / 3_600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            ms: unix_ms % 1000,
        }
    }

    /// `Nov`.
    pub(super) fn month_name(&self) -> &'static str {
        const NAMES: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        NAMES[(self.month as usize - 1) % 12]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        for (unix_s, year, month, day, hour, minute, second) in [
            (0, 1970, 1, 1, 0, 0, 0),
            (951_782_399, 2000, 2, 28, 23, 59, 59),
            (951_782_400, 2000, 2, 29, 0, 0, 0),
            (1_709_251_200, 2024, 3, 1, 0, 0, 0),
            (1_795_208_400, 2026, 11, 20, 21, 0, 0),
            (4_107_542_400, 2100, 3, 1, 0, 0, 0),
            (253_402_300_799, 9999, 12, 31, 23, 59, 59),
        ] {
            let civil = Civil { year, month, day, hour, minute, second, ms: 7 };
            assert_eq!(Civil::from_unix_ms(unix_s * 1000 + 7), civil, "{unix_s}");
        }
        assert_eq!(Civil::from_unix_ms(u64::MAX).second, 51);
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_httpdate(unix_s in 0u64..253_402_300_800) {
            use std::time::{Duration, UNIX_EPOCH};
            let civil = Civil::from_unix_ms(unix_s * 1000);
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix_s));
            let ours = format!(
                "{:02} {} {:04} {:02}:{:02}:{:02} GMT",
                civil.day, civil.month_name(), civil.year, civil.hour, civil.minute, civil.second
            );
            proptest::prop_assert_eq!(&text[5..], ours);
        }
    }
}
