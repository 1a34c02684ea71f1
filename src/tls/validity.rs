//! Until when a certificate holds (RFC 5280 §4.1.2.5), read from its DER.
//!
//! Looks at nothing else of it; whoever shows a certificate trusts its own file.

/// Tags of DER (X.690 §8).
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The tag of the version, which stands first where there is one.
const VERSION: u8 = 0xA0;
/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// The last second in which a certificate holds, since the Unix epoch; `None` where that can't be read.
pub(super) fn not_after(certificate: &[u8]) -> Option<u64> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut signed, _) = element(certificate, SEQUENCE)?;
    if signed.first() == Some(&VERSION) {
        (_, signed) = any_element(signed)?;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        (_, signed) = any_element(signed)?;
    }
    let (validity, _) = element(signed, SEQUENCE)?;
    let (_, not_after) = any_element(validity)?;
    match not_after.first()? {
        &UTC_TIME => {
            let (text, _) = element(not_after, UTC_TIME)?;
            let (year, rest) = two_digits(text)?;
            seconds(if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        _ => {
            let (text, _) = element(not_after, GENERALIZED_TIME)?;
            let (century, rest) = two_digits(text)?;
            let (year, rest) = two_digits(rest)?;
            seconds(100 * century + year, rest)
        }
    }
}

/// The content of the first element, which must have that tag, and what stands behind it.
fn element(octets: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    any_element(octets).filter(|_| octets.first() == Some(&tag))
}

/// The content of the first element, and what stands behind it.
fn any_element(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[_tag, first], rest) = octets.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        // A certificate has less than 2^32 octets.
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (length.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// A number of two digits, and what stands behind it.
fn two_digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let (&[tens, ones], rest) = text.split_first_chunk()?;
    let is_number = tens.is_ascii_digit() && ones.is_ascii_digit();
    is_number.then(|| (u64::from(tens - b'0') * 10 + u64::from(ones - b'0'), rest))
}

/// The seconds since the epoch of `MMDDHHMMSSZ` in a year.
fn seconds(year: u64, text: &[u8]) -> Option<u64> {
    let (month, rest) = two_digits(text)?;
    let (day, rest) = two_digits(rest)?;
    let (hour, rest) = two_digits(rest)?;
    let (minute, rest) = two_digits(rest)?;
    let (second, rest) = two_digits(rest)?;
    let is_good = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !is_good || rest != b"Z" {
        return None;
    }
    // Years that begin in March end with the day that not all have.
    let years = year - u64::from(month < 3);
    let leap_days = years / 4 - years / 100 + years / 400;
    let days_before = 365 * years + leap_days + (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    /// Days from 1 March of the year 0 to 1 January 1970.
    const EPOCH_DAYS: u64 = 719_468;
    Some(days_before.checked_sub(EPOCH_DAYS)? * DAY_S + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element.
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).expect("short").to_be_bytes();
        [&[tag, 0x82], &length[..], content].concat()
    }

    /// A certificate, as far as it is looked at.
    fn certificate(version: &[u8], tag: u8, not_after: &str) -> Vec<u8> {
        let validity = der(SEQUENCE, &[der(UTC_TIME, b"260101000000Z"), der(tag, not_after.as_bytes())].concat());
        let parts = [version, &der(2, &[1]), &der(SEQUENCE, &[]), &der(SEQUENCE, &[]), &validity].concat();
        der(SEQUENCE, &der(SEQUENCE, &parts))
    }

    #[test]
    fn the_end_is_read_in_either_form() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "261201013300Z", Some(1_796_088_780)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "20000229120000Z", Some(951_825_600)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, "261301000000Z", None),
            (UTC_TIME, "261201000000", None),
            (UTC_TIME, "26120100000xZ", None),
            (4, "261201000000Z", None),
        ] {
            for version in [&[][..], &[VERSION, 3, 2, 1, 2]] {
                let certificate = certificate(version, tag, text);
                assert_eq!(not_after(&certificate), expected, "{text}");
                for length in 0..certificate.len() {
                    assert_eq!(not_after(&certificate[..length]), None, "{text}: {length}");
                }
            }
        }
    }

    #[test]
    fn what_rcgen_writes_is_read() {
        let mut params = rcgen::CertificateParams::new(["host.test".to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(2031, 5, 6);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        assert_eq!(not_after(certificate.der()), Some(1_935_792_000));
    }
}
