//! The tasks that tell parents of changes in CDS, CDNSKEY and CSYNC records (RFC 9859 §4): they wait until the zone's
//! servers should have the change, look up whom the parent wants to be told, and have that one told by NOTIFY.
//!
//! ```text
//!   publish ──changed types──▶ one task a zone and type: delay ─▶ lookups ─▶ Notifications ─▶ State
//! ```
//!
//! Which names are looked up is decided by [`Discovery`]. Whoever publishes never waits here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::notifier::{Notifications, served};
use super::resolver::{look_up, resolvers};
use crate::admin::reply;
use crate::answer::Snapshot;
use crate::serve::unix_now;
use crate::transfer::{Discovery, DiscoveryStep, Endpoint, NotifyOutcome};
use crate::wire::{NameRef, SharedName, Type};
use crate::zone::Zone;

/// What parents are told of, each with the types whose change that is.
const SUBJECTS: [(Type, &[Type]); 2] = [(Type::CDS, &[Type::CDS, Type::CDNSKEY]), (Type::CSYNC, &[Type::CSYNC])];
/// The most zones and types of which something is known; the parents of others are not told.
const ENTRIES_MAX: usize = 1 << 17;
/// How many parents are looked up at once.
const LOOKUPS_AT_ONCE_MAX: usize = 16;
/// How often a lookup is tried that fails.
const TRIES_MAX: u32 = 6;
/// How long it rests after the first failure; twice as long each time.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// A handle on all tasks.
#[derive(Clone)]
pub(super) struct Parents(Arc<Shared>);

/// What the tasks and those who publish share.
struct Shared {
    runtime: Handle,
    notifications: Notifications,
    lookups: Semaphore,
    resolvers: ArcSwap<Arc<[SocketAddr]>>,
    entries: Mutex<Entries>,
}

/// What is known of each zone and type.
#[derive(Default)]
struct Entries {
    by_zone: HashMap<(SharedName, Type), Entry>,
    /// That of the last task.
    last_number: u64,
}

/// What is known of one zone and type.
struct Entry {
    /// Which task it is about: what one says that was replaced meanwhile is passed over.
    number: u64,
    task: AbortHandle,
    state: State,
    /// Since when, in seconds since the epoch.
    since_s: u64,
}

/// What became of it.
#[derive(Clone, Debug)]
enum State {
    /// It is under way.
    Due,
    /// The parent wants to be told by nobody.
    Nobody,
    /// This one knows.
    Told(Endpoint, SocketAddr),
    /// Nobody knows: why.
    Failed(String),
}

/// One task.
struct Task {
    shared: Arc<Shared>,
    number: u64,
    zone: SharedName,
    subject: Type,
}

impl Parents {
    /// Begins without tasks, which will run on the runtime that this is called from.
    pub(super) fn new(notifications: Notifications, resolvers: Arc<[SocketAddr]>) -> Self {
        let (lookups, resolvers) = (Semaphore::new(LOOKUPS_AT_ONCE_MAX), ArcSwap::from_pointee(resolvers));
        let entries = Mutex::default();
        Self(Arc::new(Shared { runtime: Handle::current(), notifications, lookups, resolvers, entries }))
    }

    /// Takes who is asked from now on; nobody stands for those of the system.
    pub(super) fn set_resolvers(&self, resolvers: Arc<[SocketAddr]>) {
        self.0.resolvers.store(Arc::new(resolvers));
    }

    /// Has the parents told of what these zones have in `published` and did not have in `before`.
    pub(super) fn tell<'a>(
        &self,
        published: &Snapshot,
        before: Option<&Snapshot>,
        zones: impl Iterator<Item = NameRef<'a>>,
    ) {
        for name in zones {
            let settings = published.transfers.settings(name);
            let zone = served(published, name).filter(|_| settings.notify_dsync);
            let before = before.filter(|before| before.transfers.settings(name).notify_dsync);
            let before = before.and_then(|before| served(before, name));
            for (subject, types) in SUBJECTS {
                let records = zone.map(|zone| records(zone, types)).unwrap_or_default();
                if records.is_empty() {
                    self.forget(name, subject);
                } else if before.is_none_or(|before| self::records(before, types) != records) {
                    self.begin(name, subject, settings.notify_dsync_delay);
                }
            }
        }
    }

    /// Has the parent of a zone told at once of what there is. Returns of which types.
    pub(super) fn tell_now(&self, zone: &Zone) -> Vec<Type> {
        let subjects = SUBJECTS.into_iter().filter(|(_, types)| !records(zone, types).is_empty());
        let subjects: Vec<Type> = subjects.map(|(subject, _)| subject).collect();
        subjects.iter().for_each(|subject| self.begin(zone.apex(), *subject, Duration::ZERO));
        subjects
    }

    /// What is known of a zone's parent.
    pub(super) fn show(&self, name: NameRef<'_>) -> Vec<reply::Parent> {
        let entries = self.0.lock();
        let entry =
            |(subject, _): (Type, &[Type])| entries.by_zone.get(&(name.into(), subject)).map(|entry| (subject, entry));
        let shown = |(subject, entry): (Type, &Entry)| reply::Parent {
            rtype: subject.to_string(),
            state: entry.state.word(),
            since_s: unix_now().as_secs().saturating_sub(entry.since_s),
            endpoint: entry.state.endpoint(),
            trouble: entry.state.trouble(),
        };
        SUBJECTS.into_iter().filter_map(entry).map(shown).collect()
    }

    /// Begins a task in the place of one that is under way.
    fn begin(&self, name: NameRef<'_>, subject: Type, delay: Duration) {
        let zone = SharedName::from(name);
        let mut entries = self.0.lock();
        let key = (zone.clone(), subject);
        if entries.by_zone.len() >= ENTRIES_MAX && !entries.by_zone.contains_key(&key) {
            return tracing::warn!("zone {zone}: its parent is not told of its {subject}: {ENTRIES_MAX} others are");
        }
        entries.last_number += 1;
        let (number, shared) = (entries.last_number, Arc::clone(&self.0));
        let task = Task { shared, number, zone, subject };
        let task = self.0.runtime.spawn(task.run(delay)).abort_handle();
        let entry = Entry { number, task, state: State::Due, since_s: unix_now().as_secs() };
        if let Some(old) = entries.by_zone.insert(key, entry) {
            old.task.abort();
        }
    }

    /// Forgets what is known of a zone and type.
    fn forget(&self, name: NameRef<'_>, subject: Type) {
        if let Some(entry) = self.0.lock().by_zone.remove(&(name.into(), subject)) {
            entry.task.abort();
        }
    }
}

impl Shared {
    /// What is known, which is whole after every step.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The word for it.
    fn word(&self) -> reply::ParentState {
        match self {
            Self::Due => reply::ParentState::Due,
            Self::Nobody => reply::ParentState::Nobody,
            Self::Told(..) => reply::ParentState::Told,
            Self::Failed(_) => reply::ParentState::Failed,
        }
    }

    /// Who knows.
    fn endpoint(&self) -> Option<String> {
        match self {
            Self::Told(endpoint, address) => Some(format!("{endpoint} ({address})")),
            Self::Due | Self::Nobody | Self::Failed(_) => None,
        }
    }

    /// Why nobody knows.
    fn trouble(&self) -> Option<String> {
        match self {
            Self::Failed(trouble) => Some(trouble.clone()),
            Self::Due | Self::Nobody | Self::Told(..) => None,
        }
    }
}

impl Task {
    /// Does all of it.
    async fn run(self, delay: Duration) {
        sleep(delay).await;
        let (zone, subject) = (&self.zone, self.subject);
        let state = match self.find().await {
            Ok(None) => State::Nobody,
            Ok(Some((endpoint, addresses))) => self.notify(endpoint, &addresses).await,
            Err(trouble) => State::Failed(trouble),
        };
        match &state {
            State::Told(endpoint, server) => {
                tracing::info!(%server, "zone {zone}: its parent ({endpoint}) knows that its {subject} has changed");
            }
            State::Failed(trouble) => tracing::warn!(
                "zone {zone}: its parent does not learn by NOTIFY that its {subject} has changed: {trouble}; it will \
                 when it next looks"
            ),
            State::Due | State::Nobody => tracing::debug!("zone {zone}: its parent has no DSYNC for {subject}"),
        }
        self.note(state);
    }

    /// Finds who is to be told, and tries again where that fails.
    async fn find(&self) -> Result<Option<(Endpoint, Vec<SocketAddr>)>, String> {
        let mut tries = 1;
        loop {
            let found = self.try_to_find().await;
            match found {
                Err(trouble) if tries < TRIES_MAX => {
                    self.note(State::Failed(format!("{trouble}; it is tried again")));
                    sleep(TRY_AGAIN_AFTER * (1 << (tries - 1))).await;
                    tries += 1;
                }
                found => return found,
            }
        }
    }

    /// Finds who is to be told.
    async fn try_to_find(&self) -> Result<Option<(Endpoint, Vec<SocketAddr>)>, String> {
        let _turn = self.shared.lookups.acquire().await;
        let resolvers = resolvers(&self.shared.resolvers.load());
        let begun = Discovery::begin(self.zone.as_ref(), self.subject);
        let (mut discovery, mut step) = begun.map_err(|fault| fault.to_string())?;
        loop {
            match step {
                DiscoveryStep::LookUp(name, rtype) => {
                    let found = look_up(&resolvers, &name, rtype).await?;
                    step = discovery.take(found).map_err(|fault| fault.to_string())?;
                }
                DiscoveryStep::Found(endpoint, addresses) => return Ok(Some((endpoint, addresses))),
                DiscoveryStep::Nobody => return Ok(None),
            }
        }
    }

    /// Tells one address after the other until one knows.
    async fn notify(&self, endpoint: Endpoint, addresses: &[SocketAddr]) -> State {
        let mut troubles = Vec::new();
        for address in addresses {
            let trouble = match self.shared.notifications.tell_parent(&self.zone, self.subject, *address).await {
                Some(NotifyOutcome::Acknowledged) => return State::Told(endpoint, *address),
                Some(NotifyOutcome::Refused(fault) | NotifyOutcome::GivenUp(Some(fault))) => fault.to_string(),
                Some(NotifyOutcome::GivenUp(None)) => "there is no reply".to_owned(),
                None => "too many notifications wait".to_owned(),
            };
            troubles.push(format!("{address}: {trouble}"));
        }
        State::Failed(format!("{endpoint}: {}", troubles.join("; ")))
    }

    /// Takes down what became of it.
    fn note(&self, state: State) {
        let mut entries = self.shared.lock();
        let entry = entries.by_zone.get_mut(&(self.zone.clone(), self.subject));
        if let Some(entry) = entry.filter(|entry| entry.number == self.number) {
            (entry.state, entry.since_s) = (state, unix_now().as_secs());
        }
    }
}

/// The records of these types at the apex of a zone, TTLs left out.
fn records(zone: &Zone, types: &[Type]) -> Vec<(Type, Box<[u8]>)> {
    let mut found = Vec::new();
    zone.apex_node().visit_records(|rtype, _, rdata| {
        if types.contains(&rtype) {
            found.push((rtype, rdata.into()));
        }
    });
    found.sort_unstable();
    found
}
