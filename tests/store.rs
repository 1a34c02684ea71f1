//! Zones that came by transfer outlive whatever happens to process, file and disk: what is read back is a version that
//! existed whole, or nothing.

#[path = "common/mod.rs"]
mod common;
#[path = "store/versions.rs"]
mod versions;

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::{Dice, skip_loudly};
use fated::store::{LoadPlan, NotStored, Store, StoreError, StoredZone};
use fated::transfer::Times;
use fated::zonebuild::{Executor, Inline};
use versions::{SEED, name, steps, text, version};

/// The database in its folder.
const FILE: &str = "transfers.redb";
/// Where a damaged one is kept.
const DAMAGED_FILE: &str = "transfers.redb.damaged";
/// Octets of steps that are kept for secondaries.
const JOURNAL_BYTES_MAX: usize = 1 << 20;
/// The zones of the tests in which a process is killed, with their hosts.
const ZONES: [(&str, u32); 3] = [("small.test.", 3), ("middle.test.", 200), ("big.test.", 4000)];

fn open(folder: &Path) -> Store {
    Store::open(folder, JOURNAL_BYTES_MAX).expect("a thread is there to be had")
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(future)
}

fn load(store: &Store, zone: &str) -> Result<StoredZone, NotStored> {
    store.load(&[name(zone)], LoadPlan { seed: SEED, now: 0, executor: &Inline }).remove(0)
}

/// The serial of a zone that is stored; it must be what that version was.
fn serial(store: &Store, zone: &str, hosts: u32) -> Result<u32, NotStored> {
    let stored = load(store, zone)?;
    let serial = stored.zone.serial();
    assert!(text(&stored.zone) == text(&version(zone, hosts, serial)), "{zone} {serial} never was so");
    if !stored.journal.is_empty() {
        assert_eq!(stored.journal.last_serial(), Some(serial));
    }
    Ok(serial)
}

fn put(store: &Store, zone: &str, hosts: u32, serial: u32) -> Result<(), StoreError> {
    wait(store.put_zone(Arc::new(version(zone, hosts, serial)), Times::default()))
}

fn change(store: &Store, zone: &str, hosts: u32, from: u32, to: u32) -> Result<(), StoreError> {
    let (zone, changes) = steps(zone, hosts, from, to);
    wait(store.put_changes(zone, changes, Times::default()))
}

#[test]
fn what_was_stored_last_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let times = |at| Times { checked_at: Duration::from_secs(at), expires_at: Duration::from_secs(at + 9) };
    let store = open(folder.path());
    assert_eq!(load(&store, "a.test.").expect_err("nothing is there"), NotStored::Absent);
    put(&store, "a.test.", 100, 10).expect("it is stored");
    put(&store, "b.test.", 7, 1).expect("it is stored");
    put(&store, "c.test.", 7, 1).expect("it is stored");
    change(&store, "a.test.", 100, 10, 13).expect("it is stored");
    let (zone, changes) = steps("a.test.", 100, 13, 14);
    wait(store.put_changes(zone, changes, times(7))).expect("it is stored");
    wait(store.put_times(name("B.test.").as_ref(), times(8))).expect("it is noted");
    wait(store.remove(name("c.test.").as_ref())).expect("it is forgotten");
    wait(store.remove(name("d.test.").as_ref())).expect("it never was there");
    drop(store);
    let store = open(folder.path());
    assert_eq!((serial(&store, "a.test.", 100), serial(&store, "b.test.", 7)), (Ok(14), Ok(1)));
    assert_eq!(load(&store, "c.test.").expect_err("it was removed"), NotStored::Absent);
    let [a, b] = ["a.test.", "b.test."].map(|zone| load(&store, zone).expect("it is there"));
    assert_eq!((a.times, b.times), (times(7), times(8)));
    let journal = a.journal.since(10, 14, usize::MAX).expect("all steps are there");
    let expected = steps("a.test.", 100, 10, 14).1;
    assert!(journal.eq(expected) && b.journal.is_empty());
    put(&store, "a.test.", 100, 3).expect("a whole zone may have any serial");
    assert_eq!(serial(&store, "a.test.", 100), Ok(3));
    assert!(load(&store, "a.test.").expect("it is there").journal.is_empty());
}

#[test]
fn steps_that_do_not_follow_are_refused_and_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    assert_eq!(change(&store, "a.test.", 9, 10, 11), Err(StoreError::DoesNotFollow));
    put(&store, "a.test.", 9, 10).expect("it is stored");
    assert_eq!(change(&store, "a.test.", 9, 11, 12), Err(StoreError::DoesNotFollow));
    let (zone, mut changes) = steps("a.test.", 9, 10, 13);
    changes.remove(1);
    let outcome = wait(store.put_changes(Arc::clone(&zone), changes.clone(), Times::default()));
    assert_eq!(outcome, Err(StoreError::DoesNotFollow), "a step is missing");
    changes.truncate(1);
    assert_eq!(wait(store.put_changes(zone, changes, Times::default())), Err(StoreError::DoesNotFollow));
    assert_eq!(serial(&store, "a.test.", 9), Ok(10));
    change(&store, "a.test.", 9, 10, 12).expect("these follow");
    assert_eq!(serial(&store, "a.test.", 9), Ok(12));
}

#[test]
fn a_zone_that_changes_for_ever_takes_bounded_room_and_keeps_its_last_steps() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), 20_000).expect("a thread is there to be had");
    let size = || fs::metadata(folder.path().join(FILE)).expect("it is there").len();
    put(&store, "a.test.", 1000, 1).expect("it is stored");
    let mut largest = 0;
    for round in 0..10 {
        for serial in (1 + 150 * round..1 + 150 * (round + 1)).step_by(10) {
            change(&store, "a.test.", 1000, serial, serial + 10).expect("it is stored");
        }
        if round == 4 {
            largest = size();
        }
    }
    assert!(size() <= largest, "{} octets, and {largest} before", size());
    let stored = load(&store, "a.test.").expect("it is there");
    assert_eq!(serial(&store, "a.test.", 1000), Ok(1501));
    assert!(stored.journal.since(1495, 1501, usize::MAX).is_some(), "{} steps", stored.journal.len());
    assert!(stored.journal.bytes() <= 20_000, "{}", stored.journal.bytes());
}

/// An executor with threads of its own.
struct Threads;

impl Executor for Threads {
    fn parallelism(&self) -> usize {
        3
    }

    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| (0..count).for_each(|number| drop(scope.spawn(move || work(number)))));
    }
}

#[test]
fn zones_are_read_at_once_and_each_in_parts() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let zones = [("a.test.", 20_000), ("b.test.", 9), ("c.test.", 0)];
    let ask = zones.map(|(zone, hosts)| store.put_zone(Arc::new(version(zone, hosts, 4)), Times::default()));
    assert!(wait(futures_util::future::join_all(ask)).iter().all(Result::is_ok));
    let names = ["c.test.", "none.test.", "A.test.", "b.test."].map(name);
    let found = store.load(&names, LoadPlan { seed: SEED, now: 0, executor: &Threads });
    for (at, hosts) in [(0, 0), (2, 20_000), (3, 9)] {
        let stored = found[at].as_ref().expect("it is there");
        assert!(text(&stored.zone) == text(&version(&names[at].to_string().to_lowercase(), hosts, 4)));
    }
    assert_eq!(found[1].as_ref().expect_err("it never was"), &NotStored::Absent);
}

/// The folder of the store, in a process that a test started to be killed.
const FOLDER: &str = "FATED_TEST_STORE";
/// What that process rolls its dice with.
const DICE: &str = "FATED_TEST_DICE";

/// Stores one version after the other for ever, and says on stderr which ones are safe.
fn write_versions(folder: &Path, mut dice: Dice) {
    let store = open(folder);
    let mut serials = ZONES.map(|(zone, hosts)| serial(&store, zone, hosts).unwrap_or(0));
    loop {
        for (at, (zone, hosts)) in ZONES.into_iter().enumerate() {
            let (before, next) = (serials[at], serials[at] + 1 + dice.below(3) as u32);
            let outcome = match dice.below(if before == 0 { 1 } else { 5 }) {
                0 => put(&store, zone, hosts, next),
                _ => change(&store, zone, hosts, before, next),
            };
            outcome.expect("it is stored");
            serials[at] = next;
            writeln!(std::io::stderr(), "safe {zone} {next}").expect("someone reads it");
        }
    }
}

/// Kills such a process that often; each time all that was safe must be there, as it was or newer.
fn kill_often(test: &str, times: usize) {
    if let (Some(folder), Ok(seed)) = (std::env::var_os(FOLDER), std::env::var(DICE)) {
        return write_versions(Path::new(&folder), Dice::new(seed.parse().expect("a number")));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut dice = Dice::new(17);
    let mut safe = BTreeMap::from(ZONES.map(|(zone, _)| (zone.to_owned(), 0)));
    for round in 0..times {
        let mut child = Command::new(std::env::current_exe().expect("the test's own file"))
            .args(["--exact", test, "--include-ignored"])
            .env(FOLDER, folder.path())
            .env(DICE, dice.roll().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it ran a moment ago");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let mut note = |line: String| {
            let words: Vec<&str> = line.split(' ').collect();
            let ["safe", zone, serial] = words[..] else { panic!("round {round}: {line}") };
            safe.insert(zone.to_owned(), serial.parse().expect("a number"));
        };
        note(lines.next().expect("the first version is stored"));
        std::thread::sleep(Duration::from_micros(dice.below(60_000) as u64));
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        lines.for_each(note);
        let store = open(folder.path());
        for (zone, hosts) in ZONES {
            let found = serial(&store, zone, hosts).unwrap_or_else(|why| {
                assert!(why == NotStored::Absent && safe[zone] == 0, "round {round}: {zone}: {why}");
                0
            });
            assert!(found >= safe[zone], "round {round}: {zone}: {found} is there, {} was safe", safe[zone]);
            safe.insert(zone.to_owned(), found);
        }
        assert!(!folder.path().join(DAMAGED_FILE).exists(), "round {round}");
    }
    println!("{times} kills, the last versions were {safe:?}");
}

#[test]
fn a_kill_at_any_moment_leaves_versions_that_existed_whole() {
    kill_often("a_kill_at_any_moment_leaves_versions_that_existed_whole", 60);
}

#[test]
#[ignore = "takes minutes"]
fn a_thousand_kills_leave_versions_that_existed_whole() {
    kill_often("a_thousand_kills_leave_versions_that_existed_whole", 1000);
}

/// A store with some versions, and the octets of its file.
fn sample(folder: &Path) -> Vec<u8> {
    let store = open(folder);
    for (zone, hosts) in ZONES {
        put(&store, zone, hosts, 1).expect("it is stored");
        change(&store, zone, hosts, 1, 5).expect("it is stored");
    }
    drop(store);
    fs::read(folder.join(FILE)).expect("it is there")
}

/// Opens a store with a file that was damaged. Each zone must be what it was, or not be there and take another version.
/// Returns how many were there.
fn judge_damaged(octets: &[u8], what: &str) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(FILE), octets).expect("there is room");
    let mut count = 0;
    let store = open(folder.path());
    for (zone, hosts) in ZONES {
        match serial(&store, zone, hosts) {
            // A commit that is damaged as a whole leaves the one before.
            Ok(found) => count += usize::from((1..=5).contains(&found)),
            Err(NotStored::Absent | NotStored::Damaged(_)) => {}
            Err(why) => panic!("{what}: {zone}: {why}"),
        }
        put(&store, zone, hosts, 9).unwrap_or_else(|why| panic!("{what}: {zone}: {why}"));
        assert_eq!(serial(&store, zone, hosts), Ok(9), "{what}");
    }
    drop(store);
    let store = open(folder.path());
    ZONES.iter().for_each(|(zone, hosts)| assert_eq!(serial(&store, zone, *hosts), Ok(9), "{what}"));
    count
}

#[test]
fn flipped_octets_cost_transfers_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let octets = sample(folder.path());
    let (mut dice, mut whole) = (Dice::new(5), 0);
    let rounds = 300;
    for round in 0..rounds {
        // Where the database keeps its own account half of the time.
        let bound = if round % 2 == 0 { octets.len() } else { 8192 };
        let mut flipped = octets.clone();
        let at = dice.below(bound);
        flipped[at] ^= 1 << dice.below(8);
        whole += judge_damaged(&flipped, &format!("round {round}, octet {at}"));
    }
    println!("{whole} of {} zones were there with one octet flipped", rounds * ZONES.len());
    assert!((1..rounds * ZONES.len()).contains(&whole), "some damage is where nothing is, some is found");
}

#[test]
fn a_file_that_ends_early_or_is_none_costs_transfers_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let octets = sample(folder.path());
    let mut dice = Dice::new(6);
    for length in [0, 1, 4095, 4096, octets.len() - 1].into_iter().chain((0..40).map(|_| dice.below(octets.len()))) {
        judge_damaged(&octets[..length], &format!("{length} octets"));
    }
    judge_damaged(&[0; 100_000], "zeros");
    judge_damaged("no database ".repeat(1000).as_bytes(), "a text");
}

/// Runs a test of this file again under a shell in a mount namespace where `setup` was done. Whether that was it.
fn runs_outside(test: &str, setup: &str) -> bool {
    if std::env::var_os(FOLDER).is_some() {
        return false;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let shell = |script: &str| {
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "sh", "-e", "-c", script]).arg(std::env::current_exe().expect("the test's own file"));
        shell.args(["--exact", test]).env(FOLDER, folder.path()).current_dir(folder.path());
        shell
    };
    if !shell(setup).output().is_ok_and(|output| output.status.success()) {
        skip_loudly(test, "a mount namespace needs root and unshare");
        return true;
    }
    let output = shell(&format!("{setup}\nexec \"$0\" \"$@\"")).output().expect("it ran a moment ago");
    let said = [output.stdout, output.stderr].map(|octets| String::from_utf8_lossy(&octets).into_owned());
    assert!(output.status.success() && said[0].contains("1 passed"), "{said:?}");
    true
}

/// The folder that the shell outside made.
fn inside() -> std::path::PathBuf {
    std::env::var_os(FOLDER).expect("the shell outside sets it").into()
}

/// Fills the disk until nothing can be stored, empties it, and stores again.
fn fill_and_go_on(make_room: impl FnOnce(&Path)) {
    let folder = inside();
    let store = open(&folder);
    put(&store, "small.test.", 3, 1).expect("there is room yet");
    put(&store, "middle.test.", 200, 1).expect("there is room yet");
    let why = put(&store, "big.test.", 60_000, 1).expect_err("it is larger than the disk");
    assert!(matches!(&why, StoreError::Refused(_)), "{why}");
    println!("{why}");
    let check = |store: &Store, middle| {
        assert_eq!(serial(store, "small.test.", 3), Ok(1));
        assert_eq!(serial(store, "middle.test.", 200), Ok(middle));
        assert!(load(store, "big.test.").is_err());
    };
    drop(store);
    check(&open(&folder), 1);
    let store = open(&folder);
    change(&store, "middle.test.", 200, 1, 2).expect("a small one finds its room");
    put(&store, "big.test.", 60_000, 1).expect_err("it is larger than the disk");
    // It is opened again in its time.
    make_room(&folder);
    let mut outcome = Err(StoreError::Closed);
    for _ in 0..30 {
        outcome = put(&store, "middle.test.", 200, 3);
        if outcome.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(outcome, Ok(()));
    check(&store, 3);
    drop(store);
    check(&open(&folder), 3);
}

#[test]
fn a_full_disk_refuses_what_is_new_and_keeps_what_was() {
    let test = "a_full_disk_refuses_what_is_new_and_keeps_what_was";
    let setup = format!("mount -t tmpfs -o size=3m none \"${FOLDER}\"");
    if !runs_outside(test, &setup) {
        fill_and_go_on(|_| ());
    }
}

#[test]
fn a_limit_on_the_size_of_files_does_as_well() {
    let test = "a_limit_on_the_size_of_files_does_as_well";
    // The shell counts in blocks of 512 octets. Ignored signals stay so in what it runs.
    if !runs_outside(test, "trap '' XFSZ\nulimit -f 6000") {
        fill_and_go_on(|_| ());
    }
}

#[test]
fn a_disk_that_can_not_be_written_is_read() {
    let test = "a_disk_that_can_not_be_written_is_read";
    // Filled by this test's own helper in the first run, killed without an orderly end, and then made read-only.
    if runs_outside(test, &format!("mount -t tmpfs none \"${FOLDER}\"")) {
        return;
    }
    let folder = inside();
    let store = open(&folder);
    put(&store, "middle.test.", 200, 1).expect("it is stored");
    change(&store, "middle.test.", 200, 1, 3).expect("it is stored");
    // As a kill leaves it: the file of a store that is still open.
    let octets = fs::read(folder.join(FILE)).expect("it is there");
    drop(store);
    let mount = |options: &str| {
        let status = Command::new("mount").args(["-o", options]).arg(&folder).status().expect("mount is there");
        assert!(status.success());
    };
    for octets in [octets, fs::read(folder.join(FILE)).expect("it is there")] {
        fs::write(folder.join(FILE), octets).expect("there is room");
        mount("remount,ro");
        let store = open(&folder);
        assert_eq!(serial(&store, "middle.test.", 200), Ok(3));
        let why = put(&store, "middle.test.", 200, 4).expect_err("nothing can be written");
        assert!(matches!(&why, StoreError::Refused(why) if why.contains("Read-only")), "{why}");
        assert_eq!(serial(&store, "middle.test.", 200), Ok(3));
        drop(store);
        mount("remount,rw");
    }
    assert_eq!(put(&open(&folder), "middle.test.", 200, 4), Ok(()));
}
