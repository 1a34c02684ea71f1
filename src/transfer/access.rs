//! Who may ask for what: rules by address and key, denied where none allows it.

use std::sync::Arc;

use core::net::IpAddr;
use core::time::Duration;

use ipnet::IpNet;

use crate::tls::{TlsPeer, TlsSession};
use crate::wire::tsig::Key;

/// One rule: who comes from there, and holds that key where one is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// Addresses.
    pub prefix: IpNet,
    /// The key with which the request must be signed; without one, signed requests are allowed as unsigned ones are.
    pub key: Option<Arc<Key>>,
    /// What is asked of the connection besides; `None` for whatever transport.
    pub tls: Option<TlsRule>,
}

/// What a rule asks of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsRule {
    /// TLS, whoever the client is.
    Any,
    /// TLS, and a client with a certificate by which it is recognized (RFC 9103 §9.3.3).
    Peer(Arc<TlsPeer>),
}

impl TlsRule {
    /// Whether a connection, at `now` since the Unix epoch, is as the rule asks.
    fn allows(&self, tls: Option<TlsSession<'_>>, now: Duration) -> bool {
        tls.is_some_and(|tls| match self {
            Self::Any => true,
            Self::Peer(peer) => peer.check_client(tls.chain, now).is_ok(),
        })
    }
}

/// Rules, of which one that allows is enough. The empty list allows nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList(pub Vec<AccessRule>);

impl AccessList {
    /// Whether a request from `source`, which is no IPv4 address inside IPv6, whose signature by `key` was verified,
    /// and that came over a connection with that session at `now` since the Unix epoch, is allowed.
    pub fn allows(&self, source: IpAddr, key: Option<&Key>, tls: Option<TlsSession<'_>>, now: Duration) -> bool {
        self.0.iter().any(|rule| {
            rule.prefix.contains(&source)
                && rule.key.as_deref().is_none_or(|needed| Some(needed) == key)
                // Last, since it may have to verify signatures.
                && rule.tls.as_ref().is_none_or(|needed| needed.allows(tls, now))
        })
    }

    /// Whether nobody is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;
    use crate::wire::tsig::Algorithm;

    #[test]
    fn a_rule_for_tls_holds_over_tls_alone_and_for_certificates_that_are_recognized() {
        let rule = |tls| AccessRule { prefix: "0.0.0.0/0".parse().expect("a prefix"), key: None, tls: Some(tls) };
        let nobody = TlsPeer::new("nobody".to_owned(), crate::tls::PeerIdentity::default(), None).expect("it is made");
        let (any, named) = (AccessList(vec![rule(TlsRule::Any)]), AccessList(vec![rule(TlsRule::Peer(nobody.into()))]));
        let session = Some(TlsSession { is_tls13: true, chain: &[] });
        let allows =
            |list: &AccessList, tls| list.allows("192.0.2.1".parse().expect("an address"), None, tls, Duration::ZERO);
        assert!(allows(&any, session) && !allows(&any, None));
        assert!(!allows(&named, session) && !allows(&named, None));
    }

    #[test]
    fn one_rule_is_enough_and_none_denies() {
        let key = |name: &str| {
            Arc::new(Key::new(name.parse::<Name>().expect("a name").as_ref(), Algorithm::Sha256, b"secret"))
        };
        let rule = |prefix: &str, key| AccessRule { prefix: prefix.parse().expect("a prefix"), key, tls: None };
        let list = AccessList(vec![rule("10.0.0.0/8", Some(key("a."))), rule("2001:db8::/32", None)]);
        let allows = |source: &str, name: Option<&str>| {
            list.allows(source.parse().expect("an address"), name.map(key).as_deref(), None, Duration::ZERO)
        };
        assert!(allows("10.1.2.3", Some("A.")));
        assert!(!allows("10.1.2.3", Some("b.")));
        assert!(!allows("10.1.2.3", None));
        assert!(!allows("11.1.2.3", Some("a.")));
        assert!(allows("2001:db8::1", None));
        assert!(allows("2001:db8::1", Some("b.")));
        assert!(!AccessList::default().allows("2001:db8::1".parse().expect("an address"), None, None, Duration::ZERO));
    }
}
