//! Zone files → records (RFC 1035 §5, RFC 2308 §4, RFC 3597 §5), one after another, each handed on as it is read.
//!
//! Owns the state that carries from entry to entry: origin, owner, TTLs, the chain of inclusions. Knows no file system
//! ([`Files`] is asked), no RDATA (`wire::rdata` is), and not what a zone must hold (the sink finds out). An entry with
//! a fault gives no record; reading goes on with the next.

mod generate;
mod hints;
mod limits;
mod load;
mod parts;
mod scan;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::fault::{Bound, DIRECTIVES, FaultKind, Faults, FileError, Hint, Position, Severity, Sources};
use crate::wire::rdata::{TextCause, TextError, Token, TtlError, parse, parse_ttl};
use crate::wire::{Class, Name, NameRef, Shown, Type};
use crate::zonebuild::{Executor, Record, Sink};
use limits::Budget;
use scan::{Scanned, Scanner, Span};

pub use limits::{Limits, REPEATED_OCTETS_MAX};
pub use load::{ZoneFile, load};

/// How deeply files may include files.
pub const INCLUDE_DEPTH_MAX: usize = 32;

/// How many inclusions one zone may have in all; each may be a file of its own, and [`Position`] counts files in 16
/// bits.
pub const INCLUDES_MAX: usize = 10_000;

/// The TTL of a record that has none where none is known, in seconds.
pub const FALLBACK_TTL: u32 = 3_600;

/// Room for RDATA that there is from the start.
const RDATA_BYTES: usize = 512;

/// How many octets of a wrong word a fault repeats.
const SHOWN_WORD_BYTES_MAX: usize = 40;

/// Where files come from, so that nothing here touches a disk.
pub trait Files {
    /// Reads a whole file. `path` is relative to the working folder unless it is absolute.
    ///
    /// # Errors
    /// [`FileError`], which the operator is shown.
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, FileError>;

    /// Reads a file because another one includes it, which may be written by somebody who may not read everything.
    ///
    /// # Errors
    /// [`FileError`], [`FileError::Outside`] among them.
    fn include(&mut self, path: &Path) -> Result<Vec<u8>, FileError> {
        self.read(path)
    }
}

/// A zone's own file, and how it is to be read.
#[derive(Clone, Copy, Debug)]
pub struct MasterFile<'a> {
    /// The file.
    pub path: &'a Path,
    /// Completes relative names until `$ORIGIN` says otherwise.
    pub origin: NameRef<'a>,
    /// How much it and all that it includes may take.
    pub limits: Limits,
}

/// Reads a zone file and all that it includes.
///
/// Records go to `sink` in the order of the text,
/// also when faults were found: whoever takes them asks `faults` at the end. `sources` keeps the files' octets, the
/// zone's own file first, so that faults can be shown; it is meant to be empty. What comes of it is the same with any
/// `executor`.
pub fn read_zone<S: Sink>(
    files: &mut dyn Files,
    master: MasterFile<'_>,
    executor: &dyn Executor,
    sources: &mut Sources,
    faults: &mut Faults,
    sink: &mut S,
) {
    let (state, budget) = (State::new(master.origin.to_name()), Budget::new(master.limits));
    Reader::new(files, executor, sources, faults, sink, state, budget).read(master.path);
}

/// Whether a line that starts with a blank has an owner to repeat.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OwnerState {
    /// None was written yet.
    None,
    /// The last one written is good.
    Known,
    /// The last one written is wrong, or may be, which was reported already.
    Wrong,
}

/// What is wrong with an entry, and with which word of it. Boxed, for it is big and rare.
struct EntryFault {
    kind: FaultKind,
    /// Index of the word; one past the last means the position behind it.
    word: usize,
    /// Octets into the word's text; 0 means the whole word.
    offset: usize,
}

/// The outcome of reading a part of an entry.
type Read<T> = Result<T, Box<EntryFault>>;

/// What stands between owner and RDATA.
struct Head {
    rtype: Type,
    ttl: u32,
    /// Index of the word behind the type.
    next: usize,
}

impl Head {
    /// Whether the RDATA may have `key="value"` as one word (RFC 9460 §2.1).
    fn has_pairs(&self) -> bool {
        matches!(self.rtype, Type::SVCB | Type::HTTPS)
    }
}

/// What carries over from entry to entry.
#[derive(Clone, Copy)]
struct State {
    /// Whether any entry was seen, good or not.
    has_entries: bool,
    origin: Name,
    /// Whether `origin` is the one that was meant: false behind a directive that could not be carried out.
    is_origin_known: bool,
    owner: Name,
    owner_state: OwnerState,
    /// What `$TTL` said last (RFC 2308 §4). As in BIND it holds on behind the end of an included file.
    default_ttl: Option<u32>,
    has_reported_ttl: bool,
}

impl State {
    /// In front of the first entry.
    fn new(origin: Name) -> Self {
        Self {
            has_entries: false,
            origin,
            is_origin_known: true,
            owner: Name::ROOT,
            owner_state: OwnerState::None,
            default_ttl: None,
            has_reported_ttl: false,
        }
    }
}

/// Reads the files of one zone.
struct Reader<'r, S> {
    files: &'r mut dyn Files,
    sources: &'r mut Sources,
    faults: &'r mut Faults,
    sink: &'r mut S,
    executor: &'r dyn Executor,
    /// A text is read in parts of at least so many octets each.
    part_bytes_min: usize,
    /// The files that are being read, the innermost last.
    chain: Vec<PathBuf>,
    include_count: usize,
    budget: Budget,
    /// Whether a bound was overstepped, so that nothing more is read.
    is_over: bool,
    /// Whether any error was reported, of whatever file.
    has_errors: bool,
    /// Whether something in the file at hand was a record or a directive.
    is_zone_text: bool,
    state: State,
    /// The RDATA of the record at hand.
    rdata: Vec<u8>,
}

impl<'r, S: Sink> Reader<'r, S> {
    /// Starts with a state.
    fn new(
        files: &'r mut dyn Files,
        executor: &'r dyn Executor,
        sources: &'r mut Sources,
        faults: &'r mut Faults,
        sink: &'r mut S,
        state: State,
        budget: Budget,
    ) -> Self {
        Self {
            files,
            sources,
            faults,
            sink,
            executor,
            part_bytes_min: parts::PART_BYTES_MIN,
            chain: Vec::new(),
            include_count: 0,
            budget,
            is_over: false,
            has_errors: false,
            is_zone_text: false,
            state,
            rdata: Vec::with_capacity(RDATA_BYTES),
        }
    }

    /// Reads the zone's own file and all that it includes.
    fn read(&mut self, path: &Path) {
        match self.open(path, false) {
            Ok(file) => {
                self.sink.expect(self.sources.octets(file).map_or(0, <[u8]>::len));
                self.chain.push(path.to_owned());
                let is_text = self.read_file(file);
                if is_text && !self.state.has_entries {
                    self.report(FaultKind::FileEmpty, Position::of_file(file), 0);
                }
            }
            Err(kind) => {
                let file = self.sources.add(path, Vec::new());
                self.report(*kind, Position::of_file(file), 0);
            }
        }
    }

    /// Reports a fault.
    fn report(&mut self, kind: FaultKind, position: Position, length: usize) {
        self.has_errors |= kind.severity() == Severity::Error;
        self.is_over |= matches!(kind, FaultKind::ZoneTooLarge { .. });
        self.faults.add(kind, position, length);
    }

    /// Reads a file into the sources, unless it is there already, and gives its index.
    fn open(&mut self, path: &Path, is_included: bool) -> Result<u16, Box<FaultKind>> {
        if let Some(file) = self.sources.find(path) {
            let bytes = self.sources.octets(file).map_or(0, <[u8]>::len);
            self.budget.take(Bound::RepeatedOctets, bytes as u64)?;
            return Ok(file);
        }
        let read = if is_included { self.files.include(path) } else { self.files.read(path) };
        let octets = read.map_err(|cause| Box::new(FaultKind::FileUnreadable { path: path.to_owned(), cause }))?;
        self.budget.take(Bound::Octets, octets.len() as u64)?;
        Ok(self.sources.add(path, octets))
    }

    /// Reads all entries of a file; false if it is no text at all.
    fn read_file(&mut self, file: u16) -> bool {
        let octets = self.sources.share(file);
        if octets.contains(&0) {
            let at = octets.iter().position(|octet| *octet == 0).unwrap_or(0);
            let line_start = octets[..at].iter().rposition(|octet| *octet == b'\n').map_or(0, |newline| newline + 1);
            let line = 1 + octets[..at].iter().filter(|octet| **octet == b'\n').count();
            let span = Span { line: saturated(line), column: at - line_start + 1, length: 1, start: at };
            self.report(FaultKind::FileBinary, position(file, span), 1);
            return false;
        }
        let fresh = self.faults.fork();
        let (outer, was_zone_text) = (mem::replace(self.faults, fresh), mem::take(&mut self.is_zone_text));
        self.read_text(file, &mut Scanner::new(&octets));
        let own = mem::replace(self.faults, outer);
        let first = own.iter().find(|fault| fault.kind.severity() == Severity::Error).map(|fault| fault.position);
        match first {
            Some(position) if !self.is_zone_text => self.faults.add(FaultKind::NotAZoneFile, position, 1),
            _ => self.faults.join([own]),
        }
        self.is_zone_text = was_zone_text;
        true
    }

    /// Reads the entries that begin before `end`.
    fn read_entries(&mut self, file: u16, scanner: &mut Scanner<'_>, end: usize) {
        while scanner.at() < end && !self.is_over {
            let outcome = match scanner.next_entry() {
                Scanned::End => return,
                Scanned::Broken(kind, span) => {
                    let kind = hints::explain(*kind, &scanner.tokens, scanner.tokens.len());
                    self.report(kind, position(file, span), span.length);
                    if !scanner.is_blank_first {
                        self.state.owner_state = OwnerState::Wrong;
                        self.state.is_origin_known &=
                            !scanner.tokens.first().is_some_and(|word| word.text.starts_with(b"$"));
                    }
                    Ok(())
                }
                Scanned::Entry => self.read_entry(file, scanner),
            };
            self.state.has_entries = true;
            if let Err(entry_fault) = outcome {
                let (position, length) = locate(file, scanner, &entry_fault);
                self.report(hints::explain(entry_fault.kind, &scanner.tokens, entry_fault.word), position, length);
            }
        }
    }

    /// Reads one entry: a directive or a record.
    fn read_entry(&mut self, file: u16, scanner: &mut Scanner<'_>) -> Read<()> {
        let first = scanner.tokens[0];
        if first.is_quoted || !first.text.starts_with(b"$") {
            return self.read_record(file, scanner);
        }
        let directive = DIRECTIVES.iter().find(|name| first.text.eq_ignore_ascii_case(name.as_bytes()));
        self.is_zone_text |= directive.is_some();
        match (directive, scanner.is_blank_first) {
            (None, true) => self.read_record(file, scanner),
            (None, false) => {
                self.state.is_origin_known = false; // It may have been meant for $ORIGIN.
                Err(entry_fault(FaultKind::UnknownDirective { word: shown(first.text) }, 0))
            }
            (Some(name), true) => {
                self.state.is_origin_known &= *name != "$ORIGIN";
                Err(entry_fault(FaultKind::IndentedDirective, 0))
            }
            (Some(&"$ORIGIN"), _) => self.set_origin(&scanner.tokens),
            (Some(&"$TTL"), _) => self.set_ttl(&scanner.tokens),
            (Some(&"$INCLUDE"), _) => self.include(file, scanner),
            (Some(_), _) => self.generate(file, scanner),
        }
    }

    /// Reads a record and parallelism it on.
    fn read_record(&mut self, file: u16, scanner: &mut Scanner<'_>) -> Read<()> {
        let mut next = 0;
        if !scanner.is_blank_first {
            // Wrong until it is known to be good, so that one bad owner is reported once.
            self.state.owner_state = OwnerState::Wrong;
            let text = scanner.tokens[0].text;
            let origin = Some(self.state.origin.as_ref());
            self.state.owner.set_text(text, origin).map_err(|cause| entry_fault(FaultKind::BadOwner { cause }, 0))?;
            if self.is_known(text) {
                self.state.owner_state = OwnerState::Known;
            }
            next = 1;
        } else if self.state.owner_state == OwnerState::None {
            self.state.owner_state = OwnerState::Wrong;
            return Err(entry_fault(FaultKind::NoOwner, 0));
        }
        let position = position(file, scanner.spans[0]);
        let head = self.read_head(&scanner.tokens, next, position)?;
        if head.has_pairs() {
            scanner.join_pairs(head.next);
        }
        self.read_rdata(head.rtype, &scanner.tokens[head.next..]).map_err(|error| {
            entry_fault_at(rdata_fault(head.rtype, error.cause), head.next + error.token, error.offset)
        })?;
        self.is_zone_text = true;
        self.report_suspicious(file, scanner);
        if self.state.owner_state == OwnerState::Known {
            self.budget.take(Bound::Records, 1).map_err(|kind| entry_fault(*kind, 0))?;
            let (Head { rtype, ttl, .. }, position) = (head, Some(position));
            self.sink.take(&Record { owner: self.state.owner.as_ref(), rtype, ttl, rdata: &self.rdata, position });
        }
        Ok(())
    }

    /// Reports what a good record holds that nobody means to write. Most texts are ASCII and cost nothing more.
    fn report_suspicious(&mut self, file: u16, scanner: &Scanner<'_>) {
        let owner = &scanner.tokens[0];
        let is_odd =
            !scanner.is_blank_first && !owner.is_quoted && matches!(owner.text.first(), Some(b'#' | b'/' | b'<'));
        if scanner.is_ascii && !is_odd {
            return;
        }
        let comment = Hint::of_comment(owner.text).filter(|_| is_odd).map(|hint| (0, hint));
        let words = scanner.tokens.iter().enumerate().filter(|(_, token)| !token.is_quoted);
        let found =
            comment.or_else(|| words.into_iter().find_map(|(at, token)| Some((at, Hint::in_word(token.text)?))));
        if let Some((at, hint)) = found {
            let span = scanner.spans[at];
            self.report(FaultKind::Suspicious { hint }, position(file, span), span.length);
        }
    }

    /// Reads TTL and class, in either order or missing, and the type, from word `next` on.
    fn read_head(&mut self, tokens: &[Token<'_>], mut next: usize, position: Position) -> Read<Head> {
        let (mut ttl, mut has_class) = (None, false);
        loop {
            let missing = || entry_fault(FaultKind::MissingField { expected: "a record type" }, next);
            // No TTL, class or type has dots or colons: a name or an address stands where the type is missing.
            let is_type_missing = |token: &&Token<'_>| token.text.iter().any(|octet| matches!(octet, b'.' | b':'));
            let token = tokens.get(next).filter(|token| !is_type_missing(token)).ok_or_else(missing)?;
            if token.is_quoted {
                return Err(entry_fault(FaultKind::QuotedField { expected: "a record type" }, next));
            }
            // As it is written nearly always, so that it is not looked for among the types.
            if token.text == b"IN" && !has_class {
                has_class = true;
            } else if ttl.is_none() && token.text.first().is_some_and(u8::is_ascii_digit) {
                ttl = Some(read_ttl(token.text, next)?);
            } else if let Some(rtype) = Type::from_text(token.text) {
                if rtype.is_meta() {
                    return Err(entry_fault(FaultKind::MetaType { rtype }, next));
                }
                return Ok(Head { rtype, ttl: self.choose_ttl(ttl, position), next: next + 1 });
            } else {
                match Class::from_text(token.text).filter(|_| !has_class) {
                    Some(Class::IN) => has_class = true,
                    Some(class) => return Err(entry_fault(FaultKind::ClassNotIn { class }, next)),
                    None => return Err(entry_fault(FaultKind::UnknownType { word: shown(token.text) }, next)),
                }
            }
            next += 1;
        }
    }

    /// The TTL of a record: its own, else what `$TTL` said (RFC 2308 §4). Never that of the record before it, which
    /// RFC 1035 §5.1 has and which changes with every record that is put between.
    fn choose_ttl(&mut self, written: Option<u32>, position: Position) -> u32 {
        written.or(self.state.default_ttl).unwrap_or_else(|| {
            // An entry that could not be read may have been the one with the TTL.
            if !self.state.has_reported_ttl && !self.has_errors {
                self.state.has_reported_ttl = true;
                self.faults.add(FaultKind::NoTtl { used: FALLBACK_TTL }, position, 0);
            }
            FALLBACK_TTL
        })
    }

    /// Reads RDATA into the buffer for it.
    fn read_rdata(&mut self, rtype: Type, tokens: &[Token<'_>]) -> Result<(), TextError> {
        self.rdata.clear();
        parse(rtype, tokens, Some(self.state.origin.as_ref()), &mut self.rdata)
    }

    /// Carries out `$ORIGIN name` (RFC 1035 §5.1).
    fn set_origin(&mut self, tokens: &[Token<'_>]) -> Read<()> {
        // Not known until it is, so that what follows a broken directive has no second faults.
        let is_known = tokens.get(1).is_some_and(|name| self.is_known(name.text));
        self.state.is_origin_known = false;
        let name = tokens.get(1).ok_or_else(|| entry_fault(FaultKind::MissingField { expected: "a name" }, 1))?;
        end_at(tokens, 2)?;
        self.state.origin = self.read_origin(*name, 1)?;
        self.state.is_origin_known = is_known;
        Ok(())
    }

    /// Whether a name is the one that was meant: it is absolute, or what completes it is known.
    fn is_known(&self, name: &[u8]) -> bool {
        self.state.is_origin_known || Name::from_text(name, None).is_ok()
    }

    /// Reads the name of an origin, which the one before completes.
    fn read_origin(&self, name: Token<'_>, word: usize) -> Read<Name> {
        Name::from_text(name.text, Some(self.state.origin.as_ref()))
            .map_err(|cause| entry_fault(FaultKind::BadOrigin { cause }, word))
    }

    /// Carries out `$TTL seconds` (RFC 2308 §4).
    fn set_ttl(&mut self, tokens: &[Token<'_>]) -> Read<()> {
        let ttl = tokens.get(1).ok_or_else(|| entry_fault(FaultKind::MissingField { expected: "a TTL" }, 1))?;
        if ttl.is_quoted {
            return Err(entry_fault(FaultKind::QuotedField { expected: "a TTL" }, 1));
        }
        end_at(tokens, 2)?;
        self.state.default_ttl = Some(read_ttl(ttl.text, 1)?);
        Ok(())
    }

    /// Carries out `$INCLUDE file [origin]`; origin and owner are restored behind it (RFC 1035 §5.1).
    fn include(&mut self, file: u16, scanner: &Scanner<'_>) -> Read<()> {
        let tokens = &scanner.tokens;
        let name = tokens.get(1).ok_or_else(|| entry_fault(FaultKind::MissingField { expected: "a file" }, 1))?;
        end_at(tokens, 3)?;
        let (origin, is_origin_known) = match tokens.get(2) {
            Some(origin) => (self.read_origin(*origin, 2)?, self.is_known(origin.text)),
            None => (self.state.origin, self.state.is_origin_known),
        };
        let including = self.sources.path(file).unwrap_or(Path::new(""));
        let path = including.parent().unwrap_or(Path::new("")).join(OsStr::from_bytes(&unescaped(name.text)));
        // Loops over links of the file system go on until the depth ends them.
        if self.chain.contains(&path) {
            return Err(entry_fault(FaultKind::IncludeLoop { path }, 1));
        }
        if self.chain.len() > INCLUDE_DEPTH_MAX {
            return Err(entry_fault(FaultKind::IncludeTooDeep { max: INCLUDE_DEPTH_MAX }, 0));
        }
        self.include_count += 1;
        if self.include_count > INCLUDES_MAX {
            return Err(entry_fault(FaultKind::TooManyIncludes { max: INCLUDES_MAX }, 0));
        }
        let included = self.open(&path, true).map_err(|kind| entry_fault(*kind, 1))?;
        let before = (self.state.origin, self.state.is_origin_known, self.state.owner, self.state.owner_state);
        (self.state.origin, self.state.is_origin_known) = (origin, is_origin_known);
        self.chain.push(path);
        self.read_file(included);
        self.chain.pop();
        (self.state.origin, self.state.is_origin_known, self.state.owner, self.state.owner_state) = before;
        Ok(())
    }
}

/// Reads a TTL that begins with a digit or stands where only a TTL can.
fn read_ttl(text: &[u8], word: usize) -> Read<u32> {
    parse_ttl(text).map_err(|error| match error {
        TtlError::Malformed => entry_fault(FaultKind::BadTtl, word),
        TtlError::TooLarge => entry_fault(FaultKind::TtlTooLarge, word),
    })
}

/// Makes sure that an entry has no more than `count` words.
fn end_at(tokens: &[Token<'_>], count: usize) -> Read<()> {
    if tokens.len() > count { Err(entry_fault(FaultKind::SurplusField, count)) } else { Ok(()) }
}

/// Reports what the RDATA lacks as what any entry lacks.
fn rdata_fault(rtype: Type, cause: TextCause) -> FaultKind {
    match cause {
        TextCause::Missing(expected) => FaultKind::MissingField { expected },
        TextCause::Leftover => FaultKind::SurplusField,
        cause => FaultKind::BadRdata { rtype, cause },
    }
}

/// A fault of a whole word.
fn entry_fault(kind: FaultKind, word: usize) -> Box<EntryFault> {
    entry_fault_at(kind, word, 0)
}

/// A fault inside a word.
fn entry_fault_at(kind: FaultKind, word: usize, offset: usize) -> Box<EntryFault> {
    Box::new(EntryFault { kind, word, offset })
}

/// Finds the position of a fault and the octets to underline.
fn locate(file: u16, scanner: &Scanner<'_>, entry_fault: &EntryFault) -> (Position, usize) {
    if let (Some(span), Some(token)) = (scanner.spans.get(entry_fault.word), scanner.tokens.get(entry_fault.word)) {
        let inside = entry_fault.offset + usize::from(token.is_quoted && entry_fault.offset > 0);
        let inside = inside.min(span.length);
        let span = Span { column: span.column + inside, length: (span.length - inside).max(1), ..*span };
        return (position(file, span), span.length);
    }
    let last = scanner.spans.last().copied().unwrap_or_default();
    (position(file, Span { column: last.column + last.length, ..last }), 1)
}

/// The position of a word.
fn position(file: u16, span: Span) -> Position {
    Position { file, line: span.line, column: u16::try_from(span.column).unwrap_or(u16::MAX) }
}

/// A line number as positions have it.
fn saturated(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// A word as a message repeats it: clipped, and readable whatever its octets.
fn shown(text: &[u8]) -> Box<str> {
    let is_clipped = text.len() > SHOWN_WORD_BYTES_MAX;
    let kept = Shown::text(&String::from_utf8_lossy(&text[..text.len().min(SHOWN_WORD_BYTES_MAX)])).to_string();
    if is_clipped { format!("{kept}…").into() } else { kept.into() }
}

/// Takes the backslashes in front of other octets off, as in names of files.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(octet) = rest.next() {
        octets.push(*if *octet == b'\\' { rest.next().unwrap_or(octet) } else { octet });
    }
    octets
}
