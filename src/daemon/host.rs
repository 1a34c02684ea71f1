//! What this host makes of anycast: the device that is named, and settings of the kernel that break it.
//!
//! Reads below a folder that stands for `/`, so that tests bring their own. Changes nothing. The meaning of each
//! setting is in the kernel's `ip-sysctl` and `nf_conntrack-sysctl`; loose reverse-path filtering for anycast is RFC
//! 3704 §2.4.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use crate::announce::kernel::{RECEIVING_SUFFIX, TUN_NAME_BYTES_MAX};
use crate::config::Anycast;

/// The most network devices that are looked at.
const DEVICES_MAX: usize = 4096;

/// How the name of a tun device begins that the server makes.
pub const TUN_PREFIX: &str = "fated";

/// Which device carries the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// A tun device that the server makes, and that goes with it.
    Tun,
    /// A device that exists, such as `lo`.
    Existing,
}

/// The configuration does not go with the device that it names. The texts say what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// An address that nobody renews would stay there when the server hangs.
    #[error(
        "`anycast.lease` is \"off\", but {0} is a device of this host: only a tun device of our own goes with the \
         server\nset `lease` to a time such as \"1s\", or a tun device such as \"fated0\" with `interface`"
    )]
    LeaseOff(String),
    /// The host has no such device, and the name is not one that we would make.
    #[error(
        "`anycast.interface` is \"{0}\", but this host has no such device\ncreate it first, or choose a name that \
         begins with \"{TUN_PREFIX}\": such a tun device the server makes itself"
    )]
    Missing(String),
    /// The name is too long for the sister device's suffix.
    #[error(
        "`anycast.interface` is \"{0}\", but a tun device's name must leave room for \"{RECEIVING_SUFFIX}\": \
         {TUN_NAME_BYTES_MAX} octets at most"
    )]
    TooLong(String),
}

/// Returns which device carries the addresses, by its name: one that begins with [`TUN_PREFIX`] is a tun device that
/// the server makes, any other is a device of the host and must be there. So a slip of the pen makes no device.
///
/// # Errors
/// [`HostError`] where the configuration does not go with that.
pub fn device(root: &Path, anycast: &Anycast) -> Result<Device, HostError> {
    let name = &anycast.interface;
    if is_tun(name) {
        let is_long = name.len() > TUN_NAME_BYTES_MAX;
        return if is_long { Err(HostError::TooLong(name.clone())) } else { Ok(Device::Tun) };
    }
    // Unlike /sys, this shows the devices of our own network namespace, wherever it was mounted.
    let devices = fs::read_to_string(root.join("proc/net/dev")).unwrap_or_default();
    if !devices.lines().filter_map(|line| line.split_once(':')).any(|(device, _)| device.trim() == name) {
        return Err(HostError::Missing(name.clone()));
    }
    // A kernel route needs a lease that is off, and is refused with it.
    match anycast.lease {
        None => Err(HostError::LeaseOff(name.clone())),
        Some(_) => Ok(Device::Existing),
    }
}

/// Whether a device of that name is a tun device that the server makes.
pub(super) fn is_tun(name: &str) -> bool {
    name.starts_with(TUN_PREFIX)
}

/// Settings of the kernel as they are read: the path below `/proc/sys`, and the number.
pub type Sysctls = BTreeMap<String, i64>;

/// What is known of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Settings of the kernel; what can't be read is missing.
    pub sysctls: Sysctls,
    /// Whether connections are tracked.
    pub is_tracking: bool,
}

/// Reads what [`warnings`] looks at.
#[must_use]
pub fn read(root: &Path) -> Host {
    let mut sysctls = Sysctls::new();
    let proc = root.join("proc/sys");
    let mut note = |path: String| {
        let text = fs::read_to_string(proc.join(&path)).ok();
        if let Some(number) = text.and_then(|text| text.trim().parse().ok()) {
            // The key keeps the path's slashes: a device's name may hold dots.
            sysctls.insert(path, number);
        }
    };
    let devices = fs::read_dir(proc.join("net/ipv4/conf")).into_iter().flatten().take(DEVICES_MAX);
    for device in devices.filter_map(Result::ok).filter_map(|entry| entry.file_name().into_string().ok()) {
        for key in ["rp_filter", "arp_ignore", "arp_announce", "promote_secondaries"] {
            note(format!("net/ipv4/conf/{device}/{key}"));
        }
    }
    for family in ["ipv4", "ipv6"] {
        note(format!("net/{family}/{UNRES_QUEUE}"));
    }
    note("net/netfilter/nf_conntrack_count".to_owned());
    note("net/netfilter/nf_conntrack_max".to_owned());
    let is_tracking = sysctls.contains_key("net/netfilter/nf_conntrack_max");
    Host { sysctls, is_tracking }
}

/// Returns what on this host breaks anycast, each with what to do about it.
#[must_use]
pub fn warnings(host: &Host, anycast: &Anycast, device: Device) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(unresolved(&host.sysctls));
    if anycast.addresses.iter().any(IpAddr::is_ipv4) {
        found.extend(reverse_path(&host.sysctls));
        if device == Device::Existing {
            found.extend(neighbours(&host.sysctls, &anycast.interface));
        }
        found.extend(secondaries(&host.sysctls, anycast));
    }
    if host.is_tracking {
        let count = host.sysctls.get("net/netfilter/nf_conntrack_count").copied().unwrap_or(0);
        let max = host.sysctls.get("net/netfilter/nf_conntrack_max").copied().unwrap_or(0);
        found.push(format!(
            "connections are tracked ({count} of {max} entries in use): a flood of queries fills the table, and then \
             packets are dropped.\nLook at `nft list ruleset` whether the service addresses are exempt; if not, load \
             this with `nft -f`. It exempts nothing else, so that the replies to this \
             host's own lookups are still known:\n{}",
            untracked(anycast)
        ));
    }
    found
}

/// The nft table that exempts the service addresses from tracking: what comes for them, and what they reply.
fn untracked(anycast: &Anycast) -> String {
    let rules = |direction: &str, port: &str| {
        let (four, six): (Vec<&IpAddr>, Vec<&IpAddr>) = anycast.addresses.iter().partition(|address| address.is_ipv4());
        let rule = |(family, addresses): (&str, Vec<&IpAddr>)| {
            let listed: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let rule = format!(
                "    {family} {direction} {{ {} }} meta l4proto {{ tcp, udp }} th {port} 53 notrack\n",
                listed.join(", ")
            );
            if addresses.is_empty() { String::new() } else { rule }
        };
        [("ip", four), ("ip6", six)].map(rule).concat()
    };
    let chain = |hook: &str, rules: String| {
        format!("  chain {hook} {{\n    type filter hook {hook} priority raw\n{rules}  }}\n")
    };
    let (queries, replies) = (chain("prerouting", rules("daddr", "dport")), chain("output", rules("saddr", "sport")));
    format!("table inet fated_notrack {{\n{queries}{replies}}}")
}

/// Strict reverse-path filtering: the way back to a client need not be the way that its packets came.
fn reverse_path(sysctls: &Sysctls) -> Vec<String> {
    const STRICT: i64 = 1;
    let of = |device: &str| sysctls.get(&format!("net/ipv4/conf/{device}/rp_filter")).copied();
    let all = of("all").unwrap_or(0);
    let devices: Vec<&str> =
        devices(sysctls, "rp_filter").filter(|device| !matches!(*device, "all" | "default" | "lo")).collect();
    // The kernel takes the larger one of `all` and the device's own.
    let strict: Vec<&str> =
        devices.iter().copied().filter(|device| of(device).unwrap_or(0).max(all) == STRICT).collect();
    if strict.is_empty() {
        return Vec::new();
    }
    let names = strict.join(", ");
    let settings: Vec<String> = match all {
        STRICT => vec!["net.ipv4.conf.all.rp_filter=2".to_owned()],
        _ => strict.iter().map(|device| format!("net.ipv4.conf.{}.rp_filter=2", slashed(device))).collect(),
    };
    vec![format!(
        "rp_filter is strict (1) on {names}: queries whose way back goes over another device are dropped.\n\
         Set it to 2 (loose): sysctl -w {}",
        settings.join(" ")
    )]
}

/// Replies to neighbours that are not there wait for them in the send buffers of the workers.
fn unresolved(sysctls: &Sysctls) -> Option<String> {
    let wide: Vec<String> = ["ipv4", "ipv6"]
        .into_iter()
        .filter(|family| {
            sysctls.get(&format!("net/{family}/{UNRES_QUEUE}")).is_some_and(|octets| *octets > UNRES_BYTES_MAX)
        })
        .map(|family| format!("net.{family}.neigh.default.unres_qlen_bytes={UNRES_BYTES_MAX}"))
        .collect();
    (!wide.is_empty()).then(|| {
        format!(
            "unres_qlen_bytes lets replies to hosts that are not there fill a worker's send buffer while ARP or ND \
             asks for them: queries in the name of absent hosts of this network cost others their replies.\n\
             Set: sysctl -w {}",
            wide.join(" ")
        )
    })
}

/// Without these, a host answers on its network for addresses that it has on `lo` or another device.
fn neighbours(sysctls: &Sysctls, interface: &str) -> Vec<String> {
    let of = |device: &str, key: &str| sysctls.get(&format!("net/ipv4/conf/{device}/{key}")).copied().unwrap_or(0);
    // The kernel takes the larger one of `all` and the device's own; what is least anywhere is what counts.
    let least = |key: &str| {
        let others =
            devices(sysctls, key).filter(|device| !matches!(*device, "all" | "default" | "lo") && *device != interface);
        others.map(|device| of(device, key)).min().unwrap_or(0).max(of("all", key))
    };
    let wanted = [("arp_ignore", 1), ("arp_announce", 2)];
    let missing: Vec<&(&str, i64)> = wanted.iter().filter(|(key, enough)| least(key) < *enough).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let states: Vec<String> = missing.iter().map(|(key, _)| format!("{key} is {}", least(key))).collect();
    let settings: Vec<String> =
        missing.iter().map(|(key, enough)| format!("net.ipv4.conf.all.{key}={enough}")).collect();
    vec![format!(
        "{} while the addresses stand on {interface}: the host answers ARP for them on its other networks, \
         and draws traffic past the router.\n\
         Set: sysctl -w {}",
        states.join(", "),
        settings.join(" ")
    )]
}

/// Without it, the kernel takes all other addresses of a prefix away with the first one.
fn secondaries(sysctls: &Sysctls, anycast: &Anycast) -> Vec<String> {
    let of = |device: &str| sysctls.get(&format!("net/ipv4/conf/{device}/promote_secondaries")).copied().unwrap_or(0);
    let shared = anycast.announce.iter().any(|prefix| {
        anycast.addresses.iter().filter(|address| address.is_ipv4() && prefix.contains(*address)).count() > 1
    });
    // A tun device that is yet to be made takes what `default` says.
    let own = if devices(sysctls, "promote_secondaries").any(|device| device == anycast.interface) {
        of(&anycast.interface)
    } else {
        of("default")
    };
    if !shared || of("all").max(own) > 0 {
        return Vec::new();
    }
    let message = "promote_secondaries is 0 and several addresses lie in one announced prefix: \
                   when the first one is withdrawn, the kernel removes the others too.\n\
                   Set: sysctl -w net.ipv4.conf.all.promote_secondaries=1";
    vec![message.to_owned()]
}

/// The devices that have a setting.
fn devices<'a>(sysctls: &'a Sysctls, key: &'a str) -> impl Iterator<Item = &'a str> {
    sysctls.keys().filter_map(move |path| path.strip_prefix("net/ipv4/conf/")?.strip_suffix(key)?.strip_suffix('/'))
}

/// Where the kernel says how much may wait for a neighbour, behind the family.
const UNRES_QUEUE: &str = "neigh/default/unres_qlen_bytes";

/// What is enough for the first packets to a neighbour, in octets: some thirteen replies with what the kernel adds to
/// each.
const UNRES_BYTES_MAX: i64 = 16_384;

/// A device's name as `sysctl` wants it: with slashes for its dots.
fn slashed(device: &str) -> String {
    device.replace('.', "/")
}

#[cfg(test)]
mod tests;
