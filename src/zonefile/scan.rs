//! Octets → entries of words (RFC 1035 §5.1): blanks, comments, quotes, escapes, parentheses over lines.
//!
//! Owns where every word stands. Knows nothing of owners, types or directives. A carriage return is a blank, so that
//! CRLF needs no care of its own.

use crate::fault::FaultKind;
use crate::wire::rdata::Token;

/// The most words of one entry: RDATA of 65,535 octets in base64, cut into single characters, fits.
pub(super) const ENTRY_WORDS_MAX: usize = 131_072;

/// Room for words that there is from the start.
const ENTRY_WORDS: usize = 16;

/// How often one file is read again behind a parenthesis that is never closed, to find what else is wrong with it.
const RECOVERIES_MAX: usize = 8;

/// Where a word stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    /// Its line, from 1.
    pub(super) line: u32,
    /// Its column in octets, from 1; that of the opening quote if there is one.
    pub(super) column: usize,
    /// Octets as written, quotes included.
    pub(super) length: usize,
    /// The same position as an offset into the file.
    pub(super) start: usize,
}

/// What came of the search for the next entry.
#[derive(Debug)]
pub(super) enum Scanned {
    /// There is no further entry.
    End,
    /// The words of one are there.
    Entry,
    /// The text is broken here; the scanner goes on behind it. The fault is boxed, for it is big and rare.
    Broken(Box<FaultKind>, Span),
}

/// Cuts text into entries, one at a time.
pub(super) struct Scanner<'a> {
    octets: &'a [u8],
    at: usize,
    line: u32,
    /// Offset of the first octet of the line.
    line_start: usize,
    /// Whether all of the text from where it started is ASCII.
    pub(super) is_ascii: bool,
    /// Whether the entry began with a blank, so that it repeats an owner.
    pub(super) is_blank_first: bool,
    /// The words of the entry.
    pub(super) tokens: Vec<Token<'a>>,
    /// Where they stand.
    pub(super) spans: Vec<Span>,
    /// Parentheses that are open.
    depth: usize,
    /// The outermost of them.
    opening: Span,
    recoveries: usize,
}

impl<'a> Scanner<'a> {
    /// Starts at the first octet.
    pub(super) fn new(octets: &'a [u8]) -> Self {
        // Windows editors put a byte order mark in front of UTF-8; columns count it.
        let at = if octets.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        Self::start(octets, at, 1, 0)
    }

    /// Starts at the first octet of line `line`, behind the end of an entry.
    pub(super) fn at_line(octets: &'a [u8], at: usize, line: u32) -> Self {
        // The first line starts in front of its byte order mark.
        Self::start(octets, at, line, if line == 1 { 0 } else { at })
    }

    /// Starts at an octet of a line that starts at `line_start`.
    fn start(octets: &'a [u8], at: usize, line: u32, line_start: usize) -> Self {
        Self {
            octets,
            at,
            line,
            line_start,
            is_ascii: octets[at..].is_ascii(),
            is_blank_first: false,
            tokens: Vec::with_capacity(ENTRY_WORDS),
            spans: Vec::with_capacity(ENTRY_WORDS),
            depth: 0,
            opening: Span::default(),
            recoveries: 0,
        }
    }

    /// The whole text.
    pub(super) fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// Where it stands: between two entries, at the start of a line or the end of the text.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The line where it stands, from 1.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// Goes on at the first octet of line `line`, behind what another scanner has read.
    pub(super) fn skip_to(&mut self, at: usize, line: u32) {
        (self.at, self.line, self.line_start) = (at, line, at);
    }

    /// Finds the next entry that has words. Cost: one look at each octet, no allocation once the buffers have grown.
    pub(super) fn next_entry(&mut self) -> Scanned {
        self.start_entry();
        loop {
            let Some(&octet) = self.octets.get(self.at) else {
                return match (self.depth, self.tokens.is_empty()) {
                    (0, true) => Scanned::End,
                    (0, false) => Scanned::Entry,
                    _ => self.break_off(FaultKind::ParenthesisOpen, self.opening),
                };
            };
            match KINDS[usize::from(octet)] {
                Kind::Blank => self.at += 1,
                Kind::Newline => {
                    self.step_line();
                    if self.depth == 0 {
                        match self.tokens.is_empty() {
                            true => self.start_entry(),
                            false => return Scanned::Entry,
                        }
                    }
                }
                Kind::Comment => self.skip_line(),
                Kind::Open => {
                    if self.depth == 0 {
                        self.opening = self.span(self.at, self.at + 1);
                    }
                    self.depth += 1;
                    self.at += 1;
                }
                Kind::Close if self.depth == 0 => {
                    let span = self.span(self.at, self.at + 1);
                    return self.break_off(FaultKind::ParenthesisClose, span);
                }
                Kind::Close => {
                    self.depth -= 1;
                    self.at += 1;
                }
                Kind::Quote => {
                    if let Err(span) = self.take_quoted() {
                        return self.break_off(FaultKind::QuoteOpen, span);
                    }
                }
                Kind::Plain | Kind::Escape => self.take_word(),
            }
            if self.tokens.len() > ENTRY_WORDS_MAX {
                let kind = match self.depth {
                    0 => FaultKind::EntryTooLong { max: ENTRY_WORDS_MAX },
                    _ => FaultKind::ParenthesisOpen,
                };
                let span = if self.depth == 0 { self.spans.first().copied().unwrap_or_default() } else { self.opening };
                return self.break_off(kind, span);
            }
        }
    }

    /// Makes one word of `key=` and the quoted value that opens directly behind it, from word `first` on, quotes kept
    /// as written (RFC 9460 §2.1, appendix A).
    pub(super) fn join_pairs(&mut self, first: usize) {
        let mut kept = first;
        for index in first..self.tokens.len() {
            let (token, span) = (self.tokens[index], self.spans[index]);
            let before = kept.checked_sub(1).filter(|before| *before >= first).filter(|before| {
                let (key, position) = (self.tokens[*before], self.spans[*before]);
                let is_key = !key.is_quoted && key.text.ends_with(b"=");
                is_key && token.is_quoted && position.start + position.length == span.start
            });
            if let Some(before) = before {
                self.spans[before].length += span.length;
                let Span { start, length, .. } = self.spans[before];
                self.tokens[before].text = &self.octets[start..start + length];
            } else {
                (self.tokens[kept], self.spans[kept]) = (token, span);
                kept += 1;
            }
        }
        self.tokens.truncate(kept);
        self.spans.truncate(kept);
    }

    /// Forgets the words of the entry before.
    fn start_entry(&mut self) {
        self.tokens.clear();
        self.spans.clear();
        self.depth = 0;
        self.is_blank_first = matches!(self.octets.get(self.at), Some(b' ' | b'\t' | b'\r'));
    }

    /// Takes a word that has no quotes: to the next blank, quote, parenthesis, comment or end of line.
    fn take_word(&mut self) {
        let start = self.at;
        loop {
            self.at += plain_octets(&self.octets[self.at..]);
            self.at += match self.octets[self.at..] {
                // An escape at the end of the line is reported where the word is used.
                [b'\\', b'\n', ..] | [b'\\'] => 1,
                [b'\\', ..] => 2,
                _ => break,
            };
        }
        self.push(&self.octets[start..self.at], false, start);
    }

    /// Takes a word in quotes; the error is what of it stands on the line.
    fn take_quoted(&mut self) -> Result<(), Span> {
        let start = self.at;
        let mut at = start + 1;
        loop {
            match self.octets.get(at) {
                None | Some(b'\n') => return Err(self.span(start, start + 1)),
                Some(b'"') => break,
                Some(b'\\') if !matches!(self.octets.get(at + 1), None | Some(b'\n')) => at += 2,
                Some(_) => at += 1,
            }
        }
        self.at = at + 1;
        self.push(&self.octets[start + 1..at], true, start);
        Ok(())
    }

    /// Adds a word that began at `start` and has just been passed.
    fn push(&mut self, text: &'a [u8], is_quoted: bool, start: usize) {
        self.tokens.push(Token { text, is_quoted });
        self.spans.push(self.span(start, self.at));
    }

    /// The position of the octets from `start` to `end` on this line.
    fn span(&self, start: usize, end: usize) -> Span {
        Span { line: self.line, column: start - self.line_start + 1, length: end - start, start }
    }

    /// Passes the line feed that is next.
    fn step_line(&mut self) {
        self.at += 1;
        self.line = self.line.saturating_add(1);
        self.line_start = self.at;
    }

    /// Goes to the line feed that ends this line.
    fn skip_line(&mut self) {
        let rest = &self.octets[self.at..];
        self.at += rest.iter().position(|octet| *octet == b'\n').unwrap_or(rest.len());
    }

    /// Reports broken text and finds a position to go on from.
    ///
    /// Where a parenthesis is open, what follows probably still belongs to the entry: the next one is taken to start
    /// at the next line that has something other than a blank or `)` in its first column. A parenthesis that nothing
    /// closes has swallowed everything, so the search starts again behind its line, a bounded number of times.
    fn break_off(&mut self, kind: FaultKind, span: Span) -> Scanned {
        if matches!(kind, FaultKind::ParenthesisOpen) {
            if self.recoveries >= RECOVERIES_MAX {
                self.at = self.octets.len();
                return Scanned::Broken(Box::new(kind), span);
            }
            self.recoveries += 1;
            (self.at, self.line, self.line_start) = (span.start, span.line, span.start + 1 - span.column);
        }
        self.skip_line();
        while self.at < self.octets.len() {
            self.step_line();
            let is_continued = matches!(self.octets.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n' | b')'));
            if self.depth == 0 || !is_continued {
                break;
            }
            self.skip_line();
        }
        Scanned::Broken(Box::new(kind), span)
    }
}

/// How many octets at the start are [`Kind::Plain`]. A loop of its own, which keeps what it knows in registers.
fn plain_octets(octets: &[u8]) -> usize {
    octets.iter().position(|octet| !matches!(KINDS[usize::from(*octet)], Kind::Plain)).unwrap_or(octets.len())
}

/// What an octet is to the scanner.
#[derive(Clone, Copy)]
enum Kind {
    /// Part of a word.
    Plain,
    /// Space, tab, carriage return.
    Blank,
    /// Line feed.
    Newline,
    /// `;`
    Comment,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `"`
    Quote,
    /// `\`
    Escape,
}

/// The kind of each octet.
const KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Plain; 256];
    kinds[b' ' as usize] = Kind::Blank;
    kinds[b'\t' as usize] = Kind::Blank;
    kinds[b'\r' as usize] = Kind::Blank;
    kinds[b'\n' as usize] = Kind::Newline;
    kinds[b';' as usize] = Kind::Comment;
    kinds[b'(' as usize] = Kind::Open;
    kinds[b')' as usize] = Kind::Close;
    kinds[b'"' as usize] = Kind::Quote;
    kinds[b'\\' as usize] = Kind::Escape;
    kinds
};

#[cfg(test)]
mod tests {
    use super::*;

    /// All entries of `text`, words joined by `|`; faults by their code and position.
    fn entries(text: &[u8]) -> Vec<String> {
        let mut scanner = Scanner::new(text);
        let mut found = Vec::new();
        loop {
            match scanner.next_entry() {
                Scanned::End => return found,
                Scanned::Broken(kind, span) => found.push(format!("!{} {}:{}", kind.code(), span.line, span.column)),
                Scanned::Entry => {
                    let words = scanner.tokens.iter().map(|token| match token.is_quoted {
                        true => format!("<{}>", String::from_utf8_lossy(token.text)),
                        false => String::from_utf8_lossy(token.text).into_owned(),
                    });
                    let words = words.collect::<Vec<_>>().join("|");
                    found.push(if scanner.is_blank_first { format!("_|{words}") } else { words });
                }
            }
        }
    }

    #[test]
    fn entries_are_cut_into_words() {
        for (text, expected) in [
            (&b""[..], &[][..]),
            (b"\n \t\n;x\n  ; y", &[]),
            (b"a b", &["a|b"]),
            (b"a\tb\r\n c\r\n", &["a|b", "_|c"]),
            (b"a;b\nc", &["a", "c"]),
            (b"a (b ; c )\n d)e\nf", &["a|b|d|e", "f"]),
            (b"a ( ( b ) \n )", &["a|b"]),
            (b"()\n( )a", &["a"]),
            (b"(a b)", &["a|b"]),
            (b" (a b)", &["_|a|b"]),
            (b"\"a;(b\" \"\" \"\\\"\"", &["<a;(b>|<>|<\\\">"]),
            (b"a\"b\"c", &["a|<b>|c"]),
            (b"a\\;b\\ c\\\"d\\(e", &["a\\;b\\ c\\\"d\\(e"]),
            (b"a\\\nb", &["a\\", "b"]),
            (b"a\\", &["a\\"]),
            (b"\xEF\xBB\xBFa", &["a"]),
        ] {
            assert_eq!(entries(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn broken_text_is_reported_once_and_passed() {
        for (text, expected) in [
            (&b"a )b\nc"[..], &["!parenthesis-close 1:3", "c"][..]),
            (b"a \"b\nc", &["!quote-open 1:3", "c"]),
            (b"a \"b\\\nc", &["!quote-open 1:3", "c"]),
            (b"a (\n 1 \"x )\n 2 )\nc", &["!quote-open 2:4", "c"]),
            (b"a (b\nc d\ne )x(\nf", &["!parenthesis-open 3:5", "f"]),
            (b"a (b\n 1\nc d\ne f", &["!parenthesis-open 1:3", "c|d", "e|f"]),
            (b"a (", &["!parenthesis-open 1:3"]),
        ] {
            assert_eq!(entries(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_quoted_value_joins_its_key_only_if_it_touches_it() {
        let mut scanner = Scanner::new(b"a=\"b c\" d= \"e\" f\"g\" h=\"i\"\"j\"");
        assert!(matches!(scanner.next_entry(), Scanned::Entry));
        scanner.join_pairs(0);
        let words: Vec<_> = scanner.tokens.iter().map(|token| String::from_utf8_lossy(token.text)).collect();
        assert_eq!(words, ["a=\"b c\"", "d=", "e", "f", "g", "h=\"i\"", "j"]);
    }
}
