//! From the question to the records: RFC 1034 §4.3.2 as RFC 2308, 4035, 4592, 5155, 6604, 6672 and 9471 have it.
//!
//! A walk goes from name to name of a chain of aliases. For each it puts answers, and notes what belongs behind them:
//! proofs and what leads to additional records. Both are put in one place at the end, so that no way to end a walk can
//! forget them.

mod additional;

use arrayvec::ArrayVec;

use crate::answer::chain::{CHAIN_MAX, ChainName};
use crate::answer::code::Rcode;
use crate::answer::denial::Proofs;
use crate::answer::reply::{Full, NamePosition, Owner, Reply, Section, put_compressed};
use crate::answer::status::Status;
use crate::answer::walk::additional::Additional;
use crate::wire::{Name, NameRef, Type};
use crate::zone::hash::{LookupName, NameHash};
use crate::zone::node::{Node, QNAME_OFFSET, Rrset};
use crate::zone::{Apex, Found, LookupCursor, NoMatch, Zone, ZoneSet};

/// What follows from one name of the chain.
enum Step {
    /// The walk ends.
    Done,
    /// The name is an alias; its target stands in the reply at this offset.
    Alias(usize),
}

/// Where aliases may lead.
#[derive(Clone, Copy)]
pub(super) struct Scope<'z> {
    /// The zones that are served.
    pub(super) zones: &'z ZoneSet,
    /// Whether an alias is followed into another of them.
    pub(super) is_across: bool,
}

impl<'z> Scope<'z> {
    /// Where the target of an alias of `zone` stands, with its hash; `None` where it is not looked for.
    ///
    /// In a zone of its own it is looked for only where that is allowed. What `zone` delegates it refers to as it
    /// would if nobody served the child here; but about a zone below it without a cut it can say nothing.
    fn target(
        &self,
        zone: &'z Zone,
        name: &LookupName<'_>,
        qtype: Type,
        last: &mut Option<&'z Apex>,
    ) -> Option<(&'z Zone, Found<'z>, NameHash)> {
        let apex = if self.is_across {
            locate(self.zones, name, qtype, last)?
        } else {
            *last = self.zones.locate(name, *last);
            (*last)?
        };
        if let Some(deepest) = apex.zone()
            && (self.is_across || core::ptr::eq(&**deepest, zone))
        {
            let cursor = deepest.cursor(name);
            return Some((deepest, deepest.lookup_with(name, &cursor), deepest.hash_with(name, &cursor)));
        }
        // What is broken is for whoever asks for the target itself.
        let is_below = !self.is_across && name.name().is_below(zone.apex());
        let found = is_below.then(|| zone.lookup(name))?;
        matches!(found, Found::Delegation { .. }).then(|| (zone, found, name.hash(zone.seed())))
    }
}

/// Puts all that answers a question for `name` into `reply`; `cursor` is the search that [`locate`] began in `zone`. A
/// reply that is truncated has no records.
pub(super) fn answer<'z>(
    scope: Scope<'z>,
    (zone, cursor): (&'z Zone, &LookupCursor<'z>),
    name: &LookupName<'_>,
    qtype: Type,
    reply: &mut Reply<'_>,
) -> Status {
    let found = zone.lookup_with(name, cursor);
    // Most often that is all: the RRset as it was laid out.
    if let Found::Exact(node) = found
        && let Some(rrset) = node.rrset(qtype)
        && !rrset.has_targets()
        && reply.put_laid_out(&rrset).is_ok()
    {
        return Status::authoritative(Rcode::NOERROR);
    }
    let first = ChainName { zone, name, position: NamePosition { at: QNAME_OFFSET, bytes: name.name().len() } };
    let status = Walk::new(scope, &first, qtype, reply).run(&first, found);
    if status.is_truncated { answer_compressed(scope, &first, qtype, found, status, reply) } else { status }
}

/// Walks once more where the reply was truncated, with all names compressed as far as they can be. What then still
/// does not fit is truncated: nobody may use what such a reply holds, and nobody is to be flooded with it (RFC 2181
/// §9).
#[cold]
fn answer_compressed<'z>(
    scope: Scope<'z>,
    first: &ChainName<'z, '_>,
    qtype: Type,
    found: Found<'z>,
    truncated: Status,
    reply: &mut Reply<'_>,
) -> Status {
    let walk = |reply: &mut Reply<'_>| Walk::new(scope, first, qtype, reply).run(first, found);
    let again = reply.might_fit().then(|| put_compressed(reply, first.zone.seed(), walk));
    again.filter(|status| !status.is_truncated).unwrap_or_else(|| {
        reply.clear();
        truncated
    })
}

/// The apex of the zone that answers for a name: the deepest; for DS the one above the cut, if there is one
/// (RFC 4035 §3.1.4.1). `last` is the deepest apex for the name before, and then for this one.
#[inline]
pub(super) fn locate<'z>(
    zones: &'z ZoneSet,
    name: &LookupName<'_>,
    qtype: Type,
    last: &mut Option<&'z Apex>,
) -> Option<&'z Apex> {
    *last = zones.locate(name, *last);
    let deepest = (*last)?;
    if qtype != Type::DS || deepest.name().len() != name.name().len() {
        return Some(deepest);
    }
    let above = name.label_count().checked_sub(1).and_then(|above| zones.search(name, above));
    Some(above.unwrap_or(deepest))
}

/// One walk: what is asked for, the reply that it fills, and what it has noted so far.
struct Walk<'z, 'r, 'b> {
    scope: Scope<'z>,
    qtype: Type,
    reply: &'r mut Reply<'b>,
    proofs: Proofs<'z>,
    /// What the walk comes to, also where the records that say so do not fit.
    rcode: Rcode,
    /// An alias was followed.
    is_alias: bool,
    /// The name belongs to a delegated zone.
    is_referral: bool,
    /// The DNAMEs in the reply, by their owners, and where the target of each stands.
    dnames: ArrayVec<(&'z [u8], usize), { CHAIN_MAX + 1 }>,
    /// Where the last name stands.
    position: NamePosition,
    additional: Option<Additional<'z>>,
}

impl<'z, 'r, 'b> Walk<'z, 'r, 'b> {
    /// Begins a walk at the name that is asked for.
    fn new(scope: Scope<'z>, first: &ChainName<'z, '_>, qtype: Type, reply: &'r mut Reply<'b>) -> Self {
        Self {
            scope,
            qtype,
            reply,
            proofs: Proofs::default(),
            rcode: Rcode::NOERROR,
            is_alias: false,
            is_referral: false,
            dnames: ArrayVec::new(),
            position: first.position,
            additional: None,
        }
    }

    /// Answers for `first`, which stands where `found` says, for the aliases that follow from it, and for what was
    /// noted.
    fn run(mut self, first: &ChainName<'z, '_>, found: Found<'z>) -> Status {
        let walked = match self.step(first, found) {
            Ok(Step::Done) => Ok(()),
            Ok(Step::Alias(at)) => self.follow(first, at),
            Err(Full) => Err(Full),
        };
        let put = walked.and_then(|()| self.put_noted());
        // Where an alias was followed, that much is ours (RFC 1035 §4.1.1).
        let is_authoritative = self.is_alias || !self.is_referral;
        Status { rcode: self.rcode, is_authoritative, is_truncated: put.is_err(), extended_error: None }
    }

    /// Follows the alias of `first`, whose target stands at `at` in the reply, and those behind it.
    fn follow(&mut self, first: &ChainName<'z, '_>, mut at: usize) -> Result<(), Full> {
        self.is_alias = true;
        let (mut zone, mut last) = (first.zone, self.scope.zones.only());
        let mut seen: ArrayVec<NameHash, { CHAIN_MAX + 1 }> = ArrayVec::new();
        seen.push(first.name.hash(zone.seed()));
        loop {
            let target = self.reply.name_at(at);
            let name = &LookupName::of(&target);
            let Some((next, found, hash)) = self.scope.target(zone, name, self.qtype, &mut last) else { return Ok(()) };
            // In a loop, what is in the reply already would be put again.
            if seen.is_full() || seen.contains(&hash) {
                return Ok(());
            }
            self.reply.ensure_reachable(at)?;
            seen.push(hash);
            zone = next;
            self.position = NamePosition { at, bytes: target.as_ref().len() };
            match self.step(&ChainName { zone, name, position: self.position }, found)? {
                Step::Done => return Ok(()),
                Step::Alias(next) => at = next,
            }
        }
    }

    /// Answers for one name, which stands where `found` says, as far as that goes without following an alias.
    fn step(&mut self, link: &ChainName<'z, '_>, found: Found<'z>) -> Result<Step, Full> {
        match found {
            Found::Exact(node) => {
                let owner = self.reply.owner(link.position, node.name_octets().len());
                self.answer_from(link, node, owner, None)
            }
            Found::Delegation { cut, labels } if self.qtype == Type::DS && labels == link.name.label_count() => {
                // DS belongs to the parent's side of the cut (RFC 4035 §2.4), and nothing else of the cut does.
                let owner = self.reply.owner(link.position, cut.name_octets().len());
                match cut.rrset(Type::DS) {
                    Some(rrset) => self.reply.put(Section::Answer, owner, &rrset).map(|_| Step::Done),
                    None => self.no_data(link, cut, None),
                }
            }
            Found::Delegation { cut, labels } => self.refer(link, cut, labels),
            Found::Dname { owner, labels } => self.redirect(link, owner, labels),
            Found::NoMatch(no_match) => match link.zone.wildcard(&no_match) {
                Some(node) => {
                    // What is answered from here on comes from a wildcard, and that nothing stands closer is to be
                    // proved.
                    self.proofs.synthesis(link, &no_match, self.reply);
                    let owner = self.reply.synthesised_owner(link.position, node.name_octets().len());
                    self.answer_from(link, node, owner, Some(&no_match))
                }
                None => {
                    self.rcode = Rcode::NXDOMAIN;
                    self.proofs.name_error(link, &no_match, self.reply);
                    self.put_soa(link)
                }
            },
        }
    }

    /// Answers from a node that exists, or, where `no_match` says what does not exist, by synthesis from a wildcard.
    fn answer_from(
        &mut self,
        link: &ChainName<'z, '_>,
        node: Node<'z>,
        owner: Owner,
        no_match: Option<&NoMatch<'z>>,
    ) -> Result<Step, Full> {
        let found = match self.qtype {
            Type::ANY => one_of(node.rrsets().filter(|rrset| rrset.record_count > 0)),
            Type::RRSIG => one_of(node.rrsets().filter(|rrset| rrset.signature_count > 0)).map(Rrset::as_signatures),
            qtype => node.rrset(qtype),
        };
        if let Some(rrset) = found {
            if rrset.rtype == Type::DNAME && self.target_of_dname(node).is_some() {
                return Ok(Step::Done); // It led here, and stands in the reply.
            }
            let start = self.reply.put(Section::Answer, owner, &rrset)?;
            if rrset.has_targets() {
                self.additional = Some(Additional { zone: link.zone, rrset, start, owner, is_referral: false });
            }
            return Ok(Step::Done);
        }
        // Signatures are asked for where they stand.
        match node.rrset(Type::CNAME).filter(|_| self.qtype != Type::RRSIG) {
            Some(cname) => {
                let start = self.reply.put(Section::Answer, owner, &cname)?;
                Ok(Step::Alias(self.reply.rdata_at(start)))
            }
            None => self.no_data(link, node, no_match),
        }
    }

    /// Says that the name has no records of the type (RFC 2308 §2.2).
    fn no_data(
        &mut self,
        link: &ChainName<'z, '_>,
        node: Node<'z>,
        no_match: Option<&NoMatch<'z>>,
    ) -> Result<Step, Full> {
        self.proofs.no_data(link, node, no_match, self.reply);
        self.put_soa(link)
    }

    /// Puts the SOA that a negative answer carries (RFC 2308 §3), which ends the walk.
    fn put_soa(&mut self, link: &ChainName<'_, '_>) -> Result<Step, Full> {
        let owner = self.reply.owner(link.position, link.zone.apex().len());
        self.reply.put(Section::Authority, owner, &link.zone.negative_soa()).map(|_| Step::Done)
    }

    /// Refers to the servers of a delegated zone (RFC 1034 §4.3.2 step 3b, RFC 4035 §3.1.4).
    fn refer(&mut self, link: &ChainName<'z, '_>, cut: Node<'z>, labels: usize) -> Result<Step, Full> {
        let owner = self.reply.owner(link.position, cut.name_octets().len());
        self.is_referral = true;
        let servers = cut.rrset(Type::NS).expect("a cut has NS");
        // What stands at a cut is not signed by the parent, but for DS and NSEC.
        let wants_signatures = core::mem::replace(&mut self.reply.wants_signatures, false);
        let start = self.reply.put(Section::Authority, owner, &servers);
        self.reply.wants_signatures = wants_signatures;
        let start = start?;
        self.additional = Some(Additional { zone: link.zone, rrset: servers, start, owner, is_referral: true });
        if wants_signatures && link.zone.is_signed() {
            match cut.rrset(Type::DS) {
                Some(ds) => {
                    self.reply.put(Section::Authority, owner, &ds)?;
                }
                None => self.proofs.no_ds(link, cut, labels, self.reply),
            }
        }
        Ok(Step::Done)
    }

    /// Follows the DNAME of `node`: puts it, if it is not there yet, and the CNAME that it makes (RFC 6672 §3.2).
    fn redirect(&mut self, link: &ChainName<'z, '_>, node: Node<'z>, labels: usize) -> Result<Step, Full> {
        let dname = node.rrset(Type::DNAME).expect("the flag says so");
        let record = dname.records().next().expect("an RRset has a record");
        let prefix = link.name.prefix_octets(labels);
        // The target of a DNAME is never compressed (RFC 6672 §2.5).
        let is_too_long = NameRef::parse(record.rdata).is_ok_and(|target| Name::join(prefix, target).is_err());
        if is_too_long {
            self.rcode = Rcode::YXDOMAIN;
        }
        let target_at = match self.target_of_dname(node) {
            Some(target_at) => target_at,
            None => {
                let owner = self.reply.owner(link.position, node.name_octets().len());
                let start = self.reply.put(Section::Answer, owner, &dname)?;
                let target_at = self.reply.rdata_at(start);
                self.dnames.push((node.name_octets(), target_at));
                target_at
            }
        };
        if is_too_long {
            return Ok(Step::Done);
        }
        let alias = self.reply.put_cname(link.position, record.ttl, prefix, target_at)?;
        // Where the CNAME itself is asked for, it is the answer.
        Ok(if self.qtype == Type::CNAME { Step::Done } else { Step::Alias(alias) })
    }

    /// Where the target of the DNAME of `node` stands, if that was put.
    fn target_of_dname(&self, node: Node<'_>) -> Option<usize> {
        let mut put = self.dnames.iter();
        put.find(|(owner, _)| core::ptr::eq(*owner, node.name_octets())).map(|(_, target_at)| *target_at)
    }

    /// Puts what was noted, however the walk ended.
    ///
    /// # Errors
    /// [`Full`] where a proof or required glue does not fit.
    fn put_noted(&mut self) -> Result<(), Full> {
        self.proofs.put(self.position, self.reply)?;
        self.additional.as_ref().map_or(Ok(()), |additional| additional.put(self.reply))
    }
}

/// One RRset, which is enough for those who ask for any (RFC 8482 §4.1); rather data than a proof.
fn one_of<'z>(mut rrsets: impl Iterator<Item = Rrset<'z>> + Clone) -> Option<Rrset<'z>> {
    rrsets.clone().find(|rrset| rrset.rtype != Type::NSEC).or_else(|| rrsets.next())
}
