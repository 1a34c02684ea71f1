//! Entries that could not be read, looked at once more: do they hold something that people bring from elsewhere?

use crate::fault::{FaultKind, Hint};
use crate::wire::Type;
use crate::wire::rdata::Token;

/// The fault with a hint, if there is one. `word` is the index of the word at fault.
pub(super) fn explain(kind: FaultKind, tokens: &[Token<'_>], word: usize) -> FaultKind {
    match hint(&kind, tokens, word) {
        Some(hint) => FaultKind::Hinted { kind: Box::new(kind), hint },
        None => kind,
    }
}

/// What the words of the entry say.
fn hint(kind: &FaultKind, tokens: &[Token<'_>], word: usize) -> Option<Hint> {
    if matches!(kind, FaultKind::ZoneTooLarge { .. } | FaultKind::FileUnreadable { .. }) {
        return None;
    }
    let words = || tokens.iter().filter(|token| !token.is_quoted).map(|token| token.text);
    let is_age = |word: &[u8]| word.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"[AGE:"));
    let of_kind = || match kind {
        FaultKind::UnknownType { .. } => Hint::of_type(tokens.get(word)?.text),
        FaultKind::BadRdata { rtype: Type::A | Type::AAAA, .. } => {
            let text = tokens.get(word)?.text;
            let is_word = text.first().is_some_and(u8::is_ascii_alphabetic) && !text.contains(&b':');
            is_word.then_some(Hint::Placeholder)
        }
        _ => None,
    };
    (words().find_map(Hint::in_word))
        .or_else(|| words().any(is_age).then_some(Hint::Age))
        .or_else(of_kind)
        .or_else(|| words().find_map(Hint::of_comment))
}
