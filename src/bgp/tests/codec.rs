//! Messages, octets ↔ values, and what becomes of malformed ones.

use super::super::announcement::{SentNextHop, fits, write_announcements, write_withdrawals};
use super::super::frames::{Frames, Message};
use super::super::refresh::{Refresh, read_refresh, write_refresh};
use super::super::terms::Terms;
use super::super::update::{Update, read_update};
use super::*;

/// A header for a message of a length and a type.
fn header(length: u16, kind: u8) -> Vec<u8> {
    [&[0xFF; 16][..], &length.to_be_bytes(), &[kind]].concat()
}

/// Terms with everything, between two systems.
fn terms() -> Terms {
    Terms {
        local_as: AsNumber(65002),
        is_internal: false,
        is_four_octet: true,
        families: Families { ipv4: true, ipv6: true },
        marks_routes: false,
    }
}

/// Cuts a stream, given in parts of `part` octets, into messages.
fn cut(stream: &[u8], part: usize) -> Result<Vec<Message>, Notification> {
    let mut frames = Frames::default();
    let mut messages = Vec::new();
    for mut octets in stream.chunks(part) {
        while let Some(message) = frames.next(&mut octets)? {
            messages.push(message);
        }
        assert!(octets.is_empty(), "what is not a whole message is kept");
    }
    Ok(messages)
}

/// The body of an UPDATE.
fn update(withdrawn: &str, attributes: &str, prefixes: &str) -> Vec<u8> {
    let (withdrawn, attributes) = (hex(withdrawn), hex(attributes));
    let length = |part: &[u8]| (part.len() as u16).to_be_bytes();
    [&length(&withdrawn)[..], &withdrawn, &length(&attributes), &attributes, &hex(prefixes)].concat()
}

/// ORIGIN IGP, AS_PATH 65001, NEXT_HOP 10.0.0.1.
const PATH: &str = "40010100 40020602010000FDE9 4003040A000001";

#[test]
fn messages_come_off_the_stream_however_it_is_cut() {
    let stream = [
        write_message(Kind::Keepalive, &[]),
        write_message(Kind::Notification, &[6, 2]),
        write_message(Kind::Update, &[0; 4077]),
        write_message(Kind::Keepalive, &[]),
    ]
    .concat();
    let whole = cut(&stream, stream.len()).expect("good");
    assert_eq!(whole.iter().map(|message| message.body.len()).collect::<Vec<_>>(), [0, 2, 4077, 0]);
    for part in [1, 2, 18, 19, 20, 21, 4095] {
        assert_eq!(cut(&stream, part).expect("good"), whole, "in parts of {part}");
    }
}

#[test]
fn headers_that_are_none_are_named_as_rfc_4271_6_1_says() {
    let mut marker = header(19, 4);
    marker[3] = 0xFE;
    for (stream, subcode, data) in [
        (marker, 1, vec![]),
        (header(18, 4), 2, vec![0, 18]),
        (header(20, 4), 2, vec![0, 20]),
        (header(4097, 2), 2, vec![0x10, 1]),
        (header(28, 1), 2, vec![0, 28]),
        (header(22, 2), 2, vec![0, 22]),
        (header(20, 3), 2, vec![0, 20]),
        (header(0xFFFF, 2), 2, vec![0xFF, 0xFF]),
        (header(19, 0), 3, vec![0]),
        (header(19, 6), 3, vec![6]),
    ] {
        let error = cut(&stream, 7).expect_err("no header");
        assert_eq!((error.code, error.subcode, error.data), (1, subcode, data), "{stream:02X?}");
    }
}

#[test]
fn opens_are_octets_and_values() {
    let bare = Open { as_field: 65002, hold_time: 9, router_id: Ipv4Addr::new(10, 0, 0, 2), capabilities: vec![] };
    let capabilities = vec![
        Capability::Multiprotocol(1, 1),
        Capability::Multiprotocol(2, 1),
        Capability::RouteRefresh,
        Capability::ipv4_over_ipv6(),
        Capability::Role(3),
        Capability::FourOctetAs(AsNumber(4_200_000_001)),
        Capability::EnhancedRefresh,
        Capability::Other { code: 73, value: vec![1, b'a', 0] },
    ];
    let full = Open { as_field: 23456, hold_time: 240, router_id: Ipv4Addr::new(192, 0, 2, 1), capabilities };
    let octets = "04 5BA0 00F0 C0000201 28 02 26 010400010001 010400020001 0200 0506000100010002 090103 \
                  4104FA56EA01 4600 4903016100";
    for (open, octets) in [(bare, "04 FDEA 0009 0A000002 00"), (full, octets)] {
        let body = hex(octets);
        assert_eq!(open.write(), write_message(Kind::Open, &body));
        assert_eq!(Open::read(&body), Ok(open));
    }
}

#[test]
fn opens_are_read_with_many_parameters_and_with_long_ones() {
    // Two parameters with two capabilities, and the same as RFC 9072 has it, with one that is longer than 255.
    let plain = Open::read(&hex("04 FDE9 00F0 0A000001 0C 0202 0200 02064104 00010000")).expect("good");
    assert_eq!(plain.capabilities, [Capability::RouteRefresh, Capability::FourOctetAs(AsNumber(65536))]);
    assert_eq!(plain.speaker(), AsNumber(65536));
    let long =
        [hex("04 FDE9 00F0 0A000001 FF FF 010E 02 010B 0200 0200 4903026162 4900"), vec![0x80, 0xFE], vec![7; 254]];
    let extended = Open::read(&long.concat());
    let capabilities = extended.expect("good").capabilities;
    assert_eq!((capabilities.len(), capabilities.last().map(Capability::code)), (5, Some(0x80)));
    // A length of 255 that is one is no sign of RFC 9072.
    let full = [hex("04 FDE9 00F0 0A000001 FF 02 FD 80 FB"), vec![7; 251]].concat();
    assert_eq!(Open::read(&full).expect("good").capabilities.len(), 1);
}

#[test]
fn opens_that_are_malformed_are_named_as_rfc_4271_6_2_says() {
    for (octets, subcode, data) in [
        ("03 FDE9 00F0 0A000001 00", 1, vec![0, 4]),
        ("05 FDE9 00F0 0A000001 00", 1, vec![0, 4]),
        ("04 FDE9 00F0 0A000001 02 0100", 4, vec![1]),
        ("04 FDE9 00F0 0A000001", 0, vec![]),
        ("04 FDE9 00F0 0A000001 01", 0, vec![]),
        ("04 FDE9 00F0 0A000001 00 00", 0, vec![]),
        ("04 FDE9 00F0 0A000001 03 020200", 0, vec![]),
        ("04 FDE9 00F0 0A000001 04 02024103", 0, vec![]),
        ("04 FDE9 00F0 0A000001 07 0205 4103 000001", 0, vec![]),
        ("04 FDE9 00F0 0A000001 05 0203 020100", 0, vec![]),
        ("04 FDE9 00F0 0A000001 FF FF 0004 02 0002 02", 0, vec![]),
        ("04 FDE9 00F0 0A000001 FF", 0, vec![]),
    ] {
        let error = Open::read(&hex(octets)).expect_err(octets);
        assert_eq!((error.code, error.subcode, error.data), (2, subcode, data), "{octets}");
    }
}

#[test]
fn a_shutdown_carries_its_text_in_ascii_and_no_longer_than_255() {
    let plain = Notification::cease(2, "maintenance, back at 3");
    assert_eq!(plain.write(), [header(44, 3), vec![6, 2, 22], b"maintenance, back at 3".to_vec()].concat());
    assert_eq!(Notification::read(&[&[6, 2][..], &plain.data].concat()), Some(plain.clone()));
    assert_eq!(plain.to_string(), "administrative shutdown (6/2): maintenance, back at 3");
    let long = Notification::cease(4, &"ä\n".repeat(200));
    assert_eq!((long.data.len(), long.text()), (256, Some("?".repeat(255))));
    assert_eq!(Notification::cease(3, "no text there").data, [0; 0]);
    assert_eq!(Notification::cease(2, "").data, [0; 0]);
    // What comes from outside is shown without control characters, and disregarded where its length is wrong.
    let from = |data: &[u8]| Notification::read(&[&[6, 2][..], data].concat()).and_then(|cease| cease.text());
    assert_eq!(from(b"\x04a\x1b[m").as_deref(), Some("a [m"));
    assert_eq!(from(b"\x02\xff\xfe").as_deref(), Some("\u{FFFD}\u{FFFD}"));
    assert_eq!((from(b"\x05abcd"), from(b""), from(b"\0")), (None, None, None));
    assert_eq!(Notification::read(&[6]), None);
}

#[test]
fn refreshes_are_octets_and_values() {
    for (family, refresh, octets) in [
        (Family::Ipv4, Refresh::Request, "0001 00 01"),
        (Family::Ipv6, Refresh::Begin, "0002 01 01"),
        (Family::Ipv6, Refresh::End, "0002 02 01"),
    ] {
        assert_eq!(write_refresh(family, refresh), write_message(Kind::RouteRefresh, &hex(octets)));
        assert_eq!(read_refresh(&hex(octets)), Ok(Some((family, refresh))));
    }
    // Families and subtypes that are not known are disregarded; another length is an error (RFC 7313 §5).
    assert_eq!(read_refresh(&hex("0001 00 02")), Ok(None));
    assert_eq!(read_refresh(&hex("0001 09 01 00")), Ok(None));
    let error = read_refresh(&hex("0001 01 01 00")).expect_err("too long");
    assert_eq!((error.code, error.subcode, error.data), (7, 1, [header(24, 5), hex("0001 01 01 00")].concat()));
    assert_eq!(read_refresh(&hex("0001 00")).expect_err("too short").subcode, 1);
}

/// What is announced and withdrawn by messages, each read again.
fn read_back(messages: &[Vec<u8>], terms: &Terms) -> Vec<Update> {
    let stream = messages.concat();
    let messages = cut(&stream, stream.len().max(1)).expect("messages");
    messages.iter().map(|message| read_update(&message.body, terms).expect("good")).collect()
}

/// Checks the one message that announces prefixes, and what is read from it.
fn check_announcement(prefixes: &str, hop: SentNextHop, attributes: &Attributes, terms: Terms, expected: &str) {
    let prefixes: Vec<IpNet> = prefixes.split(' ').map(prefix).collect();
    let messages = write_announcements(&prefixes, hop, attributes, &terms);
    assert_eq!(messages, [write_message(Kind::Update, &hex(expected))], "{prefixes:?}");
    let read = read_back(&messages, &terms);
    let announced: Vec<IpNet> = read.iter().flat_map(|update| &update.announced[0].prefixes).copied().collect();
    assert_eq!((announced, read[0].announced[0].next_hop), (prefixes, Some(hop.address)));
    assert_eq!(read[0].malformed, None);
}

/// A next hop alone.
fn hop(text: &str) -> SentNextHop {
    SentNextHop { address: address(text), link_local: None }
}

#[test]
fn announcements_of_ipv4_are_the_octets_of_the_rfcs() {
    let plain = Attributes { local_pref: 100, ..Attributes::default() };
    let rich = Attributes {
        med: Some(50),
        prepend: 2,
        communities: vec![Attributes::GRACEFUL_SHUTDOWN, Attributes::NO_EXPORT],
        extended: vec![[0, 2, 0xFD, 0xEA, 0, 0, 0, 7]],
        large: vec![[65002, 1, 2]],
        ..plain.clone()
    };
    let internal = Terms { is_internal: true, marks_routes: true, ..terms() };
    let two = Terms { local_as: AsNumber(65536), is_four_octet: false, ..terms() };
    let marks = Terms { marks_routes: true, ..terms() };
    let one = "192.0.2.0/24";
    check_announcement(
        "192.0.2.0/24 198.51.100.7/32 0.0.0.0/0",
        hop("10.0.0.2"),
        &plain,
        terms(),
        "0000 0014 40010100 40020602010000FDEA 4003040A000002 18C00002 20C6336407 00",
    );
    check_announcement(
        one,
        hop("10.0.0.2"),
        &rich,
        terms(),
        "0000 0048 40010100 40020E02030000FDEA0000FDEA0000FDEA 4003040A000002 80040400000032 C00808FFFF0000FFFFFF01 \
         C010080002FDEA00000007 C0200C0000FDEA0000000100000002 18C00002",
    );
    // Within a system the path is empty and LOCAL_PREF is there; RFC 9234 is not for it.
    let expected = "0000 0015 40010100 400200 4003040A000002 40050400000064 18C00002";
    check_announcement(one, hop("10.0.0.2"), &plain, internal, expected);
    let expected = "0000 001B 40010100 40020402015BA0 4003040A000002 C01106020100010000 18C00002";
    check_announcement(one, hop("10.0.0.2"), &plain, two, expected);
    let expected = "0000 001B 40010100 40020602010000FDEA 4003040A000002 C023040000FDEA 18C00002";
    check_announcement(one, hop("10.0.0.2"), &plain, marks, expected);
}

#[test]
fn announcements_of_ipv6_and_over_ipv6_are_the_octets_of_the_rfcs() {
    let plain = Attributes::default();
    let both = SentNextHop { link_local: Some("fe80::2".parse().expect("an address")), ..hop("2001:db8::2") };
    check_announcement(
        "2001:db8::/32",
        hop("2001:db8::2"),
        &plain,
        terms(),
        "0000 002A 800E1A 0002 01 10 20010DB8000000000000000000000002 00 2020010DB8 40010100 40020602010000FDEA",
    );
    check_announcement(
        "2001:db8:0:1::/64",
        both,
        &plain,
        terms(),
        "0000 003E 800E2E 0002 01 20 20010DB8000000000000000000000002 FE800000000000000000000000000002 00 \
         4020010DB800000001 40010100 40020602010000FDEA",
    );
    check_announcement(
        "192.0.2.0/24",
        hop("fe80::2"),
        &plain,
        terms(),
        "0000 0029 800E19 0001 01 10 FE800000000000000000000000000002 00 18C00002 40010100 40020602010000FDEA",
    );
}

#[test]
fn withdrawals_are_the_octets_of_the_rfcs() {
    let ipv4 = write_withdrawals(&[prefix("192.0.2.0/24"), prefix("10.0.0.0/9")]);
    assert_eq!(ipv4, [write_message(Kind::Update, &hex("0007 18C00002 090A00 0000"))]);
    let ipv6 = write_withdrawals(&[prefix("2001:db8::/32")]);
    assert_eq!(ipv6, [write_message(Kind::Update, &hex("0000 000B 800F08 0002 01 2020010DB8"))]);
    assert_eq!(write_withdrawals(&[]), [[0; 0]; 0]);
}

#[test]
fn many_prefixes_take_as_many_messages_as_they_need() {
    let ipv4: Vec<IpNet> =
        (0..3000_u32).map(|index| prefix(&format!("10.{}.{}.1/32", index / 256, index % 256))).collect();
    let ipv6: Vec<IpNet> = (0..700).map(|index| prefix(&format!("2001:db8::{index:x}/128"))).collect();
    for (prefixes, hop) in [(&ipv4, "10.0.0.2"), (&ipv4, "2001:db8::2"), (&ipv6, "2001:db8::2")] {
        let hop = SentNextHop { address: address(hop), link_local: None };
        let messages = write_announcements(prefixes, hop, &Attributes::default(), &terms());
        assert!(messages.len() > 1 && messages.len() <= 5, "{}", messages.len());
        let read = read_back(&messages, &terms());
        let announced = read.iter().flat_map(|update| &update.announced).flat_map(|reach| &reach.prefixes);
        assert!(announced.eq(prefixes.iter()));
        let withdrawn = read_back(&write_withdrawals(prefixes), &terms());
        assert!(withdrawn.iter().flat_map(|update| &update.withdrawn).eq(prefixes.iter()));
    }
}

#[test]
fn attributes_fit_or_are_said_not_to() {
    let with = |count| Attributes { communities: vec![7; count], prepend: 255, ..Attributes::default() };
    let most = (0..1100).rev().find(|count| fits(&with(*count), &terms())).expect("some fit");
    assert!((600..1000).contains(&most), "{most}");
    let hop = SentNextHop { address: address("2001:db8::2"), link_local: Some(core::net::Ipv6Addr::LOCALHOST) };
    let messages = write_announcements(&[prefix("2001:db8::1/128"), prefix("::/0")], hop, &with(most), &terms());
    let read = read_back(&messages, &terms());
    // A path of 256 takes two segments.
    assert_eq!((read[0].path.communities.len(), read[0].path.as_path.len()), (most, 256));
}

#[test]
fn updates_are_read() {
    let body = update(
        "18C00002",
        &format!("{PATH} 80040400000007 C00808FDE900010000FFFF C0200C000000010000000200000003 C02D01AA C0230400000001"),
        "18CB0071 00",
    );
    let read = read_update(&body, &terms()).expect("good");
    assert_eq!(read.withdrawn, [prefix("192.0.2.0/24")]);
    assert_eq!(read.announced[0].prefixes, [prefix("203.0.113.0/24"), prefix("0.0.0.0/0")]);
    assert_eq!((read.announced[0].next_hop, read.malformed), (Some(address("10.0.0.1")), None));
    assert_eq!((read.path.as_path.as_slice(), read.path.med), (&[AsNumber(65001)][..], Some(7)));
    assert_eq!((read.path.communities, read.path.large), (vec![0xFDE9_0001, 0xFFFF], vec![[1, 2, 3]]));
    // Bits behind a prefix mean nothing (RFC 4271 §4.3).
    let loose = read_update(&update("", PATH, "14CB00FF"), &terms()).expect("good");
    assert_eq!(loose.announced[0].prefixes, [prefix("203.0.240.0/20")]);
    // The end of what a router has to send (RFC 4724 §2), which nothing follows from.
    for end in ["", "800F03000201"] {
        assert_eq!(read_update(&update("", end, ""), &terms()), Ok(Update::default()));
    }
}

#[test]
fn a_path_of_two_octets_is_completed_from_the_one_of_four() {
    let two = Terms { is_four_octet: false, ..terms() };
    for (attributes, expected) in [
        ("40020802 03 FDE9 5BA0 5BA0 C0110A02 02 00010000 00010001", vec![65001, 65536, 65537]),
        ("40020402 01 FDE9 C0110A02 02 00010000 00010001", vec![65001]),
        ("40020402 01 FDE9 C01103020100", vec![65001]),
    ] {
        let body = update("", &format!("40010100 {attributes} 4003040A000001"), "18CB0071");
        let read = read_update(&body, &two).expect("good");
        assert_eq!(read.path.as_path, expected.into_iter().map(AsNumber).collect::<Vec<_>>());
        assert!(read.malformed.is_none_or(|malformed| !malformed.is_withdrawn) && !read.announced.is_empty());
    }
}

#[test]
fn routes_of_a_malformed_update_count_as_withdrawn() {
    // RFC 7606 §7, each with a prefix that is announced.
    for attributes in [
        "40010103 40020602010000FDE9 4003040A000001",
        "4001020000 40020602010000FDE9 4003040A000001",
        "40010100 400205020100FDE9 4003040A000001",
        "40010100 40020603010000FDE9 4003040A000001",
        "40010100 4002020200 4003040A000001",
        "40010100 40020602010000FDE9 4003030A0000",
        "40010100 40020602010000FDE9",
        "40010100 4003040A000001",
        "40020602010000FDE9 4003040A000001",
        &format!("{PATH} 800403000007"),
        &format!("{PATH} C00800"),
        &format!("{PATH} C00803FDE900"),
        &format!("{PATH} C0100700000000000000"),
        &format!("{PATH} C0200B0000000100000002000000"),
        &format!("{PATH} C02303000001"),
        // Flags that do not fit; an attribute that is longer than all together; octets that are no attribute.
        &format!("{PATH} 40080400000001"),
        "C0010100 40020602010000FDE9 4003040A000001",
        &format!("{PATH} C00808FDE90001"),
        &format!("{PATH} C0"),
        &format!("{PATH} D00800"),
    ] {
        let body = update("18C00002", attributes, "18CB0071");
        let read = read_update(&body, &terms()).expect(attributes);
        assert_eq!(read.withdrawn, [prefix("192.0.2.0/24"), prefix("203.0.113.0/24")], "{attributes}");
        assert!(read.announced.is_empty() && read.malformed.is_some_and(|malformed| malformed.is_withdrawn));
    }
    // Of an internal neighbour LOCAL_PREF is due, and more attributes are looked at.
    let internal = Terms { is_internal: true, ..terms() };
    for more in ["", "400503000064", "40050400000064 800903000001", "40050400000064 800A03000001"] {
        let read = read_update(&update("", &format!("{PATH} {more}"), "18CB0071"), &internal).expect(more);
        assert_eq!(read.withdrawn, [prefix("203.0.113.0/24")], "{more}");
    }
    // The same from an external one is disregarded.
    for more in ["400503000064", "800903000001", "800A03000001"] {
        let read = read_update(&update("", &format!("{PATH} {more}"), "18CB0071"), &terms()).expect(more);
        assert_eq!((read.malformed, read.announced.len()), (None, 1), "{more}");
    }
}

#[test]
fn an_attribute_that_matters_little_is_disregarded_alone() {
    for more in ["40060100", "C007060000FDE90A00", "C0120400000001", "40010101", "C008040000000A C008040000000B"] {
        let read = read_update(&update("", &format!("{PATH} {more}"), "18CB0071"), &terms()).expect(more);
        assert!(read.malformed.is_some_and(|malformed| !malformed.is_withdrawn), "{more}");
        assert_eq!((read.announced.len(), read.withdrawn.len()), (1, 0), "{more}");
    }
}

#[test]
fn the_session_ends_only_where_nothing_more_could_be_read() {
    let reach = "800E0D 0002 01 10 20010DB8";
    for (body, subcode) in [
        // Lengths that do not fit.
        (hex("0005 18C00002 0000"), 1),
        (hex("0000 0005 40010100"), 1),
        (hex("0000 00"), 1),
        // Prefixes that are none: longer than their family, or cut.
        (update("21C0000201", "", ""), 10),
        (update("18C000", "", ""), 10),
        (update("", PATH, "21C000020100"), 10),
        (update("", &format!("800E16 0002 01 10 {} 00 81", "00".repeat(16)), ""), 10),
        // Attributes with prefixes that are cut or there twice.
        (update("", reach, ""), 1),
        (update("", "800E07 0002 01 02 0000 00", ""), 9),
        (update("", "800F02 0002", ""), 9),
        (update("", "800F05 0002 01 81 00", ""), 9),
        (update("", "800F03000201 800F03000201", ""), 1),
        // An attribute that all should know.
        (update("", &format!("{PATH} 40630100"), "18CB0071"), 2),
        // Malformed, and no prefix is announced, so that there may be one that was not seen (RFC 7606 §5.2).
        (update("", "40010103", ""), 1),
        (update("18C00002", "40010103", ""), 1),
    ] {
        let error = read_update(&body, &terms()).expect_err("the session ends");
        assert_eq!((error.code, error.subcode), (3, subcode), "{body:02X?}");
    }
}

#[test]
fn families_that_the_session_does_not_have_are_not_read() {
    let ipv4 = Terms { families: Families { ipv4: true, ipv6: false }, ..terms() };
    let reach = format!("800E1A 0002 01 10 {} 00 2020010DB8 {PATH}", "20".repeat(16));
    let read = read_update(&update("", &reach, "18CB0071"), &ipv4).expect("good");
    assert_eq!((read.announced.len(), read.announced[0].prefixes.as_slice()), (1, &[prefix("203.0.113.0/24")][..]));
    // A family that nobody here knows, with a next hop of any length.
    let body = update("", &format!("800E07 4004 47 01 AA 00 BB {PATH}"), "");
    let read = read_update(&body, &terms()).expect("good");
    assert_eq!((read.announced.len(), read.malformed), (0, None));
}
