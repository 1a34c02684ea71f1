//! Stands in for `wire::rdata` until that room is built: A, NS, SOA, MX, TXT and `\#`.

use crate::wire::{Name, NameError, NameRef, Type};

/// One field of RDATA.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    /// Escapes kept as written, quotes taken off.
    pub text: &'a [u8],
    /// Whether it stood in quotes.
    pub is_quoted: bool,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextCause {
    /// A field is missing.
    #[error("expected {0}, but the record ends here")]
    Missing(&'static str),
    /// A field too many.
    #[error("expected no more fields")]
    Leftover,
    /// No number in range.
    #[error("expected a number")]
    Number,
    /// No address.
    #[error("expected an IPv4 address")]
    Address,
    /// No hexadecimal digits.
    #[error("expected hexadecimal digits")]
    Hex,
    /// No name.
    #[error("{0}")]
    Name(NameError),
}

/// What is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextError {
    /// What.
    pub cause: TextCause,
    /// Index of the field.
    pub token: usize,
    /// Octets into it.
    pub offset: usize,
}

/// Text → wire.
pub fn parse(
    rtype: Type,
    tokens: &[Token<'_>],
    origin: Option<NameRef<'_>>,
    out: &mut Vec<u8>,
) -> Result<(), TextError> {
    let fault = |cause, token| TextError { cause, token, offset: 0 };
    let text = |at: usize| tokens.get(at).map(|token| token.text).ok_or(fault(TextCause::Missing("another field"), at));
    let number = |at: usize| -> Result<u32, TextError> {
        core::str::from_utf8(text(at)?).ok().and_then(|t| t.parse().ok()).ok_or(fault(TextCause::Number, at))
    };
    let name = |at: usize, out: &mut Vec<u8>| -> Result<(), TextError> {
        let name = Name::from_text(text(at)?, origin).map_err(|cause| fault(TextCause::Name(cause), at))?;
        out.extend_from_slice(name.as_ref().as_bytes());
        Ok(())
    };
    let used = match rtype {
        _ if tokens.first().is_some_and(|token| token.text == b"\\#" && !token.is_quoted) => {
            let length = number(1)? as usize;
            let digits: Vec<u8> = tokens[2..].iter().flat_map(|token| token.text.iter().copied()).collect();
            for pair in digits.chunks(2) {
                let pair = core::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
                out.push(pair.ok_or(fault(TextCause::Hex, 2))?);
            }
            if out.len() != length {
                return Err(fault(TextCause::Number, 1));
            }
            tokens.len()
        }
        Type::A => {
            let address = core::str::from_utf8(text(0)?).ok().and_then(|t| t.parse::<std::net::Ipv4Addr>().ok());
            out.extend_from_slice(&address.ok_or(fault(TextCause::Address, 0))?.octets());
            1
        }
        Type::NS | Type::CNAME | Type::PTR => {
            name(0, out)?;
            1
        }
        Type::MX => {
            out.extend_from_slice(&(number(0)? as u16).to_be_bytes());
            name(1, out)?;
            2
        }
        Type::SOA => {
            name(0, out)?;
            name(1, out)?;
            for at in 2..7 {
                out.extend_from_slice(&number(at)?.to_be_bytes());
            }
            7
        }
        Type::HTTPS => {
            tokens.iter().for_each(|token| out.extend_from_slice(token.text));
            tokens.len()
        }
        _ => {
            text(0)?;
            for token in tokens {
                out.push(token.text.len() as u8);
                out.extend_from_slice(token.text);
            }
            tokens.len()
        }
    };
    if used < tokens.len() { Err(fault(TextCause::Leftover, used)) } else { Ok(()) }
}

/// Seconds, or `1w2d3h4m5s`.
pub fn parse_ttl(text: &[u8]) -> Option<u32> {
    let (mut total, mut number, mut has_digits) = (0u64, 0u64, false);
    for octet in text {
        let unit = match octet.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
                has_digits = true;
                continue;
            }
            _ if !has_digits => return None,
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        (number, has_digits) = (0, false);
    }
    let total = total.checked_add(number)?;
    u32::try_from(total).ok().filter(|ttl| !text.is_empty() && *ttl <= 0x7FFF_FFFF)
}
