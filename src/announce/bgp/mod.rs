//! Stances → what routers are told: a BGP speaker for the service addresses, with BFD beside its sessions.
//!
//! Owns the sockets, and the thread that has them. What is said, and when, is [`crate::bgp`]'s and [`crate::bfd`]'s.
//! Refuses to know why an address is to be announced.
//!
//! ```text
//!   policies ──want()──▶ [wanted] ──▶ plan: routes ─┐  thread `bgp`
//!   provers ──Proof (moments)───────────────────────┤
//!   routers ──TCP, UDP──▶ connection, beat ─────────┴─▶ bgp::Session, bfd::Session ─┬─▶ connection, beat ──▶ routers
//!                                                                                   └─▶ [seen] ──▶ status, metrics
//! ```
//!
//! **Everything that announces ends by itself.** The sockets stand in the thread's own table of open files: when the
//! process is killed, the kernel ends the sessions at once. When it is stopped, BFD falls silent, and the hold time
//! runs out. Where the thread lives and a proof is missing, it withdraws or ends the session before either does.

mod beat;
mod connection;
mod neighbor;
mod plan;
mod seen;
mod settings;
mod shared;
#[cfg(test)]
mod tests;
mod thread;

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::kernel::Fatal;
use super::{Announcement, Announcer, Counters};
use crate::policy::Decision;
use crate::sys::waker::Waker;
use shared::{Shared, lock};

pub use seen::{BeatSeen, NeighborSeen, Seen};
pub use settings::{
    BfdSettings, LOCAL_PORT_FIRST, NEIGHBORS_MAX, NeighborSettings, PORT, Secret, Service, SpeakerSettings,
};
pub use shared::SpeakerError;

/// The handle to the thread. When it is dropped, the sessions end.
pub struct Speaker {
    /// What both sides see.
    shared: Arc<Shared>,
    /// The thread.
    thread: Option<JoinHandle<()>>,
}

/// A speaker, and an announcer for each of its services.
pub type Started = (Arc<Speaker>, Vec<Arc<dyn Announcer>>);

/// The announcer of one service: the speaker, for some of its addresses.
#[derive(Debug)]
struct ServiceAnnouncer {
    speaker: Arc<Speaker>,
    addresses: Range<usize>,
}

impl Speaker {
    /// Opens the sockets that must be there, and starts the sessions, over which nothing is announced yet. Returns an
    /// announcer for each service; the sessions end with the last one.
    ///
    /// `origin` is what the moments in the proofs count from; `proof_age_max` how old a proof may be that pays for what
    /// is said. `fatal` is called where the thread has failed.
    ///
    /// # Errors
    /// See [`SpeakerError`].
    pub fn start(
        settings: SpeakerSettings,
        services: Vec<Service>,
        origin: Instant,
        proof_age_max: Duration,
        fatal: Fatal,
    ) -> Result<Started, SpeakerError> {
        let failed = |what| move |source| SpeakerError::Kernel { what, source };
        let count = services.iter().map(|service| service.addresses.len()).sum();
        let waker = Waker::new().map_err(failed("the waker of the BGP thread can't be made"))?;
        let shared = Arc::new(Shared {
            wanted: Mutex::new(vec![Decision::STARTING; count]),
            waker,
            is_closing: AtomicBool::new(false),
            seen: ArcSwap::from_pointee(Seen::nothing(count)),
            published: (Mutex::new(()), Condvar::new()),
            origin,
        });
        let mut ends: Vec<usize> = Vec::new();
        services.iter().for_each(|service| {
            ends.push(ends.last().copied().unwrap_or_default() + service.addresses.len());
        });
        let (ready, started) = mpsc::sync_channel(1);
        let own = Arc::clone(&shared);
        let body = move || thread::run((settings, services, proof_age_max), own, &ready, &fatal);
        let thread = std::thread::Builder::new().name("bgp".into()).spawn(body);
        let thread = thread.map_err(failed("the BGP thread can't be started"))?;
        let speaker = Arc::new(Self { shared, thread: Some(thread) });
        started.recv().map_err(|_| SpeakerError::ThreadEnded)??;
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let announcers = starts.zip(&ends).map(|(start, end)| {
            Arc::new(ServiceAnnouncer { speaker: Arc::clone(&speaker), addresses: start..*end }) as Arc<dyn Announcer>
        });
        let announcers = announcers.collect();
        Ok((speaker, announcers))
    }

    /// Returns what is known of the neighbours.
    #[must_use]
    pub fn seen(&self) -> Arc<Seen> {
        self.shared.seen.load_full()
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.shared.is_closing.store(true, Ordering::Release);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            // A panic there was caught and told.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Speaker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Speaker").field("seen", &self.seen()).finish_non_exhaustive()
    }
}

impl Announcer for ServiceAnnouncer {
    fn want(&self, wanted: &[Decision]) {
        let shared = &self.speaker.shared;
        let mut is_changed = false;
        if let Some(kept) = lock(&shared.wanted).get_mut(self.addresses.clone()) {
            for (kept, decision) in kept.iter_mut().zip(wanted).filter(|(kept, decision)| *kept != *decision) {
                *kept = *decision;
                is_changed = true;
            }
        }
        if is_changed {
            shared.wake();
        }
    }

    fn seen(&self) -> Vec<Announcement> {
        self.speaker.seen().addresses.get(self.addresses.clone()).unwrap_or_default().to_vec()
    }

    fn wait_withdrawn(&self, timeout: Duration) -> bool {
        let shared = &self.speaker.shared;
        let is_announced = || self.seen().iter().any(|address| address.is_announced);
        let (guard, published) = (lock(&shared.published.0), &shared.published.1);
        let waited = published.wait_timeout_while(guard, timeout, |()| is_announced());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        !is_announced()
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}
