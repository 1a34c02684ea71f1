//! Zone files by people who are not to be trusted with the host: what a file may include, what it may be, how much it
//! may take, and that nothing which is no zone file is shown to anybody.

#[path = "common/command.rs"]
mod command;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use command::{PATIENCE, Said, Site};

/// What must never be shown.
const SECRET: &str = "hunter2";
/// Files that are no zone files, as they lie about on a host, each with the secret.
const SECRETS: [&str; 7] = [
    "root:$6$hunter2$aaaa:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n",
    "-----BEGIN PRIVATE KEY-----\nhunter2hunter2\n-----END PRIVATE KEY-----\n",
    "password = hunter2\n",
    "key \"hunter2\" { algorithm hmac-sha256; secret \"hunter2==\"; };\n",
    "Private-key-format: v1.3\nAlgorithm: 13 (ECDSAP256SHA256)\nPrivateKey: hunter2=\n",
    "hunter2\n",
    "hunter2 hunter2 \"hunter2\n( hunter2\n\0hunter2",
];

/// The start of a good zone.
const HEAD: &str = "$TTL 300\n@ SOA ns h 1 7200 3600 1209600 300\n@ NS ns\nns A 192.0.2.1\n";

/// Runs `fated check` with 2 GB of address space; it must end by itself in good time.
fn check(site: &Site, arguments: &[&str]) -> Said {
    let began = Instant::now();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -v 2000000; exec timeout 30 \"$@\"", "sh", env!("CARGO_BIN_EXE_fated"), "check"]);
    command.args(arguments).current_dir(site.folder.path()).stdin(Stdio::null());
    let said = Said::from(command.output().expect("runs"));
    assert!(began.elapsed() < PATIENCE);
    said
}

/// All that a command said.
fn all(said: &Said) -> String {
    format!("{}{}", said.out, said.err)
}

/// A site whose zone `a.test` is the head and what follows.
fn site(rest: &str) -> Site {
    let site = Site::new();
    site.write("zones/a.test.zone", format!("{HEAD}{rest}"));
    site
}

#[test]
fn a_file_is_included_only_from_below_the_folder_of_its_zone() {
    let inside = ["hosts.inc", "./sub/../hosts.inc", "sub/deep.inc", "linked.inc", "../zones/hosts.inc"];
    let outside = [
        "../outside.inc",
        "link.inc",
        "linkdir/outside.inc",
        "sub/../../outside.inc",
        "chain.inc",
        "/etc/passwd",
        "../no-such-file",
        "/etc/no-such-file",
        "sub/nested.inc",
    ];
    for (path, is_inside) in inside.map(|path| (path, true)).into_iter().chain(outside.map(|path| (path, false))) {
        let site = site(&format!("$INCLUDE {path}\n"));
        site.write("outside.inc", "out A 192.0.2.9\n");
        site.write("zones/hosts.inc", "in A 192.0.2.8\n");
        fs::create_dir(site.path("zones/sub")).expect("a folder");
        site.write("zones/sub/deep.inc", "deep A 192.0.2.7\n$INCLUDE ../hosts.inc\n");
        site.write("zones/sub/nested.inc", "deep A 192.0.2.7\n$INCLUDE ../../outside.inc\n");
        let link = |to: &str, at: &str| symlink(to, site.path(&format!("zones/{at}"))).expect("a link");
        link("hosts.inc", "linked.inc");
        link("../outside.inc", "link.inc");
        link("link.inc", "chain.inc");
        link("..", "linkdir");
        let said = check(&site, &["--zones", "zones"]);
        if is_inside {
            said.expect(0, &[]);
        } else {
            said.expect(1, &["include-outside", "include-dirs"]);
        }
        // What is named is included, whatever the path that leads there.
        let absolute = site.folder.path().display().to_string();
        site.write("fated.toml", format!("[server]\nzones-dir = \"zones\"\ninclude-dirs = [\"{absolute}\"]\n"));
        let said = check(&site, &["--config", "fated.toml"]);
        match path {
            "/etc/passwd" | "/etc/no-such-file" => said.expect(1, &["include-outside"]),
            "../no-such-file" => said.expect(1, &["file-missing"]),
            _ => said.expect(0, &[]),
        };
    }
}

#[test]
fn a_zone_file_may_be_a_link_and_its_folder_too() {
    let site = Site::new();
    fs::create_dir(site.path("store")).expect("a folder");
    site.write("store/a.test.zone", format!("{HEAD}$INCLUDE hosts.inc\n"));
    site.write("zones/hosts.inc", "in A 192.0.2.8\n");
    symlink("../store/a.test.zone", site.path("zones/a.test.zone")).expect("a link");
    symlink("zones", site.path("other")).expect("a link");
    for folder in ["zones", "other"] {
        check(&site, &["--zones", folder]).expect(0, &[]);
    }
}

#[test]
fn special_files_are_named_and_nobody_waits_for_them() {
    for (make, word) in [
        ("mkfifo zones/x", "pipe"),
        ("ln -s /dev/zero zones/x", "device"),
        ("mkdir zones/x", "directory"),
        ("ln -s /dev/full zones/x", "device"),
        ("ln -s x zones/x", "link"),
        ("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"zones/x\")'", "socket"),
    ] {
        let site = site("$INCLUDE x\n");
        let made = Command::new("sh").args(["-c", make]).current_dir(site.folder.path()).status().expect("a shell");
        assert!(made.success(), "{make}");
        check(&site, &["--zone", "b.test=zones/x"]).expect(1, &[word, "zones/x"]);
        site.write("fated.toml", "[server]\nzones-dir = \"zones\"\ninclude-dirs = [\"/dev\"]\n");
        check(&site, &["--config", "fated.toml"]).expect(1, &[word, "a.test.zone:5:10"]);
    }
    let files = [
        ("/proc/kcore", "longer than"),
        ("/proc/self/pagemap", "cannot be read"),
        ("/sys/kernel/tracing/trace_pipe", ""),
    ];
    for (path, word) in files.into_iter().filter(|(path, _)| Path::new(path).exists()) {
        let site = Site::new();
        check(&site, &["--zone", &format!("b.test={path}")]).expect(1, &[word, path]);
    }
}

#[test]
fn a_reload_does_not_wait_for_a_pipe() {
    let site = site("");
    let server = site.serve(&["--zones", "zones"]);
    let made = Command::new("mkfifo").arg(site.path("zones/b.test.zone")).status().expect("mkfifo");
    assert!(made.success());
    site.write("zones/a.test.zone", format!("{HEAD}www A 192.0.2.2\n"));
    site.ask(&["reload"]).expect(1, &["b.test", "pipe"]);
    drop(server);
}

#[test]
fn what_is_no_zone_file_is_not_shown() {
    for secret in SECRETS {
        let site = site("$INCLUDE secret\nwww A 192.0.2.x\n");
        site.write("zones/secret", secret);
        site.write("zones/b.test.zone", secret);
        let said = check(&site, &["--zones", "zones"]);
        assert!(!all(&said).contains(SECRET), "{}", all(&said));
        // The fault of the zone file itself is shown with its line.
        said.expect(1, &["www A 192.0.2.x", "zones/secret", "b.test.zone"]);
    }
}

#[test]
fn neither_log_nor_control_socket_nor_page_shows_what_is_no_zone_file() {
    let site = site("");
    // Free a moment ago, and no other test asks for it by number.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let admin = listener.local_addr().expect("an address").to_string();
    drop(listener);
    site.write("fated.toml", format!("[server]\nzones-dir = \"zones\"\n[admin]\nlisten = \"{admin}\"\n"));
    let server = site.serve(&["--config", "fated.toml"]);
    site.write("zones/a.test.zone", format!("{HEAD}$INCLUDE secret\n"));
    site.write("zones/secret", SECRETS[0]);
    let reload = site.ask(&["reload"]);
    reload.expect(1, &["not-a-zone-file"]);
    let (status, json) = (site.ask(&["status"]), site.ask(&["status", "--json"]));
    let page = page(&admin);
    assert!(page.contains("a.test"), "{page}");
    server.signal("-TERM");
    let log: Vec<String> = server.lines.iter().collect();
    assert!(log.iter().any(|line| line.contains("a.test")), "the reload is in the log");
    for said in [all(&reload), all(&status), all(&json), log.join("\n"), page] {
        assert!(!said.contains(SECRET), "{said}");
    }
}

/// The status page.
fn page(address: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).expect("connects");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("asks");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("reads");
    page
}

#[test]
fn little_text_does_not_take_much_memory() {
    let steps = (0..60).map(|n| format!("$GENERATE 0-1048575 h{n}-$ A 192.0.2.1\n")).collect::<String>();
    let long = format!("$GENERATE 0-999999 h$ TXT \"{}\"\n", format!("{} ", "x".repeat(250)).repeat(200));
    let twice = "$INCLUDE big.inc\n".repeat(9_000);
    for (text, word) in [(&steps, "generate-steps-max"), (&long, "generate-steps-max"), (&twice, "zone-too-large")] {
        let site = site(text);
        site.write("zones/big.inc", "x TXT \"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\"\n".repeat(10_000));
        check(&site, &["--zones", "zones"]).expect(1, &[word]);
    }
}

#[test]
fn the_bounds_of_a_zone_are_configured() {
    for (limits, text, word) in [
        ("zone-records-max = 4", "www A 192.0.2.1\nftp A 192.0.2.1\n", "zone-records-max"),
        ("zone-octets-max = 80", "www A 192.0.2.1\n", "zone-octets-max"),
        ("generate-steps-max = 4", "$GENERATE 1-5 h$ A 192.0.2.$\n", "generate-steps-max"),
        (
            "generate-steps-max = 4",
            "$GENERATE 1-3 h$ A 192.0.2.$\n$GENERATE 1-2 i$ A 192.0.2.$\n",
            "generate-steps-max",
        ),
        ("zone-records-max = 4", "$GENERATE 1-5 h$ A 192.0.2.$\n", "zone-records-max"),
        ("zone-records-max = 5", "www A 192.0.2.1\nftp A 192.0.2.1\n", ""),
        ("generate-steps-max = 5", "$GENERATE 1-5 h$ A 192.0.2.$\n", ""),
    ] {
        let site = site(text);
        site.write("fated.toml", format!("[server]\nzones-dir = \"zones\"\n[server.limits]\n{limits}\n"));
        let said = check(&site, &["--config", "fated.toml"]);
        match word {
            "" => said.expect(0, &[]),
            word => said.expect(1, &["too-l", word]),
        };
    }
}
