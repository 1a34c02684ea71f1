//! The prover's threads against responders that are written with `hickory-proto`: over loopback sockets and TCP, and
//! over a pair of datagram sockets that stands for a tun device, whose packets are read and written here.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use fated::health::{
    ProbePath, Prover, ProverSettings, SOURCE_PORT, SOURCE_V4, SOURCE_V6, ServerThreads, Sources, WorkerState, Wrong,
    Zones,
};
use fated::policy::{Observation, Proof, SharedFault};
use fated::wire::message::option;
use fated::wire::{Name, NameRef};
use hickory_proto::op::{Edns, Message, OpCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption, NSIDPayload};
use hickory_proto::rr::rdata::{SOA, TXT};
use hickory_proto::rr::{Name as HickoryName, RData, Record, RecordType};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the responders behave, and what is asked of the threads.
#[derive(Default)]
struct World {
    /// Bit `n`: worker `n` does not answer.
    silent: AtomicU32,
    /// Whether SOA records carry a serial that was never served.
    has_wrong_serial: AtomicBool,
    /// Whether TCP connections are closed without an answer.
    is_tcp_ill: AtomicBool,
    /// Workers that were replaced; they answer again.
    replaced: Mutex<Vec<usize>>,
    /// Queries that came.
    queries: AtomicUsize,
}

/// The serial of the one zone.
const SERIAL: u32 = 7;
/// The secret number.
const NONCE: u64 = 0x0102_0304_0506_0708;

impl ServerThreads for World {
    fn worker_count(&self) -> usize {
        2
    }

    fn progress(&self, _: usize) -> u64 {
        0
    }

    fn tid(&self, _: usize) -> Option<i32> {
        None
    }

    fn drops(&self, _: usize) -> u64 {
        0
    }

    fn replace(&self, worker: usize) -> io::Result<()> {
        self.silent.fetch_and(!(1 << worker), Ordering::Relaxed);
        self.replaced.lock().expect("nobody panicked").push(worker);
        Ok(())
    }

    fn lost(&self) -> usize {
        0
    }
}

impl Zones for World {
    fn next(&self) -> Option<(Name, u32)> {
        Some(("example.".parse().ok()?, SERIAL))
    }

    fn serial(&self, _: NameRef<'_>) -> Option<u32> {
        Some(SERIAL)
    }
}

impl World {
    /// Answers a query as a worker would; `None` where that worker is silent.
    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        let query = Message::from_vec(query).ok()?;
        let asked = query.queries.first()?.clone();
        let option = query.edns.as_ref()?.option(EdnsCode::Unknown(option::STEER));
        // Behind the reply, as workers put it.
        let mut token = Vec::new();
        let worker = match option {
            Some(EdnsOption::Unknown(_, value)) => {
                assert_eq!((value.len(), &value[8..16]), (18, &NONCE.to_be_bytes()[..]));
                token = value[..8].to_vec();
                u16::from_be_bytes([value[16], value[17]])
            }
            _ => 0,
        };
        let is_silent = option.is_some() && self.silent.load(Ordering::Relaxed) & (1 << worker) != 0;
        let serial = SERIAL + u32::from(self.has_wrong_serial.load(Ordering::Relaxed));
        let data = match asked.query_type() {
            RecordType::TXT => RData::TXT(TXT::new(vec![worker.to_string()])),
            _ => RData::SOA(SOA::new(HickoryName::root(), HickoryName::root(), serial, 1, 1, 1, 1)),
        };
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new("fra1").ok()?));
        let mut record = Record::from_rdata(asked.name().clone(), 0, data);
        record.dns_class = asked.query_class();
        let mut reply = Message::response(query.metadata.id, OpCode::Query);
        reply.metadata.authoritative = true;
        reply.add_query(asked).add_answer(record).set_edns(edns);
        if is_silent { None } else { Some([reply.to_vec().ok()?, token].concat()) }
    }

    /// Answers over UDP until an empty datagram comes.
    fn serve_udp(&self, socket: &UdpSocket) {
        let mut buffer = [0; 2048];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).expect("the socket is open");
            if length == 0 {
                return;
            }
            if let Some(reply) = self.answer(&buffer[..length]) {
                socket.send_to(&reply, from).expect("loopback takes it");
            }
        }
    }

    /// Answers one query of each connection until one comes that ends without any.
    fn serve_tcp(&self, listener: &TcpListener) {
        loop {
            let (stream, _) = listener.accept().expect("the socket is open");
            // A connection that the prover gave up is no fault of the responder.
            if let Ok(0) = self.serve_stream(stream) {
                return;
            }
        }
    }

    /// Answers one query; returns how many octets it had.
    fn serve_stream(&self, mut stream: TcpStream) -> io::Result<usize> {
        let mut length = [0; 2];
        if stream.read(&mut length[..1])? == 0 {
            return Ok(0);
        }
        stream.read_exact(&mut length[1..])?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query)?;
        if let Some(reply) = self.answer(&query).filter(|_| !self.is_tcp_ill.load(Ordering::Relaxed)) {
            stream.write_all(&[&(reply.len() as u16).to_be_bytes(), &reply[..]].concat())?;
        }
        Ok(query.len())
    }
}

/// A prover, what it reports, and its surroundings.
struct Run {
    prover: Prover,
    rounds: Receiver<(Duration, Vec<Observation>)>,
    proof: Arc<Proof>,
    origin: Instant,
}

impl Run {
    fn start(world: &Arc<World>, path: ProbePath, addresses: &[SocketAddr], timeout: Duration) -> Self {
        let (judged, rounds) = channel();
        let proof = Arc::new(Proof::new(addresses.len()));
        let settings = ProverSettings {
            interval: Duration::from_millis(50),
            timeout,
            fall: 2,
            min_workers: 2,
            nonce: NONCE,
            identity: Some(b"fra1".to_vec()),
            addresses: addresses.to_vec(),
            tcp_interval: Duration::from_millis(50),
        };
        let (threads, zones) = (Arc::clone(world) as Arc<dyn ServerThreads>, Arc::clone(world) as Arc<dyn Zones>);
        let on_round = Box::new(move |now, seen: &[Observation]| _ = judged.send((now, seen.to_vec())));
        let origin = Instant::now();
        let prover = Prover::start(settings, path, threads, zones, Arc::clone(&proof), origin, on_round);
        Self { prover: prover.expect("the prover starts"), rounds, proof, origin }
    }

    /// Waits for a round of which `is_it` holds and returns its end.
    fn wait_for(&self, what: &str, is_it: impl Fn(&[Observation]) -> bool) -> Duration {
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < PATIENCE, "no round showed this: {what}");
            let (now, seen) = self.rounds.recv_timeout(PATIENCE).expect("rounds go on");
            if is_it(&seen) {
                return now;
            }
        }
    }
}

/// Binds UDP and TCP to one port that the kernel chooses.
fn bind_both(address: IpAddr) -> (UdpSocket, TcpListener) {
    let tries = (0..50).find_map(|_| {
        let listener = TcpListener::bind((address, 0)).ok()?;
        let socket = UdpSocket::bind(listener.local_addr().ok()?).ok()?;
        Some((socket, listener))
    });
    tries.expect("a port is free for UDP and TCP")
}

/// Runs `test` with responders on both loopback addresses.
fn with_responders(test: impl FnOnce(&Arc<World>, &[SocketAddr])) {
    let world = Arc::new(World::default());
    let bound = ["127.0.0.1", "::1"].map(|address| bind_both(address.parse().expect("an address")));
    let addresses = bound.each_ref().map(|(socket, _)| socket.local_addr().expect("it is bound"));
    thread::scope(|scope| {
        for (socket, listener) in &bound {
            let world = &world;
            scope.spawn(move || world.serve_udp(socket));
            scope.spawn(move || world.serve_tcp(listener));
        }
        // The responders end even if the test fails, so that its message is seen.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&world, &addresses)));
        for (socket, _) in &bound {
            let address = socket.local_addr().expect("it is bound");
            socket.send_to(&[], address).expect("loopback takes it");
            drop(TcpStream::connect(address).expect("it listens"));
        }
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

#[test]
fn both_families_are_proven_over_udp_and_tcp() {
    with_responders(|world, addresses| {
        let run = Run::start(world, ProbePath::Socket, addresses, PATIENCE);
        let now = run.wait_for("all well", |seen| seen.iter().all(|seen| seen.proven == 2));
        for address in 0..2 {
            let proven = run.proof.last(address).expect("it is proven");
            assert!(proven <= now && proven < run.origin.elapsed());
        }
        run.wait_for("TCP well", |seen| seen[0].is_tcp_well == Some(true));
        run.wait_for("TCP well", |seen| seen[1].is_tcp_well == Some(true));
        let report = run.prover.report();
        assert!(report.workers.iter().all(|worker| worker.state == WorkerState::Well && worker.latency.is_some()));
        assert_eq!((report.counts.wrong, report.counts.strays, report.zones.len()), (0, 0, 0));
        drop(run);
        let asked = world.queries.load(Ordering::Relaxed);
        let again = Run::start(world, ProbePath::Socket, addresses, PATIENCE);
        again.wait_for("all well", |seen| seen.iter().all(|seen| seen.proven == 2));
        assert!(world.queries.load(Ordering::Relaxed) >= asked + 4);
    });
}

#[test]
fn a_silent_worker_is_replaced_and_proven_again() {
    with_responders(|world, addresses| {
        let run = Run::start(world, ProbePath::Socket, addresses, Duration::from_millis(500));
        run.wait_for("all well", |seen| seen.iter().all(|seen| seen.proven == 2));
        world.silent.store(1 << 1, Ordering::Relaxed);
        run.wait_for("one late", |seen| seen.iter().all(|seen| (seen.proven, seen.late) == (1, 1)));
        run.wait_for("all well again", |seen| seen.iter().all(|seen| seen.proven == 2));
        assert_eq!(*world.replaced.lock().expect("nobody panicked"), [1]);
        assert_eq!(run.prover.report().workers[1].repairs, 1);
    });
}

#[test]
fn a_wrong_serial_is_the_zones_fault_and_a_dead_listener_that_of_tcp() {
    with_responders(|world, addresses| {
        let run = Run::start(world, ProbePath::Socket, addresses, Duration::from_secs(5));
        world.has_wrong_serial.store(true, Ordering::Relaxed);
        run.wait_for("a fault of a zone", |seen| seen[0].shared == Some(SharedFault::Zone) && seen[0].proven == 2);
        assert_eq!(run.prover.report().zones[0].what, Wrong::Serial(SERIAL + 1));
        run.wait_for("TCP is well all the same", |seen| seen[0].is_tcp_well == Some(true));
        world.has_wrong_serial.store(false, Ordering::Relaxed);
        run.wait_for("no fault", |seen| seen[0].shared.is_none());
        world.is_tcp_ill.store(true, Ordering::Relaxed);
        run.wait_for("TCP ill", |seen| seen[1].is_tcp_well == Some(false) && seen[1].proven == 2);
        world.is_tcp_ill.store(false, Ordering::Relaxed);
        run.wait_for("TCP well again", |seen| seen[1].is_tcp_well == Some(true));
    });
}

/// Reads a query's packet and writes the reply's.
fn answer_packet(world: &World, packet: &[u8]) -> Option<Vec<u8>> {
    let sliced = SlicedPacket::from_ip(packet).ok()?;
    let TransportSlice::Udp(udp) = sliced.transport? else { return None };
    assert_eq!(udp.source_port(), SOURCE_PORT);
    let builder = match sliced.net? {
        NetSlice::Ipv4(ip) => {
            let ip = ip.header();
            assert_eq!(ip.source_addr(), SOURCE_V4);
            assert_eq!(ip.header_checksum(), ip.to_header().calc_header_checksum());
            PacketBuilder::ipv4(ip.destination(), ip.source(), 64)
        }
        NetSlice::Ipv6(ip) => {
            let ip = ip.header();
            assert_eq!(ip.source_addr(), SOURCE_V6);
            PacketBuilder::ipv6(ip.destination(), ip.source(), 64)
        }
        NetSlice::Arp(_) => return None,
    };
    let reply = world.answer(udp.payload())?;
    let mut packet = Vec::new();
    builder.udp(udp.destination_port(), udp.source_port()).write(&mut packet, &reply).ok()?;
    Some(packet)
}

/// Ends a responder, also when the test fails.
struct Ender<'a>(&'a AtomicBool);

impl Drop for Ender<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn packets_through_a_tun_prove_both_families_and_strays_are_counted() {
    let world = Arc::new(World::default());
    let (device, kernel) = UnixDatagram::pair().expect("a pair can be made");
    kernel.set_read_timeout(Some(Duration::from_millis(20))).expect("it can be set");
    let addresses = ["192.0.2.53:53", "[2001:db8::53]:53"].map(|address| address.parse().expect("an address"));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let serve = || {
            let mut packet = [0; 4096];
            while !is_over.load(Ordering::Relaxed) {
                let Ok(length) = kernel.recv(&mut packet) else { continue };
                // The prover may have stopped in between; then nobody misses the reply.
                _ = kernel.send(b"\x45stray");
                if let Some(reply) = answer_packet(&world, &packet[..length]) {
                    _ = kernel.send(&reply);
                }
            }
        };
        scope.spawn(serve);
        let _ender = Ender(&is_over);
        let run = Run::start(
            &world,
            ProbePath::Tun(OwnedFd::from(device), Sources::default()),
            &addresses,
            Duration::from_secs(5),
        );
        run.wait_for("all well", |seen| seen.iter().all(|seen| seen.proven == 2));
        run.wait_for("a second round", |seen| seen.iter().all(|seen| seen.proven == 2));
        let report = run.prover.report();
        assert!(report.counts.strays >= 8 && report.counts.wrong == 0, "{:?}", report.counts);
    });
}

/// How long the thread named `prover` was on a CPU.
fn prover_cpu_time() -> Option<Duration> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let is_prover =
        |task: &std::path::Path| std::fs::read_to_string(task.join("comm")).is_ok_and(|it| it == "prover\n");
    let task = tasks.filter_map(|task| Some(task.ok()?.path())).find(|task| is_prover(task))?;
    let text = std::fs::read_to_string(task.join("schedstat")).ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

/// Ignored: it measures, and other tests' provers would be measured too. Run it alone.
#[test]
#[ignore = "a measurement, to be run alone"]
fn the_prover_takes_little_of_a_cpu() {
    with_responders(|world, addresses| {
        let run = Run::start(world, ProbePath::Socket, addresses, Duration::from_millis(50));
        run.wait_for("all well", |seen| seen.iter().all(|seen| seen.proven == 2));
        let (start, before) = (Instant::now(), prover_cpu_time().expect("the thread is there"));
        let asked = world.queries.load(Ordering::Relaxed);
        for _ in 0..200 {
            run.rounds.recv_timeout(PATIENCE).expect("rounds go on");
        }
        let spent = prover_cpu_time().expect("the thread is there") - before;
        let share = spent.as_secs_f64() / start.elapsed().as_secs_f64();
        let asked = world.queries.load(Ordering::Relaxed) - asked;
        eprintln!(
            "{asked} queries, {spent:?} of CPU, {:.2} % of one, {:?}",
            share * 100.0,
            run.prover.report().latency
        );
        assert!(share < 0.05, "the prover took {share} of a CPU");
    });
}
