//! The faults of one file set: counted all, kept up to a bound.

use super::{FAULTS_MAX, FaultKind, Place, Severity};

/// A fault and where it is.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Where.
    pub place: Place,
    /// How many octets of the line are at fault; 0 means the word that starts at `place`.
    pub length: usize,
}

/// The faults of one file set.
///
/// Up to [`FAULTS_MAX`] errors and as many warnings are kept, so that neither crowds out the other; all are counted.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    kept: Vec<Fault>,
    error_count: usize,
    warning_count: usize,
    holds_warnings_back: bool,
}

impl Faults {
    /// Passes over the warnings that are still to come, if there are errors: they may only follow from those.
    pub fn hold_back_warnings_behind_errors(&mut self) {
        self.holds_warnings_back |= self.error_count > 0;
    }

    /// Counts a fault, and keeps it while there is room.
    pub fn add(&mut self, kind: FaultKind, place: Place, length: usize) {
        let count = match kind.severity() {
            Severity::Warning if self.holds_warnings_back => return,
            Severity::Error => &mut self.error_count,
            Severity::Warning => &mut self.warning_count,
        };
        *count += 1;
        if *count <= FAULTS_MAX {
            self.kept.push(Fault { kind, place, length });
        }
    }

    /// Nothing yet, and the same held back.
    pub(in crate::zone) fn fork(&self) -> Self {
        Self { holds_warnings_back: self.holds_warnings_back, ..Self::default() }
    }

    /// Adds what several have found beside each other, in the order of the places.
    pub(in crate::zone) fn join(&mut self, parts: impl IntoIterator<Item = Self>) {
        let (mut found, mut dropped_errors, mut dropped_warnings) = (Vec::new(), 0, 0);
        for part in parts {
            let errors = part.kept.iter().filter(|fault| fault.kind.severity() == Severity::Error).count();
            dropped_errors += part.error_count - errors;
            dropped_warnings += part.warning_count - (part.kept.len() - errors);
            found.extend(part.kept);
        }
        found.sort_by_key(|fault| fault.place);
        found.into_iter().for_each(|fault| self.add(fault.kind, fault.place, fault.length));
        self.error_count += dropped_errors;
        self.warning_count += dropped_warnings;
    }

    /// The faults that were kept, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.kept.iter()
    }

    /// How many errors there are, kept or not.
    pub fn error_count(&self) -> usize {
        self.error_count
    }

    /// How many warnings there are, kept or not.
    pub fn warning_count(&self) -> usize {
        self.warning_count
    }

    /// How many faults were counted and not kept.
    pub fn dropped_count(&self) -> usize {
        self.error_count + self.warning_count - self.kept.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}
