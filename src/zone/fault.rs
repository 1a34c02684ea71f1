//! What can be wrong with a zone file and the zone in it: a closed list, each kind with a severity, a stable code,
//! a sentence and, where one is known, a way out.
//!
//! Knows neither how a fault is found nor how it is shown. Files and lines are meant by [`Place`]; the octets that a
//! place points into are kept elsewhere.

mod cause;
mod help;
mod kept;

use std::path::PathBuf;

use crate::wire::Shown;
use crate::wire::rdata::TextCause;
use crate::wire::{Class, Name, NameError, Type};

pub use cause::{Bound, FileError, GenerateCause};
pub use kept::{Fault, Faults};

/// How many errors, and how many warnings, are kept for one file set; the rest are only counted.
pub const FAULTS_MAX: usize = 200;

/// The names of all directives, as they are written.
pub const DIRECTIVES: [&str; 4] = ["$ORIGIN", "$TTL", "$INCLUDE", "$GENERATE"];

/// A place in a file set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index of the file among those that were read; the zone's own file is 0.
    pub file: u16,
    /// Line from 1; 0 means the file as a whole.
    pub line: u32,
    /// Column in octets from 1; stays at 65,535 where a line is longer.
    pub column: u16,
}

impl Place {
    /// The file as a whole.
    pub fn of_file(file: u16) -> Self {
        Self { file, line: 0, column: 0 }
    }

    /// Whether there is no line to show.
    pub fn is_whole_file(self) -> bool {
        self.line == 0
    }
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The zone is refused.
    Error,
    /// The zone is served; the operator is told.
    Warning,
}

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
    /// A record has no TTL, and none is known.
    #[error("no TTL here and no `$TTL` before: {used} seconds are used, here and wherever none is written")]
    NoTtl {
        /// What is used.
        used: u32,
    },

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
        "the {rtype} records at {owner} take {bytes} octets in a reply with EDNS, of which no message has more than 65535"
    )]
    RrsetWithoutRoom {
        /// The owner.
        owner: Name,
        /// The type.
        rtype: Type,
        /// What the reply takes, header, question and signatures included.
        bytes: usize,
    },
    /// NSEC3 with more iterations than a validator would do.
    #[error("NSEC3 with {iterations} iterations; at most {max} are served")]
    Nsec3TooManyIterations {
        /// What the zone says.
        iterations: u16,
        /// What is allowed.
        max: u16,
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
    /// A signature of nothing.
    #[error("this RRSIG record covers {covered} records, but {owner} has none")]
    RrsigCoversNothing {
        /// The owner.
        owner: Name,
        /// The type that is covered.
        covered: Type,
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
    /// An NSEC3 chain without NSEC3PARAM.
    #[error("the zone {apex} has NSEC3 records without an NSEC3PARAM record of the same parameters")]
    Nsec3WithoutParam {
        /// The zone's name.
        apex: Name,
    },
    /// NSEC3PARAM without an NSEC3 chain.
    #[error("the zone {apex} has an NSEC3PARAM record without NSEC3 records of the same parameters")]
    Nsec3ParamWithoutChain {
        /// The zone's name.
        apex: Name,
    },
    /// An unknown NSEC3 hash algorithm.
    #[error("NSEC3 hash algorithm {algorithm} is unknown")]
    Nsec3Algorithm {
        /// The number.
        algorithm: u8,
    },
    /// NSEC3 with iterations.
    #[error("NSEC3 with {iterations} additional iterations")]
    Nsec3Iterations {
        /// How many.
        iterations: u16,
    },
    /// RRsets of a signed zone that have no signature.
    #[error("the zone {apex} is signed, but {count} RRsets are not: the first is {owner} {rtype}")]
    Unsigned {
        /// The zone's name.
        apex: Name,
        /// The owner of the first.
        owner: Name,
        /// The type of the first.
        rtype: Type,
        /// How many there are.
        count: usize,
    },
}

impl FaultKind {
    /// Whether the zone is refused for it.
    pub fn severity(&self) -> Severity {
        self.row().0
    }

    /// The code that scripts may rely on, in kebab case.
    pub fn code(&self) -> &'static str {
        self.row().1
    }

    /// Severity and code, one row a kind.
    fn row(&self) -> (Severity, &'static str) {
        use Severity::{Error, Warning};
        match self {
            Self::FileUnreadable { cause, .. } => match cause {
                FileError::Missing => (Error, "file-missing"),
                FileError::Directory => (Error, "file-is-directory"),
                FileError::Pipe | FileError::Socket | FileError::Device => (Error, "file-special"),
                FileError::TooLong { .. } => (Error, "file-too-long"),
                FileError::Outside => (Error, "include-outside"),
                FileError::LinkLoop | FileError::Denied | FileError::Other(_) => (Error, "file-unreadable"),
            },
            Self::NotAZoneFile => (Error, "not-a-zone-file"),
            Self::ZoneTooLarge { .. } => (Error, "zone-too-large"),
            Self::FileEmpty => (Error, "file-empty"),
            Self::FileBinary => (Error, "file-binary"),
            Self::IncludeLoop { .. } => (Error, "include-loop"),
            Self::IncludeTooDeep { .. } => (Error, "include-too-deep"),
            Self::TooManyIncludes { .. } => (Error, "too-many-includes"),
            Self::ParenthesisOpen => (Error, "parenthesis-open"),
            Self::ParenthesisClose => (Error, "parenthesis-close"),
            Self::QuoteOpen => (Error, "quote-open"),
            Self::EntryTooLong { .. } => (Error, "entry-too-long"),
            Self::UnknownDirective { .. } => (Error, "unknown-directive"),
            Self::IndentedDirective => (Error, "indented-directive"),
            Self::MissingField { .. } => (Error, "missing-field"),
            Self::SurplusField => (Error, "surplus-field"),
            Self::QuotedField { .. } => (Error, "quoted-field"),
            Self::BadOwner { .. } => (Error, "bad-owner"),
            Self::NoOwner => (Error, "no-owner"),
            Self::BadOrigin { .. } => (Error, "bad-origin"),
            Self::BadTtl => (Error, "bad-ttl"),
            Self::TtlTooLarge => (Error, "ttl-too-large"),
            Self::ClassNotIn { .. } => (Error, "class-not-in"),
            Self::UnknownType { .. } => (Error, "unknown-type"),
            Self::MetaType { .. } => (Error, "meta-type"),
            Self::BadRdata { .. } => (Error, "bad-rdata"),
            Self::Generate { .. } => (Error, "bad-generate"),
            Self::Generated { kind, .. } => kind.row(),
            Self::NoTtl { .. } => (Warning, "no-ttl"),
            Self::SoaNotAtApex { .. } => (Error, "soa-not-at-apex"),
            Self::NoSoa { .. } => (Error, "no-soa"),
            Self::SeveralSoas { .. } => (Error, "several-soas"),
            Self::SeveralCnames { .. } => (Error, "several-cnames"),
            Self::SeveralDnames { .. } => (Error, "several-dnames"),
            Self::CnameAndOtherData { .. } => (Error, "cname-and-other-data"),
            Self::BelowDname { .. } => (Error, "below-dname"),
            Self::RrsetTooLarge { .. } => (Error, "rrset-too-large"),
            Self::RrsetWithoutRoom { .. } => (Warning, "rrset-without-room"),
            Self::Nsec3TooManyIterations { .. } => (Error, "nsec3-too-many-iterations"),
            Self::OutOfZone { .. } => (Warning, "out-of-zone"),
            Self::TtlsDiffer { .. } => (Warning, "ttls-differ"),
            Self::Duplicate { .. } => (Warning, "duplicate"),
            Self::RrsigCoversNothing { .. } => (Warning, "rrsig-covers-nothing"),
            Self::AtWildcard { .. } => (Warning, "at-wildcard"),
            Self::NsBesideDname { .. } => (Warning, "ns-beside-dname"),
            Self::NoApexNs { .. } => (Warning, "no-apex-ns"),
            Self::TargetIsAlias { .. } => (Warning, "target-is-alias"),
            Self::MissingGlue { .. } => (Warning, "missing-glue"),
            Self::TargetWithoutAddress { .. } => (Warning, "target-without-address"),
            Self::BelowCut { .. } => (Warning, "below-cut"),
            Self::Nsec3WithoutParam { .. } => (Warning, "nsec3-without-param"),
            Self::Nsec3ParamWithoutChain { .. } => (Warning, "nsec3param-without-chain"),
            Self::Nsec3Algorithm { .. } => (Warning, "nsec3-algorithm"),
            Self::Nsec3Iterations { .. } => (Warning, "nsec3-iterations"),
            Self::Unsigned { .. } => (Warning, "unsigned"),
        }
    }

    /// Whether the line at fault may be shown: it is text of a zone, and not something that only stands in its place.
    pub fn shows_line(&self) -> bool {
        !matches!(self, Self::FileBinary | Self::NotAZoneFile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_do_not_crowd_out_errors() {
        let mut faults = Faults::default();
        for line in 1..=500 {
            faults.add(FaultKind::NoTtl { used: 3600 }, Place { file: 0, line, column: 1 }, 0);
        }
        faults.add(FaultKind::FileEmpty, Place::of_file(0), 0);
        assert_eq!((faults.error_count(), faults.warning_count()), (1, 500));
        assert_eq!(faults.iter().count(), FAULTS_MAX + 1);
        assert_eq!(faults.dropped_count(), 300);
        assert!(faults.iter().any(|fault| fault.kind.severity() == Severity::Error));
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
