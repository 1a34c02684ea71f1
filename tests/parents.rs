//! fated tells the parent of a zone that its CDS, CDNSKEY and CSYNC records have changed (RFC 9859): the parent's DSYNC
//! records are served by NSD, Knot DNS, BIND and fated itself, looked up by way of unbound and without it, and what is
//! told comes to a socket of the test.

#[path = "common/command.rs"]
mod command;
mod common;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use command::{PATIENCE, Server as Node, Site};
use common::ask::ask_until;
use common::message::{Message, Query};
use common::name::{name, text};
use common::server::{Kind, Process, Server, ZoneFile, free_port};
use common::{must_skip, program};

/// Recursion desired.
const RD: u16 = 0x0100;
/// TYPE SOA.
const SOA: u16 = 6;
/// TYPE CDS.
const CDS: u16 = 59;
/// TYPE CSYNC.
const CSYNC: u16 = 62;
/// How long it is made sure that nothing comes.
const SILENCE: Duration = Duration::from_millis(800);

/// Records that a child publishes for its parent.
const FIRST_CDS: &str = "@ CDS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118";
const OTHER_CDNSKEY: &str = "@ CDNSKEY 257 3 13 AQID";
const FIRST_CSYNC: &str = "@ CSYNC 1 3 A NS AAAA";

/// A zone of that name with these records besides its SOA and NS.
fn zone(origin: &str, serial: u32, records: &str) -> String {
    format!(
        "$ORIGIN {origin}\n$TTL 60\n@ SOA ns.{origin} admin.{origin} {serial} 3600 600 86400 60\n@ NS ns.{origin}\n\
         ns A 127.0.0.1\n{records}\n"
    )
}

/// Where the parent wants to be told.
struct Receiver(UdpSocket);

impl Receiver {
    fn new() -> Self {
        Self(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"))
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("a bound socket has an address").port()
    }

    /// The next notification, and who sent it; `None` where none comes before `bound`.
    fn next(&self, bound: Duration) -> Option<(Message, Vec<u8>, SocketAddr)> {
        self.0.set_read_timeout(Some(bound)).expect("a timeout");
        let mut buffer = [0; 4096];
        let (length, from) = self.0.recv_from(&mut buffer).ok()?;
        let message = Message::parse(&buffer[..length]).expect("a message");
        Some((message, buffer[..length].to_vec(), from))
    }

    /// Takes a notification that must be about these records, and replies with that RCODE.
    fn takes(&self, origin: &str, rtype: u16, rcode: u8) {
        let (message, octets, from) = self.next(PATIENCE).expect("a notification comes");
        let question = &message.questions[0];
        assert_eq!((text(&question.qname).as_str(), question.qtype), (origin, rtype));
        assert_eq!((message.opcode(), message.has(0x0400), message.has(0x8000)), (4, true, false), "{message:?}");
        assert!(message.sections.iter().all(Vec::is_empty), "{message:?}");
        let mut reply = octets;
        reply[2] |= 0x80;
        reply[3] = rcode;
        self.0.send_to(&reply, from).expect("loopback takes it");
    }

    /// Makes sure that nothing comes.
    fn is_left_alone(&self) {
        assert!(self.next(SILENCE).is_none(), "it is told again");
    }
}

/// fated with one zone whose parent is to be told.
struct Child {
    site: Site,
    _server: Node,
    origin: String,
}

impl Child {
    fn start(origin: &str, records: &str, resolver: SocketAddr) -> Self {
        let site = Site::new();
        site.write("child.zone", zone(origin, 1, records));
        site.write(
            "fated.toml",
            format!(
                "[server]\nresolver = [\"{resolver}\"]\n[[template]]\nname = \"default\"\nnotify-dsync = true\n\
                 notify-dsync-delay = \"0s\"\n[[zone]]\nname = \"{origin}\"\nfile = \"child.zone\"\n"
            ),
        );
        let server = site.serve(&["--config", "fated.toml"]);
        Self { site, _server: server, origin: origin.to_owned() }
    }

    /// Puts another version in place.
    fn becomes(&self, serial: u32, records: &str) {
        self.site.write("child.zone", zone(&self.origin, serial, records));
        self.site.ask(&["reload", &self.origin]).expect(0, &[]);
    }

    /// Waits until `fated zone status` says that.
    fn says(&self, part: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let said = self.site.ask(&["zone", "status", &self.origin]);
            if said.out.contains(part) {
                return;
            }
            assert!(Instant::now() < end, "{part:?} is missing in {said:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A parent that has these records, as that program serves it.
fn parent(kind: Kind, folder: &Path, records: &str) -> Server {
    let file = folder.join(format!("{}.zone", kind.name()));
    fs::write(&file, zone("parent.example.", 1, records)).expect("the folder can be written to");
    Server::start(kind, &[ZoneFile::new("parent.example.", file)])
}

/// Starts unbound, which asks one server for all below `parent.example`.
fn unbound(folder: &Path, server: SocketAddr) -> (SocketAddr, Process) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let (at, port) = (folder.display(), address.port());
    let text = format!(
        "server:\n  interface: 127.0.0.1@{port}\n  port: {port}\n  do-daemonize: no\n  chroot: \"\"\n  \
         username: \"\"\n  directory: \"{at}\"\n  pidfile: \"{at}/unbound.pid\"\n  use-syslog: no\n  logfile: \"\"\n  \
         module-config: \"iterator\"\n  do-not-query-localhost: no\n  num-threads: 1\nremote-control:\n  \
         control-enable: no\nstub-zone:\n  name: parent.example\n  stub-addr: 127.0.0.1@{}\n",
        server.port()
    );
    let file = folder.join("unbound.conf");
    fs::write(&file, text).expect("the folder can be written to");
    let log = fs::File::create(folder.join("unbound.log")).expect("the folder can be written to");
    let mut command = Command::new(program("unbound").expect("the test has looked for it"));
    let process = Process::start(command.arg("-c").arg(&file).stdout(log.try_clone().expect("a file")).stderr(log));
    let mut query = Query::new(&name("parent.example."), SOA);
    query.flags = RD;
    assert!(ask_until(address, &query, PATIENCE, |reply| reply.rcode() == 0), "unbound does not answer");
    (address, process)
}

#[test]
fn every_change_for_the_parent_comes_to_the_target_of_its_dsync_record() {
    if must_skip("parents", &["nsd", "knotd", "named", "unbound"]) {
        return;
    }
    for kind in [Kind::Nsd, Kind::Knot, Kind::Named, Kind::Fated] {
        let (folder, receiver) = (tempfile::tempdir().expect("a folder"), Receiver::new());
        let (port, [high, low]) = (receiver.port(), receiver.port().to_be_bytes());
        // Peers of before RFC 9859 know the type by its number alone.
        let target = "0363647306706172656E74076578616D706C6500";
        let dsync = match kind {
            Kind::Fated => {
                format!("*._dsync DSYNC CDS NOTIFY {port} cds\n*._dsync DSYNC CSYNC 1 {port} cds.parent.example.")
            }
            _ => [CDS, CSYNC]
                .map(|rtype| format!("*._dsync TYPE66 \\# 25 {rtype:04X}01{high:02X}{low:02X}{target}\n"))
                .concat(),
        };
        let parent = parent(kind, folder.path(), &format!("{dsync}\ncds A 127.0.0.1\n"));
        let (resolver, _unbound) = unbound(folder.path(), parent.address);
        let child = Child::start("child.parent.example.", FIRST_CDS, resolver);
        receiver.takes("child.parent.example.", CDS, 0);
        child.says(&format!("parent   CDS: cds.parent.example:{port} (127.0.0.1:{port}) was told"));
        // Other records of the zone are not the parent's.
        child.becomes(2, &format!("{FIRST_CDS}\nwww A 192.0.2.1"));
        receiver.is_left_alone();
        child.becomes(3, &format!("{FIRST_CDS}\n{OTHER_CDNSKEY}"));
        receiver.takes("child.parent.example.", CDS, 0);
        child.becomes(4, &format!("{FIRST_CDS}\n{OTHER_CDNSKEY}\n{FIRST_CSYNC}"));
        receiver.takes("child.parent.example.", CSYNC, 0);
        child.says("parent   CSYNC: cds.parent.example");
        // What is taken away says nothing to the parent, and nothing is known of it any more.
        child.becomes(5, FIRST_CSYNC);
        receiver.is_left_alone();
        let said = child.site.ask(&["zone", "status", "child.parent.example."]);
        assert!(said.code == 0 && !said.out.contains("CDS:") && said.out.contains("CSYNC:"), "{said:?}");
        let said = child.site.ask(&["zone", "notify", "child.parent.example."]);
        assert!(said.code == 0 && said.out.contains("the parent, of CSYNC"), "{said:?}");
        receiver.takes("child.parent.example.", CSYNC, 0);
    }
}

#[test]
fn a_parent_further_up_is_found_without_wildcards_too() {
    let (folder, receiver) = (tempfile::tempdir().expect("a folder"), Receiver::new());
    let port = receiver.port();
    let records = format!(
        "a.deep._dsync DSYNC CDS NOTIFY {port} cds\n_dsync DSYNC CDS NOTIFY {port} alias\nalias CNAME cds\n\
         cds A 127.0.0.1\n"
    );
    // fated answers for what it has, as a resolver would that has nothing else.
    let parent = parent(Kind::Fated, folder.path(), &records);
    for origin in ["a.deep.parent.example.", "b.deep.parent.example.", "c.parent.example."] {
        let child = Child::start(origin, FIRST_CDS, parent.address);
        receiver.takes(origin, CDS, 0);
        let host = if origin.starts_with('a') { "cds" } else { "alias" };
        child.says(&format!("parent   CDS: {host}.parent.example:{port}"));
    }
}

#[test]
fn who_can_not_be_told_is_said_with_the_reason() {
    let (folder, receiver) = (tempfile::tempdir().expect("a folder"), Receiver::new());
    let (port, closed) = (receiver.port(), free_port());
    let records = format!(
        "refuses._dsync DSYNC CDS NOTIFY {port} two\nnowhere._dsync DSYNC CDS NOTIFY {port} none\n\
         other._dsync DSYNC CSYNC NOTIFY {port} two\ntwo A 127.0.0.1\ntwo AAAA ::1\n"
    );
    let parent = parent(Kind::Fated, folder.path(), &records);
    let child = |label: &str| Child::start(&format!("{label}.parent.example."), FIRST_CDS, parent.address);
    let refused = child("refuses");
    receiver.takes("refuses.parent.example.", CDS, 5);
    child("nowhere").says("CDS: NOT TOLD: its parent wants notifications at none.parent.example");
    child("other").says("CDS: has no DSYNC that asks for it");
    let silent = Child::start("silent.parent.example.", FIRST_CDS, (Ipv4Addr::LOCALHOST, closed).into());
    silent.says(&format!("silent._dsync.parent.example. DSYNC can't be looked up: 127.0.0.1:{closed}: "));
    // Both addresses were tried, and nobody listens at the second.
    refused.says(&format!("127.0.0.1:{port}: the reply is REFUSED; [::1]:{port}: there is no reply"));
    let wrong = Child::start("x.elsewhere.test.", FIRST_CDS, parent.address);
    wrong.says("127.0.0.1:");
    wrong.says("the reply is REFUSED");
    receiver.is_left_alone();
}
