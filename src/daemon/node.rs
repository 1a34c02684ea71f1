//! The anycast node: what the prover sees goes to the policies, what they say goes to the announcers.
//!
//! ```text
//!   prover ──Observation──▶ PolicyRunner: one Policy an address ──Stance──▶ Announcers ──▶ the kernel
//!      │                      ▲ drained, stopping (flags)             │
//!      └──Proof─────────────────────────────────────────────────────▶ lease
//! ```
//!
//! The policies are run by the prover's thread and by nobody else: the control plane only sets flags and reads what is
//! published, so that it may hang without keeping the route up or taking it down.

mod companion;
mod devices;
mod neighbors;
mod policy_runner;
mod probed;
mod settings;
mod status;

pub(super) use companion::{Common, Companion};
pub(super) use devices::{Devices, Prepared, take};

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::drain::DrainFlag;
use super::error::DaemonError;
use super::hold_down::{self, HoldDownWriter};
use super::host::Device;
use super::transfers::SecondaryHealth;
use crate::announce::bgp::Speaker;
use crate::announce::{Announcer as _, Announcers};
use crate::answer::{Canary, Snapshot};
use crate::config::{Anycast, Config};
use crate::health::Prover;
use crate::policy::{Decision, Proof, Reason, Stance};
use crate::serve::Running;
use policy_runner::{Orders, PolicyRunner, Published, ZonesSeen};
use probed::{ProbedThreads, ProbedZones};

/// How long going away may take before it is left to the end of the process.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// A node at work.
pub(super) struct Node {
    /// Asks the workers.
    prover: Prover,
    /// Carry out what the policies want.
    announcers: Announcers,
    /// Our own BGP speaker, where there is one; the last of the announcers.
    speaker: Option<Arc<Speaker>>,
    /// What the control plane asks of the policies.
    orders: Arc<Orders>,
    /// What the policies have led to.
    published: Published,
    /// When each address was proven.
    proof: Arc<Proof>,
    /// What all moments count from.
    origin: Instant,
    /// What the operator wants.
    anycast: Anycast,
    /// What is remembered over a restart, where there is a state folder.
    memory: Option<Arc<HoldDownWriter>>,
}

/// Makes the secret by which the workers know canaries.
///
/// # Errors
/// The system has no random numbers.
pub(super) fn canary(anycast: &Anycast, device: Device) -> std::io::Result<Canary> {
    let is_over_tun = device == Device::Tun && !anycast.is_dry_run;
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    // Probes come over a tun of our own and, around it or without one, over loopback, where others ask too.
    let reserved = if is_over_tun { anycast.health.sources.all().to_vec() } else { Vec::new() };
    let sources = [&reserved[..], &loopback].concat();
    Ok(Canary { nonce: getrandom::u64().map_err(std::io::Error::other)?, sources, reserved })
}

impl Node {
    /// Proves, and announces what is proven. `addresses` are those that are bound; the service addresses stand last.
    ///
    /// # Errors
    /// What the system has no thread or random numbers for.
    pub(super) fn start(
        config: &Config,
        Devices { announcers, speaker, proof, path, origin, .. }: Devices,
        addresses: &[SocketAddr],
        running: &Running,
        current: &Arc<ArcSwap<Snapshot>>,
        drain: Arc<DrainFlag>,
        secondaries: &Arc<SecondaryHealth>,
    ) -> Result<Self, DaemonError> {
        let (Some(anycast), Some(canary)) = (&config.anycast, &config.settings.canary) else {
            unreachable!("a device is looked for where there are service addresses, and then there is a canary");
        };
        let first = addresses.len() - anycast.addresses.len();
        let orders = Arc::new(Orders { drain, is_stopping: AtomicBool::new(false) });
        let seed = getrandom::u64().map_err(|error| DaemonError::system("no random numbers")(error.into()))?;
        // What is not really announced is nothing to be remembered.
        let folder = config.state_dir.as_deref().filter(|_| !anycast.is_dry_run);
        let memory = folder.map(|folder| hold_down::read(folder, &anycast.addresses)).unwrap_or_default();
        let writer =
            folder.map(|folder| HoldDownWriter::start(folder.to_owned(), anycast.addresses.clone())).transpose();
        let writer =
            writer.map_err(DaemonError::system("the thread that keeps hold-downs can't be started"))?.map(Arc::new);
        let served = Arc::clone(current);
        let read = move || {
            let served = served.load();
            (served.zones.is_empty(), served.awaited_zones)
        };
        let late_zones = anycast.health.late_zones;
        let secondaries = Arc::clone(secondaries);
        let shared = move || secondaries.fault(late_zones);
        let runner = PolicyRunner::new(
            &anycast.addresses,
            settings::policy_settings(anycast),
            (seed, &memory),
            (origin, announcers.clone()),
            ZonesSeen {
                read: Box::new(read),
                shared: Box::new(shared),
                wait_until: origin.elapsed() + anycast.zones_wait,
            },
            Arc::clone(&orders),
            writer.clone(),
        );
        let published = runner.published();
        let identity = current.load().settings.identity.clone();
        let wanted = settings::prover_settings(anycast, &addresses[first..], canary.nonce, identity);
        let threads = Arc::new(ProbedThreads { supervisor: running.supervisor(), first });
        let zones = Arc::new(ProbedZones::new(Arc::clone(current)));
        let prover = Prover::start(wanted, path, threads, zones, Arc::clone(&proof), origin, runner.into_on_round())
            .map_err(DaemonError::system("the prover can't be started"))?;
        Ok(Self {
            prover,
            announcers,
            speaker,
            orders,
            published,
            proof,
            origin,
            anycast: anycast.clone(),
            memory: writer,
        })
    }

    /// Withdraws every address, and answers what still comes for as long as the operator wants. Blocks.
    pub(super) fn leave(&self) {
        self.orders.is_stopping.store(true, Ordering::Release);
        if self.announcers.seen().iter().any(|address| address.is_announced) {
            thread::sleep(self.anycast.degrade_first);
        }
        // At once, not at the prover's next round, and even where the prover hangs.
        let gone = Decision { stance: Stance::Withdraw, reason: Reason::Stopping };
        self.announcers.want(&vec![gone; self.anycast.addresses.len()]);
        if !self.announcers.wait_withdrawn(LEAVE_MAX) {
            tracing::error!("an address is still announced; it goes with the process");
        }
        if self.memory.as_ref().is_some_and(|memory| !memory.is_finished_within(LEAVE_MAX)) {
            tracing::warn!("the next start will take this end for a crash: the prover or the state folder hangs");
        }
        thread::sleep(self.anycast.drain);
    }

    /// Returns a function that says at any time whether the process was of use in the last `period`.
    pub(super) fn is_useful(&self, period: Duration) -> impl Fn() -> bool + Send + use<> {
        let (reports, origin, least) = (self.prover.reports(), self.origin, self.anycast.health.workers_min.get());
        move || reports.load().is_useful(origin.elapsed(), period, least)
    }
}
