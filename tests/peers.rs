//! Every answer about whole zones, compared with those of NSD and Knot DNS: RCODE, AA, TC and the three sections as
//! sets.
//!
//! - Where both peers agree, fated answers the same, or an entry of [`meant`] names the RFC by which it may differ.
//! - Where they part, fated answers as one of them, or as an entry allows.
//!
//! `FATED_PEERS_ONLY=1` compares the peers with each other; `FATED_PEERS_AS=nsd|knot|named` lets a peer stand in for
//! fated; `FATED_PEERS_SHARE=1` asks the whole product of names, types and ways instead of one in so many;
//! `FATED_PEERS_SEED` chooses another sample. `FATED_ROOT_ZONES` is the folder with the two root zones.

mod common;
#[path = "peers/compare.rs"]
mod compare;
#[path = "peers/meant.rs"]
mod meant;
#[path = "peers/questions.rs"]
mod questions;
#[path = "peers/suite.rs"]
mod suite;

use std::fs;
use std::path::PathBuf;

use common::server::ZoneFile;
use common::sign::{Denial, sign};
use common::{must_skip, skip_loudly, zonetext};
use questions::Ways;
use suite::Suite;

/// What all of these tests need.
const PROGRAMS: [&str; 4] = ["nsd", "knotd", "dnssec-signzone", "dnssec-keygen"];

/// The types that the issue names.
const TYPES: [u16; 11] = [1, 28, 2, 43, 6, 16, 47, 48, 46, 255, 65400];
/// Those, and what the hand-made zone has besides.
const CORNER_TYPES: [u16; 22] =
    [1, 28, 2, 43, 6, 16, 47, 48, 46, 255, 65400, 5, 15, 33, 39, 50, 51, 64, 65, 12, 35, 257];

#[test]
fn root_of_2017_is_answered_as_nsd_and_knot_answer() {
    root("root-2017-signed.zone", 4);
}

#[test]
fn root_of_2026_is_answered_as_nsd_and_knot_answer() {
    root("root-2026.zone", 4);
}

#[test]
fn corners_unsigned_are_answered_as_nsd_and_knot_answer() {
    corners(None);
}

#[test]
fn corners_with_nsec_are_answered_as_nsd_and_knot_answer() {
    corners(Some(Denial::Nsec));
}

#[test]
fn corners_with_nsec3_are_answered_as_nsd_and_knot_answer() {
    corners(Some(Denial::Nsec3));
}

#[test]
fn corners_with_opt_out_are_answered_as_nsd_and_knot_answer() {
    corners(Some(Denial::OptOut));
}

/// Compares a root zone; skips loudly where the file is not there. One of `share` questions is asked.
fn root(file: &str, share: usize) {
    if must_skip(file, &PROGRAMS) {
        return;
    }
    let folder = std::env::var_os("FATED_ROOT_ZONES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/zones"), PathBuf::from);
    let path = folder.join(file);
    let Ok(text) = fs::read_to_string(&path) else {
        skip_loudly(file, &format!("{} is not there; set FATED_ROOT_ZONES", path.display()));
        return;
    };
    let owners = zonetext::owners(&text, ".");
    let names = questions::names(&owners, b"\0");
    let zones = vec![ZoneFile::new(".", path)];
    Suite { title: file.to_owned(), zones, names, types: &TYPES, ways: &Ways::FOUR, share }.run();
}

/// Compares the hand-made zones.
fn corners(denial: Option<Denial>) {
    let title = denial.map_or_else(|| "corners unsigned".to_owned(), |denial| format!("corners {denial:?}"));
    if must_skip(&title, &PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut zones = Vec::new();
    let mut names = Vec::new();
    for (origin, file) in [
        ("corners.test.", "corners.zone"),
        ("child.corners.test.", "child.zone"),
        ("deep.a.corners.test.", "deep.zone"),
        ("other.test.", "other.zone"),
    ] {
        let text = zonetext::read(file);
        let served = denial.map_or_else(|| text.clone(), |denial| sign(folder.path(), origin, &text, denial).text);
        let mut owners = zonetext::owners(&text, origin);
        owners.extend(zonetext::owners(&without_multiline(&served), origin));
        names.extend(questions::names(&owners, &common::name::name(origin)));
        let path = folder.path().join(file);
        fs::write(&path, served).expect("the folder can be written to");
        zones.push(ZoneFile::new(origin, path));
    }
    names.extend(questions::strangers());
    names.sort();
    names.dedup();
    Suite { title, zones, names, types: &CORNER_TYPES, ways: &Ways::SEVEN, share: 2 }.run();
    drop(folder);
}

/// A zone as it is; signed ones come with one record a line already.
fn without_multiline(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with(';')).map(|line| format!("{line}\n")).collect()
}
