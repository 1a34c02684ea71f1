//! Messages to the service manager: ready, alive for as long as there is proof, ending (sd_notify(3)).
//!
//! The watchdog is fed by a thread of its own for as long as the process is of use: the prover has its rounds, and
//! enough workers do not hang. A server that no longer answers is killed by the service manager even where everything
//! else fails; one that a filter or a wrong route keeps from its clients is not, since a new process would do no
//! better, and what else it serves would go with it. Without [anycast] the thread shows that the process is not
//! stopped.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;

use super::node::Node;

/// How many times in its period the watchdog is fed.
const FEEDINGS: u32 = 4;

/// Feeds the watchdog until it is dropped.
pub(super) struct Watchdog {
    _stop: Sender<()>,
}

impl Watchdog {
    /// Says that the server is ready, and feeds the watchdog if the service manager wants that.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(super) fn start(node: Option<&Node>) -> io::Result<Self> {
        notify(&[NotifyState::Ready]);
        let (stop, stopped) = channel();
        let Some(period) = sd_notify::watchdog_enabled() else { return Ok(Self { _stop: stop }) };
        let is_useful = node.map(|node| node.is_useful(period));
        thread::Builder::new().name("watchdog".into()).spawn(move || {
            while stopped.recv_timeout(period / FEEDINGS) == Err(RecvTimeoutError::Timeout) {
                if is_useful.as_ref().is_none_or(|is_useful| is_useful()) {
                    notify(&[NotifyState::Watchdog]);
                }
            }
        })?;
        Ok(Self { _stop: stop })
    }
}

/// Asks the service manager for more time, at once and again and again until what comes back is dropped. Nothing comes
/// of it where there is no service manager, or no thread.
#[must_use]
pub(super) fn ask_for_time() -> Option<Sender<()>> {
    std::env::var_os("NOTIFY_SOCKET")?;
    let (stop, stopped) = channel();
    let ask = || notify(&[NotifyState::ExtendTimeoutUsec(MORE_TIME_US)]);
    ask();
    let ask_again = move || {
        while stopped.recv_timeout(ASK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            ask();
        }
    };
    thread::Builder::new().name("patience".into()).spawn(ask_again).ok().map(|_| stop)
}

/// How often more time is asked for.
const ASK_INTERVAL: Duration = Duration::from_secs(5);

/// How much is asked for each time, in microseconds: 30 s, so that a host that is short of CPU may miss some.
const MORE_TIME_US: u32 = 30_000_000;

/// Says that the server is ending, which may take some time.
pub(super) fn notify_stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Sends a message to the service manager, if there is one.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager can't be notified");
    }
}
