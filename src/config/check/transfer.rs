//! `[[key]]`, `[[template]]` and what `[[zone]]` says about transfers, as written → checked.
//!
//! No fault shows a secret: what is wrong with one is reported at the name of its key.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use data_encoding::BASE64;
use ipnet::IpNet;
use toml::Spanned;

use super::file::{Secrecy, read_file};
use super::tls::TlsPeers;
use super::{AddressError, Check, Names, Own, PORT_DEFAULT, Row, TEXT_BYTES_MAX, parse_address_at, quoted, rows};
use crate::config::document::Document;
use crate::config::key::{WrittenPeer, WrittenRule};
use crate::config::values::TLS_PORT_DEFAULT;
use crate::tls::TlsPeer;
use crate::transfer::{AccessList, AccessRule, KeyRing, Membership, Peer, TlsRule, TransferLimits, TransferSettings};
use crate::wire::tsig::{Algorithm, Key};
use crate::wire::{Name, Shown};

/// The most keys.
const KEYS_MAX: usize = 10_000;
/// The most entries of a list of servers or rules.
const ENTRIES_MAX: usize = 64;
/// The most resolvers.
const RESOLVERS_MAX: usize = 8;
/// The most octets of a secret in base64.
const SECRET_TEXT_BYTES_MAX: u64 = 4096;
/// The most keys that a warning names.
const NAMES_SHOWN_MAX: usize = 5;

/// What lists of servers and rules may name.
pub(super) struct Known {
    pub(super) keys: KeyRing,
    pub(super) tls: TlsPeers,
}

/// What zones may inherit.
pub(super) struct Templates(HashMap<String, Template>);

impl Templates {
    /// The template of the zones that name none.
    pub(super) const DEFAULT: &str = "default";

    /// The template of the zones that name none.
    pub(super) fn default(&self) -> &Template {
        &self.0[Self::DEFAULT]
    }
}

/// What a template or a zone says, with what it has inherited.
#[derive(Clone, Default)]
pub(super) struct Template {
    pub(super) settings: Arc<TransferSettings>,
    /// Whether it is written who may notify; else the primaries may.
    is_notify_written: bool,
}

impl Check<'_> {
    /// `[[key]]` and `[[tls]]`.
    pub(super) fn known(&mut self) -> Known {
        Known { keys: self.keys(), tls: self.tls_peers() }
    }

    /// `[[key]]`.
    fn keys(&mut self) -> KeyRing {
        let sections = self.written.each(rows::KEY);
        let (mut names, mut keys, mut short) = (Names::default(), Vec::new(), Vec::new());
        if let Some(beyond) = sections.get(KEYS_MAX).and_then(|key| key.get::<String>(&rows::KEY_NAME)) {
            let message = format!("there are {} [[key]], but there may be {KEYS_MAX} at most", sections.len());
            self.fault(beyond.span(), message, "one too many".into(), None);
        }
        for section in sections.iter().take(KEYS_MAX) {
            let Some((name, _)) = self.name_of(section, &rows::KEY_NAME, &mut names) else { continue };
            // A key that is refused is known all the same: those who name it are not at fault.
            let algorithm = self.algorithm(section).unwrap_or(Algorithm::Sha256);
            let secret = self.secret(section, &name);
            if secret.as_ref().is_some_and(|secret| secret.len() < algorithm.mac_bytes()) {
                short.push(format!("{name} (less than {} octets)", algorithm.mac_bytes()));
            }
            keys.push(Arc::new(Key::new(name.as_ref(), algorithm, &secret.unwrap_or_default())));
        }
        if !short.is_empty() {
            let more = if short.len() > NAMES_SHOWN_MAX { ", …" } else { "" };
            self.warnings.push(format!(
                "secrets that are shorter than the MACs made with them (RFC 8945 §8): {}: {}{more}",
                short.len(),
                short[..short.len().min(NAMES_SHOWN_MAX)].join(", ")
            ));
        }
        KeyRing::new(keys)
    }

    /// The algorithm of a key.
    fn algorithm(&mut self, section: &Document<'_>) -> Option<Algorithm> {
        let written = section.get::<String>(&rows::KEY_ALGORITHM).expect("the document has it");
        let is_md5_allowed = section.get(&rows::KEY_ALLOW_MD5).is_some_and(Spanned::into_inner);
        match Algorithm::from_word(written.get_ref()) {
            Some(Algorithm::Md5) if !is_md5_allowed => {
                let help = "take \"hmac-sha256\" on both sides; or, where the other side knows nothing else, write \
                    `allow-md5 = true` at this key";
                let message = "`key.algorithm` is \"hmac-md5\", which must not be used any more (RFC 8945 §6)";
                self.fault(written.span(), message.into(), "too weak".into(), Some(help.into()));
                None
            }
            None => {
                let words: Vec<String> = Algorithm::ALL.iter().map(|known| format!("\"{}\"", known.word())).collect();
                self.refuse(rows::KEY_ALGORITHM.path, &quoted(&written), &format!("one of {}", words.join(", ")));
                None
            }
            known => known,
        }
    }

    /// The secret of a key.
    fn secret(&mut self, section: &Document<'_>, name: &Name) -> Option<Vec<u8>> {
        let written = |key| section.get::<String>(key);
        let named_at = written(&rows::KEY_NAME).expect("the document has it").span();
        let (text, origin) = match (written(&rows::KEY_SECRET), written(&rows::KEY_SECRET_FILE)) {
            (Some(secret), None) => (secret.into_inner().into_bytes(), "its `secret`".to_owned()),
            (None, Some(file)) => {
                let path = self.origin.path(file.get_ref());
                let shown = Shown::path(&path);
                match read_file(&path, Secrecy::Secret, SECRET_TEXT_BYTES_MAX) {
                    Ok(text) => (text, format!("what its `secret-file` {shown} holds")),
                    Err(error) => {
                        let message = format!("the key {name}: `secret-file` {shown}: {error}");
                        self.fault(file.span(), message, "no secret".into(), None);
                        return None;
                    }
                }
            }
            (secret, _) => {
                let what = if secret.is_some() { "both" } else { "neither" };
                let message = format!("the key {name} has {what} of `secret` and `secret-file`");
                self.fault(named_at, message, "needs one of the two".into(), None);
                return None;
            }
        };
        let secret = BASE64.decode(text.trim_ascii()).ok();
        let secret = secret.filter(|secret| !secret.is_empty() && text.len() as u64 <= SECRET_TEXT_BYTES_MAX);
        if secret.is_none() {
            let message = format!("the key {name}: {origin} is no base64 of 4 to {SECRET_TEXT_BYTES_MAX} octets");
            let help = "it is not shown here; `openssl rand -base64 32` makes one";
            self.fault(named_at, message, "its secret is none".into(), Some(help.into()));
        }
        secret
    }

    /// `[[template]]`; there is always one that is called `default`.
    pub(super) fn templates(&mut self, known: &Known) -> Templates {
        let mut templates: HashMap<String, Template> = HashMap::new();
        for section in self.written.each(rows::TEMPLATE) {
            let name = section.get::<String>(&rows::TEMPLATE_NAME).expect("the document has it");
            if !(1..=TEXT_BYTES_MAX).contains(&name.get_ref().len()) {
                let length = Spanned::new(name.span(), format!("{} octets long", name.get_ref().len()));
                self.refuse(rows::TEMPLATE_NAME.path, &length, &format!("1 to {TEXT_BYTES_MAX} octets long"));
            }
            let template = self.template(&section, &Template::default(), known);
            let (span, name) = (name.span(), name.into_inner());
            let message = format!("the template {name:?} is named twice");
            if templates.insert(name, template).is_some() {
                self.fault(span, message, "named before".into(), Some("take one of the two out".into()));
            }
        }
        templates.entry(Templates::DEFAULT.to_owned()).or_default();
        Templates(templates)
    }

    /// The template of a zone: the one that it names, else the default one.
    pub(super) fn template_of<'t>(
        &mut self,
        zone: &Document<'_>,
        row: &Row<Own>,
        templates: &'t Templates,
    ) -> Option<&'t Template> {
        let Some(named) = zone.get::<String>(row) else { return Some(templates.default()) };
        self.template_named(row.path, &named, templates)
    }

    /// The template that stands at a key.
    pub(super) fn template_named<'t>(
        &mut self,
        path: &str,
        named: &Spanned<String>,
        templates: &'t Templates,
    ) -> Option<&'t Template> {
        let template = templates.0.get(named.get_ref());
        if template.is_none() {
            let message = format!("`{path}` is {:?}, which no [[template]] is called", named.get_ref());
            let help = "name one that is there, or add a [[template]] of that name";
            self.fault(named.span(), message, "not known".into(), Some(help.into()));
        }
        template
    }

    /// What a template or a zone says: what it writes stands above what it inherits, key by key. Where nothing differs,
    /// the settings are shared.
    pub(super) fn template(&mut self, section: &Document<'_>, inherited: &Template, known: &Known) -> Template {
        let mut settings = TransferSettings::clone(&inherited.settings);
        if let Some(primaries) = self.peers(section, &rows::PRIMARIES, known) {
            if primaries.is_empty() && settings.primaries.is_empty() {
                let empty = section.get::<Vec<WrittenPeer>>(&rows::PRIMARIES).expect("it was there");
                let message =
                    format!("`{}` is empty, and no template has primaries", section.path_of(&rows::PRIMARIES));
                self.fault(empty.span(), message, "means nothing".into(), Some("take it out".into()));
            }
            settings.primaries = primaries;
        }
        let allow_notify = self.rules(section, &rows::ALLOW_NOTIFY, known);
        let is_notify_written = inherited.is_notify_written || allow_notify.is_some();
        if let Some(rules) = allow_notify {
            settings.allow_notify = rules;
        } else if !is_notify_written {
            // Whoever transfers over TLS may well notify over UDP: see transfers.md.
            let rule = |primary: &Peer| {
                let (prefix, key) = (primary.address.ip().into(), primary.key.clone());
                AccessRule { prefix, key, tls: None }
            };
            settings.allow_notify = AccessList(settings.primaries.iter().map(rule).collect());
        }
        if let Some(rules) = self.rules(section, &rows::ALLOW_TRANSFER, known) {
            settings.allow_transfer = rules;
        }
        if let Some(peers) = self.peers(section, &rows::NOTIFY, known) {
            settings.notify = peers;
        }
        let notify_dsync = section.get(&rows::NOTIFY_DSYNC).map(Spanned::into_inner);
        settings.notify_dsync = notify_dsync.unwrap_or(settings.notify_dsync);
        settings.notify_dsync_delay =
            self.duration_in(section, &rows::NOTIFY_DSYNC_DELAY).unwrap_or(settings.notify_dsync_delay);
        settings.zonemd = self.word_in(section, &rows::ZONEMD).unwrap_or(settings.zonemd);
        settings.verify.words = self.verify(section).unwrap_or(settings.verify.words);
        settings.verify.timeout = self.duration_in(section, &rows::VERIFY_TIMEOUT).unwrap_or(settings.verify.timeout);
        settings.limits = self.limits(section, settings.limits);
        settings.listed_in = self.listed_in(section, settings.listed_in);
        let is_same = settings == *inherited.settings;
        let settings = if is_same { Arc::clone(&inherited.settings) } else { settings.into() };
        Template { settings, is_notify_written }
    }

    /// The words of `verify`, where it is written. A program with a path is relative to the file's folder; one without
    /// is looked for as a shell does.
    fn verify(&mut self, section: &Document<'_>) -> Option<Vec<String>> {
        let written = section.get::<Vec<String>>(&rows::VERIFY)?;
        let (span, mut words) = (written.span(), written.into_inner());
        let path = section.path_of(&rows::VERIFY);
        if words.len() > ENTRIES_MAX || words.iter().any(|word| word.contains('\0')) {
            let shown = Spanned::new(span, format!("{} words", words.len()));
            self.refuse(&path, &shown, &format!("a program with at most {} arguments, without NUL", ENTRIES_MAX - 1));
            return None;
        }
        let Some(program) = words.first_mut().filter(|program| program.contains('/')) else { return Some(words) };
        let file = self.origin.path(program);
        if !fs::metadata(&file).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0) {
            let message = format!("`{path}` begins with {}, which is no program that can be run", Shown::path(&file));
            self.fault(span, message, "nothing to run".into(), Some("`chmod +x` makes a script one".into()));
        }
        if let Some(text) = file.to_str() {
            text.clone_into(program);
        }
        Some(words)
    }

    /// Which catalog lists a zone, above what it inherits.
    fn listed_in(&mut self, section: &Document<'_>, inherited: Option<Membership>) -> Option<Membership> {
        let mut listed_in = inherited;
        if let Some(written) = section.get::<String>(&rows::LISTED_IN) {
            let name = written.get_ref().parse::<Name>().ok();
            let name = name.filter(|name| self.produced.contains(name));
            if name.is_none() {
                let path = section.path_of(&rows::LISTED_IN);
                let message = format!(
                    "`{path}` is {:?}, which no [[catalog]] with `produce = true` is called",
                    written.get_ref()
                );
                let help = "name one that is there, or add a [[catalog]] with that `name` and `produce = true`";
                self.fault(written.span(), message, "not known".into(), Some(help.into()));
            }
            let group = listed_in.and_then(|listed_in| listed_in.group);
            listed_in = name.map(|name| Membership { catalog: name.as_ref().into(), group });
        }
        if let Some(written) = section.get::<String>(&rows::GROUP) {
            let path = section.path_of(&rows::GROUP);
            if !(1..=TEXT_BYTES_MAX).contains(&written.get_ref().len()) {
                let length = Spanned::new(written.span(), format!("{} octets long", written.get_ref().len()));
                self.refuse(&path, &length, &format!("1 to {TEXT_BYTES_MAX} octets long"));
            }
            match &mut listed_in {
                Some(listed_in) => listed_in.group = Some(written.get_ref().as_bytes().into()),
                None => {
                    let help = "add `catalog = \"…\"`, the name of a [[catalog]] with `produce = true`";
                    let message = format!("`{path}` stands without a `catalog`");
                    self.fault(written.span(), message, "in no catalog".into(), Some(help.into()));
                }
            }
        }
        listed_in
    }

    /// The limits of a section above those that it inherits.
    fn limits(&mut self, section: &Document<'_>, inherited: TransferLimits) -> TransferLimits {
        let mut limits = inherited;
        for (key, limit) in [
            (&rows::TRANSFER_OCTETS_MAX, &mut limits.octets_max),
            (&rows::TRANSFER_RECORDS_MAX, &mut limits.records_max),
            (&rows::JOURNAL_OCTETS_MAX, &mut limits.journal_octets_max),
        ] {
            *limit = self.number_in(section, key, key.values.bounds.1).map_or(*limit, i64::unsigned_abs);
        }
        limits.time_max = self.duration_in(section, &rows::TRANSFER_TIME_MAX).unwrap_or(limits.time_max);
        for (least, most, bounds) in [
            (&rows::REFRESH_MIN, &rows::REFRESH_MAX, &mut limits.refresh),
            (&rows::RETRY_MIN, &rows::RETRY_MAX, &mut limits.retry),
            (&rows::EXPIRE_MIN, &rows::EXPIRE_MAX, &mut limits.expire),
        ] {
            bounds.0 = self.duration_in(section, least).unwrap_or(bounds.0);
            bounds.1 = self.duration_in(section, most).unwrap_or(bounds.1);
            let written = section.get::<String>(least).or_else(|| section.get::<String>(most));
            if let Some(written) = written.filter(|_| bounds.0 > bounds.1) {
                let (least, most) = (section.path_of(least), section.path_of(most));
                let message = format!("`{least}` is {:?}, more than `{most}`, which is {:?}", bounds.0, bounds.1);
                let help = "what is not written here is that of the template, or the default";
                self.fault(written.span(), message, "no time is within".into(), Some(help.into()));
            }
        }
        limits
    }

    /// Who is asked for records of other zones; empty where the system says.
    pub(super) fn resolvers(&mut self) -> Vec<SocketAddr> {
        let Some(written) = self.written.get::<Vec<Spanned<String>>>(&rows::RESOLVER) else { return Vec::new() };
        if !(1..=RESOLVERS_MAX).contains(&written.get_ref().len()) {
            let count = Spanned::new(written.span(), format!("{} addresses", written.get_ref().len()));
            self.refuse(rows::RESOLVER.path, &count, &format!("1 to {RESOLVERS_MAX} addresses"));
        }
        let mut resolvers = Vec::new();
        for item in written.get_ref() {
            match peer_address(item.get_ref(), PORT_DEFAULT) {
                Ok(address) => resolvers.push(address),
                Err(allowed) => self.refuse(rows::RESOLVER.path, &quoted(item), &allowed),
            }
        }
        resolvers
    }

    /// A list of servers, where it is written.
    fn peers(&mut self, section: &Document<'_>, row: &Row<Own>, known: &Known) -> Option<Vec<Peer>> {
        let written = section.get::<Vec<WrittenPeer>>(row)?;
        let path = section.path_of(row);
        self.bound_entries(&path, &written);
        let written = written.into_inner().into_iter();
        let peers = written.map(|peer| {
            let key = self.key(&path, peer.key, known);
            let port = if peer.tls.is_some() { TLS_PORT_DEFAULT } else { PORT_DEFAULT };
            let is_asked = row.path == rows::PRIMARIES.path;
            let tls = peer.tls.and_then(|named| self.tls_server(&path, &named, known, is_asked));
            let address = peer_address(peer.address.get_ref(), port).unwrap_or_else(|allowed| {
                self.refuse(&format!("{path}.address"), &quoted(&peer.address), &allowed);
                SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)
            });
            Peer { address, key, tls }
        });
        Some(peers.collect())
    }

    /// An access list, where it is written.
    fn rules(&mut self, section: &Document<'_>, row: &Row<Own>, known: &Known) -> Option<AccessList> {
        let written = section.get::<Vec<WrittenRule>>(row)?;
        let path = section.path_of(row);
        self.bound_entries(&path, &written);
        let written = written.into_inner().into_iter();
        let rules = written.map(|rule| {
            let key = self.key(&path, rule.key, known);
            let prefix = rule_prefix(rule.prefix.get_ref()).unwrap_or_else(|allowed| {
                self.refuse(&format!("{path}.prefix"), &quoted(&rule.prefix), &allowed);
                IpNet::default()
            });
            let tls = rule.tls.and_then(|named| self.tls_rule(&path, &named, known));
            AccessRule { prefix, key, tls }
        });
        Some(AccessList(rules.collect()))
    }

    /// Refuses a list with too many entries.
    fn bound_entries<T>(&mut self, path: &str, written: &Spanned<Vec<T>>) {
        let count = written.get_ref().len();
        if count > ENTRIES_MAX {
            let count = Spanned::new(written.span(), format!("{count} entries"));
            self.refuse(path, &count, &format!("at most {ENTRIES_MAX} entries"));
        }
    }

    /// How a server is recognized over TLS. Only those that are asked can be: others are told over UDP.
    fn tls_server(
        &mut self,
        path: &str,
        named: &Spanned<String>,
        known: &Known,
        is_asked: bool,
    ) -> Option<Arc<TlsPeer>> {
        if !is_asked {
            let message = format!("`{path}.tls`: notifications go over UDP, which has no TLS");
            let help = "take `tls` out; a `key` lets the other side know who notifies";
            self.fault(named.span(), message, "means nothing".into(), Some(help.into()));
            return None;
        }
        let peer = self.tls_peer(path, named, &known.tls)?;
        let identity = peer.identity();
        if identity.pins.is_empty() && identity.hostname.is_none() {
            let message = format!("`{path}.tls` is {:?}, which has neither `hostname` nor `pins`", named.get_ref());
            let help = "add one of them to that [[tls]]: else whoever has a certificate of its `ca` is the primary";
            self.fault(named.span(), message, "not one server".into(), Some(help.into()));
        }
        Some(peer)
    }

    /// What a rule asks of the connection.
    fn tls_rule(&mut self, path: &str, named: &Spanned<String>, known: &Known) -> Option<TlsRule> {
        if named.get_ref() == TlsPeers::ANY {
            return Some(TlsRule::Any);
        }
        self.asks_tls_clients = true;
        self.tls_peer(path, named, &known.tls).map(TlsRule::Peer)
    }

    /// The key that an entry names, if it names one.
    fn key(&mut self, path: &str, written: Option<Spanned<String>>, known: &Known) -> Option<Arc<Key>> {
        let written = written?;
        let name = written.get_ref().parse::<Name>();
        let key = name.ok().and_then(|name| known.keys.find(name.as_ref())).cloned();
        if key.is_none() {
            let message = format!("`{path}.key` is {:?}, which no [[key]] is called", written.get_ref());
            let help = "name one that is there, or add a [[key]] with that `name`";
            self.fault(written.span(), message, "not known".into(), Some(help.into()));
        }
        key
    }
}

/// Reads the address of a server, with or without a port.
///
/// # Errors
/// What it should be.
fn peer_address(text: &str, port: u16) -> Result<SocketAddr, String> {
    let mut address = parse_address_at(text, port).map_err(|error| match error {
        AddressError::Malformed => {
            "an address such as \"192.0.2.1\", \"192.0.2.1:5300\" or \"[2001:db8::1]:53\"".to_owned()
        }
        AddressError::NoDevice(device) => format!("on a device that is there, but this host has no `{device}`"),
    })?;
    address.set_ip(address.ip().to_canonical());
    if address.ip().is_unspecified() || address.ip().is_multicast() || address.port() == 0 {
        return Err("the address of one server, with a port that is not 0".to_owned());
    }
    Ok(address)
}

/// Reads a prefix; an address stands for itself.
///
/// # Errors
/// What it should be.
fn rule_prefix(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().ok().map(|address| address.to_canonical().into());
    let prefix: IpNet = address
        .or_else(|| text.parse().ok())
        .ok_or("a prefix or an address such as \"10.0.0.0/8\", \"192.0.2.1\" or \"2001:db8::/32\"")?;
    if prefix.trunc() != prefix {
        return Err(format!("a prefix without bits behind its length, such as \"{}\"", prefix.trunc()));
    }
    match prefix {
        IpNet::V6(prefix) if prefix.addr().to_ipv4_mapped().is_some() => {
            Err("an IPv4 prefix as such: requests over IPv4 never come from one inside IPv6".to_owned())
        }
        _ => Ok(prefix),
    }
}

#[cfg(test)]
mod tests;
