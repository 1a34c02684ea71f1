//! `[[companion]]`, as written → checked.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use hickory_proto::rr::{Name, RecordType};
use toml::Spanned;

use super::anycast::{LEASE, LEASE_DEFAULT, host_address, is_interface_name};
use super::tls::TlsPeers;
use super::{Check, Own, Row, parse_duration, quoted, rows};
use crate::announce::kernel::ADDRESSES_MAX;
use crate::companion::Probe;
use crate::config::document::Document;
use crate::config::values::{Anycast, Companion, Health, INTERFACE_DEFAULT, ZoneShare};
use crate::health::{SOURCE_V4, SOURCE_V6, Sources};
use crate::policy::Reaction;

/// The most companions.
const COMPANIONS_MAX: usize = 32;
/// The longest name of one.
const NAME_BYTES_MAX: usize = 32;
/// The longest text that a page must hold, and the longest of other texts.
const TEXT_BYTES_MAX: usize = 1024;
/// The most words of a command.
const WORDS_MAX: usize = 64;

impl Check<'_> {
    /// Every `[[companion]]`. `anycast` is what the server itself announces.
    pub(super) fn companions(&mut self, anycast: Option<&Anycast>, tls: &TlsPeers, is_dry_run: bool) -> Vec<Companion> {
        let sections = self.written.each(rows::COMPANION);
        if let Some(beyond) = sections.get(COMPANIONS_MAX) {
            let name = beyond.get::<String>(&rows::COMPANION_NAME).expect("the document has it");
            let message = format!("there may be {COMPANIONS_MAX} [[companion]] at most");
            self.fault(name.span(), message, "one too many".into(), None);
        }
        let mut found: Vec<Companion> = Vec::new();
        for (index, section) in sections.iter().enumerate().take(COMPANIONS_MAX) {
            let name = self.companion_name(section, &found);
            let taken: Vec<IpAddr> = anycast
                .into_iter()
                .chain(found.iter().map(|other| &other.node))
                .fold(Vec::new(), |all, node| [&all[..], &node.addresses].concat());
            let node = Anycast {
                addresses: self.companion_addresses(section, &taken),
                announce: Vec::new(),
                interface: self.companion_interface(section, index, anycast, &found),
                lease: self.companion_lease(section),
                drain: self
                    .duration_in(section, &rows::COMPANION_DRAIN)
                    .unwrap_or(rows::COMPANION_DRAIN.values.default),
                zones_wait: Duration::ZERO,
                degrade_first: Duration::ZERO,
                kernel_route: None,
                guard: None,
                bgp: None,
                health: self.companion_health(section),
                is_dry_run,
            };
            let probe = self.companion_probe(section, &name, tls);
            found.extend(probe.map(|probe| Companion { name, node, probe }));
        }
        found
    }

    /// A name that no other has.
    fn companion_name(&mut self, section: &Document<'_>, others: &[Companion]) -> String {
        let written = section.get::<String>(&rows::COMPANION_NAME).expect("the document has it");
        let name = written.get_ref();
        let is_good = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(is_good) {
            let allowed = format!("1 to {NAME_BYTES_MAX} of a to z, 0 to 9 and '-'");
            self.refuse(rows::COMPANION_NAME.path, &quoted(&written), &allowed);
        } else if others.iter().any(|other| other.name == *name) {
            let message = format!("two [[companion]] are called {name:?}");
            self.fault(written.span(), message, "called so before".into(), None);
        }
        written.into_inner()
    }

    /// Addresses that nobody else here has.
    fn companion_addresses(&mut self, section: &Document<'_>, taken: &[IpAddr]) -> Vec<IpAddr> {
        const KEY: &str = rows::COMPANION_ADDRESSES.path;
        let written = section.get::<Vec<Spanned<String>>>(&rows::COMPANION_ADDRESSES).expect("the document has it");
        let items = written.get_ref();
        if items.is_empty() || items.len() > ADDRESSES_MAX {
            let count = Spanned::new(written.span(), format!("{} addresses", items.len()));
            self.refuse(KEY, &count, &format!("1 to {ADDRESSES_MAX} addresses"));
        }
        let mut found: Vec<IpAddr> = Vec::new();
        for item in items {
            match host_address(item.get_ref()) {
                Err(allowed) => self.refuse(KEY, &quoted(item), allowed),
                Ok(address) if taken.contains(&address) || found.contains(&address) => {
                    let message = format!("`{KEY}` names {address}, which is a service address already");
                    let help = "each service has addresses of its own: its route goes with it alone";
                    self.fault(item.span(), message, "named before".into(), Some(help.into()));
                }
                Ok(address) => found.push(address),
            }
        }
        found
    }

    /// A device that no other tun of ours is called.
    fn companion_interface(
        &mut self,
        section: &Document<'_>,
        index: usize,
        anycast: Option<&Anycast>,
        others: &[Companion],
    ) -> String {
        const KEY: &str = rows::COMPANION_INTERFACE.path;
        let written = section.get::<String>(&rows::COMPANION_INTERFACE);
        let name = match &written {
            Some(written) => written.get_ref().clone(),
            None => format!("fated{}", index + 1),
        };
        let span = written.as_ref().map_or_else(
            || section.get::<String>(&rows::COMPANION_NAME).expect("the document has it").span(),
            Spanned::span,
        );
        let mut taken = anycast.into_iter().chain(others.iter().map(|other| &other.node)).map(|node| &node.interface);
        if let Some(written) = written.as_ref().filter(|written| !is_interface_name(written.get_ref())) {
            self.refuse(KEY, &quoted(written), &format!("a device's name such as \"{INTERFACE_DEFAULT}\""));
        } else if name.starts_with("fated") && taken.any(|other| *other == name) {
            let message = format!("`{KEY}` is \"{name}\", which another service has");
            let help = "a tun device carries the addresses of one service; give it another name";
            self.fault(span, message, "named before".into(), Some(help.into()));
        }
        name
    }

    /// The lease; `None` for "off".
    fn companion_lease(&mut self, section: &Document<'_>) -> Option<Duration> {
        let Some(written) = section.get::<String>(&rows::COMPANION_LEASE) else { return Some(LEASE_DEFAULT) };
        if written.get_ref() == "off" {
            return None;
        }
        let lease = parse_duration(written.get_ref())
            .filter(|lease| (LEASE.0..=LEASE.1).contains(lease) && lease.subsec_nanos() == 0);
        if lease.is_none() {
            let allowed = format!("whole seconds such as \"1s\", {:?} to {:?}, or \"off\"", LEASE.0, LEASE.1);
            self.refuse(rows::COMPANION_LEASE.path, &quoted(&written), &allowed);
        }
        lease
    }

    /// How it is judged.
    fn companion_health(&mut self, section: &Document<'_>) -> Health {
        let health = Health {
            interval: self.duration_of(section, &rows::COMPANION_INTERVAL),
            timeout: self.duration_of(section, &rows::COMPANION_TIMEOUT),
            fall: self.number_of(section, &rows::COMPANION_FALL) as u32,
            rise: self.number_of(section, &rows::COMPANION_RISE) as u32,
            workers_min: NonZeroUsize::MIN,
            on_overload: Reaction::Absorb,
            on_shared_fault: Reaction::Absorb,
            late_zones: ZoneShare::Percent(100),
            on_path_fault: Reaction::Absorb,
            sources: Sources { v4: SOURCE_V4, v6: SOURCE_V6 },
        };
        let round = health.interval + health.timeout;
        let written = section.get::<String>(&rows::COMPANION_LEASE);
        let lease = written.as_ref().map_or(Some(LEASE_DEFAULT), |written| parse_duration(written.get_ref()));
        if let Some(lease) = lease.filter(|lease| *lease <= round) {
            let name = section.get::<String>(&rows::COMPANION_NAME).expect("the document has it");
            let message = format!(
                "the lease of {} is {lease:?}, but a proof may take {round:?} (`interval` and `timeout` together)",
                quoted(&name).get_ref()
            );
            let help = "lengthen `lease`, or shorten `interval` or `timeout`";
            self.fault(name.span(), message, "the lease would run out between two proofs".into(), Some(help.into()));
        }
        health
    }

    /// What proves that it lives. Keys of other probes are refused.
    fn companion_probe(&mut self, section: &Document<'_>, name: &str, tls: &TlsPeers) -> Option<Probe> {
        let written = section.get::<String>(&rows::COMPANION_PROBE).expect("the document has it");
        let kind = written.get_ref().as_str();
        let (keys, port): (&[&str], i64) = match kind {
            "tcp" => (&["port"], 0),
            "http" => (&["port", "host", "path", "status", "text"], 80),
            "dns" => (&["port", "query"], 53),
            "kerberos" => (&["port", "realm", "principal"], 88),
            "ldap" => (&["port", "tls"], 389),
            "command" => (&["command"], 0),
            _ => {
                let allowed = "\"tcp\", \"http\", \"dns\", \"kerberos\", \"ldap\" or \"command\"";
                self.refuse(rows::COMPANION_PROBE.path, &quoted(&written), allowed);
                return None;
            }
        };
        self.only_keys_of(section, &written, keys);
        let given = self.number_in(section, &rows::COMPANION_PORT, rows::COMPANION_PORT.values.bounds.1);
        let port = given.filter(|port| *port > 0).unwrap_or(port) as u16;
        let text = |check: &mut Self, row: &Row<Own>| check.companion_text(section, row);
        Some(match kind {
            "tcp" if port == 0 => return self.companion_lacks(&written, "port = 22"),
            "tcp" => Probe::Tcp { port },
            "http" => Probe::Http {
                port,
                host: text(self, &rows::COMPANION_HOST).unwrap_or_else(|| name.to_owned()),
                path: text(self, &rows::COMPANION_PATH).unwrap_or_else(|| "/".to_owned()),
                status: self.number_in(section, &rows::COMPANION_STATUS, 599).unwrap_or(200) as u16,
                text: text(self, &rows::COMPANION_TEXT),
            },
            "dns" => self.companion_question(section, port)?,
            "kerberos" => match text(self, &rows::COMPANION_REALM) {
                None => return self.companion_lacks(&written, "realm = \"EXAMPLE.COM\""),
                Some(realm) => {
                    let principal = text(self, &rows::COMPANION_PRINCIPAL).unwrap_or_else(|| "fated".to_owned());
                    Probe::Kerberos { port, realm, principal }
                }
            },
            "ldap" => {
                let named = section.get::<String>(&rows::COMPANION_TLS);
                Probe::Ldap { port, tls: named.and_then(|named| self.tls_peer(rows::COMPANION, &named, tls)) }
            }
            _ => self.companion_command(section, &written)?,
        })
    }

    /// The question of `dns`.
    fn companion_question(&mut self, section: &Document<'_>, port: u16) -> Option<Probe> {
        let Some(written) = section.get::<String>(&rows::COMPANION_QUERY) else {
            return Some(Probe::Dns { port, name: ".".to_owned(), rtype: "NS".to_owned() });
        };
        let parts = written.get_ref().split_once(' ');
        let is_good =
            |(name, rtype): &(&str, &str)| Name::from_str(name).is_ok() && RecordType::from_str(rtype).is_ok();
        let Some((name, rtype)) = parts.filter(is_good) else {
            self.refuse(
                rows::COMPANION_QUERY.path,
                &quoted(&written),
                "a name and a type such as \"example.com. SOA\"",
            );
            return None;
        };
        Some(Probe::Dns { port, name: name.to_owned(), rtype: rtype.to_owned() })
    }

    /// The command.
    fn companion_command(&mut self, section: &Document<'_>, probe: &Spanned<String>) -> Option<Probe> {
        let Some(written) = section.get::<Vec<String>>(&rows::COMPANION_COMMAND) else {
            return self.companion_lacks(probe, "command = [\"/usr/local/bin/is-well\"]");
        };
        if !(1..=WORDS_MAX).contains(&written.get_ref().len()) {
            let count = Spanned::new(written.span(), format!("{} words", written.get_ref().len()));
            self.refuse(
                rows::COMPANION_COMMAND.path,
                &count,
                &format!("a program and at most {} arguments", WORDS_MAX - 1),
            );
            return None;
        }
        Some(Probe::Command { words: written.into_inner() })
    }

    /// A text of printable characters.
    fn companion_text(&mut self, section: &Document<'_>, row: &Row<Own>) -> Option<String> {
        let written = section.get::<String>(row)?;
        let text = written.get_ref();
        // What goes into a request line or a header must not end it.
        let is_plain = row.path == rows::COMPANION_TEXT.path || text.bytes().all(|octet| octet.is_ascii_graphic());
        if !(1..=TEXT_BYTES_MAX).contains(&text.len()) || !is_plain {
            self.refuse(row.path, &quoted(&written), "1 to 1024 printable ASCII characters without blanks");
        }
        Some(written.into_inner())
    }

    /// Says that a probe lacks what it needs.
    fn companion_lacks(&mut self, probe: &Spanned<String>, example: &str) -> Option<Probe> {
        let key = example.split(' ').next().unwrap_or_default();
        let message = format!("the probe \"{}\" needs `{key}`", probe.get_ref());
        self.fault(probe.span(), message, "not enough to ask".into(), Some(format!("add, for instance, `{example}`")));
        None
    }

    /// Refuses what is a key of another probe.
    fn only_keys_of(&mut self, section: &Document<'_>, probe: &Spanned<String>, keys: &[&str]) {
        const OF_PROBES: [&str; 10] =
            ["port", "host", "path", "status", "text", "query", "realm", "principal", "tls", "command"];
        for key in OF_PROBES.iter().filter(|key| !keys.contains(key)) {
            if section.has(&format!("{}.{key}", rows::COMPANION)) {
                let message = format!("`companion.{key}` is nothing to the probe \"{}\"", probe.get_ref());
                let help = format!("take it out; its keys are `{}`", keys.join("`, `"));
                self.fault(probe.span(), message, "asks otherwise".into(), Some(help));
            }
        }
    }
}

#[cfg(test)]
mod tests;
