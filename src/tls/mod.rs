//! Who is at the other end of a TLS connection, and what TLS is spoken with: certificates, keys and pins, and the
//! settings for both roles.
//!
//! Carries out RFC 9103 §7.2 and §9 (zone transfer over TLS) and RFC 7858 §3 (DNS over TLS) as far as they are about
//! certificates, versions and ALPN. Owns no connection and no socket. The time at which a certificate must hold is an
//! argument; within a handshake rustls reads the clock.

mod client;
mod credentials;
mod identity;
mod peer;
mod pin;
mod server;
mod validity;

pub use credentials::{Credentials, CredentialsError};
pub use identity::{PeerFault, PeerIdentity};
pub use peer::TlsPeer;
pub use pin::Pin;
pub use server::{TlsAcceptor, server_config};

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;

/// The protocol that clients offer and servers pick: DNS over TLS (RFC 7858 §3.2, RFC 9103 §7.1).
const ALPN_DOT: &[u8] = b"dot";

/// What is known about a connection over TLS once its handshake is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsSession<'a> {
    /// Whether it speaks TLS 1.3, as transfers must (RFC 9103 §7.2).
    pub is_tls13: bool,
    /// The certificate of the other side, whose key it has proved to hold, and those that came with it; empty where it
    /// showed none.
    pub chain: &'a [CertificateDer<'static>],
}

/// The algorithms.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
