//! `[[catalog]]` as written → checked: where catalogs come from, and what holds for their members.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;

use super::transfer::{Known, Templates};
use super::{Check, Names, rows};
use crate::catalog::PRODUCED_NAME_BYTES_MAX;
use crate::config::document::Document;
use crate::config::values::{CatalogSource, ProducedCatalog, ZoneSources};
use crate::transfer::TransferSettings;
use crate::wire::Name;

/// The most catalogs.
const CATALOGS_MAX: usize = 100;
/// The most groups of a catalog that have templates.
const GROUPS_MAX: usize = 1000;

impl Check<'_> {
    /// One `[[catalog]]`.
    pub(super) fn catalog(
        &mut self,
        catalog: &Document<'_>,
        known: &Known,
        templates: &Templates,
        names: &mut Names,
        sources: &mut ZoneSources,
    ) {
        let Some((name, said_at)) = self.name_of(catalog, &rows::CATALOG_NAME, names) else { return };
        let named_at = catalog.get::<String>(&rows::CATALOG_NAME).expect("the document has it").span();
        if sources.catalogs.len() == CATALOGS_MAX {
            let message = format!("there may be {CATALOGS_MAX} [[catalog]] at most");
            return self.fault(named_at, message, "one too many".into(), None);
        }
        let Some(template) = self.template_of(catalog, &rows::CATALOG_TEMPLATE, templates) else { return };
        let mut transfers = self.template(catalog, template, known).settings;
        if let Some(membership) = &transfers.listed_in {
            if catalog.has(rows::LISTED_IN.path) || catalog.has(rows::GROUP.path) {
                let message = format!("the catalog {name} can't be listed in the catalog {}", membership.catalog);
                let help = "take `catalog` and `group` out: a catalog is no member of another";
                self.fault(named_at.clone(), message, "it is one itself".into(), Some(help.into()));
            }
            transfers = Arc::new(TransferSettings { listed_in: None, ..TransferSettings::clone(&transfers) });
        }
        if catalog.get::<bool>(&rows::PRODUCE).is_some_and(Spanned::into_inner) {
            return self.produced(catalog, (name, named_at), transfers, sources);
        }
        let rows = [&rows::CATALOG_NAME, &rows::CATALOG_FILE];
        self.zone_source(catalog, rows, (name, said_at), Arc::clone(&transfers), sources);
        let members = match catalog.get::<String>(&rows::MEMBER_TEMPLATE) {
            Some(named) => self.members(rows::MEMBER_TEMPLATE.path, &named, templates),
            None if transfers.primaries.is_empty() => {
                let message = format!("nothing says where the members of the catalog {name} come from");
                let help = "add `member-template = \"…\"`, the name of a [[template]] with `primaries`";
                self.fault(named_at, message, "its members come from nowhere".into(), Some(help.into()));
                None
            }
            None => Some(transfers),
        };
        let written = catalog.get::<BTreeMap<String, Spanned<String>>>(&rows::CATALOG_GROUPS);
        if let Some(written) = written.as_ref().filter(|written| written.get_ref().len() > GROUPS_MAX) {
            let count = Spanned::new(written.span(), format!("{} groups", written.get_ref().len()));
            self.refuse(rows::CATALOG_GROUPS.path, &count, &format!("at most {GROUPS_MAX} groups"));
        }
        let groups = written.map(Spanned::into_inner).unwrap_or_default().into_iter();
        let path = rows::CATALOG_GROUPS.path;
        let groups =
            groups.filter_map(|(group, named)| Some((group, self.members(path, &named, templates)?))).collect();
        let loss_max = self.loss_max(catalog, &rows::CATALOG_LOSS_MAX);
        if let Some(members) = members {
            sources.catalogs.push(CatalogSource { name: name.as_ref().into(), members, groups, loss_max });
        }
    }

    /// Takes down which catalogs are made here: templates may name them.
    pub(super) fn find_produced(&mut self) {
        for catalog in self.written.each(rows::CATALOG) {
            let is_produced = catalog.get::<bool>(&rows::PRODUCE).is_some_and(Spanned::into_inner);
            let name = catalog.get::<String>(&rows::CATALOG_NAME).and_then(|name| name.get_ref().parse::<Name>().ok());
            self.produced.extend(name.filter(|_| is_produced));
        }
    }

    /// A catalog that is made here.
    fn produced(
        &mut self,
        catalog: &Document<'_>,
        (name, named_at): (Name, Range<usize>),
        transfers: Arc<TransferSettings>,
        sources: &mut ZoneSources,
    ) {
        let elsewhere = [rows::CATALOG_FILE.path, rows::MEMBER_TEMPLATE.path, rows::CATALOG_GROUPS.path];
        if elsewhere.iter().any(|path| catalog.has(path)) || !transfers.primaries.is_empty() {
            let message = format!("the catalog {name} is made here, and yet it or its members come from elsewhere");
            let help = "take `file`, `primaries`, `member-template` and `groups` out (`primaries = []` takes those of \
                a template away), or `produce`";
            self.fault(named_at, message, "both can't be".into(), Some(help.into()));
            return;
        }
        if name.as_ref().len() > PRODUCED_NAME_BYTES_MAX {
            let message = format!("the name of the catalog {name} is too long for the names of its members");
            self.fault(named_at, message, format!("at most {PRODUCED_NAME_BYTES_MAX} octets"), None);
            return;
        }
        let loss_max = self.loss_max(catalog, &rows::CATALOG_LOSS_MAX);
        sources.produced.push(ProducedCatalog { name: name.as_ref().into(), loss_max });
        if transfers != sources.default_transfers {
            sources.transfers.insert(name.as_ref().into(), transfers);
        }
    }

    /// What a template says about members, which come from its primaries.
    fn members(&mut self, path: &str, named: &Spanned<String>, templates: &Templates) -> Option<Arc<TransferSettings>> {
        let settings = &self.template_named(path, named, templates)?.settings;
        if settings.primaries.is_empty() {
            let message = format!("`{path}` is {:?}, a template without `primaries`", named.get_ref());
            let help = "members of a catalog come from primaries: write them in that [[template]]";
            self.fault(named.span(), message, "they would come from nowhere".into(), Some(help.into()));
            return None;
        }
        Some(Arc::clone(settings))
    }
}

#[cfg(test)]
mod tests;
