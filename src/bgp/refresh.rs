//! ROUTE-REFRESH: routes are asked for once more, and where a refresh begins and ends (RFC 2918, RFC 7313).

use super::Family;
use super::message::{HEADER_BYTES, Kind, write_message};
use super::octets::Octets;
use super::{Notification, family};

/// What a message says. In the order of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    /// The routes are asked for.
    Request,
    /// They follow.
    Begin,
    /// They have been sent.
    End,
}

/// Octets behind the header: AFI, subtype, SAFI.
const BODY_BYTES: usize = 4;

/// Reads the body of a message; `None` for a family that is not announced, and for a subtype that is not known, both of
/// which are disregarded.
///
/// # Errors
/// Its length, where the subtype is one of RFC 7313 (§5).
pub(super) fn read_refresh(body: &[u8]) -> Result<Option<(Family, Refresh)>, Notification> {
    let mut octets = Octets(body);
    let fields = (octets.u16(), octets.u8(), octets.u8());
    let (Some(afi), Some(subtype), Some(safi)) = fields else {
        return Err(wrong_length(body));
    };
    let refresh = match subtype {
        0 => Refresh::Request,
        1 => Refresh::Begin,
        2 => Refresh::End,
        _ => return Ok(None),
    };
    if body.len() != BODY_BYTES {
        return Err(wrong_length(body));
    }
    Ok(Family::from_numbers(afi, safi).map(|family| (family, refresh)))
}

/// The error of a length that it must not have, with the whole message, as §5 wants it.
fn wrong_length(body: &[u8]) -> Notification {
    // The header was good, so it is this one.
    let mut message = vec![0xFF; HEADER_BYTES - 3];
    message.extend(u16::try_from(HEADER_BYTES + body.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.push(Kind::RouteRefresh as u8);
    message.extend_from_slice(body);
    Notification::new(Notification::REFRESH, 1, &message)
}

/// Returns a whole message.
pub(super) fn write_refresh(family: Family, refresh: Refresh) -> Vec<u8> {
    let [high, low] = family.afi().to_be_bytes();
    write_message(Kind::RouteRefresh, &[high, low, refresh as u8, family::SAFI_UNICAST])
}
