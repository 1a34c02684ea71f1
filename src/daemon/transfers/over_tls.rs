//! A connection to a primary over TLS (RFC 9103 §7.2): set up, and what is said where that fails.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls::TlsPeer;

/// Sets TLS up.
///
/// # Errors
/// What a person can act on.
pub(super) async fn begin(peer: &TlsPeer, address: IpAddr, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
    let by_address = || ServerName::IpAddress(address.into());
    let name = peer.identity().hostname.clone().unwrap_or_else(by_address);
    let connector = TlsConnector::from(Arc::clone(peer.client_config()));
    connector.connect(name, stream).await.map_err(|error| reason(&error, peer.name()))
}

/// What it may mean that a primary says nothing at all: it knows our certificate only when our part of the handshake is
/// over.
pub(super) fn closed(peer: &TlsPeer) -> String {
    match peer.has_certificate() {
        true => format!("it may not take the certificate of the tls {:?}", peer.name()),
        false => format!("it may ask for a certificate, and the tls {:?} has none", peer.name()),
    }
}

/// Whether it is TLS that failed, and not what it goes over.
pub(super) fn is_of_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<rustls::Error>())
}

/// Why it failed. `name` is that of the `[[tls]]`.
pub(super) fn reason(error: &io::Error, name: &str) -> String {
    let Some(fault) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "it closed the connection in the handshake".to_owned(),
            _ => error.to_string(),
        };
    };
    match fault {
        rustls::Error::InvalidCertificate(CertificateError::Other(fault)) => format!("{fault} (tls {name:?})"),
        rustls::Error::InvalidMessage(_) => "what it says is no TLS".to_owned(),
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => "it does not know TLS 1.3".to_owned(),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            format!("it asks for a certificate, and the tls {name:?} has none")
        }
        fault => source_of(fault).map_or_else(|| fault.to_string(), |source| format!("{fault}: {source}")),
    }
}

/// What an error came from, as text.
fn source_of(error: &rustls::Error) -> Option<String> {
    Error::source(error).map(ToString::to_string)
}
