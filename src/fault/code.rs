//! Severity and code of each fault.

use crate::fault::{FaultKind, Severity};

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
            Self::FileUnreadable { cause, .. } => (Error, cause.code()),
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
            Self::Generated { kind, .. } | Self::Hinted { kind, .. } => kind.row(),
            Self::Suspicious { .. } => (Warning, "suspicious-text"),
            Self::NoTtl { .. } => (Warning, "no-ttl"),
            Self::Dnssec(fault) => fault.row(),
            Self::Zonemd(fault) => fault.row(),
            Self::Peer(fault) => fault.row(),
            Self::SoaNotAtApex { .. } => (Error, "soa-not-at-apex"),
            Self::NoSoa { .. } => (Error, "no-soa"),
            Self::SeveralSoas { .. } => (Error, "several-soas"),
            Self::SeveralCnames { .. } => (Error, "several-cnames"),
            Self::SeveralDnames { .. } => (Error, "several-dnames"),
            Self::CnameAndOtherData { .. } => (Error, "cname-and-other-data"),
            Self::BelowDname { .. } => (Error, "below-dname"),
            Self::RrsetTooLarge { .. } => (Error, "rrset-too-large"),
            Self::RrsetWithoutRoom { .. } => (Warning, "rrset-without-room"),
            Self::OutOfZone { .. } => (Warning, "out-of-zone"),
            Self::TtlsDiffer { .. } => (Warning, "ttls-differ"),
            Self::Duplicate { .. } => (Warning, "duplicate"),
            Self::AtWildcard { .. } => (Warning, "at-wildcard"),
            Self::NsBesideDname { .. } => (Warning, "ns-beside-dname"),
            Self::NoApexNs { .. } => (Warning, "no-apex-ns"),
            Self::TargetIsAlias { .. } => (Warning, "target-is-alias"),
            Self::MissingGlue { .. } => (Warning, "missing-glue"),
            Self::TargetWithoutAddress { .. } => (Warning, "target-without-address"),
            Self::BelowCut { .. } => (Warning, "below-cut"),
            Self::TooManyTypes { .. } => (Error, "too-many-types"),
            Self::FinalDot { .. } => (Warning, "final-dot"),
            Self::BadRname { .. } => (Warning, "bad-rname"),
            Self::AliasToNothing { .. } => (Warning, "alias-to-nothing"),
        }
    }

    /// Whether the line at fault may be shown: it is text of a zone, and not something that only stands in its place.
    pub fn shows_line(&self) -> bool {
        !matches!(self, Self::FileBinary | Self::NotAZoneFile)
    }
}
