//! A companion at work: what its probes show goes to policies of its own, and what they say to announcers of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::devices::{Prepared, start_driver};
use super::policy_runner::{Orders, PolicyRunner, Published, ZonesSeen};
use super::settings::{kernel_settings, policy_settings};
use super::status::{address_status, route_status};
use super::{HoldDownWriter, LEAVE_MAX, hold_down};
use crate::admin::reply;
use crate::announce::kernel::KernelSettings;
use crate::announce::{Announcer, Announcers};
use crate::companion::{Prober, ProberSettings};
use crate::config;
use crate::daemon::drain::DrainFlag;
use crate::daemon::error::DaemonError;
use crate::daemon::host;
use crate::daemon::net_admin::NetAdminThread;
use crate::policy::{Decision, Proof, Reason, Stance};

/// What the folder of a companion in the state folder is called, in front of its name.
const FOLDER_PREFIX: &str = "companion-";

/// A companion at work.
pub(crate) struct Companion {
    prober: Prober,
    announcers: Announcers,
    orders: Arc<Orders>,
    published: Published,
    proof: Arc<Proof>,
    origin: Instant,
    settings: config::Companion,
}

/// What all companions have in common.
pub(crate) struct Common {
    /// Who may change addresses and routes.
    pub(crate) privileged: Arc<NetAdminThread>,
    /// Whether a device that somebody else has is not waited for.
    pub(crate) is_strict: bool,
    /// What the operator wants of the whole node.
    pub(crate) drain: Arc<DrainFlag>,
    /// Where hold-downs are kept over restarts.
    pub(crate) state_dir: Option<std::path::PathBuf>,
}

impl Companion {
    /// Takes its device, and announces it while it is proven. Blocks as [`take`](super::take) does.
    ///
    /// # Errors
    /// The device can't be had, or the system has no thread or random numbers for it.
    pub(crate) fn start(
        settings: config::Companion,
        Prepared { proof, others, origin }: Prepared,
        common: &Common,
    ) -> Result<Self, DaemonError> {
        let node = &settings.node;
        let device = host::device(Path::new("/"), node)?;
        // Its probes go over sockets.
        let wanted = KernelSettings { probe_sources: Vec::new(), ..kernel_settings(node, device) };
        let section = format!("[[companion]] {}", settings.name);
        let kernel = start_driver(wanted, (origin, Arc::clone(&proof)), &common.privileged, common.is_strict, section)?;
        let kernel: Arc<dyn Announcer> = Arc::new(kernel);
        let announcers = Announcers::new([vec![kernel], others].concat());
        let orders = Arc::new(Orders { drain: Arc::clone(&common.drain), is_stopping: AtomicBool::new(false) });
        let seed = getrandom::u64().map_err(|error| DaemonError::system("no random numbers")(error.into()))?;
        let folder = common.state_dir.as_ref().filter(|_| !node.is_dry_run);
        let folder = folder.map(|folder| folder.join(format!("{FOLDER_PREFIX}{}", settings.name)));
        let folder = folder.filter(|folder| match std::fs::create_dir_all(folder) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(path = %folder.display(), %error, "hold-downs are not kept over restarts");
                false
            }
        });
        let memory = folder.as_deref().map(|folder| hold_down::read(folder, &node.addresses)).unwrap_or_default();
        let writer = folder.map(|folder| HoldDownWriter::start(folder, node.addresses.clone())).transpose();
        let writer = writer.map_err(DaemonError::system("the thread that keeps hold-downs can't be started"))?;
        let runner = PolicyRunner::new(
            &node.addresses,
            policy_settings(node),
            (seed, &memory),
            (origin, announcers.clone()),
            ZonesSeen { read: Box::new(|| (false, 0)), shared: Box::new(|| None), wait_until: Duration::ZERO },
            Arc::clone(&orders),
            writer.map(Arc::new),
        );
        let published = runner.published();
        let wanted = ProberSettings {
            name: settings.name.clone(),
            addresses: node.addresses.clone(),
            probe: settings.probe.clone(),
            interval: node.health.interval,
            timeout: node.health.timeout,
        };
        let prober = Prober::start(wanted, Arc::clone(&proof), origin, runner.into_on_round())
            .map_err(DaemonError::system("the prober of a companion can't be started"))?;
        Ok(Self { prober, announcers, orders, published, proof, origin, settings })
    }

    /// Asks for its addresses to be withdrawn, for good.
    pub(crate) fn withdraw(&self) {
        self.orders.is_stopping.store(true, Ordering::Release);
        let gone = Decision { stance: Stance::Withdraw, reason: Reason::Stopping };
        self.announcers.want(&vec![gone; self.settings.node.addresses.len()]);
    }

    /// Waits until that is done, and returns how long packets for it are to be taken behind that.
    pub(crate) fn wait_withdrawn(&self) -> Duration {
        if !self.announcers.wait_withdrawn(LEAVE_MAX) {
            tracing::error!(companion = self.settings.name, "an address is still announced; it goes with the process");
        }
        self.settings.node.drain
    }

    /// How it is.
    pub(crate) fn status(&self) -> reply::Companion {
        let (now, node) = (self.origin.elapsed(), &self.settings.node);
        let (statuses, seen, report) = (self.published.statuses.load(), self.announcers.seen(), self.prober.report());
        let addresses = node.addresses.iter().zip(&seen).zip(statuses.iter()).enumerate();
        reply::Companion {
            name: self.settings.name.clone(),
            probe: self.settings.probe.word().to_owned(),
            interface: node.interface.clone(),
            addresses: addresses
                .map(|(index, ((address, seen), status))| {
                    let announced = (*address, node.prefix_of(*address));
                    address_status(now, announced, (seen, status, self.proof.last(index)), None)
                })
                .collect(),
            faults: report.iter().flatten().cloned().collect(),
            route: route_status(&self.announcers.counters()),
            transitions: self.published.history.load().transitions(Instant::now()),
        }
    }
}
