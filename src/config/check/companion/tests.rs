//! `[[companion]]`: what is taken, what is refused and how that is said.

use std::path::Path;
use std::time::Duration;

use crate::companion::Probe;
use crate::config::{Config, ConfigError, Overrides, parse};

/// A configuration beside a folder of zones.
fn config(text: &str) -> Result<Config, ConfigError> {
    let overrides = Overrides { zones_dir: Some("zones".into()), workers: Some(4), ..Overrides::default() };
    parse(Path::new("f"), text, &overrides)
}

/// A companion with a name, an address, and this.
fn companion(name: &str, address: &str, rest: &str) -> String {
    format!("[[companion]]\nname = \"{name}\"\naddresses = [\"{address}\"]\n{rest}\n")
}

#[test]
fn every_probe_has_its_keys_and_defaults() {
    let table = [
        ("probe = \"tcp\"\nport = 22", Probe::Tcp { port: 22 }),
        ("probe = \"http\"", Probe::Http { port: 80, host: "a".into(), path: "/".into(), status: 200, text: None }),
        (
            "probe = \"http\"\nport = 8080\nhost = \"b\"\npath = \"/x\"\nstatus = 301\ntext = \"at home\"",
            Probe::Http { port: 8080, host: "b".into(), path: "/x".into(), status: 301, text: Some("at home".into()) },
        ),
        ("probe = \"dns\"", Probe::Dns { port: 53, name: ".".into(), rtype: "NS".into() }),
        (
            "probe = \"dns\"\nquery = \"example.com. SOA\"",
            Probe::Dns { port: 53, name: "example.com.".into(), rtype: "SOA".into() },
        ),
        (
            "probe = \"kerberos\"\nrealm = \"R\"",
            Probe::Kerberos { port: 88, realm: "R".into(), principal: "fated".into() },
        ),
        ("probe = \"ldap\"", Probe::Ldap { port: 389, tls: None }),
        ("probe = \"command\"\ncommand = [\"/bin/true\"]", Probe::Command { words: vec!["/bin/true".into()] }),
    ];
    for (text, wanted) in table {
        let config = config(&companion("a", "192.0.2.80", text)).unwrap_or_else(|error| panic!("{text}: {error}"));
        let [companion] = &config.companions[..] else { panic!("{text}: one companion") };
        assert_eq!((companion.name.as_str(), &companion.probe), ("a", &wanted), "{text}");
        let node = &companion.node;
        assert_eq!((node.interface.as_str(), node.lease), ("fated1", Some(Duration::from_secs(1))));
        assert_eq!((node.health.interval, node.health.fall, node.health.rise), (Duration::from_millis(200), 2, 5));
    }
}

#[test]
fn each_of_several_has_a_device_of_its_own() {
    let rest = "probe = \"ldap\"";
    let text = companion("a", "192.0.2.80", rest) + &companion("b", "192.0.2.81", rest);
    let config = config(&text).expect("good");
    let names: Vec<&str> = config.companions.iter().map(|companion| companion.node.interface.as_str()).collect();
    assert_eq!(names, ["fated1", "fated2"]);
}

#[test]
fn what_can_not_be_meant_is_refused_where_it_stands() {
    let tcp = "probe = \"tcp\"\nport = 1";
    let one = |rest: &str| companion("a", "192.0.2.80", rest);
    let anycast = "[anycast]\naddresses = [\"192.0.2.80\"]\ninterface = \"fated1\"\n";
    let table = [
        (one("probe = \"ftp\""), "f:4:9", "\"tcp\", \"http\""),
        (one("probe = \"tcp\""), "f:4:9", "needs `port`"),
        (one("probe = \"kerberos\""), "f:4:9", "needs `realm`"),
        (one("probe = \"command\""), "f:4:9", "needs `command`"),
        (one("probe = \"command\"\ncommand = []"), "f:5:11", "0 words"),
        (one("probe = \"tcp\"\nport = 1\nrealm = \"R\""), "f:4:9", "`companion.realm` is nothing to"),
        (one("probe = \"dns\"\nquery = \"example.com.\""), "f:5:9", "a name and a type"),
        (one("probe = \"http\"\npath = \"/a b\""), "f:5:8", "without blanks"),
        (one("probe = \"http\"\nhost = \"a\\r\\nb\""), "f:5:8", "without blanks"),
        (one("probe = \"ldap\"\ntls = \"x\""), "f:5:7", "no [[tls]] is called"),
        (one(&format!("{tcp}\nlease = \"1500ms\"")), "f:6:9", "whole seconds"),
        (one(&format!("{tcp}\ninterval = \"600ms\"\ntimeout = \"600ms\"")), "f:2:8", "between two proofs"),
        (one(&format!("{tcp}\nfall = 0")), "f:6:8", "1 to 100"),
        (one(&format!("{tcp}\ninterface = \"a/b\"")), "f:6:13", "a device's name"),
        (one(&format!("{tcp}\nfail = 1")), "f:6:1", "did you mean `fall`?"),
        (companion("A", "192.0.2.80", tcp), "f:2:8", "a to z"),
        (companion("a", "127.0.0.1", tcp), "f:3:14", "unicast"),
        (one(tcp) + &companion("a", "192.0.2.81", tcp), "f:7:8", "two [[companion]] are called \"a\""),
        (one(tcp) + &companion("b", "192.0.2.80", tcp), "f:8:14", "a service address already"),
        (format!("{anycast}{}", companion("a", "192.0.2.80", tcp)), "f:6:14", "a service address already"),
        (format!("{anycast}{}", companion("a", "192.0.2.81", tcp)), "f:5:8", "which another service has"),
        ("[[companion]]\nname = \"a\"\naddresses = []\nprobe = \"ldap\"".to_owned(), "f:3:13", "0 addresses"),
    ];
    for (text, place, said) in table {
        let shown = config(&text).expect_err(&text).to_string();
        assert!(shown.contains(place) && shown.contains(said), "{text}\nwants {place} {said}:\n{shown}");
    }
}
