//! What is spoken as a server: TLS 1.2 and 1.3, as clients of DNS over TLS expect (RFC 7858 §3.2, RFC 8310 §9), `dot`
//! picked where it is offered, and certificates of clients taken as they come: who may have what is decided for each
//! request, by the rules that hold then.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::Ticketer;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::sign::SingleCertAndKey;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};

use super::credentials::Credentials;
use super::{ALPN_DOT, provider};

/// Where connections find what is spoken; it may be exchanged at any time, for those that come then.
pub type TlsAcceptor = Arc<ArcSwap<ServerConfig>>;

/// Makes the settings. Clients are asked for a certificate where `asks_clients` says so, and need not have one.
///
/// Sessions are kept by clients, in tickets whose key changes by itself and ends with these settings.
///
/// # Errors
/// What rustls says against the credentials; the system has no random numbers.
pub fn server_config(credentials: &Credentials, asks_clients: bool) -> Result<Arc<ServerConfig>, Error> {
    let provider = provider();
    let config =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(rustls::ALL_VERSIONS)?;
    let config = match asks_clients {
        true => config.with_client_cert_verifier(Arc::new(AnyClient(provider))),
        false => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(credentials.certified_key()?)));
    config.alpn_protocols = vec![ALPN_DOT.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// Takes every certificate whose key its client proves to hold.
#[derive(Debug)]
struct AnyClient(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        ParsedCertificate::try_from(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
