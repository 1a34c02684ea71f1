//! Workers that are wedged and replaced, over real sockets on loopback.

use std::fs;
use std::net::SocketAddr;
use std::time::Instant;

use super::*;
use crate::answer::Snapshot;
use crate::answer::injected::wedge_name;
use crate::answer::{Canary, Settings};
use crate::serve::ReplaceError;
use crate::serve::wedges::{WAIT_MAX, WEDGES, wait_until};
use crate::serve::{Running, STOP_TIME_MAX, TcpLimits, bind};
use crate::wire::NameRef;
use crate::wire::probe::{CANARY_NAME_BYTES, Probe, Steer};
use arc_swap::ArcSwap;
use std::net::UdpSocket;

/// A server whose canary this process may ask, and a client.
struct TestServer {
    running: Running,
    supervisor: ThreadSupervisor,
    addresses: Vec<SocketAddr>,
    nonce: u64,
    client: UdpSocket,
}

impl TestServer {
    /// Serves with two workers on so many addresses.
    fn open(address_count: usize) -> Self {
        let asked: Vec<SocketAddr> =
            (1..=address_count).map(|last| SocketAddr::from(([127, 0, 0, last as u8], 0))).collect();
        let bound = bind(&asked, 2, &TcpLimits::default()).expect("loopback is there");
        let addresses = bound.local_addresses();
        let nonce = 0x0123_4567_89AB_CDEF;
        let canary = Canary { nonce, sources: vec![[127, 0, 0, 1].into()], reserved: Vec::new() };
        let settings = Settings { canary: Some(canary), ..Settings::default() };
        let snapshot = Snapshot { settings, ..Snapshot::default() };
        let running = bound.start(Arc::new(ArcSwap::from_pointee(snapshot))).expect("threads can be made");
        let client = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        client.set_read_timeout(Some(WAIT_MAX)).expect("a timeout can be set");
        Self { supervisor: running.supervisor(), running, addresses, nonce, client }
    }

    /// What steers a probe to `worker`.
    fn steer(&self, worker: u16) -> Steer {
        Steer { nonce: self.nonce, worker }
    }

    /// Wedges the thread in charge of `worker` and waits until it hangs.
    fn wedge(&self, worker: u16, index: u8) {
        let name = wedge_name(index);
        let name = NameRef::parse(&name).expect("a good name");
        let stuck = WEDGES[usize::from(index)].stuck();
        let mut probe = Probe::soa(name, Some(self.steer(worker)));
        self.client.send_to(probe.with_id(0xFFFF), self.addresses[0]).expect("loopback takes it");
        wait_until("the thread hangs", || WEDGES[usize::from(index)].stuck() == stuck + 1);
    }

    /// Sends `count` canaries for `worker` to each address in turn, with its number in their IDs.
    fn send(&self, worker: u16, count: usize) {
        for address in self.addresses.iter().cycle().take(count) {
            let mut probe = Probe::canary(self.steer(worker));
            self.client.send_to(probe.with_id(worker), address).expect("loopback takes it");
        }
    }

    /// Receives `count` replies to canaries for `worker`, which answered them itself.
    fn receive(&self, worker: u16, count: usize) {
        for _ in 0..count {
            assert_eq!(self.reply(), (worker, 0, Some(worker.to_string())));
        }
    }

    /// Receives a reply: its ID, its RCODE, and the text of its first record where it has one.
    fn reply(&self) -> (u16, u8, Option<String>) {
        let mut reply = [0; 512];
        let length = self.client.recv(&mut reply).expect("an answer comes");
        let reply = &reply[..length];
        // The record of a canary: owner (2), type, class, TTL, RDLENGTH (10), length of the text (1), text.
        let text = (reply[7] == 1).then(|| &reply[12 + CANARY_NAME_BYTES + 4 + 12..]);
        let text = text.map(|text| String::from_utf8_lossy(&text[1..=usize::from(text[0])]).into_owned());
        (u16::from_be_bytes([reply[0], reply[1]]), reply[3] & 0x0F, text)
    }

    /// Sums a family over all its labels.
    fn total(&self, name: &str) -> u64 {
        self.running.metrics().samples().iter().filter(|sample| sample.name == name).map(|sample| sample.value).sum()
    }
}

/// Reads the scheduling class of a thread of this process (proc(5), field 41 of its stat).
fn class(tid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/self/task/{tid}/stat")).expect("the thread lives");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    fields.split_whitespace().nth(41 - 3).and_then(|word| word.parse().ok()).expect("a number")
}

/// Waits until the thread in charge of `worker` runs and returns its number.
fn tid(supervisor: &ThreadSupervisor, worker: usize) -> i32 {
    wait_until("the thread runs", || supervisor.tid(worker).is_some());
    supervisor.tid(worker).expect("it runs")
}

/// Wedges a worker, replaces it, and lets go of the old thread, on so many addresses.
fn a_wedged_worker_is_replaced(address_count: usize, index: u8) {
    let server = TestServer::open(address_count);
    let supervisor = &server.supervisor;
    for worker in [0, 1] {
        server.send(worker, 4);
        server.receive(worker, 4);
    }
    let old_tid = tid(supervisor, 0);
    server.wedge(0, index);
    let stood_at = supervisor.progress(0);
    server.send(0, 10);
    server.send(1, 10);
    server.receive(1, 10);
    assert_eq!((supervisor.progress(0), supervisor.lost()), (stood_at, 0), "the wedged one stands still");

    supervisor.replace(0).expect("a thread can be made");
    server.receive(0, 10);
    let new_tid = tid(supervisor, 0);
    assert_ne!(new_tid, old_tid);
    let name = fs::read_to_string(format!("/proc/self/task/{new_tid}/comm")).expect("the thread lives");
    assert_eq!(name.trim(), "udp-0");
    let pinned = |tid: i32| {
        let status = fs::read_to_string(format!("/proc/self/task/{tid}/status")).expect("the thread lives");
        status.lines().find(|line| line.starts_with("Cpus_allowed_list:")).expect("Linux shows it").to_owned()
    };
    assert_eq!(pinned(new_tid), pinned(old_tid));
    assert_eq!((class(old_tid), class(new_tid)), (libc::SCHED_IDLE, libc::SCHED_OTHER));
    assert_eq!(supervisor.lost(), 1);

    WEDGES[usize::from(index)].release();
    assert_eq!(server.reply(), (0xFFFF, 5, None), "the old thread finishes its batch");
    wait_until("the old thread ends", || supervisor.lost() == 0);
    assert!(supervisor.progress(0) > 0 && supervisor.progress(1) > 0);
    server.send(0, 4);
    server.receive(0, 4);
    wait_until("all are counted", || server.total("fated_worker_queries_total") == 8 + 1 + 20 + 4);
    assert_eq!(server.total("fated_replies_total"), 8 + 1 + 20 + 4);
    server.running.stop();
}

#[test]
fn what_a_wedged_worker_had_queued_is_answered_by_a_new_thread() {
    a_wedged_worker_is_replaced(1, 0);
}

#[test]
fn a_wedged_worker_of_several_addresses_is_replaced_too() {
    a_wedged_worker_is_replaced(2, 1);
}

#[test]
fn no_more_threads_are_lost_than_there_are_workers_and_stopping_leaves_them_behind() {
    let server = TestServer::open(1);
    let supervisor = &server.supervisor;
    for lost in 1..=2 {
        server.wedge(1, 2);
        supervisor.replace(1).expect("a thread can be made");
        assert_eq!(supervisor.lost(), lost);
    }
    let before = supervisor.tid(0);
    let error = supervisor.replace(0).expect_err("there are as many lost threads as workers");
    assert!(error.to_string().starts_with("2 replaced threads"), "{error}");
    assert_eq!((supervisor.lost(), supervisor.tid(0)), (2, before));
    server.send(1, 3);
    server.receive(1, 3);

    let (supervisor, start) = (server.supervisor.clone(), Instant::now());
    server.running.stop();
    assert!(start.elapsed() < STOP_TIME_MAX, "lost threads are not waited for");
    assert_eq!(supervisor.lost(), 2);
    assert_eq!(supervisor.replace(1).map_err(|error| error.to_string()), Err(ReplaceError::Stopping.to_string()));
    WEDGES[2].release();
    wait_until("the lost threads end", || supervisor.lost() == 0);
}

#[test]
fn a_worker_that_only_waits_can_be_replaced_and_nothing_is_lost() {
    for address_count in [1, 2] {
        let server = TestServer::open(address_count);
        for round in 1..=10 {
            let worker = usize::from(round % 2 == 0);
            server.supervisor.replace(worker).expect("a thread can be made");
            wait_until("the old thread ends without a datagram", || server.supervisor.lost() == 0);
            server.send(worker as u16, 20);
            server.receive(worker as u16, 20);
            wait_until("all are counted", || server.total("fated_worker_queries_total") == round * 20);
        }
        server.running.stop();
    }
}

#[test]
fn a_handle_keeps_nothing_open_and_knows_no_other_workers() {
    let server = TestServer::open(2);
    let supervisor = server.supervisor.clone();
    assert_eq!(
        (supervisor.worker_count(), supervisor.progress(2), supervisor.tid(2), supervisor.lost()),
        (2, 0, None, 0)
    );
    let error = supervisor.replace(2).expect_err("there are two");
    assert_eq!(error.to_string(), ReplaceError::NoSuchWorker { worker: 2, count: 2 }.to_string());
    assert_eq!([supervisor.drops(0), supervisor.drops(1), supervisor.drops(2)], [0, 0, 0]);
    let addresses = server.addresses.clone();
    server.running.stop();
    bind(&addresses, 2, &TcpLimits::default()).expect("the addresses are free again");
    wait_until("no thread is in charge", || supervisor.tid(0).is_none() && supervisor.tid(1).is_none());
    assert_eq!((supervisor.drops(0), supervisor.lost()), (0, 0));
}

#[test]
fn what_the_sockets_of_an_address_drop_is_reported() {
    let server = TestServer::open(2);
    server.wedge(1, 3);
    // More than the queue of one socket holds, whatever the host allows: 4 MiB are asked for, and doubled.
    let octets = [vec![0; 1200], Probe::canary(server.steer(1)).with_id(1).to_vec()].concat();
    let mut sent = 0;
    while server.supervisor.drops(1) == 0 {
        assert!(sent < 100_000, "the queue is never full");
        server.client.send_to(&octets, server.addresses[1]).expect("loopback takes it");
        sent += 1;
    }
    assert_eq!(server.supervisor.drops(0), 0);
    WEDGES[3].release();
    server.running.stop();
}
