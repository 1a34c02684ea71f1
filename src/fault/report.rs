//! Faults as a compiler shows them: severity, code, sentence, `file:line:column`, the line, a caret, a way out.
//!
//! Knows nothing of what can be wrong; the words are those of [`FaultKind`](crate::fault::FaultKind). Columns
//! are octets from 1, as in [`Position`]; octets that are no UTF-8 are shown as U+FFFD, one each.

use std::fmt::Write;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::fault::Sources;
use crate::fault::{Fault, Faults, Position, Severity};
use crate::wire::Shown;

/// Octets of a line that are shown in front of a fault.
const SHOWN_BEFORE_BYTES: usize = 60;
/// Octets of a line that are shown from a fault on.
const SHOWN_BEHIND_BYTES: usize = 60;
/// The rendered line that may be a break: it follows the sentence, the position and an empty one.
const BREAK_INDEX: usize = 3;

/// How a report is dressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Letters only.
    Plain,
    /// With the escape sequences of a terminal.
    Colour,
}

/// Appends all faults that were kept, in the order of files and lines, and a line that counts them.
///
/// Writes nothing where there are none.
pub fn write(faults: &Faults, sources: &Sources, style: Style, out: &mut String) {
    if faults.is_empty() {
        return;
    }
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Colour => Renderer::styled(),
    };
    let mut sorted: Vec<&Fault> = faults.iter().collect();
    sorted.sort_by_key(|fault| fault.position);
    let mut lines = Lines { sources, file: None, line: 1, rest: &[] };
    for fault in sorted {
        write_fault(fault, &mut lines, &renderer, out);
    }
    write_summary(faults, sources, out);
}

/// Appends one fault and an empty line.
fn write_fault(fault: &Fault, lines: &mut Lines<'_>, renderer: &Renderer, out: &mut String) {
    let level = match fault.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let Position { file, line, column } = fault.position;
    let path = lines.sources.path(file).map_or_else(|| "?".to_owned(), |path| Shown::path(path).to_string());
    let mut group = Group::with_title(level.primary_title(fault.kind.to_string()).id(fault.kind.code()));
    match lines.seek(fault.position).filter(|_| fault.kind.shows_line()) {
        Some(text) => {
            let (line, column) = (line as usize, usize::from(column));
            let (shown, span) = excerpt(text, column.saturating_sub(1), fault.length);
            let snippet = Snippet::source(shown).line_start(line).annotation(AnnotationKind::Primary.span(span));
            group = group.element(Origin::path(path).line(line).char_column(column)).element(snippet);
        }
        None if !fault.position.is_whole_file() && (lines.sources.is_forgotten(file) || !fault.kind.shows_line()) => {
            group = group.element(Origin::path(path).line(line as usize).char_column(usize::from(column)));
        }
        None => group = group.element(Origin::path(path)),
    }
    if let Some(help) = fault.kind.help() {
        group = group.element(Level::HELP.message(help));
    }
    push_without_break(&renderer.render(&[group]), out);
    out.push('\n');
}

/// Appends a rendered fault without the line `:::` that the renderer puts between a position and a line of the file: it
/// is there for excerpts from elsewhere. The renderer's own position counts characters of the excerpt, so ours is used.
fn push_without_break(rendered: &str, out: &mut String) {
    for (index, line) in rendered.lines().enumerate() {
        let is_break = index == BREAK_INDEX && line.contains(":::") && !line.contains('|');
        if !is_break {
            out.push_str(line);
            out.push('\n');
        }
    }
}

/// Appends how many faults there are, and how many of them were not shown.
fn write_summary(faults: &Faults, sources: &Sources, out: &mut String) {
    let path = sources.path(0).map_or_else(|| "zone".to_owned(), |path| Shown::path(path).to_string());
    let (errors, warnings) = (counted(faults.error_count(), "error"), counted(faults.warning_count(), "warning"));
    // Writing to a string does not fail.
    let _ = write!(out, "{path}: {errors}, {warnings}");
    if faults.dropped_count() > 0 {
        let _ = write!(out, " ({} of them not shown)", faults.dropped_count());
    }
    out.push('\n');
}

/// A number and its noun.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Finds lines of files; those that are asked for in order cost one pass over each file.
struct Lines<'s> {
    sources: &'s Sources,
    file: Option<u16>,
    /// The line that `rest` starts with.
    line: u32,
    rest: &'s [u8],
}

impl<'s> Lines<'s> {
    /// The line of a position, without its end; `None` for a whole file and for what is not there.
    fn seek(&mut self, position: Position) -> Option<&'s [u8]> {
        if position.is_whole_file() || self.sources.is_forgotten(position.file) {
            return None;
        }
        if self.file != Some(position.file) || self.line > position.line {
            (self.file, self.line, self.rest) = (Some(position.file), 1, self.sources.octets(position.file)?);
        }
        while self.line < position.line {
            let newline = self.rest.iter().position(|octet| *octet == b'\n')?;
            self.rest = &self.rest[newline + 1..];
            self.line += 1;
        }
        let end = self.rest.iter().position(|octet| *octet == b'\n').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// Cuts the part of a line around a fault out and makes it text; gives the octets of that text to underline.
///
/// `start` counts octets from 0; `length` 0 means the word that starts there.
fn excerpt(line: &[u8], start: usize, length: usize) -> (String, Range<usize>) {
    let start = start.min(line.len());
    let behind = &line[start..];
    let word = behind.iter().position(|octet| matches!(octet, b' ' | b'\t' | b';' | b'(' | b')'));
    let length = if length == 0 { word.unwrap_or(behind.len()).max(1) } else { length };
    let shown_start = start.saturating_sub(SHOWN_BEFORE_BYTES);
    let shown_end = line.len().min(start + SHOWN_BEHIND_BYTES);
    let end = (start + length).min(shown_end);
    let mut text = String::new();
    if shown_start > 0 {
        text.push('…');
    }
    append_lossy(&line[shown_start..start], &mut text);
    let span_start = text.len();
    append_lossy(line.get(start..end).unwrap_or_default(), &mut text);
    if text.len() == span_start {
        // Something is missing behind the last word: there must be an octet for the caret to stand under.
        text.push(' ');
    }
    let span_end = text.len();
    append_lossy(line.get(end..shown_end).unwrap_or_default(), &mut text);
    if shown_end < line.len() {
        text.push('…');
    }
    (text, span_start..span_end)
}

/// Appends octets as text: what is no UTF-8 becomes U+FFFD, one for each octet.
fn append_lossy(octets: &[u8], text: &mut String) {
    for chunk in octets.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fault::{FAULTS_MAX, FaultKind, FileError};
    use crate::wire::NameRef;
    use crate::zonebuild::{Inline, Record, Sink};
    use crate::zonefile::{Files, Limits, MasterFile, read_zone};

    /// Wants no records.
    struct Nobody;

    impl Sink for Nobody {
        fn take(&mut self, _record: &Record<'_>) {}

        fn fork(&self, _text_bytes: usize) -> Self {
            Self
        }

        fn join(&mut self, _later: Self) {}
    }

    /// One file, whatever its path.
    struct OneFile(Vec<u8>);

    impl Files for OneFile {
        fn read(&mut self, _: &Path) -> Result<Vec<u8>, FileError> {
            Ok(self.0.clone())
        }
    }

    /// The file.
    fn master() -> MasterFile<'static> {
        MasterFile { path: Path::new("x.zone"), origin: NameRef::ROOT, limits: Limits::default() }
    }

    /// The report on a file that is named `x.zone`.
    fn report(text: &[u8]) -> String {
        let (mut sources, mut faults) = (Sources::default(), Faults::default());
        let mut files = OneFile(text.to_vec());
        read_zone(&mut files, master(), &Inline, &mut sources, &mut faults, &mut Nobody);
        let mut out = String::new();
        write(&faults, &sources, Style::Plain, &mut out);
        out
    }

    #[test]
    fn a_fault_shows_its_line_a_caret_and_a_way_out() {
        let expected = "\
error[unknown-type]: unknown type `AAA`
 --> x.zone:2:5
  |
2 | www AAA 2001:db8::1
  |     ^^^
  |
  = help: did you mean `AAAA`?

x.zone: 1 error, 0 warnings
";
        assert_eq!(report(b"$TTL 5\nwww AAA 2001:db8::1\n"), expected);
    }

    #[test]
    fn what_is_missing_is_shown_behind_the_last_word() {
        let shown = report(b"$TTL 5\r\nwww\r\n");
        assert!(shown.contains(" --> x.zone:2:4\n"), "{shown}");
        assert!(shown.contains("2 | www \n  |    ^\n") || shown.contains("2 | www\n  |    ^\n"), "{shown}");
    }

    #[test]
    fn columns_are_octets_and_raw_octets_do_no_harm() {
        let shown = report(b"$TTL 5\n\xFF\xC3\xB6 AAA x\n");
        assert!(shown.contains(" --> x.zone:2:5\n"), "{shown}");
        assert!(shown.contains("2 | \u{FFFD}\u{F6} AAA x\n  |    ^^^\n"), "{shown}");
    }

    #[test]
    fn long_lines_are_clipped_around_the_fault() {
        let text = [&b"$TTL 5\na TXT "[..], &b"x ".repeat(20_000), b"\"y"].concat();
        let shown = report(&text);
        assert!(shown.len() < 1_000, "{}", shown.len());
        assert!(shown.contains("x \"y\n"), "{shown}");
    }

    #[test]
    fn faults_are_sorted_and_what_is_not_shown_is_counted() {
        let (mut sources, mut faults) = (Sources::default(), Faults::default());
        let mut files = OneFile(b"$TTL 5\n".to_vec());
        read_zone(&mut files, master(), &Inline, &mut sources, &mut faults, &mut Nobody);
        for line in (1..=FAULTS_MAX as u32 + 7).rev() {
            faults.add(FaultKind::BadTtl, Position { file: 0, line, column: 1 }, 1);
        }
        faults.add(FaultKind::FileEmpty, Position::of_file(9), 0);
        let mut out = String::new();
        write(&faults, &sources, Style::Plain, &mut out);
        assert!(out.ends_with("x.zone: 208 errors, 0 warnings (8 of them not shown)\n"), "{out}");
        assert!(!report(b"$TTL 5\na TXT x\n").contains("error"));
    }
}
