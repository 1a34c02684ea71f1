//! Times in zone files: TTLs with units, and the timestamps of signatures (RFC 4034 §3.2).
//!
//! Pure arithmetic: knows no clock. Days are counted in the proleptic Gregorian calendar, as POSIX does.

use super::error::TextCause;
use super::tokens::number;

/// The largest TTL in seconds (RFC 2181 §8).
const TTL_SECONDS_MAX: u32 = i32::MAX as u32;

/// What is wrong with a TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtlError {
    /// It is neither a number nor numbers with units.
    Malformed,
    /// It is over 2^31-1 seconds.
    TooLarge,
}

/// Reads a TTL: plain seconds or `1w2d3h4m5s` in any letter case.
///
/// # Errors
/// [`TtlError::Malformed`]; [`TtlError::TooLarge`] over 2^31-1 (RFC 2181 §8).
pub fn parse_ttl(text: &[u8]) -> Result<u32, TtlError> {
    let seconds = sum_seconds(text).ok_or(TtlError::Malformed)?;
    u32::try_from(seconds).ok().filter(|seconds| *seconds <= TTL_SECONDS_MAX).ok_or(TtlError::TooLarge)
}

/// Reads an interval of 32 bits; `None` if it is malformed or larger.
pub(super) fn parse_seconds(text: &[u8]) -> Option<u32> {
    u32::try_from(sum_seconds(text)?).ok()
}

/// Reads plain seconds, or numbers that each have a unit behind them; stays at the largest number where it is over.
fn sum_seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let (mut total, mut value, mut digit_count, mut has_unit) = (0_u64, 0_u64, 0, false);
    for octet in text {
        let unit = match octet.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                value = value.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
                digit_count += 1;
                continue;
            }
            b'w' => 604_800,
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        if digit_count == 0 {
            return None;
        }
        total = total.saturating_add(value.saturating_mul(unit));
        (value, digit_count, has_unit) = (0, 0, true);
    }
    match (digit_count, has_unit) {
        (0, _) => Some(total),
        (_, false) => Some(value),
        // `1h30`: nobody can say thirty of what.
        (_, true) => None,
    }
}

/// Reads `YYYYMMDDHHMMSS` in UTC, or seconds since 1970 in at most ten digits (RFC 4034 §3.2).
///
/// Dates past 2106 wrap around: the field is a serial number of 32 bits (RFC 4034 §3.1.5).
pub(super) fn parse_timestamp(text: &[u8]) -> Result<u32, (TextCause, usize)> {
    const EXPECTED: TextCause = TextCause::Expected("a date as YYYYMMDDHHMMSS, or seconds since 1970");
    if let Some(offset) = text.iter().position(|octet| !octet.is_ascii_digit()) {
        return Err((EXPECTED, offset));
    }
    match text.len() {
        14 => {}
        1..=10 => return number(text, u32::MAX),
        _ => return Err((EXPECTED, 0)),
    }
    let part = |start: usize, length: usize| {
        text.iter().skip(start).take(length).fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'))
    };
    let (year, month, day) = (part(0, 4), part(4, 2), part(6, 2));
    let (hour, minute, second) = (part(8, 2), part(10, 2), part(12, 2));
    if year < 1970 {
        return Err((EXPECTED, 0));
    }
    if !(1..=12).contains(&month) {
        return Err((EXPECTED, 4));
    }
    if !(1..=month_days(year, month)).contains(&day) {
        return Err((EXPECTED, 6));
    }
    // A leap second is written as 60 and counts as the second after.
    for (value, max, offset) in [(hour, 23, 8), (minute, 59, 10), (second, 60, 12)] {
        if value > max {
            return Err((EXPECTED, offset));
        }
    }
    let leap_days = (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 - LEAP_DAYS_BEFORE_1970;
    let days_before_month: u64 = (1..month).map(|month| month_days(year, month)).sum();
    let days = (year - 1970) * 365 + leap_days + days_before_month + day - 1;
    Ok(((days * 24 + hour) * 3_600 + minute * 60 + second) as u32) // Wraps on purpose, as said above.
}

/// Splits seconds since 1970 into year, month, day, hour, minute, second.
pub(super) fn civil(timestamp: u32) -> [u64; 6] {
    let seconds = u64::from(timestamp);
    let (mut days, mut year, mut month) = (seconds / 86_400, 1970, 1);
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    while days >= month_days(year, month) {
        days -= month_days(year, month);
        month += 1;
    }
    [year, month, days + 1, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60]
}

/// 29 February of every leap year before 1970, counted from the year 1.
const LEAP_DAYS_BEFORE_1970: u64 = 1969 / 4 - 1969 / 100 + 1969 / 400;

/// Whether `year` has a 29 February.
fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// How many days `month` has, counted from 1.
fn month_days(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttls_take_units_in_any_case_and_nothing_else() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("3600", Some(3_600)),
            ("1w2d3h4m5s", Some(788_645)),
            ("1W2D3H4M5S", Some(788_645)),
            ("1h", Some(3_600)),
            ("2147483647", Some(2_147_483_647)),
            ("2147483648", None),
            ("99999999999999999999999", None),
            ("4000w", None),
            ("1h30", None),
            ("h", None),
            ("1hh", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1x", None),
            ("IN", None),
            ("DS", None),
        ] {
            assert_eq!(parse_ttl(text.as_bytes()).ok(), seconds, "{text}");
        }
        assert_eq!(parse_ttl(b"3551w"), Err(TtlError::TooLarge));
        assert_eq!(parse_ttl(b"99999999999999999999w9"), Err(TtlError::Malformed));
        assert_eq!(parse_seconds(b"4294967295"), Some(u32::MAX));
        assert_eq!(parse_seconds(b"4294967296"), None);
    }

    #[test]
    fn timestamps_read_back() {
        for (text, timestamp, [year, month, day, hour, minute, second]) in [
            ("19700101000000", 0, [1970, 1, 1, 0, 0, 0]),
            ("20040509183619", 1_084_127_779, [2004, 5, 9, 18, 36, 19]),
            ("20000229235959", 951_868_799, [2000, 2, 29, 23, 59, 59]),
            ("20380119031408", 1 << 31, [2038, 1, 19, 3, 14, 8]),
            ("21060207062815", u32::MAX, [2106, 2, 7, 6, 28, 15]),
        ] {
            assert_eq!(parse_timestamp(text.as_bytes()), Ok(timestamp), "{text}");
            assert_eq!(parse_timestamp(timestamp.to_string().as_bytes()), Ok(timestamp), "{text}");
            assert_eq!(civil(timestamp), [year, month, day, hour, minute, second], "{text}");
        }
        // What comes after wraps, as serial numbers do.
        assert_eq!(parse_timestamp(b"21060207062816"), Ok(0));
    }

    #[test]
    fn impossible_dates_are_refused_where_they_are_wrong() {
        for (text, offset) in [
            ("19691231235959", 0),
            ("20041309183619", 4),
            ("20040009183619", 4),
            ("20230229000000", 6),
            ("21000229000000", 6),
            ("20040500183619", 6),
            ("20040509243619", 8),
            ("20040509186019", 10),
            ("20040509183661", 12),
            ("2004050918361", 0),
            ("200405091836199", 0),
            ("2004050918361x", 13),
            ("", 0),
        ] {
            assert_eq!(parse_timestamp(text.as_bytes()).map_err(|(_, offset)| offset), Err(offset), "{text}");
        }
        assert_eq!(parse_timestamp(b"4294967296"), Err((TextCause::TooLarge(u32::MAX), 0)));
    }
}
