//! Versions that a command of the operator's judges before they are served.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::command::Site;
use super::node::{Node, PATIENCE};
use super::primary::{Kind, Primary};
use super::zones::{Changing, HOUR, Zone};
use super::{NOTIFIED_MAX, address, is_skipped};

/// Writes a script that can be run; `$HERE` in it is its folder.
fn script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("judge");
    fs::write(&path, format!("#!/bin/sh\nHERE='{}'\n{text}", folder.display())).expect("the folder can be written to");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    path
}

/// A primary that changes `zones`, and a node that has the first judged by `verify` and the others not.
fn start(zones: &[Zone], verify: &str) -> (Primary, Node) {
    let address = address();
    let primary = Primary::start(Kind::Knot, zones, address);
    let node = Node::start(address, zones, &[(primary.address, None)], verify);
    (primary, node)
}

#[test]
fn a_version_is_served_only_if_the_command_takes_it() {
    if is_skipped("verify", Kind::Knot) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let judge = script(
        folder.path(),
        "cat > $HERE/zone.new && mv $HERE/zone.new $HERE/zone-$VERIFY_SERIAL\n\
         echo \"$1 $VERIFY_ZONE $VERIFY_SERIAL $VERIFY_ZONE_ON_STDIN\"\n\
         printf 'not \\033[31mgood\\n' >&2\n\
         [ $VERIFY_SERIAL != 2 ]\n",
    );
    let mut changing = Changing::new("changing.test.", HOUR);
    let zone = Zone::new(&changing.origin, changing.text(), None);
    let verify = format!("verify = [\"{}\", \"a word\"]", judge.display());
    let (primary, node) = start(std::slice::from_ref(&zone), &verify);
    node.wait_for_serial(&zone.origin, 1, PATIENCE);
    node.wait_for_line("`verify` takes it serial=1 said=\"a word changing.test. 1 yes; not \\\\u{1b}[31mgood\"");
    primary.change(&mut changing);
    let line = node.wait_for_line("`verify` refuses serial 2 (exit status: 1): a word changing.test. 2 yes; not ");
    assert!(line.contains(" WARN ") && !line.contains('\u{1b}'), "{line:?}");
    assert_eq!(node.serial(&zone.origin), Some(1));
    primary.change(&mut changing);
    node.wait_for_serial(&zone.origin, 3, NOTIFIED_MAX);
    node.compare(primary.address, &zone, true);
    // What the command had is a zone file, whole.
    let site = Site::new();
    let told = folder.path().join("zone-3");
    let said = site.run(&["check", "--zone", &format!("changing.test={}", told.display())]);
    said.expect(0, &[]);
    assert!(said.out.contains("serial 3"), "{said:?}");
    let lines = fs::read_to_string(&told).expect("it was written").lines().count();
    assert!(said.out.contains(&format!("{lines} records")), "{said:?}");
}

#[test]
fn a_command_that_hangs_is_killed_with_all_its_own_and_keeps_no_other_zone() {
    if is_skipped("verify that hangs", Kind::Knot) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    // It reads nothing, and its child holds the pipe of what it says.
    let judge = script(
        folder.path(),
        "[ $VERIFY_ZONE = changing.test. ] && [ $VERIFY_SERIAL != 1 ] || exit 0\n\
         sleep 3600 &\necho $$ $! > $HERE/pids.new && mv $HERE/pids.new $HERE/pids\necho waiting\nwait\n",
    );
    let (mut first, mut second) = (Changing::new("changing.test.", HOUR), Changing::new("other.test.", HOUR));
    let zones = [&first, &second].map(|zone| Zone::new(&zone.origin, zone.text(), None));
    let verify = format!("verify = [\"{}\"]\nverify-timeout = \"4s\"", judge.display());
    let (primary, node) = start(&zones, &verify);
    for zone in &zones {
        node.wait_for_serial(&zone.origin, 1, PATIENCE);
    }
    primary.change(&mut first);
    let pids = folder.path().join("pids");
    let end = Instant::now() + PATIENCE;
    while !pids.exists() {
        assert!(Instant::now() < end, "the command does not run:\n{}", node.log("").join("\n"));
        std::thread::sleep(Duration::from_millis(10));
    }
    primary.change(&mut second);
    node.wait_for_serial("other.test.", 2, NOTIFIED_MAX);
    node.wait_for_line("`verify` takes longer than 4s for serial 2 (verify-timeout): waiting");
    assert_eq!(node.serial("changing.test."), Some(1));
    for pid in fs::read_to_string(&pids).expect("it was written").split_whitespace() {
        // One that nobody has waited for yet has no command line any more.
        let command = Path::new("/proc").join(pid).join("cmdline");
        while fs::read(&command).is_ok_and(|octets| !octets.is_empty()) {
            assert!(Instant::now() < end, "{pid} lives on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn what_cannot_be_run_is_refused_where_it_is_written() {
    let site = Site::new();
    site.write("judge", "#!/bin/sh\n");
    let check = |text: &str, parts: &[&str]| {
        site.write("fated.toml", text);
        site.run(&["check", "--config", "fated.toml"]).expect(2, parts);
    };
    let zone = "[[zone]]\nname = \"a.test\"\n";
    check(
        &format!("{zone}primaries = [{{ address = \"192.0.2.1\" }}]\nverify = [\"./judge\"]\n"),
        &["fated.toml:4:10", "no program that can be run", "chmod +x"],
    );
    check(
        &format!("{zone}file = \"a.zone\"\nverify = [\"true\"]\n"),
        &["fated.toml:4:10", "the zone a.test. has both `file` and `verify`", "is never run"],
    );
    let many = vec!["\"x\""; 65].join(", ");
    check(
        &format!("[[template]]\nname = \"t\"\nverify = [{many}]\n[server]\nzones-dir = \"zones\"\n"),
        &["`template.verify` is 65 words", "at most 63 arguments"],
    );
}
