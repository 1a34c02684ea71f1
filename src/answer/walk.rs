//! From the question to the records: RFC 1034 §4.3.2 as RFC 2308, 4035, 4592, 5155, 6604, 6672 and 9471 have it.
//!
//! One step looks a name up in the zone that is to answer for it; an alias leads to the next step, in the same zone or, where
//! the operator owns them all, in another one. Steps put answers, and note what belongs behind them: proofs and what leads on to
//! additional records. Both are put in one place behind the walk, so that no way to end one can forget them.

mod additional;

use arrayvec::ArrayVec;

use crate::answer::code::{ExtendedError, Rcode};
use crate::answer::denial::{Place, Proofs};
use crate::answer::reply::{Full, Owner, Reply, Section, Spot, put_compressed};
use crate::answer::walk::additional::Lead;
use crate::wire::{Name, NameRef, Type};
use crate::zone::hash::{LookupName, NameHash};
use crate::zone::node::{Node, QNAME_OFFSET, Rrset};
use crate::zone::{Apex, Found, Located, Missing, Trail, Zone, ZoneSet};

/// The most aliases that are followed. A chain over it is answered as far as it goes.
pub(super) const CHAIN_MAX: usize = 16;

/// How a walk ended.
pub(super) struct Outcome {
    pub(super) rcode: Rcode,
    /// Whether the answer to the name that was asked is ours to give (RFC 1035 §4.1.1, AA).
    pub(super) is_authoritative: bool,
    pub(super) is_truncated: bool,
    /// The extended error, if one explains more than the RCODE (RFC 8914).
    pub(super) extended_error: Option<ExtendedError>,
}

impl Outcome {
    /// An answer of ours.
    pub(super) fn authoritative(rcode: Rcode) -> Self {
        Self { rcode, is_authoritative: true, is_truncated: false, extended_error: None }
    }

    /// Nothing that a zone says.
    pub(super) fn error(rcode: Rcode) -> Self {
        Self { is_authoritative: false, ..Self::authoritative(rcode) }
    }

    /// No zone of ours, or nothing that we tell.
    pub(super) fn refused() -> Self {
        Self { extended_error: Some(ExtendedError::NOT_AUTHORITATIVE), ..Self::error(Rcode::REFUSED) }
    }

    /// A zone that should be served and can't.
    pub(super) fn broken() -> Self {
        Self { extended_error: Some(ExtendedError::INVALID_DATA), ..Self::error(Rcode::SERVFAIL) }
    }
}

/// What one step came to.
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
    /// In a zone of its own it is looked for only where that is allowed. What `zone` delegates it refers to as it would if nobody
    /// served the child here; but about a zone below it without a cut it can say nothing.
    fn target(
        &self,
        zone: &'z Zone,
        name: &LookupName<'_>,
        qtype: Type,
        last: &mut Option<&'z Apex>,
    ) -> Option<(&'z Zone, Found<'z>, NameHash)> {
        let located =
            if self.is_across { locate(self.zones, name, qtype, last)? } else { self.zones.locate(name, last)? };
        if let Located::Within(deepest, trail) = located
            && (self.is_across || core::ptr::eq(deepest, zone))
        {
            return Some((deepest, deepest.lookup_along(name, &trail), deepest.hash_along(name, &trail)));
        }
        // What is broken is for whoever asks for the target itself.
        let is_below = !self.is_across && name.name().is_below(zone.apex());
        let found = is_below.then(|| zone.lookup(name))?;
        matches!(found, Found::Delegation { .. }).then(|| (zone, found, name.hash(zone.seed())))
    }
}

/// What is kept from step to step.
struct Progress<'z> {
    proofs: Proofs<'z>,
    /// What the walk comes to, also where the records that say so do not fit.
    rcode: Rcode,
    /// An alias was followed.
    is_alias: bool,
    /// The name belongs to a delegated zone.
    is_referral: bool,
    /// The DNAMEs in the reply, by their owners, and where the target of each stands.
    redirects: ArrayVec<(&'z [u8], usize), { CHAIN_MAX + 1 }>,
    /// Where the last name stands.
    spot: Spot,
    /// What leads on to additional records.
    lead: Option<Lead<'z>>,
}

impl<'z> Progress<'z> {
    /// Starts at a name that stands at `spot`.
    fn new(spot: Spot) -> Self {
        Self {
            proofs: Proofs::default(),
            rcode: Rcode::NOERROR,
            is_alias: false,
            is_referral: false,
            redirects: ArrayVec::new(),
            spot,
            lead: None,
        }
    }

    /// Where the target of a DNAME stands that was put.
    fn redirect_of(&self, node: Node<'_>) -> Option<usize> {
        let mut put = self.redirects.iter();
        put.find(|(owner, _)| core::ptr::eq(*owner, node.name_octets())).map(|(_, target_at)| *target_at)
    }

    /// Puts what was noted, however the walk ended.
    ///
    /// # Errors
    /// [`Full`] where a proof or required glue does not fit.
    fn conclude(&self, reply: &mut Reply<'_>) -> Result<(), Full> {
        self.proofs.put(self.spot, reply)?;
        self.lead.as_ref().map_or(Ok(()), |lead| lead.put(reply))
    }
}

/// Puts all that answers a question for `name` into `reply`; [`locate`] found the zone. A reply that is truncated has no records.
pub(super) fn walk<'z>(
    scope: Scope<'z>,
    (zone, trail): (&'z Zone, &Trail<'z>),
    name: &LookupName<'_>,
    qtype: Type,
    reply: &mut Reply<'_>,
) -> Outcome {
    let found = zone.lookup_along(name, trail);
    // Most often that is all: the RRset as it was laid out.
    if let Found::Exact(node) = found
        && let Some(rrset) = node.rrset(qtype)
        && !rrset.has_targets()
        && reply.put_laid_out(&rrset).is_ok()
    {
        return Outcome::authoritative(Rcode::NOERROR);
    }
    let spot = Spot { at: QNAME_OFFSET, bytes: name.name().len() };
    let place = Place { zone, name, spot, qtype };
    let outcome = walk_on(scope, &place, found, reply);
    if outcome.is_truncated { walk_again(scope, &place, found, outcome, reply) } else { outcome }
}

/// Does what [`walk_on`] did in vain, with all names compressed as far as they can be. What then still does not fit is truncated:
/// nobody may use what such a reply holds, and nobody is to be flooded with it (RFC 2181 §9).
#[cold]
fn walk_again<'z>(
    scope: Scope<'z>,
    place: &Place<'z, '_>,
    found: Found<'z>,
    truncated: Outcome,
    reply: &mut Reply<'_>,
) -> Outcome {
    let again = reply
        .might_fit()
        .then(|| put_compressed(reply, place.zone.seed(), |reply| walk_on(scope, place, found, reply)));
    again.filter(|outcome| !outcome.is_truncated).unwrap_or_else(|| {
        reply.clear();
        truncated
    })
}

/// Does that where it takes more; the name of `place` stands where `found` says.
fn walk_on<'z>(scope: Scope<'z>, place: &Place<'z, '_>, found: Found<'z>, reply: &mut Reply<'_>) -> Outcome {
    let mut progress = Progress::new(place.spot);
    let walked = match step(place, found, reply, &mut progress) {
        Ok(Step::Done) => Ok(()),
        Ok(Step::Alias(at)) => follow(scope, place, at, reply, &mut progress),
        Err(Full) => Err(Full),
    };
    let put = walked.and_then(|()| progress.conclude(reply));
    // Where an alias was followed, that much is ours (RFC 1035 §4.1.1).
    let is_authoritative = progress.is_alias || !progress.is_referral;
    Outcome { rcode: progress.rcode, is_authoritative, is_truncated: put.is_err(), extended_error: None }
}

/// Follows the alias of `first`, whose target stands at `at` in the reply, and those behind it.
fn follow<'z>(
    scope: Scope<'z>,
    first: &Place<'z, '_>,
    mut at: usize,
    reply: &mut Reply<'_>,
    progress: &mut Progress<'z>,
) -> Result<(), Full> {
    progress.is_alias = true;
    let (qtype, mut zone, mut last) = (first.qtype, first.zone, scope.zones.only());
    let mut seen: ArrayVec<NameHash, { CHAIN_MAX + 1 }> = ArrayVec::new();
    seen.push(first.name.hash(zone.seed()));
    loop {
        let target = reply.name_at(at);
        let name = LookupName::of(&target);
        let Some((next, found, hash)) = scope.target(zone, &name, qtype, &mut last) else { return Ok(()) };
        // In a loop, what is in the reply already would be put again.
        if seen.is_full() || seen.contains(&hash) {
            return Ok(());
        }
        reply.reach(at)?;
        seen.push(hash);
        zone = next;
        progress.spot = Spot { at, bytes: target.as_ref().len() };
        match step(&Place { zone, name: &name, spot: progress.spot, qtype }, found, reply, progress)? {
            Step::Done => return Ok(()),
            Step::Alias(next) => at = next,
        }
    }
}

/// The zone that answers for a name: the deepest; for DS the one above the cut, if that is served
/// (RFC 4035 §3.1.4.1). And the first steps towards the name there. `last` as in [`ZoneSet::locate`].
#[inline]
pub(super) fn locate<'z>(
    zones: &'z ZoneSet,
    name: &LookupName<'_>,
    qtype: Type,
    last: &mut Option<&'z Apex>,
) -> Option<Located<'z>> {
    let located = zones.locate(name, last)?;
    let is_apex = || last.is_some_and(|apex| apex.name().len() == name.name().len());
    let parent = match name.label_count().checked_sub(1) {
        Some(above) if qtype == Type::DS && is_apex() => zones.search(name, above),
        _ => None,
    };
    Some(parent.map_or(located, |parent| parent.located(name)))
}

/// Answers for one name, which stands where `found` says, as far as that goes without following an alias.
fn step<'z>(
    place: &Place<'z, '_>,
    found: Found<'z>,
    reply: &mut Reply<'_>,
    progress: &mut Progress<'z>,
) -> Result<Step, Full> {
    match found {
        Found::Exact(node) => {
            let owner = reply.owner(place.spot, node.name_octets().len());
            answer_from(place, node, owner, None, reply, progress)
        }
        Found::Delegation { cut, labels } if place.qtype == Type::DS && labels == place.name.label_count() => {
            // DS belongs to the parent's side of the cut (RFC 4035 §2.4), and nothing else of the cut does.
            let owner = reply.owner(place.spot, cut.name_octets().len());
            match cut.rrset(Type::DS) {
                Some(rrset) => reply.put(Section::Answer, owner, &rrset).map(|_| Step::Done),
                None => no_data(place, cut, None, reply, progress),
            }
        }
        Found::Delegation { cut, labels } => refer(place, cut, labels, reply, progress),
        Found::Redirected { owner, labels } => redirect(place, owner, labels, reply, progress),
        Found::Missing(missing) => match place.zone.wildcard(&missing) {
            Some(node) => {
                // What is answered from here on comes from a wildcard, and that nothing stands closer is to be proved.
                progress.proofs.synthesis(place, &missing, reply);
                let owner = reply.synthesised_owner(place.spot, node.name_octets().len());
                answer_from(place, node, owner, Some(&missing), reply, progress)
            }
            None => {
                progress.rcode = Rcode::NXDOMAIN;
                progress.proofs.name_error(place, &missing, reply);
                put_soa(place, reply).map(|()| Step::Done)
            }
        },
    }
}

/// Answers from a node that exists, or, where `missing` says what does not exist, by synthesis from a wildcard.
fn answer_from<'z>(
    place: &Place<'z, '_>,
    node: Node<'z>,
    owner: Owner,
    missing: Option<&Missing<'z>>,
    reply: &mut Reply<'_>,
    progress: &mut Progress<'z>,
) -> Result<Step, Full> {
    let found = match place.qtype {
        Type::ANY => one_of(node.rrsets().filter(|rrset| rrset.record_count > 0)),
        Type::RRSIG => one_of(node.rrsets().filter(|rrset| rrset.signature_count > 0)).map(Rrset::as_signatures),
        qtype => node.rrset(qtype),
    };
    if let Some(rrset) = found {
        if rrset.rtype == Type::DNAME && progress.redirect_of(node).is_some() {
            return Ok(Step::Done); // It led here, and stands in the reply.
        }
        let start = reply.put(Section::Answer, owner, &rrset)?;
        if rrset.has_targets() {
            progress.lead = Some(Lead { zone: place.zone, rrset, start, owner, is_referral: false });
        }
        return Ok(Step::Done);
    }
    // Signatures are asked for where they stand.
    match node.rrset(Type::CNAME).filter(|_| place.qtype != Type::RRSIG) {
        Some(cname) => {
            let start = reply.put(Section::Answer, owner, &cname)?;
            Ok(Step::Alias(reply.rdata_at(start)))
        }
        None => no_data(place, node, missing, reply, progress),
    }
}

/// One RRset, which is enough for those who ask for any (RFC 8482 §4.1); rather data than a proof.
fn one_of<'z>(mut rrsets: impl Iterator<Item = Rrset<'z>> + Clone) -> Option<Rrset<'z>> {
    rrsets.clone().find(|rrset| rrset.rtype != Type::NSEC).or_else(|| rrsets.next())
}

/// Says that the name has no records of the type (RFC 2308 §2.2).
fn no_data<'z>(
    place: &Place<'z, '_>,
    node: Node<'z>,
    missing: Option<&Missing<'z>>,
    reply: &mut Reply<'_>,
    progress: &mut Progress<'z>,
) -> Result<Step, Full> {
    progress.proofs.no_data(place, node, missing, reply);
    put_soa(place, reply).map(|()| Step::Done)
}

/// Puts the SOA that a negative answer carries (RFC 2308 §3).
fn put_soa(place: &Place<'_, '_>, reply: &mut Reply<'_>) -> Result<(), Full> {
    let owner = reply.owner(place.spot, place.zone.apex().len());
    reply.put(Section::Authority, owner, &place.zone.negative_soa()).map(|_| ())
}

/// Refers to the servers of a delegated zone (RFC 1034 §4.3.2 step 3b, RFC 4035 §3.1.4).
fn refer<'z>(
    place: &Place<'z, '_>,
    cut: Node<'z>,
    labels: usize,
    reply: &mut Reply<'_>,
    progress: &mut Progress<'z>,
) -> Result<Step, Full> {
    let owner = reply.owner(place.spot, cut.name_octets().len());
    progress.is_referral = true;
    let servers = cut.rrset(Type::NS).expect("a cut has NS");
    // What stands at a cut is not signed by the parent, but for DS and NSEC.
    let wants_signatures = core::mem::replace(&mut reply.wants_signatures, false);
    let start = reply.put(Section::Authority, owner, &servers);
    reply.wants_signatures = wants_signatures;
    progress.lead = Some(Lead { zone: place.zone, rrset: servers, start: start?, owner, is_referral: true });
    if wants_signatures && place.zone.is_signed() {
        match cut.rrset(Type::DS) {
            Some(ds) => {
                reply.put(Section::Authority, owner, &ds)?;
            }
            None => progress.proofs.no_ds(place, cut, labels, reply),
        }
    }
    Ok(Step::Done)
}

/// Follows a DNAME: puts it, if it is not there yet, and the CNAME that it makes (RFC 6672 §3.2).
fn redirect<'z>(
    place: &Place<'z, '_>,
    node: Node<'z>,
    labels: usize,
    reply: &mut Reply<'_>,
    progress: &mut Progress<'z>,
) -> Result<Step, Full> {
    let dname = node.rrset(Type::DNAME).expect("the flag says so");
    let record = dname.records().next().expect("an RRset has a record");
    let prefix = place.name.prefix_octets(labels);
    // The target of a DNAME is never compressed (RFC 6672 §2.5).
    let is_too_long = NameRef::parse(record.rdata).is_ok_and(|target| Name::join(prefix, target).is_err());
    if is_too_long {
        progress.rcode = Rcode::YXDOMAIN;
    }
    let target_at = match progress.redirect_of(node) {
        Some(target_at) => target_at,
        None => {
            let owner = reply.owner(place.spot, node.name_octets().len());
            let start = reply.put(Section::Answer, owner, &dname)?;
            let target_at = reply.rdata_at(start);
            progress.redirects.push((node.name_octets(), target_at));
            target_at
        }
    };
    if is_too_long {
        return Ok(Step::Done);
    }
    let alias = reply.put_cname(place.spot, record.ttl, prefix, target_at)?;
    // Where the CNAME itself is asked for, it is the answer.
    Ok(if place.qtype == Type::CNAME { Step::Done } else { Step::Alias(alias) })
}
