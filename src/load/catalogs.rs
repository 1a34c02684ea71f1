//! What catalogs say about zones (RFC 9432) → the registry, and what whoever transfers zones has to know of it.
//!
//! A version of a catalog that is broken or takes too many members away is refused as a whole: the catalog stays the
//! version that it was, and so do its members, over restarts too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::produced::ProducedVersion;
use super::registry::{Registry, Source, ZoneRecord};
// mutual: the loader holds what this keeps, and lends it its methods.
use super::{Loader, some_of};
use crate::catalog::{CatalogError, Edits, Member, Owners, Step, StepKind, Told};
use crate::config::{LossMax, ZoneSources};
use crate::transfer::{Change, TransferSettings, ZoneTransfers};
use crate::wire::{NameRef, SharedName};
use crate::zone::Zone;

/// The most groups without a template that are told.
const GROUPS_TOLD_MAX: usize = 1000;

/// Why a version of a catalog is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogRefusal {
    /// It must not be processed.
    #[error("the catalog is broken: {0}; its members stay as they are")]
    Broken(#[from] CatalogError),
    /// Too many members would be gone.
    #[error(
        "{} of {members} members of the catalog would be gone ({}), and its `loss-max` lets one version take away \
        {may_go}; if they are to go: fated reload --force {catalog}",
        lost.len(), some_of(lost)
    )]
    Loss {
        /// The catalog.
        catalog: SharedName,
        /// The zones that would be gone.
        lost: Vec<SharedName>,
        /// How many members it has.
        members: usize,
        /// How many may go.
        may_go: usize,
    },
}

/// What is to be done about the transfers of a zone that a catalog names.
#[derive(Clone, Debug)]
pub enum MemberChange {
    /// It comes from these primaries, from now on or as before.
    Set(SharedName, Arc<TransferSettings>),
    /// The same, and all that is known of it goes.
    Reset(SharedName, Arc<TransferSettings>),
    /// It goes, with all that is known of it.
    Gone(SharedName),
}

/// What followed from catalogs since it was last taken.
#[derive(Debug, Default)]
pub struct CatalogNews {
    /// For whoever transfers zones, in order.
    pub changes: Vec<MemberChange>,
    /// What people should know, a line each: whether it is about something that went wrong.
    pub told: Vec<(bool, String)>,
    /// Versions of catalogs that are made here.
    pub produced: Vec<ProducedVersion>,
}

/// How a catalog is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogState {
    /// Its name.
    pub name: SharedName,
    /// Members of its last good version.
    pub members: usize,
    /// Those among them that are served as its members: not those that are configured by themselves, or belong to
    /// another catalog.
    pub owned: usize,
    /// Why its last version was refused, if it was.
    pub refusal: Option<String>,
}

/// What is known about catalogs.
#[derive(Debug, Default)]
pub(super) struct Catalogs {
    owners: Owners,
    /// Where zones come from, as it was read last.
    sources: Arc<ZoneSources>,
    /// Why the last version of a catalog was refused.
    refused: BTreeMap<SharedName, CatalogRefusal>,
    /// Catalogs whose next version may take away whatever it does.
    may_lose: BTreeSet<SharedName>,
    /// Groups without a template that were told.
    groups_told: BTreeSet<(SharedName, Box<[u8]>)>,
    news: CatalogNews,
    /// Zones with which something happened since this was last asked.
    touched: Vec<SharedName>,
}

impl Catalogs {
    /// Where zones come from, as it was read last.
    pub(super) fn sources(&self) -> &ZoneSources {
        &self.sources
    }

    /// The same, shared.
    pub(super) fn shared_sources(&self) -> Arc<ZoneSources> {
        Arc::clone(&self.sources)
    }

    /// The zones with which something happened since this was last asked.
    pub(super) fn take_touched(&mut self) -> Vec<SharedName> {
        std::mem::take(&mut self.touched)
    }

    /// What holds for a member, if it is one.
    pub(super) fn settings_of<'s>(
        &self,
        sources: &'s ZoneSources,
        name: &SharedName,
    ) -> Option<&'s Arc<TransferSettings>> {
        let (catalog, member) = self.owners.owner(name)?;
        Some(sources.catalog(catalog.as_ref())?.settings_of(&member.groups))
    }

    /// The members of catalogs that are none any more.
    pub(super) fn orphans<'a>(&'a self, sources: &'a ZoneSources) -> impl Iterator<Item = &'a SharedName> {
        let is_gone = |(_, catalog): &(_, &SharedName)| sources.catalog(catalog.as_ref()).is_none();
        self.owners.iter().filter(is_gone).map(|(name, _)| name)
    }

    /// Compares a version of a catalog with its members. `None` where the zone is no catalog.
    ///
    /// # Errors
    /// [`CatalogRefusal`].
    pub(super) fn judge(
        &self,
        sources: &ZoneSources,
        zone: &Zone,
        changes: &[Arc<Change>],
        may_lose_all: bool,
    ) -> Result<Option<Edits>, CatalogRefusal> {
        let Some(source) = sources.catalog(zone.apex()) else { return Ok(None) };
        let Some(known) = self.owners.catalog(&source.name) else {
            return Ok(Some(crate::catalog::Catalog::default().compare(zone, &[])?));
        };
        let edits = known.compare(zone, changes)?;
        let may_lose_all = may_lose_all || self.may_lose.contains(&source.name);
        let may_go = if may_lose_all { LossMax::ALL } else { source.loss_max }.of(known.len());
        if edits.lost.len() > may_go {
            let (catalog, members) = (source.name.clone(), known.len());
            return Err(CatalogRefusal::Loss { catalog, lost: edits.lost, members, may_go });
        }
        Ok(Some(edits))
    }

    /// Notes that a version of a catalog was refused.
    pub(super) fn refuse(&mut self, catalog: NameRef<'_>, refusal: &CatalogRefusal) {
        self.refused.insert(catalog.into(), refusal.clone());
    }

    /// Takes a version of a catalog, and does in the registry what follows.
    pub(super) fn take(&mut self, registry: &mut Registry, catalog: NameRef<'_>, edits: Edits) {
        let catalog = SharedName::from(catalog);
        self.refused.remove(&catalog);
        self.may_lose.remove(&catalog);
        let (steps, told) = self.owners.take(&catalog, edits, |name| is_configured(registry, name));
        self.tell(&catalog, &told);
        self.carry_out(registry, steps);
    }

    /// Takes where zones come from now, and looks again at what catalogs say about them.
    pub(super) fn configure(&mut self, registry: &mut Registry, sources: &Arc<ZoneSources>) {
        self.sources = Arc::clone(sources);
        let is_catalog = |name: &SharedName| sources.catalog(name.as_ref()).is_some();
        self.refused.retain(|name, _| is_catalog(name));
        let (steps, told) = self.owners.configure(is_catalog, |name| is_configured(registry, name));
        self.tell_displaced(&told);
        self.carry_out(registry, steps);
        // What holds for those that stay may be something else now.
        let members = self.owners.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        for name in members {
            self.set(registry, &name);
        }
        // A zone that was served before it was called a catalog.
        for source in &sources.catalogs {
            if self.owners.catalog(&source.name).is_some() {
                continue;
            }
            let Some(zone) = registry.served(source.name.as_ref()).and_then(|record| record.zone()).cloned() else {
                continue;
            };
            match self.judge(sources, &zone, &[], true) {
                Ok(Some(edits)) => self.take(registry, source.name.as_ref(), edits),
                Ok(None) => {}
                Err(refusal) => {
                    self.news.told.push((true, format!("catalog {}: {refusal}", source.name)));
                    self.refuse(source.name.as_ref(), &refusal);
                }
            }
        }
    }

    /// Looks again at what catalogs say about one zone.
    pub(super) fn look_again(&mut self, registry: &mut Registry, name: NameRef<'_>) {
        let (step, told) = self.owners.look_again(name.into(), |name| is_configured(registry, name));
        self.tell_displaced(&told);
        self.carry_out(registry, step.into_iter().collect());
    }

    /// Does in the registry what is to be done about members.
    fn carry_out(&mut self, registry: &mut Registry, steps: Vec<Step>) {
        for Step { name, kind, catalog } in steps {
            self.touched.push(name.clone());
            let before = registry.member(name.as_ref()).cloned();
            let source = Source::Catalog(catalog.clone());
            if let Some(before) = &before {
                let is_moved = kind != StepKind::Keep || before.source != source;
                if is_moved {
                    registry.remove(before);
                }
            }
            let state = before.filter(|_| kind == StepKind::Keep);
            if kind != StepKind::Keep && !is_configured(registry, &name) {
                registry.transfers_mut().remove(name.as_ref());
            }
            if kind == StepKind::Remove {
                self.news.changes.push(MemberChange::Gone(name));
                continue;
            }
            match state {
                Some(before) if before.source == source => {}
                Some(before) => drop(registry.put(Arc::new(ZoneRecord { source, ..ZoneRecord::clone(&before) }))),
                None => drop(registry.put(Arc::new(ZoneRecord { source, ..ZoneRecord::awaited(&name) }))),
            }
            let Some(settings) = self.settings_of(&self.sources, &name).cloned() else { continue };
            self.tell_groups(&name);
            put_settings(registry, &name, &settings);
            let change = if kind == StepKind::Reset { MemberChange::Reset } else { MemberChange::Set };
            self.news.changes.push(change(name, settings));
        }
    }

    /// Sets what holds for a member where that differs from what does.
    fn set(&mut self, registry: &mut Registry, name: &SharedName) {
        let Some(settings) = self.settings_of(&self.sources, name).cloned() else { return };
        if put_settings(registry, name, &settings) {
            self.news.changes.push(MemberChange::Set(name.clone(), settings));
        }
    }

    /// Tells which members of a catalog are not taken.
    fn tell(&mut self, catalog: &SharedName, told: &[Told]) {
        let configured = told.iter().filter_map(|told| match told {
            Told::Configured(name) => Some(name.clone()),
            Told::Owned(..) => None,
        });
        let configured: Vec<_> = configured.collect();
        if !configured.is_empty() {
            let what = format!(
                "catalog {catalog}: it names zones that are configured by themselves, or are catalogs; they stay what \
                 they are: {} ({})",
                configured.len(),
                some_of(&configured)
            );
            self.news.told.push((true, what));
        }
        let mut by_owner: BTreeMap<&SharedName, Vec<SharedName>> = BTreeMap::new();
        for told in told {
            if let Told::Owned(name, owner) = told {
                by_owner.entry(owner).or_default().push(name.clone());
            }
        }
        for (owner, names) in by_owner {
            let what = format!(
                "catalog {catalog}: it names zones that belong to the catalog {owner}, which does not hand them over \
                 (`coo`); they stay there: {} ({})",
                names.len(),
                some_of(&names)
            );
            self.news.told.push((true, what));
        }
    }

    /// Tells which members were taken from their catalogs by the configuration.
    fn tell_displaced(&mut self, told: &[Told]) {
        let names: Vec<SharedName> = told
            .iter()
            .map(|told| match told {
                Told::Configured(name) | Told::Owned(name, _) => name.clone(),
            })
            .collect();
        if !names.is_empty() {
            let what =
                format!("members of catalogs are configured by themselves now: {} ({})", names.len(), some_of(&names));
            self.news.told.push((false, what));
        }
    }

    /// Tells which groups of a member have no template, each once.
    fn tell_groups(&mut self, name: &SharedName) {
        let Some((catalog, Member { groups, .. })) = self.owners.owner(name) else { return };
        let Some(source) = self.sources.catalog(catalog.as_ref()) else { return };
        if groups.iter().any(|group| source.knows(group)) {
            return;
        }
        for group in groups {
            if self.groups_told.len() < GROUPS_TOLD_MAX && self.groups_told.insert((catalog.clone(), group.clone())) {
                let what = format!(
                    "catalog {catalog}: its member {name} is in the group \"{}\", which has no template in `groups`: \
                     what holds for members without a group does",
                    group.escape_ascii()
                );
                self.news.told.push((false, what));
            }
        }
    }
}

impl Loader {
    /// What followed from catalogs since this was last asked.
    pub fn take_catalog_news(&mut self) -> CatalogNews {
        let mut news = std::mem::take(&mut self.catalogs.news);
        let (produced, told) = self.producers.take_news();
        news.told.extend(told.into_iter().map(|what| (true, what)));
        news.produced = produced;
        news
    }

    /// How the catalogs are, in the order of the configuration.
    pub fn catalogs(&self) -> Vec<CatalogState> {
        let known = &self.catalogs;
        let state = |name: &SharedName| CatalogState {
            name: name.clone(),
            members: known.owners.catalog(name).map_or(0, |catalog| catalog.len()),
            owned: known.owners.count(name),
            refusal: known.refused.get(name).map(ToString::to_string),
        };
        let made = |name: &SharedName| {
            let members = self.producers.member_count(name);
            CatalogState { name: name.clone(), members, owned: members, refusal: None }
        };
        let made = known.sources.produced.iter().map(|catalog| made(&catalog.name));
        known.sources.catalogs.iter().map(|source| state(&source.name)).chain(made).collect()
    }

    /// Lets the next version of catalogs take away whatever it does, where the last was refused because it took away
    /// too many members: of that catalog, or of all. Returns which these are.
    pub fn allow_loss(&mut self, catalog: Option<NameRef<'_>>) -> Vec<SharedName> {
        let is_meant = |name: &SharedName| catalog.is_none_or(|catalog| catalog == name.as_ref());
        let refused = self.catalogs.refused.iter();
        let is_loss = |refusal: &CatalogRefusal| matches!(refusal, CatalogRefusal::Loss { .. });
        let names = refused.filter(|(name, refusal)| is_meant(name) && is_loss(refusal)).map(|(name, _)| name.clone());
        let names: Vec<SharedName> = names.collect();
        self.catalogs.may_lose.extend(names.iter().cloned());
        names
    }
}

/// Whether a zone is there by itself, and not as a member of a catalog.
fn is_configured(registry: &Registry, name: &SharedName) -> bool {
    let is_made = |record: &ZoneRecord| record.source == Source::Produced;
    registry.named(name.as_ref()).any(|record| record.source.is_configured() || is_made(record))
}

/// Sets what holds for the transfers of a zone; whether it is something else than before.
fn put_settings(registry: &mut Registry, name: &SharedName, settings: &Arc<TransferSettings>) -> bool {
    let table = registry.transfers_mut();
    let known = table.find(name.as_ref()).map(|known| ZoneTransfers::clone(known));
    if known.as_ref().is_some_and(|known| Arc::ptr_eq(&known.settings, settings) || known.settings == *settings) {
        return false;
    }
    let known = known.unwrap_or_default();
    table.put(name.clone(), Arc::new(ZoneTransfers { settings: Arc::clone(settings), ..known }));
    true
}

impl ZoneRecord {
    /// A record of a zone from primaries that has its source instead, and all else of it.
    pub(super) fn with_source(&self, source: Source) -> Self {
        Self { source, ..self.clone() }
    }
}
