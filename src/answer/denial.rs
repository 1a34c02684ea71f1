//! Proofs that something does not exist: which NSEC or NSEC3 records go into a reply.
//!
//! RFC 4035 §3.1.3 for NSEC, RFC 5155 §7.2 for NSEC3. Puts nothing where DO is not set or the zone is not signed.

use arrayvec::ArrayVec;

use crate::answer::chain::{CHAIN_MAX, ChainName};
use crate::answer::reply::{Full, NamePosition, Reply, Section};
use crate::wire::{Name, NameRef, Type};
use crate::zone::node::Node;
use crate::zone::nsec3::Hash;
use crate::zone::{Denial, NoMatch, Nsec3Chain, Nsec3Found};

/// Proofs of one reply: one for each wildcard that is passed, and at most three where the walk ends.
const PROOFS_MAX: usize = CHAIN_MAX + 3;

/// The proofs of a reply, noted as they are needed, each once, and put when the answers are complete.
#[derive(Default)]
pub(super) struct Proofs<'z> {
    noted: ArrayVec<(Node<'z>, Type), PROOFS_MAX>,
}

impl<'z> Proofs<'z> {
    /// The name does not exist, nor does a wildcard that would stand for it (RFC 4035 §3.1.3.2, RFC 5155 §7.2.2).
    pub(super) fn name_error(&mut self, link: &ChainName<'z, '_>, no_match: &NoMatch<'z>, reply: &Reply<'_>) {
        match chain_of(link, reply) {
            Denial::None => {}
            Denial::Nsec(_) => {
                self.cover(link, link.name.name());
                let wildcard =
                    link.name.wildcard(no_match.labels).expect("not longer than the name that does not match");
                self.cover(link, wildcard.as_ref())
            }
            Denial::Nsec3(chain) => {
                let encloser = self.closest_encloser(link, chain, no_match.encloser, no_match.labels);
                self.note_hash(chain, &wildcard_hash(chain, encloser))
            }
        }
    }

    /// The name exists and the type does not; with `no_match`, the wildcard `node` stands for a name that does not
    /// exist (RFC 4035 §3.1.3.1, §3.1.3.4, RFC 5155 §7.2.3 to §7.2.5).
    pub(super) fn no_data(
        &mut self,
        link: &ChainName<'z, '_>,
        node: Node<'z>,
        no_match: Option<&NoMatch<'z>>,
        reply: &Reply<'_>,
    ) {
        match (chain_of(link, reply), no_match) {
            (Denial::None, _) => {}
            (Denial::Nsec(_), None) if node.rrset(Type::NSEC).is_none() => self.cover(link, link.name.name()),
            (Denial::Nsec(_), None) => self.note(node, Type::NSEC),
            (Denial::Nsec(_), Some(_)) => {
                // An empty non-terminal has no NSEC of its own; the one before covers it.
                self.cover(link, node.name());
                self.cover(link, link.name.name())
            }
            (Denial::Nsec3(chain), None) => self.match_or_enclose(link, chain, node, link.name.label_count()),
            (Denial::Nsec3(chain), Some(no_match)) => {
                self.closest_encloser(link, chain, no_match.encloser, no_match.labels);
                self.note_hash(chain, &hash_of(chain, node))
            }
        }
    }

    /// What is answered comes from a wildcard: no name stands closer than the closest encloser (RFC 4035 §3.1.3.3,
    /// RFC 5155 §7.2.6).
    pub(super) fn synthesis(&mut self, link: &ChainName<'z, '_>, no_match: &NoMatch<'z>, reply: &Reply<'_>) {
        match chain_of(link, reply) {
            Denial::None => {}
            Denial::Nsec(_) => self.cover(link, link.name.name()),
            Denial::Nsec3(chain) => {
                let next_closer = chain.params.hash(link.name.suffix_octets(no_match.labels + 1));
                self.note_hash(chain, &next_closer)
            }
        }
    }

    /// The delegated zone is not signed: there is no DS at the cut, whose name has `labels` (RFC 4035 §3.1.4.1,
    /// RFC 5155 §7.2.7).
    pub(super) fn no_ds(&mut self, link: &ChainName<'z, '_>, cut: Node<'z>, labels: usize, reply: &Reply<'_>) {
        match chain_of(link, reply) {
            Denial::None => {}
            Denial::Nsec(_) => self.note(cut, Type::NSEC),
            Denial::Nsec3(chain) => self.match_or_enclose(link, chain, cut, labels),
        }
    }

    /// Notes the NSEC record that covers, or matches, a name.
    fn cover(&mut self, link: &ChainName<'z, '_>, name: NameRef<'_>) {
        if let Some(node) = link.zone.nsec_at_or_before(name) {
            self.note(node, Type::NSEC);
        }
    }

    /// Notes the NSEC3 record that matches a name that exists, or, where opt-out left none, proves its closest
    /// encloser.
    fn match_or_enclose(&mut self, link: &ChainName<'z, '_>, chain: &'z Nsec3Chain, node: Node<'z>, labels: usize) {
        match chain.find(&hash_of(chain, node)) {
            Some(Nsec3Found::Match(found)) => self.note(found, Type::NSEC3),
            _ => {
                let Some(above) = labels.checked_sub(1) else { return };
                let Some(parent) = link.zone.ancestor(link.name, above) else { return };
                self.closest_encloser(link, chain, parent, above);
            }
        }
    }

    /// Proves the closest encloser that can be proven, from `node` upwards, whose name has `labels`, and that the next
    /// closer name is covered (RFC 5155 §7.2.1). Returns that encloser.
    ///
    /// With opt-out an empty non-terminal may have no NSEC3 record (§7.1); an ancestor then has one.
    fn closest_encloser(
        &mut self,
        link: &ChainName<'z, '_>,
        chain: &'z Nsec3Chain,
        node: Node<'z>,
        labels: usize,
    ) -> Node<'z> {
        let (mut encloser, mut depth) = (node, labels);
        loop {
            if let Some(Nsec3Found::Match(found)) = chain.find(&hash_of(chain, encloser)) {
                self.note(found, Type::NSEC3);
                break;
            }
            // Bounded by the labels of a name; the apex has no ancestor in the zone.
            let Some(above) = depth.checked_sub(1).and_then(|above| link.zone.ancestor(link.name, above)) else {
                break;
            };
            (encloser, depth) = (above, depth - 1);
        }
        self.note_hash(chain, &chain.params.hash(link.name.suffix_octets(depth + 1)));
        encloser
    }

    /// Notes the NSEC3 record that matches or covers a hash.
    fn note_hash(&mut self, chain: &'z Nsec3Chain, hash: &Hash) {
        if let Some(Nsec3Found::Match(node) | Nsec3Found::Cover(node)) = chain.find(hash) {
            self.note(node, Type::NSEC3);
        }
    }

    /// Notes the proof that stands at `node`, once; [`Self::put`] puts it.
    fn note(&mut self, node: Node<'z>, rtype: Type) {
        let is_known = |(known, _): &(Node<'z>, Type)| core::ptr::eq(known.name_octets(), node.name_octets());
        if !self.noted.iter().any(is_known) {
            // There is room for all that one walk can need.
            let _noted = self.noted.try_push((node, rtype));
        }
    }

    /// Puts into the authority section what was noted: all answers are there by then.
    ///
    /// Each owner shares what it can with the name at `position`.
    ///
    /// # Errors
    /// [`Full`].
    #[inline]
    pub(super) fn put(&self, position: NamePosition, reply: &mut Reply<'_>) -> Result<(), Full> {
        if self.noted.is_empty() { Ok(()) } else { self.put_all(position, reply) }
    }

    /// Puts them where there are any.
    fn put_all(&self, position: NamePosition, reply: &mut Reply<'_>) -> Result<(), Full> {
        let name = reply.name_at(position.at);
        for (node, rtype) in &self.noted {
            let Some(rrset) = node.rrset(*rtype) else { continue };
            let owner = node.name();
            let is_shared = |suffix: &NameRef<'_>| name.as_ref().is_at_or_below(*suffix);
            let shared = owner.ancestors().find(is_shared).map_or(1, NameRef::len);
            let at = reply.owner(position, shared);
            if shared == owner.len() {
                reply.put(Section::Authority, at, &rrset)?;
            } else {
                reply.put_written(Section::Authority, owner, (shared > 1).then_some(at), &rrset)?;
            }
        }
        Ok(())
    }
}

/// The chain that is to prove something, or [`Denial::None`] where nothing is to be proven.
fn chain_of<'z>(link: &ChainName<'z, '_>, reply: &Reply<'_>) -> &'z Denial {
    if reply.wants_signatures && link.zone.is_signed() { link.zone.denial() } else { &Denial::None }
}

/// The hash of a name of the zone: prepared at load, except where it is glue.
fn hash_of(chain: &Nsec3Chain, node: Node<'_>) -> Hash {
    match node.nsec3_hash() {
        Some(hash) => *hash,
        None => chain.params.hash(node.name_octets()),
    }
}

/// The hash of `*` below a closest encloser: prepared at load.
fn wildcard_hash(chain: &Nsec3Chain, encloser: Node<'_>) -> Hash {
    match encloser.nsec3_wildcard_hash() {
        Some(hash) => *hash,
        None => {
            let wildcard = Name::child(b"*", encloser.name());
            wildcard.map_or([0; size_of::<Hash>()], |name| chain.params.hash(name.as_ref().as_bytes()))
        }
    }
}
