//! What a secondary makes of what primaries send, however odd or hostile: each deviation that a peer is known for, or
//! that was an error in a peer once, with what is taken or why it is not.

#[path = "transfer_in/primary.rs"]
mod primary;
#[path = "transfer_in/signer.rs"]
mod signer;

use std::sync::Arc;
use std::time::Instant;

use fated::transfer::{Request, TransferLimits, write_request};
use fated::wire::tsig::{Algorithm, Key, Signer};
use fated::wire::{Name, Type};

use primary::{APEX, ID, Message, NOW, Secondary, encoded, messages, octets, outcome, records};
use signer::{Odd, PLAIN, Signing};

/// Checks rows of a name, a stream and what becomes of it.
fn check(serial: Option<u32>, rows: &[(&str, &str, &str)]) {
    let wrong: Vec<String> = rows
        .iter()
        .map(|(name, stream, expected)| (name, outcome(Secondary::new(serial), &octets(&messages(stream))), expected))
        .filter(|(_, found, expected)| found != *expected)
        .map(|(name, found, expected)| format!("{name}\n     got {found}\n  wanted {expected}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

const UNFINISHED: &str = "the SOA is missing at the end";
const NO_RESPONSE: &str = "the message is no response to the question";
const MALFORMED: &str = "a message cannot be read";
const NO_SOA: &str = "the first record is not the SOA of the zone";
const OTHER_SOA: &str = "the last SOA differs from the first";
const BEHIND_END: &str = "records stand behind the last SOA";
const ERRORS: &str = "whole: it has errors";

#[test]
fn a_whole_zone_is_taken_in_any_form_that_says_it_and_in_no_other() {
    check(
        None,
        &[
            ("as most send it", "S7; @ NS ns; ns A 192.0.2.1; S7", "whole: S7; @ NS ns; ns A 192.0.2.1"),
            ("as PowerDNS", "S7 / @ NS ns; ns A 192.0.2.1 / S7", "whole: S7; @ NS ns; ns A 192.0.2.1"),
            (
                "one record a message",
                "S7 / @ NS ns / [no-question] a A 192.0.2.1 / S7",
                "whole: S7; @ NS ns; a A 192.0.2.1",
            ),
            ("AA clear, no question", "[no-aa no-question] S7; @ NS ns; S7", "whole: S7; @ NS ns"),
            ("the question of IXFR", "[ixfr] S7; @ NS ns; S7", "whole: S7; @ NS ns"),
            ("with OPT", "[opt] S7; @ NS ns; S7", "whole: S7; @ NS ns"),
            ("SOA twice and nothing", "S7; S7", "whole: S7"),
            ("messages without records", "S7 /  /  / @ NS ns /  / S7", "whole: S7; @ NS ns"),
            ("a record in authority", "[authority] S7; @ NS ns; S7", "whole: S7; @ NS ns"),
            ("a record twice", "S7; @ NS ns; a A 192.0.2.1; a A 192.0.2.1; S7", "whole: S7; @ NS ns; a A 192.0.2.1"),
            (
                "the lowest TTL of an RRset",
                "S7; @ NS ns; a 600 A 192.0.2.2; a 60 A 192.0.2.1; S7",
                "whole: S7; @ NS ns; a 60 A 192.0.2.1; a 60 A 192.0.2.2",
            ),
            (
                "the lowest TTL of a record",
                "S7; @ NS ns; a 60 A 192.0.2.2; b A 192.0.2.3; a 50 A 192.0.2.2; S7",
                "whole: S7; @ NS ns; a 50 A 192.0.2.2; b A 192.0.2.3",
            ),
            (
                "names of others",
                "S7; a.other. A 192.0.2.9; @ NS ns; . NS ns; xtest. A 192.0.2.9; S7",
                "whole: S7; @ NS ns (3 dropped)",
            ),
            ("other case", "S7; @ NS NS; Ns A 192.0.2.1; S7", "whole: S7; @ NS NS; Ns A 192.0.2.1"),
            (
                "the last SOA in other case",
                "S7; @ NS ns; @ SOA NS.TEST. Admin 7 3600 600 86400 60",
                "whole: S7; @ NS ns",
            ),
            ("no records", "", NO_SOA),
            ("another first", "@ NS ns; S7; S7", NO_SOA),
            ("a foreign one first", "a.other. A 192.0.2.9; S7; @ NS ns; S7", NO_SOA),
            ("the SOA of another zone first", "other. SOA a b 1 2 3 4 5; S7; S7", NO_SOA),
            ("cut", "S7; @ NS ns / a A 192.0.2.1", UNFINISHED),
            ("nothing behind the SOA", "S7", UNFINISHED),
            ("another serial at the end", "S7; @ NS ns; S8", OTHER_SOA),
            ("another mailbox at the end", "S7; @ NS ns; @ SOA ns other 7 3600 600 86400 60", OTHER_SOA),
            ("another TTL at the end", "S7; @ NS ns; @ 60 SOA ns admin 7 3600 600 86400 60", OTHER_SOA),
            ("a SOA in the middle", "S7; @ NS ns; S6; a A 192.0.2.1; S7", OTHER_SOA),
            ("a SOA further down", "S7; @ NS ns; a SOA ns admin 7 3600 600 86400 60; S7", ERRORS),
            ("behind the end", "S7; @ NS ns; S7; a A 192.0.2.1", BEHIND_END),
            ("a foreign one behind the end", "S7; @ NS ns; S7; a.other. A 192.0.2.1", BEHIND_END),
        ],
    );
}

#[test]
fn what_is_no_response_or_a_refusal_is_told_apart() {
    check(
        None,
        &[
            ("another ID", "[id] S7; @ NS ns; S7", NO_RESPONSE),
            ("another ID later", "S7; @ NS ns / [id] S7", NO_RESPONSE),
            ("a query", "[query] S7; @ NS ns; S7", NO_RESPONSE),
            ("another OPCODE", "[notify] S7; @ NS ns; S7", NO_RESPONSE),
            ("another zone asked for", "[asks-other] S7; @ NS ns; S7", NO_RESPONSE),
            ("another type asked for", "[asks-soa] S7; @ NS ns; S7", NO_RESPONSE),
            ("another class asked for", "[asks-chaos] S7; @ NS ns; S7", NO_RESPONSE),
            ("another zone asked for later", "S7; @ NS ns / [asks-other] S7", NO_RESPONSE),
            ("two questions", "[asks-twice] S7; @ NS ns; S7", MALFORMED),
            ("two OPT records", "[two-opts] S7; @ NS ns; S7", MALFORMED),
            ("TC", "[tc] S7; @ NS ns; S7", "a message is truncated"),
            ("TC later", "S7; @ NS ns / [tc] S7", "a message is truncated"),
            ("FORMERR", "[rcode=1] ", "the primary answers FORMERR"),
            ("FORMERR without a question", "[rcode=1 no-question] ", "the primary answers FORMERR"),
            ("SERVFAIL", "[rcode=2] ", "the primary answers SERVFAIL"),
            ("NXDOMAIN", "[rcode=3] ", "the primary answers NXDOMAIN"),
            ("NOTIMP", "[rcode=4] ", "the primary answers NOTIMP"),
            ("REFUSED", "[rcode=5] ", "the primary answers REFUSED"),
            ("NOTAUTH", "[rcode=9] ", "the primary answers NOTAUTH"),
            ("another", "[rcode=11] ", "the primary answers with RCODE 11"),
            ("BADVERS", "[badvers] ", "the primary answers BADVERS"),
            ("SERVFAIL with records", "[rcode=2] S7; @ NS ns; S7", "the primary answers SERVFAIL"),
            ("SERVFAIL later", "S7; @ NS ns / [rcode=2] ", "the primary answers SERVFAIL"),
        ],
    );
}

#[test]
fn changes_are_taken_exactly_or_not_at_all() {
    check(
        Some(5),
        &[
            (
                "one step",
                "S6; S5; www A 192.0.2.1; S6; www A 192.0.2.2; S6",
                "changes: S6; @ NS ns; ns A 192.0.2.53; www A 192.0.2.2",
            ),
            ("one record a message", "S6 / S5 / www A 192.0.2.1 / S6 / S6", "changes: S6; @ NS ns; ns A 192.0.2.53"),
            (
                "two steps, one taken back",
                "S9; S5; www A 192.0.2.1; S7; a TXT x; S7; a TXT x; S9; www A 192.0.2.1; S9",
                "changes: S9; @ NS ns; ns A 192.0.2.53; www A 192.0.2.1",
            ),
            ("the SOA alone", "S6; S5; S6; S6", "changes: S6; @ NS ns; ns A 192.0.2.53; www A 192.0.2.1"),
            ("nothing new", "S5", "current"),
            ("an older one", "S4", "the primary has serial 4, which is before ours"),
            ("a newer one and no more", "S6", UNFINISHED),
            ("the whole zone", "S6; @ NS ns; S6", "whole: S6; @ NS ns"),
            ("the whole zone as PowerDNS", "S6 / @ NS ns / S6", "whole: S6; @ NS ns"),
            ("the whole zone, SOA twice and nothing", "S6; S6", "whole: S6"),
            ("the whole zone, not newer", "S5; @ NS ns; S5", "whole: S5; @ NS ns"),
            ("the whole zone, older", "S4; @ NS ns; S4", "the primary has serial 4, which is before ours"),
            (
                "another serial first",
                "S6; S4; www A 192.0.2.1; S6; S6",
                "the SOA with serial 4 stands where serial 5 must be",
            ),
            (
                "another SOA of our serial first",
                "S6; @ SOA ns other 5 3600 600 86400 60; S6; S6",
                "changes: the changes begin at another SOA than ours",
            ),
            (
                "our SOA in other case first",
                "S6; @ SOA NS.Test. ADMIN 5 3600 600 86400 60; www A 192.0.2.1; S6; S6",
                "changes: S6; @ NS ns; ns A 192.0.2.53",
            ),
            ("back to an older serial", "S4; S5; S4; S4", "the primary has serial 4, which is before ours"),
            ("a step back inside", "S9; S5; S7; S7; S6; S9", "the SOA with serial 6 stands where serial 8 must be"),
            ("a gap inside", "S9; S5; S6; S7; S9; S9", "the SOA with serial 7 stands where serial 6 must be"),
            (
                "a step beyond the last",
                "S7; S5; S9; S9; S7; S7",
                "the SOA with serial 7 stands where serial 10 must be",
            ),
            ("it stops short", "S9; S5; S6; a TXT x; S6", UNFINISHED),
            ("it stops among what goes", "S9; S5; www A 192.0.2.1", UNFINISHED),
            ("another SOA at the end", "S6; S5; S6; @ SOA ns other 6 3600 600 86400 60", OTHER_SOA),
            ("another SOA of the last serial inside", "S6; S5; @ SOA ns other 6 3600 600 86400 60; S6", OTHER_SOA),
            ("behind the end", "S6; S5; S6; S6; a TXT x", BEHIND_END),
        ],
    );
}

#[test]
fn records_of_changes_are_compared_with_those_of_the_zone() {
    check(
        Some(5),
        &[
            (
                "a record goes that is not there",
                "S6; S5; a TXT x; S6; S6",
                "changes: the zone does not have the record, which a change says that it has not",
            ),
            (
                "a record comes that is there",
                "S6; S5; S6; www A 192.0.2.1; S6",
                "changes: the zone has the record already, which a change says that it has not",
            ),
            (
                "a record comes twice",
                "S6; S5; S6; a TXT x; a TXT x; S6",
                "changes: the zone has the record already, which a change says that it has not",
            ),
            ("another TTL goes", "S6; S5; www 60 A 192.0.2.1; S6; S6", "changes: S6; @ NS ns; ns A 192.0.2.53"),
            (
                "a lower TTL comes",
                "S6; S5; S6; www 60 A 192.0.2.2; S6",
                "changes: S6; @ NS ns; ns A 192.0.2.53; www 60 A 192.0.2.1; www 60 A 192.0.2.2",
            ),
            (
                "a higher TTL comes",
                "S6; S5; S6; www 900 A 192.0.2.2; S6",
                "changes: S6; @ NS ns; ns A 192.0.2.53; www A 192.0.2.1; www A 192.0.2.2",
            ),
            (
                "a new TTL of all",
                "S6; S5; www A 192.0.2.1; S6; www 900 A 192.0.2.1; S6",
                "changes: S6; @ NS ns; ns A 192.0.2.53; www 900 A 192.0.2.1",
            ),
            (
                "names of others",
                "S6; S5; a.other. A 192.0.2.1; S6; www.other. A 192.0.2.1; S6",
                "changes: S6; @ NS ns; ns A 192.0.2.53; www A 192.0.2.1 (2 dropped)",
            ),
            (
                "a CNAME beside data",
                "S6; S5; S6; www CNAME ns; S6",
                "changes: the version that the changes make has errors",
            ),
            (
                "a SOA further down",
                "S6; S5; S6; www SOA ns admin 6 3600 600 86400 60; S6",
                "changes: the version that the changes make has errors",
            ),
        ],
    );
}

#[test]
fn what_a_zone_file_is_refused_for_is_refused_here_too() {
    check(
        None,
        &[
            ("a CNAME beside data", "S7; @ NS ns; a CNAME b; a A 192.0.2.1; S7", ERRORS),
            ("two CNAMEs", "S7; @ NS ns; a CNAME b; a CNAME c; S7", ERRORS),
            ("two DNAMEs", "S7; @ NS ns; a DNAME b; a DNAME c; S7", ERRORS),
            ("data below a DNAME", "S7; @ NS ns; a DNAME b; x.a A 192.0.2.1; S7", ERRORS),
        ],
    );
    let whole = |odd: Vec<u8>| {
        let [first, last] = [(); 2].map(|()| records("S7").remove(0));
        outcome(Secondary::new(None), &octets(&[Message::of(vec![first, odd, last])]))
    };
    let owner = b"\x01a\x04test\0";
    for rtype in [0, 41, 128, 249, 251, 252, 255] {
        let found = whole(encoded(owner, rtype, 1, 0, b"x"));
        let is_refused = found == format!("a record of type {}, which no zone has", Type(rtype)) || found == MALFORMED;
        assert!(is_refused, "{rtype}: {found}");
    }
    assert_eq!(whole(encoded(owner, 1, 3, 0, &[1; 4])), "a record of type A is not of class IN");
    assert_eq!(whole(encoded(owner, 1, 255, 0, &[1; 4])), "a record of type A is not of class IN");
    for (rtype, rdata) in [(1, &[1; 3][..]), (28, &[1; 17]), (2, b"\x01a"), (16, b""), (15, b"\0"), (46, &[0; 18])] {
        let found = whole(encoded(owner, rtype, 1, 0, rdata));
        assert_eq!(found, format!("a record of type {} has malformed data", Type(rtype)));
    }
    // RFC 2181 §8: a TTL with the most significant bit counts as zero.
    assert_eq!(whole(encoded(owner, 1, 1, 1 << 31, &[1; 4])), "whole: S7; a 0 A 1.1.1.1");
    assert_eq!(whole(encoded(owner, 1, 1, (1 << 31) - 1, &[1; 4])), "whole: S7; a 2147483647 A 1.1.1.1");
    // Type 99 is SPF, and a number of no standard is kept as it is.
    assert_eq!(whole(encoded(owner, 65_401, 1, 300, b"\x01")), "whole: S7; a TYPE65401 \\# 1 01");
    // The largest record that a message holds: no reply could hold it with its owner.
    let question = 12 + 10 + records("S7").remove(0).len();
    let bytes = 65_535 - question - owner.len() - 10;
    let alone = Message::of(vec![records("S7").remove(0), encoded(owner, 65_280, 1, 300, &vec![1; bytes])]);
    assert_eq!(alone.octets().len(), 65_535);
    let stream = octets(&[alone, Message::of(records("S7"))]);
    assert!(outcome(Secondary::new(None), &stream).starts_with("whole: S7; a TYPE65280"));
}

#[test]
fn names_that_loop_point_ahead_or_are_too_long_cannot_be_read() {
    let soa = records("S7").remove(0);
    let start = Message::of(vec![soa.clone()]).octets().len();
    let ahead = |at: usize| (0xC000 | u16::try_from(at).expect("near")).to_be_bytes();
    let labels: Vec<u8> = [&[63; 64][..]; 4].concat();
    for owner in [
        ahead(start).to_vec(),
        ahead(start + 2).to_vec(),
        ahead(0x3FFF).to_vec(),
        [&[1, b'a'][..], &ahead(start)].concat(),
        b"\x40".to_vec(),
        b"\x80a".to_vec(),
        [&labels, &[0][..]].concat(),
    ] {
        let record = encoded(&owner, 1, 1, 300, &[1; 4]);
        let stream = octets(&[Message::of(vec![soa.clone(), record, soa.clone()])]);
        assert_eq!(outcome(Secondary::new(None), &stream), MALFORMED, "{owner:?}");
    }
    // Each octet less of a good message is an error or an end that is missing.
    let whole = octets(&messages("S7; @ NS ns; mail MX 10 mail; S7")).remove(0);
    for end in 0..whole.len() {
        let found = outcome(Secondary::new(None), &[whole[..end].to_vec()]);
        assert!(found == MALFORMED || found == NO_RESPONSE, "{end}: {found}");
    }
    assert_eq!(outcome(Secondary::new(None), &[[&whole[..], b"more"].concat()]), "whole: S7; @ NS ns; mail MX 10 mail");
}

/// A message of 64 KiB that is as dear as can be: records of 16 octets with three names each, at the end of pointers to
/// pointers, or of 255 octets.
fn bomb(first: &str, has_long_names: bool) -> Vec<u8> {
    let first = records(first).remove(0);
    let rdata_at = Message::of(vec![first.clone()]).octets().len() + 6 + 10;
    let mut rdata = vec![1, b'x', 4, b't', b'e', b's', b't', 0];
    let mut last = rdata_at;
    if has_long_names {
        last = rdata_at + 8;
        [60_u8, 61, 62, 60]
            .iter()
            .for_each(|length| rdata.extend(std::iter::repeat_n(*length, 1 + usize::from(*length))));
        rdata.truncate(8 + 246);
        rdata[8 + 61 + 62 + 63] = 59;
        rdata.extend((0xC000 | u16::try_from(rdata_at + 2).expect("near")).to_be_bytes());
    } else {
        while rdata_at + rdata.len() < 0x3FFE {
            let here = rdata_at + rdata.len();
            rdata.extend((0xC000 | u16::try_from(last).expect("near")).to_be_bytes());
            last = here;
        }
    }
    let pointer = (0xC000 | u16::try_from(last).expect("near")).to_be_bytes();
    let mut answers = vec![first, encoded(b"\x04test\0", 65_280, 1, 300, &rdata)];
    let room = 65_535 - Message::of(answers.clone()).octets().len();
    let minfo = encoded(&pointer, 14, 1, 300, &[pointer, pointer].concat());
    answers.extend(vec![minfo; room / 16]);
    Message::of(answers).octets()
}

#[test]
fn names_that_are_dear_to_read_are_bounded_in_work_and_memory() {
    let dear = bomb("S7", false);
    let start = Instant::now();
    assert_eq!(outcome(Secondary::new(None), &[dear]), MALFORMED, "thousands of pointers to one name");
    let grown = bomb("a A 192.0.2.1", true);
    // A hundred messages of 64 KiB grow to 24 times as many octets in memory: that counts, and not the messages.
    let limits = TransferLimits { octets_max: 16 << 20, ..TransferLimits::DEFAULT };
    let mut stream = octets(&messages("S7"));
    stream.extend(vec![grown; 100]);
    let found = outcome(Secondary { limits, ..Secondary::new(None) }, &stream);
    assert_eq!(found, "the transfer has more than 16777216 octets (transfer-octets-max)");
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

#[test]
fn what_never_ends_does() {
    let whole = Secondary::new(None);
    let mut empty = octets(&messages("S7; @ NS ns"));
    empty.extend(vec![octets(&messages("")).remove(0); 101]);
    assert_eq!(outcome(whole, &empty), "more than 100 messages have no record");
    let records_max = 1000;
    let limits = TransferLimits { records_max, ..TransferLimits::DEFAULT };
    let mut many = octets(&messages("S7"));
    many.extend(vec![octets(&messages("a A 192.0.2.1; b A 192.0.2.1; c A 192.0.2.1")).remove(0); 500]);
    let found = outcome(Secondary { limits, ..Secondary::new(None) }, &many);
    assert_eq!(found, "the transfer has more than 1000 records (transfer-records-max)");
    // Changes too, and those that were dropped.
    let mut many = octets(&messages("S7; S5"));
    many.extend(vec![octets(&messages("a.other. A 192.0.2.1")).remove(0); 1500]);
    let found = outcome(Secondary { limits, ..Secondary::new(Some(5)) }, &many);
    assert_eq!(found, "the transfer has more than 1000 records (transfer-records-max)");
    let limits = TransferLimits { octets_max: 10_000, ..TransferLimits::DEFAULT };
    let found = outcome(Secondary { limits, ..Secondary::new(Some(5)) }, &many);
    assert_eq!(found, "the transfer has more than 10000 octets (transfer-octets-max)");
}

#[test]
fn many_records_of_one_owner_cost_what_they_are() {
    let start = Instant::now();
    let soa = |serial| records(&format!("S{serial}")).remove(0);
    let mut stream = octets(&[Message::of(vec![soa(6), soa(5), soa(6)])]);
    for high in 0..300_u16 {
        let record = |low: u16| {
            let [high, low] = [high, low].map(u16::to_be_bytes);
            encoded(b"\x01a\x04test\0", 1, 1, 300, &[high, low].concat())
        };
        stream.push(Message::of((0..1000).map(record).collect()).octets());
    }
    stream.extend(octets(&messages("S6")));
    let found = outcome(Secondary::new(Some(5)), &stream);
    assert_eq!(found, "changes: the version that the changes make has errors", "no reply holds such an RRset");
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

/// A request that is signed, and what it was signed with.
fn request() -> (Vec<u8>, Signer) {
    let name: Name = "key.".parse().expect("a good name");
    let apex: Name = APEX.parse().expect("a good name");
    let mut signer = Signer::of_request(Arc::new(Key::new(name.as_ref(), Algorithm::Sha256, b"secret")));
    (write_request(Request::Whole, apex.as_ref(), ID, Some(&mut signer), NOW), signer)
}

/// What becomes of a stream of which each message is signed as `odd` says, or not where that is `None`.
fn signed(stream: &str, odd: impl Fn(usize) -> Option<Odd>) -> String {
    let (request, signer) = request();
    let mut signing = Signing::of(&request);
    let stream: Vec<Vec<u8>> = messages(stream)
        .iter()
        .enumerate()
        .map(|(index, message)| match odd(index) {
            Some(odd) => signing.sign(message, &odd),
            None => signing.leave(message),
        })
        .collect();
    outcome(Secondary::signed(&signer), &stream)
}

const STREAM: &str = "S7; @ NS ns / a A 192.0.2.1 / b A 192.0.2.2 / S7";
const TAKEN: &str = "whole: S7; @ NS ns; a A 192.0.2.1; b A 192.0.2.2";
const NOT_SIGNED: &str = "the message is not signed";
const BADSIG: &str = "the MAC is wrong (BADSIG)";
const BADKEY: &str = "the key or its algorithm is not known (BADKEY)";
const BADTIME: &str = "the clocks differ by more than the fudge (BADTIME)";

#[test]
fn signed_transfers_are_taken_if_their_first_and_last_messages_are_signed() {
    assert_eq!(signed(STREAM, |_| Some(PLAIN)), TAKEN);
    assert_eq!(signed(STREAM, |_| Some(Odd { key: b"\x03KEY\0", ..PLAIN })), TAKEN, "letter case says nothing");
    assert_eq!(signed(STREAM, |index| (index % 3 == 0).then_some(PLAIN)), TAKEN);
    assert_eq!(signed(STREAM, |index| (index > 0).then_some(PLAIN)), NOT_SIGNED);
    assert_eq!(signed(STREAM, |index| (index < 3).then_some(PLAIN)), NOT_SIGNED);
    assert_eq!(signed("S7; @ NS ns; S7", |_| None), NOT_SIGNED);
    let long = |count: usize| format!("S7; @ NS ns{} / S7", " / a A 192.0.2.1".repeat(count));
    let ends = |count: usize| move |index: usize| (index == 0 || index == count + 1).then_some(PLAIN);
    assert_eq!(signed(&long(99), ends(99)), "whole: S7; @ NS ns; a A 192.0.2.1");
    assert_eq!(signed(&long(100), ends(100)), "more than 99 messages in a row are not signed");
}

#[test]
fn a_wrong_signature_ends_a_transfer_at_any_message() {
    for at in 0..4 {
        let odd = |odd: Odd| signed(STREAM, move |index| Some(if index == at { odd.clone() } else { PLAIN }));
        assert_eq!(odd(Odd { is_changed: true, ..PLAIN }), BADSIG, "{at}");
        assert_eq!(odd(Odd { secret: b"other", ..PLAIN }), BADSIG, "{at}");
        assert_eq!(odd(Odd { mac_bytes: 16, ..PLAIN }), BADSIG, "{at}: no truncated MACs");
        assert_eq!(odd(Odd { mac_bytes: 0, ..PLAIN }), BADSIG, "{at}");
        assert_eq!(odd(Odd { key: b"\x05other\0", ..PLAIN }), BADKEY, "{at}");
        assert_eq!(odd(Odd { algorithm: b"\x0bhmac-sha512\0", ..PLAIN }), BADKEY, "{at}");
        assert_eq!(odd(Odd { time: NOW - 301, ..PLAIN }), BADTIME, "{at}");
        assert_eq!(odd(Odd { time: NOW + 301, ..PLAIN }), BADTIME, "{at}");
        assert_eq!(odd(Odd { time: NOW + 300, ..PLAIN }), TAKEN, "{at}");
    }
    // Signed for itself, or for another request.
    let (request, signer) = request();
    let other = [&request[..request.len() - 8], &[1, 1], &request[request.len() - 6..]].concat();
    let mut signing = Signing::of(&other);
    let stream: Vec<Vec<u8>> = messages(STREAM).iter().map(|message| signing.sign(message, &PLAIN)).collect();
    assert_eq!(outcome(Secondary::signed(&signer), &stream), BADSIG);
    // In another order, and one left out.
    let mut signing = Signing::of(&request);
    let mut stream: Vec<Vec<u8>> = messages(STREAM).iter().map(|message| signing.sign(message, &PLAIN)).collect();
    stream.swap(1, 2);
    assert_eq!(outcome(Secondary::signed(&signer), &stream), BADSIG);
    stream.remove(1);
    assert_eq!(outcome(Secondary::signed(&signer), &stream), BADSIG);
}

#[test]
fn refusals_of_signatures_are_shown_as_the_primary_says_them() {
    let refused = |error: u16, other: &'static [u8], mac_bytes: usize| {
        signed("[rcode=9] ", move |_| Some(Odd { error, other, mac_bytes, ..PLAIN }))
    };
    assert_eq!(refused(17, &[], 0), "the peer refuses the signature (TSIG error 17)", "BADKEY");
    assert_eq!(refused(16, &[], 0), "the peer refuses the signature (TSIG error 16)", "BADSIG");
    assert_eq!(
        refused(18, &[0, 0, 0x6B, 0x49, 0xD2, 0], 0),
        "the peer refuses the signature (TSIG error 18)",
        "as NSD"
    );
    assert_eq!(
        refused(18, &[0, 0, 0x6B, 0x49, 0xD2, 0], 32),
        "the peer refuses the signature (TSIG error 18)",
        "as Knot"
    );
    assert_eq!(signed("[rcode=9] ", |_| None), "the primary answers NOTAUTH", "as PowerDNS");
    assert_eq!(signed("[rcode=5] ", |_| None), "the primary answers REFUSED", "as NSD for another algorithm");
    assert_eq!(signed("[rcode=5] ", |_| Some(PLAIN)), "the primary answers REFUSED");
    // Who was not asked to sign has not understood the question.
    let mut signing = Signing::of(&request().0);
    let stream: Vec<Vec<u8>> = messages(STREAM).iter().map(|message| signing.sign(message, &PLAIN)).collect();
    assert_eq!(outcome(Secondary::new(None), &stream), NO_RESPONSE);
    let mut signing = Signing::of(&request().0);
    let stream: Vec<Vec<u8>> = messages("[rcode=9] ").iter().map(|message| signing.sign(message, &PLAIN)).collect();
    assert_eq!(outcome(Secondary::new(None), &stream), "the primary answers NOTAUTH");
}
