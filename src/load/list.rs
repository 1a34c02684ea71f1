//! Which files are zones: those that are named, and every `NAME.zone` of the zones folder.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::ZoneSources;
use crate::wire::{Name, NameError, NameRef, SharedName, Shown};

/// What a zone file's name ends with.
const SUFFIX: &[u8] = b".zone";
/// The most entries of a zones folder that are looked at.
const ENTRIES_MAX: usize = 10_000_000;

/// One zone file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listed {
    /// The zone's name: what the configuration says, or the file's own.
    pub name: SharedName,
    /// The file.
    pub path: PathBuf,
}

/// A file that has the name of a zone file and yet can't be one.
#[derive(Debug)]
pub struct Misnamed {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with its name.
    pub cause: NameError,
}

/// All zone files.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those whose names are good, named ones first, then those of the folder in the order of their paths. Shared with
    /// all that is told of them, since there may be very many.
    pub files: Vec<Arc<Listed>>,
    /// The others.
    pub misnamed: Vec<Misnamed>,
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

/// Lists the zone files.
///
/// Names that start with a dot are passed over (editors leave such files), and so are folders. A file that is named
/// one by one is not taken a second time from the folder.
///
/// # Errors
/// [`ListError`] where the folder can't be read.
pub fn list(sources: &ZoneSources) -> Result<Listing, ListError> {
    let named =
        |file: &crate::config::ZoneFile| Arc::new(Listed { name: file.name.as_ref().into(), path: file.path.clone() });
    let mut listing = Listing { files: sources.files.iter().map(named).collect(), misnamed: Vec::new() };
    let Some(folder) = &sources.dir else { return Ok(listing) };
    let known: HashSet<PathBuf> = sources.files.iter().filter_map(|file| fs::canonicalize(&file.path).ok()).collect();
    for file_name in zone_files(folder).map_err(|cause| ListError { path: folder.clone(), cause })? {
        let (path, name) = (folder.join(&file_name), zone_part(&file_name).unwrap_or_default());
        if !known.is_empty() && fs::canonicalize(&path).is_ok_and(|real| known.contains(&real)) {
            continue;
        }
        match Name::from_text(name, Some(NameRef::ROOT)) {
            Ok(name) => listing.files.push(Arc::new(Listed { name: name.as_ref().into(), path })),
            Err(cause) => listing.misnamed.push(Misnamed { path, cause }),
        }
    }
    Ok(listing)
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

/// The zone's name in that of its file; `None` where it is no zone file.
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
        let listing = list(&sources).expect("lists");
        let names: Vec<String> = listing.files.iter().map(|file| file.name.to_string()).collect();
        assert_eq!(&names[..2], ["a.test.", "abcdefg.".repeat(31).as_str()]);
        assert_eq!(names[2], "b.test.");
        assert_eq!(names.len(), 3);
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
        let listing = list(&sources).expect("lists");
        assert_eq!(listing.files.len(), 1);
        assert_eq!(listing.files[0].name, name);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let sources = ZoneSources { dir: Some("/nonexistent/zones".into()), ..ZoneSources::default() };
        assert_eq!(list(&sources).expect_err("no folder").cause.kind(), io::ErrorKind::NotFound);
    }
}
