//! Numbers of autonomous systems (RFC 6793).

use core::fmt;

/// The number of an autonomous system. 0 is nobody's (RFC 7607).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsNumber(pub u32);

impl AsNumber {
    /// What stands for a number of four octets where there is room for two.
    pub const TRANS: Self = Self(23456);

    /// Returns the number in two octets, [`Self::TRANS`] where it does not fit.
    #[must_use]
    pub fn two_octets(self) -> u16 {
        u16::try_from(self.0).unwrap_or(Self::TRANS.0 as u16)
    }
}

impl fmt::Display for AsNumber {
    /// Writes the number in decimals (RFC 5396 §2).
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}
