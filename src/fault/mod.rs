//! What can be wrong with a zone file and the zone in it: a closed list, each kind with a severity, a stable code,
//! a sentence and, where one is known, a way out.
//!
//! Knows neither how a fault is found nor how it is shown. Files and lines are meant by [`Position`]; the octets that a
//! position points into are kept elsewhere.

mod cause;
mod code;
mod dnssec;
mod help;
mod hint;
mod kept;
mod nearest;
mod peer;
mod position;
pub mod report;
mod sources;
mod zonemd;

use std::path::PathBuf;

use crate::wire::Shown;
use crate::wire::rdata::TextCause;
use crate::wire::{Class, Name, NameError, Type};

pub use cause::{Bound, FileError, GenerateCause};
pub use dnssec::DnssecFault;
pub use hint::Hint;
pub use kept::{Fault, Faults};
pub use peer::{BIND_SETS_MAX, PeerFault};
pub use position::{Position, Severity};
pub use sources::Sources;
pub use zonemd::ZonemdFault;

/// How many errors, and how many warnings, are kept for one file set; the rest are only counted.
pub const FAULTS_MAX: usize = 200;

/// The names of all directives, as they are written.
pub const DIRECTIVES: [&str; 4] = ["$ORIGIN", "$TTL", "$INCLUDE", "$GENERATE"];

/// What is wrong. `Display` gives the message as one sentence without a full stop.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FaultKind {
    // Files.
    /// A file cannot be read.
    #[error("{}: {cause}", Shown::path(path))]
    FileUnreadable {
        /// The file as it was asked for.
        path: PathBuf,
        /// Why.
        cause: FileError,
    },
    /// A file of which nothing could be read. What it really is nobody knows, so nothing of it is shown.
    #[error("this is no zone file: none of its entries is a record or a directive")]
    NotAZoneFile,
    /// A zone takes more than it may.
    #[error("the zone has more than {max} {}", bound.noun())]
    ZoneTooLarge {
        /// What there is too much of.
        bound: Bound,
        /// How much it may take.
        max: u64,
    },
    /// A file that ought to hold a zone holds no entry.
    #[error("the file holds no records")]
    FileEmpty,
    /// A file has NUL octets.
    #[error("this is no text: it has NUL octets")]
    FileBinary,
    /// A file includes itself, at once or over others.
    #[error("{} is being read already: the inclusion would never end", Shown::path(path))]
    IncludeLoop {
        /// The file that was to be included.
        path: PathBuf,
    },
    /// Files include files too deeply.
    #[error("files may be included {max} deep and no deeper")]
    IncludeTooDeep {
        /// The depth that is allowed.
        max: usize,
    },
    /// A zone is spread over too many files.
    #[error("a zone may include {max} times and no more")]
    TooManyIncludes {
        /// How many inclusions are allowed.
        max: usize,
    },

    // Lines and words.
    /// A parenthesis is opened and not closed.
    #[error("this parenthesis is never closed")]
    ParenthesisOpen,
    /// A parenthesis is closed that was not opened.
    #[error("this parenthesis was never opened")]
    ParenthesisClose,
    /// A quoted string does not end on its line.
    #[error("this quoted string does not end on its line")]
    QuoteOpen,
    /// One entry has more words than any record can need.
    #[error("one entry has more than {max} words")]
    EntryTooLong {
        /// How many words are allowed.
        max: usize,
    },
    /// A directive that does not exist.
    #[error("unknown directive `{word}`")]
    UnknownDirective {
        /// The word as it stands there, clipped.
        word: Box<str>,
    },
    /// A directive that does not start its line.
    #[error("a directive must start in the first column")]
    IndentedDirective,
    /// A field that the entry needs is not there.
    #[error("expected {expected}")]
    MissingField {
        /// What was expected.
        expected: &'static str,
    },
    /// The entry has a field too many.
    #[error("expected nothing more on this line")]
    SurplusField,
    /// A field stands in quotes that may not.
    #[error("expected {expected}, which may not stand in quotes")]
    QuotedField {
        /// What was expected.
        expected: &'static str,
    },

    // The fields in front of the RDATA.
    /// The owner is no name.
    #[error("bad owner name: {cause}")]
    BadOwner {
        /// What is wrong with it.
        cause: NameError,
    },
    /// A line starts with a blank, and there is no owner before it.
    #[error("this record repeats the owner of the one before, but there is none")]
    NoOwner,
    /// The origin is no name.
    #[error("bad origin: {cause}")]
    BadOrigin {
        /// What is wrong with it.
        cause: NameError,
    },
    /// A TTL is no number of seconds.
    #[error("bad TTL: expected seconds, or numbers with units such as 1w2d3h4m5s")]
    BadTtl,
    /// A TTL is over 2^31-1.
    #[error("the TTL is larger than 2147483647 seconds")]
    TtlTooLarge,
    /// A class other than IN.
    #[error("class {class}: a zone file holds class IN only")]
    ClassNotIn {
        /// The class.
        class: Class,
    },
    /// A type that does not exist.
    #[error("unknown type `{word}`")]
    UnknownType {
        /// The word as it stands there, clipped.
        word: Box<str>,
    },
    /// A type that lives in queries and messages only.
    #[error("type {rtype} cannot stand in a zone")]
    MetaType {
        /// The type.
        rtype: Type,
    },

    // RDATA and $GENERATE.
    /// The RDATA is not what the type wants.
    #[error("bad {rtype} data: {cause}")]
    BadRdata {
        /// The type.
        rtype: Type,
        /// What is wrong.
        cause: TextCause,
    },
    /// A `$GENERATE` directive is wrong.
    #[error("{cause}")]
    Generate {
        /// What is wrong.
        cause: GenerateCause,
    },
    /// A record that `$GENERATE` made is wrong.
    #[error("with $ = {value}: {kind}")]
    Generated {
        /// The number that `$` stood for.
        value: u32,
        /// What is wrong with the record.
        kind: Box<Self>,
    },
    /// An entry with a fault that holds something from elsewhere.
    #[error("{kind}")]
    Hinted {
        /// The fault.
        kind: Box<Self>,
        /// What it may come from.
        hint: Hint,
    },
    /// A record that can be read and holds something from elsewhere.
    #[error("{}", hint.what())]
    Suspicious {
        /// What it is.
        hint: Hint,
    },
    /// A record has no TTL, and none is known.
    #[error("no TTL here and no `$TTL` before: {used} seconds are used, here and wherever none is written")]
    NoTtl {
        /// What is used.
        used: u32,
    },

    /// What is wrong with signatures, keys and denial.
    #[error(transparent)]
    Dnssec(#[from] DnssecFault),
    /// What keeps other servers from taking the zone.
    #[error(transparent)]
    Peer(#[from] PeerFault),
    /// What is wrong with ZONEMD records.
    #[error(transparent)]
    Zonemd(#[from] ZonemdFault),

    // The zone: errors.
    /// The SOA's owner is not the zone's name.
    #[error("the SOA record is at {owner}, but the zone is {apex}")]
    SoaNotAtApex {
        /// Where it is.
        owner: Name,
        /// Where it ought to be.
        apex: Name,
    },
    /// There is no SOA.
    #[error("the zone {apex} has no SOA record")]
    NoSoa {
        /// The zone's name.
        apex: Name,
    },
    /// There are several SOA records.
    #[error("the zone {apex} has more than one SOA record")]
    SeveralSoas {
        /// The zone's name.
        apex: Name,
    },
    /// A name has several CNAME records.
    #[error("{owner} has more than one CNAME record")]
    SeveralCnames {
        /// The name.
        owner: Name,
    },
    /// A name has several DNAME records.
    #[error("{owner} has more than one DNAME record")]
    SeveralDnames {
        /// The name.
        owner: Name,
    },
    /// A name has a CNAME record and others.
    #[error("{owner} has a CNAME record and also {rtype}")]
    CnameAndOtherData {
        /// The name.
        owner: Name,
        /// The type of another record.
        rtype: Type,
    },
    /// A record below a DNAME.
    #[error("{owner} {rtype} is below the DNAME record at {dname}")]
    BelowDname {
        /// The record's owner.
        owner: Name,
        /// The record's type.
        rtype: Type,
        /// The owner of the DNAME record.
        dname: Name,
    },
    /// An RRset that fits into no message.
    #[error("the {rtype} records at {owner} take {bytes} octets and fit into no message")]
    RrsetTooLarge {
        /// The owner.
        owner: Name,
        /// The type.
        rtype: Type,
        /// How much it takes.
        bytes: usize,
    },
    /// An RRset that can only be sent without EDNS, or without its signatures, if at all.
    #[error(
        "the {rtype} records at {owner} take {bytes} octets in a reply with EDNS, \
         of which no message has more than 65535"
    )]
    RrsetWithoutRoom {
        /// The owner.
        owner: Name,
        /// The type.
        rtype: Type,
        /// What the reply takes, header, question and signatures included.
        bytes: usize,
    },

    // The zone: warnings.
    /// A record that does not belong to the zone.
    #[error("{owner} is outside of the zone {apex} and left out")]
    OutOfZone {
        /// The record's owner.
        owner: Name,
        /// The zone's name.
        apex: Name,
    },
    /// TTLs of one RRset differ.
    #[error("TTL {ttl} differs from the first of the {rtype} records at {owner}: {used} is used for all")]
    TtlsDiffer {
        /// The owner.
        owner: Name,
        /// The type.
        rtype: Type,
        /// What stands here.
        ttl: u32,
        /// What is used.
        used: u32,
    },
    /// A record that is there already.
    #[error("{owner} has this {rtype} record already")]
    Duplicate {
        /// The owner.
        owner: Name,
        /// The type.
        rtype: Type,
    },
    /// A type that has no meaning, or a surprising one, at a wildcard.
    #[error("{rtype} at the wildcard {owner} does not do what it seems to")]
    AtWildcard {
        /// The wildcard.
        owner: Name,
        /// The type.
        rtype: Type,
    },
    /// NS and DNAME at one name below the apex.
    #[error("{owner} has NS and DNAME records: the delegation hides the DNAME")]
    NsBesideDname {
        /// The name.
        owner: Name,
    },
    /// No NS at the apex.
    #[error("the zone {apex} has no NS records of its own")]
    NoApexNs {
        /// The zone's name.
        apex: Name,
    },
    /// A target that must not be an alias is one.
    #[error("the target {target} of {owner} {rtype} is an alias")]
    TargetIsAlias {
        /// The record's owner.
        owner: Name,
        /// The record's type.
        rtype: Type,
        /// The target.
        target: Name,
    },
    /// A delegation to a name server below it whose address is not given.
    #[error("{cut} is delegated to {target}, which has no address here")]
    MissingGlue {
        /// The delegation.
        cut: Name,
        /// The name server.
        target: Name,
    },
    /// A target in the zone that has no address.
    #[error("the target {target} of {owner} {rtype} has no address")]
    TargetWithoutAddress {
        /// The record's owner.
        owner: Name,
        /// The record's type.
        rtype: Type,
        /// The target.
        target: Name,
    },
    /// A record that a delegation hides.
    #[error("{owner} {rtype} is below the delegation of {cut} and never answered")]
    BelowCut {
        /// The record's owner.
        owner: Name,
        /// The record's type.
        rtype: Type,
        /// The delegation.
        cut: Name,
    },
    /// A name with more types than are looked through for each query.
    #[error("{owner} has records of {count} types; at most {max} are served")]
    TooManyTypes {
        /// The name.
        owner: Name,
        /// How many types there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// A name that has the zone's name twice.
    #[error("{name} ends with the zone's name twice, or is a host below an address: is a final dot missing?")]
    FinalDot {
        /// The name, an owner or a name in data.
        name: Name,
    },
    /// An RNAME that is no mail address in the form of a name.
    #[error("the mail address {rname} is written with `@`")]
    BadRname {
        /// The RNAME as it is.
        rname: Name,
    },
    /// An alias of a name in the zone that does not exist.
    #[error("{owner} is an alias of {target}, which does not exist")]
    AliasToNothing {
        /// The alias.
        owner: Name,
        /// Its target.
        target: Name,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_do_not_crowd_out_errors() {
        let mut faults = Faults::default();
        for line in 1..=500 {
            faults.add(FaultKind::NoTtl { used: 3600 }, Position { file: 0, line, column: 1 }, 0);
        }
        faults.add(FaultKind::FileEmpty, Position::of_file(0), 0);
        assert_eq!((faults.error_count(), faults.warning_count()), (1, 500));
        assert_eq!(faults.iter().count(), FAULTS_MAX + 1);
        assert_eq!(faults.dropped_count(), 300);
        assert!(faults.iter().any(|fault| fault.kind.severity() == Severity::Error));
    }

    #[test]
    fn which_faults_are_kept_hangs_on_their_places_alone() {
        let kept = |shard_count: u32, seed: u32| {
            let mut shards = vec![Faults::default(); shard_count as usize];
            for number in 0..1_000_u32 {
                // Odd, so that it reaches each line once.
                let line = number.wrapping_mul(seed) % 1_000;
                let position = Position { file: (line % 2) as u16, line: 1 + line / 2, column: 1 };
                shards[(line.wrapping_mul(77) % shard_count) as usize].add(
                    FaultKind::NoTtl { used: line },
                    position,
                    0,
                );
            }
            let mut all = Faults::default();
            all.join(shards);
            let mut positions: Vec<_> = all.iter().map(|fault| (fault.position, fault.kind.to_string())).collect();
            positions.sort();
            (positions, all.warning_count())
        };
        let expected = kept(1, 1);
        assert_eq!((expected.0.len(), expected.1), (FAULTS_MAX, 1_000));
        assert!(
            expected.0.iter().all(|(position, _)| (position.file, position.line) <= (0, 200)),
            "the first in the text"
        );
        for (shard_count, seed) in [(1, 999), (1, 7), (2, 1), (32, 999), (5, 333)] {
            assert_eq!(kept(shard_count, seed), expected, "{shard_count} shards, {seed}");
        }
    }

    #[test]
    fn strictly_a_warning_is_an_error_and_hides_no_other() {
        let mut faults = Faults::new(true);
        faults.add(FaultKind::NoTtl { used: 3600 }, Position::of_file(0), 0);
        faults.hold_back_warnings_behind_errors();
        let mut part = faults.fork();
        part.add(FaultKind::NsBesideDname { owner: Name::ROOT }, Position::of_file(0), 0);
        faults.join([part]);
        assert_eq!((faults.error_count(), faults.warning_count()), (2, 0));
    }

    #[test]
    fn a_misspelt_word_brings_up_what_was_meant() {
        let help = |kind: FaultKind| kind.help().unwrap_or_default().into_owned();
        let unknown_type = |word: &str| help(FaultKind::UnknownType { word: word.into() });
        assert_eq!(unknown_type("AAA"), "did you mean `AAAA`?");
        assert_eq!(unknown_type("cnmae"), "did you mean `CNAME`?");
        assert_eq!(unknown_type("nsec3parm"), "did you mean `NSEC3PARAM`?");
        assert!(unknown_type("flurb").contains("TYPEnnn"));
        let unknown_directive = |word: &str| help(FaultKind::UnknownDirective { word: word.into() });
        assert_eq!(unknown_directive("$orgin"), "did you mean `$ORIGIN`?");
        assert!(unknown_directive("$DATE").contains("$GENERATE"));
    }

    #[test]
    fn a_fault_in_a_generated_record_is_that_fault() {
        let inner = FaultKind::MetaType { rtype: Type::ANY };
        let outer = FaultKind::Generated { value: 7, kind: Box::new(inner.clone()) };
        assert_eq!(outer.code(), inner.code());
        assert_eq!(outer.help(), inner.help());
        assert_eq!(outer.to_string(), "with $ = 7: type ANY cannot stand in a zone");
    }
}
