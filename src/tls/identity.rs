//! How the certificate of the other side is recognized: by its key, by who stands for it, and by its name.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem};
use rustls::{CertificateError, RootCertStore};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::credentials::read_certificates;
use super::pin::Pin;
use super::provider;

/// How the certificate of the other side is recognized: by all of what is there. Without anything nobody is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Certificates of authorities, of which one must have signed for it, for this time and this use.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The name that it must have. Means nothing without authorities.
    pub hostname: Option<ServerName<'static>>,
    /// The pins of which its key must have one.
    pub pins: Vec<Pin>,
}

/// What is wrong with the certificate of the other side.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PeerFault {
    /// It has none.
    #[error("it shows no certificate")]
    Absent,
    /// It can't be read.
    #[error("its certificate can't be read")]
    Malformed,
    /// It has another key.
    #[error("its certificate has the pin {0}, which `pins` does not have")]
    Pin(Pin),
    /// It has another name.
    #[error("its certificate is not for the `hostname` {0}")]
    Hostname(String),
    /// No authority stands for it, now and for this use.
    #[error("its certificate does not hold under `ca`: {}", reason(.0))]
    Chain(webpki::Error),
    /// Nothing is written by which it could be recognized.
    #[error("neither `ca` nor `pins` is there to recognize it by")]
    Unrecognizable,
}

/// In which role the other side shows its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

impl PeerIdentity {
    /// Reads the certificates of authorities.
    ///
    /// # Errors
    /// There is none, or one is damaged.
    pub fn read_authorities(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
        let mut certificates = read_certificates(text)?;
        // What can be no authority stands for nobody.
        let mut store = RootCertStore::empty();
        certificates.retain(|certificate| store.add(certificate.clone()).is_ok());
        if certificates.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(certificates) }
    }

    /// Whether whoever has shown these certificates is meant.
    ///
    /// # Errors
    /// [`PeerFault`].
    pub(super) fn check(&self, chain: &[CertificateDer<'_>], now: UnixTime, role: Role) -> Result<(), PeerFault> {
        let (own, between) = chain.split_first().ok_or(PeerFault::Absent)?;
        if self.authorities.is_empty() && self.pins.is_empty() {
            return Err(PeerFault::Unrecognizable);
        }
        let pin = Pin::of(own).ok_or(PeerFault::Malformed)?;
        if !self.pins.is_empty() && !self.pins.contains(&pin) {
            return Err(PeerFault::Pin(pin));
        }
        if !self.authorities.is_empty() {
            let certificate = EndEntityCert::try_from(own).map_err(|_| PeerFault::Malformed)?;
            let anchors: Vec<_> =
                self.authorities.iter().filter_map(|authority| anchor_from_trusted_cert(authority).ok()).collect();
            let usage = match role {
                Role::Client => KeyUsage::client_auth(),
                Role::Server => KeyUsage::server_auth(),
            };
            let algorithms = provider().signature_verification_algorithms.all;
            certificate
                .verify_for_usage(algorithms, &anchors, between, now, usage, None, None)
                .map_err(PeerFault::Chain)?;
            if let Some(hostname) = &self.hostname {
                let is_for = certificate.verify_is_valid_for_subject_name(hostname);
                is_for.map_err(|_| PeerFault::Hostname(hostname.to_str().into_owned()))?;
            }
        }
        Ok(())
    }
}

/// Why a certificate does not hold, where a person can act on it.
fn reason(error: &webpki::Error) -> String {
    match error {
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
            "none there has signed it".to_owned()
        }
        webpki::Error::CertExpired { .. } => "it has expired".to_owned(),
        webpki::Error::CertNotValidYet { .. } => "it is not valid yet".to_owned(),
        webpki::Error::RequiredEkuNotFoundContext(_) => "it is for another use (extendedKeyUsage)".to_owned(),
        webpki::Error::CaUsedAsEndEntity => "it is that of an authority; `pins` takes such".to_owned(),
        other => format!("{other:?}"),
    }
}

impl From<PeerFault> for rustls::Error {
    fn from(fault: PeerFault) -> Self {
        Self::InvalidCertificate(CertificateError::Other(rustls::OtherError(Arc::new(fault))))
    }
}
