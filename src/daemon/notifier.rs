//! The task that tells other servers of changes, over UDP. Sockets are open, on ports of the kernel's choice, only
//! while an answer is waited for.
//!
//! Whoever publishes a version calls [`Notifications::tell`], which never waits. What is sent, how often, and which
//! replies count is decided by [`Notifier`].

use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep_until;

use crate::answer::Snapshot;
use crate::metrics::Metrics;
use crate::serve::unix_now;
use crate::transfer::{Notified, Notifier, NotifyFault, NotifyOutcome, NotifyStep, Occasion, Peer, Soa, Subject};
use crate::wire::{NameRef, SharedName, Type};
use crate::zone::Zone;
use crate::zone::hash::LookupName;

/// Room for a reply: the question, OPT and TSIG.
const REPLY_BYTES_MAX: usize = 4096;
/// The most faults that are remembered so that they are reported once.
const TOLD_MAX: usize = 1000;

/// A handle on the task.
#[derive(Clone)]
pub(super) struct Notifications(Arc<Shared>);

/// What the task and those who publish share.
struct Shared {
    notifier: Mutex<Notifier>,
    /// Who waits for what becomes of a notification to a parent.
    awaited: Mutex<Awaited>,
    /// Something is to be sent.
    wake: Notify,
    metrics: Arc<Metrics>,
}

/// Those who wait, by zone, type and server; no more than there are notifications.
type Awaited = HashMap<(SharedName, Type, SocketAddr), oneshot::Sender<NotifyOutcome>>;

impl Notifications {
    /// Starts the task on the runtime that this is called from.
    pub(super) fn start(metrics: Arc<Metrics>) -> Self {
        let shared =
            Arc::new(Shared { notifier: Mutex::default(), awaited: Mutex::default(), wake: Notify::new(), metrics });
        tokio::spawn(run(Arc::clone(&shared)));
        Self(shared)
    }

    /// Tells those who want to know which versions of these zones are served in `published`. Returns how many are not
    /// told, since too many others are.
    pub(super) fn tell<'a>(
        &self,
        published: &Snapshot,
        zones: impl Iterator<Item = NameRef<'a>>,
        occasion: Occasion,
    ) -> usize {
        let mut all_dropped = 0;
        for name in zones {
            let servers = &published.transfers.settings(name).notify;
            if let Some(zone) = served(published, name).filter(|_| !servers.is_empty()) {
                let (name, soa) = (SharedName::from(zone.apex()), Arc::new(Soa::of(zone)));
                // Locked for each: the task must not wait for a thread that stands back while it tells of very many.
                let dropped = self.0.lock().tell(&name, &soa, servers, occasion);
                self.0.metrics.notify.dropped.add(dropped as u64);
                all_dropped += dropped;
                self.0.wake.notify_one();
            }
        }
        all_dropped
    }

    /// Tells a parent's server that the zone has other records of this type, and waits for what becomes of it; `None`
    /// where it is not told, since too many others are, or is told anew meanwhile.
    pub(super) async fn tell_parent(
        &self,
        zone: &SharedName,
        rtype: Type,
        address: SocketAddr,
    ) -> Option<NotifyOutcome> {
        let (outcome, awaited) = oneshot::channel();
        let key = (zone.clone(), rtype, address);
        self.0.awaited().insert(key.clone(), outcome);
        let (subject, server) = (Subject::Delegation(rtype), Peer { address, key: None, tls: None });
        let is_told = self.0.lock().tell_of(zone, &subject, &server, Occasion::Change);
        self.0.metrics.notify.dropped.add(u64::from(!is_told));
        self.0.wake.notify_one();
        if !is_told {
            self.0.awaited().remove(&key);
        }
        awaited.await.ok()
    }
}

/// The zone of that name, if it is served.
pub(super) fn served<'a>(snapshot: &'a Snapshot, name: NameRef<'_>) -> Option<&'a Arc<Zone>> {
    let apex = snapshot.zones.search(&LookupName::new(name), usize::MAX)?;
    apex.zone().filter(|zone| zone.apex() == name)
}

impl Shared {
    /// The notifier, which is whole after every step.
    fn lock(&self) -> MutexGuard<'_, Notifier> {
        self.notifier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who waits, likewise.
    fn awaited(&self) -> MutexGuard<'_, Awaited> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the end of a notification: counts it, and says it to who waits for it, or logs it where that is news.
    fn conclude(&self, notified: &Notified, reported: &mut Reported) {
        let counters = &self.metrics.notify;
        match notified.outcome {
            NotifyOutcome::Acknowledged => counters.acknowledged.add(1),
            NotifyOutcome::Refused(_) => counters.refused.add(1),
            NotifyOutcome::GivenUp(_) => counters.given_up.add(1),
        }
        let key = (notified.zone.clone(), notified.rtype, notified.server);
        match self.awaited().remove(&key) {
            // Who asked may be gone.
            Some(awaited) => drop(awaited.send(notified.outcome)),
            None => reported.note(notified),
        }
    }
}

/// The sockets, as far as they are needed.
#[derive(Default)]
struct Sockets {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

impl Sockets {
    /// Sends a datagram.
    async fn send(&mut self, server: SocketAddr, message: &[u8]) -> io::Result<()> {
        let (socket, any): (_, SocketAddr) = match server {
            SocketAddr::V4(_) => (&mut self.v4, (Ipv4Addr::UNSPECIFIED, 0).into()),
            SocketAddr::V6(_) => (&mut self.v6, (Ipv6Addr::UNSPECIFIED, 0).into()),
        };
        let socket = match socket {
            Some(socket) => socket,
            None => socket.insert(UdpSocket::bind(any).await?),
        };
        socket.send_to(message, server).await.map(|_| ())
    }
}

/// Waits for a datagram; for ever, where there is no socket. One that fails is closed, and opened again when needed.
async fn receive(socket: &mut Option<UdpSocket>, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    let Some(open) = socket else { return pending().await };
    let received = open.recv_from(buffer).await;
    if received.is_err() {
        *socket = None;
    }
    received.ok()
}

/// Sends and receives until the process ends.
async fn run(shared: Arc<Shared>) {
    let (start, mut reported) = (Instant::now(), Reported::default());
    let (mut buffer_v4, mut buffer_v6) = (vec![0; REPLY_BYTES_MAX], vec![0; REPLY_BYTES_MAX]);
    loop {
        shared.wake.notified().await;
        let mut sockets = Sockets::default();
        loop {
            send_due(&shared, start.elapsed(), &mut sockets, &mut reported).await;
            let Some(deadline) = shared.lock().deadline() else { break };
            let received = tokio::select! {
                received = receive(&mut sockets.v4, &mut buffer_v4) => received.map(|from| (&buffer_v4, from)),
                received = receive(&mut sockets.v6, &mut buffer_v6) => received.map(|from| (&buffer_v6, from)),
                () = shared.wake.notified() => None,
                () = sleep_until((start + deadline).into()) => None,
            };
            if let Some((buffer, (length, from))) = received {
                // A scope or flow label says nothing about who it is.
                let from = SocketAddr::new(from.ip(), from.port());
                let over = shared.lock().take_reply(from, &buffer[..length], unix_now().as_secs());
                if let Some(notified) = over {
                    shared.conclude(&notified, &mut reported);
                }
            }
        }
    }
}

/// Sends what is due.
async fn send_due(shared: &Shared, now: Duration, sockets: &mut Sockets, reported: &mut Reported) {
    loop {
        // Without random numbers the ID is what can be guessed, and the port is not.
        let random = getrandom::u32().unwrap_or_default() as u16;
        let step = shared.lock().next_step(now, unix_now().as_secs(), random);
        match step {
            None => return,
            Some(NotifyStep::End(notified)) => shared.conclude(&notified, reported),
            Some(NotifyStep::Send(server, message)) => {
                shared.metrics.notify.sent.add(1);
                // It is sent again, and given up in the end.
                if let Err(error) = sockets.send(server, &message).await {
                    tracing::debug!(%server, %error, "a notification can't be sent");
                }
            }
        }
    }
}

/// Which faults of which servers were reported since they last acknowledged anything.
#[derive(Default)]
struct Reported(HashSet<(SocketAddr, Option<NotifyFault>)>);

impl Reported {
    /// Logs the end of a notification where that is news.
    fn note(&mut self, notified: &Notified) {
        let Notified { zone, server, outcome, .. } = notified;
        let fault = match *outcome {
            NotifyOutcome::Acknowledged => {
                self.0.retain(|(reported, _)| reported != server);
                return tracing::debug!(%zone, %server, "a notification was acknowledged");
            }
            NotifyOutcome::Refused(fault) => Some(fault),
            NotifyOutcome::GivenUp(fault) => fault,
        };
        if self.0.len() >= TOLD_MAX || !self.0.insert((*server, fault)) {
            return;
        }
        let fault = fault.map_or_else(|| "there is no reply".to_owned(), |fault| fault.to_string());
        tracing::warn!(
            "{server} does not learn by NOTIFY that zone {zone} has changed: {fault}; it will when it next asks for \
             the SOA. Not reported again before it acknowledges one"
        );
    }
}
