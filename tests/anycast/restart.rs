//! What a server that ends again and again does to the route, and what an end on purpose does not do.

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
