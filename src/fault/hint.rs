//! What people write into zone files that is from elsewhere: from a word processor, another program's comments, a
//! provider's panel, another server's own types.

use std::borrow::Cow;

/// Something that does not belong in a zone file, by which what is wrong can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// A character that looks like a blank, or like nothing, and is part of a word.
    Blank(char),
    /// A quote as word processors make it.
    Quote(char),
    /// A comment that begins as in other languages.
    Comment(&'static str),
    /// A type that only some servers or panels have.
    ForeignType(&'static ForeignType),
    /// A word of a panel where an address belongs.
    Placeholder,
    /// The time stamp that Windows writes in front of a TTL.
    Age,
}

/// A type that is none in DNS.
#[derive(Debug, PartialEq, Eq)]
pub struct ForeignType {
    /// As it is written.
    pub word: &'static str,
    /// Whose it is, and what to write instead.
    advice: &'static str,
}

/// Instead of what follows another name's addresses.
const FLATTENED: &str = "no DNS type, but an alias that a provider's server follows itself: write the A and AAAA \
    records of its target, or at a name other than the zone's own a CNAME";
/// Instead of what leads browsers elsewhere.
const REDIRECTION: &str = "no DNS type, but a redirection of a provider's web server: \
    write the A and AAAA records of a web server that redirects";

/// Those that exports hold.
static FOREIGN_TYPES: [ForeignType; 13] = [
    ForeignType { word: "ALIAS", advice: FLATTENED },
    ForeignType { word: "ANAME", advice: FLATTENED },
    ForeignType { word: "FLATTEN", advice: FLATTENED },
    ForeignType {
        word: "LUA",
        advice: "PowerDNS's own: it runs a program for each answer; write the records that it would give",
    },
    ForeignType { word: "WINS", advice: "Windows' own: it asks a WINS server; take it out" },
    ForeignType { word: "WINSR", advice: "Windows' own: it asks a WINS server; take it out" },
    ForeignType { word: "WINS-R", advice: "Windows' own: it asks a WINS server; take it out" },
    ForeignType { word: "URL", advice: REDIRECTION },
    ForeignType { word: "URL301", advice: REDIRECTION },
    ForeignType { word: "REDIRECT", advice: REDIRECTION },
    ForeignType { word: "FORWARD", advice: REDIRECTION },
    ForeignType { word: "WEBFWD", advice: REDIRECTION },
    ForeignType { word: "POOL", advice: "a provider's own: write the records that it would choose from" },
];

impl Hint {
    /// What an unquoted word holds that nobody means to write there.
    pub fn in_word(word: &[u8]) -> Option<Self> {
        if word.is_ascii() {
            return None;
        }
        let text = String::from_utf8_lossy(word);
        text.chars().find_map(|character| match character {
            // No-break, zero-width and wide spaces, and a byte order mark that is not at the beginning.
            '\u{A0}' | '\u{2000}'..='\u{200D}' | '\u{202F}' | '\u{2060}' | '\u{3000}' | '\u{FEFF}' => {
                Some(Self::Blank(character))
            }
            '\u{2018}'..='\u{201F}' | '\u{AB}' | '\u{BB}' => Some(Self::Quote(character)),
            _ => None,
        })
    }

    /// The comment of another language that a word begins.
    pub fn of_comment(word: &[u8]) -> Option<Self> {
        let found = ["#", "//", "/*", "<!--"].into_iter().find(|start| word.starts_with(start.as_bytes()))?;
        Some(Self::Comment(found))
    }

    /// The foreign type that a word names.
    pub fn of_type(word: &[u8]) -> Option<Self> {
        let found = FOREIGN_TYPES.iter().find(|foreign| word.eq_ignore_ascii_case(foreign.word.as_bytes()))?;
        Some(Self::ForeignType(found))
    }

    /// What stands there.
    pub fn what(self) -> Cow<'static, str> {
        match self {
            Self::Blank(character) => {
                format!("{} (U+{:04X}) stands in this word", blank_name(character), u32::from(character)).into()
            }
            Self::Quote(character) => {
                format!("a typographic quote `{character}` (U+{:04X}) stands in this word", u32::from(character)).into()
            }
            Self::Comment(start) => format!("this name begins with `{start}`, like a comment elsewhere").into(),
            Self::ForeignType(foreign) => format!("`{}` is no type", foreign.word).into(),
            Self::Placeholder => "this is no address".into(),
            Self::Age => "a time stamp of Windows stands here".into(),
        }
    }

    /// What to do about it.
    pub fn help(self) -> Cow<'static, str> {
        match self {
            Self::Blank(character) => {
                let code = u32::from(character);
                let name = blank_name(character);
                format!("{name} (U+{code:04X}) is part of the word; write a plain space instead").into()
            }
            Self::Quote(character) => format!(
                "typographic quotes (`{character}`, U+{:04X}) are no quotes here; write `\"`",
                u32::from(character)
            )
            .into(),
            Self::Comment(start) => format!("a comment begins with `;`, not with `{start}`").into(),
            Self::ForeignType(foreign) => format!("`{}` is {}", foreign.word, foreign.advice).into(),
            Self::Placeholder => {
                "an address belongs here; words such as `Parked` are a provider's: take the record out, or write the \
                 address; for another name's addresses write a CNAME"
                    .into()
            }
            Self::Age => {
                "`[AGE:…]` is the time stamp that Windows gives a record which registered itself: take it out".into()
            }
        }
    }
}

/// What people call a character that looks like a blank.
fn blank_name(character: char) -> &'static str {
    match character {
        '\u{A0}' | '\u{202F}' | '\u{2007}' => "a no-break space",
        '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}' => "an invisible character",
        _ => "a wide or narrow space",
    }
}
