//! What the operator set: text → `Document` (as written) → [`Config`] (checked, units applied, nothing left open).
//!
//! Owns the configuration file, the options of the command line that stand above it, and every default. Refuses to
//! know how any of it is carried out. Each key is one row of `rows`.

mod check;
mod document;
mod error;
mod key;
mod reference;
mod rows;
mod values;

use std::path::{Path, PathBuf};

pub use check::{AddressError, control_default, identity_default, parse_address, version_default};
use document::Document;
pub use error::{ConfigError, ConfigFault};
pub use reference::reference;
pub use values::{
    ADMIN_PORT_DEFAULT, Absence, Anycast, CatalogSource, Companion, Config, Health, INTERFACE_DEFAULT, LISTEN_MAX,
    Listen, Log, LogFormat, LogLevel, LossMax, Overrides, PORT_DEFAULT, PORT_UNPRIVILEGED, ProducedCatalog,
    ScopedListen, Secondary, TlsServer, ZONES_DIR_DEFAULT, ZoneFile, ZoneShare, ZoneSources,
};

/// The most octets of a configuration file.
pub const CONFIG_BYTES_MAX: u64 = 64 << 20;

/// Reads the configuration: the file if there is one, what stands above it, and the defaults.
///
/// # Errors
/// [`ConfigError`] with every fault that was found.
pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
    let Some(path) = file else {
        return check::check(&Document::default(), check::Origin::none(), overrides);
    };
    let text = read(path).map_err(|cause| ConfigError::unreadable(path, &cause))?;
    parse(path, &text, overrides)
}

/// Makes the configuration out of a file's text.
///
/// # Errors
/// [`ConfigError`] with every fault that was found.
pub fn parse(path: &Path, text: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
    let document = Document::parse(text).map_err(|faults| ConfigError::in_file(path, text, faults))?;
    check::check(&document, check::Origin::file(path, text), overrides)
}

/// The control socket that a file names; nothing else of the file is looked at. Who may ask a server need not be
/// somebody who may read its secrets.
///
/// # Errors
/// [`ConfigError`] where the file can't be read, or has unknown keys or values of wrong types.
pub fn control(path: &Path) -> Result<Option<PathBuf>, ConfigError> {
    let text = read(path).map_err(|cause| ConfigError::unreadable(path, &cause))?;
    let document = Document::parse(&text).map_err(|faults| ConfigError::in_file(path, &text, faults))?;
    Ok(check::control(&document, check::Origin::file(path, &text)))
}

/// Reads a file that must be UTF-8 and not absurdly long.
fn read(path: &Path) -> std::io::Result<String> {
    let metadata = std::fs::metadata(path)?;
    if metadata.len() > CONFIG_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is longer than {CONFIG_BYTES_MAX} octets")));
    }
    std::fs::read_to_string(path)
}
