//! What a host with very many routes of its own costs the route thread, and what it hears of their churn: nothing.

use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

use fated::policy::Stance;

use crate::fixture::{Node, PATIENCE, in_namespace, ip, settings, stands, until};

/// How many routes the host has. The issue is a million; what the thread must not do shows with fewer, and takes less
/// of the machine that runs this.
const ROUTES: u32 = 200_000;
/// How long the thread is watched.
const WATCHED: Duration = Duration::from_secs(6);
/// The share of a CPU that the route thread may take at rest, in percent.
const SHARE_MAX: f64 = 2.0;

/// Runs `ip -batch` with one command for each number.
fn batch(count: u32, command: impl Fn(u32) -> String) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let lines: String = (0..count).map(|number| command(number) + "\n").collect();
    file.write_all(lines.as_bytes()).expect("it can be written");
    ip(&format!("-batch {}", file.path().display()));
}

/// The prefix of a number.
fn prefix(number: u32) -> String {
    let [_, one, two, three] = number.to_be_bytes();
    format!("{}.{two}.{three}.0/24", 11 + u32::from(one))
}

/// The CPU time that this namespace's route thread has had.
fn cpu_time() -> Duration {
    let here = fs::read_link("/proc/thread-self/ns/net").expect("procfs");
    let tasks = fs::read_dir("/proc/self/task").expect("procfs").flatten().map(|task| task.path());
    let is_it = |task: &std::path::PathBuf| {
        fs::read_link(task.join("ns/net")).is_ok_and(|there| there == here)
            && fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "route")
    };
    let task = tasks.into_iter().find(is_it).expect("the route thread runs");
    let text = fs::read_to_string(task.join("schedstat")).expect("procfs");
    let nanos = text.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    Duration::from_nanos(nanos)
}

/// The share of a CPU in percent that the route thread takes while time goes by.
fn share() -> f64 {
    let before = cpu_time();
    thread::sleep(WATCHED);
    let share = (cpu_time() - before).as_secs_f64() / WATCHED.as_secs_f64() * 100.0;
    eprintln!("measured: the route thread takes {share:.2} % of a CPU");
    share
}

/// A device that others' routes lead to.
fn make_uplink() {
    ip("link add veth0 type veth peer name veth1");
    ip("link set veth0 up");
    ip("link set veth1 up");
}

#[test]
fn very_many_routes_of_the_host_cost_nothing_and_their_churn_is_not_heard() {
    in_namespace(|| {
        make_uplink();
        batch(ROUTES, |number| format!("route add {} dev veth0", prefix(number)));
        let node = Node::start(settings(&["192.0.2.53/32", "2001:db8::53/128"]));
        node.announce();
        let share = share();
        assert!(share < SHARE_MAX, "{share} %");
        let before = cpu_time();
        batch(20_000, |number| {
            format!("route {} {} dev veth0", ["del", "add"][number as usize % 2], prefix(number / 2))
        });
        eprintln!("measured: a churn of 20,000 changes costs {:?}", cpu_time() - before);
        assert!(cpu_time() - before < Duration::from_millis(200));
        ip("addr del 192.0.2.53/32 dev fated0");
        until("the address is back", || stands("fated0", "192.0.2.53/32"));
        ip("route del local 192.0.2.53 dev fated0rx table local");
        let is_back = node.driver.wait(PATIENCE, |seen| seen.is_settled && seen.counters.routes_removed == 1);
        let counters = node.driver.seen().counters;
        assert!(is_back, "{counters:?}");
        assert_eq!((counters.notifications_lost, counters.requests_failed), (0, 0), "{counters:?}");
    });
}

#[test]
fn as_many_addresses_as_there_may_be_are_held_for_little() {
    in_namespace(|| {
        let addresses: Vec<String> =
            (1..=32).flat_map(|n| [format!("192.0.2.{n}/32"), format!("2001:db8::{n}/128")]).collect();
        let node = Node::start(settings(&addresses.iter().map(String::as_str).collect::<Vec<_>>()));
        node.announce();
        let share = share();
        assert!(share < SHARE_MAX, "{share} %");
        assert!(node.driver.seen().addresses.iter().all(|address| address.is_announced));
        node.want_all(Stance::Withdraw);
        assert!(node.driver.wait(PATIENCE, |seen| seen.addresses.iter().all(|address| !address.is_announced)));
    });
}
