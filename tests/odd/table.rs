//! Rows of the table: a packet, the way it travels, what must come back.

use super::Site;
use super::common::ask;
use super::common::message::{AA, AD, CD, Edns, IN, Message, QR, Query, RA, RD, TC, Z, header};
use super::common::name::name;

/// NOERROR.
pub(crate) const NOERROR: u16 = 0;
/// FORMERR.
pub(crate) const FORMERR: u16 = 1;
/// NXDOMAIN.
pub(crate) const NXDOMAIN: u16 = 3;
/// NOTIMP.
pub(crate) const NOTIMP: u16 = 4;
/// NOTAUTH.
pub(crate) const NOTAUTH: u16 = 9;
/// REFUSED.
pub(crate) const REFUSED: u16 = 5;
/// BADVERS.
pub(crate) const BADVERS: u16 = 16;

/// What must come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Nothing at all.
    Silence,
    /// A header alone, with this RCODE.
    Header(u16),
    /// This RCODE, the question kept, no record in answer and authority.
    Bare(u16),
    /// NXDOMAIN or NODATA with the SOA.
    Negative(u16),
    /// NOERROR with so many answers.
    Answers(usize),
}

/// One odd packet.
pub(crate) struct Row {
    /// What is odd about it.
    pub(crate) title: &'static str,
    /// The message.
    pub(crate) packet: Vec<u8>,
    /// What must come back over UDP.
    pub(crate) expected: Expected,
    /// What must come back over TCP.
    expected_over_tcp: Expected,
}

impl Row {
    /// A row.
    pub(crate) fn new(title: &'static str, packet: Vec<u8>, expected: Expected) -> Self {
        Self { title, packet, expected, expected_over_tcp: expected }
    }

    /// The same with something else over TCP.
    pub(crate) fn over_tcp(self, expected_over_tcp: Expected) -> Self {
        Self { expected_over_tcp, ..self }
    }

    /// What is wrong with what came back, if anything.
    pub(crate) fn fault(&self, expected: Expected, replies: &[Vec<u8>]) -> Option<String> {
        let [reply] = replies else {
            return match (expected, replies.len()) {
                (Expected::Silence, 0) => None,
                (expected, count) => Some(format!("{count} replies, expected {expected:?}")),
            };
        };
        let message = match Message::parse(reply) {
            Ok(message) => message,
            Err(fault) => return Some(format!("{fault}: {reply:02x?}")),
        };
        let said = format!("got {message:?}");
        let asked = u16::from_be_bytes([self.packet[2], self.packet[3]]);
        if message.id.to_be_bytes() != self.packet[..2] {
            return Some(format!("another ID, {said}"));
        }
        // OPCODE and RD come back (RFC 1035 §4.1.1); the rest is ours, and none of RA, Z, AD, CD is ever ours.
        if message.flags & (QR | 0x7800 | RD) != QR | asked & (0x7800 | RD)
            || message.flags & (RA | Z | AD | CD | TC) != 0
        {
            return Some(format!("flags, {said}"));
        }
        let [answers, authorities] = [message.sections[0].len(), message.sections[1].len()];
        let is_well = match expected {
            Expected::Silence => false,
            Expected::Header(rcode) => message.rcode() == rcode && reply.len() == 12 && message.questions.is_empty(),
            Expected::Bare(rcode) => {
                message.rcode() == rcode && message.questions.len() == 1 && answers == 0 && authorities == 0
            }
            Expected::Negative(rcode) => {
                let is_soa = message.sections[1].iter().all(|record| record.rtype == 6 && record.ttl == 300);
                message.rcode() == rcode && message.has(AA) && answers == 0 && authorities == 1 && is_soa
            }
            Expected::Answers(count) => message.rcode() == NOERROR && answers == count && authorities == 0,
        };
        (!is_well).then(|| format!("expected {expected:?}, {said}"))
    }
}

/// Sends every row over UDP and TCP; fails with all rows that got something else.
pub(crate) fn run(test: &str, rows: &[Row]) {
    let Some(site) = Site::start(test, false) else { return };
    let mut faults = Vec::new();
    for row in rows {
        let replies = ask::udp_before(site.server.address, &row.packet, &sentinel());
        if let Some(fault) = row.fault(row.expected, &replies) {
            faults.push(format!("{} over UDP: {fault}", row.title));
        }
        let replies = ask::tcp_before(site.server.address, &row.packet, &sentinel());
        if let Some(fault) = row.fault(row.expected_over_tcp, &replies) {
            faults.push(format!("{} over TCP: {fault}", row.title));
        }
    }
    assert!(faults.is_empty(), "{} of {} rows:\n{}", faults.len(), rows.len(), faults.join("\n"));
}

/// A query whose answer is never in doubt.
pub(crate) fn sentinel() -> Query {
    Query::new(&name("odd.test."), 6)
}

/// A query for `www.odd.test. A` with the given header, and octets behind the question.
pub(crate) fn packet(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    [header(0x0DD0, flags, counts), question("www.odd.test.", 1, IN), rest.to_vec()].concat()
}

/// One question, encoded.
pub(crate) fn question(qname: &str, qtype: u16, qclass: u16) -> Vec<u8> {
    [&name(qname)[..], &qtype.to_be_bytes(), &qclass.to_be_bytes()].concat()
}

/// An OPT record, encoded.
pub(crate) fn opt(edns: &Edns) -> Vec<u8> {
    let mut out = Vec::new();
    edns.write(&mut out);
    out
}

/// A record, encoded.
pub(crate) fn record(owner: &[u8], rtype: u16, class: u16, rdata: &[u8]) -> Vec<u8> {
    let length = (rdata.len() as u16).to_be_bytes();
    [owner, &rtype.to_be_bytes(), &class.to_be_bytes(), &[0; 4], &length, rdata].concat()
}

/// One ordinary query, encoded.
pub(crate) fn query(qname: &str, qtype: u16, qclass: u16) -> Vec<u8> {
    [header(0x0DD1, 0, [1, 0, 0, 0]), question(qname, qtype, qclass)].concat()
}
