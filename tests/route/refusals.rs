//! What is refused at the start, with what to do about it; and the dry run, which needs nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fated::announce::kernel::{Driver, Interface, KernelRoute, KernelSettings, RouteError};
use fated::policy::{Proof, Stance};
use fated::sys::tun::Tun;

use crate::fixture::{Node, in_namespace, ip, local_routes, settings, stands, try_ip};

/// Starts with these settings, which must fail; nothing of ours may be left behind.
fn refusal(settings: KernelSettings) -> RouteError {
    let Err(error) = Node::try_start(settings, |message| panic!("fatal: {message}")) else {
        panic!("it must not start");
    };
    assert!(!local_routes().contains("proto 84"), "{}", local_routes());
    error
}

#[test]
fn an_address_that_the_host_has_is_refused() {
    in_namespace(|| {
        ip("link add veth0 type veth peer name veth1");
        ip("addr add 192.0.2.53/24 dev veth0");
        let error = refusal(settings(&["192.0.2.53/32"]));
        assert!(error.to_string().contains("overlaps 192.0.2.53 on `veth0`"), "{error}");
        let mut wide = settings(&["192.0.2.99/32"]);
        drop(Node::start(wide.clone()));
        wide.announce = vec!["192.0.2.0/24".parse().expect("a prefix")];
        let error = refusal(wide);
        assert!(matches!(error, RouteError::Overlap { .. }), "{error}");
        assert!(try_ip("link show fated0").1.contains("does not exist"));
    });
}

#[test]
fn an_address_that_stands_on_the_named_device_and_is_not_ours_is_refused() {
    in_namespace(|| {
        ip("addr add 192.0.2.53/32 dev lo");
        let on_lo = KernelSettings { interface: Interface::Device("lo".into()), ..settings(&["192.0.2.53/32"]) };
        let error = refusal(on_lo);
        assert!(error.to_string().contains("overlaps 192.0.2.53 on `lo`"), "{error}");
        assert!(stands("lo", "192.0.2.53/32"), "it is left alone");
    });
}

#[test]
fn a_name_that_is_taken_is_refused() {
    in_namespace(|| {
        for (make, name) in
            [("link add fated0 type veth peer name v1", "fated0"), ("tuntap add fated0rx mode tun", "fated0rx")]
        {
            ip(make);
            let error = refusal(settings(&["192.0.2.53/32"]));
            assert!(matches!(&error, RouteError::DeviceTaken { name: taken } if taken == name), "{error}");
            ip(&format!("link del {name}"));
        }
        let _other = Tun::open("fated0").expect("the name is free");
        let error = refusal(settings(&["192.0.2.53/32"]));
        assert!(error.to_string().contains("`fated0` exists already"), "{error}");
    });
}

#[test]
fn a_device_that_is_missing_or_down_is_refused() {
    in_namespace(|| {
        let on =
            |name: &str| KernelSettings { interface: Interface::Device(name.into()), ..settings(&["192.0.2.53/32"]) };
        let error = refusal(on("eth9"));
        assert!(error.to_string().contains("there is no device `eth9`"), "{error}");
        ip("link add veth0 type veth peer name veth1");
        let error = refusal(on("veth0"));
        assert!(error.to_string().contains("`ip link set veth0 up`"), "{error}");
        ip("link set veth0 up");
        ip("link set veth1 up");
        let node = Node::start(on("veth0"));
        node.announce();
        assert!(stands("veth0", "192.0.2.53/32"));
    });
}

#[test]
fn without_the_capability_it_says_what_to_grant() {
    in_namespace(|| {
        fated::announce::kernel::drop_elsewhere().expect("less is always granted");
        let error = refusal(settings(&["192.0.2.53/32"]));
        assert!(matches!(error, RouteError::NoPermission), "{error}");
        assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    });
}

#[test]
fn a_dry_run_needs_nothing_and_touches_nothing() {
    let proof = Arc::new(Proof::new(1));
    let name = "fated-dry0";
    let dry =
        KernelSettings { is_dry_run: true, interface: Interface::Tun(name.into()), ..settings(&["192.0.2.53/32"]) };
    let started = std::thread::spawn(move || {
        fated::announce::kernel::drop_elsewhere().expect("less is always granted");
        Driver::start(dry, Instant::now(), proof)
    });
    let driver = started.join().expect("no panic").expect("it needs nothing");
    driver.want(&[Stance::Announce]);
    let seen = driver.seen();
    assert!(seen.is_dry_run && !seen.addresses[0].is_announced);
    assert_eq!(seen.addresses[0].stance, Stance::Announce);
    assert!(driver.probe_tun().is_none());
    assert_eq!(fated::sys::tun::index_of(name), None);
    assert_eq!(driver.close().addresses[0].stance, Stance::Announce);
}

#[test]
fn settings_out_of_range_are_refused() {
    let base = settings(&["192.0.2.53/32"]);
    let lo = Interface::Device("lo".into());
    let kernel_route = Some(KernelRoute { table: 254, metric: 0 });
    for (settings, text) in [
        (settings(&[]), "between 1 and 64"),
        (settings(&["192.0.2.0/24"]), "192.0.2.0/24 is not a single address"),
        (settings(&["192.0.2.53/32", "192.0.2.53/32"]), "listed twice"),
        (
            KernelSettings { announce: vec!["198.51.100.0/24".parse().expect("a prefix")], ..base.clone() },
            "no service address",
        ),
        (KernelSettings { lease: Some(Duration::from_millis(1500)), ..base.clone() }, "whole number of seconds"),
        (KernelSettings { lease: Some(Duration::ZERO), ..base.clone() }, "whole number of seconds"),
        (KernelSettings { lease: None, interface: lo.clone(), ..base.clone() }, "needs a lease"),
        (KernelSettings { kernel_route, interface: lo, ..base.clone() }, "over a tun of ours only"),
        (
            KernelSettings { kernel_route, ..base.clone() },
            "a kernel route would outlive the lease, for IPv6 by up to 30 s",
        ),
        (KernelSettings { interface: Interface::Tun("a-name-too-long".into()), ..base.clone() }, "cannot name a tun"),
        (KernelSettings { interface: Interface::Tun(String::new()), ..base.clone() }, "cannot name a tun"),
    ] {
        let proof = Arc::new(Proof::new(settings.addresses.len()));
        let error = Driver::start(settings, Instant::now(), proof).expect_err(text);
        assert!(error.to_string().contains(text), "{error}");
    }
    let error = Driver::start(base, Instant::now(), Arc::new(Proof::new(2))).expect_err("two proofs for one address");
    assert!(error.to_string().contains("number of proofs"), "{error}");
}
