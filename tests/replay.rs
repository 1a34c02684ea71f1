//! Replays `tests/corpus` through the bodies of the fuzz targets: seeds that reach every corner, and inputs that once
//! broke something. The ignored tests go on with mutations of them, for as long as `FUZZ_SECONDS` says:
//! `cargo test --test replay -- --ignored`, on any toolchain; `FUZZ_SEED` repeats a run.

#[allow(unreachable_pub)] // For the fuzz targets it is a crate of its own.
#[path = "../fuzz/src/bodies.rs"]
mod bodies;

#[allow(unreachable_pub)]
#[path = "../fuzz/src/bfd.rs"]
mod bfd;
#[allow(unreachable_pub)]
#[path = "../fuzz/src/bgp.rs"]
mod bgp;

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The folders of the corpus of zone files, and of those that `tests/check.rs` reads.
const ZONES: &[&str] = &["corpus/zone", "check/good", "check/bad"];

/// Gives each file of a folder of the corpus to `body`; returns how many there were.
fn replay(folder: &str, body: fn(&[u8])) -> usize {
    let files = files_in(folder);
    for path in &files {
        let input = fs::read(path).expect("a file of the corpus can be read");
        let result = std::panic::catch_unwind(|| body(&input));
        assert!(result.is_ok(), "{} broke a promise", path.display());
    }
    files.len()
}

/// The files in a folder of `tests`, sorted.
fn files_in(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a folder can be listed").path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

#[test]
fn queries_of_the_corpus_get_replies_that_hold_every_promise() {
    assert!(replay("corpus/packet", bodies::packet) > 0);
}

#[test]
fn zone_files_of_the_corpus_hold_every_promise() {
    assert!(replay("corpus/zone", bodies::zone) > 0);
}

#[test]
fn rdata_of_the_corpus_holds_every_promise() {
    assert!(replay("corpus/rdata", bodies::rdata) > 0);
}

#[test]
fn transfers_of_the_corpus_hold_every_promise() {
    assert!(replay("corpus/transfer", bodies::transfer) > 0);
}

#[test]
fn signatures_of_the_corpus_hold_every_promise() {
    assert!(replay("corpus/tsig", bodies::tsig) > 0);
}

#[test]
fn damage_of_the_corpus_to_a_store_holds_every_promise() {
    assert!(replay("corpus/store", bodies::store) > 0);
}

#[test]
fn bgp_messages_and_courses_of_the_corpus_hold_every_promise() {
    assert!(replay("corpus/bgp_update", bgp::bgp_update) > 0);
    assert!(replay("corpus/bgp_session", bgp::bgp_session) > 0);
}

#[test]
fn bfd_sessions_of_the_corpus_hold_every_promise() {
    assert!(replay("corpus/bfd", bfd::bfd) > 0);
}

#[test]
fn zone_files_of_the_checks_are_read_without_a_panic_and_written_as_they_are() {
    assert!(replay("check/good", bodies::zone) > 0);
    assert!(replay("check/bad", bodies::zone) > 0);
}

#[test]
#[ignore = "takes a minute: `cargo test --test replay -- --ignored`"]
fn mutated_queries_get_replies_that_hold_every_promise() {
    fuzz("packet", &["corpus/packet"], 1024, bodies::packet);
}

#[test]
#[ignore = "takes a minute: `cargo test --test replay -- --ignored`"]
fn mutated_zone_files_hold_every_promise() {
    fuzz("zone", ZONES, 4096, bodies::zone);
}

#[test]
#[ignore = "takes a minute: `cargo test --test replay -- --ignored`"]
fn mutated_rdata_holds_every_promise() {
    fuzz("rdata", &["corpus/rdata"], 1024, bodies::rdata);
}

#[test]
#[ignore = "takes a minute: `cargo test --test replay -- --ignored`"]
fn mutated_transfers_hold_every_promise() {
    fuzz("transfer", &["corpus/transfer"], 4096, bodies::transfer);
}

#[test]
#[ignore = "takes a minute: `cargo test --test replay -- --ignored`"]
fn mutated_signatures_hold_every_promise() {
    fuzz("tsig", &["corpus/tsig"], 1024, bodies::tsig);
}

#[test]
#[ignore = "takes a minute: `cargo test --test replay -- --ignored`"]
fn mutated_damage_to_a_store_holds_every_promise() {
    fuzz("store", &["corpus/store"], 256, bodies::store);
}

#[test]
#[ignore = "takes a minute: `cargo test --test replay -- --ignored`"]
fn mutated_bgp_messages_hold_every_promise() {
    fuzz("bgp_update", &["corpus/bgp_update"], 4096, bgp::bgp_update);
}

#[test]
#[ignore = "takes a minute: `cargo test --test replay -- --ignored`"]
fn mutated_courses_of_bgp_sessions_hold_every_promise() {
    fuzz("bgp_session", &["corpus/bgp_session"], 1024, bgp::bgp_session);
}

#[test]
#[ignore = "takes a minute: `cargo test --test replay -- --ignored`"]
fn mutated_bfd_sessions_hold_every_promise() {
    fuzz("bfd", &["corpus/bfd"], 8192, bfd::bfd);
}

/// How long a target is fuzzed when nobody says otherwise.
const SECONDS_DEFAULT: u64 = 60;
/// How long one input may take.
const INPUT_TIME_MAX: Duration = Duration::from_secs(10);
/// The most mutations of one input.
const MUTATIONS_MAX: usize = 8;
/// Octets that parsers look at closely: bounds of lengths, pointers, quotes, escapes, ends of lines.
const SYNTAX: &[u8] = b"\x00\x01\x3f\x40\x7f\x80\xc0\x0c\xff\"\\();$@ \n";

/// Random numbers (SplitMix64), so that a run can be repeated from its seed.
struct Random(u64);

impl Random {
    /// The next number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// Changes an input in one way; `other` is one to take a part of.
fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let length = random.below(16).min(input.len() - at);
    match random.below(7) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.below(256) as u8,
        2 if at < input.len() => input[at] = SYNTAX[random.below(SYNTAX.len())],
        3 => input.insert(at, SYNTAX[random.below(SYNTAX.len())]),
        4 => drop(input.drain(at..at + length)),
        5 => {
            let part = input[at..at + length].to_vec();
            let to = random.below(input.len() + 1);
            drop(input.splice(to..to, part));
        }
        _ => {
            let from = random.below(other.len() + 1);
            let length = random.below(64).min(other.len() - from);
            drop(input.splice(at..at, other[from..from + length].iter().copied()));
        }
    }
}

/// Gives mutations of the corpus to `body` until the time is over. An input that panics or takes too long is left in
/// `fuzz/artifacts/TARGET/`.
fn fuzz(target: &str, folders: &[&str], bytes_max: usize, body: fn(&[u8])) {
    let files = folders.iter().flat_map(|folder| files_in(folder));
    let corpus: Vec<Vec<u8>> = files.map(|file| fs::read(file).expect("a file of the corpus can be read")).collect();
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let seed = variable("FUZZ_SEED").unwrap_or(clock);
    let time = Duration::from_secs(variable("FUZZ_SECONDS").unwrap_or(SECONDS_DEFAULT));
    let (mut random, mut count, start) = (Random(seed), 0, Instant::now());
    while start.elapsed() < time {
        let mut input = corpus[random.below(corpus.len())].clone();
        let other = &corpus[random.below(corpus.len())];
        for _ in 0..=random.below(MUTATIONS_MAX) {
            mutate(&mut input, other, &mut random);
        }
        input.truncate(bytes_max);
        let started = Instant::now();
        let is_kept = std::panic::catch_unwind(|| body(&input)).is_ok();
        if !is_kept || started.elapsed() > INPUT_TIME_MAX {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/artifacts").join(target);
            let file = folder.join(format!("{seed}-{count}"));
            fs::create_dir_all(&folder).and_then(|()| fs::write(&file, &input)).expect("the input can be kept");
            panic!("{target}: {} broke a promise after {:?} (seed {seed})", file.display(), started.elapsed());
        }
        count += 1;
    }
    println!("{target}: {count} inputs from seed {seed}");
    assert!(count > 0, "no input was tried");
}

/// The number in a variable of the environment.
fn variable<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}
