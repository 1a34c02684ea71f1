//! unbound, given a trust anchor, validates what fated serves from freshly signed zones: NSEC, NSEC3 and opt-out.
//!
//! A second opinion on every proof of DNSSEC (RFC 4035 §5, RFC 5155 §8), by a validator that shares no line with us.

mod common;
#[path = "validate/wildcards.rs"]
mod wildcards;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::message::{AD, Edns, Message, Query, RD};
use common::name::name;
use common::server::{Kind, Process, Server, ZoneFile, free_port};
use common::sign::{Denial, sign};
use common::{ask, must_skip, program};
use fated::wire::Type;

/// What these tests need.
const PROGRAMS: [&str; 3] = ["unbound", "dnssec-signzone", "dnssec-keygen"];
/// How long unbound may take to start.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// RCODE SERVFAIL.
const SERVFAIL: u16 = 2;

/// The parent; the DS of the signed child takes the place of `CHILD-DS`.
const PARENT: &str = "\
$ORIGIN valid.test.
$TTL 3600
@ IN SOA ns hostmaster 1 7200 3600 1209600 300
  IN NS  ns
  IN MX  10 mail
ns IN A 127.0.0.1
mail IN A 192.0.2.25
mail IN AAAA 2001:db8::25
alias IN CNAME mail
chain IN CNAME alias
leaf.empty IN TXT \"below an empty name\"
*.wild IN TXT \"wild\"
here.wild IN A 192.0.2.61
*.walias IN CNAME mail
to-wild IN CNAME some.wild
to-none IN CNAME no.such.name
to-nodata IN CNAME here.wild
dn IN DNAME target
www.target IN A 192.0.2.70
insecure IN NS ns.insecure
ns.insecure IN A 127.0.0.1
child IN NS ns.child
ns.child IN A 127.0.0.1
deep.hollow IN NS ns.insecure
deep.sub.hollower IN NS ns.insecure
to-hollow IN CNAME x.hollow
*.h-wild IN CNAME x.sub.hollower
$GENERATE 1-120 big IN A 198.51.100.$
CHILD-DS";

/// The signed child.
const CHILD: &str = "\
$ORIGIN child.valid.test.
$TTL 1800
@ IN SOA ns hostmaster 1 7200 3600 1209600 300
  IN NS ns
ns IN A 127.0.0.1
www IN A 192.0.2.120
*.w IN TXT \"wild in the child\"
";

/// The child that is not signed.
const INSECURE: &str = "\
$ORIGIN insecure.valid.test.
$TTL 1800
@ IN SOA ns hostmaster 1 7200 3600 1209600 300
  IN NS ns
ns IN A 127.0.0.1
www IN A 192.0.2.130
";

/// A zone of somebody else, which aliases lead to.
const OUTSIDE: &str = "\
$ORIGIN outside.test.
$TTL 1800
@ IN SOA ns hostmaster 1 7200 3600 1209600 300
  IN NS ns
ns IN A 127.0.0.1
www IN A 192.0.2.140
";

/// What the validator must find: name, type, RCODE, whether it is authentic, how many answers besides signatures.
type Row = (&'static str, u16, u16, bool, usize);

/// The same for all ways to deny, but for what opt-out leaves open.
const ROWS: [Row; 27] = [
    ("valid.test.", 6, 0, true, 1),
    ("valid.test.", 48, 0, true, 2),
    ("mail.valid.test.", 1, 0, true, 1),
    ("MaIl.VaLiD.tEsT.", 28, 0, true, 1),
    ("valid.test.", 15, 0, true, 1),
    ("chain.valid.test.", 1, 0, true, 3),
    ("big.valid.test.", 1, 0, true, 120),
    ("www.dn.valid.test.", 1, 0, true, 3),
    ("mail.valid.test.", 16, 0, true, 0),
    ("empty.valid.test.", 1, 0, true, 0),
    ("valid.test.", 65_400, 0, true, 0),
    ("no.such.name.valid.test.", 1, 3, true, 0),
    ("below.mail.valid.test.", 1, 3, true, 0),
    ("a.no.empty.valid.test.", 1, 3, true, 0),
    ("some.wild.valid.test.", 16, 0, true, 1),
    ("a.b.c.wild.valid.test.", 16, 0, true, 1),
    ("some.wild.valid.test.", 1, 0, true, 0),
    ("below.here.wild.valid.test.", 16, 3, true, 0),
    ("x.walias.valid.test.", 1, 0, true, 2),
    ("to-wild.valid.test.", 16, 0, true, 2),
    ("to-none.valid.test.", 1, 3, true, 1),
    ("to-nodata.valid.test.", 28, 0, true, 1),
    ("child.valid.test.", 43, 0, true, 1),
    ("www.child.valid.test.", 1, 0, true, 1),
    ("no.child.valid.test.", 1, 3, true, 0),
    ("x.w.child.valid.test.", 16, 0, true, 1),
    ("x.w.child.valid.test.", 1, 0, true, 0),
];

/// Names at and below empty ones above insecure delegations alone, and aliases that lead there: name, type, RCODE,
/// answers.
const HOLLOW: [(&str, u16, u16, usize); 12] = [
    ("hollow.valid.test.", 1, 0, 0),
    ("hollow.valid.test.", 43, 0, 0),
    ("hollower.valid.test.", 43, 0, 0),
    ("sub.hollower.valid.test.", 1, 0, 0),
    ("deep.hollow.valid.test.", 43, 0, 0),
    ("deep.sub.hollower.valid.test.", 43, 0, 0),
    ("x.hollow.valid.test.", 1, 3, 0),
    ("x.y.hollow.valid.test.", 43, 3, 0),
    ("x.hollower.valid.test.", 1, 3, 0),
    ("x.sub.hollower.valid.test.", 43, 3, 0),
    ("to-hollow.valid.test.", 1, 3, 1),
    ("x.h-wild.valid.test.", 1, 3, 1),
];

#[test]
fn unbound_validates_zones_with_nsec() {
    validated(Denial::Nsec);
}

#[test]
fn unbound_validates_zones_with_nsec3() {
    validated(Denial::Nsec3);
}

#[test]
fn unbound_validates_zones_with_opt_out() {
    validated(Denial::OptOut);
}

#[test]
fn unbound_refuses_what_was_tampered_with() {
    if must_skip("tampered", &PROGRAMS) {
        return;
    }
    for denial in [Denial::Nsec, Denial::Nsec3] {
        let site = Site::start(denial, |text| text.replace("192.0.2.25", "192.0.2.26").replace("\"wild\"", "\"mild\""));
        for (qname, qtype) in [("mail.valid.test.", 1), ("alias.valid.test.", 1), ("some.wild.valid.test.", 16)] {
            let reply = site.ask(qname, qtype);
            assert_eq!(reply.rcode(), SERVFAIL, "{denial:?}: {qname} {}: {reply:?}", Type(qtype));
        }
        assert!(site.ask("mail.valid.test.", 28).has(AD), "what was left alone stays authentic");
    }
}

/// Serves freshly signed zones and has unbound look at every row.
fn validated(denial: Denial) {
    if must_skip("validation", &PROGRAMS) {
        return;
    }
    let site = Site::start(denial, str::to_owned);
    let mut faults = Vec::new();
    for (qname, qtype, rcode, is_authentic, count) in ROWS {
        // An opt-out span proves no name away (RFC 5155 §9.2): such NXDOMAINs and wildcards are not authentic.
        let is_open = denial == Denial::OptOut && rests_on_opt_out(qname, rcode);
        site.check(&mut faults, (qname, qtype, rcode, is_authentic && !is_open, count));
    }
    // A referral without a DS is proved insecure: an answer, not authentic, and no failure.
    site.check(&mut faults, ("www.insecure.valid.test.", 1, 0, false, 1));
    site.check(&mut faults, ("no.insecure.valid.test.", 1, 3, false, 0));
    // Under opt-out the span that covers the child proves nothing for sure.
    let is_closed = denial != Denial::OptOut;
    site.check(&mut faults, ("insecure.valid.test.", 43, 0, is_closed, 0));
    // Nor for names that are there only because of an insecure delegation below them: they have no NSEC3 record then.
    for (qname, qtype, rcode, count) in HOLLOW {
        site.check(&mut faults, (qname, qtype, rcode, is_closed, count));
    }
    assert!(faults.is_empty(), "{denial:?}: {} faults\n{}", faults.len(), faults.join("\n"));
}

/// Whether the answer rests on an opt-out NSEC3 record that covers a name: NXDOMAIN, and all that a wildcard gives.
fn rests_on_opt_out(qname: &str, rcode: u16) -> bool {
    let expanded = ["some.wild.", "a.b.c.wild.", "x.walias.", "to-wild.", "x.w.child."];
    rcode == 3 || expanded.iter().any(|name| qname.strip_prefix(name) == Some("valid.test."))
}

/// fated with three zones, unbound in front of it.
struct Site {
    /// fated, or a peer in its stead.
    server: Server,
    /// Where unbound answers.
    resolver: SocketAddr,
    /// unbound; stopped when this value is dropped.
    _unbound: Process,
    /// The folder of both.
    _folder: tempfile::TempDir,
}

impl Site {
    /// Signs, has `tamper` change the signed parent, serves and validates.
    fn start(denial: Denial, tamper: impl Fn(&str) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let child = sign(folder.path(), "child.valid.test.", CHILD, denial);
        let parent = format!("{}\n{}", PARENT.replace("CHILD-DS", &child.ds), wildcards::records());
        let parent = common::zonetext::written_out(&parent);
        let parent = sign(folder.path(), "valid.test.", &parent, denial);
        let mut zones = Vec::new();
        for (origin, text) in [
            ("valid.test.", tamper(&parent.text)),
            ("child.valid.test.", child.text),
            ("insecure.valid.test.", INSECURE.to_owned()),
            ("outside.test.", OUTSIDE.to_owned()),
        ] {
            let file = folder.path().join(format!("{origin}zone"));
            fs::write(&file, text).expect("the folder can be written to");
            zones.push(ZoneFile::new(origin, file));
        }
        let server = Server::start(Kind::under_test(), &zones);
        fs::write(folder.path().join("anchors"), &parent.anchors).expect("the folder can be written to");
        let (resolver, unbound) = start_unbound(folder.path(), server.address);
        Self { server, resolver, _unbound: unbound, _folder: folder }
    }

    /// Asks unbound.
    fn ask(&self, qname: &str, qtype: u16) -> Message {
        let mut query = Query::new(&name(qname), qtype).with_edns(Edns::new(1232, true));
        query.flags = RD;
        ask::ask_tcp(self.resolver, &query)
    }

    /// Checks one row.
    fn check(&self, faults: &mut Vec<String>, (qname, qtype, rcode, is_authentic, count): Row) {
        let reply = self.ask(qname, qtype);
        let found = reply.sections[0].iter().filter(|record| record.rtype != 46).count();
        if (reply.rcode(), reply.has(AD), found) != (rcode, is_authentic, count) {
            let expected = format!("rcode {rcode}, AD {is_authentic}, {count} answers");
            faults.push(format!("{qname} {}: expected {expected}; got {reply:?}", Type(qtype)));
        }
    }
}

/// Starts unbound with the anchors in `folder` and fated as the only source of `valid.test`.
fn start_unbound(folder: &Path, server: SocketAddr) -> (SocketAddr, Process) {
    let resolver = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let (port, at) = (resolver.port(), folder.display());
    let stub = format!("{}@{}", server.ip(), server.port());
    let config = format!(
        "server:\n  interface: 127.0.0.1@{port}\n  port: {port}\n  username: \"\"\n  chroot: \"\"\n  directory: \
         \"{at}\"\n  pidfile: \"{at}/unbound.pid\"\n  use-syslog: no\n  logfile: \"\"\n  verbosity: 1\n  \
         val-log-level: 2\n  do-not-query-localhost: no\n  do-ip6: no\n  num-threads: 1\n  module-config: \"validator \
         iterator\"\n  trust-anchor-file: \"{at}/anchors\"\n  access-control: 127.0.0.0/8 allow\n  local-zone: \
         \"test.\" nodefault\n  qname-minimisation: no\n  aggressive-nsec: no\n  target-fetch-policy: \"0 0 0 0 0\"\n  \
         edns-buffer-size: 1232\n  rrset-roundrobin: no\n\
         remote-control:\n  control-enable: no\n\
         stub-zone:\n  name: \"valid.test.\"\n  stub-addr: {stub}\n\
         stub-zone:\n  name: \"child.valid.test.\"\n  stub-addr: {stub}\n\
         stub-zone:\n  name: \"insecure.valid.test.\"\n  stub-addr: {stub}\n\
         stub-zone:\n  name: \"outside.test.\"\n  stub-addr: {stub}\n"
    );
    let file = folder.join("unbound.conf");
    fs::write(&file, config).expect("the folder can be written to");
    let log = fs::File::create(folder.join("unbound.log")).expect("the folder can be written to");
    let mut command = Command::new(program("unbound").expect("looked for before"));
    command.args(["-d", "-p", "-c"]).arg(&file).stdout(Stdio::null()).stderr(log);
    let process = Process::start(&mut command);
    let mut query = Query::new(&name("valid.test."), 6);
    query.flags = RD;
    let is_up = ask::ask_until(resolver, &query, START_PATIENCE, |_| true);
    let log = fs::read_to_string(folder.join("unbound.log")).unwrap_or_default();
    assert!(is_up, "unbound does not answer; it said:\n{log}");
    (resolver, process)
}
