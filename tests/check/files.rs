//! The corpus: the zone files under `good` and `bad`, and what their header comments say.
//!
//! A header is a comment at the top: `; zone: NAME` (default `example.`), `; expect: SEVERITY CODE [FILE:]LINE:COLUMN`
//! for each fault, in any order, with the place `0:0` for the file as a whole, and `; peers: none` where no other
//! program may be given the file. Knows nothing of how a file is read.

use std::fs;
use std::path::{Path, PathBuf};

/// One file of the corpus.
pub(crate) struct ZoneFile {
    /// Its folder and name, `good/plain.zone`.
    pub(crate) label: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The zone's name.
    pub(crate) zone: String,
    /// The faults that it has, sorted.
    pub(crate) faults: Vec<String>,
    /// Whether other programs may read it.
    pub(crate) is_for_peers: bool,
}

impl ZoneFile {
    /// Whether the zone ought to load.
    pub(crate) fn is_good(&self) -> bool {
        !self.faults.iter().any(|fault| fault.starts_with("error "))
    }

    /// The name of the file in its folder.
    pub(crate) fn file_name(&self) -> &str {
        self.label.split_once('/').expect("a label has a folder").1
    }

    fn open(folder: &str, path: PathBuf) -> Self {
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let octets = fs::read(&path).expect("a file of the corpus can be read");
        let text = String::from_utf8_lossy(&octets);
        let (mut zone, mut faults, mut is_for_peers) = ("example.".to_owned(), Vec::new(), true);
        for line in text.trim_start_matches('\u{feff}').lines() {
            if let Some(value) = line.strip_prefix("; zone: ") {
                zone = value.to_owned();
            } else if let Some(value) = line.strip_prefix("; expect: ") {
                let (kind, place) = value.rsplit_once(' ').expect("an expectation ends with a place");
                let is_own = place.bytes().filter(|octet| *octet == b':').count() == 1;
                faults.push(if is_own { format!("{kind} {name}:{place}") } else { value.to_owned() });
            } else if let Some(value) = line.strip_prefix("; peers: ") {
                assert_eq!(value, "none", "{name}: the only thing to say of peers");
                is_for_peers = false;
            } else {
                break;
            }
        }
        // Two files hold nothing at all, or nothing but what they are about.
        if name == "empty.zone" {
            faults.push(format!("error file-empty {name}:0:0"));
        }
        faults.sort();
        Self { label: format!("{folder}/{name}"), path, zone, faults, is_for_peers }
    }
}

/// The folder of the corpus.
pub(crate) fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check")
}

/// All files, sorted.
pub(crate) fn zone_files() -> Vec<ZoneFile> {
    let mut files: Vec<ZoneFile> = Vec::new();
    for folder in ["bad", "good"] {
        let entries = fs::read_dir(corpus().join(folder)).expect("the corpus is there");
        let paths = entries.map(|entry| entry.expect("a folder can be listed").path());
        let zones = paths.filter(|path| path.extension().is_some_and(|extension| extension == "zone"));
        files.extend(zones.map(|path| ZoneFile::open(folder, path)));
    }
    files.sort_by(|a, b| a.label.cmp(&b.label));
    files
}
