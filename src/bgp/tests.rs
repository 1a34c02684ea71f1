//! Messages both ways, and the machine of a session.

mod codec;
mod machine;
mod routes;

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use ipnet::IpNet;

use super::capability::Capability;
use super::message::{Kind, write_message};
use super::open::Open;
use super::*;

/// The proof of a route may be this old in these tests.
const AGE_MAX: Duration = Duration::from_millis(1000);

/// An address.
fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A prefix.
fn prefix(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

/// So many milliseconds.
fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// The settings of an external session: AS 65002 here, AS 65001 there.
fn settings() -> SessionSettings {
    let router_id = Ipv4Addr::new(10, 0, 0, 2);
    SessionSettings::new(AsNumber(65002), AsNumber(65001), router_id, AGE_MAX)
}

/// The octets that pairs of hexadecimal digits mean.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|letter| !letter.is_ascii_whitespace()).collect();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
    digits.chunks(2).map(octet).collect()
}

/// A session, and the neighbour's side of it.
struct Scene {
    session: Session,
    now: Duration,
}

/// The link of a session over IPv4, with addresses of both kinds of IPv6 on the interface.
fn link() -> Link {
    Link {
        local: address("10.0.0.2"),
        peer: address("10.0.0.1"),
        link_local: Some("fe80::2".parse().expect("an address")),
        global: Some("2001:db8::2".parse().expect("an address")),
    }
}

/// The neighbour's OPEN with all that this side can use.
fn their_open() -> Open {
    let capabilities = vec![
        Capability::Multiprotocol(1, 1),
        Capability::Multiprotocol(2, 1),
        Capability::RouteRefresh,
        Capability::ipv4_over_ipv6(),
        Capability::FourOctetAs(AsNumber(65001)),
        Capability::EnhancedRefresh,
    ];
    Open { as_field: 65001, hold_time: 240, router_id: Ipv4Addr::new(10, 0, 0, 1), capabilities }
}

/// A KEEPALIVE.
fn keepalive() -> Vec<u8> {
    write_message(Kind::Keepalive, &[])
}

impl Scene {
    /// A session that has not begun, at one second.
    fn new(settings: SessionSettings) -> Self {
        Self { session: Session::new(ms(1000), settings, 1), now: ms(1000) }
    }

    /// Lets something happen; returns what is to be done.
    fn event(&mut self, event: Event<'_>) -> Vec<Action> {
        let mut out = Vec::new();
        self.session.handle(self.now, event, &mut out);
        out
    }

    /// Lets a whole message arrive.
    fn arrive(&mut self, message: &[u8]) -> Vec<Action> {
        self.event(Event::Received(message))
    }

    /// Brings it to a state, over a link and with an OPEN.
    fn bring(mut self, to: State, link: Link, open: &Open) -> Self {
        if to != State::Idle {
            self.event(Event::Begin);
        }
        match to {
            State::Idle | State::Connect => {}
            State::Active => drop(self.event(Event::ConnectFailed(ConnectFailure::Refused))),
            State::OpenSent | State::OpenConfirm | State::Established => drop(self.event(Event::Connected(link))),
        }
        if matches!(to, State::OpenConfirm | State::Established) {
            self.arrive(&open.write());
        }
        if to == State::Established {
            self.arrive(&keepalive());
        }
        assert_eq!(self.session.state(), to, "{:?}", self.session.facts());
        self
    }

    /// An established session with these settings.
    fn established(settings: SessionSettings) -> Self {
        Self::new(settings).bring(State::Established, link(), &their_open())
    }

    /// Lets time go on, with a tick at each deadline and a KEEPALIVE of the neighbour behind it; returns what is done.
    fn pass(&mut self, time: Duration) -> Vec<Action> {
        let (end, mut out) = (self.now + time, Vec::new());
        while let Some(deadline) = self.session.deadline().filter(|deadline| *deadline <= end) {
            assert!(deadline > self.now || out.len() < 1000, "time stands still");
            self.now = deadline.max(self.now);
            out.extend(self.event(Event::Tick));
            if self.session.state() == State::Established {
                out.extend(self.arrive(&keepalive()));
            }
        }
        self.now = end;
        out
    }
}

/// What actions are, each in a word or two.
fn words(actions: &[Action]) -> Vec<String> {
    let word = |action: &Action| match action {
        Action::Connect => "connect".to_owned(),
        Action::Send(octets) => match Kind::of(octets) {
            Kind::Open => "OPEN".to_owned(),
            Kind::Update if octets[19..23] == [0, 0, 0, 0] => "empty".to_owned(),
            Kind::Update if octets[19..21] != [0, 0] || octets[24] == 15 => "withdraw".to_owned(),
            Kind::Update => "announce".to_owned(),
            Kind::Notification => format!("{}/{}", octets[19], octets[20]),
            Kind::Keepalive => "KEEPALIVE".to_owned(),
            Kind::RouteRefresh => format!("refresh {}", octets[21]),
        },
        Action::Disconnect => "close".to_owned(),
        Action::Abort => "abort".to_owned(),
        Action::Changed { to, .. } => format!("→{to:?}"),
        Action::Noticed(_) => "notice".to_owned(),
        Action::RoutesReceived => "routes".to_owned(),
    };
    actions.iter().map(word).collect()
}

/// A route that is wanted with plain attributes, proven at a time.
fn route(text: &str, proven: Duration) -> Route {
    let attributes = Attributes { local_pref: 100, ..Attributes::default() };
    Route { prefix: prefix(text), wanted: Some(attributes), proven: Some(proven) }
}
