//! The configuration's `[anycast]` → the settings of policies, prover and kernel announcer.

use std::net::SocketAddr;
use std::time::Duration;

use crate::announce::kernel::{self, Interface};
use crate::config::Anycast;
use crate::daemon::host::Device;
use crate::health;
use crate::policy;

/// What the kernel is to hold.
pub(super) fn kernel_settings(anycast: &Anycast, device: Device) -> kernel::KernelSettings {
    let name = anycast.interface.clone();
    let health = &anycast.health;
    kernel::KernelSettings {
        addresses: anycast.addresses.iter().map(|address| (*address).into()).collect(),
        announce: anycast.announce.clone(),
        interface: if device == Device::Tun { Interface::Tun(name) } else { Interface::Device(name) },
        lease: anycast.lease,
        // A proof is as old as its round when it is noted, and the next may be as late as its timeout.
        proof_slack: health.interval + health.timeout + PROOF_LATENESS,
        probe_sources: health.sources.all().to_vec(),
        kernel_route: anycast.kernel_route,
        is_dry_run: anycast.is_dry_run,
    }
}

/// How old a proof may be that pays for what routers are told: no younger than what a lease asks for, so that a busy
/// machine is no more likely to go dark with BGP than without.
pub(super) fn proof_age_max(anycast: &Anycast) -> Duration {
    let health = &anycast.health;
    kernel::PROOF_LAPSES.max(kernel::RENEW_EVERY + health.interval + health.timeout + PROOF_LATENESS)
}

/// What a machine may be late by before a proof is too old for a lease.
const PROOF_LATENESS: Duration = Duration::from_millis(50);

/// The policy that the operator wants.
pub(super) fn policy_settings(anycast: &Anycast) -> policy::PolicySettings {
    let health = &anycast.health;
    policy::PolicySettings {
        interval: health.interval,
        timeout: health.timeout,
        fall: health.fall,
        rise: health.rise,
        min_workers: u16::try_from(health.workers_min.get()).unwrap_or(u16::MAX),
        on_overload: health.on_overload,
        on_shared: health.on_shared_fault,
        on_path: health.on_path_fault,
        is_degrade_seen: anycast.kernel_route.is_some() || anycast.bgp.is_some(),
        guard: anycast.guard,
        degrade_first: anycast.degrade_first,
        ..policy::PolicySettings::default()
    }
}

/// What the prover is to prove of `addresses`, the service addresses as they are bound.
pub(super) fn prover_settings(
    anycast: &Anycast,
    addresses: &[SocketAddr],
    nonce: u64,
    identity: Option<Vec<u8>>,
) -> health::ProverSettings {
    let health = &anycast.health;
    health::ProverSettings {
        interval: health.interval,
        timeout: health.timeout,
        fall: health.fall,
        min_workers: health.workers_min.get(),
        nonce,
        identity,
        addresses: addresses.to_vec(),
        tcp_interval: health::TCP_INTERVAL,
    }
}
