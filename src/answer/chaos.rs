//! What the server says about itself in class CH: `version.bind` and its like (RFC 4892), and which worker answers a
//! canary.

use crate::answer::canary::Claim;
use crate::answer::code::Rcode;
use crate::answer::context::RequestContext;
use crate::answer::reply::{Full, Reply};
use crate::answer::snapshot::Settings;
use crate::answer::status::Status;
use crate::wire::message::Question;
use crate::wire::probe::is_canary_name;
use crate::wire::{Class, Type};

/// The longest text that is sent: one character-string (RFC 1035 §3.3).
pub(super) const TEXT_BYTES_MAX: usize = 255;

/// Digits of the largest worker number.
const DECIMALS_MAX: usize = 5;

/// Answers a question of class CH, which `query` asks: a text, nothing where another type is asked, REFUSED where the
/// text is hidden.
pub(super) fn answer(
    settings: &Settings,
    query: &[u8],
    question: &Question<'_>,
    context: &RequestContext,
    reply: &mut Reply<'_>,
) -> Status {
    if is_canary(settings, query, question, context) {
        let (digits, start) = decimal(context.worker);
        return put_text(&digits[start..], reply);
    }
    match text_of(settings, question) {
        Some(text) if matches!(question.qtype, Type::TXT | Type::ANY) => put_text(text, reply),
        Some(_) => Status::authoritative(Rcode::NOERROR),
        None => Status::refused(),
    }
}

/// Puts a text, or as much of it as one string holds.
fn put_text(text: &[u8], reply: &mut Reply<'_>) -> Status {
    let text = &text[..text.len().min(TEXT_BYTES_MAX)];
    let mut rdata = [0; 1 + TEXT_BYTES_MAX];
    rdata[0] = text.len() as u8;
    rdata[1..=text.len()].copy_from_slice(text);
    let is_truncated = reply.put_record(Type::TXT, Class::CH, &rdata[..=text.len()]) == Err(Full);
    Status { is_truncated, ..Status::authoritative(Rcode::NOERROR) }
}

/// Whether a question is a canary's, and comes from the prover. Which worker its name is for does not matter: what
/// counts is who really answers.
fn is_canary(settings: &Settings, query: &[u8], question: &Question<'_>, context: &RequestContext) -> bool {
    question.qtype == Type::TXT
        && is_canary_name(question.name.as_bytes())
        && settings.canary.as_ref().is_some_and(|canary| matches!(canary.claim(query, context.source), Claim::Probe(_)))
}

/// The text that belongs to the name, unless it is hidden.
fn text_of<'s>(settings: &'s Settings, question: &Question<'_>) -> Option<&'s [u8]> {
    let name = question.name.as_bytes();
    let is_any = |names: [&[u8]; 2]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    if is_any([b"\x07version\x04bind\0", b"\x07version\x06server\0"]) {
        settings.version.as_deref()
    } else if is_any([b"\x02id\x06server\0", b"\x08hostname\x04bind\0"]) {
        settings.identity.as_deref()
    } else {
        None
    }
}

/// Writes a number in decimal; returns the digits and where they start.
fn decimal(number: u16) -> ([u8; DECIMALS_MAX], usize) {
    let (mut text, mut start, mut rest) = ([b'0'; DECIMALS_MAX], DECIMALS_MAX - 1, number);
    for (index, digit) in text.iter_mut().enumerate().rev() {
        *digit += (rest % 10) as u8;
        if rest > 0 {
            start = index;
        }
        rest /= 10;
    }
    (text, start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_without_leading_zeros() {
        for number in [0, 1, 9, 10, 99, 100, 12_340, u16::MAX] {
            let (text, start) = decimal(number);
            assert_eq!(text[start..], *number.to_string().as_bytes());
        }
    }
}
