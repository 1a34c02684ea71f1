//! What is wrong with a zone across its names: cuts, glue, targets, chains. The closed list of faults is
//! [`FaultKind`]; what concerns the RRsets of one owner alone is reported by `rrsets`.
//!
//! All of it is reported while nodes are laid out, by [`Index`], so that records need not be kept until the zone is
//! there.

use crate::fault::{DnssecFault, FAULTS_MAX, FaultKind, Faults, Position};
use crate::wire::{Name, NameRef, Type, rdata};
use crate::zone::hash::{LookupName, Seed};
use crate::zone::nsec3::{ITERATIONS_MAX, Params};
use crate::zonebuild::collect::{Facts, Stored};
use crate::zonebuild::encode::RrsetSource;
use crate::zonebuild::index::{Index, Placement};
use crate::zonebuild::record::Record;

/// One owner with its records, in the order of the text, and where it stands.
pub(super) struct Owner<'a> {
    pub(super) index: &'a Index,
    pub(super) seed: Seed,
    pub(super) apex: NameRef<'a>,
    pub(super) name: NameRef<'a>,
    pub(super) records: &'a [Stored<'a>],
    /// Whether it is a zone cut itself.
    pub(super) is_cut: bool,
    /// What stands above it and hides it.
    pub(super) occluder: Option<Placement>,
}

impl Owner<'_> {
    /// Reports records that are never answered, of targets that are wrong and of glue that is missing.
    pub(super) fn check(&self, faults: &mut Faults) {
        match self.occluder {
            None => {
                if self.is_cut {
                    self.check_delegation(self.name, faults);
                }
                self.check_targets(faults);
                self.check_names(faults);
            }
            Some(Placement::Dname(labels)) => {
                let (owner, dname) = (self.name.to_name(), self.name.suffix(labels).to_name());
                for record in self.records {
                    faults.add(FaultKind::BelowDname { owner, rtype: record.rtype, dname }, record.position, 0);
                }
            }
            Some(Placement::Cut(labels)) => self.check_delegation(self.name.suffix(labels), faults),
            Some(Placement::Exact(_) | Placement::NoMatch(_)) => {}
        }
    }

    /// Reports NS, MX and SRV records whose target is an alias, has no address, or, at a cut, lacks glue.
    fn check_targets(&self, faults: &mut Faults) {
        for record in self.records.iter().filter(|r| matches!(r.rtype, Type::NS | Type::MX | Type::SRV)) {
            let Some(target) = rdata::names(record.rtype, record.rdata).next().map(|embedded| embedded.name) else {
                continue;
            };
            if target.is_root() || !target.is_at_or_below(self.apex) {
                continue;
            }
            let (owner, rtype) = (self.name, record.rtype);
            let kind = match self.address_of(target) {
                Address::Present => continue,
                Address::Alias if rtype == Type::SRV => continue, // RFC 2782 forbids it too, but nobody checks.
                Address::Alias => FaultKind::TargetIsAlias { owner: owner.to_name(), rtype, target: target.to_name() },
                Address::Absent if self.lacks_dot(rtype, target) => FaultKind::FinalDot { name: target.to_name() },
                Address::Absent if self.is_cut && target.is_at_or_below(owner) => {
                    FaultKind::MissingGlue { cut: owner.to_name(), target: target.to_name() }
                }
                Address::Absent => {
                    FaultKind::TargetWithoutAddress { owner: owner.to_name(), rtype, target: target.to_name() }
                }
                // Another zone's business: sibling glue is optional (RFC 9471 §2.2).
                Address::Elsewhere => continue,
            };
            faults.add(kind, record.position, 0);
        }
    }

    /// Reports names that nobody means: completed with the origin though they were whole, or a mail address with `@`;
    /// and of aliases that lead to nothing.
    fn check_names(&self, faults: &mut Faults) {
        if let Some(first) = self.records.first().filter(|_| !self.is_cut && is_doubled(self.name, self.apex)) {
            faults.add(FaultKind::FinalDot { name: self.name.to_name() }, first.position, 0);
        }
        let is_reported_elsewhere =
            |rtype: Type| matches!(rtype, Type::NS | Type::MX | Type::SRV | Type::RRSIG | Type::NSEC);
        for record in self.records.iter().filter(|record| !is_reported_elsewhere(record.rtype)) {
            for name in rdata::names(record.rtype, record.rdata).map(|embedded| embedded.name) {
                if !name.is_below(self.apex) {
                    continue;
                }
                if self.lacks_dot(record.rtype, name) {
                    faults.add(FaultKind::FinalDot { name: name.to_name() }, record.position, 0);
                } else if record.rtype == Type::CNAME && self.is_nothing(name) {
                    let (owner, target) = (self.name.to_name(), name.to_name());
                    faults.add(FaultKind::AliasToNothing { owner, target }, record.position, 0);
                }
            }
            let rname = match record.rtype {
                Type::SOA => rdata::names(record.rtype, record.rdata).nth(1),
                Type::RP => rdata::names(record.rtype, record.rdata).next(),
                _ => None,
            };
            let rname = rname.map(|embedded| embedded.name).filter(|rname| rname.as_bytes().contains(&b'@'));
            if let Some(rname) = rname {
                faults.add(FaultKind::BadRname { rname: rname.to_name() }, record.position, 0);
            }
        }
    }

    /// Whether a name in data looks as if it was to end where the origin was added, and does not exist.
    fn lacks_dot(&self, rtype: Type, name: NameRef<'_>) -> bool {
        let is_host_below_address = || rtype == Type::PTR && is_reverse(self.apex);
        (is_doubled(name, self.apex) || is_host_below_address()) && self.is_nothing(name)
    }

    /// Whether there is no such name in the zone, and no wildcard stands for it.
    fn is_nothing(&self, name: NameRef<'_>) -> bool {
        matches!(self.index.placement(&LookupName::new(name)), Placement::NoMatch(None))
    }

    /// Whether a name of the zone has an address.
    fn address_of(&self, target: NameRef<'_>) -> Address {
        let name = LookupName::new(target);
        if self.index.facts(name.hash(self.seed)).is_some_and(|facts| facts.has(Facts::HAS_ADDRESS)) {
            return Address::Present;
        }
        let facts = match self.index.placement(&name) {
            Placement::Exact(facts) | Placement::NoMatch(Some(facts)) => facts,
            Placement::Cut(_) | Placement::NoMatch(None) => return Address::Absent,
            Placement::Dname(_) => return Address::Elsewhere,
        };
        match () {
            () if facts.has(Facts::HAS_ADDRESS) => Address::Present,
            () if facts.has(Facts::HAS_CNAME) => Address::Alias,
            () => Address::Absent,
        }
    }

    /// Reports data at or below a cut that is never answered.
    fn check_delegation(&self, cut: NameRef<'_>, faults: &mut Faults) {
        // At the cut the parent holds NS, DS and what denial needs (RFC 4035 §2.6); anywhere below, addresses are glue.
        let belongs = |rtype: Type| match rtype {
            Type::A | Type::AAAA => true,
            Type::NS | Type::DS | Type::NSEC | Type::RRSIG => self.name == cut,
            _ => false,
        };
        for record in self.records.iter().filter(|record| !belongs(record.rtype)) {
            let (owner, cut) = (self.name.to_name(), cut.to_name());
            faults.add(FaultKind::BelowCut { owner, rtype: record.rtype, cut }, record.position, 0);
        }
    }

    /// Counts the authoritative RRsets without a signature (RFC 4035 §2.2).
    pub(super) fn count_unsigned<'r>(&self, rrsets: impl Iterator<Item = RrsetSource<'r>>, unsigned: &mut Unsigned) {
        if self.occluder.is_some() {
            return;
        }
        // At a cut only what belongs to the parent is signed.
        let needs_signature = |rtype: Type| !self.is_cut || matches!(rtype, Type::DS | Type::NSEC);
        for rrset in rrsets.filter(|rrset| rrset.signatures.is_empty() && needs_signature(rrset.rtype)) {
            let record = self.records.iter().find(|record| record.rtype == rrset.rtype);
            let first = record.map(|record| (self.name.to_name(), rrset.rtype, record.position));
            unsigned.add(Unsigned { count: 1, first });
        }
    }
}

/// Whether records of a type have a target that is looked for among the names of the zone.
pub(super) fn has_target(rtype: Type) -> bool {
    matches!(rtype, Type::NS | Type::MX | Type::SRV | Type::CNAME)
}

/// Whether the zone's name stands in `name` once more in front of itself: anywhere, or right there if it is one label,
/// for which chance is enough elsewhere.
fn is_doubled(name: NameRef<'_>, apex: NameRef<'_>) -> bool {
    let (labels, relative) = (apex.label_count(), name.len() - apex.len());
    let (octets, own) = (name.as_bytes(), &apex.as_bytes()[..apex.len() - 1]);
    if labels == 0 || relative < own.len() {
        return false;
    }
    let mut at = 0;
    while at + own.len() <= relative {
        let is_there = octets[at..at + own.len()].eq_ignore_ascii_case(own);
        if is_there && (labels > 1 || at + own.len() == relative) {
            return true;
        }
        at += 1 + usize::from(octets[at]);
    }
    false
}

/// Whether a zone is one of addresses.
fn is_reverse(apex: NameRef<'_>) -> bool {
    ["in-addr.arpa.", "ip6.arpa."].iter().any(|above| apex.to_string().to_ascii_lowercase().ends_with(above))
}

/// Whether a name of the zone has an address.
enum Address {
    Present,
    Alias,
    Absent,
    /// Below a cut that is not the one in question, or redirected by a DNAME.
    Elsewhere,
}

/// RRsets that should have a signature and have none.
#[derive(Default)]
pub(super) struct Unsigned {
    count: usize,
    /// Owner, type and position of the first in the text.
    first: Option<(Name, Type, Position)>,
}

impl Unsigned {
    /// Counts others too.
    pub(super) fn add(&mut self, other: Self) {
        self.count += other.count;
        if other.first.as_ref().is_some_and(|new| self.first.as_ref().is_none_or(|known| new.2 < known.2)) {
            self.first = other.first;
        }
    }

    /// Reports them, once, where the zone is signed.
    pub(super) fn report(self, apex: NameRef<'_>, faults: &mut Faults) {
        if let Some((owner, rtype, position)) = self.first {
            let kind = DnssecFault::Unsigned { apex: apex.to_name(), owner, rtype, count: self.count };
            faults.add(kind, position, 0);
        }
    }
}

/// The sets of NSEC3 parameters that a zone names: those of NSEC3PARAM, and those of NSEC3 records.
#[derive(Default)]
pub(super) struct Chains(Vec<Noted>);

/// The first record of a type with these parameters.
struct Noted {
    owner: Name,
    rtype: Type,
    /// The RDATA up to the salt; the flags are 0 in that of an NSEC3 record.
    head: Vec<u8>,
    position: Position,
}

impl Noted {
    /// What the RDATA says; `None` for an unknown algorithm.
    fn params(&self) -> Option<Params> {
        Params::from_rdata(&self.head)
    }
}

impl Chains {
    /// Notes the parameters of a record, the first of [`FAULTS_MAX`] sets.
    pub(super) fn note(&mut self, record: &Record<'_>) {
        let [algorithm, flags, high, low, salt_length, rest @ ..] = record.rdata else { return };
        let flags = if record.rtype == Type::NSEC3 { 0 } else { *flags };
        let salt = rest.get(..usize::from(*salt_length)).unwrap_or(rest);
        let fixed = [*algorithm, flags, *high, *low, *salt_length];
        let is_known =
            |noted: &Noted| noted.rtype == record.rtype && noted.head.split_at(fixed.len()) == (&fixed[..], salt);
        if self.0.len() < FAULTS_MAX && !self.0.iter().any(is_known) {
            let head = [&fixed, salt].concat();
            self.0.push(Noted {
                owner: record.owner.to_name(),
                rtype: record.rtype,
                head,
                position: record.position(),
            });
        }
    }

    /// Appends what was noted later in the text.
    pub(super) fn join(&mut self, later: Self) {
        for noted in later.0 {
            if self.0.iter().all(|known| known.rtype != noted.rtype || known.head != noted.head) {
                self.0.push(noted);
            }
        }
    }

    /// Forgets what does not belong to the zone.
    pub(super) fn keep_inside(&mut self, apex: NameRef<'_>) {
        self.0.retain(|noted| noted.owner.as_ref().is_at_or_below(apex));
    }

    /// The parameters of the chains that may be served: of each NSEC3PARAM with a known algorithm and no flags
    /// (RFC 5155 §4.1.2) to which an NSEC3 record fits, in the order of the text.
    pub(super) fn candidates(&self) -> Vec<Params> {
        let of = |rtype: Type| self.0.iter().filter(move |noted| noted.rtype == rtype);
        let candidates = of(Type::NSEC3PARAM).filter(|noted| noted.head[1] == 0).filter_map(Noted::params);
        let servable = candidates.filter(|params| params.iterations <= ITERATIONS_MAX);
        servable.filter(|params| of(Type::NSEC3).any(|noted| params.fit(&noted.head))).collect()
    }

    /// How many sets of parameters NSEC3PARAM records name.
    pub(super) fn params_count(&self) -> usize {
        self.0.iter().filter(|noted| noted.rtype == Type::NSEC3PARAM).count()
    }

    /// Reports parameters that are bad, and of chains and parameters without each other (RFC 5155 §4, RFC 9276).
    pub(super) fn check(&self, apex: NameRef<'_>, faults: &mut Faults) {
        let apex = apex.to_name();
        // Records that say the same are reported once.
        let distinct = |rtype: Type| {
            let mut found: Vec<(Option<Params>, &Noted)> = Vec::new();
            for noted in self.0.iter().filter(|noted| noted.rtype == rtype) {
                let params = noted.params();
                if found.iter().all(|(known, _)| *known != params) {
                    found.push((params, noted));
                }
            }
            found
        };
        let (params, chains) = (distinct(Type::NSEC3PARAM), distinct(Type::NSEC3));
        params.iter().for_each(|(known, noted)| report_params(noted, known.as_ref(), faults));
        for (chain, noted) in &chains {
            if chain.is_some() && params.iter().all(|(known, _)| known != chain) {
                faults.add(DnssecFault::Nsec3WithoutParam { apex }, noted.position, 0);
            }
        }
        for (known, noted) in &params {
            if known.is_some() && chains.iter().all(|(chain, _)| chain != known) {
                faults.add(DnssecFault::Nsec3ParamWithoutChain { apex }, noted.position, 0);
            }
        }
    }
}

/// Reports one set of NSEC3 parameters.
fn report_params(noted: &Noted, params: Option<&Params>, faults: &mut Faults) {
    let kind = match params {
        None => DnssecFault::Nsec3Algorithm { algorithm: noted.head.first().copied().unwrap_or(0) },
        Some(Params { iterations: 0, .. }) => return,
        Some(Params { iterations, .. }) if *iterations > ITERATIONS_MAX => {
            DnssecFault::Nsec3TooManyIterations { iterations: *iterations, max: ITERATIONS_MAX }
        }
        Some(Params { iterations, .. }) => DnssecFault::Nsec3Iterations { iterations: *iterations },
    };
    faults.add(kind, noted.position, 0);
}
