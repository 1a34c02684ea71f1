//! Who is told that a zone has changed, when and how often, and what was replied (RFC 1996 §3).
//!
//! A server is told at once, and again until it has answered, [`TRIES_MAX`] times in all: after [`TRY_AGAIN_AFTER`] at
//! first, then after twice as long each time. All have the same octets, so that a signed reply to any of them can be
//! verified. A newer version of a zone takes the place of one that was not answered yet. Changes go before what is told
//! at the start.
//!
//! Pure: `now` is a time since any fixed moment, `unix_s` the seconds since the Unix epoch, for signatures.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::change::Soa;
use super::incoming::rcode_word;
use super::request::{Request, write_request};
use super::settings::Peer;
use crate::wire::message::{HEADER_BYTES, Header, Question, opcode, read_trailer};
use crate::wire::tsig::{Signer, TsigError, Verifier};
use crate::wire::{Class, SharedName, Type};

/// How long a reply is waited for before the server is told again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How often a server is told of one version.
const TRIES_MAX: u32 = 5;
/// The most notifications that wait to be sent or answered; a further one is dropped.
const TASKS_MAX: usize = 1 << 20;
/// The most that wait to be answered; others are sent when one of them has been, or was given up.
const UNDER_WAY_MAX: usize = 4096;
/// The most messages in each [`BURST_INTERVAL`], so that they fit into the socket of a server that gets them all.
const BURST_MAX: usize = 50;
/// How long the next messages wait then.
const BURST_INTERVAL: Duration = Duration::from_millis(20);

/// Why servers are told. What stands behind goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occasion {
    /// The server has started: they may have missed changes.
    Start,
    /// The zone has changed.
    Change,
}

/// What servers are told.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The zone has this SOA.
    Version(Arc<Soa>),
    /// The zone has other records of this type, which its parent takes over (RFC 9859 §4).
    Delegation(Type),
}

impl Subject {
    /// The type that stands in the question.
    fn rtype(&self) -> Type {
        match self {
            Self::Version(_) => Type::SOA,
            Self::Delegation(rtype) => *rtype,
        }
    }

    /// What is sent.
    fn request(&self) -> Request<'_> {
        match self {
            Self::Version(soa) => Request::Notify(soa),
            Self::Delegation(rtype) => Request::NotifyOf(*rtype),
        }
    }
}

/// What is wrong with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotifyFault {
    /// The server refuses.
    #[error("the reply is {}", rcode_word(*.0))]
    Rcode(u16),
    /// The signature of the reply is not taken.
    #[error(transparent)]
    Signature(TsigError),
}

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyOutcome {
    /// The server knows.
    Acknowledged,
    /// The server does not want to know.
    Refused(NotifyFault),
    /// It was told often enough; what was wrong with the last reply, if there was one.
    GivenUp(Option<NotifyFault>),
}

/// A notification that is over.
#[derive(Clone, Debug)]
pub struct Notified {
    /// The zone.
    pub zone: SharedName,
    /// The type of the records that have changed: SOA, where it is the zone.
    pub rtype: Type,
    /// Who was told.
    pub server: SocketAddr,
    /// What became of it.
    pub outcome: NotifyOutcome,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum NotifyStep {
    /// Send this datagram.
    Send(SocketAddr, Vec<u8>),
    /// Say that this is over.
    End(Notified),
}

/// One server that is to be told of one zone.
#[derive(Debug)]
struct Task {
    zone: SharedName,
    subject: Subject,
    server: Peer,
    occasion: Occasion,
    /// What was sent; `None` while it waits for its turn.
    attempt: Option<Attempt>,
}

/// What was sent.
#[derive(Debug)]
struct Attempt {
    id: u16,
    message: Vec<u8>,
    signer: Option<Signer>,
    tries: u32,
    /// What is wrong with the last reply.
    fault: Option<NotifyFault>,
}

/// All notifications that wait to be sent or answered.
#[derive(Debug, Default)]
pub struct Notifier {
    tasks: HashMap<u64, Task>,
    last_number: u64,
    /// The task of each zone, type and server.
    by_server: HashMap<(SharedName, Type, SocketAddr), u64>,
    /// Those that were sent.
    by_id: HashMap<(SocketAddr, u16), u64>,
    /// Those that were not sent yet, by occasion. Numbers without a task are passed over; so below.
    waiting: [VecDeque<u64>; 2],
    /// When those that were sent are due again.
    due: BTreeSet<(Duration, u64)>,
    /// When the burst began that is under way, and how many messages it has.
    burst: (Duration, usize),
}

impl Notifier {
    /// Sees to it that servers are told of this version of a zone. Returns how many are not, since too many
    /// notifications wait.
    pub fn tell(&mut self, zone: &SharedName, soa: &Arc<Soa>, servers: &[Peer], occasion: Occasion) -> usize {
        let subject = Subject::Version(Arc::clone(soa));
        servers.iter().filter(|server| !self.tell_of(zone, &subject, server, occasion)).count()
    }

    /// Sees to it that a server is told something about a zone; false where it is not, since too many notifications
    /// wait.
    pub fn tell_of(&mut self, zone: &SharedName, subject: &Subject, server: &Peer, occasion: Occasion) -> bool {
        let key = (zone.clone(), subject.rtype(), server.address);
        let old = self.by_server.get(&key).copied();
        if let Some(task) = old.and_then(|number| self.tasks.get_mut(&number))
            && task.attempt.is_none()
            && task.occasion >= occasion
        {
            (task.subject, task.server) = (subject.clone(), server.clone());
            return true;
        }
        if let Some(old) = old {
            self.forget(old);
        }
        if self.tasks.len() >= TASKS_MAX {
            return false;
        }
        self.last_number += 1;
        let (zone, subject, server) = (zone.clone(), subject.clone(), server.clone());
        self.by_server.insert(key, self.last_number);
        self.tasks.insert(self.last_number, Task { zone, subject, server, occasion, attempt: None });
        self.waiting[occasion as usize].push_back(self.last_number);
        true
    }

    /// When there is something to be done; `None` where all is over.
    pub fn deadline(&self) -> Option<Duration> {
        if self.tasks.is_empty() {
            return None;
        }
        let (burst_at, count) = self.burst;
        let open_at = if count < BURST_MAX { Duration::ZERO } else { burst_at + BURST_INTERVAL };
        let is_waiting = self.by_id.len() < UNDER_WAY_MAX && self.waiting.iter().any(|queue| !queue.is_empty());
        let due = if is_waiting { Some(Duration::ZERO) } else { self.due.first().map(|(due, _)| *due) };
        due.map(|due| due.max(open_at))
    }

    /// What is to be done next; `None` where that is nothing before [`Self::deadline`]. `random` is any number.
    pub fn next_step(&mut self, now: Duration, unix_s: u64, random: u16) -> Option<NotifyStep> {
        if now >= self.burst.0 + BURST_INTERVAL {
            self.burst = (now, 0);
        }
        if self.burst.1 >= BURST_MAX {
            return None;
        }
        if let Some(number) = self.next_waiting(Occasion::Change) {
            return self.begin(number, now, unix_s, random);
        }
        while self.due.first().is_some_and(|(due, _)| *due <= now) {
            let again = self.due.pop_first().and_then(|(_, number)| self.try_again(number, now));
            if again.is_some() {
                return again;
            }
        }
        let number = self.next_waiting(Occasion::Start)?;
        self.begin(number, now, unix_s, random)
    }

    /// Takes a datagram that came from `server`. What is over with it, if anything is.
    pub fn take_reply(&mut self, server: SocketAddr, message: &[u8], unix_s: u64) -> Option<Notified> {
        let header =
            Header::read(message).filter(|header| header.is_response() && header.opcode() == opcode::NOTIFY)?;
        let number = *self.by_id.get(&(server, header.id))?;
        let task = self.tasks.get_mut(&number)?;
        let attempt = task.attempt.as_mut()?;
        let (fault, is_certain) =
            judge((&task.zone, task.subject.rtype()), attempt.signer.as_ref(), header, message, unix_s)?;
        if !is_certain {
            attempt.fault = fault;
            return None;
        }
        let outcome = fault.map_or(NotifyOutcome::Acknowledged, NotifyOutcome::Refused);
        self.end(number, outcome)
    }

    /// The next task that waits to be sent.
    fn next_waiting(&mut self, occasion: Occasion) -> Option<u64> {
        while self.by_id.len() < UNDER_WAY_MAX {
            let number = self.waiting[occasion as usize].pop_front()?;
            if self.tasks.contains_key(&number) {
                return Some(number);
            }
        }
        None
    }

    /// Sends a notification for the first time.
    fn begin(&mut self, number: u64, now: Duration, unix_s: u64, random: u16) -> Option<NotifyStep> {
        let task = self.tasks.get_mut(&number)?;
        let address = task.server.address;
        // There are more IDs than notifications under way.
        let id = (0..=u16::MAX)
            .map(|more| random.wrapping_add(more))
            .find(|id| !self.by_id.contains_key(&(address, *id)))?;
        let mut signer = task.server.key.clone().map(Signer::of_request);
        let message = write_request(task.subject.request(), task.zone.as_ref(), id, signer.as_mut(), unix_s);
        self.by_id.insert((address, id), number);
        task.attempt = Some(Attempt { id, message: message.clone(), signer, tries: 1, fault: None });
        self.due.insert((now + TRY_AGAIN_AFTER, number));
        self.burst.1 += 1;
        Some(NotifyStep::Send(address, message))
    }

    /// Sends a notification again that was not answered, or gives it up.
    fn try_again(&mut self, number: u64, now: Duration) -> Option<NotifyStep> {
        let task = self.tasks.get_mut(&number)?;
        let attempt = task.attempt.as_mut()?;
        if attempt.tries >= TRIES_MAX {
            let fault = attempt.fault;
            return self.end(number, NotifyOutcome::GivenUp(fault)).map(NotifyStep::End);
        }
        attempt.tries += 1;
        self.due.insert((now + TRY_AGAIN_AFTER * (1 << (attempt.tries - 1)), number));
        self.burst.1 += 1;
        Some(NotifyStep::Send(task.server.address, attempt.message.clone()))
    }

    /// Ends a notification.
    fn end(&mut self, number: u64, outcome: NotifyOutcome) -> Option<Notified> {
        let task = self.forget(number)?;
        let (zone, rtype, server) = (task.zone, task.subject.rtype(), task.server.address);
        Some(Notified { zone, rtype, server, outcome })
    }

    /// Takes a task out.
    fn forget(&mut self, number: u64) -> Option<Task> {
        let task = self.tasks.remove(&number)?;
        self.by_server.remove(&(task.zone.clone(), task.subject.rtype(), task.server.address));
        if let Some(attempt) = &task.attempt {
            self.by_id.remove(&(task.server.address, attempt.id));
        }
        Some(task)
    }
}

/// What a reply with the right ID says of a notification: a fault, or none, and whether nobody else can have said so
/// but by guessing that ID. `None` where it is no reply to that question.
///
/// Who does not know our key cannot sign that it refuses: that is kept, and the server is told again.
fn judge(
    (zone, rtype): (&SharedName, Type),
    signer: Option<&Signer>,
    header: Header,
    message: &[u8],
    unix_s: u64,
) -> Option<(Option<NotifyFault>, bool)> {
    let rcode = header.flags & 0xF;
    let start = match header.counts[0] {
        // NSD refuses without repeating the question.
        0 if rcode != 0 => HEADER_BYTES,
        1 => {
            let question = Question::read(message, |_| {})?;
            let is_ours = question.name == zone.as_ref() && question.qtype == rtype && question.qclass == Class::IN;
            is_ours.then(|| question.end())?
        }
        _ => return None,
    };
    let trailer = read_trailer(message, header, start).ok()?;
    let refusal = (rcode != 0).then_some(NotifyFault::Rcode(rcode));
    let Some(signer) = signer else { return Some((refusal, true)) };
    let tsig = trailer.tsig_at.zip(trailer.tsig(message));
    let tsig = tsig.as_ref().map(|(at, tsig)| (usize::from(at.get()), tsig));
    Some(match Verifier::of_reply(signer).take(message, tsig, unix_s) {
        Ok(()) => (refusal, true),
        Err(TsigError::Missing) => (refusal.or(Some(NotifyFault::Signature(TsigError::Missing))), false),
        Err(error) => (Some(NotifyFault::Signature(error)), false),
    })
}

#[cfg(test)]
mod tests;
