//! The types of messages, and the header of those that are written (RFC 4271 §4.1).

/// Octets of the header: a marker of ones, the length of the whole, the type.
pub(super) const HEADER_BYTES: usize = 19;
/// The most octets of a message. The longer ones of RFC 8654 are not offered.
pub(super) const MESSAGE_BYTES_MAX: usize = 4096;

/// Octets of the marker.
pub(super) const MARKER_BYTES: usize = 16;

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// This side's terms for a session.
    Open = 1,
    /// Routes that come and go.
    Update = 2,
    /// The end, and why.
    Notification = 3,
    /// A sign of life.
    Keepalive = 4,
    /// Routes are asked for once more (RFC 2918).
    RouteRefresh = 5,
}

impl Kind {
    /// Returns the type that a number means.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Open,
            2 => Self::Update,
            3 => Self::Notification,
            4 => Self::Keepalive,
            5 => Self::RouteRefresh,
            _ => return None,
        })
    }

    /// Returns the type of a message that [`write_message`] has made.
    pub(super) fn of(message: &[u8]) -> Self {
        let number = message.get(HEADER_BYTES - 1).copied();
        number.and_then(Self::from_number).expect("a message that is written has a header")
    }
}

/// Returns a whole message. The body is at most what [`MESSAGE_BYTES_MAX`] leaves: all that is written here is bounded.
pub(super) fn write_message(kind: Kind, body: &[u8]) -> Vec<u8> {
    let length = HEADER_BYTES + body.len();
    assert!(length <= MESSAGE_BYTES_MAX, "what is written is bounded");
    let mut message = vec![0xFF; MARKER_BYTES];
    message.extend_from_slice(&(length as u16).to_be_bytes());
    message.push(kind as u8);
    message.extend_from_slice(body);
    message
}
