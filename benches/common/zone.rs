//! The zone of the benches: many hosts, aliases in chains, delegations with glue, and a wildcard.

use std::fmt::Write;
use std::path::Path;

use fated::fault::Sources;
use fated::fault::{Faults, FileError};
use fated::zone::Zone;
use fated::zone::hash::Seed;
use fated::zonebuild::Inline;
use fated::zonefile::ZoneFile;
use fated::zonefile::{Files, Limits};

/// Names where `BENCH_NAMES` says nothing.
const NAMES_DEFAULT: usize = 100_000;

/// How many hosts the zone has.
pub(crate) fn name_count() -> usize {
    std::env::var("BENCH_NAMES").ok().and_then(|count| count.parse().ok()).unwrap_or(NAMES_DEFAULT)
}

/// The zone's file: `count` hosts, and for every tenth of them an alias of three steps and a delegation.
pub(crate) fn text(count: usize) -> String {
    let mut text = String::with_capacity(count * 60);
    text.push_str("$ORIGIN bench.test.\n$TTL 3600\n@ SOA ns admin 1 7200 3600 1209600 300\n@ NS ns\nns A 192.0.2.1\n");
    text.push_str("*.wild A 192.0.2.2\n");
    for host in 0..count {
        let (high, low) = (host >> 8 & 0xFF, host & 0xFF);
        writeln!(text, "host{host} A 10.{}.{high}.{low}", host >> 16 & 0xFF).expect("a String takes everything");
        if host % 10 == 0 {
            writeln!(text, "alias{host} CNAME one{host}\none{host} CNAME two{host}\ntwo{host} CNAME host{host}")
                .expect("a String takes everything");
            writeln!(text, "child{host} NS ns.child{host}\nns.child{host} A 10.255.{high}.{low}")
                .expect("a String takes everything");
        }
    }
    text
}

/// One file in memory.
struct OneFile<'a>(&'a str);

impl Files for OneFile<'_> {
    fn read(&mut self, _path: &Path) -> Result<Vec<u8>, FileError> {
        Ok(self.0.as_bytes().to_vec())
    }
}

/// Loads the zone, perhaps as the next version of another.
pub(crate) fn load(text: &str, previous: Option<&Zone>) -> Zone {
    load_as("bench.test.", text, previous)
}

/// Loads a zone of that name, perhaps as the next version of another.
pub(crate) fn load_as(name: &str, text: &str, previous: Option<&Zone>) -> Zone {
    let (mut sources, mut faults) = (Sources::default(), Faults::default());
    let name: fated::wire::Name = name.parse().expect("a good name");
    let file = ZoneFile {
        path: Path::new("bench.zone"),
        name: name.as_ref(),
        seed: Seed([1, 2]),
        previous,
        limits: Limits::default(),
        now: 0,
    };
    let zone = fated::zonefile::load(&file, &mut OneFile(text), &Inline, &mut sources, &mut faults);
    zone.unwrap_or_else(|| panic!("the zone has errors: {:?}", faults.iter().next()))
}
