//! `fated zone`: how the transfers of one zone are, that its primaries are to be asked, and the zone as a file.

use std::thread;
use std::time::{Duration, Instant};

use super::control::{ControlArgs, connect, no_reply};
use super::output::{EXIT_FAILED, EXIT_OK, EXIT_USAGE, age, fail, print};
use crate::admin::reply::{Export, Parent, ParentState, Secondary, Told};
use crate::admin::{Request, ZoneVerb};
use crate::wire::Name;
use crate::wire::shown::lines;

/// How long what primaries give is waited for; a longer transfer goes on by itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks about a zone, and shows it; what is asked of primaries is waited for, unless JSON is wanted.
pub(super) fn show(control: &ControlArgs, verb: ZoneVerb, name: Name, is_json: bool) -> u8 {
    let mut client = match connect(control) {
        Ok(client) => client,
        Err(code) => return code,
    };
    let start = Instant::now();
    let mut verb = verb;
    loop {
        let (line, zone) = match client.ask::<Secondary>(&Request::Zone(verb, Box::new(name))) {
            Ok(asked) => asked,
            Err(error) => return no_reply(&error),
        };
        let is_waited_for = verb != ZoneVerb::Status || start.elapsed() > PAUSE / 2;
        if zone.asking && is_waited_for && !is_json && start.elapsed() < PATIENCE {
            verb = ZoneVerb::Status;
            thread::sleep(PAUSE);
            continue;
        }
        let code = if zone.failures > 0 || zone.expired { EXIT_FAILED } else { EXIT_OK };
        let shown = if is_json { line } else { lines(&describe(&zone)) };
        return print(shown.as_bytes(), code);
    }
}

/// Has a zone forgotten and transferred anew, if that is really wanted.
pub(super) fn purge(control: &ControlArgs, name: Name, is_forced: bool, is_json: bool) -> u8 {
    if !is_forced {
        let what = format!(
            "what is kept of {name} would be forgotten, and it would be answered with SERVFAIL until a primary gives \
             it; to have it so: fated zone purge --force {name}"
        );
        return fail(&what, EXIT_USAGE);
    }
    show(control, ZoneVerb::Purge, name, is_json)
}

/// Has others told which version of a zone is served.
pub(super) fn notify(control: &ControlArgs, name: Name, is_json: bool) -> u8 {
    let request = Request::Zone(ZoneVerb::Notify, Box::new(name));
    let asked = connect(control).and_then(|mut client| client.ask::<Told>(&request).map_err(|error| no_reply(&error)));
    match asked {
        Ok((line, _)) if is_json => print(line.as_bytes(), EXIT_OK),
        Ok((_, Told { name, serial, servers })) => {
            let text = format!("{name}  serial {serial}\n  told     {}\n", servers.join(", "));
            print(lines(&text).as_bytes(), EXIT_OK)
        }
        Err(code) => code,
    }
}

/// Writes a zone as a zone file.
pub(super) fn export(control: &ControlArgs, name: Name, is_json: bool) -> u8 {
    let request = Request::Zone(ZoneVerb::Export, Box::new(name));
    let asked =
        connect(control).and_then(|mut client| client.ask::<Export>(&request).map_err(|error| no_reply(&error)));
    match asked {
        Ok((line, _)) if is_json => print(line.as_bytes(), EXIT_OK),
        Ok((_, export)) => print(export.text.as_bytes(), EXIT_OK),
        Err(code) => code,
    }
}

/// A zone's transfers as people read them.
fn describe(zone: &Secondary) -> String {
    let mut out = format!("{}  ", zone.name);
    match zone.serial {
        Some(serial) if zone.expired => {
            out.push_str(&format!("EXPIRED with serial {serial}, answered with SERVFAIL\n"))
        }
        Some(serial) => out.push_str(&format!("serial {serial}\n")),
        None => out.push_str("no version has come yet, answered with SERVFAIL\n"),
    }
    let mut put = |label: &str, text: String| out.push_str(&format!("  {label:<9}{text}\n"));
    if let Some(catalog) = &zone.catalog {
        put("catalog", catalog.clone());
    }
    if let Some(file) = &zone.file {
        put("file", file.clone());
    }
    if let Some(primary) = &zone.primary {
        put("primary", primary.clone());
    }
    if let Some(checked) = zone.checked_s {
        put("current", format!("{} ago{}", age(checked), if zone.late { ", LATE" } else { "" }));
    }
    if zone.behind > 0 {
        put("behind", format!("{} serials", zone.behind));
    }
    match zone.next_s {
        Some(next) => put("asks", format!("in {}", age(next))),
        None if !zone.asking => {}
        None if zone.verifying => put("asks", format!("now: {} records came, `verify` looks at them", zone.records)),
        None => put("asks", format!("now: {} records, {} octets so far", zone.records, zone.octets)),
    }
    if let Some(expires) = zone.expires_s.filter(|_| !zone.expired) {
        put("expires", format!("in {}", age(expires)));
    }
    if let Some(trouble) = &zone.trouble {
        put(
            "trouble",
            if zone.failures > 1 { format!("{trouble} ({} times)", zone.failures) } else { trouble.clone() },
        );
    }
    zone.parent.iter().for_each(|parent| put("parent", describe_parent(parent)));
    out
}

/// What became of telling a parent, as people read it.
fn describe_parent(parent: &Parent) -> String {
    let Parent { rtype, since_s, .. } = parent;
    let (since, endpoint) = (age(*since_s), parent.endpoint.as_deref().unwrap_or_default());
    match parent.state {
        ParentState::Due => format!("{rtype}: to be told"),
        ParentState::Nobody => format!("{rtype}: has no DSYNC that asks for it, {since} ago"),
        ParentState::Told => format!("{rtype}: {endpoint} was told {since} ago"),
        ParentState::Failed => format!("{rtype}: NOT TOLD: {}", parent.trouble.as_deref().unwrap_or_default()),
    }
}
