//! Proofs that something does not exist: which NSEC or NSEC3 records go into a reply.
//!
//! RFC 4035 §3.1.3 for NSEC, RFC 5155 §7.2 for NSEC3. Puts nothing where DO is not set or the zone is not signed.

use crate::answer::reply::{Full, Reply, Section, Spot};
use crate::wire::Type;
use crate::zone::hash::LookupName;
use crate::zone::node::Node;
use crate::zone::nsec3::Hash;
use crate::zone::{Denial, Missing, Nsec3Chain, Nsec3Found, Zone};

/// Proofs of one reply that are remembered so as not to be put twice. A chain may need more; those may repeat.
const PROOFS_MAX: usize = 16;

/// One name on the way to the answer, and the zone that answers for it.
pub(super) struct Place<'z, 'n> {
    pub(super) zone: &'z Zone,
    pub(super) name: &'n LookupName,
    /// Where the name stands in the reply.
    pub(super) spot: Spot,
    pub(super) qtype: Type,
}

/// The proofs of a reply, put as they are needed, each once.
#[derive(Default)]
pub(super) struct Proofs<'z> {
    owners: [&'z [u8]; PROOFS_MAX],
    count: usize,
}

impl<'z> Proofs<'z> {
    /// The name does not exist, nor does a wildcard that would stand for it (RFC 4035 §3.1.3.2, RFC 5155 §7.2.2).
    pub(super) fn name_error(
        &mut self,
        place: &Place<'z, '_>,
        missing: &Missing<'z>,
        reply: &mut Reply<'_>,
    ) -> Result<(), Full> {
        match chain_of(place, reply) {
            Denial::None => Ok(()),
            Denial::Nsec(_) => {
                self.cover(place, place.name, reply)?;
                let wildcard = place.name.wildcard(missing.labels).expect("not longer than the name that is missing");
                self.cover(place, &LookupName::new(wildcard.as_ref()), reply)
            }
            Denial::Nsec3(chain) => {
                let encloser = self.closest_encloser(place, chain, missing.encloser, missing.labels, reply)?;
                self.put_hash(place, chain, &wildcard_hash(chain, encloser), reply)
            }
        }
    }

    /// The name exists and the type does not; with `missing`, the wildcard `node` stands for a name that does not exist
    /// (RFC 4035 §3.1.3.1, §3.1.3.4, RFC 5155 §7.2.3 to §7.2.5).
    pub(super) fn no_data(
        &mut self,
        place: &Place<'z, '_>,
        node: Node<'z>,
        missing: Option<&Missing<'z>>,
        reply: &mut Reply<'_>,
    ) -> Result<(), Full> {
        match (chain_of(place, reply), missing) {
            (Denial::None, _) => Ok(()),
            (Denial::Nsec(_), None) if node.rrset(Type::NSEC).is_none() => self.cover(place, place.name, reply),
            (Denial::Nsec(_), None) => self.put(place, node, Type::NSEC, reply),
            (Denial::Nsec(_), Some(_)) => {
                self.put(place, node, Type::NSEC, reply)?;
                self.cover(place, place.name, reply)
            }
            (Denial::Nsec3(chain), None) => self.match_or_enclose(place, chain, node, place.name.label_count(), reply),
            (Denial::Nsec3(chain), Some(missing)) => {
                self.closest_encloser(place, chain, missing.encloser, missing.labels, reply)?;
                self.put_hash(place, chain, &hash_of(chain, node), reply)
            }
        }
    }

    /// What was answered comes from a wildcard: no closer match exists (RFC 4035 §3.1.3.3, RFC 5155 §7.2.6).
    pub(super) fn synthesis(
        &mut self,
        place: &Place<'z, '_>,
        missing: &Missing<'z>,
        reply: &mut Reply<'_>,
    ) -> Result<(), Full> {
        match chain_of(place, reply) {
            Denial::None => Ok(()),
            Denial::Nsec(_) => self.cover(place, place.name, reply),
            Denial::Nsec3(chain) => {
                let next_closer = chain.params.hash(place.name.suffix_octets(missing.labels + 1));
                self.put_hash(place, chain, &next_closer, reply)
            }
        }
    }

    /// The delegated zone is not signed: there is no DS at the cut, whose name has `labels` (RFC 4035 §3.1.4.1,
    /// RFC 5155 §7.2.7).
    pub(super) fn no_ds(
        &mut self,
        place: &Place<'z, '_>,
        cut: Node<'z>,
        labels: usize,
        reply: &mut Reply<'_>,
    ) -> Result<(), Full> {
        match chain_of(place, reply) {
            Denial::None => Ok(()),
            Denial::Nsec(_) => self.put(place, cut, Type::NSEC, reply),
            Denial::Nsec3(chain) => self.match_or_enclose(place, chain, cut, labels, reply),
        }
    }

    /// Puts the NSEC record that covers, or matches, a name.
    fn cover(&mut self, place: &Place<'z, '_>, name: &LookupName, reply: &mut Reply<'_>) -> Result<(), Full> {
        match place.zone.nsec_at_or_before(name) {
            Some(node) => self.put(place, node, Type::NSEC, reply),
            None => Ok(()),
        }
    }

    /// Puts the NSEC3 record that matches a name that exists, or, where opt-out left none, proves its closest encloser.
    fn match_or_enclose(
        &mut self,
        place: &Place<'z, '_>,
        chain: &'z Nsec3Chain,
        node: Node<'z>,
        labels: usize,
        reply: &mut Reply<'_>,
    ) -> Result<(), Full> {
        match chain.find(&hash_of(chain, node)) {
            Some(Nsec3Found::Match(found)) => self.put(place, found, Type::NSEC3, reply),
            _ => {
                let Some(above) = labels.checked_sub(1) else { return Ok(()) };
                let Some(parent) = place.zone.ancestor(place.name, above) else { return Ok(()) };
                self.closest_encloser(place, chain, parent, above, reply).map(|_| ())
            }
        }
    }

    /// Proves the closest encloser that can be proven, from `node` upwards, whose name has `labels`, and that the next
    /// closer name is covered (RFC 5155 §7.2.1). Returns that encloser.
    ///
    /// With opt-out an empty non-terminal may have no NSEC3 record (§7.1); an ancestor then has one.
    fn closest_encloser(
        &mut self,
        place: &Place<'z, '_>,
        chain: &'z Nsec3Chain,
        node: Node<'z>,
        labels: usize,
        reply: &mut Reply<'_>,
    ) -> Result<Node<'z>, Full> {
        let (mut encloser, mut depth) = (node, labels);
        loop {
            if let Some(Nsec3Found::Match(found)) = chain.find(&hash_of(chain, encloser)) {
                self.put(place, found, Type::NSEC3, reply)?;
                break;
            }
            // Bounded by the labels of a name; the apex has no ancestor in the zone.
            let Some(above) = depth.checked_sub(1).and_then(|above| place.zone.ancestor(place.name, above)) else {
                break;
            };
            (encloser, depth) = (above, depth - 1);
        }
        self.put_hash(place, chain, &chain.params.hash(place.name.suffix_octets(depth + 1)), reply)?;
        Ok(encloser)
    }

    /// Puts the NSEC3 record that matches or covers a hash.
    fn put_hash(
        &mut self,
        place: &Place<'z, '_>,
        chain: &'z Nsec3Chain,
        hash: &Hash,
        reply: &mut Reply<'_>,
    ) -> Result<(), Full> {
        match chain.find(hash) {
            Some(Nsec3Found::Match(node) | Nsec3Found::Cover(node)) => self.put(place, node, Type::NSEC3, reply),
            None => Ok(()),
        }
    }

    /// Puts the proof that stands at `node`, unless it was put before. Its owner shares what it can with the name.
    fn put(&mut self, place: &Place<'z, '_>, node: Node<'z>, rtype: Type, reply: &mut Reply<'_>) -> Result<(), Full> {
        let Some(rrset) = node.rrset(rtype) else { return Ok(()) };
        if self.has(node) {
            return Ok(());
        }
        let (owner, name) = (node.name(), place.name.name());
        let shared = owner.ancestors().find(|suffix| name.is_at_or_below(*suffix)).map_or(1, |suffix| suffix.len());
        let at = reply.owner(place.spot, shared);
        if shared == owner.len() {
            return reply.put(Section::Authority, at, &rrset).map(|_| ());
        }
        let prefix = &owner.as_bytes()[..owner.len() - shared];
        reply.put_written(Section::Authority, prefix, (shared > 1).then(|| at.pointer()), &rrset)
    }

    /// Whether the node was noted before; notes it if not.
    fn has(&mut self, node: Node<'z>) -> bool {
        let owner = node.name_octets();
        if self.owners[..self.count].iter().any(|known| core::ptr::eq(*known, owner)) {
            return true;
        }
        if let Some(free) = self.owners.get_mut(self.count) {
            *free = owner;
            self.count += 1;
        }
        false
    }
}

/// The chain that is to prove something, or [`Denial::None`] where nothing is to be proven.
fn chain_of<'z>(place: &Place<'z, '_>, reply: &Reply<'_>) -> &'z Denial {
    if reply.wants_signatures && place.zone.is_signed() { place.zone.denial() } else { &Denial::None }
}

/// The hash of a name of the zone: prepared at load, except where it is glue.
fn hash_of(chain: &Nsec3Chain, node: Node<'_>) -> Hash {
    match node.nsec3_hash() {
        Some(hash) => *hash,
        None => chain.params.hash(LookupName::new(node.name()).name().as_bytes()),
    }
}

/// The hash of `*` below a closest encloser: prepared at load.
fn wildcard_hash(chain: &Nsec3Chain, encloser: Node<'_>) -> Hash {
    match encloser.nsec3_wildcard_hash() {
        Some(hash) => *hash,
        None => {
            let name = LookupName::new(encloser.name());
            let wildcard = name.wildcard(name.label_count());
            wildcard.map_or([0; size_of::<Hash>()], |name| chain.params.hash(name.as_ref().as_bytes()))
        }
    }
}
