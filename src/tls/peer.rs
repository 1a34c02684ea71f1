//! One other side, or several that are alike: how its certificate is recognized, and what is shown to it.

use core::time::Duration;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, UnixTime};

use super::client;
use super::credentials::Credentials;
use super::identity::{PeerFault, PeerIdentity, Role};

/// A `[[tls]]`: the other side, and what is shown to it.
#[derive(Clone, Debug)]
pub struct TlsPeer {
    name: String,
    identity: Arc<PeerIdentity>,
    /// What is shown where the other side asks for it.
    credentials: Option<Arc<Credentials>>,
    /// What is spoken as its client.
    client: Arc<ClientConfig>,
}

impl PartialEq for TlsPeer {
    fn eq(&self, other: &Self) -> bool {
        // What is spoken is made of the rest.
        (&self.name, &self.identity, &self.credentials) == (&other.name, &other.identity, &other.credentials)
    }
}

impl Eq for TlsPeer {}

impl TlsPeer {
    /// Puts one together.
    ///
    /// # Errors
    /// What rustls says against the credentials.
    pub fn new(
        name: String,
        identity: PeerIdentity,
        credentials: Option<Arc<Credentials>>,
    ) -> Result<Self, rustls::Error> {
        let identity = Arc::new(identity);
        let client = Arc::new(client::config(&identity, credentials.as_deref())?);
        Ok(Self { name, identity, credentials, client })
    }

    /// By which name it is called in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is recognized.
    #[must_use]
    pub fn identity(&self) -> &PeerIdentity {
        &self.identity
    }

    /// Whether a certificate is shown to it.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        self.credentials.is_some()
    }

    /// What a client of it speaks: TLS 1.3 alone (RFC 9103 §7.2).
    #[must_use]
    pub fn client_config(&self) -> &Arc<ClientConfig> {
        &self.client
    }

    /// Whether a client that has shown these certificates, at `now` since the Unix epoch, is this one.
    ///
    /// # Errors
    /// [`PeerFault`].
    pub fn check_client(&self, chain: &[CertificateDer<'_>], now: Duration) -> Result<(), PeerFault> {
        self.identity.check(chain, UnixTime::since_unix_epoch(now), Role::Client)
    }
}
