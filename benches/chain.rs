//! A chain of servers over wires that delay and lose packets: a hidden Knot DNS that has a new version every second, a
//! node behind it, and three leaves behind that. Fails if a leaf ever answers a mix of versions, or does not have the
//! last one soon after it was made.
//!
//! `cargo bench --bench chain -- [--minutes N] [--loss PERCENT] [--delay MS]`. Needs root, for network namespaces, and
//! `knotd`. Ends by itself.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "chain/wire.rs"]
mod wire;

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::ask;
use common::message::{Message, Query};
use common::name::name;
use common::site::clock;
use common::site::namespace::{self, Daemon, Folder, Namespace};
use wire::{Wire, own_address};

/// From one version to the next.
const CHANGE_EVERY: Duration = Duration::from_secs(1);
/// How soon after the last change all must have it.
const CONVERGE_MAX: Duration = Duration::from_secs(2);
/// How long servers may take to start.
const START_MAX: Duration = Duration::from_secs(30);
/// Between two looks at a leaf, each of all its records.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Hosts, all of which have another address in each version.
const HOSTS: u32 = 200;
/// The type that asks for a whole zone.
const AXFR: u16 = 252;
/// Leaves.
const LEAVES: usize = 3;
/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_fated");

/// What is asked for.
struct Plan {
    minutes: f64,
    loss_percent: f64,
    delay_ms: f64,
}

impl Plan {
    /// Reads the command line; cargo adds `--bench`.
    fn read() -> Self {
        let mut plan = Self { minutes: 10.0, loss_percent: 1.0, delay_ms: 20.0 };
        let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(word) = words.next() {
            let number = words.next().and_then(|number| number.parse().ok());
            let number = number.unwrap_or_else(|| panic!("{word} needs a number"));
            match word.as_str() {
                "--minutes" => plan.minutes = number,
                "--loss" => plan.loss_percent = number,
                "--delay" => plan.delay_ms = number,
                _ => panic!("{word}: --minutes, --loss or --delay"),
            }
        }
        plan
    }
}

/// What was seen of a leaf.
#[derive(Debug, Default)]
struct Seen {
    looks: u32,
    versions: u32,
    mixes: u32,
    back: u32,
}

/// A version of the zone: each host's address says its serial.
fn version(serial: u32) -> String {
    let mut text = format!("@ 60 SOA ns h {serial} 30 5 3600 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n");
    let [_, a, b, c] = serial.to_be_bytes();
    (0..HOSTS).for_each(|host| text.push_str(&format!("host{host} 60 A 10.{a}.{b}.{c}\n")));
    text
}

/// The lines of Knot's configuration.
fn knot(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "server:\n  rundir: {folder}\n  listen: {}@53\ncontrol:\n  listen: {folder}/knot.sock\ndatabase:\n  \
         storage: {folder}/db\nremote:\n  - id: middle\n    address: {}@53\nacl:\n  - id: transfer\n    address: {}\n\
         \x20   action: transfer\nzone:\n  - domain: chain.test\n    file: {folder}/chain.zone\n\
         \x20   zonefile-sync: -1\n    zonefile-load: difference\n    journal-content: changes\n\
         \x20   notify: middle\n    acl: transfer\n",
        own_address(0),
        own_address(1),
        own_address(1)
    )
}

/// A node's configuration: whom it asks, who may ask it, and whom it tells.
fn node(number: usize, primary: usize, secondaries: std::ops::Range<usize>) -> String {
    let notify: Vec<String> =
        secondaries.clone().map(|one| format!("{{ address = \"{}\" }}", own_address(one))).collect();
    format!(
        "[server]\nlisten = [\"{}:53\"]\nworkers = 1\nstate-dir = \"state{number}\"\ncontrol = \"control{number}\"\n\
         [[zone]]\nname = \"chain.test\"\nprimaries = [{{ address = \"{}\" }}]\nallow-transfer = [{{ prefix = \
         \"10.99.0.0/24\" }}]\nnotify = [{}]\n",
        own_address(number),
        own_address(primary),
        notify.join(", ")
    )
}

/// The serial of all records of a node, if they are of one version.
fn look(space: &Namespace, address: Ipv4Addr) -> Option<Result<u32, String>> {
    space.run(|| {
        let server = SocketAddr::from((address, 53));
        let mut stream = ask::tcp_stream(server).ok()?;
        stream.write_all(&ask::framed(&Query::new(&name("chain.test."), AXFR).encode(1))).ok()?;
        // All of it is one message.
        let records = Message::parse(&ask::read_framed(&mut stream).ok()?).ok()?.sections[0].clone();
        let serial =
            records.first().and_then(|soa| soa.rdata.rchunks(4).nth(4)?.try_into().ok().map(u32::from_be_bytes))?;
        let [_, a, b, c] = serial.to_be_bytes();
        let hosts: Vec<_> = records.iter().filter(|record| record.rtype == 1 && record.ttl == 60).collect();
        let others = hosts.iter().filter(|host| host.rdata != [10, a, b, c]).count();
        // One of them is the name server's.
        let is_whole = hosts.len() == HOSTS as usize + 1 && others == 1;
        Some(is_whole.then_some(serial).ok_or_else(|| format!("{others} of {} are not of {serial}", hosts.len())))
    })
}

/// The servers, the primary first, each in its namespace.
fn start_servers(spaces: &[Namespace], folder: &Path) -> Vec<Daemon> {
    let write = |file: &str, text: String| fs::write(folder.join(file), text).expect("the folder can be written to");
    fs::create_dir(folder.join("db")).expect("the folder can be written to");
    write("chain.zone", version(1));
    write("knot.conf", knot(folder));
    let start = |(number, space): (usize, &Namespace)| {
        let mut command = match number {
            0 => Command::new("knotd"),
            _ => Command::new(PROGRAM),
        };
        if number == 0 {
            command.arg("-c").arg(folder.join("knot.conf"));
        } else {
            let (primary, secondaries) = if number == 1 { (0, 2..spaces.len()) } else { (1, 0..0) };
            write(&format!("node{number}.toml"), node(number, primary, secondaries));
            command.args(["serve", "--config", &format!("node{number}.toml")]);
        }
        space.start(command.current_dir(folder), &folder.join(format!("log{number}")))
    };
    spaces.iter().enumerate().map(start).collect()
}

/// Has the primary take the next version.
fn change(space: &Namespace, folder: &Path, serial: u32) {
    fs::write(folder.join("chain.zone"), version(serial)).expect("the folder can be written to");
    let mut knotc = Command::new("knotc");
    space.output(knotc.arg("-s").arg(folder.join("knot.sock")).args(["-b", "zone-reload", "chain.test"]));
}

fn main() -> ExitCode {
    let plan = Plan::read();
    namespace::guard();
    let folder = Folder::new(9000);
    let spaces: Vec<Namespace> = (0..2 + LEAVES).map(|number| Namespace::new(9000 + number, "chain")).collect();
    let wire = Wire::start(&spaces, Duration::from_secs_f64(plan.delay_ms / 1000.0), plan.loss_percent / 100.0);
    let servers = start_servers(&spaces, folder.path());
    let leaves: Vec<(&Namespace, Ipv4Addr)> =
        spaces.iter().enumerate().skip(2).map(|(number, space)| (space, own_address(number))).collect();
    let have = |wanted: u32| leaves.iter().all(|(space, address)| look(space, *address) == Some(Ok(wanted)));
    assert!(clock::wait_until(START_MAX, || have(1)), "the leaves do not start");

    let is_over = AtomicBool::new(false);
    let (serial, took, seen) = thread::scope(|scope| {
        let watches: Vec<_> =
            leaves.iter().map(|(space, address)| scope.spawn(|| watch(space, *address, &is_over))).collect();
        let (mut serial, end) = (1, Instant::now() + Duration::from_secs_f64(plan.minutes * 60.0));
        while Instant::now() < end {
            thread::sleep(CHANGE_EVERY);
            serial += 1;
            change(&spaces[0], folder.path(), serial);
        }
        // How long the last one takes to all of them.
        let start = Instant::now();
        let took = clock::wait_until(START_MAX, || have(serial)).then(|| start.elapsed());
        is_over.store(true, Ordering::SeqCst);
        let seen: Vec<Seen> = watches.into_iter().map(|watch| watch.join().expect("no panic")).collect();
        (serial, took, seen)
    });
    drop(servers);
    let (sent, lost) = wire.end();
    println!("{serial} versions; {sent} packets, {lost} lost, each {} ms on its way", plan.delay_ms);
    println!("the last version was at all leaves after {took:?}");
    seen.iter().for_each(|seen| println!("{seen:?}"));
    let is_good = |seen: &Seen| (seen.mixes, seen.back) == (0, 0) && seen.versions > 1;
    match took.is_some_and(|took| took <= CONVERGE_MAX) && seen.iter().all(is_good) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Looks at a leaf until the end.
fn watch(space: &Namespace, address: Ipv4Addr, is_over: &AtomicBool) -> Seen {
    let (mut seen, mut last) = (Seen::default(), 0);
    while !is_over.load(Ordering::SeqCst) {
        match look(space, address) {
            Some(Ok(serial)) => {
                seen.versions += u32::from(serial > last);
                seen.back += u32::from(serial < last);
                last = serial;
            }
            Some(Err(mix)) => {
                eprintln!("{address}: {mix}");
                seen.mixes += 1;
            }
            None => {}
        }
        seen.looks += 1;
        thread::sleep(LOOK_EVERY);
    }
    seen
}
