//! The configuration as it is written: keys known, types right, values not yet looked at.
//!
//! Each value keeps its span, so that what is wrong with it can be shown where it stands. The structs are the one list
//! of keys: [`keys`](super::keys) reads it from them.

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

use super::error::ConfigFault;
use super::keys;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawConfig {
    /// `[server]`.
    pub(super) server: RawServer,
    /// `[log]`.
    pub(super) log: RawLog,
    /// `[admin]`.
    pub(super) admin: RawAdmin,
    /// `[anycast]`.
    pub(super) anycast: Option<RawAnycast>,
    /// `[[zone]]`.
    pub(super) zone: Vec<RawZone>,
}

/// `[server]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawServer {
    /// Addresses, with or without port.
    pub(super) listen: Option<Spanned<Vec<Spanned<String>>>>,
    /// UDP workers.
    pub(super) workers: Option<Spanned<i64>>,
    /// NSID and its like.
    pub(super) identity: Option<Spanned<String>>,
    /// `version.bind` and its like.
    pub(super) version: Option<Spanned<String>>,
    /// The zones folder.
    pub(super) zones_dir: Option<Spanned<String>>,
    /// Where files may be included from.
    pub(super) include_dirs: Option<Spanned<Vec<Spanned<String>>>>,
    /// The control socket.
    pub(super) control: Option<Spanned<String>>,
    /// The state folder.
    pub(super) state_dir: Option<Spanned<String>>,
    /// Whether a crash may leave a core.
    pub(super) core_dump: Option<bool>,
    /// Whether to start only when all is as it should be.
    pub(super) strict: Option<bool>,
    /// What one reload may take away: a number of zones, or a share in percent.
    pub(super) reload_loss_max: Option<Spanned<toml::Value>>,
    /// Whether aliases are followed into other zones.
    pub(super) follow_across_zones: Option<bool>,
    /// The largest UDP reply.
    pub(super) udp_payload_max: Option<Spanned<i64>>,
    /// `[server.tcp]`.
    pub(super) tcp: RawTcp,
    /// `[server.limits]`.
    pub(super) limits: RawLimits,
}

/// `[server.limits]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawLimits {
    /// Octets of the files of one zone.
    pub(super) zone_octets_max: Option<Spanned<i64>>,
    /// Records of one zone.
    pub(super) zone_records_max: Option<Spanned<i64>>,
    /// Records that `$GENERATE` makes in one zone.
    pub(super) generate_steps_max: Option<Spanned<i64>>,
}

/// `[server.tcp]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawTcp {
    /// All clients.
    pub(super) clients_max: Option<Spanned<i64>>,
    /// Clients of one network.
    pub(super) clients_per_network_max: Option<Spanned<i64>>,
    /// Clients of one address.
    pub(super) clients_per_address_max: Option<Spanned<i64>>,
    /// How long a client may be silent.
    pub(super) idle_timeout: Option<Spanned<String>>,
    /// How long one message may take.
    pub(super) io_timeout: Option<Spanned<String>>,
    /// Octets of data in a segment.
    pub(super) mss: Option<Spanned<i64>>,
}

/// `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawLog {
    /// The least level.
    pub(super) level: Option<Spanned<String>>,
    /// The form of a line.
    pub(super) format: Option<Spanned<String>>,
}

/// `[admin]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawAdmin {
    /// Where the pages for people and machines are.
    pub(super) listen: Option<Spanned<String>>,
}

/// `[anycast]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawAnycast {
    /// The service addresses.
    pub(super) addresses: Spanned<Vec<Spanned<String>>>,
    /// Covering prefixes.
    #[serde(default)]
    pub(super) announce: Vec<Spanned<String>>,
    /// The device.
    pub(super) interface: Option<Spanned<String>>,
    /// How long the kernel keeps an address.
    pub(super) lease: Option<Spanned<String>>,
    /// How long is answered after the withdrawal.
    pub(super) drain: Option<Spanned<String>>,
    /// `[anycast.kernel-route]`.
    pub(super) kernel_route: Option<RawKernelRoute>,
    /// `[anycast.health]`.
    #[serde(default)]
    pub(super) health: RawHealth,
}

/// `[anycast.kernel-route]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawKernelRoute {
    /// The routing table.
    pub(super) table: Option<Spanned<i64>>,
    /// The metric.
    pub(super) metric: Option<Spanned<i64>>,
}

/// `[anycast.health]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawHealth {
    /// From round to round.
    pub(super) interval: Option<Spanned<String>>,
    /// How long a reply may take.
    pub(super) timeout: Option<Spanned<String>>,
    /// Bad rounds that withdraw.
    pub(super) fall: Option<Spanned<i64>>,
    /// Good rounds that announce.
    pub(super) rise: Option<Spanned<i64>>,
    /// Workers that must answer: a number, or a share in percent.
    pub(super) min_workers: Option<Spanned<toml::Value>>,
    /// What is done under overload.
    pub(super) on_overload: Option<Spanned<String>>,
    /// What is done where the probes' path fails and nobody knows that the clients' does.
    pub(super) on_path_fault: Option<Spanned<String>>,
    /// Where probes over IPv4 come from.
    pub(super) source_v4: Option<Spanned<String>>,
    /// Where probes over IPv6 come from.
    pub(super) source_v6: Option<Spanned<String>>,
    /// What is done about a fault that other sites have too.
    pub(super) on_shared_fault: Option<Spanned<String>>,
}

/// One `[[zone]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawZone {
    /// The zone's name.
    pub(super) name: Spanned<String>,
    /// The zone's file.
    pub(super) file: Spanned<String>,
}

/// Reads the text.
///
/// # Errors
/// What is no TOML; else every unknown key; else the first value of a wrong type.
pub(super) fn parse(text: &str) -> Result<RawConfig, Vec<ConfigFault>> {
    let table = DeTable::parse(text).map_err(|error| vec![fault_of(&error, None)])?;
    let mut walk = keys::Walk::default();
    walk.table(&table, keys::ROOT, "");
    if !walk.faults.is_empty() {
        return Err(walk.faults);
    }
    toml::from_str(text).map_err(|error| {
        let key = error.span().and_then(|span| walk.key_at(&span));
        vec![fault_of(&error, key)]
    })
}

/// Makes a fault of what the TOML reader says, naming the key if it is known.
fn fault_of(error: &toml::de::Error, key: Option<&str>) -> ConfigFault {
    let message = match key {
        Some(key) => format!("`{key}`: {}", error.message()),
        None => error.message().to_owned(),
    };
    ConfigFault { span: error.span(), message, label: String::new(), help: None }
}
