//! The known keys, and which of them an unknown one was meant to be.
//!
//! The lists are read from the structs of [`raw`](super::raw), so they can't part from what is really read.

use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use strsim::osa_distance;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigFault;
use super::raw::{
    RawAdmin, RawAnycast, RawConfig, RawHealth, RawKernelRoute, RawLimits, RawLog, RawServer, RawTcp, RawZone,
};

/// The most unknown keys that are told.
const FAULTS_MAX: usize = 20;

/// One table of the file: its path, its keys, and its sub-tables.
pub(super) struct Section {
    /// The path with dots; empty for the whole file.
    path: &'static str,
    /// The keys, sub-tables among them.
    keys: fn() -> &'static [&'static str],
    /// The keys that are tables themselves.
    sections: &'static [(&'static str, &'static Self)],
}

/// The whole file.
pub(super) const ROOT: &Section = &Section {
    path: "",
    keys: fields::<RawConfig>,
    sections: &[("server", SERVER), ("log", LOG), ("admin", ADMIN), ("anycast", ANYCAST), ("zone", ZONE)],
};
/// `[server]`.
const SERVER: &Section =
    &Section { path: "server", keys: fields::<RawServer>, sections: &[("tcp", TCP), ("limits", LIMITS)] };
/// `[server.limits]`.
const LIMITS: &Section = &Section { path: "server.limits", keys: fields::<RawLimits>, sections: &[] };
/// `[server.tcp]`.
const TCP: &Section = &Section { path: "server.tcp", keys: fields::<RawTcp>, sections: &[] };
/// `[log]`.
const LOG: &Section = &Section { path: "log", keys: fields::<RawLog>, sections: &[] };
/// `[admin]`.
const ADMIN: &Section = &Section { path: "admin", keys: fields::<RawAdmin>, sections: &[] };
/// `[anycast]`.
const ANYCAST: &Section = &Section {
    path: "anycast",
    keys: fields::<RawAnycast>,
    sections: &[("kernel-route", KERNEL_ROUTE), ("health", HEALTH)],
};
/// `[anycast.kernel-route]`.
const KERNEL_ROUTE: &Section = &Section { path: "anycast.kernel-route", keys: fields::<RawKernelRoute>, sections: &[] };
/// `[anycast.health]`.
const HEALTH: &Section = &Section { path: "anycast.health", keys: fields::<RawHealth>, sections: &[] };
/// `[[zone]]`.
const ZONE: &Section = &Section { path: "zone", keys: fields::<RawZone>, sections: &[] };

/// What a walk through the file found.
#[derive(Default)]
pub(super) struct Walk {
    /// Unknown keys.
    pub(super) faults: Vec<ConfigFault>,
    /// The known keys with the spans of their values, outer ones first.
    values: Vec<(String, Range<usize>)>,
}

impl Walk {
    /// Looks at every key of a table that is `section`, found at `path`.
    pub(super) fn table(&mut self, table: &Spanned<DeTable<'_>>, section: &'static Section, path: &str) {
        self.entries(table.get_ref(), section, path);
    }

    fn entries(&mut self, table: &DeTable<'_>, section: &'static Section, path: &str) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            let full = join(path, name);
            if !(section.keys)().contains(&name) {
                if self.faults.len() < FAULTS_MAX {
                    self.faults.push(unknown(key.span(), name, &full, section));
                }
                continue;
            }
            self.values.push((full.clone(), value.span()));
            if let Some((_, inner)) = section.sections.iter().find(|(known, _)| *known == name) {
                self.value(value.get_ref(), inner, &full);
            }
        }
    }

    fn value(&mut self, value: &DeValue<'_>, section: &'static Section, path: &str) {
        match value {
            DeValue::Table(table) => self.entries(table, section, path),
            DeValue::Array(items) => {
                for item in items.iter() {
                    if let DeValue::Table(table) = item.get_ref() {
                        self.entries(table, section, path);
                    }
                }
            }
            // A table is wanted and something else stands there: reading the types says so.
            _ => {}
        }
    }

    /// The key whose value holds `span`, the innermost one.
    pub(super) fn key_at(&self, span: &Range<usize>) -> Option<&str> {
        let holds = |value: &Range<usize>| value.start <= span.start && span.end <= value.end;
        let holding = self.values.iter().filter(|(_, value)| holds(value));
        holding.min_by_key(|(_, value)| value.len()).map(|(key, _)| key.as_str())
    }
}

/// Says that a key is unknown and which is nearest.
fn unknown(span: Range<usize>, name: &str, full: &str, section: &'static Section) -> ConfigFault {
    let keys = (section.keys)();
    let close = |known: &&&str| osa_distance(name, known) <= (name.len() / 3).max(2);
    let near = keys.iter().filter(close).min_by_key(|known| osa_distance(name, known));
    let help = match (near, elsewhere(ROOT, name)) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, Some(place)) => format!("`{name}` is a key of [{place}]"),
        (None, None) => {
            let place = if section.path.is_empty() { "the file".to_owned() } else { format!("[{}]", section.path) };
            let nearest = keys.iter().min_by_key(|known| osa_distance(name, known)).unwrap_or(&"");
            let all: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            format!("known in {place}: {} (the nearest is `{nearest}`)", all.join(", "))
        }
    };
    ConfigFault {
        span: Some(span),
        message: format!("unknown key `{full}`"),
        label: "not known".into(),
        help: Some(help),
    }
}

/// The section that has a key of that name.
fn elsewhere(section: &'static Section, name: &str) -> Option<&'static str> {
    section.sections.iter().find_map(|(_, inner)| match (inner.keys)().contains(&name) {
        true => Some(inner.path),
        false => elsewhere(inner, name),
    })
}

/// Joins a path and a key with a dot.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The field names of a struct, as it tells them when it is read.
fn fields<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut found: &'static [&'static str] = &[];
    // The reader below gives no value, so this fails by design; what counts is what it was asked for.
    let _ = T::deserialize(FieldReader(&mut found));
    found
}

/// A reader that has nothing, but keeps the field names that it is asked for.
struct FieldReader<'a>(&'a mut &'static [&'static str]);

/// The failure of [`FieldReader`], which is always meant.
#[derive(Debug)]
struct NoValue;

impl fmt::Display for NoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no value")
    }
}

impl std::error::Error for NoValue {}

impl de::Error for NoValue {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for FieldReader<'_> {
    type Error = NoValue;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, NoValue> {
        Err(NoValue)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, NoValue> {
        *self.0 = fields;
        Err(NoValue)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_of_keys_come_from_the_structs() {
        assert_eq!((ROOT.keys)(), ["server", "log", "admin", "anycast", "zone"]);
        assert_eq!((ZONE.keys)(), ["name", "file"]);
        assert!((TCP.keys)().contains(&"clients-per-address-max"));
    }
}
