//! Reloads: what is read, what is kept, what is reported.

mod arrivals;

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::config::ZoneFile;

/// A folder with zone files, and a loader that reads it.
struct Folder {
    dir: TempDir,
    loader: Loader,
    sources: ZoneSources,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let sources = ZoneSources { dir: Some(dir.path().into()), ..ZoneSources::default() };
        Self { dir, loader: Loader::new(Seed([1, 2]), Style::Plain), sources }
    }

    /// Writes a file and makes it look as if it had been at rest for an hour.
    fn write(&self, file: &str, text: &str) {
        let path = self.dir.path().join(file);
        fs::write(&path, text).expect("writes");
        let opened = File::options().write(true).open(&path).expect("opens");
        opened.set_modified(SystemTime::now() - Duration::from_secs(3600)).expect("sets the time");
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.dir.path().join(file)).expect("removes");
    }

    fn reload(&mut self, scope: Scope) -> Vec<(String, Change)> {
        let report = self.try_reload(scope).expect("reloads");
        report.zones.iter().map(|zone| (zone.name.to_string(), zone.change)).collect()
    }

    fn try_reload(&mut self, scope: Scope) -> Result<Report, ReloadError> {
        self.loader.reload(&Arc::new(self.sources.clone()), scope, false)
    }

    /// The only record.
    fn record(&self) -> &ZoneRecord {
        self.loader.registry().iter().next().expect("there is one")
    }

    fn served(&self) -> Vec<(String, u32)> {
        let mut served: Vec<_> =
            self.loader.registry().zones().iter().map(|zone| (zone.apex().to_string(), zone.serial())).collect();
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
    let mut folder = Folder::new();
    folder.write("a.test.zone", &zone("@", 1));
    folder.write("b.test.zone", &zone("@", 1));
    folder.write("c.test.zone", &zone("@", 1));
    let added = |name: &str| (name.to_owned(), Change::Added);
    assert_eq!(folder.reload(Scope::All), ["a.test.", "b.test.", "c.test."].map(added));
    folder.write("a.test.zone", &zone("@", 2));
    folder.remove("b.test.zone");
    folder.write("d.test.zone", &zone("@", 1));
    let expected = [
        ("a.test.".to_owned(), Change::Changed),
        ("b.test.".to_owned(), Change::Removed),
        ("c.test.".to_owned(), Change::Unchanged),
        ("d.test.".to_owned(), Change::Added),
    ];
    assert_eq!(folder.reload(Scope::All), expected);
    assert_eq!(folder.served(), [("a.test.".to_owned(), 2), ("c.test.".to_owned(), 1), ("d.test.".to_owned(), 1)]);
}

#[test]
fn a_broken_file_keeps_the_old_zone_until_it_is_repaired() {
    let mut folder = Folder::new();
    folder.write("a.test.zone", &zone("@", 1));
    folder.reload(Scope::All);
    folder.write("a.test.zone", "@ 3600 IN A not-an-address\n");
    for _ in 0..2 {
        assert_eq!(folder.reload(Scope::All), [("a.test.".to_owned(), Change::Kept)]);
        assert_eq!(folder.served(), [("a.test.".to_owned(), 1)]);
        assert!(folder.record().is_broken());
        assert!(folder.record().faults.contains("a.test.zone"), "{}", folder.record().faults);
    }
    folder.write("a.test.zone", &zone("@", 3));
    assert_eq!(folder.reload(Scope::All), [("a.test.".to_owned(), Change::Changed)]);
    assert_eq!(folder.served(), [("a.test.".to_owned(), 3)]);
    assert!(!folder.record().is_broken());
}

#[test]
fn a_new_file_with_errors_is_refused_and_the_others_are_served() {
    let mut folder = Folder::new();
    folder.write("a.test.zone", &zone("@", 1));
    folder.write("b.test.zone", "");
    assert_eq!(
        folder.reload(Scope::All),
        [("a.test.".to_owned(), Change::Added), ("b.test.".to_owned(), Change::Refused)]
    );
    assert_eq!(folder.served(), [("a.test.".to_owned(), 1)]);
}

#[test]
fn a_changed_include_is_a_change() {
    let mut folder = Folder::new();
    folder.write("a.test.zone", &format!("{}$INCLUDE hosts.inc\n", zone("@", 1)));
    folder.write("hosts.inc", "www 3600 IN A 192.0.2.1\n");
    folder.reload(Scope::All);
    assert_eq!(folder.reload(Scope::All), [("a.test.".to_owned(), Change::Unchanged)]);
    folder.write("hosts.inc", "www 3600 IN A 192.0.2.1\nftp 3600 IN A 192.0.2.2\n");
    assert_eq!(folder.reload(Scope::All), [("a.test.".to_owned(), Change::Changed)]);
}

#[test]
fn one_zone_is_reloaded_alone() {
    let mut folder = Folder::new();
    folder.write("a.test.zone", &zone("@", 1));
    folder.write("b.test.zone", &zone("@", 1));
    folder.reload(Scope::All);
    for file in ["a.test.zone", "b.test.zone", "c.test.zone"] {
        folder.write(file, &zone("@", 2));
    }
    assert_eq!(folder.reload(Scope::Zone(name("A.test"))), [("a.test.".to_owned(), Change::Changed)]);
    assert_eq!(folder.served(), [("a.test.".to_owned(), 2), ("b.test.".to_owned(), 1)]);
    assert_eq!(folder.reload(Scope::Zone(name("c.test"))), [("c.test.".to_owned(), Change::Added)]);
    folder.remove("b.test.zone");
    folder.remove("c.test.zone");
    assert_eq!(folder.reload(Scope::Zone(name("b.test"))), [("b.test.".to_owned(), Change::Removed)]);
    assert_eq!(folder.served(), [("a.test.".to_owned(), 2), ("c.test.".to_owned(), 2)]);
    let error = folder.try_reload(Scope::Zone(name("x.test"))).expect_err("no such zone");
    assert_eq!(error.to_string(), "no zone x.test. is served, and no zone file has that name");
}

#[test]
fn the_name_of_a_file_decides_which_zone_it_is() {
    let mut folder = Folder::new();
    folder.write("victim.test.zone", &zone("@", 1));
    for owner in ["victim.test.", "VICTIM.test.", ".", "test.", "sub.mine.test.", "other."] {
        folder.write("mine.test.zone", &zone(owner, 7));
        let report = folder.try_reload(Scope::All).expect("reloads");
        let mine =
            report.zones.iter().find(|zone| zone.source.to_string().ends_with("mine.test.zone")).expect("reported");
        assert_eq!((mine.name.to_string().as_str(), mine.change), ("mine.test.", Change::Refused), "{owner}");
        for word in ["soa-not-at-apex", owner, "mine.test.", "[[zone]]"] {
            assert!(mine.faults.contains(word), "{owner}: {}", mine.faults);
        }
        assert_eq!(folder.served(), [("victim.test.".to_owned(), 1)], "{owner}");
    }
    folder.write("mine.test.zone", &zone("mine.TEST.", 8));
    folder.reload(Scope::All);
    assert_eq!(folder.served(), [("mine.TEST.".to_owned(), 8), ("victim.test.".to_owned(), 1)]);
}

#[test]
fn a_file_that_the_configuration_names_is_the_zone_that_it_says() {
    let mut folder = Folder::new();
    folder.write("anything.zone", &zone("real.test.", 1));
    let path = folder.dir.path().join("anything.zone");
    for (said, expected) in [("real.test", Change::Added), ("other.test", Change::Refused)] {
        folder.sources.files = vec![ZoneFile { name: name(said), path: path.clone(), said_at: String::new() }];
        let changes: Vec<Change> =
            folder.reload(Scope::Zone(name(said))).into_iter().map(|(_, change)| change).collect();
        assert_eq!(changes, [expected], "{said}");
    }
}

#[test]
fn two_files_of_one_zone_are_refused_and_a_served_one_stays() {
    let mut folder = Folder::new();
    folder.write("same.test.zone", &zone("@", 1));
    folder.write("SAME.test.zone", &zone("@", 2));
    let report = folder.try_reload(Scope::All).expect("reloads");
    assert_eq!(report.count(Change::Refused), 2);
    for zone in report.broken() {
        let both = ["same.test.zone", "SAME.test.zone"];
        assert!(both.iter().all(|file| zone.faults.contains(file)), "{}", zone.faults);
    }
    assert_eq!(folder.served(), []);
    folder.remove("same.test.zone");
    folder.reload(Scope::All);
    assert_eq!(folder.served(), [("SAME.test.".to_owned(), 2)]);
    folder.write("same.test.zone", &zone("@", 3));
    let changes = folder.reload(Scope::All);
    assert_eq!(changes.iter().map(|(_, change)| *change).collect::<Vec<_>>(), [Change::Unchanged, Change::Refused]);
    assert_eq!(folder.served(), [("SAME.test.".to_owned(), 2)]);
    folder.remove("SAME.test.zone");
    folder.reload(Scope::All);
    assert_eq!(folder.served(), [("same.test.".to_owned(), 3)]);
}

#[test]
fn a_zone_that_cannot_be_read_is_known_by_the_name_of_its_file() {
    let mut folder = Folder::new();
    folder.write("a.test.zone", &zone("@", 1));
    folder.write("b.test.zone", "nonsense");
    folder.reload(Scope::All);
    let set = folder.loader.registry().zones();
    assert_eq!((set.len(), set.broken_count()), (1, 1));
    folder.write("b.test.zone", &zone("@", 1));
    folder.reload(Scope::All);
    assert_eq!(folder.loader.registry().zones().broken_count(), 0);
    // At a reload of one zone, too.
    folder.write("c.test.zone", "nonsense");
    let report = folder.try_reload(Scope::Zone(name("c.test"))).expect("reloads");
    assert!(report.is_change());
    assert_eq!(folder.loader.registry().zones().broken_count(), 1);
}

/// Ways in which many zones can go at once, none of which is an order.
#[test]
fn one_reload_takes_away_no_more_than_it_may_and_else_changes_nothing() {
    type Loss = (&'static str, fn(&mut Folder));
    let lose: [Loss; 5] = [
        ("the files are gone", |folder| (0..6).for_each(|at| folder.remove(&format!("z{at}.test.zone")))),
        ("four of six files are gone", |folder| (0..4).for_each(|at| folder.remove(&format!("z{at}.test.zone")))),
        ("another folder is named", |folder| {
            fs::create_dir(folder.dir.path().join("empty")).expect("a folder");
            folder.sources.dir = Some(folder.dir.path().join("empty"));
        }),
        ("no folder is named, but one file", |folder| {
            let path = folder.dir.path().join("z0.test.zone");
            folder.sources.files = vec![ZoneFile { name: name("z0.test"), path, said_at: String::new() }];
            folder.sources.dir = None;
        }),
        ("the files have other names", |folder| {
            for at in 0..6 {
                let path = |name: &str| folder.dir.path().join(format!("{name}{at}.test.zone"));
                fs::rename(path("z"), path("y")).expect("renames");
            }
        }),
    ];
    for (what, lose) in lose {
        let mut folder = Folder::new();
        (0..6).for_each(|at| folder.write(&format!("z{at}.test.zone"), &zone("@", 1)));
        folder.reload(Scope::All);
        let before = folder.served();
        lose(&mut folder);
        for _ in 0..2 {
            let error = folder.try_reload(Scope::All).expect_err(what);
            assert!(matches!(&error, ReloadError::Loss { served: 6, may_go: 3, .. }), "{what}: {error}");
            assert!(error.to_string().contains("reload-loss-max") && error.to_string().contains("--force"), "{error}");
            assert_eq!(folder.served(), before, "{what}");
        }
        folder.sources.loss_max = LossMax::ALL;
        folder.reload(Scope::All);
        assert_ne!(folder.served(), before, "{what}, and is meant so");
    }
}

#[test]
fn files_that_became_empty_or_unreadable_take_no_zone_away() {
    let mut folder = Folder::new();
    (0..3).for_each(|at| folder.write(&format!("z{at}.test.zone"), &zone("@", 1)));
    folder.reload(Scope::All);
    folder.write("z0.test.zone", "");
    folder.remove("z1.test.zone");
    fs::create_dir(folder.dir.path().join("elsewhere")).expect("a folder");
    std::os::unix::fs::symlink("/nonexistent", folder.dir.path().join("z1.test.zone")).expect("a link");
    folder.write("z2.test.zone", "; nothing but a comment\n");
    assert!(folder.reload(Scope::All).iter().all(|(_, change)| *change == Change::Kept));
    assert_eq!(folder.served().len(), 3);
}

#[test]
fn half_of_the_zones_may_go_and_the_last_one_may_not() {
    let mut folder = Folder::new();
    (0..4).for_each(|at| folder.write(&format!("z{at}.test.zone"), &zone("@", 1)));
    folder.reload(Scope::All);
    folder.remove("z0.test.zone");
    folder.remove("z1.test.zone");
    assert_eq!(folder.reload(Scope::All).iter().filter(|(_, change)| *change == Change::Removed).count(), 2);
    folder.remove("z2.test.zone");
    folder.reload(Scope::Zone(name("z2.test")));
    assert_eq!(folder.served(), [("z3.test.".to_owned(), 1)]);
    folder.remove("z3.test.zone");
    for scope in [Scope::All, Scope::Zone(name("z3.test"))] {
        assert!(matches!(folder.try_reload(scope), Err(ReloadError::Loss { may_go: 0, .. })));
    }
    assert_eq!(folder.served().len(), 1);
}

#[test]
fn a_folder_that_vanishes_changes_nothing() {
    let mut folder = Folder::new();
    folder.write("a.test.zone", &zone("@", 1));
    folder.reload(Scope::All);
    folder.sources.dir = Some(folder.dir.path().join("gone"));
    assert!(matches!(folder.try_reload(Scope::All), Err(ReloadError::List(_))));
    assert_eq!(folder.served(), [("a.test.".to_owned(), 1)]);
}

#[test]
fn many_files_are_read_by_several_threads_in_order() {
    let mut folder = Folder::new();
    for number in 0..100 {
        folder.write(&format!("z{number:03}.test.zone"), &zone("@", number));
    }
    let changes = folder.reload(Scope::All);
    assert_eq!(changes.len(), 100);
    assert!(changes.iter().all(|(_, change)| *change == Change::Added));
    let serials: Vec<u32> = folder.served().into_iter().map(|(_, serial)| serial).collect();
    assert_eq!(serials, (0..100).collect::<Vec<_>>());
}

/// What there is to know of each zone, but for times.
fn known(loader: &Loader) -> Vec<(String, Option<u32>, String, usize, usize)> {
    let known = |record: &Arc<ZoneRecord>| {
        let serial = record.zone().map(|zone| zone.serial());
        (record.name().to_string(), serial, record.faults.clone(), record.error_count, record.warning_count)
    };
    loader.registry().iter().map(known).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Parents and children come and go, delegate each other or do not.
    #[test]
    fn zones_that_are_reloaded_one_by_one_are_what_a_fresh_start_makes_of_them(
        steps in proptest::collection::vec((0_usize..6, 0_u32..4), 1..25),
    ) {
        const NAMES: [&str; 6] = ["test", "a.test", "b.a.test", "c.b.a.test", "d.test", "else"];
        let mut folder = Folder::new();
        for (at, version) in steps {
            let file = format!("{}.zone", NAMES[at]);
            match version {
                0 if folder.dir.path().join(&file).exists() => folder.remove(&file),
                0 => continue,
                // A parent that delegates nothing, one name, or all.
                _ => {
                    let delegated: &[&str] = [&[][..], &["a"], &["a", "d", "b"]][version as usize - 1];
                    let cuts: String = delegated.iter().map(|label| format!("{label} 300 NS ns.example.\n")).collect();
                    folder.write(&file, &(zone("@", version) + &cuts));
                }
            }
            let scope = Scope::Zone(name(NAMES[at]));
            folder.loader.reload(&Arc::new(folder.sources.clone()), scope, true).expect("reloads");
            let mut fresh = Loader::new(Seed([1, 2]), Style::Plain);
            fresh.reload(&Arc::new(folder.sources.clone()), Scope::All, false).expect("loads");
            assert_eq!(known(&folder.loader), known(&fresh));
        }
    }
}
