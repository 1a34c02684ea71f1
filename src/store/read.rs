//! Zones read back: image, steps, journal and times, each checked.

use std::ops::Range;
use std::time::Instant;

use redb::{Database, ReadOnlyTable, ReadableDatabase};

use super::database::{Trouble, contained};
use super::file::{State, StoreFile};
use super::format::{self, CHANGES, HEADS, Head, IMAGES, Kind, Version};
use super::values::{LoadPlan, NotStored, StoredZone};
use crate::fault::Faults;
use crate::transfer::{Change, Journal, Records, apply};
use crate::wire::{Name, NameRef};
use crate::zone::Zone;
use crate::zonebuild::executor::map;
use crate::zonebuild::{Builder, Plan, Sink};

/// Reads zones, one outcome for each name.
pub(super) fn load(file: &StoreFile, names: &[Name], plan: LoadPlan<'_>) -> Vec<Result<StoredZone, NotStored>> {
    file.retry(Instant::now());
    let state = file.state();
    let database = match &*state {
        State::Open(opened) => &opened.database,
        State::Closed { why, .. } => return names.iter().map(|_| Err(NotStored::Refused(why.to_string()))).collect(),
    };
    map(plan.executor, names.iter().collect(), |_, name| {
        let outcome = contained(|| Reader::new(database, name.as_ref(), plan)?.read(file.journal_bytes_max));
        match outcome {
            Ok(Some(stored)) => Ok(stored),
            Ok(None) => Err(NotStored::Absent),
            Err(Trouble::Damaged(why)) => Err(NotStored::Damaged(why)),
            Err(Trouble::Refused(why)) => Err(NotStored::Refused(why)),
        }
    })
}

/// Reads one zone.
struct Reader<'a> {
    name: NameRef<'a>,
    key: Vec<u8>,
    plan: LoadPlan<'a>,
    heads: ReadOnlyTable<&'static [u8], &'static [u8]>,
    images: ReadOnlyTable<(u64, u64), &'static [u8]>,
    changes: ReadOnlyTable<(u64, u64), &'static [u8]>,
}

/// Damage, in words.
fn damaged(what: &str) -> Trouble {
    Trouble::Damaged(what.to_owned())
}

impl<'a> Reader<'a> {
    /// Opens the tables as they are now.
    fn new(database: &Database, name: NameRef<'a>, plan: LoadPlan<'a>) -> Result<Self, Trouble> {
        let transaction = database.begin_read()?;
        let (heads, images) = (transaction.open_table(HEADS)?, transaction.open_table(IMAGES)?);
        let changes = transaction.open_table(CHANGES)?;
        Ok(Self { name, key: format::key_of(name), plan, heads, images, changes })
    }

    /// Reads the zone; `None` where it is not stored.
    fn read(&self, journal_bytes_max: usize) -> Result<Option<StoredZone>, Trouble> {
        let Some(value) = self.heads.get(&*self.key)? else { return Ok(None) };
        let head = Head::from_value(&self.key, value.value()).ok_or_else(|| damaged("the zone's head"))?;
        let mut zone = self.image(&head)?;
        let mut journal = Journal::default();
        for number in head.first..head.next {
            let steps = self.steps(head.changes_id, number)?;
            if number >= head.image_at {
                let made = apply(&zone, &steps, self.plan.now, self.plan.executor, &mut Faults::new(false));
                zone = made.map_err(|why| Trouble::Damaged(why.to_string()))?;
            }
            steps.into_iter().for_each(|step| journal.push(step.into(), journal_bytes_max));
        }
        self.compare(&zone, head.current)?;
        if journal.last_serial().is_some_and(|last| last != zone.serial()) {
            return Err(damaged("the steps do not lead to the current version"));
        }
        Ok(Some(StoredZone { zone, journal, times: head.times }))
    }

    /// Puts the version together that is stored whole.
    fn image(&self, head: &Head) -> Result<Zone, Trouble> {
        let mut builder = Builder::new(self.plan.seed);
        builder.expect(head.image_bytes as usize);
        let parts = spans(head.chunk_count, self.plan.executor.parallelism() as u64);
        let part_bytes = head.image_bytes as usize / parts.len().max(1);
        let read =
            map(self.plan.executor, parts, |_, span| contained(|| self.chunks(head, span, part_bytes, &builder)));
        for part in read {
            builder.join(part?);
        }
        let mut faults = Faults::new(false);
        let plan = Plan { name: self.name, previous: None, now: self.plan.now };
        let zone = builder.finish(plan, self.plan.executor, &mut faults);
        let zone = zone.ok_or_else(|| damaged("the records make no zone"))?;
        self.compare(&zone, head.image)?;
        Ok(zone)
    }

    /// Reads the records of some chunks.
    fn chunks(&self, head: &Head, span: Range<u64>, bytes: usize, builder: &Builder) -> Result<Builder, Trouble> {
        let mut part = builder.fork(bytes);
        for index in span {
            let value = self.images.get((head.image_id, index))?.ok_or_else(|| damaged("a piece is missing"))?;
            let content = format::unseal(Kind::Chunk(head.image_id, index), &self.key, value.value());
            let records = content.and_then(|content| Records::from_octets(content.to_vec()));
            records.ok_or_else(|| damaged("a piece of its records"))?.iter().for_each(|record| part.take(&record));
        }
        part.close();
        Ok(part)
    }

    /// Reads the steps that came at once.
    fn steps(&self, id: u64, number: u64) -> Result<Vec<Change>, Trouble> {
        let value = self.changes.get((id, number))?.ok_or_else(|| damaged("steps are missing"))?;
        let steps = format::steps_from_value(Kind::Steps(id, number), &self.key, value.value());
        steps.ok_or_else(|| damaged("some steps"))
    }

    /// Whether a zone is the version that it should be.
    fn compare(&self, zone: &Zone, version: Version) -> Result<(), Trouble> {
        let is_it = Version::of(zone) == version;
        is_it.then_some(()).ok_or_else(|| damaged("it is not the version that was stored"))
    }
}

/// `count` numbers in up to `parts` ranges of about the same length.
fn spans(count: u64, parts: u64) -> Vec<Range<u64>> {
    let parts = parts.clamp(1, count.max(1));
    (0..parts).map(|part| count * part / parts..count * (part + 1) / parts).collect()
}
