//! The faults of one file set: counted all, kept up to a bound.

use super::{FAULTS_MAX, FaultKind, Position, Severity};

/// A fault and where it is.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// How bad it is here.
    pub severity: Severity,
    /// Where.
    pub position: Position,
    /// How many octets of the line are at fault; 0 means the word that starts at `position`.
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
    /// Whether warnings are taken for errors.
    is_strict: bool,
    /// Whether others have the zone, so that it counts what they take.
    is_for_peers: bool,
    /// Whether there is an error that is one whatever is taken for it.
    has_errors: bool,
}

impl Faults {
    /// None yet; if `is_strict`, warnings are taken for errors.
    pub fn new(is_strict: bool) -> Self {
        Self { is_strict, ..Self::default() }
    }

    /// Takes what keeps other servers from taking the zone, too, if `is_for_peers`; it is passed over else.
    #[must_use]
    pub fn for_peers(self, is_for_peers: bool) -> Self {
        Self { is_for_peers, ..self }
    }

    /// Passes over the warnings that are still to come, if there are errors: they may only follow from those.
    pub fn hold_back_warnings_behind_errors(&mut self) {
        self.holds_warnings_back |= self.has_errors;
    }

    /// Whether there are errors, warnings that are taken for them left out.
    pub(crate) fn has_errors(&self) -> bool {
        self.has_errors
    }

    /// Counts a fault, and keeps it while there is room.
    pub fn add(&mut self, kind: impl Into<FaultKind>, position: Position, length: usize) {
        let kind = kind.into();
        let own = kind.severity();
        let is_passed_over = matches!(kind, FaultKind::Peer(_)) && !self.is_for_peers;
        if is_passed_over || own == Severity::Warning && self.holds_warnings_back {
            return;
        }
        self.has_errors |= own == Severity::Error;
        let severity = if self.is_strict { Severity::Error } else { own };
        let count = match severity {
            Severity::Error => &mut self.error_count,
            Severity::Warning => &mut self.warning_count,
        };
        *count += 1;
        let fault = Fault { kind, severity, position, length };
        if *count <= FAULTS_MAX {
            self.kept.push(fault);
        } else {
            self.keep_if_before(fault);
        }
    }

    /// Keeps a fault instead of the last one of its severity that is kept, if it stands before that: which ones are
    /// kept depends on their positions alone, and not on the order in which they were found.
    fn keep_if_before(&mut self, fault: Fault) {
        let is_rival = |kept: &&mut Fault| kept.severity == fault.severity;
        // Of several at one position the one that was found last.
        let last = self.kept.iter_mut().filter(is_rival).max_by_key(|kept| kept.position);
        if let Some(last) = last.filter(|last| fault.position < last.position) {
            *last = fault;
        }
    }

    /// Nothing yet, and the same held back.
    pub(crate) fn fork(&self) -> Self {
        let Self { holds_warnings_back, is_strict, is_for_peers, .. } = *self;
        Self { holds_warnings_back, is_strict, is_for_peers, ..Self::default() }
    }

    /// Adds what several have found at once, in the order of the positions.
    pub fn join(&mut self, parts: impl IntoIterator<Item = Self>) {
        let (mut found, mut dropped_errors, mut dropped_warnings) = (Vec::new(), 0, 0);
        for part in parts {
            let errors = part.kept.iter().filter(|fault| fault.severity == Severity::Error).count();
            dropped_errors += part.error_count - errors;
            dropped_warnings += part.warning_count - (part.kept.len() - errors);
            found.extend(part.kept);
        }
        found.sort_by_key(|fault| fault.position);
        found.into_iter().for_each(|fault| self.add(fault.kind, fault.position, fault.length));
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
