//! Counters: one block per thread with one writer each, summed when somebody reads.
//!
//! Refuses to know sockets, zones and text formats: a [`Sample`] is a name, labels and a number. A writer adds with a
//! plain load and store, which is cheaper than an atomic addition and right because nobody else writes to its block.

mod tls;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

// mutual: blocks hold what is counted there, which is made of counters.
pub use tls::{Handshake, HandshakeCounters, HandshakeFault};

/// All counters of the process.
#[derive(Debug)]
pub struct Metrics {
    /// The blocks of each UDP worker, by its index. Locked by readers and where a thread is replaced, never by a
    /// worker.
    udp: Mutex<Vec<Line<UdpBlock>>>,
    /// The same of each TCP thread.
    tcp: Mutex<Vec<Line<TcpBlock>>>,
    /// The same of each thread for TLS.
    tls: Mutex<Vec<Line<TcpBlock>>>,
    /// What became of notifications.
    pub notify: NotifyBlock,
}

/// The blocks of one worker, oldest first: the sum of the threads that have ended, those of replaced threads that may
/// still count, that of the thread in charge.
type Line<Block> = Vec<Arc<Block>>;

/// A block that can take over what another counted.
trait Absorb {
    /// Adds all that `other` has counted.
    fn absorb(&self, other: &Self);
}

impl Metrics {
    /// Makes blocks for so many threads, all zero.
    #[must_use]
    pub fn new(udp_worker_count: usize, tcp_thread_count: usize) -> Self {
        let metrics = Self {
            udp: Mutex::default(),
            tcp: Mutex::default(),
            tls: Mutex::default(),
            notify: NotifyBlock::default(),
        };
        let _all = metrics.extend(udp_worker_count, tcp_thread_count);
        metrics
    }

    /// Makes blocks for so many more threads, all zero, and says which they are.
    #[must_use]
    pub fn extend(&self, udp_worker_count: usize, tcp_thread_count: usize) -> BlockRange {
        BlockRange {
            udp: with_lines(&self.udp, |lines| push_lines(lines, udp_worker_count)),
            tcp: with_lines(&self.tcp, |lines| push_lines(lines, tcp_thread_count)),
        }
    }

    /// Makes blocks for so many more threads for TLS, all zero, and says which they are.
    #[must_use]
    pub fn extend_tls(&self, thread_count: usize) -> Range<usize> {
        with_lines(&self.tls, |lines| push_lines(lines, thread_count))
    }

    /// Returns the blocks of the threads that are in charge of the UDP workers now; `udp-0` is the first. Locks
    /// briefly.
    #[must_use]
    pub fn udp(&self) -> Vec<Arc<UdpBlock>> {
        with_lines(&self.udp, |lines| in_charge(lines))
    }

    /// Puts `block`, that of a new thread, in charge of a UDP worker; what its predecessors counted stays in the sums.
    ///
    /// There are as many older blocks as there are replaced threads that have not ended, and one: the blocks of those
    /// that nobody else holds any more are added up.
    ///
    /// # Panics
    /// If there is no such worker.
    pub fn hand_over(&self, worker: usize, block: Arc<UdpBlock>) {
        with_lines(&self.udp, |lines| push_block(lines, worker, block));
    }

    /// Returns the blocks of the threads that serve TCP now; `tcp-0` is the first. Locks briefly.
    #[must_use]
    pub fn tcp(&self) -> Vec<Arc<TcpBlock>> {
        with_lines(&self.tcp, |lines| in_charge(lines))
    }

    /// Returns the blocks of the threads that serve TLS; `tls-0` is the first. Locks briefly.
    #[must_use]
    pub fn tls(&self) -> Vec<Arc<TcpBlock>> {
        with_lines(&self.tls, |lines| in_charge(lines))
    }

    /// Does for a TCP thread what [`Metrics::hand_over`] does for a UDP worker.
    ///
    /// # Panics
    /// If there is no such thread.
    pub fn hand_over_tcp(&self, thread: usize, block: Arc<TcpBlock>) {
        with_lines(&self.tcp, |lines| push_block(lines, thread, block));
    }

    /// Reads everything once: the totals by transport, and what each UDP worker did.
    ///
    /// Counters are read one after the other while the workers go on, so that two of them may differ by what happened
    /// in between. Allocates; not for the packet path.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::with_capacity(SAMPLES_HINT);
        // Whoever holds a block keeps it from being added up, so that none is read twice.
        let lines = with_lines(&self.udp, |lines| lines.clone());
        let tcp_lines = with_lines(&self.tcp, |lines| lines.clone());
        let tls_lines = with_lines(&self.tls, |lines| lines.clone());
        let blocks = || lines.iter().flatten();
        let tcp_blocks = || tcp_lines.iter().flatten();
        let tls_blocks = || tls_lines.iter().flatten();
        let udp: Vec<&Answers> = blocks().map(|block| &block.answers).collect();
        let tcp: Vec<&Answers> = tcp_blocks().map(|block| &block.answers).collect();
        sample_answers("udp", &udp, &mut samples);
        sample_answers("tcp", &tcp, &mut samples);
        let tls: Vec<&Answers> = tls_blocks().map(|block| &block.answers).collect();
        sample_answers("tls", &tls, &mut samples);
        for (name, counter) in UDP_FAMILIES {
            push(&mut samples, name, &[], blocks().map(|block| counter(block).value()).sum());
        }
        for (name, counter) in TCP_FAMILIES {
            push(&mut samples, name, &[], tcp_blocks().map(|block| counter(block).value()).sum());
        }
        // A client that comes or goes while this is read must not make the difference negative.
        let open = tcp_blocks().map(|block| block.opened.value().saturating_sub(block.closed.value())).sum();
        push(&mut samples, "fated_tcp_connections_open", &[], open);
        tls::sample(&tls_lines.iter().flatten().map(|block| &**block).collect::<Vec<_>>(), &mut samples);
        for (name, counter) in NOTIFY_FAMILIES {
            push(&mut samples, name, &[], counter(&self.notify).value());
        }
        for (index, line) in lines.iter().enumerate() {
            let labels = [("worker", Cow::Owned(index.to_string()))];
            let sum = |counter: fn(&UdpBlock) -> &Counter| line.iter().map(|block| counter(block).value()).sum();
            push(&mut samples, "fated_worker_batches_total", &labels, sum(|block| &block.batches));
            push(&mut samples, "fated_worker_queries_total", &labels, sum(|block| &block.answers.queries));
        }
        samples
    }
}

/// The blocks of some threads among all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRange {
    /// The indices of the UDP workers.
    pub udp: Range<usize>,
    /// Those of the TCP threads.
    pub tcp: Range<usize>,
}

/// Appends lines for so many threads, and says where they are.
fn push_lines<Block: Default>(lines: &mut Vec<Line<Block>>, count: usize) -> Range<usize> {
    let first = lines.len();
    lines.resize_with(first + count, || vec![Arc::default(), Arc::default()]);
    first..lines.len()
}

/// Works on blocks; they are whole after every step, so that a poisoned lock can be used.
fn with_lines<Block, T>(lines: &Mutex<Vec<Line<Block>>>, work: impl FnOnce(&mut Vec<Line<Block>>) -> T) -> T {
    work(&mut lines.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The blocks of the threads that are in charge.
fn in_charge<Block>(lines: &[Line<Block>]) -> Vec<Arc<Block>> {
    lines.iter().filter_map(|line| line.last().cloned()).collect()
}

/// Puts a new block in charge, and adds up what can be.
fn push_block<Block: Absorb>(lines: &mut [Line<Block>], index: usize, block: Arc<Block>) {
    for line in lines.iter_mut() {
        add_up(line);
    }
    lines[index].push(block);
}

/// Adds the blocks of threads that have ended to the first one: those that only `line` holds.
fn add_up<Block: Absorb>(line: &mut Line<Block>) {
    let in_charge = line.len().saturating_sub(1);
    let Some(sum) = line.first().cloned() else { return };
    let mut index = 0;
    line.retain_mut(|block| {
        index += 1;
        let is_between = index > 1 && index <= in_charge;
        match Arc::get_mut(block).filter(|_| is_between) {
            Some(ended) => {
                sum.absorb(ended);
                false
            }
            None => true,
        }
    });
}

/// One number that is shown outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The family, in the style of Prometheus: `_total` for what only grows.
    pub name: &'static str,
    /// What part of the family this is, in a fixed order.
    pub labels: Vec<(&'static str, Cow<'static, str>)>,
    /// The value.
    pub value: u64,
}

/// A number that one thread adds to and all may read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `amount`. Only the thread that owns the block may call this; a second writer would lose counts.
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Reads the value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one thread of a UDP worker counts. Has its cache lines for itself, so that workers do not slow each other down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct UdpBlock {
    /// Queries and replies.
    pub answers: Answers,
    /// Batches that were received: the worker's progress.
    pub batches: Counter,
    /// Datagrams from port 0, which nobody could answer.
    pub port_zero: Counter,
    /// Datagrams that come from where probes come from and are none.
    pub forged: Counter,
    /// Datagrams that were longer than the receive buffer.
    pub oversized: Counter,
    /// Replies that the kernel refused to send (no route, filtered, too long).
    pub send_refused: Counter,
    /// Replies that were given up because the socket was full.
    pub send_stalled: Counter,
    /// Receive or wait calls that failed.
    pub receive_errors: Counter,
}

impl Absorb for UdpBlock {
    fn absorb(&self, other: &Self) {
        for (_, counter) in UDP_FAMILIES {
            counter(self).add(counter(other).value());
        }
        self.answers.absorb(&other.answers);
    }
}

/// What one TCP thread counts.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct TcpBlock {
    /// Queries and replies.
    pub answers: Answers,
    /// Connections that were accepted and served.
    pub opened: Counter,
    /// Connections of those that have ended.
    pub closed: Counter,
    /// Connections closed to make room for new ones.
    pub evicted: Counter,
    /// Connections closed at once because no room could be made.
    pub refused: Counter,
    /// Connections closed because nothing came.
    pub idle_timeouts: Counter,
    /// Connections closed because a message was begun and not finished in time.
    pub read_timeouts: Counter,
    /// Connections closed because the client did not take its replies in time.
    pub write_timeouts: Counter,
    /// Connections closed because a message was too short to be one.
    pub malformed: Counter,
    /// Connections that broke: reset by the client, or an error of the system.
    pub broken: Counter,
    /// Accept calls that failed.
    pub accept_errors: Counter,
    /// Handshakes of TLS.
    pub handshakes: HandshakeCounters,
}

impl Absorb for TcpBlock {
    fn absorb(&self, other: &Self) {
        for (_, counter) in TCP_FAMILIES {
            counter(self).add(counter(other).value());
        }
        self.closed.add(other.closed.value());
        self.handshakes.absorb(&other.handshakes);
        self.answers.absorb(&other.answers);
    }
}

/// What is counted about notifications to other servers.
#[derive(Debug, Default)]
pub struct NotifyBlock {
    /// Messages that were sent.
    pub sent: Counter,
    /// Notifications that were acknowledged.
    pub acknowledged: Counter,
    /// Notifications that were refused.
    pub refused: Counter,
    /// Notifications that nobody answered, however often they were sent.
    pub given_up: Counter,
    /// Notifications that were not sent, since too many waited.
    pub dropped: Counter,
}

/// How a transfer is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferKind {
    /// With the whole zone.
    Whole,
    /// With changes.
    Changes,
    /// With the SOA alone.
    Current,
    /// Not at all.
    Refused,
}

/// What is counted about queries on either transport.
#[derive(Debug, Default)]
pub struct Answers {
    /// Messages that came, well-formed or not.
    pub queries: Counter,
    /// Messages that are not answered: too short, responses, or without a port to answer to.
    pub drops: Counter,
    /// Replies with TC.
    pub truncated: Counter,
    /// Panics that were caught while answering.
    pub panics: Counter,
    /// Octets of the messages that came.
    pub octets_in: Counter,
    /// Octets of the replies that were sent.
    pub octets_out: Counter,
    /// Transfers by [`TransferKind`].
    transfers: [Counter; TRANSFER_KINDS.len()],
    /// Replies by RCODE; the last one is for all others.
    rcodes: [Counter; RCODES.len() + 1],
    /// Replies by QTYPE as [`QTYPES`] has them; the last one is for all others.
    qtypes: [Counter; QTYPES.len() + 1],
}

impl Answers {
    /// Counts one reply that was made. Allocates nothing.
    pub fn count_reply(&self, rcode: u16, qtype: u16, is_truncated: bool) {
        self.rcodes[usize::from(rcode).min(RCODES.len())].add(1);
        let qtype_index = QTYPE_INDEXES.get(usize::from(qtype)).map_or(QTYPES.len(), |&index| usize::from(index));
        self.qtypes[qtype_index].add(1);
        if is_truncated {
            self.truncated.add(1);
        }
    }

    /// Counts a transfer.
    pub fn count_transfer(&self, kind: TransferKind) {
        self.transfers[kind as usize].add(1);
    }

    /// Adds all that `other` has counted.
    fn absorb(&self, other: &Self) {
        for (_, counter) in ANSWER_FAMILIES {
            counter(self).add(counter(other).value());
        }
        let own = self.rcodes.iter().chain(&self.qtypes).chain(&self.transfers);
        for (counter, other) in own.zip(other.rcodes.iter().chain(&other.qtypes).chain(&other.transfers)) {
            counter.add(other.value());
        }
    }

    /// Returns how many replies were made.
    #[must_use]
    pub fn replies(&self) -> u64 {
        self.rcodes.iter().map(Counter::value).sum()
    }

    /// Returns how many replies with this RCODE were made; all that have no counter of their own share one.
    #[must_use]
    pub fn replies_with(&self, rcode: u16) -> u64 {
        self.rcodes[usize::from(rcode).min(RCODES.len())].value()
    }
}

/// Adds the samples of one transport.
fn sample_answers(transport: &'static str, blocks: &[&Answers], samples: &mut Vec<Sample>) {
    let label = ("transport", Cow::Borrowed(transport));
    for (name, counter) in ANSWER_FAMILIES {
        let value = blocks.iter().map(|block| counter(block).value()).sum();
        push(samples, name, std::slice::from_ref(&label), value);
    }
    let rcodes = RCODES.iter().copied().chain(["other"]);
    for (index, name) in rcodes.enumerate() {
        let value: u64 = blocks.iter().map(|block| block.rcodes[index].value()).sum();
        // The RCODEs without a name are left out while nobody used them.
        if value > 0 || !name.starts_with("RCODE") {
            push(samples, "fated_replies_total", &[label.clone(), ("rcode", Cow::Borrowed(name))], value);
        }
    }
    for (index, kind) in TRANSFER_KINDS.iter().copied().enumerate() {
        let value = blocks.iter().map(|block| block.transfers[index].value()).sum();
        push(samples, "fated_transfers_total", &[label.clone(), ("kind", Cow::Borrowed(kind))], value);
    }
    for (index, name) in QTYPES.iter().map(|&(_, name)| name).chain(["other"]).enumerate() {
        let value = blocks.iter().map(|block| block.qtypes[index].value()).sum();
        push(samples, "fated_replies_by_qtype_total", &[label.clone(), ("qtype", Cow::Borrowed(name))], value);
    }
}

/// Adds one sample.
fn push(samples: &mut Vec<Sample>, name: &'static str, labels: &[(&'static str, Cow<'static, str>)], value: u64) {
    samples.push(Sample { name, labels: labels.to_vec(), value });
}

/// The families that both transports have.
type Family<Block> = (&'static str, fn(&Block) -> &Counter);

/// What is shown of [`Answers`], besides RCODEs and QTYPEs.
const ANSWER_FAMILIES: [Family<Answers>; 6] = [
    ("fated_queries_total", |block| &block.queries),
    ("fated_drops_total", |block| &block.drops),
    ("fated_truncated_total", |block| &block.truncated),
    ("fated_panics_total", |block| &block.panics),
    ("fated_octets_in_total", |block| &block.octets_in),
    ("fated_octets_out_total", |block| &block.octets_out),
];

/// What is shown of [`UdpBlock`].
const UDP_FAMILIES: [Family<UdpBlock>; 7] = [
    ("fated_udp_batches_total", |block| &block.batches),
    ("fated_udp_port_zero_total", |block| &block.port_zero),
    ("fated_udp_forged_total", |block| &block.forged),
    ("fated_udp_oversized_total", |block| &block.oversized),
    ("fated_udp_send_refused_total", |block| &block.send_refused),
    ("fated_udp_send_stalled_total", |block| &block.send_stalled),
    ("fated_udp_receive_errors_total", |block| &block.receive_errors),
];

/// What is shown of [`TcpBlock`].
const TCP_FAMILIES: [Family<TcpBlock>; 9] = [
    ("fated_tcp_connections_total", |block| &block.opened),
    ("fated_tcp_evicted_total", |block| &block.evicted),
    ("fated_tcp_refused_total", |block| &block.refused),
    ("fated_tcp_idle_timeouts_total", |block| &block.idle_timeouts),
    ("fated_tcp_read_timeouts_total", |block| &block.read_timeouts),
    ("fated_tcp_write_timeouts_total", |block| &block.write_timeouts),
    ("fated_tcp_malformed_total", |block| &block.malformed),
    ("fated_tcp_broken_total", |block| &block.broken),
    ("fated_tcp_accept_errors_total", |block| &block.accept_errors),
];

/// What is shown of [`NotifyBlock`].
const NOTIFY_FAMILIES: [Family<NotifyBlock>; 5] = [
    ("fated_notify_sent_total", |block| &block.sent),
    ("fated_notify_acknowledged_total", |block| &block.acknowledged),
    ("fated_notify_refused_total", |block| &block.refused),
    ("fated_notify_given_up_total", |block| &block.given_up),
    ("fated_notify_dropped_total", |block| &block.dropped),
];

/// The names of each [`TransferKind`].
const TRANSFER_KINDS: [&str; 4] = ["whole", "changes", "current", "refused"];

/// The RCODEs with a counter of their own, by number (RFC 6895 §2.3); the unassigned ones have their number as name.
const RCODES: [&str; 24] = [
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
    "DSOTYPENI",
    "RCODE12",
    "RCODE13",
    "RCODE14",
    "RCODE15",
    "BADVERS",
    "BADKEY",
    "BADTIME",
    "BADMODE",
    "BADNAME",
    "BADALG",
    "BADTRUNC",
    "BADCOOKIE",
];

/// The QTYPEs with a counter of their own; "none" is a message without a question.
const QTYPES: [(u16, &str); 22] = [
    (0, "none"),
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (33, "SRV"),
    (35, "NAPTR"),
    (39, "DNAME"),
    (43, "DS"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (52, "TLSA"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (252, "AXFR"),
    (255, "ANY"),
    (257, "CAA"),
];

/// The position in [`QTYPES`] of each QTYPE up to the highest one there.
const QTYPE_INDEXES: [u8; 258] = {
    let mut indexes = [QTYPES.len() as u8; 258];
    let mut index = 0;
    while index < QTYPES.len() {
        indexes[QTYPES[index].0 as usize] = index as u8;
        index += 1;
    }
    indexes
};

/// About how many samples there are, so that the list grows once.
const SAMPLES_HINT: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds the value of a family with all of `labels`.
    fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<u64> {
        let has = |sample: &Sample, (key, text): &(&str, &str)| {
            sample.labels.iter().any(|(other, value)| other == key && value == text)
        };
        let mut found =
            samples.iter().filter(|sample| sample.name == name && labels.iter().all(|pair| has(sample, pair)));
        let first = found.next()?;
        assert!(found.next().is_none(), "{name} {labels:?} appears twice");
        Some(first.value)
    }

    #[test]
    fn blocks_are_summed_by_transport_and_shown_by_worker() {
        let metrics = Metrics::new(2, 1);
        for (block, amount) in metrics.udp().iter().zip([3, 4]) {
            block.answers.queries.add(amount);
            block.batches.add(1);
        }
        metrics.tcp()[0].answers.queries.add(5);
        let samples = metrics.samples();
        assert_eq!(value(&samples, "fated_queries_total", &[("transport", "udp")]), Some(7));
        assert_eq!(value(&samples, "fated_queries_total", &[("transport", "tcp")]), Some(5));
        assert_eq!(value(&samples, "fated_worker_queries_total", &[("worker", "1")]), Some(4));
        assert_eq!(value(&samples, "fated_udp_batches_total", &[]), Some(2));
    }

    #[test]
    fn replies_are_counted_by_rcode_and_qtype_with_a_rest() {
        let metrics = Metrics::new(1, 1);
        let blocks = metrics.udp();
        let answers = &blocks[0].answers;
        answers.count_reply(0, 1, false);
        answers.count_reply(3, 257, true);
        answers.count_reply(23, 258, false);
        answers.count_reply(4095, 65_535, false);
        assert_eq!((answers.replies(), answers.replies_with(3), answers.truncated.value()), (4, 1, 1));
        let samples = metrics.samples();
        let by_rcode = |name| value(&samples, "fated_replies_total", &[("transport", "udp"), ("rcode", name)]);
        let by_qtype = |name| value(&samples, "fated_replies_by_qtype_total", &[("transport", "udp"), ("qtype", name)]);
        assert_eq!([by_rcode("NOERROR"), by_rcode("NXDOMAIN"), by_rcode("BADCOOKIE"), by_rcode("other")], [Some(1); 4]);
        assert_eq!((by_qtype("A"), by_qtype("CAA"), by_qtype("other")), (Some(1), Some(1), Some(2)));
        assert_eq!(by_rcode("RCODE12"), None);
    }

    /// Sets every counter of a block to 1.
    fn count_all(block: &UdpBlock) {
        for (_, counter) in UDP_FAMILIES {
            counter(block).add(1);
        }
        for (_, counter) in ANSWER_FAMILIES {
            counter(&block.answers).add(1);
        }
        let answers = &block.answers;
        for counter in answers.rcodes.iter().chain(&answers.qtypes).chain(&answers.transfers) {
            counter.add(1);
        }
    }

    #[test]
    fn what_a_replaced_thread_counted_stays_in_the_sums_before_and_after_its_end() {
        let metrics = Metrics::new(2, 0);
        let mut first = Some(metrics.udp().swap_remove(1));
        count_all(first.as_deref().expect("it is in charge"));
        let once = metrics.samples();
        assert_eq!(value(&once, "fated_worker_queries_total", &[("worker", "1")]), Some(1));
        for _ in 0..5 {
            metrics.hand_over(1, Arc::default());
            assert_eq!(metrics.udp()[1].batches.value(), 0, "the new thread begins at 0");
            assert_eq!(metrics.samples(), once);
            let blocks = with_lines(&metrics.udp, |lines| lines[1].len());
            assert!(blocks <= 4, "the sum, the first, one that ended since, the last: {blocks}");
        }
        first.as_deref().expect("it still counts").batches.add(1);
        assert_eq!(value(&metrics.samples(), "fated_worker_batches_total", &[("worker", "1")]), Some(2));
        drop(first.take());
        metrics.hand_over(1, Arc::default());
        metrics.hand_over(0, Arc::default());
        assert_eq!(with_lines(&metrics.udp, |lines| lines[1].len()), 2, "all that have ended are one sum");
        assert_eq!(value(&metrics.samples(), "fated_worker_batches_total", &[("worker", "1")]), Some(2));
        assert_eq!(value(&metrics.samples(), "fated_udp_oversized_total", &[]), Some(1));
    }

    #[test]
    fn what_a_replaced_tcp_thread_counted_stays_and_its_connections_are_not_open_for_ever() {
        let metrics = Metrics::new(0, 2);
        let first = metrics.tcp().swap_remove(1);
        for (_, counter) in TCP_FAMILIES {
            counter(&first).add(2);
        }
        first.closed.add(1);
        metrics.hand_over_tcp(1, Arc::default());
        let open = |metrics: &Metrics| value(&metrics.samples(), "fated_tcp_connections_open", &[]);
        assert_eq!(open(&metrics), Some(1), "it may still count");
        first.closed.add(1);
        drop(first);
        metrics.hand_over_tcp(0, Arc::default());
        assert_eq!(with_lines(&metrics.tcp, |lines| lines[1].len()), 2, "it has ended");
        assert_eq!((open(&metrics), metrics.tcp()[1].opened.value()), (Some(0), 0));
        assert_eq!(value(&metrics.samples(), "fated_tcp_broken_total", &[]), Some(2));
    }

    #[test]
    fn no_sample_appears_twice() {
        let samples = Metrics::new(3, 2).samples();
        for (index, sample) in samples.iter().enumerate() {
            let twin = samples[..index].iter().find(|other| other.name == sample.name && other.labels == sample.labels);
            assert_eq!(twin, None);
        }
    }

    #[test]
    fn open_connections_never_go_below_zero() {
        let metrics = Metrics::new(0, 1);
        metrics.tcp()[0].closed.add(1);
        assert_eq!(value(&metrics.samples(), "fated_tcp_connections_open", &[]), Some(0));
    }
}
