//! What is asked: which names for the owners of a zone, and in which ways.

use std::collections::BTreeSet;

use super::common::message::{Edns, Query};
use super::common::name;
use super::common::zonetext::Owners;

/// A way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ways {
    /// Over TCP instead of UDP.
    pub(crate) is_tcp: bool,
    /// The EDNS payload size and DO, if there is an OPT record.
    pub(crate) edns: Option<(u16, bool)>,
}

impl Ways {
    /// With and without DO over UDP and TCP.
    pub(crate) const FOUR: [Self; 4] = [
        Self { is_tcp: false, edns: None },
        Self { is_tcp: false, edns: Some((1232, true)) },
        Self { is_tcp: true, edns: None },
        Self { is_tcp: true, edns: Some((1232, true)) },
    ];
    /// Those, and other sizes.
    pub(crate) const SEVEN: [Self; 7] = [
        Self { is_tcp: false, edns: None },
        Self { is_tcp: false, edns: Some((1232, true)) },
        Self { is_tcp: true, edns: None },
        Self { is_tcp: true, edns: Some((1232, true)) },
        Self { is_tcp: false, edns: Some((512, true)) },
        Self { is_tcp: false, edns: Some((800, false)) },
        Self { is_tcp: false, edns: Some((4096, true)) },
    ];

    /// The query for a name and a type asked in this way.
    pub(crate) fn query(self, qname: &[u8], qtype: u16) -> Query {
        let query = Query::new(qname, qtype);
        match self.edns {
            None => query,
            Some((payload_bytes, is_do)) => query.with_edns(Edns::new(payload_bytes, is_do)),
        }
    }

    /// The octets that a reply may have.
    pub(crate) fn limit(self) -> usize {
        match (self.is_tcp, self.edns) {
            (true, _) => 65_535,
            (false, None) => 512,
            (false, Some((payload_bytes, _))) => usize::from(payload_bytes).clamp(512, 1232),
        }
    }
}

/// For each owner and each empty name above it: the name, one below it, one beside it, all in lower case.
pub(crate) fn names(owners: &Owners, apex: &[u8]) -> Vec<Vec<u8>> {
    let mut all: BTreeSet<Vec<u8>> = BTreeSet::new();
    for owner in owners.keys() {
        let mut at = Some(&owner[..]);
        while let Some(here) = at {
            all.insert(here.to_vec());
            if here == apex {
                break;
            }
            at = name::parent(here);
        }
    }
    let mut asked = all.clone();
    for here in &all {
        asked.extend(name::below(b"below", here));
        asked.extend(name::below(b"twice", here).and_then(|once| name::below(b"below", &once)));
        asked.extend(beside(here));
        // What a wildcard stands for, when its asterisk is replaced.
        if here.starts_with(b"\x01*") {
            asked.extend(name::below(b"some", &here[2..]));
            asked.extend(name::below(b"some", &here[2..]).and_then(|once| name::below(b"more", &once)));
        }
    }
    asked.into_iter().collect()
}

/// A name that differs from `here` in the end of its first label.
fn beside(here: &[u8]) -> Option<Vec<u8>> {
    let length = usize::from(*here.first()?);
    let label = here.get(1..=length)?;
    if label.is_empty() {
        return None;
    }
    let mut other = label.to_vec();
    if other.len() < 60 {
        other.extend_from_slice(b"-0")
    } else {
        *other.last_mut()? ^= 1
    }
    name::below(&other, &here[1 + length..])
}

/// Names that no zone holds, and names that are as long as names get.
pub(crate) fn strangers() -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> =
        [".", "test.", "example.", "www.elsewhere.example.", "ners.test.", "xcorners.test.", "corners.test.example."]
            .map(name::name)
            .into();
    let label = [b'x'; 49];
    for above in
        ["dn-long.corners.test.", "dn-out.corners.test.", "dn.corners.test.", "wild.corners.test.", "corners.test."]
    {
        let mut at = name::name(above);
        while let Some(longer) = name::below(&label, &at) {
            out.push(longer.clone());
            at = longer;
        }
        let room = 255 - at.len();
        out.extend(if room > 1 { name::below(&label[..room - 1], &at) } else { None });
    }
    out
}
