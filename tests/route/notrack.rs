//! The advice on connection tracking, loaded as it is given on a host with a stateful filter: the service is not
//! tracked, and the host's own lookups still get their replies.

use std::io::Write;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use etherparse::PacketBuilder;
use fated::config::{Overrides, parse};
use fated::daemon::host::{Device, Host, warnings};
use fated::sys::tun::Tun;

use crate::fixture::{in_namespace, ip};

/// How long a reply is waited for that should not come. One that should comes at once over loopback.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a host that takes queries from everybody, and replies to what it asked itself, has of filters. There is no rule
/// for `lo`: the host's own lookups go over it here, as those to a resolver on the host do. Counted is what is not
/// tracked, both ways.
const FILTER: &str = "
    table inet host {
        counter untracked { }
        chain input {
            type filter hook input priority filter; policy drop
            ct state established accept
            ct state untracked counter name untracked
            udp dport 53 accept
        }
        chain output {
            type filter hook output priority filter
            ct state untracked counter name untracked
        }
    }";

/// Advice that is too wide: every reply from port 53 is unknown then.
const TOO_WIDE: &str = "
    table inet wide {
        chain prerouting { type filter hook prerouting priority raw; udp dport 53 notrack; udp sport 53 notrack; }
        chain output { type filter hook output priority raw; udp dport 53 notrack; udp sport 53 notrack; }
    }";

/// Loads a text into nft.
fn load(text: &str) {
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft is installed");
    nft.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
    assert!(nft.wait().expect("it ends").success(), "nft refuses: {text}");
}

/// Asks a socket on port 53 of an address from another address; returns whether its reply comes.
fn is_answered(source: &str, target: &str) -> bool {
    let server = UdpSocket::bind((target, 53)).expect("the address is there");
    let client = UdpSocket::bind((source, 0)).expect("the address is there");
    client.set_read_timeout(Some(PATIENCE)).expect("the option is there");
    server.set_read_timeout(Some(PATIENCE)).expect("the option is there");
    client.send_to(b"?", (target, 53)).expect("loopback takes it");
    let mut octets = [0; 8];
    let Ok((_, from)) = server.recv_from(&mut octets) else { return false };
    server.send_to(b"!", from).expect("loopback takes it");
    client.recv_from(&mut octets).is_ok()
}

/// Has a query come in from a client behind a device, and sends a reply to it.
fn answer_from_outside(network: &Tun, client: IpAddr, service: IpAddr) {
    let server = UdpSocket::bind((service, 53)).expect("the address is there");
    server.set_read_timeout(Some(PATIENCE)).expect("the option is there");
    let builder = match (client, service) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
        _ => unreachable!("both are of one family"),
    };
    let mut packet = Vec::new();
    builder.udp(40_000, 53).write(&mut packet, b"?").expect("a short packet");
    network.write(&packet).expect("the device is up");
    let mut octets = [0; 8];
    let (_, from) = server.recv_from(&mut octets).expect("the query comes in");
    server.send_to(b"!", from).expect("there is a way back");
}

/// How many packets were not tracked.
fn untracked() -> u64 {
    let output = Command::new("nft").args(["list", "counter", "inet", "host", "untracked"]).output().expect("nft runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "packets").unwrap_or_else(|| panic!("{text}"));
    words[at + 1].parse().expect("a number")
}

#[test]
fn the_advice_on_tracking_exempts_the_service_and_leaves_the_hosts_own_lookups_alone() {
    in_namespace(|| {
        for address in ["192.0.2.53/32", "2001:db8::53/128", "198.51.100.1/32", "198.51.100.2/32", "2001:db8:1::1/128"]
        {
            ip(&format!("addr add {address} dev lo"));
        }
        load(FILTER);
        assert!(is_answered("198.51.100.1", "198.51.100.2") && untracked() == 0, "the filter itself does not hold");
        let text = "[server]\nzones-dir = \"z\"\n[anycast]\naddresses = [\"192.0.2.53\", \"2001:db8::53\"]";
        let config = parse(Path::new("f"), text, &Overrides::default()).expect("good");
        let host = Host { is_tracking: true, ..Host::default() };
        let advice = warnings(&host, &config.anycast.expect("there is one"), Device::Tun).concat();
        load(&advice[advice.find("table inet").expect("there is advice")..]);
        assert!(is_answered("198.51.100.1", "198.51.100.2"), "the host's own lookups are cut off");
        assert_eq!(untracked(), 0);
        let network = Tun::open("net0").expect("the name is free");
        ip("link set net0 up");
        ip("-4 route add default dev net0");
        ip("-6 route add default dev net0");
        for (client, service) in [("203.0.113.9", "192.0.2.53"), ("2001:db8:9::9", "2001:db8::53")] {
            let [client, service] = [client, service].map(|text| text.parse().expect("an address"));
            let before = untracked();
            answer_from_outside(&network, client, service);
            assert_eq!(untracked(), before + 2, "{service}: query and reply");
        }
        load(TOO_WIDE);
        assert!(!is_answered("198.51.100.1", "198.51.100.2"), "this test would see who is cut off");
    });
}
