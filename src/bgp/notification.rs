//! NOTIFICATION: why a session ends, in octets and in words (RFC 4271 §4.5, §6; RFC 4486; RFC 9003).

use core::fmt;

use super::message::{Kind, write_message};

/// The most octets of the text of a shutdown (RFC 9003 §2).
pub const SHUTDOWN_TEXT_BYTES_MAX: usize = 255;

/// The most octets behind code and subcode that are kept of one that is received, and sent of one that quotes.
const QUOTED_BYTES_MAX: usize = 256;

/// Why a session ends.
///
/// ```text
///   0                   1                   2
///   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3
///  +---------------+---------------+------------ ...
///  |     code      |    subcode    | data
///  +---------------+---------------+------------ ...
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What kind of error.
    pub code: u8,
    /// Which of its kind; 0 where none fits.
    pub subcode: u8,
    /// What the code says that it is: the octets that are wrong, or a text.
    pub data: Vec<u8>,
}

/// Codes of errors.
impl Notification {
    /// Message Header Error.
    pub const HEADER: u8 = 1;
    /// OPEN Message Error.
    pub const OPEN: u8 = 2;
    /// UPDATE Message Error.
    pub const UPDATE: u8 = 3;
    /// Hold Timer Expired.
    pub const HOLD_TIMER: u8 = 4;
    /// Finite State Machine Error.
    pub const STATE: u8 = 5;
    /// Cease.
    pub const CEASE: u8 = 6;
    /// ROUTE-REFRESH Message Error (RFC 7313 §5).
    pub const REFRESH: u8 = 7;
    /// Send Hold Timer Expired (RFC 9687 §3).
    pub const SEND_HOLD_TIMER: u8 = 8;
    /// Cease: too many prefixes.
    pub const CEASE_PREFIXES: u8 = 1;
    /// Cease: administrative shutdown; has a text.
    pub const CEASE_SHUTDOWN: u8 = 2;
    /// Cease: administrative reset; has a text.
    pub const CEASE_RESET: u8 = 4;
    /// Cease: BFD says that the neighbour is gone (RFC 9384).
    pub const CEASE_BFD_DOWN: u8 = 10;
}

impl Notification {
    /// Makes one; data beyond a bound is cut off.
    pub(super) fn new(code: u8, subcode: u8, data: &[u8]) -> Self {
        Self { code, subcode, data: data[..data.len().min(QUOTED_BYTES_MAX)].to_vec() }
    }

    /// Makes a Cease. `text` is its reason: cut to [`SHUTDOWN_TEXT_BYTES_MAX`], with `?` for what is not printable
    /// ASCII, and left out where the subcode has none.
    #[must_use]
    pub fn cease(subcode: u8, text: &str) -> Self {
        let has_text = matches!(subcode, Self::CEASE_SHUTDOWN | Self::CEASE_RESET) && !text.is_empty();
        let octets = text.chars().map(|letter| if letter == ' ' || letter.is_ascii_graphic() { letter } else { '?' });
        let octets: Vec<u8> = octets.take(SHUTDOWN_TEXT_BYTES_MAX).map(|letter| letter as u8).collect();
        let length = u8::try_from(octets.len()).unwrap_or(u8::MAX);
        let data = if has_text { [&[length][..], &octets].concat() } else { Vec::new() };
        Self { code: Self::CEASE, subcode, data }
    }

    /// Reads the body of a message; `None` where it has no code and subcode.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let (&[code, subcode], data) = body.split_first_chunk::<2>()?;
        Some(Self::new(code, subcode, data))
    }

    /// Returns the whole message.
    pub(super) fn write(&self) -> Vec<u8> {
        write_message(Kind::Notification, &[&[self.code, self.subcode][..], &self.data].concat())
    }

    /// Returns the text of a shutdown or reset; its control characters, and what is not UTF-8, are replaced.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let has_text = matches!((self.code, self.subcode), (Self::CEASE, Self::CEASE_SHUTDOWN | Self::CEASE_RESET));
        let (length, text) = self.data.split_first().filter(|_| has_text)?;
        let text = String::from_utf8_lossy(text.get(..usize::from(*length))?);
        let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        (!text.is_empty()).then_some(text)
    }

    /// Returns the registered name of code and subcode, of the code alone where the subcode has none.
    fn name(&self) -> Option<&'static str> {
        let of_subcode = match (self.code, self.subcode) {
            (1, 1) => "connection not synchronized",
            (1, 2) => "bad message length",
            (1, 3) => "bad message type",
            (2, 1) => "unsupported version number",
            (2, 2) => "bad peer AS",
            (2, 3) => "bad BGP identifier",
            (2, 4) => "unsupported optional parameter",
            (2, 6) => "unacceptable hold time",
            (2, 7) => "unsupported capability",
            (2, 11) => "role mismatch",
            (3, 1) => "malformed attribute list",
            (3, 2) => "unrecognized well-known attribute",
            (3, 3) => "missing well-known attribute",
            (3, 4) => "attribute flags error",
            (3, 5) => "attribute length error",
            (3, 6) => "invalid ORIGIN attribute",
            (3, 8) => "invalid NEXT_HOP attribute",
            (3, 9) => "optional attribute error",
            (3, 10) => "invalid network field",
            (3, 11) => "malformed AS_PATH",
            (5, 1) => "unexpected message in OpenSent",
            (5, 2) => "unexpected message in OpenConfirm",
            (5, 3) => "unexpected message in Established",
            (6, 1) => "maximum number of prefixes reached",
            (6, 2) => "administrative shutdown",
            (6, 3) => "peer de-configured",
            (6, 4) => "administrative reset",
            (6, 5) => "connection rejected",
            (6, 6) => "other configuration change",
            (6, 7) => "connection collision resolution",
            (6, 8) => "out of resources",
            (6, 9) => "hard reset",
            (6, 10) => "BFD down",
            (7, 1) => "invalid message length",
            _ => "",
        };
        let of_code = match self.code {
            Self::HEADER => "message header error",
            Self::OPEN => "OPEN message error",
            Self::UPDATE => "UPDATE message error",
            Self::HOLD_TIMER => "hold timer expired",
            Self::STATE => "finite state machine error",
            Self::CEASE => "cease",
            Self::REFRESH => "ROUTE-REFRESH message error",
            Self::SEND_HOLD_TIMER => "send hold timer expired",
            _ => return None,
        };
        Some(if of_subcode.is_empty() { of_code } else { of_subcode })
    }
}

impl fmt::Display for Notification {
    /// Writes the name, the numbers, and the text if there is one: `administrative shutdown (6/2): maintenance`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({}/{})", self.name().unwrap_or("unknown error"), self.code, self.subcode)?;
        self.text().map_or(Ok(()), |text| write!(out, ": {text}"))
    }
}
