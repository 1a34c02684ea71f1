//! Signs zones for the tests with `dnssec-signzone`, by keys that are made for each run.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::program;

/// How non-existence is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// NSEC (RFC 4034 §4).
    Nsec,
    /// NSEC3 without salt and more iterations, as RFC 9276 wants it.
    Nsec3,
    /// NSEC3 with as many iterations as `dnssec-signzone` makes: answers that cost the server a lot.
    ManyHashes,
    /// NSEC3 with a salt, three iterations and opt-out (RFC 5155 §6).
    OptOut,
}

/// A signed zone.
#[derive(Debug)]
pub(crate) struct Signed {
    /// The zone, every record in full on a line.
    pub(crate) text: String,
    /// The DNSKEY records, one a line: the trust anchors.
    pub(crate) anchors: String,
    /// The DS records of the keys that sign them, one a line.
    pub(crate) ds: String,
}

/// Signs `text` as the zone `origin`; `folder` takes the keys and the files in between.
///
/// The signatures hold from an hour ago for a month.
pub(crate) fn sign(folder: &Path, origin: &str, text: &str, denial: Denial) -> Signed {
    let folder = folder.join(format!("sign-{denial:?}-{}", origin.trim_end_matches('.').replace('.', "-")));
    fs::create_dir_all(&folder).expect("a temporary folder can be made");
    let mut keys = Vec::new();
    for arguments in [&["-f", "KSK"][..], &[]] {
        let made = run(
            &folder,
            "dnssec-keygen",
            &[&["-q", "-a", "ECDSAP256SHA256", "-n", "ZONE"], arguments, &[origin]].concat(),
        );
        keys.push(made.trim().to_owned());
    }
    fs::write(folder.join("zone"), text).expect("the folder can be written to");
    let mut arguments =
        vec!["-q", "-P", "-S", "-K", ".", "-o", origin, "-O", "full", "-f", "signed", "-s", "now-1h", "-e", "now+30d"];
    match denial {
        Denial::Nsec => {}
        Denial::Nsec3 => arguments.extend(["-3", "-", "-H", "0"]),
        Denial::ManyHashes => arguments.extend(["-3", "-", "-H", "150"]),
        Denial::OptOut => arguments.extend(["-3", "0BADCAFE", "-H", "3", "-A"]),
    }
    arguments.push("zone");
    run(&folder, "dnssec-signzone", &arguments);
    let ds = run(&folder, "dnssec-dsfromkey", &["-2", &format!("{}.key", keys[0])]);
    let anchors: String = keys
        .iter()
        .map(|key| fs::read_to_string(folder.join(format!("{key}.key"))).expect("the key was made"))
        .collect();
    let anchors = anchors.lines().filter(|line| !line.starts_with(';')).map(|line| format!("{line}\n")).collect();
    Signed { text: fs::read_to_string(folder.join("signed")).expect("the zone was signed"), anchors, ds }
}

/// Runs a program in `folder` and returns its output; fails with what it said.
fn run(folder: &Path, name: &str, arguments: &[&str]) -> String {
    let path = program(name).unwrap_or_else(|| panic!("{name} not installed; run tests/needs.sh"));
    let output = Command::new(path).args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
    assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
