//! What `respond` makes of queries, described as text.

mod fit;
mod keys;
mod streams;
mod version;
mod walks;

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use super::{
    Canary, MESSAGE_BYTES_MAX, PendingQuery, RequestContext, Response, Settings, Snapshot, Transport, respond,
};
use crate::wire::message::{HEADER_BYTES, Header, flag};
use crate::wire::probe::{CANARY_NAME_BYTES, Probe, Steer};
use crate::wire::{Class, Name, Type, rdata};
use crate::zone::LookupCursor;
use crate::zone::tests::zone_set;

mod broken;

/// What a query is made of.
#[derive(Clone, Copy)]
struct Ask<'a> {
    name: &'a str,
    rtype: Type,
    class: Class,
    transport: Transport,
    /// The payload size and the DO bit of OPT.
    edns: Option<(u16, bool)>,
    options: &'a [u8],
}

impl<'a> Ask<'a> {
    fn new(text: &'a str) -> Self {
        let (name, rtype) = text.split_once(' ').expect("name and type");
        let rtype = Type::from_text(rtype.as_bytes()).expect("a type");
        Self { name, rtype, class: Class::IN, transport: Transport::Udp, edns: None, options: &[] }
    }

    fn with_do(self) -> Self {
        Self { edns: Some((4096, true)), ..self }
    }

    fn message(&self) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, self.edns.is_some().into()];
        message.extend_from_slice(self.name.parse::<Name>().expect("a good name").as_ref().as_bytes());
        message.extend_from_slice(&self.rtype.0.to_be_bytes());
        message.extend_from_slice(&self.class.0.to_be_bytes());
        if let Some((payload, is_dnssec_ok)) = self.edns {
            message.extend_from_slice(&[0, 0, 41]);
            message.extend_from_slice(&payload.to_be_bytes());
            message.extend_from_slice(&[0, 0, if is_dnssec_ok { 0x80 } else { 0 }, 0]);
            message.extend_from_slice(&(self.options.len() as u16).to_be_bytes());
            message.extend_from_slice(self.options);
        }
        message
    }
}

/// Sends a message and reads the reply.
fn send(snapshot: &Arc<Snapshot>, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
    send_from(
        snapshot,
        query,
        &RequestContext { transport, source: address("192.0.2.1"), worker: 3, now: Duration::ZERO, tls: None },
    )
}

/// Parses an address.
fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Sends a message as somebody and reads the reply, which is the same at once and in steps, and behind another query
/// for the same zone.
fn send_from(snapshot: &Arc<Snapshot>, query: &[u8], context: &RequestContext) -> Option<Vec<u8>> {
    let mut reply = vec![0xEE; MESSAGE_BYTES_MAX];
    let untouched = reply.clone();
    let response = respond(snapshot, query, context, &mut reply);
    let mut last = None;
    for _ in 0..2 {
        let mut stepwise = untouched.clone();
        let stepwise_response = PendingQuery::read(query).map(|mut pending| {
            pending.locate(&snapshot.zones, &mut last);
            let _next_reads = [(); LookupCursor::STEPS].map(|()| pending.advance());
            pending.respond(snapshot, context, &mut stepwise)
        });
        assert_eq!((&stepwise_response.unwrap_or(Response::Drop), &stepwise), (&response, &reply));
    }
    match response {
        Response::Drop => None,
        Response::Stream { .. } => panic!("a stream is asked for by the name of one alone"),
        Response::Reply { length, .. } | Response::Notified { length, .. } => Some(reply[..length].to_vec()),
    }
}

/// A reply as text: flags and RCODE, then the sections, each record `owner TTL type RDATA`, parted by `/`.
fn described(reply: &[u8]) -> String {
    let header = Header::read(reply).expect("whole");
    let mut text = format!("{}", header.flags & 0xF);
    for (bit, name) in [(flag::AA, " aa"), (flag::TC, " tc")] {
        text.push_str(if header.flags & bit == 0 { "" } else { name });
    }
    let mut at = 12;
    for _ in 0..header.counts[0] {
        at = Name::read(reply, at).expect("a question").1 + 4;
    }
    for count in &header.counts[1..] {
        text.push_str(" |");
        for index in 0..*count {
            let (owner, end) = Name::read(reply, at).expect("an owner");
            let word = |at: usize| u16::from_be_bytes([reply[at], reply[at + 1]]);
            let (rtype, ttl, length) = (Type(word(end)), word(end + 6), usize::from(word(end + 8)));
            at = end + 10 + length;
            if rtype == Type::OPT {
                continue;
            }
            let (mut plain, mut written) = (Vec::new(), String::new());
            rdata::decompress(rtype, reply, end + 10, length, &mut plain).expect("good RDATA");
            rdata::write_text(rtype, &plain, &mut written);
            let slash = if index == 0 { "" } else { " /" };
            text.push_str(&format!("{slash} {owner} {ttl} {rtype} {written}"));
        }
    }
    assert_eq!(at, reply.len(), "nothing stands behind the last record");
    text
}

fn ask(snapshot: &Arc<Snapshot>, ask: Ask<'_>) -> String {
    described(&send(snapshot, &ask.message(), ask.transport).expect("a reply"))
}

fn snapshot(zones: &[(&str, &str)]) -> Arc<Snapshot> {
    let settings = Settings {
        identity: Some(b"site".to_vec()),
        version: Some(b"fated 0".to_vec()),
        udp_payload_bytes_max: 4096,
        ..Settings::default()
    };
    Arc::new(Snapshot { zones: zone_set(zones), settings, ..Snapshot::default() })
}

/// The settings of a snapshot that nobody else has.
fn settings(snapshot: &mut Arc<Snapshot>) -> &mut Settings {
    &mut Arc::get_mut(snapshot).expect("nobody else has it").settings
}

const SOA: &str = "example. 60 SOA ns.example. admin.example. 1 3600 600 86400 60";

const CORNERS: &str = "
www A 192.0.2.2
www A 192.0.2.3
mail MX 10 www
mail MX 20 a.cut
deep.empty TXT deep
*.wild TXT synthesised
*.wild MX 5 www
alias CNAME www
away CNAME www.other.test.
outside CNAME www.nowhere.test.
loop1 CNAME loop2
loop2 CNAME loop1
*.walias CNAME www
d DNAME target
x.target TXT redirected
cut NS a.cut
cut NS ns
a.cut A 192.0.2.9
svc HTTPS 1 . alpn=h2
svc A 192.0.2.7
srv SRV 1 2 3 www
";

fn corners() -> Arc<Snapshot> {
    snapshot(&[("example.", CORNERS), ("other.test.", "www A 192.0.2.66")])
}

#[test]
fn answers_are_those_of_rfc_1034_section_4_3_2() {
    let snapshot = corners();
    let no_data = format!("0 aa | | {SOA} |");
    let no_name = format!("3 aa | | {SOA} |");
    let referral = "0 | | cut.example. 300 NS a.cut.example. / cut.example. 300 NS ns.example. | \
                    a.cut.example. 300 A 192.0.2.9 / ns.example. 300 A 192.0.2.1";
    for (question, expected) in [
        ("www.example. A", "0 aa | www.example. 300 A 192.0.2.2 / www.example. 300 A 192.0.2.3 | |"),
        ("WwW.eXample. A", "0 aa | WwW.eXample. 300 A 192.0.2.2 / WwW.eXample. 300 A 192.0.2.3 | |"),
        ("www.example. TYPE65400", &no_data),
        ("empty.example. TXT", &no_data),
        ("nope.example. A", &no_name),
        ("nope.www.example. A", &no_name),
        ("example. NS", "0 aa | example. 300 NS ns.example. | | ns.example. 300 A 192.0.2.1"),
        ("a.wild.example. TXT", "0 aa | a.wild.example. 300 TXT \"synthesised\" | |"),
        ("a.wild.example. A", &no_data),
        (
            "a.b.wild.example. MX",
            "0 aa | a.b.wild.example. 300 MX 5 www.example. | | www.example. 300 A 192.0.2.2 / \
             www.example. 300 A 192.0.2.3",
        ),
        (
            "alias.example. A",
            "0 aa | alias.example. 300 CNAME www.example. / www.example. 300 A 192.0.2.2 / \
             www.example. 300 A 192.0.2.3 | |",
        ),
        ("alias.example. CNAME", "0 aa | alias.example. 300 CNAME www.example. | |"),
        ("alias.example. TXT", &format!("0 aa | alias.example. 300 CNAME www.example. | {SOA} |")),
        ("away.example. A", "0 aa | away.example. 300 CNAME www.other.test. | |"),
        ("outside.example. A", "0 aa | outside.example. 300 CNAME www.nowhere.test. | |"),
        (
            "loop1.example. A",
            "0 aa | loop1.example. 300 CNAME loop2.example. / loop2.example. 300 CNAME loop1.example. | |",
        ),
        (
            "q.walias.example. A",
            "0 aa | q.walias.example. 300 CNAME www.example. / www.example. 300 A 192.0.2.2 / \
             www.example. 300 A 192.0.2.3 | |",
        ),
        (
            "x.d.example. TXT",
            "0 aa | d.example. 300 DNAME target.example. / x.d.example. 300 CNAME x.target.example. / \
             x.target.example. 300 TXT \"redirected\" | |",
        ),
        (
            "y.d.example. TXT",
            &format!(
                "3 aa | d.example. 300 DNAME target.example. / y.d.example. 300 CNAME y.target.example. | {SOA} |"
            ),
        ),
        ("d.example. DNAME", "0 aa | d.example. 300 DNAME target.example. | |"),
        ("cut.example. A", referral),
        ("cut.example. NS", referral),
        ("x.a.cut.example. A", referral),
        ("cut.example. DS", &no_data),
        ("svc.example. HTTPS", "0 aa | svc.example. 300 HTTPS 1 . alpn=\"h2\" | |"),
        (
            "srv.example. SRV",
            "0 aa | srv.example. 300 SRV 1 2 3 www.example. | | www.example. 300 A 192.0.2.2 / \
             www.example. 300 A 192.0.2.3",
        ),
        ("www.elsewhere.test. A", "5 | | |"),
        (". NS", "5 | | |"),
    ] {
        assert_eq!(ask(&snapshot, Ask::new(question)).trim_end(), expected.trim_end(), "{question}");
    }
}

#[test]
fn a_dname_result_that_is_too_long_is_yxdomain() {
    let long = "a23456789.".repeat(20);
    let zone = format!("d DNAME {}target", "b23456789.".repeat(5));
    let described = ask(&snapshot(&[("example.", &zone)]), Ask::new(&format!("{long}d.example. A")));
    assert!(described.starts_with("6 aa | d.example. 300 DNAME"), "{described}");
    assert!(!described.contains("CNAME"), "{described}");
}

#[test]
fn ds_is_answered_by_the_parent_where_both_are_served() {
    let parent = "sub NS ns.sub\nns.sub A 192.0.2.4\n\
        sub DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000";
    let both = snapshot(&[("example.", parent), ("sub.example.", "")]);
    assert!(ask(&both, Ask::new("sub.example. DS")).starts_with("0 aa | sub.example. 300 DS 1 8 2 00"));
    assert!(ask(&both, Ask::new("sub.example. NS")).starts_with("0 aa | sub.example. 300 NS ns.sub.example."));
    let child = snapshot(&[("sub.example.", "")]);
    assert!(ask(&child, Ask::new("sub.example. DS")).starts_with("0 aa | | sub.example. 60 SOA"));
}

#[test]
fn an_rrset_that_does_not_fit_is_left_out_whole() {
    let zone: String = (0..60).map(|index| format!("big A 192.0.2.{index}\n")).collect();
    let snapshot = snapshot(&[("example.", &zone)]);
    assert_eq!(ask(&snapshot, Ask::new("big.example. A")).trim_end(), "0 aa tc | | |");
    let large = Ask { edns: Some((1232, false)), ..Ask::new("big.example. A") };
    assert_eq!(ask(&snapshot, large).matches(" A ").count(), 60);
    let tcp = Ask { transport: Transport::Tcp, ..Ask::new("big.example. A") };
    assert_eq!(ask(&snapshot, tcp).matches(" A ").count(), 60);
}

#[test]
fn required_glue_that_does_not_fit_sets_tc_and_other_glue_does_not() {
    let glue = |name: &str| (0..40).map(|index| format!("{name} A 192.0.2.{index}\n")).collect::<String>();
    let required = format!("cut NS a.cut\n{}", glue("a.cut"));
    let described = ask(&snapshot(&[("example.", &required)]), Ask::new("x.cut.example. A"));
    assert_eq!(described.trim_end(), "0 tc | | |");
    let sibling = format!("cut NS a.sib\nsib NS a.sib\n{}", glue("a.sib"));
    let described = ask(&snapshot(&[("example.", &sibling)]), Ask::new("x.cut.example. A"));
    assert_eq!(described.trim_end(), "0 | | cut.example. 300 NS a.sib.example. |");
}

#[test]
fn edns_is_answered_in_kind() {
    let snapshot = corners();
    let reply = |ask: Ask<'_>| send(&snapshot, &ask.message(), ask.transport).expect("a reply");
    let plain = reply(Ask::new("www.example. A"));
    assert_eq!(Header::read(&plain).expect("whole").counts[3], 0);
    let nsid =
        reply(Ask { edns: Some((1232, true)), options: &[0, 3, 0, 0, 0, 11, 0, 0], ..Ask::new("www.example. A") });
    assert!(nsid.ends_with(b"\0\0\x29\x10\x00\0\0\x80\0\0\x08\0\x03\0\x04site"), "no keepalive over UDP: {nsid:x?}");
    let keepalive = Ask {
        edns: Some((1232, false)),
        options: &[0, 11, 0, 0],
        transport: Transport::Tcp,
        ..Ask::new("www.example. A")
    };
    assert!(reply(keepalive).ends_with(b"\0\x06\0\x0b\0\x02\0\x64"));
    let refused = reply(Ask { edns: Some((1232, false)), ..Ask::new("www.nowhere.test. A") });
    assert!(refused.ends_with(b"\0\x06\0\x0f\0\x02\0\x14"), "not authoritative: {refused:x?}");
    let mut version_1 = Ask { edns: Some((1232, false)), ..Ask::new("www.example. A") }.message();
    let version_at = version_1.len() - 5;
    version_1[version_at] = 1;
    let badvers = send(&snapshot, &version_1, Transport::Udp).expect("a reply");
    assert_eq!(Header::read(&badvers).expect("whole").counts, [1, 0, 0, 1]);
    assert!(badvers.ends_with(b"\0\0\x29\x10\x00\x01\0\0\0\0\0"));
}

#[test]
fn what_cannot_be_read_is_refused_and_what_is_no_query_dropped() {
    let snapshot = corners();
    let good = Ask::new("www.example. A").message();
    let changed = |at: usize, to: u8| {
        let mut message = good.clone();
        message[at] = to;
        send(&snapshot, &message, Transport::Udp)
    };
    assert_eq!(changed(2, 0x81), None, "a response is never answered");
    for length in 0..12 {
        assert_eq!(send(&snapshot, &good[..length], Transport::Udp), None, "{length}");
    }
    for length in 12..good.len() {
        assert_eq!(
            described(&send(&snapshot, &good[..length], Transport::Udp).expect("a reply")),
            "1 | | |",
            "{length}"
        );
    }
    assert_eq!(described(&changed(5, 0).expect("a reply")), "1 | | |");
    assert_eq!(described(&changed(5, 2).expect("a reply")), "1 | | |");
    assert_eq!(described(&changed(2, 0x21).expect("a reply")), "4 | | |");
    assert_eq!(described(&changed(12, 0xC0).expect("a reply")), "1 | | |");
    let reply = changed(3, 0xBF).expect("a reply");
    assert_eq!(&reply[..4], b"\x12\x34\x85\x00", "RD is copied, RA, Z, AD, CD and the RCODE are not");
}

#[test]
fn chaos_names_say_who_answers_unless_hidden() {
    let mut snapshot = corners();
    let chaos = |name: &'static str| Ask { class: Class::CH, ..Ask::new(name) };
    assert_eq!(ask(&snapshot, chaos("id.server. TXT")).trim_end(), "0 aa | id.server. 0 TXT \"site\" | |");
    assert_eq!(ask(&snapshot, chaos("VERSION.bind. TXT")).trim_end(), "0 aa | VERSION.bind. 0 TXT \"fated 0\" | |");
    assert_eq!(ask(&snapshot, chaos("hostname.bind. A")).trim_end(), "0 aa | | |");
    assert_eq!(ask(&snapshot, chaos("www.example. TXT")).trim_end(), "5 | | |");
    settings(&mut snapshot).version = None;
    assert_eq!(ask(&snapshot, chaos("version.server. TXT")).trim_end(), "5 | | |");
}

/// The canary for worker 2 of the process with that nonce.
fn probe(nonce: u64) -> Vec<u8> {
    Probe::canary(Steer { nonce, worker: 2 }).with_id(0x1234).to_vec()
}

/// Sends `query` over UDP from `source`, and has it answered by worker 1023.
fn canary_reply(snapshot: &Arc<Snapshot>, query: &[u8], source: &str) -> String {
    let context = RequestContext {
        transport: Transport::Udp,
        source: address(source),
        worker: 1023,
        now: Duration::ZERO,
        tls: None,
    };
    described(&send_from(snapshot, query, &context).expect("a reply")).trim_end().to_owned()
}

#[test]
fn a_canary_shows_its_own_asker_which_worker_really_answered() {
    let canary = Canary {
        nonce: 0xFEDC_BA98_7654_3210,
        sources: vec![address("192.0.0.100"), address("100::64")],
        reserved: Vec::new(),
    };
    let mut snapshot = corners();
    let query = probe(canary.nonce);
    assert_eq!(canary_reply(&snapshot, &query, "192.0.0.100"), "5 | | |", "nobody has a canary yet");
    settings(&mut snapshot).canary = Some(canary.clone());
    let answer = "0 aa | 00000000000000000002.fated. 0 TXT \"1023\" | |";
    for source in ["192.0.0.100", "100::64"] {
        assert_eq!(canary_reply(&snapshot, &query, source), answer);
    }
    let context = RequestContext {
        transport: Transport::Udp,
        source: address("100::64"),
        worker: 0,
        now: Duration::ZERO,
        tls: None,
    };
    let reply = send_from(&snapshot, &query, &context).expect("a reply");
    assert!(reply.ends_with(b"\x00\x03\x00\x04site"), "NSID stands last: {reply:?}");
    assert_eq!(described(&reply).trim_end(), "0 aa | 00000000000000000002.fated. 0 TXT \"0\" | |");

    for source in ["192.0.0.101", "100::65", "127.0.0.1", "::ffff:192.0.0.100"] {
        assert_eq!(canary_reply(&snapshot, &query, source), "5 | | |", "{source} may not ask");
    }
    assert_eq!(canary_reply(&snapshot, &probe(canary.nonce ^ 1), "100::64"), "5 | | |");
}

#[test]
fn what_only_resembles_a_canary_is_refused() {
    let canary = Canary { nonce: 0xFEDC_BA98_7654_3210, sources: vec![address("100::64")], reserved: Vec::new() };
    let mut snapshot = corners();
    settings(&mut snapshot).canary = Some(canary.clone());
    let reply = |name: &'static str, class| {
        // The question stands in front of the OPT record of a canary, which bears the secret.
        let mut query = Ask { class, ..Ask::new(name) }.message();
        query[11] = 1;
        query.extend_from_slice(&probe(canary.nonce)[HEADER_BYTES + CANARY_NAME_BYTES + 4..]);
        canary_reply(&snapshot, &query, "100::64")
    };
    assert_eq!(reply("FEDCBA9876543210fFfF.Fated. TXT", Class::CH).get(..4), Some("0 aa"), "letter case is nothing");
    assert_eq!(reply("fedcba98765432100002.fated. TXT", Class::IN), "5 | | |");
    let bare = Ask { class: Class::CH, ..Ask::new("fedcba98765432100002.fated. TXT") }.message();
    assert_eq!(canary_reply(&snapshot, &bare, "100::64"), "5 | | |", "without the secret it is none");
    for name in [
        "fedcba98765432100002.fated. A",
        "fedcba98765432100002.fated. ANY",
        "fedcba9876543210000g.fated. TXT",
        "fedcba9876543210002.fated. TXT",
        "fedcba987654321000020.fated. TXT",
        "fedcba98765432100002.fatec. TXT",
        "fedcba98765432100002.fat.d. TXT",
        "fedcba987654321.00002.fated. TXT",
    ] {
        assert_eq!(reply(name, Class::CH), "5 | | |", "{name}");
    }
}

#[test]
fn a_steered_soa_is_answered_like_any_other() {
    let zone: Name = "example.".parse().expect("a good name");
    let mut probe = Probe::soa(zone.as_ref(), Some(Steer { nonce: 1, worker: 9 }));
    let plain = canary_reply(&corners(), probe.with_token(0x1234, 7), "192.0.2.1");
    assert_eq!(plain, ask(&corners(), Ask { edns: Some((1232, true)), ..Ask::new("example. SOA") }).trim_end());
    assert!(plain.starts_with("0 aa | example. "), "{plain}");
}

#[test]
fn any_gets_one_rrset_and_unknown_classes_are_refused() {
    let snapshot = corners();
    assert_eq!(ask(&snapshot, Ask::new("svc.example. ANY")).matches(" svc.example. ").count(), 1);
    assert_eq!(ask(&snapshot, Ask { class: Class::HS, ..Ask::new("www.example. A") }).trim_end(), "5 | | |");
    assert!(ask(&snapshot, Ask { class: Class::ANY, ..Ask::new("www.example. A") }).starts_with("0 | www.example."));
}

#[test]
fn signatures_come_with_what_they_cover_when_they_are_wanted() {
    let signature = |rtype: &str| format!("RRSIG {rtype} 8 2 300 20300101000000 20200101000000 1 example. AAAA");
    let zone = format!(
        "@ {}\n@ NSEC a SOA NS RRSIG NSEC\n@ {}\na A 192.0.2.1\na {}\n\
         a NSEC *.w A RRSIG NSEC\n*.w TXT x\n*.w {}\n*.w NSEC @ TXT RRSIG NSEC",
        signature("SOA"),
        signature("NSEC"),
        signature("A"),
        signature("TXT"),
    );
    let snapshot = snapshot(&[("example.", &zone)]);
    assert!(!ask(&snapshot, Ask::new("a.example. A")).contains("RRSIG"));
    assert_eq!(ask(&snapshot, Ask::new("a.example. A").with_do()).matches("RRSIG A").count(), 1);
    let owners = |question: &str| -> Vec<String> {
        let described = ask(&snapshot, Ask::new(question).with_do());
        let words = described.split(['|', '/']).map(|record| record.split_whitespace().collect::<Vec<_>>());
        words.filter(|words| words.get(2) == Some(&"NSEC")).map(|words| words[0].to_owned()).collect()
    };
    assert_eq!(owners("a.example. TXT"), ["a.example."]);
    assert_eq!(owners("b.example. A"), ["a.example.", "example."]);
    assert_eq!(owners("w.example. A"), ["a.example."]);
    assert_eq!(owners("b.w.example. TXT"), ["*.w.example."]);
    assert_eq!(owners("b.w.example. A"), ["*.w.example."]);
}
