//! What is spoken where DNS over TLS is listened for: made at the start, and anew where a reload finds another
//! certificate. Connections that are there go on with what they began with.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;

use super::error::DaemonError;
use crate::config::{Config, TlsServer};
use crate::tls::{TlsAcceptor, server_config};

/// What is spoken, for those who listen and those who reload; nothing where no TLS is listened for.
#[derive(Clone, Debug)]
pub(super) struct SpokenTls(Option<TlsAcceptor>);

impl SpokenTls {
    /// Makes it.
    ///
    /// # Errors
    /// What rustls says.
    pub(super) fn new(config: &Config) -> Result<Self, DaemonError> {
        let made = config.tls.as_ref().map(make).transpose();
        let made = made.map_err(io::Error::other).map_err(DaemonError::system("TLS can't be spoken"))?;
        Ok(Self(made.map(|made| Arc::new(ArcSwap::new(made)))))
    }

    /// Where those who listen find it.
    pub(super) fn acceptor(&self) -> Option<&TlsAcceptor> {
        self.0.as_ref()
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
        if let Some(acceptor) = &self.0 {
            acceptor.store(next.made);
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
