//! Certificates of the tests: an authority, and those that it gives out, as files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use sha2::{Digest, Sha256};

/// An authority with a folder for what it gives out.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

/// A certificate with its key, in files.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// SHA-256 of its public key in base64.
    pub(crate) pin: String,
}

impl Authority {
    /// One that nobody knew before.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Authority of the tests");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signs");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("writes");
        Self { issuer, folder }
    }

    /// Its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for a name that holds now.
    pub(crate) fn issue(&self, name: &str) -> Issued {
        self.issue_until(name, 4000)
    }

    /// A certificate for a name that holds until that year.
    pub(crate) fn issue_until(&self, name: &str, year: i32) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(year, 1, 1));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        let pin = BASE64.encode(&Sha256::digest(key.subject_public_key_info()));
        let stem = format!("{name}-{year}-{}", &pin[..6].replace(['/', '+'], "_"));
        let path = |end: &str| self.folder.path().join(format!("{stem}.{end}"));
        let issued = Issued { certificate: path("pem"), key: path("key"), pin };
        write(&issued.certificate, &certificate.pem());
        write(&issued.key, &key.serialize_pem());
        issued
    }
}

impl Issued {
    /// As a configuration of fated has it.
    pub(crate) fn as_keys(&self) -> String {
        format!("certificate = {:?}\nkey = {:?}\n", self.certificate, self.key)
    }

    /// Puts another one into its files.
    pub(crate) fn replace_by(&self, other: &Self) {
        for (to, from) in [(&self.certificate, &other.certificate), (&self.key, &other.key)] {
            write(to, &fs::read_to_string(from).expect("it is there"));
        }
    }
}

/// Writes a file that nobody else may read.
fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("writes");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("the file is ours");
}

impl Authority {
    /// What a client speaks that knows this authority, and shows a certificate if it has one.
    pub(crate) fn client(
        &self,
        shown: Option<&Issued>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority");
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match shown {
            Some(shown) => {
                let chain =
                    CertificateDer::pem_file_iter(&shown.certificate).expect("a file").map(|one| one.expect("PEM"));
                let key = PrivateKeyDer::from_pem_file(&shown.key).expect("a key");
                config.with_client_auth_cert(chain.collect(), key).expect("a pair")
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"dot".to_vec()];
        config
    }
}
