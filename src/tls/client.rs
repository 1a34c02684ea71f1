//! What is spoken as a client: TLS 1.3, `dot` offered, and a server that is recognized as the configuration says.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::credentials::Credentials;
use super::identity::{PeerIdentity, Role};
use super::{ALPN_DOT, provider};

/// Makes the settings.
///
/// # Errors
/// What rustls says against the credentials.
pub(super) fn config(identity: &Arc<PeerIdentity>, credentials: Option<&Credentials>) -> Result<ClientConfig, Error> {
    let provider = provider();
    let verifier = Arc::new(Recognizer { identity: Arc::clone(identity), provider: Arc::clone(&provider) });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match credentials {
        Some(credentials) => {
            config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(credentials.certified_key()?)))
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN_DOT.to_vec()];
    Ok(config)
}

/// Recognizes a server by its certificate. The name with which the connection was begun means nothing here.
#[derive(Debug)]
struct Recognizer {
    identity: Arc<PeerIdentity>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Recognizer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain: Vec<_> = [end_entity].into_iter().chain(intermediates).cloned().collect();
        self.identity.check(&chain, now, Role::Server)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
