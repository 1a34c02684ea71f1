//! The zones of these tests, and a zone that changes step by step.

use std::path::Path;

use super::common::sign::{Denial, sign};
use super::keys::Key;

/// A zone, and the key with which it is transferred.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    /// Its name, with its dot.
    pub(crate) origin: String,
    /// Its file.
    pub(crate) text: String,
    /// `None`: nothing is signed.
    pub(crate) key: Option<Key>,
}

impl Zone {
    /// A zone from its text.
    pub(crate) fn new(origin: &str, text: impl Into<String>, key: Option<Key>) -> Self {
        Self { origin: origin.to_owned(), text: text.into(), key }
    }
}

/// The records of an apex.
pub(crate) fn apex(origin: &str, serial: u32, timers: [u32; 3]) -> String {
    let [refresh, retry, expire] = timers;
    let dot = if origin == "." { "" } else { "." };
    let origin = origin.trim_end_matches('.');
    format!(
        "$TTL 3600\n{origin}. SOA ns{dot}{origin}. admin{dot}{origin}. {serial} {refresh} {retry} {expire} 300\n\
         {origin}. NS ns{dot}{origin}.\nns{dot}{origin}. A 192.0.2.1\n"
    )
}

/// An hour to REFRESH: whatever comes before comes by a notification.
pub(crate) const HOUR: [u32; 3] = [3600, 600, 86_400];

/// One zone of each sort; `folder` takes the keys of the signed one.
pub(crate) fn sorts(folder: &Path) -> Vec<Zone> {
    let key = || Some(Key::new("hmac-sha256"));
    let zone = |origin: &str, records: &str| Zone::new(origin, apex(origin, 1, HOUR) + records, key());
    let many: String = (0..9000).map(|n| format!("n{n}.many.test. {} A 192.0.2.{}\n", 60 + n % 7, n % 256)).collect();
    // As much as one message holds, and few enough records for BIND and PowerDNS.
    let large: String = (0..84)
        .map(|n| {
            let words: Vec<String> = (0..3).map(|part| format!("\"{}\"", format!("{n:03}{part}").repeat(61))).collect();
            format!("large.large.test. 300 TXT {}\n", words.join(" "))
        })
        .collect();
    let to_sign = apex("signed.test.", 1, HOUR)
        + "a.signed.test. A 192.0.2.2\n*.wild.signed.test. TXT \"wild\"\nchild.signed.test. NS ns.child.signed.test.\n\
           ns.child.signed.test. A 192.0.2.3\n";
    let signed = sign(folder, "signed.test.", &to_sign, Denial::Nsec3).text;
    let unknown = "a.unknown.test. TYPE65400 \\# 4 0a000001\na.unknown.test. TYPE65300 \\# 0\n";
    let mixed = "WwW.MiXed.test. A 192.0.2.2\nalias.mixed.test. CNAME Www.Mixed.Test.\n@ MX 10 MAIL.mixed.test.\n";
    let mixed = mixed.replace('@', "mixed.test.");
    let mut zones = vec![
        zone("small.test.", "a.small.test. 60 A 192.0.2.2\na.small.test. 60 AAAA 2001:db8::1\n"),
        zone("unknown.test.", unknown),
        zone("mixed.test.", &mixed),
        zone("many.test.", &many),
        zone("large.test.", &large),
        Zone::new("signed.test.", signed, key()),
    ];
    for algorithm in ["hmac-sha1", "hmac-sha224", "hmac-sha384", "hmac-sha512"] {
        let origin = format!("{algorithm}.test.");
        zones.push(Zone::new(&origin, apex(&origin, 1, HOUR), Some(Key::new(algorithm))));
    }
    zones.push(Zone::new("unsigned.test.", apex("unsigned.test.", 1, HOUR), None));
    zones
}

/// One edit of a zone.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// An RRset goes: owner and type.
    Delete(String, &'static str),
    /// A record comes: owner, TTL, type and data.
    Add(String, u32, &'static str, String),
}

/// What changes at each step, the same for each peer.
pub(crate) fn edits(origin: &str, step: u32) -> Vec<Edit> {
    let add = |owner: &str, ttl, rtype, data: String| Edit::Add(format!("{owner}{origin}"), ttl, rtype, data);
    let delete = |owner: &str, rtype| Edit::Delete(format!("{owner}{origin}"), rtype);
    match step % 5 {
        0 => vec![
            add(&format!("n{step}."), 300, "A", format!("192.0.2.{step}")),
            add(&format!("n{step}."), 60, "TXT", format!("\"step {step}\"")),
        ],
        1 => vec![delete(&format!("n{}.", step - 1), "A"), add("x.", 300, "AAAA", format!("2001:db8::{step}"))],
        2 => vec![
            delete("ttl.", "A"),
            add("ttl.", 300 + step, "A", "192.0.2.7".to_owned()),
            add("ttl.", 300 + step, "A", "192.0.2.8".to_owned()),
        ],
        3 => vec![delete("", "MX"), add("", 300, "MX", format!("10 mail{step}.{origin}"))],
        _ => (0..20)
            .map(|n| add(&format!("h{n}.deep{step}."), 300, "A", format!("192.0.2.{n}")))
            .chain([add(&format!("child{step}."), 300, "NS", "ns.elsewhere.test.".to_owned())])
            .collect(),
    }
}

/// A zone that changes.
#[derive(Clone, Debug)]
pub(crate) struct Changing {
    /// Its name.
    pub(crate) origin: String,
    /// The serial that it has.
    pub(crate) serial: u32,
    /// REFRESH, RETRY and EXPIRE.
    pub(crate) timers: [u32; 3],
    /// Whether nothing but the SOA changes at the apex, as NSD's differences need it.
    pub(crate) is_apex_kept: bool,
    /// Records below the SOA: owner, TTL, type and data.
    records: Vec<(String, u32, &'static str, String)>,
}

impl Changing {
    /// A zone of 300 names.
    pub(crate) fn new(origin: &str, timers: [u32; 3]) -> Self {
        let records = (0..300).map(|n| (format!("base{n}.{origin}"), 300, "A", format!("192.0.2.{}", n % 256)));
        Self { origin: origin.to_owned(), serial: 1, timers, is_apex_kept: false, records: records.collect() }
    }

    /// Its file.
    pub(crate) fn text(&self) -> String {
        let mut text = apex(&self.origin, self.serial, self.timers);
        for (owner, ttl, rtype, data) in &self.records {
            text.push_str(&format!("{owner} {ttl} {rtype} {data}\n"));
        }
        text
    }

    /// Makes the next version; returns the edits that lead to it.
    pub(crate) fn step(&mut self) -> Vec<Edit> {
        let mut edits = edits(&self.origin, self.serial);
        edits.retain(|edit| match edit {
            Edit::Delete(owner, rtype) => self.records.iter().any(|known| (&known.0, known.2) == (owner, *rtype)),
            Edit::Add(owner, ..) => !self.is_apex_kept || *owner != self.origin,
        });
        for edit in &edits {
            match edit.clone() {
                Edit::Delete(owner, rtype) => self.records.retain(|known| (&known.0, known.2) != (&owner, rtype)),
                Edit::Add(owner, ttl, rtype, data) => self.records.push((owner, ttl, rtype, data)),
            }
        }
        self.serial += 1;
        edits
    }
}
