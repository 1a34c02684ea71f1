//! Configuration → where zones come from → the registry of zones, at the start and at every reload.
//!
//! Owns what is loaded now and what each zone was read from. A reload is all or nothing for each zone: a file with
//! errors leaves the zone as it was. Files that did not change are not read again, and a reload of one zone looks at
//! the sources of that zone alone. Knows nothing of who serves.

mod arrival;
mod catalogs;
mod delegation;
pub mod files;
mod list;
mod memory;
mod produced;
mod read;
mod registry;
mod report;
mod thread_pool;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::catalog::Edits;
use crate::config::{LossMax, ZoneSources};
use crate::fault::report::Style;
use crate::wire::{Name, NameRef, SharedName};
use crate::zone::hash::Seed;
use crate::zonefile::Limits;
pub use arrival::Arrival;
use catalogs::Catalogs;
pub use catalogs::{CatalogNews, CatalogRefusal, CatalogState, MemberChange};
use files::FileStamps;
pub use list::ListError;
use list::{Listed, Lister};
pub use produced::ProducedVersion;
use produced::Producers;
use read::{Job, Means, Outcome};
pub use registry::{Counts, Registry, Source, ZoneRecord, ZoneState};
pub use report::{Change, Report, ZoneReport};
pub use thread_pool::ThreadPool;

/// All that is loaded.
#[derive(Debug)]
pub struct Loader {
    seed: Seed,
    style: Style,
    /// Whether warnings are taken for errors.
    is_strict: bool,
    registry: Registry,
    /// What says where zones come from, as it was asked last.
    lister: Option<Lister>,
    /// What files might include and take when all were looked at last: where that changes, all are read again.
    conditions: (Vec<PathBuf>, Limits),
    /// What catalogs say about zones.
    catalogs: Catalogs,
    /// Catalogs that are made here.
    producers: Producers,
}

/// Which zones a reload is about.
#[allow(clippy::large_enum_variant)] // There is one of them for each reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All; what did not change is not read.
    All,
    /// The one of that name, which is read whether it changed or not.
    Zone(Name),
}

/// Why a reload did not even begin; everything stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The zones folder can't be read.
    #[error(transparent)]
    List(#[from] ListError),
    /// No zone has that name.
    #[error("no zone {0} is served, and no zone file has that name")]
    Unknown(Box<Name>),
    /// The zone of that name comes from primaries.
    #[error("{0} comes from primaries, not from a file; ask them: fated zone refresh {0}")]
    Transferred(Box<Name>),
    /// The zone of that name is made of others.
    #[error("{0} is a catalog that is made here of other zones; it follows them: fated reload")]
    Produced(Box<Name>),
    /// Too many zones would be gone. That looks like files that were lost, and not like an order.
    #[error("{} of {served} zones would be gone ({}), and `server.reload-loss-max` lets one reload take away {may_go}\n\
        look whether a folder or files are lost; if they are to go: fated reload --force",
        lost.len(), some_of(lost))]
    Loss {
        /// The zones that would be gone.
        lost: Vec<SharedName>,
        /// How many are served.
        served: usize,
        /// How many may go.
        may_go: usize,
    },
}

/// The first few names.
fn some_of(names: &[SharedName]) -> String {
    /// The most names that are shown.
    const NAMES_MAX: usize = 5;
    let mut shown: Vec<String> = names.iter().take(NAMES_MAX).map(ToString::to_string).collect();
    if names.len() > NAMES_MAX {
        shown.push(format!("and {} more", names.len() - NAMES_MAX));
    }
    shown.join(", ")
}

impl Loader {
    /// Starts with nothing. `seed` is shared by all zones; `style` is how faults are shown.
    pub fn new(seed: Seed, style: Style) -> Self {
        let (registry, conditions) = (Registry::new(seed), Default::default());
        let (catalogs, producers) = Default::default();
        Self { seed, style, is_strict: false, registry, lister: None, conditions, catalogs, producers }
    }

    /// Takes warnings for errors from now on.
    pub fn strictly(self) -> Self {
        Self { is_strict: true, ..self }
    }

    /// The key of the name hash.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// All zones, where they come from and what is served of them.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Looks at the files and reads what must be read. Zones may go as far as `sources` allow, or however many
    /// `is_forced`.
    ///
    /// Cost for one zone: what its own files cost, however many other zones there are. Only where no file of the name
    /// is known, the folder is listed.
    ///
    /// # Errors
    /// [`ReloadError`]; then nothing has changed. Faults in zone files are no errors here, but part of the report.
    pub fn reload(&mut self, sources: &Arc<ZoneSources>, scope: Scope, is_forced: bool) -> Result<Report, ReloadError> {
        // At a reload of all, where named files really are is looked up again too.
        let lister = self.lister.take().filter(|lister| scope != Scope::All && lister.is_of(sources));
        let lister = self.lister.insert(lister.unwrap_or_else(|| Lister::new(sources)));
        let conditions = (sources.include_dirs.clone(), sources.limits);
        let plan = match scope {
            Scope::All => plan_all(&self.registry, lister, sources, conditions == self.conditions)?,
            Scope::Zone(name) => plan_one(&self.registry, lister, name)?,
        };
        let means = Means { seed: self.seed, style: self.style, is_strict: self.is_strict, sources };
        let mut outcomes = read::read_all(&plan.read, means);
        let edits = self.judge_files(sources, &plan, &mut outcomes, is_forced);
        let mut next = self.registry.clone();
        if scope == Scope::All {
            next.set_transfers(sources);
        }
        plan.removed.iter().chain(&plan.displaced).for_each(|record| next.remove(record));
        let mut contested = Vec::new();
        for name in &plan.awaited {
            // A member of a catalog that is configured by itself now stays what it is.
            let record = self.registry.member(name.as_ref()).map(|member| member.with_source(Source::Transfer));
            if next.put(Arc::new(record.unwrap_or_else(|| ZoneRecord::awaited(name)))) {
                contested.push(name.as_ref());
            }
        }
        for ((listed, before), outcome) in plan.read.iter().zip(outcomes) {
            if next.put(Arc::new(ZoneRecord::read(listed, before.as_deref(), outcome))) {
                contested.push(listed.name.as_ref());
            }
        }
        contested.into_iter().for_each(|name| self.refuse_rivals(&mut next, name));
        self.bound_loss(&next, &plan, sources, is_forced)?;
        let changed = plan.read.iter().map(|(listed, _)| &listed.name);
        let changed = changed.chain(plan.removed.iter().map(|record| &record.listed_name)).map(SharedName::as_ref);
        delegation::compare_again(&mut next, changed, means);
        self.note_changes(&mut next, &plan);
        let report = report(&next, plan, scope);
        self.registry = next;
        self.follow_catalogs(sources, scope, edits, is_forced);
        if scope == Scope::All {
            self.conditions = conditions;
        }
        Ok(report)
    }

    /// Judges the catalogs among files that were read: one that is refused counts as a file with errors. Returns what
    /// follows from the others.
    fn judge_files(
        &self,
        sources: &ZoneSources,
        plan: &Plan,
        outcomes: &mut [Outcome],
        is_forced: bool,
    ) -> Vec<(SharedName, Edits)> {
        let mut edits = Vec::new();
        for ((listed, _), outcome) in plan.read.iter().zip(outcomes) {
            let Some(zone) = &outcome.zone else { continue };
            match self.catalogs.judge(sources, zone, &[], is_forced) {
                Ok(judged) => edits.extend(judged.map(|edits| (listed.name.clone(), edits))),
                Err(refusal) => {
                    outcome.faults.push_str(&format!("error: {}: {refusal}\n", listed.source));
                    outcome.error_count += 1;
                    outcome.zone = None;
                }
            }
        }
        edits
    }

    /// Does what follows from catalogs behind a reload.
    fn follow_catalogs(
        &mut self,
        sources: &Arc<ZoneSources>,
        scope: Scope,
        edits: Vec<(SharedName, Edits)>,
        is_forced: bool,
    ) {
        for (catalog, edits) in edits {
            self.catalogs.take(&mut self.registry, catalog.as_ref(), edits);
        }
        match scope {
            Scope::All => {
                self.catalogs.configure(&mut self.registry, sources);
                drop(self.catalogs.take_touched());
                self.produce_all(is_forced);
            }
            Scope::Zone(name) => {
                self.catalogs.look_again(&mut self.registry, name.as_ref());
                let mut touched = self.catalogs.take_touched();
                touched.push(name.as_ref().into());
                self.produce_some(&touched, is_forced);
            }
        }
    }

    /// Leaves one zone of a name that several sources have: the one that was served before; where none was, none is.
    fn refuse_rivals(&self, next: &mut Registry, name: NameRef<'_>) {
        let rivals: Vec<Arc<ZoneRecord>> = next.named(name).filter(|record| record.zone().is_some()).cloned().collect();
        if rivals.len() < 2 {
            return;
        }
        let was_served =
            |record: &Arc<ZoneRecord>| self.registry.served(name).is_some_and(|old| old.source == record.source);
        let kept = rivals.iter().position(was_served);
        for (at, record) in rivals.iter().enumerate().filter(|(at, _)| Some(*at) != kept) {
            let other = kept.unwrap_or(usize::from(at == 0));
            next.put(Arc::new(record.refused_beside(&rivals[other].source)));
        }
    }

    /// Refuses to take away more zones than may go.
    fn bound_loss(
        &self,
        next: &Registry,
        plan: &Plan,
        sources: &ZoneSources,
        is_forced: bool,
    ) -> Result<(), ReloadError> {
        let loss_max = if is_forced { LossMax::ALL } else { sources.loss_max };
        let orphans = self.catalogs.orphans(sources).filter_map(|name| self.registry.member(name.as_ref()));
        // A zone whose source is still there is served on, whatever has become of that.
        let is_lost = |record: &&Arc<ZoneRecord>| {
            let served = next.served(record.listed_name.as_ref());
            record.zone().is_some() && served.is_none_or(|served| Arc::ptr_eq(served, record))
        };
        let mut lost: Vec<&Arc<ZoneRecord>> = plan.removed.iter().chain(orphans).filter(is_lost).collect();
        let served = self.registry.zones().len();
        let may_go = loss_max.of(served);
        if lost.len() <= may_go {
            return Ok(());
        }
        lost.sort_by(|a, b| a.source.cmp(&b.source));
        Err(ReloadError::Loss { lost: lost.into_iter().map(|record| record.shared_name()).collect(), served, may_go })
    }
}

/// What a reload is going to do.
#[derive(Default)]
struct Plan {
    /// To be had from primaries from now on.
    awaited: Vec<SharedName>,
    /// Read, with what is known of them until then.
    read: Vec<Job>,
    /// Taken away.
    removed: Vec<Arc<ZoneRecord>>,
    /// Members of catalogs that are configured by themselves now.
    displaced: Vec<Arc<ZoneRecord>>,
    /// Reported only.
    misnamed: Vec<ZoneReport>,
}

/// Plans a reload of all zones: what is new or not what it was is read, all of it unless `may_carry`.
fn plan_all(registry: &Registry, lister: &Lister, sources: &ZoneSources, may_carry: bool) -> Result<Plan, ReloadError> {
    let listing = lister.list()?;
    let key = |record: &ZoneRecord| Listed { name: record.listed_name.clone(), source: record.source.clone() };
    let own = registry.iter().filter(|record| record.source.is_configured());
    let mut old: HashMap<Listed, &Arc<ZoneRecord>> = own.map(|record| (key(record), record)).collect();
    let has_members = old.len() < registry.len();
    let mut plan = Plan::default();
    for listed in listing.zones {
        let record = old.remove(&listed);
        if has_members && record.is_none() {
            plan.displaced.extend(registry.member(listed.name.as_ref()).cloned());
        }
        if listed.source == Source::Transfer {
            plan.awaited.extend(record.is_none().then_some(listed.name));
            continue;
        }
        let name = listed.name.as_ref();
        let may_carry = may_carry && registry.transfers().settings(name).zonemd == sources.transfers_of(name).zonemd;
        if !record.is_some_and(|record| may_carry && record.stamps.are_unchanged()) {
            plan.read.push((listed, record.cloned()));
        }
    }
    plan.removed = old.into_values().cloned().collect();
    plan.misnamed = listing.misnamed.into_iter().map(ZoneReport::from).collect();
    Ok(plan)
}

/// Plans a reload of one zone, which is read whether it changed or not.
fn plan_one(registry: &Registry, lister: &Lister, name: Name) -> Result<Plan, ReloadError> {
    let member = registry.member(name.as_ref());
    if registry.get(name.as_ref(), &Source::Produced).is_some() {
        return Err(ReloadError::Produced(Box::new(name)));
    }
    let is_own = |record: &&Arc<ZoneRecord>| record.source.is_configured();
    let known: Vec<&Arc<ZoneRecord>> = registry.named(name.as_ref()).filter(is_own).collect();
    let mut listed = lister.find(name.as_ref(), known.iter().filter_map(|record| record.source.path()))?;
    if listed.is_empty() && known.is_empty() {
        // It may have a file whose name is written in another way.
        listed = lister.list()?.zones.into_iter().filter(|listed| listed.name == name).collect();
    }
    let is_listed = |record: &&&Arc<ZoneRecord>| listed.iter().any(|listed| listed.source == record.source);
    let removed: Vec<_> = known.iter().filter(|record| !is_listed(record)).map(|record| Arc::clone(record)).collect();
    if listed.is_empty() && removed.is_empty() && member.is_none() {
        return Err(ReloadError::Unknown(Box::new(name)));
    }
    if listed.is_empty() && member.is_some() || listed.iter().any(|listed| listed.source == Source::Transfer) {
        return Err(ReloadError::Transferred(Box::new(name)));
    }
    let read = listed.into_iter().map(|listed| {
        let record = registry.get(name.as_ref(), &listed.source).cloned();
        (listed, record)
    });
    Ok(Plan { read: read.collect(), removed, displaced: member.cloned().into_iter().collect(), ..Plan::default() })
}

/// What a reload did, in the order of the sources.
fn report(next: &Registry, plan: Plan, scope: Scope) -> Report {
    let read: HashMap<(&SharedName, &Source), Option<&ZoneRecord>> =
        plan.read.iter().map(|(listed, before)| ((&listed.name, &listed.source), before.as_deref())).collect();
    let of = |record: &Arc<ZoneRecord>| {
        let change = match read.get(&(&record.listed_name, &record.source)) {
            Some(before) => Change::of_read(record, *before),
            None => Change::of_unread(record),
        };
        ZoneReport::of(record, change)
    };
    let mut zones: Vec<ZoneReport> = match &scope {
        Scope::All => next.iter().map(of).collect(),
        Scope::Zone(name) => next.named(name.as_ref()).map(of).collect(),
    };
    zones.extend(plan.removed.iter().map(|record| ZoneReport::of(record, Change::Removed)));
    zones.extend(plan.misnamed);
    zones.sort_by(|a, b| a.source.cmp(&b.source));
    Report { zones }
}

impl ZoneRecord {
    /// The record of a source that was read; `before` is what was known of it.
    fn read(listed: &Listed, before: Option<&Self>, outcome: Outcome) -> Self {
        let now = SystemTime::now();
        let (state, loaded_at) =
            match (outcome.zone, before.and_then(|before| Some((before.zone()?, before.loaded_at)))) {
                (Some(zone), _) => (ZoneState::Served(zone), now),
                (None, Some((zone, loaded_at))) => (ZoneState::Kept(Arc::clone(zone)), loaded_at),
                (None, None) => (ZoneState::Refused, now),
            };
        Self {
            listed_name: listed.name.clone(),
            source: listed.source.clone(),
            state,
            loaded_at,
            faults: outcome.faults,
            error_count: outcome.error_count,
            warning_count: outcome.warning_count,
            stamps: outcome.stamps,
            child_faults: Default::default(),
        }
    }

    /// The record of a source that is refused because another has its name.
    fn refused_beside(&self, other: &Source) -> Self {
        let Self { source, faults, error_count, .. } = self;
        let name = self.name();
        let faults = format!("{faults}error: {source}: the zone {name} is in {other} too; take one of them away\n");
        // To be read again at the next reload, whatever its stamp says: the other file may be gone then.
        let (state, stamps) = (ZoneState::Refused, FileStamps::default());
        Self { faults, error_count: error_count + 1, state, stamps, ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
