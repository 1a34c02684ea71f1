//! Taking the devices at the start, and waiting for them while somebody else has them.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::settings::{kernel_settings, proof_age_max};
use crate::announce::bgp::{Service, Speaker};
use crate::announce::kernel::{Driver, RouteError, exit};
use crate::announce::{Announcer, Announcers};
use crate::config::Anycast;
use crate::daemon::error::DaemonError;
use crate::daemon::host::Device;
use crate::daemon::net_admin::NetAdminThread;
use crate::health::ProbePath;
use crate::policy::Proof;

/// The devices of a node, of which nothing is announced yet.
pub(crate) struct Devices {
    /// Who announces: the kernel, and where there is `[bgp]`, our own speaker.
    pub(super) announcers: Announcers,
    /// That speaker.
    pub(super) speaker: Option<Arc<Speaker>>,
    /// When each address was proven.
    pub(super) proof: Arc<Proof>,
    /// Over what the workers are probed.
    pub(super) path: ProbePath,
    /// What all moments count from.
    pub(super) origin: Instant,
}

/// Takes the devices, with the privilege of the thread that has CAP_NET_ADMIN. Blocks for as long as somebody else has
/// the device's name, or the named device is down, unless `is_strict`: a process that ends slowly lets go of it, and
/// what is served besides is served meanwhile.
///
/// # Errors
/// [`DaemonError::Route`], or that the system has no thread for it.
pub(crate) fn take(
    anycast: &Anycast,
    (device, privileged): (Device, NetAdminThread),
    is_strict: bool,
) -> Result<Devices, DaemonError> {
    let (origin, proof) = (Instant::now(), Arc::new(Proof::new(anycast.addresses.len())));
    let (wanted, proven) = (kernel_settings(anycast, device), Arc::clone(&proof));
    let start = move || {
        let mut is_logged = false;
        loop {
            let error = match Driver::start(wanted.clone(), origin, Arc::clone(&proven)) {
                Err(error) if !is_strict && may_pass(&error) => error,
                done => return done,
            };
            if !std::mem::replace(&mut is_logged, true) {
                tracing::error!("[anycast]: {error}; tried again until it can be had, and nothing is announced before");
            }
            thread::sleep(DEVICE_PAUSE);
        }
    };
    let kernel = privileged.run(start).map_err(DaemonError::system("the route thread can't be started"))??;
    let path = match kernel.probe_tun() {
        Some(tun) => {
            let own = tun.as_fd().try_clone_to_owned();
            let own = own.map_err(DaemonError::system("the tun device can't be shared with the prover"))?;
            ProbePath::Tun(own, anycast.health.sources)
        }
        None => ProbePath::Socket,
    };
    let mut announcers: Vec<Arc<dyn Announcer>> = vec![Arc::new(kernel)];
    let speaker = match anycast.bgp.clone().filter(|_| !anycast.is_dry_run) {
        Some(settings) => {
            let service = Service {
                addresses: anycast.addresses.clone(),
                announce: anycast.announce.clone(),
                proof: Arc::clone(&proof),
            };
            let (speaker, told) =
                Speaker::start(settings, vec![service], origin, proof_age_max(anycast), Box::new(exit))?;
            announcers.extend(told);
            Some(speaker)
        }
        None => None,
    };
    Ok(Devices { announcers: Announcers::new(announcers), speaker, proof, path, origin })
}

/// Whether waiting may help.
fn may_pass(error: &RouteError) -> bool {
    matches!(error, RouteError::DeviceTaken { .. } | RouteError::DeviceDown { .. })
}

/// How long to wait before the device is tried again.
const DEVICE_PAUSE: Duration = Duration::from_millis(250);
