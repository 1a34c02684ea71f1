//! Random zones and random questions, each answer compared with those of NSD, Knot DNS and BIND.
//!
//! An answer is a fault where no peer gives it and no entry of `peers/meant.rs` allows it. What one peer alone gives
//! is listed and is no fault. Every reply is kept while a round goes on, and who gave it is proved before, in and after
//! each round: a run in which every answer differs explains itself.
//!
//! | variable | |
//! |---|---|
//! | `FATED_RANDOM_SEED` | the seed of the first round; each further round takes the next number |
//! | `FATED_RANDOM_ROUNDS` | rounds: a world of zones each |
//! | `FATED_RANDOM_QUESTIONS` | questions of a round |
//! | `FATED_RANDOM_KEEP` | where rounds are kept; without it, only those with faults are, below `target/tmp/random` |

#[path = "random/asks.rs"]
mod asks;
mod common;
#[path = "peers/compare.rs"]
#[allow(dead_code)] // `peers` needs the rest.
mod compare;
#[path = "random/judge.rs"]
mod judge;
#[path = "peers/meant.rs"]
mod meant;
#[path = "peers/questions.rs"]
#[allow(dead_code)] // `peers` needs the rest.
mod questions;
#[path = "random/rdata.rs"]
mod rdata;
#[path = "random/record.rs"]
mod record;
#[path = "random/round.rs"]
mod round;
#[path = "random/server_identity.rs"]
mod server_identity;
#[path = "random/world.rs"]
mod world;

use std::net::UdpSocket;
use std::path::PathBuf;

use common::message::Query;
use common::name::name;
use common::server::{Kind, Server, ZoneFile};
use common::{Dice, must_skip};
use fated::admin::Request;
use fated::admin::client::Client;
use fated::admin::reply::Reload;
use round::Tally;

/// The first seed where none is given.
const SEED: u64 = 1;
/// Rounds where no number is given: what a run of all tests may take.
const ROUNDS: u64 = 4;
/// Questions of a round where no number is given.
const QUESTIONS: u64 = 1800;

/// Reloads in a row.
const RELOADS: u32 = 60;

/// A number from the environment.
fn number(variable: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return otherwise };
    text.parse().unwrap_or_else(|_| panic!("{variable}={text}: a whole number"))
}

#[test]
fn random_zones_are_answered_as_a_peer_answers() {
    if must_skip("random zones", &["nsd", "knotd", "named", "dnssec-signzone", "dnssec-keygen"]) {
        return;
    }
    let (seed, rounds) = (number("FATED_RANDOM_SEED", SEED), number("FATED_RANDOM_ROUNDS", ROUNDS));
    let questions = number("FATED_RANDOM_QUESTIONS", QUESTIONS) as usize;
    // Absolute, since servers run in folders of their own.
    let wanted = std::env::var_os("FATED_RANDOM_KEEP").and_then(|folder| std::path::absolute(folder).ok());
    let keep = wanted.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("random"));
    let mut all = Tally::default();
    for seed in seed..seed + rounds {
        let (faults, strangers) = (all.faults.len(), all.strangers.len());
        round::run(seed, questions, &keep, &mut all);
        let is_clean = (all.faults.len(), all.strangers.len()) == (faults, strangers);
        let folder = keep.join(format!("seed-{seed}"));
        if is_clean && wanted.is_none() {
            std::fs::remove_dir_all(&folder).expect("the folder is this round's");
        } else {
            eprintln!("seed {seed} is kept in {}", folder.display());
        }
    }
    eprintln!("{}", all.table());
    assert!(
        all.faults.is_empty() && all.strangers.is_empty(),
        "answers differ, see the table; again with FATED_RANDOM_SEED={seed} FATED_RANDOM_ROUNDS={rounds} \
         FATED_RANDOM_QUESTIONS={questions}"
    );
}

#[test]
fn the_same_seed_makes_the_same_zones_and_questions() {
    let made = |seed| {
        let mut dice = Dice::new(seed);
        let zones = world::zones(&mut dice, 3, 7);
        let texts: Vec<String> = zones.iter().map(|zone| zone.text.clone()).collect();
        let questions = asks::draw(&mut dice, &asks::names(&zones), asks::WAYS[1], 50);
        (texts, questions)
    };
    assert_eq!(made(5), made(5));
    assert_ne!(made(5), made(6));
}

#[test]
fn the_owners_of_a_port_are_seen() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("zone");
    std::fs::write(&file, "@ 60 SOA ns.test. admin.test. 9 1 1 1 1\n@ 60 NS ns.test.\n").expect("it can be written");
    let mut server = Server::start(Kind::Fated, &[ZoneFile::new("who.test.", file)]);
    let group = server.process().id();
    let owners = server_identity::owners_of_udp(server.address);
    assert_eq!(owners.iter().map(|owner| owner.group).collect::<Vec<_>>(), [Some(group)], "{owners:?}");
    let here = UdpSocket::bind(("127.0.0.1", 0)).expect("loopback has free ports");
    let owners = server_identity::owners_of_udp(here.local_addr().expect("a bound socket has an address"));
    assert!(!owners.is_empty() && owners.iter().all(|owner| owner.group != Some(group)), "{owners:?}");
    // Another serial, another identity: both are given to it.
    let faults = server_identity::faults_of(&mut server, "somebody else", &["who.test.".to_owned()], 8);
    assert_eq!(faults.len(), 2, "{faults:?}");
}

#[test]
fn whoever_asks_after_a_reload_is_answered_from_the_new_zone() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("zone");
    // One length and one moment or two of the file system's clock: nothing but the octets distinguishes the versions.
    let write = |serial: u32| {
        let text = format!("@ 60 SOA ns.test. admin.test. {serial} 1 1 1 1\n@ 60 NS ns.test.\n");
        std::fs::write(&file, text).expect("the folder can be written to");
    };
    write(100);
    let server = Server::start(Kind::Fated, &[ZoneFile::new("who.test.", &file)]);
    for serial in 101..101 + RELOADS {
        write(serial);
        let mut client = Client::connect(&server.control()).expect("the server listens on its control socket");
        let (_, loaded) =
            client.ask::<Reload>(&Request::Reload(fated::admin::Reload::default())).expect("the server answers");
        assert_eq!((loaded.kept, loaded.refused), (0, 0), "{loaded:?}");
        // A new port each, so that every worker is asked.
        for _ in 0..4 {
            let reply = common::ask::ask_udp(server.address, &Query::new(&name("who.test."), 6));
            assert_eq!(server_identity::serial_of(&reply), Some(serial));
        }
    }
}
