//! Where zones come from, as written → checked: files, primaries, and the folder.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::transfer::{Known, Templates};
use super::{Check, Names, Own, Row, rows};
use crate::config::document::Document;
use crate::config::key::WrittenPeer;
use crate::config::values::{Overrides, Secondary, ZONES_DIR_DEFAULT, ZoneFile, ZoneSources};
use crate::transfer::TransferSettings;
use crate::wire::{Name, Shown};
use crate::zonefile::Limits;

impl Check<'_> {
    /// All zones; those with primaries outlive a restart only where there is a state folder.
    pub(super) fn zones(&mut self, known: &Known, has_state_dir: bool, overrides: &Overrides) -> ZoneSources {
        self.find_produced();
        let templates = self.templates(known);
        let limits = Limits {
            octets_max: self.number(&rows::ZONE_OCTETS_MAX).unsigned_abs(),
            records_max: self.number(&rows::ZONE_RECORDS_MAX).unsigned_abs(),
            generate_steps_max: self.number(&rows::GENERATE_STEPS_MAX).unsigned_abs(),
        };
        let mut sources = ZoneSources {
            default_transfers: Arc::clone(&templates.default().settings),
            include_dirs: self.include_dirs(overrides),
            limits,
            loss_max: self.loss_max(self.written, &rows::RELOAD_LOSS_MAX),
            ..ZoneSources::default()
        };
        let mut names = Names::default();
        for zone in self.written.each(rows::ZONE) {
            self.zone(&zone, known, &templates, &mut names, &mut sources);
        }
        for catalog in self.written.each(rows::CATALOG) {
            self.catalog(&catalog, known, &templates, &mut names, &mut sources);
        }
        for (name, path) in &overrides.zones {
            let said_at = format!("--zone {name}={}", Shown::path(path));
            if let Some(first) = names.said_at.get(name) {
                let message = format!("the zone {name} is named twice: first at {first}, again at {said_at}");
                self.fault_outside(message, None);
                continue;
            }
            names.said_at.insert(*name, said_at.clone());
            sources.files.push(ZoneFile { name: *name, path: path.clone(), said_at });
        }
        let named = overrides.zones_dir.clone().or_else(|| self.path(&rows::ZONES_DIR));
        let is_none_named = named.is_none() && names.said_at.is_empty();
        // The default folder is for those who named nothing at all.
        let is_default = is_none_named && self.origin.file.is_none();
        sources.is_dir_named = named.is_some();
        sources.dir = named.or_else(|| is_default.then(|| PathBuf::from(ZONES_DIR_DEFAULT)));
        if is_none_named && !is_default {
            let help =
                "add `zones-dir = \"zones\"` under [server], or a [[zone]] with `name`, and `file` or `primaries`";
            self.fault_outside("the configuration names no zone".to_owned(), Some(help.into()));
        }
        if sources.dir.is_some() || !overrides.zones.is_empty() {
            self.refuse_default_primaries();
        }
        if !sources.secondaries.is_empty() && !has_state_dir {
            self.warnings.push(format!(
                "zones with `primaries`: {}, but no `server.state-dir`: after a restart they are answered with \
                 SERVFAIL until they were transferred again",
                sources.secondaries.len()
            ));
        }
        sources
    }

    /// One `[[zone]]`.
    fn zone(
        &mut self,
        zone: &Document<'_>,
        known: &Known,
        templates: &Templates,
        names: &mut Names,
        sources: &mut ZoneSources,
    ) {
        let Some((name, said_at)) = self.name_of(zone, &rows::ZONE_NAME, names) else { return };
        let Some(template) = self.template_of(zone, &rows::ZONE_TEMPLATE, templates) else { return };
        let transfers = self.template(zone, template, known).settings;
        self.zone_source(zone, [&rows::ZONE_NAME, &rows::ZONE_FILE], (name, said_at), transfers, sources);
    }

    /// Where the zone of a section comes from: its file, or its primaries. The keys are those of name and file.
    pub(super) fn zone_source(
        &mut self,
        zone: &Document<'_>,
        [named, file]: [&Row<Own>; 2],
        (name, said_at): (Name, String),
        transfers: Arc<TransferSettings>,
        sources: &mut ZoneSources,
    ) {
        if transfers != sources.default_transfers {
            sources.transfers.insert(name.as_ref().into(), Arc::clone(&transfers));
        }
        match (zone.get::<String>(file), transfers.primaries.is_empty()) {
            (Some(file), true) => {
                if let Some(verify) = zone.get::<Vec<String>>(&rows::VERIFY) {
                    let message = format!("the zone {name} has both `file` and `verify`");
                    let help = "take `verify` out: it judges what comes from primaries; `fated check` reads a file \
                        before it is served";
                    self.fault(verify.span(), message, "is never run".into(), Some(help.into()));
                }
                sources.files.push(ZoneFile { name, path: self.origin.path(file.get_ref()), said_at });
            }
            (None, false) => sources.secondaries.push(Secondary { name: name.as_ref().into(), transfers, said_at }),
            (Some(file), false) => {
                let help = "take `file` out: a zone with `primaries` is kept in `state-dir` and has no file, `fated \
                    zone export` writes one; or write `primaries = []` where they are those of a template";
                let message = format!("the zone {name} has both `file` and `primaries`");
                self.fault(file.span(), message, "besides `primaries`".into(), Some(help.into()));
            }
            (None, true) => {
                let help = "add `file = \"…\"`, or `primaries = [{ address = \"192.0.2.1\" }]` here or in a template";
                let message = format!("the zone {name} has neither `file` nor `primaries`");
                let named_at = zone.get::<String>(named).expect("the document has it").span();
                self.fault(named_at, message, "comes from nowhere".into(), Some(help.into()));
            }
        }
    }

    /// Refuses primaries of the template `default` where it holds for zones that have files.
    fn refuse_default_primaries(&mut self) {
        let Some(span) = self.default_primaries() else { return };
        let message =
            "the template `default` has `primaries`, but the zones of `server.zones-dir` and --zone have files";
        let help = "give the template another name, and name it in each [[zone]] that comes from these primaries";
        self.fault(span, message.into(), "would hold for zones with files".into(), Some(help.into()));
    }

    /// Where the primaries of the template `default` stand.
    fn default_primaries(&self) -> Option<Range<usize>> {
        let templates = self.written.each(rows::TEMPLATE);
        let is_default = |template: &&Document<'_>| {
            template.get::<String>(&rows::TEMPLATE_NAME).is_some_and(|name| name.get_ref() == Templates::DEFAULT)
        };
        let written = templates.iter().find(is_default)?.get::<Vec<WrittenPeer>>(&rows::PRIMARIES)?;
        Some(written.span()).filter(|_| !written.get_ref().is_empty())
    }
}
