//! What is kept over restarts of zones that came from primaries, and what is read back at a start.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::event::Event;
use super::health::SecondaryHealth;
use crate::config::ZoneSources;
use crate::fault::{Faults, Severity};
use crate::load::{Arrival, CatalogNews, CatalogRefusal, Loader, MemberChange, ProducedVersion, ThreadPool};
use crate::serve::unix_now;
use crate::store::{LoadPlan, NotStored, Store, StoreError, StoredZone};
use crate::transfer::{Change, Expiry, Times, TransferLimits};
use crate::wire::{Name, SharedName};
use crate::zone::Zone;
use crate::zonebuild::{ZonemdRule, check_digest};

/// How many zones are read back before they are handed on.
const READ_AT_ONCE: usize = 256;

/// A zone that was read back.
pub(crate) struct Kept {
    /// The last version.
    pub(super) zone: Arc<Zone>,
    /// When it was asked for, and expires.
    pub(super) times: Times,
    /// The same as answers see it.
    pub(super) expiry: Arc<Expiry>,
}

/// The store, and what was in it.
#[derive(Default)]
pub(crate) struct KeptZones {
    /// Where zones are kept; nowhere without a state folder.
    pub(super) store: Option<Arc<Store>>,
    /// Those that were there.
    pub(super) zones: HashMap<SharedName, Kept>,
    /// Where it is shown how zones are.
    pub(crate) health: Arc<SecondaryHealth>,
    /// What catalogs say about zones.
    pub(super) members: Vec<MemberChange>,
}

impl KeptZones {
    /// Reads back the secondary zones that are configured, then the members of catalogs, and puts them into what is
    /// served. Those that expired are not served, and those that can't be read are transferred anew.
    pub(crate) fn restore(folder: Option<&Path>, sources: &ZoneSources, loader: &mut Loader) -> Self {
        let mut kept = Self::default();
        if !sources.has_transfers() {
            return kept;
        }
        let store = folder.and_then(open);
        if let Some(store) = &store {
            let zones = sources.secondaries.iter().map(|zone| (zone.name.clone(), zone.transfers.zonemd));
            kept.read(store, &zones.collect::<Vec<_>>(), loader);
        }
        let CatalogNews { changes, told, .. } = loader.take_catalog_news();
        told.iter().for_each(|(_, what)| tracing::warn!("{what}"));
        if let Some(store) = &store {
            let zones = changes.iter().filter_map(|change| match change {
                MemberChange::Set(name, settings) => Some((name.clone(), settings.zonemd)),
                MemberChange::Reset(..) | MemberChange::Gone(_) => None,
            });
            kept.read(store, &zones.collect::<Vec<_>>(), loader);
        }
        Self::begin_producing(store.as_ref(), sources, loader);
        Self { store: store.map(Arc::new), members: changes, ..kept }
    }

    /// Reads back the catalogs that are made here, and lets them follow the zones from now on.
    fn begin_producing(store: Option<&Store>, sources: &ZoneSources, loader: &mut Loader) {
        let names: Vec<Name> = sources.produced.iter().map(|catalog| catalog.name.as_ref().to_name()).collect();
        let plan = LoadPlan { seed: loader.seed(), now: unix_now().as_secs() as u32, executor: &ThreadPool::new() };
        let mut stored = Vec::new();
        for (name, read) in names.iter().zip(store.map(|store| store.load(&names, plan)).unwrap_or_default()) {
            match read {
                Ok(StoredZone { zone, journal, .. }) => stored.push((Arc::new(zone), journal)),
                Err(NotStored::Absent) => {}
                Err(error) => tracing::error!("catalog {name}: {error}; its members get new labels"),
            }
        }
        loader.begin_producing(stored, store.is_some());
        let CatalogNews { told, produced, .. } = loader.take_catalog_news();
        told.iter().for_each(|(_, what)| tracing::error!("{what}"));
        keep_produced(store, produced);
    }

    /// Reads zones back, of whose ZONEMD records that is asked.
    fn read(&mut self, store: &Store, zones: &[(SharedName, ZonemdRule)], loader: &mut Loader) {
        let pool = ThreadPool::new();
        for some in zones.chunks(READ_AT_ONCE) {
            let names: Vec<Name> = some.iter().map(|(name, _)| name.as_ref().to_name()).collect();
            let plan = LoadPlan { seed: loader.seed(), now: unix_now().as_secs() as u32, executor: &pool };
            for ((name, rule), read) in some.iter().zip(store.load(&names, plan)) {
                match read.map(|stored| adopt(name, *rule, stored, loader)) {
                    Ok(Ok(kept)) => drop(self.zones.insert(name.clone(), kept)),
                    Ok(Err(refusal)) => tracing::error!("zone {name}: {refusal}; it is transferred anew"),
                    Err(NotStored::Absent) => {}
                    Err(error) => tracing::error!("zone {name}: {error}; it is transferred anew"),
                }
            }
        }
    }
}

/// Keeps versions of catalogs that are made here, before anybody sees them: labels that were seen must be those that
/// are there after a crash, for another label is an order to forget the zone.
pub(super) fn keep_produced(store: Option<&Store>, produced: Vec<ProducedVersion>) {
    let Some(store) = store else { return };
    for ProducedVersion { zone, change } in produced {
        if let Err(error) = store.put_blocking(Arc::clone(&zone), change) {
            tracing::error!("catalog {}: {error}; after a restart its members may have other labels", zone.apex());
        }
    }
}

/// Opens the store of a folder.
fn open(folder: &Path) -> Option<Store> {
    let journal_bytes_max = usize::try_from(TransferLimits::DEFAULT.journal_octets_max).unwrap_or(usize::MAX);
    let store = Store::open(folder, journal_bytes_max);
    store.inspect_err(|error| tracing::error!(%error, "transferred zones are not kept over restarts")).ok()
}

/// Why a zone that was read back is not served.
#[derive(Debug, thiserror::Error)]
enum NotAdopted {
    /// It is a catalog that may not be taken.
    #[error(transparent)]
    Catalog(#[from] CatalogRefusal),
    /// It is not what is asked of its ZONEMD: that may not have been asked when it came.
    #[error("what is kept of it is not served: {0}")]
    Digest(String),
}

/// Puts a zone that was read back into what is served.
///
/// # Errors
/// [`NotAdopted`].
fn adopt(name: &SharedName, rule: ZonemdRule, stored: StoredZone, loader: &mut Loader) -> Result<Kept, NotAdopted> {
    let StoredZone { zone, journal, times } = stored;
    let mut found = Faults::new(false);
    check_digest(&zone, rule, &mut found);
    if let Some(fault) = found.iter().find(|fault| fault.severity == Severity::Error) {
        return Err(NotAdopted::Digest(fault.kind.to_string()));
    }
    let (zone, expiry) = (Arc::new(zone), Arc::new(Expiry::default()));
    expiry.set(times.expires_at);
    let (changes, faults) = (journal.steps().cloned().collect(), String::new());
    let version =
        Arrival::Version { zone: Arc::clone(&zone), changes, faults, warning_count: 0, expiry: Arc::clone(&expiry) };
    loader.arrive(name.as_ref(), version)?;
    if times.expires_at <= unix_now() {
        loader.arrive(name.as_ref(), Arrival::Expiry)?;
    }
    Ok(Kept { zone, times, expiry })
}

/// What of a zone is not kept yet.
#[derive(Default)]
pub(super) enum Unkept {
    /// Nothing.
    #[default]
    Nothing,
    /// Its times.
    Times,
    /// These steps, and its times.
    Changes(Vec<Arc<Change>>),
    /// All of it.
    Whole,
}

impl Unkept {
    /// Adds what came: a version by these steps, or whole where there is none.
    pub(super) fn add_version(&mut self, changes: &[Arc<Change>]) {
        /// The most steps that wait to be kept; behind that, writing the zone whole is simpler.
        const STEPS_MAX: usize = 1000;
        *self = match std::mem::take(self) {
            Self::Nothing | Self::Times if !changes.is_empty() => Self::Changes(changes.to_vec()),
            Self::Changes(mut before) if !changes.is_empty() && before.len() < STEPS_MAX => {
                before.extend_from_slice(changes);
                Self::Changes(before)
            }
            _ => Self::Whole,
        };
    }

    /// Adds that its times changed.
    pub(super) fn add_times(&mut self) {
        if matches!(self, Self::Nothing) {
            *self = Self::Times;
        }
    }
}

/// Keeps what came of a zone, and says so.
pub(super) async fn keep(
    store: Arc<Store>,
    name: SharedName,
    zone: Arc<Zone>,
    unkept: Unkept,
    times: Times,
    events: mpsc::Sender<Event>,
) {
    let kept = match unkept {
        Unkept::Nothing => Ok(()),
        Unkept::Times => store.put_times(name.as_ref(), times).await,
        Unkept::Whole => store.put_zone(zone, times).await,
        Unkept::Changes(changes) => match store.put_changes(Arc::clone(&zone), changes, times).await {
            Err(StoreError::DoesNotFollow) => store.put_zone(zone, times).await,
            kept => kept,
        },
    };
    if let Err(error) = &kept {
        tracing::error!("zone {name}: {error}; it is served, and would be transferred anew after a restart");
    }
    // The thread ends with the process alone.
    let _is_taken = events.send(Event::Kept(name, kept.is_ok())).await;
}
