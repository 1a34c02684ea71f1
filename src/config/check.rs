//! As written → checked: bounds, units, defaults and what the command line overrides.

mod anycast;
mod bgp;
mod catalog;
mod companion;
mod file;
mod tls;
mod transfer;
mod zones;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use super::document::Document;
use super::error::{ConfigError, ConfigFault};
use super::key::{Flag, Key, Number, Own, Row, Time, Words};
use super::rows;
use super::values::{
    Absence, Config, LISTEN_MAX, Listen, Log, LossMax, Overrides, PORT_DEFAULT, PORT_UNPRIVILEGED, ScopedListen,
};
use crate::answer::Settings;
use crate::serve::TcpLimits;
use crate::sys::tun::index_of;
use crate::wire::{Name, Shown};

/// The section whose presence makes this an anycast server.
const ANYCAST: &str = "anycast";
/// The longest identity and version: one character string (RFC 1035 §3.3).
const TEXT_BYTES_MAX: usize = 255;
/// The most folders of `include-dirs`.
const INCLUDE_DIRS_MAX: usize = 256;

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

    /// `file:line:column` of an octet. Lines are counted from `cursor` on, which moves there: what is asked in order
    /// costs one look at the text in all.
    fn place(&self, cursor: &mut LineCursor, offset: usize) -> String {
        let Some((file, text)) = self.file else { return String::new() };
        if offset < cursor.offset {
            *cursor = LineCursor::default();
        }
        let passed = text.get(cursor.offset..offset).unwrap_or_default();
        *cursor = LineCursor { offset, line: cursor.line + passed.matches('\n').count() };
        let before = text.get(..offset).unwrap_or(text);
        let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
        format!("{}:{}:{column}", Shown::path(file), cursor.line + 1)
    }
}

/// How many lines of a text end before an offset.
#[derive(Clone, Copy, Debug, Default)]
struct LineCursor {
    /// Octets.
    offset: usize,
    /// Line ends before it.
    line: usize,
}

/// Checks everything and applies units, defaults and overrides.
///
/// # Errors
/// All faults together.
pub(super) fn check(written: &Document<'_>, origin: Origin<'_>, overrides: &Overrides) -> Result<Config, ConfigError> {
    let mut check = Check::new(written, origin);
    let is_strict = overrides.is_strict || check.flag(&rows::STRICT);
    let tcp = check.tcp();
    let listen = check.listen(overrides, is_strict);
    let workers = check.workers(overrides);
    let state_dir = check.state_dir(overrides);
    let known = check.known();
    let anycast = check.anycast(&listen, workers, overrides.is_dry_run);
    let config = Config {
        companions: check.companions(anycast.as_ref(), &known.tls, overrides.is_dry_run),
        anycast,
        admin: check.admin(),
        listen,
        workers,
        control: check.control(overrides),
        zones: Arc::new(check.zones(&known, state_dir.is_some(), overrides)),
        tls: check.tls(),
        keys: Arc::new(known.keys),
        resolvers: check.resolvers().into(),
        state_dir,
        settings: check.settings(&tcp),
        tcp,
        may_dump_core: check.flag(&rows::CORE_DUMP),
        is_strict,
        log: Log { level: check.word(&rows::LOG_LEVEL), format: check.word(&rows::LOG_FORMAT) },
        scoped: std::mem::take(&mut check.scoped),
        warnings: std::mem::take(&mut check.warnings),
    };
    let Check { faults, origin, .. } = check;
    match (faults.is_empty(), origin.file) {
        (true, _) => Ok(config),
        (false, Some((path, text))) => Err(ConfigError::in_file(path, text, faults)),
        (false, None) => Err(ConfigError::outside(faults)),
    }
}

/// The control socket alone.
pub(super) fn control(written: &Document<'_>, origin: Origin<'_>) -> Option<PathBuf> {
    Check::new(written, origin).control(&Overrides::default())
}

/// The check under way.
struct Check<'a> {
    written: &'a Document<'a>,
    faults: Vec<ConfigFault>,
    origin: Origin<'a>,
    /// The addresses to listen on that name a device.
    scoped: Vec<ScopedListen>,
    /// What is likely not to be meant, each as it is logged.
    warnings: Vec<String>,
    /// Whether a rule asks clients for a certificate.
    asks_tls_clients: bool,
    /// The catalogs that are made here.
    produced: Vec<Name>,
}

/// The names of the sections of one kind, each with where it is said.
#[derive(Default)]
struct Names {
    said_at: HashMap<Name, String>,
    cursor: LineCursor,
}

impl<'a> Check<'a> {
    /// Nothing is looked at yet.
    fn new(written: &'a Document<'a>, origin: Origin<'a>) -> Self {
        Self {
            written,
            faults: Vec::new(),
            origin,
            scoped: Vec::new(),
            warnings: Vec::new(),
            asks_tls_clients: false,
            produced: Vec::new(),
        }
    }
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

    /// A whole number within the bounds of its row.
    fn number(&mut self, key: &Row<Number>) -> i64 {
        self.number_up_to(key, key.values.bounds.1)
    }

    /// A whole number within the bounds of its row, the upper one being at most `most`, and so the default.
    fn number_up_to(&mut self, key: &Row<Number>, most: i64) -> i64 {
        self.number_in(self.written, key, most).unwrap_or(key.values.default.min(most))
    }

    /// A whole number of a section, where it is written and within the bounds of its row, the upper one being at most
    /// `most`.
    fn number_in(&mut self, section: &Document<'_>, key: &Row<Number>, most: i64) -> Option<i64> {
        let (least, value) = (key.values.bounds.0, section.get(key)?);
        if (least..=most).contains(value.get_ref()) {
            return Some(value.into_inner());
        }
        self.refuse(&section.path_of(key), &value, &format!("{least} to {most}"));
        None
    }

    /// A whole number of a section within the bounds of its row.
    fn number_of(&mut self, section: &Document<'_>, key: &Row<Number>) -> i64 {
        self.number_in(section, key, key.values.bounds.1).unwrap_or(key.values.default)
    }

    /// A span of time within the bounds of its row.
    fn duration(&mut self, key: &Row<Time>) -> Duration {
        self.duration_of(self.written, key)
    }

    /// A span of time of a section within the bounds of its row.
    fn duration_of(&mut self, section: &Document<'_>, key: &Row<Time>) -> Duration {
        self.duration_in(section, key).unwrap_or(key.values.default)
    }

    /// A span of time of a section, where it is written and within the bounds of its row.
    fn duration_in(&mut self, section: &Document<'_>, key: &Row<Time>) -> Option<Duration> {
        let ((least, most), value) = (key.values.bounds, section.get::<String>(key)?);
        let duration = parse_duration(value.get_ref()).filter(|duration| (least..=most).contains(duration));
        if duration.is_none() {
            let allowed = format!("a time such as \"10s\" or \"500ms\", {least:?} to {most:?}");
            self.refuse(&section.path_of(key), &quoted(&value), &allowed);
        }
        duration
    }

    /// The name of a section, which no other of its kind may have, and where it is said.
    fn name_of(&mut self, section: &Document<'_>, key: &Row<Own>, names: &mut Names) -> Option<(Name, String)> {
        let written = section.get::<String>(key).expect("the document has it");
        let name: Name = match written.get_ref().parse() {
            Ok(name) => name,
            Err(error) => {
                let message = format!("`{}` is \"{}\", which is no domain name", key.path, written.get_ref());
                self.fault(written.span(), message, error.to_string(), None);
                return None;
            }
        };
        let said_at = self.origin.place(&mut names.cursor, written.span().start);
        if let Some(first) = names.said_at.get(&name) {
            let kind = section.path();
            let message = format!("the {kind} {name} is named twice: first at {first}, again at {said_at}");
            self.fault(written.span(), message, "named before".into(), Some("take one of the two out".into()));
            return None;
        }
        names.said_at.insert(name, said_at.clone());
        Some((name, said_at))
    }

    /// One of the words of a row.
    fn word<T: Copy + PartialEq>(&mut self, key: &Row<Words<T>>) -> T {
        self.word_in(self.written, key).unwrap_or(key.values.default)
    }

    /// One of the words of a row, where a section has it.
    fn word_in<T: Copy + PartialEq>(&mut self, section: &Document<'_>, key: &Row<Words<T>>) -> Option<T> {
        let value = section.get::<String>(key)?;
        let meaning = key.values.meaning(value.get_ref());
        if meaning.is_none() {
            self.refuse(&section.path_of(key), &quoted(&value), &key.values.choice());
        }
        meaning
    }

    /// Yes or no.
    fn flag(&self, key: &Row<Flag>) -> bool {
        self.flag_of(self.written, key)
    }

    /// Yes or no, in a section.
    fn flag_of(&self, section: &Document<'_>, key: &Row<Flag>) -> bool {
        section.get(key).map_or(key.values.default, Spanned::into_inner)
    }

    /// A text that is shown to the world; empty hides it.
    fn text(&mut self, key: &Row<Own>, default: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let Some(value) = self.written.get::<String>(key) else { return default };
        let bytes = value.get_ref().as_bytes();
        if bytes.len() > TEXT_BYTES_MAX {
            let length = Spanned::new(value.span(), format!("{} octets long", bytes.len()));
            self.refuse(key.path, &length, &format!("0 to {TEXT_BYTES_MAX} octets long"));
        }
        (!bytes.is_empty()).then(|| bytes.to_vec())
    }

    /// A path that is relative to the file's folder; `None` where none is written, or an empty one.
    fn path(&self, key: &Row<Own>) -> Option<PathBuf> {
        let written = self.written.get::<String>(key).filter(|value| !value.get_ref().is_empty())?;
        Some(self.origin.path(written.get_ref()))
    }

    /// The addresses to listen on. Where there are anycast addresses, there need be no others, and the default ones are
    /// not added to them.
    fn listen(&mut self, overrides: &Overrides, is_strict: bool) -> Vec<Listen> {
        let is_anycast = self.written.has(ANYCAST);
        let (mut addresses, mut absence) = (overrides.listen.clone(), Absence::Refuse);
        if let Some(written) = self.written.get::<Vec<Spanned<String>>>(&rows::LISTEN) {
            let items = written.get_ref();
            let count_min = if is_anycast || !addresses.is_empty() { 0 } else { 1 };
            if !(count_min..=LISTEN_MAX).contains(&items.len()) {
                let count = Spanned::new(written.span(), format!("{} addresses", items.len()));
                let beside = if items.is_empty() { "; it may be empty beside [anycast] only" } else { "" };
                self.refuse(rows::LISTEN.path, &count, &format!("{count_min} to {LISTEN_MAX} addresses{beside}"));
            }
            let parsed: Vec<SocketAddr> = items.iter().filter_map(|item| self.address(item, is_strict)).collect();
            if addresses.is_empty() {
                absence = if is_strict { Absence::Refuse } else { Absence::Await };
                addresses = parsed;
            } else {
                self.scoped.clear();
            }
        }
        let mut listen: Vec<Listen> = Vec::new();
        for address in addresses {
            // One address that is named twice is meant once, unless the kernel chooses the port.
            if address.port() == 0 || !listen.iter().any(|known| known.address == address) {
                listen.push(Listen { address, absence });
            }
        }
        if listen.is_empty() && !is_anycast && self.scoped.is_empty() {
            let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            let default = |address| SocketAddr::new(address, PORT_UNPRIVILEGED);
            listen.extend(loopback.map(|address| Listen { address: default(address), absence: Absence::LeaveOut }));
        }
        listen
    }

    /// One address to listen on. One whose device is not there comes with it, unless all must be there.
    fn address(&mut self, written: &Spanned<String>, is_strict: bool) -> Option<SocketAddr> {
        if let Ok(Scoped { address, port, device }) = parse_scoped(written.get_ref(), PORT_DEFAULT)
            && device.parse::<u32>().is_err()
            && !self.scoped.iter().any(|known| (known.address, known.port, &*known.device) == (address, port, device))
        {
            self.scoped.push(ScopedListen { address, port, device: device.to_owned(), index: index_of(device) });
        }
        match parse_address(written.get_ref()) {
            Ok(address) => return Some(address),
            Err(AddressError::NoDevice(_)) if !is_strict => {}
            Err(error @ AddressError::NoDevice(_)) => {
                let message = format!("`server.listen` names {}", written.get_ref());
                self.fault(written.span(), message, error.to_string(), None);
            }
            Err(AddressError::Malformed) => {
                let allowed = "an address such as \"192.0.2.53\", \"192.0.2.53:5300\", \
                    \"[2001:db8::53]:53\" or \"[fe80::1%eth0]:53\"";
                self.refuse(rows::LISTEN.path, &quoted(written), allowed);
            }
        }
        None
    }

    fn workers(&mut self, overrides: &Overrides) -> NonZeroUsize {
        let written = self.number(&rows::WORKERS);
        let wanted = overrides.workers.unwrap_or(usize::try_from(written).unwrap_or(0));
        NonZeroUsize::new(wanted).or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }

    fn control(&self, overrides: &Overrides) -> Option<PathBuf> {
        let written = self.written.has(rows::CONTROL.path).then(|| self.path(&rows::CONTROL).unwrap_or_default());
        let chosen = overrides.control.clone().or(written).unwrap_or_else(control_default);
        (!chosen.as_os_str().is_empty()).then_some(chosen)
    }

    fn state_dir(&self, overrides: &Overrides) -> Option<PathBuf> {
        overrides.state_dir.clone().or_else(|| self.path(&rows::STATE_DIR))
    }

    fn settings(&mut self, tcp: &TcpLimits) -> Settings {
        Settings {
            identity: self.text(&rows::IDENTITY, identity_default()),
            version: self.text(&rows::VERSION, Some(version_default())),
            udp_payload_bytes_max: self.number(&rows::UDP_PAYLOAD_MAX) as u16,
            tcp_idle_timeout_100ms: u16::try_from(tcp.idle_timeout.as_millis() / 100).unwrap_or(u16::MAX),
            follow_across_zones: self.flag(&rows::FOLLOW_ACROSS_ZONES),
            canary: None,
        }
    }

    /// Whoever lowers the limit for all need not lower the others too.
    fn tcp(&mut self) -> TcpLimits {
        let all = self.number(&rows::TCP_CLIENTS_MAX);
        let network = self.number_up_to(&rows::TCP_CLIENTS_PER_NETWORK_MAX, all);
        TcpLimits {
            clients_max: all as usize,
            clients_per_network_max: network as usize,
            clients_per_address_max: self.number_up_to(&rows::TCP_CLIENTS_PER_ADDRESS_MAX, network) as usize,
            idle_timeout: self.duration(&rows::TCP_IDLE_TIMEOUT),
            io_timeout: self.duration(&rows::TCP_IO_TIMEOUT),
            mss: self.number(&rows::TCP_MSS) as u16,
        }
    }

    /// The folders that zone files may include from: those of the file and those of the command line.
    fn include_dirs(&mut self, overrides: &Overrides) -> Vec<PathBuf> {
        let written = self.written.get::<Vec<String>>(&rows::INCLUDE_DIRS);
        if let Some(dirs) = written.as_ref().filter(|dirs| dirs.get_ref().len() > INCLUDE_DIRS_MAX) {
            let count = Spanned::new(dirs.span(), format!("{} folders", dirs.get_ref().len()));
            self.refuse(rows::INCLUDE_DIRS.path, &count, &format!("at most {INCLUDE_DIRS_MAX} folders"));
        }
        let written = written.map(Spanned::into_inner).unwrap_or_default();
        written.iter().map(|dir| self.origin.path(dir)).chain(overrides.include_dirs.iter().cloned()).collect()
    }

    /// A number of zones or a share of them that may go at once.
    fn loss_max(&mut self, section: &Document<'_>, row: &Row<Own>) -> LossMax {
        let Some(written) = section.get::<toml::Value>(row) else { return LossMax::default() };
        let wanted = match written.get_ref() {
            toml::Value::Integer(count) => usize::try_from(*count).ok().map(LossMax::Zones),
            toml::Value::String(text) => {
                let percent: Option<u8> = text.strip_suffix('%').and_then(|digits| digits.trim_end().parse().ok());
                percent.filter(|percent| *percent <= 100).map(LossMax::Percent)
            }
            _ => None,
        };
        wanted.unwrap_or_else(|| {
            let allowed = "a number of zones, or a share such as \"50%\", up to \"100%\"";
            self.refuse(row.path, &written, allowed);
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
    if let Some(plain) = plain {
        return Ok(plain);
    }
    let Scoped { address, port, device } = parse_scoped(text, port)?;
    let index = device.parse().ok().or_else(|| index_of(device));
    let index = index.ok_or_else(|| AddressError::NoDevice(device.to_owned()))?;
    Ok(SocketAddrV6::new(address, port, 0, index).into())
}

/// A link-local address as it is written.
struct Scoped<'t> {
    address: Ipv6Addr,
    port: u16,
    /// The name of a device, or its number.
    device: &'t str,
}

/// Reads a link-local address with its device: `fe80::1%eth0`, in brackets where a port stands behind (RFC 4007 §11.2).
fn parse_scoped(text: &str, port: u16) -> Result<Scoped<'_>, AddressError> {
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
    if device.is_empty() {
        return Err(AddressError::Malformed);
    }
    Ok(Scoped { address, port, device })
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

/// What NSID, `id.server` and `hostname.bind` say by default: the host's name, if it is known.
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
