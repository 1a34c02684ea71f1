//! The configuration's values: what is taken, what is refused and how that is said.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::{LogFormat, LogLevel, parse};

fn config(text: &str) -> Result<Config, ConfigError> {
    parse(Path::new("etc/fated.toml"), text, &Overrides::default())
}

fn error(text: &str) -> String {
    config(text).expect_err("a fault").to_string()
}

#[test]
fn every_key_is_taken_with_its_unit() {
    let config = config(
        r#"
[server]
listen = ["192.0.2.53", "[2001:db8::53]:5353", "2001:db8::54", "[2001:db8::55]"]
workers = 3
identity = "fra1"
version = ""
zones-dir = "zones"
control = "/run/c.sock"
state-dir = "/var/lib/fated"
udp-payload-max = 4096
follow-across-zones = true
[server.tcp]
clients-max = 100
idle-timeout = "2m"
io-timeout = "250ms"
mss = 1400
[log]
level = "debug"
format = "json"
[[zone]]
name = "example.com"
file = "a.zone"
"#,
    )
    .expect("a good file");
    let listen: Vec<String> = config.listen.iter().map(|listen| listen.address.to_string()).collect();
    assert_eq!(listen, ["192.0.2.53:53", "[2001:db8::53]:5353", "[2001:db8::54]:53", "[2001:db8::55]:53"]);
    assert!(config.listen.iter().all(|listen| listen.absence == Absence::Await));
    assert_eq!(config.workers.get(), 3);
    assert_eq!(config.settings.identity.as_deref(), Some(&b"fra1"[..]));
    assert_eq!(config.settings.version, None);
    assert_eq!(config.settings.udp_payload_bytes_max, 4096);
    assert_eq!(config.settings.tcp_idle_timeout_100ms, 1200);
    assert!(config.settings.follow_across_zones);
    assert_eq!(config.tcp.clients_max, 100);
    assert_eq!(config.tcp.clients_per_address_max, 100);
    assert_eq!(config.tcp.io_timeout, Duration::from_millis(250));
    assert_eq!(config.tcp.mss, 1400);
    assert_eq!(config.log, Log { level: LogLevel::Debug, format: LogFormat::Json });
    assert_eq!(config.control.as_deref(), Some(Path::new("/run/c.sock")));
    assert_eq!(config.state_dir.as_deref(), Some(Path::new("/var/lib/fated")));
    assert_eq!(config.zones.dir.as_deref(), Some(Path::new("etc/zones")));
    assert_eq!(config.zones.files[0].path, Path::new("etc/a.zone"));
    assert_eq!(config.zones.files[0].said_at, "etc/fated.toml:21:8");
}

#[test]
fn nothing_written_means_the_laptop_defaults() {
    let config = crate::config::load(None, &Overrides::default()).expect("defaults");
    let listen: Vec<String> = config.listen.iter().map(|listen| listen.address.to_string()).collect();
    assert_eq!(listen, ["127.0.0.1:5300", "[::1]:5300"]);
    assert!(config.listen.iter().all(|listen| listen.absence == Absence::LeaveOut));
    assert!(!config.is_strict);
    assert_eq!(config.zones.dir.as_deref(), Some(Path::new("zones")));
    assert!(!config.zones.is_dir_named);
    assert_eq!(config.settings.udp_payload_bytes_max, 1232);
    assert!(!config.settings.follow_across_zones, "zones may be of owners who do not trust each other");
}

#[test]
fn the_command_line_stands_above_the_file() {
    let overrides = Overrides {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        zones: vec![(".".parse().expect("a name"), "root.zone".into())],
        zones_dir: Some("other".into()),
        workers: Some(7),
        control: Some(PathBuf::new()),
        state_dir: Some("state".into()),
        include_dirs: vec!["two".into()],
        is_dry_run: false,
        is_strict: true,
    };
    let text = "[server]\ninclude-dirs = [\"one\"]\nlisten = [\"192.0.2.1\"]\n\
        workers = 2\nzones-dir = \"z\"\ncontrol = \"c\"\nstate-dir = \"s\"";
    let config = parse(Path::new("d/f"), text, &overrides).expect("good");
    assert_eq!(config.listen.len(), 1);
    assert_eq!(config.listen[0].address.to_string(), "127.0.0.1:0");
    assert!(config.is_strict && config.listen[0].absence == Absence::Refuse);
    assert_eq!(config.workers.get(), 7);
    assert_eq!(config.control, None);
    assert_eq!(config.state_dir.as_deref(), Some(Path::new("state")));
    assert_eq!(config.zones.dir.as_deref(), Some(Path::new("other")));
    assert_eq!(config.zones.files.len(), 1);
    assert_eq!(config.zones.include_dirs, [Path::new("d/one"), Path::new("two")]);
}

#[test]
fn a_link_local_address_stands_with_its_device() {
    let lo = index_of("lo").expect("there is one");
    for (text, port) in [("[fe80::1%lo]:5300", 5300), ("fe80::1%lo", 53), ("[fe80::1%lo]", 53)] {
        let expected = SocketAddrV6::new("fe80::1".parse().expect("an address"), port, 0, lo);
        assert_eq!(parse_address(text), Ok(expected.into()), "{text}");
        assert_eq!(parse_address(&text.replace("lo", &lo.to_string())), Ok(expected.into()), "{text}");
    }
    assert_eq!(parse_address("[fe80::1%none0]:53"), Err(AddressError::NoDevice("none0".into())));
    for text in [
        "[fe80::1%]:53x",
        "[2001:db8::1%lo]:53",
        "192.0.2.1%lo",
        "[fe80::1%lo]53",
        "[fe80::1%lo]:65536",
        "[fe80::1%lo",
        "%lo",
    ] {
        assert_eq!(parse_address(text), Err(AddressError::Malformed), "{text}");
    }
    // A device that is not there is awaited, or an error where all must be there.
    let text = "[server]\nzones-dir = \"z\"\nlisten = [\"[fe80::1%none0]:53\", \"fe80::2%lo\", \"127.0.0.1\"]\n";
    let config = config(text).expect("the rest is good");
    let scoped = |address: &str, device: &str, index| {
        let address = address.parse().expect("an address");
        ScopedListen { address, port: 53, device: device.to_owned(), index }
    };
    assert_eq!(config.scoped, [scoped("fe80::1", "none0", None), scoped("fe80::2", "lo", Some(lo))]);
    assert_eq!(config.listen.len(), 2);
    let shown = error(&format!("{text}strict = true\n"));
    assert!(shown.contains("fated.toml:3:11") && shown.contains("no device `none0`"), "{shown}");
}

#[test]
fn only_beside_anycast_may_there_be_no_address_to_listen_on() {
    let anycast = "zones-dir = \"z\"\n[anycast]\naddresses = [\"192.0.2.53\"]\n";
    let both = config(&format!("[server]\nlisten = []\n{anycast}")).expect("the service address is enough");
    assert_eq!((both.listen.len(), both.anycast.expect("there").addresses.len()), (0, 1));
    let shown = error("[server]\nlisten = []\nzones-dir = \"z\"\n");
    assert!(shown.contains("1 to 256 addresses") && shown.contains("beside [anycast] only"), "{shown}");
    let overrides = Overrides { listen: vec!["127.0.0.1:0".parse().expect("an address")], ..Overrides::default() };
    let replaced = parse(Path::new("f"), "[server]\nlisten = []\nzones-dir = \"z\"\n", &overrides);
    assert_eq!(replaced.expect("the command line names one").listen.len(), 1);
}

#[test]
fn what_a_reload_may_take_away_is_a_number_or_a_share_and_never_all_but_by_the_operators_order() {
    let of = |value: &str| {
        config(&format!("[server]\nzones-dir = \"z\"\nreload-loss-max = {value}\n")).map(|config| config.zones.loss_max)
    };
    assert_eq!(of("\"10%\"").expect("good"), LossMax::Percent(10));
    assert_eq!(config("[server]\nzones-dir = \"z\"\n").expect("good").zones.loss_max, LossMax::Percent(50));
    for (written, zones, may_go) in [
        ("\"50%\"", 1, 0),
        ("\"50%\"", 2, 1),
        ("\"50%\"", 3, 1),
        ("\"50%\"", 10, 5),
        ("\"1%\"", 10, 1),
        ("\"0%\"", 10, 1),
        ("\"99%\"", 10, 9),
        ("\"100%\"", 10, 10),
        ("\"100%\"", 1, 1),
        ("0", 10, 0),
        ("3", 10, 3),
        ("30", 10, 9),
        ("\"50%\"", 0, 0),
    ] {
        assert_eq!(of(written).expect("good").of(zones), may_go, "{written} of {zones}");
    }
    for bad in ["-1", "\"101%\"", "\"half\"", "true", "1.5", "\"-3%\""] {
        let shown = of(bad).expect_err("refused").to_string();
        assert!(shown.contains("`server.reload-loss-max` is") && shown.contains("a number of zones"), "{shown}");
    }
}

#[test]
fn a_named_zone_leaves_the_default_folder_alone() {
    let overrides =
        Overrides { zones: vec![(".".parse().expect("a name"), "root.zone".into())], ..Overrides::default() };
    assert_eq!(crate::config::load(None, &overrides).expect("good").zones.dir, None);
}

#[test]
fn values_out_of_range_name_key_value_range_and_place() {
    for (line, message, place) in [
        ("udp-payload-max = 511", "`server.udp-payload-max` is 511, but it must be 512 to 4096", ":2:19"),
        ("udp-payload-max = 4097", "`server.udp-payload-max` is 4097, but it must be 512 to 4096", ":2:19"),
        ("limits.zone-records-max = 0", "`server.limits.zone-records-max` is 0, but it must be 1 to 11", ":2:27"),
        ("limits.generate-steps-max = -1", "`server.limits.generate-steps-max` is -1, but it must be 0 to 10", ":2:29"),
        ("workers = -1", "`server.workers` is -1, but it must be 0 to 1024", ":2:11"),
        ("workers = 1025", "`server.workers` is 1025, but it must be 0 to 1024", ":2:11"),
        ("tcp.clients-max = 0", "`server.tcp.clients-max` is 0, but it must be 1 to 1000000", ":2:19"),
        ("tcp.idle-timeout = \"10\"", "`server.tcp.idle-timeout` is \"10\", but it must be a time", ":2:20"),
        ("tcp.idle-timeout = \"2h\"", "`server.tcp.idle-timeout` is \"2h\", but it must be a time", ":2:20"),
        ("tcp.io-timeout = \"99ms\"", "`server.tcp.io-timeout` is \"99ms\", but it must be a time", ":2:18"),
        ("tcp.mss = 535", "`server.tcp.mss` is 535, but it must be 536 to 32767", ":2:11"),
        ("tcp.mss = 32768", "`server.tcp.mss` is 32768, but it must be 536 to 32767", ":2:11"),
        ("listen = [\"localhost\"]", "`server.listen` is \"localhost\", but it must be an address", ":2:11"),
        ("listen = []", "`server.listen` is 0 addresses, but it must be 1 to 256 addresses", ":2:10"),
    ] {
        let shown = error(&format!("[server]\n{line}\nzones-dir = \"z\""));
        assert!(shown.contains(message), "{line}: {shown}");
        assert!(shown.contains(&format!("etc/fated.toml{place}")), "{line}: {shown}");
    }
    let shown = error(&format!("[server]\nidentity = \"{}\"\nzones-dir = \"z\"", "x".repeat(256)));
    assert!(shown.contains("`server.identity` is 256 octets long, but it must be 0 to 255 octets long"), "{shown}");
    let shown = error("[log]\nlevel = \"loud\"\n[server]\nzones-dir = \"z\"");
    assert!(
        shown.contains("`log.level` is \"loud\", but it must be \"error\", \"warn\", \"info\" or \"debug\""),
        "{shown}"
    );
}

#[test]
fn a_wrong_type_names_the_key() {
    let shown = error("[server]\nworkers = \"two\"");
    assert!(shown.contains("`server.workers`"), "{shown}");
    assert!(shown.contains("etc/fated.toml:2:11"), "{shown}");
    let shown = error("[server]\nworkers = \"two\"\nstrict = 1\nlisten = [1]");
    for part in ["`server.workers`", "`server.strict`", "`server.listen`", "etc/fated.toml:4:11"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = error("server = 3");
    assert!(shown.contains("`server`"), "{shown}");
    let shown = error("[[zone]]\nfile = \"a\"");
    assert!(shown.contains("missing field `name`"), "{shown}");
}

#[test]
fn unknown_keys_are_all_shown_with_line_and_nearest() {
    let shown =
        error("[server]\nlistn = []\nworker = 1\n[anycasts]\naddresses = []\n[[zone]]\nname = \"a\"\nfil = \"b\"");
    for part in [
        "unknown key `server.listn`",
        "etc/fated.toml:2:1",
        "did you mean `listen`?",
        "unknown key `server.worker`",
        "etc/fated.toml:3:1",
        "did you mean `workers`?",
        "unknown key `anycasts`",
        "did you mean `anycast`?",
        "unknown key `zone.fil`",
        "did you mean `file`?",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = error("listen = []");
    assert!(shown.contains("`listen` is a key of [server]"), "{shown}");
}

#[test]
fn two_zones_of_one_name_are_refused_with_both_places() {
    let shown = error("[[zone]]\nname = \"a.test\"\nfile = \"1\"\n[[zone]]\nname = \"A.TEST.\"\nfile = \"2\"");
    assert!(shown.contains("etc/fated.toml:2:8") && shown.contains("etc/fated.toml:5:8"), "{shown}");
    let twice = vec![("a.".parse().expect("a name"), "1".into()), ("A.".parse().expect("a name"), "2".into())];
    let overrides = Overrides { zones: twice, ..Overrides::default() };
    let shown = crate::config::load(None, &overrides).expect_err("twice").to_string();
    assert!(shown.contains("--zone a.=1") && shown.contains("--zone A.=2"), "{shown}");
}

#[test]
fn names_that_are_none_are_refused() {
    let long = "abcdefg.".repeat(32);
    for (name, cause) in [(long.as_str(), "longer than 255 octets"), ("a..b", "a label is empty")] {
        let shown = error(&format!("[[zone]]\nname = \"{name}\"\nfile = \"x\""));
        assert!(shown.contains(cause) && shown.contains("etc/fated.toml:2:8"), "{shown}");
    }
}

#[test]
fn a_file_that_names_no_zone_is_refused() {
    assert!(error("[server]\nworkers = 1").contains("names no zone"));
    assert!(error("not toml at all").contains("etc/fated.toml:1:"));
}

#[test]
fn durations_need_a_unit_that_is_known() {
    for (text, duration) in [
        ("10s", Some(Duration::from_secs(10))),
        ("1500ms", Some(Duration::from_millis(1500))),
        ("2 m", Some(Duration::from_secs(120))),
        ("1h", Some(Duration::from_secs(3600))),
        ("", None),
        ("10", None),
        ("s", None),
        ("-1s", None),
        ("1.5s", None),
        ("99999999999999999999h", None),
        ("9999999999999999999h", None),
    ] {
        assert_eq!(parse_duration(text), duration, "{text}");
    }
}
