//! What `fated bgp` and `fated status` say of routers, for people.

use super::output::{age, put, table};
use crate::admin::reply::{Beat, Fault, Messages, Neighbor};

/// Shows the routers one by one.
pub(super) fn show(neighbors: &[Neighbor]) -> String {
    let mut out = String::new();
    if neighbors.is_empty() {
        out.push_str("there is no [bgp] in the server's configuration\n");
    }
    for (index, neighbor) in neighbors.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        detail(&mut out, neighbor);
    }
    out
}

/// Writes a line for each router.
pub(super) fn summary(out: &mut String, neighbors: &[Neighbor]) {
    if neighbors.is_empty() {
        return;
    }
    out.push('\n');
    let head = ["router", "AS", "session", "for", "prefixes", "BFD", "last trouble"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(neighbors.iter().map(row)).collect();
    table(out, &rows);
}

/// One line of that table.
fn row(neighbor: &Neighbor) -> [String; 7] {
    let is_up = neighbor.state == "established";
    let last = last_trouble(neighbor).map_or_else(|| "-".to_owned(), ago);
    [
        neighbor.address.clone(),
        neighbor.remote_as.to_string(),
        if is_up { neighbor.state.clone() } else { neighbor.state.to_uppercase() },
        age(neighbor.since_s),
        neighbor.announced.to_string(),
        neighbor.bfd.as_ref().map_or_else(|| "-".to_owned(), |bfd| bfd.state.clone()),
        last,
    ]
}

/// Writes all about a router.
fn detail(out: &mut String, neighbor: &Neighbor) {
    let Neighbor { address, remote_as, local_as, state, .. } = neighbor;
    let kind = if remote_as == local_as { "iBGP" } else { "eBGP" };
    put(out, format_args!("{address}, AS {remote_as}, {kind} from AS {local_as}\n"));
    put(
        out,
        format_args!(
            "  session     {state} for {}, established {} times\n",
            age(neighbor.since_s),
            neighbor.established
        ),
    );
    if let Some(local) = &neighbor.local_address {
        let id = neighbor.router_id.as_deref().unwrap_or("not known yet");
        put(out, format_args!("  ends        {local} here, router ID {id} there\n"));
    }
    if let (Some(hold), Some(keepalive)) = (neighbor.hold_time_s, neighbor.keepalive_ms) {
        let offered = neighbor.peer_hold_time_s.unwrap_or_default();
        put(
            out,
            format_args!("  timers      hold {hold} s (the router offered {offered} s), keepalive {keepalive} ms\n"),
        );
    }
    if let Some(families) = &neighbor.families {
        let codes: Vec<String> = neighbor.capabilities.iter().map(|code| capability(*code)).collect();
        put(out, format_args!("  agreed      {families}; the router has {}\n", codes.join(", ")));
    }
    if let Some(role) = &neighbor.role {
        put(out, format_args!("  role        the router is a {role}\n"));
    }
    put(
        out,
        format_args!("  announced   {} prefixes, {} heartbeats withheld\n", neighbor.announced, neighbor.withheld),
    );
    put(out, format_args!("  sent        {}\n", messages(&neighbor.sent)));
    put(out, format_args!("  received    {}\n", messages(&neighbor.received)));
    for (what, fault) in
        [("told", &neighbor.last_sent), ("was told", &neighbor.last_received), ("failed", &neighbor.last_failure)]
    {
        if let Some(fault) = fault {
            put(out, format_args!("  {what:<11} {}\n", ago(fault)));
        }
    }
    for route in &neighbor.routes {
        let path: Vec<String> = route.as_path.iter().map(ToString::to_string).collect();
        let next_hop = route.next_hop.as_deref().unwrap_or("-");
        put(out, format_args!("  other path  {} over {next_hop}, AS path {}\n", route.prefix, path.join(" ")));
    }
    if neighbor.other_routes > 0 {
        put(out, format_args!("  ignored     {} prefixes that are not ours\n", neighbor.other_routes));
    }
    if let Some(bfd) = &neighbor.bfd {
        beat(out, bfd);
    }
}

/// Writes what BFD does.
fn beat(out: &mut String, bfd: &Beat) {
    put(out, format_args!("  BFD         {} for {}", bfd.state, age(bfd.since_s)));
    if let (Some(ours), Some(theirs)) = (bfd.remote_detection_time_ms, bfd.detection_time_ms) {
        put(out, format_args!(", we are given up after {ours} ms, the router after {theirs} ms"));
    }
    put(
        out,
        format_args!(
            "\n              {} sent, {} withheld, {} received, {} refused\n",
            bfd.sent, bfd.withheld, bfd.received, bfd.refused
        ),
    );
    for (what, why) in [("refused", &bfd.last_refusal), ("not sent", &bfd.last_send_error)] {
        if let Some(why) = why {
            put(out, format_args!("              the last that was {what}: {why}\n"));
        }
    }
}

/// The latest trouble.
fn last_trouble(neighbor: &Neighbor) -> Option<&Fault> {
    let all = [&neighbor.last_sent, &neighbor.last_received, &neighbor.last_failure];
    all.into_iter().flatten().min_by_key(|fault| fault.age_s)
}

/// A fault with its age.
fn ago(fault: &Fault) -> String {
    format!("{} ago: {}", age(fault.age_s), fault.text)
}

/// Messages by type.
fn messages(counts: &Messages) -> String {
    counts.by_type().map(|(name, count)| format!("{count} {name}")).join(", ")
}

/// What a capability is called (the registry of capability codes).
fn capability(code: u8) -> String {
    let name = match code {
        1 => "multiprotocol",
        2 => "route refresh",
        5 => "extended next hop",
        6 => "extended message",
        9 => "role",
        64 => "graceful restart",
        65 => "4-octet AS",
        69 => "ADD-PATH",
        70 => "enhanced route refresh",
        71 => "long-lived graceful restart",
        73 => "FQDN",
        128 => "route refresh (old)",
        _ => return format!("capability {code}"),
    };
    name.to_owned()
}
