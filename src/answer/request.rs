//! What a message asks for, by its OPCODE and its question: each kind of request has its own way to a response.

use crate::answer::code::Rcode;
use crate::wire::message::{Edns, HEADER_BYTES, Header, Question, Trailer, opcode, read_trailer};
use crate::wire::{Class, Type};
use crate::zone::hash::{LookupName, Starts};

/// A message that is no response, by what it asks for.
///
/// Its tag would otherwise be as wide as the widest number in it, and take two comparisons.
#[repr(u8)]
pub(super) enum Request<'q> {
    /// Records of a name (OPCODE QUERY).
    Query(Message<'q>),
    /// A whole zone, or what changed in it: OPCODE QUERY for AXFR or IXFR (RFC 5936, RFC 1995).
    Transfer(Message<'q>),
    /// A change to a zone elsewhere is announced (RFC 1996).
    Notify(Message<'q>),
    /// A zone is to be changed (RFC 2136). Not implemented.
    Update,
    /// Any other OPCODE. Not implemented.
    Other,
    /// A query that cannot be read.
    Malformed,
}

/// What a query says.
pub(super) struct Message<'q> {
    pub(super) name: LookupName<'q>,
    pub(super) qtype: Type,
    pub(super) qclass: Class,
    /// OPT and TSIG.
    pub(super) trailer: Trailer,
}

impl<'q> Request<'q> {
    /// Reads a message whose header is read. What stands behind the header is looked at only where the OPCODE is
    /// implemented.
    #[inline]
    pub(super) fn read(message: &'q [u8], header: Header) -> Self {
        match header.opcode() {
            opcode::QUERY => Self::read_query(message, header),
            opcode::NOTIFY => Self::read_question(message, header).map_or(Self::Malformed, Self::Notify),
            opcode::UPDATE => Self::Update,
            _ => Self::Other,
        }
    }

    /// Reads a query.
    #[inline]
    fn read_query(query: &'q [u8], header: Header) -> Self {
        let Some(message) = Self::read_question(query, header) else { return Self::Malformed };
        match (message.qtype, message.qclass) {
            (Type::AXFR | Type::IXFR, Class::IN | Class::ANY) => Self::Transfer(message),
            _ => Self::Query(message),
        }
    }

    /// Reads the question of a message and what stands behind it.
    #[inline]
    fn read_question(query: &'q [u8], header: Header) -> Option<Message<'q>> {
        let mut starts = Starts::default();
        let question = Question::read(query, |start| starts.note(start)).filter(|_| header.counts[0] == 1)?;
        let trailer = read_trailer(query, header, question.end()).ok()?;
        let Question { name, qtype, qclass } = question;
        let name = LookupName::noted(name, starts, &query[HEADER_BYTES..]);
        Some(Message { name, qtype, qclass, trailer })
    }

    /// Whether it is a query for records, and nothing is to be verified, signed, padded or said about the zone besides.
    #[inline]
    pub(super) fn is_plain(&self, message: &Message<'_>) -> bool {
        let wants_extras = |edns: Edns| edns.wants_expire || edns.wants_zone_version || edns.wants_padding;
        let is_special = message.trailer.tsig_at.is_some() || message.trailer.edns.is_some_and(wants_extras);
        matches!(self, Self::Query(_)) && !is_special
    }

    /// What is said by a query, or the RCODE for what cannot be answered otherwise.
    #[inline]
    pub(super) fn message(&self) -> Result<&Message<'q>, Rcode> {
        match self {
            Self::Query(message) | Self::Transfer(message) | Self::Notify(message) => Ok(message),
            Self::Update | Self::Other => Err(Rcode::NOTIMP),
            Self::Malformed => Err(Rcode::FORMERR),
        }
    }
}

impl<'q> Message<'q> {
    /// The question.
    pub(super) fn question(&self) -> Question<'q> {
        Question { name: self.name.name(), qtype: self.qtype, qclass: self.qclass }
    }
}
