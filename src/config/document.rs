//! The configuration as it is written: every key is in the table of [`rows`], every type is right, no value is
//! looked at yet. Each value keeps its span, so that what is wrong with it can be shown where it stands.

use std::ops::Range;

use serde::Deserialize;
use strsim::osa_distance;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::error::ConfigFault;
use super::key::{Key, read};
use super::rows::{ALL, CATALOG, KEY, KEY_SECRET, REPEATED, TEMPLATE, ZONE};

/// The most unknown keys that are shown.
const FAULTS_MAX: usize = 20;
/// The sections in which what may stand in a template may stand too.
const INHERITING: [&str; 2] = [ZONE, CATALOG];

/// A table of the file with known keys and right types.
#[derive(Clone, Default)]
pub(super) struct Document<'t> {
    /// The path of the table with dots; empty for the whole file.
    path: String,
    table: DeTable<'t>,
}

impl<'t> Document<'t> {
    /// Reads the text.
    ///
    /// # Errors
    /// What is no TOML; else every unknown key; else every value of a wrong type and every key that must be there.
    pub(super) fn parse(text: &'t str) -> Result<Self, Vec<ConfigFault>> {
        let table = DeTable::parse(text).map_err(|error| vec![fault_of(&error, None)])?;
        let mut found = Found::default();
        found.table(table.get_ref(), "", &table.span());
        match (found.unknown.is_empty(), found.mistyped.is_empty()) {
            (true, true) => Ok(Self { path: String::new(), table: table.into_inner() }),
            (true, false) => Err(found.mistyped),
            (false, _) => Err(found.unknown),
        }
    }

    /// The path of a key from this table on. What may stand in a template may stand in what inherits too.
    fn inner<'p>(&self, path: &'p str) -> Option<&'p str> {
        let inherited = path.strip_prefix(TEMPLATE).filter(|_| INHERITING.contains(&&*self.path));
        Some(inherited.or_else(|| path.strip_prefix(&self.path))?.trim_start_matches('.'))
    }

    /// The path of the table; empty for the whole file.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The path of a key as it is written in this table.
    pub(super) fn path_of(&self, key: &dyn Key) -> String {
        join(&self.path, self.inner(key.path()).unwrap_or_default())
    }

    /// What stands at a path with dots.
    fn at(&self, path: &str) -> Option<&Spanned<DeValue<'t>>> {
        let inner = self.inner(path)?;
        let (outer, key) = inner.rsplit_once('.').map_or((None, inner), |(outer, key)| (Some(outer), key));
        let mut table = &self.table;
        for segment in outer.iter().flat_map(|outer| outer.split('.')) {
            table = value(table, segment)?.get_ref().as_table()?;
        }
        value(table, key)
    }

    /// Whether something stands at a path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.at(path).is_some()
    }

    /// The value of a key, of the type that its row has.
    pub(super) fn get<T: Deserialize<'t>>(&self, key: &dyn Key) -> Option<Spanned<T>> {
        read(self.at(key.path())?).ok()
    }

    /// Each table of an array of tables.
    pub(super) fn each(&self, path: &str) -> Vec<Self> {
        let items = self.at(path).and_then(|value| value.get_ref().as_array());
        let tables = items.into_iter().flat_map(|items| items.iter()).filter_map(|item| item.get_ref().as_table());
        tables.map(|table| Self { path: path.to_owned(), table: table.clone() }).collect()
    }
}

/// The value of a key of a table.
fn value<'a, 't>(table: &'a DeTable<'t>, key: &str) -> Option<&'a Spanned<DeValue<'t>>> {
    table.iter().find(|(known, _)| known.get_ref() == key).map(|(_, value)| value)
}

/// What a walk through the file found.
#[derive(Default)]
struct Found {
    unknown: Vec<ConfigFault>,
    mistyped: Vec<ConfigFault>,
}

impl Found {
    /// Looks at every key of the table at `path`.
    fn table(&mut self, table: &DeTable<'_>, path: &str, span: &Range<usize>) {
        for (key, value) in table {
            let full = join(path, key.get_ref());
            if let Some(row) = row(&full) {
                let checked = row.values().check_type(value);
                self.mistyped.extend(checked.err().map(|error| fault_of(&error, Some(&full))));
            } else if ALL.iter().any(|row| is_below(row.path(), &full)) {
                self.section(value, &full);
            } else if self.unknown.len() < FAULTS_MAX {
                self.unknown.push(unknown(key.span(), key.get_ref(), path));
            }
        }
        let needed = ALL.iter().filter(|row| row.values().default_shown().is_empty());
        let missing = needed.filter_map(|row| Some((row, row.path().strip_prefix(path)?.strip_prefix('.')?)));
        // What a section below needs is missing in that section.
        for (_, key) in missing.filter(|(_, key)| !key.contains('.') && value(table, key).is_none()) {
            let message = format!("`{path}`: missing field `{key}`");
            self.mistyped.push(ConfigFault { span: Some(span.clone()), message, label: String::new(), help: None });
        }
    }

    /// Looks at what should be a section, or several of one name.
    fn section(&mut self, value: &Spanned<DeValue<'_>>, path: &str) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, path, &value.span()),
            DeValue::Array(items) if REPEATED.contains(&path) => {
                for item in items.iter() {
                    self.section(item, path);
                }
            }
            _ => {
                let error = read::<toml::Table>(value).expect_err("it is no table");
                self.mistyped.push(fault_of(&error, Some(path)));
            }
        }
    }
}

/// The row of a key. What may stand in a template may stand in what inherits too.
fn row(path: &str) -> Option<&'static dyn Key> {
    let of = |path: &str| ALL.iter().copied().find(|row| row.path() == path);
    let inherited = |section: &&str| of(&format!("{TEMPLATE}{}", path.strip_prefix(section)?));
    of(path).or_else(|| INHERITING.iter().find_map(inherited))
}

/// Makes a fault of what the TOML reader says, naming the key if it is known.
fn fault_of(error: &Error, key: Option<&str>) -> ConfigFault {
    let message = match key {
        // The reader says what it found instead.
        Some(key) if key == KEY || key == KEY_SECRET.path => format!("`{key}` is of the wrong type"),
        Some(key) => format!("`{key}`: {}", error.message()),
        None => error.message().to_owned(),
    };
    ConfigFault { span: error.span(), message, label: String::new(), help: None }
}

/// Says that a key is unknown in the section at `path`, and which is nearest.
fn unknown(span: Range<usize>, name: &str, path: &str) -> ConfigFault {
    let keys = keys_of(path);
    let close = |known: &&&str| osa_distance(name, known) <= (name.len() / 3).max(2);
    let near = keys.iter().filter(close).min_by_key(|known| osa_distance(name, known));
    let help = match (near, elsewhere(name)) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, Some(place)) => format!("`{name}` is a key of [{place}]"),
        (None, None) => {
            let place = if path.is_empty() { "the file".to_owned() } else { format!("[{path}]") };
            let nearest = keys.iter().min_by_key(|known| osa_distance(name, known)).unwrap_or(&"");
            let all: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            format!("known in {place}: {} (the nearest is `{nearest}`)", all.join(", "))
        }
    };
    let message = format!("unknown key `{}`", join(path, name));
    ConfigFault { span: Some(span), message, label: "not known".into(), help: Some(help) }
}

/// The keys of a section, with those that are sections themselves.
fn keys_of(path: &str) -> Vec<&'static str> {
    let mut keys: Vec<&str> = Vec::new();
    let inherited = INHERITING.contains(&path).then_some(TEMPLATE);
    for path in [path].into_iter().chain(inherited) {
        let below = ALL.iter().map(|row| row.path()).filter(|key| is_below(key, path));
        for key in below.filter_map(|key| key[path.len()..].trim_start_matches('.').split('.').next()) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    keys
}

/// The first section that has a key of that name.
fn elsewhere(name: &str) -> Option<&'static str> {
    ALL.iter().find_map(|row| row.path().rsplit_once('.').filter(|(_, key)| *key == name)).map(|(section, _)| section)
}

/// Whether a key is in a section or in one below it.
fn is_below(key: &str, section: &str) -> bool {
    section.is_empty() || key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
}

/// Joins a path and a key with a dot.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_section_come_from_the_rows() {
        assert_eq!(
            keys_of(""),
            ["server", "log", "admin", "anycast", "bgp", "companion", "key", "tls", "template", "zone", "catalog"]
        );
        assert_eq!(keys_of("key"), ["name", "algorithm", "allow-md5", "secret", "secret-file"]);
        assert_eq!(keys_of("zone")[..5], ["name", "file", "template", "primaries", "allow-notify"]);
        assert_eq!(keys_of("zone")[3..], keys_of("template")[1..]);
        assert_eq!(keys_of("anycast.kernel-route"), ["table", "metric"]);
        assert!(keys_of("server.tcp").contains(&"clients-per-address-max"));
        assert!(keys_of("server").ends_with(&["tcp", "tls", "limits"]), "{:?}", keys_of("server"));
    }
}
