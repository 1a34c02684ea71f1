//! Replays `tests/corpus` through the bodies of the fuzz targets: seeds that reach every corner, and inputs that once
//! broke something.

#[allow(unreachable_pub)] // For the fuzz targets it is a crate of its own.
#[path = "../fuzz/src/bodies.rs"]
mod bodies;

use std::fs;
use std::path::{Path, PathBuf};

/// Gives each file of a folder of the corpus to `body`; returns how many there were.
fn replay(folder: &str, body: fn(&[u8])) -> usize {
    let files = files_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder));
    for path in &files {
        let input = fs::read(path).expect("a file of the corpus can be read");
        let result = std::panic::catch_unwind(|| body(&input));
        assert!(result.is_ok(), "{} broke a promise", path.display());
    }
    files.len()
}

/// The files in a folder, sorted.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
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
fn zone_files_of_the_checks_are_read_without_a_panic_and_written_as_they_are() {
    assert!(replay("check/good", bodies::zone) > 0);
    assert!(replay("check/bad", bodies::zone) > 0);
}
