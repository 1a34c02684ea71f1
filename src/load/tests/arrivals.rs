//! Journals of zone files, and zones that come from primaries.

use super::*;
use crate::config::Secondary;
use crate::transfer::{AccessList, AccessRule, Expiry, Peer, TransferSettings};
use crate::zone::Zone;

/// A folder whose zones anybody may have.
fn open_folder() -> Folder {
    let mut folder = Folder::new();
    let rule = AccessRule { prefix: "0.0.0.0/0".parse().expect("a prefix"), key: None, tls: None };
    let settings = TransferSettings { allow_transfer: AccessList(vec![rule]), ..TransferSettings::default() };
    folder.sources.default_transfers = Arc::new(settings);
    folder
}

/// The steps in the journal of `a.test.`, each `from-to`.
fn steps(loader: &Loader) -> Vec<String> {
    let found = loader.registry().transfers().find(name("a.test.").as_ref());
    let journal = found.map(|known| known.journal.clone()).unwrap_or_default();
    journal.steps().map(|step| format!("{}-{}", step.from.serial(), step.to.serial())).collect()
}

/// The zone with one more record.
fn with_text(serial: u32, text: &str) -> String {
    format!("{}@ 60 IN TXT {text}\n", zone("@", serial))
}

#[test]
fn a_reload_notes_what_changed_and_says_where_nobody_will_notice() {
    let mut folder = open_folder();
    folder.reload(Scope::All);
    for (text, change) in [(with_text(1, "a"), Change::Added), (with_text(2, "b"), Change::Changed)] {
        folder.write("a.test.zone", &text);
        assert_eq!(folder.reload(Scope::Zone(name("a.test."))), [("a.test.".to_owned(), change)]);
    }
    assert_eq!(steps(&folder.loader), ["1-2"]);
    // Read again, and nothing changed.
    folder.reload(Scope::Zone(name("a.test.")));
    assert_eq!((steps(&folder.loader), folder.record().warning_count), (vec!["1-2".to_owned()], 0));
    // Changed, and its serial did not: those who have 2 would never learn of it.
    folder.write("a.test.zone", &with_text(2, "c"));
    folder.reload(Scope::Zone(name("a.test.")));
    assert!(folder.record().faults.contains("changed and its serial did not (2)"), "{}", folder.record().faults);
    assert_eq!((steps(&folder.loader), folder.record().warning_count), (vec![], 1));
    folder.write("a.test.zone", &with_text(1, "c"));
    folder.reload(Scope::Zone(name("a.test.")));
    assert!(folder.record().faults.contains("has a serial before the last (1)"), "{}", folder.record().faults);
    folder.write("a.test.zone", &with_text(7, "c"));
    folder.reload(Scope::All);
    assert_eq!((steps(&folder.loader), folder.record().warning_count), (vec!["1-7".to_owned()], 0));
    // Where nobody may have the zone, nothing is noted.
    folder.sources.default_transfers = Arc::default();
    folder.write("a.test.zone", &with_text(8, "d"));
    folder.reload(Scope::All);
    assert_eq!(steps(&folder.loader), ["1-7"]);
}

/// A version that comes from a primary, with the changes since `before`.
fn version(loader: &Loader, serial: u32, before: Option<&Arc<Zone>>) -> (Arc<Zone>, Arrival) {
    let mut sources = ZoneSources::default();
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.test.zone"), zone("@", serial)).expect("writes");
    sources.dir = Some(folder.path().into());
    let mut reader = Loader::new(loader.seed(), Style::Plain);
    reader.reload(&Arc::new(sources), Scope::All, false).expect("reads");
    let zone = Arc::clone(reader.registry().zones().iter().next().expect("one"));
    let changes = before.map(|before| Arc::new(crate::transfer::Change::between(before, &zone))).into_iter().collect();
    let expiry = Arc::new(Expiry::default());
    let arrival =
        Arrival::Version { zone: Arc::clone(&zone), changes, faults: String::new(), warning_count: 0, expiry };
    (zone, arrival)
}

#[test]
fn a_zone_from_primaries_is_awaited_served_expired_and_served_again() {
    let mut folder = Folder::new();
    let peer = Peer { address: "192.0.2.1:53".parse().expect("an address"), key: None, tls: None };
    let transfers = Arc::new(TransferSettings { primaries: vec![peer], ..TransferSettings::default() });
    let a = name("a.test.");
    folder.sources.secondaries = vec![Secondary { name: a.as_ref().into(), transfers, said_at: String::new() }];
    assert_eq!(folder.reload(Scope::All), [("a.test.".to_owned(), Change::Unchanged)]);
    assert!(matches!(folder.record().state, ZoneState::Awaited));
    assert_eq!(folder.loader.registry().zones().broken_count(), 1);

    let (first, arrival) = version(&folder.loader, 1, None);
    assert!(folder.loader.arrive(a.as_ref(), arrival).expect("it is no catalog"));
    let (_, arrival) = version(&folder.loader, 2, Some(&first));
    assert!(folder.loader.arrive(a.as_ref(), arrival).expect("it is no catalog"));
    assert_eq!((folder.served(), steps(&folder.loader)), (vec![("a.test.".to_owned(), 2)], vec!["1-2".to_owned()]));
    // A reload leaves it, and its changes, as they are.
    folder.reload(Scope::All);
    assert_eq!((folder.served(), steps(&folder.loader)), (vec![("a.test.".to_owned(), 2)], vec!["1-2".to_owned()]));

    assert!(folder.loader.arrive(a.as_ref(), Arrival::Expiry).expect("it is no catalog"));
    assert_eq!((folder.served(), folder.loader.registry().zones().broken_count()), (vec![], 1));
    assert!(folder.record().faults.contains("EXPIRE"));
    assert!(folder.loader.arrive(a.as_ref(), Arrival::Confirmed).expect("it is no catalog"));
    assert_eq!((folder.served(), folder.record().error_count), (vec![("a.test.".to_owned(), 2)], 0));
    // A version that came whole: nobody knows what led to it.
    let (_, arrival) = version(&folder.loader, 9, None);
    assert!(folder.loader.arrive(a.as_ref(), arrival).expect("it is no catalog"));
    assert_eq!((folder.served(), steps(&folder.loader)), (vec![("a.test.".to_owned(), 9)], vec![]));

    assert!(matches!(folder.try_reload(Scope::Zone(a)), Err(ReloadError::Transferred(_))));
    folder.sources.secondaries.clear();
    folder.sources.loss_max = LossMax::ALL;
    folder.reload(Scope::All);
    let (_, arrival) = version(&folder.loader, 10, None);
    assert!(!folder.loader.arrive(a.as_ref(), arrival).expect("it is no catalog"), "it is not configured any more");
    assert_eq!(folder.served(), []);
}
