//! The way out of each fault, where one is known.

use std::borrow::Cow;

use crate::fault::nearest::nearest;
use crate::fault::{DIRECTIVES, FaultKind, FileError, GenerateCause};
use crate::wire::Type;

/// The last of the types with low numbers that have names.
const LAST_LOW_TYPE: u16 = 300;
/// The first of the types with high numbers that have names.
const FIRST_HIGH_TYPE: u16 = 32_768;
/// The last of the types with high numbers that have names.
const LAST_HIGH_TYPE: u16 = 32_800;

impl FaultKind {
    /// What the operator may do, where that is known.
    pub fn help(&self) -> Option<Cow<'static, str>> {
        self.own_help().or_else(|| self.general_help().map(Cow::Borrowed))
    }

    /// What hangs on what stands there.
    fn own_help(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::ZoneTooLarge { bound, .. } => {
                let key = bound.key()?;
                format!("`[server.limits] {key}` says how much a zone may take").into()
            }
            Self::UnknownDirective { word } => match nearest(word, DIRECTIVES) {
                Some(directive) => format!("did you mean `{directive}`?").into(),
                None => format!("known are {}; write `\\$` where a name starts with it", DIRECTIVES.join(", ")).into(),
            },
            Self::UnknownType { word } => {
                let known = (1..=LAST_LOW_TYPE).chain(FIRST_HIGH_TYPE..=LAST_HIGH_TYPE);
                match nearest(word, known.filter_map(|number| Type(number).mnemonic())) {
                    Some(mnemonic) => format!("did you mean `{mnemonic}`?").into(),
                    None => "a type without a name is written TYPEnnn (RFC 3597)".into(),
                }
            }
            Self::Generated { kind, .. } => return kind.help(),
            Self::Hinted { hint, .. } | Self::Suspicious { hint } => hint.help(),
            Self::SoaNotAtApex { owner, .. } => format!(
                "check $ORIGIN and a final dot that is missing; the zone's name is that of its file, without \
                         `.zone`: if {owner} is meant, rename the file, or name it in the configuration with [[zone]], \
                         name = \"{owner}\""
            )
            .into(),
            _ => return None,
        })
    }

    /// What holds for all faults of a kind.
    fn general_help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Dnssec(fault) => return fault.help(),
            Self::Zonemd(fault) => return fault.help(),
            Self::Peer(fault) => fault.help(),
            Self::NoApexNs { .. } => "secondaries that are BIND refuse such a zone",
            Self::NsBesideDname { .. } => "secondaries that are Knot DNS refuse such a zone",
            Self::FileUnreadable { cause: FileError::Outside, .. } => {
                "name the folder in the configuration (`[server] include-dirs`) or with `--include-dir`"
            }
            Self::FileUnreadable { cause: FileError::TooLong { .. }, .. } => {
                "`[server.limits] zone-octets-max` says how long the files of a zone may be"
            }
            Self::NotAZoneFile => "its lines are not shown, for it may be something that is nobody's business",
            Self::FileEmpty => "a zone needs at least an SOA record",
            Self::FileBinary => "zone files are text: convert UTF-16 to UTF-8, and raw or map images to text",
            Self::QuoteOpen => "end the string with `\"`; a line break in a string is written \\010",
            Self::NoOwner => "write the owner in the first column; `@` is the origin",
            Self::ClassNotIn { .. } => "leave the class out, or write IN",
            Self::MetaType { .. } => "such types exist in questions and messages only (RFC 6895 section 3.1)",
            Self::Generate { cause: GenerateCause::Modifier | GenerateCause::Base } => {
                "`$$` or `\\$` is a dollar sign that stands for itself"
            }
            Self::FinalDot { .. } => "a name without a final dot is completed with the origin",
            Self::BadRname { .. } => {
                "write `hostmaster.example.com.` for hostmaster@example.com (RFC 1035 section 3.3.13)"
            }
            Self::AliasToNothing { .. } => "is a final dot missing, or a record?",
            Self::NoTtl { .. } => {
                "write `$TTL 3600` in front, or what was meant: here Windows takes the SOA's MINIMUM; BIND does so \
                 where the SOA has no TTL, else it takes that of the record before"
            }
            Self::CnameAndOtherData { .. } => {
                "an alias has no records but its own signatures and NSEC (RFC 1034 section 3.6.2)"
            }
            Self::BelowDname { .. } => "names below a DNAME cannot have records (RFC 6672 section 2.4)",
            Self::OutOfZone { .. } => "a final dot too many, or one that is missing?",
            Self::TtlsDiffer { .. } => "give all records of an RRset one TTL (RFC 2181 section 5.2)",
            Self::TargetIsAlias { .. } => "name the target of the alias instead (RFC 2181 section 10.3)",
            Self::MissingGlue { .. } => "add A or AAAA records for the name server",
            _ => return None,
        })
    }
}
