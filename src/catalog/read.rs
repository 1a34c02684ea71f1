//! The records of a catalog zone → its version and its members (RFC 9432 §4).

use core::fmt;
use std::sync::Arc;

use crate::transfer::Change;
use crate::wire::{Name, NameRef, SharedName, Type};
use crate::zone::hash::LookupName;
use crate::zone::{NodeCursor, Zone};

/// The version of the schema that is understood (RFC 9432 §4.2.1), as RDATA of a TXT record.
pub(super) const VERSION_RDATA: &[u8] = b"\x012";
/// The label under which the members stand (RFC 9432 §4.1).
pub(super) const ZONES: &[u8] = b"zones";
/// The most groups of a member that count.
const GROUPS_MAX: usize = 32;

/// The label of a member node, `<unique-N>` of RFC 9432 §4.1, in lower case. Copies share it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<[u8]>);

impl Label {
    /// Takes the octets of a label without the length octet.
    pub fn new(octets: &[u8]) -> Self {
        Self(octets.to_ascii_lowercase().into())
    }

    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A zone that a catalog names, with its properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The zone's name.
    pub name: SharedName,
    /// The values of its `group` property, sorted (RFC 9432 §4.4.2); the strings of one record are one value.
    pub groups: Box<[Box<[u8]>]>,
    /// The catalog that may take the zone over (`coo`, RFC 9432 §4.4.1).
    pub new_owner: Option<SharedName>,
}

/// Why a catalog must not be processed (RFC 9432 §5.1): nothing follows from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// It has no version.
    #[error("it has no TXT record at `version`")]
    NoVersion,
    /// It has several versions.
    #[error("it has {0} TXT records at `version`, not one")]
    SeveralVersions(usize),
    /// Its version is another than 2.
    #[error("its version is not \"2\"")]
    OtherVersion,
    /// A member node has several PTR records.
    #[error("the member node `{0}` has several PTR records")]
    SeveralNames(Label),
    /// A member has several new owners.
    #[error("the member node `{0}` has several `coo` records")]
    SeveralOwners(Label),
    /// Two member nodes name one zone.
    #[error("the member nodes `{1}` and `{2}` both name the zone {0}")]
    NamedTwice(SharedName, Label, Label),
}

/// Looks whether the catalog is of the version that is understood.
///
/// # Errors
/// [`CatalogError::NoVersion`], [`CatalogError::SeveralVersions`], [`CatalogError::OtherVersion`].
pub(super) fn check_version(zone: &Zone) -> Result<(), CatalogError> {
    let mut count = 0;
    let mut is_known = true;
    visit(zone, &[b"version"], Type::TXT, |rdata| {
        count += 1;
        is_known &= rdata == VERSION_RDATA;
    });
    match count {
        0 => Err(CatalogError::NoVersion),
        1 if is_known => Ok(()),
        1 => Err(CatalogError::OtherVersion),
        several => Err(CatalogError::SeveralVersions(several)),
    }
}

/// Reads the member of a node; `None` where it names no zone.
///
/// # Errors
/// [`CatalogError::SeveralNames`], [`CatalogError::SeveralOwners`].
pub(super) fn member(zone: &Zone, label: &Label) -> Result<Option<Member>, CatalogError> {
    let node = [label.octets(), ZONES];
    let Some(name) = target(zone, &node).map_err(|()| CatalogError::SeveralNames(label.clone()))? else {
        return Ok(None);
    };
    let new_owner = target(zone, &[&[&b"coo"[..]], &node[..]].concat());
    let new_owner = new_owner.map_err(|()| CatalogError::SeveralOwners(label.clone()))?;
    let mut groups: Vec<Box<[u8]>> = Vec::new();
    visit(zone, &[&[&b"group"[..]], &node[..]].concat(), Type::TXT, |rdata| {
        if groups.len() < GROUPS_MAX {
            groups.push(joined(rdata));
        }
    });
    groups.sort();
    Ok(Some(Member { name, groups: groups.into(), new_owner }))
}

/// The labels of all member nodes of a catalog.
pub(super) fn labels(zone: &Zone) -> impl Iterator<Item = Label> {
    let apex = zone.apex();
    let nodes = zone.nodes_from(NodeCursor::default());
    // What is deeper is a property of a node that is there too, or is passed over.
    nodes.filter_map(move |(node, _)| {
        let label = label_of(node.name(), apex)?;
        (node.name().label_count() == apex.label_count() + 2).then_some(label)
    })
}

/// The labels of the member nodes that a change is about; with repetitions.
pub(super) fn labels_of_change<'a>(change: &'a Change, apex: NameRef<'a>) -> impl Iterator<Item = Label> {
    let records = change.deleted.iter().chain(change.added.iter());
    records.filter_map(move |record| label_of(record.owner, apex))
}

/// The label of the member node at or above a name.
fn label_of(name: NameRef<'_>, apex: NameRef<'_>) -> Option<Label> {
    let (depth, apex_depth) = (name.label_count(), apex.label_count());
    if depth < apex_depth + 2 || !name.is_below(apex) {
        return None;
    }
    if !first_label(name.suffix(apex_depth + 1))?.eq_ignore_ascii_case(ZONES) {
        return None;
    }
    first_label(name.suffix(apex_depth + 2)).map(Label::new)
}

/// The first label of a name.
fn first_label(name: NameRef<'_>) -> Option<&[u8]> {
    let (length, rest) = name.as_bytes().split_first()?;
    rest.get(..usize::from(*length))
}

/// The target of the only PTR record below the apex at these labels; `None` where there is none.
fn target(zone: &Zone, labels: &[&[u8]]) -> Result<Option<SharedName>, ()> {
    let (mut count, mut name) = (0, None);
    visit(zone, labels, Type::PTR, |rdata| {
        count += 1;
        name = NameRef::parse(rdata).ok().map(SharedName::from);
    });
    if count > 1 { Err(()) } else { Ok(name) }
}

/// Hands the RDATA of each record of a type to `visit`, the owner being these labels below the apex.
fn visit(zone: &Zone, labels: &[&[u8]], rtype: Type, mut visit: impl FnMut(&[u8])) {
    let mut owner = zone.apex().to_name();
    for label in labels.iter().rev() {
        // A name that is too long has no records.
        let Ok(child) = Name::child(label, owner.as_ref()) else { return };
        owner = child;
    }
    let Some(rrset) = zone.node(&LookupName::of(&owner)).and_then(|node| node.rrset(rtype)) else { return };
    let mut plain = Vec::new();
    for record in rrset.records() {
        plain.clear();
        rrset.write_plain_rdata(owner.as_ref(), &record, &mut plain);
        visit(&plain);
    }
}

/// The character-strings of a TXT record's RDATA, one behind another.
fn joined(mut rdata: &[u8]) -> Box<[u8]> {
    let mut text = Vec::with_capacity(rdata.len());
    while let Some((length, rest)) = rdata.split_first() {
        let (string, behind) = rest.split_at(usize::from(*length).min(rest.len()));
        text.extend_from_slice(string);
        rdata = behind;
    }
    text.into()
}
