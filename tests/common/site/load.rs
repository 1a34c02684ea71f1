//! Asks the service addresses at a fixed pace from the client's namespace, and records what was answered, when, and by
//! whom.
//!
//! Each query has a name of its own (`qNUMBER.site.test.`), so that a reply can't be taken for that of another query,
//! and asks for the NSID (RFC 5001), which names the node. Queries leave from many ports, so that every worker gets its
//! share.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::super::message::{Edns, Message, Query};
use super::super::name;
use super::namespace::Namespace;
use super::{Family, NodeNumber, clock};

/// A reply that takes longer is as good as none: resolvers have asked again by then.
pub(crate) const ANSWER_PATIENCE: Duration = Duration::from_secs(1);
/// Ports that ask, for each family.
const PORTS: usize = 32;
/// Queries that are made up for at once after the generator was kept waiting.
const BURST_MAX: usize = 64;
/// How long the generator sleeps at most.
const SLEEP_MAX: Duration = Duration::from_millis(5);
/// The generator's real-time priority, so that a starved node is not taken for a starved client.
const PRIORITY: &str = "20";
/// The EDNS option code of NSID (RFC 5001 §4).
const NSID: u16 = 3;
/// Octets of the longest reply.
const REPLY_BYTES_MAX: usize = 4096;

/// One query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// When it was sent.
    pub(crate) sent: Duration,
    /// Over which family.
    pub(crate) family: Family,
    /// The first reply.
    pub(crate) answer: Option<Answer>,
    /// Replies, duplicates included.
    pub(crate) replies: u16,
}

/// The first reply to a query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// When it came.
    pub(crate) at: Duration,
    /// Who gave it, by its NSID.
    pub(crate) node: Option<NodeNumber>,
    /// Whether it is NOERROR, authoritative, and holds the answer.
    pub(crate) is_right: bool,
}

impl Asked {
    /// Whether it was answered right and in time.
    pub(crate) fn is_answered(&self) -> bool {
        self.answer.is_some_and(|answer| answer.is_right && answer.at.saturating_sub(self.sent) <= ANSWER_PATIENCE)
    }
}

/// What came of the queries that were sent within a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Queries sent.
    pub(crate) sent: usize,
    /// Queries not answered right within [`ANSWER_PATIENCE`].
    pub(crate) lost: usize,
    /// The longest time from the sending of the first query that was lost to that of the first one answered after it,
    /// each family for itself; up to the end of the time where none was answered after.
    pub(crate) dark: Duration,
    /// Replies beyond the first of a query.
    pub(crate) duplicates: usize,
    /// Replies that are not right.
    pub(crate) wrong: usize,
    /// Right answers by node.
    pub(crate) by_node: BTreeMap<NodeNumber, usize>,
    /// The longest time to a right answer that was in time.
    pub(crate) slowest: Duration,
}

impl Report {
    /// Sums up queries.
    pub(crate) fn of(asked: &[Asked], end: Duration) -> Self {
        let mut report = Self { sent: asked.len(), ..Self::default() };
        for asked in asked {
            report.duplicates += usize::from(asked.replies.saturating_sub(1));
            report.wrong += usize::from(asked.answer.is_some_and(|answer| !answer.is_right));
            if !asked.is_answered() {
                report.lost += 1;
            } else if let Some(answer) = asked.answer {
                report.slowest = report.slowest.max(answer.at - asked.sent);
                if let Some(node) = answer.node {
                    *report.by_node.entry(node).or_default() += 1;
                }
            }
        }
        report.dark = Family::ALL.into_iter().map(|family| dark(asked, family, end)).max().unwrap_or_default();
        report
    }
}

/// The longest dark time of one family.
fn dark(asked: &[Asked], family: Family, end: Duration) -> Duration {
    let (mut since, mut longest) = (None, Duration::ZERO);
    for asked in asked.iter().filter(|asked| asked.family == family) {
        if !asked.is_answered() {
            since.get_or_insert(asked.sent);
        } else if let Some(since) = since.take() {
            longest = longest.max(asked.sent - since);
        }
    }
    since.map_or(longest, |since| longest.max(end.saturating_sub(since)))
}

/// A thread that asks until the value is dropped.
#[derive(Debug)]
pub(crate) struct Load {
    /// What was asked, in order.
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Ends the thread.
    is_over: Arc<AtomicBool>,
    /// The thread.
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Starts to ask so many queries a second, families in turn.
    pub(crate) fn start(client: &Namespace, rate: u32, families: &[Family]) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let families = families.to_vec();
        let (list, over) = (Arc::clone(&asked), Arc::clone(&is_over));
        let thread = client.run(|| {
            std::thread::spawn(move || {
                hurry();
                Asker::new(&families, rate, &list).run(&over);
            })
        });
        Self { asked, is_over, thread: Some(thread) }
    }

    /// The queries that were sent from `from` to before `to`.
    pub(crate) fn between(&self, from: Duration, to: Duration) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let start = asked.partition_point(|asked| asked.sent < from);
        let end = asked.partition_point(|asked| asked.sent < to);
        asked[start..end.max(start)].to_vec()
    }

    /// What came of the queries that were sent from `from` to before `to`; the last second is not final.
    pub(crate) fn report(&self, from: Duration, to: Duration) -> Report {
        Report::of(&self.between(from, to), to)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Gives the calling thread a real-time priority where that is allowed.
fn hurry() {
    let thread = nix::unistd::gettid().to_string();
    // Without it the measurement is less exact under CPU pressure, and nothing else changes.
    let _ =
        Command::new("chrt").args(["-f", "-p", PRIORITY, &thread]).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// The thread's state.
struct Asker<'a> {
    /// What was asked.
    asked: &'a Mutex<Vec<Asked>>,
    /// Sockets with their families, in the order in which they are used.
    sockets: Vec<(Family, UdpSocket)>,
    /// Time between two queries.
    pace: Duration,
    /// When the first query was due.
    start: Duration,
    /// Queries sent.
    count: u32,
}

impl<'a> Asker<'a> {
    /// Opens the sockets, in the namespace of the calling thread.
    fn new(families: &[Family], rate: u32, asked: &'a Mutex<Vec<Asked>>) -> Self {
        let mut sockets = Vec::new();
        for _ in 0..PORTS {
            for family in families {
                let socket = UdpSocket::bind(SocketAddr::new(family.unspecified(), 0)).expect("a port is free");
                socket.set_nonblocking(true).expect("a socket can be set to non-blocking");
                sockets.push((*family, socket));
            }
        }
        let pace = Duration::from_secs(1) / rate.max(1);
        Self { asked, sockets, pace, start: clock::now(), count: 0 }
    }

    /// Asks and reads until it is over.
    fn run(&mut self, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            for _ in 0..BURST_MAX {
                if self.due() > clock::now() {
                    break;
                }
                self.ask();
            }
            let wait = self.due().saturating_sub(clock::now()).min(SLEEP_MAX);
            let mut events: Vec<PollFd<'_>> =
                self.sockets.iter().map(|(_, socket)| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
            let _ = ppoll(&mut events, Some(TimeSpec::from_duration(wait)), None);
            let readable: Vec<bool> = events.iter().map(|event| event.any().unwrap_or(false)).collect();
            for (index, _) in readable.iter().enumerate().filter(|(_, is_readable)| **is_readable) {
                self.read(index);
            }
        }
    }

    /// When the next query is due.
    fn due(&self) -> Duration {
        self.start + self.pace * self.count
    }

    /// Sends the next query.
    fn ask(&mut self) {
        let (family, socket) = &self.sockets[self.count as usize % self.sockets.len()];
        let qname = name::name(&format!("q{}.site.test.", self.count));
        let query = Query::new(&qname, 1).with_edns(Edns::new(1232, false).with_option(NSID, &[]));
        let octets = query.encode(self.count as u16);
        let sent = clock::now();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(Asked {
            sent,
            family: *family,
            answer: None,
            replies: 0,
        });
        // A query that the kernel refuses (no route, for one) is one that is not answered.
        let _ = socket.send_to(&octets, (family.service(), 53));
        self.count += 1;
    }

    /// Reads what has come for a socket.
    fn read(&self, index: usize) {
        let mut octets = [0; REPLY_BYTES_MAX];
        let (family, socket) = &self.sockets[index];
        while let Ok((length, from)) = socket.recv_from(&mut octets) {
            let at = clock::now();
            if from != SocketAddr::new(family.service(), 53) {
                continue;
            }
            let Ok(message) = Message::parse(&octets[..length]) else { continue };
            let Some(number) = number_of(&message) else { continue };
            let node = message.option(NSID).and_then(|nsid| NodeNumber::of_identity(&nsid));
            let is_right = message.rcode() == 0 && message.has(0x0400) && message.sections[0].len() == 1;
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(asked) = asked.get_mut(number).filter(|asked| asked.family == *family) {
                asked.replies = asked.replies.saturating_add(1);
                asked.answer.get_or_insert(Answer { at, node, is_right });
            }
        }
    }
}

/// The number of the query that a reply belongs to.
fn number_of(message: &Message) -> Option<usize> {
    let qname = &message.questions.first()?.qname;
    let label = name::labels(qname).first().copied()?;
    std::str::from_utf8(label.strip_prefix(b"q")?).ok()?.parse().ok()
}
