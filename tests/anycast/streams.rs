//! TCP under pressure from outside: whatever strangers take up, nothing is withdrawn, UDP is unharmed, and a new client
//! over TCP is served at once.

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use crate::common::sign::{Denial, sign};
use crate::common::site::fault::Wedge;
use crate::common::site::strangers::{
    FORGED_SYNS, address, ask, connect_and_leave, crowd, fill, framed, newcomers_are_served, route_strangers,
    send_forged_syns, send_syns, storm,
};
use crate::common::site::subject::{Fated, threads_of};
use crate::common::site::{Family, Fault, Routing, clock};
use crate::scene::{PATIENCE, PROGRAM, Scene, measured};

/// How long pressure lasts: time for eight queries of the prover over TCP, of which three are enough for a withdrawal.
const PRESSURE: Duration = Duration::from_secs(9);
/// How many strangers ask at once for what costs the server a lot.
const BUSY_CLIENTS: u16 = 60;
/// Threads of a storm.
const STORM_THREADS: u16 = 8;
/// The share of UDP queries that may take too long while strangers take as much CPU as they can get: one in so many.
const LOST_SHARE: usize = 10;
/// For so long, and no longer, no query at all may be answered then.
const DARK_MAX: Duration = Duration::from_millis(500);
/// So many of the prover's queries over TCP may be late on a machine that has other work; three in a row would
/// withdraw.
const MISSES_MAX: usize = 1;
/// The port that forged packets come from.
const FORGED_PORT: u16 = 40_000;
/// Where a test listens.
const OWN_PORT: u16 = 5300;

/// Waits as long as pressure lasts, and asks over TCP as new clients meanwhile.
fn endure(scene: &Scene) {
    let end = clock::now() + PRESSURE;
    clock::wait_until(PRESSURE * 4, || {
        assert!(newcomers_are_served(&scene.site), "{}", scene.site.logs());
        clock::now() > end
    });
}

/// What must hold whatever strangers did since a moment. No more than one UDP query in `lost_share` may be lost, none
/// with 0.
fn assert_unharmed(scene: &Scene, since: Duration, lost_share: usize) {
    assert_eq!(scene.withdrawals(), [0, 0], "{}", scene.site.logs());
    scene.assert_route_untouched(since);
    let report = scene.report_since(since);
    let lost_max = report.sent.checked_div(lost_share).unwrap_or(0);
    assert!(
        report.sent > 1000 && report.lost <= lost_max && report.dark < DARK_MAX,
        "{report:?}: {}",
        scene.site.logs()
    );
    let log = scene.log();
    assert!(log.matches("no answer over TCP").count() <= MISSES_MAX, "{log}");
}

/// Sets `[server.tcp]` of node1 and starts it anew.
fn set_tcp(scene: &mut Scene, plain: &str, tcp: &str) {
    let file = scene.node().folder.join("fated.toml");
    fs::write(&file, format!("{plain}\n[server.tcp]\n{tcp}\n")).expect("the folder can be written to");
    let _old = fs::remove_file(scene.node().log());
    scene.restart();
}

/// How many of the connections the server has closed.
fn closed(streams: &mut [TcpStream]) -> usize {
    let is_closed = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).expect("the option is there");
        !stream.read(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    streams.iter_mut().filter_map(|stream| is_closed(stream).then_some(())).count()
}

#[test]
fn silent_clients_that_take_every_connection_withdraw_nothing() {
    let test = "silent_clients_that_take_every_connection_withdraw_nothing";
    let Some(mut scene) = Scene::build_alone(test, Fated::new(PROGRAM)) else { return };
    route_strangers(&scene.site);
    let plain = fs::read_to_string(scene.node().folder.join("fated.toml")).expect("it was written");
    let _limit = fated::sys::limits::raise_open_files();
    // The limits, which none of them reaches by falling silent; who comes: family, networks, addresses in each,
    // connections of each; and how many more than are allowed.
    let idle = "idle-timeout = \"1h\"";
    for (tcp, (family, networks, hosts, each), surplus) in [
        ("clients-max = 100", (Family::V4, 1, 1, 100), 0),
        ("clients-max = 100", (Family::V6, 5, 5, 5), 25),
        ("clients-max = 1", (Family::V4, 1, 1, 3), 2),
        ("clients-per-address-max = 3", (Family::V4, 1, 1, 20), 17),
        ("clients-per-network-max = 3", (Family::V6, 1, 20, 1), 17),
        // The defaults: from 41 addresses, and from 40 /64s of one host.
        ("", (Family::V4, 41, 1, 400), 16),
        ("", (Family::V6, 1, 40, 410), 40 * 410 - 2048),
    ] {
        set_tcp(&mut scene, &plain, &format!("{tcp}\n{idle}"));
        let from = clock::now();
        let mut silent = fill(&scene.site, crowd(family, networks, hosts, each), &[]);
        measured(&format!("{tcp:?}: {} clients have come", silent.len()), clock::now() - from);
        endure(&scene);
        assert_unharmed(&scene, from, 0);
        // Those who were too many made room, and those who made room for the newcomers, one after the other.
        let closed = closed(&mut silent);
        assert!((surplus..=surplus + 2).contains(&closed) || networks * hosts < 2, "{tcp:?}: {closed} were closed");
        eprintln!("{tcp:?}: of {} silent clients {closed} were closed", silent.len());
    }
}

#[test]
fn clients_that_take_every_descriptor_withdraw_nothing() {
    let test = "clients_that_take_every_descriptor_withdraw_nothing";
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let script = folder.path().join("fated-1024");
    fs::write(&script, format!("#!/bin/sh\nulimit -n 1024\nexec {PROGRAM} \"$@\"\n")).expect("it can be written to");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let Some(mut scene) = Scene::build_alone(test, Fated::new(&script)) else { return };
    route_strangers(&scene.site);
    assert!(scene.log().contains("lowers the number of TCP clients"), "{}", scene.log());
    let from = clock::now();
    let silent = fill(&scene.site, (0..800).map(|host| address(Family::V4, host / 200, host % 200 + 1)), &[]);
    endure(&scene);
    assert_unharmed(&scene, from, 0);
    // There are still descriptors for everything else.
    let (code, _, error) = scene.ask(&["reload", "site.test"]);
    assert_eq!(code, Some(0), "{error}");
    // Somebody takes descriptors away from a server that is full: what is there makes room until accepting works again.
    let process = scene.process();
    scene.node().space.output(Command::new("prlimit").arg("--nofile=400:400").args(["--pid", &process.to_string()]));
    scene.until("new clients are served again", PATIENCE, |scene| newcomers_are_served(&scene.site));
    endure(&scene);
    assert_eq!(scene.withdrawals(), [0, 0], "{}", scene.site.logs());
    scene.assert_route_untouched(from);
    drop(silent);
}

#[test]
fn clients_that_keep_tcp_busy_withdraw_nothing() {
    let test = "clients_that_keep_tcp_busy_withdraw_nothing";
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    if crate::common::must_skip(test, &["dnssec-signzone", "dnssec-keygen"]) {
        return;
    }
    let text = "$ORIGIN heavy.test.\n$TTL 300\n@ SOA ns h 1 3600 900 604800 300\n@ NS ns\nns A 192.0.2.1\n";
    let zone = folder.path().join("heavy.test.zone");
    fs::write(&zone, sign(folder.path(), "heavy.test.", text, Denial::ManyHashes).text).expect("it can be written to");
    let more = format!("[[zone]]\nname = \"heavy.test\"\nfile = \"{}\"", zone.display());
    let Some(mut scene) = Scene::build_alone(test, Fated { more, ..Fated::new(PROGRAM) }) else { return };
    route_strangers(&scene.site);
    let from = clock::now();
    // Each asks for names that are not there, far more than one turn can answer, and reads what comes.
    let queries = framed("absent.heavy.test.", 1).repeat(2000);
    let ask_all = |number: u16| {
        let source = address(Family::ALL[usize::from(number) % 2], number, 1);
        for mut stream in fill(&scene.site, std::iter::once(source), &queries) {
            while stream.read(&mut [0; 1 << 16]).is_ok_and(|count| count > 0) {}
        }
    };
    storm(&scene.site, BUSY_CLIENTS, PRESSURE, ask_all, || assert!(newcomers_are_served(&scene.site)));
    assert_unharmed(&scene, from, LOST_SHARE);
    // The same who do not read: they are given up, one after the other.
    let from = clock::now();
    let many = framed("heavy.test.", 48).repeat(2000);
    let stalled = fill(&scene.site, (0..1300).map(|host| address(Family::V4, host / 200, host % 200 + 1)), &many);
    endure(&scene);
    assert_unharmed(&scene, from, LOST_SHARE);
    drop(stalled);
    // Those who come and go as fast as they can.
    let from = clock::now();
    storm(&scene.site, STORM_THREADS, PRESSURE, connect_and_leave, || assert!(newcomers_are_served(&scene.site)));
    assert_unharmed(&scene, from, LOST_SHARE);
    // Handshakes that nobody finishes, with cookies and without: without, the queue is full, and TCP waits for its end.
    scene.site.router.ip("route add blackhole 203.0.113.0/24");
    for cookies in ["1", "0"] {
        let from = clock::now();
        scene.node().space.set(&[("net/ipv4/tcp_syncookies", cookies), ("net/ipv4/tcp_max_syn_backlog", "256")]);
        storm(&scene.site, STORM_THREADS, PRESSURE, send_syns, || {
            assert!(cookies == "0" || newcomers_are_served(&scene.site), "{}", scene.site.logs());
        });
        assert_unharmed(&scene, from, LOST_SHARE);
    }
    assert!(scene.log().contains("overload"), "a queue that is full is logged: {}", scene.log());
}

#[test]
fn a_prober_of_tcp_that_hangs_is_replaced_and_dead_tcp_is_seen_after_that() {
    let test = "a_prober_of_tcp_that_hangs_is_replaced_and_dead_tcp_is_seen_after_that";
    let Some(mut scene) = Scene::build(test, Routing::BirdBgp) else { return };
    let from = clock::now();
    let threads = threads_of(scene.process(), "prover-tcp");
    assert_eq!(threads.len(), 1);
    let wedge = Wedge::put(threads[0]);
    let took = scene.until("it is replaced", PATIENCE, |scene| threads_of(scene.process(), "prover-tcp").len() == 2);
    measured("prover-tcp hangs: replaced", took);
    scene.assert_route_untouched(from);
    Fault::MuteTcp.put(scene.node());
    scene.until_away(PATIENCE);
    Fault::MuteTcp.lift(scene.node());
    scene.until_well();
    drop(wedge);
    scene.until("the old one ends", PATIENCE, |scene| threads_of(scene.process(), "prover-tcp").len() == 1);
}

#[test]
fn nobody_outside_comes_from_the_address_that_the_prover_comes_from() {
    let test = "nobody_outside_comes_from_the_address_that_the_prover_comes_from";
    let Some(mut scene) = Scene::build(test, Routing::BirdBgp) else { return };
    scene.table(&format!(
        "chain count {{ type filter hook prerouting priority -300; \
         iifname \"eth0\" tcp sport {FORGED_PORT} counter; }};"
    ));
    // Listeners of ours on the service addresses of node1, to which nobody else connects.
    let listeners = scene.site.nodes[0].space.run(|| {
        Family::ALL.map(|family| {
            let listener = TcpListener::bind((family.service(), OWN_PORT)).expect("it is there, and the port is free");
            listener.set_nonblocking(true).expect("the option is there");
            listener
        })
    });
    scene.site.client.run(|| Family::ALL.map(|family| send_forged_syns(family, FORGED_PORT, OWN_PORT)));
    let counted = |scene: &Scene| {
        let mut list = Command::new("nft");
        let text = scene.site.nodes[0].space.output(list.args(["list", "table", "inet", "anycast_test"]));
        text.split("packets ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(0)
    };
    scene.until("the forged packets have come", PATIENCE, |scene| counted(scene) >= 2 * FORGED_SYNS);
    // Somebody who is there gets in; they came behind the others.
    for (family, listener) in Family::ALL.into_iter().zip(&listeners) {
        let own = scene.site.client.run(|| TcpStream::connect((family.service(), OWN_PORT)).expect("it listens"));
        let (_stream, from) = listener.accept().expect("it is connected");
        assert_eq!(from.port(), own.local_addr().expect("it is connected").port());
        assert_eq!(listener.accept().map_err(|error| error.kind()).err(), Some(ErrorKind::WouldBlock), "{family:?}");
    }
}

#[test]
fn a_long_answer_passes_a_path_that_is_narrow_and_does_not_say_so() {
    let test = "a_long_answer_passes_a_path_that_is_narrow_and_does_not_say_so";
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut text = "$ORIGIN long.test.\n$TTL 300\n@ SOA ns h 1 3600 900 604800 300\n@ NS ns.site.test.\n".to_owned();
    for record in 0..60 {
        text.push_str(&format!("@ TXT \"{record:0>200}\"\n"));
    }
    let zone = folder.path().join("long.test.zone");
    fs::write(&zone, text).expect("the folder can be written to");
    let more = format!("[[zone]]\nname = \"long.test\"\nfile = \"{}\"", zone.display());
    let Some(mut scene) = Scene::build_with(test, Routing::BirdBgp, Fated { more, ..Fated::new(PROGRAM) }) else {
        return;
    };
    route_strangers(&scene.site);
    // The router's way to the client carries 1280 octets, which neither end knows; what is too long is lost without a
    // word.
    scene.site.router.ip("link set client mtu 1280");
    let silence = "table inet narrow { chain output { type filter hook output priority 0; \
                   icmp type destination-unreachable drop; icmpv6 type packet-too-big drop; }; }";
    scene.site.router.output(Command::new("nft").arg(silence));
    let is_answered = |scene: &Scene, family| {
        let answer = ask(&scene.site, address(family, 1, 1), "long.test.", 16);
        answer.is_ok_and(|reply| reply.sections[0].len() == 60)
    };
    for family in Family::ALL {
        assert!(is_answered(&scene, family), "{family:?}: {}", scene.site.logs());
    }
    // The path is as narrow as it should be: segments as long as the ends' devices would have them do not pass.
    let plain = fs::read_to_string(scene.node().folder.join("fated.toml")).expect("it was written");
    set_tcp(&mut scene, &plain, "mss = 1460");
    for family in Family::ALL {
        assert!(!is_answered(&scene, family), "{family:?}");
    }
}
