//! Which catalog a zone belongs to, where several name it, and what that means for the zone (RFC 9432 §4.4.1, §5).
//!
//! A zone belongs to the catalog that named it first, until that one lets go of it or hands it over by `coo`. Another
//! that names it too is told, and gets it when it is free; no zone that is configured by itself, and no catalog, is
//! taken from that.

use std::collections::{BTreeMap, HashMap};

use super::members::{Catalog, Edits};
use super::read::{Label, Member};
use crate::wire::SharedName;

/// All catalogs whose members are served, and which of them each zone belongs to.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    catalogs: BTreeMap<SharedName, Catalog>,
    /// The catalog that each member belongs to, and the label under which it does.
    owners: HashMap<SharedName, (SharedName, Label)>,
    /// How many zones belong to each catalog.
    counts: BTreeMap<SharedName, usize>,
}

/// What is to be done about one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The zone.
    pub name: SharedName,
    /// What.
    pub kind: StepKind,
    /// The catalog that it belongs to from now on; the one that it did, where it goes.
    pub catalog: SharedName,
}

/// What is to be done about a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// It comes.
    Add,
    /// It stays what it is, with what the catalog says of it now.
    Keep,
    /// All that is known of it goes, and it comes anew (RFC 9432 §5.6).
    Reset,
    /// It goes, with all that is known of it.
    Remove,
}

/// Why a zone that a catalog names does not belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is configured by itself, or is a catalog.
    Configured(SharedName),
    /// It belongs to that other catalog.
    Owned(SharedName, SharedName),
}

impl Owners {
    /// The members of a catalog, if it was taken.
    pub fn catalog(&self, catalog: &SharedName) -> Option<&Catalog> {
        self.catalogs.get(catalog)
    }

    /// The catalog that a zone belongs to, with what that says of it.
    pub fn owner(&self, name: &SharedName) -> Option<(&SharedName, &Member)> {
        let (catalog, label) = self.owners.get(name)?;
        Some((catalog, self.catalogs.get(catalog)?.at(label)?))
    }

    /// How many zones belong to a catalog.
    pub fn count(&self, catalog: &SharedName) -> usize {
        self.counts.get(catalog).copied().unwrap_or_default()
    }

    /// All members that belong to a catalog, with it.
    pub fn iter(&self) -> impl Iterator<Item = (&SharedName, &SharedName)> {
        self.owners.iter().map(|(name, (catalog, _))| (name, catalog))
    }

    /// Takes a version of a catalog: what [`Catalog::compare`] said of it. `is_configured` says which zones are
    /// configured by themselves. Returns what is to be done, and what people should know.
    pub fn take(
        &mut self,
        catalog: &SharedName,
        edits: Edits,
        is_configured: impl Fn(&SharedName) -> bool,
    ) -> (Vec<Step>, Vec<Told>) {
        let (mut steps, mut told) = (Vec::new(), Vec::new());
        for name in self.catalogs.entry(catalog.clone()).or_default().take(edits) {
            let is_ours = self.owners.get(&name).is_none_or(|(owner, _)| owner == catalog);
            if !is_ours {
                told.extend(self.clash(catalog, &name));
            }
            steps.extend(self.settle(name, &is_configured, &mut told, is_ours));
        }
        (steps, told)
    }

    /// Takes which catalogs there are from now on, and which zones are configured by themselves.
    pub fn configure(
        &mut self,
        is_catalog: impl Fn(&SharedName) -> bool,
        is_configured: impl Fn(&SharedName) -> bool,
    ) -> (Vec<Step>, Vec<Told>) {
        let (mut steps, mut told) = (Vec::new(), Vec::new());
        let gone: Vec<SharedName> = self.catalogs.keys().filter(|name| !is_catalog(name)).cloned().collect();
        let mut names: Vec<SharedName> = Vec::new();
        for catalog in gone.into_iter().filter_map(|name| self.catalogs.remove(&name)) {
            names.extend(catalog.iter().map(|member| member.name.clone()));
        }
        names.extend(self.catalogs.values().flat_map(|catalog| catalog.iter().map(|member| member.name.clone())));
        names.sort();
        names.dedup();
        for name in names {
            steps.extend(self.settle(name, &is_configured, &mut told, false));
        }
        (steps, told)
    }

    /// Looks again at which catalog a zone belongs to, where that it is configured by itself has changed.
    pub fn look_again(
        &mut self,
        name: SharedName,
        is_configured: impl Fn(&SharedName) -> bool,
    ) -> (Option<Step>, Vec<Told>) {
        let mut told = Vec::new();
        let step = self.settle(name, is_configured, &mut told, false);
        (step, told)
    }

    /// Tells that a catalog names a zone of another, unless that hands it over.
    fn clash(&self, catalog: &SharedName, name: &SharedName) -> Option<Told> {
        let (owner, member) = self.owner(name)?;
        let is_named = self.catalogs.get(catalog).is_some_and(|catalog| catalog.find(name).is_some());
        (is_named && member.new_owner.as_ref() != Some(catalog)).then(|| Told::Owned(name.clone(), owner.clone()))
    }

    /// Finds the catalog that a zone belongs to now. Where nothing differs, `is_touched` says whether what the catalog
    /// says of it may.
    fn settle(
        &mut self,
        name: SharedName,
        is_configured: impl Fn(&SharedName) -> bool,
        told: &mut Vec<Told>,
        is_touched: bool,
    ) -> Option<Step> {
        let before = self.owners.remove(&name);
        if let Some(count) = before.as_ref().and_then(|(catalog, _)| self.counts.get_mut(catalog)) {
            *count -= 1;
        }
        let is_taken = is_configured(&name);
        let now = if is_taken { None } else { self.choose(&name, before.as_ref()) };
        let kind = match (&before, &now) {
            (None, None) => {
                told.extend((is_taken && is_touched && self.is_named(&name)).then_some(Told::Configured(name)));
                return None;
            }
            (None, Some(_)) => StepKind::Add,
            (Some(_), None) => StepKind::Remove,
            // The same label elsewhere keeps what is known only where it was handed over, which `choose` has seen to.
            (Some((catalog, label)), Some((next, now_label))) => {
                let is_same = label == now_label && (catalog == next || self.hands_over(catalog, &name, next));
                if is_same { StepKind::Keep } else { StepKind::Reset }
            }
        };
        told.extend((is_taken && kind == StepKind::Remove).then(|| Told::Configured(name.clone())));
        let catalog = now.as_ref().or(before.as_ref()).map(|(catalog, _)| catalog.clone())?;
        let is_unchanged = kind == StepKind::Keep && !is_touched && before == now;
        if let Some(now) = now {
            *self.counts.entry(now.0.clone()).or_default() += 1;
            self.owners.insert(name.clone(), now);
        }
        (!is_unchanged).then_some(Step { name, kind, catalog })
    }

    /// The catalog that a zone belongs to, and its label there: the one that it did unless that hands it over or does
    /// not name it any more; then the first in order of their names.
    fn choose(&self, name: &SharedName, before: Option<&(SharedName, Label)>) -> Option<(SharedName, Label)> {
        let claim = |catalog: &SharedName| {
            let (label, _) = self.catalogs.get(catalog)?.find(name)?;
            Some((catalog.clone(), label.clone()))
        };
        if let Some((owner, _)) = before
            && let Some((_, member)) = self.catalogs.get(owner).and_then(|catalog| catalog.find(name))
        {
            return member.new_owner.as_ref().and_then(claim).or_else(|| claim(owner));
        }
        self.catalogs.keys().find_map(claim)
    }

    /// Whether a catalog hands a zone over to another.
    fn hands_over(&self, catalog: &SharedName, name: &SharedName, to: &SharedName) -> bool {
        let member = self.catalogs.get(catalog).and_then(|catalog| catalog.find(name));
        member.is_some_and(|(_, member)| member.new_owner.as_ref() == Some(to))
    }

    /// Whether some catalog names a zone.
    fn is_named(&self, name: &SharedName) -> bool {
        self.catalogs.values().any(|catalog| catalog.find(name).is_some())
    }
}
