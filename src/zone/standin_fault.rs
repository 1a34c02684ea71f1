//! Stand-in for `zone::fault`, `zone::reader`, `zone::report` and `zone::hash`.

use std::io;
use std::path::Path;

/// Stand-in for `zone::hash`.
pub mod hash {
    /// The key of the name hash.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Seed(pub [u64; 2]);
}

/// Stand-in for `zone::fault`.
pub mod fault {
    /// All faults of one file set.
    #[derive(Debug, Default)]
    pub struct Faults(pub(crate) Vec<String>);

    impl Faults {
        /// How many are errors.
        pub fn error_count(&self) -> usize {
            self.0.len()
        }

        /// How many are warnings.
        pub fn warning_count(&self) -> usize {
            0
        }
    }
}

/// Stand-in for `zone::reader`.
pub mod reader {
    use super::{Path, io};

    /// Where files come from.
    pub trait Files {
        /// Reads one.
        ///
        /// # Errors
        /// Those of the file system.
        fn read(&mut self, path: &Path) -> io::Result<Vec<u8>>;
    }

    /// What was read.
    #[derive(Debug, Default)]
    pub struct Sources;
}

/// Stand-in for `zone::report`.
pub mod report {
    use super::{fault::Faults, reader::Sources};

    /// With or without colours.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Style {
        /// Without.
        Plain,
        /// With.
        Colour,
    }

    /// Writes the faults.
    pub fn write(faults: &Faults, _sources: &Sources, _style: Style, out: &mut String) {
        for fault in &faults.0 {
            out.push_str("error: ");
            out.push_str(fault);
            out.push('\n');
        }
    }
}
