use std::fmt;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z. A plain value; the clock belongs to the drivers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    #[must_use]
    pub fn from_secs(secs: i64) -> Timestamp {
        Timestamp(secs.saturating_mul(1000))
    }

    #[must_use]
    pub fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }

    #[must_use]
    pub fn plus_secs(self, secs: i64) -> Timestamp {
        self.plus_ms(secs.saturating_mul(1000))
    }

    /// Milliseconds from `earlier` to `self`; negative if `self` is earlier.
    #[must_use]
    pub fn since_ms(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// (year, month, day, hour, minute, second) in UTC, proleptic Gregorian.
    #[must_use]
    pub fn civil(self) -> (i64, u32, u32, u32, u32, u32) {
        let secs = self.secs();
        let (days, of_day) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
        // Days since 0000-03-01, in eras of 400 years (Howard Hinnant, "chrono-compatible low-level date algorithms").
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        (year, month as u32, day as u32, (of_day / 3600) as u32, (of_day / 60 % 60) as u32, (of_day % 60) as u32)
    }

    /// The first moment of a day written `2027-06-30` (RFC 3339, `full-date`), in UTC.
    #[must_use]
    pub fn of_date(text: &str) -> Option<Timestamp> {
        let mut parts = text.split('-');
        let mut part = |digits: usize| {
            let part = parts.next()?;
            (part.len() == digits && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<i64>().ok())?
        };
        let (year, month, day) = (part(4)?, part(2)?, part(2)?);
        if parts.next().is_some() || !(1..=12).contains(&month) {
            return None;
        }
        // The reverse of `civil`, for years of four digits.
        let from_march = if month > 2 { month - 3 } else { month + 9 };
        let year_from_march = year - i64::from(month <= 2);
        let era = year_from_march.div_euclid(400);
        let year_of_era = year_from_march.rem_euclid(400);
        let day_of_year = (153 * from_march + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let at = Timestamp::from_secs((era * 146_097 + day_of_era - 719_468) * 86_400);
        // A day that the month does not have has become another.
        (at.date() == text).then_some(at)
    }

    /// `2027-06-30`.
    #[must_use]
    pub fn date(self) -> String {
        let (year, month, day, ..) = self.civil();
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// Date and time for a header field (RFC 5322, section 3.3), in UTC.
    #[must_use]
    pub fn rfc5322(self) -> String {
        let (y, mo, d, h, mi, s) = self.civil();
        let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][self.secs().div_euclid(86_400).rem_euclid(7) as usize];
        let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][(mo - 1) as usize];
        format!("{weekday}, {d} {month} {y:04} {h:02}:{mi:02}:{s:02} +0000")
    }
}

/// RFC 3339 in UTC with milliseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (y, mo, d, h, mi, s) = self.civil();
        write!(f, "{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{:03}Z", self.0.rem_euclid(1000))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn known_days_print_as_the_calendar_has_them() {
        for (secs, iso, header) in [
            (0, "1970-01-01T00:00:00.000Z", "Thu, 1 Jan 1970 00:00:00 +0000"),
            (951_782_400, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_700_000_000, "2023-11-14T22:13:20.000Z", "Tue, 14 Nov 2023 22:13:20 +0000"),
            (-1, "1969-12-31T23:59:59.000Z", "Wed, 31 Dec 1969 23:59:59 +0000"),
        ] {
            assert_eq!(Timestamp::from_secs(secs).to_string(), iso);
            assert_eq!(Timestamp::from_secs(secs).rfc5322(), header);
        }
    }

    #[test]
    fn a_date_is_read_as_it_is_printed_and_no_other_day_is_guessed() {
        for (text, secs) in [("1970-01-01", 0), ("2000-02-29", 951_782_400), ("2023-11-14", 1_699_920_000)] {
            let at = Timestamp::of_date(text);
            assert_eq!((at, at.map(Timestamp::date).as_deref()), (Some(Timestamp::from_secs(secs)), Some(text)));
        }
        for day in (0..60_000).step_by(7) {
            let at = Timestamp::from_secs(day * 86_400);
            assert_eq!(Timestamp::of_date(&at.date()), Some(at));
        }
        for wrong in
            ["2027-02-29", "2027-13-01", "2027-00-10", "2027-1-1", "27-01-01", "2027-01-01T00", "2027-01-01-01", "+027-01-01", ""]
        {
            assert_eq!(Timestamp::of_date(wrong), None, "{wrong}");
        }
    }
}
