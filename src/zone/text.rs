//! A zone as text: canonical order, one full record a line.

use std::fmt;

use crate::wire::{NameRef, rdata};
use crate::zone::node::{Node, Rrset};
use crate::zone::{NodeCursor, Zone};

impl Zone {
    /// Writes every record on a line of its own: owner, TTL, class, type, RDATA, parted by tabs.
    ///
    /// Owners stand in canonical order (RFC 4034 §6.1), types in that of their numbers, each RRset followed by its
    /// signatures, and records in canonical order (§6.3); the SOA comes first. Allocates a list of all nodes.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let mut nodes: Vec<Node<'_>> = self.nodes_from(NodeCursor::default()).map(|(node, _)| node).collect();
        nodes.sort_by(|a, b| a.name().cmp(&b.name()));
        let soa_first = |rrset: &Rrset<'_>| (rrset.rtype != crate::wire::Type::SOA, rrset.rtype);
        for node in nodes {
            let mut rrsets: Vec<Rrset<'_>> = node.rrsets().collect();
            rrsets.sort_by_key(soa_first);
            for rrset in rrsets {
                write_rrset(out, node.name(), rrset)?;
                write_rrset(out, node.name(), rrset.as_signatures())?;
            }
        }
        Ok(())
    }
}

/// Writes the records of one RRset.
fn write_rrset(out: &mut impl fmt::Write, owner: NameRef<'_>, rrset: Rrset<'_>) -> fmt::Result {
    let (mut plain, mut text) = (Vec::new(), String::new());
    for record in rrset.records() {
        plain.clear();
        text.clear();
        rrset.write_plain_rdata(owner, &record, &mut plain);
        rdata::write_text(rrset.rtype, &plain, &mut text);
        writeln!(out, "{owner}\t{}\tIN\t{}\t{text}", record.ttl, rrset.rtype)?;
    }
    Ok(())
}
