//! What servers say to the same questions, before they are measured: a faster wrong answer is none.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use fated::wire::Type;

use super::common::ask;
use super::common::message::{Edns, Message, Query};
use super::common::name::name;

/// How long a server that starts may be silent before it is asked again.
pub(crate) const SILENCE: Duration = Duration::from_millis(50);
/// How many questions are compared.
const QUESTIONS: usize = 1000;
/// How many differences are printed.
const PRINTED_MAX: usize = 3;
/// The payload size that dnsperf offers.
const PAYLOAD_BYTES: u16 = 4096;

/// Questions of a row.
#[derive(Debug)]
pub(crate) struct Sample {
    /// The queries.
    queries: Vec<Query>,
}

/// What a server said to a sample.
#[derive(Debug)]
pub(crate) struct Said {
    /// The replies, in the order of the questions.
    replies: Vec<Result<Message, String>>,
    /// Mean octets of a reply.
    pub(crate) reply_bytes: f64,
}

impl Sample {
    /// The first lines of a query file, with or without DO.
    ///
    /// # Errors
    /// The file can't be read, or has a line that is none.
    pub(crate) fn read(file: &Path, is_do: bool) -> io::Result<Self> {
        let text = std::fs::read_to_string(file)?;
        let queries = text.lines().take(QUESTIONS).map(|line| query(line, is_do)).collect::<Option<_>>();
        let queries = queries.ok_or_else(|| io::Error::other(format!("{} has a bad line", file.display())))?;
        Ok(Self { queries })
    }

    /// The questions.
    pub(crate) fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// Asks a server.
    pub(crate) fn ask(&self, server: SocketAddr, is_tcp: bool) -> Said {
        let many = if is_tcp { ask::tcp_many } else { ask::udp_many };
        let octets = many(server, &self.queries);
        let reply_bytes = octets.iter().map(Vec::len).sum::<usize>() as f64 / octets.len().max(1) as f64;
        Said { replies: octets.iter().map(|octets| Message::parse(octets)).collect(), reply_bytes }
    }

    /// Where a server said something else than `right`: RCODE, or the records of the answer section. Empty if nowhere.
    pub(crate) fn differences(&self, right: &Said, other: &Said) -> Vec<String> {
        let mut found = Vec::new();
        let mut count = 0;
        for ((query, right), other) in self.queries.iter().zip(&right.replies).zip(&other.replies) {
            let difference = match (right, other) {
                (_, Err(fault)) => Some(format!("{query}: {fault}")),
                (Err(fault), _) => Some(format!("{query}: fated: {fault}")),
                (Ok(right), Ok(other)) if right.rcode() != other.rcode() => {
                    Some(format!("{query}: RCODE {} instead of {}", other.rcode(), right.rcode()))
                }
                (Ok(right), Ok(other)) if right.sets()[0] != other.sets()[0] => {
                    Some(format!("{query}: answer {:?} instead of {:?}", other.sections[0], right.sections[0]))
                }
                _ => None,
            };
            let Some(difference) = difference else { continue };
            count += 1;
            if found.len() < PRINTED_MAX {
                found.push(difference);
            }
        }
        if count > found.len() {
            found.push(format!("and {} more of {}", count - found.len(), self.queries.len()));
        }
        found
    }
}

impl Said {
    /// How often each RCODE was given.
    pub(crate) fn codes(&self) -> BTreeMap<u16, usize> {
        let mut codes = BTreeMap::new();
        for reply in self.replies.iter().flatten() {
            *codes.entry(reply.rcode()).or_default() += 1;
        }
        codes
    }

    /// The share of replies with an RCODE.
    pub(crate) fn share_of(&self, code: u16) -> f64 {
        self.codes().get(&code).copied().unwrap_or_default() as f64 / self.replies.len().max(1) as f64
    }
}

/// The query of a line `name type`.
pub(crate) fn query(line: &str, is_do: bool) -> Option<Query> {
    let (qname, qtype) = line.split_once(' ')?;
    let query = Query::new(&name(qname), Type::from_text(qtype.as_bytes())?.0);
    Some(if is_do { query.with_edns(Edns::new(PAYLOAD_BYTES, true)) } else { query })
}
