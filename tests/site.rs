//! The site that the anycast tests and the lab use keeps its own promises: proved with NSD as a stand-in, on each kind
//! of routing, so that a figure of the lab says something about the server and not about the measure.

mod common;

use std::fs::DirEntry;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::message::Query;
use common::name;
use common::server::{Kind, Server, ZoneFile};
use common::site::fault::Wedge;
use common::site::subject::{Tuning, workers_of_fated};
use common::site::{Fault, NodeNumber, Plan, Round, Routing, Site, Subject, clock, namespace};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a fault may last here when nothing sees it.
const BOUND: Duration = Duration::from_secs(6);
/// A dark time that routing alone stays below, even on a busy machine; unseen faults are dark for [`BOUND`].
const ROUTED: Duration = Duration::from_secs(3);
/// How long an interrupted run may take to remove everything.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// A site with the stand-in.
fn stand_in(routing: Routing) -> Plan {
    Plan { rate: 500, ..Plan::new(Subject::StandIn, routing) }
}

/// What must hold of a round that routing ends: node2 takes over, the client sees it, node1 comes back.
fn assert_taken_over(round: &Round) {
    let change = round.route_change.unwrap_or_else(|| panic!("{}: the route stays", round.fault));
    assert!(change < ROUTED, "{}: the route goes after {change:?}", round.fault);
    assert!(round.during.dark < ROUTED, "{}: {:?}", round.fault, round.during);
    assert!(round.during.by_node.contains_key(&NodeNumber::SECOND), "{}: {:?}", round.fault, round.during);
    assert_eq!((round.during.wrong, round.during.duplicates), (0, 0), "{}: {:?}", round.fault, round.during);
    assert!(round.back_at.is_some(), "{}: node1 does not come back", round.fault);
}

/// What must hold of a node that left on purpose.
fn assert_none_lost(round: &Round) {
    assert_eq!((round.during.lost, round.after.lost), (0, 0), "{}: {round:?}", round.fault);
}

#[test]
fn a_killed_node_is_replaced_and_comes_back_with_bird_and_bgp() {
    let plan = stand_in(Routing::BirdBgp);
    if plan.must_skip("a_killed_node_is_replaced_and_comes_back_with_bird_and_bgp") {
        return;
    }
    let mut site = Site::build(&plan);
    let killed = site.round(Fault::Kill, BOUND);
    assert_taken_over(&killed);
    assert!(killed.during.lost > 0, "the kill is not seen at all: {killed:?}");
    let drained = site.round(Fault::Drain, BOUND);
    assert_taken_over(&drained);
    assert_none_lost(&drained);
    assert!(site.round(Fault::Terminate, BOUND).during.lost > 0, "the end is not seen at all");
}

#[test]
fn a_killed_node_is_replaced_and_comes_back_with_bird_and_ospf() {
    let plan = stand_in(Routing::BirdOspf);
    if plan.must_skip("a_killed_node_is_replaced_and_comes_back_with_bird_and_ospf") {
        return;
    }
    let mut site = Site::build(&plan);
    assert_taken_over(&site.round(Fault::Kill, BOUND));
    assert_taken_over(&site.round(Fault::Drain, BOUND));
}

#[test]
fn a_killed_node_is_replaced_and_comes_back_with_frr() {
    let plan = stand_in(Routing::Frr);
    if plan.must_skip("a_killed_node_is_replaced_and_comes_back_with_frr") {
        return;
    }
    let mut site = Site::build(&plan);
    assert_taken_over(&site.round(Fault::Kill, BOUND));
    assert_none_lost(&site.round(Fault::Drain, BOUND));
}

#[test]
fn each_fault_that_nobody_sees_does_what_it_says_and_ends() {
    let plan = stand_in(Routing::BirdBgp);
    if plan.must_skip("each_fault_that_nobody_sees_does_what_it_says_and_ends") {
        return;
    }
    let mut site = Site::build(&plan);
    for fault in [Fault::Freeze, Fault::Mute] {
        let round = site.round(fault, BOUND);
        // The last second before the end may be answered late, once the server goes on.
        assert!(round.during.dark > BOUND - Duration::from_secs(2), "{fault}: {:?}", round.during);
        assert_eq!(round.route_change, None, "{fault}");
        assert!(round.back_at.is_some(), "{fault} does not end");
    }
    let wedged = site.round(Fault::WedgeOne, BOUND);
    let (lost, sent) = (wedged.during.lost, wedged.during.sent);
    assert!(lost > sent / 10 && lost < sent * 9 / 10, "one of two workers: {lost} of {sent} lost");
    assert!(wedged.back_at.is_some(), "the worker goes on");
    for fault in [Fault::MuteTcp, Fault::Saturate] {
        let round = site.round(fault, BOUND);
        assert_eq!(round.route_change, None, "{fault}");
        assert!(round.back_at.is_some(), "{fault} does not end");
    }
    assert_taken_over(&site.round(Fault::AddressGone, BOUND));
}

#[test]
fn the_pair_of_nsd_and_exabgp_withdraws_a_killed_server() {
    let plan = Plan { rate: 500, bulk_names: 1000, ..Plan::new(Subject::Pair(Tuning::Tuned), Routing::BirdBgp) };
    if plan.must_skip("the_pair_of_nsd_and_exabgp_withdraws_a_killed_server") {
        return;
    }
    let mut site = Site::build(&plan);
    let round = site.round(Fault::Kill, Duration::from_secs(20));
    assert!(round.route_change.is_some() && round.back_at.is_some(), "{round:?}");
    let drained = site.round(Fault::Drain, Duration::from_secs(20));
    assert_none_lost(&drained);
}

/// Is run by the next tests as a process of its own.
#[test]
#[ignore = "waits to be interrupted"]
fn waits_with_a_site() {
    let site = Site::build(&stand_in(Routing::BirdBgp));
    // Straight to the process's stdout, which the test harness does not hold back.
    let line = format!("{}\n", site.router.name());
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).expect("stdout is a pipe");
    clock::wait_until(Duration::from_secs(60), || false);
}

/// Runs [`waits_with_a_site`] as a process of its own until its site stands.
fn start_waiting() -> Child {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args(["--exact", "waits_with_a_site", "--ignored", "--nocapture"]).process_group(0);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("this program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines().map_while(Result::ok);
    let own = names_of(child.id());
    assert!(lines.any(|line| line.contains(&own)), "the site does not stand");
    assert!(!left_of(child.id()).is_empty(), "namespaces and processes are not found");
    child
}

/// What the names of a process's namespaces and folders begin with.
fn names_of(process: u32) -> String {
    format!("fatedsite-{process}-")
}

/// The namespaces, folders and processes of a run that are there.
fn left_of(process: u32) -> Vec<PathBuf> {
    let own = names_of(process);
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let has_name = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with(&own);
    let names_it = |entry: &DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&own)
    };
    let folders = entries(Path::new("/run/netns")).chain(entries(&std::env::temp_dir())).filter(has_name);
    folders.chain(entries(Path::new("/proc")).filter(names_it)).map(|entry| entry.path()).collect()
}

#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    if stand_in(Routing::BirdBgp).must_skip("an_interrupted_run_leaves_nothing_behind") {
        return;
    }
    let mut child = start_waiting();
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("the child is there");
    let ended = clock::wait_until(END_PATIENCE, || child.try_wait().expect("a child can be waited for").is_some());
    assert!(ended, "it does not end");
    assert_eq!(child.wait().expect("it has ended").code(), Some(130));
    assert_eq!(left_of(child.id()), Vec::<PathBuf>::new());
}

#[test]
fn what_a_killed_run_left_is_swept_away() {
    if stand_in(Routing::BirdBgp).must_skip("what_a_killed_run_left_is_swept_away") {
        return;
    }
    let mut child = start_waiting();
    child.kill().expect("the child is there");
    child.wait().expect("it has ended");
    namespace::sweep();
    assert_eq!(left_of(child.id()), Vec::<PathBuf>::new());
}

#[test]
fn a_wedged_worker_of_fated_keeps_its_share_and_answers_it_when_it_goes_on() {
    let zone =
        ZoneFile::new("site.test.", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/site/site.test.zone"));
    let mut server = Server::start(Kind::Fated, &[zone]);
    let process = Pid::from_raw(server.process().id().cast_signed());
    // One worker may answer before the other has its name.
    let has_both = clock::wait_until(END_PATIENCE, || workers_of_fated(process).len() == 2);
    let workers = workers_of_fated(process);
    assert!(has_both, "{workers:?}");
    let wedge = Wedge::put(workers[0]);
    let query = Query::new(&name::name("a.site.test."), 1).encode(7);
    // 64 ports: that all of them fall to one of two workers happens once in 2^63 runs.
    let sockets: Vec<UdpSocket> = (0..64).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port")).collect();
    for socket in &sockets {
        socket.send_to(&query, server.address).expect("loopback takes a query");
    }
    let is_answered = |socket: &&UdpSocket, patience: Duration| {
        socket.set_read_timeout(Some(patience)).expect("a socket takes a timeout");
        socket.recv(&mut [0; 512]).is_ok()
    };
    let (_, silent): (Vec<_>, Vec<_>) =
        sockets.iter().partition(|socket| is_answered(socket, Duration::from_millis(50)));
    assert!(!silent.is_empty() && silent.len() < sockets.len(), "{} of {} silent", silent.len(), sockets.len());
    drop(wedge);
    assert!(silent.iter().all(|socket| is_answered(socket, Duration::from_secs(5))), "what was queued is lost");
}
