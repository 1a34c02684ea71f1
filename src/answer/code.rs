//! Response codes and extended errors. Nothing outside `answer` chooses one.

/// A response code, extended ones included: 12 bits (RFC 1035 §4.1.1, RFC 6891 §6.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rcode(pub(super) u16);

impl Rcode {
    /// No error.
    pub(super) const NOERROR: Self = Self(0);
    /// The query cannot be read.
    pub(super) const FORMERR: Self = Self(1);
    /// The zone can't be served (RFC 1035 §4.1.1).
    pub(super) const SERVFAIL: Self = Self(2);
    /// The name does not exist (RFC 8020).
    pub(super) const NXDOMAIN: Self = Self(3);
    /// The OPCODE is not known.
    pub(super) const NOTIMP: Self = Self(4);
    /// Not ours to answer.
    pub(super) const REFUSED: Self = Self(5);
    /// What a DNAME makes is too long (RFC 6672 §2.2).
    pub(super) const YXDOMAIN: Self = Self(6);
    /// What is signed by a key is not to be answered (RFC 8945 §5.2).
    pub(super) const NOTAUTH: Self = Self(9);
    /// The EDNS version is not known (RFC 6891 §6.1.3).
    pub(super) const BADVERS: Self = Self(16);

    /// The four bits that stand in the header.
    pub(super) fn low(self) -> u16 {
        self.0 & 0xF
    }

    /// The eight bits that stand in OPT.
    pub(super) fn high(self) -> u8 {
        (self.0 >> 4) as u8
    }
}

/// INFO-CODE of an extended error (RFC 8914 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExtendedError(pub(super) u16);

impl ExtendedError {
    /// What is asked for is forbidden to this client (RFC 8914 §4.19).
    pub(super) const PROHIBITED: Self = Self(18);
    /// No zone of ours is at or above the name (RFC 8914 §4.21).
    pub(super) const NOT_AUTHORITATIVE: Self = Self(20);
    /// A zone that should be served can't be (RFC 8914 §4.25).
    pub(super) const INVALID_DATA: Self = Self(24);
}
