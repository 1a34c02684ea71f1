//! A big text in parts that are read at once, each as if it were known how it begins; what comes of it is exactly
//! what comes of reading from the first octet to the last.
//!
//! A part is taken as it was read only if it has no fault of any kind, repeats no owner from before it,
//! includes nothing, ends where an entry ends, and began with the origin and the `$TTL` that really hold there. Else it
//! is thrown away and read again in its turn. Parts are read in rounds: a directive in the middle of the text spoils
//! the rest of its round.

use std::io;
use std::path::Path;

use crate::fault::{Faults, FileError};
use crate::zonebuild::executor::{self, Inline};
use crate::zonefile::limits::Budget;
use crate::zonefile::scan::Scanner;
use crate::zonefile::{Files, Limits, OwnerState, Reader, Sink, Sources, State};

/// A text is cut into parts of so many octets at least: below that threads cost more than they bring.
pub(super) const PART_BYTES_MIN: usize = 256 << 10;
/// The most octets of one part, but for what is missing to the end of a line.
const PART_BYTES_MAX: usize = 4 << 20;
/// Parts of one round for each thread of the executor.
const PARTS_PER_THREAD: usize = 8;
/// Octets at the beginning that are read before there are parts, at most.
const HEAD_BYTES: usize = 4 << 10;
/// Rounds that are begun anew where a directive has changed what the parts supposed; after that, parts are read in
/// their turn.
const SPOILT_ROUNDS_MAX: usize = 4;
/// Lines that are looked at to find one where a part may start.
const BORDER_LINES_MAX: usize = 1_000;
/// The most steps of `$GENERATE` that a part takes: those of a round are all held at once.
const GENERATE_STEPS_MAX: u64 = 4_096;

/// Octets of a text, and the line that they begin with.
struct Cut {
    start: usize,
    end: usize,
    line: u32,
    end_line: u32,
}

/// A part that was read.
struct Part<S> {
    cut: Cut,
    sink: S,
    /// The state behind it.
    state: State,
    /// Whether it is as good as if it had been read in its turn, provided that it began with the right state.
    is_sound: bool,
    /// What it has used.
    budget: Budget,
    /// Whether something in it was a record or a directive.
    is_zone_text: bool,
}

/// What a part may include: nothing. It is a fault, and the part is read again in its turn.
struct NoFiles;

impl Files for NoFiles {
    fn read(&mut self, _path: &Path) -> Result<Vec<u8>, FileError> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl<S: Sink> Reader<'_, S> {
    /// Reads all entries from where the scanner stands.
    pub(super) fn read_text(&mut self, file: u16, scanner: &mut Scanner<'_>) {
        let mut spoilt_count = 0;
        if self.cuts(scanner).len() > 1 {
            // Directives stand at the beginning more often than not.
            self.read_entries(file, scanner, scanner.at().saturating_add(HEAD_BYTES.min(self.part_bytes_min)));
        }
        while !self.is_over {
            let cuts = self.cuts(scanner);
            if cuts.len() < 2 {
                return self.read_entries(file, scanner, usize::MAX);
            }
            let supposed = State { owner_state: OwnerState::None, ..self.state };
            let (fork, octets, mut limits) = (&*self.sink, scanner.octets(), self.budget.limits);
            limits.generate_steps_max = limits.generate_steps_max.min(GENERATE_STEPS_MAX);
            let parts = executor::map(self.executor, cuts, |_, cut| {
                let sink = fork.fork(cut.end - cut.start);
                read_part(file, octets, cut, supposed, limits, sink)
            });
            for Part { cut, sink, state, is_sound, budget, is_zone_text } in parts {
                let is_as_supposed = self.state.begins_like(&supposed);
                if !is_as_supposed && spoilt_count < SPOILT_ROUNDS_MAX {
                    spoilt_count += 1;
                    break;
                }
                if is_sound && is_as_supposed && scanner.at() == cut.start && self.budget.take_part(&budget) {
                    self.is_zone_text |= is_zone_text;
                    self.state.follow(&state);
                    self.sink.join(sink);
                    scanner.skip_to(cut.end, cut.end_line);
                } else {
                    drop(sink);
                    self.read_entries(file, scanner, cut.end);
                }
            }
        }
    }

    /// The parts of the next round, the first of which begins where the scanner stands.
    fn cuts(&self, scanner: &Scanner<'_>) -> Vec<Cut> {
        let (octets, mut start, mut line) = (scanner.octets(), scanner.at(), scanner.line());
        let count = self.executor.parallelism() * PARTS_PER_THREAD;
        let bytes =
            ((octets.len() - start) / count).clamp(self.part_bytes_min, PART_BYTES_MAX.max(self.part_bytes_min));
        let mut cuts = Vec::new();
        if self.executor.parallelism() < 2 {
            return cuts;
        }
        while cuts.len() < count && start < octets.len() {
            let Some(end) = border(octets, start.saturating_add(bytes)) else { break };
            let end_line = line.saturating_add(newlines(&octets[start..end]));
            cuts.push(Cut { start, end, line, end_line });
            (start, line) = (end, end_line);
        }
        cuts
    }
}

impl State {
    /// Whether what stands in both that a part takes from what is in front of it.
    fn begins_like(&self, supposed: &Self) -> bool {
        // To the octet: letter case is kept.
        self.origin.as_ref().as_bytes() == supposed.origin.as_ref().as_bytes()
            && self.is_origin_known == supposed.is_origin_known
            && self.default_ttl == supposed.default_ttl
    }

    /// Takes on the state behind a part.
    fn follow(&mut self, behind: &Self) {
        let before = *self;
        *self = Self { has_entries: before.has_entries | behind.has_entries, ..*behind };
        self.has_reported_ttl = before.has_reported_ttl;
        if behind.owner_state == OwnerState::None {
            (self.owner, self.owner_state) = (before.owner, before.owner_state);
        }
    }
}

/// Reads one part into `sink`.
fn read_part<S: Sink>(file: u16, octets: &[u8], cut: Cut, state: State, limits: Limits, mut sink: S) -> Part<S> {
    let (mut files, mut sources, mut faults) = (NoFiles, Sources::default(), Faults::default());
    let mut reader = Reader::new(&mut files, &Inline, &mut sources, &mut faults, &mut sink, state, Budget::new(limits));
    // An entry that goes on behind the end is cut off inside a parenthesis, which is a fault.
    let mut scanner = Scanner::at_line(&octets[..cut.end], cut.start, cut.line);
    reader.read_entries(file, &mut scanner, usize::MAX);
    let (state, budget, is_zone_text) = (reader.state, reader.budget, reader.is_zone_text);
    sink.close();
    Part { cut, sink, state, is_sound: faults.is_empty(), budget, is_zone_text }
}

/// The first line at or behind `at` that begins like an entry with an owner, or the end of the text; `None` where
/// none is near.
fn border(octets: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    for _ in 0..BORDER_LINES_MAX {
        let Some(rest) = octets.get(at..) else { return Some(octets.len()) };
        let Some(newline) = rest.iter().position(|octet| *octet == b'\n') else { return Some(octets.len()) };
        at += newline + 1;
        match octets.get(at) {
            None => return Some(octets.len()),
            Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'$') => {}
            Some(_) => return Some(at),
        }
    }
    None
}

/// How many line feeds there are.
fn newlines(octets: &[u8]) -> u32 {
    // Sums of single octets are quicker, and 255 of them can't overflow.
    let sum = |chunk: &[u8]| u32::from(chunk.iter().map(|octet| u8::from(*octet == b'\n')).sum::<u8>());
    octets.chunks(255).map(sum).fold(0, u32::saturating_add)
}
