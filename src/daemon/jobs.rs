//! What the thread that loads and publishes is asked to do.

use std::sync::mpsc::SyncSender;

use tokio::sync::oneshot;

use crate::admin::reply;
use crate::load::{Arrival, Scope};
use crate::wire::SharedName;

/// What came of a reload.
pub(super) type Outcome = Result<reply::Reload, String>;

/// What the thread is to do.
pub(super) enum Job {
    /// Read zones again.
    Reload(Box<Reload>),
    /// Take what came of asking the primaries of a zone, and say whether it may be taken.
    Arrive(SharedName, Box<Arrival>, Option<Acceptance>),
}

/// Where it is said whether a version may be taken.
pub(super) type Acceptance = oneshot::Sender<Result<(), String>>;

/// One reload that is asked for.
pub(super) struct Reload {
    /// Which zones.
    pub(super) scope: Scope,
    /// Whether zones may go, however many.
    pub(super) is_forced: bool,
    /// Where the outcome goes; `None` for a signal.
    pub(super) reply: Option<oneshot::Sender<Outcome>>,
}

/// Where what comes from primaries goes.
#[derive(Clone, Debug)]
pub(super) struct Arrivals(SyncSender<Job>);

impl Arrivals {
    /// Hands on to who takes these jobs.
    pub(super) fn new(jobs: SyncSender<Job>) -> Self {
        Self(jobs)
    }

    /// Hands on what came; waits where very much does.
    pub(super) fn send(&self, name: SharedName, arrival: Arrival) {
        // The thread ends with the process alone.
        let _is_sent = self.0.send(Job::Arrive(name, Box::new(arrival), None));
    }

    /// Hands on a version of a catalog, and waits until it is known whether it was taken.
    ///
    /// # Errors
    /// Why it was not.
    pub(super) async fn judge(&self, name: SharedName, arrival: Arrival) -> Result<(), String> {
        let (acceptance, judged) = oneshot::channel();
        // The thread ends with the process alone.
        let _is_sent = self.0.send(Job::Arrive(name, Box::new(arrival), Some(acceptance)));
        judged.await.unwrap_or_else(|_| Err("it could not be judged inside fated; please report it".to_owned()))
    }
}
