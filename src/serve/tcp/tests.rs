//! TCP threads that hang and are replaced, over real sockets on loopback.

mod streams;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::channel::Plain;
use super::state::TcpThreadState;
use super::thread::{HELD_TIME_MAX, TcpThread, TcpThreadContext};
use crate::answer::injected::{SLOW_NAME, wedge_name};
use crate::serve::admission::{Admission, EVICTED_MIN};
use crate::serve::thread::ThreadHandle;
use crate::serve::wedges::{WAIT_MAX, WEDGES, framed, wait_until};
use crate::serve::{ReplaceError, Running, STOP_TIME_MAX, TcpLimits, ThreadSupervisor, bind};

/// A server with two TCP threads.
fn open() -> (Running, ThreadSupervisor, SocketAddr) {
    let asked = [SocketAddr::from(([127, 0, 0, 1], 0))];
    let bound = bind(&asked, 2, &TcpLimits::default()).expect("loopback is there");
    let address = bound.local_addresses()[0];
    let running = bound.start(Arc::default()).expect("threads can be made");
    let supervisor = running.supervisor();
    assert_eq!((supervisor.tcp_thread_count(), supervisor.tcp_lost()), (2, 0));
    wait_until("the threads run", || supervisor.tcp_tid(0).is_some() && supervisor.tcp_tid(1).is_some());
    (running, supervisor, address)
}

/// Connects and asks for a name; the answer is not read.
fn ask(address: SocketAddr, name: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(WAIT_MAX)).expect("a timeout can be set");
    stream.write_all(&framed(1, name)).expect("the connection is open");
    stream
}

/// Connects, asks for the root and asserts that the answer is REFUSED.
fn assert_answers(address: SocketAddr) {
    let mut reply = vec![0; framed(1, &[0]).len()];
    ask(address, &[0]).read_exact(&mut reply).expect("an answer comes");
    assert_eq!(reply[5] & 0x0F, 5);
}

/// Hangs a thread with a query over a connection of its own, and says which one it is.
fn hang(supervisor: &ThreadSupervisor, address: SocketAddr, index: u8) -> (TcpStream, usize) {
    let stuck = WEDGES[usize::from(index)].stuck();
    let stream = ask(address, &wedge_name(index));
    wait_until("a thread hangs", || WEDGES[usize::from(index)].stuck() > stuck);
    // Its progress stand still, while the other one's move with each wake.
    let before = [0, 1].map(|thread| supervisor.tcp_progress(thread));
    let mut moving = None;
    wait_until("the other thread moves", || {
        supervisor.wake_tcp(0);
        supervisor.wake_tcp(1);
        moving = (0..2).find(|&thread| supervisor.tcp_progress(thread) != before[thread]);
        moving.is_some()
    });
    let hung = 1 - moving.expect("one moves");
    (stream, hung)
}

#[test]
fn a_thread_that_hangs_is_replaced_and_holds_up_no_new_connection() {
    let (running, supervisor, address) = open();
    let (mut client, hung) = hang(&supervisor, address, 4);
    for _ in 0..20 {
        assert_answers(address);
    }
    let old = supervisor.tcp_tid(hung);
    supervisor.replace_tcp(hung).expect("a thread can be made");
    assert_eq!(supervisor.tcp_lost(), 1);
    wait_until("the new thread runs", || supervisor.tcp_tid(hung).is_some_and(|tid| Some(tid) != old));
    wait_until("the new thread is woken", || {
        supervisor.wake_tcp(hung);
        supervisor.tcp_progress(hung) > 0
    });
    for _ in 0..20 {
        assert_answers(address);
    }
    WEDGES[4].release();
    wait_until("the old thread ends", || supervisor.tcp_lost() == 0);
    // It finished the message that it was at, and then its connections ended.
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("it is closed");
    assert_eq!(rest.len(), framed(1, &wedge_name(4)).len());
    let samples = running.metrics().samples();
    let total =
        |name: &str| samples.iter().filter(|sample| sample.name == name).map(|sample| sample.value).sum::<u64>();
    assert_eq!(total("fated_tcp_connections_total"), 41, "what the old thread counted is not lost");
    assert_answers(address);
    running.stop();
}

#[test]
fn no_more_threads_are_lost_than_there_are_and_stopping_leaves_them_behind() {
    let (running, supervisor, address) = open();
    let error = supervisor.replace_tcp(2).expect_err("there are two");
    assert_eq!(error.to_string(), ReplaceError::NoSuchTcpThread { thread: 2, count: 2 }.to_string());
    let mut clients = Vec::new();
    for lost in 1..=2 {
        let (client, hung) = hang(&supervisor, address, 5);
        supervisor.replace_tcp(hung).expect("a thread can be made");
        assert_eq!(supervisor.tcp_lost(), lost);
        clients.push(client);
    }
    let error = supervisor.replace_tcp(0).expect_err("there are as many lost threads as threads");
    assert_eq!(error.to_string(), ReplaceError::TooManyTcpLost { lost: 2 }.to_string());
    assert_answers(address);
    let start = Instant::now();
    running.stop();
    assert!(start.elapsed() < STOP_TIME_MAX, "lost threads are not waited for");
    assert_eq!(supervisor.replace_tcp(1).map_err(|error| error.to_string()), Err(ReplaceError::Stopping.to_string()));
    WEDGES[5].release();
    wait_until("the lost threads end", || supervisor.tcp_lost() == 0);
    bind(&[address], 2, &TcpLimits::default()).expect("the address is free again");
}

/// How long an answer takes over a connection of its own that comes from the prover's port.
fn time_of_prover(supervisor: &ThreadSupervisor, address: SocketAddr) -> Duration {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("it can be made");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("loopback is there");
    supervisor.expect_tcp(socket.local_addr().expect("bound").as_socket().expect("an IP address"));
    let start = Instant::now();
    socket.connect(&address.into()).expect("it listens");
    let mut stream = TcpStream::from(socket);
    stream.write_all(&framed(1, &[0])).expect("the connection is open");
    stream.read_exact(&mut vec![0; framed(1, &[0]).len()]).expect("an answer comes");
    start.elapsed()
}

#[test]
fn pipelined_queries_that_take_long_delay_neither_the_prover_nor_each_other() {
    const CLIENTS: usize = 60;
    let (running, supervisor, address) = open();
    let queries = framed(1, SLOW_NAME).repeat(400);
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| TcpStream::connect(address).expect("it listens")).collect();
    for client in &mut clients {
        client.set_read_timeout(Some(WAIT_MAX)).expect("a timeout can be set");
        client.write_all(&queries).expect("what is asked fits into the buffers");
    }
    let queries_counted = |at_least: u64| {
        let samples = running.metrics().samples();
        let counted = samples.iter().filter(|sample| sample.name == "fated_queries_total");
        counted.map(|sample| sample.value).sum::<u64>() >= at_least
    };
    wait_until("all threads are at work", || queries_counted(100));
    // Sixty clients with 400 queries of half a millisecond each are 12 seconds of work.
    let mut times: Vec<Duration> = (0..21).map(|_| time_of_prover(&supervisor, address)).collect();
    assert!(!queries_counted((CLIENTS * 400) as u64), "they are at work still");
    times.sort();
    eprintln!("the prover's answers took {times:?}");
    assert!(times[10] < Duration::from_millis(25), "{times:?}");
    // Each has had its turn: nobody has all answers before another one has any.
    for client in &mut clients {
        client.read_exact(&mut vec![0; framed(1, SLOW_NAME).len()]).expect("an answer comes");
    }
    assert!(!queries_counted((CLIENTS * 400) as u64), "they are at work still");
    drop(clients);
    running.stop();
}

#[test]
fn a_newcomer_waits_for_connections_that_were_evicted_but_not_for_ever() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    tcp.set_nonblocking(true).expect("the option is there");
    let address = tcp.local_addr().expect("bound");
    let limits = TcpLimits { clients_max: EVICTED_MIN, ..TcpLimits::default() };
    let admission = Arc::new(Admission::new(&limits));
    // Another thread has all connections, and closes none of those that were evicted.
    let other = Arc::new(ThreadHandle::new(Arc::default()));
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let admit = |_| {
        let _client = TcpStream::connect(elsewhere.local_addr().expect("bound")).expect("it listens");
        let (stream, client) = elsewhere.accept().expect("somebody waits");
        admission.admit(stream, client, &other, Instant::now()).expect("room is made")
    };
    let mut permits: Vec<_> = (0..2 * EVICTED_MIN).map(admit).collect();
    let state = Arc::new(TcpThreadState::new(Arc::default()).expect("descriptors are there"));
    let is_stopping = Arc::new(AtomicBool::new(false));
    let tcp_thread = TcpThread::<Plain>::new(TcpThreadContext {
        index: 0,
        listeners: Arc::new([tcp.into()]),
        acceptor: (),
        limits,
        admission: Arc::clone(&admission),
        snapshot: Arc::default(),
        state: Arc::clone(&state),
        is_stopping: Arc::clone(&is_stopping),
    });
    let thread = thread::spawn(|| tcp_thread.expect("descriptors are there").run());
    // One of them is closed while somebody waits, who is answered then.
    let mut client = ask(address, &[0]);
    let progress = state.progress();
    wait_until("the thread has looked again", || state.progress() > progress + 2);
    assert_eq!(state.handle.block().refused.value(), 0);
    drop(permits.remove(0));
    client.read_exact(&mut vec![0; framed(1, &[0]).len()]).expect("an answer comes");
    // Nobody else goes: the next one is refused after a while, and whoever follows at once.
    let refuse = |count: u64| {
        let (from, before) = (Instant::now(), state.handle.block().refused.value());
        for refused in before + 1..=before + count {
            let mut stranger = ask(address, &[0]);
            assert!(stranger.read(&mut [0; 1]).map_or(true, |count| count == 0), "there is no room");
            wait_until("it is counted", || state.handle.block().refused.value() == refused);
        }
        from.elapsed()
    };
    assert!(refuse(1) >= HELD_TIME_MAX / 2);
    assert!(refuse(20) < HELD_TIME_MAX * 10, "each of them would have waited");
    is_stopping.store(true, Ordering::Release);
    state.waker.wake().expect("it can be woken");
    thread.join().expect("it ends");
}
