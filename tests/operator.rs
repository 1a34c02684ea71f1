//! What an operator of a node uses: drain and resume, the pages over HTTP, the dry run, and what `check` says of the
//! host.

#[path = "common/command.rs"]
mod command;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;

use command::{PATIENCE, Server, Site, alone, page, zone};
use serde_json::Value;

/// A site with one zone, a state folder and pages on a port that the kernel chooses.
fn site() -> Site {
    let site = Site::new();
    site.write("zones/example.test.zone", zone(1));
    let config = "[server]\nzones-dir = \"zones\"\nstate-dir = \"state\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    site.write("fated.toml", config);
    site
}

/// Starts the site's server; returns where its pages are, which it says before it serves.
fn start(site: &Site) -> (Server, SocketAddr) {
    let server = site.serve(&["--config", "fated.toml"]);
    let address = server.pages();
    (server, address)
}

#[test]
fn pages_show_the_running_server() {
    let site = site();
    let (_server, pages) = start(&site);
    assert_eq!(page(pages, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(page(pages, "/readyz"), (200, "ready: zones: 1\n".to_owned()));
    let (code, metrics) = page(pages, "/metrics");
    assert_eq!(code, 200);
    for line in ["fated_ready 1", "fated_zone_serial{zone=\"example.test.\"} 1", "fated_workers 1", "# EOF"] {
        assert!(metrics.lines().any(|found| found == line), "{line}:\n{metrics}");
    }
    let (code, shown) = page(pages, "/");
    assert!(code == 200 && shown.contains("<td>example.test.</td><td>1</td>"), "{shown}");
    assert_eq!(page(pages, "/nothing").0, 404);
    site.write("zones/example.test.zone", "nonsense");
    assert_eq!(site.ask(&["reload"]).code, 1);
    assert_eq!(page(pages, "/readyz").0, 200, "the old zone is served on");
    let metrics = page(pages, "/metrics").1;
    assert!(metrics.contains("fated_zones{state=\"kept\"} 1\n") && metrics.contains("fated_last_reload_success 0\n"));
}

#[test]
fn a_taken_address_of_the_pages_is_an_error_that_names_it() {
    let site = site();
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("an address").to_string();
    site.write("fated.toml", format!("[server]\nzones-dir = \"zones\"\n[admin]\nlisten = \"{address}\"\n"));
    let said = site.run(&["serve", "--config", "fated.toml", "--listen", "127.0.0.1:0", "--control", ""]);
    said.expect(3, &[&format!("`admin.listen` {address}"), "ss -lntp"]);
}

#[test]
fn a_drained_server_says_so_and_answers_and_stays_drained_over_a_restart() {
    let site = site();
    let (server, pages) = start(&site);
    let said = site.ask(&["drain"]);
    assert_eq!((said.code, said.out.as_str()), (0, "drained; `fated resume` ends that\n"), "{said:?}");
    assert!(said.err.contains("this server announces nothing") && !said.err.contains("restart"), "{}", said.err);
    assert_eq!(
        page(pages, "/readyz"),
        (503, "not ready: drained by the operator; `fated resume` ends that\n".to_owned())
    );
    assert_eq!(page(pages, "/healthz").0, 200);
    assert!(site.ask(&["status"]).out.contains("NOT READY: drained by the operator"));
    assert_eq!(site.serials(), [("example.test.".to_owned(), 1)]);
    assert!(site.ask(&["drain"]).out.contains("as it was before"));
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));

    let (_server, pages) = start(&site);
    assert_eq!(page(pages, "/readyz").0, 503);
    let said = site.ask(&["resume", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let reply: Value = serde_json::from_str(&said.out).expect("JSON");
    let result = &reply["result"];
    assert_eq!(
        (&result["drained"], &result["before"], &result["persists"]),
        (&false.into(), &true.into(), &true.into())
    );
    assert_eq!(page(pages, "/readyz").0, 200);
    assert!(!site.path("state/drained").exists());
    assert!(site.ask(&["resume"]).out.contains("not drained, as it was before"));
}

#[test]
fn without_a_state_folder_drain_says_that_a_restart_ends_it() {
    let site = Site::new();
    site.write("zones/example.test.zone", zone(1));
    let _server = site.serve(&["--zones", "zones"]);
    let said = site.ask(&["drain"]);
    said.expect(0, &["without `server.state-dir` this does not outlive a restart"]);
    let status: Value = serde_json::from_str(&site.ask(&["status", "--json"]).out).expect("JSON");
    assert_eq!((&status["result"]["drained"], &status["result"]["ready"]["is_ready"]), (&true.into(), &false.into()));
    assert_eq!(status["result"]["anycast"], Value::Null);
}

#[test]
fn a_state_folder_in_which_nothing_can_be_kept_is_logged() {
    let site = site();
    let (_server, pages) = start(&site);
    // A folder of that name can't be replaced by a file, whoever tries.
    fs::create_dir_all(site.path("state/drained/in-the-way")).expect("makes");
    let said = site.ask(&["drain"]);
    said.expect(0, &["this does not outlive a restart: ", "state/drained"]);
    assert_eq!(page(pages, "/readyz").0, 503, "it is drained all the same");
}

#[test]
fn a_dry_run_without_anycast_is_wrong_usage() {
    let site = site();
    site.run(&["serve", "--dry-run"]).expect(2, &["--dry-run: without [anycast] nothing would be announced"]);
}

/// What a service manager receives: sd_notify(3) over a socket that stands for its own.
#[test]
fn the_service_manager_learns_of_the_start_the_life_and_the_end() {
    let site = Site::new();
    site.write("zones/example.test.zone", zone(1));
    let receive = service_manager(&site);
    let control = site.control();
    let mut command =
        site.command(&["serve", "--listen", "127.0.0.1:0", "--control", control.to_str().expect("UTF-8")]);
    command.env("NOTIFY_SOCKET", site.path("notify.sock")).env("WATCHDOG_USEC", "100000").env_remove("WATCHDOG_PID");
    let server = Server::start(command);
    assert_eq!([receive(), receive(), receive(), receive()], [MORE_TIME, "READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    server.signal("-TERM");
    let rest: Vec<String> = std::iter::repeat_with(receive).skip_while(|line| line == "WATCHDOG=1").take(2).collect();
    assert_eq!(rest, ["STOPPING=1", MORE_TIME]);
    assert_eq!(server.wait().code(), Some(0));
}

/// What is asked for while something takes long.
const MORE_TIME: &str = "EXTEND_TIMEOUT_USEC=30000000";

/// A socket that stands for that of the service manager, `notify.sock`; gives one message after the other.
fn service_manager(site: &Site) -> impl Fn() -> String + use<> {
    let socket = UnixDatagram::bind(site.path("notify.sock")).expect("binds");
    socket.set_read_timeout(Some(PATIENCE)).expect("the option is there");
    move || {
        let mut octets = [0; 256];
        let length = socket.recv(&mut octets).expect("something is sent");
        String::from_utf8_lossy(&octets[..length]).trim().to_owned()
    }
}

/// What keeps the start here is a device that somebody else has: it takes as long as the test wants.
#[test]
fn a_start_that_takes_long_asks_for_time_again_and_again() {
    let test = "a_start_that_takes_long_asks_for_time_again_and_again";
    let site = Site::new();
    site.write("fated.toml", "[server]\nzones-dir = \"zones\"\n[anycast]\naddresses = [\"192.0.2.53\"]\n");
    site.write("zones/example.test.zone", zone(1));
    let mut command = site.command(&["serve", "--config", "fated.toml", "--control", "control.sock"]);
    command.env("NOTIFY_SOCKET", site.path("notify.sock"));
    let setup = "ip link set lo up\nip tuntap add dev fated0 mode tun";
    let Some(command) = alone(test, &command, setup) else { return };
    let receive = service_manager(&site);
    let server = Server::spawn(command);
    server.wait_for_line("`fated0` exists already");
    // One for the zones, one for the device, and two because it is not there yet.
    for _ in 0..4 {
        assert_eq!(receive(), MORE_TIME);
    }
    let pid = server.child.id().to_string();
    let freed = Command::new("nsenter").args(["-t", &pid, "-n", "ip", "link", "del", "fated0"]).status();
    assert!(freed.expect("nsenter runs").success());
    assert_eq!(std::iter::repeat_with(&receive).find(|line| line != MORE_TIME).as_deref(), Some("READY=1"));
    server.signal("-TERM");
    assert_eq!(receive(), "STOPPING=1");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn check_reads_the_anycast_section() {
    let site = site();
    let write = |lines: &str| {
        let text = format!("[server]\nzones-dir = \"zones\"\n[anycast]\naddresses = [\"192.0.2.53\"]\n{lines}\n");
        site.write("fated.toml", text);
    };
    write("");
    let said = site.run(&["check", "--config", "fated.toml"]);
    assert_eq!(said.code, 0, "{said:?}");
    // What this host has to be warned of depends on the host; a fault of the section does not.
    write("leese = \"1s\"");
    site.run(&["check", "--config", "fated.toml"]).expect(2, &["fated.toml:5:1", "did you mean `lease`?"]);
    write("interface = \"lo\"\nlease = \"off\"");
    site.run(&["check", "--config", "fated.toml"]).expect(2, &["fated.toml:6:9", "would outlive a frozen server"]);
    write("interface = \"fated-of-14-oc\"");
    site.run(&["check", "--config", "fated.toml"]).expect(2, &["must leave room for \"rx\": 13 octets at most"]);
}

/// Every place of both is taken by clients that say nothing; queries, and whoever comes on top, are answered all the
/// same.
#[test]
fn clients_that_take_all_places_of_control_socket_and_pages_do_no_harm() {
    let site = site();
    let (server, pages) = start(&site);
    let silent: Vec<UnixStream> = (0..64).map(|_| UnixStream::connect(site.control()).expect("connects")).collect();
    let browsers: Vec<TcpStream> = (0..32).map(|_| TcpStream::connect(pages).expect("connects")).collect();
    let surplus: Vec<UnixStream> = (0..200).map(|_| UnixStream::connect(site.control()).expect("connects")).collect();
    for _ in 0..20 {
        site.ask(&["status"]).expect(3, &["too many control clients; try again"]);
        site.ask(&["reload"]).expect(3, &["too many control clients; try again"]);
    }
    let (code, text) = page(pages, "/readyz");
    assert!(code == 503 && text.contains("too many HTTP clients"), "{code} {text}");
    let mut query = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend_from_slice(b"\x07example\x04test\0\0\x06\0\x01");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    for _ in 0..100 {
        socket.send_to(&query, server.address).expect("sends");
        let mut reply = [0; 512];
        socket.recv(&mut reply).expect("a reply");
        assert_eq!((reply[3] & 15, reply[7]), (0, 1));
    }
    // A signal needs no place.
    site.write("zones/example.test.zone", zone(2));
    server.signal("-HUP");
    server.wait_for_line("reloaded");
    drop((silent, browsers, surplus));
    let end = std::time::Instant::now() + PATIENCE;
    while site.ask(&["status"]).code != 0 {
        assert!(std::time::Instant::now() < end, "places come back");
    }
    assert_eq!(site.serials(), [("example.test.".to_owned(), 2)]);
    assert_eq!(page(pages, "/readyz").0, 200);
}
