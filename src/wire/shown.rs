//! Text from outside, such as the name of a file, as it may be shown: on a terminal, in a log, on a page.
//!
//! Whoever names a file could otherwise move the cursor, colour what follows, or make lines of a log. What has no
//! place in one line is written as an escape; everything else stays as it is, a backslash too, so that what was shown
//! once stays the same.

use core::fmt::{self, Write};
use std::borrow::Cow;
use std::path::Path;

/// Something from outside, in one line.
pub struct Shown<'a>(Cow<'a, str>);

impl<'a> Shown<'a> {
    /// A path. Octets that are no UTF-8 are shown as U+FFFD, one each.
    pub fn path(path: &'a Path) -> Self {
        Self(path.to_string_lossy())
    }

    /// A text.
    pub fn text(text: &'a str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| write(character, f))
    }
}

/// A text of several lines whose ends are meant; everything else in it is shown as in one line.
pub fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        let written = if character == '\n' { out.write_char(character) } else { write(character, &mut out) };
        written.expect("a String takes everything");
    }
    out
}

/// Writes one character, or an escape for it.
fn write(character: char, out: &mut impl Write) -> fmt::Result {
    match character {
        // What turns the direction of writing (Unicode TR 9 §2) or ends a line (TR 14 §5) shows something else than it
        // says.
        '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{061C}' | '\u{FEFF}' => {
            write!(out, "{}", character.escape_unicode())
        }
        control if control.is_control() => write!(out, "{}", control.escape_default()),
        plain => out.write_char(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn what_is_shown_is_one_line_that_moves_nothing() {
        let every: String = (0..=0x3000).filter_map(char::from_u32).collect();
        let once = Shown::text(&every).to_string();
        assert!(!once.chars().any(char::is_control), "{once:?}");
        assert_eq!(Shown::text(&once).to_string(), once, "shown twice is shown once");
        assert_eq!(lines("a\n\u{1B}[31mb\r\n\u{9B}"), "a\n\\u{1b}[31mb\\r\n\\u{9b}");
        assert_eq!(Shown::text("x\u{202E}y\u{2028}").to_string(), "x\\u{202e}y\\u{2028}");
        for plain in ["zones/a b.zone", "ü–日本.zone", "a\\010b"] {
            assert_eq!(Shown::path(Path::new(plain)).to_string(), plain);
        }
        let odd = Path::new(OsStr::from_bytes(b"a\x1B]0;x\x07\xFF\n.zone"));
        assert_eq!(Shown::path(odd).to_string(), "a\\u{1b}]0;x\\u{7}\u{FFFD}\\n.zone");
    }
}
