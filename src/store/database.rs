//! The database file: opened whatever state it is in, its panics contained, its errors told apart.

use std::any::Any;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{Builder, Database, Table, WriteTransaction};

use super::format::{CHANGES, HEADS, IMAGES};
use super::overlay::Overlay;

/// The file in the state folder.
pub(super) const FILE: &str = "transfers.redb";
/// The name under which a damaged one is kept.
pub(super) const DAMAGED_FILE: &str = "transfers.redb.damaged";
/// What the database may keep of the file in memory.
const CACHE_BYTES: usize = 16 << 20;

/// Why something can't be read or written.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What is there can't have been written so.
    Damaged(String),
    /// The disk or the system refuses.
    Refused(String),
}

impl<E: Into<redb::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => Self::of_io(&error),
            error @ (redb::Error::DatabaseAlreadyOpen | redb::Error::PreviousIo) => Self::Refused(error.to_string()),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl Trouble {
    /// What an error of the system means. A file that ends too early is damaged.
    fn of_io(error: &io::Error) -> Self {
        let make = if error.kind() == io::ErrorKind::UnexpectedEof { Self::Damaged } else { Self::Refused };
        make(error.to_string())
    }

    /// The reason.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Damaged(why) | Self::Refused(why) => why,
        }
    }
}

/// An open database.
pub(super) struct Opened {
    pub(super) database: Database,
    /// Why nothing can be written, where nothing can.
    pub(super) read_only: Option<String>,
}

/// The tables of a transaction that writes.
pub(super) struct Tables<'t> {
    pub(super) heads: Table<'t, &'static [u8], &'static [u8]>,
    pub(super) images: Table<'t, (u64, u64), &'static [u8]>,
    pub(super) changes: Table<'t, (u64, u64), &'static [u8]>,
}

impl<'t> Tables<'t> {
    /// Opens them, and makes them where they are not there.
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, Trouble> {
        Ok(Self {
            heads: transaction.open_table(HEADS)?,
            images: transaction.open_table(IMAGES)?,
            changes: transaction.open_table(CHANGES)?,
        })
    }
}

/// Does something with the database. A panic is damage: the database checks little of what it reads.
pub(super) fn contained<T>(work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Trouble::Damaged(said(&*panic))))
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the database panicked: {}", text.unwrap_or("no message"))
}

/// Opens the database of a folder. All of it is read and its checksums compared, since what is trusted unread may make
/// any later step go wrong. A damaged file is put aside and a new one begun; one that can't be written is read.
pub(super) fn open(folder: &Path) -> Result<Opened, Trouble> {
    let path = folder.join(FILE);
    let why = match contained(|| create(folder)) {
        Ok(opened) => return Ok(opened),
        Err(Trouble::Damaged(why)) => return begin_anew(folder, &why),
        Err(Trouble::Refused(why)) => why,
    };
    contained(|| {
        let file = File::open(&path).and_then(Overlay::new).map_err(|_| Trouble::Refused(why.clone()))?;
        prepare(builder().create_with_backend(file)?, Some(why))
    })
}

/// Opens the file to write it, or begins it. That it is there is on the disk as well.
fn create(folder: &Path) -> Result<Opened, Trouble> {
    let opened = prepare(builder().create(folder.join(FILE))?, None)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Trouble::of_io(&error))?;
    Ok(opened)
}

/// How it is opened.
fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

/// Makes the tables.
fn prepare(database: Database, read_only: Option<String>) -> Result<Opened, Trouble> {
    let transaction = database.begin_write()?;
    Tables::open(&transaction)?;
    transaction.commit()?;
    Ok(Opened { database, read_only })
}

/// Puts a damaged file aside, and begins a new one.
fn begin_anew(folder: &Path, why: &str) -> Result<Opened, Trouble> {
    let (path, aside) = (folder.join(FILE), folder.join(DAMAGED_FILE));
    let moved = fs::rename(&path, &aside).and_then(|()| File::open(folder)?.sync_all());
    moved.map_err(|error| {
        Trouble::Damaged(format!("{} is damaged ({why}) and can't be put aside: {error}", path.display()))
    })?;
    tracing::error!(
        "{} is damaged: {why}; it is kept as {}, and zones that came by transfer are transferred anew",
        path.display(),
        aside.display()
    );
    contained(|| create(folder))
}
