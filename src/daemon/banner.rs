//! What the terminal shows at the start: what is served, where, and what to ask.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::logging::Output;
use crate::config::{Config, LogFormat};
use crate::load::Registry;
use crate::wire::Shown;

/// The most zones that are shown one by one.
const ZONES_SHOWN_MAX: usize = 20;

/// Says what is served.
///
/// `addresses` are those of UDP and TCP, and those of TLS.
pub(super) fn show(output: &Output, config: &Config, addresses: (&[SocketAddr], &[SocketAddr]), registry: &Registry) {
    match config.log.format {
        LogFormat::Text => output.say(&text(config, addresses, registry)),
        LogFormat::Json => {
            let zones = registry.zones().len();
            tracing::info!(zones, workers = config.workers.get(), "serving on {}", list(addresses.0));
            if !addresses.1.is_empty() {
                tracing::info!("serving over TLS on {}", list(addresses.1));
            }
        }
    }
}

/// The text for people.
fn text(config: &Config, (addresses, tls_addresses): (&[SocketAddr], &[SocketAddr]), registry: &Registry) -> String {
    let mut out = format!("fated {}\n", env!("CARGO_PKG_VERSION"));
    let served = || registry.iter().filter_map(|record| Some((record, record.zone()?)));
    let shown: Vec<_> = served().take(ZONES_SHOWN_MAX).collect();
    let width = shown.iter().map(|(_, zone)| zone.apex().to_string().len()).max().unwrap_or(0);
    for (record, zone) in &shown {
        let signed = if zone.is_signed() { "signed" } else { "unsigned" };
        let (name, records, serial) = (zone.apex().to_string(), zone.record_count(), zone.serial());
        let path = &record.source;
        put(
            &mut out,
            format_args!("  {name:width$}  {}, serial {serial}, {signed}  ({path})\n", count(records, "record")),
        );
    }
    let all = registry.zones().len();
    if all > shown.len() {
        put(&mut out, format_args!("  and {} more\n", all - shown.len()));
    }
    let (zone_count, workers) = (count(all, "zone"), count(config.workers.get(), "worker"));
    put(&mut out, format_args!("serving {zone_count} on {}, UDP and TCP, {workers}\n", list(addresses)));
    if !tls_addresses.is_empty() {
        put(&mut out, format_args!("        and over TLS on {}\n", list(tls_addresses)));
    }
    let names = || served().map(|(_, zone)| zone.apex());
    // Reverse zones make a poor first question.
    let asked = names().find(|name| name.labels().last() != Some(b"arpa")).or(names().next());
    if let (Some(address), Some(zone)) = (addresses.first(), asked) {
        put(&mut out, format_args!("  ask     {}\n", question(*address, &zone.to_string())));
    }
    let control = |command: &str| command_line(command, config.control.as_deref());
    match &config.control {
        Some(_) => put(&mut out, format_args!("  see     {}\n  reload  {}\n", control("status"), control("reload"))),
        None => put(&mut out, format_args!("  reload  kill -HUP {}\n", std::process::id())),
    }
    put(&mut out, format_args!("  stop    Ctrl-C\n"));
    out
}

/// Appends to a text, which can't fail.
fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("a String takes everything");
}

/// A number with its noun.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Addresses as people list them.
fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A question that the server will answer.
fn question(address: SocketAddr, zone: &str) -> String {
    let zone = zone.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(zone);
    let host = match address.ip() {
        ip if !ip.is_unspecified() => ip.to_string(),
        ip if ip.is_ipv4() => "127.0.0.1".to_owned(),
        _ => "::1".to_owned(),
    };
    let port = if address.port() == 53 { String::new() } else { format!(" -p {}", address.port()) };
    format!("dig @{host}{port} {zone} SOA")
}

/// A command for this very server: the socket is named unless it is where everybody looks.
fn command_line(command: &str, control: Option<&Path>) -> String {
    match control {
        Some(path) if path != crate::config::control_default() => {
            format!("fated {command} --control {}", Shown::path(path))
        }
        _ => format!("fated {command}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_can_be_typed_as_it_stands() {
        for (address, zone, expected) in [
            ("127.0.0.1:5300", "example.test.", "dig @127.0.0.1 -p 5300 example.test SOA"),
            ("[::]:53", ".", "dig @::1 . SOA"),
            ("0.0.0.0:53", "a.", "dig @127.0.0.1 a SOA"),
        ] {
            assert_eq!(question(address.parse().expect("an address"), zone), expected);
        }
    }
}
