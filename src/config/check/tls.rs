//! `[server.tls]` and `[[tls]]`, as written → checked. Keys are read, and never shown.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use toml::Spanned;

use super::file::{FileError, Secrecy, read_file};
use super::{Check, LISTEN_MAX, Own, Row, TEXT_BYTES_MAX, parse_address_at, quoted, rows};
use crate::config::document::Document;
use crate::config::values::{TLS_PORT_DEFAULT, TlsServer};
use crate::tls::{Credentials, PeerIdentity, Pin, TlsPeer};
use crate::wire::Shown;

/// The most octets of a file of certificates or of a key.
const PEM_BYTES_MAX: u64 = 1 << 20;
/// The most pins of one `[[tls]]`.
const PINS_MAX: usize = 16;
/// The most `[[tls]]`.
const PEERS_MAX: usize = 10_000;

/// The `[[tls]]` by name.
#[derive(Default)]
pub(super) struct TlsPeers(HashMap<String, Arc<TlsPeer>>);

impl TlsPeers {
    /// The name that in rules stands for TLS with whomever.
    pub(super) const ANY: &str = "any";
}

impl Check<'_> {
    /// `[server.tls]`. Looks at what rules ask, so that they must be known.
    pub(super) fn tls(&mut self) -> Option<TlsServer> {
        let listen = self.tls_listen();
        let credentials = self.credentials(self.written, (&rows::TLS_CERTIFICATE, &rows::TLS_KEY));
        let asks_clients = self.asks_tls_clients;
        if listen.is_empty() {
            if asks_clients {
                self.warnings.push(format!(
                    "rules name a [[tls]], but there is no `{}`: nobody can meet them",
                    rows::TLS_LISTEN.path
                ));
            }
            return None;
        }
        match credentials {
            Some(Some(credentials)) => Some(TlsServer { listen, credentials, asks_clients }),
            Some(None) => None,
            None => {
                let written = self.written.get::<Vec<Spanned<String>>>(&rows::TLS_LISTEN)?;
                let message = "`server.tls.listen` is there without `certificate` and `key`".to_owned();
                let help = "`openssl req -x509 -newkey ed25519 -nodes -days 3650 -subj /CN=HOST -addext \
                    subjectAltName=DNS:HOST -keyout tls.key -out tls.pem` makes both";
                self.fault(written.span(), message, "needs both".into(), Some(help.into()));
                None
            }
        }
    }

    /// The addresses on which TLS is spoken.
    fn tls_listen(&mut self) -> Vec<SocketAddr> {
        let Some(written) = self.written.get::<Vec<Spanned<String>>>(&rows::TLS_LISTEN) else { return Vec::new() };
        if written.get_ref().len() > LISTEN_MAX {
            let count = Spanned::new(written.span(), format!("{} addresses", written.get_ref().len()));
            self.refuse(rows::TLS_LISTEN.path, &count, &format!("at most {LISTEN_MAX} addresses"));
        }
        let mut listen = Vec::new();
        for item in written.get_ref() {
            match parse_address_at(item.get_ref(), TLS_PORT_DEFAULT) {
                Ok(address) if address.port() != 0 && listen.contains(&address) => {}
                Ok(address) => listen.push(address),
                Err(error) => {
                    let message = format!("`{}` is {:?}: {error}", rows::TLS_LISTEN.path, item.get_ref());
                    self.fault(item.span(), message, "no address of this host".into(), None);
                }
            }
        }
        listen
    }

    /// A certificate with its key. `None` where neither is written, `Some(None)` where something is wrong with them.
    fn credentials(
        &mut self,
        section: &Document<'_>,
        (certificate, key): (&Row<Own>, &Row<Own>),
    ) -> Option<Option<Arc<Credentials>>> {
        let written = (section.get::<String>(certificate), section.get::<String>(key));
        let (certificate, key) = match written {
            (None, None) => return None,
            (Some(certificate), Some(key)) => (certificate, key),
            (one, other) => {
                let span = one.or(other).map_or(0..0, |written| written.span());
                let (certificate, key) = (section.path_of(certificate), section.path_of(key));
                let message = format!("of `{certificate}` and `{key}` only one is written");
                self.fault(span, message, "needs the other too".into(), None);
                return Some(None);
            }
        };
        let (certificate_pem, key_pem) = (self.pem(&certificate, Secrecy::Public), self.pem(&key, Secrecy::Secret));
        let (Some(certificate_pem), Some(key_pem)) = (certificate_pem, key_pem) else { return Some(None) };
        match Credentials::read(&certificate_pem, &key_pem) {
            Ok(credentials) => Some(Some(Arc::new(credentials))),
            Err(error) => {
                let file = if error.is_of_key() { &key } else { &certificate };
                let message = format!("{}: {error}", Shown::path(&self.origin.path(file.get_ref())));
                self.fault(file.span(), message, "can't be used".into(), None);
                Some(None)
            }
        }
    }

    /// What a file of PEM holds.
    fn pem(&mut self, file: &Spanned<String>, secrecy: Secrecy) -> Option<Vec<u8>> {
        let path = self.origin.path(file.get_ref());
        let read = read_file(&path, secrecy, PEM_BYTES_MAX);
        read.map_err(|error| self.unreadable(file, &path, &error)).ok()
    }

    /// Takes down that a file can't be had.
    fn unreadable(&mut self, file: &Spanned<String>, path: &Path, error: &FileError) {
        self.fault(file.span(), format!("{}: {error}", Shown::path(path)), "can't be used".into(), None);
    }

    /// `[[tls]]`.
    pub(super) fn tls_peers(&mut self) -> TlsPeers {
        let (mut peers, sections) = (TlsPeers::default(), self.written.each(rows::TLS));
        if let Some(beyond) = sections.get(PEERS_MAX).and_then(|peer| peer.get::<String>(&rows::PEER_NAME)) {
            let message = format!("there are {} [[tls]], but there may be {PEERS_MAX} at most", sections.len());
            self.fault(beyond.span(), message, "one too many".into(), None);
        }
        for section in sections.iter().take(PEERS_MAX) {
            let name = section.get::<String>(&rows::PEER_NAME).expect("the document has it");
            if !(1..=TEXT_BYTES_MAX).contains(&name.get_ref().len()) || name.get_ref() == TlsPeers::ANY {
                self.refuse(rows::PEER_NAME.path, &quoted(&name), "1 to 255 octets long, and not \"any\"");
            }
            let identity = self.peer_identity(section, &name);
            let credentials = self.credentials(section, (&rows::PEER_CERTIFICATE, &rows::PEER_KEY));
            let peer = TlsPeer::new(name.get_ref().clone(), identity, credentials.flatten());
            match peer.map(|peer| peers.0.insert(name.get_ref().clone(), Arc::new(peer))) {
                Ok(None) => {}
                Ok(Some(_)) => {
                    let message = format!("the tls {:?} is named twice", name.get_ref());
                    self.fault(name.span(), message, "named before".into(), Some("take one of the two out".into()));
                }
                Err(error) => {
                    let message = format!("the tls {:?}: {error}", name.get_ref());
                    self.fault(name.span(), message, "can't be used".into(), None);
                }
            }
        }
        peers
    }

    /// How the other side is recognized.
    fn peer_identity(&mut self, section: &Document<'_>, name: &Spanned<String>) -> PeerIdentity {
        let mut identity = PeerIdentity::default();
        let (ca, pins) = (section.get::<String>(&rows::PEER_CA), section.get(&rows::PEER_PINS));
        if let Some(text) = ca.as_ref().and_then(|ca| self.pem(ca, Secrecy::Public)) {
            identity.authorities = PeerIdentity::read_authorities(&text).unwrap_or_else(|error| {
                let path = self.origin.path(ca.as_ref().map_or("", |ca| ca.get_ref()));
                let message = format!("{}: it holds no certificate in PEM: {error}", Shown::path(&path));
                self.fault(ca.as_ref().map_or(0..0, Spanned::span), message, "can't be used".into(), None);
                Vec::new()
            });
        }
        if let Some(pins) = &pins {
            identity.pins = self.pins(pins);
        }
        if ca.is_none() && pins.is_none_or(|pins: Spanned<Vec<Spanned<String>>>| pins.get_ref().is_empty()) {
            let message = format!("the tls {:?} has neither `ca` nor `pins`", name.get_ref());
            let help =
                "there is no TLS without knowing with whom: \"any\" in a rule is for clients without a certificate";
            self.fault(name.span(), message, "recognizes nobody".into(), Some(help.into()));
        }
        if let Some(hostname) = section.get::<String>(&rows::PEER_HOSTNAME) {
            let without_dot = hostname.get_ref().strip_suffix('.').unwrap_or(hostname.get_ref()).to_owned();
            identity.hostname = ServerName::try_from(without_dot).ok();
            if identity.hostname.is_none() {
                self.refuse(rows::PEER_HOSTNAME.path, &quoted(&hostname), "a host name or an address");
            }
            if ca.is_none() {
                let message = format!("the tls {:?} has `hostname` without `ca`", name.get_ref());
                let help = "name the authorities; on Debian those of the system are in \
                    /etc/ssl/certs/ca-certificates.crt";
                self.fault(hostname.span(), message, "nobody vouches for it".into(), Some(help.into()));
            }
        }
        identity
    }

    /// The pins of a `[[tls]]`.
    fn pins(&mut self, written: &Spanned<Vec<Spanned<String>>>) -> Vec<Pin> {
        if written.get_ref().len() > PINS_MAX {
            let count = Spanned::new(written.span(), format!("{} pins", written.get_ref().len()));
            self.refuse(rows::PEER_PINS.path, &count, &format!("at most {PINS_MAX} pins"));
        }
        let mut pins = Vec::new();
        for pin in written.get_ref() {
            match Pin::from_base64(pin.get_ref()) {
                Some(pin) => pins.push(pin),
                None => self.refuse(rows::PEER_PINS.path, &quoted(pin), "SHA-256 in base64, 44 characters"),
            }
        }
        pins
    }

    /// The `[[tls]]` that an entry at `path` names.
    pub(super) fn tls_peer(&mut self, path: &str, named: &Spanned<String>, peers: &TlsPeers) -> Option<Arc<TlsPeer>> {
        let peer = peers.0.get(named.get_ref()).cloned();
        if peer.is_none() {
            let message = format!("`{path}.tls` is {:?}, which no [[tls]] is called", named.get_ref());
            let help = "name one that is there, or add a [[tls]] with that `name`";
            self.fault(named.span(), message, "not known".into(), Some(help.into()));
        }
        peer
    }
}

#[cfg(test)]
mod tests;
