//! Gateways and relays: the part of IPSECKEY (RFC 4025 §2) and AMTRELAY (RFC 8777 §4) whose form hangs on a number.
//!
//! Owns the target in both forms: nothing, an IPv4 address, an IPv6 address, or a name that is never compressed.

use super::super::name::{Name, NameRef};
use super::address::{read_address4, read_address6, write_address4, write_address6};
use super::error::{TextCause, TextError, WireError};
use super::parts::write_name;
use super::tokens::Tokens;

/// Which record the gateway stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `type algorithm gateway`, one octet each in front.
    Ipseckey,
    /// `discovery-optional type relay`, both in one octet.
    Amtrelay,
}

impl Kind {
    /// Octets in front of the target.
    fn head_bytes(self) -> usize {
        match self {
            Self::Ipseckey => 2,
            Self::Amtrelay => 1,
        }
    }

    /// Cuts the octets in front and the number of the target's form off.
    fn split(self, rest: &[u8]) -> Option<(&[u8], u8, &[u8])> {
        let (head, target) = rest.split_at_checked(self.head_bytes())?;
        let form = head.first()? & if self == Self::Amtrelay { 0x7F } else { 0xFF };
        Some((head, form, target))
    }

    /// How many octets the gateway has, those in front of it among them.
    ///
    /// # Errors
    /// [`WireError::Short`], [`WireError::Gateway`], [`WireError::Name`].
    pub(super) fn span(self, rest: &[u8]) -> Result<usize, WireError> {
        let (head, form, target) = self.split(rest).ok_or(WireError::Short)?;
        let length = match form {
            0 => 0,
            1 => 4,
            2 => 16,
            3 => NameRef::parse(target)?.len(),
            _ => return Err(WireError::Gateway),
        };
        target.get(..length).ok_or(WireError::Short)?;
        Ok(head.len() + length)
    }

    /// The name of the gateway and its offset, where it is a name.
    pub(super) fn name(self, rest: &[u8]) -> Option<(usize, NameRef<'_>)> {
        let (head, form, target) = self.split(rest)?;
        let name = if form == 3 { NameRef::parse(target).ok() } else { None };
        name.map(|name| (head.len(), name))
    }

    /// Reads the presentation form.
    pub(super) fn read(self, input: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), TextError> {
        let form = match self {
            Self::Ipseckey => {
                let form = input.take_number(3)?;
                let algorithm = input.take_number(u8::MAX.into())?;
                out.extend_from_slice(&[form as u8, algorithm as u8]); // Both are checked against their limit.
                form
            }
            Self::Amtrelay => {
                let is_discovery_optional = input.take_number(1)?;
                let form = input.take_number(3)?;
                out.push((is_discovery_optional << 7 | form) as u8);
                form
            }
        };
        match form {
            0 => match input.take(NO_GATEWAY)? {
                b"." => Ok(()),
                _ => Err(input.fail(TextCause::Expected(NO_GATEWAY), 0)),
            },
            1 => read_address4(input, out),
            2 => read_address6(input, out),
            _ => {
                let text = input.take("the name of the gateway")?;
                let name = Name::from_text(text, input.origin).map_err(|error| input.fail(error.into(), 0))?;
                out.extend_from_slice(name.as_ref().as_bytes());
                Ok(())
            }
        }
    }

    /// Writes the presentation form of a gateway whose span is `octets`.
    pub(super) fn write(self, octets: &[u8], out: &mut String) {
        let Some((head, form, target)) = self.split(octets) else { return };
        let numbers = match (self, head) {
            (Self::Ipseckey, [_, algorithm]) => format!("{form} {algorithm} "),
            _ => format!("{} {form} ", head.first().map_or(0, |octet| octet >> 7)),
        };
        out.push_str(&numbers);
        match form {
            1 => write_address4(target, out),
            2 => target.try_into().ok().into_iter().for_each(|octets: [u8; 16]| write_address6(octets.into(), out)),
            3 => write_name(target, out),
            _ => out.push('.'),
        }
    }
}

/// What stands where there is no gateway.
const NO_GATEWAY: &str = "`.`, as the kind 0 is no gateway";
