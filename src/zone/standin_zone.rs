//! Stand-in for the store: a zone is the text of its file and the first serial in it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::fault::Faults;
use super::hash::Seed;
use super::reader::{Files, Sources};
use crate::wire::{Name, NameRef};

/// One zone.
#[derive(Debug)]
pub struct Zone {
    apex: Name,
    serial: u32,
    text: String,
}

impl Zone {
    /// The name.
    pub fn apex(&self) -> NameRef<'_> {
        self.apex.as_ref()
    }

    /// The serial.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Records.
    pub fn record_count(&self) -> usize {
        self.text.lines().count()
    }

    /// Names.
    pub fn name_count(&self) -> usize {
        self.text.lines().count()
    }

    /// Whether it is signed.
    pub fn is_signed(&self) -> bool {
        self.text.contains("RRSIG")
    }

    /// The text.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut impl fmt::Write) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// Loads a zone.
pub fn load(
    files: &mut dyn Files,
    path: &Path,
    name: NameRef<'_>,
    may_rename: bool,
    _seed: Seed,
    _sources: &mut Sources,
    faults: &mut Faults,
) -> Option<Zone> {
    let mut text = String::new();
    read(files, path, &mut vec![path.to_owned()], &mut text, faults);
    let soa = text.lines().find(|line| line.contains(" SOA "));
    let (mut apex, mut serial) = (name.to_name(), 0);
    match soa {
        Some(line) => {
            let words: Vec<&str> = line.split_whitespace().filter(|word| *word != "(").collect();
            let at = words.iter().position(|word| *word == "SOA").unwrap_or(0);
            serial = words.get(at + 3).and_then(|word| word.parse().ok()).unwrap_or(0);
            if may_rename && words[0] != "@" && !line.starts_with(' ') {
                apex = Name::from_text(words[0].as_bytes(), Some(name)).unwrap_or(apex);
            }
        }
        None => faults.0.push(format!("{}:1:1: no SOA", path.display())),
    }
    faults.0.is_empty().then_some(Zone { apex, serial, text })
}

/// Reads a file and what it includes.
fn read(files: &mut dyn Files, path: &Path, stack: &mut Vec<PathBuf>, out: &mut String, faults: &mut Faults) {
    let octets = match files.read(path) {
        Ok(octets) => octets,
        Err(error) => return faults.0.push(format!("{}: {error}", path.display())),
    };
    let Ok(text) = String::from_utf8(octets) else {
        return faults.0.push(format!("{}:1:1: binary", path.display()));
    };
    for (number, line) in text.lines().enumerate() {
        if let Some(inner) = line.strip_prefix("$INCLUDE ") {
            let inner = path.parent().unwrap_or(Path::new("")).join(inner.trim());
            if stack.contains(&inner) {
                faults.0.push(format!("{}:{}:10: include loop", path.display(), number + 1));
                continue;
            }
            stack.push(inner.clone());
            read(files, &inner, stack, out, faults);
            stack.pop();
        } else if line.contains("BROKEN") {
            faults.0.push(format!("{}:{}:1: broken", path.display(), number + 1));
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
}
