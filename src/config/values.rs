//! The checked configuration: plain values, with nothing left open.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::announce::bgp::SpeakerSettings;
use crate::announce::kernel::KernelRoute;
use crate::answer::Settings;
use crate::companion::Probe;
use crate::health::Sources;
use crate::policy::{Guard, Reaction};
use crate::serve::TcpLimits;
use crate::tls::Credentials;
use crate::transfer::{KeyRing, TransferSettings};
use crate::wire::{Name, NameRef, SharedName};
use crate::zonefile::Limits;

/// The port of DNS, taken where an address is written without one (RFC 1035 §4.2).
pub const PORT_DEFAULT: u16 = 53;
/// The port of DNS over TLS (RFC 7858 §3.1).
pub(super) const TLS_PORT_DEFAULT: u16 = 853;
/// The port that is listened on when nobody says otherwise: one that needs no privilege.
pub const PORT_UNPRIVILEGED: u16 = 5300;
/// The port of the pages for people and machines, taken where `[admin] listen` has none.
pub const ADMIN_PORT_DEFAULT: u16 = 9153;
/// The folder that is served when nobody says otherwise.
pub const ZONES_DIR_DEFAULT: &str = "zones";
/// The device that is made where none is named.
pub const INTERFACE_DEFAULT: &str = "fated0";
/// The most addresses to listen on.
pub const LISTEN_MAX: usize = 256;

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The addresses to listen on besides the anycast ones; at least one where there are none of those.
    pub listen: Vec<Listen>,
    /// UDP workers.
    pub workers: NonZeroUsize,
    /// The control socket's path; `None` where there is to be none.
    pub control: Option<PathBuf>,
    /// The folder that is locked, and later holds what must outlive the process.
    pub state_dir: Option<PathBuf>,
    /// Where metrics, health and the status page are shown over HTTP; `None` for nowhere.
    pub admin: Option<SocketAddr>,
    /// The anycast addresses; `None` where there are none.
    pub anycast: Option<Anycast>,
    /// Other services of this host that are announced while they live.
    pub companions: Vec<Companion>,
    /// Whether a crash may leave a core. While it is written, the kernel keeps the sockets and the route.
    pub may_dump_core: bool,
    /// Whether the server starts only when all is as it should be: each zone good, each address there. Else it serves
    /// what it can.
    pub is_strict: bool,
    /// Limits for TCP clients.
    pub tcp: TcpLimits,
    /// What answers are made with.
    pub settings: Settings,
    /// What is logged, and how.
    pub log: Log,
    /// Where zones come from.
    pub zones: Arc<ZoneSources>,
    /// DNS over TLS; `None` where it is not spoken.
    pub tls: Option<TlsServer>,
    /// The keys of transactions.
    pub keys: Arc<KeyRing>,
    /// Who is asked for records of other zones; empty where the system says.
    pub resolvers: Arc<[SocketAddr]>,
    /// Those of the addresses to listen on that name a device, which may come, go, and come back with another number.
    pub scoped: Vec<ScopedListen>,
    /// What is carried out as it is written, and yet is likely not to be meant; each as it is logged.
    pub warnings: Vec<String>,
}

/// `[server.tls]`: where TLS is spoken, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsServer {
    /// The addresses, at least one.
    pub listen: Vec<SocketAddr>,
    /// What is shown to clients.
    pub credentials: Arc<Credentials>,
    /// Whether clients are asked for a certificate, since a rule may want to see one.
    pub asks_clients: bool,
}

/// One address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// What is done where the host does not have the address.
    pub absence: Absence,
}

/// A link-local address to listen on, with its device (RFC 4007 §11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopedListen {
    /// The address.
    pub address: Ipv6Addr,
    /// The port.
    pub port: u16,
    /// The name of the device.
    pub device: String,
    /// The number that the device had when the configuration was read; `None` where it was not there.
    pub index: Option<u32>,
}

/// What is done about an address to listen on that the host does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It is left out: a default that nobody named.
    LeaveOut,
    /// It is bound all the same, and answered as soon as the host has it: the file names it, and a host that has just
    /// started may get its addresses later.
    Await,
    /// It is an error: who typed it sees that at once.
    Refuse,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least level that is written.
    pub level: LogLevel,
    /// The form of a line.
    pub format: LogFormat,
}

/// How much is logged, from little to much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Only what went wrong.
    Error,
    /// And what may go wrong.
    Warn,
    /// And what happened.
    Info,
    /// And why.
    Debug,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where zones come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneSources {
    /// A folder of which every `NAME.zone` is served.
    pub dir: Option<PathBuf>,
    /// Whether the folder was asked for by name; else it is the default one.
    pub is_dir_named: bool,
    /// Zones that are named one by one and have a file.
    pub files: Vec<ZoneFile>,
    /// Zones that come from primaries and have no file.
    pub secondaries: Vec<Secondary>,
    /// The transfers of the zones for which others than [`Self::default_transfers`] hold.
    pub transfers: HashMap<SharedName, Arc<TransferSettings>>,
    /// The transfers of all other zones, those of the folder among them: what the template `default` says.
    pub default_transfers: Arc<TransferSettings>,
    /// Folders from which zone files may include others, besides the folder that they are in.
    pub include_dirs: Vec<PathBuf>,
    /// How much one zone may take.
    pub limits: Limits,
    /// What one reload may take away.
    pub loss_max: LossMax,
    /// The catalogs whose members are served; each is one of the zones above.
    pub catalogs: Vec<CatalogSource>,
    /// The catalogs that are made here, none of which is one of the zones above.
    pub produced: Vec<ProducedCatalog>,
}

/// A catalog that is made here of the zones that say so (RFC 9432).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducedCatalog {
    /// Its name.
    pub name: SharedName,
    /// How many members one version of it may take away.
    pub loss_max: LossMax,
}

/// A catalog whose members are served (RFC 9432).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogSource {
    /// The catalog's name.
    pub name: SharedName,
    /// Where its members come from, and what else is set about their transfers.
    pub members: Arc<TransferSettings>,
    /// The same for members of a group, in the order of the groups' names.
    pub groups: Vec<(String, Arc<TransferSettings>)>,
    /// How many members one version of it may take away.
    pub loss_max: LossMax,
}

impl CatalogSource {
    /// What holds for a member of those groups: that of the first of ours which is among them.
    pub fn settings_of(&self, groups: &[Box<[u8]>]) -> &Arc<TransferSettings> {
        let is_its = |name: &str| groups.iter().any(|group| **group == *name.as_bytes());
        let found = self.groups.iter().find(|(name, _)| is_its(name));
        found.map_or(&self.members, |(_, settings)| settings)
    }

    /// Whether a group is one of ours.
    #[must_use]
    pub fn knows(&self, group: &[u8]) -> bool {
        self.groups.iter().any(|(name, _)| name.as_bytes() == group)
    }
}

impl ZoneSources {
    /// Whether something is to be asked of primaries, or kept over restarts.
    #[must_use]
    pub fn has_transfers(&self) -> bool {
        !(self.secondaries.is_empty() && self.catalogs.is_empty() && self.produced.is_empty())
    }

    /// The catalog of that name whose members are served.
    #[must_use]
    pub fn catalog(&self, name: NameRef<'_>) -> Option<&CatalogSource> {
        self.catalogs.iter().find(|catalog| catalog.name.as_ref() == name)
    }

    /// What is set about the transfers of a zone, whatever the letter case of its name.
    #[must_use]
    pub fn transfers_of(&self, name: NameRef<'_>) -> &Arc<TransferSettings> {
        self.transfers.get(&SharedName::from(name)).unwrap_or(&self.default_transfers)
    }
}

/// How many of the zones that are served one reload may take away: what is absent is no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossMax {
    /// So many; at least one stays.
    Zones(usize),
    /// A share in percent, 0 to 100, rounded down, but one zone at least. Below 100 at least one stays.
    Percent(u8),
}

impl LossMax {
    /// All may go: it was asked for.
    pub const ALL: Self = Self::Percent(100);

    /// How many of so many may go.
    #[must_use]
    pub fn of(self, zones: usize) -> usize {
        let wanted = match self {
            Self::ALL => return zones,
            Self::Zones(count) => count,
            Self::Percent(percent) => (zones.saturating_mul(usize::from(percent)) / 100).max(1),
        };
        wanted.min(zones.saturating_sub(1))
    }
}

impl Default for LossMax {
    fn default() -> Self {
        Self::Percent(50)
    }
}

/// How many zones, of all that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneShare {
    /// So many, whatever there are.
    Zones(usize),
    /// A share in percent, 1 to 100, rounded up.
    Percent(u8),
}

impl ZoneShare {
    /// How many of so many: one at least.
    #[must_use]
    pub fn of(self, zones: usize) -> usize {
        match self {
            Self::Zones(count) => count.max(1),
            Self::Percent(percent) => zones.saturating_mul(usize::from(percent)).div_ceil(100).max(1),
        }
    }
}

/// One zone that is named together with its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneFile {
    /// The zone's name.
    pub name: Name,
    /// Its file.
    pub path: PathBuf,
    /// Where it was asked for: `--zone`, or file, line and column.
    pub said_at: String,
}

/// One zone that comes from primaries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secondary {
    /// The zone's name.
    pub name: SharedName,
    /// Where it comes from, and what else is set about its transfers; the same as [`ZoneSources::transfers_of`].
    pub transfers: Arc<TransferSettings>,
    /// Where it was asked for: file, line and column.
    pub said_at: String,
}

/// What the command line says; it stands above the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Listened on instead of the file's addresses, if there are any.
    pub listen: Vec<SocketAddr>,
    /// Served besides the file's zones.
    pub zones: Vec<(Name, PathBuf)>,
    /// Served instead of the file's folder.
    pub zones_dir: Option<PathBuf>,
    /// May be included from, besides the file's.
    pub include_dirs: Vec<PathBuf>,
    /// Instead of the file's; 0: one for each CPU.
    pub workers: Option<usize>,
    /// Instead of the file's; empty: none.
    pub control: Option<PathBuf>,
    /// Instead of the file's.
    pub state_dir: Option<PathBuf>,
    /// Whether nothing is to be announced, only logged.
    pub is_dry_run: bool,
    /// Whether the server is to start only when all is as it should be, whatever the file says.
    pub is_strict: bool,
}

/// `[anycast]`: addresses that are announced for as long as they are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anycast {
    /// The service addresses: bound, answered and announced; 1 to
    /// [`ADDRESSES_MAX`](crate::announce::kernel::ADDRESSES_MAX), none of them twice.
    pub addresses: Vec<IpAddr>,
    /// Covering prefixes that are announced instead of the addresses in them; each address is in one at most.
    pub announce: Vec<IpNet>,
    /// The device that carries the addresses: one that exists, such as `lo`, or a tun device to be made.
    ///
    /// A name that begins with `fated` is that of a tun device of our own; any other device must exist.
    pub interface: String,
    /// How long the kernel keeps an address that nobody renews, in whole seconds; `None` for ever, which is only
    /// allowed on a tun device of our own.
    pub lease: Option<Duration>,
    /// How long what still comes is answered after the withdrawal, before the sockets are closed.
    pub drain: Duration,
    /// How long the addresses are degraded before they are withdrawn on order; zero where nobody would see it.
    pub degrade_first: Duration,
    /// How long the first announcement waits for zones that have never come from their primaries.
    pub zones_wait: Duration,
    /// `[anycast.kernel-route]`: a kernel route for each prefix, over a tun device of our own. The table is neither 0
    /// nor 255, which is the kernel's table of local addresses; the metric is at least 1.
    pub kernel_route: Option<KernelRoute>,
    /// What is done before a withdrawal for a fault that other sites are likely to have too; nothing without `[bgp]`.
    pub guard: Option<Guard>,
    /// `[bgp]`: the routers that are told, and how.
    pub bgp: Option<SpeakerSettings>,
    /// How it is found out whether the node answers.
    pub health: Health,
    /// Whether everything is done but the announcing, which is only logged (`--dry-run`).
    pub is_dry_run: bool,
}

/// `[[companion]]`: another service of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companion {
    /// What it is called.
    pub name: String,
    /// Its addresses, and how they are announced and judged; nothing of it that is about zones or neighbours says
    /// anything.
    pub node: Anycast,
    /// What proves that it lives.
    pub probe: Probe,
}

/// `[anycast.health]`: how it is found out whether the node answers, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// From one round of canaries to the next.
    pub interval: Duration,
    /// How long a reply to a canary may take.
    pub timeout: Duration,
    /// So many bad rounds in a row withdraw.
    pub fall: u32,
    /// So many good rounds in a row announce.
    pub rise: u32,
    /// So many workers must answer; never more than there are.
    pub workers_min: NonZeroUsize,
    /// What is done when queries are dropped because there are too many.
    pub on_overload: Reaction,
    /// What is done about a fault that other sites are likely to have too.
    pub on_shared_fault: Reaction,
    /// From how many zones on that are late or have expired that is such a fault.
    pub late_zones: ZoneShare,
    /// What is done where probes don't come through and nothing shows that clients don't either.
    pub on_path_fault: Reaction,
    /// Where probes come from over a tun device of our own.
    pub sources: Sources,
}

impl Anycast {
    /// The addresses with the port on which they are answered.
    pub fn sockets(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses.iter().map(|address| SocketAddr::new(*address, PORT_DEFAULT))
    }

    /// What is announced for an address: the covering prefix that holds it, or the address alone.
    #[must_use]
    pub fn prefix_of(&self, address: IpAddr) -> IpNet {
        self.announce.iter().copied().find(|prefix| prefix.contains(&address)).unwrap_or_else(|| address.into())
    }
}
