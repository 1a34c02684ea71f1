//! The real command: exit codes, what it says, and how a server lives, reloads and ends.
//!
//! Every server listens on a port that the kernel chooses and has a folder of its own for zones and control socket.

#[path = "common/command.rs"]
mod command;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use command::{PATIENCE, Said, Server, Site, WITHOUT_IPV6, alone, zone};

/// The RCODE and the serial of the SOA that a server replies over UDP.
fn soa(address: SocketAddr, zone: &str) -> (u8, Option<u32>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut query = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in zone.split('.').filter(|label| !label.is_empty()) {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 6, 0, 1]);
    socket.send_to(&query, address).expect("sends");
    let mut reply = [0; 4096];
    let (length, _) = socket.recv_from(&mut reply).expect("a reply");
    let reply = &reply[..length];
    assert_eq!(reply[..2], query[..2]);
    // The SOA is the only record, and its last five numbers end the message.
    let serial = (reply[7] == 1).then(|| u32::from_be_bytes(reply[length - 20..length - 16].try_into().expect("four")));
    (reply[3] & 15, serial)
}

#[test]
fn help_says_what_exit_codes_and_signals_mean() {
    let site = Site::new();
    let help = site.run(&["--help"]);
    assert_eq!(help.code, 0);
    for part in ["Examples:", "Exit codes:", "SIGHUP", "reload", "--zone <NAME=FILE>", "127.0.0.1:5300"] {
        assert!(help.out.contains(part), "{part}: {}", help.out);
    }
    for arguments in [&["--version"][..], &["help", "check"], &["completions", "bash"], &["man"], &["man", "reload"]] {
        let said = site.run(arguments);
        assert_eq!((said.code, said.out.is_empty(), said.err.as_str()), (0, false, ""), "{arguments:?}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let site = Site::new();
    for (arguments, part) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["frobnicate"], "frobnicate"),
        (&["serve", "--listen", "nowhere"], "it must be an address"),
        (&["serve", "--zone", "example.com"], "it must be NAME=FILE"),
        (&["serve", "--workers", "9999"], "9999"),
        (&["man", "nothing"], "there is no command nothing"),
    ] {
        site.run(arguments).expect(2, &[part]);
    }
    let long = format!("{}=file", "abcdefg.".repeat(32));
    site.run(&["check", "--zone", &long]).expect(2, &["the name is longer than 255 octets"]);
}

#[test]
fn without_zones_it_says_how_to_begin() {
    let site = Site::new();
    for arguments in [&[][..], &["serve"], &["check"]] {
        site.run(arguments)
            .expect(2, &["it holds no NAME.zone file", "zones/example.test.zone", "dig @127.0.0.1 -p 5300"]);
    }
    fs::remove_dir(site.path("zones")).expect("removes");
    site.run(&[]).expect(2, &["there is no such folder", "mkdir -p zones"]);
}

#[test]
fn what_the_first_hint_says_to_copy_is_a_good_zone() {
    let site = Site::new();
    let hint = site.run(&[]).err;
    let (_, rest) = hint.split_once("<<'END'\n").expect("a text to copy");
    let (text, _) = rest.split_once("END\n").expect("its end");
    site.write("zones/example.test.zone", text);
    let said = site.run(&["check"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
}

#[test]
fn unknown_keys_are_reported_with_line_and_nearest_key() {
    let site = Site::new();
    site.write("fated.toml", "[server]\nlisten = [\"127.0.0.1:0\"]\nworkrs = 2\nzones-dir = \"zones\"\n");
    for command in ["serve", "check"] {
        let parts = ["fated.toml:3:1", "unknown key `server.workrs`", "did you mean `workers`?"];
        site.run(&[command, "--config", "fated.toml"]).expect(2, &parts);
    }
    site.write("fated.toml", "[anicast]\naddresses = []\n");
    site.run(&["serve", "--config", "fated.toml"]).expect(2, &["fated.toml:1:2", "unknown key `anicast`"]);
}

#[test]
fn values_out_of_range_are_reported_with_range_and_line() {
    let site = Site::new();
    site.write("fated.toml", "[server]\nzones-dir = \"zones\"\nudp-payload-max = 9000\n");
    let parts = ["fated.toml:3:19", "`server.udp-payload-max` is 9000, but it must be 512 to 4096"];
    site.run(&["serve", "--config", "fated.toml"]).expect(2, &parts);
    site.write("fated.toml", "[server\n");
    site.run(&["serve", "--config", "fated.toml"]).expect(2, &["fated.toml:1:"]);
    site.run(&["serve", "--config", "missing.toml"]).expect(2, &["missing.toml", "can't be read"]);
}

#[test]
fn a_taken_address_is_an_error_that_names_it() {
    let site = Site::new();
    site.write("zones/example.test.zone", zone(1));
    let taken = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("an address").to_string();
    site.run(&["serve", "--listen", &address, "--control", ""]).expect(3, &[&address]);
}

#[test]
fn the_address_of_a_running_server_is_taken() {
    let site = Site::new();
    site.write("zones/example.test.zone", zone(1));
    let server = site.serve(&["--zones", "zones"]);
    let address = server.address.to_string();
    site.run(&["serve", "--listen", &address, "--control", ""]).expect(3, &[&address]);
    assert_eq!(soa(server.address, "example.test"), (0, Some(1)));
}

#[test]
fn an_address_that_is_not_ours_is_an_error_that_names_it() {
    let site = Site::new();
    site.write("zones/example.test.zone", zone(1));
    let said = site.run(&["serve", "--listen", "192.0.2.1:5300", "--control", ""]);
    said.expect(3, &["192.0.2.1:5300", "no such address"]);
}

#[test]
fn a_default_address_of_an_absent_family_is_left_out_with_a_warning() {
    let test = "a_default_address_of_an_absent_family_is_left_out_with_a_warning";
    let site = Site::new();
    site.write("zones/example.test.zone", zone(1));
    let control = site.control();
    let command = site.command(&["serve", "--workers", "1", "--control", control.to_str().expect("UTF-8")]);
    let Some(command) = alone(test, &command, WITHOUT_IPV6) else { return };
    let server = Server::spawn(command);
    let warning = server.wait_for_line("left out");
    assert!(warning.contains("WARN") && warning.contains("[::1]:5300 is left out"), "{warning}");
    let serving = server.wait_for_line("serving");
    assert!(serving.contains("127.0.0.1:5300") && !serving.contains("::1"), "{serving}");
    // The control socket is a file, which namespaces of the network don't hide.
    server.wait_for_line("Ctrl-C");
    assert_eq!(site.status()["listen"], serde_json::json!(["127.0.0.1:5300"]));
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn an_explicit_address_of_an_absent_family_is_an_error() {
    let test = "an_explicit_address_of_an_absent_family_is_an_error";
    let site = Site::new();
    site.write("zones/example.test.zone", zone(1));
    for listen in [&["[::1]:5300"][..], &["127.0.0.1:5300", "[::1]:5300"]] {
        let listen = listen.iter().flat_map(|address| ["--listen", address]);
        let arguments: Vec<&str> = ["serve", "--control", ""].into_iter().chain(listen).collect();
        let Some(mut command) = alone(test, &site.command(&arguments), WITHOUT_IPV6) else { return };
        let said = Said::from(command.output().expect("runs"));
        said.expect(3, &["[::1]:5300", "no such address"]);
    }
}

#[test]
fn bad_zone_files_fail_the_check_and_a_strict_start() {
    let site = Site::new();
    let long = format!("{} IN A 192.0.2.1\n", "abcdefg.".repeat(31));
    let cases: [(&str, Option<Vec<u8>>); 6] = [
        ("missing.zone", None),
        ("empty.zone", Some(Vec::new())),
        ("binary.zone", Some((0..=255).cycle().take(4096).collect())),
        ("broken.zone", Some(format!("{}www IN A not-an-address\n", zone(1)).into_bytes())),
        ("loop.zone", Some(format!("{}$INCLUDE loop.zone\n", zone(1)).into_bytes())),
        ("long.zone", Some(format!("{}{long}", zone(1)).replace("abcdefg. IN", "abcdefg IN").into_bytes())),
    ];
    for (file, octets) in cases {
        if let Some(octets) = octets {
            site.write(file, octets);
        }
        let named = format!("example.test={file}");
        site.run(&["check", "--zone", &named]).expect(1, &["error", file]);
        let said = site.run(&["serve", "--zone", &named, "--listen", "127.0.0.1:0", "--control", "", "--strict"]);
        said.expect(3, &["error", file, "1 of 1 zones can't be served"]);
    }
    fs::create_dir(site.path("folder.zone")).expect("a folder");
    site.run(&["check", "--zone", "example.test=folder.zone"]).expect(1, &["folder.zone"]);
    site.run(&["check", "--zone", "example.test=/dev/zero"]).expect(1, &["/dev/zero"]);
}

#[test]
fn an_unreadable_zone_file_is_reported() {
    let site = Site::new();
    site.write("secret.zone", zone(1));
    fs::set_permissions(site.path("secret.zone"), Permissions::from_mode(0o0)).expect("sets the mode");
    if fs::read(site.path("secret.zone")).is_ok() {
        eprintln!("SKIPPED: an_unreadable_zone_file_is_reported: this user reads files of any mode");
        return;
    }
    site.run(&["check", "--zone", "example.test=secret.zone"]).expect(1, &["secret.zone", "denied"]);
}

#[test]
fn faults_name_file_line_and_column() {
    let site = Site::new();
    site.write("zones/example.test.zone", format!("{}www IN A 192.0.2.256\n", zone(1)));
    site.run(&["check"]).expect(1, &["zones/example.test.zone:5:10"]);
}

#[test]
fn check_prints_good_zones_and_stays_quiet_on_a_closed_pipe() {
    let site = Site::new();
    site.write("zones/example.test.zone", zone(7));
    let said = site.run(&["check", "--print"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.starts_with("example.test."), "{}", said.out);
    assert_eq!(said.out.lines().count(), 3, "{}", said.out);
    let mut big = zone(7);
    for number in 0..20_000 {
        big.push_str(&format!("host-{number} IN A 192.0.2.1\n"));
    }
    site.write("zones/example.test.zone", big);
    let mut command = site.command(&["check", "--print"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut err).expect("UTF-8");
    assert_eq!((child.wait().expect("ends").code(), err.as_str()), (Some(0), ""));
}

#[test]
fn two_zones_of_one_name_are_reported_with_both_places() {
    let site = Site::new();
    site.write(
        "fated.toml",
        "[[zone]]\nname = \"a.test\"\nfile = \"1\"\n\n[[zone]]\nname = \"A.test.\"\nfile = \"2\"\n",
    );
    site.run(&["serve", "--config", "fated.toml"]).expect(2, &["A.test.", "fated.toml:2:8", "fated.toml:6:8"]);
    let text = zone(1).replace("@ IN SOA", "same.test. IN SOA").replace("@ IN NS", "same.test. IN NS");
    let text =
        text.replace("ns IN A", "ns.same.test. IN A").replace("SOA ns hostmaster", "SOA ns.same.test. h.same.test.");
    let text = text.replace("NS ns\n", "NS ns.same.test.\n");
    site.write("zones/one.zone", &text);
    site.write("zones/two.zone", &text);
    site.run(&["check"]).expect(1, &["zones/one.zone", "zones/two.zone", "same.test."]);
    let said = site.run(&["serve", "--listen", "127.0.0.1:0", "--control", "", "--strict"]);
    said.expect(3, &["zones/one.zone", "zones/two.zone", "same.test."]);
}

#[test]
fn a_zone_is_named_by_its_file_or_by_the_configuration_and_never_by_its_soa() {
    let site = Site::new();
    let other = "$TTL 60\nreal.test. SOA ns.example. h.example. 2 1h 1h 1w 1m\nreal.test. NS ns.example.\n";
    site.write("zones/example.test.zone", zone(1));
    site.write("whatever.zone", other);
    let server = site.serve(&["--zones", "zones", "--zone", "real.test=whatever.zone"]);
    assert_eq!(site.serials(), [("real.test.".to_owned(), 2), ("example.test.".to_owned(), 1)]);
    drop(server);
    site.write("zones/whatever.zone", other);
    site.run(&["check", "--zones", "zones"]).expect(1, &["soa-not-at-apex", "real.test.", "whatever."]);
}

#[test]
fn a_zone_with_primaries_is_checked_without_a_file_and_a_secret_is_read_from_one() {
    let site = Site::new();
    let config = "[server]\nzones-dir = \"zones\"\n\
        [[key]]\nname = \"k\"\nalgorithm = \"hmac-sha256\"\nsecret-file = \"k.secret\"\n\
        [[zone]]\nname = \"far.test\"\nprimaries = [{ address = \"192.0.2.1\", key = \"k\" }]\n";
    site.write("fated.toml", config);
    site.write("k.secret", "c2VjcmV0\n");
    let set_mode =
        |mode| fs::set_permissions(site.path("k.secret"), Permissions::from_mode(mode)).expect("sets the mode");
    set_mode(0o644);
    let refused = site.run(&["check", "--config", "fated.toml"]);
    refused.expect(2, &["fated.toml:6:15", "k.secret: its mode is 0644"]);
    set_mode(0o600);
    let said = site.run(&["check", "--config", "fated.toml"]);
    said.expect(0, &["warning: zones with `primaries`: 1, but no `server.state-dir`", "k. (less than 32 octets)"]);
    assert_eq!(said.out, "far.test.: not looked at; comes from 192.0.2.1:53\n");
    assert!(!said.err.contains("c2Vj") && !refused.err.contains("c2Vj"), "{said:?} {refused:?}");
}

#[test]
fn a_server_says_what_it_serves_and_ends_on_sigterm() {
    for signal in ["-TERM", "-INT"] {
        let site = Site::new();
        site.write("zones/example.test.zone", zone(42));
        let server = site.serve(&["--zones", "zones"]);
        let question = server.wait_for_line("dig @127.0.0.1");
        assert!(
            question.ends_with(&format!("dig @127.0.0.1 -p {} example.test SOA", server.address.port())),
            "{question}"
        );
        let status = site.ask(&["status"]);
        for part in ["example.test.", "42", "served", &server.address.to_string()] {
            assert!(status.out.contains(part), "{part}: {}", status.out);
        }
        assert_eq!(soa(server.address, "example.test"), (0, Some(42)));
        assert!(site.control().exists());
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        assert!(!site.control().exists());
    }
}

#[test]
fn a_second_signal_ends_at_once_what_still_waits_for_a_client() {
    let site = Site::new();
    // One answer of 56 KiB, asked for so often that no socket buffer holds them all.
    let strings: String = (0..224).map(|number| format!("big TXT \"{number:0>243}\"\n")).collect();
    site.write("zones/example.test.zone", zone(1) + &strings);
    let server = site.serve(&["--zones", "zones"]);
    let mut client = TcpStream::connect(server.address).expect("connects");
    let question = b"\0\x01\0\0\0\x01\0\0\0\0\0\0\x03big\x07example\x04test\0\0\x10\0\x01";
    let framed = [&(question.len() as u16).to_be_bytes()[..], question].concat();
    client.write_all(&framed.repeat(1000)).expect("a client may ask much");
    server.signal("-TERM");
    // The other signal, since two of one kind may arrive as one.
    server.signal("-INT");
    server.wait_for_line("ended by a second signal");
    assert_eq!(server.wait().code(), Some(3));
    drop(client);
}

#[test]
fn stop_waits_for_the_end() {
    let site = Site::new();
    site.write("zones/example.test.zone", zone(1));
    let server = site.serve(&["--zones", "zones"]);
    let address = server.address;
    let said = site.ask(&["stop"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!site.control().exists());
    UdpSocket::bind(address).expect("the port is free again");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn without_a_server_status_reload_and_stop_say_so() {
    let site = Site::new();
    for command in ["status", "reload", "drain", "resume", "stop"] {
        site.ask(&[command]).expect(3, &["no fated server answers", "control.sock"]);
    }
}

#[test]
fn a_held_control_socket_is_an_error_and_a_stale_one_is_taken_over() {
    let site = Site::new();
    site.write("zones/example.test.zone", zone(1));
    let mut first = site.serve(&["--zones", "zones"]);
    let control = site.control();
    let second = ["serve", "--listen", "127.0.0.1:0", "--control", control.to_str().expect("UTF-8")];
    site.run(&second).expect(3, &["control.sock", &format!("process ({})", first.child.id())]);
    assert_eq!(site.serials().len(), 1, "the first server goes on");
    first.child.kill().expect("killed");
    first.child.wait().expect("ends");
    assert!(control.exists(), "a killed server leaves its socket behind");
    let third = site.serve(&["--zones", "zones"]);
    assert_eq!(site.serials().len(), 1);
    third.signal("-TERM");
    assert_eq!(third.wait().code(), Some(0));
    site.write("control.sock", "precious");
    site.run(&second).expect(3, &["no socket"]);
}

#[test]
fn a_held_state_folder_is_an_error() {
    let site = Site::new();
    site.write("zones/example.test.zone", zone(1));
    let first = site.serve(&["--zones", "zones", "--state-dir", "state"]);
    let second = ["serve", "--listen", "127.0.0.1:0", "--control", "", "--state-dir", "state"];
    site.run(&second).expect(3, &["state", &first.child.id().to_string()]);
}

#[test]
fn reload_notices_added_changed_removed_and_broken_files() {
    let site = Site::new();
    for file in ["a.test.zone", "b.test.zone", "c.test.zone"] {
        site.write(&format!("zones/{file}"), zone(1));
    }
    let server = site.serve(&["--zones", "zones"]);
    site.write("zones/a.test.zone", zone(2));
    fs::remove_file(site.path("zones/b.test.zone")).expect("removes");
    site.write("zones/c.test.zone", format!("{}www IN A nonsense\n", zone(2)));
    site.write("zones/d.test.zone", zone(5));
    let said = site.ask(&["reload"]);
    said.expect(1, &["zones/c.test.zone:5:10"]);
    for part in [
        "a.test.  changed, serial 2",
        "b.test.  removed",
        "c.test.  BROKEN, the old zone is served on, serial 1",
        "d.test.  added, serial 5",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let expected = [("a.test.", 2), ("c.test.", 1), ("d.test.", 5)].map(|(name, serial)| (name.to_owned(), serial));
    assert_eq!(site.serials(), expected);
    assert!(site.ask(&["status"]).out.contains("BROKEN, the old zone is served"));
    assert_eq!(soa(server.address, "a.test"), (0, Some(2)));
    assert_eq!(soa(server.address, "b.test").0, 5);
    assert_eq!(soa(server.address, "c.test"), (0, Some(1)));
    site.write("zones/c.test.zone", zone(3));
    assert_eq!(site.ask(&["reload"]).code, 0);
    assert_eq!(soa(server.address, "c.test"), (0, Some(3)));
}

#[test]
fn sighup_reloads() {
    let site = Site::new();
    site.write("zones/example.test.zone", zone(1));
    let server = site.serve(&["--zones", "zones"]);
    for serial in [2, 3] {
        site.write("zones/example.test.zone", zone(serial));
        server.signal("-HUP");
        server.wait_for_line("reloaded");
        assert_eq!(soa(server.address, "example.test"), (0, Some(serial)));
    }
    site.write("zones/example.test.zone", "nonsense");
    server.signal("-HUP");
    server.wait_for_line("the old zone is served on");
    server.wait_for_line("reloaded");
    assert_eq!(soa(server.address, "example.test"), (0, Some(3)));
}

#[test]
fn one_zone_is_reloaded_alone_and_an_unknown_one_is_an_error() {
    let site = Site::new();
    site.write("zones/a.test.zone", zone(1));
    site.write("zones/b.test.zone", zone(1));
    let _server = site.serve(&["--zones", "zones"]);
    site.write("zones/a.test.zone", zone(2));
    site.write("zones/b.test.zone", zone(2));
    assert_eq!(site.ask(&["reload", "A.test"]).code, 0);
    assert_eq!(site.serials(), [("a.test.".to_owned(), 2), ("b.test.".to_owned(), 1)]);
    site.ask(&["reload", "nope.test"]).expect(3, &["no zone nope.test. is served"]);
}

#[test]
fn reload_reads_the_configuration_too_and_a_broken_one_changes_nothing() {
    let site = Site::new();
    site.write("a.zone", zone(1));
    site.write("b.zone", zone(2));
    let first = "[[zone]]\nname = \"a.test\"\nfile = \"a.zone\"\n";
    site.write("fated.toml", first);
    let _server = site.serve(&["--config", "fated.toml"]);
    site.write(
        "fated.toml",
        format!("{first}[[zone]]\nname = \"b.test\"\nfile = \"b.zone\"\n[server.tcp]\nclients-max = 9\n"),
    );
    let said = site.ask(&["reload"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("`server.tcp` has changed; that takes a restart"), "{}", said.out);
    assert_eq!(site.serials(), [("a.test.".to_owned(), 1), ("b.test.".to_owned(), 2)]);
    site.write("fated.toml", "[server]\nnonsense = 1\n");
    site.ask(&["reload"]).expect(3, &["nothing was reloaded", "fated.toml:2:1", "unknown key `server.nonsense`"]);
    assert_eq!(site.serials().len(), 2);
}

#[test]
fn a_zones_folder_that_vanishes_changes_nothing() {
    let site = Site::new();
    site.write("zones/example.test.zone", zone(1));
    let _server = site.serve(&["--zones", "zones"]);
    fs::rename(site.path("zones"), site.path("gone")).expect("renames");
    site.ask(&["reload"]).expect(3, &["nothing was reloaded", "zones"]);
    assert_eq!(site.serials().len(), 1);
}

#[test]
fn the_example_zones_are_good() {
    let site = Site::new();
    let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones");
    let said = site.run(&["check", "--zones", zones.to_str().expect("UTF-8")]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    assert!(said.out.contains("example.test."), "{}", said.out);
}
