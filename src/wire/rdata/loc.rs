//! LOC: places on the globe (RFC 1876).
//!
//! Owns both forms of the whole RDATA, version 0 only. Angles are thousandths of a second, heights and sizes
//! centimetres; a size keeps one digit and a power of ten.
//!
//! ```text
//! | version | size | horizontal | vertical | latitude (4) | longitude (4) | altitude (4) |
//! ```

use core::fmt::Write as _;

use super::error::{TextCause, TextError, WireError};
use super::tokens::Tokens;

/// Octets of the RDATA.
pub(super) const LOC_BYTES: usize = 16;
/// The equator, and the prime meridian.
const ANGLE_ORIGIN: u32 = 1 << 31;
/// Thousandths of a second in a degree.
const ANGLE_UNITS_PER_DEGREE: u32 = 3_600_000;
/// Height 0 of WGS 84, in centimetres above the lowest height there is.
const ALTITUDE_ORIGIN_CM: u32 = 10_000_000;
/// The largest size and precision: 90,000 km.
const SIZE_CM_MAX: u64 = 9_000_000_000;
/// Size 1 m, horizontal precision 10 km, vertical precision 10 m (RFC 1876 §3).
const SIZE_DEFAULTS: [u8; 3] = [0x12, 0x16, 0x13];

/// Checks the RDATA.
///
/// # Errors
/// [`WireError::Short`], [`WireError::Location`].
pub(super) fn check(rest: &[u8]) -> Result<(), WireError> {
    let parts = Parts::split(rest).ok_or(WireError::Short)?;
    let are_sizes_good = parts.sizes.iter().all(|size| match (size >> 4, size & 0x0F) {
        (0, power) => power == 0,
        (digit, power) => digit <= 9 && power <= 9,
    });
    let is_near = |angle: u32, degrees: u32| angle.abs_diff(ANGLE_ORIGIN) <= degrees * ANGLE_UNITS_PER_DEGREE;
    match parts.version == 0 && are_sizes_good && is_near(parts.latitude, 90) && is_near(parts.longitude, 180) {
        true => Ok(()),
        false => Err(WireError::Location),
    }
}

/// Reads the presentation form.
pub(super) fn read(input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
    let latitude = read_angle(input, 90, *b"NS", "N or S")?;
    let longitude = read_angle(input, 180, *b"EW", "E or W")?;
    let altitude = read_altitude(input)?;
    let mut sizes = SIZE_DEFAULTS;
    for size in &mut sizes {
        if input.is_done() {
            break;
        }
        *size = read_size(input)?;
    }
    out.push(0);
    out.extend_from_slice(&sizes);
    for value in [latitude, longitude, altitude] {
        out.extend_from_slice(&value.to_be_bytes());
    }
    Ok(())
}

/// Writes the presentation form of RDATA that passed [`check`].
pub(super) fn write(rest: &[u8], out: &mut String) {
    let Some(parts) = Parts::split(rest) else { return };
    write_angle(parts.latitude, ['N', 'S'], out);
    write_angle(parts.longitude, ['E', 'W'], out);
    let centimetres = i64::from(parts.altitude) - i64::from(ALTITUDE_ORIGIN_CM);
    let sign = if centimetres < 0 { "-" } else { "" };
    let size = centimetres.unsigned_abs();
    let _ = write!(out, "{sign}{}.{:02}m", size / 100, size % 100); // Writing into a String cannot fail.
    for size in parts.sizes {
        let (digit, power) = (u64::from(size >> 4), u32::from(size & 0x0F));
        let centimetres = digit.saturating_mul(10_u64.saturating_pow(power));
        let _ = match power {
            0 | 1 => write!(out, " 0.{centimetres:02}m"),
            _ => write!(out, " {}m", centimetres / 100),
        };
    }
}

/// The fields of the RDATA.
struct Parts {
    /// 0 in all that we know.
    version: u8,
    /// Size, horizontal and vertical precision: a digit and a power of ten, in centimetres.
    sizes: [u8; 3],
    /// Thousandths of a second, the equator at 2^31.
    latitude: u32,
    /// Thousandths of a second, the prime meridian at 2^31.
    longitude: u32,
    /// Centimetres above 100 km below the ellipsoid.
    altitude: u32,
}

impl Parts {
    /// Cuts the RDATA; `None` if it is too short.
    fn split(rest: &[u8]) -> Option<Self> {
        let (head, rest) = rest.split_first_chunk::<4>()?;
        let (latitude, rest) = rest.split_first_chunk()?;
        let (longitude, rest) = rest.split_first_chunk()?;
        let (altitude, _) = rest.split_first_chunk()?;
        let [version, sizes @ ..] = *head;
        Some(Self {
            version,
            sizes,
            latitude: u32::from_be_bytes(*latitude),
            longitude: u32::from_be_bytes(*longitude),
            altitude: u32::from_be_bytes(*altitude),
        })
    }
}

/// Reads `degrees [minutes [seconds]] letter`.
fn read_angle(
    input: &mut Tokens<'_>,
    degrees_max: u32,
    letters: [u8; 2],
    expected: &'static str,
) -> Result<u32, TextError> {
    const RANGE: TextCause = TextCause::Expected("at most 90 degrees of latitude or 180 of longitude");
    let mut total = input.take_number(degrees_max)? * ANGLE_UNITS_PER_DEGREE;
    for round in 0..3 {
        let text = input.take(expected)?;
        if let [letter] = text {
            let letter = letter.to_ascii_uppercase();
            if letter == letters[0] {
                return Ok(ANGLE_ORIGIN + total);
            }
            if letter == letters[1] {
                return Ok(ANGLE_ORIGIN - total);
            }
        }
        // Minutes are whole numbers, seconds have up to three decimals.
        let (part, unit, name) = match round {
            0 => (decimal(text, 0), 60_000, "minutes from 0 to 59"),
            1 => (decimal(text, 3), 1, "seconds from 0 to 59.999"),
            _ => return Err(input.fail(TextCause::Expected(expected), 0)),
        };
        let limit = u64::from(60_000 / unit * if round == 0 { 60 } else { 1 });
        let part = part.filter(|part| *part < limit).ok_or_else(|| input.fail(TextCause::Expected(name), 0))?;
        total += part as u32 * unit; // Below an hour of degree: checked above.
        if total > degrees_max * ANGLE_UNITS_PER_DEGREE {
            return Err(input.fail(RANGE, 0));
        }
    }
    Err(input.missing(expected))
}

/// Reads a height in metres, from 100 km below to 42849 km above the ellipsoid.
fn read_altitude(input: &mut Tokens<'_>) -> Result<u32, TextError> {
    const EXPECTED: &str = "an altitude in metres from -100000.00 to 42849672.95";
    let text = input.take(EXPECTED)?;
    let text = text.strip_suffix(b"m").unwrap_or(text);
    let (is_negative, digits) = text.strip_prefix(b"-").map_or((false, text), |digits| (true, digits));
    let origin = u64::from(ALTITUDE_ORIGIN_CM);
    decimal(digits, 2)
        .and_then(|centimetres| match is_negative {
            true => origin.checked_sub(centimetres),
            false => origin.checked_add(centimetres),
        })
        .and_then(|centimetres| u32::try_from(centimetres).ok())
        .ok_or_else(|| input.fail(TextCause::Expected(EXPECTED), 0))
}

/// Reads a size in metres; what is more exact than one digit is cut off, as the wire form cannot hold it.
fn read_size(input: &mut Tokens<'_>) -> Result<u8, TextError> {
    const EXPECTED: &str = "metres from 0 to 90000000.00";
    let text = input.take(EXPECTED)?;
    let mut digit = decimal(text.strip_suffix(b"m").unwrap_or(text), 2)
        .filter(|centimetres| *centimetres <= SIZE_CM_MAX)
        .ok_or_else(|| input.fail(TextCause::Expected(EXPECTED), 0))?;
    let mut power = 0;
    while digit > 9 {
        digit /= 10;
        power += 1;
    }
    Ok((digit as u8) << 4 | power)
}

/// Reads a decimal number with up to `places` decimals, in units of the last of them.
fn decimal(text: &[u8], places: usize) -> Option<u64> {
    let dot = text.iter().position(|octet| *octet == b'.');
    let (whole, fraction) = match dot {
        Some(dot) => (text.get(..dot)?, text.get(dot + 1..)?),
        None => (text, &[][..]),
    };
    let is_number = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if !is_number(whole) || whole.len() > 10 || fraction.len() > places || (dot.is_some() && !is_number(fraction)) {
        return None;
    }
    let padding = core::iter::repeat_n(&b'0', places - fraction.len());
    Some(whole.iter().chain(fraction).chain(padding).fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

/// Writes `degrees minutes seconds letter` and a space.
fn write_angle(angle: u32, letters: [char; 2], out: &mut String) {
    let letter = if angle >= ANGLE_ORIGIN { letters[0] } else { letters[1] };
    let size = angle.abs_diff(ANGLE_ORIGIN);
    let (degrees, minutes) = (size / ANGLE_UNITS_PER_DEGREE, size / 60_000 % 60);
    let (seconds, thousandths) = (size / 1000 % 60, size % 1000);
    let _ = write!(out, "{degrees} {minutes} {seconds}.{thousandths:03} {letter} "); // As above.
}
