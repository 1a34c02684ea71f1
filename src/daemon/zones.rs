//! The registry of zones in the words of the control socket: counts, some zones, pages of them; all bounded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::admin::reply;
use crate::load::{CatalogState, Loader, Registry, Source, ZoneRecord, ZoneState};
use crate::wire::NameRef;
use crate::zone::hash::LookupName;

/// The most octets of one zone's faults that a reply holds.
const FAULTS_BYTES_MAX: usize = 16 << 10;
/// The most octets of all zones' faults together that a reply holds.
pub(super) const FAULTS_ALL_BYTES_MAX: usize = 256 << 10;

/// What is loaded, for whoever asks. Shares the registry with the thread that loads.
#[derive(Debug)]
pub(super) struct ZoneTable {
    /// The zones.
    pub(super) registry: Registry,
    /// The last reload, when it ended and how long it took.
    pub(super) last: Option<LastReload>,
    /// The catalogs.
    catalogs: Vec<CatalogState>,
}

/// When a reload ended, how long it took, and what came of it.
type LastReload = (Instant, Duration, Result<reply::Reload, String>);

impl ZoneTable {
    /// What is loaded now.
    pub(super) fn of(loader: &Loader, last: Option<LastReload>) -> Self {
        Self { registry: loader.registry().clone(), last, catalogs: loader.catalogs() }
    }

    /// The catalogs whose members are served.
    pub(super) fn catalogs(&self) -> Vec<reply::Catalog> {
        let shown = |catalog: &CatalogState| reply::Catalog {
            name: catalog.name.to_string(),
            members: catalog.members,
            served: catalog.owned,
            refusal: catalog.refusal.clone(),
        };
        self.catalogs.iter().map(shown).collect()
    }

    /// What of them is not as it should be, for whoever asks whether the server is ready; empty where nothing is.
    pub(super) fn catalog_faults(&self) -> String {
        let refused = self.catalogs.iter().filter(|catalog| catalog.refusal.is_some());
        let names: Vec<String> = refused.map(|catalog| catalog.name.to_string()).collect();
        if names.is_empty() { String::new() } else { format!("; catalogs REFUSED: {}", names.join(", ")) }
    }

    /// How many zones there are of each kind.
    pub(super) fn counts(&self) -> reply::ZoneCounts {
        let counts = self.registry.counts();
        reply::ZoneCounts { served: counts.served, kept: counts.kept, refused: counts.refused }
    }

    /// The zones that status shows one by one: all where they are few, else broken ones before others, in order.
    pub(super) fn some_zones(&self) -> Vec<reply::Zone> {
        let registry = &self.registry;
        if registry.len() <= reply::ZONES_MAX {
            return shown(registry.iter());
        }
        let broken: Vec<_> = registry.broken().take(reply::ZONES_MAX).collect();
        // So many at the front, broken or not, make up for those that are.
        let first = registry.iter().take(reply::ZONES_MAX - broken.len());
        let mut some: Vec<_> = broken.iter().copied().chain(first).collect();
        some.sort_by(|a, b| a.cmp_by_source(b.listed_name.as_ref(), &b.source));
        some.dedup_by(|a, b| Arc::ptr_eq(a, b));
        shown(some)
    }

    /// Some zones, from the one on that `from` stand before.
    pub(super) fn page(&self, from: usize, zones_max: usize) -> reply::ZonePage {
        let all = self.registry.len();
        let (from, end) = (from.min(all), from.saturating_add(zones_max).min(all));
        let zones = shown(self.registry.iter_from(from).take(end - from));
        reply::ZonePage { all, from, zones, next: (end < all).then_some(end) }
    }
}

/// Records as they are shown, the faults of all of them together bounded.
fn shown<'a>(records: impl IntoIterator<Item = &'a Arc<ZoneRecord>>) -> Vec<reply::Zone> {
    let mut bytes_left = FAULTS_ALL_BYTES_MAX;
    let zone = |record: &Arc<ZoneRecord>| zone(record, cut(&record.faults, &mut bytes_left));
    records.into_iter().map(zone).collect()
}

/// One record as status shows it.
fn zone(record: &ZoneRecord, faults: String) -> reply::Zone {
    let zone = record.zone();
    reply::Zone {
        name: record.name().to_string(),
        file: record.source.to_string(),
        state: match record.state {
            ZoneState::Served(_) => reply::State::Served,
            ZoneState::Kept(_) => reply::State::Kept,
            ZoneState::Refused => reply::State::Refused,
            ZoneState::Awaited => reply::State::Awaited,
            ZoneState::Expired(_) => reply::State::Expired,
        },
        serial: zone.map(|zone| zone.serial()),
        records: zone.map_or(0, |zone| zone.record_count()),
        names: zone.map_or(0, |zone| zone.name_count()),
        signed: zone.is_some_and(|zone| zone.is_signed()),
        // A clock that was set back makes the age unknown, not wrong.
        age_s: zone.and_then(|_| record.loaded_at.elapsed().ok()).map(|age| age.as_secs()),
        errors: record.error_count,
        warnings: record.warning_count,
        faults,
    }
}

/// What is known here of one zone, and what became of telling its parent.
pub(super) fn describe(record: &ZoneRecord, parent: Vec<reply::Parent>) -> reply::Secondary {
    let catalog = match &record.source {
        Source::Catalog(catalog) => Some(catalog.to_string()),
        Source::File(_) | Source::Transfer | Source::Produced => None,
    };
    let file = (!record.source.has_primaries()).then(|| record.source.to_string());
    let (name, serial) = (record.name().to_string(), record.zone().map(|zone| zone.serial()));
    reply::Secondary { name, serial, catalog, file, parent, ..reply::Secondary::default() }
}

/// A zone as a zone file.
///
/// # Errors
/// Why there is none, for people.
pub(super) fn export(registry: &Registry, name: NameRef<'_>) -> Result<reply::Export, String> {
    let zone = registry.zones().find(&LookupName::new(name), usize::MAX).filter(|zone| zone.apex() == name);
    let zone = zone.ok_or_else(|| format!("no zone {} is served", name.to_name()))?;
    let mut text = String::new();
    zone.write_text(&mut text).expect("a string takes everything");
    Ok(reply::Export { text })
}

/// The beginning of a text that may be very long, whole lines only, and no more octets than are left, which it takes.
pub(super) fn cut(text: &str, bytes_left: &mut usize) -> String {
    let bytes_max = FAULTS_BYTES_MAX.min(*bytes_left);
    *bytes_left = bytes_left.saturating_sub(text.len());
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let end = text[..end].rfind('\n').map_or(end, |at| at + 1);
    format!("{}… and more; `fated check` shows all\n", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_faults_are_cut_at_a_line() {
        let whole = |text: &str| cut(text, &mut FAULTS_ALL_BYTES_MAX.clone());
        assert_eq!(whole("short\n"), "short\n");
        let long = "é".repeat(60) + "\n";
        let shown = whole(&long.repeat(1000));
        assert!(shown.len() < FAULTS_BYTES_MAX + 100);
        assert!(shown.ends_with("é\n… and more; `fated check` shows all\n"));
        assert!(whole(&"é".repeat(FAULTS_BYTES_MAX)).len() < FAULTS_BYTES_MAX + 100);
        let mut bytes_left = FAULTS_ALL_BYTES_MAX;
        let all: usize = (0..10_000).map(|_| cut(&long.repeat(50), &mut bytes_left).len()).sum();
        assert!(all < FAULTS_ALL_BYTES_MAX + 10_000 * 50, "{all} octets");
        assert_eq!(cut("", &mut bytes_left), "");
    }
}
