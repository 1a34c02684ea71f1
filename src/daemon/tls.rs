//! What is spoken where DNS over TLS is listened for: made at the start, and anew where a reload finds another
//! certificate. Connections that are there go on with what they began with.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;

use super::error::DaemonError;
use crate::config::{Config, TlsServer};
use crate::serve::unix_now;
use crate::tls::{TlsAcceptor, server_config};

/// From when on before its end a certificate is warned of.
const WARNED_BEFORE: Duration = Duration::from_secs(14 * 86_400);
/// How often it is looked whether it ends soon.
const LOOK_INTERVAL: Duration = Duration::from_secs(3600);
/// How often that is logged.
const WARN_INTERVAL: Duration = Duration::from_secs(86_400);

/// What is spoken, for those who listen and those who reload; nothing where no TLS is listened for.
#[derive(Clone, Debug)]
pub(super) struct SpokenTls {
    acceptor: Option<TlsAcceptor>,
    /// Until when our certificate holds, in seconds since the epoch; 0 where nobody knows.
    not_after: Arc<AtomicU64>,
}

impl SpokenTls {
    /// Makes it.
    ///
    /// # Errors
    /// What rustls says.
    pub(super) fn new(config: &Config) -> Result<Self, DaemonError> {
        let made = config.tls.as_ref().map(make).transpose();
        let made = made.map_err(io::Error::other).map_err(DaemonError::system("TLS can't be spoken"))?;
        let not_after = config.tls.as_ref().map_or(0, not_after);
        let acceptor = made.map(|made| Arc::new(ArcSwap::new(made)));
        Ok(Self { acceptor, not_after: Arc::new(AtomicU64::new(not_after)) })
    }

    /// For how many seconds our certificate still holds, less than 0 behind its end; `None` where nobody knows.
    pub(super) fn seconds_left(&self) -> Option<i64> {
        let not_after = Some(self.not_after.load(Ordering::Relaxed)).filter(|not_after| *not_after > 0)?;
        let [not_after, now] = [not_after, unix_now().as_secs()].map(|at| i64::try_from(at).unwrap_or(i64::MAX));
        Some(not_after - now)
    }

    /// Warns once a day of a certificate that ends soon, on the runtime that this is called from.
    pub(super) fn watch_end(&self) {
        let spoken = self.clone();
        tokio::spawn(async move {
            loop {
                let left = spoken.seconds_left();
                let warning = left.and_then(end_warning);
                warning.iter().for_each(|warning| tracing::warn!("{warning}"));
                tokio::time::sleep(if warning.is_some() { WARN_INTERVAL } else { LOOK_INTERVAL }).await;
            }
        });
    }

    /// Where those who listen find it.
    pub(super) fn acceptor(&self) -> Option<&TlsAcceptor> {
        self.acceptor.as_ref()
    }

    /// What is to be spoken instead, where that is something else. Addresses stay those of `running`.
    ///
    /// # Errors
    /// What rustls says.
    pub(super) fn successor(running: &Config, read: &Config) -> Result<Option<NextTls>, rustls::Error> {
        let (Some(running), Some(read)) = (&running.tls, &read.tls) else { return Ok(None) };
        let next = TlsServer { listen: running.listen.clone(), ..read.clone() };
        if next == *running { Ok(None) } else { Ok(Some(NextTls { made: make(&next)?, server: next })) }
    }

    /// Speaks something else with those who come from now on, and returns what that is.
    pub(super) fn put(&self, next: NextTls) -> TlsServer {
        if let Some(acceptor) = &self.acceptor {
            acceptor.store(next.made);
            self.not_after.store(not_after(&next.server), Ordering::Relaxed);
            tracing::info!("clients over TLS are shown another certificate, or asked for one, from now on");
        }
        next.server
    }
}

/// What is to be spoken instead.
pub(super) struct NextTls {
    made: Arc<ServerConfig>,
    server: TlsServer,
}

/// Makes what is spoken.
fn make(server: &TlsServer) -> Result<Arc<ServerConfig>, rustls::Error> {
    server_config(&server.credentials, server.asks_clients)
}

/// Until when the certificate holds, in seconds since the epoch; 0 where that can't be read.
fn not_after(server: &TlsServer) -> u64 {
    server.credentials.not_after().unwrap_or(0)
}

/// What is to be said of a certificate that holds for so many seconds, where it ends soon or has ended.
fn end_warning(seconds_left: i64) -> Option<String> {
    let help = "put another in its place and `fated reload`";
    match u64::try_from(seconds_left).map(Duration::from_secs) {
        Err(_) => Some(format!("the certificate of `server.tls.certificate` has ended: clients refuse it; {help}")),
        Ok(left) if left < WARNED_BEFORE => {
            let days = left.as_secs() / 86_400;
            Some(format!("the certificate of `server.tls.certificate` ends in less than {} days; {help}", days + 1))
        }
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_warned_of_for_a_fortnight() {
        assert_eq!(end_warning(14 * 86_400), None);
        assert!(end_warning(14 * 86_400 - 1).is_some_and(|warning| warning.contains("less than 14 days")));
        assert!(end_warning(0).is_some_and(|warning| warning.contains("less than 1 days")));
        assert!(end_warning(-1).is_some_and(|warning| warning.contains("has ended")));
    }
}
