//! Catalogs that are made here: which zones they list follows the registry, version by version.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::registry::{Registry, Source, ZoneRecord, ZoneState};
// mutual: the loader holds what this keeps, and lends it its methods.
use super::{Loader, some_of};
use crate::catalog::{Listing, Produced};
use crate::config::{LossMax, ProducedCatalog, ZoneSources};
use crate::transfer::{Change, Journal, ZoneTransfers};
use crate::wire::SharedName;
use crate::zone::Zone;

/// A version of a catalog that was made here, to be kept over restarts.
#[derive(Clone, Debug)]
pub struct ProducedVersion {
    /// It.
    pub zone: Arc<Zone>,
    /// The step from the version before, if there was one.
    pub change: Option<Arc<Change>>,
}

/// What is known about the catalogs that are made here.
#[derive(Debug, Default)]
pub(super) struct Producers {
    catalogs: BTreeMap<SharedName, Produced>,
    /// Whether what was kept of them was read: before that, none is made.
    is_begun: bool,
    /// Whether they are kept over restarts, so that labels may hang on more than the zone's name.
    is_kept: bool,
    /// Versions that nobody has taken yet.
    news: Vec<ProducedVersion>,
    /// What people should know.
    told: Vec<String>,
}

impl Producers {
    /// What came since this was last asked: versions, and what people should know.
    pub(super) fn take_news(&mut self) -> (Vec<ProducedVersion>, Vec<String>) {
        (std::mem::take(&mut self.news), std::mem::take(&mut self.told))
    }

    /// How many members a catalog has.
    pub(super) fn member_count(&self, name: &SharedName) -> usize {
        self.catalogs.get(name).map_or(0, |catalog| catalog.members().len())
    }
}

impl Loader {
    /// Begins to make catalogs, going on from the versions that were kept; `is_kept` says whether they are.
    pub fn begin_producing(&mut self, kept: Vec<(Arc<Zone>, Journal)>, is_kept: bool) {
        (self.producers.is_begun, self.producers.is_kept) = (true, is_kept);
        for (zone, journal) in kept {
            let name = SharedName::from(zone.apex());
            match Produced::of(zone) {
                Ok(produced) => {
                    let table = self.registry.transfers_mut();
                    let settings = Arc::clone(self.catalogs.sources().transfers_of(name.as_ref()));
                    table.put(name.clone(), Arc::new(ZoneTransfers { settings, journal, expiry: None }));
                    self.registry.put(Arc::new(record(&name, produced.zone())));
                    self.producers.catalogs.insert(name, produced);
                }
                Err(error) => {
                    self.producers.told.push(format!("catalog {name}: what was kept of it is no catalog: {error}"));
                }
            }
        }
        self.produce_all(false);
    }

    /// Lets the catalogs that are made here list what is there now, all of it looked at.
    pub(super) fn produce_all(&mut self, is_forced: bool) {
        if !self.producers.is_begun {
            return;
        }
        let sources = self.catalogs.shared_sources();
        let gone: Vec<SharedName> =
            self.producers.catalogs.keys().filter(|name| !is_made(&sources, name)).cloned().collect();
        for name in gone {
            self.producers.catalogs.remove(&name);
            let record = self.registry.get(name.as_ref(), &Source::Produced).cloned();
            record.iter().for_each(|record| self.registry.remove(record));
        }
        for catalog in &sources.produced {
            let mut wanted: BTreeMap<SharedName, Option<Listing>> = BTreeMap::new();
            if let Some(known) = self.producers.catalogs.get(&catalog.name) {
                wanted.extend(known.members().iter().map(|member| (member.name.clone(), None)));
            }
            for record in self.registry.iter() {
                let listing = listing(&self.registry, &sources, record, &catalog.name);
                wanted.extend(listing.map(|listing| (record.listed_name.clone(), Some(listing))));
            }
            self.produce(catalog, &wanted.into_iter().collect::<Vec<_>>(), is_forced);
        }
    }

    /// The same where only these zones may be others than before.
    pub(super) fn produce_some(&mut self, names: &[SharedName], is_forced: bool) {
        if !self.producers.is_begun || names.is_empty() {
            return;
        }
        let sources = self.catalogs.shared_sources();
        for catalog in &sources.produced {
            let wanted = names.iter().map(|name| {
                let mut records = self.registry.named(name.as_ref());
                (name.clone(), records.find_map(|record| listing(&self.registry, &sources, record, &catalog.name)))
            });
            let wanted: Vec<_> = wanted.collect();
            self.produce(catalog, &wanted, is_forced);
        }
    }

    /// Makes the next version of a catalog where something differs, unless it takes too much away.
    fn produce(&mut self, catalog: &ProducedCatalog, wanted: &[(SharedName, Option<Listing>)], is_forced: bool) {
        let name = &catalog.name;
        let rival = self.registry.named(name.as_ref()).find(|record| record.source != Source::Produced);
        if let Some(rival) = rival {
            let what = format!("catalog {name}: it is not made, since {} is a zone of that name", rival.source);
            return self.producers.told.push(what);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let serial = now as u32; // Modulo 2^32, as serials count.
        let is_new = !self.producers.catalogs.contains_key(name);
        if is_new {
            let Some(empty) = Produced::empty(name.as_ref(), serial.wrapping_sub(1), self.seed) else {
                return self.producers.told.push(format!("catalog {name}: it can't be made; please report it"));
            };
            self.producers.catalogs.insert(name.clone(), empty);
        }
        let Some(produced) = self.producers.catalogs.get_mut(name) else { return };
        let lost: Vec<SharedName> = produced.lost(wanted).cloned().collect();
        let may_go = if is_forced { LossMax::ALL } else { catalog.loss_max }.of(produced.members().len());
        if lost.len() > may_go {
            self.producers.told.push(format!(
                "catalog {name}: {} of its {} members are gone ({}), and its `loss-max` lets one version take away \
                 {may_go}; it stays what it was; if they are to go: fated reload --force",
                lost.len(),
                produced.members().len(),
                some_of(&lost)
            ));
            return;
        }
        let change = produced.advance(wanted, serial, self.producers.is_kept);
        if change.is_none() && !is_new {
            return;
        }
        let zone = Arc::clone(produced.zone());
        if let Some(change) = &change {
            self.registry.push_change(name.as_ref(), Arc::clone(change));
        }
        self.registry.put(Arc::new(record(name, &zone)));
        // Of the first version nobody had the one before.
        self.producers.news.push(ProducedVersion { zone, change: change.filter(|_| !is_new) });
    }
}

/// Whether a catalog is made here.
fn is_made(sources: &ZoneSources, name: &SharedName) -> bool {
    sources.produced.iter().any(|catalog| catalog.name == *name)
}

/// What a catalog is to say of a zone; `None` where it is not to list it. Catalogs are no members.
fn listing(registry: &Registry, sources: &ZoneSources, record: &ZoneRecord, catalog: &SharedName) -> Option<Listing> {
    let name = record.listed_name.as_ref();
    let listed_in = registry.transfers().settings(name).listed_in.as_ref()?;
    let is_catalog = record.source == Source::Produced || sources.catalog(name).is_some();
    (listed_in.catalog == *catalog && !is_catalog).then(|| Listing { group: listed_in.group.clone() })
}

/// The record of a catalog that is made here.
fn record(name: &SharedName, zone: &Arc<Zone>) -> ZoneRecord {
    ZoneRecord { source: Source::Produced, state: ZoneState::Served(Arc::clone(zone)), ..ZoneRecord::awaited(name) }
}
