//! `fated check`: all zone files are read as a server would, their faults shown, and nothing is served.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use super::output::{EXIT_FAILED, EXIT_FAULTS, EXIT_OK, EXIT_USAGE, fail};
use crate::admin::Request;
use crate::admin::client::Client;
use crate::admin::reply::Status;
use crate::config::{Config, Secondary, ZoneSources};
use crate::daemon::{self, ConfigSource, DaemonError, firewall, host};
use crate::fault::report::Style;
use crate::load::{Loader, Registry, Report};

/// Checks, reports, and prints the good zones if that is wanted. If `is_strict`, warnings about zones are errors.
pub(super) fn check(source: ConfigSource, is_printed: bool, is_strict: bool) -> u8 {
    let (loader, report, sources, warnings) = match read(&source, is_strict) {
        Ok(read) => read,
        Err(error) => return fail(&error, if error.is_usage() { EXIT_USAGE } else { EXIT_FAILED }),
    };
    for warning in &warnings {
        eprintln!("warning: {warning}\n");
    }
    for zone in report.zones.iter().filter(|zone| !zone.faults.is_empty()) {
        eprintln!("{}", zone.faults.trim_end());
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let written = match is_printed {
        true => print_zones(&mut out, loader.registry()),
        false => summarize(&mut out, loader.registry(), &sources.secondaries),
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return fail(&format!("stdout: {error}"), EXIT_FAILED);
        }
        _ => {}
    }
    let has_errors = loader.registry().iter().any(|record| record.error_count > 0);
    if has_errors || report.broken().next().is_some() { EXIT_FAULTS } else { EXIT_OK }
}

/// Reads configuration and zones, and looks at what on this host breaks anycast where that is configured.
fn read(
    source: &ConfigSource,
    is_strict: bool,
) -> Result<(Loader, Report, Arc<ZoneSources>, Vec<String>), DaemonError> {
    let config = source.load()?;
    let mut warnings = config.warnings.clone();
    if let Some(anycast) = &config.anycast {
        let root = Path::new("/");
        let device = host::device(root, anycast)?;
        warnings.extend(host::warnings(&host::read(root), anycast, device));
        warnings.extend(firewall::warnings(anycast));
        warnings.extend(tried(&config));
    }
    let is_coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let style = if is_coloured { Style::Colour } else { Style::Plain };
    let seed = daemon::random_seed().map_err(|cause| DaemonError::System { what: "no random numbers", cause })?;
    let mut loader = Loader::new(seed, style);
    if is_strict {
        loader = loader.strictly();
    }
    let report = daemon::read_zones(&mut loader, &config.zones)?;
    Ok((loader, report, config.zones, warnings))
}

/// What a server that runs with this configuration says of the paths of its probes: it tries them all the time.
fn tried(config: &Config) -> Vec<String> {
    let status = config.control.as_deref().and_then(|control| {
        let (_, status) = Client::connect(control).ok()?.ask::<Status>(&Request::Status).ok()?;
        status.anycast
    });
    let addresses = status.into_iter().flat_map(|anycast| anycast.addresses);
    let faults = addresses.filter(|address| address.path.is_fault());
    faults
        .map(|address| {
            let (address, state) = (address.address, address.path.word());
            format!(
                "the server that runs finds the path of its probes to {address} {state}: its workers answer, but \
                 probes do not come through the way of clients"
            )
        })
        .collect()
}

/// Says in one line for each zone file what it is, and for each zone without one where it comes from.
fn summarize(out: &mut impl Write, registry: &Registry, secondaries: &[Secondary]) -> io::Result<()> {
    for record in registry.iter().filter(|record| record.source.path().is_some()) {
        let (name, path) = (record.name(), &record.source);
        let faults = match (record.error_count, record.warning_count) {
            (0, 0) => "no faults".to_owned(),
            (errors, 0) => format!("errors: {errors}"),
            (0, warnings) => format!("warnings: {warnings}"),
            (errors, warnings) => format!("errors: {errors}, warnings: {warnings}"),
        };
        match record.zone() {
            Some(zone) => {
                writeln!(out, "{name} ({path}): {} records, serial {}; {faults}", zone.record_count(), zone.serial())?;
            }
            None => writeln!(out, "{name} ({path}): can't be served; {faults}")?,
        }
    }
    for Secondary { name, transfers, .. } in secondaries {
        let primaries: Vec<String> = transfers.primaries.iter().map(|peer| peer.address.to_string()).collect();
        writeln!(out, "{name}: not looked at; comes from {}", primaries.join(", "))?;
    }
    Ok(())
}

/// Writes the good zones as text.
fn print_zones(out: &mut impl Write, registry: &Registry) -> io::Result<()> {
    for zone in registry.iter().filter_map(|record| record.zone()) {
        let mut text = Text { out, error: None };
        if zone.write_text(&mut text).is_err() {
            return Err(text.error.unwrap_or_else(|| io::Error::other("the zone can't be written as text")));
        }
    }
    Ok(())
}

/// Text that goes to a byte stream; the stream's error is kept, since [`fmt::Error`] can't carry it.
struct Text<'a, W> {
    out: &'a mut W,
    error: Option<io::Error>,
}

impl<W: Write> fmt::Write for Text<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.out.write_all(text.as_bytes()).map_err(|error| {
            self.error = Some(error);
            fmt::Error
        })
    }
}
