//! Who may ask for what: rules by address and key, denied where none allows it.

use std::sync::Arc;

use core::net::IpAddr;

use ipnet::IpNet;

use crate::wire::tsig::Key;

/// One rule: who comes from there, and holds that key where one is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// Addresses.
    pub prefix: IpNet,
    /// The key with which the request must be signed; without one, signed requests are allowed as unsigned ones are.
    pub key: Option<Arc<Key>>,
}

/// Rules, of which one that allows is enough. The empty list allows nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList(pub Vec<AccessRule>);

impl AccessList {
    /// Whether a request from `source`, which is no IPv4 address inside IPv6, and whose signature by `key` was
    /// verified, is allowed.
    pub fn allows(&self, source: IpAddr, key: Option<&Key>) -> bool {
        self.0
            .iter()
            .any(|rule| rule.prefix.contains(&source) && rule.key.as_deref().is_none_or(|needed| Some(needed) == key))
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
    fn one_rule_is_enough_and_none_denies() {
        let key = |name: &str| {
            Arc::new(Key::new(name.parse::<Name>().expect("a name").as_ref(), Algorithm::Sha256, b"secret"))
        };
        let rule = |prefix: &str, key| AccessRule { prefix: prefix.parse().expect("a prefix"), key };
        let list = AccessList(vec![rule("10.0.0.0/8", Some(key("a."))), rule("2001:db8::/32", None)]);
        let allows = |source: &str, name: Option<&str>| {
            list.allows(source.parse().expect("an address"), name.map(key).as_deref())
        };
        assert!(allows("10.1.2.3", Some("A.")));
        assert!(!allows("10.1.2.3", Some("b.")));
        assert!(!allows("10.1.2.3", None));
        assert!(!allows("11.1.2.3", Some("a.")));
        assert!(allows("2001:db8::1", None));
        assert!(allows("2001:db8::1", Some("b.")));
        assert!(!AccessList::default().allows("2001:db8::1".parse().expect("an address"), None));
    }
}
