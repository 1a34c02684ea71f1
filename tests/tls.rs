//! DNS over TLS and zone transfer over TLS between fated, BIND, NSD and kdig as real processes on loopback: who is
//! recognized, who is not and what is said then, and what hostile clients get.

#[path = "tls/authority.rs"]
mod authority;
#[path = "common/command.rs"]
mod command;
mod common;
#[path = "tls/hostile.rs"]
mod hostile;
#[path = "tls/node.rs"]
mod node;
#[path = "tls/peer.rs"]
mod peer;

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use authority::Authority;
use command::zone;
use common::message::{Edns, Message, Query};
use common::must_skip;
use node::{AXFR, Client, Node, SOA};
use peer::{Kind, Peer, Role};
use rustls::version::{TLS12, TLS13};

/// A zone from a file, with what is set about it.
fn primary(settings: &str) -> String {
    format!("[[zone]]\nname = \"example.test\"\nfile = \"example.test.zone\"\n{settings}\n")
}

/// The file of that zone.
fn zone_file(serial: u32) -> (&'static str, String) {
    ("example.test.zone", zone(serial))
}

#[test]
fn kdig_is_answered_over_tls_and_recognizes_the_server() {
    if must_skip("kdig over TLS", &["kdig"]) {
        return;
    }
    let authority = Authority::new();
    let identity = authority.issue("dot.test");
    let node = Node::start_with(Some(&identity), &primary(""), &[zone_file(7)]);
    assert_eq!(node.site.status()["listen"][1], format!("{} (TLS)", node.tls));
    let (ca, pin) = (format!("+tls-ca={}", authority.file().display()), format!("+tls-pin={}", identity.pin));
    let ask = ["example.test", "SOA", "+short"];
    for recognized in [&[ca.as_str(), "+tls-hostname=dot.test"][..], &[pin.as_str()], &[]] {
        let said = node.kdig(&[recognized, &ask].concat());
        assert!(said.contains("hostmaster.example.test. 7 "), "{recognized:?}: {said}");
    }
    let other = format!("+tls-pin={}", authority.issue("dot.test").pin);
    for stranger in [&[ca.as_str(), "+tls-hostname=other.test"][..], &[other.as_str()]] {
        let said = node.kdig(&[stranger, &ask].concat());
        assert!(!said.contains("hostmaster"), "{stranger:?}: {said}");
    }
}

#[test]
fn a_zone_comes_over_tls_from_a_primary_that_is_recognized_and_gives_it_to_clients_that_are() {
    let (authority, foreign) = (Authority::new(), Authority::new());
    let [server, client] = ["primary.test", "secondary.test"].map(|name| authority.issue(name));
    let rules = format!(
        "allow-transfer = [{{ prefix = \"127.0.0.1\", tls = \"secondary\" }}]\n[[tls]]\nname = \"secondary\"\n\
         pins = [\"{}\"]\n",
        client.pin
    );
    let primary = Node::start_with(Some(&server), &primary(&rules), &[zone_file(7)]);
    let secondary = |recognized: &str, shown: &str| {
        let text = format!(
            "[[tls]]\nname = \"primary\"\n{recognized}\n{shown}\n[[zone]]\nname = \"example.test\"\n\
             primaries = [{{ address = \"{}\", tls = \"primary\" }}]\n",
            primary.tls
        );
        Node::start(None, &text)
    };
    let ca = format!("ca = {:?}\n", authority.file());
    let (named, pin) = (format!("{ca}hostname = \"primary.test\""), format!("pins = [\"{}\"]", server.pin));
    for recognized in [&named, &pin, &format!("{named}\n{pin}")] {
        secondary(recognized, &client.as_keys()).wait_for("example.test", 7);
    }
    let stranger = foreign.issue("secondary.test");
    for (recognized, shown, reason) in [
        (format!("pins = [\"{}\"]", client.pin), &client, format!("its certificate has the pin {}", server.pin)),
        (format!("{ca}hostname = \"other.test\""), &client, "not for the `hostname` other.test".to_owned()),
        (
            format!("ca = {:?}\nhostname = \"primary.test\"", foreign.file()),
            &client,
            "none there has signed it".to_owned(),
        ),
        (pin.clone(), &stranger, "the primary answers REFUSED".to_owned()),
    ] {
        let node = secondary(&recognized, &shown.as_keys());
        let line = node.wait_for_log("zone example.test.: 127.0.0.1:");
        assert!(line.contains(&reason), "{reason:?} is missing in: {line}");
    }
}

#[test]
fn a_primary_whose_certificate_has_expired_is_taken_for_its_key_alone() {
    let authority = Authority::new();
    let old = authority.issue_until("primary.test", 2001);
    let rules = "allow-transfer = [{ prefix = \"127.0.0.1\" }]";
    let primary = Node::start_with(Some(&old), &primary(rules), &[zone_file(7)]);
    let secondary = |recognized: &str, address: SocketAddr| {
        let text = format!(
            "[[tls]]\nname = \"primary\"\n{recognized}\n[[zone]]\nname = \"example.test\"\n\
             primaries = [{{ address = \"{address}\", tls = \"primary\" }}]\n"
        );
        Node::start(None, &text)
    };
    secondary(&format!("pins = [\"{}\"]", old.pin), primary.tls).wait_for("example.test", 7);
    let named = format!("ca = {:?}\nhostname = \"primary.test\"", authority.file());
    secondary(&named, primary.tls).wait_for_log("does not hold under `ca`: it has expired (tls \"primary\")");
    // Where no TLS is spoken, nothing is fetched.
    secondary(&named, primary.server.address).wait_for_log("no TLS: ");
}

#[test]
fn transfers_need_tls_1_3_where_a_rule_asks_for_tls_and_queries_need_none() {
    let authority = Authority::new();
    let rules = "allow-transfer = [{ prefix = \"127.0.0.1\", tls = \"any\" }]";
    let node = Node::start_with(Some(&authority.issue("dot.test")), &primary(rules), &[zone_file(7)]);
    let mut old = node.connect(authority.client(None, &[&TLS12]));
    let mut new = node.connect(authority.client(None, &[&TLS13]));
    for client in [&mut old, &mut new] {
        assert_eq!(client.0.conn.alpn_protocol(), Some(&b"dot"[..]));
        assert_eq!(client.ask("example.test.", SOA).sections[0].len(), 1);
    }
    assert_eq!(old.count_whole("example.test."), Err(5), "RFC 9103 section 7.2");
    assert_eq!(new.count_whole("example.test."), Ok(4));
    let plain = common::ask::ask_tcp(node.server.address, &Query::new(&common::name::name("example.test."), AXFR));
    assert_eq!(plain.rcode(), 5);
}

#[test]
fn replies_over_tls_are_padded_where_queries_are_and_nowhere_else() {
    /// The code of the option.
    const PADDING: u16 = 12;
    let authority = Authority::new();
    let node = Node::start_with(Some(&authority.issue("dot.test")), &primary(""), &[zone_file(7)]);
    let query = |name: &str, edns: Edns| Query::new(&common::name::name(name), SOA).with_edns(edns).encode(3);
    let padded = |name: &str| query(name, Edns::new(1232, true).with_option(PADDING, &[0; 40]));
    let mut client = node.connect(authority.client(None, &[&TLS13]));
    // Answered, refused, and signed for nobody: each is a multiple of 468 (RFC 8467 section 4.1).
    for name in ["example.test.", "absent.example.test.", "elsewhere."] {
        let octets = client.exchange(&padded(name));
        assert_eq!(octets.len() % 468, 0, "{name}: {}", octets.len());
        let reply = Message::parse(&octets).expect("a message");
        assert!(reply.option(PADDING).expect("it is there").iter().all(|octet| *octet == 0));
    }
    let bare = Message::parse(&client.exchange(&query("example.test.", Edns::new(1232, true)))).expect("a message");
    assert_eq!(bare.option(PADDING), None);
    let query = Query::new(&common::name::name("example.test."), SOA)
        .with_edns(Edns::new(1232, true).with_option(PADDING, &[0; 40]));
    for reply in [common::ask::ask_udp(node.server.address, &query), common::ask::ask_tcp(node.server.address, &query)]
    {
        assert_eq!((reply.rcode(), reply.option(PADDING)), (0, None));
    }
}

#[test]
fn clients_are_known_by_their_certificates_for_each_request() {
    let (authority, foreign) = (Authority::new(), Authority::new());
    let known = authority.issue("secondary.test");
    let rules = format!(
        "allow-transfer = [{{ prefix = \"127.0.0.1\", tls = \"secondary\" }}]\n[[tls]]\nname = \"secondary\"\n\
         ca = {:?}\nhostname = \"secondary.test\"\npins = [\"{}\"]\n",
        authority.file(),
        known.pin
    );
    let node = Node::start_with(Some(&authority.issue("dot.test")), &primary(&rules), &[zone_file(7)]);
    let connect = |shown: Option<&authority::Issued>| node.connect(authority.client(shown, &[&TLS13]));
    // Right in all; the name of it alone; another authority; no certificate.
    let mut right = connect(Some(&known));
    assert_eq!(right.count_whole("example.test."), Ok(4));
    for wrong in [authority.issue("secondary.test"), foreign.issue("secondary.test")] {
        assert_eq!(connect(Some(&wrong)).count_whole("example.test."), Err(5), "{wrong:?}");
    }
    assert_eq!(connect(None).count_whole("example.test."), Err(5));
    assert_eq!(connect(None).ask("example.test.", SOA).rcode(), 0, "queries are for everybody");
    // Rules without the pin: the authority and the name are enough, an old certificate or another name is not.
    node.edit(&format!("pins = [\"{}\"]\n", known.pin), "");
    node.site.ask(&["reload"]).expect(0, &[]);
    assert_eq!(connect(Some(&authority.issue("secondary.test"))).count_whole("example.test."), Ok(4));
    for wrong in [authority.issue_until("secondary.test", 2001), authority.issue("other.test")] {
        assert_eq!(connect(Some(&wrong)).count_whole("example.test."), Err(5), "{wrong:?}");
    }
    // Who was connected when the rules changed is held to them.
    assert_eq!(right.count_whole("example.test."), Ok(4));
    node.edit("hostname = \"secondary.test\"", "hostname = \"another.test\"");
    node.site.ask(&["reload"]).expect(0, &[]);
    assert_eq!(right.count_whole("example.test."), Err(5));
}

#[test]
fn a_reload_shows_another_certificate_and_a_broken_one_keeps_the_old() {
    let authority = Authority::new();
    let (identity, next) = (authority.issue("dot.test"), authority.issue("dot.test"));
    let node = Node::start_with(Some(&identity), &primary(""), &[zone_file(7)]);
    let connect = || node.connect(authority.client(None, &[&TLS13]));
    let shown = |client: &Client| client.0.conn.peer_certificates().expect("a certificate")[0].clone();
    let mut old = connect();
    let first = shown(&old);
    let broken = fs::read_to_string(&next.key).expect("it is there");
    fs::write(&identity.key, &broken).expect("writes");
    node.site.ask(&["reload"]).expect(3, &["nothing was reloaded", "the key is of another certificate"]);
    node.wait_for_log("nothing was reloaded");
    assert_eq!(shown(&connect()), first, "a key of another certificate");
    identity.replace_by(&next);
    node.site.ask(&["reload"]).expect(0, &[]);
    assert_ne!(shown(&connect()), first);
    assert_eq!(old.ask("example.test.", SOA).rcode(), 0, "who was there goes on");
}

#[test]
fn the_end_of_our_certificate_is_shown_and_warned_of() {
    let authority = Authority::new();
    let (ended, next) = (authority.issue_until("dot.test", 2020), authority.issue("dot.test"));
    let node = Node::start_with(Some(&ended), &primary(""), &[zone_file(7)]);
    node.wait_for_log("the certificate of `server.tls.certificate` has ended");
    let status = || node.site.ask(&["status"]).out;
    assert!(status().contains("TLS: the certificate HAS ENDED\n"), "{}", status());
    ended.replace_by(&next);
    node.site.ask(&["reload"]).expect(0, &[]);
    assert!(status().contains("TLS: the certificate ends in "), "{}", status());
}

#[test]
fn a_great_zone_goes_over_tls_while_others_ask() {
    let authority = Authority::new();
    let mut text = zone(7);
    for number in 0..100_000 {
        let _ = writeln!(text, "name{number} 60 IN A 192.0.2.1");
    }
    let rules = "allow-transfer = [{ prefix = \"127.0.0.1\", tls = \"any\" }]";
    let files = [("example.test.zone", text)];
    let node = Node::start_with(Some(&authority.issue("dot.test")), &primary(rules), &files);
    let mut great = node.connect(authority.client(None, &[&TLS13]));
    let other = node.connect(authority.client(None, &[&TLS13]));
    let asking = std::thread::spawn(move || {
        let (mut other, mut slowest) = (other, Duration::ZERO);
        for _ in 0..200 {
            let start = Instant::now();
            assert_eq!(other.ask("example.test.", SOA).rcode(), 0);
            slowest = slowest.max(start.elapsed());
        }
        slowest
    });
    assert_eq!(great.count_whole("example.test."), Ok(100_004));
    let slowest = asking.join().expect("all are answered");
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
}

#[test]
fn nsd_and_bind_have_a_zone_over_tls_whole_and_its_changes() {
    if must_skip("zones to NSD and BIND over TLS", &["nsd", "named"]) {
        return;
    }
    for kind in [Kind::Nsd, Kind::Named] {
        let authority = Authority::new();
        let known = authority.issue("secondary.test");
        let rules = format!(
            "allow-transfer = [{{ prefix = \"127.0.0.1\", tls = \"peer\" }}]\nnotify = []\n\
             [[tls]]\nname = \"peer\"\npins = [\"{}\"]\n",
            known.pin
        );
        let identity = authority.issue("dot.test");
        let node = Node::start_with(Some(&identity), &primary(&rules), &[zone_file(7)]);
        let peer = Peer::start(kind, Role::Secondary(node.tls), &authority, &known);
        let ours =
            || node.connect(authority.client(Some(&known), &[&TLS13])).whole("example.test.").expect("it is known");
        node.edit("notify = []", &format!("notify = [{{ address = \"{}\" }}]", peer.address));
        node.site.ask(&["reload"]).expect(0, &[]);
        // NSD 4.6.1 shows no certificate on its first connection, and would ask again after 20 seconds.
        if kind == Kind::Nsd {
            peer.wait_for_log("REFUSED");
            node.site.ask(&["zone", "notify", "example.test"]).expect(0, &[]);
        }
        assert_eq!(peer.records(7), ours());
        let more = zone(8) + "new 60 IN A 192.0.2.8\n";
        node.site.write("example.test.zone", more);
        node.site.ask(&["reload"]).expect(0, &[]);
        assert_eq!(peer.records(8), ours(), "{kind:?} learns of changes over UDP and gets them over TLS");
        // Who has another key is refused.
        let stranger = Peer::start(kind, Role::Secondary(node.tls), &authority, &authority.issue("secondary.test"));
        stranger.wait_for_log("REFUSED");
    }
}

#[test]
fn a_zone_comes_over_tls_from_nsd_and_bind() {
    if must_skip("zones from NSD and BIND over TLS", &["nsd", "named"]) {
        return;
    }
    let (authority, foreign) = (Authority::new(), Authority::new());
    let (identity, known) = (authority.issue("peer.test"), authority.issue("secondary.test"));
    let secondary = |peer: &Peer, tls: &str| {
        let text = format!(
            "[[tls]]\nname = \"primary\"\n{tls}\n[[zone]]\nname = \"example.test\"\n\
             primaries = [{{ address = \"{}\", tls = \"primary\" }}]\n",
            peer.tls
        );
        Node::start(None, &text)
    };
    let named = format!("ca = {:?}\nhostname = \"peer.test\"\n", authority.file());
    for (kind, role) in [(Kind::Nsd, Role::Primary), (Kind::Named, Role::Primary), (Kind::Named, Role::StrictPrimary)] {
        let peer = Peer::start(kind, role, &authority, &identity);
        peer.records(7);
        for tls in [named.clone(), format!("pins = [\"{}\"]\n", identity.pin)] {
            secondary(&peer, &(tls + &known.as_keys())).wait_for("example.test", 7);
        }
        let other = secondary(&peer, &format!("pins = [\"{}\"]\n", known.pin));
        other.wait_for_log(&format!("its certificate has the pin {}", identity.pin));
        if matches!(role, Role::StrictPrimary) {
            secondary(&peer, &named).wait_for_log("it may ask for a certificate, and the tls \"primary\" has none");
            let stranger = foreign.issue("secondary.test");
            secondary(&peer, &(named.clone() + &stranger.as_keys()))
                .wait_for_log("it may not take the certificate of the tls \"primary\"");
        }
    }
}
