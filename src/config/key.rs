//! What a row of the table of keys is made of: the kinds of values with their bounds and defaults, and how they are
//! shown.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeValue, Error, ValueDeserializer};

/// One key: its path with dots, what it takes with the default, and what it is for.
pub(super) struct Row<V> {
    pub(super) path: &'static str,
    pub(super) values: V,
    pub(super) help: &'static str,
}

/// A whole number within bounds.
#[derive(Clone, Copy)]
pub(super) struct Number {
    pub(super) bounds: (i64, i64),
    pub(super) default: i64,
    /// What is counted; empty where the key says it.
    pub(super) unit: &'static str,
}

/// A span of time within bounds, written with its unit.
pub(super) struct Time {
    pub(super) bounds: (Duration, Duration),
    pub(super) default: Duration,
}

/// One of a few words.
pub(super) struct Words<T: 'static> {
    pub(super) words: &'static [(&'static str, T)],
    pub(super) default: T,
}

/// Yes or no.
pub(super) struct Flag {
    pub(super) default: bool,
}

/// A value with a check of its own; how values and default are shown is said in words.
pub(super) struct Own {
    pub(super) form: Form,
    pub(super) values: &'static str,
    /// Empty for a key that must be there.
    pub(super) default: &'static str,
}

/// What TOML has where an [`Own`] value stands.
pub(super) enum Form {
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// A number or a string.
    NumberOrText,
    /// A list of [`WrittenPeer`].
    Peers,
    /// A list of [`WrittenRule`].
    Rules,
    /// Names by name.
    Names,
}

/// A server, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenPeer {
    pub(super) address: Spanned<String>,
    pub(super) key: Option<Spanned<String>>,
    pub(super) tls: Option<Spanned<String>>,
}

/// A rule of an access list, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenRule {
    pub(super) prefix: Spanned<String>,
    pub(super) key: Option<Spanned<String>>,
    pub(super) tls: Option<Spanned<String>>,
}

/// What takes a value of a TOML type and can be shown.
pub(super) trait Values {
    /// Whether the value is of the right type.
    ///
    /// # Errors
    /// What it is and what it should be.
    fn check_type(&self, value: &Spanned<DeValue<'_>>) -> Result<(), Error>;

    /// The values that are allowed, for the page on configuration.
    fn shown(&self) -> String;

    /// The default, for that page; empty where the key must be there.
    fn default_shown(&self) -> String;
}

/// A row, whatever its values are.
pub(super) trait Key {
    /// The path with dots.
    fn path(&self) -> &'static str;
    /// What the key is for.
    fn help(&self) -> &'static str;
    /// What it takes.
    fn values(&self) -> &dyn Values;
}

impl<V: Values> Key for Row<V> {
    fn path(&self) -> &'static str {
        self.path
    }

    fn help(&self) -> &'static str {
        self.help
    }

    fn values(&self) -> &dyn Values {
        &self.values
    }
}

/// Reads a value as a type.
pub(super) fn read<'t, T: Deserialize<'t>>(value: &Spanned<DeValue<'t>>) -> Result<Spanned<T>, Error> {
    Spanned::deserialize(ValueDeserializer::from(value.clone()))
}

impl Values for Number {
    fn check_type(&self, value: &Spanned<DeValue<'_>>) -> Result<(), Error> {
        read::<i64>(value).map(drop)
    }

    fn shown(&self) -> String {
        format!("{} to {} {}", number_shown(self.bounds.0), number_shown(self.bounds.1), self.unit)
            .trim_end()
            .to_owned()
    }

    fn default_shown(&self) -> String {
        format!("`{}`", self.default)
    }
}

impl Values for Time {
    fn check_type(&self, value: &Spanned<DeValue<'_>>) -> Result<(), Error> {
        read::<String>(value).map(drop)
    }

    fn shown(&self) -> String {
        format!("{} to {}", time_shown(self.bounds.0), time_shown(self.bounds.1))
    }

    fn default_shown(&self) -> String {
        format!("`\"{}\"`", time_shown(self.default))
    }
}

impl<T: Copy + PartialEq> Words<T> {
    /// What a word means.
    pub(super) fn meaning(&self, word: &str) -> Option<T> {
        self.words.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning)
    }

    /// The words, quoted, as one chooses among them.
    pub(super) fn choice(&self) -> String {
        let quoted: Vec<String> = self.words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        match quoted.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    }
}

impl<T: Copy + PartialEq> Values for Words<T> {
    fn check_type(&self, value: &Spanned<DeValue<'_>>) -> Result<(), Error> {
        read::<String>(value).map(drop)
    }

    fn shown(&self) -> String {
        self.choice()
    }

    fn default_shown(&self) -> String {
        let default = self.words.iter().find(|(_, meaning)| *meaning == self.default);
        default.map(|(word, _)| format!("`\"{word}\"`")).unwrap_or_default()
    }
}

impl Values for Flag {
    fn check_type(&self, value: &Spanned<DeValue<'_>>) -> Result<(), Error> {
        read::<bool>(value).map(drop)
    }

    fn shown(&self) -> String {
        "true or false".to_owned()
    }

    fn default_shown(&self) -> String {
        format!("`{}`", self.default)
    }
}

impl Values for Own {
    fn check_type(&self, value: &Spanned<DeValue<'_>>) -> Result<(), Error> {
        match self.form {
            Form::Text => read::<String>(value).map(drop),
            Form::Texts => read::<Vec<Spanned<String>>>(value).map(drop),
            Form::NumberOrText => Ok(()),
            Form::Peers => read::<Vec<WrittenPeer>>(value).map(drop),
            Form::Rules => read::<Vec<WrittenRule>>(value).map(drop),
            Form::Names => read::<BTreeMap<String, Spanned<String>>>(value).map(drop),
        }
    }

    fn shown(&self) -> String {
        self.values.to_owned()
    }

    fn default_shown(&self) -> String {
        self.default.to_owned()
    }
}

/// A number; a great power of two as such.
fn number_shown(number: i64) -> String {
    let is_power = number > i64::from(u32::MAX) && number.count_ones() == 1;
    if is_power { format!("2^{}", number.trailing_zeros()) } else { number.to_string() }
}

/// A time in the greatest unit that it is whole in.
fn time_shown(time: Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (0, 0) => "0s".to_owned(),
        (seconds, 0) if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (seconds, 0) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        (seconds, 0) => format!("{seconds}s"),
        _ => format!("{}ms", time.as_millis()),
    }
}
