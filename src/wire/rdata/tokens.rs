//! The tokens of one record, taken one after another, with the errors that point at them.
//!
//! Owns the position and the scalar readers that every field shares. Knows nothing of record types.

use std::borrow::Cow;

use super::super::name::{NameRef, unescape};
use super::error::{TextCause, TextError};

/// One field of a record in a zone file, as the reader of the file cut it out.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    /// The text with escapes kept as written and quotes taken off.
    pub text: &'a [u8],
    /// Whether quotes were taken off.
    pub is_quoted: bool,
}

/// A cursor over the tokens of one RDATA.
pub(super) struct Tokens<'t> {
    tokens: &'t [Token<'t>],
    /// The index of the next token to be taken.
    next: usize,
    /// What completes relative names.
    pub(super) origin: Option<NameRef<'t>>,
}

impl<'t> Tokens<'t> {
    /// Starts before the first token.
    pub(super) fn new(tokens: &'t [Token<'t>], origin: Option<NameRef<'t>>) -> Self {
        Self { tokens, next: 0, origin }
    }

    /// Whether no token is left.
    pub(super) fn is_done(&self) -> bool {
        self.next >= self.tokens.len()
    }

    /// The next token, not taken.
    pub(super) fn peek(&self) -> Option<Token<'t>> {
        self.tokens.get(self.next).copied()
    }

    /// Takes a token, quoted or not.
    pub(super) fn take_any(&mut self, expected: &'static str) -> Result<Token<'t>, TextError> {
        let token = self.peek().ok_or_else(|| self.missing(expected))?;
        self.next += 1;
        Ok(token)
    }

    /// Takes a token that must not be quoted.
    pub(super) fn take(&mut self, expected: &'static str) -> Result<&'t [u8], TextError> {
        let token = self.take_any(expected)?;
        if token.is_quoted {
            return Err(self.fail(TextCause::Quoted(expected), 0));
        }
        Ok(token.text)
    }

    /// Takes a decimal number up to `max`.
    pub(super) fn take_number(&mut self, max: u32) -> Result<u32, TextError> {
        let text = self.take(NUMBER)?;
        number(text, max).map_err(|(cause, offset)| self.fail(cause, offset))
    }

    /// Takes a token and decodes its escapes into a character-string, without its length octet.
    pub(super) fn take_string(&mut self, expected: &'static str) -> Result<Cow<'t, [u8]>, TextError> {
        let token = self.take_any(expected)?;
        let octets = self.unescaped(token.text)?;
        if octets.len() > 255 {
            return Err(self.fail(TextCause::StringTooLong, 0));
        }
        Ok(octets)
    }

    /// Decodes the escapes of `text`, which belongs to the token taken last.
    pub(super) fn unescaped(&self, text: &'t [u8]) -> Result<Cow<'t, [u8]>, TextError> {
        if !text.contains(&b'\\') {
            return Ok(Cow::Borrowed(text));
        }
        let mut octets = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((octet, tail)) = rest.split_first() {
            let offset = text.len() - rest.len();
            rest = tail;
            octets.push(match octet {
                b'\\' => unescape(&mut rest).map_err(|error| self.fail(error.into(), offset))?,
                _ => *octet,
            });
        }
        Ok(Cow::Owned(octets))
    }

    /// Takes all tokens that are left, joined: octet strings may be cut by white space (RFC 4034 §2.2).
    ///
    /// Comes back with the index of the first, for [`Tokens::fail_joined`].
    pub(super) fn take_joined(&mut self, expected: &'static str) -> Result<(usize, Cow<'t, [u8]>), TextError> {
        let first = self.next;
        let mut text = Cow::Borrowed(&[][..]);
        while !self.is_done() {
            let part = self.take(expected)?;
            match text.is_empty() {
                true => text = Cow::Borrowed(part),
                false => text.to_mut().extend_from_slice(part),
            }
        }
        Ok((first, text))
    }

    /// An error at the token taken last.
    pub(super) fn fail(&self, cause: TextCause, offset: usize) -> TextError {
        TextError { cause, token: self.next.saturating_sub(1), offset }
    }

    /// An error at `position` in the text that [`Tokens::take_joined`] made.
    pub(super) fn fail_joined(&self, first: usize, position: usize, cause: TextCause) -> TextError {
        let mut offset = position;
        for (index, token) in self.tokens.iter().enumerate().skip(first) {
            if offset < token.text.len() || index + 1 == self.tokens.len() {
                return TextError { cause, token: index, offset: offset.min(token.text.len()) };
            }
            offset -= token.text.len();
        }
        self.missing_with(cause)
    }

    /// The error of a record that is too short.
    pub(super) fn missing(&self, expected: &'static str) -> TextError {
        self.missing_with(TextCause::Missing(expected))
    }

    /// An error just behind the last token.
    fn missing_with(&self, cause: TextCause) -> TextError {
        TextError { cause, token: self.tokens.len(), offset: 0 }
    }

    /// The error of a record that is too long: points at the first token left over.
    pub(super) fn leftover(&self) -> TextError {
        TextError { cause: TextCause::Leftover, token: self.next, offset: 0 }
    }
}

/// Reads a plain decimal number up to `max`; the error holds the offset of the digit at fault.
pub(super) fn number(text: &[u8], max: u32) -> Result<u32, (TextCause, usize)> {
    let mut value: u64 = 0;
    for (offset, digit) in text.iter().enumerate() {
        if !digit.is_ascii_digit() {
            return Err((TextCause::Expected(NUMBER), offset));
        }
        value = value.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    }
    match u32::try_from(value) {
        _ if text.is_empty() => Err((TextCause::Expected(NUMBER), 0)),
        Ok(value) if value <= max => Ok(value),
        _ => Err((TextCause::TooLarge(max), 0)),
    }
}

/// What a number is called in errors.
pub(super) const NUMBER: &str = "a decimal number";
