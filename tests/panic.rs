//! A query of death: the program with the feature `test-names`, whose answer panics for one name.
//!
//! Each such query costs its client the answer and nothing else: SERVFAIL, counted, a bounded number of lines, and the
//! workers go on. `tests/run` builds it; by hand: `cargo test --features test-names --test panic`.
#![cfg(feature = "test-names")]

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Instant;

use common::ask::{ask_tcp, ask_udp, tcp_many, udp_many};
use common::message::{Edns, Message, QR, Query, RD};
use common::name::name;
use common::server::{Kind, Server, ZoneFile};

/// How many of them are sent in a row.
const ROW: usize = 1000;
/// The most lines in a second about panics: one that a query made the answer panic, ten of the panics themselves.
const LINES_A_SECOND_MAX: u64 = 11;

/// The program with one zone; two workers.
fn start() -> Server {
    let zone = common::zones_folder().join("other.zone");
    Server::start(Kind::Fated, &[ZoneFile::new("other.test.", zone)])
}

/// The query that panics.
fn deadly() -> Query {
    Query { flags: RD, ..Query::new(&name("panic.fated.test."), 1) }
}

/// Asserts that the reply is SERVFAIL for `query`, with its question and without any record.
fn assert_servfail(reply: &Message, query: &Query) {
    assert_eq!((reply.rcode(), reply.flags & !15), (2, QR | RD), "{reply:?}");
    assert_eq!(reply.questions.iter().map(|question| &question.qname).collect::<Vec<_>>(), [&query.qname]);
    assert!(reply.sections.iter().all(Vec::is_empty), "{reply:?}");
}

/// Asserts that the zone is served over both transports.
fn assert_serves(address: SocketAddr) {
    let soa = Query::new(&name("other.test."), 6);
    for reply in [ask_udp(address, &soa), ask_tcp(address, &soa)] {
        assert_eq!((reply.rcode(), reply.sections[0].len()), (0, 1), "{reply:?}");
    }
}

/// All counters of the server, by name, as `fated status --json` shows them.
fn counters(server: &Server) -> BTreeMap<String, u64> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fated"));
    command.args(["status", "--json", "--control"]).arg(server.control());
    let output = command.output().expect("status runs");
    assert!(output.status.success(), "{output:?}");
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("status is JSON");
    let counters = status["result"]["counters"].as_array().expect("status has counters");
    let pair = |counter: &serde_json::Value| Some((counter["name"].as_str()?.to_owned(), counter["value"].as_u64()?));
    counters.iter().filter_map(pair).collect()
}

/// Panics and SERVFAILs of one transport.
fn deaths(counters: &BTreeMap<String, u64>, transport: &str) -> [u64; 2] {
    let panics = format!("fated_panics_total{{transport=\"{transport}\"}}");
    let refused = format!("fated_replies_total{{transport=\"{transport}\",rcode=\"SERVFAIL\"}}");
    [panics, refused].map(|name| *counters.get(&name).unwrap_or_else(|| panic!("no {name} in {counters:?}")))
}

#[test]
fn a_query_of_death_costs_its_client_the_answer_and_is_counted() {
    let mut server = start();
    let query = deadly();
    assert_servfail(&ask_udp(server.address, &query), &query);
    assert_serves(server.address);
    assert_servfail(&ask_tcp(server.address, &query), &query);
    assert_serves(server.address);
    // With EDNS too; the OPT record was not read, so that none comes back.
    let with_edns = query.clone().with_edns(Edns::new(1232, true));
    assert_servfail(&ask_udp(server.address, &with_edns), &with_edns);
    let counters = counters(&server);
    // A datagram that was sent again is counted again.
    let [panics, refused] = deaths(&counters, "udp");
    assert!(panics == refused && panics >= 2, "{counters:?}");
    assert_eq!(deaths(&counters, "tcp"), [1, 1]);
    assert_eq!(server.process().ended(), None);
}

#[test]
fn a_thousand_queries_of_death_in_a_row_take_no_worker_and_few_lines() {
    let mut server = start();
    let started = Instant::now();
    let queries = vec![deadly(); ROW];
    for (transport, replies) in
        [("udp", udp_many(server.address, &queries)), ("tcp", tcp_many(server.address, &queries))]
    {
        for reply in replies {
            let reply = Message::parse(&reply).unwrap_or_else(|fault| panic!("{transport}: {fault}: {reply:02x?}"));
            assert_servfail(&reply, &queries[0]);
        }
        // Many sockets, so that the kernel gives each of the workers a part of them.
        for _ in 0..16 {
            assert_serves(server.address);
        }
        let counters = counters(&server);
        let [panics, refused] = deaths(&counters, transport);
        assert!(panics == refused && panics >= ROW as u64, "{transport}: {counters:?}");
    }
    assert_eq!(server.process().ended(), None);
    let seconds = started.elapsed().as_secs() + 2;
    let lines = server.end();
    let panics: Vec<&String> = lines.iter().filter(|line| line.contains("panic")).collect();
    assert!(!panics.is_empty(), "{lines:?}");
    assert!(panics.len() as u64 <= seconds * LINES_A_SECOND_MAX, "{} lines in {seconds} s", panics.len());
    assert!(panics.iter().any(|line| line.contains("a query made the answer panic")), "{panics:?}");
}
