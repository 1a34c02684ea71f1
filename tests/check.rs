//! `fated check` on a corpus of good and bad zone files: the faults that each file announces in its header, no more and
//! no fewer; the verdicts of BIND, Knot DNS and NSD, but for the differences that are listed with their reasons; and
//! the dump of each good file, read by another program, against that program's own dump of the file itself. The page on
//! zone files is held against the code here too.

#[path = "check/differences.rs"]
mod differences;
#[path = "check/files.rs"]
mod files;
#[path = "check/page.rs"]
mod page;
#[path = "check/run.rs"]
mod run;

use std::collections::BTreeSet;
use std::fs;

use differences::{DIFFERENCES, DUMP_DIFFERENCES};
use files::{ZoneFile, zone_files};
use run::{Peer, fated};

/// How many files of each kind the corpus holds at least.
const FILES_MIN: usize = 150;

#[test]
fn the_corpus_is_large_and_every_header_is_used() {
    let files = zone_files();
    assert!(files.len() >= FILES_MIN, "{} files", files.len());
    for file in &files {
        assert_eq!(file.label.starts_with("good/"), file.is_good(), "{} stands in the wrong folder", file.label);
    }
    let labels: BTreeSet<&str> = files.iter().map(|file| file.label.as_str()).collect();
    for difference in DIFFERENCES.iter().chain(DUMP_DIFFERENCES) {
        for label in difference.files {
            assert!(labels.contains(label), "{label} is listed as a difference, but there is no such file");
        }
    }
}

#[test]
fn every_file_has_the_faults_that_it_announces() {
    let mut wrong = Vec::new();
    for file in zone_files() {
        let output = fated(&file);
        let found = faults(&String::from_utf8_lossy(&output.stderr));
        let code = if file.is_good() { 0 } else { 1 };
        if found != file.faults || output.status.code() != Some(code) {
            wrong.push(format!(
                "{}: {}\n  announced {:?}\n  found     {found:?}",
                file.label, output.status, file.faults
            ));
        }
    }
    assert!(wrong.is_empty(), "{} files:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn other_servers_agree_on_good_and_bad() {
    let mut wrong = Vec::new();
    // NSD reads far more than it should (numbers over their widths, bad escapes); its dumps are compared below.
    for peer in [Peer::Bind, Peer::Knot] {
        if peer.program().is_none() {
            eprintln!("SKIPPED: the checker of {peer:?} is not installed, nothing is compared with it");
            continue;
        }
        let (mut agreed, mut differed) = (0, 0);
        for file in zone_files().iter().filter(|file| file.is_for_peers) {
            let Some(output) = peer.check(file) else { continue };
            let agrees = output.status.success() == file.is_good();
            let listed = DIFFERENCES.iter().find(|entry| entry.peer == peer && entry.files.contains(&&*file.label));
            match (agrees, listed) {
                (true, None) => agreed += 1,
                (false, Some(_)) => differed += 1,
                (true, Some(entry)) => {
                    wrong.push(format!("{peer:?} agrees on {} and is listed: {}", file.label, entry.because))
                }
                (false, None) => {
                    wrong.push(format!("{peer:?} on {}: {}\n{}", file.label, output.status, said(&output)))
                }
            }
        }
        eprintln!("{peer:?}: {agreed} files agreed, {differed} meant differences");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn dumps_are_what_other_servers_read_in_the_file_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut wrong = Vec::new();
    for peer in [Peer::Bind, Peer::Nsd] {
        if peer.program().is_none() {
            eprintln!("SKIPPED: the checker of {peer:?} is not installed, no dumps are compared with its");
            continue;
        }
        let mut compared = 0;
        for file in zone_files().iter().filter(|file| file.is_good()) {
            // A file that the peer refuses is a matter of the test above.
            let Some(theirs) = peer.dump(&file.zone, &file.path) else { continue };
            let path = folder.path().join(file.file_name());
            fs::write(&path, fated(file).stdout).expect("a dump can be written");
            let ours = peer.dump(&file.zone, &path);
            let listed =
                DUMP_DIFFERENCES.iter().find(|entry| entry.peer == peer && entry.files.contains(&&*file.label));
            compared += 1;
            match (ours.as_ref() == Some(&theirs), listed) {
                (true, None) | (false, Some(_)) => {}
                (true, Some(entry)) => {
                    wrong.push(format!("{peer:?} {} is the same and listed: {}", file.label, entry.because))
                }
                (false, None) => wrong.push(difference(peer, file, ours.as_deref(), &theirs)),
            }
        }
        eprintln!("{peer:?}: {compared} dumps compared");
        assert!(compared >= FILES_MIN, "{peer:?} dumped {compared} files");
    }
    assert!(wrong.is_empty(), "{} dumps:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_dump_loads_again_and_is_dumped_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in zone_files().into_iter().filter(ZoneFile::is_good) {
        let first = fated(&file).stdout;
        assert!(!first.is_empty(), "{} has no dump", file.label);
        let path = folder.path().join(file.file_name());
        fs::write(&path, &first).expect("a dump can be written");
        let again = fated(&ZoneFile { path, ..file });
        assert_eq!(String::from_utf8_lossy(&again.stdout), String::from_utf8_lossy(&first));
    }
}

/// The faults in what `fated check` printed, sorted: `SEVERITY CODE FILE:LINE:COLUMN`.
fn faults(report: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in report.lines() {
        let head = ["error", "warning"].into_iter().find_map(|severity| {
            let code = line.strip_prefix(severity)?.strip_prefix('[')?.split_once("]:")?.0;
            Some(format!("{severity} {code}"))
        });
        if let Some(head) = head {
            open = Some(head);
        } else if let (Some(place), Some(head)) =
            (line.trim_start().strip_prefix("--> "), open.take_if(|_| line.contains("-->")))
        {
            let name = place.rsplit('/').next().unwrap_or(place);
            let has_line = name.split(':').count() == 3;
            found.push(if has_line { format!("{head} {name}") } else { format!("{head} {name}:0:0") });
        }
    }
    found.sort();
    found
}

/// Shows what one dump has and the other lacks.
fn difference(peer: Peer, file: &ZoneFile, ours: Option<&[String]>, theirs: &[String]) -> String {
    let Some(ours) = ours else { return format!("{peer:?} cannot read the dump of {}", file.label) };
    let missing: Vec<&String> = theirs.iter().filter(|line| !ours.contains(line)).collect();
    let surplus: Vec<&String> = ours.iter().filter(|line| !theirs.contains(line)).collect();
    format!("{peer:?} {}\n  only theirs: {missing:?}\n  only ours:   {surplus:?}", file.label)
}

/// What a checker said, its last lines.
fn said(output: &std::process::Output) -> String {
    let text = [&*output.stdout, &*output.stderr].concat();
    String::from_utf8_lossy(&text).lines().take(4).map(|line| format!("  {line}\n")).collect()
}
