//! TLS: what is taken, what is refused and how that is said.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::config::{Config, ConfigError, Overrides, parse};
use crate::transfer::TlsRule;
use crate::wire::Name;

/// A pin of nobody.
const PIN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A folder with `own.pem`, `own.key` and `other.key`, which is of another certificate.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let own = rcgen::generate_simple_self_signed(vec!["dot.test".to_owned()]).expect("a certificate");
    let other = rcgen::KeyPair::generate().expect("a key");
    for (file, text) in [
        ("own.pem", own.cert.pem()),
        ("own.key", own.signing_key.serialize_pem()),
        ("other.key", other.serialize_pem()),
        ("none.pem", "nothing".to_owned()),
    ] {
        fs::write(folder.path().join(file), text).expect("writes");
        fs::set_permissions(folder.path().join(file), Permissions::from_mode(0o600)).expect("it is ours");
    }
    folder
}

fn config(folder: &TempDir, text: &str) -> Result<Config, ConfigError> {
    let overrides = Overrides { zones_dir: Some("zones".into()), ..Overrides::default() };
    parse(&folder.path().join("f"), text, &overrides)
}

/// `[server.tls]` with these files.
fn server(certificate: &str, key: &str) -> String {
    format!("[server.tls]\nlisten = [\"127.0.0.1\"]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n")
}

/// A `[[tls]]` with these lines.
fn peer(lines: &str) -> String {
    format!("[[tls]]\nname = \"p\"\n{lines}\n")
}

/// A zone with these lines.
fn zone(lines: &str) -> String {
    format!("[[zone]]\nname = \"z.test\"\n{lines}\n")
}

#[test]
fn a_server_has_its_certificate_and_asks_clients_only_where_a_rule_does() {
    let folder = folder();
    let tls = config(&folder, &server("own.pem", "own.key")).expect("it is right").tls.expect("it is there");
    assert_eq!((tls.listen, tls.asks_clients), (vec!["127.0.0.1:853".parse().expect("an address")], false));
    for (named, asks) in [("any", false), ("p", true)] {
        let rule = format!("file = \"z\"\nallow-transfer = [{{ prefix = \"0.0.0.0/0\", tls = \"{named}\" }}]");
        let text = server("own.pem", "own.key") + &peer(&format!("pins = [\"{PIN}\"]")) + &zone(&rule);
        let config = config(&folder, &text).expect("it is right");
        assert_eq!(config.tls.expect("it is there").asks_clients, asks);
        let name: Name = "z.test".parse().expect("a name");
        let rules = &config.zones.transfers_of(name.as_ref()).allow_transfer.0;
        assert_eq!(matches!(rules[0].tls, Some(TlsRule::Any)), !asks);
    }
    let rule = "file = \"z\"\nallow-transfer = [{ prefix = \"0.0.0.0/0\", tls = \"p\" }]";
    let without = config(&folder, &(peer("ca = \"own.pem\"") + &zone(rule))).expect("it is right");
    assert!(without.tls.is_none() && without.warnings.iter().any(|warning| warning.contains("nobody can meet them")));
}

#[test]
fn a_primary_over_tls_has_another_port() {
    let (folder, name) = (folder(), "z.test".parse::<Name>().expect("a name"));
    let text = peer("ca = \"own.pem\"\nhostname = \"dot.test.\"\ncertificate = \"own.pem\"\nkey = \"own.key\"")
        + &zone("primaries = [{ address = \"192.0.2.1\", tls = \"p\" }, { address = \"192.0.2.2\" }]");
    let config = config(&folder, &text).expect("it is right");
    let primaries = &config.zones.transfers_of(name.as_ref()).primaries;
    assert_eq!((primaries[0].address.port(), primaries[1].address.port()), (853, 53));
    let tls = primaries[0].tls.as_ref().expect("it has one");
    assert!(tls.has_certificate() && primaries[1].tls.is_none());
    assert_eq!(tls.identity().hostname.as_ref().map(|name| name.to_str().into_owned()), Some("dot.test".to_owned()));
}

#[test]
fn what_can_not_be_is_refused_with_what_to_do() {
    let folder = folder();
    fs::set_permissions(folder.path().join("other.key"), Permissions::from_mode(0o640)).expect("it is ours");
    let pin = format!("pins = [\"{PIN}\"]");
    for (text, parts) in [
        ("[server.tls]\nlisten = [\"127.0.0.1\"]\n".to_owned(), &["without `certificate` and `key`", "openssl"][..]),
        ("[server.tls]\ncertificate = \"own.pem\"\n".to_owned(), &["only one is written"]),
        (server("none.pem", "own.key"), &["none.pem: it holds no certificate"]),
        (server("own.pem", "none.pem"), &["none.pem: it holds no private key"]),
        (server("absent.pem", "own.key"), &["absent.pem: it can't be read"]),
        (server("own.pem", "other.key"), &["its mode is 0640", "chmod 600"]),
        (server("own.pem", "own.key").replace("127.0.0.1", "dot.test"), &["server.tls.listen"]),
        (peer(""), &["neither `ca` nor `pins`"]),
        (peer("pins = []"), &["neither `ca` nor `pins`"]),
        (peer("pins = [\"AAEC\"]"), &["44 characters"]),
        (peer(&format!("{pin}\nhostname = \"dot.test\"")), &["`hostname` without `ca`"]),
        (peer("ca = \"own.pem\"\nhostname = \"dot test\""), &["a host name or an address"]),
        (peer("ca = \"own.key\""), &["own.key: it holds no certificate"]),
        (peer(&pin).replace("\"p\"", "\"any\""), &["not \"any\""]),
        (peer(&pin) + &peer(&pin), &["named twice"]),
        (zone("primaries = [{ address = \"192.0.2.1\", tls = \"p\" }]"), &["no [[tls]] is called"]),
        (
            peer("ca = \"own.pem\"") + &zone("primaries = [{ address = \"192.0.2.1\", tls = \"p\" }]"),
            &["neither `hostname` nor `pins`", "is the primary"],
        ),
        (zone("primaries = [{ address = \"192.0.2.1\", tls = \"any\" }]"), &["no [[tls]] is called"]),
        (
            peer(&pin) + &zone("file = \"z\"\nnotify = [{ address = \"192.0.2.1\", tls = \"p\" }]"),
            &["notifications go over UDP"],
        ),
    ] {
        let error = config(&folder, &text).expect_err(&text).to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} is missing for\n{text}\nin\n{error}");
        }
        assert!(!error.contains("PRIVATE"), "{error}");
    }
    fs::set_permissions(folder.path().join("other.key"), Permissions::from_mode(0o600)).expect("it is ours");
    let error = config(&folder, &server("own.pem", "other.key")).expect_err("two keys").to_string();
    assert!(error.contains("other.key: the key is of another certificate"), "{error}");
}
