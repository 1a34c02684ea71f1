//! What one's own identity is made of: certificates and the key of the first, from PEM (RFC 7468).

use core::fmt;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{provider, validity};

/// A certificate, those between it and its root, and its private key, which is never shown.
#[derive(PartialEq, Eq)]
pub struct Credentials {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why texts make no credentials. What a key holds is not shown.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file of certificates has none, or something that is no PEM.
    #[error("it holds no certificate in PEM: {0}")]
    Certificate(pem::Error),
    /// There are too many.
    #[error("it holds more than {CHAIN_MAX} certificates")]
    TooMany,
    /// The file of the key has none.
    #[error("it holds no private key in PEM (PKCS #8, PKCS #1 or SEC 1, without a passphrase)")]
    Key,
    /// The key can't be used, or is not that of the certificate.
    #[error("{}", pair_reason(.0))]
    Pair(rustls::Error),
}

/// Why a key can't be used.
fn pair_reason(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => "the key is of another certificate".to_owned(),
        other => other.to_string(),
    }
}

impl CredentialsError {
    /// Whether it is the file of the key that is at fault.
    #[must_use]
    pub fn is_of_key(&self) -> bool {
        matches!(self, Self::Key | Self::Pair(_))
    }
}

/// The most certificates of one file that is shown to others.
const CHAIN_MAX: usize = 16;

impl Credentials {
    /// Reads certificates, the own one first, and a key, and sees whether they belong together.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn read(certificates_pem: &[u8], key_pem: &[u8]) -> Result<Self, CredentialsError> {
        let chain = read_certificates(certificates_pem).map_err(CredentialsError::Certificate)?;
        if chain.len() > CHAIN_MAX {
            return Err(CredentialsError::TooMany);
        }
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| CredentialsError::Key)?;
        let credentials = Self { chain, key };
        credentials.certified_key().map_err(CredentialsError::Pair)?;
        Ok(credentials)
    }

    /// The same for rustls.
    ///
    /// # Errors
    /// The key can't be used, or is not that of the certificate.
    pub(super) fn certified_key(&self) -> Result<CertifiedKey, rustls::Error> {
        CertifiedKey::from_der(self.chain.clone(), self.key.clone_key(), &provider())
    }

    /// Until when the own certificate holds, in seconds since the Unix epoch; `None` where that can't be read.
    #[must_use]
    pub fn not_after(&self) -> Option<u64> {
        validity::not_after(self.chain.first()?)
    }

    /// The certificates, the own one first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Credentials({} certificates)", self.chain.len())
    }
}

/// Reads the certificates of a PEM text, at least one.
///
/// # Errors
/// There is none, or one is damaged.
pub(super) fn read_certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let certificates = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(certificates) }
}
