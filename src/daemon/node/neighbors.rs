//! What `fated status` says of the routers that are told over BGP.

use std::time::Duration;

use crate::admin::reply::{Beat, Fault, Messages, Neighbor, OtherRoute};
use crate::announce::bgp::{BeatSeen, NeighborSeen};
use crate::bfd;
use crate::bgp::{self, AsNumber, State};

/// How a neighbour is.
pub(super) fn neighbor_status(now: Duration, seen: &NeighborSeen) -> Neighbor {
    let (session, (AsNumber(remote_as), AsNumber(local_as))) = (&seen.session, seen.as_numbers);
    let fault = |fault: &Option<bgp::Fault>| {
        fault.as_ref().map(|fault| Fault { age_s: age(now, fault.at), text: fault.text.clone() })
    };
    Neighbor {
        address: seen.address.clone(),
        local_address: seen.local_address.map(|address| address.to_string()),
        remote_as,
        local_as,
        state: state_word(session.state).to_owned(),
        since_s: age(now, session.since),
        established: session.established,
        router_id: session.peer.as_ref().map(|peer| peer.router_id.to_string()),
        peer_hold_time_s: session.peer.as_ref().map(|peer| peer.hold_time.as_secs()),
        hold_time_s: session.agreed.map(|agreed| agreed.hold_time.as_secs()),
        keepalive_ms: session.agreed.map(|agreed| millis(agreed.keepalive)),
        families: session.agreed.map(|agreed| agreed.families.to_string()),
        role: session.peer.as_ref().and_then(|peer| peer.role).map(|role| role.to_string()),
        capabilities: session.peer.as_ref().map(|peer| peer.capabilities.clone()).unwrap_or_default(),
        announced: session.announced,
        withheld: session.withheld,
        received: messages(session.received),
        sent: messages(session.sent),
        last_sent: fault(&session.last_sent),
        last_received: fault(&session.last_received),
        last_failure: fault(&session.last_failure),
        routes: session.routes.iter().map(other_route).collect(),
        other_routes: session.others,
        bfd: seen.bfd.as_ref().map(|beat| beat_status(now, beat)),
    }
}

/// A path that the router announces.
fn other_route(route: &bgp::ReceivedRoute) -> OtherRoute {
    OtherRoute {
        prefix: route.prefix.to_string(),
        next_hop: route.next_hop.map(|address| address.to_string()),
        as_path: route.as_path.iter().map(|AsNumber(number)| *number).collect(),
    }
}

/// BFD beside a session.
fn beat_status(now: Duration, seen: &BeatSeen) -> Beat {
    let facts = &seen.facts;
    Beat {
        state: beat_word(seen.state).to_owned(),
        since_s: age(now, facts.since),
        transmit_interval_ms: facts.transmit_interval.map(millis),
        detection_time_ms: facts.detection_time.map(millis),
        remote_detection_time_ms: facts.remote_detection_time.map(millis),
        sent: facts.sent,
        withheld: facts.withheld,
        received: facts.received,
        refused: facts.refused,
        last_refusal: facts.last_refusal.map(|refusal| refusal.to_string()),
        send_failures: seen.send_failures.0,
        last_send_error: seen.send_failures.1.clone(),
    }
}

/// Messages by type.
fn messages(counts: bgp::MessageCounts) -> Messages {
    Messages {
        opens: counts.opens,
        updates: counts.updates,
        notifications: counts.notifications,
        keepalives: counts.keepalives,
        refreshes: counts.refreshes,
    }
}

/// The state of a session in one word.
fn state_word(state: State) -> &'static str {
    match state {
        State::Idle => "idle",
        State::Connect => "connect",
        State::Active => "active",
        State::OpenSent => "open-sent",
        State::OpenConfirm => "open-confirm",
        State::Established => "established",
    }
}

/// The state of BFD in one word.
fn beat_word(state: bfd::State) -> &'static str {
    match state {
        bfd::State::AdminDown => "admin-down",
        bfd::State::Down => "down",
        bfd::State::Init => "init",
        bfd::State::Up => "up",
    }
}

/// Whole seconds since a moment.
fn age(now: Duration, since: Duration) -> u64 {
    now.saturating_sub(since).as_secs()
}

/// Whole milliseconds.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
