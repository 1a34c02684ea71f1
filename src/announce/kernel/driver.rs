//! The handle that others hold, and the thread that makes the kernel follow.
//!
//! The thread runs a tokio runtime of its own. It looks every [`LOOK_EVERY`] at what is wanted and proven, which costs
//! no system call, and talks to the kernel when there is something to do. What it does is read back, except for
//! renewals, of which the kernel says how they ended; the kernel's notifications are a reason to read; and all is read
//! every [`READ_EVERY`] though none came.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use tokio::sync::Notify;

use super::events::{Event, Events};
use super::netlink::Netlink;
use super::plan::{Action, Device, Freshness, Kernel, Layout, Link, Wanted};
use super::record::{AddressSeen, Interference, RouteRecord, Seen, Times};
use super::setup::{self, Devices};
use super::{Interface, KernelSettings, PRIORITY, RECEIVING_SUFFIX, RouteError};
use crate::announce::{Announcement, Announcer, Counters};
use crate::policy::{Decision, Proof, Stance};
use crate::sys::sched;
use crate::sys::tun::Tun;

/// What is called when the node can no longer be withdrawn but by the end of the process. It should not return; where
/// it does, the thread lets go of its devices and ends.
pub type Fatal = Box<dyn Fn(&str) + Send>;

/// The handle to the route thread. When it is dropped, all is withdrawn.
pub struct Driver {
    /// What both sides see.
    shared: Arc<Shared>,
    /// The thread; none in a dry run.
    thread: Option<JoinHandle<()>>,
    /// The receiving tun.
    probe: Option<Arc<Tun>>,
}

/// What the handle and the thread share.
struct Shared {
    /// What is wanted of each address, and since when.
    wanted: Mutex<Vec<(Stance, Duration)>>,
    /// Wakes the thread.
    wake: Notify,
    /// Whether the thread is to withdraw all and end.
    is_closing: AtomicBool,
    /// What the thread has published last.
    seen: ArcSwap<Seen>,
    /// Wakes who waits for something to be seen.
    published: (Mutex<()>, Condvar),
    /// What all moments count from.
    origin: Instant,
}

impl Driver {
    /// Takes the devices, purges what an earlier run left behind and adds the local routes: from here on packets for
    /// the addresses are ours. Announces nothing.
    ///
    /// `origin` is what the moments in `proof` count from; `proof` has one entry for each address. The devices are
    /// those of the calling thread's network namespace. When a withdrawal fails for [`WITHDRAWN_WITHIN`] or a device of
    /// ours is removed, the process ends with [`EXIT_FATAL`].
    ///
    /// # Errors
    /// See [`RouteError`]. Nothing is left behind then.
    pub fn start(settings: KernelSettings, origin: Instant, proof: Arc<Proof>) -> Result<Self, RouteError> {
        Self::start_with(settings, origin, proof, Box::new(exit))
    }

    /// Like [`Driver::start`], but calls `fatal` where that would end the process.
    ///
    /// # Errors
    /// See [`RouteError`].
    pub fn start_with(
        settings: KernelSettings,
        origin: Instant,
        proof: Arc<Proof>,
        fatal: Fatal,
    ) -> Result<Self, RouteError> {
        setup::check(&settings, Some(&proof))?;
        let is_tun = matches!(settings.interface, Interface::Tun(_));
        let probe_sources = is_tun.then_some(&settings.probe_sources[..]);
        let layout = Layout::new(&settings.addresses, &settings.announce, settings.kernel_route, probe_sources);
        let times = Times {
            lease: settings.lease,
            proof_age_max: RENEW_EVERY + settings.proof_slack,
            renew_every: RENEW_EVERY,
            withdrawn_within: WITHDRAWN_WITHIN,
        };
        let record = RouteRecord::new(&settings.addresses, &layout, times, settings.is_dry_run);
        let shared = Arc::new(Shared {
            wanted: Mutex::new(vec![(Stance::Withdraw, Duration::ZERO); settings.addresses.len()]),
            wake: Notify::new(),
            is_closing: AtomicBool::new(false),
            seen: ArcSwap::from_pointee(record.seen(settings.is_dry_run, 0)),
            published: (Mutex::new(()), Condvar::new()),
            origin,
        });
        if settings.is_dry_run {
            tracing::info!(interface = settings.interface.name(), "dry run: no device, address or route is touched");
            return Ok(Self { shared, thread: None, probe: None });
        }
        let dropped = Arc::new(AtomicU64::new(0));
        let devices = setup::take_devices(&settings, &dropped)?;
        let probe = devices.receiving.clone();
        let failed = |source| RouteError::Kernel { what: "a thread cannot be started".into(), source };
        let context = DriverContext { settings, layout, proof, shared: Arc::clone(&shared), devices, dropped };
        let (ready, started) = mpsc::sync_channel(1);
        let body = move || run(context, record, &ready, &fatal);
        let thread = std::thread::Builder::new().name("route".into()).spawn(body).map_err(failed)?;
        let mut driver = Self { shared, thread: Some(thread), probe };
        match started.recv() {
            Ok(Ok(())) => Ok(driver),
            Ok(Err(error)) => {
                driver.end();
                Err(error)
            }
            Err(mpsc::RecvError) => Err(RouteError::ThreadEnded),
        }
    }

    /// Says what is wanted of each address, in the configuration's order. Only what changed wakes the thread, so that
    /// this may be called as often as one likes. Never waits for the kernel.
    pub fn want(&self, wanted: &[Stance]) {
        let now = self.shared.origin.elapsed();
        let mut is_changed = false;
        for (kept, stance) in lock(&self.shared.wanted).iter_mut().zip(wanted) {
            if kept.0 != *stance {
                *kept = (*stance, now);
                is_changed = true;
            }
        }
        if !is_changed {
            return;
        }
        self.shared.wake.notify_one();
        if self.thread.is_none() {
            let mut seen = Seen::clone(&self.shared.seen.load());
            for (address, stance) in seen.addresses.iter_mut().zip(wanted) {
                if address.stance != *stance {
                    tracing::info!(address = %address.stands, ?stance, "dry run: nothing is done");
                    address.stance = *stance;
                }
            }
            self.shared.publish(seen);
        }
    }

    /// Returns what the driver last read from the kernel.
    #[must_use]
    pub fn seen(&self) -> Arc<Seen> {
        self.shared.seen.load_full()
    }

    /// Waits until what is seen is as `until` asks for, at most `timeout`; returns whether it is.
    pub fn wait(&self, timeout: Duration, until: impl Fn(&Seen) -> bool) -> bool {
        let (lock_of_published, published) = &self.shared.published;
        let guard = lock(lock_of_published);
        let is_missing = |_: &mut ()| !until(&self.shared.seen.load());
        let (_guard, result) =
            published.wait_timeout_while(guard, timeout, is_missing).unwrap_or_else(PoisonError::into_inner);
        !result.timed_out() || until(&self.shared.seen.load())
    }

    /// Returns the receiving tun, for probes to be written into and their replies to be read from; `None` without a tun
    /// and in a dry run. Whoever keeps it keeps the device.
    #[must_use]
    pub fn probe_tun(&self) -> Option<Arc<Tun>> {
        self.probe.clone()
    }

    /// Withdraws all, removes the local routes, ends the thread, and returns what was seen last.
    pub fn close(mut self) -> Arc<Seen> {
        self.end();
        self.seen()
    }

    /// Ends the thread.
    fn end(&mut self) {
        self.probe = None;
        self.shared.is_closing.store(true, Ordering::Release);
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there was caught and logged.
            let _ = thread.join();
        }
    }
}

impl Announcer for Driver {
    fn want(&self, wanted: &[Decision]) {
        Self::want(self, &wanted.iter().map(|decision| decision.stance).collect::<Vec<_>>());
    }

    fn seen(&self) -> Vec<Announcement> {
        Self::seen(self).addresses.iter().map(AddressSeen::announcement).collect()
    }

    fn wait_withdrawn(&self, timeout: Duration) -> bool {
        self.wait(timeout, |seen| seen.addresses.iter().all(|address| !address.is_announced))
    }

    fn counters(&self) -> Counters {
        Self::seen(self).counters
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Driver").field("seen", &self.seen()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Publishes what was seen.
    fn publish(&self, seen: Seen) {
        self.seen.store(Arc::new(seen));
        let _guard = lock(&self.published.0);
        self.published.1.notify_all();
    }
}

/// What the thread is given.
struct DriverContext {
    /// What it is to hold.
    settings: KernelSettings,
    /// How that is laid out.
    layout: Layout,
    /// When each address was last proven.
    proof: Arc<Proof>,
    /// What the handle sees.
    shared: Arc<Shared>,
    /// The devices; a tun ends with this.
    devices: Devices,
    /// How many packets were dropped.
    dropped: Arc<AtomicU64>,
}

/// The thread's own.
struct RouteThread {
    /// What it was given.
    context: DriverContext,
    /// What it remembers.
    record: RouteRecord,
    /// How it asks.
    netlink: Netlink,
    /// Its notifications.
    events: Events,
    /// What the kernel had when it was last read.
    kernel: Option<Kernel>,
    /// What was wanted when the kernel had all of that; nothing once it may have changed.
    settled: Option<Vec<Wanted>>,
    /// Whether to read at once.
    must_read: bool,
    /// Whether to read the tables besides `local` too.
    is_full: bool,
    /// When all was last read.
    read_fully: Duration,
    /// When the last count of passes began, and how many there were since.
    passes: (Duration, u32),
    /// When a step or the reading last failed: it is not tried again at once.
    failed: Option<Duration>,
}

/// The body of the thread: whatever goes wrong ends in `ready` or in `fatal`.
fn run(context: DriverContext, record: RouteRecord, ready: &mpsc::SyncSender<Result<(), RouteError>>, fatal: &Fatal) {
    if let Err(error) = sched::set_realtime(PRIORITY) {
        tracing::warn!(%error, "the route thread has no real-time class: grant CAP_SYS_NICE or LimitRTPRIO={PRIORITY}");
    }
    let work = AssertUnwindSafe(|| {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(source) => {
                let what = "the route thread's runtime cannot be made".into();
                // Who waits for it is still there: it waits without a limit.
                let _ = ready.send(Err(RouteError::Kernel { what, source }));
                return Ok(());
            }
        };
        runtime.block_on(async {
            match RouteThread::start(context, record).await {
                Ok(mut worker) => {
                    let _ = ready.send(Ok(()));
                    worker.work().await
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                    Ok(())
                }
            }
        })
    });
    match catch_unwind(work) {
        Ok(Ok(())) => {}
        Ok(Err(message)) => fatal(&message),
        Err(_) => fatal("the route thread panicked"),
    }
}

impl RouteThread {
    /// Purges what an earlier run left behind and adds what is always there.
    async fn start(context: DriverContext, record: RouteRecord) -> Result<Self, RouteError> {
        let failed = |what: &str, source| RouteError::Kernel { what: what.into(), source };
        let unopened = |error| failed("netlink cannot be opened", error);
        let devices = (context.devices.announcing_index, context.devices.receiving_index);
        let events = Events::open(devices).map_err(unopened)?;
        let mut netlink = Netlink::open(context.settings.lease, devices, &context.layout).map_err(unopened)?;
        setup::purge_leftovers(&context.settings, &context.devices, &mut netlink).await?;
        let mut worker = Self {
            context,
            record,
            netlink,
            events,
            kernel: None,
            settled: None,
            must_read: true,
            is_full: true,
            read_fully: Duration::ZERO,
            passes: (Duration::ZERO, 0),
            failed: None,
        };
        for _ in 0..TRIES_MAX {
            if let Err(message) = worker.pass().await {
                return Err(failed(&message, std::io::ErrorKind::Other.into()));
            }
            if worker.settled.is_some() {
                break;
            }
        }
        worker.publish();
        if worker.settled.is_none() {
            let error = worker.context.shared.seen.load().error.clone().map_or(String::new(), |(_, text)| text);
            return Err(failed("the local routes cannot be added", std::io::Error::other(error)));
        }
        Ok(worker)
    }

    /// Works until it is closed. The error is what the process is to end with.
    async fn work(&mut self) -> Result<(), String> {
        let mut closing: Option<Duration> = None;
        loop {
            if closing.is_none() && self.context.shared.is_closing.load(Ordering::Acquire) {
                closing = Some(self.now());
            }
            let is_new = self.take_wanted(closing.is_some());
            if is_new || self.is_work_due() {
                self.pass().await?;
                self.publish();
            }
            let is_late = closing.is_some_and(|since| self.now().saturating_sub(since) > CLOSED_WITHIN);
            if closing.is_some() && self.record.is_withdrawn() && (self.settled.is_some() || is_late) {
                self.leave().await;
                return Ok(());
            }
            let shared = Arc::clone(&self.context.shared);
            tokio::select! {
                () = shared.wake.notified() => {}
                event = self.events.next() => self.take_events(event)?,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Takes over what is wanted, which is nothing once it is to close; returns whether that is new.
    fn take_wanted(&mut self, is_closing: bool) -> bool {
        let mut wanted = lock(&self.context.shared.wanted);
        if is_closing {
            let now = self.context.shared.origin.elapsed();
            for entry in wanted.iter_mut().filter(|entry| entry.0 != Stance::Withdraw) {
                *entry = (Stance::Withdraw, now);
            }
        }
        self.record.want(&wanted)
    }

    /// Whether the kernel is to be read or changed now.
    fn is_work_due(&mut self) -> bool {
        let now = self.now();
        // Somebody who undoes what we do, without end, must not get all of a CPU that we have before everybody else;
        // nor may a kernel that goes on refusing.
        let (since, count) = self.passes;
        let is_often = now.saturating_sub(since) < RENEW_EVERY && count >= PASSES_MAX;
        if is_often || self.failed.is_some_and(|failed| now.saturating_sub(failed) < RETRY_EVERY) {
            return false;
        }
        if self.is_read_due(now) {
            return true;
        }
        let wanted = self.wanted(now);
        self.settled.as_ref() != Some(&wanted)
    }

    /// Whether the kernel is to be read before anything is planned.
    fn is_read_due(&self, now: Duration) -> bool {
        self.must_read || self.kernel.is_none() || now.saturating_sub(self.record.read()) >= READ_EVERY
    }

    /// Reads, plans and acts until there is nothing left to do, at most [`TRIES_MAX`] times; the rest is for the next
    /// pass.
    ///
    /// The error is what the process is to end with.
    async fn pass(&mut self) -> Result<(), String> {
        (self.settled, self.failed) = (None, None);
        let (since, count) = self.passes;
        let now = self.now();
        self.passes = if now.saturating_sub(since) < RENEW_EVERY { (since, count + 1) } else { (now, 1) };
        for _ in 0..TRIES_MAX {
            if self.is_read_due(self.now()) {
                self.read().await?;
            }
            let wanted = self.wanted(self.now());
            let Some(actions) = self.kernel.as_ref().map(|kernel| self.context.layout.plan(&wanted, kernel)) else {
                break;
            };
            if actions.is_empty() {
                self.settled = Some(wanted);
                break;
            }
            self.perform(actions).await;
            if self.failed.is_some() {
                // What was done besides is read back now, what failed is tried again later.
                self.read().await?;
                break;
            }
        }
        match self.record.overdue(self.now()) {
            Some(address) => Err(format!("{address} could not be withdrawn within {WITHDRAWN_WITHIN:?}")),
            None => Ok(()),
        }
    }

    /// Reads the kernel and notes what somebody else did. Where that fails, nothing is known any more. The error is
    /// that a device is gone.
    async fn read(&mut self) -> Result<(), String> {
        let now = self.now();
        self.must_read = false;
        let is_full = self.is_full || now.saturating_sub(self.read_fully) >= READ_FULLY_EVERY;
        let kernel = match self.netlink.read(is_full).await {
            Ok(kernel) => kernel,
            Err(error) => {
                let failure = format!("the kernel's addresses and routes cannot be read: {error}");
                tracing::warn!("{failure}");
                self.record.unread(self.now(), failure);
                (self.is_full, self.kernel, self.failed) = (true, None, Some(self.now()));
                return Ok(());
            }
        };
        if is_full {
            (self.is_full, self.read_fully) = (false, now);
        }
        let name = self.context.settings.interface.name();
        if kernel.announcing == Link::Gone {
            return Err(format!("the device `{name}` was removed, so that nothing can be announced"));
        }
        if kernel.receiving == Link::Gone {
            return Err(format!("the device `{name}{RECEIVING_SUFFIX}` was removed, so that nothing can be received"));
        }
        for interference in self.record.observe(self.now(), &kernel) {
            warn(interference);
        }
        self.kernel = Some(kernel);
        Ok(())
    }

    /// Takes steps and notes how each ended.
    async fn perform(&mut self, mut actions: Vec<Action>) {
        // Time may have passed since the plan, even very much of it: the process may have been stopped.
        actions.retain(|action| !matches!(action, Action::PutAddress { index, .. } if !self.is_fresh(*index)));
        let results = self.netlink.act(&actions).await;
        for (action, result) in actions.iter().zip(results) {
            let failure = result.err().map(|error| format!("{action:?}: {error}"));
            if let Some(failure) = &failure {
                tracing::warn!(%failure, "the kernel refused");
                self.failed = Some(self.now());
            }
            self.is_full |= !matches!(action, Action::PutAddress { .. } | Action::RemoveAddress { .. });
            if let Action::RemoveAddress { index, net } = action
                && failure.is_none()
                && self.record.is_wanted(*index)
                && self.context.layout.stands.contains(net)
            {
                warn(Interference::Lapsed(*net));
            }
            if !matches!(action, Action::PutAddress { is_renewal: true, .. }) || failure.is_some() {
                self.must_read = true;
                tracing::debug!(?action, "asked of the kernel");
            }
            let now = self.now();
            self.record.done(now, action, failure);
        }
    }

    /// Takes a notification of the kernel and those that came with it, so that what renewals lead to is looked at once.
    /// The error is that there will be no more.
    fn take_events(&mut self, first: Event) -> Result<(), String> {
        self.take_event(first)?;
        for _ in 0..EVENTS_MAX {
            let Some(event) = self.events.next().now_or_never() else { break };
            self.take_event(event)?;
        }
        Ok(())
    }

    /// Takes a notification of the kernel. The error is that there will be no more.
    fn take_event(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::AddressStands(net) => {
                let is_known = self.kernel.as_ref().is_some_and(|kernel| kernel.has(net));
                self.must_read |= !is_known && self.context.layout.stands.iter().any(|one| one.addr() == net.addr());
            }
            Event::Changed => (self.must_read, self.is_full) = (true, true),
            Event::Lost => {
                self.record.lost();
                (self.must_read, self.is_full) = (true, true);
            }
            Event::Ended => return Err("the kernel's notifications ended".into()),
        }
        Ok(())
    }

    /// Removes what is always there, as far as the kernel lets us: a tun takes its routes with it anyway.
    async fn leave(&mut self) {
        let routes = &self.context.layout.standing_routes;
        let steps: Vec<Action> = routes.iter().map(|route| Action::RemoveRoute(*route)).collect();
        for (step, result) in steps.iter().zip(self.netlink.act(&steps).await) {
            if let Err(error) = result {
                tracing::warn!(?step, %error, "a route of ours cannot be removed");
            }
        }
    }

    /// Publishes what was seen.
    fn publish(&self) {
        self.context
            .shared
            .publish(self.record.seen(self.settled.is_some(), self.context.dropped.load(Ordering::Relaxed)));
    }

    /// What the plan needs to know of each address.
    fn wanted(&mut self, now: Duration) -> Vec<Wanted> {
        let proof = &self.context.proof;
        self.record.wanted(now, (0..proof.len()).map(|index| proof.last(index)))
    }

    /// Whether an address's proof can pay for an announcement or a renewal at this moment.
    fn is_fresh(&self, index: usize) -> bool {
        let age = self.context.proof.last(index).map(|moment| self.now().saturating_sub(moment));
        self.record.freshness(age) == Freshness::Fresh
    }

    /// The time since the origin.
    fn now(&self) -> Duration {
        self.context.shared.origin.elapsed()
    }
}

/// Logs what somebody else did.
fn warn(interference: Interference) {
    match interference {
        Interference::AddressRemoved(address) => {
            tracing::warn!(%address, "somebody removed the address; it is put back")
        }
        Interference::Lapsed(address) => {
            tracing::warn!(%address, "the lease ran out: no proof was young enough to renew it")
        }
        Interference::RouteRemoved(prefix) => tracing::warn!(%prefix, "somebody removed our route; it is put back"),
        Interference::LinkDown(Device::Announcing) => tracing::warn!("somebody set the announcing device down"),
        Interference::LinkDown(Device::Receiving) => tracing::warn!("somebody set the receiving device down"),
    }
}

/// Ends the process: the kernel then withdraws what we could not.
pub fn exit(message: &str) {
    tracing::error!("{message}; the process ends so that the kernel withdraws the node");
    // Lines are written by another thread, which may hang itself: it is given a moment, and no more.
    std::thread::sleep(LAST_WORDS);
    std::process::exit(EXIT_FATAL);
}

/// Locks; a holder that panicked has changed nothing by halves.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long the last line may take to be written before the process ends.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// How often a lease is renewed.
pub const RENEW_EVERY: Duration = Duration::from_millis(200);
/// How long a withdrawal may take before the process ends for it.
pub const WITHDRAWN_WITHIN: Duration = Duration::from_secs(1);
/// What the process ends with then (`EX_SOFTWARE` of sysexits.h).
pub const EXIT_FATAL: i32 = 70;
/// How often it is looked whether something became due.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the kernel is read though nothing was done and no notification came.
const READ_EVERY: Duration = Duration::from_secs(5);
/// The same for tables that may be long.
const READ_FULLY_EVERY: Duration = Duration::from_secs(60);
/// How long what failed is not tried again.
const RETRY_EVERY: Duration = Duration::from_millis(200);
/// How many notifications are taken before anything else is looked at.
const EVENTS_MAX: usize = 256;
/// How often one pass reads, plans and acts.
const TRIES_MAX: usize = 4;
/// The most passes within [`RENEW_EVERY`] that are not for a new wish.
const PASSES_MAX: u32 = 20;
/// How long the end may wait for the kernel when nothing is announced any more.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);
