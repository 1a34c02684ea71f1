//! A node that comes back: whatever a power cut, a full disk or one customer's file has left behind, what can be served
//! is served, and what can't is reported. And a reload takes nothing away that nobody ordered away.

#[path = "common/command.rs"]
mod command;
mod common;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use command::{PATIENCE, Server, Site, alone, zone};
use common::message::{Edns, Query};
use common::name::name as wire_name;

/// What is compared of an answer: RCODE, answers, and the extended error's INFO-CODE.
#[derive(Debug, PartialEq, Eq)]
struct Outline {
    rcode: u8,
    answers: u16,
    extended_error: Option<u16>,
}

/// What is served.
const SERVED: Outline = Outline { rcode: 0, answers: 1, extended_error: None };
/// What should be served and can't be: SERVFAIL, Invalid Data (RFC 8914 §4.25).
const BROKEN: Outline = Outline { rcode: 2, answers: 0, extended_error: Some(24) };

/// A query with EDNS for the SOA at a name.
fn query(name: &str) -> Vec<u8> {
    Query::new(&wire_name(name), 6).with_edns(Edns::new(1232, false)).encode(0x1234)
}

/// Reads a reply.
fn outline(reply: &[u8]) -> Outline {
    // The extended error, where there is one, is the last option of the last record: code 15, length 2.
    let extended_error = match reply {
        [.., 0, 15, 0, 2, high, low] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    };
    Outline { rcode: reply[3] & 15, answers: u16::from_be_bytes([reply[6], reply[7]]), extended_error }
}

/// Asks over UDP for the SOA at a name.
fn ask(address: SocketAddr, name: &str) -> Outline {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.send_to(&query(name), address).expect("sends");
    let mut reply = [0; 4096];
    let (length, _) = socket.recv_from(&mut reply).expect("a reply");
    outline(&reply[..length])
}

/// A site whose configuration names the zones folder and pages, and ends with `more`.
fn site(more: &str) -> Site {
    let site = Site::new();
    site.write("fated.toml", format!("[admin]\nlisten = \"127.0.0.1:0\"\n[server]\nzones-dir = \"zones\"\n{more}"));
    site
}

const CONFIG: [&str; 2] = ["--config", "fated.toml"];

#[test]
fn one_broken_file_of_many_costs_its_own_zone_alone_and_is_reported_everywhere() {
    let site = site("[[zone]]\nname = \"missing.test\"\nfile = \"missing.zone\"\n");
    site.write("zones/good.test.zone", zone(1));
    site.write("zones/bad.good.test.zone", format!("{}www IN A not-an-address\n", zone(1)));
    let server = site.serve(&CONFIG);
    assert_eq!(ask(server.address, "good.test"), SERVED);
    for name in ["bad.good.test", "www.bad.good.test", "a.b.bad.good.test", "missing.test", "x.missing.test"] {
        assert_eq!(ask(server.address, name), BROKEN, "{name}");
    }
    assert_eq!(ask(server.address, "elsewhere.test").rcode, 5);
    let seen = server.seen.join("\n");
    for part in ["bad.good.test.zone:5:10", "missing.zone", "ERROR", "2 of 3 zones can't be served", "SERVFAIL"] {
        assert!(seen.contains(part), "{part}:\n{seen}");
    }
    let status = site.status();
    assert_eq!(status["zone_counts"], serde_json::json!({ "served": 1, "kept": 0, "refused": 2 }));
    let shown = site.ask(&["status"]).out;
    for part in ["2 BROKEN, answered with SERVFAIL", "bad.good.test.zone:5:10", "missing.zone"] {
        assert!(shown.contains(part), "{part}:\n{shown}");
    }
    assert_eq!(server.page("/readyz"), (200, "ready: zones: 1; BROKEN, answered with SERVFAIL: 2\n".to_owned()));
    assert!(server.page("/metrics").1.contains("fated_zones{state=\"refused\"} 2\n"));
    // Repaired and reloaded, they are served; a new one that is broken is reported and answered in the same way.
    site.write("zones/bad.good.test.zone", zone(2));
    site.write("missing.zone", zone(3));
    site.write("zones/new.test.zone", "nonsense");
    let said = site.ask(&["reload"]);
    said.expect(1, &["new.test.zone"]);
    assert!(said.out.contains("new.test.  BROKEN, answered with SERVFAIL"), "{}", said.out);
    assert_eq!(ask(server.address, "bad.good.test"), SERVED);
    assert_eq!(ask(server.address, "missing.test"), SERVED);
    assert_eq!(ask(server.address, "x.new.test"), BROKEN);
}

#[test]
fn who_wants_all_zones_or_none_says_so() {
    for (more, option) in [("", &["--strict"][..]), ("strict = true\n", &[])] {
        let site = site(more);
        site.write("zones/good.test.zone", zone(1));
        site.write("zones/bad.test.zone", "nonsense");
        let arguments = [&["serve", "--listen", "127.0.0.1:0", "--control", ""], &CONFIG[..], option].concat();
        site.run(&arguments).expect(3, &["bad.test.zone", "1 of 2 zones can't be served", "nothing was started"]);
    }
}

#[test]
fn without_any_good_zone_a_node_starts_and_attracts_nobody() {
    let site = site("[anycast]\naddresses = [\"192.0.2.53\"]\n[anycast.health]\nrise = 2\n");
    site.write("zones/bad.test.zone", "nonsense");
    let server = site.serve(&["--config", "fated.toml", "--dry-run"]);
    assert_eq!(ask(server.address, "bad.test"), BROKEN);
    let stance = |word: &str, reason: &str| {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            let address = site.status()["anycast"]["addresses"][0].clone();
            if address["stance"] == word && address["reason"].as_str().is_some_and(|text| text.contains(reason)) {
                return;
            }
            assert!(std::time::Instant::now() < end, "{word} for {reason}: {address}");
        }
    };
    stance("withdraw", "no zone can be served");
    let (code, text) = server.page("/readyz");
    assert!(code == 503 && text.contains("no zone is served; BROKEN, answered with SERVFAIL: 1"), "{text}");
    site.write("zones/bad.test.zone", zone(1));
    assert_eq!(site.ask(&["reload"]).code, 0);
    stance("announce", "enough workers");
    assert_eq!(server.page("/readyz").0, 200);
}

#[test]
fn a_reload_of_an_emptied_folder_changes_nothing_and_says_so_loudly_until_it_is_forced() {
    let site = site("");
    for name in ["a.test", "b.test", "c.test"] {
        site.write(&format!("zones/{name}.zone"), zone(1));
    }
    let server = site.serve(&CONFIG);
    fs::rename(site.path("zones"), site.path("away")).expect("renames");
    fs::create_dir(site.path("zones")).expect("a folder");
    let said = site.ask(&["reload"]);
    said.expect(3, &["nothing was reloaded", "3 of 3 zones would be gone", "reload-loss-max", "fated reload --force"]);
    let line = server.wait_for_line("3 of 3 zones would be gone");
    assert!(line.contains("ERROR"), "{line}");
    server.signal("-HUP");
    server.wait_for_line("3 of 3 zones would be gone");
    assert_eq!(site.serials().len(), 3);
    assert_eq!(ask(server.address, "a.test"), SERVED);
    assert!(server.page("/metrics").1.contains("fated_last_reload_success 0\n"));
    // One of three may go; it is logged each time that one does.
    for name in ["a.test", "b.test"] {
        fs::rename(site.path(&format!("away/{name}.zone")), site.path(&format!("zones/{name}.zone"))).expect("renames");
    }
    let said = site.ask(&["reload"]);
    assert!(said.code == 0 && said.out.contains("c.test.  removed, its file is gone"), "{said:?}");
    let line = server.wait_for_line("c.test.zone is gone");
    assert!(line.contains("WARN"), "{line}");
    fs::remove_file(site.path("zones/a.test.zone")).expect("removes");
    fs::remove_file(site.path("zones/b.test.zone")).expect("removes");
    assert_eq!(site.ask(&["reload"]).code, 3);
    assert_eq!(site.ask(&["reload", "--force"]).code, 0);
    assert_eq!(ask(server.address, "a.test").rcode, 5);
}

#[test]
fn an_edit_of_the_configuration_may_not_drop_most_zones_unnoticed() {
    let named = |names: &[&str]| {
        names.iter().fold(String::new(), |text, name| {
            text + &format!("[[zone]]\nname = \"{name}.test\"\nfile = \"{name}.zone\"\n")
        })
    };
    let site = Site::new();
    ["a", "b", "c"].iter().for_each(|name| site.write(&format!("{name}.zone"), zone(1)));
    site.write("fated.toml", named(&["a", "b", "c"]));
    let server = site.serve(&CONFIG);
    site.write("fated.toml", named(&["a"]));
    site.ask(&["reload"]).expect(3, &["2 of 3 zones would be gone (b.test., c.test.)"]);
    assert_eq!(ask(server.address, "c.test"), SERVED);
    site.write("fated.toml", format!("[server]\nreload-loss-max = 2\n{}", named(&["a"])));
    assert_eq!(site.ask(&["reload"]).code, 0);
    assert_eq!(ask(server.address, "c.test").rcode, 5);
}

/// Runs a command in the network namespace of a server.
fn within(server: &Server, command: &str) {
    let pid = server.child.id().to_string();
    let status = Command::new("nsenter").args(["-t", &pid, "-n", "sh", "-ec", command]).status();
    assert!(status.expect("nsenter runs").success(), "{command}");
}

#[test]
fn addresses_that_come_later_are_answered_then_and_the_rest_at_once() {
    let test = "addresses_that_come_later_are_answered_then_and_the_rest_at_once";
    let site = site("listen = [\"127.0.0.1:53\", \"192.0.2.1\", \"2001:db8::1\"]\n");
    site.write("zones/example.test.zone", zone(1));
    site.write(
        "late.toml",
        fs::read_to_string(site.path("fated.toml")).expect("reads").replace("127.0.0.1:0", "192.0.2.9:9153"),
    );
    let control = site.control();
    let command = ["serve", "--config", "late.toml", "--control", control.to_str().expect("UTF-8")];
    let Some(strict) = alone(test, &site.command(&[&command[..], &["--strict"]].concat()), "ip link set lo up") else {
        return;
    };
    let said = { strict }.output().expect("runs");
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    let Some(command) = alone(test, &site.command(&command), "ip link set lo up") else { return };
    let server = Server::start(command);
    let seen = server.seen.join("\n");
    for part in ["192.0.2.1:53: no interface", "[2001:db8::1]:53: no interface", "`admin.listen` 192.0.2.9:9153"] {
        assert!(seen.contains(part), "{part}:\n{seen}");
    }
    let dig = |address: &str| format!("dig +time=5 +tries=3 @{address} example.test SOA | grep -q 'status: NOERROR'");
    within(&server, &dig("127.0.0.1"));
    // An address that is tentative for a while, as at the start of a host: no `nodad`.
    within(&server, "ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
    within(
        &server,
        "ip addr add 192.0.2.1/24 dev v0 && ip addr add 2001:db8::1/64 dev v0 && ip addr add 192.0.2.9/24 dev v0",
    );
    within(&server, &dig("192.0.2.1"));
    within(
        &server,
        "for i in 1 2 3 4 5 6 7 8 9; do ip -6 addr show dev v0 tentative | grep -q 2001 || exit 0; sleep 0.5; done",
    );
    within(&server, &dig("2001:db8::1"));
    within(&server, &(dig("2001:db8::1").replace("dig", "dig +tcp")));
    within(
        &server,
        "exec 3<>/dev/null; printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' | timeout 5 bash -c \
         'exec 3<>/dev/tcp/192.0.2.9/9153; cat >&3; grep -q ready: <&3'",
    );
}

#[test]
fn a_family_that_is_absent_costs_its_own_addresses_alone() {
    let test = "a_family_that_is_absent_costs_its_own_addresses_alone";
    let site = site("listen = [\"127.0.0.1:53\", \"::1\"]\n");
    site.write("zones/example.test.zone", zone(1));
    let control = site.control();
    let command = ["serve", "--config", "fated.toml", "--control", control.to_str().expect("UTF-8")];
    let Some(command) = alone(test, &site.command(&command), command::WITHOUT_IPV6) else { return };
    let server = Server::start(command);
    let seen = server.seen.join("\n");
    assert!(seen.contains("[::1]:53"), "{seen}");
    within(&server, "dig +time=5 @127.0.0.1 example.test SOA | grep -q 'status: NOERROR'");
}

#[test]
fn a_device_whose_name_is_taken_is_waited_for_and_the_rest_is_served_meanwhile() {
    let test = "a_device_whose_name_is_taken_is_waited_for_and_the_rest_is_served_meanwhile";
    let site = site("listen = [\"127.0.0.1:53\"]\n[anycast]\naddresses = [\"192.0.2.53\"]\n");
    site.write("zones/example.test.zone", zone(1));
    let command = ["serve", "--config", "fated.toml", "--control", "control.sock"];
    let setup = "ip link set lo up\nip tuntap add dev fated0 mode tun";
    let Some(strict) = alone(test, &site.command(&[&command[..], &["--strict"]].concat()), setup) else { return };
    let said = { strict }.output().expect("runs");
    let err = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.code() == Some(3) && err.contains("`fated0` exists already"), "{err}");
    let Some(command) = alone(test, &site.command(&command), setup) else { return };
    let server = Server::spawn(command);
    let line = server.wait_for_line("`fated0` exists already");
    assert!(line.contains("ERROR") && line.contains("ip link del fated0"), "{line}");
    within(&server, "dig +time=5 @127.0.0.1 example.test SOA | grep -q 'status: NOERROR'");
    within(&server, "ip link del fated0");
    server.wait_for_line("serving 1 zone");
    within(
        &server,
        "for i in $(seq 100); do ip addr show dev fated0 | grep -q 192.0.2.53 && exit 0; sleep 0.1; done; exit 1",
    );
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_end_is_heard_while_the_device_is_waited_for() {
    let test = "the_end_is_heard_while_the_device_is_waited_for";
    let site = site("[anycast]\naddresses = [\"192.0.2.53\"]\n");
    site.write("zones/example.test.zone", zone(1));
    let command = site.command(&["serve", "--config", "fated.toml", "--control", ""]);
    let Some(command) = alone(test, &command, "ip link set lo up\nip tuntap add dev fated0 mode tun") else { return };
    let server = Server::spawn(command);
    server.wait_for_line("`fated0` exists already");
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_listen_address_that_another_process_has_is_an_error_as_ever() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let site = site(&format!("listen = [\"{}\"]\n", taken.local_addr().expect("an address")));
    site.write("zones/example.test.zone", zone(1));
    site.run(&["serve", "--config", "fated.toml", "--control", ""]).expect(3, &["the address is taken", "ss -lunp"]);
}

#[test]
fn what_a_dead_process_left_behind_keeps_nobody_from_starting() {
    let site = site("state-dir = \"state\"\n");
    site.write("zones/example.test.zone", zone(1));
    fs::create_dir(site.path("state")).expect("a folder");
    // Lock files whose numbers are those of living processes, ours and init's, that hold no lock.
    site.write("state/lock", "1\n");
    site.write("control.sock.lock", std::process::id().to_string());
    drop(std::os::unix::net::UnixListener::bind(site.control()).expect("binds"));
    site.write("control.sock.new", "half made");
    site.write("state/drained.new", "half made");
    let server = site.serve(&CONFIG);
    assert_eq!(ask(server.address, "example.test"), SERVED);
    assert_eq!(site.status()["drained"], false);
    assert_eq!(site.ask(&["drain"]).code, 0);
    assert!(site.path("state/drained").exists());
}

/// The site's server under a mount namespace in which `setup` was done; `None`, said loudly, where that can't be.
fn mounted(test: &str, site: &Site, setup: &str) -> Option<Server> {
    let control = site.control();
    let arguments =
        ["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--control", control.to_str().expect("UTF-8")];
    let command = site.command(&[&arguments[..], &CONFIG].concat());
    let sandboxed = |script: &str| {
        let mut sandboxed = Command::new("unshare");
        sandboxed.args(["--mount", "sh", "-e", "-c", script]).current_dir(site.folder.path()).stdin(Stdio::null());
        sandboxed
    };
    if !sandboxed(setup).output().is_ok_and(|output| output.status.success()) {
        eprintln!("\n*** SKIPPED {test}: no mount namespace here, which needs root and unshare ***\n");
        return None;
    }
    let mut command_within = sandboxed(&format!("{setup}\nexec \"$0\" \"$@\""));
    command_within.arg(command.get_program()).args(command.get_args());
    Some(Server::start(command_within))
}

#[test]
fn a_state_folder_on_a_full_or_read_only_disk_keeps_nobody_from_starting() {
    let test = "a_state_folder_on_a_full_or_read_only_disk_keeps_nobody_from_starting";
    let full = "mount -t tmpfs -o size=16k none state\ncat /dev/zero > state/filler 2>&- || true";
    let read_only = "mount -t tmpfs none state\nmount -o remount,ro state";
    for (setup, is_drained) in [
        (full.to_owned(), false),
        (read_only.to_owned(), false),
        (read_only.replacen('\n', "\ntouch state/drained state/lock\n", 1), true),
        (full.replacen('\n', "\ntouch state/drained\n", 1), true),
        // The file system that should be mounted there is not, or there is no folder at all and none can be made.
        ("mount -t tmpfs none state\nmkdir state/none\nmount -o remount,ro state".to_owned(), false),
    ] {
        let site = site("state-dir = \"state\"\n");
        site.write("zones/example.test.zone", zone(1));
        fs::create_dir(site.path("state")).expect("a folder");
        let Some(server) = mounted(test, &site, &setup) else { return };
        assert_eq!(ask(server.address, "example.test"), SERVED, "{setup}");
        assert_eq!(site.status()["drained"], is_drained, "{setup}");
        if !setup.contains("drained") {
            let said = site.ask(&["drain"]);
            said.expect(0, &["this does not outlive a restart", "state/drained"]);
        }
    }
}

#[test]
fn no_folder_for_the_control_socket_keeps_nobody_from_serving() {
    let site = site("");
    site.write("zones/example.test.zone", zone(1));
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--control", "/proc/nothing/control.sock"];
    let server = Server::start(site.command(&[&arguments[..], &CONFIG].concat()));
    assert_eq!(ask(server.address, "example.test"), SERVED);
    assert!(
        server.seen.iter().any(|line| line.contains("ERROR") && line.contains("/proc/nothing")),
        "{:?}",
        server.seen
    );
    let strict = [&arguments[..], &CONFIG, &["--strict"]].concat();
    site.run(&strict).expect(3, &["/proc/nothing/control.sock"]);
}

/// A log that nobody reads any more, was closed before the start, or stands still.
#[test]
fn a_log_target_that_is_gone_or_stands_still_holds_nobody_up() {
    for how in ["closed", "gone", "full"] {
        let site = site("");
        site.write("zones/example.test.zone", zone(1));
        let address = {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
            socket.local_addr().expect("an address")
        };
        let control = site.control();
        let arguments = [
            "serve",
            "--listen",
            &address.to_string(),
            "--workers",
            "1",
            "--control",
            control.to_str().expect("UTF-8"),
        ];
        let command = site.command(&arguments);
        let mut shell = Command::new("sh");
        let script = if how == "closed" { "exec \"$0\" \"$@\" 2>&-" } else { "exec \"$0\" \"$@\"" };
        shell.args(["-c", script]).arg(command.get_program()).args(command.get_args()).current_dir(site.folder.path());
        let mut child =
            shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
        let stderr = child.stderr.take();
        let kept = if how == "gone" { None } else { stderr };
        let end = std::time::Instant::now() + PATIENCE;
        while !site.ask(&["status"]).out.contains("example.test.") {
            assert!(std::time::Instant::now() < end, "{how}: it does not come");
        }
        // Far more than a pipe holds.
        for serial in 2..40 {
            site.write("zones/example.test.zone", format!("{}{}", zone(serial), "www IN A nonsense\n".repeat(200)));
            assert_eq!(site.ask(&["reload"]).code, 1, "{how}");
        }
        assert_eq!(ask(address, "example.test"), SERVED, "{how}");
        assert_eq!(site.ask(&["stop"]).code, 0, "{how}");
        assert_eq!(child.wait().expect("ends").code(), Some(0), "{how}");
        drop(kept);
    }
}

#[test]
fn a_clock_that_is_wrong_keeps_nobody_from_serving_or_reloading() {
    let site = site("");
    site.write("zones/example.test.zone", zone(1));
    let server = site.serve(&CONFIG);
    // Files from the future and from before the epoch, as a clock that was set back or was never set sees them.
    for (serial, seconds) in [(2, i64::from(u32::MAX)), (3, -1_000_000), (4, 0)] {
        site.write("zones/example.test.zone", zone(serial));
        let stamp = format!("@{seconds}");
        assert!(
            Command::new("touch")
                .args(["-d", &stamp])
                .arg(site.path("zones/example.test.zone"))
                .status()
                .expect("runs")
                .success()
        );
        assert_eq!(site.ask(&["reload"]).code, 0);
        assert_eq!(site.serials(), [("example.test.".to_owned(), u64::from(serial))]);
        assert_eq!(site.ask(&["status"]).code, 0);
    }
    assert_eq!(ask(server.address, "example.test"), SERVED);
}

#[test]
fn the_name_of_a_file_moves_no_terminal_and_makes_no_line_of_a_log() {
    let site = site("");
    site.write("zones/good.test.zone", zone(1));
    let evil = std::ffi::OsStr::from_bytes(b"a\x1B[31m\x9B\n2026 INFO all is well\r\x07.zone");
    for name in [evil, std::ffi::OsStr::from_bytes(b"x..y\x1B\n.zone")] {
        fs::write(site.path("zones").join(name), "nonsense\x1B[31m \x07\n").expect("writes");
    }
    let is_plain = |text: &str, what: &str| {
        let odd = text.chars().find(|character| character.is_control() && *character != '\n');
        assert!(odd.is_none(), "{odd:?} in {what}: {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("2026 INFO")), "{what}: {text:?}");
    };
    let said = site.run(&["check", "--config", "fated.toml"]);
    assert_eq!(said.code, 1);
    is_plain(&said.err, "check");
    is_plain(&said.out, "check");
    let server = site.serve(&CONFIG);
    is_plain(&server.seen.join("\n"), "the start");
    let said = site.ask(&["reload"]);
    is_plain(&(said.out + &said.err), "reload");
    is_plain(&site.ask(&["status"]).out, "status");
    is_plain(&site.ask(&["status", "--zones"]).out, "status --zones");
    for path in ["/", "/zones", "/metrics", "/readyz"] {
        is_plain(&server.page(path).1, path);
    }
    fs::remove_file(site.path("zones").join(evil)).expect("removes");
    assert_eq!(site.ask(&["reload"]).code, 1);
    let line = server.wait_for_line("is gone");
    is_plain(&line, "the log");
}

#[test]
fn the_list_of_very_many_zones_is_shown_page_by_page() {
    let site = site("");
    for number in 0..1203 {
        site.write(&format!("zones/z{number:04}.test.zone"), zone(number));
    }
    for number in [7, 1200] {
        site.write(&format!("zones/z{number:04}.test.zone"), "nonsense");
    }
    let server = site.serve(&CONFIG);
    let status = site.status();
    assert_eq!(status["zone_counts"]["refused"], 2);
    let shown: Vec<&str> =
        status["zones"].as_array().expect("zones").iter().filter_map(|zone| zone["name"].as_str()).collect();
    assert!(shown.len() <= 100 && shown.contains(&"z0007.test.") && shown.contains(&"z1200.test."), "{shown:?}");
    assert!(shown.is_sorted());
    let said = site.ask(&["status"]);
    assert!(
        said.out.contains("zones: 1201 served, 2 BROKEN") && said.out.contains("fated status --zones"),
        "{}",
        said.out
    );
    let all = site.ask(&["status", "--zones"]).out;
    assert!((0..1203).all(|number| all.contains(&format!("z{number:04}.test."))));
    let pages = site.ask(&["status", "--zones", "--json"]).out;
    let counts: Vec<usize> = pages
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("JSON")["result"]["zones"]
                .as_array()
                .expect("zones")
                .len()
        })
        .collect();
    assert_eq!(counts, [500, 500, 203]);
    let (code, shown) = server.page("/");
    assert!(code == 200 && shown.contains("/zones?from=0") && shown.len() < 64 << 10, "{} octets", shown.len());
    let (code, shown) = server.page("/zones?from=500");
    assert!(
        code == 200
            && shown.contains("z0500.test.")
            && shown.contains("/zones?from=1000")
            && !shown.contains("z1000.test.")
    );
    assert!(!server.page("/zones?from=1000").1.contains("from="));
    for (path, expected) in [("/zones?from=99999999999", 200), ("/zones?from=-1", 400), ("/zones?x", 400)] {
        assert_eq!(server.page(path).0, expected, "{path}");
    }
}

/// A zone of so many hosts.
fn hosts(serial: u32, count: usize) -> String {
    (0..count).fold(zone(serial), |text, number| text + &format!("host-{number} IN A 192.0.2.1\n"))
}

/// The size of a process in KiB, as its status shows it.
fn size(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_reload_that_has_no_room_in_memory_keeps_the_old_zones_and_says_so() {
    let site = site("");
    site.write("zones/big.test.zone", hosts(1, 1000));
    site.write("zones/small.test.zone", zone(1));
    let server = site.serve(&CONFIG);
    let pid = server.child.id().to_string();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("reads");
    let used = size(&status);
    // The allocator sets aside 64 MiB for each CPU.
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let limit = ((used << 10) + (64 << 20) * cpus + (8 << 20)).to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, &format!("--as={limit}:")]).status().expect("runs").success());
    site.write("zones/big.test.zone", hosts(2, 2_000_000));
    site.write("zones/small.test.zone", zone(2));
    let said = site.ask(&["reload"]);
    said.expect(1, &["big.test.zone", "for want of memory", "RLIMIT_AS"]);
    assert_eq!(site.serials(), [("big.test.".to_owned(), 1), ("small.test.".to_owned(), 2)]);
    assert_eq!(ask(server.address, "big.test"), SERVED);
    site.write("zones/big.test.zone", hosts(3, 10_000));
    assert_eq!(site.ask(&["reload"]).code, 0);
    // However tight it is, it is reported and not died of.
    for (serial, room) in [(4, 40_u64), (5, 12), (6, 3)] {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("reads");
        let limit = ((size(&status) << 10) + (room << 20)).to_string();
        assert!(
            Command::new("prlimit").args(["--pid", &pid, &format!("--as={limit}:")]).status().expect("runs").success()
        );
        site.write("zones/big.test.zone", hosts(serial, 200_000));
        site.ask(&["reload"]).expect(1, &["for want of memory"]);
        assert_eq!(ask(server.address, "big.test"), SERVED);
    }
}

#[test]
fn a_sparse_file_is_refused_by_its_size() {
    let site = site("");
    site.write("zones/big.test.zone", zone(1));
    let server = site.serve(&CONFIG);
    site.write("zones/big.test.zone", zone(2));
    let file = fs::File::options().write(true).open(site.path("zones/big.test.zone")).expect("opens");
    file.set_len(3 << 30).expect("sparse files are there");
    let start = std::time::Instant::now();
    site.ask(&["reload"]).expect(1, &["big.test.zone", "sparse"]);
    assert!(start.elapsed() < PATIENCE);
    assert_eq!(ask(server.address, "big.test"), SERVED);
    assert!(Path::new(&format!("/proc/{}", server.child.id())).exists());
}

/// What no zone can be read from is named, with what to do about it, and is never waited for.
#[test]
fn what_is_no_zone_file_is_called_what_it_is() {
    let site = site("");
    site.write("zones/good.test.zone", zone(1));
    assert!(Command::new("mkfifo").arg(site.path("zones/fifo.test.zone")).status().expect("runs").success());
    std::os::unix::fs::symlink("/dev/zero", site.path("zones/device.test.zone")).expect("a link");
    std::os::unix::fs::symlink("nowhere", site.path("zones/gone.test.zone")).expect("a link");
    let _socket = std::os::unix::net::UnixListener::bind(site.path("zones/socket.test.zone")).expect("binds");
    site.write("zones/x..y.zone", zone(1));
    site.write(&format!("zones/{}.zone", "x".repeat(64)), zone(1));
    let parts = [
        "fifo.test.zone: this is a pipe",
        "device.test.zone: this is a device",
        "socket.test.zone: this is a socket",
        "gone.test.zone",
        "x..y.zone: the file's name is no zone name: ",
        "rename it",
    ];
    site.run(&["check", "--config", "fated.toml"]).expect(1, &parts);
    let server = site.serve(&CONFIG);
    let seen = server.seen.join("\n");
    for part in parts {
        assert!(seen.contains(part), "{part}:\n{seen}");
    }
    assert_eq!(ask(server.address, "good.test"), SERVED);
    assert_eq!(ask(server.address, "fifo.test"), BROKEN);
    site.ask(&["reload"]).expect(1, &parts);
    fs::create_dir(site.path("folder")).expect("a folder");
    site.run(&["check", "--zone", "example.test=folder"]).expect(1, &["folder: this is a directory"]);
}

/// A memory cgroup of this test, of whichever version the host has; removed when this is dropped.
struct MemoryGroup(std::path::PathBuf);

impl MemoryGroup {
    /// Makes one with that limit; `None`, said loudly, where that can't be.
    fn new(test: &str, limit: u64) -> Option<Self> {
        let tries = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        for (top, file) in tries {
            let group = Self(Path::new(top).join(format!("fated-test-{}", std::process::id())));
            if fs::create_dir(&group.0).is_ok() && fs::write(group.0.join(file), limit.to_string()).is_ok() {
                return Some(group);
            }
        }
        eprintln!("\n*** SKIPPED {test}: no memory cgroup can be made here ***\n");
        None
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // It stays where somebody is in it still; nobody is harmed.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_reload_that_a_memory_cgroup_has_no_room_for_keeps_the_old_zones() {
    let test = "a_reload_that_a_memory_cgroup_has_no_room_for_keeps_the_old_zones";
    let Some(group) = MemoryGroup::new(test, 96 << 20) else { return };
    let site = site("");
    site.write("zones/big.test.zone", hosts(1, 1000));
    let server = site.serve(&CONFIG);
    fs::write(group.0.join("cgroup.procs"), server.child.id().to_string()).expect("the group takes it");
    site.write("zones/big.test.zone", hosts(2, 2_000_000));
    site.ask(&["reload"]).expect(1, &["big.test.zone", "for want of memory", "the limit of the memory cgroup"]);
    assert_eq!(ask(server.address, "big.test"), SERVED);
    site.write("zones/big.test.zone", hosts(3, 100_000));
    assert_eq!(site.ask(&["reload"]).code, 0);
    assert_eq!(site.serials(), [("big.test.".to_owned(), 3)]);
    drop(server);
}
