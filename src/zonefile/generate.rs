//! `$GENERATE range lhs [ttl] [class] type rhs`: records by the number, as BIND writes them.
//!
//! In `lhs` and `rhs`, `$` stands for the number, `${offset,width,base}` for the number changed and padded, `$$` and
//! `\$` for a dollar sign. `rhs` is one word; RDATA of several fields stands in quotes. Faults of the records that are
//! made are reported once a directive, at the template that made them.

use crate::fault::{Bound, FaultKind, GenerateCause};
use crate::wire::Name;
use crate::wire::rdata::Token;
use crate::zonefile::scan::{Scanned, Scanner};
use crate::zonefile::{Read, Reader, Record, Sink, end_at, entry_fault, entry_fault_at, position, rdata_fault};

/// The largest number that a range may hold, and that may come of one with its offset.
const NUMBER_MAX: i64 = i32::MAX as i64;

/// The widest number, as in BIND.
const WIDTH_MAX: usize = 127;

/// The longest text that a template may make: RDATA of 65,535 octets in decimal escapes, and room for its fields.
const TEXT_BYTES_MAX: usize = 300_000;

/// The numbers that `$` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u32,
    stop: u32,
    step: u32,
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    /// `d`
    Decimal,
    /// `o`
    Octal,
    /// `x`
    HexLower,
    /// `X`
    HexUpper,
    /// `n`: hexadecimal digits from the last to the first with dots between them, as in `ip6.arpa`.
    NibblesLower,
    /// `N`
    NibblesUpper,
}

/// A part of a template.
#[derive(Debug)]
enum Piece {
    /// These octets.
    Text(Vec<u8>),
    /// A number.
    Number { offset: i32, width: usize, base: Base },
}

/// What a name or RDATA is made from.
#[derive(Debug)]
struct Template(Vec<Piece>);

impl<S: Sink> Reader<'_, S> {
    /// Carries out `$GENERATE`.
    pub(super) fn generate(&mut self, file: u16, scanner: &Scanner<'_>) -> Read<()> {
        let tokens = &scanner.tokens;
        let field = |word: usize, expected: &'static str| match tokens.get(word) {
            Some(token) => Ok(*token),
            None => Err(entry_fault(FaultKind::MissingField { expected }, word)),
        };
        let range = Range::parse(field(1, "a range such as 1-100 or 0-255/16")?)?;
        let lhs = Template::parse(field(2, "an owner, with $ where the number belongs")?, 2)?;
        let position = position(file, scanner.spans[0]);
        let head = self.read_head(tokens, 3, position)?;
        let rhs_word = head.next;
        let rhs = Template::parse(field(rhs_word, "the record's data, in quotes if it has several fields")?, rhs_word)?;
        end_at(tokens, rhs_word + 1)?;
        self.budget.take(Bound::GenerateSteps, range.step_count()).map_err(|kind| entry_fault(*kind, 1))?;
        let (mut owner_text, mut rhs_text) = (Vec::new(), Vec::new());
        for value in (range.start..=range.stop).step_by(range.step as usize) {
            let generated = |kind: FaultKind, word: usize| match kind {
                FaultKind::Generate { .. } => entry_fault(kind, word),
                kind => entry_fault(FaultKind::Generated { value, kind: Box::new(kind) }, word),
            };
            lhs.write(value, &mut owner_text).map_err(|cause| generated(FaultKind::Generate { cause }, 2))?;
            rhs.write(value, &mut rhs_text).map_err(|cause| generated(FaultKind::Generate { cause }, rhs_word))?;
            let owner = Name::from_text(&owner_text, Some(self.state.origin.as_ref()))
                .map_err(|cause| generated(FaultKind::BadOwner { cause }, 2))?;
            let mut scanner = Scanner::new(&rhs_text);
            if let Scanned::Broken(kind, _) = scanner.next_entry() {
                return Err(generated(*kind, rhs_word));
            }
            if head.has_pairs() {
                scanner.join_pairs(0);
            }
            self.read_rdata(head.rtype, &scanner.tokens)
                .map_err(|error| generated(rdata_fault(head.rtype, error.cause), rhs_word))?;
            let (rtype, ttl) = (head.rtype, head.ttl);
            if self.is_known(&owner_text) {
                let bytes = owner.as_ref().len() + self.rdata.len();
                self.budget.take(Bound::GenerateOctets, bytes as u64).map_err(|kind| entry_fault(*kind, 0))?;
                self.budget.take(Bound::Records, 1).map_err(|kind| entry_fault(*kind, 0))?;
                self.sink.take(&Record {
                    owner: owner.as_ref(),
                    rtype,
                    ttl,
                    rdata: &self.rdata,
                    position: Some(position),
                });
            }
        }
        Ok(())
    }
}

impl Range {
    /// Reads `start-stop` or `start-stop/step`, the word behind the directive.
    fn parse(token: Token<'_>) -> Read<Self> {
        let fault = |cause, offset| entry_fault_at(FaultKind::Generate { cause }, 1, offset);
        let text = token.text;
        let (start, after_start) = number(text, 0).map_err(|cause| fault(cause, 0))?;
        if text.get(after_start) != Some(&b'-') {
            return Err(fault(GenerateCause::Range, after_start));
        }
        let stop_at = after_start + 1;
        let (stop, after_stop) = number(text, stop_at).map_err(|cause| fault(cause, stop_at))?;
        let step_at = after_stop + 1;
        let (step, end) = match text.get(after_stop) {
            Some(b'/') => number(text, step_at).map_err(|cause| fault(cause, step_at))?,
            _ => (1, after_stop),
        };
        if end != text.len() {
            return Err(fault(GenerateCause::Range, end));
        }
        if step == 0 {
            return Err(fault(GenerateCause::StepZero, step_at));
        }
        if stop < start {
            return Err(fault(GenerateCause::RangeBackwards, 0));
        }
        Ok(Self { start, stop, step })
    }

    /// How many numbers it has.
    fn step_count(self) -> u64 {
        u64::from((self.stop - self.start) / self.step) + 1
    }
}

/// Reads the decimal digits from `at` on; gives the number and the offset behind it.
fn number(text: &[u8], at: usize) -> Result<(u32, usize), GenerateCause> {
    let digits = text.get(at..).unwrap_or_default();
    let count = digits.iter().take_while(|octet| octet.is_ascii_digit()).count();
    if count == 0 {
        return Err(GenerateCause::Range);
    }
    let value = digits[..count].iter().fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0')).min(NUMBER_MAX + 1)
    });
    let value = u32::try_from(value).ok().filter(|value| i64::from(*value) <= NUMBER_MAX);
    Ok((value.ok_or(GenerateCause::RangeNumber)?, at + count))
}

impl Template {
    /// Cuts a word into text and numbers; `word` is its index.
    fn parse(token: Token<'_>, word: usize) -> Read<Self> {
        let (mut pieces, mut text, mut at) = (Vec::new(), Vec::new(), 0);
        while let Some(octet) = token.text.get(at) {
            let rest = &token.text[at + 1..];
            match (octet, rest) {
                // The quotes of a quoted word are off, and so are the escapes that kept it from ending.
                (b'\\', [b'"', ..]) if token.is_quoted => {
                    text.push(b'"');
                    at += 2;
                }
                (b'\\', [escaped, ..]) => {
                    text.extend_from_slice(&[b'\\', *escaped]);
                    at += 2;
                }
                (b'$', [b'$', ..]) => {
                    text.push(b'$');
                    at += 2;
                }
                (b'$', _) => {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                    let (piece, length) = Piece::parse(rest)
                        .map_err(|(cause, offset)| entry_fault_at(FaultKind::Generate { cause }, word, at + offset))?;
                    pieces.push(piece);
                    at += 1 + length;
                }
                _ => {
                    text.push(*octet);
                    at += 1;
                }
            }
        }
        pieces.push(Piece::Text(text));
        Ok(Self(pieces))
    }

    /// Writes the text for one number in position of what `out` holds.
    fn write(&self, value: u32, out: &mut Vec<u8>) -> Result<(), GenerateCause> {
        out.clear();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Number { offset, width, base } => {
                    let number = i64::from(value) + i64::from(*offset);
                    let number = i32::try_from(number).map_err(|_| GenerateCause::Number)?;
                    base.write(number, *width, out)?;
                }
            }
            if out.len() > TEXT_BYTES_MAX {
                return Err(GenerateCause::TooLong { max: TEXT_BYTES_MAX });
            }
        }
        Ok(())
    }
}

impl Piece {
    /// Reads what follows `$`: nothing, or `{offset}`, `{offset,width}`, `{offset,width,base}`; gives its length too.
    /// The error holds the offset from the `$`.
    fn parse(text: &[u8]) -> Result<(Self, usize), (GenerateCause, usize)> {
        let Some(inside) = text.strip_prefix(b"{") else {
            return Ok((Self::Number { offset: 0, width: 0, base: Base::Decimal }, 0));
        };
        let length = inside.iter().position(|octet| *octet == b'}').ok_or((GenerateCause::Modifier, 0))?;
        let inside = std::str::from_utf8(&inside[..length]).map_err(|_| (GenerateCause::Modifier, 0))?;
        let mut fields = inside.split(',');
        let offset: i32 = fields.next().unwrap_or("").parse().map_err(|_| (GenerateCause::Modifier, 0))?;
        let width: usize = match fields.next() {
            Some(width) if width.bytes().all(|octet| octet.is_ascii_digit()) && !width.is_empty() => {
                width.parse().unwrap_or(usize::MAX)
            }
            Some(_) => return Err((GenerateCause::Modifier, 0)),
            None => 0,
        };
        if width > WIDTH_MAX {
            return Err((GenerateCause::Width { max: WIDTH_MAX }, 0));
        }
        let base = match fields.next() {
            None | Some("d") => Base::Decimal,
            Some("o") => Base::Octal,
            Some("x") => Base::HexLower,
            Some("X") => Base::HexUpper,
            Some("n") => Base::NibblesLower,
            Some("N") => Base::NibblesUpper,
            // The base is the last field: it ends where the brace is.
            Some(other) => return Err((GenerateCause::Base, 2 + length - other.len().min(length))),
        };
        match fields.next() {
            None => Ok((Self::Number { offset, width, base }, length + 2)),
            Some(_) => Err((GenerateCause::Modifier, 0)),
        }
    }
}

impl Base {
    /// Appends a number of at least `width` characters. A negative one is written as C does it: with a sign in
    /// decimal, as its two's complement in octal and hexadecimal; nibbles of it would never end.
    fn write(self, number: i32, width: usize, out: &mut Vec<u8>) -> Result<(), GenerateCause> {
        let text = match self {
            Self::Decimal => format!("{number:0width$}"),
            Self::Octal => format!("{number:0width$o}"),
            Self::HexLower => format!("{number:0width$x}"),
            Self::HexUpper => format!("{number:0width$X}"),
            Self::NibblesLower | Self::NibblesUpper => {
                return write_nibbles(number, width, self == Self::NibblesUpper, out);
            }
        };
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Appends hexadecimal digits from the last to the first, dots between them; `width` counts the dots too, so that an
/// even one ends with a dot.
fn write_nibbles(number: i32, width: usize, is_upper: bool, out: &mut Vec<u8>) -> Result<(), GenerateCause> {
    let mut rest = u32::try_from(number).map_err(|_| GenerateCause::Number)?;
    let mut wanted = width;
    loop {
        let digit = char::from_digit(rest & 15, 16).unwrap_or('0');
        out.push(if is_upper { digit.to_ascii_uppercase() } else { digit } as u8);
        rest >>= 4;
        wanted = wanted.saturating_sub(1);
        if rest == 0 && wanted == 0 {
            return Ok(());
        }
        out.push(b'.');
        wanted = wanted.saturating_sub(1);
        if rest == 0 && wanted == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a template makes of a number; faults by what they say.
    fn made(text: &str, value: u32) -> Result<String, String> {
        let template = Template::parse(Token { text: text.as_bytes(), is_quoted: false }, 0);
        let template = template.map_err(|entry_fault| format!("{}@{}", entry_fault.kind, entry_fault.offset))?;
        let mut out = Vec::new();
        template.write(value, &mut out).map_err(|cause| cause.to_string())?;
        Ok(String::from_utf8(out).expect("ASCII"))
    }

    #[test]
    fn numbers_are_written_as_bind_writes_them() {
        for (template, value, expected) in [
            ("h$", 7, "h7"),
            ("$", 0, "0"),
            ("$-$", 3, "3-3"),
            ("a$$b\\$c$", 300, "a$b\\$c300"),
            ("x\\\\$", 1, "x\\\\1"),
            ("${10}", 5, "15"),
            ("${+1,2,d}z", 1, "02z"),
            ("${-5}", 2, "-3"),
            ("${10,3}", 1, "011"),
            ("${-5,3,x}", 1, "fffffffc"),
            ("${-5,4,d}", 2, "-003"),
            ("${0,4,x}", 15, "000f"),
            ("${0,4,X}", 15, "000F"),
            ("${0,2,o}", 15, "17"),
            ("${0,3,n}", 15, "f.0"),
            ("${0,3,n}", 16, "0.1"),
            ("${0,0,N}", 15, "F"),
            ("${0,1,n}", 300, "c.2.1"),
            ("${0,8,n}rev", 16, "0.1.0.0.rev"),
            ("${0,7,N}.rev", 15, "F.0.0.0.rev"),
            ("${0,2,n}rev", 5, "5.rev"),
        ] {
            assert_eq!(made(template, value), Ok(expected.to_owned()), "{template}");
        }
    }

    #[test]
    fn bad_modifiers_are_refused() {
        for template in ["${1", "${}", "${1,}", "${2,d}", "${2,3,d,4}", "${ 1}", "${1,-3}", "${99999999999}"] {
            assert!(made(template, 1).is_err_and(|fault| fault.starts_with("this is no modifier")), "{template}");
        }
        assert!(made("${2,3,dd}", 1).is_err_and(|fault| fault.starts_with("unknown base")));
        assert!(made("${2,3,q}", 1).is_err_and(|fault| fault == "unknown base: expected d, o, x, X, n or N@6"));
        assert!(made("${0,128}", 1).is_err_and(|fault| fault.starts_with("the width is larger than 127")));
        assert!(made("${1}", 2_147_483_647).is_err());
        assert!(made("${-5,1,n}", 1).is_err(), "nibbles of a negative number would never end");
    }

    #[test]
    fn ranges_are_checked() {
        let parse = |text: &str| {
            let range = Range::parse(Token { text: text.as_bytes(), is_quoted: false });
            range.map_err(|entry_fault| (entry_fault.kind.to_string(), entry_fault.offset))
        };
        assert_eq!(parse("1-9/4"), Ok(Range { start: 1, stop: 9, step: 4 }));
        assert_eq!(parse("001-2"), Ok(Range { start: 1, stop: 2, step: 1 }));
        assert_eq!(
            parse("2147483647-2147483647"),
            Ok(Range { start: i32::MAX as u32, stop: i32::MAX as u32, step: 1 })
        );
        let count = |text: &str| parse(text).map(Range::step_count);
        assert_eq!((count("0-2147483647"), count("1-9/4"), count("7-7/9")), (Ok(1 << 31), Ok(3), Ok(1)));
        for (text, offset) in [("", 0), ("1", 1), ("1-", 2), ("-1-2", 0), ("0x1-2", 1), ("1-2/", 4), ("1-2/3x", 5)] {
            let (message, found) = parse(text).expect_err(text);
            assert!(message.starts_with("this is no range"), "{text}: {message}");
            assert_eq!(found, offset, "{text}");
        }
        for text in ["2-1", "1-2/0", "2147483648-2147483648", "0-99999999999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
