//! What the thread that asks primaries learns.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::fetch::Fetched;
use super::waiting::Generation;
use crate::admin::{ZoneVerb, reply};
use crate::config::ZoneSources;
use crate::load::MemberChange;
use crate::wire::SharedName;

/// What the thread learns.
pub(super) enum Event {
    /// A zone has changed elsewhere, somebody says.
    Notice(SharedName, IpAddr),
    /// An attempt that began with that primary asks nobody any more.
    Left(IpAddr),
    /// What came of it, for what the zone was then.
    Done(SharedName, Generation, Result<Box<Fetched>, String>),
    /// An operator wants to know something, or to have it done.
    Ask(ZoneVerb, SharedName, oneshot::Sender<Result<reply::Secondary, String>>),
    /// Something of a zone was to be kept over restarts; whether it is.
    Kept(SharedName, bool),
}

/// What the thread that loads files says.
pub(super) enum Order {
    /// The configuration was read again.
    Configure(Arc<ZoneSources>),
    /// Catalogs say other things about zones.
    Members(Vec<MemberChange>),
}

/// Orders that were not taken yet. Whoever gives one never waits: the two threads hand each other work, and must not
/// wait for each other. All are taken before anything else is, so that there are no more than came meanwhile.
#[derive(Default)]
pub(super) struct Orders {
    waiting: Mutex<Vec<Order>>,
    wake: Notify,
}

impl Orders {
    /// Gives one.
    pub(super) fn give(&self, order: Order) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(order);
        self.wake.notify_one();
    }

    /// Takes all, in order.
    pub(super) fn take(&self) -> Vec<Order> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there may be some.
    pub(super) async fn wait(&self) {
        self.wake.notified().await;
    }
}

impl fmt::Debug for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orders").finish_non_exhaustive()
    }
}
