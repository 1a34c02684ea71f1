//! `[anycast]` and `[admin]`: what is taken, what is refused and how that is said.

use std::path::Path;

use super::*;
use crate::config::{Config, ConfigError, Overrides, parse};
use crate::policy::Reaction;

/// Reads a configuration with a zones folder and four workers.
fn config(text: &str) -> Result<Config, ConfigError> {
    let overrides = Overrides { zones_dir: Some("zones".into()), workers: Some(4), ..Overrides::default() };
    parse(Path::new("etc/fated.toml"), text, &overrides)
}

fn anycast(text: &str) -> Anycast {
    config(text).unwrap_or_else(|error| panic!("{text}: {error}")).anycast.expect("there is [anycast]")
}

fn refused(text: &str, parts: &[&str]) {
    let shown = config(text).expect_err("a fault").to_string();
    for part in parts {
        assert!(shown.contains(part), "{part:?} is missing for {text}:\n{shown}");
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn every_key_is_taken_with_its_unit() {
    let text = r#"
[server]
listen = ["192.0.2.1"]
[admin]
listen = "[::1]:9000"
[anycast]
addresses = ["192.0.2.53/32", "2001:db8::53/128", "198.51.100.1"]
announce = ["192.0.2.0/24", "2001:db8::/48"]
interface = "any0"
lease = "2s"
drain = "10m"
zones-wait = "2m"
[anycast.health]
interval = "100ms"
timeout = "250ms"
fall = 3
rise = 30
min-workers = 3
on-overload = "degrade"
on-shared-fault = "withdraw"
late-zones = 7
on-path-fault = "absorb"
source-v4 = "198.18.0.1"
source-v6 = "2001:2::1"
"#;
    let config = config(text).expect("good");
    assert_eq!(config.admin, Some("[::1]:9000".parse().expect("an address")));
    let anycast = config.anycast.expect("there is [anycast]");
    let expected = Anycast {
        addresses: ["192.0.2.53", "2001:db8::53", "198.51.100.1"].map(address).to_vec(),
        announce: ["192.0.2.0/24", "2001:db8::/48"].map(|prefix| prefix.parse().expect("a prefix")).to_vec(),
        interface: "any0".to_owned(),
        lease: Some(Duration::from_secs(2)),
        drain: Duration::from_secs(600),
        degrade_first: Duration::ZERO,
        zones_wait: Duration::from_secs(120),
        kernel_route: None,
        guard: None,
        bgp: None,
        health: Health {
            interval: Duration::from_millis(100),
            timeout: Duration::from_millis(250),
            fall: 3,
            rise: 30,
            workers_min: NonZeroUsize::new(3).expect("not zero"),
            on_overload: Reaction::Degrade,
            on_shared_fault: Reaction::Withdraw,
            late_zones: ZoneShare::Zones(7),
            on_path_fault: Reaction::Absorb,
            sources: Sources {
                v4: "198.18.0.1".parse().expect("an address"),
                v6: "2001:2::1".parse().expect("an address"),
            },
        },
        is_dry_run: false,
    };
    assert_eq!(anycast, expected);
    let prefixes: Vec<String> = anycast.addresses.iter().map(|at| anycast.prefix_of(*at).to_string()).collect();
    assert_eq!(prefixes, ["192.0.2.0/24", "2001:db8::/48", "198.51.100.1/32"]);
    let sockets: Vec<String> = anycast.sockets().map(|socket| socket.to_string()).collect();
    assert_eq!(sockets, ["192.0.2.53:53", "[2001:db8::53]:53", "198.51.100.1:53"]);
}

#[test]
fn addresses_alone_get_the_defaults_of_the_design() {
    let config = config("[anycast]\naddresses = [\"192.0.2.53\"]").expect("good");
    assert_eq!(config.listen, [], "the laptop's addresses are not added to anycast ones");
    assert_eq!(config.admin, None);
    let anycast = config.anycast.expect("there is [anycast]");
    assert_eq!((anycast.interface.as_str(), anycast.lease), ("fated0", Some(Duration::from_secs(1))));
    assert_eq!((anycast.drain, anycast.kernel_route), (Duration::from_secs(5), None));
    assert_eq!(anycast.zones_wait, Duration::from_secs(60));
    let Health { interval, timeout, fall, rise, workers_min, on_overload, .. } = anycast.health;
    assert_eq!((interval, timeout), (Duration::from_millis(50), Duration::from_millis(50)));
    assert_eq!((fall, rise, workers_min.get()), (2, 20, 2));
    let Health { on_shared_fault, on_path_fault, sources, .. } = anycast.health;
    assert_eq!((on_overload, on_shared_fault, on_path_fault), (Reaction::Absorb, Reaction::Absorb, Reaction::Degrade));
    assert_eq!(sources, Sources::default());
}

#[test]
fn without_the_sections_there_is_neither() {
    let config = config("").expect("good");
    assert_eq!((config.anycast, config.admin), (None, None));
}

#[test]
fn admin_has_a_port_of_its_own_by_default() {
    for (written, expected) in [
        ("127.0.0.1", Some("127.0.0.1:9153")),
        ("::1", Some("[::1]:9153")),
        ("[::1]", Some("[::1]:9153")),
        ("0.0.0.0:0", Some("0.0.0.0:0")),
        ("", None),
    ] {
        let config = config(&format!("[admin]\nlisten = \"{written}\"")).expect("good");
        assert_eq!(config.admin.map(|address| address.to_string()).as_deref(), expected, "{written}");
    }
    refused("[admin]\nlisten = \"localhost\"", &["`admin.listen` is \"localhost\"", "etc/fated.toml:2:10"]);
}

#[test]
fn addresses_are_single_unicast_and_named_once() {
    for (written, part) in [
        ("\"192.0.2.0/24\"", "`anycast.addresses` is \"192.0.2.0/24\", but it must be one address, /32 or /128"),
        ("\"2001:db8::/64\"", "covering prefixes stand in `anycast.announce`"),
        ("\"ns1\"", "but it must be an address such as"),
        ("\"192.0.2.1/33\"", "but it must be an address such as"),
        ("\"192.0.2.1:53\"", "but it must be an address such as"),
        ("\"127.0.0.1\"", "a unicast address that others can route to"),
        ("\"224.0.0.1\"", "a unicast address that others can route to"),
        ("\"0.0.0.0\"", "a unicast address that others can route to"),
        ("\"fe80::1\"", "a unicast address that others can route to"),
        ("\"::ffff:192.0.2.1\"", "a unicast address that others can route to"),
    ] {
        refused(&format!("[anycast]\naddresses = [{written}]"), &[part, "etc/fated.toml:2:14"]);
    }
    refused("[anycast]\naddresses = []", &["`anycast.addresses` is 0 addresses", "1 to 64", "etc/fated.toml:2:13"]);
    let many: Vec<String> = (0..=ADDRESSES_MAX).map(|at| format!("\"192.0.2.{at}\"")).collect();
    refused(&format!("[anycast]\naddresses = [{}]", many.join(",")), &["`anycast.addresses` is 65 addresses"]);
    let fitting = many[1..].join(",");
    assert_eq!(anycast(&format!("[anycast]\naddresses = [{fitting}]")).addresses.len(), ADDRESSES_MAX);
    let twice = "[anycast]\naddresses = [\"2001:db8::1\", \"2001:DB8:0::1/128\"]";
    refused(twice, &["names 2001:db8::1 twice", "etc/fated.toml:2:29"]);
    refused("[anycast]\ninterface = \"lo\"", &["missing field `addresses`", "etc/fated.toml:1:1"]);
}

#[test]
fn an_address_that_is_listened_on_besides_is_refused() {
    let text = |listen: &str| format!("[server]\nlisten = [\"{listen}\"]\n[anycast]\naddresses = [\"192.0.2.53\"]");
    for listen in ["192.0.2.53", "192.0.2.53:53"] {
        refused(&text(listen), &["192.0.2.53 stands in `anycast.addresses`", "server.listen", "etc/fated.toml:4:14"]);
    }
    for listen in ["192.0.2.53:5300", "192.0.2.54"] {
        assert_eq!(config(&text(listen)).expect("another socket").listen.len(), 1);
    }
}

#[test]
fn announced_prefixes_hold_an_address_and_no_other_prefix() {
    let text =
        |announce: &str| format!("[anycast]\naddresses = [\"192.0.2.53\", \"2001:db8::53\"]\nannounce = [{announce}]");
    for (announce, part) in [
        ("\"198.51.100.0/24\"", "198.51.100.0/24, which holds none of `anycast.addresses`"),
        ("\"192.0.2.53/24\"", "without bits behind its length, such as \"192.0.2.0/24\""),
        ("\"192.0.2.0\"", "a prefix such as"),
        ("\"0.0.0.0/0\"", "a prefix of /8 or longer"),
        ("\"2000::/3\"", "a prefix of /16 or longer"),
    ] {
        refused(&text(announce), &[part, "`anycast.announce`", "etc/fated.toml:3:13"]);
    }
    for both in [
        "\"192.0.2.0/24\", \"192.0.0.0/16\"",
        "\"192.0.0.0/16\", \"192.0.2.0/24\"",
        "\"192.0.2.0/24\", \"192.0.2.0/24\"",
    ] {
        refused(&text(both), &["192.0.2.53 would be announced twice"]);
    }
    assert_eq!(anycast(&text("\"2001:db8::/32\", \"192.0.2.53/32\"")).announce.len(), 2);
}

#[test]
fn leases_are_whole_seconds_and_off_needs_a_tun() {
    let text = |lines: &str| format!("[anycast]\naddresses = [\"192.0.2.53\"]\n{lines}");
    for (lease, seconds) in [("1s", 1), ("1000ms", 1), ("1h", 3600)] {
        let lease = anycast(&text(&format!("lease = \"{lease}\""))).lease;
        assert_eq!(lease, Some(Duration::from_secs(seconds)));
    }
    assert_eq!(anycast(&text("lease = \"off\"")).lease, None);
    for lease in ["0s", "999ms", "1500ms", "3601s", "1", "never", "Off"] {
        let part = format!("`anycast.lease` is \"{lease}\", but it must be whole seconds");
        refused(&text(&format!("lease = \"{lease}\"")), &[&part, "etc/fated.toml:3:9"]);
    }
    refused(&text("interface = \"lo\"\nlease = \"off\""), &["`anycast.interface` is \"lo\"", "etc/fated.toml:4:9"]);
    assert_eq!(anycast(&text("interface = \"lo\"\nlease = \"1s\"")).interface, "lo");
}

#[test]
fn device_names_are_those_that_linux_takes() {
    let text = |name: &str| format!("[anycast]\naddresses = [\"192.0.2.53\"]\ninterface = \"{name}\"");
    for name in ["a", "fated0", "vlan.10@x", "abcdefghijklmno"] {
        assert_eq!(anycast(&text(name)).interface, name);
    }
    for name in ["", ".", "..", "abcdefghijklmnop", "a b", "a/b", "a:1", "tun%d", "dév"] {
        refused(&text(name), &["`anycast.interface` is", "1 to 15 printable ASCII", "etc/fated.toml:3:13"]);
    }
}

#[test]
fn kernel_routes_stay_out_of_the_local_table_and_off_lo_and_exclude_a_lease() {
    let text = |lines: &str| format!("[anycast]\naddresses = [\"192.0.2.53\"]\nlease = \"off\"\n{lines}");
    let route = anycast(&text("[anycast.kernel-route]")).kernel_route;
    assert_eq!(route, Some(KernelRoute { table: 254, metric: 1024 }));
    let route = anycast(&text("[anycast.kernel-route]\ntable = 100\nmetric = 7")).kernel_route;
    assert_eq!(route, Some(KernelRoute { table: 100, metric: 7 }));
    refused(&text("kernel-route.table = 255"), &["any table but 255", "etc/fated.toml:4:22"]);
    for (key, value) in [("table", "0"), ("table", "4294967296"), ("metric", "0"), ("metric", "-1")] {
        let part = format!("`anycast.kernel-route.{key}` is {value}, but it must be 1 to 4294967295");
        refused(&text(&format!("kernel-route.{key} = {value}")), &[&part]);
    }
    refused(&text("interface = \"lo\"\n[anycast.kernel-route]"), &["needs a tun device of our own"]);
    // By default there is a lease.
    for lease in ["", "lease = \"1s\"", "lease = \"1h\""] {
        let text = format!("[anycast]\naddresses = [\"192.0.2.53\"]\n{lease}\n[anycast.kernel-route]");
        refused(&text, &["[anycast.kernel-route] and a lease exclude each other", "`lease = \"off\"`"]);
    }
}

#[test]
fn min_workers_is_a_number_or_a_share_rounded_up() {
    let text = |value: &str| format!("[anycast]\naddresses = [\"192.0.2.53\"]\nhealth.min-workers = {value}");
    for (value, workers) in [
        ("1", 1),
        ("4", 4),
        ("\"1%\"", 1),
        ("\"25%\"", 1),
        ("\"26%\"", 2),
        ("\"50%\"", 2),
        ("\"51 %\"", 3),
        ("\"100%\"", 4),
    ] {
        assert_eq!(anycast(&text(value)).health.workers_min.get(), workers, "{value}");
    }
    for value in ["0", "5", "-1", "\"0%\"", "\"101%\"", "\"half\"", "\"2\"", "true", "0.5"] {
        let parts =
            ["`anycast.health.min-workers` is ", "1 to 4, the number of workers, or \"1%\" to \"100%\"", ":3:22"];
        refused(&text(value), &parts);
    }
}

#[test]
fn health_values_out_of_range_name_key_range_and_place() {
    for (line, part) in [
        ("interval = \"9ms\"", "`anycast.health.interval` is \"9ms\", but it must be a time"),
        ("interval = \"11s\"", "10ms to 10s"),
        ("timeout = \"0ms\"", "`anycast.health.timeout`"),
        ("fall = 0", "`anycast.health.fall` is 0, but it must be 1 to 100"),
        ("fall = 101", "`anycast.health.fall` is 101, but it must be 1 to 100"),
        ("rise = 10001", "`anycast.health.rise` is 10001, but it must be 1 to 10000"),
        (
            "on-overload = \"panic\"",
            "`anycast.health.on-overload` is \"panic\", but it must be \"absorb\", \"degrade\"",
        ),
        ("on-shared-fault = \"stay\"", "`anycast.health.on-shared-fault` is \"stay\""),
        ("late-zones = 0", "`anycast.health.late-zones` is 0"),
        ("late-zones = \"101%\"", "`anycast.health.late-zones` is \"101%\""),
        ("on-path-fault = \"stay\"", "`anycast.health.on-path-fault` is \"stay\""),
        ("source-v4 = \"100::64\"", "`anycast.health.source-v4` is \"100::64\""),
        ("source-v4 = \"127.0.0.2\"", "`anycast.health.source-v4` is \"127.0.0.2\""),
        ("source-v4 = \"192.0.2.53\"", "`anycast.health.source-v4` is \"192.0.2.53\""),
        ("source-v6 = \"fe80::1\"", "`anycast.health.source-v6` is \"fe80::1\""),
    ] {
        refused(
            &format!("[anycast]\naddresses = [\"192.0.2.53\"]\n[anycast.health]\n{line}"),
            &[part, "etc/fated.toml:4:"],
        );
    }
    let text = |drain: &str| format!("[anycast]\naddresses = [\"192.0.2.53\"]\ndrain = \"{drain}\"");
    refused(&text("601s"), &["`anycast.drain` is \"601s\"", "0ns to 600s"]);
    assert_eq!(anycast(&text("0s")).drain, Duration::ZERO);
}

#[test]
fn a_lease_that_runs_out_between_two_proofs_is_refused() {
    let text = |interval: &str, lease: &str| {
        format!(
            "[anycast]\naddresses = [\"192.0.2.53\"]\nlease = \"{lease}\"\n[anycast.health]\ninterval = \"{interval}\""
        )
    };
    refused(&text("950ms", "1s"), &["a proof may take 1s", "the lease would run out", "etc/fated.toml:5:12"]);
    for (interval, lease) in [("949ms", "1s"), ("950ms", "2s"), ("10s", "off")] {
        anycast(&text(interval, lease));
    }
}

#[test]
fn unknown_keys_are_shown_with_the_nearest() {
    for (line, key, near) in [
        ("[anycast]\nadresses = []", "anycast.adresses", "did you mean `addresses`?"),
        ("[anycast.health]\nmin-worker = 1", "anycast.health.min-worker", "did you mean `min-workers`?"),
        ("[anycast.kernel-route]\ntabel = 1", "anycast.kernel-route.tabel", "did you mean `table`?"),
        ("[admin]\nlistn = \"\"", "admin.listn", "did you mean `listen`?"),
        ("[anycast]\nfall = 1", "anycast.fall", "`fall` is a key of [anycast.health]"),
    ] {
        refused(line, &[&format!("unknown key `{key}`"), near, "etc/fated.toml:2:1"]);
    }
}

#[test]
fn a_dry_run_needs_something_that_would_be_announced() {
    let overrides = Overrides { zones_dir: Some("zones".into()), is_dry_run: true, ..Overrides::default() };
    let read = |text: &str| parse(Path::new("etc/fated.toml"), text, &overrides);
    let good = read("[anycast]\naddresses = [\"192.0.2.53\"]").expect("good");
    assert!(good.anycast.expect("there is [anycast]").is_dry_run);
    assert!(read("").expect_err("nothing").to_string().contains("--dry-run: without [anycast]"));
}
