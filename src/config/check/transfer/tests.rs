//! Transfers: what is taken, what is refused and how that is said, and that no secret is ever shown.

use std::fmt::Write;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;
use crate::config::{Config, ConfigError, Overrides, parse};

/// A secret of 32 octets.
const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn config(text: &str) -> Result<Config, ConfigError> {
    parse(Path::new("etc/fated.toml"), text, &Overrides::default())
}

fn good(text: &str) -> Config {
    config(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> String {
    config(text).expect_err(text).to_string()
}

/// A key of that name.
fn key(name: &str) -> String {
    format!("[[key]]\nname = \"{name}\"\nalgorithm = \"hmac-sha256\"\nsecret = \"{SECRET}\"\n")
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn prefixes(list: &AccessList) -> Vec<String> {
    list.0.iter().map(|rule| rule.prefix.to_string()).collect()
}

/// What is set about a zone.
fn of<'c>(config: &'c Config, zone: &str) -> &'c Arc<TransferSettings> {
    config.zones.transfers_of(name(zone).as_ref())
}

#[test]
fn a_zone_with_primaries_is_listed_with_all_that_is_set() {
    let text = format!(
        r#"{}
[[zone]]
name = "Example.org"
primaries = [{{ address = "192.0.2.1", key = "XFR" }}, {{ address = "[2001:db8::1]:5353" }},
    {{ address = "2001:db8::2" }}, {{ address = "::ffff:192.0.2.7" }}]
allow-notify = [{{ prefix = "192.0.2.0/24", key = "xfr." }}, {{ prefix = "2001:db8::1" }}]
allow-transfer = [{{ prefix = "10.0.0.0/8", key = "xfr" }}]
notify = [{{ address = "10.1.1.1:5300", key = "xfr" }}]
transfer-octets-max = 1000
transfer-records-max = 100
transfer-time-max = "5m"
journal-octets-max = 0
refresh-min = "1m"
refresh-max = "1h"
retry-min = "10s"
retry-max = "20s"
expire-min = "24h"
expire-max = "24h"
[[zone]]
name = "file.test"
file = "file.zone"
"#,
        key("xfr.")
    );
    let config = good(&text);
    let [secondary] = &config.zones.secondaries[..] else { panic!("{:?}", config.zones.secondaries) };
    assert_eq!(
        (secondary.name.to_string().as_str(), secondary.said_at.as_str()),
        ("Example.org.", "etc/fated.toml:7:8")
    );
    assert!(Arc::ptr_eq(&secondary.transfers, of(&config, "eXample.ORG")));
    let settings = &secondary.transfers;
    let key = config.keys.find(name("xFr").as_ref()).expect("the key is there");
    let expected = ["192.0.2.1:53", "[2001:db8::1]:5353", "[2001:db8::2]:53", "192.0.2.7:53"].map(address);
    assert_eq!(settings.primaries.iter().map(|peer| peer.address).collect::<Vec<_>>(), expected);
    assert_eq!(settings.primaries[0].key.as_ref(), Some(key));
    assert_eq!(settings.primaries[1].key, None);
    assert_eq!(prefixes(&settings.allow_notify), ["192.0.2.0/24", "2001:db8::1/128"]);
    assert_eq!((&settings.allow_notify.0[0].key, &settings.allow_notify.0[1].key), (&Some(Arc::clone(key)), &None));
    assert_eq!(prefixes(&settings.allow_transfer), ["10.0.0.0/8"]);
    assert_eq!(settings.notify, [Peer { address: address("10.1.1.1:5300"), key: Some(Arc::clone(key)), tls: None }]);
    let seconds = Duration::from_secs;
    let limits = TransferLimits {
        octets_max: 1000,
        records_max: 100,
        time_max: seconds(300),
        journal_octets_max: 0,
        refresh: (seconds(60), seconds(3600)),
        retry: (seconds(10), seconds(20)),
        expire: (seconds(86_400), seconds(86_400)),
    };
    assert_eq!(settings.limits, limits);
    assert_eq!(config.zones.files.len(), 1);
    assert_eq!(**of(&config, "file.test"), TransferSettings::default());
    assert!(
        config.warnings.len() == 1 && config.warnings[0].contains("no `server.state-dir`"),
        "{:?}",
        config.warnings
    );
}

#[test]
fn primaries_may_notify_where_nothing_else_is_written() {
    let zone = |lines: &str| format!("{}[[zone]]\nname = \"z\"\n{lines}\n", key("k"));
    let primaries = "primaries = [{ address = \"192.0.2.1:5353\", key = \"k\" }, { address = \"2001:db8::1\" }]";
    let config = good(&zone(primaries));
    let settings = of(&config, "z");
    assert_eq!(prefixes(&settings.allow_notify), ["192.0.2.1/32", "2001:db8::1/128"]);
    assert_eq!(settings.allow_notify.0[0].key, settings.primaries[0].key);
    assert_eq!(settings.allow_notify.0[1].key, None);
    assert!(of(&good(&zone(&format!("{primaries}\nallow-notify = []"))), "z").allow_notify.is_empty());
}

#[test]
fn a_zone_stands_above_its_template_key_by_key() {
    let text = format!(
        r#"
[server]
zones-dir = "zones"
state-dir = "state"
{}
[[template]]
name = "default"
notify = [{{ address = "192.0.2.9" }}]
[[template]]
name = "fleet"
primaries = [{{ address = "192.0.2.1", key = "k" }}]
allow-transfer = [{{ prefix = "10.0.0.0/8" }}]
refresh-max = "1h"
[[template]]
name = "closed"
primaries = [{{ address = "192.0.2.1" }}]
allow-notify = []
[[zone]]
name = "a"
template = "fleet"
[[zone]]
name = "b"
template = "fleet"
[[zone]]
name = "c"
template = "fleet"
primaries = [{{ address = "192.0.2.2" }}]
refresh-min = "1m"
[[zone]]
name = "d"
template = "fleet"
primaries = []
file = "d.zone"
[[zone]]
name = "e"
file = "e.zone"
[[zone]]
name = "f"
template = "closed"
primaries = [{{ address = "192.0.2.2" }}]
"#,
        key("k")
    );
    let config = good(&text);
    let [a, b, c, d, e, f, in_folder] = ["a", "b", "c", "d", "e", "f", "found.test"].map(|zone| of(&config, zone));
    assert!(Arc::ptr_eq(a, b), "nothing of their own");
    assert_eq!(prefixes(&a.allow_notify), ["192.0.2.1/32"]);
    assert_eq!(c.primaries[0].address, address("192.0.2.2:53"));
    assert_eq!(prefixes(&c.allow_notify), ["192.0.2.2/32"], "its own primaries may notify, not the template's");
    assert_eq!(c.allow_transfer, a.allow_transfer);
    assert_eq!(c.limits.refresh, (Duration::from_secs(60), Duration::from_secs(3600)));
    assert!(d.primaries.is_empty() && d.allow_notify.is_empty() && d.allow_transfer == a.allow_transfer);
    assert!(Arc::ptr_eq(e, in_folder) && Arc::ptr_eq(e, &config.zones.default_transfers));
    assert_eq!(e.notify[0].address, address("192.0.2.9:53"));
    assert!(a.notify.is_empty(), "one template holds, not two");
    assert!(f.allow_notify.is_empty(), "the template says that nobody may");
    let secondaries: Vec<String> = config.zones.secondaries.iter().map(|zone| zone.name.to_string()).collect();
    assert_eq!(secondaries, ["a.", "b.", "c.", "f."]);
    let files: Vec<String> = config.zones.files.iter().map(|zone| zone.name.to_string()).collect();
    assert_eq!(files, ["d.", "e."]);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn a_zone_comes_from_a_file_or_from_primaries() {
    let both = "[[zone]]\nname = \"z\"\nprimaries = [{ address = \"192.0.2.1\" }]\nfile = \"z.zone\"\n";
    let neither = "[[zone]]\nname = \"z\"\n";
    let empty = "[[zone]]\nname = \"z\"\nfile = \"f\"\nprimaries = []\n";
    let inherited = "[[template]]\nname = \"t\"\nprimaries = [{ address = \"192.0.2.1\" }]\n\
        [[zone]]\nname = \"z\"\ntemplate = \"t\"\nfile = \"f\"\n";
    let folder = "[server]\nzones-dir = \"z\"\n\
        [[template]]\nname = \"default\"\nprimaries = [{ address = \"192.0.2.1\" }]\n";
    for (text, parts) in [
        (both, ["the zone z. has both `file` and `primaries`", "fated.toml:4:8", "`fated zone export`"]),
        (inherited, ["the zone z. has both `file` and `primaries`", "fated.toml:7:8", "`primaries = []`"]),
        (neither, ["the zone z. has neither `file` nor `primaries`", "fated.toml:2:8", "comes from nowhere"]),
        (empty, ["`zone.primaries` is empty, and no template has primaries", "fated.toml:4:13", "take it out"]),
        (folder, ["the template `default` has `primaries`, but", "fated.toml:5:13", "another name"]),
    ] {
        let shown = error(text);
        assert!(parts.iter().all(|part| shown.contains(part)), "{text}: {shown}");
    }
    let zones = vec![(name("c.test"), PathBuf::from("c.zone"))];
    let overrides = Overrides { zones, ..Overrides::default() };
    let shown = parse(Path::new("f"), &folder.replace("zones-dir", "state-dir"), &overrides).expect_err("a file");
    assert!(shown.to_string().contains("of `server.zones-dir` and --zone have files"), "{shown}");
}

#[test]
fn what_is_wrong_with_a_list_is_shown_where_it_stands() {
    let many = vec!["{ prefix = \"10.0.0.1\" }"; 65].join(", ");
    let many = format!("allow-transfer = [{many}]");
    for (line, message, column) in [
        (
            "primaries = [{ address = \"localhost\" }]",
            "`zone.primaries.address` is \"localhost\", but it must be an",
            26,
        ),
        (
            "notify = [{ address = \"0.0.0.0\" }]",
            "`zone.notify.address` is \"0.0.0.0\", but it must be the address of",
            23,
        ),
        (
            "notify = [{ address = \"10.0.0.1:0\" }]",
            "but it must be the address of one server, with a port that is",
            23,
        ),
        ("notify = [{ address = \"ff02::1\" }]", "but it must be the address of one server", 23),
        ("notify = [{ address = \"fe80::1%none0\" }]", "on a device that is there, but this host has no `none0`", 23),
        ("allow-notify = [{ prefix = \"10/8\" }]", "`zone.allow-notify.prefix` is \"10/8\", but it must be a pref", 28),
        ("allow-notify = [{ prefix = \"10.0.0.1/8\" }]", "behind its length, such as \"10.0.0.0/8\"", 28),
        ("allow-notify = [{ prefix = \"10.0.0.0/33\" }]", "but it must be a prefix or an address such as", 28),
        ("allow-notify = [{ prefix = \"::ffff:0:0/96\" }]", "but it must be an IPv4 prefix as such", 28),
        (
            "allow-transfer = [{ prefix = \"::/0\", key = \"no.\" }]",
            "`zone.allow-transfer.key` is \"no.\", which no [[key]]",
            44,
        ),
        (
            "primaries = [{ address = \"10.0.0.1\", key = \"..\" }]",
            "`zone.primaries.key` is \"..\", which no [[key]]",
            44,
        ),
        ("primaries = [{ key = \"k\" }]", "`zone.primaries`: missing field `address`", 14),
        ("notify = [{ address = \"10.0.0.1\", prefix = \"::/0\" }]", "`zone.notify`: unknown field `prefix`", 35),
        ("notify = \"10.0.0.1\"", "`zone.notify`: invalid type", 10),
        ("template = \"no\"", "`zone.template` is \"no\", which no [[template]] is called", 12),
        ("expire-min = \"0s\"", "`zone.expire-min` is \"0s\", but it must be a time", 14),
        (
            "refresh-min = \"673h\"",
            "`zone.refresh-min` is 2422800s, more than `zone.refresh-max`, which is 2419200s",
            15,
        ),
        ("retry-max = \"1s\"", "`zone.retry-min` is 2s, more than `zone.retry-max`, which is 1s", 13),
        ("journal-octets-max = -1", "`zone.journal-octets-max` is -1, but it must be 0 to 1125899906842624", 22),
        ("notfy = []", "unknown key `zone.notfy`", 1),
        (&many, "`zone.allow-transfer` is 65 entries, but it must be at most 64 entries", 18),
    ] {
        let shown = error(&format!("[[zone]]\nname = \"z\"\nfile = \"f\"\n{line}\n{}", key("k")));
        assert!(shown.contains(message), "{line}: {shown}");
        assert!(shown.contains(&format!("etc/fated.toml:4:{column}")), "{line}: {shown}");
    }
    assert!(error("[[zone]]\nname = \"z\"\nfile = \"f\"\nnotfy = []\n").contains("did you mean `notify`?"));
    for (lines, message) in [
        ("name = \"t\"\n[[template]]\nname = \"t\"", "the template \"t\" is named twice"),
        ("name = \"\"", "`template.name` is 0 octets long, but it must be 1 to 255 octets long"),
        ("name = \"t\"\nprimaries = []", "`template.primaries` is empty, and no template has primaries"),
        ("name = \"t\"\nfile = \"f\"", "unknown key `template.file`"),
        ("notify = []", "`template`: missing field `name`"),
    ] {
        let shown = error(&format!("[server]\nzones-dir = \"z\"\n[[template]]\n{lines}\n"));
        assert!(shown.contains(message), "{lines}: {shown}");
    }
}

#[test]
fn parents_are_told_where_a_zone_or_its_template_says_so() {
    let config = good(
        "[server]\nresolver = [\"192.0.2.53\", \"[::1]:5300\"]\n[[template]]\nname = \"default\"\n\
         notify-dsync-delay = \"1m\"\n[[zone]]\nname = \"a.test\"\nfile = \"a\"\nnotify-dsync = true\n\
         [[zone]]\nname = \"b.test\"\nfile = \"b\"\nnotify-dsync-delay = \"0s\"\n",
    );
    assert_eq!(*config.resolvers, [address("192.0.2.53:53"), address("[::1]:5300")]);
    let set = |zone| (of(&config, zone).notify_dsync, of(&config, zone).notify_dsync_delay);
    assert_eq!(set("a.test."), (true, Duration::from_secs(60)));
    assert_eq!(set("b.test."), (false, Duration::ZERO));
    assert!(good("[server]\nzones-dir = \"zones\"\n").resolvers.is_empty(), "those of the system");
    for (line, parts) in [
        ("resolver = []", "`server.resolver` is 0 addresses, but it must be 1 to 8 addresses"),
        ("resolver = [\"127.0.0.1\", \"dns.test\"]", "`server.resolver` is \"dns.test\""),
        ("resolver = [\"0.0.0.0\"]", "the address of one server"),
    ] {
        let shown = error(&format!("[server]\nzones-dir = \"zones\"\n{line}\n"));
        let column = line.find("\"dns").or_else(|| line.find("\"0.0")).unwrap_or("resolver = ".len()) + 1;
        assert!(shown.contains(parts) && shown.contains(&format!("etc/fated.toml:3:{column}")), "{line}: {shown}");
    }
    let shown = error("[[zone]]\nname = \"a.test\"\nfile = \"a\"\nnotify-dsync-delay = \"2d\"\n");
    assert!(shown.contains("`zone.notify-dsync-delay` is \"2d\"") && shown.contains("etc/fated.toml:4:22"), "{shown}");
    let shown = error("[[zone]]\nname = \"a.test\"\nfile = \"a\"\nnotify-dsync = \"yes\"\n");
    assert!(shown.contains("`zone.notify-dsync`") && shown.contains("etc/fated.toml:4:16"), "{shown}");
}

#[test]
fn keys_are_known_by_their_folded_names_and_each_once() {
    let text = format!("[server]\nzones-dir = \"z\"\n{}{}", key("A.test"), key("b."));
    let config = good(&text);
    for (written, known) in [("a.TEST", "a.test."), ("B", "b.")] {
        assert_eq!(config.keys.find(name(written).as_ref()).expect("there").name().to_string(), known);
    }
    assert!(config.keys.find(name("c").as_ref()).is_none());
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let shown = error(&format!("{text}{}", key("a.Test.")));
    let parts = ["the key a.Test. is named twice", "fated.toml:4:8", "fated.toml:12:8"];
    assert!(parts.iter().all(|part| shown.contains(part)), "{shown}");
    let shown = error(&format!("[server]\nzones-dir = \"z\"\n{}", key("a..b")));
    assert!(shown.contains("`key.name` is \"a..b\", which is no domain name"), "{shown}");
}

#[test]
fn algorithms_are_those_of_rfc_8945_and_md5_only_by_request() {
    let with = |lines: &str| {
        config(&format!("[server]\nzones-dir = \"z\"\n[[key]]\nname = \"k\"\n{lines}\nsecret = \"{SECRET}\"\n"))
    };
    for algorithm in ["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "HMAC-SHA512."] {
        let config = with(&format!("algorithm = \"{algorithm}\"")).expect("good");
        let known = config.keys.find(name("k").as_ref()).expect("there").algorithm();
        assert_eq!(Some(known), Algorithm::from_word(algorithm));
    }
    let shown = with("algorithm = \"hmac-md5\"").expect_err("weak").to_string();
    assert!(
        shown.contains("must not be used any more (RFC 8945 §6)") && shown.contains("`allow-md5 = true`"),
        "{shown}"
    );
    let config = with("algorithm = \"hmac-md5\"\nallow-md5 = true").expect("asked for");
    assert_eq!(config.keys.find(name("k").as_ref()).expect("there").algorithm(), Algorithm::Md5);
    let shown = with("algorithm = \"hmac-sha256-128\"").expect_err("truncated").to_string();
    assert!(shown.contains("`key.algorithm` is \"hmac-sha256-128\", but it must be one of \"hmac-md5\", "), "{shown}");
}

#[test]
fn a_secret_that_is_shorter_than_the_mac_is_a_warning() {
    let mut text = "[server]\nzones-dir = \"z\"\n".to_owned();
    for index in 0..7 {
        let _ = write!(text, "[[key]]\nname = \"k{index}\"\nalgorithm = \"hmac-sha512\"\nsecret = \"{SECRET}\"\n");
    }
    let config = good(&text);
    let [warning] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
    assert!(
        warning.contains(": 7: k0. (less than 64 octets), k1.") && warning.ends_with("k4. (less than 64 octets), …"),
        "{warning}"
    );
}

#[test]
fn more_keys_than_the_most_are_refused() {
    let mut text = "[server]\nzones-dir = \"z\"\n".to_owned();
    (0..=KEYS_MAX).for_each(|index| text.push_str(&key(&format!("k{index}"))));
    assert!(error(&text).contains("there are 10001 [[key]], but there may be 10000 at most"));
}

/// A folder with a file `secret`, and a configuration there that names it.
fn with_secret_file(text: &[u8], mode: u32) -> (tempfile::TempDir, Result<Config, ConfigError>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    fs::write(&path, text).expect("writes");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("sets the mode");
    let config = from_secret_file(folder.path(), "secret");
    (folder, config)
}

/// A configuration in a folder that names a file of it.
fn from_secret_file(folder: &Path, file: &str) -> Result<Config, ConfigError> {
    let key = format!("[[key]]\nname = \"k\"\nalgorithm = \"hmac-sha256\"\nsecret-file = \"{file}\"\n");
    parse(&folder.join("fated.toml"), &format!("[server]\nzones-dir = \"z\"\n{key}"), &Overrides::default())
}

#[test]
fn a_secret_comes_from_a_file_that_its_owner_alone_may_read() {
    let inline = good(&format!("[server]\nzones-dir = \"z\"\n{}", key("k")));
    for mode in [0o600, 0o400] {
        let (_folder, config) = with_secret_file(format!("\n {SECRET}\n\n").as_bytes(), mode);
        assert_eq!(config.expect("good").keys, inline.keys);
    }
    for (text, mode, message) in [
        (SECRET.as_bytes(), 0o640, "its mode is 0640, so others than its owner may read or write it; `chmod 600`"),
        (SECRET.as_bytes(), 0o604, "its mode is 0604"),
        (SECRET.as_bytes(), 0o620, "its mode is 0620"),
        (b"", 0o600, "holds is no base64 of 4 to 4096 octets"),
        (b"c2VjcmV0!", 0o600, "holds is no base64"),
        (b"\xff\xfe", 0o600, "holds is no base64"),
        (&[b'A'; 4097], 0o600, "it is longer than 4096 octets"),
    ] {
        let (_folder, config) = with_secret_file(text, mode);
        let shown = config.expect_err(message).to_string();
        assert!(shown.contains("the key k.: ") && shown.contains(message), "{shown}");
        assert!(!shown.contains(SECRET) && !shown.contains("c2Vj"), "{shown}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("folder")).expect("makes a folder");
    for (file, message) in [
        ("absent", "absent: it can't be read: No such file"),
        ("folder", "folder: it is no regular file"),
        ("/dev/zero", "`secret-file` /dev/zero: it is no regular file"),
    ] {
        let shown = from_secret_file(folder.path(), file).expect_err(message).to_string();
        assert!(shown.contains(message) && shown.contains("fated.toml:6:15"), "{shown}");
    }
}

#[test]
fn the_control_socket_is_known_to_those_who_may_not_read_the_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fated.toml");
    fs::write(
        &file,
        "[server]\ncontrol = \"c.sock\"\n[[key]]\nname = \"k\"\nalgorithm = \"x\"\nsecret-file = \"none\"\n",
    )
    .expect("writes");
    assert!(crate::config::load(Some(&file), &Overrides::default()).is_err());
    assert_eq!(crate::config::control(&file).expect("good enough"), Some(folder.path().join("c.sock")));
    fs::write(&file, "[server]\ncontrl = \"c.sock\"\n").expect("writes");
    assert!(crate::config::control(&file).expect_err("unknown").to_string().contains("`server.contrl`"));
}

#[test]
fn of_very_many_faults_the_first_are_shown() {
    let mut text = String::new();
    (0..10_000).for_each(|index| text.push_str(&format!("[[zone]]\nname = \"z{index}\"\ntemplate = \"no\"\n")));
    let error = config(&text).expect_err("no such template");
    let shown = error.to_string();
    assert_eq!((error.faults.len(), shown.matches("`zone.template` is \"no\"").count()), (10_000, 100));
    assert!(shown.ends_with("\nfaults besides these: 9900"), "{shown}");
}

#[test]
fn no_fault_shows_a_secret() {
    const HIDDEN: &str = "c2VjcmV0IHNlY3JldA";
    let start = "[server]\nzones-dir = \"z\"\n";
    let header = "[[key]]\nname = \"k\"\nalgorithm = \"hmac-sha256\"\n";
    for (lines, message) in [
        // Values.
        (format!("{header}secret = \"{HIDDEN}\""), "the key k.: its `secret` is no base64"),
        (format!("{header}secret = \"\""), "the key k.: its `secret` is no base64 of 4 to 4096 octets"),
        (format!("{header}secret = \"{HIDDEN}==\"\nsecret-file = \"f\""), "has both of `secret` and `secret-file`"),
        (header.to_owned(), "has neither of `secret` and `secret-file`"),
        // Keys and types.
        (format!("{header}secert = \"{HIDDEN}==\""), "unknown key `key.secert`"),
        (format!("{header}secret = [\"{HIDDEN}==\"]"), "`key.secret` is of the wrong type"),
        (
            "[[key]]\nname = \"k\"\nalgorithm = \"hmac-sha256\"\nsecret = 20252025".into(),
            "`key.secret` is of the wrong",
        ),
        (format!("[key]\nsecret = \"{HIDDEN}==\""), "`key"),
        (format!("[[keys]]\nsecert = \"{HIDDEN}==\""), "unknown key `keys`"),
        (format!("[[key]]\nname = \"k\"\nsecret = \"{HIDDEN}==\""), "missing field `algorithm`"),
        // What is no TOML.
        (format!("{header}secret = \"{HIDDEN}=="), ":6:"),
        (format!("{header}secret = {HIDDEN}=="), ":6:"),
        (format!("{header}secret = \"{HIDDEN}\\q\""), ":6:"),
        (format!("{header}secret = \"\"\"\n{HIDDEN}\\q\"\"\""), ":7:"),
        (format!("{header}\"secret\" = \"{HIDDEN}==\" x"), ":6:"),
        (format!("{header}secret \"{HIDDEN}==\""), ":6:"),
        (format!("{header}secert : \"{HIDDEN}==\""), ":6:"),
        (format!("[[tsig]]\nsecret = \"{HIDDEN}"), ":4:"),
        (format!("[[ \"key\" ]]\nname = \"k\"\n{HIDDEN} = \"{HIDDEN}"), ":5:"),
    ] {
        let shown = error(&format!("{start}{lines}\n"));
        assert!(shown.contains(message), "{lines}: {shown}");
        assert!(!shown.contains(&HIDDEN[..8]) && !shown.contains("20252025"), "{lines}: {shown}");
    }
    for inline in [
        format!("key = [{{ name = \"k\", secret = \"{HIDDEN}==\" }}]"),
        format!("key = [\n{{ name = \"k\", secret = \"{HIDDEN}==\" }}]"),
        format!("key = [{{ name = \"k\", secert = \"{HIDDEN}\" }}]"),
        format!("key = [\"hmac-sha256:k:{HIDDEN}\"]"),
        format!("key = \"hmac-sha256:k:{HIDDEN}\""),
        format!("key = [{{ name = \"k\", algorithm = \"hmac-sha256\", secret = \"{HIDDEN}"),
    ] {
        let shown = error(&format!("{inline}\n{start}"));
        assert!(!shown.contains(&HIDDEN[..8]), "{inline}: {shown}");
    }
    let shown = error(&format!("{start}{header}secret-file = 3\nalow-md5 = 1\n"));
    assert!(shown.contains("unknown key `key.alow-md5`") && shown.contains("`allow-md5`"), "{shown}");
    assert!(!format!("{:?}", good(&format!("{start}{}", key("k")))).contains(&SECRET[..8]));
}

#[test]
fn what_holds_no_secret_is_shown_as_it_is_written() {
    let shown = error(&format!("{}[[zone]]\nname = \"z\"\nfile = \"f\"\nnotify = [{{ address = \"x\" }}]\n", key("k")));
    assert!(shown.contains("notify = [{ address = \"x\" }]"), "{shown}");
    let shown = error("[server]\nzones-dir = \"z\"\n[[key]]\nname = \"k\"\nalgorithm = \"sha\"\nsecret-file = \"é\"\n");
    assert!(shown.contains("algorithm = \"sha\"") && shown.contains("secret-file = \"é\""), "{shown}");
}

#[test]
fn ten_thousand_zones_are_checked_in_linear_time() {
    let took = |zones: usize| {
        let mut text = format!("[server]\nstate-dir = \"s\"\n{}", key("k"));
        text.push_str("[[template]]\nname = \"t\"\nprimaries = [{ address = \"192.0.2.1\", key = \"k\" }]\n");
        for index in 0..zones {
            let own = if index % 2 == 0 { "" } else { "notify = [{ address = \"192.0.2.2\" }]\n" };
            let _ = write!(text, "[[zone]]\nname = \"z{index}\"\ntemplate = \"t\"\n{own}");
        }
        let start = Instant::now();
        let config = good(&text);
        assert_eq!(config.zones.secondaries.len(), zones);
        let shared = Arc::strong_count(&config.zones.secondaries[0].transfers);
        assert_eq!(shared, zones, "half of the zones have it, each in the list and in the table");
        start.elapsed()
    };
    let (few, many) = (took(1_000).min(took(1_000)), took(10_000));
    assert!(many < few * 40, "ten times as many took {many:?} instead of {few:?}");
}
