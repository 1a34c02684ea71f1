//! Versions of a zone, one after the other, each with another kind of change.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::common::program;
use super::common::sign::{Denial, sign};

/// Makes versions.
pub(crate) trait Versions {
    /// The zone with that serial, the first of which is 1.
    fn next_version(&mut self, serial: u32) -> String;
}

/// An unsigned zone: records are added and deleted, at the apex too, TTLs and letter case change, and changes are taken
/// back.
pub(crate) struct Plain {
    /// Records as lines, without the SOA.
    lines: BTreeSet<String>,
    soa_ttl: u32,
    ns_ttl: u32,
    minimum: u32,
    /// What the last deletion took.
    deleted: Vec<String>,
}

impl Plain {
    pub(crate) fn new() -> Self {
        let hosts = (0..200).map(|number| format!("host{number} 300 IN A 192.0.2.{number}"));
        let apex = ["@ 3600 IN NS ns", "@ 3600 IN NS ns2.other.test.", "@ 300 IN MX 10 mail", "ns 3600 IN A 192.0.2.1"];
        let lines = hosts.chain(apex.map(str::to_owned)).collect();
        Self { lines, soa_ttl: 3600, ns_ttl: 3600, minimum: 300, deleted: Vec::new() }
    }

    /// Changes lines: those that begin so, each to what `change` makes of it.
    fn change(&mut self, start: &str, change: impl Fn(&str) -> String) {
        let old: Vec<String> = self.lines.iter().filter(|line| line.starts_with(start)).cloned().collect();
        assert!(!old.is_empty(), "nothing begins with {start:?}");
        for line in old {
            self.lines.remove(&line);
            self.lines.insert(change(&line));
        }
    }

    /// Carries out the change that leads to a serial.
    fn step(&mut self, serial: u32) {
        let number = serial / 10;
        match serial % 10 {
            // Names and records come.
            0 => {
                self.lines.insert(format!("new{serial}.deep.er 60 IN TXT \"{serial}\""));
                self.lines.extend((0..5).map(|index| format!("many 60 IN A 198.51.{serial}.{index}")));
            }
            // A name goes, and every record of a set but one.
            1 => {
                let start = format!("host{} ", 20 + number);
                self.deleted = self.lines.iter().filter(|line| line.starts_with(&start)).cloned().collect();
                let many: Vec<String> =
                    self.lines.iter().filter(|line| line.starts_with("many ")).skip(1).cloned().collect();
                self.deleted.extend(many);
                let deleted = &self.deleted;
                self.lines.retain(|line| !deleted.contains(line));
            }
            // That is taken back.
            2 => self.lines.extend(std::mem::take(&mut self.deleted)),
            // The apex gets a set, or another name server.
            3 => {
                self.lines.insert(format!("@ 600 IN TXT \"{serial}\""));
                self.lines.insert(format!("@ {} IN NS ns{serial}.other.test.", self.ns_ttl));
            }
            // Both go.
            4 => {
                let server = format!("IN NS ns{}.other.test.", serial - 1);
                self.lines.retain(|line| !line.starts_with("@ 600 IN TXT") && !line.ends_with(&server));
            }
            // A TTL changes: of a set of one, and of one with many records.
            5 => {
                self.change(&format!("host{} 300", 40 + number), |line| line.replacen(" 300 ", " 301 ", 1));
                let (old, new) = (format!("@ {} IN NS", self.ns_ttl), format!("@ {} IN NS", 3600 + serial));
                self.ns_ttl = 3600 + serial;
                self.change(&old, |line| line.replacen(&old, &new, 1));
            }
            // Letter case changes: of an owner, and within RDATA.
            6 => {
                self.change(&format!("host{} ", 60 + number), |line| line.replacen("host", "HOST", 1));
                self.change("@ 300 IN MX", |line| match line.contains("mail") {
                    true => line.replace("mail", "MAIL"),
                    false => line.replace("MAIL", "mail"),
                });
            }
            // The SOA alone changes: its serial, then its TTL, then MINIMUM.
            7 => match number % 3 {
                0 => {}
                1 => self.soa_ttl += 1,
                _ => self.minimum += 1,
            },
            // A set changes its type, a name becomes an empty one and back.
            8 => self.change(&format!("host{} ", 80 + number), |line| {
                let owner = line.split(' ').next().expect("an owner");
                format!("{owner} 60 IN CNAME ns")
            }),
            // Names below another come, and it goes.
            _ => {
                self.lines.insert(format!("below.host{} 60 IN A 192.0.2.9", 100 + number));
                self.lines.retain(|line| !line.starts_with(&format!("host{} ", 100 + number)));
            }
        }
    }
}

impl Versions for Plain {
    fn next_version(&mut self, serial: u32) -> String {
        if serial > 1 {
            self.step(serial);
        }
        let (ttl, minimum) = (self.soa_ttl, self.minimum);
        let soa = format!("@ {ttl} IN SOA ns host {serial} 3600 3600 604800 {minimum}\n");
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        soa + &lines.join("\n") + "\n"
    }
}

/// The same, signed with NSEC3 by keys that stay, as signatures do where nothing has changed. In every fourth version
/// nothing is new but a part of the signatures.
pub(crate) struct Signed {
    plain: Plain,
    origin: &'static str,
    folder: PathBuf,
    /// The unsigned zone of the version before.
    last: String,
    /// Its signatures.
    signatures: Vec<String>,
}

impl Signed {
    pub(crate) fn new(folder: &Path, origin: &'static str) -> Self {
        let mut plain = Plain::new();
        let last = plain.next_version(1);
        let keys = sign(folder, origin, &last, Denial::Nsec3);
        assert!(keys.anchors.contains("DNSKEY"));
        let folder = folder.join(format!("sign-Nsec3-{}", origin.trim_end_matches('.').replace('.', "-")));
        Self { plain, origin, folder, last, signatures: Vec::new() }
    }
}

impl Versions for Signed {
    fn next_version(&mut self, serial: u32) -> String {
        let is_signed_anew = serial.is_multiple_of(4);
        if serial > 1 && !is_signed_anew {
            self.last = self.plain.next_version(serial);
        }
        let (soa, rest) = self.last.split_once('\n').expect("lines");
        let mut words: Vec<String> = soa.split(' ').map(str::to_owned).collect();
        words[6] = serial.to_string();
        if is_signed_anew {
            self.signatures.retain(|line| !line.starts_with("host1"));
        }
        let text = format!("{}\n{rest}{}\n", words.join(" "), self.signatures.join("\n"));
        fs::write(self.folder.join("zone"), text).expect("writes");
        let output = Command::new(program("dnssec-signzone").expect("it was looked for"))
            .args(["-q", "-P", "-S", "-K", ".", "-o", self.origin, "-O", "full", "-f", "signed", "-3", "-", "-H", "0"])
            .args(["-s", "now-1h", "-e", "now+30d", "zone"])
            .current_dir(&self.folder)
            .output()
            .expect("dnssec-signzone runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let signed = fs::read_to_string(self.folder.join("signed")).expect("it was signed");
        let is_signature = |line: &&str| line.split_ascii_whitespace().nth(3) == Some("RRSIG");
        self.signatures = signed.lines().filter(is_signature).map(str::to_owned).collect();
        signed
    }
}
