//! Millions of queries while zones are reloaded every second: none lost, no RCODE that the query file does not explain.
//!
//! `FATED_LOAD_QUERIES` is how many; the zone changes its serial and one record with every reload.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::message::Query;
use common::name::name;
use common::server::{Kind, Server, ZoneFile};
use common::{ask, must_skip, program};

/// How many queries are sent where nothing else is said.
const QUERIES: usize = 2_000_000;
/// The lines of the query file; dnsperf goes through it again and again.
const LINES: usize = 20_000;
/// Hosts of the zone.
const HOSTS: usize = 5_000;
/// How long dnsperf may take.
const SECONDS_MAX: usize = 280;
/// The time between two reloads.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

#[test]
fn no_query_is_lost_while_zones_are_reloaded_every_second() {
    if must_skip("load", &["dnsperf"]) {
        return;
    }
    let queries = std::env::var("FATED_LOAD_QUERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(QUERIES);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let zone = folder.path().join("load.test.zone");
    write_zone(&zone, 1);
    let file = folder.path().join("queries");
    // The share of each RCODE is that of the file, as long as dnsperf goes through all of it the same number of times.
    let rounds = queries.div_ceil(LINES);
    let expected = write_queries(&file);
    let server = Server::start(Kind::Fated, &[ZoneFile::new("load.test.", &zone)]);
    let is_over = AtomicBool::new(false);
    let (output, reloads) = std::thread::scope(|scope| {
        let reloads = scope.spawn(|| reload_until(&is_over, &server, &zone));
        let output = dnsperf(&server, &file, rounds);
        is_over.store(true, Ordering::Relaxed);
        (output, reloads.join().expect("every reload succeeds"))
    });
    eprintln!("{reloads} reloads during\n{output}");
    let count = |label: &str| number_behind(&output, label);
    assert_eq!(count("Queries sent:"), Some(rounds * LINES), "dnsperf was cut short");
    assert_eq!(count("Queries completed:"), Some(rounds * LINES));
    assert_eq!(count("Queries lost:"), Some(0));
    let codes = response_codes(&output);
    let [answered, missing, refused] = expected.map(|lines| lines * rounds);
    assert_eq!(
        codes,
        [("NOERROR", answered), ("NXDOMAIN", missing), ("REFUSED", refused)].map(|(code, n)| (code.to_owned(), n))
    );
    assert!(reloads >= 2, "the run was too short to reload during it: {reloads}");
    // What was reloaded last is what is served.
    let soa = ask::ask_udp(server.address, &Query::new(&name("load.test."), 6));
    let rdata = &soa.sections[0][0].rdata;
    let serial = &rdata[rdata.len() - 20..rdata.len() - 16];
    assert_eq!(serial, (reloads as u32 + 1).to_be_bytes(), "the serial of the last reload");
}

/// A zone whose serial and one address differ from reload to reload; everything asked for stays.
fn write_zone(path: &Path, serial: usize) {
    let mut text = format!(
        "$ORIGIN load.test.\n$TTL 300\n@ IN SOA ns hostmaster {serial} 7200 3600 1209600 300\n  IN NS ns\n\
         ns IN A 192.0.2.1\nserial IN TXT \"{serial}\"\n*.wild IN A 192.0.2.9\n\
         cut IN NS ns.cut\nns.cut IN A 192.0.2.8\n"
    );
    for host in 0..HOSTS {
        text.push_str(&format!("host{host} IN A 198.51.{}.{}\n", host / 256 % 256, host % 256));
    }
    // Written beside and renamed, so that no reload sees half a file.
    let beside = path.with_extension("new");
    fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).expect("the folder can be written to");
}

/// The query file; how many lines get NOERROR, NXDOMAIN and REFUSED.
fn write_queries(path: &Path) -> [usize; 3] {
    let mut text = String::new();
    let mut counts = [0; 3];
    for line in 0..LINES {
        let host = line % HOSTS;
        let (query, code) = match line % 10 {
            0..=4 => (format!("host{host}.load.test. A"), 0),
            5 => (format!("host{host}.load.test. AAAA"), 0),
            6 => (format!("x{line}.wild.load.test. A"), 0),
            7 => (format!("www.x{line}.cut.load.test. A"), 0),
            8 => (format!("missing{line}.load.test. A"), 1),
            _ => (format!("www{line}.example. A"), 2),
        };
        counts[code] += 1;
        text.push_str(&query);
        text.push('\n');
    }
    fs::write(path, text).expect("the folder can be written to");
    counts
}

/// Rewrites the zone and reloads it every second until asked to stop; returns how often, each time with success.
fn reload_until(is_over: &AtomicBool, server: &Server, zone: &Path) -> usize {
    let mut reloads = 0;
    let mut due = Instant::now() + RELOAD_INTERVAL;
    while !is_over.load(Ordering::Relaxed) {
        if Instant::now() < due {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        due += RELOAD_INTERVAL;
        write_zone(zone, reloads + 2);
        let mut command = Command::new(env!("CARGO_BIN_EXE_fated"));
        command.arg("reload").arg("--control").arg(server.control());
        let output = command.stdin(Stdio::null()).output().expect("the program starts");
        assert!(output.status.success(), "fated reload: {}", String::from_utf8_lossy(&output.stderr));
        reloads += 1;
    }
    reloads
}

/// Runs dnsperf through the file so many times and returns what it reports.
fn dnsperf(server: &Server, file: &Path, rounds: usize) -> String {
    let mut command = Command::new(program("dnsperf").expect("looked for before"));
    command.args(["-s", &server.address.ip().to_string(), "-p", &server.address.port().to_string(), "-d"]).arg(file);
    // Few enough under way that no socket buffer of the kernel's default size runs over; a query that is not answered
    // within ten seconds counts as lost.
    command.args(["-n", &rounds.to_string(), "-l", &SECONDS_MAX.to_string()]);
    command.args(["-c", "4", "-q", "100", "-t", "10"]);
    let output = command.stdin(Stdio::null()).output().expect("dnsperf starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "dnsperf: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The number behind a label of dnsperf's report.
fn number_behind(output: &str, label: &str) -> Option<usize> {
    let line = output.lines().find_map(|line| line.trim_start().strip_prefix(label))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The RCODEs of dnsperf's report, sorted: `NOERROR 16 (80.00%), NXDOMAIN 2 (10.00%), …`.
fn response_codes(output: &str) -> Vec<(String, usize)> {
    let line = output.lines().find_map(|line| line.trim_start().strip_prefix("Response codes:")).unwrap_or_default();
    let mut codes: Vec<(String, usize)> = line
        .split(',')
        .filter_map(|part| {
            let mut words = part.split_ascii_whitespace();
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
        })
        .collect();
    codes.sort();
    codes
}
