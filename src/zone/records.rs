//! The records of a zone, read back from its nodes: uncompressed, name by name, from any place on.

use crate::wire::Type;
use crate::zone::Zone;
use crate::zone::names::NodeRef;
use crate::zone::node::Node;

/// A place between the nodes of one version of a zone; the default is in front of the first.
///
/// It holds no memory and borrows nothing: whoever sends a zone in pieces keeps it beside the zone from piece to piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCursor {
    /// Whether it is among the owners of NSEC3 records, which come last.
    is_hashed: bool,
    next: NodeRef,
}

impl Zone {
    /// The nodes from `cursor` on in no useful order, empty ones too, each with the place behind it.
    pub fn nodes_from(&self, cursor: NodeCursor) -> impl Iterator<Item = (Node<'_>, NodeCursor)> {
        let of = |names: bool, is_hashed: bool| {
            let start = if cursor.is_hashed == is_hashed { cursor.next } else { NodeRef::default() };
            let names =
                if is_hashed { self.hashed() } else { self.names() }.iter_from(start).take_while(move |_| names);
            names.map(move |(at, node)| (node, NodeCursor { is_hashed, next: at.behind() }))
        };
        of(!cursor.is_hashed, false).chain(of(true, true))
    }
}

impl<'z> Node<'z> {
    /// Hands `visit` the type, the TTL and the uncompressed RDATA of each record, signatures behind what they cover.
    pub fn visit_records(self, mut visit: impl FnMut(Type, u32, &[u8])) {
        let mut plain = Vec::new();
        for rrset in self.rrsets() {
            for rrset in [rrset, rrset.as_signatures()] {
                for record in rrset.records() {
                    plain.clear();
                    rrset.write_plain_rdata(self.name(), &record, &mut plain);
                    visit(rrset.rtype, record.ttl, &plain);
                }
            }
        }
    }
}
