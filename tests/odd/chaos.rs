//! What the server says about itself in class CH (RFC 4892).

use super::Site;
use super::common::ask;
use super::common::message::Query;
use super::common::name::name;
use super::common::server::{IDENTITY, VERSION};
use super::table::REFUSED;

/// CLASS CH.
const CH: u16 = 3;
/// TYPE TXT.
const TXT: u16 = 16;
/// QTYPE ANY.
const ANY: u16 = 255;

/// A question of class CH.
fn chaos(qname: &str, qtype: u16) -> Query {
    Query { qclass: CH, ..Query::new(&name(qname), qtype) }
}

#[test]
fn names_of_class_ch_are_answered() {
    let Some(site) = Site::start("CHAOS", false) else { return };
    for (qname, expected) in [
        ("version.bind.", VERSION),
        ("version.server.", VERSION),
        ("id.server.", IDENTITY),
        ("hostname.bind.", IDENTITY),
        ("HostName.BIND.", IDENTITY),
    ] {
        for qtype in [TXT, ANY] {
            for reply in [
                ask::ask_udp(site.server.address, &chaos(qname, qtype)),
                ask::ask_tcp(site.server.address, &chaos(qname, qtype)),
            ] {
                assert_eq!(reply.rcode(), 0, "{qname}");
                let [record] = &reply.sections[0][..] else { panic!("{qname}: {reply:?}") };
                assert_eq!((record.rtype, record.class, record.ttl), (TXT, CH, 0), "{qname}");
                assert_eq!(record.owner, name(qname), "letter case is kept");
                assert_eq!(record.rdata[0] as usize, record.rdata.len() - 1);
                assert_eq!(&record.rdata[1..], expected.as_bytes(), "{qname}");
            }
        }
    }
}

#[test]
fn other_types_of_a_known_name_have_no_data() {
    let Some(site) = Site::start("CHAOS types", false) else { return };
    for qtype in [1, 28, 2, 6] {
        let reply = ask::ask_udp(site.server.address, &chaos("version.bind.", qtype));
        assert_eq!((reply.rcode(), reply.sections[0].len()), (0, 0), "type {qtype}");
    }
}

#[test]
fn other_names_of_class_ch_are_refused() {
    let Some(site) = Site::start("CHAOS names", false) else { return };
    for qname in ["authors.bind.", "bind.", "server.", "x.version.bind.", ".", "odd.test."] {
        let reply = ask::ask_udp(site.server.address, &chaos(qname, TXT));
        assert_eq!((reply.rcode(), reply.sections[0].len()), (REFUSED, 0), "{qname}");
    }
}

#[test]
fn hidden_names_are_refused() {
    let Some(site) = Site::start("CHAOS hidden", true) else { return };
    for qname in ["version.bind.", "version.server.", "id.server.", "hostname.bind."] {
        let reply = ask::ask_udp(site.server.address, &chaos(qname, TXT));
        assert_eq!((reply.rcode(), reply.sections[0].len()), (REFUSED, 0), "{qname}");
    }
}
