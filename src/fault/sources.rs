//! The files that a zone was read from, kept so that faults can be shown.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file of fewer octets is kept, since it is not worth a second reading.
const BIG_BYTES: usize = 1 << 20;

/// The paths and octets of the files of one zone, in the order in which they were first read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

/// One file.
#[derive(Clone, Debug)]
struct Source {
    path: PathBuf,
    /// Shared, so that the reader can go on adding files while it reads one.
    octets: Arc<Vec<u8>>,
    /// Whether the octets were here and are not any more.
    is_forgotten: bool,
}

impl Sources {
    /// A zone's own file, of which no octets are kept.
    pub fn of_path(path: &Path) -> Self {
        let mut sources = Self::default();
        sources.add(path, Vec::new());
        sources
    }

    /// The path of a file as it was asked for.
    pub fn path(&self, file: u16) -> Option<&Path> {
        self.files.get(usize::from(file)).map(|source| source.path.as_path())
    }

    /// The octets of a file.
    pub fn octets(&self, file: u16) -> Option<&[u8]> {
        self.files.get(usize::from(file)).map(|source| source.octets.as_slice())
    }

    /// Whether a file is known and its octets were freed.
    pub fn is_forgotten(&self, file: u16) -> bool {
        self.files.get(usize::from(file)).is_some_and(|source| source.is_forgotten)
    }

    /// All paths, the zone's own file first: what to watch for changes.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|source| source.path.as_path())
    }

    /// Frees the octets of big files: all that is needed of them was read.
    pub(crate) fn forget(&mut self) {
        for source in self.files.iter_mut().filter(|source| source.octets.len() >= BIG_BYTES) {
            (source.octets, source.is_forgotten) = (Arc::default(), true);
        }
    }

    /// Gets the octets back that were freed, so that faults can be shown with their lines. `read` gives them only if
    /// they are what they were.
    pub fn recall(&mut self, read: impl Fn(&Path) -> Option<Vec<u8>>) {
        for source in self.files.iter_mut().filter(|source| source.is_forgotten) {
            if let Some(octets) = read(&source.path) {
                (source.octets, source.is_forgotten) = (Arc::new(octets), false);
            }
        }
    }

    /// The index of a file that is here.
    pub(crate) fn find(&self, path: &Path) -> Option<u16> {
        self.files.iter().position(|source| source.path == path).and_then(|index| u16::try_from(index).ok())
    }

    /// Keeps a file and gives its index.
    pub(crate) fn add(&mut self, path: &Path, octets: Vec<u8>) -> u16 {
        // The bound on inclusions keeps the count far below 65,536.
        let index = u16::try_from(self.files.len()).unwrap_or(u16::MAX);
        self.files.push(Source { path: path.to_owned(), octets: Arc::new(octets), is_forgotten: false });
        index
    }

    /// Shares the octets of a file.
    pub(crate) fn share(&self, file: u16) -> Arc<Vec<u8>> {
        self.files.get(usize::from(file)).map(|source| Arc::clone(&source.octets)).unwrap_or_default()
    }
}
