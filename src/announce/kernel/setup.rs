//! What stands before the first announcement: settings in range, devices made or found, the host's addresses out of the
//! way, an earlier run's leftovers purged.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;

use super::netlink::{HostAddress, Netlink};
use super::plan::{Link, stands_as};
use super::sink::Sink;
use super::{ADDRESSES_MAX, Interface, KernelSettings, RECEIVING_SUFFIX, RouteError, SettingFault, TUN_NAME_BYTES_MAX};
use crate::policy::Proof;
use crate::sys::tun::{Tun, index_of};

/// The devices that the driver works on.
#[derive(Debug)]
pub(super) struct Devices {
    /// What holds the announcing tun, where there is one.
    pub(super) announcing: Option<Sink>,
    /// The receiving tun, where there is one.
    pub(super) receiving: Option<Arc<Tun>>,
    /// The announcing device's index.
    pub(super) announcing_index: u32,
    /// The receiving device's index.
    pub(super) receiving_index: u32,
}

/// Checks the settings by themselves.
///
/// # Errors
/// [`RouteError::Setting`] and [`RouteError::DeviceName`].
pub(super) fn check(settings: &KernelSettings, proofs: Option<&Proof>) -> Result<(), RouteError> {
    let fault = |fault| Err(RouteError::Setting(fault));
    let addresses = &settings.addresses;
    if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
        return fault(SettingFault::AddressCount);
    }
    for (index, address) in addresses.iter().enumerate() {
        if address.prefix_len() != address.max_prefix_len() {
            return fault(SettingFault::NotOneAddress(*address));
        }
        if addresses[..index].contains(address) {
            return fault(SettingFault::Twice(*address));
        }
    }
    for prefix in &settings.announce {
        if !addresses.iter().any(|address| prefix.contains(address)) {
            return fault(SettingFault::CoversNothing(*prefix));
        }
    }
    if settings.lease.is_some_and(|lease| lease.as_secs() == 0 || lease.subsec_nanos() != 0) {
        return fault(SettingFault::Lease);
    }
    if proofs.is_some_and(|proof| proof.len() != addresses.len()) {
        return fault(SettingFault::Proofs);
    }
    match &settings.interface {
        Interface::Tun(name) if name.is_empty() || name.len() > TUN_NAME_BYTES_MAX => {
            Err(RouteError::DeviceName { name: name.clone() })
        }
        Interface::Tun(_) if settings.kernel_route.is_some() && settings.lease.is_some() => {
            fault(SettingFault::KernelRouteOutlivesLease)
        }
        Interface::Tun(_) => Ok(()),
        Interface::Device(_) if settings.lease.is_none() => fault(SettingFault::LeaseOff),
        Interface::Device(_) if settings.kernel_route.is_some() => fault(SettingFault::KernelRouteNeedsTun),
        Interface::Device(_) => Ok(()),
    }
}

/// Makes the tun devices, or finds the one that is named, in the calling thread's network namespace.
///
/// # Errors
/// No permission, no tun driver, a name that is taken, a device that is missing, no more threads. Packets that the
/// announcing tun drops are counted in `dropped`.
pub(super) fn take_devices(settings: &KernelSettings, dropped: &Arc<AtomicU64>) -> Result<Devices, RouteError> {
    if !super::privilege::may_change() {
        return Err(RouteError::NoPermission);
    }
    match &settings.interface {
        Interface::Tun(name) => {
            let announcing = Sink::start(name, Arc::clone(dropped))?;
            let receiving = Arc::new(Tun::open(&format!("{name}{RECEIVING_SUFFIX}")).map_err(RouteError::from)?);
            let has_v6 = settings.addresses.iter().any(|address| address.addr().is_ipv6());
            for name in [name, receiving.name()] {
                set_up_files(name, has_v6);
            }
            let (announcing_index, receiving_index) = (announcing.index(), receiving.index());
            let (announcing, receiving) = (Some(announcing), Some(receiving));
            Ok(Devices { announcing, receiving, announcing_index, receiving_index })
        }
        Interface::Device(name) => {
            let missing = |name: &str| RouteError::NoDevice { name: name.into() };
            let announcing_index = index_of(name).ok_or_else(|| missing(name))?;
            let receiving_index = index_of(LOOPBACK).ok_or_else(|| missing(LOOPBACK))?;
            Ok(Devices { announcing: None, receiving: None, announcing_index, receiving_index })
        }
    }
}

/// Purges what an earlier run left behind, and makes sure that nobody else has the addresses.
///
/// # Errors
/// [`RouteError::Overlap`], [`RouteError::DeviceDown`], [`RouteError::Kernel`].
pub(super) async fn purge_leftovers(
    settings: &KernelSettings,
    devices: &Devices,
    netlink: &mut Netlink,
) -> Result<(), RouteError> {
    let kernel = |what: &str| {
        let what = what.to_owned();
        move |source| RouteError::Kernel { what, source }
    };
    for device in [devices.announcing_index, devices.receiving_index] {
        let link = netlink.link(device).await.map_err(kernel("the device cannot be looked at"))?;
        if link != Link::Up && devices.announcing.is_none() {
            let is_loopback = device == devices.receiving_index;
            let name = if is_loopback { LOOPBACK } else { settings.interface.name() };
            return Err(RouteError::DeviceDown { name: name.into() });
        }
    }
    let loopback = index_of(LOOPBACK).unwrap_or(devices.receiving_index);
    let ours = [devices.announcing_index, devices.receiving_index, loopback];
    let purged = netlink.purge_routes(&ours).await.map_err(kernel("routes of an earlier run cannot be removed"))?;
    if purged > 0 {
        tracing::info!(count = purged, protocol = super::PROTOCOL, "routes of an earlier run removed");
    }
    let names = netlink.names().await.map_err(kernel("the devices cannot be listed"))?;
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let found = netlink.host_addresses(family, 0).await.map_err(kernel("the addresses cannot be listed"))?;
        for address in found {
            if is_leftover(&address, settings, &ours) {
                let removed = netlink.remove_address_from(address.net, address.device).await;
                removed.map_err(kernel("an address of an earlier run cannot be removed"))?;
                tracing::info!(address = %address.net, "an address of an earlier run removed");
            } else if let Some(announced) = overlapped(address.net, settings) {
                let name = names.iter().find(|(index, _)| *index == address.device).map(|(_, name)| name.clone());
                let device = name.unwrap_or_else(|| address.device.to_string());
                return Err(RouteError::Overlap { announced, address: address.net.addr(), device });
            }
        }
    }
    Ok(())
}

/// Whether an address was put there by an earlier run of ours: on a device that we use, with our number.
///
/// Kernels before 5.18 know no number; there it is one of the service addresses, as it would stand, that the kernel is
/// about to remove anyway.
fn is_leftover(address: &HostAddress, settings: &KernelSettings, devices: &[u32]) -> bool {
    let is_service = settings.addresses.iter().any(|one| stands_as(*one, &settings.announce) == address.net);
    let lease = settings.lease.map_or(0, |lease| lease.as_secs());
    let is_ending = is_service && u64::from(address.valid_seconds) <= lease;
    devices.contains(&address.device) && (address.is_marked || is_ending)
}

/// What of ours an address of the host is in the way of, if anything: the same address, or one within an announced
/// prefix.
fn overlapped(address: IpNet, settings: &KernelSettings) -> Option<IpNet> {
    let announced = settings.addresses.iter().map(|one| stands_as(*one, &settings.announce));
    announced.into_iter().find(|net| net.contains(&address.addr()))
}

/// Sets a tun's files under `/proc/sys` before it is set up. What is refused is logged: all of it is a refinement.
fn set_up_files(name: &str, has_v6: bool) {
    // Without it the removal of an address removes those that share its prefix; they would then be put back.
    let mut files = vec![(format!("/proc/sys/net/ipv4/conf/{name}/promote_secondaries"), "1")];
    if has_v6 {
        files.push((format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "0"));
        // No link-local address: nothing but the service addresses is to stand there.
        files.push((format!("/proc/sys/net/ipv6/conf/{name}/addr_gen_mode"), "1"));
    }
    for (path, value) in files {
        if let Err(error) = fs::write(&path, value) {
            tracing::warn!(%path, %value, %error, "cannot be set");
        }
    }
}

/// The device of the host itself.
pub(super) const LOOPBACK: &str = "lo";

#[cfg(test)]
#[path = "setup_tests.rs"]
mod tests;
