//! What a prover needs of the serving layer, over real sockets: canaries that reach the worker that they name, and
//! addresses that are bound before they are there.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::{env, io};

use arc_swap::ArcSwap;
use fated::answer::{Canary, Settings, Snapshot};
use fated::serve::{self, Bound, ListenAddress, Running, TcpLimits};
use fated::wire::probe::{Probe, STEER_BYTES, Steer};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, RData, RecordType};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The workers of the servers here.
const WORKERS: u16 = 5;

/// The nonce of the servers here.
const NONCE: u64 = 0xC0FF_EE00_1234_5678;

/// The canary for one worker of the process with that nonce.
fn probe(nonce: u64, worker: u16, id: u16) -> Vec<u8> {
    Probe::canary(Steer { nonce, worker }).with_id(id).to_vec()
}

/// A canary that only loopback's first addresses may ask.
fn canary() -> Canary {
    let sources = ["127.0.0.1", "::1"].map(|text| text.parse().expect("an address"));
    Canary { nonce: NONCE, sources: sources.to_vec(), reserved: Vec::new() }
}

/// Starts what is bound, with a canary and an identity.
fn start(bound: Bound) -> Running {
    let settings = Settings { canary: Some(canary()), identity: Some(b"here".to_vec()), ..Settings::default() };
    let snapshot = Snapshot { settings, ..Snapshot::default() };
    bound.start(Arc::new(ArcSwap::from_pointee(snapshot))).expect("threads can be made")
}

/// The loopback addresses of this host's families.
fn loopback() -> Vec<SocketAddr> {
    let mut addresses = vec!["127.0.0.1:0", "127.0.0.2:0"];
    if UdpSocket::bind("[::1]:0").is_ok() {
        addresses.push("[::1]:0");
    } else {
        eprintln!("SKIPPED in part: this host does not have ::1");
    }
    addresses.into_iter().map(|text| text.parse().expect("a socket address")).collect()
}

/// Asks from a new port of `source` and reads the reply.
fn ask(source: IpAddr, server: SocketAddr, query: &[u8]) -> io::Result<Message> {
    ask_within(PATIENCE, source, server, query)
}

/// The same, with a patience of its own.
fn ask_within(patience: Duration, source: IpAddr, server: SocketAddr, query: &[u8]) -> io::Result<Message> {
    let client = UdpSocket::bind((source, 0))?;
    client.set_read_timeout(Some(patience))?;
    client.send_to(query, server)?;
    let mut reply = [0; 4096];
    let length = client.recv(&mut reply)?;
    Ok(Message::from_vec(&reply[..length]).expect("the reply can be read"))
}

/// Asks again until an answer comes: the kernel uses a new IPv6 address a moment after it reports it.
fn ask_again(server: SocketAddr, query: &[u8]) -> Message {
    let short = PATIENCE / 200;
    let mut replies = (0..200).map(|_| ask_within(short, friend(server), server, query));
    replies.find_map(Result::ok).expect("an answer comes")
}

/// A source of the server's family that may ask.
fn friend(server: SocketAddr) -> IpAddr {
    canary().sources[usize::from(server.is_ipv6())]
}

/// Reads which worker says that it answered.
fn worker(reply: &Message) -> u16 {
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError, "{reply:?}");
    let [record] = &reply.answers[..] else { panic!("one record: {reply:?}") };
    assert_eq!((record.dns_class, record.ttl), (DNSClass::CH, 0));
    let RData::TXT(text) = &record.data else { panic!("a text: {record:?}") };
    let [text] = &text.txt_data[..] else { panic!("one string: {text:?}") };
    std::str::from_utf8(text).expect("digits").parse().expect("a number")
}

#[test]
fn a_canary_reaches_the_worker_that_it_names_over_every_address() {
    let bound = serve::bind(&loopback(), WORKERS.into(), &TcpLimits::default()).expect("loopback is there");
    let addresses = bound.local_addresses();
    let running = start(bound);
    for &address in &addresses {
        for round in 0..20 {
            for number in 0..WORKERS {
                let id = round * WORKERS + number;
                let reply = ask(friend(address), address, &probe(NONCE, number, id)).expect("an answer comes");
                assert_eq!((reply.metadata.id, worker(&reply)), (id, number), "{address}");
                assert!(reply.metadata.authoritative);
                let edns = reply.edns.expect("there is OPT");
                let nsid = edns.option(EdnsCode::NSID);
                assert!(matches!(nsid, Some(EdnsOption::NSID(payload)) if payload.as_ref() == b"here"), "{nsid:?}");
            }
        }
    }
    // All came to the workers by steering: each has as many as the others.
    let asked = 20 * addresses.len() as u64;
    for block in running.metrics().udp() {
        assert_eq!(block.answers.queries.value(), asked);
    }
    running.stop();
}

#[test]
fn what_is_not_steered_is_spread_and_short_datagrams_do_no_harm() {
    let bound = serve::bind(&loopback(), 2, &TcpLimits::default()).expect("loopback is there");
    let addresses = bound.local_addresses();
    let running = start(bound);
    for &address in &addresses {
        let short = UdpSocket::bind((friend(address), 0)).expect("loopback is there");
        let before: Vec<u64> = running.metrics().udp().iter().map(|block| block.answers.queries.value()).collect();
        for id in 0..200 {
            let long = probe(NONCE, 0, id);
            short.send_to(&long[long.len() - usize::from(id % 22)..], address).expect("loopback takes it");
            let reply = ask(friend(address), address, &probe(NONCE ^ 1, 0, id)).expect("an answer comes");
            assert_eq!(reply.metadata.response_code, ResponseCode::Refused, "another nonce is nobody's");
            let mut unsteered = probe(NONCE, 0, id);
            let last = unsteered.len() - STEER_BYTES;
            unsteered[last] ^= 1;
            let reply = ask(friend(address), address, &unsteered).expect("an answer comes");
            assert_eq!(reply.metadata.response_code, ResponseCode::Refused, "without the secret it is no canary");
        }
        for (block, before) in running.metrics().udp().iter().zip(before) {
            assert!(block.answers.queries.value() - before > 100, "{address}: 400 ports hash to both workers");
        }
    }
    running.stop();
}

#[test]
fn the_soa_is_steered_as_well_and_a_number_that_nobody_has_is_answered_by_somebody() {
    let bound = serve::bind(&loopback(), WORKERS.into(), &TcpLimits::default()).expect("loopback is there");
    let address = bound.local_addresses()[0];
    let running = start(bound);
    let zone: fated::wire::Name = "example.test.".parse().expect("a good name");
    let query = Probe::soa(zone.as_ref(), Some(Steer { nonce: NONCE, worker: 3 })).with_id(7).to_vec();
    let read = Message::from_vec(&query).expect("a well-formed query");
    assert_eq!(
        (read.queries[0].query_type(), read.queries[0].name().to_string()),
        (RecordType::SOA, "example.test.".into())
    );
    for _ in 0..20 {
        let reply = ask(friend(address), address, &query).expect("an answer comes");
        assert_eq!(reply.metadata.response_code, ResponseCode::Refused, "there is no zone");
    }
    assert_eq!(running.metrics().udp()[3].answers.queries.value(), 20);
    let reply = ask(friend(address), address, &probe(NONCE, WORKERS, 1)).expect("an answer comes");
    assert!(worker(&reply) < WORKERS);
    running.stop();
}

#[test]
fn a_canary_from_elsewhere_is_refused_and_one_worker_alone_answers_for_itself() {
    let bound = serve::bind(&loopback(), 1, &TcpLimits::default()).expect("loopback is there");
    let address = bound.local_addresses()[0];
    let running = start(bound);
    let query = probe(NONCE, 4, 1);
    assert_eq!(worker(&ask(friend(address), address, &query).expect("an answer comes")), 0);
    let stranger = "127.0.0.9".parse().expect("an address");
    let reply = ask(stranger, address, &query).expect("an answer comes");
    assert_eq!((reply.metadata.response_code, reply.answers.len()), (ResponseCode::Refused, 0));
    running.stop();
}

/// Runs a command of iproute2 in this network namespace.
fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().expect("iproute2 is there");
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Says that this process has a network namespace of its own.
const INSIDE: &str = "FATED_TEST_INSIDE";

#[test]
fn an_address_that_may_be_absent_answers_as_soon_as_it_is_there() {
    if env::var_os(INSIDE).is_none() {
        let name = "an_address_that_may_be_absent_answers_as_soon_as_it_is_there";
        let this = env::current_exe().expect("the test's own file");
        let probe = Command::new("unshare").args(["--net", "true"]).output();
        if !probe.is_ok_and(|output| output.status.success()) {
            return eprintln!("SKIPPED: a network namespace needs root and util-linux");
        }
        let inside = Command::new("unshare").arg("--net").arg(this).args(["--exact", name]).env(INSIDE, "1").output();
        let output = inside.expect("it ran a moment ago");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
        return;
    }
    ip("link set lo up");
    let addresses = ["192.0.2.53:5353", "[2001:db8::53]:5353"].map(|text| text.parse().expect("a socket address"));
    let wanted = addresses.map(|address| ListenAddress { address, may_be_absent: true });
    serve::bind(&addresses, 2, &TcpLimits::default()).expect_err("they are not there");
    let running = start(serve::bind(&wanted, 2, &TcpLimits::default()).expect("absence is allowed"));
    for (words, address) in
        [("addr add 192.0.2.53/32 dev lo", addresses[0]), ("addr add 2001:db8::53/128 dev lo nodad", addresses[1])]
    {
        ip(words);
        for number in 0..2 {
            assert_eq!(worker(&ask_again(address, &probe(NONCE, number, 1))), number);
        }
        std::net::TcpStream::connect(address).expect("it listens");
        ip(&words.replace("add ", "del ").replace(" nodad", ""));
        assert!(ask(friend(address), address, &probe(NONCE, 0, 1)).is_err(), "there is no way to it any more");
        ip(words);
        assert_eq!(worker(&ask_again(address, &probe(NONCE, 1, 1))), 1, "it is back");
    }
    running.stop();
}
