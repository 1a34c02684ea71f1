//! The serving layer over real sockets on loopback: every promise about transports, limits, publishing and stopping.

mod common;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use arc_swap::ArcSwap;
use common::message::{Query, RD};
use fated::answer::{Snapshot, Transport};
use fated::metrics::Metrics;
use fated::serve::{self, BindCause, BindError, Running, TcpLimits};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Lets one test run at a time: they count threads, descriptors and memory of this process.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server on loopback.
struct Server {
    /// The threads.
    running: Running,
    /// Where it listens, as asked for.
    addresses: Vec<SocketAddr>,
    /// What it answers from.
    snapshot: Arc<ArcSwap<Snapshot>>,
}

impl Server {
    /// Serves nothing on `addresses`: every question is refused.
    fn start(addresses: &[&str], workers: usize, limits: &TcpLimits) -> Self {
        let asked: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().expect("a socket address")).collect();
        let bound = serve::bind(&asked, workers, limits).expect("loopback can be bound");
        let addresses = bound.local_addresses();
        let snapshot: Arc<ArcSwap<Snapshot>> = Arc::default();
        let running = bound.start(Arc::clone(&snapshot)).expect("threads can be made");
        Self { running, addresses, snapshot }
    }

    /// Serves on one IPv4 address.
    fn plain(limits: &TcpLimits) -> Self {
        Self::start(&["127.0.0.1:0"], 2, limits)
    }

    /// The first address.
    fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Connects over TCP.
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream
    }
}

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A query for `www.example. A`.
fn query(id: u16) -> Vec<u8> {
    Query { flags: RD, ..Query::new(b"\x03www\x07example\x00", 1) }.encode(id)
}

/// The same with a length in front.
fn framed(id: u16) -> Vec<u8> {
    let query = query(id);
    [&(query.len() as u16).to_be_bytes()[..], &query].concat()
}

/// Asserts that `reply` refuses query `id`.
fn assert_refused(reply: &[u8], id: u16) {
    assert!(reply.len() >= 12, "{reply:?}");
    assert_eq!(u16::from_be_bytes([reply[0], reply[1]]), id);
    assert_eq!((reply[2] & 0x80, reply[3] & 0x0F), (0x80, 5), "{reply:?}");
}

/// A UDP client that does not wait for ever.
fn udp_client(address: &str) -> UdpSocket {
    let client = UdpSocket::bind(address).expect("loopback is there");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    client
}

/// Asks over UDP and asserts that the address that was asked answers.
fn assert_udp_answers(client: &UdpSocket, server: SocketAddr, id: u16) {
    client.send_to(&query(id), server).expect("loopback takes it");
    let mut reply = [0; 4096];
    let (length, source) = client.recv_from(&mut reply).expect("an answer comes");
    assert_eq!(source, server);
    assert_refused(&reply[..length], id);
}

/// Reads one reply from a stream.
fn read_reply(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut prefix = [0; 2];
    stream.read_exact(&mut prefix)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(prefix))];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}

/// Asks over TCP.
fn assert_tcp_answers(stream: &mut TcpStream, id: u16) {
    stream.write_all(&framed(id)).expect("the connection is open");
    assert_refused(&read_reply(stream).expect("an answer comes"), id);
}

/// Asserts that the server has closed the connection.
fn assert_closed(stream: &mut TcpStream) {
    match stream.read(&mut [0; 16]) {
        Ok(count) => assert_eq!(count, 0, "nothing more comes"),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}"),
    }
}

/// Sums a family over all its labels.
fn total(metrics: &Metrics, name: &str) -> u64 {
    metrics.samples().iter().filter(|sample| sample.name == name).map(|sample| sample.value).sum()
}

/// Waits until `claim` holds.
fn wait_until(what: &str, mut claim: impl FnMut() -> bool) {
    let start = Instant::now();
    while !claim() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Sends `count` queries, never more than 32 unanswered, and returns how many were answered.
fn flood(server: SocketAddr, count: u16) -> usize {
    let client = udp_client("127.0.0.1:0");
    let mut reply = [0; 4096];
    let mut answered = 0;
    for start in (0..count).step_by(32) {
        let ids = start..count.min(start + 32);
        for id in ids.clone() {
            client.send_to(&query(id), server).expect("loopback takes it");
        }
        for _ in ids {
            let Ok(length) = client.recv(&mut reply) else { return answered };
            assert_eq!((length >= 12, reply[3] & 0x0F), (true, 5));
            answered += 1;
        }
    }
    answered
}

/// The resident memory of this process.
fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/statm").expect("Linux shows it");
    let pages: usize = status.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("the second word");
    pages * 4096
}

/// Finds the thread of this process that has this name.
fn find_thread(name: &str) -> Option<std::path::PathBuf> {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux shows it");
    let has_name =
        |path: &std::path::PathBuf| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
    tasks.flatten().map(|entry| entry.path()).find(has_name)
}

#[test]
fn many_addresses_of_both_families_answer_over_both_transports() {
    let _turn = turn();
    let mut asked = vec!["127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"];
    if UdpSocket::bind("[::1]:0").is_ok() {
        asked.push("[::1]:0");
    } else {
        eprintln!("SKIPPED in part: this host does not have ::1");
    }
    let server = Server::start(&asked, 2, &TcpLimits::default());
    for (index, &address) in server.addresses.iter().enumerate() {
        let client = udp_client(if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
        for id in 0..50 {
            assert_udp_answers(&client, address, id);
        }
        let mut stream = TcpStream::connect(address).expect("it listens");
        assert_tcp_answers(&mut stream, index as u16);
    }
    assert_eq!(total(server.running.metrics(), "fated_queries_total"), server.addresses.len() as u64 * 51);
    server.running.stop();
}

#[test]
fn a_reply_leaves_from_the_address_that_was_asked() {
    let _turn = turn();
    let server = Server::start(&["0.0.0.0:0"], 2, &TcpLimits::default());
    let client = udp_client("127.0.0.1:0");
    for last in 1..=20 {
        let asked = SocketAddr::from((Ipv4Addr::new(127, 0, 7, last), server.address().port()));
        assert_udp_answers(&client, asked, u16::from(last));
    }
    server.running.stop();
    if UdpSocket::bind("[::1]:0").is_err() {
        return eprintln!("SKIPPED in part: this host does not have ::1");
    }
    let server = Server::start(&["[::]:0"], 2, &TcpLimits::default());
    let asked = SocketAddr::new("::1".parse::<IpAddr>().expect("an address"), server.address().port());
    assert_udp_answers(&udp_client("[::1]:0"), asked, 7);
    // IPV6_V6ONLY: the IPv4 side of the port stays free for others.
    UdpSocket::bind(("0.0.0.0", asked.port())).expect("the IPv6 wildcard does not take IPv4");
    server.running.stop();
}

#[test]
fn a_link_local_address_answers_on_its_link() {
    let _turn = turn();
    let table = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let Some(line) = table.lines().find(|line| line.starts_with("fe80")) else {
        return eprintln!("SKIPPED: no interface of this host has a link-local address");
    };
    let mut words = line.split_whitespace();
    let address = u128::from_str_radix(words.next().expect("an address"), 16).expect("hexadecimal");
    let scope = u32::from_str_radix(words.next().expect("an index"), 16).expect("hexadecimal");
    let own = SocketAddr::V6(SocketAddrV6::new(address.into(), 0, 0, scope));
    for wildcard in [false, true] {
        let asked = if wildcard { "[::]:0".parse().expect("an address") } else { own };
        let bound = serve::bind(&[asked], 1, &TcpLimits::default()).expect("the address is ours");
        let mut target = own;
        target.set_port(bound.local_addresses()[0].port());
        let running = bound.start(Arc::default()).expect("threads can be made");
        let client = UdpSocket::bind(own).expect("the address is ours");
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        assert_udp_answers(&client, target, 9);
        running.stop();
    }
}

#[test]
fn an_address_that_is_taken_is_an_error_even_where_the_other_side_shares() {
    let _turn = turn();
    let limits = TcpLimits::default();
    let sharing = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("descriptors are left");
    sharing.set_reuse_port(true).expect("the option is there");
    sharing.bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)))).expect("loopback is there");
    let address = sharing.local_addr().expect("bound").as_socket().expect("an IP address");
    let error = serve::bind(&[address], 2, &limits).expect_err("it is taken");
    assert_eq!(error, BindError { address, transport: Transport::Udp, cause: BindCause::Taken });

    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = listener.local_addr().expect("bound");
    let error = serve::bind(&[address], 2, &limits).expect_err("it is taken");
    assert_eq!(error, BindError { address, transport: Transport::Tcp, cause: BindCause::Taken });
    assert!(!error.cause.is_absence());
    drop(listener);
    serve::bind(&[address], 2, &limits).expect("nothing stayed bound after the error");

    let server = Server::plain(&limits);
    let error = serve::bind(&[server.address()], 2, &limits).expect_err("a second server is refused");
    assert_eq!(error.cause, BindCause::Taken);
    let wildcard = SocketAddr::from((Ipv4Addr::UNSPECIFIED, server.address().port()));
    assert_eq!(serve::bind(&[wildcard], 1, &limits).expect_err("so is the wildcard").cause, BindCause::Taken);
    server.running.stop();
}

#[test]
fn nobody_joins_the_addresses_that_are_served() {
    let _turn = turn();
    let limits = TcpLimits::default();
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!(
            "*** SKIPPED nobody_joins_the_addresses_that_are_served: the owner of a socket is root's to change ***"
        );
        return;
    }
    let loopback: [(IpAddr, IpAddr); 2] = [
        (Ipv4Addr::LOCALHOST.into(), Ipv4Addr::UNSPECIFIED.into()),
        (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::UNSPECIFIED.into()),
    ];
    for (own, wildcard) in loopback {
        let bound = serve::bind(&[SocketAddr::new(own, 0)], 3, &limits).expect("loopback has free ports");
        let port = bound.local_addresses()[0].port();
        for (ip, is_address_reused) in [(own, false), (own, true), (wildcard, false), (wildcard, true)] {
            let address = SocketAddr::new(ip, port);
            let stranger = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP));
            let stranger = stranger.expect("descriptors are left");
            stranger.set_reuse_port(true).expect("the option is there");
            stranger.set_reuse_address(is_address_reused).expect("the option is there");
            let error = stranger.bind(&address.into()).expect_err("a stranger would take a part of the queries");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{address}");
        }
    }
}

#[test]
fn workers_have_names_and_one_cpu_each() {
    let _turn = turn();
    let server = Server::start(&["127.0.0.1:0"], 5, &TcpLimits::default());
    for index in 0..5 {
        let mut task = None;
        wait_until("the thread has its name", || {
            task = find_thread(&format!("udp-{index}"));
            task.is_some()
        });
        let status_path = task.expect("it was found").join("status");
        wait_until("the thread is pinned", || {
            let status = fs::read_to_string(&status_path).expect("the thread lives");
            let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            line.expect("Linux shows it").trim().parse::<usize>().is_ok()
        });
    }
    wait_until("TCP threads have names", || find_thread("tcp-0").is_some() && find_thread("tcp-3").is_some());
    server.running.stop();
    // A joined channel means that the thread's work is over; the kernel removes it a moment later.
    wait_until("no worker is left", || find_thread("udp-0").is_none() && find_thread("tcp-0").is_none());
}

#[test]
fn all_workers_of_a_group_get_their_share() {
    let _turn = turn();
    let server = Server::plain(&TcpLimits::default());
    for id in 0..200 {
        assert_udp_answers(&udp_client("127.0.0.1:0"), server.address(), id);
    }
    for block in &server.running.metrics().udp() {
        assert!(block.answers.queries.value() > 20, "200 ports hash to both workers");
        assert!(block.batches.value() > 0);
        assert_eq!(block.answers.replies(), block.answers.queries.value());
    }
    server.running.stop();
}

#[test]
fn a_thousand_pipelined_queries_in_one_write_are_all_answered_in_order() {
    let _turn = turn();
    let server = Server::plain(&TcpLimits::default());
    let mut stream = server.connect();
    stream.write_all(&(0..1000).flat_map(framed).collect::<Vec<_>>()).expect("the connection is open");
    for id in 0..1000 {
        assert_refused(&read_reply(&mut stream).expect("an answer comes"), id);
    }
    stream.shutdown(Shutdown::Write).expect("the connection is open");
    assert_closed(&mut stream);
    server.running.stop();
}

#[test]
fn queries_that_come_octet_by_octet_are_answered() {
    let _turn = turn();
    let server = Server::plain(&TcpLimits::default());
    let mut stream = server.connect();
    stream.set_nodelay(true).expect("the option is there");
    for id in 0..20 {
        for octet in framed(id) {
            stream.write_all(&[octet]).expect("the connection is open");
        }
        assert_refused(&read_reply(&mut stream).expect("an answer comes"), id);
    }
    server.running.stop();
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    let _turn = turn();
    let limits = TcpLimits { io_timeout: Duration::from_millis(300), ..TcpLimits::default() };
    let server = Server::plain(&limits);
    let mut stream = server.connect();
    stream.set_write_timeout(Some(Duration::from_millis(50))).expect("a timeout can be set");
    let queries: Vec<u8> = (0..2000).flat_map(framed).collect();
    // Writing goes on until the server has given the connection up; a write may stop in the middle of a query.
    wait_until("the slow reader is dropped", || {
        let _written = stream.write(&queries);
        total(server.running.metrics(), "fated_tcp_write_timeouts_total") == 1
    });
    assert_tcp_answers(&mut server.connect(), 1);
    server.running.stop();
}

#[test]
fn idle_and_half_said_connections_are_closed_and_told_apart() {
    let _turn = turn();
    let short = Duration::from_millis(100);
    let server = Server::plain(&TcpLimits { idle_timeout: short, io_timeout: short, ..TcpLimits::default() });
    let mut idle = server.connect();
    assert_closed(&mut idle);
    let metrics = server.running.metrics();
    wait_until("it is counted", || total(metrics, "fated_tcp_idle_timeouts_total") == 1);
    assert_eq!(total(metrics, "fated_tcp_read_timeouts_total"), 0);

    let mut slow = server.connect();
    let start = Instant::now();
    // One octet now and then does not win more time for the message that was begun.
    for octet in framed(1).into_iter().cycle().take(20) {
        if slow.write_all(&[octet]).is_err() || start.elapsed() > PATIENCE {
            break;
        }
        thread::sleep(Duration::from_millis(40));
    }
    wait_until("it is counted", || total(metrics, "fated_tcp_read_timeouts_total") == 1);
    wait_until("none is open", || total(metrics, "fated_tcp_connections_open") == 0);
    server.running.stop();
}

#[test]
fn a_message_without_a_header_closes_the_connection_after_the_answers_before() {
    let _turn = turn();
    let server = Server::plain(&TcpLimits::default());
    for length in [0u16, 11] {
        let mut stream = server.connect();
        let mut octets = framed(5);
        octets.extend_from_slice(&length.to_be_bytes());
        stream.write_all(&octets).expect("the connection is open");
        assert_refused(&read_reply(&mut stream).expect("an answer comes"), 5);
        assert_closed(&mut stream);
    }
    assert_eq!(total(server.running.metrics(), "fated_tcp_malformed_total"), 2);
    server.running.stop();
}

/// Connects from an address of loopback.
fn connect_from(source: [u8; 4], server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("descriptors are left");
    socket.bind(&SockAddr::from(SocketAddr::from((source, 0)))).expect("loopback has it");
    socket.connect(&SockAddr::from(server)).expect("it listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream
}

#[test]
fn whatever_limit_silent_clients_fill_a_new_client_is_served_at_once() {
    let _turn = turn();
    let limits = |clients_max, clients_per_network_max, clients_per_address_max| TcpLimits {
        clients_max,
        clients_per_network_max,
        clients_per_address_max,
        idle_timeout: Duration::from_secs(300),
        ..TcpLimits::default()
    };
    // The limits; who fills them; who comes then.
    for (limits, silent, newcomer) in [
        (limits(9, 9, 3), [127, 0, 0, 1], [127, 0, 0, 1]),
        (limits(9, 3, 3), [127, 0, 0, 1], [127, 0, 0, 2]),
        (limits(3, 3, 3), [127, 0, 0, 1], [127, 1, 0, 1]),
        (limits(1, 1, 1), [127, 0, 0, 1], [127, 1, 0, 1]),
    ] {
        let server = Server::plain(&limits);
        let metrics = server.running.metrics();
        let count = limits.clients_per_address_max;
        let mut streams: Vec<TcpStream> = (0..count).map(|_| connect_from(silent, server.address())).collect();
        wait_until("all are accepted", || total(metrics, "fated_tcp_connections_total") == count as u64);
        // Whoever has asked last has waited least.
        for stream in streams.iter_mut().rev() {
            assert_tcp_answers(stream, 1);
        }
        for round in 1..=count {
            let mut new = connect_from(newcomer, server.address());
            assert_tcp_answers(&mut new, 2);
            assert_closed(&mut streams.pop().expect("one for each round"));
            assert_eq!(total(metrics, "fated_tcp_evicted_total"), round as u64, "{limits:?}");
            for stream in streams.iter_mut().rev() {
                assert_tcp_answers(stream, 3);
            }
            // It goes again, so that the next one finds all connections taken by those who were there before.
            drop(new);
            wait_until("it is gone", || total(metrics, "fated_tcp_connections_open") < count as u64);
            streams.insert(0, connect_from(silent, server.address()));
            assert_tcp_answers(&mut streams[0], 4);
        }
        assert_eq!(total(metrics, "fated_tcp_refused_total"), 0);
        server.running.stop();
    }
}

#[test]
fn thousands_of_idle_connections_do_no_harm() {
    let _turn = turn();
    let open_files = fated::sys::limits::raise_open_files().expect("the limit can be read");
    // Both ends of each connection are in this process.
    let count = usize::try_from(open_files.saturating_sub(1000) / 2).unwrap_or(usize::MAX).min(10_000);
    eprintln!("{count} idle connections, of 10000 wished for (RLIMIT_NOFILE {open_files})");
    assert!(count > 0, "RLIMIT_NOFILE leaves room for this test");
    let limits = TcpLimits {
        clients_per_network_max: 16_384,
        clients_per_address_max: 16_384,
        idle_timeout: Duration::from_secs(300),
        ..TcpLimits::default()
    };
    let server = Server::plain(&limits);
    assert_tcp_answers(&mut server.connect(), 0);
    let before = resident_bytes();
    let mut idle = Vec::with_capacity(count);
    for _ in 0..count {
        idle.push(server.connect());
    }
    wait_until("all are accepted", || total(server.running.metrics(), "fated_tcp_connections_total") > count as u64);
    // Each has asked once, so that buffers would show.
    for (id, stream) in idle.iter_mut().enumerate() {
        assert_tcp_answers(stream, id as u16);
    }
    let grown = resident_bytes().saturating_sub(before);
    eprintln!("{} octets of memory per idle connection", grown / count);
    assert!(grown / count < 4096, "{grown} octets for {count} connections");
    assert_eq!(flood(server.address(), 5000), 5000);
    let mut stream = server.connect();
    for id in 0..500 {
        assert_tcp_answers(&mut stream, id);
    }
    assert_tcp_answers(&mut idle[count / 2], 77);
    server.running.stop();
    assert_closed(&mut idle[0]);
}

#[test]
fn publishing_during_a_load_loses_no_query_and_frees_every_old_snapshot() {
    let _turn = turn();
    let server = Server::plain(&TcpLimits::default());
    let is_over = Arc::new(AtomicBool::new(false));
    let publisher = {
        let (snapshot, is_over) = (Arc::clone(&server.snapshot), Arc::clone(&is_over));
        thread::spawn(move || {
            let mut published = 0;
            while !is_over.load(Ordering::Relaxed) {
                let old = Arc::downgrade(&snapshot.load_full());
                serve::publish(&snapshot, Arc::new(Snapshot::default()));
                assert_eq!(old.strong_count(), 0, "publishing returns when the old one is gone");
                published += 1;
            }
            published
        })
    };
    let address = server.address();
    let clients: Vec<_> = (0..3).map(|_| thread::spawn(move || flood(address, 20_000))).collect();
    let mut stream = server.connect();
    for id in 0..2000 {
        assert_tcp_answers(&mut stream, id);
    }
    for client in clients {
        assert_eq!(client.join().expect("the client does not panic"), 20_000);
    }
    is_over.store(true, Ordering::Relaxed);
    let published: u32 = publisher.join().expect("the publisher does not panic");
    assert!(published > 10, "{published}");
    server.running.stop();
}

#[test]
fn memory_does_not_grow_with_queries() {
    let _turn = turn();
    let server = Server::plain(&TcpLimits::default());
    let mut stream = server.connect();
    let burst: Vec<u8> = (0..1000).flat_map(framed).collect();
    let mut work = || {
        assert_eq!(flood(server.address(), 30_000), 30_000);
        for _ in 0..20 {
            stream.write_all(&burst).expect("the connection is open");
            for id in 0..1000 {
                assert_refused(&read_reply(&mut stream).expect("an answer comes"), id);
            }
        }
    };
    work();
    let before = resident_bytes();
    work();
    work();
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 1 << 20, "{grown} octets more after 100,000 queries");
    server.running.stop();
}

#[test]
fn odd_datagrams_are_dropped_or_refused_and_the_worker_goes_on() {
    let _turn = turn();
    let server = Server::start(&["127.0.0.1:0"], 1, &TcpLimits::default());
    let client = udp_client("127.0.0.1:0");
    let mut response = query(1);
    response[2] |= 0x80;
    for octets in [&[][..], &[1, 2, 3], &query(1)[..11], &response] {
        client.send_to(octets, server.address()).expect("loopback takes it");
    }
    let mut long = query(9);
    long.resize(5000, 0);
    client.send_to(&long, server.address()).expect("loopback takes it");
    let mut reply = [0; 4096];
    let length = client.recv(&mut reply).expect("the first answer is that to the long one");
    assert_eq!((reply[1], reply[3] & 0x0F, length), (9, 1, query(9).len()), "FORMERR with the question");
    assert_udp_answers(&client, server.address(), 10);
    let block = server.running.metrics().udp().swap_remove(0);
    assert_eq!((block.oversized.value(), block.answers.drops.value(), block.answers.replies()), (1, 4, 2));
    server.running.stop();
}

#[test]
fn a_datagram_from_port_zero_is_not_answered() {
    let _turn = turn();
    let server = Server::start(&["127.0.0.1:0"], 1, &TcpLimits::default());
    let Ok(raw) = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)) else {
        return eprintln!("SKIPPED: a raw socket needs root");
    };
    let query = query(1);
    let mut datagram = vec![0, 0];
    datagram.extend_from_slice(&server.address().port().to_be_bytes());
    datagram.extend_from_slice(&(query.len() as u16 + 8).to_be_bytes());
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(&query);
    raw.send_to(&datagram, &SockAddr::from(server.address())).expect("loopback takes it");
    let block = server.running.metrics().udp().swap_remove(0);
    wait_until("it is counted", || block.port_zero.value() == 1);
    assert_eq!((block.answers.drops.value(), block.answers.replies()), (1, 0));
    assert_udp_answers(&udp_client("127.0.0.1:0"), server.address(), 2);
    server.running.stop();
}

/// An IPv6 packet with a UDP datagram in it.
fn udp_over_ipv6(from: SocketAddrV6, to: SocketAddrV6, octets: &[u8]) -> Vec<u8> {
    let length = (octets.len() as u16 + 8).to_be_bytes();
    let mut udp = [&from.port().to_be_bytes()[..], &to.port().to_be_bytes(), &length, &[0, 0], octets].concat();
    let addresses = [from.ip().octets(), to.ip().octets()].concat();
    // The sum is over the addresses, the length, the protocol and the datagram (RFC 8200 §8.1).
    let summed = [&addresses[..], &[0, 0], &length, &[0, 0, 0, 17], &udp, &[0; 1][..udp.len() % 2]].concat();
    let sum = summed.chunks(2).fold(0, |sum: u32, pair| sum + u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum = !((sum & 0xFFFF) + (sum >> 16)) as u16;
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    [&[0x60, 0, 0, 0][..], &length, &[17, 64], &addresses, &udp].concat()
}

#[test]
fn a_datagram_from_no_address_is_not_answered() {
    let _turn = turn();
    let server = Server::start(&["[::1]:0"], 1, &TcpLimits::default());
    let Ok(raw) = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))) else {
        return eprintln!("SKIPPED: a raw socket needs root");
    };
    let SocketAddr::V6(to) = server.address() else { unreachable!("it is bound to ::1") };
    let packet = udp_over_ipv6(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 4711, 0, 0), to, &query(1));
    raw.send_to(&packet, &SockAddr::from(SocketAddrV6::new(*to.ip(), 0, 0, 0))).expect("loopback takes it");
    let block = server.running.metrics().udp().swap_remove(0);
    wait_until("it is counted", || block.answers.queries.value() == 1);
    assert_eq!((block.answers.drops.value(), block.answers.replies(), block.port_zero.value()), (1, 0, 0));
    assert_udp_answers(&udp_client("[::1]:0"), server.address(), 2);
    server.running.stop();
}

#[test]
fn what_came_between_bind_and_start_is_answered() {
    let _turn = turn();
    let bound = serve::bind(&["127.0.0.1:0".parse::<SocketAddr>().expect("an address")], 2, &TcpLimits::default())
        .expect("loopback");
    let address = bound.local_addresses()[0];
    let client = udp_client("127.0.0.1:0");
    client.send_to(&query(4), address).expect("loopback takes it");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(&framed(5)).expect("the connection is open");
    let running = bound.start(Arc::default()).expect("threads can be made");
    let mut reply = [0; 4096];
    let length = client.recv(&mut reply).expect("an answer comes");
    assert_refused(&reply[..length], 4);
    assert_refused(&read_reply(&mut stream).expect("an answer comes"), 5);
    running.stop();
}

#[test]
fn stopping_answers_what_was_received_and_frees_the_addresses() {
    let _turn = turn();
    for addresses in [&["127.0.0.1:0"][..], &["127.0.0.1:0", "127.0.0.2:0"]] {
        let server = Server::start(addresses, 2, &TcpLimits::default());
        let targets = server.addresses.clone();
        let client = udp_client("127.0.0.1:0");
        let mut stream = server.connect();
        assert_tcp_answers(&mut stream, 1);
        let sent_count = 100 * targets.len();
        for (id, target) in (0..100).flat_map(|id| targets.iter().map(move |target| (id, target))) {
            client.send_to(&query(id), target).expect("loopback takes it");
        }
        stream.write_all(&(0..100).flat_map(framed).collect::<Vec<_>>()).expect("the connection is open");
        let start = Instant::now();
        server.running.stop();
        assert!(start.elapsed() < serve::STOP_TIME_MAX, "no thread was left behind");
        for received in 0..sent_count {
            client.recv(&mut [0; 512]).unwrap_or_else(|error| panic!("reply {received} of {sent_count}: {error}"));
        }
        for id in 0..100 {
            assert_refused(&read_reply(&mut stream).expect("an answer comes"), id);
        }
        assert_closed(&mut stream);
        serve::bind(&targets, 2, &TcpLimits::default()).expect("the addresses are free again");
    }
}
