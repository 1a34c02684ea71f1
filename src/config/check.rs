//! As written → checked: bounds, units, defaults and what the command line overrides.

mod anycast;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use super::error::{ConfigError, ConfigFault};
use super::raw::{RawConfig, RawLimits, RawLog, RawServer, RawTcp, RawZone};
use super::{
    Absence, Config, LISTEN_MAX, Listen, Log, LogFormat, LogLevel, LossMax, Overrides, PORT_DEFAULT, PORT_UNPRIVILEGED,
    ZONES_DIR_DEFAULT, ZoneFile, ZoneSources,
};
use crate::answer::Settings;
use crate::serve::TcpLimits;
use crate::sys::tun::index_of;
use crate::wire::{Name, Shown};
use crate::zonefile::Limits;

/// Most UDP workers that may be asked for.
const WORKERS_MAX: i64 = 1024;
/// The longest identity and version: one character string (RFC 1035 §3.3).
const TEXT_BYTES_MAX: usize = 255;
/// Bounds of the largest UDP reply (RFC 6891 §6.2.3; above the upper one fragments are certain).
const UDP_PAYLOAD_BYTES: (i64, i64) = (512, 4096);
/// Bounds of `clients-max`; the least of `clients-per-network-max` and `clients-per-address-max`.
const TCP_CLIENTS: (i64, i64) = (1, 1_000_000);
/// Bounds of `mss`: what every IPv4 host takes (RFC 9293 §3.7.1), what Linux takes.
const TCP_MSS: (i64, i64) = (536, 32_767);
/// Bounds of the TCP timeouts; the upper one fits RFC 7828 §3.1, which counts 100 ms in 16 bits.
const TCP_TIMEOUT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

/// The most folders of `include-dirs`.
const INCLUDE_DIRS_MAX: usize = 256;
/// Bounds of `zone-octets-max` and `zone-records-max`: the upper one is more than any machine holds.
const ZONE_SIZE: (i64, i64) = (1, 1 << 50);
/// Bounds of `generate-steps-max`; 0 forbids `$GENERATE`.
const GENERATE_STEPS: (i64, i64) = (0, 1 << 40);

/// Where the values come from.
pub(super) struct Origin<'a> {
    file: Option<(&'a Path, &'a str)>,
}

impl<'a> Origin<'a> {
    /// No file: only options and defaults.
    pub(super) fn none() -> Self {
        Self { file: None }
    }

    /// A file with its text.
    pub(super) fn file(path: &'a Path, text: &'a str) -> Self {
        Self { file: Some((path, text)) }
    }

    /// A path of the file, which is relative to the file's folder.
    fn path(&self, written: &str) -> PathBuf {
        match self.file.and_then(|(file, _)| file.parent()) {
            Some(folder) => folder.join(written),
            None => PathBuf::from(written),
        }
    }

    /// `file:line:column` of an octet.
    fn place(&self, offset: usize) -> String {
        let Some((file, text)) = self.file else { return String::new() };
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
        format!("{}:{line}:{column}", Shown::path(file))
    }
}

/// Checks everything and applies units, defaults and overrides.
///
/// # Errors
/// All faults together.
pub(super) fn check(raw: RawConfig, origin: Origin<'_>, overrides: &Overrides) -> Result<Config, ConfigError> {
    let mut check = Check { faults: Vec::new(), origin, left_out: Vec::new() };
    let tcp = check.tcp(&raw.server.tcp);
    let listen = check.listen(&raw.server, overrides, raw.anycast.is_some());
    let workers = check.workers(&raw.server, overrides);
    let config = Config {
        anycast: check.anycast(raw.anycast.as_ref(), &listen, workers, overrides.is_dry_run),
        admin: check.admin(&raw.admin),
        listen,
        workers,
        control: check.control(&raw.server, overrides),
        state_dir: check.state_dir(&raw.server, overrides),
        settings: check.settings(&raw.server, &tcp),
        tcp,
        may_dump_core: raw.server.core_dump.unwrap_or(false),
        is_strict: overrides.is_strict || raw.server.strict.unwrap_or(false),
        log: check.log(&raw.log),
        zones: Arc::new(check.zones(&raw.zone, &raw.server, overrides)),
        left_out: std::mem::take(&mut check.left_out),
    };
    let Check { faults, origin, .. } = check;
    match (faults.is_empty(), origin.file) {
        (true, _) => Ok(config),
        (false, Some((path, text))) => Err(ConfigError::in_file(path, text, faults)),
        (false, None) => Err(ConfigError::outside(faults)),
    }
}

/// The check under way.
struct Check<'a> {
    faults: Vec<ConfigFault>,
    origin: Origin<'a>,
    /// What is served without, each as it is told.
    left_out: Vec<String>,
}

impl Check<'_> {
    /// Takes a fault down.
    fn fault(&mut self, span: std::ops::Range<usize>, message: String, label: String, help: Option<String>) {
        self.faults.push(ConfigFault { span: Some(span), message, label, help });
    }

    /// Takes a fault down that has no place in the file.
    fn fault_outside(&mut self, message: String, help: Option<String>) {
        self.faults.push(ConfigFault { span: None, message, label: String::new(), help });
    }

    /// Takes down that a value is not what is allowed.
    fn refuse<T: std::fmt::Display>(&mut self, key: &str, value: &Spanned<T>, allowed: &str) {
        let message = format!("`{key}` is {}, but it must be {allowed}", value.get_ref());
        self.fault(value.span(), message, allowed.to_owned(), None);
    }

    /// A whole number within bounds.
    fn number(&mut self, key: &str, value: &Option<Spanned<i64>>, bounds: (i64, i64), default: i64) -> i64 {
        match value {
            Some(value) if (bounds.0..=bounds.1).contains(value.get_ref()) => *value.get_ref(),
            Some(value) => {
                self.refuse(key, value, &format!("{} to {}", bounds.0, bounds.1));
                default
            }
            None => default,
        }
    }

    /// A span of time within bounds.
    fn duration(
        &mut self,
        key: &str,
        value: &Option<Spanned<String>>,
        bounds: (Duration, Duration),
        default: Duration,
    ) -> Duration {
        let Some(value) = value else { return default };
        match parse_duration(value.get_ref()) {
            Some(duration) if (bounds.0..=bounds.1).contains(&duration) => duration,
            _ => {
                let allowed = format!("a time such as \"10s\" or \"500ms\", {:?} to {:?}", bounds.0, bounds.1);
                self.refuse(key, &quoted(value), &allowed);
                default
            }
        }
    }

    /// One of a few words.
    fn word<T: FromStr>(&mut self, key: &str, value: &Option<Spanned<String>>, allowed: &str, default: T) -> T {
        let Some(value) = value else { return default };
        value.get_ref().parse().unwrap_or_else(|_| {
            self.refuse(key, &quoted(value), allowed);
            default
        })
    }

    /// A text that is shown to the world; empty hides it.
    fn text(&mut self, key: &str, value: &Option<Spanned<String>>, default: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let Some(value) = value else { return default };
        let bytes = value.get_ref().as_bytes();
        if bytes.len() > TEXT_BYTES_MAX {
            let length = Spanned::new(value.span(), format!("{} octets long", bytes.len()));
            self.refuse(key, &length, &format!("0 to {TEXT_BYTES_MAX} octets long"));
        }
        (!bytes.is_empty()).then(|| bytes.to_vec())
    }

    /// The addresses to listen on. Where there are anycast addresses, there need be no others, and the default ones are not
    /// added to them.
    fn listen(&mut self, server: &RawServer, overrides: &Overrides, is_anycast: bool) -> Vec<Listen> {
        let (mut addresses, mut absence) = (overrides.listen.clone(), Absence::Refuse);
        if let Some(written) = &server.listen {
            let items = written.get_ref();
            let count_min = if is_anycast || !addresses.is_empty() { 0 } else { 1 };
            if !(count_min..=LISTEN_MAX).contains(&items.len()) {
                let count = Spanned::new(written.span(), format!("{} addresses", items.len()));
                let beside = if items.is_empty() { "; it may be empty beside [anycast] only" } else { "" };
                self.refuse("server.listen", &count, &format!("{count_min} to {LISTEN_MAX} addresses{beside}"));
            }
            let is_strict = overrides.is_strict || server.strict.unwrap_or(false);
            let parsed: Vec<SocketAddr> = items.iter().filter_map(|item| self.address(item, is_strict)).collect();
            if addresses.is_empty() {
                absence = if is_strict { Absence::Refuse } else { Absence::Await };
                addresses = parsed;
            }
        }
        let mut listen: Vec<Listen> = Vec::new();
        for address in addresses {
            // One address that is named twice is meant once, unless the kernel chooses the port.
            if address.port() == 0 || !listen.iter().any(|known| known.address == address) {
                listen.push(Listen { address, absence });
            }
        }
        if listen.is_empty() && !is_anycast && self.left_out.is_empty() {
            let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            let default = |address| SocketAddr::new(address, PORT_UNPRIVILEGED);
            listen.extend(loopback.map(|address| Listen { address: default(address), absence: Absence::LeaveOut }));
        }
        listen
    }

    /// One address to listen on. One whose device is not there is left out, unless all must be there.
    fn address(&mut self, written: &Spanned<String>, is_strict: bool) -> Option<SocketAddr> {
        match parse_address(written.get_ref()) {
            Ok(address) => return Some(address),
            Err(error @ AddressError::NoDevice(_)) if !is_strict => {
                self.left_out.push(format!("`server.listen` {}: {error}", written.get_ref()));
            }
            Err(error @ AddressError::NoDevice(_)) => {
                let message = format!("`server.listen` names {}", written.get_ref());
                self.fault(written.span(), message, error.to_string(), None);
            }
            Err(AddressError::Malformed) => {
                let allowed = "an address such as \"192.0.2.53\", \"192.0.2.53:5300\", \"[2001:db8::53]:53\" or \"[fe80::1%eth0]:53\"";
                self.refuse("server.listen", &quoted(written), allowed);
            }
        }
        None
    }

    fn workers(&mut self, server: &RawServer, overrides: &Overrides) -> NonZeroUsize {
        let written = self.number("server.workers", &server.workers, (0, WORKERS_MAX), 0);
        let wanted = overrides.workers.unwrap_or(usize::try_from(written).unwrap_or(0));
        NonZeroUsize::new(wanted).or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }

    fn control(&mut self, server: &RawServer, overrides: &Overrides) -> Option<PathBuf> {
        let written = server.control.as_ref().map(|value| match value.get_ref().as_str() {
            "" => PathBuf::new(),
            path => self.origin.path(path),
        });
        let chosen = overrides.control.clone().or(written).unwrap_or_else(control_default);
        (!chosen.as_os_str().is_empty()).then_some(chosen)
    }

    fn state_dir(&mut self, server: &RawServer, overrides: &Overrides) -> Option<PathBuf> {
        let written = server.state_dir.as_ref().filter(|value| !value.get_ref().is_empty());
        overrides.state_dir.clone().or_else(|| written.map(|value| self.origin.path(value.get_ref())))
    }

    fn settings(&mut self, server: &RawServer, tcp: &TcpLimits) -> Settings {
        let default = Settings::default();
        let payload = i64::from(default.udp_payload_bytes_max);
        let payload = self.number("server.udp-payload-max", &server.udp_payload_max, UDP_PAYLOAD_BYTES, payload);
        Settings {
            identity: self.text("server.identity", &server.identity, identity_default()),
            version: self.text("server.version", &server.version, Some(version_default())),
            udp_payload_bytes_max: u16::try_from(payload).unwrap_or(default.udp_payload_bytes_max),
            tcp_idle_timeout_100ms: u16::try_from(tcp.idle_timeout.as_millis() / 100).unwrap_or(u16::MAX),
            follow_across_zones: server.follow_across_zones.unwrap_or(default.follow_across_zones),
            canary: None,
        }
    }

    fn tcp(&mut self, raw: &RawTcp) -> TcpLimits {
        let default = TcpLimits::default();
        let all = self.number("server.tcp.clients-max", &raw.clients_max, TCP_CLIENTS, default.clients_max as i64);
        // Whoever lowers the limit for all need not lower the others too.
        let network_default = (default.clients_per_network_max as i64).min(all);
        let bounds = (TCP_CLIENTS.0, all);
        let network =
            self.number("server.tcp.clients-per-network-max", &raw.clients_per_network_max, bounds, network_default);
        let each_default = (default.clients_per_address_max as i64).min(network);
        let bounds = (TCP_CLIENTS.0, network);
        let each =
            self.number("server.tcp.clients-per-address-max", &raw.clients_per_address_max, bounds, each_default);
        TcpLimits {
            clients_max: all as usize,
            clients_per_network_max: network as usize,
            clients_per_address_max: each as usize,
            idle_timeout: self.duration(
                "server.tcp.idle-timeout",
                &raw.idle_timeout,
                TCP_TIMEOUT,
                default.idle_timeout,
            ),
            io_timeout: self.duration("server.tcp.io-timeout", &raw.io_timeout, TCP_TIMEOUT, default.io_timeout),
            mss: self.number("server.tcp.mss", &raw.mss, TCP_MSS, default.mss.into()) as u16,
        }
    }

    fn log(&mut self, raw: &RawLog) -> Log {
        let levels = "\"error\", \"warn\", \"info\" or \"debug\"";
        Log {
            level: self.word("log.level", &raw.level, levels, LogLevel::Info),
            format: self.word("log.format", &raw.format, "\"text\" or \"json\"", LogFormat::Text),
        }
    }

    fn zones(&mut self, raw: &[RawZone], server: &RawServer, overrides: &Overrides) -> ZoneSources {
        let mut files: Vec<ZoneFile> = Vec::new();
        for zone in raw {
            let span = zone.name.span();
            let name: Name = match zone.name.get_ref().parse() {
                Ok(name) => name,
                Err(error) => {
                    let message = format!("`zone.name` is \"{}\", which is no domain name", zone.name.get_ref());
                    self.fault(span, message, error.to_string(), None);
                    continue;
                }
            };
            let said_at = self.origin.place(span.start);
            if let Some(other) = files.iter().find(|file| file.name == name) {
                let message = format!("the zone {name} is named twice: first at {}, again at {said_at}", other.said_at);
                self.fault(span, message, "named before".into(), Some("take one of the two out".into()));
                continue;
            }
            files.push(ZoneFile { name, path: self.origin.path(zone.file.get_ref()), said_at });
        }
        for (name, path) in &overrides.zones {
            let said_at = format!("--zone {name}={}", Shown::path(path));
            if let Some(other) = files.iter().find(|file| file.name == *name) {
                let message = format!("the zone {name} is named twice: first at {}, again at {said_at}", other.said_at);
                self.fault_outside(message, None);
                continue;
            }
            files.push(ZoneFile { name: *name, path: path.clone(), said_at });
        }
        let written = server.zones_dir.as_ref().filter(|value| !value.get_ref().is_empty());
        let named = overrides.zones_dir.clone().or_else(|| written.map(|value| self.origin.path(value.get_ref())));
        // The default folder is for those who named nothing at all.
        let is_default = named.is_none() && files.is_empty() && self.origin.file.is_none();
        let dir = named.clone().or_else(|| is_default.then(|| PathBuf::from(ZONES_DIR_DEFAULT)));
        if dir.is_none() && files.is_empty() {
            let help = Some("add `zones-dir = \"zones\"` under [server], or a [[zone]] with `name` and `file`".into());
            let message = "the configuration names no zone".to_owned();
            self.fault_outside(message, help);
        }
        let (include_dirs, limits) = (self.include_dirs(server, overrides), self.limits(&server.limits));
        let loss_max = self.loss_max(&server.reload_loss_max);
        ZoneSources { dir, is_dir_named: named.is_some(), files, include_dirs, limits, loss_max }
    }

    /// The folders that zone files may include from: those of the file and those of the command line.
    fn include_dirs(&mut self, server: &RawServer, overrides: &Overrides) -> Vec<PathBuf> {
        let written = server.include_dirs.iter().flat_map(|dirs| dirs.get_ref());
        let mut dirs: Vec<PathBuf> = written.map(|dir| self.origin.path(dir.get_ref())).collect();
        if let Some(dirs) = server.include_dirs.as_ref().filter(|dirs| dirs.get_ref().len() > INCLUDE_DIRS_MAX) {
            let count = Spanned::new(dirs.span(), format!("{} folders", dirs.get_ref().len()));
            self.refuse("server.include-dirs", &count, &format!("at most {INCLUDE_DIRS_MAX} folders"));
        }
        dirs.extend(overrides.include_dirs.iter().cloned());
        dirs
    }

    /// How much one zone may take.
    fn limits(&mut self, raw: &RawLimits) -> Limits {
        let default = Limits::default();
        let mut number = |key: &str, value, bounds, default: u64| {
            let key = format!("server.limits.{key}");
            self.number(&key, value, bounds, default as i64).unsigned_abs()
        };
        Limits {
            octets_max: number("zone-octets-max", &raw.zone_octets_max, ZONE_SIZE, default.octets_max),
            records_max: number("zone-records-max", &raw.zone_records_max, ZONE_SIZE, default.records_max),
            generate_steps_max: number(
                "generate-steps-max",
                &raw.generate_steps_max,
                GENERATE_STEPS,
                default.generate_steps_max,
            ),
        }
    }

    /// `reload-loss-max`, a number of zones or a share of them.
    fn loss_max(&mut self, written: &Option<Spanned<toml::Value>>) -> LossMax {
        let Some(written) = written else { return LossMax::default() };
        let wanted = match written.get_ref() {
            toml::Value::Integer(count) => usize::try_from(*count).ok().map(LossMax::Zones),
            toml::Value::String(text) => {
                let percent: Option<u8> = text.strip_suffix('%').and_then(|digits| digits.trim_end().parse().ok());
                percent.filter(|percent| *percent <= 100).map(LossMax::Percent)
            }
            _ => None,
        };
        wanted.unwrap_or_else(|| {
            self.refuse(
                "server.reload-loss-max",
                written,
                "a number of zones, or a share such as \"50%\", up to \"100%\"",
            );
            LossMax::default()
        })
    }
}

/// The same place, with the text in quotes.
fn quoted(value: &Spanned<String>) -> Spanned<String> {
    Spanned::new(value.span(), format!("{:?}", value.get_ref()))
}

/// Reads an address with or without port; IPv6 with a port stands in brackets, a link-local one with its device.
///
/// # Errors
/// [`AddressError`].
pub fn parse_address(text: &str) -> Result<SocketAddr, AddressError> {
    parse_address_at(text, PORT_DEFAULT)
}

/// Why a text is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is none.
    #[error("it must be an address such as 192.0.2.53, 127.0.0.1:5300, [2001:db8::53]:53 or [fe80::1%eth0]:53")]
    Malformed,
    /// It names a device that is not there.
    #[error("this host has no device `{0}`: `ip link` lists those that are there")]
    NoDevice(String),
}

/// Reads an address with or without port, the default one being `port`.
fn parse_address_at(text: &str, port: u16) -> Result<SocketAddr, AddressError> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let plain = text.parse().ok().or_else(|| bare.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, port)));
    plain.map_or_else(|| parse_scoped(text, port), Ok)
}

/// Reads a link-local address with its device: `fe80::1%eth0`, in brackets where a port stands behind (RFC 4007 §11.2).
fn parse_scoped(text: &str, port: u16) -> Result<SocketAddr, AddressError> {
    let (inner, behind) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(AddressError::Malformed)?,
        None => (text, ""),
    };
    let port = match behind.strip_prefix(':') {
        Some(digits) => digits.parse().map_err(|_| AddressError::Malformed)?,
        None if behind.is_empty() => port,
        None => return Err(AddressError::Malformed),
    };
    let (address, device) = inner.split_once('%').ok_or(AddressError::Malformed)?;
    let address = address.parse().ok().filter(Ipv6Addr::is_unicast_link_local).ok_or(AddressError::Malformed)?;
    let index = device.parse().ok().or_else(|| index_of(device));
    let index = index.ok_or_else(|| AddressError::NoDevice(device.to_owned()))?;
    Ok(SocketAddrV6::new(address, port, 0, index).into())
}

/// Reads a whole number with its unit: `ms`, `s`, `m` or `h`.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit.trim_start() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

/// What NSID, `id.server` and `hostname.bind` say by default: the host's name, if it can be told.
pub fn identity_default() -> Option<Vec<u8>> {
    let name = std::fs::read("/proc/sys/kernel/hostname").or_else(|_| std::fs::read("/etc/hostname")).ok()?;
    let name = name.trim_ascii();
    (!name.is_empty() && name.len() <= TEXT_BYTES_MAX).then(|| name.to_vec())
}

/// What `version.bind` and `version.server` say by default.
pub fn version_default() -> Vec<u8> {
    concat!("fated ", env!("CARGO_PKG_VERSION")).into()
}

/// The control socket's path by default.
///
/// `$XDG_RUNTIME_DIR/fated/` where that is set, `/run/fated/` for root, else a folder of the user's own under the
/// temporary one.
pub fn control_default() -> PathBuf {
    use std::os::unix::fs::MetadataExt;
    const FILE: &str = "control.sock";
    if let Some(folder) = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        return Path::new(&folder).join("fated").join(FILE);
    }
    // The owner of this entry is the user that the process runs as.
    match std::fs::metadata("/proc/self").map(|metadata| metadata.uid()) {
        Ok(0) => Path::new("/run/fated").join(FILE),
        Ok(user) => std::env::temp_dir().join(format!("fated-{user}")).join(FILE),
        Err(_) => std::env::temp_dir().join("fated").join(FILE),
    }
}

#[cfg(test)]
mod tests;
