//! Once in a while each service address is asked over TCP, by a thread of its own so that no round waits for it. Many
//! take turns while all are well ([`Turns`]).
//!
//! Only TCP is judged here: a reply of this server to our question, whatever its RCODE. What zones hold is judged over
//! UDP, and a broken zone must not look like a broken listener. Nor must clients that take up all there is: the
//! question comes from a port that the server knows, and so has a permit and turns of its own; where it waits behind
//! others all the same, to be accepted, that is overload.
//!
//! It is asked from the service address itself: whatever addresses the host has, that one is there, and what leaves it
//! for itself stays in the host.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::health::judge::CLOCK_GAP_MAX;
use crate::health::question::Question;
use crate::health::{ProverSettings, ServerThreads, TcpQueue, Wrong, Zones, reply};
use crate::wire::NameRef;

/// What came of a query over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum TcpOutcome {
    /// It was answered.
    Well = 1,
    /// It was not.
    Ill = 2,
    /// It was not, since others were before it.
    Overloaded = 3,
}

/// The outcome of the last query of each address, taken by the next round.
#[derive(Debug)]
pub(super) struct TcpOutcomes {
    /// By address: a [`TcpOutcome`], or [`NONE`].
    last: Box<[AtomicU8]>,
    /// How many queries have ended.
    ended: AtomicU64,
}

impl TcpOutcomes {
    /// Takes so many addresses.
    pub(super) fn new(address_count: usize) -> Self {
        Self { last: (0..address_count).map(|_| AtomicU8::new(NONE)).collect(), ended: AtomicU64::new(0) }
    }

    /// Takes the outcome for an address out; `None` where no query ended since the last time.
    pub(super) fn take(&self, address: usize) -> Option<TcpOutcome> {
        let outcomes = [TcpOutcome::Well, TcpOutcome::Ill, TcpOutcome::Overloaded];
        let last = self.last.get(address)?.swap(NONE, Ordering::AcqRel);
        outcomes.into_iter().find(|outcome| *outcome as u8 == last)
    }

    /// Puts an outcome in.
    pub(super) fn put(&self, address: usize, outcome: TcpOutcome) {
        if let Some(cell) = self.last.get(address) {
            cell.store(outcome as u8, Ordering::Release);
        }
    }
}

/// The thread `prover-tcp`. Dropping it ends the thread, which takes at most the timeout for each address.
pub(super) struct TcpProber {
    /// What each thread begins with.
    context: TcpProbeContext,
    outcomes: Arc<TcpOutcomes>,
    /// The thread in charge, and those that were replaced and have not ended.
    threads: Vec<Thread>,
    watch: Watch,
}

/// One thread.
struct Thread {
    /// Dropped to end it.
    stop: Sender<()>,
    /// Closed when it has ended.
    ended: Receiver<()>,
}

/// Whether the thread still ends queries.
#[derive(Debug)]
struct Watch {
    /// For how long none may end.
    patience: Duration,
    /// How many had ended when it was looked at last.
    ended: u64,
    /// When that was another number, or the threads were not to blame.
    since: Duration,
    /// When it was looked at last.
    looked: Duration,
}

impl Watch {
    /// Looks at `now` whether none has ended for too long.
    fn is_silent(&mut self, now: Duration, ended: u64) -> bool {
        // Where whoever looks was away, so perhaps was the thread.
        if ended != self.ended || now.saturating_sub(self.looked) > LOOK_GAP_MAX {
            (self.ended, self.since) = (ended, now);
        }
        self.looked = now;
        now.saturating_sub(self.since) > self.patience
    }
}

impl TcpProber {
    /// Starts the thread.
    ///
    /// # Errors
    /// That no thread could be started.
    pub(super) fn start(
        settings: &ProverSettings,
        threads: Arc<dyn ServerThreads>,
        zones: Arc<dyn Zones>,
        outcomes: Arc<TcpOutcomes>,
    ) -> io::Result<Self> {
        let context = TcpProbeContext {
            addresses: settings.addresses.clone(),
            identity: settings.identity.clone(),
            timeout: settings.timeout,
            interval: settings.tcp_interval,
            threads,
            zones,
            id: settings.nonce as u16,
        };
        let patience = context.silence_max();
        let watch = Watch { patience, ended: 0, since: Duration::ZERO, looked: Duration::ZERO };
        let mut prober = Self { context, outcomes, threads: Vec::new(), watch };
        prober.start_thread()?;
        Ok(prober)
    }

    /// Looks at `now`, at least every [`LOOK_GAP_MAX`], whether the thread hangs or has ended. A new one takes over
    /// then; if too many are lost, TCP is not proven any more, which counts as a query that failed for every interval
    /// that passes.
    pub(super) fn look(&mut self, now: Duration) {
        if !self.watch.is_silent(now, self.outcomes.ended.load(Ordering::Relaxed)) {
            return;
        }
        self.threads.retain(|thread| thread.ended.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected));
        let lost_count = self.threads.len();
        let outcome =
            if lost_count > LOST_MAX { Err(io::Error::other("too many are lost")) } else { self.start_thread() };
        match outcome {
            Ok(()) => {
                self.watch.since = now;
                tracing::error!(lost_count, "the thread prover-tcp hung or ended: a new one has taken over");
            }
            Err(error) => {
                self.watch.since = now.saturating_sub(self.watch.patience).saturating_add(self.context.interval);
                tracing::error!(lost_count, %error, "the thread prover-tcp hangs, and no new one could take over: \
                    TCP is not proven");
                (0..self.context.addresses.len()).for_each(|address| self.outcomes.put(address, TcpOutcome::Ill));
            }
        }
    }

    /// Makes a thread and puts it in charge; those before it end when they wake.
    fn start_thread(&mut self) -> io::Result<()> {
        let ((stop, stopped), (ending, ended)) = (channel(), channel::<()>());
        let (context, outcomes) = (self.context.clone(), Arc::clone(&self.outcomes));
        let run = move || {
            context.run(&stopped, &outcomes);
            drop(ending);
        };
        thread::Builder::new().name("prover-tcp".to_owned()).spawn(run)?;
        for old in &mut self.threads {
            // Nobody listens at the other end of this one.
            old.stop = channel().0;
        }
        self.threads.push(Thread { stop, ended });
        Ok(())
    }
}

impl Drop for TcpProber {
    fn drop(&mut self) {
        let Some(Thread { stop, ended }) = self.threads.pop() else { return };
        drop(stop);
        if ended.recv_timeout(self.context.silence_max()) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the thread prover-tcp does not end and is left behind");
        }
    }
}

/// What a thread needs.
#[derive(Clone)]
struct TcpProbeContext {
    addresses: Vec<SocketAddr>,
    identity: Option<Vec<u8>>,
    timeout: Duration,
    interval: Duration,
    threads: Arc<dyn ServerThreads>,
    zones: Arc<dyn Zones>,
    /// The ID of the last query.
    id: u16,
}

/// Who is asked when.
///
/// While every address answered when it was last asked, [`ASKED_MAX`] of them are asked at a time, some of each family,
/// in as many turns as that takes; as soon as one did not, or was not asked yet, each is asked every time.
#[derive(Debug)]
struct Turns {
    /// The addresses' indices, by family.
    families: [Vec<usize>; 2],
    /// How many turns there are.
    count: usize,
    /// How many have been.
    turn: usize,
    /// What came of the last query to each address; `None` before it.
    last: Vec<Option<TcpOutcome>>,
}

impl Turns {
    /// Shares the addresses out.
    fn new(addresses: &[SocketAddr]) -> Self {
        let of_family = |is_ipv4| (0..addresses.len()).filter(|index| addresses[*index].is_ipv4() == is_ipv4).collect();
        let families = [of_family(true), of_family(false)];
        Self { families, count: addresses.len().div_ceil(ASKED_MAX), turn: 0, last: vec![None; addresses.len()] }
    }

    /// Returns who is asked now.
    fn next(&mut self) -> Vec<usize> {
        self.turn = self.turn.wrapping_add(1);
        if self.last.iter().any(|last| *last != Some(TcpOutcome::Well)) {
            return (0..self.last.len()).collect();
        }
        let mut asked = Vec::with_capacity(self.last.len());
        for family in &self.families {
            // A family of fewer addresses than turns has one of them in each.
            let step = self.count.min(family.len()).max(1);
            asked.extend(family.iter().skip(self.turn % step).step_by(step));
        }
        asked
    }
}

/// Why a query over TCP was not answered.
#[derive(Debug, thiserror::Error)]
enum TcpFault {
    /// Connecting failed, or took too long.
    #[error("no connection: {0}")]
    Connect(io::Error),
    /// Sending or receiving failed, or took too long.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// Something came back that is not a reply of ours.
    #[error("{0}")]
    Reply(#[from] Wrong),
    /// The query could not be written.
    #[error("{0}")]
    Query(#[from] hickory_proto::ProtoError),
}

impl TcpProbeContext {
    /// How long no query need end while the thread is well: a few intervals, and all addresses that do not answer.
    fn silence_max(&self) -> Duration {
        let addresses = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX);
        SILENT_INTERVALS_MAX * (self.interval + self.timeout.saturating_mul(addresses))
    }

    /// Asks the addresses whose turn it is every interval until `stopped` is closed.
    fn run(mut self, stopped: &Receiver<()>, outcomes: &TcpOutcomes) {
        let mut turns = Turns::new(&self.addresses);
        loop {
            for index in turns.next() {
                let outcome = self.ask_judged(index, turns.last[index]);
                outcomes.ended.fetch_add(1, Ordering::Relaxed);
                if let Some(outcome) = outcome {
                    outcomes.put(index, outcome);
                    turns.last[index] = Some(outcome);
                }
                if stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected) {
                    return;
                }
            }
            if stopped.recv_timeout(self.interval) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Asks one address and returns what is new; `None` where this thread got no CPU in time, so that silence says
    /// nothing.
    fn ask_judged(&mut self, index: usize, last: Option<TcpOutcome>) -> Option<TcpOutcome> {
        let deadline = Instant::now() + self.timeout;
        let address = self.addresses[index];
        let before = self.threads.tcp_queue(index);
        let mut stream = None;
        let error = match self.ask(address, deadline, &mut stream) {
            Ok(()) => {
                if last.is_some_and(|last| last != TcpOutcome::Well) {
                    tracing::info!(%address, "TCP answers again");
                }
                return Some(TcpOutcome::Well);
            }
            Err(error) => error,
        };
        if Instant::now() > deadline + CLOCK_GAP_MAX {
            return None;
        }
        // Looked at while the connection is still there: it may be what waits.
        let queues = before.zip(self.threads.tcp_queue(index));
        let is_overloaded = queues.is_some_and(|(before, after)| after.is_overload_since(before, stream.is_some()));
        let outcome = if is_overloaded { TcpOutcome::Overloaded } else { TcpOutcome::Ill };
        if last != Some(outcome) {
            match outcome {
                TcpOutcome::Overloaded => {
                    tracing::warn!(%address, %error, "others take up the queue of the TCP listener: overload");
                }
                TcpOutcome::Well | TcpOutcome::Ill => tracing::warn!(%address, %error, "no answer over TCP"),
            }
        }
        Some(outcome)
    }

    /// Asks one address for the SOA of the next zone, or of the root where no zone is served. The connection is left in
    /// `stream`.
    fn ask(&mut self, address: SocketAddr, deadline: Instant, stream: &mut Option<TcpStream>) -> Result<(), TcpFault> {
        let zone = self.zones.next();
        let zone = zone.as_ref().map_or(NameRef::ROOT, |(zone, _)| zone.as_ref());
        let mut question = Question::soa(zone, None)?;
        self.id = self.id.wrapping_add(1);
        let connected = connect(address, &*self.threads, deadline).map_err(TcpFault::Connect)?;
        let reply = exchange(stream.insert(connected), question.with_id(self.id), deadline)?;
        if reply.first_chunk() != Some(&self.id.to_be_bytes()) {
            return Err(Wrong::Question.into());
        }
        reply::read_any(&reply, question.asked(), self.identity.as_deref())?;
        Ok(())
    }
}

impl TcpQueue {
    /// Returns why a connection that was tried since `before` was not served: because of others (overload), or because
    /// of us. `is_connected` says whether the handshake was finished, so that it may wait in the queue.
    fn is_overload_since(self, before: Self, is_connected: bool) -> bool {
        let is_accepting = self.accepted != before.accepted;
        if !is_accepting && self.waiting > 0 && before.waiting > 0 {
            // Nobody takes anybody off the queue, whoever fills it.
            return false;
        }
        self.dropped != before.dropped || is_connected && is_accepting && self.waiting > 0
    }
}

/// Connects to an address from itself, as one whom the server expects.
fn connect(address: SocketAddr, threads: &dyn ServerThreads, deadline: Instant) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // It stands on no device while it is not announced.
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
    }
    let mut from = address;
    from.set_port(0);
    socket.bind(&SockAddr::from(from))?;
    if let Some(from) = socket.local_addr()?.as_socket() {
        threads.expect_tcp(from);
    }
    socket.set_tcp_nodelay(true)?;
    socket.connect_timeout(&SockAddr::from(address), left(deadline)?)?;
    Ok(socket.into())
}

/// Sends one query with its length in front (RFC 1035 §4.2.2) and returns the reply.
fn exchange(stream: &mut TcpStream, query: &[u8], deadline: Instant) -> io::Result<Vec<u8>> {
    stream.set_write_timeout(Some(left(deadline)?))?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    read_all(stream, &mut length, deadline)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    read_all(stream, &mut reply, deadline)?;
    Ok(reply)
}

/// Fills `buffer` before the deadline.
fn read_all(stream: &mut TcpStream, buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut buffer[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(())
}

/// The time that is left; an error once there is none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// No query ended since the last look.
const NONE: u8 = 0;

/// About so many addresses are asked over TCP at a time while all are well. A connection costs ten times what a
/// datagram does.
const ASKED_MAX: usize = 16;

/// After so many intervals in which no query ended the thread hangs.
const SILENT_INTERVALS_MAX: u32 = 3;

/// Who looks later than that whether the thread hangs was away itself. Looks follow rounds, and so does this.
const LOOK_GAP_MAX: Duration = Duration::from_secs(1);

/// The most threads that hang and are replaced.
const LOST_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::sync::Mutex;

    /// A queue with so many waiting, accepted and dropped.
    fn queue((waiting, accepted, dropped): (u32, u64, u32)) -> TcpQueue {
        TcpQueue { waiting, accepted, dropped }
    }

    #[test]
    fn a_queue_that_others_fill_is_overload_and_one_that_stands_still_is_not() {
        for (before, after, is_connected, is_overload) in [
            // Nothing came, as behind a filter; somebody else is served meanwhile.
            ((0, 5, 0), (0, 5, 0), false, false),
            ((0, 5, 0), (0, 9, 0), false, false),
            ((0, 5, 0), (1, 9, 0), false, false),
            // It waits, and nobody is accepted; others may wait as well, or find the queue full.
            ((0, 5, 0), (1, 5, 0), true, false),
            ((3, 5, 0), (4, 5, 0), true, false),
            ((4096, 5, 0), (4096, 5, 7), false, false),
            // It waits behind others, who are accepted.
            ((900, 5, 0), (900, 300, 0), true, true),
            ((4096, 5, 0), (4096, 300, 9), false, true),
            ((4096, 5, 0), (4096, 300, 9), true, true),
            // It was accepted, and not answered.
            ((0, 5, 0), (0, 6, 0), true, false),
            // A flood of handshakes that nobody finishes.
            ((0, 5, 0), (0, 5, 40), false, true),
            // Counts wrap.
            ((0, 5, u32::MAX), (0, 5, 3), false, true),
        ] {
            assert_eq!(
                queue(after).is_overload_since(queue(before), is_connected),
                is_overload,
                "{before:?} {after:?}"
            );
        }
    }

    /// So many addresses of each family.
    fn addresses(v4: u8, v6: u8) -> Vec<SocketAddr> {
        let v4 = (0..v4).map(|last| SocketAddr::from(([192, 0, 2, last], 53)));
        v4.chain((0..v6).map(|last| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()], 53)))).collect()
    }

    /// Asks whose turn it is, and all of them are well.
    fn asked(turns: &mut Turns) -> Vec<usize> {
        let asked = turns.next();
        asked.iter().for_each(|index| turns.last[*index] = Some(TcpOutcome::Well));
        asked
    }

    #[test]
    fn many_addresses_take_turns_in_which_both_families_are_asked() {
        for (v4, v6) in [(1, 0), (8, 8), (9, 8), (32, 32), (1, 63), (62, 2), (0, 64), (17, 0)] {
            let addresses = addresses(v4, v6);
            let mut turns = Turns::new(&addresses);
            assert_eq!(asked(&mut turns).len(), addresses.len(), "nothing is known of any");
            let mut counts = vec![0; addresses.len()];
            for _ in 0..addresses.len().div_ceil(ASKED_MAX) {
                let asked = asked(&mut turns);
                assert!(asked.len() <= ASKED_MAX + 2, "{v4} {v6}: {asked:?}");
                let has = |is_ipv4| asked.iter().any(|index| addresses[*index].is_ipv4() == is_ipv4);
                assert_eq!((has(true), has(false)), (v4 > 0, v6 > 0), "{v4} {v6}: {asked:?}");
                asked.iter().for_each(|index| counts[*index] += 1);
            }
            assert!(counts.iter().all(|count| *count > 0), "{v4} {v6}: {counts:?}");
        }
    }

    #[test]
    fn all_are_asked_every_time_until_whoever_failed_is_well() {
        let mut turns = Turns::new(&addresses(32, 32));
        asked(&mut turns);
        for outcome in [TcpOutcome::Ill, TcpOutcome::Overloaded] {
            let first = asked(&mut turns)[0];
            turns.last[first] = Some(outcome);
            for _ in 0..5 {
                assert_eq!(asked(&mut turns).len(), 64);
                turns.last[first] = Some(outcome);
            }
            assert_eq!((asked(&mut turns).len(), asked(&mut turns).len()), (64, 16));
        }
    }

    #[test]
    fn silence_counts_only_while_it_is_looked_for() {
        let second = Duration::from_secs(1);
        let mut watch = Watch { patience: 3 * second, ended: 0, since: Duration::ZERO, looked: Duration::ZERO };
        let mut silent = |at: f64, ended: u64| watch.is_silent(second.mul_f64(at), ended);
        assert!((1..40_u32).all(|look| !silent(f64::from(look) / 2.0, look.into())));
        assert!((40..46).all(|look| !silent(f64::from(look) / 2.0, 39)));
        assert!(silent(22.6, 39));
        assert!(!silent(90.0, 39), "whoever looks slept");
        assert!((181..186).all(|look| !silent(f64::from(look) / 2.0, 39)));
        assert!(silent(93.1, 39));
        assert!(!silent(93.2, 40));
    }

    /// Threads and zones, of which the zones hang while they are asked for, and which notes who is to be expected.
    #[derive(Default)]
    struct Fake {
        expected: Mutex<Vec<SocketAddr>>,
        hang: Mutex<()>,
    }

    impl ServerThreads for Fake {
        fn worker_count(&self) -> usize {
            1
        }
        fn progress(&self, _worker: usize) -> u64 {
            0
        }
        fn tid(&self, _worker: usize) -> Option<i32> {
            None
        }
        fn drops(&self, _address: usize) -> u64 {
            0
        }
        fn replace(&self, _worker: usize) -> io::Result<()> {
            Ok(())
        }
        fn lost(&self) -> usize {
            0
        }
        fn expect_tcp(&self, from: SocketAddr) {
            self.expected.lock().expect("nobody panicked").push(from);
        }
    }

    impl Zones for Fake {
        fn next(&self) -> Option<(crate::wire::Name, u32)> {
            drop(self.hang.lock());
            None
        }
        fn serial(&self, _zone: NameRef<'_>) -> Option<u32> {
            None
        }
    }

    /// Starts a prober of one address, asked every 10 ms.
    fn start(address: SocketAddr, fake: &Arc<Fake>) -> (TcpProber, Arc<TcpOutcomes>) {
        let settings = ProverSettings {
            interval: Duration::from_millis(50),
            timeout: Duration::from_millis(10),
            fall: 1,
            min_workers: 1,
            nonce: 7,
            identity: None,
            addresses: vec![address],
            tcp_interval: Duration::from_millis(10),
        };
        let outcomes = Arc::new(TcpOutcomes::new(1));
        let (threads, zones) = (Arc::clone(fake) as Arc<dyn ServerThreads>, Arc::clone(fake) as Arc<dyn Zones>);
        let prober = TcpProber::start(&settings, threads, zones, Arc::clone(&outcomes)).expect("a thread can be made");
        (prober, outcomes)
    }

    /// Looks in time that goes on by 20 ms a look, as much as really passes, until it is so.
    fn look_until(prober: &mut TcpProber, now: &mut Duration, mut is_so: impl FnMut(&TcpProber) -> bool) {
        for _ in 0..3000 {
            if is_so(prober) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
            *now += Duration::from_millis(20);
            prober.look(*now);
        }
        panic!("not within a minute");
    }

    #[test]
    fn the_thread_asks_from_the_address_itself_and_says_from_where() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = listener.local_addr().expect("bound");
        let fake = Arc::new(Fake::default());
        let (_prober, _outcomes) = start(address, &fake);
        let (_stream, from) = listener.accept().expect("somebody comes");
        assert_eq!(from.ip(), address.ip());
        assert!(fake.expected.lock().expect("nobody panicked").contains(&from));
    }

    #[test]
    fn a_thread_that_hangs_is_replaced_and_where_that_does_not_help_tcp_is_not_proven() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let fake = Arc::new(Fake::default());
        let (mut prober, outcomes) = start(listener.local_addr().expect("bound"), &fake);
        let mut now = Duration::ZERO;
        look_until(&mut prober, &mut now, |_| outcomes.ended.load(Ordering::Relaxed) > 2);
        let hang = fake.hang.lock().expect("nobody panicked");
        look_until(&mut prober, &mut now, |prober| prober.threads.len() == LOST_MAX + 1);
        // The last outcome is taken; from here on there is none.
        let _last = outcomes.take(0);
        assert_eq!(outcomes.take(0), None);
        look_until(&mut prober, &mut now, |_| outcomes.take(0) == Some(TcpOutcome::Ill));
        assert_eq!(prober.threads.len(), LOST_MAX + 1);
        drop(hang);
        let ended = outcomes.ended.load(Ordering::Relaxed);
        look_until(&mut prober, &mut now, |_| outcomes.ended.load(Ordering::Relaxed) > ended + 20);
        assert!(!prober.watch.is_silent(now, outcomes.ended.load(Ordering::Relaxed)));
    }
}
