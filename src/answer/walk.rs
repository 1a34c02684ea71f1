//! From the question to the records: RFC 1034 §4.3.2 as RFC 2308, 4035, 4592, 5155, 6604, 6672 and 9471 have it.
//!
//! One step looks a name up in the zone that is to answer for it; an alias leads to the next step, perhaps in another
//! zone that is served too.

use arrayvec::ArrayVec;

use crate::answer::code::{ExtendedError, Rcode};
use crate::answer::denial::{Place, Proofs};
use crate::answer::reply::{Full, Owner, Reply, Section, Spot};
use crate::wire::{Name, NameRef, Type};
use crate::zone::hash::{LookupName, NameHash};
use crate::zone::node::{Node, QNAME_OFFSET, Rrset, Target};
use crate::zone::{Entry, Found, Located, Missing, Trail, Zone, ZoneSet};

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

    /// No zone of ours, or nothing that we tell.
    pub(super) fn refused() -> Self {
        Self {
            is_authoritative: false,
            extended_error: Some(ExtendedError::NOT_AUTHORITATIVE),
            ..Self::authoritative(Rcode::REFUSED)
        }
    }

    /// A zone that should be served and can't.
    pub(super) fn broken() -> Self {
        Self {
            is_authoritative: false,
            extended_error: Some(ExtendedError::INVALID_DATA),
            ..Self::authoritative(Rcode::SERVFAIL)
        }
    }
}

/// What one step came to.
enum Step {
    /// The walk ends.
    Done,
    /// The name is an alias; its target stands in the reply at this offset.
    Alias(usize),
}

/// What is kept from step to step.
struct Progress<'z> {
    proofs: Proofs<'z>,
    /// What the walk comes to, also where the records that say so do not fit.
    rcode: Rcode,
    /// The name belongs to a delegated zone.
    is_referral: bool,
    /// The DNAMEs in the reply, by their owners, and where the target of each stands.
    redirects: ArrayVec<(&'z [u8], usize), { CHAIN_MAX + 1 }>,
}

impl Progress<'_> {
    /// Where the target of a DNAME stands that was put.
    fn redirect_of(&self, node: Node<'_>) -> Option<usize> {
        let mut put = self.redirects.iter();
        put.find(|(owner, _)| core::ptr::eq(*owner, node.name_octets())).map(|(_, target_at)| *target_at)
    }
}

/// Puts all that answers a question for `name` into `reply`; [`locate`] found the zone.
pub(super) fn walk<'z>(
    zones: &'z ZoneSet,
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
    walk_on(zones, &Place { zone, name, spot, qtype }, found, reply)
}

/// Does that where it takes more; the name of `place` stands where `found` says.
fn walk_on<'z>(zones: &'z ZoneSet, place: &Place<'z, '_>, found: Found<'z>, reply: &mut Reply<'_>) -> Outcome {
    let mut progress =
        Progress { proofs: Proofs::default(), rcode: Rcode::NOERROR, is_referral: false, redirects: ArrayVec::new() };
    let (is_alias, put) = match step(place, found, reply, &mut progress) {
        Ok(Step::Done) => (false, Ok(())),
        Ok(Step::Alias(at)) => (true, follow(zones, place, at, reply, &mut progress)),
        Err(Full) => (false, Err(Full)),
    };
    // Where an alias was followed, that much is ours (RFC 1035 §4.1.1).
    let is_authoritative = is_alias || !progress.is_referral;
    Outcome { rcode: progress.rcode, is_authoritative, is_truncated: put.is_err(), extended_error: None }
}

/// Follows the alias of `first`, whose target stands at `at` in the reply, and those behind it.
fn follow<'z>(
    zones: &'z ZoneSet,
    first: &Place<'z, '_>,
    mut at: usize,
    reply: &mut Reply<'_>,
    progress: &mut Progress<'z>,
) -> Result<(), Full> {
    let (qtype, mut last) = (first.qtype, zones.only());
    let mut seen: ArrayVec<NameHash, { CHAIN_MAX + 1 }> = ArrayVec::new();
    seen.push(first.name.hash(first.zone.seed()));
    let mut spot = first.spot;
    loop {
        let target = reply.name_at(at);
        let name = LookupName::of(&target);
        let located = locate(zones, &name, qtype, &mut last).filter(|_| Reply::is_in_reach(at));
        let located = match located {
            Some(Located::Within(zone, trail)) => Some((zone, trail, zone.hash_along(&name, &trail))),
            // As far as the chain goes: what is behind it is for whoever asks for the target itself.
            Some(Located::Broken) | None => None,
        };
        // In a loop, what is in the reply already would be put again.
        let is_new = |hash: &NameHash| !seen.is_full() && !seen.contains(hash);
        let Some((zone, trail, hash)) = located.filter(|(.., hash)| is_new(hash)) else {
            return progress.proofs.put(spot, reply);
        };
        seen.push(hash);
        spot = Spot { at, bytes: target.as_ref().len() };
        match step(&Place { zone, name: &name, spot, qtype }, zone.lookup_along(&name, &trail), reply, progress)? {
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
    last: &mut Option<&'z Entry>,
) -> Option<Located<'z>> {
    let located = zones.locate(name, last)?;
    let is_apex = || last.is_some_and(|entry| entry.apex().len() == name.name().len());
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
                let owner = reply.synthesised_owner(place.spot, node.name_octets().len());
                answer_from(place, node, owner, Some(&missing), reply, progress)
            }
            None => {
                progress.rcode = Rcode::NXDOMAIN;
                put_soa(place, reply)?;
                progress.proofs.name_error(place, &missing, reply);
                progress.proofs.put(place.spot, reply).map(|()| Step::Done)
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
        // One RRset is enough (RFC 8482 §4.1); rather data than a proof.
        Type::ANY => {
            let mut present = node.rrsets().filter(|rrset| rrset.record_count > 0);
            present.clone().find(|rrset| rrset.rtype != Type::NSEC).or_else(|| present.next())
        }
        Type::RRSIG => return all_signatures(place, node, owner, missing, reply, progress),
        qtype => node.rrset(qtype),
    };
    if let Some(rrset) = found {
        if rrset.rtype == Type::DNAME && progress.redirect_of(node).is_some() {
            return Ok(Step::Done); // It led here, and stands in the reply.
        }
        let start = reply.put(Section::Answer, owner, &rrset)?;
        progress.proofs.synthesis(place, missing, reply);
        progress.proofs.put(place.spot, reply)?;
        if rrset.has_targets() {
            put_additional(place.zone, &rrset, start, owner, false, reply)?;
        }
        return Ok(Step::Done);
    }
    if let Some(cname) = node.rrset(Type::CNAME) {
        let start = reply.put(Section::Answer, owner, &cname)?;
        progress.proofs.synthesis(place, missing, reply);
        let record = cname.records().next().expect("an RRset has a record");
        return Ok(Step::Alias(start + record.rdata_start()));
    }
    no_data(place, node, missing, reply, progress)
}

/// Answers QTYPE RRSIG with every signature at the name.
fn all_signatures<'z>(
    place: &Place<'z, '_>,
    node: Node<'z>,
    owner: Owner,
    missing: Option<&Missing<'z>>,
    reply: &mut Reply<'_>,
    progress: &mut Progress<'z>,
) -> Result<Step, Full> {
    let mut signed = node.rrsets().filter(|rrset| rrset.signature_count > 0).peekable();
    if signed.peek().is_none() {
        return no_data(place, node, missing, reply, progress);
    }
    for rrset in signed {
        reply.put(Section::Answer, owner, &rrset.as_signatures())?;
    }
    progress.proofs.synthesis(place, missing, reply);
    progress.proofs.put(place.spot, reply).map(|()| Step::Done)
}

/// Says that the name has no records of the type (RFC 2308 §2.2).
fn no_data<'z>(
    place: &Place<'z, '_>,
    node: Node<'z>,
    missing: Option<&Missing<'z>>,
    reply: &mut Reply<'_>,
    progress: &mut Progress<'z>,
) -> Result<Step, Full> {
    put_soa(place, reply)?;
    progress.proofs.no_data(place, node, missing, reply);
    progress.proofs.put(place.spot, reply).map(|()| Step::Done)
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
    let start = start?;
    if wants_signatures && place.zone.is_signed() {
        match cut.rrset(Type::DS) {
            Some(ds) => {
                reply.put(Section::Authority, owner, &ds)?;
            }
            None => {
                progress.proofs.no_ds(place, cut, labels, reply);
            }
        }
    }
    progress.proofs.put(place.spot, reply)?;
    put_additional(place.zone, &servers, start, owner, true, reply)?;
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
            let target_at = reply.put(Section::Answer, owner, &dname)? + record.rdata_start();
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

/// Puts the addresses of the names that an RRset leads to, which was put at `start`.
///
/// In a referral, those of servers at or below the cut are required (RFC 9471 §3); all others are put as
/// far as there is room.
///
/// # Errors
/// [`Full`] where required glue does not fit.
fn put_additional(
    zone: &Zone,
    rrset: &Rrset<'_>,
    start: usize,
    owner: Owner,
    is_referral: bool,
    reply: &mut Reply<'_>,
) -> Result<(), Full> {
    for is_required in [true, false] {
        for target in rrset.targets() {
            if is_required == (is_referral && target.is_below_owner()) {
                let at = reply.target_at(target, start, owner);
                put_addresses(zone, target, at, is_required, reply)?;
            }
        }
    }
    Ok(())
}

/// Puts the addresses of one such name, which stands at `at` in the reply, if it can be pointed at.
///
/// # Errors
/// [`Full`] where they are required and do not fit. Others are left out then; a shorter RRset behind them may fit.
fn put_addresses(
    zone: &Zone,
    target: Target,
    at: Option<usize>,
    is_required: bool,
    reply: &mut Reply<'_>,
) -> Result<(), Full> {
    let is_it = |node: Node<'_>| at.is_none_or(|at| reply.is_name_at(at, node.name_octets()));
    let node = zone.names().find_by(target.hash, is_it).or_else(|| wildcard_for(zone, &reply.name_at(at?)));
    let Some(node) = node else { return Ok(()) };
    for rtype in [Type::A, Type::AAAA] {
        let Some(addresses) = node.rrset(rtype) else { continue };
        let put = match at {
            Some(at) => reply.put_at(Section::Additional, at, &addresses),
            None => {
                let octets = node.name_octets();
                reply.put_written(Section::Additional, &octets[..octets.len() - 1], None, &addresses)
            }
        };
        if is_required {
            put?;
        }
    }
    Ok(())
}

/// The wildcard that stands for a target that does not exist.
fn wildcard_for<'z>(zone: &'z Zone, target: &Name) -> Option<Node<'z>> {
    if !zone.has_wildcards() || !target.as_ref().is_at_or_below(zone.apex()) {
        return None;
    }
    match zone.lookup(&LookupName::new(target.as_ref())) {
        Found::Missing(missing) => zone.wildcard(&missing),
        Found::Exact(_) | Found::Delegation { .. } | Found::Redirected { .. } => None,
    }
}
