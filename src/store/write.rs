//! The thread that writes: many requests in one transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::{Database, ReadableTable};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

use super::database::{Tables, Trouble, contained};
use super::file::{State, StoreFile};
use super::format::{self, Head, Kind, Version};
use super::values::StoreError;
use crate::transfer::{Change, Records, Times};
use crate::wire::{Name, NameRef};
use crate::zone::{NodeCursor, Zone};
use crate::zonebuild::Record;

/// Requests in one transaction, at most.
const BATCH_MAX: usize = 1024;
/// Octets in one transaction, about, unless one request alone has more.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// About what a record takes.
const RECORD_BYTES: usize = 48;
/// From so many octets on a piece of an image is full: what is put on top stays below the power of two in which the
/// database gives out room.
const CHUNK_BYTES: usize = 240 << 10;
/// Steps that follow an image may have a part of its octets: each costs more than its share of an image to read back.
const IMAGE_TO_STEPS: u64 = 8;
/// So many octets they may have in any case.
const STEPS_BYTES_MIN: u64 = 64 << 10;
/// How long times may wait for a transaction that has to be made anyway.
const TIMES_DELAY: Duration = Duration::from_secs(30);
/// So many zones' times do not wait.
const TIMES_MAX: usize = 16 << 10;

/// What is asked of the thread, and who waits for the outcome.
pub(super) struct Request {
    pub(super) task: Task,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
}

/// What is asked of the thread.
pub(super) enum Task {
    /// Stores a zone whole.
    Zone(Arc<Zone>, Times),
    /// Stores the steps to a zone's version.
    Changes(Arc<Zone>, Vec<Arc<Change>>, Times),
    /// Stores times, at leisure.
    Times(Name, Times),
    /// Forgets a zone.
    Remove(Name),
}

/// What the thread holds.
pub(super) struct Writer {
    file: Arc<StoreFile>,
    /// Times that are yet to be written, by key.
    times: HashMap<Vec<u8>, Times>,
    /// When they have to be, where there are any.
    times_due: Option<Instant>,
}

impl Writer {
    /// Starts with nothing to write.
    pub(super) fn new(file: Arc<StoreFile>) -> Self {
        Self { file, times: HashMap::new(), times_due: None }
    }

    /// Carries requests out until nobody can make any more.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut held = None;
        loop {
            let first = match (held.take(), self.times_due) {
                (Some(held), _) => Some(held),
                (None, None) => queue.recv().await,
                (None, Some(due)) => match timeout_at(due.into(), queue.recv()).await {
                    Ok(first) => first,
                    Err(_) => {
                        self.commit(Vec::new());
                        continue;
                    }
                },
            };
            let Some(first) = first else { break };
            let mut bytes = first.task.bytes();
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX
                && let Ok(request) = queue.try_recv()
            {
                bytes += request.task.bytes();
                if bytes > BATCH_BYTES_MAX {
                    held = Some(request);
                    break;
                }
                batch.push(request);
            }
            self.commit(batch);
        }
        self.commit(Vec::new());
    }

    /// Carries requests out in one transaction, with the times that wait, and tells each how it went.
    fn commit(&mut self, batch: Vec<Request>) {
        for Request { task, .. } in &batch {
            match task {
                Task::Times(name, times) => {
                    self.times.insert(format::key_of(name.as_ref()), *times);
                    self.times_due.get_or_insert_with(|| Instant::now() + TIMES_DELAY);
                }
                // What was noted before is older than what comes with it.
                task => drop(self.times.remove(&format::key_of(task.name()))),
            }
        }
        let are_full = self.times.len() >= TIMES_MAX;
        let are_due = are_full || (batch.is_empty() && !self.times.is_empty());
        let is_waited_for = batch.iter().any(|request| !matches!(request.task, Task::Times(..)));
        let outcome = (are_due || is_waited_for).then(|| self.write(&batch));
        match &outcome {
            None => {}
            Some(Ok(_)) => (self.times, self.times_due) = (HashMap::new(), None),
            Some(Err(why)) => {
                tracing::warn!("{why}");
                self.times_due = Some(Instant::now() + TIMES_DELAY);
                if are_full {
                    self.times.clear();
                }
            }
        }
        for (index, Request { task, done }) in batch.into_iter().enumerate() {
            // Who asked may have gone.
            let _gone = done.send(match (&outcome, task) {
                (Some(Ok(outcomes)), _) => outcomes[index].clone(),
                (None, _) | (_, Task::Times(..)) => Ok(()),
                (Some(Err(why)), _) => Err(why.clone()),
            });
        }
    }

    /// Writes requests and times, one outcome for each request.
    fn write(&mut self, batch: &[Request]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.file.retry(Instant::now());
        let written = {
            let state = self.file.state();
            let opened = match &*state {
                State::Open(opened) => opened,
                State::Closed { why, .. } => return Err(StoreError::Refused(Arc::clone(why))),
            };
            if let Some(why) = &opened.read_only {
                return Err(StoreError::Refused(why.as_str().into()));
            }
            contained(|| self.transact(&opened.database, batch))
        };
        written.map_err(|trouble| StoreError::Refused(self.file.give_up(trouble)))
    }

    /// The transaction. A request that is refused has changed nothing in it.
    fn transact(&self, database: &Database, batch: &[Request]) -> Result<Vec<Result<(), StoreError>>, Trouble> {
        let transaction = database.begin_write()?;
        let mut tables = Tables::open(&transaction)?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for Request { task, .. } in batch {
            let key = format::key_of(task.name());
            let is_done = match task {
                Task::Zone(zone, times) => tables.put_zone(&key, zone, *times).map(|()| true),
                Task::Changes(zone, changes, times) => {
                    tables.put_changes(&key, zone, changes, *times, self.file.journal_bytes_max as u64)
                }
                Task::Times(..) => Ok(true),
                Task::Remove(_) => tables.remove(&key).map(|()| true),
            }?;
            outcomes.push(is_done.then_some(()).ok_or(StoreError::DoesNotFollow));
        }
        for (key, times) in &self.times {
            if let Some(head) = tables.head(key)? {
                tables.put_head(key, Head { times: *times, ..head })?;
            }
        }
        drop(tables);
        transaction.commit()?;
        Ok(outcomes)
    }
}

impl Task {
    /// The zone.
    fn name(&self) -> NameRef<'_> {
        match self {
            Self::Zone(zone, _) | Self::Changes(zone, ..) => zone.apex(),
            Self::Times(name, _) | Self::Remove(name) => name.as_ref(),
        }
    }

    /// Octets that it may bring into a transaction, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Zone(zone, _) => zone.record_count() * RECORD_BYTES,
            Self::Changes(_, changes, _) => changes.iter().map(|change| change.bytes()).sum(),
            Self::Times(..) | Self::Remove(_) => 0,
        }
    }
}

impl Tables<'_> {
    /// What there is of a zone. What is damaged is not there.
    fn head(&self, key: &[u8]) -> Result<Option<Head>, Trouble> {
        Ok(self.heads.get(key)?.and_then(|value| Head::from_value(key, value.value())))
    }

    /// Notes what there is of a zone.
    fn put_head(&mut self, key: &[u8], head: Head) -> Result<(), Trouble> {
        self.heads.insert(key, &*head.to_value(key))?;
        Ok(())
    }

    /// A number that no image and no steps have. Those of steps are never above their zone's image.
    fn next_id(&self) -> Result<u64, Trouble> {
        Ok(self.images.last()?.map_or(0, |(key, _)| key.value().0 + 1))
    }

    /// Stores a zone instead of what there is of it.
    fn put_zone(&mut self, key: &[u8], zone: &Zone, times: Times) -> Result<(), Trouble> {
        self.remove(key)?;
        let current = Version::of(zone);
        let head = Head {
            image_id: 0,
            changes_id: self.next_id()?,
            chunk_count: 0,
            image_bytes: 0,
            image: current,
            current,
            first: 0,
            image_at: 0,
            next: 0,
            changes_bytes: 0,
            since_bytes: 0,
            times,
        };
        let head = self.put_image(key, head, zone)?;
        self.put_head(key, head)
    }

    /// Stores the steps to a zone; `false` where they do not follow what there is.
    fn put_changes(
        &mut self,
        key: &[u8],
        zone: &Zone,
        changes: &[Arc<Change>],
        times: Times,
        journal_bytes_max: u64,
    ) -> Result<bool, Trouble> {
        let Some(head) = self.head(key)? else { return Ok(false) };
        let mut serial = head.current.serial;
        let follows = changes.iter().all(|change| {
            let is_next = change.from.serial() == serial;
            serial = change.to.serial();
            is_next
        });
        if !follows || serial != zone.serial() {
            return Ok(false);
        }
        let mut head = Head { current: Version::of(zone), times, ..head };
        if !changes.is_empty() {
            let value = format::steps_to_value(Kind::Steps(head.changes_id, head.next), key, changes);
            self.changes.insert((head.changes_id, head.next), &*value)?;
            head.next += 1;
            head.changes_bytes += value.len() as u64;
            head.since_bytes += value.len() as u64;
        }
        if head.since_bytes > (head.image_bytes / IMAGE_TO_STEPS).max(STEPS_BYTES_MIN) {
            self.remove_image(&head)?;
            head = self.put_image(key, head, zone)?;
        }
        while head.changes_bytes > journal_bytes_max && head.first < head.image_at {
            let bytes = self.changes.remove((head.changes_id, head.first))?.map_or(0, |value| value.value().len());
            head.first += 1;
            head.changes_bytes = head.changes_bytes.saturating_sub(bytes as u64);
        }
        self.put_head(key, head)?;
        Ok(true)
    }

    /// Stores all records of a zone, and returns the head that says so.
    fn put_image(&mut self, key: &[u8], head: Head, zone: &Zone) -> Result<Head, Trouble> {
        let image_id = self.next_id()?;
        let (mut chunk_count, mut image_bytes, mut records) = (0, 0, Records::default());
        let mut put = |records: &Records| {
            let value = format::seal(Kind::Chunk(image_id, chunk_count), key, records.octets().to_vec());
            self.images.insert((image_id, chunk_count), &*value)?;
            chunk_count += 1;
            image_bytes += records.octets().len() as u64;
            Ok::<_, Trouble>(())
        };
        for (node, _) in zone.nodes_from(NodeCursor::default()) {
            node.visit_records(|rtype, ttl, rdata| {
                records.push(&Record { owner: node.name(), rtype, ttl, rdata, position: None });
            });
            if records.octets().len() >= CHUNK_BYTES {
                put(&records)?;
                records = Records::default();
            }
        }
        put(&records)?;
        let image = Version::of(zone);
        Ok(Head { image_id, chunk_count, image_bytes, image, image_at: head.next, since_bytes: 0, ..head })
    }

    /// Forgets a zone.
    fn remove(&mut self, key: &[u8]) -> Result<(), Trouble> {
        if let Some(head) = self.head(key)? {
            self.remove_image(&head)?;
            (head.first..head.next).try_for_each(|number| self.changes.remove((head.changes_id, number)).map(drop))?;
        }
        self.heads.remove(key)?;
        Ok(())
    }

    /// Forgets an image.
    fn remove_image(&mut self, head: &Head) -> Result<(), Trouble> {
        (0..head.chunk_count).try_for_each(|index| self.images.remove((head.image_id, index)).map(drop))?;
        Ok(())
    }
}
