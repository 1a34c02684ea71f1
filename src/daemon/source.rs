//! Where the configuration comes from, at the start and at each reload.

use std::path::PathBuf;

use crate::config::{self, Config, ConfigError, Overrides};

/// Where the configuration comes from, at the start and at each reload.
#[derive(Clone, Debug, Default)]
pub struct ConfigSource {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// What the command line says.
    pub overrides: Overrides,
}

impl ConfigSource {
    /// Reads it.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(&self) -> Result<Config, ConfigError> {
        config::load(self.file.as_deref(), &self.overrides)
    }
}
