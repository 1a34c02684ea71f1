//! What is kept over restarts of zones that came from primaries, and what is read back at a start.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::event::Event;
use super::health::SecondaryHealth;
use crate::config::ZoneSources;
use crate::load::{Arrival, Loader, ThreadPool};
use crate::serve::unix_now;
use crate::store::{LoadPlan, NotStored, Store, StoreError, StoredZone};
use crate::transfer::{Change, Expiry, Times, TransferLimits};
use crate::wire::{Name, SharedName};
use crate::zone::Zone;

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
}

impl KeptZones {
    /// Reads back the secondary zones that are configured, and puts them into what is served. Those that expired are
    /// not served, and those that can't be read are transferred anew.
    pub(crate) fn restore(folder: Option<&Path>, sources: &ZoneSources, loader: &mut Loader) -> Self {
        let Some(folder) = folder.filter(|_| !sources.secondaries.is_empty()) else { return Self::default() };
        let journal_bytes_max = usize::try_from(TransferLimits::DEFAULT.journal_octets_max).unwrap_or(usize::MAX);
        let store = match Store::open(folder, journal_bytes_max) {
            Ok(store) => store,
            Err(error) => {
                tracing::error!(%error, "transferred zones are not kept over restarts");
                return Self::default();
            }
        };
        let mut zones = HashMap::new();
        let pool = ThreadPool::new();
        for secondaries in sources.secondaries.chunks(READ_AT_ONCE) {
            let names: Vec<Name> = secondaries.iter().map(|secondary| secondary.name.as_ref().to_name()).collect();
            let plan = LoadPlan { seed: loader.seed(), now: unix_now().as_secs() as u32, executor: &pool };
            for (secondary, read) in secondaries.iter().zip(store.load(&names, plan)) {
                match read {
                    Ok(stored) => drop(zones.insert(secondary.name.clone(), adopt(&secondary.name, stored, loader))),
                    Err(NotStored::Absent) => {}
                    Err(error) => tracing::error!("zone {}: {error}; it is transferred anew", secondary.name),
                }
            }
        }
        Self { store: Some(Arc::new(store)), zones, ..Self::default() }
    }
}

/// Puts a zone that was read back into what is served.
fn adopt(name: &SharedName, stored: StoredZone, loader: &mut Loader) -> Kept {
    let StoredZone { zone, journal, times } = stored;
    let (zone, expiry) = (Arc::new(zone), Arc::new(Expiry::default()));
    expiry.set(times.expires_at);
    let (changes, faults) = (journal.steps().cloned().collect(), String::new());
    let version =
        Arrival::Version { zone: Arc::clone(&zone), changes, faults, warning_count: 0, expiry: Arc::clone(&expiry) };
    loader.arrive(name.as_ref(), version);
    if times.expires_at <= unix_now() {
        loader.arrive(name.as_ref(), Arrival::Expiry);
    }
    Kept { zone, times, expiry }
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
