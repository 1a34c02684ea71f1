//! Reloads: what is read, what is kept, what is told.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;
use crate::config::ZoneFile;

/// A folder with zone files, and a loader on it.
struct Site {
    folder: TempDir,
    loader: Loader,
    sources: ZoneSources,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let sources = ZoneSources { dir: Some(folder.path().into()), ..ZoneSources::default() };
        Self { folder, loader: Loader::new(Seed([1, 2]), Style::Plain), sources }
    }

    /// Writes a file and makes it look as if it had been at rest for an hour.
    fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join(file);
        fs::write(&path, text).expect("writes");
        let opened = File::options().write(true).open(&path).expect("opens");
        opened.set_modified(SystemTime::now() - Duration::from_secs(3600)).expect("sets the time");
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.folder.path().join(file)).expect("removes");
    }

    fn reload(&mut self, scope: Scope) -> Vec<(String, Change)> {
        let report = self.loader.reload(&self.sources, scope).expect("reloads");
        report.zones.iter().map(|zone| (zone.name.to_string(), zone.change)).collect()
    }

    fn served(&self) -> Vec<(String, u32)> {
        let mut served: Vec<_> =
            self.loader.zone_set().iter().map(|zone| (zone.apex().to_string(), zone.serial())).collect();
        served.sort();
        served
    }
}

fn zone(owner: &str, serial: u32) -> String {
    format!(
        "{owner} 3600 IN SOA ns.example. host.example. {serial} 7200 3600 1209600 300\n{owner} 3600 IN NS ns.example.\n"
    )
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

#[test]
fn files_are_added_changed_left_and_removed() {
    let mut site = Site::new();
    site.write("a.test.zone", &zone("@", 1));
    site.write("b.test.zone", &zone("@", 1));
    site.write("c.test.zone", &zone("@", 1));
    let added = |name: &str| (name.to_owned(), Change::Added);
    assert_eq!(site.reload(Scope::All), ["a.test.", "b.test.", "c.test."].map(added));
    site.write("a.test.zone", &zone("@", 2));
    site.remove("b.test.zone");
    site.write("d.test.zone", &zone("@", 1));
    let expected = [
        ("a.test.".to_owned(), Change::Changed),
        ("b.test.".to_owned(), Change::Removed),
        ("c.test.".to_owned(), Change::Unchanged),
        ("d.test.".to_owned(), Change::Added),
    ];
    assert_eq!(site.reload(Scope::All), expected);
    assert_eq!(site.served(), [("a.test.".to_owned(), 2), ("c.test.".to_owned(), 1), ("d.test.".to_owned(), 1)]);
}

#[test]
fn a_broken_file_keeps_the_old_zone_until_it_is_repaired() {
    let mut site = Site::new();
    site.write("a.test.zone", &zone("@", 1));
    site.reload(Scope::All);
    site.write("a.test.zone", "@ 3600 IN A not-an-address\n");
    for _ in 0..2 {
        assert_eq!(site.reload(Scope::All), [("a.test.".to_owned(), Change::Kept)]);
        assert_eq!(site.served(), [("a.test.".to_owned(), 1)]);
        assert!(site.loader.entries()[0].is_broken);
        assert!(site.loader.entries()[0].faults.contains("a.test.zone"), "{}", site.loader.entries()[0].faults);
    }
    site.write("a.test.zone", &zone("@", 3));
    assert_eq!(site.reload(Scope::All), [("a.test.".to_owned(), Change::Changed)]);
    assert_eq!(site.served(), [("a.test.".to_owned(), 3)]);
    assert!(!site.loader.entries()[0].is_broken);
}

#[test]
fn a_new_file_with_errors_is_refused_and_the_others_are_served() {
    let mut site = Site::new();
    site.write("a.test.zone", &zone("@", 1));
    site.write("b.test.zone", "");
    assert_eq!(
        site.reload(Scope::All),
        [("a.test.".to_owned(), Change::Added), ("b.test.".to_owned(), Change::Refused)]
    );
    assert_eq!(site.served(), [("a.test.".to_owned(), 1)]);
}

#[test]
fn a_changed_include_is_a_change() {
    let mut site = Site::new();
    site.write("a.test.zone", &format!("{}$INCLUDE hosts.inc\n", zone("@", 1)));
    site.write("hosts.inc", "www 3600 IN A 192.0.2.1\n");
    site.reload(Scope::All);
    assert_eq!(site.reload(Scope::All), [("a.test.".to_owned(), Change::Unchanged)]);
    site.write("hosts.inc", "www 3600 IN A 192.0.2.1\nftp 3600 IN A 192.0.2.2\n");
    assert_eq!(site.reload(Scope::All), [("a.test.".to_owned(), Change::Changed)]);
}

#[test]
fn one_zone_is_reloaded_alone() {
    let mut site = Site::new();
    site.write("a.test.zone", &zone("@", 1));
    site.write("b.test.zone", &zone("@", 1));
    site.reload(Scope::All);
    for file in ["a.test.zone", "b.test.zone", "c.test.zone"] {
        site.write(file, &zone("@", 2));
    }
    assert_eq!(site.reload(Scope::Zone(name("A.test"))), [("a.test.".to_owned(), Change::Changed)]);
    assert_eq!(site.served(), [("a.test.".to_owned(), 2), ("b.test.".to_owned(), 1)]);
    assert_eq!(site.reload(Scope::Zone(name("c.test"))), [("c.test.".to_owned(), Change::Added)]);
    site.remove("b.test.zone");
    site.remove("c.test.zone");
    assert_eq!(site.reload(Scope::Zone(name("b.test"))), [("b.test.".to_owned(), Change::Removed)]);
    assert_eq!(site.served(), [("a.test.".to_owned(), 2), ("c.test.".to_owned(), 2)]);
    let error = site.loader.reload(&site.sources, Scope::Zone(name("x.test"))).expect_err("no such zone");
    assert_eq!(error.to_string(), "no zone x.test. is served, and no zone file has that name");
}

#[test]
fn the_name_of_a_file_decides_which_zone_it_is() {
    let mut site = Site::new();
    site.write("victim.test.zone", &zone("@", 1));
    for owner in ["victim.test.", "VICTIM.test.", ".", "test.", "sub.mine.test.", "other."] {
        site.write("mine.test.zone", &zone(owner, 7));
        let report = site.loader.reload(&site.sources, Scope::All).expect("reloads");
        let mine = report.zones.iter().find(|zone| zone.path.ends_with("mine.test.zone")).expect("told of");
        assert_eq!((mine.name.to_string().as_str(), mine.change), ("mine.test.", Change::Refused), "{owner}");
        for word in ["soa-not-at-apex", owner, "mine.test.", "[[zone]]"] {
            assert!(mine.faults.contains(word), "{owner}: {}", mine.faults);
        }
        assert_eq!(site.served(), [("victim.test.".to_owned(), 1)], "{owner}");
    }
    site.write("mine.test.zone", &zone("mine.TEST.", 8));
    site.reload(Scope::All);
    assert_eq!(site.served(), [("mine.TEST.".to_owned(), 8), ("victim.test.".to_owned(), 1)]);
}

#[test]
fn a_file_that_the_configuration_names_is_the_zone_that_it_says() {
    let mut site = Site::new();
    site.write("anything.zone", &zone("real.test.", 1));
    let path = site.folder.path().join("anything.zone");
    for (said, expected) in [("real.test", Change::Added), ("other.test", Change::Refused)] {
        site.sources.files = vec![ZoneFile { name: name(said), path: path.clone(), said_at: String::new() }];
        let fates: Vec<Change> = site.reload(Scope::Zone(name(said))).into_iter().map(|(_, change)| change).collect();
        assert_eq!(fates, [expected], "{said}");
    }
}

#[test]
fn two_files_of_one_zone_are_refused_and_a_served_one_stays() {
    let mut site = Site::new();
    site.write("same.test.zone", &zone("@", 1));
    site.write("SAME.test.zone", &zone("@", 2));
    let report = site.loader.reload(&site.sources, Scope::All).expect("reloads");
    assert_eq!(report.count(Change::Refused), 2);
    for zone in report.broken() {
        let both = ["same.test.zone", "SAME.test.zone"];
        assert!(both.iter().all(|file| zone.faults.contains(file)), "{}", zone.faults);
    }
    assert_eq!(site.served(), []);
    site.remove("same.test.zone");
    site.reload(Scope::All);
    assert_eq!(site.served(), [("SAME.test.".to_owned(), 2)]);
    site.write("same.test.zone", &zone("@", 3));
    let fates = site.reload(Scope::All);
    assert_eq!(fates.iter().map(|(_, change)| *change).collect::<Vec<_>>(), [Change::Unchanged, Change::Refused]);
    assert_eq!(site.served(), [("SAME.test.".to_owned(), 2)]);
    site.remove("SAME.test.zone");
    site.reload(Scope::All);
    assert_eq!(site.served(), [("same.test.".to_owned(), 3)]);
}

#[test]
fn a_zone_that_cannot_be_read_is_known_by_the_name_of_its_file() {
    let mut site = Site::new();
    site.write("a.test.zone", &zone("@", 1));
    site.write("b.test.zone", "nonsense");
    site.reload(Scope::All);
    let set = site.loader.zone_set();
    assert_eq!((set.len(), set.broken_count()), (1, 1));
    site.write("b.test.zone", &zone("@", 1));
    site.reload(Scope::All);
    assert_eq!(site.loader.zone_set().broken_count(), 0);
    // At a reload of one zone, too.
    site.write("c.test.zone", "nonsense");
    let report = site.loader.reload(&site.sources, Scope::Zone(name("c.test"))).expect("reloads");
    assert!(report.is_change());
    assert_eq!(site.loader.zone_set().broken_count(), 1);
}

/// Ways in which many zones can go at once, none of which is an order.
#[test]
fn one_reload_takes_away_no_more_than_it_may_and_else_changes_nothing() {
    type Loss = (&'static str, fn(&mut Site));
    let lose: [Loss; 5] = [
        ("the files are gone", |site| (0..6).for_each(|at| site.remove(&format!("z{at}.test.zone")))),
        ("four of six files are gone", |site| (0..4).for_each(|at| site.remove(&format!("z{at}.test.zone")))),
        ("another folder is named", |site| {
            fs::create_dir(site.folder.path().join("empty")).expect("a folder");
            site.sources.dir = Some(site.folder.path().join("empty"));
        }),
        ("no folder is named, but one file", |site| {
            let path = site.folder.path().join("z0.test.zone");
            site.sources.files = vec![ZoneFile { name: name("z0.test"), path, said_at: String::new() }];
            site.sources.dir = None;
        }),
        ("the files have other names", |site| {
            for at in 0..6 {
                let path = |name: &str| site.folder.path().join(format!("{name}{at}.test.zone"));
                fs::rename(path("z"), path("y")).expect("renames");
            }
        }),
    ];
    for (what, lose) in lose {
        let mut site = Site::new();
        (0..6).for_each(|at| site.write(&format!("z{at}.test.zone"), &zone("@", 1)));
        site.reload(Scope::All);
        let before = site.served();
        lose(&mut site);
        for _ in 0..2 {
            let error = site.loader.reload(&site.sources, Scope::All).expect_err(what);
            assert!(matches!(&error, ReloadError::Loss { served: 6, may_go: 3, .. }), "{what}: {error}");
            assert!(error.to_string().contains("reload-loss-max") && error.to_string().contains("--force"), "{error}");
            assert_eq!(site.served(), before, "{what}");
        }
        site.sources.loss_max = LossMax::ALL;
        site.reload(Scope::All);
        assert_ne!(site.served(), before, "{what}, and is meant so");
    }
}

#[test]
fn files_that_became_empty_or_unreadable_take_no_zone_away() {
    let mut site = Site::new();
    (0..3).for_each(|at| site.write(&format!("z{at}.test.zone"), &zone("@", 1)));
    site.reload(Scope::All);
    site.write("z0.test.zone", "");
    site.remove("z1.test.zone");
    fs::create_dir(site.folder.path().join("elsewhere")).expect("a folder");
    std::os::unix::fs::symlink("/nonexistent", site.folder.path().join("z1.test.zone")).expect("a link");
    site.write("z2.test.zone", "; nothing but a comment\n");
    assert!(site.reload(Scope::All).iter().all(|(_, change)| *change == Change::Kept));
    assert_eq!(site.served().len(), 3);
}

#[test]
fn half_of_the_zones_may_go_and_the_last_one_may_not() {
    let mut site = Site::new();
    (0..4).for_each(|at| site.write(&format!("z{at}.test.zone"), &zone("@", 1)));
    site.reload(Scope::All);
    site.remove("z0.test.zone");
    site.remove("z1.test.zone");
    assert_eq!(site.reload(Scope::All).iter().filter(|(_, change)| *change == Change::Removed).count(), 2);
    site.remove("z2.test.zone");
    site.reload(Scope::Zone(name("z2.test")));
    assert_eq!(site.served(), [("z3.test.".to_owned(), 1)]);
    site.remove("z3.test.zone");
    for scope in [Scope::All, Scope::Zone(name("z3.test"))] {
        assert!(matches!(site.loader.reload(&site.sources, scope), Err(ReloadError::Loss { may_go: 0, .. })));
    }
    assert_eq!(site.served().len(), 1);
}

#[test]
fn a_folder_that_vanishes_changes_nothing() {
    let mut site = Site::new();
    site.write("a.test.zone", &zone("@", 1));
    site.reload(Scope::All);
    site.sources.dir = Some(site.folder.path().join("gone"));
    assert!(matches!(site.loader.reload(&site.sources, Scope::All), Err(ReloadError::List(_))));
    assert_eq!(site.served(), [("a.test.".to_owned(), 1)]);
}

#[test]
fn many_files_are_read_by_several_threads_in_order() {
    let mut site = Site::new();
    for number in 0..100 {
        site.write(&format!("z{number:03}.test.zone"), &zone("@", number));
    }
    let fates = site.reload(Scope::All);
    assert_eq!(fates.len(), 100);
    assert!(fates.iter().all(|(_, change)| *change == Change::Added));
    let serials: Vec<u32> = site.served().into_iter().map(|(_, serial)| serial).collect();
    assert_eq!(serials, (0..100).collect::<Vec<_>>());
}
