//! What the service manager is told: ready, alive for as long as there is proof, ending (sd_notify(3)).
//!
//! The watchdog is fed by a thread of its own, and paid for by the same proof as the route: a server that no longer
//! answers is killed by the service manager even where everything else fails. Without [anycast] there is no proof, and the
//! thread shows that the process is not stopped.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;

use super::node::Node;
use crate::policy::Proof;

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
        tell(&[NotifyState::Ready]);
        let (stop, stopped) = channel();
        let Some(period) = sd_notify::watchdog_enabled() else { return Ok(Self { _stop: stop }) };
        let proof = node.map(|node| (node.proof(), node.origin()));
        thread::Builder::new().name("watchdog".into()).spawn(move || {
            while stopped.recv_timeout(period / FEEDINGS) == Err(RecvTimeoutError::Timeout) {
                let is_proven = proof.as_ref().is_none_or(|(proof, origin)| is_young(proof, origin.elapsed(), period));
                if is_proven {
                    tell(&[NotifyState::Watchdog]);
                }
            }
        })?;
        Ok(Self { _stop: stop })
    }
}

/// Asks the service manager for more time, again and again until what comes back is dropped. Nothing comes of it where there is
/// no service manager, or no thread.
#[must_use]
pub(super) fn ask_for_time() -> Option<Sender<()>> {
    std::env::var_os("NOTIFY_SOCKET")?;
    let (stop, stopped) = channel();
    let ask = move || {
        while stopped.recv_timeout(ASK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            tell(&[NotifyState::ExtendTimeoutUsec(u32::try_from((2 * ASK_INTERVAL).as_micros()).unwrap_or(u32::MAX))]);
        }
    };
    thread::Builder::new().name("patience".into()).spawn(ask).ok().map(|_| stop)
}

/// How often more time is asked for, twice as much each time; well below the 90 s that systemd waits by default.
const ASK_INTERVAL: Duration = Duration::from_secs(20);

/// Whether any address was proven in the last period.
fn is_young(proof: &Arc<Proof>, now: Duration, period: Duration) -> bool {
    (0..proof.len()).filter_map(|address| proof.last(address)).any(|moment| now.saturating_sub(moment) < period)
}

/// Says that the server is ending, which may take some time.
pub(super) fn tell_end() {
    tell(&[NotifyState::Stopping]);
}

/// Tells the service manager, if there is one.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager can't be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_young_proof_of_some_address_feeds() {
        let (proof, period) = (Arc::new(Proof::new(2)), Duration::from_secs(5));
        assert!(!is_young(&proof, Duration::from_secs(1), period));
        proof.note(1, Duration::from_secs(10));
        assert!(is_young(&proof, Duration::from_secs(14), period));
        assert!(!is_young(&proof, Duration::from_secs(15), period));
    }
}
