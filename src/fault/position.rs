//! Where a fault is, and how bad it is.

/// A position in a file set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Index of the file among those that were read; the zone's own file is 0.
    pub file: u16,
    /// Line from 1; 0 means the file as a whole.
    pub line: u32,
    /// Column in octets from 1; stays at 65,535 where a line is longer.
    pub column: u16,
}

impl Position {
    /// The file as a whole.
    pub fn of_file(file: u16) -> Self {
        Self { file, line: 0, column: 0 }
    }

    /// Whether there is no line to show.
    pub fn is_whole_file(self) -> bool {
        self.line == 0
    }
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The zone is refused.
    Error,
    /// The zone is served; the operator is warned.
    Warning,
}
