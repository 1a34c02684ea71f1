//! Configuration → list of files → zones, at the start and at every reload.
//!
//! Owns what is loaded now and what each zone was read from. A reload is all or nothing for each zone: a file with
//! errors leaves the zone as it was. Files that did not change are not read again. Knows nothing of who serves.

mod crew;
pub mod files;
mod kin;
pub mod list;
pub mod read;
mod room;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::{LossMax, ZoneSources};
use crate::fault::report::Style;
use crate::wire::{Name, NameRef, SharedName, Shown};
use crate::zone::hash::Seed;
use crate::zone::{Zone, ZoneSet};
use crate::zonefile::Limits;
use files::Witnesses;
use list::{ListError, Listed, Listing};
use read::{Job, Means, Outcome};

/// All that is loaded.
#[derive(Debug)]
pub struct Loader {
    seed: Seed,
    style: Style,
    /// Whether warnings are taken for errors.
    is_strict: bool,
    entries: Vec<Entry>,
    /// What files might include and take when they were read last: where that changes, all are read again.
    grounds: (Vec<PathBuf>, Limits),
}

/// One zone file and what is served of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The file and the name that it was given.
    pub listed: Arc<Listed>,
    /// What is served; `None` where the file never was good.
    pub zone: Option<Arc<Zone>>,
    /// When what is served was read.
    pub loaded_at: SystemTime,
    /// Whether the last reading failed.
    pub is_broken: bool,
    /// Faults of the last reading as people read them, warnings too.
    pub faults: String,
    /// Errors of the last reading.
    pub error_count: usize,
    /// Warnings of the last reading.
    pub warning_count: usize,
    witnesses: Witnesses,
    /// What of the faults is between this zone and those below it.
    kin: kin::Told,
}

/// What a reload did to one zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It is served for the first time.
    Added,
    /// It was read again.
    Changed,
    /// Its files are what they were.
    Unchanged,
    /// Its file is gone, and so is the zone.
    Removed,
    /// Its file has errors; the old zone is served on.
    Kept,
    /// Its file has errors, and there is no old zone.
    Refused,
}

/// One zone in a [`Report`].
#[derive(Clone, Debug)]
pub struct ZoneReport {
    /// The zone's name.
    pub name: SharedName,
    /// Its file.
    pub path: PathBuf,
    /// What happened.
    pub change: Change,
    /// The serial that is served now, or was last where the zone was removed.
    pub serial: Option<u32>,
    /// Faults as people read them.
    pub faults: String,
}

/// What a reload did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every zone that was looked at.
    pub zones: Vec<ZoneReport>,
}

impl Report {
    /// How many zones met that fate.
    pub fn count(&self, change: Change) -> usize {
        self.zones.iter().filter(|zone| zone.change == change).count()
    }

    /// The zones whose files have errors.
    pub fn broken(&self) -> impl Iterator<Item = &ZoneReport> {
        self.zones.iter().filter(|zone| matches!(zone.change, Change::Kept | Change::Refused))
    }

    /// Whether what is answered may differ from before. Of a zone that can't be served, that is known as well.
    pub fn is_change(&self) -> bool {
        let is_other = |zone: &ZoneReport| !matches!(zone.change, Change::Unchanged | Change::Kept);
        self.zones.iter().any(is_other)
    }
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
    /// Too many zones would be gone. That looks like files that were lost, and not like an order.
    #[error("{} of {served} zones would be gone ({}), and `server.reload-loss-max` lets one reload take away {may_go}\nlook whether a folder or files are lost; if they are to go: fated reload --force", lost.len(), some_of(lost))]
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
    /// The most names that are told.
    const NAMES_MAX: usize = 5;
    let mut told: Vec<String> = names.iter().take(NAMES_MAX).map(ToString::to_string).collect();
    if names.len() > NAMES_MAX {
        told.push(format!("and {} more", names.len() - NAMES_MAX));
    }
    told.join(", ")
}

impl Loader {
    /// Starts with nothing. `seed` is shared by all zones; `style` is how faults are shown.
    pub fn new(seed: Seed, style: Style) -> Self {
        Self { seed, style, is_strict: false, entries: Vec::new(), grounds: Default::default() }
    }

    /// Takes warnings for errors from now on.
    pub fn strictly(self) -> Self {
        Self { is_strict: true, ..self }
    }

    /// The zone files with what is served of them.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All zones that are served, and the names of those that should be and can't.
    pub fn zone_set(&self) -> ZoneSet {
        let mut set = ZoneSet::with_seed(self.seed);
        // A name that a zone has stands for that zone.
        let broken = self.entries.iter().filter(|entry| entry.zone.is_none());
        broken.for_each(|entry| set.put_broken(entry.listed.name.clone()));
        self.entries.iter().filter_map(|entry| entry.zone.clone()).for_each(|zone| set.put(zone));
        set
    }

    /// Looks at the files and reads what must be read.
    ///
    /// # Errors
    /// [`ReloadError`]; then nothing has changed. Faults in zone files are no errors here, but part of the report.
    pub fn reload(&mut self, sources: &ZoneSources, scope: Scope) -> Result<Report, ReloadError> {
        let listing = list::list(sources)?;
        if (&sources.include_dirs, sources.limits) != (&self.grounds.0, self.grounds.1) {
            self.grounds = (sources.include_dirs.clone(), sources.limits);
            self.entries.iter_mut().for_each(|entry| entry.witnesses = Witnesses::default());
        }
        let mut plan = self.plan(listing, scope)?;
        let outcomes = read::read_all(
            &plan.read,
            Means { seed: self.seed, style: self.style, is_strict: self.is_strict, sources },
        );
        let mut drafts: Vec<Draft> = plan.carried.drain(..).map(Draft::carried).collect();
        drafts.extend(
            plan.read.into_iter().zip(outcomes).map(|((listed, old), outcome)| Draft::read(listed, old, outcome)),
        );
        drafts.iter_mut().for_each(|draft| kin::take_back(&mut draft.entry));
        refuse_duplicates(&mut drafts);
        self.bound_loss(&drafts, sources.loss_max)?;
        let zones = ZoneSet::new(drafts.iter().filter_map(|draft| draft.entry.zone.clone()).collect());
        kin::tell(drafts.iter_mut().map(|draft| &mut draft.entry), &zones, self.style, self.is_strict);
        drafts.sort_by(|a, b| a.entry.listed.path.cmp(&b.entry.listed.path));
        let mut zones: Vec<ZoneReport> = drafts.iter().filter(|draft| draft.is_in(scope)).map(Draft::report).collect();
        if !plan.removed.is_empty() || !plan.misnamed.is_empty() {
            zones.extend(plan.removed.iter().map(|entry| report_of(entry, Change::Removed)));
            zones.extend(plan.misnamed);
            zones.sort_by(|a, b| a.path.cmp(&b.path));
        }
        self.entries = drafts.into_iter().map(|draft| draft.entry).collect();
        Ok(Report { zones })
    }

    /// Refuses to take away more zones than may go.
    fn bound_loss(&self, drafts: &[Draft], loss_max: LossMax) -> Result<(), ReloadError> {
        let apexes = |entry: &Entry| entry.zone.as_ref().map(|zone| zone.apex_hash());
        let next: HashSet<_> = drafts.iter().filter_map(|draft| apexes(&draft.entry)).collect();
        let served = self.entries.iter().filter(|entry| entry.zone.is_some());
        let lost = served.clone().filter(|entry| apexes(entry).is_some_and(|apex| !next.contains(&apex)));
        let (served, lost) = (served.count(), lost.map(Entry::shared_name).collect::<Vec<_>>());
        let may_go = loss_max.of(served);
        if lost.len() > may_go { Err(ReloadError::Loss { lost, served, may_go }) } else { Ok(()) }
    }

    /// Decides for each file whether it is read, without touching what is served.
    fn plan(&self, listing: Listing, scope: Scope) -> Result<Plan, ReloadError> {
        let mut old: HashMap<&Listed, &Entry> = self.entries.iter().map(|entry| (&*entry.listed, entry)).collect();
        let mut plan = Plan::default();
        for listed in listing.files {
            let entry = old.remove(&*listed);
            let is_meant = match scope {
                Scope::All => true,
                Scope::Zone(name) => listed.name == name || entry.is_some_and(|entry| entry.is_named(name)),
            };
            let is_fresh = scope == Scope::All && entry.is_some_and(|entry| entry.witnesses.are_unchanged());
            match (is_meant, entry) {
                (true, Some(entry)) if is_fresh => plan.carried.push(entry.clone()),
                (true, entry) => plan.read.push((listed, entry.cloned())),
                (false, Some(entry)) => plan.carried.push(entry.clone()),
                // A file that came new is not meant when one other zone is.
                (false, None) => {}
            }
        }
        for entry in old.into_values() {
            let is_meant = match scope {
                Scope::All => true,
                Scope::Zone(name) => entry.is_named(name),
            };
            if is_meant { &mut plan.removed } else { &mut plan.carried }.push(entry.clone());
        }
        if scope == Scope::All {
            plan.misnamed = listing.misnamed.iter().map(misnamed_report).collect();
        }
        match scope {
            Scope::Zone(name) if plan.read.is_empty() && plan.removed.is_empty() => {
                Err(ReloadError::Unknown(Box::new(name)))
            }
            _ => Ok(plan),
        }
    }
}

/// What a reload is going to do.
#[derive(Default)]
struct Plan {
    /// Left as they are.
    carried: Vec<Entry>,
    /// Read, with what is served until then.
    read: Vec<Job>,
    /// Taken away.
    removed: Vec<Entry>,
    /// Told of only.
    misnamed: Vec<ZoneReport>,
}

impl Entry {
    /// The zone's name as it is served, or as the file has it.
    pub fn name(&self) -> NameRef<'_> {
        self.zone.as_ref().map_or(self.listed.name.as_ref(), |zone| zone.apex())
    }

    /// The same to keep: most often that of the file.
    fn shared_name(&self) -> SharedName {
        let listed = &self.listed.name;
        if self.name().as_bytes() == listed.as_ref().as_bytes() { listed.clone() } else { self.name().into() }
    }

    /// Whether the zone, or its file, has that name.
    fn is_named(&self, name: Name) -> bool {
        self.listed.name == name || self.name() == name.as_ref()
    }
}

/// One entry of the state to come.
struct Draft {
    entry: Entry,
    /// What was served before.
    old: Option<Arc<Zone>>,
    change: Change,
}

impl Draft {
    /// An entry that stays.
    fn carried(entry: Entry) -> Self {
        let change = match (entry.is_broken, &entry.zone) {
            (false, _) => Change::Unchanged,
            (true, Some(_)) => Change::Kept,
            (true, None) => Change::Refused,
        };
        Self { old: entry.zone.clone(), entry, change }
    }

    /// An entry that was read.
    fn read(listed: Arc<Listed>, before: Option<Entry>, outcome: Outcome) -> Self {
        let (old, old_loaded_at) = match before {
            Some(entry) => (entry.zone, entry.loaded_at),
            None => (None, SystemTime::UNIX_EPOCH),
        };
        let new = outcome.zone;
        let is_broken = new.is_none();
        let change = match (&new, &old) {
            (Some(_), None) => Change::Added,
            (Some(_), Some(_)) => Change::Changed,
            (None, Some(_)) => Change::Kept,
            (None, None) => Change::Refused,
        };
        let entry = Entry {
            listed,
            loaded_at: if is_broken { old_loaded_at } else { SystemTime::now() },
            zone: new.or_else(|| old.clone()),
            is_broken,
            faults: outcome.faults,
            error_count: outcome.error_count,
            warning_count: outcome.warning_count,
            witnesses: outcome.witnesses,
            kin: kin::Told::default(),
        };
        Self { entry, old, change }
    }

    /// Whether a reload of that scope was about it.
    fn is_in(&self, scope: Scope) -> bool {
        match scope {
            Scope::All => true,
            Scope::Zone(name) => self.entry.is_named(name),
        }
    }

    fn report(&self) -> ZoneReport {
        report_of(&self.entry, self.change)
    }

    /// Whether the zone is served under the name that it had before.
    fn keeps_name(&self) -> bool {
        match (&self.entry.zone, &self.old) {
            (Some(new), Some(old)) => new.apex() == old.apex(),
            _ => false,
        }
    }

    /// Takes the zone back: `other` has its name. What was served before stays if its name is free.
    fn refuse(&mut self, other: &str, taken: &HashSet<Name>) {
        let name = self.entry.name().to_name();
        let path = Shown::path(&self.entry.listed.path).to_string();
        self.entry
            .faults
            .push_str(&format!("error: {path}: the zone {name} is in {other} too; take one of them away\n"));
        self.entry.error_count += 1;
        self.entry.is_broken = true;
        // To be read again at the next reload, whatever its stamp says: the other file may be gone then.
        self.entry.witnesses = Witnesses::default();
        self.entry.zone = self.old.take().filter(|old| !taken.contains(&old.apex().to_name()));
        self.change = if self.entry.zone.is_some() { Change::Kept } else { Change::Refused };
    }
}

/// Leaves one zone of each name: the one that had it before; where none had, none gets it.
fn refuse_duplicates(drafts: &mut [Draft]) {
    if are_distinct(drafts) {
        return;
    }
    let mut by_name: HashMap<Name, Vec<usize>> = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        if draft.entry.zone.is_some() {
            by_name.entry(draft.entry.name().to_name()).or_default().push(index);
        }
    }
    let taken: HashSet<Name> = by_name.keys().copied().collect();
    for indices in by_name.into_values().filter(|indices| indices.len() > 1) {
        let paths: Vec<String> =
            indices.iter().map(|index| Shown::path(&drafts[*index].entry.listed.path).to_string()).collect();
        let keeper = indices.iter().position(|index| drafts[*index].keeps_name());
        for (at, index) in indices.iter().enumerate().filter(|(at, _)| Some(*at) != keeper) {
            let other = keeper.unwrap_or(usize::from(at == 0));
            drafts[*index].refuse(&paths[other], &taken);
        }
    }
}

/// Whether no two zones have names of one hash, as it is nearly always: a quick look that copies no names.
fn are_distinct(drafts: &[Draft]) -> bool {
    let mut hashes: Vec<_> = drafts.iter().filter_map(|draft| Some(draft.entry.zone.as_ref()?.apex_hash())).collect();
    hashes.sort_unstable();
    hashes.windows(2).all(|pair| pair[0] != pair[1])
}

/// The report of one entry.
fn report_of(entry: &Entry, change: Change) -> ZoneReport {
    ZoneReport {
        name: entry.shared_name(),
        path: entry.listed.path.clone(),
        change,
        serial: entry.zone.as_ref().map(|zone| zone.serial()),
        faults: entry.faults.clone(),
    }
}

/// The report of a file whose name is no domain name.
fn misnamed_report(file: &list::Misnamed) -> ZoneReport {
    ZoneReport {
        name: NameRef::ROOT.into(),
        path: file.path.clone(),
        change: Change::Refused,
        serial: None,
        faults: format!(
            "error: {}: the file's name is no zone name: {}; rename it to NAME.zone, or take the \".zone\" off\n",
            Shown::path(&file.path),
            file.cause
        ),
    }
}

#[cfg(test)]
mod tests;
