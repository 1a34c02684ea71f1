//! Questions as they are asked, and replies octet by octet.

use super::*;

fn name(text: &str) -> SharedName {
    text.parse::<Name>().expect("a name").as_ref().into()
}

fn lookup(rtype: Type) -> Lookup {
    Lookup { name: name("child._dsync.example."), rtype, id: 0xABCD }
}

/// A record whose owner is a pointer to `owner_at`.
fn record(owner_at: u8, rtype: Type, rdata: &[u8]) -> Vec<u8> {
    let mut record = vec![0xC0, owner_at];
    record.extend_from_slice(&rtype.0.to_be_bytes());
    record.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
    record.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    record.extend_from_slice(rdata);
    record
}

/// A reply with that RCODE and these records in answer and authority section.
fn reply(of: &Lookup, rcode: u8, answer: &[Vec<u8>], authority: &[Vec<u8>]) -> Vec<u8> {
    let message = of.message();
    let mut reply = message[..message.len() - 11].to_vec();
    (reply[2], reply[3]) = (0x81, 0x80 | rcode);
    (reply[7], reply[9], reply[11]) = (answer.len() as u8, authority.len() as u8, 0);
    answer.iter().chain(authority).for_each(|record| reply.extend_from_slice(record));
    reply
}

/// RDATA: CDS, NOTIFY, port 5359, `a.`.
const DSYNC: [u8; 8] = [0, 59, 1, 0x14, 0xEF, 1, b'a', 0];
/// RDATA of a SOA whose names are the root.
const SOA: [u8; 22] = [0; 22];

#[test]
fn the_question_desires_recursion_and_names_a_size() {
    let message = lookup(Type::DSYNC).message();
    let header = Header::read(&message).expect("a header");
    assert_eq!((header.id, header.flags, header.counts), (0xABCD, flag::RD, [1, 0, 0, 1]));
    let question = Question::read(&message, |_| {}).expect("a question");
    assert_eq!((question.name.to_string(), question.qtype), ("child._dsync.example.".to_owned(), Type::DSYNC));
    let trailer = crate::wire::message::read_trailer(&message, header, question.end()).expect("records");
    assert_eq!(trailer.edns.expect("an OPT record").payload_bytes_max, PAYLOAD_BYTES);
}

#[test]
fn records_of_the_type_are_found_behind_aliases() {
    let lookup = lookup(Type::DSYNC);
    let alias = record(12, Type::CNAME, &[1, b'a', 0]);
    let found = reply(&lookup, 0, &[alias.clone(), record(25, Type::DSYNC, &DSYNC)], &[record(25, Type::SOA, &SOA)]);
    assert_eq!(lookup.read(&found), Some(Ok(Found::Records(vec![DSYNC.to_vec()]))));
    let dangling = reply(&lookup, 3, &[alias], &[record(25, Type::SOA, &SOA)]);
    assert_eq!(lookup.read(&dangling), Some(Ok(Found::Nothing(Some(name("example."))))));
    let bare = reply(&lookup, 0, &[], &[]);
    assert_eq!(lookup.read(&bare), Some(Ok(Found::Nothing(None))));
}

#[test]
fn what_is_no_reply_to_the_question_is_passed_over() {
    let lookup = lookup(Type::DSYNC);
    let good = reply(&lookup, 0, &[record(12, Type::DSYNC, &DSYNC)], &[]);
    let others: [fn(&mut Vec<u8>); 5] = [
        |message| message[1] ^= 1,          // another ID
        |message| message[2] = 1,           // a query
        |message| message[13] = b'x',       // another name
        |message| message[12 + 22 + 1] = 1, // another type
        |message| message.truncate(11),     // no header
    ];
    for change in others {
        let mut message = good.clone();
        change(&mut message);
        assert_eq!(lookup.read(&message), None, "{message:02x?}");
    }
    let mut cased = good.clone();
    cased[13] = b'C';
    assert!(matches!(lookup.read(&cased), Some(Ok(Found::Records(_)))), "letter case says nothing");
}

#[test]
fn replies_that_say_nothing_say_why() {
    let lookup = lookup(Type::DSYNC);
    assert_eq!(lookup.read(&reply(&lookup, 2, &[], &[])), Some(Err(LookupFault::Rcode(2))));
    let mut bare = reply(&lookup, 5, &[], &[])[..12].to_vec();
    bare[5] = 0;
    assert_eq!(lookup.read(&bare), Some(Err(LookupFault::Rcode(5))), "without its question");
    let mut truncated = reply(&lookup, 0, &[], &[]);
    truncated[2] |= 2;
    assert_eq!(lookup.read(&truncated), Some(Err(LookupFault::Truncated)));
    let whole = reply(&lookup, 0, &[record(12, Type::DSYNC, &DSYNC)], &[record(25, Type::SOA, &SOA)]);
    for length in lookup.message().len() - 11..whole.len() {
        let read = lookup.read(&whole[..length]);
        assert!(matches!(read, Some(Err(LookupFault::Malformed) | Ok(Found::Records(_)))), "{length}: {read:?}");
    }
    assert_eq!(lookup.read(&whole[..whole.len() - 40]), Some(Err(LookupFault::Malformed)));
}
