//! The notifier in fake time, against servers that are functions.

use super::*;
use crate::wire::message::flag;
use crate::wire::tsig::{Algorithm, BADKEY, Key, Tsig, verify_request};
use crate::wire::{Name, NameRef};

/// The seconds since the Unix epoch.
const UNIX_S: u64 = 1_800_000_000;

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn zone(text: &str) -> SharedName {
    SharedName::from(name(text).as_ref())
}

fn soa(serial: u32) -> Arc<Soa> {
    Arc::new(Soa::new(3600, &[&[0, 0][..], &serial.to_be_bytes(), &[0; 16]].concat()).expect("a SOA"))
}

fn key(secret: &[u8]) -> Arc<Key> {
    Arc::new(Key::new(name("key.").as_ref(), Algorithm::Sha256, secret))
}

fn server(number: u8, key: Option<&Arc<Key>>) -> Peer {
    Peer { address: SocketAddr::from(([192, 0, 2, number], 53)), key: key.cloned(), tls: None }
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// All that is sent at that time: to whom, and what.
fn sent(notifier: &mut Notifier, now: Duration) -> Vec<(SocketAddr, Vec<u8>)> {
    let step = || match notifier.next_step(now, UNIX_S, 7)? {
        NotifyStep::Send(server, message) => Some((server, message)),
        NotifyStep::End(ended) => panic!("{ended:?}"),
    };
    std::iter::from_fn(step).collect()
}

/// The serial of the SOA in a notification.
fn serial(message: &[u8]) -> u32 {
    let question = Question::read(message, |_| {}).expect("a question");
    let rdata_at = question.end() + 12;
    u32::from_be_bytes(*message[rdata_at + 2..].first_chunk().expect("a SOA"))
}

/// The reply to a notification: its header and question.
fn reply(message: &[u8], rcode: u8) -> Vec<u8> {
    let end = Question::read(message, |_| {}).expect("a question").end();
    let mut reply = message[..end].to_vec();
    reply[2] |= 0x80;
    reply[3] = rcode;
    reply[6..12].fill(0);
    reply
}

/// The reply, signed by who has read the request with a key.
fn signed_reply(message: &[u8], rcode: u8, key: &Arc<Key>) -> Vec<u8> {
    let header = Header::read(message).expect("a header");
    let question = Question::read(message, |_| {}).expect("a question");
    let trailer = read_trailer(message, header, question.end()).expect("records");
    let (at, tsig) = trailer.tsig_at.zip(trailer.tsig(message)).expect("it is signed");
    let at = at.get().into();
    let mut signer = verify_request(Some(key), message, at, &tsig, UNIX_S).expect("it is signed with that key");
    let mut reply = reply(message, rcode);
    let length = reply.len();
    reply.resize(length + signer.record_bytes_max(), 0);
    let end = signer.sign(&mut reply, length, UNIX_S);
    reply.truncate(end);
    reply
}

fn outcome(notified: Option<Notified>) -> Option<NotifyOutcome> {
    notified.map(|notified| notified.outcome)
}

#[test]
fn every_server_is_told_at_once_with_the_soa_in_the_answer_section() {
    let mut notifier = Notifier::default();
    assert_eq!(notifier.deadline(), None);
    let servers = [server(1, None), server(2, None)];
    assert_eq!(notifier.tell(&zone("a.test."), &soa(5), &servers, Occasion::Change), 0);
    assert_eq!(notifier.deadline(), Some(Duration::ZERO));
    let messages = sent(&mut notifier, ms(1000));
    assert_eq!(messages.iter().map(|(to, _)| *to).collect::<Vec<_>>(), servers.map(|server| server.address));
    let (_, message) = &messages[0];
    let header = Header::read(message).expect("a header");
    assert_eq!((header.opcode(), header.counts), (opcode::NOTIFY, [1, 1, 0, 0]));
    assert_eq!((header.flags & flag::AA, serial(message)), (flag::AA, 5));
    assert_eq!(notifier.deadline(), Some(ms(1500)));
    for (server, message) in &messages {
        let ended = notifier.take_reply(*server, &reply(message, 0), UNIX_S).expect("that is the reply");
        assert_eq!((ended.zone, ended.server), (zone("a.test."), *server));
        assert_eq!(ended.outcome, NotifyOutcome::Acknowledged);
    }
    assert_eq!(notifier.deadline(), None, "nothing is left");
    assert!(notifier.by_id.is_empty() && notifier.by_server.is_empty());
}

#[test]
fn who_is_silent_is_told_five_times_twice_as_far_apart_each_time() {
    let mut notifier = Notifier::default();
    notifier.tell(&zone("a.test."), &soa(5), &[server(1, None)], Occasion::Start);
    let first = sent(&mut notifier, ms(0));
    for due in [500, 1500, 3500, 7500] {
        assert_eq!(notifier.deadline(), Some(ms(due)));
        assert_eq!(sent(&mut notifier, ms(due - 1)), []);
        assert_eq!(sent(&mut notifier, ms(due)), first, "the same octets, so that a late reply fits");
    }
    assert!(notifier.next_step(ms(15_499), UNIX_S, 0).is_none());
    let Some(NotifyStep::End(ended)) = notifier.next_step(ms(15_500), UNIX_S, 0) else { panic!("it goes on") };
    assert_eq!(ended.outcome, NotifyOutcome::GivenUp(None));
    assert_eq!(notifier.deadline(), None);
    assert!(notifier.take_reply(first[0].0, &reply(&first[0].1, 0), UNIX_S).is_none(), "too late");
}

#[test]
fn a_reply_counts_by_its_id_address_and_question() {
    let mut notifier = Notifier::default();
    notifier.tell(&zone("a.test."), &soa(5), &[server(1, None)], Occasion::Change);
    let (to, message) = sent(&mut notifier, ms(0)).remove(0);
    let right = reply(&message, 0);
    let changed = |at: usize, octet: u8| {
        let mut wrong = right.clone();
        wrong[at] ^= octet;
        wrong
    };
    let wrong = [
        ("another ID", to, changed(1, 1)),
        ("another address", server(2, None).address, right.clone()),
        ("another port", SocketAddr::new(to.ip(), 54), right.clone()),
        ("a query", to, changed(2, 0x80)),
        ("another opcode", to, changed(2, 0x08)),
        ("another zone", to, changed(HEADER_BYTES + 1, 1)),
        ("another type", to, changed(right.len() - 3, 1)),
        ("no question", to, [&right[..4], &[0; 8]].concat()),
        ("no header", to, right[..11].to_vec()),
        ("a record short", to, changed(11, 1)),
    ];
    for (what, from, message) in wrong {
        assert!(notifier.take_reply(from, &message, UNIX_S).is_none(), "{what}");
    }
    let mut upper = right;
    upper[HEADER_BYTES..].make_ascii_uppercase();
    assert_eq!(outcome(notifier.take_reply(to, &upper, UNIX_S)), Some(NotifyOutcome::Acknowledged));
}

#[test]
fn who_refuses_is_told_once_with_or_without_the_question() {
    for (rcode, has_question) in [(4, true), (5, true), (5, false), (9, true), (3, false)] {
        let mut notifier = Notifier::default();
        notifier.tell(&zone("a.test."), &soa(5), &[server(1, None)], Occasion::Change);
        let (to, message) = sent(&mut notifier, ms(0)).remove(0);
        let mut refusal = reply(&message, rcode);
        if !has_question {
            refusal.truncate(HEADER_BYTES);
            refusal[5] = 0;
        }
        let refused = NotifyOutcome::Refused(NotifyFault::Rcode(rcode.into()));
        assert_eq!(outcome(notifier.take_reply(to, &refusal, UNIX_S)), Some(refused));
        assert_eq!(notifier.deadline(), None);
    }
}

#[test]
fn a_newer_version_takes_the_place_of_what_waits_and_of_what_was_not_answered() {
    let mut notifier = Notifier::default();
    let servers = [server(1, None)];
    notifier.tell(&zone("a.test."), &soa(5), &servers, Occasion::Change);
    notifier.tell(&zone("a.test."), &soa(6), &servers, Occasion::Change);
    let first = sent(&mut notifier, ms(0));
    assert_eq!(first.iter().map(|(_, message)| serial(message)).collect::<Vec<_>>(), [6]);
    notifier.tell(&zone("A.test."), &soa(7), &servers, Occasion::Change);
    let second = sent(&mut notifier, ms(200));
    assert_eq!(second.iter().map(|(_, message)| serial(message)).collect::<Vec<_>>(), [7]);
    assert_eq!(sent(&mut notifier, ms(500)), [], "the older one is not sent again");
    assert_eq!(sent(&mut notifier, ms(700)), second);
    let (to, message) = &second[0];
    assert_eq!(outcome(notifier.take_reply(*to, &reply(message, 0), UNIX_S)), Some(NotifyOutcome::Acknowledged));
    assert_eq!(notifier.deadline(), None);
}

#[test]
fn changes_go_before_what_is_told_at_the_start() {
    let mut notifier = Notifier::default();
    let servers = [server(1, None)];
    for (text, occasion) in [("a.", Occasion::Start), ("b.", Occasion::Start), ("c.", Occasion::Change)] {
        notifier.tell(&zone(text), &soa(1), &servers, occasion);
    }
    notifier.tell(&zone("b."), &soa(2), &servers, Occasion::Change);
    let messages = sent(&mut notifier, ms(0));
    let told = messages.iter().map(|(_, message)| (message[HEADER_BYTES + 1], serial(message)));
    assert_eq!(told.collect::<Vec<_>>(), [(b'c', 1), (b'b', 2), (b'a', 1)]);
}

#[test]
fn a_signed_notification_wants_a_signed_reply() {
    let known = key(b"a secret that both know, long enough");
    let mut notifier = Notifier::default();
    notifier.tell(&zone("a.test."), &soa(5), &[server(1, Some(&known))], Occasion::Change);
    let (to, message) = sent(&mut notifier, ms(0)).remove(0);
    let right = signed_reply(&message, 0, &known);
    let mut forged = right.clone();
    forged[3] = 5;
    let unsigned = reply(&message, 5);
    for wrong in [&forged, &reply(&message, 0), &unsigned] {
        assert!(notifier.take_reply(to, wrong, UNIX_S).is_none());
    }
    assert!(notifier.take_reply(to, &right, UNIX_S + 301).is_none(), "BADTIME");
    assert_eq!(outcome(notifier.take_reply(to, &right, UNIX_S)), Some(NotifyOutcome::Acknowledged));

    notifier.tell(&zone("a.test."), &soa(6), &[server(1, Some(&known))], Occasion::Change);
    let (to, message) = sent(&mut notifier, ms(100)).remove(0);
    let refused = signed_reply(&message, 9, &known);
    let expected = NotifyOutcome::Refused(NotifyFault::Rcode(9));
    assert_eq!(outcome(notifier.take_reply(to, &refused, UNIX_S)), Some(expected));
}

#[test]
fn what_an_unsigned_refusal_says_is_told_when_it_is_given_up() {
    let known = key(b"a secret that the server does not know");
    /// Makes a refusal of a message that names a key.
    type Refuse = fn(&[u8], NameRef<'_>) -> Vec<u8>;
    let refusals: [(Refuse, NotifyFault); 2] = [
        (|message, _| reply(message, 9), NotifyFault::Rcode(9)),
        (
            |message, key| {
                let tsig = Tsig {
                    key: key.to_name(),
                    algorithm: Algorithm::Sha256.name().to_name(),
                    time_signed: UNIX_S,
                    fudge: 300,
                    mac: &[],
                    original_id: u16::from_be_bytes([message[0], message[1]]),
                    error: BADKEY,
                    other: &[],
                };
                let mut reply = reply(message, 9);
                let length = reply.len();
                reply.resize(length + tsig.record_bytes(), 0);
                tsig.write(&mut reply[length..]);
                reply[11] = 1;
                reply
            },
            NotifyFault::Signature(TsigError::Refused(BADKEY)),
        ),
    ];
    for (refusal, fault) in refusals {
        let mut notifier = Notifier::default();
        notifier.tell(&zone("a.test."), &soa(5), &[server(1, Some(&known))], Occasion::Change);
        for due in [0, 500, 1500, 3500, 7500] {
            let (to, message) = sent(&mut notifier, ms(due)).remove(0);
            assert!(notifier.take_reply(to, &refusal(&message, known.name()), UNIX_S).is_none());
        }
        let Some(NotifyStep::End(ended)) = notifier.next_step(ms(15_500), UNIX_S, 0) else { panic!("it goes on") };
        assert_eq!(ended.outcome, NotifyOutcome::GivenUp(Some(fault)));
    }
}

#[test]
fn what_is_under_way_and_each_burst_are_bounded() {
    let mut notifier = Notifier::default();
    let servers = [server(1, None)];
    for number in 0..UNDER_WAY_MAX + 10 {
        notifier.tell(&zone(&format!("z{number}.test.")), &soa(1), &servers, Occasion::Change);
    }
    let (mut now, mut messages) = (ms(0), HashMap::new());
    // Those that nobody answers are sent again between the others.
    while now < ms(7000) {
        let burst = sent(&mut notifier, now);
        assert!(burst.len() <= BURST_MAX, "{} at {now:?}", burst.len());
        for (to, message) in burst {
            let before = messages.insert([message[0], message[1]], (to, message.clone()));
            assert!(before.is_none_or(|(_, before)| before == message), "no two have one ID");
        }
        now += BURST_INTERVAL;
    }
    assert_eq!(messages.len(), UNDER_WAY_MAX, "the others wait");
    let (to, message) = messages.values().next().expect("there are many").clone();
    assert_eq!(outcome(notifier.take_reply(to, &reply(&message, 0), UNIX_S)), Some(NotifyOutcome::Acknowledged));
    let next = sent(&mut notifier, now);
    let is_new = |(_, message): &(SocketAddr, Vec<u8>)| messages.values().all(|(_, known)| known != message);
    assert_eq!(next.iter().filter(|sent| is_new(sent)).count(), 1, "one has made room");
}

#[test]
fn a_parent_is_told_of_a_type_beside_what_the_zone_itself_is_told_of() {
    let mut notifier = Notifier::default();
    let to = server(1, None);
    notifier.tell(&zone("a.test."), &soa(5), std::slice::from_ref(&to), Occasion::Change);
    for rtype in [Type::CDS, Type::CSYNC] {
        assert!(notifier.tell_of(&zone("a.test."), &Subject::Delegation(rtype), &to, Occasion::Change));
    }
    let messages = sent(&mut notifier, ms(0));
    for ((_, message), rtype) in messages.iter().zip([Type::SOA, Type::CDS, Type::CSYNC]) {
        let header = Header::read(message).expect("a header");
        let question = Question::read(message, |_| {}).expect("a question");
        assert_eq!((header.opcode(), header.flags & flag::AA), (opcode::NOTIFY, flag::AA));
        assert_eq!((question.name.to_string(), question.qtype), ("a.test.".to_owned(), rtype));
        assert_eq!(header.counts, [1, u16::from(rtype == Type::SOA), 0, 0], "only a SOA says more than its type");
        // A reply about another type is none.
        let mut other = reply(message, 0);
        other[HEADER_BYTES + "a.test.".len() + 2] ^= 0x40;
        assert!(notifier.take_reply(to.address, &other, UNIX_S).is_none());
        let ended = notifier.take_reply(to.address, &reply(message, 0), UNIX_S).expect("that is the reply");
        assert_eq!((ended.rtype, ended.outcome), (rtype, NotifyOutcome::Acknowledged));
    }
    assert_eq!(notifier.deadline(), None);
}
