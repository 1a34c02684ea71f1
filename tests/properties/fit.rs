//! TC is set only where the whole answer has no room, however its names are compressed: `hickory-proto` writes it
//! anew.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use fated::answer::{MESSAGE_BYTES_MAX, RequestContext, Response, Settings, Snapshot, Transport, respond};
use fated::zone::ZoneSet;
use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use hickory_proto::serialize::binary::BinEncodable;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{bodies, query, zones};

/// A question about names that lead to many others.
#[derive(Clone, Debug)]
struct Case {
    /// The zone.
    text: String,
    /// What is asked.
    qname: String,
    /// Its type.
    qtype: u16,
    /// How much room there is.
    udp_bytes_max: u16,
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof!["[a-d]", "[a-d]{2}", "x{20}[a-d]", "y{55}[a-d]{2}"]
}

fn case() -> impl Strategy<Value = Case> {
    let targets = vec((vec(label(), 1..4), any::<bool>(), any::<bool>()), 1..60);
    (targets, proptest::sample::select(&["NS", "MX 10", "PTR"][..]), 512..4096_u16, any::<prop::sample::Index>())
        .prop_map(|(targets, rtype, udp_bytes_max, asked)| {
            let mut text = String::from("$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a.elsewhere.\n");
            let names: Vec<String> = targets
                .iter()
                .map(|(labels, is_below, _)| {
                    format!("{}.{}", labels.join("."), if *is_below { "cut.test." } else { "out.elsewhere." })
                })
                .collect();
            for (name, (_, is_below, is_glued)) in names.iter().zip(&targets) {
                writeln!(text, "cut {rtype} {name}").expect("a String takes everything");
                if *is_below && *is_glued {
                    writeln!(text, "{name} A 192.0.2.1").expect("a String takes everything");
                }
            }
            let is_cut = rtype == "NS";
            let name = asked.get(&names);
            let qname = if is_cut && name.ends_with("test.") { name.clone() } else { "cut.test.".to_owned() };
            let qtype = match rtype {
                "PTR" => 12,
                "NS" => 1,
                _ => 15,
            };
            Case { text, qname, qtype, udp_bytes_max }
        })
}

/// Asks, and reads the reply; and its length.
fn ask(snapshot: &Arc<Snapshot>, query: &[u8], transport: Transport) -> (Message, usize) {
    let mut reply = vec![0; MESSAGE_BYTES_MAX];
    let context = RequestContext {
        transport,
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        worker: 0,
        now: Duration::ZERO,
        tls: None,
    };
    let Response::Reply { length, .. } = respond(snapshot, query, &context, &mut reply) else {
        panic!("it is answered")
    };
    (Message::from_vec(&reply[..length]).expect("a reply can be read"), length)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tc_is_set_only_where_no_encoding_has_room(case in case()) {
        let (zone, faults) = bodies::load_zone(&[case.text.as_bytes()], zones::APEX.parse().expect("a good name"));
        // Names may meet that must not, such as a cut with data.
        prop_assume!(zone.is_some(), "{:?}", faults.iter().next());
        let settings = Settings { udp_payload_bytes_max: case.udp_bytes_max, ..Settings::default() };
        let zones = ZoneSet::new(zone.into_iter().map(Arc::new).collect());
        let snapshot = Arc::new(Snapshot { zones, settings, ..Snapshot::default() });
        let mut query = query(&zones::labels(&case.qname), case.qtype);
        query[11] = 1;
        query.extend([0, 0, 41, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0]);
        let (udp, length) = ask(&snapshot, &query, Transport::Udp);
        let (mut whole, _) = ask(&snapshot, &query, Transport::Tcp);
        prop_assert!(!whole.metadata.truncation);
        if udp.metadata.truncation {
            let is_referral = whole.answers.is_empty();
            let cut = "cut.test.".parse().expect("a name");
            whole.additionals.retain(|record| is_referral && hickory_proto::rr::Name::zone_of(&cut, &record.name));
            let bytes = whole.to_bytes().expect("it can be written").len();
            prop_assert!(bytes > case.udp_bytes_max.into(), "{bytes} octets fit into {}", case.udp_bytes_max);
        } else {
            prop_assert!(length <= case.udp_bytes_max.into());
            prop_assert_eq!(udp.answers.len(), whole.answers.len());
            let is_ns = |record: &&hickory_proto::rr::Record| record.record_type() == RecordType::NS;
        let count = |message: &Message| message.authorities.iter().filter(is_ns).count();
            prop_assert_eq!(count(&udp), count(&whole));
        }
    }
}
