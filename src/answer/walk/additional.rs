//! The additional section: what a client that got an RRset will ask for next (RFC 1034 §4.3.2 step 6, RFC 9460 §4.1,
//! RFC 9471).
//!
//! Which types that are depends on the RRset and its mode: addresses, and of the target of an alias to a service the
//! service too.

use arrayvec::ArrayVec;

use crate::answer::reply::{Full, Owner, Reply, TargetName};
use crate::wire::{Name, Type};
use crate::zone::hash::LookupName;
use crate::zone::node::{Flags, Node, Rrset, Target};
use crate::zone::{Found, Zone};

/// The most RRsets of a service whose targets are looked for, that of the answer among them (RFC 9460 §3 lets clients
/// give up as well).
const SERVICES_MAX: usize = 9;
/// The most targets of each of them.
const SERVICE_TARGETS_MAX: usize = 32;

/// An RRset in the reply for whose targets, other names of its zone, additional records are put.
#[derive(Clone, Copy)]
pub(super) struct Additional<'z> {
    pub(super) zone: &'z Zone,
    pub(super) rrset: Rrset<'z>,
    /// Where it was put.
    pub(super) start: usize,
    pub(super) owner: Owner,
    /// Whether it delegates.
    pub(super) is_referral: bool,
}

impl<'z> Additional<'z> {
    /// Puts what belongs to the targets of the RRset.
    ///
    /// In a referral, the addresses of servers at or below the cut are required (RFC 9471 §3); all else is put as far
    /// as there is room.
    ///
    /// # Errors
    /// [`Full`] where required glue does not fit.
    pub(super) fn put(&self, reply: &mut Reply<'_>) -> Result<(), Full> {
        if matches!(self.rrset.rtype, Type::SVCB | Type::HTTPS) {
            self.put_services(reply);
            return Ok(());
        }
        for is_required in [true, false] {
            for target in self.rrset.targets() {
                if is_required == (self.is_referral && target.is_below_owner()) {
                    self.put_addresses(target, is_required, reply)?;
                }
            }
        }
        Ok(())
    }

    /// Puts the addresses of the targets of a service; where it is an alias, the service there too, and what belongs
    /// to its targets.
    fn put_services(&self, reply: &mut Reply<'_>) {
        let mut sources: ArrayVec<Self, SERVICES_MAX> = ArrayVec::new();
        sources.push(*self);
        let mut index = 0;
        while let Some(source) = sources.get(index).copied() {
            let is_known = |target: &Target, sources: &[Self]| sources.iter().any(|known| known.has_target(target));
            for target in source.targets().filter(|target| !is_known(target, &sources[..index])).collect::<Targets>() {
                if target.is_alias() && !sources.is_full() {
                    sources.extend(source.put_service(target, &sources, reply));
                }
                // Nobody is refused for want of an address that is not required.
                let _is_left_out = source.put_addresses(target, false, reply);
            }
            index += 1;
        }
    }

    /// The targets of a service.
    fn targets(&self) -> impl Iterator<Item = Target> + 'z {
        self.rrset.targets().take(SERVICE_TARGETS_MAX)
    }

    /// Whether a name is among them.
    fn has_target(&self, target: &Target) -> bool {
        self.targets().any(|own| own.hash == target.hash)
    }

    /// Puts the RRset of the same type at one name, unless it is one of `sources`. What stands below a cut is not ours
    /// to give.
    fn put_service(&self, target: Target, sources: &[Self], reply: &mut Reply<'_>) -> Option<Self> {
        let (name, node) = self.find(target, reply)?;
        let hidden = Flags(Flags::IS_CUT.0 | Flags::IS_OCCLUDED.0);
        let rrset = node.rrset(self.rrset.rtype).filter(|_| !node.flags().has(hidden))?;
        if sources.iter().any(|source| core::ptr::eq(source.rrset.body, rrset.body)) {
            return None;
        }
        let (start, owner) = (reply.len(), reply.target_owner(&name, node)?);
        reply.put_target(&name, node, &rrset).ok()?;
        Some(Self { rrset, start, owner, ..*self })
    }

    /// Puts the addresses of one name.
    ///
    /// # Errors
    /// [`Full`] where they are required and do not fit. Others are left out then; a shorter RRset behind them may fit.
    fn put_addresses(&self, target: Target, is_required: bool, reply: &mut Reply<'_>) -> Result<(), Full> {
        let Some((name, node)) = self.find(target, reply) else { return Ok(()) };
        for rtype in [Type::A, Type::AAAA] {
            let Some(addresses) = node.rrset(rtype) else { continue };
            let put = reply.put_target(&name, node, &addresses);
            if is_required {
                put?;
            }
        }
        Ok(())
    }

    /// The node of a target, perhaps a wildcard.
    fn find(&self, target: Target, reply: &Reply<'_>) -> Option<(TargetName, Node<'z>)> {
        let name = reply.target(&self.rrset, target, self.start, self.owner);
        let found = self.zone.names().find_by(target.hash, |node| reply.is_target(&name, node.name_octets()));
        let node = found.or_else(|| wildcard_for(self.zone, &reply.name_of(&name)?))?;
        Some((name, node))
    }
}

/// Targets of a service.
type Targets = ArrayVec<Target, SERVICE_TARGETS_MAX>;

/// The wildcard that stands for a target that does not exist.
fn wildcard_for<'z>(zone: &'z Zone, target: &Name) -> Option<Node<'z>> {
    if !zone.has_wildcards() || !target.as_ref().is_at_or_below(zone.apex()) {
        return None;
    }
    match zone.lookup(&LookupName::new(target.as_ref())) {
        Found::NoMatch(no_match) => zone.wildcard(&no_match),
        Found::Exact(_) | Found::Delegation { .. } | Found::Dname { .. } => None,
    }
}
