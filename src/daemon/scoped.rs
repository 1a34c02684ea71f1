//! Link-local addresses to listen on whose devices come later, go, or come back with another number (RFC 4007 §6).
//!
//! A socket is bound to the number of a device, so one that came back needs a new socket. Each such address gets
//! threads of its own then, beside those that were started with the server.

use std::future;
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::spawn_blocking;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::answer::Snapshot;
use crate::config::{Config, ScopedListen};
use crate::metrics::{BlockRange, Metrics};
use crate::serve::{self, ListenAddress, Running, TcpLimits};
use crate::sys::tun::index_of;

/// How often devices are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The most TCP clients of one address whose device came later.
const CLIENTS_MAX: usize = 256;

/// Those addresses.
pub(super) struct ScopedListeners {
    listeners: Vec<ScopedListener>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    metrics: Arc<Metrics>,
    limits: TcpLimits,
    /// When devices are looked for; never where no address names one.
    looks: Option<Interval>,
}

/// One of them.
struct ScopedListener {
    wanted: ScopedListen,
    /// The threads, once the device came.
    running: Option<Running>,
    /// Where they count; kept for those that follow.
    blocks: Option<BlockRange>,
    /// Whether it was logged why it can't be listened on.
    is_logged: bool,
}

impl ScopedListeners {
    /// Follows the devices of a configuration. What its server listens on already is left to it.
    pub(super) fn new(config: &Config, snapshot: Arc<ArcSwap<Snapshot>>, metrics: Arc<Metrics>) -> Self {
        for awaited in config.scoped.iter().filter(|wanted| wanted.index.is_none()) {
            tracing::error!(
                "`server.listen` [{}%{device}]:{}: this host has no device `{device}` yet; it is answered as soon as \
                there is one",
                awaited.address,
                awaited.port,
                device = awaited.device,
            );
        }
        let listener = |wanted: &ScopedListen| ScopedListener {
            wanted: wanted.clone(),
            running: None,
            blocks: None,
            is_logged: false,
        };
        let looks = (!config.scoped.is_empty()).then(|| {
            let mut looks = interval(LOOK_EVERY);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            looks
        });
        let limits = TcpLimits { clients_max: config.tcp.clients_max.min(CLIENTS_MAX), ..config.tcp };
        Self { listeners: config.scoped.iter().map(listener).collect(), snapshot, metrics, limits, looks }
    }

    /// Waits until devices are to be looked for.
    pub(super) async fn due(&mut self) {
        match &mut self.looks {
            Some(looks) => drop(looks.tick().await),
            None => future::pending().await,
        }
    }

    /// Listens where a device has come or has another number, and stops where it is gone.
    pub(super) fn follow(&mut self) {
        for listener in &mut self.listeners {
            let index = index_of(&listener.wanted.device);
            if index == listener.wanted.index {
                continue;
            }
            if let Some(old) = listener.running.take() {
                // Its threads take a moment to end.
                spawn_blocking(|| old.stop());
            }
            let Some(new) = index else {
                tracing::error!("{}: the device is gone; it is answered as soon as it is back", listener.shown());
                listener.wanted.index = None;
                continue;
            };
            match listener.start(new, &self.snapshot, &self.metrics, &self.limits) {
                Ok(running) => {
                    listener.running = Some(running);
                    (listener.wanted.index, listener.is_logged) = (index, false);
                    tracing::info!("{}: the device is there; it is answered from now on", listener.shown());
                }
                Err(error) if !listener.is_logged => {
                    listener.is_logged = true;
                    tracing::error!("{}: {error}; it is tried again each second", listener.shown());
                }
                Err(_) => {}
            }
        }
    }

    /// The addresses that are listened on by threads of their own, as people write them.
    pub(super) fn addresses(&self) -> impl Iterator<Item = String> + '_ {
        self.listeners.iter().filter(|listener| listener.running.is_some()).map(ScopedListener::shown)
    }
}

impl ScopedListener {
    /// The address as people write it.
    fn shown(&self) -> String {
        format!("[{}%{}]:{}", self.wanted.address, self.wanted.device, self.wanted.port)
    }

    /// Listens on the device with this number.
    ///
    /// # Errors
    /// What a person can act on.
    fn start(
        &mut self,
        index: u32,
        snapshot: &Arc<ArcSwap<Snapshot>>,
        metrics: &Arc<Metrics>,
        limits: &TcpLimits,
    ) -> Result<Running, String> {
        let address = SocketAddr::from(SocketAddrV6::new(self.wanted.address, self.wanted.port, 0, index));
        // A device that has just come may not have its address yet.
        let wanted = ListenAddress { address, may_be_absent: true };
        let bound = serve::bind(&[wanted], 1, limits).map_err(|error| error.to_string())?;
        let blocks = match self.blocks.clone() {
            Some(blocks) => {
                blocks.udp.clone().for_each(|worker| metrics.hand_over(worker, Arc::default()));
                blocks.tcp.clone().for_each(|thread| metrics.hand_over_tcp(thread, Arc::default()));
                blocks
            }
            None => self.blocks.insert(metrics.extend(1, bound.tcp_thread_count())).clone(),
        };
        bound.start_counting(Arc::clone(snapshot), Arc::clone(metrics), blocks).map_err(|error| error.to_string())
    }
}
