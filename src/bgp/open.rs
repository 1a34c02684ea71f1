//! OPEN: a side's terms for a session (RFC 4271 §4.2; optional parameters of RFC 5492 and RFC 9072).

use core::net::Ipv4Addr;

use super::capability::Capability;
use super::message::{Kind, write_message};
use super::octets::Octets;
use super::{AsNumber, Notification};

/// The version of BGP.
const VERSION: u8 = 4;
/// The optional parameter that holds capabilities (RFC 5492 §4).
const CAPABILITIES: u8 = 2;
/// What stands for both the length and the type where lengths have two octets (RFC 9072 §2).
const EXTENDED: u8 = 255;

/// A side's terms.
///
/// ```text
///  version 1 │ my AS 2 │ hold time 2 │ BGP identifier 4 │ length 1 │ parameters: type 1, length 1, octets
///  ... with RFC 9072:                                     255 │ 255 │ length 2 │ type 1, length 2, octets
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// The AS number in two octets; [`speaker`](Self::speaker) is the one that counts.
    pub(super) as_field: u16,
    /// The hold time that is offered, in seconds.
    pub(super) hold_time: u16,
    /// The BGP identifier.
    pub(super) router_id: Ipv4Addr,
    /// All capabilities, in their order.
    pub(super) capabilities: Vec<Capability>,
}

impl Open {
    /// Returns the AS number of the side that sent it.
    pub(super) fn speaker(&self) -> AsNumber {
        let four = self.capabilities.iter().find_map(|capability| match capability {
            Capability::FourOctetAs(number) => Some(*number),
            _ => None,
        });
        four.unwrap_or(AsNumber(u32::from(self.as_field)))
    }

    /// Whether it has a capability.
    pub(super) fn has(&self, capability: &Capability) -> bool {
        self.capabilities.contains(capability)
    }

    /// Reads the body of a message.
    ///
    /// # Errors
    /// Another version, a parameter that holds no capabilities, or lengths that do not fit.
    pub(super) fn read(body: &[u8]) -> Result<Self, Notification> {
        let error = |subcode, data: &[u8]| Notification::new(Notification::OPEN, subcode, data);
        let malformed = || error(0, &[]);
        let mut octets = Octets(body);
        if octets.u8().ok_or_else(malformed)? != VERSION {
            return Err(error(1, &u16::from(VERSION).to_be_bytes()));
        }
        let as_field = octets.u16().ok_or_else(malformed)?;
        let hold_time = octets.u16().ok_or_else(malformed)?;
        let router_id = Ipv4Addr::from(octets.array::<4>().ok_or_else(malformed)?);
        let (is_extended, mut parameters) = parameters(octets).ok_or_else(malformed)?;
        let mut capabilities = Vec::new();
        while !parameters.is_empty() {
            let (kind, value) = parameter(is_extended, &mut parameters).ok_or_else(malformed)?;
            if kind != CAPABILITIES {
                return Err(error(4, &[kind]));
            }
            let mut value = Octets(value);
            while !value.is_empty() {
                capabilities.push(Capability::read(&mut value).ok_or_else(malformed)?);
            }
        }
        Ok(Self { as_field, hold_time, router_id, capabilities })
    }

    /// Returns the whole message, all capabilities in one parameter. Those of this side take far less than the 253
    /// octets that it has.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut capabilities = Vec::new();
        self.capabilities.iter().for_each(|capability| capability.write(&mut capabilities));
        let length = u8::try_from(capabilities.len()).expect("what is written is bounded");
        let mut body = vec![VERSION];
        body.extend(self.as_field.to_be_bytes());
        body.extend(self.hold_time.to_be_bytes());
        body.extend(self.router_id.octets());
        if capabilities.is_empty() {
            body.push(0);
        } else {
            body.extend([length.checked_add(2).expect("what is written is bounded"), CAPABILITIES, length]);
            body.extend(capabilities);
        }
        write_message(Kind::Open, &body)
    }
}

/// Takes the length off the optional parameters: whether they have lengths of two octets, and themselves. `None` where
/// the length is not that of what is there.
fn parameters(mut octets: Octets<'_>) -> Option<(bool, Octets<'_>)> {
    let length = octets.u8()?;
    let is_extended = length != 0 && octets.0.first() == Some(&EXTENDED);
    let length = if is_extended { octets.array::<1>().and_then(|_| octets.u16())? } else { u16::from(length) };
    (octets.0.len() == usize::from(length)).then_some((is_extended, octets))
}

/// Takes one optional parameter: its type and its octets.
fn parameter<'a>(is_extended: bool, octets: &mut Octets<'a>) -> Option<(u8, &'a [u8])> {
    let kind = octets.u8()?;
    let length = if is_extended { octets.u16()? } else { u16::from(octets.u8()?) };
    Some((kind, octets.take(usize::from(length))?))
}
