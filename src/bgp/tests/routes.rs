//! What is announced and withdrawn, what a proof pays for, and what is kept of the neighbour's routes.

use super::super::terms::Terms;
use super::super::update::{Update, read_update};
use super::*;

/// The octets that an action sends, if it sends any.
fn octets(action: &Action) -> Option<&[u8]> {
    match action {
        Action::Send(octets) => Some(octets),
        _ => None,
    }
}

/// The messages that are sent.
fn sent(actions: &[Action]) -> Vec<&[u8]> {
    actions.iter().filter_map(octets).collect()
}

/// The UPDATEs that are sent, read.
fn updates(actions: &[Action]) -> Vec<Update> {
    let terms = Terms {
        local_as: AsNumber(65001),
        is_internal: false,
        is_four_octet: true,
        families: Families { ipv4: true, ipv6: true },
        marks_routes: false,
    };
    let updates = sent(actions).into_iter().filter(|octets| Kind::of(octets) == Kind::Update);
    updates.map(|octets| read_update(&octets[19..], &terms).expect("good")).collect()
}

/// A link over IPv6 between link-local addresses.
fn unnumbered() -> Link {
    Link { local: address("fe80::2"), peer: address("fe80::1"), ..link() }
}

#[test]
fn nothing_is_announced_before_it_is_proven_nor_when_the_proof_is_old() {
    let mut scene = Scene::established(settings());
    let unproven = Route { proven: None, ..route("192.0.2.0/24", ms(0)) };
    assert_eq!(words(&scene.event(Event::Wanted(&[unproven]))), [""; 0]);
    assert_eq!(words(&scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(0))]))), [""; 0], "a second old");
    assert!(!scene.session.is_announced(0));
    assert_eq!(words(&scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(1))]))), ["announce"]);
    assert!(scene.session.is_announced(0) && !scene.session.is_announced(1));
    // Unchanged, it costs nothing; proven again, it stays.
    assert_eq!(words(&scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(1))]))), [""; 0]);
    assert_eq!(scene.session.deadline(), Some(ms(1001)));
    assert_eq!(words(&scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(900))]))), [""; 0]);
    assert_eq!(scene.session.deadline(), Some(ms(1900)));
}

#[test]
fn the_last_proof_that_ends_takes_the_session_with_it() {
    let mut scene = Scene::established(settings());
    scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(1000))]));
    scene.now = ms(1999);
    assert_eq!(words(&scene.event(Event::Tick)), [""; 0]);
    scene.now = scene.session.deadline().expect("a deadline");
    assert_eq!(scene.now, ms(2000));
    let done = scene.event(Event::Tick);
    assert_eq!(words(&done), ["notice", "withdraw", "6/2", "close", "→Active", "routes"]);
    let said = scene.session.facts().last_sent.map_or_else(String::new, |fault| fault.text);
    assert!(said.contains("administrative shutdown (6/2): no proof that the service answers"), "{said}");
    // It stays away, and turns the neighbour away, until there is a proof.
    assert_eq!((scene.session.deadline(), scene.session.is_announced(0)), (None, false));
    scene.now = ms(60_000);
    assert_eq!(words(&scene.event(Event::Tick)), [""; 0]);
    assert_eq!(words(&scene.event(Event::Connected(link()))), ["abort"]);
    assert_eq!(words(&scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(59_000))]))), [""; 0]);
    assert_eq!(words(&scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(59_990))]))), ["connect", "→Connect"]);
}

#[test]
fn a_session_that_waits_for_a_proof_returns_when_nothing_is_wanted_any_more() {
    let mut scene = Scene::established(settings());
    scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(1000))]));
    scene.now = ms(2000);
    scene.event(Event::Tick);
    let unwanted = Route { wanted: None, ..route("192.0.2.0/24", ms(1000)) };
    assert_eq!(words(&scene.event(Event::Wanted(&[unwanted]))), ["connect", "→Connect"]);
}

#[test]
fn one_proof_of_many_that_ends_costs_its_route_alone() {
    let mut scene = Scene::established(settings());
    let wanted =
        [route("192.0.2.0/24", ms(1000)), route("198.51.100.0/24", ms(1500)), route("2001:db8::/48", ms(1500))];
    assert_eq!(words(&scene.event(Event::Wanted(&wanted))), ["announce", "announce"]);
    let done = scene.pass(ms(1000));
    assert_eq!(words(&done), ["notice", "withdraw"]);
    assert_eq!(updates(&done)[0].withdrawn, [prefix("192.0.2.0/24")]);
    assert_eq!([0, 1, 2].map(|index| scene.session.is_announced(index)), [false, true, true]);
}

#[test]
fn after_a_freeze_no_heartbeat_leaves_for_what_is_not_proven() {
    let open = Open { hold_time: 3, ..their_open() };
    let mut scene = Scene::new(settings()).bring(State::Established, link(), &open);
    scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(1000))]));
    scene.now = ms(3500);
    let done = words(&scene.event(Event::Sent { unsent: 0 }));
    assert_eq!(done, ["notice", "withdraw", "6/2", "close", "→Active", "routes"]);
    assert_eq!(scene.session.facts().withheld, 1);
}

#[test]
fn heartbeats_are_free_while_nothing_is_announced() {
    let mut scene = Scene::established(settings());
    scene.event(Event::Wanted(&[Route { proven: None, ..route("192.0.2.0/24", ms(0)) }]));
    let done = words(&scene.pass(ms(30_000)));
    assert_eq!(done, ["KEEPALIVE"; 10]);
    assert_eq!(scene.session.state(), State::Established);
}

#[test]
fn attributes_change_by_one_announcement_and_go_by_one_withdrawal() {
    let mut scene = Scene::established(settings());
    let mut wanted = [route("192.0.2.0/24", ms(1000)), route("198.51.100.0/24", ms(1000))];
    let both = scene.event(Event::Wanted(&wanted));
    assert_eq!((updates(&both).len(), updates(&both)[0].announced[0].prefixes.len()), (1, 2), "together in one");
    if let Some(attributes) = &mut wanted[0].wanted {
        attributes.med = Some(100);
        attributes.communities = vec![Attributes::GRACEFUL_SHUTDOWN];
    }
    let changed = scene.event(Event::Wanted(&wanted));
    assert_eq!(words(&changed), ["announce"]);
    let update = updates(&changed).remove(0);
    assert_eq!((update.path.med, update.path.communities), (Some(100), vec![0xFFFF_0000]));
    assert_eq!(update.announced[0].prefixes, [prefix("192.0.2.0/24")]);
    wanted[1].wanted = None;
    let withdrawn = scene.event(Event::Wanted(&wanted));
    assert_eq!((words(&withdrawn), updates(&withdrawn)[0].withdrawn.len()), (vec!["withdraw".to_owned()], 1));
    // A prefix that a reload took away is withdrawn, one that it brought is announced.
    let reloaded = scene.event(Event::Wanted(&[route("203.0.113.0/24", ms(1000))]));
    assert_eq!(words(&reloaded), ["withdraw", "announce"]);
    assert_eq!(updates(&reloaded)[0].withdrawn, [prefix("192.0.2.0/24")]);
    assert_eq!(scene.session.facts().announced, 1);
}

#[test]
fn an_end_withdraws_then_says_why_and_stays_away() {
    let mut scene = Scene::established(settings());
    scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(1000)), route("2001:db8::/48", ms(1000))]));
    let done = scene.event(Event::End { subcode: 2, text: "drained by the operator" });
    assert_eq!(words(&done), ["withdraw", "withdraw", "6/2", "close", "→Idle", "routes"]);
    assert!(sent(&done)[2].ends_with(b"drained by the operator"));
    assert_eq!(scene.session.deadline(), None);
    assert_eq!(words(&scene.event(Event::Connected(link()))), ["abort"]);
    assert_eq!(words(&scene.event(Event::Begin)), ["connect", "→Connect"]);
}

#[test]
fn with_strict_bfd_nothing_is_announced_unless_it_is_up() {
    let mut scene = Scene::established(SessionSettings { is_bfd_strict: true, ..settings() });
    let wanted = [route("192.0.2.0/24", ms(1000))];
    assert_eq!(words(&scene.event(Event::Wanted(&wanted))), [""; 0]);
    assert_eq!(words(&scene.event(Event::Bfd(BfdState::Down))), [""; 0]);
    assert_eq!(words(&scene.event(Event::Bfd(BfdState::Up))), ["announce"]);
    assert_eq!(words(&scene.event(Event::Bfd(BfdState::Off))), ["withdraw"]);
}

#[test]
fn next_hops_follow_from_the_session_and_what_the_neighbour_takes() {
    let mut refuses = their_open();
    refuses.capabilities.retain(|capability| !capability.has_ipv4_over_ipv6());
    let at = |hop: &str| NextHop::Address(address(hop));
    let bare = Link { link_local: None, global: None, ..link() };
    for (link, open, prefix, next_hop, expected) in [
        (link(), their_open(), "192.0.2.0/24", NextHop::Session, Some("10.0.0.2")),
        (link(), their_open(), "192.0.2.0/24", at("10.9.9.9"), Some("10.9.9.9")),
        (link(), their_open(), "192.0.2.0/24", at("2001:db8::9"), None),
        (link(), their_open(), "2001:db8::/48", NextHop::Session, Some("2001:db8::2")),
        (Link { global: None, ..link() }, their_open(), "2001:db8::/48", NextHop::Session, Some("fe80::2")),
        (bare, their_open(), "2001:db8::/48", NextHop::Session, None),
        (bare, their_open(), "2001:db8::/48", at("2001:db8::9"), Some("2001:db8::9")),
        (bare, their_open(), "2001:db8::/48", at("10.9.9.9"), None),
        (unnumbered(), their_open(), "2001:db8::/48", NextHop::Session, Some("fe80::2")),
        (unnumbered(), their_open(), "192.0.2.0/24", NextHop::Session, Some("fe80::2")),
        (unnumbered(), refuses.clone(), "192.0.2.0/24", NextHop::Session, None),
        (unnumbered(), refuses.clone(), "192.0.2.0/24", at("10.9.9.9"), Some("10.9.9.9")),
        (unnumbered(), refuses, "2001:db8::/48", NextHop::Session, Some("fe80::2")),
    ] {
        let mut scene = Scene::new(settings()).bring(State::Established, link, &open);
        let wanted =
            Route { wanted: Some(Attributes { next_hop, ..Attributes::default() }), ..route(prefix, ms(1000)) };
        let done = scene.event(Event::Wanted(core::slice::from_ref(&wanted)));
        let hops: Vec<_> = updates(&done).iter().map(|update| update.announced[0].next_hop).collect();
        assert_eq!(hops, expected.map(|hop| Some(address(hop))).into_iter().collect::<Vec<_>>(), "{link:?} {wanted:?}");
        assert_eq!(done.iter().any(|action| matches!(action, Action::Noticed(_))), expected.is_none());
        // What stands in the way is said once.
        assert_eq!(words(&scene.event(Event::Wanted(&[wanted]))), [""; 0]);
    }
    // The global address of an unnumbered link takes the link-local one along.
    let mut scene = Scene::new(settings()).bring(State::Established, unnumbered(), &their_open());
    let attributes = Attributes { next_hop: at("2001:db8::2"), ..Attributes::default() };
    let done = scene.event(Event::Wanted(&[Route { wanted: Some(attributes), ..route("2001:db8::/48", ms(1000)) }]));
    let both = hex("20 20010DB8000000000000000000000002 FE800000000000000000000000000002 00");
    assert!(sent(&done)[0].windows(both.len()).any(|octets| octets == both));
}

#[test]
fn attributes_that_do_not_fit_withdraw_what_was_announced() {
    let mut scene = Scene::established(settings());
    scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(1000))]));
    let attributes = Attributes { communities: vec![7; 1100], ..Attributes::default() };
    let done = scene.event(Event::Wanted(&[Route { wanted: Some(attributes), ..route("192.0.2.0/24", ms(1000)) }]));
    assert_eq!(words(&done), ["notice", "withdraw"]);
    let Some(Action::Noticed(notice)) = done.first() else { panic!("it says so") };
    assert_eq!(notice.to_string(), "IPv4 is not announced: its attributes do not fit into a message");
}

#[test]
fn a_refresh_sends_what_is_announced_once_more_with_its_marks() {
    let request = |afi: u8| write_message(Kind::RouteRefresh, &[0, afi, 0, 1]);
    let wanted = [route("192.0.2.0/24", ms(1000)), route("2001:db8::/48", ms(1000))];
    let mut scene = Scene::established(settings());
    scene.event(Event::Wanted(&wanted));
    let done = scene.arrive(&[request(2), request(2), request(2)].concat());
    assert_eq!(words(&done), ["refresh 1", "announce", "refresh 2"]);
    assert_eq!(updates(&done)[0].announced[0].prefixes, [prefix("2001:db8::/48")]);
    assert_eq!(words(&scene.arrive(&request(1))), ["refresh 1", "announce", "refresh 2"]);
    // Without RFC 7313 there are no marks; a family that is not in the session is not sent.
    let open = Open { capabilities: vec![Capability::Multiprotocol(1, 1), Capability::RouteRefresh], ..their_open() };
    let mut scene = Scene::new(settings()).bring(State::Established, link(), &open);
    scene.event(Event::Wanted(&wanted));
    assert_eq!(words(&scene.arrive(&request(1))), ["announce"]);
    assert_eq!(words(&scene.arrive(&request(2))), [""; 0]);
    // Asked for in vain, it does not put off the heartbeat.
    scene.event(Event::Wanted(&[]));
    let due = scene.session.deadline();
    scene.now += ms(500);
    assert_eq!(words(&scene.arrive(&request(1))), [""; 0]);
    assert_eq!(scene.session.deadline(), due);
}

#[test]
fn a_withdrawal_does_not_wait_behind_what_the_neighbour_does_not_take() {
    let mut scene = Scene::established(settings());
    scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(1000))]));
    scene.event(Event::Sent { unsent: 40 });
    let unwanted = Route { wanted: None, ..route("192.0.2.0/24", ms(1000)) };
    assert_eq!(words(&scene.event(Event::Wanted(&[unwanted]))), ["abort", "→Active", "routes"]);
    assert!(scene.session.deadline().is_some());
    // The same where the proof ends: then it stays away.
    let mut scene = Scene::established(settings());
    scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(1000))]));
    scene.event(Event::Sent { unsent: 40 });
    scene.now = ms(2000);
    assert_eq!(words(&scene.event(Event::Tick)), ["notice", "abort", "→Active", "routes"]);
    assert_eq!(scene.session.deadline(), None);
}

#[test]
fn nothing_more_is_announced_to_a_neighbour_that_has_too_much_to_take() {
    let mut scene = Scene::established(settings());
    scene.event(Event::Sent { unsent: 1 << 20 });
    assert_eq!(words(&scene.event(Event::Wanted(&[route("192.0.2.0/24", ms(1000))]))), [""; 0]);
    assert!(!scene.session.is_announced(0));
    assert_eq!(words(&scene.event(Event::Sent { unsent: 100 })), ["announce"]);
}

/// An UPDATE of the neighbour that announces IPv4 prefixes.
fn announce(prefixes: &str) -> Vec<u8> {
    let attributes = hex("40010100 40020602010000FDE9 4003040A000001");
    let length = (attributes.len() as u16).to_be_bytes();
    write_message(Kind::Update, &[&[0, 0][..], &length, &attributes, &hex(prefixes)].concat())
}

#[test]
fn routes_are_kept_for_the_prefixes_that_matter_and_counted_otherwise() {
    let mut scene = Scene::established(SessionSettings { kept: vec![prefix("192.0.2.0/24")], ..settings() });
    // The same, one that covers, one that lies within, and two others, one of them twice.
    let done = scene.arrive(&announce("18C00002 00 20C0000207 18CB0071 18CB0071 08 0A"));
    assert_eq!(words(&done), ["routes"]);
    let facts = scene.session.facts();
    let kept: Vec<String> = facts.routes.iter().map(|route| route.prefix.to_string()).collect();
    assert_eq!((kept.join(" ").as_str(), facts.others), ("0.0.0.0/0 192.0.2.0/24 192.0.2.7/32", 2));
    assert_eq!((facts.routes[0].next_hop, facts.routes[0].as_path.len()), (Some(address("10.0.0.1")), 1));
    // The same again is no news; a withdrawal is.
    assert_eq!(words(&scene.arrive(&announce("18C00002"))), [""; 0]);
    assert_eq!(words(&scene.arrive(&write_message(Kind::Update, &hex("0008 18C00002 18CB0071 0000")))), ["routes"]);
    let facts = scene.session.facts();
    assert_eq!((facts.routes.len(), facts.others), (2, 1));
    // A session that ends has none.
    assert!(words(&scene.event(Event::Disconnected)).contains(&"routes".to_owned()));
    assert_eq!((scene.session.facts().routes.len(), scene.session.facts().others), (0, 0));
}

#[test]
fn a_neighbour_that_sends_too_many_prefixes_is_left_for_a_minute() {
    let mut scene = Scene::established(SessionSettings { received_max: 2, ..settings() });
    assert_eq!(words(&scene.arrive(&announce("18C00002 18CB0071"))), [""; 0]);
    let done = scene.arrive(&announce("18C63364"));
    assert_eq!(words(&done), ["6/1", "close", "→Active", "routes"]);
    assert_eq!(words(&scene.event(Event::Connected(link()))), ["abort"]);
    assert_eq!(scene.session.deadline(), Some(scene.now + SessionSettings::OVERRUN_WAIT));
    assert_eq!(words(&scene.pass(ms(60_000)))[0], "connect");
}

#[test]
fn more_routes_than_can_be_kept_are_counted_and_told_of_once() {
    let mut scene = Scene::established(SessionSettings { kept: vec![prefix("10.0.0.0/8")], ..settings() });
    let mut done = Vec::new();
    for block in 0..5 {
        let prefixes: String = (0..=255).map(|index| format!("200A00{block:02X}{index:02X}")).collect();
        done.extend(scene.arrive(&announce(&prefixes)));
    }
    let facts = scene.session.facts();
    assert_eq!((facts.routes.len(), facts.others), (1024, 256));
    assert_eq!(done.iter().filter(|action| matches!(action, Action::Noticed(Notice::RoutesCut))).count(), 1);
}

#[test]
fn a_malformed_update_is_told_of_once_and_keeps_the_session() {
    let mut scene = Scene::established(settings());
    let mut bad = announce("18C00002");
    bad[26] = 9; // ORIGIN.
    assert_eq!(words(&scene.arrive(&bad)), ["notice"]);
    assert_eq!(words(&scene.arrive(&bad)), [""; 0]);
    assert_eq!((scene.session.state(), scene.session.facts().others), (State::Established, 0));
}
