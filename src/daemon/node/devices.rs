//! Taking the devices at the start, and waiting for them while somebody else has them.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::settings::{kernel_settings, proof_age_max};
use crate::announce::bgp::{Service, Speaker};
use crate::announce::kernel::{Driver, KernelSettings, RouteError, exit};
use crate::announce::{Announcer, Announcers};
use crate::config::{Anycast, Companion};
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
    /// What companions have of it.
    pub(crate) prepared: Vec<Prepared>,
}

/// Takes the devices, with the privilege of the thread that has CAP_NET_ADMIN. Blocks for as long as somebody else has
/// the device's name, or the named device is down, unless `is_strict`: a process that ends slowly lets go of it, and
/// what is served besides is served meanwhile.
///
/// # Errors
/// [`DaemonError::Route`], or that the system has no thread for it.
pub(crate) fn take(
    anycast: &Anycast,
    companions: &[Companion],
    (device, privileged): (Device, Arc<NetAdminThread>),
    is_strict: bool,
) -> Result<Devices, DaemonError> {
    let (origin, proof) = (Instant::now(), Arc::new(Proof::new(anycast.addresses.len())));
    let wanted = kernel_settings(anycast, device);
    let kernel = start_driver(wanted, (origin, Arc::clone(&proof)), &privileged, is_strict, "[anycast]".to_owned())?;
    let mut prepared = Prepared::all(companions, origin);
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
            let others = companions.iter().zip(&prepared).map(|(companion, prepared)| Service {
                addresses: companion.node.addresses.clone(),
                announce: Vec::new(),
                proof: Arc::clone(&prepared.proof),
            });
            let services = std::iter::once(service).chain(others).collect();
            let nodes = std::iter::once(anycast).chain(companions.iter().map(|companion| &companion.node));
            let age_max = nodes.map(proof_age_max).max().unwrap_or_default();
            let (speaker, told) = Speaker::start(settings, services, origin, age_max, Box::new(exit))?;
            let mut told = told.into_iter();
            announcers.extend(told.next());
            prepared.iter_mut().zip(told).for_each(|(prepared, told)| prepared.others.push(told));
            Some(speaker)
        }
        None => None,
    };
    Ok(Devices { announcers: Announcers::new(announcers), speaker, proof, path, origin, prepared })
}

/// What a companion has before its device.
pub(crate) struct Prepared {
    /// When each of its addresses was proven.
    pub(super) proof: Arc<Proof>,
    /// Who announces it besides the kernel.
    pub(super) others: Vec<Arc<dyn Announcer>>,
    /// What all moments count from.
    pub(super) origin: Instant,
}

impl Prepared {
    /// Prepares each companion, for the kernel alone.
    pub(crate) fn all(companions: &[Companion], origin: Instant) -> Vec<Self> {
        let proof = |companion: &Companion| Arc::new(Proof::new(companion.node.addresses.len()));
        let one = |companion| Self { proof: proof(companion), others: Vec::new(), origin };
        companions.iter().map(one).collect()
    }
}

/// Starts the kernel's announcer, and waits for its device as [`take`] says. `section` is where it is configured.
pub(super) fn start_driver(
    wanted: KernelSettings,
    (origin, proof): (Instant, Arc<Proof>),
    privileged: &NetAdminThread,
    is_strict: bool,
    section: String,
) -> Result<Driver, DaemonError> {
    let start = move || {
        let mut is_logged = false;
        loop {
            let error = match Driver::start(wanted.clone(), origin, Arc::clone(&proof)) {
                Err(error) if !is_strict && may_pass(&error) => error,
                done => return done,
            };
            if !std::mem::replace(&mut is_logged, true) {
                tracing::error!("{section}: {error}; tried again until it can be had, and nothing is announced before");
            }
            thread::sleep(DEVICE_PAUSE);
        }
    };
    Ok(privileged.run(start).map_err(DaemonError::system("the route thread can't be started"))??)
}

/// Whether waiting may help.
fn may_pass(error: &RouteError) -> bool {
    matches!(error, RouteError::DeviceTaken { .. } | RouteError::DeviceDown { .. })
}

/// How long to wait before the device is tried again.
const DEVICE_PAUSE: Duration = Duration::from_millis(250);
