//! What the server says about itself in class CH: `version.bind` and its like (RFC 4892).

use crate::answer::code::Rcode;
use crate::answer::reply::{Full, Reply};
use crate::answer::snapshot::Settings;
use crate::answer::status::Status;
use crate::wire::message::Question;
use crate::wire::{Class, Type};

/// Longest text that is told: one character-string (RFC 1035 §3.3).
pub(super) const TEXT_BYTES_MAX: usize = 255;

/// Answers a question of class CH: a text, nothing where another type is asked, REFUSED where the text is hidden.
pub(super) fn answer(settings: &Settings, question: &Question<'_>, reply: &mut Reply<'_>) -> Status {
    let Some(text) = text_of(settings, question) else { return Status::refused() };
    let mut status = Status::authoritative(Rcode::NOERROR);
    if matches!(question.qtype, Type::TXT | Type::ANY) {
        let text = &text[..text.len().min(TEXT_BYTES_MAX)];
        let mut rdata = [0; 1 + TEXT_BYTES_MAX];
        rdata[0] = text.len() as u8;
        rdata[1..=text.len()].copy_from_slice(text);
        status.is_truncated = reply.put_record(Type::TXT, Class::CH, &rdata[..=text.len()]) == Err(Full);
    }
    status
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
