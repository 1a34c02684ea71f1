//! The wiring: lock → load → bind → serve → prove → announce, then signals and the control socket until it is time to
//! stop: withdraw → go on answering → close.
//!
//! ```text
//!   main      one current-thread runtime: signals, control clients     ── Command ──▶ this loop
//!   net-admin holds CAP_NET_ADMIN until it has bound sockets and started `route` (see net_admin)
//!   reload    reads zones and publishes snapshots (see reloader)
//!   udp-N     the workers, tcp-N the streams (see serve)
//!   notify, a task of main: tells other servers of changes (see notifier)
//!   prover    asks the workers and judges (see node, health); route: makes the kernel follow (see announce)
//!   log       writes lines; log-counts: says how often they came
//!   hold-down writes what outlives a restart (see hold_down)
//!   watchdog: keeps the service manager informed; stall-watch: logs where `main` hangs (see control_plane)
//! ```
//!
//! Owns the order of things and the life of the process. Decides nothing about answers, files or sockets.

mod banner;
mod control_plane;
mod drain;
mod error;
pub mod firewall;
mod hold_down;
pub mod host;
mod jobs;
mod listen;
mod logging;
mod net_admin;
mod node;
mod notifier;
mod panics;
mod parents;
mod reloader;
mod resolver;
mod scoped;
mod source;
mod state;
mod status;
mod tls;
mod transfers;
mod watchdog;
mod zones;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::admin::http::Source;
use crate::admin::socket::{ControlError, ControlSocket};
use crate::admin::{self, Command, reply};
use crate::config::{Anycast, Config, ZoneSources};
use crate::fault::report::Style;
use crate::load::{Change, Loader, ReloadError, Report, Scope, ZoneReport};
use crate::metrics::Metrics;
use crate::serve::{Bound, Running};
use crate::sys::lock::FileLock;
use crate::sys::{limits, memory};
use crate::wire::Name;
use crate::zone::hash::Seed;
pub use error::DaemonError;
pub use source::ConfigSource;

use control_plane::ControlPlaneWatchdog;
use drain::Drain;
use host::HostError;
use listen::bind;
use logging::Output;
use net_admin::NetAdminThread;
use node::{Common, Companion, Node, Prepared};
use reloader::Reloader;
use scoped::ScopedListeners;
use tls::SpokenTls;
use tracing_appender::non_blocking::NonBlocking;
use transfers::KeptZones;
use watchdog::Watchdog;
use zones::ZoneTable;

/// Commands that wait for the loop; clients wait beyond that.
const COMMANDS_MAX: usize = 64;

/// Serves until it is asked to stop.
///
/// # Errors
/// [`DaemonError`].
pub fn run(source: ConfigSource) -> Result<(), DaemonError> {
    let config = source.load()?;
    let no_thread = DaemonError::system("the thread that keeps CAP_NET_ADMIN can't be started");
    let privileged = (config.anycast.is_some() || !config.companions.is_empty())
        .then(NetAdminThread::start)
        .transpose()
        .map_err(no_thread)?;
    let output = logging::start(config.log);
    let privileged = privileged.map(|(privileged, kept)| {
        if let Some(error) = kept {
            tracing::warn!(%error, "CAP_NET_ADMIN stays with every thread");
        }
        Arc::new(privileged)
    });
    panics::install();
    if !config.may_dump_core {
        limits::forbid_core().unwrap_or_else(|error| tracing::warn!(%error, "a crash may leave a core"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(DaemonError::system("the control plane can't be started"))?;
    let result = runtime.block_on(live(source, config, privileged, &output));
    // What still loads or closes is not waited for: the process ends anyway.
    runtime.shutdown_background();
    result
}

/// The signals that ask for the end.
struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    /// Takes the signals over; from here on they end nothing by themselves.
    fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one.
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The whole life of a server.
async fn live(
    source: ConfigSource,
    mut config: Config,
    privileged: Option<Arc<NetAdminThread>>,
    output: &Output,
) -> Result<(), DaemonError> {
    memory::map_big_blocks();
    let no_signals = DaemonError::system("signals can't be listened to");
    let mut end = EndSignals::install().map_err(&no_signals)?;
    let hangup = signal(SignalKind::hangup()).map_err(&no_signals)?;
    let device = config.anycast.as_ref().map(look_at_host).transpose()?;
    if let (Some(anycast), Some(device)) = (&config.anycast, device) {
        let canary = node::canary(anycast, device).map_err(DaemonError::system("no random numbers"))?;
        config.settings.canary = Some(canary);
    }
    let is_strict = config.is_strict;
    let _state = lock_state(&config)?;
    let drain = Drain::open(config.state_dir.as_deref(), is_strict)?;
    let control = claim_control(&config)?;
    let (sender, mut commands) = mpsc::channel(COMMANDS_MAX);
    let counters: Arc<OnceLock<Arc<Metrics>>> = Arc::default();
    if let Some(listener) = listen::bind_admin(&config)? {
        let shown = show_pages(listener, sender.clone(), Arc::clone(&counters));
        shown.map_err(DaemonError::system("the pages over HTTP"))?;
    }
    let seed = random_seed().map_err(DaemonError::system("no random numbers"))?;
    let (read, writer) = (config.clone(), output.writer());
    let loading = move || load_all(Loader::new(seed, Style::Plain), &read, &writer);
    let mut startup = Startup { end: &mut end, commands: &mut commands, workers: config.workers.get(), drain: &drain };
    // Nothing is served yet, so there is nothing to finish.
    let Some((loader, kept)) = startup.wait("zones are being loaded", loading).await? else { return Ok(()) };

    let current = Arc::new(ArcSwap::new(reloader::snapshot(&loader, &config, None)));
    let tls = SpokenTls::new(&config)?;
    let bound = bind_all(&config, &tls, privileged.as_deref())?;
    let (addresses, tls_addresses) = (bound.local_addresses(), bound.tls_addresses());
    let running = bound.start(Arc::clone(&current)).map_err(DaemonError::system("the workers can't be started"))?;
    counters.get_or_init(|| Arc::clone(running.metrics()));
    let host = (device, privileged);
    let announced = announce(&mut startup, &config, host, (&addresses, &running, &current, &kept.health)).await?;
    let Some((node, companions)) = announced else { return Ok(()) };
    banner::show(output, &config, (&addresses, &tls_addresses), loader.registry());
    let _watchdog = Watchdog::start(node.as_ref()).map_err(DaemonError::system("the watchdog can't be started"))?;

    let mut server = Server {
        scoped: ScopedListeners::new(&config, Arc::clone(&current), Arc::clone(running.metrics())),
        started: Instant::now(),
        listen: shown(&addresses, &tls_addresses),
        workers: config.workers.get(),
        drain,
        node,
        companions,
        reloader: Reloader::start(loader, source, (config, tls), current, kept, running.metrics())
            .map_err(DaemonError::system("the reloading thread can't be started"))?,
        running,
        watchdog: ControlPlaneWatchdog::start().map_err(DaemonError::system("the control plane can't be watched"))?,
    };
    listen_for_commands(control.as_ref(), sender).map_err(DaemonError::system("the control socket"))?;
    server.attend(hangup, &mut end, commands).await;
    watchdog::notify_stopping();
    server.end(end).await?;
    tracing::info!("stopped");
    Ok(())
}

/// What a node proves: where it listens, who serves, what is served, and how zones from primaries are.
type Serving<'a> =
    (&'a [SocketAddr], &'a Running, &'a Arc<ArcSwap<crate::answer::Snapshot>>, &'a Arc<transfers::SecondaryHealth>);

/// Takes the devices, and announces what is proven from here on, the server's own addresses and those of companions;
/// `None` where the end is asked for first.
async fn announce(
    startup: &mut Startup<'_>,
    config: &Config,
    (device, privileged): (Option<host::Device>, Option<Arc<NetAdminThread>>),
    (addresses, running, current, health): Serving<'_>,
) -> Result<Option<(Option<Node>, Vec<Companion>)>, DaemonError> {
    let mut prepared = Prepared::all(&config.companions, Instant::now());
    let mut node = None;
    if let Some((anycast, host)) = config.anycast.clone().zip(device.zip(privileged.clone())) {
        let (companions, is_strict) = (config.companions.clone(), config.is_strict);
        let taking = move || node::take(&anycast, &companions, host, is_strict);
        let devices = startup.wait("the anycast device can't be had yet", taking).await?;
        let Some(mut devices) = devices else { return Ok(None) };
        prepared = std::mem::take(&mut devices.prepared);
        node = Some(Node::start(config, devices, addresses, running, current, startup.drain.flag(), health)?);
    }
    let companions = start_companions(startup, config, privileged, prepared).await?;
    Ok(companions.map(|companions| (node, companions)))
}

/// Takes the devices of the companions, one by one; `None` where the end is asked for first.
async fn start_companions(
    startup: &mut Startup<'_>,
    config: &Config,
    privileged: Option<Arc<NetAdminThread>>,
    prepared: Vec<Prepared>,
) -> Result<Option<Vec<Companion>>, DaemonError> {
    let mut companions = Vec::new();
    let Some(privileged) = privileged else { return Ok(Some(companions)) };
    let common = Arc::new(Common {
        privileged,
        is_strict: config.is_strict,
        drain: startup.drain.flag(),
        state_dir: config.state_dir.clone(),
    });
    for (settings, prepared) in config.companions.iter().cloned().zip(prepared) {
        let common = Arc::clone(&common);
        let starting = move || Companion::start(settings, prepared, &common);
        let Some(companion) = startup.wait("the device of a companion can't be had yet", starting).await? else {
            return Ok(None);
        };
        companions.push(companion);
    }
    Ok(Some(companions))
}

/// Where it listens, as the status shows it.
fn shown(addresses: &[SocketAddr], tls_addresses: &[SocketAddr]) -> Vec<String> {
    let over_tls = tls_addresses.iter().map(|address| format!("{address} (TLS)"));
    addresses.iter().map(ToString::to_string).chain(over_tls).collect()
}

/// Locks the state folder, if there is one.
fn lock_state(config: &Config) -> Result<Option<FileLock>, DaemonError> {
    let Some(path) = config.state_dir.as_deref() else { return Ok(None) };
    state::lock(path, config.is_strict).map_err(|cause| DaemonError::State { path: path.to_owned(), cause })
}

/// Binds all addresses, with the privilege of the thread that has CAP_NET_ADMIN where there is one.
fn bind_all(config: &Config, tls: &SpokenTls, privileged: Option<&NetAdminThread>) -> Result<Bound, DaemonError> {
    let Some(privileged) = privileged else { return bind(config, tls) };
    let (config, tls) = (config.clone(), tls.clone());
    privileged.run(move || bind(&config, &tls)).map_err(DaemonError::system("the sockets can't be bound"))?
}

/// Logs what on this host breaks anycast, and refuses a device that does not go with the configuration.
fn look_at_host(anycast: &Anycast) -> Result<host::Device, HostError> {
    let root = Path::new("/");
    let device = host::device(root, anycast)?;
    for warning in host::warnings(&host::read(root), anycast, device) {
        tracing::warn!("{warning}");
    }
    Ok(device)
}

/// Takes the control socket. One that somebody else has, or that can't be meant, is an error; whatever else is wrong
/// with the folder or the disk is no reason not to serve.
fn claim_control(config: &Config) -> Result<Option<ControlSocket>, DaemonError> {
    match config.control.as_deref().map(ControlSocket::claim) {
        None => Ok(None),
        Some(Ok(control)) => Ok(Some(control)),
        Some(Err(error @ (ControlError::Io { .. } | ControlError::Foreign(_)))) if !config.is_strict => {
            tracing::error!("{error}; served without it: `fated status`, drain and stop can't be had, signals can");
            Ok(None)
        }
        Some(Err(error)) => Err(error.into()),
    }
}

/// Shows the pages over HTTP from now on, while zones are loaded too.
fn show_pages(
    listener: std::net::TcpListener,
    commands: mpsc::Sender<Command>,
    counters: Arc<OnceLock<Arc<Metrics>>>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    tracing::info!("metrics and status on http://{}/", listener.local_addr()?);
    let samples = Box::new(move || counters.get().map(|counters| counters.samples()).unwrap_or_default());
    tokio::spawn(admin::http::serve(listener, Source { commands, samples }));
    Ok(())
}

/// What is attended to while something else is waited for at the start.
struct Startup<'a> {
    end: &'a mut EndSignals,
    commands: &'a mut mpsc::Receiver<Command>,
    workers: usize,
    drain: &'a Drain,
}

impl Startup<'_> {
    /// Waits for work that blocks, and answers those who ask meanwhile that `what` keeps it; `None` where the end is
    /// asked for first.
    async fn wait<T: Send + 'static>(
        &mut self,
        what: &'static str,
        work: impl FnOnce() -> Result<T, DaemonError> + Send + 'static,
    ) -> Result<Option<T>, DaemonError> {
        let time = watchdog::ask_for_time();
        let done = tokio::select! {
            done = spawn_blocking(work) => done.map_err(|error| DaemonError::System { what, cause: error.into() })?,
            () = self.end.recv() => return Ok(None),
            () = attend_waiting(self.commands, what, self.workers, self.drain) => return Ok(None),
        };
        drop(time);
        done.map(Some)
    }
}

/// Replies while something keeps the server; returns when the end is asked for. Only the pages over HTTP ask that
/// early.
async fn attend_waiting(commands: &mut mpsc::Receiver<Command>, what: &str, workers: usize, drain: &Drain) {
    let ready = || reply::Readiness { is_ready: false, reason: what.to_owned() };
    while let Some(command) = commands.recv().await {
        // Who asked may be gone.
        match command {
            Command::Status(reply) => {
                let mut status = status::empty(workers, drain.is_drained());
                status.ready = ready();
                let _ = reply.send(status);
            }
            Command::Zones(.., reply) => drop(reply.send(reply::ZonePage::default())),
            Command::Readiness(reply) => drop(reply.send(ready())),
            Command::Reload(_, reply) => drop(reply.send(Err(what.to_owned()))),
            Command::Zone(.., reply) => drop(reply.send(Err(what.to_owned()))),
            Command::Export(_, reply) => drop(reply.send(Err(what.to_owned()))),
            Command::Notify(_, reply) => drop(reply.send(Err(what.to_owned()))),
            // Nothing is done about it, and no reply says so.
            Command::Drain(_, reply) => drop(reply),
            Command::Stop => return,
        }
    }
}

/// Reads all zone files, and what was kept of zones from primaries.
fn load_all(loader: Loader, config: &Config, output: &NonBlocking) -> Result<(Loader, KeptZones), DaemonError> {
    let mut loader = load(loader, &config.zones, config.is_strict, output)?;
    let kept = KeptZones::restore(config.state_dir.as_deref(), &config.zones, &mut loader);
    Ok((loader, kept))
}

/// Reads all zones and shows their faults. Refuses to go on with errors only where that is wanted: else one broken file
/// of many would keep a node dark after a power cut.
fn load(
    mut loader: Loader,
    zones: &Arc<ZoneSources>,
    is_strict: bool,
    output: &NonBlocking,
) -> Result<Loader, DaemonError> {
    let report = read_zones(&mut loader, zones)?;
    show_faults(&report, output);
    settle_memory();
    match (report.broken().count(), report.zones.len()) {
        (0, _) => {}
        (broken, all) if is_strict => return Err(DaemonError::Zones { broken, all }),
        (broken, all) => {
            tracing::error!(
                "{broken} of {all} zones can't be served: they are answered with SERVFAIL \
                 until they are repaired and reloaded"
            );
            if broken == all {
                tracing::error!("no zone can be served: nothing is announced");
            }
        }
    }
    Ok(loader)
}

/// Reads all zones.
///
/// # Errors
/// [`DaemonError::NothingToServe`] where there is no zone at all, [`DaemonError::Load`] where the folder can't be read.
pub fn read_zones(loader: &mut Loader, zones: &Arc<ZoneSources>) -> Result<Report, DaemonError> {
    let report = match loader.reload(zones, Scope::All, false) {
        Err(ReloadError::List(error)) if error.cause.kind() == io::ErrorKind::NotFound => {
            return Err(DaemonError::NothingToServe(listen::how_to_begin(&error.path, "there is no such folder")));
        }
        report => report?,
    };
    match &zones.dir {
        Some(folder) if report.zones.is_empty() && zones.secondaries.is_empty() && zones.catalogs.is_empty() => {
            Err(DaemonError::NothingToServe(listen::how_to_begin(folder, "it holds no NAME.zone file")))
        }
        _ => Ok(report),
    }
}

/// Writes the faults of zone files as they are, for people: they have lines of their own.
fn show_faults(report: &Report, output: &NonBlocking) {
    /// The most zone files whose faults are shown at the start.
    const FILES_MAX: usize = 50;
    let mut faulty: Vec<&ZoneReport> = report.zones.iter().filter(|zone| !zone.faults.is_empty()).collect();
    // Broken ones first: they are why the start fails.
    faulty.sort_by_key(|zone| zone.change != Change::Refused);
    for zone in faulty.iter().take(FILES_MAX) {
        logging::say(output, &format!("{}\n", zone.faults.trim_end()));
    }
    if let Some(more) = faulty.len().checked_sub(FILES_MAX).filter(|more| *more > 0) {
        logging::say(output, &format!("… and {more} more zone files with faults; `fated check` shows all\n"));
    }
}

/// Gives back what loading took and puts what is loaded into huge pages: answers wait less for what is where, and a
/// crash gives the route back sooner.
fn settle_memory() {
    let start = Instant::now();
    memory::trim_heap();
    let given_back = start.elapsed();
    match memory::use_huge_pages() {
        Ok(octets) => tracing::debug!(?given_back, octets, took = ?start.elapsed(), "memory was given back and packed"),
        Err(error) => tracing::warn!(%error, "memory can't be put into huge pages"),
    }
}

/// Starts the control socket, if there is one.
fn listen_for_commands(control: Option<&ControlSocket>, commands: mpsc::Sender<Command>) -> io::Result<()> {
    if let Some(control) = control {
        let listener = UnixListener::from_std(control.listener()?)?;
        tokio::spawn(admin::server::serve(listener, commands));
    }
    Ok(())
}

/// A key for hashing names that nobody outside can guess.
///
/// # Errors
/// The system has no random numbers.
pub fn random_seed() -> io::Result<Seed> {
    Ok(Seed([getrandom::u64().map_err(io::Error::other)?, getrandom::u64().map_err(io::Error::other)?]))
}

/// A server at work.
struct Server {
    started: Instant,
    listen: Vec<String>,
    workers: usize,
    drain: Drain,
    /// What holds the anycast addresses, where there are any.
    node: Option<Node>,
    /// Other services of this host.
    companions: Vec<Companion>,
    reloader: Reloader,
    running: Running,
    /// What listens at addresses whose devices came later.
    scoped: ScopedListeners,
    /// Whether the loop below has its turn.
    watchdog: ControlPlaneWatchdog,
}

impl Server {
    /// Does what signals and control clients ask, until the end is asked for.
    async fn attend(&mut self, mut hangup: Signal, end: &mut EndSignals, mut commands: mpsc::Receiver<Command>) {
        loop {
            tokio::select! {
                Some(()) = hangup.recv() => self.reloader.ask(Scope::All, false, None),
                () = end.recv() => return,
                () = self.scoped.due() => self.scoped.follow(),
                Some(command) = commands.recv() => match command {
                    Command::Status(reply) => {
                        // Who asked may be gone; so below.
                        let _ = reply.send(self.status());
                    }
                    Command::Zones(from, zones_max, reply) => {
                        let _ = reply.send(self.reloader.table().page(from, zones_max));
                    }
                    Command::Reload(admin::Reload { zone, is_forced }, reply) => {
                        let scope = zone.map_or(Scope::All, |zone| Scope::Zone(*zone));
                        self.reloader.ask(scope, is_forced, Some(reply));
                    }
                    Command::Readiness(reply) => {
                        let _ = reply.send(self.readiness(&self.reloader.table(), self.anycast().as_ref()));
                    }
                    Command::Zone(verb, name, reply) => {
                        self.reloader.ask_transfers(verb, Name::as_ref(&name).into(), reply);
                    }
                    Command::Notify(name, reply) => {
                        let _ = reply.send(self.reloader.notify(Name::as_ref(&name)));
                    }
                    Command::Export(name, reply) => {
                        let table = self.reloader.table();
                        spawn_blocking(move || reply.send(zones::export(&table.registry, Name::as_ref(&name))));
                    }
                    Command::Drain(is_drained, reply) => {
                        let is_announcing = self.node.is_some() || !self.companions.is_empty();
                        let _ = reply.send(self.drain.set(is_drained, is_announcing));
                    }
                    Command::Stop => return,
                },
            }
        }
    }

    /// How the anycast addresses are.
    fn anycast(&self) -> Option<reply::Anycast> {
        self.node.as_ref().map(Node::status)
    }

    /// Whether the server is ready for queries.
    fn readiness(&self, table: &ZoneTable, anycast: Option<&reply::Anycast>) -> reply::Readiness {
        let mut readiness = reply::Readiness::judge(table.counts(), self.drain.is_drained(), anycast);
        readiness.reason.push_str(&table.catalog_faults());
        readiness
    }

    /// How the server is.
    fn status(&self) -> reply::Status {
        let table = self.reloader.table();
        let last_reload = table.last.as_ref().map(|(ended, took, outcome)| reply::LastReload {
            age_s: ended.elapsed().as_secs(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            outcome: outcome.as_ref().map(reply::Reload::in_short).map_err(String::clone),
        });
        let anycast = self.anycast();
        reply::Status {
            zone_counts: table.counts(),
            uptime_s: self.started.elapsed().as_secs(),
            listen: self.listen.iter().cloned().chain(self.scoped.addresses()).collect(),
            zones: table.some_zones(),
            catalogs: table.catalogs(),
            ready: self.readiness(&table, anycast.as_ref()),
            anycast,
            companions: self.companions.iter().map(Companion::status).collect(),
            secondaries: self.reloader.secondaries(),
            certificate_s: self.reloader.certificate_s(),
            last_reload,
            control_plane: self.watchdog.status(),
            counters: self.running.metrics().samples().iter().map(status::counter).collect(),
            ..status::empty(self.workers, self.drain.is_drained())
        }
    }

    /// Withdraws, answers what still comes, closes everything; a second signal ends the waiting.
    async fn end(self, mut end: EndSignals) -> Result<(), DaemonError> {
        let Self { node, companions, running, scoped, .. } = self;
        let _time = watchdog::ask_for_time();
        let stopping = spawn_blocking(move || {
            let began = Instant::now();
            companions.iter().for_each(Companion::withdraw);
            if let Some(node) = &node {
                node.leave();
            }
            let drain = companions.iter().map(Companion::wait_withdrawn).max().unwrap_or_default();
            std::thread::sleep(drain.saturating_sub(began.elapsed()));
            drop(scoped);
            running.stop();
        });
        tokio::select! {
            stopped = stopping => {
                stopped.map_err(|error| DaemonError::System { what: "stopping", cause: error.into() })
            }
            () = end.recv() => Err(DaemonError::Hurried),
        }
    }
}
