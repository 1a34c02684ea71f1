//! What a server that ends again and again does to the route, and what an end on purpose does not do.

use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::site::clock;
use crate::common::site::namespace::Daemon;
use crate::scene::{PATIENCE, PROGRAM};
use crate::start::Host;

/// How long the server is made to crash.
const LOOP: Duration = Duration::from_secs(45);
/// What the log says at a start after a crash.
const CRASHED: &str = "the run before ended without withdrawing it";

/// Starts a server that remembers.
fn start(host: &Host) -> Daemon {
    host.start(host.command(&["env"]).args(["--state-dir", "state"]))
}

/// How often the log says something.
fn count(host: &Host, text: &str) -> usize {
    host.log().lines().filter(|line| line.contains(text)).count()
}

#[test]
fn a_crash_loop_is_announced_a_few_times_and_an_end_on_purpose_is_no_crash() {
    let test = "a_crash_loop_is_announced_a_few_times_and_an_end_on_purpose_is_no_crash";
    let Some(host) = Host::new(test) else { return };
    let begin = clock::now();
    let mut announcements = 0;
    while clock::now() - begin < LOOP {
        let server = start(&host);
        let left = LOOP.saturating_sub(clock::now() - begin);
        let is_announced = || host.shown("addr").contains("192.0.2.53/32");
        announcements += usize::from(clock::wait_until(left, is_announced));
        // Killed, as soon as it is announced.
        drop(server);
    }
    eprintln!("measured: {announcements} announcements in {LOOP:?}");
    assert!((2..=5).contains(&announcements), "{announcements}: {}", host.log());
    assert!(count(&host, CRASHED) >= 2, "{}", host.log());

    // The operator has looked, and ends the hold-down.
    let mut server = start(&host);
    let resume = || {
        let mut command = Command::new(PROGRAM);
        command.args(["resume", "--control"]).arg(host.path("control.sock"));
        command.output().expect("fated starts").status.success()
    };
    assert!(clock::wait_until(PATIENCE, resume), "{}", host.log());
    host.until("announce", true);
    let before = count(&host, CRASHED);
    server.signal(Signal::SIGTERM);
    assert!(clock::wait_until(PATIENCE, || server.ended().is_some()), "{}", host.log());
    let held = count(&host, "the address is held down");
    let _server = start(&host);
    host.until("announce", true);
    assert_eq!(count(&host, CRASHED), before, "{}", host.log());
    assert_eq!(count(&host, "the address is held down"), held, "{}", host.log());
}

/// Where the primary is asked.
const PRIMARY: &str = "127.0.0.1:5399";

/// Has the host's server keep a zone from the primary beside its own, and wait for it at most so long.
fn follow_primary(host: &Host, wait: &str) {
    host.configure(&format!(
        "zones-wait = \"{wait}\"\n[[zone]]\nname = \"followed.test\"\nprimaries = [{{ address = \"{PRIMARY}\" }}]"
    ));
}

/// Starts the primary, whose zone has that REFRESH and RETRY.
fn start_primary(host: &Host, timers: &str) -> Daemon {
    let zone = format!("@ 300 SOA ns h 1 {timers} 604800 300\n@ 300 NS ns\nns 300 A 192.0.2.1\n");
    fs::write(host.path("followed.test.zone"), zone).expect("the folder can be written to");
    let text = format!(
        "[server]\nlisten = [\"{PRIMARY}\"]\ncontrol = \"primary.sock\"\n[[zone]]\nname = \"followed.test\"\n\
         file = \"followed.test.zone\"\nallow-transfer = [{{ prefix = \"127.0.0.1\" }}]\n"
    );
    fs::write(host.path("primary.toml"), text).expect("the folder can be written to");
    let mut command = Command::new(PROGRAM);
    host.space.start(command.args(["serve", "--config"]).arg(host.path("primary.toml")), &host.path("primary.log"))
}

#[test]
fn a_node_announces_when_its_zones_are_there() {
    let Some(host) = Host::new("a_node_announces_when_its_zones_are_there") else { return };
    follow_primary(&host, "10m");
    let server = start(&host);
    let reason = || host.addresses().map(|addresses| addresses[0]["reason"].to_string()).unwrap_or_default();
    let waits = || reason().contains("not come from their primaries yet: 1");
    assert!(clock::wait_until(PATIENCE, waits), "{}: {}", reason(), host.log());
    host.until("withdraw", false);
    let primary = start_primary(&host, "3600 900");
    host.until("announce", true);
    // It is kept: the next start waits for nobody, whether the primary answers or not. That of a crash is held down.
    drop((server, primary));
    let before = count(&host, "zones-awaited");
    let server = start(&host);
    host.until("announce", true);
    assert_eq!(count(&host, "zones-awaited"), before, "{}", host.log());
    drop(server);

    // One that has nothing waits for so long and says that it announces without the zone.
    fs::remove_dir_all(host.path("state")).expect("it is ours");
    follow_primary(&host, "3s");
    assert_eq!(count(&host, "`anycast.zones-wait` is over"), 0);
    let _server = start(&host);
    host.until("announce", true);
    assert_eq!(count(&host, "`anycast.zones-wait` is over"), 1, "{}", host.log());
}

#[test]
fn a_dead_primary_is_everybodys_fault_and_degrades_where_that_is_wanted() {
    let test = "a_dead_primary_is_everybodys_fault_and_degrades_where_that_is_wanted";
    let Some(host) = Host::new(test) else { return };
    let follow = |health: &str| {
        host.configure(&format!(
            "[anycast.health]\n{health}\n[[zone]]\nname = \"followed.test\"\n\
             primaries = [{{ address = \"{PRIMARY}\" }}]"
        ));
    };
    let is = |stance: &str, reason: &str| {
        let so = |address: &serde_json::Value| {
            let is_why = address["reason"].to_string().contains(reason);
            address["stance"] == stance && address["announced"] == true && is_why
        };
        let holds = || host.addresses().is_some_and(|addresses| addresses.iter().all(so));
        assert!(clock::wait_until(PATIENCE, holds), "{stance} {reason}: {:?}: {}", host.addresses(), host.log());
    };
    follow("");
    let (server, primary) = (start(&host), start_primary(&host, "2 2"));
    is("announce", "answer right");
    drop(primary);
    is("announce", "zones are late");
    let primary = start_primary(&host, "2 2");
    is("announce", "answer right");
    drop((server, primary));
    follow("on-shared-fault = \"degrade\"\nlate-zones = 1");
    let (_server, primary) = (start(&host), start_primary(&host, "2 2"));
    is("announce", "answer right");
    drop(primary);
    is("degrade", "zones are late");
    let _primary = start_primary(&host, "2 2");
    is("announce", "answer right");
}
