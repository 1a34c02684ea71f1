//! The states: every event in every state, every message in every state, timers, and what ends a session.

use super::super::notification::Notification;
use super::*;

/// All states.
const STATES: [State; 6] =
    [State::Idle, State::Connect, State::Active, State::OpenSent, State::OpenConfirm, State::Established];

/// What an event does in a state, over the words of its actions; `-` for nothing.
fn effect(state: State, event: Event<'_>) -> String {
    let mut scene = Scene::new(settings()).bring(state, link(), &their_open());
    let done = words(&scene.event(event)).join(" ");
    if done.is_empty() { "-".to_owned() } else { done }
}

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    let wanted = [route("192.0.2.0/24", ms(1000))];
    let end = Event::End { subcode: 2, text: "maintenance" };
    let table: [(Event<'_>, [&str; 6]); 11] = [
        // Idle, Connect, Active, OpenSent, OpenConfirm, Established.
        (Event::Begin, ["connect →Connect", "-", "-", "-", "-", "-"]),
        (Event::Tick, ["-", "-", "-", "-", "-", "-"]),
        (Event::Connected(link()), ["abort", "OPEN →OpenSent", "OPEN →OpenSent", "-", "-", "-"]),
        (Event::ConnectFailed(ConnectFailure::TimedOut), ["-", "→Active", "-", "-", "-", "-"]),
        (Event::Disconnected, ["-", "-", "-", "→Active", "→Active", "→Active routes"]),
        (Event::Received(&[]), ["-", "-", "-", "-", "-", "-"]),
        (Event::Sent { unsent: 5 }, ["-", "-", "-", "-", "-", "-"]),
        (Event::Wanted(&wanted), ["-", "-", "-", "-", "-", "announce"]),
        (Event::Bfd(BfdState::Up), ["-", "-", "-", "-", "-", "-"]),
        (Event::Bfd(BfdState::Down), ["-", "-", "-", "-", "-", "-"]),
        (end, ["-", "abort →Idle", "→Idle", "6/2 close →Idle", "6/2 close →Idle", "6/2 close →Idle routes"]),
    ];
    for (event, expected) in table {
        let effects = STATES.map(|state| effect(state, event));
        assert_eq!(effects, expected, "{event:?} in {STATES:?}");
    }
}

#[test]
fn every_message_in_every_state_does_what_the_table_says() {
    let open = their_open().write();
    let update = write_message(Kind::Update, &[0, 0, 0, 0]);
    let refresh = write_message(Kind::RouteRefresh, &[0, 1, 0, 1]);
    let cease = Notification::cease(2, "").write();
    let broken = vec![0; 19];
    let table: [(&[u8], [&str; 6]); 6] = [
        (&open, ["-", "-", "-", "KEEPALIVE →OpenConfirm", "5/2 close →Active", "5/3 close →Active routes"]),
        (&keepalive(), ["-", "-", "-", "5/1 close →Active", "→Established", "-"]),
        (&update, ["-", "-", "-", "5/1 close →Active", "5/2 close →Active", "-"]),
        (&refresh, ["-", "-", "-", "5/1 close →Active", "5/2 close →Active", "refresh 1 refresh 2"]),
        (&cease, ["-", "-", "-", "close →Active", "close →Active", "close →Active routes"]),
        (&broken, ["-", "-", "-", "1/1 close →Active", "1/1 close →Active", "1/1 close →Active routes"]),
    ];
    for (message, expected) in table {
        let effects = STATES.map(|state| effect(state, Event::Received(message)));
        assert_eq!(effects, expected, "{message:02X?} in {STATES:?}");
    }
}

#[test]
fn a_session_comes_up_from_one_piece_of_the_stream() {
    let mut scene = Scene::new(settings()).bring(State::OpenSent, link(), &their_open());
    scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(1000))]));
    let stream = [their_open().write(), keepalive()].concat();
    let done = words(&scene.arrive(&stream));
    assert_eq!(done, ["KEEPALIVE", "→OpenConfirm", "→Established", "announce"]);
    let facts = scene.session.facts();
    assert_eq!((facts.received.opens, facts.received.keepalives, facts.sent.updates), (1, 1, 1));
    assert_eq!((facts.announced, facts.established, facts.since), (1, 1, ms(1000)));
    let agreed = facts.agreed.expect("agreed");
    assert_eq!((agreed.hold_time, agreed.keepalive), (ms(9000), ms(3000)));
    assert!(agreed.is_four_octet && agreed.is_enhanced_refresh && !agreed.is_extended_next_hop);
    assert_eq!(facts.peer.map(|peer| peer.capabilities), Some(vec![1, 2, 5, 65, 70]));
}

#[test]
fn the_open_says_what_is_needed_and_nothing_of_graceful_restart() {
    let over = |local: &str, peer: &str| Link { local: address(local), peer: address(peer), ..link() };
    let open = |settings: SessionSettings, link| {
        let mut scene = Scene::new(settings).bring(State::Connect, link, &their_open());
        let sent = scene.event(Event::Connected(link));
        let Some(Action::Send(octets)) = sent.first() else { panic!("an OPEN is sent") };
        Open::read(&octets[19..]).expect("good")
    };
    let codes = |open: &Open| open.capabilities.iter().map(Capability::code).collect::<Vec<_>>();
    let plain = open(settings(), link());
    assert_eq!((codes(&plain), plain.hold_time, plain.as_field), (vec![1, 1, 2, 9, 65, 70], 9, 65002));
    // IPv4 over IPv6 is offered where it can happen.
    let over_ipv6 = open(settings(), over("fe80::2", "fe80::1"));
    assert_eq!(codes(&over_ipv6), [1, 1, 2, 5, 9, 65, 70]);
    let families = Families { ipv4: false, ipv6: true };
    let only = SessionSettings { families, local_as: AsNumber(4_200_000_000), role: None, ..settings() };
    let only = open(only, over("fe80::2", "fe80::1"));
    assert_eq!((codes(&only), only.as_field, only.speaker()), (vec![1, 2, 65, 70], 23456, AsNumber(4_200_000_000)));
    // Within one system there are no roles.
    let internal = open(SessionSettings { peer_as: AsNumber(65002), ..settings() }, link());
    assert_eq!(codes(&internal), [1, 1, 2, 65, 70]);
}

/// What the neighbour's OPEN leads to, and what is said of it.
fn judged(settings: SessionSettings, open: &Open) -> (String, String) {
    let mut scene = Scene::new(settings).bring(State::OpenSent, link(), open);
    let done = words(&scene.arrive(&open.write())).join(" ");
    (done, scene.session.facts().last_sent.map_or_else(String::new, |fault| fault.text))
}

#[test]
fn an_open_that_does_not_fit_is_refused_with_the_reason() {
    let good = "KEEPALIVE →OpenConfirm";
    let open = their_open;
    let internal = || SessionSettings { peer_as: AsNumber(65002), ..settings() };
    let as_internal = || Open { as_field: 65002, capabilities: vec![], ..open() };
    let ours = Ipv4Addr::new(10, 0, 0, 2);
    let with =
        |capability: Capability| Open { capabilities: [open().capabilities, vec![capability]].concat(), ..open() };
    let strict = || SessionSettings { is_role_strict: true, ..settings() };
    let only_ipv6 = Open { capabilities: vec![Capability::Multiprotocol(2, 1)], ..open() };
    let ipv4 = SessionSettings { families: Families { ipv4: true, ipv6: false }, ..settings() };
    let twice = [with(Capability::Role(0)).capabilities, vec![Capability::Role(4)]].concat();
    for (settings, open, expected, why) in [
        (settings(), open(), good, ""),
        (
            settings(),
            Open { as_field: 65003, capabilities: vec![], ..open() },
            "2/2 close →Active",
            "AS 65003, and AS 65001",
        ),
        (settings(), with(Capability::FourOctetAs(AsNumber(7))), good, ""),
        (settings(), Open { router_id: Ipv4Addr::UNSPECIFIED, ..open() }, "2/3 close →Active", "identifier is 0.0.0.0"),
        (settings(), Open { router_id: ours, ..open() }, good, ""),
        (internal(), as_internal(), good, ""),
        (internal(), Open { router_id: ours, ..as_internal() }, "2/3 close →Active", "10.0.0.2"),
        (settings(), Open { hold_time: 2, ..open() }, "2/6 close →Active", "hold time of 2 s"),
        (settings(), Open { hold_time: 0, ..open() }, "2/6 close →Active", "hold time of 0 s"),
        (settings(), Open { hold_time: 3, ..open() }, good, ""),
        (ipv4, only_ipv6, "2/7 close →Active", "the neighbour has IPv6 in this session, and this side IPv4"),
        (settings(), with(Capability::Role(0)), good, ""),
        (settings(), with(Capability::Role(3)), "2/11 close →Active", "says customer, and this side is its customer"),
        (settings(), with(Capability::Role(200)), "2/11 close →Active", "number 200"),
        (settings(), Open { capabilities: twice, ..open() }, "2/11 close →Active", "several roles"),
        (strict(), open(), "2/11 close →Active", "names no role"),
        (strict(), with(Capability::Role(0)), good, ""),
    ] {
        let (done, said) = judged(settings, &open);
        assert!(done == expected && said.contains(why), "{open:?}: {done}: {said}");
    }
}

#[test]
fn a_neighbour_that_says_nothing_of_families_has_ipv4() {
    let open = Open { capabilities: vec![], ..their_open() };
    let scene = Scene::new(settings()).bring(State::Established, link(), &open);
    let agreed = scene.session.facts().agreed.expect("agreed");
    assert_eq!((agreed.families, agreed.is_four_octet), (Families { ipv4: true, ipv6: false }, false));
}

#[test]
fn losses_are_answered_after_50_to_200_ms_and_at_most_5_s() {
    for seed in 0..50 {
        let mut session = Session::new(Duration::ZERO, settings(), seed);
        let (mut now, mut waits) = (Duration::ZERO, Vec::new());
        session.handle(now, Event::Begin, &mut Vec::new());
        for _ in 0..12 {
            session.handle(now, Event::ConnectFailed(ConnectFailure::Refused), &mut Vec::new());
            let deadline = session.deadline().expect("it tries again");
            waits.push(deadline - now);
            now = deadline;
            let mut out = Vec::new();
            session.handle(now, Event::Tick, &mut out);
            assert!(out.contains(&Action::Connect) && session.state() == State::Connect);
        }
        assert!((ms(50)..=ms(200)).contains(&waits[0]) && (ms(100)..=ms(400)).contains(&waits[1]), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= ms(5000)) && waits[11] >= ms(1250), "{waits:?}");
    }
}

#[test]
fn a_session_that_lasted_makes_the_next_wait_short_again() {
    for (lasts, longest) in [(ms(6000), ms(200)), (ms(100), ms(5000))] {
        let mut scene = Scene::new(settings());
        scene.event(Event::Begin);
        for _ in 0..8 {
            scene.event(Event::ConnectFailed(ConnectFailure::Refused));
            scene.now = scene.session.deadline().expect("it tries again");
            scene.event(Event::Tick);
        }
        scene.event(Event::Connected(link()));
        scene.arrive(&[their_open().write(), keepalive()].concat());
        scene.pass(lasts);
        scene.event(Event::Disconnected);
        let wait = scene.session.deadline().expect("it tries again") - scene.now;
        assert!(wait <= longest && (longest == ms(200) || wait > ms(200)), "{wait:?} after {lasts:?}");
    }
}

#[test]
fn whatever_does_not_come_is_not_waited_for() {
    // A connection, an OPEN, the word that this side's is taken, and any message.
    for (state, expected, most) in [
        (State::Connect, "abort →Active", 5000),
        (State::OpenSent, "4/0 close →Active", 15_000),
        (State::OpenConfirm, "KEEPALIVE KEEPALIVE 4/0 close →Active", 9000),
        (State::Established, "KEEPALIVE KEEPALIVE 4/0 close →Active routes", 9000),
    ] {
        let mut scene = Scene::new(settings()).bring(state, link(), &their_open());
        let mut done = Vec::new();
        while scene.session.state() == state {
            scene.now = scene.session.deadline().expect("a deadline");
            done.extend(scene.event(Event::Tick));
        }
        assert_eq!((words(&done).join(" "), scene.now), (expected.to_owned(), ms(1000 + most)), "{state:?}");
    }
}

#[test]
fn a_late_tick_ends_what_is_over_and_sends_no_heartbeat() {
    let mut scene = Scene::established(settings());
    scene.now += ms(9000);
    assert_eq!(words(&scene.event(Event::Tick)), ["4/0", "close", "→Active", "routes"]);
}

#[test]
fn between_two_messages_is_a_third_of_the_hold_time() {
    let open = Open { hold_time: 3, ..their_open() };
    let mut scene = Scene::new(settings()).bring(State::Established, link(), &open);
    let mut last = scene.now;
    for _ in 0..20 {
        scene.now = scene.session.deadline().expect("a deadline");
        assert_eq!(words(&scene.event(Event::Tick)), ["KEEPALIVE"]);
        assert_eq!(scene.now - last, ms(1000));
        last = scene.now;
        scene.arrive(&keepalive());
    }
}

#[test]
fn a_neighbour_that_takes_nothing_is_left_after_the_send_hold_time() {
    let settings = SessionSettings { send_hold: ms(20_000), ..settings() };
    let mut scene = Scene::established(settings);
    scene.event(Event::Sent { unsent: 100 });
    assert_eq!(words(&scene.pass(ms(19_000))).iter().filter(|word| *word != "KEEPALIVE").count(), 0);
    // It takes a little, which counts, though more waits than before.
    scene.event(Event::Sent { unsent: 150 });
    let done = scene.pass(ms(19_999));
    assert!(words(&done).iter().all(|word| word == "KEEPALIVE"), "{:?}", words(&done));
    let done = words(&scene.pass(ms(1)));
    assert_eq!(done, ["8/0", "abort", "→Active", "routes"]);
    // It is never shorter than two hold times.
    let short = SessionSettings { send_hold: ms(1), ..super::settings() };
    let mut scene = Scene::established(short);
    scene.event(Event::Sent { unsent: 100 });
    scene.pass(ms(17_999));
    assert_eq!(scene.session.state(), State::Established);
    assert_eq!(words(&scene.pass(ms(1)))[..2], ["8/0", "abort"]);
}

#[test]
fn bfd_that_loses_the_neighbour_ends_the_session_with_a_cease() {
    let mut scene = Scene::established(settings());
    assert_eq!(words(&scene.event(Event::Bfd(BfdState::Down))), [""; 0], "it was never up");
    scene.event(Event::Bfd(BfdState::Up));
    assert_eq!(words(&scene.event(Event::Bfd(BfdState::Off))), [""; 0], "turned off is not down");
    scene.event(Event::Bfd(BfdState::Up));
    assert_eq!(words(&scene.event(Event::Bfd(BfdState::Down))), ["6/10", "close", "→Active", "routes"]);
}

#[test]
fn a_passive_session_waits_for_the_neighbour() {
    let mut scene = Scene::new(SessionSettings { is_passive: true, ..settings() });
    assert_eq!(words(&scene.event(Event::Begin)), ["→Active"]);
    assert_eq!(scene.session.deadline(), None);
    assert_eq!(words(&scene.event(Event::Connected(link()))), ["OPEN", "→OpenSent"]);
    scene.event(Event::Disconnected);
    assert_eq!((scene.session.deadline(), scene.session.state()), (None, State::Active));
    assert_eq!(words(&scene.event(Event::Connected(link()))), ["OPEN", "→OpenSent"]);
}

#[test]
fn errors_are_told_with_their_likely_cause() {
    let failure = |scene: &Scene| scene.session.facts().last_failure.map_or_else(String::new, |fault| fault.text);
    let mut scene = Scene::new(settings()).bring(State::Connect, link(), &their_open());
    scene.event(Event::ConnectFailed(ConnectFailure::TimedOut));
    assert!(failure(&scene).contains("MD5"));
    let mut scene = Scene::new(settings()).bring(State::OpenSent, link(), &their_open());
    scene.event(Event::Disconnected);
    assert!(failure(&scene).contains("about a minute"));
    let mut scene = Scene::new(settings()).bring(State::OpenSent, link(), &their_open());
    scene.pass(ms(15_000));
    assert!(failure(&scene).contains("TTL"));
    let mut scene = Scene::new(settings()).bring(State::OpenSent, link(), &their_open());
    let done = scene.arrive(&Notification::new(2, 2, &[]).write());
    let said = scene.session.facts().last_received.map_or_else(String::new, |fault| fault.text);
    assert!(said.contains("bad peer AS (2/2)") && said.contains("expects another AS"), "{said}");
    let Some(Action::Changed { cause, .. }) = done.last() else { panic!("it says so") };
    assert_eq!(cause.to_string(), said);
}
