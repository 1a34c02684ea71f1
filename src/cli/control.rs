//! `fated status`, `reload` and `stop`: one request over the control socket, and the reply for people or machines.

use std::path::PathBuf;

use clap::Args;

use super::output::{EXIT_FAILED, EXIT_FAULTS, EXIT_OK, EXIT_USAGE, age, fail, print, put, table};
use super::{anycast, bgp};
use crate::admin::client::{AskError, Client};
use crate::admin::reply::{Catalog, Reload, State, Status, Stopping, Zone, ZoneCounts, ZonePage};
use crate::admin::{self, Request};
use crate::config;
use crate::wire::shown::lines;
use crate::wire::{Name, Shown};

/// How to reach a running server.
#[derive(Debug, Clone, Args)]
pub(super) struct ControlArgs {
    /// The server's control socket [default: where `fated serve` puts it]
    #[arg(long, value_name = "PATH")]
    pub(super) control: Option<PathBuf>,
    /// The server's configuration, which names the control socket
    #[arg(long, value_name = "FILE", conflicts_with = "control")]
    pub(super) config: Option<PathBuf>,
}

/// Shows how the server is.
pub(super) fn status(args: &ControlArgs, is_json: bool) -> u8 {
    match ask_status(args) {
        Ok((line, _)) if is_json => print(line.as_bytes(), EXIT_OK),
        Ok((_, status)) => print(lines(&show_status(&status)).as_bytes(), EXIT_OK),
        Err(code) => code,
    }
}

/// Shows the routers that the server speaks BGP to.
pub(super) fn bgp(args: &ControlArgs, is_json: bool) -> u8 {
    let neighbors = match ask_status(args) {
        Ok((_, status)) => status.anycast.map(|anycast| anycast.neighbors).unwrap_or_default(),
        Err(code) => return code,
    };
    if is_json {
        let text = serde_json::to_string(&neighbors).expect("plain values are JSON");
        return print(format!("{text}\n").as_bytes(), EXIT_OK);
    }
    print(lines(&bgp::show(&neighbors)).as_bytes(), EXIT_OK)
}

/// Asks the server how it is; returns the reply as it came too.
fn ask_status(args: &ControlArgs) -> Result<(String, Status), u8> {
    connect(args)?.ask(&Request::Status).map_err(|error| no_reply(&error))
}

/// Shows all zones, page by page; as JSON, one line a page.
pub(super) fn zones(args: &ControlArgs, is_json: bool) -> u8 {
    let mut client = match connect(args) {
        Ok(client) => client,
        Err(code) => return code,
    };
    let mut next = Some(0);
    while let Some(from) = next {
        let (line, page) = match client.ask::<ZonePage>(&Request::Zones(from)) {
            Ok(asked) => asked,
            Err(error) => return no_reply(&error),
        };
        let mut out = String::new();
        show_zones(&mut out, &page.zones);
        let code = if is_json { print(line.as_bytes(), EXIT_OK) } else { print(lines(&out).as_bytes(), EXIT_OK) };
        if code != EXIT_OK {
            return code;
        }
        // A server that leads back would never end it.
        next = page.next.filter(|next| *next > from);
    }
    EXIT_OK
}

/// Has the zone files read again.
pub(super) fn reload(args: &ControlArgs, zone: Option<Name>, is_forced: bool, is_json: bool) -> u8 {
    let request = Request::Reload(admin::Reload { zone: zone.map(Box::new), is_forced });
    let asked = connect(args).and_then(|mut client| client.ask::<Reload>(&request).map_err(|error| no_reply(&error)));
    let (line, reload) = match asked {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let code = if reload.kept + reload.refused == 0 { EXIT_OK } else { EXIT_FAULTS };
    if is_json {
        return print(line.as_bytes(), code);
    }
    for zone in reload.zones.iter().filter(|zone| matches!(zone.change.as_str(), "kept" | "refused")) {
        eprintln!("{}", lines(zone.faults.trim_end()));
    }
    print(lines(&show_reload(&reload)).as_bytes(), code)
}

/// Has the server end, and waits for it.
pub(super) fn stop(args: &ControlArgs) -> u8 {
    let mut client = match connect(args) {
        Ok(client) => client,
        Err(code) => return code,
    };
    let pid = match client.ask::<Stopping>(&Request::Stop) {
        Ok((_, stopping)) => stopping.pid,
        Err(error) => return no_reply(&error),
    };
    match client.wait_for_end() {
        Ok(()) => print(format!("fated ({pid}) has stopped\n").as_bytes(), EXIT_OK),
        Err(error) => fail(&format!("the server ({pid}) does not end: {error}"), EXIT_FAILED),
    }
}

/// Connects to the server that the options name.
pub(super) fn connect(args: &ControlArgs) -> Result<Client, u8> {
    let path = match (&args.control, &args.config) {
        (Some(path), _) => path.clone(),
        (None, Some(file)) => configured(file)?,
        (None, None) => config::control_default(),
    };
    Client::connect(&path).map_err(|error| no_reply(&error))
}

/// The control socket that a configuration names.
fn configured(file: &std::path::Path) -> Result<PathBuf, u8> {
    config::control(file)
        .map_err(|error| fail(&error, EXIT_USAGE))?
        .ok_or_else(|| fail(&format!("{} says that there is no control socket", Shown::path(file)), EXIT_USAGE))
}

/// Prints why there is no reply.
pub(super) fn no_reply(error: &AskError) -> u8 {
    fail(&lines(&error.to_string()), EXIT_FAILED)
}

/// The status as people read it.
fn show_status(status: &Status) -> String {
    let mut out = String::new();
    let up = age(status.uptime_s);
    put(&mut out, format_args!("fated {}, process {}, serving for {up}\n", status.version, status.pid));
    put(&mut out, format_args!("{} UDP workers on {}\n", status.workers, status.listen.join(", ")));
    let word = if status.ready.is_ready { "ready" } else { "NOT READY" };
    put(&mut out, format_args!("{word}: {}\n\n", status.ready.reason));
    if let Some(shown) = &status.anycast {
        anycast::show(&mut out, shown);
    }
    status.companions.iter().for_each(|companion| anycast::show_companion(&mut out, companion));
    let ZoneCounts { served, kept, refused } = status.zone_counts;
    put(&mut out, format_args!("zones: {served} served"));
    for (count, what) in [(kept, "of them BROKEN and as they were"), (refused, "BROKEN, answered with SERVFAIL")] {
        if count > 0 {
            put(&mut out, format_args!(", {count} {what}"));
        }
    }
    put(&mut out, format_args!("\n"));
    for Catalog { name, members, served, refusal } in &status.catalogs {
        put(&mut out, format_args!("catalog {name}: {members} members, {served} of them zones by it\n"));
        if let Some(refusal) = refusal {
            put(&mut out, format_args!("  its last version is REFUSED: {refusal}\n"));
        }
    }
    if let Some(secondaries) = &status.secondaries {
        put(&mut out, format_args!("{}\n", secondaries.line()));
    }
    match status.certificate_s {
        Some(left) if left < 0 => put(&mut out, format_args!("TLS: the certificate HAS ENDED\n")),
        Some(left) => put(&mut out, format_args!("TLS: the certificate ends in {}\n", age(left.unsigned_abs()))),
        None => {}
    }
    show_zones(&mut out, &status.zones);
    if served + refused > status.zones.len() {
        let rest = served + refused - status.zones.len();
        put(&mut out, format_args!("… and {rest} more; `fated status --zones` shows all\n"));
    }
    match &status.last_reload {
        None => {}
        Some(last) => {
            put(&mut out, format_args!("\nlast reload {} ago, took {} ms: ", age(last.age_s), last.took_ms));
            match &last.outcome {
                Ok(reload) => out.push_str(&counts(reload)),
                Err(error) => out.push_str(error),
            }
            out.push('\n');
        }
    }
    let control_plane = status.control_plane;
    if control_plane.stalls > 0 {
        let took = age(control_plane.stalled_ms / 1000);
        put(&mut out, format_args!("\nthe control plane hung: {} times, {took} in all\n", control_plane.stalls));
    }
    // What never happened says nothing.
    let counters: Vec<[String; 2]> = status
        .counters
        .iter()
        .filter(|counter| counter.value > 0)
        .map(|counter| [counter.name.clone(), counter.value.to_string()])
        .collect();
    if !counters.is_empty() {
        out.push('\n');
        table(&mut out, &counters);
    }
    out
}

/// Zones as people read them: a table, and behind it what is wrong with those that are broken.
fn show_zones(out: &mut String, zones: &[Zone]) {
    let head = ["zone", "serial", "records", "names", "signed", "read", "state"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(zones.iter().map(zone_row)).collect();
    table(out, &rows);
    for zone in zones.iter().filter(|zone| zone.state != State::Served) {
        put(out, format_args!("\n{}:\n{}\n", zone.file, zone.faults.trim_end()));
    }
}

/// One line of the table of zones.
fn zone_row(zone: &Zone) -> [String; 7] {
    let state = match zone.state {
        State::Served if zone.warnings > 0 => format!("served, warnings: {}", zone.warnings),
        State::Served => "served".to_owned(),
        State::Kept => "BROKEN, the old zone is served".to_owned(),
        State::Refused => "BROKEN, answered with SERVFAIL".to_owned(),
        State::Awaited => "AWAITED from its primaries, answered with SERVFAIL".to_owned(),
        State::Expired => "EXPIRED, answered with SERVFAIL".to_owned(),
    };
    [
        zone.name.clone(),
        zone.serial.map_or_else(|| "-".to_owned(), |serial| serial.to_string()),
        zone.records.to_string(),
        zone.names.to_string(),
        if zone.signed { "yes" } else { "no" }.to_owned(),
        zone.age_s.map_or_else(|| "-".to_owned(), |seconds| format!("{} ago", age(seconds))),
        state,
    ]
}

/// What a reload did, as people read it.
fn show_reload(reload: &Reload) -> String {
    let mut out = String::new();
    for zone in &reload.zones {
        let serial = zone.serial.map_or_else(String::new, |serial| format!(", serial {serial}"));
        let change = match zone.change.as_str() {
            "kept" => "BROKEN, the old zone is served on",
            "refused" => "BROKEN, answered with SERVFAIL",
            "removed" => "removed, its file is gone",
            word => word,
        };
        put(&mut out, format_args!("{}  {change}{serial}  ({})\n", zone.name, zone.file));
    }
    for note in &reload.notes {
        put(&mut out, format_args!("note: {note}\n"));
    }
    put(&mut out, format_args!("{}\n", counts(reload)));
    out
}

/// How many zones met which fate.
fn counts(reload: &Reload) -> String {
    let counts = [
        (reload.added, "added"),
        (reload.changed, "changed"),
        (reload.removed, "removed"),
        (reload.unchanged, "unchanged"),
        (reload.kept, "broken and kept as they were"),
        (reload.refused, "broken and answered with SERVFAIL"),
    ];
    let no_reply: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if no_reply.is_empty() { "no zones".to_owned() } else { no_reply.join(", ") }
}
