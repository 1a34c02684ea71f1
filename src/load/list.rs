//! Which files are zones: those that are named, and every `NAME.zone` of the zones folder.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::registry::Source;
use crate::config::ZoneSources;
use crate::wire::{Name, NameError, NameRef, SharedName, Shown};

/// What a zone file's name ends with.
const SUFFIX: &[u8] = b".zone";
/// The most entries of a zones folder that are looked at.
const ENTRIES_MAX: usize = 10_000_000;

/// A zone and where it comes from. Copies share both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Listed {
    /// The zone's name: what the configuration says, or the file's own.
    pub(super) name: SharedName,
    /// Where it comes from.
    pub(super) source: Source,
}

/// A file that has the name of a zone file and yet can't be one.
#[derive(Debug)]
pub(super) struct Misnamed {
    /// The file.
    pub(super) source: Source,
    /// What is wrong with its name.
    pub(super) cause: NameError,
}

/// All zones and where they come from.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Those whose names are good, named ones first, then those of the folder in the order of their paths.
    pub(super) zones: Vec<Listed>,
    /// The others.
    pub(super) misnamed: Vec<Misnamed>,
}

/// Why the zones folder can't be listed.
#[derive(Debug, thiserror::Error)]
#[error("the zones folder {} can't be read: {cause}", Shown::path(path))]
pub struct ListError {
    /// The folder.
    pub path: PathBuf,
    /// What the system said.
    pub cause: io::Error,
}

/// What the configuration says about where zones come from, ready to be asked.
#[derive(Debug)]
pub(super) struct Lister {
    sources: Arc<ZoneSources>,
    /// Which of the files that are named one by one is that of a zone.
    named: HashMap<SharedName, usize>,
    /// Where these files really are: they are not taken a second time from the folder.
    real_paths: HashSet<PathBuf>,
}

impl Lister {
    /// Makes the answers ready.
    pub(super) fn new(sources: &Arc<ZoneSources>) -> Self {
        let files = sources.files.iter();
        Self {
            named: files.clone().enumerate().map(|(index, file)| (file.name.as_ref().into(), index)).collect(),
            real_paths: files.filter_map(|file| fs::canonicalize(&file.path).ok()).collect(),
            sources: Arc::clone(sources),
        }
    }

    /// Whether it was made from these.
    pub(super) fn is_of(&self, sources: &Arc<ZoneSources>) -> bool {
        Arc::ptr_eq(&self.sources, sources)
    }

    /// Lists all zones.
    ///
    /// Names that start with a dot are passed over (editors leave such files), and so are folders. A file that is named
    /// one by one is not taken a second time from the folder.
    ///
    /// # Errors
    /// [`ListError`] where the folder can't be read.
    pub(super) fn list(&self) -> Result<Listing, ListError> {
        let mut listing = Listing {
            zones: (0..self.sources.files.len()).map(|index| self.named(index)).chain(self.secondaries()).collect(),
            misnamed: Vec::new(),
        };
        let Some(folder) = &self.sources.dir else { return Ok(listing) };
        for file_name in zone_files(folder).map_err(|cause| ListError { path: folder.clone(), cause })? {
            let path = folder.join(&file_name);
            let Some(name) = zone_name(&file_name).filter(|_| !self.is_named(&path)) else { continue };
            match name {
                Ok(name) => listing.zones.push(Listed { name: name.as_ref().into(), source: path.into() }),
                Err(cause) => listing.misnamed.push(Misnamed { source: path.into(), cause }),
            }
        }
        Ok(listing)
    }

    /// Finds where the zone of one name comes from, without listing the folder: there, it is looked for under the file
    /// names that are `known`, and then under the plain one.
    ///
    /// # Errors
    /// [`ListError`] where the folder can't be read.
    pub(super) fn find<'a>(
        &self,
        name: NameRef<'_>,
        known: impl Iterator<Item = &'a Path>,
    ) -> Result<Vec<Listed>, ListError> {
        let shared = SharedName::from(name);
        let mut found: Vec<Listed> = self.named.get(&shared).map(|index| self.named(*index)).into_iter().collect();
        found.extend(self.secondaries().find(|listed| listed.name == shared));
        let Some(folder) = &self.sources.dir else { return Ok(found) };
        let failed = |cause| ListError { path: folder.clone(), cause };
        fs::read_dir(folder).map_err(failed)?;
        let known = known.filter(|path| path.parent() == Some(folder)).map(Path::to_owned);
        let (named_count, plain) = (found.len(), plain_file_name(name).map(|file| folder.join(file)));
        for (path, is_plain) in known.map(|path| (path, false)).chain(plain.map(|path| (path, true))) {
            // The plain name may be another spelling of a file that is found already, where the file system takes them
            // for one.
            let is_found = is_plain && found.len() > named_count;
            if is_found || !is_zone_file(&path).map_err(failed)? || self.is_named(&path) {
                continue;
            }
            if let Some(Ok(name)) = path.file_name().and_then(zone_name) {
                found.push(Listed { name: name.as_ref().into(), source: path.into() });
            }
        }
        Ok(found)
    }

    /// The zones that come from primaries.
    fn secondaries(&self) -> impl Iterator<Item = Listed> {
        let names = self.sources.secondaries.iter().map(|secondary| &secondary.name);
        names.map(|name| Listed { name: name.clone(), source: Source::Transfer })
    }

    /// A file that is named one by one.
    fn named(&self, index: usize) -> Listed {
        let file = &self.sources.files[index];
        Listed { name: file.name.as_ref().into(), source: file.path.clone().into() }
    }

    /// Whether a file of the folder is one of those that are named one by one.
    fn is_named(&self, path: &Path) -> bool {
        !self.real_paths.is_empty() && fs::canonicalize(path).is_ok_and(|real| self.real_paths.contains(&real))
    }
}

/// Whether something is there that is no folder.
fn is_zone_file(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(!(metadata.is_dir() || metadata.is_symlink() && path.is_dir())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The name that the file of a zone most often has in the folder; `None` where none can have it.
fn plain_file_name(name: NameRef<'_>) -> Option<OsString> {
    let text = name.to_string();
    let name =
        text.strip_suffix('.').filter(|name| !name.is_empty() && !name.starts_with('.') && !name.contains('/'))?;
    Some(format!("{name}.zone").into())
}

/// The names of the zone files in a folder, sorted. Asks the file system about links only: of all else, the folder says
/// what it is.
fn zone_files(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)?.take(ENTRIES_MAX) {
        let entry = entry?;
        let name = entry.file_name();
        let is_folder =
            || entry.file_type().is_ok_and(|kind| kind.is_dir() || (kind.is_symlink() && entry.path().is_dir()));
        if zone_part(&name).is_some() && !is_folder() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The zone's name as that of its file says; `None` where it is no zone file.
fn zone_name(file_name: &OsStr) -> Option<Result<Name, NameError>> {
    zone_part(file_name).map(|part| Name::from_text(part, Some(NameRef::ROOT)))
}

/// What stands for the zone's name in that of its file; `None` where it is no zone file.
fn zone_part(file_name: &OsStr) -> Option<&[u8]> {
    let bytes = file_name.as_bytes();
    bytes.strip_suffix(SUFFIX).filter(|name| !name.is_empty() && !bytes.starts_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ZoneFile;

    #[test]
    fn only_zone_files_are_listed_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let long = format!("{}.zone", "abcdefg.".repeat(31).trim_end_matches('.'));
        let longest = format!("{}.zone", "a".repeat(64));
        for name in [
            "b.test.zone",
            "a.test.zone",
            ".hidden.zone",
            ".zone",
            "a.test.zone~",
            "readme",
            "x..y.zone",
            &long,
            &longest,
        ] {
            fs::write(folder.path().join(name), "").expect("writes");
        }
        fs::create_dir(folder.path().join("dir.zone")).expect("makes a folder");
        let sources = ZoneSources { dir: Some(folder.path().into()), ..ZoneSources::default() };
        let lister = Lister::new(&Arc::new(sources));
        let listing = lister.list().expect("lists");
        let names: Vec<String> = listing.zones.iter().map(|file| file.name.to_string()).collect();
        assert_eq!(&names[..2], ["a.test.", "abcdefg.".repeat(31).as_str()]);
        assert_eq!(names[2], "b.test.");
        assert_eq!(names.len(), 3);
        for zone in &listing.zones {
            let found = lister.find(zone.name.as_ref(), [].into_iter()).expect("finds");
            assert_eq!(found, std::slice::from_ref(zone), "without a list");
        }
        for name in [".", "hidden.", "dir.", "a/b.test.", "c.test."] {
            let name: Name = name.parse().expect("a name");
            assert_eq!(lister.find(name.as_ref(), [].into_iter()).expect("finds"), [], "{name}");
        }
        let causes: Vec<NameError> = listing.misnamed.iter().map(|file| file.cause).collect();
        assert_eq!(causes, [NameError::LabelTooLong, NameError::EmptyLabel]);
    }

    #[test]
    fn a_named_file_is_not_taken_from_the_folder_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.test.zone");
        fs::write(&path, "").expect("writes");
        let name: Name = "other.".parse().expect("a name");
        let file = ZoneFile { name, path: folder.path().join("./a.test.zone"), said_at: String::new() };
        let sources = ZoneSources { dir: Some(folder.path().into()), files: vec![file], ..ZoneSources::default() };
        let lister = Lister::new(&Arc::new(sources));
        let listing = lister.list().expect("lists");
        assert_eq!(listing.zones.len(), 1);
        assert_eq!(listing.zones[0].name, name);
        assert_eq!(lister.find(name.as_ref(), [].into_iter()).expect("finds"), listing.zones);
        let other: Name = "a.test.".parse().expect("a name");
        assert_eq!(lister.find(other.as_ref(), [&*path].into_iter()).expect("finds"), []);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let sources = ZoneSources { dir: Some("/nonexistent/zones".into()), ..ZoneSources::default() };
        let lister = Lister::new(&Arc::new(sources));
        assert_eq!(lister.list().expect_err("no folder").cause.kind(), io::ErrorKind::NotFound);
        let found = lister.find(NameRef::ROOT, [].into_iter());
        assert_eq!(found.expect_err("no folder").cause.kind(), io::ErrorKind::NotFound);
    }
}
