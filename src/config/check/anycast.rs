//! `[anycast]` and `[admin]`, as written → checked.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use toml::{Spanned, Value};

use super::bgp::BGP;
use super::{ANYCAST, Check, Key, Own, Row, parse_address_at, parse_duration, quoted, rows};
use crate::announce::kernel::{ADDRESSES_MAX, KernelRoute};
use crate::config::values::{
    ADMIN_PORT_DEFAULT, Absence, Anycast, Health, INTERFACE_DEFAULT, Listen, PORT_DEFAULT, ZoneShare,
};
use crate::health::{SOURCE_V4, SOURCE_V6, Sources};
use crate::sys::tun::NAME_BYTES_MAX;

/// The shortest prefixes that may be announced, IPv4 and IPv6: anything wider is a slip of the pen.
const PREFIX_LENGTH_MIN: (u8, u8) = (8, 16);
/// Bounds and default of `lease`; the kernel counts it in whole seconds.
pub(super) const LEASE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));
pub(super) const LEASE_DEFAULT: Duration = Duration::from_secs(1);
/// The kernel's table of the host's own addresses (Linux `rtnetlink.h`).
const TABLE_LOCAL: i64 = 255;
/// The section that asks for kernel routes.
const KERNEL_ROUTE: &str = "anycast.kernel-route";
/// The share of the workers that must answer by default, in percent.
const WORKERS_MIN_PERCENT_DEFAULT: i64 = 50;
/// How many zones may be late by default.
const LATE_ZONES_DEFAULT: ZoneShare = ZoneShare::Percent(50);

impl Check<'_> {
    /// `[admin]`.
    pub(super) fn admin(&mut self) -> Option<SocketAddr> {
        let written = self.written.get::<String>(&rows::ADMIN_LISTEN).filter(|value| !value.get_ref().is_empty())?;
        let parsed = parse_address_at(written.get_ref(), ADMIN_PORT_DEFAULT).ok();
        if parsed.is_none() {
            let allowed = "an address such as \"127.0.0.1\", \"127.0.0.1:9153\" or \"[::1]:9153\", or \"\" for none";
            self.refuse(rows::ADMIN_LISTEN.path, &quoted(&written), allowed);
        }
        parsed
    }

    /// `[anycast]`.
    pub(super) fn anycast(&mut self, listen: &[Listen], workers: NonZeroUsize, is_dry_run: bool) -> Option<Anycast> {
        if !self.written.has(ANYCAST) {
            if is_dry_run {
                let help = Some("leave it out, or add [anycast] with `addresses` to the file of --config".to_owned());
                self.fault_outside("--dry-run: without [anycast] nothing would be announced".to_owned(), help);
            }
            if self.written.has(BGP) {
                let help = "add [anycast] with `addresses`, or take [bgp] out".to_owned();
                self.fault_outside("[bgp] stands without [anycast]: there is nothing to announce".into(), Some(help));
            }
            return None;
        }
        let addresses = self.addresses(listen);
        let announce = self.announce(&addresses);
        let interface = self.interface();
        let lease = self.lease(&interface);
        let kernel_route = self.written.has(KERNEL_ROUTE).then(|| self.kernel_route(&interface, lease));
        let health = self.health(workers, lease, &addresses);
        let bgp = self.bgp(&addresses, &announce);
        let (degrade_first, guard) = (self.duration(&rows::DEGRADE_FIRST), self.guard());
        Some(Anycast {
            addresses,
            announce,
            interface,
            lease,
            drain: self.duration(&rows::DRAIN),
            degrade_first: if bgp.is_some() { degrade_first } else { Duration::ZERO },
            zones_wait: self.duration(&rows::ZONES_WAIT),
            kernel_route,
            guard: bgp.as_ref().and(guard),
            bgp,
            health,
            is_dry_run,
        })
    }

    /// The service addresses.
    fn addresses(&mut self, listen: &[Listen]) -> Vec<IpAddr> {
        const KEY: &str = rows::ADDRESSES.path;
        let written = self.written.get::<Vec<Spanned<String>>>(&rows::ADDRESSES).expect("the document has it");
        let items = written.get_ref();
        if items.is_empty() || items.len() > ADDRESSES_MAX {
            let count = Spanned::new(written.span(), format!("{} addresses", items.len()));
            self.refuse(KEY, &count, &format!("1 to {ADDRESSES_MAX} addresses"));
        }
        let mut found: Vec<IpAddr> = Vec::new();
        for item in items {
            let address = match host_address(item.get_ref()) {
                Ok(address) => address,
                Err(allowed) => {
                    self.refuse(KEY, &quoted(item), allowed);
                    continue;
                }
            };
            let asked = SocketAddr::new(address, PORT_DEFAULT);
            if found.contains(&address) {
                let message = format!("`{KEY}` names {address} twice");
                self.fault(item.span(), message, "named before".into(), Some("take one of the two out".into()));
            } else if listen.iter().any(|listen| listen.absence != Absence::LeaveOut && listen.address == asked) {
                let message = format!("{address} stands in `{KEY}` and is listened on besides");
                let help = "anycast addresses are listened on as they are; take it out of `server.listen` or --listen";
                self.fault(item.span(), message, "listened on already".into(), Some(help.into()));
            } else {
                found.push(address);
            }
        }
        found
    }

    /// The covering prefixes.
    fn announce(&mut self, addresses: &[IpAddr]) -> Vec<IpNet> {
        const KEY: &str = rows::ANNOUNCE.path;
        let written = self.written.get::<Vec<Spanned<String>>>(&rows::ANNOUNCE);
        let mut found: Vec<IpNet> = Vec::new();
        for item in written.iter().flat_map(|items| items.get_ref()) {
            let prefix = match covering_prefix(item.get_ref()) {
                Ok(prefix) => prefix,
                Err(allowed) => {
                    self.refuse(KEY, &quoted(item), &allowed);
                    continue;
                }
            };
            let mut held = addresses.iter().filter(|address| prefix.contains(*address));
            let Some(first) = held.next() else {
                let message = format!("`{KEY}` has {prefix}, which holds none of `anycast.addresses`");
                let help = "it would attract queries that nobody here answers; take it out or add an address of it";
                self.fault(item.span(), message, "holds no address".into(), Some(help.into()));
                continue;
            };
            let twice = found.iter().find(|other| other.contains(&prefix) || prefix.contains(*other));
            if let Some(other) = twice {
                let message = format!("`{KEY}` has {other} and {prefix}: {first} would be announced twice");
                self.fault(item.span(), message, "lies in the other".into(), Some("leave one of the two".into()));
                continue;
            }
            found.push(prefix);
        }
        found
    }

    /// The device's name.
    fn interface(&mut self) -> String {
        let Some(written) = self.written.get::<String>(&rows::INTERFACE) else { return INTERFACE_DEFAULT.to_owned() };
        if !is_interface_name(written.get_ref()) {
            let allowed = format!(
                "a device's name: 1 to {NAME_BYTES_MAX} printable ASCII characters without blanks, '/', ':' and '%'"
            );
            self.refuse(rows::INTERFACE.path, &quoted(&written), &allowed);
        }
        written.into_inner()
    }

    /// The lease; `None` for "off".
    fn lease(&mut self, interface: &str) -> Option<Duration> {
        const KEY: &str = rows::LEASE.path;
        let Some(written) = self.written.get::<String>(&rows::LEASE) else { return Some(LEASE_DEFAULT) };
        if written.get_ref() == "off" {
            if interface == "lo" {
                let message = format!("`{KEY}` is \"off\", but `anycast.interface` is \"lo\"");
                let help = "only a tun device of our own goes with the process; give a time such as \"1s\"";
                self.fault(
                    written.span(),
                    message,
                    "the address would outlive a frozen server".into(),
                    Some(help.into()),
                );
            }
            return None;
        }
        match parse_duration(written.get_ref()) {
            Some(lease) if (LEASE.0..=LEASE.1).contains(&lease) && lease.subsec_nanos() == 0 => Some(lease),
            _ => {
                let allowed = format!("whole seconds such as \"1s\", {:?} to {:?}, or \"off\"", LEASE.0, LEASE.1);
                self.refuse(KEY, &quoted(&written), &allowed);
                Some(LEASE_DEFAULT)
            }
        }
    }

    /// `[anycast.kernel-route]`.
    fn kernel_route(&mut self, interface: &str, lease: Option<Duration>) -> KernelRoute {
        if interface == "lo" {
            let help =
                Some("name a tun device with `interface`, such as \"fated0\", or take the section out".to_owned());
            let message = "[anycast.kernel-route] needs a tun device of our own, but `anycast.interface` is \"lo\"";
            self.fault_outside(message.to_owned(), help);
        } else if let Some(lease) = lease {
            let message = format!(
                "[anycast.kernel-route] and a lease exclude each other, but `anycast.lease` is {lease:?}: when the \
                 server freezes, the lease takes the address away, but the kernel keeps an IPv6 route for up to 30 s \
                 longer, and routing daemons announce it meanwhile"
            );
            let help = "take the section out and have the routing daemon announce the addresses themselves (BIRD \
                `protocol direct`, FRR `redistribute connected`); or give `lease = \"off\"`, and a frozen server keeps \
                its routes until it is killed";
            self.fault_outside(message, Some(help.to_owned()));
        }
        let table = self.number(&rows::ROUTE_TABLE);
        if let Some(written) = self.written.get::<i64>(&rows::ROUTE_TABLE).filter(|_| table == TABLE_LOCAL) {
            let allowed = format!("any table but {TABLE_LOCAL}, which holds the host's own addresses");
            self.refuse(rows::ROUTE_TABLE.path, &written, &allowed);
        }
        KernelRoute { table: table as u32, metric: self.number(&rows::ROUTE_METRIC) as u32 }
    }

    /// `[anycast.health]`.
    fn health(&mut self, workers: NonZeroUsize, lease: Option<Duration>, addresses: &[IpAddr]) -> Health {
        let health = Health {
            interval: self.duration(&rows::HEALTH_INTERVAL),
            timeout: self.duration(&rows::HEALTH_TIMEOUT),
            fall: self.number(&rows::HEALTH_FALL) as u32,
            rise: self.number(&rows::HEALTH_RISE) as u32,
            workers_min: self.workers_min(workers),
            on_overload: self.word(&rows::ON_OVERLOAD),
            on_shared_fault: self.word(&rows::ON_SHARED_FAULT),
            late_zones: self.late_zones(),
            on_path_fault: self.word(&rows::ON_PATH_FAULT),
            sources: Sources {
                v4: self.source(&rows::SOURCE_V4, SOURCE_V4, addresses),
                v6: self.source(&rows::SOURCE_V6, SOURCE_V6, addresses),
            },
        };
        let round = health.interval + health.timeout;
        let of = |key: &dyn Key| self.written.get::<String>(key);
        let written = of(&rows::HEALTH_INTERVAL).or_else(|| of(&rows::HEALTH_TIMEOUT));
        if let Some((lease, written)) = lease.filter(|lease| *lease <= round).zip(written) {
            let message = format!(
                "`anycast.lease` is {lease:?}, but a proof may take {round:?} (`interval` and `timeout` together)"
            );
            let help = "lengthen `lease`, or shorten `interval` or `timeout`";
            self.fault(written.span(), message, "the lease would run out between two proofs".into(), Some(help.into()));
        }
        health
    }

    /// `late-zones`, a number or a share.
    fn late_zones(&mut self) -> ZoneShare {
        let Some(written) = self.written.get::<Value>(&rows::LATE_ZONES) else { return LATE_ZONES_DEFAULT };
        let wanted = match written.get_ref() {
            Value::Integer(count) => usize::try_from(*count).ok().filter(|count| *count > 0).map(ZoneShare::Zones),
            Value::String(text) => {
                let percent: Option<u8> = text.strip_suffix('%').and_then(|digits| digits.trim_end().parse().ok());
                percent.filter(|percent| (1..=100).contains(percent)).map(ZoneShare::Percent)
            }
            _ => None,
        };
        wanted.unwrap_or_else(|| {
            self.refuse(rows::LATE_ZONES.path, &written, "a number of zones from 1 on, or \"1%\" to \"100%\"");
            LATE_ZONES_DEFAULT
        })
    }

    /// Where probes of one family come from: an address that nobody else has, a service address least of all.
    fn source<Address: Copy + FromStr + Into<IpAddr>>(
        &mut self,
        key: &Row<Own>,
        default: Address,
        addresses: &[IpAddr],
    ) -> Address {
        let Some(written) = self.written.get::<String>(key) else { return default };
        let is_free = |address: &Address| {
            let address = (*address).into();
            host_address(&address.to_string()).is_ok() && !addresses.contains(&address)
        };
        written.get_ref().parse().ok().filter(is_free).unwrap_or_else(|| {
            let allowed = format!("a unicast address that no host has, such as \"{}\"", default.into());
            self.refuse(key.path, &quoted(&written), &allowed);
            default
        })
    }

    /// `min-workers`, a number or a share, as a number.
    fn workers_min(&mut self, workers: NonZeroUsize) -> NonZeroUsize {
        let share = |percent: i64| {
            let percent = usize::try_from(percent).unwrap_or(100);
            NonZeroUsize::new(workers.get().saturating_mul(percent).div_ceil(100)).unwrap_or(NonZeroUsize::MIN)
        };
        let Some(written) = self.written.get::<Value>(&rows::MIN_WORKERS) else {
            return share(WORKERS_MIN_PERCENT_DEFAULT);
        };
        let wanted = match written.get_ref() {
            Value::Integer(count) => usize::try_from(*count).ok().and_then(NonZeroUsize::new),
            Value::String(text) => {
                let percent: Option<i64> = text.strip_suffix('%').and_then(|digits| digits.trim_end().parse().ok());
                percent.filter(|percent| (1..=100).contains(percent)).map(share)
            }
            _ => None,
        };
        match wanted.filter(|wanted| *wanted <= workers) {
            Some(wanted) => wanted,
            None => {
                let allowed = format!("1 to {workers}, the number of workers, or \"1%\" to \"100%\"");
                self.refuse(rows::MIN_WORKERS.path, &written, &allowed);
                workers
            }
        }
    }
}

/// Reads one address, alone or as a host prefix. The error says what would be right.
pub(super) fn host_address(text: &str) -> Result<IpAddr, &'static str> {
    const WRITTEN: &str = "an address such as \"192.0.2.53\", \"192.0.2.53/32\" or \"2001:db8::53/128\"";
    const WHOLE: &str = "one address, /32 or /128; covering prefixes stand in `anycast.announce`";
    const UNICAST: &str = "a unicast address that others can route to";
    let address = match text.split_once('/') {
        None => text.parse().map_err(|_| WRITTEN)?,
        Some(_) => {
            let prefix: IpNet = text.parse().map_err(|_| WRITTEN)?;
            if prefix.prefix_len() != prefix.max_prefix_len() {
                return Err(WHOLE);
            }
            prefix.addr()
        }
    };
    let is_odd = match address {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };
    match is_odd || address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        true => Err(UNICAST),
        false => Ok(address),
    }
}

/// Reads one prefix. The error says what would be right.
fn covering_prefix(text: &str) -> Result<IpNet, String> {
    let written = || "a prefix such as \"192.0.2.0/24\" or \"2001:db8::/48\"".to_owned();
    let prefix: IpNet = text.parse().map_err(|_| written())?;
    if prefix.trunc() != prefix {
        return Err(format!("a prefix without bits behind its length, such as \"{}\"", prefix.trunc()));
    }
    let least = if prefix.addr().is_ipv4() { PREFIX_LENGTH_MIN.0 } else { PREFIX_LENGTH_MIN.1 };
    if prefix.prefix_len() < least {
        return Err(format!("a prefix of /{least} or longer"));
    }
    Ok(prefix)
}

/// Whether Linux takes that name for a device (`dev_valid_name`), and takes it as it stands (`%` would be a pattern).
pub(super) fn is_interface_name(name: &str) -> bool {
    let is_good = |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'/' | b':' | b'%');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !matches!(name, "." | "..") && name.bytes().all(is_good)
}

#[cfg(test)]
mod tests;
