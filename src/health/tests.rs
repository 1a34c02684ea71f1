//! The whole prober in fake time: a path that a script answers, and a threads and zones made of counters.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption, NSIDPayload};
use hickory_proto::rr::rdata::{SOA, TXT};
use hickory_proto::rr::{Name as HickoryName, RData, Record, RecordType};

use super::prober::Prober;
use super::tcp::{TcpOutcome, TcpOutcomes};
use super::*;
use crate::policy::SharedFault;
use crate::wire::message::option;
use crate::wire::{Name, NameRef};

mod sample;
mod ways;

/// What was sent and not yet answered: to whom, and the message.
type Sent = Arc<Mutex<VecDeque<(SocketAddr, Message)>>>;

/// A path that keeps what is sent. Addresses in `refused` cannot be sent to.
struct FakeTransport {
    sent: Sent,
    /// The same, around the path.
    around: Sent,
    refused: Arc<Mutex<Vec<SocketAddr>>>,
}

impl ProbeTransport for FakeTransport {
    fn send(&mut self, to: SocketAddr, query: &[u8]) -> io::Result<()> {
        if self.refused.lock().expect("nobody panicked").contains(&to) {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        let message = Message::from_vec(query).expect("hickory-proto reads our questions");
        self.sent.lock().expect("nobody panicked").push_back((to, message));
        Ok(())
    }

    fn send_around(&mut self, to: SocketAddr, query: &[u8]) -> io::Result<()> {
        let message = Message::from_vec(query).expect("hickory-proto reads our questions");
        self.around.lock().expect("nobody panicked").push_back((to, message));
        Ok(())
    }

    fn receive<'b>(&mut self, _: &'b mut [u8]) -> io::Result<(SocketAddr, &'b [u8])> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn wait(&mut self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}

/// Workers without threads.
#[derive(Default)]
struct FakeThreads {
    worker_count: usize,
    progress: [AtomicU64; 2],
    /// Over the first address.
    clients: [AtomicU64; 2],
    has_queued: AtomicBool,
    drops: AtomicU64,
    replaced: Mutex<Vec<usize>>,
    lost: AtomicUsize,
}

impl ServerThreads for FakeThreads {
    fn worker_count(&self) -> usize {
        self.worker_count
    }

    fn progress(&self, worker: usize) -> u64 {
        self.progress.get(worker).map_or(0, |progress| progress.load(Ordering::Relaxed))
    }

    fn tid(&self, _: usize) -> Option<i32> {
        None
    }

    fn clients(&self, worker: usize, address: usize) -> u64 {
        let counted = self.clients.get(worker).filter(|_| address == 0);
        counted.map_or(0, |clients| clients.load(Ordering::Relaxed))
    }

    fn has_queued(&self, _: usize) -> Option<bool> {
        self.has_queued.load(Ordering::Relaxed).then_some(true)
    }

    fn drops(&self, address: usize) -> u64 {
        if address == 0 { self.drops.load(Ordering::Relaxed) } else { 0 }
    }

    fn replace(&self, worker: usize) -> io::Result<()> {
        self.replaced.lock().expect("nobody panicked").push(worker);
        Ok(())
    }

    fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }
}

/// One zone, `example.`, whose serial a test may move.
#[derive(Default)]
struct FakeZones(AtomicU32);

impl Zones for FakeZones {
    fn next(&self) -> Option<(Name, u32)> {
        Some(("example.".parse().ok()?, self.0.load(Ordering::Relaxed)))
    }

    fn serial(&self, zone: NameRef<'_>) -> Option<u32> {
        self.next().filter(|(name, _)| name.as_ref() == zone).map(|(_, serial)| serial)
    }
}

/// A prober that asks every 50 ms, and its surroundings.
struct World {
    prober: Prober,
    now: Duration,
    sent: Sent,
    around: Sent,
    refused: Arc<Mutex<Vec<SocketAddr>>>,
    threads: Arc<FakeThreads>,
    zones: Arc<FakeZones>,
    proof: Arc<Proof>,
    tcp: Arc<TcpOutcomes>,
}

const ADDRESSES: [&str; 2] = ["192.0.2.53:53", "[2001:db8::53]:53"];
const NONCE: u64 = 0xFEED_0000_BEEF_FFFE;
const TIMEOUT: Duration = Duration::from_millis(50);

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn address(index: usize) -> SocketAddr {
    ADDRESSES[index].parse().expect("an address")
}

/// What is proven of `addresses`.
fn settings(addresses: Vec<SocketAddr>) -> ProverSettings {
    ProverSettings {
        interval: ms(50),
        timeout: TIMEOUT,
        fall: 2,
        min_workers: 2,
        nonce: NONCE,
        identity: Some(b"fra1".to_vec()),
        addresses,
        tcp_interval: TCP_INTERVAL,
    }
}

/// What answers one query, or does not.
type Script<'s> = dyn Fn(&mut Message, SocketAddr) + 's;

impl World {
    /// Two workers and two addresses.
    fn new() -> Self {
        Self::of(2, vec![address(0), address(1)])
    }

    fn of(worker_count: usize, addresses: Vec<SocketAddr>) -> Self {
        let (sent, around, refused) = (Sent::default(), Sent::default(), Arc::default());
        let threads = Arc::new(FakeThreads { worker_count, ..FakeThreads::default() });
        let zones = Arc::new(FakeZones(AtomicU32::new(7)));
        let (proof, tcp) = (Arc::new(Proof::new(addresses.len())), Arc::new(TcpOutcomes::new(addresses.len())));
        let transport =
            FakeTransport { sent: Arc::clone(&sent), around: Arc::clone(&around), refused: Arc::clone(&refused) };
        let prober = Prober::new(
            settings(addresses),
            Box::new(transport),
            Arc::clone(&threads) as Arc<dyn ServerThreads>,
            Arc::clone(&zones) as Arc<dyn Zones>,
            Arc::clone(&proof),
            Arc::clone(&tcp),
        )
        .expect("the canaries can be built");
        Self { prober, now: ms(1000), sent, around, refused, threads, zones, proof, tcp }
    }

    /// Sends the queries of a round.
    fn begin(&mut self) {
        self.prober.begin(self.now);
        self.prober.begun(self.now);
    }

    /// Takes the queries that were sent, oldest first.
    fn queries(&self) -> Vec<(SocketAddr, Message)> {
        self.sent.lock().expect("nobody panicked").drain(..).collect()
    }

    /// The same, of those that were sent around the path.
    fn around(&self) -> Vec<(SocketAddr, Message)> {
        self.around.lock().expect("nobody panicked").drain(..).collect()
    }

    /// Brings a datagram in.
    fn give(&mut self, from: SocketAddr, octets: &[u8]) {
        self.prober.take(self.now, from, octets);
    }

    /// Answers a query as it should be, spoiled by `script`; a script that clears the questions keeps it silent.
    fn answer(&mut self, to: SocketAddr, query: &Message, script: &Script<'_>) {
        let mut reply = right(query, self.zones.0.load(Ordering::Relaxed));
        script(&mut reply, to);
        if !reply.queries.is_empty() {
            self.give(to, &sealed(query, &reply));
        }
    }

    /// Makes a whole round in which each query is answered after 1 ms, as `script` says; the second time a zone is
    /// asked included. Returns what was seen.
    fn round(&mut self, script: &Script<'_>) -> [Observation; 2] {
        self.begin();
        let start = self.now;
        self.now += ms(1);
        for _ in 0..2 {
            for (to, query) in [self.queries(), self.around()].concat() {
                self.answer(to, &query, script);
            }
        }
        if !self.prober.is_complete() {
            self.now = self.prober.deadline();
        }
        let seen = self.end();
        self.now = start + ms(50);
        seen
    }

    /// Ends the round and acts.
    fn end(&mut self) -> [Observation; 2] {
        self.prober.end(self.now, true);
        self.prober.act(self.now);
        self.prober.observations().try_into().expect("two addresses")
    }

    fn counts(&mut self) -> Counts {
        self.prober.report(self.now).counts
    }
}

/// A reply with the token of its query behind it, as workers send it.
fn sealed(query: &Message, reply: &Message) -> Vec<u8> {
    let option = query.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Unknown(option::STEER)));
    let Some(EdnsOption::Unknown(_, value)) = option else { panic!("the query names no worker") };
    [&reply.to_vec().expect("it can be written"), &value[..8]].concat()
}

/// The worker that a query is for, from its last option.
fn worker_of(query: &Message) -> u16 {
    let option = query.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Unknown(option::STEER)));
    let Some(EdnsOption::Unknown(_, value)) = option else { panic!("the query names no worker") };
    assert_eq!((value.len(), &value[8..16]), (18, &NONCE.to_be_bytes()[..]));
    u16::from_be_bytes([value[16], value[17]])
}

/// The right reply.
fn right(query: &Message, serial: u32) -> Message {
    let asked = query.queries[0].clone();
    let data = match asked.query_type() {
        RecordType::TXT => RData::TXT(TXT::new(vec![worker_of(query).to_string()])),
        _ => RData::SOA(SOA::new(HickoryName::root(), HickoryName::root(), serial, 1, 1, 1, 1)),
    };
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new("fra1").expect("it is short")));
    let mut record = Record::from_rdata(asked.name().clone(), 0, data);
    record.dns_class = asked.query_class();
    let mut reply = Message::response(query.metadata.id, OpCode::Query);
    reply.metadata.authoritative = true;
    reply.add_query(asked).add_answer(record).set_edns(edns);
    reply
}

/// Leaves the reply as it is.
fn as_it_is(_: &mut Message, _: SocketAddr) {}

/// Whether a reply is one to a canary for worker `worker`.
fn is_canary_of(reply: &Message, worker: u16) -> bool {
    let name = reply.queries[0].name().to_ascii();
    name.len() == 27 && name.ends_with(&format!("{worker:04x}.fated."))
}

fn is_soa(reply: &Message) -> bool {
    reply.queries[0].query_type() == RecordType::SOA
}

const WELL: Observation = Observation { proven: 2, is_judged: true, ..Observation::NOTHING };

#[test]
fn right_answers_prove_both_addresses_with_the_moment_of_the_questions() {
    let mut world = World::new();
    world.begin();
    let queries = world.queries();
    assert_eq!(queries.len(), 5, "four canaries and one zone");
    world.now = ms(1002);
    for (index, (to, query)) in queries.iter().enumerate() {
        world.answer(*to, query, &as_it_is);
        let proven = [0, 1].map(|address| world.proof.last(address));
        let expected = if index < 2 { [None; 2] } else { [Some(ms(1000)), (index >= 3).then_some(ms(1000))] };
        assert_eq!(proven, expected, "after {} answers", index + 1);
    }
    assert!(world.prober.is_complete());
    assert_eq!(world.end(), [WELL; 2]);
    let report = world.prober.report(ms(1003));
    let worker = report.workers[1];
    assert_eq!((worker.state, worker.latency, worker.proven), (WorkerState::Well, Some(ms(2)), Some(ms(1000))));
    assert_eq!((report.latency.buckets.iter().sum::<u64>(), report.latency.sum), (4, ms(8)));
    assert_eq!(report.counts, Counts { rounds: 1, ..Counts::default() });
}

#[test]
fn what_is_wrong_is_reported_and_proves_nothing() {
    let table: [(&Script<'_>, Wrong); 6] = [
        (&|reply, _| reply.metadata.response_code = ResponseCode::ServFail, Wrong::Rcode(2)),
        (&|reply, _| reply.metadata.authoritative = false, Wrong::NotAuthoritative),
        (&|reply, _| reply.edns = None, Wrong::Identity),
        (&|reply, _| reply.metadata.truncation = true, Wrong::Truncated),
        (&|reply, _| reply.answers[0].data = RData::TXT(TXT::new(vec!["9".into()])), Wrong::Worker(9)),
        (&|reply, _| reply.answers.clear(), Wrong::Records),
    ];
    for (script, wrong) in table {
        let mut world = World::new();
        let seen = world.round(&|reply, to| {
            if is_canary_of(reply, 1) {
                script(reply, to);
            }
        });
        assert_eq!(seen, [Observation { proven: 1, wrong: 1, ..WELL }; 2], "{wrong}");
        assert_eq!(world.proof.last(0), None);
        let worker = world.prober.report(ms(0)).workers[1];
        assert_eq!((worker.state, worker.wrong), (WorkerState::Wrong, Some((wrong, ms(1001)))));
    }
}

#[test]
fn garbage_with_the_token_is_a_wrong_answer_and_other_garbage_is_none() {
    let mut world = World::new();
    world.begin();
    let queries = world.queries();
    let id = queries[0].1.metadata.id.to_be_bytes();
    world.give(address(0), &[]);
    world.give(address(0), &[1]);
    world.give(address(1), &id);
    world.give(address(0), &id.map(|octet| octet ^ 0x55));
    // Nobody outside makes a worker wrong by guessing an ID.
    world.give(address(0), &id);
    // Our own question come back is no answer.
    world.give(address(0), &queries[0].1.to_vec().expect("it can be written"));
    assert_eq!((world.counts().strays, world.counts().stale, world.counts().wrong), (5, 1, 0));
    let sealed = sealed(&queries[0].1, &right(&queries[0].1, 0));
    world.give(address(0), &[&id, &sealed[sealed.len() - 8..]].concat());
    assert_eq!(world.counts().wrong, 1);
    assert_eq!(world.prober.report(ms(0)).workers[0].wrong, Some((Wrong::Malformed, ms(1000))));
}

#[test]
fn duplicates_and_replies_of_an_earlier_round_count_for_nothing() {
    let mut world = World::new();
    world.begin();
    let old = world.queries();
    world.now += TIMEOUT;
    let late = Observation { proven: 0, late: 2, ..WELL };
    assert_eq!(world.end(), [late; 2]);
    world.begin();
    for (to, query) in &old {
        world.answer(*to, query, &as_it_is);
    }
    assert_eq!((world.counts().stale, world.proof.last(0)), (4, None), "the zone's own is still waited for");
    let (to, query) = world.queries().swap_remove(0);
    for _ in 0..5 {
        world.answer(to, &query, &as_it_is);
    }
    assert_eq!((world.counts().duplicates, world.proof.last(0)), (4, None));
    world.now += TIMEOUT;
    assert_eq!(world.end(), [Observation { proven: 1, late: 1, ..WELL }, late]);
    assert_eq!(world.counts().missing, 4 + 3);
}

#[test]
fn a_wedged_worker_is_found_within_300_ms_and_replaced_once() {
    let mut world = World::new();
    world.round(&as_it_is);
    let fault = world.now;
    let silent = |reply: &mut Message, _: SocketAddr| {
        if is_canary_of(reply, 1) {
            reply.queries.clear();
        }
    };
    while world.threads.replaced.lock().expect("nobody panicked").is_empty() {
        assert_eq!(world.round(&silent)[0], Observation { proven: 1, late: 1, ..WELL });
        assert!(world.now - fault <= ms(250), "it was not found in time");
    }
    world.round(&as_it_is);
    assert_eq!(*world.threads.replaced.lock().expect("nobody panicked"), [1]);
    let worker = world.prober.report(ms(0)).workers[1];
    assert_eq!((worker.state, worker.repairs), (WorkerState::Well, 1));
}

#[test]
fn a_worker_that_moves_or_answers_over_one_address_is_not_replaced() {
    for is_moving in [true, false] {
        let mut world = World::new();
        for _ in 0..20 {
            world.threads.progress[1].fetch_add(u64::from(is_moving), Ordering::Relaxed);
            world.begin();
            world.threads.progress[1].fetch_add(u64::from(is_moving), Ordering::Relaxed);
            for (to, query) in world.queries() {
                if is_moving || to == address(0) || is_soa(&query) {
                    world.answer(to, &query, &move |reply, _| {
                        if is_moving && is_canary_of(reply, 1) {
                            reply.queries.clear();
                        }
                    });
                }
            }
            world.now += TIMEOUT;
            world.end();
        }
        assert_eq!(*world.threads.replaced.lock().expect("nobody panicked"), [0_usize; 0]);
    }
}

#[test]
fn with_too_many_lost_threads_a_worker_stays_lost() {
    let mut world = World::new();
    world.threads.lost.store(2, Ordering::Relaxed);
    for _ in 0..5 {
        world.round(&|reply, _| reply.queries.clear());
    }
    assert_eq!(*world.threads.replaced.lock().expect("nobody panicked"), [0_usize; 0]);
    let report = world.prober.report(ms(0));
    assert_eq!((report.workers[0].state, report.lost_count), (WorkerState::Lost, 2));
}

#[test]
fn what_the_prover_slept_through_is_not_judged() {
    let mut world = World::new();
    world.begin();
    let queries = world.queries();
    for (to, query) in queries.iter().filter(|(to, _)| *to == address(0)).take(2) {
        world.answer(*to, query, &as_it_is);
    }
    // Stopped for five seconds; the other replies were in the socket all the time.
    world.now += ms(5000);
    for (to, query) in &queries {
        world.answer(*to, query, &as_it_is);
    }
    let unknown = Observation { proven: 0, is_judged: false, ..WELL };
    assert_eq!(world.end(), [WELL, unknown]);
    assert_eq!((world.proof.last(0), world.proof.last(1)), (Some(ms(1000)), None));
    assert_eq!(world.counts().gaps, 1);
    for _ in 0..5 {
        world.begin();
        world.now += ms(200);
        assert_eq!(world.end()[0], unknown);
    }
    assert_eq!(*world.threads.replaced.lock().expect("nobody panicked"), [0_usize; 0]);
}

#[test]
fn a_zone_that_fails_twice_is_that_zones_fault() {
    for (script, wrong) in [
        ((|reply| reply.metadata.response_code = ResponseCode::ServFail) as fn(&mut Message), Wrong::Rcode(2)),
        (|reply| reply.metadata.authoritative = false, Wrong::NotAuthoritative),
        (|reply| reply.answers.clear(), Wrong::Records),
    ] {
        let mut world = World::new();
        let seen = world.round(&|reply, _| {
            if is_soa(reply) {
                script(reply);
            }
        });
        assert_eq!(seen, [Observation { shared: Some(SharedFault::Zone), ..WELL }; 2]);
        let zones = world.prober.report(ms(0)).zones;
        assert_eq!((zones.len(), zones[0].what, zones[0].since), (1, wrong, ms(1001)));
        assert_eq!(world.round(&as_it_is), [WELL; 2], "it is cured at once");
    }
}

#[test]
fn a_zone_that_fails_once_is_asked_again_on_the_same_worker() {
    let mut world = World::new();
    world.begin();
    let (to, query) = world.queries().pop().expect("the zone is asked last");
    world.answer(to, &query, &|reply, _| reply.metadata.authoritative = false);
    let again = world.around();
    assert_eq!((again.len(), again[0].0, worker_of(&again[0].1)), (1, to, worker_of(&query)));
    assert_ne!(again[0].1.metadata.id, query.metadata.id);
    world.answer(to, &again[0].1, &as_it_is);
    assert!(world.prober.report(ms(0)).zones.is_empty());
}

#[test]
fn a_serial_may_be_that_of_the_question_or_of_the_reply_but_no_other() {
    for (serial, is_right) in [(6, false), (7, true), (8, true), (9, true), (10, false)] {
        let mut world = World::new();
        world.begin();
        for _ in 0..2 {
            let (to, query) = [world.queries(), world.around()].concat().pop().expect("the zone is asked last");
            world.zones.0.store(9, Ordering::Relaxed);
            world.give(to, &sealed(&query, &right(&query, serial)));
            if is_right {
                break;
            }
        }
        let zones = world.prober.report(ms(0)).zones;
        assert_eq!(zones.first().map(|fault| fault.what), (!is_right).then_some(Wrong::Serial(serial)));
    }
}

#[test]
fn a_zone_that_is_silent_on_a_worker_that_is_well_has_a_fault() {
    let mut world = World::new();
    for _ in 0..5 {
        world.round(&|reply, _| {
            if is_soa(reply) {
                reply.queries.clear();
            }
        });
    }
    let zones = world.prober.report(ms(0)).zones;
    assert_eq!((zones.len(), zones[0].what), (1, Wrong::Silent));
    let mut world = World::new();
    for _ in 0..5 {
        world.round(&|reply, _| reply.queries.clear());
    }
    assert!(
        world.prober.report(ms(0)).zones.is_empty(),
        "where the workers are silent too, it is not the zone's fault"
    );
}

#[test]
fn drops_and_tcp_are_reported_in_the_round_that_saw_them() {
    let mut world = World::new();
    world.threads.drops.store(3, Ordering::Relaxed);
    world.tcp.put(1, TcpOutcome::Ill);
    let seen = world.round(&as_it_is);
    assert_eq!(seen, [Observation { is_overloaded: true, ..WELL }, WELL]);
    let is_ill = Observation { is_tcp_well: Some(false), ..WELL };
    assert_eq!(world.round(&as_it_is), [WELL, is_ill], "once the way that TCP takes is seen to lead somewhere");
    world.tcp.put(1, TcpOutcome::Well);
    assert_eq!(world.round(&as_it_is), [WELL, Observation { is_tcp_well: Some(true), ..WELL }]);
    world.tcp.put(1, TcpOutcome::Overloaded);
    assert_eq!(world.round(&as_it_is), [WELL, WELL], "overload shows nothing about the listener");
    assert_eq!(world.round(&as_it_is), [WELL; 2]);
    let report = world.prober.report(ms(0));
    assert_eq!((report.addresses[0].drops, report.addresses[1].is_tcp_well), (3, Some(true)));
}

#[test]
fn an_address_that_cannot_be_sent_to_is_late_and_no_worker_is_replaced() {
    let mut world = World::new();
    world.refused.lock().expect("nobody panicked").extend([address(0), address(1)]);
    for _ in 0..5 {
        assert_eq!(world.round(&as_it_is), [Observation { proven: 0, late: 2, ..WELL }; 2]);
    }
    assert_eq!(*world.threads.replaced.lock().expect("nobody panicked"), [0_usize; 0]);
    assert!(world.counts().unsent >= 20);
}

#[test]
fn ids_go_round_without_confusion() {
    let mut world = World::new();
    for _ in 0..20_000 {
        assert_eq!(world.round(&as_it_is), [WELL; 2]);
    }
}

/// A round in which no canary is answered, the first address drops queries, and the workers of `moving` go on.
fn flooded(world: &mut World, moving: &[usize]) -> [Observation; 2] {
    world.threads.drops.fetch_add(100, Ordering::Relaxed);
    world.begin();
    for worker in moving {
        world.threads.progress[*worker].fetch_add(1, Ordering::Relaxed);
    }
    world.queries();
    world.now = world.prober.deadline();
    let seen = world.end();
    world.now += ms(1);
    seen
}

#[test]
fn workers_that_answer_others_in_a_flood_pay_for_the_lease_for_a_while() {
    let mut world = World::new();
    world.round(&|_, _| {});
    let proven = world.now;
    while world.now - proven < BUSY_TRUST_MAX - ms(100) {
        let seen = flooded(&mut world, &[0, 1]);
        assert!(seen[0].is_overloaded && seen[0].proven == 0, "{seen:?}");
        assert!(world.now - world.proof.last(0).expect("noted") < ms(100));
    }
    assert!(world.proof.last(1).expect("noted") <= proven, "the other address drops nothing and proves nothing");
    for _ in 0..10 {
        flooded(&mut world, &[0, 1]);
    }
    assert!(world.now - world.proof.last(0).expect("noted") > ms(300), "nobody is trusted for ever");
}

#[test]
fn a_stuck_worker_whose_socket_fills_is_no_overload() {
    let mut world = World::new();
    world.round(&|_, _| {});
    let proven = world.proof.last(0);
    for moving in [&[][..], &[0]] {
        let seen = flooded(&mut world, moving);
        assert!(!seen[0].is_overloaded, "{seen:?}");
        assert_eq!(world.proof.last(0), proven);
    }
}
